/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The path dictionary, shared by all groups: each (parent, name) once, its
 * number given out in ascending order, parents before children.
 *
 * Threads: as index/store.h says.
 */
#include "index/store_internal.h"
#include "acquire/base/sha256.h"

#define NAME_KEY_MAX 470	/* longer names end in a digest */
#define KEY_BYTES (4 + NAME_KEY_MAX + 1 + HERD_SHA256_LEN)
#define DEPTH_MAX 4096

_Static_assert(KEY_BYTES <= 511, "LMDB's limit on keys");

/*
 * A key of up to 4 + NAME_KEY_MAX bytes has the name itself; a longer one has
 * KEY_BYTES: its beginning, a NUL and the digest of all of it. Length alone
 * tells them apart.
 */
static size_t name_key(uint8_t key[KEY_BYTES], uint32_t parent,
		       const char *name, size_t len)
{
	uint8_t *p = herd_key32(key, parent);

	if (len <= NAME_KEY_MAX) {
		memcpy(p, name, len);
		return 4 + len;
	}
	memcpy(p, name, NAME_KEY_MAX);
	p[NAME_KEY_MAX] = 0;
	herd_sha256(name, len, p + NAME_KEY_MAX + 1);
	return KEY_BYTES;
}

static bool valid_name(const char *name, size_t len)
{
	return len >= 1 && len <= HERD_NAME_MAX && !memchr(name, '\0', len) &&
	       !memchr(name, '/', len);
}

int herd_path_find(struct herd_txn *t, uint32_t parent, const char *name,
		   size_t len, uint32_t *ret)
{
	uint8_t key[KEY_BYTES];
	MDB_val v;

	if (!valid_name(name, len))
		return -ENOENT;
	int r = herd_table_get(t, TABLE_NAME, key,
			       name_key(key, parent, name, len), &v);

	if (r)
		return r;
	struct herd_cursor c = herd_cursor(v.mv_data, v.mv_size);
	uint32_t id = herd_cur_be32(&c);

	if (c.bad || c.pos != c.len || id <= HERD_PATH_ROOT || id <= parent)
		return -EBADMSG;
	*ret = id;
	return 0;
}

/* Ids ascend, so each goes to the end. */
static int append_path(struct herd_txn *t, uint32_t id, uint32_t parent,
		       const char *name, size_t len)
{
	uint8_t key[4], value[4 + HERD_NAME_MAX];
	MDB_val k = herd_val(key, 4), v = herd_val(value, 4 + len);
	int rc = 0;

	herd_key32(key, id);
	memcpy(herd_key32(value, parent), name, len);
	if (!t->path_cursor)
		rc = mdb_cursor_open(t->mdb, t->store->dbi[TABLE_PATH],
				     &t->path_cursor);
	if (!rc)
		rc = mdb_cursor_put(t->path_cursor, &k, &v, MDB_APPEND);
	if (rc == MDB_KEYEXIST)	/* numbers past the counter: not our doing */
		rc = MDB_CORRUPTED;
	return rc ? herd_txn_fail(t, rc) : 0;
}

int herd_path_intern(struct herd_txn *t, uint32_t parent, const char *name,
		     size_t len, uint32_t *ret)
{
	uint8_t key[KEY_BYTES], value[4];
	uint32_t next, id;

	if (t->failed)
		return t->failed;
	if (!valid_name(name, len))
		return -EINVAL;
	int r = herd_path_find(t, parent, name, len, ret);

	if (r != -ENOENT)
		return r;
	r = herd_counter_peek(t, COUNTER_PATH, &next);
	if (r)
		return r;
	if (parent < HERD_PATH_ROOT || parent >= next)
		return -EINVAL;
	r = herd_counter_next(t, COUNTER_PATH, &id);
	if (r)
		return r;
	herd_key32(value, id);
	r = herd_table_put(t, TABLE_NAME, key,
			   name_key(key, parent, name, len), value, 4);
	if (!r)
		r = append_path(t, id, parent, name, len);
	if (!r)
		*ret = id;
	return r;
}

int herd_path_get(struct herd_txn *t, uint32_t id, uint32_t *ret_parent,
		  const char **ret_name, size_t *ret_len)
{
	uint8_t key[4];
	MDB_val v;

	if (id == HERD_PATH_ROOT) {
		*ret_parent = 0;
		*ret_name = "";
		*ret_len = 0;
		return 0;
	}
	herd_key32(key, id);
	int r = herd_table_get(t, TABLE_PATH, key, 4, &v);

	if (r)
		return r;
	struct herd_cursor c = herd_cursor(v.mv_data, v.mv_size);
	uint32_t parent = herd_cur_be32(&c);
	size_t len = herd_cur_left(&c);
	const char *name = herd_cur_bytes(&c, len);

	/* a parent is older than its children: what says otherwise could
	   lead in a circle */
	if (c.bad || parent < HERD_PATH_ROOT || parent >= id ||
	    !valid_name(name, len))
		return -EBADMSG;
	*ret_parent = parent;
	*ret_name = name;
	*ret_len = len;
	return 0;
}

static void reverse(uint8_t *p, size_t n)
{
	for (size_t i = 0; i < n / 2; i++) {
		uint8_t swap = p[i];

		p[i] = p[n - 1 - i];
		p[n - 1 - i] = swap;
	}
}

/*
 * From the leaf up: each name is appended backwards, and all of it turned
 * around at the end. Of a folder: what is in it is one deeper.
 */
static int walk_up(struct herd_txn *t, uint32_t id, struct herd_buf *out)
{
	size_t begin = out->len;

	for (unsigned depth = 0; id != HERD_PATH_ROOT; depth++) {
		const char *name;
		size_t len;
		uint32_t parent;
		int r = herd_path_get(t, id, &parent, &name, &len);

		if (!r && (depth + 1 >= DEPTH_MAX ||
			   out->len - begin + len + 1 > HERD_PATH_MAX))
			r = -EOVERFLOW;
		/* a path whose parent is not there is a broken store */
		if (r == -ENOENT && depth)
			r = -EBADMSG;
		if (r) {
			out->len = begin;
			return r;
		}
		if (depth)
			herd_buf_u8(out, '/');
		size_t at = out->len;

		herd_buf_put(out, name, len);
		if (out->failed)
			return -ENOMEM;
		reverse(out->data + at, len);
		id = parent;
	}
	if (out->len > begin)
		reverse(out->data + begin, out->len - begin);
	return herd_buf_error(out);
}

/* Of the folder that was asked for last, for the next is often in the same. */
static int folder_of(struct herd_txn *t, uint32_t folder)
{
	int r = 0;

	if (t->folder == folder)
		return 0;
	t->folder = 0;
	t->folder_path.len = 0;
	r = walk_up(t, folder, &t->folder_path);
	if (!r)
		t->folder = folder;
	return r == -ENOENT ? -EBADMSG : r;
}

int herd_path_full(struct herd_txn *t, uint32_t id, struct herd_buf *out)
{
	const char *name;
	uint32_t parent;
	size_t len;

	if (id == HERD_PATH_ROOT)
		return 0;
	int r = herd_path_get(t, id, &parent, &name, &len);

	if (!r && parent != HERD_PATH_ROOT)
		r = folder_of(t, parent);
	if (r)
		return r;
	if (parent != HERD_PATH_ROOT) {
		if (t->folder_path.len + 1 + len > HERD_PATH_MAX)
			return -EOVERFLOW;
		herd_buf_put(out, t->folder_path.data, t->folder_path.len);
		herd_buf_u8(out, '/');
	}
	herd_buf_put(out, name, len);
	return herd_buf_error(out);
}

int herd_path_resolve(struct herd_txn *t, const char *path, size_t len,
		      uint32_t *ret)
{
	const char *end = path + len;
	uint32_t id = HERD_PATH_ROOT;

	while (path < end) {
		const char *slash = memchr(path, '/', (size_t)(end - path));
		size_t n = (size_t)((slash ? slash : end) - path);

		if (n) {
			int r = herd_path_find(t, id, path, n, &id);

			if (r)
				return r;
		}
		path += n + (slash ? 1 : 0);
	}
	*ret = id;
	return 0;
}
