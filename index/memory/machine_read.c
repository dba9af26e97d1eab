/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A machine out of its image: the parts in their order, and what they share.
 * Threads: one reader, one thread.
 */
#include "index/memory/machine_internal.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define PROBLEMS_MAX 2048u /* further ones are only counted */
#define PROBLEMS_ALL_MAX 4096u /* with those that come after reading */

/* ---- what the parts share ---- */

int herd_reader_grow(void **v, size_t n, size_t *cap, size_t size, size_t max)
{
	size_t want = *cap ? *cap * 2 : 16;

	if (n < *cap)
		return 0;
	if (n >= max)
		return -EOVERFLOW;
	if (want > max)
		want = max;
	void *p = realloc(*v, want * size);

	if (!p)
		return -ENOMEM;
	*v = p;
	*cap = want;
	return 0;
}

/* FNV-1a; never 0. */
static uint64_t digest(uint64_t h, const char *text)
{
	do
		h = (h ^ (uint8_t)*text) * UINT64_C(0x100000001b3);
	while (*text++);
	return h ? h : 1;
}

static void count_problem(struct herd_reader *r, const char *where,
			  const char *text)
{
	uint64_t h = digest(digest(UINT64_C(0xcbf29ce484222325), where), text);
	struct herd_machine *m = r->m;
	struct herd_machine_problem *p;
	uint32_t i;

	if (herd_seen_has(&r->problems, h, &i)) {
		m->problems[i].count++;
		return;
	}
	if (m->n_problems == PROBLEMS_MAX) {
		m->problems[PROBLEMS_MAX - 1].count++;
		return;
	}
	if (HERD_READER_GROW(m->problems, m->n_problems, &r->cap_problems,
			     PROBLEMS_MAX) != 0)
		return;
	if (m->n_problems == PROBLEMS_MAX - 1) {
		where = "the image";
		text = "further problems, not listed";
	}
	p = &m->problems[m->n_problems];
	*p = (struct herd_machine_problem){ strdup(where), strdup(text), 1 };
	if (p->where && p->text) {
		herd_seen_add(&r->problems, h, (uint32_t)m->n_problems++, NULL);
		return;
	}
	free(p->where);
	free(p->text);
}

void herd_reader_problem(struct herd_reader *r, const char *where,
			 const char *fmt, ...)
{
	char text[512];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	count_problem(r, where, text);
}

void herd_reader_process_problem(struct herd_reader *r, struct herd_process *p,
				 const char *fmt, ...)
{
	char text[512], where[64];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	snprintf(where, sizeof(where), "process %d (%s)", p->pid, p->comm);
	count_problem(r, where, text);
	if (p->problem && !p->problem[0]) {
		char *copy = strdup(text);

		if (copy) {
			free(p->problem);
			p->problem = copy;
		}
	}
}

/* ---- what was not read to its end ---- */

void herd_reader_unread(struct herd_reader *r, enum herd_unread what, int err)
{
	if (!err)
		return;
	r->m->unread |= what;
	if (err != -ENODATA)
		r->broken |= what;
}

void herd_reader_half_read(struct herd_reader *r, enum herd_unread what,
			   int forth, int back)
{
	if (back)
		herd_reader_unread(r, what, back);
	if (forth != -ENODATA)
		r->broken |= what;
}

/* Before all other problems: what is not told of is not known. */
static int tell_unread(const struct herd_reader *r)
{
	static const struct {
		enum herd_unread what;
		const char *where, *lacks;
	} lists[] = {
		{ HERD_UNREAD_PIDS, "table of pids",
		  "a process that is not in it is not told as hidden" },
		{ HERD_UNREAD_TASKS, "list of tasks",
		  "a process that is not in it is not told as hidden" },
		{ HERD_UNREAD_MODULE_MEMORY, "memory of modules",
		  "some may not be known, and hooks that lead there are not judged" },
		{ HERD_UNREAD_MODULES, "list of modules",
		  "a module that is not in it is not told as hidden" },
	};
	char text[320], hooks[48] = "";
	int err = 0;

	if (r->unread_hooks)
		snprintf(hooks, sizeof(hooks), ", %zu of them",
			 r->unread_hooks);
	for (size_t i = 0; i < ARRAY_SIZE(lists) && !err; i++) {
		const bool unread = r->m->unread & lists[i].what;

		if (!unread && !(r->broken & lists[i].what))
			continue;
		snprintf(
			text, sizeof(text), "%s%s%s%s%s",
			unread ? "it could not be read to its end: " :
				 "it is broken off, and whole backwards",
			unread ? lists[i].lacks : "",
			lists[i].what == HERD_UNREAD_MODULE_MEMORY ? hooks : "",
			r->broken & lists[i].what ? "; " : "",
			r->broken & lists[i].what ?
				"the image lacks nothing there: it was changing, or somebody wrote to it" :
				"");
		err = herd_machine_problem_at(r->m, 0, lists[i].where, text, 1);
	}
	return err;
}

/* ---- the machine itself ---- */

static void read_hostname(struct herd_reader *r)
{
	struct herd_field name;
	uint64_t uts;

	if (!herd_kernel_symbol(r->k, "init_uts_ns", &uts) &&
	    !herd_kernel_field(r->k, "uts_namespace", "name.nodename", &name))
		herd_kernel_string(r->k, uts + name.offset, r->m->hostname,
				   sizeof(r->m->hostname));
}

struct clock_fields {
	struct herd_field inner, xtime, base, nsec, shift, boot, real;
};

/*
 * tk_core is { seqcount; struct timekeeper } without a name until 6.13, when
 * it became struct tk_data; later it is the first of an array of these. The
 * times are those of the last tick that kept them, on an idle machine some
 * seconds before the image.
 */
static void read_clock(struct herd_reader *r)
{
#define TK(field, name)                                               \
	{                                                             \
		"timekeeper", name,                                   \
			.optional = true,                             \
			.where = offsetof(struct clock_fields, field) \
	}
	static const struct herd_wanted wanted[] = {
		{ "tk_data", "timekeeper", .optional = true,
		  .where = offsetof(struct clock_fields, inner) },
		TK(xtime, "xtime_sec"),
		TK(base, "tkr_mono.base"),
		TK(nsec, "tkr_mono.xtime_nsec"),
		TK(shift, "tkr_mono.shift"),
		TK(boot, "offs_boot"),
		TK(real, "offs_real"),
	};
#undef TK
	struct clock_fields f;
	uint64_t tk, base = 0, boot = 0, real = 0, nsec = 0, shift = 0;

	if (herd_kernel_symbol(r->k, "tk_core", &tk) &&
	    herd_kernel_symbol(r->k, "timekeeper_data", &tk))
		return;
	if (herd_kernel_fields(r->k, wanted, ARRAY_SIZE(wanted), &f, NULL) ||
	    !herd_field_there(&f.base) || !herd_field_there(&f.boot) ||
	    !herd_field_there(&f.real))
		return;
	tk += herd_field_there(&f.inner) ? f.inner.offset : 8;
	if (herd_kernel_get(r->k, tk, &f.base, &base) ||
	    herd_kernel_get(r->k, tk, &f.boot, &boot) ||
	    herd_kernel_get(r->k, tk, &f.real, &real))
		return;
	if (herd_field_there(&f.nsec) && herd_field_there(&f.shift) &&
	    !herd_kernel_get(r->k, tk, &f.nsec, &nsec) &&
	    !herd_kernel_get(r->k, tk, &f.shift, &shift) && shift < 64)
		base += nsec >> shift;
	/* Anything else is no clock: a century up, or set before 1980. */
	if (base > UINT64_C(3153600000000000000) || real < boot ||
	    (real - boot) / 1000000000 < 315532800)
		return;
	r->m->uptime_ns = base + boot;
	r->m->boot_time = (real - boot) / 1000000000;
}

static void read_memory(struct herd_reader *r)
{
	struct herd_source *s = herd_phys_source(herd_kernel_phys(r->k));
	struct herd_extents e = { 0 };

	if (!herd_source_data(s, &e, NULL))
		r->m->memory = herd_extents_bytes(&e);
	herd_extents_deinit(&e);
}

/* ---- the parts ---- */

static int by_pid(const void *a, const void *b)
{
	const struct herd_process *p = a, *q = b;

	if (p->pid != q->pid)
		return p->pid < q->pid ? -1 : 1;
	return p->task < q->task ? -1 : p->task > q->task;
}

static const struct {
	unsigned part;
	const char *name;
	int (*read)(struct herd_reader *r, struct herd_diag *diag);
} steps[] = {
	{ HERD_READ_VMAS, "memory maps", herd_reader_vmas },
	{ HERD_READ_ARGS, "arguments", herd_reader_args },
	{ HERD_READ_FILES, "programs", herd_reader_programs },
	{ HERD_READ_FILES, "open files", herd_reader_fds },
	{ HERD_READ_FILES, "sockets", herd_reader_sockets },
	{ HERD_READ_CACHE, "page cache", herd_reader_cache },
	{ HERD_READ_KERNEL, "modules", herd_reader_modules },
	{ HERD_READ_KERNEL, "hooks", herd_reader_hooks },
};

static int read_parts(struct herd_reader *r, struct herd_diag *diag)
{
	int err = herd_reader_tasks(r, diag);

	if (err)
		return err;
	if (r->m->n_processes)
		qsort(r->m->processes, r->m->n_processes,
		      sizeof(*r->m->processes), by_pid);
	for (size_t i = 0; i < ARRAY_SIZE(steps); i++) {
		struct herd_diag d;
		char text[600];

		if (!(r->parts & steps[i].part))
			continue;
		herd_diag_clear(&d);
		herd_reader_beat(r);
		err = steps[i].read(r, &d);
		if (err == -ENOMEM)
			return herd_diag_set(diag, err, NULL, HERD_NO_OFFSET,
					     "out of memory");
		if (err)
			herd_reader_problem(r, steps[i].name, "%s",
					    herd_diag_format(&d, err, text,
							     sizeof(text)));
	}
	return 0;
}

int herd_machine_read(struct herd_kernel *k,
		      const struct herd_memory_notes *notes, unsigned parts,
		      struct herd_machine **ret, struct herd_diag *diag)
{
	struct herd_reader r = { .k = k, .notes = notes, .parts = parts };

	r.m = calloc(1, sizeof(*r.m));
	if (!r.m)
		return -ENOMEM;
	r.m->facts = *herd_kernel_facts(k);
	r.m->cpus = herd_kernel_cpus(k);
	read_hostname(&r);
	read_clock(&r);
	read_memory(&r);
	int err = herd_reader_files_create(&r);

	if (!err)
		err = read_parts(&r, diag);
	if (!err)
		err = tell_unread(&r);
	herd_reader_files_destroy(&r);
	herd_seen_deinit(&r.problems);
	if (err) {
		herd_machine_destroy(r.m);
		return err;
	}
	*ret = r.m;
	return 0;
}

/* ---- the end ---- */

static void free_process(struct herd_process *p)
{
	for (size_t i = 0; i < p->n_vmas; i++)
		free(p->vmas[i].name);
	for (size_t i = 0; i < p->n_fds; i++)
		free(p->fds[i].target);
	free(p->vmas);
	free(p->fds);
	free(p->threads);
	free(p->groups);
	free(p->cgroup);
	free(p->argv);
	free(p->environ);
	free(p->exe_target);
	free(p->cwd);
	free(p->root);
	free(p->problem);
}

static void free_kernel(struct herd_machine *m)
{
	for (size_t i = 0; i < m->n_modules; i++)
		free(m->modules[i].used_by);
	for (size_t i = 0; i < m->n_hooks; i++) {
		free(m->hooks[i].name);
		free(m->hooks[i].target_name);
	}
	free(m->modules);
	free(m->hooks);
}

int herd_machine_problem_at(struct herd_machine *m, size_t at,
			    const char *where, const char *text, uint64_t count)
{
	if (m->n_problems >= PROBLEMS_ALL_MAX) {
		m->problems[m->n_problems - 1].count += count;
		return 0;
	}
	struct herd_machine_problem p = { strdup(where), strdup(text), count };
	struct herd_machine_problem *v =
		reallocarray(m->problems, m->n_problems + 1, sizeof(*v));

	if (v)
		m->problems = v;
	if (!v || !p.where || !p.text) {
		free(p.where);
		free(p.text);
		return -ENOMEM;
	}
	memmove(v + at + 1, v + at, (m->n_problems++ - at) * sizeof(*v));
	v[at] = p;
	return 0;
}

void herd_machine_destroy(struct herd_machine *m)
{
	if (!m)
		return;
	for (size_t i = 0; i < m->n_processes; i++)
		free_process(&m->processes[i]);
	for (size_t i = 0; i < m->n_files; i++) {
		free(m->files[i].fs);
		free(m->files[i].path);
		free(m->files[i].cached);
	}
	for (size_t i = 0; i < m->n_sockets; i++)
		free(m->sockets[i].path);
	for (size_t i = 0; i < m->n_problems; i++) {
		free(m->problems[i].where);
		free(m->problems[i].text);
	}
	free_kernel(m);
	free(m->processes);
	free(m->files);
	free(m->sockets);
	free(m->problems);
	free(m->page_digests);
	free(m->page_changes);
	free(m);
}
