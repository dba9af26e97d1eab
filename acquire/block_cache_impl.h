/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the parts of the block cache share. acquire/block_cache.h is the
 * contract; docs/FORMAT.md describes the files.
 *
 * Threads: a cache is immutable but for its counters (atomic) and its folder
 * for temporary files (made once, below `mutex`). What is shared with other
 * processes is locked with flock on a descriptor opened for it each time,
 * which keeps threads apart as well. Order of the locks: mutex, HERD_BC_EVICT,
 * HERD_BC_LOCK. None is held while contents are read or written.
 */
#ifndef HERD_BLOCK_CACHE_IMPL_H
#define HERD_BLOCK_CACHE_IMPL_H

#include "acquire/base/buf.h"
#include "acquire/block_cache.h"

#include <pthread.h>
#include <stdatomic.h>
#include <sys/stat.h>
#include <sys/types.h>

#define HERD_BC_VERSION "herdfs block cache 1\n"
#define HERD_BC_LOCK "lock"	   /* usage, names put into place */
#define HERD_BC_EVICT "evict.lock" /* one evicts at a time */
#define HERD_BC_USAGE "usage"
#define HERD_BC_DIGESTS "digests"
#define HERD_BC_LIST "list"
#define HERD_BC_NOTE "note"

#define HERD_BC_INDEXES (1u << 27) /* 64 TiB in blocks of 512 KiB */
#define HERD_BC_VOLUME_MAX (1ull << 46)
#define HERD_BC_TOKEN_MAX 512
#define HERD_BC_LIST_MAX (1ull << 31) /* bytes of a list's file */
#define HERD_BC_PIECE 4096u	      /* smallest hole left in a content */
#define HERD_BC_DAMAGED_KEPT 32u      /* files in damaged/ */
#define HERD_BC_STAMP_S 60	      /* a use is written down this often */
#define HERD_BC_HEX (2 * HERD_SHA256_LEN)
#define HERD_BC_NAME_MAX 65 /* of a snapshot, with "snap-" or "s3-" */

struct herd_block_cache {
	char *path; /* for messages */
	uint64_t limit;
	bool read_only; /* the disk is */
	pid_t owner;
	int root, contents, snapshots, tmp, damaged; /* folders */

	pthread_mutex_t mutex;
	int own;	   /* mutex: tmp/<own_name>; -1: not yet */
	int own_lock;	   /* mutex: held as long as we live */
	char own_name[40]; /* mutex */

	atomic_bool miscounted; /* usage could not be written */
	atomic_uint next_temp;
	atomic_uint_least64_t hits, misses, evicted, n_damaged;
};

/* ---- block_cache_open.c ---- */

/* The folder for this process's temporary files; made at the first use. */
int herd_bc_own(struct herd_block_cache *c, int *ret_fd);
/* A new folder in parent is 0700, whatever the umask. -EEXIST is 0. */
int herd_bc_make_dir(int parent, const char *name);

/* ---- block_cache_files.c ---- */

/* One line for a failure of a file in the cache. Returns err. */
int herd_bc_failed(const struct herd_block_cache *c, int err, const char *name,
		   struct herd_diag *diag);
/* A full disk has more than one name: -ENOSPC for all of them. */
int herd_bc_errno(void);
bool herd_bc_snapshot_ok(const char *snapshot);

/* Waits for an exclusive lock; closing the descriptor gives it back. */
int herd_bc_lock(const struct herd_block_cache *c, const char *name,
		 int *ret_fd);

/*
 * Opened without following a link. -EBADMSG: something else stands there, and
 * ret_st says what.
 */
int herd_bc_open_dir(int parent, const char *name, int *ret_fd,
		     struct stat *ret_st);
int herd_bc_open_file(int parent, const char *name, int flags, int *ret_fd,
		      struct stat *ret_st);
/* The number of bytes read: fewer than len at the end of the file only. */
ssize_t herd_bc_read(int fd, void *buf, size_t len, uint64_t off);
int herd_bc_write(int fd, const void *buf, size_t len, uint64_t off);

struct herd_bc_temp {
	int fd, dir;
	char name[16];
};
#define HERD_BC_TEMP_INIT  \
	{                  \
		-1, -1, "" \
	}
int herd_bc_temp_create(struct herd_block_cache *c, struct herd_bc_temp *t);
/* Closes it; takes its name away unless that was given up (name[0] = 0). */
void herd_bc_temp_deinit(struct herd_bc_temp *t);

/* Puts a whole file into place, instead of what was there. */
int herd_bc_replace(struct herd_block_cache *c, int dir, const char *name,
		    const void *data, size_t len);
/*
 * Takes what is damaged out of the way, into damaged/, and counts it. What is
 * no longer the file that was seen (somebody put a new one) stays: false.
 */
bool herd_bc_set_aside(struct herd_block_cache *c, int dir, const char *name,
		       const struct stat *seen, const char *label);

/* A folder of snapshots/. -ENOENT: there is none, and make is false. */
int herd_bc_snapshot_dir(struct herd_block_cache *c, const char *snapshot,
			 bool make, int *ret_fd);
/* The same for the folder of contents/ that a digest belongs into. */
int herd_bc_content_dir(struct herd_block_cache *c, const char *hex, bool make,
			int *ret_fd);

/* ---- block_cache_slot.c: the digests file of a snapshot ---- */

int herd_bc_slot_put(struct herd_block_cache *c, const char *snapshot,
		     uint32_t index, const uint8_t sha256[HERD_SHA256_LEN],
		     uint32_t len, struct herd_diag *diag);
/* -ENOENT; -EBADMSG: it was damaged, and is empty now. */
int herd_bc_slot_get(struct herd_block_cache *c, const char *snapshot,
		     uint32_t index, uint8_t ret_sha256[HERD_SHA256_LEN],
		     uint32_t *ret_len, struct herd_diag *diag);

/* ---- block_cache_evict.c: how much there is ---- */

struct herd_bc_usage {
	uint64_t bytes, contents;
	bool clean; /* nobody was writing when it was written */
};
/* HERD_BC_LOCK must be held. -EBADMSG: none that can be trusted. */
int herd_bc_usage_read(const struct herd_block_cache *c,
		       struct herd_bc_usage *ret);
int herd_bc_usage_write(const struct herd_block_cache *c,
			const struct herd_bc_usage *u);
/* Counts what is there. HERD_BC_LOCK must be held. */
int herd_bc_recount(const struct herd_block_cache *c,
		    struct herd_bc_usage *ret);

/* What a content takes off the limit. */
uint64_t herd_bc_cost(const struct stat *st);
/* Counts a content of so many bytes before it is written, and evicts others
   for it. -ENOSPC: there is no room to be made. */
int herd_bc_reserve(struct herd_block_cache *c, uint64_t cost);
/* It was not written after all, or is gone. */
void herd_bc_release(struct herd_block_cache *c, uint64_t cost,
		     uint64_t contents);

/* ---- block_cache_list.c ---- */

/*
 * The files of lists, in memory. Pure. Encoding checks what it is given:
 * -EINVAL. Decoding: -EBADMSG for whatever encoding would not have written
 * for these names; nothing is allocated that the bytes do not account for.
 */
int herd_block_list_encode(const struct herd_block_list *l,
			   const char *snapshot, struct herd_buf *ret);
int herd_block_list_decode(const void *data, size_t len, const char *snapshot,
			   struct herd_block_list *ret, struct herd_diag *diag);
int herd_block_changed_encode(const uint32_t *indexes, size_t n,
			      const char *first, const char *second,
			      struct herd_buf *ret);
int herd_block_changed_decode(const void *data, size_t len, const char *first,
			      const char *second, uint32_t **ret_indexes,
			      size_t *ret_n, struct herd_diag *diag);

#endif
