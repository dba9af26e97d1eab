/* SPDX-License-Identifier: Apache-2.0 */
/* What machine_pages*.c share, and nobody else includes. */
#ifndef HERD_MACHINE_PAGES_INTERNAL_H
#define HERD_MACHINE_PAGES_INTERNAL_H

#include "acquire/base/cleanup.h"
#include "index/memory/machine_pages.h"

/* Pages of a file that some process may execute. */
struct herd_pages_range {
	uint32_t file;
	uint64_t first, end; /* page indices */
};
struct herd_pages {
	struct herd_machine *m;
	struct herd_phys *phys;
	herd_pages_read *read;
	void *arg;
	struct herd_pages_summary sum;
	struct herd_pages_range *ranges;
	size_t n_ranges, cap_ranges;
	size_t cap_digests, cap_changes;
	int8_t *textrel;	  /* by file: 0 not looked at, 1 no, 2 yes */
	uint64_t *not_comparable; /* by file: pages */
};

/* v has room for one more afterwards. */
int herd_pages_grow(void **v, size_t n, size_t *cap, size_t size);
/* Whether a mapping is of a file whose pages are looked at. */
bool herd_pages_wanted(const struct herd_machine *m, const struct herd_vma *v);
/* Where the cache has a page of a file; false: it has not. */
bool herd_pages_cached(const struct herd_mfile *f, uint64_t index,
		       uint64_t *ret_phys, bool *ret_dirty);
/* A page of the disk's file. */
int herd_pages_disk(struct herd_pages *p, uint32_t file, uint64_t index,
		    size_t n, uint8_t *buf);
/* Says how the page differs from other, and adds it; its kind, first and bytes
   are filled in here. */
int herd_pages_changed(struct herd_pages *p, struct herd_page_change c,
		       const uint8_t *own, const uint8_t *other, bool dirty);
/* Adds one that there is nothing to compare with. */
int herd_pages_not_comparable(struct herd_pages *p, struct herd_page_change c,
			      const uint8_t *own);
/* A problem of a file, seen count times. */
int herd_pages_problem(struct herd_pages *p, uint32_t file, const char *text,
		       uint64_t count);

/* machine_pages_private.c */
int herd_pages_private(struct herd_pages *p);
/* Whether a file has its text relocated when it is loaded (DT_TEXTREL). */
bool herd_pages_textrel(struct herd_pages *p, uint32_t file);

#endif
