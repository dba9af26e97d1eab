/* SPDX-License-Identifier: Apache-2.0 */
/* What memory_files*.c share, and nobody else includes. Threads: pure. */
#ifndef HERD_MEMORY_FILES_INTERNAL_H
#define HERD_MEMORY_FILES_INTERNAL_H

#include "index/memory_files.h"

void herd_put_text(struct herd_buf *out, const char *s);	/* escaped */
void herd_put_time(struct herd_buf *out, bool known, const struct herd_time *t);
void herd_put_seen(struct herd_buf *out, uint32_t seen);

#endif
