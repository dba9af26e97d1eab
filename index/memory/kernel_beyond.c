/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Memory that the machine has and the image has not, above its end. A raw file
 * that is as large as RAM is such an image: RAM has a hole below 4 GiB, and the
 * last of it lies as much higher. So has one that is cut short.
 */
#include "index/memory/kernel_internal.h"

/* Tables that are looked at. The kernel's image has some hundreds. */
#define TABLES_MAX 4096u
/* Firmware keeps the end of RAM for itself, and nobody captures that. */
#define SPARE (16ull << 20)

struct beyond {
	uint64_t size, furthest;
};

static int look(void *arg, uint64_t va, const struct herd_mapping *m)
{
	struct beyond *b = arg;
	/* of what is missing it is the table's own place */
	bool known = m->state == HERD_PAGE_PRESENT ||
		     m->state == HERD_PAGE_PROTNONE ||
		     m->state == HERD_PAGE_MISSING;

	(void)va;
	if (known && m->phys >= b->size && m->phys > b->furthest)
		b->furthest = m->phys;
	return 0;
}

uint64_t herd_kernel_leads_beyond(struct herd_kernel *k)
{
	struct beyond b = { .size = herd_phys_source(k->phys)->size };
	unsigned tables = TABLES_MAX;

	if (k->info.stext)
		(void)herd_space_each_within(k->phys, &k->space, k->info.stext,
					     k->info.stext +
						     HERD_KERNEL_SEARCHED,
					     &tables, look, &b);
	return b.furthest;
}

uint64_t herd_kernel_memory_end(struct herd_kernel *k)
{
	const uint64_t size = herd_phys_source(k->phys)->size;
	uint64_t at, pages;

	if (herd_kernel_symbol(k, "max_pfn", &at) ||
	    herd_kernel_u64(k, at, &pages) || pages >= 1ull << 40 ||
	    pages * HERD_PAGE < size + SPARE)
		return 0;
	return pages * HERD_PAGE;
}
