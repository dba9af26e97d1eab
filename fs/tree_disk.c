/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The disks of instances as the tree reads them: opened at first use, looked
 * at again now and then, given up when the image is no longer the one that
 * was indexed.
 *
 * Threads: any. A disk's lock is held while it is opened, so that this
 * happens once; whoever reads holds a reference, so a disk can be opened anew
 * while others still read from what it was.
 */
#include "fs/tree_internal.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#define CHECK_SECONDS 1
#define REOPEN_MAX 5
/* Of the network's, so many in this time. */
#define REOPEN_SECONDS 1
#define LONG_READ (64u << 10)	/* bytes that take longer than a hand-over */
#define SLOW_NS 500000		/* not out of the page cache */
#define SLOW_READS 64

static int64_t now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC_COARSE, &ts);
	return ts.tv_sec;
}

static struct herd_tree_disk *disk_of(const struct herd_tree_instance *i,
				      uint32_t disk)
{
	return &i->disks[disk == HERD_DISK_MEMORY ? i->record.n_disks : disk];
}

static const struct herd_image *image_of(const struct herd_tree_instance *i,
					 uint32_t disk)
{
	return disk == HERD_DISK_MEMORY ? &i->memory : &i->record.disks[disk];
}

void herd_disk_put(struct herd_tree_source *s)
{
	if (s && atomic_fetch_sub(&s->refs, 1) == 1) {
		herd_source_destroy(s->source);
		herd_extents_deinit(&s->there);
		free(s);
	}
}

static void note(struct herd_tree *t, const struct herd_tree_instance *i,
		 uint32_t disk, int err, const struct herd_diag *diag)
{
	char text[1024], what[32] = "memory";

	if (disk != HERD_DISK_MEMORY)
		snprintf(what, sizeof(what), "disk %u", disk);
	/* the process may open what was there when it was locked in */
	herd_tree_failure(t, "%s/%s, %s: %s%s", i->group->group.name,
			  i->record.name, what,
			  herd_diag_format(diag, err, text, sizeof(text)),
			  err == -EACCES ? " (was it replaced after it was "
			  "mounted?)" : "");
}

/* Under the disk's lock. */
static void give_up(struct herd_tree_disk *d)
{
	d->failed = true;
	herd_disk_put(TAKE_PTR(d->open));
}

/*
 * An image may be another under the same name, and a block device has no
 * times that would tell: its volumes must begin as they began.
 */
static int check_volumes(const struct herd_tree_instance *i, uint32_t disk,
			 struct herd_source *source, struct herd_diag *diag)
{
	static const uint8_t unknown[32];

	for (size_t k = 0; k < i->record.n_volumes; k++) {
		const struct herd_stored_volume *v = &i->record.volumes[k];
		uint8_t head[32];

		if (v->disk != disk || !memcmp(v->head, unknown, sizeof(unknown)))
			continue;
		int err = herd_volume_head(source, v->start, v->len, head, diag);

		if (!err && memcmp(v->head, head, sizeof(head)))
			err = herd_diag_set(diag, -ESTALE, source->name, v->start,
					    "partition %u is not the one that was indexed",
					    v->partition);
		if (err)
			return err;
	}
	return 0;
}

static int open_locked(struct herd_tree *t, struct herd_tree_instance *i,
		       uint32_t disk, struct herd_diag *diag)
{
	struct herd_tree_disk *d = disk_of(i, disk);
	struct herd_tree_source *s CLEANUP_FREE = calloc(1, sizeof(*s));
	int err;

	if (!s)
		return -ENOMEM;
	herd_tree_will_wait(t);
	err = t->open_disk(t->open_disk_arg, i->record.id, disk,
			   image_of(i, disk), &s->source, diag);
	if (!err && disk == HERD_DISK_MEMORY)
		err = herd_source_data(s->source, &s->there, diag);
	else if (!err)
		err = check_volumes(i, disk, s->source, diag);
	if (err) {
		herd_source_destroy(s->source);
		herd_extents_deinit(&s->there);
		return err;
	}
	atomic_init(&s->refs, 1);
	atomic_store(&d->checked, now());
	d->open = TAKE_PTR(s);
	return 0;
}

/* True when it is time to look, and this thread is the one to do it. */
static bool check_due(struct herd_tree_disk *d)
{
	int64_t last = atomic_load_explicit(&d->checked, memory_order_relaxed);
	int64_t t = now();

	return t - last >= CHECK_SECONDS &&
	       atomic_compare_exchange_strong(&d->checked, &last, t);
}

/* Whether the image still looks as it did; gives it up otherwise. */
static int check(struct herd_tree *t, struct herd_tree_instance *i,
		 uint32_t disk)
{
	struct herd_tree_disk *d = disk_of(i, disk);
	struct herd_diag diag = { .offset = HERD_NO_OFFSET };
	int err = herd_image_verify(image_of(i, disk), false, &diag);
	bool first;

	if (!err)
		return 0;
	pthread_mutex_lock(&d->lock);
	first = !d->failed;
	give_up(d);
	pthread_mutex_unlock(&d->lock);
	if (first)
		note(t, i, disk, err, &diag);
	return -EIO;
}

int herd_disk_get(struct herd_tree *t, struct herd_tree_instance *i,
		  uint32_t disk, struct herd_tree_source **ret)
{
	struct herd_diag diag = { .offset = HERD_NO_OFFSET };
	struct herd_tree_source *s = NULL;
	struct herd_tree_disk *d;
	int err = 0;

	if (disk == HERD_DISK_MEMORY ? !i->has_memory :
				       disk >= i->record.n_disks)
		return -EBADMSG;
	d = disk_of(i, disk);
	pthread_mutex_lock(&d->lock);
	if (d->failed) {
		pthread_mutex_unlock(&d->lock);
		return -EIO;
	}
	if (!d->open) {
		err = open_locked(t, i, disk, &diag);
		d->away = err != 0;
		/* AWS may answer the next time */
		if (err && (err == -ESTALE ||
			    !herd_image_is_remote(image_of(i, disk))))
			give_up(d);
	}
	if (!err) {
		s = d->open;
		atomic_fetch_add(&s->refs, 1);
	}
	pthread_mutex_unlock(&d->lock);
	if (err) {
		note(t, i, disk, err, &diag);
		return -EIO;
	}
	if (check_due(d) && check(t, i, disk)) {
		herd_disk_put(s);
		return -EIO;
	}
	*ret = s;
	return 0;
}

bool herd_disk_is_remote(const struct herd_tree_instance *i, uint32_t disk)
{
	return herd_image_is_remote(image_of(i, disk));
}

enum herd_disk_standing herd_disk_standing(struct herd_tree_instance *i,
					   uint32_t disk)
{
	struct herd_tree_disk *d = disk_of(i, disk);
	enum herd_disk_standing s;

	pthread_mutex_lock(&d->lock);
	s = d->failed ? HERD_DISK_GONE :
	    d->away ? HERD_DISK_AWAY : HERD_DISK_STANDS;
	pthread_mutex_unlock(&d->lock);
	return s;
}

int64_t herd_disk_before(struct herd_tree *t, struct herd_tree_instance *i,
			 uint32_t disk, const struct herd_tree_source *s,
			 size_t len)
{
	struct herd_tree_disk *d = disk_of(i, disk);
	int slow = atomic_load_explicit(&d->slow, memory_order_relaxed);
	struct timespec ts;

	if (slow > 0)
		atomic_fetch_sub_explicit(&d->slow, 1, memory_order_relaxed);
	if (slow > 0 || len >= LONG_READ || !s->source->ops->map) {
		herd_tree_will_wait(t);
		return 0;
	}
	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000000000 + ts.tv_nsec;
}

void herd_disk_after(struct herd_tree_instance *i, uint32_t disk,
		     int64_t before)
{
	struct timespec ts;

	if (!before)
		return;
	clock_gettime(CLOCK_MONOTONIC, &ts);
	if (ts.tv_sec * 1000000000 + ts.tv_nsec - before > SLOW_NS)
		atomic_store_explicit(&disk_of(i, disk)->slow, SLOW_READS,
				      memory_order_relaxed);
}

bool herd_disk_failed(struct herd_tree *t, struct herd_tree_instance *i,
		      uint32_t disk, struct herd_tree_source *used, int err,
		      const struct herd_diag *diag)
{
	struct herd_tree_disk *d = disk_of(i, disk);
	bool again = false, first = false;

	/* a record that leads past the end of the image: not its fault */
	if (err == -EBADMSG || err == -ENOMEM)
		return false;
	if (err != -EREMOTEIO && check(t, i, disk))
		return false;
	pthread_mutex_lock(&d->lock);
	/* one fetcher after the other may die in the life of a long mount */
	if (herd_image_is_remote(image_of(i, disk)) &&
	    now() - d->reopened_at >= REOPEN_SECONDS)
		d->reopened = 0;
	if (err == -EREMOTEIO) {
		;	/* a block that cannot be had: others may be */
	} else if (d->open && d->open != used) {
		again = true;	/* somebody else opened it again */
	} else if (herd_image_needs_helper(image_of(i, disk)) &&
		   !d->failed && d->reopened < REOPEN_MAX) {
		d->reopened++;
		d->reopened_at = now();
		herd_disk_put(TAKE_PTR(d->open));
		again = true;
	}
	first = !d->noted;
	d->noted = true;
	pthread_mutex_unlock(&d->lock);
	if (first)
		note(t, i, disk, err, diag);
	return again;
}

/* ---- readers of file systems ---- */

static void close_volume(struct herd_tree_volume *v)
{
	herd_volume_destroy(TAKE_PTR(v->volume));
	herd_source_destroy(TAKE_PTR(v->window));
	herd_disk_put(TAKE_PTR(v->disk));
}

static int open_volume(struct herd_tree_instance *i, uint32_t volume,
		       struct herd_tree_source *disk, struct herd_diag *diag)
{
	const struct herd_stored_volume *s = &i->record.volumes[volume];
	struct herd_tree_volume *v = &i->volumes[volume];
	int err;

	if (v->volume && v->disk == disk)
		return 0;
	close_volume(v);
	err = herd_source_window(disk->source, disk->source->name, s->start,
				 s->len, &v->window);
	if (!err)
		err = herd_volume_open(v->window, &v->volume, diag);
	if (err) {
		close_volume(v);
		return err;
	}
	v->disk = disk;
	atomic_fetch_add(&disk->refs, 1);
	return 0;
}

int herd_disk_lock_volume(struct herd_tree_instance *i, uint32_t volume,
			  struct herd_tree_source *disk,
			  struct herd_tree_volume **ret,
			  struct herd_diag *diag)
{
	struct herd_tree_volume *v = &i->volumes[volume];
	int err;

	pthread_mutex_lock(&v->lock);
	err = open_volume(i, volume, disk, diag);
	if (err) {
		pthread_mutex_unlock(&v->lock);
		return err;
	}
	*ret = v;
	return 0;
}

void herd_disk_unlock_volume(struct herd_tree_volume *v)
{
	pthread_mutex_unlock(&v->lock);
}

/* ---- with the instance ---- */

int herd_disk_init_instance(struct herd_tree_instance *i)
{
	i->disks = calloc(i->record.n_disks + 1, sizeof(*i->disks));
	i->volumes = calloc(i->record.n_volumes + 1, sizeof(*i->volumes));
	if (!i->disks || !i->volumes) {
		free(TAKE_PTR(i->disks));
		free(TAKE_PTR(i->volumes));
		return -ENOMEM;
	}
	for (size_t k = 0; k <= i->record.n_disks; k++)
		pthread_mutex_init(&i->disks[k].lock, NULL);
	for (size_t k = 0; k < i->record.n_volumes; k++)
		pthread_mutex_init(&i->volumes[k].lock, NULL);
	return 0;
}

void herd_disk_deinit_instance(struct herd_tree_instance *i)
{
	for (size_t k = 0; i->volumes && k < i->record.n_volumes; k++) {
		close_volume(&i->volumes[k]);
		pthread_mutex_destroy(&i->volumes[k].lock);
	}
	for (size_t k = 0; i->disks && k <= i->record.n_disks; k++) {
		herd_disk_put(TAKE_PTR(i->disks[k].open));
		pthread_mutex_destroy(&i->disks[k].lock);
	}
	free(TAKE_PTR(i->volumes));
	free(TAKE_PTR(i->disks));
}
