/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is said of an instance's memory: the same words in reports, lists and
 * the mount.
 *
 * Threads: as index/report.h says.
 */
#ifndef HERD_REPORT_MEMORY_H
#define HERD_REPORT_MEMORY_H

#include "index/json.h"
#include "index/memory_herd.h"

/* The memory of an instance with its findings, by score, then as judged. */
struct herd_report_memory {
	struct herd_image image;
	uint64_t attached;
	struct herd_machine *machine;
	struct herd_machine_finding *v;
	size_t n;
	bool judged;		/* else there are no findings, and what follows
				   says nothing */
	bool outside;		/* it is no member, which is why: for who makes
				   it to say */
	uint32_t members;	/* that have memory */
	size_t deviant, natural;	/* by class */
};
/* -ENOENT: it has none. mh NULL: nothing is judged. */
int herd_report_memory_make(struct herd_txn *t,
			    const struct herd_memory_herd *mh,
			    uint32_t instance, struct herd_report_memory *ret,
			    struct herd_diag *diag);
void herd_report_memory_deinit(struct herd_report_memory *m);

/* "process 812 sshd", "module evil", …: appended, escaped. */
void herd_report_memory_subject(const struct herd_machine *m,
				const struct herd_machine_finding *f,
				struct herd_buf *out);
/* "patched text, anonymous executable memory": appended. */
void herd_report_memory_marks(uint32_t marks, struct herd_buf *out);

/* The section of report.txt. */
void herd_report_memory_text(const struct herd_report_memory *m,
			     struct herd_buf *out);
/* Members of an object that is open: image, kernel, counts, problems; without
   findings, and without counts of them where nothing was judged. */
void herd_report_memory_json(const struct herd_report_memory *m,
			     struct herd_json *j);
/* Members of an object that is open: one finding. */
void herd_report_memory_json_finding(const struct herd_machine *m,
				     const struct herd_machine_finding *f,
				     struct herd_json *j);

#endif
