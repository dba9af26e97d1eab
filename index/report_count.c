/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Every path of an instance in exactly one class. A path is what the instance
 * has, and what it lacks and a finding speaks of. Whatever a file whose
 * content could not be read is otherwise, it is counted as unreadable: nobody
 * can say that it is the same. So is one whose record is broken.
 *
 * What the whole herd has is no finding, be it known to be bad: it is told of
 * here, where every path is looked at anyway.
 *
 * Records of the instance and of the reference are gone through in order of
 * path id, and with them the findings.
 *
 * Threads: as index/report.h says.
 */
#include "index/report.h"

#include "index/knowledge.h"

#include <string.h>
#include <sys/stat.h>

enum state { STATE_ABSENT, STATE_FINE, STATE_UNREADABLE };

/* What a record says. */
struct seen {
	enum state state;
	const struct herd_known_set *bad; /* that has its content */
};

struct own {
	uint32_t path;
	struct seen seen;
};

struct counting {
	const struct herd_report *r;
	struct own *own;
	size_t n_own, cap_own;
	size_t next_own, next_finding;
	struct herd_report_paths *counts;
	herd_report_bad_fn *bad; /* may be NULL */
	void *bad_arg;
	int err; /* of it */
};

static struct seen see(const struct counting *c, const void *encoded,
		       size_t len)
{
	const struct herd_knowledge *k = herd_herd_knowledge(c->r->herd);
	struct seen s = { .state = STATE_FINE };
	struct herd_entry e;

	if (herd_entry_decode(encoded, len, &e))
		s.state = STATE_UNREADABLE;
	else if (e.absent)
		s.state = STATE_ABSENT;
	else if (e.digest_kind == HERD_DIGEST_UNREADABLE)
		s.state = STATE_UNREADABLE;
	else if (k && S_ISREG(e.mode) && e.digest_kind == HERD_DIGEST_SHA256)
		s.bad = herd_known_find(&k->known, e.digest);
	if (s.bad && !s.bad->bad)
		s.bad = NULL;
	return s;
}

static int add_own(void *arg, uint32_t path, const void *encoded, size_t len)
{
	struct counting *c = arg;

	if (c->n_own == c->cap_own) {
		size_t cap = c->cap_own ? 2 * c->cap_own : 256;
		struct own *v = reallocarray(c->own, cap, sizeof(*v));

		if (!v)
			return -ENOMEM;
		c->own = v;
		c->cap_own = cap;
	}
	c->own[c->n_own++] = (struct own){ path, see(c, encoded, len) };
	return 0;
}

/* Findings on paths that neither the instance nor the reference has. */
static void count_lacking(struct counting *c, uint64_t below)
{
	const struct herd_report *r = c->r;

	for (; c->next_finding < r->n_findings &&
	       r->findings[c->next_finding].path < below;
	     c->next_finding++)
		c->counts->of[r->findings[c->next_finding].verdict.class]++;
}

static void count_same(struct counting *c, uint32_t path,
		       const struct herd_known_set *bad)
{
	c->counts->of[HERD_CLASS_SAME]++;
	if (!bad)
		return;
	c->counts->same_bad++;
	if (c->bad && !c->err)
		c->err = c->bad(c->bad_arg, path, bad);
}

static void count_path(struct counting *c, uint32_t path, struct seen seen)
{
	const struct herd_report *r = c->r;
	const struct herd_finding *f = NULL;

	count_lacking(c, path);
	if (c->next_finding < r->n_findings &&
	    r->findings[c->next_finding].path == path)
		f = &r->findings[c->next_finding++];
	if (seen.state == STATE_UNREADABLE)
		c->counts->unreadable++;
	else if (f)
		c->counts->of[f->verdict.class]++;
	else if (seen.state == STATE_FINE)
		count_same(c, path, seen.bad);
}

static void count_own(struct counting *c, uint64_t below)
{
	for (; c->next_own < c->n_own && c->own[c->next_own].path < below;
	     c->next_own++)
		count_path(c, c->own[c->next_own].path,
			   c->own[c->next_own].seen);
}

static int count_reference(void *arg, uint32_t path, const void *encoded,
			   size_t len)
{
	struct counting *c = arg;

	count_own(c, path);
	if (c->next_own < c->n_own && c->own[c->next_own].path == path)
		count_own(c, (uint64_t)path + 1);
	else
		count_path(c, path, see(c, encoded, len));
	return c->err;
}

int herd_report_count(const struct herd_report *r, herd_report_bad_fn *bad,
		      void *bad_arg, struct herd_report_paths *ret)
{
	const uint32_t reference = herd_herd_group(r->herd)->reference;
	const uint64_t end = (uint64_t)UINT32_MAX + 1;
	struct herd_report_paths counts = { 0 };
	struct counting c = {
		.r = r, .counts = &counts, .bad = bad, .bad_arg = bad_arg
	};
	int err = herd_entry_each(r->txn, r->instance->id, add_own, &c);

	if (!err && reference != r->instance->id)
		err = herd_entry_each(r->txn, reference, count_reference, &c);
	count_own(&c, end);
	count_lacking(&c, end);
	free(c.own);
	err = err ? err : c.err;
	if (err)
		return err;
	counts.total = counts.unreadable;
	for (int i = 0; i < HERD_CLASS_MAX; i++)
		counts.total += counts.of[i];
	*ret = counts;
	return 0;
}
