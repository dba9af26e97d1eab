/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Transactions, the growing of the map, and reading and writing one table:
 * what the other files of the store stand on.
 *
 * The map. Readers map far more than the file holds, which costs address
 * space alone, so that a store that grows under them stays in reach. A writer
 * doubles its map when it is full. Either way the map can be moved only while
 * no transaction of this process reads through it, hence the counting.
 *
 * Threads: as index/store.h says; `lock` guards the count of readers and the
 * map.
 */
#include "index/store_internal.h"

#define GROWTH_MAX 40	/* doublings in one update */

/* ---- counters ---- */

static const char *const counter_names[COUNTER_MAX] = {
	[COUNTER_GROUP] = "next_group",
	[COUNTER_INSTANCE] = "next_instance",
	[COUNTER_PATH] = "next_path",
};

int herd_counter_peek(struct herd_txn *t, enum counter c, uint32_t *ret)
{
	if (!t->next_known[c]) {
		const char *name = counter_names[c];
		/* path 1 is the root, which is not in the dictionary */
		uint32_t next = c == COUNTER_PATH ? HERD_PATH_ROOT + 1 : 1;
		MDB_val v;
		int r = herd_table_get(t, TABLE_META, name, strlen(name), &v);

		if (r && r != -ENOENT)
			return r;
		if (!r) {
			struct herd_cursor cur = herd_cursor(v.mv_data,
							     v.mv_size);

			next = herd_cur_be32(&cur);
			if (cur.bad || cur.pos != cur.len || next == 0)
				return -EBADMSG;
		}
		t->next[c] = next;
		t->next_known[c] = true;
	}
	*ret = t->next[c];
	return 0;
}

int herd_counter_next(struct herd_txn *t, enum counter c, uint32_t *ret)
{
	uint32_t next;
	int r = herd_counter_peek(t, c, &next);

	if (r)
		return r;
	if (next == UINT32_MAX)
		return -EOVERFLOW;
	t->next[c] = next + 1;
	t->next_changed[c] = true;
	*ret = next;
	return 0;
}

static int save_counters(struct herd_txn *t)
{
	for (int c = 0; c < COUNTER_MAX; c++) {
		uint8_t value[4];

		if (!t->next_changed[c])
			continue;
		herd_key32(value, t->next[c]);
		int r = herd_table_put(t, TABLE_META, counter_names[c],
				       strlen(counter_names[c]), value, 4);

		if (r)
			return r;
	}
	return 0;
}

/* ---- the map ---- */

/* Doubles it. Under `lock`; the write transaction has ended. */
static int grow_map(struct herd_store *s, struct herd_diag *diag)
{
	MDB_envinfo info;

	if (s->readers)
		return herd_diag_set(diag, -EBUSY, s->label, HERD_NO_OFFSET,
				     "must grow, but this process still reads "
				     "from it (%u reads)", s->readers);
	int rc = mdb_env_info(s->env, &info);

	if (!rc)
		rc = info.me_mapsize > SIZE_MAX / 4 ? ENOMEM :
		     mdb_env_set_mapsize(s->env, info.me_mapsize * 2);
	if (rc)
		return herd_mdb_error(s, rc, "growing it", diag);
	s->grow = false;
	return 0;
}

/* Another process made the store larger than our map. Under `lock`. */
static int follow_map(struct herd_store *s, struct herd_diag *diag)
{
	if (s->readers)
		return herd_diag_set(diag, -EBUSY, s->label, HERD_NO_OFFSET,
				     "has grown beyond what this process can "
				     "reach while it reads an older snapshot");
	int rc = mdb_env_set_mapsize(s->env, 0);

	return rc ? herd_mdb_error(s, rc, "growing it", diag) : 0;
}

/* ---- transactions ---- */

static int begin_mdb(struct herd_store *s, bool write, MDB_txn **ret,
			struct herd_diag *diag)
{
	int dead, rc, r = 0;
	SCOPED_LOCK(&s->lock);

	if (write && s->grow)
		r = grow_map(s, diag);
	if (r)
		return r;
	for (int tries = 0;; tries++) {
		rc = mdb_txn_begin(s->env, NULL, write ? 0 : MDB_RDONLY, ret);
		if (rc == MDB_READERS_FULL && tries < 2)
			mdb_reader_check(s->env, &dead);
		else if (rc == MDB_MAP_RESIZED && tries < 2)
			r = follow_map(s, diag);
		else
			break;
		if (r)
			return r;
	}
	if (rc)
		return herd_mdb_error(s, rc, "starting", diag);
	if (!write)
		s->readers++;
	return 0;
}

int herd_txn_begin(struct herd_store *s, bool write, struct herd_txn **ret,
		   struct herd_diag *diag)
{
	struct herd_txn *t CLEANUP_FREE = calloc(1, sizeof(*t));

	if (!t)
		return -ENOMEM;
	if (write && !s->write)
		return herd_diag_set(diag, -EROFS, s->label, HERD_NO_OFFSET,
				     "was opened to read");
	/* not under `lock`: LMDB would wait there for a writer that needs it
	   to end */
	if (write)
		pthread_mutex_lock(&s->writing);
	int r = begin_mdb(s, write, &t->mdb, diag);

	if (r) {
		if (write)
			pthread_mutex_unlock(&s->writing);
		return r;
	}
	t->store = s;
	t->write = write;
	*ret = TAKE_PTR(t);
	return 0;
}

int herd_txn_fail(struct herd_txn *t, int rc)
{
	int err = herd_mdb_errno(rc);

	if (rc == EIO && herd_store_disk_full(t->store))
		err = -ENOSPC;
	if (!t->failed)
		t->failed = err;
	return t->failed;
}

static void settle(struct herd_store *s, const struct herd_txn *t)
{
	SCOPED_LOCK(&s->lock);

	if (!t->write)
		s->readers--;
	else if (t->failed == -EAGAIN)
		s->grow = true;
	/* only while nobody writes: a reader that ends leaves it to them */
	if (t->write && s->grow && !s->readers)
		grow_map(s, NULL);
}

/* LMDB's own part ends first, outside `lock`. */
static void end_txn(struct herd_txn *t)
{
	struct herd_store *s = t->store;

	if (t->mdb)
		mdb_txn_abort(t->mdb);
	settle(s, t);
	if (t->write)
		pthread_mutex_unlock(&s->writing);
	herd_buf_deinit(&t->folder_path);
	free(t);
}

void herd_txn_abort(struct herd_txn *t)
{
	int saved = errno;

	if (!t)
		return;
	mdb_cursor_close(t->entry_cursor);
	mdb_cursor_close(t->path_cursor);
	end_txn(t);
	errno = saved;
}

int herd_txn_commit(struct herd_txn *t, struct herd_diag *diag)
{
	int r = t->failed;

	if (t->write && !r)
		r = save_counters(t);
	if (r) {
		if (r == -ENOSPC)
			herd_mdb_error(t->store, ENOSPC, "", diag);
		herd_txn_abort(t);
		return r;
	}
	mdb_cursor_close(t->entry_cursor);
	mdb_cursor_close(t->path_cursor);
	int rc = mdb_txn_commit(TAKE_PTR(t->mdb));

	if (rc) {
		r = herd_txn_fail(t, rc);
		herd_mdb_error(t->store, rc, "committing", diag);
	}
	end_txn(t);
	return r;
}

uint64_t herd_txn_reads(const struct herd_txn *t)
{
	return t->reads;
}

uint64_t herd_txn_id(const struct herd_txn *t)
{
	return mdb_txn_id(t->mdb);
}

int herd_store_update(struct herd_store *s,
		      int (*fn)(struct herd_txn *t, void *arg,
				struct herd_diag *diag),
		      void *arg, struct herd_diag *diag)
{
	for (int i = 0; i < GROWTH_MAX; i++) {
		struct herd_txn *t;
		int r = herd_txn_begin(s, true, &t, diag);

		if (r)
			return r;
		r = fn(t, arg, diag);
		if (!r) {
			r = herd_txn_commit(t, diag);
			if (r != -EAGAIN)
				return r;
		} else {
			bool again = t->failed == -EAGAIN;

			if (t->failed == -ENOSPC)
				herd_mdb_error(s, ENOSPC, "", diag);
			herd_txn_abort(t);
			if (!again)
				return r;
		}
		herd_diag_clear(diag);
	}
	return herd_diag_set(diag, -EOVERFLOW, s->label, HERD_NO_OFFSET,
			     "does not stop growing");
}

/* ---- tables ---- */

int herd_table_get(struct herd_txn *t, enum table table, const void *key,
		   size_t key_len, MDB_val *ret)
{
	MDB_val k = herd_val(key, key_len);

	t->reads++;
	return herd_mdb_errno(mdb_get(t->mdb, t->store->dbi[table], &k, ret));
}

int herd_table_put(struct herd_txn *t, enum table table, const void *key,
		   size_t key_len, const void *value, size_t len)
{
	MDB_val k = herd_val(key, key_len), v = herd_val(value, len);

	if (t->failed)
		return t->failed;
	int rc = mdb_put(t->mdb, t->store->dbi[table], &k, &v, 0);

	return rc ? herd_txn_fail(t, rc) : 0;
}

int herd_table_del(struct herd_txn *t, enum table table, const void *key,
		   size_t key_len)
{
	MDB_val k = herd_val(key, key_len);

	if (t->failed)
		return t->failed;
	int rc = mdb_del(t->mdb, t->store->dbi[table], &k, NULL);

	return rc && rc != MDB_NOTFOUND ? herd_txn_fail(t, rc) : 0;
}

static void close_cursor(MDB_cursor **c)
{
	mdb_cursor_close(*c);
}

static bool begins_with(const MDB_val *key, const void *prefix, size_t len)
{
	return key->mv_size >= len && !memcmp(key->mv_data, prefix, len);
}

int herd_table_each(struct herd_txn *t, enum table table, const void *prefix,
		    size_t prefix_len,
		    int (*fn)(void *arg, const MDB_val *key,
			      const MDB_val *value), void *arg)
{
	MDB_cursor *c CLEANUP(close_cursor) = NULL;
	MDB_val k = herd_val(prefix, prefix_len), v;
	int rc = mdb_cursor_open(t->mdb, t->store->dbi[table], &c);

	if (!rc)
		rc = mdb_cursor_get(c, &k, &v,
				    prefix_len ? MDB_SET_RANGE : MDB_FIRST);
	while (!rc && begins_with(&k, prefix, prefix_len)) {
		t->reads++;
		int r = fn(arg, &k, &v);

		if (r)
			return r;
		rc = mdb_cursor_get(c, &k, &v, MDB_NEXT);
	}
	return rc == MDB_NOTFOUND ? 0 : herd_mdb_errno(rc);
}

int herd_table_clear(struct herd_txn *t, enum table table, const void *prefix,
		     size_t prefix_len)
{
	MDB_cursor *c CLEANUP(close_cursor) = NULL;
	MDB_val k = herd_val(prefix, prefix_len), v;

	if (t->failed)
		return t->failed;
	int rc = mdb_cursor_open(t->mdb, t->store->dbi[table], &c);

	if (!rc)
		rc = mdb_cursor_get(c, &k, &v,
				    prefix_len ? MDB_SET_RANGE : MDB_FIRST);
	while (!rc && begins_with(&k, prefix, prefix_len)) {
		rc = mdb_cursor_del(c, 0);
		if (!rc)	/* the one after the deleted one */
			rc = mdb_cursor_get(c, &k, &v, MDB_NEXT);
	}
	return rc && rc != MDB_NOTFOUND ? herd_txn_fail(t, rc) : 0;
}

/* ---- dump ---- */

struct dump {
	int (*fn)(void *arg, const char *table, const void *key, size_t key_len,
		  const void *value, size_t value_len);
	void *arg;
	const char *table;
};

static int dump_one(void *arg, const MDB_val *key, const MDB_val *value)
{
	struct dump *d = arg;

	return d->fn(d->arg, d->table, key->mv_data, key->mv_size,
		     value->mv_data, value->mv_size);
}

int herd_store_dump(struct herd_txn *t, int (*fn)(void *arg, const char *table,
		    const void *key, size_t key_len, const void *value,
		    size_t value_len), void *arg)
{
	struct dump d = { .fn = fn, .arg = arg };
	int r = 0;

	for (int i = 0; i < TABLE_MAX && !r; i++) {
		d.table = herd_table_names[i];
		r = herd_table_each(t, i, "", 0, dump_one, &d);
	}
	return r;
}
