/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Two texts in one sentence: how many lines came, changed and went, and the
 * one that matters most, as the style of the file shows it.
 */
#include "index/meaning_internal.h"

#include "acquire/base/cleanup.h"

#include <string.h>

/* Lines are shown until so much is written. */
#define SHOWN_UNTIL 110
#define LINE_SHOWN_MAX 160

/* What one text has more, and what the other. */
struct change {
	const struct herd_style *style;
	struct herd_lines own, herd; /* after herd_lines_diff */
	uint32_t *old;		     /* of own line i: herd line + 1, or 0 */
	size_t added, changed, removed;
	bool moved; /* the same lines, in another order */
	bool cut;   /* a text is longer than what was looked at */
	bool equal; /* byte for byte, as far as was looked at */
};

static void change_deinit(struct change *c)
{
	herd_lines_deinit(&c->own);
	herd_lines_deinit(&c->herd);
	free(c->old);
}

static struct herd_slice text_of(const struct herd_meaning_side *side)
{
	size_t len = side->len < HERD_MEANING_TEXT_MAX ? side->len :
							 HERD_MEANING_TEXT_MAX;

	if (side->absent || !side->text)
		return (struct herd_slice){ "", 0 };
	return (struct herd_slice){ side->text, len };
}

/* Whether the text is there, or there is none to be had. */
static bool at_hand(const struct herd_meaning_side *side)
{
	return side->absent || side->text || !side->size;
}

/* The keys of some lines, in order; a line without one is left out. */
static int keys_of(const struct change *c, const struct herd_lines *lines,
		   struct herd_lines *ret)
{
	ret->v = calloc(lines->n + 1, sizeof(*ret->v));
	if (!ret->v)
		return -ENOMEM;
	for (size_t i = 0; i < lines->n; i++) {
		struct herd_slice key = c->style->key(lines->v[i].s);

		if (key.len)
			ret->v[ret->n++] =
				(struct herd_line){ key, (uint32_t)i };
	}
	herd_lines_sort(ret);
	return 0;
}

/* Lines about the same thing are one that changed. */
static int pair(struct change *c)
{
	struct herd_lines own CLEANUP(herd_lines_deinit) = { NULL, 0 };
	struct herd_lines herd CLEANUP(herd_lines_deinit) = { NULL, 0 };
	int err;

	c->old = calloc(c->own.n + 1, sizeof(*c->old));
	if (!c->old)
		return -ENOMEM;
	c->added = c->own.n;
	c->removed = c->herd.n;
	if (!c->style->key)
		return 0;
	err = keys_of(c, &c->own, &own);
	if (!err)
		err = keys_of(c, &c->herd, &herd);
	for (size_t i = 0, k = 0; !err && i < own.n && k < herd.n;) {
		int order = herd_slice_order(own.v[i].s, herd.v[k].s);

		if (!order) {
			c->old[own.v[i].at] = herd.v[k].at + 1;
			c->added--;
			c->removed--;
			c->changed++;
		}
		i += order <= 0;
		k += order >= 0;
	}
	return err;
}

static int change_of(const struct herd_telling *t, struct change *c)
{
	struct herd_slice own = text_of(t->own), herd = text_of(t->herd);
	int err;

	c->equal = herd_slice_equal(own, herd);
	c->cut = t->own->size > own.len || t->herd->size > herd.len;
	err = herd_lines_split(own, c->style->comments, &c->own);
	if (!err)
		err = herd_lines_split(herd, c->style->comments, &c->herd);
	if (err)
		return err;
	herd_lines_diff(&c->own, &c->herd, &c->moved);
	return pair(c);
}

/* ---- which lines to show ---- */

static const struct herd_slice *old_of(const struct change *c, size_t i)
{
	return c->old[i] ? &c->herd.v[c->old[i] - 1].s : NULL;
}

/* 2: dangerous, 1: tells something, 0: the rest. */
static unsigned weight(struct herd_telling *t, const struct change *c, size_t i)
{
	const struct herd_style *s = c->style;
	struct herd_slice line = c->own.v[i].s;

	if (s->loud && s->loud(t, line, old_of(c, i)))
		return 2;
	return s->telling && s->telling(line);
}

static void show(struct herd_telling *t, const struct herd_style *style,
		 struct herd_slice line, const struct herd_slice *old)
{
	if (style->show)
		style->show(t, line, old);
	else
		herd_words_bytes(&t->w, line.p, line.len, LINE_SHOWN_MAX);
}

static int show_added(struct herd_telling *t, const struct change *c)
{
	uint8_t *weights CLEANUP_FREE = calloc(c->own.n + 1, 1);
	size_t shown = 0, before = t->w.len;

	if (!weights)
		return -ENOMEM;
	for (size_t i = 0; i < c->own.n; i++) {
		weights[i] = (uint8_t)weight(t, c, i);
		t->loud |= weights[i] == 2;
	}
	for (unsigned w = 3; w-- > 0;) {
		for (size_t i = 0; i < c->own.n; i++) {
			if (weights[i] != w)
				continue;
			if (t->w.len - before > SHOWN_UNTIL)
				return 0;
			herd_words_put(&t->w, shown++ ? "; " : ": ");
			show(t, c->style, c->own.v[i].s, old_of(c, i));
		}
	}
	return 0;
}

static void show_removed(struct herd_telling *t, const struct change *c)
{
	const struct herd_line *first = NULL, *loud = NULL;

	for (size_t j = 0; j < c->herd.n; j++) {
		if (!first)
			first = &c->herd.v[j];
		if (!loud && c->style->loud_removed &&
		    c->style->loud_removed(c->herd.v[j].s))
			loud = &c->herd.v[j];
	}
	t->loud |= loud != NULL;
	if (c->own.n || !first)
		return;
	herd_words_put(&t->w, ": ");
	show(t, c->style, loud ? loud->s : first->s, NULL);
}

/* ---- the sentence ---- */

/* "2 lines", "1 key". */
static void count(struct herd_telling *t, const struct herd_style *style,
		  size_t n)
{
	herd_words_number(&t->w, n);
	herd_words_put(&t->w, " ");
	herd_words_put(&t->w, style->noun);
	if (n != 1)
		herd_words_put(&t->w, "s");
}

static void counts(struct herd_telling *t, const struct change *c)
{
	static const char *const words[] = { " added", " changed", " removed" };
	size_t n[] = { c->added, c->changed, c->removed };
	bool first = true;

	for (unsigned i = 0; i < 3; i++) {
		if (!n[i])
			continue;
		if (first) {
			count(t, c->style, n[i]);
		} else {
			herd_words_put(&t->w, ", ");
			herd_words_number(&t->w, n[i]);
		}
		herd_words_put(&t->w, words[i]);
		first = false;
	}
	if (c->cut)
		herd_words_put(&t->w, " in the first 64 KiB");
}

/* No line that counts came or went. */
static void tell_nothing(struct herd_telling *t, const struct change *c)
{
	if (c->equal && !c->cut) {
		herd_tell_sizes(t);
		return;
	}
	if (c->cut) {
		herd_words_put(&t->w, "the first 64 KiB say the same, ");
		herd_tell_sizes(t);
		return;
	}
	t->quiet = true;
	if (c->moved)
		herd_words_put(&t->w, "the same lines in another order");
	else
		herd_words_put(&t->w, "only blanks and comments differ");
}

static void tell_new(struct herd_telling *t, const struct change *c)
{
	if (c->own.n) {
		herd_words_put(&t->w, "new file, ");
		count(t, c->style, c->own.n);
		if (c->cut)
			herd_words_put(&t->w, " in the first 64 KiB");
	} else if (!t->own->size) {
		herd_words_put(&t->w, "new file, empty");
	} else {
		herd_words_put(&t->w, "new file, only blanks and comments");
		t->quiet = !c->cut;
	}
}

int herd_tell_lines(struct herd_telling *t, const struct herd_style *style)
{
	struct change c CLEANUP(change_deinit) = { .style = style };
	int err;

	if (!at_hand(t->own) || !at_hand(t->herd)) {
		herd_tell_sizes(t);
		return 0;
	}
	err = change_of(t, &c);
	if (err)
		return err;
	if (t->herd->absent) {
		tell_new(t, &c);
		return show_added(t, &c);
	}
	if (!c.own.n && !c.herd.n) {
		tell_nothing(t, &c);
		return 0;
	}
	counts(t, &c);
	show_removed(t, &c);
	return show_added(t, &c);
}
