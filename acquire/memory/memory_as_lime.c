/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A memory as the file that LiME would have written of it: a header for each
 * range (magic, version 1, first and last address, eight zeros; all
 * little-endian), and its bytes.
 *
 * Threads: as a source; the list does not change.
 */
#include "acquire/memory/memory_impl.h"

#include <string.h>

struct lime_view {
	struct herd_source s;
	struct herd_source *memory;
	struct herd_memory_list list; /* by place as well as by address */
};

static int put_header(const struct herd_memory_segment *g, uint64_t at,
		      uint8_t *to, size_t len)
{
	CLEANUP_BUF struct herd_buf b = HERD_BUF_INIT;
	const uint64_t ends[] = { g->phys, g->phys + g->len - 1, 0 };

	herd_buf_put(&b, "EMiL", 4);
	herd_buf_le32(&b, 1);
	for (size_t i = 0; i < ARRAY_SIZE(ends); i++) {
		herd_buf_le32(&b, (uint32_t)ends[i]);
		herd_buf_le32(&b, (uint32_t)(ends[i] >> 32));
	}
	if (!herd_buf_error(&b))
		memcpy(to, b.data + at, len);
	return herd_buf_error(&b);
}

/* The range that the byte of the file belongs to, header or content. */
static size_t range_at(const struct lime_view *v, uint64_t off)
{
	size_t low = 0, high = v->list.n;

	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (v->list.v[mid].off + v->list.v[mid].len <= off)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

static int view_read(struct herd_source *s, void *buf, size_t len, uint64_t off,
		     struct herd_diag *diag)
{
	struct lime_view *v = (struct lime_view *)s;
	uint8_t *to = buf;
	int err = 0;

	for (size_t i = range_at(v, off); len && !err; i++) {
		const struct herd_memory_segment *g = &v->list.v[i];
		uint64_t end = g->off + g->len;

		while (len && off < end && !err) {
			bool head = off < g->off;
			uint64_t left = (head ? g->off : end) - off;
			size_t n = len < left ? len : (size_t)left;

			err = head ? put_header(g,
						off + HERD_MEMORY_RECORD -
							g->off,
						to, n) :
				     herd_source_read(v->memory, to, n,
						      g->phys + (off - g->off),
						      diag);
			to += n;
			off += n;
			len -= n;
		}
	}
	return err;
}

static void view_destroy(struct herd_source *s)
{
	struct lime_view *v = (struct lime_view *)s;

	herd_memory_list_deinit(&v->list);
	herd_source_deinit(s);
	free(v);
}

static const struct herd_source_ops view_ops = {
	.kind = "as-lime",
	.read = view_read,
	.destroy = view_destroy,
};

int herd_memory_as_lime(struct herd_source *memory, struct herd_source **ret,
			struct herd_memory_list *ret_list,
			struct herd_diag *diag)
{
	CLEANUP(herd_extents_deinit) struct herd_extents there = { 0 };
	struct lime_view *v = calloc(1, sizeof(*v));
	uint64_t at = 0;
	int err = v ? herd_source_init(&v->s, &view_ops, memory->name, 0) :
		      -ENOMEM;

	if (!v)
		return err;
	v->memory = memory;
	if (!err)
		err = herd_source_data(memory, &there, diag);
	for (size_t i = 0; i < there.n && !err; i++) {
		const struct herd_extent *e = &there.v[i];

		at += HERD_MEMORY_RECORD;
		err = herd_memory_list_add(&v->list, e->start, e->len, at, HERD_MEMORY_PLAIN) ?:
			      herd_memory_list_add(ret_list, e->start, e->len,
						   at, HERD_MEMORY_PLAIN);
		at += e->len;
	}
	if (err) {
		view_destroy(&v->s);
		return err;
	}
	v->s.size = at;
	*ret = &v->s;
	return 0;
}
