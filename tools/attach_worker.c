/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Indexes one instance in a process of its own: finds out what the images
 * are, starts what must run beside (qemu-nbd), opens the store, locks itself
 * in, and only then opens the images and reads what is inside.
 *
 * Threads: one, until herd_attach starts its own.
 */
#include "tools/attach_worker_internal.h"

#include "acquire/base/cleanup.h"
#include "acquire/confine.h"
#include "acquire/fetcher.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

int herd_worker_disks_make(struct herd_worker_disks *d, size_t n)
{
	d->helpers = calloc(n, sizeof(*d->helpers));
	d->sources = calloc(n, sizeof(*d->sources));
	d->n = n;
	return d->helpers && d->sources ? 0 : -ENOMEM;
}

void herd_worker_touch(struct herd_worker *w)
{
	atomic_fetch_add(&w->shared->progress.beat, 1);
}

static int probe(struct herd_worker *w)
{
	const struct herd_job *job = w->job;
	int err = herd_worker_disks_make(&w->own, job->n_disks);

	w->own.images = calloc(job->n_disks, sizeof(*w->own.images));
	if (!w->own.images)
		err = -ENOMEM;
	for (size_t i = 0; !err && i < job->n_disks; i++) {
		err = herd_image_probe(job->disks[i], job->format,
				       job->backing_dir, &w->own.images[i],
				       &w->shared->diag);
		if (err)
			herd_diag_set(&w->shared->diag, err, job->disks[i],
				      HERD_NO_OFFSET, "%s", strerror(-err));
		herd_worker_touch(w);
	}
	return err;
}

int herd_worker_helpers(struct herd_worker *w, struct herd_worker_disks *d,
			 struct herd_diag *diag)
{
	int err = 0;

	for (size_t i = 0; !err && i < d->n; i++) {
		if (herd_image_needs_helper(&d->images[i]))
			err = herd_helper_start(&d->images[i], w->job->fetcher,
						&d->helpers[i], diag);
		/* an index with gaps that another run would not have is none */
		d->helpers[i].strict = true;
		d->helpers[i].beat = &w->shared->progress.beat;
		herd_worker_touch(w);
	}
	return err;
}

/* ---- the reference ---- */

static void no_reference(struct herd_worker *w, const struct herd_diag *diag,
			 int err)
{
	herd_diag_format(diag, err, w->shared->no_reference,
			 sizeof(w->shared->no_reference));
	w->reference.n = 0;
}

/* Finds the record of the group's reference; that there is none is no error. */
static int find_reference(struct herd_worker *w, struct herd_txn *t)
{
	struct herd_instance own = { 0 };
	struct herd_group group;
	int err = herd_group_find(t, w->job->group, &group);

	if (err == -ENOENT)
		return 0;
	if (err || !group.reference)
		return err;
	err = herd_instance_find(t, group.id, w->job->instance, &own);
	w->there = !err && !own.detached && !w->job->verify;
	herd_instance_deinit(&own);
	if (err && err != -ENOENT)
		return err;
	err = herd_instance_get(t, group.reference, &w->reference_record);
	if (err)
		return err;
	if (strcmp(w->reference_record.name, w->job->instance) != 0)
		snprintf(w->shared->reference, sizeof(w->shared->reference),
			 "%s", w->reference_record.name);
	return 0;
}

/* Its images are only worth having when they are as they were. */
static void prepare_reference(struct herd_worker *w)
{
	struct herd_instance *r = &w->reference_record;
	struct herd_diag diag = { .offset = HERD_NO_OFFSET };
	int err = 0;

	if (!r->id || w->there)
		return;
	for (size_t i = 0; !err && i < r->n_disks; i++) {
		err = herd_image_verify(&r->disks[i], true, &diag);
		herd_worker_touch(w);
	}
	if (!err)
		err = herd_worker_disks_make(&w->reference, r->n_disks);
	w->reference.images = r->disks;
	if (!err)
		err = herd_worker_helpers(w, &w->reference, &diag);
	if (err)
		no_reference(w, &diag, err);
}

/* ---- the store ---- */

static int open_store(struct herd_worker *w)
{
	struct herd_diag *diag = &w->shared->diag;
	struct herd_txn *t = NULL;
	int err = herd_store_open(w->job->store_dir,
				  HERD_STORE_WRITE | HERD_STORE_CREATE,
				  &w->store, diag);

	if (!err)
		err = herd_txn_begin(w->store, false, &t, diag);
	if (!err) {
		err = find_reference(w, t);
		herd_txn_abort(t);
	}
	if (err) {
		w->shared->outcome = HERD_OUTCOME_NO_STORE;
		herd_diag_set(diag, err, w->job->store_dir, HERD_NO_OFFSET,
			      "the index cannot be read: %s", strerror(-err));
	}
	return err;
}

/* ---- inside ---- */

static size_t list_files(const struct herd_worker_disks *d, const char **list)
{
	size_t n = 0;

	for (size_t i = 0; i < d->n; i++)
		for (size_t j = 0; j < d->images[i].n_files; j++) {
			if (herd_image_is_remote(&d->images[i]))
				continue;	/* its name is no path */
			if (list)
				list[n] = d->images[i].files[j].path;
			n++;
		}
	return n;
}

int herd_worker_lock_in(struct herd_worker *w)
{
	const char *dir = herd_store_dir(w->store);
	size_t n = list_files(&w->own, NULL) +
		   list_files(&w->reference, NULL);
	CLEANUP_FREE const char **files = calloc(n + 2, sizeof(*files));
	struct herd_confinement c = {
		.read_files = files,
		.write_dirs = &dir, .n_write_dirs = 1,
		.connected_sockets = true, .read_dir = w->job->symbols,
	};

	if (!files)
		return -ENOMEM;
	n = list_files(&w->own, files);
	n += list_files(&w->reference, files + n);
	if (w->job->symbols)	/* a file or a folder: the other has no effect */
		files[n++] = w->job->symbols;
	c.n_read_files = n;
	return herd_confine(&c, w->shared->missing, sizeof(w->shared->missing),
			    &w->shared->diag);
}

#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SANITIZED	/* these take terabytes of addresses */
#endif
#endif
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED
#endif

/*
 * An allocation that a damaged image talks a library into fails, instead of
 * taking the machine's memory. RLIMIT_DATA counts what is private and written
 * to: neither the images nor the store, which are mapped shared. Not for the
 * helpers, which run by now.
 */
int herd_worker_limit(const struct herd_job *job)
{
#ifdef SANITIZED
	(void)job;
	return 0;
#else
	const uint64_t for_a_thread = 16u << 20; /* its stack, and its heap */
	long cores = sysconf(_SC_NPROCESSORS_ONLN);
	uint64_t threads = job->threads ? job->threads :
			   cores > 0 ? (uint64_t)cores : 1;
	rlim_t most = job->memory + threads * for_a_thread;
	struct rlimit now;

	if (getrlimit(RLIMIT_DATA, &now))
		return -errno;
	if (now.rlim_max <= most)	/* the user's own limit is lower */
		most = now.rlim_cur < now.rlim_max ? now.rlim_cur : now.rlim_max;
	now = (struct rlimit){ .rlim_cur = most, .rlim_max = most };
	return setrlimit(RLIMIT_DATA, &now) ? -errno : 0;
#endif
}

/* By which the watch knows how long comparing may take: what a header claims
   is not believed beyond what compressed files of that size could hold. */
static uint64_t bytes_to_compare(const struct herd_image *img)
{
	uint64_t bytes = 0;

	for (size_t i = 0; i < img->n_files; i++)
		bytes += img->files[i].size / 64;
	return img->size / 1024 < bytes ? img->size : bytes * 1024;
}

int herd_worker_open(struct herd_worker *w, struct herd_worker_disks *d,
		      struct herd_diag *diag)
{
	int err = 0;

	for (size_t i = 0; !err && i < d->n; i++) {
		bool helped = herd_image_needs_helper(&d->images[i]);

		err = herd_image_open(&d->images[i],
				      helped ? &d->helpers[i] : NULL,
				      &d->sources[i], diag);
		atomic_fetch_add(&w->shared->disk_bytes,
				 bytes_to_compare(&d->images[i]));
		/* of a snapshot this is the first that is known of it */
		if (!err && herd_image_is_remote(&d->images[i]) &&
		    !d->images[i].size)
			d->images[i].size = d->images[i].files[0].size =
				d->sources[i]->size;
		herd_worker_touch(w);
	}
	return err;
}

static int note_problem(void *arg, const char *path, size_t path_len,
			const char *text, size_t text_len)
{
	struct herd_worker_shared *shared = arg;
	size_t i = 0;

	while (i < HERD_WORKER_PROBLEMS && shared->problem[i][0])
		i++;
	if (i == HERD_WORKER_PROBLEMS)
		return 1;
	snprintf(shared->problem[i], sizeof(shared->problem[i]), "/%.*s: %.*s",
		 path_len > 256 ? 256 : (int)path_len, path,
		 text_len > 200 ? 200 : (int)text_len, text);
	return 0;
}

static void report(struct herd_worker *w, const struct herd_instance *record)
{
	struct herd_worker_shared *s = w->shared;
	struct herd_txn *t;

	s->entries = record->entries;
	s->files = record->files;
	s->bytes = record->bytes;
	s->hashed_files = record->hashed_files;
	s->hashed_bytes = record->hashed_bytes;
	s->inherited_files = record->inherited_files;
	s->inherited_bytes = record->inherited_bytes;
	s->problems = record->problems;
	s->provisional = herd_instance_is_provisional(record);
	if (!record->problems ||
	    herd_txn_begin(w->store, false, &t, NULL))
		return;
	herd_problem_each(t, record->id, note_problem, s);
	herd_txn_abort(t);
}

/*
 * What a snapshot has in common with the reference's is known before anything
 * of it is read, so that its first blocks (the partition table, fstab) need not
 * be fetched either. Whether it is known is the comparison's business.
 */
static void compare_snapshots(struct herd_worker *w)
{
	for (size_t i = 0; i < w->own.n && i < w->reference.n; i++) {
		CLEANUP(herd_extents_deinit) struct herd_extents unused = { 0 };

		if (herd_image_is_remote(&w->own.images[i]) &&
		    herd_image_is_remote(&w->reference.images[i]))
			herd_source_diff(w->own.sources[i],
					 w->reference.sources[i], NULL, 1,
					 &unused, NULL, NULL);
		herd_worker_touch(w);
	}
}

static int attach(struct herd_worker *w)
{
	const struct herd_job *job = w->job;
	struct herd_instance record = { 0 };
	struct herd_diag diag = { .offset = HERD_NO_OFFSET };
	struct herd_attach a = {
		.group = job->group, .instance = job->instance,
		.role = job->role, .images = w->own.images,
		.disks = w->own.sources, .n_disks = w->own.n,
		.threads = job->threads, .now = job->now,
		.tokens = job->tokens, .n_tokens = job->n_tokens,
		.no_identity = job->no_identity, .read_all = job->read_all,
		.verify = job->verify,
		.progress = &w->shared->progress,
	};
	int err = herd_worker_open(w, &w->own, &w->shared->diag);

	if (err)
		return err;
	err = herd_worker_open(w, &w->reference, &diag);
	if (err)
		no_reference(w, &diag, err);
	if (w->reference.n) {
		a.reference_disks = w->reference.sources;
		a.n_reference_disks = w->reference.n;
		compare_snapshots(w);
	}
	if (w->shared->no_reference[0])
		a.no_reference = w->shared->no_reference;
	err = herd_attach(w->store, &a, &record, &w->shared->diag);
	if (!err) {
		report(w, &record);
		w->shared->outcome = w->there ? HERD_OUTCOME_ALREADY :
						HERD_OUTCOME_ATTACHED;
	} else if (err == -ENOSPC) {
		w->shared->outcome = HERD_OUTCOME_NO_STORE;
	}
	herd_instance_deinit(&record);
	return err;
}

static int work(struct herd_worker *w)
{
	int err = probe(w);

	if (!err)
		err = herd_worker_helpers(w, &w->own, &w->shared->diag);
	if (!err)
		err = open_store(w);
	if (!err) {
		prepare_reference(w);
		err = herd_worker_limit(w->job);
	}
	/* the fetcher has them by now, and nobody else needs them */
	herd_fetcher_forget_secrets();
	if (!err)
		err = herd_worker_lock_in(w);
	return err ? err : attach(w);
}

_Noreturn void herd_worker_run(const struct herd_job *job,
			       struct herd_worker_shared *shared, int done_fd)
{
	struct herd_worker w = { .job = job, .shared = shared };
	int err;

	/* With the parent gone nobody is told how it ended: end as well. */
	prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
	shared->diag.offset = HERD_NO_OFFSET;
	err = job->of_memory ? herd_worker_memory(&w) : work(&w);
	shared->err = err;
	if (err && shared->outcome == HERD_OUTCOME_NONE)
		shared->outcome = HERD_OUTCOME_FAILED;
	herd_store_close(w.store);
	if (write(done_fd, "", 1) != 1)
		_exit(1);
	/* No clean-up: the helpers end with this process, and nothing may run
	   that a hostile image prepared. */
	_exit(0);
}
