/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The call layer's parts that need no server: what a service's error is taken
 * for, how long is waited, how much is sent at once.
 */
#include "acquire/aws/call_impl.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static void answer_of(struct herd_http_answer *a, int status,
		      const char *headers, const char *body)
{
	*a = (struct herd_http_answer){ .status = status };
	herd_buf_put(&a->headers, headers, strlen(headers));
	herd_buf_put(&a->body, body, strlen(body));
}

/* ---- errors ---- */

#define QUERY_ERROR(code, message)                                          \
	"<ErrorResponse xmlns=\"http://autoscaling.amazonaws.com/doc/2011-" \
	"01-01/\">\n  <Error>\n    <Type>Sender</Type>\n    <Code>" code    \
	"</Code>\n    <Message>" message "</Message>\n  </Error>\n"         \
	"<RequestId>x</RequestId></ErrorResponse>"
#define EC2_ERROR(code, message)                                          \
	"<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"                    \
	"<Response><Errors><Error><Code>" code "</Code><Message>" message \
	"</Message></Error></Errors>"                                     \
	"<RequestID>x</RequestID></Response>"

static const struct {
	int status;
	const char *headers, *body, *type, *reason, *message;
	enum herd_aws_kind kind;
	int err;
} errors[] = {
	{ 400, "x-amzn-ErrorType: RequestThrottledException:http://a/b\n",
	  "{\"Message\":\"Slow\",\"Reason\":\"ACCOUNT_THROTTLED\"}",
	  "RequestThrottledException", "ACCOUNT_THROTTLED", "Slow",
	  HERD_AWS_THROTTLED, -EAGAIN },
	{ 400, "",
	  "{\"__type\":\"com.amazonaws.ebs#ThrottlingException\","
	  "\"message\":\"Rate exceeded\"}",
	  "ThrottlingException", "", "Rate exceeded", HERD_AWS_THROTTLED,
	  -EAGAIN },
	{ 400, "X-Amzn-Errortype: ValidationException\n",
	  " {\"Message\":\"The token\",\"Reason\":\"INVALID_BLOCK_TOKEN\"}",
	  "ValidationException", "INVALID_BLOCK_TOKEN", "The token",
	  HERD_AWS_FINAL, -EINVAL },
	{ 400, "", "{\"code\":\"ExpiredTokenException\"}",
	  "ExpiredTokenException", "", "", HERD_AWS_FINAL, -EACCES },
	{ 503, "", EC2_ERROR("RequestLimitExceeded", "Request limit exceeded."),
	  "RequestLimitExceeded", "", "Request limit exceeded.",
	  HERD_AWS_THROTTLED, -EAGAIN },
	{ 403, "",
	  EC2_ERROR("UnauthorizedOperation",
		    "You are not &quot;authorized&quot; &#x26; &lt;more&gt;. "
		    "Encoded authorization failure message: 8Zx"),
	  "UnauthorizedOperation", "", "You are not \"authorized\" & <more>.",
	  HERD_AWS_FINAL, -EACCES },
	{ 400, "", EC2_ERROR("InvalidSnapshot.NotFound", "no"),
	  "InvalidSnapshot.NotFound", "", "no", HERD_AWS_FINAL, -ENOENT },
	{ 400, "", QUERY_ERROR("ValidationError", "bad"), "ValidationError", "",
	  "bad", HERD_AWS_FINAL, -EINVAL },
	{ 400, "", QUERY_ERROR("Throttling", "Rate exceeded"), "Throttling", "",
	  "Rate exceeded", HERD_AWS_THROTTLED, -EAGAIN },
	{ 402, "x-amzn-ErrorType: ServiceQuotaExceededException\n", "{}",
	  "ServiceQuotaExceededException", "", "", HERD_AWS_FINAL, -EDQUOT },
	{ 404, "x-amzn-ErrorType: ResourceNotFoundException\n",
	  "{\"Message\":null}", "ResourceNotFoundException", "", "",
	  HERD_AWS_FINAL, -ENOENT },
	{ 409, "", "", "", "", "", HERD_AWS_FINAL, -EBUSY },
	{ 429, "", "", "", "", "", HERD_AWS_THROTTLED, -EAGAIN },
	{ 500, "", "<html>nothing</html>", "", "", "", HERD_AWS_TRANSIENT,
	  -EIO },
	{ 400, "", EC2_ERROR("InternalError", "oops"), "InternalError", "",
	  "oops", HERD_AWS_TRANSIENT, -EIO },
	{ 301, "Location: http://x/\n", "", "", "", "", HERD_AWS_FINAL,
	  -EINVAL },
	{ 400, "", "{\"__type\":", "", "", "", HERD_AWS_FINAL, -EINVAL },
	{ 400, "", "<Code>cut", "cut", "", "", HERD_AWS_FINAL, -EINVAL },
	{ 400, "", "<Code>A<b>/&&#0;&#x1f;</Code>", "A", "", "", HERD_AWS_FINAL,
	  -EINVAL },
	{ 200, "", "", "", "", "", HERD_AWS_FINE, 0 },
	{ 202, "", "", "", "", "", HERD_AWS_FINE, 0 },
};

static void test_errors(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(errors); i++) {
		struct herd_aws_judgement j;
		struct herd_aws_error e;
		struct herd_http_answer a;

		answer_of(&a, errors[i].status, errors[i].headers,
			  errors[i].body);
		herd_aws_error_parse(&a, &e);
		assert_string_equal(e.type, errors[i].type);
		assert_string_equal(e.reason, errors[i].reason);
		assert_string_equal(e.message, errors[i].message);
		herd_aws_judge(&a, &e, &j);
		assert_int_equal(j.kind, errors[i].kind);
		assert_int_equal(j.err, errors[i].err);
		herd_http_answer_deinit(&a);
	}
}

/* A signature's refusal quotes the request, session token and all. */
static void test_no_secrets(void **state)
{
	static const char json[] =
		"{\"message\":\"The signature does not match.\\n\\nThe "
		"Canonical String for this request should have been\\n'GET\\n"
		"x-amz-security-token:SECRET'\"}";
	static const char xml[] = EC2_ERROR(
		"SignatureDoesNotMatch",
		"The signature does not match. The Canonical String for this "
		"request: x-amz-security-token:SECRET");
	static const char lines[] =
		EC2_ERROR("SignatureDoesNotMatch",
			  "The signature does not match.&#xA;x: SECRET");
	static const char query[] =
		"{\"message\":\"The signature does not match. "
		"X-Amz-Security-Token=SECRET\"}";
	static const char *const bodies[] = { json, xml, lines, query };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bodies); i++) {
		struct herd_aws_error e;
		struct herd_http_answer a;

		answer_of(&a, 403, "", bodies[i]);
		herd_aws_error_parse(&a, &e);
		assert_string_equal(e.message, "The signature does not match.");
		herd_http_answer_deinit(&a);
	}
}

/* Cut to size, between characters, without control characters. */
static void test_long_message(void **state)
{
	struct herd_http_answer a = { .status = 400 };
	struct herd_aws_error e;

	(void)state;
	herd_buf_printf(&a.body, "{\"message\":\"x\\u0007\\u001b[31m");
	for (unsigned i = 0; i < 400; i++)
		herd_buf_printf(&a.body, "\xe2\x82\xac");
	herd_buf_printf(&a.body, "\"}");
	herd_aws_error_parse(&a, &e);
	size_t n = strlen(e.message);

	assert_memory_equal(e.message, "x??[31m\xe2", 8);
	assert_true(n > 310 && n < sizeof(e.message));
	assert_int_equal((n - 7) % 3, 0);
	herd_http_answer_deinit(&a);
}

static void test_failures(void **state)
{
	static const struct {
		int err;
		enum herd_aws_kind kind;
		bool slow;
	} cases[] = {
		{ -ECONNREFUSED, HERD_AWS_UNSENT, false },
		{ -EHOSTUNREACH, HERD_AWS_UNSENT, false },
		{ -ETIMEDOUT, HERD_AWS_TRANSIENT, true },
		{ -ECONNRESET, HERD_AWS_TRANSIENT, false },
		{ -EPROTO, HERD_AWS_TRANSIENT, false },
		{ -EOVERFLOW, HERD_AWS_FINAL, false },
		{ -ECANCELED, HERD_AWS_FINAL, false },
		{ -ENOMEM, HERD_AWS_FINAL, false },
	};
	const struct herd_aws_error none = { .type = "" };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		const struct herd_http_answer a = { .err = cases[i].err };
		struct herd_aws_judgement j;

		herd_aws_judge(&a, &none, &j);
		assert_int_equal(j.kind, cases[i].kind);
		assert_int_equal(j.slow, cases[i].slow);
		assert_false(j.busy);
		assert_int_equal(j.err, cases[i].err);
	}
}

/* ---- time ---- */

static void test_date(void **state)
{
	static const struct {
		const char *header;
		int64_t want; /* -1: none */
	} cases[] = {
		{ "Date: Sun, 30 Aug 2015 12:36:00 GMT\n", 1440938160 },
		{ "date: Wed, 01 Jan 2025 00:00:00 GMT\n", 1735689600 },
		{ "Date: Wed, 01 anF 2025 00:00:00 GMT\n", -1 },
		{ "Date: Wed, 01 Jan 1970 00:00:00 GMT\n", -1 },
		{ "Date: 1440938160\n", -1 },
		{ "Date:\n", -1 },
		{ "X: y\n", -1 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct herd_http_answer a;
		int64_t got = 7;

		answer_of(&a, 200, cases[i].header, "");
		assert_int_equal(herd_aws_date(&a, &got), cases[i].want >= 0);
		assert_int_equal(got, cases[i].want < 0 ? 7 : cases[i].want);
		herd_http_answer_deinit(&a);
	}
}

static void test_backoff(void **state)
{
	const struct herd_http_answer none = { .err = -ETIMEDOUT };
	uint64_t random = 12345;
	struct herd_http_answer a;

	(void)state;
	for (unsigned n = 1; n < 100; n++)
		for (unsigned throttled = 0; throttled < 2; throttled++) {
			uint64_t bound = (throttled ? 200ull : 50ull)
					 << (n < 20 ? n - 1 : 20);
			int64_t least = INT64_MAX, most = 0;

			if (bound > 20000)
				bound = 20000;
			for (unsigned i = 0; i < 400; i++) {
				int64_t ms = herd_aws_backoff(&none, throttled,
							      n, &random);

				least = ms < least ? ms : least;
				most = ms > most ? ms : most;
			}
			/* full jitter: all of it, and nothing beyond */
			assert_true(most <= (int64_t)bound);
			assert_true(most > (int64_t)bound * 9 / 10);
			assert_true(least < (int64_t)bound / 10);
		}
	answer_of(&a, 503, "Retry-After: 7\n", "");
	assert_int_equal(herd_aws_backoff(&a, false, 1, &random), 7000);
	herd_http_answer_deinit(&a);
	answer_of(&a, 503, "Retry-After: 99999999\n", "");
	assert_int_equal(herd_aws_backoff(&a, false, 1, &random), 20000);
	herd_http_answer_deinit(&a);
	answer_of(&a, 503, "Retry-After: -5\n", "");
	assert_true(herd_aws_backoff(&a, false, 1, &random) <= 50);
	herd_http_answer_deinit(&a);
}

/* ---- how much at once ---- */

static void test_window(void **state)
{
	struct herd_aws_limiter l;

	(void)state;
	herd_aws_limiter_init(&l, 64, 1000, 0);
	assert_int_equal((int)l.window, 8);
	for (unsigned i = 0; i < 100; i++)
		herd_aws_limiter_success(&l);
	assert_int_equal((int)l.window, 64);
	/* all of a window are throttled: that is one cut */
	for (unsigned i = 0; i < 64; i++)
		herd_aws_limiter_busy(&l, 1000 + i, 900);
	assert_int_equal((int)l.window, 44);
	/* from here it grows by two for a window of successes */
	for (unsigned i = 0; i < 45; i++)
		herd_aws_limiter_success(&l);
	assert_true(l.window > 46.6 && l.window < 47);
	for (unsigned i = 0; i < 20; i++)
		herd_aws_limiter_busy(&l, 3000 + i * 100, 2999 + i * 100);
	assert_int_equal((int)l.window, 1);
	/* a time-out in a hundred calls does not starve it, many at once do */
	herd_aws_limiter_init(&l, 64, 1000, 0);
	for (unsigned i = 0; i < 10000; i++)
		if (i % 100)
			herd_aws_limiter_success(&l);
		else
			herd_aws_limiter_slow(&l);
	assert_true(l.window > 60);
	for (unsigned i = 0; i < 64; i++)
		herd_aws_limiter_slow(&l);
	assert_int_equal((int)l.window, 4);
	herd_aws_limiter_init(&l, 3, 1000, 0);
	assert_int_equal((int)l.window, 3);
}

static void test_bucket(void **state)
{
	struct herd_aws_limiter l;
	unsigned n = 0;

	(void)state;
	herd_aws_limiter_init(&l, 64, 50, 0);
	for (int64_t now = 0; now < 10000; now++)
		while (herd_aws_limiter_take(&l, now))
			n++;
	assert_true(n >= 499 && n <= 506);
	/* idle times are not saved up, but for a short burst */
	n = 0;
	while (herd_aws_limiter_take(&l, 1000000))
		n++;
	assert_int_equal(n, 5);
	int64_t wait = herd_aws_limiter_wait(&l, 1000000);

	assert_true(wait > 0 && wait <= 21);
	assert_true(herd_aws_limiter_take(&l, 1000000 + wait));
	/* a clock that goes back does no harm */
	assert_false(herd_aws_limiter_take(&l, 0));
	assert_true(herd_aws_limiter_wait(&l, 0) <= 21);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_errors),
		cmocka_unit_test(test_no_secrets),
		cmocka_unit_test(test_long_message),
		cmocka_unit_test(test_failures),
		cmocka_unit_test(test_date),
		cmocka_unit_test(test_backoff),
		cmocka_unit_test(test_window),
		cmocka_unit_test(test_bucket),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
