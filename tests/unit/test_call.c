/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Calls of a service with faults: what is repeated and what is not, how it
 * ends, what is counted.
 */
#include "call_fixture.h"

/* ---- what is repeated ---- */

static void test_repeated(void **state)
{
	(void)state;
	SCRIPT(&server, FINE);
	expect(&list_call, 0, 1, 0);
	SCRIPT(&server, THROTTLED, THROTTLED, FINE);
	expect(&list_call, 0, 3, 2);
	SCRIPT(&server, BROKEN, { .status = 503 }, FINE);
	expect(&list_call, 0, 3, 0);
	SCRIPT(&server, { .fault = FAULT_RESET },
	       { .fault = FAULT_RESET_MID, .generate = 900 },
	       { .fault = FAULT_CUT, .generate = 900 },
	       { .fault = FAULT_GARBAGE },
	       { .fault = FAULT_STALL, .generate = 900 },
	       { .fault = FAULT_SLOW }, FINE);
	expect(&list_call, 0, 7, 0);
}

static void test_to_the_end(void **state)
{
	(void)state;
	SCRIPT(&server, THROTTLED);
	expect(&list_call, -EAGAIN, 8, 8);
	SCRIPT(&server, BROKEN);
	expect(&list_call, -EIO, 8, 0);
	SCRIPT(&server, { .fault = FAULT_CUT, .generate = 900 });
	expect(&list_call, -EPROTO, 8, 0);
}

static void test_not_repeated(void **state)
{
	(void)state;
	SCRIPT(&server, { .status = 400,
			  .headers = "x-amzn-ErrorType: "
				     "ValidationException\r\n" });
	expect(&list_call, -EINVAL, 1, 0);
	SCRIPT(&server, { .status = 301, .headers = "Location: /\r\n" });
	expect(&list_call, -EINVAL, 1, 0);
	SCRIPT(&server, { .status = 403 });
	expect(&list_call, -EACCES, 1, 0);
	SCRIPT(&server, { .status = 404 });
	expect(&list_call, -ENOENT, 1, 0);
	SCRIPT(&server, { .generate = 1001 });
	expect(&list_call, -EOVERFLOW, 1, 0);
}

static void test_once(void **state)
{
	struct herd_aws_call c = list_call;

	(void)state;
	c.once = true;
	SCRIPT(&server, BROKEN, FINE);
	expect(&c, -EIO, 1, 0);
	SCRIPT(&server, { .fault = FAULT_RESET }, FINE);
	expect(&c, -ECONNRESET, 1, 0);
	SCRIPT(&server, { .fault = FAULT_SLOW }, FINE);
	expect(&c, -ETIMEDOUT, 1, 0);
	SCRIPT(&server, THROTTLED, FINE);
	expect(&c, 0, 2, 1);
}

static unsigned checks;

/* Wants to be asked three times. */
static int check_third(void *arg, struct herd_http_answer *a)
{
	assert_null(arg);
	assert_int_equal(a->body.len, 4);
	return ++checks % 3 ? -EAGAIN : 0;
}

static int check_never(void *arg, struct herd_http_answer *a)
{
	(void)arg;
	(void)a;
	return -EAGAIN;
}

static int check_no(void *arg, struct herd_http_answer *a)
{
	(void)arg;
	(void)a;
	return -EPROTO;
}

static void test_check(void **state)
{
	struct herd_aws_call c = list_call;

	(void)state;
	SCRIPT(&server, FINE);
	c.check = check_third;
	expect(&c, 0, 3, 0);
	SCRIPT(&server, FINE);
	c.check = check_never;
	expect(&c, -EBADMSG, 8, 0);
	SCRIPT(&server, FINE);
	c.check = check_no;
	expect(&c, -EPROTO, 1, 0);
	SCRIPT(&server, BROKEN, THROTTLED); /* no answer to judge */
	expect(&c, -EAGAIN, 8, 7);
}

static void test_result(void **state)
{
	struct herd_aws_result r;
	struct herd_aws_counters n;

	(void)state;
	SCRIPT(&server, { .status = 400,
			  .headers = "x-amzn-ErrorType: ValidationException"
				     ":http://x/\r\n",
			  .body = "{\"Message\":\"No such token\","
				  "\"Reason\":\"INVALID_BLOCK_TOKEN\"}" });
	assert_int_equal(call_once(&list_call, &r, &n), -EINVAL);
	assert_string_equal(r.type, "ValidationException");
	assert_string_equal(r.reason, "INVALID_BLOCK_TOKEN");
	assert_string_equal(r.message, "No such token");
	SCRIPT(&server, { .status = 418 });
	assert_int_equal(call_once(&list_call, &r, &n), -EINVAL);
	assert_string_equal(r.message, "HTTP status 418");
	SCRIPT(&server, { .fault = FAULT_SLOW });
	assert_int_equal(call_once(&list_call, &r, &n), -ETIMEDOUT);
	assert_string_equal(r.message, "no answer within 200 ms");
}

/* ---- many ---- */

struct many {
	struct herd_aws *aws;
	unsigned done, wrong, again, nested;
	int last_err;
};

static void on_done(void *arg, struct herd_aws_result *r)
{
	struct many *m = arg;

	m->done++;
	m->wrong += r->err || !r->answer || r->answer->body.len != 4;
	m->last_err = r->err;
	if (m->again) {
		m->again--;
		assert_int_equal(herd_aws_add(m->aws, &list_call, on_done, m),
				 0);
	}
	if (m->nested) {
		m->nested--;
		assert_int_equal(
			herd_aws_do(m->aws, &list_call, NULL, NULL, NULL), 0);
	}
}

static void test_many(void **state)
{
	struct herd_aws_config c = quick();
	struct herd_aws_counters n, none;
	struct world w;

	(void)state;
	SCRIPT(&server, FINE, FINE, FINE, FINE, FINE, FINE, FINE, FINE, FINE,
	       THROTTLED, THROTTLED, BROKEN, THROTTLED, THROTTLED, THROTTLED,
	       { .fault = FAULT_CUT, .generate = 9 }, THROTTLED, BROKEN,
	       THROTTLED, FINE);
	c.max_concurrency = 12;
	c.max_rate = 100000;
	world_start(&w, c);
	struct many m = { .aws = w.aws, .again = 50, .nested = 5 };

	for (unsigned i = 0; i < 250; i++)
		assert_int_equal(herd_aws_add(w.aws, &list_call, on_done, &m),
				 0);
	assert_int_equal(herd_aws_pending(w.aws), 250);
	while (herd_aws_pending(w.aws))
		assert_int_equal(herd_aws_run(w.aws, NULL, 0, -1), 0);
	assert_int_equal(m.done, 300);
	assert_int_equal(m.wrong, 0);
	assert_true(server.shared->most_in_flight <= 12);
	herd_aws_counters(w.aws, "ebs", &n);
	herd_aws_counters(w.aws, "ec2", &none);
	assert_int_equal(none.requests, 0);
	assert_int_equal(n.throttled, 7);
	assert_int_equal(n.retries, 10);
	assert_int_equal(n.requests, 315);
	assert_int_equal(server.shared->requests, 315);
	assert_int_equal(n.failed, 0);
	assert_true(n.bytes_received > 305 * 4 && n.bytes_sent > 315 * 200);
	world_stop(&w);
}

static void test_dead_server(void **state)
{
	uint16_t real = server.port, port;
	int fd = fixture_bind(&port); /* nobody listens */
	struct herd_aws_result r;
	struct world w;

	(void)state;
	server.port = port;
	world_start(&w, quick());
	for (unsigned i = 0; i < 2; i++) {
		assert_int_equal(herd_aws_do(w.aws, &list_call, NULL, &r, NULL),
				 -ECONNREFUSED);
		assert_int_equal(r.attempts, 8);
	}
	/* it is known by now */
	assert_int_equal(herd_aws_do(w.aws, &list_call, NULL, &r, NULL),
			 -ECONNREFUSED);
	assert_int_equal(r.attempts, 2);
	struct many m = { .aws = w.aws };

	for (unsigned i = 0; i < 20; i++)
		assert_int_equal(herd_aws_add(w.aws, &list_call, on_done, &m),
				 0);
	while (herd_aws_pending(w.aws))
		assert_int_equal(herd_aws_run(w.aws, NULL, 0, -1), 0);
	assert_int_equal(m.wrong, 20);
	world_stop(&w);
	close(fd);
	server.port = real;
}

static void test_destroy_pending(void **state)
{
	struct herd_aws_config c = quick();
	struct world w;

	(void)state;
	SCRIPT(&server, { .fault = FAULT_SLOW });
	c.max_concurrency = 4;
	world_start(&w, c);
	struct many m = { .aws = w.aws };

	for (unsigned i = 0; i < 20; i++)
		assert_int_equal(herd_aws_add(w.aws, &list_call, on_done, &m),
				 0);
	assert_int_equal(herd_aws_run(w.aws, NULL, 0, 20), 0);
	assert_int_equal(m.done, 0);
	world_stop(&w);
	assert_int_equal(m.done, 20);
	assert_int_equal(m.last_err, -ECANCELED);
}

static void test_extra(void **state)
{
	int fds[2];
	struct world w;

	(void)state;
	SCRIPT(&server, { .fault = FAULT_SLOW });
	world_start(&w, quick());
	struct many m = { .aws = w.aws };

	assert_int_equal(pipe(fds), 0);
	assert_int_equal(write(fds[1], "x", 1), 1);
	struct pollfd extra = { fds[0], POLLIN, 0 };

	assert_int_equal(herd_aws_add(w.aws, &list_call, on_done, &m), 0);
	assert_int_equal(herd_aws_run(w.aws, &extra, 1, -1), 0);
	assert_int_equal(extra.revents, POLLIN);
	assert_int_equal(m.done, 0);
	close(fds[0]);
	close(fds[1]);
	world_stop(&w);
	assert_int_equal(m.done, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_repeated),
		cmocka_unit_test(test_to_the_end),
		cmocka_unit_test(test_not_repeated),
		cmocka_unit_test(test_once),
		cmocka_unit_test(test_check),
		cmocka_unit_test(test_result),
		cmocka_unit_test(test_many),
		cmocka_unit_test(test_dead_server),
		cmocka_unit_test(test_destroy_pending),
		cmocka_unit_test(test_extra),
	};

	return cmocka_run_group_tests(tests, world_environment, world_end);
}
