/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Lists of segments, sorted by address, none over another. Values; no threads.
 *
 * Of what overlaps one wins, whole: the first that the container names, or the
 * last. To find out who is on top at an address the segments are walked by
 * their starts, and those that are open wait in a heap; so it takes n log n
 * steps, however they lie.
 */
#include "acquire/memory/memory_impl.h"

#include <string.h>

void herd_memory_list_deinit(struct herd_memory_list *l)
{
	free(l->v);
	*l = (struct herd_memory_list){ 0 };
}

static int grow(struct herd_memory_list *l)
{
	size_t cap = l->cap ? l->cap * 2 : 64;
	struct herd_memory_segment *v = reallocarray(l->v, cap, sizeof(*v));

	if (!v)
		return -ENOMEM;
	l->v = v;
	l->cap = cap;
	return 0;
}

static bool goes_on(const struct herd_memory_segment *last,
		    const struct herd_memory_segment *s)
{
	if (last->phys + last->len != s->phys || last->order != s->order ||
	    last->stream != s->stream)
		return false;
	return s->stream != HERD_MEMORY_PLAIN || last->off + last->len == s->off;
}

static int append(struct herd_memory_list *l,
		  const struct herd_memory_segment *s)
{
	struct herd_memory_segment *last = l->n ? &l->v[l->n - 1] : NULL;

	if (last && goes_on(last, s)) {
		last->len += s->len;
		return 0;
	}
	if (l->n == l->cap && grow(l))
		return -ENOMEM;
	l->v[l->n++] = *s;
	return 0;
}

int herd_memory_list_add(struct herd_memory_list *l, uint64_t phys,
			 uint64_t len, uint64_t off, uint32_t stream)
{
	struct herd_memory_segment s = { phys, len, off, stream,
					 (uint32_t)l->n };

	if (!len)
		return 0;
	if (phys > INT64_MAX || len > INT64_MAX - phys)
		return -ERANGE;
	if (l->n >= HERD_MEMORY_RANGES_MAX)
		return -EOVERFLOW;
	return append(l, &s);
}

/* ---- overlaps ---- */

static int by_address(const void *a, const void *b)
{
	const struct herd_memory_segment *x = a, *y = b;

	if (x->phys != y->phys)
		return x->phys < y->phys ? -1 : 1;
	return (x->order > y->order) - (x->order < y->order);
}

/* Who is open at an address, the winner on top. */
struct heap {
	const struct herd_memory_segment **v;
	size_t n;
	bool last_wins;
};

static bool wins(const struct heap *h, size_t a, size_t b)
{
	return (h->v[a]->order < h->v[b]->order) != h->last_wins;
}

static void swap(struct heap *h, size_t a, size_t b)
{
	const struct herd_memory_segment *s = h->v[a];

	h->v[a] = h->v[b];
	h->v[b] = s;
}

static void heap_push(struct heap *h, const struct herd_memory_segment *s)
{
	size_t i = h->n++;

	h->v[i] = s;
	for (; i && wins(h, i, (i - 1) / 2); i = (i - 1) / 2)
		swap(h, i, (i - 1) / 2);
}

static void heap_pop(struct heap *h)
{
	size_t i = 0, best;

	h->v[0] = h->v[--h->n];
	for (;;) {
		best = i;
		for (size_t k = 2 * i + 1; k <= 2 * i + 2 && k < h->n; k++)
			if (wins(h, k, best))
				best = k;
		if (best == i)
			return;
		swap(h, i, best);
		i = best;
	}
}

static uint64_t end_of(const struct herd_memory_segment *s)
{
	return s->phys + s->len;
}

/* Whether the bytes of both at the same address are the very same ones. */
static bool alike(const struct herd_memory_segment *a,
		  const struct herd_memory_segment *b)
{
	return a->stream == HERD_MEMORY_PLAIN && b->stream == a->stream &&
	       a->off - a->phys == b->off - b->phys;
}

static bool is_settled(const struct herd_memory_list *l)
{
	for (size_t i = 1; i < l->n; i++)
		if (l->v[i].phys < end_of(&l->v[i - 1]))
			return false;
	return true;
}

static int sweep(const struct herd_memory_list *in, struct heap *h,
		 struct herd_memory_list *out, bool *ret_conflict)
{
	uint64_t pos = 0;
	size_t next = 0;

	while (next < in->n || h->n) {
		while (h->n && end_of(h->v[0]) <= pos)
			heap_pop(h);
		if (!h->n && next < in->n && in->v[next].phys > pos)
			pos = in->v[next].phys;
		for (; next < in->n && in->v[next].phys == pos; next++) {
			if (h->n && !alike(h->v[0], &in->v[next]))
				*ret_conflict = true;
			heap_push(h, &in->v[next]);
		}
		if (!h->n)
			continue;

		const struct herd_memory_segment *top = h->v[0];
		struct herd_memory_segment s = *top;
		uint64_t end = end_of(top);

		if (end <= pos)
			continue;
		if (next < in->n && in->v[next].phys < end)
			end = in->v[next].phys;
		s.phys = pos;
		s.len = end - pos;
		s.off += pos - top->phys;
		if (append(out, &s))
			return -ENOMEM;
		pos = end;
	}
	return 0;
}

int herd_memory_list_settle(struct herd_memory_list *l, bool last_wins,
			    bool *ret_conflict)
{
	struct herd_memory_list out = { 0 };
	struct heap h = { .last_wins = last_wins };
	int err = 0;

	*ret_conflict = false;
	if (is_settled(l))
		return 0;
	qsort(l->v, l->n, sizeof(*l->v), by_address);
	if (is_settled(l))
		return 0;
	h.v = calloc(l->n, sizeof(*h.v));
	if (!h.v)
		return -ENOMEM;
	err = sweep(l, &h, &out, ret_conflict);
	free(h.v);
	free(err ? out.v : l->v);
	if (!err)
		*l = out;
	return err;
}

size_t herd_memory_list_after(const struct herd_memory_list *l, uint64_t addr)
{
	size_t lo = 0, hi = l->n;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (end_of(&l->v[mid]) <= addr)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

const struct herd_memory_segment *
herd_memory_list_find(const struct herd_memory_list *l, uint64_t addr)
{
	size_t i = herd_memory_list_after(l, addr);

	return i < l->n && l->v[i].phys <= addr ? &l->v[i] : NULL;
}
