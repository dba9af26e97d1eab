/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Between the parts of the HTTP layer: one request, from being asked for to
 * its answer. Nothing else includes this.
 *
 * Threads: as http.h.
 */
#ifndef HERD_HTTP_IMPL_H
#define HERD_HTTP_IMPL_H

#include "acquire/aws/http.h"

#include <curl/curl.h>

struct herd_http_transfer {
	struct herd_http *http;
	struct herd_http_transfer *next; /* in the queue or among those in flight */
	CURL *easy;	       /* NULL while it waits in the queue */
	struct curl_slist *headers;
	char *method, *url;
	const void *body;
	size_t body_len, answer_max;
	struct herd_http_limits limits;
	bool fresh, headers_end;
	int64_t begun, connected, heard; /* ms; 0: not yet */
	int err;			 /* ours, beside what libcurl says */
	char error[CURL_ERROR_SIZE];
	struct herd_http_answer answer;
	herd_http_done *done;
	void *arg;
};

int64_t herd_http_now(void);	/* ms, monotonic */
/* Room for a body of `size` bytes, empty: one that was given back, or new. */
struct herd_buf herd_http_room(struct herd_http *h, size_t size);

/* http_request.c */
int herd_http_transfer_create(const struct herd_http_request *r,
			      struct herd_http_transfer **ret);
void herd_http_transfer_free(struct herd_http_transfer *t);
/* Gives its easy handle all that libcurl has to know of it. */
CURLcode herd_http_transfer_set(struct herd_http_transfer *t,
				const char *ca_bundle, bool no_proxy);

/* http_answer.c: libcurl's callbacks, and what came of it all. */
size_t herd_http_on_header(char *p, size_t size, size_t n, void *arg);
size_t herd_http_on_body(char *p, size_t size, size_t n, void *arg);
void herd_http_fill_answer(struct herd_http_transfer *t, CURLcode code);

#endif
