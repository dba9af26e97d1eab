/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the containers share, and nobody else includes. Each has a file; plain
 * ones (LiME, ELF, raw) are no more than a list of segments, AVML and kdump
 * unpack. All read from another source, the container's bytes.
 *
 * What is damaged costs what comes behind it and not the whole: what can be
 * read is, with a warning that says from which byte on it is not.
 *
 * Threads: opening is one thread's; reading may be many's (see memory_cache).
 */
#ifndef HERD_MEMORY_IMPL_H
#define HERD_MEMORY_IMPL_H

#include "acquire/base/buf.h"
#include "acquire/base/cleanup.h"
#include "acquire/base/cursor.h"
#include "acquire/memory.h"
#include "acquire/source_impl.h"

#define HERD_MEMORY_PAGE 4096u
#define HERD_MEMORY_TOP (1ull << 52)	/* physical addresses end there */
#define HERD_NOTE_TEXT_MAX (64u << 10)

/* Which container it is, by its first bytes and what the user says (`asked`, or
   NULL). *ret: one of those that are opened here. */
int herd_memory_decide(const uint8_t *head, size_t len, uint64_t size,
		       const char *name, const char *asked, const char **ret,
		       struct herd_diag *diag);
/* Makes img's format that; warns where it is a guess. */
int herd_memory_set_format(struct herd_image *img, const char *decided,
			   const char *asked);
/* Whether the bytes are of an image that was kept. */
bool herd_memory_is_kept(const uint8_t *head, size_t len);

/* ---- lists of segments ---- */

#define HERD_MEMORY_PLAIN UINT32_MAX

/* A stretch of memory and where in the container it lies. */
struct herd_memory_segment {
	uint64_t phys, len, off;
	uint32_t stream;	/* PLAIN; else it is packed, in this stream */
	uint32_t order;		/* how many were named before it */
};

struct herd_memory_list {
	struct herd_memory_segment *v;
	size_t n, cap;
};
void herd_memory_list_deinit(struct herd_memory_list *l);
/* -EOVERFLOW: too many; -ERANGE: beyond what 63 bits count. len 0: nothing. */
int herd_memory_list_add(struct herd_memory_list *l, uint64_t phys,
			 uint64_t len, uint64_t off, uint32_t stream);
/*
 * By address, and where some overlap the first named is taken, or the last;
 * *ret_conflict: some did, and not with the very same bytes.
 */
int herd_memory_list_settle(struct herd_memory_list *l, bool last_wins,
			    bool *ret_conflict);
/* Of the settled: the first that ends behind addr; n: none. */
size_t herd_memory_list_after(const struct herd_memory_list *l, uint64_t addr);
/* The segment that has addr; NULL: a gap. */
const struct herd_memory_segment *
herd_memory_list_find(const struct herd_memory_list *l, uint64_t addr);

/* ---- what every container has, at the front of its own struct ---- */

struct herd_memory_source {
	struct herd_source s;
	struct herd_source *container;	/* owned */
	struct herd_extents there;	/* what of memory it holds */
	struct herd_memory_notes notes;	/* its pointers are owned */
	uint64_t notes_read;		/* bytes */
	bool notes_odd;			/* of which it was warned */
	char warning[512];
	char tool[128];
};
/* Takes the container over, also when it fails. */
int herd_memory_init(struct herd_memory_source *m,
		     const struct herd_source_ops *ops,
		     struct herd_source *container);
void herd_memory_deinit(struct herd_memory_source *m);
void herd_memory_warn(struct herd_memory_source *m, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));
void herd_memory_tool(struct herd_memory_source *m, const char *name);
/* Settles a list whose first segments win, and takes what is there from it. */
int herd_memory_take_list(struct herd_memory_source *m,
			  struct herd_memory_list *l, struct herd_diag *diag);
/* The end of what is there becomes the size. */
void herd_memory_set_size(struct herd_memory_source *m);
int herd_memory_data(struct herd_source *s, struct herd_extents *ret,
		     struct herd_diag *diag);
int herd_memory_lost(struct herd_source *s, struct herd_diag *diag);
int herd_memory_gap(const struct herd_source *s, uint64_t addr,
		    struct herd_diag *diag);
/*
 * What an err of a parser becomes: with something read already, a warning that
 * names the byte (why has it, not HERD_NO_OFFSET), and 0; else why goes to diag.
 */
int herd_memory_damaged(struct herd_memory_source *m, bool something, int err,
			const struct herd_diag *why, struct herd_diag *diag);

/* The notes of an ELF file or a kdump, at [off, off+len) of the container. */
int herd_memory_read_notes(struct herd_memory_source *m, uint64_t off,
			   uint64_t len);
int herd_memory_take_vmcoreinfo(struct herd_memory_source *m, uint64_t off,
				uint64_t len);

/* LiME's header of a record, which is AVML's too. */
#define HERD_MEMORY_RECORD 32u
struct herd_memory_record {
	uint64_t phys, len;
	bool packed;		/* AVML's version 2 */
};
/* -ENODATA: the file ends within it. */
int herd_memory_read_record(struct herd_source *c, uint64_t at,
			    struct herd_memory_record *ret,
			    struct herd_diag *diag);
/*
 * What memory (borrowed, outlives it) would be as a file of LiME, as a source;
 * ret_list: where in it the ranges lie.
 */
int herd_memory_as_lime(struct herd_source *memory, struct herd_source **ret,
			struct herd_memory_list *ret_list,
			struct herd_diag *diag);
/* Warns of gaps that may be zeros, by a settled list. */
void herd_memory_tell_elided(struct herd_memory_source *m,
			     const struct herd_memory_list *l);

/* ---- unpacked blocks that were used last ---- */

struct herd_memory_cache;
/* block: bytes of one; slots: a power of two, at least 64. */
int herd_memory_cache_create(size_t block, unsigned slots,
			     struct herd_memory_cache **ret);
void herd_memory_cache_destroy(struct herd_memory_cache *c);
/* A copy of [at, at+len) of a block; false: it is not there. */
bool herd_memory_cache_get(struct herd_memory_cache *c, uint64_t key, size_t at,
			   void *buf, size_t len);
void herd_memory_cache_put(struct herd_memory_cache *c, uint64_t key,
			   const void *block, size_t len);

/* ---- the containers: take `container` over ---- */

int herd_memory_open_raw(struct herd_source *container,
			 struct herd_source **ret, struct herd_diag *diag);
int herd_memory_open_lime(struct herd_source *container,
			  struct herd_source **ret, struct herd_diag *diag);
int herd_memory_open_elf(struct herd_source *container,
			 struct herd_source **ret, struct herd_diag *diag);
int herd_memory_open_avml(struct herd_source *container,
			  struct herd_source **ret, struct herd_diag *diag);
int herd_memory_open_kdump(struct herd_source *container,
			   struct herd_source **ret, struct herd_diag *diag);
/*
 * What was flattened put in order, as a source; what was not is returned as it
 * is. Takes `container` over. *ret_cut: it has no end.
 */
int herd_memory_unflatten(struct herd_source *container,
			  struct herd_source **ret, bool *ret_cut,
			  struct herd_diag *diag);
/* Plain ones: takes m (from calloc), which is initialised, and its list over. */
struct herd_memory_plain {
	struct herd_memory_source m;
	struct herd_memory_list list;
};
int herd_memory_plain_create(struct herd_source *container, const char *kind,
			     struct herd_memory_plain **ret);
int herd_memory_plain_finish(struct herd_memory_plain *p,
			     struct herd_source **ret, struct herd_diag *diag);

/* The first HERD_MEMORY_HEAD bytes of a file tell "lime", "avml", …; NULL: none of them.
   *ret_why (may be NULL): what it is instead, when it is nothing to be read. */
#define HERD_MEMORY_HEAD 8192u
const char *herd_memory_detect(const uint8_t *head, size_t len,
			       const char **ret_why);
/* "a disk with …", where it is known that this is no memory; else NULL. */
const char *herd_memory_disk_mark(const uint8_t *head, size_t len);

#endif
