/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tries to get out of the confinement, each time from a child process that
 * has locked itself in; and checks that honest work still goes on in there.
 * A child says on stderr what it got away with and exits with 1.
 */
#include "acquire/base/cleanup.h"
#include "acquire/base/sha256.h"
#include "acquire/confine.h"

#include <fcntl.h>
#include <lmdb.h>
#include <netinet/in.h>
#include <poll.h>
#include <sched.h>
#include <seccomp.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <sys/xattr.h>

#include <cmocka.h>

static char dir[256];		/* scratch; removed at the end */
static char allowed[300];	/* dir/allowed: a file named to herd_confine */
static char secret[300];	/* dir/secret: one that is not */
static char alias[300];		/* dir/alias: a link to allowed */
static char store[300];		/* dir/store: the folder that may be written */

static void put_file(const char *path, const char *text)
{
	FILE *f = fopen(path, "w");

	assert_non_null(f);
	fputs(text, f);
	assert_int_equal(fclose(f), 0);
}

static int setup(void **state)
{
	const char *tmp = getenv("TMPDIR");

	(void)state;
	snprintf(dir, sizeof(dir), "%.200s/herd-confine.XXXXXX",
		 tmp ? tmp : "/tmp");
	if (!mkdtemp(dir))
		return -1;
	snprintf(allowed, sizeof(allowed), "%s/allowed", dir);
	snprintf(secret, sizeof(secret), "%s/secret", dir);
	snprintf(alias, sizeof(alias), "%s/alias", dir);
	snprintf(store, sizeof(store), "%s/store", dir);
	put_file(allowed, "evidence\n");
	put_file(secret, "secret\n");
	if (symlink(allowed, alias) || mkdir(store, 0700))
		return -1;
	return 0;
}

static int teardown(void **state)
{
	char command[400];

	(void)state;
	snprintf(command, sizeof(command), "rm -rf '%s'", dir);
	return system(command);
}

static bool landlock_there(void)
{
	return syscall(SYS_landlock_create_ruleset, NULL, 0, 1) >= 1;
}

/* ---- a confined child ---- */

static int escapes;	/* counted in the child */

#define MUST_FAIL(call) do { \
	errno = 0; \
	if ((long)(call) >= 0) { \
		fprintf(stderr, "got away with: %s\n", #call); \
		escapes++; \
	} \
} while (0)

#define MUST_WORK(cond) do { \
	errno = 0; \
	if (!(cond)) { \
		fprintf(stderr, "does not work: %s (%s)\n", #cond, \
			strerror(errno)); \
		escapes++; \
	} \
} while (0)

enum { WITH_STORE = 1, WITH_SOCKETS = 2, WITH_FUSE = 4 };

static char missing[256];	/* what herd_confine said of the kernel */

static int lock_in(unsigned how)
{
	const char *files[] = { alias, "/nonexistent/image", "/etc" };
	const char *dirs[] = { store };
	struct herd_confinement c = {
		.read_files = files, .n_read_files = 3,
		.write_dirs = dirs, .n_write_dirs = how & WITH_STORE ? 1 : 0,
		.connected_sockets = how & WITH_SOCKETS,
		.fuse_device = how & WITH_FUSE,
	};
	struct herd_diag diag = { .offset = HERD_NO_OFFSET };
	int err = herd_confine(&c, missing, sizeof(missing), &diag);

	if (err)
		fprintf(stderr, "herd_confine: %s\n", diag.message);
	return err;
}

/* Runs fn in a child that is locked in; 0 when it found nothing wrong. */
static int in_child(unsigned how, void (*fn)(void))
{
	int status;
	pid_t pid;

	fflush(NULL);
	pid = fork();
	if (pid == 0) {
		if (lock_in(how))
			_exit(2);
		fn();
		_exit(escapes ? 1 : 0);
	}
	assert_true(pid > 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	if (WIFSIGNALED(status))
		fprintf(stderr, "child: signal %d\n", WTERMSIG(status));
	return WIFEXITED(status) ? WEXITSTATUS(status) : 255;
}

/* ---- ways out ---- */

static void open_others(void)
{
	char up[400];

	snprintf(up, sizeof(up), "%s/../../../../../../etc/passwd", store);
	MUST_FAIL(open("/etc/passwd", O_RDONLY));
	MUST_FAIL(open(up, O_RDONLY));
	MUST_FAIL(open(secret, O_RDONLY));
	MUST_FAIL(open("/proc/self/environ", O_RDONLY));
	MUST_FAIL(open("/proc/self/mem", O_RDWR));
	MUST_FAIL(open("/proc/1/maps", O_RDONLY));
	MUST_FAIL(open("/dev/mem", O_RDONLY));
	MUST_FAIL(open("/", O_RDONLY | O_DIRECTORY));
	MUST_FAIL(open(dir, O_RDONLY | O_DIRECTORY));
	MUST_FAIL(syscall(SYS_openat2, AT_FDCWD, "/etc/passwd",
			  (uint64_t[3]){ 0 }, 24));
}

static void test_other_files(void **state)
{
	(void)state;
	if (!landlock_there())
		skip();
	assert_int_equal(in_child(0, open_others), 0);
	assert_int_equal(in_child(WITH_STORE, open_others), 0);
	assert_int_equal(in_child(WITH_FUSE, open_others), 0);
}

static void write_outside(void)
{
	char fresh[400], in_store[400], moved[400];

	snprintf(fresh, sizeof(fresh), "%s/fresh", dir);
	snprintf(in_store, sizeof(in_store), "%s/file", store);
	snprintf(moved, sizeof(moved), "%s/moved", dir);
	MUST_FAIL(open(allowed, O_RDWR));
	MUST_FAIL(open(allowed, O_WRONLY));
	MUST_FAIL(open(allowed, O_RDONLY | O_TRUNC));
	MUST_FAIL(open(fresh, O_WRONLY | O_CREAT, 0600));
	MUST_FAIL(open(dir, O_RDWR | O_TMPFILE, 0600));
	MUST_FAIL(creat(fresh, 0600));
	MUST_FAIL(truncate(allowed, 0));
	MUST_FAIL(unlink(allowed));
	MUST_FAIL(unlink(secret));
	MUST_FAIL(rename(allowed, moved));
	MUST_FAIL(rename(allowed, in_store));
	MUST_FAIL(rename(in_store, moved));
	MUST_FAIL(link(secret, in_store));
	MUST_FAIL(link(allowed, moved));
	MUST_FAIL(symlink("/etc/passwd", in_store));
	MUST_FAIL(symlink("/etc/passwd", moved));
	MUST_FAIL(mkdir(moved, 0700));
	MUST_FAIL(mknod(moved, S_IFIFO | 0600, 0));
	MUST_FAIL(mknod(in_store, S_IFCHR | 0600, 0x101));
	MUST_FAIL(rmdir(store));
	MUST_FAIL(chmod(secret, 0777));
	MUST_FAIL(chown(secret, 0, 0));
	MUST_FAIL(setxattr(secret, "user.x", "1", 1, 0));
	MUST_FAIL(utimensat(AT_FDCWD, secret, NULL, 0));
	MUST_FAIL(chdir("/"));
}

static void make_in_store(void)
{
	char in_store[400];
	int fd;

	snprintf(in_store, sizeof(in_store), "%s/file", store);
	fd = open(in_store, O_WRONLY | O_CREAT, 0600);
	MUST_FAIL(fd);
}

static void test_writing(void **state)
{
	char text[32] = "";
	FILE *f;

	(void)state;
	assert_int_equal(in_child(0, make_in_store), 0);
	if (!landlock_there())
		skip();
	assert_int_equal(in_child(0, write_outside), 0);
	assert_int_equal(in_child(WITH_STORE, write_outside), 0);
	f = fopen(allowed, "r");
	assert_non_null(f);
	assert_non_null(fgets(text, sizeof(text), f));
	fclose(f);
	assert_string_equal(text, "evidence\n");
}

static void reach_network(void)
{
	int pair[2];

	MUST_FAIL(socket(AF_INET, SOCK_STREAM, 0));
	MUST_FAIL(socket(AF_INET6, SOCK_DGRAM, 0));
	MUST_FAIL(socket(AF_UNIX, SOCK_STREAM, 0));
	MUST_FAIL(socket(AF_NETLINK, SOCK_RAW, 0));
	MUST_FAIL(socket(AF_PACKET, SOCK_RAW, 0));
	MUST_FAIL(socketpair(AF_UNIX, SOCK_STREAM, 0, pair));
}

static int open_socket = -1;	/* unconnected, made before */

static void use_open_socket(void)
{
	struct sockaddr_in to = {
		.sin_family = AF_INET, .sin_port = htons(9),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
	struct sockaddr_un un = { .sun_family = AF_UNIX };

	MUST_FAIL(connect(open_socket, (void *)&to, sizeof(to)));
	MUST_FAIL(bind(open_socket, (void *)&to, sizeof(to)));
	MUST_FAIL(connect(open_socket, (void *)&un, sizeof(un)));
	MUST_FAIL(listen(open_socket, 1));
	MUST_FAIL(accept(open_socket, NULL, NULL));
	MUST_FAIL(sendto(open_socket, "x", 1, 0, (void *)&to, sizeof(to)));
}

static void test_network(void **state)
{
	(void)state;
	open_socket = socket(AF_INET, SOCK_DGRAM, 0);
	assert_true(open_socket >= 0);
	assert_int_equal(in_child(0, reach_network), 0);
	assert_int_equal(in_child(WITH_SOCKETS, reach_network), 0);
	assert_int_equal(in_child(0, use_open_socket), 0);
	assert_int_equal(in_child(WITH_SOCKETS, use_open_socket), 0);
	close(open_socket);
}

static char *const sh[] = { "/bin/true", NULL };

static void start_programs(void)
{
	long fork_by_clone = syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0);
	long plain_fork = fork_by_clone ? fork() : 0;

	if (fork_by_clone == 0 || plain_fork == 0)
		_exit(0);
	MUST_FAIL(fork_by_clone);
	MUST_FAIL(plain_fork);
	MUST_FAIL(execve(sh[0], sh, NULL));
	MUST_FAIL(syscall(SYS_execveat, AT_FDCWD, sh[0], sh, NULL, 0));
	MUST_FAIL(syscall(SYS_clone3, (uint64_t[11]){ 0 }, 88));
	MUST_FAIL(system("true") == 0 ? 0 : -1);
}

static void reach_processes(void)
{
	char byte;
	struct iovec here = { &byte, 1 }, there = { &byte, 1 };
	const pid_t parent = getppid();

	MUST_FAIL(kill(parent, 0));
	MUST_FAIL(kill(-1, 0));
	MUST_FAIL(kill(0, 0));
	MUST_FAIL(syscall(SYS_tgkill, parent, parent, 0));
	MUST_FAIL(syscall(SYS_tkill, parent, 0));
	MUST_FAIL(ptrace(PTRACE_SEIZE, parent, 0, 0));
	MUST_FAIL(process_vm_readv(parent, &here, 1, &there, 1, 0));
	MUST_FAIL(syscall(SYS_pidfd_open, parent, 0));
	MUST_FAIL(setpriority(PRIO_PROCESS, (id_t)parent, 1));
	MUST_FAIL(prlimit(parent, RLIMIT_NOFILE, NULL, NULL));
}

/* A larger pipe than other users may have, which takes CAP_SYS_RESOURCE. */
static void use_capability(void)
{
	int fds[2];

	MUST_WORK(pipe(fds) == 0);
	MUST_WORK(fcntl(fds[0], F_SETPIPE_SZ, 65536) > 0);
	MUST_FAIL(fcntl(fds[0], F_SETPIPE_SZ, 4 << 20));
}

static void reach_kernel(void)
{
	struct rlimit lim = { RLIM_INFINITY, RLIM_INFINITY };
	void *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	MUST_WORK(page != MAP_FAILED);
	MUST_FAIL(mprotect(page, 4096, PROT_READ | PROT_EXEC));
	MUST_FAIL(mmap(NULL, 4096, PROT_READ | PROT_EXEC,
		       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED ?
		  -1 : 0);
	MUST_FAIL(mount("none", dir, "tmpfs", 0, NULL));
	MUST_FAIL(umount2(dir, MNT_DETACH));
	MUST_FAIL(unshare(CLONE_NEWUSER));
	MUST_FAIL(unshare(CLONE_NEWNS));
	MUST_FAIL(setns(0, 0));
	MUST_FAIL(chroot(dir));
	MUST_FAIL(syscall(SYS_bpf, 0, NULL, 0));
	MUST_FAIL(syscall(SYS_io_uring_setup, 1, (char[256]){ 0 }));
	MUST_FAIL(syscall(SYS_keyctl, 0, 0));
	MUST_FAIL(syscall(SYS_open_by_handle_at, 0, NULL, 0));
	MUST_FAIL(syscall(SYS_init_module, NULL, 0, ""));
	MUST_FAIL(syscall(SYS_perf_event_open, NULL, 0, -1, -1, 0));
	MUST_FAIL(syscall(SYS_userfaultfd, 0));
	MUST_FAIL(setrlimit(RLIMIT_CORE, &lim));
	MUST_FAIL(prctl(PR_SET_DUMPABLE, 1, 0, 0, 0));
	MUST_FAIL(prctl(PR_SET_PTRACER, getppid(), 0, 0, 0));
	MUST_FAIL(ioctl(0, TIOCSTI, "x"));
	MUST_FAIL(fcntl(0, F_SETOWN, getppid()));
	MUST_FAIL(setuid(0));
	MUST_FAIL(syscall(SYS_capset, NULL, NULL));
	MUST_WORK(getrlimit(RLIMIT_CORE, &lim) == 0 && lim.rlim_max == 0);
	use_capability();
}

static void test_processes_and_kernel(void **state)
{
	(void)state;
	assert_int_equal(in_child(0, start_programs), 0);
	assert_int_equal(in_child(WITH_STORE | WITH_SOCKETS | WITH_FUSE,
				  start_programs), 0);
	assert_int_equal(in_child(WITH_STORE | WITH_SOCKETS, reach_processes),
			 0);
	assert_int_equal(in_child(WITH_STORE | WITH_SOCKETS, reach_kernel), 0);
}

static void *from_thread(void *arg)
{
	(void)arg;
	if (landlock_there())
		open_others();
	reach_network();
	start_programs();
	reach_processes();
	return NULL;
}

static void try_from_thread(void)
{
	pthread_t thread;

	MUST_WORK(pthread_create(&thread, NULL, from_thread, NULL) == 0);
	pthread_join(thread, NULL);
}

static void test_threads(void **state)
{
	(void)state;
	assert_int_equal(in_child(WITH_STORE, try_from_thread), 0);
}

static int go[2], ready[2];	/* pipes to and from the child */

static void after_swap(void)
{
	char byte = 'r';
	int before = open(alias, O_RDONLY);

	MUST_WORK(before >= 0);
	MUST_WORK(write(ready[1], &byte, 1) == 1);
	MUST_WORK(read(go[0], &byte, 1) == 1);
	MUST_FAIL(open(alias, O_RDONLY));	/* now a link to secret */
	MUST_FAIL(open(allowed, O_RDONLY));	/* now another file */
	MUST_WORK(read(before, &byte, 1) == 1 && byte == 'e');
}

static void *swap(void *arg)
{
	char byte, other[400];

	(void)arg;
	if (read(ready[0], &byte, 1) != 1)
		return NULL;
	snprintf(other, sizeof(other), "%s/other", dir);
	unlink(alias);
	if (symlink(secret, alias))
		return NULL;
	put_file(other, "another\n");
	if (rename(other, allowed) || write(go[1], "g", 1) != 1)
		return NULL;
	return arg;
}

static void test_swapped_link(void **state)
{
	pthread_t thread;
	void *done;

	(void)state;
	if (!landlock_there())
		skip();
	assert_int_equal(pipe(go), 0);
	assert_int_equal(pipe(ready), 0);
	assert_int_equal(pthread_create(&thread, NULL, swap, dir), 0);
	assert_int_equal(in_child(0, after_swap), 0);
	close(ready[1]);
	pthread_join(thread, &done);
	assert_non_null(done);
	close(go[0]);
	close(go[1]);
	close(ready[0]);
	/* as it was, for the tests to come */
	unlink(alias);
	put_file(allowed, "evidence\n");
	assert_int_equal(symlink(allowed, alias), 0);
}

/* ---- honest work ---- */

static void read_allowed(void)
{
	char buf[32] = "";
	uint8_t digest[32];
	struct stat st;
	struct tm tm;
	time_t now = 1700000000;
	int fd = open(alias, O_RDONLY | O_CLOEXEC);
	void *map;

	MUST_WORK(fd >= 0);
	MUST_WORK(pread(fd, buf, 8, 0) == 8 && memcmp(buf, "evidence", 8) == 0);
	map = mmap(NULL, 8, PROT_READ, MAP_SHARED, fd, 0);
	MUST_WORK(map != MAP_FAILED && memcmp(map, "evidence", 8) == 0);
	MUST_WORK(fstat(fd, &st) == 0 && st.st_size == 9);
	MUST_WORK(lseek(fd, 0, SEEK_DATA) == 0);
	herd_sha256("abc", 3, digest);
	MUST_WORK(digest[0] == 0xba && digest[31] == 0xad);
	MUST_WORK(localtime_r(&now, &tm) != NULL);
	MUST_WORK(sysconf(_SC_NPROCESSORS_ONLN) >= 1);
	MUST_WORK(malloc(64 << 20) != NULL);
	MUST_WORK(signal(SIGUSR1, SIG_IGN) != SIG_ERR);
	MUST_WORK(raise(SIGUSR1) == 0);
	MUST_WORK(kill(getpid(), 0) == 0);
	MUST_WORK(fprintf(stderr, "%s", "") == 0);
}

static void *wait_forever(void *arg)
{
	(void)arg;
	for (;;)
		pause();
	return NULL;
}

static void *count_up(void *arg)
{
	free(malloc(1000));
	__atomic_add_fetch((int *)arg, 1, __ATOMIC_SEQ_CST);
	return NULL;
}

static void many_threads(void)
{
	pthread_t thread[32];
	int n = 0;

	for (int i = 0; i < 32; i++)
		MUST_WORK(pthread_create(&thread[i], NULL, count_up, &n) == 0);
	for (int i = 0; i < 32; i++)
		pthread_join(thread[i], NULL);
	MUST_WORK(n == 32);
	/* the FUSE session ends its threads like this */
	MUST_WORK(pthread_create(&thread[0], NULL, wait_forever, NULL) == 0);
	MUST_WORK(pthread_cancel(thread[0]) == 0);
	MUST_WORK(pthread_join(thread[0], NULL) == 0);
}

static int put_records(MDB_env *env, size_t n)
{
	static char value[4000];
	MDB_txn *txn;
	MDB_dbi dbi;
	int rc = mdb_txn_begin(env, NULL, 0, &txn);

	if (rc)
		return rc;
	rc = mdb_dbi_open(txn, NULL, 0, &dbi);
	for (size_t i = 0; !rc && i < n; i++) {
		MDB_val k = { sizeof(i), &i }, v = { sizeof(value), value };

		rc = mdb_put(txn, dbi, &k, &v, 0);
	}
	if (!rc)
		return mdb_txn_commit(txn);
	mdb_txn_abort(txn);
	return rc;
}

static MDB_env *opened_before;

static void write_store(void)
{
	MDB_env *env = opened_before;

	if (!env) {
		MUST_WORK(mdb_env_create(&env) == 0);
		MUST_WORK(mdb_env_set_mapsize(env, 1 << 20) == 0);
		MUST_WORK(mdb_env_open(env, store, 0, 0600) == 0);
	}
	MUST_WORK(put_records(env, 10) == 0);
	MUST_WORK(put_records(env, 1000) == MDB_MAP_FULL);
	MUST_WORK(mdb_env_set_mapsize(env, 64 << 20) == 0);
	MUST_WORK(put_records(env, 1000) == 0);
	MUST_WORK(mdb_env_sync(env, 1) == 0);
	mdb_env_close(env);
}

static void empty_store(void)
{
	char path[400];

	snprintf(path, sizeof(path), "%s/data.mdb", store);
	unlink(path);
	snprintf(path, sizeof(path), "%s/lock.mdb", store);
	unlink(path);
}

static void test_honest_work(void **state)
{
	int status;
	pid_t pid;

	(void)state;
	assert_int_equal(in_child(0, read_allowed), 0);
	assert_int_equal(in_child(WITH_STORE | WITH_SOCKETS, read_allowed), 0);
	assert_int_equal(in_child(0, many_threads), 0);
	empty_store();
	assert_int_equal(in_child(WITH_STORE, write_store), 0);
	empty_store();
	fflush(NULL);
	pid = fork();	/* as attach does: opened first, then locked in */
	if (pid == 0) {
		if (mdb_env_create(&opened_before) ||
		    mdb_env_set_mapsize(opened_before, 1 << 20) ||
		    mdb_env_open(opened_before, store, 0, 0600) ||
		    lock_in(WITH_STORE))
			_exit(2);
		write_store();
		_exit(escapes ? 1 : 0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
}

static int pair[2];

static void use_pair(void)
{
	char buf[4];
	struct iovec v = { "ping", 4 };
	struct msghdr msg = { .msg_iov = &v, .msg_iovlen = 1 };

	MUST_WORK(sendmsg(pair[0], &msg, 0) == 4);
	MUST_WORK(send(pair[0], "pong", 4, MSG_NOSIGNAL) == 4);
	MUST_WORK(recv(pair[1], buf, 4, 0) == 4);
	MUST_WORK(recv(pair[1], buf, 4, 0) == 4);
	MUST_WORK(shutdown(pair[0], SHUT_RDWR) == 0);
}

static void send_unwanted(void)
{
	MUST_FAIL(send(pair[0], "pong", 4, 0));
	MUST_FAIL(recv(pair[1], (char[4]){ 0 }, 4, MSG_DONTWAIT));
}

static void test_open_sockets(void **state)
{
	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	assert_int_equal(in_child(WITH_SOCKETS, use_pair), 0);
	close(pair[0]);
	close(pair[1]);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	assert_int_equal(in_child(0, send_unwanted), 0);
	close(pair[0]);
	close(pair[1]);
}

static void open_fuse(void)
{
	MUST_WORK(open("/dev/fuse", O_RDWR | O_CLOEXEC) >= 0);
	MUST_FAIL(open(allowed, O_RDWR));
	MUST_FAIL(open("/dev/null", O_RDWR));
}

static void not_open_fuse(void)
{
	MUST_FAIL(open("/dev/fuse", O_RDWR));
}

static void test_fuse_device(void **state)
{
	(void)state;
	if (!landlock_there() || access("/dev/fuse", R_OK | W_OK))
		skip();
	assert_int_equal(in_child(WITH_FUSE, open_fuse), 0);
	assert_int_equal(in_child(0, not_open_fuse), 0);
}

static void crash(void)
{
	signal(SIGABRT, SIG_DFL);
	abort();
}

static void test_no_core_file(void **state)
{
	const struct rlimit all = { RLIM_INFINITY, RLIM_INFINITY };
	int status;
	pid_t pid;

	(void)state;
	fflush(NULL);
	pid = fork();
	if (pid == 0) {
		setrlimit(RLIMIT_CORE, &all);
		if (chdir(store) || lock_in(0))
			_exit(2);
		crash();
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status));
	assert_int_equal(WTERMSIG(status), SIGABRT);
	assert_false(WCOREDUMP(status));
}

/* What a kernel without Landlock answers. */
static int without_landlock(void)
{
	scmp_filter_ctx f = seccomp_init(SCMP_ACT_ALLOW);
	int err = f ? 0 : -ENOMEM;

	if (!err)
		err = seccomp_rule_add(f, SCMP_ACT_ERRNO(ENOSYS),
				       SCMP_SYS(landlock_create_ruleset), 0);
	if (!err)
		err = seccomp_load(f);
	seccomp_release(f);
	return err;
}

static void test_old_kernel(void **state)
{
	int status;
	pid_t pid;

	(void)state;
	fflush(NULL);
	pid = fork();
	if (pid == 0) {
		if (without_landlock() || lock_in(0))
			_exit(2);
		MUST_WORK(strstr(missing, "lacks Landlock") != NULL);
		MUST_WORK(strchr(missing, '\n') == NULL);
		read_allowed();
		reach_network();
		start_programs();
		MUST_FAIL(open(secret, O_RDWR));
		MUST_FAIL(open(secret, O_RDONLY | O_TRUNC));
		MUST_FAIL(unlink(secret));
		_exit(escapes ? 1 : 0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
}

static void nothing_missing(void)
{
	MUST_WORK(!landlock_there() || missing[0] == '\0');
}

static void test_nothing_missing(void **state)
{
	(void)state;
	assert_int_equal(in_child(0, nothing_missing), 0);
}

/*
 * A helper that asks to end with the process that started it does so, though
 * that one is locked in by then. What is read from the pipe is its end.
 */
static void test_helper_ends(void **state)
{
	struct pollfd end = { .events = POLLIN };
	int fds[2];
	pid_t pid;

	(void)state;
	assert_int_equal(pipe(fds), 0);
	fflush(NULL);
	pid = fork();
	if (pid == 0) {
		if (fork() == 0) {
			prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
			for (;;)
				pause();
		}
		usleep(100000);
		_exit(lock_in(WITH_STORE | WITH_SOCKETS));
	}
	close(fds[1]);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	end.fd = fds[0];
	assert_int_equal(poll(&end, 1, 5000), 1);
	close(fds[0]);
}

/* ---- programs that are started for an image ---- */

/* Exit status of argv, started as qemu-nbd would be; its output is dropped. */
static int run_child(char *const *argv, const char *file)
{
	int status;
	pid_t pid;

	fflush(NULL);
	pid = fork();
	if (pid == 0) {
		int null = open("/dev/null", O_RDWR);

		dup2(null, 1);
		dup2(null, 2);
		if (herd_confine_child(&file, 1))
			_exit(99);
		execvp(argv[0], argv);
		_exit(98);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 255;
}

static void test_child(void **state)
{
	(void)state;
	if (!landlock_there())
		skip();
	assert_int_equal(run_child((char *[]){ "cat", allowed, NULL }, allowed),
			 0);
	assert_int_equal(run_child((char *[]){ "cat", secret, NULL }, allowed),
			 1);
	assert_int_equal(run_child((char *[]){ "cat", "/etc/shadow", NULL },
				   allowed), 1);
	assert_int_equal(run_child((char *[]){ "cat", "/etc/passwd", NULL },
				   allowed), 1);
	assert_int_equal(run_child((char *[]){ "ls", dir, NULL }, allowed), 2);
	assert_int_equal(run_child((char *[]){ "sh", "-c", "echo >> \"$0\"",
				   allowed, NULL }, allowed), 2);
}

static void test_child_qemu(void **state)
{
	char base[400], top[400], command[1600];

	(void)state;
	if (!landlock_there() || system("qemu-img --version >/dev/null 2>&1"))
		skip();
	snprintf(base, sizeof(base), "%s/base.qcow2", dir);
	snprintf(top, sizeof(top), "%s/top.qcow2", dir);
	snprintf(command, sizeof(command),
		 "qemu-img create -q -f qcow2 '%s' 1M && "
		 "qemu-img create -q -f qcow2 -b '%s' -F qcow2 '%s'",
		 base, base, top);
	assert_int_equal(system(command), 0);
	assert_int_equal(run_child((char *[]){ "qemu-img", "info", base, NULL },
				   base), 0);
	assert_int_equal(run_child((char *[]){ "qemu-img", "map", top, NULL },
				   top), 1);	/* may not have its backing file */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_other_files),
		cmocka_unit_test(test_writing),
		cmocka_unit_test(test_network),
		cmocka_unit_test(test_processes_and_kernel),
		cmocka_unit_test(test_threads),
		cmocka_unit_test(test_swapped_link),
		cmocka_unit_test(test_honest_work),
		cmocka_unit_test(test_open_sockets),
		cmocka_unit_test(test_fuse_device),
		cmocka_unit_test(test_no_core_file),
		cmocka_unit_test(test_old_kernel),
		cmocka_unit_test(test_nothing_missing),
		cmocka_unit_test(test_helper_ends),
		cmocka_unit_test(test_child),
		cmocka_unit_test(test_child_qemu),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
