/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Blocks of snapshots, and of objects of S3, on the analyst's disk: by
 * (snapshot, index), contents shared by their digest. Outlives kill -9 and a
 * full disk; nothing is served whose SHA-256 is not what it was when it was
 * fetched. The layout is in docs/FORMAT.md. Directories 0700, files 0600,
 * symbolic links not followed.
 *
 * Threads: all functions may be called by many threads, and several processes
 * may have the same cache open.
 */
#ifndef HERD_BLOCK_CACHE_H
#define HERD_BLOCK_CACHE_H

#include "acquire/aws/block_list.h"
#include "acquire/base/buf.h"
#include "acquire/base/diag.h"
#include "acquire/base/sha256.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct herd_block_cache;

/* limit: bytes of contents to keep on the disk; 0: no limit. */
int herd_block_cache_open(const char *dir, uint64_t limit,
			  struct herd_block_cache **ret, struct herd_diag *diag);
void herd_block_cache_close(struct herd_block_cache *c);

/*
 * snapshot: "snap-" and up to 60 of [0-9a-z], or "s3-" and up to 62 of them,
 * by which an object of S3 goes here; anything else is -EINVAL.
 */
int herd_block_cache_put_list(struct herd_block_cache *c, const char *snapshot,
			      const struct herd_block_list *l,
			      struct herd_diag *diag);
/* -ENOENT: none. A damaged one is -EBADMSG, is set aside and counted. */
int herd_block_cache_get_list(struct herd_block_cache *c, const char *snapshot,
			      struct herd_block_list *ret,
			      struct herd_diag *diag);
/* The same for which blocks of second differ from first (indexes only). */
int herd_block_cache_put_changed(struct herd_block_cache *c, const char *first,
				 const char *second, const uint32_t *indexes,
				 size_t n, struct herd_diag *diag);
int herd_block_cache_get_changed(struct herd_block_cache *c, const char *first,
				 const char *second, uint32_t **ret_indexes,
				 size_t *ret_n, struct herd_diag *diag);

/* A snapshot that second is known to be compared with (the first by name);
   -ENOENT: none. ret: 66 bytes. */
int herd_block_cache_find_changed(struct herd_block_cache *c, const char *second,
				  char *ret);

/* What else is to be kept of one, as its owner writes it. ret: appended. */
#define HERD_BLOCK_NOTE_MAX 8192u
int herd_block_cache_put_note(struct herd_block_cache *c, const char *snapshot,
			      const void *bytes, size_t len,
			      struct herd_diag *diag);
int herd_block_cache_get_note(struct herd_block_cache *c, const char *snapshot,
			      struct herd_buf *ret, struct herd_diag *diag);

/*
 * bytes has the digest sha256 (checked by the caller). Crash-safe: afterwards
 * the block is there whole or not at all. -ENOSPC when the disk is full or the
 * limit is too small for anything: the caller goes on without.
 */
int herd_block_cache_put(struct herd_block_cache *c, const char *snapshot,
			 uint32_t index, const void *bytes, size_t len,
			 const uint8_t sha256[HERD_SHA256_LEN],
			 struct herd_diag *diag);
/*
 * 0: buf has the block, its digest verified. -ENOENT: not there. -EBADMSG: what
 * was there is not what was put; it is set aside as `damaged` and counted, and
 * the next call says -ENOENT. ret_sha256 may be NULL.
 */
int herd_block_cache_get(struct herd_block_cache *c, const char *snapshot,
			 uint32_t index, void *buf, size_t size, size_t *ret_len,
			 uint8_t ret_sha256[HERD_SHA256_LEN],
			 struct herd_diag *diag);
/* The digest that was put, without reading the content; -ENOENT, -EBADMSG. */
int herd_block_cache_digest(struct herd_block_cache *c, const char *snapshot,
			    uint32_t index, uint8_t ret[HERD_SHA256_LEN]);
/* Whether a content is there, under whatever index. */
bool herd_block_cache_has(struct herd_block_cache *c,
			  const uint8_t sha256[HERD_SHA256_LEN]);

struct herd_block_cache_stats {
	uint64_t bytes;		/* of contents on the disk */
	uint64_t contents, hits, misses, evicted, damaged;
};
void herd_block_cache_stats(struct herd_block_cache *c,
			    struct herd_block_cache_stats *ret);

#endif
