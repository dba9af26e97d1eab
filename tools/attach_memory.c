/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The worker for an image of memory: as the one for disks, but what it reads
 * beside are the disks of the very instance, as they are in the index.
 *
 * Threads: one.
 */
#include "tools/attach_worker_internal.h"

#include "acquire/base/cleanup.h"
#include "acquire/fetcher.h"
#include "acquire/memory.h"
#include "index/memory_attach.h"

#include <stdio.h>
#include <string.h>

static int probe(struct herd_worker *w)
{
	const struct herd_job *job = w->job;
	struct herd_diag *diag = &w->shared->diag;
	int err = herd_worker_disks_make(&w->own, 1);

	w->own.images = calloc(1, sizeof(*w->own.images));
	if (!w->own.images)
		err = -ENOMEM;
	if (!err)
		err = herd_s3_is_object(job->disks[0]) ?
			      herd_memory_probe_s3(job->disks[0], job->format,
						   job->fetcher, w->own.images,
						   diag) :
			      herd_memory_probe(job->disks[0], job->format,
						w->own.images, diag);
	if (err)
		herd_diag_set(diag, err, job->disks[0], HERD_NO_OFFSET, "%s",
			      strerror(-err));
	herd_worker_touch(w);
	return err;
}

/* The record of the instance goes where attach has the reference's. */
static int find_instance(struct herd_worker *w)
{
	struct herd_diag *diag = &w->shared->diag;
	struct herd_group group;
	struct herd_txn *t;
	int err = herd_store_open(w->job->store_dir, HERD_STORE_WRITE,
				  &w->store, diag);

	if (!err)
		err = herd_txn_begin(w->store, false, &t, diag);
	if (err) {
		w->shared->outcome = HERD_OUTCOME_NO_STORE;
		return herd_diag_set(diag, err, w->job->store_dir,
				     HERD_NO_OFFSET, "the index cannot be "
				     "read: %s", strerror(-err));
	}
	err = herd_group_find(t, w->job->group, &group);
	if (!err)
		err = herd_instance_find(t, group.id, w->job->instance,
					 &w->reference_record);
	herd_txn_abort(t);
	if (!err && w->reference_record.detached)
		err = -ENOENT;
	/* before its disks are looked for, and said to be missing */
	return err != -ENOENT ? err :
	       herd_diag_set(diag, err, w->job->instance, HERD_NO_OFFSET,
			     "is not attached to %s: attach its disks first",
			     w->job->group);
}

/* Without its disks programs in memory are compared with nothing. */
static void prepare_disks(struct herd_worker *w)
{
	struct herd_instance *i = &w->reference_record;
	struct herd_diag diag = { .offset = HERD_NO_OFFSET };
	int err = i->n_disks ? 0 : -ENOENT;

	for (size_t d = 0; !err && d < i->n_disks; d++) {
		err = herd_image_verify(&i->disks[d], true, &diag);
		herd_worker_touch(w);
	}
	if (!err)
		err = herd_worker_disks_make(&w->reference, i->n_disks);
	w->reference.images = i->disks;
	if (!err)
		err = herd_worker_helpers(w, &w->reference, &diag);
	if (!err)
		return;
	w->reference.n = 0;
	herd_diag_format(&diag, err, w->shared->no_reference,
			 sizeof(w->shared->no_reference));
}

static void report(struct herd_worker *w, const struct herd_memory_summary *m)
{
	w->shared->memory = *m;
	w->shared->outcome = m->already ? HERD_OUTCOME_ALREADY :
					  HERD_OUTCOME_ATTACHED;
}

static int attach(struct herd_worker *w)
{
	const struct herd_job *job = w->job;
	struct herd_diag diag = { .offset = HERD_NO_OFFSET };
	struct herd_memory_summary m = { .memory = 0 };
	struct herd_memory_attach a = {
		.group = job->group, .instance = job->instance,
		.image = w->own.images, .symbols = job->symbols,
		.now = job->now, .progress = &w->shared->progress,
	};
	int err = herd_worker_open(w, &w->own, &w->shared->diag);

	if (err)
		return err;
	err = herd_worker_open(w, &w->reference, &diag);
	if (err)
		herd_diag_format(&diag, err, w->shared->no_reference,
				 sizeof(w->shared->no_reference));
	a.source = w->own.sources[0];
	a.disks = w->reference.sources;
	a.n_disks = err ? 0 : w->reference.n;
	if (w->shared->no_reference[0])
		a.no_disk = w->shared->no_reference;
	err = herd_memory_attach(w->store, &a, &m, &w->shared->diag);
	if (!err)
		report(w, &m);
	return err;
}

int herd_worker_memory(struct herd_worker *w)
{
	int err = probe(w);

	if (!err)
		err = herd_worker_helpers(w, &w->own, &w->shared->diag);
	if (!err)
		err = find_instance(w);
	if (!err) {
		prepare_disks(w);
		err = herd_worker_limit(w->job);
	}
	herd_fetcher_forget_secrets();
	if (!err)
		err = herd_worker_lock_in(w);
	return err ? err : attach(w);
}
