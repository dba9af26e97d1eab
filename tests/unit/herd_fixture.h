/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A store in a temporary directory, with instances made up from lists of
 * files and kept as attach keeps them: the first whole, the others by what
 * differs. Functions fail the test themselves.
 */
#ifndef HERD_FIXTURE_H
#define HERD_FIXTURE_H

#include "acquire/base/sha256.h"
#include "index/store.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

struct fx {
	char dir[256];
	struct herd_store *store;
};

#define FX_TIME 1600000000
#define FILE_(name, text)                                              \
	{                                                              \
		.path = name, .mode = S_IFREG | 0644, .content = text, \
		.mtime = FX_TIME                                       \
	}
#define DIR_(name)                                                     \
	{                                                              \
		.path = name, .mode = S_IFDIR | 0755, .mtime = FX_TIME \
	}

struct fx_file {
	const char *path;
	uint32_t mode, uid;
	const char *content;	/* or link target */
	const char *xattr;	/* value of user.test, or NULL */
	uint32_t rdev_minor;
	int64_t mtime;
	enum herd_digest_kind kind;	/* 0: what the type asks for */
	const char *problem;
};

static inline void fx_open(struct fx *f)
{
	const char *tmp = getenv("TMPDIR");
	struct herd_diag diag = { .offset = HERD_NO_OFFSET };

	snprintf(f->dir, sizeof(f->dir), "%s/herd-test-XXXXXX",
		 tmp ? tmp : "/tmp");
	assert_non_null(mkdtemp(f->dir));
	if (herd_store_open(f->dir, HERD_STORE_WRITE | HERD_STORE_CREATE,
			    &f->store, &diag))
		fail_msg("%s", diag.message);
}

static inline void fx_close(struct fx *f)
{
	char command[300];

	herd_store_close(f->store);
	snprintf(command, sizeof(command), "rm -rf '%s'", f->dir);
	assert_int_equal(system(command), 0);
}

static inline struct herd_txn *fx_read(struct fx *f)
{
	struct herd_txn *t = NULL;

	assert_int_equal(herd_txn_begin(f->store, false, &t, NULL), 0);
	return t;
}

static inline uint32_t fx_path(struct herd_txn *t, const char *path)
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

static inline void fx_encode(const struct fx_file *file, struct herd_buf *out)
{
	const char *content = file->content ? file->content : "";
	struct herd_xattr xattr = { .name = (char *)"user.test",
				    .value = (void *)(uintptr_t)file->xattr,
				    .len = file->xattr ? strlen(file->xattr) : 0 };
	struct herd_inode inode = {
		.ino = 12, .mode = file->mode, .uid = file->uid, .nlink = 1,
		.size = strlen(content), .rdev_minor = file->rdev_minor,
		.atime = { file->mtime, 0 }, .mtime = { file->mtime, 5 },
		.ctime = { file->mtime, 0 },
		.xattrs = &xattr, .n_xattrs = file->xattr ? 1 : 0,
		.problem = (char *)(uintptr_t)file->problem,
	};
	enum herd_digest_kind kind = file->kind;
	uint8_t digest[32];

	herd_sha256(content, strlen(content), digest);
	if (S_ISREG(file->mode) || S_ISLNK(file->mode)) {
		kind = kind ? kind : HERD_DIGEST_SHA256;
		inode.content = S_ISREG(file->mode) && inode.size ?
				HERD_CONTENT_INLINE : HERD_CONTENT_NONE;
		inode.bytes = (void *)(uintptr_t)content;
		inode.n_bytes = strlen(content);
		if (kind == HERD_DIGEST_UNREADABLE) {
			inode.content = HERD_CONTENT_UNREADABLE;
			inode.bytes = NULL;
			inode.n_bytes = 0;
		}
	}
	assert_int_equal(herd_entry_encode(&inode, 0, kind, digest, out), 0);
}

/* Puts one path of an instance that is not the reference, tallied. */
static inline void fx_put_other(struct herd_txn *t, const struct herd_group *g,
				uint32_t id, enum herd_role role, uint32_t path,
				const void *encoded, size_t len)
{
	struct herd_entry mine, theirs = { .absent = true };
	struct herd_variant own, reference;
	int err = herd_entry_get_own(t, g->reference, path, &theirs);

	assert_true(err == 0 || err == -ENOENT);
	herd_variant_of(&theirs, &reference);
	assert_int_equal(herd_entry_decode(encoded, len, &mine), 0);
	assert_int_equal(herd_variant_against(t, id, g->reference, path, &mine,
					      &theirs, &own), 0);
	assert_int_equal(herd_entry_put(t, id, path, encoded, len), 0);
	if (role == HERD_ROLE_MEMBER && !herd_variant_equal(&own, &reference))
		assert_int_equal(herd_tally_add(t, g->id, path, &own, id, 1), 0);
}

struct fx_missing {
	uint32_t *have, *missing;
	size_t n_have, n_missing;
};

static inline int fx_is_missing(void *arg, uint32_t path, const void *encoded,
				size_t len)
{
	struct fx_missing *m = arg;

	(void)encoded;
	(void)len;
	for (size_t i = 0; i < m->n_have; i++)
		if (m->have[i] == path)
			return 0;
	m->missing[m->n_missing++] = path;
	assert_true(m->n_missing < 4096);
	return 0;
}

static inline void fx_put_missing(struct herd_txn *t, const struct herd_group *g,
				  uint32_t id, enum herd_role role,
				  uint32_t *have, size_t n)
{
	static uint32_t missing[4096];
	struct fx_missing m = { .have = have, .missing = missing, .n_have = n };
	struct herd_buf absent = HERD_BUF_INIT;

	assert_int_equal(herd_entry_encode_absent(&absent), 0);
	assert_int_equal(herd_entry_each(t, g->reference, fx_is_missing, &m), 0);
	for (size_t i = 0; i < m.n_missing; i++)
		fx_put_other(t, g, id, role, m.missing[i], absent.data,
			     absent.len);
	herd_buf_deinit(&absent);
}

struct fx_compare {
	uint32_t path;
	const struct herd_buf *mine;
	bool same;
};

static inline int fx_compare_one(void *arg, uint32_t path, const void *encoded,
				 size_t len)
{
	struct fx_compare *c = arg;

	if (path == c->path)
		c->same = len == c->mine->len &&
			  memcmp(encoded, c->mine->data, len) == 0;
	return path >= c->path;
}

static inline bool fx_same(struct herd_txn *t, uint32_t reference, uint32_t path,
			   const struct herd_buf *mine)
{
	struct fx_compare c = { .path = path, .mine = mine };

	assert_true(herd_entry_each(t, reference, fx_compare_one, &c) >= 0);
	return c.same;
}

static inline void fx_put_files(struct herd_txn *t, const struct herd_group *g,
				uint32_t id, enum herd_role role,
				const struct fx_file *files, size_t n)
{
	uint32_t *have = calloc(n + 1, sizeof(*have));

	for (size_t i = 0; i < n; i++) {
		struct herd_buf b = HERD_BUF_INIT;

		have[i] = fx_path(t, files[i].path);
		fx_encode(&files[i], &b);
		if (g->reference == id) {
			assert_int_equal(herd_entry_put(t, id, have[i], b.data,
							b.len), 0);
		} else if (!fx_same(t, g->reference, have[i], &b)) {
			fx_put_other(t, g, id, role, have[i], b.data, b.len);
		}
		if (files[i].problem)
			assert_int_equal(herd_problem_add(t, id, files[i].path,
				strlen(files[i].path), files[i].problem), 0);
		herd_buf_deinit(&b);
	}
	if (g->reference != id)
		fx_put_missing(t, g, id, role, have, n);
	free(have);
}

/* Attaches; returns the instance's id. */
static inline uint32_t fx_attach(struct fx *f, const char *group,
				 const char *name, enum herd_role role,
				 const struct fx_file *files, size_t n)
{
	struct herd_image_file image_file = { .path = (char *)"/images/x.raw",
					      .size = 4096, .mtime_sec = 1 };
	struct herd_image image = { .format = (char *)"raw", .size = 4096,
				    .files = &image_file, .n_files = 1 };
	struct herd_stored_volume volume = {
		.len = 4096, .fs = (char *)"ext4", .uuid = (char *)"",
		.label = (char *)"root", .mount = (char *)"",
		.note = (char *)"journal not replayed", .block_size = 4096,
		.entries = n };
	struct herd_instance i = { .role = role, .attached = 1700000000,
				   .disks = &image, .n_disks = 1,
				   .volumes = &volume, .n_volumes = 1,
				   .entries = n, .files = n };
	struct herd_txn *t = NULL;
	struct herd_group g;

	for (size_t p = 0; p < n; p++)
		i.problems += files[p].problem != NULL;
	snprintf(i.name, sizeof(i.name), "%s", name);
	assert_int_equal(herd_txn_begin(f->store, true, &t, NULL), 0);
	assert_int_equal(herd_group_make(t, group, &g), 0);
	i.group = g.id;
	assert_int_equal(herd_instance_put(t, &i), 0);
	if (!g.reference)
		g.reference = i.id;
	if (role == HERD_ROLE_BASELINE)
		g.baseline = i.id;
	else
		g.members++;
	assert_int_equal(herd_group_put(t, &g), 0);
	fx_put_files(t, &g, i.id, role, files, n);
	assert_int_equal(herd_txn_commit(t, NULL), 0);
	return i.id;
}

static inline struct herd_group fx_group(struct herd_txn *t, const char *name)
{
	struct herd_group g;

	assert_int_equal(herd_group_find(t, name, &g), 0);
	return g;
}

#endif
