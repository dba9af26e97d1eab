/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One more member. At the paths where it was tallied all is looked at again.
 * Where it was not, it has the reference's variant, and what is written stays
 * true, for these reasons:
 *
 *   - a path that is not to be looked at for everybody is one at which more
 *     than half have the reference's variant, the baseline too if there is
 *     one, and fewer than half of those by their tokens alone; one more of
 *     them makes that no less so. (Others may become the like of it; they stay
 *     on the list, and judging finds nothing there.)
 *   - a name that one alone has stays one, unless it is the reference's own:
 *     those are looked at;
 *   - how many have which other variant does not change, and the reference's
 *     is the rest. But what all others had, all but one have now, and what all
 *     but one had is shared by fewer than that: two lists that are gone
 *     through.
 *
 * Threads: as index/ledger.h says.
 */
#include "index/ledger_internal.h"

#include "index/idmap.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* A member's record that is changed. */
struct edit {
	uint32_t holder, alone, vouched;
	struct herd_buf names;
};

struct joining {
	struct herd_txn *t;
	const struct herd_group *g;
	uint32_t instance;
	const struct herd_came *came;
	size_t n_came;
	struct herd_ledger l;
	bool reference_is_member;
	struct edit *edits;
	size_t n_edits, cap_edits;
	struct herd_idmap by_holder;		/* → place in edits */
	uint32_t alone, vouched;		/* of the newcomer */
	struct herd_loose names;		/* its own */
	struct herd_ledger_features all, lacks; /* as they become */
	struct herd_ids look;			/* the same */
	size_t next_look;			/* in l.look */
};

static void joining_deinit(struct joining *j)
{
	for (size_t i = 0; i < j->n_edits; i++)
		herd_buf_deinit(&j->edits[i].names);
	free(j->edits);
	herd_idmap_deinit(&j->by_holder);
	herd_loose_deinit(&j->names);
	free(j->all.v);
	free(j->lacks.v);
	free(j->look.v);
	herd_ledger_deinit(&j->l);
}

/* ---- members' records ---- */

static int begin_edit(struct joining *j, uint32_t holder, struct edit **ret)
{
	struct herd_ledger_own own;
	const void *bytes;
	size_t len;
	int err = herd_ledger_get(j->t, j->g->id, holder, &bytes, &len);

	if (!err)
		err = herd_ledger_own_decode(bytes, len, holder, &own);
	if (err) /* of one that had something alone there is a record */
		return err == -ENOENT ? -EBADMSG : err;
	if (j->n_edits == j->cap_edits) {
		size_t cap = j->cap_edits ? j->cap_edits * 2 : 16;
		struct edit *v = reallocarray(j->edits, cap, sizeof(*v));

		if (!v)
			return -ENOMEM;
		j->edits = v;
		j->cap_edits = cap;
	}
	struct edit *e = &j->edits[j->n_edits];

	*e = (struct edit){ .holder = holder,
			    .alone = own.alone,
			    .vouched = own.vouched };
	if (own.len)
		herd_buf_put(&e->names, own.names, own.len);
	j->n_edits++;
	err = herd_buf_error(&e->names);
	if (!err)
		err = herd_idmap_put(&j->by_holder, holder, j->n_edits - 1);
	*ret = e;
	return err;
}

/* Valid until the next one is asked for. */
static int edit_of(struct joining *j, uint32_t holder, struct edit **ret)
{
	const uint64_t *at = herd_idmap_get(&j->by_holder, holder);

	if (!holder || holder == j->instance)
		return -EBADMSG;
	if (!at)
		return begin_edit(j, holder, ret);
	*ret = &j->edits[*at];
	return 0;
}

static uint32_t path_at(const struct edit *e, size_t i)
{
	uint32_t path;

	memcpy(&path, e->names.data + i * HERD_LOOSE_NAME, sizeof(path));
	return be32toh(path);
}

static void remove_at(struct joining *j, struct edit *e, size_t i)
{
	uint8_t *at = e->names.data + i * HERD_LOOSE_NAME;
	size_t end = (i + 1) * HERD_LOOSE_NAME;

	memmove(at, at + HERD_LOOSE_NAME, e->names.len - end);
	e->names.len -= HERD_LOOSE_NAME;
	j->l.names--;
}

/* A name that one other has now, too. */
static int remove_name(struct joining *j, uint32_t holder, uint32_t path)
{
	struct edit *e;
	int err = edit_of(j, holder, &e);
	size_t low = 0, high;

	if (err)
		return err;
	high = e->names.len / HERD_LOOSE_NAME;
	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (path_at(e, middle) < path)
			low = middle + 1;
		else
			high = middle;
	}
	if (low >= e->names.len / HERD_LOOSE_NAME || path_at(e, low) != path)
		return -EBADMSG;
	remove_at(j, e, low);
	return 0;
}

static int compare_came(const void *a, const void *b)
{
	const struct herd_came *x = a, *y = b;

	return x->path < y->path ? -1 : x->path > y->path;
}

/* Where the newcomer is as the reference, that is alone no more. */
static int check_reference(struct joining *j)
{
	struct edit *e;
	int err = j->reference_is_member ? edit_of(j, j->g->reference, &e) :
					   -EBADMSG;

	if (err == -EBADMSG) /* it has no record */
		return 0;
	if (err)
		return err;
	for (size_t i = e->names.len / HERD_LOOSE_NAME; i; i--) {
		struct herd_came key = { .path = path_at(e, i - 1) };

		if (!j->n_came || !bsearch(&key, j->came, j->n_came,
					   sizeof(key), compare_came))
			remove_at(j, e, i - 1);
	}
	return 0;
}

/* ---- variants ---- */

static const struct herd_ledger_feature *
find_feature(const struct herd_ledger_features *l, uint32_t path)
{
	size_t low = 0, high = l->n;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (l->v[middle].path < path)
			low = middle + 1;
		else
			high = middle;
	}
	return low < l->n && l->v[low].path == path ? &l->v[low] : NULL;
}

/* It was the one thing that a member had alone. */
static int take_alone(struct joining *j, uint32_t holder, uint32_t path)
{
	struct edit *e;
	bool packaged = false;
	int err = edit_of(j, holder, &e);

	if (!err)
		err = herd_ledger_is_packaged(j->t, holder, path, &packaged);
	if (err)
		return err;
	if (!e->alone || e->vouched < packaged)
		return -EBADMSG;
	e->alone--;
	e->vouched -= packaged;
	return 0;
}

/* What one more has. */
static int join_feature(struct joining *j, uint32_t path,
			const struct herd_tally *v)
{
	uint32_t members = j->g->members;
	const struct herd_ledger_feature *was;
	bool packaged;
	int err = herd_ledger_is_packaged(j->t, j->instance, path, &packaged);

	j->l.rows++;
	if (err)
		return err;
	if (v->count == 1) {
		j->alone++;
		j->vouched += packaged;
		return 0;
	}
	if (v->count >= members - 1) {
		struct herd_ledger_features *had =
			v->count == members ? &j->l.all : &j->l.lacks;

		was = find_feature(had, path);
		return was ? herd_ledger_feature_add(
				     v->count == members ? &j->all : &j->lacks,
				     path, was->vouched + packaged) :
			     -EBADMSG;
	}
	if (v->count > 2)
		return 0;
	j->l.shared++;
	return take_alone(j, v->holder, path);
}

/* What all others had, and it has not; what all but one had. */
static int join_lists(struct joining *j)
{
	size_t kept = j->lacks.n;
	int err = 0;

	if (kept > j->l.lacks.n)
		return -EBADMSG;
	j->l.shared += j->l.lacks.n - kept;
	for (size_t i = 0; i < j->l.all.n && !err; i++)
		if (!find_feature(&j->all, j->l.all.v[i].path))
			err = herd_ledger_feature_add(&j->lacks,
						      j->l.all.v[i].path,
						      j->l.all.v[i].vouched);
	return err;
}

/* ---- names ---- */

/* Who but the newcomer has something there, of the two that have. */
static uint32_t other_holder(const struct joining *j,
			     const struct herd_ledger_sum *s)
{
	for (uint32_t i = 0; i < s->n_only; i++)
		if (s->only[i].holder != j->instance)
			return s->only[i].holder;
	return 0;
}

static int join_name(struct joining *j, const struct herd_ledger_place *p,
		     const struct herd_ledger_sum *s, bool absent)
{
	if (!p->baseline.absent || absent || s->present > 2)
		return 0;
	if (s->present == 2)
		return remove_name(j, other_holder(j, s), p->path);
	return herd_loose_add(&j->names, j->t, p->path, j->instance,
			      &s->only[0].variant);
}

/* ---- paths ---- */

static int join_stack(struct joining *j, struct herd_ledger_stack *stack,
		      const struct herd_ledger_place *p,
		      const struct herd_variant *own,
		      struct herd_ledger_sum *ret)
{
	uint8_t key[32];
	int err =
		herd_tally_find(j->t, j->g->id, p->path, own, key, &ret->found);

	if (err)
		return err == -ENOENT ? -EBADMSG : err;
	err = herd_ledger_stack_join(stack, p, key, &ret->found);
	ret->others = stack->others;
	ret->tokens = stack->tokens;
	if (err == 1) {
		herd_ledger_stack_remove(&j->l, stack);
		err = 0;
	}
	return err;
}

static int join_tallies(struct joining *j, const struct herd_ledger_place *p,
			const struct herd_variant *own,
			struct herd_ledger_sum *ret)
{
	CLEANUP(herd_ledger_stack_deinit) struct herd_ledger_stack made = { 0 };
	int err = herd_ledger_sum_get(p, j->g, j->reference_is_member, own,
				      NULL, NULL, ret);

	if (!err)
		err = join_name(j, p, ret, own->absent);
	if (err || ret->variants < HERD_LEDGER_STACK_FROM)
		return err;
	err = herd_ledger_stack_make(p, &made);
	if (err)
		return err == 1 ? 0 : err;
	return herd_ledger_stack_add(&j->l, &made);
}

/* Those below a path stay on the list. */
static int keep_looks(struct joining *j, uint64_t end)
{
	int err = 0;

	for (; j->next_look < j->l.look.n && j->l.look.v[j->next_look] < end &&
	       !err;
	     j->next_look++)
		err = herd_ids_add(&j->look, j->l.look.v[j->next_look]);
	return err;
}

static int join_path(struct joining *j, const struct herd_came *came)
{
	struct herd_ledger_stack *stack =
		herd_ledger_stack_find(&j->l, came->path);
	struct herd_ledger_place p;
	struct herd_ledger_sum s = { 0 };
	int err = herd_ledger_place_get(j->t, j->g, came->path, &p);

	if (!err)
		err = stack ? join_stack(j, stack, &p, &came->variant, &s) :
			      join_tallies(j, &p, &came->variant, &s);
	if (!err)
		err = join_feature(j, came->path, &s.found);
	if (!err)
		err = keep_looks(j, came->path);
	if (err)
		return err;
	if (s.others > j->g->members)
		return -EBADMSG;
	j->next_look += j->next_look < j->l.look.n &&
			j->l.look.v[j->next_look] == came->path;
	return herd_ledger_looks(&p, j->g->members, s.others, s.tokens) ?
		       herd_ids_add(&j->look, came->path) :
		       0;
}

/* ---- writing ---- */

static int put_own(struct joining *j, uint32_t holder, uint32_t alone,
		   uint32_t vouched, const struct herd_buf *names)
{
	CLEANUP_BUF struct herd_buf out = HERD_BUF_INIT;
	struct herd_ledger_own own = { alone, vouched, names->data,
				       names->len };
	int err = names->failed ? -ENOMEM :
				  herd_ledger_own_encode(&own, holder, &out);

	return err ? err :
		     herd_ledger_put(j->t, j->g->id, holder, out.data, out.len);
}

static int put_newcomer(struct joining *j)
{
	CLEANUP_BUF struct herd_buf names = HERD_BUF_INIT;
	int err = herd_loose_forms(&j->names, j->t);

	if (err || (!j->alone && !j->names.n))
		return err;
	for (size_t i = 0; i < j->names.n; i++)
		herd_loose_encode(&j->names, i, &names);
	j->l.holders++;
	j->l.names += j->names.n;
	return put_own(j, j->instance, j->alone, j->vouched, &names);
}

static void swap_features(struct herd_ledger_features *a,
			  struct herd_ledger_features *b)
{
	struct herd_ledger_features was = *a;

	*a = *b;
	*b = was;
}

static int compare_feature(const void *a, const void *b)
{
	const struct herd_ledger_feature *x = a, *y = b;

	return x->path < y->path ? -1 : x->path > y->path;
}

static int put_all(struct joining *j)
{
	CLEANUP_BUF struct herd_buf out = HERD_BUF_INIT;
	struct herd_ids look = j->l.look;
	int err = put_newcomer(j);

	for (size_t i = 0; i < j->n_edits && !err; i++)
		err = put_own(j, j->edits[i].holder, j->edits[i].alone,
			      j->edits[i].vouched, &j->edits[i].names);
	if (err)
		return err;
	j->l.members = j->g->members;
	j->l.last = j->instance;
	j->l.look = j->look;
	j->look = look;
	swap_features(&j->l.all, &j->all);
	swap_features(&j->l.lacks, &j->lacks);
	if (j->l.lacks.n)
		qsort(j->l.lacks.v, j->l.lacks.n, sizeof(*j->l.lacks.v),
		      compare_feature);
	err = herd_ledger_encode(&j->l, &out);
	return err ? err :
		     herd_ledger_put(j->t, j->g->id, 0, out.data, out.len);
}

/* ---- the whole ---- */

/* -EBADMSG also where there is none that goes on with this member. */
static int open_ledger(struct joining *j)
{
	const struct herd_group *g = j->g;
	const void *bytes;
	size_t len;
	int err = herd_ledger_get(j->t, g->id, 0, &bytes, &len);

	if (!err)
		err = herd_ledger_decode(bytes, len, &j->l);
	if (err)
		return err == -ENOENT ? -EBADMSG : err;
	return (uint64_t)j->l.members + 1 != g->members ||
			       j->l.reference != g->reference ||
			       j->l.baseline != g->baseline ||
			       j->l.last >= j->instance ||
			       j->n_came > HERD_CLUSTER_OWN_MAX ?
		       -EBADMSG :
		       0;
}

static int join(struct herd_txn *t, const struct herd_group *g,
		uint32_t instance, const struct herd_came *v, size_t n)
{
	CLEANUP(joining_deinit)
	struct joining j = {
		.t = t, .g = g, .instance = instance, .came = v, .n_came = n
	};
	int err = open_ledger(&j);

	if (err)
		return err;
	/* one whose reference left is not kept */
	j.reference_is_member = g->reference != g->baseline;
	for (size_t i = 0; i < n && !err; i++)
		err = join_path(&j, &v[i]);
	if (!err)
		err = keep_looks(&j, (uint64_t)UINT32_MAX + 1);
	if (!err)
		err = check_reference(&j);
	if (!err)
		err = join_lists(&j);
	return err ? err : put_all(&j);
}

int herd_ledger_join(struct herd_txn *t, const struct herd_group *g,
		     uint32_t instance, const struct herd_came *v, size_t n)
{
	int err = join(t, g, instance, v, n);

	return err == -EBADMSG ? herd_ledger_make(t, g) : err;
}
