/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What it costs to judge the member of a herd that came last, by the herd's
 * ledger, and what it costs to judge all others from nothing. The fastest of
 * some runs counts, in time of the CPU: who else runs would find the longer one
 * more often.
 *
 *   rejudge DIR GROUP    prints "rejudge: M us" and "from nothing: M us"
 */
#include "index/judge.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define RUNS 25
#define RUNS_ALL 5
#define MEMBERS_MAX 4096u

static uint32_t ids[MEMBERS_MAX];
static size_t n_ids;

static double now_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return t.tv_sec * 1e6 + t.tv_nsec / 1e3;
}

static int add(void *arg, uint32_t id, uint32_t group, enum herd_role role,
	       const char *name)
{
	(void)arg;
	(void)group;
	(void)name;
	if (role == HERD_ROLE_MEMBER && n_ids < MEMBERS_MAX)
		ids[n_ids++] = id;
	return 0;
}

/* Members from to to; how long it took, with what is the same for all. */
static double judge(struct herd_txn *t, const struct herd_group *g,
		    unsigned without, size_t from, size_t to)
{
	double began = now_us();
	struct herd_herd *h;
	int err = herd_herd_make_without(t, g, without, &h, NULL);

	for (size_t i = from; i < to && !err; i++) {
		struct herd_finding *f;
		size_t n;

		err = herd_judge_instance(t, h, ids[i], &f, &n, NULL);
		if (!err)
			free(f);
	}
	began = now_us() - began;
	if (err || herd_herd_by_ledger(h) == (without != 0)) {
		fprintf(stderr, "rejudge: %s\n",
			err ? strerror(-err) : "the ledger does not fit");
		exit(1);
	}
	herd_herd_destroy(h);
	return began;
}

static void measure(struct herd_txn *t, const struct herd_group *g)
{
	double one = 1e12, all = 1e12, took;

	for (int i = 0; i < RUNS; i++) {
		took = judge(t, g, 0, n_ids - 1, n_ids);
		one = took < one ? took : one;
	}
	for (int i = 0; i < RUNS_ALL; i++) {
		took = judge(t, g, HERD_WITHOUT_LEDGER, 0, n_ids - 1);
		all = took < all ? took : all;
	}
	printf("rejudge: %.0f us\nfrom nothing: %.0f us\n", one, all);
}

int main(int argc, char **argv)
{
	struct herd_store *s = NULL;
	struct herd_txn *t = NULL;
	struct herd_group g;
	int err;

	if (argc != 3)
		return 2;
	err = herd_store_open(argv[1], 0, &s, NULL);
	if (!err)
		err = herd_txn_begin(s, false, &t, NULL);
	if (!err)
		err = herd_group_find(t, argv[2], &g);
	if (!err)
		err = herd_instance_each_name(t, g.id, add, NULL);
	if (!err && n_ids > 1)
		measure(t, &g);
	if (err)
		fprintf(stderr, "rejudge: %s\n", strerror(-err));
	herd_txn_abort(t);
	herd_store_close(s);
	return err ? 1 : 0;
}
