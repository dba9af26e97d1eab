/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The file of a set, for those that write and those that read it: a head,
 * the digests, and the SHA-256 of the digests and then the head, so that it
 * can be taken while the number of digests is not known yet.
 */
#ifndef HERD_KNOWN_INTERNAL_H
#define HERD_KNOWN_INTERNAL_H

#include "index/known.h"

#define HERD_KNOWN_FOLDER "known"
#define HERD_KNOWN_MAGIC "herdfs digests\n" /* and its NUL: 16 bytes */
#define HERD_KNOWN_VERSION 1
/* magic, be32 version, be32 kind (1 good, 2 bad), be64 count, be64 time, zeros */
#define HERD_KNOWN_HEAD 64

void herd_known_head(uint8_t head[HERD_KNOWN_HEAD], bool bad, uint64_t n,
		     uint64_t imported);
/* "DIR/known/NAME.bad"; false: too long. */
bool herd_known_path(char *buf, size_t size, const char *store_dir,
		     const char *name, bool bad);

#endif
