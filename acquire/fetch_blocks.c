/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Blocks: out of memory, out of the cache on the disk, or from AWS (of
 * snapshots EBS, of objects S3). The last
 * few are kept in memory, for a reader asks for a block piece by piece, and
 * what comes from the disk is verified once and not for each piece.
 *
 * Threads: as acquire/fetch_internal.h says.
 */
#include "acquire/fetch_internal.h"

#include <stdio.h>
#include <string.h>

#define KEEP_BLOCKS 128u	/* in memory: 64 MiB */
#define AHEAD_PENDING 48u	/* fetched ahead at once */
#define AHEAD_MAX (1u << 24)

struct asked {
	struct herd_fetch *f;
	struct herd_fetch_block *block;
};

/* ---- the table ---- */

static struct herd_fetch_block **bucket(struct herd_fetch *f, size_t snapshot,
					uint32_t index)
{
	return &f->buckets[(snapshot * 0x9e3779b1u + index) %
			   HERD_FETCH_BUCKETS];
}

static struct herd_fetch_block *find(struct herd_fetch *f, size_t snapshot,
				     uint32_t index)
{
	struct herd_fetch_block *b = *bucket(f, snapshot, index);

	while (b && (b->snapshot != snapshot || b->index != index))
		b = b->chain;
	return b;
}

static void unlink_age(struct herd_fetch *f, struct herd_fetch_block *b)
{
	if (b->newer)
		b->newer->older = b->older;
	else if (f->newest == b)
		f->newest = b->older;
	if (b->older)
		b->older->newer = b->newer;
	else if (f->oldest == b)
		f->oldest = b->newer;
	b->newer = b->older = NULL;
}

static void make_newest(struct herd_fetch *f, struct herd_fetch_block *b)
{
	b->older = f->newest;
	if (f->newest)
		f->newest->newer = b;
	f->newest = b;
	if (!f->oldest)
		f->oldest = b;
}

static void drop(struct herd_fetch *f, struct herd_fetch_block *b)
{
	struct herd_fetch_block **at = bucket(f, b->snapshot, b->index);

	while (*at != b)
		at = &(*at)->chain;
	*at = b->chain;
	if (b->bytes) {
		unlink_age(f, b);
		f->n_blocks--;
	}
	free(b->bytes);
	free(b);
}

static struct herd_fetch_block *add(struct herd_fetch *f, size_t snapshot,
				    uint32_t index)
{
	struct herd_fetch_block *b = calloc(1, sizeof(*b));
	struct herd_fetch_block **at = bucket(f, snapshot, index);

	if (!b)
		return NULL;
	b->snapshot = snapshot;
	b->index = index;
	b->chain = *at;
	*at = b;
	return b;
}

/* Its bytes are there; the oldest make room. Takes the bytes over. */
static void fill(struct herd_fetch *f, struct herd_fetch_block *b,
		 uint8_t *bytes)
{
	b->bytes = bytes;
	make_newest(f, b);
	f->n_blocks++;
	while (f->n_blocks > KEEP_BLOCKS)
		drop(f, f->oldest);
}

void herd_fetch_blocks_deinit(struct herd_fetch *f)
{
	for (size_t i = 0; i < HERD_FETCH_BUCKETS; i++)
		while (f->buckets[i])
			drop(f, f->buckets[i]);
	free(f->ahead);
}

uint32_t herd_fetch_block_len(const struct herd_fetch_snapshot *s,
			      uint32_t index)
{
	const struct herd_block_list *l = &s->list;
	uint64_t left = l->volume_size - (uint64_t)index * l->block_size;

	return left < l->block_size ? (uint32_t)left : l->block_size;
}

/* ---- the cache ---- */

/* A cache that keeps no more costs time and money, and is said once. */
static void keep(struct herd_fetch *f, size_t snapshot, uint32_t index,
		 const void *bytes, size_t len,
		 const uint8_t sha256[HERD_SHA256_LEN])
{
	struct herd_diag diag = { .offset = HERD_NO_OFFSET };
	char text[1024];
	int err = !f->cache ? 0 :
		herd_block_cache_put(f->cache, f->snapshots[snapshot]->name,
				     index, bytes, len, sha256, &diag);

	if (err && !f->cache_full)
		fprintf(stderr, "herdfs: blocks are not kept in the cache: %s\n",
			herd_diag_format(&diag, err, text, sizeof(text)));
	f->cache_full |= err != 0;
}

/* Under the name of this snapshot, or of the one that it has the block of. */
static int from_cache(struct herd_fetch *f, size_t snapshot, uint32_t index,
		      uint8_t **ret)
{
	struct herd_fetch_snapshot *s = f->snapshots[snapshot];
	const uint32_t size = herd_fetch_block_len(s, index);
	uint8_t sha256[HERD_SHA256_LEN];
	CLEANUP_FREE uint8_t *bytes = f->cache ? malloc(size) : NULL;
	size_t len = 0;
	int err = bytes ? 0 : -ENOENT;

	if (!err)
		err = herd_block_cache_get(f->cache, s->name, index, bytes,
					   size, &len, sha256, NULL);
	if (err && bytes && herd_fetch_is_base(s, index)) {
		err = herd_block_cache_get(f->cache,
			f->snapshots[s->base.snapshot]->name, index, bytes,
			size, &len, sha256, NULL);
		if (!err && len == size)
			keep(f, snapshot, index, bytes, size, sha256);
	}
	if (err || len != size)
		return -ENOENT;
	s->cost.cached++;
	*ret = TAKE_PTR(bytes);
	return 0;
}

bool herd_fetch_at_hand(struct herd_fetch *f, size_t snapshot, uint32_t index)
{
	const struct herd_fetch_snapshot *s = f->snapshots[snapshot];
	uint8_t sha256[HERD_SHA256_LEN];
	const struct herd_fetch_block *b = find(f, snapshot, index);

	if (herd_fetch_place(s, index) == HERD_FETCH_NONE || (b && b->bytes))
		return true;
	if (!f->cache)
		return false;
	if (!herd_block_cache_digest(f->cache, s->name, index, sha256) &&
	    herd_block_cache_has(f->cache, sha256))
		return true;
	return herd_fetch_is_base(s, index) &&
	       !herd_block_cache_digest(f->cache,
			f->snapshots[s->base.snapshot]->name, index, sha256) &&
	       herd_block_cache_has(f->cache, sha256);
}

/* ---- from AWS ---- */

/* What both services bring. */
struct arrival {
	int err;
	struct herd_buf *bytes;
	const uint8_t *sha256;
	const struct herd_diag *diag;
};

static void block_came(struct asked *a, const struct arrival *got)
{
	struct herd_fetch *f = a->f;
	struct herd_fetch_block *b = a->block;
	struct herd_fetch_snapshot *s = f->snapshots[b->snapshot];
	const struct herd_diag *why = got->diag;
	size_t snapshot = b->snapshot;
	uint32_t index = b->index;
	int err = got->err;

	free(a);
	b->pending = false;
	f->n_pending--;
	f->n_ahead -= b->ahead;
	if (got->err == -EKEYEXPIRED && !s->again) {
		s->again = true;	/* of many under way the first counts */
		s->refused++;
	}
	if (!got->err) {
		s->cost.blocks++;
		s->refused = 0;
		s->cost.bytes += got->bytes->len;
		f->dead_since = 0;
		keep(f, snapshot, index, got->bytes->data, got->bytes->len,
		     got->sha256);
		if (herd_fetch_is_base(s, index))
			keep(f, s->base.snapshot, index, got->bytes->data,
			     got->bytes->len, got->sha256);
		fill(f, b, got->bytes->data);
		*got->bytes = (struct herd_buf)HERD_BUF_INIT;
	} else {
		s->cost.failed++;
		drop(f, b);
		if (s->object && herd_fetch_object_failed(s, err, why)) {
			err = s->object->gone;
			why = &s->diag;
		}
	}
	if (err != -ECANCELED)
		herd_fetch_arrived(f, snapshot, index, err, why);
}

static void ebs_came(void *arg, struct herd_ebs_block *b)
{
	block_came(arg, &(struct arrival){ b->err, &b->bytes, b->sha256,
					   &b->diag });
}

static void s3_came(void *arg, struct herd_s3_piece *p)
{
	block_came(arg, &(struct arrival){ p->err, &p->bytes, p->sha256,
					   &p->diag });
}

static int send(struct herd_fetch *f, const struct herd_fetch_snapshot *s,
		uint32_t index, size_t place, struct asked *a)
{
	const struct herd_fetch_object *o = s->object;

	if (o)
		return herd_s3_get(f->aws, &o->name, &o->state,
				   (uint64_t)index * s->list.block_size,
				   herd_fetch_block_len(s, index), s3_came, a);
	return herd_ebs_get_block(f->aws, s->name, index, s->list.tokens[place],
				  s->list.block_size, ebs_came, a);
}

static int ask(struct herd_fetch *f, size_t snapshot, uint32_t index,
	       size_t place, bool ahead, struct herd_diag *diag)
{
	const struct herd_fetch_snapshot *s = f->snapshots[snapshot];
	struct herd_fetch_block *b;
	struct asked *a;
	int err = herd_fetch_online(f, diag);

	if (err)
		return err;
	b = add(f, snapshot, index);
	a = malloc(sizeof(*a));
	if (!a || !b) {
		if (b)
			drop(f, b);
		free(a);
		return -ENOMEM;
	}
	*a = (struct asked){ f, b };
	err = send(f, s, index, place, a);
	if (err) {
		free(a);
		drop(f, b);
		return err;
	}
	b->pending = true;
	b->ahead = ahead;
	f->n_pending++;
	f->n_ahead += ahead;
	return -EINPROGRESS;
}

static int get(struct herd_fetch *f, size_t snapshot, uint32_t index,
	       bool ahead, const uint8_t **ret, struct herd_diag *diag)
{
	struct herd_fetch_snapshot *s = f->snapshots[snapshot];
	struct herd_fetch_block *b = find(f, snapshot, index);
	size_t place = herd_fetch_place(s, index);
	uint8_t *bytes = NULL;
	int err;

	*ret = NULL;
	if (place == HERD_FETCH_NONE)
		return 0;
	if (b && b->bytes) {
		unlink_age(f, b);
		make_newest(f, b);
		*ret = b->bytes;
		return 0;
	}
	if (b) {
		f->n_ahead -= b->ahead && !ahead;
		b->ahead &= ahead;
		return -EINPROGRESS;
	}
	if (!from_cache(f, snapshot, index, &bytes)) {
		b = add(f, snapshot, index);
		if (!b) {
			free(bytes);
			return -ENOMEM;
		}
		fill(f, b, bytes);
		*ret = bytes;
		return 0;
	}
	err = herd_fetch_tokens(f, snapshot, diag);
	/* the new list may no longer have it in the same place */
	place = herd_fetch_place(s, index);
	if (!err && !s->object &&
	    (place == HERD_FETCH_NONE || !s->list.tokens[place]))
		return herd_diag_set(diag, -EIO, s->name, HERD_NO_OFFSET,
				     "block %u is not listed any more", index);
	return err ? err : ask(f, snapshot, index, place, ahead, diag);
}

int herd_fetch_block(struct herd_fetch *f, size_t snapshot, uint32_t index,
		     const uint8_t **ret, struct herd_diag *diag)
{
	return get(f, snapshot, index, false, ret, diag);
}

/* ---- ahead ---- */

void herd_fetch_ahead(struct herd_fetch *f, size_t snapshot, uint32_t index)
{
	uint64_t *v;

	/* what no cache keeps would have to be fetched twice */
	if (!f->cache || f->cache_full || f->options->offline ||
	    herd_fetch_at_hand(f, snapshot, index) || find(f, snapshot, index))
		return;
	if (f->ahead_at == f->ahead_n)
		f->ahead_at = f->ahead_n = 0;
	if (f->ahead_n == f->ahead_cap) {
		size_t cap = f->ahead_cap ? f->ahead_cap * 2 : 1024;

		v = cap <= AHEAD_MAX ?
			    reallocarray(f->ahead, cap, sizeof(*v)) : NULL;
		if (!v)
			return;
		f->ahead = v;
		f->ahead_cap = cap;
	}
	f->ahead[f->ahead_n++] = (uint64_t)snapshot << 32 | index;
}

/* More than half of a cache that is limited is not filled beforehand: it would
   push out what was fetched before it is read. */
static bool room_ahead(struct herd_fetch *f)
{
	struct herd_block_cache_stats stats;

	if (!f->options->cache_limit)
		return true;
	herd_block_cache_stats(f->cache, &stats);
	return stats.bytes < f->options->cache_limit / 2;
}

void herd_fetch_pump(struct herd_fetch *f)
{
	while (f->ahead_at < f->ahead_n && f->n_ahead < AHEAD_PENDING &&
	       !f->dead_since) {
		uint64_t next = f->ahead[f->ahead_at++];
		size_t snapshot = next >> 32;
		uint32_t index = (uint32_t)next;
		const uint8_t *bytes;

		if (f->cache_full || !room_ahead(f)) {
			f->ahead_at = f->ahead_n = 0;
			return;
		}
		/* one that waits for its list again is asked for when needed */
		if (!find(f, snapshot, index) &&
		    !herd_fetch_at_hand(f, snapshot, index))
			get(f, snapshot, index, true, &bytes, NULL);
	}
}
