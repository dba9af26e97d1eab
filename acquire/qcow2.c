/* SPDX-License-Identifier: Apache-2.0 */
#include "acquire/qcow2.h"

#include "acquire/base/cursor.h"

#include <errno.h>
#include <string.h>

#define MAGIC 0x514649fbu	/* "QFI\xfb" */
#define EXT_END 0u
#define EXT_BACKING_FORMAT 0xe2792acau
#define EXT_DATA_FILE 0x44415441u
#define INCOMPAT_DATA_FILE 4u

struct header {
	uint64_t backing_offset, incompatible;
	uint32_t backing_size, cluster_bits, crypt, length;
};

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

	h->backing_offset = herd_cur_be64(c);
	h->backing_size = herd_cur_be32(c);
	h->cluster_bits = herd_cur_be32(c);
	ret->size = herd_cur_be64(c);
	h->crypt = herd_cur_be32(c);
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

int herd_qcow2_parse(const void *bytes, size_t len, const char *name,
		     struct herd_qcow2 *ret, struct herd_diag *diag)
{
	struct herd_cursor c = herd_cursor(bytes, len);
	struct herd_qcow2 q = { 0 };
	struct header h = { 0 };
	int err = parse_header(&c, name, &h, &q, diag);

	if (err)
		return err;

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
	*ret = q;
	return 0;
}
