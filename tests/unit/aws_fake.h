/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Stands in for acquire/aws/call.c: a call is compared with the next step of a
 * script and gets that step's answer. Content that the caller's check refuses
 * is asked for again, three times at most. Answers are made up after the
 * service models; none was recorded.
 */
#ifndef HERD_AWS_FAKE_H
#define HERD_AWS_FAKE_H

#include "acquire/aws/call.h"

#include <stdio.h>
#include <string.h>

#define FAKE_ATTEMPTS 3

struct fake_step {
	const char *expect; /* "GET path?name=value&… Header: value" or
			       "POST body", which the call must be; NULL: not
			       looked at */
	int err;
	int status; /* 0: no answer */
	const char *type, *reason, *message;
	const char *headers, *body;
	size_t body_len; /* 0: strlen(body) */
};

struct herd_aws {
	const struct fake_step *steps;
	size_t n, at;
	/* Instead of steps, when they are used up: a body, malloc'ed. */
	char *(*more)(const char *asked);
	bool pending, dead;
	char asked[4096];
	int (*check)(void *arg, struct herd_http_answer *answer);
	herd_aws_done *done;
	void *arg;
	bool once;
	unsigned calls;
};

static inline void fake_asked(struct herd_aws *a, const struct herd_aws_call *c)
{
	size_t at = 0;

	if (c->body) {
		snprintf(a->asked, sizeof(a->asked), "%s %.*s", c->method,
			 (int)c->body_len, (const char *)c->body);
		return;
	}
	at += (size_t)snprintf(a->asked, sizeof(a->asked), "%s %s", c->method,
			       c->path);
	for (size_t i = 0; i < c->n_query; i++)
		at += (size_t)snprintf(a->asked + at, sizeof(a->asked) - at,
				       "%c%s=%s", i ? '&' : '?',
				       c->query[i].name, c->query[i].value);
	for (size_t i = 0; i < c->n_headers; i++)
		at += (size_t)snprintf(a->asked + at, sizeof(a->asked) - at,
				       " %s: %s", c->headers[i].name,
				       c->headers[i].value);
}

int herd_aws_add(struct herd_aws *a, const struct herd_aws_call *call,
		 herd_aws_done *done, void *arg)
{
	assert_false(a->pending);
	fake_asked(a, call);
	a->check = call->check;
	a->done = done;
	a->arg = arg;
	a->once = call->once;
	a->pending = true;
	a->calls++;
	return 0;
}

static inline void fake_answer(struct herd_aws *a, struct herd_aws_result *r,
			       struct herd_http_answer *answer)
{
	static const struct fake_step ok = { .status = 200 };
	const struct fake_step *s = a->at < a->n ? &a->steps[a->at] : &ok;
	char *made = NULL;

	if (a->at >= a->n) {
		if (!a->more)
			fail_msg("one call too many: %s", a->asked);
		made = a->more(a->asked);
	}
	a->at++;
	if (s->expect && strcmp(s->expect, a->asked) != 0)
		fail_msg("step %zu: asked\n%s\nexpected\n%s", a->at, a->asked,
			 s->expect);
	const char *body = made ? made : s->body ? s->body : "";
	size_t len = s->body_len ? s->body_len : strlen(body);

	*answer = (struct herd_http_answer){ .status = s->status };
	herd_buf_put(&answer->body, body, len);
	if (s->headers)
		herd_buf_put(&answer->headers, s->headers, strlen(s->headers));
	r->err = s->err;
	snprintf(r->type, sizeof(r->type), "%s", s->type ? s->type : "");
	snprintf(r->reason, sizeof(r->reason), "%s",
		 s->reason ? s->reason : "");
	snprintf(r->message, sizeof(r->message), "%s",
		 s->message ? s->message : "");
	r->answer = s->status ? answer : NULL;
	free(made);
}

static inline void fake_free(struct herd_http_answer *answer)
{
	herd_buf_deinit(&answer->body);
	herd_buf_deinit(&answer->headers);
}

/* One call to its end. */
static inline void fake_call(struct herd_aws *a, struct herd_aws_result *r,
			     struct herd_http_answer *answer)
{
	for (;;) {
		int verdict;

		r->attempts++;
		fake_answer(a, r, answer);
		if (r->err || !a->check)
			return;
		verdict = a->check(a->arg, answer);
		if (!verdict)
			return;
		r->err = verdict;
		if (verdict != -EAGAIN || r->attempts == FAKE_ATTEMPTS)
			return;
		fake_free(answer);
	}
}

static inline void fake_run(struct herd_aws *a)
{
	while (a->pending) {
		struct herd_aws_result r = { 0 };
		struct herd_http_answer answer = { 0 };

		if (a->dead)
			r.err = -ECANCELED;
		else
			fake_call(a, &r, &answer);
		a->pending = false;
		a->done(a->arg, &r);
		fake_free(&answer);
	}
	if (!a->dead)
		assert_int_equal(a->at < a->n ? a->at : a->n, a->n);
}

int herd_aws_do(struct herd_aws *a, const struct herd_aws_call *call,
		struct herd_http_answer *ret,
		struct herd_aws_result *ret_result, struct herd_diag *diag)
{
	struct herd_aws_result r = { 0 };
	struct herd_http_answer answer = { 0 };

	assert_string_equal(call->content_type,
			    "application/x-www-form-urlencoded; charset=utf-8");
	fake_asked(a, call);
	a->check = call->check;
	a->once = call->once;
	a->calls++;
	fake_call(a, &r, &answer);
	if (r.err)
		herd_diag_set(diag, r.err, call->service, HERD_NO_OFFSET,
			      "%s: %s", r.type, r.message);
	r.answer = NULL;
	if (ret_result)
		*ret_result = r;
	if (ret)
		*ret = answer;
	else
		fake_free(&answer);
	return r.err;
}

#endif
