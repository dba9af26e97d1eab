/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How the kernel's own containers are walked in an image: lists (list_head,
 * hlist, hlist_nulls), xarrays (radix trees, IDRs) and red-black trees. Each
 * walk ends whatever the pointers say: there is a bound, cycles are noticed,
 * and what is broken is told by an error and not followed.
 *
 * Nothing here knows herd_kernel: memory comes by a function, so that tests
 * can have one of their own.
 *
 * Threads: values, each of one thread.
 */
#ifndef HERD_MACHINE_WALK_H
#define HERD_MACHINE_WALK_H

#include "index/memory/kernel.h"

struct herd_walk_mem {
	/* Exactly len bytes at a kernel address, or -errno. */
	int (*read)(void *arg, uint64_t va, void *buf, size_t len);
	void *arg;
};
/* The image's own; borrows k. */
struct herd_walk_mem herd_walk_kernel(struct herd_kernel *k);

/* The value of a field in bytes read from the start of its struct; zero-
   extended, bit fields shifted and masked; 0 when it is missing or lies
   outside. */
uint64_t herd_walk_value(const void *bytes, size_t len,
			 const struct herd_field *f);

/* ---- lists ---- */

enum herd_chain_kind {
	HERD_CHAIN_LIST,  /* list_head: ends where it began */
	HERD_CHAIN_HLIST, /* ends with NULL, or an odd pointer (nulls) */
};
struct herd_chain {
	const struct herd_walk_mem *mem;
	enum herd_chain_kind kind;
	uint64_t next, head;
	uint32_t link; /* where in a node the next pointer is */
	uint64_t mark; /* Brent's: a node passed long ago */
	size_t steps, until, max;
	int err; /* why it ended: 0 at its end, -ELOOP a cycle,
				   -EOVERFLOW longer than max, -EFAULT a bad
				   pointer or no memory there */
};
/* head: of a list_head its address; of a hlist that of the first node. */
struct herd_chain herd_chain_list(const struct herd_walk_mem *mem,
				  uint64_t head, size_t max);
/* The same list from its other end. */
struct herd_chain herd_chain_list_back(const struct herd_walk_mem *mem,
				       uint64_t head, size_t max);
struct herd_chain herd_chain_hlist(const struct herd_walk_mem *mem,
				   uint64_t first, size_t max);
/* false at the end, which err explains. */
bool herd_chain_next(struct herd_chain *c, uint64_t *ret_node);

/* ---- addresses seen ---- */

/* A map from addresses to numbers. */
struct herd_seen_map {
	uint64_t *keys;
	uint32_t *values;
	size_t n, cap;
};
void herd_seen_deinit(struct herd_seen_map *s);
#define CLEANUP_SEEN CLEANUP(herd_seen_deinit)
/* key not 0. Puts value there unless it is there already; 1: it was, and
   *ret_value is what it has. */
int herd_seen_add(struct herd_seen_map *s, uint64_t key, uint32_t value,
		  uint32_t *ret_value);
bool herd_seen_has(const struct herd_seen_map *s, uint64_t key,
		   uint32_t *ret_value);

/* ---- xarrays ---- */

struct herd_xarray_types {
	struct herd_field head; /* xarray.xa_head */
	struct herd_field shift, offset, parent, array, slots; /* of xa_node */
};
int herd_xarray_types(struct herd_kernel *k, struct herd_xarray_types *ret,
		      struct herd_diag *diag);

struct herd_xarray {
	const struct herd_walk_mem *mem;
	const struct herd_xarray_types *types;
	uint64_t array; /* address of the struct xarray */
	/* A pointer entry: it covers `count` indices from index on. Values
	   (shadows, swap) and what is internal are left out. Non-zero ends the
	   walk. */
	int (*entry)(void *arg, uint64_t index, uint64_t count,
		     uint64_t pointer);
	void *arg;
	size_t nodes;  /* set: how many were walked */
	size_t broken; /* set: how many were left out: unreadable, or
				   not this array's, or not of that place */
};
/*
 * Each node says where it hangs (parent, slot, array) and has a lower shift
 * than its parent: one that lies is left out, so no node is walked twice and
 * nothing grows beyond the nodes that are in the image.
 */
int herd_xarray_each(struct herd_xarray *x);

/* ---- red-black trees ---- */

/*
 * fn for each rb_node below root (the address of the top node, 0 none), in no
 * order that matters. At most max; a node met again is not entered. Returns 0,
 * fn's, or why the tree could not be walked in full.
 */
int herd_rbtree_each(const struct herd_walk_mem *mem, uint64_t root,
		     const struct herd_field *left,
		     const struct herd_field *right, size_t max,
		     int (*fn)(void *arg, uint64_t node), void *arg);

#endif
