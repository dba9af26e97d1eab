/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Maple trees made here, whole and broken, in a memory of 256-byte nodes.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "index/memory/machine_maple.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define BASE UINT64_C(0xffff888000100000)
#define NODES 600u

enum { DENSE, LEAF, RANGE, ARANGE };

/* As the 64-bit kernels have them. */
static const struct herd_maple_types types = {
	.root = { .offset = 8, .size = 8 },
	.dense_slots = { .offset = 8, .size = 31 * 8 },
	.range_pivots = { .offset = 8, .size = 15 * 8 },
	.range_slots = { .offset = 128, .size = 16 * 8 },
	.arange_pivots = { .offset = 8, .size = 9 * 8 },
	.arange_slots = { .offset = 80, .size = 10 * 8 },
};

struct world {
	uint64_t node[NODES][32];
	size_t used;
	size_t reads;
	/* what the walk said */
	struct {
		uint64_t first, last, value;
	} got[8192];
	size_t n_got;
	int stop_at; /* entry() fails there; 0: never */
};

static int read_world(void *arg, uint64_t va, void *buf, size_t len)
{
	struct world *w = arg;

	w->reads++;
	if (va < BASE || va - BASE > sizeof(w->node) ||
	    len > sizeof(w->node) - (va - BASE))
		return -EFAULT;
	memcpy(buf, (uint8_t *)w->node + (va - BASE), len);
	return 0;
}

static int entry(void *arg, uint64_t first, uint64_t last, uint64_t value)
{
	struct world *w = arg;

	assert_true(w->n_got < sizeof(w->got) / sizeof(w->got[0]));
	w->got[w->n_got].first = first;
	w->got[w->n_got].last = last;
	w->got[w->n_got++].value = value;
	return w->stop_at && (int)w->n_got == w->stop_at ? -EINTR : 0;
}

static int walk(struct world *w, uint64_t root, size_t max, size_t *ret_broken)
{
	struct herd_walk_mem mem = { read_world, w };
	struct herd_maple t = { .mem = &mem,
				.types = &types,
				.root = root,
				.entry = entry,
				.arg = w,
				.max_nodes = max };

	w->n_got = w->reads = 0;
	int err = herd_maple_each(&t);

	assert_int_equal(t.nodes >= w->reads, 1);
	*ret_broken = t.broken;
	return err;
}

static struct world *new_world(void)
{
	struct world *w = calloc(1, sizeof(*w));

	assert_non_null(w);
	return w;
}

/* A pointer to a node as another node has it; of the root in ma_root. */
static uint64_t enode(size_t i, int type)
{
	return (BASE + i * 256) | (uint64_t)type << 3 | 4;
}

static uint64_t root_of(size_t i, int type)
{
	return (BASE + i * 256) | (uint64_t)type << 3 | 2;
}

static uint64_t *slots(struct world *w, size_t i, int type)
{
	return &w->node[i][type == DENSE ? 1 : type == ARANGE ? 10 : 16];
}

static uint64_t *pivots(struct world *w, size_t i)
{
	return &w->node[i][1];
}

static void got(const struct world *w, size_t i, uint64_t first, uint64_t last,
		uint64_t value)
{
	assert_true(i < w->n_got);
	assert_int_equal(w->got[i].first, first);
	assert_int_equal(w->got[i].last, last);
	assert_int_equal(w->got[i].value, value);
}

static void test_small(void **state)
{
	struct world *w = new_world();
	size_t broken;

	(void)state;
	assert_int_equal(walk(w, 0, 10, &broken), 0);
	assert_int_equal(w->n_got, 0);
	/* one entry at 0 needs no node */
	assert_int_equal(walk(w, 0xffff888000001000, 10, &broken), 0);
	assert_int_equal(w->n_got, 1);
	got(w, 0, 0, 0, 0xffff888000001000);
	/* what is reserved is none */
	assert_int_equal(walk(w, 0x402, 10, &broken), 0);
	assert_int_equal(w->n_got, 0);
	/* a leaf: a gap, two, a gap to the end */
	pivots(w, 0)[0] = 0xfff;
	pivots(w, 0)[1] = 0x1fff;
	pivots(w, 0)[2] = 0x4fff;
	slots(w, 0, LEAF)[1] = 0x8000;
	slots(w, 0, LEAF)[2] = 0x9000;
	slots(w, 0, LEAF)[5] = 0xdead0000; /* behind the end: no entry */
	assert_int_equal(walk(w, root_of(0, LEAF), 10, &broken), 0);
	assert_int_equal(broken, 0);
	assert_int_equal(w->n_got, 2);
	got(w, 0, 0x1000, 0x1fff, 0x8000);
	got(w, 1, 0x2000, 0x4fff, 0x9000);
	free(w);
}

static void test_full_leaf(void **state)
{
	struct world *w = new_world();
	size_t broken;

	(void)state;
	for (size_t i = 0; i < 15; i++)
		pivots(w, 0)[i] = i * 0x1000 + 0xfff;
	for (size_t i = 0; i < 16; i++)
		slots(w, 0, LEAF)[i] = 0x10000 + i * 8;
	assert_int_equal(walk(w, root_of(0, LEAF), 10, &broken), 0);
	assert_int_equal(w->n_got, 16);
	for (size_t i = 0; i < 15; i++)
		got(w, i, i * 0x1000, i * 0x1000 + 0xfff, 0x10000 + i * 8);
	got(w, 15, 0xf000, UINT64_MAX, 0x10000 + 15 * 8);
	assert_int_equal(broken, 0);
	/* one that is reserved is left out; the rest stays */
	slots(w, 0, LEAF)[3] = 0x402;
	assert_int_equal(walk(w, root_of(0, LEAF), 10, &broken), 0);
	assert_int_equal(w->n_got, 15);
	/* whoever asks may stop */
	w->stop_at = 4;
	assert_int_equal(walk(w, root_of(0, LEAF), 10, &broken), -EINTR);
	assert_int_equal(w->n_got, 4);
	free(w);
}

static void test_dense(void **state)
{
	struct world *w = new_world();
	size_t broken;

	(void)state;
	slots(w, 0, DENSE)[0] = 0x1000;
	slots(w, 0, DENSE)[30] = 0x2000;
	assert_int_equal(walk(w, root_of(0, DENSE), 10, &broken), 0);
	assert_int_equal(w->n_got, 2);
	got(w, 0, 0, 0, 0x1000);
	got(w, 1, 30, 30, 0x2000);
	free(w);
}

/* arange over range over leaves: 10 × 16 × 8 entries, in order. */
static void test_levels(void **state)
{
	struct world *w = new_world();
	size_t broken, next = 1;

	(void)state;
	for (uint64_t a = 0; a < 10; a++) {
		size_t range = next++;

		if (a < 9)
			pivots(w, 0)[a] = (a + 1) * 0x1000000 - 1;
		slots(w, 0, ARANGE)[a] = enode(range, RANGE);
		for (uint64_t b = 0; b < 16; b++) {
			size_t leaf = next++;
			uint64_t low = a * 0x1000000 + b * 0x100000;

			if (b < 15)
				pivots(w, range)[b] = low + 0xfffff;
			slots(w, range, RANGE)[b] = enode(leaf, LEAF);
			for (uint64_t c = 0; c < 8; c++) {
				pivots(w, leaf)[c] = low + c * 0x1000 + 0xfff;
				slots(w, leaf, LEAF)[c] = 8 * (1 + low + c);
			}
			/* behind them a gap; the last but one fills its range */
		}
	}
	assert_true(next <= NODES);
	assert_int_equal(walk(w, root_of(0, ARANGE), NODES, &broken), 0);
	assert_int_equal(broken, 0);
	assert_int_equal(w->n_got, 10 * 16 * 8);
	assert_int_equal(w->reads, 1 + 10 + 160);
	for (size_t i = 0; i < w->n_got; i++) {
		uint64_t low = i / 128 * 0x1000000 + i / 8 % 16 * 0x100000;

		got(w, i, low + i % 8 * 0x1000, low + i % 8 * 0x1000 + 0xfff,
		    8 * (1 + low + i % 8));
	}
	/* the bound */
	assert_int_equal(walk(w, root_of(0, ARANGE), 170, &broken), -EOVERFLOW);
	assert_int_equal(w->reads, 170);
	free(w);
}

static void test_circle(void **state)
{
	struct world *w = new_world();
	size_t broken;

	(void)state;
	/* one slot that is the node itself */
	pivots(w, 0)[0] = UINT64_MAX;
	slots(w, 0, RANGE)[0] = enode(0, RANGE);
	assert_int_equal(walk(w, root_of(0, RANGE), 1000, &broken), 0);
	assert_int_equal(broken, 1);
	assert_int_equal(w->reads, HERD_MAPLE_DEPTH_MAX);
	/* all slots of each: the bound ends it */
	for (size_t i = 0; i < 15; i++)
		pivots(w, 0)[i] = i + 1;
	for (size_t i = 0; i < 16; i++)
		slots(w, 0, RANGE)[i] = enode(0, RANGE);
	(void)walk(w, root_of(0, RANGE), 1000, &broken);
	assert_true(broken > 0);
	assert_true(w->reads <= 1000);
	free(w);
}

static void test_broken(void **state)
{
	struct world *w = new_world();
	size_t broken;

	(void)state;
	/* pivots that go down: what stands before them counts */
	pivots(w, 0)[0] = 0x1fff;
	pivots(w, 0)[1] = 0x0fff;
	slots(w, 0, LEAF)[0] = 0x8000;
	slots(w, 0, LEAF)[1] = 0x9000;
	assert_int_equal(walk(w, root_of(0, LEAF), 10, &broken), 0);
	assert_int_equal(broken, 1);
	assert_int_equal(w->n_got, 1);
	/* a child that claims more than its parent gave it */
	pivots(w, 1)[0] = 0xfff;
	slots(w, 1, RANGE)[0] = enode(0, LEAF);
	slots(w, 1, RANGE)[1] = enode(2, LEAF);
	pivots(w, 2)[0] = 0x2fff;
	slots(w, 2, LEAF)[0] = 0xa000;
	assert_int_equal(walk(w, root_of(1, RANGE), 10, &broken), 0);
	assert_int_equal(broken, 1);
	assert_int_equal(w->n_got, 1);
	got(w, 0, 0x1000, 0x2fff, 0xa000);
	/* an unknown type, a node that is not there, a marked child */
	slots(w, 1, RANGE)[0] = enode(0, 9);
	slots(w, 1, RANGE)[1] = enode(NODES + 7, LEAF);
	assert_int_equal(walk(w, root_of(1, RANGE), 10, &broken), 0);
	assert_int_equal(broken, 2);
	assert_int_equal(w->n_got, 0);
	slots(w, 1, RANGE)[0] = enode(2, LEAF) | 1;
	slots(w, 1, RANGE)[1] = 0;
	assert_int_equal(walk(w, root_of(1, RANGE), 10, &broken), 0);
	assert_int_equal(broken, 1);
	free(w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_small),  cmocka_unit_test(test_full_leaf),
		cmocka_unit_test(test_dense),  cmocka_unit_test(test_levels),
		cmocka_unit_test(test_circle), cmocka_unit_test(test_broken),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
