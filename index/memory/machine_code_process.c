/* SPDX-License-Identifier: Apache-2.0 */
/* A process as bytes; see machine_code_internal.h. */
#include "index/memory/machine_code_internal.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define THREAD_LEAST 6
#define VMA_LEAST 6
#define FD_LEAST 6
#define VMAS_ALL (4u << 20)
#define FDS_ALL (1u << 20)

static void regs(struct herd_code *c, struct herd_thread *t)
{
	for (size_t i = 0; i < ARRAY_SIZE(t->regs); i++)
		herd_code_address(c, &t->regs[i], &c->regs[i]);
}

static void threads(struct herd_code *c, struct herd_process *p)
{
	uint64_t last = p->task;
	int32_t tid = p->pid;

	herd_code_array(c, (void **)&p->threads, &p->n_threads,
			sizeof(*p->threads), HERD_THREADS_MAX, THREAD_LEAST);
	c->n_threads += p->n_threads;
	herd_code_check(c, c->n_threads <= HERD_THREADS_MAX);
	for (size_t i = 0; i < p->n_threads && !c->err; i++) {
		struct herd_thread *t = &p->threads[i];
		int32_t step = (int32_t)((uint32_t)t->tid - (uint32_t)tid);

		herd_code_address(c, &t->task, &last);
		herd_code_i32(c, &step);
		tid = (int32_t)((uint32_t)tid + (uint32_t)step);
		HERD_CODE_SET(c, t->tid, tid);
		int32_t apart = (int32_t)((uint32_t)t->ns_tid - (uint32_t)tid);

		herd_code_i32(c, &apart);
		HERD_CODE_SET(c, t->ns_tid, (int32_t)((uint32_t)tid +
						      (uint32_t)apart));
		herd_code_text(c, t->comm, sizeof(t->comm));
		herd_code_char(c, &t->state);
		herd_code_u32(c, &t->seen);
		HERD_CODE_BOOLS(c, &t->on_cpu, &t->has_regs,
				&t->regs_from_note);
		if (t->has_regs)
			regs(c, t);
	}
}

static void vmas(struct herd_code *c, struct herd_process *p,
		 const struct herd_machine *m)
{
	uint64_t last = 0, before = 0;

	herd_code_array(c, (void **)&p->vmas, &p->n_vmas, sizeof(*p->vmas),
			HERD_VMAS_MAX, VMA_LEAST);
	c->n_vmas += p->n_vmas;
	herd_code_check(c, c->n_vmas <= VMAS_ALL);
	for (size_t i = 0; i < p->n_vmas && !c->err; i++) {
		struct herd_vma *v = &p->vmas[i];
		uint64_t none = 0;

		herd_code_address(c, &v->start, &last);
		herd_code_address(c, &v->end, &last);
		herd_code_check(c, v->start < v->end && v->start >= before);
		before = v->start;
		herd_code_flags(c, &v->flags);
		herd_code_index(c, &v->file, m->n_files);
		herd_code_address(c, &v->offset, &none);
		herd_code_string(c, &v->name);
	}
}

/* How a target is told without writing it. */
enum { TARGET_TEXT, TARGET_PATH, TARGET_DELETED, TARGET_INODE, TARGET_MAX };

static int made_target(const struct herd_mfile *f, unsigned how, char **ret)
{
	const char *word = f->kind == HERD_MFILE_SOCKET ? "socket" : "pipe";
	int n = how == TARGET_INODE ?
			asprintf(ret, "%s:[%" PRIu64 "]", word, f->ino) :
			asprintf(ret, "%s%s", f->path,
				 how == TARGET_DELETED ? " (deleted)" : "");

	return n < 0 ? -ENOMEM : 0;
}

/* Most targets follow from their file. Tried in turn, so nothing is lost. */
static void target(struct herd_code *c, struct herd_fd *fd,
		   const struct herd_mfile *f)
{
	uint32_t how = TARGET_TEXT;

	if (!herd_code_reads(c))
		for (uint32_t k = TARGET_PATH; k < TARGET_MAX && !how; k++) {
			char *made CLEANUP_FREE = NULL;

			if (!c->err)
				c->err = made_target(f, k, &made);
			if (made && fd->target && !strcmp(made, fd->target))
				how = k;
		}
	herd_code_below(c, &how, TARGET_MAX);
	if (c->err)
		return;
	if (how == TARGET_TEXT) {
		herd_code_string(c, &fd->target);
		return;
	}
	if (!herd_code_reads(c))
		return;
	c->err = made_target(f, how, &fd->target);
	c->string_bytes += c->err ? 0 : strlen(fd->target) + 1;
	if (c->string_bytes > HERD_CODE_STRINGS_MAX && !c->err)
		c->err = -EOVERFLOW;
}

static void fds(struct herd_code *c, struct herd_process *p,
		const struct herd_machine *m)
{
	int32_t last = -1;

	herd_code_array(c, (void **)&p->fds, &p->n_fds, sizeof(*p->fds),
			HERD_FDS_MAX, FD_LEAST);
	c->n_fds += p->n_fds;
	herd_code_check(c, c->n_fds <= FDS_ALL);
	for (size_t i = 0; i < p->n_fds && !c->err; i++) {
		struct herd_fd *fd = &p->fds[i];
		uint32_t step = (uint32_t)fd->fd - (uint32_t)last;

		herd_code_u32(c, &step);
		herd_code_check(c, step && step <= (uint32_t)INT32_MAX - last);
		if (c->err)
			return;
		last = (int32_t)((uint32_t)last + step);
		HERD_CODE_SET(c, fd->fd, last);
		herd_code_u32(c, &fd->flags);
		herd_code_u64(c, &fd->pos);
		herd_code_index(c, &fd->file, m->n_files);
		herd_code_check(c, fd->file != HERD_NO_INDEX);
		herd_code_index(c, &fd->socket, m->n_sockets);
		if (!c->err)
			target(c, fd, &m->files[fd->file]);
	}
}

static void creds(struct herd_code *c, struct herd_process *p)
{
	uint32_t *ids[] = { &p->uid, &p->euid, &p->suid, &p->fsuid,
			    &p->gid, &p->egid, &p->sgid, &p->fsgid };
	uint64_t *caps[] = { &p->cap_inheritable, &p->cap_permitted,
			     &p->cap_effective, &p->cap_bounding,
			     &p->cap_ambient };

	for (size_t i = 0; i < ARRAY_SIZE(ids); i++)
		herd_code_u32(c, ids[i]);
	for (size_t i = 0; i < ARRAY_SIZE(caps); i++)
		herd_code_flags(c, caps[i]);
	herd_code_array(c, (void **)&p->groups, &p->n_groups,
			sizeof(*p->groups), 65536, 1);
	for (size_t i = 0; i < p->n_groups && !c->err; i++)
		herd_code_u32(c, &p->groups[i]);
	HERD_CODE_BOOLS(c, &p->no_new_privs, &p->kthread, &p->exiting,
			&p->args_unreadable, &p->environ_unreadable,
			&p->threads_unread);
	herd_code_u8(c, &p->seccomp);
	for (size_t i = 0; i < HERD_NS_MAX; i++) {
		uint64_t wide = p->ns[i];

		herd_code_flags(c, &wide);
		herd_code_check(c, wide <= UINT32_MAX);
		HERD_CODE_SET(c, p->ns[i], wide);
	}
}

static void memory(struct herd_code *c, struct herd_process *p)
{
	uint64_t *at[] = { &p->start_code, &p->end_code,    &p->start_brk,
			   &p->brk,	   &p->start_stack, &p->arg_start,
			   &p->arg_end,	   &p->env_start,   &p->env_end };
	uint64_t last = 0;
	uint64_t n = p->n_auxv;

	herd_code_address(c, &p->space.pgd, &last);
	herd_code_u8(c, &p->space.levels);
	herd_code_u64(c, &p->space.sme_mask);
	last = 0;
	for (size_t i = 0; i < ARRAY_SIZE(at); i++)
		herd_code_address(c, at[i], &last);
	herd_code_u64(c, &n);
	herd_code_check(c, n <= ARRAY_SIZE(p->auxv));
	if (c->err)
		return;
	HERD_CODE_SET(c, p->n_auxv, n);
	for (size_t i = 0; i < p->n_auxv; i++)
		herd_code_u64(c, &p->auxv[i]);
	herd_code_blob(c, &p->argv, &p->n_argv);
	herd_code_blob(c, &p->environ, &p->n_environ);
}

static void who(struct herd_code *c, struct herd_process *p)
{
	uint64_t last = p->task;

	herd_code_address(c, &p->mm, &last);
	herd_code_i32(c, &p->ppid);
	herd_code_i32(c, &p->ns_pid);
	herd_code_text(c, p->comm, sizeof(p->comm));
	herd_code_u32(c, &p->seen);
	herd_code_char(c, &p->state);
	herd_code_i32(c, &p->pgrp);
	herd_code_i32(c, &p->session);
	herd_code_text(c, p->tty, sizeof(p->tty));
	herd_code_u64(c, &p->start_ns);
	herd_code_u64(c, &p->utime_ns);
	herd_code_u64(c, &p->stime_ns);
}

void herd_code_process(struct herd_code *c, struct herd_process *p,
		       const struct herd_machine *m)
{
	who(c, p);
	creds(c, p);
	herd_code_string(c, &p->cgroup);
	memory(c, p);
	herd_code_index(c, &p->exe, m->n_files);
	herd_code_string(c, &p->exe_target);
	herd_code_string(c, &p->cwd);
	herd_code_string(c, &p->root);
	herd_code_string(c, &p->problem);
	threads(c, p);
	vmas(c, p, m);
	fds(c, p, m);
}
