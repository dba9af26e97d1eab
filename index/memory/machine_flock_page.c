/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What siblings have at the place of a page that differs: the same file by path,
 * the same page of it. A page that equals its disk's leaves no trace in a machine
 * (machine_pages.h), so nothing is known of siblings that have just that.
 */
#include "index/memory/machine_judge_internal.h"

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

/* ---- asking ---- */

/* The own traits, of this page alone: they are among the herd's. */
static int own_traits(const struct herd_machine *m, const char *path,
		      uint64_t index, struct herd_traits *ret)
{
	struct herd_boil b = { .m = m, .t = ret };

	for (size_t i = 0; i < m->n_page_digests; i++) {
		const struct herd_page_digest *d = &m->page_digests[i];

		if (d->index == index && d->file < m->n_files &&
		    !strcmp(m->files[d->file].path, path))
			herd_boil_page_digest(&b, d);
	}
	for (size_t i = 0; i < m->n_page_changes; i++) {
		const struct herd_page_change *c = &m->page_changes[i];

		if (c->index == index && c->file < m->n_files &&
		    !strcmp(m->files[c->file].path, path))
			herd_boil_page_change(&b, c);
	}
	return b.err;
}

static int ask(const struct herd_bench *bench, char kind, const char *path,
	       const struct herd_page_change *c, struct herd_others *ret)
{
	char *key CLEANUP_FREE = key_of(kind, path, c->index), hex[33];

	if (!key)
		return -ENOMEM;
	herd_bench_ask(bench, HERD_ASPECT(HERD_MARK_TEXT), key,
		       herd_hex(c->digest, 16, hex), ret);
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
		    const struct herd_machine *m,
		    const struct herd_page_change *c,
		    struct herd_page_others *ret)
{
	struct herd_traits *own = calloc(1, sizeof(*own));
	const char *path = m->files[c->file].path;
	int err = own ? own_traits(m, path, c->index, own) : -ENOMEM;

	if (!err)
		err = ask_all(&(struct herd_bench){ .f = f,
						    .own = own,
						    .member = herd_flock_has(
							    f, instance) },
			      path, c, ret);
	herd_traits_destroy(own);
	return err;
}
