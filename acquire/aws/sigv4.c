/* SPDX-License-Identifier: Apache-2.0 */
#include "acquire/aws/sigv4.h"
#include "acquire/base/sha256.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdio.h>
#include <string.h>

#define ALGORITHM "AWS4-HMAC-SHA256"
/* A week: the service takes no more. */
#define EXPIRES_MAX 604800
/* Far beyond what a server takes, and small enough to sort at once. */
#define PAIRS_MAX 4096

static void wipe_text(char *text)
{
	if (text)
		OPENSSL_cleanse(text, strlen(text));
	free(text);
}

void herd_aws_keys_deinit(struct herd_aws_keys *k)
{
	int saved = errno;

	wipe_text(k->access_key_id);
	wipe_text(k->secret);
	wipe_text(k->session_token);
	*k = (struct herd_aws_keys){ NULL, NULL, NULL, 0 };
	errno = saved;
}

/* ---- encoding ---- */

static bool is_unreserved(unsigned char c)
{
	return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
	       (c >= '0' && c <= '9') || c == '-' || c == '.' || c == '_' ||
	       c == '~';
}

static void encode(struct herd_buf *b, const char *text, size_t len,
		   bool slashes)
{
	static const char digits[] = "0123456789ABCDEF";

	for (size_t i = 0; i < len; i++) {
		unsigned char c = (unsigned char)text[i];

		if (is_unreserved(c) || (slashes && c == '/')) {
			herd_buf_u8(b, c);
		} else {
			herd_buf_u8(b, '%');
			herd_buf_u8(b, (uint8_t)digits[c >> 4]);
			herd_buf_u8(b, (uint8_t)digits[c & 15]);
		}
	}
}

void herd_uri_encode(struct herd_buf *b, const char *text, bool slashes)
{
	encode(b, text, strlen(text), slashes);
}

static void put_text(struct herd_buf *b, const char *text)
{
	herd_buf_put(b, text, strlen(text));
}

/* ---- pairs in the order of signing ---- */

/* Names and values as they are signed, one after the other in `text`, each
   with a NUL; sorted by bytes. */
struct sorted {
	struct herd_buf text;
	struct sorted_pair {
		size_t name_at, value_at, order;
		const char *name, *value;
	} * pairs;
	size_t n, room;
};

static void sorted_deinit(struct sorted *s)
{
	if (s->text.data) /* a session token may be in it */
		OPENSSL_cleanse(s->text.data, s->text.cap);
	herd_buf_deinit(&s->text);
	free(s->pairs);
}

static int sorted_init(struct sorted *s, size_t room)
{
	if (room > PAIRS_MAX)
		return -EINVAL;
	s->pairs = calloc(room + 1, sizeof(*s->pairs));
	s->room = room;
	return s->pairs ? 0 : -ENOMEM;
}

static void sorted_name(struct sorted *s)
{
	s->pairs[s->n].name_at = s->text.len;
}

static void sorted_value(struct sorted *s)
{
	herd_buf_u8(&s->text, '\0');
	s->pairs[s->n].value_at = s->text.len;
}

static void sorted_end(struct sorted *s)
{
	herd_buf_u8(&s->text, '\0');
	s->pairs[s->n].order = s->n;
	s->n++;
}

static int by_name_value(const void *a, const void *b)
{
	const struct sorted_pair *x = a, *y = b;
	int r = strcmp(x->name, y->name);

	return r ? r : strcmp(x->value, y->value);
}

static int by_name_order(const void *a, const void *b)
{
	const struct sorted_pair *x = a, *y = b;
	int r = strcmp(x->name, y->name);

	if (r)
		return r;
	return x->order < y->order ? -1 : x->order > y->order;
}

static int sorted_sort(struct sorted *s,
		       int (*by)(const void *a, const void *b))
{
	if (s->text.failed)
		return -ENOMEM;
	for (size_t i = 0; i < s->n; i++) {
		s->pairs[i].name = (char *)s->text.data + s->pairs[i].name_at;
		s->pairs[i].value = (char *)s->text.data + s->pairs[i].value_at;
	}
	qsort(s->pairs, s->n, sizeof(*s->pairs), by);
	return 0;
}

static void sorted_query_add(struct sorted *s, const char *name,
			     const char *value)
{
	sorted_name(s);
	herd_uri_encode(&s->text, name, false);
	sorted_value(s);
	herd_uri_encode(&s->text, value ? value : "", false);
	sorted_end(s);
}

static void sorted_query_put(const struct sorted *s, struct herd_buf *b)
{
	for (size_t i = 0; i < s->n; i++) {
		if (i)
			herd_buf_u8(b, '&');
		put_text(b, s->pairs[i].name);
		herd_buf_u8(b, '=');
		put_text(b, s->pairs[i].value);
	}
}

void herd_uri_query(struct herd_buf *b, const struct herd_pair *query, size_t n)
{
	CLEANUP(sorted_deinit) struct sorted s = { .text = HERD_BUF_INIT };

	if (sorted_init(&s, n)) {
		b->failed = true;
		return;
	}
	for (size_t i = 0; i < n; i++)
		sorted_query_add(&s, query[i].name, query[i].value);
	if (sorted_sort(&s, by_name_value))
		b->failed = true;
	else
		sorted_query_put(&s, b);
}

/* ---- what cannot be signed ---- */

static bool has_control(const char *text)
{
	for (const unsigned char *p = (const unsigned char *)text; *p; p++)
		if ((*p < 0x20 && *p != '\t') || *p == 0x7f)
			return true;
	return false;
}

/* A header's name; also good enough for region, service and method. */
static bool is_token(const char *text)
{
	if (!text || !*text)
		return false;
	for (const unsigned char *p = (const unsigned char *)text; *p; p++)
		if (*p <= 0x20 || *p >= 0x7f || strchr("/:,;=\"()<>@[]{}", *p))
			return false;
	return true;
}

static bool is_payload(const char *text)
{
	return text &&
	       (!strcmp(text, "UNSIGNED-PAYLOAD") ||
		(strlen(text) == 64 && strspn(text, "0123456789abcdef") == 64));
}

static int check_input(const struct herd_sigv4 *s,
		       const struct herd_aws_keys *k)
{
	bool host = false;

	if (!is_token(s->region) || !is_token(s->service) ||
	    !is_token(s->method) || !s->path || has_control(s->path) ||
	    !is_payload(s->payload_sha256) || !is_token(k->access_key_id) ||
	    !k->secret || !*k->secret ||
	    (k->session_token && has_control(k->session_token)))
		return -EINVAL;
	for (size_t i = 0; i < s->n_headers; i++) {
		const struct herd_pair *h = &s->headers[i];

		if (!is_token(h->name) || !h->value || has_control(h->value) ||
		    !strcasecmp(h->name, "x-amz-date") ||
		    !strcasecmp(h->name, "x-amz-security-token") ||
		    !strcasecmp(h->name, "authorization"))
			return -EINVAL;
		if (!strcasecmp(h->name, "host") && *h->value)
			host = true;
	}
	for (size_t i = 0; i < s->n_query; i++)
		if (!s->query[i].name)
			return -EINVAL;
	return host ? 0 : -EINVAL;
}

/* ---- the canonical request ---- */

/* Removes "." and ".." segments and doubled slashes (RFC 3986, 5.2.4, and what
   AWS adds to it). */
static void normalise_path(const char *path, struct herd_buf *out)
{
	size_t start = out->len;
	bool slash = false;

	for (const char *p = path; *p;) {
		size_t n = strcspn(p, "/");

		slash = false;
		if (n == 2 && p[0] == '.' && p[1] == '.') {
			while (out->len > start && out->data[--out->len] != '/')
				;
		} else if (n && !(n == 1 && p[0] == '.')) {
			herd_buf_u8(out, '/');
			herd_buf_put(out, p, n);
		}
		p += n;
		if (*p == '/') {
			slash = true;
			p++;
		}
	}
	if (slash || out->len == start)
		herd_buf_u8(out, '/');
}

static void canonical_path(const struct herd_sigv4 *s, struct herd_buf *out)
{
	struct herd_buf plain CLEANUP_BUF = HERD_BUF_INIT;

	if (!*s->path) {
		herd_buf_u8(out, '/');
		return;
	}
	if (s->path_as_is && !s->path_raw) {
		put_text(out, s->path);
		return;
	}
	if (s->path_as_is)
		put_text(&plain, s->path);
	else
		normalise_path(s->path, &plain);
	/* once for a raw path; a second time for one that is encoded */
	encode(out, (const char *)plain.data, plain.len, true);
	out->failed |= plain.failed;
}

/* Lower-case name, value without white space around it and with single spaces
   within. */
static void sorted_header_add(struct sorted *s, const char *name,
			      const char *value)
{
	bool space = false, begun = false;

	sorted_name(s);
	for (const char *p = name; *p; p++)
		herd_buf_u8(&s->text,
			    (uint8_t)(*p >= 'A' && *p <= 'Z' ? *p + 32 : *p));
	sorted_value(s);
	for (const char *p = value; *p; p++) {
		if (*p == ' ' || *p == '\t') {
			space = true;
			continue;
		}
		if (space && begun)
			herd_buf_u8(&s->text, ' ');
		herd_buf_u8(&s->text, (uint8_t)*p);
		space = false;
		begun = true;
	}
	sorted_end(s);
}

/* Those of one name share a line, their values in the order given. */
static void canonical_headers(const struct sorted *h, struct herd_buf *lines,
			      struct herd_buf *names)
{
	for (size_t i = 0; i < h->n; i++) {
		if (i && !strcmp(h->pairs[i].name, h->pairs[i - 1].name)) {
			lines->len--; /* the newline */
			herd_buf_u8(lines, ',');
		} else {
			if (i)
				herd_buf_u8(names, ';');
			put_text(names, h->pairs[i].name);
			put_text(lines, h->pairs[i].name);
			herd_buf_u8(lines, ':');
		}
		put_text(lines, h->pairs[i].value);
		herd_buf_u8(lines, '\n');
	}
}

static void hash_hex(const struct herd_buf *b, char out[65])
{
	uint8_t digest[HERD_SHA256_LEN];

	herd_sha256(b->data, b->len, digest);
	herd_hex(digest, sizeof(digest), out);
}

/* ---- the signature ---- */

static int hmac(const void *key, size_t key_len, const void *text, size_t len,
		uint8_t out[HERD_SHA256_LEN])
{
	return HMAC(EVP_sha256(), key, (int)key_len, text, len, out, NULL) ?
		       0 :
		       -ENOMEM;
}

static int signing_key(const struct herd_sigv4 *s, const char *secret,
		       const char *day, uint8_t key[HERD_SHA256_LEN])
{
	const char *steps[] = { day, s->region, s->service, "aws4_request" };
	size_t len = strlen(secret) + 4;
	char *first = malloc(len + 1);
	int r = 0;

	if (!first)
		return -ENOMEM;
	memcpy(first, "AWS4", 4);
	memcpy(first + 4, secret, len - 3);
	for (size_t i = 0; i < ARRAY_SIZE(steps) && !r; i++) {
		uint8_t next[HERD_SHA256_LEN];

		r = hmac(i ? (void *)key : first, i ? HERD_SHA256_LEN : len,
			 steps[i], strlen(steps[i]), next);
		memcpy(key, next, sizeof(next));
		OPENSSL_cleanse(next, sizeof(next));
	}
	OPENSSL_cleanse(first, len);
	free(first);
	return r;
}

struct moment {
	char date[17]; /* 20150830T123600Z */
	char day[9];
};

static int moment_of(int64_t now, struct moment *m)
{
	time_t t = (time_t)now;
	struct tm tm;

	if (now < 0 || !gmtime_r(&t, &tm) || tm.tm_year > 9999 - 1900)
		return -EINVAL;
	strftime(m->date, sizeof(m->date), "%Y%m%dT%H%M%SZ", &tm);
	snprintf(m->day, sizeof(m->day), "%.8s", m->date);
	return 0;
}

static void scope(const struct herd_sigv4 *s, const struct moment *m,
		  struct herd_buf *out)
{
	herd_buf_printf(out, "%s/%s/%s/aws4_request", m->day, s->region,
			s->service);
}

/* From the canonical request to the signature's hex digits. */
static int signature_of(const struct herd_sigv4 *s,
			const struct herd_aws_keys *k, const struct moment *m,
			const struct herd_buf *canonical,
			const struct herd_sigv4_steps *steps, char ret[65])
{
	struct herd_buf to_sign CLEANUP_BUF = HERD_BUF_INIT;
	uint8_t key[HERD_SHA256_LEN], mac[HERD_SHA256_LEN];
	char digest[65];

	if (canonical->failed)
		return -ENOMEM;
	hash_hex(canonical, digest);
	herd_buf_printf(&to_sign, ALGORITHM "\n%s\n", m->date);
	scope(s, m, &to_sign);
	herd_buf_printf(&to_sign, "\n%s", digest);
	if (to_sign.failed)
		return -ENOMEM;
	if (steps && steps->canonical)
		herd_buf_put(steps->canonical, canonical->data, canonical->len);
	if (steps && steps->to_sign)
		herd_buf_put(steps->to_sign, to_sign.data, to_sign.len);
	int r = signing_key(s, k->secret, m->day, key);

	if (!r)
		r = hmac(key, sizeof(key), to_sign.data, to_sign.len, mac);
	OPENSSL_cleanse(key, sizeof(key));
	if (!r)
		herd_hex(mac, sizeof(mac), ret);
	return r;
}

/* The parts that both forms of signing write alike. */
struct parts {
	struct sorted query, headers;
	struct herd_buf lines, names, canonical;
	struct moment moment;
};

static void parts_deinit(struct parts *p)
{
	sorted_deinit(&p->query);
	sorted_deinit(&p->headers);
	if (p->lines.data)
		OPENSSL_cleanse(p->lines.data, p->lines.cap);
	if (p->canonical.data)
		OPENSSL_cleanse(p->canonical.data, p->canonical.cap);
	herd_buf_deinit(&p->lines);
	herd_buf_deinit(&p->names);
	herd_buf_deinit(&p->canonical);
}

/* Query and headers of the caller; date and token are added by the form. */
static int parts_begin(struct parts *p, const struct herd_sigv4 *s,
		       const struct herd_aws_keys *k)
{
	int r = check_input(s, k);

	if (!r)
		r = moment_of(s->now, &p->moment);
	if (!r && (s->n_query > PAIRS_MAX - 8 || s->n_headers > PAIRS_MAX - 8))
		r = -EINVAL;
	if (!r)
		r = sorted_init(&p->query, s->n_query + 8);
	if (!r)
		r = sorted_init(&p->headers, s->n_headers + 8);
	if (r)
		return r;
	for (size_t i = 0; i < s->n_query; i++)
		sorted_query_add(&p->query, s->query[i].name,
				 s->query[i].value);
	for (size_t i = 0; i < s->n_headers; i++)
		sorted_header_add(&p->headers, s->headers[i].name,
				  s->headers[i].value);
	return 0;
}

static int parts_headers(struct parts *p)
{
	int r = sorted_sort(&p->headers, by_name_order);

	if (!r)
		canonical_headers(&p->headers, &p->lines, &p->names);
	return r ? r : -(p->lines.failed || p->names.failed) * ENOMEM;
}

static int parts_sign(struct parts *p, const struct herd_sigv4 *s,
		      const struct herd_aws_keys *k,
		      const struct herd_sigv4_steps *steps, char ret[65])
{
	int r = sorted_sort(&p->query, by_name_value);

	if (r)
		return r;
	herd_buf_printf(&p->canonical, "%s\n", s->method);
	canonical_path(s, &p->canonical);
	herd_buf_u8(&p->canonical, '\n');
	sorted_query_put(&p->query, &p->canonical);
	herd_buf_u8(&p->canonical, '\n');
	herd_buf_put(&p->canonical, p->lines.data, p->lines.len);
	herd_buf_u8(&p->canonical, '\n');
	herd_buf_put(&p->canonical, p->names.data, p->names.len);
	herd_buf_printf(&p->canonical, "\n%s", s->payload_sha256);
	return signature_of(s, k, &p->moment, &p->canonical, steps, ret);
}

static bool signs_token(const struct herd_sigv4 *s,
			const struct herd_aws_keys *k)
{
	return k->session_token && *k->session_token && !s->sign_token_later;
}

int herd_sigv4_sign(const struct herd_sigv4 *s, const struct herd_aws_keys *k,
		    char ret_amz_date[17], struct herd_buf *ret_authorization,
		    const struct herd_sigv4_steps *steps)
{
	CLEANUP(parts_deinit) struct parts p = { .names = HERD_BUF_INIT };
	char signature[65];
	int r = parts_begin(&p, s, k);

	if (r)
		return r;
	sorted_header_add(&p.headers, "x-amz-date", p.moment.date);
	if (signs_token(s, k))
		sorted_header_add(&p.headers, "x-amz-security-token",
				  k->session_token);
	r = parts_headers(&p);
	if (!r)
		r = parts_sign(&p, s, k, steps, signature);
	if (r)
		return r;
	herd_buf_printf(ret_authorization, ALGORITHM " Credential=%s/",
			k->access_key_id);
	scope(s, &p.moment, ret_authorization);
	herd_buf_printf(ret_authorization, ", SignedHeaders=%.*s, Signature=%s",
			(int)p.names.len, (const char *)p.names.data,
			signature);
	memcpy(ret_amz_date, p.moment.date, sizeof(p.moment.date));
	return herd_buf_error(ret_authorization);
}

int herd_sigv4_presign(const struct herd_sigv4 *s,
		       const struct herd_aws_keys *k, unsigned expires_seconds,
		       struct herd_buf *ret_query,
		       const struct herd_sigv4_steps *steps)
{
	CLEANUP(parts_deinit) struct parts p = { .names = HERD_BUF_INIT };
	struct herd_buf credential CLEANUP_BUF = HERD_BUF_INIT;
	char expires[16], signature[65];
	int r = parts_begin(&p, s, k);

	if (!r && (!expires_seconds || expires_seconds > EXPIRES_MAX))
		r = -EINVAL;
	if (!r)
		r = parts_headers(&p);
	if (r)
		return r;
	herd_buf_printf(&credential, "%s/", k->access_key_id);
	scope(s, &p.moment, &credential);
	snprintf(expires, sizeof(expires), "%u", expires_seconds);
	herd_buf_u8(&p.names, '\0');
	if (credential.failed || p.names.failed)
		return -ENOMEM;
	p.names.len--;
	sorted_query_add(&p.query, "X-Amz-Algorithm", ALGORITHM);
	sorted_query_add(&p.query, "X-Amz-Credential",
			 (const char *)credential.data);
	sorted_query_add(&p.query, "X-Amz-Date", p.moment.date);
	sorted_query_add(&p.query, "X-Amz-Expires", expires);
	sorted_query_add(&p.query, "X-Amz-SignedHeaders",
			 (const char *)p.names.data);
	if (signs_token(s, k))
		sorted_query_add(&p.query, "X-Amz-Security-Token",
				 k->session_token);
	r = parts_sign(&p, s, k, steps, signature);
	if (r)
		return r;
	sorted_query_put(&p.query, ret_query);
	if (s->sign_token_later && k->session_token && *k->session_token) {
		put_text(ret_query, "&X-Amz-Security-Token=");
		herd_uri_encode(ret_query, k->session_token, false);
	}
	herd_buf_printf(ret_query, "&X-Amz-Signature=%s", signature);
	return herd_buf_error(ret_query);
}
