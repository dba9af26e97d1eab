/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The reference's part in indexing another instance: which volumes the two
 * have in common, and in which bytes their disks differ.
 */
#include "index/attach.h"
#include "index/scan.h"

#include <stdio.h>
#include <string.h>

bool herd_scan_same_volumes(const struct herd_instance *i, uint32_t disk,
			    struct herd_source *source)
{
	static const uint8_t unknown[32];

	for (size_t k = 0; k < i->n_volumes; k++) {
		const struct herd_stored_volume *v = &i->volumes[k];
		uint8_t head[32];

		if (v->disk != disk ||
		    !memcmp(v->head, unknown, sizeof(unknown)))
			continue;
		if (herd_volume_head(source, v->start, v->len, head, NULL) ||
		    memcmp(v->head, head, sizeof(head)))
			return false;
	}
	return true;
}

static void pair_volumes(struct herd_scan *s)
{
	const struct herd_instance *ref = &s->reference;

	s->same_layout = s->n_volumes == ref->n_volumes;
	for (size_t i = 0; i < s->n_volumes; i++) {
		struct herd_scan_volume *v = &s->volumes[i];
		const struct herd_stored_volume *r =
			i < ref->n_volumes ? &ref->volumes[i] : NULL;

		if (!r || strcmp(r->mount, v->mount) || strcmp(r->fs, v->fs)) {
			s->same_layout = false;
			continue;
		}
		v->paired = v->volume && r->disk == v->disk &&
			    r->partition == v->part.number &&
			    r->start == v->part.start &&
			    r->len == v->part.len &&
			    !memcmp(r->geometry, v->volume->geometry,
				    sizeof(r->geometry));
	}
}

/*
 * Block status speaks of clusters, sixteen blocks (of EBS 128) and hundreds of
 * inodes each: reading those that changed is cheaper than looking into all that
 * they hold. Unless the reference's would have to be fetched for it.
 */
static int find_changed(struct herd_scan *s, struct herd_source *disk,
			struct herd_source *ref,
			const struct herd_extents *within,
			struct herd_extents *ret, bool *ret_compared,
			struct herd_diag *diag)
{
	struct herd_extents clusters = { 0 };
	uint64_t compared = 0;
	int err = herd_source_diff(disk, ref, within, s->a->threads, &clusters,
				   &compared, diag);

	*ret_compared = compared;
	if (!err && !compared && clusters.n)
		herd_source_want(disk, &clusters);
	if (!err && !compared && clusters.n &&
	    herd_source_at_hand(ref, &clusters)) {
		err = herd_source_compare(disk, ref, &clusters, s->a->threads,
					  ret, diag);
	} else if (!err) {
		*ret = clusters;
		return 0;
	}
	herd_extents_deinit(&clusters);
	return err;
}

/*
 * Nothing is lost by it but time. Still whoever reads the record is told: it
 * may be the reference's image that is damaged, or not the one any more that
 * all others were held against.
 */
static int note_in_full(struct herd_scan *s, const char *where, const char *why)
{
	return herd_scan_problem(
		s, HERD_NO_NODE, where,
		"compared not block by block but in full, because %s", why);
}

static int note_disk_in_full(struct herd_scan *s, uint32_t disk,
			     const char *why)
{
	char where[32];

	snprintf(where, sizeof(where), ".volumes/%u", disk);
	return note_in_full(s, where, why);
}

/* Which bytes of a disk differ, handed to its paired volumes. */
static int compare_disk(struct herd_scan *s, uint32_t disk,
			struct herd_diag *diag)
{
	struct herd_extents within = { 0 }, changed = { 0 };
	struct herd_source *ref = NULL;
	bool compared = false;
	int err = 0;

	if (disk < s->n_reference_disks)
		ref = s->reference_disks[disk];
	for (size_t i = 0; i < s->n_volumes && !err; i++)
		if (s->volumes[i].disk == disk && s->volumes[i].paired)
			err = herd_extents_add(&within,
					       s->volumes[i].part.start,
					       s->volumes[i].part.len);
	if (!err && within.n && !ref && disk < s->n_reference_disks &&
	    s->a->reference_disks[disk])
		err = herd_diag_set(
			diag, -ESTALE, s->a->reference_disks[disk]->name,
			HERD_NO_OFFSET,
			"not what was indexed as disk %u of the reference %s",
			disk, s->reference.name);
	if (!err && !ref && within.n && s->a->disks[disk]->ops->remote)
		err = -EOPNOTSUPP;
	if (!err && ref && within.n) {
		herd_extents_normalise(&within);
		err = find_changed(s, s->a->disks[disk], ref, &within, &changed,
				   &compared, diag);
		for (size_t i = 0; i < s->n_volumes && !err; i++) {
			struct herd_scan_volume *v = &s->volumes[i];

			if (v->disk != disk || !v->paired)
				continue;
			err = herd_extents_window(&changed, v->part.start,
						  v->part.len, &v->changed);
			v->have_changed = !err;
			v->basis = compared ? HERD_BASIS_CONTENT :
					      HERD_BASIS_BLOCKS;
		}
	}
	herd_extents_deinit(&within);
	herd_extents_deinit(&changed);
	return err;
}

/*
 * What cannot be compared but over the network is not read in full either: a
 * file whose inode is the reference's to the last bit is taken over, and that
 * is said. Only where a file system keeps a time of change that programs
 * cannot set.
 */
static void take_provisionally(struct herd_scan *s, uint32_t disk)
{
	for (size_t i = 0; i < s->n_volumes; i++) {
		struct herd_scan_volume *v = &s->volumes[i];

		if (v->disk == disk && v->paired &&
		    (v->volume->features & HERD_VOLUME_INCREMENTAL))
			v->basis = HERD_BASIS_METADATA;
	}
}

/* Of the reference's disks, those that are what was indexed. */
static int take_reference_disks(struct herd_scan *s)
{
	size_t n = s->a->n_reference_disks;

	s->reference_disks = calloc(n + 1, sizeof(*s->reference_disks));
	if (!s->reference_disks)
		return -ENOMEM;
	s->n_reference_disks = n;
	for (uint32_t d = 0; d < n; d++)
		if (s->a->reference_disks[d] &&
		    herd_scan_same_volumes(&s->reference, d,
					   s->a->reference_disks[d]))
			s->reference_disks[d] = s->a->reference_disks[d];
	return 0;
}

static int note_missing_reference(struct herd_scan *s)
{
	char why[1400];

	snprintf(why, sizeof(why),
		 "the images of the reference %s are not to be had (%s)",
		 s->reference.name, s->a->no_reference);
	return note_in_full(s, ".volumes", why);
}

/*
 * Where the network or the fetcher went away meanwhile, what is in here are
 * gaps that the next run would not have, and siblings would inherit. A block
 * that cannot be had while others can is a problem of its own.
 */
int herd_scan_check_disks(const struct herd_scan *s, struct herd_diag *diag)
{
	int err = 0;

	for (uint32_t d = 0; d < s->a->n_disks && !err; d++)
		err = herd_source_lost(s->a->disks[d], diag);
	return err;
}

/*
 * Without the comparison nothing is lost but time: a reference image that
 * fails now is no reason to refuse this instance.
 */
int herd_scan_compare(struct herd_scan *s)
{
	if (take_reference_disks(s))
		return -ENOMEM;
	pair_volumes(s);

	bool provisional = s->a->n_disks && s->a->disks[0]->ops->remote &&
			   !s->a->read_all;
	int err = s->a->no_reference && !provisional ?
			  note_missing_reference(s) : 0;

	for (uint32_t d = 0; d < s->a->n_disks && !err; d++) {
		struct herd_diag diag;
		char text[1024];

		herd_diag_clear(&diag);
		err = compare_disk(s, d, &diag);
		if (err == -EOPNOTSUPP && s->a->disks[d]->ops->remote &&
		    !s->a->read_all) {
			take_provisionally(s, d);
			err = 0;
		}
		if (err && err != -ENOMEM)
			err = note_disk_in_full(s, d,
						herd_diag_format(&diag, err,
								 text,
								 sizeof(text)));
	}
	return err;
}
