/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What an image of memory says of the machine whose it is: tasks, their
 * memory, files, sockets, modules, hooks. Plain values, filled by
 * herd_machine_read out of the kernel's own structures, kept in the store
 * (machine_code.c), judged (machine_judge.c) and shown (fs/tree_memory*.c).
 *
 * Everything in it comes from the image: lengths and counts are within the
 * limits below, indices point into their arrays or are HERD_NO_INDEX; strings
 * are terminated, never NULL ("" for none), and otherwise raw: whoever prints
 * cleans them.
 *
 * Threads: immutable once read.
 */
#ifndef HERD_MACHINE_H
#define HERD_MACHINE_H

#include "index/memory/kernel.h"
#include "index/volume.h"

#define HERD_NO_INDEX UINT32_MAX
#define HERD_PROCESSES_MAX 65536u
#define HERD_THREADS_MAX 262144u	/* of all processes */
#define HERD_VMAS_MAX 65536u		/* of one process; 4M of all */
#define HERD_FDS_MAX 65536u		/* of one process; 1M of all */
#define HERD_MAPPED_FILES_MAX 262144u
#define HERD_ARGS_MAX (128u << 10)	/* bytes of argv, and of environ */
#define HERD_MODULES_MAX 4096u
#define HERD_MACHINE_PATH_MAX 4096u

/* ---- files: inodes that some process maps, runs or has open ---- */

enum herd_mfile_kind {		/* what the path cannot say */
	HERD_MFILE_PLAIN,	/* on a file system */
	HERD_MFILE_MEMFD,
	HERD_MFILE_SHM,		/* SysV or POSIX shared memory, /dev/zero */
	HERD_MFILE_PIPE, HERD_MFILE_SOCKET, HERD_MFILE_ANON /* anon_inode:… */,
	HERD_MFILE_DEVICE, HERD_MFILE_PSEUDO	/* proc, sysfs, cgroup, nsfs … */,
	HERD_MFILE_MAX
};
/* A run of the page cache: pages of 4 KiB. */
struct herd_cached_run {
	uint64_t index;		/* first page of the file */
	uint64_t phys;		/* where it lies; frames follow each other */
	uint32_t pages;
	bool dirty;		/* at least one not yet written to the disk */
};
struct herd_mfile {
	uint64_t inode;		/* kernel address */
	uint32_t dev_major, dev_minor;	/* as /proc/PID/maps has it */
	uint64_t ino;
	uint32_t mode, uid, gid, nlink;
	uint64_t size;		/* bytes */
	struct herd_time mtime, ctime;
	enum herd_mfile_kind kind;
	bool deleted;		/* unlinked: nothing on the disk names it */
	char *fs;		/* "ext4", "tmpfs", "proc", … */
	char *path;		/* as /proc shows it without " (deleted)": through
				   mounts, in the first process's namespace */
	struct herd_cached_run *cached;	/* by index; up-to-date pages only */
	size_t n_cached;
	uint64_t cached_pages;
};

/* ---- processes ---- */

enum herd_seen {		/* in which views a task is */
	HERD_SEEN_LIST = 1,	/* init_task.tasks and the threads' list */
	HERD_SEEN_PIDS = 2,	/* the pid namespace's IDR */
	HERD_SEEN_SLAB = 4,	/* task_struct's slab */
	HERD_SEEN_CPU = 8,	/* a processor runs it */
	HERD_SEEN_CHILD = 16,	/* a list of children */
};
struct herd_thread {
	uint64_t task;
	int32_t tid;
	int32_t ns_tid;		/* in its own pid namespace; 0: not known */
	char comm[17];
	char state;		/* as /proc has it: R S D T t X Z I … */
	uint32_t seen;		/* enum herd_seen */
	bool on_cpu;		/* registers below are of the moment it last
				   slept, unless regs_from_note */
	bool has_regs, regs_from_note;
	uint64_t regs[27];	/* PRSTATUS order */
};
enum {				/* herd_vma.flags: as the kernel's VM_… */
	HERD_VM_READ = 1, HERD_VM_WRITE = 2, HERD_VM_EXEC = 4, HERD_VM_SHARED = 8,
	HERD_VM_MAYEXEC = 0x40,
	HERD_VM_MAYSHARE = 0x80, /* /proc's "s": SHARED is cleared where the
				    file was opened for reading only */
	HERD_VM_GROWSDOWN = 0x100, HERD_VM_PFNMAP = 0x400,
	HERD_VM_IO = 0x4000,
};
/* In herd_vma.flags beside the kernel's own (which ends far below): a file is
   mapped, and it is not known which, for it could not be read. It is not
   anonymous; `file` is HERD_NO_INDEX. */
#define HERD_VMA_UNNAMED (1ull << 62)
struct herd_vma {
	uint64_t start, end;
	uint64_t flags;		/* the kernel's vm_flags | HERD_VMA_… */
	uint64_t offset;	/* bytes; of anonymous ones 0 as in maps */
	uint32_t file;		/* index of an mfile */
	char *name;		/* "[heap]", "[stack]", "[vdso]", "[anon:…]", or ""
				   when the file's path is it */
};
struct herd_fd {
	int32_t fd;
	uint32_t flags;		/* f_flags; 02000000 close on exec */
	uint64_t pos;
	uint32_t file;		/* index of an mfile; never HERD_NO_INDEX */
	uint32_t socket;	/* index, or HERD_NO_INDEX */
	char *target;		/* as readlink of /proc/PID/fd/N has it */
};
enum herd_namespace { HERD_NS_MNT, HERD_NS_UTS, HERD_NS_IPC, HERD_NS_PID,
		      HERD_NS_NET, HERD_NS_USER, HERD_NS_CGROUP, HERD_NS_TIME,
		      HERD_NS_MAX };
struct herd_process {
	uint64_t task, mm;	/* kernel addresses; mm 0: a kernel thread, or gone */
	int32_t pid, ppid;	/* of the first namespace; ppid is real_parent's */
	int32_t ns_pid;		/* in its own pid namespace */
	char comm[17];
	uint32_t seen;
	bool kthread;		/* PF_KTHREAD */
	bool exiting;		/* zombie, or on its way there */
	char state;
	int32_t pgrp, session;
	char tty[16];		/* "" none */
	uint64_t start_ns;	/* since boot */
	uint64_t utime_ns, stime_ns;
	uint32_t uid, euid, suid, fsuid, gid, egid, sgid, fsgid;
	uint32_t *groups; size_t n_groups;
	uint64_t cap_inheritable, cap_permitted, cap_effective, cap_bounding,
		 cap_ambient;
	bool no_new_privs;
	uint8_t seccomp;
	uint32_t ns[HERD_NS_MAX];	/* inode numbers as /proc/PID/ns */
	char *cgroup;		/* path in the unified hierarchy, "/" … */
	struct herd_space space;	/* pgd 0: none */
	uint64_t arg_start, arg_end, env_start, env_end, start_code, end_code,
		 start_brk, brk, start_stack;
	char *argv; size_t n_argv;	/* bytes as /proc/PID/cmdline; may be
					   unreadable (swapped): n 0 */
	char *environ; size_t n_environ;
	uint64_t auxv[64]; size_t n_auxv;	/* words */
	bool args_unreadable, environ_unreadable;
	uint32_t exe;		/* index of an mfile */
	char *exe_target;	/* as readlink of /proc/PID/exe; "" none */
	char *cwd, *root;
	struct herd_thread *threads; size_t n_threads;	/* the leader first */
	struct herd_vma *vmas; size_t n_vmas;		/* by address */
	struct herd_fd *fds; size_t n_fds;		/* by number */
	bool threads_unread;	/* the list of them, to its end */
	char *problem;		/* what could not be read of it, one line; or "" */
};

/* It runs a program, and it is not known which. */
static inline bool herd_process_is_unnamed(const struct herd_process *p)
{
	return p->mm && !p->exiting && p->exe == HERD_NO_INDEX && p->problem[0];
}

/* ---- sockets, modules, hooks ---- */

struct herd_socket {
	uint64_t sock;		/* struct sock */
	uint64_t ino;		/* as in /proc/net and "socket:[N]" */
	uint16_t family, type, protocol;
	uint8_t state;		/* TCP_… as in /proc/net/tcp */
	uint8_t local[16], remote[16];	/* addresses, network order; IPv4 in the
					   first four */
	uint16_t local_port, remote_port;	/* host order; netlink: groups 0 */
	uint32_t uid, netns;
	uint32_t ifindex;	/* packet sockets, bound devices */
	char *path;		/* unix: "/run/x", "@abstract", "" */
	uint64_t peer_ino;	/* unix: the other end's, 0 none */
};
struct herd_module {
	char name[57];		/* any bytes: see herd_module_is_odd */
	uint64_t module;	/* struct module */
	uint64_t base, size;	/* of its text, or all of it before 6.4 */
	uint64_t total;		/* bytes of all its parts, as in /proc/modules */
	uint32_t refs;
	uint32_t taints;
	char state;		/* 'L'ive, 'C'oming, 'G'oing, 'U'nformed; '?' */
	char *used_by;		/* names by comma, as in /proc/modules */
	char srcversion[33];
	uint8_t text[32];	/* SHA-256 of its text with what the loader and
				   ftrace/alternatives write left out; zeros:
				   not made */
	uint32_t seen;		/* enum herd_module_seen */
};
/* Its name cannot be printed on a line, or is none, or it has a state that
   modules have not: somebody wrote to it. */
static inline bool herd_module_is_odd(const struct herd_module *m)
{
	for (const char *c = m->name; *c; c++)
		if (*c <= ' ' || *c > '~')
			return true;
	return !m->name[0] || m->state == '?';
}
enum { /* herd_module.taints: as the kernel's TAINT_… */
       HERD_TAINT_FORCED = 1u << 1,
       HERD_TAINT_OUT_OF_TREE = 1u << 12,
       HERD_TAINT_UNSIGNED = 1u << 13,
};
enum herd_module_seen { HERD_MODULE_LIST = 1, HERD_MODULE_TREE = 2,
			HERD_MODULE_SYSFS = 4, HERD_MODULE_VMAP = 8 };
enum herd_hook_kind {
	HERD_HOOK_SYSCALL,	/* entry of sys_call_table (or ia32) */
	HERD_HOOK_IDT,		/* gate that leads out of the kernel's text */
	HERD_HOOK_FTRACE,	/* a live ftrace_ops */
	HERD_HOOK_KPROBE,
	HERD_HOOK_TEXT,		/* kernel text that differs from … */
	HERD_HOOK_OPS,		/* file/proto/seq operations of /proc, tcp4 … */
	HERD_HOOK_BPF,		/* attached program of a tracing kind */
	HERD_HOOK_MAX
};
#define HERD_HOOK_NOWHERE "outside of any module"
struct herd_hook {
	enum herd_hook_kind kind;
	uint32_t number;	/* system call, vector, … */
	uint64_t at, target;	/* where the pointer lies, whither it leads */
	char *name;		/* "sys_call_table[62]" / what is hooked */
	char *target_name;	/* "rootkit+0x10 [module]", "kernel text",
				   HERD_HOOK_NOWHERE */
	bool expected;		/* as every kernel has it: shown only in all/ */
};

/* ---- the machine ---- */

/* What could not be read to its end: that something is not in it says
   nothing. The first two have the numbers of their views of tasks. */
enum herd_unread {
	HERD_UNREAD_TASKS = HERD_SEEN_LIST, /* the list of tasks */
	HERD_UNREAD_PIDS = HERD_SEEN_PIDS,  /* the first table of pids */
	HERD_UNREAD_MODULES = 4,	    /* the list of modules */
	HERD_UNREAD_MODULE_MEMORY = 8, /* the memory that is for modules: there
					   may be some in no view */
	HERD_UNREAD_ALL = 15,
};
struct herd_machine_problem {
	char *where;		/* "process 812 (sshd)", "page cache of /x", … */
	char *text;
	uint64_t count;		/* how often the same */
};
struct herd_machine {
	struct herd_kernel_facts facts;
	char hostname[65];
	uint64_t boot_time;	/* seconds since 1970, 0 unknown */
	uint64_t uptime_ns;	/* when the image was taken; 0 unknown */
	unsigned cpus;
	uint64_t memory;	/* bytes in the image */
	uint32_t unread;	/* enum herd_unread */
	struct herd_process *processes; size_t n_processes;	/* by pid */
	struct herd_mfile *files; size_t n_files;
	struct herd_socket *sockets; size_t n_sockets;
	struct herd_module *modules; size_t n_modules;
	struct herd_hook *hooks; size_t n_hooks;
	struct herd_machine_problem *problems; size_t n_problems;
	/* of each executable page of a file: see machine_pages.h */
	struct herd_page_digest *page_digests; size_t n_page_digests;
	struct herd_page_change *page_changes; size_t n_page_changes;
};

/*
 * How many modules of the kernel's own there are, if there are two at least and
 * none is signed, as of kernels that people build themselves: that one is not
 * says nothing then. Out of the tree it does. Else 0.
 */
size_t herd_modules_are_unsigned(const struct herd_machine *m);

/* Parts to read, for who needs less; the acceptance of speed is by this. */
enum herd_machine_parts {
	HERD_READ_TASKS = 1,	/* processes, threads, credentials, cross-views */
	HERD_READ_VMAS = 2,
	HERD_READ_ARGS = 4,	/* argv, environ, auxv */
	HERD_READ_FILES = 8,	/* exe, open files, sockets */
	HERD_READ_CACHE = 16,	/* cached runs of all files */
	HERD_READ_KERNEL = 32,	/* modules, hooks */
	HERD_READ_ALL = 63,
};
/*
 * *ret is usable also where much could not be read: that is in problems. An
 * error is returned only when not even the list of tasks can be had.
 */
int herd_machine_read(struct herd_kernel *k, const struct herd_memory_notes *notes,
		      unsigned parts, struct herd_machine **ret,
		      struct herd_diag *diag);
void herd_machine_destroy(struct herd_machine *m);
/* Puts a problem at this place among m's (n_problems: behind them), seen count
   times. Copies. Where there are too many, the last one counts it. */
int herd_machine_problem_at(struct herd_machine *m, size_t at,
			    const char *where, const char *text,
			    uint64_t count);

/* index/memory/machine_code.c: bytes for the store. Decoding checks all. */
struct herd_buf;
int herd_machine_encode(const struct herd_machine *m, struct herd_buf *out);
int herd_machine_decode(const void *bytes, size_t len, struct herd_machine **ret);

/* ---- pages of programs and libraries ---- */

/* Executable, file-backed, 4 KiB. By file, then index. */
struct herd_page_digest {
	uint32_t file;		/* index of an mfile */
	uint64_t index;		/* page of the file */
	uint8_t digest[16];	/* SHA-256, cut */
};
enum herd_page_origin { HERD_PAGE_CACHE, HERD_PAGE_PRIVATE /* copied on write */ };
enum herd_page_against {
	HERD_AGAINST_DISK,	/* differs from the same instance's disk */
	HERD_AGAINST_CACHE,	/* a private page that differs from the cache */
	HERD_AGAINST_NOTHING,	/* neither is there to compare with: whether it
				   was changed is not known; kind says nothing */
};
/* What a change looks like, byte by byte. */
enum herd_page_change_kind {
	HERD_CHANGE_OTHER,	/* something was written over it */
	HERD_CHANGE_BREAKPOINTS,	/* single bytes became int3: a debugger,
					   a uprobe */
	HERD_CHANGE_RELOCATIONS,	/* the file asks for it (DT_TEXTREL) */
	HERD_CHANGE_TAIL,	/* behind the file's end alone */
	HERD_CHANGE_UNWRITTEN,	/* the cache's page is dirty: the disk has not
				   got it yet */
	HERD_CHANGE_MAX
};
struct herd_page_change {
	uint32_t process;	/* HERD_NO_INDEX for a page of the cache */
	uint32_t file;
	uint64_t index;
	uint64_t va;		/* in the process; 0 for the cache's */
	uint64_t phys;
	enum herd_page_origin origin;
	enum herd_page_against against;
	enum herd_page_change_kind kind;
	uint16_t first, bytes;	/* first byte that differs, and how many do;
				   0 against nothing */
	uint8_t digest[32], other[32];	/* SHA-256 of this page, of what it was
					   compared with */
};

#endif
