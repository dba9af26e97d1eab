/* SPDX-License-Identifier: Apache-2.0 */
/*
 * herdfs why of a path below memory/ in a mount: what was found in the memory of
 * one instance, of a process, of the kernel, or all. Threads: the main thread.
 */
#include "tools/why.h"

#include "fs/tree_memory.h"
#include "index/json.h"
#include "index/report_memory.h"

#include <stdio.h>
#include <string.h>

enum about { ABOUT_ALL, ABOUT_KERNEL, ABOUT_PROCESS };

struct asked {
	const struct why *w;
	const char *instance;
	enum about about;
	uint32_t process; /* index */
	struct herd_report_memory m;
};

static bool concerns(const struct asked *a,
		     const struct herd_machine_finding *f)
{
	switch (a->about) {
	case ABOUT_PROCESS:
		return f->subject == HERD_SUBJECT_PROCESS &&
		       f->index == a->process;
	case ABOUT_KERNEL:
		return f->subject == HERD_SUBJECT_MODULE ||
		       f->subject == HERD_SUBJECT_HOOK ||
		       f->subject == HERD_SUBJECT_SOCKET;
	default:
		return true;
	}
}

/* ---- which ---- */

/* The folder of a process, "301-sshd/…", or one of the files beside these. */
static int find_subject(struct asked *a, const char *path,
			struct herd_diag *diag)
{
	static const char *const whole[] = { "findings.txt", "absent.txt",
					     "processes.txt", "problems.txt" };
	char name[HERD_MEMORY_NAME_MAX + 1];

	path += strspn(path, "/");
	snprintf(name, sizeof(name), "%.*s", (int)strcspn(path, "/"), path);
	if (!name[0])
		return 0;
	for (size_t i = 0; i < ARRAY_SIZE(whole); i++)
		if (strcmp(name, whole[i]) == 0)
			return 0;
	if (strcmp(name, "kernel") == 0) {
		a->about = ABOUT_KERNEL;
		return 0;
	}
	a->about = ABOUT_PROCESS;
	if (!herd_memory_find_process(a->m.machine, name, &a->process))
		return 0;
	return herd_diag_set(diag, -ENOENT, a->instance, HERD_NO_OFFSET,
			     "its memory has no process \"%s\"", name);
}

static void destroy_herd(struct herd_memory_herd **mh)
{
	herd_memory_herd_destroy(*mh);
}

/* A baseline is no member: nothing of it is judged. */
static int judge(struct asked *a, struct why *w, struct herd_diag *diag)
{
	CLEANUP(destroy_herd) struct herd_memory_herd *mh = NULL;
	int err = herd_herd_make(w->txn, &w->group, &w->herd, diag);

	if (err)
		return err;
	herd_herd_set_knowledge(w->herd, w->knowledge);
	if (w->instance != w->group.baseline)
		err = herd_memory_herd_make(w->txn, w->herd, &mh, diag);
	if (!err)
		err = herd_report_memory_make(w->txn, mh, w->instance, &a->m,
					      diag);
	a->m.outside = !err && w->instance == w->group.baseline;
	return err != -ENOENT ?
		       err :
		       herd_diag_set(diag, err, a->instance, HERD_NO_OFFSET,
				     "its memory is not attached");
}

/* ---- text ---- */

static void put(struct herd_buf *out, const char *text)
{
	herd_report_escape(out, text, strlen(text));
}

static void put_finding(const struct asked *a,
			const struct herd_machine_finding *f,
			struct herd_buf *out)
{
	herd_buf_printf(out, "\n");
	herd_report_memory_subject(a->m.machine, f, out);
	herd_buf_printf(out,
			"\n  is        %s, rank %u, severity %u, score %u; "
			"%u of %u\n  marks     ",
			herd_class_name(f->class), f->rank, f->severity,
			herd_machine_score(f), f->count, f->members);
	herd_report_memory_marks(f->marks, out);
	herd_buf_u8(out, '\n');
	for (const char *why = f->why; *why;) {
		size_t n = strcspn(why, "\n");

		herd_buf_printf(out, "  %-10s", why == f->why ? "why" : "");
		herd_report_escape(out, why, n);
		herd_buf_u8(out, '\n');
		why += n + (why[n] == '\n');
	}
}

static void put_arguments(const struct herd_process *p, struct herd_buf *out)
{
	for (size_t i = 0; i < p->n_argv;) {
		size_t n = strnlen(p->argv + i, p->n_argv - i);

		herd_buf_printf(out, "%s", i ? " " : "");
		herd_report_escape(out, p->argv + i, n);
		i += n + 1;
	}
}

static void put_process(const struct asked *a, struct herd_buf *out)
{
	const struct herd_process *p = &a->m.machine->processes[a->process];
	char name[HERD_MEMORY_NAME_MAX + 1], text[HERD_REPORT_TIME_MAX];
	struct herd_time started;

	herd_buf_printf(out, "\n  program   ");
	put(out, p->exe_target[0] ? p->exe_target : "none");
	herd_buf_printf(out, "\n  arguments ");
	put_arguments(p, out);
	herd_buf_printf(out, "\n  parent    %d\n  user      %u, effective %u\n",
			p->ppid, p->uid, p->euid);
	if (herd_process_started(a->m.machine, p, &started))
		herd_buf_printf(out, "  started   %s\n",
				herd_report_time(&started, text));
	herd_buf_printf(out, "  cgroup    ");
	put(out, p->cgroup);
	herd_buf_printf(out, "\n  threads   %zu\n  as in     ", p->n_threads);
	put(out, a->w->mount);
	herd_buf_printf(out, "/asg/");
	put(out, a->w->group.name);
	herd_buf_u8(out, '/');
	put(out, a->instance);
	herd_buf_printf(out, "/all/memory/");
	herd_memory_process_name(a->m.machine, a->process, name);
	put(out, name);
	herd_buf_u8(out, '\n');
}

static void put_text(const struct asked *a, struct herd_buf *out)
{
	size_t n = 0;

	herd_buf_printf(out, "Memory of ");
	put(out, a->instance);
	herd_buf_printf(out, " in group ");
	put(out, a->w->group.name);
	herd_buf_u8(out, '\n');
	if (a->about == ABOUT_ALL) {
		herd_report_memory_text(&a->m, out);
		return;
	}
	if (a->about == ABOUT_PROCESS) {
		const struct herd_process *p =
			&a->m.machine->processes[a->process];

		herd_buf_printf(out, "process %d ", p->pid);
		put(out, p->comm);
	} else {
		herd_buf_printf(out, "kernel");
	}
	if (a->m.judged)
		herd_buf_printf(out, ", judged among %u member%s with memory\n",
				a->m.members, a->m.members == 1 ? "" : "s");
	else
		herd_buf_printf(out,
				", not judged: the baseline is no member\n");
	for (size_t i = 0; i < a->m.n; i++) {
		if (!concerns(a, &a->m.v[i]))
			continue;
		put_finding(a, &a->m.v[i], out);
		n++;
	}
	if (!n && a->m.judged)
		herd_buf_printf(out, "nothing about it deviates\n");
	if (a->about == ABOUT_PROCESS)
		put_process(a, out);
}

/* ---- JSON ---- */

/* As why.json in the mount. */
static int json_process(const struct asked *a, struct herd_json *j)
{
	CLEANUP_BUF struct herd_buf made = HERD_BUF_INIT;
	const struct herd_machine_finding **own CLEANUP_FREE =
		calloc(a->m.n + 1, sizeof(*own));
	size_t n = 0;
	int err;

	if (!own)
		return -ENOMEM;
	for (size_t i = 0; i < a->m.n; i++)
		if (concerns(a, &a->m.v[i]))
			own[n++] = &a->m.v[i];
	err = herd_process_why(a->m.machine, a->process, own, n, &made);
	if (!err)
		herd_json_made(j, "process", &made);
	return err;
}

static void json_findings(const struct asked *a, struct herd_json *j)
{
	herd_json_array(j, "findings");
	for (size_t i = 0; i < a->m.n; i++) {
		if (!concerns(a, &a->m.v[i]))
			continue;
		herd_json_object(j, NULL);
		herd_report_memory_json_finding(a->m.machine, &a->m.v[i], j);
		herd_json_end(j);
	}
	herd_json_end(j);
}

static int put_json(const struct asked *a, struct herd_buf *out)
{
	struct herd_json j;
	int err = 0, end;

	herd_json_begin(&j, out, 3);
	herd_json_object(&j, NULL);
	herd_json_string(&j, "format", "herdfs why");
	herd_json_uint(&j, "version", 1);
	herd_json_string(&j, "group", a->w->group.name);
	herd_json_uint(&j, "members", a->w->group.members);
	herd_json_string(&j, "instance", a->instance);
	if (a->about == ABOUT_ALL) {
		herd_json_object(&j, "memory");
		herd_report_memory_json(&a->m, &j);
		herd_json_end(&j);
	}
	if (a->about == ABOUT_PROCESS)
		err = json_process(a, &j);
	else if (a->m.judged)
		json_findings(a, &j);
	herd_json_end(&j);
	end = herd_json_finish(&j);
	return err ? err : end;
}

int herd_why_machine(struct why *w, const char *path, bool json,
		     struct herd_buf *out, struct herd_diag *diag)
{
	struct asked a = { .w = w };
	int err;

	a.instance = herd_report_name_of(&w->names, w->instance);
	err = judge(&a, w, diag);
	if (!err)
		err = find_subject(&a, path, diag);
	if (!err && json)
		err = put_json(&a, out);
	else if (!err)
		put_text(&a, out);
	if (!err)
		err = herd_buf_error(out);
	herd_report_memory_deinit(&a.m);
	return err;
}
