/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Every path of an instance in exactly one class. A path is what the instance
 * has, and what it lacks and a finding speaks of. Whatever a file whose
 * content could not be read is otherwise, it is counted as unreadable: nobody
 * can say that it is the same. So is one whose record is broken.
 *
 * Records of the instance and of the reference are gone through in order of
 * path id, and with them the findings.
 *
 * Threads: as index/report.h says.
 */
#include "index/report.h"

#include <string.h>

enum state { STATE_ABSENT, STATE_FINE, STATE_UNREADABLE };

struct own {
	uint32_t path;
	enum state state;
};

struct counting {
	const struct herd_report *r;
	struct own *own;
	size_t n_own, cap_own;
	size_t next_own, next_finding;
	struct herd_report_paths *counts;
};

static enum state state_of(const void *encoded, size_t len)
{
	struct herd_entry e;

	if (herd_entry_decode(encoded, len, &e))
		return STATE_UNREADABLE;
	return e.absent ? STATE_ABSENT :
	       e.digest_kind == HERD_DIGEST_UNREADABLE ? STATE_UNREADABLE :
							 STATE_FINE;
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
	c->own[c->n_own++] = (struct own){ path, state_of(encoded, len) };
	return 0;
}

/* Findings on paths that neither the instance nor the reference has. */
static void count_lacking(struct counting *c, uint64_t below)
{
	const struct herd_report *r = c->r;

	for (; c->next_finding < r->n_findings &&
	       r->findings[c->next_finding].path < below; c->next_finding++)
		c->counts->of[r->findings[c->next_finding].verdict.class]++;
}

static void count_path(struct counting *c, uint32_t path, enum state state)
{
	const struct herd_report *r = c->r;
	const struct herd_finding *f = NULL;

	count_lacking(c, path);
	if (c->next_finding < r->n_findings &&
	    r->findings[c->next_finding].path == path)
		f = &r->findings[c->next_finding++];
	if (state == STATE_UNREADABLE)
		c->counts->unreadable++;
	else if (f)
		c->counts->of[f->verdict.class]++;
	else if (state == STATE_FINE)
		c->counts->of[HERD_CLASS_SAME]++;
}

static void count_own(struct counting *c, uint64_t below)
{
	for (; c->next_own < c->n_own && c->own[c->next_own].path < below;
	     c->next_own++)
		count_path(c, c->own[c->next_own].path,
			   c->own[c->next_own].state);
}

static int count_reference(void *arg, uint32_t path, const void *encoded,
			   size_t len)
{
	struct counting *c = arg;

	count_own(c, path);
	if (c->next_own < c->n_own && c->own[c->next_own].path == path)
		count_own(c, (uint64_t)path + 1);
	else
		count_path(c, path, state_of(encoded, len));
	return 0;
}

int herd_report_count(const struct herd_report *r,
		      struct herd_report_paths *ret)
{
	const uint32_t reference = herd_herd_group(r->herd)->reference;
	const uint64_t end = (uint64_t)UINT32_MAX + 1;
	struct herd_report_paths counts = { 0 };
	struct counting c = { .r = r, .counts = &counts };
	int err = herd_entry_each(r->txn, r->instance->id, add_own, &c);

	if (!err && reference != r->instance->id)
		err = herd_entry_each(r->txn, reference, count_reference, &c);
	count_own(&c, end);
	count_lacking(&c, end);
	free(c.own);
	if (err)
		return err;
	counts.total = counts.unreadable;
	for (int i = 0; i < HERD_CLASS_MAX; i++)
		counts.total += counts.of[i];
	*ret = counts;
	return 0;
}
