/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Lists of digests as people have them, sets made of them in one chunk and in
 * many, looked up, damaged, replaced and removed.
 */
#include "acquire/base/buf.h"
#include "acquire/base/sha256.h"
#include "index/known.h"

#include <fcntl.h>
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>

#include <cmocka.h>

#define A "00000000000000000000000000000000000000000000000000000000000000aa"
#define B "FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFBB"
#define SHA1 "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define MD5 "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define NOTHING \
	"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

/* ---- lines ---- */

/* The digests of a list as "aa", "bb"…; -1 and diag: refused. */
static int read_lines(const char *text, char *out, struct herd_diag *diag)
{
	struct herd_known_lines l = { .source = "list" };
	uint8_t digest[32];

	*diag = (struct herd_diag){ .offset = HERD_NO_OFFSET };
	*out = '\0';
	while (*text) {
		size_t n = strcspn(text, "\n");
		int r = herd_known_line(&l, text, n, digest, diag);

		if (r < 0) {
			assert_int_equal(r, -EINVAL);
			return -1;
		}
		if (r == 1)
			sprintf(out + strlen(out), "%02x ", digest[31]);
		text += n + (text[n] == '\n');
	}
	return 0;
}

static void test_lines(void **state)
{
	static const struct { const char *text, *digests; } cases[] = {
		{ A "\n" B "\n", "aa bb " },
		{ A, "aa " },
		{ "\xef\xbb\xbf" A "\r\n\r\n# note\n  " B "\r\n", "aa bb " },
		{ A "  name with spaces\n" B " *binary\n", "aa bb " },
		{ "\\" A "  a\\nb\n", "aa " },
		{ A ",csv,without a head\n", "aa " },
		{ "sha256,sha1,md5,crc32,file_name\n" A "," SHA1 ",,,x\n",
		  "aa " },
		{ "\"SHA-1\",\"SHA-256\",\"FileName\"\n"
		  "\"" SHA1 "\",\"" B "\",\"a \"\"b\"\", c\"\n"
		  "\"" SHA1 "\",\"\",\"none\"\n"
		  "\"" SHA1 "\",\"" A "\",\"unclosed\n", "bb aa " },
		{ "name,SHA256\nx," A "\ny," B, "aa bb " },
		{ "", "" }, { "# only a note\n", "" },
	};
	struct herd_diag diag;
	char out[256];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		if (read_lines(cases[i].text, out, &diag))
			fail_msg("%zu: %s: %s", i, diag.source, diag.message);
		assert_string_equal(out, cases[i].digests);
	}
}

static void test_lines_wrong(void **state)
{
	static const struct { const char *text; unsigned line;
			      const char *says; } cases[] = {
		{ SHA1 "\n", 1, "a SHA-1 digest" },
		{ MD5 "  name\n", 1, "an MD5 digest" },
		{ A SHA1 MD5 "\n", 1, "no SHA-256" },
		{ A "\n" "not one\n", 2, "no SHA-256" },
		{ A "0\n", 1, "no SHA-256" },
		{ A "\n" A "0\n", 2, "no SHA-256" },
		{ "hello world\n", 1, "neither" },
		{ "\"SHA-1\",\"MD5\",\"CRC32\",\"FileName\",\"FileSize\","
		  "\"ProductCode\",\"OpSystemCode\",\"SpecialCode\"\r\n",
		  1, "NSRLFile.txt of RDS version 2" },
		{ "sha256,name\n" SHA1 ",x\n", 2, "a SHA-1 digest" },
		{ "name,sha256\nx\n", 2, "fewer columns" },
		{ "name,sha256\n\"x," A "\n", 2, "quote" },
		{ "name,sha256\n\"x\"y," A "\n", 2, "quote" },
		{ "\"name,sha256\n", 1, "quote" },
		{ "name,sha256\n# x\n", 2, "fewer columns" },
	};
	struct herd_diag diag;
	char out[256], where[32];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		if (!read_lines(cases[i].text, out, &diag))
			fail_msg("%zu is fine?", i);
		snprintf(where, sizeof(where), "list:%u", cases[i].line);
		if (strcmp(diag.source, where) != 0 ||
		    !strstr(diag.message, cases[i].says))
			fail_msg("%zu: %s: %s", i, diag.source, diag.message);
	}
}

/* ---- sets ---- */

struct world {
	char dir[200], list[300];
};

static int set_up(void **state)
{
	const char *tmp = getenv("TMPDIR");
	struct world *w = calloc(1, sizeof(*w));

	snprintf(w->dir, sizeof(w->dir), "%s/herd-known-XXXXXX",
		 tmp ? tmp : "/tmp");
	assert_non_null(mkdtemp(w->dir));
	snprintf(w->list, sizeof(w->list), "%s.list", w->dir);
	assert_int_equal(rmdir(w->dir), 0);	/* it is made when needed */
	*state = w;
	return 0;
}

static int tear_down(void **state)
{
	struct world *w = *state;
	char command[600];

	snprintf(command, sizeof(command), "rm -rf '%s' '%s'", w->dir, w->list);
	assert_int_equal(system(command), 0);
	free(w);
	return 0;
}

static void nth(uint64_t i, uint8_t digest[32])
{
	herd_sha256(&i, sizeof(i), digest);
}

static void write_list(const struct world *w, const char *text)
{
	FILE *f = fopen(w->list, "w");

	assert_non_null(f);
	fputs(text, f);
	assert_int_equal(fclose(f), 0);
}

/* from…to, each twice. */
static void write_numbers(const struct world *w, uint64_t from, uint64_t to)
{
	FILE *f = fopen(w->list, "w");
	uint8_t digest[32];
	char hex[65];

	assert_non_null(f);
	for (int twice = 0; twice < 2; twice++)
		for (uint64_t i = from; i < to; i++) {
			nth(i, digest);
			fprintf(f, "%s  %d\n", herd_hex(digest, 32, hex),
				(int)i);
		}
	assert_int_equal(fclose(f), 0);
}

static int import(const struct world *w, const char *name, bool bad,
		  size_t chunk, struct herd_known_counts *counts,
		  struct herd_diag *diag)
{
	struct herd_known_import *i = NULL;
	int err;

	*diag = (struct herd_diag){ .offset = HERD_NO_OFFSET };
	err = herd_known_import_begin(w->dir, name, bad, chunk, &i, diag);
	if (!err)
		err = herd_known_import_file(i, w->list, diag);
	if (!err)
		err = herd_known_import_end(i, 1700000000, counts, diag);
	herd_known_import_destroy(i);
	return err;
}

static void must_import(const struct world *w, const char *name, bool bad,
			size_t chunk, struct herd_known_counts *counts)
{
	struct herd_diag diag;

	if (import(w, name, bad, chunk, counts, &diag))
		fail_msg("%s: %s", diag.source, diag.message);
}

static void set_path(const struct world *w, const char *file, char path[300])
{
	snprintf(path, 300, "%s/known/%s", w->dir, file);
}

/* The same bytes however many chunks it takes. */
static void test_import(void **state)
{
	static const size_t chunks[] = { 0, 1, 2, 7, 100, 2000, 4000, 4001 };
	const struct world *w = *state;
	struct herd_known_counts counts;
	char path[300], other[300], command[700];

	write_numbers(w, 0, 2000);
	must_import(w, "whole", false, 0, &counts);
	set_path(w, "whole.good", path);
	set_path(w, "parts.good", other);
	for (size_t i = 0; i < ARRAY_SIZE(chunks); i++) {
		must_import(w, "parts", false, chunks[i], &counts);
		assert_int_equal(counts.lines, 4000);
		assert_int_equal(counts.digests, 2000);
		assert_int_equal(counts.twice, 2000);
		snprintf(command, sizeof(command), "cmp -s '%s' '%s'", path,
			 other);
		assert_int_equal(system(command), 0);
	}
	/* nothing is left behind */
	snprintf(command, sizeof(command), "test \"$(ls -A '%s/known' | "
		 "tr '\\n' ' ')\" = '.lock parts.good whole.good '", w->dir);
	assert_int_equal(system(command), 0);
}

static void test_find(void **state)
{
	const struct world *w = *state;
	struct herd_known_counts counts;
	const struct herd_known_set *set;
	struct herd_known k;
	uint8_t digest[32];

	assert_int_equal(herd_known_open(w->dir, &k, NULL), 0);
	assert_int_equal(k.n, 0);
	assert_null(herd_known_find(&k, (const uint8_t *)A));
	write_numbers(w, 0, 3000);
	must_import(w, "os", false, 0, &counts);
	write_numbers(w, 2000, 2010);
	must_import(w, "worms", true, 0, &counts);
	write_list(w, "");
	must_import(w, "none", false, 0, &counts);
	write_list(w, A "\n" B "\n");
	must_import(w, "ends", false, 0, &counts);
	assert_int_equal(herd_known_open(w->dir, &k, NULL), 0);
	assert_int_equal(k.n, 4);
	for (uint64_t i = 0; i < 6000; i++) {
		const char *want = i >= 2000 && i < 2010 ? "worms" : "os";

		nth(i, digest);
		set = herd_known_find(&k, digest);
		if (i >= 3000) {
			assert_null(set);
			continue;
		}
		assert_non_null(set);
		assert_string_equal(set->name, want);
		assert_int_equal(set->bad, *want == 'w');
	}
	memset(digest, 0, 32);
	assert_null(herd_known_find(&k, digest));
	digest[31] = 0xaa;
	assert_string_equal(herd_known_find(&k, digest)->name, "ends");
	memset(digest, 0xff, 32);
	assert_null(herd_known_find(&k, digest));
	digest[31] = 0xbb;
	assert_string_equal(herd_known_find(&k, digest)->name, "ends");
	assert_int_equal(k.v[0].imported, 1700000000);
	herd_known_close(&k);
}

/* Digests that are not spread evenly: made to slow the look-up down. */
static void test_uneven(void **state)
{
	const struct world *w = *state;
	struct herd_known_counts counts;
	struct herd_known k;
	uint8_t digest[32] = { 0 };
	FILE *f = fopen(w->list, "w");
	char hex[65];

	for (unsigned i = 0; i < 5000; i++) {
		memset(digest, 0, 32);
		digest[i % 2 ? 31 : 7] = (uint8_t)i;
		digest[i % 2 ? 30 : 6] = (uint8_t)(i >> 8);
		digest[0] = i == 4999 ? 0xff : 0;
		fprintf(f, "%s\n", herd_hex(digest, 32, hex));
	}
	assert_int_equal(fclose(f), 0);
	must_import(w, "uneven", true, 64, &counts);
	assert_int_equal(herd_known_open(w->dir, &k, NULL), 0);
	assert_int_equal(k.v[0].n, counts.digests);
	for (uint64_t i = 0; i < k.v[0].n; i++) {
		memcpy(digest, k.v[0].digests + 32 * i, 32);
		assert_non_null(herd_known_find(&k, digest));
		digest[20] = 1;
		assert_null(herd_known_find(&k, digest));
	}
	herd_known_close(&k);
}

static void test_refused(void **state)
{
	const struct world *w = *state;
	static const char *const names[] = { "", ".x", "-x", "a/b", "a b",
					     "..", "\xff" };
	struct herd_known_counts counts;
	struct herd_known_import *one = NULL, *two = NULL;
	struct herd_diag diag;
	char longest[70];

	write_list(w, A "\nnonsense\n");
	assert_int_equal(import(w, "x", false, 0, &counts, &diag), -EINVAL);
	assert_non_null(strstr(diag.source, ".list:2"));
	assert_int_equal(herd_known_remove(w->dir, "x", NULL), -ENOENT);
	write_list(w, A "\n");
	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		assert_int_equal(import(w, names[i], false, 0, &counts, &diag),
				 -EINVAL);
	memset(longest, 'a', sizeof(longest));
	longest[65] = '\0';
	assert_int_equal(import(w, longest, false, 0, &counts, &diag), -EINVAL);
	longest[64] = '\0';
	must_import(w, longest, false, 0, &counts);
	must_import(w, "x", false, 0, &counts);
	assert_int_equal(import(w, "x", true, 0, &counts, &diag), -EEXIST);
	assert_int_equal(herd_known_remove(w->dir, "x", NULL), 0);
	must_import(w, "x", true, 0, &counts);
	/* one at a time */
	assert_int_equal(herd_known_import_begin(w->dir, "a", true, 0, &one,
						 NULL), 0);
	assert_int_equal(herd_known_import_begin(w->dir, "b", true, 0, &two,
						 &diag), -EBUSY);
	herd_known_import_destroy(one);
	/* what is no text */
	write_list(w, "");
	FILE *f = fopen(w->list, "w");

	fwrite("SQLite format 3\0and more", 24, 1, f);
	fclose(f);
	assert_int_equal(import(w, "y", false, 0, &counts, &diag), -EOPNOTSUPP);
	assert_non_null(strstr(diag.message, "SELECT DISTINCT sha256"));
	write_list(w, "\x1f\x8b\x08 and more");
	assert_int_equal(import(w, "y", false, 0, &counts, &diag), -EOPNOTSUPP);
}

/* Empty files are no malware. */
static void test_empty_file(void **state)
{
	const struct world *w = *state;
	struct herd_known_counts counts;

	write_list(w, NOTHING "\n" A "\n" NOTHING "\n");
	must_import(w, "bad", true, 0, &counts);
	assert_int_equal(counts.digests, 1);
	assert_int_equal(counts.empty, 2);
	must_import(w, "good", false, 0, &counts);
	assert_int_equal(counts.digests, 2);
	assert_int_equal(counts.empty, 0);
}

static void test_not_a_store(void **state)
{
	const struct world *w = *state;
	struct herd_known_counts counts;
	struct herd_diag diag;
	char path[300];

	write_list(w, A "\n");
	assert_int_equal(mkdir(w->dir, 0700), 0);
	snprintf(path, sizeof(path), "%s/somebodys", w->dir);
	assert_int_equal(mkdir(path, 0700), 0);
	assert_int_equal(import(w, "x", false, 0, &counts, &diag), -ENOTEMPTY);
	assert_int_equal(rmdir(path), 0);
	must_import(w, "x", false, 0, &counts);
}

/* Each byte that is changed, cut off or added is noticed. */
static void test_damaged(void **state)
{
	const struct world *w = *state;
	struct herd_known_counts counts;
	struct herd_known k;
	char path[300];
	uint8_t whole[1024], byte;
	ssize_t size;

	write_numbers(w, 0, 5);
	must_import(w, "x", true, 0, &counts);
	set_path(w, "x.bad", path);
	int fd = open(path, O_RDWR);

	size = read(fd, whole, sizeof(whole));
	assert_int_equal(size, 64 + 6 * 32);
	for (off_t i = 0; i < size; i++) {
		byte = whole[i] ^ (uint8_t)(1 << i % 8);
		assert_int_equal(pwrite(fd, &byte, 1, i), 1);
		int err = herd_known_open(w->dir, &k, NULL);

		assert_true(err == -EBADMSG || err == -EPROTO);
		assert_int_equal(pwrite(fd, &whole[i], 1, i), 1);
	}
	assert_int_equal(ftruncate(fd, size + 32), 0);
	assert_int_equal(herd_known_open(w->dir, &k, NULL), -EBADMSG);
	for (off_t i = 0; i < size; i += 31) {
		assert_int_equal(ftruncate(fd, i), 0);
		assert_int_equal(herd_known_open(w->dir, &k, NULL), -EBADMSG);
	}
	assert_int_equal(pwrite(fd, whole, (size_t)size, 0), size);
	assert_int_equal(herd_known_open(w->dir, &k, NULL), 0);
	herd_known_close(&k);
	/* of the other kind by its name alone */
	char other[300];

	set_path(w, "x.good", other);
	assert_int_equal(rename(path, other), 0);
	assert_int_equal(herd_known_open(w->dir, &k, NULL), -EBADMSG);
	close(fd);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_lines),
		cmocka_unit_test(test_lines_wrong),
		TEST(test_import),
		TEST(test_find),
		TEST(test_uneven),
		TEST(test_refused),
		TEST(test_empty_file),
		TEST(test_not_a_store),
		TEST(test_damaged),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
