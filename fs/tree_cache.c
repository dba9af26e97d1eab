/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A cache of things that are costly to make and can be made again: counted by
 * reference, the ones not used for longest dropped when there are too many.
 * What is in use is never dropped, so the limit can be passed for a while.
 *
 * Threads: any. Making is serialised by key (rather, by a stripe of keys), so
 * that a thing is made once however many ask for it at the same time; while
 * one is made, the lists are free for others. The maker of a generated file
 * may ask for the rest; no other maker may ask for anything.
 */
#include "fs/tree_internal.h"

static unsigned hash(struct herd_cache_key k)
{
	uint64_t h = ((uint64_t)k.owner << 32 | k.what) ^
		     (uint64_t)k.kind * 0x9e3779b97f4a7c15ull;

	h ^= h >> 31;
	h *= 0xbf58476d1ce4e5b9ull;
	h ^= h >> 29;
	return (unsigned)h;
}

static bool same(struct herd_cache_key a, struct herd_cache_key b)
{
	return a.kind == b.kind && a.owner == b.owner && a.what == b.what;
}

static bool is_blob(struct herd_cache_key k)
{
	return k.kind >= HERD_CACHED_BLOB && k.kind < HERD_CACHED_RUNS;
}

void herd_cache_init(struct herd_cache *c, size_t limit)
{
	*c = (struct herd_cache){ .limit = limit };
	pthread_mutex_init(&c->lock, NULL);
	TAILQ_INIT(&c->lru);
	for (size_t i = 0; i < HERD_CACHE_BUCKETS; i++)
		LIST_INIT(&c->buckets[i]);
	for (size_t i = 0; i < HERD_CACHE_STRIPES; i++) {
		pthread_mutex_init(&c->making[0][i], NULL);
		pthread_mutex_init(&c->making[1][i], NULL);
	}
}

static void unlist(struct herd_cache *c, struct herd_cached *item)
{
	TAILQ_REMOVE(&c->lru, item, lru);
	LIST_REMOVE(item, bucket);
	item->listed = false;
	c->bytes -= item->bytes;
}

void herd_cache_deinit(struct herd_cache *c)
{
	struct herd_cached *item;

	while ((item = TAILQ_FIRST(&c->lru))) {
		unlist(c, item);
		item->destroy(item);
	}
	pthread_mutex_destroy(&c->lock);
	for (size_t i = 0; i < HERD_CACHE_STRIPES; i++) {
		pthread_mutex_destroy(&c->making[0][i]);
		pthread_mutex_destroy(&c->making[1][i]);
	}
}

static struct herd_cached *find(struct herd_cache *c, unsigned h,
				struct herd_cache_key key)
{
	SCOPED_LOCK(&c->lock);
	struct herd_cached *item;

	LIST_FOREACH(item, &c->buckets[h % HERD_CACHE_BUCKETS], bucket)
		if (same(item->key, key))
			break;
	if (!item)
		return NULL;
	item->refs++;
	if (item != TAILQ_FIRST(&c->lru)) {
		TAILQ_REMOVE(&c->lru, item, lru);
		TAILQ_INSERT_HEAD(&c->lru, item, lru);
	}
	return item;
}

/* Takes what nobody uses off the end until the limit is kept. */
static struct herd_cached *next_to_drop(struct herd_cache *c)
{
	struct herd_cached *item;

	if (c->bytes <= c->limit)
		return NULL;
	TAILQ_FOREACH_REVERSE(item, &c->lru, herd_cache_lru, lru)
		if (!item->refs) {
			unlist(c, item);
			return item;
		}
	return NULL;
}

static void trim(struct herd_cache *c)
{
	for (;;) {
		struct herd_cached *item;

		pthread_mutex_lock(&c->lock);
		item = next_to_drop(c);
		pthread_mutex_unlock(&c->lock);
		if (!item)
			return;
		item->destroy(item);
	}
}

int herd_cache_get(struct herd_cache *c, struct herd_cache_key key,
		   int (*make)(void *arg, struct herd_cached **ret), void *arg,
		   struct herd_cached **ret)
{
	const unsigned h = hash(key);
	struct herd_cached *item = find(c, h, key);

	if (!item) {
		if (c->on_make)
			c->on_make(c->on_make_arg);
		SCOPED_LOCK(&c->making[is_blob(key)][h % HERD_CACHE_STRIPES]);
		int err;

		item = find(c, h, key);	/* made while we waited? */
		if (item) {
			*ret = item;
			return 0;
		}
		err = make(arg, &item);
		if (err)
			return err;
		item->key = key;
		item->refs = 1;
		item->listed = true;
		pthread_mutex_lock(&c->lock);
		TAILQ_INSERT_HEAD(&c->lru, item, lru);
		LIST_INSERT_HEAD(&c->buckets[h % HERD_CACHE_BUCKETS], item,
				 bucket);
		c->bytes += item->bytes;
		pthread_mutex_unlock(&c->lock);
		trim(c);
	}
	*ret = item;
	return 0;
}

void herd_cache_put(struct herd_cache *c, struct herd_cached *item)
{
	bool full;

	if (!item)
		return;
	pthread_mutex_lock(&c->lock);
	item->refs--;
	full = !item->refs && c->bytes > c->limit;
	pthread_mutex_unlock(&c->lock);
	if (full)
		trim(c);
}
