/* SPDX-License-Identifier: Apache-2.0 */
/* The way of an image of memory into the index; see memory_attach.h. */
#include "index/memory_attach.h"

#include "acquire/base/buf.h"
#include "acquire/base/cleanup.h"
#include "index/memory/machine_pages.h"
#include "index/memory_disk.h"
#include "index/memory_doubts.h"

#include <stdio.h>
#include <string.h>

struct attach {
	struct herd_store *store;
	const struct herd_memory_attach *a;
	struct herd_txn *txn;	/* for the disk's files */
	struct herd_group group;
	struct herd_instance instance;
	struct herd_phys *phys;
	struct herd_kernel *kernel;
	struct herd_machine *machine;
	struct herd_memory_disk *disk;
	struct herd_buf bytes;
	struct herd_memory_summary summary;
};

static void stage(const struct attach *w, enum herd_stage what)
{
	if (!w->a->progress)
		return;
	w->a->progress->stage = what;
	w->a->progress->beat++;
}

/* ---- what is there ---- */

/* 1: it is there already. */
static int find_instance(struct attach *w, struct herd_diag *diag)
{
	const struct herd_memory_doubts d = { .txn = w->txn, .attach = w->a,
					      .instance = &w->instance };
	struct herd_stored_memory m;
	int err = herd_group_find(w->txn, w->a->group, &w->group);

	if (!err)
		err = herd_instance_find(w->txn, w->group.id, w->a->instance,
					 &w->instance);
	if (!err && w->instance.detached)
		err = -ENOENT;
	if (err == -ENOENT)
		return herd_diag_set(diag, err, NULL, HERD_NO_OFFSET,
				     "is not attached to %s: attach its disks first",
				     w->a->group);
	if (!err)
		err = herd_memory_get(w->txn, w->instance.id, &m);
	if (err == -ENOENT)
		return herd_memory_check_image(&d, diag);
	if (err)
		return err;
	bool same = herd_memory_same_image(&m.image, w->a->image);

	herd_stored_memory_deinit(&m);
	return same ? 1 :
	       herd_diag_set(diag, -EEXIST, NULL, HERD_NO_OFFSET,
			     "has the memory of another image: detach that first "
			     "(herdfs detach --memory)");
}

/* ---- reading ---- */

/* That no kernel is found in half an image is no wonder. */
static int add_warning(const char *warning, int err, struct herd_diag *diag)
{
	char text[sizeof(diag->message)];

	if (!warning || !diag)
		return err;
	snprintf(text, sizeof(text), "%.300s; the image: %.190s", diag->message,
		 warning);
	snprintf(diag->message, sizeof(diag->message), "%s", text);
	herd_text_clean(diag->message);
	return err;
}

static int read_machine(struct attach *w, struct herd_diag *diag)
{
	const struct herd_memory_notes *notes = herd_memory_notes(w->a->source);
	const struct herd_kernel_options o = { .symbols = w->a->symbols };
	int err = herd_phys_create(w->a->source, &w->phys);

	stage(w, HERD_STAGE_KERNEL);
	if (!err && w->a->progress)
		herd_phys_watch(w->phys, &w->a->progress->beat);
	if (!err)
		err = herd_kernel_open(w->phys, notes, &o, &w->kernel, diag);
	stage(w, HERD_STAGE_MACHINE);
	if (!err)
		err = herd_machine_read(w->kernel, notes, HERD_READ_ALL,
					&w->machine, diag);
	return err ? add_warning(notes->warning, err, diag) : 0;
}

static int disk_source(void *arg, uint32_t disk, struct herd_source **ret)
{
	const struct attach *w = arg;

	if (disk >= w->a->n_disks || !w->a->disks[disk])
		return -ENODEV;
	*ret = w->a->disks[disk];
	return 0;
}

static int compare_pages(struct attach *w, struct herd_diag *diag)
{
	struct herd_pages_summary pages = { 0 };
	int err = herd_memory_disk_create(w->txn, &w->instance,
					  w->group.reference, disk_source, w,
					  &w->disk);

	stage(w, HERD_STAGE_PAGES);
	if (!err)
		err = herd_machine_pages(w->machine, w->phys,
					 herd_memory_disk_read, w->disk, &pages,
					 diag);
	w->summary.pages = pages.pages;
	w->summary.pages_compared = pages.compared;
	w->summary.pages_changed = pages.changed;
	const struct herd_memory_doubts d = {
		.txn = w->txn, .instance = &w->instance, .attach = w->a,
		.kernel = w->kernel, .pages = &pages,
	};

	return err ? err : herd_memory_doubt(&d, w->machine, w->summary.doubt,
					     sizeof(w->summary.doubt));
}

/* What could not be had is no gap of the image's: that is why, then. */
static int was_lost(const struct attach *w, int err, struct herd_diag *diag)
{
	struct herd_diag lost;
	int r;

	herd_diag_clear(&lost);
	r = herd_source_lost(w->a->source, &lost);
	for (size_t i = 0; !r && i < w->a->n_disks; i++)
		if (w->a->disks[i])
			r = herd_source_lost(w->a->disks[i], &lost);
	if (r && diag)
		*diag = lost;
	return r ? r : err;
}

static void sum_up(struct attach *w)
{
	const struct herd_machine *m = w->machine;

	memcpy(w->summary.release, m->facts.release,
	       sizeof(w->summary.release));
	w->summary.memory = m->memory;
	w->summary.processes = (uint32_t)m->n_processes;
	w->summary.modules = (uint32_t)m->n_modules;
	w->summary.problems = m->n_problems;
	for (size_t i = 0; i < m->n_processes; i++)
		w->summary.threads += (uint32_t)m->processes[i].n_threads;
}

static int put(struct herd_txn *t, void *arg, struct herd_diag *diag)
{
	struct attach *w = arg;
	const struct herd_stored_memory m = {
		.attached = w->a->now, .image = *w->a->image,
		.machine = w->bytes.data, .n_machine = w->bytes.len,
	};

	(void)diag;
	return herd_memory_put(t, w->instance.id, &m);
}

static int store_it(struct attach *w, struct herd_diag *diag)
{
	int err = herd_machine_encode(w->machine, &w->bytes);

	stage(w, HERD_STAGE_STORE);
	if (err)
		return err;
	/* an old snapshot would keep the pages that it sees from being reused */
	herd_txn_abort(TAKE_PTR(w->txn));
	err = herd_store_update(w->store, put, w, diag);
	if (!err)
		stage(w, HERD_STAGE_DONE);
	return err;
}

static int attach(struct attach *w, struct herd_diag *diag)
{
	int err = herd_txn_begin(w->store, false, &w->txn, diag);

	stage(w, HERD_STAGE_OPEN);
	if (!err)
		err = find_instance(w, diag);
	if (err > 0) {
		w->summary.already = true;
		return 0;
	}
	if (!err)
		err = read_machine(w, diag);
	if (!err)
		err = compare_pages(w, diag);
	err = was_lost(w, err, diag);
	if (err)
		return err;
	sum_up(w);
	return store_it(w, diag);
}

int herd_memory_attach(struct herd_store *s, const struct herd_memory_attach *a,
		       struct herd_memory_summary *ret, struct herd_diag *diag)
{
	struct attach w = { .store = s, .a = a, .bytes = HERD_BUF_INIT };
	int err = attach(&w, diag);

	herd_txn_abort(w.txn);
	herd_memory_disk_destroy(w.disk);
	herd_machine_destroy(w.machine);
	herd_kernel_close(w.kernel);
	herd_phys_destroy(w.phys);
	herd_buf_deinit(&w.bytes);
	herd_instance_deinit(&w.instance);
	if (!err)
		*ret = w.summary;
	else
		herd_diag_set(diag, err, a->instance, HERD_NO_OFFSET,
			      "its memory is not attached: %s", strerror(-err));
	return err;
}
