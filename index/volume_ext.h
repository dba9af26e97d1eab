/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the parts of the ext2/3/4 reader share; nobody else includes it.
 *
 * libext2fs finds and checks: superblock, group descriptors, inode records,
 * attribute blocks, every checksum. What an inode then says (extent trees,
 * block lists, attributes, names) is decoded here, bounded, because its
 * iterators stop at the first damage and read an inode several times over.
 *
 * Threads: as a volume, one at a time.
 */
#ifndef HERD_VOLUME_EXT_H
#define HERD_VOLUME_EXT_H

#include "index/volume.h"

#include "acquire/base/cleanup.h"
#include "acquire/base/cursor.h"

#include <ext2fs/ext2fs.h>
#include <ext2fs/ext2_ext_attr.h>
#include <ext2fs/ext3_extents.h>

/* libext2fs turns records into the host's order, and we read the disk's. */
_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__,
	       "the ext reader uses records as they lie on disk");

#define HERD_EXT_DEPTH_MAX 5	/* of an extent tree */

/* The inode table of one group. */
struct herd_ext_table {
	uint64_t start;		/* byte */
	uint64_t first;		/* number of its first inode */
};

struct herd_ext {
	struct herd_volume v;
	ext2_filsys fs;
	uint64_t size;		/* bytes that both the file system and the
				   source have */
	size_t inode_size;
	struct herd_ext_table *tables;	/* sorted by start */
	size_t n_tables;
	uint64_t table_len;	/* bytes of each */

	uint8_t *record;	/* of the inode at hand, and of one that holds */
	uint8_t *ea_record;	/* an attribute of it */
	uint8_t *nodes;		/* a block for each level of a tree */
	uint8_t *attrs;		/* the attribute block read last */
	uint64_t attrs_block;	/* its number, 0: none */
	errcode_t attrs_state;	/* what libext2fs said of it */

	/*
	 * Blocks of trees, attribute values and directories that may still be
	 * read. A sound volume takes a small part of it; a made-up one, whose
	 * inodes all share one huge tree, would keep us for days.
	 */
	uint64_t tree_budget, dir_budget;
	bool no_memory;		/* a problem could not be written down */
};

/* An inode's record, with what everybody asks of it. */
struct herd_ext_inode {
	uint32_t ino;
	const struct ext2_inode_large *raw;
	const uint8_t *bytes;	/* the same, inode_size bytes */
	uint64_t at;		/* of the record, bytes of the volume */
	uint32_t flags;
	uint64_t size;
	uint32_t extra;		/* valid bytes past the first 128 */
	bool bad_checksum;
};

/* system.data: the part of an inline file that does not fit in i_block. */
struct herd_ext_inline {
	const uint8_t *data;	/* in the record */
	size_t len;
	uint64_t at;
};

static inline struct herd_ext *herd_ext_of(struct herd_volume *v)
{
	return (struct herd_ext *)v;	/* its first member */
}

static inline const char *herd_ext_name(const struct herd_ext *ext)
{
	return ext->v.source->name;
}

static inline bool herd_ext_is_inline(const struct herd_ext_inode *in)
{
	return in->flags & EXT4_INLINE_DATA_FL;
}

/* ---- volume_ext_io.c ---- */

/* Opens by way of libext2fs. superblock 0: the primary one. */
int herd_ext_fs_open(struct herd_source *source, int superblock,
		     unsigned block_size, bool ignore_checksums,
		     ext2_filsys *ret, errcode_t *ret_code,
		     struct herd_diag *diag);
/* What libext2fs returned as -errno, said in diag; at: where, if it was not
   our reading that failed. */
int herd_ext_error(ext2_filsys fs, const char *source, errcode_t code,
		   uint64_t at, const char *what, struct herd_diag *diag);
const char *herd_ext_message(errcode_t code);

/* ---- volume_ext_inode.c ---- */

/* Reads the record into buf. A bad checksum is no error, it is remembered. */
int herd_ext_load(struct herd_ext *ext, uint64_t ino, uint8_t *buf,
		  struct herd_ext_inode *ret, struct herd_diag *diag);
int herd_ext_inode(struct herd_volume *v, uint64_t ino, struct herd_inode *ret,
		   struct herd_diag *diag);
/* Appends to inode->problem. */
void herd_ext_problem(struct herd_ext *ext, struct herd_inode *inode,
		      const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
/* The same with what a diag holds, for err. */
void herd_ext_problem_diag(struct herd_ext *ext, struct herd_inode *inode,
			   int err, const struct herd_diag *diag);

/* ---- volume_ext_map.c ---- */

/*
 * Where the first `limit` bytes of in lie: runs and the blocks of the tree
 * (meta) into out. On failure out keeps what came before.
 */
int herd_ext_map(struct herd_ext *ext, const struct herd_ext_inode *in,
		 uint64_t limit, struct herd_inode *out,
		 struct herd_diag *diag);
/* Both merge with the last one where they continue it. */
int herd_ext_add_run(struct herd_inode *out, uint64_t logical, uint64_t phys,
		     uint64_t len);
int herd_ext_add_meta(struct herd_inode *out, uint64_t phys, uint64_t len);

/* ---- volume_ext_xattr.c ---- */

/*
 * Attributes of in into out, sorted; where system.data lies into *ret_inline.
 * Whatever is wrong with them becomes a problem of out. -ENOMEM alone fails.
 */
int herd_ext_xattrs(struct herd_ext *ext, const struct herd_ext_inode *in,
		    struct herd_inode *out, struct herd_ext_inline *ret_inline);
/* Only looks for system.data. */
void herd_ext_find_inline(struct herd_ext *ext, const struct herd_ext_inode *in,
			  struct herd_ext_inline *ret);

/* ---- volume_ext_dir.c ---- */

int herd_ext_readdir(struct herd_volume *v, uint64_t ino,
		     int (*fn)(void *arg, const char *name, size_t len,
			       uint64_t ino, unsigned char type), void *arg,
		     struct herd_diag *diag);

/* ---- volume_ext.c ---- */

/* As herd_volume_open_ext, but only where the primary superblock says that
   this is ext (backup false), or only from backups (true). */
int herd_ext_open(struct herd_source *source, bool backup,
		  struct herd_volume **ret, struct herd_diag *diag);

#endif
