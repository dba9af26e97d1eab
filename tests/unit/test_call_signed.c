/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What calls are signed with: the bytes on the wire, a clock that is wrong,
 * credentials that have expired or are not there.
 */
#include "acquire/base/sha256.h"
#include "call_fixture.h"

/* ---- the clock, the keys ---- */

/* The server's date, as a header. */
static void add_date(struct step *s, int64_t t)
{
	time_t at = (time_t)t;
	struct tm tm;
	size_t n = strlen(s->headers);

	gmtime_r(&at, &tm);
	strftime(s->headers + n, sizeof(s->headers) - n,
		 "Date: %a, %d %b %Y %H:%M:%S GMT\r\n", &tm);
}

static int64_t signed_at(void)
{
	const char *p = strcasestr(server.shared->last, "\r\nX-Amz-Date: ");
	struct tm tm = { 0 };

	assert_non_null(p);
	assert_non_null(strptime(p + 14, "%Y%m%dT%H%M%SZ", &tm));
	return timegm(&tm);
}

static void skewed(const char *type, const char *body, int64_t off, bool mended)
{
	struct step steps[] = { { .status = 403 }, FINE };
	struct herd_aws_result r;
	struct world w;
	int64_t now = time(NULL);

	snprintf(steps[0].headers, sizeof(steps[0].headers), "%s", type);
	snprintf(steps[0].body, sizeof(steps[0].body), "%s", body);
	add_date(&steps[0], now + off);
	http_fixture_script(&server, steps, 2);
	world_start(&w, quick());
	assert_int_equal(herd_aws_do(w.aws, &list_call, NULL, &r, NULL),
			 mended ? 0 : -EACCES);
	assert_int_equal(r.attempts, mended ? 2 : 1);
	if (mended) {
		/* signed by the server's clock, and so is what follows */
		assert_true(llabs(signed_at() - now - off) < 60);
		assert_int_equal(herd_aws_do(w.aws, &list_call, NULL, &r, NULL),
				 0);
		assert_int_equal(r.attempts, 1);
		assert_true(llabs(signed_at() - now - off) < 60);
	}
	world_stop(&w);
}

static void test_skew(void **state)
{
	(void)state;
	skewed("", "<Error><Code>RequestTimeTooSkewed</Code></Error>", 3600,
	       true);
	skewed("x-amzn-ErrorType: InvalidSignatureException\r\n",
	       "{\"message\":\"Signature expired\"}", -86400, true);
	skewed("", "<Error><Code>AuthFailure</Code></Error>", 400, true);
	/* its own date denies it: once more all the same */
	skewed("x-amzn-ErrorType: InvalidSignatureException\r\n",
	       "{\"message\":\"Signature expired: x\"}", 0, true);
	/* a signature that is wrong for another reason */
	skewed("x-amzn-ErrorType: InvalidSignatureException\r\n", "", 5, false);
	skewed("", "<Error><Code>AuthFailure</Code></Error>", 0, false);
	skewed("x-amzn-ErrorType: AccessDeniedException\r\n", "", 3600, false);
}

/* A clock that stays wrong is not followed for ever. */
static void test_skew_once(void **state)
{
	struct step step = { .status = 403,
			     .body = "<Code>RequestTimeTooSkewed</Code>" };

	(void)state;
	add_date(&step, time(NULL) + 7200);
	http_fixture_script(&server, &step, 1);
	expect(&list_call, -EACCES, 2, 0);
}

static void test_expired(void **state)
{
	static const char *const types[] = { "ExpiredToken",
					     "ExpiredTokenException",
					     "RequestExpired" };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(types); i++) {
		struct step steps[] = { { .status = 400 }, FINE };

		snprintf(steps[0].body, sizeof(steps[0].body),
			 "{\"__type\":\"%s\"}", types[i]);
		http_fixture_script(&server, steps, 2);
		expect(&list_call, 0, 2, 0);
	}
}

static void test_no_credentials(void **state)
{
	struct herd_aws_result r;
	struct herd_aws_counters n;

	(void)state;
	SCRIPT(&server, FINE);
	unsetenv("AWS_ACCESS_KEY_ID");
	assert_int_equal(call_once(&list_call, &r, &n), -ENOKEY);
	setenv("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE", 1);
	assert_int_equal(r.attempts, 0);
	assert_int_equal(server.shared->requests, 0);
	assert_true(strlen(r.message) > 10);
}

/* ---- what is sent ---- */

static void header_of(const char *name, char *out, size_t size)
{
	char find[64];

	snprintf(find, sizeof(find), "\r\n%s: ", name);
	const char *p = strcasestr(server.shared->last, find);

	assert_non_null(p);
	p += strlen(find);
	snprintf(out, size, "%.*s", (int)strcspn(p, "\r"), p);
}

/* Signs what was seen on the wire again, and compares. */
static void verify(const char *method, const char *path, const char *query,
		   const struct herd_pair *pairs, size_t n_pairs,
		   struct herd_pair *headers, size_t n_headers,
		   const char *body)
{
	struct herd_buf want CLEANUP_BUF = HERD_BUF_INIT;
	const struct herd_aws_keys keys = { getenv("AWS_ACCESS_KEY_ID"),
					    getenv("AWS_SECRET_ACCESS_KEY"),
					    getenv("AWS_SESSION_TOKEN"), 0 };
	char values[8][256], line[512], digest[65], date[17];
	uint8_t sha[HERD_SHA256_LEN];

	snprintf(line, sizeof(line), "%s %s%s HTTP/1.1\r\n", method, path,
		 query);
	assert_memory_equal(server.shared->last, line, strlen(line));
	for (size_t i = 0; i < n_headers; i++) {
		header_of(headers[i].name, values[i], sizeof(values[i]));
		headers[i].value = values[i];
	}
	herd_sha256(body, strlen(body), sha);
	herd_hex(sha, sizeof(sha), digest);
	const struct herd_sigv4 s = {
		.region = "eu-central-1",
		.service = "ebs",
		.method = method,
		.path = path,
		.query = pairs,
		.n_query = n_pairs,
		.headers = headers,
		.n_headers = n_headers,
		.payload_sha256 = digest,
		.now = signed_at(),
	};
	assert_int_equal(herd_sigv4_sign(&s, &keys, date, &want, NULL), 0);
	header_of("Authorization", line, sizeof(line));
	assert_string_equal(line, (char *)want.data);
	header_of("X-Amz-Security-Token", line, sizeof(line));
	assert_string_equal(line, keys.session_token);
	assert_memory_equal(server.shared->last + server.shared->last_len -
				    strlen(body),
			    body, strlen(body));
}

static void test_signed(void **state)
{
	static const struct herd_pair query[] = { { "maxResults", "100" },
						  { "blockToken", "A+/=" } };
	static const struct herd_pair further[] = { { "X-Amz-Target",
						      "AmazonSSM.x" } };
	struct herd_pair got[] = { { "Host", NULL },
				   { "X-Amz-Target", NULL },
				   { "Content-Type", NULL } };
	struct herd_aws_call c = list_call;

	(void)state;
	SCRIPT(&server, FINE);
	c.path = "/snapshots/snap%2F1/blocks";
	c.query = query;
	c.n_query = 2;
	expect(&c, 0, 1, 0);
	verify("GET", c.path, "?blockToken=A%2B%2F%3D&maxResults=100", query, 2,
	       got, 1, "");
	SCRIPT(&server, FINE);
	c = list_call;
	c.method = "POST";
	c.path = "/";
	c.headers = further;
	c.n_headers = 1;
	c.content_type = "application/x-amz-json-1.1";
	c.body = "{\"a\":1}";
	c.body_len = 7;
	expect(&c, 0, 1, 0);
	verify("POST", "/", "", NULL, 0, got, 3, "{\"a\":1}");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_skew),
		cmocka_unit_test(test_skew_once),
		cmocka_unit_test(test_expired),
		cmocka_unit_test(test_no_credentials),
		cmocka_unit_test(test_signed),
	};

	return cmocka_run_group_tests(tests, world_environment, world_end);
}
