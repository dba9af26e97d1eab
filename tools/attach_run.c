/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Attaches one instance after the other: runs the worker, says what came of
 * it. What the commands that attach have in common.
 *
 * Threads: the main thread.
 */
#include "tools/attach_run.h"

#include "acquire/base/cleanup.h"
#include "index/report.h"
#include "tools/attach_watch.h"
#include "tools/common.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>

#define STALL_SECONDS 60
/* A read over the network may take that long and still be answered. */
#define STALL_SECONDS_REMOTE 300
#define MEMORY_LEAST (1ull << 30)

/* ---- names ---- */

/* Whether it is shown as it is everywhere: in a listing, in JSON, as a folder. */
static bool shows_as_it_is(const char *name)
{
	CLEANUP_BUF struct herd_buf shown = HERD_BUF_INIT;

	herd_report_escape(&shown, name, strlen(name));
	return !shown.failed && shown.len == strlen(name);
}

/* What speaks against the name of a group or an instance; NULL: nothing. */
static const char *name_problem(const char *name, size_t max)
{
	if (!*name || !strcmp(name, ".") || !strcmp(name, "..") ||
	    strchr(name, '/'))
		return "it could not be a folder";
	if (strlen(name) > max)
		return "it is too long";
	if (!shows_as_it_is(name))
		return "it has characters that cannot be shown";
	return NULL;
}

const char *herd_attach_instance_problem(const char *name)
{
	/* what the group's folder holds beside its instances, or will */
	static const char *const taken[] = { "herd.json", "README.txt",
					     "clusters" };

	for (size_t i = 0; i < ARRAY_SIZE(taken); i++)
		if (strcmp(name, taken[i]) == 0)
			return "the group's folder has something else of that name";
	return name_problem(name, HERD_INSTANCE_NAME_MAX);
}

const char *herd_attach_group_problem(const char *name)
{
	return name_problem(name, HERD_GROUP_NAME_MAX);
}

/* ---- saying what came of it ---- */

static void say_attached(const char *label, const struct herd_job *job,
			 const struct herd_worker_shared *s, bool already)
{
	char entries[32], files[32], bytes[16], hashed[16], problems[32];

	printf("%s: %s%s: %s entries, %s, ", label,
	       already ? "already attached" :
	       job->verify ? "verified" : "attached",
	       job->role == HERD_ROLE_BASELINE ? " as baseline" : "",
	       herd_tool_count(s->entries, entries, sizeof(entries)),
	       herd_tool_bytes(s->bytes, bytes, sizeof(bytes)));
	herd_tool_count(s->hashed_files, files, sizeof(files));
	herd_tool_bytes(s->hashed_bytes, hashed, sizeof(hashed));
	printf("%s file%s hashed (%s)", files, s->hashed_files == 1 ? "" : "s",
	       hashed);
	if (s->inherited_files)
		printf(", the rest %s%s%s", s->provisional ?
		       "provisionally as in " : "unchanged from ",
		       s->reference[0] ? s->reference : "the reference",
		       s->provisional ?
		       ", by its metadata (herdfs verify reads it)" : "");
	fputs("; ", stdout);
	printf("%s problem%s\n",
	       herd_tool_count(s->problems, problems, sizeof(problems)),
	       s->problems == 1 ? "" : "s");
	for (size_t i = 0; i < HERD_WORKER_PROBLEMS && s->problem[i][0]; i++)
		printf("  %s\n", s->problem[i]);
	if (s->problems > HERD_WORKER_PROBLEMS)
		puts("  … herdfs status --problems shows all of them");
}

static void say_memory(const char *label, const struct herd_worker_shared *s,
		       bool already)
{
	const struct herd_memory_summary *m = &s->memory;
	char a[32], b[32], c[32], d[32], bytes[16];

	if (already) {
		printf("%s: its memory is attached already\n", label);
		return;
	}
	printf("%s: memory attached: %s of Linux %s, %s process%s, %s thread%s; ",
	       label, herd_tool_bytes(m->memory, bytes, sizeof(bytes)),
	       m->release, herd_tool_count(m->processes, a, sizeof(a)),
	       m->processes == 1 ? "" : "es",
	       herd_tool_count(m->threads, b, sizeof(b)),
	       m->threads == 1 ? "" : "s");
	printf("%s of %s pages of programs compared with the disk, %s changed; ",
	       herd_tool_count(m->pages_compared, a, sizeof(a)),
	       herd_tool_count(m->pages, b, sizeof(b)),
	       herd_tool_count(m->pages_changed, c, sizeof(c)));
	printf("%s problem%s\n", herd_tool_count(m->problems, d, sizeof(d)),
	       m->problems == 1 ? "" : "s");
}

static void json_memory(struct herd_json *j, const struct herd_memory_summary *m)
{
	herd_json_uint(j, "bytes", m->memory);
	herd_json_string(j, "release", m->release);
	herd_json_uint(j, "processes", m->processes);
	herd_json_uint(j, "threads", m->threads);
	herd_json_uint(j, "modules", m->modules);
	herd_json_uint(j, "pages", m->pages);
	herd_json_uint(j, "pages_compared", m->pages_compared);
	herd_json_uint(j, "pages_changed", m->pages_changed);
	herd_json_uint(j, "problems", m->problems);
	if (m->doubt[0])
		herd_json_string(j, "doubt", m->doubt);
}

static void json_line(const struct herd_job *job,
		      const struct herd_worker_shared *s, const char *result,
		      const char *error, double took)
{
	CLEANUP_BUF struct herd_buf out = HERD_BUF_INIT;
	struct herd_json j;

	herd_json_begin(&j, &out, 0);
	herd_json_object(&j, NULL);
	herd_json_string(&j, "group", job->group);
	herd_json_string(&j, "instance", job->instance);
	herd_json_string(&j, "role", job->role == HERD_ROLE_BASELINE ?
			 "baseline" : "member");
	herd_json_string(&j, "result", result);
	if (job->of_memory)
		herd_json_bool(&j, "memory", true);
	if (error) {
		herd_json_string(&j, "error", error);
	} else if (job->of_memory) {
		/* what is there already was not read again: nothing is known */
		if (s->outcome != HERD_OUTCOME_ALREADY)
			json_memory(&j, &s->memory);
	} else {
		herd_json_uint(&j, "entries", s->entries);
		herd_json_uint(&j, "files", s->files);
		herd_json_uint(&j, "bytes", s->bytes);
		herd_json_uint(&j, "hashed_files", s->hashed_files);
		herd_json_uint(&j, "hashed_bytes", s->hashed_bytes);
		herd_json_uint(&j, "inherited_files", s->inherited_files);
		herd_json_uint(&j, "inherited_bytes", s->inherited_bytes);
		herd_json_uint(&j, "problems", s->problems);
		herd_json_bool(&j, "provisional", s->provisional);
		if (s->reference[0])
			herd_json_string(&j, "reference", s->reference);
		else
			herd_json_null(&j, "reference");
	}
	herd_json_uint(&j, "milliseconds", (uint64_t)(took * 1000));
	herd_json_end(&j);
	herd_tool_print_json(&j, &out);
}

/* The worker may have been taken over: no text of its is trusted to end. */
static void make_safe(struct herd_worker_shared *s)
{
	s->diag.source[sizeof(s->diag.source) - 1] = '\0';
	s->diag.message[sizeof(s->diag.message) - 1] = '\0';
	s->reference[sizeof(s->reference) - 1] = '\0';
	s->no_reference[sizeof(s->no_reference) - 1] = '\0';
	s->missing[sizeof(s->missing) - 1] = '\0';
	herd_text_clean(s->reference);
	s->memory.release[sizeof(s->memory.release) - 1] = '\0';
	herd_text_clean(s->memory.release);
	s->memory.doubt[sizeof(s->memory.doubt) - 1] = '\0';
	herd_text_clean(s->memory.doubt);
	for (size_t i = 0; i < HERD_WORKER_PROBLEMS; i++) {
		s->problem[i][sizeof(s->problem[i]) - 1] = '\0';
		herd_text_clean(s->problem[i]);
	}
}

/* Why there is no result, as one line. */
static void describe_failure(char *text, size_t size,
			     const struct herd_attach_run *o,
			     const struct herd_job *job, enum herd_end end,
			     int status)
{
	const struct herd_worker_shared *s = o->shared;
	const char *stage = herd_stage_text(atomic_load(&s->progress.stage));
	char why[900];

	if (end == HERD_END_STOPPED)
		snprintf(text, size, "interrupted: not attached");
	else if (end == HERD_END_STALLED)
		snprintf(text, size, "the reader stood still for %u s while %s "
			 "and was ended: not attached", o->stall_seconds,
			 stage);
	else if (end == HERD_END_DIED && WIFSIGNALED(status))
		snprintf(text, size, "the reader crashed (signal %d, %s) while "
			 "%s: not attached", WTERMSIG(status),
			 strsignal(WTERMSIG(status)), stage);
	else if (end == HERD_END_DIED)
		snprintf(text, size, "the reader ended (status %d) while %s: "
			 "not attached", WEXITSTATUS(status), stage);
	else if (s->err == -ENOMEM)
		snprintf(text, size, "out of memory while %s: the reader may have "
			 "%llu MiB (see HERDFS_MEMORY_MB): not attached", stage,
			 (unsigned long long)(job->memory >> 20));
	else
		snprintf(text, size, "%s", herd_diag_format(&s->diag, s->err,
							    why, sizeof(why)));
}

static void warn_about(const struct herd_attach_run *o, const char *label,
		       const struct herd_worker_shared *s, bool of_memory)
{
	static bool said;

	if (s->missing[0] && !said) {
		herd_tool_warn("%s", s->missing);
		said = true;
	}
	if (s->memory.doubt[0] && of_memory)
		herd_tool_warn("%s: %s", label, s->memory.doubt);
	if (s->no_reference[0] && !o->quiet && !of_memory)
		herd_tool_warn("%s: everything is hashed, for the images of "
			       "the reference %s are not to be had: %s", label,
			       s->reference, s->no_reference);
}

int herd_attach_one(const struct herd_attach_run *o, const struct herd_job *job,
		    bool *ret_stop)
{
	struct herd_worker_shared *shared = o->shared;
	char label[HERD_GROUP_NAME_MAX + HERD_INSTANCE_NAME_MAX + 2];
	struct herd_watch w = {
		.label = label, .shared = shared,
		.show = !o->quiet && isatty(STDERR_FILENO),
		.stall_seconds = o->stall_seconds,
	};
	enum herd_end end = HERD_END_DIED;
	int status = 0, err;
	char why[1024];
	bool good, already;

	snprintf(label, sizeof(label), "%s/%s", job->group, job->instance);
	herd_text_clean(label);
	memset(shared, 0, sizeof(*shared));
	err = herd_watch_run(job, &w, &end, &status);
	if (err) {
		herd_tool_warn("%s: cannot start a process: %s", label,
			       strerror(-err));
		*ret_stop = true;
		return err;
	}
	make_safe(shared);
	warn_about(o, label, shared, job->of_memory);
	already = shared->outcome == HERD_OUTCOME_ALREADY;
	good = end == HERD_END_DONE &&
	       (already || shared->outcome == HERD_OUTCOME_ATTACHED);
	if (good) {
		if (o->json)
			json_line(job, shared, already ? "already" :
				  job->verify ? "verified" : "attached",
				  NULL, w.took);
		else if (!o->quiet && job->of_memory)
			say_memory(label, shared, already);
		else if (!o->quiet)
			say_attached(label, job, shared, already);
		fflush(stdout);
		return 0;
	}
	describe_failure(why, sizeof(why), o, job, end, status);
	herd_tool_warn("%s: %s", label, why);
	if (o->json)
		json_line(job, shared, "failed", why, w.took);
	*ret_stop = end == HERD_END_STOPPED ||
		    (end == HERD_END_DONE &&
		     shared->outcome == HERD_OUTCOME_NO_STORE);
	return -EIO;
}

/* What the machine has, or this container of it. */
static uint64_t memory_there(void)
{
	long pages = sysconf(_SC_PHYS_PAGES), page = sysconf(_SC_PAGESIZE);
	uint64_t most = pages > 0 && page > 0 ?
			(uint64_t)pages * (uint64_t)page : 0;
	FILE *f = fopen("/sys/fs/cgroup/memory.max", "re");
	char line[32] = "";
	uint64_t limit;

	if (f && fgets(line, sizeof(line), f)) {
		line[strcspn(line, "\n")] = '\0';
		if (herd_tool_number(line, 1, INT64_MAX, &limit) && limit < most)
			most = limit;
	}
	if (f)
		fclose(f);
	return most;
}

/*
 * Half of what is there. An honest instance takes some 600 bytes a name, and at most
 * half a GiB for what LMDB has not written yet; the rest is for the page cache,
 * through which images are read, and for everybody else: when all is taken, the
 * kernel ends a process of its own choice.
 */
uint64_t herd_attach_memory(void)
{
	const char *text = getenv("HERDFS_MEMORY_MB");
	uint64_t half = memory_there() / 2, mb;

	if (text && herd_tool_number(text, 1, 1u << 30, &mb))
		return mb << 20;
	return half > MEMORY_LEAST ? half : MEMORY_LEAST;
}

/* ---- before and after ---- */

int herd_attach_run_begin(struct herd_attach_run *r, bool remote)
{
	const char *stall = getenv("HERDFS_STALL_SECONDS");
	uint64_t n;

	r->stall_seconds = remote ? STALL_SECONDS_REMOTE : STALL_SECONDS;
	if (stall && herd_tool_number(stall, 1, 86400, &n))
		r->stall_seconds = (unsigned)n;
	r->shared = mmap(NULL, sizeof(*r->shared), PROT_READ | PROT_WRITE,
			 MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (r->shared == MAP_FAILED)
		return -errno;
	herd_watch_signals(true);
	return 0;
}

void herd_attach_run_end(struct herd_attach_run *r)
{
	munmap(r->shared, sizeof(*r->shared));
	herd_watch_signals(false);
	if (herd_watch_stopped())
		raise(herd_watch_stopped());
}
