/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A small memory of known bytes, written as one container or another by
 * tests/lab/memory_write.py, and read again. Functions fail the test themselves.
 */
#ifndef HERD_TEST_MEMORY_FIXTURE_H
#define HERD_TEST_MEMORY_FIXTURE_H

#include "tests/unit/image_util.h"

#include "acquire/base/cleanup.h"
#include "acquire/memory.h"
#include "acquire/source_impl.h"

#define PAGE 4096u
#define MEMORY (6u << 20)
/* As the firmware leaves it: a hole below 1 MiB, and one further up. */
#define RANGES "--range 0x1000-0x9f000 --range 0x100000-0x300000 " \
	       "--range 0x400000-0x600000"

static uint8_t *memory;		/* what memory.raw holds */
static char writer[500];

static const struct herd_extent memory_ranges[] = {
	{ 0x1000, 0x9e000 }, { 0x100000, 0x200000 }, { 0x400000, 0x200000 },
};

static const char *const memory_formats[] = {
	"lime", "avml2", "elf", "elf-flat", "kdump", "kdump-zlib", "kdump-lzo",
	"kdump-snappy", "kdump-zstd", "kdump-zlib-flat", "kdump-zstd-flat",
};

/* Random pages, pages of zeros, and such as can be packed. */
static inline void memory_fill(uint8_t *to, size_t len)
{
	uint64_t seed = 7;

	for (size_t at = 0; at < len; at += PAGE) {
		uint64_t kind = random_next(&seed) % 8;

		if (kind < 3)
			continue;
		if (kind < 5)
			fill_random(to + at, PAGE, seed * 0x2545f4914f6cdd1d);
		else
			for (size_t i = 0; i < PAGE; i++)
				to[at + i] = (uint8_t)("herd of pages "[i % 14] +
						       i / 512);
	}
}

static inline int memory_setup(void **state)
{
	char *here = getcwd(NULL, 0);

	if (scratch_setup(state) || !here)
		return -1;
	snprintf(writer, sizeof(writer), "%s/tests/lab/memory_write.py", here);
	free(here);
	memory = calloc(1, MEMORY);
	if (!memory)
		return -1;
	memory_fill(memory, MEMORY);
	write_file("memory.raw", memory, MEMORY);
	return 0;
}

static inline int memory_teardown(void **state)
{
	free(memory);
	return scratch_teardown(state);
}

static inline void make_memory(const char *format, const char *options)
{
	if (run("python3 '%s' %s memory.raw image %s", writer, format, options))
		fail_msg("memory_write.py %s %s; see %s/run.log", format, options,
			 scratch);
}

/* The bytes of a file in the scratch folder; to be freed. */
static inline uint8_t *slurp(const char *name, size_t *ret)
{
	FILE *f = fopen(in_scratch(name), "rb");
	uint8_t *bytes;

	assert_non_null(f);
	fseek(f, 0, SEEK_END);
	*ret = (size_t)ftell(f);
	rewind(f);
	bytes = malloc(*ret + 1);
	assert_non_null(bytes);
	assert_int_equal(fread(bytes, 1, *ret, f), *ret);
	fclose(f);
	return bytes;
}

static inline int memory_try(const char *name, const char *format,
			     struct herd_source **ret, struct herd_diag *diag)
{
	struct herd_image img = { 0 };

	herd_diag_clear(diag);
	int err = herd_memory_probe(in_scratch(name), format, &img, diag) ?:
		  herd_image_open(&img, NULL, ret, diag);

	if (!err)
		assert_int_equal(herd_image_verify(&img, true, diag), 0);
	herd_image_deinit(&img);
	return err;
}

static inline struct herd_source *memory_must(const char *name)
{
	struct herd_source *s = NULL;
	struct herd_diag diag;
	char line[900];
	int err = memory_try(name, NULL, &s, &diag);

	if (err)
		fail_msg("%s", herd_diag_format(&diag, err, line, sizeof(line)));
	return s;
}

static inline struct herd_source *memory_make(const char *format,
					      const char *options)
{
	make_memory(format, options);
	return memory_must("image");
}

/* Opens bytes; len 0: what is in "image". */
static inline int memory_bytes(const void *bytes, size_t len, const char *format,
			       struct herd_source **ret, struct herd_diag *diag)
{
	struct herd_source *c = NULL;

	herd_diag_clear(diag);
	assert_int_equal(herd_source_from_memory("bytes", bytes, len, &c), 0);
	return herd_memory_open_on(c, format, ret, diag);
}

static inline void memory_refuse(const char *name, const char *format, int want,
				 const char *words)
{
	struct herd_source *s = NULL;
	struct herd_diag diag;
	char line[900];
	int err = memory_try(name, format, &s, &diag);

	herd_source_destroy(s);
	herd_diag_format(&diag, err, line, sizeof(line));
	if (err != want || !strstr(line, words))
		fail_msg("%s: %d \"%s\" instead of %d \"%s\"", name, err, line,
			 want, words);
}

static inline void memory_warns(const struct herd_source *s, const char *words)
{
	const char *w = herd_memory_notes(s)->warning;

	if (!words && !w)
		return;
	if (!words || !w || !strstr(w, words))
		fail_msg("warns of \"%s\", not of \"%s\"", w ? w : "nothing",
			 words ? words : "nothing");
}

/* That [start, start+len) reads as the memory, in one and in pieces. */
static inline void memory_check(struct herd_source *s, uint64_t start,
				uint64_t len)
{
	CLEANUP_FREE uint8_t *got = malloc(len);
	uint64_t seed = start + 1;
	struct herd_diag diag;
	char line[900];

	herd_diag_clear(&diag);
	int err = herd_source_read(s, got, len, start, &diag);

	if (err)
		fail_msg("%s", herd_diag_format(&diag, err, line, sizeof(line)));
	assert_memory_equal(got, memory + start, len);
	for (int i = 0; i < 100; i++) {
		size_t off = random_next(&seed) % len;
		size_t n = random_next(&seed) % (i % 2 ? 70000 : 5000) + 1;

		if (n > len - off)
			n = len - off;
		err = herd_source_read(s, got, n, start + off, &diag);
		if (err)
			fail_msg("%s", herd_diag_format(&diag, err, line,
							sizeof(line)));
		assert_memory_equal(got, memory + start + off, n);
	}
}

/* A gap from `start` to `end`: at its first byte, its last, and over its edge. */
static inline void memory_gap(struct herd_source *s, uint64_t start,
			      uint64_t end)
{
	const uint64_t at[] = { start, end - 1, start ? start - 1 : 0 };
	uint8_t two[2];

	for (size_t i = 0; i < ARRAY_SIZE(at); i++) {
		struct herd_diag diag;

		herd_diag_clear(&diag);
		assert_int_equal(herd_source_read(s, two, i ? i == 2 ? 2 : 1 : 1,
						  at[i], &diag), -ENODATA);
		assert_non_null(strstr(diag.message, "not in the image"));
	}
}

static inline void memory_extents(struct herd_source *s,
				  const struct herd_extent *want, size_t n)
{
	CLEANUP(herd_extents_deinit) struct herd_extents e = { 0 };

	assert_int_equal(herd_source_data(s, &e, NULL), 0);
	assert_int_equal(e.n, n);
	for (size_t i = 0; i < n; i++) {
		assert_int_equal(e.v[i].start, want[i].start);
		assert_int_equal(e.v[i].len, want[i].len);
	}
	if (n)
		assert_int_equal(s->size, want[n - 1].start + want[n - 1].len);
}

/* All of RANGES, and nothing else. */
static inline void memory_check_all(struct herd_source *s)
{
	const size_t n = ARRAY_SIZE(memory_ranges);

	memory_extents(s, memory_ranges, n);
	memory_gap(s, 0, 0x1000);
	for (size_t i = 0; i < n; i++) {
		uint64_t end = memory_ranges[i].start + memory_ranges[i].len;

		memory_check(s, memory_ranges[i].start, memory_ranges[i].len);
		if (i + 1 < n)
			memory_gap(s, end, memory_ranges[i + 1].start);
	}
	assert_int_equal(herd_source_read(s, (uint8_t[2]){ 0 }, 2, s->size - 1,
					  NULL), -EBADMSG);
}

#endif
