/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Walks page tables of x86_64.
 *
 * An entry that is not present but not zero has its frame, or its offset in
 * the swap area, inverted (since 4.18, against L1TF). Bits of such an entry:
 * 0 present (0), 7 large (0 but for a large page that is being split), 8
 * "global", which says PROT_NONE here; of a swapped one 9…58 are the inverted
 * offset and 59…63 the type, of which the highest are no swap areas but
 * migration, poison, device memory and markers. How many of those there are
 * depends on version and configuration, nine at most.
 */
#include "index/memory/pages.h"

#include <errno.h>
#include <string.h>

#define ENTRIES 512u
#define P_PRESENT 1ull
#define P_WRITE 2ull
#define P_USER 4ull
#define P_ACCESSED 0x20ull
#define P_DIRTY 0x40ull
#define P_LARGE 0x80ull
#define P_PROTNONE 0x100ull
#define P_NOEXEC (1ull << 63)
#define FRAME_MASK 0x000ffffffffff000ull
#define SWAP_TYPES 23u /* 32 less the nine special ones */
/* Tables that one walk may visit: of 512 GB in pages of 4 KiB. */
#define TABLES_MAX (1u << 18)

static uint64_t entry_at(const void *table, unsigned i)
{
	uint64_t v;

	memcpy(&v, (const uint8_t *)table + (size_t)i * 8, 8);
	return v;
}

static unsigned shift_of(unsigned level) /* 1: the last */
{
	return 12 + 9 * (level - 1);
}

static bool canonical(const struct herd_space *s, uint64_t va)
{
	unsigned spare = 64 - (s->levels == 5 ? 57 : 48);

	return (uint64_t)((int64_t)(va << spare) >> spare) == va;
}

/* Rights narrow from level to level. */
struct rights {
	bool write, user, noexec;
};

/* top: the kernel's half of PTI's pair of tables marks all user memory
   no-execute there, which says nothing of it. */
static void narrow(struct rights *r, uint64_t e, bool top, uint64_t va)
{
	r->write &= (e & P_WRITE) != 0;
	r->user &= (e & P_USER) != 0;
	if (!top || va >> 63)
		r->noexec |= (e & P_NOEXEC) != 0;
}

/* What an entry that leads to no further table says. level 1…3. */
static void leaf(const struct herd_space *s, uint64_t e, unsigned level,
		 uint64_t va, const struct rights *r, struct herd_mapping *m)
{
	unsigned shift = shift_of(level);
	uint64_t in = va & ((1ull << shift) - 1);
	uint64_t frame = e & P_PRESENT ? e : ~e;

	m->entry = e;
	m->shift = (uint8_t)shift;
	m->left = (1ull << shift) - in;
	m->write = r->write;
	m->user = r->user;
	m->noexec = r->noexec;
	m->dirty = (e & P_DIRTY) != 0;
	m->accessed = (e & P_ACCESSED) != 0;
	if (!e) {
		m->state = HERD_PAGE_NONE;
	} else if (e & (P_PRESENT | P_PROTNONE) || (level > 1 && e & P_LARGE)) {
		/* bit 12 of a large one is no part of the address */
		m->phys = (frame & FRAME_MASK & ~s->sme_mask &
			   ~((1ull << shift) - 1)) +
			  in;
		m->state = e & P_PRESENT ? HERD_PAGE_PRESENT :
					   HERD_PAGE_PROTNONE;
	} else {
		m->swap_type = (uint32_t)(e >> 59);
		m->swap_offset = ~e << 5 >> 14;
		m->state = m->swap_type < SWAP_TYPES ? HERD_PAGE_SWAPPED :
						       HERD_PAGE_MIGRATING;
	}
}

static bool leads_on(uint64_t e, unsigned level)
{
	return level > 1 && e & P_PRESENT && !(level <= 3 && e & P_LARGE);
}

void herd_space_look(struct herd_phys *p, const struct herd_space *s,
		     uint64_t va, struct herd_mapping *ret)
{
	uint64_t table = s->pgd;
	struct rights r = { true, true, false };

	memset(ret, 0, sizeof(*ret));
	ret->shift = 12;
	ret->left = HERD_PAGE - va % HERD_PAGE;
	if ((s->levels != 4 && s->levels != 5) || !canonical(s, va))
		return;
	for (unsigned level = s->levels;; level--) {
		unsigned shift = shift_of(level);
		const void *page = herd_phys_page(p, table);

		if (!page) {
			uint64_t all = level == s->levels ? 12 : shift + 9;

			ret->state = HERD_PAGE_MISSING;
			ret->phys = table;
			ret->left = (1ull << all) - (va & ((1ull << all) - 1));
			return;
		}
		uint64_t e = entry_at(page, va >> shift & (ENTRIES - 1));

		narrow(&r, e, level == s->levels, va);
		if (leads_on(e, level)) {
			table = e & FRAME_MASK & ~s->sme_mask;
			continue;
		}
		if (level > 3) { /* no such large pages */
			ret->entry = e;
			ret->left =
				(1ull << shift) - (va & ((1ull << shift) - 1));
			return;
		}
		leaf(s, e, level, va, &r, ret);
		return;
	}
}

static bool has_frame(const struct herd_mapping *m)
{
	return m->state == HERD_PAGE_PRESENT || m->state == HERD_PAGE_PROTNONE;
}

int herd_space_read(struct herd_phys *p, const struct herd_space *s,
		    uint64_t va, void *buf, size_t len)
{
	uint8_t *to = buf;
	struct herd_mapping m;

	if (len && va + len - 1 < va)
		return -EFAULT;
	while (len) {
		herd_space_look(p, s, va, &m);
		if (m.state == HERD_PAGE_MISSING)
			return -ENODATA;
		if (!has_frame(&m))
			return -EFAULT;

		uint64_t phys = m.phys, run = m.left;

		/* frames that follow each other are read in one go */
		while (run < len) {
			herd_space_look(p, s, va + run, &m);
			if (!has_frame(&m) || m.phys != phys + run)
				break;
			run += m.left;
		}
		size_t part = run < len ? (size_t)run : len;
		int err = herd_phys_read(p, phys, to, part);

		if (err)
			return err;
		to += part;
		va += part;
		len -= part;
	}
	return 0;
}

/* ---- all of a range ---- */

struct walk {
	struct herd_phys *p;
	const struct herd_space *s;
	uint64_t start, last; /* inclusive */
	int (*fn)(void *arg, uint64_t va, const struct herd_mapping *m);
	void *arg;
	unsigned *tables; /* still allowed */
};

static int walk_table(struct walk *w, uint64_t table, unsigned level,
		      uint64_t base, struct rights r);

static int missing(const struct walk *w, uint64_t table, uint64_t from,
		   uint64_t last)
{
	struct herd_mapping m = { .state = HERD_PAGE_MISSING,
				  .phys = table,
				  .shift = 12,
				  .left = last - from + 1 };

	return w->fn(w->arg, from, &m);
}

/* One entry, which covers [from, …) within the range. */
static int walk_entry(struct walk *w, uint64_t e, unsigned level, uint64_t base,
		      uint64_t from, struct rights r)
{
	struct herd_mapping m = { .state = HERD_PAGE_NONE };

	if (!e)
		return 0;
	narrow(&r, e, level == w->s->levels, base);
	if (leads_on(e, level))
		return walk_table(w, e & FRAME_MASK & ~w->s->sme_mask,
				  level - 1, base, r);
	if (level > 3)
		return 0;
	leaf(w->s, e, level, from, &r, &m);
	if (m.left > w->last - from)
		m.left = w->last - from + 1;
	return w->fn(w->arg, from, &m);
}

/* base: the address that the table's first entry is for. */
static int walk_table(struct walk *w, uint64_t table, unsigned level,
		      uint64_t base, struct rights r)
{
	unsigned shift = shift_of(level);
	uint64_t size = 1ull << shift;
	uint64_t last = base + (size * ENTRIES - 1);
	uint64_t from = w->start > base ? w->start : base;
	const void *page = herd_phys_page(w->p, table);
	uint8_t copy[HERD_PAGE];

	if (last > w->last)
		last = w->last;
	if (!*w->tables)
		return -EOVERFLOW;
	--*w->tables;
	if (!page)
		return missing(w, table, from, last);
	memcpy(copy, page, sizeof(copy)); /* the cache moves on */
	for (uint64_t i = (from - base) >> shift; i <= (last - base) >> shift;
	     i++) {
		uint64_t at = base + i * size;
		int err = walk_entry(w, entry_at(copy, (unsigned)i), level, at,
				     at < from ? from : at, r);
		if (err)
			return err;
	}
	return 0;
}

int herd_space_each(struct herd_phys *p, const struct herd_space *s,
		    uint64_t start, uint64_t end,
		    int (*fn)(void *arg, uint64_t va,
			      const struct herd_mapping *m),
		    void *arg)
{
	/* no more tables than there are pages: one that is met twice is a lie */
	uint64_t pages = herd_phys_source(p)->size / HERD_PAGE + ENTRIES;
	unsigned tables = pages < TABLES_MAX ? (unsigned)pages : TABLES_MAX;

	return herd_space_each_within(p, s, start, end, &tables, fn, arg);
}

int herd_space_each_within(struct herd_phys *p, const struct herd_space *s,
			   uint64_t start, uint64_t end, unsigned *tables,
			   int (*fn)(void *arg, uint64_t va,
				     const struct herd_mapping *m),
			   void *arg)
{
	struct walk w = { p, s, start, end - 1, fn, arg, tables };
	unsigned bits = s->levels == 5 ? 57 : 48;
	uint64_t half = 1ull << (bits - 1);
	struct rights r = { true, true, false };
	int err = 0;

	if ((s->levels != 4 && s->levels != 5) || start >= end)
		return 0;
	if (start < half) {
		if (w.last > half - 1)
			w.last = half - 1;
		err = walk_table(&w, s->pgd, s->levels, 0, r);
	}
	if (err || end <= -half)
		return err;
	w.start = start > -half ? start : -half;
	w.last = end - 1;
	/* the upper half is the second one of the same table */
	return walk_table(&w, s->pgd, s->levels, -half - half, r);
}
