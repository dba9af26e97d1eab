/* SPDX-License-Identifier: Apache-2.0 */
/* The names are those of SSM's API 2014-11-06: JSON 1.1, one path. */
#include "acquire/aws/ssm.h"

#include "acquire/base/cleanup.h"

#include <jansson.h>
#include <stdio.h>
#include <string.h>

#define ANSWER_MAX (1u << 20)
#define DELIVERY_SECONDS 600	/* to an agent that does not answer */

static void free_json(json_t **j)
{
	json_decref(*j);
}

static void free_text(char **text)
{
	free(*text);
}

static bool is_command(const char *text)
{
	return text && strlen(text) == HERD_SSM_COMMAND_SIZE - 1 &&
	       strspn(text, "0123456789abcdef-") == strlen(text);
}

/* ---- calls ---- */

static int post(struct herd_aws *a, const char *action, const json_t *body,
		bool once, struct herd_http_answer *ret,
		struct herd_aws_result *result, struct herd_diag *diag)
{
	CLEANUP(free_text) char *text = json_dumps(body, JSON_COMPACT);
	char target[64];
	const struct herd_pair header = { "X-Amz-Target", target };
	const struct herd_aws_call c = {
		.service = "ssm", .method = "POST", .path = "/",
		.headers = &header, .n_headers = 1,
		.content_type = "application/x-amz-json-1.1",
		.body = text, .body_len = text ? strlen(text) : 0,
		.answer_max = ANSWER_MAX, .once = once,
	};

	if (!text)
		return -ENOMEM;
	snprintf(target, sizeof(target), "AmazonSSM.%s", action);
	return herd_aws_do(a, &c, ret, result, diag);
}

static json_t *command_of(const struct herd_ssm_command *c)
{
	char seconds[16];
	json_t *lines = json_array();

	for (size_t i = 0; lines && i < c->n_lines; i++)
		json_array_append_new(lines, json_string(c->lines[i]));
	snprintf(seconds, sizeof(seconds), "%u", c->run_seconds);
	return json_pack("{s:s, s:[s], s:i, s:s, s:{s:o, s:[s]}}",
			 "DocumentName", "AWS-RunShellScript",
			 "InstanceIds", c->instance,
			 "TimeoutSeconds", DELIVERY_SECONDS,
			 "Comment", c->comment ? c->comment : "herdfs",
			 "Parameters", "commands", lines,
			 "executionTimeout", seconds);
}

int herd_ssm_send(struct herd_aws *a, const struct herd_ssm_command *c,
		  char ret_command[HERD_SSM_COMMAND_SIZE],
		  struct herd_diag *diag)
{
	CLEANUP(free_json) json_t *body = command_of(c);
	CLEANUP(free_json) json_t *root = NULL;
	struct herd_http_answer answer = { 0 };
	struct herd_aws_result result = { 0 };
	const char *id;
	int r = body ? post(a, "SendCommand", body, true, &answer, &result,
			    NULL) : -ENOMEM;

	if (r && !strcmp(result.type, "InvalidInstanceId"))
		return herd_diag_set(diag, -EHOSTUNREACH, c->instance,
				     HERD_NO_OFFSET, "Systems Manager does not "
				     "reach it: its agent is not running, or "
				     "not allowed (%.200s)", result.message);
	if (r)
		return herd_diag_set(diag, r, c->instance, HERD_NO_OFFSET,
				     "SendCommand: %s%s%.300s", result.type,
				     result.type[0] ? ": " : "",
				     result.message);
	root = json_loadb((const char *)answer.body.data, answer.body.len, 0,
			  NULL);
	id = json_string_value(json_object_get(json_object_get(root, "Command"),
					       "CommandId"));
	if (is_command(id))
		strcpy(ret_command, id);
	else
		r = herd_diag_set(diag, -EBADMSG, c->instance, HERD_NO_OFFSET,
				  "SendCommand: the answer has no command's id");
	herd_http_answer_deinit(&answer);
	return r;
}

int herd_ssm_cancel(struct herd_aws *a, const char *command,
		    struct herd_diag *diag)
{
	CLEANUP(free_json) json_t *body = json_pack("{s:s}", "CommandId",
						    command);

	return body ? post(a, "CancelCommand", body, false, NULL, NULL, diag) :
		      -ENOMEM;
}

/* ---- what came of it ---- */

void herd_ssm_invocation_deinit(struct herd_ssm_invocation *i)
{
	free(i->output);
	free(i->error);
	*i = (struct herd_ssm_invocation){ .exit_status = -1 };
}

static int take_text(const json_t *root, const char *key, char **ret)
{
	const json_t *v = json_object_get(root, key);
	const char *text = json_string_value(v);

	if (v && !json_is_null(v) && !text)
		return -EBADMSG;
	if (text && json_string_length(v) > HERD_SSM_OUTPUT_MAX * 4)
		return -EOVERFLOW;
	*ret = strdup(text ? text : "");
	return *ret ? 0 : -ENOMEM;
}

static bool is_ended(const char *status)
{
	static const char *const ended[] = {
		"Success", "Cancelled", "TimedOut", "Failed", "Undeliverable",
		"Terminated", "InvalidPlatform", "AccessDenied",
		"DeliveryTimedOut", "ExecutionTimedOut",
	};

	for (size_t i = 0; i < ARRAY_SIZE(ended); i++)
		if (!strcmp(ended[i], status))
			return true;
	return false;
}

int herd_ssm_parse(const void *json, size_t len,
		   struct herd_ssm_invocation *ret, struct herd_diag *diag)
{
	CLEANUP(free_json) json_t *root = json_loadb(json, len, 0, NULL);
	struct herd_ssm_invocation i = { .exit_status = -1 };
	const char *status = json_string_value(json_object_get(root, "Status"));
	const json_t *code = json_object_get(root, "ResponseCode");
	int r = status && herd_aws_is_word(status) ? 0 : -EBADMSG;

	if (!r) {
		snprintf(i.status, sizeof(i.status), "%s", status);
		i.ended = is_ended(status);
		i.success = !strcmp(status, "Success");
		if (json_is_integer(code))
			i.exit_status = json_integer_value(code);
		r = take_text(root, "StandardOutputContent", &i.output);
	}
	if (!r)
		r = take_text(root, "StandardErrorContent", &i.error);
	if (r) {
		herd_ssm_invocation_deinit(&i);
		return herd_diag_set(diag, r, "SSM", HERD_NO_OFFSET,
				     "GetCommandInvocation: the answer is not "
				     "one");
	}
	*ret = i;
	return 0;
}

int herd_ssm_get(struct herd_aws *a, const char *command, const char *instance,
		 struct herd_ssm_invocation *ret, struct herd_diag *diag)
{
	CLEANUP(free_json) json_t *body = json_pack("{s:s, s:s}", "CommandId",
						    command, "InstanceId",
						    instance);
	struct herd_http_answer answer = { 0 };
	struct herd_aws_result result = { 0 };
	int r = body ? post(a, "GetCommandInvocation", body, false, &answer,
			    &result, NULL) : -ENOMEM;

	if (r && !strcmp(result.type, "InvocationDoesNotExist"))
		return -ENOENT;
	if (r)
		return herd_diag_set(diag, r, instance, HERD_NO_OFFSET,
				     "GetCommandInvocation: %s%s%.300s",
				     result.type, result.type[0] ? ": " : "",
				     result.message);
	r = herd_ssm_parse(answer.body.data, answer.body.len, ret, diag);
	herd_http_answer_deinit(&answer);
	return r;
}
