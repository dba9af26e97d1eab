/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The calls of S3 that bringing an image of memory home needs, by path
 * (endpoint/bucket/key). They wait for their answers.
 *
 * Errors: those of herd_aws_do.
 * Threads: that of the herd_aws.
 */
#ifndef HERD_S3_H
#define HERD_S3_H

#include "acquire/aws/s3_object.h"

#define HERD_S3_UPLOAD_ID_MAX 1024u
#define HERD_S3_PARTS_MAX 10000u
#define HERD_S3_PART_LEAST (5u << 20)	/* bytes; but for the last one */

struct herd_s3_object {
	const char *bucket, *key;	/* key: not encoded, no leading slash */
};
/* A key as we make them: letters, digits, -_./ (herd_s3_is_bucket is in
   s3_object.h) */
bool herd_s3_is_key(const char *text);

/* Small things in one piece. -EEXIST is not asked: it is replaced. */
int herd_s3_put(struct herd_aws *a, const struct herd_s3_object *o,
		const void *bytes, size_t len, struct herd_diag *diag);
/* *ret_size: bytes of the object. -ENOENT. */
int herd_s3_size(struct herd_aws *a, const struct herd_s3_object *o,
		 uint64_t *ret_size, struct herd_diag *diag);
/* Exactly [off, off+len), which must lie inside. ret: appended. */
int herd_s3_read(struct herd_aws *a, const struct herd_s3_object *o,
		 uint64_t off, size_t len, struct herd_buf *ret,
		 struct herd_diag *diag);
int herd_s3_delete(struct herd_aws *a, const struct herd_s3_object *o,
		   struct herd_diag *diag);

/* ---- in parts ---- */

int herd_s3_upload_begin(struct herd_aws *a, const struct herd_s3_object *o,
			 char ret_upload[HERD_S3_UPLOAD_ID_MAX + 1],
			 struct herd_diag *diag);
/* Where somebody may PUT part `number` (from 1), for `seconds`. Appended. */
int herd_s3_upload_url(struct herd_aws *a, const struct herd_s3_object *o,
		       const char *upload, unsigned number, unsigned seconds,
		       struct herd_buf *ret, struct herd_diag *diag);
struct herd_s3_part {
	unsigned number;
	uint64_t size;
	char etag[128];
};
/* What is there of it, by number. *ret malloced. */
int herd_s3_upload_parts(struct herd_aws *a, const struct herd_s3_object *o,
			 const char *upload, struct herd_s3_part **ret,
			 size_t *ret_n, struct herd_diag *diag);
int herd_s3_upload_end(struct herd_aws *a, const struct herd_s3_object *o,
		       const char *upload, const struct herd_s3_part *parts,
		       size_t n, struct herd_diag *diag);
/* Nothing is left of it, and nothing is paid for any more. */
int herd_s3_upload_abort(struct herd_aws *a, const struct herd_s3_object *o,
			 const char *upload, struct herd_diag *diag);

/* Where somebody may GET the object, or PUT it, for `seconds`. Appended. */
int herd_s3_url(struct herd_aws *a, const struct herd_s3_object *o,
		const char *method, unsigned seconds, struct herd_buf *ret,
		struct herd_diag *diag);

#endif
