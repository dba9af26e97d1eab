/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the kinds of source share among themselves; nothing outside acquire/
 * includes it. An image is opened by exactly one of the herd_*_open below,
 * chosen by herd_image_open.
 *
 * Threads: these are called by the thread that opens; see source.h.
 */
#ifndef HERD_SOURCE_IMPL_H
#define HERD_SOURCE_IMPL_H

#include "acquire/base/cleanup.h"
#include "acquire/source.h"

#include <sys/stat.h>

/* Sets the common fields; name is copied (-ENOMEM). */
int herd_source_init(struct herd_source *s, const struct herd_source_ops *ops,
		     const char *name, uint64_t size);
/* Frees them again; the kinds call it from their destroy. */
void herd_source_deinit(struct herd_source *s);

#define CLEANUP_EXTENTS CLEANUP(herd_extents_deinit)
#define CLEANUP_IMAGE CLEANUP(herd_image_deinit)

/* Index of the first extent that ends after pos; e->n when there is none. */
size_t herd_extents_after(const struct herd_extents *e, uint64_t pos);

int herd_image_copy(const struct herd_image *from, struct herd_image *ret);
/* The last component of a path, for messages. */
const char *herd_path_base(const char *path);

/*
 * Opens an image file for reading: close-on-exec, access time left alone
 * where allowed, never blocking on a FIFO. Anything but a regular file or a
 * block device is refused. *ret_size: bytes, of a block device its capacity.
 */
int herd_image_file_open(const char *path, int *ret_fd, struct stat *ret_st,
			 uint64_t *ret_size, struct herd_diag *diag);
/* Exactly len bytes; a file that ends early is -EIO. */
int herd_pread_full(int fd, void *buf, size_t len, uint64_t off,
		    const char *name, struct herd_diag *diag);
/* Where a file has data, by SEEK_DATA, appended shifted by `at`. */
int herd_file_data(int fd, uint64_t len, uint64_t at, struct herd_extents *ret);

int herd_source_open_raw(const struct herd_image *img, struct herd_source **ret,
			 struct herd_diag *diag);
int herd_source_open_tsk(const struct herd_image *img, struct herd_source **ret,
			 struct herd_diag *diag);
int herd_source_open_qcow2(const struct herd_image *img,
			   struct herd_source **ret, struct herd_diag *diag);
int herd_source_open_nbd(const struct herd_image *img,
			 struct herd_helper *helper, struct herd_source **ret,
			 struct herd_diag *diag);

int herd_source_open_ebs(const struct herd_image *img,
			 struct herd_helper *helper, struct herd_source **ret,
			 struct herd_diag *diag);
/*
 * The bytes of an object of S3. Where img has no size yet it is found out
 * which one there is, and img's file gets its size, digest and version.
 */
int herd_source_open_s3(struct herd_image *img, struct herd_helper *helper,
			struct herd_source **ret, struct herd_diag *diag);

/* The file below a raw source that is one whole file, else NULL. */
const struct herd_image_file *herd_source_raw_file(const struct herd_source *s);
/* Whether both were the same file when they were identified. */
bool herd_image_file_same(const struct herd_image_file *a,
			  const struct herd_image_file *b);

#endif
