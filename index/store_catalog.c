/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Groups, their instances, and what could not be read of each.
 *
 * Threads: as index/store.h says.
 */
#include "index/store_internal.h"

#define NAME_KEY_MAX (4 + HERD_INSTANCE_NAME_MAX)

bool herd_valid_name(const char *name, size_t len)
{
	return len >= 1 && len <= HERD_GROUP_NAME_MAX &&
	       !memchr(name, '\0', len) && !memchr(name, '/', len) &&
	       !(name[0] == '.' && (len == 1 || (len == 2 && name[1] == '.')));
}

/* The id that an index of names holds. */
static int find_id(struct herd_txn *t, enum table table, const void *key,
		   size_t len, uint32_t *ret)
{
	MDB_val v;
	int r = herd_table_get(t, table, key, len, &v);

	if (r)
		return r;
	struct herd_cursor c = herd_cursor(v.mv_data, v.mv_size);
	uint32_t id = herd_cur_be32(&c);

	if (c.bad || c.pos != c.len || !id)
		return -EBADMSG;
	*ret = id;
	return 0;
}

static int key_id(const MDB_val *key, uint32_t *ret)
{
	struct herd_cursor c = herd_cursor(key->mv_data, key->mv_size);

	*ret = herd_cur_be32(&c);
	return c.bad || c.pos != c.len || !*ret ? -EBADMSG : 0;
}

/* ---- groups ---- */

static int group_decode(uint32_t id, const MDB_val *value,
			struct herd_group *ret)
{
	struct herd_cursor c = herd_cursor(value->mv_data, value->mv_size);
	struct herd_group g = { .id = id };

	g.reference = herd_cur_be32(&c);
	g.baseline = herd_cur_be32(&c);
	g.members = herd_cur_be32(&c);
	size_t len = herd_cur_left(&c);
	const char *name = herd_cur_bytes(&c, len);

	if (c.bad || !herd_valid_name(name, len))
		return -EBADMSG;
	memcpy(g.name, name, len);
	*ret = g;
	return 0;
}

int herd_group_get(struct herd_txn *t, uint32_t id, struct herd_group *ret)
{
	uint8_t key[4];
	MDB_val v;

	herd_key32(key, id);
	int r = herd_table_get(t, TABLE_GROUP, key, sizeof(key), &v);

	return r ? r : group_decode(id, &v, ret);
}

int herd_group_find(struct herd_txn *t, const char *name,
		    struct herd_group *ret)
{
	size_t len = strlen(name);
	uint32_t id;

	if (!herd_valid_name(name, len))
		return -ENOENT;
	int r = find_id(t, TABLE_GROUP_NAME, name, len, &id);

	if (r)
		return r;
	r = herd_group_get(t, id, ret);
	return r == -ENOENT ? -EBADMSG : r;
}

int herd_group_put(struct herd_txn *t, const struct herd_group *g)
{
	uint8_t key[4], value[12 + HERD_GROUP_NAME_MAX];
	size_t len = strnlen(g->name, sizeof(g->name));

	if (!g->id || !herd_valid_name(g->name, len))
		return -EINVAL;
	herd_key32(key, g->id);
	uint8_t *p = herd_key32(value, g->reference);

	p = herd_key32(herd_key32(p, g->baseline), g->members);
	memcpy(p, g->name, len);
	return herd_table_put(t, TABLE_GROUP, key, sizeof(key), value,
			      12 + len);
}

int herd_group_make(struct herd_txn *t, const char *name,
		    struct herd_group *ret)
{
	struct herd_group g = { .id = 0 };
	size_t len = strlen(name);
	uint8_t value[4];

	if (!herd_valid_name(name, len))
		return -EINVAL;
	int r = herd_group_find(t, name, ret);

	if (r != -ENOENT)
		return r;
	r = herd_counter_next(t, COUNTER_GROUP, &g.id);
	if (r)
		return r;
	memcpy(g.name, name, len);
	herd_key32(value, g.id);
	r = herd_table_put(t, TABLE_GROUP_NAME, name, len, value,
			   sizeof(value));
	if (!r)
		r = herd_group_put(t, &g);
	if (!r)
		*ret = g;
	return r;
}

struct group_each {
	int (*fn)(void *arg, const struct herd_group *g);
	void *arg;
};

static int group_one(void *arg, const MDB_val *key, const MDB_val *value)
{
	struct group_each *each = arg;
	struct herd_group g;
	uint32_t id;
	int r = key_id(key, &id);

	if (!r)
		r = group_decode(id, value, &g);
	return r ? r : each->fn(each->arg, &g);
}

int herd_group_each(struct herd_txn *t,
		    int (*fn)(void *arg, const struct herd_group *g), void *arg)
{
	struct group_each each = { fn, arg };

	return herd_table_each(t, TABLE_GROUP, "", 0, group_one, &each);
}

/* ---- instances ---- */

static size_t instance_name_key(uint8_t key[NAME_KEY_MAX], uint32_t group,
				const char *name, size_t len)
{
	memcpy(herd_key32(key, group), name, len);
	return 4 + len;
}

static int instance_value(struct herd_txn *t, uint32_t id, MDB_val *ret)
{
	uint8_t key[4];

	herd_key32(key, id);
	return herd_table_get(t, TABLE_INSTANCE, key, sizeof(key), ret);
}

int herd_instance_head_get(struct herd_txn *t, uint32_t id,
			   struct instance_head *ret)
{
	MDB_val v;
	int r = instance_value(t, id, &v);

	if (r)
		return r;
	struct herd_cursor c = herd_cursor(v.mv_data, v.mv_size);

	return herd_instance_head(&c, ret);
}

int herd_instance_get(struct herd_txn *t, uint32_t id,
		      struct herd_instance *ret)
{
	MDB_val v;
	int r = instance_value(t, id, &v);

	return r ? r : herd_instance_decode(id, v.mv_data, v.mv_size, ret);
}

int herd_instance_find(struct herd_txn *t, uint32_t group, const char *name,
		       struct herd_instance *ret)
{
	uint8_t key[NAME_KEY_MAX];
	size_t len = strlen(name);
	uint32_t id;

	if (!herd_valid_name(name, len))
		return -ENOENT;
	int r = find_id(t, TABLE_INSTANCE_NAME, key,
			instance_name_key(key, group, name, len), &id);

	if (r)
		return r;
	r = herd_instance_get(t, id, ret);
	return r == -ENOENT ? -EBADMSG : r;
}

/* The name of a record that is about to be replaced leaves the index. */
static int drop_old_name(struct herd_txn *t, const struct herd_instance *i)
{
	uint8_t key[NAME_KEY_MAX];
	struct instance_head old;
	int r = herd_instance_head_get(t, i->id, &old);

	if (r)
		return r;
	if (old.group != i->group)
		return -EINVAL;
	if (old.detached)
		return 0;
	return herd_table_del(t, TABLE_INSTANCE_NAME, key,
			      instance_name_key(key, old.group, old.name,
						old.name_len));
}

static int index_name(struct herd_txn *t, const struct herd_instance *i)
{
	uint8_t key[NAME_KEY_MAX], value[4];
	size_t len = instance_name_key(key, i->group, i->name, strlen(i->name));

	herd_key32(value, i->id);
	return herd_table_put(t, TABLE_INSTANCE_NAME, key, len, value,
			      sizeof(value));
}

int herd_instance_put(struct herd_txn *t, struct herd_instance *i)
{
	struct herd_buf b CLEANUP_BUF = HERD_BUF_INIT;
	uint8_t key[4], name_key[NAME_KEY_MAX];
	size_t len = strnlen(i->name, sizeof(i->name));
	struct herd_group g;
	uint32_t other;

	if (!herd_valid_name(i->name, len) ||
	    (unsigned)i->role > HERD_ROLE_BASELINE)
		return -EINVAL;
	int r = herd_group_get(t, i->group, &g);

	if (r)
		return r;
	r = find_id(t, TABLE_INSTANCE_NAME, name_key,
		    instance_name_key(name_key, i->group, i->name, len),
		    &other);
	if (!r && other != i->id && !i->detached)
		return -EEXIST;
	if (r && r != -ENOENT)
		return r;
	r = herd_instance_encode(i, &b);
	if (!r && i->id)
		r = drop_old_name(t, i);
	else if (!r)
		r = herd_counter_next(t, COUNTER_INSTANCE, &i->id);
	if (!r && !i->detached)
		r = index_name(t, i);
	if (r)
		return r;
	herd_key32(key, i->id);
	return herd_table_put(t, TABLE_INSTANCE, key, sizeof(key), b.data,
			      b.len);
}

struct instance_each {
	uint32_t group;
	int (*fn)(void *arg, const struct herd_instance *i);
	int (*name_fn)(void *arg, uint32_t id, uint32_t group,
		       enum herd_role role, const char *name);
	void *arg;
};

static int instance_one(void *arg, const MDB_val *key, const MDB_val *value)
{
	struct instance_each *each = arg;
	struct herd_cursor c = herd_cursor(value->mv_data, value->mv_size);
	struct instance_head head;
	struct herd_instance i;
	uint32_t id;
	int r = key_id(key, &id);

	if (!r)
		r = herd_instance_head(&c, &head);
	if (r || head.detached || (each->group && head.group != each->group))
		return r;
	if (each->name_fn) {
		char name[HERD_INSTANCE_NAME_MAX + 1];

		memcpy(name, head.name, head.name_len);
		name[head.name_len] = '\0';
		return each->name_fn(each->arg, id, head.group, head.role,
				     name);
	}
	r = herd_instance_decode(id, value->mv_data, value->mv_size, &i);
	if (r)
		return r;
	r = each->fn(each->arg, &i);
	herd_instance_deinit(&i);
	return r;
}

int herd_instance_each(struct herd_txn *t, uint32_t group,
		       int (*fn)(void *arg, const struct herd_instance *i),
		       void *arg)
{
	struct instance_each each = { .group = group, .fn = fn, .arg = arg };

	return herd_table_each(t, TABLE_INSTANCE, "", 0, instance_one, &each);
}

int herd_instance_each_name(struct herd_txn *t, uint32_t group,
			    int (*fn)(void *arg, uint32_t id, uint32_t group,
				      enum herd_role role, const char *name),
			    void *arg)
{
	struct instance_each each = { .group = group, .name_fn = fn,
				      .arg = arg };

	return herd_table_each(t, TABLE_INSTANCE, "", 0, instance_one, &each);
}

/* ---- problems ---- */

struct problem_last {
	uint32_t next;
};

static int problem_number(void *arg, const MDB_val *key, const MDB_val *value)
{
	struct problem_last *last = arg;
	struct herd_cursor c = herd_cursor(key->mv_data, key->mv_size);

	(void)value;
	herd_cur_be32(&c);
	last->next = herd_cur_be32(&c) + 1;
	return c.bad || !last->next ? -EBADMSG : 0;
}

int herd_problem_add(struct herd_txn *t, uint32_t instance, const char *path,
		     size_t path_len, const char *text)
{
	struct herd_buf b CLEANUP_BUF = HERD_BUF_INIT;
	uint8_t key[8];

	if (t->failed)
		return t->failed;
	if (!instance || path_len > HERD_PATH_MAX)
		return -EINVAL;
	herd_key32(key, instance);
	if (t->problem_instance != instance) {
		struct problem_last last = { .next = 1 };
		int r = herd_table_each(t, TABLE_PROBLEM, key, 4,
					problem_number, &last);

		if (r)
			return r;
		t->problem_instance = instance;
		t->problem_next = last.next;
	}
	herd_key32(key + 4, t->problem_next);
	herd_buf_varint(&b, path_len);
	herd_buf_put(&b, path, path_len);
	herd_buf_put(&b, text, strlen(text));
	if (b.failed)
		return -ENOMEM;
	t->problem_next++;
	return herd_table_put(t, TABLE_PROBLEM, key, sizeof(key), b.data,
			      b.len);
}

struct problem_each {
	int (*fn)(void *arg, const char *path, size_t path_len,
		  const char *text, size_t text_len);
	void *arg;
};

static int problem_one(void *arg, const MDB_val *key, const MDB_val *value)
{
	struct problem_each *each = arg;
	struct herd_cursor c = herd_cursor(value->mv_data, value->mv_size);
	uint64_t path_len = herd_cur_varint(&c);
	const char *path = herd_cur_bytes(&c, path_len);
	size_t text_len = herd_cur_left(&c);
	const char *text = herd_cur_bytes(&c, text_len);

	if (c.bad || key->mv_size != 8)
		return -EBADMSG;
	return each->fn(each->arg, path, path_len, text, text_len);
}

int herd_problem_each(struct herd_txn *t, uint32_t instance,
		      int (*fn)(void *arg, const char *path, size_t path_len,
				const char *text, size_t text_len), void *arg)
{
	struct problem_each each = { fn, arg };
	uint8_t prefix[4];

	herd_key32(prefix, instance);
	return herd_table_each(t, TABLE_PROBLEM, prefix, 4, problem_one, &each);
}

/* ---- removing ---- */

struct untally {
	struct herd_txn *t;
	uint32_t instance, group, reference;
};

/* Where this one differed from the reference it was counted. */
static int untally_one(void *arg, uint32_t path, const void *encoded,
		       size_t len)
{
	const struct untally *u = arg;
	struct herd_entry own, other;
	struct herd_variant own_variant, other_variant;
	int r = herd_entry_decode(encoded, len, &own);

	if (r)
		return r;
	r = herd_entry_get_own(u->t, u->reference, path, &other);
	if (r == -ENOENT)
		other = (struct herd_entry){ .absent = true };
	else if (r)
		return r;
	/* by their bytes, as when it came: see scan_store.c */
	herd_variant_of(&own, &own_variant);
	herd_variant_of(&other, &other_variant);
	if (herd_variant_equal(&own_variant, &other_variant))
		return 0;
	r = herd_variant_against(u->t, u->instance, u->reference, path, &own,
				 &other, &own_variant);
	return r ? r : herd_tally_add(u->t, u->group, path, &own_variant,
				      u->instance, -1);
}

/* Everything that is kept under an instance's number. */
static int drop_records(struct herd_txn *t, uint32_t id)
{
	static const enum table tables[] = {
		TABLE_ENTRY, TABLE_CHILDREN, TABLE_LINKS, TABLE_OWNER,
		TABLE_LOOK, TABLE_IDENTITY, TABLE_PROBLEM, TABLE_MEMORY,
		TABLE_INSTANCE,
	};
	uint8_t key[4];
	int r = 0;

	herd_key32(key, id);
	t->entry_last_known = false;
	t->problem_instance = 0;
	for (size_t i = 0; i < ARRAY_SIZE(tables) && !r; i++)
		r = herd_table_clear(t, tables[i], key, sizeof(key));
	return r;
}

/* Keeps what others are told apart by. */
static int mark_detached(struct herd_txn *t, uint32_t id)
{
	struct herd_instance i;
	uint8_t key[4];
	int r = herd_instance_get(t, id, &i);

	if (r)
		return r;
	herd_key32(key, id);
	i.detached = true;
	i.problems = 0;
	t->problem_instance = 0;
	r = herd_table_clear(t, TABLE_PROBLEM, key, sizeof(key));
	if (!r)
		r = herd_table_del(t, TABLE_MEMORY, key, sizeof(key));
	if (!r)	/* takes the name out of the index */
		r = herd_instance_put(t, &i);
	herd_instance_deinit(&i);
	return r;
}

static int drop_group(struct herd_txn *t, const struct herd_group *g)
{
	uint8_t key[4];
	int r = g->reference ? drop_records(t, g->reference) : 0;

	herd_key32(key, g->id);
	if (!r)
		r = herd_table_clear(t, TABLE_TALLY, key, sizeof(key));
	if (!r)
		r = herd_table_clear(t, TABLE_KEPT, key, sizeof(key));
	if (!r)
		r = herd_ledger_drop(t, g->id);
	if (!r)
		r = herd_table_del(t, TABLE_GROUP_NAME, g->name,
				   strlen(g->name));
	if (!r)
		r = herd_table_del(t, TABLE_GROUP, key, sizeof(key));
	return r;
}

static int not_this(void *arg, uint32_t id, uint32_t group,
		    enum herd_role role, const char *name)
{
	(void)group;
	(void)role;
	(void)name;
	return id != *(uint32_t *)arg;
}

int herd_instance_remove(struct herd_txn *t, uint32_t id)
{
	uint8_t key[NAME_KEY_MAX];
	struct instance_head head;
	struct herd_group g;
	int r = herd_instance_head_get(t, id, &head);

	if (!r && head.detached)
		r = -ENOENT;
	if (r)
		return r;
	bool member = head.role == HERD_ROLE_MEMBER;
	size_t key_len = instance_name_key(key, head.group, head.name,
					   head.name_len);

	r = herd_group_get(t, head.group, &g);
	if (!r)	/* what it says is about the herd with this one */
		r = herd_ledger_drop(t, head.group);
	if (r)
		return r == -ENOENT ? -EBADMSG : r;
	int others = herd_instance_each_name(t, g.id, not_this, &id);

	if (others < 0)
		return others;
	if (others && id != g.reference && member) {
		struct untally u = { t, id, g.id, g.reference };

		r = herd_entry_each(t, id, untally_one, &u);
	}
	if (r)
		return r;
	if (others && id == g.reference)
		r = mark_detached(t, id);
	else
		r = drop_records(t, id);
	if (!r)
		r = herd_table_del(t, TABLE_INSTANCE_NAME, key, key_len);
	if (r || !others)
		return r ? r : drop_group(t, &g);
	if (member && g.members-- == 0)
		return -EBADMSG;
	if (g.baseline == id)
		g.baseline = 0;
	return herd_group_put(t, &g);
}
