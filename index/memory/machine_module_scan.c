/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Modules out of the memory that is for them. The page tables say which of it
 * is in use; what belongs to no known module there (beside modules it holds
 * programs of BPF, trampolines, slots of kprobes) is searched for a struct
 * module, which holds its own address (mkobj.mod). So a module that unlinked
 * itself from every list is still found, unless it wrote over its own struct,
 * too.
 */
#include "index/memory/machine_modules.h"

#include <stdlib.h>
#include <string.h>

#define SCAN_PAGES_MAX 65536u
#define TREE_DEPTH_MAX 256u
#define VMAP_NODES_MAX 1024u

/* ---- the kernel's areas ---- */

struct area_types {
	struct herd_field start, end, node; /* vmap_area */
	struct herd_field left, right;
	struct herd_field busy; /* vmap_node, from 6.9 on */
	uint32_t node_stride;
};
#define MAYBE(t, m, where_)                                   \
	{                                                     \
		.type = (t), .member = (m), .optional = true, \
		.where = offsetof(struct area_types, where_)  \
	}

/* Whether an area of the tree below root has va. */
static bool in_tree(struct herd_kernel *k, const struct area_types *t,
		    uint64_t root, uint64_t va)
{
	uint64_t start, end;

	for (unsigned i = 0; root && i < TREE_DEPTH_MAX; i++) {
		uint64_t area = root - t->node.offset;

		if (herd_kernel_get(k, area, &t->start, &start) ||
		    herd_kernel_get(k, area, &t->end, &end))
			return false;
		if (va >= start && va < end)
			return true;
		if (herd_kernel_get(k, root, va < start ? &t->left : &t->right,
				    &root))
			return false;
	}
	return false;
}

static bool in_areas(struct herd_kernel *k, const struct area_types *t,
		     uint64_t va)
{
	uint64_t at, root, nodes;
	uint32_t n;

	if (!herd_kernel_symbol(k, "vmap_area_root", &at))
		return !herd_kernel_u64(k, at, &root) &&
		       in_tree(k, t, root, va);
	if (!herd_field_there(&t->busy) || !t->node_stride ||
	    herd_kernel_symbol(k, "vmap_nodes", &at) ||
	    herd_kernel_u64(k, at, &nodes) ||
	    herd_kernel_symbol(k, "nr_vmap_nodes", &at) ||
	    herd_kernel_u32(k, at, &n))
		return false;
	for (uint32_t i = 0; i < n && i < VMAP_NODES_MAX; i++) {
		uint64_t node = nodes + (uint64_t)i * t->node_stride;

		if (!herd_kernel_get(k, node, &t->busy, &root) &&
		    in_tree(k, t, root, va))
			return true;
	}
	return false;
}

static int look_at_areas(struct herd_module_reader *m)
{
	static const struct herd_wanted wanted[] = {
		MAYBE("vmap_area", "va_start", start),
		MAYBE("vmap_area", "va_end", end),
		MAYBE("vmap_area", "rb_node", node),
		MAYBE("rb_node", "rb_left", left),
		MAYBE("rb_node", "rb_right", right),
		MAYBE("vmap_node", "busy.root", busy),
	};
	struct herd_machine *machine = m->r->m;
	struct area_types t = { 0 };
	int err = herd_kernel_fields(m->r->k, wanted, ARRAY_SIZE(wanted), &t,
				     NULL);

	if (err)
		return err;
	if (!herd_field_there(&t.start) || !herd_field_there(&t.end) ||
	    !herd_field_there(&t.node) || !herd_field_there(&t.left) ||
	    !herd_field_there(&t.right))
		return 0;
	(void)herd_kernel_sizeof(m->r->k, "vmap_node", &t.node_stride);
	for (size_t i = 0; i < machine->n_modules; i++)
		if (in_areas(m->r->k, &t, machine->modules[i].base))
			machine->modules[i].seen |= HERD_MODULE_VMAP;
	return 0;
}

/* ---- what no known module has ---- */

struct scan {
	struct herd_module_reader *m;
	size_t n_ranges; /* sorted; those of modules found since not */
	uint64_t image_start, image_end;
	size_t pages;
	int missing; /* why some of it could not be read; 0 */
};

static int by_start(const void *a, const void *b)
{
	const struct herd_module_range *x = a, *y = b;

	return (x->start > y->start) - (x->start < y->start);
}

static bool claimed(const struct scan *s, uint64_t va)
{
	const struct herd_module_range *r = s->m->ranges;
	size_t low = 0, high = s->n_ranges;

	if (va >= s->image_start && va < s->image_end)
		return true;
	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (r[middle].start <= va)
			low = middle + 1;
		else
			high = middle;
	}
	return low && va < r[low - 1].end;
}

static int scan_page(struct scan *s, uint64_t va)
{
	uint64_t words[HERD_PAGE / sizeof(uint64_t)];
	const uint64_t self = s->m->t.kobj_mod.offset;

	int missing = herd_kernel_read(s->m->r->k, va, words, sizeof(words));

	if (missing) {
		s->missing = missing;
		return 0;
	}
	for (size_t i = 0; i < ARRAY_SIZE(words); i++) {
		uint64_t at = va + i * sizeof(uint64_t);
		int err;

		if (words[i] != at - self)
			continue;
		err = herd_module_add(s->m, at - self, HERD_MODULE_VMAP);
		if (err == -ENOMEM || err == -EOVERFLOW)
			return err;
	}
	return 0;
}

static int scan_mapping(void *arg, uint64_t va, const struct herd_mapping *map)
{
	struct scan *s = arg;

	if (map->state == HERD_PAGE_MISSING)
		s->missing = -ENODATA;
	if (map->state != HERD_PAGE_PRESENT)
		return 0;
	for (uint64_t at = va; at - va < map->left; at += HERD_PAGE) {
		int err;

		if (claimed(s, at))
			continue;
		if (++s->pages > SCAN_PAGES_MAX)
			return -EFBIG;
		err = scan_page(s, at);
		if (err)
			return err;
	}
	return 0;
}

int herd_module_scan(struct herd_module_reader *m)
{
	struct herd_kernel *k = m->r->k;
	struct scan s = { .m = m };
	int err = look_at_areas(m);

	if (err || !herd_field_there(&m->t.kobj_mod))
		return err;
	if (herd_kernel_symbol(k, "_stext", &s.image_start) ||
	    herd_kernel_symbol(k, "_end", &s.image_end))
		s.image_start = s.image_end = 0;
	s.image_start &= ~((1ULL << 21) - 1);
	s.image_end = (s.image_end + (1ULL << 21) - 1) & ~((1ULL << 21) - 1);
	if (m->n_ranges)
		qsort(m->ranges, m->n_ranges, sizeof(*m->ranges), by_start);
	s.n_ranges = m->n_ranges;
	err = herd_space_each(herd_kernel_phys(k), herd_kernel_space(k),
			      HERD_MODULES_START, HERD_MODULES_END,
			      scan_mapping, &s);
	herd_reader_unread(m->r, HERD_UNREAD_MODULE_MEMORY,
			   err == -EFBIG ? -ENODATA : s.missing);
	if (err == -EFBIG) {
		herd_reader_problem(m->r, "modules",
				    "the memory for modules is "
				    "larger than what is searched");
		return 0;
	}
	return err;
}
