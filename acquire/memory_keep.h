/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Images of memory, kept without what they have in common: a folder in which
 * each image is a list (NAME.keep) of where its pages are, and the pages that no
 * image before had (NAME.pack), packed. Pages of zeros take nothing. An image is
 * given back bit for bit.
 *
 * Plain containers alone (raw, LiME, ELF): what is packed already has no pages
 * that could be found again. It may be kept unpacked, as LiME, and then it is
 * that LiME file that is given back.
 *
 * Threads: one at a time writes to a folder, by a lock on it.
 */
#ifndef HERD_MEMORY_KEEP_H
#define HERD_MEMORY_KEEP_H

#include "acquire/memory.h"

struct herd_keep_result {
	uint64_t bytes;		/* of the image */
	uint64_t pages;		/* of 4 KiB in it */
	uint64_t zeros, shared, fresh;	/* of them */
	uint64_t stored;	/* bytes that the folder grew by */
};

/*
 * Waits until nobody else writes to the folder, and keeps others from it until
 * *ret is closed. To be held over an import and its publishing.
 */
int herd_keep_lock(const char *dir, int *ret, struct herd_diag *diag);
/*
 * img: as herd_memory_probe has it. name: of the kept one, a plain file name.
 * as_lime: what is packed is kept unpacked. It is written under hidden names, by
 * a process that may be locked in to the image and the folder;
 * herd_keep_publish, by one that is not, gives it its own, so that it is there
 * whole or not at all. -EEXIST: there is one of that name; -EOPNOTSUPP: a packed
 * container, and as_lime was not given or LiME cannot hold what is in it.
 */
int herd_keep_import(const char *dir, const char *name,
		     const struct herd_image *img, bool as_lime,
		     struct herd_keep_result *ret, struct herd_diag *diag);

int herd_keep_publish(const char *dir, const char *name,
		      struct herd_diag *diag);

/* The files that a kept image consists of: the list, and packs beside it. */
int herd_keep_probe(const char *path, struct herd_image *ret,
		    struct herd_diag *diag);
/* The bytes of the image as it was; *ret_format: what container it is. */
int herd_keep_open(const struct herd_image *img, struct herd_source **ret,
		   char ret_format[16], struct herd_diag *diag);
/* Writes it to fd, and compares its SHA-256 with the one taken when it came in:
   -EBADMSG. */
int herd_keep_export(const struct herd_image *img, int fd,
		     struct herd_diag *diag);

#endif
