/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a service says of a failure. The input: the status in two bytes, then
 * the header lines up to an empty one, then the body.
 */
#include "acquire/aws/call_impl.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define MUST(x)                           \
	do {                              \
		if (!(x))                 \
			__builtin_trap(); \
	} while (0)

static void check_text(const char *text, size_t size, bool word)
{
	MUST(memchr(text, '\0', size));
	for (const unsigned char *p = (const unsigned char *)text; *p; p++) {
		MUST(*p >= 0x20 && *p != 0x7f);
		MUST(!word || (*p < 0x7f && !strchr(" <>&\"'/:#", *p)));
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct herd_http_answer a = { .err = 0 };
	struct herd_aws_error e;
	struct herd_aws_judgement j;
	uint64_t random = 1;
	int64_t date;
	char buf[16];

	if (size < 2)
		return 0;
	a.status = 100 + (data[0] << 8 | data[1]) % 900;
	data += 2;
	size -= 2;
	const uint8_t *end = memmem(data, size, "\n\n", 2);
	size_t n = end ? (size_t)(end - data) + 1 : 0;

	/* each in memory of exactly its size, and without a NUL behind it */
	if (n) {
		a.headers.data = malloc(n);
		MUST(a.headers.data);
		memcpy(a.headers.data, data, n);
		a.headers.len = a.headers.cap = n;
		n++;
	}
	if (size > n) {
		a.body.len = a.body.cap = size - n;
		a.body.data = malloc(a.body.len);
		MUST(a.body.data);
		memcpy(a.body.data, data + n, a.body.len);
	}
	herd_aws_error_parse(&a, &e);
	check_text(e.type, sizeof(e.type), true);
	check_text(e.reason, sizeof(e.reason), true);
	check_text(e.message, sizeof(e.message), false);
	MUST(!strcasestr(e.message, "x-amz-security-token"));
	herd_aws_judge(&a, &e, &j);
	MUST((j.kind == HERD_AWS_FINE) == (a.status / 100 == 2));
	MUST((j.kind == HERD_AWS_FINE) == !j.err);
	if (herd_aws_date(&a, &date))
		MUST(date > 0);
	MUST(herd_aws_backoff(&a, false, 3, &random) <= 20000);
	if (herd_http_header(&a, "Date", buf, sizeof(buf)))
		MUST(strlen(buf) < sizeof(buf));
	herd_http_answer_deinit(&a);
	return 0;
}
