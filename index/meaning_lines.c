/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which lines one text has and another lacks. Both are sorted and walked side
 * by side, so that nothing in them makes it quadratic; where a line stands is
 * not compared, for configuration is mostly a set. What both begin and end
 * with is left out first: most differences are one line.
 */
#include "index/meaning_internal.h"

#include "acquire/base/cleanup.h"

#include <string.h>

void herd_lines_deinit(struct herd_lines *l)
{
	free(l->v);
	*l = (struct herd_lines){ NULL, 0 };
}

static bool comment(struct herd_slice s, enum herd_comments comments,
		    bool first)
{
	switch (comments) {
	case HERD_COMMENTS_RAW:
	case HERD_COMMENTS_NONE:
		return false;
	case HERD_COMMENTS_HASH:
		return *s.p == '#';
	case HERD_COMMENTS_SEMICOLON:
		return *s.p == '#' || *s.p == ';';
	case HERD_COMMENTS_SLASHES:
		/* apt has directives that begin with '#' */
		return (*s.p == '#' && !herd_slice_begins(s, "#include") &&
			!herd_slice_begins(s, "#clear")) ||
		       herd_slice_begins(s, "//");
	case HERD_COMMENTS_SUDOERS:
		return *s.p == '#' && !herd_slice_begins(s, "#include") &&
		       !(s.len > 1 && s.p[1] >= '0' && s.p[1] <= '9');
	case HERD_COMMENTS_SCRIPT:
		return *s.p == '#' && !(first && herd_slice_begins(s, "#!"));
	}
	return false;
}

/* The next line without its end. */
static struct herd_slice next_line(struct herd_slice *text)
{
	const char *end = memchr(text->p, '\n', text->len);
	struct herd_slice line = { text->p,
				   end ? (size_t)(end - text->p) : text->len };
	size_t gone = line.len + (end ? 1 : 0);

	text->p += gone;
	text->len -= gone;
	return line;
}

int herd_lines_split(struct herd_slice text, enum herd_comments comments,
		     struct herd_lines *ret)
{
	size_t most = 1;
	bool first = true;
	struct herd_line *v;

	*ret = (struct herd_lines){ NULL, 0 };
	if (!text.len)
		return 0;
	for (size_t i = 0; i < text.len; i++)
		most += text.p[i] == '\n';
	v = calloc(most, sizeof(*v));
	if (!v)
		return -ENOMEM;
	ret->v = v;
	for (; text.len; first = false) {
		struct herd_slice s = next_line(&text);

		if (comments != HERD_COMMENTS_RAW) {
			s = herd_slice_trim(s);
			if (!s.len || comment(s, comments, first))
				continue;
		}
		v[ret->n] = (struct herd_line){ s, (uint32_t)ret->n };
		ret->n++;
	}
	return 0;
}

int herd_slice_order(struct herd_slice a, struct herd_slice b)
{
	size_t len = a.len < b.len ? a.len : b.len;
	int order = len ? memcmp(a.p, b.p, len) : 0;

	return order ? order : (a.len > b.len) - (a.len < b.len);
}

static int by_bytes(const void *a, const void *b)
{
	const struct herd_line *x = a, *y = b;
	int order = herd_slice_order(x->s, y->s);

	return order ? order : (x->at > y->at) - (x->at < y->at);
}

static int by_place(const void *a, const void *b)
{
	const struct herd_line *x = a, *y = b;

	return (x->at > y->at) - (x->at < y->at);
}

/* Leaves out n lines at the front. */
static void drop(struct herd_lines *l, size_t n)
{
	if (n)
		memmove(l->v, l->v + n, (l->n - n) * sizeof(*l->v));
	l->n -= n;
}

static void sort(struct herd_lines *l, int (*order)(const void *, const void *))
{
	if (l->n > 1)
		qsort(l->v, l->n, sizeof(*l->v), order);
}

void herd_lines_sort(struct herd_lines *l)
{
	sort(l, by_bytes);
}

void herd_lines_diff(struct herd_lines *own, struct herd_lines *herd,
		     bool *ret_moved)
{
	size_t same = 0, i = 0, k = 0, own_left = 0, herd_left = 0;

	while (same < own->n && same < herd->n &&
	       herd_slice_equal(own->v[same].s, herd->v[same].s))
		same++;
	drop(own, same);
	drop(herd, same);
	while (own->n && herd->n &&
	       herd_slice_equal(own->v[own->n - 1].s, herd->v[herd->n - 1].s)) {
		own->n--;
		herd->n--;
	}
	*ret_moved = own->n || herd->n;
	sort(own, by_bytes);
	sort(herd, by_bytes);
	while (i < own->n || k < herd->n) {
		int order = i < own->n ? -1 : 1;

		if (i < own->n && k < herd->n)
			order = herd_slice_order(own->v[i].s, herd->v[k].s);
		if (order < 0)
			own->v[own_left++] = own->v[i++];
		else if (order > 0)
			herd->v[herd_left++] = herd->v[k++];
		else {
			i++;
			k++;
		}
	}
	own->n = own_left;
	herd->n = herd_left;
	*ret_moved = *ret_moved && !own_left && !herd_left;
	sort(own, by_place);
	sort(herd, by_place);
}
