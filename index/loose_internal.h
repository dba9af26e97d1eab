/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What loose.c (which names there are) and loose_settle.c (how many have the
 * like) share.
 *
 * Threads: as index/loose.h says.
 */
#ifndef HERD_LOOSE_INTERNAL_H
#define HERD_LOOSE_INTERNAL_H

#include "index/loose.h"

#define HERD_LOOSE_NONE UINT32_MAX

enum herd_loose_state {
	LOOSE_OPEN,
	LOOSE_ASKED,
	LOOSE_YES, /* it is a loose name */
	LOOSE_FIRM,
};

struct herd_loose_name {
	uint32_t path, parent, holder;
	uint32_t alike;
	uint32_t up;	/* the folder's place in the list, or NONE */
	uint8_t state;	/* enum herd_loose_state; before settling */
	bool templated; /* holds what is the holder's own, or random */
	bool own;	/* the former */
	bool by_form;	/* asked for names of its form */
	bool witness;	/* counted, and not asked itself */
	bool nothing;	/* an empty file: of whatever sort the others are */
	uint64_t kind, plain; /* plain: without the sort */
	uint64_t form, key;
	uint64_t as_hex; /* its form if its digits were hex, or 0 */
	uint64_t vote;	 /* what is counted now: the key, or … */
};

/* Its place in the list, or NONE; once they are indexed. */
uint32_t herd_loose_find(const struct herd_loose *l, uint32_t path);

#endif
