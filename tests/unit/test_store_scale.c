/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A large herd: 1,000 instances on a reference of 100,000 paths, 200
 * differences each. Takes its time, so only with HERDFS_SCALE set; prints
 * how large the store is and what a commit, a look up and a removal cost.
 */
#include "store_fixture.h"

#include <time.h>

#define MEMBERS 1000u
#define PATHS 100000u
#define DIFFERENCES 200u

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

static int attach_reference(struct herd_txn *t, void *arg,
			    struct herd_diag *diag)
{
	struct herd_buf b CLEANUP_BUF = HERD_BUF_INIT;
	uint32_t *reference = arg, dir = HERD_PATH_ROOT, id;
	struct herd_group g;
	char name[48];

	(void)diag;
	must(herd_group_make(t, "web", &g));
	*reference = make_instance(t, &g, "i-0", HERD_ROLE_MEMBER);
	for (uint32_t p = 0; p < PATHS; p++) {
		snprintf(name, sizeof(name), "some-usual-name-%u.so", p);
		must(herd_path_intern(t, dir, name, strlen(name), &id));
		make_entry(p, p, &b);
		must(herd_entry_put(t, *reference, id, b.data, b.len));
		must(herd_owner_put(t, *reference, 0, (1ull + p) << 14,
				    4096 * (1 + p % 4), p, HERD_OWNER_DATA));
		must(herd_links_put(t, *reference, 0, p, &id, 1));
		if (p % 10000 == 0)
			dir = id;
	}
	return 0;
}

struct member {
	uint32_t number, reference;
};

/* Half of the differences are everybody's own, half shared by all others. */
static int attach_member(struct herd_txn *t, void *arg, struct herd_diag *diag)
{
	const struct member *m = arg;
	struct herd_buf b CLEANUP_BUF = HERD_BUF_INIT;
	struct herd_variant v;
	struct herd_entry e;
	struct herd_group g;
	char name[16];

	(void)diag;
	must(herd_group_find(t, "web", &g));
	snprintf(name, sizeof(name), "i-%u", m->number);
	uint32_t id = make_instance(t, &g, name, HERD_ROLE_MEMBER);

	for (uint32_t d = 0; d < DIFFERENCES; d++) {
		uint32_t path = 2 + d * (PATHS / DIFFERENCES);

		make_entry(d % 2 ? 1u << 15 : (m->number + d) & 0x7fff, path,
			   &b);
		must(herd_entry_put(t, id, path, b.data, b.len));
		must(herd_entry_decode(b.data, b.len, &e));
		herd_variant_of(&e, &v);
		must(herd_tally_add(t, g.id, path, &v, id, 1));
	}
	return 0;
}

static int remove_member(struct herd_txn *t, void *arg, struct herd_diag *diag)
{
	(void)diag;
	return herd_instance_remove(t, *(uint32_t *)arg);
}

static void time_lookups(struct herd_store *s, uint32_t reference)
{
	struct herd_txn *t = begin(s, false);
	struct herd_buf b CLEANUP_BUF = HERD_BUF_INIT;
	const uint32_t rounds = 200000;
	struct herd_entry e;
	double t0 = now();

	for (uint32_t i = 0; i < rounds; i++)
		must(herd_entry_get(t, reference + 500, reference,
				    2 + i * 7919 % PATHS, &e));
	double t1 = now();

	for (uint32_t i = 0; i < rounds; i++) {
		b.len = 0;
		must(herd_path_full(t, 2 + i * 7919 % PATHS, &b));
	}
	double t2 = now();

	print_message("a look up: %.0f ns; a path of ten names or less: "
		      "%.0f ns\n", (t1 - t0) * 1e6 / rounds,
		      (t2 - t1) * 1e6 / rounds);
	herd_txn_abort(t);
}

static void time_tallies(struct herd_store *s)
{
	struct herd_txn *t = begin(s, false);
	struct herd_group g;
	size_t n, all = 0;
	double t0 = now();

	must(herd_group_find(t, "web", &g));
	for (uint32_t d = 0; d < DIFFERENCES; d++) {
		struct herd_tally *tallies CLEANUP_FREE = NULL;

		must(herd_tally_get(t, &g, 2 + d * (PATHS / DIFFERENCES),
				    &tallies, &n));
		all += n;
	}
	print_message("tallies of %u paths, %zu variants: %.1f ms\n",
		      DIFFERENCES, all, now() - t0);
	herd_txn_abort(t);
}

static void test_scale(void **state)
{
	uint32_t reference, second;
	struct herd_store *s;
	struct stat st;
	char path[400];

	(void)state;
	if (!getenv("HERDFS_SCALE")) {
		print_message("set HERDFS_SCALE=1 to run this\n");
		skip();
	}
	s = open_writer();
	double t0 = now();

	must(herd_store_update(s, attach_reference, &reference, &fixture_diag));
	print_message("reference of %u paths: %.0f ms\n", PATHS, now() - t0);
	for (uint32_t n = 1; n < MEMBERS; n++) {
		struct member m = { n, reference };

		t0 = now();
		must(herd_store_update(s, attach_member, &m, &fixture_diag));
		if (n == 10 || n == 100 || n == MEMBERS - 1)
			print_message("member %u: %.1f ms\n", n, now() - t0);
	}
	snprintf(path, sizeof(path), "%s/data.mdb", fixture_dir);
	assert_int_equal(stat(path, &st), 0);
	print_message("store: %.1f MB\n", (double)st.st_size / 1e6);
	assert_true(st.st_size < 1000000000);
	herd_store_close(s);
	t0 = now();
	s = open_writer();
	print_message("opening it, every page looked at: %.1f ms\n",
		      now() - t0);
	time_lookups(s, reference);
	time_tallies(s);
	/* the lowest but the reference holds all that is shared */
	second = reference + 1;
	t0 = now();
	must(herd_store_update(s, remove_member, &second, &fixture_diag));
	print_message("removing a holder: %.1f ms\n", now() - t0);
	herd_store_close(s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_scale, fixture_setup,
						fixture_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
