/* SPDX-License-Identifier: Apache-2.0 */
/* The codec of entries: there and back, sizes, and bytes that nobody wrote. */
#include "acquire/base/sha256.h"
#include "index/entry.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <cmocka.h>

static uint8_t digest[32];

static struct herd_inode typical(void)
{
	static struct herd_run run = { 0, 123456ull << 12, 9ull << 12 };

	return (struct herd_inode){
		.ino = 131234, .mode = S_IFREG | 0644, .nlink = 1,
		.uid = 1000, .gid = 1000, .size = 34567,
		.mtime = { 1700000000, 123456789 },
		.atime = { 1710000000, 987654321 },
		.ctime = { 1705000000, 111222333 },
		.btime = { 1705000000, 111222333 },
		.content = HERD_CONTENT_RUNS, .runs = &run, .n_runs = 1,
	};
}

static void encode(const struct herd_inode *i, struct herd_buf *out)
{
	enum herd_digest_kind kind = S_ISREG(i->mode) || S_ISLNK(i->mode) ?
		HERD_DIGEST_SHA256 : HERD_DIGEST_NONE;

	assert_int_equal(herd_entry_encode(i, 3, kind, digest, out), 0);
}

static void check_time(struct herd_time a, struct herd_time b)
{
	assert_true(a.sec == b.sec);
	assert_int_equal(a.nsec, b.nsec);
}

static void check_parts(const struct herd_inode *i, const struct herd_entry *e)
{
	struct herd_run_iter it;
	struct herd_run run;
	size_t n = 0;

	herd_entry_runs(e, &it);
	for (; herd_entry_run_next(&it, &run); n++) {
		assert_true(n < i->n_runs);
		assert_int_equal(run.logical, i->runs[n].logical);
		assert_int_equal(run.phys, i->runs[n].phys);
		assert_int_equal(run.len, i->runs[n].len);
	}
	assert_int_equal(n, i->n_runs);
	assert_int_equal(e->n_runs, n);
	assert_int_equal(e->n_xattrs, i->n_xattrs);
	for (n = 0; n < i->n_xattrs; n++) {
		const char *name;
		const void *value;
		size_t name_len, len;

		assert_true(herd_entry_xattr(e, n, &name, &name_len, &value,
					     &len));
		assert_int_equal(name_len, strlen(i->xattrs[n].name));
		assert_memory_equal(name, i->xattrs[n].name, name_len);
		assert_int_equal(len, i->xattrs[n].len);
		assert_memory_equal(value, i->xattrs[n].value, len);
	}
}

static void check(const struct herd_inode *i, const struct herd_buf *b)
{
	struct herd_entry e;

	assert_int_equal(herd_entry_decode(b->data, b->len, &e), 0);
	assert_false(e.absent);
	assert_int_equal(e.volume, 3);
	assert_int_equal(e.ino, i->ino);
	assert_int_equal(e.mode, i->mode);
	assert_int_equal(e.uid, i->uid);
	assert_int_equal(e.gid, i->gid);
	assert_int_equal(e.nlink, i->nlink);
	assert_int_equal(e.size, i->size);
	assert_int_equal(e.rdev_major, i->rdev_major);
	assert_int_equal(e.rdev_minor, i->rdev_minor);
	check_time(e.mtime, i->mtime);
	check_time(e.atime, i->atime);
	check_time(e.ctime, i->ctime);
	check_time(e.btime, i->btime);
	assert_int_equal(e.content, i->content);
	if (e.digest_kind == HERD_DIGEST_SHA256)
		assert_memory_equal(e.digest, digest, 32);
	check_parts(i, &e);
	assert_int_equal(e.n_bytes, i->n_bytes);
	if (i->n_bytes)
		assert_memory_equal(e.bytes, i->bytes, i->n_bytes);
	assert_int_equal(e.n_problem, i->problem ? strlen(i->problem) : 0);
	if (i->problem)
		assert_memory_equal(e.problem, i->problem, e.n_problem);
}

static void test_typical_is_small(void **state)
{
	struct herd_buf b CLEANUP_BUF = HERD_BUF_INIT;
	struct herd_inode i = typical();

	(void)state;
	encode(&i, &b);
	check(&i, &b);
	assert_true(b.len <= 110);
	print_message("a typical file's entry: %zu bytes\n", b.len);
}

static void test_absent(void **state)
{
	struct herd_buf b CLEANUP_BUF = HERD_BUF_INIT;
	struct herd_entry e = { .mode = 1 };

	(void)state;
	assert_int_equal(herd_entry_encode_absent(&b), 0);
	assert_int_equal(b.len, 1);
	assert_int_equal(herd_entry_decode(b.data, b.len, &e), 0);
	assert_true(e.absent);
	assert_int_equal(e.mode, 0);
}

static void test_every_part(void **state)
{
	struct herd_buf b CLEANUP_BUF = HERD_BUF_INIT;
	struct herd_xattr x[] = {
		{ (char *)"security.capability", (void *)"\1\0\0\2", 4 },
		{ (char *)"user.a", (void *)"", 0 },
		{ (char *)"user.ab", (void *)"xyz", 3 },
	};
	struct herd_run runs[] = {
		{ 4096, 1ull << 40, 8192 }, { 16384, 4096, 4096 },
		{ 1ull << 41, 8192, 100 },
	};
	struct herd_inode i = typical();

	(void)state;
	i.runs = runs;
	i.n_runs = 3;
	i.size = (1ull << 41) + 100;
	i.xattrs = x;
	i.n_xattrs = 3;
	i.rdev_major = UINT32_MAX;
	i.rdev_minor = 7;
	i.uid = UINT32_MAX;
	i.ino = UINT64_MAX;
	i.mtime = (struct herd_time){ INT64_MIN, 0 };
	i.atime = (struct herd_time){ INT64_MAX, 999999999 };
	i.ctime = (struct herd_time){ -1, 1 };
	i.btime = (struct herd_time){ 0, 0 };
	i.problem = (char *)"the last block cannot be read";
	encode(&i, &b);
	check(&i, &b);
}

static void test_other_types(void **state)
{
	struct herd_buf link CLEANUP_BUF = HERD_BUF_INIT;
	struct herd_buf small CLEANUP_BUF = HERD_BUF_INIT;
	struct herd_buf device CLEANUP_BUF = HERD_BUF_INIT;
	struct herd_inode i = { .ino = 5, .mode = S_IFLNK | 0777, .size = 4,
				.bytes = (void *)"/etc", .n_bytes = 4 };

	(void)state;
	encode(&i, &link);
	check(&i, &link);
	i.mode = S_IFREG | 0600;
	i.content = HERD_CONTENT_INLINE;
	encode(&i, &small);
	check(&i, &small);
	i = (struct herd_inode){ .mode = S_IFCHR | 0666, .rdev_major = 1,
				 .rdev_minor = 3 };
	encode(&i, &device);
	check(&i, &device);
}

/* What a reader gives too much of is not kept; what it lacks is an error. */
static void test_inline_length(void **state)
{
	struct herd_buf b CLEANUP_BUF = HERD_BUF_INIT;
	struct herd_buf c CLEANUP_BUF = HERD_BUF_INIT;
	struct herd_inode i = { .mode = S_IFREG, .size = 3,
				.content = HERD_CONTENT_INLINE,
				.bytes = (void *)"abcdef", .n_bytes = 6 };
	struct herd_entry e;

	(void)state;
	encode(&i, &b);
	assert_int_equal(herd_entry_decode(b.data, b.len, &e), 0);
	assert_int_equal(e.n_bytes, 3);
	i.size = 7;
	assert_int_equal(herd_entry_encode(&i, 0, HERD_DIGEST_SHA256, digest,
					   &c), -EBADMSG);
}

static void refuse_runs(const struct herd_run *runs, size_t n)
{
	struct herd_buf b CLEANUP_BUF = HERD_BUF_INIT;
	struct herd_inode i = typical();

	i.runs = (struct herd_run *)runs;
	i.n_runs = n;
	assert_int_equal(herd_entry_encode(&i, 0, HERD_DIGEST_SHA256, digest,
					   &b), -EBADMSG);
}

static void test_bad_runs(void **state)
{
	(void)state;
	refuse_runs((struct herd_run[]){ { 0, 0, 0 } }, 1);
	refuse_runs((struct herd_run[]){ { 0, 0, 8 }, { 7, 64, 8 } }, 2);
	refuse_runs((struct herd_run[]){ { 8, 0, 8 }, { 0, 64, 8 } }, 2);
	refuse_runs((struct herd_run[]){ { 0, UINT64_MAX, 8 } }, 1);
	refuse_runs((struct herd_run[]){ { UINT64_MAX, 0, 8 } }, 1);
	refuse_runs((struct herd_run[]){ { 0, 0, UINT64_MAX } }, 1);
}

static void test_xattr_digest(void **state)
{
	struct herd_buf a CLEANUP_BUF = HERD_BUF_INIT;
	struct herd_buf b CLEANUP_BUF = HERD_BUF_INIT;
	struct herd_xattr x[] = {
		{ (char *)"user.b", (void *)"2", 1 },
		{ (char *)"user.a", (void *)"1", 1 },
	};
	struct herd_xattr y[] = { x[1], x[0] };
	struct herd_inode i = typical();
	struct herd_entry ea, eb;

	(void)state;
	i.n_xattrs = 2;
	i.xattrs = x;
	encode(&i, &a);
	i.xattrs = y;
	encode(&i, &b);
	assert_int_equal(a.len, b.len);
	assert_memory_equal(a.data, b.data, a.len);
	assert_int_equal(herd_entry_decode(a.data, a.len, &ea), 0);
	y[0].value = (void *)"9";
	b.len = 0;
	encode(&i, &b);
	assert_int_equal(herd_entry_decode(b.data, b.len, &eb), 0);
	assert_memory_not_equal(ea.xattr_digest, eb.xattr_digest, 32);
	/* the serialisation that docs/FORMAT.md gives */
	herd_sha256("\2\6user.a\1""1\6user.b\1""2", 19, digest);
	assert_memory_equal(ea.xattr_digest, digest, 32);
}

static uint64_t seed = 88172645463325252ull;
static uint64_t rnd(void)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return seed;
}

static size_t random_runs(struct herd_run *runs, size_t max)
{
	size_t n = rnd() % (max + 1);
	unsigned shift = rnd() % 14;
	uint64_t at = 0;

	for (size_t i = 0; i < n; i++) {
		at += rnd() % 3 ? 0 : (rnd() % 1000) << shift;
		runs[i].logical = at;
		runs[i].phys = (rnd() >> (20 + rnd() % 30)) << shift;
		runs[i].len = (1 + rnd() % 300) << shift;
		at += runs[i].len;
	}
	if (n && rnd() % 2)
		runs[n - 1].len -= rnd() % runs[n - 1].len;
	return n;
}

static void test_random(void **state)
{
	struct herd_buf b CLEANUP_BUF = HERD_BUF_INIT;
	struct herd_run runs[12];

	(void)state;
	for (int round = 0; round < 20000; round++) {
		struct herd_inode i = {
			.ino = rnd() >> rnd() % 64,
			.mode = S_IFREG | (rnd() & 07777),
			.uid = (uint32_t)(rnd() >> (32 + rnd() % 32)),
			.gid = (uint32_t)(rnd() >> (32 + rnd() % 32)),
			.size = rnd() >> (1 + rnd() % 63),
			.mtime = { (int64_t)rnd() >> rnd() % 64,
				   rnd() % 1000000000 },
			.ctime = { (int64_t)rnd() >> rnd() % 64,
				   rnd() % 1000000000 },
			.runs = runs, .n_runs = random_runs(runs, 12),
			.content = HERD_CONTENT_RUNS,
		};

		i.atime = rnd() % 2 ? i.mtime : i.ctime;
		b.len = 0;
		encode(&i, &b);
		check(&i, &b);
	}
}

/* Walks all that a decoded entry offers; a sanitizer sees what strays. */
static uint64_t consume(const struct herd_entry *e)
{
	struct herd_run_iter it;
	struct herd_run run;
	uint64_t sum = 0, end = 0;
	const char *name;
	const void *value;
	size_t n, len;

	herd_entry_runs(e, &it);
	while (herd_entry_run_next(&it, &run)) {
		assert_true(run.len > 0 && run.logical >= end);
		assert_true(run.logical + run.len <= INT64_MAX);
		assert_true(run.phys + run.len <= INT64_MAX);
		end = run.logical + run.len;
	}
	for (size_t i = 0; herd_entry_xattr(e, i, &name, &n, &value, &len); i++)
		for (size_t k = 0; k < len; k++)
			sum += ((const uint8_t *)value)[k];
	for (size_t k = 0; k < e->n_bytes; k++)
		sum += ((const uint8_t *)e->bytes)[k];
	return sum;
}

static void test_hostile(void **state)
{
	struct herd_buf b CLEANUP_BUF = HERD_BUF_INIT;
	struct herd_xattr x[] = { { (char *)"user.a", (void *)"1", 1 },
				  { (char *)"user.b", (void *)"22", 2 } };
	struct herd_run runs[] = { { 0, 4096, 4096 }, { 8192, 65536, 99 } };
	struct herd_inode i = typical();
	struct herd_entry e;

	(void)state;
	i.xattrs = x;
	i.n_xattrs = 2;
	i.runs = runs;
	i.n_runs = 2;
	i.problem = (char *)"p";
	encode(&i, &b);
	/* every shorter one is refused */
	for (size_t n = 0; n < b.len; n++) {
		uint8_t *cut = malloc(n ? n : 1);

		memcpy(cut, b.data, n);
		assert_int_equal(herd_entry_decode(cut, n, &e), -EBADMSG);
		free(cut);
	}
	herd_buf_u8(&b, 0);
	assert_int_equal(herd_entry_decode(b.data, b.len, &e), -EBADMSG);
	b.len--;
	for (int round = 0; round < 200000; round++) {
		uint8_t *bad = malloc(b.len);
		int flips = 1 + rnd() % 4;

		memcpy(bad, b.data, b.len);
		while (flips--)
			bad[rnd() % b.len] = (uint8_t)rnd();
		int r = herd_entry_decode(bad, b.len, &e);

		assert_true(r == 0 || r == -EBADMSG);
		if (!r)
			consume(&e);
		free(bad);
	}
}

static void test_decode_is_fast(void **state)
{
	struct herd_buf b CLEANUP_BUF = HERD_BUF_INIT;
	struct herd_inode i = typical();
	struct timespec t0, t1;
	struct herd_entry e;
	const int rounds = 200000;

	(void)state;
	encode(&i, &b);
	clock_gettime(CLOCK_MONOTONIC, &t0);
	for (int n = 0; n < rounds; n++) {
		assert_int_equal(herd_entry_decode(b.data, b.len, &e), 0);
		__asm__ volatile("" : : "r"(&e) : "memory");
	}
	clock_gettime(CLOCK_MONOTONIC, &t1);
	double ns = ((double)(t1.tv_sec - t0.tv_sec) * 1e9 +
		     (double)(t1.tv_nsec - t0.tv_nsec)) / rounds;

	print_message("decoding a typical entry: %.0f ns\n", ns);
	assert_true(ns < 20000);	/* slow machines and sanitizers too */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_typical_is_small),
		cmocka_unit_test(test_absent),
		cmocka_unit_test(test_every_part),
		cmocka_unit_test(test_other_types),
		cmocka_unit_test(test_inline_length),
		cmocka_unit_test(test_bad_runs),
		cmocka_unit_test(test_xattr_digest),
		cmocka_unit_test(test_random),
		cmocka_unit_test(test_hostile),
		cmocka_unit_test(test_decode_is_fast),
	};

	memset(digest, 0xa5, sizeof(digest));
	return cmocka_run_group_tests(tests, NULL, NULL);
}
