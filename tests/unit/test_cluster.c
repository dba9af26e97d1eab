/* SPDX-License-Identifier: Apache-2.0 */
/* Modes of a herd, on herds made up of blocks of features and noise. */
#include "index/cluster.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* ---- herds ---- */

struct herd {
	struct herd_cluster_member *m;
	uint64_t **features;
	uint8_t **vouched;
	size_t *cap;
	size_t n;
};

static uint64_t state;

static uint64_t random64(void)
{
	state += 0x9e3779b97f4a7c15u;
	uint64_t x = state;

	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
	x = (x ^ x >> 27) * 0x94d049bb133111ebu;
	return x ^ x >> 31;
}

/* Ids 1…n. known: they have package lists. */
static struct herd herd_make(size_t n, bool known)
{
	struct herd h = { .n = n };

	state = 7;
	h.m = calloc(n, sizeof(*h.m));
	h.features = calloc(n, sizeof(*h.features));
	h.vouched = calloc(n, sizeof(*h.vouched));
	h.cap = calloc(n, sizeof(*h.cap));
	assert_true(h.m && h.features && h.vouched && h.cap);
	for (size_t i = 0; i < n; i++) {
		h.cap[i] = 64;
		h.features[i] = calloc(h.cap[i], sizeof(uint64_t));
		h.vouched[i] = calloc(h.cap[i], 1);
		assert_true(h.features[i] && h.vouched[i]);
		h.m[i] = (struct herd_cluster_member){
			.id = (uint32_t)i + 1,
			.features = h.features[i],
			.vouched = known ? h.vouched[i] : NULL
		};
	}
	return h;
}

static void herd_free(struct herd *h)
{
	for (size_t i = 0; i < h->n; i++) {
		free(h->features[i]);
		free(h->vouched[i]);
	}
	free(h->m);
	free(h->features);
	free(h->vouched);
	free(h->cap);
}
#define HERD CLEANUP(herd_free) struct herd

static void put(struct herd *h, size_t i, uint64_t feature, bool vouched)
{
	size_t at = h->m[i].n;

	if (at == h->cap[i]) {
		h->cap[i] *= 2;
		h->features[i] = reallocarray(h->features[i], h->cap[i],
					      sizeof(uint64_t));
		h->vouched[i] = realloc(h->vouched[i], h->cap[i]);
		assert_true(h->features[i] && h->vouched[i]);
		h->m[i].features = h->features[i];
		if (h->m[i].vouched)
			h->m[i].vouched = h->vouched[i];
	}
	while (at && h->features[i][at - 1] > feature) {
		h->features[i][at] = h->features[i][at - 1];
		h->vouched[i][at] = h->vouched[i][at - 1];
		at--;
	}
	h->features[i][at] = feature;
	h->vouched[i][at] = vouched;
	h->m[i].n++;
}

/* count features that members from…to-1 all have; returns one of them. */
static uint64_t share(struct herd *h, size_t from, size_t to, size_t count,
		      bool vouched)
{
	uint64_t f = 0;

	for (size_t k = 0; k < count; k++) {
		f = random64();
		for (size_t i = from; i < to; i++)
			put(h, i, f, vouched);
	}
	return f;
}

/* What each alone has, and what it shares now with one and now with another. */
static void noise(struct herd *h, size_t alone, size_t shared)
{
	for (size_t i = 0; i < h->n; i++)
		share(h, i, i + 1, alone, false);
	for (size_t k = 0; h->n > 2 && k < h->n * shared / 2; k++) {
		size_t a = random64() % h->n;
		size_t b = (a + 1 + random64() % (h->n - 1)) % h->n;
		uint64_t f = random64();

		put(h, a, f, false);
		put(h, b, f, false);
	}
}

static void clustering_free(struct herd_clustering **c)
{
	herd_clustering_destroy(*c);
}
#define CLUSTERING CLEANUP(clustering_free) struct herd_clustering

static struct herd_clustering *cluster(const struct herd *h)
{
	struct herd_clustering *c = NULL;

	assert_int_equal(herd_cluster(h->m, h->n, NULL, &c), 0);
	return c;
}

/* The clusters are of these sizes, a 0 at the end. */
static void check_sizes(const struct herd_clustering *c, const uint32_t *sizes)
{
	size_t n = 0;

	for (; sizes[n]; n++) {
		assert_true(n < herd_clustering_n(c));
		assert_int_equal(herd_clustering_get(c, (uint32_t)n)->size,
				 sizes[n]);
	}
	assert_int_equal(herd_clustering_n(c), n);
}
#define SIZES(...) ((const uint32_t[]){ __VA_ARGS__, 0 })

/* ---- plain cases ---- */

static void test_none(void **unused)
{
	(void)unused;
	for (size_t n = 0; n <= 12; n++) {
		HERD h = herd_make(n, true);

		noise(&h, 60, 60);
		CLUSTERING *c = cluster(&h);

		if (!n) {
			assert_int_equal(herd_clustering_n(c), 0);
			continue;
		}
		check_sizes(c, SIZES((uint32_t)n));
		assert_false(herd_clustering_get(c, 0)->small);
		assert_int_equal(herd_clustering_get(c, 0)->against,
				 HERD_CLUSTER_NONE);
	}
}

static void test_rolling(void **unused)
{
	(void)unused;
	HERD h = herd_make(12, true);

	noise(&h, 60, 60);
	uint64_t update = share(&h, 6, 12, 400, true);
	uint64_t app = share(&h, 6, 12, 90, false);
	uint64_t deviant = share(&h, 8, 9, 1, false);
	CLUSTERING *c = cluster(&h);
	bool vouched;

	check_sizes(c, SIZES(6, 6));
	for (uint32_t i = 1; i <= 12; i++)
		assert_int_equal(herd_clustering_of(c, i), i > 6);
	assert_int_equal(herd_clustering_of(c, 13), HERD_CLUSTER_NONE);

	const struct herd_cluster *old = herd_clustering_get(c, 0);
	const struct herd_cluster *new = herd_clustering_get(c, 1);

	assert_int_equal(new->first, 7);
	assert_int_equal(new->against, 0);
	assert_int_equal(new->gained, 490);
	assert_int_equal(new->gained_vouched, 400);
	assert_int_equal(new->lost, 0);
	assert_int_equal(old->against, 1);
	assert_int_equal(old->lost, 490);
	assert_int_equal(old->lost_vouched, 400);
	assert_int_equal(old->gained, 0);
	assert_true(new->vouched && !new->small &&new->cohesion > 80);

	assert_int_equal(herd_clustering_tells(c, 1, update, &vouched), 1);
	assert_true(vouched);
	assert_int_equal(herd_clustering_tells(c, 0, update, &vouched), -1);
	assert_int_equal(herd_clustering_tells(c, 1, app, &vouched), 1);
	assert_false(vouched);
	assert_int_equal(herd_clustering_tells(c, 1, deviant, NULL), 0);
	assert_int_equal(herd_clustering_count(c, 1, update), 6);
	assert_int_equal(herd_clustering_count(c, 0, update), 0);

	size_t n = 0;
	const uint32_t *ids = herd_clustering_members(c, 1, &n);

	assert_int_equal(n, 6);
	for (uint32_t i = 0; i < 6; i++)
		assert_int_equal(ids[i], 7 + i);
}

/* The reference is the odd one: everybody else has features, it has none. */
static void test_reference_odd(void **unused)
{
	(void)unused;
	HERD h = herd_make(12, true);

	share(&h, 1, 12, 400, true);
	noise(&h, 60, 0);
	CLUSTERING *c = cluster(&h);

	check_sizes(c, SIZES(11, 1));
	assert_int_equal(herd_clustering_of(c, 1), 1);
	assert_int_equal(herd_clustering_get(c, 1)->lost, 400);
	assert_true(herd_clustering_get(c, 1)->small);
	assert_true(herd_clustering_get(c, 1)->vouched);
}

static void test_three_bands(void **unused)
{
	(void)unused;
	HERD h = herd_make(12, true);

	noise(&h, 60, 60);
	share(&h, 5, 12, 150, true); /* 5 without, 7 with… */
	share(&h, 9, 12, 150, true); /* …of which 3 go further */
	CLUSTERING *c = cluster(&h);

	check_sizes(c, SIZES(5, 4, 3));
	assert_int_equal(herd_clustering_get(c, 1)->gained, 150);
	assert_int_equal(herd_clustering_get(c, 2)->gained, 300);
}

struct seen {
	size_t vouched, bare;
	uint64_t last;
};

static int count_telling(void *arg, uint64_t feature, int sign, bool vouched)
{
	struct seen *s = arg;

	assert_int_equal(sign, 1);
	assert_true(feature > s->last);
	s->last = feature;
	*(vouched ? &s->vouched : &s->bare) += 1;
	return 0;
}

static void test_lone_upgrade(void **unused)
{
	(void)unused;
	HERD h = herd_make(12, true);

	noise(&h, 60, 60);
	share(&h, 4, 5, 400, true);
	share(&h, 4, 5, 150, false); /* caches and lists made anew */
	CLUSTERING *c = cluster(&h);
	struct seen s = { 0 };

	check_sizes(c, SIZES(11, 1));
	assert_int_equal(herd_clustering_of(c, 5), 1);
	assert_true(herd_clustering_get(c, 1)->small);
	assert_true(herd_clustering_get(c, 1)->vouched);
	assert_int_equal(herd_clustering_get(c, 1)->gained_vouched, 400);
	assert_int_equal(herd_clustering_each(c, 1, count_telling, &s), 0);
	assert_int_equal(s.vouched, 400);
	/* its noise as well, that which it shares with one other included */
	assert_in_range(s.bare, 210, 300);
	assert_int_equal(herd_clustering_get(c, 1)->gained, 400 + s.bare);
}

/* ---- intruders ---- */

/* None of these is a band, whatever noise there is. */
static void test_intruder(void **unused)
{
	(void)unused;
	for (size_t hit = 1; hit <= 11; hit++)
		for (size_t planted = 30; planted <= 90; planted += 10)
			for (size_t n = 0; n <= 60; n += 60) {
				HERD h = herd_make(12, true);

				noise(&h, n, n);
				share(&h, 0, hit, planted, false);
				CLUSTERING *c = cluster(&h);

				check_sizes(c, SIZES(12));
			}
}

/* He plants 500 files to look like a band. */
static void test_bulk_intruder(void **unused)
{
	(void)unused;
	for (size_t hit = 1; hit <= 2; hit++) {
		HERD h = herd_make(12, true);

		noise(&h, 60, 60);
		share(&h, 3, 3 + hit, 500, false);
		CLUSTERING *c = cluster(&h);

		check_sizes(c, SIZES(12)); /* 500 deviants */
	}
	for (size_t hit = 3; hit <= 7; hit++) {
		HERD h = herd_make(12, true);

		noise(&h, 60, 60);
		share(&h, 0, hit, 500, false);
		CLUSTERING *c = cluster(&h);

		/* listed, with nothing that vouches for it */
		assert_int_equal(herd_clustering_n(c), 2);
		for (uint32_t i = 0; i < 2; i++) {
			const struct herd_cluster *k =
				herd_clustering_get(c, i);

			assert_int_equal(k->gained + k->lost, 500);
			assert_false(k->vouched);
		}
	}
}

/* Across the halves of a deployment he does not split them. */
static void test_intruder_across(void **unused)
{
	(void)unused;
	HERD h = herd_make(12, true);

	noise(&h, 60, 60);
	share(&h, 6, 12, 400, true);
	uint64_t planted = share(&h, 5, 8, 500, false);
	CLUSTERING *c = cluster(&h);

	check_sizes(c, SIZES(6, 6));
	for (uint32_t i = 1; i <= 12; i++)
		assert_int_equal(herd_clustering_of(c, i), i > 6);
	assert_int_equal(herd_clustering_tells(c, 0, planted, NULL), 0);
	assert_int_equal(herd_clustering_tells(c, 1, planted, NULL), 0);
	assert_int_equal(herd_clustering_count(c, 0, planted), 1);
	assert_int_equal(herd_clustering_count(c, 1, planted), 2);
}

/* An upgrade as cover: what he planted stays without a voucher. */
static void test_cover(void **unused)
{
	(void)unused;
	HERD h = herd_make(12, true);

	noise(&h, 60, 60);
	uint64_t update = share(&h, 0, 1, 300, true);
	uint64_t planted = share(&h, 0, 1, 200, false);
	CLUSTERING *c = cluster(&h);
	bool vouched;

	check_sizes(c, SIZES(11, 1));
	assert_int_equal(herd_clustering_tells(c, 1, update, &vouched), 1);
	assert_true(vouched);
	assert_int_equal(herd_clustering_tells(c, 1, planted, &vouched), 1);
	assert_false(vouched);

	/* more planted than upgraded: no band at all */
	share(&h, 0, 1, 150, false);
	CLUSTERING *d = cluster(&h);

	check_sizes(d, SIZES(12));
}

/* Who has no lists vouches for nothing while others have them. */
static void test_lists_deleted(void **unused)
{
	(void)unused;
	HERD h = herd_make(12, true);

	noise(&h, 60, 0);
	share(&h, 0, 1, 500, false);
	h.m[0].vouched = NULL;
	CLUSTERING *c = cluster(&h);

	check_sizes(c, SIZES(12));
}

static void test_no_lists(void **unused)
{
	(void)unused;
	for (size_t alone = 100; alone <= 400; alone += 300) {
		HERD h = herd_make(12, false);
		bool vouched = true;

		noise(&h, 60, 60);
		uint64_t f = share(&h, 2, 3, alone, false);
		CLUSTERING *c = cluster(&h);

		if (alone < 200) {
			check_sizes(c, SIZES(12));
			continue;
		}
		check_sizes(c, SIZES(11, 1));
		assert_int_equal(herd_clustering_tells(c, 1, f, &vouched), 1);
		assert_false(vouched);
		assert_false(herd_clustering_get(c, 1)->vouched);
	}
}

/* ---- few and many ---- */

static void test_few(void **unused)
{
	(void)unused;
	HERD two = herd_make(2, true);

	noise(&two, 60, 0);
	share(&two, 1, 2, 400, true);
	CLUSTERING *c = cluster(&two);

	check_sizes(c, SIZES(1, 1));
	assert_int_equal(herd_clustering_of(c, 1), 0);
	assert_true(herd_clustering_get(c, 0)->small);

	HERD three = herd_make(3, true);

	noise(&three, 60, 0);
	share(&three, 1, 3, 400, true);
	CLUSTERING *d = cluster(&three);

	check_sizes(d, SIZES(2, 1));
	assert_int_equal(herd_clustering_of(d, 1), 1);

	/* three that agree in nothing, each by its own packages */
	HERD odd = herd_make(3, true);

	for (size_t i = 0; i < 3; i++)
		share(&odd, i, i + 1, 400, true);
	CLUSTERING *e = cluster(&odd);

	check_sizes(e, SIZES(1, 1, 1));
}

static void test_thousand(void **unused)
{
	(void)unused;
	HERD h = herd_make(1000, true);

	noise(&h, 60, 60);
	share(&h, 300, 1000, 400, true);
	share(&h, 900, 1000, 300, false);
	share(&h, 500, 501, 500, true);
	share(&h, 299, 301, 100, true);
	CLUSTERING *c = cluster(&h);

	/* 300 old but for one, 600 new but for two, 100 further, three odd */
	check_sizes(c, SIZES(598, 299, 100, 1, 1, 1));
	assert_int_equal(herd_clustering_of(c, 300), 3);
	assert_int_equal(herd_clustering_of(c, 301), 4);
	assert_int_equal(herd_clustering_of(c, 501), 5);
	assert_false(herd_clustering_get(c, 2)->vouched);
	assert_true(herd_clustering_get(c, 1)->vouched);
}

/* Nobody has quite all of the band's files. */
static void test_holes(void **unused)
{
	(void)unused;
	HERD h = herd_make(200, true);

	noise(&h, 60, 60);
	for (size_t k = 0; k < 400; k++) {
		uint64_t f = random64();
		size_t missing = 100 + random64() % 100;
		size_t also = 100 + random64() % 100;
		size_t stray = random64() % 100;

		for (size_t i = 100; i < 200; i++)
			if (i != missing && i != also)
				put(&h, i, f, true);
		put(&h, stray, f, true);
	}
	CLUSTERING *c = cluster(&h);

	check_sizes(c, SIZES(100, 100));
	assert_int_equal(herd_clustering_get(c, 1)->gained, 400);
	assert_int_equal(herd_clustering_of(c, 1), 0);
	assert_int_equal(herd_clustering_of(c, 200), 1);
}

/* An upgrade that stopped half-way is neither the one nor the other. */
static void test_half_way(void **unused)
{
	(void)unused;
	HERD h = herd_make(60, true);

	share(&h, 31, 60, 200, true);
	share(&h, 30, 60, 200, true);
	CLUSTERING *c = cluster(&h);

	check_sizes(c, SIZES(30, 29, 1));
	assert_int_equal(herd_clustering_of(c, 31), 2);
}

/* ---- what must hold always ---- */

static void check_equal(const struct herd_clustering *a,
			const struct herd_clustering *b)
{
	CLEANUP_BUF struct herd_buf x = HERD_BUF_INIT, y = HERD_BUF_INIT;

	assert_int_equal(herd_clustering_encode(a, &x), 0);
	assert_int_equal(herd_clustering_encode(b, &y), 0);
	assert_int_equal(x.len, y.len);
	assert_memory_equal(x.data, y.data, x.len);
}

static struct herd mixed_herd(void)
{
	struct herd h = herd_make(41, true);

	noise(&h, 60, 60);
	share(&h, 11, 41, 150, true);
	share(&h, 20, 30, 120, false);
	share(&h, 5, 25, 60, false);
	share(&h, 40, 41, 300, true);
	share(&h, 0, 40, 10, false);
	share(&h, 0, 41, 10, true);
	share(&h, 3, 5, 200, false);
	return h;
}

static void test_order(void **unused)
{
	(void)unused;
	HERD h = mixed_herd();
	CLUSTERING *c = cluster(&h);

	for (int round = 0; round < 20; round++) {
		struct herd_cluster_member m[41];
		struct herd_clustering *made = NULL;

		memcpy(m, h.m, sizeof(m));
		state = (uint64_t)round;
		for (size_t i = 40; i; i--) {
			size_t k = random64() % (i + 1);
			struct herd_cluster_member t = m[i];

			m[i] = m[k];
			m[k] = t;
		}
		assert_int_equal(herd_cluster(m, 41, NULL, &made), 0);
		CLUSTERING *d = made;

		check_equal(c, d);
	}
}

/* A member that joins is where it would be from nothing. */
static void test_join(void **unused)
{
	(void)unused;
	HERD h = mixed_herd();
	CLUSTERING *all = cluster(&h);
	size_t joined = 0, alone = 0, again = 0;

	for (size_t i = 0; i < h.n; i++) {
		struct herd_cluster_member m[40];
		struct herd_clustering *made = NULL;
		enum herd_cluster_fit fit;
		uint32_t k, of = herd_clustering_of(all, h.m[i].id);
		const struct herd_cluster *from_nothing =
			herd_clustering_get(all, of);

		memcpy(m, h.m, i * sizeof(*m));
		memcpy(m + i, h.m + i + 1, (40 - i) * sizeof(*m));
		assert_int_equal(herd_cluster(m, 40, NULL, &made), 0);
		CLUSTERING *c = made;

		assert_int_equal(herd_clustering_assign(c, &h.m[i], &fit, &k),
				 0);
		again += fit == HERD_FIT_AGAIN;
		alone += fit == HERD_FIT_ALONE;
		if (fit == HERD_FIT_ALONE)
			assert_int_equal(from_nothing->size, 1);
		if (fit != HERD_FIT_MEMBER)
			continue;
		joined++;
		/* with the very members with which it is from nothing */
		assert_int_equal(herd_clustering_get(c, k)->size + 1,
				 from_nothing->size);
		for (size_t j = 0; j < 40; j++)
			assert_int_equal(herd_clustering_of(c, m[j].id) == k,
					 herd_clustering_of(all, m[j].id) ==
						 of);
	}
	assert_int_equal(alone, 1);
	assert_true(joined >= 38 && again + joined + alone == 41);
}

/* The first of a new band is alone, the next ones join it. */
static void test_join_rolling(void **unused)
{
	(void)unused;
	HERD h = herd_make(12, true);
	enum herd_cluster_fit fit;
	struct herd_clustering *made = NULL;
	uint32_t k;

	noise(&h, 60, 0);
	share(&h, 8, 12, 400, true);
	assert_int_equal(herd_cluster(h.m, 8, NULL, &made), 0);
	CLUSTERING *c = made;

	assert_int_equal(herd_clustering_assign(c, &h.m[8], &fit, &k), 0);
	assert_int_equal(fit, HERD_FIT_ALONE);
	assert_int_equal(k, HERD_CLUSTER_NONE);
	assert_int_equal(herd_cluster(h.m, 9, NULL, &made), 0);
	CLUSTERING *d = made;

	for (size_t i = 9; i < 12; i++) {
		assert_int_equal(herd_clustering_assign(d, &h.m[i], &fit, &k),
				 0);
		assert_int_equal(fit, HERD_FIT_MEMBER);
		assert_int_equal(k, herd_clustering_of(d, 9));
	}
}

/*
 * The third with the same 500 files makes a band of what was two intruders;
 * one with half of a block cuts it.
 */
static void test_join_again(void **unused)
{
	(void)unused;
	HERD h = herd_make(12, true);
	enum herd_cluster_fit fit;
	struct herd_clustering *made = NULL;
	uint32_t k;

	share(&h, 9, 12, 500, false);
	assert_int_equal(herd_cluster(h.m, 11, NULL, &made), 0);
	CLUSTERING *c = made;

	check_sizes(c, SIZES(11));
	assert_int_equal(herd_clustering_assign(c, &h.m[11], &fit, &k), 0);
	assert_int_equal(fit, HERD_FIT_AGAIN);

	HERD g = herd_make(13, true);

	share(&g, 6, 12, 200, true);
	share(&g, 6, 13, 200, true);
	assert_int_equal(herd_cluster(g.m, 12, NULL, &made), 0);
	CLUSTERING *d = made;

	check_sizes(d, SIZES(6, 6));
	assert_int_equal(herd_clustering_assign(d, &g.m[12], &fit, &k), 0);
	assert_int_equal(fit, HERD_FIT_AGAIN);

	/* what was drowned in one's own files stands out with two */
	HERD w = herd_make(12, true);

	share(&w, 10, 12, 100, true);
	share(&w, 10, 11, 300, false);
	assert_int_equal(herd_cluster(w.m, 11, NULL, &made), 0);
	CLUSTERING *e = made;

	check_sizes(e, SIZES(11));
	assert_int_equal(herd_clustering_assign(e, &w.m[9], &fit, &k), 0);
	assert_int_equal(fit, HERD_FIT_MEMBER);
	assert_int_equal(herd_clustering_assign(e, &w.m[11], &fit, &k), 0);
	assert_int_equal(fit, HERD_FIT_AGAIN);
	CLUSTERING *both = cluster(&w);

	check_sizes(both, SIZES(10, 2));
}

/* ---- hostile input ---- */

static void test_limits(void **unused)
{
	(void)unused;
	HERD h = herd_make(4, true);
	struct herd_clustering *c = NULL;
	struct herd_cluster_options small = { .max_features = 100 };
	enum herd_cluster_fit fit;
	uint32_t k;

	share(&h, 0, 4, 30, false);
	assert_int_equal(herd_cluster(h.m, 4, &small, &c), -EOVERFLOW);
	assert_int_equal(herd_cluster(h.m, HERD_CLUSTER_MEMBERS_MAX + 1, NULL,
				      &c),
			 -EOVERFLOW);
	h.m[3].id = 1;
	assert_int_equal(herd_cluster(h.m, 4, NULL, &c), -EINVAL);
	h.m[3].id = 4;
	h.features[2][5] = h.features[2][4];
	assert_int_equal(herd_cluster(h.m, 4, NULL, &c), -EINVAL);
	assert_null(c);
	CLUSTERING *d = NULL;

	assert_int_equal(herd_cluster(h.m, 2, NULL, &d), 0);
	assert_int_equal(herd_clustering_assign(d, &h.m[2], &fit, &k), -EINVAL);
}

/* Whoever has too much is set aside; the others are clustered as ever. */
static void test_set_aside(void **unused)
{
	(void)unused;
	HERD h = herd_make(13, true);

	share(&h, 6, 12, 400, true);
	size_t n = (size_t)HERD_CLUSTER_OWN_MAX + 1;
	CLEANUP_FREE uint64_t *many = calloc(n, sizeof(*many));

	assert_non_null(many);
	for (size_t i = 0; i < n; i++)
		many[i] = i;
	h.m[12] = (struct herd_cluster_member){ .id = 13,
						.features = many,
						.n = n };
	CLUSTERING *c = cluster(&h);

	check_sizes(c, SIZES(6, 6, 1));
	assert_true(herd_clustering_get(c, 2)->set_aside);
	assert_true(herd_clustering_get(c, 2)->small);
	assert_int_equal(herd_clustering_of(c, 13), 2);
}

/* More blocks than are kept: the largest are. */
static void test_many_blocks(void **unused)
{
	(void)unused;
	HERD h = herd_make(64, true);

	for (size_t a = 0; a < 64; a++)
		for (size_t b = a + 3; b < 64 && b < a + 9; b++)
			share(&h, a, b, 100 + a % 7, false);
	share(&h, 0, 20, 1000, true);
	CLUSTERING *c = cluster(&h);

	assert_true(herd_clustering_left_out(c) > 0);
	for (uint32_t a = 1; a <= 20; a++)
		for (uint32_t b = 21; b <= 64; b++)
			assert_int_not_equal(herd_clustering_of(c, a),
					     herd_clustering_of(c, b));
}

static void test_kept(void **unused)
{
	(void)unused;
	HERD h = mixed_herd();
	CLUSTERING *c = cluster(&h);
	CLEANUP_BUF struct herd_buf b = HERD_BUF_INIT;
	struct herd_clustering *read = NULL;

	assert_int_equal(herd_clustering_encode(c, &b), 0);
	assert_int_equal(herd_clustering_decode(b.data, b.len, &read), 0);
	CLUSTERING *d = read;

	check_equal(c, d);
	for (uint32_t i = 0; i < herd_clustering_n(c); i++)
		assert_memory_equal(herd_clustering_get(c, i),
				    herd_clustering_get(d, i),
				    sizeof(struct herd_cluster));
	for (uint32_t i = 0; i < 50; i++)
		assert_int_equal(herd_clustering_of(c, i),
				 herd_clustering_of(d, i));
	/* cut short or with a bit turned: an error, or something coherent */
	for (size_t len = 0; len < b.len; len += 1 + len / 50)
		assert_int_equal(herd_clustering_decode(b.data, len, &read),
				 -EBADMSG);
	for (size_t i = 0; i < 4000; i++) {
		size_t at = i < 400 ? i : random64() % b.len;
		uint8_t bit = (uint8_t)(1 << random64() % 8);
		struct herd_clustering *bad = NULL;

		b.data[at] ^= bit;
		if (!herd_clustering_decode(b.data, b.len, &bad)) {
			enum herd_cluster_fit fit;
			uint32_t k;

			assert_int_equal(herd_clustering_assign(bad, &h.m[20],
								&fit, &k),
					 0);
			for (uint32_t n = 0; n < herd_clustering_n(bad); n++)
				herd_clustering_tells(
					bad, n, h.m[20].features[0], NULL);
		}
		herd_clustering_destroy(bad);
		b.data[at] ^= bit;
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_none),
		cmocka_unit_test(test_rolling),
		cmocka_unit_test(test_reference_odd),
		cmocka_unit_test(test_three_bands),
		cmocka_unit_test(test_lone_upgrade),
		cmocka_unit_test(test_intruder),
		cmocka_unit_test(test_bulk_intruder),
		cmocka_unit_test(test_intruder_across),
		cmocka_unit_test(test_cover),
		cmocka_unit_test(test_lists_deleted),
		cmocka_unit_test(test_no_lists),
		cmocka_unit_test(test_few),
		cmocka_unit_test(test_thousand),
		cmocka_unit_test(test_holes),
		cmocka_unit_test(test_half_way),
		cmocka_unit_test(test_order),
		cmocka_unit_test(test_join),
		cmocka_unit_test(test_join_rolling),
		cmocka_unit_test(test_join_again),
		cmocka_unit_test(test_limits),
		cmocka_unit_test(test_set_aside),
		cmocka_unit_test(test_many_blocks),
		cmocka_unit_test(test_kept),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
