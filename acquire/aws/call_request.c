/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A call that is kept until it is done, and the signed request that is made of
 * it for each attempt.
 */
#include "acquire/aws/call_impl.h"
#include "acquire/base/sha256.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

/* An answer that says what is wrong may be longer than the one asked for. */
#define ERROR_MAX (64 << 10)

/* ---- keeping ---- */

static void free_pairs(const struct herd_pair *pairs, size_t n)
{
	for (size_t i = 0; pairs && i < n; i++) {
		free((char *)pairs[i].name);
		free((char *)pairs[i].value);
	}
	free((void *)pairs);
}

static void wipe(const void *p, size_t n)
{
	if (p)
		explicit_bzero((void *)p, n);
	free((void *)p);
}

void herd_aws_pending_free(struct herd_aws_pending *p)
{
	if (!p)
		return;
	free((char *)p->call.service);
	free((char *)p->call.method);
	free((char *)p->call.path);
	free((char *)p->call.content_type);
	free_pairs(p->call.query, p->call.n_query);
	free_pairs(p->call.headers, p->call.n_headers);
	wipe(p->call.body, p->call.body_len);
	herd_http_answer_deinit(&p->answer);
	free(p);
}

/* NULL stays NULL; *failed where memory ran out. */
static const char *copy_text(const char *text, bool *failed)
{
	char *copy = text ? strdup(text) : NULL;

	*failed |= text && !copy;
	return copy;
}

static const struct herd_pair *copy_pairs(const struct herd_pair *pairs,
					  size_t n, bool *failed)
{
	struct herd_pair *copy = n ? calloc(n, sizeof(*copy)) : NULL;

	*failed |= n && !copy;
	for (size_t i = 0; copy && i < n; i++) {
		copy[i].name = copy_text(pairs[i].name, failed);
		copy[i].value = copy_text(pairs[i].value, failed);
	}
	return copy;
}

int herd_aws_pending_create(const struct herd_aws_call *call,
			    struct herd_aws_pending **ret)
{
	struct herd_aws_pending *p = calloc(1, sizeof(*p));
	bool failed = false;
	void *body = NULL;

	if (!p)
		return -ENOMEM;
	p->call = *call;
	p->call.service = copy_text(call->service, &failed);
	p->call.method = copy_text(call->method, &failed);
	p->call.path = copy_text(call->path, &failed);
	p->call.content_type = copy_text(call->content_type, &failed);
	p->call.query = copy_pairs(call->query, call->n_query, &failed);
	p->call.headers = copy_pairs(call->headers, call->n_headers, &failed);
	if (call->body_len) {
		body = malloc(call->body_len);
		if (body)
			memcpy(body, call->body, call->body_len);
		failed |= !body;
	}
	p->call.body = body;
	if (!body)
		p->call.body_len = 0;
	if (failed) {
		herd_aws_pending_free(p);
		return -ENOMEM;
	}
	*ret = p;
	return 0;
}

/* ---- signing ---- */

/* Where a service is, taken apart: the header Host as libcurl will write it,
   and the path before every call's own. */
struct place {
	char host[300];
	const char *path;
};

static int take_place(const char *endpoint, struct place *p)
{
	bool tls = !strncasecmp(endpoint, "https://", 8);
	const char *host = strstr(endpoint, "://");

	if (!host || (!tls && strncasecmp(endpoint, "http://", 7)))
		return -EINVAL;
	host += 3;
	size_t n = strcspn(host, "/?#");

	if (!n || n >= sizeof(p->host) || memchr(host, '@', n))
		return -EINVAL;
	p->path = host + n;
	if (*p->path == '?' || *p->path == '#')
		return -EINVAL;
	memcpy(p->host, host, n);
	p->host[n] = '\0';
	/* the port that the scheme implies is not sent */
	const char *standard = tls ? ":443" : ":80";
	size_t k = strlen(standard);

	if (n > k && !strcmp(p->host + n - k, standard))
		p->host[n - k] = '\0';
	return 0;
}

/* The lines of the request's head, each with a NUL, in one buffer. */
struct lines {
	struct herd_buf text;
	const char **at;
	size_t n;
};

static void lines_deinit(struct lines *l)
{
	if (l->text.data)
		explicit_bzero(l->text.data, l->text.cap);
	herd_buf_deinit(&l->text);
	free(l->at);
}

static void add_line(struct lines *l, const char *name, const char *value)
{
	herd_buf_printf(&l->text, "%s: %s", name, value);
	herd_buf_u8(&l->text, '\0');
	l->n++;
}

static int lines_end(struct lines *l)
{
	const char *p = (const char *)l->text.data;

	l->at = calloc(l->n + 1, sizeof(*l->at));
	if (!l->at || l->text.failed)
		return -ENOMEM;
	for (size_t i = 0; i < l->n; i++) {
		l->at[i] = p;
		p += strlen(p) + 1;
	}
	return 0;
}

static void digest_of(const struct herd_aws_call *c, char out[65])
{
	uint8_t digest[HERD_SHA256_LEN];

	herd_sha256(c->body ? c->body : "", c->body_len, digest);
	herd_hex(digest, sizeof(digest), out);
}

/* Headers of the call and those that signing adds. */
static int sign(const struct herd_aws_call *c, const struct place *where,
		const char *path, const char *region,
		const struct herd_aws_keys *keys, int64_t now,
		struct lines *lines)
{
	struct herd_buf authorization CLEANUP_BUF = HERD_BUF_INIT;
	CLEANUP_FREE struct herd_pair *headers =
		calloc(c->n_headers + 3, sizeof(*headers));
	bool s3 = !strcmp(c->service, "s3");
	char date[17], digest[65];
	size_t n = 0;

	if (!headers)
		return -ENOMEM;
	digest_of(c, digest);
	if (c->content_type)
		headers[n++] =
			(struct herd_pair){ "Content-Type", c->content_type };
	if (s3)
		headers[n++] =
			(struct herd_pair){ "x-amz-content-sha256", digest };
	for (size_t i = 0; i < c->n_headers; i++)
		headers[n++] = c->headers[i];
	for (size_t i = 0; i < n; i++)
		add_line(lines, headers[i].name,
			 headers[i].value ? headers[i].value : "");
	headers[n++] = (struct herd_pair){ "Host", where->host };
	const struct herd_sigv4 s = {
		.region = region,
		.service = c->service,
		.method = c->method,
		.path = path,
		.path_as_is = s3,
		.query = c->query,
		.n_query = c->n_query,
		.headers = headers,
		.n_headers = n,
		.payload_sha256 = digest,
		.now = now,
	};
	int r = herd_sigv4_sign(&s, keys, date, &authorization, NULL);

	if (r)
		return r;
	add_line(lines, "X-Amz-Date", date);
	add_line(lines, "Authorization", (const char *)authorization.data);
	if (keys->session_token && *keys->session_token)
		add_line(lines, "X-Amz-Security-Token", keys->session_token);
	return lines_end(lines);
}

int herd_aws_pending_send(struct herd_aws_pending *p, const char *endpoint,
			  const char *region, const struct herd_aws_keys *keys,
			  int64_t now, struct herd_http *http,
			  herd_http_done *done)
{
	const struct herd_aws_call *c = &p->call;
	CLEANUP(lines_deinit) struct lines lines = { .text = HERD_BUF_INIT };
	struct herd_buf url CLEANUP_BUF = HERD_BUF_INIT;
	struct herd_buf path CLEANUP_BUF = HERD_BUF_INIT;
	struct place where;
	int r = take_place(endpoint, &where);

	if (r)
		return r;
	herd_buf_printf(&path, "%s%s", where.path, c->path);
	herd_buf_printf(&url, "%.*s%s", (int)(where.path - endpoint), endpoint,
			(const char *)path.data);
	if (c->n_query) {
		herd_buf_u8(&url, '?');
		herd_uri_query(&url, c->query, c->n_query);
		herd_buf_u8(&url, '\0');
	}
	if (path.failed || url.failed)
		return -ENOMEM;
	r = sign(c, &where, (const char *)path.data, region, keys, now, &lines);
	if (r)
		return r;
	const struct herd_http_request request = {
		.method = c->method,
		.url = (const char *)url.data,
		.headers = lines.at,
		.n_headers = lines.n,
		.body = c->body,
		.body_len = c->body_len,
		.answer_max = c->answer_max > ERROR_MAX ? c->answer_max :
							  ERROR_MAX,
		.limits = c->limits,
		/* never sent twice by libcurl, nor over what may be dead */
		.fresh = c->once || p->last_err == -ETIMEDOUT,
	};

	return herd_http_add(http, &request, done, p);
}

int herd_aws_call_presign(const struct herd_aws_call *call,
			  const char *endpoint, const char *region,
			  const struct herd_aws_keys *keys, int64_t now,
			  unsigned seconds, struct herd_buf *ret)
{
	struct herd_buf path CLEANUP_BUF = HERD_BUF_INIT;
	struct place where;
	int r = take_place(endpoint, &where);

	if (r)
		return r;
	herd_buf_printf(&path, "%s%s", where.path, call->path);
	if (path.failed)
		return -ENOMEM;
	const struct herd_pair host = { "Host", where.host };
	const struct herd_sigv4 s = {
		.region = region,
		.service = call->service,
		.method = call->method,
		.path = (const char *)path.data,
		.path_as_is = !strcmp(call->service, "s3"),
		.query = call->query,
		.n_query = call->n_query,
		.headers = &host,
		.n_headers = 1,
		.payload_sha256 = "UNSIGNED-PAYLOAD",
		.now = now,
	};

	herd_buf_printf(ret, "%.*s%s?", (int)(where.path - endpoint), endpoint,
			(const char *)path.data);
	r = herd_sigv4_presign(&s, keys, seconds, ret, NULL);
	herd_buf_u8(ret, '\0');
	return r ? r : herd_buf_error(ret);
}
