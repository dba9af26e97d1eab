/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Flattened dumps, for pipes: a block of 4,096 bytes that says "makedumpfile",
 * then records of a place, a length (both be64) and that many bytes; a place of
 * -1 ends it. What is written again later counts. In order of place they are
 * the file that it would have been, zeros where nothing was written; but when
 * the end is missing, what would have been written there is not known.
 *
 * Threads: immutable once open.
 */
#include "acquire/memory/memory_impl.h"

#include <string.h>

#define HEADER 4096u
#define EMPTY_MAX 4096u		/* records of no bytes */

struct flat {
	struct herd_source s;
	struct herd_source *container;
	struct herd_memory_list list;	/* "phys" is the place in the file */
	bool cut;
};

/* What no record has. */
static int fill(const struct flat *f, uint8_t *to, uint64_t off, uint64_t len,
		struct herd_diag *diag)
{
	if (len && f->cut)
		return herd_diag_set(diag, -ENODATA, f->s.name, off,
				     "is missing: the dump is cut short");
	memset(to, 0, (size_t)len);
	return 0;
}

static int flat_read(struct herd_source *s, void *buf, size_t len, uint64_t off,
		     struct herd_diag *diag)
{
	struct flat *f = (struct flat *)s;
	const struct herd_memory_list *l = &f->list;
	uint64_t end = off + len;
	uint8_t *to = buf;

	for (size_t i = herd_memory_list_after(l, off);
	     i < l->n && l->v[i].phys < end; i++) {
		const struct herd_memory_segment *g = &l->v[i];
		uint64_t from = g->phys > off ? g->phys : off;
		uint64_t last = g->phys + g->len;
		size_t n = (size_t)((last < end ? last : end) - from);

		int err = fill(f, to, off, from - off, diag);

		to += from - off;
		if (!err)
			err = herd_source_read(f->container, to, n,
					       g->off + (from - g->phys), diag);
		if (err)
			return err;
		to += n;
		off = from + n;
	}
	return fill(f, to, off, end - off, diag);
}

static int flat_lost(struct herd_source *s, struct herd_diag *diag)
{
	return herd_source_lost(((struct flat *)s)->container, diag);
}

static void flat_destroy(struct herd_source *s)
{
	struct flat *f = (struct flat *)s;

	herd_source_destroy(f->container);
	herd_memory_list_deinit(&f->list);
	herd_source_deinit(&f->s);
	free(f);
}

static const struct herd_source_ops flat_ops = {
	.kind = "flattened", .read = flat_read, .lost = flat_lost,
	.destroy = flat_destroy,
};

static int read_records(struct flat *f, bool *ret_cut, struct herd_diag *diag)
{
	uint64_t at = HEADER, size = f->container->size;
	unsigned empty = 0;
	int err = 0;

	*ret_cut = true;
	while (!err && size - at >= 16) {
		uint8_t head[16];

		err = herd_source_read(f->container, head, sizeof(head), at,
				       diag);
		struct herd_cursor c = herd_cursor(head, sizeof(head));
		uint64_t place = herd_cur_be64(&c), len = herd_cur_be64(&c);

		if (!err && place == UINT64_MAX)
			*ret_cut = false;
		if (err || place == UINT64_MAX)
			break;
		if (place > INT64_MAX || len > INT64_MAX - place ||
		    (!len && ++empty > EMPTY_MAX))
			return herd_diag_set(diag, -EBADMSG, f->s.name, at,
					     "a record that cannot be");
		at += 16;
		/* the last one of a file that was cut */
		len = len < size - at ? len : size - at;
		err = herd_memory_list_add(&f->list, place, len, at,
					   HERD_MEMORY_PLAIN);
		if (err == -EOVERFLOW)
			herd_diag_set(diag, err, f->s.name, at,
				      "more than %u records: put it in order "
				      "with makedumpfile -R",
				      HERD_MEMORY_RANGES_MAX);
		at += len;
	}
	return err;
}

static int read_header(struct flat *f, struct herd_diag *diag)
{
	uint8_t head[32];
	struct herd_cursor c = herd_cursor(head, sizeof(head));

	if (f->container->size < HEADER + 16)
		return herd_diag_set(diag, -EBADMSG, f->s.name, 0,
				     "a flattened dump that is cut short");
	int err = herd_source_read(f->container, head, sizeof(head), 0, diag);

	herd_cur_seek(&c, 16);
	uint64_t type = herd_cur_be64(&c), version = herd_cur_be64(&c);

	if (!err && (type != 1 || version != 1))
		err = herd_diag_set(diag, -EOPNOTSUPP, f->s.name, 16,
				    "a flattened dump of type %llu, version %llu",
				    (unsigned long long)type,
				    (unsigned long long)version);
	return err;
}

static bool is_flat(struct herd_source *c)
{
	char head[16];

	return c->size > sizeof(head) &&
	       !herd_source_read(c, head, sizeof(head), 0, NULL) &&
	       !memcmp(head, "makedumpfile\0\0\0\0", 16);
}

int herd_memory_unflatten(struct herd_source *container,
			  struct herd_source **ret, bool *ret_cut,
			  struct herd_diag *diag)
{
	struct flat *f;
	bool again;
	int err;

	*ret_cut = false;
	if (!is_flat(container)) {
		*ret = container;
		return 0;
	}
	f = calloc(1, sizeof(*f));
	if (!f) {
		herd_source_destroy(container);
		return -ENOMEM;
	}
	f->container = container;
	err = herd_source_init(&f->s, &flat_ops, container->name, 0) ?:
	      read_header(f, diag) ?: read_records(f, ret_cut, diag) ?:
	      herd_memory_list_settle(&f->list, true, &again);
	if (err) {
		flat_destroy(&f->s);
		return err;
	}
	if (f->list.n) {
		const struct herd_memory_segment *last =
			&f->list.v[f->list.n - 1];

		f->s.size = last->phys + last->len;
	}
	f->cut = *ret_cut;
	*ret = &f->s;
	return 0;
}
