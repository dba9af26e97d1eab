/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The herd's statistics: instances come and go at random, and after each step
 * the tallies are those that counting every member anew gives.
 */
#include "store_fixture.h"

#define NAMES 8
#define PATHS 24

/* What each instance has at each path; 0: nothing. */
struct modelled {
	uint32_t id;		/* 0: not attached */
	enum herd_role role;
	uint32_t variant[PATHS + 1];
};
static struct modelled herd[NAMES];
/* the reference, which stays when its instance goes */
static struct modelled reference;

static void variant_of(uint32_t v, struct herd_variant *ret)
{
	struct herd_buf b CLEANUP_BUF = HERD_BUF_INIT;
	struct herd_entry e = { .absent = true };

	if (v) {
		make_entry(v, 1, &b);
		must(herd_entry_decode(b.data, b.len, &e));
	}
	herd_variant_of(&e, ret);
}

/* As attaching does it: own records where it differs, tallies for members. */
static void attach(struct herd_txn *t, unsigned n, enum herd_role role)
{
	struct modelled *m = &herd[n];
	struct herd_group g;
	char name[16];

	must(herd_group_make(t, "web", &g));
	bool first = !g.reference;

	snprintf(name, sizeof(name), "i-%u", n);
	m->id = make_instance(t, &g, name, role);
	m->role = role;
	for (uint32_t p = 2; p <= PATHS; p++) {
		m->variant[p] = (uint32_t)(rnd() % 3 ? 2 : rnd() % 5);
		if (first) {
			if (m->variant[p])
				put_entry(t, m->id, p, m->variant[p]);
			continue;
		}
		if (m->variant[p] == reference.variant[p]) {
			/* other times, the same variant: kept, not counted */
			if (m->variant[p] && rnd() % 4 == 0)
				put_entry(t, m->id, p, m->variant[p]);
			continue;
		}
		struct herd_variant v;

		variant_of(m->variant[p], &v);
		if (m->variant[p])
			put_entry(t, m->id, p, m->variant[p]);
		else
			put_absent(t, m->id, p);
		if (role == HERD_ROLE_MEMBER)
			must(herd_tally_add(t, g.id, p, &v, m->id, 1));
	}
	if (first)
		reference = *m;
}

static void check_holder(const struct herd_tally *tally, uint32_t path)
{
	struct herd_variant v;
	uint32_t lowest = 0;

	for (unsigned n = 0; n < NAMES; n++) {
		if (!herd[n].id || herd[n].role != HERD_ROLE_MEMBER)
			continue;
		variant_of(herd[n].variant[path], &v);
		if (herd_variant_equal(&v, &tally->variant) &&
		    (!lowest || herd[n].id < lowest))
			lowest = herd[n].id;
	}
	variant_of(reference.variant[path], &v);
	if (herd_variant_equal(&v, &tally->variant))
		/* only the reference itself is named for its variant */
		assert_true(tally->holder == 0 || tally->holder == lowest);
	else
		assert_int_equal(tally->holder, lowest);
}

static void check_path(const struct herd_tally *tallies, size_t n, uint32_t p)
{
	uint32_t want[8] = { 0 }, kinds = 0;
	struct herd_variant v;

	for (unsigned i = 0; i < NAMES; i++)
		if (herd[i].id && herd[i].role == HERD_ROLE_MEMBER)
			kinds += !want[herd[i].variant[p]]++;
	assert_int_equal(n, kinds);
	for (size_t i = 0; i < n; i++) {
		uint32_t found = 99;

		for (uint32_t k = 0; k < 8; k++) {
			variant_of(k, &v);
			if (herd_variant_equal(&v, &tallies[i].variant))
				found = k;
		}
		assert_in_range(found, 0, 7);
		assert_int_equal(tallies[i].count, want[found]);
		want[found] = 0;
		check_holder(&tallies[i], p);
		/* the reference's own stands first */
		if (found == reference.variant[p])
			assert_int_equal(i, 0);
	}
}

static int see_path(void *arg, uint32_t path)
{
	uint8_t *seen = arg;

	assert_in_range(path, 2, PATHS);
	assert_int_equal(seen[path], 0);
	seen[path] = 1;
	return 0;
}

static int count_name(void *arg, uint32_t id, uint32_t group,
		      enum herd_role role, const char *name)
{
	unsigned n = (unsigned)atoi(name + 2);

	(void)group;
	assert_in_range(n, 0, NAMES - 1);
	assert_int_equal(herd[n].id, id);
	assert_int_equal(herd[n].role, role);
	++*(unsigned *)arg;
	return 0;
}

static void check_herd(struct herd_txn *t)
{
	struct herd_group g;
	unsigned attached = 0, members = 0, seen_names = 0;
	uint8_t seen[PATHS + 1] = { 0 };

	for (unsigned n = 0; n < NAMES; n++) {
		attached += herd[n].id != 0;
		members += herd[n].id && herd[n].role == HERD_ROLE_MEMBER;
	}
	int r = herd_group_find(t, "web", &g);

	assert_int_equal(r, attached ? 0 : -ENOENT);
	if (r)
		return;
	assert_int_equal(g.members, members);
	assert_int_equal(g.reference, reference.id);
	must(herd_instance_each_name(t, g.id, count_name, &seen_names));
	assert_int_equal(seen_names, attached);
	must(herd_tally_each_path(t, g.id, see_path, seen));
	for (uint32_t p = 2; p <= PATHS; p++) {
		struct herd_tally *tallies CLEANUP_FREE = NULL;
		size_t n = 99;
		bool differs = false;

		must(herd_tally_get(t, &g, p, &tallies, &n));
		check_path(tallies, n, p);
		for (unsigned i = 0; i < NAMES; i++)
			differs |= herd[i].id &&
				   herd[i].role == HERD_ROLE_MEMBER &&
				   herd[i].variant[p] != reference.variant[p];
		assert_int_equal(seen[p], differs);
	}
}

static bool anybody(void)
{
	for (unsigned n = 0; n < NAMES; n++)
		if (herd[n].id)
			return true;
	return false;
}

static int only_meta(void *arg, const char *table, const void *key,
		     size_t key_len, const void *value, size_t value_len)
{
	(void)arg;
	(void)key;
	(void)key_len;
	(void)value;
	(void)value_len;
	assert_string_equal(table, "meta");
	return 0;
}

static void test_come_and_go(void **state)
{
	struct herd_store *s = open_writer();

	(void)state;
	for (unsigned round = 0; round < 600; round++) {
		struct herd_txn *t = begin(s, true);
		unsigned n = (unsigned)(rnd() % NAMES);

		if (herd[n].id) {
			must(herd_instance_remove(t, herd[n].id));
			assert_int_equal(herd_instance_remove(t, herd[n].id),
					 -ENOENT);
			herd[n].id = 0;
		} else {
			/* i-0 is the baseline, if it comes */
			attach(t, n, n ? HERD_ROLE_MEMBER : HERD_ROLE_BASELINE);
		}
		commit(t);
		t = begin(s, false);
		check_herd(t);
		if (!anybody())	/* nothing at all is left behind */
			must(herd_store_dump(t, only_meta, NULL));
		herd_txn_abort(t);
	}
	struct herd_txn *t = begin(s, true);

	for (unsigned n = 0; n < NAMES; n++)
		if (herd[n].id)
			must(herd_instance_remove(t, herd[n].id));
	must(herd_store_dump(t, only_meta, NULL));
	commit(t);
	herd_store_close(s);
}

/* What belongs to the reference outlives it, and goes with the last one. */
static void test_reference_goes(void **state)
{
	struct herd_store *s = open_writer();
	struct herd_txn *t = begin(s, true);
	uint32_t first, second, ids[] = { 2, 3 };
	struct herd_instance i;
	struct herd_group g;
	struct herd_entry e;
	const void *p;
	size_t n;

	(void)state;
	must(herd_group_make(t, "web", &g));
	first = make_instance(t, &g, "a", HERD_ROLE_MEMBER);
	second = make_instance(t, &g, "b", HERD_ROLE_MEMBER);
	put_entry(t, first, 2, 7);
	must(herd_children_put(t, first, 1, ids, 2));
	must(herd_links_put(t, first, 0, 9, ids, 2));
	must(herd_owner_put(t, first, 0, 0, 4096, 9, HERD_OWNER_DATA));
	must(herd_problem_add(t, first, "x", 1, "text"));
	must(herd_instance_remove(t, first));
	assert_int_equal(herd_instance_find(t, g.id, "a", &i), -ENOENT);
	must(herd_instance_get(t, first, &i));
	assert_true(i.detached);
	herd_instance_deinit(&i);
	must(herd_entry_get(t, second, first, 2, &e));
	must(herd_children_get(t, first, 1, &p, &n));
	must(herd_links_get(t, first, 0, 9, &p, &n));
	/* the name is free again, for another instance */
	must(herd_group_find(t, "web", &g));
	assert_int_equal(g.members, 1);
	assert_int_not_equal(make_instance(t, &g, "a", HERD_ROLE_MEMBER),
			     first);
	must(herd_instance_find(t, g.id, "a", &i));
	must(herd_instance_remove(t, i.id));
	herd_instance_deinit(&i);
	must(herd_instance_remove(t, second));
	must(herd_store_dump(t, only_meta, NULL));
	commit(t);
	herd_store_close(s);
}

static void test_tally_guards(void **state)
{
	struct herd_store *s = open_writer();
	struct herd_txn *t = begin(s, true);
	struct herd_variant v, absent = { .absent = true };
	struct herd_tally *tallies;
	struct herd_group g;
	size_t n;

	(void)state;
	must(herd_group_make(t, "web", &g));
	uint32_t id = make_instance(t, &g, "a", HERD_ROLE_MEMBER);

	variant_of(3, &v);
	assert_int_equal(herd_tally_add(t, g.id, 2, &v, id, -1), -EBADMSG);
	assert_int_equal(herd_tally_add(t, g.id, 2, &v, id, 2), -EINVAL);
	/* an absent reference: the one member lacks the path */
	must(herd_tally_get(t, &g, 2, &tallies, &n));
	assert_int_equal(n, 1);
	assert_int_equal(tallies[0].count, 1);
	assert_int_equal(tallies[0].holder, id);
	assert_true(herd_variant_equal(&tallies[0].variant, &absent));
	free(tallies);
	/* more variants than members */
	must(herd_tally_add(t, g.id, 2, &v, id, 1));
	must(herd_tally_add(t, g.id, 2, &absent, id, 1));
	assert_int_equal(herd_tally_get(t, &g, 2, &tallies, &n), -EBADMSG);
	herd_txn_abort(t);
	herd_store_close(s);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, fixture_setup, fixture_teardown)
	const struct CMUnitTest tests[] = {
		T(test_come_and_go), T(test_reference_goes),
		T(test_tally_guards),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
