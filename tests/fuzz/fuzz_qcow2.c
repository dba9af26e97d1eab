/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The start of a file that claims to be qcow2. What is taken from it must be
 * fit for use as a name and a size.
 */
#include "acquire/qcow2.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define MUST(x) do { if (!(x)) __builtin_trap(); } while (0)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct herd_qcow2 q;
	struct herd_diag diag;

	memset(&q, 0xa5, sizeof(q));
	herd_diag_clear(&diag);
	if (herd_qcow2_parse(data, size, "fuzz", &q, &diag)) {
		MUST(diag.message[0]);
		return 0;
	}
	MUST(q.size <= INT64_MAX);
	MUST(memchr(q.backing, '\0', sizeof(q.backing)));
	MUST(memchr(q.backing_format, '\0', sizeof(q.backing_format)));
	MUST(memchr(q.data_file, '\0', sizeof(q.data_file)));
	MUST(q.external_data == (q.data_file[0] != '\0'));
	return 0;
}
