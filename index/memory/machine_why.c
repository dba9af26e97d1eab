/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is said of a finding, one line a mark:
 *
 *	listens: tcp 0.0.0.0:4444; none of 5 others; T1571
 *
 * and how the marks come together in one rank and one severity.
 */
#include "index/memory/machine_judge_internal.h"

#include <string.h>

#define WHY_MAX 8192u /* bytes; what does not fit is only counted */
#define PASSING_RANK_MAX 20
/* How far each further mark goes towards 100, in percent. */
#define FURTHER 10

static void line(struct herd_case *c, const struct herd_mark_said *s)
{
	const struct herd_mark_info *i = herd_mark_info(s->bit);
	const char *technique = s->technique ? s->technique : i->technique;
	struct herd_buf *w = &c->why;

	if (w->len > WHY_MAX)
		return;
	if (w->len)
		herd_buf_u8(w, '\n');
	herd_buf_printf(w, "%s", i->name);
	if (s->detail && s->detail[0]) {
		herd_buf_printf(w, ": ");
		herd_norm_clean(w, s->detail, strnlen(s->detail, 1024));
	}
	if (s->of && s->same)
		herd_buf_printf(w, "; %u of %u others", s->same, s->of);
	else if (s->of)
		herd_buf_printf(w, "; none of %u other%s", s->of,
				s->of == 1 ? "" : "s");
	if (technique && strcmp(technique, "-"))
		herd_buf_printf(w, "; %s", technique);
}

static void higher(double *best, double rank)
{
	double low = rank < *best ? rank : *best;

	if (rank > *best)
		*best = rank;
	if (low > 0)
		*best += (100 - *best) * FURTHER / 100;
}

/* Those that have all marks are at most as many as have the rarest. */
static void rarest(uint32_t *others, const struct herd_mark_said *s)
{
	if (s->of && (!*others || s->same < *others - 1))
		*others = s->same + 1;
}

void herd_case_add(struct herd_case *c, const struct herd_mark_said *s)
{
	const struct herd_mark_info *i = herd_mark_info(s->bit);
	uint8_t severity = s->severity ? s->severity : i->severity;
	uint8_t *worst = s->deviates ? &c->severity : &c->passing_severity;

	c->f.marks |= s->bit;
	c->deviates |= s->deviates;
	rarest(s->deviates ? &c->others : &c->passing_others, s);
	higher(s->deviates ? &c->rank : &c->passing, s->rank);
	if (severity > *worst)
		*worst = severity;
	line(c, s);
}

static uint8_t rounded(double rank, double max)
{
	rank = rank < 1 ? 1 : rank > max ? max : rank;
	return (uint8_t)(rank + 0.5);
}

static int keep(struct herd_court *c, const struct herd_machine_finding *f)
{
	if (c->n == c->cap) {
		size_t cap = c->cap ? c->cap * 2 : 64;
		struct herd_machine_finding *v =
			realloc(c->v, cap * sizeof(*v));

		if (!v)
			return -ENOMEM;
		c->v = v;
		c->cap = cap;
	}
	c->v[c->n++] = *f;
	return 0;
}

void herd_court_close(struct herd_court *c, struct herd_case *k,
		      const struct herd_owner *o)
{
	struct herd_machine_finding *f = &k->f;

	if (!c->err && f->marks) {
		herd_buf_u8(&k->why, 0);
		f->class = k->deviates ? HERD_CLASS_DEVIANT :
					 HERD_CLASS_VOLATILE;
		f->rank = k->deviates ? rounded(k->rank, 100) :
					rounded(k->passing, PASSING_RANK_MAX);
		uint32_t others = k->deviates ? k->others : k->passing_others;

		f->count = k->self + (others ? others - 1 : 0);
		f->severity = k->deviates ? k->severity : k->passing_severity;
		if (o) {
			f->subject = o->subject;
			f->index = o->index;
			f->key = strdup(herd_text(c->bench.own, o->label));
		}
		f->why = k->why.failed ? NULL : strdup((char *)k->why.data);
		if (!f->key || !f->why)
			c->err = -ENOMEM;
		else
			c->err = keep(c, f);
		if (!c->err)
			f->key = f->why = NULL;
	}
	free(f->key);
	free(f->why);
	herd_buf_deinit(&k->why);
}
