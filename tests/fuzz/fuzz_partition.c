/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A disk that nobody partitioned: what is given lies on it. The input is the
 * disk; its last sector is the input's last, 64 KiB of zeros are between.
 */
#include "acquire/base/cleanup.h"
#include "index/volume.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define MUST(x)                           \
	do {                              \
		if (!(x))                 \
			__builtin_trap(); \
	} while (0)

#define GAP 65536u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	size_t tail = size >= 1024 ? 512 : 0, len = size + (tail ? GAP : 0);
	CLEANUP_FREE uint8_t *image = calloc(1, len + 1);
	CLEANUP_FREE struct herd_partition *v = NULL;
	struct herd_source *s = NULL;
	size_t n = 0;

	MUST(image);
	if (size)
		memcpy(image, data, size - tail);
	if (tail)
		memcpy(image + len - tail, data + size - tail, tail);
	MUST(!herd_source_from_memory("fuzz", image, len, &s));
	if (!herd_partitions(s, &v, &n, NULL)) {
		MUST(n && n <= HERD_PARTITIONS_MAX);
		for (size_t i = 0; i < n; i++) {
			MUST(v[i].start <= len && v[i].len <= len - v[i].start);
			MUST(v[i].number || n == 1);
			MUST(memchr(v[i].uuid, 0, sizeof(v[i].uuid)));
			MUST(memchr(v[i].label, 0, sizeof(v[i].label)));
			MUST(memchr(v[i].type, 0, sizeof(v[i].type)));
		}
	}
	herd_source_destroy(s);
	return 0;
}
