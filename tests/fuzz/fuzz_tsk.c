/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A volume of NTFS, FAT or exFAT that nobody made, read to its end. The input
 * is what is not zero of it: its size in units of 4 KiB (16 bits), then pieces
 * of offset (32 bits), length (16 bits) and bytes, all little-endian.
 */
#include "acquire/base/cleanup.h"
#include "acquire/base/cursor.h"
#include "index/volume.h"

#include <stdlib.h>
#include <sys/stat.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define MUST(x)                           \
	do {                              \
		if (!(x))                 \
			__builtin_trap(); \
	} while (0)

#define UNITS_MAX 1024u /* 4 MiB */
#define INODES_MAX 400u
#define CONTENT_MAX (1u << 20)

struct walk {
	uint64_t ino[INODES_MAX];
	size_t n;
};

static int name(void *arg, const char *text, size_t len, uint64_t ino,
		unsigned char type)
{
	struct walk *w = arg;

	(void)type;
	MUST(len && len <= HERD_NAME_MAX && !memchr(text, '/', len) &&
	     !memchr(text, 0, len));
	if (w->n == INODES_MAX)
		return 1;
	w->ino[w->n++] = ino;
	return 0;
}

static void check_inode(struct herd_volume *v, const struct herd_inode *in)
{
	uint64_t end = 0;

	for (size_t i = 0; i < in->n_runs; i++) {
		const struct herd_run *r = &in->runs[i];

		MUST(r->len && r->logical >= end);
		end = r->logical + r->len;
		MUST(end <= in->size);
		MUST(r->phys <= v->source->size &&
		     r->len <= v->source->size - r->phys);
	}
	MUST(in->content < HERD_CONTENT_MAX);
	MUST(in->content != HERD_CONTENT_UNREADABLE || in->problem);
	MUST(in->content != HERD_CONTENT_INLINE || in->n_bytes == in->size);
	MUST(in->size <= INT64_MAX);
	for (size_t i = 0; i < in->n_xattrs; i++)
		MUST(in->xattrs[i].name && in->xattrs[i].value);
	if (S_ISLNK(in->mode))
		MUST(in->n_bytes && !memchr(in->bytes, 0, in->n_bytes));
}

static void read_content(struct herd_volume *v, const struct herd_inode *in,
			 uint8_t *buf)
{
	size_t len = in->size < CONTENT_MAX ? in->size : CONTENT_MAX;

	if (in->content != HERD_CONTENT_READER)
		return;
	v->ops->read(v, in->ino, buf, len, 0, NULL);
	v->ops->read(v, in->ino, buf, len / 2, in->size - len / 2, NULL);
}

static void read_volume(struct herd_volume *v)
{
	static uint8_t buf[CONTENT_MAX];
	static struct walk w;

	w.ino[0] = v->root_ino;
	w.n = 1;
	for (size_t i = 0; i < w.n; i++) {
		struct herd_inode in = { 0 };

		if (v->ops->inode(v, w.ino[i], &in, NULL))
			continue;
		check_inode(v, &in);
		read_content(v, &in, buf);
		if (S_ISDIR(in.mode))
			v->ops->readdir(v, w.ino[i], name, &w, NULL);
		herd_inode_deinit(&in);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct herd_cursor c = herd_cursor(data, size);
	uint32_t units = herd_cur_le16(&c);
	CLEANUP_FREE uint8_t *image = NULL;
	struct herd_source *s = NULL;
	struct herd_volume *v = NULL;
	size_t len = (size_t)units * 4096;

	if (!units || units > UNITS_MAX)
		return 0;
	image = calloc(units, 4096);
	MUST(image);
	while (herd_cur_left(&c)) {
		uint32_t off = herd_cur_le32(&c);
		uint32_t n = herd_cur_le16(&c);
		const uint8_t *p = herd_cur_bytes(&c, n);

		if (!p || off > len || n > len - off)
			break;
		memcpy(image + off, p, n);
	}
	MUST(!herd_source_from_memory("fuzz", image, len, &s));
	if (!herd_volume_open_tsk(s, &v, NULL)) {
		read_volume(v);
		v->ops->destroy(v);
	}
	herd_source_destroy(s);
	return 0;
}
