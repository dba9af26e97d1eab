/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Hashing on all cores. Jobs go in as inodes, records come out: the thread
 * that hashed a file also encodes its entry, so that nothing large is kept
 * between reading and storing.
 *
 * Threads: push, wait and destroy belong to the thread that made the pool.
 * A record belongs to the pool from push until it is done; everything done is
 * seen by the owner after herd_hash_pool_wait returned, or through
 * herd_hash_pool_take.
 */
#ifndef HERD_HASH_POOL_H
#define HERD_HASH_POOL_H

#include "index/attach.h"

/* One inode of the instance that is being indexed. */
struct herd_rec {
	uint64_t ino;
	uint32_t volume;
	uint32_t mode;		/* 0 for a name whose inode could not be read */
	uint64_t size;
	uint8_t *encoded;	/* the entry; owned by the pool */
	uint32_t len;
	bool hashed;		/* content was read for it */
	bool inherited;		/* digest taken over from the reference */
	uint8_t digest_kind;
	uint8_t digest[32];
	bool expects;		/* its metadata says that it has this digest: */
	uint8_t expected[32];
	char *problem;		/* owned; NULL when all was readable */
};

struct herd_hash_pool;

int herd_hash_pool_create(unsigned threads, struct herd_progress *progress,
			  struct herd_hash_pool **ret);
void herd_hash_pool_destroy(struct herd_hash_pool *p);

/*
 * Hashes the content of *inode (taken over, also on error) out of source and
 * fills rec. v: only for HERD_CONTENT_READER, which is done at once, by the
 * caller's thread.
 */
int herd_hash_pool_push(struct herd_hash_pool *p, struct herd_source *source,
			struct herd_volume *v, struct herd_inode *inode,
			struct herd_rec *rec);
/* Fills rec at once with a digest that is known (or HERD_DIGEST_NONE). */
int herd_hash_pool_encode(struct herd_hash_pool *p,
			  const struct herd_inode *inode,
			  enum herd_digest_kind kind, const uint8_t *digest,
			  struct herd_rec *rec);

/*
 * Waits until all is done or `ms` have passed (negative: for ever).
 * *ret_left: bytes that still have to be hashed. The first error that is not
 * a file's own (no memory) is returned.
 */
int herd_hash_pool_wait(struct herd_hash_pool *p, int ms, uint64_t *ret_left);

/*
 * Hashed records that were not taken before, for a checkpoint: *ret malloced.
 */
int herd_hash_pool_take(struct herd_hash_pool *p, struct herd_rec ***ret,
			size_t *ret_n);

#endif
