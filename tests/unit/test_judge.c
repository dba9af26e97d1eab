/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Judging instances: made-up herds, compared path by path with the verdict
 * over tallies that are counted here; and the cost for a large herd.
 */
#include "index/judge.h"
#include "tests/unit/herd_fixture.h"

#include <time.h>

#define PATHS 24
#define INSTANCES 14

/* value 0: absent; mtime says nothing to the verdict */
struct model {
	struct fx fx;
	unsigned value[INSTANCES][PATHS];
	uint32_t id[INSTANCES];
	bool member[INSTANCES], gone[INSTANCES];
	size_t n;
};

static const char *path_name(unsigned p)
{
	static char name[16];

	snprintf(name, sizeof(name), "d%u/p%u", p % 3, p);
	return name;
}

static uint32_t next_random(uint32_t *seed)
{
	*seed = *seed * 1664525u + 1013904223u;
	return *seed >> 8;
}

static void attach(struct model *m, enum herd_role role, uint32_t *seed)
{
	static char paths[PATHS][16], contents[PATHS][16];
	struct fx_file files[PATHS];
	char name[16];
	size_t n = 0;

	for (unsigned p = 0; p < PATHS; p++) {
		/* from always the same to always different */
		static const unsigned odds[] = { 1000, 8, 3, 1 };
		unsigned kind = p % 4;
		unsigned v = next_random(seed) % odds[kind] ? 1 :
			     next_random(seed) % (kind == 3 ? 100 : 3);

		m->value[m->n][p] = v;
		if (!v)
			continue;
		snprintf(paths[p], sizeof(paths[p]), "%s", path_name(p));
		snprintf(contents[p], sizeof(contents[p]), "%u", v);
		files[n++] = (struct fx_file){ .path = paths[p],
			.mode = S_IFREG | 0644, .content = contents[p],
			.mtime = 1 + next_random(seed) % 2 };
	}
	snprintf(name, sizeof(name), "i-%zu", m->n);
	m->member[m->n] = role == HERD_ROLE_MEMBER;
	m->gone[m->n] = false;
	m->id[m->n++] = fx_attach(&m->fx, "web", name, role, files, n);
}

static void detach(struct model *m, size_t i)
{
	struct herd_txn *t = NULL;

	assert_int_equal(herd_txn_begin(m->fx.store, true, &t, NULL), 0);
	assert_int_equal(herd_instance_remove(t, m->id[i]), 0);
	assert_int_equal(herd_txn_commit(t, NULL), 0);
	m->gone[i] = true;
}

/* How many attached members have value v at p. */
static uint32_t have(const struct model *m, unsigned p, unsigned v)
{
	uint32_t n = 0;

	for (size_t i = 0; i < m->n; i++)
		n += m->member[i] && !m->gone[i] && m->value[i][p] == v;
	return n;
}

static struct herd_variant variant_of(struct herd_txn *t,
				      const struct herd_group *g,
				      uint32_t id, uint32_t path)
{
	struct herd_entry e = { .absent = true };
	struct herd_variant v;
	int err = herd_entry_get(t, id, g->reference, path, &e);

	assert_true(err == 0 || err == -ENOENT);
	herd_variant_of(&e, &v);
	return v;
}

static void check_holder(struct herd_txn *t, const struct herd_group *g,
			 uint32_t path, const struct herd_finding *f,
			 const struct herd_variant *herd)
{
	struct herd_variant v;

	assert_int_equal(f->herd_absent, herd->absent);
	if (herd->absent) {
		assert_int_equal(f->herd_holder, 0);
		return;
	}
	assert_int_not_equal(f->herd_holder, 0);
	v = variant_of(t, g, f->herd_holder, path);
	assert_true(herd_variant_equal(&v, herd));
}

static void check_path(const struct model *m, struct herd_txn *t,
		       const struct herd_herd *h, size_t i, unsigned p,
		       uint32_t path, const struct herd_finding *listed)
{
	const struct herd_group *g = herd_herd_group(h);
	struct herd_tally *tallies = NULL;
	struct herd_verdict v;
	struct herd_finding f;
	size_t n;

	assert_int_equal(herd_tally_get(t, g, path, &tallies, &n), 0);
	struct herd_variant own = variant_of(t, g, m->id[i], path);
	struct herd_variant baseline = variant_of(t, g, g->baseline ?
						  g->baseline : m->id[i], path);

	/* as judge.c asks: only where it can matter */
	struct herd_stack s = { .tallies = tallies, .n = n,
				.members = g->members,
				.place = n <= 2 && g->members > 2 ?
					 HERD_PLACE_UNKNOWN : HERD_PLACE_FIRM };
	const struct herd_variant *herd;
	struct herd_tally coarse[64];
	struct herd_verdict again;
	size_t n_coarse;

	herd_judge_stack(&s, &own, m->member[i],
			 g->baseline ? &baseline : NULL, &v);
	herd = v.herd < n ? &tallies[v.herd].variant : &baseline;
	if (v.class == HERD_CLASS_VOLATILE && !own.absent &&
	    herd_judge_coarse(&s, &own, m->member[i], NULL, coarse, &n_coarse,
			      &again)) {
		again.baseline_reasons = v.baseline_reasons;
		v = again;
		herd = NULL;
	}
	if (m->member[i] && herd)
		assert_int_equal(v.count, have(m, p, m->value[i][p]));
	int err = herd_judge_path(t, h, m->id[i], path, &f, NULL);

	if (err == -ENOENT) {
		assert_true(own.absent && !listed);
		free(tallies);
		return;
	}
	assert_int_equal(err, 0);
	assert_int_equal(v.class, f.verdict.class);
	assert_int_equal(v.rank, f.verdict.rank);
	assert_int_equal(v.reasons, f.verdict.reasons);
	assert_int_equal(v.baseline_reasons, f.verdict.baseline_reasons);
	assert_int_equal(v.count, f.verdict.count);
	assert_int_equal(f.own_absent, m->value[i][p] == 0);
	assert_int_equal(listed != NULL, v.class != HERD_CLASS_SAME);
	if (listed) {
		assert_int_equal(listed->verdict.class, v.class);
		assert_int_equal(listed->verdict.rank, v.rank);
		assert_int_equal(listed->herd_holder, f.herd_holder);
		if (herd)
			check_holder(t, g, path, listed, herd);
	}
	free(tallies);
}

static void check(struct model *m)
{
	struct herd_txn *t = fx_read(&m->fx);
	struct herd_group g = fx_group(t, "web");
	struct herd_herd *h = NULL;

	assert_int_equal(herd_herd_make(t, &g, &h, NULL), 0);
	for (size_t i = 0; i < m->n; i++) {
		struct herd_finding *found = NULL;
		size_t n, listed = 0;

		if (m->gone[i])
			continue;
		assert_int_equal(herd_judge_instance(t, h, m->id[i], &found,
						     &n, NULL), 0);
		for (size_t k = 1; k < n; k++)
			assert_true(found[k - 1].path < found[k].path);
		for (unsigned p = 0; p < PATHS; p++) {
			const struct herd_finding *f = NULL;
			uint32_t path;
			const char *name = path_name(p);

			if (herd_path_resolve(t, name, strlen(name), &path))
				continue;
			for (size_t k = 0; k < n; k++)
				if (found[k].path == path)
					f = &found[k];
			listed += f != NULL;
			check_path(m, t, h, i, p, path, f);
		}
		assert_int_equal(listed, n);
		free(found);
	}
	herd_herd_destroy(h);
	herd_txn_abort(t);
}

static void random_herd(uint32_t seed)
{
	struct model m = { .n = 0 };
	unsigned members = 1 + next_random(&seed) % 12;
	unsigned baseline = next_random(&seed) % 3;	/* none, first, later */

	fx_open(&m.fx);
	if (baseline == 1)
		attach(&m, HERD_ROLE_BASELINE, &seed);
	for (unsigned i = 0; i < members; i++) {
		attach(&m, HERD_ROLE_MEMBER, &seed);
		if (i == members / 2 && baseline == 2)
			attach(&m, HERD_ROLE_BASELINE, &seed);
	}
	check(&m);
	if (m.n > 3) {
		/* the reference's entries stay, it counts no more */
		detach(&m, 0);
		check(&m);
		detach(&m, 2);
		check(&m);
	}
	fx_close(&m.fx);
}

static void test_random(void **state)
{
	(void)state;
	for (uint32_t seed = 1; seed <= 60; seed++)
		random_herd(seed);
}

static void test_refused(void **state)
{
	struct model m = { .n = 0 };
	struct herd_diag diag = { .offset = HERD_NO_OFFSET };
	struct herd_finding *found = NULL;
	struct herd_herd *h = NULL;
	uint32_t seed = 3;
	size_t n;

	(void)state;
	fx_open(&m.fx);
	for (int i = 0; i < 3; i++)
		attach(&m, HERD_ROLE_MEMBER, &seed);
	detach(&m, 1);
	struct herd_txn *t = fx_read(&m.fx);
	struct herd_group g = fx_group(t, "web");

	assert_int_equal(herd_herd_make(t, &g, &h, NULL), 0);
	assert_int_equal(herd_judge_instance(t, h, m.id[1], &found, &n, &diag),
			 -ENOENT);
	assert_true(diag.message[0]);
	assert_int_equal(herd_judge_instance(t, h, 4711, &found, &n, NULL),
			 -ENOENT);
	assert_int_equal(herd_judge_instance(t, h, 0, &found, &n, NULL),
			 -ENOENT);
	assert_null(found);
	herd_herd_destroy(h);
	herd_txn_abort(t);
	fx_close(&m.fx);
}

/* ---- folders in which everyone has names of his own ---- */

#define LOOSE_MEMBERS 6

/* Adds one to the list. */
static void loose_file(struct fx_file *files, size_t *n, char names[][40],
		       uint32_t mode, uint32_t uid, const char *fmt, ...)
	__attribute__((format(printf, 6, 7)));

static void loose_file(struct fx_file *files, size_t *n, char names[][40],
		       uint32_t mode, uint32_t uid, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(names[*n], 40, fmt, ap);
	va_end(ap);
	files[*n] = (struct fx_file){ .path = names[*n], .mode = mode,
		.uid = uid, .content = names[*n], .mtime = 1 };
	++*n;
}

static void loose_member(struct fx *fx, unsigned i, bool intruder)
{
	struct fx_file files[32];
	char names[32][40], name[16];
	size_t n = 0;
	const uint32_t file = S_IFREG | 0600, dir = S_IFDIR | 0755;

	loose_file(files, &n, names, dir, 0, "var");
	loose_file(files, &n, names, dir, 0, "var/cache");
	loose_file(files, &n, names, dir, 0, "var/journal");
	for (unsigned k = 0; k < 3; k++)
		loose_file(files, &n, names, file, 33, "var/cache/%u-%u", i, k);
	loose_file(files, &n, names, dir, 0, "var/journal/%u", i);
	loose_file(files, &n, names, file, 0, "var/journal/%u/system", i);
	loose_file(files, &n, names, file, 0, "var/journal/%u/%u", i, i + 100);
	if (intruder) {
		loose_file(files, &n, names, file, 0, "var/cache/root");
		loose_file(files, &n, names, S_IFREG | 0700, 33, "var/cache/x");
		loose_file(files, &n, names, S_IFLNK | 0777, 33, "var/cache/l");
		loose_file(files, &n, names, file, 7, "var/journal/%u/evil", i);
		loose_file(files, &n, names, dir, 0, "opt");
		loose_file(files, &n, names, file, 0, "opt/1");
	}
	snprintf(name, sizeof(name), "i-%u", i);
	fx_attach(fx, "web", name, HERD_ROLE_MEMBER, files, n);
}

/* The first one is the reference: seen from both sides. */
static void loose_herd(unsigned intruder)
{
	struct herd_herd *h = NULL;
	struct fx fx;

	fx_open(&fx);
	for (unsigned i = 0; i < LOOSE_MEMBERS; i++)
		loose_member(&fx, i, i == intruder);
	struct herd_txn *t = fx_read(&fx);
	struct herd_group g = fx_group(t, "web");

	assert_int_equal(herd_herd_make(t, &g, &h, NULL), 0);
	for (unsigned i = 0; i < LOOSE_MEMBERS; i++) {
		struct herd_finding *found = NULL;
		size_t n, deviant = 0, loose = 0;

		assert_int_equal(herd_judge_instance(t, h, g.reference + i,
						     &found, &n, NULL), 0);
		for (size_t k = 0; k < n; k++) {
			deviant += found[k].verdict.class == HERD_CLASS_DEVIANT;
			loose += found[k].verdict.class == HERD_CLASS_VOLATILE;
		}
		assert_int_equal(deviant, i == intruder ? 6 : 0);
		assert_int_equal(loose, 6);
		free(found);
	}
	herd_herd_destroy(h);
	herd_txn_abort(t);
	fx_close(&fx);
}

static void test_loose_folders(void **state)
{
	(void)state;
	loose_herd(0);
	loose_herd(3);
}

/* ---- a large herd ---- */

#define BIG_MEMBERS 1000
#define BIG_PATHS 100000
#define BIG_LOOSE 60	/* paths at which everyone differs */
#define BIG_OWN 140	/* elsewhere, at random */

static int big_reference(struct herd_txn *t, void *arg, struct herd_diag *diag)
{
	uint32_t *first = arg, path, dir;
	struct herd_group g;
	struct herd_instance i = { .name = "i-0" };
	char name[16];

	(void)diag;
	if (herd_group_make(t, "web", &g))
		return -EAGAIN;
	i.group = g.id;
	if (herd_instance_put(t, &i) ||
	    herd_path_intern(t, HERD_PATH_ROOT, "d", 1, &dir))
		return -EAGAIN;
	g.reference = i.id;
	g.members = 1;
	for (unsigned p = 0; p < BIG_PATHS; p++) {
		int len = snprintf(name, sizeof(name), "p%u", p);
		struct herd_buf b = HERD_BUF_INIT;
		struct fx_file file = { .mode = S_IFREG | 0644 };
		int err = herd_path_intern(t, dir, name, (size_t)len, &path);

		fx_encode(&file, &b);
		if (!err)
			err = herd_entry_put(t, i.id, path, b.data, b.len);
		herd_buf_deinit(&b);
		if (err)
			return err;
		if (!p)
			*first = path;
	}
	return herd_group_put(t, &g);
}

struct big_more {
	uint32_t first, seed;
	unsigned from, n;
};

static int big_members(struct herd_txn *t, void *arg, struct herd_diag *diag)
{
	struct big_more m = *(struct big_more *)arg;
	struct herd_group g;
	struct herd_variant v;

	(void)diag;
	assert_int_equal(herd_group_find(t, "web", &g), 0);
	for (unsigned n = m.from; n < m.from + m.n; n++) {
		struct herd_instance i = { .group = g.id };
		unsigned step = (BIG_PATHS - BIG_LOOSE) / BIG_OWN;

		snprintf(i.name, sizeof(i.name), "i-%u", n);
		int err = herd_instance_put(t, &i);

		for (unsigned k = 0; k < BIG_LOOSE + BIG_OWN && !err; k++) {
			bool loose = k < BIG_LOOSE;
			uint32_t path = m.first + (loose ? k : BIG_LOOSE +
				(k - BIG_LOOSE) * step +
				next_random(&m.seed) % step);
			struct herd_buf b = HERD_BUF_INIT;
			char content[24];
			struct fx_file file = { .mode = S_IFREG | 0644,
						.content = content };
			struct herd_entry e;

			snprintf(content, sizeof(content), "%u",
				 loose ? n : 0u);
			fx_encode(&file, &b);
			err = herd_entry_put(t, i.id, path, b.data, b.len);
			assert_int_equal(herd_entry_decode(b.data, b.len, &e),
					 0);
			herd_variant_of(&e, &v);
			if (!err)
				err = herd_tally_add(t, g.id, path, &v, i.id, 1);
			herd_buf_deinit(&b);
		}
		if (err)
			return err;
		g.members++;
	}
	return herd_group_put(t, &g);
}

static double seconds(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/*
 * Each step is measured and printed; the limits are five times what is
 * wanted, for machines that are busy with other things.
 */
static void test_large(void **state)
{
	struct big_more more = { .seed = 5, .n = 50 };
	struct herd_finding *found = NULL;
	struct herd_herd *h = NULL;
	struct fx fx;
	size_t n;

	(void)state;
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
	print_message("measured only without sanitizers\n");
	skip();
#endif
	fx_open(&fx);
	assert_int_equal(herd_store_update(fx.store, big_reference, &more.first,
					   NULL), 0);
	for (more.from = 1; more.from < BIG_MEMBERS; more.from += more.n) {
		if (more.n > BIG_MEMBERS - more.from)
			more.n = BIG_MEMBERS - more.from;
		more.seed += more.from;
		assert_int_equal(herd_store_update(fx.store, big_members, &more,
						   NULL), 0);
	}
	struct herd_txn *t = fx_read(&fx);
	struct herd_group g = fx_group(t, "web");
	double start = seconds();

	assert_int_equal(g.members, BIG_MEMBERS);
	assert_int_equal(herd_herd_make(t, &g, &h, NULL), 0);
	double made = seconds() - start;

	start = seconds();
	for (uint32_t id = g.reference + 1; id < g.reference + 11; id++) {
		assert_int_equal(herd_judge_instance(t, h, id, &found, &n,
						     NULL), 0);
		assert_int_equal(n, BIG_LOOSE + BIG_OWN);
		free(found);
	}
	double one = (seconds() - start) / 10;

	print_message("%d members, %d paths, %d differing each: herd %.0f ms, "
		      "one instance %.1f ms\n", BIG_MEMBERS, BIG_PATHS,
		      BIG_LOOSE + BIG_OWN, made * 1e3, one * 1e3);
	herd_herd_destroy(h);
	herd_txn_abort(t);
	fx_close(&fx);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_random),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_loose_folders),
		cmocka_unit_test(test_large),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
