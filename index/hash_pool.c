/* SPDX-License-Identifier: Apache-2.0 */
#include "index/hash_pool.h"

#include "acquire/base/cleanup.h"
#include "index/digest.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

/* Jobs that wait at most; the reader is held up beyond. */
#define QUEUE_MAX (128u << 10)
/* Files from here on are begun first, so that no core is left alone with the
   largest file at the end. */
#define BIG (8u << 20)
#define ARENA_CHUNK (1u << 20)

struct job {
	struct job *next;
	struct herd_source *source;
	struct herd_rec *rec;
	struct herd_inode inode;
};

/* Memory for encoded entries: given out piece by piece, freed all at once. */
struct arena {
	struct arena_chunk {
		struct arena_chunk *next;
		size_t used, cap;
		uint8_t bytes[];
	} *head;
};

struct worker {
	struct herd_hash_pool *pool;
	pthread_t thread;
	struct arena arena;
	struct herd_digester *digester;
	struct herd_buf buf;
};

struct herd_hash_pool {
	struct worker *workers;	/* the last one is the owner's thread's */
	unsigned n;
	struct herd_progress *progress;
	_Atomic uint64_t moved;	/* bytes hashed */

	pthread_mutex_t lock;	/* protects all below */
	pthread_cond_t work, idle;
	struct job *big, *small, **small_tail;
	size_t waiting, running;
	unsigned sleeping;	/* workers; none is woken needlessly, for that
				   costs as much as a small file's digest */
	bool owner_waits;
	size_t woken_at;	/* … until so many wait, and with 0 until all
				   is done */
	uint64_t pushed_bytes;
	struct herd_rec **done;
	size_t n_done, cap_done;
	int error;
	bool stop;
};

static uint8_t *arena_copy(struct arena *a, const void *p, size_t n)
{
	struct arena_chunk *c = a->head;

	if (!c || c->cap - c->used < n) {
		size_t cap = n > ARENA_CHUNK ? n : ARENA_CHUNK;

		c = malloc(sizeof(*c) + cap);
		if (!c)
			return NULL;
		*c = (struct arena_chunk){ .next = a->head, .cap = cap };
		a->head = c;
	}
	c->used += n;
	return memcpy(c->bytes + c->used - n, p, n);
}

static void arena_deinit(struct arena *a)
{
	while (a->head) {
		struct arena_chunk *next = a->head->next;

		free(a->head);
		a->head = next;
	}
}

static int encode(struct worker *w, const struct herd_inode *inode,
		  enum herd_digest_kind kind, const uint8_t *digest,
		  struct herd_rec *rec)
{
	w->buf.len = 0;
	int err = herd_entry_encode(inode, rec->volume, kind, digest, &w->buf);

	if (err)
		return err;
	rec->encoded = arena_copy(&w->arena, w->buf.data, w->buf.len);
	if (!rec->encoded)
		return -ENOMEM;
	rec->len = w->buf.len;
	rec->digest_kind = kind;
	if (digest)
		memcpy(rec->digest, digest, sizeof(rec->digest));
	if (inode->problem && !rec->problem) {
		rec->problem = strdup(inode->problem);
		if (!rec->problem)
			return -ENOMEM;
	}
	return 0;
}

/*
 * A file whose bytes cannot be read is a finding, not a failure: its entry
 * says so and names the place.
 */
static int hash_one(struct worker *w, struct herd_source *source,
		    struct herd_volume *v, struct herd_inode *inode,
		    struct herd_rec *rec)
{
	enum herd_digest_kind kind = HERD_DIGEST_UNREADABLE;
	uint8_t digest[32];
	struct herd_diag diag;
	int err = 0;

	herd_diag_clear(&diag);
	if (inode->content != HERD_CONTENT_UNREADABLE)
		err = herd_digest_content(w->digester, source, v, inode,
					  &w->pool->moved, &kind, digest, &diag);
	if (err == -ENOMEM)
		return err;
	if (err) {
		char text[1024];

		inode->content = HERD_CONTENT_UNREADABLE;
		diag.source[0] = '\0';	/* the report names the image once */
		herd_diag_format(&diag, err, text, sizeof(text));
		free(inode->problem);
		inode->problem = strdup(text);
		if (!inode->problem)
			return -ENOMEM;
	}
	rec->hashed = kind != HERD_DIGEST_UNREADABLE && inode->size;
	return encode(w, inode, kind,
		      kind == HERD_DIGEST_UNREADABLE ? NULL : digest, rec);
}

static struct job *next_job(struct herd_hash_pool *p)
{
	struct job *j = p->big;

	if (j) {
		p->big = j->next;
	} else {
		j = p->small;
		p->small = j->next;
		if (!p->small)
			p->small_tail = &p->small;
	}
	p->waiting--;
	p->running++;
	return j;
}

static int note_done(struct herd_hash_pool *p, struct herd_rec *rec)
{
	if (p->n_done == p->cap_done) {
		size_t cap = p->cap_done ? p->cap_done * 2 : 1024;
		struct herd_rec **done = realloc(p->done, cap * sizeof(*done));

		if (!done)
			return -ENOMEM;
		p->done = done;
		p->cap_done = cap;
	}
	p->done[p->n_done++] = rec;
	return 0;
}

/* Whether it has come to what the owner waits for. */
static bool is_awaited(const struct herd_hash_pool *p)
{
	return p->woken_at ? p->waiting < p->woken_at :
			     !p->waiting && !p->running;
}

static void *worker_main(void *arg)
{
	struct worker *w = arg;
	struct herd_hash_pool *p = w->pool;

	pthread_mutex_lock(&p->lock);
	for (;;) {
		while (!p->waiting && !p->stop) {
			p->sleeping++;
			pthread_cond_wait(&p->work, &p->lock);
			p->sleeping--;
		}
		if (p->stop)
			break;
		struct job *j = next_job(p);

		pthread_mutex_unlock(&p->lock);
		int err = hash_one(w, j->source, NULL, &j->inode, j->rec);

		if (p->progress) {
			p->progress->bytes_done = p->moved;
			p->progress->beat++;
		}
		herd_inode_deinit(&j->inode);
		pthread_mutex_lock(&p->lock);
		if (!err && j->rec->hashed)
			err = note_done(p, j->rec);
		free(j);
		if (err && !p->error)
			p->error = err;
		p->running--;
		if (p->owner_waits && (p->error || is_awaited(p)))
			pthread_cond_signal(&p->idle);
	}
	pthread_mutex_unlock(&p->lock);
	return NULL;
}

static int worker_init(struct worker *w, struct herd_hash_pool *p)
{
	w->pool = p;
	w->digester = herd_digester_create();
	return w->digester ? 0 : -ENOMEM;
}

int herd_hash_pool_create(unsigned threads, struct herd_progress *progress,
			  struct herd_hash_pool **ret)
{
	struct herd_hash_pool *p = calloc(1, sizeof(*p));

	if (!p)
		return -ENOMEM;
	pthread_mutex_init(&p->lock, NULL);
	pthread_cond_init(&p->work, NULL);
	pthread_cond_init(&p->idle, NULL);
	p->small_tail = &p->small;
	p->progress = progress;
	p->workers = calloc(threads + 1, sizeof(*p->workers));
	int err = p->workers ? worker_init(&p->workers[threads], p) : -ENOMEM;

	for (unsigned i = 0; i < threads && !err; i++) {
		err = worker_init(&p->workers[i], p);
		if (!err)
			err = -pthread_create(&p->workers[i].thread, NULL,
					      worker_main, &p->workers[i]);
		if (!err)
			p->n++;
	}
	if (err) {
		/* `n` threads run; the owner's place moves behind them */
		if (p->workers && p->n < threads) {
			herd_digester_destroy(p->workers[p->n].digester);
			p->workers[p->n] = p->workers[threads];
			p->workers[threads].digester = NULL;
		}
		herd_hash_pool_destroy(p);
		return err;
	}
	*ret = p;
	return 0;
}

static void drop_jobs(struct job *j)
{
	while (j) {
		struct job *next = j->next;

		herd_inode_deinit(&j->inode);
		free(j);
		j = next;
	}
}

void herd_hash_pool_destroy(struct herd_hash_pool *p)
{
	if (!p)
		return;
	pthread_mutex_lock(&p->lock);
	p->stop = true;
	pthread_cond_broadcast(&p->work);
	pthread_mutex_unlock(&p->lock);
	for (unsigned i = 0; i < p->n; i++)
		pthread_join(p->workers[i].thread, NULL);
	for (unsigned i = 0; p->workers && i <= p->n; i++) {
		arena_deinit(&p->workers[i].arena);
		herd_digester_destroy(p->workers[i].digester);
		herd_buf_deinit(&p->workers[i].buf);
	}
	drop_jobs(p->big);
	drop_jobs(p->small);
	free(p->workers);
	free(p->done);
	pthread_cond_destroy(&p->work);
	pthread_cond_destroy(&p->idle);
	pthread_mutex_destroy(&p->lock);
	free(p);
}

static int push_job(struct herd_hash_pool *p, struct job *j, uint64_t bytes)
{
	SCOPED_LOCK(&p->lock);

	p->owner_waits = true;
	p->woken_at = QUEUE_MAX / 2;
	while (p->waiting >= QUEUE_MAX && !p->error)
		pthread_cond_wait(&p->idle, &p->lock);
	p->owner_waits = false;
	if (p->error)
		return p->error;
	if (j->inode.size >= BIG) {
		j->next = p->big;
		p->big = j;
	} else {
		*p->small_tail = j;
		p->small_tail = &j->next;
	}
	p->waiting++;
	p->pushed_bytes += bytes;
	if (p->progress)
		p->progress->bytes_todo = p->pushed_bytes;
	if (p->sleeping)
		pthread_cond_signal(&p->work);
	return 0;
}

/* By the caller's thread, which looks at these while others hash. */
static void note_inode(struct herd_rec *rec, const struct herd_inode *inode)
{
	rec->ino = inode->ino;
	rec->mode = inode->mode;
	rec->size = inode->size;
}

int herd_hash_pool_push(struct herd_hash_pool *p, struct herd_source *source,
			struct herd_volume *v, struct herd_inode *inode,
			struct herd_rec *rec)
{
	note_inode(rec, inode);
	if (inode->content == HERD_CONTENT_READER ||
	    inode->content == HERD_CONTENT_UNREADABLE ||
	    inode->content == HERD_CONTENT_INLINE || !inode->size) {
		int err = hash_one(&p->workers[p->n], source, v, inode, rec);

		herd_inode_deinit(inode);
		return err;
	}
	struct job *j = calloc(1, sizeof(*j));

	if (!j) {
		herd_inode_deinit(inode);
		return -ENOMEM;
	}
	j->source = source;
	j->rec = rec;
	j->inode = *inode;
	*inode = (struct herd_inode){ 0 };

	int err = push_job(p, j, j->inode.size - herd_inode_hole_bytes(&j->inode));

	if (err) {
		herd_inode_deinit(&j->inode);
		free(j);
	}
	return err;
}

int herd_hash_pool_encode(struct herd_hash_pool *p,
			  const struct herd_inode *inode,
			  enum herd_digest_kind kind, const uint8_t *digest,
			  struct herd_rec *rec)
{
	note_inode(rec, inode);
	return encode(&p->workers[p->n], inode, kind, digest, rec);
}

int herd_hash_pool_wait(struct herd_hash_pool *p, int ms, uint64_t *ret_left)
{
	struct timespec until;

	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += ms / 1000;
	until.tv_nsec += ms % 1000 * 1000000L;
	if (until.tv_nsec >= 1000000000L) {
		until.tv_sec++;
		until.tv_nsec -= 1000000000L;
	}
	SCOPED_LOCK(&p->lock);

	p->owner_waits = true;
	p->woken_at = 0;
	while ((p->waiting || p->running) && !p->error) {
		if (ms < 0)
			pthread_cond_wait(&p->idle, &p->lock);
		else if (pthread_cond_timedwait(&p->idle, &p->lock, &until))
			break;
	}
	p->owner_waits = false;
	uint64_t moved = p->moved;

	if (ret_left)
		*ret_left = !p->waiting && !p->running ? 0
			: p->pushed_bytes > moved ? p->pushed_bytes - moved : 1;
	return p->error;
}

int herd_hash_pool_take(struct herd_hash_pool *p, struct herd_rec ***ret,
			size_t *ret_n)
{
	SCOPED_LOCK(&p->lock);

	*ret = TAKE_PTR(p->done);
	*ret_n = p->n_done;
	p->n_done = p->cap_done = 0;
	return 0;
}
