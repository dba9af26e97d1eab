/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the files store*.c share, and nobody else includes: lmdb.h stands
 * here. The layout of keys and values is in docs/FORMAT.md.
 *
 * Threads: as index/store.h says. In struct herd_store only `readers` and the
 * map's size change after opening; both under `lock`.
 */
#ifndef HERD_STORE_INTERNAL_H
#define HERD_STORE_INTERNAL_H

#include "acquire/base/cursor.h"
#include "index/store.h"

#include <lmdb.h>

enum table {
	TABLE_CHILDREN,
	TABLE_ENTRY,
	TABLE_GROUP,
	TABLE_GROUP_NAME,
	TABLE_HERD,
	TABLE_IDENTITY,
	TABLE_INSTANCE,
	TABLE_INSTANCE_NAME,
	TABLE_KEPT,
	TABLE_LINKS,
	TABLE_LOOK,
	TABLE_MEMORY,
	TABLE_META,
	TABLE_NAME,
	TABLE_OWNER,
	TABLE_PARTIAL,
	TABLE_PATH,
	TABLE_PROBLEM,
	TABLE_TALLY,
	TABLE_MAX
};
extern const char *const herd_table_names[TABLE_MAX];	/* sorted */

/* Counters in the meta table: the next number to give out. */
enum counter {
	COUNTER_GROUP,
	COUNTER_INSTANCE,
	COUNTER_PATH,
	COUNTER_MAX
};

struct herd_store {
	char *dir;
	char *label;		/* "store DIR", for messages */
	MDB_env *env;
	MDB_dbi dbi[TABLE_MAX];
	int lock_fd;		/* writer.lock, or -1 */
	bool write;
	bool no_lock;		/* opened without LMDB's reader table */
	/* held by the write transaction from begin to end; taken before lock */
	pthread_mutex_t writing;
	pthread_mutex_t lock;
	unsigned readers;	/* open read transactions; lock */
	bool grow;		/* the map was full; lock */
};

struct herd_txn {
	struct herd_store *store;
	MDB_txn *mdb;
	bool write;
	int failed;		/* sticky: the first error that a write met */
	uint32_t next[COUNTER_MAX];
	bool next_known[COUNTER_MAX], next_changed[COUNTER_MAX];
	/* entry table: the highest key is known, so that keys above it can be
	   appended */
	MDB_cursor *entry_cursor, *path_cursor;
	bool entry_last_known;
	uint8_t entry_last[8];
	/* problem table: the number of the instance's next one */
	uint32_t problem_instance, problem_next;
	uint64_t reads;	/* records looked at */
	uint32_t folder;	/* whose path is known, or 0 */
	struct herd_buf folder_path;
};

/* LMDB's code as ours. */
int herd_mdb_errno(int rc);
/* The same, with one line about it in diag. */
int herd_mdb_error(const struct herd_store *s, int rc, const char *what,
		   struct herd_diag *diag);

/* LMDB says EIO when a write ends early, as it does on a full disk. */
bool herd_store_disk_full(const struct herd_store *s);

static inline MDB_val herd_val(const void *p, size_t len)
{
	return (MDB_val){ .mv_size = len, .mv_data = (void *)p };
}

static inline uint8_t *herd_key32(uint8_t *at, uint32_t v)
{
	v = htobe32(v);
	memcpy(at, &v, sizeof(v));
	return at + sizeof(v);
}

static inline uint8_t *herd_key64(uint8_t *at, uint64_t v)
{
	v = htobe64(v);
	memcpy(at, &v, sizeof(v));
	return at + sizeof(v);
}

/* 0, -ENOENT or another error. *ret borrows. */
int herd_table_get(struct herd_txn *t, enum table table, const void *key,
		   size_t key_len, MDB_val *ret);
int herd_table_put(struct herd_txn *t, enum table table, const void *key,
		   size_t key_len, const void *value, size_t len);
/* 0 also when there was none. */
int herd_table_del(struct herd_txn *t, enum table table, const void *key,
		   size_t key_len);
/* Every record whose key begins with prefix, in order. */
int herd_table_each(struct herd_txn *t, enum table table, const void *prefix,
		    size_t prefix_len,
		    int (*fn)(void *arg, const MDB_val *key,
			      const MDB_val *value), void *arg);
/* Deletes every record whose key begins with prefix. */
int herd_table_clear(struct herd_txn *t, enum table table, const void *prefix,
		     size_t prefix_len);
/* Remembers the first error of a write; returns it as ours. */
int herd_txn_fail(struct herd_txn *t, int rc);

/* Gives out the next number; never 0. */
int herd_counter_next(struct herd_txn *t, enum counter c, uint32_t *ret);
int herd_counter_peek(struct herd_txn *t, enum counter c, uint32_t *ret);

/*
 * Before LMDB sees the directory: that it holds an LMDB file, or, with
 * `create`, nothing. LMDB would make its files anywhere.
 */
int herd_store_check_file(const char *dir, const char *label, bool create,
			  struct herd_diag *diag);
/*
 * Before LMDB reads a page: all of them, as of transaction txnid, which must
 * be open and not have written. -EAGAIN: a writer was faster, begin again.
 */
int herd_store_check_pages(int fd, uint64_t txnid, const char *label,
			   struct herd_diag *diag);

/* What stands at the front of an instance's record. */
struct instance_head {
	uint32_t group;
	enum herd_role role;
	bool detached;
	const char *name;	/* borrowed, not terminated */
	size_t name_len;
};
int herd_instance_head(struct herd_cursor *c, struct instance_head *ret);
bool herd_valid_name(const char *name, size_t len);
int herd_instance_encode(const struct herd_instance *i, struct herd_buf *out);
/* Strings that were NULL come back empty. */
int herd_instance_decode(uint32_t id, const void *bytes, size_t len,
			 struct herd_instance *ret);
/* An image, within another record. What was decoded so far has to be freed also
   after an error. */
void herd_image_encode(const struct herd_image *d, struct herd_buf *out);
int herd_image_decode(struct herd_cursor *c, struct herd_image *d);
int herd_instance_head_get(struct herd_txn *t, uint32_t id,
			   struct instance_head *ret);

/* The first map of a writer; 0 for the usual. For tests, before opening. */
void herd_store_set_first_map(size_t bytes);

#endif
