/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Calls, from the queue of their service to their end. Where they stand:
 *
 *   queue ──► in flight ──► arrived ──► done
 *     ▲                        │
 *   delayed ◄──────────────────┘ worth another attempt
 *
 * Callbacks of the users run from `arrived` alone, with nothing held: they may
 * add calls and even wait for one.
 */
#include "acquire/aws/call_impl.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#define ATTEMPTS 8
#define CONCURRENCY 64
#define RATE 1000
#define SERVICES_MAX 16
/* So many failures in a row without any answer, and a service counts as dead:
   calls get two attempts until it answers again. */
#define SILENT_MAX 16
#define ATTEMPTS_DEAD 2
/* For so long no source is asked again for keys that it did not have. */
#define NO_KEYS_MS 1000
/* Of the service's clock from what was signed, in seconds. */
#define SKEW_CLEAR 1
#define SKEW_LIKELY 60

struct list {
	struct herd_aws_pending *first, **end;
	size_t n;
};

struct herd_aws_service {
	char name[32];
	char *endpoint;
	struct list queue, delayed;
	size_t in_flight;
	unsigned silent;
	struct herd_aws_limiter limiter;
	struct herd_aws_counters counters;
};

struct herd_aws {
	struct herd_aws_config c;
	struct herd_aws_service *services[SERVICES_MAX];
	size_t n_services, n_pending;
	struct list arrived;
	struct list in_flight;
	int64_t skew;	       /* seconds to add to our clock */
	uint64_t generation;   /* of the keys */
	int64_t no_keys_until; /* ms */
	int no_keys_err;
	struct herd_diag no_keys;
	uint64_t random;
};

/* ---- clocks, lists ---- */

static int64_t real_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static int64_t real_now(void)
{
	return time(NULL);
}

static void list_init(struct list *l)
{
	*l = (struct list){ .end = &l->first };
}

static void list_add(struct list *l, struct herd_aws_pending *p)
{
	p->next = NULL;
	*l->end = p;
	l->end = &p->next;
	l->n++;
}

/* at: what points to the one to take. */
static struct herd_aws_pending *list_take(struct list *l,
					  struct herd_aws_pending **at)
{
	struct herd_aws_pending *p = *at;

	if (!p)
		return NULL;
	*at = p->next;
	if (!p->next)
		l->end = at;
	p->next = NULL;
	l->n--;
	return p;
}

static void list_remove(struct list *l, const struct herd_aws_pending *p)
{
	struct herd_aws_pending **at = &l->first;

	while (*at && *at != p)
		at = &(*at)->next;
	list_take(l, at);
}

/* ---- services ---- */

static struct herd_aws_service *find_service(const struct herd_aws *a,
					     const char *name)
{
	for (size_t i = 0; i < a->n_services; i++)
		if (!strcmp(a->services[i]->name, name))
			return a->services[i];
	return NULL;
}

static int get_service(struct herd_aws *a, const char *name,
		       struct herd_aws_service **ret)
{
	struct herd_aws_service *s = find_service(a, name);

	if (!s) {
		if (a->n_services == SERVICES_MAX ||
		    strlen(name) >= sizeof(s->name))
			return -EINVAL;
		s = calloc(1, sizeof(*s));
		if (!s)
			return -ENOMEM;
		strcpy(s->name, name);
		list_init(&s->queue);
		list_init(&s->delayed);
		herd_aws_limiter_init(&s->limiter, a->c.max_concurrency,
				      a->c.max_rate, a->c.now_ms());
		a->services[a->n_services++] = s;
	}
	*ret = s;
	return 0;
}

/* ---- sending ---- */

static void on_answer(void *arg, struct herd_http_answer *answer)
{
	struct herd_aws_pending *p = arg;

	if (!p->aws) {
		herd_aws_pending_free(p);
		return;
	}
	p->answer = *answer;
	answer->headers = (struct herd_buf)HERD_BUF_INIT;
	answer->body = (struct herd_buf)HERD_BUF_INIT;
	p->service->in_flight--;
	p->service->counters.bytes_sent += p->answer.sent;
	p->service->counters.bytes_received += p->answer.received;
	list_remove(&p->aws->in_flight, p);
	list_add(&p->aws->arrived, p);
}

static int get_keys(struct herd_aws *a, const struct herd_aws_keys **ret,
		    struct herd_diag *diag)
{
	if (a->no_keys_err && a->c.now_ms() < a->no_keys_until) {
		*diag = a->no_keys;
		return a->no_keys_err;
	}
	a->no_keys_err = herd_aws_credentials_get(a->c.credentials, ret, diag);
	if (a->no_keys_err) {
		a->no_keys = *diag;
		a->no_keys_until = a->c.now_ms() + NO_KEYS_MS;
	}
	return a->no_keys_err;
}

/* Where a service is, in which region, and what to sign with. */
static int prepare(struct herd_aws *a, struct herd_aws_service *s,
		   const char **ret_region, const struct herd_aws_keys **ret,
		   struct herd_diag *diag)
{
	const char *region = herd_aws_region(a->c.settings);
	int r = 0;

	if (!region || !*region)
		return herd_diag_set(diag, -EINVAL, NULL, HERD_NO_OFFSET,
				     "no region is set");
	if (!s->endpoint)
		r = herd_aws_endpoint(a->c.settings, s->name, region,
				      &s->endpoint, diag);
	*ret_region = region;
	return r ? r : get_keys(a, ret, diag);
}

int herd_aws_presign(struct herd_aws *a, const struct herd_aws_call *call,
		     unsigned seconds, struct herd_buf *ret,
		     struct herd_diag *diag)
{
	const struct herd_aws_keys *keys;
	struct herd_aws_service *s;
	const char *region;
	struct herd_diag own;
	int r = get_service(a, call->service, &s);

	herd_diag_clear(&own);
	if (!r)
		r = prepare(a, s, &region, &keys, &own);
	if (!r)
		r = herd_aws_call_presign(call, s->endpoint, region, keys,
					  a->c.now() + a->skew, seconds, ret);
	return r ? herd_diag_set(diag, r, call->service, HERD_NO_OFFSET, "%s",
				 own.message[0] ? own.message :
				 "the URL cannot be signed") : 0;
}

static int try_send(struct herd_aws *a, struct herd_aws_pending *p,
		    struct herd_diag *diag)
{
	struct herd_aws_service *s = p->service;
	const struct herd_aws_keys *keys;
	const char *region;
	int r = prepare(a, s, &region, &keys, diag);

	if (r)
		return r;
	p->skew = a->skew;
	p->generation = a->generation;
	r = herd_aws_pending_send(p, s->endpoint, region, keys,
				  a->c.now() + a->skew, a->c.http, on_answer);
	if (r)
		herd_diag_set(diag, r, NULL, HERD_NO_OFFSET,
			      "the request cannot be signed or sent");
	return r;
}

static void send_one(struct herd_aws *a, struct herd_aws_pending *p)
{
	struct herd_diag diag;

	herd_diag_clear(&diag);
	p->failed = try_send(a, p, &diag);
	if (p->failed) {
		snprintf(p->result.message, sizeof(p->result.message), "%.300s",
			 diag.message);
		list_add(&a->arrived, p);
		return;
	}
	p->attempts++;
	p->sent_at = a->c.now_ms();
	p->service->in_flight++;
	p->service->counters.requests++;
	if (p->attempts > 1)
		p->service->counters.retries++;
	list_add(&a->in_flight, p);
}

/* What the window allows next: one that is due again before a new one. */
static struct herd_aws_pending **next_of(struct herd_aws_service *s,
					 int64_t now, struct list **ret)
{
	double window = s->limiter.window < 1 ? 1 : s->limiter.window;
	size_t busy = s->in_flight;

	if ((double)(busy + 1) > window)
		return NULL;
	for (struct herd_aws_pending **at = &s->delayed.first; *at;
	     at = &(*at)->next)
		if ((*at)->due <= now) {
			*ret = &s->delayed;
			return at;
		}
	busy += s->delayed.n;
	if (!s->queue.first || (double)(busy + 1) > window)
		return NULL;
	*ret = &s->queue;
	return &s->queue.first;
}

static void send_due(struct herd_aws *a)
{
	for (size_t i = 0; i < a->n_services; i++) {
		struct herd_aws_service *s = a->services[i];
		struct herd_aws_pending **at;
		struct list *from;

		while ((at = next_of(s, a->c.now_ms(), &from)) &&
		       herd_aws_limiter_take(&s->limiter, a->c.now_ms()))
			send_one(a, list_take(from, at));
	}
}

/* ms until something can be sent that cannot be now; -1: not by waiting. */
static int64_t next_due(struct herd_aws *a)
{
	int64_t now = a->c.now_ms(), least = -1;

	for (size_t i = 0; i < a->n_services; i++) {
		struct herd_aws_service *s = a->services[i];
		struct list *from;
		int64_t ms = -1;

		if (next_of(s, now, &from))
			ms = herd_aws_limiter_wait(&s->limiter, now);
		else if ((double)(s->in_flight + 1) <= s->limiter.window)
			for (struct herd_aws_pending *p = s->delayed.first; p;
			     p = p->next)
				if (ms < 0 || p->due - now < ms)
					ms = p->due - now;
		if (ms >= 0 && (least < 0 || ms < least))
			least = ms;
	}
	return least;
}

/* ---- what came of it ---- */

static void finish(struct herd_aws *a, struct herd_aws_pending *p, int err)
{
	struct herd_aws_result *r = &p->result;

	r->err = err;
	r->attempts = p->attempts;
	r->answer = !p->failed && !p->answer.err && p->attempts ? &p->answer :
								  NULL;
	if (err && !r->message[0] && p->answer.err)
		snprintf(r->message, sizeof(r->message), "%s",
			 p->answer.reason);
	else if (err && !r->message[0] && r->answer)
		snprintf(r->message, sizeof(r->message), "HTTP status %d",
			 r->answer->status);
	else if (err && !r->message[0])
		snprintf(r->message, sizeof(r->message), "%s", strerror(-err));
	if (err)
		p->service->counters.failed++;
	a->n_pending--;
	p->done(p->arg, r);
	herd_http_recycle(a->c.http, &p->answer.body);
	herd_aws_pending_free(p);
}

static bool mend_clock(struct herd_aws *a, struct herd_aws_pending *p,
		       bool time)
{
	int64_t date, skew, off = 0;

	if (herd_aws_date(&p->answer, &date)) {
		skew = date - a->c.now();
		off = skew > p->skew ? skew - p->skew : p->skew - skew;
		if (off > (time ? SKEW_CLEAR : SKEW_LIKELY))
			a->skew = skew;
	}
	/* its own date denies it: a hiccup of the service's, then */
	return time || off > SKEW_LIKELY;
}

/* The clock or the keys, once each and without waiting: true if that may be
   what was wrong, and is mended. */
static bool mend(struct herd_aws *a, struct herd_aws_pending *p,
		 const struct herd_aws_judgement *j)
{
	if (j->clock && !p->clock_tried && mend_clock(a, p, j->time)) {
		p->clock_tried = true;
		return true;
	}
	if (j->expired && !p->expire_tried) {
		p->expire_tried = true;
		/* of many calls that were signed with them the first says so */
		if (p->generation == a->generation) {
			herd_aws_credentials_expire(a->c.credentials);
			a->generation++;
		}
		return true;
	}
	return false;
}

static bool worth_another(const struct herd_aws *a,
			  const struct herd_aws_pending *p,
			  enum herd_aws_kind kind)
{
	unsigned most = a->c.max_attempts;

	if (p->service->silent >= SILENT_MAX && most > ATTEMPTS_DEAD)
		most = ATTEMPTS_DEAD;
	if (p->attempts >= most)
		return false;
	return kind == HERD_AWS_THROTTLED || kind == HERD_AWS_UNSENT ||
	       (kind == HERD_AWS_TRANSIENT && !p->call.once);
}

/* A good answer's content: too long, or not what the caller's check wants. */
static void judge_content(struct herd_aws_pending *p,
			  struct herd_aws_judgement *j)
{
	int r = 0;

	if (p->answer.body.len > p->call.answer_max)
		r = -EOVERFLOW;
	else if (p->call.check)
		r = p->call.check(p->arg, &p->answer);
	if (r == -EAGAIN) {
		j->kind = HERD_AWS_TRANSIENT;
		j->err = -EBADMSG;
	} else if (r) {
		j->kind = HERD_AWS_FINAL;
		j->err = r;
	}
	if (r)
		snprintf(p->result.message, sizeof(p->result.message), "%s",
			 r == -EAGAIN ?
				 "the content is not what the service says" :
			 r == -EOVERFLOW ? "the answer is too long" :
					   "the answer makes no sense");
}

static void count(struct herd_aws *a, struct herd_aws_pending *p,
		  const struct herd_aws_judgement *j)
{
	struct herd_aws_service *s = p->service;

	if (!p->answer.err)
		s->silent = 0;
	else if (s->silent < SILENT_MAX && p->answer.err != -EOVERFLOW)
		s->silent++;
	if (j->kind == HERD_AWS_THROTTLED)
		s->counters.throttled++;
	if (j->busy)
		herd_aws_limiter_busy(&s->limiter, a->c.now_ms(), p->sent_at);
	else if (j->slow)
		herd_aws_limiter_slow(&s->limiter);
	else if (j->kind == HERD_AWS_FINE)
		herd_aws_limiter_success(&s->limiter);
}

/* What was made a moment ago is not known everywhere at once. */
static bool not_yet(const struct herd_aws_pending *p,
		    const struct herd_aws_judgement *j)
{
	return j->kind == HERD_AWS_FINAL && j->err == -ENOENT &&
	       p->answer.status == 404 && p->attempts <= p->call.missing;
}

static void judge(struct herd_aws *a, struct herd_aws_pending *p)
{
	struct herd_aws_judgement j;
	struct herd_aws_error error = { .type = "" };

	if (p->failed) {
		finish(a, p, p->failed);
		return;
	}
	if (!p->answer.err && p->answer.status / 100 != 2)
		herd_aws_error_parse(&p->answer, &error);
	memcpy(p->result.type, error.type, sizeof(error.type));
	memcpy(p->result.reason, error.reason, sizeof(error.reason));
	memcpy(p->result.message, error.message, sizeof(error.message));
	herd_aws_judge(&p->answer, &error, &j);
	count(a, p, &j);
	if (j.kind == HERD_AWS_FINE)
		judge_content(p, &j);
	if (not_yet(p, &j))
		j.kind = HERD_AWS_THROTTLED; /* for its longer waits */
	bool mended = j.kind == HERD_AWS_FINAL && mend(a, p, &j);

	if (!mended && !worth_another(a, p, j.kind)) {
		finish(a, p, j.err);
		return;
	}
	p->due = a->c.now_ms();
	if (!mended)
		p->due += herd_aws_backoff(&p->answer,
					   j.kind == HERD_AWS_THROTTLED,
					   p->attempts, &a->random);
	p->last_err = p->answer.err;
	herd_http_recycle(a->c.http, &p->answer.body);
	herd_http_answer_deinit(&p->answer);
	p->answer = (struct herd_http_answer){ .err = 0 };
	list_add(&p->service->delayed, p);
}

static size_t judge_arrived(struct herd_aws *a)
{
	size_t n = 0;

	for (struct herd_aws_pending *p;
	     (p = list_take(&a->arrived, &a->arrived.first)); n++)
		judge(a, p);
	return n;
}

/* ---- the calls of call.h ---- */

int herd_aws_create(const struct herd_aws_config *c, struct herd_aws **ret)
{
	struct herd_aws *a = calloc(1, sizeof(*a));

	if (!a)
		return -ENOMEM;
	a->c = *c;
	if (!a->c.now_ms)
		a->c.now_ms = real_ms;
	if (!a->c.now)
		a->c.now = real_now;
	if (!a->c.max_attempts)
		a->c.max_attempts = ATTEMPTS;
	if (!a->c.max_concurrency)
		a->c.max_concurrency = CONCURRENCY;
	if (!a->c.max_rate)
		a->c.max_rate = RATE;
	list_init(&a->arrived);
	list_init(&a->in_flight);
	if (getrandom(&a->random, sizeof(a->random), GRND_NONBLOCK) < 0)
		a->random = (uint64_t)real_ms();
	a->random |= 1;
	*ret = a;
	return 0;
}

static void cancel(struct herd_aws *a, struct list *l)
{
	for (struct herd_aws_pending *p; (p = list_take(l, &l->first));) {
		p->failed = -ECANCELED;
		finish(a, p, -ECANCELED);
	}
}

/* In flight: the answer will still come, and find nobody. */
static void cancel_in_flight(struct herd_aws *a)
{
	struct list *l = &a->in_flight;

	for (struct herd_aws_pending *p; (p = list_take(l, &l->first));) {
		struct herd_aws_result r = { .err = -ECANCELED,
					     .attempts = p->attempts };

		snprintf(r.message, sizeof(r.message), "given up");
		p->aws = NULL;
		p->done(p->arg, &r);
	}
}

void herd_aws_destroy(struct herd_aws *a)
{
	if (!a)
		return;
	cancel_in_flight(a);
	cancel(a, &a->arrived);
	for (size_t i = 0; i < a->n_services; i++) {
		cancel(a, &a->services[i]->delayed);
		cancel(a, &a->services[i]->queue);
	}
	for (size_t i = 0; i < a->n_services; i++) {
		free(a->services[i]->endpoint);
		free(a->services[i]);
	}
	free(a);
}

int herd_aws_add(struct herd_aws *a, const struct herd_aws_call *call,
		 herd_aws_done *done, void *arg)
{
	struct herd_aws_service *s;
	struct herd_aws_pending *p;

	if (!call->service || !call->method || !call->path ||
	    call->path[0] != '/')
		return -EINVAL;
	int r = get_service(a, call->service, &s);

	if (!r)
		r = herd_aws_pending_create(call, &p);
	if (r)
		return r;
	p->aws = a;
	p->service = s;
	p->done = done;
	p->arg = arg;
	list_add(&s->queue, p);
	a->n_pending++;
	return 0;
}

int herd_aws_run(struct herd_aws *a, struct pollfd *extra, unsigned n_extra,
		 int timeout_ms)
{
	if (judge_arrived(a))
		timeout_ms = 0;
	send_due(a);
	if (a->arrived.n)
		timeout_ms = 0;
	int64_t due = next_due(a);

	if (due >= 0 && (timeout_ms < 0 || due < timeout_ms))
		timeout_ms = due < INT_MAX ? (int)due : INT_MAX;
	int r = herd_http_run(a->c.http, extra, n_extra, timeout_ms);

	judge_arrived(a);
	send_due(a);
	return r;
}

size_t herd_aws_pending(const struct herd_aws *a)
{
	return a->n_pending;
}

void herd_aws_counters(const struct herd_aws *a, const char *service,
		       struct herd_aws_counters *ret)
{
	struct herd_aws_counters sum = { .requests = 0 };

	for (size_t i = 0; i < a->n_services; i++) {
		const struct herd_aws_counters *c = &a->services[i]->counters;

		if (service && strcmp(service, a->services[i]->name))
			continue;
		sum.requests += c->requests;
		sum.retries += c->retries;
		sum.throttled += c->throttled;
		sum.failed += c->failed;
		sum.bytes_sent += c->bytes_sent;
		sum.bytes_received += c->bytes_received;
	}
	*ret = sum;
}
