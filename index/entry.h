/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One path of one instance as it is kept in the store: everything the mount
 * needs to show and read the file without parsing its file system again.
 * docs/FORMAT.md has the bytes. Decoding yields a view that borrows them;
 * they are untrusted like any other input. Values; no threads.
 */
#ifndef HERD_ENTRY_H
#define HERD_ENTRY_H

#include "acquire/base/buf.h"
#include "index/volume.h"

enum herd_digest_kind {
	HERD_DIGEST_NONE,	/* not a regular file or link */
	HERD_DIGEST_SHA256,	/* of all bytes; of a link its target */
	/*
	 * A file with more than HERD_SPARSE_HOLES bytes of holes: SHA-256 over
	 * size (le64), then for each 4 KiB block that is not all zeros its
	 * index (le64) and its bytes (the last one as long as it is). The same
	 * whether zeros are holes or written. Never shown as a plain SHA-256.
	 */
	HERD_DIGEST_SPARSE,
	HERD_DIGEST_UNREADABLE,	/* content could not be had */
	HERD_DIGEST_MAX
};
#define HERD_SPARSE_HOLES (4ull << 30)

struct herd_entry {
	bool absent;		/* the reference has this path, this instance
				   lacks it; nothing else is set */
	uint32_t volume;	/* index into the instance's volumes */
	uint64_t ino;
	uint32_t mode, uid, gid, nlink;
	uint64_t size;
	uint32_t rdev_major, rdev_minor;
	struct herd_time atime, mtime, ctime, btime;
	enum herd_content content;
	enum herd_digest_kind digest_kind;
	uint8_t digest[32];
	uint8_t xattr_digest[32];	/* zeros: none */
	/* borrowed, encoded; use the functions below */
	const void *runs, *xattrs;
	size_t runs_len, n_runs, xattrs_len, n_xattrs;
	/* borrowed: inline content or link target; text */
	const void *bytes;
	size_t n_bytes;
	const char *problem;	/* not terminated; NULL when none */
	size_t n_problem;
};

/*
 * What an inode becomes; the same inode gives the same bytes. digest may be
 * NULL for HERD_DIGEST_NONE/UNREADABLE. -EBADMSG runs that are out of order,
 * overlap or are empty; -EOVERFLOW beyond the limits of index/volume.h, or an
 * inline file whose bytes are fewer than its size is -EBADMSG: nothing that
 * could not be decoded is made. On error *out holds a broken piece.
 */
int herd_entry_encode(const struct herd_inode *inode, uint32_t volume,
		      enum herd_digest_kind kind, const uint8_t *digest,
		      struct herd_buf *out);
int herd_entry_encode_absent(struct herd_buf *out);
/* -EBADMSG on anything out of bounds. Checks runs and xattrs to their ends. */
int herd_entry_decode(const void *bytes, size_t len, struct herd_entry *ret);

/* Iterates runs in order; false at the end. Fields belong to the iterator. */
struct herd_run_iter {
	const void *p;
	size_t left, todo;
	uint64_t logical, phys;	/* ends of the run before, in units */
	unsigned shift;		/* a unit is 1 << shift bytes */
	uint32_t slack;		/* what the last run lacks of a unit */
};
void herd_entry_runs(const struct herd_entry *e, struct herd_run_iter *it);
bool herd_entry_run_next(struct herd_run_iter *it, struct herd_run *ret);

/* The i-th attribute, borrowed; false past the end. */
bool herd_entry_xattr(const struct herd_entry *e, size_t i, const char **name,
		      size_t *name_len, const void **value, size_t *len);

#endif
