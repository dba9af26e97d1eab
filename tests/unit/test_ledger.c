/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A herd out of its ledger and one from nothing find the same, whatever came
 * and went; and the ledger is worth it.
 */
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

static bool has_baseline(const struct lf_herd *w)
{
	return w->n && w->g.baseline;
}

/* Mostly they come; now and then one goes, or the baseline does either. */
static void step(struct lf_herd *w, unsigned most)
{
	uint32_t what = lf_random(w, 100);

	if (!w->n || (what < 80 && w->n < most)) {
		lf_attach(w, !w->n && what < 30 ? HERD_ROLE_BASELINE :
						  HERD_ROLE_MEMBER);
	} else if (what < 84 && !has_baseline(w)) {
		lf_attach(w, HERD_ROLE_BASELINE);
	} else {
		lf_detach(w, lf_random(w, (uint32_t)w->n));
		if (!w->n)
			w->g = (struct herd_group){ 0 };
	}
	if (w->n)
		lf_compare(w);
}

static void same_as_from_nothing(void **state)
{
	unsigned by_ledger = 0, from_nothing = 0, herds = 60;
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
		end(&h);
	}
	/* both ways were gone, or nothing was compared */
	assert_true(by_ledger > 10 * herds);
	assert_true(from_nothing > herds);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(same_as_from_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
