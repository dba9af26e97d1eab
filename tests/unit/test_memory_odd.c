/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Containers of memory that are cut short, damaged, of another kind, or made to
 * cost more than they hold; and many readers at once.
 */
#include "tests/unit/memory_fixture.h"

#include <pthread.h>
#include <zlib.h>

/* ---- cut short ---- */

/* What of [start, start+len) can be read is the memory; the bytes that were. */
static uint64_t check_what_is_there(struct herd_source *s)
{
	CLEANUP(herd_extents_deinit) struct herd_extents e = { 0 };
	uint64_t sum = 0;
	uint8_t page[PAGE];

	assert_int_equal(herd_source_data(s, &e, NULL), 0);
	for (size_t i = 0; i < e.n; i++) {
		uint64_t at = e.v[i].start, end = at + e.v[i].len;

		for (; at < end; at += PAGE) {
			size_t n = end - at < PAGE ? (size_t)(end - at) : PAGE;

			if (herd_source_read(s, page, n, at, NULL))
				continue;
			assert_memory_equal(page, memory + at, n);
			sum += n;
		}
	}
	return sum;
}

static void check_cut(const char *format, const char *name, const uint8_t *bytes,
		      size_t len)
{
	uint64_t last = 0;
	unsigned opened = 0;

	for (unsigned i = 1; i <= 40; i++) {
		size_t part = len / 40 * i - (i < 40 ? i % 7 : 0);
		struct herd_source *s = NULL;
		struct herd_diag diag;
		int err = memory_bytes(bytes, i == 40 ? len - 1 : part, format,
				       &s, &diag);

		if (err) {
			assert_true(diag.message[0]);
			continue;
		}
		opened++;
		uint64_t sum = check_what_is_there(s);

		assert_true(sum >= last);
		last = sum;
		/* a page that is missing may be told only when it is read */
		if (strcmp(format, "kdump") != 0 || strstr(name, "flat"))
			memory_warns(s, "cut short");
		herd_source_destroy(s);
	}
	print_message("%s: %u of 40 opened, %llu bytes of the longest\n", name,
		      opened, (unsigned long long)last);
	assert_true(opened >= 30);
	assert_true(last > 3u << 20);
	assert_true(last <= 0x49e000);
}

static void test_cut(void **state)
{
	static const char *const formats[][2] = {
		{ "lime", "lime" }, { "avml2", "avml" }, { "elf", "elf-core" },
		{ "kdump-zlib", "kdump" }, { "kdump-lzo-flat", "kdump" },
		{ "elf-flat", "kdump" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(formats); i++) {
		size_t len;

		make_memory(formats[i][0], RANGES);
		CLEANUP_FREE uint8_t *bytes = slurp("image", &len);

		check_cut(formats[i][1], formats[i][0], bytes, len);
	}
}

/* Garbage behind the first range: that range is read, and the rest told. */
static void test_garbage_behind(void **state)
{
	const struct herd_extent first = { 0x1000, 0x9e000 };
	static const char *const formats[] = { "lime", "avml2" };

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		make_memory(formats[i], "--range 0x1000-0x9f000");
		assert_int_equal(run("echo and then something else >> image"), 0);
		struct herd_source *s = memory_must("image");

		memory_extents(s, &first, 1);
		memory_check(s, first.start, first.len);
		memory_warns(s, "is read: ");
		herd_source_destroy(s);
	}
}

/* ---- what they are not ---- */

static void say(const char *name, size_t size, size_t at, const void *mark,
		size_t len)
{
	CLEANUP_FREE uint8_t *bytes = calloc(1, size);

	memcpy(bytes + at, mark, len);
	write_file(name, bytes, size);
}

static void test_disks(void **state)
{
	static const struct {
		size_t at;
		const char *mark;
		size_t len;
		const char *words;
	} v[] = {
		{ 512, "EFI PART", 8, "GPT" },
		{ 1080, "\x53\xef", 2, "ext file system" },
		{ 0, "XFSB", 4, "XFS" },
		{ 512, "LABELONE", 8, "LVM" },
		{ 0, "LUKS\xba\xbe", 6, "LUKS" },
		{ 4086, "SWAPSPACE2", 10, "swap" },
		{ 0, "QFI\xfb\0\0\0\3", 8, "qcow2" },
		{ 0, "\x1f\x8b\x08", 3, "unpack it first" },
		{ 0, "\x28\xb5\x2f\xfd", 4, "unpack it first" },
		{ 0, "PAGEDU64", 8, "Windows" },
		{ 0, "QEVM", 4, "dump-guest-memory" },
		{ 0, "EMiL\2\0\0\0", 8, "version" },
		{ 0, "AVML\1\0\0\0", 8, "version" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(v); i++) {
		say("other", 65536, v[i].at, v[i].mark, v[i].len);
		memory_refuse("other", NULL, -EOPNOTSUPP, v[i].words);
	}
	say("other", 65536, 446, "\x80\1\1\0\x83\1\1\1\0\10\0\0\0\10\0\0", 16);
	write_at("other", 510, "\x55\xaa", 2);
	memory_refuse("other", NULL, -EOPNOTSUPP, "partition table");
	/* the interrupt table of a real memory is not zeros, and no disk */
	say("other", 65536, 0, memory, 1024);
	write_at("other", 510, "\x55\xaa", 2);
	struct herd_image img = { 0 };

	assert_int_equal(herd_memory_probe(in_scratch("other"), NULL, &img, NULL),
			 0);
	assert_string_equal(img.format, "raw-memory");
	herd_image_deinit(&img);
}

static void test_other_things(void **state)
{
	uint8_t packed[4096], plain[64] = "EMiL\1\0\0\0";
	uLongf len = sizeof(packed);

	(void)state;
	write_file("other", "", 0);
	memory_refuse("other", NULL, -EINVAL, "is empty");
	memory_refuse("other", "raw-memory", -EINVAL, "is empty");
	write_file("other", memory, 5000);
	memory_refuse("other", NULL, -EOPNOTSUPP, "too odd in size (5000 bytes)");
	memory_refuse("nothing", NULL, -ENOENT, "no such image");
	memory_refuse("memory.raw", "vmss", -EINVAL, "no container of memory");
	memory_refuse("memory.raw", "lime", -EINVAL,
		      "is not lime: its content says nothing of the sort");
	assert_int_equal(compress(packed, &len, plain, sizeof(plain)), Z_OK);
	memset(packed + len, 0, sizeof(packed) - len);
	write_file("other", packed, 4096);
	memory_refuse("other", NULL, -EOPNOTSUPP, "LiME with compress=1");
	make_memory("lime", RANGES);
	memory_refuse("image", "kdump", -EINVAL,
		      "is not kdump: its content says lime");
}

/* Bytes of an ELF core or a kdump, changed. */
static void refuse_changed(const char *format, const char *container, size_t at,
			   const void *bytes, size_t n, int want,
			   const char *words)
{
	struct herd_source *s = NULL;
	struct herd_diag diag;
	size_t len;

	make_memory(format, RANGES);
	CLEANUP_FREE uint8_t *image = slurp("image", &len);

	memcpy(image + at, bytes, n);
	int err = memory_bytes(image, len, container, &s, &diag);

	if (err != want || !strstr(diag.message, words))
		fail_msg("%d \"%s\" instead of \"%s\"", err, diag.message, words);
}

static void test_other_machines(void **state)
{
	(void)state;
	refuse_changed("elf", "elf-core", 18, "\xb7", 1, -EOPNOTSUPP, "aarch64");
	refuse_changed("elf", "elf-core", 18, "\x16", 1, -EOPNOTSUPP,
		       "another machine (22)");
	refuse_changed("elf", "elf-core", 4, "\1", 1, -EOPNOTSUPP, "32 bits");
	refuse_changed("elf", "elf-core", 16, "\2", 1, -EOPNOTSUPP, "no core");
	refuse_changed("kdump-zlib", "kdump", 272, "aarch64", 8, -EOPNOTSUPP,
		       "a kdump of aarch64: only x86_64 is read");
	refuse_changed("kdump-zlib", "kdump", 428, "\0\0\1\0", 4, -EOPNOTSUPP,
		       "pages of 65536 bytes");
	refuse_changed("kdump-zlib", "kdump", 428, "\0\0\x10\0", 4, -EOPNOTSUPP,
		       "the other byte order");
	refuse_changed("elf-flat", "kdump", 31, "\2", 1, -EOPNOTSUPP,
		       "version 2");
}

/* gdb's and the kernel's cores of processes have no physical addresses. */
static void test_process_core(void **state)
{
	struct herd_source *s = NULL;
	struct herd_diag diag;
	size_t len;

	(void)state;
	make_memory("elf", RANGES);
	CLEANUP_FREE uint8_t *image = slurp("image", &len);

	for (size_t i = 0; i < 3; i++)
		memset(image + 64 + 56 * i + 24, 0, 8);
	assert_int_equal(memory_bytes(image, len, "elf-core", &s, &diag),
			 -EOPNOTSUPP);
	assert_non_null(strstr(diag.message, "core of a process"));
	/* vmalloc's segments in /proc/kcore have -1, and are passed over */
	for (size_t i = 1; i < 3; i++)
		memset(image + 64 + 56 * i + 24, 0xff, 8);
	assert_int_equal(memory_bytes(image, len, "elf-core", &s, &diag), 0);
	assert_int_equal(s->size, 0x9e000);
	herd_source_destroy(s);
}

/* Attaching disks tells what these are, and does not take raw memory for one. */
static void test_probe_of_images(void **state)
{
	static const char *const formats[][2] = {
		{ "lime", "lime" }, { "avml2", "avml" }, { "elf", "elf-core" },
		{ "kdump-zstd", "kdump" }, { "kdump-lzo-flat", "kdump" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(formats); i++) {
		const char *const asked[] = { NULL, formats[i][1] };

		make_memory(formats[i][0], RANGES);
		for (size_t k = 0; k < 2; k++) {
			struct herd_image img = { 0 };
			struct herd_source *s = NULL;

			assert_int_equal(herd_image_probe(in_scratch("image"),
					asked[k], NULL, &img, NULL), 0);
			assert_string_equal(img.format, formats[i][1]);
			assert_true(herd_image_is_memory(&img));
			assert_int_equal(herd_image_open(&img, NULL, &s, NULL),
					 0);
			memory_check_all(s);
			assert_string_equal(s->ops->kind, formats[i][1]);
			herd_source_destroy(s);
			herd_image_deinit(&img);
		}
	}
	struct herd_image img = { 0 };

	assert_int_equal(herd_image_probe(in_scratch("memory.raw"), NULL, NULL,
					  &img, NULL), 0);
	assert_string_equal(img.format, "raw");
	assert_false(herd_image_is_memory(&img));
	herd_image_deinit(&img);
}

/* ---- what they may cost ---- */

static void test_too_many_ranges(void **state)
{
	const size_t n = HERD_MEMORY_RANGES_MAX + 1;
	CLEANUP_FREE uint8_t *bytes = calloc(n, 33);
	struct herd_source *s = NULL;
	struct herd_diag diag;

	(void)state;
	for (size_t i = 0; i < n; i++) {
		uint64_t words[] = { htole64((n - i) * 2), htole64((n - i) * 2) };

		memcpy(bytes + i * 33, "EMiL\1\0\0\0", 8);
		memcpy(bytes + i * 33 + 8, words, 16);
	}
	assert_int_equal(memory_bytes(bytes, n * 33, "lime", &s, &diag),
			 -EOVERFLOW);
	assert_non_null(strstr(diag.message, "more than 1048576 ranges"));
	/* as many as may be, in the worst order */
	assert_int_equal(memory_bytes(bytes, (n - 1) * 33, "lime", &s, &diag), 0);
	assert_int_equal(s->size, n * 2 + 1);
	herd_source_destroy(s);
}

/* All of one start, each longer than the last, or shorter. */
static void test_nested_ranges(void **state)
{
	enum { N = 2000 };
	CLEANUP_FREE uint8_t *bytes = calloc(N, 32 + N);

	(void)state;
	for (int grow = 0; grow < 2; grow++) {
		struct herd_source *s = NULL;
		struct herd_diag diag;
		size_t at = 0;

		for (size_t i = 0; i < N; i++) {
			size_t len = grow ? i + 1 : N - i;
			uint64_t words[] = { 0, htole64(len - 1) };

			memcpy(bytes + at, "EMiL\1\0\0\0", 8);
			memcpy(bytes + at + 8, words, 16);
			memset(bytes + at + 32, (int)i, len);
			at += 32 + len;
		}
		assert_int_equal(memory_bytes(bytes, at, "lime", &s, &diag), 0);
		for (uint64_t i = 0; i < N; i++) {
			uint8_t got;

			assert_int_equal(herd_source_read(s, &got, 1, i, NULL), 0);
			assert_int_equal(got, grow ? (uint8_t)i : 0);
		}
		herd_source_destroy(s);
	}
}

/* A stream of millions of chunks that hold nothing. */
static void test_idle_chunks(void **state)
{
	const size_t n = 4u << 20;
	CLEANUP_FREE uint8_t *bytes = calloc(1, n + 64);
	struct herd_source *s = NULL;
	struct herd_diag diag;

	(void)state;
	make_memory("avml2", "--range 0x1000-0x9f000");
	size_t len;
	CLEANUP_FREE uint8_t *good = slurp("image", &len);
	CLEANUP_FREE uint8_t *both = malloc(len + n);

	memcpy(both, good, len);
	memcpy(both + len, good, 42);
	for (size_t at = len + 42; at + 4 < len + n; at += 4)
		memcpy(both + at, "\xfe\0\0\0", 4);
	assert_int_equal(memory_bytes(both, len + n, "avml", &s, &diag), 0);
	memory_warns(s, "hold next to nothing");
	memory_check(s, 0x1000, 0x9e000);
	assert_true(atomic_load(&s->bytes_read) > 0);
	herd_source_destroy(s);
	memcpy(bytes, "makedumpfile", 12);
	bytes[23] = bytes[31] = 1;
	assert_int_equal(memory_bytes(bytes, n, "kdump", &s, &diag), -EBADMSG);
	assert_non_null(strstr(diag.message, "a record that cannot be"));
}

/* A note segment that is named a hundred thousand times. */
static void test_notes_again_and_again(void **state)
{
	const size_t n = 100000, size = 64 + n * 56 + (1u << 20);
	CLEANUP_FREE uint8_t *bytes = calloc(1, size);
	struct herd_source *s = NULL;
	struct herd_diag diag;
	uint64_t words[] = { htole64(64 + n * 56), 0, 0, htole64(1u << 20),
			     htole64(1u << 20), 0 };

	(void)state;
	make_memory("elf", "--xnum " RANGES);
	size_t len;
	CLEANUP_FREE uint8_t *image = slurp("image", &len);

	memcpy(bytes, image, 64);
	uint64_t off = htole64(64 + 64), sh = htole64(64);

	memcpy(bytes + 32, &off, 8);
	memcpy(bytes + 40, &sh, 8);
	uint32_t many = htole32((uint32_t)n - 2);

	memcpy(bytes + 64 + 44, &many, 4);
	for (size_t i = 0; i < n - 2; i++) {
		uint8_t *h = bytes + 128 + i * 56;

		h[0] = i ? 4 : 1;
		memcpy(h + 8, words, 48);
	}
	assert_int_equal(memory_bytes(bytes, size, "elf-core", &s, &diag), 0);
	memory_warns(s, "its notes cannot be read");
	herd_source_destroy(s);
}

/* Every other frame is missing: four million gaps are not all kept. */
static void test_very_many_gaps(void **state)
{
	const uint32_t frames = 8u << 20, blocks = 2 * frames / 8 / PAGE;
	const size_t map = (size_t)blocks * PAGE;
	CLEANUP_FREE uint8_t *bytes = calloc(1, 2 * PAGE + map);
	CLEANUP(herd_extents_deinit) struct herd_extents e = { 0 };
	struct herd_source *s = NULL;
	struct herd_diag diag;
	uint32_t head[] = { htole32(0), htole32(PAGE), htole32(1),
			    htole32(blocks), htole32(frames) };
	uint8_t got[PAGE];

	(void)state;
	memcpy(bytes, "KDUMP   \1\0\0\0", 12);
	memcpy(bytes + 424, head, sizeof(head));
	memset(bytes + 2 * PAGE, 0x55, map);
	assert_int_equal(memory_bytes(bytes, 2 * PAGE + map, "kdump", &s, &diag),
			 0);
	memory_warns(s, "of its very many gaps");
	assert_int_equal(herd_source_data(s, &e, NULL), 0);
	assert_true(e.n <= HERD_MEMORY_RANGES_MAX);
	assert_int_equal(herd_source_read(s, got, 1, PAGE, &diag), -ENODATA);
	herd_diag_clear(&diag);
	assert_int_equal(herd_source_read(s, got, PAGE, 0, &diag), -ENODATA);
	assert_non_null(strstr(diag.message, "cut short"));
	herd_source_destroy(s);
}

/* ---- many readers ---- */

struct reader {
	struct herd_source *s;
	uint64_t seed;
	unsigned wrong;
};

static void *read_at_random(void *arg)
{
	struct reader *r = arg;
	CLEANUP_FREE uint8_t *got = malloc(300000);

	for (int i = 0; i < 400; i++) {
		const struct herd_extent *e =
			&memory_ranges[random_next(&r->seed) % 3];
		uint64_t off = random_next(&r->seed) % e->len;
		size_t n = random_next(&r->seed) % (i % 8 ? 5000 : 300000) + 1;

		if (n > e->len - off)
			n = (size_t)(e->len - off);
		if (herd_source_read(r->s, got, n, e->start + off, NULL) ||
		    memcmp(got, memory + e->start + off, n) != 0)
			r->wrong++;
	}
	return NULL;
}

static void test_many_readers(void **state)
{
	static const char *const formats[] = { "avml2", "kdump-zstd",
					       "kdump-zlib-flat" };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(formats); i++) {
		struct herd_source *s = memory_make(formats[i], RANGES);
		struct reader r[4];
		pthread_t t[4];

		for (uint64_t k = 0; k < 4; k++) {
			r[k] = (struct reader){ s, k + 1, 0 };
			pthread_create(&t[k], NULL, read_at_random, &r[k]);
		}
		for (int k = 0; k < 4; k++) {
			pthread_join(t[k], NULL);
			assert_int_equal(r[k].wrong, 0);
		}
		herd_source_destroy(s);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_cut),
		cmocka_unit_test(test_garbage_behind),
		cmocka_unit_test(test_disks),
		cmocka_unit_test(test_other_things),
		cmocka_unit_test(test_other_machines),
		cmocka_unit_test(test_process_core),
		cmocka_unit_test(test_probe_of_images),
		cmocka_unit_test(test_too_many_ranges),
		cmocka_unit_test(test_nested_ranges),
		cmocka_unit_test(test_idle_chunks),
		cmocka_unit_test(test_notes_again_and_again),
		cmocka_unit_test(test_very_many_gaps),
		cmocka_unit_test(test_many_readers),
	};

	return cmocka_run_group_tests(tests, memory_setup, memory_teardown);
}
