/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The memory of a process, as far as it can be had: a map of where each page's
 * bytes are. It is made of what the machine says and of the page tables in the
 * image; no kernel structure is followed:
 *
 *   what the tables map            the image
 *   else, of a file                the page cache, else the instance's disk
 *   else, of anonymous memory      zeros: it was never touched
 *   swapped, not in the image, …   nowhere; such pages are zeros, and counted
 *
 * Threads: a map never changes once made. Reading uses the caller's sources.
 */
#ifndef HERD_DUMP_H
#define HERD_DUMP_H

#include "index/memory/machine.h"

enum herd_dump_kind {
	HERD_DUMP_OUTSIDE, /* no VMA has it */
	HERD_DUMP_ZERO,	   /* zeros: never touched, behind a file's end, a
				   hole of a sparse image */
	HERD_DUMP_IMAGE,
	HERD_DUMP_CACHE, /* the page cache, which is in the image, too */
	HERD_DUMP_DISK,
	HERD_DUMP_DEVICE, /* the kernel's data, a device's: in no dump */
	/* nowhere, from here on */
	HERD_DUMP_UNBACKED, /* of a tmpfs, memfd, shared memory, and not in
				   the page cache: never written, or swapped */
	HERD_DUMP_SWAPPED,
	HERD_DUMP_GAP,	   /* the page, or the table, is not in the image */
	HERD_DUMP_SPECIAL, /* being moved, poisoned */
	HERD_DUMP_NO_FILE, /* the disk has not got that very file */
	HERD_DUMP_UNNAMED, /* of a file, and it is not known of which */
	HERD_DUMP_LIMIT,   /* the page tables are larger than the limit */
	HERD_DUMP_KINDS
};
/* "swapped out", … */
const char *herd_dump_kind_name(enum herd_dump_kind k);
/* Whether there are bytes that may be other than zeros. */
static inline bool herd_dump_kind_has_data(enum herd_dump_kind k)
{
	return k >= HERD_DUMP_IMAGE && k <= HERD_DUMP_DISK;
}
/* Whether there are bytes that could not be had (or are not known to be). */
static inline bool herd_dump_kind_is_missing(enum herd_dump_kind k)
{
	return k >= HERD_DUMP_UNBACKED;
}

/*
 * Marks VMAs that no dump has: unaligned, beyond user space, overlapping
 * others; only a hostile image has them. For a machine of one's own, once,
 * before anything below. Returns how many.
 */
#define HERD_VMA_ODD (1ull << 63)	/* in herd_vma.flags */
size_t herd_dump_prepare(struct herd_machine *m);
static inline bool herd_dump_has_vma(const struct herd_vma *v)
{
	return !(v->flags & HERD_VMA_ODD);
}

/* May be NULL: no disk. 0: the disk has that very file. */
typedef int herd_dump_disk_has(void *arg, const struct herd_mfile *f);

#define HERD_DUMP_PIECES_MAX (2u << 20)	/* of a process; 32 MiB */

struct herd_dump;
/*
 * Of process p, by its addresses; of file f, by its bytes (up to its last
 * page). -ENOMEM.
 */
struct herd_dump_make {
	const struct herd_machine *m;
	struct herd_phys *phys;	/* for the page tables */
	const struct herd_extents *there;	/* as herd_source_data has it */
	herd_dump_disk_has *has;	/* see above */
	void *arg;
};
int herd_dump_create(const struct herd_dump_make *how, uint32_t process,
		     struct herd_dump **ret);
int herd_dump_create_file(const struct herd_dump_make *how, uint32_t file,
			  struct herd_dump **ret);
void herd_dump_destroy(struct herd_dump *d);
size_t herd_dump_cost(const struct herd_dump *d);	/* bytes */

/* A stretch of one kind. */
struct herd_dump_piece {
	uint64_t start, end;
	enum herd_dump_kind kind;
	uint64_t where;		/* IMAGE, CACHE: physical address of start;
				   DISK: byte of the file */
};
/* The piece at va, whole; what lies behind all of them is OUTSIDE. */
struct herd_dump_piece herd_dump_at(const struct herd_dump *d, uint64_t va);
/* Bytes of each kind in [start, end), OUTSIDE left out. */
void herd_dump_count(const struct herd_dump *d, uint64_t start, uint64_t end,
		     uint64_t ret[HERD_DUMP_KINDS]);
/*
 * The first byte from va on that is data (or, hole, that is none), up to end:
 * end where there is none.
 */
uint64_t herd_dump_seek(const struct herd_dump *d, uint64_t va, uint64_t end,
			bool hole);
/*
 * Where the bytes of a VMA end that are worth a place in a file; what is behind
 * is zeros in every dump. Anonymous memory ends before what was never touched
 * at its end. Else, and where the end is missing, it is cut only when that is
 * HERD_DUMP_CUT or more: some programs reserve tebibytes. v->start: nowhere;
 * where it is not known which file is mapped, a page is left at least.
 */
#define HERD_DUMP_CUT (64ull << 20)
uint64_t herd_dump_vma_end(const struct herd_dump *d, const struct herd_vma *v);

/* Where bytes come from, of the caller's. */
struct herd_dump_sources {
	struct herd_source *image;
	/* len bytes of f; may be NULL when the map has nothing of a disk */
	int (*disk)(void *arg, const struct herd_mfile *f, uint64_t off,
		    void *buf, size_t len);
	void *arg;
};
/*
 * len bytes at va; zeros where there are none. m: the machine that the map was
 * made of. -EIO and the like: a source that should have them cannot be read.
 */
int herd_dump_read(const struct herd_dump *d, const struct herd_machine *m,
		   const struct herd_dump_sources *s, uint64_t va, void *buf,
		   size_t len, struct herd_diag *diag);

/* ---- files ---- */

/* Whether its content is worth a look: a regular file, or what behaves so. */
bool herd_dump_file_has_content(const struct herd_mfile *f);
/* Whether it lives in memory alone: tmpfs, memfd, shared memory. */
bool herd_dump_file_in_memory(const struct herd_mfile *f);

#endif
