/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Directories and inodes of FAT12, FAT16 and FAT32: long names, 8.3 names in
 * code page 437. Threads: as struct herd_fat, one at a time.
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

#define ATTR_READONLY 0x01u
#define ATTR_VOLUME 0x08u
#define ATTR_DIRECTORY 0x10u
#define ATTR_LONG 0x0fu
#define DIR_MAX (2u << 20) /* 65,536 slots: what FAT allows */
#define LONG_SLOTS 20u	   /* of 13 units each */

/* Code page 437 from 0x80 on, which DOS and Linux take unless told otherwise. */
static const uint16_t cp437[128] = {
	0x00c7, 0x00fc, 0x00e9, 0x00e2, 0x00e4, 0x00e0, 0x00e5, 0x00e7, 0x00ea,
	0x00eb, 0x00e8, 0x00ef, 0x00ee, 0x00ec, 0x00c4, 0x00c5, 0x00c9, 0x00e6,
	0x00c6, 0x00f4, 0x00f6, 0x00f2, 0x00fb, 0x00f9, 0x00ff, 0x00d6, 0x00dc,
	0x00a2, 0x00a3, 0x00a5, 0x20a7, 0x0192, 0x00e1, 0x00ed, 0x00f3, 0x00fa,
	0x00f1, 0x00d1, 0x00aa, 0x00ba, 0x00bf, 0x2310, 0x00ac, 0x00bd, 0x00bc,
	0x00a1, 0x00ab, 0x00bb, 0x2591, 0x2592, 0x2593, 0x2502, 0x2524, 0x2561,
	0x2562, 0x2556, 0x2555, 0x2563, 0x2551, 0x2557, 0x255d, 0x255c, 0x255b,
	0x2510, 0x2514, 0x2534, 0x252c, 0x251c, 0x2500, 0x253c, 0x255e, 0x255f,
	0x255a, 0x2554, 0x2569, 0x2566, 0x2560, 0x2550, 0x256c, 0x2567, 0x2568,
	0x2564, 0x2565, 0x2559, 0x2558, 0x2552, 0x2553, 0x256b, 0x256a, 0x2518,
	0x250c, 0x2588, 0x2584, 0x258c, 0x2590, 0x2580, 0x03b1, 0x00df, 0x0393,
	0x03c0, 0x03a3, 0x03c3, 0x00b5, 0x03c4, 0x03a6, 0x0398, 0x03a9, 0x03b4,
	0x221e, 0x03c6, 0x03b5, 0x2229, 0x2261, 0x00b1, 0x2265, 0x2264, 0x2320,
	0x2321, 0x00f7, 0x2248, 0x00b0, 0x2219, 0x00b7, 0x221a, 0x207f, 0x00b2,
	0x25a0, 0x00a0,
};

struct listing {
	struct herd_fat *f;
	herd_fat_name_fn fn;
	void *arg;
	struct herd_diag *diag;
	int damage;
	bool ended;
	/* a long name that is being put together, last slot first */
	uint8_t units[LONG_SLOTS * 26];
	unsigned expect; /* the next slot's number; 0: none */
	unsigned slots;	 /* of the long name; 0: there is none */
	uint8_t sum;
};

static void long_slot(struct listing *l, const uint8_t *s)
{
	static const uint8_t at[] = { 1,  3,  5,  7,  9,  14, 16,
				      18, 20, 22, 24, 28, 30 };
	unsigned order = s[0] & 0x3f;

	if (s[0] & 0x40) {
		l->slots = order <= LONG_SLOTS ? order : 0;
		l->expect = l->slots;
		l->sum = s[13];
	}
	if (!l->expect || order != l->expect || s[13] != l->sum) {
		l->slots = l->expect = 0;
		return;
	}
	for (unsigned i = 0; i < ARRAY_SIZE(at); i++)
		memcpy(l->units + 26 * (order - 1) + 2 * i, s + at[i], 2);
	l->expect--;
}

static uint8_t short_sum(const uint8_t *s)
{
	uint8_t sum = 0;

	for (unsigned i = 0; i < 11; i++)
		sum = (uint8_t)((sum >> 1 | sum << 7) + s[i]);
	return sum;
}

/* 0 when the slots before s are not a whole long name of s. */
static size_t long_name(struct listing *l, const uint8_t *s, char *out)
{
	size_t n = l->slots * 13u;

	if (!l->slots || l->expect || l->sum != short_sum(s))
		return 0;
	for (size_t i = 0; i < n; i++)
		if (!l->units[2 * i] && !l->units[2 * i + 1])
			n = i;
	return herd_utf16_to_bytes(l->units, n, out);
}

static size_t short_part(const uint8_t *p, unsigned n, bool lower, char *out)
{
	uint8_t units[2 * 8];
	unsigned k = n;

	while (k && p[k - 1] == ' ')
		k--;
	for (unsigned i = 0; i < k; i++) {
		uint16_t c = p[i] < 0x80 ? p[i] : cp437[p[i] - 0x80];

		if (lower && c >= 'A' && c <= 'Z')
			c += 'a' - 'A';
		units[2 * i] = (uint8_t)c;
		units[2 * i + 1] = (uint8_t)(c >> 8);
	}
	return herd_utf16_to_bytes(units, k, out);
}

/* Byte 12 says, since Windows NT, which half is shown in lower case. */
static size_t short_name(const uint8_t *s, char *out)
{
	uint8_t base[8];
	size_t len, ext;

	memcpy(base, s, sizeof(base));
	if (base[0] == 0x05)
		base[0] = 0xe5; /* 0xe5 itself marks a deleted slot */
	len = short_part(base, 8, s[12] & 0x08, out);
	ext = short_part(s + 8, 3, s[12] & 0x10, out + len + 1);
	if (ext) {
		out[len] = '.';
		len += 1 + ext;
	}
	out[len] = '\0';
	return len;
}

static int one_slot(void *arg, const uint8_t *s, uint64_t at)
{
	struct listing *l = arg;
	char name[HERD_UTF8_MAX(LONG_SLOTS * 13) + 1];
	size_t len;

	if (!s[0]) {
		l->ended = true;
		return 1;
	}
	if (s[0] != 0xe5 && (s[11] & 0x3f) == ATTR_LONG) {
		long_slot(l, s);
		return 0;
	}
	if (s[0] == 0xe5 || s[11] & ATTR_VOLUME) {
		l->slots = 0;
		return 0;
	}
	len = long_name(l, s, name);
	if (!len)
		len = short_name(s, name);
	l->slots = 0;
	if ((len == 1 && name[0] == '.') ||
	    (len == 2 && !memcmp(name, "..", 2)))
		return 0;
	if (!len || memchr(name, '/', len) || memchr(name, '\0', len)) {
		l->damage =
			herd_diag_set(l->diag, -EBADMSG, l->f->source->name, at,
				      "a name is empty or holds '/' or NUL");
		return 0;
	}
	return l->fn(l->arg, name, len, herd_fat_ino(l->f, at),
		     s[11] & ATTR_DIRECTORY ? DT_DIR : DT_REG);
}

static uint32_t first_cluster(const struct herd_fat *f, const uint8_t *s)
{
	uint32_t low = s[26] | (uint32_t)s[27] << 8;

	return f->kind == HERD_FAT32 ?
		       (low | (uint32_t)s[20] << 16 | (uint32_t)s[21] << 24) &
			       0x0fffffff :
		       low;
}

/* The slot of an inode, which must be that of a file or directory. */
static int load_slot(struct herd_fat *f, uint64_t ino, uint8_t *s, uint64_t *at,
		     struct herd_diag *diag)
{
	int err = herd_fat_slot(f, ino, at);

	if (err)
		return herd_diag_set(diag, err, f->source->name, HERD_NO_OFFSET,
				     "no slot has inode number %llu",
				     (unsigned long long)ino);
	err = herd_source_read(f->source, s, HERD_FAT_SLOT, *at, diag);
	if (err)
		return err;
	if (!s[0] || s[0] == 0xe5 || (s[11] & 0x3f) == ATTR_LONG ||
	    s[11] & ATTR_VOLUME)
		return herd_diag_set(diag, -EBADMSG, f->source->name, *at,
				     "this slot is no file or directory");
	return 0;
}

static int dir_chain(struct herd_fat *f, uint64_t ino, struct herd_fat_chain *c,
		     uint64_t *at, struct herd_diag *diag)
{
	uint8_t s[HERD_FAT_SLOT];
	int err;

	*at = f->data;
	if (ino == HERD_FAT_ROOT && !f->root) {
		c->v = calloc(1, sizeof(*c->v));
		if (!c->v)
			return -ENOMEM;
		c->v[0] = (struct herd_run){ 0, f->data, f->root_len };
		c->n = c->cap = 1;
		c->len = f->root_len;
		return 0;
	}
	if (ino == HERD_FAT_ROOT)
		return herd_fat_chain(f, f->root, DIR_MAX + f->cluster, false,
				      c);
	err = load_slot(f, ino, s, at, diag);
	if (err)
		return err;
	if (!(s[11] & ATTR_DIRECTORY))
		return herd_diag_set(diag, -ENOTDIR, f->source->name, *at,
				     "this slot is no directory");
	return herd_fat_chain(f, first_cluster(f, s), DIR_MAX + f->cluster,
			      false, c);
}

int herd_fat_readdir(struct herd_fat *f, uint64_t ino, herd_fat_name_fn fn,
		     void *arg, struct herd_diag *diag)
{
	CLEANUP(herd_fat_chain_deinit) struct herd_fat_chain c = { 0 };
	struct listing l = { .f = f, .fn = fn, .arg = arg, .diag = diag };
	uint64_t at;
	int err = dir_chain(f, ino, &c, &at, diag);

	if (!err)
		err = herd_fat_slots(f, &c, one_slot, &l, diag);
	if (err)
		return err;
	/* names may follow where the chain breaks, unless the end was seen */
	if (!l.ended && c.broken)
		return herd_diag_set(diag, -EBADMSG, f->source->name, at,
				     "a directory is cut off: %s", c.broken);
	if (!l.ended && c.len > DIR_MAX)
		return herd_diag_set(diag, -EOVERFLOW, f->source->name, at,
				     "a directory of more than 65,536 slots");
	return l.damage;
}

int herd_fat_inode(struct herd_fat *f, uint64_t ino, struct herd_inode *ret,
		   struct herd_diag *diag)
{
	CLEANUP(herd_fat_chain_deinit) struct herd_fat_chain c = { 0 };
	struct herd_inode in = { .ino = ino,
				 .nlink = 1,
				 .mode = S_IFDIR | 0777 };
	uint8_t s[HERD_FAT_SLOT];
	struct herd_cursor cur = herd_cursor(s, sizeof(s));
	unsigned tens, time, date, adate;
	uint64_t at;
	int err;

	if (ino != HERD_FAT_ROOT) {
		err = load_slot(f, ino, s, &at, diag);
		if (err)
			return err;
		herd_cur_seek(&cur, 13);
		tens = herd_cur_u8(&cur);
		time = herd_cur_le16(&cur);
		date = herd_cur_le16(&cur);
		adate = herd_cur_le16(&cur);
		if (date)
			in.btime = herd_fat_time(date, time, tens);
		if (adate)
			in.atime = herd_fat_time(adate, 0, 0);
		herd_cur_le16(&cur);
		time = herd_cur_le16(&cur);
		date = herd_cur_le16(&cur);
		in.mtime = in.ctime = herd_fat_time(date, time, 0);
		if (!(s[11] & ATTR_DIRECTORY)) {
			in.mode = S_IFREG |
				  (s[11] & ATTR_READONLY ? 0555 : 0777);
			herd_cur_seek(&cur, 28);
			err = herd_fat_content(f, first_cluster(f, s),
					       herd_cur_le32(&cur), UINT64_MAX,
					       false, &in);
			if (err)
				return err;
			*ret = in;
			return 0;
		}
	}
	err = dir_chain(f, ino, &c, &at, diag);
	if (err)
		return err;
	in.size = c.len;
	*ret = in;
	return 0;
}

static int find_label(void *arg, const uint8_t *s, uint64_t at)
{
	char *out = arg;

	(void)at;
	if (!s[0])
		return 1;
	if (s[0] == 0xe5 || (s[11] & 0x3f) == ATTR_LONG ||
	    !(s[11] & ATTR_VOLUME))
		return 0;
	memcpy(out, s, 11);
	out[11] = '\0';
	return 1;
}

void herd_fat_label(struct herd_fat *f, char *out, size_t size)
{
	CLEANUP(herd_fat_chain_deinit) struct herd_fat_chain c = { 0 };
	char label[12] = "", text[HERD_UTF8_MAX(11) + 1];
	uint64_t at;

	if (!dir_chain(f, HERD_FAT_ROOT, &c, &at, NULL))
		herd_fat_slots(f, &c, find_label, label, NULL);
	if (!*label)
		memcpy(label, f->boot_label, sizeof(label));
	if (label[0] == 0x05)
		label[0] = (char)0xe5;
	/* eleven characters, as two parts of at most eight */
	size_t len =
		short_part((const uint8_t *)label + 8,
			   strnlen(label, 11) > 8 ? strnlen(label, 11) - 8 : 0,
			   false, text);
	char head[HERD_UTF8_MAX(8) + 1];
	size_t n = 0;

	if (len) {
		uint8_t units[16];

		for (unsigned i = 0; i < 8; i++) {
			uint8_t b = (uint8_t)label[i];
			uint16_t u = b < 0x80 ? b : cp437[b - 0x80];

			units[2 * i] = (uint8_t)u;
			units[2 * i + 1] = (uint8_t)(u >> 8);
		}
		n = herd_utf16_to_bytes(units, 8, head);
	} else {
		n = short_part((const uint8_t *)label, strnlen(label, 8), false,
			       head);
	}
	if (n + len < size) {
		memcpy(out, head, n);
		memcpy(out + n, text, len);
		out[n + len] = '\0';
	}
}

static int no_dots(void *arg, const uint8_t *s, uint64_t at)
{
	(void)arg;
	(void)at;
	return !s[0] ? 1 : s[0] == '.' ? -EBADMSG : 0;
}

int herd_fat_safe_for_libtsk(struct herd_fat *f, struct herd_diag *diag)
{
	CLEANUP(herd_fat_chain_deinit) struct herd_fat_chain c = { 0 };
	uint64_t at;
	int err = dir_chain(f, HERD_FAT_ROOT, &c, &at, diag);

	/* it opens the root at once, and for a ".." there it searches the
	   whole volume */
	if (!err && (c.broken || c.len > DIR_MAX || c.n > 4096))
		err = -EBADMSG;
	if (!err)
		err = herd_fat_slots(f, &c, no_dots, NULL, diag);
	return err ? herd_diag_set(
			     diag, err, f->source->name, at,
			     "FAT: the root directory is not as it should be") :
		     0;
}
