/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Images that stand on other images, and in what two such that share some of
 * those can differ at most. Nothing outside acquire/ includes it.
 *
 * Threads: as any source's operations.
 */
#ifndef HERD_STACKED_H
#define HERD_STACKED_H

#include "acquire/chain.h"
#include "acquire/source_impl.h"

/* More than any sane image has pieces; what a hostile one may make us keep. */
#define HERD_PIECES_MAX (1u << 24)

/* What the kinds of source that may have a backing file begin with. */
struct herd_stacked {
	struct herd_source base;
	struct herd_image img;		/* owned */
	struct herd_chain chain;
	/* Appends, in any order, what the first `images` of the chain hold
	   themselves, zeros included. */
	int (*above)(struct herd_stacked *s, size_t images,
		     struct herd_extents *ret, struct herd_diag *diag);
};

/* For the ops of these kinds; what has them is a herd_stacked. */
int herd_stacked_changed_extents(struct herd_source *s,
				 struct herd_source *other,
				 struct herd_extents *ret,
				 struct herd_diag *diag);

#endif
