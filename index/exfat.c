/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Directories and inodes of exFAT. A file is a set of slots: 0x85 (times,
 * attributes), 0xC0 (size, place), then names of 15 units each.
 * Threads: as struct herd_fat, one at a time.
 */
#include "index/fat.h"

#include "acquire/base/cleanup.h"
#include "acquire/base/cursor.h"
#include "index/utf16.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define SLOT_BITMAP 0x81
#define SLOT_LABEL 0x83
#define SLOT_FILE 0x85
#define SLOT_STREAM 0xc0
#define SLOT_NAME 0xc1

#define ATTR_READONLY 0x01u
#define ATTR_DIRECTORY 0x10u
#define DIR_MAX (256u << 20) /* what exFAT allows */

/* What the stream slot says. */
struct stream {
	bool contiguous;
	unsigned name_len;
	uint64_t valid, size;
	uint32_t first;
};

static struct stream parse_stream(const uint8_t *s)
{
	struct herd_cursor c = herd_cursor(s, HERD_FAT_SLOT);
	struct stream st = { .contiguous = s[1] & 2, .name_len = s[3] };

	herd_cur_seek(&c, 8);
	st.valid = herd_cur_le64(&c);
	herd_cur_seek(&c, 20);
	st.first = herd_cur_le32(&c);
	st.size = herd_cur_le64(&c);
	return st;
}

struct listing {
	struct herd_fat *f;
	herd_fat_name_fn fn;
	void *arg;
	struct herd_diag *diag;
	int damage;
	bool ended;
	/* the set that is being read */
	uint64_t at;   /* of its first slot */
	unsigned left; /* slots of it still to come; 0: none */
	bool directory, have_stream;
	unsigned name_len, units_len;
	uint8_t units[2 * 255];
};

static void damaged(struct listing *l, const char *what, uint64_t at)
{
	if (!l->damage)
		l->damage = herd_diag_set(l->diag, -EBADMSG, l->f->source->name,
					  at, "%s", what);
}

static int give(struct listing *l)
{
	char name[HERD_UTF8_MAX(255) + 1];
	size_t len;

	if (!l->have_stream || !l->name_len || l->units_len < l->name_len) {
		damaged(l, "a directory entry lacks its size or name", l->at);
		return 0;
	}
	len = herd_utf16_to_bytes(l->units, l->name_len, name);
	if (memchr(name, '/', len) || memchr(name, '\0', len) ||
	    !strcmp(name, ".") || !strcmp(name, "..")) {
		damaged(l, "a name holds '/' or NUL, or is a dot", l->at);
		return 0;
	}
	return l->fn(l->arg, name, len, herd_fat_ino(l->f, l->at),
		     l->directory ? DT_DIR : DT_REG);
}

static void name_slot(struct listing *l, const uint8_t *s)
{
	unsigned n = 255 - l->units_len < 15 ? 255 - l->units_len : 15;

	memcpy(l->units + 2 * l->units_len, s + 2, 2 * n);
	l->units_len += n;
}

static int one_slot(void *arg, const uint8_t *s, uint64_t at)
{
	struct listing *l = arg;

	if (l->left && (s[0] & 0xc0) != 0xc0) {
		damaged(l, "a directory entry is cut", l->at);
		l->left = 0;
	}
	if (!s[0]) {
		l->ended = true;
		return 1;
	}
	if (s[0] == SLOT_FILE) {
		l->at = at;
		l->left = s[1];
		l->directory = s[4] & ATTR_DIRECTORY;
		l->have_stream = false;
		l->name_len = l->units_len = 0;
		if (!l->left)
			damaged(l, "a directory entry lacks its size or name",
				at);
		return 0;
	}
	if (!l->left)
		return 0;
	if (s[0] == SLOT_STREAM && !l->have_stream) {
		l->have_stream = true;
		l->name_len = parse_stream(s).name_len;
	} else if (s[0] == SLOT_NAME) {
		name_slot(l, s);
	}
	return --l->left ? 0 : give(l);
}

static bool is_stream(struct herd_fat *f, uint64_t at, uint8_t *s)
{
	return !herd_source_read(f->source, s, HERD_FAT_SLOT, at, NULL) &&
	       s[0] == SLOT_STREAM;
}

/*
 * The stream slot that follows the file slot at `at`. Where that is the last
 * of its cluster, the next one is found through the table, or, in directories
 * that are not in the table, it is the next on the volume.
 */
static int load_stream(struct herd_fat *f, uint64_t at, uint8_t *s,
		       struct herd_diag *diag)
{
	uint64_t next = at + HERD_FAT_SLOT;

	if ((next - f->heap) % f->cluster) {
		if (is_stream(f, next, s))
			return 0;
	} else {
		uint32_t cluster = (uint32_t)((at - f->heap) / f->cluster) + 2,
			 to = 0;

		if (!herd_fat_next(f, cluster, &to, NULL) && to >= 2 &&
		    to - 2 < f->clusters &&
		    is_stream(f, f->heap + (uint64_t)(to - 2) * f->cluster, s))
			return 0;
		if (is_stream(f, next, s))
			return 0;
	}
	return herd_diag_set(diag, -EBADMSG, f->source->name, at,
			     "a directory entry lacks its size and place");
}

/* Both slots of an inode. */
static int load_set(struct herd_fat *f, uint64_t ino, uint8_t *file,
		    struct stream *st, struct herd_diag *diag)
{
	uint8_t s[HERD_FAT_SLOT];
	uint64_t at;
	int err = herd_fat_slot(f, ino, &at);

	if (err)
		return herd_diag_set(diag, err, f->source->name, HERD_NO_OFFSET,
				     "no slot has inode number %llu",
				     (unsigned long long)ino);
	err = herd_source_read(f->source, file, HERD_FAT_SLOT, at, diag);
	if (err)
		return err;
	if (file[0] != SLOT_FILE)
		return herd_diag_set(diag, -EBADMSG, f->source->name, at,
				     "this slot is no file or directory");
	err = load_stream(f, at, s, diag);
	if (!err)
		*st = parse_stream(s);
	return err;
}

/* Local time with a zone in quarters of an hour; without one, UTC. */
static struct herd_time exfat_time(struct herd_cursor c, size_t at,
				   size_t tens_at, size_t zone_at)
{
	struct herd_time t;
	unsigned time, date, tens = 0;
	uint8_t zone;

	herd_cur_seek(&c, at);
	time = herd_cur_le16(&c);
	date = herd_cur_le16(&c);
	if (tens_at) {
		herd_cur_seek(&c, tens_at);
		tens = herd_cur_u8(&c);
	}
	herd_cur_seek(&c, zone_at);
	zone = herd_cur_u8(&c);
	t = herd_fat_time(date, time, tens < 200 ? tens : 0);
	if (zone & 0x80)
		t.sec -= 900 *
			 (zone & 0x40 ? (int)(zone & 0x7f) - 128 : zone & 0x7f);
	return t;
}

static int dir_chain(struct herd_fat *f, uint64_t ino, struct herd_fat_chain *c,
		     struct herd_diag *diag)
{
	uint8_t file[HERD_FAT_SLOT];
	struct stream st;
	int err;

	if (ino == HERD_FAT_ROOT)
		return herd_fat_chain(f, f->root,
				      (uint64_t)DIR_MAX + f->cluster, false, c);
	err = load_set(f, ino, file, &st, diag);
	if (err)
		return err;
	if (!(file[4] & ATTR_DIRECTORY))
		return herd_diag_set(diag, -ENOTDIR, f->source->name,
				     HERD_NO_OFFSET,
				     "inode %llu is no directory",
				     (unsigned long long)ino);
	if (st.size > DIR_MAX)
		st.size = (uint64_t)DIR_MAX + 1;
	return herd_fat_chain(f, st.first, st.size, st.contiguous, c);
}

int herd_exfat_readdir(struct herd_fat *f, uint64_t ino, herd_fat_name_fn fn,
		       void *arg, struct herd_diag *diag)
{
	CLEANUP(herd_fat_chain_deinit) struct herd_fat_chain c = { 0 };
	struct listing l = { .f = f, .fn = fn, .arg = arg, .diag = diag };
	int err = dir_chain(f, ino, &c, diag);

	if (!err)
		err = herd_fat_slots(f, &c, one_slot, &l, diag);
	if (err)
		return err;
	if (!l.ended && c.broken)
		return herd_diag_set(diag, -EBADMSG, f->source->name,
				     HERD_NO_OFFSET,
				     "directory %llu is cut off: %s",
				     (unsigned long long)ino, c.broken);
	if (!l.ended && c.len > DIR_MAX)
		return herd_diag_set(diag, -EOVERFLOW, f->source->name,
				     HERD_NO_OFFSET,
				     "directory %llu is larger than 256 MiB",
				     (unsigned long long)ino);
	if (l.left)
		damaged(&l, "a directory entry is cut", l.at);
	return l.damage;
}

static int root_inode(struct herd_fat *f, struct herd_inode *ret,
		      struct herd_diag *diag)
{
	CLEANUP(herd_fat_chain_deinit) struct herd_fat_chain c = { 0 };
	int err = dir_chain(f, HERD_FAT_ROOT, &c, diag);

	if (err)
		return err;
	*ret = (struct herd_inode){ .ino = HERD_FAT_ROOT,
				    .nlink = 1,
				    .mode = S_IFDIR | 0777,
				    .size = c.len };
	return 0;
}

int herd_exfat_inode(struct herd_fat *f, uint64_t ino, struct herd_inode *ret,
		     struct herd_diag *diag)
{
	struct herd_inode in = { .ino = ino, .nlink = 1 };
	uint8_t file[HERD_FAT_SLOT];
	struct herd_cursor c = herd_cursor(file, sizeof(file));
	struct stream st;
	unsigned attr;
	int err;

	if (ino == HERD_FAT_ROOT)
		return root_inode(f, ret, diag);
	err = load_set(f, ino, file, &st, diag);
	if (err)
		return err;
	in.btime = exfat_time(c, 8, 20, 22);
	in.mtime = in.ctime = exfat_time(c, 12, 21, 23);
	in.atime = exfat_time(c, 16, 0, 24);
	attr = file[4];
	if (attr & ATTR_DIRECTORY) {
		in.mode = S_IFDIR | 0777;
		in.size = st.size > INT64_MAX ? 0 : st.size;
	} else {
		in.mode = S_IFREG | (attr & ATTR_READONLY ? 0555 : 0777);
		err = herd_fat_content(f, st.first, st.size, st.valid,
				       st.contiguous, &in);
		if (err)
			return err;
	}
	*ret = in;
	return 0;
}

struct label {
	char *out;
	size_t size;
};

static int find_label(void *arg, const uint8_t *s, uint64_t at)
{
	struct label *l = arg;

	(void)at;
	if (!s[0])
		return 1;
	if (s[0] != SLOT_LABEL)
		return 0;
	herd_utf16_text(s + 2, s[1] < 11 ? s[1] : 11, l->out, l->size);
	return 1;
}

void herd_exfat_label(struct herd_fat *f, char *out, size_t size)
{
	CLEANUP(herd_fat_chain_deinit) struct herd_fat_chain c = { 0 };
	struct label l = { out, size };

	out[0] = '\0';
	if (!dir_chain(f, HERD_FAT_ROOT, &c, NULL))
		herd_fat_slots(f, &c, find_label, &l, NULL);
}

struct search {
	struct herd_fat *f;
	bool found;
};

static int find_bitmap(void *arg, const uint8_t *s, uint64_t at)
{
	struct search *b = arg;
	struct stream st = parse_stream(s);

	(void)at;
	if (s[0] == SLOT_BITMAP && !(s[1] & 1) && st.first >= 2 &&
	    st.first - 2 < b->f->clusters &&
	    st.size >= (b->f->clusters + 7ull) / 8 &&
	    st.size <=
		    (uint64_t)(b->f->clusters - (st.first - 2)) * b->f->cluster)
		b->found = true;
	return b->found;
}

int herd_exfat_safe_for_libtsk(struct herd_fat *f, struct herd_diag *diag)
{
	CLEANUP(herd_fat_chain_deinit) struct herd_fat_chain c = { 0 };
	struct search b = { f, false };
	int err = herd_fat_chain(f, f->root, f->cluster, false, &c);

	/* where there is none it reads on to the end of the volume */
	if (!err)
		err = herd_fat_slots(f, &c, find_bitmap, &b, diag);
	if (!err && !b.found)
		err = herd_diag_set(
			diag, -EBADMSG, f->source->name, HERD_NO_OFFSET,
			"exFAT: the root directory names no allocation bitmap");
	return err;
}
