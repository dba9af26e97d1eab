/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A world in which calls are made: a server with faults (http_fixture.h),
 * credentials and endpoint from an environment that the test makes, and a clock
 * that jumps, so that waiting costs no time. Only 127.0.0.1.
 */
#ifndef CALL_FIXTURE_H
#define CALL_FIXTURE_H

#include "acquire/aws/call.h"
#include "http_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <time.h>

#include <cmocka.h>

static struct http_fixture server;

#define THROTTLED                                                             \
	{                                                                     \
		.status = 400,                                                \
		.headers = "x-amzn-ErrorType: RequestThrottledException\r\n", \
		.body = "{\"Reason\":\"ACCOUNT_THROTTLED\"}",                 \
	}
#define BROKEN                                                              \
	{                                                                   \
		.status = 500,                                              \
		.headers = "x-amzn-ErrorType: InternalServerException\r\n", \
		.body = "{\"Message\":\"oops\"}",                           \
	}
#define FINE                   \
	{                      \
		.body = "fine" \
	}

/* ---- the world ---- */

struct world {
	struct herd_aws_settings *settings;
	struct herd_http *http;
	struct herd_aws_credentials *credentials;
	struct herd_aws *aws;
};

static int64_t jumping_ms, seconds_off;

static inline int64_t jump(void)
{
	return jumping_ms += 3000;
}

static inline int64_t wrong_now(void)
{
	return time(NULL) + seconds_off;
}

static inline void world_start(struct world *w, struct herd_aws_config c)
{
	const struct herd_aws_options o = { .region = "eu-central-1" };
	const struct herd_http_options ho = { .connections = 16 };
	char url[64];

	snprintf(url, sizeof(url), "http://127.0.0.1:%u", server.port);
	setenv("AWS_ENDPOINT_URL", url, 1);
	assert_int_equal(herd_aws_settings_load(&o, &w->settings, NULL), 0);
	assert_int_equal(herd_http_create(&ho, &w->http, NULL), 0);
	assert_int_equal(herd_aws_credentials_create(w->settings, w->http,
						     c.now, &w->credentials),
			 0);
	c.settings = w->settings;
	c.http = w->http;
	c.credentials = w->credentials;
	assert_int_equal(herd_aws_create(&c, &w->aws), 0);
}

static inline void world_stop(struct world *w)
{
	herd_aws_destroy(w->aws);
	herd_aws_credentials_destroy(w->credentials);
	herd_http_destroy(w->http);
	herd_aws_settings_destroy(w->settings);
}

static inline struct herd_aws_config quick(void)
{
	seconds_off = 0;
	return (struct herd_aws_config){ .now_ms = jump, .now = wrong_now };
}

static const struct herd_aws_call list_call = {
	.service = "ebs",
	.method = "GET",
	.path = "/snapshots/snap-1/blocks",
	.answer_max = 1000,
	.limits = { .first_byte_ms = 200, .stall_ms = 200 },
};

/* One call in a world of its own. */
static inline int call_once(const struct herd_aws_call *call,
			    struct herd_aws_result *result,
			    struct herd_aws_counters *counters)
{
	struct herd_http_answer a;
	struct herd_diag diag;
	struct world w;

	herd_diag_clear(&diag);
	world_start(&w, quick());
	int r = herd_aws_do(w.aws, call, &a, result, &diag);

	assert_int_equal(r, result->err);
	assert_int_equal(!r, !diag.message[0]);
	assert_int_equal(herd_aws_pending(w.aws), 0);
	herd_aws_counters(w.aws, NULL, counters);
	assert_int_equal(counters->requests, result->attempts);
	assert_int_equal(counters->failed, r != 0);
	if (!r) {
		assert_ptr_equal(result->answer, &a);
		assert_memory_equal(a.body.data, "fine", 4);
	}
	result->answer = NULL;
	herd_http_answer_deinit(&a);
	world_stop(&w);
	return r;
}

static inline void expect(const struct herd_aws_call *call, int err,
			  unsigned attempts, unsigned throttled)
{
	struct herd_aws_result r;
	struct herd_aws_counters n;

	assert_int_equal(call_once(call, &r, &n), err);
	assert_int_equal(r.attempts, attempts);
	assert_int_equal(server.shared->requests, attempts);
	assert_int_equal(n.retries, attempts - 1);
	assert_int_equal(n.throttled, throttled);
}

static inline int world_environment(void **state)
{
	static const char *const unset[] = {
		"AWS_PROFILE",
		"AWS_DEFAULT_PROFILE",
		"AWS_DEFAULT_REGION",
		"AWS_ENDPOINT_URL_EBS",
		"AWS_CA_BUNDLE",
		"AWS_USE_FIPS_ENDPOINT",
		"AWS_USE_DUALSTACK_ENDPOINT",
		"AWS_WEB_IDENTITY_TOKEN_FILE",
		"AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
		"AWS_ROLE_ARN",
		"AWS_CONTAINER_CREDENTIALS_FULL_URI",
		"AWS_IGNORE_CONFIGURED_ENDPOINT_URLS",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(unset); i++)
		unsetenv(unset[i]);
	setenv("HOME", "/nonexistent", 1);
	setenv("AWS_CONFIG_FILE", "/nonexistent/config", 1);
	setenv("AWS_SHARED_CREDENTIALS_FILE", "/nonexistent/credentials", 1);
	setenv("AWS_EC2_METADATA_DISABLED", "true", 1);
	setenv("AWS_REGION", "eu-central-1", 1);
	setenv("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE", 1);
	setenv("AWS_SECRET_ACCESS_KEY", "wJalrXUtnFEMI/K7MDENG", 1);
	setenv("AWS_SESSION_TOKEN", "AQoDYXdzEPT//////////wEX==", 1);
	http_fixture_start(&server);
	return 0;
}

static inline int world_end(void **state)
{
	(void)state;
	http_fixture_stop(&server);
	return 0;
}

#endif
