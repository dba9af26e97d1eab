/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Attaches one instance after the other: runs the worker, says what came of
 * it. What the commands that attach have in common.
 *
 * Threads: the main thread.
 */
#ifndef HERD_ATTACH_RUN_H
#define HERD_ATTACH_RUN_H

#include "tools/attach_worker.h"

struct herd_attach_run {
	bool json, quiet;
	/* private */
	unsigned stall_seconds;
	struct herd_worker_shared *shared;
};

/* remote: disks are read over the network. */
int herd_attach_run_begin(struct herd_attach_run *r, bool remote);
/* Does not return where a signal came meanwhile. */
void herd_attach_run_end(struct herd_attach_run *r);

/* One instance; prints what came of it. *ret_stop: it makes no sense to go on
   with others. */
int herd_attach_one(const struct herd_attach_run *o, const struct herd_job *job,
		    bool *ret_stop);

/* Bytes that a worker may take: half of what is there, or as the user says. */
uint64_t herd_attach_memory(void);

/* What speaks against such a name; NULL: nothing. */
const char *herd_attach_group_problem(const char *name);
const char *herd_attach_instance_problem(const char *name);

#endif
