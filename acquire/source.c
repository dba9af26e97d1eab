/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What all sources have in common, and the two that stand on no file: bytes
 * in memory, and a window onto another source.
 *
 * Threads: both are immutable once made. The counter is atomic.
 */
#include "acquire/source_impl.h"

#include <string.h>

int herd_source_init(struct herd_source *s, const struct herd_source_ops *ops,
		     const char *name, uint64_t size)
{
	s->ops = ops;
	s->size = size;
	atomic_init(&s->bytes_read, 0);
	s->strict = false;
	s->name = strdup(name);
	return s->name ? 0 : -ENOMEM;
}

void herd_source_deinit(struct herd_source *s)
{
	free(s->name);
	s->name = NULL;
}

int herd_source_read(struct herd_source *s, void *buf, size_t len, uint64_t off,
		     struct herd_diag *diag)
{
	if (off > s->size || len > s->size - off)
		return herd_diag_set(diag, -EBADMSG, s->name, off,
				     "%zu bytes asked for past the end (%llu)",
				     len, (unsigned long long)s->size);
	if (!len)
		return 0;
	atomic_fetch_add_explicit(&s->bytes_read, len, memory_order_relaxed);
	return s->ops->read(s, buf, len, off, diag);
}

const void *herd_source_map(struct herd_source *s, uint64_t off, size_t len)
{
	if (!s->ops->map || !len || off > s->size || len > s->size - off)
		return NULL;
	return s->ops->map(s, off, len);
}

void herd_source_want(struct herd_source *s, const struct herd_extents *e)
{
	if (s->ops->want && e->n)
		s->ops->want(s, e);
}

bool herd_source_at_hand(struct herd_source *s, const struct herd_extents *e)
{
	return !s->ops->at_hand || s->ops->at_hand(s, e);
}

int herd_source_keep(struct herd_source *s, const struct herd_extents *e,
		     struct herd_diag *diag)
{
	return s->ops->keep ? s->ops->keep(s, e, diag) : 0;
}

int herd_source_lost(struct herd_source *s, struct herd_diag *diag)
{
	return s->ops->lost ? s->ops->lost(s, diag) : 0;
}

int herd_source_data(struct herd_source *s, struct herd_extents *ret,
		     struct herd_diag *diag)
{
	ret->n = 0;
	return s->ops->data_extents ? s->ops->data_extents(s, ret, diag) :
				      herd_extents_add(ret, 0, s->size);
}

void herd_source_destroy(struct herd_source *s)
{
	int saved = errno;

	if (s)
		s->ops->destroy(s);
	errno = saved;
}

/* ---- memory ---- */

struct memory_source {
	struct herd_source base;
	uint8_t *bytes;		/* owned */
};

static int memory_read(struct herd_source *s, void *buf, size_t len,
		       uint64_t off, struct herd_diag *diag)
{
	struct memory_source *m = (struct memory_source *)s;

	(void)diag;
	memcpy(buf, m->bytes + off, len);
	return 0;
}

static const void *memory_map(struct herd_source *s, uint64_t off, size_t len)
{
	struct memory_source *m = (struct memory_source *)s;

	(void)len;
	return m->bytes + off;
}

static void memory_destroy(struct herd_source *s)
{
	struct memory_source *m = (struct memory_source *)s;

	free(m->bytes);
	herd_source_deinit(s);
	free(m);
}

static const struct herd_source_ops memory_ops = {
	.kind = "memory",
	.read = memory_read,
	.map = memory_map,
	.destroy = memory_destroy,
};

int herd_source_from_memory(const char *name, const void *bytes, size_t len,
			    struct herd_source **ret)
{
	struct memory_source *m = calloc(1, sizeof(*m));

	if (!m)
		return -ENOMEM;
	int err = herd_source_init(&m->base, &memory_ops, name, len);

	m->bytes = malloc(len ? len : 1);
	if (err || !m->bytes) {
		memory_destroy(&m->base);
		return -ENOMEM;
	}
	if (len)
		memcpy(m->bytes, bytes, len);
	*ret = &m->base;
	return 0;
}

/* ---- window ---- */

struct window_source {
	struct herd_source base;
	struct herd_source *parent;	/* borrowed */
	uint64_t off;			/* where in parent it begins */
};

static int window_read(struct herd_source *s, void *buf, size_t len,
		       uint64_t off, struct herd_diag *diag)
{
	struct window_source *w = (struct window_source *)s;

	return herd_source_read(w->parent, buf, len, w->off + off, diag);
}

static const void *window_map(struct herd_source *s, uint64_t off, size_t len)
{
	struct window_source *w = (struct window_source *)s;

	return herd_source_map(w->parent, w->off + off, len);
}

static int window_data_extents(struct herd_source *s, struct herd_extents *ret,
			       struct herd_diag *diag)
{
	struct window_source *w = (struct window_source *)s;
	CLEANUP_EXTENTS struct herd_extents all = { 0 };

	if (!w->parent->ops->data_extents)
		return herd_extents_add(&all, 0, s->size) ?:
		       herd_extents_window(&all, 0, s->size, ret);
	return w->parent->ops->data_extents(w->parent, &all, diag) ?:
	       herd_extents_window(&all, w->off, s->size, ret);
}

/* Ranges of the window as ranges of its parent. */
static int to_parent(const struct window_source *w, const struct herd_extents *e,
		     struct herd_extents *ret)
{
	int err = 0;

	for (size_t i = 0; i < e->n && !err; i++)
		if (e->v[i].start < w->base.size)
			err = herd_extents_add(ret, w->off + e->v[i].start,
					       e->v[i].len);
	return err;
}

static void window_want(struct herd_source *s, const struct herd_extents *e)
{
	struct window_source *w = (struct window_source *)s;
	CLEANUP_EXTENTS struct herd_extents moved = { 0 };

	if (w->parent->ops->want && !to_parent(w, e, &moved))
		herd_source_want(w->parent, &moved);
}

static bool window_at_hand(struct herd_source *s, const struct herd_extents *e)
{
	struct window_source *w = (struct window_source *)s;
	CLEANUP_EXTENTS struct herd_extents moved = { 0 };

	return !w->parent->ops->at_hand ||
	       (!to_parent(w, e, &moved) &&
		herd_source_at_hand(w->parent, &moved));
}

static int window_changed_extents(struct herd_source *s,
				  struct herd_source *other,
				  struct herd_extents *ret,
				  struct herd_diag *diag);

static void window_destroy(struct herd_source *s)
{
	herd_source_deinit(s);
	free(s);
}

static const struct herd_source_ops window_ops = {
	.kind = "window",
	.read = window_read,
	.map = window_map,
	.data_extents = window_data_extents,
	.changed_extents = window_changed_extents,
	.want = window_want,
	.at_hand = window_at_hand,
	.destroy = window_destroy,
};

/*
 * Two windows are related when they show the same range of related parents:
 * the same partition of two overlays.
 */
static int window_changed_extents(struct herd_source *s,
				  struct herd_source *other,
				  struct herd_extents *ret,
				  struct herd_diag *diag)
{
	struct window_source *w = (struct window_source *)s;
	struct window_source *o = (struct window_source *)other;
	CLEANUP_EXTENTS struct herd_extents all = { 0 };

	if (other->ops != &window_ops || w->off != o->off ||
	    s->size != other->size)
		return -EOPNOTSUPP;
	if (w->parent == o->parent) {
		ret->n = 0;
		return 0;
	}
	if (!w->parent->ops->changed_extents)
		return -EOPNOTSUPP;
	return w->parent->ops->changed_extents(w->parent, o->parent, &all,
					       diag) ?:
	       herd_extents_window(&all, w->off, s->size, ret);
}

int herd_source_window(struct herd_source *parent, const char *name,
		       uint64_t off, uint64_t len, struct herd_source **ret)
{
	if (off > parent->size || len > parent->size - off)
		return -EBADMSG;

	struct window_source *w = calloc(1, sizeof(*w));

	if (!w)
		return -ENOMEM;
	if (herd_source_init(&w->base, &window_ops, name, len)) {
		window_destroy(&w->base);
		return -ENOMEM;
	}
	w->parent = parent;
	w->off = off;
	*ret = &w->base;
	return 0;
}
