/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The descriptor of a VMDK. No name that comes out of it leads elsewhere.
 */
#include "acquire/vmdk.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define MUST(x) do { if (!(x)) __builtin_trap(); } while (0)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct herd_vmdk v = { 0 };
	struct herd_diag diag;

	herd_diag_clear(&diag);
	if (herd_vmdk_parse((const char *)data, size, "fuzz", 0, &v, &diag)) {
		MUST(diag.message[0] && !v.names);
		return 0;
	}
	MUST(v.size && v.size <= INT64_MAX);
	MUST(v.n_names <= HERD_VMDK_EXTENTS_MAX);
	for (size_t i = 0; i < v.n_names; i++) {
		MUST(v.names[i][0] && !strpbrk(v.names[i], "/\\:\"\n"));
		MUST(strcmp(v.names[i], ".") && strcmp(v.names[i], ".."));
	}
	herd_vmdk_deinit(&v);
	return 0;
}
