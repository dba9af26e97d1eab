/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A fresh instance: the snapshots of the image that the group launches. Those
 * of a public image cannot be read; then there is no baseline, and why.
 *
 * Threads: as acquire/capture.h says.
 */
#include "acquire/capture_impl.h"

#include "acquire/aws/ec2.h"
#include "acquire/base/cleanup.h"

#include <stdio.h>
#include <string.h>

static int without(struct herd_capturing *g, const char *source,
		   const char *why)
{
	return herd_diag_set(&g->c->baseline.diag, 0, source, HERD_NO_OFFSET,
			     "%s", why);
}

/* What most of its instances were launched from; they know best. */
static const char *image_of_most(const struct herd_asg *group)
{
	const char *best = "";
	size_t most = 0;

	for (size_t i = 0; i < group->n_instances; i++) {
		size_t n = 0;

		for (size_t k = 0; k < group->n_instances; k++)
			n += !strcmp(group->instances[k].image,
				     group->instances[i].image);
		if (n > most && group->instances[i].image[0]) {
			most = n;
			best = group->instances[i].image;
		}
	}
	return best;
}

/* The image of the group's launch template, else of its instances. */
static int find_image(struct herd_capturing *g,
		      char ret[HERD_AWS_ID_SIZE])
{
	const struct herd_asg_template *t = &g->group->template;
	struct herd_ec2_template version = { 0 };
	const char *id = t->id[0] ? t->id : NULL;
	int err = 0;

	if (id || t->name[0]) {
		err = herd_ec2_template_version(g->aws, id,
						id ? NULL : t->name,
						t->version[0] ? t->version :
								"$Default",
						false, &version,
						&g->c->baseline.diag);
		if (!err)
			snprintf(ret, HERD_AWS_ID_SIZE, "%s", version.image);
	}
	if (!ret[0])
		snprintf(ret, HERD_AWS_ID_SIZE, "%s",
			 image_of_most(g->group));
	return ret[0] ? 0 : err;
}

static int take_snapshot(struct herd_capturing *g, const char *id,
			 const char *device)
{
	CLEANUP(herd_ec2_snapshots_deinit) struct herd_ec2_snapshots found = { 0 };
	struct herd_captured *b = &g->c->baseline;
	struct herd_ec2_query q = { .ids = &id, .n_ids = 1 };
	struct herd_captured_disk *d;
	int err = herd_ec2_snapshots(g->aws, &q, &found, &b->diag);

	if (!err && !found.n)
		err = herd_diag_set(&b->diag, -EACCES, id, HERD_NO_OFFSET,
				    "the image's snapshot is not to be seen: it belongs to another account");
	if (!err)
		err = herd_ec2_snapshot_readable(&found.v[0], &b->diag);
	if (err)
		return err;
	d = reallocarray(b->disks, b->n_disks + 1, sizeof(*d));
	if (!d)
		return -ENOMEM;
	b->disks = d;
	d += b->n_disks++;
	*d = (struct herd_captured_disk){ .gib = found.v[0].gib,
					  .ready = true };
	snprintf(d->device, sizeof(d->device), "%s", device);
	snprintf(d->snapshot, sizeof(d->snapshot), "%s", id);
	return 0;
}

static int take_image(struct herd_capturing *g, const char *id)
{
	CLEANUP(herd_ec2_images_deinit) struct herd_ec2_images found = { 0 };
	struct herd_captured *b = &g->c->baseline;
	struct herd_ec2_query q = { .ids = &id, .n_ids = 1 };
	const struct herd_ec2_image *image;
	int err = herd_ec2_images(g->aws, &q, &found, &b->diag);

	if (err)
		return err;
	if (!found.n)
		return herd_diag_set(&b->diag, -ENOENT, id, HERD_NO_OFFSET,
				     "the image that the group launches is not to be seen");
	image = &found.v[0];
	snprintf(b->instance, sizeof(b->instance), "%s", id);
	if (image->is_public)
		return herd_diag_set(&b->diag, -EACCES, id, HERD_NO_OFFSET,
				     "a public image, whose snapshot cannot be read over EBS direct; copy the image, or launch an instance of it and give its snapshot with --baseline");
	for (int root = 1; root >= 0 && !err; root--)
		for (size_t i = 0; i < image->n_mappings && !err; i++) {
			const struct herd_ec2_mapping *m = &image->mappings[i];
			bool is_root = !strcmp(m->device, image->root_device);

			if (m->snapshot[0] && is_root == root)
				err = take_snapshot(g, m->snapshot, m->device);
		}
	if (!err && !b->n_disks)
		err = herd_diag_set(&b->diag, -ENODATA, id, HERD_NO_OFFSET,
				    "the image has no snapshots");
	return err;
}

int herd_capture_baseline(struct herd_capturing *g)
{
	const char *given = g->o->baseline;
	struct herd_captured *b = &g->c->baseline;
	char image[HERD_AWS_ID_SIZE] = "";
	int err;

	if (given && !strcmp(given, "none"))
		return without(g, "", "not wanted");
	if (given && !strncmp(given, "snap-", 5)) {
		err = take_snapshot(g, given, "");
	} else if (given) {
		err = take_image(g, given);
	} else {
		err = find_image(g, image);
		if (!err && !image[0])
			return without(g, g->o->group, "the group does not say which image it launches");
		if (!err)
			err = take_image(g, image);
	}
	if (err == -ENOMEM)
		return err;
	/* who asked for it by name is refused; else it is told */
	if (err && given) {
		if (g->diag)
			*g->diag = b->diag;
		return err;
	}
	if (err) {
		free(b->disks);
		b->disks = NULL;
		b->n_disks = 0;
	}
	return 0;
}
