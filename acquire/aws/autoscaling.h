/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Auto Scaling groups: who is in them, and what they are launched from. Waits
 * for its answers; lists are followed to their last page.
 *
 * Checked as ec2_types.h says: "" and 0 stand for what was not said, `odd`
 * counts what was left empty for its form. A group that is over a limit is an
 * error, not a shorter group.
 *
 * Threads: that of the herd_aws.
 */
#ifndef HERD_AUTOSCALING_H
#define HERD_AUTOSCALING_H

#include "acquire/aws/call.h"
#include "acquire/aws/fields.h"

#define HERD_ASG_GROUPS_MAX 1000u
#define HERD_ASG_INSTANCES_MAX 10000u /* of a group */
#define HERD_ASG_OVERRIDES_MAX 1000u
#define HERD_ASG_NAME_SIZE 1021 /* 255 characters */
#define HERD_ASG_NEXT_SIZE 4097

/* At most one of id and name may be missing; version: "3", "$Latest", … */
struct herd_asg_template {
	char id[HERD_AWS_ID_SIZE];
	char name[HERD_ASG_NAME_SIZE];
	char version[HERD_AWS_WORD_SIZE];
};

struct herd_asg_instance {
	char id[HERD_AWS_ID_SIZE];
	/* "InService", "Standby", "Terminating:Wait", "Warmed:Stopped", … */
	char lifecycle[HERD_AWS_WORD_SIZE];
	char health[HERD_AWS_WORD_SIZE]; /* "Healthy", "Unhealthy" */
	char type[HERD_AWS_WORD_SIZE], zone[HERD_AWS_WORD_SIZE];
	char image[HERD_AWS_ID_SIZE];
	char launch_configuration[HERD_ASG_NAME_SIZE];
	struct herd_asg_template template; /* as it was launched */
	bool protected;			   /* from being scaled in */
};

/* What a mixed instances policy says for some types. */
struct herd_asg_override {
	char type[HERD_AWS_WORD_SIZE]; /* "": given by requirements */
	char image[HERD_AWS_ID_SIZE];
	struct herd_asg_template template; /* empty: the policy's */
};

struct herd_asg {
	char name[HERD_ASG_NAME_SIZE];
	char arn[HERD_ASG_NAME_SIZE];
	/* What new instances are launched from is one of these. */
	char launch_configuration[HERD_ASG_NAME_SIZE];
	struct herd_asg_template template; /* own, or the policy's */
	bool mixed;
	struct herd_asg_override *overrides;
	size_t n_overrides;
	uint64_t min, max, desired;
	char status[HERD_ASG_NAME_SIZE]; /* "Delete in progress", or "" */
	int64_t created;
	struct herd_asg_instance *instances;
	size_t n_instances;
	unsigned odd;
};

struct herd_asgs {
	struct herd_asg *v;
	size_t n, cap;
};
void herd_asgs_deinit(struct herd_asgs *l);

/* By names, or all of the region with n 0. One that is not there is missing in
   the list, which is no error. */
int herd_asg_list(struct herd_aws *a, const char *const *names, size_t n,
		  struct herd_asgs *ret, struct herd_diag *diag);

/* One answer: adds to the list, sets next. The list is whole on failure. */
int herd_asg_parse(const void *xml, size_t len, struct herd_asgs *l,
		   char next[HERD_ASG_NEXT_SIZE], struct herd_diag *diag);

#endif
