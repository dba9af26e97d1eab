/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Physical memory and x86_64 page tables, four and five levels. All that is
 * read is untrusted: a table points where it likes, and gets nothing but an
 * error for it.
 *
 * Threads: a herd_phys belongs to one thread at a time (it keeps a small cache
 * of pages); the source below may be shared. A herd_space is a value.
 */
#ifndef HERD_MEMORY_PAGES_H
#define HERD_MEMORY_PAGES_H

#include "acquire/source.h"

#define HERD_PAGE 4096u

struct herd_phys;
/* source: as acquire/memory.h opens it; borrowed. */
int herd_phys_create(struct herd_source *source, struct herd_phys **ret);
void herd_phys_destroy(struct herd_phys *p);
/*
 * beat (may be NULL; borrowed): moves with every read of the image and with
 * every herd_phys_beat, for who watches whether work goes on. Work that reads
 * nothing new for long, or past the cache, beats itself.
 */
void herd_phys_watch(struct herd_phys *p, _Atomic uint64_t *beat);
void herd_phys_beat(struct herd_phys *p);
struct herd_source *herd_phys_source(struct herd_phys *p);
/* Exactly len bytes; -ENODATA where the image has none. No diag: callers meet
   this all the time and count it. */
int herd_phys_read(struct herd_phys *p, uint64_t addr, void *buf, size_t len);
/*
 * 0, or why something could not be read that the image may well have: the first
 * such error. What was taken for a gap since then may be none.
 */
int herd_phys_failed(const struct herd_phys *p);
/* A whole page in the cache, valid until the next call; NULL: not there. */
const void *herd_phys_page(struct herd_phys *p, uint64_t addr);
/* The ranges that the image holds. */
const struct herd_extents *herd_phys_ranges(const struct herd_phys *p);
bool herd_phys_has(struct herd_phys *p, uint64_t addr, uint64_t len);

/* An address space. */
struct herd_space {
	uint64_t pgd;		/* physical address of the top table */
	uint8_t levels;		/* 4 or 5 */
	uint64_t sme_mask;	/* the encryption bit, or 0 */
	/* non-present entries: swapped ones are inverted on CPUs with L1TF */
};

enum herd_page_state {
	HERD_PAGE_NONE,		/* no entry, or one of all zeros */
	HERD_PAGE_PRESENT,
	HERD_PAGE_PROTNONE,	/* there, but PROT_NONE (the frame is known) */
	HERD_PAGE_SWAPPED,	/* in a swap area; type and offset in `swap` */
	HERD_PAGE_MIGRATING,	/* another special entry: migration, hwpoison,
				   device, marker */
	HERD_PAGE_MISSING,	/* a table, or the page itself, is not in the image */
};
struct herd_mapping {
	enum herd_page_state state;
	uint64_t phys;		/* of the address itself; PRESENT and PROTNONE. Of
				   the table that is MISSING */
	uint64_t left;		/* bytes from the address to the end of this
				   entry (a page, or the hole of a missing
				   table); never 0, so that walks go on */
	uint8_t shift;		/* 12, 21 or 30: how large the page is */
	bool write, user, noexec, dirty, accessed;
	uint64_t entry;		/* the raw last entry */
	uint32_t swap_type;
	uint64_t swap_offset;
};
/* Always fills *ret. Non-canonical addresses: NONE. */
void herd_space_look(struct herd_phys *p, const struct herd_space *s,
		     uint64_t va, struct herd_mapping *ret);
/* Through the tables; -EFAULT not mapped, -ENODATA not in the image. */
int herd_space_read(struct herd_phys *p, const struct herd_space *s,
		    uint64_t va, void *buf, size_t len);
/*
 * fn for each mapped (or swapped …) stretch of [start, end) in order, holes
 * left out; one large page is one call, neighbours are not merged. fn returning
 * non-zero ends it and is returned. Tables that are missing in the image come
 * as HERD_PAGE_MISSING. Work is bounded by the tables that are there.
 */
int herd_space_each(struct herd_phys *p, const struct herd_space *s,
		    uint64_t start, uint64_t end,
		    int (*fn)(void *arg, uint64_t va,
			      const struct herd_mapping *m), void *arg);
/* The same for many ranges that share a bound: *tables is how many may still be
   read. -EOVERFLOW when it is used up. */
int herd_space_each_within(struct herd_phys *p, const struct herd_space *s,
			   uint64_t start, uint64_t end, unsigned *tables,
			   int (*fn)(void *arg, uint64_t va,
				     const struct herd_mapping *m), void *arg);

#endif
