/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The calls of EC2 that finding, snapshotting and cleaning up need. They wait
 * for their answers; lists are followed to their last page.
 *
 * Errors: those of herd_aws_do and of ec2_types.h.
 * Threads: that of the herd_aws.
 */
#ifndef HERD_EC2_H
#define HERD_EC2_H

#include "acquire/aws/call.h"
#include "acquire/aws/ec2_types.h"

struct herd_ec2_query {
	const char *const *ids; /* of the kind that is asked for; 0: all */
	size_t n_ids;
	/* "tag:herdfs:case" and such; several of a name: any of them */
	const struct herd_pair *filters;
	size_t n_filters;
	bool everybody; /* snapshots: those that everybody may use */
	/* Asks whether it were allowed: 0, and an empty list, or -EACCES. */
	bool dry_run;
};

/*
 * Lists without one element twice, and by ids with none that was not asked
 * for; that one is missing is no error, the caller sees it.
 */
int herd_ec2_instances(struct herd_aws *a, const struct herd_ec2_query *q,
		       struct herd_ec2_instances *ret, struct herd_diag *diag);
int herd_ec2_volumes(struct herd_aws *a, const struct herd_ec2_query *q,
		     struct herd_ec2_volumes *ret, struct herd_diag *diag);
int herd_ec2_snapshots(struct herd_aws *a, const struct herd_ec2_query *q,
		       struct herd_ec2_snapshots *ret, struct herd_diag *diag);
int herd_ec2_images(struct herd_aws *a, const struct herd_ec2_query *q,
		    struct herd_ec2_images *ret, struct herd_diag *diag);
/* id or name, the other NULL. version: a number, "$Latest" or "$Default". */
int herd_ec2_template_version(struct herd_aws *a, const char *id,
			      const char *name, const char *version,
			      bool dry_run, struct herd_ec2_template *ret,
			      struct herd_diag *diag);

struct herd_ec2_capture {
	const char *instance;
	const char *description;
	const struct herd_pair *tags; /* for each snapshot: the case, … */
	size_t n_tags;
	bool dry_run;
};
/*
 * All EBS volumes of an instance at one point in time. There is no token that
 * makes this idempotent, so it is not tried again where the service may have
 * begun: on -ETIMEDOUT, -ECONNRESET, -EPROTO and -EIO look for snapshots with
 * these tags before asking again.
 */
int herd_ec2_create_snapshots(struct herd_aws *a,
			      const struct herd_ec2_capture *c,
			      struct herd_ec2_snapshots *ret,
			      struct herd_diag *diag);
/* -ENOENT: there is none; 0 where an attempt before had already done it. */
int herd_ec2_delete_snapshot(struct herd_aws *a, const char *snapshot,
			     bool dry_run, struct herd_diag *diag);

/*
 * Whether EBS direct can read it, from what is described of it: 0, -EAGAIN
 * (pending), -EIO (failed), -EACCES (archived, on an Outpost, Amazon's). That
 * it is public is not in a description: see herd_ec2_query.everybody.
 */
int herd_ec2_snapshot_readable(const struct herd_ec2_snapshot *s,
			       struct herd_diag *diag);

#endif
