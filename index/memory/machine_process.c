/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What hangs from the task_struct of a process: credentials, namespaces,
 * control group, terminal, times, page tables; in the words of /proc.
 */
#include "index/memory/machine_tasks.h"

#include <stdio.h>
#include <string.h>

#define KERNFS_DEPTH_MAX 256
#define GROUPS_MAX 65536u

/* ---- what hangs from it ---- */

/* A field of a struct at base, 0 when it is not to be had. */
static uint64_t get(struct herd_tasks *w, uint64_t base,
		    const struct herd_field *f)
{
	uint64_t v;

	if (!base || !herd_field_there(f) ||
	    herd_kernel_get(w->r->k, base, f, &v) != 0)
		return 0;
	return v;
}

static int read_groups(struct herd_tasks *w, uint64_t info,
		       struct herd_process *p)
{
	uint64_t n = get(w, info, &w->f.ngroups);

	if (!n || !herd_field_there(&w->f.gids))
		return 0;
	if (n > GROUPS_MAX || n > w->groups_left) {
		herd_reader_process_problem(w->r, p, "claims %llu groups",
					    (unsigned long long)n);
		return 0;
	}
	uint32_t *v = malloc(n * sizeof(*v));

	if (!v)
		return -ENOMEM;
	if (herd_kernel_read(w->r->k, info + w->f.gids.offset, v,
			     n * sizeof(*v)) != 0) {
		free(v);
		herd_reader_process_problem(w->r, p,
					    "its groups could not be read");
		return 0;
	}
	w->groups_left -= n;
	p->groups = v;
	p->n_groups = n;
	return 0;
}

static int read_cred(struct herd_tasks *w, uint64_t cred,
		     struct herd_process *p)
{
	const struct herd_task_fields *f = &w->f;
	uint8_t bytes[1024];
	uint32_t size;

	if (herd_kernel_sizeof(w->r->k, "cred", &size) ||
	    size > sizeof(bytes) ||
	    herd_kernel_read(w->r->k, cred, bytes, size) != 0) {
		herd_reader_process_problem(
			w->r, p, "its credentials could not be read");
		return 0;
	}
#define PICK(field) herd_walk_value(bytes, size, &f->field)
	p->uid = (uint32_t)PICK(uid);
	p->euid = (uint32_t)PICK(euid);
	p->suid = (uint32_t)PICK(suid);
	p->fsuid = (uint32_t)PICK(fsuid);
	p->gid = (uint32_t)PICK(gid);
	p->egid = (uint32_t)PICK(egid);
	p->sgid = (uint32_t)PICK(sgid);
	p->fsgid = (uint32_t)PICK(fsgid);
	p->cap_inheritable = PICK(cap_inheritable);
	p->cap_permitted = PICK(cap_permitted);
	p->cap_effective = PICK(cap_effective);
	p->cap_bounding = PICK(cap_bset);
	p->cap_ambient = PICK(cap_ambient);
	p->ns[HERD_NS_USER] =
		(uint32_t)get(w, PICK(user_ns), &f->inum[HERD_NS_USER]);
	return read_groups(w, PICK(group_info), p);
#undef PICK
}

/* The number of a struct pid at a level, and the namespace of it. */
static int32_t pid_number(struct herd_tasks *w, uint64_t pid, uint32_t level,
			  uint64_t *ret_ns)
{
	uint64_t upid = pid + w->f.pid_numbers.offset +
			(uint64_t)level * w->f.upid_size;

	if (!pid || level > 32 || !herd_field_there(&w->f.pid_numbers))
		return 0;
	if (ret_ns)
		*ret_ns = get(w, upid, &w->f.nr_ns);
	return (int32_t)get(w, upid, &w->f.nr);
}

int32_t herd_tasks_ns_pid(struct herd_tasks *w, const struct herd_found *t,
			  uint64_t *ret_ns)
{
	return pid_number(w, t->thread_pid,
			  (uint32_t)get(w, t->thread_pid, &w->f.pid_level),
			  ret_ns);
}

static void read_namespaces(struct herd_tasks *w, const struct herd_found *t,
			    struct herd_process *p)
{
	const struct herd_task_fields *f = &w->f;
	uint64_t ns = 0;

	for (int i = 0; t->nsproxy && i < HERD_NS_MAX; i++)
		if (herd_field_there(&f->nsp[i]))
			p->ns[i] = (uint32_t)get(
				w, get(w, t->nsproxy, &f->nsp[i]), &f->inum[i]);
	p->ns_pid = t->pid;
	if (!t->thread_pid)
		return;
	p->ns_pid = herd_tasks_ns_pid(w, t, &ns);
	p->ns[HERD_NS_PID] = (uint32_t)get(w, ns, &f->inum[HERD_NS_PID]);
}

/* ---- control group ---- */

/* Names from the leaf up are put in front of each other. */
static int kernfs_path(struct herd_tasks *w, uint64_t kn, char **ret)
{
	char path[HERD_MACHINE_PATH_MAX];
	size_t at = sizeof(path) - 1;

	path[at] = '\0';
	for (int depth = 0; kn && depth < KERNFS_DEPTH_MAX; depth++) {
		uint64_t parent = get(w, kn, &w->f.kn_parent);
		char name[256];
		size_t n;

		if (!parent)
			break;
		if (!w->kernfs_left--) {
			w->kernfs_left = 0;
			return -EOVERFLOW;
		}
		if (herd_kernel_string(w->r->k, get(w, kn, &w->f.kn_name), name,
				       sizeof(name)) != 0)
			return -EFAULT;
		n = strlen(name);
		if (n + 1 > at)
			return -EOVERFLOW;
		at -= n;
		memcpy(path + at, name, n);
		path[--at] = '/';
		kn = parent;
	}
	if (at == sizeof(path) - 1)
		path[--at] = '/';
	*ret = strdup(path + at);
	return *ret ? 0 : -ENOMEM;
}

static int read_cgroup(struct herd_tasks *w, uint64_t css_set,
		       struct herd_process *p)
{
	uint32_t i;
	int err;

	if (!css_set || !herd_field_there(&w->f.dfl_cgrp) ||
	    !herd_field_there(&w->f.kn) || !herd_field_there(&w->f.kn_name) ||
	    !herd_field_there(&w->f.kn_parent))
		return 0;
	if (!herd_seen_has(&w->cgroups, css_set, &i)) {
		uint64_t cgroup = get(w, css_set, &w->f.dfl_cgrp);
		CLEANUP_FREE char *path = NULL;

		err = kernfs_path(w, get(w, cgroup, &w->f.kn), &path);
		if (err == -ENOMEM)
			return err;
		if (err) {
			herd_reader_process_problem(
				w->r, p, "its control group could not be read");
			return 0;
		}
		i = (uint32_t)w->n_paths;
		err = HERD_READER_GROW(w->paths, w->n_paths, &w->cap_paths,
				       HERD_PROCESSES_MAX + 1);
		if (!err)
			err = herd_seen_add(&w->cgroups, css_set, i, NULL);
		if (err)
			return err;
		w->paths[w->n_paths++] = TAKE_PTR(path);
	}
	char *copy = strdup(w->paths[i]);

	if (!copy)
		return -ENOMEM;
	free(p->cgroup);
	p->cgroup = copy;
	return 0;
}

/* ---- the process's signal_struct ---- */

/* "pts0" is called pts/0 everywhere else. */
static void read_tty(struct herd_tasks *w, uint64_t tty, char ret[16])
{
	char name[65];

	if (!tty || !herd_field_there(&w->f.tty_name) ||
	    herd_kernel_string(w->r->k, tty + w->f.tty_name.offset, name,
			       sizeof(name)) != 0)
		return;
	if (!strncmp(name, "pts", 3) && name[3] >= '0' && name[3] <= '9')
		snprintf(ret, 16, "pts/%.11s", name + 3);
	else
		snprintf(ret, 16, "%.15s", name);
}

/*
 * As the kernel's cputime_adjust: the exact run time, divided as the ticks
 * were, and never less than what it has said before.
 */
static void share_runtime(uint64_t runtime, uint64_t prev_utime,
			  uint64_t prev_stime, uint64_t *utime, uint64_t *stime)
{
	uint64_t u = *utime, s = *stime;

	if (prev_utime + prev_stime >= runtime) {
		*utime = prev_utime;
		*stime = prev_stime;
		return;
	}
	if (!s)
		u = runtime;
	else if (!u)
		s = runtime;
	else
		s = (uint64_t)((__uint128_t)s * runtime / ((__uint128_t)s + u));
	if (s > runtime)
		s = runtime;
	if (s < prev_stime)
		s = prev_stime;
	u = runtime - s;
	if (u < prev_utime) {
		u = prev_utime;
		s = runtime - u;
	}
	*utime = u;
	*stime = s;
}

static void read_times(struct herd_tasks *w, const uint8_t *bytes, size_t size,
		       struct herd_process *p)
{
	const struct herd_task_fields *f = &w->f;
	uint64_t runtime = herd_walk_value(bytes, size, &f->sig_runtime);

	p->utime_ns = herd_walk_value(bytes, size, &f->sig_utime);
	p->stime_ns = herd_walk_value(bytes, size, &f->sig_stime);
	for (size_t i = 0; i < p->n_threads; i++) {
		uint32_t j;

		if (!herd_seen_has(&w->map, p->threads[i].task, &j))
			continue;
		p->utime_ns += w->v[j].utime;
		p->stime_ns += w->v[j].stime;
		runtime += w->v[j].runtime;
	}
	if (herd_field_there(&f->prev_utime) &&
	    herd_field_there(&f->prev_stime) && herd_field_there(&f->runtime))
		share_runtime(runtime,
			      herd_walk_value(bytes, size, &f->prev_utime),
			      herd_walk_value(bytes, size, &f->prev_stime),
			      &p->utime_ns, &p->stime_ns);
}

static void read_signal(struct herd_tasks *w, uint64_t signal,
			struct herd_process *p)
{
	const struct herd_field *pids = &w->f.sig_pids;
	uint8_t bytes[4096];
	uint32_t size;

	if (herd_kernel_sizeof(w->r->k, "signal_struct", &size))
		return;
	if (size > sizeof(bytes))
		size = sizeof(bytes);
	if (!signal || herd_kernel_read(w->r->k, signal, bytes, size) != 0) {
		herd_reader_process_problem(
			w->r, p, "what its threads share could not be read");
		return;
	}
	if (herd_field_there(pids)) {
		/* struct pid *pids[]: PID, TGID, PGID, SID */
		struct herd_field pgrp = herd_field_at(*pids, 2, 8),
				  session = herd_field_at(*pids, 3, 8);

		p->pgrp = pid_number(w, herd_walk_value(bytes, size, &pgrp), 0,
				     NULL);
		p->session = pid_number(
			w, herd_walk_value(bytes, size, &session), 0, NULL);
	}
	read_tty(w, herd_walk_value(bytes, size, &w->f.tty), p->tty);
	read_times(w, bytes, size, p);
}

/* ---- all of it ---- */

static void read_space(struct herd_tasks *w, struct herd_process *p)
{
	const struct herd_space *ks = herd_kernel_space(w->r->k);
	uint64_t pgd = get(w, p->mm, &w->f.pgd);
	struct herd_mapping m;

	if (!pgd)
		return;
	herd_space_look(herd_kernel_phys(w->r->k), ks, pgd, &m);
	if (m.state != HERD_PAGE_PRESENT) {
		herd_reader_process_problem(w->r, p,
					    "its page tables are not there");
		return;
	}
	p->space = *ks;
	p->space.pgd = m.phys;
}

int herd_task_process(struct herd_tasks *w, const struct herd_found *t,
		      struct herd_process *p)
{
	uint32_t i;
	int err;

	p->kthread = t->flags & HERD_PF_KTHREAD;
	p->exiting = t->exit_state || (t->flags & HERD_PF_EXITING);
	p->state = t->state;
	p->mm = p->kthread ? 0 : t->mm;
	p->start_ns = t->start;
	p->no_new_privs = t->no_new_privs;
	p->seccomp = t->seccomp;
	if (herd_seen_has(&w->map, t->real_parent, &i))
		p->ppid = w->v[i].tgid;
	else
		p->ppid = (int32_t)get(w, t->real_parent, &w->f.tgid);
	err = read_cred(w, t->real_cred, p);
	if (!err)
		err = read_cgroup(w, t->cgroups, p);
	if (err)
		return err;
	read_namespaces(w, t, p);
	read_signal(w, t->signal, p);
	read_space(w, p);
	return 0;
}
