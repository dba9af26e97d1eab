/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From an NTFS record to a struct herd_inode: times, type, content, links of
 * all kinds, and alternate data streams as "user." attributes.
 * Threads: as struct herd_ntfs, one at a time.
 */
#include "index/ntfs.h"

#include "acquire/base/cleanup.h"
#include "acquire/base/cursor.h"
#include "index/utf16.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define TAG_MOUNT_POINT 0xa0000003u
#define TAG_SYMLINK 0xa000000cu
#define TAG_LX_SYMLINK 0xa000001du
#define TAG_DEDUP 0x80000013u
#define TAG_WOF 0x80000017u
#define TAG_AF_UNIX 0x80000023u
#define TAG_LX_FIFO 0x80000024u
#define TAG_LX_CHR 0x80000025u
#define TAG_LX_BLK 0x80000026u

#define FILE_HIDDEN 0x2u
#define FILE_SYSTEM 0x4u

__attribute__((format(printf, 2, 3))) static void
complain(struct herd_inode *in, const char *fmt, ...)
{
	char text[400];
	va_list ap;

	if (in->problem)
		return;
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	in->problem = strdup(text);
}

/* 100 ns since 1601. All of the 64 bits: what lies outside 1970 to 2106 is
   as true as the rest. */
static struct herd_time nt_time(uint64_t t)
{
	int64_t ticks = (int64_t)(t - 116444736000000000ull);
	int64_t sec = ticks / 10000000, rest = ticks % 10000000;

	if (!t)
		return (struct herd_time){ 0, 0 };
	if (rest < 0) {
		rest += 10000000;
		sec--;
	}
	return (struct herd_time){ sec, (uint32_t)rest * 100 };
}

/* Times; returns the DOS attributes. */
static uint32_t standard_information(struct herd_ntfs_node *node,
				     struct herd_inode *in)
{
	struct herd_ntfs_stream *st =
		herd_ntfs_stream(node, HERD_NTFS_STANDARD_INFORMATION, "");
	struct herd_cursor c;
	uint32_t attributes;

	if (!st || !st->resident || st->value_len < 36) {
		complain(in, "no standard information: times are unknown");
		return 0;
	}
	c = herd_cursor(st->value, st->value_len);
	in->btime = nt_time(herd_cur_le64(&c));
	in->mtime = nt_time(herd_cur_le64(&c));
	in->ctime = nt_time(herd_cur_le64(&c));
	in->atime = nt_time(herd_cur_le64(&c));
	attributes = herd_cur_le32(&c);
	return attributes;
}

/* ---- content ---- */

static int add_bytes_run(struct herd_inode *in, uint64_t logical, uint64_t phys,
			 uint64_t len)
{
	struct herd_run *r = in->n_runs ? &in->runs[in->n_runs - 1] : NULL;

	if (r && r->logical + r->len == logical && r->phys + r->len == phys) {
		r->len += len;
		return 0;
	}
	/* room for all was made */
	in->runs[in->n_runs++] = (struct herd_run){ logical, phys, len };
	return 0;
}

static int content_runs(struct herd_ntfs *n, const struct herd_ntfs_stream *st,
			struct herd_inode *in)
{
	uint64_t end = st->initialised < st->size ? st->initialised : st->size;

	in->runs = calloc(st->n_runs + 1, sizeof(*in->runs));
	if (!in->runs)
		return -ENOMEM;
	in->content = HERD_CONTENT_RUNS;
	for (size_t i = 0; i < st->n_runs; i++) {
		uint64_t logical = st->runs[i].vcn * n->g.cluster;
		uint64_t len = st->runs[i].len * n->g.cluster;
		uint64_t phys = st->runs[i].lcn * n->g.cluster;

		if (logical >= end)
			break;
		if (st->runs[i].lcn == HERD_NTFS_HOLE)
			continue;
		if (len > end - logical)
			len = end - logical;
		if (phys > n->source->size || len > n->source->size - phys) {
			in->content = HERD_CONTENT_UNREADABLE;
			complain(
				in,
				"content lies beyond the end of the volume, at byte %llu",
				(unsigned long long)phys);
			in->n_runs = 0;
			return 0;
		}
		add_bytes_run(in, logical, phys, len);
	}
	return 0;
}

static int content(struct herd_ntfs *n, struct herd_ntfs_node *node,
		   struct herd_inode *in)
{
	struct herd_ntfs_stream *st =
		herd_ntfs_stream(node, HERD_NTFS_DATA, "");

	if (!st && !*node->problem)
		return 0; /* a record may have no data; it is empty */
	in->content = HERD_CONTENT_UNREADABLE;
	if (!st)
		return 0;
	in->size = st->size;
	if (st->size > INT64_MAX) {
		in->size = 0;
		complain(in, "impossible size %llu",
			 (unsigned long long)st->size);
	} else if (!herd_ntfs_stream_whole(n, st)) {
		complain(in, "its run list does not cover its size");
	} else if (st->flags & HERD_NTFS_ENCRYPTED) {
		complain(in, "encrypted (EFS)");
	} else if (!st->size) {
		in->content = HERD_CONTENT_NONE;
	} else if (st->resident) {
		in->content = HERD_CONTENT_INLINE;
		in->bytes = TAKE_PTR(st->value);
		in->n_bytes = st->value_len;
	} else if (st->flags & HERD_NTFS_COMPRESSED) {
		in->content = HERD_CONTENT_READER;
	} else {
		return content_runs(n, st, in);
	}
	return 0;
}

/* ---- links and special files ---- */

static int set_target(struct herd_inode *in, char *text, size_t len)
{
	free(in->bytes);
	free(in->runs);
	in->runs = NULL;
	in->n_runs = 0;
	in->content = HERD_CONTENT_NONE;
	in->mode = S_IFLNK | 0777;
	in->bytes = text;
	in->n_bytes = len;
	in->size = len;
	return 0;
}

/* A Windows path: the object-manager prefix goes, backslashes turn. */
static int windows_target(struct herd_inode *in, const uint8_t *units, size_t n)
{
	char *text = malloc(HERD_UTF8_MAX(n) + 1);
	size_t len;

	if (!text)
		return -ENOMEM;
	len = herd_utf16_to_bytes(units, n, text);
	if (len >= 4 && !memcmp(text, "\\??\\", 4)) {
		len -= 4;
		memmove(text, text + 4, len + 1);
	}
	for (size_t i = 0; i < len; i++)
		if (text[i] == '\\')
			text[i] = '/';
	if (!len || memchr(text, '\0', len)) {
		free(text);
		complain(in, "its link target is damaged");
		return 0;
	}
	return set_target(in, text, len);
}

static int reparse_link(struct herd_inode *in, struct herd_cursor c,
			uint32_t tag)
{
	unsigned sub_off, sub_len;
	const uint8_t *p;

	sub_off = herd_cur_le16(&c);
	sub_len = herd_cur_le16(&c);
	herd_cur_le32(&c); /* the name for display */
	if (tag == TAG_SYMLINK)
		herd_cur_le32(&c);
	herd_cur_bytes(&c, sub_off);
	p = herd_cur_bytes(&c, sub_len);
	if (!p) {
		complain(in, "its reparse point is damaged");
		return 0;
	}
	return windows_target(in, p, sub_len / 2);
}

static int lx_symlink(struct herd_inode *in, struct herd_cursor c)
{
	size_t len = herd_cur_left(&c);
	char *text;

	if (len <= 4 || len - 4 > HERD_TARGET_MAX) {
		complain(in, "its reparse point is damaged");
		return 0;
	}
	herd_cur_le32(&c);
	len -= 4;
	text = malloc(len + 1);
	if (!text)
		return -ENOMEM;
	herd_cur_copy(&c, text, len);
	text[len] = '\0';
	if (memchr(text, '\0', len)) {
		free(text);
		complain(in, "its link target is damaged");
		return 0;
	}
	return set_target(in, text, len);
}

static void special(struct herd_inode *in, uint32_t type)
{
	free(in->bytes);
	in->bytes = NULL;
	in->n_bytes = 0;
	free(in->runs);
	in->runs = NULL;
	in->n_runs = 0;
	in->content = HERD_CONTENT_NONE;
	in->mode = type | 0777;
}

static int reparse(struct herd_ntfs *n, struct herd_ntfs_node *node,
		   struct herd_inode *in)
{
	struct herd_ntfs_stream *st =
		herd_ntfs_stream(node, HERD_NTFS_REPARSE_POINT, "");
	CLEANUP_FREE uint8_t *buf = NULL;
	struct herd_cursor c;
	uint32_t tag;
	unsigned len;

	if (!st)
		return 0;
	if (st->size > 16384 + 8 || !herd_ntfs_stream_whole(n, st) ||
	    !(buf = malloc(st->size + 1)) ||
	    herd_ntfs_stream_bytes(n, st, buf, st->size, 0, NULL)) {
		complain(in, "its reparse point is unreadable");
		return 0;
	}
	c = herd_cursor(buf, st->size);
	tag = herd_cur_le32(&c);
	len = herd_cur_le16(&c);
	herd_cur_le16(&c);
	if (c.bad || len > herd_cur_left(&c)) {
		complain(in, "its reparse point is damaged");
		return 0;
	}
	switch (tag) {
	case TAG_SYMLINK:
	case TAG_MOUNT_POINT:
		return reparse_link(in, c, tag);
	case TAG_LX_SYMLINK:
		return lx_symlink(in, c);
	case TAG_AF_UNIX:
		special(in, S_IFSOCK);
		return 0;
	case TAG_LX_FIFO:
		special(in, S_IFIFO);
		return 0;
	case TAG_LX_CHR:
		special(in, S_IFCHR);
		return 0;
	case TAG_LX_BLK:
		special(in, S_IFBLK);
		return 0;
	case TAG_WOF:
	case TAG_DEDUP:
		in->content = HERD_CONTENT_UNREADABLE;
		complain(
			in,
			tag == TAG_WOF ?
				"compressed by the Windows overlay filter" :
				"deduplicated: content lies in the chunk store");
		return 0;
	default:
		/* what Windows does with it is not known here; the bytes of
		   the file itself are as they are */
		complain(in, "reparse point of an unknown kind, tag 0x%08x",
			 tag);
		return 0;
	}
}

/*
 * Links and devices as Interix, Cygwin and ntfs-3g store them: a system file
 * that begins with a magic; FIFOs and sockets have 0 and 1 byte.
 */
static int interix(struct herd_ntfs *n, struct herd_ntfs_node *node,
		   struct herd_inode *in, uint32_t attributes)
{
	struct herd_ntfs_stream *st =
		herd_ntfs_stream(node, HERD_NTFS_DATA, "");
	CLEANUP_FREE uint8_t *buf = NULL;
	struct herd_cursor c;

	/* the metadata files are system files too */
	if (!(attributes & FILE_SYSTEM) || attributes & FILE_HIDDEN ||
	    node->number < 16 || !st || st->size > 8 + 2 * 4096 ||
	    in->content == HERD_CONTENT_UNREADABLE)
		return 0;
	if (st->size < 2) {
		special(in, st->size ? S_IFSOCK : S_IFIFO);
		return 0;
	}
	buf = malloc(st->size);
	if (!buf)
		return -ENOMEM;
	if (st->size <= 8)
		return 0;
	if (in->content == HERD_CONTENT_INLINE)
		memcpy(buf, in->bytes, st->size);
	else if (herd_ntfs_stream_bytes(n, st, buf, st->size, 0, NULL))
		return 0;
	c = herd_cursor(buf + 8, st->size - 8);
	if (!memcmp(buf, "IntxLNK\1", 8)) {
		size_t units = (st->size - 8) / 2;
		char *text = malloc(HERD_UTF8_MAX(units) + 1);
		size_t len;

		if (!text)
			return -ENOMEM;
		len = herd_utf16_to_bytes(buf + 8, units, text);
		return set_target(in, text, strnlen(text, len));
	}
	if (st->size == 24 &&
	    (!memcmp(buf, "IntxBLK", 8) || !memcmp(buf, "IntxCHR", 8))) {
		special(in, buf[4] == 'B' ? S_IFBLK : S_IFCHR);
		in->rdev_major = (uint32_t)herd_cur_le64(&c);
		in->rdev_minor = (uint32_t)herd_cur_le64(&c);
	}
	return 0;
}

/* ---- alternate data streams ---- */

static int by_name(const void *a, const void *b)
{
	const struct herd_xattr *x = a, *y = b;

	return strcmp(x->name, y->name);
}

static int add_stream(struct herd_ntfs *n, struct herd_ntfs_stream *st,
		      struct herd_inode *in, size_t *total)
{
	CLEANUP_FREE char *name = malloc(5 + HERD_UTF8_MAX(st->name_len) + 1);
	CLEANUP_FREE uint8_t *value = NULL;
	size_t len;

	if (!name)
		return -ENOMEM;
	memcpy(name, "user.", 5);
	len = 5 + herd_utf16_to_bytes(st->name, st->name_len, name + 5);
	if (strlen(name) != len) {
		complain(in, "a stream has a name with NUL in it");
		return 0;
	}
	if (st->size > HERD_XATTR_BYTES_MAX ||
	    *total + len + st->size > HERD_XATTR_BYTES_MAX) {
		complain(in, "stream %s of %llu bytes is too large to be given",
			 name + 5, (unsigned long long)st->size);
		return 0;
	}
	value = malloc(st->size + 1);
	if (!value)
		return -ENOMEM;
	if (st->flags & HERD_NTFS_ENCRYPTED || !herd_ntfs_stream_whole(n, st) ||
	    !herd_ntfs_spend(n, st->size) ||
	    herd_ntfs_stream_bytes(n, st, value, st->size, 0, NULL)) {
		complain(in, "stream %s is unreadable", name + 5);
		return 0;
	}
	*total += len + st->size;
	in->xattrs[in->n_xattrs++] =
		(struct herd_xattr){ .name = TAKE_PTR(name),
				     .value = TAKE_PTR(value),
				     .len = st->size };
	return 0;
}

/* All of $BadClus:$Bad is a hole as long as no cluster is bad. */
static bool no_bad_clusters(const struct herd_ntfs_node *node,
			    const struct herd_ntfs_stream *st)
{
	if (node->number != HERD_NTFS_BADCLUS)
		return false;
	for (size_t i = 0; i < st->n_runs; i++)
		if (st->runs[i].lcn != HERD_NTFS_HOLE)
			return false;
	return true;
}

static int streams(struct herd_ntfs *n, struct herd_ntfs_node *node,
		   struct herd_inode *in)
{
	size_t count = 0, total = 0;

	for (size_t i = 0; i < node->n_streams; i++)
		count += node->streams[i].type == HERD_NTFS_DATA &&
			 node->streams[i].name_len;
	if (!count)
		return 0;
	in->xattrs = calloc(count, sizeof(*in->xattrs));
	if (!in->xattrs)
		return -ENOMEM;
	for (size_t i = 0; i < node->n_streams; i++) {
		struct herd_ntfs_stream *st = &node->streams[i];
		int err = 0;

		if (st->type == HERD_NTFS_DATA && st->name_len &&
		    !no_bad_clusters(node, st))
			err = add_stream(n, st, in, &total);
		if (err)
			return err;
	}
	if (in->n_xattrs)
		qsort(in->xattrs, in->n_xattrs, sizeof(*in->xattrs), by_name);
	return 0;
}

static int fill(struct herd_ntfs *n, struct herd_ntfs_node *node,
		struct herd_inode *in)
{
	uint32_t attributes;
	int err;

	in->ino = node->number;
	in->mode = (node->directory ? S_IFDIR : S_IFREG) | 0777;
	in->nlink = node->names ? node->names : 1;
	if (*node->problem)
		complain(in, "%s", node->problem);
	attributes = standard_information(node, in);
	if (node->directory) {
		struct herd_ntfs_stream *st = herd_ntfs_stream(
			node, HERD_NTFS_INDEX_ALLOCATION, "$I30");

		in->size = st && st->size <= INT64_MAX ? st->size : 0;
		err = 0;
	} else {
		err = content(n, node, in);
		if (!err)
			err = interix(n, node, in, attributes);
	}
	if (!err)
		err = reparse(n, node, in);
	if (!err)
		err = streams(n, node, in);
	return err;
}

int herd_ntfs_inode(struct herd_ntfs *n, uint64_t number,
		    struct herd_inode *ret, struct herd_diag *diag)
{
	CLEANUP(herd_ntfs_node_deinit) struct herd_ntfs_node node = { 0 };
	struct herd_inode in = { 0 };
	int err = herd_ntfs_node_load(n, number, &node, diag);

	if (err)
		return err;
	err = fill(n, &node, &in);
	if (err) {
		herd_inode_deinit(&in);
		return err;
	}
	*ret = in;
	return 0;
}
