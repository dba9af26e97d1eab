/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Inside the fetcher: fetch_server.c talks to readers and runs the loop,
 * fetch_blocks.c has the blocks, fetch_snapshots.c what is listed of
 * snapshots and which blocks two of them have in common, fetch_objects.c which
 * objects of S3 are meant: each is served as if it were a snapshot, with all
 * of its blocks.
 *
 * Threads: one, with everything in it.
 */
#ifndef HERD_FETCH_INTERNAL_H
#define HERD_FETCH_INTERNAL_H

#include "acquire/aws/ebs.h"
#include "acquire/aws/s3_object.h"
#include "acquire/base/cleanup.h"
#include "acquire/block_cache.h"
#include "acquire/fetch_ledger.h"
#include "acquire/fetch_protocol.h"
#include "acquire/fetcher.h"

#define HERD_FETCH_NONE SIZE_MAX

/* Blocks below which all that are not in `changed` are another snapshot's. */
struct herd_fetch_base {
	size_t snapshot;	/* the other one, or HERD_FETCH_NONE */
	uint32_t *changed;	/* ascending; owned */
	size_t n_changed;
};

/* An object of S3. */
struct herd_fetch_object {
	struct herd_s3_name name;
	/* what its reader knows: then nothing else is served */
	bool pinned;
	uint8_t id[HERD_SHA256_LEN];
	uint64_t size;
	struct herd_s3_state state;	/* when known */
	bool known;		/* from the cache, or from S3 */
	bool looking;		/* S3 is asked which one it has */
	bool looked;		/* it has said so, or could not be asked */
	int64_t look_until;	/* monotonic ms; what is known will do then */
	int gone;		/* -ESTALE: it is another one by now */
	uint32_t last, run;	/* block asked for last; so many in a row */
};

struct herd_fetch_snapshot {
	char name[HERD_SNAPSHOT_NAME_MAX + 1];	/* in the cache; "": an object
						   of which nothing is known */
	struct herd_fetch_object *object;	/* NULL: a snapshot; owned */
	struct herd_block_list list;	/* when listed */
	bool listed;
	bool listing;		/* asked for now */
	bool again;		/* its tokens are not good any more */
	bool fresh;		/* listed by this process: good, whatever our
				   clock says, until they are refused */
	unsigned refused;	/* its tokens, since a block came */
	struct herd_fetch_base base;
	/* what is asked for now: the first of herd_fetch_changed */
	bool comparing;
	char compared_with[HERD_SNAPSHOT_NAME_MAX + 1];
	int compare_err;	/* of the last comparison, with that one */
	struct herd_diag diag;	/* of what failed last */
	struct herd_fetch_ledger_row cost;	/* not yet in the ledger */
};

struct herd_fetch_block {
	size_t snapshot;
	uint32_t index;
	bool pending;		/* asked for; else `bytes` are there */
	bool ahead;		/* nobody waits for it */
	uint8_t *bytes;		/* owned, block_size of its snapshot */
	struct herd_fetch_block *chain;		/* in its bucket */
	struct herd_fetch_block *newer, *older;	/* when there */
};

#define HERD_FETCH_BUCKETS 4096u

struct herd_fetch {
	const struct herd_fetcher_options *options;
	struct herd_block_cache *cache;	/* NULL: none to be had */
	bool cache_full;		/* it takes no more: no reading ahead */
	struct herd_fetch_ledger *ledger;
	/* what network needs, made when it is first needed */
	struct herd_aws_settings *settings;
	struct herd_http *http;
	struct herd_aws_credentials *credentials;
	struct herd_aws *aws;

	struct herd_fetch_snapshot **snapshots;
	size_t n_snapshots;
	struct herd_fetch_block *buckets[HERD_FETCH_BUCKETS];
	struct herd_fetch_block *newest, *oldest;
	size_t n_blocks, n_pending, n_ahead;
	/* to be fetched ahead: snapshot << 32 | index */
	uint64_t *ahead;
	size_t ahead_at, ahead_n, ahead_cap;
	int64_t dead_since;	/* monotonic ms: no answer of AWS since; 0 */

	void *server;	/* fetch_server.c's */
};

/* ---- fetch_snapshots.c ---- */

/* HERD_FETCH_NONE: no memory, or no valid name. */
size_t herd_fetch_snapshot(struct herd_fetch *f, const char *name);
/* A new one, without a name yet. */
size_t herd_fetch_add(struct herd_fetch *f);
/*
 * 0: its list is there. -EINPROGRESS: it is being asked for, and
 * herd_fetch_moved will be called. Else why not, with diag.
 */
int herd_fetch_listed(struct herd_fetch *f, size_t snapshot,
		      struct herd_diag *diag);
/* The same for tokens that are good for asking; what is in the cache is read
   without. */
int herd_fetch_tokens(struct herd_fetch *f, size_t snapshot,
		      struct herd_diag *diag);
/* The same for which blocks differ from those of first: then
   base.changed has them. */
int herd_fetch_changed(struct herd_fetch *f, size_t snapshot, const char *first,
		       struct herd_diag *diag);
/* Its place in the list, or HERD_FETCH_NONE: all zeros. Listed. */
size_t herd_fetch_place(const struct herd_fetch_snapshot *s, uint32_t index);
/* Whether the block is the base's as well. */
bool herd_fetch_is_base(const struct herd_fetch_snapshot *s, uint32_t index);
/* Makes ready what AWS needs; 0 or why it cannot be, with diag. */
int herd_fetch_online(struct herd_fetch *f, struct herd_diag *diag);
void herd_fetch_snapshots_deinit(struct herd_fetch *f);

/* ---- fetch_objects.c ---- */

/* As herd_fetch_snapshot, for what a reader says that it wants. */
size_t herd_fetch_object(struct herd_fetch *f, const struct herd_fetch_open *o);
/* As herd_fetch_listed, which calls it for objects. */
int herd_fetch_object_listed(struct herd_fetch *f, size_t snapshot,
			     struct herd_diag *diag);
/* A block was refused: what that says of the object. True: it is gone, and
   s->diag says so. */
bool herd_fetch_object_failed(struct herd_fetch_snapshot *s, int err,
			      const struct herd_diag *diag);
/* When somebody who waits may be served with what is known; INT64_MAX. */
int64_t herd_fetch_object_due(const struct herd_fetch_snapshot *s);
/* A read of [off, off+len) was asked for: fetches on where many follow each
   other. */
void herd_fetch_object_read(struct herd_fetch *f, size_t snapshot, uint64_t off,
			    uint32_t len);

/* ---- fetch_blocks.c ---- */

/* Bytes that a block has: the last of an object may be shorter. */
uint32_t herd_fetch_block_len(const struct herd_fetch_snapshot *s,
			      uint32_t index);

/*
 * 0: *ret has it, until the next call of any of these; NULL: all zeros.
 * -EINPROGRESS: asked for. Else why not, with diag.
 */
int herd_fetch_block(struct herd_fetch *f, size_t snapshot, uint32_t index,
		     const uint8_t **ret, struct herd_diag *diag);
/* To be fetched when there is time. */
void herd_fetch_ahead(struct herd_fetch *f, size_t snapshot, uint32_t index);
/* Goes on with that. */
void herd_fetch_pump(struct herd_fetch *f);
/* Whether it can be had without the network. */
bool herd_fetch_at_hand(struct herd_fetch *f, size_t snapshot, uint32_t index);
void herd_fetch_blocks_deinit(struct herd_fetch *f);

/* ---- fetch_server.c ---- */

/* A list came, or failed: err, diag. */
void herd_fetch_moved(struct herd_fetch *f, size_t snapshot, int err,
		      const struct herd_diag *diag);
/* A block came, or failed. */
void herd_fetch_arrived(struct herd_fetch *f, size_t snapshot, uint32_t index,
			int err, const struct herd_diag *diag);
/* Serves until the control socket ends. */
int herd_fetch_serve(const struct herd_fetcher_options *o, int control);

int64_t herd_fetch_now_ms(void);

#endif
