/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the two files of the sockets' reader share, and nobody else includes:
 * machine_sockets.c reads one struct sock, machine_socket_tables.c finds those
 * that the kernel's tables have.
 *
 * Threads: belongs to one reader.
 */
#ifndef HERD_MACHINE_SOCKETS_H
#define HERD_MACHINE_SOCKETS_H

#include "index/memory/machine_internal.h"
#include "index/memory/machine_walk.h"

#define HERD_SOCKETS_MAX (1u << 20)

/* Families and states that are told apart; the kernel's numbers. */
enum {
	HERD_AF_UNIX = 1,
	HERD_AF_INET = 2,
	HERD_AF_INET6 = 10,
	HERD_AF_NETLINK = 16,
	HERD_AF_PACKET = 17,
	HERD_AF_MAX = 64
};
enum {
	HERD_TCP_SYN_RECV = 3,
	HERD_TCP_TIME_WAIT = 6,
	HERD_TCP_NEW_SYN_RECV = 12
};

struct herd_socket_types {
	/* sock_common */
	struct herd_field family, state, daddr, rcv_saddr, dport, num, net,
		bound_dev_if, v6_daddr, v6_rcv_saddr, node, listener;
	struct herd_field substate; /* inet_timewait_sock */
	struct herd_field type, protocol, socket, uid, ino; /* sock */
	struct herd_field socket_sk, socket_inode;	    /* socket_alloc */
	struct herd_field i_ino, i_uid;
	struct herd_field addr, peer, addr_len, addr_name; /* unix */
	struct herd_field portid, dst_portid, groups;	   /* netlink */
	struct herd_field packet_ifindex, packet_num;
	struct herd_field inum, nets; /* net */
	size_t common, whole; /* bytes of sock_common; of what is wanted of a
				   sock */
};

struct herd_socket_reader {
	struct herd_reader *r;
	struct herd_walk_mem mem;
	struct herd_socket_types t;
	struct herd_seen_map socks; /* struct sock: index */
	struct herd_seen_map nets;  /* struct net: its inode number */
	size_t steps;		    /* left for walking the tables */
};

/* The socket of a struct sock, added when it is new. families: a bit for each
   that may be there, 0: any. -EBADMSG: not one of them, and so no sock. */
int herd_socket_add(struct herd_socket_reader *s, uint64_t sk,
		    uint64_t families, uint32_t *ret);
/* What is in the tables and not known yet. */
int herd_socket_tables(struct herd_socket_reader *s);

#endif
