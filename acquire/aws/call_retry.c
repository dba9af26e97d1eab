/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which failures are worth another attempt, when it comes, and how many calls
 * a service is given at once. The figures and their reasons: docs/AWS.md.
 */
#include "acquire/aws/call_impl.h"

#include <stdio.h>
#include <string.h>

#define BACKOFF_MS 50
#define BACKOFF_THROTTLED_MS 200
#define BACKOFF_MAX_MS 20000

#define WINDOW_BEGIN 8
#define WINDOW_GROWS 2.0 /* for a window of successes */
#define WINDOW_CUT 0.7
#define WINDOW_SLOW 4 /* time-outs make it no smaller */
#define BURST_PART 10 /* of a second's calls at once */

/* ---- what a type means ---- */

enum {
	THROTTLED = 1,
	TRANSIENT = 2,
	DENIED = 4,
	CLOCK = 8,
	EXPIRED = 16,
};

static const struct {
	const char *type;
	unsigned is;
} types[] = {
	{ "RequestThrottledException", THROTTLED },
	{ "RequestThrottled", THROTTLED },
	{ "ThrottlingException", THROTTLED },
	{ "ThrottledException", THROTTLED },
	{ "Throttling", THROTTLED },
	{ "TooManyRequestsException", THROTTLED },
	{ "RequestLimitExceeded", THROTTLED },
	{ "BandwidthLimitExceeded", THROTTLED },
	{ "ConcurrentLimitExceededException", THROTTLED },
	{ "ConcurrentLimitExceeded", THROTTLED },
	{ "EC2ThrottledException", THROTTLED },
	{ "PriorRequestNotComplete", THROTTLED },
	{ "ProvisionedThroughputExceededException", THROTTLED },
	{ "SnapshotCreationPerVolumeRateExceeded", THROTTLED },
	{ "SlowDown", THROTTLED },
	{ "TooManyUpdates", THROTTLED },
	{ "InternalServerException", TRANSIENT },
	{ "InternalServerError", TRANSIENT },
	{ "InternalFailure", TRANSIENT },
	{ "InternalError", TRANSIENT },
	{ "ServiceUnavailable", TRANSIENT },
	{ "ServiceUnavailableException", TRANSIENT },
	{ "Unavailable", TRANSIENT },
	{ "RequestTimeout", TRANSIENT },
	{ "RequestTimeoutException", TRANSIENT },
	{ "ResourceContention", TRANSIENT },
	{ "ResourceContentionFault", TRANSIENT },
	{ "RequestTimeTooSkewed", CLOCK | DENIED },
	{ "RequestInTheFuture", CLOCK | DENIED },
	{ "InvalidSignatureException", CLOCK | DENIED },
	{ "SignatureDoesNotMatch", CLOCK | DENIED },
	{ "AuthFailure", CLOCK | DENIED },
	{ "RequestExpired", CLOCK | EXPIRED | DENIED },
	{ "ExpiredToken", EXPIRED | DENIED },
	{ "ExpiredTokenException", EXPIRED | DENIED },
	{ "TokenRefreshRequired", EXPIRED | DENIED },
	{ "AccessDenied", DENIED },
	{ "AccessDeniedException", DENIED },
	{ "UnauthorizedOperation", DENIED },
	{ "UnrecognizedClientException", DENIED },
	{ "InvalidClientTokenId", DENIED },
	{ "IncompleteSignature", DENIED },
	{ "IncompleteSignatureException", DENIED },
	{ "MissingAuthenticationToken", DENIED },
	{ "MissingAuthenticationTokenException", DENIED },
	{ "OptInRequired", DENIED },
};

static unsigned meaning(const char *type)
{
	for (size_t i = 0; i < ARRAY_SIZE(types); i++)
		if (!strcmp(type, types[i].type))
			return types[i].is;
	return 0;
}

static bool ends_with(const char *text, const char *end)
{
	size_t n = strlen(text), m = strlen(end);

	return n >= m && !strcmp(text + n - m, end);
}

/* Of a refusal for good. */
static int refusal(int status, const char *type, unsigned is)
{
	if (is & DENIED)
		return -EACCES;
	if (strstr(type, "NotFound") || strstr(type, "DoesNotExist"))
		return -ENOENT;
	if (ends_with(type, "LimitExceeded") ||
	    !strcmp(type, "ServiceQuotaExceededException"))
		return -EDQUOT;
	switch (status) {
	case 401:
	case 403:
		return -EACCES;
	case 402:
		return -EDQUOT;
	case 404:
		return -ENOENT;
	case 409:
		return -EBUSY;
	default:
		return -EINVAL;
	}
}

/* And not of a signature only. */
static bool speaks_of_time(const struct herd_aws_error *e)
{
	return !strcmp(e->type, "RequestTimeTooSkewed") ||
	       !strcmp(e->type, "RequestInTheFuture") ||
	       strcasestr(e->message, "signature expired") ||
	       strcasestr(e->message, "not yet current");
}

static void judge_failure(int err, struct herd_aws_judgement *j)
{
	j->err = err;
	switch (err) {
	case -ECONNREFUSED:
	case -EHOSTUNREACH:
		j->kind = HERD_AWS_UNSENT;
		break;
	case -ETIMEDOUT:
		j->slow = true;
		j->kind = HERD_AWS_TRANSIENT;
		break;
	case -ECONNRESET:
	case -EPROTO:
		j->kind = HERD_AWS_TRANSIENT;
		break;
	default:
		j->kind = HERD_AWS_FINAL;
	}
}

void herd_aws_judge(const struct herd_http_answer *a,
		    const struct herd_aws_error *error,
		    struct herd_aws_judgement *ret)
{
	struct herd_aws_judgement j = { .kind = HERD_AWS_FINE };
	unsigned is = meaning(error->type);

	if (a->err) {
		judge_failure(a->err, &j);
	} else if (a->status / 100 != 2) {
		j.clock = is & CLOCK;
		j.time = j.clock && speaks_of_time(error);
		j.expired = is & EXPIRED;
		if ((is & THROTTLED) || a->status == 429) {
			j.kind = HERD_AWS_THROTTLED;
			j.err = -EAGAIN;
			j.busy = true;
		} else if ((is & TRANSIENT) || (a->status >= 500 && !is)) {
			j.kind = HERD_AWS_TRANSIENT;
			j.err = -EIO;
			j.slow = a->status == 503;
		} else {
			j.kind = HERD_AWS_FINAL;
			j.err = refusal(a->status, error->type, is);
		}
	}
	*ret = j;
}

/* ---- time ---- */

bool herd_aws_date(const struct herd_http_answer *a, int64_t *ret)
{
	static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
	char text[64], month[4];
	struct tm tm = { .tm_isdst = 0 };

	/* "Wed, 26 Nov 2025 10:00:00 GMT", in every locale */
	if (!herd_http_header(a, "Date", text, sizeof(text)) ||
	    sscanf(text, "%*3[A-Za-z], %2d %3[A-Za-z] %4d %2d:%2d:%2d GMT",
		   &tm.tm_mday, month, &tm.tm_year, &tm.tm_hour, &tm.tm_min,
		   &tm.tm_sec) != 6)
		return false;
	const char *m = strlen(month) == 3 ? strstr(months, month) : NULL;

	if (!m || (m - months) % 3 || tm.tm_year < 2000)
		return false;
	tm.tm_mon = (int)(m - months) / 3;
	tm.tm_year -= 1900;
	*ret = timegm(&tm);
	return true;
}

static uint64_t next_random(uint64_t *s)
{
	*s ^= *s << 13;
	*s ^= *s >> 7;
	*s ^= *s << 17;
	return *s;
}

int64_t herd_aws_backoff(const struct herd_http_answer *a, bool throttled,
			 unsigned n, uint64_t *random)
{
	uint64_t bound = throttled ? BACKOFF_THROTTLED_MS : BACKOFF_MS;
	int64_t least = 0;
	char text[32];
	int seconds;

	bound <<= n < 1 ? 0 : n < 16 ? n - 1 : 15;
	if (bound > BACKOFF_MAX_MS)
		bound = BACKOFF_MAX_MS;
	if (!a->err && herd_http_header(a, "Retry-After", text, sizeof(text)) &&
	    sscanf(text, "%5d", &seconds) == 1 && seconds > 0)
		least = seconds * 1000 < BACKOFF_MAX_MS ? seconds * 1000 :
							  BACKOFF_MAX_MS;
	int64_t ms = (int64_t)(next_random(random) % (bound + 1));

	return ms > least ? ms : least;
}

/* ---- how much at once ---- */

void herd_aws_limiter_init(struct herd_aws_limiter *l, unsigned concurrency,
			   unsigned rate, int64_t now)
{
	*l = (struct herd_aws_limiter){
		.window = concurrency < WINDOW_BEGIN ? concurrency :
						       WINDOW_BEGIN,
		.window_max = concurrency,
		.slow_start = true,
		.rate = rate,
		.tokens = 1,
		.filled = now,
		.cut = INT64_MIN,
	};
}

static void fill(struct herd_aws_limiter *l, int64_t now)
{
	double most = l->rate / BURST_PART;

	if (now > l->filled) {
		l->tokens += l->rate * (double)(now - l->filled) / 1000;
		l->filled = now;
	}
	if (most < 1)
		most = 1;
	if (l->tokens > most)
		l->tokens = most;
}

bool herd_aws_limiter_take(struct herd_aws_limiter *l, int64_t now)
{
	fill(l, now);
	if (l->tokens < 1)
		return false;
	l->tokens -= 1;
	return true;
}

int64_t herd_aws_limiter_wait(struct herd_aws_limiter *l, int64_t now)
{
	fill(l, now);
	if (l->tokens >= 1)
		return 0;
	return (int64_t)((1 - l->tokens) * 1000 / l->rate) + 1;
}

void herd_aws_limiter_success(struct herd_aws_limiter *l)
{
	l->window += l->slow_start ? 1 : WINDOW_GROWS / l->window;
	if (l->window > l->window_max)
		l->window = l->window_max;
}

void herd_aws_limiter_busy(struct herd_aws_limiter *l, int64_t now,
			   int64_t sent_at)
{
	if (sent_at <= l->cut)
		return;
	l->window *= WINDOW_CUT;
	if (l->window < 1)
		l->window = 1;
	l->slow_start = false;
	l->cut = now;
}

void herd_aws_limiter_slow(struct herd_aws_limiter *l)
{
	if (l->window >= WINDOW_SLOW + 1)
		l->window -= 1;
}
