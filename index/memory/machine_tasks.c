/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The tasks of a machine. First they are collected, each once, with the views
 * that show it: the list that hangs from init_task, each process's threads,
 * the tables of pids, the slab, the processors, the lists of children. Then
 * threads are put together to processes. A process that hides from one view is
 * a process with a bit less in `seen`; the judging is somebody else's.
 */
#include "index/memory/machine_tasks.h"

#include <stdio.h>
#include <string.h>

#define LINKS_ALL_MAX (4u << 20)
#define KERNFS_ALL_MAX (1u << 20)
#define GROUPS_ALL_MAX (4u << 20)

/* ---- the list ---- */

static const char *why_ended(int err)
{
	return err == -ELOOP	 ? "runs in a circle" :
	       err == -EOVERFLOW ? "does not end" :
	       err == -EBADMSG	 ? "leads to what is no task" :
				   "leads out of the image";
}

/*
 * From init_task on; back: along the pointers to the previous one. *ret: why it
 * ended before it was there again, 0 when it was.
 */
static int walk_tasks(struct herd_tasks *w, uint64_t init, bool back, int *ret)
{
	uint64_t head = init + w->f.tasks.offset, node;
	struct herd_chain c =
		back ? herd_chain_list_back(&w->mem, head, HERD_THREADS_MAX) :
		       herd_chain_list(&w->mem, head, HERD_THREADS_MAX);
	int err = 0;

	while (herd_chain_next(&c, &node)) {
		err = herd_tasks_add(w, node - w->f.tasks.offset,
				     HERD_SEEN_LIST, NULL);
		if (err == -ENOMEM)
			return err;
		if (err < 0)
			break;
	}
	if (err >= 0)
		err = c.err;
	if (err < 0)
		herd_reader_problem(w->r, "list of tasks", "%s %s",
				    back ? "backwards it" : "it",
				    why_ended(err));
	*ret = err < 0 ? err : 0;
	return 0;
}

/* Broken in the middle, the rest is reached from its other end. */
static int view_list(struct herd_tasks *w, struct herd_diag *diag)
{
	uint64_t init;
	int err = herd_kernel_symbol(w->r->k, "init_task", &init), forth, back;

	if (err)
		return herd_diag_set(diag, err, "kernel", HERD_NO_OFFSET,
				     "has no symbol init_task");
	err = walk_tasks(w, init, false, &forth);
	if (!err && forth)
		err = walk_tasks(w, init, true, &back);
	if (!err && forth)
		herd_reader_half_read(w->r, HERD_UNREAD_TASKS, forth, back);
	return err;
}

/* ---- what hangs together ---- */

static void chain_problem(struct herd_tasks *w, const struct herd_found *t,
			  const char *what, int err)
{
	char where[64];

	snprintf(where, sizeof(where), "process %d (%s)", t->tgid, t->comm);
	herd_reader_problem(w->r, where, "the list of its %s %s", what,
			    why_ended(err));
}

/* The tasks of a list: head, and where in a task its link lies. */
static int walk_relatives(struct herd_tasks *w, uint32_t of, uint64_t head,
			  const struct herd_field *link, uint32_t view,
			  const char *what)
{
	struct herd_chain c = herd_chain_list(&w->mem, head,
					      w->links_left < HERD_THREADS_MAX ?
						      w->links_left :
						      HERD_THREADS_MAX);
	uint64_t node;
	int err = 0;

	while (herd_chain_next(&c, &node)) {
		err = herd_tasks_add(w, node - link->offset, view, NULL);
		if (err == -ENOMEM)
			return err;
		if (err < 0)
			break;
	}
	w->links_left -= c.steps;
	if (err >= 0)
		err = c.err;
	if (err < 0)
		chain_problem(w, &w->v[of], what, err);
	if (err < 0 && link == &w->f.thread_node)
		w->v[of].threads_unread = true;
	return 0;
}

/* What a task leads to: its leader, its threads, its children. */
static int follow(struct herd_tasks *w, uint32_t i)
{
	const struct herd_found t = w->v[i];
	int err = 0;

	if (t.leader != t.task)
		err = herd_tasks_add(w, t.leader, 0, NULL);
	else if (t.signal)
		err = walk_relatives(w, i, t.signal + w->f.thread_head.offset,
				     &w->f.thread_node, t.seen & HERD_SEEN_LIST,
				     "threads");
	if (err == -ENOMEM)
		return err;
	return walk_relatives(w, i, t.task + w->f.children.offset,
			      &w->f.sibling, HERD_SEEN_CHILD, "children");
}

static int collect(struct herd_tasks *w, struct herd_diag *diag)
{
	size_t done = 0;
	uint64_t init;
	int err = view_list(w, diag);

	if (err)
		return err;
	/* The kernel's own children: the first process and kthreadd. */
	if (!herd_kernel_symbol(w->r->k, "init_task", &init) && w->n)
		err = walk_relatives(w, 0, init + w->f.children.offset,
				     &w->f.sibling, HERD_SEEN_CHILD, "elders");
	for (; !err && done < w->n; done++)
		err = follow(w, (uint32_t)done);
	if (!err)
		err = herd_tasks_view_cpus(w);
	if (!err)
		err = herd_tasks_view_slab(w);
	if (!err)
		err = herd_tasks_view_pids(w);
	for (; !err && done < w->n; done++)
		err = follow(w, (uint32_t)done);
	return err;
}

/* ---- processes ---- */

/* The idle tasks, one a processor, are in no list, and in no /proc. */
static bool idle(const struct herd_found *t)
{
	return !t->pid && !t->mm &&
	       ((t->flags & HERD_PF_IDLE) || !strncmp(t->comm, "swapper", 7));
}

static int new_process(struct herd_tasks *w, struct herd_found *t)
{
	struct herd_machine *m = w->r->m;
	struct herd_process *p;
	int err = HERD_READER_GROW(m->processes, m->n_processes,
				   &w->r->cap_processes, HERD_PROCESSES_MAX);

	if (err)
		return err;
	p = &m->processes[m->n_processes];
	*p = (struct herd_process){
		.task = t->task,
		.pid = t->pid,
		.seen = t->seen,
		.threads_unread = t->threads_unread,
		.exe = HERD_NO_INDEX,
		.cgroup = strdup("/"),
		.exe_target = strdup(""),
		.cwd = strdup(""),
		.root = strdup(""),
		.problem = strdup(""),
	};
	memcpy(p->comm, t->comm, sizeof(p->comm));
	t->process = (uint32_t)m->n_processes++;
	return p->cgroup && p->exe_target && p->cwd && p->root && p->problem ?
		       0 :
		       -ENOMEM;
}

static int leaders(struct herd_tasks *w)
{
	int err = 0;

	for (size_t i = 0; i < w->n && !err; i++)
		if (w->v[i].leader == w->v[i].task && !idle(&w->v[i]))
			err = new_process(w, &w->v[i]);
	return err;
}

/* Threads; one whose leader is not to be had is a process of its own. */
static int members(struct herd_tasks *w)
{
	struct herd_process *p;
	int err = 0;

	for (size_t i = 0; i < w->n && !err; i++) {
		uint32_t j;

		if (w->v[i].leader == w->v[i].task || idle(&w->v[i]))
			continue;
		if (herd_seen_has(&w->map, w->v[i].leader, &j) &&
		    w->v[j].leader == w->v[j].task) {
			w->v[i].process = w->v[j].process;
			continue;
		}
		err = new_process(w, &w->v[i]);
		if (err)
			break;
		p = &w->r->m->processes[w->v[i].process];
		herd_reader_process_problem(
			w->r, p, "the leader of its thread group is missing");
	}
	return err;
}

static int make_processes(struct herd_tasks *w)
{
	int err = leaders(w);

	if (!err)
		err = members(w);
	if (err != -EOVERFLOW)
		return err;
	herd_reader_problem(w->r, "list of tasks",
			    "more than %u processes: the others are left out",
			    HERD_PROCESSES_MAX);
	return 0;
}

static int by_tid(const void *a, const void *b)
{
	const struct herd_thread *s = a, *t = b;

	if (s->tid != t->tid)
		return s->tid < t->tid ? -1 : 1;
	return s->task < t->task ? -1 : s->task > t->task;
}

static void add_thread(struct herd_tasks *w, struct herd_process *p,
		       const struct herd_found *t)
{
	struct herd_thread *th = &p->threads[p->n_threads++];

	*th = (struct herd_thread){ .task = t->task,
				    .tid = t->pid,
				    .state = t->state,
				    .seen = t->seen,
				    .on_cpu = t->on_cpu };
	memcpy(th->comm, t->comm, sizeof(th->comm));
	if (t->thread_pid)
		th->ns_tid = herd_tasks_ns_pid(w, t, NULL);
}

/* Counted first, so that one array a process does. */
static int make_threads(struct herd_tasks *w)
{
	struct herd_machine *m = w->r->m;

	for (size_t i = 0; i < w->n; i++)
		if (w->v[i].process != HERD_NO_INDEX)
			m->processes[w->v[i].process].n_threads++;
	for (size_t i = 0; i < m->n_processes; i++) {
		struct herd_process *p = &m->processes[i];
		uint32_t j;

		p->threads = calloc(p->n_threads, sizeof(*p->threads));
		if (!p->threads) {
			p->n_threads = 0;
			return -ENOMEM;
		}
		p->n_threads = 0;
		if (herd_seen_has(&w->map, p->task, &j))
			add_thread(w, p, &w->v[j]);
	}
	for (size_t i = 0; i < w->n; i++) {
		struct herd_process *p;

		if (w->v[i].process == HERD_NO_INDEX)
			continue;
		p = &m->processes[w->v[i].process];
		if (p->task != w->v[i].task)
			add_thread(w, p, &w->v[i]);
	}
	for (size_t i = 0; i < m->n_processes; i++)
		if (m->processes[i].n_threads > 2)
			qsort(m->processes[i].threads + 1,
			      m->processes[i].n_threads - 1,
			      sizeof(struct herd_thread), by_tid);
	return 0;
}

static int fill(struct herd_tasks *w)
{
	struct herd_machine *m = w->r->m;
	int err = 0;

	for (size_t i = 0; i < m->n_processes && !err; i++) {
		uint32_t j;

		herd_reader_beat(w->r);
		if (herd_seen_has(&w->map, m->processes[i].task, &j))
			err = herd_task_process(w, &w->v[j], &m->processes[i]);
	}
	return err;
}

static void deinit(struct herd_tasks *w)
{
	for (size_t i = 0; i < w->n_paths; i++)
		free(w->paths[i]);
	free(w->paths);
	free(w->v);
	free(w->scratch);
	free(w->cpu_task);
	herd_seen_deinit(&w->map);
	herd_seen_deinit(&w->cgroups);
}

int herd_reader_tasks(struct herd_reader *r, struct herd_diag *diag)
{
	struct herd_tasks w = {
		.r = r,
		.mem = herd_walk_kernel(r->k),
		.links_left = LINKS_ALL_MAX,
		.kernfs_left = KERNFS_ALL_MAX,
		.groups_left = GROUPS_ALL_MAX,
	};
	int err = herd_task_fields(r->k, &w.f, diag);

	if (err)
		return err;
	w.scratch = malloc(w.f.task_size);
	err = w.scratch ? collect(&w, diag) : -ENOMEM;
	if (!err && !w.n)
		err = herd_diag_set(diag, -ENODATA, "kernel", HERD_NO_OFFSET,
				    "the list of tasks could not be read: the "
				    "image may lack part of the memory");
	if (!err)
		err = make_processes(&w);
	if (!err)
		err = make_threads(&w);
	if (!err)
		err = fill(&w);
	if (!err)
		err = herd_tasks_registers(&w);
	deinit(&w);
	return err;
}
