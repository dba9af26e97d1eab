/* SPDX-License-Identifier: Apache-2.0 */
/*
 * EBS direct: which blocks a snapshot has, in which it differs from another
 * one, and what is in them. A call is retried by the layer below; an answer
 * that is not what it says it is (a checksum, a page that goes back) is asked
 * for again as well.
 *
 * Errors that mean something of their own here:
 *   -EKEYEXPIRED  the block's token is too old: list again
 *   -EOPNOTSUPP   the two snapshots have no lineage in common
 *   -ENOENT       no such snapshot (asked again a little, for one that has just
 *                 been completed is not known everywhere at once)
 *   -EAGAIN       the snapshot is not completed yet, or throttled to the end
 *   -EACCES       not allowed, by a policy, by the key that it is encrypted
 *                 with, or because it is public, archived or on an Outpost
 *   -EBADMSG      the answers were damaged to the last attempt
 *   -ECANCELED    the herd_aws was destroyed
 * The message says which, in a line for people.
 *
 * Threads: that of the herd_aws. Callbacks run inside herd_aws_run (or
 * herd_aws_destroy), exactly once, and may start further calls.
 */
#ifndef HERD_EBS_H
#define HERD_EBS_H

#include "acquire/aws/block_list.h"
#include "acquire/aws/call.h"
#include "acquire/base/sha256.h"

struct herd_ebs_listed {
	int err;
	struct herd_block_list list; /* take it by moving it */
	unsigned long pages;	     /* asked for */
	unsigned restarts;	     /* after a page's token expired */
	struct herd_diag diag;
};
typedef void herd_ebs_listed_fn(void *arg, struct herd_ebs_listed *l);

/* All blocks of the snapshot that were ever written, with their tokens. */
int herd_ebs_list(struct herd_aws *a, const char *snapshot,
		  herd_ebs_listed_fn *done, void *arg);
/* The blocks in which second differs from first; a token is second's. */
int herd_ebs_list_changed(struct herd_aws *a, const char *first,
			  const char *second, herd_ebs_listed_fn *done,
			  void *arg);

struct herd_ebs_block {
	int err;
	struct herd_buf bytes; /* block_size of them; take it by moving it */
	uint8_t sha256[HERD_SHA256_LEN]; /* of bytes, as the service said it */
	unsigned attempts;
	struct herd_diag diag;
};
typedef void herd_ebs_block_fn(void *arg, struct herd_ebs_block *b);

/* token and block_size as listed: a block of another length is damaged. */
int herd_ebs_get_block(struct herd_aws *a, const char *snapshot, uint32_t index,
		       const char *token, uint32_t block_size,
		       herd_ebs_block_fn *done, void *arg);

/* For tests and fuzzing: whether a 200's content is the block that it says. */
int herd_ebs_check_block(const struct herd_http_answer *answer,
			 uint32_t block_size, uint8_t ret[HERD_SHA256_LEN],
			 const char **ret_why);
/* What a failed call means; fills diag. */
int herd_ebs_error(const struct herd_aws_result *r, const char *snapshot,
		   struct herd_diag *diag);

#endif
