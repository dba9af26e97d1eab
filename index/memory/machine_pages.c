/* SPDX-License-Identifier: Apache-2.0 */
/* The page cache's side; see machine_pages.h. */
#include "index/memory/machine_pages_internal.h"

#include "acquire/base/sha256.h"

#include <stdio.h>
#include <string.h>

#define CHUNK 16u     /* pages read from the disk at once */
#define FILE_ERRORS 3 /* after so many the rest of a file is not tried */

int herd_pages_grow(void **v, size_t n, size_t *cap, size_t size)
{
	size_t more = *cap ? *cap * 2 : 64;
	void *p;

	if (n < *cap)
		return 0;
	p = realloc(*v, more * size);
	if (!p)
		return -ENOMEM;
	*v = p;
	*cap = more;
	return 0;
}

int herd_pages_problem(struct herd_pages *p, uint32_t file, const char *text,
		       uint64_t count)
{
	struct herd_machine *m = p->m;
	char *where CLEANUP_FREE = NULL;

	if (asprintf(&where, "pages of %s", m->files[file].path) < 0)
		return -ENOMEM;
	return herd_machine_problem_at(m, m->n_problems, where, text, count);
}

/* ---- which pages ---- */

bool herd_pages_wanted(const struct herd_machine *m, const struct herd_vma *v)
{
	const struct herd_mfile *f;

	if (!(v->flags & HERD_VM_EXEC) || v->file >= m->n_files ||
	    (v->flags & (HERD_VM_IO | HERD_VM_PFNMAP)))
		return false;
	f = &m->files[v->file];
	return (f->kind == HERD_MFILE_PLAIN || f->kind == HERD_MFILE_MEMFD) &&
	       strcmp(f->fs, "hugetlbfs") != 0;
}

static int by_place(const void *a, const void *b)
{
	const struct herd_pages_range *x = a, *y = b;

	if (x->file != y->file)
		return x->file < y->file ? -1 : 1;
	return x->first < y->first ? -1 : x->first > y->first;
}

static int add_range(struct herd_pages *p, const struct herd_vma *v)
{
	uint64_t first = v->offset / HERD_PAGE;
	int err = herd_pages_grow((void **)&p->ranges, p->n_ranges,
				  &p->cap_ranges, sizeof(*p->ranges));

	if (!err)
		p->ranges[p->n_ranges++] = (struct herd_pages_range){
			.file = v->file,
			.first = first,
			.end = first + (v->end - v->start) / HERD_PAGE,
		};
	return err;
}

/* Of all processes; sorted, none twice. */
static int collect(struct herd_pages *p)
{
	const struct herd_machine *m = p->m;
	size_t n = 0;
	int err = 0;

	for (size_t i = 0; i < m->n_processes; i++)
		for (size_t k = 0; k < m->processes[i].n_vmas && !err; k++)
			if (herd_pages_wanted(m, &m->processes[i].vmas[k]))
				err = add_range(p, &m->processes[i].vmas[k]);
	if (err || !p->n_ranges)
		return err;
	qsort(p->ranges, p->n_ranges, sizeof(*p->ranges), by_place);
	for (size_t i = 0; i < p->n_ranges; i++) {
		struct herd_pages_range *r = &p->ranges[i];
		struct herd_pages_range *before = n ? &p->ranges[n - 1] : NULL;

		if (before && before->file == r->file &&
		    r->first <= before->end)
			before->end = r->end > before->end ? r->end :
							     before->end;
		else
			p->ranges[n++] = *r;
	}
	p->n_ranges = n;
	return 0;
}

bool herd_pages_cached(const struct herd_mfile *f, uint64_t index,
		       uint64_t *ret_phys, bool *ret_dirty)
{
	size_t lo = 0, hi = f->n_cached;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;
		const struct herd_cached_run *r = &f->cached[mid];

		if (index < r->index) {
			hi = mid;
		} else if (index - r->index >= r->pages) {
			lo = mid + 1;
		} else {
			*ret_phys = r->phys + (index - r->index) * HERD_PAGE;
			*ret_dirty = r->dirty;
			return true;
		}
	}
	return false;
}

/* ---- what is said of them ---- */

static int add_digest(struct herd_pages *p, uint32_t file, uint64_t index,
		      const uint8_t *page)
{
	struct herd_machine *m = p->m;
	uint8_t digest[32];
	int err;

	if (m->n_page_digests >= HERD_PAGE_DIGESTS_MAX) {
		p->sum.left_out++;
		return 0;
	}
	err = herd_pages_grow((void **)&m->page_digests, m->n_page_digests,
			      &p->cap_digests, sizeof(*m->page_digests));
	if (err)
		return err;
	herd_sha256(page, HERD_PAGE, digest);
	struct herd_page_digest *d = &m->page_digests[m->n_page_digests++];

	*d = (struct herd_page_digest){ .file = file, .index = index };
	memcpy(d->digest, digest, sizeof(d->digest));
	return 0;
}

static enum herd_page_change_kind kind_of(struct herd_pages *p,
					  const struct herd_page_change *c,
					  const uint8_t *own,
					  const uint8_t *other, bool dirty)
{
	uint64_t size = p->m->files[c->file].size, at = c->index * HERD_PAGE;
	bool stops = c->origin == HERD_PAGE_PRIVATE;

	if (c->origin == HERD_PAGE_CACHE && dirty)
		return HERD_CHANGE_UNWRITTEN;
	if (size <= at || c->first >= size - at)
		return HERD_CHANGE_TAIL;
	for (size_t i = 0; i < HERD_PAGE && stops; i++)
		stops = own[i] == other[i] || own[i] == 0xcc;
	if (stops)
		return HERD_CHANGE_BREAKPOINTS;
	return c->origin == HERD_PAGE_PRIVATE &&
			       herd_pages_textrel(p, c->file) ?
		       HERD_CHANGE_RELOCATIONS :
		       HERD_CHANGE_OTHER;
}

static int keep(struct herd_pages *p, struct herd_page_change *c,
		const uint8_t *own)
{
	struct herd_machine *m = p->m;
	int err = herd_pages_grow((void **)&m->page_changes, m->n_page_changes,
				  &p->cap_changes, sizeof(*m->page_changes));

	if (err)
		return err;
	herd_sha256(own, HERD_PAGE, c->digest);
	m->page_changes[m->n_page_changes++] = *c;
	return 0;
}

int herd_pages_changed(struct herd_pages *p, struct herd_page_change c,
		       const uint8_t *own, const uint8_t *other, bool dirty)
{
	if (p->m->n_page_changes >= HERD_PAGE_CHANGES_MAX) {
		p->sum.left_out++;
		return 0;
	}
	for (size_t i = 0; i < HERD_PAGE; i++) {
		if (own[i] == other[i])
			continue;
		if (!c.bytes++)
			c.first = (uint16_t)i;
	}
	herd_sha256(other, HERD_PAGE, c.other);
	c.kind = kind_of(p, &c, own, other, dirty);
	p->sum.changed++;
	p->sum.dirty += c.kind == HERD_CHANGE_UNWRITTEN;
	return keep(p, &c, own);
}

int herd_pages_not_comparable(struct herd_pages *p, struct herd_page_change c,
			      const uint8_t *own)
{
	p->not_comparable[c.file]++;
	/* never in the way of what is known to differ */
	if (p->sum.not_comparable++ >= HERD_PAGE_NOT_COMPARABLE_MAX ||
	    p->m->n_page_changes >= HERD_PAGE_CHANGES_MAX)
		return 0;
	return keep(p, &c, own);
}

/* What is not known is a problem of the image, and no finding. */
static int tell_not_comparable(struct herd_pages *p)
{
	struct herd_machine *m = p->m;
	int err = 0;

	for (uint32_t i = 0; i < m->n_files && !err; i++)
		if (p->not_comparable[i])
			err = herd_pages_problem(p, i, m->files[i].n_cached ?
				"not comparable: neither the page cache nor the "
				"disk has them" :
				"not comparable: nothing of it in the page cache "
				"could be read, and the disk has not got it",
				p->not_comparable[i]);
	return err;
}

int herd_pages_disk(struct herd_pages *p, uint32_t file, uint64_t index,
		    size_t n, uint8_t *buf)
{
	const struct herd_mfile *f = &p->m->files[file];

	if (!p->read || f->deleted || f->kind != HERD_MFILE_PLAIN)
		return -ENOENT;
	return p->read(p->arg, f, index * HERD_PAGE, buf, n * HERD_PAGE);
}

/* ---- the cache ---- */

struct cache_walk {
	struct herd_pages *p;
	uint32_t file;
	bool of_disks; /* see herd_pages_summary */
	bool unknown;  /* the disk has not got the file */
	unsigned errors;
	uint8_t disk[CHUNK * HERD_PAGE];
};

static int one_page(struct cache_walk *w, uint64_t index, uint64_t phys,
		    bool dirty, const uint8_t *disk)
{
	struct herd_pages *p = w->p;
	const uint8_t *page = herd_phys_page(p->phys, phys);

	if (!page) {
		p->sum.missing++;
		return 0;
	}
	p->sum.pages++;
	p->sum.of_disks += w->of_disks;
	if (!disk) {
		p->sum.unknown++;
		return w->p->m->files[w->file].kind == HERD_MFILE_PLAIN ?
			       add_digest(p, w->file, index, page) :
			       0;
	}
	p->sum.compared++;
	p->sum.of_disks_compared += w->of_disks;
	if (!memcmp(page, disk, HERD_PAGE))
		return 0;
	return herd_pages_changed(
		p,
		(struct herd_page_change){ .process = HERD_NO_INDEX,
					   .file = w->file,
					   .index = index,
					   .phys = phys,
					   .origin = HERD_PAGE_CACHE,
					   .against = HERD_AGAINST_DISK },
		page, disk, dirty);
}

/* n pages that follow each other in the file and in memory. */
static int stretch(struct cache_walk *w, uint64_t index, uint64_t phys,
		   uint64_t n, bool dirty)
{
	int err = 0;

	for (uint64_t done = 0; done < n && !err; done += CHUNK) {
		size_t now = n - done < CHUNK ? (size_t)(n - done) : CHUNK;
		const uint8_t *disk = NULL;
		int got = w->unknown || w->errors >= FILE_ERRORS ?
				  -ENOENT :
				  herd_pages_disk(w->p, w->file, index + done,
						  now, w->disk);

		if (!got) {
			disk = w->disk;
		} else if (got == -ENOENT || got == -ENODEV) {
			w->unknown = true;
		} else {
			w->p->sum.errors++;
			if (!w->errors++)
				err = herd_pages_problem(w->p, w->file,
							 strerror(-got), 1);
		}
		for (size_t i = 0; i < now && !err; i++)
			err = one_page(w, index + done + i,
				       phys + (done + i) * HERD_PAGE, dirty,
				       disk ? disk + i * HERD_PAGE : NULL);
	}
	return err;
}

/* What of a file's runs lies in a range. */
static int range(struct cache_walk *w, const struct herd_pages_range *r)
{
	const struct herd_mfile *f = &w->p->m->files[r->file];
	size_t i = 0, hi = f->n_cached;
	int err = 0;

	while (i < hi) { /* the first that ends behind its beginning */
		size_t mid = i + (hi - i) / 2;

		if (f->cached[mid].index + f->cached[mid].pages <= r->first)
			i = mid + 1;
		else
			hi = mid;
	}
	for (; i < f->n_cached && f->cached[i].index < r->end && !err; i++) {
		const struct herd_cached_run *c = &f->cached[i];
		uint64_t from = c->index > r->first ? c->index : r->first;
		uint64_t to = c->index + c->pages < r->end ?
				      c->index + c->pages :
				      r->end;

		err = stretch(w, from, c->phys + (from - c->index) * HERD_PAGE,
			      to - from, c->dirty);
	}
	return err;
}

/* What containers run is not there under the name that it has for them, and
   images of squashfs are not looked into. */
static bool is_of_disks(const struct herd_mfile *f)
{
	static const char *const all[] = { "ext2", "ext3", "ext4", "xfs",
					   "vfat" };

	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
		if (!strcmp(f->fs, all[i]))
			return f->kind == HERD_MFILE_PLAIN && !f->deleted;
	return false;
}

static int cache(struct herd_pages *p)
{
	struct cache_walk *w CLEANUP_FREE = calloc(1, sizeof(*w));
	int err = w ? 0 : -ENOMEM;

	for (size_t i = 0; i < p->n_ranges && !err; i++) {
		if (!i || p->ranges[i].file != p->ranges[i - 1].file) {
			w->unknown = false;
			w->errors = 0;
			w->of_disks =
				is_of_disks(&p->m->files[p->ranges[i].file]);
			p->sum.files++;
		}
		w->p = p;
		w->file = p->ranges[i].file;
		err = range(w, &p->ranges[i]);
	}
	return err;
}

int herd_machine_pages(struct herd_machine *m, struct herd_phys *phys,
		       herd_pages_read *read, void *arg,
		       struct herd_pages_summary *ret, struct herd_diag *diag)
{
	struct herd_pages p = {
		.m = m, .phys = phys, .read = read, .arg = arg
	};
	int err;

	free(m->page_digests);
	free(m->page_changes);
	m->page_digests = NULL;
	m->page_changes = NULL;
	m->n_page_digests = m->n_page_changes = 0;
	p.textrel = calloc(m->n_files + 1, sizeof(*p.textrel));
	p.not_comparable = calloc(m->n_files + 1, sizeof(*p.not_comparable));
	err = p.textrel && p.not_comparable ? collect(&p) : -ENOMEM;
	if (!err)
		err = cache(&p);
	if (!err)
		err = herd_pages_private(&p);
	if (!err)
		err = tell_not_comparable(&p);
	free(p.ranges);
	free(p.textrel);
	free(p.not_comparable);
	if (err)
		return herd_diag_set(diag, err, "memory", HERD_NO_OFFSET,
				     "pages of programs: %s", strerror(-err));
	*ret = p.sum;
	return 0;
}
