/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sockets: what a process listens on, whom it speaks to, and sockets that no
 * process has open.
 *
 * UDP sockets of high ports come and go with every question to a name server,
 * and some services listen on a port that they were given; so ports from 32768
 * on are one value where they listen.
 */
#include "index/memory/machine_judge_internal.h"

#include <arpa/inet.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#define EPHEMERAL 32768u

enum {
	TCP_IS_ESTABLISHED = 1,
	TCP_IS_SYN_SENT = 2,
	TCP_IS_CLOSE = 7,
	TCP_IS_CLOSE_WAIT = 8,
	TCP_IS_LISTEN = 10
};

static bool is_inet(const struct herd_socket *s)
{
	return s->family == AF_INET || s->family == AF_INET6;
}

static bool is_stream(const struct herd_socket *s)
{
	return s->type == SOCK_STREAM || s->type == SOCK_SEQPACKET;
}

static bool all_zero(const uint8_t *p, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (p[i])
			return false;
	return true;
}

/* The IPv4 address in it, also of ::ffff:a.b.c.d; NULL: it is IPv6. */
static const uint8_t *v4(const struct herd_socket *s, const uint8_t *a)
{
	static const uint8_t mapped[12] = { [10] = 0xff, [11] = 0xff };

	if (s->family == AF_INET)
		return a;
	return memcmp(a, mapped, 12) ? NULL : a + 12;
}

static bool is_loopback(const struct herd_socket *s, const uint8_t *a)
{
	const uint8_t *four = v4(s, a);

	return four ? four[0] == 127 : all_zero(a, 15) && a[15] == 1;
}

static bool is_private(const struct herd_socket *s, const uint8_t *a)
{
	const uint8_t *f = v4(s, a);

	if (is_loopback(s, a))
		return true;
	if (!f)
		return (a[0] & 0xfe) == 0xfc || (a[0] == 0xfe && a[1] == 0x80);
	return f[0] == 10 || (f[0] == 172 && (f[1] & 0xf0) == 16) ||
	       (f[0] == 192 && f[1] == 168) || (f[0] == 169 && f[1] == 254) ||
	       (f[0] == 100 && (f[1] & 0xc0) == 64);
}

static bool listens(const struct herd_socket *s)
{
	if (!is_inet(s))
		return false;
	if (is_stream(s))
		return s->state == TCP_IS_LISTEN;
	return s->type == SOCK_DGRAM && s->local_port && !s->remote_port;
}

static bool is_joined(const struct herd_socket *s)
{
	if (!is_inet(s) || !s->remote_port)
		return false;
	return !is_stream(s) || s->state == TCP_IS_ESTABLISHED ||
	       s->state == TCP_IS_SYN_SENT || s->state == TCP_IS_CLOSE_WAIT;
}

/* With another machine. */
static bool speaks(const struct herd_socket *s)
{
	return is_joined(s) && !is_loopback(s, s->remote);
}

static const char *protocol(const struct herd_socket *s)
{
	return s->protocol == IPPROTO_SCTP ? "sctp" :
	       is_stream(s)		   ? "tcp" :
	       s->type == SOCK_DGRAM	   ? "udp" :
					     "raw";
}

static void endpoint(const struct herd_socket *s, const uint8_t *a,
		     unsigned port, char *out, size_t size)
{
	char text[INET6_ADDRSTRLEN] = "";
	const uint8_t *four = v4(s, a);

	inet_ntop(four ? AF_INET : AF_INET6, four ? four : a, text,
		  sizeof(text));
	snprintf(out, size, four ? "%s:%u" : "[%s]:%u", text, port);
}

/* "tcp 22 any", without what is an instance's own. */
static void listen_value(const struct herd_socket *s, char *out, size_t size)
{
	const char *where = is_loopback(s, s->local) ? "loopback" :
			    all_zero(s->local, s->family == AF_INET ? 4 : 16) ?
						       "any" :
						       "an address";

	if (s->local_port >= EPHEMERAL)
		snprintf(out, size, "%s of its own %s", protocol(s), where);
	else
		snprintf(out, size, "%s %u %s", protocol(s), s->local_port,
			 where);
}

static void listening(struct herd_boil *b, const struct herd_socket *s)
{
	char value[64], where[80], text[128];

	listen_value(s, value, sizeof(value));
	endpoint(s, s->local, s->local_port, where, sizeof(where));
	snprintf(text, sizeof(text), "%s %s", protocol(s), where);
	/* a high port of UDP is hardly ever a service's */
	herd_boil_add(b, HERD_MARK_LISTEN, value, text,
		      (!is_stream(s) && s->local_port >= EPHEMERAL) ||
			      is_loopback(s, s->local));
}

/* Whether the other end came to us. */
static bool came_in(const struct herd_boil *b, const struct herd_socket *s)
{
	const uint8_t *ports = is_stream(s) ? b->tcp : b->udp;

	return ports[s->local_port];
}

static void connection(struct herd_boil *b, const struct herd_socket *s)
{
	static const uint16_t common[] = { 53, 67, 80, 123, 443, 547, 853 };
	char value[64], own[80], other[80], text[224];
	bool soft = false;

	if (came_in(b, s))
		return;
	for (size_t i = 0; i < ARRAY_SIZE(common); i++)
		soft |= s->remote_port == common[i];
	snprintf(value, sizeof(value), "%s %u", protocol(s), s->remote_port);
	endpoint(s, s->local, s->local_port, own, sizeof(own));
	endpoint(s, s->remote, s->remote_port, other, sizeof(other));
	snprintf(text, sizeof(text), "%s from %s to %s%s", protocol(s), own,
		 other, is_private(s, s->remote) ? "" : ", a public address");
	herd_boil_add(b, HERD_MARK_CONNECTION, value, text, soft);
}

/* Sockets on which a program sees what is not for it. */
static void family(struct herd_boil *b, const struct herd_process *p,
		   const struct herd_socket *s)
{
	const char *base = herd_base_name(herd_exe_path(b->m, p));
	char text[64];

	if (s->family == AF_PACKET)
		snprintf(text, sizeof(text), "a packet socket");
	else if (is_inet(s) && s->type == SOCK_RAW)
		snprintf(text, sizeof(text), "a raw socket of protocol %u",
			 s->protocol);
	else
		return;
	herd_boil_add(b, HERD_MARK_ODD_FAMILY, text, text,
		      herd_sees_packets(base));
}

/* A shell whose input comes over the network. */
static void on_socket(struct herd_boil *b, const struct herd_fd *fd,
		      const struct herd_socket *s)
{
	char other[80], text[160];

	endpoint(s, s->remote, s->remote_port, other, sizeof(other));
	snprintf(text, sizeof(text),
		 "its descriptor %d is a %s connection with %s", fd->fd,
		 protocol(s), other);
	herd_boil_add(b, HERD_MARK_STDIO_SOCKET, "", text, false);
}

void herd_boil_net(struct herd_boil *b, const struct herd_process *p,
		   uint32_t flags)
{
	/* a tunnel ends on the loopback: who never speaks there, does not */
	const bool by_itself = flags & (HERD_IS_SHELL | HERD_IS_RELAY);
	bool said = false;

	for (size_t i = 0; i < p->n_fds; i++) {
		const struct herd_fd *fd = &p->fds[i];
		const struct herd_socket *s;

		if (fd->socket >= b->m->n_sockets)
			continue;
		s = &b->m->sockets[fd->socket];
		if (listens(s))
			listening(b, s);
		else if (speaks(s) || (is_joined(s) && by_itself))
			connection(b, s);
		family(b, p, s);
		if (fd->fd <= 2 && flags & HERD_IS_INTERPRETER && !said &&
		    is_joined(s)) {
			on_socket(b, fd, s);
			said = true;
		}
	}
}

void herd_boil_sockets(struct herd_boil *b)
{
	const struct herd_machine *m = b->m;

	for (size_t i = 0; i < m->n_processes; i++) {
		const struct herd_process *p = &m->processes[i];

		for (size_t k = 0; k < p->n_fds; k++)
			if (p->fds[k].socket < m->n_sockets)
				b->owned[p->fds[k].socket] = 1;
		if (p->mm && !p->exiting && !p->n_fds && p->problem[0])
			b->t->fds_unread = true;
	}
	for (size_t i = 0; i < m->n_sockets; i++)
		if (listens(&m->sockets[i]))
			(is_stream(&m->sockets[i]) ?
				 b->tcp :
				 b->udp)[m->sockets[i].local_port] = 1;
}

/*
 * Connections that are being closed, and those that nobody has accepted yet
 * (no inode), have no owner and need none.
 */
void herd_boil_orphans(struct herd_boil *b)
{
	for (uint32_t i = 0; i < b->m->n_sockets; i++) {
		const struct herd_socket *s = &b->m->sockets[i];
		char key[96], value[64], own[80], other[80], label[192];

		if (b->owned[i] || !(listens(s) || (speaks(s) && s->ino)))
			continue;
		endpoint(s, s->local, s->local_port, own, sizeof(own));
		endpoint(s, s->remote, s->remote_port, other, sizeof(other));
		listen_value(s, value, sizeof(value));
		if (listens(s)) {
			snprintf(key, sizeof(key), "s listens %s", value);
			snprintf(label, sizeof(label), "%s %s", protocol(s),
				 own);
		} else {
			snprintf(key, sizeof(key), "s speaks %s %u",
				 protocol(s),
				 (unsigned)(came_in(b, s) ? s->local_port :
							    s->remote_port));
			snprintf(label, sizeof(label), "%s %s - %s",
				 protocol(s), own, other);
		}
		herd_boil_owner(b, HERD_SUBJECT_SOCKET, i, key, label, 0);
		herd_boil_add(
			b, listens(s) ? HERD_MARK_LISTEN : HERD_MARK_CONNECTION,
			"", label, false);
	}
}
