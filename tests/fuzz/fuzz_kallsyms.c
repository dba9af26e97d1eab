/* SPDX-License-Identifier: Apache-2.0 */
/*
 * kallsyms, where it is said to be and where it is found. The input: six
 * little-endian numbers of 4 bytes, where its parts lie (num_syms, names,
 * token_table, token_index, offsets, relative_base; all ones: none), then the
 * kernel's image, which begins at TEXT.
 */
#include "acquire/base/cleanup.h"
#include "index/memory/kallsyms.h"

#include <string.h>

#define TEXT 0xffffffff83000000ull
#define HEADER 24u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define MUST(x)                           \
	do {                              \
		if (!(x))                 \
			__builtin_trap(); \
	} while (0)

struct image {
	const uint8_t *data;
	size_t size;
};

static int read_image(void *arg, uint64_t va, void *buf, size_t len)
{
	const struct image *i = arg;

	if (va < TEXT || va - TEXT > i->size || len > i->size - (va - TEXT))
		return -EFAULT;
	memcpy(buf, i->data + (va - TEXT), len);
	return 0;
}

static void use(const struct herd_kallsyms *k)
{
	size_t n = herd_kallsyms_count(k), step = n / 500 + 1;
	char name[HERD_KSYM_NAME_MAX], type;
	uint64_t va;

	MUST(n && n <= HERD_KALLSYMS_MAX);
	for (size_t i = 0; i < n; i += step) {
		herd_kallsyms_name(k, i, name, &type);
		MUST(memchr(name, 0, sizeof(name)));
		/* found again, or one of that name before it (an empty one, and
		   one that was cut, need not be) */
		if (*name && strlen(name) < sizeof(name) - 1)
			(void)herd_kallsyms_find(k, name, &va);
		va = herd_kallsyms_address(k, i);
		MUST(herd_kallsyms_at(k, va) <= n);
	}
	MUST(herd_kallsyms_at(k, 0) <= n);
	MUST(herd_kallsyms_at(k, UINT64_MAX) < n);
}

static uint64_t part(const uint8_t *p)
{
	uint32_t v;

	memcpy(&v, p, 4);
	v = le32toh(v);
	return v == UINT32_MAX ? 0 : TEXT + v;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct herd_kallsyms_known known = { "_stext", TEXT };
	struct herd_kallsyms_place at;
	struct herd_kallsyms *k;
	struct image i;

	if (size < HEADER)
		return 0;
	i = (struct image){ data + HEADER, size - HEADER };
	at = (struct herd_kallsyms_place){
		.num_syms = part(data),
		.names = part(data + 4),
		.token_table = part(data + 8),
		.token_index = part(data + 12),
		.offsets = part(data + 16),
		.relative_base = part(data + 20),
	};
	if (!herd_kallsyms_load(read_image, &i, &at, NULL, &k, NULL)) {
		use(k);
		herd_kallsyms_destroy(k);
	}
	if (!herd_kallsyms_scan(read_image, &i, TEXT, TEXT + i.size, &at) &&
	    !herd_kallsyms_load(read_image, &i, &at, &known, &k, NULL)) {
		use(k);
		herd_kallsyms_destroy(k);
	}
	return 0;
}
