/* SPDX-License-Identifier: Apache-2.0 */
/*
 * memory_actors ROLE…: processes of the small guest of memory_guest.sh. Each
 * role gets itself into a state that a reader of memory should be able to tell
 * of, makes /run/ready/ROLE and then sleeps for good. Several roles: the one
 * process takes all of them on.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <linux/if_ether.h>
#include <linux/netlink.h>
#include <linux/seccomp.h>
#include <linux/filter.h>
#include <net/if.h>
#include <netinet/tcp.h>
#include <netpacket/packet.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/shm.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#define CHECK(x)                                                                                   \
	({                                                                                         \
		__typeof__(x) r_ = (x);                                                            \
		if ((intptr_t)r_ == -1)                                                            \
			fprintf(stderr, "actors: %s: %s\n", #x, strerror(errno));                  \
		r_;                                                                                \
	})

static void ready(const char *role)
{
	char path[128];

	snprintf(path, sizeof(path), "/run/ready/%s", role);
	close(CHECK(open(path, O_CREAT | O_WRONLY, 0644)));
}
static void sleep_for_good(void)
{
	for (;;)
		pause();
}
static void wait_for(const char *role)
{
	char path[128];

	snprintf(path, sizeof(path), "/run/ready/%s", role);
	while (access(path, F_OK))
		usleep(20000);
}

static void *thread(void *name)
{
	prctl(PR_SET_NAME, name);
	sleep_for_good();
	return NULL;
}
static void threads(void)
{
	static const char *const names[] = { "worker-0", "worker-1", "io wait", "x", "(odd) name" };
	pthread_t t;
	size_t i;

	for (i = 0; i < sizeof(names) / sizeof(*names); i++)
		pthread_create(&t, NULL, thread, (void *)(uintptr_t)names[i]);
	usleep(300000);
}

static struct sockaddr_in v4(uint16_t port)
{
	return (struct sockaddr_in){ AF_INET, htons(port), { htonl(INADDR_LOOPBACK) }, { 0 } };
}
static int tcp_listen(int family, uint16_t port)
{
	struct sockaddr_in6 six = { .sin6_family = AF_INET6, .sin6_port = htons(port) };
	struct sockaddr_in four = { AF_INET, htons(port), { 0 }, { 0 } };
	int one = 1, s = CHECK(socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0));

	setsockopt(s, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (family == AF_INET)
		CHECK(bind(s, (void *)&four, sizeof(four)));
	else
		CHECK(bind(s, (void *)&six, sizeof(six)));
	CHECK(listen(s, 16));
	return s;
}
static int unix_at(int type, const char *path)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	int s = CHECK(socket(AF_UNIX, type, 0));
	size_t n = strlen(path);

	memcpy(a.sun_path, path, n);
	if (*path == '@')
		a.sun_path[0] = 0;
	unlink(path);
	CHECK(bind(s, (void *)&a, (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n +
					      (*path == '/'))));
	if (type == SOCK_STREAM)
		CHECK(listen(s, 5));
	return s;
}
static void server(void)
{
	int s = tcp_listen(AF_INET, 8080), six = tcp_listen(AF_INET6, 8443);
	int u = unix_at(SOCK_STREAM, "/run/server.sock"), i;

	unix_at(SOCK_DGRAM, "@abstract-log");
	unix_at(SOCK_SEQPACKET, "/run/server.seq");
	ready("listening");
	for (i = 0; i < 2; i++)
		CHECK(accept4(s, NULL, NULL, SOCK_CLOEXEC));
	CHECK(accept(six, NULL, NULL));
	CHECK(accept(u, NULL, NULL));
	wait_for("client");
	usleep(100000);
}
static void client(void)
{
	struct sockaddr_in a = v4(8080), d = v4(5353);
	struct sockaddr_in6 b = { .sin6_family = AF_INET6, .sin6_port = htons(8443),
				  .sin6_addr = IN6ADDR_LOOPBACK_INIT };
	struct sockaddr_un u = { AF_UNIX, "/run/server.sock" };
	int s[2], one = 1;

	wait_for("listening");
	CHECK(connect(CHECK(socket(AF_INET, SOCK_STREAM, 0)), (void *)&a, sizeof(a)));
	CHECK(connect(s[0] = CHECK(socket(AF_INET, SOCK_STREAM, 0)), (void *)&a, sizeof(a)));
	CHECK(fcntl(s[0], F_SETFL, O_NONBLOCK));
	CHECK(connect(CHECK(socket(AF_INET6, SOCK_STREAM, 0)), (void *)&b, sizeof(b)));
	CHECK(connect(CHECK(socket(AF_UNIX, SOCK_STREAM, 0)), (void *)&u, sizeof(u)));
	CHECK(connect(CHECK(socket(AF_INET, SOCK_DGRAM, 0)), (void *)&d, sizeof(d)));
	CHECK(socket(AF_INET, SOCK_STREAM, 0));	/* never bound */
	setsockopt(s[0], SOL_SOCKET, SO_KEEPALIVE, &one, sizeof(one));
	CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, s));
	CHECK(socketpair(AF_UNIX, SOCK_DGRAM, 0, s));
}
static void sockets(void)
{
	struct sockaddr_in6 six = { .sin6_family = AF_INET6, .sin6_port = htons(5355),
				    .sin6_addr = IN6ADDR_LOOPBACK_INIT };
	struct sockaddr_nl nl = { .nl_family = AF_NETLINK, .nl_groups = 1 | 0x10 };
	struct sockaddr_ll ll = { .sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_ARP),
				  .sll_ifindex = (int)if_nametoindex("lo") };
	struct sockaddr_in d = v4(5353);
	int s;

	s = CHECK(socket(AF_INET, SOCK_DGRAM, 0));
	CHECK(bind(s, (void *)&d, sizeof(d)));
	s = CHECK(socket(AF_INET6, SOCK_DGRAM, 0));
	CHECK(bind(s, (void *)&six, sizeof(six)));
	s = CHECK(socket(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE));
	CHECK(bind(s, (void *)&nl, sizeof(nl)));
	s = CHECK(socket(AF_NETLINK, SOCK_RAW, NETLINK_KOBJECT_UEVENT));
	CHECK(bind(s, (void *)&(struct sockaddr_nl){ .nl_family = AF_NETLINK, .nl_groups = 1 },
		   sizeof(nl)));
	s = CHECK(socket(AF_PACKET, SOCK_RAW, htons(ETH_P_ARP)));
	CHECK(bind(s, (void *)&ll, sizeof(ll)));
	CHECK(socket(AF_PACKET, SOCK_DGRAM, htons(ETH_P_ALL)));
	CHECK(socket(AF_INET, SOCK_RAW, IPPROTO_ICMP));
	CHECK(socket(AF_INET6, SOCK_RAW, IPPROTO_ICMPV6));
}

/* Connections on their way in and out: what has no inode any more, or not yet. */
static void half_done(int family, uint16_t port, int defer)
{
	struct sockaddr_in four = v4(port);
	struct sockaddr_in6 six = { .sin6_family = AF_INET6, .sin6_port = htons(port),
				    .sin6_addr = IN6ADDR_LOOPBACK_INIT };
	int c, s = tcp_listen(family, port);

	if (defer)	/* a handshake that is not over before the first byte */
		CHECK(setsockopt(s, IPPROTO_TCP, TCP_DEFER_ACCEPT, &defer, sizeof(defer)));
	c = CHECK(socket(family, SOCK_STREAM, 0));
	CHECK(connect(c, family == AF_INET ? (void *)&four : (void *)&six,
		      family == AF_INET ? sizeof(four) : sizeof(six)));
	if (defer)
		return;
	/* that one nobody accepts; of the next, one end closes, or both do */
	for (int both = 0; both < 2; both++) {
		int t;

		if (!both)
			CHECK(accept(s, NULL, NULL));
		c = CHECK(socket(family, SOCK_STREAM, 0));
		CHECK(connect(c, family == AF_INET ? (void *)&four : (void *)&six,
			      family == AF_INET ? sizeof(four) : sizeof(six)));
		t = CHECK(accept(s, NULL, NULL));
		close(c);
		usleep(50000);
		if (both)
			close(t);
	}
	c = CHECK(socket(family, SOCK_STREAM, 0));
	CHECK(connect(c, family == AF_INET ? (void *)&four : (void *)&six,
		      family == AF_INET ? sizeof(four) : sizeof(six)));
}
static void ending(void)
{
	struct sockaddr_in6 mapped = { .sin6_family = AF_INET6, .sin6_port = htons(9001) };
	struct sockaddr_in d = v4(9010);
	struct sockaddr_un u = { AF_UNIX, "/run/waiting.sock" };
	int s;

	half_done(AF_INET, 9001, 0);
	half_done(AF_INET6, 9002, 0);
	half_done(AF_INET, 9003, 60);
	half_done(AF_INET6, 9004, 60);
	inet_pton(AF_INET6, "::ffff:127.0.0.1", &mapped.sin6_addr);
	CHECK(connect(CHECK(socket(AF_INET6, SOCK_STREAM, 0)), (void *)&mapped, sizeof(mapped)));
	unix_at(SOCK_STREAM, u.sun_path);	/* a connection that nobody accepts */
	CHECK(connect(CHECK(socket(AF_UNIX, SOCK_STREAM, 0)), (void *)&u, sizeof(u)));
	s = CHECK(socket(AF_INET, SOCK_DGRAM, 136 /* UDP-Lite; not in newer kernels */));
	if (s >= 0)
		CHECK(bind(s, (void *)&d, sizeof(d)));
	s = CHECK(open("/proc/sys/net/ipv4/ping_group_range", O_WRONLY));
	CHECK(write(s, "0 2147483647", 12));
	s = CHECK(socket(AF_INET, SOCK_DGRAM, IPPROTO_ICMP));
	CHECK(connect(s, (void *)&d, sizeof(d)));
	s = CHECK(socket(AF_INET, SOCK_DGRAM, 0));
	d.sin_port = htons(9011);
	CHECK(setsockopt(s, SOL_SOCKET, SO_BINDTODEVICE, "lo", 3));
	CHECK(bind(s, (void *)&d, sizeof(d)));
	CHECK(socket(AF_ALG, SOCK_SEQPACKET, 0));	/* a family that /proc is silent of */
	usleep(100000);
}

/* Pages of each kind in the page cache. Each begins with "HERDPAGE" and its
   number in the file. */
static void stamp(char *p, size_t pages)
{
	for (uint64_t i = 0; i < pages; i++) {
		memcpy(p + i * 4096, "HERDPAGE", 8);
		memcpy(p + i * 4096 + 8, &i, 8);
	}
}
static void put_text(const char *path, const char *text)
{
	int f = open(path, O_WRONLY);

	if (f < 0 || write(f, text, strlen(text)) < 0)
		fprintf(stderr, "actors: %s: %s\n", path, strerror(errno));
	if (f >= 0)
		close(f);
}
/* One page is written to over and over: it is dirty whenever one looks. */
static void *dirtying(void *page)
{
	for (volatile uint64_t *n = page;; usleep(2000))
		n[2]++;
	return NULL;
}
static void caching(void)
{
	const size_t mb = 1 << 20;
	static char pages[64 * 4096];
	pthread_t t;
	char *p;
	int f;

	stamp(pages, 64);
	f = CHECK(open("/srv/dirty", O_CREAT | O_RDWR, 0644));
	CHECK(write(f, pages, sizeof(pages)));
	f = CHECK(open("/srv/half-dirty", O_CREAT | O_RDWR, 0644));
	CHECK(write(f, pages, sizeof(pages)));
	CHECK(fsync(f));
	p = CHECK((char *)mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, f, 5 * 4096));
	if (p != MAP_FAILED)
		pthread_create(&t, NULL, dirtying, p);
	f = CHECK(open("/srv/sparse", O_CREAT | O_RDWR, 0644));
	CHECK(pwrite(f, pages + 4096, 4096, 5LL << 30));
	CHECK(pwrite(f, pages, 4096, 3 * 4096));
	CHECK(fsync(f));
	put_text("/proc/sys/vm/nr_hugepages", "4");
	p = CHECK((char *)mmap(NULL, 4 * mb, PROT_READ | PROT_WRITE,
			       MAP_SHARED | MAP_ANONYMOUS | MAP_HUGETLB, -1, 0));
	if (p != MAP_FAILED)
		stamp(p, mb / 1024);
	put_text("/sys/kernel/mm/transparent_hugepage/shmem_enabled", "force");
	f = CHECK(memfd_create("herdpages", 0));
	CHECK(ftruncate(f, 5 * mb));
	p = CHECK((char *)mmap(NULL, 5 * mb, PROT_READ | PROT_WRITE, MAP_SHARED, f, 0));
	if (p != MAP_FAILED)
		stamp(p, 5 * mb / 4096);
}

static void files(void)
{
	char text[4096];
	sigset_t set;
	int fd, p[2], ep;
	struct epoll_event ev = { .events = EPOLLIN };

	memset(text, 'x', sizeof(text));
	fd = CHECK(open("/srv/data", O_RDONLY));
	CHECK(lseek(fd, 1234567, SEEK_SET));
	CHECK(write(CHECK(open("/srv/log", O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0640)), text, 777));
	fd = CHECK(open("/srv/deleted file", O_RDWR | O_CREAT, 0600));
	CHECK(write(fd, text, sizeof(text)));
	CHECK(unlink("/srv/deleted file"));
	CHECK(open("/run/new\nline\\", O_RDWR | O_CREAT | O_NONBLOCK, 0600));
	CHECK(open("/srv", O_RDONLY | O_DIRECTORY));
	CHECK(open("/srv/data", O_PATH | O_CLOEXEC));
	CHECK(open("/tmp", O_TMPFILE | O_RDWR, 0600));
	CHECK(open("/proc/self/status", O_RDONLY));
	CHECK(open("/proc/1/maps", O_RDONLY));
	CHECK(open("/sys/kernel/uevent_seqnum", O_RDONLY));
	CHECK(open("/dev/zero", O_RDONLY));
	CHECK(open("/dev/urandom", O_RDONLY));
	CHECK(open("/proc/self/ns/net", O_RDONLY));
	fd = CHECK(memfd_create("secret plan", MFD_CLOEXEC));
	CHECK(write(fd, text, 3000));
	CHECK(dup2(fd, 200));
	CHECK(pipe(p));
	CHECK(pipe2(p, O_NONBLOCK | O_CLOEXEC));
	CHECK(write(p[1], text, 100));
	CHECK(eventfd(7, EFD_NONBLOCK));
	ep = CHECK(epoll_create1(EPOLL_CLOEXEC));
	CHECK(epoll_ctl(ep, EPOLL_CTL_ADD, p[0], &ev));
	CHECK(timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC));
	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	CHECK(signalfd(-1, &set, 0));
	fd = CHECK(inotify_init1(0));
	CHECK(inotify_add_watch(fd, "/srv", IN_CREATE));
	CHECK(syscall(SYS_pidfd_open, getpid(), 0));
	CHECK(mkfifo("/run/fifo", 0600));
	CHECK(open("/run/fifo", O_RDWR));
}

static void touch(char *p, size_t from, size_t to)
{
	for (; from < to; from += 4096)
		p[from] = (char)(from >> 12);
}
static void maps(void)
{
	const size_t mb = 1 << 20;
	int fd = CHECK(open("/srv/data", O_RDWR)), i;
	char *p;

	p = CHECK((char *)mmap(NULL, mb, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0x10000));
	touch(p, 0x3000, 0x6000);
	p = CHECK((char *)mmap(NULL, mb, PROT_READ, MAP_SHARED, fd, 0));
	i = p[0x5000];
	/* shared, of a file that may only be read: not VM_SHARED to the kernel */
	CHECK(mmap(NULL, mb, PROT_READ, MAP_SHARED, CHECK(open("/srv/data", O_RDONLY)), 0x1000));
	p = CHECK((char *)mmap(NULL, mb, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0));
	touch(p, 0x20000, 0x24000);	/* dirty pages of the cache */
	p = CHECK((char *)mmap(NULL, mb, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
	touch(p, 0, 0x4000);
	p = CHECK((char *)shmat(CHECK(shmget(0x1234, mb, IPC_CREAT | 0600)), NULL, 0));
	touch(p, 0, 0x2000);
	fd = CHECK(memfd_create("mapped", 0));
	CHECK(ftruncate(fd, (off_t)mb));
	p = CHECK((char *)mmap(NULL, mb, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0));
	touch(p, 0x8000, 0xa000);
	fd = CHECK(open("/dev/shm/posix", O_CREAT | O_RDWR, 0600));
	CHECK(ftruncate(fd, (off_t)mb));
	CHECK(mmap(NULL, mb, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0));
	unlink("/dev/shm/posix");
	fd = CHECK(open("/dev/zero", O_RDWR));
	CHECK(mmap(NULL, mb, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0));
	/* a huge page, where the kernel gives one */
	p = CHECK((char *)mmap(NULL, 8 * mb, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
	CHECK(madvise(p, 8 * mb, MADV_HUGEPAGE));
	touch(p, 0, 4 * mb);
	prctl(PR_SET_VMA, PR_SET_VMA_ANON_NAME, p, 8 * mb, "big and named");
	p = (char *)mmap(NULL, 2 * mb, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB, -1, 0);
	if (p != MAP_FAILED)
		touch(p, 0, mb);
	p = CHECK((char *)mmap(NULL, mb, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
	touch(p, 0, 0x8000);
	CHECK(mprotect(p, 0x4000, PROT_NONE));	/* there, and not to be touched */
	CHECK(mprotect(p + 0x10000, 0x1000, PROT_READ));
	CHECK(mlock(p + 0x4000, 0x2000));
	CHECK(madvise(p + 0x20000, 0x1000, MADV_DONTDUMP));
	CHECK(mmap(NULL, 0x10000, PROT_READ | PROT_WRITE,
		   MAP_PRIVATE | MAP_ANONYMOUS | MAP_GROWSDOWN | MAP_STACK, -1, 0));
	CHECK(mmap((void *)0x10000, 0x1000, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0));
	/* many, so that the kernel's tree has several levels */
	p = CHECK((char *)mmap(NULL, 2400 * 0x2000, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
	for (i = 0; i < 1200; i++)
		CHECK(mprotect(p + (size_t)i * 0x4000, 0x2000, PROT_READ | PROT_WRITE));
	free(calloc(1, 300));
	sbrk(0x30000);
}

static void write_to(const char *path, const char *format, ...)
{
	char text[256];
	va_list list;
	int n, fd = CHECK(open(path, O_WRONLY));

	va_start(list, format);
	n = vsnprintf(text, sizeof(text), format, list);
	va_end(list);
	CHECK(write(fd, text, (size_t)n));
	close(fd);
}
static void up_loopback(void)
{
	struct ifreq r = { .ifr_name = "lo", .ifr_flags = IFF_UP };
	int s = CHECK(socket(AF_INET, SOCK_DGRAM, 0));

	CHECK(ioctl(s, SIOCSIFFLAGS, &r));
	close(s);
}
/* What a container's runtime does: namespaces, a cgroup, another root. */
static void contained(void)
{
	pid_t pid;

	CHECK(mkdir("/sys/fs/cgroup/pod.slice", 0755));
	CHECK(mkdir("/sys/fs/cgroup/pod.slice/docker-0123abc.scope", 0755));
	write_to("/sys/fs/cgroup/pod.slice/docker-0123abc.scope/cgroup.procs", "%d", getpid());
	CHECK(unshare(CLONE_NEWNS | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWPID | CLONE_NEWNET |
		      CLONE_NEWCGROUP));
	syscall(SYS_unshare, 0x80 /* CLONE_NEWTIME */);
	pid = CHECK(fork());
	if (pid) {
		ready("contained");
		sleep_for_good();
	}
	CHECK(sethostname("container", 9));
	CHECK(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL));
	CHECK(mount("tmpfs", "/run/pod", "tmpfs", 0, "mode=755"));
	mkdir("/run/pod/up", 0755);
	mkdir("/run/pod/work", 0755);
	mkdir("/run/pod/root", 0755);
	if (mount("overlay", "/run/pod/root", "overlay", 0,
		  "lowerdir=/,upperdir=/run/pod/up,workdir=/run/pod/work"))
		CHECK(mount("/", "/run/pod/root", NULL, MS_BIND, NULL));
	CHECK(chdir("/run/pod/root"));
	CHECK(syscall(SYS_pivot_root, ".", "srv"));
	CHECK(chroot("."));
	CHECK(chdir("/"));
	CHECK(umount2("/srv", MNT_DETACH));
	CHECK(mount("proc", "/proc", "proc", 0, NULL));
	CHECK(mount("tmpfs", "/run", "tmpfs", 0, NULL));
	CHECK(mkdir("/run/ready", 0755));
	CHECK(chown("/run", 33, 33));
	CHECK(chown("/run/ready", 33, 33));
	up_loopback();
	if (!CHECK(fork())) {
		CHECK(setgid(33));
		CHECK(setuid(33));
		execl("/usr/bin/memory_actors", "nginx: worker", "server", NULL);
	}
	if (!CHECK(fork()))
		execl("/usr/bin/memory_actors", "memory_actors", "client", NULL);
	if (!CHECK(fork())) {
		int fd = CHECK(open("/etc/written", O_CREAT | O_RDWR, 0600));	/* copied up */

		CHECK(write(fd, "contained\n", 10));
		CHECK(mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, 0));
		CHECK(open("/etc/passwd", O_RDONLY));
		sleep_for_good();
	}
	sleep_for_good();
}
/* As any user may, where the kernel lets him. */
static void userns(void)
{
	CHECK(setgid(1000));
	CHECK(setuid(1000));
	prctl(PR_SET_DUMPABLE, 1);
	if (!CHECK(unshare(CLONE_NEWUSER))) {
		write_to("/proc/self/setgroups", "deny");
		write_to("/proc/self/uid_map", "0 1000 1");
		write_to("/proc/self/gid_map", "0 1000 1");
	}
	CHECK(unshare(CLONE_NEWNS | CLONE_NEWNET));
	CHECK(chdir("/tmp"));
}
static void bound(void)	/* the same files by two mounts */
{
	CHECK(unshare(CLONE_NEWNS));
	CHECK(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL));
	CHECK(mount("/srv/tree", "/mnt", NULL, MS_BIND, NULL));
	CHECK(open("/mnt/deep/er/file", O_RDONLY));
	CHECK(open("/srv/tree/deep/er/file", O_RDONLY));
	CHECK(chdir("/mnt/deep"));
	CHECK(mount("tmpfs", "/srv/tree", "tmpfs", 0, NULL));	/* over it */
	CHECK(open("/srv/tree/.x", O_CREAT | O_RDWR, 0600));
	CHECK(open("/mnt/deep", O_RDONLY));
	CHECK(umount2("/mnt", MNT_DETACH));	/* cwd is on no mount now */
}
static void jailed(void)
{
	CHECK(chroot("/srv/tree"));
	CHECK(chdir("/deep"));
}

static void caps(void)
{
	struct __user_cap_header_struct h = { _LINUX_CAPABILITY_VERSION_3, 0 };
	uint32_t bits = 1u << CAP_NET_BIND_SERVICE | 1u << CAP_NET_RAW;
	struct __user_cap_data_struct d[2] = { { bits, bits, bits }, { 0, 0, 0 } };
	static const gid_t groups[] = { 4, 24, 27, 1000, 65534 };
	struct sock_filter pass = BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
	struct sock_fprog prog = { 1, &pass };

	CHECK(prctl(PR_SET_KEEPCAPS, 1));
	CHECK(prctl(PR_CAPBSET_DROP, CAP_SYS_MODULE));
	CHECK(setgroups(5, groups));
	CHECK(setresgid(1000, 1001, 1002));
	CHECK(setresuid(1000, 1001, 1002));
	CHECK(syscall(SYS_capset, &h, d));
	CHECK(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_NET_RAW, 0, 0));
	CHECK(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
	CHECK(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &prog));
}

/* argv and environ as programs leave them. */
static void args(void)
{
	char *argv[600], *envp[300];
	int i;

	if (!CHECK(fork())) {
		argv[0] = "/usr/bin/memory_actors";
		argv[1] = "sleep";
		for (i = 2; i < 599; i++)
			argv[i] = CHECK(strdup("--an-argument-that-is-rather-long=and goes on and on and on; \"quoted\" $(x) ü"));
		argv[i] = NULL;
		for (i = 0; i < 299; i++) {
			envp[i] = malloc(64);
			sprintf(envp[i], "VARIABLE_%d=value %d of many", i, i * 7);
		}
		envp[i] = NULL;
		execve(argv[0], argv, envp);
	}
	if (!CHECK(fork())) {
		char *none[] = { "", NULL };

		execve("/usr/bin/memory_actors", none, none + 1);
	}
	if (!CHECK(fork()))
		execl("/usr/bin/memory_actors", "memory_actors", "title", NULL);
}
static char **main_argv;
/* As sshd, postgres do: over argv and on into environ. */
static void title(void)
{
	extern char **environ;
	char *end = main_argv[0];
	int i;

	for (i = 0; main_argv[i]; i++)
		end = main_argv[i] + strlen(main_argv[i]) + 1;
	for (i = 0; environ[i]; i++)
		end = environ[i] + strlen(environ[i]) + 1;
	memset(main_argv[0], 0, (size_t)(end - main_argv[0]));
	snprintf(main_argv[0], (size_t)(end - main_argv[0]),
		 "memory_actors: a title that is longer than its arguments were");
	prctl(PR_SET_NAME, "titled");
}

static void states(void)
{
	pid_t pid = CHECK(fork());
	int s;

	if (!pid)
		_exit(3);	/* a zombie */
	pid = CHECK(fork());
	if (!pid)
		for (;;)
			raise(SIGSTOP);
	CHECK(waitpid(pid, &s, WUNTRACED));
	pid = CHECK(fork());
	if (!pid) {
		CHECK(ptrace(PTRACE_TRACEME, 0, 0, 0));
		raise(SIGUSR1);
	}
	CHECK(waitpid(pid, &s, 0));
	pid = CHECK(fork());	/* its leader is gone, its thread goes on */
	if (!pid) {
		pthread_t t;

		pthread_create(&t, NULL, thread, "survivor");
		usleep(100000);
		syscall(SYS_exit, 0);
	}
	if (!CHECK(fork())) {	/* in a session of its own */
		setsid();
		CHECK(nice(7));
		if (!CHECK(fork()))
			prctl(PR_SET_NAME, "0123456789abcdef");
		sleep_for_good();
	}
	if (!CHECK(vfork()))	/* its mother waits for it in the kernel */
		execl("/usr/bin/memory_actors", "vforked", "sleep", NULL);
	usleep(300000);
}
static void orphan(void)	/* its exe is gone, and so is where it is */
{
	CHECK(mkdir("/tmp/gone", 0755));
	CHECK(chdir("/tmp/gone"));
	CHECK(rmdir("/tmp/gone"));
}
#ifndef MADV_PAGEOUT
#define MADV_PAGEOUT 21
#endif
/* Pages on the swap, its arguments among them. */
static void swapped(void)
{
	const size_t mb = 1 << 20;
	char *p = CHECK((char *)mmap(NULL, 2 * mb, PROT_READ | PROT_WRITE,
				     MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
	char *shared = CHECK((char *)mmap(NULL, mb, PROT_READ | PROT_WRITE,
					  MAP_SHARED | MAP_ANONYMOUS, -1, 0));
	char *args = (char *)((uintptr_t)main_argv[0] & ~4095UL);

	touch(p, 0, 2 * mb);
	touch(shared, 0, mb);
	ready("swapped");
	CHECK(madvise(p, mb, MADV_PAGEOUT));
	CHECK(madvise(shared, mb / 2, MADV_PAGEOUT));
	CHECK(madvise(args, 4096, MADV_PAGEOUT));
	sleep_for_good();
}
/* On a processor when the memory is taken. */
static void spinner(void)
{
	volatile uint64_t n = 0;

	ready("spinner");
	for (;;)
		n++;
}
static void nothing(void)
{
}

static const struct {
	const char *name;
	void (*play)(void);
} roles[] = {
	{ "threads", threads }, { "server", server }, { "client", client }, { "sockets", sockets },
	{ "files", files }, { "maps", maps }, { "contained", contained }, { "userns", userns },
	{ "bound", bound }, { "jailed", jailed }, { "caps", caps }, { "args", args },
	{ "title", title }, { "states", states }, { "orphan", orphan }, { "sleep", nothing },
	{ "swapped", swapped }, { "spinner", spinner }, { "ending", ending },
	{ "caching", caching },
};

int main(int argc, char **argv)
{
	size_t r;
	int i;

	main_argv = argv;
	signal(SIGCHLD, SIG_DFL);
	for (i = 1; i < argc; i++)
		for (r = 0; r < sizeof(roles) / sizeof(*roles); r++)
			if (!strcmp(argv[i], roles[r].name)) {
				/* said before: what comes may leave no way to */
				int before = !strcmp(argv[i], "jailed") ||
					     !strcmp(argv[i], "userns") || !strcmp(argv[i], "caps") ||
					     !strcmp(argv[i], "title") || !strcmp(argv[i], "bound");

				if (before)
					ready(roles[r].name);
				roles[r].play();
				if (!before && strcmp(argv[i], "sleep"))
					ready(roles[r].name);
			}
	sleep_for_good();
}
