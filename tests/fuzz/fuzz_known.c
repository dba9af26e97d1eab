/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A list of digests that nobody made, line by line: a digest is 64 hex digits
 * that stand in the line.
 */
#include "acquire/base/buf.h"
#include "index/known.h"

#include <string.h>
#include <strings.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define MUST(x)                           \
	do {                              \
		if (!(x))                 \
			__builtin_trap(); \
	} while (0)

static bool stands_in(const char *line, size_t len, const char hex[65])
{
	for (size_t i = 0; i + 64 <= len; i++)
		if (strncasecmp(line + i, hex, 64) == 0)
			return true;
	return false;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct herd_known_lines l = { .source = "fuzz" };
	size_t at = 0;

	while (at < size) {
		const uint8_t *end = memchr(data + at, '\n', size - at);
		size_t n = end ? (size_t)(end - data) - at : size - at;
		struct herd_diag diag = { .offset = HERD_NO_OFFSET };
		/* of exactly its size, so that the edge is seen */
		char *line CLEANUP_FREE = malloc(n ? n : 1);
		uint8_t digest[32];
		char hex[65];
		int r;

		MUST(line);
		if (n)
			memcpy(line, data + at, n);
		r = herd_known_line(&l, line, n, digest, &diag);
		MUST(r == 0 || r == 1 || r == -EINVAL);
		MUST((r < 0) == (diag.message[0] != 0));
		if (r == 1)
			MUST(stands_in(line, n, herd_hex(digest, 32, hex)));
		at += n + 1;
	}
	return 0;
}
