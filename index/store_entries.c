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

struct owner_search {
	MDB_cursor *c;
	uint8_t key[OWNER_KEY];
	const struct herd_extents *ranges;
	herd_owner_fn *fn;
	void *arg;
	struct owner o;		/* where the cursor stands */
};

/* The first owner from the key on, or after the cursor; 1 when there is none. */
static int owner_step(struct owner_search *q, MDB_cursor_op op)
{
	MDB_val k = herd_val(q->key, sizeof(q->key)), v;
	int rc = mdb_cursor_get(q->c, &k, &v, op);

	if (rc == MDB_NOTFOUND)
		return 1;
	if (rc)
		return herd_mdb_errno(rc);
	if (k.mv_size < OWNER_PREFIX || memcmp(k.mv_data, q->key, OWNER_PREFIX))
		return 1;
	return owner_decode(&k, &v, &q->o);
}

/* Those of one class, range after range; 1 when no more owners follow. */
static int owner_class(struct owner_search *q, unsigned class)
{
	const struct herd_extents *e = q->ranges;
	int r = 0;

	for (size_t i = 0; i < e->n && !r;) {
		const uint64_t start = e->v[i].start, end = start + e->v[i].len;

		owner_seek_key(q->key, class, start);
		r = owner_step(q, MDB_SET_RANGE);
		while (!r && q->o.class == class && q->o.start < end) {
			if (q->o.start + q->o.len > start)
				r = q->fn(q->arg, q->o.start, q->o.len,
					  q->o.ino, q->o.kind);
			if (!r)
				r = owner_step(q, MDB_NEXT);
		}
		if (!r && q->o.class != class)
			break;
		/* what begins before this one has been told of: it would also
		   reach into range i */
		while (i < e->n && e->v[i].start + e->v[i].len <= q->o.start)
			i++;
	}
	return r;
}

int herd_owner_each(struct herd_txn *t, uint32_t reference, uint32_t volume,
		    const struct herd_extents *ranges, herd_owner_fn *fn,
		    void *arg)
{
	MDB_cursor *c CLEANUP(close_cursor) = NULL;
	struct owner_search q = { .ranges = ranges, .fn = fn, .arg = arg };
	int r = herd_mdb_errno(mdb_cursor_open(t->mdb,
					       t->store->dbi[TABLE_OWNER], &c));

	q.c = c;
	owner_prefix(q.key, reference, volume);
	for (unsigned class = 0; class <= 63 && !r; class++) {
		owner_seek_key(q.key, class, 0);
		r = owner_step(&q, MDB_SET_RANGE);
		if (!r) {
			class = q.o.class;
			r = owner_class(&q, class);
		}
	}
	return r == 1 ? 0 : r;
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
