/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The files of a kept image. All numbers little-endian or varints.
 *
 * NAME.pack   "HERDPACK", le32 version; zstd frames (with checksums), each of up
 *             to 16 pages; then the table: for each page its SHA-256, for each
 *             frame le64 offset and le32 length; then le64 where the table is,
 *             le32 pages, le32 frames
 * NAME.keep   "HERDKEEP", le32 version, le64 bytes of the image, bytes[32] its
 *             SHA-256, bytes[16] its container's name, le32 packs and for each a
 *             le32 length, its name and the SHA-256 of its table; then what the
 *             image consists of, in order:
 *             varint 0, varint length           zeros
 *             varint 1, varint length, bytes    as they are
 *             varint 2, varint pack, varint first page, varint pages
 *             and the SHA-256 of all that
 *
 * Threads: values; a pack that is open is only read.
 */
#ifndef HERD_KEEP_IMPL_H
#define HERD_KEEP_IMPL_H

#include "acquire/base/sha256.h"
#include "acquire/memory/memory_impl.h"
#include "acquire/memory_keep.h"

#define HERD_KEEP_VERSION 1u
#define HERD_KEEP_GROUP 16u	/* pages in a frame */
#define HERD_KEEP_PACKS_MAX 4096u
#define HERD_KEEP_LIST_MAX (256u << 20)
#define HERD_KEEP_PAGES_MAX (1u << 30)

enum { HERD_KEEP_ZEROS, HERD_KEEP_PLAIN, HERD_KEEP_PAGES };

struct herd_pack {
	struct herd_source *source;	/* the file; owned */
	uint32_t n_pages, n_frames;
	uint64_t table;			/* where it is */
	uint8_t *frames;		/* 12 bytes each */
	uint8_t id[HERD_SHA256_LEN];	/* of the table */
};
int herd_pack_open(const char *path, struct herd_pack *ret,
		   struct herd_diag *diag);
void herd_pack_close(struct herd_pack *p);
/* out: room for HERD_KEEP_GROUP pages. *ret_n: pages in it. */
int herd_pack_frame(struct herd_pack *p, uint32_t frame, uint8_t *out,
		    unsigned *ret_n, struct herd_diag *diag);

/* Opens a plain file as a source. */
int herd_keep_file(const char *path, struct herd_source **ret,
		   struct herd_diag *diag);
/* Whether a plain container, and its segments. */
const struct herd_memory_list *herd_memory_plain_list(const struct herd_source *s);

#endif
