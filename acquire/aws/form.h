/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Requests of the services that take a form and answer in XML.
 *
 * Threads: that of the herd_aws.
 */
#ifndef HERD_AWS_FORM_H
#define HERD_AWS_FORM_H

#include "acquire/aws/call.h"

void herd_form_begin(struct herd_buf *form, const char *action,
		     const char *version);
void herd_form_add(struct herd_buf *form, const char *key, const char *value);
/* key.1, key.2, … */
void herd_form_list(struct herd_buf *form, const char *key,
		    const char *const *values, size_t n);
/* Sends it and waits, as herd_aws_do. *ret is the caller's only on success. */
int herd_form_post(struct herd_aws *a, const char *service,
		   const struct herd_buf *form, bool once,
		   struct herd_http_answer *ret,
		   struct herd_aws_result *ret_result, struct herd_diag *diag);

#endif
