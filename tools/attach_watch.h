/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Starts a worker process of attach, shows how far it is, and ends it when it
 * stands still or the user wants to stop.
 *
 * Threads: the main thread.
 */
#ifndef HERD_ATTACH_WATCH_H
#define HERD_ATTACH_WATCH_H

#include "tools/attach_worker.h"

/* How a worker ended. */
enum herd_end {
	HERD_END_DONE,		/* it said so: `shared` has the rest */
	HERD_END_DIED,
	HERD_END_STALLED,
	HERD_END_STOPPED,	/* by a signal to this process */
};

struct herd_watch {
	const char *label;	/* "web/i-1" */
	struct herd_worker_shared *shared;
	bool show;		/* progress, on a terminal */
	unsigned stall_seconds;
	double took;		/* out */
	/* private */
	double began, moved, shown;
	uint64_t beat;
};

/* Waits for the worker's end. *ret_status: as waitpid has it. */
int herd_watch_run(const struct herd_job *job, struct herd_watch *w,
		   enum herd_end *ret_end, int *ret_status);

/* Whether SIGINT, SIGTERM and SIGHUP end the worker, not this process. */
void herd_watch_signals(bool catch);
/* The one that came, or 0. */
int herd_watch_stopped(void);

/* "hashing": what a worker in that enum herd_stage does. */
const char *herd_stage_text(uint32_t stage);

#endif
