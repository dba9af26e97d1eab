/* SPDX-License-Identifier: Apache-2.0 */
/*
 * AWS Signature Version 4, as the header Authorization or as a presigned
 * query. Pure: the clock is an argument. Why not curl's own: docs/AWS.md.
 *
 * Threads: no state.
 */
#ifndef HERD_SIGV4_H
#define HERD_SIGV4_H

#include "acquire/base/buf.h"

#include <time.h>

/* Sensitive: never printed, wiped by herd_aws_keys_deinit. */
struct herd_aws_keys {
	char *access_key_id;
	char *secret;
	char *session_token;	/* NULL: none */
	int64_t expires;	/* Unix seconds; 0: never */
};
void herd_aws_keys_deinit(struct herd_aws_keys *k);

struct herd_pair {
	const char *name, *value;	/* as they are, not encoded */
};

struct herd_sigv4 {
	const char *region, *service;	/* of the signature: "ebs" */
	const char *method;
	const char *path;	/* as it will be sent: encoded once */
	bool path_as_is;	/* S3: neither encoded again nor dots removed */
	bool path_raw;		/* as the official vectors have it: encode once,
				   dots removed unless path_as_is */
	const struct herd_pair *query;
	size_t n_query;
	const struct herd_pair *headers;	/* all of them are signed;
						   "host" must be there */
	size_t n_headers;
	const char *payload_sha256;	/* 64 hex digits, or "UNSIGNED-PAYLOAD" */
	bool sign_token_later;	/* the token is added after signing (vectors
				   post-sts-header-after) */
	int64_t now;		/* Unix seconds */
};

/* For tests: what the steps of signing came to. Buffers may be NULL. */
struct herd_sigv4_steps {
	struct herd_buf *canonical, *to_sign;
};

/*
 * *ret_amz_date: "20150830T123600Z", the header X-Amz-Date to send (it and
 * X-Amz-Security-Token are added to what is signed; do not give them).
 * *ret_authorization: the value of that header. -EINVAL for what cannot be
 * signed (no host, control characters).
 */
int herd_sigv4_sign(const struct herd_sigv4 *s, const struct herd_aws_keys *k,
		    char ret_amz_date[17], struct herd_buf *ret_authorization,
		    const struct herd_sigv4_steps *steps);

/* Appends the whole query of a presigned request, "X-Amz-Algorithm=…". */
int herd_sigv4_presign(const struct herd_sigv4 *s, const struct herd_aws_keys *k,
		       unsigned expires_seconds, struct herd_buf *ret_query,
		       const struct herd_sigv4_steps *steps);

/* Appends text percent-encoded, upper case; A-Z a-z 0-9 - . _ ~ stay, and '/'
   where slashes. */
void herd_uri_encode(struct herd_buf *b, const char *text, bool slashes);
/* Appends name=value&… in the order of signing, both encoded. */
void herd_uri_query(struct herd_buf *b, const struct herd_pair *query, size_t n);

#endif
