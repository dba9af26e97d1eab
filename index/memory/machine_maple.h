/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Maple trees, which map ranges of numbers to pointers: a process's address
 * space from 6.1 on. All that is read is untrusted: a node has to lie within
 * the range that its parent gives it, the depth and the number of nodes are
 * bounded.
 *
 * Threads: values, each of one thread.
 */
#ifndef HERD_MACHINE_MAPLE_H
#define HERD_MACHINE_MAPLE_H

#include "index/memory/machine_walk.h"

#define HERD_MAPLE_NODE_MAX 256u
#define HERD_MAPLE_DEPTH_MAX 24u

/* Where things lie in a node, out of the kernel's types. */
struct herd_maple_types {
	struct herd_field root;		/* maple_tree.ma_root */
	struct herd_field dense_slots;	/* arrays, all of them */
	struct herd_field range_pivots, range_slots;
	struct herd_field arange_pivots, arange_slots;
};
int herd_maple_types(struct herd_kernel *k, struct herd_maple_types *ret,
		     struct herd_diag *diag);

struct herd_maple {
	const struct herd_walk_mem *mem;
	const struct herd_maple_types *types;
	uint64_t root;		/* the value of ma_root */
	/* In order of `first`. What the tree keeps for itself (reserved
	   entries) is left out. Non-zero ends the walk and is returned. */
	int (*entry)(void *arg, uint64_t first, uint64_t last, uint64_t value);
	void *arg;
	size_t max_nodes;	/* -EOVERFLOW beyond */
	size_t nodes;		/* set: how many were read */
	size_t broken;		/* set: how many were left out: unreadable, of
				   no known type, out of their range */
};
int herd_maple_each(struct herd_maple *t);

#endif
