/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which paths a view of an instance shows, and where an instance differs from
 * the reference. Both are made from the store when first asked for, at a cost
 * that grows with the instance's difference, and may be dropped and made
 * again: nothing else remembers what is in them but numbers of paths.
 *
 * Threads: made by one, then never changed.
 */
#include "fs/tree_internal.h"

#include <string.h>

/* ---- sets of paths ---- */

/* While a set is made: a table from path to index + 1. */
struct set_maker {
	struct herd_txn *txn;
	struct herd_view_path *v;
	size_t n, cap;
	uint32_t *slots;
	size_t n_slots;		/* a power of two, over twice n */
};

static size_t slot_of(const struct set_maker *m, uint32_t path)
{
	size_t i = (path * 0x9e3779b1u) & (m->n_slots - 1);

	while (m->slots[i] && m->v[m->slots[i] - 1].path != path)
		i = (i + 1) & (m->n_slots - 1);
	return i;
}

static int grow(struct set_maker *m)
{
	size_t cap = m->cap ? 2 * m->cap : 64;
	struct herd_view_path *v = reallocarray(m->v, cap, sizeof(*v));
	uint32_t *slots;

	if (!v)
		return -ENOMEM;
	m->v = v;
	if (cap > UINT32_MAX / 8)
		return -EOVERFLOW;
	slots = calloc(4 * cap, sizeof(*slots));
	if (!slots)
		return -ENOMEM;
	free(m->slots);
	m->slots = slots;
	m->n_slots = 4 * cap;
	m->cap = cap;
	for (size_t i = 0; i < m->n; i++)
		m->slots[slot_of(m, m->v[i].path)] = (uint32_t)i + 1;
	return 0;
}

/* Adds path and what leads to it. */
static int add_path(struct set_maker *m, uint32_t path, uint32_t finding)
{
	for (;;) {
		uint32_t parent;
		const char *name;
		size_t len, slot;
		int err;

		if (m->n == m->cap) {
			err = grow(m);
			if (err)
				return err;
		}
		slot = slot_of(m, path);
		if (m->slots[slot]) {
			if (finding != HERD_NO_FINDING)
				m->v[m->slots[slot] - 1].finding = finding;
			return 0;
		}
		/* a parent's number is below its child's: this ends */
		err = herd_path_get(m->txn, path, &parent, &name, &len);
		if (err)
			return err == -ENOENT ? -EBADMSG : err;
		m->v[m->n++] = (struct herd_view_path){ path, parent, finding };
		m->slots[slot] = (uint32_t)m->n;
		if (path == HERD_PATH_ROOT)
			return 0;
		path = parent;
		finding = HERD_NO_FINDING;
	}
}

static int compare_paths(const void *a, const void *b)
{
	const struct herd_view_path *x = a, *y = b;

	return (x->path > y->path) - (x->path < y->path);
}

static int compare_by_parent(const void *a, const void *b, void *arg)
{
	const struct herd_view_path *v = arg;
	const struct herd_view_path *x = &v[*(const uint32_t *)a];
	const struct herd_view_path *y = &v[*(const uint32_t *)b];

	if (x->parent != y->parent)
		return x->parent > y->parent ? 1 : -1;
	return compare_paths(x, y);
}

static int finish_set(struct set_maker *m, struct herd_view_set *ret)
{
	struct herd_view_set s = { .n = m->n };

	if (!m->n)
		return 0;
	s.by_parent = calloc(m->n, sizeof(*s.by_parent));
	if (!s.by_parent)
		return -ENOMEM;
	s.v = reallocarray(m->v, m->n, sizeof(*m->v));
	if (!s.v)
		s.v = m->v;
	m->v = NULL;
	qsort(s.v, s.n, sizeof(*s.v), compare_paths);
	for (uint32_t i = 0; i < s.n; i++)
		s.by_parent[i] = i;
	qsort_r(s.by_parent, s.n, sizeof(*s.by_parent), compare_by_parent, s.v);
	*ret = s;
	return 0;
}

static bool shows(int set, const struct herd_finding *f)
{
	switch (set) {
	case HERD_SET_DEVIANT:
		return f->verdict.class == HERD_CLASS_DEVIANT && !f->own_absent;
	case HERD_SET_HERD:
		return f->verdict.class == HERD_CLASS_DEVIANT &&
		       !f->herd_absent && f->herd_holder;
	case HERD_SET_SUPPRESSED:
		return f->verdict.class == HERD_CLASS_SUPPRESSED &&
		       !f->own_absent;
	default:
		return f->verdict.class == HERD_CLASS_VOLATILE &&
		       !f->own_absent;
	}
}

static int make_set(struct herd_txn *txn, const struct herd_judged *j, int set,
		    struct herd_view_set *ret)
{
	struct set_maker m = { .txn = txn };
	int err = 0;

	for (size_t i = 0; !err && i < j->n; i++)
		if (shows(set, &j->findings[i]))
			err = add_path(&m, j->findings[i].path, (uint32_t)i);
	if (!err)
		err = finish_set(&m, ret);
	free(m.v);
	free(m.slots);
	return err;
}

const struct herd_view_path *herd_view_find(const struct herd_view_set *s,
					    uint32_t path)
{
	const struct herd_view_path key = { .path = path };

	return s->n ? bsearch(&key, s->v, s->n, sizeof(key), compare_paths) :
		      NULL;
}

size_t herd_view_children(const struct herd_view_set *s, uint32_t parent,
			  uint32_t from)
{
	size_t lo = 0, hi = s->n;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;
		const struct herd_view_path *p = &s->v[s->by_parent[mid]];

		if (p->parent < parent ||
		    (p->parent == parent && p->path < from))
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

/* ---- judged ---- */

struct making {
	struct herd_tree *tree;
	struct herd_txn *txn;
	struct herd_tree_instance *instance;
};

static void judged_destroy(struct herd_cached *c)
{
	struct herd_judged *j = (struct herd_judged *)c;

	for (int s = 0; s < HERD_SET_MAX; s++) {
		free(j->sets[s].v);
		free(j->sets[s].by_parent);
	}
	free(j->findings);
	free(j);
}

static int judged_make(void *arg, struct herd_cached **ret)
{
	const struct making *m = arg;
	struct herd_judged *j = calloc(1, sizeof(*j));
	struct herd_diag diag = { .offset = HERD_NO_OFFSET };
	struct herd_herd *herd;
	int err;

	if (!j)
		return -ENOMEM;
	err = herd_tree_herd(m->txn, m->instance->group, &herd);
	if (!err)
		err = herd_judge_instance(m->txn, herd, m->instance->record.id,
					  &j->findings, &j->n, &diag);
	j->cached.bytes = sizeof(*j) + j->n * sizeof(*j->findings);
	for (int s = 0; !err && s < HERD_SET_MAX; s++) {
		err = make_set(m->txn, j, s, &j->sets[s]);
		j->cached.bytes += j->sets[s].n *
				   (sizeof(*j->sets[s].v) + sizeof(uint32_t));
	}
	if (err) {
		char text[1024];

		herd_tree_failure(m->tree, "%s/%s cannot be judged: %s",
				  m->instance->group->group.name,
				  m->instance->record.name,
				  herd_diag_format(&diag, err, text,
						   sizeof(text)));
		judged_destroy(&j->cached);
		return -EIO;
	}
	j->cached.destroy = judged_destroy;
	*ret = &j->cached;
	return 0;
}

int herd_judged_get(struct herd_tree *t, struct herd_txn *txn,
		    struct herd_tree_instance *i, struct herd_judged **ret)
{
	struct making m = { t, txn, i };
	struct herd_cached *c;
	int err = herd_cache_get(&t->cache, (struct herd_cache_key){
				 HERD_CACHED_JUDGED, i->record.id, 0 },
				 judged_make, &m, &c);

	if (!err)
		*ret = (struct herd_judged *)c;
	return err;
}

static int compare_findings(const void *a, const void *b)
{
	const struct herd_finding *x = a, *y = b;

	return (x->path > y->path) - (x->path < y->path);
}

const struct herd_finding *herd_judged_find(const struct herd_judged *j,
					    uint32_t path)
{
	const struct herd_finding key = { .path = path };

	return j->n ? bsearch(&key, j->findings, j->n, sizeof(key),
			      compare_findings) : NULL;
}

/* ---- delta ---- */

struct delta_maker {
	const struct making *m;
	struct herd_delta *d;
	size_t cap_own, cap_added;
};

static int add_added(struct delta_maker *dm, uint32_t path)
{
	struct herd_delta *d = dm->d;
	const char *name;
	size_t len;
	int err;

	if (d->n_added == dm->cap_added) {
		size_t cap = dm->cap_added ? 2 * dm->cap_added : 64;
		struct herd_delta_added *v = reallocarray(d->added, cap,
							  sizeof(*v));

		if (!v)
			return -ENOMEM;
		d->added = v;
		dm->cap_added = cap;
	}
	err = herd_path_get(dm->m->txn, path, &d->added[d->n_added].parent,
			    &name, &len);
	if (err)
		return err == -ENOENT ? -EBADMSG : err;
	d->added[d->n_added++].path = path;
	return 0;
}

static int add_own(void *arg, uint32_t path, const void *encoded, size_t len)
{
	struct delta_maker *dm = arg;
	struct herd_delta *d = dm->d;
	struct herd_entry e;
	int err;

	if (d->n_own == dm->cap_own) {
		size_t cap = dm->cap_own ? 2 * dm->cap_own : 64;
		struct herd_delta_own *v = reallocarray(d->own, cap,
							sizeof(*v));

		if (!v)
			return -ENOMEM;
		d->own = v;
		dm->cap_own = cap;
	}
	/* what cannot be decoded is there: it is shown as broken */
	err = herd_entry_decode(encoded, len, &e);
	d->own[d->n_own++] = (struct herd_delta_own){ path,
						      !err && e.absent };
	if (!err && e.absent)
		return 0;
	err = herd_entry_get_own(dm->m->txn,
				 herd_tree_reference(dm->m->instance), path,
				 &e);
	if (err == -ENOENT && path != HERD_PATH_ROOT)
		return add_added(dm, path);
	return err == -ENOMEM ? err : 0;
}

static int compare_added(const void *a, const void *b)
{
	const struct herd_delta_added *x = a, *y = b;

	if (x->parent != y->parent)
		return x->parent > y->parent ? 1 : -1;
	return (x->path > y->path) - (x->path < y->path);
}

static int compare_own(const void *a, const void *b)
{
	const struct herd_delta_own *x = a, *y = b;

	return (x->path > y->path) - (x->path < y->path);
}

static void delta_destroy(struct herd_cached *c)
{
	struct herd_delta *d = (struct herd_delta *)c;

	free(d->own);
	free(d->added);
	free(d);
}

static int delta_make(void *arg, struct herd_cached **ret)
{
	const struct making *m = arg;
	struct delta_maker dm = { .m = m };
	const uint32_t id = m->instance->record.id;
	int err = 0;

	dm.d = calloc(1, sizeof(*dm.d));
	if (!dm.d)
		return -ENOMEM;
	if (id != herd_tree_reference(m->instance))
		err = herd_entry_each(m->txn, id, add_own, &dm);
	if (err) {
		herd_tree_failure(m->tree, "%s/%s: its entries cannot be read: "
				  "%s", m->instance->group->group.name,
				  m->instance->record.name, strerror(-err));
		delta_destroy(&dm.d->cached);
		return -EIO;
	}
	if (dm.d->n_added)
		qsort(dm.d->added, dm.d->n_added, sizeof(*dm.d->added),
		      compare_added);
	dm.d->cached.bytes = sizeof(*dm.d) + dm.cap_own * sizeof(*dm.d->own) +
			     dm.cap_added * sizeof(*dm.d->added);
	dm.d->cached.destroy = delta_destroy;
	*ret = &dm.d->cached;
	return 0;
}

int herd_delta_get(struct herd_tree *t, struct herd_txn *txn,
		   struct herd_tree_instance *i, struct herd_delta **ret)
{
	struct making m = { t, txn, i };
	struct herd_cached *c;
	int err = herd_cache_get(&t->cache, (struct herd_cache_key){
				 HERD_CACHED_DELTA, i->record.id, 0 },
				 delta_make, &m, &c);

	if (!err)
		*ret = (struct herd_delta *)c;
	return err;
}

const struct herd_delta_own *herd_delta_find(const struct herd_delta *d,
					     uint32_t path)
{
	const struct herd_delta_own key = { .path = path };

	return d->n_own ? bsearch(&key, d->own, d->n_own, sizeof(key),
				  compare_own) : NULL;
}

size_t herd_delta_children(const struct herd_delta *d, uint32_t parent,
			   uint32_t from)
{
	const struct herd_delta_added key = { parent, from };
	size_t lo = 0, hi = d->n_added;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (compare_added(&d->added[mid], &key) < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}
