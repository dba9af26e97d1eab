/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Open files of processes: task → files_struct → fdtable → struct file, as
 * /proc/PID/fd and fdinfo have them. Which sockets they are is told later, by
 * machine_sockets.c.
 *
 * A thread may have a table of its own (unshare(CLONE_FILES)), and /proc/PID/fd
 * shows the leader's alone: that it has one is said. A leader that is gone has
 * none any more; then it is a living thread's.
 */
#include "index/memory/machine_internal.h"
#include "index/memory/machine_walk.h"

#include <stdio.h>
#include <string.h>

#define FDS_ALL_MAX (1u << 20)	  /* open files of all processes */
#define SLOTS_ALL_MAX (16u << 20) /* slots looked at, used or not */
#define SLOTS_AT_ONCE 512u
#define O_CLOEXEC_BIT 02000000u

struct fd_types {
	struct herd_field files;
	struct herd_field fdt;
	struct herd_field max_fds, fd, close_on_exec;
	struct herd_field flags, pos;
};
#define FIELD(t, m, where_)                                \
	{                                                  \
		.type = (t), .member = (m),                \
		.where = offsetof(struct fd_types, where_) \
	}

struct fd_reader {
	struct herd_reader *r;
	struct fd_types t;
	size_t n_fds, n_slots; /* of all processes */
};

struct fd_table {
	uint64_t fd, close_on_exec;
	uint32_t max;
};

static int grown(struct herd_process *p, size_t *cap)
{
	void *v = p->fds;
	int err = herd_reader_grow(&v, p->n_fds, cap, sizeof(*p->fds),
				   HERD_FDS_MAX);

	p->fds = v;
	return err;
}

/* One open file. What cannot be read is a problem, and no error. */
static int add(struct fd_reader *f, struct herd_process *p, size_t *cap,
	       uint32_t number, uint64_t file, bool cloexec, const char *where)
{
	struct herd_kernel *k = f->r->k;
	CLEANUP_FREE char *target = NULL;
	struct herd_fd *fd;
	uint64_t flags, pos;
	uint32_t index;
	int err;

	err = herd_kernel_get(k, file, &f->t.flags, &flags);
	if (!err)
		err = herd_kernel_get(k, file, &f->t.pos, &pos);
	if (!err)
		err = herd_reader_file(f->r, file, &index, &target);
	if (err == -ENOMEM)
		return err;
	if (err) {
		herd_reader_problem(f->r, where,
				    "an open file could not be read");
		return 0;
	}
	err = grown(p, cap);
	if (err)
		return err;
	if (!target) {
		target = strdup("");
		if (!target)
			return -ENOMEM;
	}
	flags &= ~(uint64_t)O_CLOEXEC_BIT;
	fd = &p->fds[p->n_fds++];
	*fd = (struct herd_fd){
		.fd = (int32_t)number,
		.flags = (uint32_t)flags | (cloexec ? O_CLOEXEC_BIT : 0),
		.pos = pos,
		.file = index,
		.socket = HERD_NO_INDEX,
		.target = TAKE_PTR(target),
	};
	f->n_fds++;
	return 0;
}

/* The slots from `from` on, at most SLOTS_AT_ONCE of them. */
static int read_slots(struct fd_reader *f, struct herd_process *p, size_t *cap,
		      const struct fd_table *t, uint32_t from,
		      const char *where)
{
	uint64_t slots[SLOTS_AT_ONCE], bits[SLOTS_AT_ONCE / 64];
	uint32_t n = t->max - from;
	int err;

	if (n > SLOTS_AT_ONCE)
		n = SLOTS_AT_ONCE;
	err = herd_kernel_read(f->r->k, t->fd + from * sizeof(uint64_t), slots,
			       n * sizeof(uint64_t));
	if (err) {
		herd_reader_problem(
			f->r, where,
			"the table of open files could not be read");
		return 0;
	}
	memset(bits, 0, sizeof(bits));
	if (herd_kernel_read(f->r->k, t->close_on_exec + from / 8, bits,
			     (n + 63) / 64 * sizeof(uint64_t)))
		herd_reader_problem(f->r, where,
				    "which open files close on "
				    "exec could not be read");
	for (uint32_t i = 0; i < n; i++) {
		if (!slots[i])
			continue;
		if (f->n_fds >= FDS_ALL_MAX)
			return -EOVERFLOW;
		err = add(f, p, cap, from + i, slots[i],
			  bits[i / 64] >> (i % 64) & 1, where);
		if (err)
			return err;
	}
	return 0;
}

static int read_table(struct fd_reader *f, uint64_t files, struct fd_table *ret)
{
	struct herd_kernel *k = f->r->k;
	uint64_t fdt, max, fd, close_on_exec;
	int err;

	err = herd_kernel_get(k, files, &f->t.fdt, &fdt);
	if (!err)
		err = herd_kernel_get(k, fdt, &f->t.max_fds, &max);
	if (!err)
		err = herd_kernel_get(k, fdt, &f->t.fd, &fd);
	if (!err)
		err = herd_kernel_get(k, fdt, &f->t.close_on_exec,
				      &close_on_exec);
	if (err)
		return err;
	*ret = (struct fd_table){ fd, close_on_exec, (uint32_t)max };
	return 0;
}

/* The files_struct whose files are shown as the process's; 0: none. */
static uint64_t files_of(struct fd_reader *f, const struct herd_process *p,
			 const char *where)
{
	struct herd_kernel *k = f->r->k;
	uint64_t files = 0, other;

	if (herd_kernel_get(k, p->task, &f->t.files, &files))
		herd_reader_problem(f->r, where,
				    "its open files could not be "
				    "found");
	for (size_t i = 0; i < p->n_threads; i++) {
		if (p->threads[i].task == p->task ||
		    herd_kernel_get(k, p->threads[i].task, &f->t.files,
				    &other) ||
		    !other || other == files)
			continue;
		if (files)
			herd_reader_problem(f->r, where,
					    "thread %d has open "
					    "files of its own, which are not "
					    "listed",
					    p->threads[i].tid);
		else
			files = other;
	}
	return files;
}

static int read_process(struct fd_reader *f, struct herd_process *p)
{
	char where[64];
	struct fd_table t;
	size_t cap = 0;
	uint64_t files;

	snprintf(where, sizeof(where), "process %d (%s)", p->pid, p->comm);
	files = files_of(f, p, where);
	if (!files)
		return 0;
	if (read_table(f, files, &t)) {
		herd_reader_problem(
			f->r, where,
			"the table of open files could not be read");
		return 0;
	}
	if (t.max > HERD_FDS_MAX) {
		herd_reader_problem(f->r, where,
				    "room for %u open files: the "
				    "first %u were looked at",
				    t.max, HERD_FDS_MAX);
		t.max = HERD_FDS_MAX;
	}
	if (t.max > SLOTS_ALL_MAX - f->n_slots) {
		herd_reader_problem(f->r, "open files", "too many to look at");
		return -EOVERFLOW;
	}
	f->n_slots += t.max;
	for (uint32_t i = 0; i < t.max; i += SLOTS_AT_ONCE) {
		int err = read_slots(f, p, &cap, &t, i, where);

		if (err)
			return err;
	}
	return 0;
}

int herd_reader_fds(struct herd_reader *r, struct herd_diag *diag)
{
	static const struct herd_wanted wanted[] = {
		FIELD("task_struct", "files", files),
		FIELD("files_struct", "fdt", fdt),
		FIELD("fdtable", "max_fds", max_fds),
		FIELD("fdtable", "fd", fd),
		FIELD("fdtable", "close_on_exec", close_on_exec),
		FIELD("file", "f_flags", flags),
		FIELD("file", "f_pos", pos),
	};
	struct fd_reader f = { .r = r };
	int err;

	err = herd_kernel_fields(r->k, wanted, ARRAY_SIZE(wanted), &f.t, diag);
	for (size_t i = 0; i < r->m->n_processes && !err; i++) {
		herd_reader_beat(r);
		err = read_process(&f, &r->m->processes[i]);
	}
	if (err == -EOVERFLOW) {
		herd_reader_problem(r, "open files",
				    "more than %u: the rest "
				    "was left out",
				    FDS_ALL_MAX);
		return 0;
	}
	return err;
}
