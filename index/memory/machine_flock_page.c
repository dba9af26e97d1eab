/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What siblings have at the place of a page that differs: the same file by path,
 * the same page of it. A page that equals its disk's leaves no trace in a machine
 * (machine_pages.h), so nothing is known of siblings that have just that.
 */
#include "index/memory/machine_judge_internal.h"
#include "index/memory/machine_pages.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static char *key_of(char kind, const char *path, uint64_t index)
{
	char *key;

	return asprintf(&key, "%c %s#%" PRIu64, kind, path, index) < 0 ? NULL :
									 key;
}

static void know(struct herd_boil *b, char kind, uint32_t file, uint64_t index,
		 const uint8_t *digest)
{
	char *key CLEANUP_FREE = NULL, hex[33];

	if (b->err || file >= b->m->n_files)
		return;
	key = key_of(kind, b->m->files[file].path, index);
	if (!key)
		b->err = -ENOMEM;
	else
		herd_boil_know(b, HERD_MARK_TEXT, key,
			       herd_hex(digest, 16, hex));
}

void herd_boil_page_digest(struct herd_boil *b,
			   const struct herd_page_digest *d)
{
	know(b, 'g', d->file, d->index, d->digest);
}

static char kind_of(const struct herd_page_change *c)
{
	return c->against == HERD_AGAINST_NOTHING ? 'u' : 'c';
}

void herd_boil_page_change(struct herd_boil *b,
			   const struct herd_page_change *c)
{
	know(b, kind_of(c), c->file, c->index, c->digest);
}

/* ---- a machine's own, by place ---- */

struct place {
	uint64_t index;
	uint32_t file; /* of the first array: by path, the first file's that
			   has it */
};

struct herd_page_places {
	const struct herd_machine *m;
	struct herd_traits *own; /* of all places where a page differs */
	struct place *known; /* pages of the cache that are not the disk's, or
				nobody knows it */
	size_t n_known;
};

static int compare_places(const void *a, const void *b)
{
	const struct place *x = a, *y = b;

	if (x->file != y->file)
		return x->file > y->file ? 1 : -1;
	return (x->index > y->index) - (x->index < y->index);
}

static bool has_place(const struct place *v, size_t n, uint32_t file,
		      uint64_t index)
{
	const struct place p = { index, file };

	return n && bsearch(&p, v, n, sizeof(p), compare_places);
}

static void sort_places(struct place *v, size_t n)
{
	if (n)
		qsort(v, n, sizeof(*v), compare_places);
}

/* By file a number of its path. */
static int number_paths(const struct herd_machine *m, uint32_t *ret)
{
	struct herd_strings paths = { .n = 0 };
	int err = 0;

	for (size_t i = 0; i < m->n_files && !err; i++)
		err = herd_strings_put(&paths, m->files[i].path,
				       strlen(m->files[i].path), &ret[i]);
	herd_strings_deinit(&paths);
	return err;
}

/* The own traits of the places where something differs: they are among the
   herd's, and what is its own is not the others'. */
static int know_own(struct herd_page_places *p)
{
	const struct herd_machine *m = p->m;
	struct herd_boil b = { .m = m, .t = p->own };
	uint32_t *path CLEANUP_FREE = calloc(m->n_files + 1, sizeof(*path));
	struct place *v CLEANUP_FREE =
		calloc(m->n_page_changes + 1, sizeof(*v));
	size_t n = 0;

	if (!path || !v)
		return -ENOMEM;
	b.err = number_paths(m, path);
	for (size_t i = 0; i < m->n_page_changes && !b.err; i++) {
		const struct herd_page_change *c = &m->page_changes[i];

		herd_boil_page_change(&b, c);
		if (c->file < m->n_files)
			v[n++] = (struct place){ c->index, path[c->file] };
	}
	sort_places(v, n);
	for (size_t i = 0; i < m->n_page_digests && !b.err; i++) {
		const struct herd_page_digest *d = &m->page_digests[i];

		if (d->file < m->n_files &&
		    has_place(v, n, path[d->file], d->index))
			herd_boil_page_digest(&b, d);
	}
	return b.err;
}

int herd_page_places_make(const struct herd_machine *m,
			  struct herd_page_places **ret)
{
	struct herd_page_places *p = calloc(1, sizeof(*p));
	int err;

	if (!p)
		return -ENOMEM;
	p->m = m;
	p->own = calloc(1, sizeof(*p->own));
	p->known = calloc(m->n_page_changes + m->n_page_digests + 1,
			  sizeof(*p->known));
	err = p->own && p->known ? know_own(p) : -ENOMEM;
	if (err) {
		herd_page_places_destroy(p);
		return err;
	}
	for (size_t i = 0; i < m->n_page_changes; i++)
		if (m->page_changes[i].process == HERD_NO_INDEX)
			p->known[p->n_known++] =
				(struct place){ m->page_changes[i].index,
						m->page_changes[i].file };
	for (size_t i = 0; i < m->n_page_digests; i++)
		p->known[p->n_known++] =
			(struct place){ m->page_digests[i].index,
					m->page_digests[i].file };
	sort_places(p->known, p->n_known);
	*ret = p;
	return 0;
}

void herd_page_places_destroy(struct herd_page_places *p)
{
	if (!p)
		return;
	herd_traits_destroy(p->own);
	free(p->known);
	free(p);
}

size_t herd_page_places_cost(const struct herd_page_places *p)
{
	const struct herd_strings *s = &p->own->slots, *f = &p->own->features;

	return sizeof(*p) + sizeof(*p->own) + s->bytes + f->bytes +
	       (size_t)(s->cap + f->cap) * sizeof(*s->v) +
	       (size_t)(s->n_slots + f->n_slots) * sizeof(*s->slots) +
	       (p->own->cap_slot_of + p->own->cap_stamp) * sizeof(uint32_t) +
	       p->n_known * sizeof(*p->known);
}

bool herd_page_cache_is_disks(const struct herd_page_places *p,
			      const struct herd_page_change *c)
{
	return !has_place(p->known, p->n_known, c->file, c->index) &&
	       p->m->n_page_digests < HERD_PAGE_DIGESTS_MAX;
}

/* ---- asking ---- */

/* So many versions of one page no herd has: then it is not said which is the
   most frequent, for finding it takes as long as there are versions. */
#define VERSIONS_MAX 4096

static int ask(const struct herd_bench *bench, char kind, const char *path,
	       const struct herd_page_change *c, struct herd_others *ret)
{
	char *key CLEANUP_FREE = key_of(kind, path, c->index), hex[33];

	if (!key)
		return -ENOMEM;
	herd_bench_count(bench, HERD_ASPECT(HERD_MARK_TEXT), key,
			 herd_hex(c->digest, 16, hex), ret);
	if (kind == 'g' && ret->slot && ret->kinds <= VERSIONS_MAX)
		herd_bench_ask(bench, HERD_ASPECT(HERD_MARK_TEXT), key, hex,
			       ret);
	return 0;
}

static int ask_all(const struct herd_bench *bench, const char *path,
		   const struct herd_page_change *c,
		   struct herd_page_others *ret)
{
	struct herd_others changed, open, other;
	int err = ask(bench, 'c', path, c, &changed);

	if (!err)
		err = ask(bench, 'u', path, c, &open);
	if (!err)
		err = ask(bench, 'g', path, c, &other);
	if (err)
		return err;
	*ret = (struct herd_page_others){
		.all = herd_bench_others(bench),
		.changed = changed.slot,
		.changed_same = changed.same,
		.open = open.slot,
		.open_same = open.same,
		.unvouched = other.slot,
		.unvouched_same = other.same,
		.unvouched_top = other.top,
	};
	snprintf(ret->top, sizeof(ret->top), "%s",
		 other.top_value ? other.top_value : "");
	return 0;
}

int herd_flock_page(const struct herd_flock *f, uint32_t instance,
		    const struct herd_page_places *places,
		    const struct herd_page_change *c,
		    struct herd_page_others *ret)
{
	const struct herd_bench bench = { .f = f,
					  .own = places->own,
					  .member =
						  herd_flock_has(f, instance) };

	return ask_all(&bench, places->m->files[c->file].path, c, ret);
}
