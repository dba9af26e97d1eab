/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A file system inside a source, read-only: the seam between what the bytes
 * mean on disk (libext2fs for ext2/3/4, libtsk for NTFS and FAT/exFAT) and
 * everything above. Readers give names and inodes; they know nothing of
 * instances, stores or verdicts.
 *
 * Threads: a volume belongs to one thread at a time. Open one a thread; the
 * source below may be shared.
 */
#ifndef HERD_VOLUME_H
#define HERD_VOLUME_H

#include "acquire/source.h"

/* Limits on what a volume may ask of us; beyond them -EOVERFLOW, counted. */
#define HERD_NAME_MAX 1024		/* bytes: 255 UTF-16 units as UTF-8 */
#define HERD_TARGET_MAX 65536		/* link target, bytes */
#define HERD_XATTR_BYTES_MAX (1u << 20)	/* of one inode, names and values */
#define HERD_RUNS_MAX (1u << 22)	/* extents of one file */

struct herd_time {
	int64_t sec;		/* since 1970, UTC */
	uint32_t nsec;
};

/* Where bytes of a file lie. All in bytes; phys counts from the volume's start. */
struct herd_run {
	uint64_t logical, phys, len;
};

enum herd_content {
	HERD_CONTENT_NONE,	/* nothing: empty, or not a regular file */
	HERD_CONTENT_RUNS,	/* in runs; what no run covers is zeros */
	HERD_CONTENT_INLINE,	/* held in the record itself */
	HERD_CONTENT_READER,	/* only the reader can give it (compressed) */
	HERD_CONTENT_UNREADABLE,/* cannot be had; `problem` says why */
	HERD_CONTENT_MAX
};

struct herd_xattr {
	char *name;		/* with its namespace: "security.capability" */
	void *value;
	size_t len;
};

/* What one inode says. Everything it points to is owned by it. */
struct herd_inode {
	uint64_t ino;
	uint32_t mode;		/* type and permissions, as in st_mode */
	uint32_t uid, gid, nlink;
	uint64_t size;		/* bytes */
	uint32_t rdev_major, rdev_minor;
	struct herd_time atime, mtime, ctime, btime;	/* btime 0: unknown */
	enum herd_content content;
	/* sorted by logical; unwritten ones left out. Directories, and links
	   whose target lies in a block, have content NONE and yet runs: the
	   blocks in which a change has to be noticed */
	struct herd_run *runs;
	size_t n_runs;
	void *bytes;		/* inline content, or the link's target */
	size_t n_bytes;
	struct herd_xattr *xattrs;	/* sorted by name */
	size_t n_xattrs;
	/* blocks that hold metadata of this inode outside the inode table:
	   extent tree, indirect blocks, attributes; logical is 0 */
	struct herd_run *meta;
	size_t n_meta;
	char *problem;		/* what could not be read of it, or NULL */
};

void herd_inode_deinit(struct herd_inode *inode);

enum herd_feature {
	/* inodes_in() is there, and every block that an inode depends on
	   is in its runs or meta: a sibling can be read by what changed */
	HERD_VOLUME_INCREMENTAL = 1,
};

struct herd_volume;

struct herd_volume_ops {
	const char *name;	/* "libext2fs", "libtsk": the reader */
	/*
	 * Calls fn for every name in directory ino except "." and "..".
	 * Names are bytes, neither NUL nor '/' in them (a name that has one
	 * is reported through `problem` of the directory, not passed on).
	 * fn returning non-zero ends it and is returned. An error part way:
	 * names already found have been given, the error says where.
	 */
	int (*readdir)(struct herd_volume *v, uint64_t ino,
		       int (*fn)(void *arg, const char *name, size_t len,
				 uint64_t ino, unsigned char type /* DT_*, or
				 DT_UNKNOWN */), void *arg,
		       struct herd_diag *diag);
	/* Fills *ret (deinit by the caller). Partly readable: 0 with problem. */
	int (*inode)(struct herd_volume *v, uint64_t ino, struct herd_inode *ret,
		     struct herd_diag *diag);
	/* HERD_CONTENT_READER only: bytes of the file, exactly len. May be NULL. */
	int (*read)(struct herd_volume *v, uint64_t ino, void *buf, size_t len,
		    uint64_t off, struct herd_diag *diag);
	/* HERD_VOLUME_INCREMENTAL: fn for each inode whose record in the
	   inode table lies in one of the ranges (bytes of the volume). */
	int (*inodes_in)(struct herd_volume *v, const struct herd_extents *e,
			 int (*fn)(void *arg, uint64_t ino), void *arg,
			 struct herd_diag *diag);
	/* May be NULL. Where what a walk through all of it needs lies, apart
	   from directories: the parts of inode tables that are in use. */
	int (*tables)(struct herd_volume *v, struct herd_extents *ret);
	void (*destroy)(struct herd_volume *v);
};

struct herd_volume {
	const struct herd_volume_ops *ops;
	struct herd_source *source;	/* the volume's bytes; borrowed */
	char fs[16];		/* "ext4", "ntfs", "fat32", "exfat" … */
	unsigned features;	/* enum herd_feature */
	uint64_t root_ino;
	uint32_t block_size;	/* bytes */
	char uuid[40];		/* as fstab and blkid write it, or "" */
	char label[256];	/* or "" */
	/* two volumes with equal geometry keep the same inode in the same
	   place: digest of all that decides that */
	uint8_t geometry[32];
	char note[256];		/* what the reader should be told about the
				   whole volume ("journal not replayed"), or "" */
};

/*
 * Recognises and opens the file system that fills source (borrowed, must
 * outlive the volume). -EOPNOTSUPP names what was found ("XFS", "LVM2
 * physical volume", "LUKS", "swap", …) at which offset; -ENODATA when the
 * range holds nothing recognisable.
 */
int herd_volume_open(struct herd_source *source, struct herd_volume **ret,
		     struct herd_diag *diag);
void herd_volume_destroy(struct herd_volume *v);

/*
 * What tells a volume of one instance from its sibling's at the same place:
 * SHA-256 of the first 128 KiB of [start, start+len) of a disk. There lie the
 * superblock with its times and counters and the group descriptors, which
 * change whenever a file system is used. A block device has no times of its
 * own, and another snapshot may be attached under its name.
 */
int herd_volume_head(struct herd_source *disk, uint64_t start, uint64_t len,
		     uint8_t ret[32], struct herd_diag *diag);

/* The two readers; herd_volume_open chooses. -ENODATA: not theirs. */
int herd_volume_open_ext(struct herd_source *source, struct herd_volume **ret,
			 struct herd_diag *diag);
int herd_volume_open_tsk(struct herd_source *source, struct herd_volume **ret,
			 struct herd_diag *diag);

/* ---- partitions ---- */

struct herd_partition {
	unsigned number;	/* as the kernel counts them; 0: whole disk */
	uint64_t start, len;	/* bytes */
	char uuid[40];		/* GPT unique GUID, or MBR "xxxxxxxx-NN"; "" */
	char label[120];	/* GPT name as UTF-8, or "" */
	char type[48];		/* what the table calls it, for messages */
};
#define HERD_PARTITIONS_MAX 256

/*
 * The partitions of a disk in order of number, extended partitions resolved;
 * with no table, one entry: number 0, the whole source. A damaged primary
 * GPT is read from its backup (noted in diag with return 0).
 * *ret is malloced.
 */
int herd_partitions(struct herd_source *disk, struct herd_partition **ret,
		    size_t *ret_n, struct herd_diag *diag);

/* ---- where volumes belong in the instance's own tree ---- */

struct herd_volume_place {
	unsigned disk;		/* index of the disk of the instance */
	unsigned partition;	/* herd_partition.number */
	struct herd_volume *volume;
	const struct herd_partition *part;
	/* out: path without leading '/', "" for the root file system, or
	   ".volumes/<disk>/p<N>" when nothing says where it belongs */
	char mount[1024];
};

/*
 * Decides every `mount`: the root is the volume with /etc/fstab or an init
 * (with several, the one whose fstab names itself as "/", else the first; the
 * rest go to .volumes); others by the root's fstab (UUID, LABEL, PARTUUID,
 * PARTLABEL, device). read_file reads a small file by path from a volume
 * (at most 8 MiB; *ret malloced).
 */
int herd_layout(struct herd_volume_place *places, size_t n,
		int (*read_file)(struct herd_volume *v, const char *path,
				 char **ret, size_t *ret_len),
		struct herd_diag *diag);
/* The usual read_file: walks by readdir and inode, follows no links. */
int herd_volume_read_file(struct herd_volume *v, const char *path,
			  char **ret, size_t *ret_len);
/* The names in a directory, each with a NUL behind it, at most max bytes. */
int herd_volume_list_names(struct herd_volume *v, const char *path, size_t max,
			   char **ret, size_t *ret_len);

/*
 * Content of an inode of a volume, whichever way it is held: exactly len
 * bytes at off, which must lie within inode->size; zeros where no run is.
 * Not for HERD_CONTENT_UNREADABLE (-EIO).
 */
int herd_content_read(struct herd_source *volume_source, struct herd_volume *v,
		      const struct herd_inode *inode, void *buf, size_t len,
		      uint64_t off, struct herd_diag *diag);

#endif
