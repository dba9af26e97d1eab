/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A herd's ledger read back from a store. The first byte chooses: the record
 * for all, or one member's with its names, which are then counted. The sum at
 * the end is put right, or nothing would come further than that.
 */
#include "index/ledger_internal.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define MUST(x)                           \
	do {                              \
		if (!(x))                 \
			__builtin_trap(); \
	} while (0)

#define HOLDER 7u

/* What is kept of a path adds up to its members, whatever the bytes were. */
static void check_stack(const struct herd_ledger *l,
			const struct herd_ledger_stack *s)
{
	const struct herd_variant absent = { .absent = true };
	struct herd_kept kept;
	uint64_t sum = 0, coarse = 0;

	MUST(!herd_ledger_stack_kept(s, &absent, 0, l->members, &kept));
	for (size_t i = 0; i < kept.n; i++)
		sum += kept.v[i].count;
	for (size_t i = 0; i < kept.n_coarse; i++)
		coarse += kept.coarse[i].count;
	MUST(sum + kept.left_out == l->members && coarse == l->members);
	free(kept.v);
	free(kept.coarse);
}

static void read_head(const uint8_t *data, size_t size)
{
	CLEANUP_BUF struct herd_buf bytes = HERD_BUF_INIT,
				    again = HERD_BUF_INIT;
	struct herd_ledger l, twice;

	/* untouched, and with its sum put right */
	if (!herd_ledger_decode(data, size, &l))
		MUST(l.members >= HERD_LEDGER_MEMBERS_MIN);
	herd_ledger_deinit(&l);
	MUST(!herd_ledger_seal(data, size, 0, &bytes));
	if (herd_ledger_decode(bytes.data, bytes.len, &l)) {
		herd_ledger_deinit(&l);
		return;
	}
	for (size_t i = 0; i < l.n_stacks; i++)
		check_stack(&l, &l.stacks[i]);
	MUST(!herd_ledger_encode(&l, &again));
	MUST(!herd_ledger_decode(again.data, again.len, &twice));
	MUST(twice.n_stacks == l.n_stacks && twice.look.n == l.look.n);
	herd_ledger_deinit(&l);
	herd_ledger_deinit(&twice);
}

static void read_own(const uint8_t *data, size_t size)
{
	static const uint32_t members[] = { 2, HOLDER, 9, 11 };
	CLEANUP_BUF struct herd_buf bytes = HERD_BUF_INIT;
	CLEANUP(herd_loose_deinit) struct herd_loose names = { 0 };
	struct herd_ledger_own own;

	MUST(!herd_ledger_seal(data, size, HOLDER, &bytes));
	if (herd_ledger_own_decode(bytes.data, bytes.len, HOLDER, &own) ||
	    herd_loose_decode(&names, HOLDER, own.names, own.len))
		return;
	/* of others the same ones under other numbers */
	herd_loose_decode(&names, 9, own.names,
			  own.len / 2 / HERD_LOOSE_NAME * HERD_LOOSE_NAME);
	if (herd_loose_settle(&names, members, ARRAY_SIZE(members), false))
		return;
	for (uint32_t path = 1; path < 64; path++) {
		bool templated;

		MUST(herd_loose_alike(&names, path, &templated) <
		     ARRAY_SIZE(members));
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (!size)
		return 0;
	if (data[0] & 1)
		read_own(data + 1, size - 1);
	else
		read_head(data + 1, size - 1);
	return 0;
}
