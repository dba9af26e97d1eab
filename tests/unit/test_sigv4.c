/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Signing, by all official vectors that are at hand ($HERD_AWS_VECTORS, or
 * ../shared/aws/sigv4-vectors), in either form in which they are published:
 * name.req, .creq, .sts, .authz; or request.txt, context.json and what header
 * and query come to. And what no vector has.
 */
#include "acquire/aws/sigv4.h"
#include "acquire/base/sha256.h"

#include <fts.h>
#include <jansson.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define VECTOR_TIME 1440938160 /* 2015-08-30T12:36:00Z */
#define VECTOR_KEY "AKIDEXAMPLE"
#define VECTOR_SECRET "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"

/* ---- a request out of a file ---- */

struct vector {
	struct herd_sigv4 s;
	struct herd_aws_keys keys; /* borrowed from here and there */
	char *text;
	struct herd_pair query[32], headers[32];
	char token[2048], sha256[65];
	unsigned expires;
};

static char *read_text(const char *dir, const char *name)
{
	char path[4096];
	struct herd_buf b = HERD_BUF_INIT;
	char block[4096];
	size_t n;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	FILE *f = fopen(path, "rb");

	if (!f)
		return NULL;
	while ((n = fread(block, 1, sizeof(block), f)) > 0)
		herd_buf_put(&b, block, n);
	fclose(f);
	herd_buf_u8(&b, '\0');
	assert_int_equal(herd_buf_error(&b), 0);
	return (char *)b.data;
}

static void decode(char *text)
{
	char *to = text;
	unsigned v;

	for (const char *p = text; *p; p++)
		if (*p == '%' && sscanf(p + 1, "%2x", &v) == 1) {
			*to++ = (char)v;
			p += 2;
		} else {
			*to++ = *p;
		}
	*to = '\0';
}

static void take_query(struct vector *v, char *query)
{
	char *save, *part = strtok_r(query, "&", &save);

	for (; part; part = strtok_r(NULL, "&", &save)) {
		char *value = strchr(part, '=');

		if (value)
			*value++ = '\0';
		assert_true(v->s.n_query < ARRAY_SIZE(v->query));
		decode(part);
		if (value)
			decode(value);
		v->query[v->s.n_query++] =
			(struct herd_pair){ part, value ? value : "" };
	}
}

static void take_header(struct vector *v, char *line)
{
	char *value = strchr(line, ':');

	assert_non_null(value);
	*value++ = '\0';
	if (!strcasecmp(line, "x-amz-date"))
		return;
	if (!strcasecmp(line, "x-amz-security-token")) {
		snprintf(v->token, sizeof(v->token), "%s", value);
		v->keys.session_token = v->token;
		return;
	}
	assert_true(v->s.n_headers < ARRAY_SIZE(v->headers));
	v->headers[v->s.n_headers++] = (struct herd_pair){ line, value };
}

/* Takes text apart, in place. */
static void vector_parse(struct vector *v, char *text)
{
	char *body = strstr(text, "\n\n"), *save;
	uint8_t digest[HERD_SHA256_LEN];

	v->text = text;
	if (body) {
		*body = '\0';
		body += 2;
	}
	herd_sha256(body ? body : "", body ? strlen(body) : 0, digest);
	v->s.payload_sha256 = herd_hex(digest, sizeof(digest), v->sha256);
	for (char *p = text; (p = strchr(p, '\n')); p++)
		if (p[1] == ' ' || p[1] == '\t')
			*p = ' '; /* a folded line */
	char *line = strtok_r(text, "\n", &save);
	char *end = strrchr(line, ' '), *path = strchr(line, ' ');

	assert_true(end && path && end > path);
	*end = '\0';
	*path++ = '\0';
	v->s.method = line;
	v->s.path = path;
	v->s.path_raw = true;
	char *query = strchr(path, '?');

	if (query) {
		*query++ = '\0';
		take_query(v, query);
	}
	while ((line = strtok_r(NULL, "\n", &save)))
		take_header(v, line);
	v->s.query = v->query;
	v->s.headers = v->headers;
}

static void expect_text(const char *dir, const char *what, const char *got,
			size_t len, const char *want)
{
	size_t n = strlen(want);

	while (n && want[n - 1] == '\n' && (!len || got[len - 1] != '\n'))
		n--;
	if (len == n && !memcmp(got, want, n))
		return;
	print_message("%s: %s\n--- is\n%.*s\n--- should be\n%s\n", dir, what,
		      (int)len, got, want);
	fail();
}

static void expect_file(const char *dir, const char *name,
			const struct herd_buf *got)
{
	CLEANUP_FREE char *want = read_text(dir, name);

	assert_non_null(want);
	expect_text(dir, name, (char *)got->data, got->len, want);
}

static void expect_end(const char *dir, const struct herd_buf *got,
		       const char *want)
{
	size_t n = strlen(want);

	while (n && want[n - 1] == '\n')
		n--;
	assert_true(n == 64 && got->len > n);
	expect_text(dir, "signature", (char *)got->data + got->len - n, n,
		    want);
}

/* ---- name.req and so on ---- */

/* Some have their token in the signed request only. */
static void take_token(const char *dir, const char *file, struct vector *v)
{
	static const char header[] = "\nX-Amz-Security-Token:";
	CLEANUP_FREE char *signed_request = read_text(dir, file);

	assert_non_null(signed_request);
	const char *token = strcasestr(signed_request, header);

	if (!token)
		return;
	token += strlen(header);
	snprintf(v->token, sizeof(v->token), "%.*s", (int)strcspn(token, "\n"),
		 token);
	v->keys.session_token = v->token;
	v->s.sign_token_later =
		!strstr(signed_request, ";x-amz-security-token");
}

static void run_plain(const char *dir, const char *name)
{
	struct vector v = { .keys = { (char *)VECTOR_KEY, (char *)VECTOR_SECRET,
				      NULL, 0 } };
	struct herd_buf canonical CLEANUP_BUF = HERD_BUF_INIT;
	struct herd_buf to_sign CLEANUP_BUF = HERD_BUF_INIT;
	struct herd_buf got CLEANUP_BUF = HERD_BUF_INIT;
	const struct herd_sigv4_steps steps = { &canonical, &to_sign };
	char file[512], date[17];

	snprintf(file, sizeof(file), "%s.req", name);
	CLEANUP_FREE char *text = read_text(dir, file);

	assert_non_null(text);
	vector_parse(&v, text);
	v.s.region = "us-east-1";
	v.s.service = "service";
	v.s.now = VECTOR_TIME;
	snprintf(file, sizeof(file), "%s.sreq", name);
	take_token(dir, file, &v);
	assert_int_equal(herd_sigv4_sign(&v.s, &v.keys, date, &got, &steps), 0);
	assert_string_equal(date, "20150830T123600Z");
	snprintf(file, sizeof(file), "%s.creq", name);
	expect_file(dir, file, &canonical);
	snprintf(file, sizeof(file), "%s.sts", name);
	expect_file(dir, file, &to_sign);
	snprintf(file, sizeof(file), "%s.authz", name);
	expect_file(dir, file, &got);
}

/* ---- request.txt and so on ---- */

static void take_context(struct vector *v, json_t *c)
{
	json_t *k = json_object_get(c, "credentials");

	v->keys.access_key_id =
		(char *)json_string_value(json_object_get(k, "access_key_id"));
	v->keys.secret = (char *)json_string_value(
		json_object_get(k, "secret_access_key"));
	v->keys.session_token =
		(char *)json_string_value(json_object_get(k, "token"));
	v->s.region = json_string_value(json_object_get(c, "region"));
	v->s.service = json_string_value(json_object_get(c, "service"));
	v->s.path_as_is = json_is_false(json_object_get(c, "normalize"));
	v->s.sign_token_later =
		json_is_true(json_object_get(c, "omit_session_token"));
	v->expires = (unsigned)json_integer_value(
		json_object_get(c, "expiration_in_seconds"));
	v->s.now = VECTOR_TIME;
	assert_string_equal(json_string_value(json_object_get(c, "timestamp")),
			    "2015-08-30T12:36:00Z");
}

static void run_half(const char *dir, struct vector *v, bool query)
{
	struct herd_buf canonical CLEANUP_BUF = HERD_BUF_INIT;
	struct herd_buf to_sign CLEANUP_BUF = HERD_BUF_INIT;
	struct herd_buf got CLEANUP_BUF = HERD_BUF_INIT;
	const struct herd_sigv4_steps steps = { &canonical, &to_sign };
	CLEANUP_FREE char *want = read_text(
		dir, query ? "query-signature.txt" : "header-signature.txt");
	char date[17];
	int r = query ? herd_sigv4_presign(&v->s, &v->keys, v->expires, &got,
					   &steps) :
			herd_sigv4_sign(&v->s, &v->keys, date, &got, &steps);

	assert_int_equal(r, 0);
	expect_file(dir,
		    query ? "query-canonical-request.txt" :
			    "header-canonical-request.txt",
		    &canonical);
	expect_file(dir,
		    query ? "query-string-to-sign.txt" :
			    "header-string-to-sign.txt",
		    &to_sign);
	assert_non_null(want);
	expect_end(dir, &got, want);
}

static void run_context(const char *dir)
{
	struct vector v = { .expires = 0 };
	CLEANUP_FREE char *text = read_text(dir, "request.txt");
	CLEANUP_FREE char *context = read_text(dir, "context.json");

	assert_true(text && context);
	json_t *c = json_loads(context, 0, NULL);

	assert_non_null(c);
	vector_parse(&v, text);
	take_context(&v, c);
	run_half(dir, &v, true);
	if (json_is_true(json_object_get(c, "sign_body")))
		v.headers[v.s.n_headers++] =
			(struct herd_pair){ "x-amz-content-sha256",
					    v.s.payload_sha256 };
	run_half(dir, &v, false);
	json_decref(c);
}

/* ---- all of them ---- */

/* One folder's; false when there is none in it. */
static bool run_folder(const FTSENT *e)
{
	char path[4200];

	snprintf(path, sizeof(path), "%s/%s.req", e->fts_path, e->fts_name);
	if (!access(path, R_OK)) {
		run_plain(e->fts_path, e->fts_name);
		return true;
	}
	snprintf(path, sizeof(path), "%s/request.txt", e->fts_path);
	if (!access(path, R_OK)) {
		run_context(e->fts_path);
		return true;
	}
	return false;
}

static void test_vectors(void **state)
{
	const char *given = getenv("HERD_AWS_VECTORS");
	char dir[4096];
	unsigned n = 0;

	(void)state;
	snprintf(dir, sizeof(dir), "%s",
		 given ? given : "../shared/aws/sigv4-vectors");
	if (access(dir, R_OK)) {
		print_message("skipped: no signing vectors in %s\n", dir);
		skip();
	}
	char *roots[] = { dir, NULL };
	FTS *fts = fts_open(roots, FTS_PHYSICAL | FTS_NOCHDIR, NULL);
	unsigned found[32] = { 0 }; /* below the folder of each level */

	assert_non_null(fts);
	for (FTSENT *e; (e = fts_read(fts));) {
		assert_true(e->fts_level < 31);
		assert_int_not_equal(e->fts_info, FTS_ERR);
		if (e->fts_info == FTS_D) {
			found[e->fts_level] = run_folder(e);
			n += found[e->fts_level];
		} else if (e->fts_info == FTS_DP && e->fts_level > 0) {
			if (!found[e->fts_level])
				fail_msg("%s: no vector in it", e->fts_path);
			found[e->fts_level - 1] += found[e->fts_level];
		}
	}
	fts_close(fts);
	print_message("%u vectors\n", n);
	assert_true(n >= 30);
}

/* ---- what no vector has ---- */

static const struct herd_pair one_host[] = {
	{ "Host", "ebs.eu-central-1.amazonaws.com" },
};

static struct herd_sigv4 plain_request(void)
{
	return (struct herd_sigv4){
		.region = "eu-central-1",
		.service = "ebs",
		.method = "GET",
		.path = "/",
		.headers = one_host,
		.n_headers = 1,
		.payload_sha256 = "UNSIGNED-PAYLOAD",
		.now = VECTOR_TIME,
	};
}

static const struct herd_aws_keys keys = { (char *)VECTOR_KEY,
					   (char *)VECTOR_SECRET, NULL, 0 };

/* One line of what is signed. */
static void canonical_line(const struct herd_sigv4 *s, unsigned line, char *out,
			   size_t size)
{
	struct herd_buf canonical CLEANUP_BUF = HERD_BUF_INIT;
	struct herd_buf got CLEANUP_BUF = HERD_BUF_INIT;
	const struct herd_sigv4_steps steps = { &canonical, NULL };
	char date[17];

	assert_int_equal(herd_sigv4_sign(s, &keys, date, &got, &steps), 0);
	herd_buf_u8(&canonical, '\0');
	const char *p = (char *)canonical.data;

	while (line--) {
		p = strchr(p, '\n');
		assert_non_null(p);
		p++;
	}
	snprintf(out, size, "%.*s", (int)strcspn(p, "\n"), p);
}

static void test_paths(void **state)
{
	static const struct {
		const char *path, *twice, *as_is;
	} cases[] = {
		{ "/", "/", "/" },
		{ "", "/", "/" },
		{ "/snapshots/snap-1/blocks/7", "/snapshots/snap-1/blocks/7",
		  "/snapshots/snap-1/blocks/7" },
		{ "/a%2Fb", "/a%252Fb", "/a%2Fb" },
		{ "/a%20b//c/../d/.", "/a%2520b/d", "/a%20b//c/../d/." },
		{ "/a//b/../", "/a/", "/a//b/../" },
		{ "/..", "/", "/.." },
		{ "/../../x", "/x", "/../../x" },
		{ "/x/..", "/", "/x/.." },
		{ "/...", "/...", "/..." },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct herd_sigv4 s = plain_request();
		char line[256];

		s.path = cases[i].path;
		canonical_line(&s, 1, line, sizeof(line));
		assert_string_equal(line, cases[i].twice);
		s.path_as_is = true;
		canonical_line(&s, 1, line, sizeof(line));
		assert_string_equal(line, cases[i].as_is);
	}
}

static void test_query(void **state)
{
	/* by the encoded bytes: "%41…" does not arise, but 'a' < 'b', "A" < "a",
	   and "a-" and "a=" are told by name */
	static const struct herd_pair pairs[] = {
		{ "token", "AQ+/=" }, { "b", "2" },   { "b", "1" },
		{ "a-", "" },	      { "a", "x y" }, { "B", NULL },
	};
	static const char want[] = "B=&a=x%20y&a-=&b=1&b=2&token=AQ%2B%2F%3D";
	struct herd_buf b CLEANUP_BUF = HERD_BUF_INIT;
	struct herd_sigv4 s = plain_request();
	char line[256];

	(void)state;
	herd_uri_query(&b, pairs, ARRAY_SIZE(pairs));
	assert_int_equal(herd_buf_error(&b), 0);
	assert_int_equal(b.len, strlen(want));
	assert_memory_equal(b.data, want, b.len);
	s.query = pairs;
	s.n_query = ARRAY_SIZE(pairs);
	canonical_line(&s, 2, line, sizeof(line));
	assert_string_equal(line, want);
}

static void test_encode(void **state)
{
	struct herd_buf b CLEANUP_BUF = HERD_BUF_INIT;
	static const char want[] = "aZ09-._~%2F%20%2B%25%C3%A4|a/b";

	(void)state;
	herd_uri_encode(&b, "aZ09-._~/ +%\xc3\xa4", false);
	herd_buf_u8(&b, '|');
	herd_uri_encode(&b, "a/b", true);
	assert_int_equal(b.len, strlen(want));
	assert_memory_equal(b.data, want, b.len);
}

/* The example of Amazon S3's documentation of presigned URLs. */
static void test_presigned_s3(void **state)
{
	static const struct herd_pair host[] = {
		{ "host", "examplebucket.s3.amazonaws.com" },
	};
	static const struct herd_aws_keys k = {
		(char *)"AKIAIOSFODNN7EXAMPLE",
		(char *)"wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", NULL, 0
	};
	struct herd_sigv4 s = plain_request();
	struct herd_buf b CLEANUP_BUF = HERD_BUF_INIT;

	(void)state;
	s.region = "us-east-1";
	s.service = "s3";
	s.path = "/test.txt";
	s.path_as_is = true;
	s.headers = host;
	s.now = 1369353600;
	assert_int_equal(herd_sigv4_presign(&s, &k, 86400, &b, NULL), 0);
	herd_buf_u8(&b, '\0');
	assert_string_equal(
		(char *)b.data,
		"X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential="
		"AKIAIOSFODNN7EXAMPLE%2F20130524%2Fus-east-1%2Fs3%2F"
		"aws4_request&X-Amz-Date=20130524T000000Z&X-Amz-Expires=86400"
		"&X-Amz-SignedHeaders=host&X-Amz-Signature=aeeed9bbccd4d02ee5c"
		"0109b86d86835f995330da4c265957d157751f604d404");
}

static int sign_result(const struct herd_sigv4 *s,
		       const struct herd_aws_keys *k)
{
	struct herd_buf b CLEANUP_BUF = HERD_BUF_INIT;
	char date[17] = "untouched";
	int r = herd_sigv4_sign(s, k, date, &b, NULL);

	if (r) {
		assert_string_equal(date, "untouched");
		assert_int_equal(b.len, 0);
	}
	return r;
}

static void test_refused(void **state)
{
	static const struct herd_pair bad[][2] = {
		{ { "X-Other", "1" }, { "a", "b" } },
		{ { "Host", "x" }, { "a", "b\nc: d" } },
		{ { "Host", "x" }, { "a:b", "c" } },
		{ { "Host", "x\r\nEvil: 1" }, { "a", "b" } },
		{ { "Host", "x" }, { "X-Amz-Date", "20150830T123600Z" } },
		{ { "Host", "x" }, { "Authorization", "x" } },
		{ { "Host", "x" }, { "x-amz-security-token", "x" } },
		{ { "Host", "" }, { "a", "b" } },
	};
	struct herd_aws_keys k = keys;
	struct herd_sigv4 s = plain_request();
	struct herd_buf b CLEANUP_BUF = HERD_BUF_INIT;

	(void)state;
	assert_int_equal(sign_result(&s, &k), 0);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		s.headers = bad[i];
		s.n_headers = 2;
		assert_int_equal(sign_result(&s, &k), -EINVAL);
	}
	s = plain_request();
	s.path = "/a\nb";
	assert_int_equal(sign_result(&s, &k), -EINVAL);
	s = plain_request();
	s.region = "eu central";
	assert_int_equal(sign_result(&s, &k), -EINVAL);
	s = plain_request();
	s.payload_sha256 = "abc";
	assert_int_equal(sign_result(&s, &k), -EINVAL);
	s = plain_request();
	s.now = INT64_MAX;
	assert_int_equal(sign_result(&s, &k), -EINVAL);
	s = plain_request();
	k.session_token = (char *)"a\r\nb";
	assert_int_equal(sign_result(&s, &k), -EINVAL);
	assert_int_equal(herd_sigv4_presign(&s, &keys, 0, &b, NULL), -EINVAL);
	assert_int_equal(herd_sigv4_presign(&s, &keys, 604801, &b, NULL),
			 -EINVAL);
	assert_int_equal(b.len, 0);
}

static void test_keys_deinit(void **state)
{
	struct herd_aws_keys k = { strdup("a"), strdup("b"), NULL, 5 };

	(void)state;
	herd_aws_keys_deinit(&k);
	assert_true(!k.access_key_id && !k.secret && !k.expires);
	herd_aws_keys_deinit(&k);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_vectors),
		cmocka_unit_test(test_paths),
		cmocka_unit_test(test_query),
		cmocka_unit_test(test_encode),
		cmocka_unit_test(test_presigned_s3),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_keys_deinit),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
