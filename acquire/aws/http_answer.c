/* SPDX-License-Identifier: Apache-2.0 */
#include "acquire/aws/http_impl.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#define HEADERS_MAX (64 << 10)
/* A body's memory is reserved ahead up to here, whatever the server promises. */
#define RESERVE_MAX (4 << 20)

/* ---- answers ---- */

void herd_http_answer_deinit(struct herd_http_answer *a)
{
	herd_buf_deinit(&a->headers);
	herd_buf_deinit(&a->body);
}

const char *herd_http_header(const struct herd_http_answer *a, const char *name,
			     char *buf, size_t size)
{
	size_t n = strlen(name);
	const char *p = (const char *)a->headers.data;
	const char *end = a->headers.len ? p + a->headers.len : p;

	while (p < end) {
		const char *line_end = memchr(p, '\n', (size_t)(end - p));
		size_t len = (size_t)((line_end ? line_end : end) - p);

		if (len > n && p[n] == ':' && !strncasecmp(p, name, n)) {
			const char *value = p + n + 1;

			len -= n + 1;
			if (len && *value == ' ') {
				value++;
				len--;
			}
			snprintf(buf, size, "%.*s", (int)len, value);
			return buf;
		}
		p = line_end ? line_end + 1 : end;
	}
	return NULL;
}

static bool is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static void put_clean(struct herd_buf *b, const char *p, size_t n)
{
	while (n && is_blank(p[n - 1]))
		n--;
	for (; n && is_blank(*p); p++)
		n--;
	for (size_t i = 0; i < n; i++) {
		unsigned char c = (unsigned char)p[i];

		if (c >= 0x20 && c != 0x7f)
			herd_buf_u8(b, c);
		else if (c == '\t')
			herd_buf_u8(b, ' ');
	}
}

/* Ends the request: libcurl takes a callback's 0 for that. */
static size_t refuse(struct herd_http_transfer *t, int err)
{
	t->err = err;
	if (err == -EOVERFLOW && !t->headers_end)
		snprintf(t->answer.reason, sizeof(t->answer.reason),
			 "the answer's head is longer than %d bytes",
			 HEADERS_MAX);
	else if (err == -EOVERFLOW)
		snprintf(t->answer.reason, sizeof(t->answer.reason),
			 "the answer is longer than %zu bytes", t->answer_max);
	return 0;
}

/* A line of the answer's head; also those of an interim answer, which the
   next status line takes back, and of a trailer, which is left out. */
size_t herd_http_on_header(char *p, size_t size, size_t n, void *arg)
{
	struct herd_http_transfer *t = arg;
	struct herd_buf *b = &t->answer.headers;
	const char *colon = memchr(p, ':', n);

	(void)size;
	t->heard = herd_http_now();
	if (n >= 5 && !memcmp(p, "HTTP/", 5)) {
		b->len = 0;
		t->headers_end = false;
		return n;
	}
	if (t->headers_end)
		return n;
	if (n && (*p == '\r' || *p == '\n')) {
		t->headers_end = true;
		return n;
	}
	if (b->len + n > HEADERS_MAX)
		return refuse(t, -EOVERFLOW);
	if (b->len && (*p == ' ' || *p == '\t')) {
		b->data[b->len - 1] = ' ';
		put_clean(b, p, n);
		herd_buf_u8(b, '\n');
	} else if (colon && colon > p) {
		put_clean(b, p, (size_t)(colon - p));
		herd_buf_put(b, ": ", 2);
		put_clean(b, colon + 1, n - (size_t)(colon - p) - 1);
		herd_buf_u8(b, '\n');
	}
	return b->failed ? refuse(t, -ENOMEM) : n;
}

/* Memory for all of the body at once, where its length is known. */
static int reserve(struct herd_http_transfer *t)
{
	curl_off_t length = -1;

	curl_easy_getinfo(t->easy, CURLINFO_CONTENT_LENGTH_DOWNLOAD_T, &length);
	if (length > 0 && (uint64_t)length > t->answer_max)
		return -EOVERFLOW;
	if (length > 0 && length <= RESERVE_MAX)
		t->answer.body = herd_http_room(t->http, (size_t)length);
	return 0;
}

size_t herd_http_on_body(char *p, size_t size, size_t n, void *arg)
{
	struct herd_http_transfer *t = arg;
	struct herd_buf *b = &t->answer.body;

	(void)size;
	t->heard = herd_http_now();
	if ((!b->data && reserve(t)) || n > t->answer_max - b->len)
		return refuse(t, -EOVERFLOW);
	herd_buf_put(b, p, n);
	return b->failed ? refuse(t, -ENOMEM) : n;
}

/* ---- how a request ends ---- */

static int connect_error(const struct herd_http_transfer *t)
{
	long os = 0;

	curl_easy_getinfo(t->easy, CURLINFO_OS_ERRNO, &os);
	switch (os) {
	case ETIMEDOUT:
		return -ETIMEDOUT;
	case EHOSTUNREACH:
	case ENETUNREACH:
	case EADDRNOTAVAIL:
	case EAFNOSUPPORT:
		return -EHOSTUNREACH;
	default:
		return -ECONNREFUSED;
	}
}

static int error_of(const struct herd_http_transfer *t, CURLcode code)
{
	if (t->err)
		return t->err;
	switch (code) {
	case CURLE_OK:
		return 0;
	case CURLE_OPERATION_TIMEDOUT:
		return -ETIMEDOUT;
	case CURLE_COULDNT_CONNECT:
		return connect_error(t);
	case CURLE_COULDNT_RESOLVE_HOST:
	case CURLE_COULDNT_RESOLVE_PROXY:
		return -EHOSTUNREACH;
	case CURLE_RECV_ERROR:
	case CURLE_SEND_ERROR:
	case CURLE_GOT_NOTHING:
		return -ECONNRESET;
	case CURLE_OUT_OF_MEMORY:
		return -ENOMEM;
	case CURLE_URL_MALFORMAT:
		return -EINVAL;
	default:
		return -EPROTO;
	}
}

void herd_http_fill_answer(struct herd_http_transfer *t, CURLcode code)
{
	struct herd_http_answer *a = &t->answer;
	long status = 0, sent = 0, header = 0;
	curl_off_t up = 0, down = 0;
	const char *why = t->error[0] ? t->error : curl_easy_strerror(code);

	curl_easy_getinfo(t->easy, CURLINFO_RESPONSE_CODE, &status);
	curl_easy_getinfo(t->easy, CURLINFO_REQUEST_SIZE, &sent);
	curl_easy_getinfo(t->easy, CURLINFO_HEADER_SIZE, &header);
	curl_easy_getinfo(t->easy, CURLINFO_SIZE_UPLOAD_T, &up);
	curl_easy_getinfo(t->easy, CURLINFO_SIZE_DOWNLOAD_T, &down);
	a->status = (int)status;
	a->sent = (uint64_t)sent + (uint64_t)up;
	a->received = (uint64_t)header + (uint64_t)down;
	a->err = error_of(t, code);
	if (a->err && !a->reason[0])
		snprintf(a->reason, sizeof(a->reason), "%s", why);
	herd_text_clean(a->reason);
	if (a->err)
		herd_http_recycle(t->http, &a->body);
}
