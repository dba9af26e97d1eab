/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Locking the process in. Three walls, each of which would do much alone:
 *
 * Landlock decides which files can be opened. Its rules hold on to inodes,
 * not names, so a link that is put in the place of an allowed file later
 * leads nowhere.
 *
 * seccomp is a list of the system calls that reading images, LMDB, a FUSE
 * session and threads need. Everything else fails: with EPERM where it is
 * something that an intruder would try, else with ENOSYS, for C libraries
 * take that as "an older kernel" and go another way.
 *
 * Capabilities other than those that open files are dropped, and the memory
 * of the process, which holds evidence, does not end up in core files.
 *
 * Threads: see confine.h. herd_confine_child makes system calls only.
 */
#include "acquire/confine.h"

#include "acquire/base/cleanup.h"
#include "acquire/base/sha256.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/fs.h>
#include <linux/landlock.h>
#include <sched.h>
#include <seccomp.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>

/* ---- Landlock: what headers of older kernels lack ---- */

/* The kernel takes a longer struct than it knows, if the rest is zeros. */
struct ruleset {
	uint64_t fs, net, scoped;
};

#define FS_REFER (1ull << 13)		/* ABI 2 */
#define FS_TRUNCATE (1ull << 14)	/* ABI 3 */
#define FS_IOCTL_DEV (1ull << 15)	/* ABI 5 */
#define NET_BOTH 3ull			/* ABI 4: bind and connect TCP */
#define SCOPE_SOCKET 1ull		/* ABI 6: abstract sockets */
#define SCOPE_SIGNAL 2ull		/* and signals */
#define FS_ABI_1 ((1ull << 13) - 1)

#define FS_READ ((uint64_t)LANDLOCK_ACCESS_FS_READ_FILE)
#define FS_READ_TREE (FS_READ | LANDLOCK_ACCESS_FS_READ_DIR)
#define FS_WRITE_TREE \
	(FS_READ_TREE | LANDLOCK_ACCESS_FS_WRITE_FILE | \
	 LANDLOCK_ACCESS_FS_MAKE_REG | LANDLOCK_ACCESS_FS_REMOVE_FILE | \
	 FS_TRUNCATE)

/* Below 1 when the kernel has no Landlock, or was told not to use it. */
static int landlock_abi(void)
{
	return (int)syscall(SYS_landlock_create_ruleset, NULL, 0,
			    LANDLOCK_CREATE_RULESET_VERSION);
}

/*
 * A ruleset that forbids all that this kernel can forbid; signals only when
 * asked to: the scope would also keep back the signal by which the kernel
 * ends the children of a process that dies (PR_SET_PDEATHSIG).
 */
static int landlock_create(int abi, bool signals, struct ruleset *ret)
{
	struct ruleset all = { .fs = FS_ABI_1 };

	if (abi >= 2)
		all.fs |= FS_REFER;
	if (abi >= 3)
		all.fs |= FS_TRUNCATE;
	if (abi >= 4)
		all.net = NET_BOTH;
	if (abi >= 5)
		all.fs |= FS_IOCTL_DEV;
	if (abi >= 6)
		all.scoped = SCOPE_SOCKET | (signals ? SCOPE_SIGNAL : 0);
	*ret = all;
	return (int)syscall(SYS_landlock_create_ruleset, ret, sizeof(*ret), 0);
}

/*
 * 0 too when path is not there or cannot be reached: then there is nothing to
 * allow. want_dir: a rule for a file must not open up a folder.
 */
static int landlock_allow(int ruleset, const char *path, uint64_t access,
			  const struct ruleset *handled, bool want_dir)
{
	struct landlock_path_beneath_attr rule;
	CLEANUP_FD int fd = open(path, O_PATH | O_CLOEXEC);
	struct stat st;

	if (fd < 0)
		return errno == ENOMEM || errno == EMFILE || errno == ENFILE ?
		       -errno : 0;
	if (fstat(fd, &st))
		return -errno;
	if (S_ISDIR(st.st_mode) != want_dir)
		return 0;
	if (S_ISBLK(st.st_mode))
		access |= FS_IOCTL_DEV;	/* to ask for its size */
	rule.allowed_access = access & handled->fs;
	rule.parent_fd = fd;
	if (syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH,
		    &rule, 0))
		return -errno;
	return 0;
}

static int landlock_apply(int abi, bool signals,
			  const struct herd_confinement *c)
{
	struct ruleset handled;
	CLEANUP_FD int fd = landlock_create(abi, signals, &handled);
	int err = fd < 0 ? -errno : 0;

	for (size_t i = 0; !err && i < c->n_read_files; i++)
		err = landlock_allow(fd, c->read_files[i], FS_READ, &handled,
				     false);
	for (size_t i = 0; !err && i < c->n_write_dirs; i++)
		err = landlock_allow(fd, c->write_dirs[i], FS_WRITE_TREE,
				     &handled, true);
	if (!err && c->read_dir)
		err = landlock_allow(fd, c->read_dir, FS_READ_TREE, &handled,
				     true);
	if (!err && c->fuse_device)
		err = landlock_allow(fd, "/dev/fuse", FS_READ | FS_IOCTL_DEV |
				     LANDLOCK_ACCESS_FS_WRITE_FILE, &handled,
				     false);
	if (!err && syscall(SYS_landlock_restrict_self, fd, 0))
		err = -errno;
	return err;
}

/* ---- seccomp ---- */

#define LOW32 0xffffffffull

/* Whatever their arguments are. */
static const char *const allowed[] = {
	/* memory */
	"munmap", "mremap", "madvise", "brk", "msync", "mincore", "membarrier",
	/* files: Landlock says which */
	"read", "write", "readv", "writev", "pread64", "pwrite64", "preadv",
	"pwritev", "preadv2", "pwritev2", "close", "close_range", "lseek",
	"fstat", "fstat64", "stat", "lstat", "newfstatat", "fstatat64", "statx",
	"statfs", "fstatfs", "access", "faccessat", "faccessat2", "readlink",
	"readlinkat", "getdents64", "dup", "dup2", "dup3", "pipe", "pipe2",
	"splice", "tee", "vmsplice", "fsync", "fdatasync", "ftruncate",
	"fallocate", "fadvise64", "readahead", "flock", "memfd_create",
	"getcwd",
	/* waiting */
	"poll", "ppoll", "select", "pselect6", "epoll_create1", "epoll_ctl",
	"epoll_wait", "epoll_pwait", "epoll_pwait2", "eventfd2", "futex",
	"futex_waitv", "nanosleep", "clock_nanosleep", "pause",
	"restart_syscall", "wait4", "waitid",
	/* time */
	"clock_gettime", "clock_getres", "gettimeofday", "time", "alarm",
	"setitimer", "times",
	/* signals to itself */
	"rt_sigaction", "rt_sigprocmask", "rt_sigreturn", "rt_sigtimedwait",
	"rt_sigsuspend", "rt_sigpending", "sigaltstack",
	/* threads and the process itself */
	"exit", "exit_group", "getpid", "gettid", "getppid", "getuid",
	"geteuid", "getgid", "getegid", "getresuid", "getresgid", "getgroups",
	"getpgrp", "getpgid", "getsid", "sched_yield", "sched_getaffinity",
	"sched_getparam", "sched_getscheduler", "sched_get_priority_min",
	"sched_get_priority_max", "getpriority", "getrlimit", "getrusage",
	"sysinfo", "uname", "getcpu", "getrandom", "set_tid_address",
	"set_robust_list", "get_robust_list", "rseq", "arch_prctl",
};

static const char *const allowed_in_write_dirs[] = {
	"unlink", "unlinkat", "rename", "renameat", "renameat2",
};

static const char *const allowed_on_sockets[] = {
	"recvfrom", "recvmsg", "sendmsg", "shutdown", "getsockopt",
	"getsockname", "getpeername",
};

/* What somebody who broke in would try. Not needed: the list above decides. */
static const char *const refused[] = {
	"execve", "execveat", "fork", "vfork", "socket", "socketpair",
	"connect", "bind", "listen", "accept", "accept4", "ptrace",
	"process_vm_readv", "process_vm_writev", "pidfd_open", "pidfd_getfd",
	"pidfd_send_signal", "tkill", "rt_sigqueueinfo", "rt_tgsigqueueinfo",
	"mount", "umount", "umount2", "pivot_root", "chroot", "fsopen",
	"fsmount", "fspick", "open_tree", "move_mount", "mount_setattr",
	"open_by_handle_at", "name_to_handle_at", "bpf", "io_uring_setup",
	"io_uring_enter", "io_uring_register", "keyctl", "add_key",
	"request_key", "unshare", "setns", "kexec_load", "kexec_file_load",
	"init_module", "finit_module", "delete_module", "perf_event_open",
	"userfaultfd", "personality", "reboot", "swapon", "swapoff", "acct",
	"setuid", "setgid", "setreuid", "setregid", "setresuid", "setresgid",
	"setgroups", "setfsuid", "setfsgid", "capset", "seccomp", "setrlimit",
	"chmod", "fchmod", "fchmodat", "chown", "fchown", "lchown", "fchownat",
	"truncate", "creat", "link", "linkat", "symlink", "symlinkat", "mkdir",
	"mkdirat", "mknod", "mknodat", "rmdir", "utime", "utimes", "utimensat",
	"setxattr", "lsetxattr", "fsetxattr", "removexattr", "lremovexattr",
	"fremovexattr", "chdir", "fchdir",
};

static int add_names(scmp_filter_ctx f, uint32_t action,
		     const char *const *names, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		int nr = seccomp_syscall_resolve_name(names[i]);
		int err = 0;

		if (nr != __NR_SCMP_ERROR)	/* newer than the library */
			err = seccomp_rule_add_array(f, action, nr, 0, NULL);
		if (err)
			return err;
	}
	return 0;
}

/* A call that is allowed when one argument, masked, has a value. */
struct condition {
	int nr;
	unsigned arg;
	uint64_t mask, value;
};

static int add_conditions(scmp_filter_ctx f, const struct condition *c,
			  size_t n)
{
	for (size_t i = 0; i < n; i++) {
		struct scmp_arg_cmp cmp = {
			.arg = c[i].arg, .op = SCMP_CMP_MASKED_EQ,
			.datum_a = c[i].mask, .datum_b = c[i].value,
		};
		int err = seccomp_rule_add_array(f, SCMP_ACT_ALLOW, c[i].nr, 1,
						 &cmp);

		if (err)
			return err;
	}
	return 0;
}

#define CLONE_FORBIDDEN \
	(CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC | \
	 CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNET | CLONE_PTRACE)
#define FUSE_CLONE _IOR(229, 0, uint32_t)	/* FUSE_DEV_IOC_CLONE */

static int add_limited(scmp_filter_ctx f)
{
	static const int fcntls[] = {
		F_DUPFD, F_DUPFD_CLOEXEC, F_GETFD, F_SETFD, F_GETFL, F_SETFL,
		F_GETLK, F_SETLK, F_SETLKW, F_OFD_GETLK, F_OFD_SETLK,
		F_OFD_SETLKW, F_GETPIPE_SZ, F_SETPIPE_SZ,
	};
	static const unsigned long ioctls[] = {
		FUSE_CLONE, BLKGETSIZE64, BLKSSZGET, TCGETS, FIONREAD,
	};
	static const int prctls[] = {
		PR_SET_NAME, PR_GET_NAME, 0x53564d41 /* PR_SET_VMA */,
	};
	const uint64_t self = (uint64_t)getpid();
	const struct condition always[] = {
		{ SCMP_SYS(mmap), 2, PROT_EXEC, 0 },
		{ SCMP_SYS(mprotect), 2, PROT_EXEC, 0 },
		{ SCMP_SYS(clone), 0, CLONE_THREAD | CLONE_VM | CLONE_SIGHAND |
		  CLONE_FORBIDDEN, CLONE_THREAD | CLONE_VM | CLONE_SIGHAND },
		{ SCMP_SYS(kill), 0, LOW32, self },
		{ SCMP_SYS(tgkill), 0, LOW32, self },
	};
	const struct scmp_arg_cmp ask_own_limit[] = {
		{ 0, SCMP_CMP_MASKED_EQ, LOW32, 0 },
		{ 2, SCMP_CMP_EQ, 0, 0 },
	};
	int err = add_conditions(f, always, ARRAY_SIZE(always));

	if (!err)
		err = seccomp_rule_add_array(f, SCMP_ACT_ALLOW,
					     SCMP_SYS(prlimit64), 2,
					     ask_own_limit);
	for (size_t i = 0; !err && i < ARRAY_SIZE(fcntls); i++)
		err = add_conditions(f, &(struct condition){ SCMP_SYS(fcntl), 1,
				     LOW32, (uint64_t)fcntls[i] }, 1);
	for (size_t i = 0; !err && i < ARRAY_SIZE(ioctls); i++)
		err = add_conditions(f, &(struct condition){ SCMP_SYS(ioctl), 1,
				     LOW32, ioctls[i] }, 1);
	for (size_t i = 0; !err && i < ARRAY_SIZE(prctls); i++)
		err = add_conditions(f, &(struct condition){ SCMP_SYS(prctl), 0,
				     LOW32, (uint64_t)prctls[i] }, 1);
	return err;
}

/*
 * Landlock before ABI 3 lets an allowed file be emptied by O_TRUNC, so that
 * is stopped here; and where nothing is to be written, no open for writing.
 */
static int add_opens(scmp_filter_ctx f, const struct herd_confinement *c)
{
	const uint64_t making = O_CREAT | O_TRUNC | (O_TMPFILE & ~O_DIRECTORY);
	const uint64_t mask = O_ACCMODE | making;
	struct condition v[8];
	size_t n = 0;

	if (c->n_write_dirs) {
		v[n++] = (struct condition){ SCMP_SYS(openat), 2, O_TRUNC, 0 };
		v[n++] = (struct condition){ SCMP_SYS(open), 1, O_TRUNC, 0 };
	} else {
		v[n++] = (struct condition){ SCMP_SYS(openat), 2, mask,
					     O_RDONLY };
		v[n++] = (struct condition){ SCMP_SYS(open), 1, mask,
					     O_RDONLY };
		if (c->fuse_device) {
			v[n++] = (struct condition){ SCMP_SYS(openat), 2, mask,
						     O_RDWR };
			v[n++] = (struct condition){ SCMP_SYS(open), 1, mask,
						     O_RDWR };
		}
	}
	return add_conditions(f, v, n);
}

static void filter_free(scmp_filter_ctx *f)
{
	if (*f)
		seccomp_release(*f);
}

static int seccomp_apply(const struct herd_confinement *c)
{
	CLEANUP(filter_free) scmp_filter_ctx f =
		seccomp_init(SCMP_ACT_ERRNO(ENOSYS));
	int err;

	if (!f)
		return -ENOMEM;
	/* a binary tree: the filter runs for every read of the mount */
	seccomp_attr_set(f, SCMP_FLTATR_CTL_OPTIMIZE, 2);
	err = seccomp_attr_set(f, SCMP_FLTATR_CTL_TSYNC, 1);
	if (!err)
		err = add_names(f, SCMP_ACT_ALLOW, allowed,
				ARRAY_SIZE(allowed));
	if (!err && c->n_write_dirs)
		err = add_names(f, SCMP_ACT_ALLOW, allowed_in_write_dirs,
				ARRAY_SIZE(allowed_in_write_dirs));
	if (!err && c->connected_sockets)
		err = add_names(f, SCMP_ACT_ALLOW, allowed_on_sockets,
				ARRAY_SIZE(allowed_on_sockets));
	if (!err && c->connected_sockets)	/* send(): without address */
		err = add_conditions(f, &(struct condition){ SCMP_SYS(sendto),
				     4, ~0ull, 0 }, 1);
	if (!err)
		err = add_limited(f);
	if (!err)
		err = add_opens(f, c);
	if (!err)
		err = add_names(f, SCMP_ACT_ERRNO(EPERM), refused,
				ARRAY_SIZE(refused));
	return err ? err : seccomp_load(f);
}

/* ---- the rest ---- */

#if defined(__SANITIZE_ADDRESS__) || defined(HERD_LIBFUZZER)
/*
 * The leak checker traces its own process from a clone of it, which is what
 * the filter forbids. It asks this function whether it should.
 */
static bool locked_in;
int __lsan_is_turned_off(void);
int __lsan_is_turned_off(void)
{
	return locked_in;
}
#define NOTE_LOCKED_IN() (locked_in = true)
#else
#define NOTE_LOCKED_IN() ((void)0)
#endif

/* What libraries would otherwise fetch from files when first used. */
static void load_what_is_lazy(void)
{
	uint8_t digest[HERD_SHA256_LEN];

	herd_sha256("", 0, digest);
	tzset();
	/* the C library wants it to cancel a thread; never closed */
	dlopen("libgcc_s.so.1", RTLD_NOW | RTLD_GLOBAL);
}

/* Keeps, for root, what opening images and the store may take. */
static int drop_capabilities(void)
{
	struct __user_cap_header_struct head = {
		.version = _LINUX_CAPABILITY_VERSION_3,
	};
	struct __user_cap_data_struct data[2];
	const uint32_t keep = 1u << CAP_DAC_OVERRIDE |
			      1u << CAP_DAC_READ_SEARCH;

	if (syscall(SYS_capget, &head, data))
		return -errno;
	for (int i = 0; i < 2; i++) {
		data[i].permitted &= i ? 0 : keep;
		data[i].effective &= data[i].permitted;
		data[i].inheritable = 0;
	}
	return syscall(SYS_capset, &head, data) ? -errno : 0;
}

static int no_core_file(void)
{
	const struct rlimit none = { 0, 0 };

	/* The limit alone does not stop a core that goes to a pipe. */
	if (setrlimit(RLIMIT_CORE, &none) || prctl(PR_SET_DUMPABLE, 0, 0, 0, 0))
		return -errno;
	return 0;
}

int herd_confine(const struct herd_confinement *c, char *missing, size_t size,
		 struct herd_diag *diag)
{
	const int abi = landlock_abi();
	const bool seccomp_there = prctl(PR_GET_SECCOMP, 0, 0, 0, 0) >= 0;
	int err;

	if (size)
		snprintf(missing, size, "%s%s%s",
			 abi < 1 ? "this kernel lacks Landlock: a process that "
				   "parses images could open other files" : "",
			 abi < 1 && !seccomp_there ? "; " : "",
			 seccomp_there ? "" : "this kernel lacks seccomp: a "
				   "process that parses images could make any "
				   "system call");
	load_what_is_lazy();
	err = no_core_file();
	if (!err && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
		err = -errno;
	if (err)
		return herd_diag_set(diag, err, "confinement", HERD_NO_OFFSET,
				     "prctl: %s", strerror(-err));
	if (abi >= 1)
		err = landlock_apply(abi, !seccomp_there, c);
	if (err)
		return herd_diag_set(diag, err, "confinement", HERD_NO_OFFSET,
				     "Landlock: %s", strerror(-err));
	err = drop_capabilities();
	if (err)
		return herd_diag_set(diag, err, "confinement", HERD_NO_OFFSET,
				     "capabilities: %s", strerror(-err));
	if (seccomp_there)
		err = seccomp_apply(c);
	if (err)
		return herd_diag_set(diag, err, "confinement", HERD_NO_OFFSET,
				     "seccomp: %s", strerror(-err));
	NOTE_LOCKED_IN();
	return 0;
}

int herd_confine_child(const char *const *read_files, size_t n_read_files)
{
	static const char *const trees[] = {
		"/usr", "/lib", "/lib32", "/lib64", "/libx32", "/bin", "/sbin",
	};
	static const char *const files[] = {
		"/etc/ld.so.cache", "/etc/ld.so.preload", "/dev/urandom",
		"/dev/zero",
	};
	const int abi = landlock_abi();
	struct ruleset handled;
	CLEANUP_FD int fd = -1;
	int err = 0;

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
		return -errno;
	if (abi < 1)
		return 0;
	fd = landlock_create(abi, true, &handled);
	if (fd < 0)
		return -errno;
	for (size_t i = 0; !err && i < ARRAY_SIZE(trees); i++)
		err = landlock_allow(fd, trees[i], FS_READ_TREE |
				     LANDLOCK_ACCESS_FS_EXECUTE, &handled,
				     true);
	for (size_t i = 0; !err && i < ARRAY_SIZE(files); i++)
		err = landlock_allow(fd, files[i], FS_READ, &handled, false);
	if (!err)
		err = landlock_allow(fd, "/dev/null", FS_READ |
				     LANDLOCK_ACCESS_FS_WRITE_FILE, &handled,
				     false);
	for (size_t i = 0; !err && i < n_read_files; i++)
		err = landlock_allow(fd, read_files[i], FS_READ, &handled,
				     false);
	if (!err && syscall(SYS_landlock_restrict_self, fd, 0))
		err = -errno;
	return err;
}
