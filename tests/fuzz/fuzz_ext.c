/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The ext reader on whole, very small images: everything that can be reached
 * from the root is read, and every inode by number besides.
 */
#include "acquire/base/cleanup.h"
#include "index/volume.h"

#include <assert.h>
#include <string.h>
#include <sys/stat.h>

#define ENTRIES_MAX 500
#define DEPTH_MAX 8

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct walk {
	struct herd_volume *v;
	unsigned entries, depth;
};

static int on_name(void *arg, const char *name, size_t len, uint64_t ino,
		   unsigned char type);

/* What the header promises of every inode. */
static void check(const struct herd_volume *v, const struct herd_inode *i)
{
	uint64_t end = 0, bytes = 0;

	for (size_t k = 0; k < i->n_runs; k++) {
		assert(i->runs[k].len && i->runs[k].logical >= end);
		end = i->runs[k].logical + i->runs[k].len;
		assert(i->runs[k].phys + i->runs[k].len <= v->source->size);
	}
	assert(!S_ISREG(i->mode) || end <= i->size);
	for (size_t k = 0; k < i->n_xattrs; k++) {
		assert(i->xattrs[k].name[0]);
		assert(!k || strcmp(i->xattrs[k - 1].name,
				    i->xattrs[k].name) <= 0);
		bytes += strlen(i->xattrs[k].name) + i->xattrs[k].len;
	}
	assert(bytes <= HERD_XATTR_BYTES_MAX && i->n_bytes <= HERD_TARGET_MAX);
	assert(i->size <= INT64_MAX);
	assert(i->content != HERD_CONTENT_INLINE || i->n_bytes == i->size);
	assert(i->content != HERD_CONTENT_UNREADABLE || i->problem);
}

static void read_one(struct walk *w, uint64_t ino, bool descend)
{
	struct herd_inode i CLEANUP(herd_inode_deinit) = { 0 };
	char content[3000];

	if (w->v->ops->inode(w->v, ino, &i, NULL))
		return;
	check(w->v, &i);
	size_t n = i.size < sizeof(content) ? i.size : sizeof(content);

	if (S_ISREG(i.mode)) {
		herd_content_read(w->v->source, w->v, &i, content, n, 0, NULL);
		herd_content_read(w->v->source, w->v, &i, content, n,
				  i.size - n, NULL);
	}
	if (!S_ISDIR(i.mode) || !descend || w->depth >= DEPTH_MAX)
		return;
	w->depth++;
	w->v->ops->readdir(w->v, ino, on_name, w, NULL);
	w->depth--;
}

static int on_name(void *arg, const char *name, size_t len, uint64_t ino,
		   unsigned char type)
{
	struct walk *w = arg;

	(void)type;
	assert(len && len <= HERD_NAME_MAX);
	assert(!memchr(name, '\0', len) && !memchr(name, '/', len));
	if (++w->entries > ENTRIES_MAX)
		return 1;
	read_one(w, ino, true);
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct herd_source *source = NULL;
	struct walk w = { .entries = 0 };
	struct herd_diag diag;

	if (herd_source_from_memory("fuzz", data, size, &source))
		return 0;
	herd_diag_clear(&diag);
	if (!herd_volume_open_ext(source, &w.v, &diag)) {
		read_one(&w, w.v->root_ino, true);
		for (uint64_t ino = 1; ino < 64; ino++)
			read_one(&w, ino, false);
		herd_volume_destroy(w.v);
	}
	herd_source_destroy(source);
	return 0;
}
