/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the files of the tree share.
 *
 * What lasts as long as the tree is made once and then only read: the members
 * (who there is), and of each instance that was touched its record. What is
 * large is made when first needed, kept in a cache of limited size, counted
 * by reference, and made again when it was dropped:
 *
 *   judged   the findings of an instance, and which paths each view shows
 *   delta    where an instance differs from the reference, for all/
 *   blob     a generated file
 *   runs     the extents of a file that has very many
 *   machine, its findings, maps and cores of its processes: fs/tree_memory.h
 *
 * Threads: read transactions are lent out, one to a call and never a second
 * one (that could wait for ever); they are all of one snapshot. Locks: `pool` guards the lending, a cache its own lists, a disk
 * its own state; none is held while content is read, but for the one that
 * makes a disk be opened once, and a volume reader's (which serves one thread
 * at a time by contract).
 */
#ifndef HERD_TREE_INTERNAL_H
#define HERD_TREE_INTERNAL_H

#include "fs/tree.h"
#include "fs/tree_node.h"
#include "index/memory_herd.h"

#include <sys/queue.h>

#define HERD_TREE_READERS 32

/* ---- what is kept in the cache ---- */

enum herd_cached_kind {
	HERD_CACHED_JUDGED,
	HERD_CACHED_DELTA,
	HERD_CACHED_BLOB,	/* + enum herd_instance_item */
	HERD_CACHED_GROUP_BLOB = HERD_CACHED_BLOB + HERD_INSTANCE_ITEM_MAX,
	HERD_CACHED_CLUSTERS = HERD_CACHED_GROUP_BLOB + HERD_GROUP_ITEM_MAX,
	HERD_CACHED_MEMORY_BLOB,	/* + enum herd_memory_view; by node */
	HERD_CACHED_RUNS = HERD_CACHED_MEMORY_BLOB + HERD_MEMORY_VIEW_MAX,
	HERD_CACHED_MACHINE,
	HERD_CACHED_MACHINE_FINDINGS,
	HERD_CACHED_DUMP,	/* by process */
	HERD_CACHED_DUMP_FILE,	/* by file */
	HERD_CACHED_CORE,	/* by process */
};

struct herd_cache_key {
	uint32_t kind, owner, what;
};

struct herd_cached {
	struct herd_cache_key key;
	size_t bytes;		/* what it costs, set by its maker */
	void (*destroy)(struct herd_cached *c);
	unsigned refs;		/* the rest under the cache's lock */
	bool listed;
	TAILQ_ENTRY(herd_cached) lru;
	LIST_ENTRY(herd_cached) bucket;
};

#define HERD_CACHE_BUCKETS 1024
#define HERD_CACHE_STRIPES 64

struct herd_cache {
	void (*on_make)(void *arg);	/* told before anything is made */
	void *on_make_arg;
	pthread_mutex_t lock;
	size_t limit, bytes;
	TAILQ_HEAD(herd_cache_lru, herd_cached) lru;	/* used last, first */
	LIST_HEAD(, herd_cached) buckets[HERD_CACHE_BUCKETS];
	/* one maker at a time for what falls on the same stripe; generated
	   files, which are made from the rest, have stripes of their own */
	pthread_mutex_t making[2][HERD_CACHE_STRIPES];
};

void herd_cache_init(struct herd_cache *c, size_t limit);
void herd_cache_deinit(struct herd_cache *c);
/*
 * Found, or made by make(arg): 0 and *ret with refs and lists untouched.
 * Give it back with herd_cache_put.
 */
int herd_cache_get(struct herd_cache *c, struct herd_cache_key key,
		   int (*make)(void *arg, struct herd_cached **ret), void *arg,
		   struct herd_cached **ret);
void herd_cache_put(struct herd_cache *c, struct herd_cached *item);

/* ---- instances ---- */

/* An open disk; lives until the last reader is done with it. */
struct herd_tree_source {
	struct herd_source *source;
	struct herd_extents there;	/* of memory: what the image holds */
	atomic_uint refs;
};

struct herd_tree_disk {
	pthread_mutex_t lock;	/* of what follows; held while it is opened */
	struct herd_tree_source *open;
	bool failed;		/* for good: not the image that was indexed */
	bool away;		/* the last try to open it failed */
	bool noted;		/* that reading failed */
	unsigned reopened;
	int64_t reopened_at;	/* monotonic seconds */
	_Atomic int64_t checked;	/* monotonic seconds; when last verified */
	atomic_int slow;	/* reads to come that had better not be waited for */
};

/* For content that only the reader of the file system can give. */
struct herd_tree_volume {
	pthread_mutex_t lock;
	struct herd_tree_source *disk;	/* on which it is open */
	struct herd_source *window;
	struct herd_volume *volume;
};

struct herd_tree_instance {
	struct herd_instance record;
	struct herd_tree_group *group;
	struct herd_tree_disk *disks;		/* record.n_disks, and memory */
	bool has_memory;
	struct herd_image memory;
	uint64_t memory_attached;
	struct herd_tree_volume *volumes;	/* record.n_volumes */
};

struct herd_tree_member {
	uint32_t id;
	struct herd_tree_group *group;
	enum herd_role role;
	bool has_memory;
	char *name;
	_Atomic(struct herd_tree_instance *) loaded;
};

struct herd_tree_group {
	struct herd_group group;
	const struct herd_knowledge *knowledge;	/* the tree's */
	pthread_mutex_t lock;	/* of herd, which never changes once made */
	struct herd_herd *herd;
	pthread_mutex_t memory_lock;	/* of memory, which never changes either */
	struct herd_memory_herd *memory;
};

/* How far somebody has read a file whose disk is far away. */
struct herd_tree_reader {
	uint32_t holder, path;
	uint64_t next, wanted;	/* bytes of the file: read, asked for */
};
struct herd_tree_ahead {
	pthread_mutex_t lock;	/* of what follows */
	struct herd_tree_reader readers[64];
	unsigned turn;
};

struct herd_tree {
	struct herd_store *store;
	herd_tree_open_disk open_disk;
	void *open_disk_arg;
	struct herd_tree_options options;
	uid_t uid;
	gid_t gid;
	time_t opened;

	struct herd_tree_group *groups;		/* by id */
	size_t n_groups, cap_groups;
	struct herd_tree_member *members;	/* by id */
	size_t n_members, cap_members;
	uint32_t *by_name;	/* indices of members, by group and name */
	pthread_mutex_t loading;

	struct {
		pthread_mutex_t lock;
		pthread_cond_t returned;
		struct herd_txn *free[HERD_TREE_READERS];
		unsigned n_free, n;
	} pool;

	struct herd_cache cache;
	struct herd_tree_ahead ahead;
	pthread_mutex_t walking;	/* page tables; see fs/tree_memory.h */

	pthread_mutex_t failure_lock;
	char **failures;
	size_t n_failures;
};

/* ---- tree.c ---- */

struct herd_lease {
	struct herd_tree *tree;
	struct herd_txn *txn;
};
struct herd_lease herd_tree_borrow(struct herd_tree *t);
void herd_tree_return(struct herd_lease *l);
/* A read transaction until the end of the scope. */
#define LEASE(name, t) \
	CLEANUP(herd_tree_return) struct herd_lease name = herd_tree_borrow(t)

struct herd_tree_member *herd_tree_member(struct herd_tree *t, uint32_t id);
struct herd_tree_group *herd_tree_group(struct herd_tree *t, uint32_t id);
/* Loads the record. -ENOENT: no such instance here. Valid with the tree. */
int herd_tree_instance(struct herd_tree *t, struct herd_txn *txn, uint32_t id,
		       struct herd_tree_instance **ret);
int herd_tree_herd(struct herd_txn *txn, struct herd_tree_group *g,
		   struct herd_herd **ret);
/* NULL where no member has memory. A failure is told. */
int herd_tree_memory_herd(struct herd_tree *t, struct herd_txn *txn,
			  struct herd_tree_group *g,
			  struct herd_memory_herd **ret);
static inline void herd_tree_will_wait(struct herd_tree *t)
{
	if (t->options.on_wait)
		t->options.on_wait(t->options.on_wait_arg);
}
static inline uint32_t
herd_tree_reference(const struct herd_tree_instance *i)
{
	return i->group->group.reference;
}
/* ---- tree_ahead.c ---- */

/* Notes a read; true: these bytes of the file, too, are worth asking for. */
bool herd_tree_read_ahead(struct herd_tree *t, uint32_t holder, uint32_t path,
			  uint64_t off, size_t len, uint64_t size,
			  uint64_t *ret_from, size_t *ret_len);

/* ---- tree.c ---- */

/* Keeps the line (once) and tells on_failure. */
void herd_tree_failure(struct herd_tree *t, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

/* Arguments of herd_tree_readdir, on their way down. */
struct herd_tree_emit {
	int (*fn)(void *arg, const char *name, uint64_t node,
		  const struct stat *st, uint64_t next);
	void *arg;
	uint64_t offset;
};

/* ---- tree_top.c: everything above disk/ ---- */

bool herd_top_exists(struct herd_tree *t, uint64_t node);
int herd_top_lookup(struct herd_tree *t, uint64_t dir, const char *name,
		    uint64_t *ret);
int herd_top_getattr(struct herd_tree *t, uint64_t node, struct stat *ret);
int herd_top_readdir(struct herd_tree *t, uint64_t dir,
		     const struct herd_tree_emit *emit);
uint64_t herd_top_parent(struct herd_tree *t, uint64_t node);
/* Attributes of a directory that no image has. */
void herd_top_stat_dir(struct herd_tree *t, uint64_t node, time_t when,
		       struct stat *ret);

/* ---- tree_cluster.c: clusters/ of a group ---- */

int herd_cluster_lookup(struct herd_tree *t, uint64_t dir, const char *name,
			uint64_t *ret);
int herd_cluster_getattr(struct herd_tree *t, uint64_t node, struct stat *ret);
int herd_cluster_readdir(struct herd_tree *t, uint64_t dir,
			 const struct herd_tree_emit *emit);
int herd_cluster_readlink(struct herd_tree *t, uint64_t node, char **ret);
uint64_t herd_cluster_parent(struct herd_tree *t, uint64_t node);

/* ---- tree_view.c ---- */

#define HERD_NO_FINDING UINT32_MAX

struct herd_view_path {
	uint32_t path, parent;
	uint32_t finding;	/* index, or HERD_NO_FINDING: on the way to one */
};

/* Which paths a view shows. */
struct herd_view_set {
	struct herd_view_path *v;	/* by path */
	uint32_t *by_parent;		/* indices of v, by parent, then path */
	size_t n;
};

enum { HERD_SET_DEVIANT, HERD_SET_HERD, HERD_SET_VOLATILE, HERD_SET_SUPPRESSED,
       HERD_SET_MAX };

struct herd_judged {
	struct herd_cached cached;
	struct herd_finding *findings;
	size_t n;
	struct herd_view_set sets[HERD_SET_MAX];
};

struct herd_delta_own {
	uint32_t path;
	bool absent;
};
struct herd_delta_added {
	uint32_t parent, path;
};

/* Where an instance differs from the reference. */
struct herd_delta {
	struct herd_cached cached;
	struct herd_delta_own *own;	/* by path */
	size_t n_own;
	struct herd_delta_added *added;	/* by parent, then path */
	size_t n_added;
};

int herd_judged_get(struct herd_tree *t, struct herd_txn *txn,
		    struct herd_tree_instance *i, struct herd_judged **ret);
int herd_delta_get(struct herd_tree *t, struct herd_txn *txn,
		   struct herd_tree_instance *i, struct herd_delta **ret);
const struct herd_view_path *herd_view_find(const struct herd_view_set *s,
					    uint32_t path);
/* The first index in by_parent of `parent` with a path of at least `from`. */
size_t herd_view_children(const struct herd_view_set *s, uint32_t parent,
			  uint32_t from);
const struct herd_delta_own *herd_delta_find(const struct herd_delta *d,
					     uint32_t path);
size_t herd_delta_children(const struct herd_delta *d, uint32_t parent,
			   uint32_t from);
const struct herd_finding *herd_judged_find(const struct herd_judged *j,
					    uint32_t path);

/* ---- tree_path.c: one path of a view ---- */

struct herd_at {
	struct herd_tree *tree;
	uint64_t node;
	struct herd_txn *txn;	/* borrowed */
	struct herd_tree_instance *shown;	/* in whose folder it is */
	struct herd_tree_instance *holder;	/* whose image has it */
	uint32_t path;
	bool implied;		/* a directory that no record describes */
	int broken;		/* the record cannot be read: -errno */
	struct herd_entry entry;	/* borrowed from txn */
	const struct herd_finding *finding;	/* borrowed from judged, or NULL */
	struct herd_judged *judged;	/* held, or NULL */
};

/* Give back with herd_at_deinit, also after a failure. */
int herd_at_init(struct herd_at *at, struct herd_tree *t, struct herd_txn *txn,
		 uint64_t node);
void herd_at_deinit(struct herd_at *at);
#define CLEANUP_AT CLEANUP(herd_at_deinit)

int herd_path_lookup(struct herd_tree *t, uint64_t dir, const char *name,
		     uint64_t *ret_node, struct stat *ret_st);
int herd_path_getattr(struct herd_tree *t, uint64_t node, struct stat *ret);
int herd_path_readdir(struct herd_tree *t, uint64_t dir,
		      const struct herd_tree_emit *emit);
/* How many names lead from disk/ to it; 0 for disk/ itself. */
int herd_path_depth(struct herd_txn *txn, uint32_t path, unsigned *ret);
/* The link's target as shown, appended. depth: of the link's directory. */
int herd_path_target(const struct herd_at *at, unsigned depth,
		     struct herd_buf *out);

/* ---- tree_files.c ---- */

struct herd_blob {
	struct herd_cached cached;
	struct herd_buf buf;
};
bool herd_file_is_generated(uint64_t node);
int herd_file_get(struct herd_tree *t, uint64_t node, struct herd_blob **ret);

/* ---- tree_content.c ---- */

/* A buffer of this thread's, until it asks again. NULL: no memory. */
uint8_t *herd_tree_buffer(size_t size);
/* What programs are told: they know no damaged record and no missing block. */
static inline int herd_tree_as_told(int err)
{
	return err == -EBADMSG || err == -EREMOTEIO ? -EIO : err;
}

/* ---- tree_memory.c, tree_memory_read.c: memory/, and memory.raw ---- */

int herd_memory_lookup(struct herd_tree *t, uint64_t dir, const char *name,
		       uint64_t *ret);
int herd_memory_getattr(struct herd_tree *t, uint64_t node, struct stat *ret);
int herd_memory_readdir(struct herd_tree *t, uint64_t dir,
			const struct herd_tree_emit *emit);
int herd_memory_read(struct herd_tree *t, uint64_t node, uint64_t off,
		     size_t len,
		     int (*fn)(void *arg, const struct iovec *iov, int n),
		     void *arg);
int herd_memory_seek(struct herd_tree *t, uint64_t node, uint64_t off,
		     bool hole, uint64_t *ret);
/* memory.raw: its node is that of an item of the instance. */
bool herd_memory_is_raw(uint64_t node);
int herd_memory_stat_raw(struct herd_tree *t, uint64_t node, struct stat *ret);
int herd_memory_read_raw(struct herd_tree *t, uint64_t node, uint64_t off,
			 size_t len,
			 int (*fn)(void *arg, const struct iovec *iov, int n),
			 void *arg);
int herd_memory_seek_raw(struct herd_tree *t, uint64_t node, uint64_t off,
			 bool hole, uint64_t *ret);

/* ---- tree_disk.c ---- */

/* disk: its number, or HERD_DISK_MEMORY, here and below. */
int herd_disk_get(struct herd_tree *t, struct herd_tree_instance *i,
		  uint32_t disk, struct herd_tree_source **ret);
void herd_disk_put(struct herd_tree_source *s);
/*
 * What is known of a disk without looking: whether it failed, and whether that
 * is for good. What lies in AWS may be had the next time.
 */
enum herd_disk_standing { HERD_DISK_STANDS, HERD_DISK_AWAY, HERD_DISK_GONE };
enum herd_disk_standing herd_disk_standing(struct herd_tree_instance *i,
					   uint32_t disk);
bool herd_disk_is_remote(const struct herd_tree_instance *i, uint32_t disk);
/*
 * Around a read of len bytes: says when it may take long, because of what it
 * is or because others did lately.
 */
int64_t herd_disk_before(struct herd_tree *t, struct herd_tree_instance *i,
			 uint32_t disk, const struct herd_tree_source *s,
			 size_t len);
void herd_disk_after(struct herd_tree_instance *i, uint32_t disk,
		     int64_t before);
/*
 * Reading from `used` failed with err, which gets noted. True: it is worth
 * trying again with what herd_disk_get gives now.
 */
bool herd_disk_failed(struct herd_tree *t, struct herd_tree_instance *i,
		      uint32_t disk, struct herd_tree_source *used, int err,
		      const struct herd_diag *diag);
/* The reader of a volume, locked. herd_disk_unlock_volume afterwards. */
int herd_disk_lock_volume(struct herd_tree_instance *i, uint32_t volume,
			  struct herd_tree_source *disk,
			  struct herd_tree_volume **ret,
			  struct herd_diag *diag);
void herd_disk_unlock_volume(struct herd_tree_volume *v);
int herd_disk_init_instance(struct herd_tree_instance *i);
void herd_disk_deinit_instance(struct herd_tree_instance *i);

#endif
