/* SPDX-License-Identifier: Apache-2.0 */
/*
 * HTTP against a server with faults: the right answer or the right error, an
 * end in any case, and on the wire what was asked for. Only 127.0.0.1.
 */
#include "acquire/aws/http.h"
#include "http_fixture.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define BLOCK 524288

static struct http_fixture server;

static int start(void **state)
{
	(void)state;
	/* a proxy that nobody is behind: it must not be asked */
	setenv("http_proxy", "http://127.0.0.1:1", 1);
	setenv("https_proxy", "http://127.0.0.1:1", 1);
	unsetenv("no_proxy");
	unsetenv("NO_PROXY");
	http_fixture_start(&server);
	return 0;
}

static int stop(void **state)
{
	(void)state;
	http_fixture_stop(&server);
	return 0;
}

static struct herd_http *client(unsigned connections)
{
	const struct herd_http_options o = { .connections = connections };
	struct herd_http *h;

	assert_int_equal(herd_http_create(&o, &h, NULL), 0);
	return h;
}

static const char *url_of(const char *path)
{
	static char url[512];

	snprintf(url, sizeof(url), "http://127.0.0.1:%u%s", server.port, path);
	return url;
}

static struct herd_http_request get(const char *path)
{
	return (struct herd_http_request){
		.method = "GET",
		.url = url_of(path),
		.answer_max = 1 << 20,
	};
}

static int ask(const struct herd_http_request *r, struct herd_http_answer *a)
{
	struct herd_http *h = client(0);
	int e = herd_http_do(h, r, a);

	assert_int_equal(e, a->err);
	assert_int_equal(!e, !a->reason[0]);
	assert_int_equal(herd_http_pending(h), 0);
	herd_http_destroy(h);
	return e;
}

static int ask_path(const char *path, const struct herd_http_limits *limits)
{
	struct herd_http_request r = get(path);
	struct herd_http_answer a;

	if (limits)
		r.limits = *limits;
	int e = ask(&r, &a);

	if (e)
		assert_int_equal(a.body.len, 0);
	herd_http_answer_deinit(&a);
	return e;
}

/* ---- what is right ---- */

static void test_answer(void **state)
{
	struct herd_http_request r = get("/x");
	struct herd_http_answer a;
	char buf[64], small[4];

	(void)state;
	SCRIPT(&server, { .headers = "X-One:  1 \r\nx-two: a\r\n  b\r\n"
				     "X-One: 2\r\nX-Ctl: a\tb\x01"
				     "c\r\n"
				     "X-Empty:\r\n",
			  .body = "hello" });
	assert_int_equal(ask(&r, &a), 0);
	assert_int_equal(a.status, 200);
	assert_int_equal(a.body.len, 5);
	assert_memory_equal(a.body.data, "hello", 5);
	assert_string_equal(herd_http_header(&a, "x-one", buf, 64), "1");
	assert_string_equal(herd_http_header(&a, "X-TWO", buf, 64), "a b");
	assert_string_equal(herd_http_header(&a, "X-Ctl", buf, 64), "a bc");
	assert_string_equal(herd_http_header(&a, "X-Empty", buf, 64), "");
	assert_string_equal(herd_http_header(&a, "content-length", small, 4),
			    "5");
	assert_null(herd_http_header(&a, "x-on", buf, 64));
	assert_null(herd_http_header(&a, "one", buf, 64));
	assert_true(a.received > 5 + 60 && a.received < 300);
	assert_int_equal(a.sent, server.shared->last_len);
	herd_http_answer_deinit(&a);
}

static void test_statuses(void **state)
{
	static const unsigned statuses[] = { 201, 301, 302, 307, 400,
					     403, 404, 500, 503 };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(statuses); i++) {
		struct herd_http_request r = get("/x");
		struct herd_http_answer a;

		SCRIPT(&server, { .status = statuses[i],
				  .headers = "Location: /elsewhere\r\n",
				  .body = "why" });
		assert_int_equal(ask(&r, &a), 0);
		assert_int_equal(a.status, statuses[i]);
		assert_int_equal(a.body.len, 3);
		assert_int_equal(server.shared->requests, 1);
		herd_http_answer_deinit(&a);
	}
}

static bool sent(const char *text)
{
	return strcasestr(server.shared->last, text);
}

static void test_sent_as_it_is(void **state)
{
	static const char *const headers[] = { "X-Empty:", "X-Some: a  b ",
					       "Authorization: AWS4 x" };
	static const char line[] =
		"GET /a/../b//./c/%2f%2F/%e4?x=%2b%2B&&y=AQ%3D%3D&z "
		"HTTP/1.1\r\n";
	struct herd_http_request r =
		get("/a/../b//./c/%2f%2F/%e4?x=%2b%2B&&y=AQ%3D%3D&z");
	struct herd_http_answer a;

	(void)state;
	r.headers = headers;
	r.n_headers = ARRAY_SIZE(headers);
	SCRIPT(&server, { .body = "x" });
	assert_int_equal(ask(&r, &a), 0);
	herd_http_answer_deinit(&a);
	assert_memory_equal(server.shared->last, line, strlen(line));
	assert_true(sent("\r\nX-Empty:\r\n"));
	assert_true(sent("\r\nX-Some: a  b"));
	assert_true(sent("\r\nAuthorization: AWS4 x\r\n"));
	assert_true(sent("\r\nHost: 127.0.0.1:"));
	assert_false(sent("Content-"));
	assert_false(sent("Accept-Encoding"));
}

static void test_methods(void **state)
{
	static const char *const type[] = { "Content-Type: text/x" };
	static char large[3 << 20];
	struct herd_http_request r = get("/token");
	struct herd_http_answer a;

	(void)state;
	SCRIPT(&server, { .body = "x" });
	r.method = "PUT";
	assert_int_equal(ask(&r, &a), 0);
	herd_http_answer_deinit(&a);
	assert_true(sent("PUT /token"));
	assert_true(sent("\r\nContent-Length: 0\r\n"));
	assert_false(sent("Content-Type"));

	r.method = "POST";
	r.body = "Action=X\0&Version=1";
	r.body_len = 19;
	r.headers = type;
	r.n_headers = 1;
	assert_int_equal(ask(&r, &a), 0);
	herd_http_answer_deinit(&a);
	assert_true(sent("\r\nContent-Type: text/x\r\n"));
	assert_true(sent("\r\nContent-Length: 19\r\n"));
	assert_memory_equal(server.shared->last + server.shared->last_len - 19,
			    "Action=X\0&Version=1", 19);

	r.body = large;
	r.body_len = sizeof(large);
	assert_int_equal(ask(&r, &a), 0);
	assert_true(a.sent > sizeof(large));
	herd_http_answer_deinit(&a);
	assert_false(sent("Expect"));
}

static void test_interim_and_trailer(void **state)
{
	struct herd_http_request r = get("/7");
	struct herd_http_answer a;
	char buf[32];

	(void)state;
	SCRIPT(&server, { .fault = FAULT_CHUNKED,
			  .generate = 100000,
			  .headers = "X-Head: 1\r\n" });
	assert_int_equal(ask(&r, &a), 0);
	assert_int_equal(a.body.len, 100000);
	for (size_t i = 0; i < a.body.len; i++)
		assert_int_equal(a.body.data[i], fixture_byte(7, i));
	assert_non_null(herd_http_header(&a, "X-Head", buf, sizeof(buf)));
	assert_null(herd_http_header(&a, "X-Trailer", buf, sizeof(buf)));
	herd_http_answer_deinit(&a);

	/* an interim answer: its head is not the answer's */
	SCRIPT(&server, { .status = 103,
			  .headers = "Link: x\r\n\r\nHTTP/1.1 200 X\r\n"
				     "X-Head: 2\r\n",
			  .body = "ok" });
	assert_int_equal(ask(&r, &a), 0);
	assert_int_equal(a.status, 200);
	assert_null(herd_http_header(&a, "Link", buf, sizeof(buf)));
	assert_string_equal(herd_http_header(&a, "X-Head", buf, sizeof(buf)),
			    "2");
	herd_http_answer_deinit(&a);
}

static void test_not_requests(void **state)
{
	static const char *const urls[] = { "file:///etc/passwd",
					    "ftp://x/",
					    "127.0.0.1/",
					    "http://x/\r\ny",
					    "http://x/a b",
					    "http://x/#y",
					    "" };
	static const char *const bad[] = { "X: a\r\nEvil: b", "no colon",
					   ": x" };
	struct herd_http_answer a;

	(void)state;
	SCRIPT(&server, { .body = "x" });
	for (size_t i = 0; i < ARRAY_SIZE(urls); i++) {
		struct herd_http_request r = get("/");

		r.url = urls[i];
		assert_int_equal(ask(&r, &a), -EINVAL);
	}
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		struct herd_http_request r = get("/");

		r.headers = &bad[i];
		r.n_headers = 1;
		assert_int_equal(ask(&r, &a), -EINVAL);
	}
	struct herd_http_request r = get("/");

	r.method = "GET /x HTTP/1.1\r\nEvil: b";
	assert_int_equal(ask(&r, &a), -EINVAL);
	assert_int_equal(server.shared->requests, 0);
}

/* ---- what is wrong ---- */

static void test_faults(void **state)
{
	static const struct {
		enum fault fault;
		int err;
	} cases[] = {
		{ FAULT_RESET, -ECONNRESET },
		{ FAULT_CUT, -EPROTO },
		{ FAULT_RESET_MID, -ECONNRESET },
		{ FAULT_GARBAGE, -EPROTO },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		SCRIPT(&server, { .fault = cases[i].fault, .generate = 5000 });
		assert_int_equal(ask_path("/1", NULL), cases[i].err);
	}
}

static void test_timeouts(void **state)
{
	const struct herd_http_limits first = { .first_byte_ms = 200 };
	const struct herd_http_limits stall = { .stall_ms = 200 };
	const struct herd_http_limits total = { .total_ms = 300 };
	struct herd_http_request r = get("/1");
	struct herd_http_answer a;

	(void)state;
	SCRIPT(&server, { .fault = FAULT_SLOW, .generate = 5000 });
	r.limits = first;
	assert_int_equal(ask(&r, &a), -ETIMEDOUT);
	assert_string_equal(a.reason, "no answer within 200 ms");
	herd_http_answer_deinit(&a);
	SCRIPT(&server, { .fault = FAULT_STALL, .generate = 5000 });
	r.limits = stall;
	assert_int_equal(ask(&r, &a), -ETIMEDOUT);
	assert_string_equal(a.reason, "the answer stopped coming for 200 ms");
	herd_http_answer_deinit(&a);
	SCRIPT(&server, { .fault = FAULT_TRICKLE, .generate = 5000 });
	r.limits = total;
	assert_int_equal(ask(&r, &a), -ETIMEDOUT);
	assert_string_equal(a.reason, "not done within 300 ms");
	herd_http_answer_deinit(&a);
}

/* Nobody accepts, and the kernel's queue is full: no answer to a SYN. */
static void test_no_connection(void **state)
{
	const struct herd_http_limits limits = { .connect_ms = 300 };
	struct sockaddr_in to = { .sin_family = AF_INET };
	uint16_t real = server.port, port;
	int fd = fixture_bind(&port), clients[8];

	(void)state;
	server.port = port; /* bound, and nobody listens */
	assert_int_equal(ask_path("/1", NULL), -ECONNREFUSED);
	assert_int_equal(listen(fd, 0), 0);
	to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	to.sin_port = htons(port);
	for (size_t i = 0; i < ARRAY_SIZE(clients); i++) {
		clients[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
		(void)connect(clients[i], (struct sockaddr *)&to, sizeof(to));
	}
	assert_int_equal(ask_path("/1", &limits), -ETIMEDOUT);
	for (size_t i = 0; i < ARRAY_SIZE(clients); i++)
		close(clients[i]);
	close(fd);
	server.port = real;
}

static void test_too_long(void **state)
{
	struct herd_http_request r = get("/1");
	struct herd_http_answer a;

	(void)state;
	r.answer_max = 9999;
	SCRIPT(&server, { .generate = 10000 });
	assert_int_equal(ask(&r, &a), -EOVERFLOW);
	herd_http_answer_deinit(&a);
	SCRIPT(&server, { .fault = FAULT_CHUNKED, .generate = 10000 });
	assert_int_equal(ask(&r, &a), -EOVERFLOW);
	herd_http_answer_deinit(&a);
	r.answer_max = 10000;
	SCRIPT(&server, { .fault = FAULT_CHUNKED, .generate = 10000 });
	assert_int_equal(ask(&r, &a), 0);
	assert_int_equal(a.body.len, 10000);
	herd_http_answer_deinit(&a);
	r.answer_max = 0;
	SCRIPT(&server, { .body = "x" });
	assert_int_equal(ask(&r, &a), -EOVERFLOW);
	herd_http_answer_deinit(&a);
	SCRIPT(&server, { .status = 200 });
	assert_int_equal(ask(&r, &a), 0);
	herd_http_answer_deinit(&a);

	SCRIPT(&server, { .fault = FAULT_HEAD });
	assert_int_equal(ask(&r, &a), -EOVERFLOW);
	assert_non_null(strstr(a.reason, "head"));
	herd_http_answer_deinit(&a);
}

/* ---- many ---- */

struct many {
	struct herd_http *h;
	unsigned done, wrong, again;
	int last_err;
};

static void on_block(void *arg, struct herd_http_answer *a)
{
	struct many *m = arg;

	m->done++;
	m->last_err = a->err;
	if (a->err || a->body.len != BLOCK ||
	    a->body.data[BLOCK - 1] - a->body.data[0] !=
		    fixture_byte(0, BLOCK - 1) - fixture_byte(0, 0))
		m->wrong++;
	if (m->again) {
		struct herd_http_request r = get("/blocks/0");

		m->again--;
		assert_int_equal(herd_http_add(m->h, &r, on_block, m), 0);
	}
}

static void test_parallel(void **state)
{
	struct many m = { .h = client(4), .again = 10 };

	(void)state;
	SCRIPT(&server, { .generate = BLOCK });
	server.shared->hold_ms = 2;
	for (unsigned i = 0; i < 40; i++) {
		struct herd_http_request r = get("/blocks/0");

		assert_int_equal(herd_http_add(m.h, &r, on_block, &m), 0);
	}
	assert_int_equal(herd_http_pending(m.h), 40);
	while (herd_http_pending(m.h))
		assert_int_equal(herd_http_run(m.h, NULL, 0, -1), 0);
	assert_int_equal(m.done, 50);
	assert_int_equal(m.wrong, 0);
	assert_int_equal(server.shared->requests, 50);
	assert_true(server.shared->connections <= 4);
	assert_true(server.shared->most_in_flight <= 4);
	assert_true(server.shared->most_in_flight > 1);
	herd_http_destroy(m.h);
}

static void test_kept_connections(void **state)
{
	struct herd_http *h = client(0);
	struct herd_http_request r = get("/1");
	struct herd_http_answer a;

	(void)state;
	SCRIPT(&server, { .generate = 100 });
	for (unsigned i = 0; i < 20; i++) {
		assert_int_equal(herd_http_do(h, &r, &a), 0);
		herd_http_answer_deinit(&a);
	}
	assert_int_equal(server.shared->connections, 1);
	r.fresh = true;
	assert_int_equal(herd_http_do(h, &r, &a), 0);
	herd_http_answer_deinit(&a);
	assert_int_equal(server.shared->connections, 2);
	r.fresh = false;
	SCRIPT(&server, { .generate = 100, .fault = FAULT_CLOSE });
	for (unsigned i = 0; i < 20; i++) {
		assert_int_equal(herd_http_do(h, &r, &a), 0);
		herd_http_answer_deinit(&a);
	}
	herd_http_destroy(h);
}

/* A body's memory, given back, has the next body, and nothing of the last. */
static void test_recycled(void **state)
{
	struct herd_http *h = client(2);
	struct herd_http_request r = get("/blocks/1");
	struct herd_http_answer a;
	static const size_t sizes[] = { BLOCK, BLOCK, 200000, 10, BLOCK };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		SCRIPT(&server, { .generate = sizes[i] });
		assert_int_equal(herd_http_do(h, &r, &a), 0);
		assert_int_equal(a.body.len, sizes[i]);
		for (size_t k = 0; k < a.body.len; k++)
			if (a.body.data[k] != fixture_byte(1, k))
				fail_msg("byte %zu of %zu", k, a.body.len);
		herd_http_recycle(h, &a.body);
		assert_true(!a.body.data && !a.body.len);
		herd_http_recycle(h, &a.body);
		herd_http_answer_deinit(&a);
	}
	/* one that failed is given back by itself */
	SCRIPT(&server, { .generate = BLOCK, .fault = FAULT_CUT },
	       { .generate = BLOCK });
	assert_int_equal(herd_http_do(h, &r, &a), -EPROTO);
	assert_int_equal(a.body.len, 0);
	herd_http_answer_deinit(&a);
	assert_int_equal(herd_http_do(h, &r, &a), 0);
	assert_int_equal(a.body.len, BLOCK);
	herd_http_answer_deinit(&a);
	herd_http_destroy(h);
}

static void test_destroy_pending(void **state)
{
	struct many m = { .h = client(3) };

	(void)state;
	SCRIPT(&server, { .fault = FAULT_SLOW });
	for (unsigned i = 0; i < 10; i++) {
		struct herd_http_request r = get("/blocks/0");

		assert_int_equal(herd_http_add(m.h, &r, on_block, &m), 0);
	}
	assert_int_equal(herd_http_run(m.h, NULL, 0, 50), 0);
	assert_int_equal(herd_http_pending(m.h), 10);
	assert_int_equal(m.done, 0);
	herd_http_destroy(m.h);
	assert_int_equal(m.done, 10);
	assert_int_equal(m.last_err, -ECANCELED);
}

static void test_extra_descriptors(void **state)
{
	struct many m = { .h = client(0) };
	struct herd_http_request r = get("/blocks/0");
	int fds[2];

	(void)state;
	SCRIPT(&server, { .fault = FAULT_SLOW });
	assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
	struct pollfd extra[] = { { fds[0], POLLIN, -1 }, { -1, POLLIN, -1 } };

	/* nothing to do: an end all the same */
	assert_int_equal(herd_http_run(m.h, extra, 2, 10), 0);
	assert_int_equal(extra[0].revents, 0);
	assert_int_equal(extra[1].revents, 0);
	assert_int_equal(herd_http_run(m.h, NULL, 0, 0), 0);
	assert_int_equal(herd_http_run(m.h, NULL, 0, -1), 0);
	assert_int_equal(herd_http_add(m.h, &r, on_block, &m), 0);
	assert_int_equal(write(fds[1], "x", 1), 1);
	assert_int_equal(herd_http_run(m.h, extra, 2, -1), 0);
	assert_int_equal(extra[0].revents, POLLIN);
	assert_int_equal(m.done, 0);
	char c;

	assert_int_equal(read(fds[0], &c, 1), 1);
	close(fds[1]);
	assert_int_equal(herd_http_run(m.h, extra, 2, -1), 0);
	assert_int_equal(extra[0].revents, POLLHUP);
	close(fds[0]);
	herd_http_destroy(m.h);
	assert_int_equal(m.done, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_answer),
		cmocka_unit_test(test_statuses),
		cmocka_unit_test(test_sent_as_it_is),
		cmocka_unit_test(test_methods),
		cmocka_unit_test(test_interim_and_trailer),
		cmocka_unit_test(test_not_requests),
		cmocka_unit_test(test_faults),
		cmocka_unit_test(test_timeouts),
		cmocka_unit_test(test_no_connection),
		cmocka_unit_test(test_too_long),
		cmocka_unit_test(test_parallel),
		cmocka_unit_test(test_kept_connections),
		cmocka_unit_test(test_recycled),
		cmocka_unit_test(test_destroy_pending),
		cmocka_unit_test(test_extra_descriptors),
	};

	return cmocka_run_group_tests(tests, start, stop);
}
