/* SPDX-License-Identifier: Apache-2.0 */
/*
 * HTTP on libcurl's multi interface: many requests at once on kept
 * connections, HTTP/2 where the server has it. Knows nothing of AWS, of
 * retrying or of redirects (which are never followed).
 *
 * Threads: a herd_http belongs to one thread. Callbacks run inside
 * herd_http_run, and may add further requests.
 */
#ifndef HERD_HTTP_H
#define HERD_HTTP_H

#include "acquire/base/buf.h"
#include "acquire/base/diag.h"

#include <poll.h>

struct herd_http;

/* All times in milliseconds; 0 stands for the default in brackets. */
struct herd_http_limits {
	unsigned connect_ms;	/* until connected, TLS included [5000] */
	unsigned first_byte_ms;	/* from there to the answer's first byte [20000] */
	unsigned stall_ms;	/* without any byte, once it has begun [10000] */
	unsigned total_ms;	/* the whole request [120000] */
};

struct herd_http_options {
	const char *ca_bundle;	/* PEM file, or NULL: the system's */
	unsigned connections;	/* at most, to all hosts together, and requests
				   at once; further ones wait, their time not
				   running [64] */
	bool no_proxy;		/* leave the proxy variables alone (link-local
				   and loopback addresses are never behind one) */
};

struct herd_http_request {
	const char *method;	/* "GET", "POST", "PUT" */
	const char *url;	/* sent as it is: encoded by the caller, dots
				   and slashes in the path left alone */
	const char *const *headers;	/* "Name: value", complete but for
					   Host, Content-Length */
	size_t n_headers;
	const void *body;
	size_t body_len;
	size_t answer_max;	/* a longer body is an error, -EOVERFLOW */
	struct herd_http_limits limits;
	bool fresh;		/* a connection of its own: one that was kept may
				   turn out dead, and then libcurl sends the
				   request again by itself */
};

struct herd_http_answer {
	int err;		/* 0: an answer came, whatever its status;
				   -ETIMEDOUT, -ECONNREFUSED, -ECONNRESET,
				   -EHOSTUNREACH (name or route), -EPROTO (TLS,
				   cut short, not HTTP), -EOVERFLOW, -ECANCELED */
	char reason[256];	/* when err: one line for people */
	int status;
	struct herd_buf headers;	/* "Name: value\n" lines, folded ones
					   joined, control characters gone */
	struct herd_buf body;
	uint64_t sent, received;	/* bytes of HTTP, for the bill */
};

/* The value of a header, case ignored; NULL when there is none. buf receives
   it, cut to size. */
const char *herd_http_header(const struct herd_http_answer *a, const char *name,
			     char *buf, size_t size);
void herd_http_answer_deinit(struct herd_http_answer *a);
/* Gives the memory of a body that was taken away back, for another one: much
   cheaper than herd_buf_deinit, where they are large. b is empty afterwards. */
void herd_http_recycle(struct herd_http *h, struct herd_buf *b);

/* Called once for each request. answer is there until it returns; take its body
   away by moving the buffer and setting it to HERD_BUF_INIT. */
typedef void herd_http_done(void *arg, struct herd_http_answer *answer);

int herd_http_create(const struct herd_http_options *o, struct herd_http **ret,
		     struct herd_diag *diag);
/* Requests in flight are ended, their callbacks called with -ECANCELED. */
void herd_http_destroy(struct herd_http *h);

/* Copies everything but the body, which must live until done is called. -EINVAL
   for what is no http or https URL, or has control characters. */
int herd_http_add(struct herd_http *h, const struct herd_http_request *r,
		  herd_http_done *done, void *arg);
size_t herd_http_pending(const struct herd_http *h);
/*
 * Works for at most timeout_ms, or until something happens on one of `extra`
 * (poll(2)'s own structures, revents filled; may be NULL) or a request ends.
 * Below 0: without a limit. Ends early where a signal came.
 */
int herd_http_run(struct herd_http *h, struct pollfd *extra, unsigned n_extra,
		  int timeout_ms);

/* One request, waited for. Returns answer->err. */
int herd_http_do(struct herd_http *h, const struct herd_http_request *r,
		 struct herd_http_answer *ret);

#endif
