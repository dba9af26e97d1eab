/* SPDX-License-Identifier: Apache-2.0 */
/*
 * NTFS, as far as names, inodes and the place of content need it: bounded
 * readers for records, attributes, run lists, directory indexes and LZNT1.
 * Records may come through libtsk (index/volume_tsk.c puts its accessor in);
 * what they mean is decided here, for the reasons in docs/READERS.md.
 *
 * Threads: a struct herd_ntfs belongs to one thread at a time.
 */
#ifndef HERD_NTFS_H
#define HERD_NTFS_H

#include "acquire/base/diag.h"
#include "index/volume.h"

/* attribute types */
#define HERD_NTFS_STANDARD_INFORMATION 0x10u
#define HERD_NTFS_ATTRIBUTE_LIST 0x20u
#define HERD_NTFS_FILE_NAME 0x30u
#define HERD_NTFS_VOLUME_NAME 0x60u
#define HERD_NTFS_VOLUME_INFORMATION 0x70u
#define HERD_NTFS_DATA 0x80u
#define HERD_NTFS_INDEX_ROOT 0x90u
#define HERD_NTFS_INDEX_ALLOCATION 0xa0u
#define HERD_NTFS_BITMAP 0xb0u
#define HERD_NTFS_REPARSE_POINT 0xc0u

/* attribute flags */
#define HERD_NTFS_COMPRESSED 0x0001u
#define HERD_NTFS_ENCRYPTED 0x4000u

/* well-known records */
#define HERD_NTFS_MFT 0u
#define HERD_NTFS_VOLUME 3u
#define HERD_NTFS_ROOT 5u
#define HERD_NTFS_BADCLUS 8u

#define HERD_NTFS_RECORD_MAX 65536u
#define HERD_NTFS_HOLE UINT64_MAX

/* What the boot sector says. */
struct herd_ntfs_geometry {
	uint32_t sector, cluster, record, index; /* bytes */
	uint64_t clusters;
	uint64_t mft; /* byte offset of the first record */
	uint64_t serial;
};

/* In clusters. */
struct herd_ntfs_run {
	uint64_t vcn, lcn /* or HERD_NTFS_HOLE */, len;
};

/* One attribute of one record; borrows the record. */
struct herd_ntfs_attr {
	uint32_t type, flags;
	const uint8_t *name; /* UTF-16 */
	unsigned name_len;   /* units */
	bool resident;
	const uint8_t *value; /* resident */
	uint32_t value_len;
	uint64_t first_vcn; /* the rest: not resident */
	const uint8_t *runs;
	size_t runs_len;
	unsigned unit; /* log2 of clusters in a compression unit */
	uint64_t size, initialised;
};

/* All attributes of one type and name of an inode, put together. */
struct herd_ntfs_stream {
	uint32_t type, flags;
	uint8_t *name;
	unsigned name_len;
	bool resident, sized; /* sized: the piece with VCN 0 was seen */
	uint8_t *value;
	uint32_t value_len;
	unsigned unit;
	uint64_t size, initialised;
	struct herd_ntfs_run *runs; /* by vcn */
	size_t n_runs, cap_runs;
};

/* One inode: its base record and those its attribute list names. */
struct herd_ntfs_node {
	uint64_t number;
	unsigned names; /* names other than 8.3 aliases */
	bool directory;
	struct herd_ntfs_stream *streams;
	size_t n_streams, cap_streams;
	size_t total_runs;
	char problem[256]; /* what of it could not be had, or "" */
};

struct herd_ntfs {
	struct herd_source *source;
	struct herd_ntfs_geometry g;
	/*
	 * Record n, whole, with the update sequence applied, into buf. Set
	 * by herd_ntfs_open to herd_ntfs_record; may be replaced.
	 */
	int (*record)(struct herd_ntfs *n, uint64_t number, void *buf,
		      struct herd_diag *diag);
	void *arg; /* for a replaced accessor */
	uint64_t records;
	struct herd_ntfs_stream mft; /* where the records lie */
	/* bytes of lists, indexes and streams that may still be read: more
	   than a sound volume has, so that one in which everything points at
	   the same large thing ends soon */
	uint64_t budget;
	/* the last file that herd_ntfs_read read, and its last unit */
	struct herd_ntfs_node last;
	bool have_last, have_unit;
	uint8_t *unit;
	size_t unit_size;
	uint64_t unit_number;
};

/* -ENODATA: no NTFS boot sector. -EBADMSG: one that cannot be. */
int herd_ntfs_boot(struct herd_source *s, struct herd_ntfs_geometry *ret,
		   struct herd_diag *diag);

int herd_ntfs_open(struct herd_source *s, const struct herd_ntfs_geometry *g,
		   struct herd_ntfs *ret, struct herd_diag *diag);
void herd_ntfs_deinit(struct herd_ntfs *n);
int herd_ntfs_record(struct herd_ntfs *n, uint64_t number, void *buf,
		     struct herd_diag *diag);

/* False: the budget does not suffice. */
bool herd_ntfs_spend(struct herd_ntfs *n, uint64_t bytes);

/* Label of the volume, or "". */
void herd_ntfs_label(struct herd_ntfs *n, char *out, size_t size);

/*
 * Whether the records that libtsk reads while it opens a volume are formed
 * so that it stays inside them: 0 or -EBADMSG with the reason in diag.
 */
int herd_ntfs_safe_for_libtsk(struct herd_ntfs *n, struct herd_diag *diag);

/* ---- records (ntfs_record.c) ---- */

/* Applies the update sequence in place. -EBADMSG: torn, or not `magic`. */
int herd_ntfs_fixup(uint8_t *rec, size_t len, const char *magic);

struct herd_ntfs_walk {
	const uint8_t *rec;
	size_t len, at;
};
void herd_ntfs_walk(struct herd_ntfs_walk *w, const uint8_t *rec, size_t len);
/* 1 and *ret, 0 at the end, -EBADMSG with w->at where it broke. */
int herd_ntfs_next(struct herd_ntfs_walk *w, struct herd_ntfs_attr *ret);

/* Decodes a run list onto st; runs beyond the volume are -EBADMSG. */
int herd_ntfs_runs(const struct herd_ntfs_attr *a, uint64_t clusters,
		   size_t room, struct herd_ntfs_stream *st);

/* ---- nodes (ntfs_node.c) ---- */

int herd_ntfs_node_load(struct herd_ntfs *n, uint64_t number,
			struct herd_ntfs_node *ret, struct herd_diag *diag);
void herd_ntfs_node_deinit(struct herd_ntfs_node *node);
void herd_ntfs_stream_deinit(struct herd_ntfs_stream *st);
/* name: ASCII, "" for the nameless one; NULL when there is none. */
struct herd_ntfs_stream *herd_ntfs_stream(struct herd_ntfs_node *node,
					  uint32_t type, const char *name);
/* Runs cover all of [0, size): else what is said is not all there is. */
bool herd_ntfs_stream_whole(const struct herd_ntfs *n,
			    const struct herd_ntfs_stream *st);
/* Bytes of a stream that is neither encrypted nor compressed; zeros in holes. */
int herd_ntfs_stream_read(struct herd_ntfs *n,
			  const struct herd_ntfs_stream *st, void *buf,
			  size_t len, uint64_t off, struct herd_diag *diag);
/* The same, compressed ones too, and zeros from the initialised size on. */
int herd_ntfs_stream_bytes(struct herd_ntfs *n,
			   const struct herd_ntfs_stream *st, void *buf,
			   size_t len, uint64_t off, struct herd_diag *diag);

/* ---- what the volume reader needs (ntfs_inode.c, ntfs_dir.c) ---- */

int herd_ntfs_inode(struct herd_ntfs *n, uint64_t number,
		    struct herd_inode *ret, struct herd_diag *diag);
int herd_ntfs_read(struct herd_ntfs *n, uint64_t number, void *buf, size_t len,
		   uint64_t off, struct herd_diag *diag);
int herd_ntfs_readdir(struct herd_ntfs *n, uint64_t number,
		      int (*fn)(void *arg, const char *name, size_t len,
				uint64_t ino, unsigned char type),
		      void *arg, struct herd_diag *diag);

/*
 * LZNT1: one compression unit of `len` bytes into out (out_len bytes, the
 * rest zeroed). -EBADMSG when it does not decode.
 */
int herd_lznt1(const uint8_t *in, size_t len, uint8_t *out, size_t out_len);

#endif
