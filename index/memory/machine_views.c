/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tasks as other parts of the kernel know them than its list: by pid, in the
 * slab that task_struct comes from, on a processor. Whoever takes a task off
 * the list has to think of all of these.
 *
 * The slab is found by going through all struct pages (vmemmap) by the large
 * pages that map them, in large reads: each page of the slab names its
 * kmem_cache.
 */
#include "index/memory/machine_tasks.h"

#include <string.h>

#define NAMESPACES_MAX 4096u
#define SCAN_BYTES (512u << 10)
#define SLABS_MAX (1u << 20)
#define ORDER_MAX 10u /* a slab has at most 4 MiB */
#define OBJECTS_ALL_MAX (4u * HERD_THREADS_MAX)
#define SCAN_ALL_MAX (UINT64_C(8) << 30) /* bytes of vmemmap: half a TiB */

/* ---- by pid ---- */

struct pids {
	struct herd_tasks *w;
	uint32_t view;
	size_t unreadable;
	int why; /* of the last */
};

/* hlist of the tasks that have this as their own pid: at most one. */
static int one_pid(void *arg, uint64_t index, uint64_t count, uint64_t pid)
{
	struct pids *p = arg;
	struct herd_tasks *w = p->w;
	uint64_t node;
	int err;

	(void)index, (void)count;
	err = herd_kernel_u64(w->r->k, pid + w->f.pid_tasks.offset, &node);
	if (!err && !node)
		return 0; /* a group's or session's that outlived it */
	if (!err)
		err = herd_tasks_add(w, node - w->f.pid_links.offset, p->view,
				     NULL);
	if (err == -ENOMEM)
		return err;
	if (err < 0) {
		p->unreadable++;
		p->why = err;
	}
	return 0;
}

/* Nodes that are left out do not say why: part of the image may be missing. */
static int why_unread(const struct herd_xarray *x, const struct pids *p,
		      int err)
{
	return err ? err : x->broken ? -ENODATA : p->why;
}

static int walk_idr(struct herd_tasks *w, const struct herd_xarray_types *types,
		    uint64_t idr, uint32_t view, const char *where)
{
	struct pids p = { .w = w, .view = view };
	struct herd_xarray x = { .mem = &w->mem,
				 .types = types,
				 .array = idr,
				 .entry = one_pid,
				 .arg = &p };
	int err = herd_xarray_each(&x);

	if (err == -ENOMEM)
		return err;
	if (err || x.broken)
		herd_reader_problem(w->r, where,
				    "the table could not be read in full");
	if (p.unreadable)
		herd_reader_problem(w->r, where, "%zu of them lead to no task",
				    p.unreadable);
	if (view)
		herd_reader_unread(w->r, HERD_UNREAD_PIDS,
				   why_unread(&x, &p, err));
	return 0;
}

/* The namespaces below the first, by the tasks that are in them. */
static int nested(struct herd_tasks *w, const struct herd_xarray_types *types,
		  uint64_t init_ns, uint32_t idr)
{
	struct herd_seen_map CLEANUP_SEEN seen = { 0 };

	for (size_t i = 0; i < w->n && seen.n < NAMESPACES_MAX; i++) {
		uint64_t pid = w->v[i].thread_pid, level, ns;
		int err;

		if (!pid ||
		    herd_kernel_get(w->r->k, pid, &w->f.pid_level, &level) ||
		    !level || level > 32 ||
		    herd_kernel_get(w->r->k,
				    pid + w->f.pid_numbers.offset +
					    level * w->f.upid_size,
				    &w->f.nr_ns, &ns) ||
		    ns == init_ns || !ns)
			continue;
		err = herd_seen_add(&seen, ns, 0, NULL);
		if (!err)
			err = walk_idr(w, types, ns + idr, 0,
				       "pids of a namespace");
		if (err < 0)
			return err;
	}
	return 0;
}

int herd_tasks_view_pids(struct herd_tasks *w)
{
	struct herd_xarray_types types;
	struct herd_field idr;
	uint64_t ns;
	int err;

	if (!herd_field_there(&w->f.pid_tasks) ||
	    !herd_field_there(&w->f.pid_links) ||
	    !herd_field_there(&w->f.pid_level) ||
	    !herd_field_there(&w->f.pid_numbers) ||
	    !herd_field_there(&w->f.nr_ns) ||
	    herd_kernel_symbol(w->r->k, "init_pid_ns", &ns) ||
	    herd_kernel_field(w->r->k, "pid_namespace", "idr.idr_rt", &idr) ||
	    herd_xarray_types(w->r->k, &types, NULL)) {
		herd_reader_problem(w->r, "pids",
				    "this kernel's table of pids "
				    "is not known");
		return 0;
	}
	err = walk_idr(w, &types, ns + idr.offset, HERD_SEEN_PIDS, "pids");
	if (!err)
		err = nested(w, &types, ns, idr.offset);
	return err;
}

/* ---- on a processor ---- */

int herd_tasks_view_cpus(struct herd_tasks *w)
{
	unsigned n = herd_kernel_cpus(w->r->k);
	struct herd_field curr;

	if (n > HERD_MEMORY_CPUS_MAX)
		n = HERD_MEMORY_CPUS_MAX;
	if (!n || herd_kernel_field(w->r->k, "rq", "curr", &curr))
		return 0;
	w->cpu_task = calloc(n, sizeof(*w->cpu_task));
	if (!w->cpu_task)
		return -ENOMEM;
	w->n_cpus = n;
	for (unsigned cpu = 0; cpu < n; cpu++) {
		uint64_t rq, task;
		int err;

		if (herd_kernel_percpu(w->r->k, "runqueues", cpu, &rq) ||
		    herd_kernel_get(w->r->k, rq, &curr, &task))
			continue;
		err = herd_tasks_add(w, task, HERD_SEEN_CPU, NULL);
		if (err == -ENOMEM)
			return err;
		if (err >= 0)
			w->cpu_task[cpu] = task;
	}
	return 0;
}

/* ---- the slab ---- */

struct slab_types {
	struct herd_field cache, objects, flags, type;
	struct herd_field size, oo, red_left_pad;
	struct herd_field s_mem, num; /* of SLAB, where it is not SLUB */
};

enum slab_mark { MARK_NONE, MARK_FLAG, MARK_TYPE, MARK_BYTE };

struct slab_scan {
	struct herd_tasks *w;
	struct slab_types t;
	uint64_t cachep;
	uint64_t vmemmap;   /* address of the first struct page looked at */
	uint32_t page_size; /* of a struct page */
	uint64_t stride;
	uint32_t max_objects;
	uint64_t pad;
	enum slab_mark mark;
	uint64_t mark_value;
	uint8_t *buf;
	uint64_t *pages; /* struct pages of slabs that were found */
	size_t n, cap;
	uint64_t missing; /* bytes of vmemmap that are not in the image */
	uint64_t left;	  /* bytes of vmemmap that may still be read */
	uint64_t end;	  /* where the last slab ends, physically */
	uint64_t objects_left;
};

#define SLAB_FIELD(t1, m1, t2, m2, f)                                \
	{                                                            \
		t1, m1, t2, m2, true, offsetof(struct slab_types, f) \
	}

/* How a struct page says that it is a slab's; has moved twice. */
static void find_mark(struct slab_scan *s)
{
	struct herd_kernel *k = s->w->r->k;
	int64_t v;

	if (herd_field_there(&s->t.type) &&
	    !herd_kernel_enumerator(k, "PGTY_slab", &v)) {
		s->mark = MARK_BYTE; /* from 6.12 on */
		s->mark_value = (uint64_t)v & 0xff;
	} else if (herd_field_there(&s->t.type) &&
		   !herd_kernel_vmcoreinfo(
			   k, "NUMBER(PAGE_SLAB_MAPCOUNT_VALUE)", &v)) {
		s->mark = MARK_TYPE; /* 6.10, 6.11: a bit that is 0 */
		s->mark_value = (uint32_t)~v;
	} else if (herd_field_there(&s->t.flags) &&
		   (!herd_kernel_enumerator(k, "PG_slab", &v) ||
		    !herd_kernel_vmcoreinfo(k, "NUMBER(PG_slab)", &v)) &&
		   v >= 0 && v < 64) {
		s->mark = MARK_FLAG;
		s->mark_value = UINT64_C(1) << v;
	}
}

static bool marked(const struct slab_scan *s, const uint8_t *page)
{
	uint64_t type = herd_walk_value(page, s->page_size, &s->t.type);

	switch (s->mark) {
	case MARK_FLAG:
		return herd_walk_value(page, s->page_size, &s->t.flags) &
		       s->mark_value;
	case MARK_TYPE:
		return (type & 0xf0000000) == 0xf0000000 &&
		       !(type & s->mark_value);
	case MARK_BYTE:
		return type >> 24 == s->mark_value;
	default:
		return true;
	}
}

static int prepare(struct slab_scan *s)
{
	static const struct herd_wanted wanted[] = {
		SLAB_FIELD("slab", "slab_cache", "page", "slab_cache", cache),
		SLAB_FIELD("slab", "objects", "page", "objects", objects),
		SLAB_FIELD("page", "flags.f", "page", "flags", flags),
		SLAB_FIELD("page", "page_type", NULL, NULL, type),
		SLAB_FIELD("kmem_cache", "size", NULL, NULL, size),
		SLAB_FIELD("kmem_cache", "oo.x", NULL, NULL, oo),
		SLAB_FIELD("kmem_cache", "red_left_pad", NULL, NULL,
			   red_left_pad),
		SLAB_FIELD("slab", "s_mem", "page", "s_mem", s_mem),
		SLAB_FIELD("kmem_cache", "num", NULL, NULL, num),
	};
	struct herd_kernel *k = s->w->r->k;
	uint64_t at, v = 0;
	int err =
		herd_kernel_fields(k, wanted, ARRAY_SIZE(wanted), &s->t, NULL);

	if (err || !herd_field_there(&s->t.cache) ||
	    !herd_field_there(&s->t.size) ||
	    herd_kernel_sizeof(k, "page", &s->page_size) || s->page_size < 32 ||
	    s->page_size > 256 || s->page_size % 8 || s->t.cache.offset % 8 ||
	    s->t.cache.offset + 8 > s->page_size ||
	    herd_kernel_symbol(k, "task_struct_cachep", &at) ||
	    herd_kernel_u64(k, at, &s->cachep) ||
	    herd_kernel_get(k, s->cachep, &s->t.size, &s->stride))
		return -EOPNOTSUPP;
	if (s->stride < s->w->f.task_size || s->stride > HERD_TASK_STRUCT_MAX)
		return -EBADMSG;
	if (herd_field_there(&s->t.oo) &&
	    !herd_kernel_get(k, s->cachep, &s->t.oo, &v))
		s->max_objects = v & 0xffff;
	else if (herd_field_there(&s->t.num) &&
		 !herd_kernel_get(k, s->cachep, &s->t.num, &v) && v < 1024)
		s->max_objects = (uint32_t)v;
	if (!s->max_objects || v >> 16 > ORDER_MAX ||
	    s->max_objects * s->stride > (uint64_t)HERD_PAGE << ORDER_MAX)
		return -EBADMSG;
	if (herd_field_there(&s->t.red_left_pad) &&
	    !herd_kernel_get(k, s->cachep, &s->t.red_left_pad, &v))
		s->pad = v < s->stride ? v : 0;
	find_mark(s);
	return 0;
}

/* Whole struct pages that lie at va. */
static int scan_pages(struct slab_scan *s, const uint8_t *p, size_t len,
		      uint64_t va)
{
	for (size_t at = 0; at + s->page_size <= len; at += s->page_size) {
		uint64_t cache;
		int err;

		memcpy(&cache, p + at + s->t.cache.offset, 8);
		if (cache != s->cachep || !marked(s, p + at))
			continue;
		err = HERD_READER_GROW(s->pages, s->n, &s->cap, SLABS_MAX);
		if (err)
			return err;
		s->pages[s->n++] = va + at;
	}
	return 0;
}

/*
 * A stretch of vmemmap, up to 2 MiB (or 1 GiB) that lie together. A struct page
 * that crosses its end (56 bytes do not divide a page) is not looked at.
 */
static int scan_stretch(void *arg, uint64_t va, const struct herd_mapping *m)
{
	struct slab_scan *s = arg;
	struct herd_phys *phys = herd_kernel_phys(s->w->r->k);
	uint64_t skip = (va - s->vmemmap) % s->page_size;

	skip = skip ? s->page_size - skip : 0;
	if (m->state != HERD_PAGE_PRESENT) {
		s->missing += m->state == HERD_PAGE_MISSING ? m->left : 0;
		return 0;
	}
	if (m->left > s->left) {
		s->missing += m->left;
		return 0;
	}
	s->left -= m->left;
	for (uint64_t at = skip, n; at + s->page_size <= m->left; at += n) {
		n = m->left - at < SCAN_BYTES ? m->left - at : SCAN_BYTES;
		if (n > s->page_size)
			n -= n % s->page_size;
		if (herd_phys_read(phys, m->phys + at, s->buf, n) == 0) {
			int err = scan_pages(s, s->buf, n, va + at);

			if (err)
				return err;
			continue;
		}
		/* Part of it is missing: by pages, what there is of them. */
		n = HERD_PAGE - (m->phys + at) % HERD_PAGE;
		if (n > m->left - at)
			n = m->left - at;
		if (herd_phys_read(phys, m->phys + at, s->buf, n) == 0) {
			int err = scan_pages(s, s->buf, n, va + at);

			if (err)
				return err;
		} else {
			s->missing += n;
		}
		if (n % s->page_size && n + s->page_size <= m->left - at)
			n += s->page_size - n % s->page_size;
	}
	return 0;
}

static int scan_ranges(struct slab_scan *s)
{
	struct herd_kernel *k = s->w->r->k;
	struct herd_phys *phys = herd_kernel_phys(k);
	struct herd_extents e = { 0 };
	int err = herd_source_data(herd_phys_source(phys), &e, NULL);

	s->vmemmap = herd_kernel_page(k, 0);
	for (size_t i = 0; i < e.n && !err; i++) {
		uint64_t from = herd_kernel_page(k, e.v[i].start & -4096),
			 to = herd_kernel_page(k, e.v[i].start + e.v[i].len);

		if (to > from)
			err = herd_space_each(phys, herd_kernel_space(k), from,
					      to, scan_stretch, s);
	}
	herd_extents_deinit(&e);
	return err;
}

static int slab_tasks(struct slab_scan *s, uint64_t page)
{
	struct herd_kernel *k = s->w->r->k;
	uint64_t n = s->max_objects, v, base, phys;

	if (herd_field_there(&s->t.objects) &&
	    !herd_kernel_get(k, page, &s->t.objects, &v) && v && v < n)
		n = v;
	if (herd_kernel_page_phys(k, page, &phys) || phys < s->end)
		return 0;
	s->end = phys + n * s->stride;
	base = herd_kernel_direct(k, phys);
	if (herd_field_there(&s->t.s_mem) && herd_field_there(&s->t.num) &&
	    herd_kernel_get(k, page, &s->t.s_mem, &base))
		return 0;
	for (uint64_t i = 0; i < n && s->objects_left; i++, s->objects_left--) {
		int err = herd_tasks_add_slab(s->w,
					      base + s->pad + i * s->stride);

		if (err == -ENOMEM || err == -EOVERFLOW)
			return err;
	}
	return 0;
}

int herd_tasks_view_slab(struct herd_tasks *w)
{
	struct slab_scan s = { .w = w,
			       .left = SCAN_ALL_MAX,
			       .objects_left = OBJECTS_ALL_MAX };
	int err = prepare(&s);

	if (err) {
		herd_reader_problem(w->r, "slab of tasks", "%s",
				    err == -EBADMSG ?
					    "its description makes no sense" :
					    "how this kernel keeps it is not "
					    "known");
		return 0;
	}
	s.buf = malloc(SCAN_BYTES);
	err = s.buf ? scan_ranges(&s) : -ENOMEM;
	for (size_t i = 0; i < s.n && !err; i++)
		err = slab_tasks(&s, s.pages[i]);
	if (s.missing || !s.n)
		herd_reader_problem(w->r, "slab of tasks",
				    s.n ? "part of it is not in the image" :
					  "nothing of it was found");
	free(s.buf);
	free(s.pages);
	return err == -EOVERFLOW ? 0 : err;
}
