/* SPDX-License-Identifier: Apache-2.0 */
/* Threads: as index/explain.h says. */
#include "index/explain.h"

#include "acquire/base/cleanup.h"
#include "index/known.h"
#include "index/words.h"

#include <string.h>
#include <sys/stat.h>

/* ---- one version ---- */

static void find_capability(const struct herd_entry *e,
			    struct herd_meaning_side *side)
{
	static const char wanted[] = "security.capability";
	const char *name;
	const void *value;
	size_t name_len, len;

	for (size_t i = 0;
	     herd_entry_xattr(e, i, &name, &name_len, &value, &len); i++) {
		if (name_len != sizeof(wanted) - 1 ||
		    memcmp(name, wanted, name_len) != 0)
			continue;
		side->capability = value;
		side->capability_len = len;
	}
}

static int find_text(struct herd_txn *t, uint32_t group,
		     const struct herd_entry *e, struct herd_meaning_side *side)
{
	int err;

	if (S_ISLNK(e->mode)) {
		side->text = e->bytes;
		side->len = e->bytes ? e->n_bytes : 0;
	}
	if (!S_ISREG(e->mode) || e->digest_kind != HERD_DIGEST_SHA256)
		return 0;
	err = herd_kept_get(t, group, e->digest, &side->text, &side->len);
	return err == -ENOENT ? 0 : err;
}

/* Whoever has the reference's bytes was not looked at, but the reference. */
static int find_look(struct herd_txn *t, const struct herd_group *g,
		     uint32_t instance, uint32_t path,
		     const struct herd_entry *e, struct herd_look *look)
{
	struct herd_look of_reference = { .sort = 0 };
	struct herd_entry ref;
	int err = herd_look_get(t, instance, path, look);

	if (err != -ENOENT || instance == g->reference)
		return err == -ENOENT ? 0 : err;
	err = herd_entry_get_own(t, g->reference, path, &ref);
	if (!err && !ref.absent && ref.digest_kind == e->digest_kind &&
	    memcmp(ref.digest, e->digest, sizeof(e->digest)) == 0)
		err = herd_look_get(t, g->reference, path, &of_reference);
	else if (!err)
		return 0;
	if (!err)
		look->sort = of_reference.sort;
	return err == -ENOENT ? 0 : err;
}

static int fill_side(struct herd_txn *t, const struct herd_group *g,
		     uint32_t instance, uint32_t path,
		     struct herd_meaning_side *side, struct herd_look *look)
{
	struct herd_entry e;
	int err = herd_entry_get(t, instance, g->reference, path, &e);

	*look = (struct herd_look){ .sort = 0 };
	*side = (struct herd_meaning_side){ .absent = true };
	if (err)
		return err == -ENOENT ? 0 : err;
	*side = (struct herd_meaning_side){
		.mode = e.mode, .uid = e.uid, .gid = e.gid, .size = e.size
	};
	find_capability(&e, side);
	err = find_text(t, g->id, &e, side);
	if (!err && S_ISREG(e.mode))
		err = find_look(t, g, instance, path, &e, look);
	side->sort = look->sort;
	return err;
}

/* ---- both ---- */

int herd_sides_get(struct herd_txn *t, const struct herd_herd *h,
		   uint32_t instance, const struct herd_finding *f,
		   struct herd_sides *ret)
{
	const struct herd_group *g = herd_herd_group(h);
	bool drift = f->verdict.class == HERD_CLASS_DRIFT;
	struct herd_sides s = {
		.own.absent = true,
		.other.absent = true,
		.other_holder = drift	       ? g->baseline :
				f->herd_absent ? 0 :
						 f->herd_holder,
		.reasons = drift ? f->verdict.baseline_reasons :
				   f->verdict.reasons,
	};
	struct herd_look look = { .sort = 0 };
	int err = 0;

	if (s.other_holder)
		err = fill_side(t, g, s.other_holder, f->path, &s.other, &look);
	if (s.other.absent)
		s.other_holder = 0;
	look = (struct herd_look){ .sort = 0 };
	if (!err && !f->own_absent)
		err = fill_side(t, g, instance, f->path, &s.own, &look);
	if (err)
		return err;
	if (look.n_note) {
		s.note = look.note;
		s.n_note = look.n_note;
	}
	*ret = s;
	return 0;
}

/* Reasons of a second look are about content that differs everywhere. */
static unsigned plain_reasons(unsigned reasons)
{
	return reasons & (HERD_REASON_SORT | HERD_REASON_REWRITTEN |
			  HERD_REASON_TOKENS) ?
		       reasons | HERD_REASON_CONTENT :
		       reasons;
}

/* What is known of the content without reading it, before or instead. */
static void add_notes(const struct herd_sides *s, struct herd_meaning *m)
{
	char before[HERD_MEANING_WHY_MAX];
	struct herd_words w;

	if (!s->note && !(s->reasons & HERD_REASON_REWRITTEN))
		return;
	memcpy(before, m->why, sizeof(before));
	herd_words_begin(&w, m->why, sizeof(m->why));
	if (s->reasons & HERD_REASON_REWRITTEN)
		herd_words_put(&w, "edited or emptied: ");
	if (s->note)
		herd_words_bytes(&w, s->note, s->n_note, sizeof(m->why));
	else
		herd_words_put(&w, before);
}

int herd_explain(struct herd_txn *t, const struct herd_herd *h,
		 uint32_t instance, const struct herd_finding *f,
		 const struct herd_rules *rules, struct herd_meaning *ret)
{
	CLEANUP_BUF struct herd_buf path = HERD_BUF_INIT;
	struct herd_sides s;
	int err = herd_path_full(t, f->path, &path);

	if (!err)
		err = herd_buf_error(&path);
	if (!err)
		err = herd_sides_get(t, h, instance, f, &s);
	if (!err)
		err = herd_meaning_of(rules,
				      path.len ? (const char *)path.data : "",
				      path.len, plain_reasons(s.reasons),
				      &s.own, &s.other, ret);
	if (!err)
		add_notes(&s, ret);
	return err;
}

unsigned herd_score(const struct herd_finding *f, const struct herd_meaning *m)
{
	if (f->known && f->known->bad)
		return 100;
	return (f->verdict.rank * m->severity + 50) / 100;
}
