/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What S3 might say of an object, and what a user might call one: a byte that
 * chooses the status, a line with the name, lines of headers up to an empty
 * one, a body. Whatever is taken is of the object and the range asked for.
 * herd_aws_add stands in for the calls, and gives this one answer.
 */
#include "acquire/aws/s3_object.h"

#include <errno.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define MUST(x)                           \
	do {                              \
		if (!(x))                 \
			__builtin_trap(); \
	} while (0)

static const int statuses[] = { 206, 206, 206, 200, 204, 301, 400, 403,
				404, 412, 416, 503 };
static struct herd_http_answer given;
static unsigned answers;

int herd_aws_add(struct herd_aws *a, const struct herd_aws_call *call,
		 herd_aws_done *done, void *arg)
{
	struct herd_aws_result r = { .attempts = 1, .answer = &given };
	struct herd_buf body = given.body;

	(void)a;
	MUST(call->path[0] == '/' && !strchr(call->path, ' '));
	if (given.status / 100 != 2)
		r.err = given.status == 403 ? -EACCES :
			given.status == 404 ? -ENOENT :
					      -EINVAL;
	else if (given.body.len > call->answer_max)
		r.err = -EOVERFLOW;
	else
		r.err = call->check(arg, &given);
	done(arg, &r);
	if (!given.body.data)	/* it was taken */
		given.body = (struct herd_buf)HERD_BUF_INIT;
	else
		MUST(given.body.data == body.data);
	return 0;
}

static void looked(void *arg, struct herd_s3_looked *l)
{
	struct herd_s3_state *state = arg;

	answers++;
	MUST(l->err ? l->err < 0 && l->diag.message[0] : l->state.size > 0);
	MUST(l->err || (l->state.etag[0] == '"' && strlen(l->state.etag) > 2));
	MUST(l->err || !l->state.version[0] ||
	     herd_s3_is_version(l->state.version));
	if (!l->err)
		*state = l->state;
}

static void came(void *arg, struct herd_s3_piece *p)
{
	uint8_t sum[HERD_SHA256_LEN];

	answers++;
	MUST(p->err ? p->err < 0 && p->diag.message[0] && !p->bytes.len :
		      p->bytes.len == *(uint32_t *)arg);
	if (p->err)
		return;
	herd_sha256(p->bytes.data, p->bytes.len, sum);
	MUST(!memcmp(sum, p->sha256, sizeof(sum)));
}

/* Up to the end of the line, and behind it. */
static size_t line_of(const uint8_t *data, size_t size)
{
	const uint8_t *end = memchr(data, '\n', size);

	return end ? (size_t)(end - data) : size;
}

static void give(int status, const uint8_t *data, size_t size)
{
	const uint8_t *end = memmem(data, size, "\n\n", 2);
	size_t n = end ? (size_t)(end - data) + 1 : size;

	given = (struct herd_http_answer){ .status = status };
	herd_buf_put(&given.headers, data, n);
	if (n < size)
		herd_buf_put(&given.body, data + n + 1, size - n - 1);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct herd_s3_name name;
	struct herd_s3_state state = { .size = 0 };
	uint8_t id[HERD_SHA256_LEN];
	uint32_t len = 4;
	char url[4096];
	size_t n;

	if (size < 2)
		return 0;
	int status = statuses[data[0] % (sizeof(statuses) / sizeof(*statuses))];

	data++;
	size--;
	n = line_of(data, size);
	if (n >= sizeof(url))
		return 0;
	memcpy(url, data, n);
	url[n] = '\0';
	if (!herd_s3_name_parse(url, &name))
		return 0;
	MUST(name.bucket[0] && name.key[0]);
	if (n < size)
		n++;
	give(status, data + n, size - n);
	answers = 0;
	MUST(!herd_s3_look(NULL, &name, looked, &state) && answers == 1);
	herd_s3_id(&name, &state, id);
	if (!state.size)
		state = (struct herd_s3_state){ .size = 1000, .etag = "\"e\"" };
	if (len > state.size)
		len = (uint32_t)state.size;
	MUST(!herd_s3_get(NULL, &name, &state, state.size - len, len, came,
			  &len) &&
	     answers == 2);
	herd_http_answer_deinit(&given);
	return 0;
}
