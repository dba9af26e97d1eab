/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is put into the block cache comes out again, once for all snapshots
 * that have it, and whatever is done to the files, never anything else.
 */
#include "acquire/aws/pricing.h"
#include "block_cache_fixture.h"

#include <math.h>

#define A "snap-0a1b2c3d4e5f60718"
#define B "snap-1"

/* ---- round trips ---- */

static void put_bytes(struct herd_block_cache *c, uint32_t index,
		      const uint8_t *p, size_t len)
{
	uint8_t sha[HERD_SHA256_LEN];

	herd_sha256(p, len, sha);
	must(herd_block_cache_put(c, A, index, p, len, sha, &diag));
}

static void get_bytes(struct herd_block_cache *c, uint32_t index,
		      const uint8_t *p, size_t len)
{
	uint8_t *got CLEANUP_FREE = malloc(len);
	size_t n = 0;

	memset(got, 0xa5, len);
	must(herd_block_cache_get(c, A, index, got, len, &n, NULL, &diag));
	assert_int_equal(n, len);
	assert_memory_equal(got, p, len);
}

static const size_t lengths[] = { 1,	511,   4095,   4096,   4097,
				  8192, 65536, 524288, 524287, 1u << 20 };

/* Random bytes with zeros in various places. */
static void shape(uint8_t *p, size_t len, unsigned how)
{
	size_t piece = HERD_BC_PIECE;

	fill(p, len, how + len);
	if (how == 1)
		memset(p, 0, len);
	if (how == 2)
		memset(p, 0, len / 2);
	if (how == 3)
		memset(p + len / 2, 0, len - len / 2);
	for (size_t i = 0; how == 4 && i < len; i += 2 * piece)
		memset(p + i, 0, len - i < piece ? len - i : piece);
	if (how == 5)
		memset(p, 0, len - 1);
	if (how == 6)
		memset(p + 1, 0, len - 1);
}

static void test_round_trip(void **state)
{
	uint8_t *p CLEANUP_FREE = malloc(HERD_BLOCK_SIZE_MAX);
	struct herd_block_cache *c = open_cache(0);
	struct herd_block_cache_stats s;

	(void)state;
	for (unsigned again = 0; again < 2; again++) {
		for (uint32_t i = 0; i < ARRAY_SIZE(lengths) * 7; i++) {
			shape(p, lengths[i / 7], i % 7);
			if (!again)
				put_bytes(c, i * 1000, p, lengths[i / 7]);
			get_bytes(c, i * 1000, p, lengths[i / 7]);
		}
		herd_block_cache_stats(c, &s);
		assert_int_equal(s.hits, ARRAY_SIZE(lengths) * 7);
		assert_int_equal(s.damaged + s.misses + s.evicted, 0);
		assert_int_equal(s.contents, on_disk().contents);
		assert_int_equal(s.bytes, on_disk().bytes);
		herd_block_cache_close(c);
		c = open_cache(0);
	}
	herd_block_cache_close(c);
}

static void test_zeros_are_cheap(void **state)
{
	uint8_t *p CLEANUP_FREE = calloc(1, 524288);
	struct herd_block_cache *c = open_cache(0);
	struct herd_block_cache_stats s;

	(void)state;
	put_bytes(c, 0, p, 524288);
	herd_block_cache_stats(c, &s);
	assert_int_equal(s.bytes, 0);
	p[300000] = 1;
	put_bytes(c, 1, p, 524288);
	get_bytes(c, 1, p, 524288);
	herd_block_cache_stats(c, &s);
	assert_int_equal(s.bytes, HERD_BC_PIECE);
	assert_int_equal(on_disk().bytes, HERD_BC_PIECE);
	herd_block_cache_close(c);
}

static void test_sharing(void **state)
{
	struct herd_block_cache *c = open_cache(0);
	struct herd_block_cache_stats s;
	uint8_t sha[HERD_SHA256_LEN], got[HERD_SHA256_LEN];

	(void)state;
	must(put_seed(c, A, 5, 65536, 1, sha));
	assert_true(herd_block_cache_has(c, sha));
	assert_int_equal(herd_block_cache_digest(c, B, 5, got), -ENOENT);
	must(put_seed(c, B, 5, 65536, 1, NULL));
	must(put_seed(c, B, 9, 65536, 1, NULL));
	must(get_seed(c, A, 5, 65536, 1));
	must(get_seed(c, B, 5, 65536, 1));
	must(get_seed(c, B, 9, 65536, 1));
	must(herd_block_cache_digest(c, B, 9, got));
	assert_memory_equal(got, sha, sizeof(sha));
	assert_int_equal(get_seed(c, A, 9, 65536, 1), -ENOENT);
	herd_block_cache_stats(c, &s);
	assert_int_equal(s.contents, 1);
	assert_int_equal(on_disk().contents, 1);
	/* the index is put anew: the last one holds */
	must(put_seed(c, B, 9, 65536, 2, NULL));
	must(get_seed(c, B, 9, 65536, 2));
	/* gone (evicted): no block, but its digest is still known */
	assert_int_equal(unlink(content_at(sha)), 0);
	assert_false(herd_block_cache_has(c, sha));
	assert_int_equal(get_seed(c, A, 5, 65536, 1), -ENOENT);
	must(herd_block_cache_digest(c, A, 5, got));
	herd_block_cache_close(c);
}

static void test_refused(void **state)
{
	static const char *const bad[] = {
		"",
		"snap-",
		"snap",
		"vol-1",
		"snap-A",
		"snap-1/",
		"snap-..",
		"snap-1 ",
		"../snap-1",
		"snap-1\n",
		NULL,
		"snap-0123456789012345678901234567890123456789012345678901234567890",
	};
	struct herd_block_cache *c = open_cache(0);
	struct herd_block_list l = { .block_size = 4096, .volume_size = 4096 };
	uint8_t buf[64] = { 1 }, sha[HERD_SHA256_LEN];
	uint32_t *v;
	size_t n;

	(void)state;
	herd_sha256(buf, sizeof(buf), sha);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		assert_int_equal(herd_block_cache_put(c, bad[i], 0, buf, 64,
						      sha, NULL),
				 -EINVAL);
		assert_int_equal(herd_block_cache_get(c, bad[i], 0, buf, 64, &n,
						      NULL, NULL),
				 -EINVAL);
		assert_int_equal(herd_block_cache_digest(c, bad[i], 0, sha),
				 -EINVAL);
		assert_int_equal(herd_block_cache_put_list(c, bad[i], &l, NULL),
				 -EINVAL);
		assert_int_equal(herd_block_cache_get_list(c, bad[i], &l, NULL),
				 -EINVAL);
		assert_int_equal(herd_block_cache_put_changed(c, A, bad[i],
							      NULL, 0, NULL),
				 -EINVAL);
		assert_int_equal(herd_block_cache_get_changed(c, bad[i], A, &v,
							      &n, NULL),
				 -EINVAL);
	}
	assert_int_equal(herd_block_cache_put(c, A, HERD_BC_INDEXES, buf, 64,
					      sha, NULL),
			 -EINVAL);
	assert_int_equal(herd_block_cache_put(c, A, 0, buf, 0, sha, NULL),
			 -EINVAL);
	assert_int_equal(herd_block_cache_put(c, A, 0, buf,
					      HERD_BLOCK_SIZE_MAX + 1, sha,
					      NULL),
			 -EINVAL);
	must(herd_block_cache_put(c, A, HERD_BC_INDEXES - 1, buf, 64, sha,
				  &diag));
	assert_int_equal(herd_block_cache_get(c, A, HERD_BC_INDEXES - 1, buf,
					      63, &n, NULL, NULL),
			 -EOVERFLOW);
	must(herd_block_cache_get(c, A, HERD_BC_INDEXES - 1, buf, 64, &n, NULL,
				  &diag));
	assert_int_equal(count_dir(at("snapshots")), 1);
	herd_block_cache_close(c);
}

/* ---- damage to blocks ---- */

/* It was damaged: said once, then not there, then as good as new. */
static void told_once(struct herd_block_cache *c, uint32_t index, size_t len,
		      uint64_t seed)
{
	struct herd_block_cache_stats before, after;

	herd_block_cache_stats(c, &before);
	assert_int_equal(get_seed(c, A, index, len, seed), -EBADMSG);
	assert_int_equal(get_seed(c, A, index, len, seed), -ENOENT);
	herd_block_cache_stats(c, &after);
	assert_int_equal(after.damaged, before.damaged + 1);
	assert_int_equal(after.contents, on_disk().contents);
	assert_true(after.bytes >= on_disk().bytes); /* see docs/FORMAT.md */
	must(put_seed(c, A, index, len, seed, NULL));
	must(get_seed(c, A, index, len, seed));
}

static void test_content_flipped(void **state)
{
	struct herd_block_cache *c = open_cache(0);
	uint8_t sha[HERD_SHA256_LEN];

	(void)state;
	must(put_seed(c, A, 3, 300, 1, sha));
	must(put_seed(c, A, 4, 524288, 2, NULL));
	for (unsigned i = 0; i < 300; i++) {
		flip(content_at(sha), i);
		told_once(c, 3, 300, 1);
	}
	must(put_seed(c, A, 4, 524288, 2, sha));
	for (unsigned i = 1; i <= 524288; i *= 2) {
		flip(content_at(sha), i - 1);
		told_once(c, 4, 524288, 2);
	}
	/* what is kept of them does not grow without end */
	assert_in_range(count_dir(at("damaged")), 2, HERD_BC_DAMAGED_KEPT);
	herd_block_cache_close(c);
}

static void test_content_cut(void **state)
{
	struct herd_block_cache *c = open_cache(0);
	uint8_t sha[HERD_SHA256_LEN];

	(void)state;
	must(put_seed(c, A, 3, 300, 1, sha));
	for (unsigned i = 0; i < 302; i++) {
		if (i == 300)
			continue;
		assert_int_equal(truncate(content_at(sha), i), 0);
		told_once(c, 3, 300, 1);
		/* and put tells it by the size alone */
		assert_int_equal(truncate(content_at(sha), i), 0);
		must(put_seed(c, A, 3, 300, 1, NULL));
		must(get_seed(c, A, 3, 300, 1));
	}
	/* another block's content under this name, of the same size */
	uint8_t other[HERD_SHA256_LEN];

	must(put_seed(c, A, 4, 300, 2, other));
	assert_int_equal(rename(content_at(other), content_at(sha)), 0);
	assert_int_equal(get_seed(c, A, 3, 300, 1), -EBADMSG);
	assert_int_equal(get_seed(c, A, 3, 300, 1), -ENOENT);
	herd_block_cache_close(c);
}

static void test_slot_flipped(void **state)
{
	struct herd_block_cache *c = open_cache(0);
	uint8_t sha[HERD_SHA256_LEN];

	(void)state;
	must(put_seed(c, A, 2, 300, 1, NULL));
	must(put_seed(c, A, 7, 300, 2, NULL));
	for (unsigned i = 0; i < 64; i++) {
		flip(at("snapshots/" A "/digests"), 2 * 64 + i);
		told_once(c, 2, 300, 1);
		/* one that was empty */
		flip(at("snapshots/" A "/digests"), 5 * 64 + i);
		assert_int_equal(herd_block_cache_digest(c, A, 5, sha),
				 -EBADMSG);
		assert_int_equal(herd_block_cache_digest(c, A, 5, sha),
				 -ENOENT);
	}
	must(get_seed(c, A, 7, 300, 2));
	herd_block_cache_close(c);
}

static void test_slot_elsewhere(void **state)
{
	struct herd_block_cache *c = open_cache(0);
	uint8_t slot[64];

	(void)state;
	must(put_seed(c, A, 2, 300, 1, NULL));
	must(put_seed(c, B, 2, 300, 2, NULL));
	int fd = open(at("snapshots/" A "/digests"), O_RDWR);

	assert_int_equal(pread(fd, slot, 64, 128), 64);
	assert_int_equal(pwrite(fd, slot, 64, 192), 64);
	close(fd);
	told_once(c, 3, 300, 3); /* of another index */
	assert_int_equal(rename(at("snapshots/" B "/digests"),
				at("snapshots/" A "/digests")),
			 0);
	told_once(c, 2, 300, 1); /* of another snapshot */
	herd_block_cache_close(c);
}

static void test_digests_cut(void **state)
{
	struct herd_block_cache *c = open_cache(0);

	(void)state;
	must(put_seed(c, A, 1, 300, 1, NULL));
	for (unsigned i = 127; i > 64; i--) {
		assert_int_equal(truncate(at("snapshots/" A "/digests"), i), 0);
		told_once(c, 1, 300, 1);
	}
	for (unsigned i = 0; i <= 64; i++) {
		assert_int_equal(truncate(at("snapshots/" A "/digests"), i), 0);
		assert_int_equal(get_seed(c, A, 1, 300, 1), -ENOENT);
	}
	must(put_seed(c, A, 1, 300, 1, NULL));
	assert_int_equal(unlink(at("snapshots/" A "/digests")), 0);
	assert_int_equal(get_seed(c, A, 1, 300, 1), -ENOENT);
	herd_block_cache_close(c);
}

/* ---- lists ---- */

static char *tokens[] = { "AAABAa8BEQCqcwRlwI9J", "x", "a+/=" };
static uint32_t indexes[] = { 0, 3, 2047 };
static const struct herd_block_list sample = {
	.block_size = 524288,
	.volume_size = 1u << 30,
	.indexes = indexes,
	.tokens = tokens,
	.n = 3,
	.tokens_expire = 1790000000,
};

static void same_list(const struct herd_block_list *a,
		      const struct herd_block_list *b)
{
	assert_int_equal(a->block_size, b->block_size);
	assert_int_equal(a->volume_size, b->volume_size);
	assert_int_equal(a->tokens_expire, b->tokens_expire);
	assert_int_equal(a->n, b->n);
	assert_int_equal(!a->tokens, !b->tokens);
	for (size_t i = 0; i < a->n; i++) {
		assert_int_equal(a->indexes[i], b->indexes[i]);
		if (a->tokens)
			assert_string_equal(a->tokens[i], b->tokens[i]);
	}
}

static void list_round_trip(struct herd_block_cache *c,
			    const struct herd_block_list *l)
{
	struct herd_block_list got = { 0 };

	must(herd_block_cache_put_list(c, A, l, &diag));
	must(herd_block_cache_get_list(c, A, &got, &diag));
	same_list(l, &got);
	herd_block_list_deinit(&got);
}

static void test_lists(void **state)
{
	struct herd_block_cache *c = open_cache(0);
	struct herd_block_list l = sample, none = { 0 };
	uint32_t *many CLEANUP_FREE = malloc(100000 * sizeof(*many));
	uint32_t last = HERD_BC_INDEXES - 1;

	(void)state;
	assert_int_equal(herd_block_cache_get_list(c, A, &none, NULL), -ENOENT);
	list_round_trip(c, &l);
	assert_int_equal(herd_block_cache_get_list(c, B, &none, NULL), -ENOENT);
	l.tokens = NULL;
	l.tokens_expire = -5;
	list_round_trip(c, &l);
	l.n = 0;
	l.indexes = NULL;
	list_round_trip(c, &l);
	l.volume_size = HERD_BC_VOLUME_MAX;
	l.indexes = &last;
	l.n = 1;
	list_round_trip(c, &l);
	for (uint32_t i = 0; i < 100000; i++)
		many[i] = i + (i / 7) * 200;
	l.indexes = many;
	l.n = 100000;
	list_round_trip(c, &l);
	assert_int_equal(count_dir(at("snapshots/" A)), 1);
	herd_block_cache_close(c);
}

static int put_list(struct herd_block_cache *c, struct herd_block_list l)
{
	return herd_block_cache_put_list(c, A, &l, NULL);
}

#define WITH(...)                                   \
	({                                          \
		struct herd_block_list l_ = sample; \
		__VA_ARGS__;                        \
		l_;                                 \
	})

static void test_lists_refused(void **state)
{
	struct herd_block_cache *c = open_cache(0);
	uint32_t twice[] = { 0, 3, 3 }, behind[] = { 0, 3, 2048 };
	char longest[514], *odd[3] = { "a", "b", longest };

	(void)state;
	memset(longest, 'x', 513);
	longest[513] = '\0';
	assert_int_equal(put_list(c, WITH(l_.indexes = twice)), -EINVAL);
	assert_int_equal(put_list(c, WITH(l_.indexes = behind)), -EINVAL);
	assert_int_equal(put_list(c, WITH(l_.block_size = 0)), -EINVAL);
	assert_int_equal(put_list(c, WITH(l_.block_size = 3 << 17)), -EINVAL);
	assert_int_equal(put_list(c, WITH(l_.block_size = 1 << 21)), -EINVAL);
	assert_int_equal(put_list(c, WITH(l_.volume_size = 0)), -EINVAL);
	assert_int_equal(
		put_list(c, WITH(l_.volume_size = HERD_BC_VOLUME_MAX + 1)),
		-EINVAL);
	assert_int_equal(put_list(c, WITH(l_.block_size = 4096;
					  l_.volume_size = 1ull << 40)),
			 -EINVAL);
	assert_int_equal(put_list(c, WITH(l_.tokens = odd)), -EINVAL);
	longest[512] = '\0';
	must(put_list(c, WITH(l_.tokens = odd)));
	longest[7] = '\n';
	assert_int_equal(put_list(c, WITH(l_.tokens = odd)), -EINVAL);
	longest[0] = '\0';
	assert_int_equal(put_list(c, WITH(l_.tokens = odd)), -EINVAL);
	assert_int_equal(count_dir(at("snapshots/" A)), 1);
	herd_block_cache_close(c);
}

/* After the file was damaged. */
static void list_told_once(struct herd_block_cache *c)
{
	struct herd_block_list got = { 0 };
	struct herd_block_cache_stats before, after;

	herd_block_cache_stats(c, &before);
	assert_int_equal(herd_block_cache_get_list(c, A, &got, NULL), -EBADMSG);
	assert_int_equal(herd_block_cache_get_list(c, A, &got, NULL), -ENOENT);
	assert_null(got.indexes);
	herd_block_cache_stats(c, &after);
	assert_int_equal(after.damaged, before.damaged + 1);
	list_round_trip(c, &sample);
}

static void test_list_damage(void **state)
{
	struct herd_block_cache *c = open_cache(0);
	struct stat st;

	(void)state;
	list_round_trip(c, &sample);
	assert_int_equal(stat(at("snapshots/" A "/list"), &st), 0);
	for (off_t i = 0; i < st.st_size; i++) {
		flip(at("snapshots/" A "/list"), (uint64_t)i);
		list_told_once(c);
		assert_int_equal(truncate(at("snapshots/" A "/list"), i), 0);
		list_told_once(c);
	}
	assert_int_equal(truncate(at("snapshots/" A "/list"), st.st_size + 1),
			 0);
	list_told_once(c);
	/* larger than any list; no memory is spent on it */
	assert_int_equal(truncate(at("snapshots/" A "/list"), 1ll << 40), 0);
	list_told_once(c);
	must(herd_block_cache_put_list(c, B, &sample, &diag));
	assert_int_equal(rename(at("snapshots/" B "/list"),
				at("snapshots/" A "/list")),
			 0);
	list_told_once(c);
	herd_block_cache_close(c);
}

static void changed_round_trip(struct herd_block_cache *c, const uint32_t *v,
			       size_t n)
{
	uint32_t *got = NULL;
	size_t got_n = 77;

	must(herd_block_cache_put_changed(c, A, B, v, n, &diag));
	must(herd_block_cache_get_changed(c, A, B, &got, &got_n, &diag));
	assert_int_equal(got_n, n);
	if (n)
		assert_memory_equal(got, v, n * sizeof(*v));
	free(got);
}

static void test_changed(void **state)
{
	struct herd_block_cache *c = open_cache(0);
	uint32_t v[] = { 1, 2, 700, HERD_BC_INDEXES - 1 }, *got = NULL;
	uint32_t far[] = { HERD_BC_INDEXES };
	struct stat st;
	size_t n;

	(void)state;
	assert_int_equal(herd_block_cache_get_changed(c, A, B, &got, &n, NULL),
			 -ENOENT);
	changed_round_trip(c, NULL, 0);
	changed_round_trip(c, v, 4);
	assert_int_equal(herd_block_cache_put_changed(c, A, B, far, 1, NULL),
			 -EINVAL);
	/* the other way round is another question */
	assert_int_equal(herd_block_cache_get_changed(c, B, A, &got, &n, NULL),
			 -ENOENT);
	assert_int_equal(stat(at("snapshots/" B "/changed-from-" A), &st), 0);
	for (off_t i = 0; i < 2 * st.st_size; i++) {
		if (i % 2)
			flip(at("snapshots/" B "/changed-from-" A),
			     (uint64_t)i / 2);
		else
			assert_int_equal(
				truncate(at("snapshots/" B "/changed-from-" A),
					 i / 2),
				0);
		assert_int_equal(herd_block_cache_get_changed(c, A, B, &got, &n,
							      NULL),
				 -EBADMSG);
		assert_int_equal(herd_block_cache_get_changed(c, A, B, &got, &n,
							      NULL),
				 -ENOENT);
		changed_round_trip(c, v, 4);
	}
	assert_null(got);
	herd_block_cache_close(c);
}

/* ---- notes, and objects of S3 ---- */

#define OBJECT "s3-0123456789abcdef0123456789abcdef0123456789abcdef0123456789ab"

static void note_is(struct herd_block_cache *c, const char *name,
		    const char *text)
{
	struct herd_buf b CLEANUP_BUF = HERD_BUF_INIT;

	must(herd_block_cache_get_note(c, name, &b, &diag));
	assert_int_equal(b.len, strlen(text));
	assert_memory_equal(b.data, text, b.len);
}

static void test_notes(void **state)
{
	struct herd_block_cache *c = open_cache(0);
	struct herd_buf b CLEANUP_BUF = HERD_BUF_INIT;
	uint8_t *long_one CLEANUP_FREE = calloc(1, HERD_BLOCK_NOTE_MAX + 1);
	char path[800];

	(void)state;
	assert_int_equal(herd_block_cache_get_note(c, OBJECT, &b, NULL),
			 -ENOENT);
	must(herd_block_cache_put_note(c, OBJECT, "one", 3, &diag));
	note_is(c, OBJECT, "one");
	must(herd_block_cache_put_note(c, OBJECT, "another one", 11, &diag));
	must(herd_block_cache_put_note(c, A, "", 0, &diag));
	note_is(c, OBJECT, "another one");
	note_is(c, A, "");
	must(herd_block_cache_put_note(c, A, long_one, HERD_BLOCK_NOTE_MAX,
				       &diag));
	assert_int_equal(herd_block_cache_put_note(c, A, long_one,
						   HERD_BLOCK_NOTE_MAX + 1,
						   NULL),
			 -EINVAL);
	/* one that stands in another's place is none */
	snprintf(path, sizeof(path),
		 "cp '%s/snapshots/" OBJECT "/note' '%s/snapshots/" A "/note'",
		 cache_dir, cache_dir);
	assert_int_equal(system(path), 0);
	assert_int_equal(herd_block_cache_get_note(c, A, &b, NULL), -EBADMSG);
	assert_int_equal(herd_block_cache_get_note(c, A, &b, NULL), -ENOENT);
	/* nor is one that was changed */
	snprintf(path, sizeof(path), "printf X | dd bs=1 seek=80 conv=notrunc "
		 "status=none of='%s/snapshots/" OBJECT "/note'", cache_dir);
	assert_int_equal(system(path), 0);
	assert_int_equal(herd_block_cache_get_note(c, OBJECT, &b, NULL),
			 -EBADMSG);
	assert_int_equal(b.len, 0);
	herd_block_cache_close(c);
}

static void test_object_names(void **state)
{
	static const char *const bad[] = {
		"s3-", "s3", "s3-A", "s3-../x", "s3_0123", "S3-0123", "s3-0/1",
		OBJECT "0123",
	};
	struct herd_block_cache *c = open_cache(0);
	struct herd_buf b CLEANUP_BUF = HERD_BUF_INIT;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		assert_int_equal(herd_block_cache_put_note(c, bad[i], "x", 1,
							   NULL),
				 -EINVAL);
		assert_int_equal(herd_block_cache_get_note(c, bad[i], &b, NULL),
				 -EINVAL);
	}
	herd_block_cache_close(c);
}

/* ---- the bill ---- */

static void test_price(void **state)
{
	(void)state;
	assert_true(herd_ebs_price_usd(0, 0) == 0);
	assert_true(fabs(herd_ebs_price_usd(1000, 0) - 0.003) < 1e-12);
	assert_true(fabs(herd_ebs_price_usd(0, 1000) - 0.0006) < 1e-12);
	/* 8 GiB in full: 16,384 blocks in two pages */
	assert_true(fabs(herd_ebs_price_usd(16384, 2) - 0.0491532) < 1e-12);
	assert_true(fabs(herd_s3_price_usd(1000) - 0.0004) < 1e-12);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
		T(test_round_trip),	 T(test_zeros_are_cheap),
		T(test_sharing),	 T(test_refused),
		T(test_content_flipped), T(test_content_cut),
		T(test_slot_flipped),	 T(test_slot_elsewhere),
		T(test_digests_cut),	 T(test_lists),
		T(test_lists_refused),	 T(test_list_damage),
		T(test_changed),	 T(test_price),
		T(test_notes),		 T(test_object_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
