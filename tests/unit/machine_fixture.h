/* SPDX-License-Identifier: Apache-2.0 */
/* Machines made up for tests: random ones, and comparing two. */
#ifndef MACHINE_FIXTURE_H
#define MACHINE_FIXTURE_H

#include "acquire/base/cleanup.h"
#include "index/memory/machine.h"

#include <stdio.h>
#include <string.h>

struct dice {
	uint64_t state;
};
static inline uint64_t roll(struct dice *d)
{
	d->state ^= d->state << 13;
	d->state ^= d->state >> 7;
	d->state ^= d->state << 17;
	return d->state;
}
static inline uint64_t below(struct dice *d, uint64_t n)
{
	return roll(d) % n;
}
/* Small, large, at the edges. */
static inline uint64_t any(struct dice *d)
{
	switch (below(d, 6)) {
	case 0:
		return 0;
	case 1:
		return UINT64_MAX;
	case 2:
		return roll(d);
	case 3:
		return roll(d) & ~0xfffull;
	default:
		return roll(d) >> below(d, 64);
	}
}
static inline char *copy(const char *s)
{
	char *p = strdup(s);

	if (!p)
		abort();
	return p;
}
static inline void *zeros(size_t n, size_t size)
{
	void *p = calloc(n ? n : 1, size);

	if (!p)
		abort();
	return p;
}
static inline char *any_string(struct dice *d)
{
	static const char *const some[] = {
		"",
		"/",
		"//",
		"/a",
		"a/b",
		"/usr/lib/x86_64-linux-gnu/libc.so.6",
		"/usr/lib/x86_64-linux-gnu/libm.so.6",
		"/usr/sbin/sshd",
		"/tmp/.x (deleted)",
		"[heap]",
		"pipe:[12]",
		"socket:[7]",
		"\x1b[31m\xff\xfe",
		"/usr/lib/x86_64-linux-gnu/",
	};
	char buf[64];

	if (below(d, 3))
		return copy(some[below(d, ARRAY_SIZE(some))]);
	snprintf(buf, sizeof(buf), "/x%llu/y%llu",
		 (unsigned long long)below(d, 5), (unsigned long long)any(d));
	return copy(buf);
}
static inline void any_text(struct dice *d, char *v, size_t size)
{
	size_t n = below(d, size);

	for (size_t i = 0; i < n; i++)
		v[i] = (char)(1 + below(d, 255));
}

static inline void any_file(struct dice *d, struct herd_mfile *f)
{
	uint64_t index = 0;

	f->inode = any(d);
	f->dev_major = (uint32_t)any(d);
	f->dev_minor = (uint32_t)any(d);
	f->ino = any(d);
	f->mode = (uint32_t)any(d);
	f->uid = (uint32_t)any(d);
	f->gid = (uint32_t)any(d);
	f->nlink = (uint32_t)any(d);
	f->size = any(d);
	f->mtime = (struct herd_time){ (int64_t)any(d), (uint32_t)any(d) };
	f->ctime = (struct herd_time){ (int64_t)any(d), (uint32_t)any(d) };
	f->kind = below(d, HERD_MFILE_MAX);
	f->deleted = below(d, 2);
	f->fs = any_string(d);
	f->path = any_string(d);
	f->cached_pages = any(d);
	f->n_cached = below(d, 4);
	f->cached = zeros(f->n_cached, sizeof(*f->cached));
	for (size_t i = 0; i < f->n_cached; i++) {
		struct herd_cached_run *r = &f->cached[i];

		r->index = index + below(d, 100);
		r->phys = below(d, 1ull << 40) * HERD_PAGE;
		r->pages = 1 + (uint32_t)below(d, 1000);
		r->dirty = below(d, 2);
		index = r->index + r->pages;
	}
}

static inline void any_threads(struct dice *d, struct herd_process *p)
{
	p->n_threads = below(d, 4);
	p->threads = zeros(p->n_threads, sizeof(*p->threads));
	for (size_t i = 0; i < p->n_threads; i++) {
		struct herd_thread *t = &p->threads[i];

		t->task = any(d);
		t->tid = (int32_t)any(d);
		t->ns_tid = (int32_t)any(d);
		any_text(d, t->comm, sizeof(t->comm));
		t->state = (char)any(d);
		t->seen = (uint32_t)any(d);
		t->on_cpu = below(d, 2);
		t->has_regs = below(d, 2);
		t->regs_from_note = below(d, 2);
		for (size_t k = 0; t->has_regs && k < 27; k++)
			t->regs[k] = any(d);
	}
}

static inline void any_vmas(struct dice *d, struct herd_process *p,
			    const struct herd_machine *m)
{
	uint64_t start = 0;

	p->n_vmas = below(d, 6);
	p->vmas = zeros(p->n_vmas, sizeof(*p->vmas));
	for (size_t i = 0; i < p->n_vmas; i++) {
		struct herd_vma *v = &p->vmas[i];

		v->start = start + below(d, 1 + (1ull << below(d, 48)));
		v->end = v->start + 1 + below(d, 1ull << below(d, 40));
		start = v->end;
		v->flags = any(d);
		v->offset = any(d);
		v->file = m->n_files && below(d, 2) ?
				  (uint32_t)below(d, m->n_files) :
				  HERD_NO_INDEX;
		v->name = any_string(d);
	}
}

static inline void any_fds(struct dice *d, struct herd_process *p,
			   const struct herd_machine *m)
{
	int32_t fd = -1;

	p->n_fds = m->n_files ? below(d, 6) : 0;
	p->fds = zeros(p->n_fds, sizeof(*p->fds));
	for (size_t i = 0; i < p->n_fds; i++) {
		struct herd_fd *f = &p->fds[i];
		const struct herd_mfile *file;

		fd += 1 + (int32_t)below(d, 1000);
		f->fd = fd;
		f->flags = (uint32_t)any(d);
		f->pos = any(d);
		f->file = (uint32_t)below(d, m->n_files);
		f->socket = m->n_sockets && below(d, 2) ?
				    (uint32_t)below(d, m->n_sockets) :
				    HERD_NO_INDEX;
		file = &m->files[f->file];
		if (asprintf(&f->target, below(d, 2) ? "%s" : "%s (deleted)",
			     file->path) < 0)
			abort();
		if (below(d, 2))
			continue;
		free(f->target);
		if (asprintf(&f->target, "%s:[%llu]",
			     below(d, 2) ? "pipe" : "socket",
			     (unsigned long long)file->ino) < 0)
			abort();
	}
}

static inline char *any_blob(struct dice *d, size_t *n)
{
	size_t len = below(d, 3) ? below(d, 60) : 0;
	char *p = zeros(len + 1, 1);

	for (size_t i = 0; i < len; i++)
		p[i] = below(d, 4) ? "abcXYZ=/"[below(d, 8)] : 0;
	*n = len;
	return p;
}

static inline void any_process(struct dice *d, struct herd_process *p,
			       const struct herd_machine *m)
{
	uint32_t *words[] = { &p->uid,	&p->euid, &p->suid,  &p->fsuid, &p->gid,
			      &p->egid, &p->sgid, &p->fsgid, &p->seen };
	uint64_t *longs[] = { &p->task,		 &p->mm,
			      &p->start_ns,	 &p->utime_ns,
			      &p->stime_ns,	 &p->cap_inheritable,
			      &p->cap_permitted, &p->cap_effective,
			      &p->cap_bounding,	 &p->cap_ambient,
			      &p->space.pgd,	 &p->space.sme_mask,
			      &p->arg_start,	 &p->arg_end,
			      &p->env_start,	 &p->env_end,
			      &p->start_code,	 &p->end_code,
			      &p->start_brk,	 &p->brk,
			      &p->start_stack };
	bool *bools[] = { &p->kthread,
			  &p->exiting,
			  &p->no_new_privs,
			  &p->args_unreadable,
			  &p->environ_unreadable,
			  &p->threads_unread };

	for (size_t i = 0; i < ARRAY_SIZE(words); i++)
		*words[i] = (uint32_t)any(d);
	for (size_t i = 0; i < ARRAY_SIZE(longs); i++)
		*longs[i] = any(d);
	for (size_t i = 0; i < ARRAY_SIZE(bools); i++)
		*bools[i] = below(d, 2);
	p->ppid = (int32_t)any(d);
	p->ns_pid = (int32_t)any(d);
	p->pgrp = (int32_t)any(d);
	p->session = (int32_t)any(d);
	p->state = (char)any(d);
	p->seccomp = (uint8_t)any(d);
	p->space.levels = (uint8_t)any(d);
	any_text(d, p->comm, sizeof(p->comm));
	any_text(d, p->tty, sizeof(p->tty));
	for (size_t i = 0; i < HERD_NS_MAX; i++)
		p->ns[i] = (uint32_t)any(d);
	p->n_groups = below(d, 4);
	p->groups = zeros(p->n_groups, sizeof(*p->groups));
	for (size_t i = 0; i < p->n_groups; i++)
		p->groups[i] = (uint32_t)any(d);
	p->n_auxv = below(d, ARRAY_SIZE(p->auxv) + 1);
	for (size_t i = 0; i < p->n_auxv; i++)
		p->auxv[i] = any(d);
	p->cgroup = any_string(d);
	p->argv = any_blob(d, &p->n_argv);
	p->environ = any_blob(d, &p->n_environ);
	p->exe = m->n_files && below(d, 2) ? (uint32_t)below(d, m->n_files) :
					     HERD_NO_INDEX;
	p->exe_target = any_string(d);
	p->cwd = any_string(d);
	p->root = any_string(d);
	p->problem = any_string(d);
	any_threads(d, p);
	any_vmas(d, p, m);
	any_fds(d, p, m);
}

static inline void any_sockets(struct dice *d, struct herd_machine *m)
{
	m->n_sockets = below(d, 5);
	m->sockets = zeros(m->n_sockets, sizeof(*m->sockets));
	for (size_t i = 0; i < m->n_sockets; i++) {
		struct herd_socket *s = &m->sockets[i];

		s->sock = any(d);
		s->ino = any(d);
		s->family = (uint16_t)any(d);
		s->type = (uint16_t)any(d);
		s->protocol = (uint16_t)any(d);
		s->state = (uint8_t)any(d);
		for (size_t k = below(d, 17); k; k--)
			s->local[k - 1] = (uint8_t)any(d);
		for (size_t k = below(d, 17); k; k--)
			s->remote[k - 1] = (uint8_t)any(d);
		s->local_port = (uint16_t)any(d);
		s->remote_port = (uint16_t)any(d);
		s->uid = (uint32_t)any(d);
		s->netns = (uint32_t)any(d);
		s->ifindex = (uint32_t)any(d);
		s->path = any_string(d);
		s->peer_ino = any(d);
	}
}

static inline void any_kernel(struct dice *d, struct herd_machine *m)
{
	m->n_modules = below(d, 4);
	m->modules = zeros(m->n_modules, sizeof(*m->modules));
	for (size_t i = 0; i < m->n_modules; i++) {
		struct herd_module *o = &m->modules[i];

		any_text(d, o->name, sizeof(o->name));
		o->module = any(d);
		o->base = any(d);
		o->size = any(d);
		o->total = any(d);
		o->refs = (uint32_t)any(d);
		o->taints = (uint32_t)any(d);
		o->state = (char)any(d);
		o->used_by = any_string(d);
		any_text(d, o->srcversion, sizeof(o->srcversion));
		for (size_t k = 0; k < 32; k++)
			o->text[k] = (uint8_t)any(d);
		o->seen = (uint32_t)any(d);
	}
	m->n_hooks = below(d, 4);
	m->hooks = zeros(m->n_hooks, sizeof(*m->hooks));
	for (size_t i = 0; i < m->n_hooks; i++) {
		struct herd_hook *h = &m->hooks[i];

		h->kind = below(d, HERD_HOOK_MAX);
		h->number = (uint32_t)any(d);
		h->at = any(d);
		h->target = any(d);
		h->name = any_string(d);
		h->target_name = any_string(d);
		h->expected = below(d, 2);
	}
}

static inline void any_pages(struct dice *d, struct herd_machine *m)
{
	uint32_t file = 0;
	uint64_t index = 0;

	m->n_page_digests = m->n_files ? below(d, 5) : 0;
	m->page_digests = zeros(m->n_page_digests, sizeof(*m->page_digests));
	for (size_t i = 0; i < m->n_page_digests; i++) {
		struct herd_page_digest *p = &m->page_digests[i];

		if (file + 1 < m->n_files && below(d, 2)) {
			file++;
			index = 0;
		}
		p->file = file;
		p->index = index + below(d, 50);
		index = p->index + 1;
		for (size_t k = 0; k < sizeof(p->digest); k++)
			p->digest[k] = (uint8_t)any(d);
	}
	m->n_page_changes = m->n_files ? below(d, 4) : 0;
	m->page_changes = zeros(m->n_page_changes, sizeof(*m->page_changes));
	for (size_t i = 0; i < m->n_page_changes; i++) {
		struct herd_page_change *p = &m->page_changes[i];

		p->process = m->n_processes && below(d, 2) ?
				     (uint32_t)below(d, m->n_processes) :
				     HERD_NO_INDEX;
		p->file = (uint32_t)below(d, m->n_files);
		p->index = any(d);
		p->va = any(d);
		p->phys = any(d);
		p->origin = below(d, 2);
		p->against = below(d, 3);
		p->kind = below(d, HERD_CHANGE_MAX);
		p->first = (uint16_t)any(d);
		p->bytes = (uint16_t)any(d);
		for (size_t k = 0; k < 32; k++) {
			p->digest[k] = (uint8_t)any(d);
			p->other[k] = (uint8_t)any(d);
		}
	}
}

static inline struct herd_machine *any_machine(uint64_t seed)
{
	struct dice d = { .state = seed * 0x9e3779b97f4a7c15 + 1 };
	struct herd_machine *m = zeros(1, sizeof(*m));
	int32_t pid = below(&d, 10) ? 0 : -5;

	for (int i = 0; i < 10; i++)
		roll(&d);
	any_text(&d, m->facts.release, sizeof(m->facts.release));
	any_text(&d, m->facts.banner, sizeof(m->facts.banner));
	any_text(&d, m->facts.build_id, sizeof(m->facts.build_id));
	m->facts.phys_base = any(&d);
	m->facts.kaslr = (int64_t)any(&d);
	m->facts.page_offset = any(&d);
	m->facts.vmemmap = any(&d);
	m->facts.five_level = below(&d, 2);
	m->facts.has_btf = below(&d, 2);
	m->facts.symbols_from = below(&d, 2) ? "kallsyms" : "VMCOREINFO";
	any_text(&d, m->hostname, sizeof(m->hostname));
	m->boot_time = any(&d);
	m->uptime_ns = any(&d);
	m->cpus = (unsigned)any(&d);
	m->memory = any(&d);
	m->unread = (uint32_t)below(&d, HERD_UNREAD_ALL + 1);
	m->n_files = below(&d, 8);
	m->files = zeros(m->n_files, sizeof(*m->files));
	for (size_t i = 0; i < m->n_files; i++)
		any_file(&d, &m->files[i]);
	any_sockets(&d, m);
	m->n_processes = below(&d, 6);
	m->processes = zeros(m->n_processes, sizeof(*m->processes));
	for (size_t i = 0; i < m->n_processes; i++) {
		pid += (int32_t)below(&d, 1000);
		m->processes[i].pid = pid;
		any_process(&d, &m->processes[i], m);
	}
	any_kernel(&d, m);
	m->n_problems = below(&d, 3);
	m->problems = zeros(m->n_problems, sizeof(*m->problems));
	for (size_t i = 0; i < m->n_problems; i++)
		m->problems[i] = (struct herd_machine_problem){ any_string(&d),
								any_string(&d),
								any(&d) };
	any_pages(&d, m);
	return m;
}

/* ---- comparing ---- */

/* Members of a and b that are pointers are compared by what they lead to, then
   set to NULL in copies, so that the rest can be compared byte by byte. */
#define SAME_STRING(a, b, member)                   \
	do {                                        \
		if (strcmp((a).member, (b).member)) \
			return false;               \
		(a).member = (b).member = NULL;     \
	} while (0)
#define SAME_PLAIN(a, b, member, count)                                     \
	do {                                                                \
		if ((a).count != (b).count ||                               \
		    ((a).count && memcmp((a).member, (b).member,            \
					 (a).count * sizeof(*(a).member)))) \
			return false;                                       \
		(a).member = (b).member = NULL;                             \
	} while (0)
#define SAME_EACH(a, b, member, count, fn)                       \
	do {                                                     \
		if ((a).count != (b).count)                      \
			return false;                            \
		for (size_t i_ = 0; i_ < (a).count; i_++)        \
			if (!fn((a).member[i_], (b).member[i_])) \
				return false;                    \
		(a).member = (b).member = NULL;                  \
	} while (0)
#define SAME_REST(a, b) (memcmp(&(a), &(b), sizeof(a)) == 0)

static inline bool same_mfile(struct herd_mfile a, struct herd_mfile b)
{
	SAME_STRING(a, b, fs);
	SAME_STRING(a, b, path);
	SAME_PLAIN(a, b, cached, n_cached);
	return SAME_REST(a, b);
}
static inline bool same_vma(struct herd_vma a, struct herd_vma b)
{
	SAME_STRING(a, b, name);
	return a.start == b.start && a.end == b.end && a.flags == b.flags &&
	       a.offset == b.offset && a.file == b.file;
}
static inline bool same_fd(struct herd_fd a, struct herd_fd b)
{
	SAME_STRING(a, b, target);
	return SAME_REST(a, b);
}
static inline bool same_process(struct herd_process a, struct herd_process b)
{
	SAME_STRING(a, b, cgroup);
	SAME_STRING(a, b, exe_target);
	SAME_STRING(a, b, cwd);
	SAME_STRING(a, b, root);
	SAME_STRING(a, b, problem);
	SAME_PLAIN(a, b, argv, n_argv);
	SAME_PLAIN(a, b, environ, n_environ);
	SAME_PLAIN(a, b, groups, n_groups);
	SAME_PLAIN(a, b, threads, n_threads);
	SAME_EACH(a, b, vmas, n_vmas, same_vma);
	SAME_EACH(a, b, fds, n_fds, same_fd);
	return SAME_REST(a, b);
}
static inline bool same_socket(struct herd_socket a, struct herd_socket b)
{
	SAME_STRING(a, b, path);
	return SAME_REST(a, b);
}
static inline bool same_module(struct herd_module a, struct herd_module b)
{
	SAME_STRING(a, b, used_by);
	return SAME_REST(a, b);
}
static inline bool same_hook(struct herd_hook a, struct herd_hook b)
{
	SAME_STRING(a, b, name);
	SAME_STRING(a, b, target_name);
	return SAME_REST(a, b);
}
static inline bool same_problem(struct herd_machine_problem a,
				struct herd_machine_problem b)
{
	SAME_STRING(a, b, where);
	SAME_STRING(a, b, text);
	return a.count == b.count;
}
static inline bool same_machine(struct herd_machine a, struct herd_machine b)
{
	SAME_STRING(a, b, facts.symbols_from);
	SAME_EACH(a, b, files, n_files, same_mfile);
	SAME_EACH(a, b, processes, n_processes, same_process);
	SAME_EACH(a, b, sockets, n_sockets, same_socket);
	SAME_EACH(a, b, modules, n_modules, same_module);
	SAME_EACH(a, b, hooks, n_hooks, same_hook);
	SAME_EACH(a, b, problems, n_problems, same_problem);
	SAME_PLAIN(a, b, page_digests, n_page_digests);
	SAME_PLAIN(a, b, page_changes, n_page_changes);
	return SAME_REST(a, b);
}

#endif
