/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From a finished scan to records: the reference in full, another instance as
 * its difference, the herd's tallies with it, all in one transaction. The
 * transaction may have to be done twice (the map grows), so nothing of the
 * scan is used up.
 */
#include "index/scan_store.h"

#include "acquire/base/cleanup.h"
#include "index/examine.h"

#include <string.h>
#include <sys/stat.h>

static bool is_reference(const struct herd_storing *st)
{
	return herd_scan_is_reference(st->s);
}

/* ---- entries ---- */

static void account(struct herd_storing *st, const struct herd_entry *e,
		    int sign)
{
	struct herd_instance *inst = st->inst;
	uint64_t one = (uint64_t)(int64_t)sign;

	if (e->absent)
		return;
	inst->entries += one;
	if (e->volume < inst->n_volumes)
		inst->volumes[e->volume].entries += one;
	if (S_ISREG(e->mode)) {
		inst->files += one;
		if (e->digest_kind == HERD_DIGEST_SHA256)
			inst->bytes += one * e->size;
	}
}

static int note_came(struct herd_storing *st, uint32_t path,
		     const struct herd_variant *variant)
{
	if (st->n_came == st->cap_came) {
		size_t cap = st->cap_came ? st->cap_came * 2 : 256;
		struct herd_came *v = reallocarray(st->came, cap, sizeof(*v));

		if (!v)
			return -ENOMEM;
		st->came = v;
		st->cap_came = cap;
	}
	st->came[st->n_came++] = (struct herd_came){ path, *variant };
	return 0;
}

/*
 * Tallies what a member has at a path where it differs from the reference.
 * Who differs by its own tokens alone is counted too, with the reference's
 * variant: the tally tells that there is something to be seen.
 */
static int tally(struct herd_storing *st, uint32_t path,
		 const struct herd_entry *own, const struct herd_entry *ref)
{
	struct herd_variant mine, theirs;

	herd_variant_of(own, &mine);
	herd_variant_of(ref, &theirs);
	if (herd_variant_equal(&mine, &theirs))
		return S_ISREG(own->mode) && !own->absent && !own->size ?
			       herd_examine(st->s->examiner, st->t, st->inst,
					    path, own, ref) : 0;
	int err = herd_examine(st->s->examiner, st->t, st->inst, path, own, ref);

	if (err || st->inst->role != HERD_ROLE_MEMBER)
		return err;
	err = herd_variant_against(st->t, st->inst->id, st->s->reference.id,
				   path, own, ref, &mine);
	if (!err)
		err = herd_tally_add(st->t, st->inst->group, path, &mine,
				     st->inst->id, 1);
	return err ? err : note_came(st, path, &mine);
}

static int put_difference(struct herd_storing *st,
			  const struct herd_storing_item *item)
{
	struct herd_entry own, ref = { .absent = true };
	const void *bytes = NULL;
	size_t len = 0;
	int err = herd_entry_get_bytes(st->t, st->s->reference.id, item->path,
				       &bytes, &len);

	if (err && err != -ENOENT)
		return err;
	if (!err && len == item->rec->len &&
	    !memcmp(bytes, item->rec->encoded, len))
		return 0;
	if (!err)
		err = herd_entry_decode(bytes, len, &ref);
	else
		err = 0;
	if (!err)
		err = herd_entry_decode(item->rec->encoded, item->rec->len, &own);
	if (err)
		return err;
	account(st, &ref, -1);
	account(st, &own, 1);
	err = tally(st, item->path, &own, &ref);
	return err ? err : herd_entry_put(st->t, st->inst->id, item->path,
					  item->rec->encoded, item->rec->len);
}

static int put_absent(struct herd_storing *st, uint32_t path)
{
	CLEANUP_BUF struct herd_buf bytes = HERD_BUF_INIT;
	struct herd_entry own = { .absent = true }, ref;
	int err = herd_entry_get_own(st->t, st->s->reference.id, path, &ref);

	if (err)
		return err == -ENOENT ? 0 : err;
	account(st, &ref, -1);
	err = tally(st, path, &own, &ref);
	if (!err)
		err = herd_entry_encode_absent(&bytes);
	return err ? err : herd_entry_put(st->t, st->inst->id, path, bytes.data,
					  bytes.len);
}

/* Both in ascending order of path, as the store likes it. */
static int put_differences(struct herd_storing *st)
{
	CLEANUP_FREE uint64_t *gone = NULL;
	size_t n_gone = 0, g = 0;
	int err = herd_idmap_keys(&st->absent, &gone, &n_gone);

	for (size_t i = 0; i < st->n && !err; i++) {
		for (; g < n_gone && gone[g] < st->items[i].path && !err; g++)
			err = put_absent(st, (uint32_t)gone[g]);
		if (!err)
			err = put_difference(st, &st->items[i]);
	}
	for (; g < n_gone && !err; g++)
		err = put_absent(st, (uint32_t)gone[g]);
	return err;
}

static int put_all(struct herd_storing *st)
{
	struct herd_entry own;
	int err = 0;

	for (size_t i = 0; i < st->n && !err; i++) {
		const struct herd_rec *rec = st->items[i].rec;

		err = herd_entry_decode(rec->encoded, rec->len, &own);
		if (err)
			break;
		account(st, &own, 1);
		err = herd_entry_put(st->t, st->inst->id, st->items[i].path,
				     rec->encoded, rec->len);
	}
	return err;
}

/* ---- problems ---- */

static int by_problem(const void *a, const void *b)
{
	const struct herd_problem_row *x = a, *y = b;
	size_t n = x->path_len < y->path_len ? x->path_len : y->path_len;
	int c = memcmp(x->path ? x->path : "", y->path ? y->path : "", n);

	if (!c && x->path_len != y->path_len)
		c = x->path_len < y->path_len ? -1 : 1;
	return c ? c : strcmp(x->text, y->text);
}

/* What the reference could not give either, at a place that has not changed. */
static int on_reference_problem(void *arg, const char *path, size_t path_len,
				const char *text, size_t text_len)
{
	struct herd_storing *st = arg;
	CLEANUP_FREE char *p = strndup(path, path_len);
	struct herd_entry e;
	uint32_t id = 0;

	int err = herd_path_resolve(st->t, path, path_len, &id);

	if (!err)
		err = herd_entry_get_own(st->t, st->s->reference.id, id, &e);
	if (err)
		return err == -ENOENT ? 0 : err;
	if (e.volume >= st->s->n_volumes || !st->s->volumes[e.volume].delta ||
	    herd_storing_has(st, id) || herd_idmap_get(&st->absent, id))
		return 0;
	return p ? herd_scan_problem(st->s, HERD_NO_NODE, p, "%.*s",
				     (int)text_len, text) : -ENOMEM;
}

static int put_problems(struct herd_storing *st)
{
	struct herd_scan *s = st->s;
	size_t before = s->n_problems;
	int err = 0;

	for (size_t i = 0; i < st->n && !err; i++) {
		const struct herd_rec *rec = st->items[i].rec;

		if (rec->problem)
			err = herd_scan_problem(s, st->items[i].node, NULL, "%s",
						rec->problem);
		else if (rec->expects && memcmp(rec->digest, rec->expected,
						sizeof(rec->digest)) != 0)
			err = herd_scan_problem(s, st->items[i].node, NULL,
				"content is not the reference's, though all of its metadata is");
	}
	if (!err && s->any_delta)
		err = herd_problem_each(st->t, s->reference.id,
					on_reference_problem, st);
	if (err)
		return err;
	CLEANUP_FREE struct herd_problem_row *rows =
		malloc((s->n_problems + 1) * sizeof(*rows));

	if (!rows)
		return -ENOMEM;
	if (s->n_problems)
		memcpy(rows, s->problems, s->n_problems * sizeof(*rows));
	qsort(rows, s->n_problems, sizeof(*rows), by_problem);
	for (size_t i = 0; i < s->n_problems && !err; i++) {
		if (i && !by_problem(&rows[i - 1], &rows[i]))
			continue;
		st->inst->problems++;
		err = herd_problem_add(st->t, st->inst->id, rows[i].path,
				       rows[i].path_len, rows[i].text);
	}
	/* what was added here would be added again by a second try */
	while (s->n_problems > before) {
		s->n_problems--;
		free(s->problems[s->n_problems].path);
		free(s->problems[s->n_problems].text);
	}
	return err;
}

/* ---- the whole ---- */

static void start_figures(struct herd_storing *st)
{
	struct herd_instance *inst = st->inst;
	const struct herd_instance *ref = &st->s->reference;
	bool fresh = is_reference(st);

	inst->entries = fresh ? 0 : ref->entries;
	inst->files = fresh ? 0 : ref->files;
	inst->bytes = fresh ? 0 : ref->bytes;
	inst->problems = 0;
	for (size_t i = 0; i < inst->n_volumes; i++)
		inst->volumes[i].entries = fresh || i >= ref->n_volumes
			? 0 : ref->volumes[i].entries;
}

static void finish_figures(struct herd_storing *st)
{
	struct herd_scan *s = st->s;
	struct herd_instance *inst = st->inst;

	inst->hashed_files = inst->hashed_bytes = 0;
	for (size_t i = 0; i < s->n_recs; i++) {
		const struct herd_rec *rec = herd_scan_rec_at(s, i);

		if (!rec->hashed)
			continue;
		inst->hashed_files++;
		if (rec->digest_kind == HERD_DIGEST_SHA256)
			inst->hashed_bytes += rec->size;
	}
	inst->inherited_files = inst->files > inst->hashed_files && !is_reference(st)
		? inst->files - inst->hashed_files : 0;
	inst->inherited_bytes = inst->bytes > inst->hashed_bytes && !is_reference(st)
		? inst->bytes - inst->hashed_bytes : 0;
}

static int put_group(struct herd_storing *st, struct herd_group *g)
{
	if (is_reference(st))
		g->reference = st->inst->id;
	if (st->inst->role == HERD_ROLE_BASELINE)
		g->baseline = st->inst->id;
	else
		g->members++;
	return herd_group_put(st->t, g);
}

static int store_in(struct herd_storing *st, struct herd_diag *diag)
{
	struct herd_scan *s = st->s;
	struct herd_group g;
	int err = s->replaces ? herd_instance_remove(st->t, s->replaces) : 0;

	if (!err)
		err = herd_group_make(st->t, s->a->group, &g);
	if (err)
		return herd_diag_set(diag, err, s->a->group, HERD_NO_OFFSET,
				     "not a usable group name");
	st->inst->id = 0;
	st->inst->group = g.id;
	herd_examine_begin(s->examiner);
	start_figures(st);
	err = herd_instance_put(st->t, st->inst);
	if (!err)
		err = herd_storing_intern(st);
	if (!err)
		err = herd_storing_drop_doubles(st);
	if (!err && is_reference(st))
		err = herd_storing_put_maps(st);
	if (!err && !is_reference(st))
		err = herd_storing_find_absents(st);
	/* until here nothing needed a digest: hashing went on meanwhile */
	if (!err)
		err = herd_hash_pool_wait(s->pool, -1, NULL);
	if (!err)
		err = is_reference(st) ? put_all(st) : put_differences(st);
	if (!err && !is_reference(st))
		err = herd_examine_packages(s->examiner, st->t, st->inst);
	if (!err)
		err = herd_examiner_put_tokens(s->examiner, st->t, st->inst->id);
	if (!err)
		err = put_problems(st);
	if (!err)
		err = herd_scan_check_disks(s, diag);
	if (!err)
		err = herd_partial_drop(st->t, s->key);
	if (!err)
		err = put_group(st, &g);
	if (!err)
		err = st->inst->role == HERD_ROLE_BASELINE ?
			      herd_ledger_drop(st->t, g.id) :
			      herd_ledger_join(st->t, &g, st->inst->id,
					       st->came, st->n_came);
	finish_figures(st);
	return err ? err : herd_instance_put(st->t, st->inst);
}

struct store_call {
	struct herd_scan *s;
	struct herd_instance *inst;
};

static int store_once(struct herd_txn *t, void *arg, struct herd_diag *diag)
{
	struct store_call *call = arg;
	struct herd_storing st = { .s = call->s, .inst = call->inst, .t = t };
	struct herd_txn *reading = call->s->txn;

	call->s->txn = t;	/* for paths in messages */
	int err = store_in(&st, diag);

	call->s->txn = reading;
	free(st.items);
	free(st.came);
	herd_idmap_deinit(&st.absent);
	return err;
}

int herd_scan_store(struct herd_scan *s, struct herd_instance *inst,
		    struct herd_diag *diag)
{
	struct store_call call = { s, inst };

	return herd_store_update(s->store, store_once, &call, diag);
}
