/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A node is 256 bytes and aligned to that; a pointer to one has the node's type
 * in bits 3 to 6, and the one to the root has 2 in its lowest two bits. Slot i
 * holds what lies between the pivot before it and pivot i; the last slot, and
 * the one whose pivot is 0, end where the parent says.
 */
#include "index/memory/machine_maple.h"
#include "acquire/base/cleanup.h"

#include <string.h>

enum maple_type { MAPLE_DENSE, MAPLE_LEAF, MAPLE_RANGE, MAPLE_ARANGE };

int herd_maple_types(struct herd_kernel *k, struct herd_maple_types *ret,
		     struct herd_diag *diag)
{
#define MAPLE(type, member, f)                                              \
	{                                                                   \
		type, member, .where = offsetof(struct herd_maple_types, f) \
	}
	static const struct herd_wanted wanted[] = {
		MAPLE("maple_tree", "ma_root", root),
		MAPLE("maple_node", "slot", dense_slots),
		MAPLE("maple_range_64", "pivot", range_pivots),
		MAPLE("maple_range_64", "slot", range_slots),
		MAPLE("maple_arange_64", "pivot", arange_pivots),
		MAPLE("maple_arange_64", "slot", arange_slots),
	};
#undef MAPLE

	return herd_kernel_fields(k, wanted, ARRAY_SIZE(wanted), ret, diag);
}

/* In ma_root: not an entry of the tree's user but a node. */
static bool is_root_node(uint64_t v)
{
	return (v & 3) == 2 && v > 4096;
}

struct slots {
	const struct herd_field *pivots, *slots; /* pivots NULL: dense */
	bool leaf;
};

static bool slots_of(const struct herd_maple_types *t, uint64_t node,
		     struct slots *ret)
{
	switch ((enum maple_type)(node >> 3 & 15)) {
	case MAPLE_DENSE:
		*ret = (struct slots){ NULL, &t->dense_slots, true };
		return true;
	case MAPLE_LEAF:
	case MAPLE_RANGE:
		*ret = (struct slots){ &t->range_pivots, &t->range_slots,
				       (node >> 3 & 15) == MAPLE_LEAF };
		return true;
	case MAPLE_ARANGE:
		*ret = (struct slots){ &t->arange_pivots, &t->arange_slots,
				       false };
		return true;
	default:
		return false;
	}
}

static uint64_t element(const uint8_t *node, const struct herd_field *array,
			uint32_t i)
{
	struct herd_field f = { .offset = array->offset + i * 8, .size = 8 };

	return herd_walk_value(node, HERD_MAPLE_NODE_MAX, &f);
}

static int walk(struct herd_maple *t, uint64_t node, uint64_t min, uint64_t max,
		unsigned depth);

static int one_slot(struct herd_maple *t, const struct slots *s, uint64_t value,
		    uint64_t first, uint64_t last, unsigned depth)
{
	if (!value)
		return 0;
	if (s->leaf)
		return value & 3 ? 0 : t->entry(t->arg, first, last, value);
	if (!(value & 3))
		return walk(t, value, first, last, depth + 1);
	t->broken++;
	return 0;
}

static int walk(struct herd_maple *t, uint64_t node, uint64_t min, uint64_t max,
		unsigned depth)
{
	uint8_t bytes[HERD_MAPLE_NODE_MAX];
	struct slots s;
	uint32_t n, n_pivots;
	uint64_t first = min;

	if (t->nodes >= t->max_nodes)
		return -EOVERFLOW;
	t->nodes++;
	if (depth >= HERD_MAPLE_DEPTH_MAX || !slots_of(t->types, node, &s) ||
	    t->mem->read(t->mem->arg, node & -(uint64_t)HERD_MAPLE_NODE_MAX,
			 bytes, sizeof(bytes)) != 0) {
		t->broken++;
		return 0;
	}
	n = s.slots->size / 8;
	n_pivots = s.pivots ? s.pivots->size / 8 : 0;
	for (uint32_t i = 0; i < n; i++) {
		uint64_t last = s.pivots ? max : first;

		if (s.pivots && i < n_pivots) {
			last = element(bytes, s.pivots, i);
			if (!last && i)
				last = max;
		}
		if (last < first || last > max) {
			t->broken++;
			return 0;
		}
		int err = one_slot(t, &s, element(bytes, s.slots, i), first,
				   last, depth);

		if (err || last == max)
			return err;
		first = last + 1;
	}
	return 0;
}

int herd_maple_each(struct herd_maple *t)
{
	t->nodes = t->broken = 0;
	if (!t->root)
		return 0;
	if (is_root_node(t->root))
		return walk(t, t->root, 0, UINT64_MAX, 0);
	return t->root & 3 ? 0 : t->entry(t->arg, 0, 0, t->root);
}
