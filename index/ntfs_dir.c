/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The names in an NTFS directory: index root, and the blocks of the index
 * allocation that its bitmap says are in use. One pass, no recursion.
 * Threads: as struct herd_ntfs, one at a time.
 */
#include "index/ntfs.h"

#include "acquire/base/cleanup.h"
#include "acquire/base/cursor.h"
#include "index/utf16.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define INDEX_MAX (4ull << 30) /* bytes of one directory's index */
#define BITMAP_MAX (1u << 20)

struct listing {
	struct herd_ntfs *n;
	uint64_t dir;
	int (*fn)(void *arg, const char *name, size_t len, uint64_t ino,
		  unsigned char type);
	void *arg;
	struct herd_diag *diag;
	int damage; /* first thing that could not be read */
};

static void damaged(struct listing *l, const char *what, uint64_t at)
{
	if (!l->damage)
		l->damage = herd_diag_set(
			l->diag, -EBADMSG, l->n->source->name, HERD_NO_OFFSET,
			"directory of record %llu: %s (index offset %llu)",
			(unsigned long long)l->dir, what,
			(unsigned long long)at);
}

/* One entry's name. */
static int name(struct listing *l, uint64_t ref, const uint8_t *key, size_t len,
		uint64_t at)
{
	struct herd_cursor c = herd_cursor(key, len);
	char text[HERD_UTF8_MAX(255) + 1];
	unsigned units, space;
	const uint8_t *p;
	uint32_t flags;
	size_t k;

	herd_cur_seek(&c, 56);
	flags = herd_cur_le32(&c);
	herd_cur_seek(&c, 64);
	units = herd_cur_u8(&c);
	space = herd_cur_u8(&c);
	p = herd_cur_bytes(&c, 2 * (uint64_t)units);
	if (!p || !units) {
		damaged(l, "a name is cut", at);
		return 0;
	}
	if (space == 2)
		return 0; /* the 8.3 alias of another entry */
	k = herd_utf16_to_bytes(p, units, text);
	if ((k == 1 && text[0] == '.') || (k == 2 && !memcmp(text, "..", 2)))
		return 0;
	if (memchr(text, '/', k) || memchr(text, '\0', k)) {
		damaged(l, "a name holds '/' or NUL", at);
		return 0;
	}
	/* reparse points and system files may be something else */
	return l->fn(l->arg, text, k, ref & 0xffffffffffffull,
		     flags & 0x10000000 ?
			     (flags & 0x400 ? DT_UNKNOWN : DT_DIR) :
		     flags & 0x404 ? DT_UNKNOWN :
				     DT_REG);
}

/* Entries of one node; head: its header of 16 bytes, at most len bytes. */
static int entries(struct listing *l, const uint8_t *head, size_t len,
		   uint64_t at)
{
	struct herd_cursor c = herd_cursor(head, len);
	uint32_t pos = herd_cur_le32(&c), used = herd_cur_le32(&c);

	if (c.bad || used > len || pos < 16) {
		damaged(l, "an index header is damaged", at);
		return 0;
	}
	for (;;) {
		struct herd_cursor e = herd_cursor(head, used);
		uint64_t ref;
		unsigned step, key, flags;
		const uint8_t *p;
		int err;

		herd_cur_seek(&e, pos);
		ref = herd_cur_le64(&e);
		step = herd_cur_le16(&e);
		key = herd_cur_le16(&e);
		flags = herd_cur_le16(&e);
		herd_cur_le16(&e);
		if (e.bad || step < 16 || step > used - pos ||
		    key > step - 16) {
			damaged(l, "an index entry is damaged", at + pos);
			return 0;
		}
		if (flags & 2)
			return 0;
		p = herd_cur_bytes(&e, key);
		err = name(l, ref, p, key, at + pos);
		if (err)
			return err;
		pos += step;
	}
}

/* 0 or 1; 1 when there is no bitmap that says otherwise. */
static bool block_used(const uint8_t *bitmap, size_t len, uint64_t i)
{
	return !bitmap || (i / 8 < len && bitmap[i / 8] >> (i % 8) & 1);
}

static int load_bitmap(struct listing *l, struct herd_ntfs_node *node,
		       uint8_t **ret, size_t *ret_len)
{
	struct herd_ntfs_stream *st =
		herd_ntfs_stream(node, HERD_NTFS_BITMAP, "$I30");
	CLEANUP_FREE uint8_t *buf = NULL;

	if (!st || st->size > BITMAP_MAX || !herd_ntfs_stream_whole(l->n, st)) {
		damaged(l, "its bitmap cannot be read", 0);
		return 0;
	}
	buf = malloc(st->size + 1);
	if (!buf)
		return -ENOMEM;
	if (herd_ntfs_stream_bytes(l->n, st, buf, st->size, 0, l->diag)) {
		damaged(l, "its bitmap cannot be read", 0);
		return 0;
	}
	*ret = TAKE_PTR(buf);
	*ret_len = st->size;
	return 0;
}

static int blocks(struct listing *l, struct herd_ntfs_node *node, uint32_t size)
{
	struct herd_ntfs_stream *st =
		herd_ntfs_stream(node, HERD_NTFS_INDEX_ALLOCATION, "$I30");
	CLEANUP_FREE uint8_t *bitmap = NULL, *buf = malloc(size);
	size_t bitmap_len = 0;
	int err = 0;

	if (!buf)
		return -ENOMEM;
	if (!st)
		return 0;
	if (st->size > INDEX_MAX || !herd_ntfs_stream_whole(l->n, st)) {
		damaged(l, "its index has no whole run list", 0);
		return 0;
	}
	err = load_bitmap(l, node, &bitmap, &bitmap_len);
	for (uint64_t i = 0; !err && (i + 1) * size <= st->size; i++) {
		uint64_t at = i * size;

		if (!block_used(bitmap, bitmap_len, i))
			continue;
		if (!herd_ntfs_spend(l->n, size)) {
			damaged(l, "more is listed than the volume can hold",
				at);
			break;
		}
		if (herd_ntfs_stream_read(l->n, st, buf, size, at, l->diag) ||
		    herd_ntfs_fixup(buf, size, "INDX")) {
			/* with no bitmap a block may well be unused */
			if (bitmap)
				damaged(l, "an index block is damaged", at);
			continue;
		}
		err = entries(l, buf + 24, size - 24, at);
	}
	return err;
}

int herd_ntfs_readdir(struct herd_ntfs *n, uint64_t number,
		      int (*fn)(void *arg, const char *name, size_t len,
				uint64_t ino, unsigned char type),
		      void *arg, struct herd_diag *diag)
{
	struct listing l = {
		.n = n, .dir = number, .fn = fn, .arg = arg, .diag = diag
	};
	CLEANUP(herd_ntfs_node_deinit) struct herd_ntfs_node node = { 0 };
	struct herd_ntfs_stream *root;
	struct herd_cursor c;
	uint32_t size;
	int err = herd_ntfs_node_load(n, number, &node, diag);

	if (err)
		return err;
	root = herd_ntfs_stream(&node, HERD_NTFS_INDEX_ROOT, "$I30");
	if (!node.directory || !root || !root->resident || root->value_len < 32)
		return herd_diag_set(diag, node.directory ? -EBADMSG : -ENOTDIR,
				     n->source->name, HERD_NO_OFFSET,
				     "record %llu has no directory index",
				     (unsigned long long)number);
	c = herd_cursor(root->value, root->value_len);
	herd_cur_seek(&c, 8);
	size = herd_cur_le32(&c);
	/* the root says how large blocks are; the boot sector only in general */
	if (size < 512 || size > HERD_NTFS_RECORD_MAX || size & (size - 1)) {
		damaged(&l, "impossible block size", 8);
		size = n->g.index;
	}
	if (*node.problem)
		damaged(&l, node.problem, 0);
	err = entries(&l, root->value + 16, root->value_len - 16, 0);
	if (!err)
		err = blocks(&l, &node, size);
	return err ? err : l.damage;
}
