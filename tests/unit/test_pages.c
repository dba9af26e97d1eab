/* SPDX-License-Identifier: Apache-2.0 */
/* Physical memory with gaps, and page tables whose entries are of every kind. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "acquire/base/cleanup.h"
#include "acquire/source_impl.h"
#include "index/memory/pages.h"

#include <string.h>

#define SIZE (32u << 20)
#define TOP 0x1000u
#define GIB (1ull << 30)

static uint8_t *memory;
static struct herd_source *source;
static struct herd_phys *phys;

/* Memory from 0 to 16 MiB and from 24 MiB on; a page in it is half there. */
static bool gap(uint64_t off)
{
	return (off >= 16u << 20 && off < 24u << 20) ||
	       (off >= 0x300800 && off < 0x301000);
}
static int broken; /* what reading fails with */
static int read_gappy(struct herd_source *s, void *buf, size_t len,
		      uint64_t off, struct herd_diag *diag)
{
	(void)s;
	(void)diag;
	if (broken)
		return broken;
	for (uint64_t at = off; at < off + len; at += at % 512 ? 1 : 512)
		if (gap(at))
			return -ENODATA;
	if (len && gap(off + len - 1))
		return -ENODATA;
	memcpy(buf, memory + off, len);
	return 0;
}
static int gappy_extents(struct herd_source *s, struct herd_extents *ret,
			 struct herd_diag *diag)
{
	(void)s;
	(void)diag;
	return herd_extents_add(ret, 0, 0x300800) ?:
	       herd_extents_add(ret, 0x301000, (16u << 20) - 0x301000) ?:
	       herd_extents_add(ret, 24u << 20, 8u << 20);
}
static void gappy_destroy(struct herd_source *s)
{
	herd_source_deinit(s);
	free(s);
}
static const struct herd_source_ops gappy_ops = {
	.kind = "gappy",
	.read = read_gappy,
	.data_extents = gappy_extents,
	.destroy = gappy_destroy,
};

static int set_up(void **state)
{
	(void)state;
	memory = calloc(1, SIZE);
	source = calloc(1, sizeof(*source));
	if (!memory || !source ||
	    herd_source_init(source, &gappy_ops, "gappy", SIZE))
		return -1;
	return herd_phys_create(source, &phys);
}
static int tear_down(void **state)
{
	(void)state;
	herd_phys_destroy(phys);
	herd_source_destroy(source);
	free(memory);
	broken = 0;
	return 0;
}

static void entry(uint64_t table, unsigned i, uint64_t v)
{
	memcpy(memory + table + 8ull * i, &v, 8);
}

static void test_physical(void **state)
{
	uint8_t b[20000];

	(void)state;
	for (unsigned i = 0; i < SIZE; i += 4)
		memcpy(memory + i, &i, 4);
	assert_int_equal(herd_phys_read(phys, 4090, b, 300), 0);
	assert_memory_equal(b, memory + 4090, 300);
	assert_int_equal(herd_phys_read(phys, 77, b, sizeof(b)), 0);
	assert_memory_equal(b, memory + 77, sizeof(b));
	assert_int_equal(herd_phys_read(phys, (16u << 20) - 8, b, 16), -ENODATA);
	assert_int_equal(herd_phys_read(phys, SIZE - 8, b, 8), 0);
	assert_int_equal(herd_phys_read(phys, SIZE - 8, b, 9), -ENODATA);
	assert_int_equal(herd_phys_read(phys, UINT64_MAX - 3, b, 8), -ENODATA);
	assert_int_equal(herd_phys_read(phys, UINT64_MAX - 3, b, 20000),
			 -ENODATA);
	/* a page of which half is there is no page, but can be read from */
	assert_null(herd_phys_page(phys, 0x300000));
	assert_int_equal(herd_phys_read(phys, 0x3007f0, b, 16), 0);
	assert_int_equal(herd_phys_read(phys, 0x3007f1, b, 16), -ENODATA);
	assert_true(herd_phys_has(phys, 0x300000, 0x800));
	assert_false(herd_phys_has(phys, 0x300000, 0x801));
	assert_true(herd_phys_has(phys, 0x301000, 8u << 20));
	assert_false(herd_phys_has(phys, 0x2fffff, 8u << 20));
	assert_false(herd_phys_has(phys, 8u << 20, 9u << 20));
	assert_false(herd_phys_has(phys, SIZE, 1));
	assert_false(herd_phys_has(phys, UINT64_MAX, 2));
	assert_int_equal(herd_phys_ranges(phys)->n, 3);
	/* more pages than the cache holds, twice */
	for (int round = 0; round < 2; round++)
		for (uint64_t at = 0x400000; at < 16u << 20; at += 4096) {
			const uint8_t *p = herd_phys_page(phys, at + 5);

			assert_non_null(p);
			assert_memory_equal(p, memory + at, 4096);
		}
}

/* The beat moves when the image is read, and else only when it is asked to. */
static void test_beat(void **state)
{
	static uint8_t big[3 * HERD_PAGE];
	_Atomic uint64_t beat = 0;
	uint8_t byte;

	(void)state;
	herd_phys_beat(phys);	/* nobody watches */
	herd_phys_watch(phys, &beat);
	assert_int_equal(beat, 0);
	assert_non_null(herd_phys_page(phys, 0x5000));
	assert_int_equal(beat, 1);
	assert_non_null(herd_phys_page(phys, 0x5000));	/* has it */
	assert_int_equal(beat, 1);
	assert_int_equal(herd_phys_read(phys, 0x6000, &byte, 1), 0);
	assert_int_equal(beat, 2);
	assert_int_equal(herd_phys_read(phys, 0x5000, big, sizeof(big)), 0);
	assert_int_equal(beat, 3);	/* past the cache */
	assert_null(herd_phys_page(phys, 17u << 20));
	assert_int_equal(beat, 4);	/* a gap had to be looked for as well */
	herd_phys_beat(phys);
	assert_int_equal(beat, 5);
	herd_phys_watch(phys, NULL);
	assert_non_null(herd_phys_page(phys, 0x9000));
	assert_int_equal(beat, 5);
}

/* Tables of 4 levels at TOP (or of 5 at 0x9000 above it); user half at 1 GiB. */
static void make_tables(int levels, uint64_t mask)
{
	memset(memory, 0, 1u << 20);
	/* no-execute at the top is PTI's, and says nothing */
	entry(0x9000, 0, TOP | mask | 0x67 | 1ull << 63);
	entry(TOP, 0, 0x2000 | mask | 0x67 | (levels == 4 ? 1ull << 63 : 0));
	entry(0x2000, 1, 0x3000 | mask | 0x67);	/* at 1 GiB */
	entry(0x2000, 2, 0x0 | mask | 0xe7);	/* a page of 1 GiB */
	entry(0x2000, 3, 0x12345000 | mask | 0x67);	/* not in the image */
	entry(0x3000, 0, 0x4000 | mask | 0x67);
	entry(0x3000, 1, 0x400000 | mask | 0x10e5);	/* 2 MiB, PAT bit, read */
	entry(0x3000, 2, (~0x600000ull & 0x000fffffffe00000) | 0x180);
	entry(0x4000, 0, 0x5000 | mask | 0x865 | 1ull << 63);
	entry(0x4000, 1, (~0x6000ull & 0x000ffffffffff000) | 0x160);
	entry(0x4000, 2, (uint64_t)3 << 59 |
			 (~0x1234ull << 14 >> 5 & 0x07fffffffffffe00));
	entry(0x4000, 3, (uint64_t)30 << 59 | 0x07fffffffffffe00);
	entry(0x4000, 4, (uint64_t)(17u << 20) | 0x67);	/* in the gap */
}

static struct herd_mapping look(uint64_t va, int levels, uint64_t mask)
{
	struct herd_space s = { levels == 5 ? 0x9000 : TOP, (uint8_t)levels,
				mask };
	struct herd_mapping m;

	/* the cache is of the memory before */
	herd_phys_destroy(phys);
	assert_int_equal(herd_phys_create(source, &phys), 0);
	herd_space_look(phys, &s, va, &m);
	assert_true(m.left > 0);
	return m;
}

static void check_tables(int levels, uint64_t mask)
{
	struct herd_mapping m;

	make_tables(levels, mask);
	m = look(GIB + 0x123, levels, mask);
	assert_int_equal(m.state, HERD_PAGE_PRESENT);
	assert_int_equal(m.phys, 0x5123);
	assert_int_equal(m.left, 4096 - 0x123);
	assert_true(m.user && m.noexec && m.dirty && m.accessed && !m.write);
	m = look(GIB + 0x1010, levels, mask);
	assert_int_equal(m.state, HERD_PAGE_PROTNONE);
	assert_int_equal(m.phys & ~mask, 0x6010);
	m = look(GIB + 0x2010, levels, mask);
	assert_int_equal(m.state, HERD_PAGE_SWAPPED);
	assert_int_equal(m.swap_type, 3);
	assert_int_equal(m.swap_offset, 0x1234);
	m = look(GIB + 0x3010, levels, mask);
	assert_int_equal(m.state, HERD_PAGE_MIGRATING);
	m = look(GIB + 0x4010, levels, mask);	/* its frame is another matter */
	assert_int_equal(m.state, HERD_PAGE_PRESENT);
	m = look(GIB + 0x5010, levels, mask);
	assert_int_equal(m.state, HERD_PAGE_NONE);
	assert_int_equal(m.left, 4096 - 0x10);
	m = look(GIB + 0x2abcde, levels, mask);
	assert_int_equal(m.state, HERD_PAGE_PRESENT);
	assert_int_equal(m.phys, 0x4abcde);
	assert_int_equal(m.shift, 21);
	assert_int_equal(m.left, 0x200000 - 0xabcde);
	assert_false(m.noexec);	/* the top's bit is of no account */
	m = look(GIB + 0x400000, levels, mask);
	assert_int_equal(m.state, HERD_PAGE_PROTNONE);
	assert_int_equal(m.phys & ~mask, 0x600000);
	m = look(2 * GIB + 0x7654321, levels, mask);
	assert_int_equal(m.state, HERD_PAGE_PRESENT);
	assert_int_equal(m.shift, 30);
	assert_int_equal(m.phys, 0x7654321);
	m = look(3 * GIB + 5, levels, mask);
	assert_int_equal(m.state, HERD_PAGE_MISSING);
	assert_int_equal(m.phys, 0x12345000);
	assert_int_equal(m.left, GIB - 5);
	m = look(4 * GIB + 5, levels, mask);
	assert_int_equal(m.state, HERD_PAGE_NONE);
	assert_int_equal(m.left, GIB - 5);
	m = look(1ull << 40, levels, mask);
	assert_int_equal(m.state, HERD_PAGE_NONE);
	/* no address at all */
	m = look(levels == 4 ? 1ull << 47 : 1ull << 56, levels, mask);
	assert_int_equal(m.state, HERD_PAGE_NONE);
	m = look(0xdeadbeefdeadbeef, levels, mask);
	assert_int_equal(m.state, HERD_PAGE_NONE);
}

static void test_look(void **state)
{
	(void)state;
	check_tables(4, 0);
	check_tables(5, 0);
	check_tables(4, 1ull << 47);
	check_tables(5, 1ull << 51);
}

static void test_read(void **state)
{
	struct herd_space s = { TOP, 4, 0 };
	uint8_t b[0x3000];

	(void)state;
	make_tables(4, 0);
	memset(memory + 0x5000, 0x55, 0x1000);
	memset(memory + 0x6000, 0x66, 0x1000);
	look(0, 4, 0);
	assert_int_equal(herd_space_read(phys, &s, GIB, b, 0x2000), 0);
	assert_memory_equal(b, memory + 0x5000, 0x2000);
	assert_int_equal(herd_space_read(phys, &s, GIB + 0x1fff, b, 2), -EFAULT);
	assert_int_equal(herd_space_read(phys, &s, GIB + 0x4000, b, 1),
			 -ENODATA);
	assert_int_equal(herd_space_read(phys, &s, 3 * GIB, b, 1), -ENODATA);
	assert_int_equal(herd_space_read(phys, &s, UINT64_MAX, b, 2), -EFAULT);
	assert_int_equal(herd_space_read(phys, &s, GIB, b, 0), 0);
}

/* ---- all of a range ---- */

struct seen {
	uint64_t va[64];
	struct herd_mapping m[64];
	unsigned n, stop;
};
static int on_mapping(void *arg, uint64_t va, const struct herd_mapping *m)
{
	struct seen *s = arg;

	if (s->n < 64) {
		s->va[s->n] = va;
		s->m[s->n] = *m;
	}
	return ++s->n == s->stop ? 77 : 0;
}

static void check_each(int levels)
{
	struct herd_space s = { levels == 5 ? 0x9000 : TOP, (uint8_t)levels, 0 };
	struct seen seen = { .n = 0 };
	static const uint64_t want[] = {
		GIB, GIB + 0x1000, GIB + 0x2000, GIB + 0x3000, GIB + 0x4000,
		GIB + 0x200000, GIB + 0x400000, 2 * GIB, 3 * GIB
	};

	make_tables(levels, 0);
	look(0, 4, 0);
	assert_int_equal(herd_space_each(phys, &s, 0, UINT64_MAX, on_mapping,
					 &seen), 0);
	assert_int_equal(seen.n, ARRAY_SIZE(want));
	for (unsigned i = 0; i < seen.n; i++) {
		struct herd_mapping m;

		assert_int_equal(seen.va[i], want[i]);
		herd_space_look(phys, &s, seen.va[i], &m);
		assert_int_equal(m.state, seen.m[i].state);
		assert_int_equal(m.phys, seen.m[i].phys);
		assert_int_equal(m.left, seen.m[i].left);
		assert_int_equal(m.noexec, seen.m[i].noexec);
	}
	/* a part, which begins and ends inside of entries */
	seen.n = 0;
	assert_int_equal(herd_space_each(phys, &s, GIB + 0x3800, GIB + 0x210000,
					 on_mapping, &seen), 0);
	assert_int_equal(seen.n, 3);
	assert_int_equal(seen.va[0], GIB + 0x3800);
	assert_int_equal(seen.m[0].left, 0x800);
	assert_int_equal(seen.va[2], GIB + 0x200000);
	assert_int_equal(seen.m[2].left, 0x10000);
	seen = (struct seen){ .stop = 2 };
	assert_int_equal(herd_space_each(phys, &s, 0, UINT64_MAX, on_mapping,
					 &seen), 77);
	assert_int_equal(seen.n, 2);
	seen.n = 0;
	assert_int_equal(herd_space_each(phys, &s, 5, 5, on_mapping, &seen), 0);
	assert_int_equal(herd_space_each(phys, &s, GIB, GIB + 1, on_mapping,
					 &seen), 0);
	assert_int_equal(seen.n, 1);
	assert_int_equal(seen.m[0].left, 1);
}

static void test_each(void **state)
{
	(void)state;
	check_each(4);
	check_each(5);
}

static void test_upper_half(void **state)
{
	struct herd_space s = { TOP, 4, 0 };
	struct seen seen = { .n = 0 };

	(void)state;
	make_tables(4, 0);
	entry(TOP, 511, 0xa000 | 0x63);
	entry(0xa000, 511, 0xb000 | 0x63);
	entry(0xb000, 511, 0xc000 | 0x63);
	entry(0xc000, 511, 0xd000 | 0x63);	/* the very last page */
	look(0, 4, 0);
	assert_int_equal(herd_space_each(phys, &s, 3 * GIB, UINT64_MAX,
					 on_mapping, &seen), 0);
	assert_int_equal(seen.n, 2);
	assert_int_equal(seen.va[1], -4096ull);
	assert_int_equal(seen.m[1].phys, 0xd000);
	assert_int_equal(seen.m[1].left, 4095);	/* UINT64_MAX is exclusive */
}

/* A table that is its own, at all levels: an end must come. */
static void test_loop(void **state)
{
	struct herd_space s = { TOP, 5, 0 };
	struct seen seen = { .n = 0 };

	(void)state;
	memset(memory, 0, 1u << 20);
	for (unsigned i = 0; i < 512; i++)
		entry(TOP, i, TOP | 0x67);
	look(0, 4, 0);
	assert_int_equal(herd_space_each(phys, &s, 0, UINT64_MAX, on_mapping,
					 &seen), -EOVERFLOW);
}

/* What could not be had is told from what the image lacks. */
static void test_failed(void **state)
{
	static const int of_image[] = { -ENODATA, -EBADMSG, -EOPNOTSUPP };
	static const int other[] = { -EREMOTEIO, -ESTALE, -EIO, -ENOMEM };
	uint8_t buf[16], large[3 * HERD_PAGE];

	(void)state;
	assert_int_equal(herd_phys_read(phys, 20u << 20, buf, 16), -ENODATA);
	for (size_t i = 0; i < ARRAY_SIZE(of_image); i++) {
		broken = of_image[i];
		assert_null(herd_phys_page(phys, (1 + i) * HERD_PAGE));
		assert_int_equal(herd_phys_failed(phys), 0);
	}
	for (size_t i = 0; i < ARRAY_SIZE(other); i++) {
		herd_phys_destroy(phys);
		assert_int_equal(herd_phys_create(source, &phys), 0);
		broken = other[i];
		if (i % 2)
			assert_null(herd_phys_page(phys, HERD_PAGE));
		else
			assert_int_equal(herd_phys_read(phys, 0, large,
							sizeof(large)),
					 -ENODATA);
		broken = -EAGAIN; /* the first stays */
		herd_phys_read(phys, 9 * HERD_PAGE, buf, 16);
		broken = 0;
		assert_int_equal(herd_phys_read(phys, 10 * HERD_PAGE, buf, 16),
				 0);
		assert_int_equal(herd_phys_failed(phys), other[i]);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_physical, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_beat, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_look, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_read, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_each, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_upper_half, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(test_loop, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_failed, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
