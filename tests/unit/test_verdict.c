/* SPDX-License-Identifier: Apache-2.0 */
/* The verdict: the table of docs/ARCHITECTURE.md, and what must hold always. */
#include "index/verdict.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

static struct herd_variant variant(uint8_t content)
{
	struct herd_variant v = { .mode = S_IFREG | 0644,
				  .digest_kind = HERD_DIGEST_SHA256 };

	v.digest[0] = content;
	v.digest[1] = 1;
	return v;
}

static const struct herd_variant absent = { .absent = true };

#define MAX 40

/*
 * A herd from its counts, "9 1": the i-th variant has content i. Returns how
 * many there are, *ret_members their sum.
 */
static size_t herd(const char *counts, struct herd_tally tallies[MAX],
		   uint32_t *ret_members)
{
	size_t n = 0;

	*ret_members = 0;
	for (int len; n < MAX; n++, counts += len) {
		unsigned count;

		if (sscanf(counts, "%u%n", &count, &len) != 1)
			break;
		tallies[n] = (struct herd_tally){
			.variant = variant((uint8_t)n), .count = count,
			.holder = (uint32_t)n + 1 };
		*ret_members += count;
	}
	return n;
}

static struct herd_verdict judge(const char *counts, int own, int baseline)
{
	struct herd_tally tallies[MAX];
	struct herd_verdict v;
	struct herd_variant o = variant((uint8_t)own);
	struct herd_variant b = variant((uint8_t)baseline);
	uint32_t members;
	size_t n = herd(counts, tallies, &members);

	herd_judge(tallies, n, members, &o, baseline < 0 ? NULL : &b, &v);
	return v;
}

#define S HERD_CLASS_SAME
#define D HERD_CLASS_DEVIANT
#define V HERD_CLASS_VOLATILE
#define F HERD_CLASS_DRIFT
#define NONE (-1)
#define OTHER 99	/* what no member has */

/* Keep docs/ARCHITECTURE.md, "Verdict", equal to this. */
static const struct {
	const char *counts;
	int own, baseline;
	enum herd_class class;
	unsigned rank;
} examples[] = {
	/* one odd: the larger the herd, the louder */
	{ "1 1", 0, NONE, D, 25 }, { "1 1", 1, NONE, D, 25 },
	{ "2 1", 1, NONE, D, 57 }, { "2 1", 0, NONE, S, 0 },
	{ "3 1", 1, NONE, D, 75 }, { "5 1", 1, NONE, D, 89 },
	{ "9 1", 1, NONE, D, 96 }, { "9 1", 0, NONE, S, 0 },
	{ "99 1", 1, NONE, D, 100 },
	/* several share it, or there are several kinds */
	{ "8 2", 1, NONE, D, 75 }, { "8 1 1", 1, NONE, D, 67 },
	{ "7 1 1 1", 1, NONE, D, 44 }, { "90 10", 1, NONE, D, 83 },
	{ "2 1 1", 1, NONE, D, 17 },
	/* bands */
	{ "6 6", 0, NONE, D, 27 }, { "6 6", 1, NONE, D, 27 },
	{ "7 5", 1, NONE, D, 38 }, { "7 5", 0, NONE, S, 0 },
	{ "4 4 4", 2, NONE, D, 14 }, { "5 5 1", 2, NONE, D, 36 },
	/* nothing common */
	{ "1 1 1", 0, NONE, V, 3 }, { "1 1 1 1 1 1 1 1 1 1", 4, NONE, V, 0 },
	{ "3 2 1 1 1 1", 0, NONE, V, 2 }, { "5 1 1 1 1 1", 3, NONE, V, 15 },
	{ "5 1 1 1 1 1", 0, NONE, S, 0 },
	/* two bands, but too much besides */
	{ "4 4 1 1 1 1", 0, NONE, V, 7 }, { "4 4 1 1 1 1", 2, NONE, V, 12 },
	/* alone, and against a baseline */
	{ "1", 0, NONE, S, 0 }, { "1", 0, 0, S, 0 }, { "1", 0, OTHER, D, 57 },
	{ "1 1", 0, 0, S, 0 }, { "1 1", 1, 0, D, 75 },
	{ "2", 0, OTHER, F, 10 }, { "1 1", 0, OTHER, V, 17 },
	/* both axes */
	{ "9 1", 0, 0, S, 0 }, { "9 1", 0, OTHER, F, 10 },
	{ "9 1", 0, 1, F, 10 }, { "9 1", 1, 1, D, 96 },
	{ "8 2", 1, 1, D, 75 }, { "8 2", 1, 0, D, 82 },
	{ "8 2", 1, OTHER, D, 82 },
	{ "6 6", 0, 0, S, 0 }, { "6 6", 1, 0, D, 46 },
	{ "6 6", 1, 1, S, 0 }, { "6 6", 0, 1, D, 46 },
	/* the baseline's stands when a quarter has it */
	{ "7 5", 0, 1, D, 59 }, { "7 5", 1, 1, S, 0 },
	{ "9 3", 0, 1, D, 53 }, { "9 3", 1, 1, S, 0 },
};

static void test_examples(void **state)
{
	unsigned wrong = 0;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(examples); i++) {
		struct herd_verdict v = judge(examples[i].counts,
					      examples[i].own,
					      examples[i].baseline);

		if (v.class == examples[i].class && v.rank == examples[i].rank)
			continue;
		print_error("\"%s\", own %d, baseline %d: %s %u, not %s %u\n",
			    examples[i].counts, examples[i].own,
			    examples[i].baseline, herd_class_name(v.class),
			    v.rank, herd_class_name(examples[i].class),
			    examples[i].rank);
		wrong++;
	}
	assert_int_equal(wrong, 0);
}

/* ---- what must hold always ---- */

static unsigned rank_of_second(const char *fmt, ...)
	__attribute__((format(printf, 1, 2)));

static unsigned rank_of_second(const char *fmt, ...)
{
	char counts[256];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(counts, sizeof(counts), fmt, ap);
	va_end(ap);
	return judge(counts, 1, NONE).rank;
}

static void test_monotone(void **state)
{
	(void)state;
	/* one odd in a herd that grows */
	for (int n = 2; n < 200; n++)
		assert_true(rank_of_second("%d 1", n) >=
			    rank_of_second("%d 1", n - 1));
	/* the more of the others agree */
	for (int c = 11; c < 20; c++)
		assert_true(rank_of_second("%d 1 %d", c + 1, 19 - c) >
			    rank_of_second("%d 1 %d", c, 20 - c));
	/* the fewer share it */
	for (int k = 2; k <= 20; k++)
		assert_true(rank_of_second("%d %d", 40 - k, k) <
			    rank_of_second("%d %d", 41 - k, k - 1));
	/* the fewer kinds there are */
	for (int kinds = 2; kinds < 9; kinds++) {
		char rest[2][64] = { "", "" };

		for (int more = 0; more < 2; more++)
			for (int i = 1; i < kinds + more; i++)
				strcat(rest[more], " 1");
		assert_true(rank_of_second("30 1%s %d", rest[1], 10 - kinds) <
			    rank_of_second("30 1%s %d", rest[0], 11 - kinds));
	}
	assert_true(rank_of_second("9 1") >= 90);
	assert_true(rank_of_second("1 1") <= 30);
}

/* A small generator: the same numbers on every run. */
static uint32_t next_random(uint32_t *seed)
{
	*seed = *seed * 1664525u + 1013904223u;
	return *seed >> 8;
}

static size_t random_herd(uint32_t *seed, struct herd_tally t[MAX],
			  uint32_t *ret_members)
{
	size_t n = 1 + next_random(seed) % MAX;

	*ret_members = 0;
	for (size_t i = 0; i < n; i++) {
		uint32_t most = next_random(seed) % 3 ? 1 : 40;

		t[i] = (struct herd_tally){ .variant = variant((uint8_t)i),
			.count = 1 + next_random(seed) % most, .holder = 1 };
		*ret_members += t[i].count;
	}
	return n;
}

static void check_sound(const struct herd_verdict *v, size_t own, size_t n)
{
	assert_in_range(v->rank, 0, 100);
	if (v->class == HERD_CLASS_SAME || v->class == HERD_CLASS_DRIFT) {
		assert_int_equal(v->reasons, 0);
		assert_int_equal(v->herd, own);
	} else {
		assert_int_not_equal(v->reasons, 0);
		assert_int_not_equal(v->herd, own);
	}
	assert_in_range(v->herd, 0, n);
	if (v->class == HERD_CLASS_SAME)
		assert_int_equal(v->rank, 0);
	if (v->class == HERD_CLASS_VOLATILE)
		assert_in_range(v->rank, 0, 20);
	if (v->class == HERD_CLASS_DEVIANT)
		assert_in_range(v->rank, 1, 100);
}

static void test_sound(void **state)
{
	struct herd_tally t[MAX];
	uint32_t seed = 7, members;

	(void)state;
	for (int round = 0; round < 3000; round++) {
		size_t n = random_herd(&seed, t, &members);
		struct herd_variant b =
			variant((uint8_t)(next_random(&seed) % (n + 1)));

		for (size_t own = 0; own < n; own++) {
			struct herd_verdict v;

			herd_judge(t, n, members, &t[own].variant,
				   round % 2 ? &b : NULL, &v);
			check_sound(&v, own, n);
			assert_int_equal(v.count, t[own].count);
			assert_int_equal(v.variants, n);
		}
	}
}

/* Leaving out what single members have changes nothing that is said. */
static void test_abridged(void **state)
{
	struct herd_tally t[MAX], few[MAX];
	uint32_t seed = 99, members;

	(void)state;
	for (int round = 0; round < 3000; round++) {
		size_t n = random_herd(&seed, t, &members), kept = 0;
		unsigned singles = 0;

		for (size_t i = 0; i < n; i++)
			if (t[i].count > 1 || singles++ < 2)
				few[kept++] = t[i];
		struct herd_stack s = { .tallies = few, .n = kept,
			.left_out = (uint32_t)(n - kept), .members = members };

		for (size_t own = 0; own < n; own++) {
			struct herd_verdict a, b;

			herd_judge(t, n, members, &t[own].variant, NULL, &a);
			herd_judge_stack(&s, &t[own].variant, true, NULL, &b);
			assert_int_equal(a.class, b.class);
			assert_int_equal(a.rank, b.rank);
			assert_int_equal(a.count, b.count);
			assert_int_equal(a.variants, b.variants);
			assert_int_equal(a.herd_count, b.herd_count);
			if (a.class == HERD_CLASS_SAME)
				continue;
			assert_true(herd_variant_equal(
				&t[a.herd].variant, &few[b.herd].variant));
		}
	}
}

/* A store may lie: counts that do not sum to the members. */
static void test_incoherent(void **state)
{
	static const uint32_t counts[] = { 0, 1, 2, UINT32_MAX };
	static const uint32_t members[] = { 0, 1, 2, 3, 10, UINT32_MAX };
	struct herd_variant other = variant(OTHER);

	(void)state;
	for (unsigned bits = 0; bits < 4 * 4 * 4 * 6 * 4 * 3; bits++) {
		unsigned left = bits;
		struct herd_tally t[3];
		struct herd_verdict v;

		for (int i = 0; i < 3; i++, left /= 4)
			t[i] = (struct herd_tally){
				.variant = variant((uint8_t)i),
				.count = counts[left % 4] };
		struct herd_stack s = { .tallies = t, .n = left % 4 % 4,
					.left_out = left & 1 };

		left /= 4;
		s.members = members[left % 6];
		left /= 6;
		herd_judge_stack(&s, left % 3 ? &t[0].variant : &other,
				 bits & 1, left % 3 == 2 ? &other : NULL, &v);
		assert_in_range(v.rank, 0, 100);
		assert_in_range(v.herd, 0, s.n);
	}
}

/* A name of its own in a folder where others have theirs. */
static void test_loose_names(void **state)
{
	struct herd_tally t[2] = { { .variant = absent, .count = 9 },
				   { .variant = variant(1), .count = 1 } };
	struct herd_stack s = { .tallies = t, .n = 2, .members = 10 };
	struct herd_verdict v;
	uint8_t before = 100;

	(void)state;
	for (s.alike = 0; s.alike < 10; s.alike++) {
		herd_judge_stack(&s, &t[1].variant, true, NULL, &v);
		assert_int_equal(v.class, s.alike < 3 ? D : V);
		assert_int_equal(v.reasons, HERD_REASON_ADDED);
		assert_true(v.rank <= before);
		before = v.rank;
		herd_judge_stack(&s, &t[0].variant, true, NULL, &v);
		assert_int_equal(v.class, S);
	}
	/* not new, only different; or shared by two */
	t[0].variant = variant(0);
	herd_judge_stack(&s, &t[1].variant, true, NULL, &v);
	assert_int_equal(v.class, D);
	t[0].variant = absent;
	t[0].count = 8;
	t[1].count = 2;
	herd_judge_stack(&s, &t[1].variant, true, NULL, &v);
	assert_int_equal(v.class, D);
	/* two members: only a baseline can tell */
	t[0].count = t[1].count = 1;
	s.members = 2;
	s.alike = 1;
	herd_judge_stack(&s, &t[1].variant, true, NULL, &v);
	assert_int_equal(v.class, D);
	herd_judge_stack(&s, &t[1].variant, true, &absent, &v);
	assert_int_equal(v.class, V);
	s.alike = 0;
	herd_judge_stack(&s, &t[1].variant, true, &absent, &v);
	assert_int_equal(v.class, D);
}

/* ---- the second look ---- */

#define TEXT 2		/* HERD_SORT_TEXT + 1 */
#define SCRIPT 4
#define PROGRAM 5

static struct herd_tally sorted(uint8_t content, uint8_t sort, uint32_t count)
{
	struct herd_tally t = { .variant = variant(content), .count = count,
				.holder = (uint32_t)content + 1 };

	t.variant.sort = sort;
	return t;
}

/* As judge.c asks: only what is volatile is looked at again. */
static bool again(const struct herd_tally *t, size_t n, size_t own,
		  struct herd_verdict *ret)
{
	struct herd_tally coarse[MAX];
	struct herd_stack s = { .tallies = t, .n = n };
	struct herd_verdict first;
	size_t n_coarse = 99;

	for (size_t i = 0; i < n; i++)
		s.members += t[i].count;
	herd_judge_stack(&s, &t[own].variant, true, NULL, &first);
	assert_int_equal(first.class, V);
	bool odd = herd_judge_coarse(&s, &t[own].variant, true, NULL, coarse,
				     &n_coarse, ret);

	assert_in_range(n_coarse, 1, n);
	if (odd) {
		assert_int_equal(ret->class, D);
		assert_in_range(ret->herd, 0, n_coarse - 1);
	}
	return odd;
}

static void test_second_look(void **state)
{
	struct herd_tally t[8];
	struct herd_verdict v;

	(void)state;
	for (uint8_t i = 0; i < 8; i++)
		t[i] = sorted(i, TEXT, 1);
	for (size_t i = 0; i < 8; i++)
		assert_false(again(t, 8, i, &v));
	/* a program where the others have text; seen from them it is nothing */
	t[5].variant.sort = PROGRAM;
	assert_true(again(t, 8, 5, &v));
	assert_int_equal(v.reasons, HERD_REASON_SORT);
	assert_true(v.rank > 80);
	assert_false(again(t, 8, 4, &v));
	/* with another mode or owner, whatever it is */
	t[5].variant.sort = TEXT;
	t[5].variant.mode = S_IFREG | 0755;
	assert_true(again(t, 8, 5, &v));
	assert_int_equal(v.reasons, HERD_REASON_MODE);
	t[5].variant.mode = S_IFREG | S_ISUID | 0644;
	assert_true(again(t, 8, 5, &v));
	assert_int_equal(v.reasons, HERD_REASON_SETID);
	t[5] = sorted(5, TEXT, 1);
	t[5].variant.uid = 33;
	assert_true(again(t, 8, 5, &v));
	assert_int_equal(v.reasons, HERD_REASON_OWNER);
	t[5] = sorted(5, TEXT, 1);
	t[5].variant.xattrs[3] = 1;
	assert_true(again(t, 8, 5, &v));
	assert_int_equal(v.reasons, HERD_REASON_XATTR);
	t[5].variant = absent;
	assert_true(again(t, 8, 5, &v));
	assert_int_equal(v.reasons, HERD_REASON_ABSENT);
	t[5] = sorted(5, 0, 1);
	t[5].variant.mode = S_IFLNK | 0777;
	assert_true(again(t, 8, 5, &v));
	assert_int_equal(v.reasons, HERD_REASON_TYPE);
	/* half and half: nobody is odd by less than that */
	for (uint8_t i = 0; i < 8; i++)
		t[i] = sorted(i, i < 3 ? SCRIPT : TEXT, 1);
	assert_true(again(t, 8, 0, &v));
	assert_false(again(t, 8, 7, &v));
}

/* Whoever is of no sort makes nobody blind, and is himself of the others'. */
static void test_unknown_sorts(void **state)
{
	static const uint8_t none[] = { 0, HERD_SORT_NOTHING };
	struct herd_tally t[8];
	struct herd_verdict v;

	(void)state;
	for (size_t k = 0; k < 2; k++) {
		for (uint8_t odd = 1; odd < 8; odd++) {
			for (uint8_t i = 0; i < 8; i++)
				t[i] = sorted(i, i == odd ? PROGRAM : TEXT, 1);
			/* the program comes before or behind the texts */
			t[0].variant.sort = none[k];
			assert_true(again(t, 8, odd, &v));
			assert_int_equal(v.reasons, HERD_REASON_SORT);
			for (size_t i = 0; i < 8; i++)
				if (i != odd)
					assert_false(again(t, 8, i, &v));
		}
		/* none of them has one */
		for (uint8_t i = 0; i < 8; i++)
			t[i] = sorted(i, none[k], 1);
		assert_false(again(t, 8, 3, &v));
		/* its mode is another one all the same */
		t[3].variant.mode = S_IFREG | 0755;
		assert_true(again(t, 8, 3, &v));
		assert_true(v.reasons & HERD_REASON_MODE);
	}
}

/* A log that was emptied is of a sort; one that nothing came into is not. */
static void test_emptied(void **state)
{
	struct herd_tally t[6];
	struct herd_verdict v;

	(void)state;
	for (uint8_t i = 0; i < 6; i++)
		t[i] = sorted(i, TEXT, 1);
	t[2].variant.sort = HERD_SORT_NOTHING;
	assert_false(again(t, 6, 2, &v));
	t[2].variant.sort = 1;	/* HERD_SORT_EMPTY + 1 */
	assert_true(again(t, 6, 2, &v));
	assert_int_equal(v.reasons, HERD_REASON_SORT);
}

/* Coarse of coarse is the same: what is kept abridged is asked again. */
static void test_coarsen_twice(void **state)
{
	struct herd_tally t[MAX], once[MAX], twice[MAX];
	uint32_t seed = 3, members;

	(void)state;
	for (int round = 0; round < 2000; round++) {
		size_t n = random_herd(&seed, t, &members), n1, n2;
		uint64_t sum = 0;

		for (size_t i = 0; i < n; i++) {
			static const uint8_t sorts[] = { 0, TEXT, PROGRAM,
							 HERD_SORT_NOTHING };

			t[i].variant.sort = sorts[next_random(&seed) % 4];
			if (next_random(&seed) % 8 == 0)
				t[i].variant.mode = S_IFREG | 0755;
			if (next_random(&seed) % 16 == 0)
				t[i].variant = absent;
		}
		memcpy(once, t, sizeof(t));
		n1 = herd_tally_coarsen(once, n);
		memcpy(twice, once, sizeof(t));
		n2 = herd_tally_coarsen(twice, n1);
		assert_int_equal(n1, n2);
		assert_in_range(n1, 1, n);
		for (size_t i = 0; i < n1; i++) {
			assert_true(herd_variant_equal(&once[i].variant,
						       &twice[i].variant));
			assert_int_equal(once[i].count, twice[i].count);
			sum += once[i].count;
			for (size_t k = 0; k < i; k++)
				assert_false(herd_variant_equal(
					&once[i].variant, &once[k].variant));
		}
		assert_int_equal(sum, members);
	}
	assert_int_equal(herd_tally_coarsen(t, 0), 0);
}

/* ---- places ---- */

static enum herd_class placed(const char *counts, int own, enum herd_place place)
{
	struct herd_tally t[MAX];
	struct herd_stack s = { .tallies = t, .place = place };
	struct herd_variant o = variant((uint8_t)own);
	struct herd_verdict v;

	s.n = herd(counts, t, &s.members);
	herd_judge_stack(&s, &o, true, NULL, &v);
	return v.class;
}

static void test_places(void **state)
{
	static const char ten[] = "1 1 1 1 1 1 1 1 1 1";

	(void)state;
	/* each in its own way: among settings only where nearly all do */
	assert_int_equal(placed("4 1 1 1 1", 1, HERD_PLACE_STATE), V);
	assert_int_equal(placed("4 1 1 1 1", 1, HERD_PLACE_FIRM), D);
	assert_int_equal(placed("3 1 1 1 1 1 1", 1, HERD_PLACE_FIRM), D);
	assert_int_equal(placed("3 1 1 1 1 1 1", 0, HERD_PLACE_FIRM), S);
	assert_int_equal(placed(ten, 4, HERD_PLACE_FIRM), V);
	assert_int_equal(placed("2 1 1 1 1 1 1", 1, HERD_PLACE_FIRM), V);
	assert_int_equal(placed("2 1 1 1 1 1 1", 0, HERD_PLACE_FIRM), V);
	/* alone as many are: not among settings */
	assert_int_equal(placed("5 1 1 1 1", 1, HERD_PLACE_STATE), V);
	assert_int_equal(placed("5 1 1 1 1", 1, HERD_PLACE_FIRM), D);
	assert_int_equal(placed("5 1 1 1 1", 0, HERD_PLACE_STATE), S);
	/* one of many is odd everywhere */
	assert_int_equal(placed("9 1", 1, HERD_PLACE_STATE), D);
	assert_int_equal(placed("1 1", 1, HERD_PLACE_STATE), V);
	assert_int_equal(placed("1 1", 1, HERD_PLACE_FIRM), D);
}

/* Names of one form: of programs, keys and set-id files it takes more. */
static void test_forms(void **state)
{
	static const uint8_t code[] = { SCRIPT, PROGRAM, 6, 7, 8, 9 };
	struct herd_tally t[2] = { { .variant = absent, .count = 11 },
				   sorted(1, TEXT, 1) };
	struct herd_stack s = { .tallies = t, .n = 2, .members = 12,
				.templated = true };
	struct herd_verdict v;

	(void)state;
	for (s.alike = 0; s.alike < 12; s.alike++) {
		s.place = HERD_PLACE_STATE;
		t[1].variant = sorted(1, TEXT, 1).variant;
		herd_judge_stack(&s, &t[1].variant, true, NULL, &v);
		assert_int_equal(v.class, s.alike ? V : D);
		for (size_t i = 0; i <= ARRAY_SIZE(code); i++) {
			if (i < ARRAY_SIZE(code))
				t[1].variant.sort = code[i];
			else	/* any file that sets an id */
				t[1].variant = (struct herd_variant){
					.mode = S_IFREG | S_ISUID | 0755,
					.sort = TEXT };
			s.place = HERD_PLACE_STATE;
			herd_judge_stack(&s, &t[1].variant, true, NULL, &v);
			assert_int_equal(v.class,
					 s.alike * 4 >= 11 * 3 ? V : D);
			s.place = HERD_PLACE_FIRM;
			herd_judge_stack(&s, &t[1].variant, true, NULL, &v);
			assert_int_equal(v.class, D);
			/* of no form: never */
			s.templated = false;
			s.place = HERD_PLACE_STATE;
			herd_judge_stack(&s, &t[1].variant, true, NULL, &v);
			assert_int_equal(v.class, D);
			s.templated = true;
		}
	}
	/* what is not there has no name */
	s.alike = 11;
	herd_judge_stack(&s, &t[0].variant, true, NULL, &v);
	assert_int_equal(v.class, S);
}

/* ---- reasons ---- */

static void test_reasons(void **state)
{
	const struct herd_variant a = variant(1);
	struct herd_variant b;
	char text[HERD_REASON_TEXT_MAX];

	(void)state;
#define DIFFERS(change, reason) do { \
	b = a; \
	change; \
	assert_int_equal(herd_variant_differences(&a, &b), (reason)); \
	assert_int_equal(herd_variant_differences(&b, &a), (reason)); \
	assert_int_equal(herd_variant_equal(&a, &b), (reason) == 0); \
	} while (0)
	DIFFERS((void)0, 0);
	DIFFERS(b.mode = S_IFREG | 0600, HERD_REASON_MODE);
	DIFFERS(b.mode |= S_ISVTX, HERD_REASON_MODE);
	DIFFERS(b.mode |= S_ISUID, HERD_REASON_SETID);
	DIFFERS(b.mode |= S_ISGID | 0111, HERD_REASON_SETID | HERD_REASON_MODE);
	DIFFERS(b.uid = 1, HERD_REASON_OWNER);
	DIFFERS(b.gid = 1, HERD_REASON_OWNER);
	DIFFERS(b.digest[31] = 1, HERD_REASON_CONTENT);
	DIFFERS(b.digest_kind = HERD_DIGEST_SPARSE, HERD_REASON_CONTENT);
	DIFFERS(b.digest_kind = HERD_DIGEST_UNREADABLE, HERD_REASON_UNREADABLE);
	DIFFERS(b.xattrs[31] = 1, HERD_REASON_XATTR);
	DIFFERS((b.mode = S_IFDIR | 0755, b.uid = 3),
		HERD_REASON_TYPE | HERD_REASON_OWNER);
	DIFFERS((b.mode = S_IFREG | 0755, b.digest[5] = 1),
		HERD_REASON_MODE | HERD_REASON_CONTENT);
#undef DIFFERS
	struct herd_variant link = { .mode = S_IFLNK | 0777,
				     .digest_kind = HERD_DIGEST_SHA256 };
	struct herd_variant other = link;

	other.digest[0] = 1;
	assert_int_equal(herd_variant_differences(&link, &other),
			 HERD_REASON_TARGET);
	link = other = (struct herd_variant){ .mode = S_IFCHR | 0600,
					      .rdev_major = 1 };
	other.rdev_minor = 1;
	assert_int_equal(herd_variant_differences(&link, &other),
			 HERD_REASON_DEVICE);
	assert_int_equal(herd_variant_differences(&a, &absent),
			 HERD_REASON_ADDED);
	assert_int_equal(herd_variant_differences(&absent, &a),
			 HERD_REASON_ABSENT);
	assert_int_equal(herd_variant_differences(&absent, &absent), 0);
	assert_string_equal(herd_reason_text(HERD_REASON_CONTENT |
					     HERD_REASON_OWNER, text,
					     sizeof(text)), "content, owner");
	assert_string_equal(herd_reason_text(0, text, sizeof(text)), "");
	herd_reason_text(~0u, text, sizeof(text));
	assert_string_equal(text, "added, absent, type, content, target, mode, "
			    "setid, owner, xattr, device, unreadable, sort, "
			    "identity, rewritten, package, rotated, expected, band");
	assert_string_equal(herd_reason_text(~0u, text, 8), "added, ");
}

static void test_variant_of(void **state)
{
	struct herd_entry e = { .mode = S_IFREG | 0644, .rdev_major = 9,
				.digest_kind = HERD_DIGEST_UNREADABLE };
	struct herd_variant v;

	(void)state;
	memset(e.digest, 7, sizeof(e.digest));
	herd_variant_of(&e, &v);
	/* leftovers of an unreadable file do not make it differ */
	assert_int_equal(v.digest[0], 0);
	assert_int_equal(v.rdev_major, 0);
	e.mode = S_IFBLK | 0600;
	herd_variant_of(&e, &v);
	assert_int_equal(v.rdev_major, 9);
	e.absent = true;
	herd_variant_of(&e, &v);
	assert_memory_equal(&v, &absent, sizeof(v));
}

/* Power gained ranks a little higher than the same without. */
static void test_weights(void **state)
{
	struct herd_tally t[2] = {
		{ .variant = variant(0), .count = 2 },
		{ .variant = variant(0), .count = 1 },
	};
	struct herd_verdict plain, setid, lost, xattr, type;

	(void)state;
	t[1].variant.mode = S_IFREG | 0755;
	herd_judge(t, 2, 3, &t[1].variant, NULL, &plain);
	t[1].variant.mode = S_IFREG | S_ISUID | 0755;
	herd_judge(t, 2, 3, &t[1].variant, NULL, &setid);
	assert_true(setid.rank > plain.rank);
	assert_int_equal(setid.reasons, HERD_REASON_SETID | HERD_REASON_MODE);
	/* to lose it is no gain */
	t[0].variant.mode = S_IFREG | S_ISUID | 0755;
	t[1].variant.mode = S_IFREG | 0755;
	herd_judge(t, 2, 3, &t[1].variant, NULL, &lost);
	assert_int_equal(lost.rank, plain.rank);
	/* a set-id file that came new */
	t[0].variant = absent;
	t[1].variant.mode = S_IFREG | S_ISGID | 0755;
	herd_judge(t, 2, 3, &t[1].variant, NULL, &setid);
	assert_true(setid.rank > plain.rank);
	assert_int_equal(setid.reasons, HERD_REASON_ADDED);
	t[0].variant = t[1].variant = variant(0);
	t[1].variant.xattrs[0] = 1;
	herd_judge(t, 2, 3, &t[1].variant, NULL, &xattr);
	assert_true(xattr.rank > plain.rank && xattr.rank < setid.rank);
	t[1].variant = variant(0);
	t[1].variant.mode = S_IFDIR | 0755;
	herd_judge(t, 2, 3, &t[1].variant, NULL, &type);
	assert_true(type.rank > plain.rank);
}

/* The baseline is no member: it is judged from outside. */
static void test_outsider(void **state)
{
	struct herd_verdict v = judge("9 1", OTHER, OTHER);

	(void)state;
	assert_int_equal(v.class, HERD_CLASS_DEVIANT);
	assert_int_equal(v.count, 0);
	assert_int_equal(v.herd, 0);
	assert_int_equal(v.baseline_reasons, 0);
	v = judge("10", 0, 0);
	assert_int_equal(v.class, HERD_CLASS_SAME);
	/* a group of which only the baseline is there */
	v = judge("", 0, 0);
	assert_int_equal(v.class, HERD_CLASS_SAME);
	v = judge("", 0, NONE);
	assert_int_equal(v.class, HERD_CLASS_SAME);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_examples),
		cmocka_unit_test(test_monotone),
		cmocka_unit_test(test_sound),
		cmocka_unit_test(test_abridged),
		cmocka_unit_test(test_incoherent),
		cmocka_unit_test(test_loose_names),
		cmocka_unit_test(test_second_look),
		cmocka_unit_test(test_unknown_sorts),
		cmocka_unit_test(test_emptied),
		cmocka_unit_test(test_coarsen_twice),
		cmocka_unit_test(test_places),
		cmocka_unit_test(test_forms),
		cmocka_unit_test(test_reasons),
		cmocka_unit_test(test_variant_of),
		cmocka_unit_test(test_weights),
		cmocka_unit_test(test_outsider),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
