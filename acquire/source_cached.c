/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A source that keeps what was read of another in chunks: direct-mapped, so
 * that a look-up is one comparison. Reads that a chunk would not help pass by.
 *
 * Threads: one at a time; see source.h.
 */
#include "acquire/source_impl.h"

#include <string.h>

#define CHUNK (64u << 10)
#define SLOTS 256u

struct slot {
	uint64_t chunk;		/* number + 1; 0: empty */
	uint8_t *bytes;		/* CHUNK; owned */
};

struct cached_source {
	struct herd_source base;
	struct herd_source *parent;
	struct slot slots[SLOTS];
};

/* The chunk with this number, read when it is not there. */
static int chunk_get(struct cached_source *c, uint64_t number,
		     const uint8_t **ret, struct herd_diag *diag)
{
	struct slot *slot = &c->slots[number % SLOTS];
	uint64_t start = number * CHUNK, left = c->base.size - start;

	if (slot->chunk != number + 1) {
		if (!slot->bytes)
			slot->bytes = malloc(CHUNK);
		if (!slot->bytes)
			return -ENOMEM;
		slot->chunk = 0;
		int err = herd_source_read(c->parent, slot->bytes,
					   left < CHUNK ? (size_t)left : CHUNK,
					   start, diag);

		if (err)
			return err;
		slot->chunk = number + 1;
	}
	*ret = slot->bytes;
	return 0;
}

static int cached_read(struct herd_source *s, void *buf, size_t len,
		       uint64_t off, struct herd_diag *diag)
{
	struct cached_source *c = (struct cached_source *)s;
	uint8_t *to = buf;

	if (len >= CHUNK)
		return herd_source_read(c->parent, buf, len, off, diag);
	while (len) {
		size_t in = off % CHUNK;
		size_t part = len < CHUNK - in ? len : CHUNK - in;
		const uint8_t *bytes = NULL;
		int err = chunk_get(c, off / CHUNK, &bytes, NULL);

		/* a bad spot beside what is wanted must not spoil it */
		if (err == -ENOMEM)
			return err;
		if (err)
			return herd_source_read(c->parent, to, len, off, diag);
		memcpy(to, bytes + in, part);
		to += part;
		off += part;
		len -= part;
	}
	return 0;
}

static int cached_data_extents(struct herd_source *s, struct herd_extents *ret,
			       struct herd_diag *diag)
{
	struct cached_source *c = (struct cached_source *)s;

	if (c->parent->ops->data_extents)
		return c->parent->ops->data_extents(c->parent, ret, diag);
	ret->n = 0;
	return herd_extents_add(ret, 0, s->size);
}

static void cached_want(struct herd_source *s, const struct herd_extents *e)
{
	herd_source_want(((struct cached_source *)s)->parent, e);
}

static void cached_destroy(struct herd_source *s)
{
	struct cached_source *c = (struct cached_source *)s;

	for (size_t i = 0; i < SLOTS; i++)
		free(c->slots[i].bytes);
	herd_source_deinit(s);
	free(c);
}

static const struct herd_source_ops cached_ops = {
	.kind = "cached",
	.read = cached_read,
	.data_extents = cached_data_extents,
	.want = cached_want,
	.destroy = cached_destroy,
};

int herd_source_cached(struct herd_source *parent, struct herd_source **ret)
{
	struct cached_source *c = calloc(1, sizeof(*c));

	if (!c)
		return -ENOMEM;
	c->parent = parent;
	int err = herd_source_init(&c->base, &cached_ops, parent->name,
				   parent->size);

	if (err) {
		free(c);
		return err;
	}
	*ret = &c->base;
	return 0;
}
