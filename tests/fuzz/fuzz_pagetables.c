/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Page tables, and finding a kernel by them. The input is a memory of whole
 * pages; its first 16 bytes say where to begin: where the top table is, how
 * many levels, the encryption bit, and an address.
 */
#include "acquire/base/cleanup.h"
#include "index/memory/kernel_internal.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define MUST(x)                           \
	do {                              \
		if (!(x))                 \
			__builtin_trap(); \
	} while (0)

struct walk {
	uint64_t at;		/* the end of the last one */
	unsigned n;
};

static int on_mapping(void *arg, uint64_t va, const struct herd_mapping *m)
{
	struct walk *w = arg;

	MUST(m->left && va >= w->at);
	MUST(va + (m->left - 1) >= va);
	MUST(m->state != HERD_PAGE_NONE);
	w->at = va + m->left;
	return ++w->n == 20000;
}

static void open_kernel(struct herd_phys *phys)
{
	struct herd_kernel *k;
	uint64_t va;

	if (herd_kernel_open(phys, NULL, NULL, &k, NULL))
		return;
	herd_kernel_symbol(k, "init_task", &va);
	herd_kernel_name_of(k, herd_kernel_facts(k)->kaslr + HERD_KERNEL_MAP +
				       0x1000123, &va);
	herd_kernel_close(k);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct herd_source *source = NULL;
	struct herd_phys *phys = NULL;
	struct herd_mapping m;
	struct walk w = { 0 };
	uint64_t head[2];
	uint8_t buf[300];

	if (size < sizeof(head))
		return 0;
	memcpy(head, data, sizeof(head));

	struct herd_space s = {
		.pgd = (head[0] & 0xffffff) * HERD_PAGE,
		.levels = head[0] >> 24 & 1 ? 5 : 4,
		.sme_mask = head[0] >> 25 & 1 ? 1ull << 47 : 0,
	};

	MUST(!herd_source_from_memory("fuzz", data, size, &source));
	MUST(!herd_phys_create(source, &phys));
	herd_space_look(phys, &s, head[1], &m);
	MUST(m.left && (m.shift == 12 || m.shift == 21 || m.shift == 30));
	herd_space_read(phys, &s, head[1], buf, sizeof(buf));
	herd_space_each(phys, &s, head[1], UINT64_MAX, on_mapping, &w);
	open_kernel(phys);
	herd_phys_destroy(phys);
	herd_source_destroy(source);
	return 0;
}
