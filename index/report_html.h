/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A group as one page for a browser: everything in it, nothing fetched, and
 * readable with scripts switched off. Names and texts out of images are
 * escaped wherever they stand, and the page forbids itself whatever it does
 * not bring along. Nothing depends on the clock.
 *
 * Threads: none of its own; uses the caller's read transaction.
 */
#ifndef HERD_REPORT_HTML_H
#define HERD_REPORT_HTML_H

#include "index/report.h"

struct herd_report_page {
	struct herd_txn *txn;
	const struct herd_herd *herd; /* with knowledge, for its rules */
	const struct herd_memory_herd *memory; /* NULL: memory is left out */
	/* How much is shown one by one; the rest is summed up, by number.
	   0: all of it. */
	size_t instances; /* that deviate */
	size_t findings;  /* of each of them, and of each list */
};

#define HERD_REPORT_INSTANCES 60
#define HERD_REPORT_FINDINGS 25

int herd_report_html(const struct herd_report_page *asked, struct herd_buf *out,
		     struct herd_diag *diag);

#endif
