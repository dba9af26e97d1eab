/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Kept images of memory as memory: that one reads as what was kept, and that no
 * damage to list or packs, nor another pack of the same name, reads as a memory
 * that never was.
 */
#include "tests/unit/memory_fixture.h"

#include "acquire/memory_keep.h"

static struct herd_keep_result last;

static const char *store(void)
{
	static char dir[300];

	snprintf(dir, sizeof(dir), "%s/kept", scratch);
	return dir;
}

static bool as_lime;

static int keep_as(const char *name, const char *image, struct herd_diag *diag)
{
	struct herd_image img = { 0 };

	herd_diag_clear(diag);
	int err = herd_memory_probe(in_scratch(image), NULL, &img, diag)     ?:
			  herd_keep_import(store(), name, &img, as_lime, &last,
					   diag) ?:
			  herd_keep_publish(store(), name, diag);

	herd_image_deinit(&img);
	return err;
}

static void must_keep(const char *name, const char *image)
{
	struct herd_diag diag;
	char line[900];
	int err = keep_as(name, image, &diag);

	if (err)
		fail_msg("%s",
			 herd_diag_format(&diag, err, line, sizeof(line)));
}

static void fresh_store(void)
{
	run("rm -rf kept && mkdir kept");
}

static void test_reads_as_memory(void **state)
{
	static const char *const formats[] = { "lime", "elf" };

	(void)state;
	fresh_store();
	write_file("info", "OSRELEASE=6.1.0\n", 16);
	must_keep("raw", "memory.raw");
	assert_true(last.fresh > 100 && last.zeros > 100);
	struct herd_source *s = memory_must("kept/raw.keep");

	memory_check(s, 0, MEMORY);
	herd_source_destroy(s);
	for (size_t i = 0; i < 2; i++) {
		char name[30];

		make_memory(formats[i],
			    i ? "--vmcoreinfo info " RANGES : RANGES);
		must_keep(formats[i], "image");
		assert_int_equal(last.fresh, 0);
		snprintf(name, sizeof(name), "kept/%s.keep", formats[i]);
		s = memory_must(name);
		memory_check_all(s);
		if (i)
			assert_int_equal(herd_memory_notes(s)->vmcoreinfo_len,
					 16);
		herd_source_destroy(s);
	}
}

/* Opens and reads: all of it right, or an error. The errors. */
static int read_all(const char *name)
{
	struct herd_source *s = NULL;
	struct herd_diag diag;
	uint8_t page[PAGE];
	int err = memory_try(name, NULL, &s, &diag);

	if (err)
		assert_true(diag.message[0]);
	for (uint64_t at = 0; !err && at < MEMORY; at += PAGE) {
		int e = herd_source_read(s, page, PAGE, at, NULL);

		if (!e)
			assert_memory_equal(page, memory + at, PAGE);
	}
	herd_source_destroy(s);
	return err;
}

static void damage(const char *file, unsigned rounds, bool *ret_seen)
{
	uint64_t seed = 17;
	size_t len;
	CLEANUP_FREE uint8_t *good = slurp(file, &len);
	CLEANUP_FREE uint8_t *bytes = malloc(len);

	for (unsigned k = 0; k < rounds; k++) {
		size_t n = len;

		memcpy(bytes, good, len);
		for (uint64_t m = 0; m <= random_next(&seed) % 3; m++)
			bytes[random_next(&seed) % len] ^=
				(uint8_t)(1 + random_next(&seed) % 255);
		if (random_next(&seed) % 8 == 0)
			n = random_next(&seed) % len;
		write_file(file, bytes, n);
		*ret_seen |= read_all("kept/raw.keep") != 0;
	}
	write_file(file, good, len);
}

static void test_damage(void **state)
{
	const char *full = getenv("FULL");
	unsigned rounds = full && full[0] == '1' ? 2000 : 200;
	bool list = false, pack = false;

	(void)state;
	fresh_store();
	must_keep("raw", "memory.raw");
	damage("kept/raw.keep", rounds, &list);
	damage("kept/raw.pack", rounds / 10, &pack);
	assert_true(list && pack);
	assert_int_equal(read_all("kept/raw.keep"), 0);
}

/* One bit of the list is another page: it must not be taken for the memory. */
static void test_one_bit(void **state)
{
	size_t len;

	(void)state;
	fresh_store();
	must_keep("raw", "memory.raw");
	CLEANUP_FREE uint8_t *good = slurp("kept/raw.keep", &len);

	for (size_t at = 20; at < len; at += 37) {
		uint8_t bit = good[at] ^ 1;

		write_at("kept/raw.keep", at, &bit, 1);
		memory_refuse("kept/raw.keep", NULL, -EBADMSG, "damaged");
		write_at("kept/raw.keep", at, &good[at], 1);
	}
	assert_int_equal(read_all("kept/raw.keep"), 0);
}

static void test_another_pack(void **state)
{
	CLEANUP_FREE uint8_t *other = malloc(MEMORY);

	(void)state;
	fresh_store();
	must_keep("raw", "memory.raw");
	run("mv kept/raw.pack good.pack && mv kept/raw.keep good.keep");
	/* as many pages at the same places, with other bytes */
	for (size_t i = 0; i < MEMORY; i++)
		other[i] = memory[i] ? (uint8_t)(memory[i] ^ 0x80) | 1 : 0;
	write_file("other.raw", other, MEMORY);
	must_keep("raw", "other.raw");
	run("cp good.keep kept/raw.keep");
	memory_refuse("kept/raw.keep", NULL, -ESTALE, "is another pack");
	run("cp good.pack kept/raw.pack");
	assert_int_equal(read_all("kept/raw.keep"), 0);
	run("rm kept/raw.pack");
	memory_refuse("kept/raw.keep", NULL, -ENOENT, "raw.pack");
}

static void test_refusals(void **state)
{
	struct herd_diag diag;

	(void)state;
	fresh_store();
	must_keep("raw", "memory.raw");
	assert_int_equal(keep_as("raw", "memory.raw", &diag), -EEXIST);
	make_memory("avml2", RANGES);
	assert_int_equal(keep_as("packed", "image", &diag), -EOPNOTSUPP);
	assert_non_null(strstr(diag.message, "is packed already"));
	/* registers have no place in LiME */
	char cpu[100] = "77";

	for (int i = 0; i < 27; i++)
		strcat(cpu, " 1");
	write_file("cpus", cpu, strlen(cpu));
	make_memory("kdump", "--cpu cpus " RANGES);
	as_lime = true;
	assert_int_equal(keep_as("packed", "image", &diag), -EOPNOTSUPP);
	assert_non_null(strstr(diag.message, "holds registers"));
	as_lime = false;
}

/* Unpacked it is the LiME file of the same memory, to the byte. */
static void test_as_lime(void **state)
{
	static const char *const packed[] = { "avml2", "kdump-zlib" };
	struct herd_diag diag;
	struct herd_image img;

	(void)state;
	fresh_store();
	make_memory("lime", RANGES);
	run("mv image want.lime");
	as_lime = true;
	for (size_t i = 0; i < ARRAY_SIZE(packed); i++) {
		make_memory(packed[i], RANGES);
		must_keep(packed[i], "image");
		CLEANUP_FREE char *kept = NULL;
		CLEANUP_FD int fd = open(in_scratch("back"), O_RDWR | O_CREAT |
					 O_TRUNC, 0600);

		assert_true(asprintf(&kept, "%s/%s.keep", store(), packed[i]) > 0);
		herd_diag_clear(&diag);
		assert_int_equal(herd_keep_probe(kept, &img, &diag), 0);
		assert_int_equal(herd_keep_export(&img, fd, &diag), 0);
		herd_image_deinit(&img);
		assert_int_equal(run("cmp back want.lime"), 0);
	}
	as_lime = false;
	assert_int_equal(last.fresh, 0);
}

/* Cut off after the pack got its name: the image can be kept all the same, and
   what others found in that pack stays. */
static void test_cut_off(void **state)
{
	(void)state;
	fresh_store();
	must_keep("a", "memory.raw");
	run("mv kept/a.keep first.keep");
	must_keep("b", "memory.raw");
	assert_int_equal(last.fresh, 0);
	write_file("other.raw", memory + PAGE, MEMORY - PAGE);
	must_keep("a", "other.raw");
	assert_int_equal(run("test -e kept/a.2.pack"), 0);
	assert_int_equal(read_all("kept/b.keep"), 0);
	struct herd_source *s = memory_must("kept/a.keep");
	uint8_t page[PAGE];

	assert_int_equal(herd_source_read(s, page, PAGE, 0, NULL), 0);
	assert_memory_equal(page, memory + PAGE, PAGE);
	herd_source_destroy(s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_reads_as_memory),
		cmocka_unit_test(test_damage),
		cmocka_unit_test(test_one_bit),
		cmocka_unit_test(test_another_pack),
		cmocka_unit_test(test_refusals),
		cmocka_unit_test(test_as_lime),
		cmocka_unit_test(test_cut_off),
	};

	return cmocka_run_group_tests(tests, memory_setup, memory_teardown);
}
