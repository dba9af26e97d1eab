/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A herd with content, made up: an image of random bytes for each instance,
 * and records that say which of them are whose. Kept as attach keeps it: the
 * first instance whole, the others by what differs. Functions fail the test
 * themselves.
 */
#ifndef TREE_FIXTURE_H
#define TREE_FIXTURE_H

#include "acquire/base/sha256.h"
#include "index/store.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#define TF_INSTANCES 8
#define TF_IMAGE (4u << 20)
#define TF_VOLUME_START (1u << 20)
#define TF_VOLUME_LEN (3u << 20)

struct tf_file {
	const char *path;
	struct herd_inode inode;
	enum herd_digest_kind kind;	/* 0: as it should be */
	uint32_t variant;	/* stirred into the digest of large files */
};

struct tf {
	char dir[256];
	struct herd_store *store;
	uint32_t ids[TF_INSTANCES];
	char names[TF_INSTANCES][32];
	uint8_t *images[TF_INSTANCES];
	size_t n;
};

static inline uint64_t tf_random(uint64_t *s)
{
	*s ^= *s << 13;
	*s ^= *s >> 7;
	*s ^= *s << 17;
	return *s >> 8;
}

static inline void tf_open(struct tf *f)
{
	const char *tmp = getenv("TMPDIR");
	struct herd_diag diag = { .offset = HERD_NO_OFFSET };

	*f = (struct tf){ 0 };
	snprintf(f->dir, sizeof(f->dir), "%s/herd-tree-XXXXXX",
		 tmp ? tmp : "/tmp");
	assert_non_null(mkdtemp(f->dir));
	if (herd_store_open(f->dir, HERD_STORE_WRITE | HERD_STORE_CREATE,
			    &f->store, &diag))
		fail_msg("%s", diag.message);
}

static inline void tf_close(struct tf *f)
{
	char command[300];

	herd_store_close(f->store);
	for (size_t i = 0; i < f->n; i++)
		free(f->images[i]);
	snprintf(command, sizeof(command), "rm -rf '%s'", f->dir);
	assert_int_equal(system(command), 0);
}

/* All bytes of a file as image (an instance's number here) has them. */
static inline uint8_t *tf_content(const struct tf *f, size_t image,
				  const struct herd_inode *i)
{
	uint8_t *all = calloc(1, i->size + 1);

	assert_non_null(all);
	if (i->content == HERD_CONTENT_INLINE)
		memcpy(all, i->bytes, i->n_bytes < i->size ? i->n_bytes :
							     i->size);
	for (size_t k = 0; i->content == HERD_CONTENT_RUNS && k < i->n_runs;
	     k++) {
		const struct herd_run *r = &i->runs[k];
		uint64_t len = r->len;

		if (r->logical >= i->size)
			break;
		if (len > i->size - r->logical)
			len = i->size - r->logical;
		memcpy(all + r->logical, f->images[image] + TF_VOLUME_START +
		       r->phys, len);
	}
	return all;
}

static inline void tf_encode(const struct tf *f, size_t image,
			     const struct tf_file *file, struct herd_buf *out)
{
	const struct herd_inode *i = &file->inode;
	enum herd_digest_kind kind = file->kind;
	uint8_t digest[32] = { 0 };

	if (S_ISLNK(i->mode)) {
		kind = HERD_DIGEST_SHA256;
		herd_sha256(i->bytes, i->n_bytes, digest);
	} else if (S_ISREG(i->mode) && !kind) {
		kind = HERD_DIGEST_SHA256;
		if (i->size > TF_IMAGE) {
			herd_sha256(&file->variant, 4, digest);
		} else {
			uint8_t *all = tf_content(f, image, i);

			herd_sha256(all, i->size, digest);
			free(all);
		}
	}
	assert_int_equal(herd_entry_encode(i, 0, kind, digest, out), 0);
}

static inline uint32_t tf_path(struct herd_txn *t, const char *path)
{
	uint32_t id = HERD_PATH_ROOT;

	while (*path) {
		size_t n = strcspn(path, "/");
		int err = n ? herd_path_intern(t, id, path, n, &id) : 0;

		if (err)
			fail_msg("%s: %s", path, strerror(-err));
		path += n + (path[n] == '/');
	}
	return id;
}

static inline void tf_put(struct herd_txn *t, const struct herd_group *g,
			  const struct herd_instance *i, uint32_t path,
			  const struct herd_buf *b)
{
	struct herd_entry mine, theirs = { .absent = true };
	struct herd_variant own, reference;
	int err = 0;

	assert_int_equal(herd_entry_put(t, i->id, path, b->data, b->len), 0);
	if (g->reference == i->id)
		return;
	err = herd_entry_get_own(t, g->reference, path, &theirs);
	assert_true(err == 0 || err == -ENOENT);
	herd_variant_of(&theirs, &reference);
	assert_int_equal(herd_entry_decode(b->data, b->len, &mine), 0);
	herd_variant_of(&mine, &own);
	if (i->role == HERD_ROLE_MEMBER && !herd_variant_equal(&own,
							       &reference))
		assert_int_equal(herd_tally_add(t, g->id, path, &own, i->id, 1),
				 0);
}

static inline int tf_compare_ids(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return (x > y) - (x < y);
}

/* The reference's lists of children. */
static inline void tf_put_children(struct herd_txn *t, uint32_t reference,
				   const uint32_t *ids, size_t n)
{
	uint32_t *kids = calloc(n + 1, sizeof(*kids));

	for (size_t d = 0; d < n; d++) {
		size_t k = 0;

		for (size_t i = 0; i < n; i++) {
			const char *name;
			uint32_t parent;
			size_t len;

			assert_int_equal(herd_path_get(t, ids[i], &parent,
						       &name, &len), 0);
			if (parent == ids[d])
				kids[k++] = ids[i];
		}
		qsort(kids, k, sizeof(*kids), tf_compare_ids);
		if (k)
			assert_int_equal(herd_children_put(t, reference, ids[d],
							   kids, k), 0);
	}
	free(kids);
}

struct tf_all {
	uint32_t ids[16384];
	size_t n;
};

static inline int tf_collect(void *arg, uint32_t path, const void *encoded,
			     size_t len)
{
	struct tf_all *all = arg;

	(void)encoded;
	(void)len;
	all->ids[all->n++] = path;
	assert_true(all->n < 16384);
	return 0;
}

static inline void tf_put_missing(struct herd_txn *t,
				  const struct herd_group *g,
				  const struct herd_instance *i,
				  const uint32_t *have, size_t n)
{
	struct tf_all *all = calloc(1, sizeof(*all));
	struct herd_buf absent = HERD_BUF_INIT;

	assert_int_equal(herd_entry_encode_absent(&absent), 0);
	assert_int_equal(herd_entry_each(t, g->reference, tf_collect, all), 0);
	for (size_t k = 0; k < all->n; k++) {
		bool found = false;

		for (size_t j = 0; j < n && !found; j++)
			found = have[j] == all->ids[k];
		if (!found)
			tf_put(t, g, i, all->ids[k], &absent);
	}
	herd_buf_deinit(&absent);
	free(all);
}

static inline bool tf_same_as_reference(struct herd_txn *t, uint32_t reference,
					uint32_t path, const struct herd_buf *b)
{
	const void *bytes;
	size_t len;

	return herd_entry_get_bytes(t, reference, path, &bytes, &len) == 0 &&
	       len == b->len && memcmp(bytes, b->data, len) == 0;
}

static inline void tf_make_image(struct tf *f, size_t k, uint64_t image_seed,
				 char path[320])
{
	uint64_t seed = 88172645463325252ull + image_seed * 977;
	int fd;

	f->images[k] = malloc(TF_IMAGE);
	assert_non_null(f->images[k]);
	for (size_t i = 0; i < TF_IMAGE; i += 8) {
		uint64_t v = tf_random(&seed);

		memcpy(f->images[k] + i, &v, 8);
	}
	snprintf(path, 320, "%s/%s.raw", f->dir, f->names[k]);
	fd = open(path, O_WRONLY | O_CREAT, 0600);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, f->images[k], TF_IMAGE), TF_IMAGE);
	close(fd);
}

/* Its number in f; images of the same seed are equal. */
static inline size_t tf_attach(struct tf *f, const char *name,
			       enum herd_role role, uint64_t image_seed,
			       const struct tf_file *files, size_t n)
{
	size_t k = f->n++;
	char path[320];
	struct herd_image image;
	struct herd_stored_volume volume = {
		.partition = 1, .start = TF_VOLUME_START, .len = TF_VOLUME_LEN,
		.fs = (char *)"ext4", .uuid = (char *)"some-uuid",
		.label = (char *)"", .mount = (char *)"", .note = (char *)"",
		.block_size = 4096, .entries = n,
	};
	struct herd_instance i = {
		.role = role, .attached = 1700000000, .n_disks = 1,
		.volumes = &volume, .n_volumes = 1, .entries = n, .files = n,
	};
	struct herd_txn *t = NULL;
	uint32_t *have = calloc(n + 1, sizeof(*have));
	struct herd_group g;

	snprintf(f->names[k], sizeof(f->names[k]), "%s", name);
	tf_make_image(f, k, image_seed, path);
	assert_int_equal(herd_image_probe(path, "raw", NULL, &image, NULL), 0);
	i.disks = &image;
	snprintf(i.name, sizeof(i.name), "%s", name);
	assert_int_equal(herd_txn_begin(f->store, true, &t, NULL), 0);
	assert_int_equal(herd_group_make(t, "web", &g), 0);
	i.group = g.id;
	assert_int_equal(herd_instance_put(t, &i), 0);
	if (!g.reference)
		g.reference = i.id;
	if (role == HERD_ROLE_BASELINE)
		g.baseline = i.id;
	else
		g.members++;
	assert_int_equal(herd_group_put(t, &g), 0);
	for (size_t p = 0; p < n; p++) {
		struct herd_buf b = HERD_BUF_INIT;

		have[p] = tf_path(t, files[p].path);
		tf_encode(f, k, &files[p], &b);
		if (g.reference == i.id ||
		    !tf_same_as_reference(t, g.reference, have[p], &b))
			tf_put(t, &g, &i, have[p], &b);
		herd_buf_deinit(&b);
	}
	if (g.reference == i.id)
		tf_put_children(t, i.id, have, n);
	else
		tf_put_missing(t, &g, &i, have, n);
	assert_int_equal(herd_txn_commit(t, NULL), 0);
	herd_image_deinit(&image);
	free(have);
	f->ids[k] = i.id;
	return k;
}

#endif
