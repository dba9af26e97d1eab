/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Programs and libraries in memory, held against the same instance's disk:
 * every page of a file that some process may execute, once, as the page cache
 * has it; and the pages of which a process has a private copy.
 *
 * What is kept of it (machine.h): a digest only of pages that no disk vouches
 * for, and each page that differs from what it should be. A page that equals
 * the disk's is judged with the file on the disk. A page that a process has and
 * that there is nothing to compare with (the page cache could not be read, say)
 * is kept as such: nobody knows whether it was changed.
 *
 * Threads: called by one.
 */
#ifndef HERD_MACHINE_PAGES_H
#define HERD_MACHINE_PAGES_H

#include "index/memory/machine.h"

#define HERD_PAGE_DIGESTS_MAX (1u << 18)
#define HERD_PAGE_CHANGES_MAX (1u << 16)
/* Of those, that could not be compared: the rest is counted alone. */
#define HERD_PAGE_NOT_COMPARABLE_MAX (1u << 12)

/*
 * len bytes of that very file at off, zeros behind its end. -ENOENT or -ENODEV:
 * the disk has not got it; other errors are counted.
 */
typedef int herd_pages_read(void *arg, const struct herd_mfile *f, uint64_t off,
			    void *buf, size_t len);

struct herd_pages_summary {
	uint64_t files;		 /* with pages that may be executed */
	uint64_t pages;		 /* of them in the page cache, looked at */
	uint64_t compared;	 /* with the disk */
	/* of files that a disk should have (plain, not deleted, on a file system
	   of disks), and how many of these were compared */
	uint64_t of_disks, of_disks_compared;
	uint64_t unknown;	 /* that the disk has not got: digests */
	uint64_t dirty;		 /* that differ and are not written yet */
	uint64_t missing;	 /* not in the image */
	uint64_t errors;	 /* the disk could not be read */
	uint64_t private_pages;	 /* copies that processes have */
	uint64_t changed;	 /* differ: of both kinds */
	uint64_t not_comparable; /* mapped, and neither the cache nor the disk
				    has them: not known to differ */
	uint64_t left_out;	 /* over the limits above */
};

/*
 * Fills m's page_digests and page_changes. read NULL: there is no disk. 0,
 * -ENOMEM; what could not be read is in m's problems.
 */
int herd_machine_pages(struct herd_machine *m, struct herd_phys *phys,
		       herd_pages_read *read, void *arg,
		       struct herd_pages_summary *ret, struct herd_diag *diag);

#endif
