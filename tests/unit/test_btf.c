/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Types: BTF made by hand, and symbol files (ISF) that say the same; then what
 * is damaged, endless or too much.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "tests/unit/kernel_fixture.h"

#include <fcntl.h>
#include <sys/stat.h>

static void expect_field(const struct herd_btf *b, const char *type,
			 const char *member, struct herd_field want)
{
	struct herd_field f;

	if (herd_btf_field(b, type, member, &f))
		fail_msg("%s.%s", type, member);
	assert_int_equal(f.offset, want.offset);
	assert_int_equal(f.size, want.size);
	assert_int_equal(f.bit, want.bit);
	assert_int_equal(f.bits, want.bits);
}
#define FIELD(...) ((struct herd_field){ __VA_ARGS__ })

static void expect_none(const struct herd_btf *b, const char *type,
			const char *member)
{
	struct herd_field f;

	assert_int_equal(herd_btf_field(b, type, member, &f), -ENOENT);
}

/* What kernel_fixture.h's types are. */
static void check_types(struct herd_btf *b)
{
	uint32_t size;
	int64_t v;

	expect_field(b, "task", "pid", FIELD(0, 4, 0, 0));
	expect_field(b, "task", "a", FIELD(8, 8, 0, 0));
	expect_field(b, "task", "b", FIELD(8, 8, 0, 0));
	expect_field(b, "task", "b.second", FIELD(12, 4, 0, 0));
	expect_field(b, "task", "x", FIELD(16, 4, 0, 3));
	expect_field(b, "task", "y", FIELD(16, 4, 3, 5));
	expect_field(b, "task", "kind", FIELD(20, 4, 0, 0));
	expect_field(b, "task", "pairs", FIELD(24, 32, 0, 0));
	expect_field(b, "task", "pairs.second", FIELD(28, 4, 0, 0));
	expect_field(b, "task", "ptr", FIELD(56, 8, 0, 0));
	expect_none(b, "task", "");
	expect_none(b, "task", "first");	/* of a named member */
	expect_none(b, "task", "b.");
	expect_none(b, "task", "b.third");
	expect_none(b, "task", "pid.x");
	expect_none(b, "task", "x.y");
	expect_none(b, "task", "pi");
	expect_none(b, "task", "pidd");
	expect_none(b, "none", "pid");
	expect_none(b, "", "pid");
	assert_int_equal(herd_btf_sizeof(b, "task", &size), 0);
	assert_int_equal(size, 80);
	assert_int_equal(herd_btf_sizeof(b, "unsigned int", &size), 0);
	assert_int_equal(size, 4);
	assert_int_equal(herd_btf_sizeof(b, "tas", &size), -ENOENT);
	assert_int_equal(herd_btf_enumerator(b, "KIND_NONE", &v), 0);
	assert_int_equal(v, -1);
	assert_int_equal(herd_btf_enumerator(b, "KIND_ONE", &v), 0);
	assert_int_equal(v, 1);
	assert_int_equal(herd_btf_enumerator(b, "WIDE_ONE", &v), 0);
	assert_int_equal(v, 9ll << 32 | 7);
	assert_int_equal(herd_btf_enumerator(b, "KIND", &v), -ENOENT);
	assert_int_equal(herd_btf_enumerator(b, "task", &v), -ENOENT);
}

static void test_fields(void **state)
{
	size_t len;
	uint8_t *bytes = fake_btf(&len);
	struct herd_btf *b;
	uint32_t size;

	(void)state;
	assert_int_equal(herd_btf_parse(bytes, len, &b, NULL), 0);
	check_types(b);
	expect_field(b, "pair_t", "second", FIELD(4, 4, 0, 0));
	assert_int_equal(herd_btf_sizeof(b, "pair_t", &size), 0);
	assert_int_equal(size, 8);
	herd_btf_destroy(b);
}

static struct herd_btf *finish(struct fake_btf *made)
{
	struct herd_btf *b;
	size_t len;
	uint8_t *bytes = fake_btf_end(made, &len);

	assert_int_equal(herd_btf_parse(bytes, len, &b, NULL), 0);
	return b;
}

/* Before kind_flag the integer itself says how many bits it has. */
static void test_old_bits(void **state)
{
	struct fake_btf made;
	struct herd_btf *b;

	(void)state;
	fake_btf_begin(&made);
	uint32_t bits = fake_type(&made, "unsigned int", 1, 0, false, 4);
	herd_buf_le32(&made.types, 2u << 16 | 3);	/* 3 bits, from bit 2 */
	fake_type(&made, "s", 4, 2, false, 8);
	fake_member(&made, "low", bits, 0, 0);
	fake_member(&made, "high", bits, 40, 0);
	/* 40 bits from bit 30 on: no unit of 8 bytes holds them at its start */
	uint32_t u64 = fake_type(&made, "u64", 1, 0, false, 8);
	herd_buf_le32(&made.types, 64);
	fake_type(&made, "packed", 4, 1, true, 16);
	fake_member(&made, "across", u64, 46, 40);
	b = finish(&made);
	expect_field(b, "s", "low", FIELD(0, 4, 2, 3));
	expect_field(b, "s", "high", FIELD(4, 4, 10, 3));
	expect_field(b, "packed", "across", FIELD(5, 6, 6, 40));
	herd_btf_destroy(b);
}

/* Chains and nests without an end are no type. */
static void test_endless(void **state)
{
	struct herd_field f;
	struct fake_btf made;
	struct herd_btf *b;
	uint32_t size;

	(void)state;
	fake_btf_begin(&made);
	fake_type(&made, "loop", 8, 0, false, 2);
	fake_type(&made, "", 9, 0, false, 1);
	fake_type(&made, "self", 4, 2, false, 8);
	fake_member(&made, "", 3, 0, 0);
	fake_member(&made, "", 3, 0, 0);
	fake_type(&made, "", 3, 0, false, 0);	/* an array of itself */
	herd_buf_le32(&made.types, 4);
	herd_buf_le32(&made.types, 0);
	herd_buf_le32(&made.types, UINT32_MAX);
	fake_type(&made, "arrays", 8, 0, false, 4);
	fake_type(&made, "beyond", 8, 0, false, 4711);
	/* each of many members is a struct of as many: width^depth */
	uint32_t first = made.n + 1;
	for (uint32_t i = 0; i < 8; i++) {
		fake_type(&made, "wide", 4, 1000, false, 8);
		for (uint32_t j = 0; j < 1000; j++)
			fake_member(&made, "", first + (i + 1) % 8, 0, 0);
	}
	b = finish(&made);
	assert_int_equal(herd_btf_sizeof(b, "loop", &size), -ENOENT);
	assert_int_equal(herd_btf_sizeof(b, "arrays", &size), -ENOENT);
	assert_int_equal(herd_btf_sizeof(b, "beyond", &size), -ENOENT);
	assert_int_equal(herd_btf_field(b, "self", "x", &f), -ENOENT);
	assert_int_equal(herd_btf_field(b, "wide", "x", &f), -ENOENT);
	assert_int_equal(herd_btf_field(b, "loop", "x", &f), -ENOENT);
	herd_btf_destroy(b);
}

/* Of several of a name the first that has the member. */
static void test_same_names(void **state)
{
	struct fake_btf made;
	struct herd_btf *b;
	uint32_t size;

	(void)state;
	fake_btf_begin(&made);
	uint32_t u32 = fake_type(&made, "u32", 1, 0, false, 4);
	herd_buf_le32(&made.types, 32);
	fake_type(&made, "twice", 8, 0, false, u32);
	for (uint32_t i = 0; i < 2; i++) {
		fake_type(&made, "twice", 4, 1, false, 16 + i);
		fake_member(&made, i ? "two" : "one", u32, 32 * i, 0);
	}
	for (uint32_t i = 0; i < 200000; i++)	/* in no time */
		fake_type(&made, "many", 4, 0, false, i);
	b = finish(&made);
	expect_field(b, "twice", "one", FIELD(0, 4, 0, 0));
	expect_field(b, "twice", "two", FIELD(4, 4, 0, 0));
	assert_int_equal(herd_btf_sizeof(b, "twice", &size), 0);
	assert_int_equal(size, 16);
	assert_int_equal(herd_btf_sizeof(b, "many", &size), 0);
	assert_int_equal(size, 0);
	herd_btf_destroy(b);
}

/* A million types and values, all of one name of 16 MB: read byte by byte for
   each of them it would take days. */
static void test_endless_names(void **state)
{
	const size_t n = 1u << 20, long_name = 16u << 20;
	const uint32_t kinds[] = { 8, 6 };	/* typedefs, an enum's values */
	struct fake_btf made;
	struct herd_btf *b;
	uint32_t size;
	int64_t v;

	(void)state;
	for (unsigned k = 0; k < ARRAY_SIZE(kinds); k++) {
		fake_btf_begin(&made);
		memset(herd_buf_extend(&made.strings, long_name), 'x',
		       long_name);
		herd_buf_u8(&made.strings, 0);
		for (size_t i = 0; i < n - 16; i++) {
			if (k && i % 65535 == 0) {
				herd_buf_le32(&made.types, 0);
				herd_buf_le32(&made.types, kinds[k] << 24 |
					(uint32_t)(n - 16 - i < 65535 ?
						   n - 16 - i : 65535));
				herd_buf_le32(&made.types, 4);
			}
			herd_buf_le32(&made.types, 1);
			herd_buf_le32(&made.types, kinds[0] << 24);
			if (!k)
				herd_buf_le32(&made.types, 1);
		}
		b = finish(&made);
		assert_int_equal(herd_btf_sizeof(b, "task", &size), -ENOENT);
		for (unsigned i = 0; i < 100; i++)
			assert_int_equal(herd_btf_enumerator(b, "KIND", &v),
					 -ENOENT);
		herd_btf_destroy(b);
	}
}

/* Names that share all that is hashed are told apart all the same. */
static void test_long_names(void **state)
{
	char name[2][1200];
	struct fake_btf made;
	struct herd_btf *b;
	uint32_t size;

	(void)state;
	fake_btf_begin(&made);
	for (unsigned i = 0; i < 2; i++) {
		memset(name[i], 'x', sizeof(name[i]));
		name[i][sizeof(name[i]) - 2] = (char)('a' + i);
		name[i][sizeof(name[i]) - 1] = '\0';
		fake_type(&made, name[i], 4, 0, false, 8 + i);
	}
	b = finish(&made);
	for (unsigned i = 0; i < 2; i++) {
		assert_int_equal(herd_btf_sizeof(b, name[i], &size), 0);
		assert_int_equal(size, 8 + i);
	}
	name[1][sizeof(name[1]) - 2] = 'c';
	assert_int_equal(herd_btf_sizeof(b, name[1], &size), -ENOENT);
	herd_btf_destroy(b);
}

/* No question is answered by looking at all of a million of one name. */
static void test_crowd(void **state)
{
	struct fake_btf made;
	struct herd_btf *b;
	struct herd_field f;
	int64_t v;

	(void)state;
	fake_btf_begin(&made);
	uint32_t u32 = fake_type(&made, "u32", 1, 0, false, 4);
	herd_buf_le32(&made.types, 32);
	for (unsigned i = 0; i < 5000; i++) {
		fake_type(&made, "crowd", 4, 1, false, 4);
		fake_member(&made, i == 1000 ? "near" : i == 4000 ? "far" : "m",
			    u32, 0, 0);
	}
	b = finish(&made);
	expect_field(b, "crowd", "near", FIELD(0, 4, 0, 0));
	assert_int_equal(herd_btf_field(b, "crowd", "far", &f), -ENOENT);
	assert_int_equal(herd_btf_enumerator(b, "crowd", &v), -ENOENT);
	herd_btf_destroy(b);
}

static void ask_all(struct herd_btf *b)
{
	static const char *const words[] = { "task", "pair", "page", "kind" };
	static const char *const members[] = { "pid", "b.second", "y", "pairs",
					       "ptr", "first" };
	struct herd_field f;
	uint32_t size;
	int64_t v;

	for (unsigned i = 0; i < ARRAY_SIZE(words); i++) {
		herd_btf_sizeof(b, words[i], &size);
		for (unsigned j = 0; j < ARRAY_SIZE(members); j++)
			herd_btf_field(b, words[i], members[j], &f);
	}
	herd_btf_enumerator(b, "KIND_ONE", &v);
	for (uint32_t id = 0; id < herd_btf_count(b) + 2; id++) {
		const char *name;

		herd_btf_name(b, id);
		herd_btf_size(b, id, &size);
		for (uint32_t i = 0; herd_btf_member(b, id, i, &name, &f) &&
				     i < 100; i++)
			assert_non_null(name);
	}
}

static void test_damage(void **state)
{
	size_t len;
	uint8_t *good = fake_btf(&len);
	uint64_t dice = 88172645463325252ull;
	struct herd_btf *b;

	(void)state;
	for (size_t cut = 0; cut <= len; cut++) {
		uint8_t *p = malloc(cut + 1);

		assert_non_null(p);
		memcpy(p, good, cut);
		if (!herd_btf_parse(p, cut, &b, NULL)) {
			ask_all(b);
			herd_btf_destroy(b);
			assert_int_equal(cut, len);
		}
	}
	for (int round = 0; round < 20000; round++) {
		uint8_t *p = malloc(len);

		assert_non_null(p);
		memcpy(p, good, len);
		for (int i = 0; i <= round % 4; i++) {
			dice ^= dice << 13;
			dice ^= dice >> 7;
			dice ^= dice << 17;
			p[dice % len] ^= (uint8_t)(dice >> 40);
		}
		if (!herd_btf_parse(p, len, &b, NULL)) {
			ask_all(b);
			herd_btf_destroy(b);
		}
	}
	free(good);
}

/* ---- symbol files ---- */

static const char isf_text[] =
	"{\"metadata\":{\"format\":\"6.2.0\",\"x\":[1,2,{\"y\":null}]},\n"
	"\"base_types\":{\"unsigned int\":{\"size\":4,\"signed\":false,"
	"\"kind\":\"int\",\"endian\":\"little\"},"
	"\"u64\":{\"size\":8,\"kind\":\"int\"},"
	"\"void\":{\"size\":0,\"kind\":\"void\"}},"
	"\"user_types\":{"
	"\"task\":{\"size\":80,\"kind\":\"struct\",\"fields\":{"
	"\"pid\":{\"type\":{\"kind\":\"base\",\"name\":\"unsigned int\"},"
	"\"offset\":0},"
	"\"unnamed_field_8\":{\"anonymous\":true,\"offset\":8,"
	"\"type\":{\"kind\":\"struct\",\"name\":\"unnamed_1\"}},"
	"\"x\":{\"offset\":16,\"type\":{\"kind\":\"bitfield\",\"bit_length\":3,"
	"\"bit_position\":0,\"type\":{\"kind\":\"base\",\"name\":"
	"\"unsigned int\"}}},"
	"\"y\":{\"offset\":16,\"type\":{\"kind\":\"bitfield\",\"bit_length\":5,"
	"\"bit_position\":3,\"type\":{\"kind\":\"base\",\"name\":"
	"\"unsigned int\"}}},"
	"\"kind\":{\"offset\":20,\"type\":{\"kind\":\"enum\",\"name\":\"kind\"}"
	"},"
	"\"pairs\":{\"offset\":24,\"type\":{\"kind\":\"array\",\"count\":4,"
	"\"subtype\":{\"kind\":\"struct\",\"name\":\"pair\"}}},"
	"\"ptr\":{\"offset\":56,\"type\":{\"kind\":\"pointer\",\"subtype\":"
	"{\"kind\":\"struct\",\"name\":\"nowhere\"}}}}},"
	"\"unnamed_1\":{\"size\":8,\"kind\":\"struct\",\"fields\":{"
	"\"unnamed_field_0\":{\"anonymous\":true,\"offset\":0,\"type\":"
	"{\"kind\":\"union\",\"name\":\"unnamed_2\"}}}},"
	"\"unnamed_2\":{\"size\":8,\"kind\":\"union\",\"fields\":{"
	"\"a\":{\"offset\":0,\"type\":{\"kind\":\"base\",\"name\":\"u64\"}},"
	"\"b\":{\"offset\":0,\"type\":{\"kind\":\"struct\",\"name\":\"pair\"}}}},"
	"\"pair\":{\"size\":8,\"kind\":\"struct\",\"fields\":{"
	"\"first\":{\"offset\":0,\"type\":{\"kind\":\"base\",\"name\":"
	"\"unsigned int\"}},"
	"\"second\":{\"offset\":4,\"type\":{\"kind\":\"base\",\"name\":"
	"\"unsigned int\"}}}}},"
	"\"enums\":{\"kind\":{\"size\":4,\"base\":\"int\",\"constants\":"
	"{\"KIND_NONE\":-1,\"KIND_ONE\":1}},"
	"\"wide\":{\"size\":8,\"base\":\"long\",\"constants\":"
	"{\"WIDE_ONE\":38654705671}}},"
	"\"symbols\":{\"init_task\":{\"address\":18446744071578845184},"
	"\"\\u0061b\\n\":{\"type\":{\"kind\":\"base\",\"name\":\"void\"},"
	"\"address\":4096},"
	"\"linux_banner\":{\"address\":18446744071600000000,"
	/* "Linux version 1\n" */
	"\"constant_data\":\"TGludXggdmVyc2lvbiAxCgA=\"}}}";

static void test_isf(void **state)
{
	struct herd_isf *f;
	uint64_t at;

	(void)state;
	assert_int_equal(herd_isf_parse(isf_text, strlen(isf_text), &f, NULL),
			 0);
	check_types(herd_isf_types(f));
	assert_string_equal(herd_isf_banner(f), "Linux version 1");
	assert_int_equal(herd_isf_symbol(f, "init_task", &at), 0);
	assert_int_equal(at, 18446744071578845184ull);
	assert_int_equal(herd_isf_symbol(f, "ab\n", &at), 0);
	assert_int_equal(at, 4096);
	assert_int_equal(herd_isf_symbol(f, "init", &at), -ENOENT);
	assert_string_equal(herd_isf_symbol_at(f, 18446744071578845190ull, &at),
			    "init_task");
	assert_int_equal(at, 18446744071578845184ull);
	assert_null(herd_isf_symbol_at(f, 4095, &at));
	herd_isf_destroy(f);
}

static void test_isf_damage(void **state)
{
	size_t len = strlen(isf_text);
	uint64_t dice = 88172645463325252ull;
	struct herd_isf *f;

	(void)state;
	for (size_t cut = 0; cut < len; cut++) {
		char *p = malloc(cut + 1);

		assert_non_null(p);
		memcpy(p, isf_text, cut);
		assert_int_not_equal(herd_isf_parse(p, cut, &f, NULL), 0);
		free(p);
	}
	for (int round = 0; round < 20000; round++) {
		char *p = malloc(len);

		assert_non_null(p);
		memcpy(p, isf_text, len);
		for (int i = 0; i <= round % 3; i++) {
			dice ^= dice << 13;
			dice ^= dice >> 7;
			dice ^= dice << 17;
			p[dice % len] = round % 2 ? "{}[],:\"\\0-"[dice % 11] :
						    (char)(dice >> 40);
		}
		if (!herd_isf_parse(p, len, &f, NULL)) {
			ask_all(herd_isf_types(f));
			herd_isf_destroy(f);
		}
		free(p);
	}
	/* nesting without an end */
	char *deep = malloc(1 << 20);

	assert_non_null(deep);
	memset(deep, '[', 1 << 20);
	memcpy(deep, "{\"user_types\":", 14);
	assert_int_not_equal(herd_isf_parse(deep, 1 << 20, &f, NULL), 0);
	free(deep);
}

/* ---- symbol files on disk ---- */

static char dir[64];

static void write_file(const char *name, const char *text, const char *command)
{
	char path[256], all[512];
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	f = fopen(path, "w");
	assert_non_null(f);
	fputs(text, f);
	assert_int_equal(fclose(f), 0);
	snprintf(all, sizeof(all), "cd %s && %s %s", dir, command, name);
	assert_int_equal(system(all), 0);
}

static void banner(void *arg, uint64_t linked, char *ret, size_t max)
{
	assert_int_equal(linked, 18446744071600000000ull);
	snprintf(ret, max, "%s", (const char *)arg);
}

static int find(const char *path, const char *is, const char *build_id,
		char *name, struct herd_diag *diag)
{
	const struct herd_isf_kernel k = { "1", build_id, banner, (void *)is };
	struct herd_isf *f = NULL;
	int err;

	herd_diag_clear(diag);
	err = herd_isf_find(path, &k, &f, name, 64, diag);
	if (!err)
		check_types(herd_isf_types(f));
	herd_isf_destroy(f);
	return err;
}

static void test_files(void **state)
{
	char text[8192], name[64], path[256];
	struct herd_diag diag;
	char *p;

	(void)state;
	snprintf(dir, sizeof(dir), "%.40s/herd-isf-XXXXXX",
		 getenv("TMPDIR") ? getenv("TMPDIR") : "/tmp");
	assert_non_null(mkdtemp(dir));
	assert_int_equal(find(dir, "Linux version 1", "", name, &diag), -ENOENT);
	write_file("other.json", "{}", "true");
	write_file("notes.txt", isf_text, "true");
	assert_int_equal(find(dir, "Linux version 1", "", name, &diag), -EBADMSG);
	write_file("bad.json.gz", "no gz", "true");
	assert_int_equal(find(dir, "Linux version 1", "", name, &diag), -ENOENT);
	write_file("k.json", isf_text, "gzip");
	assert_int_equal(find(dir, "Linux version 1", "", name, &diag), 0);
	assert_string_equal(name, "k.json.gz");
	assert_int_equal(find(dir, "Linux version 2", "", name, &diag), -ENOENT);
	assert_non_null(strstr(diag.message, "Linux version 1"));
	write_file("k2.json", isf_text, "rm k.json.gz && xz");
	assert_int_equal(find(dir, "Linux version 1", "", name, &diag), 0);
	assert_string_equal(name, "k2.json.xz");
	snprintf(path, sizeof(path), "%s/k2.json.xz", dir);
	assert_int_equal(find(path, "Linux version 1", "", name, &diag), 0);
	assert_int_equal(truncate(path, 200), 0);
	assert_int_equal(find(path, "Linux version 1", "", name, &diag),
			 -EBADMSG);
	/* without a banner only the BUILD-ID in its name vouches for it */
	snprintf(text, sizeof(text), "%s", isf_text);
	p = strstr(text, "constant_data");
	assert_non_null(p);
	memcpy(p, "constant_dat_", 13);
	write_file("a0b1c2.json", text, "true");
	snprintf(path, sizeof(path), "%s/a0b1c2.json", dir);
	assert_int_equal(find(path, "", "a0b1c2", name, &diag), 0);
	assert_int_equal(find(path, "", "ffffff", name, &diag), -ENOENT);
	assert_int_equal(find(dir, "", "a0b1c2", name, &diag), 0);
	snprintf(text, sizeof(text), "rm -rf %s", dir);
	assert_int_equal(system(text), 0);
	assert_int_equal(find(dir, "", "", name, &diag), -ENOENT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_fields),
		cmocka_unit_test(test_old_bits),
		cmocka_unit_test(test_endless),
		cmocka_unit_test(test_same_names),
		cmocka_unit_test(test_endless_names),
		cmocka_unit_test(test_long_names),
		cmocka_unit_test(test_crowd),
		cmocka_unit_test(test_damage),
		cmocka_unit_test(test_isf),
		cmocka_unit_test(test_isf_damage),
		cmocka_unit_test(test_files),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
