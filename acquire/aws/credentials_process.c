/* SPDX-License-Identifier: Apache-2.0 */
/*
 * credential_process: a program of the user's that prints keys as JSON. It is
 * started without a shell, as the AWS CLI does, with nothing open but
 * /dev/null and two pipes, in a process group of its own so that all of it can
 * be ended. Its stderr is told in part, when it fails: it is where such
 * programs say what the user has to do.
 */
#include "acquire/aws/credentials_impl.h"

#include <ctype.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/wait.h>
#include <time.h>

#define OUTPUT_MAX (64u << 10)
#define ERRORS_MAX 300
#define TIMEOUT_MS 60000 /* herd_aws_credentials.process_ms is for tests */

/* ---- words ---- */

/* Copies one word from *from to *to, with its quotes taken away. */
static int take_word(const char **from, char **to)
{
	char quote = 0;

	for (; **from; (*from)++) {
		char c = **from;

		if (!quote && isspace((unsigned char)c))
			break;
		if (!quote && (c == '\'' || c == '"')) {
			quote = c;
		} else if (quote && c == quote) {
			quote = 0;
		} else if (c == '\\' && quote != '\'' && (*from)[1] &&
			   (!quote || strchr("\"\\", (*from)[1]))) {
			*(*to)++ = *++(*from);
		} else if (c == '\\' && !quote) {
			return -EINVAL; /* nothing behind it */
		} else {
			*(*to)++ = c;
		}
	}
	*(*to)++ = '\0';
	return quote ? -EINVAL : 0;
}

int herd_credentials_words(const char *command, char **ret_text,
			   char *ret_words[HERD_WORDS_MAX + 1])
{
	/* a word is never longer than it was, but for the NUL of the last */
	CLEANUP_FREE char *text = malloc(strlen(command) + 2);
	char *to = text;
	size_t n = 0;

	if (!text)
		return -ENOMEM;
	for (;;) {
		int err;

		while (isspace((unsigned char)*command))
			command++;
		if (!*command)
			break;
		if (n == HERD_WORDS_MAX)
			return -E2BIG;
		ret_words[n++] = to;
		err = take_word(&command, &to);
		if (err)
			return err;
	}
	if (!n)
		return -ENOENT;
	ret_words[n] = NULL;
	*ret_text = TAKE_PTR(text);
	return 0;
}

/* ---- the child ---- */

struct child {
	pid_t pid;
	int pidfd, out, errors;
	struct herd_buf output;
	char said[ERRORS_MAX + 1];
	size_t n_said;
	bool too_long;
};

static void child_deinit(struct child *c)
{
	if (c->pid > 0) {
		kill(-c->pid, SIGKILL);
		while (waitpid(c->pid, NULL, 0) < 0 && errno == EINTR)
			;
	}
	herd_cleanup_fd(&c->pidfd);
	herd_cleanup_fd(&c->out);
	herd_cleanup_fd(&c->errors);
	herd_credentials_wipe_buf(&c->output);
}

struct plan {
	posix_spawn_file_actions_t files;
	posix_spawnattr_t attributes;
};

static void plan_deinit(struct plan *p)
{
	posix_spawn_file_actions_destroy(&p->files);
	posix_spawnattr_destroy(&p->attributes);
}

/* Positive error numbers, as posix_spawn's functions have them. */
static int make_plan(struct plan *p, int out, int errors)
{
	sigset_t none, all;

	sigemptyset(&none);
	sigfillset(&all);
	return posix_spawn_file_actions_addopen(&p->files, 0, "/dev/null", O_RDONLY, 0) ?:
		       posix_spawn_file_actions_adddup2(&p->files, out, 1)    ?:
		       posix_spawn_file_actions_adddup2(&p->files, errors, 2) ?:
		       posix_spawn_file_actions_addclosefrom_np(&p->files, 3) ?:
		       posix_spawnattr_setsigmask(&p->attributes, &none)      ?:
		       posix_spawnattr_setsigdefault(&p->attributes, &all)    ?:
		       posix_spawnattr_setpgroup(&p->attributes, 0)	      ?:
		       posix_spawnattr_setflags(&p->attributes,
						POSIX_SPAWN_SETSIGMASK |
							POSIX_SPAWN_SETSIGDEF |
							POSIX_SPAWN_SETPGROUP);
}

/* A pipe whose ends are above 2, so that none is in the child's way. */
static int high_pipe(int ends[2])
{
	int low[2], err = 0;

	if (pipe2(low, O_CLOEXEC))
		return -errno;
	for (int i = 0; i < 2; i++) {
		ends[i] = fcntl(low[i], F_DUPFD_CLOEXEC, 3);
		if (ends[i] < 0)
			err = -errno;
		close(low[i]);
	}
	return err;
}

static int start(struct child *c, char **words)
{
	CLEANUP_FD int out = -1;
	CLEANUP_FD int errors = -1;
	CLEANUP(plan_deinit) struct plan plan;
	int ends[2] = { -1, -1 }, err;

	posix_spawn_file_actions_init(&plan.files);
	posix_spawnattr_init(&plan.attributes);
	err = high_pipe(ends);
	c->out = ends[0];
	out = ends[1];
	if (err)
		return err;
	ends[0] = ends[1] = -1;
	err = high_pipe(ends);
	c->errors = ends[0];
	errors = ends[1];
	if (err)
		return err;
	err = make_plan(&plan, out, errors) ?:
		      posix_spawnp(&c->pid, words[0], &plan.files,
				   &plan.attributes, words, environ);
	if (err) {
		c->pid = -1;
		return -err;
	}
	c->pidfd = pidfd_open(c->pid, 0);
	return c->pidfd < 0 ? -errno : 0;
}

/* ---- listening ---- */

/* One read; closes *fd at its end. */
static void listen_once(struct child *c, int *fd)
{
	char block[4096];
	ssize_t n = read(*fd, block, sizeof(block));

	if (n < 0 && (errno == EINTR || errno == EAGAIN))
		return;
	if (n <= 0) {
		herd_cleanup_fd(fd);
		*fd = -1;
	} else if (fd == &c->errors) {
		size_t room = ERRORS_MAX - c->n_said;
		size_t take = (size_t)n < room ? (size_t)n : room;

		memcpy(c->said + c->n_said, block, take);
		c->n_said += take;
	} else if (c->output.len + (size_t)n > OUTPUT_MAX) {
		c->too_long = true;
	} else {
		herd_buf_put(&c->output, block, (size_t)n);
	}
	explicit_bzero(block, sizeof(block));
}

static int64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* Until it has ended and what it wrote is read; whom it left behind with its
   pipes open is not waited for. */
static int listen_to(struct child *c, int timeout_ms)
{
	int64_t deadline = now_ms() + timeout_ms;

	for (;;) {
		struct pollfd p[3] = {
			{ .fd = c->out, .events = POLLIN },
			{ .fd = c->errors, .events = POLLIN },
			{ .fd = c->pidfd, .events = POLLIN },
		};
		int64_t left = deadline - now_ms();
		int n = poll(p, 3, left > 0 ? (int)left : 0);

		if (n < 0 && errno != EINTR)
			return -errno;
		if (n <= 0 && left <= 0)
			return -ETIMEDOUT;
		if (n <= 0)
			continue;
		if (p[0].revents)
			listen_once(c, &c->out);
		if (p[1].revents)
			listen_once(c, &c->errors);
		if (c->too_long)
			return -EOVERFLOW;
		if (p[2].revents && !p[0].revents && !p[1].revents)
			return herd_buf_error(&c->output);
	}
}

/* ---- what it printed ---- */

static int read_keys(const struct child *c,
		     const struct herd_credentials_wish *w,
		     struct herd_aws_keys *ret, struct herd_diag *diag)
{
	CLEANUP(herd_credentials_fields_deinit)
	struct herd_credentials_fields f = {
		.names = { "Version", "AccessKeyId", "SecretAccessKey",
			   "SessionToken", "Expiration" },
	};
	CLEANUP(herd_aws_keys_deinit)
	struct herd_aws_keys k = { NULL, NULL, NULL, 0 };
	int err =
		herd_credentials_json(c->output.data, c->output.len, NULL, &f);

	if (err == -ENOMEM)
		return err;
	if (err)
		return herd_diag_set(diag, -EBADMSG, NULL, HERD_NO_OFFSET,
				     "credential_process printed no JSON "
				     "object");
	if (!f.values[0] || strcmp(f.values[0], "1"))
		return herd_diag_set(
			diag, -EBADMSG, NULL, HERD_NO_OFFSET,
			"credential_process printed a Version other "
			"than 1");
	err = herd_credentials_set(f.values[1], f.values[2], f.values[3],
				   f.values[4], &k, diag);
	if (err)
		return err;
	if (k.expires && k.expires <= herd_credentials_now(w->c))
		return herd_diag_set(diag, -EKEYEXPIRED, NULL, HERD_NO_OFFSET,
				     "credential_process printed keys that "
				     "expired at %.40s",
				     f.values[4]);
	*ret = k;
	k = (struct herd_aws_keys){ NULL, NULL, NULL, 0 };
	return 0;
}

/* The end of the child: 0, or what it said. */
static int reap(struct child *c, struct herd_diag *diag)
{
	int status = 0;
	pid_t got;

	do
		got = waitpid(c->pid, &status, 0);
	while (got < 0 && errno == EINTR);
	c->pid = -1; /* whom it left behind stays: it may be an agent */
	if (got < 0)
		return -errno;
	if (WIFEXITED(status) && !WEXITSTATUS(status))
		return 0;
	c->said[strcspn(c->said, "\r\n")] = '\0';
	return herd_diag_set(diag, -EIO, NULL, HERD_NO_OFFSET,
			     "credential_process failed (%s %d)%s%.200s",
			     WIFEXITED(status) ? "status" : "signal",
			     WIFEXITED(status) ? WEXITSTATUS(status) :
						 WTERMSIG(status),
			     *c->said ? ": " : "", c->said);
}

static int run(struct child *c, char **words, int timeout_ms,
	       struct herd_diag *diag)
{
	int err;

	/* room for all of it, so that it is not copied where it would grow */
	if (!herd_buf_extend(&c->output, OUTPUT_MAX))
		return -ENOMEM;
	c->output.len = 0;
	err = start(c, words);
	if (err)
		return herd_diag_set(diag, err == -ENOENT ? -EINVAL : err, NULL,
				     HERD_NO_OFFSET,
				     "credential_process: "
				     "%.100s cannot be started: %s",
				     words[0], strerror(-err));
	err = listen_to(c, timeout_ms);
	if (err == -ETIMEDOUT)
		return herd_diag_set(diag, err, NULL, HERD_NO_OFFSET,
				     "credential_process did not end within "
				     "%d ms",
				     timeout_ms);
	if (err == -EOVERFLOW)
		return herd_diag_set(diag, err, NULL, HERD_NO_OFFSET,
				     "credential_process printed more than %u "
				     "bytes",
				     OUTPUT_MAX);
	return err ?: reap(c, diag);
}

int herd_credentials_process(struct herd_credentials_wish *w,
			     struct herd_aws_keys *ret, struct herd_diag *diag)
{
	const char *command = herd_aws_profiles_get(
		w->profiles, HERD_AWS_BOTH, w->profile, "credential_process");
	CLEANUP(child_deinit)
	struct child child = {
		.pid = -1,
		.pidfd = -1,
		.out = -1,
		.errors = -1,
		.output = HERD_BUF_INIT,
	};
	CLEANUP_FREE char *text = NULL;
	char *words[HERD_WORDS_MAX + 1];
	int err;

	if (!command)
		return -ENOENT;
	err = herd_credentials_words(command, &text, words);
	if (err == -ENOMEM)
		return err;
	if (err)
		return herd_diag_set(diag, -EINVAL, NULL, HERD_NO_OFFSET,
				     "credential_process is not a command: %s",
				     err == -E2BIG  ? "too many words" :
				     err == -EINVAL ? "a quote is open" :
						      "it is empty");
	err = run(&child, words, w->c->process_ms ?: TIMEOUT_MS, diag) ?:
		      read_keys(&child, w, ret, diag);
	return err == -ENOENT ? -EIO : err;
}
