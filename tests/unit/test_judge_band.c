/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Two bands, half of a herd upgraded: what a band that packages vouch for
 * explains, and what it does not.
 */
#include "index/cluster.h"
#include "index/dpkg.h"
#include "index/judge.h"
#include "tests/unit/herd_fixture.h"

#define MEMBERS 8u
#define UPGRADED 120u	/* files of the newer packages */

struct band {
	struct fx fx;
	uint32_t id[MEMBERS];
	struct herd_herd *herd;
	struct herd_txn *txn;
};

/* Of the odd members: what attach would have found out about their files. */
static void look_at(struct herd_txn *t, uint32_t id, const char *path,
		    bool packaged, bool normal)
{
	struct herd_look look = { .sort = 3, .packaged = packaged,
				  .normal = normal };

	memset(look.digest, normal ? 7 : 0, sizeof(look.digest));
	assert_int_equal(herd_look_put(t, id, fx_path(t, path), &look), 0);
}

/* All looks are there before the first tally of their path. */
static void attach_one(struct band *b, unsigned i, bool vouched)
{
	static char names[UPGRADED][32];
	struct fx_file files[UPGRADED + 8];
	char name[16], own[32];
	bool newer = i % 2;
	struct herd_txn *t = NULL;
	size_t n = 0;

	for (unsigned k = 0; k < UPGRADED; k++) {
		snprintf(names[k], sizeof(names[k]), "usr/lib/l%u.so", k);
		files[n++] = (struct fx_file){ .path = names[k],
			.mode = S_IFREG | 0644, .content = newer ? "2" : "1" };
	}
	snprintf(own, sizeof(own), "key of %u", i);
	files[n++] = (struct fx_file){ .path = HERD_DPKG_STATUS,
			.mode = S_IFREG | 0644, .content = newer ? "new" : "old" };
	files[n++] = (struct fx_file){ .path = "etc/plain.conf",
			.mode = S_IFREG | 0644, .content = newer ? "b" : "a" };
	if (newer) {
		files[n++] = (struct fx_file){ .path = "etc/ssh/ssh_host_rsa_key",
			.mode = S_IFREG | 0600, .content = own };
		files[n++] = (struct fx_file){ .path = "etc/ssh/ssh_host_x",
			.mode = S_IFREG | 0600, .content = "the same" };
		files[n++] = (struct fx_file){ .path = "etc/cron.d/own",
			.mode = S_IFREG | 0644, .content = own };
	}
	/* ids are given in order */
	assert_int_equal(herd_txn_begin(b->fx.store, true, &t, NULL), 0);
	for (unsigned k = 0; k < UPGRADED && newer; k++)
		look_at(t, i + 1, names[k], vouched, false);
	if (newer) {
		look_at(t, i + 1, "etc/ssh/ssh_host_rsa_key", false, true);
		look_at(t, i + 1, "etc/ssh/ssh_host_x", false, false);
		look_at(t, i + 1, "etc/cron.d/own", false, true);
	}
	assert_int_equal(herd_txn_commit(t, NULL), 0);
	snprintf(name, sizeof(name), "i-%u", i);
	b->id[i] = fx_attach(&b->fx, "web", name, HERD_ROLE_MEMBER, files, n);
	assert_int_equal(b->id[i], i + 1);
}

static void make(struct band *b, bool vouched)
{
	struct herd_diag diag = { .offset = HERD_NO_OFFSET };
	struct herd_group g;

	fx_open(&b->fx);
	for (unsigned i = 0; i < MEMBERS; i++)
		attach_one(b, i, vouched);
	b->txn = fx_read(&b->fx);
	assert_int_equal(herd_group_find(b->txn, "web", &g), 0);
	if (herd_herd_make(b->txn, &g, &b->herd, &diag))
		fail_msg("%s", diag.message);
	assert_int_equal(herd_clustering_n(herd_herd_clustering(b->herd)), 2);
}

static void destroy(struct band *b)
{
	herd_herd_destroy(b->herd);
	herd_txn_abort(b->txn);
	fx_close(&b->fx);
}

static void expect(struct band *b, const char *path, enum herd_class class,
		   unsigned reason)
{
	for (unsigned i = 0; i < MEMBERS; i++) {
		struct herd_diag diag = { .offset = HERD_NO_OFFSET };
		struct herd_finding f;
		uint32_t id;

		assert_int_equal(herd_path_resolve(b->txn, path, strlen(path),
						   &id), 0);
		if (herd_judge_path(b->txn, b->herd, b->id[i], id, &f, &diag))
			fail_msg("%s: %s", path, diag.message);
		if (f.verdict.class != class ||
		    !!(f.verdict.reasons & HERD_REASON_BAND) != !!reason)
			fail_msg("%s of %u: %s, reasons %x", path, i,
				 herd_class_name(f.verdict.class),
				 f.verdict.reasons);
	}
}

static void test_vouched(void **state)
{
	struct band b = { .herd = NULL };

	(void)state;
	make(&b, true);
	expect(&b, HERD_DPKG_STATUS, HERD_CLASS_VOLATILE, HERD_REASON_BAND);
	expect(&b, "etc/ssh/ssh_host_rsa_key", HERD_CLASS_VOLATILE,
	       HERD_REASON_BAND);
	/* one key for all is nobody's own; and no other file is explained */
	expect(&b, "etc/ssh/ssh_host_x", HERD_CLASS_DEVIANT, 0);
	expect(&b, "etc/cron.d/own", HERD_CLASS_DEVIANT, 0);
	expect(&b, "etc/plain.conf", HERD_CLASS_DEVIANT, 0);
	destroy(&b);
}

static void test_bare(void **state)
{
	struct band b = { .herd = NULL };

	(void)state;
	make(&b, false);
	expect(&b, HERD_DPKG_STATUS, HERD_CLASS_DEVIANT, 0);
	expect(&b, "etc/ssh/ssh_host_rsa_key", HERD_CLASS_DEVIANT, 0);
	destroy(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_vouched),
		cmocka_unit_test(test_bare),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
