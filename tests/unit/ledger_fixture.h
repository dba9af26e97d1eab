/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Random herds, put into a store as attach does it, and what is found of them
 * with their ledger and from nothing. Functions fail the test themselves.
 */
#ifndef HERD_LEDGER_FIXTURE_H
#define HERD_LEDGER_FIXTURE_H

#include "index/cluster.h"
#include "index/content.h"
#include "index/dpkg.h"
#include "index/identity.h"
#include "index/judge.h"
#include "index/ledger.h"
#include "tests/unit/herd_fixture.h"

#define LF_PATHS 4096u
#define LF_MEMBERS 64u

/* What one has at a path; content is a number, its sort follows from it. */
struct lf_file {
	uint32_t path, mode, uid;
	uint32_t content;
	uint32_t normal; /* content with the own tokens replaced, or 0 */
	bool packaged, empty;
	uint8_t sort;
	int64_t mtime;
};

struct lf_herd {
	struct herd_txn *t;
	struct herd_group g;
	uint64_t random;
	unsigned came;		  /* so far, for names */
	uint32_t ids[LF_MEMBERS]; /* who is there */
	size_t n;
	struct lf_file files[LF_PATHS]; /* of the one who comes */
	size_t n_files;
	struct lf_file reference[LF_PATHS];
	size_t n_reference;
	struct herd_came came_with[LF_PATHS];
	size_t n_came;
	uint32_t last;		    /* who came last, if it is there still */
	char name[64], machine[33]; /* of it */
	unsigned by_ledger, from_nothing; /* herds that were judged */
	unsigned banded, explained; /* with bands; findings that they explain */
	unsigned verified;
	/* what kind of herd */
	unsigned volatiles, names, upgraded;
	bool lists;
	bool loners; /* nobody has what is another's own */
};

static inline uint32_t lf_random(struct lf_herd *w, uint32_t below)
{
	w->random ^= w->random << 13;
	w->random ^= w->random >> 7;
	w->random ^= w->random << 17;
	return (uint32_t)(w->random >> 20) % below;
}

static inline void lf_encode(const struct lf_file *f, struct herd_buf *out)
{
	char text[32] = "";
	struct fx_file file = { .mode = f->mode,
				.uid = f->uid,
				.content = text,
				.mtime = f->mtime };

	if (!f->empty)
		snprintf(text, sizeof(text), "content %u", f->content);
	fx_encode(&file, out);
}

static inline void lf_digest(uint32_t number, uint8_t ret[32])
{
	herd_sha256(&number, sizeof(number), ret);
}

static inline void lf_look(struct lf_herd *w, uint32_t id,
			   const struct lf_file *f)
{
	struct herd_look look = { .sort = f->sort,
				  .packaged = f->packaged,
				  .normal = f->normal != 0 };

	if (look.normal)
		lf_digest(f->normal, look.digest);
	assert_int_equal(herd_look_put(w->t, id, f->path, &look), 0);
}

static inline struct lf_file *lf_find(struct lf_file *v, size_t n,
				      uint32_t path)
{
	for (size_t i = 0; i < n; i++)
		if (v[i].path == path)
			return &v[i];
	return NULL;
}

/* As scan_store.c has it; f NULL: it is absent. */
static inline void lf_put(struct lf_herd *w, uint32_t id, enum herd_role role,
			  uint32_t path, const struct lf_file *f)
{
	struct herd_entry own = { .absent = true }, ref = own;
	struct herd_variant mine, theirs;
	struct herd_buf b = HERD_BUF_INIT;
	const void *bytes;
	size_t len;
	int err =
		herd_entry_get_bytes(w->t, w->g.reference, path, &bytes, &len);

	if (f)
		lf_encode(f, &b);
	else
		assert_int_equal(herd_entry_encode_absent(&b), 0);
	if (!err && len == b.len && !memcmp(bytes, b.data, len)) {
		herd_buf_deinit(&b);
		return;
	}
	if (!err)
		assert_int_equal(herd_entry_decode(bytes, len, &ref), 0);
	assert_int_equal(herd_entry_decode(b.data, b.len, &own), 0);
	herd_variant_of(&own, &mine);
	herd_variant_of(&ref, &theirs);
	if (!herd_variant_equal(&mine, &theirs)) {
		if (f)
			lf_look(w, id, f);
		if (role == HERD_ROLE_MEMBER) {
			assert_int_equal(
				herd_variant_against(w->t, id, w->g.reference,
						     path, &own, &ref, &mine),
				0);
			assert_int_equal(herd_tally_add(w->t, w->g.id, path,
							&mine, id, 1),
					 0);
			assert_true(w->n_came < LF_PATHS);
			w->came_with[w->n_came++] =
				(struct herd_came){ path, mine };
		}
	}
	assert_int_equal(herd_entry_put(w->t, id, path, b.data, b.len), 0);
	herd_buf_deinit(&b);
}

static inline int lf_by_path(const void *a, const void *b)
{
	const struct lf_file *x = a, *y = b;

	return x->path < y->path ? -1 : x->path > y->path;
}

/* ---- what one has ---- */

/* Mostly its own number, now and then that of another: it has the same. */
static inline uint32_t lf_whose(struct lf_herd *w, uint32_t own)
{
	return w->n && !w->loners && !lf_random(w, 8) ?
		       w->ids[lf_random(w, (uint32_t)w->n)] :
		       own;
}

static inline struct lf_file *lf_add(struct lf_herd *w, const char *path,
				     uint32_t content)
{
	uint32_t id = fx_path(w->t, path);
	struct lf_file *f = lf_find(w->files, w->n_files, id);

	assert_true(w->n_files < LF_PATHS);
	if (!f)
		f = &w->files[w->n_files++];
	*f = (struct lf_file){ .path = id,
			       .mode = S_IFREG | 0644,
			       .content = content,
			       .mtime = FX_TIME,
			       .sort = HERD_SORT_TEXT + 1 };
	return f;
}

static inline void lf_vary(struct lf_herd *w, struct lf_file *f, uint32_t own)
{
	static const uint8_t sorts[] = {
		0,
		HERD_SORT_TEXT + 1,
		HERD_SORT_DATA + 1,
		HERD_SORT_SCRIPT + 1,
		HERD_SORT_NOTHING,
		HERD_SORT_EMPTY + 1,
		HERD_SORT_KEY + 1,
	};
	uint32_t what = lf_random(w, 20);

	if (what < 12)
		f->content = lf_whose(w, own) * 1000 + f->path;
	else if (what < 16)
		f->content = 7000000 + lf_random(w, 3);
	if (what == 3)
		f->sort = sorts[f->content % ARRAY_SIZE(sorts)];
	if (what == 4)
		f->mode = S_IFREG | 0600;
	if (what == 5)
		f->uid = 33;
	if (what == 6) {
		f->empty = true;
		f->sort = own % 2 ? HERD_SORT_NOTHING : HERD_SORT_EMPTY + 1;
	}
	if (what == 7)
		f->mode = S_IFLNK | 0777;
	if (what == 8)
		f->normal = 5000 + f->path;
	if (what == 19)
		w->n_files--; /* f is the last one */
}

static inline void lf_names(struct lf_herd *w, uint32_t self)
{
	static const char *const folders[] = { "var/cache/app", "opt/odd",
					       "tmp" };
	char path[160];

	for (unsigned i = 0; i < w->names; i++) {
		uint32_t own = lf_whose(w, self);
		uint32_t number = own * 2654435761u + i * 40503u;
		const char *folder = folders[(number >> 7) % 3];
		struct lf_file *f;

		switch ((number >> 9) % 6) {
		case 0:
			snprintf(path, sizeof(path), "%s/plain-%c-%u", folder,
				 'a' + (char)(own % 26), i);
			break;
		case 1:
			snprintf(path, sizeof(path), "%s/obj-%08u", folder,
				 number % 100000000);
			break;
		case 2:
			snprintf(path, sizeof(path), "%s/dir-%08x/file-%u",
				 folder, own * 40503u + 0xa0000000u, i);
			break;
		default:
			snprintf(path, sizeof(path), "%s/obj-%08x", folder,
				 number);
		}
		f = lf_add(w, path, lf_whose(w, own) * 1000 + i);
		if (!((number >> 3) % 8)) {
			f->empty = true;
			f->sort = HERD_SORT_NOTHING;
		}
		if (!((number >> 5) % 16))
			f->mode = S_IFREG | 0755;
	}
}

/* The journal, by machine id. */
static inline void lf_journal(struct lf_herd *w, uint32_t own, const char *id)
{
	char path[160];

	if (!lf_random(w, 8))
		return;
	snprintf(path, sizeof(path), "var/log/journal/%s", id);
	lf_add(w, path, 0)->mode = S_IFDIR | 0755;
	snprintf(path, sizeof(path), "var/log/journal/%s/system.journal", id);
	lf_add(w, path, own)->sort = HERD_SORT_DATA + 1;
	snprintf(path, sizeof(path), "var/log/journal/%s/user-1000.journal",
		 id);
	if (lf_random(w, 5))
		lf_add(w, path, own)->sort = HERD_SORT_DATA + 1;
}

static inline void lf_one(struct lf_herd *w, uint32_t own, const char *id)
{
	bool upgraded = w->upgraded && lf_random(w, 100) < w->upgraded;
	char path[64];

	w->n_files = 0;
	for (unsigned i = 0; i < 20; i++) {
		snprintf(path, sizeof(path), "etc/f%u", i);
		struct lf_file *f = lf_add(w, path, i);

		f->mtime += lf_random(w, 4) ? 0 : own;
		if (!lf_random(w, 12))
			lf_vary(w, f, own);
	}
	for (unsigned i = 0; i < w->volatiles; i++) {
		snprintf(path, sizeof(path),
			 i % 3 ? "var/log/v%u.log" : "usr/share/v%u", i);
		lf_vary(w, lf_add(w, path, i), own);
	}
	/* what differs by the own tokens alone, of most or of few */
	for (unsigned i = 0; i < 4; i++) {
		snprintf(path, sizeof(path), "etc/own%u", i);
		struct lf_file *f = lf_add(w, path, 50 + i);

		f->normal = 9000 + i;
		if (lf_random(w, 10) < 3 + 2 * i)
			f->content = own * 1000 + i;
		if (!lf_random(w, 12))
			f->normal = 0;
	}
	/* what the first one alone lacks, or alone has, more or less */
	for (unsigned i = 0; i < 6; i++) {
		snprintf(path, sizeof(path), "srv/w%u", i);
		struct lf_file *f = lf_add(w, path, w->came ? 2 : 1);

		f->packaged = lf_random(w, 3) > 0;
		if (!lf_random(w, 40))
			f->content = own;
	}
	for (unsigned i = 0; i < 70 && w->upgraded; i++) {
		snprintf(path, sizeof(path), "usr/lib/l%u.so", i);
		lf_add(w, path, upgraded ? 2 : 1)->packaged = upgraded;
	}
	if (upgraded)
		lf_add(w, "etc/ssh/ssh_host_new_key", own)->normal = 9999;
	if (w->lists)
		lf_add(w, HERD_DPKG_STATUS, upgraded);
	lf_names(w, own);
	lf_journal(w, own, id);
	qsort(w->files, w->n_files, sizeof(*w->files), lf_by_path);
}

/* ---- coming and going ---- */

static inline void lf_tokens(struct lf_herd *w, uint32_t instance,
			     const char *machine)
{
	struct herd_buf b = HERD_BUF_INIT;
	struct herd_identity *id;

	assert_int_equal(herd_identity_create(&id), 0);
	assert_int_equal(herd_identity_add(id, HERD_TOKEN_MACHINE_ID, machine,
					   strlen(machine)),
			 0);
	assert_int_equal(herd_identity_settle(id), 0);
	assert_int_equal(herd_identity_encode(id, &b), 0);
	assert_int_equal(herd_tokens_put(w->t, instance, b.data, b.len), 0);
	herd_identity_destroy(id);
	herd_buf_deinit(&b);
}

static inline void lf_put_reference(struct lf_herd *w, uint32_t id)
{
	for (size_t i = 0; i < w->n_files; i++) {
		struct herd_buf b = HERD_BUF_INIT;

		lf_encode(&w->files[i], &b);
		assert_int_equal(herd_entry_put(w->t, id, w->files[i].path,
						b.data, b.len),
				 0);
		lf_look(w, id, &w->files[i]);
		herd_buf_deinit(&b);
	}
	memcpy(w->reference, w->files, sizeof(w->files));
	w->n_reference = w->n_files;
}

/* What it has and what the reference has, by path. */
static inline void lf_put_other(struct lf_herd *w, uint32_t id,
				enum herd_role role)
{
	size_t i = 0, k = 0;

	while (i < w->n_files || k < w->n_reference) {
		if (k == w->n_reference ||
		    (i < w->n_files &&
		     w->files[i].path <= w->reference[k].path)) {
			k += k < w->n_reference &&
			     w->files[i].path == w->reference[k].path;
			lf_put(w, id, role, w->files[i].path, &w->files[i]);
			i++;
		} else {
			lf_put(w, id, role, w->reference[k++].path, NULL);
		}
	}
}

/* again: it has what the last one had, and its name. */
static inline uint32_t lf_come(struct lf_herd *w, enum herd_role role,
			       bool again)
{
	struct herd_image_file image_file = { .path = (char *)"/images/x.raw",
					      .size = 4096,
					      .mtime_sec = 1 };
	struct herd_image image = { .format = (char *)"raw",
				    .size = 4096,
				    .files = &image_file,
				    .n_files = 1 };
	struct herd_instance i = { .role = role,
				   .attached = 1700000000,
				   .disks = &image,
				   .n_disks = 1 };

	assert_int_equal(herd_group_make(w->t, "random", &w->g), 0);
	if (!w->g.reference) /* the group is made anew */
		w->came = 0;
	i.group = w->g.id;
	if (!again)
		snprintf(w->name, sizeof(w->name), "i-%u-%u", w->came,
			 lf_random(w, 1u << 30));
	snprintf(i.name, sizeof(i.name), "%s", w->name);
	assert_int_equal(herd_instance_put(w->t, &i), 0);
	if (!again) {
		snprintf(w->machine, sizeof(w->machine),
			 "%08x%08xabcdef0123456789", i.id * 2654435761u,
			 i.id * 40503u + 7);
		lf_one(w, i.id, w->machine);
	}
	w->came++;
	w->n_came = 0;
	if (!w->g.reference) {
		w->g.reference = i.id;
		lf_put_reference(w, i.id);
	} else {
		lf_put_other(w, i.id, role);
	}
	lf_tokens(w, i.id, w->machine);
	if (role == HERD_ROLE_BASELINE)
		w->g.baseline = i.id;
	else
		w->g.members++;
	assert_int_equal(herd_group_put(w->t, &w->g), 0);
	if (role == HERD_ROLE_BASELINE)
		assert_int_equal(herd_ledger_drop(w->t, w->g.id), 0);
	else
		assert_int_equal(herd_ledger_join(w->t, &w->g, i.id,
						  w->came_with, w->n_came),
				 0);
	assert_true(w->n < LF_MEMBERS);
	w->ids[w->n++] = i.id;
	w->last = i.id;
	return i.id;
}

static inline uint32_t lf_attach(struct lf_herd *w, enum herd_role role)
{
	return lf_come(w, role, false);
}

static inline void lf_detach(struct lf_herd *w, size_t which)
{
	assert_int_equal(herd_instance_remove(w->t, w->ids[which]), 0);
	if (w->ids[which] == w->last)
		w->last = 0;
	w->ids[which] = w->ids[--w->n];
	if (w->n)
		assert_int_equal(herd_group_find(w->t, "random", &w->g), 0);
}

/* It is read again and takes its own place, as herd_attach does to verify it;
   some contents prove to be others. */
static inline void lf_verify(struct lf_herd *w)
{
	enum herd_role role = w->last == w->g.baseline ? HERD_ROLE_BASELINE :
							 HERD_ROLE_MEMBER;

	for (size_t i = 0; i < w->n; i++)
		if (w->ids[i] == w->last) {
			lf_detach(w, i);
			break;
		}
	if (!w->n)
		w->g = (struct herd_group){ 0 };
	for (unsigned i = lf_random(w, 4); i && w->n_files; i--)
		w->files[lf_random(w, (uint32_t)w->n_files)].content =
			8000000 + lf_random(w, 2);
	lf_come(w, role, true);
	w->verified++;
}

/* ---- comparing ---- */

static inline void lf_same_verdict(const struct herd_verdict *a,
				   const struct herd_verdict *b)
{
	assert_int_equal(a->class, b->class);
	assert_int_equal(a->rank, b->rank);
	assert_int_equal(a->reasons, b->reasons);
	assert_int_equal(a->baseline_reasons, b->baseline_reasons);
	assert_int_equal(a->has_baseline, b->has_baseline);
	assert_int_equal(a->count, b->count);
	assert_int_equal(a->members, b->members);
	assert_int_equal(a->variants, b->variants);
	assert_int_equal(a->herd_count, b->herd_count);
}

/* Who is in which band, and what is said of it. */
static inline void lf_same_bands(const struct herd_herd *a,
				 const struct herd_herd *b)
{
	const struct herd_clustering *x = herd_herd_clustering(a),
				     *y = herd_herd_clustering(b);

	assert_int_equal(herd_herd_unclustered(a), herd_herd_unclustered(b));
	assert_int_equal(x != NULL, y != NULL);
	if (!x)
		return;
	assert_true(herd_clustering_n(x) > 1);
	assert_int_equal(herd_clustering_n(x), herd_clustering_n(y));
	for (uint32_t i = 0; i < herd_clustering_n(x); i++) {
		size_t n, m;
		const uint32_t *ids = herd_clustering_members(x, i, &n);
		const uint32_t *others = herd_clustering_members(y, i, &m);

		assert_int_equal(n, m);
		assert_memory_equal(ids, others, n * sizeof(*ids));
		assert_int_equal(herd_clustering_get(x, i)->vouched,
				 herd_clustering_get(y, i)->vouched);
	}
}

static inline void lf_same_finding(const struct herd_finding *a,
				   const struct herd_finding *b)
{
	assert_int_equal(a->path, b->path);
	lf_same_verdict(&a->verdict, &b->verdict);
	assert_int_equal(a->own_absent, b->own_absent);
	assert_int_equal(a->herd_absent, b->herd_absent);
	assert_int_equal(a->herd_holder, b->herd_holder);
	assert_int_equal(a->herd_witness, b->herd_witness);
}

static inline void lf_same_instance(struct lf_herd *w,
				    const struct herd_herd *a,
				    const struct herd_herd *b, uint32_t id)
{
	struct herd_finding *f = NULL, *g = NULL;
	size_t n, m;

	assert_int_equal(herd_judge_instance(w->t, a, id, &f, &n, NULL), 0);
	assert_int_equal(herd_judge_instance(w->t, b, id, &g, &m, NULL), 0);
	for (size_t i = 0; i < n && i < m; i++) {
		lf_same_finding(&f[i], &g[i]);
		w->explained += (g[i].verdict.reasons & HERD_REASON_BAND) != 0;
	}
	assert_int_equal(n, m);
	free(f);
	free(g);
}

static inline void lf_same_paths(struct lf_herd *w, const struct herd_herd *a,
				 const struct herd_herd *b, uint32_t id)
{
	for (size_t i = 0; i < w->n_files; i++) {
		struct herd_finding f = { 0 }, g = { 0 };
		uint32_t path = w->files[i].path;
		int err = herd_judge_path(w->t, a, id, path, &f, NULL);

		assert_int_equal(herd_judge_path(w->t, b, id, path, &g, NULL),
				 err);
		if (!err)
			lf_same_finding(&f, &g);
	}
}

/* Whatever is asked of the herd, both ways say the same. */
static inline void lf_compare(struct lf_herd *w)
{
	struct herd_herd *kept, *anew;

	assert_int_equal(herd_herd_make(w->t, &w->g, &kept, NULL), 0);
	assert_int_equal(herd_herd_make_without(
				 w->t, &w->g, HERD_WITHOUT_LEDGER, &anew, NULL),
			 0);
	assert_false(herd_herd_by_ledger(anew));
	w->by_ledger += herd_herd_by_ledger(kept);
	w->from_nothing += !herd_herd_by_ledger(kept);
	lf_same_bands(kept, anew);
	w->banded += herd_herd_clustering(anew) != NULL;
	for (size_t i = 0; i < w->n; i++)
		lf_same_instance(w, kept, anew, w->ids[i]);
	lf_same_instance(w, kept, anew, w->g.reference);
	lf_same_paths(w, kept, anew, w->ids[lf_random(w, (uint32_t)w->n)]);
	herd_herd_destroy(kept);
	herd_herd_destroy(anew);
}

#endif
