/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Systems Manager: has an instance run a few lines of shell, and says what came
 * of it.
 *
 * Errors: those of herd_aws_do.
 * Threads: that of the herd_aws.
 */
#ifndef HERD_SSM_H
#define HERD_SSM_H

#include "acquire/aws/call.h"
#include "acquire/aws/fields.h"

#define HERD_SSM_COMMAND_SIZE 37	/* a UUID and its NUL */
#define HERD_SSM_OUTPUT_MAX (32u << 10)

struct herd_ssm_command {
	const char *instance;		/* "i-…" */
	const char *const *lines;	/* of shell, run by root */
	size_t n_lines;
	const char *comment;		/* up to 100 characters; may be NULL */
	unsigned run_seconds;		/* it is ended after so long */
};

/*
 * Not idempotent, and not tried again where it may have been begun: a second
 * capture at once would be worse than an error. -EHOSTUNREACH: the instance has
 * no agent that listens (InvalidInstanceId).
 */
int herd_ssm_send(struct herd_aws *a, const struct herd_ssm_command *c,
		  char ret_command[HERD_SSM_COMMAND_SIZE],
		  struct herd_diag *diag);

struct herd_ssm_invocation {
	char status[HERD_AWS_WORD_SIZE];	/* "Pending", "InProgress",
						   "Success", "Failed",
						   "TimedOut", … */
	bool ended, success;
	int64_t exit_status;			/* -1: not known */
	char *output, *error;			/* what it printed, cut by SSM
						   to 24,000 and 8,000
						   characters; owned */
};
void herd_ssm_invocation_deinit(struct herd_ssm_invocation *i);
/* -ENOENT: not known yet; ask again. */
int herd_ssm_get(struct herd_aws *a, const char *command, const char *instance,
		 struct herd_ssm_invocation *ret, struct herd_diag *diag);
int herd_ssm_cancel(struct herd_aws *a, const char *command,
		    struct herd_diag *diag);

/* For tests and fuzzing: an answer of GetCommandInvocation. */
int herd_ssm_parse(const void *json, size_t len,
		   struct herd_ssm_invocation *ret, struct herd_diag *diag);

#endif
