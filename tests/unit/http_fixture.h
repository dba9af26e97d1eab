/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An HTTP server on 127.0.0.1 that answers, or fails to, as it is told: a
 * process of its own with a thread for each connection. What it is told, and
 * what it saw, lies in memory that it shares with the test.
 */
#ifndef HTTP_FIXTURE_H
#define HTTP_FIXTURE_H

#include "acquire/base/cleanup.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>

enum fault {
	FAULT_NONE,
	FAULT_RESET,	 /* nothing but a reset */
	FAULT_RESET_MID, /* … after half of the body */
	FAULT_CUT,	 /* closed after half of the body */
	FAULT_STALL,	 /* half of the body, then nothing */
	FAULT_SLOW,	 /* never a first byte */
	FAULT_TRICKLE,	 /* a byte of the body every 20 ms */
	FAULT_HEAD,	 /* a head that does not end */
	FAULT_GARBAGE,	 /* no HTTP */
	FAULT_CHUNKED,	 /* no length; a trailer */
	FAULT_CLOSE,	 /* right, then closed without a word */
};

/* One answer. headers: lines that end in \r\n. */
struct step {
	unsigned status; /* 0: 200 */
	enum fault fault;
	size_t generate; /* a body of that many bytes, by the number that
				   the path ends with; 0: `body` */
	char headers[1024], body[1024];
};

struct http_shared {
	struct step steps[64]; /* for one request after the other; the last
				   one goes on */
	unsigned n_steps;
	atomic_uint requests, connections;
	atomic_int in_flight, most_in_flight;
	unsigned hold_ms;   /* before each answer */
	char last[1 << 16]; /* the latest request */
	size_t last_len;
};

struct http_fixture {
	struct http_shared *shared;
	pid_t pid;
	uint16_t port;
};

static inline uint8_t fixture_byte(unsigned number, size_t i)
{
	return (uint8_t)(number * 31 + i + (i >> 8));
}

static inline bool fixture_send(int fd, const void *p, size_t n)
{
	for (const char *c = p; n;) {
		ssize_t k = send(fd, c, n, MSG_NOSIGNAL);

		if (k <= 0)
			return false;
		c += k;
		n -= (size_t)k;
	}
	return true;
}

static inline void fixture_reset(int fd)
{
	struct linger l = { 1, 0 };

	setsockopt(fd, SOL_SOCKET, SO_LINGER, &l, sizeof(l));
}

/* Until the other side has had enough. */
static inline void fixture_wait_end(int fd)
{
	char c;

	while (recv(fd, &c, 1, 0) > 0)
		;
}

/* One request, head and body; its length, 0 at the end. */
static inline size_t fixture_receive(int fd, char *buf, size_t size)
{
	size_t len = 0, want = 0;

	while (len < size - 1) {
		ssize_t k = recv(fd, buf + len, size - 1 - len, 0);

		if (k <= 0)
			return 0;
		len += (size_t)k;
		buf[len] = '\0';
		char *end = strstr(buf, "\r\n\r\n");

		if (!end)
			continue;
		char *length = strcasestr(buf, "\r\nContent-Length:");

		want = (size_t)(end + 4 - buf);
		if (length && length < end)
			want += strtoul(length + 17, NULL, 10);
		if (len >= want || want > size - 1)
			break;
	}
	/* a longer body is taken and forgotten */
	for (size_t got = len; got < want;) {
		char more[4096];
		ssize_t k = recv(fd, more, sizeof(more), 0);

		if (k <= 0)
			return 0;
		got += (size_t)k;
	}
	return len;
}

static inline bool fixture_chunked(int fd, const char *body, size_t n)
{
	char line[64];

	for (size_t at = 0; at < n;) {
		size_t k = n - at < 1000 ? n - at : 1000;

		snprintf(line, sizeof(line), "%zx\r\n", k);
		if (!fixture_send(fd, line, strlen(line)) ||
		    !fixture_send(fd, body + at, k) ||
		    !fixture_send(fd, "\r\n", 2))
			return false;
		at += k;
	}
	snprintf(line, sizeof(line), "0\r\nX-Trailer: late\r\n\r\n");
	return fixture_send(fd, line, strlen(line));
}

/* false: the connection ends with it. */
static inline bool fixture_body(int fd, enum fault fault, const char *body,
				size_t n)
{
	switch (fault) {
	case FAULT_CHUNKED:
		return fixture_chunked(fd, body, n);
	case FAULT_RESET_MID:
		fixture_send(fd, body, n / 2);
		usleep(50000); /* let it arrive: a reset throws away the rest */
		fixture_reset(fd);
		return false;
	case FAULT_CUT:
		fixture_send(fd, body, n / 2);
		return false;
	case FAULT_STALL:
		fixture_send(fd, body, n / 2);
		fixture_wait_end(fd);
		return false;
	case FAULT_TRICKLE:
		for (size_t i = 0; i < n; i++) {
			if (!fixture_send(fd, body + i, 1))
				return false;
			usleep(20000);
		}
		return true;
	default:
		return fixture_send(fd, body, n) && fault != FAULT_CLOSE;
	}
}

static inline bool fixture_answer(int fd, const struct step *s,
				  const char *request)
{
	CLEANUP_FREE char *made = NULL;
	const char *body = s->body;
	size_t n = s->generate ? s->generate : strlen(s->body);
	char head[2048], length[64];

	if (s->generate) {
		const char *p = strchr(request, ' ');

		const char *end = strpbrk(p + 1, " ?\r");

		while (end > request && end[-1] >= '0' && end[-1] <= '9')
			end--;
		made = malloc(n);
		for (size_t i = 0; made && i < n; i++)
			made[i] = (char)fixture_byte(
				(unsigned)strtoul(end, NULL, 10), i);
		body = made;
	}
	if (s->fault == FAULT_RESET) {
		fixture_reset(fd);
		return false;
	}
	if (s->fault == FAULT_SLOW) {
		fixture_wait_end(fd);
		return false;
	}
	if (s->fault == FAULT_HEAD) {
		bool on = fixture_send(fd, "HTTP/1.1 200 X\r\n", 16);

		while (on)
			on = fixture_send(fd, "X-More: and more\r\n", 18);
		return false;
	}
	if (s->fault == FAULT_GARBAGE) {
		fixture_send(fd, "SSH-2.0-x\r\n", 11);
		return false;
	}
	snprintf(length, sizeof(length), "Content-Length: %zu\r\n", n);
	snprintf(head, sizeof(head), "HTTP/1.1 %u X\r\n%s%s\r\n",
		 s->status ? s->status : 200, s->headers,
		 s->fault == FAULT_CHUNKED ? "Transfer-Encoding: chunked\r\n" :
					     length);
	return fixture_send(fd, head, strlen(head)) &&
	       fixture_body(fd, s->fault, body, n);
}

static struct http_shared *fixture_shared; /* in the server */
static pthread_mutex_t fixture_mutex = PTHREAD_MUTEX_INITIALIZER;

static inline void *fixture_connection(void *arg)
{
	struct http_shared *sh = fixture_shared;
	int fd = (int)(intptr_t)arg;
	CLEANUP_FREE char *buf = malloc(sizeof(sh->last));
	size_t len;
	bool on = buf;

	while (on && (len = fixture_receive(fd, buf, sizeof(sh->last)))) {
		int now = atomic_fetch_add(&sh->in_flight, 1) + 1;

		pthread_mutex_lock(&fixture_mutex);
		if (now > sh->most_in_flight)
			sh->most_in_flight = now;
		memcpy(sh->last, buf, len + 1);
		sh->last_len = len;
		unsigned i = atomic_fetch_add(&sh->requests, 1);

		pthread_mutex_unlock(&fixture_mutex);
		if (sh->hold_ms)
			usleep(sh->hold_ms * 1000);
		atomic_fetch_sub(&sh->in_flight, 1);
		on = fixture_answer(
			fd, &sh->steps[i < sh->n_steps ? i : sh->n_steps - 1],
			buf);
	}
	close(fd);
	return NULL;
}

static inline void fixture_serve(int listener)
{
	int one = 1;

	for (;;) {
		int fd = accept(listener, NULL, NULL);
		pthread_t thread;

		if (fd < 0)
			continue;
		atomic_fetch_add(&fixture_shared->connections, 1);
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
		if (pthread_create(&thread, NULL, fixture_connection,
				   (void *)(intptr_t)fd))
			_exit(1);
		pthread_detach(thread);
	}
}

/* A bound socket on a port of the system's choice. */
static inline int fixture_bind(uint16_t *ret_port)
{
	struct sockaddr_in a = { .sin_family = AF_INET };
	socklen_t n = sizeof(a);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (fd < 0 || bind(fd, (struct sockaddr *)&a, n) ||
	    getsockname(fd, (struct sockaddr *)&a, &n))
		abort();
	*ret_port = ntohs(a.sin_port);
	return fd;
}

static inline void http_fixture_start(struct http_fixture *f)
{
	int fd = fixture_bind(&f->port);

	f->shared = mmap(NULL, sizeof(*f->shared), PROT_READ | PROT_WRITE,
			 MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (f->shared == MAP_FAILED || listen(fd, 128))
		abort();
	fflush(NULL);
	f->pid = fork();
	if (f->pid < 0)
		abort();
	if (!f->pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		fixture_shared = f->shared;
		fixture_serve(fd);
		_exit(0);
	}
	close(fd);
}

static inline void http_fixture_stop(struct http_fixture *f)
{
	kill(f->pid, SIGKILL);
	waitpid(f->pid, NULL, 0);
	munmap(f->shared, sizeof(*f->shared));
}

/* What comes next; nothing has been seen. */
static inline void http_fixture_script(struct http_fixture *f,
				       const struct step *steps, unsigned n)
{
	struct http_shared *sh = f->shared;

	memset(sh->steps, 0, sizeof(sh->steps));
	memcpy(sh->steps, steps, n * sizeof(*steps));
	sh->n_steps = n;
	sh->hold_ms = 0;
	sh->last_len = 0;
	atomic_store(&sh->requests, 0);
	atomic_store(&sh->connections, 0);
	atomic_store(&sh->in_flight, 0);
	atomic_store(&sh->most_in_flight, 0);
}

#define SCRIPT(f, ...)                                                \
	do {                                                          \
		const struct step steps_[] = { __VA_ARGS__ };         \
		http_fixture_script((f), steps_, ARRAY_SIZE(steps_)); \
	} while (0)

#endif
