/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is known of a file's content beyond its digest: what sort of file it
 * is, its digest with the instance's own tokens replaced, the content itself
 * where it helps to say what an odd version means. Written when an instance
 * comes, for the paths at which it differs; so the reference is looked at
 * path by path, when somebody first differs from it.
 *
 * Threads: as index/store.h says.
 */
#include "index/store_internal.h"

#define LOOK_NORMAL 1u
#define LOOK_SKETCH 2u
#define LOOK_PACKAGED 4u
#define LOOK_NOTE 8u
#define LOOK_KNOWN (LOOK_NORMAL | LOOK_SKETCH | LOOK_PACKAGED | LOOK_NOTE)

static uint8_t *instance_path_key(uint8_t key[8], uint32_t instance,
				  uint32_t path)
{
	herd_key32(herd_key32(key, instance), path);
	return key;
}

/* ---- looks ---- */

static void put_bytes(struct herd_buf *b, const void *p, size_t n)
{
	herd_buf_varint(b, n);
	herd_buf_put(b, p, n);
}

static const void *get_bytes(struct herd_cursor *c, size_t max, size_t *ret)
{
	uint64_t n = herd_cur_varint(c);
	const void *p = herd_cur_bytes(c, n);

	if (!n || n > max)
		c->bad = true;
	*ret = p ? n : 0;
	return p;
}

int herd_look_put(struct herd_txn *t, uint32_t instance, uint32_t path,
		  const struct herd_look *look)
{
	struct herd_buf b CLEANUP_BUF = HERD_BUF_INIT;
	uint8_t key[8];

	if (look->n_sketch > HERD_SKETCH_MAX || look->n_note > HERD_NOTE_MAX)
		return -EOVERFLOW;
	herd_buf_u8(&b, look->sort);
	herd_buf_u8(&b, (look->normal ? LOOK_NORMAL : 0) |
			(look->n_sketch ? LOOK_SKETCH : 0) |
			(look->packaged ? LOOK_PACKAGED : 0) |
			(look->n_note ? LOOK_NOTE : 0));
	if (look->normal)
		herd_buf_put(&b, look->digest, sizeof(look->digest));
	if (look->n_sketch)
		put_bytes(&b, look->sketch, look->n_sketch);
	if (look->n_note)
		put_bytes(&b, look->note, look->n_note);
	if (b.failed)
		return -ENOMEM;
	return herd_table_put(t, TABLE_LOOK,
			      instance_path_key(key, instance, path),
			      sizeof(key), b.data, b.len);
}

int herd_look_get(struct herd_txn *t, uint32_t instance, uint32_t path,
		  struct herd_look *ret)
{
	struct herd_look look = { 0 };
	uint8_t key[8];
	MDB_val v;
	int r = herd_table_get(t, TABLE_LOOK,
			       instance_path_key(key, instance, path),
			       sizeof(key), &v);

	if (r)
		return r;
	struct herd_cursor c = herd_cursor(v.mv_data, v.mv_size);

	look.sort = herd_cur_u8(&c);
	unsigned parts = herd_cur_u8(&c);

	look.normal = parts & LOOK_NORMAL;
	look.packaged = parts & LOOK_PACKAGED;
	if (look.normal)
		herd_cur_copy(&c, look.digest, sizeof(look.digest));
	if (parts & LOOK_SKETCH)
		look.sketch = get_bytes(&c, HERD_SKETCH_MAX, &look.n_sketch);
	if (parts & LOOK_NOTE)
		look.note = get_bytes(&c, HERD_NOTE_MAX, &look.n_note);
	if (c.bad || c.pos != c.len || (parts & ~LOOK_KNOWN))
		return -EBADMSG;
	*ret = look;
	return 0;
}

/* ---- variants ---- */

static bool has_digest(const struct herd_entry *e)
{
	return e->digest_kind == HERD_DIGEST_SHA256 ||
	       e->digest_kind == HERD_DIGEST_SPARSE;
}

/* As its own look says, without regard to the reference. */
static int variant_alone(struct herd_txn *t, uint32_t instance, uint32_t path,
			 const struct herd_entry *e, struct herd_variant *ret)
{
	struct herd_look look;

	herd_variant_of(e, ret);
	if (e->absent || !has_digest(e))
		return 0;
	int r = herd_look_get(t, instance, path, &look);

	if (r)
		return r == -ENOENT ? 0 : r;
	ret->sort = look.sort;
	if (look.normal)
		memcpy(ret->digest, look.digest, sizeof(ret->digest));
	return 0;
}

/* One that is empty may have been emptied, which its bytes do not tell. */
static int look_at_empty(struct herd_txn *t, uint32_t instance, uint32_t path,
			 struct herd_variant *ret)
{
	struct herd_look look;
	int r = herd_look_get(t, instance, path, &look);

	if (!r)
		ret->sort = look.sort;
	return r == -ENOENT ? 0 : r;
}

int herd_variant_against(struct herd_txn *t, uint32_t instance,
			 uint32_t reference, uint32_t path,
			 const struct herd_entry *own,
			 const struct herd_entry *ref, struct herd_variant *ret)
{
	struct herd_variant same;
	bool inherits = instance != reference && !own->absent && !ref->absent &&
			has_digest(own) &&
			own->digest_kind == ref->digest_kind &&
			!memcmp(own->digest, ref->digest, sizeof(own->digest));

	if (!inherits)
		return variant_alone(t, instance, path, own, ret);
	int r = variant_alone(t, reference, path, ref, &same);

	if (r)
		return r;
	herd_variant_of(own, ret);
	ret->sort = same.sort;
	memcpy(ret->digest, same.digest, sizeof(ret->digest));
	return own->size ? 0 : look_at_empty(t, instance, path, ret);
}

/* The reference's entry, absent where it has none. */
static int entry_or_absent(struct herd_txn *t, uint32_t instance, uint32_t path,
			   struct herd_entry *ret)
{
	int r = herd_entry_get_own(t, instance, path, ret);

	if (r == -ENOENT) {
		*ret = (struct herd_entry){ .absent = true };
		r = 0;
	}
	return r;
}

int herd_variant_get(struct herd_txn *t, uint32_t instance, uint32_t reference,
		     uint32_t path, struct herd_variant *ret)
{
	struct herd_entry own, ref;
	int r = entry_or_absent(t, reference, path, &ref);

	if (r)
		return r;
	r = instance == reference ? -ENOENT :
				    herd_entry_get_own(t, instance, path, &own);
	if (r == -ENOENT)
		return variant_alone(t, reference, path, &ref, ret);
	return r ? r : herd_variant_against(t, instance, reference, path, &own,
					    &ref, ret);
}

/* ---- content that is kept ---- */

static uint8_t *kept_key(uint8_t key[36], uint32_t group,
			 const uint8_t digest[32])
{
	memcpy(herd_key32(key, group), digest, 32);
	return key;
}

int herd_kept_put(struct herd_txn *t, uint32_t group, const uint8_t digest[32],
		  const void *bytes, size_t len)
{
	uint8_t key[36];

	if (len > HERD_KEPT_MAX)
		return -EOVERFLOW;
	return herd_table_put(t, TABLE_KEPT, kept_key(key, group, digest),
			      sizeof(key), bytes, len);
}

int herd_kept_get(struct herd_txn *t, uint32_t group, const uint8_t digest[32],
		  const void **ret, size_t *ret_len)
{
	uint8_t key[36];
	MDB_val v;
	int r = herd_table_get(t, TABLE_KEPT, kept_key(key, group, digest),
			       sizeof(key), &v);

	if (r)
		return r;
	*ret = v.mv_data;
	*ret_len = v.mv_size;
	return 0;
}

/* ---- identity ---- */

int herd_tokens_put(struct herd_txn *t, uint32_t instance, const void *bytes,
		    size_t len)
{
	uint8_t key[4];

	herd_key32(key, instance);
	return herd_table_put(t, TABLE_IDENTITY, key, sizeof(key), bytes, len);
}

int herd_tokens_get(struct herd_txn *t, uint32_t instance, const void **ret,
		    size_t *ret_len)
{
	uint8_t key[4];
	MDB_val v;

	herd_key32(key, instance);
	int r = herd_table_get(t, TABLE_IDENTITY, key, sizeof(key), &v);

	if (r)
		return r;
	*ret = v.mv_data;
	*ret_len = v.mv_size;
	return 0;
}
