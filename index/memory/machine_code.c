/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A machine as bytes, for the store, and back; see machine_code_internal.h.
 * There is no version in it: the store's schema says what it is like.
 */
#include "index/memory/machine_code_internal.h"

#include <string.h>

#define FILE_LEAST 18
#define RUN_LEAST 3
#define SOCKET_LEAST 15
#define MODULE_LEAST 43
#define HOOK_LEAST 7
#define PROCESS_LEAST 60
#define DIGEST_LEAST 18
#define CHANGE_LEAST 74
#define HOOKS_MAX (1u << 20)
#define SOCKETS_MAX (1u << 20)
#define PROBLEMS_MAX (1u << 16)
#define RUNS_MAX (16u << 20) /* of one file */
#define PAGES_MAX (1u << 20) /* digests, and changes */
#define FRAMES (1ull << 40)  /* 52 bits of physical addresses */

/* ---- files ---- */

static void time_of(struct herd_code *c, struct herd_time *t)
{
	herd_code_i64(c, &t->sec);
	herd_code_u32(c, &t->nsec);
}

static void run(struct herd_code *c, struct herd_cached_run *r, uint64_t *index,
		uint64_t *phys)
{
	uint64_t step = r->index - *index;
	uint64_t size = (uint64_t)r->pages << 1 | r->dirty;

	herd_code_check(c, herd_code_reads(c) || r->index >= *index);
	herd_code_u64(c, &step);
	herd_code_address(c, &r->phys, phys);
	herd_code_u64(c, &size);
	herd_code_check(c, size >> 1 && size >> 1 <= UINT32_MAX &&
				   step <= UINT64_MAX / HERD_PAGE - *index &&
				   !(r->phys % HERD_PAGE) &&
				   r->phys / HERD_PAGE < FRAMES);
	if (c->err)
		return;
	HERD_CODE_SET(c, r->index, *index + step);
	HERD_CODE_SET(c, r->pages, size >> 1);
	HERD_CODE_SET(c, r->dirty, size & 1);
	herd_code_check(c, r->pages <= UINT64_MAX / HERD_PAGE - r->index);
	*index = r->index + r->pages;
	*phys = r->phys + (uint64_t)r->pages * HERD_PAGE;
}

static void file(struct herd_code *c, struct herd_mfile *f, uint64_t *inode,
		 uint64_t *phys)
{
	uint64_t index = 0;

	herd_code_address(c, &f->inode, inode);
	herd_code_u32(c, &f->dev_major);
	herd_code_u32(c, &f->dev_minor);
	herd_code_u64(c, &f->ino);
	herd_code_u32(c, &f->mode);
	herd_code_u32(c, &f->uid);
	herd_code_u32(c, &f->gid);
	herd_code_u32(c, &f->nlink);
	herd_code_u64(c, &f->size);
	time_of(c, &f->mtime);
	time_of(c, &f->ctime);
	HERD_CODE_ENUM(c, f->kind, HERD_MFILE_MAX);
	HERD_CODE_BOOLS(c, &f->deleted);
	herd_code_string(c, &f->fs);
	herd_code_string(c, &f->path);
	herd_code_u64(c, &f->cached_pages);
	herd_code_array(c, (void **)&f->cached, &f->n_cached,
			sizeof(*f->cached), RUNS_MAX, RUN_LEAST);
	for (size_t i = 0; i < f->n_cached && !c->err; i++)
		run(c, &f->cached[i], &index, phys);
}

static void files(struct herd_code *c, struct herd_machine *m)
{
	uint64_t inode = 0, phys = 0;

	herd_code_array(c, (void **)&m->files, &m->n_files, sizeof(*m->files),
			HERD_MAPPED_FILES_MAX, FILE_LEAST);
	for (size_t i = 0; i < m->n_files && !c->err; i++)
		file(c, &m->files[i], &inode, &phys);
}

/* ---- sockets, modules, hooks ---- */

static void address(struct herd_code *c, uint8_t v[16])
{
	uint8_t n = 16;

	while (n && !v[n - 1])
		n--;
	herd_code_u8(c, &n);
	herd_code_check(c, n <= 16);
	if (!c->err)
		herd_code_bytes(c, v, n);
}

static void sockets(struct herd_code *c, struct herd_machine *m)
{
	uint64_t last = 0;

	herd_code_array(c, (void **)&m->sockets, &m->n_sockets,
			sizeof(*m->sockets), SOCKETS_MAX, SOCKET_LEAST);
	for (size_t i = 0; i < m->n_sockets && !c->err; i++) {
		struct herd_socket *s = &m->sockets[i];

		herd_code_address(c, &s->sock, &last);
		herd_code_u64(c, &s->ino);
		herd_code_u16(c, &s->family);
		herd_code_u16(c, &s->type);
		herd_code_u16(c, &s->protocol);
		herd_code_u8(c, &s->state);
		address(c, s->local);
		address(c, s->remote);
		herd_code_u16(c, &s->local_port);
		herd_code_u16(c, &s->remote_port);
		herd_code_u32(c, &s->uid);
		herd_code_u32(c, &s->netns);
		herd_code_u32(c, &s->ifindex);
		herd_code_string(c, &s->path);
		herd_code_u64(c, &s->peer_ino);
	}
}

static void modules(struct herd_code *c, struct herd_machine *m)
{
	uint64_t last = 0;

	herd_code_array(c, (void **)&m->modules, &m->n_modules,
			sizeof(*m->modules), HERD_MODULES_MAX, MODULE_LEAST);
	for (size_t i = 0; i < m->n_modules && !c->err; i++) {
		struct herd_module *o = &m->modules[i];

		herd_code_text(c, o->name, sizeof(o->name));
		herd_code_address(c, &o->module, &last);
		herd_code_address(c, &o->base, &last);
		herd_code_u64(c, &o->size);
		herd_code_u64(c, &o->total);
		herd_code_u32(c, &o->refs);
		herd_code_u32(c, &o->taints);
		herd_code_char(c, &o->state);
		herd_code_string(c, &o->used_by);
		herd_code_text(c, o->srcversion, sizeof(o->srcversion));
		herd_code_bytes(c, o->text, sizeof(o->text));
		herd_code_u32(c, &o->seen);
	}
}

static void hooks(struct herd_code *c, struct herd_machine *m)
{
	uint64_t at = 0, to = 0;

	herd_code_array(c, (void **)&m->hooks, &m->n_hooks, sizeof(*m->hooks),
			HOOKS_MAX, HOOK_LEAST);
	for (size_t i = 0; i < m->n_hooks && !c->err; i++) {
		struct herd_hook *h = &m->hooks[i];

		HERD_CODE_ENUM(c, h->kind, HERD_HOOK_MAX);
		herd_code_u32(c, &h->number);
		herd_code_address(c, &h->at, &at);
		herd_code_address(c, &h->target, &to);
		herd_code_string(c, &h->name);
		herd_code_string(c, &h->target_name);
		HERD_CODE_BOOLS(c, &h->expected);
	}
}

/* ---- pages ---- */

static void digests(struct herd_code *c, struct herd_machine *m)
{
	uint32_t file_before = 0;
	uint64_t next = 0;

	herd_code_array(c, (void **)&m->page_digests, &m->n_page_digests,
			sizeof(*m->page_digests), PAGES_MAX, DIGEST_LEAST);
	for (size_t i = 0; i < m->n_page_digests && !c->err; i++) {
		struct herd_page_digest *d = &m->page_digests[i];
		uint32_t step = d->file - file_before;
		uint64_t pages;

		herd_code_check(c,
				herd_code_reads(c) || d->file >= file_before);
		herd_code_u32(c, &step);
		if (c->err)
			return;
		if (step)
			next = 0;
		pages = d->index - next;
		herd_code_check(c, herd_code_reads(c) || d->index >= next);
		herd_code_u64(c, &pages);
		herd_code_check(c,
				step < m->n_files &&
					file_before + step < m->n_files &&
					pages < UINT64_MAX / HERD_PAGE - next);
		if (c->err)
			return;
		HERD_CODE_SET(c, d->file, file_before + step);
		HERD_CODE_SET(c, d->index, next + pages);
		herd_code_bytes(c, d->digest, sizeof(d->digest));
		file_before = d->file;
		next = d->index + 1;
	}
}

static void changes(struct herd_code *c, struct herd_machine *m)
{
	herd_code_array(c, (void **)&m->page_changes, &m->n_page_changes,
			sizeof(*m->page_changes), PAGES_MAX, CHANGE_LEAST);
	for (size_t i = 0; i < m->n_page_changes && !c->err; i++) {
		struct herd_page_change *p = &m->page_changes[i];

		herd_code_index(c, &p->process, m->n_processes);
		herd_code_index(c, &p->file, m->n_files);
		herd_code_check(c, p->file != HERD_NO_INDEX);
		herd_code_u64(c, &p->index);
		herd_code_u64(c, &p->va);
		herd_code_u64(c, &p->phys);
		HERD_CODE_ENUM(c, p->origin, HERD_PAGE_PRIVATE + 1);
		HERD_CODE_ENUM(c, p->against, HERD_AGAINST_NOTHING + 1);
		HERD_CODE_ENUM(c, p->kind, HERD_CHANGE_MAX);
		herd_code_u16(c, &p->first);
		herd_code_u16(c, &p->bytes);
		herd_code_bytes(c, p->digest, sizeof(p->digest));
		herd_code_bytes(c, p->other, sizeof(p->other));
	}
}

/* ---- the whole ---- */

/* Where symbols came from is said in a word; it is nobody's to free. */
static void symbols_from(struct herd_code *c, const char **v)
{
	static const char *const known[] = { "", "VMCOREINFO", "kallsyms",
					     "BTF", "an ISF file" };
	uint32_t at = 0;

	if (!herd_code_reads(c) && *v) {
		while (at < ARRAY_SIZE(known) && strcmp(*v, known[at]))
			at++;
		if (at == ARRAY_SIZE(known))
			at = strncmp(*v, "ISF", 3) ? 0 : ARRAY_SIZE(known) - 1;
	}
	herd_code_below(c, &at, ARRAY_SIZE(known));
	if (herd_code_reads(c))
		*v = known[at];
}

static void facts(struct herd_code *c, struct herd_kernel_facts *f)
{
	herd_code_text(c, f->release, sizeof(f->release));
	herd_code_text(c, f->banner, sizeof(f->banner));
	herd_code_text(c, f->build_id, sizeof(f->build_id));
	herd_code_u64(c, &f->phys_base);
	herd_code_i64(c, &f->kaslr);
	herd_code_u64(c, &f->page_offset);
	herd_code_u64(c, &f->vmemmap);
	HERD_CODE_BOOLS(c, &f->five_level, &f->has_btf);
	symbols_from(c, &f->symbols_from);
}

static void processes(struct herd_code *c, struct herd_machine *m)
{
	uint64_t task = 0;
	int32_t pid = INT32_MIN;

	herd_code_array(c, (void **)&m->processes, &m->n_processes,
			sizeof(*m->processes), HERD_PROCESSES_MAX,
			PROCESS_LEAST);
	for (size_t i = 0; i < m->n_processes && !c->err; i++) {
		struct herd_process *p = &m->processes[i];
		uint32_t step = (uint32_t)p->pid - (uint32_t)pid;

		herd_code_check(c, herd_code_reads(c) || p->pid >= pid);
		herd_code_u32(c, &step);
		herd_code_check(c, step <= (uint32_t)INT32_MAX - (uint32_t)pid);
		if (c->err)
			return;
		pid = (int32_t)((uint32_t)pid + step);
		HERD_CODE_SET(c, p->pid, pid);
		herd_code_address(c, &p->task, &task);
		herd_code_process(c, p, m);
	}
}

static void problems(struct herd_code *c, struct herd_machine *m)
{
	herd_code_array(c, (void **)&m->problems, &m->n_problems,
			sizeof(*m->problems), PROBLEMS_MAX, 3);
	for (size_t i = 0; i < m->n_problems && !c->err; i++) {
		herd_code_string(c, &m->problems[i].where);
		herd_code_string(c, &m->problems[i].text);
		herd_code_u64(c, &m->problems[i].count);
	}
}

/* What others point into comes first. */
static void machine(struct herd_code *c, struct herd_machine *m)
{
	facts(c, &m->facts);
	herd_code_text(c, m->hostname, sizeof(m->hostname));
	herd_code_u64(c, &m->boot_time);
	herd_code_u64(c, &m->uptime_ns);
	herd_code_u32(c, &m->cpus);
	herd_code_u64(c, &m->memory);
	herd_code_u32(c, &m->unread);
	herd_code_check(c, m->unread <= HERD_UNREAD_ALL);
	files(c, m);
	sockets(c, m);
	processes(c, m);
	modules(c, m);
	hooks(c, m);
	problems(c, m);
	digests(c, m);
	changes(c, m);
}

int herd_machine_encode(const struct herd_machine *m, struct herd_buf *out)
{
	struct herd_code c = { .out = out };
	struct herd_machine copy = *m;

	/* nothing below is written to while c has an output */
	machine(&c, &copy);
	herd_strings_deinit(&c.strings);
	return c.err ? c.err : herd_buf_error(out);
}

static void machine_cleanup(struct herd_machine **m)
{
	herd_machine_destroy(*m);
}

int herd_machine_decode(const void *bytes, size_t len,
			struct herd_machine **ret)
{
	CLEANUP(machine_cleanup)
	struct herd_machine *m = calloc(1, sizeof(*m));
	struct herd_code c = { .in = herd_cursor(bytes, len) };

	if (!m)
		return -ENOMEM;
	machine(&c, m);
	herd_strings_deinit(&c.strings);
	if (!c.err && herd_cur_left(&c.in))
		c.err = -EBADMSG;
	if (c.err)
		return c.err;
	*ret = TAKE_PTR(m);
	return 0;
}
