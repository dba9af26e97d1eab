/* SPDX-License-Identifier: Apache-2.0 */
#include "acquire/qcow2.h"

#include "acquire/base/cursor.h"

#include <errno.h>
#include <string.h>

#define MAGIC 0x514649fbu	/* "QFI\xfb" */
#define EXT_END 0u
#define EXT_BACKING_FORMAT 0xe2792acau
#define EXT_DATA_FILE 0x44415441u
#define INCOMPAT_DIRTY 1u
#define INCOMPAT_CORRUPT 2u
#define INCOMPAT_DATA_FILE 4u
#define OFFSET_MASK 0x00fffffffffffe00ull
#define FLAG_ZEROS 1ull
#define FLAG_COMPRESSED (1ull << 62)
#define L1_ENTRIES_MAX (4u << 20)	/* as qemu has it: 32 MiB */
#define SECTOR 512u

struct header {
	uint64_t backing_offset, incompatible;
	uint32_t version, backing_size, cluster_bits, crypt, length;
};

size_t herd_qcow2_header_len(const uint8_t start[HERD_QCOW2_START])
{
	struct herd_cursor c = herd_cursor(start, HERD_QCOW2_START);

	herd_cur_seek(&c, 20);
	uint32_t bits = herd_cur_be32(&c);

	return bits < 9 || bits > 21 ? 512 : (size_t)1 << bits;
}

/* n bytes as a string: no NUL inside, room for the one at the end. */
static int take_name(struct herd_cursor *c, uint64_t n, char *to, size_t room)
{
	const char *p = herd_cur_bytes(c, n);

	if (!p || n >= room || memchr(p, '\0', n))
		return -EBADMSG;
	memcpy(to, p, n);
	to[n] = '\0';
	return 0;
}

static int parse_header(struct herd_cursor *c, const char *name,
			struct header *h, struct herd_qcow2 *ret,
			struct herd_diag *diag)
{
	uint32_t magic = herd_cur_be32(c), version = herd_cur_be32(c);

	h->version = version;
	h->backing_offset = herd_cur_be64(c);
	h->backing_size = herd_cur_be32(c);
	h->cluster_bits = herd_cur_be32(c);
	ret->size = herd_cur_be64(c);
	h->crypt = herd_cur_be32(c);
	ret->l1_entries = herd_cur_be32(c);
	ret->l1_offset = herd_cur_be64(c);
	h->length = 72;
	if (version >= 3) {
		herd_cur_seek(c, 72);
		h->incompatible = herd_cur_be64(c);
		herd_cur_seek(c, 100);
		h->length = herd_cur_be32(c);
	}
	if (c->bad || magic != MAGIC)
		return herd_diag_set(diag, -EBADMSG, name, 0,
				     "not a whole qcow2 header");
	if (version < 2 || version > 3)
		return herd_diag_set(diag, -EOPNOTSUPP, name, 4,
				     "qcow2 version %u is not known", version);
	if (h->cluster_bits < 9 || h->cluster_bits > 21)
		return herd_diag_set(diag, -EBADMSG, name, 20,
				     "qcow2 cluster size 2^%u", h->cluster_bits);
	if (h->crypt)
		return herd_diag_set(diag, -EOPNOTSUPP, name, 32,
				     "the image is encrypted");
	if (version >= 3 && h->length < 104)
		return herd_diag_set(diag, -EBADMSG, name, 100,
				     "qcow2 header length %u", h->length);
	if (ret->size > INT64_MAX)
		return herd_diag_set(diag, -EBADMSG, name, 24,
				     "impossible disk size");
	return 0;
}

static int parse_extensions(struct herd_cursor *c, const char *name,
			    const struct header *h, uint64_t end,
			    struct herd_qcow2 *ret, struct herd_diag *diag)
{
	herd_cur_seek(c, h->length);
	while (!c->bad && c->pos + 8 <= end) {
		uint64_t at = c->pos;
		uint32_t type = herd_cur_be32(c), len = herd_cur_be32(c);
		struct herd_cursor body = *c;
		int err = 0;

		if (c->bad || type == EXT_END)
			break;
		if (len > end - c->pos)
			return herd_diag_set(diag, -EBADMSG, name, at,
					     "qcow2 header extension too long");
		if (type == EXT_BACKING_FORMAT)
			err = take_name(&body, len, ret->backing_format,
					sizeof(ret->backing_format));
		else if (type == EXT_DATA_FILE)
			err = take_name(&body, len, ret->data_file,
					sizeof(ret->data_file));
		if (err)
			return herd_diag_set(diag, err, name, at,
					     "bad name in the qcow2 header");
		herd_cur_seek(c, c->pos + ((len + 7ull) & ~7ull));
	}
	return 0;
}

static int check_l1(const struct herd_qcow2 *q, const char *name,
		    struct herd_diag *diag)
{
	/* an L2 table is one cluster of 8-byte entries */
	const unsigned bits = 2 * q->cluster_bits - 3;
	const uint64_t needed = (q->size >> bits) +
				!!(q->size & ((1ull << bits) - 1));

	if (q->l1_entries > L1_ENTRIES_MAX || needed > q->l1_entries)
		return herd_diag_set(diag, -EBADMSG, name, 36,
				     "qcow2 L1 table of %u entries for a disk of %llu bytes",
				     q->l1_entries,
				     (unsigned long long)q->size);
	if (q->l1_offset % (1ull << q->cluster_bits))
		return herd_diag_set(diag, -EBADMSG, name, 40,
				     "qcow2 L1 table does not begin where a cluster does");
	return 0;
}

int herd_qcow2_parse(const void *bytes, size_t len, const char *name,
		     struct herd_qcow2 *ret, struct herd_diag *diag)
{
	struct herd_cursor c = herd_cursor(bytes, len);
	struct herd_qcow2 q = { 0 };
	struct header h = { 0 };
	int err = parse_header(&c, name, &h, &q, diag);

	if (err)
		return err;

	q.version = h.version;
	q.cluster_bits = h.cluster_bits;

	uint64_t cluster = 1ull << h.cluster_bits;
	uint64_t end = h.backing_offset ? h.backing_offset : cluster;

	if (end > cluster)
		return herd_diag_set(diag, -EBADMSG, name, 8,
				     "the backing file's name lies outside the header");
	err = parse_extensions(&c, name, &h, end, &q, diag);
	if (err)
		return err;
	if (h.backing_offset) {
		c = herd_cursor(bytes, len);
		herd_cur_seek(&c, h.backing_offset);
		if (take_name(&c, h.backing_size, q.backing, sizeof(q.backing)))
			return herd_diag_set(diag, -EBADMSG, name,
					     h.backing_offset,
					     "bad name of the backing file");
	}
	q.external_data = h.incompatible & INCOMPAT_DATA_FILE;
	if (q.external_data && !q.data_file[0])
		return herd_diag_set(diag, -EBADMSG, name, 72,
				     "the external data file is not named");
	if (!q.external_data)
		q.data_file[0] = '\0';
	q.dirty = h.incompatible & INCOMPAT_DIRTY;
	q.corrupt = h.incompatible & INCOMPAT_CORRUPT;
	q.plain = !(h.incompatible & ~(uint64_t)(INCOMPAT_DIRTY |
						 INCOMPAT_CORRUPT));
	err = q.plain ? check_l1(&q, name, diag) : 0;
	if (err)
		return err;
	*ret = q;
	return 0;
}

int herd_qcow2_place(const struct herd_qcow2 *q, uint64_t entry,
		     struct herd_qcow2_place *ret)
{
	const uint64_t cluster = 1ull << q->cluster_bits;

	*ret = (struct herd_qcow2_place){ .kind = HERD_QCOW2_BELOW };
	if (entry & FLAG_COMPRESSED) {
		/* below this bit the offset, above it whole sectors more than
		   the one in which that lies */
		unsigned bit = 62 - (q->cluster_bits - 8);
		uint64_t more = (entry & (FLAG_COMPRESSED - 1)) >> bit;

		ret->kind = HERD_QCOW2_DEFLATED;
		ret->offset = entry & ((1ull << bit) - 1);
		ret->len = (uint32_t)((more + 1) * SECTOR -
				      ret->offset % SECTOR);
		return 0;
	}
	ret->offset = entry & OFFSET_MASK;
	if (ret->offset % cluster || (entry & FLAG_ZEROS && q->version < 3))
		return -EBADMSG;
	if (entry & FLAG_ZEROS)
		ret->kind = HERD_QCOW2_ZEROS;
	else if (ret->offset)
		ret->kind = HERD_QCOW2_STORED;
	return 0;
}

int herd_qcow2_table(const struct herd_qcow2 *q, uint64_t entry, uint64_t *ret)
{
	*ret = entry & OFFSET_MASK;
	return *ret % (1ull << q->cluster_bits) ? -EBADMSG : 0;
}
