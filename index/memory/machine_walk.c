/* SPDX-License-Identifier: Apache-2.0 */
#include "index/memory/machine_walk.h"
#include "acquire/base/cleanup.h"
#include "acquire/base/diag.h"

#include <stdlib.h>
#include <string.h>

static int read_kernel(void *arg, uint64_t va, void *buf, size_t len)
{
	return herd_kernel_read(arg, va, buf, len);
}

struct herd_walk_mem herd_walk_kernel(struct herd_kernel *k)
{
	return (struct herd_walk_mem){ read_kernel, k };
}

uint64_t herd_walk_value(const void *bytes, size_t len,
			 const struct herd_field *f)
{
	uint64_t v = 0;

	if (!herd_field_there(f) || f->size > len || f->offset > len - f->size)
		return 0;
	memcpy(&v, (const uint8_t *)bytes + f->offset,
	       f->size < sizeof(v) ? f->size : sizeof(v));
	if (f->bits && f->bit < 64) {
		v >>= f->bit;
		if (f->bits < 64)
			v &= (1ULL << f->bits) - 1;
	}
	return v;
}

/* ---- lists ---- */

static int read_pointer(const struct herd_walk_mem *mem, uint64_t va,
			uint64_t *ret)
{
	return mem->read(mem->arg, va, ret, sizeof(*ret));
}

/* link: of the pointer that is followed, in a list_head. */
static struct herd_chain chain_list(const struct herd_walk_mem *mem,
				    uint64_t head, uint32_t link, size_t max)
{
	struct herd_chain c = {
		.mem = mem,
		.kind = HERD_CHAIN_LIST,
		.head = head,
		.link = link,
		.until = 1,
		.max = max,
	};

	c.err = read_pointer(mem, head + link, &c.next);
	return c;
}

struct herd_chain herd_chain_list(const struct herd_walk_mem *mem,
				  uint64_t head, size_t max)
{
	return chain_list(mem, head, 0, max);
}

struct herd_chain herd_chain_list_back(const struct herd_walk_mem *mem,
				       uint64_t head, size_t max)
{
	return chain_list(mem, head, sizeof(uint64_t) /* prev */, max);
}

struct herd_chain herd_chain_hlist(const struct herd_walk_mem *mem,
				   uint64_t first, size_t max)
{
	return (struct herd_chain){
		.mem = mem,
		.kind = HERD_CHAIN_HLIST,
		.next = first,
		.until = 1,
		.max = max,
	};
}

static bool at_end(const struct herd_chain *c)
{
	if (c->kind == HERD_CHAIN_LIST)
		return c->next == c->head;
	return !c->next || (c->next & 1);
}

bool herd_chain_next(struct herd_chain *c, uint64_t *ret_node)
{
	uint64_t node = c->next;

	if (c->err || at_end(c))
		return false;
	if (node == c->mark)
		c->err = -ELOOP;
	else if (c->steps >= c->max)
		c->err = -EOVERFLOW;
	else
		c->err = read_pointer(c->mem, node + c->link, &c->next);
	if (c->err)
		return false;
	if (++c->steps == c->until) {
		c->mark = node;
		c->until *= 2;
	}
	*ret_node = node;
	return true;
}

/* ---- addresses seen ---- */

void herd_seen_deinit(struct herd_seen_map *s)
{
	free(s->keys);
	free(s->values);
	memset(s, 0, sizeof(*s));
}

static size_t seen_place(const struct herd_seen_map *s, uint64_t key)
{
	size_t i = (key * 0x9e3779b97f4a7c15ULL) >> 32 & (s->cap - 1);

	while (s->keys[i] && s->keys[i] != key)
		i = (i + 1) & (s->cap - 1);
	return i;
}

static int seen_grow(struct herd_seen_map *s)
{
	struct herd_seen_map big = { .cap = s->cap ? s->cap * 2 : 64 };

	big.keys = calloc(big.cap, sizeof(*big.keys));
	big.values = calloc(big.cap, sizeof(*big.values));
	if (!big.keys || !big.values) {
		herd_seen_deinit(&big);
		return -ENOMEM;
	}
	for (size_t i = 0; i < s->cap; i++) {
		size_t to;

		if (!s->keys[i])
			continue;
		to = seen_place(&big, s->keys[i]);
		big.keys[to] = s->keys[i];
		big.values[to] = s->values[i];
	}
	big.n = s->n;
	herd_seen_deinit(s);
	*s = big;
	return 0;
}

int herd_seen_add(struct herd_seen_map *s, uint64_t key, uint32_t value,
		  uint32_t *ret_value)
{
	size_t i;

	if (s->n >= s->cap / 2) {
		int err = seen_grow(s);

		if (err)
			return err;
	}
	i = seen_place(s, key);
	if (s->keys[i]) {
		if (ret_value)
			*ret_value = s->values[i];
		return 1;
	}
	s->keys[i] = key;
	s->values[i] = value;
	s->n++;
	return 0;
}

bool herd_seen_has(const struct herd_seen_map *s, uint64_t key,
		   uint32_t *ret_value)
{
	size_t i;

	if (!s->cap || !key)
		return false;
	i = seen_place(s, key);
	if (!s->keys[i])
		return false;
	if (ret_value)
		*ret_value = s->values[i];
	return true;
}

/* ---- xarrays ---- */

#define CHUNK_SHIFT 6u
#define CHUNK 64u
#define NODE_MAX 2048u /* bytes that a struct xa_node may have */
#define SHIFT_MAX 60u

#define FIELD(t, m, where_)                                         \
	{                                                           \
		.type = (t), .member = (m),                         \
		.where = offsetof(struct herd_xarray_types, where_) \
	}

int herd_xarray_types(struct herd_kernel *k, struct herd_xarray_types *ret,
		      struct herd_diag *diag)
{
	static const struct herd_wanted wanted[] = {
		FIELD("xarray", "xa_head", head),
		FIELD("xa_node", "shift", shift),
		FIELD("xa_node", "offset", offset),
		FIELD("xa_node", "parent", parent),
		FIELD("xa_node", "array", array),
		FIELD("xa_node", "slots", slots),
	};
	int err = herd_kernel_fields(k, wanted, ARRAY_SIZE(wanted), ret, diag);

	if (err)
		return err;
	if (ret->slots.size != CHUNK * sizeof(uint64_t) ||
	    ret->slots.offset > NODE_MAX - ret->slots.size)
		return herd_diag_set(
			diag, -EOPNOTSUPP, "", HERD_NO_OFFSET,
			"nodes of xarrays have %u bytes of slots here",
			ret->slots.size);
	return 0;
}

static bool is_node(uint64_t entry)
{
	return (entry & 3) == 2 && entry > 4096;
}

/* An internal entry that says: as the slot of that number. */
static bool is_sibling_of(uint64_t entry, unsigned slot)
{
	return entry == ((uint64_t)slot << 2 | 2);
}

/* A node that is being walked. */
struct level {
	uint64_t node, base;  /* its address; the first index below it */
	unsigned shift, next; /* indices a slot, as a power of two */
	uint64_t slots[CHUNK];
};

/* Reads a node and checks that it belongs where it was found. */
static int enter(struct herd_xarray *x, struct level *l, uint64_t node,
		 const struct level *above, unsigned slot)
{
	const struct herd_xarray_types *t = x->types;
	uint8_t bytes[NODE_MAX];
	size_t len = t->slots.offset + t->slots.size;
	uint64_t shift;

	if (x->mem->read(x->mem->arg, node, bytes, len))
		return -EFAULT;
	shift = herd_walk_value(bytes, len, &t->shift);
	if (herd_walk_value(bytes, len, &t->array) != x->array ||
	    herd_walk_value(bytes, len, &t->parent) !=
		    (above ? above->node : 0))
		return -EBADMSG;
	if (above ? shift + CHUNK_SHIFT != above->shift ||
			    herd_walk_value(bytes, len, &t->offset) != slot :
		    shift > SHIFT_MAX || shift % CHUNK_SHIFT)
		return -EBADMSG;
	l->node = node;
	l->shift = (unsigned)shift;
	l->next = 0;
	l->base = above ? above->base + ((uint64_t)slot << above->shift) : 0;
	memcpy(l->slots, bytes + t->slots.offset, sizeof(l->slots));
	x->nodes++;
	return 0;
}

/* One slot's pointer, with the siblings that follow it. */
static int give(struct herd_xarray *x, struct level *l, unsigned slot)
{
	uint64_t count = 1;

	while (l->next < CHUNK && is_sibling_of(l->slots[l->next], slot)) {
		count++;
		l->next++;
	}
	return x->entry(x->arg, l->base + ((uint64_t)slot << l->shift),
			count << l->shift, l->slots[slot]);
}

static int walk_nodes(struct herd_xarray *x, uint64_t top)
{
	struct level levels[SHIFT_MAX / CHUNK_SHIFT + 1];
	int depth = 0, err = 0;

	if (enter(x, &levels[0], top, NULL, 0)) {
		x->broken++;
		return 0;
	}
	while (depth >= 0 && !err) {
		struct level *l = &levels[depth];
		unsigned slot = l->next;
		uint64_t entry;

		if (slot >= CHUNK) {
			depth--;
			continue;
		}
		l->next++;
		entry = l->slots[slot];
		if (!entry || (entry & 1)) {
			continue;
		} else if (!(entry & 3)) {
			err = give(x, l, slot);
		} else if (is_node(entry)) {
			if (l->shift &&
			    !enter(x, &levels[depth + 1], entry - 2, l, slot))
				depth++;
			else
				x->broken++;
		}
	}
	return err;
}

int herd_xarray_each(struct herd_xarray *x)
{
	uint64_t head;

	x->nodes = 0;
	x->broken = 0;
	if (read_pointer(x->mem, x->array + x->types->head.offset, &head)) {
		x->broken++;
		return 0;
	}
	if (is_node(head))
		return walk_nodes(x, head - 2);
	if (head && !(head & 3))
		return x->entry(x->arg, 0, 1, head);
	return 0;
}

/* ---- red-black trees ---- */

int herd_rbtree_each(const struct herd_walk_mem *mem, uint64_t root,
		     const struct herd_field *left,
		     const struct herd_field *right, size_t max,
		     int (*fn)(void *arg, uint64_t node), void *arg)
{
	CLEANUP_SEEN struct herd_seen_map seen = { 0 };
	uint64_t stack[256]; /* of a balanced tree of 2^64 nodes: 128 */
	size_t depth = 0;
	int bad = 0;

	if (root)
		stack[depth++] = root;
	while (depth) {
		uint64_t node = stack[--depth], child[2];
		int err;

		if (seen.n >= max)
			return -EOVERFLOW;
		err = herd_seen_add(&seen, node, 0, NULL);
		if (err < 0)
			return err;
		if (err) {
			bad = -ELOOP;
			continue;
		}
		err = read_pointer(mem, node + left->offset, &child[0]);
		if (!err)
			err = read_pointer(mem, node + right->offset,
					   &child[1]);
		if (err) {
			bad = err;
			continue;
		}
		err = fn(arg, node);
		if (err)
			return err;
		for (unsigned i = 0; i < 2; i++) {
			if (!child[i])
				continue;
			if (depth == ARRAY_SIZE(stack))
				return -EOVERFLOW;
			stack[depth++] = child[i];
		}
	}
	return bad;
}
