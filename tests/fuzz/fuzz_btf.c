/* SPDX-License-Identifier: Apache-2.0 */
/* Types: the input is a BTF; all that it names is asked for. */
#include "acquire/base/cleanup.h"
#include "index/memory/btf.h"

#include <string.h>

#define TYPES 300u	/* that are looked at */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define MUST(x)                           \
	do {                              \
		if (!(x))                 \
			__builtin_trap(); \
	} while (0)

static void check(const struct herd_field *f)
{
	MUST(f->offset != HERD_FIELD_MISSING);
	MUST(!f->bits || (f->size && f->size <= 8 &&
			  f->bit + f->bits <= f->size * 8));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t *copy = malloc(size ? size : 1);
	struct herd_btf *b;
	int64_t v;

	MUST(copy);
	if (size)
		memcpy(copy, data, size);
	if (herd_btf_parse(copy, size, &b, NULL))
		return 0;
	for (uint32_t id = 0; id <= TYPES; id++) {
		const char *type = herd_btf_name(b, id), *member;
		struct herd_field f;
		uint32_t n;

		if (!herd_btf_size(b, id, &n))
			herd_btf_sizeof(b, type, &n);
		herd_btf_enumerator(b, type, &v);
		for (uint32_t i = 0; i < 50; i++) {
			if (!herd_btf_member(b, id, i, &member, &f))
				continue;
			check(&f);
			if (!herd_btf_field(b, type, member, &f))
				check(&f);
		}
		herd_btf_field(b, type, "a.b.c", &f);
	}
	herd_btf_destroy(b);
	return 0;
}
