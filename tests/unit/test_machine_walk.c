/* SPDX-License-Identifier: Apache-2.0 */
/* Walking the kernel's lists, xarrays and trees, sound and broken ones. */
#include "index/memory/machine_walk.h"
#include "acquire/base/cleanup.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <cmocka.h>

/* ---- memory: a few kilobytes at an address ---- */

#define BASE 0xffff888000010000ULL
#define SIZE 65536u

struct fixture {
	uint8_t bytes[SIZE];
	struct herd_walk_mem mem;
	struct herd_xarray_types types;
	/* what the xarray gave */
	uint64_t index[256], count[256], pointer[256];
	size_t n;
	int stop_at;
};

static int fake_read(void *arg, uint64_t va, void *buf, size_t len)
{
	struct fixture *f = arg;

	if (va < BASE || va - BASE > SIZE || len > SIZE - (va - BASE))
		return -EFAULT;
	memcpy(buf, f->bytes + (va - BASE), len);
	return 0;
}

static void put(struct fixture *f, uint64_t va, uint64_t v)
{
	assert_true(va >= BASE && va - BASE <= SIZE - 8);
	memcpy(f->bytes + (va - BASE), &v, sizeof(v));
}

static void put_u8(struct fixture *f, uint64_t va, uint8_t v)
{
	f->bytes[va - BASE] = v;
}

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	assert_non_null(f);
	f->mem = (struct herd_walk_mem){ fake_read, f };
	f->types = (struct herd_xarray_types){
		.head = { .offset = 8, .size = 8 },
		.shift = { .offset = 0, .size = 1 },
		.offset = { .offset = 1, .size = 1 },
		.parent = { .offset = 8, .size = 8 },
		.array = { .offset = 16, .size = 8 },
		.slots = { .offset = 40, .size = 512 },
	};
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	free(*state);
	return 0;
}

/* ---- lists ---- */

static size_t length(struct herd_chain *c)
{
	uint64_t node;
	size_t n = 0;

	while (herd_chain_next(c, &node))
		n++;
	return n;
}

static void test_list(void **state)
{
	struct fixture *f = *state;
	struct herd_chain c;
	uint64_t node;

	put(f, BASE, BASE + 0x100);
	put(f, BASE + 0x100, BASE + 0x200);
	put(f, BASE + 0x200, BASE);
	c = herd_chain_list(&f->mem, BASE, 10);
	assert_true(herd_chain_next(&c, &node));
	assert_int_equal(node, BASE + 0x100);
	assert_true(herd_chain_next(&c, &node));
	assert_int_equal(node, BASE + 0x200);
	assert_false(herd_chain_next(&c, &node));
	assert_int_equal(c.err, 0);

	put(f, BASE, BASE);
	c = herd_chain_list(&f->mem, BASE, 10);
	assert_int_equal(length(&c), 0);
	assert_int_equal(c.err, 0);
}

static void test_list_broken(void **state)
{
	struct fixture *f = *state;
	struct herd_chain c;

	/* a circle that the head is not in */
	put(f, BASE, BASE + 0x100);
	for (unsigned i = 1; i < 20; i++)
		put(f, BASE + 0x100 * i, BASE + 0x100 * (i + 1));
	put(f, BASE + 0x100 * 20, BASE + 0x100 * 7);
	c = herd_chain_list(&f->mem, BASE, 100000);
	assert_in_range(length(&c), 20, 100);
	assert_int_equal(c.err, -ELOOP);
	/* longer than it may be */
	c = herd_chain_list(&f->mem, BASE, 5);
	assert_int_equal(length(&c), 5);
	assert_int_equal(c.err, -EOVERFLOW);
	/* poison, as list_del leaves it */
	put(f, BASE + 0x200, 0xdead000000000100ULL);
	c = herd_chain_list(&f->mem, BASE, 100);
	assert_int_equal(length(&c), 2);
	assert_int_equal(c.err, -EFAULT);
	/* a node of its own */
	put(f, BASE + 0x200, BASE + 0x200);
	c = herd_chain_list(&f->mem, BASE, 100);
	assert_in_range(length(&c), 2, 5);
	assert_int_equal(c.err, -ELOOP);
	/* NULL ends no list_head */
	put(f, BASE + 0x200, 0);
	c = herd_chain_list(&f->mem, BASE, 100);
	assert_int_equal(length(&c), 2);
	assert_int_equal(c.err, -EFAULT);
	/* no head */
	c = herd_chain_list(&f->mem, BASE - 4096, 100);
	assert_int_equal(length(&c), 0);
	assert_int_equal(c.err, -EFAULT);
}

static void test_hlist(void **state)
{
	struct fixture *f = *state;
	struct herd_chain c;

	put(f, BASE + 0x100, BASE + 0x200);
	put(f, BASE + 0x200, 0);
	c = herd_chain_hlist(&f->mem, BASE + 0x100, 10);
	assert_int_equal(length(&c), 2);
	assert_int_equal(c.err, 0);
	put(f, BASE + 0x200, 2 * 77 + 1); /* nulls: the bucket's number */
	c = herd_chain_hlist(&f->mem, BASE + 0x100, 10);
	assert_int_equal(length(&c), 2);
	assert_int_equal(c.err, 0);
	c = herd_chain_hlist(&f->mem, 0, 10);
	assert_int_equal(length(&c), 0);
	assert_int_equal(c.err, 0);
	put(f, BASE + 0x200, BASE + 0x100);
	c = herd_chain_hlist(&f->mem, BASE + 0x100, 1000);
	assert_in_range(length(&c), 2, 5);
	assert_int_equal(c.err, -ELOOP);
	/* the pointer may lie elsewhere in the node */
	put(f, BASE + 0x108, BASE + 0x300);
	put(f, BASE + 0x308, 0);
	c = herd_chain_hlist(&f->mem, BASE + 0x100, 10);
	c.link = 8;
	assert_int_equal(length(&c), 2);
	assert_int_equal(c.err, 0);
}

/* ---- addresses seen ---- */

static void test_seen(void **state)
{
	CLEANUP_SEEN struct herd_seen_map s = { 0 };
	uint32_t v = 0;

	(void)state;
	assert_false(herd_seen_has(&s, BASE, NULL));
	for (uint32_t i = 1; i <= 5000; i++)
		assert_int_equal(herd_seen_add(&s, BASE + i * 64ULL, i, NULL),
				 0);
	for (uint32_t i = 1; i <= 5000; i++) {
		assert_true(herd_seen_has(&s, BASE + i * 64ULL, &v));
		assert_int_equal(v, i);
	}
	assert_int_equal(herd_seen_add(&s, BASE + 64, 9, &v), 1);
	assert_int_equal(v, 1);
	assert_false(herd_seen_has(&s, BASE + 1, NULL));
	assert_int_equal(s.n, 5000);
}

/* ---- values ---- */

static void test_value(void **state)
{
	const uint8_t bytes[] = { 0x12, 0x34, 0xf5, 0xff };
	struct herd_field f = { .offset = 0, .size = 2 };

	(void)state;
	assert_int_equal(herd_walk_value(bytes, 4, &f), 0x3412);
	f = (struct herd_field){ .offset = 2, .size = 1, .bit = 4, .bits = 3 };
	assert_int_equal(herd_walk_value(bytes, 4, &f), 7);
	f = (struct herd_field){ .offset = 3, .size = 2 };
	assert_int_equal(herd_walk_value(bytes, 4, &f), 0);
	f = (struct herd_field){ .offset = HERD_FIELD_MISSING, .size = 8 };
	assert_int_equal(herd_walk_value(bytes, 4, &f), 0);
	f = (struct herd_field){ .offset = 0xfffffffe, .size = 4 };
	assert_int_equal(herd_walk_value(bytes, 4, &f), 0);
}

/* ---- xarrays ---- */

#define ARRAY (BASE + 0x40)
#define NODE(i) (BASE + 0x1000 + (i)*0x400ULL)
#define PAGE(i) (0xffffea0000000000ULL + (i)*64ULL)

static void node(struct fixture *f, unsigned i, unsigned shift, uint64_t parent,
		 unsigned offset)
{
	memset(f->bytes + (NODE(i) - BASE), 0, 0x400);
	put_u8(f, NODE(i), (uint8_t)shift);
	put_u8(f, NODE(i) + 1, (uint8_t)offset);
	put(f, NODE(i) + 8, parent);
	put(f, NODE(i) + 16, ARRAY);
}

static void slot(struct fixture *f, unsigned i, unsigned n, uint64_t entry)
{
	put(f, NODE(i) + 40 + 8ULL * n, entry);
}

static int note(void *arg, uint64_t index, uint64_t count, uint64_t pointer)
{
	struct fixture *f = arg;

	assert_true(f->n < ARRAY_SIZE(f->index));
	f->index[f->n] = index;
	f->count[f->n] = count;
	f->pointer[f->n++] = pointer;
	return f->stop_at && f->n == (size_t)f->stop_at ? -E2BIG : 0;
}

static struct herd_xarray walked(struct fixture *f, int want)
{
	struct herd_xarray x = {
		.mem = &f->mem,
		.types = &f->types,
		.array = ARRAY,
		.entry = note,
		.arg = f,
	};

	f->n = 0;
	assert_int_equal(herd_xarray_each(&x), want);
	return x;
}

static void test_xarray_small(void **state)
{
	struct fixture *f = *state;

	put(f, ARRAY + 8, 0);
	walked(f, 0);
	assert_int_equal(f->n, 0);
	put(f, ARRAY + 8, PAGE(3));
	walked(f, 0);
	assert_int_equal(f->n, 1);
	assert_int_equal(f->index[0], 0);
	assert_int_equal(f->count[0], 1);
	assert_int_equal(f->pointer[0], PAGE(3));
	put(f, ARRAY + 8, 0x1235); /* a value: a shadow */
	walked(f, 0);
	assert_int_equal(f->n, 0);
	put(f, ARRAY + 8, 257 << 2 | 2); /* internal, and no node */
	walked(f, 0);
	assert_int_equal(f->n, 0);
}

static void test_xarray_levels(void **state)
{
	struct fixture *f = *state;
	struct herd_xarray x;

	node(f, 0, 12, 0, 0);
	node(f, 1, 6, NODE(0), 2);
	node(f, 2, 0, NODE(1), 63);
	put(f, ARRAY + 8, NODE(0) + 2);
	slot(f, 0, 2, NODE(1) + 2);
	slot(f, 1, 63, NODE(2) + 2);
	slot(f, 2, 5, PAGE(1));
	slot(f, 2, 6, 0x777); /* a value */
	slot(f, 2, 63, PAGE(2));
	slot(f, 1, 1, PAGE(64));    /* 64 pages at once */
	slot(f, 0, 63, PAGE(4096)); /* 4096 pages */
	x = walked(f, 0);
	assert_int_equal(x.nodes, 3);
	assert_int_equal(x.broken, 0);
	assert_int_equal(f->n, 4);
	assert_int_equal(f->index[0], 2 * 4096 + 64);
	assert_int_equal(f->count[0], 64);
	assert_int_equal(f->index[1], 2 * 4096 + 63 * 64 + 5);
	assert_int_equal(f->count[1], 1);
	assert_int_equal(f->pointer[1], PAGE(1));
	assert_int_equal(f->index[2], 2 * 4096 + 63 * 64 + 63);
	assert_int_equal(f->index[3], 63 * 4096);
	assert_int_equal(f->count[3], 4096);
	f->stop_at = 2;
	walked(f, -E2BIG);
	assert_int_equal(f->n, 2);
}

static void test_xarray_siblings(void **state)
{
	struct fixture *f = *state;

	node(f, 0, 0, 0, 0);
	put(f, ARRAY + 8, NODE(0) + 2);
	slot(f, 0, 8, PAGE(8)); /* order 2 at 8 */
	for (unsigned i = 9; i < 12; i++)
		slot(f, 0, i, 8 << 2 | 2);
	slot(f, 0, 12, PAGE(12));
	slot(f, 0, 13, 8 << 2 | 2); /* astray: of nobody before it */
	slot(f, 0, 62, PAGE(62));
	slot(f, 0, 63, 62 << 2 | 2);
	walked(f, 0);
	assert_int_equal(f->n, 3);
	assert_int_equal(f->index[0], 8);
	assert_int_equal(f->count[0], 4);
	assert_int_equal(f->index[1], 12);
	assert_int_equal(f->count[1], 1);
	assert_int_equal(f->index[2], 62);
	assert_int_equal(f->count[2], 2);
}

static void test_xarray_broken(void **state)
{
	struct fixture *f = *state;
	struct herd_xarray x;

	node(f, 0, 6, 0, 0);
	put(f, ARRAY + 8, NODE(0) + 2);
	node(f, 1, 0, NODE(0), 1);
	slot(f, 1, 0, PAGE(1));
	for (unsigned i = 0; i < 64; i++)
		slot(f, 0, i, NODE(1) + 2); /* 64 times the same node */
	x = walked(f, 0);
	assert_int_equal(x.nodes, 2);
	assert_int_equal(x.broken, 63);
	assert_int_equal(f->n, 1);
	assert_int_equal(f->index[0], 64);

	put(f, NODE(1) + 8, NODE(5)); /* another's child */
	x = walked(f, 0);
	assert_int_equal(x.broken, 64);
	assert_int_equal(f->n, 0);

	node(f, 1, 0, NODE(0), 1);
	put(f, NODE(1) + 16, ARRAY + 64); /* of another array */
	x = walked(f, 0);
	assert_int_equal(x.broken, 64);

	node(f, 1, 6, NODE(0), 1); /* as high as its parent */
	x = walked(f, 0);
	assert_int_equal(x.broken, 64);

	node(f, 0, 6, 0, 0);
	slot(f, 0, 1, NODE(0) + 2); /* itself */
	x = walked(f, 0);
	assert_int_equal(x.broken, 1);
	assert_int_equal(x.nodes, 1);

	node(f, 0, 0, 0, 0);
	slot(f, 0, 1, NODE(1) + 2); /* a node where only entries are */
	x = walked(f, 0);
	assert_int_equal(x.broken, 1);

	node(f, 0, 66, 0, 0); /* higher than there is */
	x = walked(f, 0);
	assert_int_equal(x.broken, 1);
	assert_int_equal(x.nodes, 0);
	node(f, 0, 5, 0, 0);
	x = walked(f, 0);
	assert_int_equal(x.broken, 1);

	put(f, ARRAY + 8, BASE + SIZE + 2); /* not in the image */
	x = walked(f, 0);
	assert_int_equal(x.broken, 1);
}

/* ---- trees ---- */

static const struct herd_field right = { .offset = 8, .size = 8 };
static const struct herd_field left = { .offset = 16, .size = 8 };

static int count_node(void *arg, uint64_t va)
{
	(void)va;
	++*(size_t *)arg;
	return 0;
}

static void test_rbtree(void **state)
{
	struct fixture *f = *state;
	size_t n = 0;

	assert_int_equal(herd_rbtree_each(&f->mem, 0, &left, &right, 10,
					  count_node, &n),
			 0);
	/* a heap of 63 nodes */
	for (unsigned i = 1; i < 64; i++) {
		put(f, BASE + i * 64 + 8, i < 32 ? BASE + 2 * i * 64 : 0);
		put(f, BASE + i * 64 + 16,
		    i < 32 ? BASE + (2 * i + 1) * 64 : 0);
	}
	assert_int_equal(herd_rbtree_each(&f->mem, BASE + 64, &left, &right,
					  100, count_node, &n),
			 0);
	assert_int_equal(n, 63);
	n = 0;
	assert_int_equal(herd_rbtree_each(&f->mem, BASE + 64, &left, &right, 40,
					  count_node, &n),
			 -EOVERFLOW);
	assert_int_equal(n, 40);
	/* a leaf that leads back to the top, and one out of the image */
	n = 0;
	put(f, BASE + 63 * 64 + 8, BASE + 64);
	assert_int_equal(herd_rbtree_each(&f->mem, BASE + 64, &left, &right,
					  100, count_node, &n),
			 -ELOOP);
	assert_int_equal(n, 63);
	n = 0;
	put(f, BASE + 63 * 64 + 8, 0x1000);
	assert_int_equal(herd_rbtree_each(&f->mem, BASE + 64, &left, &right,
					  100, count_node, &n),
			 -EFAULT);
	assert_int_equal(n, 63);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_list, setup, teardown),
		cmocka_unit_test_setup_teardown(test_list_broken, setup,
						teardown),
		cmocka_unit_test_setup_teardown(test_hlist, setup, teardown),
		cmocka_unit_test(test_seen),
		cmocka_unit_test(test_value),
		cmocka_unit_test_setup_teardown(test_xarray_small, setup,
						teardown),
		cmocka_unit_test_setup_teardown(test_xarray_levels, setup,
						teardown),
		cmocka_unit_test_setup_teardown(test_xarray_siblings, setup,
						teardown),
		cmocka_unit_test_setup_teardown(test_xarray_broken, setup,
						teardown),
		cmocka_unit_test_setup_teardown(test_rbtree, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
