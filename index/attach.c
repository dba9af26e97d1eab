/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Indexing one instance, from opened disks to a record in the store: what
 * volumes there are, where they belong, whether the reference can help, and
 * in which way each is read.
 */
#include "index/attach.h"

#include "acquire/base/cleanup.h"
#include "acquire/base/sha256.h"
#include "index/examine.h"
#include "index/scan.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* With less than this left to hash, records are prepared meanwhile, in the
   transaction that stores them. With more, checkpoints come first. */
#define STORE_WHEN_LEFT (1ull << 30)
/* Content that files of a volume may claim, beyond its size. */
#define BUDGET_FACTOR 4
#define BUDGET_FLOOR (1ull << 30)

static void stage(const struct herd_attach *a, enum herd_stage what)
{
	if (!a->progress)
		return;
	a->progress->stage = what;
	a->progress->beat++;
}

/* ---- what is there already ---- */

static bool same_images(const struct herd_instance *i,
			const struct herd_attach *a)
{
	if (i->n_disks != a->n_disks)
		return false;
	for (size_t d = 0; d < a->n_disks; d++) {
		const struct herd_image *x = &i->disks[d], *y = &a->images[d];

		if (strcmp(x->format, y->format) || x->n_files != y->n_files)
			return false;
		/* a snapshot is known by its name, and by nothing else */
		if (herd_image_is_remote(x) &&
		    strcmp(x->files[0].path, y->files[0].path))
			return false;
		for (size_t f = 0; f < x->n_files; f++)
			if (x->files[f].size != y->files[f].size ||
			    x->files[f].mtime_sec != y->files[f].mtime_sec ||
			    x->files[f].mtime_nsec != y->files[f].mtime_nsec ||
			    memcmp(x->files[f].ends, y->files[f].ends,
				   sizeof(x->files[f].ends)))
				return false;
	}
	return true;
}

static bool same_disks(const struct herd_instance *i, const struct herd_attach *a)
{
	if (!same_images(i, a))
		return false;
	for (uint32_t d = 0; d < a->n_disks; d++)
		if (!herd_scan_same_volumes(i, d, a->disks[d]))
			return false;
	return true;
}

/* 1: attached already with the same images; *ret filled. */
static int find_existing(struct herd_scan *s, struct herd_instance *ret,
			 struct herd_diag *diag)
{
	const struct herd_attach *a = s->a;
	struct herd_instance inst = { 0 };
	int err = herd_group_find(s->txn, a->group, &s->group);

	if (err)
		return err == -ENOENT ? 0 : err;
	err = herd_instance_find(s->txn, s->group.id, a->instance, &inst);
	if (err && err != -ENOENT)
		return err;
	if (!err && !inst.detached) {
		if (same_disks(&inst, a) && inst.role == a->role && a->verify) {
			s->replaces = inst.id;
			herd_instance_deinit(&inst);
			return herd_instance_get(s->txn, s->group.reference,
						 &s->reference);
		}
		if (same_disks(&inst, a) && inst.role == a->role) {
			if (ret)
				*ret = inst;
			else
				herd_instance_deinit(&inst);
			return 1;
		}
		herd_instance_deinit(&inst);
		return herd_diag_set(diag, -EEXIST, a->instance, HERD_NO_OFFSET,
				     "is attached to %s already, with other images: detach it first",
				     a->group);
	}
	if (!err)
		herd_instance_deinit(&inst);
	if (a->verify)
		return herd_diag_set(diag, -ENOENT, a->instance, HERD_NO_OFFSET,
				     "is not attached to %s", a->group);
	if (a->role == HERD_ROLE_BASELINE && s->group.baseline)
		return herd_diag_set(diag, -EEXIST, a->instance, HERD_NO_OFFSET,
				     "%s has a baseline already: detach it first",
				     a->group);
	return s->group.reference
		? herd_instance_get(s->txn, s->group.reference, &s->reference)
		: 0;
}

/* What an interrupted attach of the same disks would have: see scan.h. */
static void disks_key(const struct herd_scan *s, uint8_t key[32])
{
	const struct herd_attach *a = s->a;
	struct herd_sha256 *h = herd_sha256_create();

	if (!h)
		abort();
	herd_sha256_update(h, a->group, strlen(a->group) + 1);
	herd_sha256_update(h, a->instance, strlen(a->instance) + 1);
	for (size_t i = 0; i < s->n_volumes; i++)
		herd_sha256_update(h, s->volumes[i].head,
				   sizeof(s->volumes[i].head));
	for (size_t d = 0; d < a->n_disks; d++) {
		const struct herd_image *img = &a->images[d];

		herd_sha256_update(h, img->format, strlen(img->format) + 1);
		for (size_t f = 0; f < img->n_files; f++) {
			const struct herd_image_file *file = &img->files[f];

			herd_sha256_update(h, file->path, strlen(file->path) + 1);
			herd_sha256_update(h, &file->size, sizeof(file->size));
			herd_sha256_update(h, &file->mtime_sec,
					   sizeof(file->mtime_sec));
			herd_sha256_update(h, &file->mtime_nsec,
					   sizeof(file->mtime_nsec));
			herd_sha256_update(h, file->ends, sizeof(file->ends));
		}
	}
	herd_sha256_final(h, key);
	herd_sha256_destroy(h);
}

/* ---- volumes ---- */

/*
 * A partition without a file system that we know is shown as such; when it
 * may hold files that we cannot read, it is a problem.
 */
static int note_unopened(struct herd_scan *s, struct herd_scan_volume *v,
			 int why, struct herd_diag *diag)
{
	char where[64], text[1024];
	bool nothing = why == -ENODATA;

	diag->source[0] = '\0';
	herd_diag_format(diag, why, text, sizeof(text));
	snprintf(v->note, sizeof(v->note), "%.200s%s%.300s", v->part.type,
		 v->part.type[0] ? ": " : "",
		 nothing ? "no file system" : text);
	if (nothing)
		return 0;
	snprintf(where, sizeof(where), ".volumes/%u/p%u", v->disk,
		 v->part.number);
	return herd_scan_problem(s, HERD_NO_NODE, where,
				 "volume not read: %s", text);
}

static int open_volume(struct herd_scan *s, uint32_t disk,
		       const struct herd_partition *part)
{
	struct herd_scan_volume *bigger = realloc(s->volumes,
		(s->n_volumes + 1) * sizeof(*bigger));
	struct herd_source *source = s->a->disks[disk];
	struct herd_diag diag;
	char name[320];

	if (!bigger)
		return -ENOMEM;
	s->volumes = bigger;
	struct herd_scan_volume *v = &s->volumes[s->n_volumes];

	*v = (struct herd_scan_volume){ .index = s->n_volumes, .disk = disk,
					.part = *part,
					.budget = BUDGET_FLOOR +
						BUDGET_FACTOR * part->len };
	herd_diag_clear(&diag);
	snprintf(name, sizeof(name), "%s:p%u", source->name, part->number);
	int err = herd_source_window(source, name, part->start, part->len,
				     &v->source);

	/* unreadable: zeros, and what opens the volume will say so */
	if (!err)
		herd_volume_head(source, part->start, part->len, v->head, NULL);

	if (err)
		return err;
	s->n_volumes++;
	/* a file in the page cache needs no second one */
	if (!source->ops->map)
		err = herd_source_cached(v->source, &v->cached);
	if (err)
		return err;
	err = herd_volume_open(v->cached ? v->cached : v->source, &v->volume,
			       &diag);
	if (err == -ENOMEM)
		return err;
	if (err)
		return note_unopened(s, v, err, &diag);
	snprintf(v->fs, sizeof(v->fs), "%s", v->volume->fs);
	snprintf(v->note, sizeof(v->note), "%s", v->volume->note);
	return 0;
}

static int open_disk(struct herd_scan *s, uint32_t disk, struct herd_diag *diag)
{
	CLEANUP_FREE struct herd_partition *parts = NULL;
	struct herd_diag note;
	size_t n = 0;

	herd_diag_clear(&note);
	int err = herd_partitions(s->a->disks[disk], &parts, &n, &note);

	if (err) {
		if (diag)
			*diag = note;
		return err;
	}
	if (note.message[0]) {
		char where[32], text[1024];

		snprintf(where, sizeof(where), ".volumes/%u", disk);
		note.source[0] = '\0';
		err = herd_scan_problem(s, HERD_NO_NODE, where, "%s",
					herd_diag_format(&note, 0, text,
							 sizeof(text)));
	}
	for (size_t i = 0; i < n && !err; i++)
		err = open_volume(s, disk, &parts[i]);
	return err;
}

/* At least one file system must be readable, or there is nothing to index. */
static int require_volume(struct herd_scan *s, struct herd_diag *diag)
{
	const char *why = "no partition and no file system";

	for (size_t i = 0; i < s->n_volumes; i++)
		if (s->volumes[i].volume)
			return 0;
	for (size_t i = 0; i < s->n_volumes; i++)
		if (s->volumes[i].note[0])
			why = s->volumes[i].note;
	return herd_diag_set(diag, -EOPNOTSUPP, s->a->disks[0]->name,
			     s->n_volumes ? s->volumes[0].part.start
					  : HERD_NO_OFFSET,
			     "no file system that can be read (%s)", why);
}

static int lay_out(struct herd_scan *s, struct herd_diag *diag)
{
	CLEANUP_FREE struct herd_volume_place *places =
		calloc(s->n_volumes, sizeof(*places));
	size_t n = 0;

	if (!places)
		return -ENOMEM;
	for (size_t i = 0; i < s->n_volumes; i++)
		if (s->volumes[i].volume)
			places[n++] = (struct herd_volume_place){
				.disk = s->volumes[i].disk,
				.partition = s->volumes[i].part.number,
				.volume = s->volumes[i].volume,
				.part = &s->volumes[i].part };
	int err = herd_layout(places, n, herd_volume_read_file, diag);

	n = 0;
	for (size_t i = 0; i < s->n_volumes && !err; i++)
		if (s->volumes[i].volume)
			snprintf(s->volumes[i].mount,
				 sizeof(s->volumes[i].mount), "%s",
				 places[n++].mount);
	return err;
}

static int open_volumes(struct herd_scan *s, struct herd_diag *diag)
{
	int err = 0;

	for (uint32_t d = 0; d < s->a->n_disks && !err; d++)
		err = open_disk(s, d, diag);
	if (!err)
		err = require_volume(s, diag);
	return err ? err : lay_out(s, diag);
}

/* What the images themselves say against being believed. */
static int note_warnings(struct herd_scan *s)
{
	int err = 0;

	for (uint32_t d = 0; d < s->a->n_disks && !err; d++) {
		const char *warning = s->a->images[d].warning;
		char where[32];

		snprintf(where, sizeof(where), ".volumes/%u", d);
		if (warning)
			err = herd_scan_problem(s, HERD_NO_NODE, where, "%s",
						warning);
	}
	return err;
}

/* ---- reading ---- */

static void drop_since(struct herd_scan *s, size_t nodes, size_t absents,
		       size_t problems)
{
	s->n_nodes = nodes;
	s->n_absents = absents;
	while (s->n_problems > problems) {
		s->n_problems--;
		free(s->problems[s->n_problems].path);
		free(s->problems[s->n_problems].text);
	}
}

static int scan_volume(struct herd_scan *s, struct herd_scan_volume *v,
		       struct herd_diag *diag)
{
	size_t nodes = s->n_nodes, absents = s->n_absents,
	       problems = s->n_problems;

	if (v->have_changed && s->same_layout &&
	    (v->volume->features & HERD_VOLUME_INCREMENTAL)) {
		int err = herd_scan_delta(s, v, diag);

		if (err != -EAGAIN) {
			v->delta = s->any_delta = true;
			return err;
		}
		drop_since(s, nodes, absents, problems);
	}
	return herd_scan_full(s, v);
}

/*
 * Directories that exist only because something is mounted below them. Where
 * a volume was read by its changes, the reference has those that are needed.
 */
static int fill_premade(struct herd_scan *s)
{
	for (size_t i = 0; i < s->n_premade && !s->any_delta; i++) {
		struct herd_node *n = &s->nodes[s->premade[i].node];
		uint32_t volume = s->premade[i].volume;

		if (n->rec)
			continue;
		for (size_t k = 0; volume == UINT32_MAX && k < s->n_volumes; k++)
			if (s->volumes[k].volume)
				volume = k;
		int err = herd_scan_rec_synthetic(s, volume, &n->rec);

		if (err)
			return err;
	}
	return 0;
}

static int scan_all(struct herd_scan *s, struct herd_diag *diag)
{
	stage(s->a, HERD_STAGE_READ);
	int err = herd_scan_premade(s);

	for (size_t i = 0; i < s->n_volumes && !err; i++) {
		if (!s->volumes[i].volume)
			continue;
		err = scan_volume(s, &s->volumes[i], diag);
		herd_scan_want(s, &s->volumes[i]);
	}
	return err ? err : fill_premade(s);
}

static int hash_most(struct herd_scan *s, struct herd_diag *diag)
{
	uint64_t left = 0;

	stage(s->a, HERD_STAGE_HASH);
	for (;;) {
		int err = herd_hash_pool_wait(s->pool, 0, &left);

		if (err || left < STORE_WHEN_LEFT)
			return err;
		err = herd_hash_pool_wait(s->pool, 500, &left);
		if (!err)
			err = herd_scan_checkpoint(s, false, diag);
		if (err)
			return err;
	}
}

/* ---- the record ---- */

static int dup_string(const char *from, char **ret)
{
	*ret = strdup(from);
	return *ret ? 0 : -ENOMEM;
}

static int copy_image(const struct herd_image *from, struct herd_image *to)
{
	to->size = from->size;
	to->files = calloc(from->n_files + 1, sizeof(*to->files));
	int err = to->files ? dup_string(from->format, &to->format) : -ENOMEM;

	for (size_t i = 0; i < from->n_files && !err; i++) {
		to->files[i] = from->files[i];
		err = dup_string(from->files[i].path, &to->files[i].path);
		to->n_files++;
	}
	return err;
}

static int describe_volume(const struct herd_scan_volume *v, bool verified,
			   struct herd_stored_volume *out)
{
	const struct herd_volume *vol = v->volume;
	int err = dup_string(v->fs, &out->fs);

	out->disk = v->disk;
	out->partition = v->part.number;
	out->start = v->part.start;
	out->len = v->part.len;
	if (!err)
		err = dup_string(vol ? vol->uuid : "", &out->uuid);
	if (!err)
		err = dup_string(vol ? vol->label : "", &out->label);
	if (!err)
		err = dup_string(v->mount, &out->mount);
	if (!err)
		err = dup_string(v->note, &out->note);
	if (vol) {
		out->block_size = vol->block_size;
		memcpy(out->geometry, vol->geometry, sizeof(out->geometry));
	}
	memcpy(out->head, v->head, sizeof(out->head));
	out->basis = v->basis == HERD_BASIS_METADATA && verified ?
			     HERD_BASIS_CONTENT : v->basis;
	return err;
}

static int describe(const struct herd_scan *s, struct herd_instance *inst)
{
	const struct herd_attach *a = s->a;
	int err = 0;

	inst->role = a->role;
	inst->attached = a->now;
	snprintf(inst->name, sizeof(inst->name), "%s", a->instance);
	inst->disks = calloc(a->n_disks, sizeof(*inst->disks));
	inst->volumes = calloc(s->n_volumes, sizeof(*inst->volumes));
	if (!inst->disks || !inst->volumes)
		return -ENOMEM;
	for (size_t i = 0; i < a->n_disks && !err; i++) {
		inst->n_disks++;
		err = copy_image(&a->images[i], &inst->disks[i]);
	}
	for (size_t i = 0; i < s->n_volumes && !err; i++) {
		inst->n_volumes++;
		err = describe_volume(&s->volumes[i], a->verify,
				      &inst->volumes[i]);
	}
	return err;
}

/* ---- the whole ---- */

static void scan_deinit(struct herd_scan *s)
{
	herd_hash_pool_destroy(s->pool);
	herd_txn_abort(s->txn);
	herd_examiner_destroy(s->examiner);
	for (size_t i = 0; i < s->n_volumes; i++) {
		herd_volume_destroy(s->volumes[i].volume);
		herd_source_destroy(s->volumes[i].cached);
		herd_source_destroy(s->volumes[i].source);
		herd_extents_deinit(&s->volumes[i].changed);
		herd_extents_deinit(&s->volumes[i].soon);
		herd_idmap_deinit(&s->volumes[i].recs);
	}
	for (size_t i = 0; i < s->n_recs; i++)
		free(herd_scan_rec_at(s, i)->problem);
	for (size_t i = 0; i < s->n_slabs; i++)
		free(s->slabs[i]);
	drop_since(s, 0, 0, 0);
	free(s->slabs);
	free(s->volumes);
	free(s->nodes);
	herd_buf_deinit(&s->names);
	free(s->premade);
	free(s->absents);
	free(s->owners);
	free(s->problems);
	free(s->reference_disks);
	herd_instance_deinit(&s->reference);
}

static int run(struct herd_scan *s, struct herd_instance *inst,
	       struct herd_diag *diag)
{
	int err = open_volumes(s, diag);

	if (!err)
		err = note_warnings(s);
	if (err)
		return err;
	disks_key(s, s->key);
	s->resuming = true;
	if (!herd_scan_is_reference(s)) {
		stage(s->a, HERD_STAGE_COMPARE);
		err = herd_scan_compare(s);
	}
	if (!err)
		err = herd_hash_pool_create(s->a->threads, s->a->progress,
					    &s->pool);
	if (!err)
		err = herd_examiner_create(s, &s->examiner);
	if (!err)
		err = scan_all(s, diag);
	if (!err)
		err = hash_most(s, diag);
	if (!err)
		err = describe(s, inst);
	if (err)
		return err;
	stage(s->a, HERD_STAGE_STORE);
	/* an old snapshot would keep the pages that it sees from being reused */
	herd_txn_abort(TAKE_PTR(s->txn));
	err = herd_scan_store(s, inst, diag);
	if (!err)
		stage(s->a, HERD_STAGE_DONE);
	return err;
}

static int attach_with(struct herd_scan *s, struct herd_instance *ret,
		       struct herd_diag *diag)
{
	struct herd_instance inst = { 0 };
	int err = herd_txn_begin(s->store, false, &s->txn, diag);

	if (!err)
		err = find_existing(s, ret, diag);
	if (err)
		return err < 0 ? err : 0;
	err = run(s, &inst, diag);
	if (!err && ret)
		*ret = inst;
	else
		herd_instance_deinit(&inst);
	return err;
}

int herd_attach(struct herd_store *store, const struct herd_attach *a,
		struct herd_instance *ret, struct herd_diag *diag)
{
	struct herd_attach with = *a;
	struct herd_scan s = { .store = store, .a = &with };

	if (!with.threads) {
		long cores = sysconf(_SC_NPROCESSORS_ONLN);

		with.threads = cores > 0 && cores < 256 ? (unsigned)cores : 1;
	}
	stage(&with, HERD_STAGE_OPEN);
	int err = attach_with(&s, ret, diag);

	scan_deinit(&s);
	if (err)
		herd_diag_set(diag, err, a->instance, HERD_NO_OFFSET,
			      "not attached: %s", strerror(-err));
	return err;
}
