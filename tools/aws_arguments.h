/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the commands that may read EBS snapshots have for options in common.
 *
 * Threads: the main thread.
 */
#ifndef HERD_AWS_ARGUMENTS_H
#define HERD_AWS_ARGUMENTS_H

#include "acquire/fetcher.h"

struct herd_aws_arguments {
	struct herd_fetcher_options fetcher;
};

enum {
	HERD_OPT_PROFILE = 1024, HERD_OPT_REGION, HERD_OPT_ENDPOINT,
	HERD_OPT_BLOCK_CACHE, HERD_OPT_CACHE_LIMIT, HERD_OPT_OFFLINE,
};

/* For a table of getopt_long. */
#define HERD_AWS_LONG_OPTIONS \
	{ "profile", required_argument, NULL, HERD_OPT_PROFILE }, \
	{ "region", required_argument, NULL, HERD_OPT_REGION }, \
	{ "endpoint-url", required_argument, NULL, HERD_OPT_ENDPOINT }, \
	{ "block-cache", required_argument, NULL, HERD_OPT_BLOCK_CACHE }, \
	{ "cache-limit", required_argument, NULL, HERD_OPT_CACHE_LIMIT }, \
	{ "offline", no_argument, NULL, HERD_OPT_OFFLINE },

#define HERD_AWS_HELP \
"  --profile NAME    a profile of ~/.aws/config; this and the next two as for the\n" \
"                    AWS CLI, whose environment variables count as well\n" \
"  --region NAME     the region\n" \
"  --endpoint-url URL\n" \
"                    where the services are, if not where the region says\n" \
"  --block-cache DIR where blocks of EBS snapshots are kept; else\n" \
"                    $HERDFS_CACHE, else $XDG_CACHE_HOME/herdfs or\n" \
"                    ~/.cache/herdfs\n" \
"  --cache-limit GB  how much of them at most; else all\n" \
"  --offline         of what is in AWS only what is in the cache\n"

/* From the environment: HERDFS_OFFLINE, HERDFS_FETCH_TIMEOUT (seconds),
   HERDFS_FETCH_RATE (calls a second). */
void herd_aws_arguments_init(struct herd_aws_arguments *a);
/* One option as getopt_long has it. -1: go on; else the exit status, the cause
   being printed. */
int herd_aws_arguments_take(struct herd_aws_arguments *a, const char *command,
			    int c, const char *value);

#endif
