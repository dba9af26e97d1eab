/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The bands of a herd (index/cluster.h), each judged within. A band of one or
 * two is none to be judged by itself: its members are judged with the band that
 * they are nearest to. What of theirs an upgraded package vouches for is
 * lowered there (judge_lower.c), the rest deviates.
 *
 * The work is that of reading the members' differences once, and is saved
 * where there can be no bands: where too few versions are shared by some, and
 * nobody has enough alone (herd_judge_band_signs).
 *
 * Threads: as index/judge.h says.
 */
#include "index/judge_internal.h"

#include "acquire/base/sha256.h"
#include "index/dpkg.h"

#include <string.h>

/* What index/cluster.h asks of a block is 100 points: so many versions that a
   package vouches for, or so many others; of one member 200 of those. */
#define VOUCHED_MIN 50
#define BARE_MIN 100
#define BARE_ALONE_MIN 200
/* One member's differences from the reference. */
struct member_rows {
	size_t first, n;	/* in the rows */
	uint64_t *features;
	uint8_t *vouched;
	size_t n_features;
};

struct gathering {
	struct herd_txn *t;
	const struct herd_herd *h;
	struct herd_part_row *rows;	/* member by member */
	uint8_t *packaged;
	size_t n, cap;
	struct member_rows *members;	/* as h->members */
	uint32_t member;	/* whose rows are read */
	bool lists;	/* the herd has dpkg's */
};

static void gathering_deinit(struct gathering *g)
{
	for (size_t i = 0; g->members && i < g->h->members.n; i++) {
		free(g->members[i].features);
		free(g->members[i].vouched);
	}
	free(g->members);
	free(g->rows);
	free(g->packaged);
}

static int reserve(struct gathering *g)
{
	size_t cap = g->cap ? g->cap * 2 : 256;
	struct herd_part_row *rows;
	uint8_t *packaged;

	if (g->n < g->cap)
		return 0;
	if (g->n >= HERD_JUDGE_ROWS_MAX)
		return -EOVERFLOW;
	rows = reallocarray(g->rows, cap, sizeof(*rows));
	if (!rows)
		return -ENOMEM;
	g->rows = rows;
	packaged = realloc(g->packaged, cap);
	if (!packaged)
		return -ENOMEM;
	g->packaged = packaged;
	g->cap = cap;
	return 0;
}

static int add_row(void *arg, uint32_t path, const void *encoded, size_t len)
{
	struct gathering *g = arg;
	const struct herd_group *group = &g->h->group;
	struct herd_variant mine, theirs;
	struct herd_entry own, ref;
	struct herd_look look;
	int err;

	if (!herd_ids_have(&g->h->tallied, path))
		return 0;
	err = herd_entry_decode(encoded, len, &own);
	if (!err)
		err = herd_entry_get_own(g->t, group->reference, path, &ref);
	if (err == -ENOENT) {
		ref = (struct herd_entry){ .absent = true };
		err = 0;
	}
	if (err)
		return err;
	herd_variant_of(&own, &mine);
	herd_variant_of(&ref, &theirs);
	if (herd_variant_equal(&mine, &theirs))
		return 0;
	err = reserve(g);
	if (!err)
		err = herd_variant_against(g->t, g->member, group->reference,
					   path, &own, &ref, &mine);
	if (err)
		return err;
	err = herd_look_get(g->t, g->member, path, &look);
	if (err && err != -ENOENT)
		return err;
	g->packaged[g->n] = !err && look.packaged;
	g->rows[g->n++] = (struct herd_part_row){
		path, { .variant = mine, .count = 1, .holder = g->member } };
	return 0;
}

/* ---- features ---- */

static uint64_t feature_of(const struct herd_part_row *row)
{
	const struct herd_variant *v = &row->tally.variant;
	struct {
		uint32_t path, mode, uid, gid, major, minor, absent, kind;
		uint8_t digest[32], xattrs[32];
	} bytes = { row->path, v->mode, v->uid, v->gid, v->rdev_major,
		    v->rdev_minor, v->absent, v->digest_kind, { 0 }, { 0 } };
	uint8_t sum[HERD_SHA256_LEN];
	uint64_t feature;

	memcpy(bytes.digest, v->digest, sizeof(bytes.digest));
	memcpy(bytes.xattrs, v->xattrs, sizeof(bytes.xattrs));
	herd_sha256(&bytes, sizeof(bytes), sum);
	memcpy(&feature, sum, sizeof(feature));
	return feature;
}

struct feature {
	uint64_t value;
	uint8_t vouched;
};

static int compare_features(const void *a, const void *b)
{
	const struct feature *x = a, *y = b;

	return x->value < y->value ? -1 : x->value > y->value;
}

static int make_features(const struct gathering *g, struct member_rows *m)
{
	CLEANUP_FREE struct feature *all = calloc(m->n + 1, sizeof(*all));

	m->features = calloc(m->n + 1, sizeof(*m->features));
	m->vouched = calloc(m->n + 1, 1);
	if (!all || !m->features || !m->vouched)
		return -ENOMEM;
	for (size_t i = 0; i < m->n; i++)
		all[i] = (struct feature){ feature_of(&g->rows[m->first + i]),
					   g->packaged[m->first + i] };
	qsort(all, m->n, sizeof(*all), compare_features);
	for (size_t i = 0; i < m->n; i++) {
		if (i && all[i].value == all[i - 1].value)
			continue;
		m->features[m->n_features] = all[i].value;
		m->vouched[m->n_features++] = all[i].vouched;
	}
	return 0;
}

bool herd_judge_has_lists(struct herd_txn *t)
{
	uint32_t status;

	return !herd_path_resolve(t, HERD_DPKG_STATUS,
				  strlen(HERD_DPKG_STATUS), &status);
}

static int gather(struct gathering *g)
{
	g->lists = herd_judge_has_lists(g->t);
	g->members = calloc(g->h->members.n + 1, sizeof(*g->members));
	int err = g->members ? 0 : -ENOMEM;

	for (size_t i = 0; i < g->h->members.n && !err; i++) {
		struct member_rows *m = &g->members[i];

		m->first = g->n;
		g->member = g->h->members.v[i];
		if (g->member != g->h->group.reference)
			err = herd_entry_each(g->t, g->member, add_row, g);
		m->n = g->n - m->first;
		if (!err)
			err = make_features(g, m);
	}
	return err;
}

/* ---- parts ---- */

static int compare_rows(const void *a, const void *b)
{
	const struct herd_part_row *x = a, *y = b;
	const struct herd_variant *v = &x->tally.variant,
				  *w = &y->tally.variant;
	int c;

	if (x->path != y->path)
		return x->path < y->path ? -1 : 1;
	if (v->absent != w->absent)
		return v->absent ? 1 : -1;
	c = memcmp(v->digest, w->digest, sizeof(v->digest));
	if (!c)
		c = memcmp(v->xattrs, w->xattrs, sizeof(v->xattrs));
	if (c)
		return c;
	if (v->mode != w->mode)
		return v->mode < w->mode ? -1 : 1;
	if (v->uid != w->uid)
		return v->uid < w->uid ? -1 : 1;
	if (v->gid != w->gid)
		return v->gid < w->gid ? -1 : 1;
	return x->tally.holder < y->tally.holder ? -1 :
	       x->tally.holder > y->tally.holder;
}

/* Equal variants become one row with their count. */
static size_t merge_rows(struct herd_part_row *rows, size_t n)
{
	size_t out = 0;

	if (n)
		qsort(rows, n, sizeof(*rows), compare_rows);
	for (size_t i = 0; i < n; i++)
		if (out && rows[out - 1].path == rows[i].path &&
		    herd_variant_equal(&rows[out - 1].tally.variant,
				       &rows[i].tally.variant))
			rows[out - 1].tally.count++;
		else
			rows[out++] = rows[i];
	return out;
}

/* With which band a cluster is judged: itself, or the one it is nearest to. */
static uint32_t band_of(const struct herd_clustering *c, uint32_t cluster)
{
	const struct herd_cluster *own = herd_clustering_get(c, cluster);
	uint32_t near = own->small ? own->against : cluster;

	/* where all are small there is no band but the largest */
	return near < herd_clustering_n(c) &&
	       !herd_clustering_get(c, near)->small ? near : 0;
}

static int make_part(const struct gathering *g, uint32_t band,
		     struct herd_herd **ret)
{
	const struct herd_ids *members = &g->h->members;
	CLEANUP_FREE uint32_t *ids = calloc(members->n + 1, sizeof(*ids));
	struct herd_part part = { .members = ids, .without = g->h->without,
				  .look = &g->h->look };
	size_t rows = 0;

	if (!ids)
		return -ENOMEM;
	part.rows = calloc(g->n + 1, sizeof(*part.rows));
	if (!part.rows)
		return -ENOMEM;
	for (size_t i = 0; i < members->n; i++) {
		uint32_t cluster = herd_clustering_of(g->h->clustering,
						      members->v[i]);

		if (band_of(g->h->clustering, cluster) != band)
			continue;
		ids[part.n_members++] = members->v[i];
		if (g->members[i].n)
			memcpy(part.rows + rows, g->rows + g->members[i].first,
			       g->members[i].n * sizeof(*part.rows));
		rows += g->members[i].n;
	}
	part.n_rows = merge_rows(part.rows, rows);
	int err = herd_part_make(g->t, &g->h->group, &part, ret);

	free(part.rows);
	return err;
}

static int make_parts(const struct gathering *g, struct herd_herd *h)
{
	size_t n = herd_clustering_n(h->clustering);
	int err = 0;

	h->parts = calloc(n + 1, sizeof(*h->parts));
	if (!h->parts)
		return -ENOMEM;
	h->n_parts = n;
	for (uint32_t i = 0; i < n && !err; i++)
		if (band_of(h->clustering, i) == i)
			err = make_part(g, i, &h->parts[i]);
	return err;
}

/* ---- the whole ---- */

static int cluster(const struct gathering *g, struct herd_clustering **ret)
{
	size_t n = g->h->members.n;
	CLEANUP_FREE struct herd_cluster_member *members =
		calloc(n + 1, sizeof(*members));

	if (!members)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++)
		members[i] = (struct herd_cluster_member){
			.id = g->h->members.v[i],
			.features = g->members[i].features,
			.vouched = g->lists ? g->members[i].vouched : NULL,
			.n = g->members[i].n_features };
	return herd_cluster(members, n, NULL, ret);
}

bool herd_judge_band_signs(bool lists, uint64_t shared, uint64_t alone)
{
	return shared >= (lists ? VOUCHED_MIN : BARE_MIN) ||
	       alone >= (lists ? VOUCHED_MIN : BARE_ALONE_MIN);
}

int herd_judge_cluster(struct herd_txn *t, struct herd_herd *h)
{
	CLEANUP(gathering_deinit) struct gathering g = { .t = t, .h = h };
	int err;

	if (h->members.n < 3 ||
	    !herd_judge_band_signs(herd_judge_has_lists(t), h->shared,
				   h->alone))
		return 0;
	err = gather(&g);
	if (!err)
		err = cluster(&g, &h->clustering);
	if (err == -EOVERFLOW) {	/* judged as one herd, and that is said */
		h->too_many = true;
		return 0;
	}
	if (!err && herd_clustering_n(h->clustering) < 2) {
		herd_clustering_destroy(h->clustering);
		h->clustering = NULL;
	}
	return err || !h->clustering ? err : make_parts(&g, h);
}

const struct herd_herd *herd_judge_part(const struct herd_herd *h,
					uint32_t instance)
{
	uint32_t i;

	if (!h->n_parts)
		return h;
	i = herd_clustering_of(h->clustering, instance);
	/* the baseline is no member of any: it is held against the largest */
	return h->parts[i < h->n_parts ? band_of(h->clustering, i) : 0];
}

bool herd_judge_band_vouched(const struct herd_herd *h, uint32_t instance)
{
	const struct herd_cluster *c;
	uint32_t i;

	if (!h->n_parts)
		return false;
	i = herd_clustering_of(h->clustering, instance);
	if (i == HERD_CLUSTER_NONE)
		return false;
	c = herd_clustering_get(h->clustering, i);
	return !c->small && !c->set_aside && c->vouched;
}

const struct herd_clustering *herd_herd_clustering(const struct herd_herd *h)
{
	return h->clustering;
}

bool herd_herd_unclustered(const struct herd_herd *h)
{
	return h->too_many;
}
