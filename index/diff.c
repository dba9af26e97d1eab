/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Myers' greedy algorithm between the lines that both texts begin and end
 * with, up to so many differences; see index/diff.h.
 */
#include "index/diff.h"

#include "acquire/base/cleanup.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define LINES_MAX 4000 /* of one side, beyond what is equal at both ends */
#define EDITS_MAX 256

struct line {
	const char *p;
	size_t len;
};

struct side {
	struct line *v;
	size_t n;
};

static void side_deinit(struct side *s)
{
	free(s->v);
}

static int split(const char *text, size_t len, struct side *ret)
{
	size_t n = 0;

	for (size_t i = 0; i < len; i++)
		n += text[i] == '\n';
	n += len && text[len - 1] != '\n';
	ret->v = calloc(n + 1, sizeof(*ret->v));
	if (!ret->v)
		return -ENOMEM;
	while (len) {
		const char *end = memchr(text, '\n', len);
		size_t line = end ? (size_t)(end - text) : len;

		ret->v[ret->n++] = (struct line){ text, line };
		text += line + (end != NULL);
		len -= line + (end != NULL);
	}
	return 0;
}

static bool same(const struct line *a, const struct line *b)
{
	return a->len == b->len && (!a->len || !memcmp(a->p, b->p, a->len));
}

/* ---- the shortest way ---- */

/* The middles of both sides, and for each of their lines whether it stays. */
struct work {
	const struct line *a, *b;
	int n, m;
	bool *keep_a, *keep_b;
};

/* How far each diagonal got, for each number of edits, to go back by. */
static int trace_back(struct work *w, const int *trace, int d)
{
	int x = w->n, y = w->m;

	for (; d >= 0; d--) {
		const int *v =
			trace + (size_t)d * (2 * EDITS_MAX + 3) + EDITS_MAX + 1;
		int k = x - y, px, py;

		if (k == -d || (k != d && v[k - 1] < v[k + 1]))
			k++;
		else
			k--;
		px = d ? v[k] : 0;
		py = d ? px - k : 0;
		while (x > px && y > py) {
			w->keep_a[--x] = true;
			w->keep_b[--y] = true;
		}
		x = px;
		y = py;
	}
	return 0;
}

/* 0: found; -EOVERFLOW: too many edits. */
static int search(struct work *w)
{
	const size_t row = 2 * EDITS_MAX + 3;
	CLEANUP_FREE int *trace = calloc(row * (EDITS_MAX + 1), sizeof(*trace));
	CLEANUP_FREE int *all = calloc(row, sizeof(*all));
	int *v = all ? all + EDITS_MAX + 1 : NULL;

	if (!trace || !all)
		return -ENOMEM;
	for (int d = 0; d <= EDITS_MAX; d++) {
		memcpy(trace + (size_t)d * row, all, row * sizeof(*all));
		for (int k = -d; k <= d; k += 2) {
			bool down = k == -d || (k != d && v[k - 1] < v[k + 1]);
			int x = down ? v[k + 1] : v[k - 1] + 1;

			while (x < w->n && x - k < w->m && x - k >= 0 &&
			       same(&w->a[x], &w->b[x - k]))
				x++;
			v[k] = x;
			if (x >= w->n && x - k >= w->m)
				return trace_back(w, trace, d);
		}
	}
	return -EOVERFLOW;
}

/* ---- what is shown ---- */

static void put(struct herd_diff *d, char sign, const struct line *l)
{
	d->v[d->n++] = (struct herd_diff_line){ sign, l->p, l->len };
}

/* Of equal lines only those next to what differs stay, as one '@' a gap. */
static void shorten(struct herd_diff *d, unsigned context)
{
	size_t to = 0;

	for (size_t i = 0; i < d->n;) {
		size_t end = i;

		while (end < d->n && d->v[end].sign == ' ')
			end++;
		if (end == i) {
			d->v[to++] = d->v[i++];
			continue;
		}
		size_t head = i ? context : 0, tail = end < d->n ? context : 0;

		if (end - i <= head + tail + 1) {
			while (i < end)
				d->v[to++] = d->v[i++];
			continue;
		}
		for (size_t k = 0; k < head; k++)
			d->v[to++] = d->v[i + k];
		d->v[to++] = (struct herd_diff_line){ '@', NULL,
						      end - i - head - tail };
		for (size_t k = tail; k > 0; k--)
			d->v[to++] = d->v[end - k];
		i = end;
	}
	d->n = to;
}

static void weave(struct herd_diff *d, const struct work *w)
{
	int x = 0, y = 0;

	while (x < w->n || y < w->m) {
		if (x < w->n && !w->keep_a[x])
			put(d, '-', &w->a[x++]);
		else if (y < w->m && !w->keep_b[y])
			put(d, '+', &w->b[y++]);
		else {
			put(d, ' ', &w->b[y++]);
			x++;
		}
	}
}

void herd_diff_deinit(struct herd_diff *d)
{
	free(d->v);
	*d = (struct herd_diff){ .n = 0 };
}

static int compare(const struct side *a, const struct side *b, unsigned context,
		   struct herd_diff *d)
{
	size_t head = 0, tail = 0;

	while (head < a->n && head < b->n && same(&a->v[head], &b->v[head]))
		head++;
	while (tail < a->n - head && tail < b->n - head &&
	       same(&a->v[a->n - 1 - tail], &b->v[b->n - 1 - tail]))
		tail++;
	size_t n = a->n - head - tail, m = b->n - head - tail;
	CLEANUP_FREE bool *keep = calloc(n + m + 1, sizeof(*keep));
	struct work w = { .a = a->v + head,
			  .b = b->v + head,
			  .keep_a = keep,
			  .keep_b = keep ? keep + n : NULL };
	int err = keep ? 0 : -ENOMEM;

	if (err)
		return err;
	w.n = (int)n;
	w.m = (int)m;
	if (n && m)
		err = n > LINES_MAX || m > LINES_MAX ? -EOVERFLOW : search(&w);
	if (err && err != -EOVERFLOW)
		return err;
	d->coarse = err != 0;
	for (size_t i = 0; i < head; i++)
		put(d, ' ', &b->v[i]);
	weave(d, &w);
	for (size_t i = b->n - tail; i < b->n; i++)
		put(d, ' ', &b->v[i]);
	shorten(d, context);
	return 0;
}

int herd_diff_make(const char *old_text, size_t old_len, const char *new_text,
		   size_t new_len, unsigned context, struct herd_diff *ret)
{
	CLEANUP(side_deinit) struct side a = { .n = 0 };
	CLEANUP(side_deinit) struct side b = { .n = 0 };
	CLEANUP(herd_diff_deinit) struct herd_diff d = { .n = 0 };
	int err = split(old_text, old_len, &a);

	if (!err)
		err = split(new_text, new_len, &b);
	if (err)
		return err;
	d.v = calloc(a.n + b.n + 1, sizeof(*d.v));
	if (!d.v)
		return -ENOMEM;
	err = compare(&a, &b, context, &d);
	if (err)
		return err;
	*ret = d;
	d = (struct herd_diff){ .n = 0 };
	return 0;
}
