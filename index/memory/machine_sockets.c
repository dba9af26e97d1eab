/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sockets: those of open files, and (machine_socket_tables.c) all that the
 * kernel's tables have. What is kept is what /proc/net shows: of a connection
 * in TIME-WAIT or not yet accepted there is no inode and no owner.
 *
 * Netlink has no addresses: the port is the first four bytes of `local`, the
 * groups (their first 32) the next four, and the peer's port the first four of
 * `remote`, all in network order.
 */
#include "index/memory/machine_sockets.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#define SOCK_BYTES_MAX 4096u
#define UNIX_NAME_MAX 110u /* sockaddr_un */

#define FIELD(t, m, where_)                                         \
	{                                                           \
		.type = (t), .member = (m),                         \
		.where = offsetof(struct herd_socket_types, where_) \
	}
#define MAYBE(t, m, where_)                                         \
	{                                                           \
		.type = (t), .member = (m), .optional = true,       \
		.where = offsetof(struct herd_socket_types, where_) \
	}

static const struct herd_wanted wanted[] = {
	FIELD("sock_common", "skc_family", family),
	FIELD("sock_common", "skc_state", state),
	FIELD("sock_common", "skc_daddr", daddr),
	FIELD("sock_common", "skc_rcv_saddr", rcv_saddr),
	FIELD("sock_common", "skc_dport", dport),
	FIELD("sock_common", "skc_num", num),
	MAYBE("sock_common", "skc_net.net", net),
	FIELD("sock_common", "skc_bound_dev_if", bound_dev_if),
	MAYBE("sock_common", "skc_v6_daddr", v6_daddr),
	MAYBE("sock_common", "skc_v6_rcv_saddr", v6_rcv_saddr),
	FIELD("sock_common", "skc_node", node),
	MAYBE("sock_common", "skc_listener", listener),
	MAYBE("inet_timewait_sock", "tw_substate", substate),
	FIELD("sock", "sk_type", type),
	FIELD("sock", "sk_protocol", protocol),
	FIELD("sock", "sk_socket", socket),
	FIELD("sock", "sk_uid", uid),
	MAYBE("sock", "sk_ino", ino),
	FIELD("socket_alloc", "socket.sk", socket_sk),
	FIELD("socket_alloc", "vfs_inode", socket_inode),
	FIELD("inode", "i_ino", i_ino),
	FIELD("inode", "i_uid", i_uid),
	MAYBE("unix_sock", "addr", addr),
	MAYBE("unix_sock", "peer", peer),
	MAYBE("unix_address", "len", addr_len),
	MAYBE("unix_address", "name", addr_name),
	MAYBE("netlink_sock", "portid", portid),
	MAYBE("netlink_sock", "dst_portid", dst_portid),
	MAYBE("netlink_sock", "groups", groups),
	MAYBE("packet_sock", "ifindex", packet_ifindex),
	MAYBE("packet_sock", "num", packet_num),
	MAYBE("net", "ns.inum", inum),
	MAYBE("net", "list", nets),
};

static size_t end_of(const struct herd_field *f)
{
	return herd_field_there(f) ? (size_t)f->offset + f->size : 0;
}

static int find_types(struct herd_socket_reader *s, struct herd_diag *diag)
{
	struct herd_socket_types *t = &s->t;
	const struct herd_field *of_sock[] = { &t->type, &t->protocol,
					       &t->socket, &t->uid, &t->ino };
	uint32_t common;
	int err;

	err = herd_kernel_fields(s->r->k, wanted, ARRAY_SIZE(wanted), t, diag);
	if (err)
		return err;
	err = herd_kernel_sizeof(s->r->k, "sock_common", &common);
	if (err)
		return err;
	t->common = common;
	t->whole = common;
	for (size_t i = 0; i < ARRAY_SIZE(of_sock); i++)
		if (end_of(of_sock[i]) > t->whole)
			t->whole = end_of(of_sock[i]);
	if (t->whole > SOCK_BYTES_MAX || end_of(&t->node) > common)
		return -EOPNOTSUPP;
	return 0;
}

/* ---- parts of a sock ---- */

/* The inode number of a network namespace; 0 unknown. */
static uint32_t netns_of(struct herd_socket_reader *s, uint64_t net)
{
	uint64_t inum = 0;
	uint32_t known;

	if (!net || !herd_field_there(&s->t.inum))
		return 0;
	if (herd_seen_has(&s->nets, net, &known))
		return known;
	if (herd_kernel_get(s->r->k, net, &s->t.inum, &inum))
		return 0;
	herd_seen_add(&s->nets, net, (uint32_t)inum, NULL);
	return (uint32_t)inum;
}

/* The inode number and owner of a sock's file as /proc/net has them: zeros
   when it has none any more. bytes: the whole sock. */
static void owner_of(struct herd_socket_reader *s, const uint8_t *bytes,
		     uint64_t *ret_ino, uint32_t *ret_uid)
{
	const struct herd_socket_types *t = &s->t;
	uint64_t socket = herd_walk_value(bytes, t->whole, &t->socket);
	uint64_t ino = 0, uid = 0, inode;

	if (herd_field_there(&t->ino)) { /* it says so itself */
		ino = herd_walk_value(bytes, t->whole, &t->ino);
		uid = herd_walk_value(bytes, t->whole, &t->uid);
	} else if (socket) {
		inode = socket + t->socket_inode.offset;
		if (herd_kernel_get(s->r->k, inode, &t->i_ino, &ino) ||
		    herd_kernel_get(s->r->k, inode, &t->i_uid, &uid))
			ino = uid = 0;
	}
	*ret_ino = ino;
	*ret_uid = (uint32_t)uid;
}

static int read_whole(struct herd_socket_reader *s, uint64_t sk, uint8_t *bytes)
{
	return herd_kernel_read(s->r->k, sk, bytes, s->t.whole);
}

static void copy_field(const uint8_t *bytes, size_t len,
		       const struct herd_field *f, uint8_t *to, size_t want)
{
	if (herd_field_there(f) && f->size == want && f->offset + want <= len)
		memcpy(to, bytes + f->offset, want);
}

static void inet_of(struct herd_socket_reader *s, const uint8_t *bytes,
		    struct herd_socket *n)
{
	const struct herd_socket_types *t = &s->t;
	uint64_t dport = herd_walk_value(bytes, t->common, &t->dport);

	if (n->family == HERD_AF_INET6) {
		copy_field(bytes, t->common, &t->v6_rcv_saddr, n->local, 16);
		copy_field(bytes, t->common, &t->v6_daddr, n->remote, 16);
	} else {
		copy_field(bytes, t->common, &t->rcv_saddr, n->local, 4);
		copy_field(bytes, t->common, &t->daddr, n->remote, 4);
	}
	n->local_port = (uint16_t)herd_walk_value(bytes, t->common, &t->num);
	n->remote_port = ntohs((uint16_t)dport);
}

static char *unix_name(struct herd_socket_reader *s, uint64_t address)
{
	const struct herd_socket_types *t = &s->t;
	uint8_t name[UNIX_NAME_MAX];
	uint64_t len;
	char *path;

	if (herd_kernel_get(s->r->k, address, &t->addr_len, &len) || len <= 2 ||
	    len > sizeof(name) ||
	    herd_kernel_read(s->r->k, address + t->addr_name.offset, name, len))
		return NULL;
	/* The family is two bytes. A path's NUL is counted; an abstract name
	   begins with one, may have more, and is shown with @ for each. */
	len -= 2;
	if (name[2])
		len -= !name[2 + len - 1];
	path = malloc(len + 1);
	if (!path)
		return NULL;
	for (size_t i = 0; i < len; i++)
		path[i] = name[2 + i] ? (char)name[2 + i] : '@';
	path[len] = 0;
	return path;
}

static void unix_of(struct herd_socket_reader *s, uint64_t sk,
		    struct herd_socket *n)
{
	const struct herd_socket_types *t = &s->t;
	uint8_t bytes[SOCK_BYTES_MAX];
	uint64_t address = 0, peer = 0;
	uint32_t uid;

	if (!herd_field_there(&t->addr) || !herd_field_there(&t->addr_len) ||
	    !herd_field_there(&t->addr_name) || !herd_field_there(&t->peer))
		return;
	if (!herd_kernel_get(s->r->k, sk, &t->addr, &address) && address)
		n->path = unix_name(s, address);
	if (!herd_kernel_get(s->r->k, sk, &t->peer, &peer) && peer &&
	    !read_whole(s, peer, bytes))
		owner_of(s, bytes, &n->peer_ino, &uid);
}

static void netlink_of(struct herd_socket_reader *s, uint64_t sk,
		       struct herd_socket *n)
{
	const struct herd_socket_types *t = &s->t;
	uint64_t port = 0, peer = 0, groups = 0;
	uint32_t first = 0, be;

	if (!herd_field_there(&t->portid) || !herd_field_there(&t->groups) ||
	    !herd_field_there(&t->dst_portid))
		return;
	(void)herd_kernel_get(s->r->k, sk, &t->portid, &port);
	(void)herd_kernel_get(s->r->k, sk, &t->dst_portid, &peer);
	if (!herd_kernel_get(s->r->k, sk, &t->groups, &groups) && groups)
		(void)herd_kernel_u32(s->r->k, groups, &first);
	be = htonl((uint32_t)port);
	memcpy(n->local, &be, 4);
	be = htonl(first);
	memcpy(n->local + 4, &be, 4);
	be = htonl((uint32_t)peer);
	memcpy(n->remote, &be, 4);
}

static void packet_of(struct herd_socket_reader *s, uint64_t sk,
		      struct herd_socket *n)
{
	uint64_t v;

	if (!herd_field_there(&s->t.packet_ifindex) ||
	    !herd_field_there(&s->t.packet_num))
		return;
	if (!herd_kernel_get(s->r->k, sk, &s->t.packet_ifindex, &v))
		n->ifindex = (uint32_t)v;
	if (!herd_kernel_get(s->r->k, sk, &s->t.packet_num, &v))
		n->protocol = ntohs((uint16_t)v);
}

/* What has no struct sock behind its sock_common. */
static bool is_small(const struct herd_socket *n)
{
	return (n->family == HERD_AF_INET || n->family == HERD_AF_INET6) &&
	       (n->state == HERD_TCP_TIME_WAIT ||
		n->state == HERD_TCP_NEW_SYN_RECV);
}

static void small_of(struct herd_socket_reader *s, uint64_t sk,
		     const uint8_t *common, struct herd_socket *n)
{
	const struct herd_socket_types *t = &s->t;
	uint8_t bytes[SOCK_BYTES_MAX];
	uint64_t listener, ino, v;

	n->type = SOCK_STREAM;
	n->protocol = IPPROTO_TCP;
	inet_of(s, common, n);
	if (n->state == HERD_TCP_TIME_WAIT) {
		if (herd_field_there(&t->substate) &&
		    !herd_kernel_get(s->r->k, sk, &t->substate, &v))
			n->state = (uint8_t)v;
		return;
	}
	n->state = HERD_TCP_SYN_RECV;
	listener = herd_walk_value(common, t->common, &t->listener);
	if (listener && !read_whole(s, listener, bytes))
		owner_of(s, bytes, &ino, &n->uid);
}

static int read_sock(struct herd_socket_reader *s, uint64_t sk,
		     uint64_t families, struct herd_socket *n)
{
	const struct herd_socket_types *t = &s->t;
	uint8_t bytes[SOCK_BYTES_MAX];
	uint64_t net;
	int err;

	err = herd_kernel_read(s->r->k, sk, bytes, t->common);
	if (err)
		return err;
	n->sock = sk;
	n->family = (uint16_t)herd_walk_value(bytes, t->common, &t->family);
	n->state = (uint8_t)herd_walk_value(bytes, t->common, &t->state);
	if (!n->family || n->family >= HERD_AF_MAX ||
	    (families && !(families >> n->family & 1)))
		return -EBADMSG;
	net = herd_walk_value(bytes, t->common, &t->net);
	n->netns = netns_of(s, net);
	n->ifindex =
		(uint32_t)herd_walk_value(bytes, t->common, &t->bound_dev_if);
	if (is_small(n)) {
		small_of(s, sk, bytes, n);
		return 0;
	}
	err = read_whole(s, sk, bytes);
	if (err)
		return err;
	n->type = (uint16_t)herd_walk_value(bytes, t->whole, &t->type);
	n->protocol = (uint16_t)herd_walk_value(bytes, t->whole, &t->protocol);
	owner_of(s, bytes, &n->ino, &n->uid);
	if (n->family == HERD_AF_INET || n->family == HERD_AF_INET6)
		inet_of(s, bytes, n);
	else if (n->family == HERD_AF_UNIX)
		unix_of(s, sk, n);
	else if (n->family == HERD_AF_NETLINK)
		netlink_of(s, sk, n);
	else if (n->family == HERD_AF_PACKET)
		packet_of(s, sk, n);
	if (n->type == SOCK_RAW && n->family != HERD_AF_PACKET)
		n->remote_port = 0; /* there is none; it may hold anything */
	return 0;
}

/* ---- all of them ---- */

int herd_socket_add(struct herd_socket_reader *s, uint64_t sk,
		    uint64_t families, uint32_t *ret)
{
	struct herd_machine *m = s->r->m;
	struct herd_socket n = { 0 };
	uint32_t known;
	void *v = m->sockets;
	int err;

	if (herd_seen_has(&s->socks, sk, &known)) {
		*ret = known;
		return 0;
	}
	err = herd_reader_grow(&v, m->n_sockets, &s->r->cap_sockets,
			       sizeof(*m->sockets), HERD_SOCKETS_MAX);
	m->sockets = v;
	if (!err)
		err = read_sock(s, sk, families, &n);
	if (!err && !n.path) {
		n.path = strdup("");
		err = n.path ? 0 : -ENOMEM;
	}
	if (!err)
		err = herd_seen_add(&s->socks, sk, (uint32_t)m->n_sockets,
				    NULL);
	if (err) {
		free(n.path);
		return err;
	}
	*ret = (uint32_t)m->n_sockets;
	m->sockets[m->n_sockets++] = n;
	return 0;
}

/* The socket behind an inode of sockfs. */
static int add_of_inode(struct herd_socket_reader *s, uint64_t inode,
			uint32_t *ret)
{
	uint64_t sk, at = inode - s->t.socket_inode.offset;
	int err = herd_kernel_get(s->r->k, at, &s->t.socket_sk, &sk);

	if (err)
		return err;
	return sk ? herd_socket_add(s, sk, 0, ret) : -ENOENT;
}

static int add_of_process(struct herd_socket_reader *s, struct herd_process *p)
{
	struct herd_machine *m = s->r->m;

	for (size_t i = 0; i < p->n_fds; i++) {
		struct herd_fd *fd = &p->fds[i];
		char where[64];
		int err;

		if (fd->file >= m->n_files ||
		    m->files[fd->file].kind != HERD_MFILE_SOCKET)
			continue;
		err = add_of_inode(s, m->files[fd->file].inode, &fd->socket);
		if (err == -ENOMEM || err == -EOVERFLOW)
			return err;
		if (!err || err == -ENOENT) /* closed by its protocol */
			continue;
		snprintf(where, sizeof(where), "process %d (%s)", p->pid,
			 p->comm);
		herd_reader_problem(s->r, where, "a socket could not be read");
	}
	return 0;
}

static void socket_reader_deinit(struct herd_socket_reader *s)
{
	herd_seen_deinit(&s->socks);
	herd_seen_deinit(&s->nets);
}

int herd_reader_sockets(struct herd_reader *r, struct herd_diag *diag)
{
	CLEANUP(socket_reader_deinit)
	struct herd_socket_reader s = {
		.r = r,
		.mem = herd_walk_kernel(r->k),
		.steps = 4 * (size_t)HERD_SOCKETS_MAX,
	};
	int err;

	err = find_types(&s, diag);
	for (size_t i = 0; i < r->m->n_processes && !err; i++) {
		herd_reader_beat(r);
		err = add_of_process(&s, &r->m->processes[i]);
	}
	if (!err)
		err = herd_socket_tables(&s);
	if (err == -EOVERFLOW) {
		herd_reader_problem(r, "sockets",
				    "more than %u: the rest was "
				    "left out",
				    HERD_SOCKETS_MAX);
		return 0;
	}
	return err;
}
