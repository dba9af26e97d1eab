/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The child writes what it found as lines of fields with tabs between them;
 * nothing in them has a tab or a newline, for EC2's members are checked.
 *
 *	i ID LIFECYCLE STATE ERR TEXT   an instance; b: the baseline
 *	d DEVICE VOLUME SNAPSHOT GIB MADE   a disk of the last one
 *	t KIND VALUE                    a token of the last one
 *	m ID ERR BYTES ALREADY PATH TEXT   a memory
 *	n COUNT                         snapshots that were deleted
 *	e ERR SOURCE TEXT               the end, 0 when all went well
 *
 * Threads: the main thread.
 */
#include "tools/acquire_plan.h"

#include "acquire/base/cleanup.h"
#include "index/identity.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>

/* ---- the child ---- */

struct child {
	const struct herd_plan_options *o;
	FILE *out;
	bool terminal, shown;
};

static int64_t wall_clock(void)
{
	return (int64_t)time(NULL);
}

static void clear_line(struct child *c)
{
	if (c->shown)
		fputs("\r\033[K", stderr);
	c->shown = false;
}

static void say(void *arg, const char *line)
{
	struct child *c = arg;

	clear_line(c);
	if (!c->o->quiet)
		fprintf(stderr, "herdfs: %s\n", line);
}

static void show_progress(void *arg, size_t ready, size_t n, unsigned percent)
{
	struct child *c = arg;

	if (c->o->quiet || !c->terminal)
		return;
	fprintf(stderr, "\r\033[Kwaiting for snapshots: %zu of %zu, %u %% of the rest",
		ready, n, percent);
	fflush(stderr);
	c->shown = true;
}

static void put_captured(FILE *out, char letter, const struct herd_captured *m)
{
	char text[1024];

	fprintf(out, "%c\t%s\t%s\t%s\t%d\t%s\n", letter, m->instance,
		m->lifecycle, m->state, m->err,
		m->err || m->diag.message[0] ?
			herd_diag_format(&m->diag, m->err, text, sizeof(text)) :
			"");
	for (size_t i = 0; i < m->n_disks; i++)
		fprintf(out, "d\t%s\t%s\t%s\t%llu\t%d\n", m->disks[i].device,
			m->disks[i].volume, m->disks[i].snapshot,
			(unsigned long long)m->disks[i].gib, m->disks[i].made);
	for (size_t i = 0; i < m->n_tokens; i++)
		fprintf(out, "t\t%s\t%s\n", m->tokens[i].kind,
			m->tokens[i].value);
}

static void told(void *arg, const char *snapshot)
{
	struct child *c = arg;
	char line[128];

	snprintf(line, sizeof(line), "%s %s", snapshot,
		 c->o->capture.dry_run ? "would be deleted" : "deleted");
	say(c, line);
}

/* What an instance may be called is checked; of a path that is not known. */
static bool is_plain(const char *text)
{
	return !text[strcspn(text, "\t\n")];
}

static int capture_memory(struct child *c, struct herd_aws *aws,
			  struct herd_diag *diag)
{
	CLEANUP(herd_memory_capture_deinit) struct herd_memory_capture found = {
		.n = 0 };
	struct herd_capture_memory_options o = c->o->memory;
	char text[1024];
	int err;

	o.say = say;
	o.arg = c;
	if (!is_plain(o.dir))
		return herd_diag_set(diag, -EINVAL, o.dir, HERD_NO_OFFSET,
				     "has a tab or newline in its name");
	err = herd_capture_memory(aws, &o, &found, diag);
	for (size_t i = 0; i < found.n && !err; i++) {
		const struct herd_memory_captured *m = &found.v[i];

		fprintf(c->out, "m\t%s\t%d\t%llu\t%d\t%s\t%s\n", m->instance,
			m->err, (unsigned long long)m->bytes, m->already,
			m->path ? m->path : "",
			m->err ? herd_diag_format(&m->diag, m->err, text,
						  sizeof(text)) : "");
	}
	return err;
}

static int call_aws(struct child *c, struct herd_aws *aws,
		    struct herd_diag *diag)
{
	struct herd_capture_options capture = c->o->capture;
	struct herd_capture found = { 0 };
	size_t deleted = 0;
	int err;

	capture.say = say;
	capture.progress = show_progress;
	capture.arg = c;
	if (c->o->clean_up) {
		err = herd_capture_clean_up(aws, capture.case_id,
					    capture.dry_run, told, c, &deleted,
					    diag);
		fprintf(c->out, "n\t%zu\n", deleted);
		return err;
	}
	err = c->o->with_memory ? capture_memory(c, aws, diag) : 0;
	if (err || c->o->memory_only)
		return err;
	err = herd_capture(aws, &capture, &found, diag);
	clear_line(c);
	if (err)
		return err;
	put_captured(c->out, 'b', &found.baseline);
	for (size_t i = 0; i < found.n; i++)
		put_captured(c->out, 'i', &found.v[i]);
	herd_capture_deinit(&found);
	return 0;
}

static int work(struct child *c, struct herd_diag *diag)
{
	struct herd_aws_settings *settings = NULL;
	struct herd_aws_credentials *credentials = NULL;
	struct herd_http_options options = { 0 };
	struct herd_http *http = NULL;
	struct herd_aws *aws = NULL;
	int err = herd_aws_settings_load(&c->o->aws, &settings, diag);

	if (!err) {
		options.ca_bundle = herd_aws_ca_bundle(settings);
		err = herd_http_create(&options, &http, diag);
	}
	if (!err)
		err = herd_aws_credentials_create(settings, http, wall_clock,
						  &credentials);
	if (!err) {
		const struct herd_aws_config config = {
			.settings = settings, .http = http,
			.credentials = credentials };

		err = herd_aws_create(&config, &aws);
	}
	if (!err)
		err = call_aws(c, aws, diag);
	herd_aws_destroy(aws);
	herd_aws_credentials_destroy(credentials);
	herd_http_destroy(http);
	herd_aws_settings_destroy(settings);
	return err;
}

_Noreturn static void child_main(const struct herd_plan_options *o, int fd)
{
	const struct rlimit none = { 0, 0 };
	struct herd_diag diag = { .offset = HERD_NO_OFFSET };
	struct child c = { .o = o, .out = fdopen(fd, "w"),
			   .terminal = isatty(STDERR_FILENO) };
	int err;

	setrlimit(RLIMIT_CORE, &none);
	prctl(PR_SET_PDEATHSIG, SIGTERM, 0, 0, 0);
	prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
	if (!c.out)
		_exit(1);
	err = work(&c, &diag);
	fprintf(c.out, "e\t%d\t%s\t%s\n", err, diag.source, diag.message);
	_exit(fflush(c.out) ? 1 : 0);
}

/* ---- the parent ---- */

struct reader {
	struct herd_capture found;
	struct herd_memory_capture memory;
	struct herd_captured *last;
	size_t deleted;
	int err;
	bool ended;
	struct herd_diag *diag;
};

/* The next field, in place; "" at the end. */
static const char *field(char **at)
{
	const char *text = strsep(at, "\t");

	return text ? text : "";
}

static int take_member(struct reader *r, char letter, char **at)
{
	struct herd_capture *c = &r->found;

	r->last = &c->baseline;
	if (letter == 'i') {
		struct herd_captured *v = reallocarray(c->v, c->n + 1,
						       sizeof(*v));

		if (!v)
			return -ENOMEM;
		c->v = v;
		r->last = &v[c->n++];
	}
	*r->last = (struct herd_captured){ 0 };
	herd_diag_clear(&r->last->diag);
	snprintf(r->last->instance, sizeof(r->last->instance), "%s", field(at));
	snprintf(r->last->lifecycle, sizeof(r->last->lifecycle), "%s",
		 field(at));
	snprintf(r->last->state, sizeof(r->last->state), "%s", field(at));
	r->last->err = atoi(field(at));
	snprintf(r->last->diag.message, sizeof(r->last->diag.message), "%s",
		 field(at));
	return 0;
}

static int take_memory(struct herd_memory_capture *c, char **at)
{
	struct herd_memory_captured *v = reallocarray(c->v, c->n + 1,
						      sizeof(*v)), *m;
	const char *path;

	if (!v)
		return -ENOMEM;
	c->v = v;
	m = &v[c->n++];
	*m = (struct herd_memory_captured){ .err = 0 };
	herd_diag_clear(&m->diag);
	snprintf(m->instance, sizeof(m->instance), "%s", field(at));
	m->err = atoi(field(at));
	m->bytes = strtoull(field(at), NULL, 10);
	m->already = atoi(field(at));
	path = field(at);
	m->path = *path ? strdup(path) : NULL;
	snprintf(m->diag.message, sizeof(m->diag.message), "%s", field(at));
	return *path && !m->path ? -ENOMEM : 0;
}

static int take_disk(struct herd_captured *m, char **at)
{
	struct herd_captured_disk *d = reallocarray(m->disks, m->n_disks + 1,
						    sizeof(*d));

	if (!d)
		return -ENOMEM;
	m->disks = d;
	d += m->n_disks++;
	*d = (struct herd_captured_disk){ 0 };
	snprintf(d->device, sizeof(d->device), "%s", field(at));
	snprintf(d->volume, sizeof(d->volume), "%s", field(at));
	snprintf(d->snapshot, sizeof(d->snapshot), "%s", field(at));
	d->gib = strtoull(field(at), NULL, 10);
	d->made = atoi(field(at));
	return 0;
}

static int take_token(struct herd_captured *m, char **at)
{
	const char *kind = field(at);
	struct herd_captured_token *t;

	for (unsigned k = 0; k < HERD_TOKEN_MAX; k++) {
		if (strcmp(herd_token_name(k), kind) != 0)
			continue;
		t = reallocarray(m->tokens, m->n_tokens + 1, sizeof(*t));
		if (!t)
			return -ENOMEM;
		m->tokens = t;
		t[m->n_tokens].kind = herd_token_name(k);
		t[m->n_tokens].value = strdup(field(at));
		return t[m->n_tokens].value ? (m->n_tokens++, 0) : -ENOMEM;
	}
	return 0;
}

static int take_end(struct reader *r, char **at)
{
	const char *source;

	r->ended = true;
	r->err = atoi(field(at));
	source = field(at);
	return !r->err ? 0 :
	       (herd_diag_set(r->diag, r->err, source, HERD_NO_OFFSET, "%s",
			      field(at)), 0);
}

static int take_line(struct reader *r, char *line)
{
	char *at = line;
	const char *letter = field(&at);

	switch (letter[0]) {
	case 'i':
	case 'b':
		return take_member(r, letter[0], &at);
	case 'd':
		return r->last ? take_disk(r->last, &at) : 0;
	case 't':
		return r->last ? take_token(r->last, &at) : 0;
	case 'm':
		return take_memory(&r->memory, &at);
	case 'n':
		r->deleted = strtoull(field(&at), NULL, 10);
		return 0;
	case 'e':
		return take_end(r, &at);
	default:
		return 0;
	}
}

static int read_all(struct reader *r, int fd)
{
	CLEANUP_FREE char *line = NULL;
	FILE *in = fdopen(fd, "r");
	size_t size = 0;
	ssize_t n;
	int err = 0;

	if (!in) {
		close(fd);
		return -ENOMEM;
	}
	while (!err && (n = getline(&line, &size, in)) > 0) {
		line[strcspn(line, "\n")] = '\0';
		err = take_line(r, line);
	}
	fclose(in);
	return err;
}

int herd_plan_run(const struct herd_plan_options *o, struct herd_capture *ret,
		  struct herd_memory_capture *ret_memory, size_t *ret_deleted,
		  struct herd_diag *diag)
{
	struct reader r = { .diag = diag };
	int fds[2], status = 0, err;
	pid_t pid;

	if (pipe2(fds, O_CLOEXEC))
		return -errno;
	fflush(NULL);
	pid = fork();
	if (pid == 0) {
		close(fds[0]);
		child_main(o, fds[1]);
	}
	close(fds[1]);
	if (pid < 0) {
		close(fds[0]);
		return -EAGAIN;
	}
	err = read_all(&r, fds[0]);
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	if (!err && !r.ended)
		err = herd_diag_set(diag, -EIO, o->capture.group ?: "",
				    HERD_NO_OFFSET,
				    "the process that talks to AWS has ended");
	if (!err)
		err = r.err;
	*ret_deleted = r.deleted;
	/* memory that was brought home is not lost by what came after it */
	*ret_memory = r.memory;
	if (err)
		herd_capture_deinit(&r.found);
	else
		*ret = r.found;
	return err;
}
