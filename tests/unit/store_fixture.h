/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the tests of the store share: a directory of their own, short ways to
 * open, begin and commit that fail the test, and entries made of one number.
 */
#ifndef STORE_FIXTURE_H
#define STORE_FIXTURE_H

#include "index/store_internal.h"

#include <ftw.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/stat.h>
#include <cmocka.h>

static char fixture_dir[256];
static struct herd_diag fixture_diag;
static pid_t fixture_pid;

static inline int fixture_remove_one(const char *path, const struct stat *st,
				     int flag, struct FTW *ftw)
{
	(void)st;
	(void)flag;
	(void)ftw;
	return remove(path);
}

static inline void fixture_remove(const char *dir)
{
	nftw(dir, fixture_remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

/* cmocka's setup and teardown: fixture_dir is fresh for each test. */
static inline int fixture_setup(void **state)
{
	const char *tmp = getenv("TMPDIR");

	(void)state;
	snprintf(fixture_dir, sizeof(fixture_dir), "%s/herdfs-store-XXXXXX",
		 tmp ? tmp : "/tmp");
	herd_diag_clear(&fixture_diag);
	fixture_pid = getpid();
	return mkdtemp(fixture_dir) ? 0 : -1;
}

static inline int fixture_teardown(void **state)
{
	(void)state;
	herd_store_set_first_map(0);
	fixture_remove(fixture_dir);
	return 0;
}

static uint64_t fixture_seed = 88172645463325252ull;

static inline uint64_t rnd(void)
{
	fixture_seed ^= fixture_seed << 13;
	fixture_seed ^= fixture_seed >> 7;
	fixture_seed ^= fixture_seed << 17;
	return fixture_seed;
}

/* 0 or the test fails, saying what the diag says. */
static inline void must(int r)
{
	char text[900];

	if (r)
		print_message("%s\n", herd_diag_format(&fixture_diag, r, text,
						       sizeof(text)));
	if (r && getpid() != fixture_pid)	/* cmocka is the parent's */
		_exit(99);
	assert_int_equal(r, 0);
}

static inline struct herd_store *open_writer(void)
{
	struct herd_store *s = NULL;

	must(herd_store_open(fixture_dir, HERD_STORE_WRITE | HERD_STORE_CREATE,
			     &s, &fixture_diag));
	return s;
}

static inline struct herd_txn *begin(struct herd_store *s, bool write)
{
	struct herd_txn *t = NULL;

	must(herd_txn_begin(s, write, &t, &fixture_diag));
	return t;
}

static inline void commit(struct herd_txn *t)
{
	must(herd_txn_commit(t, &fixture_diag));
}

/* A file whose variant is `variant` and whose inode number is `ino`. */
static inline void make_entry(uint32_t variant, uint64_t ino,
			      struct herd_buf *out)
{
	uint8_t digest[32] = { (uint8_t)variant, (uint8_t)(variant >> 8), 1 };
	struct herd_run run = { 0, (1 + ino) << 12, 8192 };
	struct herd_inode i = {
		.ino = ino, .mode = S_IFREG | 0644, .nlink = 1, .size = 8000,
		.mtime = { 1700000000, 123456789 },
		.atime = { 1700003600, 987654321 },
		.ctime = { 1700001800, 555555555 },
		.content = HERD_CONTENT_RUNS, .runs = &run, .n_runs = 1,
	};

	out->len = 0;
	must(herd_entry_encode(&i, 0, HERD_DIGEST_SHA256, digest, out));
}

static inline void put_entry(struct herd_txn *t, uint32_t instance,
			     uint32_t path, uint32_t variant)
{
	struct herd_buf b CLEANUP_BUF = HERD_BUF_INIT;

	make_entry(variant, path, &b);
	must(herd_entry_put(t, instance, path, b.data, b.len));
}

static inline void put_absent(struct herd_txn *t, uint32_t instance,
			      uint32_t path)
{
	must(herd_entry_put(t, instance, path, "\1", 1));
}

/* An instance without disks. Counted in when it is a member. */
static inline uint32_t make_instance(struct herd_txn *t, struct herd_group *g,
				     const char *name, enum herd_role role)
{
	struct herd_instance i = { .group = g->id, .role = role };

	snprintf(i.name, sizeof(i.name), "%s", name);
	must(herd_instance_put(t, &i));
	if (!g->reference)
		g->reference = i.id;
	if (role == HERD_ROLE_MEMBER)
		g->members++;
	else
		g->baseline = i.id;
	must(herd_group_put(t, g));
	return i.id;
}

/* ---- the files ---- */

static inline void write_file(const char *name, const void *bytes, size_t len)
{
	char path[400];

	snprintf(path, sizeof(path), "%s/%s", fixture_dir, name);
	FILE *f = fopen(path, "wb");

	assert_non_null(f);
	assert_int_equal(fwrite(bytes, 1, len, f), len);
	fclose(f);
}

static inline void *read_data(size_t *ret_len)
{
	char path[400];

	snprintf(path, sizeof(path), "%s/data.mdb", fixture_dir);
	FILE *f = fopen(path, "rb");

	assert_non_null(f);
	fseek(f, 0, SEEK_END);
	*ret_len = (size_t)ftell(f);
	rewind(f);
	void *p = malloc(*ret_len);

	assert_int_equal(fread(p, 1, *ret_len, f), *ret_len);
	fclose(f);
	return p;
}

static inline int open_as(unsigned flags)
{
	struct herd_store *s = NULL;

	herd_diag_clear(&fixture_diag);
	int r = herd_store_open(fixture_dir, flags, &s, &fixture_diag);

	if (!r)
		herd_store_close(s);
	else	/* one line, and it names the store */
		assert_non_null(strstr(fixture_diag.source, fixture_dir));
	return r;
}

static inline int many_entries(struct herd_txn *t, void *arg, struct herd_diag *diag)
{
	struct herd_buf b CLEANUP_BUF = HERD_BUF_INIT;
	uint32_t instance = *(uint32_t *)arg;

	(void)diag;
	for (uint32_t p = 1; p <= 20000; p++) {
		make_entry(p, p, &b);
		int r = herd_entry_put(t, instance, p, b.data, b.len);

		if (r)
			return r;
	}
	return 0;
}

static inline int count_one(void *arg, uint32_t path, const void *bytes, size_t len)
{
	struct herd_entry e;

	must(herd_entry_decode(bytes, len, &e));
	assert_int_equal(e.ino, path);
	++*(unsigned *)arg;
	return 0;
}

static inline void check_entries(struct herd_store *s, uint32_t instance)
{
	struct herd_txn *t = begin(s, false);
	unsigned n = 0;

	must(herd_entry_each(t, instance, count_one, &n));
	assert_int_equal(n, 20000);
	herd_txn_abort(t);
}

#endif
