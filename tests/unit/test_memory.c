/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Containers of memory: that each gives back what was put in, knows its gaps,
 * and says what it says beside the bytes.
 */
#include "tests/unit/memory_fixture.h"

static void test_each(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(memory_formats); i++) {
		struct herd_source *s = memory_make(memory_formats[i], RANGES);

		print_message("%s\n", memory_formats[i]);
		memory_check_all(s);
		memory_warns(s, NULL);
		herd_source_destroy(s);
	}
}

/* What is written again later counts. */
static void test_written_again(void **state)
{
	static const char *const formats[] = { "elf-flat", "kdump-snappy-flat" };

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		struct herd_source *s = memory_make(formats[i],
						    "--rewrite " RANGES);

		memory_check_all(s);
		memory_warns(s, NULL);
		herd_source_destroy(s);
	}
}

/* What packs Snappy here is not what unpacks it: two writers of one format. */
static void test_snappy_written_otherwise(void **state)
{
	struct herd_source *s = memory_make("avml2", "--slow " RANGES);

	(void)state;
	memory_check_all(s);
	assert_string_equal(herd_memory_notes(s)->tool, "AVML");
	herd_source_destroy(s);
}

static void test_raw(void **state)
{
	const struct herd_extent all = { 0, MEMORY };
	struct herd_image img = { 0 };
	struct herd_source *s = NULL;

	(void)state;
	assert_int_equal(herd_memory_probe(in_scratch("memory.raw"), NULL, &img,
					   NULL), 0);
	assert_string_equal(img.format, "raw-memory");
	assert_non_null(strstr(img.warning, "taken for raw memory"));
	assert_true(herd_image_is_memory(&img));
	assert_false(herd_image_needs_helper(&img));
	assert_int_equal(herd_image_open(&img, NULL, &s, NULL), 0);
	memory_extents(s, &all, 1);
	memory_check(s, 0, MEMORY);
	herd_source_destroy(s);
	herd_image_deinit(&img);
	/* who says it gets no warning, and any size */
	write_file("odd", memory, 5000);
	assert_int_equal(herd_memory_probe(in_scratch("odd"), "raw-memory", &img,
					   NULL), 0);
	assert_null(img.warning);
	herd_image_deinit(&img);
}

/* Ranges that end within a page, as /proc/iomem has them. */
static void test_odd_ranges(void **state)
{
	static const char *const formats[] = { "lime", "avml1", "avml2", "elf" };
	const struct herd_extent want[] = { { 0x1000, 0x9dc01 },
					    { 0x100003, 0x12345 } };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(formats); i++) {
		struct herd_source *s = memory_make(formats[i],
			"--range 0x1000-0x9ec01 --range 0x100003-0x112348");

		memory_extents(s, want, 2);
		memory_check(s, want[0].start, want[0].len);
		memory_check(s, want[1].start, want[1].len);
		memory_gap(s, 0x9ec01, 0x100003);
		herd_source_destroy(s);
	}
}

/* ---- overlaps ---- */

/* A LiME of records that are each filled with their own letter. */
static size_t letters(uint8_t *to, const uint64_t (*v)[2], size_t n)
{
	size_t at = 0;

	for (size_t i = 0; i < n; i++) {
		uint64_t words[] = { htole64(v[i][0]),
				     htole64(v[i][0] + v[i][1] - 1), 0 };

		memcpy(to + at, "EMiL\1\0\0\0", 8);
		memcpy(to + at + 8, words, 24);
		memset(to + at + 32, 'a' + (int)i, v[i][1]);
		at += 32 + v[i][1];
	}
	return at;
}

static void test_overlaps(void **state)
{
	/* the first that the file names wins, wherever it lies */
	static const uint64_t v[][2] = {
		{ 50, 10 }, { 20, 20 }, { 0, 100 }, { 90, 40 }, { 15, 10 },
	};
	static const char want[] =
		"ccccccccccccccccccccbbbbbbbbbbbbbbbbbbbbccccccccccaaaaaaaaaa"
		"ccccccccccccccccccccccccccccccccccccccccdddddddddddddddddddddddddddddd";
	struct herd_source *s = NULL;
	uint8_t bytes[2000], got[130];
	struct herd_diag diag;

	(void)state;
	assert_int_equal(memory_bytes(bytes, letters(bytes, v, 5), "lime", &s,
				      &diag), 0);
	assert_int_equal(s->size, 130);
	assert_int_equal(herd_source_read(s, got, 130, 0, &diag), 0);
	assert_memory_equal(got, want, 130);
	memory_warns(s, "overlap");
	herd_source_destroy(s);
}

/* Against a map of bytes: who is named first in each, at random. */
static void test_overlaps_at_random(void **state)
{
	uint64_t seed = 3;

	(void)state;
	for (int round = 0; round < 400; round++) {
		size_t n = 1 + random_next(&seed) % 20, size;
		static uint8_t bytes[4000], got[200];
		struct herd_source *s = NULL;
		uint8_t want[200] = { 0 };
		struct herd_diag diag;
		uint64_t v[20][2];

		for (size_t i = 0; i < n; i++) {
			v[i][0] = random_next(&seed) % 100;
			v[i][1] = 1 + random_next(&seed) % (round % 2 ? 100 : 9);
		}
		for (size_t i = n; i--;)
			memset(want + v[i][0], 'a' + (int)i, v[i][1]);
		size = letters(bytes, (const uint64_t (*)[2])v, n);
		assert_int_equal(memory_bytes(bytes, size, "lime", &s, &diag), 0);
		for (uint64_t at = 0; at < s->size; at++) {
			int err = herd_source_read(s, got + at, 1, at, NULL);

			assert_int_equal(err, want[at] ? 0 : -ENODATA);
			if (!err)
				assert_int_equal(got[at], want[at]);
		}
		assert_true(s->size == 200 || !want[s->size]);
		herd_source_destroy(s);
	}
}

/* QEMU with paging names the same bytes often: that is no overlap to tell of. */
static void test_same_twice(void **state)
{
	struct herd_source *s = memory_make("elf", "--paging " RANGES);

	(void)state;
	memory_check_all(s);
	memory_warns(s, NULL);
	herd_source_destroy(s);
}

static void test_packed_overlap(void **state)
{
	const struct herd_extent want = { 0x100000, 0x200000 };
	struct herd_source *s = memory_make("avml2",
		"--range 0x100000-0x180000 --range 0x160000-0x300000");

	(void)state;
	memory_extents(s, &want, 1);
	memory_check(s, want.start, want.len);
	memory_warns(s, "overlap");
	herd_source_destroy(s);
}

/* ---- what is said beside the bytes ---- */

static void make_notes(void)
{
	const char text[] = "OSRELEASE=6.1.0\nSYMBOL(init_uts_ns)=ffff\n";
	char cpus[600] = "";
	size_t n = 0;

	for (int cpu = 0; cpu < 2; cpu++) {
		n += (size_t)sprintf(cpus + n, "%d", 700 + cpu);
		for (int i = 0; i < 27; i++)
			n += (size_t)sprintf(cpus + n, " %d", cpu * 100 + i);
		n += (size_t)sprintf(cpus + n, "\n");
	}
	write_file("info", text, sizeof(text) - 1);
	write_file("cpus", cpus, n);
}

static void check_notes(const char *format, bool qemu)
{
	char options[300];

	snprintf(options, sizeof(options), "--vmcoreinfo info --cpu cpus %s "
		 RANGES, qemu ? "--qemu 0x12345000" : "");
	struct herd_source *s = memory_make(format, options);
	const struct herd_memory_notes *n = herd_memory_notes(s);

	assert_int_equal(n->vmcoreinfo_len, 41);
	assert_memory_equal(n->vmcoreinfo, "OSRELEASE=6.1.0\n", 16);
	assert_int_equal(n->n_cpus, 2);
	for (uint32_t cpu = 0; cpu < 2; cpu++) {
		assert_int_equal(n->cpus[cpu].pid, qemu ? 0 : 700 + cpu);
		for (uint32_t i = 0; i < 27; i++)
			assert_int_equal(n->cpus[cpu].regs[i], cpu * 100 + i);
	}
	assert_int_equal(n->cr3, qemu ? 0x12345000 : 0);
	if (qemu)
		assert_string_equal(n->tool, "QEMU");
	memory_check_all(s);
	herd_source_destroy(s);
}

static void test_notes(void **state)
{
	static const char *const formats[] = { "elf", "elf-flat", "kdump-zlib",
					       "kdump-lzo-flat" };

	(void)state;
	make_notes();
	for (size_t i = 0; i < ARRAY_SIZE(formats); i++) {
		check_notes(formats[i], false);
		check_notes(formats[i], true);
	}
	check_notes("elf", true);
	struct herd_source *s = NULL;

	assert_int_equal(herd_source_from_memory("x", "", 0, &s), 0);
	assert_null(herd_memory_notes(s)->vmcoreinfo);
	assert_int_equal(herd_memory_notes(s)->n_cpus, 0);
	herd_source_destroy(s);
}

static void test_many_headers(void **state)
{
	struct herd_source *s = memory_make("elf", "--xnum --vmcoreinfo info "
					    RANGES);

	(void)state;
	memory_check_all(s);
	assert_int_equal(herd_memory_notes(s)->vmcoreinfo_len, 41);
	herd_source_destroy(s);
}

/* ---- AVML ---- */

/* A block of 16 MiB of zeros between two that are not is left out, and told. */
static void test_left_out(void **state)
{
	static const char *const formats[] = { "avml1", "avml2" };
	const struct herd_extent want[] = { { 0, 16u << 20 },
					    { 48u << 20, 1u << 20 } };

	(void)state;
	assert_int_equal(run("truncate -s 49M memory49.raw && "
			     "dd if=memory.raw of=memory49.raw bs=1M count=1 "
			     "conv=notrunc && dd if=memory.raw of=memory49.raw "
			     "bs=1M count=1 seek=48 conv=notrunc"), 0);
	for (size_t i = 0; i < ARRAY_SIZE(formats); i++) {
		assert_int_equal(run("python3 '%s' %s memory49.raw image", writer,
				     formats[i]), 0);
		struct herd_source *s = memory_must("image");

		memory_extents(s, want, 2);
		memory_warns(s, "of its gaps 32 MiB may be blocks of zeros");
		memory_check(s, 0, 1u << 20);
		memory_gap(s, 16u << 20, 48u << 20);
		herd_source_destroy(s);
	}
}

/* A byte that changed spoils its chunk, and nothing else. */
static void test_checksum(void **state)
{
	struct herd_source *s = NULL;
	struct herd_diag diag;
	uint8_t page[PAGE];
	unsigned spoilt = 0;
	size_t len;

	(void)state;
	make_memory("avml2", RANGES);
	CLEANUP_FREE uint8_t *bytes = slurp("image", &len);

	bytes[400000] ^= 4;
	assert_int_equal(memory_bytes(bytes, len, "avml", &s, &diag), 0);
	for (size_t i = 0; i < ARRAY_SIZE(memory_ranges); i++)
		for (uint64_t o = 0; o < memory_ranges[i].len; o += PAGE) {
			uint64_t addr = memory_ranges[i].start + o;
			int err = herd_source_read(s, page, PAGE, addr, &diag);

			if (!err)
				assert_memory_equal(page, memory + addr, PAGE);
			else
				assert_int_equal(err, -EBADMSG);
			spoilt += err != 0;
		}
	assert_true(spoilt >= 1 && spoilt <= 16);
	assert_true(strstr(diag.message, "checksum") ||
		    strstr(diag.message, "unpacked"));
	herd_source_destroy(s);
}

/* ---- kdump ---- */

static void test_kdump_left_out(void **state)
{
	const struct herd_extent want[] = {
		{ 0x1000, 0x9e000 }, { 0x100000, 0x40000 },
		{ 0x180000, 0x180000 }, { 0x400000, 0x200000 },
	};
	struct herd_source *s = memory_make("kdump-snappy", "--exclude "
					    "0x140000-0x180000 " RANGES);

	(void)state;
	memory_extents(s, want, 4);
	memory_check(s, 0x180000, 0x180000);
	memory_gap(s, 0x140000, 0x180000);
	memory_warns(s, "left out of it (level 31)");
	herd_source_destroy(s);
}

static void test_kdump_split(void **state)
{
	const struct herd_extent want[] = { { 0x180000, 0x180000 },
					    { 0x400000, 0x80000 } };
	struct herd_source *s = memory_make("kdump-zlib", "--split 0x180-0x480 "
					    RANGES);

	(void)state;
	memory_extents(s, want, 2);
	memory_check(s, want[0].start, want[0].len);
	memory_check(s, want[1].start, want[1].len);
	memory_gap(s, 0x100000, 0x180000);
	memory_warns(s, "one part of a dump that was split");
	herd_source_destroy(s);
}

static void test_kdump_versions(void **state)
{
	char options[200];

	(void)state;
	for (int version = 1; version <= 6; version++) {
		snprintf(options, sizeof(options), "--version %d --vmcoreinfo "
			 "info " RANGES, version);
		struct herd_source *s = memory_make("kdump-lzo", options);

		memory_check_all(s);
		assert_true(!herd_memory_notes(s)->vmcoreinfo == (version < 3));
		herd_source_destroy(s);
	}
	struct herd_source *s = memory_make("kdump-zlib", "--single --version 1 "
					    RANGES);

	memory_check_all(s);
	herd_source_destroy(s);
}

static void test_incomplete(void **state)
{
	static const char *const formats[] = { "kdump-zlib", "elf" };

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		struct herd_source *s = memory_make(formats[i], i ?
			"--status 1 " RANGES : "--status 8 " RANGES);

		memory_check_all(s);
		memory_warns(s, "incomplete");
		herd_source_destroy(s);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_each),
		cmocka_unit_test(test_written_again),
		cmocka_unit_test(test_snappy_written_otherwise),
		cmocka_unit_test(test_raw),
		cmocka_unit_test(test_odd_ranges),
		cmocka_unit_test(test_overlaps),
		cmocka_unit_test(test_overlaps_at_random),
		cmocka_unit_test(test_same_twice),
		cmocka_unit_test(test_packed_overlap),
		cmocka_unit_test(test_notes),
		cmocka_unit_test(test_many_headers),
		cmocka_unit_test(test_left_out),
		cmocka_unit_test(test_checksum),
		cmocka_unit_test(test_kdump_left_out),
		cmocka_unit_test(test_kdump_split),
		cmocka_unit_test(test_kdump_versions),
		cmocka_unit_test(test_incomplete),
	};

	return cmocka_run_group_tests(tests, memory_setup, memory_teardown);
}
