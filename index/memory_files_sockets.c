/* SPDX-License-Identifier: Apache-2.0 */
/* Open files and sockets as texts; see memory_files.h. */
#include "index/memory_files_internal.h"

#include "acquire/base/cleanup.h"

#include <arpa/inet.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* Linux's numbers, for images are Linux's. */
enum {
	FAMILY_UNIX = 1,
	FAMILY_INET = 2,
	FAMILY_INET6 = 10,
	FAMILY_NETLINK = 16,
	FAMILY_PACKET = 17,
	FAMILY_VSOCK = 40,
	TYPE_STREAM = 1,
	TYPE_DGRAM = 2,
	TYPE_RAW = 3,
	PROTO_TCP = 6,
	PROTO_UDP = 17
};

static const char *const kinds[HERD_MFILE_MAX] = {
	[HERD_MFILE_PLAIN] = "file",	[HERD_MFILE_MEMFD] = "memfd",
	[HERD_MFILE_SHM] = "shm",	[HERD_MFILE_PIPE] = "pipe",
	[HERD_MFILE_SOCKET] = "socket", [HERD_MFILE_ANON] = "anon",
	[HERD_MFILE_DEVICE] = "device", [HERD_MFILE_PSEUDO] = "pseudo",
};

void herd_process_fds(const struct herd_machine *m,
		      const struct herd_process *p, struct herd_buf *out)
{
	herd_buf_printf(out, "# fd  flags (octal)  position  kind  size  "
			     "target\n");
	for (size_t i = 0; i < p->n_fds; i++) {
		const struct herd_fd *fd = &p->fds[i];
		const struct herd_mfile *f = &m->files[fd->file];

		herd_buf_printf(
			out, "%d\t0%o\t%" PRIu64 "\t%s%s\t%" PRIu64 "\t",
			fd->fd, fd->flags, fd->pos,
			(unsigned)f->kind < HERD_MFILE_MAX ? kinds[f->kind] :
							     "?",
			f->deleted && f->kind == HERD_MFILE_PLAIN ? ",deleted" :
								    "",
			f->size);
		herd_put_text(out, fd->target);
		herd_buf_u8(out, '\n');
	}
}

/* ---- sockets ---- */

static const char *protocol_of(const struct herd_socket *s, char buf[32])
{
	const bool six = s->family == FAMILY_INET6;

	switch (s->family) {
	case FAMILY_UNIX:
		return s->type == TYPE_STREAM ? "unix-stream" :
		       s->type == TYPE_DGRAM  ? "unix-dgram" :
						"unix-seqpacket";
	case FAMILY_NETLINK:
		return "netlink";
	case FAMILY_PACKET:
		return "packet";
	case FAMILY_VSOCK:
		return "vsock";
	case FAMILY_INET:
	case FAMILY_INET6:
		if (s->type == TYPE_RAW)
			return six ? "raw6" : "raw";
		if (s->protocol == PROTO_TCP)
			return six ? "tcp6" : "tcp";
		if (s->protocol == PROTO_UDP)
			return six ? "udp6" : "udp";
		break;
	default:
		break;
	}
	snprintf(buf, 32, "family %u/%u", s->family, s->protocol);
	return buf;
}

static const char *state_of(const struct herd_socket *s)
{
	static const char *const states[] = {
		"-",
		"established",
		"syn-sent",
		"syn-recv",
		"fin-wait-1",
		"fin-wait-2",
		"time-wait",
		"closed",
		"close-wait",
		"last-ack",
		"listening",
		"closing",
		"new-syn-recv",
	};

	return s->state < ARRAY_SIZE(states) ? states[s->state] : "?";
}

static void put_address(struct herd_buf *out, const struct herd_socket *s,
			const uint8_t address[16], uint16_t port)
{
	const int family = s->family == FAMILY_INET6 ? AF_INET6 : AF_INET;
	char text[INET6_ADDRSTRLEN] = "?";

	inet_ntop(family, address, text, sizeof(text));
	herd_buf_printf(out, family == AF_INET6 ? "[%s]:%u" : "%s:%u", text,
			port);
}

static void put_socket(struct herd_buf *out, const struct herd_socket *s)
{
	char buf[32];

	herd_buf_printf(out, "%s\t%s\tino %" PRIu64 "\tuid %u\tnetns %u\t",
			protocol_of(s, buf), state_of(s), s->ino, s->uid,
			s->netns);
	switch (s->family) {
	case FAMILY_INET:
	case FAMILY_INET6:
		put_address(out, s, s->local, s->local_port);
		herd_buf_printf(out, " -> ");
		put_address(out, s, s->remote, s->remote_port);
		break;
	case FAMILY_UNIX:
		herd_put_text(out, s->path[0] ? s->path : "-");
		if (s->peer_ino)
			herd_buf_printf(out, " -> ino %" PRIu64, s->peer_ino);
		break;
	case FAMILY_NETLINK:
		herd_buf_printf(out, "protocol %u", s->protocol);
		break;
	default:
		herd_buf_printf(out, "protocol 0x%x", s->protocol);
	}
	if (s->ifindex)
		herd_buf_printf(out, " interface %u", s->ifindex);
	herd_buf_u8(out, '\n');
}

void herd_process_sockets(const struct herd_machine *m,
			  const struct herd_process *p, struct herd_buf *out)
{
	for (size_t i = 0; i < p->n_fds; i++) {
		if (p->fds[i].socket >= m->n_sockets)
			continue;
		herd_buf_printf(out, "fd %d\t", p->fds[i].fd);
		put_socket(out, &m->sockets[p->fds[i].socket]);
	}
}

void herd_kernel_sockets(const struct herd_machine *m,
			 const struct herd_shown *s, struct herd_buf *out)
{
	CLEANUP_FREE bool *owned = calloc(m->n_sockets + 1, sizeof(*owned));

	if (!owned) {
		out->failed = true;
		return;
	}
	for (size_t i = 0; i < m->n_processes; i++)
		for (size_t k = 0; k < m->processes[i].n_fds; k++)
			if (m->processes[i].fds[k].socket < m->n_sockets)
				owned[m->processes[i].fds[k].socket] = true;
	for (uint32_t i = 0; i < m->n_sockets; i++)
		if (!owned[i] &&
		    (!s || s->shows(s->arg, HERD_SUBJECT_SOCKET, i)))
			put_socket(out, &m->sockets[i]);
}
