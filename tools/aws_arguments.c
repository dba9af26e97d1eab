/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The options of aws_arguments.h.
 *
 * Threads: the main thread.
 */
#include "tools/aws_arguments.h"

#include "tools/common.h"

#include <stdlib.h>
#include <string.h>

void herd_aws_arguments_init(struct herd_aws_arguments *a)
{
	const char *offline = getenv("HERDFS_OFFLINE");
	const char *timeout = getenv("HERDFS_FETCH_TIMEOUT");
	const char *rate = getenv("HERDFS_FETCH_RATE");
	uint64_t n;

	*a = (struct herd_aws_arguments){ 0 };
	a->fetcher.offline = offline && *offline && strcmp(offline, "0") != 0;
	if (timeout && herd_tool_number(timeout, 1, 600, &n))
		a->fetcher.timeout_ms = (unsigned)n * 1000;
	if (rate && herd_tool_number(rate, 1, 1000000, &n))
		a->fetcher.rate = (unsigned)n;
}

int herd_aws_arguments_take(struct herd_aws_arguments *a, const char *command,
			    int c, const char *value)
{
	struct herd_fetcher_options *o = &a->fetcher;
	uint64_t n;

	switch (c) {
	case HERD_OPT_PROFILE:
		o->aws.profile = value;
		break;
	case HERD_OPT_REGION:
		o->aws.region = value;
		break;
	case HERD_OPT_ENDPOINT:
		o->aws.endpoint_url = value;
		break;
	case HERD_OPT_BLOCK_CACHE:
		o->cache_dir = value;
		break;
	case HERD_OPT_CACHE_LIMIT:
		if (!herd_tool_number(value, 1, 1u << 20, &n))
			return herd_tool_usage(command, "--cache-limit wants a "
					       "number of GB, not \"%s\"",
					       value);
		o->cache_limit = n * 1000000000;
		break;
	case HERD_OPT_OFFLINE:
		o->offline = true;
		break;
	default:
		return herd_tool_usage(command, NULL);
	}
	return -1;
}
