/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Has the memory of a group's instances read by AVML, over Systems Manager, and
 * brings the images home: from the instance to S3 in parts, by URLs that are
 * good for that alone and end soon, from there to a folder, checked by the
 * digest that was taken on the instance.
 *
 * Needs the network and credentials; reads nothing of what is in an image.
 *
 * Threads: one, that of the herd_aws.
 */
#ifndef HERD_CAPTURE_MEMORY_H
#define HERD_CAPTURE_MEMORY_H

#include "acquire/aws/call.h"
#include "acquire/aws/fields.h"

struct herd_capture_memory_options {
	const char *group, *case_id;
	const char *const *instances;	/* only these; n 0: all of the group */
	size_t n_instances;
	const char *bucket;
	const char *prefix;	/* of keys; "" or ending in a slash */
	const char *tool;	/* AVML, a file on this machine */
	const char *dir;	/* where the images go */
	uint64_t limit;		/* bytes of the largest memory [128 GiB] */
	uint64_t part_size;	/* bytes [by the limit, 16 MiB at least] */
	unsigned seconds;	/* that it may take on an instance [3600] */
	bool dry_run;		/* nothing is begun */
	/* what is going on, a line; may be NULL */
	void (*say)(void *arg, const char *line);
	void *arg;
};

struct herd_memory_captured {
	char instance[HERD_AWS_ID_SIZE];
	char *path;		/* of the image at home; NULL: it did not come */
	uint64_t bytes;
	uint8_t sha256[32];
	char version[128];	/* what the tool says of itself */
	char release[128];	/* the instance's kernel */
	int64_t began, ended;	/* by the instance's clock */
	char command[40];	/* Systems Manager's */
	bool already;		/* it was at home, or in S3, from before */
	int err;
	struct herd_diag diag;
};

struct herd_memory_capture {
	struct herd_memory_captured *v;
	size_t n;
	char who[256];		/* the ARN in whose name it was done */
	uint8_t tool[32];	/* SHA-256 of the tool */
};
void herd_memory_capture_deinit(struct herd_memory_capture *c);

/*
 * What cannot be had of one instance is its own err. Beside each image lies
 * <instance>.avml.json: who, when, by which tool, the digest.
 */
int herd_capture_memory(struct herd_aws *a,
			const struct herd_capture_memory_options *o,
			struct herd_memory_capture *ret, struct herd_diag *diag);

#endif
