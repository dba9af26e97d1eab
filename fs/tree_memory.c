/* SPDX-License-Identifier: Apache-2.0 */
/*
 * memory/ of an instance: names, attributes, listings; see fs/tree_memory.h. Positions in a directory: 1 and 2 follow "." and "..", then
 * the number of each item within its folder, plus 3.
 *
 * Threads: any.
 */
#include "fs/tree_memory.h"

#include <stdio.h>
#include <string.h>

static const char *const top_names[HERD_MEMORY_ITEM_MAX] = {
	[HERD_MEMORY_FINDINGS] = "findings.txt",
	[HERD_MEMORY_ABSENT] = "absent.txt",
	[HERD_MEMORY_PROCESSES] = "processes.txt",
	[HERD_MEMORY_KERNEL] = "kernel",
	[HERD_MEMORY_BANNER] = "banner.txt",
	[HERD_MEMORY_MODULES] = "modules.txt",
	[HERD_MEMORY_MODULES_JSON] = "modules.json",
	[HERD_MEMORY_HOOKS] = "hooks.txt",
	[HERD_MEMORY_SOCKETS] = "sockets.txt",
	[HERD_MEMORY_PROBLEMS] = "problems.txt",
};

static const char *const process_names[HERD_PROCESS_ITEM_MAX] = {
	[HERD_PROCESS_CORE] = "core",
	[HERD_PROCESS_MAPS] = "maps",
	[HERD_PROCESS_STATUS] = "status",
	[HERD_PROCESS_CMDLINE] = "cmdline",
	[HERD_PROCESS_ENVIRON] = "environ",
	[HERD_PROCESS_EXE] = "exe",
	[HERD_PROCESS_FD] = "fd",
	[HERD_PROCESS_VMA] = "vma",
	[HERD_PROCESS_PAGES] = "pages",
	[HERD_PROCESS_FD_LIST] = "fd.txt",
	[HERD_PROCESS_SOCKETS] = "sockets",
	[HERD_PROCESS_MISSING] = "missing.txt",
	[HERD_PROCESS_WHY] = "why.json",
};

const char *herd_memory_top_name(uint32_t item)
{
	return item < HERD_MEMORY_ITEM_MAX ? top_names[item] : NULL;
}

const char *herd_memory_item_name(uint32_t item)
{
	return item < HERD_PROCESS_ITEM_MAX ? process_names[item] : NULL;
}

/* ---- numbers of others ---- */

static uint64_t sibling(const struct herd_memory_at *at, uint32_t what)
{
	return herd_node_memory(at->view, at->instance->record.id, what);
}

/* Of the process of at. */
static uint64_t of_process(const struct herd_memory_at *at, uint32_t rest)
{
	return sibling(at, at->machine->base[at->process] + rest);
}

static uint64_t in_folder(const struct herd_memory_at *at, uint32_t item,
			  uint32_t sub, bool text)
{
	const struct herd_process *p = herd_memory_process_of(at);
	uint32_t rest = HERD_PROCESS_FIXED;

	if (item == HERD_PROCESS_FD)
		return of_process(at, rest + sub);
	rest += (uint32_t)p->n_fds;
	if (item == HERD_PROCESS_VMA)
		return of_process(at, rest + sub);
	return of_process(at, rest + (uint32_t)p->n_vmas + 2 * sub + text);
}

static uint64_t parent_of(const struct herd_memory_at *at)
{
	static const uint32_t views[HERD_MEMORY_VIEW_MAX] = {
		[HERD_MEMORY_DEVIANT] = HERD_INSTANCE_DEVIANT,
		[HERD_MEMORY_VOLATILE] = HERD_INSTANCE_VOLATILE,
		[HERD_MEMORY_ALL] = HERD_INSTANCE_ALL,
	};

	if (!at->of_process && at->item == HERD_MEMORY_DIR)
		return herd_node(HERD_NODE_INSTANCE, at->instance->record.id,
				 views[at->view]);
	return at->of_process && at->item != HERD_PROCESS_DIR ?
		       of_process(at, HERD_PROCESS_DIR) :
		       sibling(at, HERD_MEMORY_DIR);
}

/* ---- attributes ---- */

static void set_time(struct stat *st, struct timespec ts)
{
	st->st_atim = st->st_mtim = st->st_ctim = ts;
}

static struct timespec timespec_of(const struct herd_time *t)
{
	return (struct timespec){ (time_t)t->sec,
				  t->nsec < 1000000000 ? t->nsec : 999999999 };
}

static void stat_as_dir(const struct herd_memory_at *at, uint64_t node,
			struct stat *st)
{
	const struct herd_process *p;
	struct herd_time started;

	herd_top_stat_dir(at->tree, node, (time_t)at->instance->memory_attached,
			  st);
	if (!at->of_process)
		return;
	p = herd_memory_process_of(at);
	st->st_uid = p->euid;
	st->st_gid = p->egid;
	if (herd_process_started(herd_memory_machine_of(at), p, &started))
		set_time(st, timespec_of(&started));
}

static void set_size(struct stat *st, uint64_t size, uint64_t data)
{
	st->st_size = size > INT64_MAX ? INT64_MAX : (off_t)size;
	st->st_blocks = (blkcnt_t)(data / 512 + (data % 512 != 0));
}

static uint64_t data_of(const struct herd_memory_at *at, uint64_t start,
			uint64_t end)
{
	uint64_t of[HERD_DUMP_KINDS], sum = 0;
	struct herd_tree_dump *d;

	/* the image may be gone: sizes are still known */
	if (herd_memory_dump_of(at, &d))
		return 0;
	herd_dump_count(d->d, start, end, of);
	herd_cache_put(&at->tree->cache, &d->cached);
	for (unsigned k = 0; k < HERD_DUMP_KINDS; k++)
		if (herd_dump_kind_has_data(k))
			sum += of[k];
	return sum;
}

/*
 * Without the image nothing can be read, and nobody knows what would be cut: a
 * dump is as large as its VMAs. Not a huge one: tar would write as many zeros.
 */
#define UNCUT_MAX (16ull << 30)

static int stat_uncut(uint64_t size, struct stat *st)
{
	if (size > UNCUT_MAX)
		return -EIO;
	set_size(st, size, 0);
	return 0;
}

static int stat_core(const struct herd_memory_at *at, struct stat *st)
{
	struct herd_tree_core *c;
	struct herd_core whole;
	int err = herd_tree_core_get(at, &c);

	if (!err) {
		set_size(st, c->c.size,
			 c->c.header.len + data_of(at, 0, UINT64_MAX));
		herd_cache_put(&at->tree->cache, &c->cached);
		return 0;
	}
	if (err != -ENOMEM)
		err = herd_core_make(herd_memory_machine_of(at), at->process,
				     NULL, &whole);
	if (err)
		return err;
	err = stat_uncut(whole.size, st);
	herd_core_deinit(&whole);
	return err;
}

static int stat_vma(const struct herd_memory_at *at, struct stat *st)
{
	const struct herd_vma *v = &herd_memory_process_of(at)->vmas[at->sub];
	uint64_t size;
	int err = herd_memory_vma_size(at, &size);

	if (err)
		return err == -ENOMEM ? err : stat_uncut(v->end - v->start, st);
	set_size(st, size, data_of(at, v->start, v->end));
	return 0;
}

/* As the instance has it; what is set-id cannot be run here anyway. */
static void stat_file(const struct herd_memory_at *at, struct stat *st)
{
	const struct herd_mfile *f =
		&herd_memory_machine_of(at)->files[herd_memory_file_of(at)];

	st->st_mode = S_IFREG | (f->mode & 07777);
	st->st_uid = f->uid;
	st->st_gid = f->gid;
	if (f->mtime.sec || f->mtime.nsec)
		set_time(st, timespec_of(&f->mtime));
	if (f->ctime.sec || f->ctime.nsec)
		st->st_ctim = timespec_of(&f->ctime);
	set_size(st, f->size, data_of(at, 0, f->size));
}

static int stat_text(const struct herd_memory_at *at, struct stat *st)
{
	struct herd_blob *b;
	int err = herd_memory_text(at, &b);

	if (err)
		return err;
	set_size(st, b->buf.len, b->buf.len);
	herd_cache_put(&at->tree->cache, &b->cached);
	return 0;
}

int herd_memory_getattr(struct herd_tree *t, uint64_t node, struct stat *ret)
{
	LEASE(l, t);
	CLEANUP_MEMORY_AT struct herd_memory_at at;
	struct herd_time taken;
	int err = herd_memory_at_init(&at, t, l.txn, node);

	if (err)
		return err;
	stat_as_dir(&at, node, ret);
	if (herd_memory_sort(&at) == HERD_MEMORY_IS_DIR)
		return 0;
	ret->st_mode = S_IFREG | 0644;
	/* memory is of when it was taken; gdb compares that with the program */
	if (herd_memory_sort(&at) != HERD_MEMORY_IS_TEXT &&
	    herd_memory_taken(herd_memory_machine_of(&at), &taken))
		set_time(ret, timespec_of(&taken));
	switch (herd_memory_sort(&at)) {
	case HERD_MEMORY_IS_CORE:
		return stat_core(&at, ret);
	case HERD_MEMORY_IS_FILE:
		stat_file(&at, ret);
		return 0;
	case HERD_MEMORY_IS_VMA:
		return stat_vma(&at, ret);
	case HERD_MEMORY_IS_PAGE:
		set_size(ret, HERD_PAGE, HERD_PAGE);
		return 0;
	default:
		return stat_text(&at, ret);
	}
}

/* ---- names ---- */

static int lookup_top(const struct herd_memory_at *at, const char *name,
		      uint64_t *ret)
{
	const bool kernel = at->item == HERD_MEMORY_KERNEL;
	const uint32_t from = kernel ? HERD_MEMORY_BANNER :
				       HERD_MEMORY_FINDINGS;
	const uint32_t to = kernel ? HERD_MEMORY_ITEM_MAX : HERD_MEMORY_BANNER;
	uint32_t process;

	for (uint32_t i = from; i < to; i++)
		if (!strcmp(top_names[i], name)) {
			*ret = sibling(at, i);
			return herd_memory_has_top(at, i) ? 0 : -ENOENT;
		}
	if (kernel || herd_memory_find_process(herd_memory_machine_of(at), name,
					       &process))
		return -ENOENT;
	if (!herd_memory_shows(at, HERD_SUBJECT_PROCESS, process))
		return -ENOENT;
	*ret = sibling(at, at->machine->base[process]);
	return 0;
}

static int lookup_in_process(const struct herd_memory_at *at, const char *name,
			     uint64_t *ret)
{
	const struct herd_process *p = herd_memory_process_of(at);
	uint32_t sub = 0;
	bool text = false;
	int err = 0;

	switch (at->item) {
	case HERD_PROCESS_DIR:
		for (uint32_t i = 1; i < HERD_PROCESS_ITEM_MAX; i++)
			if (!strcmp(process_names[i], name)) {
				*ret = of_process(at, i);
				return herd_memory_has_process_item(at, i) ?
					       0 :
					       -ENOENT;
			}
		return -ENOENT;
	case HERD_PROCESS_FD:
		err = herd_memory_find_fd(p, name, &sub);
		if (!err && !herd_memory_has_fd(at, sub))
			err = -ENOENT;
		break;
	case HERD_PROCESS_VMA:
		err = herd_memory_find_vma(p, name, &sub);
		break;
	default:
		err = herd_memory_find_page(at->machine, at->process, name,
					    &sub, &text);
	}
	if (!err)
		*ret = in_folder(at, at->item, sub, text);
	return err;
}

int herd_memory_lookup(struct herd_tree *t, uint64_t dir, const char *name,
		       uint64_t *ret)
{
	LEASE(l, t);
	CLEANUP_MEMORY_AT struct herd_memory_at at;
	int err = herd_memory_at_init(&at, t, l.txn, dir);

	if (err)
		return err;
	if (herd_memory_sort(&at) != HERD_MEMORY_IS_DIR)
		return -ENOTDIR;
	return at.of_process ? lookup_in_process(&at, name, ret) :
			       lookup_top(&at, name, ret);
}

/* ---- listings ---- */

/* Of files the type alone: the rest would have to be made first. */
static int emit(const struct herd_memory_at *at, const struct herd_tree_emit *e,
		const char *name, uint64_t node, bool folder, uint64_t position)
{
	struct stat st;

	if (position + 1 <= e->offset)
		return 0;
	stat_as_dir(at, node, &st);
	if (!folder) {
		st.st_mode = S_IFREG | 0644;
		st.st_nlink = 0;
	}
	return e->fn(e->arg, name, node, &st, position + 1);
}

static int list_top(struct herd_memory_at *at, const struct herd_tree_emit *e)
{
	const struct herd_machine *m = herd_memory_machine_of(at);
	const bool kernel = at->item == HERD_MEMORY_KERNEL;
	const uint32_t from = kernel ? HERD_MEMORY_BANNER :
				       HERD_MEMORY_FINDINGS;
	const uint32_t to = kernel ? HERD_MEMORY_ITEM_MAX : HERD_MEMORY_BANNER;
	int r = 0;

	for (uint32_t i = from; i < to && !r; i++)
		if (herd_memory_has_top(at, i))
			r = emit(at, e, top_names[i], sibling(at, i),
				 i == HERD_MEMORY_KERNEL, i + 2);
	at->of_process = true; /* so that folders get their processes' owners */
	for (uint32_t i = 0; i < m->n_processes && !r && !kernel; i++) {
		char name[HERD_MEMORY_NAME_MAX + 1];
		uint64_t position = 2 + HERD_MEMORY_FIRST + (uint64_t)i;

		if (position + 1 <= e->offset ||
		    !herd_memory_shows(at, HERD_SUBJECT_PROCESS, i))
			continue;
		at->process = i;
		herd_memory_process_name(m, i, name);
		r = emit(at, e, name, sibling(at, at->machine->base[i]), true,
			 position);
	}
	return r;
}

static int list_process(const struct herd_memory_at *at,
			const struct herd_tree_emit *e)
{
	int r = 0;

	for (uint32_t i = 1; i < HERD_PROCESS_ITEM_MAX && !r; i++)
		if (herd_memory_has_process_item(at, i))
			r = emit(at, e, process_names[i], of_process(at, i),
				 i == HERD_PROCESS_FD ||
					 i == HERD_PROCESS_VMA ||
					 i == HERD_PROCESS_PAGES,
				 i + 2);
	return r;
}

static int list_folder(const struct herd_memory_at *at,
		       const struct herd_tree_emit *e)
{
	const struct herd_machine *m = herd_memory_machine_of(at);
	const struct herd_process *p = herd_memory_process_of(at);
	const uint64_t n =
		at->item == HERD_PROCESS_FD  ? p->n_fds :
		at->item == HERD_PROCESS_VMA ? p->n_vmas :
					       2 * herd_memory_pages_of(at);
	uint64_t i = e->offset > 2 ? e->offset - 2 : 0;
	char name[HERD_MEMORY_NAME_MAX + 1];
	int r = 0;

	for (; i < n && !r; i++) {
		const bool pages = at->item == HERD_PROCESS_PAGES;
		uint32_t sub = (uint32_t)(pages ? i / 2 : i);

		if (at->item == HERD_PROCESS_FD) {
			if (!herd_memory_has_fd(at, sub))
				continue;
			snprintf(name, sizeof(name), "%d", p->fds[sub].fd);
		} else if (!pages) {
			if (!herd_dump_has_vma(&p->vmas[sub]))
				continue;
			herd_memory_vma_name(&p->vmas[sub], name);
		} else {
			const struct herd_tree_machine *tm = at->machine;

			herd_memory_page_name(
				m, &tm->pages[tm->pages_at[at->process] + sub],
				i % 2, name);
		}
		r = emit(at, e, name,
			 in_folder(at, at->item, sub, pages && i % 2), false,
			 i + 2);
	}
	return r;
}

int herd_memory_readdir(struct herd_tree *t, uint64_t dir,
			const struct herd_tree_emit *e)
{
	LEASE(l, t);
	CLEANUP_MEMORY_AT struct herd_memory_at at;
	struct stat st;
	int err = herd_memory_at_init(&at, t, l.txn, dir);

	if (err)
		return err;
	if (herd_memory_sort(&at) != HERD_MEMORY_IS_DIR)
		return -ENOTDIR;
	if (emit(&at, e, ".", dir, true, 0))
		return 0;
	herd_top_stat_dir(t, parent_of(&at), 0, &st);
	if (e->offset < 2 && e->fn(e->arg, "..", parent_of(&at), &st, 2))
		return 0;
	if (!at.of_process)
		list_top(&at, e);
	else if (at.item == HERD_PROCESS_DIR)
		list_process(&at, e);
	else
		list_folder(&at, e);
	return 0;
}
