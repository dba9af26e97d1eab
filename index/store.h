/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The index: an LMDB environment in one directory. docs/FORMAT.md describes
 * every table; lmdb.h is included by store*.c alone.
 *
 * An instance is kept as its difference from the group's reference, the first
 * profile (baseline or sibling) that was attached. The reference has an entry
 * for each of its paths; another instance only for paths where its entry
 * differs, with an absent entry where it lacks one of the reference's.
 *
 * Threads: a store may be shared; a transaction belongs to one thread at a
 * time, and one that writes ends in the thread that began it. Pointers got
 * from a transaction are valid until it ends or, in a write transaction,
 * until its next write. A read transaction is a snapshot: what is committed
 * later does not show in it. A process opens a directory once at a time, and
 * not across fork (LMDB's locks are the process's).
 */
#ifndef HERD_STORE_H
#define HERD_STORE_H

#include "index/entry.h"
#include "index/verdict.h"

#define HERD_SCHEMA_VERSION 5
#define HERD_PATH_ROOT 1u	/* id of "/" ; its parent is 0 */
#define HERD_GROUP_NAME_MAX 200
#define HERD_INSTANCE_NAME_MAX 200
#define HERD_PATH_MAX 65536	/* bytes of a full path that we will build */

struct herd_store;
struct herd_txn;

enum herd_store_flags {
	HERD_STORE_WRITE = 1,	/* takes the writer's lock, -EBUSY at once with
				   the holder's pid in diag */
	HERD_STORE_CREATE = 2,	/* make the directory and tables if missing */
};

/*
 * Default directory: $HERDFS_STORE, else $XDG_DATA_HOME/herdfs, else
 * ~/.local/share/herdfs. -ENOENT with nowhere to go.
 */
int herd_store_default_dir(char *buf, size_t size);

/*
 * -ENOENT no store there; -EPROTO a newer schema; -EBADMSG damaged, cut short
 * or somebody else's database; -ENOTEMPTY (CREATE) a directory that holds
 * something else; one clear line in diag. Once it is open no other file is
 * opened: a process may lock itself in then.
 */
int herd_store_open(const char *dir, unsigned flags, struct herd_store **ret,
		    struct herd_diag *diag);
void herd_store_close(struct herd_store *s);
const char *herd_store_dir(const struct herd_store *s);
/* 0 where a store is or one may be made; -ENOTEMPTY and so on as above. */
int herd_store_may_be(const char *dir, struct herd_diag *diag);

/*
 * -ENOSPC disk full. A write transaction that meets a full map fails with
 * -EAGAIN: abort it, which doubles the map, and do the same work again
 * (herd_store_update does so). A map cannot move under this process's own
 * read transactions: the next write then begins with -EBUSY. (It takes 4 GiB
 * or a fourfold store to come to that.)
 *
 * After its first error a write transaction fails every write with the same.
 * Commit ends the transaction whatever it returns; do not abort it after.
 */
int herd_txn_begin(struct herd_store *s, bool write, struct herd_txn **ret,
		   struct herd_diag *diag);
int herd_txn_commit(struct herd_txn *t, struct herd_diag *diag);
void herd_txn_abort(struct herd_txn *t);	/* NULL is fine */
uint64_t herd_txn_id(const struct herd_txn *t);	/* of the snapshot */
/* Begins, calls fn, commits; again from the start on -EAGAIN. */
int herd_store_update(struct herd_store *s,
		      int (*fn)(struct herd_txn *t, void *arg,
				struct herd_diag *diag),
		      void *arg, struct herd_diag *diag);

/* ---- groups ---- */

struct herd_group {
	uint32_t id;
	char name[HERD_GROUP_NAME_MAX + 1];
	uint32_t reference;	/* instance id, 0: nothing attached yet */
	uint32_t baseline;	/* instance id, or 0 */
	uint32_t members;	/* instances that count (baseline excluded) */
};
/* -ENOENT when there is none. */
int herd_group_get(struct herd_txn *t, uint32_t id, struct herd_group *ret);
int herd_group_find(struct herd_txn *t, const char *name,
		    struct herd_group *ret);
/* Finds, or makes it. Names: 1…200 bytes, no '/', not "." or "..": -EINVAL. */
int herd_group_make(struct herd_txn *t, const char *name,
		    struct herd_group *ret);
int herd_group_put(struct herd_txn *t, const struct herd_group *g);
int herd_group_each(struct herd_txn *t,
		    int (*fn)(void *arg, const struct herd_group *g), void *arg);

/* ---- instances ---- */

enum herd_role { HERD_ROLE_MEMBER, HERD_ROLE_BASELINE };

/* By what the files of a volume were found equal to the reference's. */
enum herd_basis {
	HERD_BASIS_CONTENT,	/* all were read, or every byte compared */
	HERD_BASIS_BLOCKS,	/* their blocks are the reference's, as the disk's
				   format or EBS says */
	HERD_BASIS_METADATA,	/* provisionally: inode, size, times, places and
				   attributes are equal; content was not read */
	HERD_BASIS_MAX
};
const char *herd_basis_name(enum herd_basis b);

struct herd_stored_volume {
	uint32_t disk;		/* index into disks */
	uint32_t partition;
	uint64_t start, len;	/* bytes on the disk */
	char *fs, *uuid, *label, *mount, *note;
	uint32_t block_size;
	uint8_t geometry[32];
	uint8_t head[32];	/* herd_volume_head; zeros: not known */
	uint64_t entries;
	enum herd_basis basis;
};

struct herd_instance;
/* Whether some volume of it rests on HERD_BASIS_METADATA. */
bool herd_instance_is_provisional(const struct herd_instance *i);

struct herd_instance {
	uint32_t id, group;
	enum herd_role role;
	char name[HERD_INSTANCE_NAME_MAX + 1];
	bool detached;		/* gone, but still the group's reference */
	uint64_t attached;	/* seconds since 1970; SOURCE_DATE_EPOCH rules */
	struct herd_image *disks;
	size_t n_disks;
	struct herd_stored_volume *volumes;
	size_t n_volumes;
	/* what indexing did */
	uint64_t entries, files, bytes;	/* all of it */
	uint64_t hashed_files, hashed_bytes;	/* read and hashed */
	uint64_t inherited_files, inherited_bytes;	/* unchanged in place */
	uint64_t problems;	/* see herd_problem_each */
};
void herd_instance_deinit(struct herd_instance *i);

int herd_instance_get(struct herd_txn *t, uint32_t id,
		      struct herd_instance *ret);
int herd_instance_find(struct herd_txn *t, uint32_t group, const char *name,
		       struct herd_instance *ret);
/*
 * id 0: gives it the next id, in place. -EEXIST another has the name. Does not
 * touch the group: whoever adds a member counts it in (herd_group_put).
 */
int herd_instance_put(struct herd_txn *t, struct herd_instance *i);
/* In order of id; detached ones left out. group 0: all groups. */
int herd_instance_each(struct herd_txn *t, uint32_t group,
		       int (*fn)(void *arg, const struct herd_instance *i),
		       void *arg);
/* Without decoding: id and name only, for large herds. */
int herd_instance_each_name(struct herd_txn *t, uint32_t group,
			    int (*fn)(void *arg, uint32_t id, uint32_t group,
				      enum herd_role role, const char *name),
			    void *arg);
/*
 * Takes the instance out of the herd: tallies, entries, record. The group's
 * reference keeps its entries (marked detached) as long as siblings rest on
 * it; the last one takes the group with it.
 */
int herd_instance_remove(struct herd_txn *t, uint32_t id);

/* What could not be read, in the order found. Kept apart from entries. */
int herd_problem_add(struct herd_txn *t, uint32_t instance, const char *path,
		     size_t path_len, const char *text);
int herd_problem_each(struct herd_txn *t, uint32_t instance,
		      int (*fn)(void *arg, const char *path, size_t path_len,
				const char *text, size_t text_len), void *arg);

/* ---- paths ---- */

/* -ENOENT when the dictionary has no such name. */
int herd_path_find(struct herd_txn *t, uint32_t parent, const char *name,
		   size_t len, uint32_t *ret);
int herd_path_intern(struct herd_txn *t, uint32_t parent, const char *name,
		     size_t len, uint32_t *ret);
/* Borrowed name. */
int herd_path_get(struct herd_txn *t, uint32_t id, uint32_t *ret_parent,
		  const char **ret_name, size_t *ret_len);
/* "etc/passwd" without leading '/', "" for the root; appended to out. */
int herd_path_full(struct herd_txn *t, uint32_t id, struct herd_buf *out);
/* Component by component; '/' at the start or doubled is skipped. */
int herd_path_resolve(struct herd_txn *t, const char *path, size_t len,
		      uint32_t *ret);

/* ---- entries ---- */

/* Of this instance's own record only (no fall back to the reference). */
int herd_entry_get_own(struct herd_txn *t, uint32_t instance, uint32_t path,
		       struct herd_entry *ret);
/* The same, not decoded; borrowed. */
int herd_entry_get_bytes(struct herd_txn *t, uint32_t instance, uint32_t path,
			 const void **ret, size_t *ret_len);
/*
 * The entry as the instance has it: its own record, else the reference's.
 * reference: the group's (may equal instance). -ENOENT when neither has the
 * path or the own record is absent.
 */
int herd_entry_get(struct herd_txn *t, uint32_t instance, uint32_t reference,
		   uint32_t path, struct herd_entry *ret);
int herd_entry_put(struct herd_txn *t, uint32_t instance, uint32_t path,
		   const void *encoded, size_t len);
/* Own records in order of path id. */
int herd_entry_each(struct herd_txn *t, uint32_t instance,
		    int (*fn)(void *arg, uint32_t path, const void *encoded,
			      size_t len), void *arg);

/* Reference only: the children of a directory, ids in ascending order.
   Borrowed little-endian u32s, possibly unaligned; -ENOENT for none. */
int herd_children_get(struct herd_txn *t, uint32_t reference, uint32_t dir,
		      const void **ret, size_t *ret_n);
int herd_children_put(struct herd_txn *t, uint32_t reference, uint32_t dir,
		      const uint32_t *ids, size_t n);

/* Reference only: which paths lead to an inode. Same form as children. */
int herd_links_get(struct herd_txn *t, uint32_t reference, uint32_t volume,
		   uint64_t ino, const void **ret, size_t *ret_n);
int herd_links_put(struct herd_txn *t, uint32_t reference, uint32_t volume,
		   uint64_t ino, const uint32_t *ids, size_t n);

/* Reference only: which inode's data or metadata lies where on the volume. */
enum herd_owner_kind { HERD_OWNER_DATA, HERD_OWNER_META };
int herd_owner_put(struct herd_txn *t, uint32_t reference, uint32_t volume,
		   uint64_t start, uint64_t len, uint64_t ino,
		   enum herd_owner_kind kind);
typedef int herd_owner_fn(void *arg, uint64_t start, uint64_t len, uint64_t ino,
			  enum herd_owner_kind kind);
/*
 * fn for each owner of any byte in ranges, which are normalised; in no order,
 * and again for each of them that it reaches into.
 */
int herd_owner_each(struct herd_txn *t, uint32_t reference, uint32_t volume,
		    const struct herd_extents *ranges, herd_owner_fn *fn,
		    void *arg);

/* ---- what files hold, beyond their digest ---- */

#define HERD_SKETCH_MAX 64u
#define HERD_NOTE_MAX 1024u
#define HERD_KEPT_MAX (64u << 10)

struct herd_look {
	uint8_t sort;		/* enum herd_sort + 1, 0: could not be read */
	bool normal;		/* the content holds tokens of the instance's own */
	uint8_t digest[32];	/* SHA-256 with those replaced, if normal */
	bool packaged;		/* an upgraded package vouches for it, by the
				   instance's own word (index/dpkg.h) */
	const void *sketch;	/* index/logbook.h; borrowed */
	size_t n_sketch;
	const char *note;	/* what is to be said of it; borrowed */
	size_t n_note;
};
int herd_look_put(struct herd_txn *t, uint32_t instance, uint32_t path,
		  const struct herd_look *look);
/* -ENOENT: nobody looked. */
int herd_look_get(struct herd_txn *t, uint32_t instance, uint32_t path,
		  struct herd_look *ret);

/*
 * The variant that is counted and judged: as herd_variant_of has it, but the
 * digest is the one with the instance's own tokens replaced, and the sort is
 * filled in. Who has the reference's very bytes has its variant, whatever
 * tokens are in them. The reference's look at a path must be there before the
 * first tally of that path, and does not change afterwards.
 */
int herd_variant_against(struct herd_txn *t, uint32_t instance,
			 uint32_t reference, uint32_t path,
			 const struct herd_entry *own,
			 const struct herd_entry *ref, struct herd_variant *ret);
/* The same, both entries looked up; absent when there is none. */
int herd_variant_get(struct herd_txn *t, uint32_t instance, uint32_t reference,
		     uint32_t path, struct herd_variant *ret);

/* Small contents by their SHA-256; they go with their group. -ENOENT. */
int herd_kept_put(struct herd_txn *t, uint32_t group, const uint8_t digest[32],
		  const void *bytes, size_t len);
int herd_kept_get(struct herd_txn *t, uint32_t group, const uint8_t digest[32],
		  const void **ret, size_t *ret_len);

/* An instance's own tokens, as herd_identity_encode has them. -ENOENT. */
int herd_tokens_put(struct herd_txn *t, uint32_t instance, const void *bytes,
		    size_t len);
int herd_tokens_get(struct herd_txn *t, uint32_t instance, const void **ret,
		    size_t *ret_len);

/* ---- memory ---- */

/* The image of an instance's memory, and what it says of the machine. */
#define HERD_DISK_MEMORY UINT32_MAX	/* in the place of a disk's number */
struct herd_stored_memory {
	uint64_t attached;	/* seconds since 1970 */
	struct herd_image image;	/* owned */
	const void *machine;	/* as herd_machine_encode has it; borrowed */
	size_t n_machine;
};
void herd_stored_memory_deinit(struct herd_stored_memory *m);
/* In the place of what was there. Goes with the instance. */
int herd_memory_put(struct herd_txn *t, uint32_t instance,
		    const struct herd_stored_memory *m);
/* -ENOENT: no memory of it is attached. */
int herd_memory_get(struct herd_txn *t, uint32_t instance,
		    struct herd_stored_memory *ret);
int herd_memory_remove(struct herd_txn *t, uint32_t instance);
/* Instances that have memory, in order of id. */
int herd_memory_each(struct herd_txn *t,
		     int (*fn)(void *arg, uint32_t instance), void *arg);

/* ---- the herd's statistics ---- */

/*
 * How many members have a variant other than the reference's, by path. The
 * reference's own variant is not kept: its count is members less the sum.
 * delta is +1 or -1; holder: the instance that comes or goes.
 */
int herd_tally_add(struct herd_txn *t, uint32_t group, uint32_t path,
		   const struct herd_variant *variant, uint32_t holder,
		   int delta);
/*
 * All variants at a path that members have, the reference's own (count
 * members less the rest; left out when 0) first, its holder 0 unless
 * found. *ret malloced.
 */
int herd_tally_get(struct herd_txn *t, const struct herd_group *g,
		   uint32_t path, struct herd_tally **ret, size_t *ret_n);
/*
 * For those who count some of the members themselves: v[1…n-1] are the
 * variants other than the reference's that they have; v[0] becomes the
 * reference's, with what is left of the members, as herd_tally_get has it.
 */
int herd_tally_complete(struct herd_txn *t, const struct herd_group *g,
			uint32_t path, uint32_t members, struct herd_tally *v,
			size_t *n);
/* Each path of the group that has a tally, in order of id, once. */
int herd_tally_each_path(struct herd_txn *t, uint32_t group,
			 int (*fn)(void *arg, uint32_t path), void *arg);

/* The tally of one variant, and its key in the order of those of the path. */
int herd_tally_find(struct herd_txn *t, uint32_t group, uint32_t path,
		    const struct herd_variant *variant, uint8_t ret_key[32],
		    struct herd_tally *ret);
/* As they are kept: none of the reference's, unless tokens alone differ. */
int herd_tally_each(struct herd_txn *t, uint32_t group, uint32_t path,
		    int (*fn)(void *arg, const uint8_t key[32],
			      const struct herd_tally *v), void *arg);
/* Whether some member was counted there. */
int herd_tally_any(struct herd_txn *t, uint32_t group, uint32_t path,
		   bool *ret);

/* One variant has one form; its sort is no part of it. */
void herd_variant_encode(const struct herd_variant *v, struct herd_buf *out);
int herd_variant_decode(const void *data, size_t len,
			struct herd_variant *ret);

/*
 * What index/ledger.h keeps: records of a group by the member that they are
 * about, 0 for what is about all. Detaching anybody drops them.
 */
int herd_ledger_put(struct herd_txn *t, uint32_t group, uint32_t holder,
		    const void *bytes, size_t len);
/* Borrowed; -ENOENT. */
int herd_ledger_get(struct herd_txn *t, uint32_t group, uint32_t holder,
		    const void **ret, size_t *ret_len);
/* In order of holder. */
int herd_ledger_each(struct herd_txn *t, uint32_t group,
		     int (*fn)(void *arg, uint32_t holder, const void *bytes,
			       size_t len), void *arg);
int herd_ledger_drop(struct herd_txn *t, uint32_t group);

/* Records that were read in this transaction, one by one: how much work. */
uint64_t herd_txn_reads(const struct herd_txn *t);

/* ---- digests of an attach that was interrupted ---- */

/* key: SHA-256 that stands for the disks of the instance, identities included. */
int herd_partial_put(struct herd_txn *t, const uint8_t key[32], uint32_t volume,
		     uint64_t ino, const uint8_t digest[32], uint8_t kind);
int herd_partial_get(struct herd_txn *t, const uint8_t key[32], uint32_t volume,
		     uint64_t ino, uint8_t digest[32], uint8_t *kind);
int herd_partial_drop(struct herd_txn *t, const uint8_t key[32]);

/* Every record of every table as text, sorted, for tests and for comparing
   two stores: "table key-hex value-hex" lines. */
int herd_store_dump(struct herd_txn *t, int (*fn)(void *arg, const char *table,
		    const void *key, size_t key_len, const void *value,
		    size_t value_len), void *arg);

#endif
