/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Unpacked blocks: sets of four, in each of which the one that was not used for
 * the longest gives way.
 *
 * Threads: any. Each shard has a lock, held while a block is copied and not
 * while one is read or unpacked; two threads may unpack the same one.
 */
#include "acquire/memory/memory_impl.h"

#include <string.h>

#define WAYS 4u
#define SHARDS 16u

struct slot {
	uint64_t key;		/* + 1; 0: empty */
	uint64_t used;
	size_t len;		/* of bytes, that are good */
	uint8_t *bytes;		/* allocated when it is first filled */
};

struct shard {
	pthread_mutex_t lock;	/* of all that follows */
	uint64_t clock;
	struct slot *slots;
};

struct herd_memory_cache {
	size_t block;
	unsigned sets;		/* in each shard */
	struct shard shards[SHARDS];
};

int herd_memory_cache_create(size_t block, unsigned slots,
			     struct herd_memory_cache **ret)
{
	struct herd_memory_cache *c = calloc(1, sizeof(*c));
	int err = c ? 0 : -ENOMEM;

	if (err)
		return err;
	c->block = block;
	c->sets = slots / SHARDS / WAYS;
	for (unsigned i = 0; i < SHARDS; i++) {
		struct shard *s = &c->shards[i];

		pthread_mutex_init(&s->lock, NULL);
		s->slots = calloc((size_t)c->sets * WAYS, sizeof(*s->slots));
		if (!s->slots)
			err = -ENOMEM;
	}
	if (err)
		herd_memory_cache_destroy(c);
	else
		*ret = c;
	return err;
}

void herd_memory_cache_destroy(struct herd_memory_cache *c)
{
	if (!c)
		return;
	for (unsigned i = 0; i < SHARDS; i++) {
		struct shard *s = &c->shards[i];

		for (size_t k = 0; s->slots && k < c->sets * WAYS; k++)
			free(s->slots[k].bytes);
		free(s->slots);
		pthread_mutex_destroy(&s->lock);
	}
	free(c);
}

/* The four slots of a key, and its shard. */
static struct slot *set_of(struct herd_memory_cache *c, uint64_t key,
			   struct shard **ret)
{
	uint64_t mixed = key * 0x9e3779b97f4a7c15ull >> 32;
	struct shard *s = &c->shards[mixed % SHARDS];

	*ret = s;
	return s->slots + mixed / SHARDS % c->sets * WAYS;
}

bool herd_memory_cache_get(struct herd_memory_cache *c, uint64_t key, size_t at,
			   void *buf, size_t len)
{
	struct shard *s;
	struct slot *set = set_of(c, key, &s);
	SCOPED_LOCK(&s->lock);

	for (unsigned i = 0; i < WAYS; i++) {
		if (set[i].key != key + 1)
			continue;
		if (at > set[i].len || len > set[i].len - at)
			return false;
		set[i].used = ++s->clock;
		memcpy(buf, set[i].bytes + at, len);
		return true;
	}
	return false;
}

void herd_memory_cache_put(struct herd_memory_cache *c, uint64_t key,
			   const void *block, size_t len)
{
	struct shard *s;
	struct slot *set = set_of(c, key, &s), *victim = set;
	SCOPED_LOCK(&s->lock);

	for (unsigned i = 0; i < WAYS; i++) {
		if (set[i].key == key + 1) {
			victim = &set[i];
			break;
		}
		if (set[i].used < victim->used)
			victim = &set[i];
	}
	if (!victim->bytes)
		victim->bytes = malloc(c->block);
	if (!victim->bytes)	/* it is only a cache */
		return;
	memcpy(victim->bytes, block, len);
	victim->len = len;
	victim->key = key + 1;
	victim->used = ++s->clock;
}
