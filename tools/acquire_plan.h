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

struct herd_plan_options {
	struct herd_aws_options aws;
	struct herd_capture_options capture;
	bool clean_up;		/* delete the case's snapshots, nothing else */
	bool quiet;
};

/*
 * Runs it, with progress on stderr. clean_up: *ret_deleted alone is set.
 * -EINTR: a signal came.
 */
int herd_plan_run(const struct herd_plan_options *o, struct herd_capture *ret,
		  size_t *ret_deleted, struct herd_diag *diag);

#endif
