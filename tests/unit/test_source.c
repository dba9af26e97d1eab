/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Raw sources, windows, memory, and differences found by reading.
 */
#include "tests/unit/image_util.h"

#include "acquire/base/cleanup.h"
#include "acquire/source.h"

#include <sys/wait.h>

#define MIB (1u << 20)

static struct herd_source *open_raw(const char *path)
{
	struct herd_source *s = NULL;
	struct herd_image img;
	struct herd_diag diag;

	herd_diag_clear(&diag);
	assert_int_equal(herd_image_probe(path, NULL, NULL, &img, &diag), 0);
	assert_string_equal(img.format, "raw");
	assert_false(herd_image_needs_helper(&img));
	assert_int_equal(herd_image_open(&img, NULL, &s, &diag), 0);
	herd_image_deinit(&img);
	return s;
}

static struct herd_source *from_memory(const void *bytes, size_t len)
{
	struct herd_source *s = NULL;

	assert_int_equal(herd_source_from_memory("memory", bytes, len, &s), 0);
	return s;
}

static void test_bounds(void **state)
{
	uint8_t bytes[100], got[100];
	struct herd_diag diag;

	(void)state;
	fill_random(bytes, sizeof(bytes), 1);

	struct herd_source *s = from_memory(bytes, sizeof(bytes));

	assert_int_equal(herd_source_read(s, got, 100, 0, NULL), 0);
	assert_memory_equal(got, bytes, 100);
	assert_int_equal(herd_source_read(s, got, 0, 100, NULL), 0);
	herd_diag_clear(&diag);
	assert_int_equal(herd_source_read(s, got, 2, 99, &diag), -EBADMSG);
	assert_int_equal(diag.offset, 99);
	assert_string_equal(diag.source, "memory");
	assert_int_equal(herd_source_read(s, got, 1, UINT64_MAX, NULL),
			 -EBADMSG);
	assert_int_equal(herd_source_read(s, got, SIZE_MAX, 50, NULL),
			 -EBADMSG);
	assert_int_equal(atomic_load(&s->bytes_read), 100);
	assert_memory_equal(herd_source_map(s, 10, 90), bytes + 10, 90);
	assert_null(herd_source_map(s, 10, 91));
	assert_null(herd_source_map(s, 10, SIZE_MAX));
	herd_source_destroy(s);
	herd_source_destroy(NULL);
}

static void test_window(void **state)
{
	uint8_t bytes[1000], got[300];
	struct herd_source *w, *v, *none = NULL;

	(void)state;
	fill_random(bytes, sizeof(bytes), 1);

	struct herd_source *s = from_memory(bytes, sizeof(bytes));

	assert_int_equal(herd_source_window(s, "w", 901, 100, &none), -EBADMSG);
	assert_int_equal(herd_source_window(s, "w", 1, UINT64_MAX, &none),
			 -EBADMSG);
	assert_null(none);
	assert_int_equal(herd_source_window(s, "w", 100, 300, &w), 0);
	assert_int_equal(herd_source_window(w, "v", 50, 20, &v), 0);
	assert_int_equal(herd_source_read(w, got, 300, 0, NULL), 0);
	assert_memory_equal(got, bytes + 100, 300);
	assert_int_equal(herd_source_read(w, got, 1, 300, NULL), -EBADMSG);
	assert_int_equal(herd_source_read(v, got, 20, 0, NULL), 0);
	assert_memory_equal(got, bytes + 150, 20);
	assert_memory_equal(herd_source_map(v, 0, 20), bytes + 150, 20);
	assert_null(herd_source_map(v, 1, 20));
	herd_source_destroy(v);
	herd_source_destroy(w);
	herd_source_destroy(s);
}

static void test_raw_file(void **state)
{
	CLEANUP(herd_extents_deinit) struct herd_extents e = { 0 };
	CLEANUP_FREE uint8_t *bytes = malloc(MIB), *got = malloc(MIB);
	struct herd_source *w;

	(void)state;
	fill_random(bytes, MIB, 1);
	write_file("a.raw", bytes, 1);
	assert_int_equal(truncate(in_scratch("a.raw"), 10 * MIB), 0);
	write_at("a.raw", 5 * MIB, bytes, MIB);

	struct herd_source *s = open_raw(in_scratch("a.raw"));

	assert_int_equal(s->size, 10 * MIB);
	assert_int_equal(herd_source_read(s, got, MIB, 5 * MIB, NULL), 0);
	assert_memory_equal(got, bytes, MIB);
	assert_memory_equal(herd_source_map(s, 5 * MIB, MIB), bytes, MIB);
	assert_int_equal(s->ops->data_extents(s, &e, NULL), 0);
	assert_true(herd_extents_overlap(&e, 0, 1));
	assert_true(herd_extents_overlap(&e, 5 * MIB, 1));
	assert_true(herd_extents_overlap(&e, 6 * MIB - 1, 1));
	assert_true(herd_extents_bytes(&e) < 3 * MIB);

	assert_int_equal(herd_source_window(s, "w", 5 * MIB + 8192, 2 * MIB,
					    &w), 0);
	assert_int_equal(w->ops->data_extents(w, &e, NULL), 0);
	assert_int_equal(e.v[0].start, 0);
	assert_true(herd_extents_bytes(&e) < 2 * MIB);
	herd_source_destroy(w);

	/* it becomes shorter behind our back: an error, and no signal */
	assert_int_equal(truncate(in_scratch("a.raw"), MIB), 0);
	assert_int_equal(herd_source_read(s, got, MIB, 5 * MIB, NULL), -EIO);

	const void *map = herd_source_map(s, 5 * MIB, MIB);
	int fds[2];

	assert_non_null(map);
	assert_int_equal(pipe(fds), 0);
	assert_int_equal(write(fds[1], map, 4096), -1);
	assert_int_equal(errno, EFAULT);
	close(fds[0]);
	close(fds[1]);
	herd_source_destroy(s);
}

static void test_empty_file(void **state)
{
	(void)state;
	write_file("empty.raw", "", 0);

	struct herd_source *s = open_raw(in_scratch("empty.raw"));

	assert_int_equal(s->size, 0);
	assert_null(herd_source_map(s, 0, 1));
	herd_source_destroy(s);
}

static void test_block_device(void **state)
{
	CLEANUP(herd_extents_deinit) struct herd_extents e = { 0 };
	CLEANUP_FREE uint8_t *bytes = malloc(MIB), *got = malloc(MIB);
	char device[100] = "";

	(void)state;
	if (geteuid()) {
		print_message("needs root for a loop device\n");
		skip();
	}
	fill_random(bytes, MIB, 1);
	memcpy(bytes, "QFI\xfb", 4);	/* its guest may write what it likes */
	write_file("loop.raw", bytes, MIB);
	if (run("losetup --read-only --find --show loop.raw >device")) {
		print_message("no loop device to be had\n");
		skip();
	}
	FILE *f = fopen(in_scratch("device"), "re");

	assert_non_null(f);
	assert_non_null(fgets(device, sizeof(device), f));
	fclose(f);
	device[strcspn(device, "\n")] = '\0';

	struct herd_image img;
	int probed = herd_image_probe(device, NULL, NULL, &img, NULL);
	struct herd_source *s = NULL;
	int err = probed ?: herd_image_open(&img, NULL, &s, NULL);
	int verified = probed ?: herd_image_verify(&img, true, NULL);

	if (!err)
		err = herd_source_read(s, got, MIB, 0, NULL) ?:
		      s->ops->data_extents(s, &e, NULL);

	uint64_t size = s ? s->size : 0;

	herd_source_destroy(s);
	run("losetup -d %s", device);
	assert_int_equal(err, 0);
	assert_int_equal(verified, 0);
	assert_int_equal(size, MIB);
	assert_memory_equal(got, bytes, MIB);
	assert_string_equal(img.format, "raw");
	assert_int_equal(img.files[0].size, MIB);
	assert_int_equal(img.files[0].mtime_sec, 0);
	assert_int_equal(herd_extents_bytes(&e), MIB);
	herd_image_deinit(&img);
}

/* ---- differences ---- */

/* By brute force, in units of 4 KiB, the tail as it is. */
static void check_diff(const uint8_t *a, size_t len_a, const uint8_t *b,
		       size_t len_b, const struct herd_extents *within,
		       const struct herd_extents *got)
{
	size_t longer = len_a > len_b ? len_a : len_b;
	size_t shorter = len_a > len_b ? len_b : len_a;

	for (size_t unit = 0; unit < longer; unit += 4096) {
		bool differs = false;

		for (size_t i = unit; i < unit + 4096 && i < longer; i++) {
			bool asked = !within ||
				     herd_extents_overlap(within, i, 1);

			if (asked && (i >= shorter || a[i] != b[i])) {
				differs = true;
				assert_true(herd_extents_overlap(got, i, 1));
			}
			/* nothing outside of what was asked for */
			if (!asked)
				assert_false(herd_extents_overlap(got, i, 1));
			else if (i >= shorter)
				assert_true(herd_extents_overlap(got, i, 1));
		}
		assert_int_equal(herd_extents_overlap(got, unit, 4096), differs);
	}
	for (size_t i = 1; i < got->n; i++)
		assert_true(got->v[i].start >
			    got->v[i - 1].start + got->v[i - 1].len);
}

static void random_within(uint64_t *seed, size_t len, struct herd_extents *ret)
{
	ret->n = 0;
	for (int i = 0; i < 5; i++)
		herd_extents_add(ret, random_next(seed) % len,
				 random_next(seed) % 300000);
	herd_extents_normalise(ret);
}

static void test_diff_random(void **state)
{
	const size_t most = 3 * MIB;
	CLEANUP_FREE uint8_t *a = malloc(most), *b = malloc(most);
	CLEANUP(herd_extents_deinit) struct herd_extents within = { 0 };
	CLEANUP(herd_extents_deinit) struct herd_extents got = { 0 };
	uint64_t seed = 11;

	(void)state;
	fill_random(a, most, 1);
	for (int round = 0; round < 12; round++) {
		size_t len_a = most - random_next(&seed) % 20000;
		size_t len_b = most - random_next(&seed) % 20000;
		bool limited = round % 2;

		memcpy(b, a, most);
		for (int i = 0; i < 20; i++)
			b[random_next(&seed) % most] ^= 1;
		random_within(&seed, most, &within);

		struct herd_source *x = from_memory(a, len_a);
		struct herd_source *y = from_memory(b, len_b);

		assert_int_equal(herd_source_diff(x, y, limited ? &within : NULL,
						  1 + round % 4, &got, NULL,
						  NULL), 0);
		check_diff(a, len_a, b, len_b, limited ? &within : NULL, &got);
		herd_source_destroy(x);
		herd_source_destroy(y);
	}
}

static void test_diff_sparse(void **state)
{
	CLEANUP(herd_extents_deinit) struct herd_extents got = { 0 };
	uint64_t compared = 0;
	uint8_t zeros[4096] = { 0 };

	(void)state;
	write_file("x.raw", "a", 1);
	write_file("y.raw", "a", 1);
	assert_int_equal(truncate(in_scratch("x.raw"), 1ll << 40), 0);
	assert_int_equal(truncate(in_scratch("y.raw"), 1ll << 40), 0);
	write_at("x.raw", 1ll << 39, "x", 1);
	write_at("y.raw", 1ll << 38, zeros, 4096);	/* written, but equal */

	struct herd_source *x = open_raw(in_scratch("x.raw"));
	struct herd_source *y = open_raw(in_scratch("y.raw"));

	assert_int_equal(herd_source_diff(x, y, NULL, 2, &got, &compared, NULL),
			 0);
	assert_int_equal(got.n, 1);
	assert_int_equal(got.v[0].start, 1ll << 39);
	assert_int_equal(got.v[0].len, 256);
	assert_in_range(compared, 3 * 4096, MIB);
	herd_source_destroy(x);
	herd_source_destroy(y);
}

static void test_diff_same_file(void **state)
{
	CLEANUP(herd_extents_deinit) struct herd_extents got = { 0 };
	uint64_t compared = 1;

	(void)state;
	write_file("z.raw", "abc", 3);
	assert_int_equal(run("ln -sf z.raw zz.raw"), 0);

	struct herd_source *x = open_raw(in_scratch("z.raw"));
	struct herd_source *y = open_raw(in_scratch("zz.raw"));

	herd_extents_add(&got, 5, 5);
	assert_int_equal(herd_source_diff(x, y, NULL, 2, &got, &compared, NULL),
			 0);
	assert_int_equal(got.n, 0);
	assert_int_equal(compared, 0);
	herd_source_destroy(x);
	herd_source_destroy(y);
}

static void test_diff_error(void **state)
{
	CLEANUP(herd_extents_deinit) struct herd_extents got = { 0 };
	CLEANUP_FREE uint8_t *bytes = calloc(1, MIB);
	struct herd_diag diag;

	(void)state;
	write_file("e.raw", bytes, MIB);

	struct herd_source *x = open_raw(in_scratch("e.raw"));
	struct herd_source *y = from_memory(bytes, MIB);

	assert_int_equal(truncate(in_scratch("e.raw"), MIB / 2), 0);
	herd_diag_clear(&diag);
	assert_int_equal(herd_source_diff(x, y, NULL, 3, &got, NULL, &diag),
			 -EIO);
	assert_string_equal(diag.source, "e.raw");
	assert_int_equal(diag.offset, MIB / 2);
	herd_source_destroy(x);
	herd_source_destroy(y);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_bounds),
		cmocka_unit_test(test_window),
		cmocka_unit_test(test_raw_file),
		cmocka_unit_test(test_empty_file),
		cmocka_unit_test(test_block_device),
		cmocka_unit_test(test_diff_random),
		cmocka_unit_test(test_diff_sparse),
		cmocka_unit_test(test_diff_same_file),
		cmocka_unit_test(test_diff_error),
	};

	return cmocka_run_group_tests(tests, scratch_setup, scratch_teardown);
}
