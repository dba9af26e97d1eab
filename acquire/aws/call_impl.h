/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Between the parts of the call layer. Nothing else includes this, but for
 * tests of a part alone.
 *
 * Threads: as call.h.
 */
#ifndef HERD_AWS_CALL_IMPL_H
#define HERD_AWS_CALL_IMPL_H

#include "acquire/aws/call.h"

/* ---- call_error.c: what a service says of a failure ---- */

struct herd_aws_error {
	char type[64], reason[64], message[320];	/* as herd_aws_result */
};

/* From header and body, JSON or XML; what is not found is "". */
void herd_aws_error_parse(const struct herd_http_answer *a,
			  struct herd_aws_error *ret);

/* ---- call_retry.c: what to do about it ---- */

enum herd_aws_kind {
	HERD_AWS_FINE,
	HERD_AWS_THROTTLED,	/* nothing was done; later */
	HERD_AWS_UNSENT,	/* no connection; nothing was done */
	HERD_AWS_TRANSIENT,	/* it may have been done; may help to repeat */
	HERD_AWS_FINAL,
};

struct herd_aws_judgement {
	enum herd_aws_kind kind;
	int err;	/* of the call, if it ends so */
	bool clock;	/* may be for our clock's sake */
	bool time;	/* … and it is the time that the service speaks of */
	bool expired;	/* the credentials have */
	bool busy;	/* the service wants less at once */
	bool slow;	/* perhaps a sign of it: a time-out, 503 */
};

/* error: what was parsed, for an answer outside 2xx. */
void herd_aws_judge(const struct herd_http_answer *a,
		    const struct herd_aws_error *error,
		    struct herd_aws_judgement *ret);

/* The header Date in Unix seconds; false without a sensible one. */
bool herd_aws_date(const struct herd_http_answer *a, int64_t *ret);

/* How long to wait before attempt n + 1, in ms: anything from 0 to a bound
   that doubles with n, but no less than the server asks for. random: its
   state, not 0. */
int64_t herd_aws_backoff(const struct herd_http_answer *a, bool throttled,
			 unsigned n, uint64_t *random);

/*
 * How much of one service at once. A window of calls in flight or waiting to be
 * repeated: more by two for each window of successes (by one for each success
 * until the first throttling), less by three tenths when the service throttles;
 * calls that were sent before a cut cause no second one. Less by one for each
 * time-out: a line that is too narrow has many, a faulty answer now and then
 * does little. And a token bucket for calls a second.
 */
struct herd_aws_limiter {
	double window, window_max;
	bool slow_start;	/* none was throttled yet */
	double rate, tokens;
	int64_t filled, cut;	/* ms */
};

void herd_aws_limiter_init(struct herd_aws_limiter *l, unsigned concurrency,
			   unsigned rate, int64_t now);
bool herd_aws_limiter_take(struct herd_aws_limiter *l, int64_t now);
/* ms until one can be taken. */
int64_t herd_aws_limiter_wait(struct herd_aws_limiter *l, int64_t now);
void herd_aws_limiter_success(struct herd_aws_limiter *l);
void herd_aws_limiter_busy(struct herd_aws_limiter *l, int64_t now,
			   int64_t sent_at);
void herd_aws_limiter_slow(struct herd_aws_limiter *l);

/* ---- call_request.c: a call that is kept, and its request ---- */

struct herd_aws_pending {
	struct herd_aws_pending *next;
	struct herd_aws *aws;	/* NULL: it went away, nobody waits */
	struct herd_aws_service *service;
	struct herd_aws_call call;	/* all of it our own */
	herd_aws_done *done;
	void *arg;

	unsigned attempts;
	bool clock_tried, expire_tried;
	int failed;		/* it could not even be sent */
	int last_err;		/* of the attempt before */
	int64_t due, sent_at;	/* ms */
	int64_t skew;		/* seconds, as signed */
	uint64_t generation;	/* of the keys it was signed with */
	struct herd_http_answer answer;
	struct herd_aws_result result;
};

int herd_aws_pending_create(const struct herd_aws_call *call,
			    struct herd_aws_pending **ret);
void herd_aws_pending_free(struct herd_aws_pending *p);
/* Signs for `now` and hands it to http; done gets p. */
int herd_aws_pending_send(struct herd_aws_pending *p, const char *endpoint,
			  const char *region, const struct herd_aws_keys *keys,
			  int64_t now, struct herd_http *http,
			  herd_http_done *done);

/* The URL of a call that somebody else makes; see herd_aws_presign. */
int herd_aws_call_presign(const struct herd_aws_call *call,
			  const char *endpoint, const char *region,
			  const struct herd_aws_keys *keys, int64_t now,
			  unsigned seconds, struct herd_buf *ret);

#endif
