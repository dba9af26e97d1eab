/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The files of an image that qemu reads, and what stands on what: an overlay,
 * its backing files, external data files. Only qcow2 may stand on others.
 *
 * An image comes from a machine that may have been in an intruder's hands,
 * so a name in it is not believed: it must be a plain path, and what it
 * resolves to, links followed, must lie in the directory of the image that
 * names it (or below), or below the directory that the user allowed.
 *
 * Threads: no state.
 */
#ifndef HERD_CHAIN_H
#define HERD_CHAIN_H

#include "acquire/qcow2.h"
#include "acquire/source.h"

#define HERD_CHAIN_MAX 32	/* images one above the other */

struct herd_chain_link {
	char format[16];	/* as in herd_image.format, without "qemu-" */
	size_t file;		/* index in herd_image.files */
	struct herd_qcow2 qcow2;	/* if it is one; has an external data
					   file: file + 1 */
};

struct herd_chain {
	struct herd_chain_link links[HERD_CHAIN_MAX];	/* top first */
	size_t n;
};

/*
 * The absolute path that `name`, found in the image at path `holder`, stands
 * for; -EPERM when it leads elsewhere. allowed_dir may be NULL. *ret is
 * malloced, links resolved.
 */
int herd_chain_resolve(const char *holder, const char *name, const char *what,
		       const char *allowed_dir, char **ret,
		       struct herd_diag *diag);

/* Appends path's identity to img->files. For those that assemble an image. */
int herd_image_add_file(struct herd_image *img, const char *path,
			struct herd_diag *diag);

/*
 * Identifies the image at path (of img->format) and all it stands on. A qcow2
 * that only qemu can read, or that stands on such, becomes a "qemu-qcow2".
 */
int herd_chain_build(struct herd_image *img, const char *path,
		     const char *allowed_dir, struct herd_diag *diag);

/*
 * The structure of an image that was probed before, from the headers of its
 * files: opens nothing else. -ESTALE when they do not fit together.
 */
int herd_chain_read(const struct herd_image *img, struct herd_chain *ret,
		    struct herd_diag *diag);

#endif
