/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The page cache: of each file of the machine which pages lie where in memory.
 * inode → address_space.i_pages (an xarray) → struct page or folio, whose frame
 * follows from its place in the array of struct page.
 *
 * Kept are pages that are up to date: their bytes are the file's. Those that
 * are dirty, or being written back, may differ from the disk for that reason,
 * and runs say so. Large folios are found in each of the ways that kernels put
 * them there: as one entry with siblings, as a slot of a higher node, or (before
 * 5.17) as the same head page in every slot. hugetlbfs counts in its own pages
 * before 6.7.
 *
 * A page says which file it is of and where in it: one that disagrees is left
 * out and told, for the image was not taken at one moment.
 *
 * Not here: files that no process has open or mapped any more; what a block
 * device caches by itself; the pages of a file on overlayfs, which are those of
 * the file below.
 */
#include "index/memory/machine_internal.h"
#include "index/memory/machine_walk.h"

#include <stdio.h>
#include <string.h>

#define ORDER_MAX 18u /* 1 GiB */
#define RUNS_ALL_MAX (16u << 20)
#define WINDOWS 256u
#define PAGE_BYTES_MAX 256u

struct cache_types {
	struct herd_field mapping, i_pages, host, nrpages;
	struct herd_field flags, page_mapping, index, compound_head;
	struct herd_field order, order_flags; /* in the second page */
	uint32_t page_size;		      /* of struct page */
	unsigned uptodate, dirty, writeback, head;
};
#define FIELD(t, m, where_)                                   \
	{                                                     \
		.type = (t), .member = (m),                   \
		.where = offsetof(struct cache_types, where_) \
	}
#define EITHER(t, m, t2, m2, where_)                            \
	{                                                       \
		.type = (t), .member = (m), .other_type = (t2), \
		.other_member = (m2),                           \
		.where = offsetof(struct cache_types, where_)   \
	}
#define MAYBE(t, m, t2, m2, where_)                             \
	{                                                       \
		.type = (t), .member = (m), .other_type = (t2), \
		.other_member = (m2), .optional = true,         \
		.where = offsetof(struct cache_types, where_)   \
	}

/* Pieces of the array of struct page, which is read all over. */
struct window {
	uint64_t va; /* 0: nothing yet; kept also when unreadable */
	bool there;
	uint8_t bytes[HERD_PAGE];
};

struct cache_reader {
	struct herd_reader *r;
	struct herd_walk_mem mem;
	struct herd_xarray_types xarray;
	struct cache_types t;
	struct window *windows;
	size_t n_runs; /* of all files */
	/* the file being read */
	struct herd_mfile *f;
	uint64_t mapping;
	size_t cap;
	size_t odd;	    /* entries that are another file's, or elsewhere */
	uint64_t pages;	    /* of all entries, up to date or not */
	uint64_t last_head; /* the folio looked at last */
	unsigned last_order;
	bool hugetlb;
};

/* ---- struct page ---- */

static const uint8_t *window(struct cache_reader *c, uint64_t va)
{
	struct window *w = &c->windows[va / HERD_PAGE % WINDOWS];
	uint64_t start = va & ~(uint64_t)(HERD_PAGE - 1);

	if (w->va != start) {
		w->va = start;
		w->there = !herd_kernel_read(c->r->k, start, w->bytes,
					     sizeof(w->bytes));
	}
	return w->there ? w->bytes : NULL;
}

/* The bytes of a struct page: in its window, or copied when it crosses one. */
static const uint8_t *page_bytes(struct cache_reader *c, uint64_t page,
				 uint8_t copy[PAGE_BYTES_MAX])
{
	size_t at = page % HERD_PAGE;
	const uint8_t *p;

	if (at + c->t.page_size <= HERD_PAGE) {
		p = window(c, page);
		return p ? p + at : NULL;
	}
	return herd_kernel_read(c->r->k, page, copy, c->t.page_size) ? NULL :
								       copy;
}

/* The order of a large folio, out of its second page. */
static unsigned order_of(struct cache_reader *c, uint64_t head)
{
	uint8_t copy[PAGE_BYTES_MAX];
	const uint8_t *p = page_bytes(c, head + c->t.page_size, copy);
	uint64_t order = ORDER_MAX + 1;

	if (!p)
		return 0;
	if (herd_field_there(&c->t.order))
		order = herd_walk_value(p, c->t.page_size, &c->t.order);
	else if (herd_field_there(&c->t.order_flags))
		order = herd_walk_value(p, c->t.page_size, &c->t.order_flags) &
			0xff;
	return order <= ORDER_MAX ? (unsigned)order : 0;
}

struct folio {
	uint64_t head;	/* struct page */
	uint64_t index; /* in the file, in its own units */
	unsigned order;
	bool uptodate, dirty;
};

/* -EBADMSG: no page of this file. */
static int read_folio(struct cache_reader *c, uint64_t page, struct folio *ret)
{
	const struct cache_types *t = &c->t;
	uint8_t copy[PAGE_BYTES_MAX];
	const uint8_t *p = page_bytes(c, page, copy);
	uint64_t flags, head;

	if (!p)
		return -EFAULT;
	head = herd_walk_value(p, t->page_size, &t->compound_head);
	if (head & 1) { /* before 5.17 a tail may stand there */
		page = head - 1;
		p = page_bytes(c, page, copy);
		if (!p)
			return -EFAULT;
	}
	flags = herd_walk_value(p, t->page_size, &t->flags);
	if (herd_walk_value(p, t->page_size, &t->page_mapping) != c->mapping)
		return -EBADMSG;
	ret->head = page;
	ret->index = herd_walk_value(p, t->page_size, &t->index);
	ret->uptodate = flags >> t->uptodate & 1;
	ret->dirty = (flags >> t->dirty & 1) || (flags >> t->writeback & 1);
	ret->order = 0;
	if (!(flags >> t->head & 1))
		return 0;
	if (page != c->last_head) {
		c->last_order = order_of(c, page);
		c->last_head = page;
	}
	ret->order = c->last_order;
	return 0;
}

/* ---- runs ---- */

static int add_run(struct cache_reader *c, uint64_t index, uint64_t phys,
		   uint64_t pages, bool dirty)
{
	struct herd_mfile *f = c->f;
	struct herd_cached_run *last =
		f->n_cached ? &f->cached[f->n_cached - 1] : NULL;
	void *v = f->cached;
	int err;

	f->cached_pages += pages;
	if (last && last->dirty == dirty &&
	    last->index + last->pages == index &&
	    last->phys + (uint64_t)last->pages * HERD_PAGE == phys &&
	    pages <= UINT32_MAX - last->pages) {
		last->pages += (uint32_t)pages;
		return 0;
	}
	if (c->n_runs >= RUNS_ALL_MAX)
		return -EOVERFLOW;
	err = herd_reader_grow(&v, f->n_cached, &c->cap, sizeof(*f->cached),
			       RUNS_ALL_MAX);
	f->cached = v;
	if (err)
		return err;
	f->cached[f->n_cached++] = (struct herd_cached_run){
		.index = index,
		.phys = phys,
		.pages = (uint32_t)pages,
		.dirty = dirty,
	};
	c->n_runs++;
	return 0;
}

/* An entry of the xarray: `count` slots' worth of indices from `index` on. */
static int entry(void *arg, uint64_t index, uint64_t count, uint64_t page)
{
	struct cache_reader *c = arg;
	struct folio folio = { 0 };
	uint64_t phys, pages;

	if (read_folio(c, page, &folio) ||
	    herd_kernel_page_phys(c->r->k, folio.head, &phys)) {
		c->odd++;
		return 0;
	}
	pages = 1ULL << folio.order;
	c->pages += count;
	if (c->hugetlb && count == 1 && folio.index == index) {
		/* in units of its own pages */
		if (index > UINT64_MAX >> folio.order)
			return 0;
		return folio.uptodate ? add_run(c, index << folio.order, phys,
						pages, folio.dirty) :
					0;
	}
	if (index < folio.index || index - folio.index >= pages ||
	    count > pages - (index - folio.index)) {
		c->odd++;
		return 0;
	}
	if (!folio.uptodate)
		return 0;
	return add_run(c, index, phys + (index - folio.index) * HERD_PAGE,
		       count, folio.dirty);
}

/* ---- files ---- */

static int read_file(struct cache_reader *c, struct herd_mfile *f)
{
	struct herd_kernel *k = c->r->k;
	struct herd_xarray x = {
		.mem = &c->mem,
		.types = &c->xarray,
		.entry = entry,
		.arg = c,
	};
	uint64_t mapping, host, nrpages;
	int err;

	if (!f->inode || f->kind == HERD_MFILE_SOCKET ||
	    f->kind == HERD_MFILE_PIPE || f->kind == HERD_MFILE_ANON)
		return 0;
	if (herd_kernel_get(k, f->inode, &c->t.mapping, &mapping) ||
	    herd_kernel_get(k, mapping, &c->t.host, &host) ||
	    herd_kernel_get(k, mapping, &c->t.nrpages, &nrpages)) {
		herd_reader_problem(c->r, "page cache",
				    "the cache of a file "
				    "could not be found");
		return 0;
	}
	if (host != f->inode || !nrpages)
		return 0;
	c->f = f;
	c->mapping = mapping;
	c->cap = 0;
	c->odd = 0;
	c->pages = 0;
	c->last_head = 0;
	c->hugetlb = !strcmp(f->fs, "hugetlbfs");
	x.array = mapping + c->t.i_pages.offset;
	err = herd_xarray_each(&x);
	if (c->odd || x.broken)
		herd_reader_problem(c->r, "page cache",
				    "%s: entries that do not fit were left out",
				    f->path);
	else if (!err && !c->hugetlb && c->pages != nrpages)
		herd_reader_problem(c->r, "page cache",
				    "%s: %llu pages were "
				    "found of %llu",
				    f->path, (unsigned long long)c->pages,
				    (unsigned long long)nrpages);
	return err;
}

static int flag(struct herd_kernel *k, const char *name, unsigned *ret,
		struct herd_diag *diag)
{
	char key[64];
	int64_t v;

	snprintf(key, sizeof(key), "NUMBER(%s)", name);
	if (herd_kernel_enumerator(k, name, &v) &&
	    herd_kernel_vmcoreinfo(k, key, &v))
		return herd_diag_set(diag, -EOPNOTSUPP, "", HERD_NO_OFFSET,
				     "the number of the page flag %s is not "
				     "known",
				     name);
	if (v < 0 || v > 63)
		return -EOPNOTSUPP;
	*ret = (unsigned)v;
	return 0;
}

static int find_types(struct cache_reader *c, struct herd_diag *diag)
{
	static const struct herd_wanted wanted[] = {
		FIELD("inode", "i_mapping", mapping),
		FIELD("address_space", "i_pages", i_pages),
		FIELD("address_space", "host", host),
		FIELD("address_space", "nrpages", nrpages),
		FIELD("page", "flags", flags),
		FIELD("page", "mapping", page_mapping),
		EITHER("page", "index", "page", "__folio_index", index),
		MAYBE("page", "compound_head", NULL, NULL, compound_head),
		MAYBE("page", "compound_order", NULL, NULL, order),
		MAYBE("folio", "_flags_1", NULL, NULL, order_flags),
	};
	struct cache_types *t = &c->t;
	struct herd_field first;
	int err;

	err = herd_kernel_fields(c->r->k, wanted, ARRAY_SIZE(wanted), t, diag);
	if (err)
		return err;
	if (herd_kernel_sizeof(c->r->k, "page", &t->page_size) ||
	    t->page_size > PAGE_BYTES_MAX || t->page_size < 32)
		return -EOPNOTSUPP;
	/* folio: of the second page, but counted from the first */
	if (herd_field_there(&t->order_flags))
		t->order_flags.offset -= t->page_size;
	/* 6.1 has both, and the order in a field of its own */
	if (!herd_field_there(&t->order) &&
	    !herd_kernel_field(c->r->k, "folio", "_folio_order", &first) &&
	    first.offset >= t->page_size) {
		t->order = first;
		t->order.offset -= t->page_size;
	}
	err = flag(c->r->k, "PG_uptodate", &t->uptodate, diag);
	if (!err)
		err = flag(c->r->k, "PG_dirty", &t->dirty, diag);
	if (!err)
		err = flag(c->r->k, "PG_writeback", &t->writeback, diag);
	if (!err)
		err = flag(c->r->k, "PG_head", &t->head, diag);
	return err ? err : herd_xarray_types(c->r->k, &c->xarray, diag);
}

int herd_reader_cache(struct herd_reader *r, struct herd_diag *diag)
{
	CLEANUP_FREE struct window *windows = NULL;
	struct cache_reader c = { .r = r, .mem = herd_walk_kernel(r->k) };
	int err = find_types(&c, diag);

	if (err)
		return err;
	windows = calloc(WINDOWS, sizeof(*windows));
	if (!windows)
		return -ENOMEM;
	c.windows = windows;
	for (size_t i = 0; i < r->m->n_files && !err; i++)
		err = read_file(&c, &r->m->files[i]);
	if (err == -EOVERFLOW) {
		herd_reader_problem(r, "page cache",
				    "more than %u runs: the "
				    "rest was left out",
				    RUNS_ALL_MAX);
		return 0;
	}
	return err;
}
