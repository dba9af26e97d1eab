/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The herd's ledger: what is the same for every member of a group, kept in the
 * store, so that a herd to which one more comes need not be read from nothing.
 * attach writes on in it in its own transaction, with work that grows with
 * what the newcomer has of its own; judging reads it (judge_ledger.c).
 *
 * It is a memory of what the tallies say and never more than that: where it is
 * missing, damaged or about another herd, judging begins from nothing and
 * finds the same. Whatever it cannot follow exactly (a member or a baseline
 * that goes, a baseline that comes) drops it; the next member has it made
 * again.
 *
 * Threads: as index/store.h says.
 */
#ifndef HERD_LEDGER_H
#define HERD_LEDGER_H

#include "index/store.h"

/* A path at which a member was tallied, and with what. */
struct herd_came {
	uint32_t path;
	struct herd_variant variant;
};

/*
 * A member has come: after its tallies, looks and tokens were written. g: as
 * it is now, the newcomer counted. v: by path, each once.
 */
int herd_ledger_join(struct herd_txn *t, const struct herd_group *g,
		     uint32_t instance, const struct herd_came *v, size_t n);

#endif
