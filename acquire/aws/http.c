/* SPDX-License-Identifier: Apache-2.0 */
#include "acquire/aws/http_impl.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define CONNECTIONS 64
/* How late a time-out may be noticed. */
#define LOOK_MS 100
/* Bodies of such sizes are worth keeping: for a smaller one malloc is quick, and
   it may hold what is secret. */
#define SPARE_MIN (64 << 10)
#define SPARE_MAX (1 << 20)

struct herd_http {
	CURLM *multi;
	char *ca_bundle;
	bool no_proxy, closing;
	size_t limit, n_active, n_queued;
	struct herd_buf *spare; /* bodies to fill again, `limit` at most */
	size_t n_spare;
	struct herd_http_transfer *active;
	struct herd_http_transfer *queue, **queue_end;
	struct curl_waitfd *extra;
	size_t extra_room;
	int64_t look_at; /* when to look for time-outs */
};

int64_t herd_http_now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* ---- memory of bodies ---- */

/*
 * A block of half a MiB comes from the kernel as pages to be cleared, and malloc
 * gives it back at once: three quarters of what a block costs. So they are kept.
 */
struct herd_buf herd_http_room(struct herd_http *h, size_t size)
{
	struct herd_buf b = HERD_BUF_INIT;

	for (size_t i = h->n_spare; i--;)
		if (h->spare[i].cap >= size && h->spare[i].cap / 4 <= size) {
			b = h->spare[i];
			h->spare[i] = h->spare[--h->n_spare];
			return b;
		}
	b.data = malloc(size);
	b.cap = b.data ? size : 0;
	return b;
}

void herd_http_recycle(struct herd_http *h, struct herd_buf *b)
{
	if (b->cap < SPARE_MIN || b->cap > SPARE_MAX || h->closing ||
	    h->n_spare == h->limit) {
		herd_buf_deinit(b);
		return;
	}
	h->spare[h->n_spare] = *b;
	h->spare[h->n_spare].len = 0;
	h->spare[h->n_spare++].failed = false;
	*b = (struct herd_buf)HERD_BUF_INIT;
}

/* ---- how a request ends ---- */

/* One in flight: out of the list, and its user told. */
static void finish(struct herd_http *h, struct herd_http_transfer *t,
		   CURLcode code)
{
	struct herd_http_transfer **p = &h->active;

	while (*p != t)
		p = &(*p)->next;
	*p = t->next;
	h->n_active--;
	herd_http_fill_answer(t, code);
	curl_multi_remove_handle(h->multi, t->easy);
	curl_easy_cleanup(TAKE_PTR(t->easy));
	t->done(t->arg, &t->answer);
	herd_http_recycle(h, &t->answer.body);
	herd_http_transfer_free(t);
}

static void fail(struct herd_http_transfer *t, int err, const char *reason)
{
	t->answer.err = err;
	snprintf(t->answer.reason, sizeof(t->answer.reason), "%s", reason);
	t->done(t->arg, &t->answer);
	herd_http_transfer_free(t);
}

/* ---- time-outs ---- */

/* When this one is late, in ms; a text for which limit it was. */
static int64_t late_at(struct herd_http_transfer *t, int64_t now,
		       const char **what)
{
	int64_t total = t->begun + t->limits.total_ms, at;
	curl_off_t us = 0;

	if (!t->connected) {
		curl_easy_getinfo(t->easy, CURLINFO_PRETRANSFER_TIME_T, &us);
		if (us > 0)
			t->connected = now;
	}
	if (t->heard) {
		at = t->heard + t->limits.stall_ms;
		*what = "the answer stopped coming for";
	} else if (t->connected) {
		at = t->connected + t->limits.first_byte_ms;
		*what = "no answer within";
	} else {
		at = t->begun + t->limits.connect_ms;
		*what = "not connected within";
	}
	if (total < at)
		*what = "not done within";
	return total < at ? total : at;
}

static unsigned limit_of(const struct herd_http_transfer *t, const char *what)
{
	if (*what == 't')
		return t->limits.stall_ms;
	if (!strcmp(what, "no answer within"))
		return t->limits.first_byte_ms;
	if (!strcmp(what, "not connected within"))
		return t->limits.connect_ms;
	return t->limits.total_ms;
}

static struct herd_http_transfer *find_late(struct herd_http *h, int64_t now)
{
	for (struct herd_http_transfer *t = h->active; t; t = t->next) {
		const char *what;
		int64_t at = late_at(t, now, &what);

		if (at <= now) {
			t->err = -ETIMEDOUT;
			snprintf(t->answer.reason, sizeof(t->answer.reason),
				 "%s %u ms", what, limit_of(t, what));
			return t;
		}
		if (at < h->look_at)
			h->look_at = at;
	}
	return NULL;
}

static size_t end_late(struct herd_http *h)
{
	int64_t now = herd_http_now();
	size_t n = 0;

	if (now < h->look_at)
		return 0;
	h->look_at = now + LOOK_MS;
	/* from the start each time: a callback may do anything to the list */
	for (struct herd_http_transfer *t; (t = find_late(h, now)); n++)
		finish(h, t, CURLE_OPERATION_TIMEDOUT);
	return n;
}

/* ---- running ---- */

static int begin(struct herd_http *h, struct herd_http_transfer *t)
{
	t->easy = curl_easy_init();
	if (!t->easy)
		return -ENOMEM;
	if (herd_http_transfer_set(t, h->ca_bundle, h->no_proxy) ||
	    curl_multi_add_handle(h->multi, t->easy)) {
		curl_easy_cleanup(TAKE_PTR(t->easy));
		return -ENOMEM;
	}
	t->begun = herd_http_now();
	t->next = h->active;
	h->active = t;
	h->n_active++;
	return 0;
}

/* How many could not be begun, and so ended. */
static size_t begin_queued(struct herd_http *h)
{
	size_t n = 0;

	while (h->queue && h->n_active < h->limit) {
		struct herd_http_transfer *t = h->queue;

		h->queue = t->next;
		if (!h->queue)
			h->queue_end = &h->queue;
		h->n_queued--;
		int r = begin(h, t);

		if (r) {
			fail(t, r, "libcurl has no memory left");
			n++;
		}
	}
	return n;
}

static size_t end_done(struct herd_http *h)
{
	CURLMsg *m;
	size_t n = 0;
	int left;

	while ((m = curl_multi_info_read(h->multi, &left))) {
		struct herd_http_transfer *t = NULL;

		if (m->msg != CURLMSG_DONE)
			continue;
		CURLcode code = m->data.result;

		curl_easy_getinfo(m->easy_handle, CURLINFO_PRIVATE, &t);
		finish(h, t, code);
		n++;
	}
	return n;
}

/* What can be done now; *ret_n: how many requests ended. */
static int work(struct herd_http *h, size_t *ret_n)
{
	int running;

	*ret_n = begin_queued(h);
	if (curl_multi_perform(h->multi, &running))
		return -EIO;
	*ret_n += end_done(h);
	*ret_n += end_late(h);
	if (*ret_n)
		begin_queued(h);
	return 0;
}

static int take_extra(struct herd_http *h, const struct pollfd *extra,
		      unsigned n)
{
	if (n > h->extra_room) {
		struct curl_waitfd *e = reallocarray(h->extra, n, sizeof(*e));

		if (!e)
			return -ENOMEM;
		h->extra = e;
		h->extra_room = n;
	}
	for (unsigned i = 0; i < n; i++)
		h->extra[i] = (struct curl_waitfd){
			.fd = extra[i].fd,
			.events = (short)((extra[i].events & POLLIN ?
						   CURL_WAIT_POLLIN :
						   0) |
					  (extra[i].events & POLLPRI ?
						   CURL_WAIT_POLLPRI :
						   0) |
					  (extra[i].events & POLLOUT ?
						   CURL_WAIT_POLLOUT :
						   0)),
		};
	return 0;
}

/* How long to wait at the most; below 0: done. */
static int64_t patience(const struct herd_http *h, int64_t deadline)
{
	int64_t now = herd_http_now(), until = deadline;

	if (h->n_active && h->look_at < until)
		until = h->look_at;
	if (until <= now)
		return deadline <= now ? -1 : 0;
	return until - now < INT_MAX ? until - now : INT_MAX;
}

int herd_http_run(struct herd_http *h, struct pollfd *extra, unsigned n_extra,
		  int timeout_ms)
{
	int64_t deadline = timeout_ms < 0 ? INT64_MAX :
					    herd_http_now() + timeout_ms;
	int r = take_extra(h, extra, n_extra), happened = 0;
	size_t ended = 0;

	while (!r) {
		r = work(h, &ended);
		if (r || ended || happened)
			break;
		if (timeout_ms < 0 && !n_extra && !h->n_active)
			break;
		int64_t wait = patience(h, deadline);

		if (wait < 0)
			break;
		CURLMcode e = curl_multi_poll(h->multi, h->extra, n_extra,
					      (int)wait, NULL);

		if (e == CURLM_UNRECOVERABLE_POLL)
			break; /* a signal, or the caller's descriptors */
		if (e)
			r = -EIO;
		/* libcurl's own answer leaves POLLHUP out */
		happened = n_extra ? poll(extra, n_extra, 0) : 0;
	}
	if (n_extra && !happened && poll(extra, n_extra, 0) < 0)
		r = r || errno == EINTR ? r : -errno;
	return r;
}

/* ---- the rest ---- */

static pthread_once_t global_once = PTHREAD_ONCE_INIT;
static CURLcode global_result;

static void global_init(void)
{
	global_result = curl_global_init(CURL_GLOBAL_DEFAULT);
}

int herd_http_create(const struct herd_http_options *o, struct herd_http **ret,
		     struct herd_diag *diag)
{
	struct herd_http *h = calloc(1, sizeof(*h));

	if (!h)
		return -ENOMEM;
	pthread_once(&global_once, global_init);
	h->limit = o && o->connections ? o->connections : CONNECTIONS;
	h->no_proxy = o && o->no_proxy;
	h->queue_end = &h->queue;
	h->spare = calloc(h->limit, sizeof(*h->spare));
	h->multi = global_result ? NULL : curl_multi_init();
	if (o && o->ca_bundle)
		h->ca_bundle = strdup(o->ca_bundle);
	if (!h->spare || !h->multi || (o && o->ca_bundle && !h->ca_bundle)) {
		herd_http_destroy(h);
		return herd_diag_set(diag, -ENOMEM, NULL, HERD_NO_OFFSET,
				     "libcurl cannot be started");
	}
	if (h->ca_bundle && access(h->ca_bundle, R_OK)) {
		int e = -errno;

		herd_diag_set(diag, e, h->ca_bundle, HERD_NO_OFFSET,
			      "the CA bundle cannot be read");
		herd_http_destroy(h);
		return e;
	}
	curl_multi_setopt(h->multi, CURLMOPT_MAXCONNECTS, (long)h->limit);
	*ret = h;
	return 0;
}

void herd_http_destroy(struct herd_http *h)
{
	if (!h)
		return;
	h->closing = true;
	while (h->active) {
		h->active->err = -ECANCELED;
		snprintf(h->active->answer.reason,
			 sizeof(h->active->answer.reason), "given up");
		finish(h, h->active, CURLE_ABORTED_BY_CALLBACK);
	}
	while (h->queue) {
		struct herd_http_transfer *t = h->queue;

		h->queue = t->next;
		fail(t, -ECANCELED, "given up");
	}
	if (h->multi)
		curl_multi_cleanup(h->multi);
	while (h->n_spare)
		herd_buf_deinit(&h->spare[--h->n_spare]);
	free(h->spare);
	free(h->extra);
	free(h->ca_bundle);
	free(h);
}

int herd_http_add(struct herd_http *h, const struct herd_http_request *r,
		  herd_http_done *done, void *arg)
{
	struct herd_http_transfer *t;
	int e = h->closing ? -ECANCELED : herd_http_transfer_create(r, &t);

	if (e)
		return e;
	t->http = h;
	t->done = done;
	t->arg = arg;
	*h->queue_end = t;
	h->queue_end = &t->next;
	h->n_queued++;
	return 0;
}

size_t herd_http_pending(const struct herd_http *h)
{
	return h->n_active + h->n_queued;
}

struct waited {
	struct herd_http_answer *ret;
	bool done;
};

static void on_waited(void *arg, struct herd_http_answer *a)
{
	struct waited *w = arg;

	*w->ret = *a;
	a->headers = (struct herd_buf)HERD_BUF_INIT;
	a->body = (struct herd_buf)HERD_BUF_INIT;
	w->done = true;
}

/* Takes back the one that *arg waits for: nobody will be there for its answer. */
static void take_back(struct herd_http *h, const void *arg)
{
	struct herd_http_transfer *t = h->active;

	while (t && t->arg != arg)
		t = t->next;
	if (t) {
		t->err = -ECANCELED;
		finish(h, t, CURLE_ABORTED_BY_CALLBACK);
		return;
	}
	for (struct herd_http_transfer **p = &h->queue; *p; p = &(*p)->next) {
		t = *p;
		if (t->arg != arg)
			continue;
		*p = t->next;
		if (!t->next)
			h->queue_end = p;
		h->n_queued--;
		fail(t, -ECANCELED, "given up");
		return;
	}
}

int herd_http_do(struct herd_http *h, const struct herd_http_request *r,
		 struct herd_http_answer *ret)
{
	struct waited w = { ret, false };

	*ret = (struct herd_http_answer){ .err = 0 };
	int e = herd_http_add(h, r, on_waited, &w);

	if (e) {
		snprintf(ret->reason, sizeof(ret->reason), "%s",
			 e == -EINVAL ? "not a request" : strerror(-e));
		ret->err = e;
		return e;
	}
	while (!e && !w.done)
		e = herd_http_run(h, NULL, 0, 1000);
	if (!w.done)
		take_back(h, &w);
	return ret->err;
}
