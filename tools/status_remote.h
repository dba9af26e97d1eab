/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What status says of EBS snapshots and of objects of S3: what reading them has
 * cost so far, by the ledger beside the cache of blocks.
 *
 * Threads: the main thread.
 */
#ifndef HERD_STATUS_REMOTE_H
#define HERD_STATUS_REMOTE_H

#include "acquire/fetch_ledger.h"
#include "index/json.h"
#include "index/store.h"

struct herd_costs {
	struct herd_fetch_ledger *ledger;	/* NULL: there is none */
	struct herd_fetch_ledger_row sum;	/* of the group's snapshots */
};

/* Of the cache in dir, or the default one for NULL. */
void herd_costs_open(struct herd_costs *c, const char *dir);
void herd_costs_close(struct herd_costs *c);

bool herd_costs_has_snapshot(const struct herd_instance *i);

/* Lines for people, indented; adds to the sum. */
void herd_costs_text(struct herd_costs *c, const struct herd_instance *i,
		     struct herd_buf *out);
/* The sum, one line, and zero again; nothing where nothing was counted. */
void herd_costs_text_sum(struct herd_costs *c, struct herd_buf *out);
/* "snapshots": […]. */
void herd_costs_json(struct herd_costs *c, const struct herd_instance *i,
		     struct herd_json *j);

/* The same for an image that is an object of S3; of others nothing. Not in the
   sum. */
void herd_costs_text_object(struct herd_costs *c, const struct herd_image *img,
			    struct herd_buf *out);
/* "object": {…}. */
void herd_costs_json_object(struct herd_costs *c, const struct herd_image *img,
			    struct herd_json *j);

#endif
