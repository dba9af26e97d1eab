/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The first version of the verdict: the herd's variant is the one that most
 * members have, and the rank follows from how many share it, how many share
 * this one, and how many different ones there are. docs/ARCHITECTURE.md,
 * "Verdict", has the formula and its reasons.
 *
 * Threads: pure functions.
 */
#include "index/verdict.h"

#include "index/content.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

/* A path at which no one version is common stays below this, whatever else. */
#define VOLATILE_RANK_MAX 20
#define DRIFT_RANK 10
/* How many members the baseline stands for where it has to decide. */
#define BASELINE_WEIGHT 2

static unsigned content_differences(const struct herd_variant *own,
				    const struct herd_variant *other)
{
	bool own_unread = own->digest_kind == HERD_DIGEST_UNREADABLE;
	bool other_unread = other->digest_kind == HERD_DIGEST_UNREADABLE;

	if (own_unread || other_unread)
		return own_unread == other_unread ? 0 : HERD_REASON_UNREADABLE;
	if (own->digest_kind == other->digest_kind &&
	    memcmp(own->digest, other->digest, sizeof(own->digest)) == 0)
		return 0;
	return S_ISLNK(own->mode) ? HERD_REASON_TARGET : HERD_REASON_CONTENT;
}

unsigned herd_variant_differences(const struct herd_variant *own,
				  const struct herd_variant *other)
{
	const unsigned setid = S_ISUID | S_ISGID;
	unsigned mode = own->mode ^ other->mode, reasons = 0;

	if (own->absent || other->absent)
		return own->absent == other->absent ? 0 :
		       own->absent ? HERD_REASON_ABSENT : HERD_REASON_ADDED;
	if (mode & setid)
		reasons |= HERD_REASON_SETID;
	if (own->uid != other->uid || own->gid != other->gid)
		reasons |= HERD_REASON_OWNER;
	if (memcmp(own->xattrs, other->xattrs, sizeof(own->xattrs)) != 0)
		reasons |= HERD_REASON_XATTR;
	/* between two types, content and permissions say nothing more */
	if (mode & S_IFMT)
		return reasons | HERD_REASON_TYPE;
	if (mode & 07777 & ~setid)
		reasons |= HERD_REASON_MODE;
	if (own->rdev_major != other->rdev_major ||
	    own->rdev_minor != other->rdev_minor)
		reasons |= HERD_REASON_DEVICE;
	return reasons | content_differences(own, other);
}

/* ---- who has what ---- */

static size_t find(const struct herd_stack *s, const struct herd_variant *v)
{
	size_t i = 0;

	while (i < s->n && !herd_variant_equal(&s->tallies[i].variant, v))
		i++;
	return i;
}

/* The most frequent but skip; among equals the baseline's, then the first. */
static size_t most_frequent(const struct herd_stack *s, size_t skip,
			    size_t baseline)
{
	size_t best = s->n;

	for (size_t i = 0; i < s->n; i++) {
		if (i == skip)
			continue;
		if (best == s->n ||
		    s->tallies[i].count > s->tallies[best].count ||
		    (s->tallies[i].count == s->tallies[best].count &&
		     i == baseline))
			best = i;
	}
	return best;
}

/* How a path is, whoever looks. */
enum shape {
	SHAPE_COMMON,	/* one version that half or more of the herd has */
	SHAPE_BANDS,	/* two or three that most of the herd shares */
	SHAPE_LOOSE,	/* neither: nothing is common here */
};

static enum shape shape_of(const struct herd_stack *s, bool *ret_tied)
{
	uint64_t members = s->members, top = 0, tops = 0, bands = 0, within = 0;
	/* of two members each is a band of its own */
	uint64_t least = members == 2 ? 1 : 2;

	for (size_t i = 0; i < s->n; i++) {
		uint64_t count = s->tallies[i].count;

		if (count > top) {
			top = count;
			tops = 0;
		}
		tops += count == top;
		if (count >= least && count * 4 >= members) {
			bands++;
			within += count;
		}
	}
	*ret_tied = tops > 1;
	if (top * 2 > members || (top * 2 == members && tops == 1))
		return SHAPE_COMMON;
	if (bands >= 2 && bands <= 3 && within * 4 >= members * 3)
		return SHAPE_BANDS;
	return SHAPE_LOOSE;
}

/* ---- rank ---- */

struct evidence {
	double others;	/* members but this one */
	double herd;	/* of them, with the herd's variant */
	double same;	/* of them, with this one's */
	double kinds;	/* different variants among the rest */
};

static double rank_of(const struct evidence *e)
{
	if (e->others <= 0 || e->herd <= 0)
		return 0;
	double agreement = e->herd / e->others;
	double alone = e->herd / (e->herd + e->same);
	double few = 1 - e->kinds / e->others;
	double weight = e->herd * e->herd / (e->herd * e->herd + 3);

	return 100 * agreement * alone * few * few * weight;
}

double herd_rank(double others, double herd, double same, double kinds)
{
	const struct evidence e = { .others = others, .herd = herd,
				    .same = same, .kinds = kinds };

	return rank_of(&e);
}

/* Gains of power are worth a look sooner: how far to go towards 100, in %. */
static double reason_weight(unsigned reasons, const struct herd_variant *own,
			    const struct herd_variant *other)
{
	bool setid = S_ISREG(own->mode) && (own->mode & (S_ISUID | S_ISGID));
	bool had = other && S_ISREG(other->mode) &&
		   (other->mode & (S_ISUID | S_ISGID) & own->mode) ==
		   (own->mode & (S_ISUID | S_ISGID));
	bool device = S_ISBLK(own->mode) || S_ISCHR(own->mode);

	if (setid && !had)
		return 20;
	if ((reasons & HERD_REASON_XATTR) && S_ISREG(own->mode))
		return 10;
	if (reasons & (HERD_REASON_TYPE | HERD_REASON_DEVICE))
		return 10;
	return (reasons & HERD_REASON_ADDED) && device ? 10 : 0;
}

static double raise(double rank, double percent)
{
	return rank + (100 - rank) * percent / 100;
}

static uint8_t rounded(double rank, double min, double max)
{
	rank = rank < min ? min : rank > max ? max : rank;
	return (uint8_t)(rank + 0.5);
}

bool herd_names_loose(uint32_t alike, uint32_t members, bool baseline)
{
	uint32_t least = baseline && members <= 2 ? 1 : 2;

	return members > 1 && alike >= least &&
	       (uint64_t)alike * 3 >= members - 1;
}

/* ---- the verdict ---- */

/* One question: own, as seen against s. */
struct matter {
	const struct herd_stack *s;
	const struct herd_variant *own, *baseline;
	size_t own_at, baseline_at;	/* in s->tallies; s->n: not there */
	bool member;
	uint64_t others;	/* members but this one */
	uint64_t same;		/* of them, with this one's variant */
};

static bool runs_or_lets_in(const struct herd_variant *v)
{
	enum herd_sort sort = (enum herd_sort)(v->sort - 1);

	return v->sort && v->sort != HERD_SORT_NOTHING &&
	       (herd_sort_is_code(sort) || herd_sort_is_secret(sort) ||
		(S_ISREG(v->mode) && (v->mode & (S_ISUID | S_ISGID))));
}

/*
 * A name that this one alone has where others have theirs. Programs and keys
 * under names of one form are a herd's only when three quarters of it have
 * them: a third can be as many as were broken into.
 */
static bool new_name(const struct matter *m, const struct herd_variant *herd)
{
	const struct herd_stack *s = m->s;

	if (!herd->absent || m->own->absent || m->same || !s->alike)
		return false;
	if (runs_or_lets_in(m->own))
		return s->templated && s->place != HERD_PLACE_FIRM &&
		       (uint64_t)s->alike * 4 >= m->others * 3;
	if (s->templated && s->place == HERD_PLACE_FIRM)
		return (uint64_t)s->alike * 4 >= m->others * 3;
	return s->templated || (s->place != HERD_PLACE_FIRM &&
				herd_names_loose(s->alike, s->members,
						 m->baseline != NULL));
}

/*
 * One or two members and a baseline: too few to outvote it. Equal to it is
 * fine; different from it deviates, unless no two of the three agree. What two
 * of two share is what becomes of the image when it is started.
 */
static void judge_few(const struct matter *m, struct herd_verdict *ret)
{
	const struct herd_stack *s = m->s;
	struct evidence e = { .herd = BASELINE_WEIGHT,
			      .same = (double)m->same };
	bool changes;	/* by itself, where it lies */
	double rank;

	ret->herd = m->baseline_at;
	ret->herd_count = ret->herd < s->n ? s->tallies[ret->herd].count : 0;
	ret->reasons = ret->baseline_reasons;
	if (!ret->reasons)
		return;
	e.herd += ret->herd_count;
	for (size_t i = 0; i < s->n; i++)
		e.kinds += i != m->own_at && i != m->baseline_at;
	if (new_name(m, m->baseline))
		e.kinds += s->alike;
	e.others = e.herd + e.same + e.kinds;
	rank = raise(rank_of(&e),
		     reason_weight(ret->reasons, m->own, m->baseline));
	if (s->members == 2 && m->same == 1) {
		ret->class = HERD_CLASS_DRIFT;
		ret->rank = rounded(raise(DRIFT_RANK,
					  reason_weight(ret->reasons, m->own,
							m->baseline)), 1, 100);
		return;
	}
	changes = s->place == HERD_PLACE_STATE && !runs_or_lets_in(m->own) &&
		  !(ret->reasons & ~(unsigned)(HERD_REASON_CONTENT |
					       HERD_REASON_ADDED));
	ret->class = e.kinds > 0 || changes ? HERD_CLASS_VOLATILE :
					      HERD_CLASS_DEVIANT;
	ret->rank = rounded(rank, 1, ret->class == HERD_CLASS_VOLATILE ?
				     VOLATILE_RANK_MAX : 100);
}

/* By construction everybody has his own: three quarters are alone. */
static bool nearly_all_differ(const struct matter *m)
{
	const struct herd_stack *s = m->s;
	uint64_t alone = s->left_out;

	for (size_t i = 0; i < s->n; i++)
		alone += s->tallies[i].count == 1;
	return s->members >= 3 && alone * 4 >= (uint64_t)s->members * 3;
}

/*
 * What the instances were baked with, and a quarter of them still has: that
 * most have something else may be an update, or that most were broken into.
 * It is the herd's then, and what is new is told. Among programs and settings
 * one member that still has it shows that it does not change of itself.
 */
static bool stands(const struct matter *m, enum shape shape)
{
	const struct herd_stack *s = m->s;
	uint64_t count = m->baseline_at < s->n ?
				 s->tallies[m->baseline_at].count : 0;

	if (!m->baseline)
		return false;
	if (shape == SHAPE_LOOSE)
		return s->place == HERD_PLACE_FIRM && count >= 1 &&
		       !m->baseline->absent;
	return count >= 2 && count * 4 >= s->members;
}

/*
 * The class, which variant is the herd's for this one, and how many
 * different ones there are beside these two.
 */
static enum herd_class classify(const struct matter *m, size_t *ret_herd,
				uint64_t *ret_kinds)
{
	const struct herd_stack *s = m->s;
	size_t top = most_frequent(s, s->n, m->baseline_at);
	bool tied, own_top = m->own_at == top;
	enum shape shape = shape_of(s, &tied);
	bool own_listed = m->member || m->own_at < s->n;
	bool firm = s->place == HERD_PLACE_FIRM;
	uint64_t kinds = (uint64_t)s->n + s->left_out;

	bool stood = stands(m, shape);

	if (stood) {
		top = m->baseline_at;
		own_top = m->own_at == top;
		tied = false;
	}
	*ret_herd = top;
	*ret_kinds = 0;
	if (own_top && (shape != SHAPE_LOOSE || stood) &&
	    (!tied || top == m->baseline_at))
		return HERD_CLASS_SAME;
	/* seen from one of several equals, the herd is another of them */
	if (own_top)
		top = most_frequent(s, m->own_at, m->baseline_at);
	if (top == s->n)
		return HERD_CLASS_SAME;
	*ret_herd = top;
	kinds -= kinds > 1 && own_listed ? 2 : 1;
	bool named = new_name(m, &s->tallies[top].variant);

	if (named && kinds < s->alike)
		kinds = s->alike;
	*ret_kinds = kinds;
	if (stood && shape == SHAPE_LOOSE)
		return HERD_CLASS_DEVIANT;
	/* to have nothing is no common version where most have something */
	if (shape == SHAPE_LOOSE && firm && !nearly_all_differ(m) &&
	    !(own_top && m->own->absent))
		return own_top ? HERD_CLASS_SAME : HERD_CLASS_DEVIANT;
	/* two of two: where state is kept, that is what is to be expected */
	if (shape == SHAPE_BANDS && s->members == 2 &&
	    s->place == HERD_PLACE_STATE)
		return HERD_CLASS_VOLATILE;
	if (shape == SHAPE_LOOSE)
		return HERD_CLASS_VOLATILE;
	/* alone, but so are many: half the herd agreeing is then no herd */
	if (!firm && shape == SHAPE_COMMON && m->same == 0 && kinds >= 2 &&
	    kinds * 3 >= m->others)
		return HERD_CLASS_VOLATILE;
	if (named && s->templated)
		return HERD_CLASS_VOLATILE;
	return HERD_CLASS_DEVIANT;
}

static void judge_many(const struct matter *m, struct herd_verdict *ret)
{
	const struct herd_variant *herd;
	uint64_t kinds;
	double rank;

	ret->class = classify(m, &ret->herd, &kinds);
	herd = &m->s->tallies[ret->herd].variant;
	ret->herd_count = m->s->tallies[ret->herd].count;
	if (ret->class == HERD_CLASS_SAME) {
		if (!ret->baseline_reasons)
			return;
		ret->class = HERD_CLASS_DRIFT;
		rank = raise(DRIFT_RANK, reason_weight(ret->baseline_reasons,
						       m->own, m->baseline));
		ret->rank = rounded(rank, 1, 100);
		return;
	}
	ret->reasons = herd_variant_differences(m->own, herd);
	rank = rank_of(&(struct evidence){
		.others = (double)m->others, .herd = ret->herd_count,
		.same = (double)m->same, .kinds = (double)kinds });
	/* new against the herd and against the baseline; the more so where it is
	   only because of the baseline that it is not the herd's */
	if (ret->baseline_reasons && ret->class == HERD_CLASS_DEVIANT)
		rank = raise(rank, ret->count > ret->herd_count ? 50 : 25);
	rank = raise(rank, reason_weight(ret->reasons, m->own, herd));
	if (ret->class == HERD_CLASS_VOLATILE)
		ret->rank = rounded(rank, 0, VOLATILE_RANK_MAX);
	else
		ret->rank = rounded(rank, 1, 100);
}

void herd_judge_stack(const struct herd_stack *s, const struct herd_variant *own,
		      bool member, const struct herd_variant *baseline,
		      struct herd_verdict *ret)
{
	struct matter m = { .s = s, .own = own, .baseline = baseline,
			    .own_at = find(s, own), .baseline_at = s->n };

	memset(ret, 0, sizeof(*ret));
	ret->class = HERD_CLASS_SAME;
	ret->members = s->members;
	ret->variants = (uint32_t)s->n + s->left_out;
	ret->count = m.own_at < s->n ? s->tallies[m.own_at].count : member;
	ret->herd = m.own_at;
	ret->herd_count = ret->count;
	ret->has_baseline = baseline != NULL;
	if (baseline) {
		m.baseline_at = find(s, baseline);
		ret->baseline_reasons = herd_variant_differences(own, baseline);
	}
	m.member = member && ret->count > 0 && s->members > 0;
	m.same = ret->count - (m.member ? 1 : 0);
	m.others = s->members - (m.member ? 1 : 0);
	if (baseline && s->members <= 2)
		judge_few(&m, ret);
	/* a single member without a baseline: there is nothing to tell it by */
	else if (m.others > 0 && s->n > 0)
		judge_many(&m, ret);
}

/* ---- the second look ---- */

/* Content as its sort. */
static void coarsen(struct herd_variant *v)
{
	if (v->absent || !S_ISREG(v->mode))
		return;
	memset(v->digest, 0, sizeof(v->digest));
	v->digest[0] = v->sort;
	v->digest_kind = HERD_DIGEST_SHA256;
}

static bool has_sort(const struct herd_variant *v)
{
	return v->sort && v->sort != HERD_SORT_NOTHING;
}

static bool lends_sort(const struct herd_variant *other,
		       const struct herd_variant *to)
{
	return !other->absent && has_sort(other) && other->mode == to->mode &&
	       other->uid == to->uid && other->gid == to->gid;
}

/*
 * A file without content, or one that could not be looked into, is of the
 * sort that most others of its kind are. The others are compared all the same:
 * nobody makes the second look blind by one file that cannot be read.
 */
static void adopt_sort(struct herd_variant *v, const struct herd_tally *tallies,
		       size_t n)
{
	size_t first = 0;

	if (v->absent || !S_ISREG(v->mode) || has_sort(v))
		return;
	while (first < n && !lends_sort(&tallies[first].variant, v))
		first++;
	if (first == n)
		return;
	uint64_t have[256] = { 0 };
	unsigned most = 0;

	for (size_t i = first; i < n; i++)
		if (lends_sort(&tallies[i].variant, v))
			have[tallies[i].variant.sort] += tallies[i].count;
	for (unsigned sort = 1; sort < ARRAY_SIZE(have); sort++)
		if (have[sort] > have[most])
			most = sort;
	if (have[most])
		v->sort = (uint8_t)most;
}

size_t herd_tally_coarsen(struct herd_tally *tallies, size_t n)
{
	size_t out = 0;

	for (size_t i = 0; i < n; i++)
		adopt_sort(&tallies[i].variant, tallies, n);
	for (size_t i = 0; i < n; i++) {
		struct herd_tally t = tallies[i];
		size_t at = 0;

		coarsen(&t.variant);
		while (at < out && !herd_variant_equal(&tallies[at].variant,
						       &t.variant))
			at++;
		if (at == out)
			tallies[out++] = t;
		else
			tallies[at].count += t.count;
	}
	return out;
}

bool herd_judge_coarse(const struct herd_stack *s, const struct herd_variant *own,
		       bool member, const struct herd_variant *baseline,
		       struct herd_tally *coarse, size_t *ret_n,
		       struct herd_verdict *ret)
{
	struct herd_stack c = { .tallies = coarse, .members = s->members };
	/* of data, most may well have what the image had not */
	bool both = baseline && s->members > 2 && runs_or_lets_in(own);
	struct herd_variant mine = *own, before = both ? *baseline : *own;
	struct herd_verdict verdict;

	adopt_sort(&mine, s->tallies, s->n);
	if (s->n)
		memcpy(coarse, s->tallies, s->n * sizeof(*coarse));
	c.n = herd_tally_coarsen(coarse, s->n);
	*ret_n = c.n;
	coarsen(&mine);
	coarsen(&before);
	herd_judge_stack(&c, &mine, member, both ? &before : NULL, &verdict);
	if (verdict.class != HERD_CLASS_DEVIANT || verdict.herd >= c.n)
		return false;
	if (verdict.reasons & HERD_REASON_CONTENT)
		verdict.reasons ^= HERD_REASON_CONTENT | HERD_REASON_SORT;
	*ret = verdict;
	return true;
}

void herd_judge(const struct herd_tally *tallies, size_t n, uint32_t members,
		const struct herd_variant *own,
		const struct herd_variant *baseline, struct herd_verdict *ret)
{
	struct herd_stack s = { .tallies = tallies, .n = n, .members = members };

	herd_judge_stack(&s, own, find(&s, own) < n, baseline, ret);
}

/* ---- words ---- */

const char *herd_verdict_axis(const struct herd_verdict *v)
{
	if (!v->has_baseline)
		return NULL;
	switch (v->class) {
	case HERD_CLASS_DRIFT:
		return "new against the baseline, shared by the herd";
	case HERD_CLASS_SAME:
		return NULL;
	default:
		return v->baseline_reasons ?
			       "new against herd and baseline" :
			       "odd against the herd, equal to the baseline";
	}
}

const char *herd_reason_name(unsigned bit)
{
	static const char *const names[] = {
		"added", "absent", "type", "content", "target", "mode",
		"setid", "owner", "xattr", "device", "unreadable", "sort",
		"identity", "rewritten", "package", "rotated", "expected",
		"band",
	};

	for (unsigned i = 0; i < ARRAY_SIZE(names); i++)
		if (bit == 1u << i)
			return names[i];
	return NULL;
}

const char *herd_reason_text(unsigned reasons, char *buf, size_t size)
{
	size_t at = 0;

	if (size)
		buf[0] = '\0';
	for (unsigned bit = 1; bit && bit <= reasons; bit <<= 1) {
		const char *name = reasons & bit ? herd_reason_name(bit) : NULL;
		int n = name && at < size ?
			snprintf(buf + at, size - at, "%s%s",
				 at ? ", " : "", name) : 0;

		at += n > 0 ? (size_t)n : 0;
	}
	return buf;
}

const char *herd_class_name(enum herd_class c)
{
	static const char *const names[HERD_CLASS_MAX] = {
		[HERD_CLASS_SAME] = "same", [HERD_CLASS_DEVIANT] = "deviant",
		[HERD_CLASS_VOLATILE] = "volatile",
		[HERD_CLASS_DRIFT] = "drift",
		[HERD_CLASS_SUPPRESSED] = "suppressed",
	};

	return (unsigned)c < HERD_CLASS_MAX ? names[c] : "unknown";
}
