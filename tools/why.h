/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What herdfs why found out about one path, between its finding
 * (cmd_why.c) and its showing (why_show.c). Threads: the main thread.
 */
#ifndef HERD_TOOLS_WHY_H
#define HERD_TOOLS_WHY_H

#include "index/report.h"

/* One version of the path and who has it. */
struct why_version {
	struct herd_variant variant;
	uint32_t *members;	/* by id; owned */
	size_t n_members, cap;
	bool baseline;		/* the baseline has it */
	uint32_t shown;		/* the instance whose entry stands for it */
	struct herd_entry entry;	/* not set where absent; borrowed */
	struct herd_finding finding;	/* of `shown` */
	struct herd_meaning meaning;	/* of it, unless its class is "same" */
};

struct why {
	struct herd_txn *txn;
	struct herd_group group;
	struct herd_herd *herd;
	struct herd_knowledge *knowledge;
	struct herd_report_names names;
	const char *path;	/* without leading '/' */
	size_t path_len;
	uint32_t path_id;
	const char *mount;	/* "/mnt/h" where the path was given as one in
				   a mount, else "" */
	uint32_t instance;	/* the one that was asked for, or 0 */
	struct herd_finding finding;	/* its */
	struct herd_meaning meaning;	/* as of a version */
	struct why_version *versions;	/* the most frequent first */
	size_t n_versions, cap_versions;
	bool all;		/* show every version and name */
	bool on_no_disk;	/* nobody has it; some process runs it */
};

/* The version that an instance has; NULL when it is none of the herd. */
const struct why_version *herd_why_version_of(const struct why *w,
					      uint32_t instance);
/* The version that is the herd's for a finding; NULL: no such path. */
const struct why_version *herd_why_herd_of(const struct why *w,
					   const struct herd_finding *f);

/* Who runs it, and what of it is changed in memory; nothing where no memory is
   attached (why_memory.c). */
struct herd_json;
int herd_why_users_text(const struct why *w, struct herd_buf *out);
int herd_why_users_json(const struct why *w, struct herd_json *j);
/* Whether anybody runs it. */
int herd_why_is_run(const struct why *w, bool *ret);

/*
 * A path below memory/ of w->instance, without leading '/' (why_machine.c). ""
 * is all of it. -ENOENT: its memory is not attached, or has no such process;
 * diag says which.
 */
int herd_why_machine(struct why *w, const char *path, bool json,
		     struct herd_buf *out, struct herd_diag *diag);

int herd_why_text(const struct why *w, struct herd_buf *out);
int herd_why_json(const struct why *w, struct herd_buf *out);

#endif
