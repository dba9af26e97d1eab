/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Plain qcow2 images, on one another or on a raw file. qemu-nbd reads these
 * too, and tests compare what it says; but one process that answers requests
 * for single clusters costs several times what reading the file does.
 *
 * L2 tables are read where they lie, a few entries at a time, and not kept:
 * the page cache has them, and a hostile image has no memory to fill. What an
 * entry says is checked against the file at every use. What lies behind the
 * end of the file is an error here, never zeros: such an image was cut.
 *
 * Threads: immutable once open, but for the cluster inflated last.
 */
#include "acquire/stacked.h"

#include <string.h>
#include <sys/mman.h>
#include <zlib.h>

#define ENTRIES 512u		/* of an L2 table, read at once */
#define DEFLATE_WINDOW (-12)	/* bits; negative: no header */

struct layer {
	const struct herd_qcow2 *q;	/* in the chain */
	const char *name;		/* in the image */
	int fd;
	uint64_t file_size;
	uint64_t *tables;		/* offset of each L2 table; owned */
	uint8_t *map;			/* the whole file, or NULL */
};

struct inflated {
	pthread_mutex_t lock;
	const struct layer *layer;	/* NULL: nothing yet */
	struct herd_qcow2_place place;
	uint8_t *bytes;			/* one cluster; owned */
};

struct qcow2_source {
	struct herd_stacked s;
	struct layer layers[HERD_CHAIN_MAX];
	size_t n;
	struct herd_source *bottom;	/* the raw file below all, or NULL */
	struct inflated inflated;
};

/* ---- where bytes lie ---- */

static int bad_table(const struct layer *l, uint64_t at, struct herd_diag *diag)
{
	return herd_diag_set(diag, -EBADMSG, l->name, at,
			     "this entry of a qcow2 table makes no sense");
}

/* n entries of an L2 table from `first` on. */
static int read_entries(const struct layer *l, uint64_t table, uint64_t first,
			size_t n, uint64_t *ret, struct herd_diag *diag)
{
	int err;

	if (table > l->file_size || l->file_size - table < 1ull << l->q->cluster_bits)
		return herd_diag_set(diag, -EBADMSG, l->name, table,
				     "a qcow2 table lies behind the end of the file");
	err = herd_pread_full(l->fd, ret, n * sizeof(*ret), table + first * 8,
			      l->name, diag);
	for (size_t i = 0; !err && i < n; i++)
		ret[i] = be64toh(ret[i]);
	return err;
}

/*
 * How many of `len` bytes from `off` on have no table at all. Found by the
 * tables, not by their clusters: a disk of 2^61 bytes has as many of those as
 * its maker likes, in a file of a few MB.
 */
static uint64_t without_table(const struct layer *l, uint64_t off, uint64_t len)
{
	const unsigned bits = 2 * l->q->cluster_bits - 3;
	uint64_t end = off;

	while (end - off < len && !l->tables[end >> bits])
		end = ((end >> bits) + 1) << bits;
	return end - off < len ? end - off : len;
}

/* Whether b goes on where a, `clusters` long, ends. */
static bool goes_on(const struct layer *l, const struct herd_qcow2_place *a,
		    uint64_t clusters, const struct herd_qcow2_place *b)
{
	return a->kind == b->kind && a->kind != HERD_QCOW2_DEFLATED &&
	       (a->kind != HERD_QCOW2_STORED ||
		b->offset == a->offset + (clusters << l->q->cluster_bits));
}

/*
 * Where the byte `off` of a layer lies, and how many of *len behind it lie
 * together with it. A stored place begins at `off`, a deflated one is that of
 * its whole cluster. A layer shorter than what stands on it ends in zeros.
 */
static int find_place(const struct layer *l, uint64_t off, uint64_t *len,
		      struct herd_qcow2_place *ret, struct herd_diag *diag)
{
	const unsigned bits = l->q->cluster_bits;
	const uint64_t cluster = 1ull << bits, in = off & (cluster - 1);
	const uint64_t first = (off >> bits) & ((cluster >> 3) - 1);
	uint64_t entries[ENTRIES], n = 1, table;
	struct herd_qcow2_place next;

	if (off >= l->q->size) {
		*ret = (struct herd_qcow2_place){ .kind = HERD_QCOW2_ZEROS };
		return 0;
	}
	if (*len > l->q->size - off)
		*len = l->q->size - off;
	table = l->tables[off >> (2 * bits - 3)];
	if (!table) {
		*ret = (struct herd_qcow2_place){ .kind = HERD_QCOW2_BELOW };
		*len = without_table(l, off, *len);
		return 0;
	}
	uint64_t wanted = (in + *len + cluster - 1) >> bits;

	if (wanted > ENTRIES)
		wanted = ENTRIES;
	if (wanted > (cluster >> 3) - first)
		wanted = (cluster >> 3) - first;
	int err = read_entries(l, table, first, wanted, entries, diag);

	if (err)
		return err;
	if (herd_qcow2_place(l->q, entries[0], ret))
		return bad_table(l, table + first * 8, diag);
	while (n < wanted && !herd_qcow2_place(l->q, entries[n], &next) &&
	       goes_on(l, ret, n, &next))
		n++;
	if (*len > (n << bits) - in)
		*len = (n << bits) - in;
	if (ret->kind == HERD_QCOW2_STORED)
		ret->offset += in;
	return 0;
}

/* ---- reading ---- */

static int inflate_cluster(const struct layer *l,
			   const struct herd_qcow2_place *p, uint8_t *to,
			   struct herd_diag *diag)
{
	const uint32_t cluster = 1u << l->q->cluster_bits;
	uint64_t there = p->offset < l->file_size ? l->file_size - p->offset : 0;
	uint32_t len = p->len < there ? p->len : (uint32_t)there;
	CLEANUP_FREE uint8_t *packed = malloc(len ? len : 1);
	z_stream z = { .next_in = packed, .avail_in = len, .next_out = to,
		       .avail_out = cluster };
	int err = packed ? 0 : -ENOMEM;

	if (!err)
		err = herd_pread_full(l->fd, packed, len, p->offset, l->name,
				      diag);
	if (!err && inflateInit2(&z, DEFLATE_WINDOW) != Z_OK)
		err = -ENOMEM;
	if (err)
		return err;
	/* behind the stream stand bytes of the next cluster */
	inflate(&z, Z_FINISH);
	inflateEnd(&z);
	if (z.avail_out)
		return herd_diag_set(diag, -EBADMSG, l->name, p->offset,
				     "a compressed cluster is damaged");
	return 0;
}

static bool inflated_copy(struct inflated *c, const struct layer *l,
			  const struct herd_qcow2_place *p, uint8_t *to,
			  size_t len, uint64_t in)
{
	SCOPED_LOCK(&c->lock);

	/* with the length: of two entries for one place one may be too short */
	if (c->layer != l || c->place.offset != p->offset ||
	    c->place.len != p->len)
		return false;
	memcpy(to, c->bytes + in, len);
	return true;
}

/* Reads come in order, often less than a cluster: the last one is kept. */
static int deflated_read(struct qcow2_source *s, const struct layer *l,
			 const struct herd_qcow2_place *p, uint8_t *to,
			 size_t len, uint64_t off, struct herd_diag *diag)
{
	const uint64_t cluster = 1ull << l->q->cluster_bits;
	struct inflated *c = &s->inflated;

	if (inflated_copy(c, l, p, to, len, off & (cluster - 1)))
		return 0;

	CLEANUP_FREE uint8_t *bytes = malloc(cluster);
	int err = bytes ? inflate_cluster(l, p, bytes, diag) : -ENOMEM;

	if (err)
		return err;
	memcpy(to, bytes + (off & (cluster - 1)), len);
	SCOPED_LOCK(&c->lock);

	uint8_t *old = c->bytes;

	c->layer = l;
	c->place = *p;
	c->bytes = bytes;
	bytes = old;
	return 0;
}

static int stored_read(const struct layer *l, uint64_t at, uint8_t *to,
		       size_t len, struct herd_diag *diag)
{
	if (at > l->file_size || len > l->file_size - at)
		return herd_diag_set(diag, -EIO, l->name, at,
				     "a cluster lies behind the end of the file");
	return herd_pread_full(l->fd, to, len, at, l->name, diag);
}

static int bottom_read(struct qcow2_source *s, uint8_t *to, size_t len,
		       uint64_t off, struct herd_diag *diag)
{
	uint64_t size = s->bottom ? s->bottom->size : 0;
	uint64_t there = off < size ? size - off : 0;
	size_t part = len < there ? len : (size_t)there;

	memset(to + part, 0, len - part);
	return part ? herd_source_read(s->bottom, to, part, off, diag) : 0;
}

/* From layer i and those below. */
static int layer_read(struct qcow2_source *s, size_t i, uint8_t *to, size_t len,
		      uint64_t off, struct herd_diag *diag)
{
	const struct layer *l = &s->layers[i];
	struct herd_qcow2_place p;
	int err = 0;

	if (i == s->n)
		return bottom_read(s, to, len, off, diag);
	while (len && !err) {
		uint64_t part = len;

		err = find_place(l, off, &part, &p, diag);
		if (err)
			break;
		switch (p.kind) {
		case HERD_QCOW2_BELOW:
			err = layer_read(s, i + 1, to, part, off, diag);
			break;
		case HERD_QCOW2_ZEROS:
			memset(to, 0, part);
			break;
		case HERD_QCOW2_STORED:
			err = stored_read(l, p.offset, to, part, diag);
			break;
		case HERD_QCOW2_DEFLATED:
			err = deflated_read(s, l, &p, to, part, off, diag);
			break;
		}
		to += part;
		off += part;
		len -= part;
	}
	return err;
}

static int qcow2_read(struct herd_source *s, void *buf, size_t len,
		      uint64_t off, struct herd_diag *diag)
{
	return layer_read((struct qcow2_source *)s, 0, buf, len, off, diag);
}

static const void *qcow2_map(struct herd_source *base, uint64_t off, size_t len)
{
	struct qcow2_source *s = (struct qcow2_source *)base;

	for (size_t i = 0; i < s->n; i++) {
		const struct layer *l = &s->layers[i];
		struct herd_qcow2_place p;
		uint64_t part = len;

		if (find_place(l, off, &part, &p, NULL) || part < len)
			return NULL;
		if (p.kind == HERD_QCOW2_BELOW)
			continue;
		if (p.kind != HERD_QCOW2_STORED || !l->map ||
		    p.offset > l->file_size || len > l->file_size - p.offset)
			return NULL;
		return l->map + p.offset;
	}
	return s->bottom ? herd_source_map(s->bottom, off, len) : NULL;
}

/* ---- what is held where ---- */

static int add_piece(struct herd_extents *to, uint64_t start, uint64_t len)
{
	return to->n < HERD_PIECES_MAX ? herd_extents_add(to, start, len) :
					 -EOVERFLOW;
}

static int add_common(const struct herd_extents *from, uint64_t start,
		      uint64_t end, struct herd_extents *to)
{
	int err = 0;

	for (size_t i = herd_extents_after(from, start);
	     !err && i < from->n && from->v[i].start < end; i++) {
		uint64_t a = from->v[i].start, b = a + from->v[i].len;

		if (a < start)
			a = start;
		err = add_piece(to, a, (b < end ? b : end) - a);
	}
	return err;
}

/* Adds what may be other than zero in [off, end), from layer i on down. */
static int add_data(struct qcow2_source *s, size_t i,
		    const struct herd_extents *bottom, uint64_t off,
		    uint64_t end, struct herd_extents *ret,
		    struct herd_diag *diag)
{
	struct herd_qcow2_place p;
	int err = 0;

	if (i == s->n)
		return add_common(bottom, off, end, ret);
	while (off < end && !err) {
		uint64_t part = end - off;

		err = find_place(&s->layers[i], off, &part, &p, diag);
		if (!err && p.kind == HERD_QCOW2_BELOW)
			err = add_data(s, i + 1, bottom, off, off + part, ret,
				       diag);
		else if (!err && p.kind != HERD_QCOW2_ZEROS)
			err = add_piece(ret, off, part);
		off += part;
	}
	return err;
}

static int qcow2_data_extents(struct herd_source *base, struct herd_extents *ret,
			      struct herd_diag *diag)
{
	struct qcow2_source *s = (struct qcow2_source *)base;
	CLEANUP_EXTENTS struct herd_extents bottom = { 0 };
	int err = 0;

	ret->n = 0;
	if (s->bottom)
		err = s->bottom->ops->data_extents(s->bottom, &bottom, diag);
	return err ?: add_data(s, 0, &bottom, 0, base->size, ret, diag);
}

/*
 * Where a layer ends before the disk does, zeros hide what is further below
 * as much as a cluster of it would.
 */
static int qcow2_above(struct herd_stacked *st, size_t images,
		       struct herd_extents *ret, struct herd_diag *diag)
{
	struct qcow2_source *s = (struct qcow2_source *)st;
	int err = 0;

	for (size_t i = 0; i < images && i < s->n; i++) {
		const struct layer *l = &s->layers[i];
		uint64_t part, end = l->q->size;

		if (end > st->base.size)
			end = st->base.size;
		err = add_piece(ret, end, st->base.size - end);
		for (uint64_t off = 0; off < end && !err; off += part) {
			struct herd_qcow2_place p;

			part = end - off;
			err = find_place(l, off, &part, &p, diag);
			if (!err && p.kind != HERD_QCOW2_BELOW)
				err = add_piece(ret, off, part);
		}
	}
	return err;
}

/* ---- opening ---- */

static void qcow2_destroy(struct herd_source *base)
{
	struct qcow2_source *s = (struct qcow2_source *)base;

	for (size_t i = 0; i < s->n; i++) {
		struct layer *l = &s->layers[i];

		if (l->map)
			munmap(l->map, l->file_size);
		if (l->fd >= 0)
			close(l->fd);
		free(l->tables);
	}
	free(s->inflated.bytes);
	pthread_mutex_destroy(&s->inflated.lock);
	herd_source_destroy(s->bottom);
	herd_image_deinit(&s->s.img);
	herd_source_deinit(base);
	free(s);
}

static const struct herd_source_ops qcow2_ops = {
	.kind = "qcow2",
	.read = qcow2_read,
	.map = qcow2_map,
	.data_extents = qcow2_data_extents,
	.changed_extents = herd_stacked_changed_extents,
	.destroy = qcow2_destroy,
};

/*
 * The offsets of all L2 tables. No two can be the same one, so there are not
 * more than fit in the file; that also bounds every walk over the disk.
 */
static int read_tables(struct layer *l, struct herd_diag *diag)
{
	const struct herd_qcow2 *q = l->q;
	const unsigned bits = 2 * q->cluster_bits - 3;
	const size_t n = (size_t)((q->size + (1ull << bits) - 1) >> bits);
	uint64_t there = l->file_size >> q->cluster_bits;

	if (q->l1_offset > l->file_size || n > (l->file_size - q->l1_offset) / 8)
		return herd_diag_set(diag, -EBADMSG, l->name, q->l1_offset,
				     "the qcow2 L1 table lies behind the end of the file");
	l->tables = malloc(n ? n * sizeof(*l->tables) : 1);
	if (!l->tables)
		return -ENOMEM;
	int err = herd_pread_full(l->fd, l->tables, n * 8, q->l1_offset,
				  l->name, diag);

	for (size_t i = 0; !err && i < n; i++) {
		if (herd_qcow2_table(q, be64toh(l->tables[i]), &l->tables[i]))
			return bad_table(l, q->l1_offset + i * 8, diag);
		if (l->tables[i] && !there--)
			return herd_diag_set(diag, -EBADMSG, l->name,
					     q->l1_offset,
					     "the qcow2 L1 table names more tables than the file has room for");
	}
	return err;
}

static int open_layer(struct qcow2_source *s, const struct herd_chain_link *link,
		      struct herd_diag *diag)
{
	const char *path = s->s.img.files[link->file].path;
	struct layer *l = &s->layers[s->n++];
	struct stat st;

	*l = (struct layer){ .q = &link->qcow2, .name = herd_path_base(path),
			     .fd = -1 };
	if (!l->q->plain)
		return herd_diag_set(diag, -EOPNOTSUPP, l->name, 72,
				     "changed since it was indexed: only qemu reads it now");
	int err = herd_image_file_open(path, &l->fd, &st, &l->file_size, diag) ?:
		  read_tables(l, diag);

	if (err)
		return err;
	l->map = mmap(NULL, l->file_size, PROT_READ, MAP_SHARED, l->fd, 0);
	if (l->map == MAP_FAILED)
		l->map = NULL;
	return 0;
}

static int open_layers(struct qcow2_source *s, struct herd_diag *diag)
{
	const struct herd_chain *chain = &s->s.chain;
	int err = 0;

	for (size_t i = 0; !err && i < chain->n; i++) {
		const struct herd_chain_link *link = &chain->links[i];
		struct herd_image raw = {
			.format = "raw", .files = &s->s.img.files[link->file],
			.n_files = 1,
		};

		err = strcmp(link->format, "raw") ? open_layer(s, link, diag) :
		      herd_source_open_raw(&raw, &s->bottom, diag);
	}
	if (!err)
		s->s.base.size = chain->links[0].qcow2.size;
	return err;
}

int herd_source_open_qcow2(const struct herd_image *img,
			   struct herd_source **ret, struct herd_diag *diag)
{
	struct qcow2_source *s = calloc(1, sizeof(*s));

	if (!s)
		return -ENOMEM;
	s->s.above = qcow2_above;
	pthread_mutex_init(&s->inflated.lock, NULL);
	int err = herd_source_init(&s->s.base, &qcow2_ops,
				   herd_path_base(img->files[0].path), 0);

	if (!err)
		err = herd_image_copy(img, &s->s.img);
	if (!err)
		err = herd_chain_read(&s->s.img, &s->s.chain, diag);
	if (!err)
		err = open_layers(s, diag);
	if (err) {
		qcow2_destroy(&s->s.base);
		return err;
	}
	*ret = &s->s.base;
	return 0;
}
