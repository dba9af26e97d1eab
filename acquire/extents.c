/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sets of byte ranges, as a growable array.
 *
 * Threads: a set belongs to one thread at a time; looking is safe for many.
 */
#include "acquire/source_impl.h"

#include <errno.h>
#include <stdlib.h>

void herd_extents_deinit(struct herd_extents *e)
{
	free(e->v);
	*e = (struct herd_extents){ 0 };
}

/* Where start+len ends, without wrapping round. */
static uint64_t end_of(uint64_t start, uint64_t len)
{
	return len > UINT64_MAX - start ? UINT64_MAX : start + len;
}

static int extents_grow(struct herd_extents *e)
{
	size_t cap = e->cap ? e->cap * 2 : 16;
	struct herd_extent *v = reallocarray(e->v, cap, sizeof(*v));

	if (!v)
		return -ENOMEM;
	e->v = v;
	e->cap = cap;
	return 0;
}

int herd_extents_add(struct herd_extents *e, uint64_t start, uint64_t len)
{
	uint64_t end = end_of(start, len);

	if (start == end)
		return 0;
	if (e->n) {
		struct herd_extent *last = &e->v[e->n - 1];
		uint64_t last_end = last->start + last->len;

		if (start >= last->start && start <= last_end) {
			if (end > last_end)
				last->len = end - last->start;
			return 0;
		}
	}
	if (e->n == e->cap) {
		int err = extents_grow(e);

		if (err)
			return err;
	}
	e->v[e->n++] = (struct herd_extent){ start, end - start };
	return 0;
}

static int by_start(const void *a, const void *b)
{
	const struct herd_extent *x = a, *y = b;

	return (x->start > y->start) - (x->start < y->start);
}

void herd_extents_normalise(struct herd_extents *e)
{
	size_t n = 0;

	if (e->n < 2)
		return;
	qsort(e->v, e->n, sizeof(*e->v), by_start);
	for (size_t i = 1; i < e->n; i++) {
		struct herd_extent *last = &e->v[n];
		uint64_t last_end = last->start + last->len;
		uint64_t end = e->v[i].start + e->v[i].len;

		if (e->v[i].start > last_end)
			e->v[++n] = e->v[i];
		else if (end > last_end)
			last->len = end - last->start;
	}
	e->n = n + 1;
}

size_t herd_extents_after(const struct herd_extents *e, uint64_t pos)
{
	size_t low = 0, high = e->n;

	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (e->v[mid].start + e->v[mid].len > pos)
			high = mid;
		else
			low = mid + 1;
	}
	return low;
}

bool herd_extents_overlap(const struct herd_extents *e, uint64_t start,
			  uint64_t len)
{
	size_t i = herd_extents_after(e, start);

	return len && i < e->n && e->v[i].start < end_of(start, len);
}

uint64_t herd_extents_bytes(const struct herd_extents *e)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < e->n; i++)
		sum += e->v[i].len;
	return sum;
}

int herd_extents_window(const struct herd_extents *e, uint64_t start,
			uint64_t len, struct herd_extents *ret)
{
	uint64_t end = end_of(start, len);

	ret->n = 0;
	for (size_t i = herd_extents_after(e, start); i < e->n; i++) {
		uint64_t from = e->v[i].start, to = from + e->v[i].len;

		if (from >= end)
			break;
		from = from < start ? start : from;
		to = to > end ? end : to;
		int err = herd_extents_add(ret, from - start, to - from);

		if (err)
			return err;
	}
	return 0;
}
