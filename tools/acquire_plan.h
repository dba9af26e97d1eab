/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What `herdfs acquire` finds out of AWS, in a process of its own: credentials
 * do not get into the one from which the readers of hostile images are forked.
 *
 * Threads: the main thread.
 */
#ifndef HERD_ACQUIRE_PLAN_H
#define HERD_ACQUIRE_PLAN_H

#include "acquire/aws/settings.h"
#include "acquire/capture.h"
#include "acquire/capture_memory.h"

struct herd_plan_options {
	struct herd_aws_options aws;
	struct herd_capture_options capture;
	bool clean_up;		/* delete the case's snapshots, nothing else */
	bool quiet;
	bool with_memory;	/* first, for it is gone soonest */
	bool memory_only;
	struct herd_capture_memory_options memory;
};

/*
 * Runs it, with progress on stderr. clean_up: *ret_deleted alone is set. Of a
 * memory that was captured instance, path, bytes, already, err and diag are.
 * -EINTR: a signal came.
 */
int herd_plan_run(const struct herd_plan_options *o, struct herd_capture *ret,
		  struct herd_memory_capture *ret_memory, size_t *ret_deleted,
		  struct herd_diag *diag);

#endif
