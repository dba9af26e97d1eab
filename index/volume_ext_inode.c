/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An inode of ext2/3/4 as struct herd_inode: attributes, times, link target,
 * and content in whichever way it is held.
 *
 * Threads: as the volume.
 */
#include "index/volume_ext.h"

#include <stdarg.h>
#include <stdio.h>
#include <sys/stat.h>

#define NSEC_MAX 999999999u
#define PROBLEM_MAX 2048	/* bytes of all that is said of one inode */

/* ---- problems ---- */

void herd_ext_problem(struct herd_ext *ext, struct herd_inode *inode,
		      const char *fmt, ...)
{
	size_t have = inode->problem ? strlen(inode->problem) : 0;
	char text[512];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	herd_text_clean(text);
	if (have + strlen(text) + 3 > PROBLEM_MAX)
		return;
	char *all = realloc(inode->problem, have + strlen(text) + 3);

	if (!all) {
		ext->no_memory = true;
		return;
	}
	sprintf(all + have, "%s%s", have ? "; " : "", text);
	inode->problem = all;
}

void herd_ext_problem_diag(struct herd_ext *ext, struct herd_inode *inode,
			   int err, const struct herd_diag *diag)
{
	struct herd_diag copy = *diag;
	char text[1024];

	if (err == -ENOMEM)
		ext->no_memory = true;
	copy.source[0] = '\0';	/* who shows it names the volume */
	herd_ext_problem(ext, inode, "%s",
			 herd_diag_format(&copy, err, text, sizeof(text)));
}

/* ---- the record ---- */

static uint64_t record_at(const struct herd_ext *ext, uint32_t ino)
{
	uint32_t per = ext->fs->super->s_inodes_per_group;
	uint64_t table = ext2fs_inode_table_loc(ext->fs, (ino - 1) / per);

	return table * ext->fs->blocksize +
	       (uint64_t)((ino - 1) % per) * ext->inode_size;
}

/* Bytes past the first 128 that hold fields, as the kernel counts them. */
static uint32_t extra_size(const struct herd_ext *ext,
			   const struct ext2_inode_large *raw)
{
	uint32_t room = (uint32_t)ext->inode_size - EXT2_GOOD_OLD_INODE_SIZE;

	if (!room)
		return 0;
	if (!raw->i_extra_isize)
		return sizeof(*raw) - EXT2_GOOD_OLD_INODE_SIZE <= room
			? sizeof(*raw) - EXT2_GOOD_OLD_INODE_SIZE : room;
	return raw->i_extra_isize <= room && !(raw->i_extra_isize & 3)
		? raw->i_extra_isize : 0;
}

int herd_ext_load(struct herd_ext *ext, uint64_t ino, uint8_t *buf,
		  struct herd_ext_inode *ret, struct herd_diag *diag)
{
	struct ext2_inode_large *raw = (void *)buf;
	char what[64];

	if (!ino || ino > ext->fs->super->s_inodes_count)
		return herd_diag_set(diag, -EBADMSG, herd_ext_name(ext),
				     HERD_NO_OFFSET, "there is no inode %llu",
				     (unsigned long long)ino);
	errcode_t code = ext2fs_read_inode2(ext->fs, (ext2_ino_t)ino,
					    (struct ext2_inode *)buf,
					    (int)ext->inode_size, 0);

	/* or libext2fs keeps what it read in its cache, as another inode's */
	if (code)
		ext2fs_flush_icache(ext->fs);
	if (code && code != EXT2_ET_INODE_CSUM_INVALID) {
		snprintf(what, sizeof(what), "inode %llu",
			 (unsigned long long)ino);
		int err = herd_ext_error(ext->fs, herd_ext_name(ext), code,
					 record_at(ext, (uint32_t)ino), what,
					 diag);

		return err ? err : -EIO;
	}
	*ret = (struct herd_ext_inode){
		.ino = (uint32_t)ino, .raw = raw, .bytes = buf,
		.at = record_at(ext, (uint32_t)ino), .flags = raw->i_flags,
		.size = raw->i_size, .extra = extra_size(ext, raw),
		.bad_checksum = code != 0,
	};
	if (S_ISREG(raw->i_mode) || ext2fs_has_feature_largedir(ext->fs->super))
		ret->size |= (uint64_t)raw->i_size_high << 32;
	return 0;
}

/* ---- attributes ---- */

/*
 * Seconds are signed and 32 bits wide; where there is room, two more bits
 * count the times they went round, and 30 bits hold nanoseconds.
 */
static struct herd_time get_time(const struct herd_ext_inode *in,
				 uint32_t seconds, size_t extra_at)
{
	struct herd_time t = { .sec = (int32_t)seconds };
	struct herd_cursor c = herd_cursor(in->bytes,
				EXT2_GOOD_OLD_INODE_SIZE + in->extra);

	herd_cur_seek(&c, extra_at);
	uint32_t extra = herd_cur_le32(&c);

	if (c.bad)
		return t;
	t.sec += (int64_t)(extra & 3) << 32;
	t.nsec = extra >> 2 <= NSEC_MAX ? extra >> 2 : NSEC_MAX;
	return t;
}

static void get_times(const struct herd_ext_inode *in, struct herd_inode *out)
{
	const struct ext2_inode_large *raw = in->raw;
	size_t born = offsetof(struct ext2_inode_large, i_crtime);

	out->atime = get_time(in, raw->i_atime,
			      offsetof(struct ext2_inode_large, i_atime_extra));
	out->mtime = get_time(in, raw->i_mtime,
			      offsetof(struct ext2_inode_large, i_mtime_extra));
	out->ctime = get_time(in, raw->i_ctime,
			      offsetof(struct ext2_inode_large, i_ctime_extra));
	if (EXT2_GOOD_OLD_INODE_SIZE + in->extra >= born + 4)
		out->btime = get_time(in, raw->i_crtime, born + 4);
}

/* Two encodings: 8 bits each in the first word, else 12 and 20 in the next. */
static void get_device(const struct herd_ext_inode *in, struct herd_inode *out)
{
	uint32_t old = in->raw->i_block[0], v = in->raw->i_block[1];

	if (old) {
		out->rdev_major = old >> 8 & 0xff;
		out->rdev_minor = old & 0xff;
	} else {
		out->rdev_major = v >> 8 & 0xfff;
		out->rdev_minor = (v & 0xff) | (v >> 12 & 0xfff00);
	}
}

static void get_attributes(struct herd_ext *ext, const struct herd_ext_inode *in,
			   struct herd_inode *out)
{
	const struct ext2_inode_large *raw = in->raw;

	out->ino = in->ino;
	out->mode = raw->i_mode;
	out->uid = raw->i_uid | (uint32_t)raw->i_uid_high << 16;
	out->gid = raw->i_gid | (uint32_t)raw->i_gid_high << 16;
	out->nlink = raw->i_links_count;
	out->size = in->size;
	get_times(in, out);
	if (in->bad_checksum)
		herd_ext_problem(ext, out, "offset %llu: checksum of inode %u does not match",
				 (unsigned long long)in->at, in->ino);
	if (!raw->i_links_count)
		herd_ext_problem(ext, out, "inode %u is deleted", in->ino);
	if (ext->inode_size > EXT2_GOOD_OLD_INODE_SIZE && !in->extra)
		herd_ext_problem(ext, out, "offset %llu: the record of inode %u has an impossible size of %u",
				 (unsigned long long)in->at, in->ino,
				 EXT2_GOOD_OLD_INODE_SIZE + raw->i_extra_isize);
	if (in->size > INT64_MAX) {
		out->size = 0;
		herd_ext_problem(ext, out, "offset %llu: inode %u has an impossible length",
				 (unsigned long long)in->at, in->ino);
	}
}

/* ---- content ---- */

static void unreadable(struct herd_inode *out)
{
	out->content = HERD_CONTENT_UNREADABLE;
	free(out->runs);
	out->runs = NULL;
	out->n_runs = 0;
}

/* The tree into runs and meta, what is wrong with it into problem. */
static int map(struct herd_ext *ext, const struct herd_ext_inode *in,
	       uint64_t limit, struct herd_inode *out)
{
	struct herd_diag diag;

	herd_diag_clear(&diag);
	int err = herd_ext_map(ext, in, limit, out, &diag);

	if (err)
		herd_ext_problem_diag(ext, out, err, &diag);
	return err;
}

/* What of an inline file is there: 60 bytes in i_block, then system.data. */
static int copy_inline(const struct herd_ext_inode *in,
		       const struct herd_ext_inline *more, uint64_t max,
		       struct herd_inode *out)
{
	size_t first = sizeof(in->raw->i_block), n = first + more->len;

	if (n > max)
		n = max;
	if (!n)
		return 0;
	uint8_t *bytes = malloc(n);

	if (!bytes)
		return -ENOMEM;
	memcpy(bytes, in->raw->i_block, n < first ? n : first);
	if (n > first)
		memcpy(bytes + first, more->data, n - first);
	out->bytes = bytes;
	out->n_bytes = n;
	return 0;
}

/*
 * A file made longer may stay inline, zeros behind its bytes. Those bytes
 * have a place on the volume like any others, so they become runs.
 */
static int inline_file(const struct herd_ext_inode *in,
		       const struct herd_ext_inline *more,
		       struct herd_inode *out)
{
	size_t first = sizeof(in->raw->i_block);

	if (in->size <= first + more->len) {
		out->content = HERD_CONTENT_INLINE;
		return copy_inline(in, more, in->size, out);
	}
	out->content = HERD_CONTENT_RUNS;
	int err = herd_ext_add_run(out, 0, in->at +
				   offsetof(struct ext2_inode_large, i_block),
				   first);

	if (!err && more->len)
		err = herd_ext_add_run(out, first, more->at, more->len);
	return err;
}

static int regular(struct herd_ext *ext, const struct herd_ext_inode *in,
		   const struct herd_ext_inline *more, struct herd_inode *out)
{
	if (in->size > INT64_MAX) {
		unreadable(out);
		return 0;
	}
	if (in->flags & EXT4_ENCRYPT_FL) {
		map(ext, in, in->size, out);
		out->content = HERD_CONTENT_UNREADABLE;
		herd_ext_problem(ext, out, "encrypted");
		return 0;
	}
	if (!in->size)
		return 0;
	if (herd_ext_is_inline(in))
		return inline_file(in, more, out);
	out->content = HERD_CONTENT_RUNS;
	if (map(ext, in, in->size, out))
		unreadable(out);
	return 0;
}

/* Fast links have no blocks but, perhaps, that of their attributes. */
static bool is_fast_link(const struct herd_ext *ext,
			 const struct herd_ext_inode *in)
{
	struct ext2_inode *raw = (struct ext2_inode *)in->raw;
	uint64_t blocks = ext2fs_get_stat_i_blocks(ext->fs, raw);
	uint64_t attrs = ext2fs_file_acl_block(ext->fs, raw)
		? EXT2_CLUSTER_SIZE(ext->fs->super) >> 9 : 0;

	return !(in->flags & EXT4_EXTENTS_FL) && blocks == attrs &&
	       in->size < sizeof(in->raw->i_block);
}

static int slow_target(struct herd_ext *ext, const struct herd_ext_inode *in,
		       struct herd_inode *out)
{
	struct herd_diag diag;

	if (map(ext, in, in->size, out))
		return 0;
	out->bytes = malloc(in->size + 1);
	if (!out->bytes)
		return -ENOMEM;
	out->content = HERD_CONTENT_RUNS;
	herd_diag_clear(&diag);
	int err = herd_content_read(ext->v.source, NULL, out, out->bytes,
				    in->size, 0, &diag);

	out->content = HERD_CONTENT_NONE;
	if (err)
		herd_ext_problem_diag(ext, out, err, &diag);
	else
		out->n_bytes = in->size;
	return 0;
}

static int link_target(struct herd_ext *ext, const struct herd_ext_inode *in,
		       const struct herd_ext_inline *more,
		       struct herd_inode *out)
{
	const struct herd_ext_inline none = { .len = 0 };
	int err;

	if (in->flags & EXT4_ENCRYPT_FL) {
		herd_ext_problem(ext, out, "encrypted");
		return 0;
	}
	if (!in->size || in->size > ext->fs->blocksize ||
	    in->size > HERD_TARGET_MAX) {
		herd_ext_problem(ext, out, "offset %llu: a link with a target of %llu bytes",
				 (unsigned long long)in->at,
				 (unsigned long long)in->size);
		return 0;
	}
	if (herd_ext_is_inline(in))
		err = copy_inline(in, more, in->size, out);
	else if (is_fast_link(ext, in))
		err = copy_inline(in, &none, in->size, out);
	else
		err = slow_target(ext, in, out);
	if (err)
		return err;
	size_t len = out->n_bytes ? strnlen(out->bytes, out->n_bytes) : 0;

	if (len < in->size && !out->problem)
		herd_ext_problem(ext, out, "the link's target ends after %zu of %llu bytes",
				 len, (unsigned long long)in->size);
	out->n_bytes = len;
	return 0;
}

/* Directories list their blocks though their content is none of its own. */
static int directory(struct herd_ext *ext, const struct herd_ext_inode *in,
		     struct herd_inode *out)
{
	if (in->flags & EXT4_ENCRYPT_FL)
		herd_ext_problem(ext, out, "encrypted: its names are shown as stored, in base64url");
	if (!herd_ext_is_inline(in))
		map(ext, in, in->size, out);
	return 0;
}

static int get_content(struct herd_ext *ext, const struct herd_ext_inode *in,
		       const struct herd_ext_inline *more,
		       struct herd_inode *out)
{
	switch (in->raw->i_mode & S_IFMT) {
	case S_IFREG:
		return regular(ext, in, more, out);
	case S_IFDIR:
		return directory(ext, in, out);
	case S_IFLNK:
		return link_target(ext, in, more, out);
	case S_IFCHR:
	case S_IFBLK:
		get_device(in, out);
		return 0;
	case S_IFIFO:
	case S_IFSOCK:
		return 0;
	default:
		herd_ext_problem(ext, out, "offset %llu: inode %u has an impossible mode of 0%o",
				 (unsigned long long)in->at, in->ino,
				 in->raw->i_mode);
		return 0;
	}
}

int herd_ext_inode(struct herd_volume *v, uint64_t ino, struct herd_inode *ret,
		   struct herd_diag *diag)
{
	struct herd_inode out CLEANUP(herd_inode_deinit) = { 0 };
	struct herd_ext *ext = herd_ext_of(v);
	struct herd_ext_inline more = { .len = 0 };
	struct herd_ext_inode in;
	int err = herd_ext_load(ext, ino, ext->record, &in, diag);

	if (err)
		return err;
	if (!in.raw->i_mode)
		return herd_diag_set(diag, -EBADMSG, herd_ext_name(ext), in.at,
				     "inode %u is not in use", in.ino);
	ext->no_memory = false;
	get_attributes(ext, &in, &out);
	err = herd_ext_xattrs(ext, &in, &out, &more);
	if (!err)
		err = get_content(ext, &in, &more, &out);
	if (!err && ext->no_memory)
		err = -ENOMEM;
	if (err)
		return err;
	*ret = out;
	out = (struct herd_inode){ 0 };
	return 0;
}
