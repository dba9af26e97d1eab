/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A ledger from nothing: one pass over the tallies of a group.
 *
 * Threads: as index/ledger.h says.
 */
#include "index/ledger_internal.h"

#include "index/idmap.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* ---- what attach asks as well ---- */

struct summing {
	const struct herd_ledger_place *p;
	struct herd_ledger_sum *s;
	uint32_t members, sum;
	const struct herd_variant *wanted;
	int (*each)(void *arg, const struct herd_tally *v);
	void *arg;
};

static void note_present(struct herd_ledger_sum *s, const struct herd_tally *v)
{
	if (v->variant.absent || !v->count)
		return;
	s->present += v->count;
	if (s->n_only < ARRAY_SIZE(s->only))
		s->only[s->n_only++] = *v;
}

static int sum_one(void *arg, const uint8_t key[32], const struct herd_tally *v)
{
	struct summing *sum = arg;
	struct herd_ledger_sum *s = sum->s;

	(void)key;
	if (v->count > sum->members - sum->sum)
		return -EBADMSG;
	sum->sum += v->count;
	if (sum->wanted && herd_variant_equal(&v->variant, sum->wanted))
		s->found = *v;
	if (herd_variant_equal(&v->variant, &sum->p->reference)) {
		s->tokens += v->count;
	} else {
		s->others += v->count;
		s->variants++;
		note_present(s, v);
	}
	return sum->each ? sum->each(sum->arg, v) : 0;
}

int herd_ledger_sum_get(const struct herd_ledger_place *p,
			const struct herd_group *g, bool reference_is_member,
			const struct herd_variant *wanted,
			int (*each)(void *arg, const struct herd_tally *v),
			void *arg, struct herd_ledger_sum *ret)
{
	struct summing sum = { .p = p,
			       .s = ret,
			       .members = g->members,
			       .wanted = wanted,
			       .each = each,
			       .arg = arg };
	int err;

	*ret = (struct herd_ledger_sum){ 0 };
	err = herd_tally_each(p->t, p->group, p->path, sum_one, &sum);
	if (!err && wanted && !ret->found.count)
		err = -EBADMSG;
	if (err)
		return err;
	note_present(ret, &(struct herd_tally){
				  .variant = p->reference,
				  .count = g->members - ret->others,
				  .holder = reference_is_member ? g->reference :
								  0 });
	return 0;
}

int herd_ledger_feature_add(struct herd_ledger_features *l, uint32_t path,
			    uint32_t vouched)
{
	if (l->n == l->cap) {
		size_t cap = l->cap ? l->cap * 2 : 64;
		struct herd_ledger_feature *v =
			reallocarray(l->v, cap, sizeof(*v));

		if (!v)
			return -ENOMEM;
		l->v = v;
		l->cap = cap;
	}
	l->v[l->n++] = (struct herd_ledger_feature){ path, vouched };
	return 0;
}

int herd_ledger_is_packaged(struct herd_txn *t, uint32_t instance,
			    uint32_t path, bool *ret)
{
	struct herd_look look;
	int err = herd_look_get(t, instance, path, &look);

	*ret = !err && look.packaged;
	return err == -ENOENT ? 0 : err;
}

static int add_member(void *arg, uint32_t id, uint32_t group,
		      enum herd_role role, const char *name)
{
	(void)group;
	(void)name;
	return role == HERD_ROLE_MEMBER ? herd_ids_add(arg, id) : 0;
}

int herd_ledger_members(struct herd_txn *t, const struct herd_group *g,
			struct herd_ids *ret, bool *ret_member)
{
	int err = herd_instance_each_name(t, g->id, add_member, ret);

	if (err)
		return err;
	herd_ids_sort(ret);
	*ret_member = herd_ids_have(ret, g->reference);
	return ret->n != g->members ||
	       (!*ret_member && g->reference != g->baseline);
}

/* ---- making ---- */

struct making {
	struct herd_txn *t;
	const struct herd_group *g;
	struct herd_ledger l;
	struct herd_loose names;
	struct herd_ids members;
	struct herd_idmap alone; /* member → how many << 32 | vouched */
	bool reference_is_member;
	uint32_t path;
};

static void making_deinit(struct making *m)
{
	herd_ledger_deinit(&m->l);
	herd_loose_deinit(&m->names);
	free(m->members.v);
	herd_idmap_deinit(&m->alone);
}

/* For how many members a package vouches; there the one who has another
   version may be among them. */
static int count_vouched(const struct making *m, uint32_t *ret)
{
	int err = 0;

	*ret = 0;
	for (size_t i = 0; i < m->members.n && !err; i++) {
		bool packaged;

		err = herd_ledger_is_packaged(m->t, m->members.v[i], m->path,
					      &packaged);
		*ret += packaged;
	}
	return err;
}

static int note_alone(struct making *m, uint32_t holder)
{
	uint64_t *known = herd_idmap_get(&m->alone, holder), one;
	bool packaged;
	int err = holder ? herd_ledger_is_packaged(m->t, holder, m->path,
						   &packaged) :
			   1;

	if (err)
		return err;
	one = (uint64_t)1 << 32 | packaged;
	if (!known)
		return herd_idmap_put(&m->alone, holder, one);
	*known += one;
	return 0;
}

/* 1: not to be kept. */
static int note_feature(void *arg, const struct herd_tally *v)
{
	struct making *m = arg;
	uint32_t members = m->g->members, vouched;
	int err;

	m->l.rows += v->count;
	if (v->count == 1)
		return note_alone(m, v->holder);
	if (v->count < members - 1) {
		m->l.shared++;
		return 0;
	}
	err = count_vouched(m, &vouched);
	return err ? err :
		     herd_ledger_feature_add(v->count == members ? &m->l.all :
								   &m->l.lacks,
					     m->path, vouched);
}

static int note_stack(struct making *m, const struct herd_ledger_place *p)
{
	CLEANUP(herd_ledger_stack_deinit) struct herd_ledger_stack s = { 0 };
	int err = herd_ledger_stack_make(p, &s);

	if (err)
		return err == 1 ? 0 : err;
	return herd_ledger_stack_add(&m->l, &s);
}

static int make_path(void *arg, uint32_t path)
{
	struct making *m = arg;
	struct herd_ledger_place p;
	struct herd_ledger_sum s = { 0 };
	int err = herd_ledger_place_get(m->t, m->g, path, &p);

	m->path = path;
	if (!err)
		err = herd_ledger_sum_get(&p, m->g, m->reference_is_member,
					  NULL, note_feature, m, &s);
	if (!err && s.variants >= HERD_LEDGER_STACK_FROM)
		err = note_stack(m, &p);
	if (!err && herd_ledger_looks(&p, m->g->members, s.others, s.tokens))
		err = herd_ids_add(&m->l.look, path);
	if (err || s.present != 1 || !p.baseline.absent)
		return err;
	return s.only[0].holder ?
		       herd_loose_add(&m->names, m->t, path, s.only[0].holder,
				      &s.only[0].variant) :
		       1;
}

/* What is to be looked at for everybody though no member differs. */
static int make_baseline_path(void *arg, uint32_t path, const void *encoded,
			      size_t len)
{
	struct making *m = arg;
	struct herd_ledger_place p;
	int err = herd_ledger_place_get(m->t, m->g, path, &p);

	(void)encoded;
	(void)len;
	if (err || herd_variant_equal(&p.reference, &p.baseline))
		return err;
	return herd_ids_add(&m->l.look, path);
}

static int count_row(void *arg, uint32_t path, const void *encoded, size_t len)
{
	(void)path;
	(void)encoded;
	(void)len;
	return ++*(size_t *)arg > HERD_CLUSTER_OWN_MAX;
}

/* Members with more differences than a clustering compares are bands by
   themselves; herds of as many in all are not clustered at all. */
static int check_rows(const struct making *m)
{
	int err = herd_ledger_is_too_large(&m->l);

	for (size_t i = 0;
	     i < m->members.n && !err && m->l.rows > HERD_CLUSTER_OWN_MAX;
	     i++) {
		size_t n = 0;

		if (m->members.v[i] != m->g->reference)
			err = herd_entry_each(m->t, m->members.v[i], count_row,
					      &n);
	}
	return err;
}

/* ---- writing ---- */

static int put_member(struct making *m, uint32_t id, size_t *at)
{
	CLEANUP_BUF struct herd_buf names = HERD_BUF_INIT, out = HERD_BUF_INIT;
	const uint64_t *alone = herd_idmap_get(&m->alone, id);
	struct herd_ledger_own own = { 0 };
	int err;

	for (; *at < m->names.n && herd_loose_holder(&m->names, *at) == id;
	     ++*at)
		herd_loose_encode(&m->names, *at, &names);
	if (!alone && !names.len)
		return 0;
	if (alone) {
		own.alone = (uint32_t)(*alone >> 32);
		own.vouched = (uint32_t)*alone;
	}
	own.names = names.data;
	own.len = names.len;
	err = names.failed ? -ENOMEM : herd_ledger_own_encode(&own, id, &out);
	m->l.holders++;
	return err ? err :
		     herd_ledger_put(m->t, m->g->id, id, out.data, out.len);
}

static int put_all(struct making *m)
{
	CLEANUP_BUF struct herd_buf out = HERD_BUF_INIT;
	size_t at = 0;
	int err = herd_loose_forms(&m->names, m->t);

	if (!err)
		herd_loose_sort(&m->names);
	for (size_t i = 0; i < m->members.n && !err; i++)
		err = put_member(m, m->members.v[i], &at);
	if (!err && at < m->names.n) /* of somebody who is no member */
		err = 1;
	if (err)
		return err;
	m->l.reference = m->g->reference;
	m->l.baseline = m->g->baseline;
	m->l.last = m->members.v[m->members.n - 1];
	m->l.names = m->names.n;
	herd_ids_sort(&m->l.look);
	err = herd_ledger_encode(&m->l, &out);
	return err ? err :
		     herd_ledger_put(m->t, m->g->id, 0, out.data, out.len);
}

int herd_ledger_make(struct herd_txn *t, const struct herd_group *g)
{
	CLEANUP(making_deinit)
	struct making m = { .t = t, .g = g, .l.members = g->members };
	int err = herd_ledger_drop(t, g->id);

	if (err || g->members < HERD_LEDGER_MEMBERS_MIN)
		return err;
	err = herd_ledger_members(t, g, &m.members, &m.reference_is_member);
	if (!err)
		err = herd_tally_each_path(t, g->id, make_path, &m);
	if (!err && g->baseline && g->baseline != g->reference)
		err = herd_entry_each(t, g->baseline, make_baseline_path, &m);
	if (!err)
		err = check_rows(&m);
	if (!err)
		err = put_all(&m);
	return err == 1 ? herd_ledger_drop(t, g->id) : err;
}
