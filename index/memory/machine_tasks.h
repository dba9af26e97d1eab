/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tasks while they are being found, shared by machine_tasks.c (the list, the
 * threads, what becomes of them), machine_views.c (the other views),
 * machine_task.c (a task_struct), machine_process.c (what hangs from it) and
 * machine_regs.c (registers). Nobody else's.
 *
 * Threads: of one thread.
 */
#ifndef HERD_MACHINE_TASKS_H
#define HERD_MACHINE_TASKS_H

#include "index/memory/machine_internal.h"
#include "index/memory/machine_walk.h"

#define HERD_TASK_STRUCT_MAX 65536u
/* Kernel flags and states: the same since 5.4. */
#define HERD_PF_IDLE 0x2u
#define HERD_PF_EXITING 0x4u
#define HERD_PF_KTHREAD 0x200000u
#define HERD_TASK_NEW 0x800u
#define HERD_EXIT_DEAD 0x10u
#define HERD_EXIT_ZOMBIE 0x20u
#define HERD_PID_MAX 4194304

struct herd_task_fields {
	/* task_struct */
	struct herd_field tasks, thread_node, children, sibling, pid_links;
	struct herd_field pid, tgid, comm, flags, state, exit_state, usage;
	struct herd_field real_parent, group_leader, signal, real_cred, nsproxy,
		thread_pid, cgroups, mm, stack, on_cpu, start, utime, stime,
		runtime, atomic_flags, seccomp;
	struct herd_field fsbase, gsbase, ds, es, fsindex, gsindex;
	/* signal_struct */
	struct herd_field thread_head, sig_pids, tty, sig_utime, sig_stime,
		sig_runtime, prev_utime, prev_stime;
	struct herd_field tty_name;
	/* struct pid, upid */
	struct herd_field pid_tasks, pid_level, pid_numbers, nr, nr_ns;
	/* cred */
	struct herd_field uid, euid, suid, fsuid, gid, egid, sgid, fsgid,
		cap_inheritable, cap_permitted, cap_effective, cap_bset,
		cap_ambient, group_info, user_ns, ngroups, gids;
	/* nsproxy, then the inode number in each */
	struct herd_field nsp[HERD_NS_MAX], inum[HERD_NS_MAX];
	/* css_set, cgroup, kernfs_node */
	struct herd_field dfl_cgrp, kn, kn_name, kn_parent;
	/* mm_struct */
	struct herd_field pgd;
	uint32_t task_size, upid_size;
};

/* A task_struct, its values as read once. */
struct herd_found {
	uint64_t task;
	uint32_t seen;
	int32_t pid, tgid;
	char comm[17];
	char state;
	bool on_cpu, no_new_privs;
	uint8_t seccomp;
	uint32_t flags, exit_state, raw_state, usage;
	uint64_t real_parent, leader, signal, real_cred, nsproxy, thread_pid,
		cgroups, mm, stack, start, utime, stime, runtime;
	uint64_t fsbase, gsbase;
	uint16_t ds, es, fs, gs;
	uint32_t process;	/* whose it became; HERD_NO_INDEX */
	bool threads_unread;	/* its list of threads is broken off */
};

struct herd_tasks {
	struct herd_reader *r;
	struct herd_walk_mem mem;
	struct herd_task_fields f;
	struct herd_found *v;
	size_t n, cap;
	struct herd_seen_map map;	/* task → index of v */
	struct herd_seen_map cgroups;	/* css_set → index of paths */
	char **paths;
	size_t n_paths, cap_paths;
	uint8_t *scratch;		/* a task_struct */
	uint64_t *cpu_task;		/* what each processor runs; 0 unknown */
	unsigned n_cpus;
	/* What a hostile image may still cost, all tasks together. */
	size_t links_left;	/* of lists of threads and children */
	size_t kernfs_left;	/* folders of control groups */
	size_t groups_left;
};

/* machine_task.c */
int herd_task_fields(struct herd_kernel *k, struct herd_task_fields *ret,
		     struct herd_diag *diag);
/*
 * Adds a task, or the view to one that is known: ret (may be NULL) is its
 * index. 1: it was known. -EBADMSG: no task lies there, -EFAULT, -ENODATA:
 * unreadable.
 */
int herd_tasks_add(struct herd_tasks *w, uint64_t task, uint32_t view,
		   uint32_t *ret);
/* A task that lies in the slab; what is free, not born yet or dead is left out.
   As herd_tasks_add. */
int herd_tasks_add_slab(struct herd_tasks *w, uint64_t task);
/* machine_process.c: everything of a process but its threads. p->task and so on are set. */
int herd_task_process(struct herd_tasks *w, const struct herd_found *t,
		      struct herd_process *p);
/* The number of a task in its own pid namespace. 0: not known. */
int32_t herd_tasks_ns_pid(struct herd_tasks *w, const struct herd_found *t,
			  uint64_t *ret_ns);

/* machine_views.c: each adds what it sees, problems included. */
int herd_tasks_view_pids(struct herd_tasks *w);
int herd_tasks_view_slab(struct herd_tasks *w);
int herd_tasks_view_cpus(struct herd_tasks *w);

/* machine_regs.c: registers of all threads of all processes. */
int herd_tasks_registers(struct herd_tasks *w);

#endif
