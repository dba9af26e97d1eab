/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The header of a qcow2 image: only what says on which other files it
 * stands. Everything else in it is qemu's to read, in a process of its own.
 *
 * Threads: pure.
 */
#ifndef HERD_QCOW2_H
#define HERD_QCOW2_H

#include "acquire/base/diag.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The header and its names lie in the first cluster, at most this long. */
#define HERD_QCOW2_HEADER_MAX (2u << 20)

struct herd_qcow2 {
	uint64_t size;			/* of the disk inside, bytes */
	char backing[1024];		/* as written there; "" for none */
	char backing_format[16];	/* "" when not recorded */
	bool external_data;
	char data_file[1024];		/* "" unless external_data */
};

/* bytes: the start of the file, up to HERD_QCOW2_HEADER_MAX. */
int herd_qcow2_parse(const void *bytes, size_t len, const char *name,
		     struct herd_qcow2 *ret, struct herd_diag *diag);

#endif
