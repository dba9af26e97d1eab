/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The herd's statistics: for each path how many members have which variant
 * other than the reference's. The reference's own count follows from the
 * number of members, so a member that is like its reference costs nothing.
 *
 * Threads: as index/store.h says.
 */
#include "index/store_internal.h"
#include "acquire/base/sha256.h"

#define TALLY_KEY (8 + HERD_SHA256_LEN)
#define HEAD (4 + 4 + 1)	/* count, holder, sort */
#define VARIANT_MAX (2 + 5 * 5 + 2 * HERD_SHA256_LEN)

/* ---- a variant as bytes ---- */

enum {
	VARIANT_ABSENT = 1,
	VARIANT_DIGEST = 2,
	VARIANT_XATTRS = 4,
	VARIANT_RDEV = 8,
};

static bool any(const uint8_t *p, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (p[i])
			return true;
	return false;
}

/* One variant has one form: its digest is the key. */
void herd_variant_encode(const struct herd_variant *v, struct herd_buf *out)
{
	unsigned parts = 0;

	if (v->absent) {
		herd_buf_u8(out, VARIANT_ABSENT);
		return;
	}
	if (any(v->digest, sizeof(v->digest)))
		parts |= VARIANT_DIGEST;
	if (any(v->xattrs, sizeof(v->xattrs)))
		parts |= VARIANT_XATTRS;
	if (v->rdev_major || v->rdev_minor)
		parts |= VARIANT_RDEV;
	herd_buf_u8(out, (uint8_t)parts);
	herd_buf_u8(out, v->digest_kind);
	herd_buf_varint(out, v->mode);
	herd_buf_varint(out, v->uid);
	herd_buf_varint(out, v->gid);
	if (parts & VARIANT_RDEV) {
		herd_buf_varint(out, v->rdev_major);
		herd_buf_varint(out, v->rdev_minor);
	}
	if (parts & VARIANT_DIGEST)
		herd_buf_put(out, v->digest, sizeof(v->digest));
	if (parts & VARIANT_XATTRS)
		herd_buf_put(out, v->xattrs, sizeof(v->xattrs));
}

static uint32_t get_u32(struct herd_cursor *c)
{
	uint64_t v = herd_cur_varint(c);

	if (v > UINT32_MAX)
		c->bad = true;
	return (uint32_t)v;
}

int herd_variant_decode(const void *data, size_t len, struct herd_variant *ret)
{
	struct herd_cursor cursor = herd_cursor(data, len), *c = &cursor;
	unsigned parts = herd_cur_u8(c);

	*ret = (struct herd_variant){ .absent = parts == VARIANT_ABSENT };
	if (!ret->absent) {
		ret->digest_kind = herd_cur_u8(c);
		ret->mode = get_u32(c);
		ret->uid = get_u32(c);
		ret->gid = get_u32(c);
		if (parts & VARIANT_RDEV) {
			ret->rdev_major = get_u32(c);
			ret->rdev_minor = get_u32(c);
		}
		if (parts & VARIANT_DIGEST)
			herd_cur_copy(c, ret->digest, sizeof(ret->digest));
		if (parts & VARIANT_XATTRS)
			herd_cur_copy(c, ret->xattrs, sizeof(ret->xattrs));
		if ((parts & VARIANT_ABSENT) || parts >= 16 ||
		    ret->digest_kind >= HERD_DIGEST_MAX)
			c->bad = true;
	}
	return c->bad || c->pos != c->len ? -EBADMSG : 0;
}

/* ---- records ---- */

static int tally_decode(const MDB_val *value, struct herd_tally *ret)
{
	struct herd_cursor c = herd_cursor(value->mv_data, value->mv_size);

	*ret = (struct herd_tally){ .count = herd_cur_be32(&c) };
	ret->holder = herd_cur_be32(&c);
	uint8_t sort = herd_cur_u8(&c);

	if (c.bad || ret->count == 0)
		return -EBADMSG;
	int r = herd_variant_decode(c.data + c.pos, herd_cur_left(&c),
				    &ret->variant);

	ret->variant.sort = sort;
	return r;
}

/* ---- who else has it ---- */

struct holder_search {
	struct herd_txn *t;
	uint32_t reference, path, leaving, found;
	const struct herd_variant *variant;
};

static int is_holder(void *arg, uint32_t id, uint32_t group,
		     enum herd_role role, const char *name)
{
	struct holder_search *s = arg;
	struct herd_variant v;
	struct herd_entry e;

	(void)group;
	(void)name;
	if (id == s->leaving || role != HERD_ROLE_MEMBER)
		return 0;
	int r = herd_entry_get_own(s->t, id, s->path, &e);

	if (!r)
		r = herd_variant_get(s->t, id, s->reference, s->path, &v);
	if (r)
		return r == -ENOENT ? 0 : r;
	if (!herd_variant_equal(&v, s->variant))
		return 0;
	s->found = id;
	return 1;
}

/* The lowest member with a record of its own that says so; 0: none. */
static int find_holder(struct herd_txn *t, uint32_t group, uint32_t path,
		       const struct herd_variant *variant, uint32_t leaving,
		       uint32_t *ret)
{
	struct holder_search s = {
		.t = t, .path = path, .leaving = leaving, .variant = variant,
	};
	struct herd_group g;
	int r = herd_group_get(t, group, &g);

	if (r)
		return r;
	s.reference = g.reference;
	r = herd_instance_each_name(t, group, is_holder, &s);
	if (r < 0)
		return r;
	*ret = s.found;
	return 0;
}

/* ---- counting ---- */

static int change(struct herd_txn *t, uint32_t group, uint32_t path,
		  struct herd_tally *tally, uint32_t holder, int delta)
{
	if (delta > 0) {
		if (tally->count == UINT32_MAX)
			return -EOVERFLOW;
		tally->count++;
		if (!tally->holder || holder < tally->holder)
			tally->holder = holder;
		return 0;
	}
	if (tally->count == 0)	/* more went than came */
		return -EBADMSG;
	tally->count--;
	if (tally->count && tally->holder == holder)
		return find_holder(t, group, path, &tally->variant, holder,
				   &tally->holder);
	return 0;
}

int herd_tally_add(struct herd_txn *t, uint32_t group, uint32_t path,
		   const struct herd_variant *variant, uint32_t holder,
		   int delta)
{
	struct herd_buf bytes CLEANUP_BUF = HERD_BUF_INIT;
	struct herd_tally tally = { .count = 0 };
	uint8_t key[TALLY_KEY], value[HEAD + VARIANT_MAX];
	MDB_val v;

	if (delta != 1 && delta != -1)
		return -EINVAL;
	if (t->failed)
		return t->failed;
	herd_variant_encode(variant, &bytes);
	if (bytes.failed)
		return -ENOMEM;
	herd_sha256(bytes.data, bytes.len,
		    herd_key32(herd_key32(key, group), path));
	int r = herd_table_get(t, TABLE_TALLY, key, sizeof(key), &v);

	if (!r)
		r = tally_decode(&v, &tally);
	else if (r == -ENOENT)
		r = 0;
	if (!r) {
		uint8_t sort = tally.count ? tally.variant.sort : variant->sort;

		/* as the first had it, whoever comes and goes */
		tally.variant = *variant;
		tally.variant.sort = sort;
		r = change(t, group, path, &tally, holder, delta);
	}
	if (r)
		return r;
	if (!tally.count)
		return herd_table_del(t, TABLE_TALLY, key, sizeof(key));
	uint8_t *at = herd_key32(herd_key32(value, tally.count), tally.holder);

	*at++ = tally.variant.sort;
	memcpy(at, bytes.data, bytes.len);
	return herd_table_put(t, TABLE_TALLY, key, sizeof(key), value,
			      HEAD + bytes.len);
}

/* ---- reading ---- */

struct tally_list {
	struct herd_tally *v;
	size_t n, cap;
};

static int tally_append(void *arg, const MDB_val *key, const MDB_val *value)
{
	struct tally_list *list = arg;

	if (key->mv_size != TALLY_KEY)
		return -EBADMSG;
	if (list->n == list->cap) {
		size_t cap = list->cap * 2;
		struct herd_tally *v = reallocarray(list->v, cap, sizeof(*v));

		if (!v)
			return -ENOMEM;
		list->v = v;
		list->cap = cap;
	}
	int r = tally_decode(value, &list->v[list->n]);

	if (r)
		return r;
	list->n++;
	return 0;
}

/* What the reference has, and whether it is a member that can be named. */
static int reference_tally(struct herd_txn *t, const struct herd_group *g,
			   uint32_t path, struct herd_tally *ret)
{
	struct instance_head head;
	int r = herd_instance_head_get(t, g->reference, &head);

	if (r)
		return r == -ENOENT ? -EBADMSG : r;
	if (!head.detached && head.role == HERD_ROLE_MEMBER)
		ret->holder = g->reference;
	return herd_variant_get(t, g->reference, g->reference, path,
				&ret->variant);
}

/* Who differs from the reference by its own tokens alone has its variant. */
static void merge_alike(struct herd_tally *v, size_t *n)
{
	size_t out = 1;

	for (size_t i = 1; i < *n; i++) {
		if (!herd_variant_equal(&v[i].variant, &v[0].variant)) {
			v[out++] = v[i];
			continue;
		}
		v[0].count += v[i].count;
		v[0].tokens += v[i].count;
		if (!v[0].holder)
			v[0].holder = v[i].holder;
	}
	*n = out;
	if (!v[0].count)
		memmove(v, v + 1, --*n * sizeof(*v));
}

int herd_tally_complete(struct herd_txn *t, const struct herd_group *g,
			uint32_t path, uint32_t members, struct herd_tally *v,
			size_t *n)
{
	uint64_t sum = 0;

	v[0] = (struct herd_tally){ .count = 0 };
	for (size_t i = 1; i < *n; i++)
		sum += v[i].count;
	int r = sum > members ? -EBADMSG : reference_tally(t, g, path, &v[0]);

	if (r)
		return r;
	v[0].count = (uint32_t)(members - sum);
	if (!v[0].count)	/* it may be no member, and nobody is left */
		v[0].holder = 0;
	merge_alike(v, n);
	return 0;
}

int herd_tally_get(struct herd_txn *t, const struct herd_group *g,
		   uint32_t path, struct herd_tally **ret, size_t *ret_n)
{
	struct tally_list list = { .n = 1, .cap = 4 };	/* [0]: the reference's */
	uint8_t prefix[8];
	int r;

	list.v = calloc(list.cap, sizeof(*list.v));
	if (!list.v)
		return -ENOMEM;
	herd_key32(herd_key32(prefix, g->id), path);
	r = herd_table_each(t, TABLE_TALLY, prefix, sizeof(prefix),
			    tally_append, &list);
	struct herd_tally *v CLEANUP_FREE = list.v;

	if (!r)
		r = herd_tally_complete(t, g, path, g->members, v, &list.n);
	if (r)
		return r;
	*ret = TAKE_PTR(v);
	*ret_n = list.n;
	return 0;
}

int herd_tally_find(struct herd_txn *t, uint32_t group, uint32_t path,
		    const struct herd_variant *variant, uint8_t ret_key[32],
		    struct herd_tally *ret)
{
	struct herd_buf bytes CLEANUP_BUF = HERD_BUF_INIT;
	uint8_t key[TALLY_KEY];
	MDB_val v;

	herd_variant_encode(variant, &bytes);
	if (bytes.failed)
		return -ENOMEM;
	herd_sha256(bytes.data, bytes.len,
		    herd_key32(herd_key32(key, group), path));
	int r = herd_table_get(t, TABLE_TALLY, key, sizeof(key), &v);

	if (!r)
		r = tally_decode(&v, ret);
	if (!r)
		memcpy(ret_key, key + 8, HERD_SHA256_LEN);
	return r;
}

struct tally_each {
	int (*fn)(void *arg, const uint8_t key[32], const struct herd_tally *v);
	void *arg;
};

static int tally_one(void *arg, const MDB_val *key, const MDB_val *value)
{
	const struct tally_each *each = arg;
	struct herd_tally tally;
	int r = key->mv_size == TALLY_KEY ? tally_decode(value, &tally) :
					    -EBADMSG;

	return r ? r : each->fn(each->arg, (uint8_t *)key->mv_data + 8, &tally);
}

int herd_tally_each(struct herd_txn *t, uint32_t group, uint32_t path,
		    int (*fn)(void *arg, const uint8_t key[32],
			      const struct herd_tally *v), void *arg)
{
	struct tally_each each = { fn, arg };
	uint8_t prefix[8];

	herd_key32(herd_key32(prefix, group), path);
	return herd_table_each(t, TABLE_TALLY, prefix, sizeof(prefix),
			       tally_one, &each);
}

static int tally_any(void *arg, const MDB_val *key, const MDB_val *value)
{
	(void)key;
	(void)value;
	*(bool *)arg = true;
	return 1;
}

int herd_tally_any(struct herd_txn *t, uint32_t group, uint32_t path, bool *ret)
{
	uint8_t prefix[8];
	bool any = false;

	herd_key32(herd_key32(prefix, group), path);
	int r = herd_table_each(t, TABLE_TALLY, prefix, sizeof(prefix),
				tally_any, &any);

	if (r < 0)
		return r;
	*ret = any;
	return 0;
}

struct path_each {
	int (*fn)(void *arg, uint32_t path);
	void *arg;
	uint32_t last;
};

static int path_one(void *arg, const MDB_val *key, const MDB_val *value)
{
	struct path_each *each = arg;
	struct herd_cursor c = herd_cursor(key->mv_data, key->mv_size);

	(void)value;
	herd_cur_be32(&c);
	uint32_t path = herd_cur_be32(&c);

	if (key->mv_size != TALLY_KEY || !path)
		return -EBADMSG;
	if (path == each->last)
		return 0;
	each->last = path;
	return each->fn(each->arg, path);
}

int herd_tally_each_path(struct herd_txn *t, uint32_t group,
			 int (*fn)(void *arg, uint32_t path), void *arg)
{
	struct path_each each = { .fn = fn, .arg = arg };
	uint8_t prefix[4];

	herd_key32(prefix, group);
	return herd_table_each(t, TABLE_TALLY, prefix, sizeof(prefix), path_one,
			       &each);
}
