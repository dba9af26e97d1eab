/* SPDX-License-Identifier: Apache-2.0 */
/*
 * NTFS boot sector, update sequences, attributes and run lists. Pure but for
 * herd_ntfs_boot, which reads one sector; no threads.
 */
#include "index/ntfs.h"

#include "acquire/base/cursor.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* 512 bytes to 2 MiB a cluster: bytes stay below 2^63. A hole may be longer
   than the volume, so its size is no limit. */
#define VCN_MAX (1ull << 42)

/* A size in clusters, or as -log2 of bytes. 0: neither. */
static uint32_t coded_size(int8_t v, uint32_t cluster)
{
	if (v > 0)
		return (uint64_t)v * cluster <= HERD_NTFS_RECORD_MAX ?
			       (uint32_t)v * cluster :
			       0;
	return v < -8 && v >= -16 ? 1u << -v : 0;
}

static bool power_of_two(uint32_t v)
{
	return v && !(v & (v - 1));
}

int herd_ntfs_boot(struct herd_source *s, struct herd_ntfs_geometry *ret,
		   struct herd_diag *diag)
{
	uint8_t boot[512];
	struct herd_cursor c = herd_cursor(boot, sizeof(boot));
	struct herd_ntfs_geometry g = { 0 };
	uint64_t sectors, mft;
	unsigned spc;
	int err;

	if (s->size < sizeof(boot))
		return -ENODATA;
	err = herd_source_read(s, boot, sizeof(boot), 0, diag);
	if (err)
		return err;
	if (memcmp(boot + 3, "NTFS    ", 8) || boot[510] != 0x55 ||
	    boot[511] != 0xaa)
		return -ENODATA;
	herd_cur_seek(&c, 11);
	g.sector = herd_cur_le16(&c);
	spc = herd_cur_u8(&c);
	herd_cur_seek(&c, 40);
	sectors = herd_cur_le64(&c);
	mft = herd_cur_le64(&c);
	if (g.sector < 256 || g.sector > 4096 || !power_of_two(g.sector))
		return herd_diag_set(diag, -EBADMSG, s->name, 11,
				     "NTFS: impossible sector size %u",
				     g.sector);
	/* above 128 the byte is -log2: clusters of up to 2 MiB */
	if (spc >= 0xf4)
		g.cluster = g.sector << (256 - spc);
	else if (spc <= 0x80 && power_of_two(spc))
		g.cluster = g.sector * spc;
	if (g.cluster < 512 || g.cluster > 2u << 20)
		return herd_diag_set(
			diag, -EBADMSG, s->name, 13,
			"NTFS: impossible cluster size (%u sectors)", spc);
	g.clusters = sectors / (g.cluster / g.sector);
	g.record = coded_size((int8_t)boot[64], g.cluster);
	g.index = coded_size((int8_t)boot[68], g.cluster);
	if (g.record < 512 || !power_of_two(g.record) || g.index < 512 ||
	    !power_of_two(g.index))
		return herd_diag_set(diag, -EBADMSG, s->name, 64,
				     "NTFS: impossible record size");
	if (!g.clusters || g.clusters > UINT64_MAX / 2 / g.cluster)
		return herd_diag_set(diag, -EBADMSG, s->name, 40,
				     "NTFS: impossible size");
	if (mft >= g.clusters)
		return herd_diag_set(
			diag, -EBADMSG, s->name, 48,
			"NTFS: the master file table lies outside the volume");
	g.mft = mft * g.cluster;
	herd_cur_seek(&c, 72);
	g.serial = herd_cur_le64(&c);
	*ret = g;
	return 0;
}

int herd_ntfs_fixup(uint8_t *rec, size_t len, const char *magic)
{
	struct herd_cursor c = herd_cursor(rec, len);
	unsigned off, count, i;

	if (len < 512 || len % 512 || memcmp(rec, magic, 4))
		return -EBADMSG;
	herd_cur_seek(&c, 4);
	off = herd_cur_le16(&c);
	count = herd_cur_le16(&c);
	/* one value, then one replacement for each 512 bytes */
	if (count != len / 512 + 1 || off & 1 || off + 2 * count > len ||
	    off + 2 * count > 510)
		return -EBADMSG;
	for (i = 1; i < count; i++) {
		uint8_t *end = rec + 512 * i - 2;

		if (memcmp(end, rec + off, 2))
			return -EBADMSG;
		memcpy(end, rec + off + 2 * i, 2);
	}
	return 0;
}

void herd_ntfs_walk(struct herd_ntfs_walk *w, const uint8_t *rec, size_t len)
{
	struct herd_cursor c = herd_cursor(rec, len);
	uint32_t used;

	herd_cur_seek(&c, 20);
	w->at = herd_cur_le16(&c);
	herd_cur_seek(&c, 24);
	used = herd_cur_le32(&c);
	w->rec = rec;
	w->len = used >= w->at && used <= len ? used : len;
}

static int next_nonresident(struct herd_cursor *c, struct herd_ntfs_attr *a)
{
	uint64_t runs;

	herd_cur_seek(c, 16);
	a->first_vcn = herd_cur_le64(c);
	herd_cur_le64(c); /* last VCN: the runs say it */
	runs = herd_cur_le16(c);
	a->unit = herd_cur_le16(c);
	herd_cur_le32(c);
	herd_cur_le64(c); /* allocated */
	a->size = herd_cur_le64(c);
	a->initialised = herd_cur_le64(c);
	herd_cur_seek(c, runs);
	a->runs_len = herd_cur_left(c);
	a->runs = herd_cur_bytes(c, a->runs_len);
	return c->bad ? -EBADMSG : 0;
}

static int next_resident(struct herd_cursor *c, struct herd_ntfs_attr *a)
{
	uint64_t off;

	herd_cur_seek(c, 16);
	a->value_len = herd_cur_le32(c);
	off = herd_cur_le16(c);
	herd_cur_seek(c, off);
	a->value = herd_cur_bytes(c, a->value_len);
	return c->bad ? -EBADMSG : 0;
}

int herd_ntfs_next(struct herd_ntfs_walk *w, struct herd_ntfs_attr *ret)
{
	struct herd_cursor c = herd_cursor(w->rec, w->len);
	struct herd_ntfs_attr a = { 0 };
	uint64_t name_off;
	uint32_t len;
	int err;

	herd_cur_seek(&c, w->at);
	a.type = herd_cur_le32(&c);
	if (c.bad)
		return -EBADMSG;
	if (a.type == 0xffffffff)
		return 0;
	len = herd_cur_le32(&c);
	if (c.bad || len < 24 || len % 8 || len > w->len - w->at)
		return -EBADMSG;
	c = herd_cursor(w->rec + w->at, len);
	herd_cur_seek(&c, 8);
	a.resident = !herd_cur_u8(&c);
	a.name_len = herd_cur_u8(&c);
	name_off = herd_cur_le16(&c);
	a.flags = herd_cur_le16(&c);
	if (a.name_len) {
		herd_cur_seek(&c, name_off);
		a.name = herd_cur_bytes(&c, 2 * (uint64_t)a.name_len);
	}
	err = a.resident ? next_resident(&c, &a) : next_nonresident(&c, &a);
	if (err)
		return err;
	w->at += len;
	*ret = a;
	return 1;
}

/* n little-endian bytes, n at most 8. */
static uint64_t le_bytes(const uint8_t *p, unsigned n)
{
	uint64_t v = 0;

	for (unsigned i = 0; i < n; i++)
		v |= (uint64_t)p[i] << (8 * i);
	return v;
}

static int add_run(struct herd_ntfs_stream *st, uint64_t vcn, uint64_t lcn,
		   uint64_t len)
{
	struct herd_ntfs_run *last = st->n_runs ? &st->runs[st->n_runs - 1] :
						  NULL;

	if (last && last->vcn + last->len == vcn &&
	    (lcn == HERD_NTFS_HOLE ? last->lcn == HERD_NTFS_HOLE :
				     last->lcn != HERD_NTFS_HOLE &&
					     last->lcn + last->len == lcn)) {
		last->len += len;
		return 0;
	}
	if (!st->runs || st->n_runs == st->cap_runs) {
		size_t cap = st->cap_runs ? 2 * st->cap_runs : 4;
		struct herd_ntfs_run *v =
			reallocarray(st->runs, cap, sizeof(*v));

		if (!v)
			return -ENOMEM;
		st->runs = v;
		st->cap_runs = cap;
	}
	st->runs[st->n_runs++] = (struct herd_ntfs_run){ vcn, lcn, len };
	return 0;
}

int herd_ntfs_runs(const struct herd_ntfs_attr *a, uint64_t clusters,
		   size_t room, struct herd_ntfs_stream *st)
{
	struct herd_cursor c = herd_cursor(a->runs, a->runs_len);
	uint64_t vcn = a->first_vcn, lcn = 0;

	for (;;) {
		unsigned head = herd_cur_u8(&c), n_len = head & 15,
			 n_off = head >> 4;
		const uint8_t *p;
		uint64_t len;
		int err;

		if (c.bad || n_len > 8 || n_off > 8)
			return -EBADMSG;
		if (!n_len)
			return 0;
		p = herd_cur_bytes(&c, n_len + n_off);
		if (!p)
			return -EBADMSG;
		len = le_bytes(p, n_len);
		if (!len || len > VCN_MAX || vcn > VCN_MAX - len)
			return -EBADMSG;
		if (n_off) {
			uint64_t delta = le_bytes(p + n_len, n_off);

			if (n_off < 8 && p[n_len + n_off - 1] & 0x80)
				delta |= UINT64_MAX << (8 * n_off);
			lcn += delta;
			if (lcn >= clusters || len > clusters - lcn)
				return -EBADMSG;
		}
		if (st->n_runs >= room)
			return -EOVERFLOW;
		err = add_run(st, vcn, n_off ? lcn : HERD_NTFS_HOLE, len);
		if (err)
			return err;
		vcn += len;
	}
}
