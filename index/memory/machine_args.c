/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a process was started with: arguments, environment and auxiliary vector
 * out of its own memory, by its page tables, just as /proc/PID/cmdline and
 * environ give them; its program, working folder and root.
 */
#include "index/memory/machine_internal.h"
#include "index/memory/machine_walk.h"

#include <stdio.h>
#include <string.h>

#define ARGS_ALL_MAX (256u << 20) /* bytes, of all processes */

struct arg_types {
	struct herd_field arg_start, arg_end, env_start, env_end, auxv;
	struct herd_field exe_file, fs, root_mnt, root_dentry, pwd_mnt,
		pwd_dentry;
};

#define AT(f) .where = offsetof(struct arg_types, f)
#define MM(member, f)                                        \
	{                                                    \
		"mm_struct", member, .optional = true, AT(f) \
	}
#define MAY(type, member, f)                          \
	{                                             \
		type, member, .optional = true, AT(f) \
	}

static const struct herd_wanted wanted[] = {
	MM("arg_start", arg_start),
	MM("arg_end", arg_end),
	MM("env_start", env_start),
	MM("env_end", env_end),
	MM("saved_auxv", auxv),
	MM("exe_file", exe_file),
	MAY("task_struct", "fs", fs),
	MAY("fs_struct", "root.mnt", root_mnt),
	MAY("fs_struct", "root.dentry", root_dentry),
	MAY("fs_struct", "pwd.mnt", pwd_mnt),
	MAY("fs_struct", "pwd.dentry", pwd_dentry),
};

static uint64_t get(struct herd_reader *r, uint64_t base,
		    const struct herd_field *f)
{
	uint64_t v;

	if (!base || !herd_field_there(f) ||
	    herd_kernel_get(r->k, base, f, &v) != 0)
		return 0;
	return v;
}

/* ---- a process's own memory ---- */

/*
 * Up to len bytes at va: as far as they are there. A page that was never
 * touched is zeros, as it is for whoever reads it. *ret_why: why it ended.
 */
static size_t read_memory(struct herd_reader *r, const struct herd_process *p,
			  uint64_t va, char *buf, size_t len,
			  enum herd_page_state *ret_why)
{
	struct herd_phys *phys = herd_kernel_phys(r->k);
	size_t done = 0;

	*ret_why = HERD_PAGE_PRESENT;
	while (done < len) {
		size_t n = HERD_PAGE - (va + done) % HERD_PAGE;
		struct herd_mapping m;

		if (n > len - done)
			n = len - done;
		herd_space_look(phys, &p->space, va + done, &m);
		*ret_why = m.state;
		if (m.state == HERD_PAGE_NONE) {
			memset(buf + done, 0, n);
		} else if (m.state != HERD_PAGE_PRESENT &&
			   m.state != HERD_PAGE_PROTNONE) {
			break;
		} else if (herd_phys_read(phys, m.phys, buf + done, n) != 0) {
			*ret_why = HERD_PAGE_MISSING;
			break;
		}
		done += n;
	}
	return done;
}

static void unreadable(struct herd_reader *r, struct herd_process *p,
		       const char *what, enum herd_page_state why)
{
	herd_reader_process_problem(
		r, p, "its %s %s", what,
		why == HERD_PAGE_SWAPPED ? "is swapped out" :
		why == HERD_PAGE_MISSING ? "is not in the image" :
					   "could not be read");
}

/* ---- arguments and environment ---- */

static int keep(struct herd_reader *r, size_t *left, const char *bytes,
		size_t n, char **ret, size_t *ret_n)
{
	if (n > *left) {
		herd_reader_problem(r, "arguments",
				    "too many of all processes: "
				    "some are left out");
		return 0;
	}
	*left -= n;
	if (!n)
		return 0;
	*ret = malloc(n);
	if (!*ret)
		return -ENOMEM;
	memcpy(*ret, bytes, n);
	*ret_n = n;
	return 0;
}

/*
 * As the kernel's get_mm_cmdline: when the last byte of the arguments is no
 * NUL, the program has written over them, maybe into the environment behind
 * them, and what counts is one string, of a page at most.
 */
static int read_argv(struct herd_reader *r, struct herd_process *p, char *buf,
		     size_t *left)
{
	uint64_t start = p->arg_start, end = p->arg_end;
	enum herd_page_state why;
	size_t n, got;
	char last;

	if (start >= end)
		return 0;
	if (read_memory(r, p, end - 1, &last, 1, &why) == 1 && last) {
		uint64_t room = p->env_start == end && p->env_end > end ?
					p->env_end - start :
					end - start;

		n = HERD_PAGE;
		got = read_memory(r, p, start, buf, n, &why);
		n = strnlen(buf, got);
		if (n < got)
			n++;
		else if (got < HERD_PAGE)
			p->args_unreadable = true;
		got = n < room ? n : room;
	} else {
		n = end - start < HERD_ARGS_MAX ? end - start : HERD_ARGS_MAX;
		if (n < end - start)
			herd_reader_process_problem(
				r, p,
				"its arguments are cut at %u bytes of "
				"%llu",
				HERD_ARGS_MAX,
				(unsigned long long)(end - start));
		got = read_memory(r, p, start, buf, n, &why);
		p->args_unreadable = got < n;
	}
	if (p->args_unreadable)
		unreadable(r, p, "command line", why);
	return keep(r, left, buf, got, &p->argv, &p->n_argv);
}

static int read_environ(struct herd_reader *r, struct herd_process *p,
			char *buf, size_t *left)
{
	uint64_t start = p->env_start, end = p->env_end;
	enum herd_page_state why;
	size_t n, got;

	if (start >= end)
		return 0;
	n = end - start < HERD_ARGS_MAX ? end - start : HERD_ARGS_MAX;
	if (n < end - start)
		herd_reader_process_problem(
			r, p, "its environment is cut at %u bytes of %llu",
			HERD_ARGS_MAX, (unsigned long long)(end - start));
	got = read_memory(r, p, start, buf, n, &why);
	if (got < n) {
		p->environ_unreadable = true;
		unreadable(r, p, "environment", why);
	}
	return keep(r, left, buf, got, &p->environ, &p->n_environ);
}

/* Pairs up to the one of type 0, it included. */
static void read_auxv(struct herd_reader *r, const struct arg_types *t,
		      struct herd_process *p)
{
	size_t n = t->auxv.size / 8;

	if (!herd_field_there(&t->auxv))
		return;
	if (n > ARRAY_SIZE(p->auxv))
		n = ARRAY_SIZE(p->auxv);
	if (herd_kernel_read(r->k, p->mm + t->auxv.offset, p->auxv, n * 8) != 0)
		return;
	while (p->n_auxv + 2 <= n) {
		p->n_auxv += 2;
		if (!p->auxv[p->n_auxv - 2])
			break;
	}
	memset(p->auxv + p->n_auxv, 0,
	       sizeof(p->auxv) - p->n_auxv * sizeof(p->auxv[0]));
}

static int read_process(struct herd_reader *r, const struct arg_types *t,
			struct herd_process *p, char *buf, size_t *left)
{
	int err;

	p->arg_start = get(r, p->mm, &t->arg_start);
	p->arg_end = get(r, p->mm, &t->arg_end);
	p->env_start = get(r, p->mm, &t->env_start);
	p->env_end = get(r, p->mm, &t->env_end);
	read_auxv(r, t, p);
	if (!p->space.pgd) {
		p->args_unreadable = p->environ_unreadable = true;
		return 0;
	}
	err = read_argv(r, p, buf, left);
	return err ? err : read_environ(r, p, buf, left);
}

int herd_reader_args(struct herd_reader *r, struct herd_diag *diag)
{
	CLEANUP_FREE char *buf = malloc(HERD_ARGS_MAX);
	size_t left = ARGS_ALL_MAX;
	struct arg_types t;
	int err = buf ? herd_kernel_fields(r->k, wanted, ARRAY_SIZE(wanted), &t,
					   diag) :
			-ENOMEM;

	for (size_t i = 0; i < r->m->n_processes && !err; i++) {
		herd_reader_beat(r);
		if (r->m->processes[i].mm)
			err = read_process(r, &t, &r->m->processes[i], buf,
					   &left);
	}
	return err;
}

/* ---- program, working folder, root ---- */

static int read_exe(struct herd_reader *r, const struct arg_types *t,
		    struct herd_process *p)
{
	uint64_t file = get(r, p->mm, &t->exe_file);
	char *target = NULL;
	int err;

	if (!file)
		return 0;
	err = herd_reader_file(r, file, &p->exe, &target);
	if (err == -ENOMEM)
		return err;
	if (err) {
		p->exe = HERD_NO_INDEX;
		herd_reader_process_problem(r, p,
					    "its program could not be named");
		return 0;
	}
	free(p->exe_target);
	p->exe_target = target;
	return 0;
}

static int read_folder(struct herd_reader *r, struct herd_process *p,
		       uint64_t mnt, uint64_t dentry, const char *what,
		       char **ret)
{
	char *path;
	int err = herd_reader_path(r, mnt, dentry, &path);

	if (err == -ENOMEM)
		return err;
	if (err) {
		herd_reader_process_problem(r, p, "its %s could not be named",
					    what);
		return 0;
	}
	free(*ret);
	*ret = path;
	return 0;
}

static int read_program(struct herd_reader *r, const struct arg_types *t,
			struct herd_process *p)
{
	uint64_t fs = get(r, p->task, &t->fs);
	int err = p->mm ? read_exe(r, t, p) : 0;

	if (err || !fs)
		return err;
	err = read_folder(r, p, get(r, fs, &t->root_mnt),
			  get(r, fs, &t->root_dentry), "root", &p->root);
	if (err)
		return err;
	return read_folder(r, p, get(r, fs, &t->pwd_mnt),
			   get(r, fs, &t->pwd_dentry), "working folder",
			   &p->cwd);
}

int herd_reader_programs(struct herd_reader *r, struct herd_diag *diag)
{
	struct arg_types t;
	int err =
		herd_kernel_fields(r->k, wanted, ARRAY_SIZE(wanted), &t, diag);

	for (size_t i = 0; i < r->m->n_processes && !err; i++) {
		herd_reader_beat(r);
		err = read_program(r, &t, &r->m->processes[i]);
	}
	return err;
}
