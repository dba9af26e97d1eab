/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A file in memory and the file on the disk are the same when inode, size and
 * the time of the last change of content are: a snapshot may have been taken
 * at another moment, and a file that was written to since says nothing of the
 * page that memory has of it.
 */
#include "index/memory_disk.h"

#include "acquire/base/cleanup.h"

#include <string.h>
#include <sys/stat.h>

struct herd_memory_disk {
	struct herd_txn *txn;
	const struct herd_instance *instance;
	uint32_t reference;
	herd_memory_disk_source *source;
	void *arg;
	/* the file that was asked for last */
	const struct herd_mfile *file;
	int err;
	struct herd_entry entry;
	struct herd_source *disk;
	uint64_t start;		/* of its volume on the disk */
	struct herd_run *runs;
	size_t n_runs;
};

int herd_memory_disk_create(struct herd_txn *t, const struct herd_instance *i,
			    uint32_t reference, herd_memory_disk_source *source,
			    void *arg, struct herd_memory_disk **ret)
{
	struct herd_memory_disk *d = calloc(1, sizeof(*d));

	if (!d)
		return -ENOMEM;
	*d = (struct herd_memory_disk){ .txn = t, .instance = i, .arg = arg,
					.reference = reference,
					.source = source };
	*ret = d;
	return 0;
}

void herd_memory_disk_destroy(struct herd_memory_disk *d)
{
	if (!d)
		return;
	free(d->runs);
	free(d);
}

int herd_memory_disk_path(struct herd_txn *t, const struct herd_mfile *f,
			  uint32_t *ret)
{
	if (f->kind != HERD_MFILE_PLAIN || f->deleted || f->path[0] != '/')
		return -ENOENT;
	return herd_path_resolve(t, f->path, strlen(f->path), ret);
}

static bool same_file(const struct herd_mfile *f, const struct herd_entry *e)
{
	return S_ISREG(e->mode) && S_ISREG(f->mode) && e->ino == f->ino &&
	       e->size == f->size && e->mtime.sec == f->mtime.sec &&
	       e->mtime.nsec == f->mtime.nsec;
}

static int load_runs(struct herd_memory_disk *d)
{
	struct herd_run_iter it;

	free(d->runs);
	d->n_runs = 0;
	d->runs = calloc(d->entry.n_runs + 1, sizeof(*d->runs));
	if (!d->runs)
		return -ENOMEM;
	herd_entry_runs(&d->entry, &it);
	while (d->n_runs < d->entry.n_runs &&
	       herd_entry_run_next(&it, &d->runs[d->n_runs]))
		d->n_runs++;
	return 0;
}

static int find_file(struct herd_memory_disk *d, const struct herd_mfile *f)
{
	uint32_t path;
	int err = herd_memory_disk_path(d->txn, f, &path);

	if (!err)
		err = herd_entry_get(d->txn, d->instance->id, d->reference,
				     path, &d->entry);
	if (err)
		return err;
	if (!same_file(f, &d->entry))
		return -ENOENT;
	if (d->entry.volume >= d->instance->n_volumes)
		return -EBADMSG;
	const struct herd_stored_volume *v =
		&d->instance->volumes[d->entry.volume];

	d->start = v->start;
	if (d->entry.content == HERD_CONTENT_INLINE ||
	    d->entry.content == HERD_CONTENT_NONE)
		return 0;
	/* what only a reader of the file system can give is left alone */
	if (d->entry.content != HERD_CONTENT_RUNS)
		return -EOPNOTSUPP;
	err = load_runs(d);
	return err ? err : d->source(d->arg, v->disk, &d->disk);
}

/* Index of the first run that ends after off. */
static size_t first_run(const struct herd_memory_disk *d, uint64_t off)
{
	size_t lo = 0, hi = d->n_runs;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (d->runs[mid].logical + d->runs[mid].len <= off)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

static int read_runs(struct herd_memory_disk *d, uint64_t off, uint8_t *buf,
		     size_t len)
{
	const uint64_t end = off + len;
	int err = 0;

	for (size_t i = first_run(d, off); i < d->n_runs && !err; i++) {
		const struct herd_run *r = &d->runs[i];
		uint64_t from = r->logical > off ? r->logical : off;
		uint64_t to = r->logical + r->len < end ?
			      r->logical + r->len : end;

		if (r->logical >= end)
			break;
		if (d->start > UINT64_MAX - r->phys)
			return -EBADMSG;
		err = herd_source_read(d->disk, buf + (from - off), to - from,
				       d->start + r->phys +
				       (from - r->logical), NULL);
	}
	return err;
}

int herd_memory_disk_read(void *disk, const struct herd_mfile *f, uint64_t off,
			  void *buf, size_t len)
{
	struct herd_memory_disk *d = disk;

	if (d->file != f) {
		d->file = f;
		d->err = find_file(d, f);
	}
	if (d->err)
		return d->err;
	memset(buf, 0, len);
	if (off >= d->entry.size)
		return 0;
	if (len > d->entry.size - off)
		len = d->entry.size - off;
	if (d->entry.content == HERD_CONTENT_INLINE) {
		if (off + len > d->entry.n_bytes)
			return -EBADMSG;
		memcpy(buf, (const uint8_t *)d->entry.bytes + off, len);
		return 0;
	}
	return d->entry.content == HERD_CONTENT_NONE ? 0 :
	       read_runs(d, off, buf, len);
}
