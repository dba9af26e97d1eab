/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which reader a volume belongs to, and what all readers have in common.
 *
 * Threads: as a volume, one at a time; herd_content_read with no volume may be
 * called by many on one source.
 */
#include "index/volume.h"

#include "acquire/base/buf.h"

#include "acquire/base/cleanup.h"
#include "acquire/base/sha256.h"
#include "index/volume_ext.h"
#include "index/volume_signature.h"

#include <sys/stat.h>

#define READ_FILE_MAX (8u << 20)
#define HEAD (128u << 10)

/* ---- opening ---- */

static int refuse(struct herd_source *source, bool boot_sector,
		  struct herd_diag *diag)
{
	uint64_t offset = 0;
	const char *name = herd_signature_find(source, boot_sector, &offset);

	return name ? herd_diag_set(diag, -EOPNOTSUPP, source->name, offset,
				    "%s: this is not supported", name)
		    : -ENODATA;
}

/*
 * The order matters where a volume was formatted twice: what the later mkfs
 * must have overwritten is asked for last. Old backups of an ext superblock
 * outlive any other file system, so they count only when nothing else does.
 */
int herd_volume_open(struct herd_source *source, struct herd_volume **ret,
		     struct herd_diag *diag)
{
	struct herd_diag damaged, other;
	int ext, err;

	herd_diag_clear(&damaged);
	herd_diag_clear(&other);
	ext = herd_ext_open(source, false, ret, &damaged);
	if (ext == -ENODATA || ext == -EBADMSG) {
		err = refuse(source, true, &other);
		if (err == -ENODATA)
			err = herd_volume_open_tsk(source, ret, &other);
		if (err == -ENODATA)
			err = refuse(source, false, &other);
		if (err == -ENODATA && ext == -ENODATA)
			err = herd_ext_open(source, true, ret, &other);
		/* a superblock of ext, if only the remains of one, is more
		   than another reader's doubts */
		if (!err || err == -EOPNOTSUPP || ext == -ENODATA) {
			ext = err;
			damaged = other;
		}
	}
	if (ext == -ENODATA)
		return herd_diag_set(diag, -ENODATA, source->name,
				     HERD_NO_OFFSET,
				     "no file system is recognised");
	if (diag && !diag->message[0] && damaged.message[0])
		*diag = damaged;
	return ext;
}

void herd_volume_destroy(struct herd_volume *v)
{
	int saved = errno;

	if (v)
		v->ops->destroy(v);
	errno = saved;
}

int herd_volume_head(struct herd_source *disk, uint64_t start, uint64_t len,
		     uint8_t ret[32], struct herd_diag *diag)
{
	size_t n = len < HEAD ? (size_t)len : HEAD;
	CLEANUP_FREE uint8_t *bytes = malloc(HEAD);
	int err = bytes ? herd_source_read(disk, bytes, n, start, diag)
			: -ENOMEM;

	if (!err)
		herd_sha256(bytes, n, ret);
	return err;
}

/* ---- content ---- */

/* The first run that ends after off; n_runs when there is none. */
static size_t run_at(const struct herd_inode *inode, uint64_t off)
{
	size_t low = 0, high = inode->n_runs;

	while (low < high) {
		size_t mid = low + (high - low) / 2;
		const struct herd_run *r = &inode->runs[mid];

		if (off >= r->logical && off - r->logical >= r->len)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

static int read_runs(struct herd_source *source, const struct herd_inode *inode,
		     uint8_t *buf, size_t len, uint64_t off,
		     struct herd_diag *diag)
{
	for (size_t i = run_at(inode, off); len; i++) {
		const struct herd_run *r = i < inode->n_runs ? &inode->runs[i]
							     : NULL;
		uint64_t hole = r && r->logical > off ? r->logical - off : 0;
		size_t n = !r || hole > len ? len : (size_t)hole;

		memset(buf, 0, n);
		buf += n;
		off += n;
		len -= n;
		if (!len)
			break;
		uint64_t left = r->len - (off - r->logical);

		n = left < len ? (size_t)left : len;
		int err = herd_source_read(source, buf, n,
					   r->phys + (off - r->logical), diag);

		if (err)
			return err;
		buf += n;
		off += n;
		len -= n;
	}
	return 0;
}

static int read_inline(const struct herd_inode *inode, uint8_t *buf, size_t len,
		       uint64_t off)
{
	size_t n = off < inode->n_bytes ? inode->n_bytes - (size_t)off : 0;

	if (n > len)
		n = len;
	if (n)
		memcpy(buf, (const uint8_t *)inode->bytes + off, n);
	memset(buf + n, 0, len - n);
	return 0;
}

int herd_content_read(struct herd_source *volume_source, struct herd_volume *v,
		      const struct herd_inode *inode, void *buf, size_t len,
		      uint64_t off, struct herd_diag *diag)
{
	if (off > inode->size || len > inode->size - off)
		return -EINVAL;
	if (!len)
		return 0;
	switch (inode->content) {
	case HERD_CONTENT_NONE:
		memset(buf, 0, len);
		return 0;
	case HERD_CONTENT_RUNS:
		return read_runs(volume_source, inode, buf, len, off, diag);
	case HERD_CONTENT_INLINE:
		return read_inline(inode, buf, len, off);
	case HERD_CONTENT_READER:
		if (v && v->ops->read)
			return v->ops->read(v, inode->ino, buf, len, off, diag);
		break;
	default:
		break;
	}
	return herd_diag_set(diag, -EIO, volume_source->name, HERD_NO_OFFSET,
			     "inode %llu: %s", (unsigned long long)inode->ino,
			     inode->problem ? inode->problem : "not readable");
}

/* ---- small files by path ---- */

struct wanted {
	const char *name;
	size_t len;
	uint64_t ino;
};

static int match_name(void *arg, const char *name, size_t len, uint64_t ino,
		      unsigned char type)
{
	struct wanted *w = arg;

	(void)type;
	if (len != w->len || memcmp(name, w->name, len))
		return 0;
	w->ino = ino;
	return 1;
}

/* The inode at path, no link followed. -ENOENT when a part is missing. */
static int walk(struct herd_volume *v, const char *path, uint64_t *ret)
{
	uint64_t ino = v->root_ino;

	for (;;) {
		path += strspn(path, "/");
		struct wanted w = { .name = path, .len = strcspn(path, "/") };

		if (!w.len)
			break;
		/* a directory that is damaged elsewhere may still have it */
		int err = v->ops->readdir(v, ino, match_name, &w, NULL);

		if (err != 1)
			return err ? err : -ENOENT;
		ino = w.ino;
		path += w.len;
	}
	*ret = ino;
	return 0;
}

int herd_volume_read_file(struct herd_volume *v, const char *path,
			  char **ret, size_t *ret_len)
{
	struct herd_inode inode CLEANUP(herd_inode_deinit) = { 0 };
	uint64_t ino = 0;
	int err = walk(v, path, &ino);

	if (!err)
		err = v->ops->inode(v, ino, &inode, NULL);
	if (err)
		return err;
	if (S_ISDIR(inode.mode))
		return -EISDIR;
	if (!S_ISREG(inode.mode))
		return -EINVAL;
	if (inode.size > READ_FILE_MAX)
		return -EOVERFLOW;
	/* a zero behind it, for those who read text */
	char *bytes CLEANUP_FREE = calloc(1, (size_t)inode.size + 1);

	if (!bytes)
		return -ENOMEM;
	err = herd_content_read(v->source, v, &inode, bytes,
				(size_t)inode.size, 0, NULL);
	if (err)
		return err;
	*ret_len = (size_t)inode.size;
	*ret = TAKE_PTR(bytes);
	return 0;
}

struct name_list {
	struct herd_buf out;
	size_t max;
};

static int add_name(void *arg, const char *name, size_t len, uint64_t ino,
		    unsigned char type)
{
	struct name_list *list = arg;

	(void)ino;
	(void)type;
	if (len + 1 > list->max - list->out.len)
		return 1;
	herd_buf_put(&list->out, name, len);
	herd_buf_u8(&list->out, 0);
	return herd_buf_error(&list->out);
}

int herd_volume_list_names(struct herd_volume *v, const char *path, size_t max,
			   char **ret, size_t *ret_len)
{
	struct name_list list = { .out = HERD_BUF_INIT, .max = max };
	uint64_t ino = 0;
	int err = walk(v, path, &ino);

	if (!err)
		err = v->ops->readdir(v, ino, add_name, &list, NULL);
	if (err < 0) {
		herd_buf_deinit(&list.out);
		return err;
	}
	*ret = (char *)list.out.data;
	*ret_len = list.out.len;
	return 0;
}
