/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Signed calls of an AWS service: retried with backoff and jitter where that
 * can help, their number adapted to throttling, expired credentials and a
 * wrong clock mended on the way.
 *
 * Threads: one thread, that of the herd_http.
 */
#ifndef HERD_AWS_CALL_H
#define HERD_AWS_CALL_H

#include "acquire/aws/credentials.h"

struct herd_aws;

/* What it cost, for status and the bill. */
struct herd_aws_counters {
	uint64_t requests, retries, throttled, failed;
	uint64_t bytes_sent, bytes_received;
};

struct herd_aws_config {
	const struct herd_aws_settings *settings;	/* all borrowed */
	struct herd_http *http;
	struct herd_aws_credentials *credentials;
	int64_t (*now_ms)(void);	/* monotonic, for waiting; NULL: the real */
	int64_t (*now)(void);		/* Unix seconds; NULL: the real */
	unsigned max_attempts;		/* [8] */
	unsigned max_concurrency;	/* [64] calls of one service in flight */
	unsigned max_rate;		/* [1000] calls a second of one service */
};

int herd_aws_create(const struct herd_aws_config *c, struct herd_aws **ret);
/* Pending: -ECANCELED. Not out of a callback. */
void herd_aws_destroy(struct herd_aws *a);

struct herd_aws_call {
	const char *service;	/* "ebs", "ec2", "autoscaling", "ssm", "sts" */
	const char *method;
	const char *path;	/* encoded once: "/snapshots/snap-1/blocks" */
	const struct herd_pair *query;	/* not encoded */
	size_t n_query;
	const struct herd_pair *headers;	/* further ones */
	size_t n_headers;
	const char *content_type;	/* NULL: none */
	const void *body;	/* copied */
	size_t body_len;
	size_t answer_max;
	bool once;		/* not idempotent: retried only where nothing was
				   done for sure (throttled, refused, no
				   connection) */
	unsigned missing;	/* a 404 is asked again up to so many times, with
				   backoff: what was just made is not known
				   everywhere at once */
	/* Judges a 2xx's content: -EAGAIN has it asked again (a checksum that
	   does not match). arg: that of done; NULL with herd_aws_do. May be
	   NULL. */
	int (*check)(void *arg, struct herd_http_answer *answer);
	struct herd_http_limits limits;
};

struct herd_aws_result {
	int err;		/* 0; -EACCES, -ENOENT, -EAGAIN (throttled to
				   the end), -EIO (5xx to the end), -EBADMSG
				   (check refused it to the end), -EINVAL (the
				   service refused the request), -EBUSY (409),
				   -EDQUOT, -ENOKEY (no credentials), -EOVERFLOW;
				   without an answer as in herd_http_answer */
	char type[64];		/* the service's: "RequestThrottledException",
				   "UnauthorizedOperation"; "" when none */
	char reason[64];	/* EBS: "INVALID_BLOCK_TOKEN"; "" when none */
	char message[320];	/* for people; no secrets, no control characters */
	unsigned attempts;
	struct herd_http_answer *answer;	/* of the last attempt; NULL if
						   none came. Freed after done:
						   move what is wanted */
};

typedef void herd_aws_done(void *arg, struct herd_aws_result *r);

/* Queues. Copies all that call points to. Callbacks run inside herd_aws_run, and
   may add calls. */
int herd_aws_add(struct herd_aws *a, const struct herd_aws_call *call,
		 herd_aws_done *done, void *arg);
/* As herd_http_run, for calls; waits no longer than a retry is due. */
int herd_aws_run(struct herd_aws *a, struct pollfd *extra, unsigned n_extra,
		 int timeout_ms);
size_t herd_aws_pending(const struct herd_aws *a);
/* One call, waited for; diag has service, type and message. ret: may be NULL;
   free it with herd_http_answer_deinit. */
int herd_aws_do(struct herd_aws *a, const struct herd_aws_call *call,
		struct herd_http_answer *ret, struct herd_aws_result *ret_result,
		struct herd_diag *diag);
/*
 * The URL of a call that somebody else will make, within `seconds` from now and
 * with a body of any content: no headers may be given. It is as good as the
 * keys for that one thing, and ends with them. NUL-terminated, appended.
 */
int herd_aws_presign(struct herd_aws *a, const struct herd_aws_call *call,
		     unsigned seconds, struct herd_buf *ret,
		     struct herd_diag *diag);
/* service: NULL for all together. */
void herd_aws_counters(const struct herd_aws *a, const char *service,
		       struct herd_aws_counters *ret);

#endif
