/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sets of ranges against a plain array of bits.
 */
#include "tests/unit/image_util.h"

#include "acquire/source.h"

#define BITS 300

static void check_equal(const struct herd_extents *e, const uint8_t *bits,
			size_t n)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < n; i++) {
		sum += bits[i];
		assert_int_equal(herd_extents_overlap(e, i, 1), bits[i]);
	}
	assert_int_equal(herd_extents_bytes(e), sum);
	for (size_t i = 1; i < e->n; i++)
		assert_true(e->v[i].start >
			    e->v[i - 1].start + e->v[i - 1].len);
}

static void test_add_merges(void **state)
{
	struct herd_extents e = { 0 };

	(void)state;
	assert_int_equal(herd_extents_add(&e, 10, 0), 0);
	assert_int_equal(e.n, 0);
	assert_int_equal(herd_extents_add(&e, 10, 5), 0);
	assert_int_equal(herd_extents_add(&e, 15, 5), 0);
	assert_int_equal(herd_extents_add(&e, 12, 2), 0);
	assert_int_equal(e.n, 1);
	assert_int_equal(e.v[0].start, 10);
	assert_int_equal(e.v[0].len, 10);
	assert_int_equal(herd_extents_add(&e, 21, 1), 0);
	assert_int_equal(e.n, 2);
	herd_extents_deinit(&e);
	assert_null(e.v);
}

static void test_limits(void **state)
{
	struct herd_extents e = { 0 }, w = { 0 };

	(void)state;
	assert_int_equal(herd_extents_add(&e, UINT64_MAX - 5, 100), 0);
	assert_int_equal(herd_extents_bytes(&e), 5);
	assert_true(herd_extents_overlap(&e, 0, UINT64_MAX));
	assert_false(herd_extents_overlap(&e, 0, 10));
	assert_false(herd_extents_overlap(&e, UINT64_MAX - 3, 0));
	assert_int_equal(herd_extents_window(&e, 10, UINT64_MAX, &w), 0);
	assert_int_equal(w.n, 1);
	assert_int_equal(w.v[0].start, UINT64_MAX - 15);
	herd_extents_deinit(&e);
	herd_extents_deinit(&w);
}

static void test_random(void **state)
{
	uint64_t seed = 42;

	(void)state;
	for (int round = 0; round < 500; round++) {
		struct herd_extents e = { 0 }, w = { 0 };
		uint8_t bits[BITS] = { 0 };
		size_t n = random_next(&seed) % 12;

		for (size_t i = 0; i < n; i++) {
			size_t start = random_next(&seed) % BITS;
			size_t len = random_next(&seed) % 40;

			if (len > BITS - start)
				len = BITS - start;
			memset(bits + start, 1, len);
			assert_int_equal(herd_extents_add(&e, start, len), 0);
		}
		herd_extents_normalise(&e);
		check_equal(&e, bits, BITS);

		size_t from = random_next(&seed) % BITS;
		size_t len = random_next(&seed) % (BITS - from);

		herd_extents_add(&w, 1, 1);
		assert_int_equal(herd_extents_window(&e, from, len, &w), 0);
		check_equal(&w, bits + from, len);
		for (int k = 0; k < 50; k++) {
			size_t at = random_next(&seed) % BITS;
			size_t many = random_next(&seed) % (BITS - at);

			assert_int_equal(herd_extents_overlap(&e, at, many),
					 memchr(bits + at, 1, many) != NULL);
		}
		herd_extents_deinit(&e);
		herd_extents_deinit(&w);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_add_merges),
		cmocka_unit_test(test_limits),
		cmocka_unit_test(test_random),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
