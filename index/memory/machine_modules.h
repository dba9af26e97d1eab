/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the two files of the modules' reader share, and nobody else includes:
 * machine_modules.c has the views in which a module is linked,
 * machine_module_scan.c the memory itself.
 *
 * Threads: belongs to one reader.
 */
#ifndef HERD_MACHINE_MODULES_H
#define HERD_MACHINE_MODULES_H

#include "index/memory/machine_internal.h"
#include "index/memory/machine_walk.h"

#define HERD_MODULE_PARTS 16u	    /* text, data, read-only … (7 in 6.12) */
#define HERD_MODULE_BYTES_MAX 4096u /* of a struct module */
/* Modules lie above the kernel's own gigabyte (or half of one), below the
   fixed mappings. */
#define HERD_MODULES_START 0xffffffffa0000000ULL
#define HERD_MODULES_END 0xffffffffff000000ULL

struct herd_module_types {
	struct herd_field state, list, name, kobj, kobj_mod, srcversion, init,
		exit, taints, refcnt, sources;
	struct herd_field base, size, init_size;       /* before 6.4 */
	struct herd_field parts, part_base, part_size; /* from 6.4 on */
	struct herd_field use_source_list, use_source;
	struct herd_field kset_list, kobject_entry, mkobj_kobj, mkobj_mod;
	struct herd_field tree, tree_node, tree_mod, left, right;
	uint32_t part_stride, whole;
};

/* Addresses that belong to a module that is known. */
struct herd_module_range {
	uint64_t start, end;
};

struct herd_module_reader {
	struct herd_reader *r;
	struct herd_walk_mem mem;
	struct herd_module_types t;
	struct herd_seen_map known; /* struct module: index */
	struct herd_module_range *ranges;
	size_t n_ranges, cap_ranges;
};

/*
 * Adds the module or, when it is known, sets `seen` as well. -EBADMSG: there is
 * no module there.
 */
int herd_module_add(struct herd_module_reader *m, uint64_t module,
		    uint32_t seen);
/* Sets HERD_MODULE_VMAP where the memory of a known module is one of the
   kernel's areas, and adds modules that are in memory alone. */
int herd_module_scan(struct herd_module_reader *m);

#endif
