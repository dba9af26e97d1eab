/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Finds the instances of an Auto Scaling Group and has snapshots of their
 * volumes: those that it is given, those that an earlier run of the same case
 * made, else new ones, all volumes of an instance at one moment. And what a
 * fresh instance is: the snapshots of the image that the group launches.
 *
 * Needs the network and credentials; reads nothing of what is in a volume.
 *
 * Threads: one, that of the herd_aws.
 */
#ifndef HERD_CAPTURE_H
#define HERD_CAPTURE_H

#include "acquire/aws/call.h"
#include "acquire/aws/fields.h"

#define HERD_CAPTURE_CASE_MAX 200	/* bytes; a tag's value */

/* Tags of the snapshots that it makes. */
#define HERD_TAG_CASE "herdfs:case"
#define HERD_TAG_GROUP "herdfs:group"
#define HERD_TAG_INSTANCE "herdfs:instance"
/* The same for all snapshots of an instance that were taken at one moment. */
#define HERD_TAG_SET "herdfs:set"

struct herd_capture_given {
	const char *instance, *snapshot;
};

struct herd_capture_options {
	const char *group, *case_id;
	const char *const *instances;	/* only these; n 0: all of the group */
	size_t n_instances;
	const struct herd_capture_given *given;
	size_t n_given;
	const char *baseline;	/* NULL: the group's image; "none"; "ami-…",
				   "snap-…" */
	bool dry_run;		/* nothing is made; whether it might be is asked */
	unsigned wait_seconds;	/* for snapshots to be completed [86400] */
	/* what is going on, a line; may be NULL */
	void (*say)(void *arg, const char *line);
	/* how far waiting is: snapshots ready, percent of all; may be NULL */
	void (*progress)(void *arg, size_t ready, size_t n, unsigned percent);
	void *arg;
};

struct herd_captured_disk {
	char device[HERD_AWS_DEVICE_SIZE];
	char volume[HERD_AWS_ID_SIZE];
	char snapshot[HERD_AWS_ID_SIZE];	/* "": not made, in a dry run */
	uint64_t gib;
	bool made;		/* by this run */
	bool ready;
	unsigned unseen;	/* polls on end that did not know it */
};

/* kind: as `herdfs attach --identity` has it. */
struct herd_captured_token {
	const char *kind;	/* static */
	char *value;		/* owned */
};

struct herd_captured {
	char instance[HERD_AWS_ID_SIZE];	/* of the baseline: the AMI, "" */
	char lifecycle[HERD_AWS_WORD_SIZE];	/* "InService", … */
	char state[HERD_AWS_WORD_SIZE];		/* "running", … */
	struct herd_captured_disk *disks;	/* the root's first; owned */
	size_t n_disks;
	struct herd_captured_token *tokens;	/* owned */
	size_t n_tokens;
	int err;		/* why it could not be had */
	struct herd_diag diag;
};

struct herd_capture {
	struct herd_captured *v;
	size_t n, cap;
	struct herd_captured baseline;	/* n_disks 0: none, and diag says why */
};
void herd_capture_deinit(struct herd_capture *c);

/*
 * What cannot be had of one instance is its own err; the others are captured.
 * -ENOENT: no such group.
 */
int herd_capture(struct herd_aws *a, const struct herd_capture_options *o,
		 struct herd_capture *ret, struct herd_diag *diag);

/* Deletes the snapshots of a case that it made. *ret_n: how many; in a dry run
   how many there are. on: called with each; may be NULL. */
int herd_capture_clean_up(struct herd_aws *a, const char *case_id, bool dry_run,
			  void (*on)(void *arg, const char *snapshot), void *arg,
			  size_t *ret_n, struct herd_diag *diag);

#endif
