/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Paths with many versions: volatile ones, mostly, at which every newcomer has
 * its own. What judging needs of them (struct herd_stack says why so little is
 * enough) is kept up without reading the tallies again.
 *
 * Threads: as index/ledger.h says.
 */
#include "index/ledger_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* Of what one alone has, so many are at hand, and never fewer than two. */
#define SINGLES 4u
#define SINGLES_MIN 2u

int herd_ledger_place_get(struct herd_txn *t, const struct herd_group *g,
			  uint32_t path, struct herd_ledger_place *ret)
{
	int err;

	*ret = (struct herd_ledger_place){ .t = t,
					   .group = g->id,
					   .path = path };
	ret->has_baseline = g->baseline != 0;
	ret->baseline.absent = true;
	err = herd_variant_get(t, g->reference, g->reference, path,
			       &ret->reference);
	if (err || !g->baseline)
		return err;
	return herd_variant_get(t, g->baseline, g->reference, path,
				&ret->baseline);
}

bool herd_ledger_looks(const struct herd_ledger_place *p, uint32_t members,
		       uint32_t others, uint32_t tokens)
{
	uint64_t reference = members - others;

	return reference * 2 <= members || (uint64_t)tokens * 2 >= reference ||
	       (p->has_baseline &&
		!herd_variant_equal(&p->reference, &p->baseline));
}

void herd_ledger_stack_deinit(struct herd_ledger_stack *s)
{
	free(s->shown);
	free(s->kinds);
	*s = (struct herd_ledger_stack){ 0 };
}

/* ---- kinds ---- */

/* Content as its sort; what has no sort adopts one when it is judged. */
static struct herd_variant kind_of(const struct herd_variant *v)
{
	struct herd_variant kind = *v;

	if (kind.absent || !S_ISREG(kind.mode))
		return kind;
	memset(kind.digest, 0, sizeof(kind.digest));
	kind.digest[0] = kind.sort;
	kind.digest_kind = HERD_DIGEST_SHA256;
	return kind;
}

static struct herd_ledger_kind *find_kind(const struct herd_ledger_stack *s,
					  const struct herd_variant *kind)
{
	for (uint32_t i = 0; i < s->n_kinds; i++)
		if (herd_variant_equal(&s->kinds[i].tally.variant, kind))
			return &s->kinds[i];
	return NULL;
}

static int insert_kind(struct herd_ledger_stack *s,
		       const struct herd_ledger_kind *kind)
{
	uint32_t at = 0;

	if (s->n_kinds == HERD_LEDGER_KINDS_MAX)
		return 1;
	struct herd_ledger_kind *v =
		reallocarray(s->kinds, (size_t)s->n_kinds + 1, sizeof(*v));

	if (!v)
		return -ENOMEM;
	s->kinds = v;
	while (at < s->n_kinds && memcmp(v[at].key, kind->key, 32) < 0)
		at++;
	memmove(v + at + 1, v + at, (s->n_kinds - at) * sizeof(*v));
	v[at] = *kind;
	s->n_kinds++;
	return 0;
}

/* A variant that nobody had. */
static int add_to_kind(struct herd_ledger_stack *s, const uint8_t key[32],
		       const struct herd_tally *tally)
{
	struct herd_ledger_kind kind = { .tally = *tally }, *known;

	memcpy(kind.key, key, sizeof(kind.key));
	kind.tally.variant = kind_of(&tally->variant);
	known = find_kind(s, &kind.tally.variant);
	if (!known)
		return insert_kind(s, &kind);
	known->tally.count += tally->count;
	if (memcmp(known->key, key, 32) < 0)
		return 0;
	/* it comes first now: to its place */
	kind.tally.count = known->tally.count;
	memmove(known, known + 1,
		(size_t)(s->kinds + s->n_kinds - known - 1) * sizeof(*known));
	s->n_kinds--;
	return insert_kind(s, &kind);
}

/* ---- what is shown ---- */

static bool is_single(const struct herd_ledger_shown *v)
{
	return v->tally.count == 1 && !v->pinned;
}

static uint32_t singles(const struct herd_ledger_stack *s,
			const struct herd_ledger_shown **ret_last)
{
	uint32_t n = 0;

	*ret_last = NULL;
	for (uint32_t i = 0; i < s->n_shown; i++) {
		if (!is_single(&s->shown[i]))
			continue;
		*ret_last = &s->shown[i];
		n++;
	}
	return n;
}

static struct herd_ledger_shown *find_shown(const struct herd_ledger_stack *s,
					    const uint8_t key[32])
{
	for (uint32_t i = 0; i < s->n_shown; i++)
		if (!memcmp(s->shown[i].key, key, 32))
			return &s->shown[i];
	return NULL;
}

static int insert_shown(struct herd_ledger_stack *s, const uint8_t key[32],
			const struct herd_tally *tally, bool pinned)
{
	uint32_t at = 0;

	if (s->n_shown == HERD_LEDGER_SHOWN_MAX)
		return 1;
	struct herd_ledger_shown *v =
		reallocarray(s->shown, (size_t)s->n_shown + 1, sizeof(*v));

	if (!v)
		return -ENOMEM;
	s->shown = v;
	while (at < s->n_shown && memcmp(v[at].key, key, 32) < 0)
		at++;
	memmove(v + at + 1, v + at, (s->n_shown - at) * sizeof(*v));
	v[at] = (struct herd_ledger_shown){ .tally = *tally, .pinned = pinned };
	memcpy(v[at].key, key, 32);
	s->n_shown++;
	return 0;
}

/* The last of the singles goes where there are more than are wanted. */
static void trim(struct herd_ledger_stack *s)
{
	const struct herd_ledger_shown *last;
	size_t at;

	if (singles(s, &last) <= SINGLES)
		return;
	at = (size_t)(last - s->shown);
	memmove(s->shown + at, s->shown + at + 1,
		(s->n_shown - at - 1) * sizeof(*s->shown));
	s->n_shown--;
}

/* s->variants counts it already. */
static int show_new(struct herd_ledger_stack *s,
		    const struct herd_ledger_place *p, const uint8_t key[32],
		    const struct herd_tally *tally)
{
	const struct herd_ledger_shown *last;
	bool pinned = p->has_baseline &&
		      herd_variant_equal(&tally->variant, &p->baseline);
	uint32_t left_out = s->variants - 1 - s->n_shown;
	uint32_t n = singles(s, &last);
	int err = 0;

	/* the first ones only: after one that is left out come no others */
	if (tally->count > 1 || pinned ||
	    (left_out ? n && memcmp(key, last->key, 32) < 0 :
			n < SINGLES || memcmp(key, last->key, 32) < 0))
		err = insert_shown(s, key, tally, pinned);
	if (!err)
		trim(s);
	return err;
}

struct refill {
	struct herd_ledger_stack *s;
	const struct herd_ledger_place *p;
	uint32_t n;
};

static int refill_one(void *arg, const uint8_t key[32],
		      const struct herd_tally *tally)
{
	struct refill *r = arg;
	int err = 0;

	if (tally->count > 1 ||
	    herd_variant_equal(&tally->variant, &r->p->reference) ||
	    (r->p->has_baseline &&
	     herd_variant_equal(&tally->variant, &r->p->baseline)))
		return 0;
	if (!find_shown(r->s, key))
		err = insert_shown(r->s, key, tally, false);
	if (err)
		return err < 0 ? err : 2;
	return ++r->n == SINGLES;
}

/* Where too few are at hand, the first ones are looked for. */
static int refill(struct herd_ledger_stack *s,
		  const struct herd_ledger_place *p)
{
	const struct herd_ledger_shown *last;
	struct refill r = { s, p, 0 };
	int err;

	if (singles(s, &last) >= SINGLES_MIN || s->variants <= s->n_shown)
		return 0;
	err = herd_tally_each(p->t, p->group, p->path, refill_one, &r);
	return err == 2 ? 1 : err < 0 ? err : 0;
}

/* ---- a tally ---- */

static int add_tally(struct herd_ledger_stack *s,
		     const struct herd_ledger_place *p, const uint8_t key[32],
		     const struct herd_tally *tally)
{
	int err;

	if (herd_variant_equal(&tally->variant, &p->reference)) {
		s->tokens += tally->count;
		if (!s->holder)
			s->holder = tally->holder;
		return 0;
	}
	s->others += tally->count;
	s->variants++;
	err = add_to_kind(s, key, tally);
	return err ? err : show_new(s, p, key, tally);
}

struct making {
	struct herd_ledger_stack *s;
	const struct herd_ledger_place *p;
};

static int make_one(void *arg, const uint8_t key[32],
		    const struct herd_tally *tally)
{
	const struct making *m = arg;

	return add_tally(m->s, m->p, key, tally);
}

int herd_ledger_stack_make(const struct herd_ledger_place *p,
			   struct herd_ledger_stack *ret)
{
	CLEANUP(herd_ledger_stack_deinit)
	struct herd_ledger_stack s = { .path = p->path };
	struct making m = { &s, p };
	int err = herd_tally_each(p->t, p->group, p->path, make_one, &m);

	if (err)
		return err;
	*ret = s;
	s = (struct herd_ledger_stack){ 0 };
	return 0;
}

/* One that somebody had, and one more has. */
static int join_known(struct herd_ledger_stack *s,
		      const struct herd_ledger_place *p, const uint8_t key[32],
		      const struct herd_tally *tally)
{
	struct herd_variant variant = kind_of(&tally->variant);
	struct herd_ledger_kind *kind = find_kind(s, &variant);
	struct herd_ledger_shown *shown = find_shown(s, key);
	int err = 0;

	/* what more than one had is shown */
	if (!kind || (shown ? shown->tally.count + 1 != tally->count :
			      tally->count != 2))
		return -EBADMSG;
	s->others++;
	kind->tally.count++;
	if (shown)
		shown->tally = *tally;
	else
		err = insert_shown(s, key, tally, false);
	return err ? err : refill(s, p);
}

int herd_ledger_stack_join(struct herd_ledger_stack *s,
			   const struct herd_ledger_place *p,
			   const uint8_t key[32],
			   const struct herd_tally *tally)
{
	struct herd_tally one = *tally;

	if (tally->count > 1 &&
	    !herd_variant_equal(&tally->variant, &p->reference))
		return join_known(s, p, key, tally);
	one.count = 1;
	return add_tally(s, p, key, &one);
}

/* ---- as it is judged ---- */

int herd_ledger_stack_kept(const struct herd_ledger_stack *s,
			   const struct herd_variant *reference,
			   uint32_t holder, uint32_t members,
			   struct herd_kept *ret)
{
	CLEANUP_FREE struct herd_tally *v =
		calloc((size_t)s->n_shown + 1, sizeof(*v));
	CLEANUP_FREE struct herd_tally *coarse =
		calloc((size_t)s->n_kinds + 1, sizeof(*coarse));
	struct herd_tally first = { .variant = *reference, .holder = holder };
	uint32_t n = 0, n_coarse = 0, alone = 0, left;

	if (!v || !coarse)
		return -ENOMEM;
	if (s->others > members)
		return -EBADMSG;
	first.count = members - s->others;
	first.tokens = s->tokens;
	if (!first.holder)
		first.holder = s->holder;
	if (first.count) {
		alone = first.count == 1;
		v[n++] = coarse[n_coarse++] = first;
	}
	left = s->variants + n;
	for (uint32_t i = 0; i < s->n_shown; i++)
		if (s->shown[i].tally.count > 1 || alone++ < 2 ||
		    s->shown[i].pinned)
			v[n++] = s->shown[i].tally;
	for (uint32_t i = 0; i < s->n_kinds; i++)
		coarse[n_coarse++] = s->kinds[i].tally;
	*ret = (struct herd_kept){
		.path = s->path, .left_out = left - n, .v = TAKE_PTR(v), .n = n
	};
	ret->n_coarse = herd_tally_coarsen(coarse, n_coarse);
	ret->coarse = TAKE_PTR(coarse);
	return 0;
}

/* ---- all of them ---- */

static size_t lower_bound(const struct herd_ledger *l, uint32_t path)
{
	size_t low = 0, high = l->n_stacks;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (l->stacks[middle].path < path)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

struct herd_ledger_stack *herd_ledger_stack_find(const struct herd_ledger *l,
						 uint32_t path)
{
	size_t at = lower_bound(l, path);

	return at < l->n_stacks && l->stacks[at].path == path ? &l->stacks[at] :
								NULL;
}

int herd_ledger_stack_add(struct herd_ledger *l, struct herd_ledger_stack *s)
{
	size_t at = lower_bound(l, s->path);

	if (l->n_stacks == HERD_LEDGER_STACKS_MAX) {
		herd_ledger_stack_deinit(s);
		return 0;
	}
	if (l->n_stacks == l->cap_stacks) {
		size_t cap = l->cap_stacks ? l->cap_stacks * 2 : 64;
		struct herd_ledger_stack *v =
			reallocarray(l->stacks, cap, sizeof(*v));

		if (!v) {
			herd_ledger_stack_deinit(s);
			return -ENOMEM;
		}
		l->stacks = v;
		l->cap_stacks = cap;
	}
	memmove(l->stacks + at + 1, l->stacks + at,
		(l->n_stacks - at) * sizeof(*l->stacks));
	l->stacks[at] = *s;
	l->n_stacks++;
	*s = (struct herd_ledger_stack){ 0 };
	return 0;
}

void herd_ledger_stack_remove(struct herd_ledger *l,
			      struct herd_ledger_stack *s)
{
	size_t at = (size_t)(s - l->stacks);

	herd_ledger_stack_deinit(s);
	memmove(s, s + 1, (l->n_stacks - at - 1) * sizeof(*s));
	l->n_stacks--;
}
