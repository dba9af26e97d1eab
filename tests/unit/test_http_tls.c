/* SPDX-License-Identifier: Apache-2.0 */
/*
 * HTTP over TLS: whose certificate is taken, and HTTP/2 where the server has it.
 * Servers: those of openssl and nghttp2, on 127.0.0.1.
 */
#include "acquire/aws/http.h"
#include "http_fixture.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define BLOCK 524288

static const char make_certificate[] =
	"cd %s && openssl req -x509 -newkey rsa:2048 -nodes -days 2 "
	"-subj /CN=herd -addext subjectAltName=IP:127.0.0.1 "
	"-keyout key.pem -out cert.pem >/dev/null 2>&1";

/* openssl's own little server; its port in *port. */
static pid_t serve_tls(const char *dir, unsigned *port)
{
	int out[2];
	char line[256];

	assert_int_equal(pipe(out), 0);
	pid_t pid = fork();

	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (chdir(dir) || dup2(out[1], 1) < 0 ||
		    !freopen("/dev/null", "w", stderr))
			_exit(1);
		execlp("openssl", "openssl", "s_server", "-accept",
		       "127.0.0.1:0", "-www", "-cert", "cert.pem", "-key",
		       "key.pem", (char *)NULL);
		_exit(1);
	}
	close(out[1]);
	FILE *f = fdopen(out[0], "r");

	*port = 0;
	while (!*port && fgets(line, sizeof(line), f))
		sscanf(line, "ACCEPT 127.0.0.1:%u", port);
	fclose(f);
	return pid;
}

static int ask_tls(unsigned port, const char *ca)
{
	const struct herd_http_options o = { .ca_bundle = ca };
	char url[64];
	const struct herd_http_request r = { .method = "GET",
					     .url = url,
					     .answer_max = 1 << 20 };
	struct herd_http_answer a;
	struct herd_http *h;

	snprintf(url, sizeof(url), "https://127.0.0.1:%u/", port);
	assert_int_equal(herd_http_create(&o, &h, NULL), 0);
	int e = herd_http_do(h, &r, &a);

	if (!e)
		assert_true(a.status == 200 && a.body.len > 100);
	herd_http_answer_deinit(&a);
	herd_http_destroy(h);
	return e;
}

/* A folder with a certificate in it; false: no openssl here. */
static bool certificate(char *dir)
{
	char command[512];

	assert_non_null(mkdtemp(dir));
	snprintf(command, sizeof(command), make_certificate, dir);
	if (!system(command))
		return true;
	rmdir(dir);
	print_message("skipped: no openssl here\n");
	return false;
}

static void remove_folder(const char *dir)
{
	char command[512];

	snprintf(command, sizeof(command), "rm -r %s", dir);
	assert_int_equal(system(command), 0);
}

static void test_tls(void **state)
{
	const struct herd_http_options missing = { .ca_bundle = "/nowhere" };
	char dir[] = "/tmp/herd-http-XXXXXX", ca[64];
	struct herd_diag diag;
	struct herd_http *h;
	unsigned port;

	(void)state;
	herd_diag_clear(&diag);
	assert_int_equal(herd_http_create(&missing, &h, &diag), -ENOENT);
	assert_non_null(strstr(diag.message, "CA bundle"));
	if (!certificate(dir))
		skip();
	pid_t pid = serve_tls(dir, &port);

	assert_true(port);
	snprintf(ca, sizeof(ca), "%s/cert.pem", dir);
	assert_int_equal(ask_tls(port, ca), 0);
	assert_int_equal(ask_tls(port, NULL), -EPROTO);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	remove_folder(dir);
}

/* nghttp2's server, with one file; false when it is not installed. */
static bool serve_http2(const char *dir, uint16_t *port, pid_t *pid)
{
	char path[128], number[16];
	int fd = fixture_bind(port);

	if (system("command -v nghttpd >/dev/null"))
		return false;
	snprintf(path, sizeof(path), "%s/0", dir);
	FILE *f = fopen(path, "wb");

	assert_non_null(f);
	for (size_t i = 0; i < BLOCK; i++)
		putc(fixture_byte(0, i), f);
	fclose(f);
	snprintf(number, sizeof(number), "%u", *port);
	close(fd);
	*pid = fork();
	if (!*pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (chdir(dir))
			_exit(1);
		execlp("nghttpd", "nghttpd", "-d", dir, "-a", "127.0.0.1",
		       number, "key.pem", "cert.pem", (char *)NULL);
		_exit(1);
	}
	return true;
}

static void on_block(void *arg, struct herd_http_answer *a)
{
	unsigned *right = arg;
	size_t i = 0;

	while (i < a->body.len && a->body.data[i] == fixture_byte(0, i))
		i++;
	*right += !a->err && a->status == 200 && i == BLOCK;
}

/* Many streams on one connection. */
static void test_http2(void **state)
{
	char dir[] = "/tmp/herd-http-XXXXXX", ca[64], url[64];
	const struct herd_http_options o = { .ca_bundle = ca,
					     .connections = 16 };
	struct herd_http_request r = { .method = "GET",
				       .url = url,
				       .answer_max = BLOCK };
	struct herd_http_answer a;
	struct herd_http *h;
	unsigned right = 0;
	uint16_t port;
	pid_t pid = -1;
	int e = -1;

	(void)state;
	if (!certificate(dir))
		skip();
	if (!serve_http2(dir, &port, &pid)) {
		remove_folder(dir);
		print_message("skipped: no nghttpd here\n");
		skip();
	}
	snprintf(ca, sizeof(ca), "%s/cert.pem", dir);
	snprintf(url, sizeof(url), "https://127.0.0.1:%u/0", port);
	assert_int_equal(herd_http_create(&o, &h, NULL), 0);
	for (unsigned i = 0; i < 200 && e; i++) { /* until it listens */
		e = herd_http_do(h, &r, &a);
		herd_http_answer_deinit(&a);
		if (e)
			usleep(50000);
	}
	assert_int_equal(e, 0);
	for (unsigned i = 0; i < 200; i++)
		assert_int_equal(herd_http_add(h, &r, on_block, &right), 0);
	while (herd_http_pending(h))
		assert_int_equal(herd_http_run(h, NULL, 0, -1), 0);
	assert_int_equal(right, 200);
	herd_http_destroy(h);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	remove_folder(dir);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_tls),
		cmocka_unit_test(test_http2),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
