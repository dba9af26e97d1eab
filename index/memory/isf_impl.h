/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What isf.c (types) and isf_symbols.c share. Threads: see isf.h.
 */
#ifndef HERD_ISF_IMPL_H
#define HERD_ISF_IMPL_H

#include "acquire/base/buf.h"
#include "index/memory/isf.h"
#include "index/memory/json_read.h"

#define HERD_ISF_BANNER_MAX 512u
#define HERD_ISF_PROBES_MAX 4096u /* of one name: chosen so that it is slow */

enum herd_isf_space { HERD_ISF_BASE, HERD_ISF_USER, HERD_ISF_ENUM };

struct herd_isf_type {
	uint32_t name;	     /* in strings */
	uint32_t kind, size; /* size, or the type an array is of */
	uint32_t extra, n;   /* in extra: bytes from, entries */
	enum herd_isf_space space;
};

struct herd_isf_symbol {
	uint32_t name;
	uint64_t address;
};

struct herd_isf_named { /* for qsort, which has no argument */
	uint64_t address;
	const char *name;
};

struct herd_isf {
	struct herd_isf_type *types; /* [0] is void */
	size_t n_types, cap_types;
	uint32_t *slots; /* named ones by hash */
	uint32_t mask;
	struct herd_isf_symbol *symbols;
	size_t n_symbols, cap_symbols;
	uint32_t *symbol_slots;
	uint32_t symbol_mask;
	struct herd_isf_named *sorted; /* by address, then name */
	struct herd_buf strings, extra;
	uint32_t pointer; /* the one pointer's id */
	size_t n_members;
	int err;
	char banner[HERD_ISF_BANNER_MAX];
	struct herd_btf *btf;
};

/* The first error is kept, and ends the reading. */
void herd_isf_fail(struct herd_isf *f, int err);
/* Room for one more after n; false: failed. */
bool herd_isf_room(struct herd_isf *f, void **v, size_t n, size_t *cap,
		   size_t size, size_t max);
uint32_t herd_isf_hash(const char *p, uint32_t h);
uint32_t herd_isf_intern(struct herd_isf *f, const char *name);
const char *herd_isf_string(const struct herd_isf *f, uint32_t at);

/* ---- isf_symbols.c ---- */

/* Reads one, whose value is next in j. */
void herd_isf_take_symbol(struct herd_isf *f, struct herd_js *j,
			  const char *name);
int herd_isf_index_symbols(struct herd_isf *f);

#endif
