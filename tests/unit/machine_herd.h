/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Herds of machines made up for tests of the judgement: healthy ones differ
 * in all that healthy ones differ in.
 */
#ifndef MACHINE_HERD_H
#define MACHINE_HERD_H

#include "index/memory/machine_judge.h"
#include "machine_fixture.h"

#include <arpa/inet.h>
#include <sys/socket.h>
#include <sys/stat.h>

#define SECOND 1000000000ull
#define RX (HERD_VM_READ | HERD_VM_EXEC)
#define RWX (RX | HERD_VM_WRITE)

static inline void *more(void *v, size_t n, size_t size)
{
	void *p = realloc(v, (n + 1) * size);

	if (!p)
		abort();
	memset((char *)p + n * size, 0, size);
	return p;
}

static inline uint32_t file_at(struct herd_machine *m, const char *path)
{
	for (uint32_t i = 0; i < m->n_files; i++)
		if (!strcmp(m->files[i].path, path) && !m->files[i].deleted)
			return i;
	m->files = more(m->files, m->n_files, sizeof(*m->files));
	struct herd_mfile *f = &m->files[m->n_files];

	f->path = copy(path);
	f->fs = copy("ext4");
	f->mode = S_IFREG | 0755;
	f->size = 100000;
	return (uint32_t)m->n_files++;
}

static inline struct herd_vma *vma(struct herd_process *p, uint32_t file,
				   uint64_t flags, const char *name)
{
	uint64_t at = p->n_vmas ? p->vmas[p->n_vmas - 1].end + 4096 : 0x400000;

	p->vmas = more(p->vmas, p->n_vmas, sizeof(*p->vmas));
	struct herd_vma *v = &p->vmas[p->n_vmas++];

	*v = (struct herd_vma){ .start = at,
				.end = at + 8192,
				.flags = flags,
				.file = file,
				.name = copy(name) };
	return v;
}

static inline void argv(struct herd_process *p, const char *words)
{
	free(p->argv);
	p->argv = copy(words);
	p->n_argv = strlen(words) + 1;
	for (char *s = p->argv; *s; s++)
		if (*s == '|') /* words are parted by | */
			*s = '\0';
}

static inline void env(struct herd_process *p, const char *e)
{
	size_t n = strlen(e) + 1;

	p->environ = realloc(p->environ, p->n_environ + n + 1);
	memcpy(p->environ + p->n_environ, e, n);
	p->n_environ += n;
}

/* Sorted by pid. What was had before by address is elsewhere now. */
static inline struct herd_process *process(struct herd_machine *m, int pid,
					   int ppid, const char *comm,
					   const char *exe, const char *words)
{
	size_t at = m->n_processes;
	struct herd_process *p;

	m->processes = more(m->processes, m->n_processes, sizeof(*p));
	for (; at && m->processes[at - 1].pid > pid; at--)
		m->processes[at] = m->processes[at - 1];
	m->n_processes++;
	p = &m->processes[at];
	*p = (struct herd_process){ .pid = pid,
				    .ppid = ppid,
				    .seen = HERD_SEEN_LIST | HERD_SEEN_PIDS |
					    HERD_SEEN_SLAB,
				    .state = 'S',
				    .exe = HERD_NO_INDEX,
				    .start_ns = 5 * SECOND };
	snprintf(p->comm, sizeof(p->comm), "%s", comm);
	p->cgroup = copy("/system.slice/x.service");
	p->exe_target = copy(exe);
	p->cwd = copy("/");
	p->root = copy("/");
	p->problem = copy("");
	argv(p, words);
	p->environ = copy("");
	p->threads = zeros(1, sizeof(*p->threads));
	p->n_threads = 1;
	p->threads[0].tid = pid;
	p->threads[0].seen = p->seen;
	p->threads[0].state = 'S';
	for (unsigned i = 0; i < HERD_NS_MAX; i++)
		p->ns[i] = 4026531836 + i;
	if (!exe[0]) {
		p->kthread = true;
		p->n_argv = 0;
		return p;
	}
	p->mm = 0xffff888000000000 + (uint64_t)pid * 4096;
	p->cap_effective = 0x1ffffffffff;
	p->exe = file_at(m, exe);
	vma(p, p->exe, RX, "");
	vma(p, HERD_NO_INDEX, HERD_VM_READ | HERD_VM_WRITE, "[heap]");
	vma(p, file_at(m, "/usr/lib/x86_64-linux-gnu/libc.so.6"), RX, "");
	vma(p, HERD_NO_INDEX, RX, "[vdso]");
	return p;
}

static inline struct herd_process *find(struct herd_machine *m, const char *exe)
{
	for (size_t i = 0; i < m->n_processes; i++)
		if (m->processes[i].exe < m->n_files &&
		    !strcmp(m->files[m->processes[i].exe].path, exe))
			return &m->processes[i];
	abort();
}

/* A TCP socket; remote NULL: it listens. fd -1: nobody has it open. */
static inline struct herd_socket *tcp(struct herd_machine *m,
				      struct herd_process *p, int fd,
				      const char *local, uint16_t port,
				      const char *remote, uint16_t remote_port)
{
	m->sockets = more(m->sockets, m->n_sockets, sizeof(*m->sockets));
	struct herd_socket *s = &m->sockets[m->n_sockets];

	s->family = AF_INET;
	s->type = SOCK_STREAM;
	s->protocol = IPPROTO_TCP;
	s->state = remote ? 1 : 10;
	s->ino = 1000 + m->n_sockets;
	s->path = copy("");
	inet_pton(AF_INET, local, s->local);
	s->local_port = port;
	if (remote)
		inet_pton(AF_INET, remote, s->remote);
	s->remote_port = remote_port;
	m->n_sockets++;
	if (!p)
		return s;
	size_t at = p->n_fds;

	p->fds = more(p->fds, p->n_fds, sizeof(*p->fds));
	for (; at && p->fds[at - 1].fd > fd; at--)
		p->fds[at] = p->fds[at - 1];
	p->n_fds++;
	p->fds[at] = (struct herd_fd){ .fd = fd,
				       .file = file_at(m, "socket:"),
				       .socket = (uint32_t)m->n_sockets - 1,
				       .target = copy("socket:[1]") };
	return s;
}

static inline struct herd_module *module(struct herd_machine *m,
					 const char *name)
{
	m->modules = more(m->modules, m->n_modules, sizeof(*m->modules));
	struct herd_module *o = &m->modules[m->n_modules++];

	snprintf(o->name, sizeof(o->name), "%s", name);
	snprintf(o->srcversion, sizeof(o->srcversion), "SRC%s", name);
	memset(o->text, (uint8_t)name[0], sizeof(o->text));
	o->used_by = copy("");
	o->state = 'L';
	o->seen = HERD_MODULE_LIST | HERD_MODULE_TREE | HERD_MODULE_SYSFS;
	return o;
}

static inline struct herd_hook *hook(struct herd_machine *m,
				     enum herd_hook_kind kind, const char *name,
				     const char *target)
{
	m->hooks = more(m->hooks, m->n_hooks, sizeof(*m->hooks));
	struct herd_hook *h = &m->hooks[m->n_hooks++];

	h->kind = kind;
	h->name = copy(name);
	h->target_name = copy(target);
	return h;
}

static inline struct herd_page_change *change(struct herd_machine *m,
					      struct herd_process *p,
					      const char *path, uint64_t index)
{
	m->page_changes = more(m->page_changes, m->n_page_changes,
			       sizeof(*m->page_changes));
	struct herd_page_change *c = &m->page_changes[m->n_page_changes++];

	c->process = p ? (uint32_t)(p - m->processes) : HERD_NO_INDEX;
	c->file = file_at(m, path);
	c->index = index;
	c->origin = p ? HERD_PAGE_PRIVATE : HERD_PAGE_CACHE;
	c->against = p ? HERD_AGAINST_CACHE : HERD_AGAINST_DISK;
	c->bytes = 12;
	memset(c->digest, (int)index + 1, 32);
	return c;
}

/* ---- a healthy machine ---- */

static inline void kernel_threads(struct herd_machine *m, unsigned i)
{
	char comm[17];

	process(m, 2, 0, "kthreadd", "", "");
	process(m, 3, 2, "rcu_gp", "", "");
	process(m, 14, 2, "ksoftirqd/0", "", "");
	for (unsigned k = 0; k < 3 + i % 3; k++) {
		snprintf(comm, sizeof(comm), "kworker/%u:%uH", k, i + k);
		process(m, 20 + (int)(k * 7 + i), 2, comm, "", "");
	}
	if (i == 1)
		process(m, 89, 2, "kworker/u8:3", "", "");
	snprintf(comm, sizeof(comm), "irq/%u-pciehp", 24 + i);
	process(m, 90, 2, comm, "", "");
	if (i == 2)
		process(m, 91, 2, "nvme-wq", "", "");
}

static inline void services(struct herd_machine *m, unsigned i, int base)
{
	struct herd_process *p;
	char words[128];

	p = process(m, 1, 0, "systemd", "/usr/lib/systemd/systemd",
		    "/sbin/init");
	p = process(m, base + 1, 1, "systemd-journal",
		    "/usr/lib/systemd/systemd-journald",
		    "/lib/systemd/systemd-journald");
	p->ns[HERD_NS_MNT] += 100 + i;
	p = process(m, base + 3, 1, "dbus-daemon", "/usr/bin/dbus-daemon",
		    "/usr/bin/dbus-daemon|--system");
	p->uid = p->euid = p->suid = 100 + i;
	p->cap_effective = 0;
	p = process(m, base + 4, 1, "rsyslogd", "/usr/sbin/rsyslogd",
		    "/usr/sbin/rsyslogd|-n|-iNONE");
	p = process(m, base + 5, 1, "cron", "/usr/sbin/cron",
		    "/usr/sbin/cron|-f");
	p = process(m, base + 6, 1, "sshd", "/usr/sbin/sshd",
		    "sshd: /usr/sbin/sshd -D [listener] 0 of 10-100 startups");
	tcp(m, p, 3, "0.0.0.0", 22, NULL, 0);
	p = process(m, base + 7, 1, "agetty", "/usr/sbin/agetty",
		    "/sbin/agetty|-o|-p -- \\u|--noclear|tty1|linux");
	snprintf(p->tty, sizeof(p->tty), "tty1");
	p = process(m, base + 8, 1, "amazon-ssm-agen",
		    "/usr/bin/amazon-ssm-agent", "/usr/bin/amazon-ssm-agent");
	tcp(m, p, 9, "10.0.0.9", (uint16_t)(40000 + i * 13), "52.46.1.7", 443);
	snprintf(
		words, sizeof(words),
		"/usr/bin/python3|/opt/app/main.py|--instance|i-0abc%u77%u5def%u1|--pid|%d",
		i, i * 3, i, base + 9);
	p = process(m, base + 9, 1, "python3", "/usr/bin/python3.11", words);
	p->uid = p->euid = p->suid = p->fsuid = 33;
	p->cap_effective = 0;
	tcp(m, p, 4, "127.0.0.1", 8000, NULL, 0);
	env(p, "APP_ENV=production");
	env(p, "LD_LIBRARY_PATH=/opt/app/lib");
	vma(p, file_at(m, "/opt/app/lib/libfast.so.2"), RX, "");
}

static inline void web(struct herd_machine *m, unsigned i, int base)
{
	struct herd_process *p =
		process(m, base + 20, 1, "nginx", "/usr/sbin/nginx",
			"nginx: master process /usr/sbin/nginx");

	tcp(m, p, 6, "0.0.0.0", 80, NULL, 0);
	vma(p, HERD_NO_INDEX, RX, ""); /* PCRE's JIT */
	for (unsigned k = 0; k < 2 + i % 2; k++) {
		p = process(m, base + 21 + (int)k, base + 20, "nginx",
			    "/usr/sbin/nginx", "nginx: worker process");
		p->uid = p->euid = p->suid = 33;
		p->cap_effective = 0;
		for (unsigned n = 0; n <= i + k; n++)
			vma(p, HERD_NO_INDEX, RX, "");
		/* somebody is served */
		if (i % 2)
			tcp(m, p, 11, "10.0.0.9", 80, "203.0.113.77",
			    (uint16_t)(50000 + i));
	}
}

/* What only some have just now. */
static inline void passing(struct herd_machine *m, unsigned i, int base)
{
	struct herd_process *p;

	if (i == 0) { /* somebody is logged in */
		p = process(m, base + 100, base + 6, "sshd", "/usr/sbin/sshd",
			    "sshd: admin [priv]");
		tcp(m, p, 4, "10.0.0.9", 22, "198.51.100.4", 51515);
		free(p->cgroup);
		p->cgroup = copy("/user.slice/user-1000.slice/session-4.scope");
		p = process(m, base + 101, base + 100, "bash", "/usr/bin/bash",
			    "-bash");
		p->uid = p->euid = p->suid = 1000;
		snprintf(p->tty, sizeof(p->tty), "pts/0");
		p = process(m, base + 102, base + 101, "vim",
			    "/usr/bin/vim.basic", "vim|/etc/motd");
		vma(p, file_at(m, "/usr/lib/x86_64-linux-gnu/libgpm.so.2"), RX,
		    "");
		snprintf(p->tty, sizeof(p->tty), "pts/0");
		module(m, "tcp_diag"); /* ss */
	}
	if (i == 1) { /* apt's timer */
		p = process(m, base + 110, 1, "apt.systemd.dai",
			    "/usr/bin/dash",
			    "/bin/sh|/usr/lib/apt/apt.systemd.daily|update");
		free(p->cgroup);
		p->cgroup = copy("/system.slice/apt-daily.service");
		p = process(m, base + 111, base + 110, "http",
			    "/usr/lib/apt/methods/http",
			    "/usr/lib/apt/methods/http");
		free(p->cgroup);
		p->cgroup = copy("/system.slice/apt-daily.service");
		tcp(m, p, 3, "10.0.0.9", 44444, "151.101.2.132", 80);
	}
	if (i == 2) { /* cron's */
		p = process(m, base + 120, base + 5, "cron", "/usr/sbin/cron",
			    "/usr/sbin/CRON|-f");
		p = process(
			m, base + 121, base + 120, "sh", "/usr/bin/dash",
			"/bin/sh|-c|   cd / && run-parts --report /etc/cron.hourly");
		p->start_ns = m->uptime_ns - 3 * SECOND;
	}
	if (i == 3) { /* what the application has just started */
		p = process(m, base + 130, base + 9, "sleep", "/usr/bin/sleep",
			    "sleep|3");
		p->start_ns = m->uptime_ns - SECOND;
		p = process(m, base + 131, base + 9, "python3", "", "");
		p->kthread = false;
		p->exiting = true;
		p->state = 'Z';
	}
}

static inline struct herd_machine *healthy(unsigned i)
{
	struct herd_machine *m = zeros(1, sizeof(*m));
	int base = 300 + (int)i * 57;

	snprintf(m->hostname, sizeof(m->hostname), "ip-10-0-0-%u", 20 + i);
	snprintf(m->facts.release, sizeof(m->facts.release), "6.1.0-42-amd64");
	m->facts.symbols_from = "kallsyms";
	m->uptime_ns = (600 + i * 1000) * SECOND;
	kernel_threads(m, i);
	services(m, i, base);
	web(m, i, base);
	passing(m, i, base);
	module(m, "virtio_net");
	module(m, "ext4");
	module(m, "nvme");
	hook(m, HERD_HOOK_FTRACE, "x", "kernel text")->expected = true;
	hook(m, HERD_HOOK_BPF, "cgroup_device", "sensor+0x10 [falcon]");
	return m;
}

/* ---- a herd ---- */

#define HERD_MOST 8
struct herd {
	unsigned n;
	struct herd_machine *m[HERD_MOST];
	herd_disk_class_fn *disk;
	void *arg;
	struct herd_machine_finding *v;
	size_t found;
};

static inline struct herd *herd_of(unsigned n)
{
	struct herd *h = zeros(1, sizeof(*h));

	h->n = n;
	for (unsigned i = 0; i < n; i++)
		h->m[i] = healthy(i);
	return h;
}

static inline void herd_free(struct herd *h)
{
	herd_machine_findings_free(h->v, h->found);
	for (unsigned i = 0; i < h->n; i++)
		herd_machine_destroy(h->m[i]);
	free(h);
}

static inline int judge(struct herd *h, unsigned who)
{
	struct herd_flock *f;
	int err = herd_flock_create(&f);

	for (unsigned i = 0; i < h->n && !err; i++) {
		struct herd_traits *t;

		err = herd_traits_make(h->m[i], &t);
		if (!err)
			err = herd_flock_add(f, i + 1, t);
		herd_traits_destroy(t);
	}
	herd_machine_findings_free(h->v, h->found);
	h->v = NULL;
	h->found = 0;
	if (!err)
		err = herd_machine_judge(f, who + 1, h->m[who], h->disk, h->arg,
					 &h->v, &h->found);
	herd_flock_destroy(f);
	return err;
}

static inline const struct herd_machine_finding *
finding(const struct herd *h, enum herd_machine_subject subject, uint32_t index)
{
	for (size_t i = 0; i < h->found; i++)
		if (h->v[i].subject == subject && h->v[i].index == index)
			return &h->v[i];
	return NULL;
}

static inline size_t deviants(const struct herd *h, bool tell)
{
	size_t n = 0;

	for (size_t i = 0; i < h->found; i++)
		if (h->v[i].class == HERD_CLASS_DEVIANT) {
			n++;
			if (tell)
				printf("deviant %u/%u: %s\n%s\n", h->v[i].rank,
				       h->v[i].severity, h->v[i].key,
				       h->v[i].why);
		}
	return n;
}

#endif
