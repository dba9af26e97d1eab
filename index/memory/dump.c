/* SPDX-License-Identifier: Apache-2.0 */
/* Making the map of a process's memory; see dump.h. dump_read.c uses it. */
#include "index/memory/dump_internal.h"

#include "acquire/base/cleanup.h"

#include <string.h>

#define USER_END (1ull << 56) /* of five levels */
#define TABLES_MAX (1u << 18) /* of a process: 512 GiB in pages of 4 KiB */
#define LOOKS_MAX (16u << 20) /* entries of them */
#define VDSO_TRIES 64
#define VDSO_MAX (64u * HERD_PAGE)

size_t herd_dump_prepare(struct herd_machine *m)
{
	size_t odd = 0;

	for (size_t i = 0; i < m->n_processes; i++) {
		struct herd_process *p = &m->processes[i];
		uint64_t end = 0;

		for (size_t k = 0; k < p->n_vmas; k++) {
			struct herd_vma *v = &p->vmas[k];

			v->flags &= ~HERD_VMA_ODD;
			if (v->start >= end && v->end > v->start &&
			    v->end <= USER_END && !(v->start % HERD_PAGE) &&
			    !(v->end % HERD_PAGE)) {
				end = v->end;
				continue;
			}
			v->flags |= HERD_VMA_ODD;
			odd++;
		}
	}
	return odd;
}

/* ---- files ---- */

/* Up to the end of its last page. */
static uint64_t file_end(const struct herd_mfile *f)
{
	return f->size > (uint64_t)INT64_MAX - HERD_PAGE ?
		       (uint64_t)INT64_MAX & HERD_DUMP_PLACE :
		       (f->size + HERD_PAGE - 1) & HERD_DUMP_PLACE;
}

/* The first run that ends behind byte off. */
static size_t first_run(const struct herd_mfile *f, uint64_t off)
{
	size_t lo = 0, hi = f->n_cached;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (f->cached[mid].index + f->cached[mid].pages <=
		    off / HERD_PAGE)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

/* What is at byte off, a multiple of a page, and how far it goes on. */
static struct herd_dump_piece file_at(const struct herd_mfile *f, uint64_t off,
				      enum herd_dump_kind uncached)
{
	struct herd_dump_piece p = {
		.start = off, .end = file_end(f), .kind = uncached, .where = off
	};
	size_t i;

	if (off >= p.end)
		return (struct herd_dump_piece){ off,
						 UINT64_MAX & HERD_DUMP_PLACE,
						 HERD_DUMP_ZERO, 0 };
	i = first_run(f, off);
	if (i == f->n_cached)
		return p;
	const struct herd_cached_run *r = &f->cached[i];

	if (r->index > off / HERD_PAGE) {
		if (p.end / HERD_PAGE > r->index)
			p.end = r->index * HERD_PAGE;
		return p;
	}
	p.kind = HERD_DUMP_CACHE;
	p.where = (r->phys & HERD_DUMP_PLACE) + (off - r->index * HERD_PAGE);
	if (p.end / HERD_PAGE > r->index + r->pages)
		p.end = (r->index + r->pages) * HERD_PAGE;
	return p;
}

/* ---- making a map ---- */

struct maker {
	const struct herd_machine *m;
	const struct herd_process *p; /* NULL: of a file */
	const struct herd_vma *vma;
	struct herd_phys *phys;
	const struct herd_dump_make *how;
	uint8_t *asked; /* by file: 0 not yet, 1 there, 2 not */
	struct herd_dump *d;
	enum herd_dump_kind untouched; /* what an anonymous hole is */
	bool apart; /* the next may not go on with the last one */
	bool full;
	unsigned looks, tables;
	uint64_t vdso;
	int err;
};

static bool goes_on(const struct maker *k, const struct herd_dump_stretch *last,
		    uint64_t start, enum herd_dump_kind kind, uint64_t where)
{
	if (herd_dump_stretch_kind(last) != kind)
		return false;
	if (!herd_dump_kind_has_data(kind))
		return true;
	return (kind != HERD_DUMP_DISK || !k->apart) &&
	       (last->what & HERD_DUMP_PLACE) + (start - last->start) == where;
}

static void push(struct maker *k, uint64_t start, enum herd_dump_kind kind,
		 uint64_t where)
{
	struct herd_dump *d = k->d;

	if (d->n && goes_on(k, &d->v[d->n - 1], start, kind, where))
		return;
	if (d->n == d->cap) {
		size_t cap = d->cap ? 2 * d->cap : 64;
		struct herd_dump_stretch *v =
			reallocarray(d->v, cap, sizeof(*v));

		if (!v) {
			k->err = -ENOMEM;
			return;
		}
		d->v = v;
		d->cap = cap;
	}
	d->v[d->n++] =
		(struct herd_dump_stretch){ start,
					    (where & HERD_DUMP_PLACE) | kind };
}

/* Appends [start, end); what was said of it already stays. */
static void add(struct maker *k, uint64_t start, uint64_t end,
		enum herd_dump_kind kind, uint64_t where)
{
	struct herd_dump *d = k->d;

	if (start < d->end) {
		where += d->end - start;
		start = d->end;
	}
	if (k->err || start >= end)
		return;
	if (d->n + 2 >= HERD_DUMP_PIECES_MAX)
		k->full = true;
	if (k->full)
		kind = HERD_DUMP_LIMIT;
	if (start > d->end || !d->n)
		push(k, d->end, HERD_DUMP_OUTSIDE, 0);
	push(k, start, kind, where);
	d->end = end;
	k->apart = false;
}

static bool is_there(const struct maker *k, uint64_t phys, uint64_t len)
{
	const struct herd_extents *e = k->how->there;
	size_t lo = 0, hi = e->n;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (e->v[mid].start + e->v[mid].len <= phys)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo < e->n && e->v[lo].start <= phys &&
	       e->v[lo].len - (phys - e->v[lo].start) >= len;
}

/* Of memory: what the image has of it. What is no data and can be read all the
   same is a hole of a sparse file. */
static void add_memory(struct maker *k, uint64_t start, uint64_t end,
		       enum herd_dump_kind kind, uint64_t phys)
{
	phys &= HERD_DUMP_PLACE;
	if (is_there(k, phys, end - start)) {
		add(k, start, end, kind, phys);
		return;
	}
	for (; start < end && !k->err && !k->full;
	     start += HERD_PAGE, phys += HERD_PAGE) {
		enum herd_dump_kind is = kind;

		if (++k->looks > LOOKS_MAX)
			k->full = true;
		if (!is_there(k, phys, HERD_PAGE))
			is = herd_phys_page(k->phys, phys) ? HERD_DUMP_ZERO :
							     HERD_DUMP_GAP;
		add(k, start, start + HERD_PAGE, is, phys);
	}
	add(k, start, end, kind, phys);
}

static enum herd_dump_kind uncached(struct maker *k, uint32_t file)
{
	const struct herd_mfile *f = &k->m->files[file];

	if (herd_dump_file_in_memory(f))
		return HERD_DUMP_UNBACKED;
	if (!k->asked[file])
		k->asked[file] =
			k->how->has && !k->how->has(k->how->arg, f) ? 1 : 2;
	return k->asked[file] == 1 ? HERD_DUMP_DISK : HERD_DUMP_NO_FILE;
}

/* Bytes [off, off + end - start) of a file, at start. */
static void add_file(struct maker *k, uint64_t start, uint64_t end,
		     uint32_t file, uint64_t off)
{
	const struct herd_mfile *f = &k->m->files[file];

	while (start < end && !k->err && !k->full) {
		struct herd_dump_piece p = file_at(f, off, HERD_DUMP_DISK);
		uint64_t left = end - start;

		if (++k->looks > LOOKS_MAX)
			k->full = true;
		if (p.end - off < left)
			left = p.end - off;
		if (p.kind == HERD_DUMP_CACHE)
			add_memory(k, start, start + left, p.kind, p.where);
		else if (p.kind == HERD_DUMP_DISK)
			add(k, start, start + left, uncached(k, file), off);
		else
			add(k, start, start + left, p.kind, 0);
		start += left;
		if (off > UINT64_MAX - left)
			break;
		off += left;
	}
	add(k, start, end, HERD_DUMP_ZERO, 0);
}

/* Where the vDSO begins in memory, by a page of it that p has touched. */
static bool vdso_of(struct maker *k, const struct herd_process *p, uint64_t len,
		    uint64_t *ret)
{
	struct herd_mapping map;
	const uint8_t *page;

	for (size_t n = p->n_vmas; n--;) {
		const struct herd_vma *v = &p->vmas[n];

		if (strcmp(v->name, "[vdso]") || v->end - v->start != len)
			continue;
		for (uint64_t off = 0; off < len; off += HERD_PAGE) {
			herd_space_look(k->phys, &p->space, v->start + off,
					&map);
			if (map.state != HERD_PAGE_PRESENT || map.phys < off)
				continue;
			page = herd_phys_page(k->phys, map.phys - off);
			if (!page || memcmp(page, "\177ELF", 4))
				continue;
			*ret = map.phys - off;
			return true;
		}
		return false;
	}
	return false;
}

/*
 * The vDSO is the same in every process, and lies in one piece in the kernel's
 * image: a page of it that nobody has touched is found by one that somebody
 * has.
 */
static void add_vdso(struct maker *k, uint64_t start, uint64_t end)
{
	const struct herd_vma *v = k->vma;
	unsigned tries = VDSO_TRIES;
	bool found = vdso_of(k, k->p, v->end - v->start, &k->vdso);

	for (size_t i = 0; i < k->m->n_processes && tries && !found; i++)
		if (k->m->processes[i].n_vmas && tries--)
			found = vdso_of(k, &k->m->processes[i],
					v->end - v->start, &k->vdso);
	if (found)
		add_memory(k, start, end, HERD_DUMP_IMAGE,
			   k->vdso + (start - v->start));
	else
		add(k, start, end, HERD_DUMP_DEVICE, 0);
}

/* What no page table maps. */
static void add_hole(struct maker *k, uint64_t start, uint64_t end)
{
	const struct herd_vma *v = k->vma;
	uint64_t off = v->offset + (start - v->start);

	if (start >= end)
		return;
	if (!strcmp(v->name, "[vdso]") && v->end - v->start <= VDSO_MAX)
		add_vdso(k, start, end);
	else if (v->file < k->m->n_files) {
		if (off % HERD_PAGE || off < v->offset ||
		    !herd_dump_file_has_content(&k->m->files[v->file]))
			add(k, start, end, HERD_DUMP_DEVICE, 0);
		else
			add_file(k, start, end, v->file, off);
	} else if ((v->flags & (HERD_VM_IO | HERD_VM_PFNMAP)) ||
		   !strncmp(v->name, "[vvar", 5)) {
		add(k, start, end, HERD_DUMP_DEVICE, 0);
	} else if (v->flags & HERD_VMA_UNNAMED) {
		add(k, start, end, HERD_DUMP_UNNAMED, 0);
	} else {
		add(k, start, end, k->untouched, 0);
	}
}

static int each_mapping(void *arg, uint64_t va, const struct herd_mapping *map)
{
	struct maker *k = arg;
	uint64_t end = va + map->left;

	if (++k->looks > LOOKS_MAX)
		k->full = true;
	if (end > k->vma->end)
		end = k->vma->end;
	add_hole(k, k->d->end > k->vma->start ? k->d->end : k->vma->start, va);
	switch (map->state) {
	case HERD_PAGE_PRESENT:
	case HERD_PAGE_PROTNONE:
		add_memory(k, va, end, HERD_DUMP_IMAGE, map->phys);
		break;
	case HERD_PAGE_SWAPPED:
		add(k, va, end, HERD_DUMP_SWAPPED, 0);
		break;
	case HERD_PAGE_MIGRATING:
		add(k, va, end, HERD_DUMP_SPECIAL, 0);
		break;
	case HERD_PAGE_MISSING:
		add(k, va, end, HERD_DUMP_GAP, 0);
		break;
	default:
		break; /* a hole */
	}
	return k->err || k->full;
}

static bool has_tables(const struct herd_space *s, const struct herd_vma *v)
{
	return s->pgd &&
	       (s->levels == 5 || (s->levels == 4 && v->end <= 1ull << 47));
}

static void add_vma(struct maker *k, const struct herd_vma *v)
{
	int r = -ENODATA;

	k->vma = v;
	k->apart = true;
	k->untouched = HERD_DUMP_ZERO;
	if (!k->full && has_tables(&k->p->space, v))
		r = herd_space_each_within(k->phys, &k->p->space, v->start,
					   v->end, &k->tables, each_mapping, k);
	if (r == -EOVERFLOW)
		k->full = true;
	/* without tables nobody knows what was touched */
	k->untouched = r < 0 ? HERD_DUMP_GAP : HERD_DUMP_ZERO;
	add_hole(k, k->d->end > v->start ? k->d->end : v->start, v->end);
}

static int create(const struct herd_dump_make *how, struct maker *k)
{
	*k = (struct maker){ .m = how->m,
			     .phys = how->phys,
			     .how = how,
			     .tables = TABLES_MAX,
			     .untouched = HERD_DUMP_ZERO };
	k->d = calloc(1, sizeof(*k->d));
	k->asked = calloc(how->m->n_files + 1, 1);
	if (!k->d || !k->asked)
		k->err = -ENOMEM;
	else
		k->d->process = k->d->file = HERD_NO_INDEX;
	return k->err;
}

static int finish(struct maker *k, struct herd_dump **ret)
{
	if (!k->err)
		push(k, k->d->end, HERD_DUMP_OUTSIDE, 0);
	if (!k->err && k->d->n < k->d->cap) {
		struct herd_dump_stretch *v =
			reallocarray(k->d->v, k->d->n, sizeof(*v));

		if (v) {
			k->d->v = v;
			k->d->cap = k->d->n;
		}
	}
	free(k->asked);
	if (k->err)
		herd_dump_destroy(k->d);
	else
		*ret = k->d;
	return k->err;
}

int herd_dump_create(const struct herd_dump_make *how, uint32_t process,
		     struct herd_dump **ret)
{
	struct maker k;

	if (!create(how, &k)) {
		k.p = &how->m->processes[process];
		k.d->process = process;
		k.tables += 8 * (unsigned)k.p->n_vmas;
		for (size_t i = 0; i < k.p->n_vmas && !k.err; i++)
			if (herd_dump_has_vma(&k.p->vmas[i]))
				add_vma(&k, &k.p->vmas[i]);
	}
	return finish(&k, ret);
}

int herd_dump_create_file(const struct herd_dump_make *how, uint32_t file,
			  struct herd_dump **ret)
{
	struct maker k;

	if (!create(how, &k)) {
		k.d->file = file;
		add_file(&k, 0, file_end(&how->m->files[file]), file, 0);
	}
	return finish(&k, ret);
}

void herd_dump_destroy(struct herd_dump *d)
{
	if (!d)
		return;
	free(d->v);
	free(d);
}

size_t herd_dump_cost(const struct herd_dump *d)
{
	return sizeof(*d) + d->cap * sizeof(*d->v);
}
