/* SPDX-License-Identifier: Apache-2.0 */
/*
 * In what two sources differ: by what they know of each other, else by
 * reading both.
 *
 * Threads: herd_source_diff starts its own and joins them before it returns.
 * They share the list of ranges, which does not change, and take the next part
 * of it under a lock; each collects what it finds by itself.
 */
#include "acquire/source_impl.h"

#include <string.h>

#define BLOCK 4096u
/*
 * What a difference is narrowed down to: the size of an inode. A block full of
 * them in which one changed must not have the others looked at again.
 */
#define UNIT 256u
#define RUNS_MAX 4u	/* of units in a block; with more, all of it differs */
/* Both buffers fit in the second-level cache, and a read is worth its call. */
#define CHUNK (256u << 10)
#define THREADS_MAX 64u

struct compare {
	struct herd_source *a, *b;
	const struct herd_extents *ranges;
	pthread_mutex_t lock;		/* next, taken */
	size_t next;			/* in ranges */
	uint64_t taken;			/* bytes of that one */
	atomic_bool stop;
};

struct worker {
	struct compare *job;
	pthread_t thread;
	bool started;
	uint8_t *buf;			/* owned; 2 * CHUNK */
	struct herd_extents found;
	uint64_t compared;
	struct herd_diag diag;
	int err;
};

/* ---- which ranges to read ---- */

/* Appends what a and b, both normalised, have in common. */
static int intersect(const struct herd_extents *a, const struct herd_extents *b,
		     struct herd_extents *ret)
{
	size_t i = 0, j = 0;
	int err = 0;

	while (i < a->n && j < b->n && !err) {
		uint64_t a_end = a->v[i].start + a->v[i].len;
		uint64_t b_end = b->v[j].start + b->v[j].len;
		uint64_t from = a->v[i].start > b->v[j].start ?
					a->v[i].start : b->v[j].start;
		uint64_t to = a_end < b_end ? a_end : b_end;

		if (from < to)
			err = herd_extents_add(ret, from, to - from);
		if (a_end < b_end)
			i++;
		else
			j++;
	}
	return err;
}

/* The parts of `within` in which at least one of the two holds data. */
static int find_ranges(struct herd_source *a, struct herd_source *b,
		       const struct herd_extents *within,
		       struct herd_extents *ret, struct herd_diag *diag)
{
	CLEANUP_EXTENTS struct herd_extents data = { 0 };
	CLEANUP_EXTENTS struct herd_extents data_b = { 0 };
	int err = herd_source_data(a, &data, diag) ?: herd_source_data(b, &data_b, diag);

	for (size_t i = 0; !err && i < data_b.n; i++)
		err = herd_extents_add(&data, data_b.v[i].start,
				       data_b.v[i].len);
	if (err)
		return err;
	herd_extents_normalise(&data);
	return intersect(&data, within, ret);
}

/* ---- reading and comparing ---- */

/* What differs in a block of len bytes that stands at `start`. */
static int compare_block(struct worker *w, const uint8_t *a, const uint8_t *b,
			 size_t len, uint64_t start)
{
	struct herd_extent runs[RUNS_MAX];
	size_t n = 0;
	bool open = false;
	int err = 0;

	for (size_t pos = 0; pos < len && n <= RUNS_MAX; pos += UNIT) {
		size_t part = len - pos < UNIT ? len - pos : UNIT;
		bool differs = memcmp(a + pos, b + pos, part);

		if (differs && open)
			runs[n - 1].len += part;
		else if (differs && n++ < RUNS_MAX)
			runs[n - 1] = (struct herd_extent){ start + pos, part };
		open = differs;
	}
	if (n > RUNS_MAX)
		return herd_extents_add(&w->found, start, len);
	for (size_t i = 0; !err && i < n; i++)
		err = herd_extents_add(&w->found, runs[i].start, runs[i].len);
	return err;
}

static int compare_piece(struct worker *w, uint64_t start, size_t len)
{
	const uint8_t *a = w->buf, *b = w->buf + CHUNK;
	struct compare *job = w->job;
	int err = herd_source_read(job->a, w->buf, len, start, &w->diag) ?:
		  herd_source_read(job->b, w->buf + CHUNK, len, start,
				   &w->diag);
	if (err)
		return err;
	w->compared += len;
	if (!memcmp(a, b, len))
		return 0;
	for (size_t pos = 0; pos < len && !err;) {
		size_t room = BLOCK - (start + pos) % BLOCK;
		size_t part = len - pos < room ? len - pos : room;

		if (memcmp(a + pos, b + pos, part))
			err = compare_block(w, a + pos, b + pos, part,
					    start + pos);
		pos += part;
	}
	return err;
}

/* The next part to compare, which ends where a chunk does; false: none left.
   Not cut beforehand: of a large disk the parts alone would fill the memory. */
static bool take_part(struct compare *job, uint64_t *ret_start, size_t *ret_len)
{
	SCOPED_LOCK(&job->lock);

	if (job->next == job->ranges->n)
		return false;

	const struct herd_extent *e = &job->ranges->v[job->next];
	uint64_t left = e->len - job->taken, start = e->start + job->taken;
	uint64_t room = CHUNK - start % CHUNK;

	*ret_start = start;
	*ret_len = (size_t)(left < room ? left : room);
	job->taken += *ret_len;
	if (job->taken == e->len) {
		job->next++;
		job->taken = 0;
	}
	return true;
}

static void *worker_main(void *arg)
{
	struct worker *w = arg;
	struct compare *job = w->job;

	uint64_t start;
	size_t len;

	while (!w->err && !atomic_load_explicit(&job->stop,
						memory_order_relaxed) &&
	       take_part(job, &start, &len))
		w->err = compare_piece(w, start, len);
	if (w->err)
		atomic_store(&job->stop, true);
	return NULL;
}

/* Runs the workers, this thread being the first of them. */
static void run_workers(struct compare *job, struct worker *workers, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		workers[i].job = job;
		herd_diag_clear(&workers[i].diag);
		workers[i].buf = malloc(2 * (size_t)CHUNK);
		if (!workers[i].buf) {
			workers[i].err = -ENOMEM;
			atomic_store(&job->stop, true);
		} else if (i) {
			workers[i].started = !pthread_create(&workers[i].thread,
							     NULL, worker_main,
							     &workers[i]);
		}
	}
	worker_main(&workers[0]);
	for (unsigned i = 1; i < n; i++)
		if (workers[i].started)
			pthread_join(workers[i].thread, NULL);
}

/* Of the errors of several workers the one that lies first: which of them came
   first in time, nobody could reproduce. */
static int first_error(const struct worker *workers, unsigned n,
		       struct herd_diag *diag)
{
	const struct worker *first = NULL;

	for (unsigned i = 0; i < n; i++)
		if (workers[i].err &&
		    (!first || workers[i].diag.offset < first->diag.offset))
			first = &workers[i];
	if (first && diag && first->diag.message[0] && !diag->message[0])
		*diag = first->diag;
	return first ? first->err : 0;
}

static int compare_ranges(struct herd_source *a, struct herd_source *b,
			  const struct herd_extents *ranges, unsigned threads,
			  struct herd_extents *ret, uint64_t *compared,
			  struct herd_diag *diag)
{
	struct compare job = { .a = a, .b = b, .ranges = ranges,
			       .lock = PTHREAD_MUTEX_INITIALIZER };
	unsigned n = threads < 1 ? 1 : threads > THREADS_MAX ? THREADS_MAX :
							       threads;
	CLEANUP_FREE struct worker *workers = calloc(n, sizeof(*workers));
	int err = 0;

	if (!workers)
		return -ENOMEM;
	run_workers(&job, workers, n);
	err = first_error(workers, n, diag);
	for (unsigned i = 0; i < n; i++) {
		struct worker *w = &workers[i];

		for (size_t k = 0; !err && k < w->found.n; k++)
			err = herd_extents_add(ret, w->found.v[k].start,
					       w->found.v[k].len);
		*compared += w->compared;
		herd_extents_deinit(&w->found);
		free(w->buf);
	}
	return err;
}

static int diff_by_content(struct herd_source *a, struct herd_source *b,
			   const struct herd_extents *within, unsigned threads,
			   struct herd_extents *ret, uint64_t *compared,
			   struct herd_diag *diag)
{
	uint64_t shorter = a->size < b->size ? a->size : b->size;
	uint64_t longer = a->size < b->size ? b->size : a->size;
	CLEANUP_EXTENTS struct herd_extents common = { 0 };
	CLEANUP_EXTENTS struct herd_extents tail = { 0 };
	CLEANUP_EXTENTS struct herd_extents ranges = { 0 };
	int err = herd_extents_window(within, 0, shorter, &common) ?:
		  herd_extents_window(within, shorter, longer - shorter, &tail) ?:
		  find_ranges(a, b, &common, &ranges, diag);

	if (!err)
		err = compare_ranges(a, b, &ranges, threads, ret, compared,
				     diag);
	for (size_t i = 0; !err && i < tail.n; i++)
		err = herd_extents_add(ret, shorter + tail.v[i].start,
				       tail.v[i].len);
	return err;
}

int herd_source_compare(struct herd_source *s, struct herd_source *other,
			const struct herd_extents *within, unsigned threads,
			struct herd_extents *ret, struct herd_diag *diag)
{
	CLEANUP_EXTENTS struct herd_extents found = { 0 };
	uint64_t compared = 0;
	int err = diff_by_content(s, other, within, threads, &found, &compared,
				  diag);

	if (err)
		return err;
	herd_extents_normalise(&found);
	herd_extents_deinit(ret);
	*ret = found;
	found = (struct herd_extents){ 0 };
	return 0;
}

int herd_source_diff(struct herd_source *s, struct herd_source *other,
		     const struct herd_extents *within, unsigned threads,
		     struct herd_extents *ret, uint64_t *ret_compared,
		     struct herd_diag *diag)
{
	CLEANUP_EXTENTS struct herd_extents all = { 0 };
	CLEANUP_EXTENTS struct herd_extents changed = { 0 };
	CLEANUP_EXTENTS struct herd_extents found = { 0 };
	uint64_t compared = 0;
	int err = within ? 0 : herd_extents_add(&all, 0, UINT64_MAX);

	if (err)
		return err;
	if (!within)
		within = &all;
	if (s == other)
		err = 0;
	else
		err = s->ops->changed_extents ?
			      s->ops->changed_extents(s, other, &changed, diag) :
			      -EOPNOTSUPP;
	if (!err)
		err = intersect(&changed, within, &found);
	else if (err == -EOPNOTSUPP && !s->ops->remote && !other->ops->remote)
		err = diff_by_content(s, other, within, threads, &found,
				      &compared, diag);
	if (err)
		return err;
	herd_extents_normalise(&found);
	herd_extents_deinit(ret);
	*ret = found;
	found = (struct herd_extents){ 0 };
	if (ret_compared)
		*ret_compared = compared;
	return 0;
}
