/* SPDX-License-Identifier: Apache-2.0 */
/* One call, waited for. */
#include "acquire/aws/call.h"

struct waited {
	struct herd_http_answer *ret;
	struct herd_aws_result *result;
	const char *service;
	struct herd_diag *diag;
	int (*check)(void *arg, struct herd_http_answer *answer);
	bool done;
	int err;
	/* what the caller does not want to see is put here */
	struct herd_http_answer own_answer;
	struct herd_aws_result own_result;
};

static void on_waited(void *arg, struct herd_aws_result *r)
{
	struct waited *w = arg;

	w->done = true;
	w->err = r->err;
	*w->result = *r;
	w->result->answer = NULL;
	if (r->answer) {
		*w->ret = *r->answer;
		w->result->answer = w->ret;
		r->answer->headers = (struct herd_buf)HERD_BUF_INIT;
		r->answer->body = (struct herd_buf)HERD_BUF_INIT;
	}
	if (r->err)
		herd_diag_set(w->diag, r->err, w->service, HERD_NO_OFFSET,
			      "%s%s%s%s", r->type, r->type[0] ? ": " : "",
			      r->message,
			      r->attempts > 1 ? " (asked again in vain)" : "");
}

static int on_check(void *arg, struct herd_http_answer *answer)
{
	struct waited *w = arg;

	return w->check(NULL, answer);
}

int herd_aws_do(struct herd_aws *a, const struct herd_aws_call *call,
		struct herd_http_answer *ret,
		struct herd_aws_result *ret_result, struct herd_diag *diag)
{
	CLEANUP_FREE struct waited *w = calloc(1, sizeof(*w));
	struct herd_aws_call own = *call;
	int r;

	if (!w)
		return -ENOMEM;
	w->ret = ret ? ret : &w->own_answer;
	w->result = ret_result ? ret_result : &w->own_result;
	w->service = call->service;
	w->diag = diag;
	w->check = call->check;
	if (call->check)
		own.check = on_check;
	*w->ret = (struct herd_http_answer){ .err = 0 };
	*w->result = (struct herd_aws_result){ .err = 0 };
	r = herd_aws_add(a, &own, on_waited, w);
	if (r)
		return herd_diag_set(diag, r, call->service, HERD_NO_OFFSET,
				     "the call cannot be made");
	/* an error of running is not the call's: it ends, by a time-out if by
	   nothing else */
	while (!w->done)
		herd_aws_run(a, NULL, 0, 1000);
	herd_http_answer_deinit(&w->own_answer);
	if (!ret)
		w->result->answer = NULL;
	return w->err;
}
