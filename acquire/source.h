/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A read-only source of bytes: the one seam between where bytes come from
 * (a raw file, a block device, E01, qcow2, later an EBS snapshot or memory)
 * and everything that reads them. Nothing here can write.
 *
 * Threads: read, map and the counters may be used by many threads at once;
 * each kind brings its own locking. open and destroy belong to one thread.
 */
#ifndef HERD_SOURCE_H
#define HERD_SOURCE_H

#include "acquire/base/diag.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* A range of bytes. */
struct herd_extent {
	uint64_t start, len;
};

/* Sorted by start, not overlapping, not touching, once normalised. */
struct herd_extents {
	struct herd_extent *v;
	size_t n, cap;
};

void herd_extents_deinit(struct herd_extents *e);
/* Appends; merges with the last one when it touches or overlaps its end. */
int herd_extents_add(struct herd_extents *e, uint64_t start, uint64_t len);
/* Sorts and merges what was added in any order. */
void herd_extents_normalise(struct herd_extents *e);
/* Whether any byte of [start, start+len) is in e. O(log n). */
bool herd_extents_overlap(const struct herd_extents *e, uint64_t start,
			  uint64_t len);
uint64_t herd_extents_bytes(const struct herd_extents *e);
/* e ∩ [start, start+len), moved so that start becomes 0. ret is emptied first. */
int herd_extents_window(const struct herd_extents *e, uint64_t start,
			uint64_t len, struct herd_extents *ret);

struct herd_source;

struct herd_source_ops {
	const char *kind;	/* "raw", "split", "nbd", "ewf", "ebs", … */
	/* A read may go over the network and cost money: such sources are never
	   compared byte by byte for want of a better way. */
	bool remote;
	/* Exactly len bytes at off, which lie within size; else -errno. */
	int (*read)(struct herd_source *s, void *buf, size_t len, uint64_t off,
		    struct herd_diag *diag);
	/*
	 * May be NULL. Bytes in memory that stay valid as long as the source
	 * does, or NULL when this range has none. They belong to a file that
	 * may shrink: hand them to write(2), which then says EFAULT, never
	 * load from them (SIGBUS).
	 */
	const void *(*map)(struct herd_source *s, uint64_t off, size_t len);
	/*
	 * May be NULL: all of it. Where the source may hold anything but
	 * zeros, without reading it. Sorted and merged.
	 */
	int (*data_extents)(struct herd_source *s, struct herd_extents *ret,
			    struct herd_diag *diag);
	/*
	 * May be NULL. A superset of the ranges in which s differs from
	 * other, found without reading content (two overlays on one backing
	 * file; EBS snapshots of one lineage). -EOPNOTSUPP when these two have
	 * no such relation: then they are compared, unless one is remote.
	 */
	int (*changed_extents)(struct herd_source *s, struct herd_source *other,
			       struct herd_extents *ret, struct herd_diag *diag);
	/* May be NULL. These ranges will be read soon. A hint: no errors. */
	void (*want)(struct herd_source *s, const struct herd_extents *e);
	/* May be NULL: nothing to do. Brings these into the local cache. */
	int (*keep)(struct herd_source *s, const struct herd_extents *e,
		    struct herd_diag *diag);
	/* May be NULL: true. Whether reading these needs no network. */
	bool (*at_hand)(struct herd_source *s, const struct herd_extents *e);
	/*
	 * May be NULL: 0. Why reads failed so far, if not for the sake of the
	 * blocks that were read: the network, the credentials or the fetcher
	 * went away. Another time they may be had.
	 */
	int (*lost)(struct herd_source *s, struct herd_diag *diag);
	void (*destroy)(struct herd_source *s);
};

struct herd_source {
	const struct herd_source_ops *ops;
	char *name;			/* for messages; owned */
	uint64_t size;			/* bytes */
	atomic_uint_fast64_t bytes_read;/* asked of read(), so far */
	bool strict;	/* once it is lost (see the ops) further reads fail at
			   once; set by who opened it, before anybody reads */
};

/*
 * Bounds-checked reading: a range that ends past the source is -EBADMSG with
 * the offset in diag, for only a corrupt structure leads there.
 */
int herd_source_read(struct herd_source *s, void *buf, size_t len, uint64_t off,
		     struct herd_diag *diag);
/* NULL when the source cannot, or the range is not inside it. */
const void *herd_source_map(struct herd_source *s, uint64_t off, size_t len);
/* See the ops of these names. */
void herd_source_want(struct herd_source *s, const struct herd_extents *e);
bool herd_source_at_hand(struct herd_source *s, const struct herd_extents *e);
int herd_source_keep(struct herd_source *s, const struct herd_extents *e,
		     struct herd_diag *diag);
int herd_source_lost(struct herd_source *s, struct herd_diag *diag);
/* Where it may hold data; all of it when it cannot tell. ret is emptied first. */
int herd_source_data(struct herd_source *s, struct herd_extents *ret,
		     struct herd_diag *diag);
void herd_source_destroy(struct herd_source *s);

/*
 * Where s differs from other, within the byte ranges of `within` (NULL: all).
 * By changed_extents when the two are related, else by comparing content in
 * units of 256 bytes, with `threads` threads, skipping what neither holds data
 * in. Bytes past the end of the shorter one differ.
 * *ret_compared: bytes that had to be compared (0 when related); may be NULL.
 */
int herd_source_diff(struct herd_source *s, struct herd_source *other,
		     const struct herd_extents *within, unsigned threads,
		     struct herd_extents *ret, uint64_t *ret_compared,
		     struct herd_diag *diag);

/*
 * As herd_source_diff, always by content. For what is left to do after it when
 * block status speaks of clusters and blocks are wanted.
 */
int herd_source_compare(struct herd_source *s, struct herd_source *other,
			const struct herd_extents *within, unsigned threads,
			struct herd_extents *ret, struct herd_diag *diag);

/*
 * parent (borrowed) with the small pieces read of it kept, for a reader that
 * asks for one block at a time where a request has its price. For one thread
 * at a time, unlike other sources.
 */
int herd_source_cached(struct herd_source *parent, struct herd_source **ret);

/* ---- images: what a user names on the command line ---- */

/* One file (or block device) of an image, and how we know it again. */
struct herd_image_file {
	char *path;		/* absolute, or "ebs:snap-…", or "s3://…", and
				   there with the version, where it has one;
				   owned */
	uint64_t size;		/* bytes; of a block device its capacity */
	int64_t mtime_sec;	/* 0 for a block device, an object */
	uint32_t mtime_nsec;
	uint8_t ends[32];	/* SHA-256 of first MiB ‖ last MiB; of an object
				   of what tells it from others (herd_s3_id) */
};

#define HERD_IMAGE_FILES_MAX 4096

struct herd_image {
	char *format;		/* "raw", "split", "ewf", "vmdk", "vhd", "qcow2",
				   "ebs", or a format that qemu reads: "vdi", …,
				   "qemu-vmdk", "qemu-qcow2"; or one of memory
				   (acquire/memory.h); see docs/SOURCES.md */
	uint64_t size;		/* of the disk inside, bytes; of memory the
				   file's */
	struct herd_image_file *files;	/* segments, or the backing chain,
					   top first; owned */
	size_t n_files;
	char *warning;		/* what herd_image_probe found amiss and read
				   on, to be told to whoever relies on it; NULL:
				   nothing. No part of its identity; owned */
};

void herd_image_deinit(struct herd_image *img);

/*
 * Finds out what path is and identifies every file it consists of: the later
 * segments of a split image or E01 set, the backing files of an overlay.
 * A backing file, extent or data file outside the directory of the image that
 * names it is refused (-EPERM) unless `backing_dir` (may be NULL) contains
 * it: a hostile image must not point at the analyst's own files.
 * format NULL: found out from content, never from the name alone.
 */
int herd_image_probe(const char *path, const char *format,
		     const char *backing_dir, struct herd_image *ret,
		     struct herd_diag *diag);

/*
 * Compares every file with what is there now. -ESTALE with one line that
 * names the file and what changed. `content` also digests the ends.
 */
int herd_image_verify(const struct herd_image *img, bool content,
		      struct herd_diag *diag);

/* Whether opening needs another process: qemu-nbd, or the fetcher. */
bool herd_image_needs_helper(const struct herd_image *img);
/* Whether it is an EBS snapshot or an object of S3: there is no file, and that
   an object is still the same, opening it tells. */
bool herd_image_is_remote(const struct herd_image *img);

/* Whether a path is meant as an object of S3: "s3://BUCKET/KEY". */
bool herd_s3_is_object(const char *path);
/* … and has the form of one. */
bool herd_s3_is_name(const char *path);

/*
 * The child: a qemu-nbd that serves img read-only on a private Unix socket,
 * confined to the files of the image. The connections are made at once, so
 * the process that uses them can be locked in afterwards.
 */
#define HERD_HELPER_CONNECTIONS 4
struct herd_helper {
	pid_t pid;
	int fds[HERD_HELPER_CONNECTIONS];	/* connected sockets, owned */
	bool strict;	/* so is what is opened by them; see herd_source */
	size_t n_fds;
	/* NULL, or: one more for each block of an object that is read for the
	   first time, for who watches whether the reader moves */
	_Atomic uint64_t *beat;
};
struct herd_fetcher;
/* fetcher: for what is remote, which is connected to it; else NULL will do. */
int herd_helper_start(const struct herd_image *img, struct herd_fetcher *fetcher,
		      struct herd_helper *ret, struct herd_diag *diag);
/*
 * Kills and reaps the child, closes what is left of the sockets. Destroy the
 * source first. (A process that is locked in may not kill; then the child ends
 * because its sockets are closed.)
 */
void herd_helper_stop(struct herd_helper *h);

/*
 * Opens img for reading. helper: as herd_helper_start gave it when one is
 * needed (its sockets are taken over; the child is not), else NULL. Does not
 * verify identity; see herd_image_verify. Needs only open(2) on the image's
 * files, so it works inside the confinement.
 */
int herd_image_open(const struct herd_image *img, struct herd_helper *helper,
		    struct herd_source **ret, struct herd_diag *diag);

/*
 * The bytes of what is remote as they are, whatever is in them, to bring them
 * into the cache: a snapshot's, or those of an object of S3. From a file of an
 * image (or with its path alone, then an object's file gets what it is).
 */
int herd_image_remote(const struct herd_image_file *f, struct herd_image *ret);
int herd_image_open_remote(struct herd_image *img, struct herd_helper *helper,
			   struct herd_source **ret, struct herd_diag *diag);

/* Memory as a source, for tests and for what is found inside an image. Copies. */
int herd_source_from_memory(const char *name, const void *bytes, size_t len,
			    struct herd_source **ret);
/*
 * [off, off+len) of parent as a source of its own (a partition). Borrows
 * parent, which must outlive it.
 */
int herd_source_window(struct herd_source *parent, const char *name,
		       uint64_t off, uint64_t len, struct herd_source **ret);

#endif
