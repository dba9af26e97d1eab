/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A server that is in nobody's way: GET /snapshots/X/blocks/N, unsigned, out of
 * memory, on kept connections, as fast as a socket takes it. For measuring what
 * the client costs.
 *
 *   blockserver [-p PORT] [-s BLOCK_SIZE] [-n DISTINCT_BLOCKS]
 *
 * Binds to 127.0.0.1, prints "listening on PORT", serves until it is killed.
 * Block N holds the bytes of block N % DISTINCT_BLOCKS; its header has their
 * digest as EBS has it. GET /snapshots/X/blocks lists DISTINCT_BLOCKS of them
 * (at most 10,000: a page). One thread, epoll.
 */
#include "acquire/base/buf.h"
#include "acquire/base/sha256.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/uio.h>

#define REQUEST_MAX 8192

static size_t block_size = 524288, n_blocks = 64;
static uint8_t *blocks;
static char (*heads)[512];
static struct herd_buf list, list_head;

struct connection {
	int fd;
	char in[REQUEST_MAX];
	size_t in_len;
	const char *head; /* NULL: between requests */
	const uint8_t *body;
	size_t head_left, body_left;
};

static void base64(const uint8_t *p, size_t n, char *out)
{
	static const char digits[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnop"
		"qrstuvwxyz0123456789+/";

	for (size_t i = 0; i < n; i += 3) {
		uint32_t v = (uint32_t)p[i] << 16;

		if (i + 1 < n)
			v |= (uint32_t)p[i + 1] << 8;
		if (i + 2 < n)
			v |= p[i + 2];
		*out++ = digits[v >> 18];
		*out++ = digits[v >> 12 & 63];
		*out++ = i + 1 < n ? digits[v >> 6 & 63] : '=';
		*out++ = i + 2 < n ? digits[v & 63] : '=';
	}
	*out = '\0';
}

static int make_blocks(void)
{
	uint64_t random = 88172645463325252ull;

	blocks = malloc(n_blocks * block_size);
	heads = calloc(n_blocks, sizeof(*heads));
	if (!blocks || !heads)
		return -ENOMEM;
	for (size_t i = 0; i < n_blocks; i++) {
		uint8_t *b = blocks + i * block_size, sha[HERD_SHA256_LEN];
		char text[64];

		for (size_t at = 0; at < block_size; at += 8) {
			random ^= random << 13;
			random ^= random >> 7;
			random ^= random << 17;
			memcpy(b + at, &random,
			       block_size - at < 8 ? block_size - at : 8);
		}
		herd_sha256(b, block_size, sha);
		base64(sha, sizeof(sha), text);
		snprintf(heads[i], sizeof(heads[i]),
			 "HTTP/1.1 200 OK\r\n"
			 "Content-Type: application/octet-stream\r\n"
			 "x-amz-Data-Length: %zu\r\nx-amz-Checksum: %s\r\n"
			 "x-amz-Checksum-Algorithm: SHA256\r\n"
			 "Content-Length: %zu\r\n\r\n",
			 block_size, text, block_size);
	}
	return 0;
}

static int make_list(void)
{
	uint64_t gib = (n_blocks * block_size + (1ull << 30) - 1) >> 30;

	herd_buf_printf(&list, "{\"Blocks\":[");
	for (size_t i = 0; i < n_blocks && i < 10000; i++)
		herd_buf_printf(&list, "%s{\"BlockIndex\":%zu,"
				"\"BlockToken\":\"dG9rZW4=\"}", i ? "," : "", i);
	herd_buf_printf(&list, "],\"ExpiryTime\":4102444800,\"VolumeSize\":%llu,"
			"\"BlockSize\":%zu}", (unsigned long long)gib,
			block_size);
	herd_buf_printf(&list_head, "HTTP/1.1 200 OK\r\n"
			"Content-Type: application/json\r\n"
			"Content-Length: %zu\r\n\r\n", list.len);
	herd_buf_u8(&list_head, 0);
	return herd_buf_error(&list) ?: herd_buf_error(&list_head);
}

static void answer(struct connection *c, const char *request)
{
	static const char none[] = "HTTP/1.1 404 Not Found\r\n"
				   "Content-Length: 0\r\n\r\n";
	unsigned n;

	if (sscanf(request, "GET /snapshots/%*64[^/ ]/blocks/%u", &n) == 1) {
		size_t i = n % n_blocks;

		c->head = heads[i];
		c->body = blocks + i * block_size;
		c->body_left = block_size;
	} else if (!strncmp(request, "GET /snapshots/", 15)) {
		c->head = (char *)list_head.data;
		c->body = list.data;
		c->body_left = list.len;
	} else {
		c->head = none;
		c->body_left = 0;
	}
	c->head_left = strlen(c->head);
}

/* 1: all gone; 0: the socket is full; below: the end. */
static int write_some(struct connection *c)
{
	while (c->head_left || c->body_left) {
		struct iovec v[2] = { { (void *)c->head, c->head_left },
				      { (void *)c->body, c->body_left } };
		ssize_t n = writev(c->fd, v, 2);

		if (n < 0)
			return errno == EAGAIN ? 0 : -errno;
		size_t k = (size_t)n < c->head_left ? (size_t)n : c->head_left;

		c->head += k;
		c->head_left -= k;
		c->body += (size_t)n - k;
		c->body_left -= (size_t)n - k;
	}
	c->head = NULL;
	return 1;
}

static int serve(struct connection *c)
{
	for (;;) {
		char *end = NULL;

		if (c->head) {
			int r = write_some(c);

			if (r <= 0)
				return r;
		}
		c->in[c->in_len] = '\0';
		end = strstr(c->in, "\r\n\r\n");
		if (end) {
			size_t used = (size_t)(end + 4 - c->in);

			answer(c, c->in);
			memmove(c->in, c->in + used, c->in_len - used);
			c->in_len -= used;
			continue;
		}
		if (c->in_len == REQUEST_MAX - 1)
			return -EOVERFLOW;
		ssize_t n = read(c->fd, c->in + c->in_len,
				 REQUEST_MAX - 1 - c->in_len);

		if (n <= 0)
			return n < 0 && errno == EAGAIN ? 0 : -EPIPE;
		c->in_len += (size_t)n;
	}
}

static void greet(int listener, int epoll)
{
	int one = 1;
	int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	struct connection *c = fd < 0 ? NULL : calloc(1, sizeof(*c));

	if (!c) {
		if (fd >= 0)
			close(fd);
		return;
	}
	c->fd = fd;
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	struct epoll_event e = { .events = EPOLLIN | EPOLLOUT | EPOLLET,
				 .data.ptr = c };

	if (epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &e)) {
		close(fd);
		free(c);
	}
}

static int listen_on(unsigned port)
{
	struct sockaddr_in a = { .sin_family = AF_INET,
				 .sin_port = htons((uint16_t)port) };
	socklen_t n = sizeof(a);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), one = 1;

	a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (fd < 0 || bind(fd, (struct sockaddr *)&a, n) || listen(fd, 256) ||
	    getsockname(fd, (struct sockaddr *)&a, &n))
		return -errno;
	printf("listening on %u\n", ntohs(a.sin_port));
	fflush(stdout);
	return fd;
}

int main(int argc, char **argv)
{
	unsigned port = 0;
	int opt;

	while ((opt = getopt(argc, argv, "p:s:n:")) != -1) {
		unsigned long v = optarg ? strtoul(optarg, NULL, 10) : 0;

		if (opt == 'p')
			port = (unsigned)v;
		else if (opt == 's' && v)
			block_size = v;
		else if (opt == 'n' && v)
			n_blocks = v;
		else
			return 2;
	}
	signal(SIGPIPE, SIG_IGN);
	int epoll = epoll_create1(EPOLL_CLOEXEC);
	int listener = make_blocks() || make_list() ? -1 : listen_on(port);
	struct epoll_event e = { .events = EPOLLIN, .data.ptr = NULL };

	if (listener < 0 || epoll_ctl(epoll, EPOLL_CTL_ADD, listener, &e)) {
		perror("blockserver");
		return 1;
	}
	for (;;) {
		struct epoll_event events[64];
		int n = epoll_wait(epoll, events, 64, -1);

		for (int i = 0; i < n; i++) {
			struct connection *c = events[i].data.ptr;

			if (!c) {
				greet(listener, epoll);
			} else if (serve(c) < 0) {
				close(c->fd);
				free(c);
			}
		}
	}
}
