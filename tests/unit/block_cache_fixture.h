/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the tests of the block cache share: a folder of their own, blocks made
 * of one number, and a look at the files behind the cache's back.
 */
#ifndef BLOCK_CACHE_FIXTURE_H
#define BLOCK_CACHE_FIXTURE_H

#include "acquire/block_cache_impl.h"

#include <dirent.h>
#include <fcntl.h>
#include <ftw.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

static char top[200], cache_dir[240];
static struct herd_diag diag;

static inline int remove_one(const char *path, const struct stat *st, int flag,
			     struct FTW *ftw)
{
	(void)st;
	(void)flag;
	(void)ftw;
	return remove(path);
}

static inline int setup(void **state)
{
	const char *tmp = getenv("TMPDIR");

	(void)state;
	snprintf(top, sizeof(top), "%s/herdfs-blocks-XXXXXX",
		 tmp ? tmp : "/tmp");
	if (!mkdtemp(top))
		return -1;
	snprintf(cache_dir, sizeof(cache_dir), "%s/cache", top);
	herd_diag_clear(&diag);
	return 0;
}

static inline int teardown(void **state)
{
	(void)state;
	nftw(top, remove_one, 16, FTW_DEPTH | FTW_PHYS);
	return 0;
}

static inline void must(int err)
{
	char text[900];

	if (err)
		print_message("%s\n",
			      herd_diag_format(&diag, err, text, sizeof(text)));
	assert_int_equal(err, 0);
}

static inline struct herd_block_cache *open_cache(uint64_t limit)
{
	struct herd_block_cache *c = NULL;

	must(herd_block_cache_open(cache_dir, limit, &c, &diag));
	return c;
}

static inline struct herd_block_cache_stats stats_of(struct herd_block_cache *c)
{
	struct herd_block_cache_stats s;

	herd_block_cache_stats(c, &s);
	return s;
}

/* A path below the cache's folder, good until the eighth call from now. */
static inline char *at(const char *fmt, ...)
	__attribute__((format(printf, 1, 2)));
static inline char *at(const char *fmt, ...)
{
	static char paths[8][600];
	static unsigned next;
	char *p = paths[next++ % 8];
	int n = snprintf(p, 600, "%s/", cache_dir);
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(p + n, 600 - (size_t)n, fmt, ap);
	va_end(ap);
	return p;
}

static inline char *content_at(const uint8_t sha[HERD_SHA256_LEN])
{
	char hex[HERD_BC_HEX + 1];

	herd_hex(sha, HERD_SHA256_LEN, hex);
	return at("contents/%.2s/%s", hex, hex);
}

/* Bytes that only this number has. */
static inline void fill(uint8_t *buf, size_t len, uint64_t seed)
{
	uint64_t x = seed * 0x9e3779b97f4a7c15u + 88172645463325252u;

	for (size_t i = 0; i < len; i++) {
		x ^= x << 13;
		x ^= x >> 7;
		x ^= x << 17;
		buf[i] = (uint8_t)(x >> 32);
	}
}

/* What was put for a number, unless err is expected. */
static inline int put_seed(struct herd_block_cache *c, const char *snapshot,
			   uint32_t index, size_t len, uint64_t seed,
			   uint8_t *ret_sha)
{
	uint8_t *buf CLEANUP_FREE = malloc(len);
	uint8_t sha[HERD_SHA256_LEN];

	fill(buf, len, seed);
	herd_sha256(buf, len, sha);
	if (ret_sha)
		memcpy(ret_sha, sha, sizeof(sha));
	return herd_block_cache_put(c, snapshot, index, buf, len, sha, NULL);
}

/* get's answer; when that is 0 the bytes are those of the number, or else
   -ERANGE, which nothing ever returns. */
static inline int get_seed(struct herd_block_cache *c, const char *snapshot,
			   uint32_t index, size_t len, uint64_t seed)
{
	uint8_t *want CLEANUP_FREE = malloc(len);
	uint8_t *got CLEANUP_FREE = malloc(HERD_BLOCK_SIZE_MAX);
	uint8_t sha[HERD_SHA256_LEN], is[HERD_SHA256_LEN];
	size_t n = 0;
	int err = herd_block_cache_get(c, snapshot, index, got,
				       HERD_BLOCK_SIZE_MAX, &n, is, NULL);

	if (err)
		return err;
	fill(want, len, seed);
	herd_sha256(want, len, sha);
	return n == len && !memcmp(got, want, len) &&
			       !memcmp(sha, is, sizeof(sha)) ?
		       0 :
		       -ERANGE;
}

static inline unsigned count_dir(const char *path)
{
	DIR *d = opendir(path);
	unsigned n = 0;

	assert_non_null(d);
	while (readdir(d))
		n++;
	closedir(d);
	return n - 2;
}

static struct herd_bc_usage walked;

static inline int walk_one(const char *path, const struct stat *st, int flag,
			   struct FTW *ftw)
{
	(void)path;
	(void)ftw;
	if (flag == FTW_F) {
		walked.bytes += herd_bc_cost(st);
		walked.contents++;
	}
	return 0;
}

/* What lies in contents/. */
static inline struct herd_bc_usage on_disk(void)
{
	walked = (struct herd_bc_usage){ 0 };
	nftw(at("contents"), walk_one, 16, FTW_PHYS);
	return walked;
}

static inline void flip(const char *path, uint64_t off)
{
	int fd = open(path, O_RDWR);
	uint8_t b;

	assert_true(fd >= 0);
	assert_int_equal(pread(fd, &b, 1, (off_t)off), 1);
	b ^= 0x10;
	assert_int_equal(pwrite(fd, &b, 1, (off_t)off), 1);
	close(fd);
}

static inline void write_file(const char *path, const void *data, size_t len)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, data, len), (ssize_t)len);
	close(fd);
}

#endif
