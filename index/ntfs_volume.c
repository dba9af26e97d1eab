/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Opening an NTFS volume, finding its records, and reading streams that are
 * compressed. Threads: as struct herd_ntfs, one at a time.
 */
#include "index/ntfs.h"

#include "acquire/base/cleanup.h"
#include "acquire/base/cursor.h"
#include "index/utf16.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define BUDGET_LEAST (256ull << 20)
#define UNIT_MAX (1u << 20) /* bytes of a compression unit; NTFS: 64 KiB */

int herd_ntfs_record(struct herd_ntfs *n, uint64_t number, void *buf,
		     struct herd_diag *diag)
{
	uint64_t off = number * n->g.record;
	int err;

	if (number >= n->records)
		return herd_diag_set(
			diag, -EBADMSG, n->source->name, HERD_NO_OFFSET,
			"record %llu is beyond the master file table",
			(unsigned long long)number);
	err = herd_ntfs_stream_read(n, &n->mft, buf, n->g.record, off, diag);
	if (err)
		return err;
	if (herd_ntfs_fixup(buf, n->g.record, "FILE"))
		return herd_diag_set(diag, -EBADMSG, n->source->name,
				     HERD_NO_OFFSET, "record %llu is damaged",
				     (unsigned long long)number);
	return 0;
}

/* Takes $MFT's own data out of what is known of record 0. */
static int take_mft(struct herd_ntfs *n, struct herd_ntfs_node *node,
		    struct herd_diag *diag)
{
	struct herd_ntfs_stream *st =
		herd_ntfs_stream(node, HERD_NTFS_DATA, "");

	if (!st || st->resident || !st->sized || !st->n_runs ||
	    st->runs[0].vcn || st->flags & HERD_NTFS_COMPRESSED)
		return herd_diag_set(
			diag, -EBADMSG, n->source->name, n->g.mft,
			"NTFS: the master file table does not describe itself");
	herd_ntfs_stream_deinit(&n->mft);
	n->mft = *st;
	*st = (struct herd_ntfs_stream){ 0 };
	n->records = n->mft.initialised / n->g.record;
	return 0;
}

/* Record 0 is where the boot sector says; a run that covers it is enough. */
static int first_mft(struct herd_ntfs *n, struct herd_diag *diag)
{
	n->mft.sized = true;
	n->mft.size = n->mft.initialised = n->g.record;
	n->mft.runs = calloc(1, sizeof(*n->mft.runs));
	if (!n->mft.runs)
		return -ENOMEM;
	n->mft.n_runs = n->mft.cap_runs = 1;
	n->mft.runs[0] =
		(struct herd_ntfs_run){ 0, n->g.mft / n->g.cluster,
					n->g.record / n->g.cluster + 1 };
	n->records = 1;
	(void)diag;
	return 0;
}

int herd_ntfs_open(struct herd_source *s, const struct herd_ntfs_geometry *g,
		   struct herd_ntfs *ret, struct herd_diag *diag)
{
	struct herd_ntfs n = { .source = s,
			       .g = *g,
			       .record = herd_ntfs_record,
			       .budget = 4 * s->size + BUDGET_LEAST };
	int err = first_mft(&n, diag);

	/* each round may find more of the table through the list in the part
	   that is known */
	for (unsigned i = 0; i < 8 && !err; i++) {
		struct herd_ntfs_node node = { 0 };
		size_t before = n.mft.n_runs;

		err = herd_ntfs_node_load(&n, HERD_NTFS_MFT, &node, diag);
		if (!err)
			err = take_mft(&n, &node, diag);
		herd_ntfs_node_deinit(&node);
		if (i && n.mft.n_runs == before)
			break;
	}
	if (err) {
		herd_ntfs_deinit(&n);
		return err;
	}
	*ret = n;
	return 0;
}

void herd_ntfs_deinit(struct herd_ntfs *n)
{
	herd_ntfs_stream_deinit(&n->mft);
	herd_ntfs_node_deinit(&n->last);
	free(n->unit);
	*n = (struct herd_ntfs){ 0 };
}

void herd_ntfs_label(struct herd_ntfs *n, char *out, size_t size)
{
	struct herd_ntfs_node node = { 0 };
	struct herd_ntfs_stream *st;

	out[0] = '\0';
	if (herd_ntfs_node_load(n, HERD_NTFS_VOLUME, &node, NULL))
		return;
	st = herd_ntfs_stream(&node, HERD_NTFS_VOLUME_NAME, "");
	if (st && st->resident)
		herd_utf16_text(st->value, st->value_len / 2, out, size);
	herd_ntfs_node_deinit(&node);
}

/* One attribute, as libtsk's reader takes it on trust. */
static int attribute_safe(const struct herd_ntfs_attr *a, uint64_t clusters)
{
	struct herd_ntfs_stream st = { 0 };
	int err = 0;

	if (!a->resident) {
		err = herd_ntfs_runs(a, clusters, 1u << 16, &st);
		/* $Secure's and others' streams are loaded whole */
		if (a->type != HERD_NTFS_DATA && a->size > 64u << 20)
			err = -EOVERFLOW;
	} else if (a->type == HERD_NTFS_FILE_NAME) {
		if (a->value_len < 66 || a->value_len < 66 + 2u * a->value[64])
			err = -EBADMSG;
	} else if (a->type == HERD_NTFS_STANDARD_INFORMATION) {
		if (a->value_len < 48)
			err = -EBADMSG;
	} else if (a->type == HERD_NTFS_VOLUME_INFORMATION) {
		if (a->value_len < 12)
			err = -EBADMSG;
	}
	herd_ntfs_stream_deinit(&st);
	return err;
}

static int record_safe(struct herd_ntfs *n, uint64_t number, uint8_t *rec,
		       struct herd_diag *diag)
{
	struct herd_ntfs_walk w;
	struct herd_ntfs_attr a;
	int err = n->record(n, number, rec, diag);
	bool list = false;

	if (err)
		return err;
	herd_ntfs_walk(&w, rec, n->g.record);
	while ((err = herd_ntfs_next(&w, &a)) == 1) {
		err = attribute_safe(&a, n->g.clusters);
		if (err)
			break;
		list = list || a.type == HERD_NTFS_ATTRIBUTE_LIST;
		/* $Bitmap's data is read as if it could only lie outside */
		if (number == 6 && a.type == HERD_NTFS_DATA && a.resident)
			err = -EBADMSG;
		if (err)
			break;
	}
	/* only the table itself may need more records than one */
	if (!err && list && number != HERD_NTFS_MFT)
		err = -EOPNOTSUPP;
	return err ? herd_diag_set(diag, err, n->source->name, HERD_NO_OFFSET,
				   "NTFS: record %llu is not as it should be",
				   (unsigned long long)number) :
		     0;
}

int herd_ntfs_safe_for_libtsk(struct herd_ntfs *n, struct herd_diag *diag)
{
	static const uint64_t at_open[] = { 0, 3, 6, 9 };
	CLEANUP_FREE uint8_t *rec = malloc(n->g.record);
	CLEANUP(herd_ntfs_node_deinit) struct herd_ntfs_node node = { 0 };
	int err = 0;

	if (!rec)
		return -ENOMEM;
	for (size_t i = 0; i < ARRAY_SIZE(at_open) && !err; i++)
		err = record_safe(n, at_open[i], rec, diag);
	/* and what the table's own list leads to */
	if (!err)
		err = herd_ntfs_node_load(n, HERD_NTFS_MFT, &node, diag);
	if (!err && *node.problem)
		err = herd_diag_set(diag, -EBADMSG, n->source->name,
				    HERD_NO_OFFSET, "NTFS: %s", node.problem);
	return err;
}

/* The clusters of unit u up to its first hole, read into raw; *ret: how many. */
static int unit_clusters(struct herd_ntfs *n, const struct herd_ntfs_stream *st,
			 uint64_t first, uint64_t count, uint8_t *raw,
			 uint64_t *ret, struct herd_diag *diag)
{
	uint64_t have = 0;

	for (size_t i = 0; i < st->n_runs && have < count; i++) {
		const struct herd_ntfs_run *r = &st->runs[i];
		uint64_t vcn = first + have, k;
		int err;

		if (r->vcn + r->len <= vcn)
			continue;
		if (r->vcn > vcn || r->lcn == HERD_NTFS_HOLE)
			break;
		k = r->vcn + r->len - vcn;
		if (k > count - have)
			k = count - have;
		err = herd_source_read(n->source, raw + have * n->g.cluster,
				       k * n->g.cluster,
				       (r->lcn + vcn - r->vcn) * n->g.cluster,
				       diag);
		if (err)
			return err;
		have += k;
	}
	*ret = have;
	return 0;
}

static int load_unit(struct herd_ntfs *n, const struct herd_ntfs_stream *st,
		     uint64_t number, struct herd_diag *diag)
{
	uint64_t clusters = 1ull << st->unit, have = 0;
	CLEANUP_FREE uint8_t *raw = malloc(n->unit_size);
	int err;

	if (!raw)
		return -ENOMEM;
	n->have_unit = false;
	err = unit_clusters(n, st, number * clusters, clusters, raw, &have,
			    diag);
	if (err)
		return err;
	if (have == clusters)
		memcpy(n->unit, raw, n->unit_size);
	else if (herd_lznt1(raw, have * n->g.cluster, n->unit, n->unit_size))
		return herd_diag_set(
			diag, -EBADMSG, n->source->name, HERD_NO_OFFSET,
			"compressed data does not decode, file offset %llu",
			(unsigned long long)(number * n->unit_size));
	n->have_unit = true;
	n->unit_number = number;
	return 0;
}

static int read_compressed(struct herd_ntfs *n,
			   const struct herd_ntfs_stream *st, uint8_t *out,
			   size_t len, uint64_t off, struct herd_diag *diag)
{
	uint64_t size = st->unit < 20 ? (uint64_t)n->g.cluster << st->unit :
					UINT64_MAX;

	if (size > UNIT_MAX)
		return herd_diag_set(diag, -EOPNOTSUPP, n->source->name,
				     HERD_NO_OFFSET,
				     "compression unit of 2^%u clusters",
				     st->unit);
	if (n->unit_size != size) {
		uint8_t *p = realloc(n->unit, size);

		if (!p)
			return -ENOMEM;
		n->unit = p;
		n->unit_size = size;
		n->have_unit = false;
	}
	while (len) {
		size_t in = off % size, k = size - in < len ? size - in : len;
		int err = 0;

		if (!n->have_unit || n->unit_number != off / size)
			err = load_unit(n, st, off / size, diag);
		if (err)
			return err;
		memcpy(out, n->unit + in, k);
		out += k;
		off += k;
		len -= k;
	}
	return 0;
}

int herd_ntfs_stream_bytes(struct herd_ntfs *n,
			   const struct herd_ntfs_stream *st, void *buf,
			   size_t len, uint64_t off, struct herd_diag *diag)
{
	bool kept = n->have_last && n->last.n_streams &&
		    st >= n->last.streams &&
		    st < n->last.streams + n->last.n_streams;
	size_t k = len;
	int err;

	if (off > st->size || len > st->size - off)
		return -EBADMSG;
	if (off >= st->initialised)
		k = 0;
	else if (len > st->initialised - off)
		k = st->initialised - off;
	memset((uint8_t *)buf + k, 0, len - k);
	if (st->resident || !(st->flags & HERD_NTFS_COMPRESSED))
		return herd_ntfs_stream_read(n, st, buf, k, off, diag);
	/* what is in n->unit may be another stream's */
	if (!kept)
		n->have_unit = false;
	err = read_compressed(n, st, buf, k, off, diag);
	if (!kept)
		n->have_unit = false;
	return err;
}

int herd_ntfs_read(struct herd_ntfs *n, uint64_t number, void *buf, size_t len,
		   uint64_t off, struct herd_diag *diag)
{
	struct herd_ntfs_stream *st;

	if (!n->have_last || n->last.number != number) {
		herd_ntfs_node_deinit(&n->last);
		n->have_unit = n->have_last = false;
		int err = herd_ntfs_node_load(n, number, &n->last, diag);

		if (err)
			return err;
		n->have_last = true;
	}
	st = herd_ntfs_stream(&n->last, HERD_NTFS_DATA, "");
	if (!st || st->flags & HERD_NTFS_ENCRYPTED ||
	    !herd_ntfs_stream_whole(n, st))
		return herd_diag_set(diag, -EIO, n->source->name,
				     HERD_NO_OFFSET,
				     "record %llu has no readable data",
				     (unsigned long long)number);
	return herd_ntfs_stream_bytes(n, st, buf, len, off, diag);
}
