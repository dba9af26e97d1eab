/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What speaks against an image of memory: that it is not whole, or that it may
 * be another instance's. Such things are no errors, but whoever relies on the
 * findings has to know: they become the first problems of the machine.
 *
 * Threads: that of the transaction.
 */
#ifndef HERD_MEMORY_DOUBTS_H
#define HERD_MEMORY_DOUBTS_H

#include "index/memory_attach.h"
#include "index/memory/machine.h"
#include "index/memory/machine_pages.h"

struct herd_memory_doubts {
	struct herd_txn *txn;
	const struct herd_instance *instance;
	const struct herd_memory_attach *attach;
	/* for herd_memory_doubt alone */
	struct herd_kernel *kernel;
	const struct herd_pages_summary *pages;
};

/* Whether a and b are the very same files. */
bool herd_memory_same_image(const struct herd_image *a,
			    const struct herd_image *b);
/* -EEXIST: another instance of the group has this very file for its memory. */
int herd_memory_check_image(const struct herd_memory_doubts *d,
			    struct herd_diag *diag);
/* Adds to m's problems; the first of them to ret_first (cut to fit; "": none). */
int herd_memory_doubt(const struct herd_memory_doubts *d, struct herd_machine *m,
		      char *ret_first, size_t room);

#endif
