/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tells the format of an image file by its content, and how large the disk
 * inside says it is. Reads a few headers at fixed places, nothing more.
 *
 * Threads: no state; the descriptor is only read with pread.
 */
#ifndef HERD_DETECT_H
#define HERD_DETECT_H

#include "acquire/base/diag.h"

#include <stdint.h>

struct herd_detected {
	const char *format;	/* static: "raw", "qcow2", "ewf", … as in
				   herd_image; "vmdk" also for a descriptor;
				   "lime", … of memory, which
				   herd_memory_probe looks at more closely */
	uint64_t size;		/* of the disk inside; 0 where only opening it
				   can tell */
};

/*
 * file_size: bytes of the file. What is recognised but cannot be read (a
 * differencing VHD, an encrypted qcow2, …) is -EOPNOTSUPP.
 */
int herd_detect(int fd, uint64_t file_size, const char *name,
		struct herd_detected *ret, struct herd_diag *diag);

/*
 * The text of a VMDK's descriptor, be it a file of its own or inside the
 * image. *ret is malloced; *ret_offset is where it begins.
 */
int herd_detect_vmdk_text(int fd, uint64_t file_size, const char *name,
			  char **ret, size_t *ret_len, uint64_t *ret_offset,
			  struct herd_diag *diag);

#endif
