/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Images of physical memory: LiME, AVML, ELF core, kdump, raw. Each becomes a
 * source whose offset is the physical address.
 *
 * A gap (what the container does not hold) is no zeros: a read that touches
 * one is -ENODATA, and herd_source_data gives the ranges that are there. The
 * size of the source is the end of the highest of them.
 *
 * Threads: as any source; herd_memory_notes never changes.
 */
#ifndef HERD_MEMORY_H
#define HERD_MEMORY_H

#include "acquire/source.h"

#define HERD_MEMORY_RANGES_MAX (1u << 20)
#define HERD_MEMORY_CPUS_MAX 8192u

/*
 * Finds out which container path is and identifies the file, as
 * herd_image_probe does for disks. format NULL: by content; "lime", "avml",
 * "elf-core", "kdump" (plain or flattened), or "raw-memory", which has no mark
 * of its own: a file that is none of the others is raw when its size is a
 * multiple of 4,096, which ret->warning then says. A disk's (a partition table
 * or file system at its start) is refused: -EOPNOTSUPP.
 */
int herd_memory_probe(const char *path, const char *format,
		      struct herd_image *ret, struct herd_diag *diag);
/*
 * The same for an object of S3, "s3://…", of which the fetcher tells how long it
 * is and reads the first bytes. Where its bucket keeps versions ret->files[0].path
 * has the one that it is.
 */
struct herd_fetcher;
int herd_memory_probe_s3(const char *path, const char *format,
			 struct herd_fetcher *fetcher, struct herd_image *ret,
			 struct herd_diag *diag);
/* Whether an image's format is one of the above. */
bool herd_image_is_memory(const struct herd_image *img);
/* As herd_image_open, which calls it for these formats. */
int herd_memory_open(const struct herd_image *img, struct herd_helper *helper,
		     struct herd_source **ret, struct herd_diag *diag);
/* The same from the bytes of a container (an object on S3, a test's). Takes
   over `container` also when it fails. format may not be NULL. */
int herd_memory_open_on(struct herd_source *container, const char *format,
			struct herd_source **ret, struct herd_diag *diag);

/* The registers of a thread that was on a processor: struct pt_regs' order as
   in an x86_64 PRSTATUS (r15 … gs, 27 words). */
struct herd_memory_cpu {
	uint32_t pid;		/* as the note says; 0 from QEMU */
	uint64_t regs[27];
};
/* What a container says beside the bytes. */
struct herd_memory_notes {
	const char *vmcoreinfo;	/* not terminated; NULL: none */
	size_t vmcoreinfo_len;
	const struct herd_memory_cpu *cpus;	/* in order of their notes */
	size_t n_cpus;
	uint64_t cr3;		/* of a QEMU note; 0: not known */
	const char *tool;	/* what made it, where the container tells; or
				   NULL */
	const char *warning;	/* incomplete, flagged as such; or NULL */
};
/* Borrowed from s; all empty when s is no memory container. */
const struct herd_memory_notes *herd_memory_notes(const struct herd_source *s);

#endif
