/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The process that indexes one instance. Whatever is in an image, it is read
 * in there, locked in, and the worst that can happen is that this process
 * ends: the store stays whole and the command goes on with the next.
 *
 * Threads: the worker writes `progress` while it runs, and the rest before it
 * writes one byte to its pipe. The parent reads the rest after that byte, or
 * after the worker's end, and believes none of it.
 */
#ifndef HERD_ATTACH_WORKER_H
#define HERD_ATTACH_WORKER_H

#include "index/memory_attach.h"

#define HERD_WORKER_PROBLEMS 5

/* What to do. */
struct herd_job {
	const char *group, *instance;
	enum herd_role role;
	const char *const *disks;	/* paths as given */
	size_t n_disks;
	const char *format, *backing_dir;	/* may be NULL */
	const struct herd_attach_token *tokens;
	size_t n_tokens;
	bool no_identity;
	bool read_all, verify;	/* see herd_attach */
	bool of_memory;		/* the one "disk" is an image of memory */
	const char *symbols;	/* for it: absolute, or NULL */
	struct herd_fetcher *fetcher;	/* for EBS snapshots; borrowed */
	const char *store_dir;
	unsigned threads;
	uint64_t memory;	/* bytes that the worker may allocate, but for
				   its threads' stacks */
	uint64_t now;
};

enum herd_outcome {
	HERD_OUTCOME_NONE,	/* it did not get that far */
	HERD_OUTCOME_ATTACHED,
	HERD_OUTCOME_ALREADY,
	HERD_OUTCOME_FAILED,	/* this instance */
	HERD_OUTCOME_NO_STORE,	/* no other instance will fare better */
};

/* What came of it; in memory that both processes share. */
struct herd_worker_shared {
	struct herd_progress progress;
	_Atomic uint64_t disk_bytes;	/* size of the instance's disks */
	uint32_t outcome;	/* enum herd_outcome */
	int32_t err;
	struct herd_diag diag;
	uint64_t entries, files, bytes, hashed_files, hashed_bytes;
	uint64_t inherited_files, inherited_bytes, problems;
	bool provisional;	/* inherited by metadata alone */
	struct herd_memory_summary memory;	/* of an image of memory */
	char reference[HERD_INSTANCE_NAME_MAX + 1];	/* "" : it is it */
	char no_reference[1024];	/* why its images could not be used */
	char missing[256];		/* what the kernel cannot confine */
	char problem[HERD_WORKER_PROBLEMS][512];	/* the first few */
};

/* Runs in a process of its own and never returns. */
_Noreturn void herd_worker_run(const struct herd_job *job,
			       struct herd_worker_shared *shared, int done_fd);

#endif
