/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Makes up the index of a large herd, through the store's own functions, to
 * measure what depends on the number of members and paths alone: size, time
 * to be mounted, time to list one instance, time to join.
 *
 *   bigstore DIR MEMBERS PATHS   prints "members N: M us a member" as it grows,
 *                                at last "ledger: M us", what the last one's
 *                                coming costs in the herd's ledger alone
 *
 * Every member differs from the reference as healthy siblings do: 60 paths of
 * its own content, 40 names of its own, 100 files with other times only; each
 * hundredth has 20 deviating files besides.
 */
#include "index/ledger.h"
#include "index/store.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#define PER_DIR 100u
/* The last one comes so often, and the fastest counts. */
#define REHEARSALS 15

static uint32_t *paths, *dirs;
static uint32_t n_paths, cache_dir;
static struct herd_came came[256];
static size_t n_came;
static double ledger_us = 1e9;

static int encode(uint64_t ino, uint32_t mode, uint64_t mtime, uint64_t content,
		  struct herd_buf *out)
{
	struct herd_run run = { 0, ino * 65536, 12345 };
	struct herd_inode inode = {
		.ino = ino, .mode = mode, .nlink = 1,
		.size = S_ISREG(mode) ? 12345 : 4096,
		.mtime = { (int64_t)mtime, 0 }, .ctime = { (int64_t)mtime, 0 },
		.content = S_ISREG(mode) ? HERD_CONTENT_RUNS : HERD_CONTENT_NONE,
		.runs = &run, .n_runs = S_ISREG(mode) };
	uint8_t digest[32] = { 0 };

	memcpy(digest, &content, sizeof(content));
	out->len = 0;
	return herd_entry_encode(&inode, 0, S_ISREG(mode) ? HERD_DIGEST_SHA256
							  : HERD_DIGEST_NONE,
				 S_ISREG(mode) ? digest : NULL, out);
}

static void die(const char *what, int err)
{
	fprintf(stderr, "bigstore: %s: %s\n", what, strerror(-err));
	exit(1);
}

static void must(const char *what, int err)
{
	if (err)
		die(what, err);
}

static int make_instance(struct herd_txn *t, struct herd_group *g, uint32_t i,
			 struct herd_instance *inst)
{
	struct herd_stored_volume v = { .fs = "ext4", .uuid = "", .label = "",
					.mount = "", .note = "",
					.len = 1ull << 34, .block_size = 4096 };
	struct herd_image_file f = { .path = "/nowhere/disk.raw",
				     .size = 1ull << 34 };
	struct herd_image img = { .format = "raw", .size = 1ull << 34,
				  .files = &f, .n_files = 1 };

	*inst = (struct herd_instance){ .group = g->id, .disks = &img,
					.n_disks = 1, .volumes = &v,
					.n_volumes = 1, .entries = n_paths };
	snprintf(inst->name, sizeof(inst->name), "i-%04u", i);
	return herd_instance_put(t, inst);
}

static int make_reference(struct herd_txn *t, void *arg, struct herd_diag *diag)
{
	struct herd_buf b = HERD_BUF_INIT;
	struct herd_instance inst;
	struct herd_group g;
	uint32_t n_dirs = n_paths / PER_DIR, at = 0;

	(void)arg;
	(void)diag;
	must("group", herd_group_make(t, "big", &g));
	must("instance", make_instance(t, &g, 0, &inst));
	must("root", encode(2, S_IFDIR | 0755, 1, 0, &b));
	must("root", herd_entry_put(t, inst.id, HERD_PATH_ROOT, b.data, b.len));
	for (uint32_t d = 0; d < n_dirs; d++) {
		uint32_t ids[PER_DIR];
		char name[32];
		int len = snprintf(name, sizeof(name), "directory-%u", d);

		must("intern", herd_path_intern(t, HERD_PATH_ROOT, name, len,
						&dirs[d]));
		must("encode", encode(10 + d, S_IFDIR | 0755, 1, 0, &b));
		must("put", herd_entry_put(t, inst.id, dirs[d], b.data, b.len));
		for (uint32_t k = 0; k < PER_DIR - 1 && at < n_paths; k++) {
			len = snprintf(name, sizeof(name), "file-%u.conf", k);
			must("intern", herd_path_intern(t, dirs[d], name, len,
							&ids[k]));
			must("encode", encode(100000 + at, S_IFREG | 0644, 1,
					      at, &b));
			must("put", herd_entry_put(t, inst.id, ids[k], b.data,
						   b.len));
			must("links", herd_links_put(t, inst.id, 0, 100000 + at,
						     &ids[k], 1));
			must("owner", herd_owner_put(t, inst.id, 0,
						     (100000ull + at) * 65536,
						     12345, 100000 + at,
						     HERD_OWNER_DATA));
			paths[at++] = ids[k];
		}
		must("children", herd_children_put(t, inst.id, dirs[d], ids,
						   PER_DIR - 1));
	}
	must("children", herd_children_put(t, inst.id, HERD_PATH_ROOT, dirs,
					   n_dirs));
	cache_dir = dirs[0];
	n_paths = at;
	g.reference = inst.id;
	g.members = 1;
	herd_buf_deinit(&b);
	return herd_group_put(t, &g);
}

static void put(struct herd_txn *t, const struct herd_instance *inst,
		uint32_t path, const struct herd_buf *b, bool differs)
{
	struct herd_variant v;
	struct herd_entry e;

	must("put", herd_entry_put(t, inst->id, path, b->data, b->len));
	if (!differs)
		return;
	must("decode", herd_entry_decode(b->data, b->len, &e));
	herd_variant_of(&e, &v);
	must("tally", herd_tally_add(t, inst->group, path, &v, inst->id, 1));
	came[n_came++] = (struct herd_came){ path, v };
}

static double us_of(clockid_t clock)
{
	struct timespec t;

	clock_gettime(clock, &t);
	return t.tv_sec * 1e6 + t.tv_nsec / 1e3;
}

static double now_us(void)
{
	return us_of(CLOCK_MONOTONIC);
}

static int compare_came(const void *a, const void *b)
{
	const struct herd_came *x = a, *y = b;

	return x->path < y->path ? -1 : x->path > y->path;
}

static void join(struct herd_txn *t, const struct herd_group *g,
		 const struct herd_instance *inst)
{
	qsort(came, n_came, sizeof(*came), compare_came);
	double from = us_of(CLOCK_PROCESS_CPUTIME_ID);

	must("ledger", herd_ledger_join(t, g, inst->id, came, n_came));
	from = us_of(CLOCK_PROCESS_CPUTIME_ID) - from;
	if (from < ledger_us)
		ledger_us = from;
}

static int make_member(struct herd_txn *t, void *arg, struct herd_diag *diag)
{
	uint32_t i = *(uint32_t *)arg;
	struct herd_buf b = HERD_BUF_INIT;
	struct herd_instance inst;
	struct herd_group g;

	(void)diag;
	n_came = 0;
	must("group", herd_group_make(t, "big", &g));
	must("instance", make_instance(t, &g, i, &inst));
	for (uint32_t k = 0; k < 60; k++) {
		must("encode", encode(100000 + k * 31, S_IFREG | 0644, i,
				      1000000ull + i * 1000 + k, &b));
		put(t, &inst, paths[k * 31], &b, true);
	}
	for (uint32_t k = 0; k < 100; k++) {
		uint32_t at = 5000 + k * 7;

		must("encode", encode(100000 + at, S_IFREG | 0644, i, at, &b));
		put(t, &inst, paths[at], &b, false);
	}
	for (uint32_t k = 0; k < 20 && i % 100 == 99; k++) {
		uint32_t at = 20000 + i * 17 + k;

		must("encode", encode(100000 + at, S_IFREG | 04755, i, at, &b));
		put(t, &inst, paths[at], &b, true);
	}
	for (uint32_t k = 0; k < 40; k++) {
		char name[40];
		uint32_t path = 0;
		int len = snprintf(name, sizeof(name), "obj-%08x",
				   i * 2654435761u + k * 40503u);

		must("intern", herd_path_intern(t, cache_dir, name, len, &path));
		must("encode", encode(900000 + k, S_IFREG | 0600, i,
				      i * 100ull + k, &b));
		put(t, &inst, path, &b, true);
	}
	g.members++;
	herd_buf_deinit(&b);
	must("group", herd_group_put(t, &g));
	join(t, &g, &inst);
	return 0;
}

/* It comes, and has not come. */
static void rehearse(struct herd_store *s, uint32_t i)
{
	ledger_us = 1e9;
	for (int k = 0; k < REHEARSALS; k++) {
		struct herd_txn *t;

		must("begin", herd_txn_begin(s, true, &t, NULL));
		make_member(t, &i, NULL);
		herd_txn_abort(t);
	}
}

int main(int argc, char **argv)
{
	struct herd_store *s = NULL;
	struct herd_diag diag;
	char text[1024];

	if (argc != 4)
		return 2;
	uint32_t members = strtoul(argv[2], NULL, 10);

	n_paths = strtoul(argv[3], NULL, 10);
	paths = calloc(n_paths + PER_DIR, sizeof(*paths));
	dirs = calloc(n_paths / PER_DIR + 1, sizeof(*dirs));
	herd_diag_clear(&diag);
	int err = herd_store_open(argv[1], HERD_STORE_WRITE | HERD_STORE_CREATE,
				  &s, &diag);

	if (!err)
		err = herd_store_update(s, make_reference, NULL, &diag);
	double from = now_us();

	for (uint32_t i = 1, since = 1; i < members && !err; i++) {
		if (i + 1 == members)
			rehearse(s, i);
		err = herd_store_update(s, make_member, &i, &diag);
		if (i == 9 || i == 99 || i + 1 == members) {
			printf("members %u: %.0f us a member\n", i + 1,
			       (now_us() - from) / (i + 1 - since));
			from = now_us();
			since = i + 1;
		}
	}
	printf("ledger: %.0f us\n", ledger_us);
	if (err)
		fprintf(stderr, "bigstore: %s\n",
			herd_diag_format(&diag, err, text, sizeof(text)));
	herd_store_close(s);
	free(paths);
	free(dirs);
	return err ? 1 : 0;
}
