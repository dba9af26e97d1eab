/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Entries, and what is kept of a reference beside them: the children of each
 * directory, the paths of each inode, and whose bytes lie where.
 *
 * Threads: as index/store.h says.
 */
#include "index/store_internal.h"

/* ---- entries ---- */

static void entry_key(uint8_t key[8], uint32_t instance, uint32_t path)
{
	herd_key32(herd_key32(key, instance), path);
}

int herd_entry_get_bytes(struct herd_txn *t, uint32_t instance, uint32_t path,
			 const void **ret, size_t *ret_len)
{
	uint8_t key[8];
	MDB_val v;

	entry_key(key, instance, path);
	int r = herd_table_get(t, TABLE_ENTRY, key, sizeof(key), &v);

	if (r)
		return r;
	*ret = v.mv_data;
	*ret_len = v.mv_size;
	return 0;
}

int herd_entry_get_own(struct herd_txn *t, uint32_t instance, uint32_t path,
		       struct herd_entry *ret)
{
	const void *bytes = NULL;
	size_t len = 0;
	int r = herd_entry_get_bytes(t, instance, path, &bytes, &len);

	return r ? r : herd_entry_decode(bytes, len, ret);
}

int herd_entry_get(struct herd_txn *t, uint32_t instance, uint32_t reference,
		   uint32_t path, struct herd_entry *ret)
{
	struct herd_entry e;
	int r = herd_entry_get_own(t, instance, path, &e);

	if (r == -ENOENT && reference != instance)
		r = herd_entry_get_own(t, reference, path, &e);
	if (!r && e.absent)
		r = -ENOENT;
	if (!r)
		*ret = e;
	return r;
}

/* The highest key that the table has, so that a higher one can be appended. */
static int learn_last(struct herd_txn *t)
{
	MDB_val k, v;
	int rc = 0;

	if (!t->entry_cursor)
		rc = mdb_cursor_open(t->mdb, t->store->dbi[TABLE_ENTRY],
				     &t->entry_cursor);
	if (!rc)
		rc = mdb_cursor_get(t->entry_cursor, &k, &v, MDB_LAST);
	memset(t->entry_last, 0, sizeof(t->entry_last));
	if (!rc && k.mv_size != sizeof(t->entry_last))
		rc = MDB_CORRUPTED;
	if (!rc)
		memcpy(t->entry_last, k.mv_data, sizeof(t->entry_last));
	if (rc && rc != MDB_NOTFOUND)
		return herd_txn_fail(t, rc);
	t->entry_last_known = true;
	return 0;
}

int herd_entry_put(struct herd_txn *t, uint32_t instance, uint32_t path,
		   const void *encoded, size_t len)
{
	uint8_t key[8];
	MDB_val k = herd_val(key, sizeof(key)), v = herd_val(encoded, len);
	int r = t->failed;

	if (!r && (!instance || !path || !len))
		r = -EINVAL;
	if (!r && !t->entry_last_known)
		r = learn_last(t);
	if (r)
		return r;
	entry_key(key, instance, path);
	bool last = memcmp(key, t->entry_last, sizeof(key)) > 0;
	int rc = mdb_cursor_put(t->entry_cursor, &k, &v, last ? MDB_APPEND : 0);

	if (rc)
		return herd_txn_fail(t, rc);
	if (last)
		memcpy(t->entry_last, key, sizeof(key));
	return 0;
}

struct entry_each {
	int (*fn)(void *arg, uint32_t path, const void *encoded, size_t len);
	void *arg;
};

static int entry_one(void *arg, const MDB_val *key, const MDB_val *value)
{
	struct entry_each *each = arg;
	struct herd_cursor c = herd_cursor(key->mv_data, key->mv_size);

	herd_cur_be32(&c);
	uint32_t path = herd_cur_be32(&c);

	if (c.bad || c.pos != c.len || !path)
		return -EBADMSG;
	return each->fn(each->arg, path, value->mv_data, value->mv_size);
}

int herd_entry_each(struct herd_txn *t, uint32_t instance,
		    int (*fn)(void *arg, uint32_t path, const void *encoded,
			      size_t len), void *arg)
{
	struct entry_each each = { fn, arg };
	uint8_t prefix[4];

	herd_key32(prefix, instance);
	return herd_table_each(t, TABLE_ENTRY, prefix, 4, entry_one, &each);
}

/* ---- lists of path ids ---- */

static int ids_get(struct herd_txn *t, enum table table, const void *key,
		   size_t key_len, const void **ret, size_t *ret_n)
{
	MDB_val v;
	int r = herd_table_get(t, table, key, key_len, &v);

	if (r)
		return r;
	if (v.mv_size % 4)
		return -EBADMSG;
	*ret = v.mv_data;
	*ret_n = v.mv_size / 4;
	return 0;
}

static int ids_put(struct herd_txn *t, enum table table, const void *key,
		   size_t key_len, const uint32_t *ids, size_t n)
{
	struct herd_buf b CLEANUP_BUF = HERD_BUF_INIT;

	if (!n)
		return herd_table_del(t, table, key, key_len);
	for (size_t i = 0; i < n; i++) {
		if (i && ids[i] <= ids[i - 1])
			return -EINVAL;
		herd_buf_le32(&b, ids[i]);
	}
	if (b.failed)
		return -ENOMEM;
	return herd_table_put(t, table, key, key_len, b.data, b.len);
}

int herd_children_get(struct herd_txn *t, uint32_t reference, uint32_t dir,
		      const void **ret, size_t *ret_n)
{
	uint8_t key[8];

	entry_key(key, reference, dir);
	return ids_get(t, TABLE_CHILDREN, key, sizeof(key), ret, ret_n);
}

int herd_children_put(struct herd_txn *t, uint32_t reference, uint32_t dir,
		      const uint32_t *ids, size_t n)
{
	uint8_t key[8];

	entry_key(key, reference, dir);
	return ids_put(t, TABLE_CHILDREN, key, sizeof(key), ids, n);
}

static void links_key(uint8_t key[16], uint32_t reference, uint32_t volume,
		      uint64_t ino)
{
	herd_key64(herd_key32(herd_key32(key, reference), volume), ino);
}

int herd_links_get(struct herd_txn *t, uint32_t reference, uint32_t volume,
		   uint64_t ino, const void **ret, size_t *ret_n)
{
	uint8_t key[16];

	links_key(key, reference, volume, ino);
	return ids_get(t, TABLE_LINKS, key, sizeof(key), ret, ret_n);
}

int herd_links_put(struct herd_txn *t, uint32_t reference, uint32_t volume,
		   uint64_t ino, const uint32_t *ids, size_t n)
{
	uint8_t key[16];

	links_key(key, reference, volume, ino);
	return ids_put(t, TABLE_LINKS, key, sizeof(key), ids, n);
}

/* ---- owners ---- */

/*
 * Who owns a byte of [start, end)? An owner may begin long before start, so
 * owners are kept apart by size: class c has lengths of (2^(c-1), 2^c]. One
 * of class c that reaches into the range begins after start - 2^c, and those
 * that begin there and do not reach into it are few: owners do not overlap
 * much, and each is longer than half of that stretch. So every owner is
 * found, whatever overlaps, in one search a class that occurs.
 */
#define OWNER_KEY 26
#define OWNER_PREFIX 8

static unsigned class_of(uint64_t len)
{
	return len <= 1 ? 0 : 64 - (unsigned)__builtin_clzll(len - 1);
}

static uint8_t *owner_prefix(uint8_t *key, uint32_t reference, uint32_t volume)
{
	return herd_key32(herd_key32(key, reference), volume);
}

int herd_owner_put(struct herd_txn *t, uint32_t reference, uint32_t volume,
		   uint64_t start, uint64_t len, uint64_t ino,
		   enum herd_owner_kind kind)
{
	uint8_t key[OWNER_KEY], value[8];
	uint8_t *p = owner_prefix(key, reference, volume);

	if (len == 0 || len > INT64_MAX || start > INT64_MAX - len)
		return -EINVAL;
	*p++ = (uint8_t)class_of(len);
	p = herd_key64(herd_key64(p, start), ino);
	*p = (uint8_t)kind;
	herd_key64(value, len);
	return herd_table_put(t, TABLE_OWNER, key, sizeof(key), value, 8);
}

struct owner {
	unsigned class;
	uint64_t start, len, ino;
	enum herd_owner_kind kind;
};

static int owner_decode(const MDB_val *key, const MDB_val *value,
			struct owner *ret)
{
	struct herd_cursor k = herd_cursor(key->mv_data, key->mv_size);
	struct herd_cursor v = herd_cursor(value->mv_data, value->mv_size);

	herd_cur_bytes(&k, OWNER_PREFIX);
	ret->class = herd_cur_u8(&k);
	ret->start = herd_cur_be64(&k);
	ret->ino = herd_cur_be64(&k);
	unsigned kind = herd_cur_u8(&k);

	ret->len = herd_cur_be64(&v);
	if (k.bad || v.bad || k.pos != k.len || v.pos != v.len ||
	    kind > HERD_OWNER_META || ret->len == 0 || ret->len > INT64_MAX ||
	    ret->start > INT64_MAX - ret->len ||
	    ret->class != class_of(ret->len))
		return -EBADMSG;
	ret->kind = kind;
	return 0;
}

/* The first key of class that could reach past start. */
static void owner_seek_key(uint8_t key[OWNER_KEY], unsigned class,
			   uint64_t start)
{
	uint64_t longest = 1ull << class;	/* class ≤ 63 */
	uint8_t *p = key + OWNER_PREFIX;

	*p++ = (uint8_t)class;
	memset(herd_key64(p, start < longest ? 0 : start - longest + 1), 0, 9);
}

static void close_cursor(MDB_cursor **c)
{
	mdb_cursor_close(*c);
}

int herd_owner_each(struct herd_txn *t, uint32_t reference, uint32_t volume,
		    uint64_t start, uint64_t len,
		    int (*fn)(void *arg, uint64_t start, uint64_t len,
			      uint64_t ino, enum herd_owner_kind kind),
		    void *arg)
{
	MDB_cursor *c CLEANUP(close_cursor) = NULL;
	uint64_t end = len > UINT64_MAX - start ? UINT64_MAX : start + len;
	uint8_t key[OWNER_KEY];
	struct owner o;
	MDB_val k, v;
	unsigned class = 0;
	bool seek = true;

	owner_prefix(key, reference, volume);
	int rc = mdb_cursor_open(t->mdb, t->store->dbi[TABLE_OWNER], &c);

	while (!rc && len) {
		if (seek) {
			owner_seek_key(key, class, start);
			k = herd_val(key, sizeof(key));
		}
		rc = mdb_cursor_get(c, &k, &v, seek ? MDB_SET_RANGE : MDB_NEXT);
		if (rc || k.mv_size < OWNER_PREFIX ||
		    memcmp(k.mv_data, key, OWNER_PREFIX))
			break;
		int r = owner_decode(&k, &v, &o);

		if (r)
			return r;
		/* past the range, or in another class: on to where that one
		   begins to matter */
		seek = o.class > class || o.start >= end;
		if (seek) {
			class = o.class > class ? o.class : class + 1;
			if (class > 63)
				break;
			continue;
		}
		if (o.start < end && o.start + o.len > start) {
			r = fn(arg, o.start, o.len, o.ino, o.kind);
			if (r)
				return r;
		}
	}
	return rc == MDB_NOTFOUND ? 0 : herd_mdb_errno(rc);
}

/* ---- digests of an interrupted attach ---- */

static void partial_key(uint8_t out[44], const uint8_t key[32],
			uint32_t volume, uint64_t ino)
{
	memcpy(out, key, 32);
	herd_key64(herd_key32(out + 32, volume), ino);
}

int herd_partial_put(struct herd_txn *t, const uint8_t key[32], uint32_t volume,
		     uint64_t ino, const uint8_t digest[32], uint8_t kind)
{
	uint8_t full[44], value[33];

	partial_key(full, key, volume, ino);
	value[0] = kind;
	memcpy(value + 1, digest, 32);
	return herd_table_put(t, TABLE_PARTIAL, full, sizeof(full), value,
			      sizeof(value));
}

int herd_partial_get(struct herd_txn *t, const uint8_t key[32], uint32_t volume,
		     uint64_t ino, uint8_t digest[32], uint8_t *kind)
{
	uint8_t full[44];
	MDB_val v;

	partial_key(full, key, volume, ino);
	int r = herd_table_get(t, TABLE_PARTIAL, full, sizeof(full), &v);

	if (r)
		return r;
	struct herd_cursor c = herd_cursor(v.mv_data, v.mv_size);
	uint8_t k = herd_cur_u8(&c);

	if (k >= HERD_DIGEST_MAX || c.len != 33)
		return -EBADMSG;
	herd_cur_copy(&c, digest, 32);
	*kind = k;
	return 0;
}

int herd_partial_drop(struct herd_txn *t, const uint8_t key[32])
{
	return herd_table_clear(t, TABLE_PARTIAL, key, 32);
}
