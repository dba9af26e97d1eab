/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A herd out of its ledger and one from nothing find the same, whatever came
 * and went; and the ledger is worth it.
 */
#include "index/ledger_internal.h"
#include "tests/unit/ledger_fixture.h"

struct test_herd {
	struct fx fx;
	struct lf_herd *w;
};

static void begin(struct test_herd *h, uint64_t seed)
{
	fx_open(&h->fx);
	h->w = calloc(1, sizeof(*h->w));
	assert_non_null(h->w);
	h->w->random = seed * 0x9e3779b97f4a7c15u + 1;
	assert_int_equal(herd_txn_begin(h->fx.store, true, &h->w->t, NULL), 0);
}

static void end(struct test_herd *h)
{
	herd_txn_abort(h->w->t);
	free(h->w);
	fx_close(&h->fx);
}

/* ---- the ledger itself ---- */

struct records {
	struct record {
		uint32_t holder;
		uint8_t *bytes;
		size_t len;
	} v[LF_MEMBERS + 1];
	size_t n;
};

static int take_record(void *arg, uint32_t holder, const void *bytes,
		       size_t len)
{
	struct records *r = arg;

	assert_true(r->n <= LF_MEMBERS);
	r->v[r->n] = (struct record){ holder, malloc(len), len };
	assert_non_null(r->v[r->n].bytes);
	memcpy(r->v[r->n++].bytes, bytes, len);
	return 0;
}

static void take_records(struct lf_herd *w, struct records *ret)
{
	ret->n = 0;
	assert_int_equal(herd_ledger_each(w->t, w->g.id, take_record, ret), 0);
}

static void put_records(struct lf_herd *w, const struct records *r)
{
	assert_int_equal(herd_ledger_drop(w->t, w->g.id), 0);
	for (size_t i = 0; i < r->n; i++)
		assert_int_equal(herd_ledger_put(w->t, w->g.id, r->v[i].holder,
						 r->v[i].bytes, r->v[i].len),
				 0);
}

static void free_records(struct records *r)
{
	for (size_t i = 0; i < r->n; i++)
		free(r->v[i].bytes);
}

static void same_features(const struct herd_ledger_features *a,
			  const struct herd_ledger_features *b, bool member)
{
	assert_int_equal(a->n, b->n);
	for (size_t i = 0; i < a->n; i++) {
		assert_int_equal(a->v[i].path, b->v[i].path);
		/* of who is no holder nothing is known afterwards */
		if (member)
			assert_int_equal(a->v[i].vouched, b->v[i].vouched);
	}
}

static void same_head(const struct records *kept, const struct records *anew)
{
	struct herd_ledger a, b;

	assert_int_equal(
		herd_ledger_decode(kept->v[0].bytes, kept->v[0].len, &a), 0);
	assert_int_equal(
		herd_ledger_decode(anew->v[0].bytes, anew->v[0].len, &b), 0);
	assert_int_equal(a.members, b.members);
	assert_int_equal(a.last, b.last);
	assert_int_equal(a.names, b.names);
	assert_int_equal(a.rows, b.rows);
	assert_int_equal(a.shared, b.shared);
	same_features(&a.all, &b.all, a.reference != a.baseline);
	same_features(&a.lacks, &b.lacks, a.reference != a.baseline);
	for (size_t i = 0; i < b.look.n; i++)
		assert_true(herd_ids_have(&a.look, b.look.v[i]));
	assert_true(b.n_stacks <= a.n_stacks);
	herd_ledger_deinit(&a);
	herd_ledger_deinit(&b);
}

/* What was written on is what would be made now, name by name. */
static void same_ledger(struct lf_herd *w)
{
	struct records kept, anew;
	size_t k = 1;

	take_records(w, &kept);
	if (kept.n) {
		assert_int_equal(herd_ledger_make(w->t, &w->g), 0);
		take_records(w, &anew);
		same_head(&kept, &anew);
		for (size_t i = 1; i < anew.n; i++, k++) {
			/* one that has nothing any more has its record still */
			while (k < kept.n &&
			       kept.v[k].holder < anew.v[i].holder)
				assert_int_equal(kept.v[k++].len, 16);
			assert_true(k < kept.n);
			assert_int_equal(kept.v[k].len, anew.v[i].len);
			assert_memory_equal(kept.v[k].bytes, anew.v[i].bytes,
					    anew.v[i].len);
		}
		put_records(w, &kept);
		free_records(&anew);
	}
	free_records(&kept);
}

/* ---- random herds ---- */

static bool has_baseline(const struct lf_herd *w)
{
	return w->n && w->g.baseline;
}

/* Mostly they come; now and then one goes, the baseline does either, or one is
   verified. */
static void step(struct lf_herd *w, unsigned most)
{
	uint32_t what = lf_random(w, 100);

	if (w->last && !lf_random(w, 10)) {
		lf_verify(w);
	} else if (!w->n || (what < 80 && w->n < most)) {
		lf_attach(w, !w->n && what < 30 ? HERD_ROLE_BASELINE :
						  HERD_ROLE_MEMBER);
	} else if (what < 84 && !has_baseline(w)) {
		lf_attach(w, HERD_ROLE_BASELINE);
	} else {
		lf_detach(w, lf_random(w, (uint32_t)w->n));
		if (!w->n)
			w->g = (struct herd_group){ 0 };
	}
	if (!w->n)
		return;
	lf_compare(w);
	same_ledger(w);
}

static void same_as_from_nothing(void **state)
{
	unsigned by_ledger = 0, from_nothing = 0, herds = 24;
	unsigned banded = 0, explained = 0, verified = 0;
	const char *more = getenv("LEDGER_HERDS");

	(void)state;
	if (more)
		herds = (unsigned)strtoul(more, NULL, 10);
	for (unsigned seed = 1; seed <= herds; seed++) {
		struct test_herd h;

		begin(&h, seed);
		h.w->volatiles = lf_random(h.w, 14);
		h.w->names = lf_random(h.w, 12);
		h.w->upgraded = seed % 4 ? 0 : lf_random(h.w, 60);
		h.w->lists = seed % 3;
		for (unsigned i = 0; i < 45; i++)
			step(h.w, seed % 8 ? 18 : 40);
		by_ledger += h.w->by_ledger;
		from_nothing += h.w->from_nothing;
		banded += h.w->banded;
		explained += h.w->explained;
		verified += h.w->verified;
		end(&h);
	}
	/* both ways were gone, or nothing was compared */
	assert_true(by_ledger > 10 * herds);
	assert_true(from_nothing > herds);
	assert_true(verified > herds);
	assert_true(banded > herds && explained > herds);
}

/* ---- damage ---- */

static bool is_by_ledger(struct lf_herd *w)
{
	struct herd_herd *h;
	bool by_ledger;

	assert_int_equal(herd_herd_make(w->t, &w->g, &h, NULL), 0);
	by_ledger = herd_herd_by_ledger(h);
	herd_herd_destroy(h);
	return by_ledger;
}

static void grow_to(struct lf_herd *w, size_t n)
{
	while (w->n < n)
		lf_attach(w, HERD_ROLE_MEMBER);
}

/* A record that is cut, changed, another's or gone is not believed. */
static void damage_is_noticed(void **state)
{
	struct test_herd h;
	struct records r;

	(void)state;
	begin(&h, 99);
	h.w->volatiles = 8;
	h.w->names = 6;
	grow_to(h.w, 12);
	assert_true(is_by_ledger(h.w));
	take_records(h.w, &r);
	assert_true(r.n > 6);
	for (size_t i = 0; i < r.n; i++) {
		struct record *v = &r.v[i];
		uint32_t id = h.w->g.id;

		for (size_t at = 0; at < v->len; at += 1 + v->len / 37) {
			v->bytes[at] ^= 1u << (at % 8);
			assert_int_equal(herd_ledger_put(h.w->t, id, v->holder,
							 v->bytes, v->len),
					 0);
			assert_false(is_by_ledger(h.w));
			v->bytes[at] ^= 1u << (at % 8);
			assert_int_equal(herd_ledger_put(h.w->t, id, v->holder,
							 v->bytes, at),
					 0);
			assert_false(is_by_ledger(h.w));
		}
		struct record *other = &r.v[(i + 1) % r.n];

		assert_int_equal(herd_ledger_put(h.w->t, id, v->holder,
						 other->bytes, other->len),
				 0);
		assert_false(is_by_ledger(h.w));
		lf_compare(h.w);
		put_records(h.w, &r);
		assert_true(is_by_ledger(h.w));
		if (!i)
			continue;
		/* it is not there at all */
		size_t n = r.n;
		struct record last = r.v[n - 1];

		r.v[n - 1] = r.v[i];
		r.v[i] = last;
		r.n = n - 1;
		put_records(h.w, &r);
		assert_false(is_by_ledger(h.w));
		r.n = n;
		r.v[i] = r.v[n - 1];
		r.v[n - 1] = last;
		put_records(h.w, &r);
	}
	free_records(&r);
	end(&h);
}

/* Whoever comes after damage has it made again. */
static void made_again(void **state)
{
	struct test_herd h;

	(void)state;
	begin(&h, 5);
	h.w->volatiles = 8;
	h.w->names = 6;
	grow_to(h.w, 3);
	assert_false(is_by_ledger(h.w));
	grow_to(h.w, 9);
	assert_true(is_by_ledger(h.w));
	assert_int_equal(herd_ledger_put(h.w->t, h.w->g.id, 0, "damaged", 7),
			 0);
	assert_false(is_by_ledger(h.w));
	grow_to(h.w, 10);
	assert_true(is_by_ledger(h.w));
	/* neither without somebody nor with a baseline it is about this herd */
	lf_detach(h.w, 4);
	assert_false(is_by_ledger(h.w));
	grow_to(h.w, 11);
	assert_true(is_by_ledger(h.w));
	lf_attach(h.w, HERD_ROLE_BASELINE);
	assert_false(is_by_ledger(h.w));
	grow_to(h.w, 13);
	assert_true(is_by_ledger(h.w));
	/* nor is there one where the reference is gone */
	for (size_t i = 0; i < h.w->n; i++)
		if (h.w->ids[i] == h.w->g.reference)
			lf_detach(h.w, i);
	grow_to(h.w, 14);
	assert_false(is_by_ledger(h.w));
	lf_compare(h.w);
	end(&h);
}

static bool is_by_ledger_with(struct lf_herd *w, uint64_t rows)
{
	struct herd_buf out = HERD_BUF_INIT;
	struct herd_ledger l;
	const void *bytes;
	size_t len;

	assert_int_equal(herd_ledger_get(w->t, w->g.id, 0, &bytes, &len), 0);
	assert_int_equal(herd_ledger_decode(bytes, len, &l), 0);
	l.rows = rows;
	assert_int_equal(herd_ledger_encode(&l, &out), 0);
	assert_int_equal(herd_ledger_put(w->t, w->g.id, 0, out.data, out.len),
			 0);
	herd_buf_deinit(&out);
	herd_ledger_deinit(&l);
	return is_by_ledger(w);
}

/* Of too large a herd it has to be said that bands are not looked for. */
static void too_large_is_from_nothing(void **state)
{
	struct test_herd h;

	(void)state;
	begin(&h, 3);
	grow_to(h.w, 8);
	assert_true(is_by_ledger(h.w));
	assert_true(is_by_ledger_with(h.w, HERD_JUDGE_ROWS_MAX));
	assert_false(is_by_ledger_with(h.w, HERD_JUDGE_ROWS_MAX + 1));
	end(&h);
}

/* ---- work ---- */

static uint64_t reads_of(struct lf_herd *w, unsigned without, size_t from,
			 size_t to)
{
	uint64_t before = herd_txn_reads(w->t);
	struct herd_herd *h;

	assert_int_equal(herd_herd_make_without(w->t, &w->g, without, &h, NULL),
			 0);
	assert_int_equal(herd_herd_by_ledger(h), !without);
	for (size_t i = from; i < to; i++) {
		struct herd_finding *f = NULL;
		size_t n;

		assert_int_equal(herd_judge_instance(w->t, h, w->ids[i], &f, &n,
						     NULL),
				 0);
		free(f);
	}
	herd_herd_destroy(h);
	return herd_txn_reads(w->t) - before;
}

/* Records read for the newcomer, against those for all others from nothing. */
static void work_is_the_newcomers(void **state)
{
	uint64_t joined[2], judged[2], all;
	struct test_herd h;

	(void)state;
	begin(&h, 7);
	h.w->volatiles = 12;
	h.w->names = 12;
	h.w->loners = true;
	for (unsigned i = 0; i < 2; i++) {
		grow_to(h.w, i ? 59 : 29);
		joined[i] = herd_txn_reads(h.w->t);
		lf_attach(h.w, HERD_ROLE_MEMBER);
		joined[i] = herd_txn_reads(h.w->t) - joined[i];
		judged[i] = reads_of(h.w, 0, h.w->n - 1, h.w->n);
	}
	all = reads_of(h.w, HERD_WITHOUT_LEDGER, 0, h.w->n - 1);
	/* but for a record a member it does not grow with the herd */
	assert_true(judged[1] * 50 < all * 2);
	assert_true(judged[1] < 2 * judged[0]);
	assert_true(joined[1] < 2 * joined[0]);
	end(&h);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(same_as_from_nothing),
		cmocka_unit_test(damage_is_noticed),
		cmocka_unit_test(made_again),
		cmocka_unit_test(too_large_is_from_nothing),
		cmocka_unit_test(work_is_the_newcomers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
