/* SPDX-License-Identifier: Apache-2.0 */
/*
 * NTFS, FAT12/16/32 and exFAT as struct herd_volume, on libtsk.
 *
 * libtsk opens the volume through an image of its own over the source, and
 * serves what everything else hangs on: the records of NTFS's master file
 * table, FAT's allocation table. What records and directories say is decided
 * by index/ntfs*.c, fat*.c and exfat.c, which are bounded, keep names and
 * times as they are and need no pass over the whole table (docs/READERS.md
 * says what libtsk does instead). Where libtsk refuses a volume, or what it
 * would read at once is not well formed, these read the source themselves and
 * `note` says so: nobody hides a volume by breaking what only libtsk needs.
 *
 * Threads: a volume, with all of its libtsk state, belongs to one thread at a
 * time. libtsk's error text is per thread and taken at once.
 */
#include "index/volume.h"

#include "acquire/base/buf.h"
#include "acquire/base/cleanup.h"
#include "acquire/base/sha256.h"
#include "index/fat.h"
#include "index/ntfs.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <tsk/libtsk.h>

/* libtsk's view of a source. Its first member is libtsk's own part. */
struct image {
	TSK_IMG_INFO img;
	struct herd_source *source;
};

struct tsk_volume {
	struct herd_volume v;
	bool is_ntfs;
	union {
		struct herd_ntfs ntfs;
		struct herd_fat fat;
	};
	TSK_IMG_INFO *img;
	TSK_FS_INFO *fs;
	TSK_FS_FILE *mft_file;
	const TSK_FS_ATTR *mft; /* belongs to mft_file */
};

static struct tsk_volume *self(struct herd_volume *v)
{
	return (struct tsk_volume *)v;
}

/* ---- libtsk ---- */

static ssize_t image_read(TSK_IMG_INFO *img, TSK_OFF_T off, char *buf,
			  size_t len)
{
	struct herd_source *s = ((struct image *)img)->source;
	size_t have = len;

	if (off < 0 || (uint64_t)off >= s->size)
		return -1;
	if (have > s->size - (uint64_t)off)
		have = s->size - (uint64_t)off;
	/* it may copy all that it asked for, whatever it was given */
	memset(buf + have, 0, len - have);
	if (herd_source_read(s, buf, have, (uint64_t)off, NULL))
		return -1;
	return (ssize_t)have;
}

static void image_close(TSK_IMG_INFO *img)
{
	free(img);
}

static void image_stat(TSK_IMG_INFO *img, FILE *file)
{
	(void)img;
	(void)file;
}

/* libtsk's text for what just failed, as one line. */
static int tsk_failed(struct tsk_volume *t, int err, uint64_t off,
		      struct herd_diag *diag)
{
	const char *text = tsk_error_get();

	herd_diag_set(diag, err, t->v.source->name, off, "libtsk: %s",
		      text ? text : "no reason given");
	tsk_error_reset();
	return err;
}

static int tsk_attach(struct tsk_volume *t, TSK_FS_TYPE_ENUM type,
		      struct herd_diag *diag)
{
	struct image *image = calloc(1, sizeof(*image));

	if (!image)
		return -ENOMEM;
	image->source = t->v.source;
	t->img = tsk_img_open_external(image, (TSK_OFF_T)t->v.source->size, 512,
				       image_read, image_close, image_stat);
	if (!t->img) {
		free(image);
		return tsk_failed(t, -EIO, HERD_NO_OFFSET, diag);
	}
	t->fs = tsk_fs_open_img(t->img, 0, type);
	return t->fs ? 0 : tsk_failed(t, -EBADMSG, 0, diag);
}

static void tsk_detach(struct tsk_volume *t)
{
	tsk_fs_file_close(t->mft_file);
	t->mft_file = NULL;
	t->mft = NULL;
	if (t->fs)
		tsk_fs_close(t->fs);
	t->fs = NULL;
	if (t->img)
		tsk_img_close(t->img);
	t->img = NULL;
	tsk_error_reset();
}

static int record_through_tsk(struct herd_ntfs *n, uint64_t number, void *buf,
			      struct herd_diag *diag)
{
	struct tsk_volume *t = n->arg;
	uint64_t off = number * n->g.record;

	if (number >= n->records)
		return herd_diag_set(
			diag, -EBADMSG, n->source->name, HERD_NO_OFFSET,
			"record %llu is beyond the master file table",
			(unsigned long long)number);
	if (tsk_fs_attr_read(t->mft, (TSK_OFF_T)off, buf, n->g.record,
			     TSK_FS_FILE_READ_FLAG_NONE) !=
	    (ssize_t)n->g.record)
		return tsk_failed(t, -EIO, HERD_NO_OFFSET, diag);
	if (herd_ntfs_fixup(buf, n->g.record, "FILE"))
		return herd_diag_set(diag, -EBADMSG, n->source->name,
				     HERD_NO_OFFSET, "record %llu is damaged",
				     (unsigned long long)number);
	return 0;
}

static int table_through_tsk(struct herd_fat *f, void *buf, size_t len,
			     uint64_t off, struct herd_diag *diag)
{
	struct tsk_volume *t = f->arg;

	if (tsk_fs_read(t->fs, (TSK_OFF_T)off, buf, len) != (ssize_t)len)
		return tsk_failed(t, -EIO, off, diag);
	return 0;
}

static int attach_ntfs(struct tsk_volume *t, struct herd_diag *diag)
{
	int err = herd_ntfs_safe_for_libtsk(&t->ntfs, diag);

	if (!err)
		err = tsk_attach(t, TSK_FS_TYPE_NTFS, diag);
	if (err)
		return err;
	t->mft_file = tsk_fs_file_open_meta(t->fs, NULL, HERD_NTFS_MFT);
	if (t->mft_file)
		t->mft = tsk_fs_file_attr_get(t->mft_file);
	if (!t->mft)
		return tsk_failed(t, -EBADMSG, t->ntfs.g.mft, diag);
	/* it stops at 256 records of a table in very many pieces */
	if ((uint64_t)t->mft->size != t->ntfs.mft.size)
		return herd_diag_set(
			diag, -EBADMSG, t->v.source->name, t->ntfs.g.mft,
			"libtsk takes the master file table for %lld bytes",
			(long long)t->mft->size);
	t->ntfs.record = record_through_tsk;
	t->ntfs.arg = t;
	return 0;
}

static int attach_fat(struct tsk_volume *t, struct herd_diag *diag)
{
	bool ex = t->fat.kind == HERD_EXFAT;
	int err = ex ? herd_exfat_safe_for_libtsk(&t->fat, diag) :
		       herd_fat_safe_for_libtsk(&t->fat, diag);

	if (!err)
		err = tsk_attach(t,
				 ex			   ? TSK_FS_TYPE_EXFAT :
				 t->fat.kind == HERD_FAT12 ? TSK_FS_TYPE_FAT12 :
				 t->fat.kind == HERD_FAT16 ? TSK_FS_TYPE_FAT16 :
							     TSK_FS_TYPE_FAT32,
				 diag);
	if (err)
		return err;
	t->fat.table = table_through_tsk;
	t->fat.arg = t;
	return 0;
}

/* ---- operations ---- */

static int op_readdir(struct herd_volume *v, uint64_t ino,
		      int (*fn)(void *arg, const char *name, size_t len,
				uint64_t ino, unsigned char type),
		      void *arg, struct herd_diag *diag)
{
	struct tsk_volume *t = self(v);

	if (t->is_ntfs)
		return herd_ntfs_readdir(&t->ntfs, ino, fn, arg, diag);
	if (t->fat.kind == HERD_EXFAT)
		return herd_exfat_readdir(&t->fat, ino, fn, arg, diag);
	return herd_fat_readdir(&t->fat, ino, fn, arg, diag);
}

static int op_inode(struct herd_volume *v, uint64_t ino, struct herd_inode *ret,
		    struct herd_diag *diag)
{
	struct tsk_volume *t = self(v);

	if (t->is_ntfs)
		return herd_ntfs_inode(&t->ntfs, ino, ret, diag);
	if (t->fat.kind == HERD_EXFAT)
		return herd_exfat_inode(&t->fat, ino, ret, diag);
	return herd_fat_inode(&t->fat, ino, ret, diag);
}

static int op_read(struct herd_volume *v, uint64_t ino, void *buf, size_t len,
		   uint64_t off, struct herd_diag *diag)
{
	struct tsk_volume *t = self(v);

	if (!t->is_ntfs)
		return herd_diag_set(diag, -EOPNOTSUPP, v->source->name,
				     HERD_NO_OFFSET,
				     "content of this file system has a place");
	return herd_ntfs_read(&t->ntfs, ino, buf, len, off, diag);
}

static void op_destroy(struct herd_volume *v)
{
	struct tsk_volume *t = self(v);

	tsk_detach(t);
	if (t->is_ntfs)
		herd_ntfs_deinit(&t->ntfs);
	else
		herd_fat_deinit(&t->fat);
	free(t);
}

static const struct herd_volume_ops tsk_ops = {
	.name = "libtsk",
	.readdir = op_readdir,
	.inode = op_inode,
	.read = op_read,
	.destroy = op_destroy,
};

/* ---- opening ---- */

/* Digest of what decides where an inode lies. */
static int geometry(struct herd_volume *v, const uint64_t *values, size_t n)
{
	CLEANUP_BUF struct herd_buf b = HERD_BUF_INIT;

	herd_buf_put(&b, v->fs, strlen(v->fs) + 1);
	for (size_t i = 0; i < n; i++)
		herd_buf_be64(&b, values[i]);
	if (herd_buf_error(&b))
		return -ENOMEM;
	herd_sha256(b.data, b.len, v->geometry);
	return 0;
}

static void add_note(struct herd_volume *v, const char *text)
{
	size_t n = strlen(v->note);

	snprintf(v->note + n, sizeof(v->note) - n, "%s%s", n ? "; " : "", text);
}

static int describe_ntfs(struct tsk_volume *t)
{
	const struct herd_ntfs_geometry *g = &t->ntfs.g;
	const uint64_t values[] = { g->sector, g->cluster,  g->record,
				    g->index,  g->clusters, g->mft };

	snprintf(t->v.fs, sizeof(t->v.fs), "ntfs");
	snprintf(t->v.uuid, sizeof(t->v.uuid), "%016llX",
		 (unsigned long long)g->serial);
	herd_ntfs_label(&t->ntfs, t->v.label, sizeof(t->v.label));
	t->v.root_ino = HERD_NTFS_ROOT;
	t->v.block_size = g->cluster;
	if (g->clusters > t->v.source->size / g->cluster)
		add_note(&t->v, "the volume is cut short");
	return geometry(&t->v, values, ARRAY_SIZE(values));
}

static int describe_fat(struct tsk_volume *t)
{
	const struct herd_fat *f = &t->fat;
	const uint64_t values[] = { f->sector,	 f->cluster, f->fat,
				    f->fat_len,	 f->data,    f->heap,
				    f->clusters, f->root };

	if (f->kind == HERD_EXFAT)
		herd_exfat_label(&t->fat, t->v.label, sizeof(t->v.label));
	else
		herd_fat_label(&t->fat, t->v.label, sizeof(t->v.label));
	if (f->kind == HERD_EXFAT)
		snprintf(t->v.fs, sizeof(t->v.fs), "exfat");
	else
		snprintf(t->v.fs, sizeof(t->v.fs), "fat%d", f->kind);
	if (f->serial)
		snprintf(t->v.uuid, sizeof(t->v.uuid), "%04X-%04X",
			 f->serial >> 16, f->serial & 0xffff);
	t->v.root_ino = HERD_FAT_ROOT;
	t->v.block_size = f->cluster;
	if (f->total > t->v.source->size)
		add_note(&t->v, "the volume is cut short");
	return geometry(&t->v, values, ARRAY_SIZE(values));
}

/* With libtsk if it can be, else without and with a note. */
static void attach_or_note(struct tsk_volume *t)
{
	struct herd_diag why = { .offset = HERD_NO_OFFSET };
	int err = t->is_ntfs ? attach_ntfs(t, &why) : attach_fat(t, &why);
	char text[256];

	if (!err)
		return;
	tsk_detach(t);
	snprintf(text, sizeof(text), "read without libtsk: %.180s",
		 *why.message ? why.message : strerror(-err));
	add_note(&t->v, text);
}

int herd_volume_open_tsk(struct herd_source *source, struct herd_volume **ret,
			 struct herd_diag *diag)
{
	struct tsk_volume *t = calloc(1, sizeof(*t));
	struct herd_ntfs_geometry g;
	int err;

	if (!t)
		return -ENOMEM;
	t->v.ops = &tsk_ops;
	t->v.source = source;
	err = herd_ntfs_boot(source, &g, diag);
	if (!err) {
		t->is_ntfs = true;
		err = herd_ntfs_open(source, &g, &t->ntfs, diag);
	} else if (err == -ENODATA) {
		err = herd_fat_open(source, &t->fat, diag);
	}
	if (err) {
		free(t);
		return err;
	}
	err = t->is_ntfs ? describe_ntfs(t) : describe_fat(t);
	if (err) {
		op_destroy(&t->v);
		return err;
	}
	attach_or_note(t);
	*ret = &t->v;
	return 0;
}
