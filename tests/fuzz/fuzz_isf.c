/* SPDX-License-Identifier: Apache-2.0 */
/* Volatility 3's symbol files: the input is the JSON. */
#include "acquire/base/cleanup.h"
#include "index/memory/isf.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define MUST(x)                           \
	do {                              \
		if (!(x))                 \
			__builtin_trap(); \
	} while (0)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct herd_isf *f;
	struct herd_btf *b;
	uint64_t at;

	if (herd_isf_parse((const char *)data, size, &f, NULL))
		return 0;
	b = herd_isf_types(f);
	MUST(b && memchr(herd_isf_banner(f), 0, 512));
	for (uint32_t id = 1; id <= herd_btf_count(b) && id < 300; id++) {
		const char *name;
		struct herd_field field;
		uint32_t n;

		herd_btf_size(b, id, &n);
		for (uint32_t i = 0; i < 50; i++)
			if (herd_btf_member(b, id, i, &name, &field))
				herd_btf_field(b, herd_btf_name(b, id), name,
					       &field);
	}
	herd_isf_symbol(f, "init_task", &at);
	if (herd_isf_symbol_at(f, UINT64_MAX, &at))
		MUST(herd_isf_symbol_at(f, at, &at));
	herd_isf_destroy(f);
	return 0;
}
