/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Shared by machine_path.c (names) and machine_files.c (inodes, one of each).
 *
 * Threads: of one thread.
 */
#ifndef HERD_MACHINE_PATH_H
#define HERD_MACHINE_PATH_H

#include "index/memory/machine_internal.h"
#include "index/memory/machine_walk.h"

#define HERD_PATH_STRUCT_MAX 1024u	/* bytes of a dentry, an inode, a file */

struct herd_name_types {
	struct herd_field d_parent, d_name, d_len, d_pprev, d_inode, d_op,
		d_dname;
	struct herd_field d_sb, mnt_sb;
	struct herd_field mnt, mnt_parent, mnt_mountpoint, mnt_root;
	struct herd_field f_mnt, f_dentry, f_inode, f_mode, user_mnt,
		user_dentry, backing;
	struct herd_field i_ino, i_mode, i_uid, i_gid, i_nlink, i_size, i_sb,
		i_private, mtime, mtime_nsec, ctime, ctime_nsec;
	struct herd_field s_dev, s_type, fs_name, ns_ops, ns_name;
	struct herd_field fs, fs_root_mnt, fs_root_dentry, child_reaper;
};

/* What a dentry's own d_dname makes of it. */
enum herd_dname { DNAME_NONE, DNAME_SIMPLE, DNAME_PIPE, DNAME_SOCKET, DNAME_ANON,
	     DNAME_NS, DNAME_PIDFD, DNAME_OTHER };

struct file_key {
	uint64_t inode, mnt, dentry;
	uint32_t file;
};
struct super {
	uint32_t dev;
	char name[32];
};

struct herd_reader_files {
	struct herd_name_types t;
	uint32_t dentry_size, inode_size, file_size;
	bool known;		/* this kernel has all that names need */
	bool rooted;
	/* What a hostile image may still cost, all files together. */
	size_t steps_left;	/* of paths: names and mounts */
	size_t text_left;	/* bytes of names that are kept */
	uint64_t root_mnt, root_dentry;
	struct herd_seen_map keys;	/* of file_key, mixed → index of key_v */
	struct file_key *key_v;
	size_t n_keys, cap_keys;
	struct herd_seen_map inodes;	/* inode → an mfile that is it */
	struct alias {
		uint32_t next;	/* another mfile of that inode */
		uint64_t shown;	/* the inode whose numbers it has */
	} *alias;		/* by mfile */
	size_t cap_alias;
	struct herd_seen_map supers;	/* super_block → index of super_v */
	struct super *super_v;
	size_t n_supers, cap_supers;
	struct herd_seen_map ops;	/* dentry_operations → enum herd_dname */
};

/* A path being put together from its end. */
struct herd_name_text {
	char buf[HERD_MACHINE_PATH_MAX + 1];
	size_t at;
	bool deleted;
	enum herd_dname dname;
};

/* As d_path, but that " (deleted)" is ret->deleted. The text is ret->buf +
   ret->at; on an error what there is of it. */
int herd_name_text(struct herd_reader *r, uint64_t mnt, uint64_t dentry,
		   struct herd_name_text *ret);
/* A field of a struct at base; 0 when it is not to be had. */
uint64_t herd_name_get(struct herd_reader *r, uint64_t base,
		       const struct herd_field *f);
/* path, " (deleted)" behind it; malloced. -EOVERFLOW: enough names. */
int herd_name_copy(struct herd_reader *r, const char *path, bool deleted,
		   char **ret);

#endif
