/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Containers of memory: the first byte says which, the rest is its bytes. What
 * it says is there must be within its size, sorted and apart; to read it may
 * fail, and must not take long.
 */
#include "acquire/base/cleanup.h"
#include "acquire/memory.h"
#include "acquire/memory/memory_impl.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define MUST(x) do { if (!(x)) __builtin_trap(); } while (0)

static const char *const formats[] = { "lime", "avml", "elf-core", "kdump",
				       "raw-memory" };

static void read_some(struct herd_source *s, const struct herd_extent *e)
{
	static uint8_t got[300000];
	size_t n = e->len < sizeof(got) ? (size_t)e->len : sizeof(got);

	herd_source_read(s, got, n, e->start, NULL);
	herd_source_read(s, got, 1, e->start + e->len - 1, NULL);
	herd_source_read(s, got, n / 3 + 1, e->start + e->len / 2,
			 NULL);
	herd_source_map(s, e->start, n);
}

static void check_notes(const struct herd_memory_notes *n)
{
	uint64_t sum = 0;

	MUST(n->n_cpus <= HERD_MEMORY_CPUS_MAX);
	for (size_t i = 0; i < n->vmcoreinfo_len; i++)
		sum += (unsigned char)n->vmcoreinfo[i];
	for (size_t i = 0; i < n->n_cpus; i++)
		sum += n->cpus[i].regs[26];
	MUST(sum || !n->warning || n->warning[0]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	CLEANUP(herd_extents_deinit) struct herd_extents e = { 0 };
	struct herd_source *c = NULL, *s = NULL;
	struct herd_diag diag;
	const char *why;

	if (size < 2)
		return 0;
	herd_memory_detect(data + 1, size - 1, &why);
	herd_memory_disk_mark(data + 1, size - 1);
	herd_diag_clear(&diag);
	MUST(!herd_source_from_memory("fuzz", data + 1, size - 1, &c));
	if (herd_memory_open_on(c, formats[data[0] % ARRAY_SIZE(formats)], &s,
				&diag)) {
		MUST(diag.message[0]);
		return 0;
	}
	check_notes(herd_memory_notes(s));
	MUST(!herd_source_data(s, &e, NULL));
	MUST(e.n && e.v[e.n - 1].start + e.v[e.n - 1].len == s->size);
	for (size_t i = 0; i < e.n; i++) {
		MUST(e.v[i].len && (!i || e.v[i].start >
				    e.v[i - 1].start + e.v[i - 1].len));
		if (i < 16)
			read_some(s, &e.v[i]);
	}
	herd_source_destroy(s);
	return 0;
}
