/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One task_struct: where its values lie, what they are, and whether it is one
 * at all.
 */
#include "index/memory/machine_tasks.h"

#include <string.h>

/* ---- where everything lies ---- */

#define AT(f) .where = offsetof(struct herd_task_fields, f)
#define MUST(type, member, f)       \
	{                           \
		type, member, AT(f) \
	}
#define MAY(type, member, f)                          \
	{                                             \
		type, member, .optional = true, AT(f) \
	}
#define EITHER(t1, m1, t2, m2, f)           \
	{                                   \
		t1, m1, t2, m2, true, AT(f) \
	}
#define TASK(member) MUST("task_struct", #member, member)
#define CRED(member) MUST("cred", #member, member)
#define NS(type, member, i) \
	MAY("nsproxy", member, nsp[i]), MAY(type, "ns.inum", inum[i])

static const struct herd_wanted wanted[] = {
	TASK(tasks),
	TASK(thread_node),
	TASK(children),
	TASK(sibling),
	TASK(pid),
	TASK(tgid),
	TASK(comm),
	TASK(flags),
	TASK(exit_state),
	TASK(real_parent),
	TASK(group_leader),
	TASK(signal),
	TASK(real_cred),
	TASK(nsproxy),
	TASK(mm),
	TASK(stack),
	TASK(utime),
	TASK(stime),
	MAY("task_struct", "pid_links", pid_links),
	MAY("task_struct", "thread_pid", thread_pid),
	MAY("task_struct", "cgroups", cgroups),
	MAY("task_struct", "on_cpu", on_cpu),
	MAY("task_struct", "usage", usage),
	MAY("task_struct", "atomic_flags", atomic_flags),
	MAY("task_struct", "seccomp.mode", seccomp),
	MAY("task_struct", "se.sum_exec_runtime", runtime),
	{ "task_struct", "__state", "task_struct", "state", AT(state) },
	EITHER("task_struct", "start_boottime", "task_struct",
	       "real_start_time", start),
	MAY("task_struct", "thread.fsbase", fsbase),
	MAY("task_struct", "thread.gsbase", gsbase),
	MAY("task_struct", "thread.ds", ds),
	MAY("task_struct", "thread.es", es),
	MAY("task_struct", "thread.fsindex", fsindex),
	MAY("task_struct", "thread.gsindex", gsindex),
	MUST("signal_struct", "thread_head", thread_head),
	MAY("signal_struct", "pids", sig_pids),
	MAY("signal_struct", "tty", tty),
	MAY("signal_struct", "utime", sig_utime),
	MAY("signal_struct", "stime", sig_stime),
	MAY("signal_struct", "sum_sched_runtime", sig_runtime),
	MAY("signal_struct", "prev_cputime.utime", prev_utime),
	MAY("signal_struct", "prev_cputime.stime", prev_stime),
	MAY("tty_struct", "name", tty_name),
	MAY("pid", "tasks", pid_tasks),
	MAY("pid", "level", pid_level),
	MAY("pid", "numbers", pid_numbers),
	MAY("upid", "nr", nr),
	MAY("upid", "ns", nr_ns),
	CRED(uid),
	CRED(euid),
	CRED(suid),
	CRED(fsuid),
	CRED(gid),
	CRED(egid),
	CRED(sgid),
	CRED(fsgid),
	CRED(cap_inheritable),
	CRED(cap_permitted),
	CRED(cap_effective),
	CRED(cap_bset),
	MAY("cred", "cap_ambient", cap_ambient),
	MAY("cred", "group_info", group_info),
	MAY("cred", "user_ns", user_ns),
	MAY("group_info", "ngroups", ngroups),
	MAY("group_info", "gid", gids),
	NS("mnt_namespace", "mnt_ns", HERD_NS_MNT),
	NS("uts_namespace", "uts_ns", HERD_NS_UTS),
	NS("ipc_namespace", "ipc_ns", HERD_NS_IPC),
	NS("net", "net_ns", HERD_NS_NET),
	NS("cgroup_namespace", "cgroup_ns", HERD_NS_CGROUP),
	NS("time_namespace", "time_ns", HERD_NS_TIME),
	MAY("pid_namespace", "ns.inum", inum[HERD_NS_PID]),
	MAY("user_namespace", "ns.inum", inum[HERD_NS_USER]),
	MAY("css_set", "dfl_cgrp", dfl_cgrp),
	MAY("cgroup", "kn", kn),
	MAY("kernfs_node", "name", kn_name),
	EITHER("kernfs_node", "__parent", "kernfs_node", "parent", kn_parent),
	MAY("mm_struct", "pgd", pgd),
};

/*
 * How much of a task_struct has to be read. Its type's size says nothing: the
 * registers at its end are as many as the processor has.
 */
static uint32_t task_bytes(const struct herd_task_fields *ret)
{
	uint32_t end = 0;

	for (size_t i = 0; i < ARRAY_SIZE(wanted); i++) {
		const struct herd_field *f =
			(const struct herd_field *)((const char *)ret +
						    wanted[i].where);

		if (strcmp(wanted[i].type, "task_struct") != 0 ||
		    !herd_field_there(f) || f->offset > HERD_TASK_STRUCT_MAX ||
		    f->size > HERD_TASK_STRUCT_MAX)
			continue;
		if (f->offset + f->size > end)
			end = f->offset + f->size;
	}
	return end;
}

int herd_task_fields(struct herd_kernel *k, struct herd_task_fields *ret,
		     struct herd_diag *diag)
{
	int err = herd_kernel_fields(k, wanted, ARRAY_SIZE(wanted), ret, diag);

	if (err)
		return err;
	ret->nsp[HERD_NS_PID].offset = HERD_FIELD_MISSING;
	ret->nsp[HERD_NS_USER].offset = HERD_FIELD_MISSING;
	ret->task_size = task_bytes(ret);
	if (ret->task_size < 16 || ret->task_size > HERD_TASK_STRUCT_MAX)
		return herd_diag_set(diag, -EBADMSG, "kernel", HERD_NO_OFFSET,
				     "struct task_struct of %u bytes",
				     ret->task_size);
	if (herd_kernel_sizeof(k, "upid", &ret->upid_size))
		ret->upid_size = 16;
	return 0;
}

/* ---- a task_struct ---- */

/* As the kernel's task_state_index. */
static char state_letter(uint32_t state, uint32_t exit_state)
{
	static const char letters[] = "RSDTtXZPI";
	const uint32_t idle = 0x402, rtlock = 0x1000, frozen = 0x8000;
	uint32_t v = (state | exit_state) & 0x7f;
	unsigned i = 0;

	if ((state & idle) == idle)
		v = 0x80;
	else if (!v && (state & (rtlock | frozen)))
		v = 2;
	while (v) {
		v >>= 1;
		i++;
	}
	return letters[i];
}

static uint64_t pick(const struct herd_tasks *w, const struct herd_field *f)
{
	return herd_walk_value(w->scratch, w->f.task_size, f);
}

static void take(struct herd_tasks *w, uint64_t task, struct herd_found *t)
{
	const struct herd_task_fields *f = &w->f;

	*t = (struct herd_found){
		.task = task,
		.pid = (int32_t)pick(w, &f->pid),
		.tgid = (int32_t)pick(w, &f->tgid),
		.on_cpu = pick(w, &f->on_cpu) & 0xffffffff,
		.no_new_privs = pick(w, &f->atomic_flags) & 1,
		.seccomp = (uint8_t)pick(w, &f->seccomp),
		.flags = (uint32_t)pick(w, &f->flags),
		.exit_state = (uint32_t)pick(w, &f->exit_state),
		.raw_state = (uint32_t)pick(w, &f->state),
		.usage = (uint32_t)pick(w, &f->usage),
		.real_parent = pick(w, &f->real_parent),
		.leader = pick(w, &f->group_leader),
		.signal = pick(w, &f->signal),
		.real_cred = pick(w, &f->real_cred),
		.nsproxy = pick(w, &f->nsproxy),
		.thread_pid = pick(w, &f->thread_pid),
		.cgroups = pick(w, &f->cgroups),
		.mm = pick(w, &f->mm),
		.stack = pick(w, &f->stack),
		.start = pick(w, &f->start),
		.utime = pick(w, &f->utime),
		.stime = pick(w, &f->stime),
		.runtime = pick(w, &f->runtime),
		.fsbase = pick(w, &f->fsbase),
		.gsbase = pick(w, &f->gsbase),
		.ds = (uint16_t)pick(w, &f->ds),
		.es = (uint16_t)pick(w, &f->es),
		.fs = (uint16_t)pick(w, &f->fsindex),
		.gs = (uint16_t)pick(w, &f->gsindex),
		.process = HERD_NO_INDEX,
	};
	if (f->comm.offset <= f->task_size - 16)
		memcpy(t->comm, w->scratch + f->comm.offset, 16);
	t->state = state_letter(t->raw_state, t->exit_state);
}

/* Whether these bytes can be a task at all. A dead one has lost some of it. */
static bool plausible(const struct herd_tasks *w, const struct herd_found *t)
{
	const struct herd_kernel *k = w->r->k;

	return t->pid >= 0 && t->pid <= HERD_PID_MAX && t->tgid >= 0 &&
	       t->tgid <= HERD_PID_MAX && !t->comm[15] &&
	       !(t->exit_state & ~(HERD_EXIT_DEAD | HERD_EXIT_ZOMBIE)) &&
	       (!herd_field_there(&w->f.usage) ||
		(t->usage && t->usage < 1u << 24)) &&
	       herd_kernel_is_pointer(k, t->real_cred) &&
	       herd_kernel_is_pointer(k, t->leader) &&
	       herd_kernel_is_pointer(k, t->real_parent) &&
	       (herd_kernel_is_pointer(k, t->signal) || t->exit_state);
}

static int add(struct herd_tasks *w, uint64_t task, uint32_t view,
	       bool from_slab, uint32_t *ret)
{
	struct herd_found t;
	uint32_t i;
	int err;

	if (herd_seen_has(&w->map, task, &i)) {
		w->v[i].seen |= view;
		if (ret)
			*ret = i;
		return 1;
	}
	if (!herd_kernel_is_pointer(w->r->k, task) || (task & 7))
		return -EBADMSG;
	err = herd_kernel_read(w->r->k, task, w->scratch, w->f.task_size);
	if (err)
		return err;
	take(w, task, &t);
	if (!plausible(w, &t))
		return -EBADMSG;
	if (from_slab && ((t.exit_state & HERD_EXIT_DEAD) ||
			  (t.raw_state & HERD_TASK_NEW) || !t.comm[0]))
		return -EBADMSG;
	t.seen = view;
	err = HERD_READER_GROW(w->v, w->n, &w->cap, HERD_THREADS_MAX);
	if (!err)
		err = herd_seen_add(&w->map, task, (uint32_t)w->n, NULL);
	if (err)
		return err;
	if (ret)
		*ret = (uint32_t)w->n;
	w->v[w->n++] = t;
	return 0;
}

int herd_tasks_add(struct herd_tasks *w, uint64_t task, uint32_t view,
		   uint32_t *ret)
{
	return add(w, task, view, false, ret);
}

int herd_tasks_add_slab(struct herd_tasks *w, uint64_t task)
{
	return add(w, task, HERD_SEEN_SLAB, true, NULL);
}
