/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Objects of S3 that somebody else put there, read in ranges: which version of
 * one it is, and pieces of that very version. A call is retried by the layer
 * below; an answer of another length or range than was asked for is asked for
 * again as well.
 *
 * S3 has no checksum for a range: what is damaged between it and us, TLS finds.
 *
 * Errors that mean something of their own here:
 *   -ESTALE   it is another object now than the one that was looked at
 *   -ENOENT   no such object, version or bucket
 *   -EACCES   not allowed, or archived
 *   -EREMCHG  its bucket is in another region
 *   -ENODATA  it is empty
 *   -EBADMSG  the answers made no sense to the last attempt
 * The message says which, in a line for people.
 *
 * Threads: that of the herd_aws. Callbacks run inside herd_aws_run (or
 * herd_aws_destroy), exactly once, and may start further calls.
 */
#ifndef HERD_S3_OBJECT_H
#define HERD_S3_OBJECT_H

#include "acquire/aws/call.h"
#include "acquire/base/sha256.h"

#define HERD_S3_BUCKET_MAX 63u
#define HERD_S3_KEY_MAX 1024u
#define HERD_S3_VERSION_MAX 1024u
#define HERD_S3_ETAG_MAX 128u
#define HERD_S3_URL_MAX                                           \
	(sizeof("s3://") + HERD_S3_BUCKET_MAX + HERD_S3_KEY_MAX + \
	 sizeof("?versionId=") + HERD_S3_VERSION_MAX)

/* What a user names: "s3://BUCKET/KEY", and "?versionId=VERSION" behind it for
   another version than the newest. */
struct herd_s3_name {
	char bucket[HERD_S3_BUCKET_MAX + 1];
	char key[HERD_S3_KEY_MAX + 1];
	char version[HERD_S3_VERSION_MAX + 1]; /* "": the newest */
};
bool herd_s3_name_parse(const char *url, struct herd_s3_name *ret);
/* By S3's rules for names. */
bool herd_s3_is_bucket(const char *text);
/* Any text that S3 may give as one. */
bool herd_s3_is_version(const char *text);

/* Which bytes are meant, once S3 was asked. */
struct herd_s3_state {
	uint64_t size;
	char etag[HERD_S3_ETAG_MAX + 1];       /* with its quotes */
	char version[HERD_S3_VERSION_MAX + 1]; /* "": the bucket keeps none */
};
/* A digest of all that tells one object from another. */
void herd_s3_id(const struct herd_s3_name *name,
		const struct herd_s3_state *state,
		uint8_t ret[HERD_SHA256_LEN]);

struct herd_s3_looked {
	int err;
	struct herd_s3_state state;
	struct herd_diag diag;
};
typedef void herd_s3_looked_fn(void *arg, struct herd_s3_looked *l);
/* By a GET of one byte: it needs no other right than reading does. */
int herd_s3_look(struct herd_aws *a, const struct herd_s3_name *name,
		 herd_s3_looked_fn *done, void *arg);

struct herd_s3_piece {
	int err;
	struct herd_buf bytes; /* exactly those asked for; take by moving */
	uint8_t sha256[HERD_SHA256_LEN]; /* of them, as they came */
	struct herd_diag diag;
};
typedef void herd_s3_piece_fn(void *arg, struct herd_s3_piece *p);
/* [off, off+len), inside the object and at most HERD_S3_PIECE_MAX. */
#define HERD_S3_PIECE_MAX (1u << 20)
int herd_s3_get(struct herd_aws *a, const struct herd_s3_name *name,
		const struct herd_s3_state *state, uint64_t off, uint32_t len,
		herd_s3_piece_fn *done, void *arg);

#endif
