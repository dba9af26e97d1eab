/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What capture.c and capture_baseline.c share.
 *
 * Threads: as acquire/capture.h says.
 */
#ifndef HERD_CAPTURE_IMPL_H
#define HERD_CAPTURE_IMPL_H

#include "acquire/aws/autoscaling.h"
#include "acquire/capture.h"

struct herd_capturing {
	struct herd_aws *aws;
	const struct herd_capture_options *o;
	struct herd_capture *c;
	struct herd_asgs groups;
	const struct herd_asg *group;	/* in groups */
	struct herd_diag *diag;
};

void herd_capture_say(const struct herd_capturing *g, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

/* Fills c->baseline, or says in its diag why there is none: no error. */
int herd_capture_baseline(struct herd_capturing *g);

#endif
