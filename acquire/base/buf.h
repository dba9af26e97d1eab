/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A growable byte string, the writing counterpart of the cursor. When memory
 * runs out `failed` is set, further writes do nothing, and the user checks
 * once at the end. Start from HERD_BUF_INIT; herd_buf_deinit frees it.
 */
#ifndef HERD_BUF_H
#define HERD_BUF_H

#include "acquire/base/cleanup.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct herd_buf {
	uint8_t *data;
	size_t len, cap;
	bool failed;
};

#define HERD_BUF_INIT { NULL, 0, 0, false }

void herd_buf_deinit(struct herd_buf *b);
#define CLEANUP_BUF CLEANUP(herd_buf_deinit)

/* Room for n more bytes at the end; NULL when memory ran out. len grows. */
void *herd_buf_extend(struct herd_buf *b, size_t n);
void herd_buf_put(struct herd_buf *b, const void *p, size_t n);
void herd_buf_u8(struct herd_buf *b, uint8_t v);
void herd_buf_le32(struct herd_buf *b, uint32_t v);
void herd_buf_be32(struct herd_buf *b, uint32_t v);
void herd_buf_be64(struct herd_buf *b, uint64_t v);
void herd_buf_varint(struct herd_buf *b, uint64_t v);
void herd_buf_svarint(struct herd_buf *b, int64_t v);
void herd_buf_printf(struct herd_buf *b, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

/* 0, or -ENOMEM when any write failed. */
static inline int herd_buf_error(const struct herd_buf *b)
{
	return b->failed ? -ENOMEM : 0;
}

/* 2*n hex digits and a NUL into out. Returns out. */
char *herd_hex(const void *bytes, size_t n, char *out);

#endif
