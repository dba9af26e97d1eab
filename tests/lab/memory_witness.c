/* SPDX-License-Identifier: Apache-2.0 */
/*
 * memory_witness OUT LINE PLACE BYTES: runs inside a guest of the lab and says
 * what its kernel says of itself, so that what is read out of its memory can
 * be compared with that. OUT is a disk that nothing else uses, written past
 * the page cache; LINE is a serial line.
 *
 * It speaks twice: before the memory is taken and, once a byte came over LINE,
 * after that. What both agree on was so in between. After each it says
 * {"witness": N, "pid": its own, "bytes": written} over LINE. The first goes to
 * PLACE (a multiple of 4096) of OUT, the second to PLACE + BYTES.
 *
 * What it writes is a sequence of records, each a line and then its bytes:
 *
 *   F LENGTH PATH\n     what a file of /proc or /sys holds
 *   L LENGTH PATH\n     where a link leads
 *   P LENGTH PATH/START\n  of a mapping: PTEs as in /proc/PID/pagemap, one of
 *                       each page, when any of them is there
 *   E 0 end\n
 *
 * Static and of one thread; memory is what it has as globals.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { BLOCK = 1 << 20, FILE_MAX = 1 << 20, SEEN_MAX = 256 };

static char block[BLOCK] __attribute__((aligned(4096)));
static char piece[FILE_MAX];
static size_t used;
static uint64_t at, written;
static int out;
static char seen[SEEN_MAX][64];
static unsigned n_seen;

static void flush(void)
{
	size_t whole = (used + 4095) & ~(size_t)4095;

	memset(block + used, 0, whole - used);
	if (whole && pwrite(out, block, whole, (off_t)at) != (ssize_t)whole) {
		perror("witness: write");
		exit(1);
	}
	at += whole;
	written += used;
	used = 0;
}
static void put(const void *bytes, size_t len)
{
	const char *p = bytes;

	while (len) {
		size_t n = len < BLOCK - used ? len : BLOCK - used;

		memcpy(block + used, p, n);
		used += n;
		p += n;
		len -= n;
		if (used == BLOCK)
			flush();
	}
}
static void record(char kind, const char *path, const void *bytes, size_t len)
{
	char line[512];

	put(line, (size_t)snprintf(line, sizeof(line), "%c %zu %s\n", kind, len, path));
	put(bytes, len);
}
/* Contents larger than a piece: several records of one path, to be joined. */
static void file(const char *path)
{
	size_t len = 0;
	bool any = false;
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);

	if (fd < 0)
		return;
	for (;;) {
		ssize_t n = read(fd, piece + len, sizeof(piece) - len);

		if (n > 0)
			len += (size_t)n;
		if (n <= 0 || len == sizeof(piece)) {
			if (n < 0 && !len && !any)
				break;
			record('F', path, piece, len);
			any = true;
			len = 0;
		}
		if (n <= 0)
			break;
	}
	close(fd);
}
__attribute__((format(printf, 1, 2))) static void file_f(const char *format, ...)
{
	char path[512];
	va_list list;

	va_start(list, format);
	vsnprintf(path, sizeof(path), format, list);
	va_end(list);
	file(path);
}
static ssize_t link_of(const char *path)
{
	char to[4096];
	ssize_t n = readlink(path, to, sizeof(to));

	if (n >= 0)
		record('L', path, to, (size_t)n);
	return n;
}
/* Whether this link was followed before; each namespace is told of once. */
static bool is_new(const char *path)
{
	char to[64] = "";
	unsigned i;

	if (readlink(path, to, sizeof(to) - 1) < 0)
		return false;
	for (i = 0; i < n_seen; i++)
		if (!strcmp(seen[i], to))
			return false;
	if (n_seen < SEEN_MAX)
		strcpy(seen[n_seen++], to);
	return true;
}
static void each(const char *dir, void (*do_it)(const char *dir, const char *name))
{
	DIR *d = opendir(dir);
	struct dirent *e;

	if (!d)
		return;
	while ((e = readdir(d)))
		if (e->d_name[0] != '.')
			do_it(dir, e->d_name);
	closedir(d);
}

static void task(const char *dir, const char *name)
{
	file_f("%s/%s/comm", dir, name);
	file_f("%s/%s/status", dir, name);
	file_f("%s/%s/stat", dir, name);
	file_f("%s/%s/syscall", dir, name);
}
static void ns(const char *dir, const char *name)
{
	char path[512];

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	link_of(path);
}
static void fd(const char *dir, const char *name)
{
	ns(dir, name);
	file_f("%.*s/fdinfo/%s", (int)(strlen(dir) - 3), dir, name);
}
static void pages(const char *dir)
{
	static uint64_t entry[FILE_MAX / 8];
	char path[512], line[8192];
	FILE *maps;
	int fd_;

	snprintf(path, sizeof(path), "%s/pagemap", dir);
	fd_ = open(path, O_RDONLY | O_CLOEXEC);
	snprintf(path, sizeof(path), "%s/maps", dir);
	maps = fopen(path, "re");
	while (fd_ >= 0 && maps && fgets(line, sizeof(line), maps)) {
		uint64_t from, to;
		bool any = false;
		size_t i, n;

		if (sscanf(line, "%lx-%lx", &from, &to) != 2 || to > 1UL << 56)
			continue;
		n = (to - from) / 4096;
		if (n > sizeof(entry) / 8)
			n = sizeof(entry) / 8;
		if (pread(fd_, entry, n * 8, (off_t)(from / 4096 * 8)) != (ssize_t)(n * 8))
			continue;
		for (i = 0; i < n && !any; i++)
			any = entry[i] >> 62;
		snprintf(path, sizeof(path), "%s/pagemap/%lx", dir, from);
		if (any)
			record('P', path, entry, n * 8);
	}
	if (maps)
		fclose(maps);
	if (fd_ >= 0)
		close(fd_);
}
static void process(const char *proc, const char *pid)
{
	static const char *const files[] = { "stat", "status", "comm", "cmdline", "environ",
					     "auxv", "maps", "cgroup", "syscall", "limits",
					     "loginuid", "oom_score_adj", "personality",
					     "uid_map", "stack", NULL };
	static const char *const nets[] = { "tcp", "tcp6", "udp", "udp6", "udplite", "unix", "packet",
					    "netlink", "raw", "raw6", "icmp", "icmp6", "dev",
					    "protocols", "sockstat", NULL };
	char dir[256], path[512];
	int i;

	if (pid[0] < '0' || pid[0] > '9')
		return;
	snprintf(dir, sizeof(dir), "%s/%s", proc, pid);
	for (i = 0; files[i]; i++)
		file_f("%s/%s", dir, files[i]);
	for (i = 0; i < 3; i++) {
		snprintf(path, sizeof(path), "%s/%s", dir, i ? i == 1 ? "cwd" : "root" : "exe");
		link_of(path);
	}
	snprintf(path, sizeof(path), "%s/ns", dir);
	each(path, ns);
	snprintf(path, sizeof(path), "%s/task", dir);
	each(path, task);
	snprintf(path, sizeof(path), "%s/fd", dir);
	each(path, fd);
	pages(dir);
	snprintf(path, sizeof(path), "%s/ns/net", dir);
	if (is_new(path))
		for (i = 0; nets[i]; i++)
			file_f("%s/net/%s", dir, nets[i]);
	snprintf(path, sizeof(path), "%s/ns/mnt", dir);
	if (is_new(path))
		file_f("%s/mountinfo", dir);
}
static void module(const char *dir, const char *name)
{
	file_f("%s/%s/sections/.text", dir, name);
	file_f("%s/%s/srcversion", dir, name);
	file_f("%s/%s/taint", dir, name);
}
static void kernel(bool all)
{
	static const char *const files[] = {
		"/proc/modules", "/proc/version", "/proc/cmdline", "/proc/mounts", "/proc/swaps",
		"/proc/sys/kernel/hostname", "/proc/sys/kernel/osrelease", "/proc/iomem",
		"/proc/meminfo", "/proc/cpuinfo", "/proc/filesystems", "/sys/kernel/vmcoreinfo",
		"/sys/kernel/notes", "/sys/kernel/tracing/enabled_functions",
		"/sys/kernel/debug/kprobes/list", "/proc/sysvipc/shm", "/proc/tty/drivers",
		"/proc/devices", "/proc/interrupts", "/proc/sys/kernel/tainted", NULL };
	int i;

	for (i = 0; files[i]; i++)
		file(files[i]);
	if (all) {
		file("/proc/kallsyms");
		file("/sys/kernel/btf/vmlinux");
		each("/sys/module", module);
	}
}

int main(int argc, char **argv)
{
	uint64_t place, bytes;
	int line, round;

	if (argc != 5)
		return 2;
	place = strtoull(argv[3], NULL, 0);
	bytes = strtoull(argv[4], NULL, 0);
	out = open(argv[1], O_WRONLY | O_DIRECT | O_CLOEXEC);
	line = open(argv[2], O_RDWR | O_NOCTTY | O_CLOEXEC);
	if (out < 0 || line < 0) {
		perror("witness");
		return 1;
	}
	for (round = 0; round < 2; round++) {
		char said[128];
		int n;

		at = place + (uint64_t)round * bytes;
		written = 0;
		n_seen = 0;
		kernel(round == 0);
		each("/proc", process);
		file("/proc/uptime");
		record('E', "end", NULL, 0);
		flush();
		n = snprintf(said, sizeof(said), "{\"witness\": %d, \"pid\": %d, \"bytes\": %llu}\n",
			     round + 1, getpid(), (unsigned long long)written);
		if (write(line, said, (size_t)n) != n || (!round && read(line, said, 1) != 1))
			return 1;
	}
	return 0;
}
