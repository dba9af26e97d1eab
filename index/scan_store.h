/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What scan_store.c, scan_names.c and scan_reference.c share while a finished
 * scan becomes records.
 *
 * Threads: all of it belongs to the one that stores.
 */
#ifndef HERD_SCAN_STORE_H
#define HERD_SCAN_STORE_H

#include "index/ledger.h"
#include "index/scan.h"

/* One path that the scan looked at. */
struct herd_storing_item {
	uint32_t path, parent; /* ids */
	uint32_t node;
	struct herd_rec *rec;
};

struct herd_storing {
	struct herd_scan *s;
	struct herd_instance *inst;
	struct herd_txn *t;
	struct herd_storing_item *items; /* by path; each path once */
	size_t n;
	struct herd_idmap absent; /* paths */
	struct herd_came *came;	  /* what was tallied, by path */
	size_t n_came, cap_came;
};

/* ---- scan_names.c ---- */

/* Ids for all names; items. */
int herd_storing_intern(struct herd_storing *st);
/* A directory that holds one name twice is damaged or a trick: the first one
   stands, the other is reported. */
int herd_storing_drop_doubles(struct herd_storing *st);
bool herd_storing_has(const struct herd_storing *st, uint32_t path);

/* ---- scan_reference.c ---- */

/* What only a reference has: children, links, owners of blocks. */
int herd_storing_put_maps(struct herd_storing *st);
/* What the reference has and this one lacks. */
int herd_storing_find_absents(struct herd_storing *st);

#endif
