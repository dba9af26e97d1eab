/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The text that describes a VMDK: which files its extents lie in. Stricter
 * than the libraries that read it later: a line that is not understood is
 * refused, so that they cannot find a file name where none was seen here.
 *
 * Threads: pure.
 */
#ifndef HERD_VMDK_H
#define HERD_VMDK_H

#include "acquire/base/diag.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define HERD_VMDK_TEXT_MAX (1u << 20)
#define HERD_VMDK_EXTENTS_MAX 4000

struct herd_vmdk {
	uint64_t size;		/* of the disk inside, bytes */
	bool has_parent;	/* a snapshot that stands on another VMDK */
	char **names;		/* plain file names of the extents; owned */
	size_t n_names;
};

void herd_vmdk_deinit(struct herd_vmdk *v);
/* offset: where the text begins in the file, for messages. */
int herd_vmdk_parse(const char *text, size_t len, const char *name,
		    uint64_t offset, struct herd_vmdk *ret,
		    struct herd_diag *diag);

#endif
