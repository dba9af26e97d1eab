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
 * path id, and with them the findings. Where that is to be done for a thousand
 * members the reference's part is the same for all: it is summed up once, and
 * each member takes out of it what it has another record or a finding for.
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

static void sum_up(struct herd_report_paths *counts)
{
	counts->total = counts->unreadable;
	for (int i = 0; i < HERD_CLASS_MAX; i++)
		counts->total += counts->of[i];
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
	sum_up(&counts);
	*ret = counts;
	return 0;
}

/* ---- many members ---- */

struct herd_report_base {
	uint32_t *paths;	/* that the reference has, ascending */
	size_t n, cap;
	struct own *odd;	/* of them, those that are not just fine */
	size_t n_odd, cap_odd;
	struct herd_report_paths counts;	/* as if nothing was found */
};

struct making {
	struct counting c;	/* for its knowledge */
	struct herd_report_base *b;
};

static int grow(void *array, size_t n, size_t *cap, size_t size)
{
	void **v = array;
	size_t more = *cap ? 2 * *cap : 1024;
	void *bigger = n < *cap ? *v : reallocarray(*v, more, size);

	if (!bigger)
		return -ENOMEM;
	if (n == *cap)
		*cap = more;
	*v = bigger;
	return 0;
}

static void add_seen(struct herd_report_paths *counts, struct seen seen, int by)
{
	uint64_t n = (uint64_t)(int64_t)by;

	if (seen.state == STATE_UNREADABLE)
		counts->unreadable += n;
	else if (seen.state == STATE_FINE) {
		counts->of[HERD_CLASS_SAME] += n;
		counts->same_bad += seen.bad ? n : 0;
	}
}

static int add_to_base(void *arg, uint32_t path, const void *encoded, size_t len)
{
	struct making *m = arg;
	struct herd_report_base *b = m->b;
	struct seen seen = see(&m->c, encoded, len);
	bool odd = seen.state != STATE_FINE || seen.bad;

	if (grow(&b->paths, b->n, &b->cap, sizeof(*b->paths)) ||
	    (odd && grow(&b->odd, b->n_odd, &b->cap_odd, sizeof(*b->odd))))
		return -ENOMEM;
	b->paths[b->n++] = path;
	if (odd)
		b->odd[b->n_odd++] = (struct own){ path, seen };
	add_seen(&b->counts, seen, 1);
	return 0;
}

int herd_report_base_make(struct herd_txn *t, const struct herd_herd *h,
			  struct herd_report_base **ret)
{
	struct herd_report r = { .txn = t, .herd = h };
	struct making m = { .c.r = &r, .b = calloc(1, sizeof(*m.b)) };
	int err = m.b ? herd_entry_each(t, herd_herd_group(h)->reference,
					add_to_base, &m) : -ENOMEM;

	if (err)
		herd_report_base_destroy(m.b);
	else
		*ret = m.b;
	return err;
}

void herd_report_base_destroy(struct herd_report_base *b)
{
	if (!b)
		return;
	free(b->paths);
	free(b->odd);
	free(b);
}

static int compare_ids(const void *a, const void *b)
{
	const uint32_t *x = a, *y = b;

	return *x < *y ? -1 : *x > *y;
}

/* What the reference has there; absent where it has nothing. */
static struct seen of_reference(const struct herd_report_base *b, uint32_t path)
{
	static const struct seen fine = { .state = STATE_FINE };
	static const struct seen absent = { .state = STATE_ABSENT };
	/* the path is the first field of an odd one */
	const struct own *odd = b->n_odd ?
		bsearch(&path, b->odd, b->n_odd, sizeof(*b->odd), compare_ids) :
		NULL;

	if (odd)
		return odd->seen;
	return b->n && bsearch(&path, b->paths, b->n, sizeof(*b->paths),
			       compare_ids) ? fine : absent;
}

int herd_report_count_by(const struct herd_report *r,
			 const struct herd_report_base *b,
			 struct herd_report_paths *ret)
{
	struct herd_report_paths counts = b->counts;
	struct counting c = { .r = r };
	int err = herd_entry_each(r->txn, r->instance->id, add_own, &c);

	for (size_t i = 0, k = 0; !err && (i < c.n_own || k < r->n_findings);) {
		bool found = k < r->n_findings &&
			     (i == c.n_own ||
			      r->findings[k].path <= c.own[i].path);
		uint32_t path = found ? r->findings[k].path : c.own[i].path;
		bool own = i < c.n_own && c.own[i].path == path;
		struct seen seen = of_reference(b, path);

		add_seen(&counts, seen, -1);
		if (own)
			seen = c.own[i].seen;
		if (found && seen.state != STATE_UNREADABLE)
			counts.of[r->findings[k].verdict.class]++;
		else
			add_seen(&counts, seen, 1);
		i += own;
		k += found;
	}
	free(c.own);
	if (err)
		return err;
	sum_up(&counts);
	*ret = counts;
	return 0;
}
