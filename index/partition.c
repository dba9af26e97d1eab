/* SPDX-License-Identifier: Apache-2.0 */
/*
 * GPT and MBR partition tables, bounded and numbered as Linux numbers them.
 * Own code: libtsk gives slots of a table, not the numbers, PARTUUIDs and
 * backup headers that fstab and the kernel go by.
 *
 * Where a table claims what cannot be (past the end, overlapping), the
 * partition is cut or left out and diag says so, with a return of 0.
 * Threads: reads the source only; any.
 */
#include "index/volume.h"

#include "acquire/base/cleanup.h"
#include "acquire/base/cursor.h"
#include "index/utf16.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define GPT_ENTRIES_MAX (1u << 20) /* bytes */
#define EBR_MAX 512		   /* links of an extended partition */
#define MBR_UNIT 512u

struct table {
	struct herd_source *disk;
	struct herd_diag *diag;
	struct herd_partition *v;
	size_t n;
};

/* Adds one, cut to the disk. Notes what it had to change. */
static void add(struct table *t, const struct herd_partition *p, uint64_t at)
{
	struct herd_partition q = *p;

	if (t->n == HERD_PARTITIONS_MAX) {
		herd_diag_set(t->diag, 0, t->disk->name, at,
			      "more than %u partitions: the rest is left out",
			      HERD_PARTITIONS_MAX);
		return;
	}
	if (!q.len || q.start >= t->disk->size) {
		herd_diag_set(
			t->diag, 0, t->disk->name, at,
			"partition %u lies beyond the end of the disk and is left out",
			q.number);
		return;
	}
	if (q.len > t->disk->size - q.start) {
		herd_diag_set(
			t->diag, 0, t->disk->name, at,
			"partition %u reaches beyond the end of the disk and is cut",
			q.number);
		q.len = t->disk->size - q.start;
	}
	for (size_t i = 0; i < t->n; i++)
		if (q.start < t->v[i].start + t->v[i].len &&
		    t->v[i].start < q.start + q.len)
			herd_diag_set(t->diag, 0, t->disk->name, at,
				      "partitions %u and %u overlap",
				      t->v[i].number, q.number);
	t->v[t->n++] = q;
}

/* ---- GPT ---- */

static uint32_t crc32(const uint8_t *p, size_t len)
{
	uint32_t crc = ~0u;

	while (len--) {
		crc ^= *p++;
		for (int i = 0; i < 8; i++)
			crc = crc >> 1 ^ (crc & 1 ? 0xedb88320u : 0);
	}
	return ~crc;
}

static void guid_text(const uint8_t *g, char out[37])
{
	snprintf(
		out, 37,
		"%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x",
		g[3], g[2], g[1], g[0], g[5], g[4], g[7], g[6], g[8], g[9],
		g[10], g[11], g[12], g[13], g[14], g[15]);
}

static const char *gpt_type(const char *guid)
{
	static const struct {
		const char *guid, *name;
	} known[] = {
		{ "c12a7328-f81f-11d2-ba4b-00a0c93ec93b", "EFI System" },
		{ "21686148-6449-6e6f-744e-656564454649", "BIOS boot" },
		{ "0fc63daf-8483-4772-8e79-3d69d8477de4", "Linux filesystem" },
		{ "4f68bce3-e8cd-4db1-96e7-fbcaf984b709",
		  "Linux root (x86-64)" },
		{ "b921b045-1df0-41c3-af44-4c6f280d3fae",
		  "Linux root (ARM-64)" },
		{ "bc13c2ff-59e6-4262-a352-b275fd6f7172",
		  "Linux extended boot" },
		{ "0657fd6d-a4ab-43c4-84e5-0933c84b4f4f", "Linux swap" },
		{ "e6d6d379-f507-44c2-a23c-238f2a3df928", "Linux LVM" },
		{ "a19d880f-05fc-4d3b-a006-743f0f84911e", "Linux RAID" },
		{ "ebd0a0a2-b9e5-4433-87c0-68b6b72699c7",
		  "Microsoft basic data" },
		{ "e3c9e316-0b5c-4db8-817d-f92df00215ae",
		  "Microsoft reserved" },
		{ "de94bba4-06d1-4d40-a16a-bfd50179d6ac", "Windows recovery" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(known); i++)
		if (!strcmp(guid, known[i].guid))
			return known[i].name;
	return guid;
}

struct gpt {
	uint64_t entries; /* byte offset */
	uint32_t count, size;
	uint32_t crc;
	uint64_t other; /* byte offset of the other header */
};

/*
 * The header at byte `at` for sectors of ss bytes. -ENODATA: no magic.
 * -EBADMSG: damaged; then only ret->other is set, as far as it is believable.
 */
static int gpt_header(struct herd_source *disk, uint64_t at, uint32_t ss,
		      struct gpt *ret)
{
	uint8_t h[512];
	struct herd_cursor c = herd_cursor(h, sizeof(h));
	uint32_t len, crc;
	uint64_t self, other, entries;

	if (disk->size < ss || at > disk->size - ss ||
	    herd_source_read(disk, h, sizeof(h), at, NULL) ||
	    memcmp(h, "EFI PART", 8))
		return -ENODATA;
	herd_cur_seek(&c, 12);
	len = herd_cur_le32(&c);
	crc = herd_cur_le32(&c);
	herd_cur_le32(&c);
	self = herd_cur_le64(&c);
	other = herd_cur_le64(&c);
	herd_cur_seek(&c, 72);
	entries = herd_cur_le64(&c);
	ret->count = herd_cur_le32(&c);
	ret->size = herd_cur_le32(&c);
	ret->crc = herd_cur_le32(&c);
	ret->other = other < disk->size / ss ? other * ss : UINT64_MAX;
	if (len < 92 || len > sizeof(h) || self != at / ss)
		return -EBADMSG;
	memset(h + 16, 0, 4);
	if (crc32(h, len) != crc)
		return -EBADMSG;
	if (ret->size < 128 || ret->size > 4096 || ret->size % 8 ||
	    !ret->count || ret->count > GPT_ENTRIES_MAX / ret->size ||
	    entries >= disk->size / ss)
		return -EBADMSG;
	ret->entries = entries * ss;
	return 0;
}

static int gpt_entries(struct table *t, const struct gpt *g, uint32_t ss)
{
	size_t len = (size_t)g->count * g->size;
	CLEANUP_FREE uint8_t *buf = malloc(len);
	static const uint8_t none[16];

	if (!buf)
		return -ENOMEM;
	if (herd_source_read(t->disk, buf, len, g->entries, NULL) ||
	    crc32(buf, len) != g->crc)
		return -EBADMSG;
	for (uint32_t i = 0; i < g->count; i++) {
		const uint8_t *e = buf + (size_t)i * g->size;
		struct herd_cursor c = herd_cursor(e, g->size);
		struct herd_partition p = { .number = i + 1 };
		uint64_t first, last;
		char guid[37];

		if (!memcmp(e, none, sizeof(none)))
			continue;
		guid_text(e, guid);
		snprintf(p.type, sizeof(p.type), "%s", gpt_type(guid));
		guid_text(e + 16, guid);
		memcpy(p.uuid, guid, sizeof(guid));
		herd_cur_seek(&c, 32);
		first = herd_cur_le64(&c);
		last = herd_cur_le64(&c);
		herd_utf16_text(e + 56, 36, p.label, sizeof(p.label));
		if (first <= last && first < UINT64_MAX / ss) {
			p.start = first * ss;
			p.len = last - first < UINT64_MAX / ss - 1 ?
					(last - first + 1) * ss :
					UINT64_MAX - p.start;
		}
		add(t, &p, g->entries + (uint64_t)i * g->size);
	}
	return 0;
}

/* One header and its entries; 0 when both hold. */
static int gpt_at(struct table *t, uint64_t at, uint32_t ss, uint64_t *other)
{
	struct gpt g = { .other = UINT64_MAX };
	int err = gpt_header(t->disk, at, ss, &g);

	if (other && err != -ENODATA)
		*other = g.other;
	return err ? err : gpt_entries(t, &g, ss);
}

/* -ENODATA: no GPT anywhere. */
static int gpt(struct table *t)
{
	static const uint32_t sizes[] = { 512, 4096 };
	int worst = -ENODATA;

	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		uint32_t ss = sizes[i];
		uint64_t other = UINT64_MAX;
		int err = gpt_at(t, ss, ss, &other);

		if (!err || err == -ENOMEM)
			return err;
		if (err == -EBADMSG)
			worst = err;
		if (gpt_at(t, t->disk->size / ss * ss - ss, ss, NULL) &&
		    (other == UINT64_MAX || gpt_at(t, other, ss, NULL)))
			continue;
		herd_diag_set(
			t->diag, 0, t->disk->name, ss,
			"the GPT is damaged; its backup at the end of the disk was read");
		return 0;
	}
	return worst;
}

/* ---- MBR ---- */

struct slot {
	uint8_t flag, type;
	uint32_t start, len; /* units of 512 bytes */
};

static bool is_extended(uint8_t type)
{
	return type == 0x05 || type == 0x0f || type == 0x85;
}

static int read_slots(struct herd_source *disk, uint64_t at, uint8_t *sector,
		      struct slot s[4])
{
	struct herd_cursor c = herd_cursor(sector, 512);

	if (disk->size < 512 || at > disk->size - 512)
		return -EBADMSG;
	if (herd_source_read(disk, sector, 512, at, NULL))
		return -EIO;
	if (sector[510] != 0x55 || sector[511] != 0xaa)
		return -ENODATA;
	for (unsigned i = 0; i < 4; i++) {
		herd_cur_seek(&c, 446 + 16 * i);
		s[i].flag = herd_cur_u8(&c);
		herd_cur_bytes(&c, 3);
		s[i].type = herd_cur_u8(&c);
		herd_cur_bytes(&c, 3);
		s[i].start = herd_cur_le32(&c);
		s[i].len = herd_cur_le32(&c);
	}
	return 0;
}

static void mbr_type(uint8_t type, char *out, size_t size)
{
	static const struct {
		uint8_t type;
		const char *name;
	} known[] = {
		{ 0x01, "FAT12" },	 { 0x04, "FAT16" },
		{ 0x06, "FAT16" },	 { 0x07, "NTFS or exFAT" },
		{ 0x0b, "FAT32" },	 { 0x0c, "FAT32 (LBA)" },
		{ 0x0e, "FAT16 (LBA)" }, { 0x27, "Windows recovery" },
		{ 0x82, "Linux swap" },	 { 0x83, "Linux" },
		{ 0x8e, "Linux LVM" },	 { 0xef, "EFI System" },
		{ 0xfd, "Linux RAID" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(known); i++)
		if (known[i].type == type) {
			snprintf(out, size, "%s", known[i].name);
			return;
		}
	snprintf(out, size, "MBR type 0x%02x", type);
}

static void add_slot(struct table *t, unsigned number, uint32_t signature,
		     const struct slot *s, uint64_t base, uint64_t at)
{
	struct herd_partition p = {
		.number = number,
		.start = (base + s->start) * MBR_UNIT,
		.len = (uint64_t)s->len * MBR_UNIT,
	};

	if (signature)
		snprintf(p.uuid, sizeof(p.uuid), "%08x-%02x", signature,
			 number);
	mbr_type(s->type, p.type, sizeof(p.type));
	add(t, &p, at);
}

/* The chain of logical partitions; *number is the last one given. */
static void extended(struct table *t, uint32_t signature, uint32_t first,
		     unsigned *number)
{
	uint64_t here = first;

	for (unsigned links = 0; links < EBR_MAX; links++) {
		uint8_t sector[512];
		struct slot s[4];
		uint64_t next = 0;
		int err = read_slots(t->disk, here * MBR_UNIT, sector, s);

		if (err) {
			herd_diag_set(
				t->diag, 0, t->disk->name, here * MBR_UNIT,
				"the chain of logical partitions is broken here");
			return;
		}
		for (unsigned i = 0; i < 4; i++) {
			if (!s[i].len || !s[i].type)
				continue;
			if (is_extended(s[i].type)) {
				if (!next)
					next = (uint64_t)first + s[i].start;
			} else if (i < 2 && t->n < HERD_PARTITIONS_MAX) {
				add_slot(t, ++*number, signature, &s[i], here,
					 here * MBR_UNIT + 446 + 16 * i);
			}
		}
		if (!next)
			return;
		if (next == here)
			break;
		here = next;
	}
	herd_diag_set(t->diag, 0, t->disk->name, (uint64_t)first * MBR_UNIT,
		      "the chain of logical partitions is a loop or too long");
}

/* Whether sector 0 is a table at all, as Linux decides it. */
static bool is_mbr(const struct slot s[4], bool *protective)
{
	bool any = false;

	*protective = false;
	for (unsigned i = 0; i < 4; i++) {
		if (s[i].flag && s[i].flag != 0x80)
			return false;
		if (s[i].type == 0xee)
			*protective = true;
		any = any || (s[i].type && s[i].len);
	}
	return any;
}

static void mbr(struct table *t, const uint8_t *sector, const struct slot s[4])
{
	struct herd_cursor c = herd_cursor(sector, 512);
	unsigned number = 4;
	uint32_t signature;

	herd_cur_seek(&c, 440);
	signature = herd_cur_le32(&c);
	for (unsigned i = 0; i < 4; i++)
		if (s[i].type && s[i].len && !is_extended(s[i].type))
			add_slot(t, i + 1, signature, &s[i], 0, 446 + 16 * i);
	for (unsigned i = 0; i < 4; i++)
		if (s[i].type && s[i].len && is_extended(s[i].type))
			extended(t, signature, s[i].start, &number);
}

/* Fills t from whichever table there is; none leaves it empty. */
static int find_table(struct table *t)
{
	uint8_t sector[512];
	struct slot s[4];
	bool protective = false, table = false;
	int err, none;

	none = read_slots(t->disk, 0, sector, s);
	if (none == -EIO)
		return herd_diag_set(t->diag, -EIO, t->disk->name, 0,
				     "the first sector cannot be read");
	if (!none)
		table = is_mbr(s, &protective);
	/* a GPT counts where its protective entry stands, or where nothing
	   stands at all; left over under another table it does not */
	if (protective || none) {
		err = gpt(t);
		if (!err || err == -ENOMEM)
			return err;
		if (protective && !t->n && s[0].type == 0xee && !s[1].type)
			return herd_diag_set(
				t->diag, -EBADMSG, t->disk->name, 512,
				"a protective MBR, but neither the GPT nor its backup can be read");
	}
	if (table)
		mbr(t, sector, s);
	return 0;
}

int herd_partitions(struct herd_source *disk, struct herd_partition **ret,
		    size_t *ret_n, struct herd_diag *diag)
{
	CLEANUP_FREE struct herd_partition *v =
		calloc(HERD_PARTITIONS_MAX, sizeof(*v));
	struct table t = { disk, diag, v, 0 };
	int err;

	if (!v)
		return -ENOMEM;
	err = find_table(&t);
	if (err)
		return err;
	if (!t.n) {
		v[0] = (struct herd_partition){ .len = disk->size };
		snprintf(v[0].type, sizeof(v[0].type), "whole disk");
		t.n = 1;
	}
	*ret = TAKE_PTR(v);
	*ret_n = t.n;
	return 0;
}
