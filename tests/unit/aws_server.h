/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tests/aws/credential_server.py as a child of the test. It ends with it.
 */
#ifndef HERD_AWS_SERVER_H
#define HERD_AWS_SERVER_H

#include "acquire/aws/http.h"
#include "aws_fixture.h"

#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#define AWS_SERVER "tests/aws/credential_server.py"

struct aws_server {
	pid_t pid;
	unsigned port;
	char base[80]; /* "http://127.0.0.1:4711" */
};

/* Where the test is run from: the top folder. false: no python3. */
static inline bool aws_server_start(struct aws_server *s, const char *bind,
				    unsigned port, const char *token_file)
{
	int ends[2];
	char want[16], line[32] = "";

	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	snprintf(want, sizeof(want), "%u", port);
	s->pid = fork();
	assert_true(s->pid >= 0);
	if (!s->pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
		dup2(ends[1], 1);
		execlp("python3", "python3", "-B", AWS_SERVER, "--bind", bind,
		       "--port", want, "--web-token", token_file, NULL);
		_exit(127);
	}
	close(ends[1]);

	FILE *f = fdopen(ends[0], "r");
	bool up = f && fgets(line, sizeof(line), f) &&
		  (s->port = (unsigned)strtoul(line, NULL, 10)) > 0;

	if (f)
		fclose(f);
	if (!up) {
		waitpid(s->pid, NULL, 0);
		s->pid = -1;
		return false;
	}
	snprintf(s->base, sizeof(s->base), "http://%s:%u", bind, s->port);
	return true;
}

static inline void aws_server_stop(struct aws_server *s)
{
	if (s->pid > 0) {
		kill(s->pid, SIGKILL);
		waitpid(s->pid, NULL, 0);
	}
	s->pid = -1;
}

static inline unsigned aws_server_ask(const struct aws_server *s,
				      const char *method, const char *path)
{
	const struct herd_http_options o = { .no_proxy = true };
	struct herd_http_answer a;
	struct herd_http *h;
	char url[200], text[32] = "";

	snprintf(url, sizeof(url), "%s%s", s->base, path);

	struct herd_http_request r = { .method = method,
				       .url = url,
				       .answer_max = 1000 };

	assert_int_equal(herd_http_create(&o, &h, NULL), 0);
	assert_int_equal(herd_http_do(h, &r, &a), 0);
	assert_int_equal(a.status, 200);
	if (a.body.len < sizeof(text) && a.body.len)
		memcpy(text, a.body.data, a.body.len);
	herd_http_answer_deinit(&a);
	herd_http_destroy(h);
	return (unsigned)strtoul(text, NULL, 10);
}

/* How often something was asked for. */
static inline unsigned aws_server_count(const struct aws_server *s,
					const char *what)
{
	char path[100];

	snprintf(path, sizeof(path), "/count/%s", what);
	return aws_server_ask(s, "GET", path);
}

#endif
