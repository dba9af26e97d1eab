/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Containers of memory changed at random, from a fixed seed: flipped,
 * overwritten, spliced, cut off. Each is read or refused with a reason, and
 * soon; the sanitizers see to the rest. FULL=1: 2,000 of each.
 */
#include "tests/unit/memory_fixture.h"

static uint64_t seed;

static uint64_t rnd(uint64_t below)
{
	return random_next(&seed) % below;
}

/* Where what is changed tells most: heads, and what the writer put behind. */
static size_t place(size_t len)
{
	switch (rnd(4)) {
	case 0:
		return rnd(len < 600 ? len : 600);
	case 1:
		return rnd(len < 16384 ? len : 16384);
	case 2:
		return len - 1 - rnd(len < 64 ? len : 64);
	default:
		return rnd(len);
	}
}

static void put(uint8_t *bytes, size_t len, size_t at, uint64_t v, size_t n)
{
	v = htole64(v);
	memcpy(bytes + at, &v, n < len - at ? n : len - at);
}

/* *len may become less. */
static void mutate(uint8_t *bytes, size_t *len, const uint8_t *good,
		   size_t good_len)
{
	static const uint64_t odd[] = { 0, 1, 0xff, 4095, 4096, 0xffff, 0x7fffffff,
					0x80000000, 0xffffffff, 1ull << 52,
					INT64_MAX, UINT64_MAX };
	unsigned n = 1 + (unsigned)rnd(6);

	for (unsigned k = 0; k < n; k++) {
		size_t at = place(*len), from = place(good_len);
		size_t part = 1 + rnd(rnd(2) ? 8 : 40000);

		switch (rnd(5)) {
		case 0:
			bytes[at] ^= (uint8_t)(1u << rnd(8));
			break;
		case 1:
			put(bytes, *len, at & ~7ull, odd[rnd(ARRAY_SIZE(odd))], 8);
			break;
		case 2:
			put(bytes, *len, at & ~3ull, odd[rnd(ARRAY_SIZE(odd))], 4);
			break;
		case 3:
			bytes[at] = (uint8_t)rnd(256);
			break;
		default:	/* splice */
			if (part > *len - at)
				part = *len - at;
			if (part > good_len - from)
				part = good_len - from;
			memcpy(bytes + at, good + from, part);
		}
	}
	if (!rnd(6))
		*len = 1 + rnd(*len);
}

/* Some of each range, at its ends and within; false: it could not be read. */
static bool read_some(struct herd_source *s)
{
	CLEANUP(herd_extents_deinit) struct herd_extents e = { 0 };
	static uint8_t got[1 << 20];
	bool all = true;

	assert_int_equal(herd_source_data(s, &e, NULL), 0);
	assert_true(e.n <= HERD_MEMORY_RANGES_MAX + 1);
	for (size_t i = 0; i < e.n && i < 64; i++) {
		const struct herd_extent *x = &e.v[i];
		size_t n = x->len < sizeof(got) ? (size_t)x->len : sizeof(got);

		assert_true(x->len && x->start + x->len <= s->size);
		all &= !herd_source_read(s, got, n, x->start, NULL);
		all &= !herd_source_read(s, got, n, x->start + x->len - n, NULL);
		for (int k = 0; k < 8; k++)
			all &= !herd_source_read(s, got, 1,
						 x->start + rnd(x->len), NULL);
	}
	return all;
}

static void mutations(const char *format, const char *container,
		      const char *options, unsigned rounds)
{
	unsigned opened = 0, whole = 0;
	size_t len;
	double worst = 0;

	make_memory(format, options);
	CLEANUP_FREE uint8_t *good = slurp("image", &len);
	CLEANUP_FREE uint8_t *bytes = malloc(len);

	seed = 0x9e3779b97f4a7c15;
	for (unsigned k = 0; k < rounds; k++) {
		struct herd_source *s = NULL;
		double start = now();
		struct herd_diag diag;
		size_t n = len;

		memcpy(bytes, good, len);
		mutate(bytes, &n, good, len);
		if (!memory_bytes(bytes, n, container, &s, &diag)) {
			opened++;
			whole += read_some(s) && !herd_memory_notes(s)->warning;
			herd_source_destroy(s);
		} else {
			assert_true(diag.message[0]);
		}
		if (now() - start > worst)
			worst = now() - start;
	}
	print_message("%s: %u changed, %u opened, %u of them without complaint, longest %.3f s\n",
		      format, rounds, opened, whole, worst);
	assert_true(opened > rounds / 20);
	assert_true(opened < rounds || whole < rounds);
	assert_true(worst < 20);
}

static void test_mutations(void **state)
{
	static const char *const v[][2] = {
		{ "lime", "lime" }, { "avml1", "lime" }, { "avml2", "avml" },
		{ "elf", "elf-core" }, { "elf-flat", "kdump" },
		{ "kdump", "kdump" }, { "kdump-zlib", "kdump" },
		{ "kdump-lzo", "kdump" }, { "kdump-snappy", "kdump" },
		{ "kdump-zstd", "kdump" }, { "kdump-zlib-flat", "kdump" },
		{ "kdump-snappy-flat", "kdump" },
	};
	const char *full = getenv("FULL");
	unsigned rounds = full && full[0] == '1' ? 2000 : 150;
	/* small, so that what is changed is seldom a page's bytes */
	const char options[] = "--vmcoreinfo info --cpu cpus --qemu 0x1000 "
		"--range 0x1000-0x1f000 --range 0x100000-0x118000 "
		"--range 0x80000-0x81000";

	(void)state;
	write_file("info", "OSRELEASE=6.1.0\n", 16);
	write_file("cpus", "1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 "
		   "21 22 23 24 25 26 27 28\n", 75);
	for (size_t i = 0; i < ARRAY_SIZE(v); i++)
		mutations(v[i][0], v[i][1], options, rounds);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_mutations),
	};

	return cmocka_run_group_tests(tests, memory_setup, memory_teardown);
}
