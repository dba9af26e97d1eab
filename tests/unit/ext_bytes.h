/* SPDX-License-Identifier: Apache-2.0 */
/*
 * For tests that damage ext images: images made without mounting anything, as
 * bytes that can be changed, and everything that a volume says as one digest.
 */
#ifndef HERD_TEST_EXT_BYTES_H
#define HERD_TEST_EXT_BYTES_H

#include "tests/unit/ext_fixture.h"

#include "acquire/base/buf.h"
#include "acquire/base/sha256.h"

#include <endian.h>

/* ---- bytes that a test owns, as a source ---- */

struct bytes_source {
	struct herd_source base;
	uint8_t *bytes;
	size_t whole;		/* size may be cut below it */
};

__attribute__((unused))
static int bytes_read(struct herd_source *s, void *buf, size_t len,
		      uint64_t off, struct herd_diag *diag)
{
	(void)diag;
	memcpy(buf, ((struct bytes_source *)s)->bytes + off, len);
	return 0;
}

static const struct herd_source_ops bytes_ops = {
	.kind = "test", .read = bytes_read,
};

static struct bytes_source image;
static struct herd_volume *volume;
static struct herd_diag diag;

__attribute__((unused))
static void load(const char *name)
{
	image.bytes = image_load(name, &image.whole);
	image.base.ops = &bytes_ops;
	image.base.name = (char *)(uintptr_t)name;
	image.base.size = image.whole;
}

__attribute__((unused))
static void unload(void)
{
	herd_volume_destroy(volume);
	volume = NULL;
	free(image.bytes);
	image.bytes = NULL;
}

/* Opens what image holds now. */
__attribute__((unused))
static int reopen(void)
{
	herd_volume_destroy(volume);
	volume = NULL;
	herd_diag_clear(&diag);
	return herd_volume_open_ext(&image.base, &volume, &diag);
}

__attribute__((unused))
static void put32(uint64_t at, uint32_t v)
{
	v = htole32(v);
	memcpy(image.bytes + at, &v, sizeof(v));
}

__attribute__((unused))
static uint32_t get32(uint64_t at)
{
	uint32_t v;

	memcpy(&v, image.bytes + at, sizeof(v));
	return le32toh(v);
}

/* ---- everything that a volume says, as one digest ---- */

#define PATHS_MAX 20000
#define READ_MAX (4u << 20)

struct walk {
	struct herd_buf text;
	unsigned paths, depth, problems, errors;
};

static int walk_dir(struct walk *w, uint64_t ino);

__attribute__((unused))
static int walk_entry(void *arg, const char *name, size_t len, uint64_t ino,
		      unsigned char type)
{
	struct herd_inode i CLEANUP(herd_inode_deinit) = { 0 };
	static uint8_t content[READ_MAX];
	struct walk *w = arg;

	if (++w->paths > PATHS_MAX)
		return 1;
	assert_true(len > 0 && !memchr(name, '/', len) && !memchr(name, 0, len));
	herd_buf_put(&w->text, name, len);
	if (volume->ops->inode(volume, ino, &i, NULL)) {
		w->errors++;
		return 0;
	}
	w->problems += i.problem != NULL;
	herd_buf_printf(&w->text, " %llu %u %o %u %u %llu %lld %zu %d\n",
			(unsigned long long)ino, type, i.mode, i.uid, i.gid,
			(unsigned long long)i.size, (long long)i.mtime.sec,
			i.n_runs, i.content);
	for (size_t k = 0; k < i.n_xattrs; k++) {
		herd_buf_put(&w->text, i.xattrs[k].name,
			     strlen(i.xattrs[k].name));
		herd_buf_put(&w->text, i.xattrs[k].value, i.xattrs[k].len);
	}
	if (S_ISLNK(i.mode))
		herd_buf_put(&w->text, i.bytes, i.n_bytes);
	size_t n = i.size < READ_MAX ? i.size : READ_MAX;
	uint8_t digest[32];

	if (S_ISREG(i.mode) && i.content != HERD_CONTENT_UNREADABLE &&
	    !herd_content_read(&image.base, volume, &i, content, n, 0, NULL)) {
		herd_sha256(content, n, digest);
		herd_buf_put(&w->text, digest, sizeof(digest));
	}
	return S_ISDIR(i.mode) ? walk_dir(w, ino) : 0;
}

__attribute__((unused))
static int walk_dir(struct walk *w, uint64_t ino)
{
	if (w->depth > 50)
		return 0;
	w->depth++;
	int err = volume->ops->readdir(volume, ino, walk_entry, w, NULL);

	w->depth--;
	w->errors += err < 0;
	return err > 0 ? err : 0;
}

__attribute__((unused))
static void digest_all(uint8_t ret[32], struct walk *ret_walk)
{
	struct walk w = { .text = HERD_BUF_INIT };

	walk_dir(&w, volume->root_ino);
	herd_sha256(w.text.data, w.text.len, ret);
	herd_buf_deinit(&w.text);
	if (ret_walk)
		*ret_walk = w;
}

/* ---- finding things ---- */

__attribute__((unused))
static int find(void *arg, const char *name, size_t len, uint64_t ino,
		unsigned char type)
{
	struct name *wanted = arg;

	(void)type;
	if (len != wanted->len || memcmp(name, wanted->bytes, len))
		return 0;
	wanted->ino = ino;
	return 1;
}

__attribute__((unused))
static uint64_t ino_of(const char *name)
{
	struct name w = { .bytes = (char *)(uintptr_t)name,
			  .len = strlen(name) };

	volume->ops->readdir(volume, volume->root_ino, find, &w, NULL);
	if (!w.ino)
		fail_msg("%s is not there", name);
	return w.ino;
}

/* Where the record of ino lies: asked of inodes_in, byte by byte. */
struct probe {
	uint64_t ino;
	bool found;
};

__attribute__((unused))
static int is_it(void *arg, uint64_t ino)
{
	struct probe *p = arg;

	p->found |= ino == p->ino;
	return 0;
}

__attribute__((unused))
static uint64_t record_of(uint64_t ino)
{
	struct probe p = { .ino = ino };
	uint64_t at = 0;

	for (uint64_t step = 1 << 20; step >= 128; step /= 2)
		for (p.found = false; at < image.whole; at += step) {
			struct herd_extent e = { at, step };
			struct herd_extents one = { .v = &e, .n = 1 };

			volume->ops->inodes_in(volume, &one, is_it, &p, NULL);
			if (p.found)
				break;
		}
	assert_true(p.found);
	return at;
}

__attribute__((unused))
static void read_inode(const char *name, struct herd_inode *ret)
{
	*ret = (struct herd_inode){ 0 };
	herd_diag_clear(&diag);
	if (volume->ops->inode(volume, ino_of(name), ret, &diag))
		fail_msg("%s: %s", name, diag.message);
}

__attribute__((unused))
static void expect_problem(const char *name, const char *text, bool readable)
{
	struct herd_inode i;

	read_inode(name, &i);
	if (!i.problem || !strstr(i.problem, text))
		fail_msg("%s: problem \"%s\", not \"%s\"", name,
			 i.problem ? i.problem : "", text);
	if (S_ISREG(i.mode))
		assert_int_equal(i.content != HERD_CONTENT_UNREADABLE, readable);
	herd_inode_deinit(&i);
}

__attribute__((unused))
static void expect_fine(const char *name)
{
	struct herd_inode i;

	read_inode(name, &i);
	assert_null(i.problem);
	herd_inode_deinit(&i);
}

__attribute__((unused))
static struct herd_run first_run(const char *name, bool meta)
{
	struct herd_inode i;

	read_inode(name, &i);
	assert_true(meta ? i.n_meta : i.n_runs);
	struct herd_run r = meta ? i.meta[0] : i.runs[0];

	herd_inode_deinit(&i);
	return r;
}

/* Where the block of name at logical lies. */
__attribute__((unused))
static uint64_t block_of(const char *name, uint64_t logical)
{
	struct herd_inode i;
	uint64_t at = 0;

	read_inode(name, &i);
	for (size_t k = 0; k < i.n_runs; k++)
		if (logical >= i.runs[k].logical &&
		    logical - i.runs[k].logical < i.runs[k].len)
			at = i.runs[k].phys + (logical - i.runs[k].logical);
	herd_inode_deinit(&i);
	assert_true(at);
	return at;
}

/* The first leaf below the root of an extent tree. */
__attribute__((unused))
static uint64_t leaf_below(uint64_t root)
{
	uint64_t at = root;

	while (get32(at + 4) >> 16)
		at = (uint64_t)get32(at + 16) * 1024;
	assert_true(at != root);
	return at;
}

/* ---- images ---- */

static const char make_tree[] =
	"rm -rf tree; mkdir -p tree/sub/deeper tree/many; cd tree\n"
	"for i in $(seq 1 300); do echo $i > \"many/a name of some length $i\"; done\n"
	"for i in 0 1 59 60 61 150 5000 70000; do head -c $i /dev/zero | tr '\\0' x > f$i; done\n"
	"for i in $(seq 0 2 800); do printf %1024s $i | dd of=holes bs=1024 seek=$i conv=notrunc status=none; done\n"
	"ln -s short link; ln -s $(printf %200s | tr ' ' l) long\n"
	"mkfifo fifo; ln f5000 sub/hard; echo deep > sub/deeper/x; cd ..\n";

__attribute__((unused))
static void make(const char *name, const char *options)
{
	assert_int_equal(sh("[ -d tree ] || { %s }", make_tree), 0);
	assert_int_equal(sh("rm -f %s; truncate -s 20M %s; mke2fs -q -F %s -d tree %s",
			    name, name, options, name), 0);
	assert_int_equal(sh("head -c 600 /dev/zero | tr '\\0' v > value; "
			    "debugfs -w -R 'ea_set f5000 user.long -f value' %s && "
			    "debugfs -w -R 'ea_set f1 user.short abc' %s",
			    name, name), 0);
}

__attribute__((unused))
static bool ready(void)
{
	if (have("mke2fs") && have("debugfs"))
		return true;
	print_message("skipped: needs mke2fs and debugfs\n");
	return false;
}

#endif
