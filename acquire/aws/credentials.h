/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Credentials along the chain that users know from AWS's own tools, each kept
 * until shortly before it expires and then fetched again. The chain and where
 * it differs from the AWS CLI's stand in docs/AWS.md.
 *
 * Threads: one thread, that of the herd_http it is given. Requests are waited
 * for and run on handles of their own, so that `get` may be called inside a
 * callback of that herd_http, and runs none of them.
 */
#ifndef HERD_AWS_CREDENTIALS_H
#define HERD_AWS_CREDENTIALS_H

#include "acquire/aws/http.h"
#include "acquire/aws/settings.h"
#include "acquire/aws/sigv4.h"

struct herd_aws_credentials;

/* Borrows both, which must outlive it. now: the clock, Unix seconds; NULL: the
   real one. Sets jansson's allocator to one that wipes what it frees. */
int herd_aws_credentials_create(const struct herd_aws_settings *settings,
				struct herd_http *http, int64_t (*now)(void),
				struct herd_aws_credentials **ret);
void herd_aws_credentials_destroy(struct herd_aws_credentials *c);

/*
 * The keys to sign with now; stay valid until the next call. Fetches them when
 * there are none yet or they end within five minutes (then what is still valid
 * is used if fetching fails). -ENOKEY: no source has any; diag says of each
 * one why not, in a line, never what is secret.
 */
int herd_aws_credentials_get(struct herd_aws_credentials *c,
			     const struct herd_aws_keys **ret,
			     struct herd_diag *diag);
/* The server said that they have expired: fetch new ones the next time. Does
   nothing within ten seconds of new ones that were fetched for this reason: it
   is a request from before that failed. */
void herd_aws_credentials_expire(struct herd_aws_credentials *c);
/* "environment", "profile web (assume role)", …; for status and messages. */
const char *herd_aws_credentials_source(const struct herd_aws_credentials *c);

#endif
