/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Containers that hold memory as it is: raw, LiME. (AVML without compression is
 * LiME.) LiME: records of a header of 32 bytes, little-endian: magic, version 1,
 * first and last address (the last one inclusive), 8 bytes of zeros; then the
 * bytes. Threads: immutable once open.
 */
#include "acquire/memory/keep_impl.h"

#include <string.h>

static int plain_read(struct herd_source *s, void *buf, size_t len,
		      uint64_t off, struct herd_diag *diag)
{
	struct herd_memory_plain *p = (struct herd_memory_plain *)s;
	uint8_t *to = buf;

	while (len) {
		const struct herd_memory_segment *g =
			herd_memory_list_find(&p->list, off);
		uint64_t left;
		size_t n;

		if (!g)
			return herd_memory_gap(s, off, diag);
		left = g->phys + g->len - off;
		n = len < left ? len : (size_t)left;
		int err = herd_source_read(p->m.container, to, n,
					   g->off + (off - g->phys), diag);

		if (err)
			return err;
		to += n;
		off += n;
		len -= n;
	}
	return 0;
}

static void plain_destroy(struct herd_source *s)
{
	struct herd_memory_plain *p = (struct herd_memory_plain *)s;

	herd_memory_list_deinit(&p->list);
	herd_memory_deinit(&p->m);
	free(p);
}

/* Of what one segment has the mapping is the container's. */
static const void *plain_map(struct herd_source *s, uint64_t off, size_t len)
{
	struct herd_memory_plain *p = (struct herd_memory_plain *)s;
	const struct herd_memory_segment *g = herd_memory_list_find(&p->list,
								    off);

	if (!g || len > g->phys + g->len - off)
		return NULL;
	return herd_source_map(p->m.container, g->off + (off - g->phys), len);
}

#define PLAIN_OPS(name) { \
	.kind = name, .read = plain_read, .map = plain_map, \
	.data_extents = herd_memory_data, .lost = herd_memory_lost, \
	.destroy = plain_destroy, \
}

static const struct herd_source_ops plain_ops[] = {
	PLAIN_OPS("raw-memory"), PLAIN_OPS("lime"), PLAIN_OPS("elf-core"),
};

const struct herd_memory_list *herd_memory_plain_list(const struct herd_source *s)
{
	return s->ops->read == plain_read ?
	       &((const struct herd_memory_plain *)(const void *)s)->list : NULL;
}

int herd_memory_plain_create(struct herd_source *container, const char *kind,
			     struct herd_memory_plain **ret)
{
	struct herd_memory_plain *p = calloc(1, sizeof(*p));
	const struct herd_source_ops *ops = plain_ops;

	if (!p) {
		herd_source_destroy(container);
		return -ENOMEM;
	}
	while (strcmp(ops->kind, kind) != 0)
		ops++;
	int err = herd_memory_init(&p->m, ops, container);

	if (err)
		plain_destroy(&p->m.s);
	else
		*ret = p;
	return err;
}

int herd_memory_plain_finish(struct herd_memory_plain *p,
			     struct herd_source **ret, struct herd_diag *diag)
{
	int err = herd_memory_take_list(&p->m, &p->list, diag);

	if (err) {
		plain_destroy(&p->m.s);
		return err;
	}
	*ret = &p->m.s;
	return 0;
}

/* ---- raw ---- */

int herd_memory_open_raw(struct herd_source *container,
			 struct herd_source **ret, struct herd_diag *diag)
{
	struct herd_memory_plain *p;
	uint64_t size = container->size;
	int err = herd_memory_plain_create(container, "raw-memory", &p);

	if (err)
		return err;
	err = size > HERD_MEMORY_TOP ? -EOVERFLOW :
	      herd_memory_list_add(&p->list, 0, size, 0, HERD_MEMORY_PLAIN);
	if (err) {
		herd_diag_set(diag, err, p->m.s.name, HERD_NO_OFFSET,
			      "larger than memory can be");
		plain_destroy(&p->m.s);
		return err;
	}
	return herd_memory_plain_finish(p, ret, diag);
}

/* ---- LiME ---- */

int herd_memory_read_record(struct herd_source *c, uint64_t at,
			    struct herd_memory_record *ret,
			    struct herd_diag *diag)
{
	uint8_t head[HERD_MEMORY_RECORD];
	struct herd_cursor k = herd_cursor(head, sizeof(head));

	if (c->size - at < HERD_MEMORY_RECORD)
		return herd_diag_set(diag, -ENODATA, c->name, at,
				     "a header is cut short");
	int err = herd_source_read(c, head, sizeof(head), at, diag);

	if (err)
		return err;
	bool lime = !memcmp(head, "EMiL", 4), avml = !memcmp(head, "AVML", 4);

	if (!lime && !avml)
		return herd_diag_set(diag, -EBADMSG, c->name, at,
				     "no header of LiME or AVML where one must be");
	herd_cur_seek(&k, 4);
	uint32_t version = herd_cur_le32(&k);
	uint64_t first = herd_cur_le64(&k), last = herd_cur_le64(&k);

	if (version != (avml ? 2u : 1u))
		return herd_diag_set(diag, -EOPNOTSUPP, c->name, at + 4,
				     "%s of version %u", avml ? "AVML" : "LiME",
				     version);
	if (last < first || last >= HERD_MEMORY_TOP)
		return herd_diag_set(diag, -EBADMSG, c->name, at + 8,
				     "a header with a range that cannot be");
	*ret = (struct herd_memory_record){ first, last - first + 1, avml };
	return 0;
}

static int lime_record(struct herd_memory_plain *p, uint64_t *at,
		       struct herd_diag *diag)
{
	struct herd_source *c = p->m.container;
	struct herd_memory_record r;
	int err = herd_memory_read_record(c, *at, &r, diag);

	if (err)
		return err;
	uint64_t left = c->size - *at - HERD_MEMORY_RECORD;

	if (r.packed)
		return herd_diag_set(diag, -EBADMSG, c->name, *at,
				     "AVML's compression within LiME");
	if (r.len > left) {
		herd_memory_warn(&p->m, "it is cut short: the last %llu bytes "
				 "of its last range are missing",
				 (unsigned long long)(r.len - left));
		r.len = left;
	}
	err = herd_memory_list_add(&p->list, r.phys, r.len,
				   *at + HERD_MEMORY_RECORD, HERD_MEMORY_PLAIN);
	if (err)
		return herd_diag_set(diag, err, c->name, *at,
				     "more than %u ranges",
				     HERD_MEMORY_RANGES_MAX);
	*at += HERD_MEMORY_RECORD + r.len;
	return 0;
}

/*
 * AVML writes blocks of 16 MiB, counted from the start of a range of memory,
 * and none that is all zeros; nor does it say so.
 */
void herd_memory_tell_elided(struct herd_memory_source *m,
			     const struct herd_memory_list *l)
{
	const uint64_t block = 16u << 20;
	uint64_t sum = 0;

	for (size_t i = 1; i < l->n; i++) {
		const struct herd_memory_segment *before = &l->v[i - 1];
		uint64_t gap = l->v[i].phys - before->phys - before->len;

		if (before->len == block && gap % block == 0)
			sum += gap;
	}
	if (sum)
		herd_memory_warn(m, "of its gaps %llu MiB may be blocks of zeros "
				 "that AVML left out",
				 (unsigned long long)(sum >> 20));
}

int herd_memory_open_lime(struct herd_source *container,
			  struct herd_source **ret, struct herd_diag *diag)
{
	struct herd_memory_plain *p;
	struct herd_diag why;
	uint64_t at = 0, size = container->size;
	int err = herd_memory_plain_create(container, "lime", &p);

	if (err)
		return err;
	herd_diag_clear(&why);
	while (at < size && !err)
		err = lime_record(p, &at, &why);
	err = herd_memory_damaged(&p->m, p->list.n, err, &why, diag) ?:
	      herd_memory_take_list(&p->m, &p->list, diag);
	if (err) {
		plain_destroy(&p->m.s);
		return err;
	}
	herd_memory_tell_elided(&p->m, &p->list);
	*ret = &p->m.s;
	return 0;
}
