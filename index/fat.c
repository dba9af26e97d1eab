/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What FAT12/16/32 and exFAT have in common: boot sector, allocation table,
 * chains, slots, times. Threads: as struct herd_fat, one at a time.
 */
#include "index/fat.h"

#include "acquire/base/cleanup.h"
#include "acquire/base/cursor.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define WINDOW 65536u
#define BUDGET_LEAST (1u << 20)

static bool power_of_two(uint32_t v)
{
	return v && !(v & (v - 1));
}

static int boot_exfat(const uint8_t *boot, struct herd_fat *f,
		      struct herd_diag *diag)
{
	struct herd_cursor c = herd_cursor(boot, 512);
	unsigned sector, per_cluster, tables;
	uint64_t sectors, fat, fat_len, heap;

	herd_cur_seek(&c, 72);
	sectors = herd_cur_le64(&c);
	fat = herd_cur_le32(&c);
	fat_len = herd_cur_le32(&c);
	heap = herd_cur_le32(&c);
	f->clusters = herd_cur_le32(&c);
	f->root = herd_cur_le32(&c);
	f->serial = herd_cur_le32(&c);
	herd_cur_le32(&c);
	sector = herd_cur_u8(&c);
	per_cluster = herd_cur_u8(&c);
	tables = herd_cur_u8(&c);
	if (sector < 9 || sector > 12 || sector + per_cluster > 25 ||
	    tables < 1 || tables > 2)
		return herd_diag_set(
			diag, -EBADMSG, f->source->name, 108,
			"exFAT: impossible sector or cluster size");
	f->kind = HERD_EXFAT;
	f->sector = 1u << sector;
	f->cluster = f->sector << per_cluster;
	if (!sectors || sectors > (uint64_t)INT64_MAX >> sector || !fat ||
	    heap <= fat || heap >= sectors || !f->clusters ||
	    f->clusters > 0xfffffff5 ||
	    fat_len * f->sector / 4 < 2ull + f->clusters ||
	    f->clusters > ((sectors - heap) >> per_cluster) || f->root < 2 ||
	    f->root - 2 >= f->clusters)
		return herd_diag_set(diag, -EBADMSG, f->source->name, 72,
				     "exFAT: impossible layout");
	f->total = sectors << sector;
	f->fat = fat << sector;
	f->fat_len = fat_len << sector;
	f->data = f->heap = heap << sector;
	return 0;
}

/* The kind follows from the number of clusters, FAT32 from its longer BPB. */
static int kind_of_fat(struct herd_fat *f, const uint8_t *boot, bool wide,
		       struct herd_diag *diag)
{
	struct herd_cursor c = herd_cursor(boot, 512);
	unsigned label = wide ? 71 : 43;

	f->kind = wide		     ? HERD_FAT32 :
		  f->clusters < 4085 ? HERD_FAT12 :
				       HERD_FAT16;
	if (f->kind == HERD_FAT16 && f->clusters > 0xfff4)
		return herd_diag_set(diag, -EBADMSG, f->source->name, 17,
				     "FAT: too many clusters for 16 bits");
	if (f->clusters > 0x0ffffff4)
		return herd_diag_set(diag, -EBADMSG, f->source->name, 32,
				     "FAT: too many clusters");
	/* an extended boot signature says that serial and label are there */
	if (boot[label - 5] == 0x29 || boot[label - 5] == 0x28) {
		herd_cur_seek(&c, label - 4);
		f->serial = herd_cur_le32(&c);
		if (boot[label - 5] == 0x29 &&
		    memcmp(boot + label, "NO NAME    ", 11))
			memcpy(f->boot_label, boot + label, 11);
	}
	return 0;
}

static int boot_fat(const uint8_t *boot, struct herd_fat *f,
		    struct herd_diag *diag)
{
	struct herd_cursor c = herd_cursor(boot, 512);
	unsigned per_cluster, reserved, tables, roots, media;
	uint64_t sectors, table, first;
	bool wide;

	herd_cur_seek(&c, 11);
	f->sector = herd_cur_le16(&c);
	per_cluster = herd_cur_u8(&c);
	reserved = herd_cur_le16(&c);
	tables = herd_cur_u8(&c);
	roots = herd_cur_le16(&c);
	sectors = herd_cur_le16(&c);
	media = herd_cur_u8(&c);
	table = herd_cur_le16(&c);
	herd_cur_seek(&c, 32);
	if (!sectors)
		sectors = herd_cur_le32(&c);
	wide = !table;
	herd_cur_seek(&c, 36);
	if (wide)
		table = herd_cur_le32(&c);
	herd_cur_seek(&c, 44);
	f->root = wide ? herd_cur_le32(&c) : 0;
	if (f->sector < 512 || f->sector > 4096 || !power_of_two(f->sector) ||
	    !power_of_two(per_cluster) || !reserved || !tables || tables > 8 ||
	    (media < 0xf8 && media != 0xf0) || !sectors || !table)
		return memcmp(boot + 54, "FAT", 3) &&
				       memcmp(boot + 82, "FAT", 3) ?
			       -ENODATA :
			       herd_diag_set(diag, -EBADMSG, f->source->name,
					     11, "FAT: impossible boot sector");
	f->cluster = f->sector * per_cluster;
	f->total = sectors * f->sector;
	f->fat = (uint64_t)reserved * f->sector;
	f->fat_len = table * f->sector;
	f->data = f->fat + tables * f->fat_len;
	f->root_len = wide ? 0 : (uint64_t)roots * HERD_FAT_SLOT;
	first = f->data + ((uint64_t)roots * HERD_FAT_SLOT + f->sector - 1) /
				  f->sector * f->sector;
	f->heap = first;
	if (first >= f->total || (!wide && !roots) || (wide && f->root < 2))
		return herd_diag_set(diag, -EBADMSG, f->source->name, 11,
				     "FAT: impossible layout");
	f->clusters = (f->total - first) / f->cluster;
	return kind_of_fat(f, boot, wide, diag);
}

static int plain_table(struct herd_fat *f, void *buf, size_t len, uint64_t off,
		       struct herd_diag *diag)
{
	return herd_source_read(f->source, buf, len, off, diag);
}

int herd_fat_open(struct herd_source *s, struct herd_fat *ret,
		  struct herd_diag *diag)
{
	struct herd_fat f = { .source = s, .table = plain_table };
	uint8_t boot[512];
	int err;

	if (s->size < sizeof(boot))
		return -ENODATA;
	err = herd_source_read(s, boot, sizeof(boot), 0, diag);
	if (err)
		return err;
	if (boot[510] != 0x55 || boot[511] != 0xaa)
		return -ENODATA;
	if (!memcmp(boot + 3, "EXFAT   ", 8))
		err = boot_exfat(boot, &f, diag);
	else if ((boot[0] == 0xeb || boot[0] == 0xe9) &&
		 memcmp(boot + 3, "NTFS    ", 8))
		err = boot_fat(boot, &f, diag);
	else
		err = -ENODATA;
	if (err)
		return err;
	f.window = malloc(WINDOW);
	if (!f.window)
		return -ENOMEM;
	f.budget = 16ull * f.clusters + BUDGET_LEAST;
	*ret = f;
	return 0;
}

void herd_fat_deinit(struct herd_fat *f)
{
	free(f->window);
	*f = (struct herd_fat){ 0 };
}

/* n bytes of the first table at off, through the window. */
static int table_bytes(struct herd_fat *f, uint64_t off, unsigned n,
		       uint8_t *out, struct herd_diag *diag)
{
	if (off + n > f->fat_len)
		return herd_diag_set(diag, -EBADMSG, f->source->name,
				     f->fat + off,
				     "a cluster beyond the allocation table");
	if (off < f->window_at || off + n > f->window_at + f->window_len) {
		uint64_t at = off & ~511ull;
		size_t len = f->fat_len - at < WINDOW ? f->fat_len - at :
							WINDOW;
		int err;

		if (f->fat + at < f->source->size &&
		    len > f->source->size - f->fat - at)
			len = f->source->size - f->fat - at;
		f->window_len = 0;
		err = f->table(f, f->window, len, f->fat + at, diag);
		if (err)
			return err;
		f->window_at = at;
		f->window_len = len;
		if (off + n > at + len)
			return herd_diag_set(diag, -EBADMSG, f->source->name,
					     f->fat + off,
					     "the allocation table is cut off");
	}
	memcpy(out, f->window + (off - f->window_at), n);
	return 0;
}

int herd_fat_next(struct herd_fat *f, uint32_t cluster, uint32_t *ret,
		  struct herd_diag *diag)
{
	uint8_t b[4] = { 0 };
	uint64_t off = f->kind == HERD_FAT12 ? (uint64_t)cluster + cluster / 2 :
		       f->kind == HERD_FAT16 ? (uint64_t)cluster * 2 :
					       (uint64_t)cluster * 4;
	unsigned n = f->kind <= HERD_FAT16 ? 2 : 4;
	int err = table_bytes(f, off, n, b, diag);
	uint32_t v;

	if (err)
		return err;
	v = (uint32_t)b[0] | (uint32_t)b[1] << 8 | (uint32_t)b[2] << 16 |
	    (uint32_t)b[3] << 24;
	if (f->kind == HERD_FAT12)
		v = cluster & 1 ? v >> 4 : v & 0xfff;
	else if (f->kind == HERD_FAT32)
		v &= 0x0fffffff;
	*ret = v;
	return 0;
}

static bool is_end(const struct herd_fat *f, uint32_t v)
{
	switch (f->kind) {
	case HERD_FAT12:
		return v >= 0xff8;
	case HERD_FAT16:
		return v >= 0xfff8;
	case HERD_FAT32:
		return v >= 0x0ffffff8;
	default:
		return v >= 0xfffffff8;
	}
}

void herd_fat_chain_deinit(struct herd_fat_chain *c)
{
	free(c->v);
	*c = (struct herd_fat_chain){ 0 };
}

static int chain_add(struct herd_fat_chain *c, uint64_t phys, uint64_t len)
{
	struct herd_run *last = c->n ? &c->v[c->n - 1] : NULL;

	if (last && last->phys + last->len == phys) {
		last->len += len;
		c->len += len;
		return 0;
	}
	if (c->n == HERD_RUNS_MAX)
		return -EOVERFLOW;
	if (c->n == c->cap) {
		size_t cap = c->cap ? 2 * c->cap : 4;
		struct herd_run *v = reallocarray(c->v, cap, sizeof(*v));

		if (!v)
			return -ENOMEM;
		c->v = v;
		c->cap = cap;
	}
	c->v[c->n++] = (struct herd_run){ c->len, phys, len };
	c->len += len;
	return 0;
}

static int chain_contiguous(struct herd_fat *f, uint32_t first, uint64_t count,
			    struct herd_fat_chain *ret)
{
	if (first < 2 || first - 2 >= f->clusters ||
	    count > f->clusters - (first - 2)) {
		ret->broken = "it lies outside the volume";
		return 0;
	}
	return chain_add(ret, f->heap + (uint64_t)(first - 2) * f->cluster,
			 count * f->cluster);
}

int herd_fat_chain(struct herd_fat *f, uint32_t first, uint64_t want,
		   bool contiguous, struct herd_fat_chain *ret)
{
	uint64_t count = want / f->cluster + !!(want % f->cluster);
	uint32_t at = first, marker = first;
	int err;

	if (contiguous)
		return count ? chain_contiguous(f, first, count, ret) : 0;
	for (uint64_t i = 0; i < count && !is_end(f, at); i++) {
		uint32_t next = 0;

		/* any cycle meets the marker, which moves at powers of two */
		if (i && at == marker) {
			ret->broken = "its cluster chain is a loop";
			return 0;
		}
		if (!(i & (i - 1)))
			marker = at;
		if (at < 2 || at - 2 >= f->clusters) {
			ret->broken =
				at ? "its cluster chain leaves the volume" :
				     "its cluster chain runs into a free cluster";
			return 0;
		}
		err = chain_add(ret, f->heap + (uint64_t)(at - 2) * f->cluster,
				f->cluster);
		if (err)
			return err;
		if (i + 1 == count)
			return 0;
		if (!f->budget) {
			ret->broken = "chains are longer than the volume";
			return 0;
		}
		f->budget--;
		if (herd_fat_next(f, at, &next, NULL)) {
			ret->broken =
				"the allocation table is unreadable there";
			return 0;
		}
		at = next;
	}
	return 0;
}

__attribute__((format(printf, 2, 3))) static void
unreadable(struct herd_inode *in, const char *fmt, ...)
{
	char text[256];
	va_list ap;

	in->content = HERD_CONTENT_UNREADABLE;
	free(in->runs);
	in->runs = NULL;
	in->n_runs = 0;
	if (in->problem)
		return;
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	in->problem = strdup(text);
}

int herd_fat_content(struct herd_fat *f, uint32_t first, uint64_t size,
		     uint64_t valid, bool contiguous, struct herd_inode *in)
{
	struct herd_fat_chain c = { 0 };
	uint64_t end = valid < size ? valid : size;
	size_t n = 0;
	int err;

	in->size = size;
	if (!size)
		return 0;
	if (size > (uint64_t)f->clusters * f->cluster) {
		if (size > INT64_MAX)
			in->size = 0;
		unreadable(in,
			   "its size, %llu bytes, is larger than the volume",
			   (unsigned long long)size);
		return 0;
	}
	err = herd_fat_chain(f, first, size, contiguous, &c);
	if (err && err != -EOVERFLOW) {
		herd_fat_chain_deinit(&c);
		return err;
	}
	in->content = HERD_CONTENT_RUNS;
	in->runs = c.v;
	if (c.len < size) {
		unreadable(in, "%llu of %llu bytes have a place: %s",
			   (unsigned long long)c.len, (unsigned long long)size,
			   c.broken ? c.broken :
			   err	    ? "too many fragments" :
				      "its cluster chain ends early");
		return 0;
	}
	for (; n < c.n && in->runs[n].logical < end; n++) {
		struct herd_run *r = &in->runs[n];

		if (r->len > end - r->logical)
			r->len = end - r->logical;
		if (r->phys > f->source->size ||
		    r->len > f->source->size - r->phys) {
			unreadable(
				in,
				"content lies beyond the end of the volume, at byte %llu",
				(unsigned long long)r->phys);
			return 0;
		}
	}
	in->n_runs = n;
	return 0;
}

struct herd_time herd_fat_time(unsigned date, unsigned time, unsigned tens)
{
	/* as Linux takes what cannot be: month and day 0 as 1 */
	struct tm tm = {
		.tm_year = 80 + (int)(date >> 9),
		.tm_mon = (date >> 5 & 15) ? (int)(date >> 5 & 15) - 1 : 0,
		.tm_mday = date & 31 ? (int)(date & 31) : 1,
		.tm_hour = (int)(time >> 11),
		.tm_min = (int)(time >> 5 & 63),
		.tm_sec = (int)(time & 31) * 2,
	};
	struct herd_time t = { timegm(&tm) + tens / 100,
			       tens % 100 * 10000000 };

	return t;
}

uint64_t herd_fat_ino(const struct herd_fat *f, uint64_t at)
{
	return (at - f->data) / HERD_FAT_SLOT + 3;
}

int herd_fat_slot(const struct herd_fat *f, uint64_t ino, uint64_t *ret)
{
	uint64_t limit = f->source->size < f->total ? f->source->size :
						      f->total;

	if (ino < 3 || limit < f->data ||
	    ino - 3 >= (limit - f->data) / HERD_FAT_SLOT)
		return -EBADMSG;
	*ret = f->data + (ino - 3) * HERD_FAT_SLOT;
	return 0;
}

int herd_fat_slots(struct herd_fat *f, const struct herd_fat_chain *c,
		   int (*fn)(void *arg, const uint8_t *slot, uint64_t at),
		   void *arg, struct herd_diag *diag)
{
	CLEANUP_FREE uint8_t *buf = malloc(WINDOW);

	if (!buf)
		return -ENOMEM;
	for (size_t i = 0; i < c->n; i++) {
		for (uint64_t off = 0; off < c->v[i].len;) {
			uint64_t at = c->v[i].phys + off,
				 left = c->v[i].len - off;
			size_t len = left < WINDOW ? left : WINDOW;
			uint64_t cost = len / f->cluster + 1;
			int err;

			if (cost > f->budget)
				return herd_diag_set(
					diag, -EOVERFLOW, f->source->name, at,
					"more is listed than the volume can hold");
			f->budget -= cost;
			err = herd_source_read(f->source, buf, len, at, diag);
			if (err)
				return err;
			for (size_t k = 0; k + HERD_FAT_SLOT <= len;
			     k += HERD_FAT_SLOT) {
				err = fn(arg, buf + k, at + k);
				if (err)
					return err == 1 ? 0 : err;
			}
			off += len;
		}
	}
	return 0;
}
