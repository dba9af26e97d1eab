/* SPDX-License-Identifier: Apache-2.0 */
#include "acquire/aws/form.h"

#include "acquire/aws/xml.h"

#include <stdio.h>
#include <string.h>

void herd_form_add(struct herd_buf *form, const char *key, const char *value)
{
	if (form->len)
		herd_buf_u8(form, '&');
	herd_uri_encode(form, key, false);
	herd_buf_u8(form, '=');
	herd_uri_encode(form, value, false);
}

void herd_form_begin(struct herd_buf *form, const char *action,
		     const char *version)
{
	form->len = 0;
	herd_form_add(form, "Action", action);
	herd_form_add(form, "Version", version);
}

void herd_form_list(struct herd_buf *form, const char *key,
		    const char *const *values, size_t n)
{
	char one[96];

	for (size_t i = 0; i < n; i++) {
		snprintf(one, sizeof(one), "%s.%zu", key, i + 1);
		herd_form_add(form, one, values[i]);
	}
}

int herd_form_post(struct herd_aws *a, const char *service,
		   const struct herd_buf *form, bool once,
		   struct herd_http_answer *ret,
		   struct herd_aws_result *ret_result, struct herd_diag *diag)
{
	struct herd_http_answer answer = { 0 };
	int r = herd_buf_error(form);

	memset(ret_result, 0, sizeof(*ret_result));
	if (r)
		return r;
	r = herd_aws_do(a,
			&(struct herd_aws_call){
				.service = service,
				.method = "POST",
				.path = "/",
				.content_type =
					"application/x-www-form-urlencoded; "
					"charset=utf-8",
				.body = form->data,
				.body_len = form->len,
				.answer_max = HERD_XML_SIZE_MAX,
				.once = once,
			},
			&answer, ret_result, diag);
	ret_result->answer = NULL; /* it is in answer */
	if (r) {
		herd_http_answer_deinit(&answer);
		return r;
	}
	*ret = answer;
	return 0;
}
