/* SPDX-License-Identifier: Apache-2.0 */
/*
 * machine_dump [options] IMAGE: what an image of memory says of its machine,
 * as one JSON object on stdout. For tests, which compare it with the guest's
 * /proc.
 *
 *   --format F    as for attach (lime, avml, elf-core, kdump, raw-memory)
 *   --parts P     words by comma: tasks vmas args files cache kernel all
 *                 (default: all). What was not read is empty.
 *   --symbols S   ISF file or folder
 *   --time        no JSON: one line "name seconds" for each step (open,
 *                 kernel, then each part by itself), each the best of --runs
 *   --runs N      (default 5)
 *
 * The object. Numbers are decimal; kernel addresses are strings "0x…"; bytes
 * that are no UTF-8 come as \udc80 … \udcff, which is Python's surrogateescape
 * (os.fsencode gives the bytes back); an index that is none is null.
 *
 * {
 *  "facts": {"release", "banner", "build_id", "phys_base", "kaslr",
 *            "page_offset", "vmemmap", "five_level", "has_btf",
 *            "symbols_from"},
 *  "hostname", "boot_time", "uptime_ns", "cpus", "memory",
 *  "processes": [{
 *     "pid", "ppid", "ns_pid", "comm", "task", "mm", "seen": ["list","pids",
 *     "slab","cpu","child"], "kthread", "exiting", "state": "S", "pgrp",
 *     "session", "tty": "pts/0", "start_ns", "utime_ns", "stime_ns",
 *     "uid": [real, effective, saved, fs], "gid": [the same], "groups": [n],
 *     "cap": {"inheritable", "permitted", "effective", "bounding", "ambient"},
 *     "no_new_privs": bool, "seccomp",
 *     "ns": {"mnt","uts","ipc","pid","net","user","cgroup","time"},
 *     "cgroup", "pgd", "levels",
 *     "arg_start", "arg_end", "env_start", "env_end", "start_code",
 *     "end_code", "start_brk", "brk", "start_stack",
 *     "argv": "a\u0000b\u0000", "environ": the same, "auxv": [words],
 *     "args_unreadable", "environ_unreadable",
 *     "exe": index of files, "exe_target", "cwd", "root",
 *     "threads": [{"tid","ns_tid","comm","task","state","seen","on_cpu","has_regs",
 *                  "regs_from_note","regs": [27 words] (when has_regs)}],
 *     "vmas": [{"start","end","perms": "r-xp", "flags","offset","dev": "fe:01",
 *               "ino","file": index of files,"name",
 *               "path": the last column of /proc/PID/maps (with " (deleted)";
 *               a newline as it is, not as \012)}],
 *     "fds": [{"fd","flags","pos","file","socket","target"}],
 *     "problem" }],
 *  "files": [{"inode","dev": "fe:01","ino","mode","uid","gid","nlink","size",
 *             "mtime","ctime" (seconds as decimals),"kind": "plain" "memfd"
 *             "shm" "pipe" "socket" "anon" "device" "pseudo","deleted","fs",
 *             "path","cached_pages",
 *             "cached": [[index, phys, pages, dirty]]}],
 *  "sockets": [{"sock","ino","family","type","protocol","state",
 *               "local": hex of 16 bytes,"local_port","remote","remote_port",
 *               "uid","netns","ifindex","path","peer_ino"}],
 *  "modules": [{"name","module","base","size","total","refs","taints",
 *               "state","used_by","srcversion","text": hex or "",
 *               "seen": ["list","tree","sysfs","vmap"]}],
 *  "hooks": [{"kind","number","at","target","name","target_name","expected"}],
 *  "problems": [{"where","text","count"}]
 * }
 *
 * Exit status: 0; 1 and a line on stderr when the image cannot be read.
 */
#include "index/memory/machine.h"

#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* ---- JSON ---- */

static bool comma; /* something stands before: the next needs a comma */

static void sep(const char *name)
{
	if (comma)
		putchar(',');
	if (name)
		printf("\"%s\":", name);
	comma = true;
}

static void open_as(const char *name, char bracket)
{
	sep(name);
	putchar(bracket);
	comma = false;
}

static void close_as(char bracket)
{
	putchar(bracket);
	comma = true;
}

/* Length of the UTF-8 sequence at p, 0 for none. */
static size_t utf8(const uint8_t *p, size_t left)
{
	size_t n = p[0] < 0x80 ? 1 :
		   p[0] < 0xc2 ? 0 :
		   p[0] < 0xe0 ? 2 :
		   p[0] < 0xf0 ? 3 :
		   p[0] < 0xf5 ? 4 :
				 0;

	if (!n || n > left)
		return 0;
	for (size_t i = 1; i < n; i++)
		if ((p[i] & 0xc0) != 0x80)
			return 0;
	if ((p[0] == 0xe0 && p[1] < 0xa0) || (p[0] == 0xed && p[1] > 0x9f) ||
	    (p[0] == 0xf0 && p[1] < 0x90) || (p[0] == 0xf4 && p[1] > 0x8f))
		return 0;
	return n;
}

static void bytes(const char *name, const char *text, size_t len)
{
	const uint8_t *p = (const uint8_t *)text;

	sep(name);
	putchar('"');
	for (size_t i = 0; i < len;) {
		size_t n = utf8(p + i, len - i);

		if (!n)
			printf("\\udc%02x", p[i]);
		else if (n == 1 && (p[i] < 0x20 || p[i] == 0x7f))
			printf("\\u%04x", p[i]);
		else if (p[i] == '"' || p[i] == '\\')
			printf("\\%c", p[i]);
		else
			fwrite(p + i, 1, n, stdout);
		i += n ? n : 1;
	}
	putchar('"');
}

static void text(const char *name, const char *s)
{
	bytes(name, s, strlen(s));
}

static void number(const char *name, uint64_t v)
{
	sep(name);
	printf("%" PRIu64, v);
}

static void integer(const char *name, int64_t v)
{
	sep(name);
	printf("%" PRId64, v);
}

static void address(const char *name, uint64_t v)
{
	sep(name);
	printf("\"0x%" PRIx64 "\"", v);
}

static void flag(const char *name, bool v)
{
	sep(name);
	fputs(v ? "true" : "false", stdout);
}

static void index_of(const char *name, uint32_t v)
{
	sep(name);
	if (v == HERD_NO_INDEX)
		fputs("null", stdout);
	else
		printf("%u", v);
}

static void letter(const char *name, char c)
{
	bytes(name, &c, c ? 1 : 0);
}

static void device(const char *name, uint32_t dev_major, uint32_t dev_minor)
{
	sep(name);
	printf("\"%02x:%02x\"", dev_major, dev_minor);
}

static void moment(const char *name, const struct herd_time *t)
{
	sep(name);
	printf("%" PRId64 ".%09u", t->sec, t->nsec);
}

static void hex(const char *name, const uint8_t *p, size_t n)
{
	sep(name);
	putchar('"');
	for (size_t i = 0; i < n; i++)
		printf("%02x", p[i]);
	putchar('"');
}

static void bits(const char *name, uint32_t v, const char *const *names,
		 size_t n)
{
	open_as(name, '[');
	for (size_t i = 0; i < n; i++)
		if (v >> i & 1)
			text(NULL, names[i]);
	close_as(']');
}

static void seen(uint32_t v)
{
	static const char *const names[] = { "list", "pids", "slab", "cpu",
					     "child" };

	bits("seen", v, names, 5);
}

/* ---- the parts ---- */

static void facts(const struct herd_kernel_facts *f)
{
	open_as("facts", '{');
	text("release", f->release);
	text("banner", f->banner);
	text("build_id", f->build_id);
	address("phys_base", f->phys_base);
	integer("kaslr", f->kaslr);
	address("page_offset", f->page_offset);
	address("vmemmap", f->vmemmap);
	flag("five_level", f->five_level);
	flag("has_btf", f->has_btf);
	text("symbols_from", f->symbols_from);
	close_as('}');
}

static void threads(const struct herd_process *p)
{
	open_as("threads", '[');
	for (size_t i = 0; i < p->n_threads; i++) {
		const struct herd_thread *t = &p->threads[i];

		open_as(NULL, '{');
		integer("tid", t->tid);
		integer("ns_tid", t->ns_tid);
		text("comm", t->comm);
		address("task", t->task);
		letter("state", t->state);
		seen(t->seen);
		flag("on_cpu", t->on_cpu);
		flag("has_regs", t->has_regs);
		flag("regs_from_note", t->regs_from_note);
		if (t->has_regs) {
			open_as("regs", '[');
			for (size_t j = 0; j < 27; j++)
				number(NULL, t->regs[j]);
			close_as(']');
		}
		close_as('}');
	}
	close_as(']');
}

/* The last column of /proc/PID/maps. */
static void map_path(const struct herd_machine *m, const struct herd_vma *v)
{
	char path[HERD_MACHINE_PATH_MAX + 16];

	if (v->name[0] || v->file == HERD_NO_INDEX) {
		text("path", v->name);
		return;
	}
	snprintf(path, sizeof(path), "%s%s", m->files[v->file].path,
		 m->files[v->file].deleted ? " (deleted)" : "");
	text("path", path);
}

static void vmas(const struct herd_machine *m, const struct herd_process *p)
{
	open_as("vmas", '[');
	for (size_t i = 0; i < p->n_vmas; i++) {
		const struct herd_vma *v = &p->vmas[i];
		const struct herd_mfile *f =
			v->file == HERD_NO_INDEX ? NULL : &m->files[v->file];
		char perms[5] = { v->flags & HERD_VM_READ ? 'r' : '-',
				  v->flags & HERD_VM_WRITE ? 'w' : '-',
				  v->flags & HERD_VM_EXEC ? 'x' : '-',
				  v->flags & HERD_VM_MAYSHARE ? 's' : 'p', 0 };

		open_as(NULL, '{');
		number("start", v->start);
		number("end", v->end);
		text("perms", perms);
		number("flags", v->flags);
		number("offset", v->offset);
		device("dev", f ? f->dev_major : 0, f ? f->dev_minor : 0);
		number("ino", f ? f->ino : 0);
		index_of("file", v->file);
		text("name", v->name);
		map_path(m, v);
		close_as('}');
	}
	close_as(']');
}

static void fds(const struct herd_process *p)
{
	open_as("fds", '[');
	for (size_t i = 0; i < p->n_fds; i++) {
		const struct herd_fd *f = &p->fds[i];

		open_as(NULL, '{');
		integer("fd", f->fd);
		number("flags", f->flags);
		number("pos", f->pos);
		index_of("file", f->file);
		index_of("socket", f->socket);
		text("target", f->target);
		close_as('}');
	}
	close_as(']');
}

static void credentials(const struct herd_process *p)
{
	static const char *const ns[HERD_NS_MAX] = { "mnt",    "uts", "ipc",
						     "pid",    "net", "user",
						     "cgroup", "time" };
	const uint32_t ids[8] = { p->uid, p->euid, p->suid, p->fsuid,
				  p->gid, p->egid, p->sgid, p->fsgid };

	for (size_t i = 0; i < 8; i++) {
		if (i % 4 == 0)
			open_as(i ? "gid" : "uid", '[');
		number(NULL, ids[i]);
		if (i % 4 == 3)
			close_as(']');
	}
	open_as("groups", '[');
	for (size_t i = 0; i < p->n_groups; i++)
		number(NULL, p->groups[i]);
	close_as(']');
	open_as("cap", '{');
	number("inheritable", p->cap_inheritable);
	number("permitted", p->cap_permitted);
	number("effective", p->cap_effective);
	number("bounding", p->cap_bounding);
	number("ambient", p->cap_ambient);
	close_as('}');
	flag("no_new_privs", p->no_new_privs);
	number("seccomp", p->seccomp);
	open_as("ns", '{');
	for (size_t i = 0; i < HERD_NS_MAX; i++)
		number(ns[i], p->ns[i]);
	close_as('}');
	text("cgroup", p->cgroup);
}

static void layout(const struct herd_process *p)
{
	address("pgd", p->space.pgd);
	number("levels", p->space.levels);
	number("arg_start", p->arg_start);
	number("arg_end", p->arg_end);
	number("env_start", p->env_start);
	number("env_end", p->env_end);
	number("start_code", p->start_code);
	number("end_code", p->end_code);
	number("start_brk", p->start_brk);
	number("brk", p->brk);
	number("start_stack", p->start_stack);
	bytes("argv", p->argv, p->n_argv);
	bytes("environ", p->environ, p->n_environ);
	open_as("auxv", '[');
	for (size_t i = 0; i < p->n_auxv; i++)
		number(NULL, p->auxv[i]);
	close_as(']');
	flag("args_unreadable", p->args_unreadable);
	flag("environ_unreadable", p->environ_unreadable);
}

static void process(const struct herd_machine *m, const struct herd_process *p)
{
	open_as(NULL, '{');
	integer("pid", p->pid);
	integer("ppid", p->ppid);
	integer("ns_pid", p->ns_pid);
	text("comm", p->comm);
	address("task", p->task);
	address("mm", p->mm);
	seen(p->seen);
	flag("kthread", p->kthread);
	flag("exiting", p->exiting);
	letter("state", p->state);
	integer("pgrp", p->pgrp);
	integer("session", p->session);
	text("tty", p->tty);
	number("start_ns", p->start_ns);
	number("utime_ns", p->utime_ns);
	number("stime_ns", p->stime_ns);
	credentials(p);
	layout(p);
	index_of("exe", p->exe);
	text("exe_target", p->exe_target);
	text("cwd", p->cwd);
	text("root", p->root);
	threads(p);
	vmas(m, p);
	fds(p);
	text("problem", p->problem);
	close_as('}');
}

static void file(const struct herd_mfile *f)
{
	static const char *const kinds[HERD_MFILE_MAX] = {
		"plain",  "memfd", "shm",    "pipe",
		"socket", "anon",  "device", "pseudo",
	};

	open_as(NULL, '{');
	address("inode", f->inode);
	device("dev", f->dev_major, f->dev_minor);
	number("ino", f->ino);
	number("mode", f->mode);
	number("uid", f->uid);
	number("gid", f->gid);
	number("nlink", f->nlink);
	number("size", f->size);
	moment("mtime", &f->mtime);
	moment("ctime", &f->ctime);
	text("kind", f->kind < HERD_MFILE_MAX ? kinds[f->kind] : "?");
	flag("deleted", f->deleted);
	text("fs", f->fs);
	text("path", f->path);
	number("cached_pages", f->cached_pages);
	open_as("cached", '[');
	for (size_t i = 0; i < f->n_cached; i++) {
		const struct herd_cached_run *r = &f->cached[i];

		open_as(NULL, '[');
		number(NULL, r->index);
		number(NULL, r->phys);
		number(NULL, r->pages);
		flag(NULL, r->dirty);
		close_as(']');
	}
	close_as(']');
	close_as('}');
}

static void one_socket(const struct herd_socket *s)
{
	open_as(NULL, '{');
	address("sock", s->sock);
	number("ino", s->ino);
	number("family", s->family);
	number("type", s->type);
	number("protocol", s->protocol);
	number("state", s->state);
	hex("local", s->local, 16);
	number("local_port", s->local_port);
	hex("remote", s->remote, 16);
	number("remote_port", s->remote_port);
	number("uid", s->uid);
	number("netns", s->netns);
	number("ifindex", s->ifindex);
	text("path", s->path);
	number("peer_ino", s->peer_ino);
	close_as('}');
}

static void module(const struct herd_module *d)
{
	static const char *const names[] = { "list", "tree", "sysfs", "vmap" };
	static const uint8_t none[32];

	open_as(NULL, '{');
	text("name", d->name);
	address("module", d->module);
	address("base", d->base);
	number("size", d->size);
	number("total", d->total);
	number("refs", d->refs);
	number("taints", d->taints);
	letter("state", d->state);
	text("used_by", d->used_by);
	text("srcversion", d->srcversion);
	hex("text", d->text, memcmp(d->text, none, 32) ? 32 : 0);
	bits("seen", d->seen, names, 4);
	close_as('}');
}

static void hook(const struct herd_hook *h)
{
	static const char *const kinds[HERD_HOOK_MAX] = {
		"syscall", "idt", "ftrace", "kprobe", "text", "ops", "bpf",
	};

	open_as(NULL, '{');
	text("kind", h->kind < HERD_HOOK_MAX ? kinds[h->kind] : "?");
	number("number", h->number);
	address("at", h->at);
	address("target", h->target);
	text("name", h->name);
	text("target_name", h->target_name);
	flag("expected", h->expected);
	close_as('}');
}

static void machine(const struct herd_machine *m)
{
	open_as(NULL, '{');
	facts(&m->facts);
	text("hostname", m->hostname);
	number("boot_time", m->boot_time);
	number("uptime_ns", m->uptime_ns);
	number("cpus", m->cpus);
	number("memory", m->memory);
	open_as("processes", '[');
	for (size_t i = 0; i < m->n_processes; i++)
		process(m, &m->processes[i]);
	close_as(']');
	open_as("files", '[');
	for (size_t i = 0; i < m->n_files; i++)
		file(&m->files[i]);
	close_as(']');
	open_as("sockets", '[');
	for (size_t i = 0; i < m->n_sockets; i++)
		one_socket(&m->sockets[i]);
	close_as(']');
	open_as("modules", '[');
	for (size_t i = 0; i < m->n_modules; i++)
		module(&m->modules[i]);
	close_as(']');
	open_as("hooks", '[');
	for (size_t i = 0; i < m->n_hooks; i++)
		hook(&m->hooks[i]);
	close_as(']');
	open_as("problems", '[');
	for (size_t i = 0; i < m->n_problems; i++) {
		open_as(NULL, '{');
		text("where", m->problems[i].where);
		text("text", m->problems[i].text);
		number("count", m->problems[i].count);
		close_as('}');
	}
	close_as(']');
	close_as('}');
	putchar('\n');
}

/* ---- reading ---- */

struct options {
	const char *path, *format;
	struct herd_kernel_options kernel;
	unsigned parts;
	bool timing;
	int runs;
};

static const struct {
	const char *name;
	unsigned part;
} part_names[] = {
	{ "tasks", HERD_READ_TASKS }, { "vmas", HERD_READ_VMAS },
	{ "args", HERD_READ_ARGS },   { "files", HERD_READ_FILES },
	{ "cache", HERD_READ_CACHE }, { "kernel", HERD_READ_KERNEL },
	{ "all", HERD_READ_ALL },
};

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* ret_times: seconds for the container, the kernel, the machine. */
static int read_image(const struct options *o, unsigned parts,
		      struct herd_machine **ret, double ret_times[3],
		      struct herd_diag *diag)
{
	struct herd_image img = { 0 };
	struct herd_source *source = NULL;
	struct herd_phys *phys = NULL;
	struct herd_kernel *k = NULL;
	double t0 = now(), t1, t2;
	int err = herd_memory_probe(o->path, o->format, &img, diag);

	if (!err)
		err = herd_memory_open(&img, NULL, &source, diag);
	if (!err)
		err = herd_phys_create(source, &phys);
	t1 = now();
	if (!err)
		err = herd_kernel_open(phys, herd_memory_notes(source),
				       &o->kernel, &k, diag);
	t2 = now();
	if (!err && parts)
		err = herd_machine_read(k, herd_memory_notes(source), parts,
					ret, diag);
	ret_times[0] = t1 - t0;
	ret_times[1] = t2 - t1;
	ret_times[2] = now() - t2;
	herd_kernel_close(k);
	herd_phys_destroy(phys);
	herd_source_destroy(source);
	herd_image_deinit(&img);
	return err;
}

static int best_of(const struct options *o, unsigned parts, double best[3],
		   struct herd_diag *diag)
{
	for (int run = 0; run < o->runs; run++) {
		struct herd_machine *m = NULL;
		double t[3];
		int err = read_image(o, parts, &m, t, diag);

		herd_machine_destroy(m);
		if (err)
			return err;
		for (int i = 0; i < 3; i++)
			if (!run || t[i] < best[i])
				best[i] = t[i];
	}
	return 0;
}

/* Each part costs what the sum of parts costs more with it. */
static int timings(const struct options *o, struct herd_diag *diag)
{
	double best[3] = { 0 }, before = 0;
	unsigned parts = 0;
	int err = best_of(o, 0, best, diag);

	if (err)
		return err;
	printf("open %.4f\nkernel %.4f\n", best[0], best[1]);
	for (size_t i = 0; i + 1 < sizeof(part_names) / sizeof(part_names[0]);
	     i++) {
		if (!(o->parts & part_names[i].part))
			continue;
		parts |= part_names[i].part;
		err = best_of(o, parts, best, diag);
		if (err)
			return err;
		printf("%s %.4f\n", part_names[i].name, best[2] - before);
		before = best[2];
	}
	printf("total %.4f\n", best[0] + best[1] + best[2]);
	return 0;
}

static int parse_parts(const char *words, unsigned *ret)
{
	*ret = 0;
	while (*words) {
		size_t n = strcspn(words, ","), i = 0,
		       max = sizeof(part_names) / sizeof(part_names[0]);

		while (i < max && (strlen(part_names[i].name) != n ||
				   memcmp(part_names[i].name, words, n) != 0))
			i++;
		if (i == max)
			return -1;
		*ret |= part_names[i].part;
		words += n + (words[n] == ',');
	}
	return *ret ? 0 : -1;
}

static int parse(int argc, char **argv, struct options *o)
{
	static const struct option longs[] = {
		{ "format", required_argument, NULL, 'f' },
		{ "parts", required_argument, NULL, 'p' },
		{ "symbols", required_argument, NULL, 's' },
		{ "time", no_argument, NULL, 't' },
		{ "runs", required_argument, NULL, 'r' },
		{ NULL, 0, NULL, 0 },
	};
	int c;

	while ((c = getopt_long(argc, argv, "", longs, NULL)) != -1) {
		if (c == 'f')
			o->format = optarg;
		else if (c == 's')
			o->kernel.symbols = optarg;
		else if (c == 't')
			o->timing = true;
		else if (c == 'r')
			o->runs = atoi(optarg);
		else if (c != 'p' || parse_parts(optarg, &o->parts) != 0)
			return -1;
	}
	o->path = argv[optind];
	return optind + 1 == argc && o->runs > 0 ? 0 : -1;
}

int main(int argc, char **argv)
{
	struct options o = { .parts = HERD_READ_ALL, .runs = 5 };
	struct herd_machine *m = NULL;
	struct herd_diag diag;
	double times[3];
	char why[1024];
	int err;

	if (parse(argc, argv, &o) != 0) {
		fprintf(stderr, "usage: machine_dump [--format F] [--parts P] "
				"[--symbols S] [--time [--runs N]] IMAGE\n");
		return 2;
	}
	herd_diag_clear(&diag);
	if (o.timing)
		err = timings(&o, &diag);
	else
		err = read_image(&o, o.parts, &m, times, &diag);
	if (err)
		fprintf(stderr, "machine_dump: %s\n",
			herd_diag_format(&diag, err, why, sizeof(why)));
	else if (m)
		machine(m);
	herd_machine_destroy(m);
	return err ? 1 : 0;
}
