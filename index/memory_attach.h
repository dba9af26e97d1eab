/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Puts the memory of an instance into the index: reads the machine out of the
 * image, holds programs and libraries in memory against the instance's own
 * disk, and stores what came of it.
 *
 * Threads: called by one thread.
 */
#ifndef HERD_MEMORY_ATTACH_H
#define HERD_MEMORY_ATTACH_H

#include "acquire/memory.h"
#include "index/attach.h"

struct herd_memory_attach {
	const char *group, *instance;	/* attached, with its disks */
	const struct herd_image *image;	/* as herd_memory_probe has it */
	struct herd_source *source;	/* opened on it */
	/* the disks of the instance's record, in order; NULL where one is not
	   to be had: then pages are not compared with it */
	struct herd_source **disks;
	size_t n_disks;
	const char *no_disk;	/* why not, one line; NULL: they are all there */
	const char *symbols;	/* see herd_kernel_options */
	uint64_t now;
	struct herd_progress *progress;	/* may be NULL */
};

struct herd_memory_summary {
	char release[65];
	uint64_t memory;	/* bytes in the image */
	uint32_t processes, threads, modules;
	uint64_t pages;		/* of programs and libraries, looked at */
	uint64_t pages_compared, pages_changed;
	uint64_t problems;	/* kinds of */
	char doubt[512];	/* the first of memory_doubts.h, or "" */
	bool already;		/* was there, from the same image */
};

/*
 * -ENOENT: no such instance; -EEXIST: it has the memory of another image, or
 * this image is the memory of another one.
 * -EOPNOTSUPP: not a memory that can be read; the diag says what is missing.
 */
int herd_memory_attach(struct herd_store *s, const struct herd_memory_attach *a,
		       struct herd_memory_summary *ret, struct herd_diag *diag);

#endif
