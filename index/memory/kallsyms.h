/* SPDX-License-Identifier: Apache-2.0 */
/*
 * kallsyms: the table of symbols that a Linux kernel carries in its own image,
 * its names packed by a table of 256 tokens.
 *
 * Threads: immutable once loaded, but for herd_kallsyms_name's buffer, which
 * the caller brings.
 */
#ifndef HERD_KALLSYMS_H
#define HERD_KALLSYMS_H

#include "acquire/base/diag.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define HERD_KALLSYMS_MAX (1u << 21) /* symbols; real ones: 100,000…250,000 */
#define HERD_KSYM_NAME_MAX 512

/* Exactly len bytes of the kernel's memory. */
typedef int herd_kernel_read_fn(void *arg, uint64_t va, void *buf, size_t len);

/* Addresses of its parts. */
struct herd_kallsyms_place {
	uint64_t num_syms, names, token_table, token_index, offsets;
	uint64_t relative_base; /* 0: there is none, from 7.0 on */
};
/* A symbol whose address is known, by which the way of addressing is told. */
struct herd_kallsyms_known {
	const char *name; /* NULL: none known */
	uint64_t va;
};

/*
 * Looks for it in [start, end), which begins where the kernel's text does.
 * -ENOENT.
 */
int herd_kallsyms_scan(herd_kernel_read_fn *read, void *arg, uint64_t start,
		       uint64_t end, struct herd_kallsyms_place *ret);

struct herd_kallsyms;
/*
 * Before 6.15, with per-cpu symbols that are absolute: an offset ≥ 0 is an
 * address, another base - 1 - offset. Else base + offset, unsigned; without a
 * base the offset is from its own place. Which it is, `known` tells.
 */
int herd_kallsyms_load(herd_kernel_read_fn *read, void *arg,
		       const struct herd_kallsyms_place *at,
		       const struct herd_kallsyms_known *known,
		       struct herd_kallsyms **ret, struct herd_diag *diag);
void herd_kallsyms_destroy(struct herd_kallsyms *k);

size_t herd_kallsyms_count(const struct herd_kallsyms *k);
uint64_t herd_kallsyms_address(const struct herd_kallsyms *k, size_t i);
/* name: HERD_KSYM_NAME_MAX bytes. ret_type (may be NULL): 'T', 'd', … */
void herd_kallsyms_name(const struct herd_kallsyms *k, size_t i, char *name,
			char *ret_type);
/* Of several of a name the first. -ENOENT. */
int herd_kallsyms_find(const struct herd_kallsyms *k, const char *name,
		       uint64_t *ret);
/* The last one at or before va, of those at one address the first; the count
   when there is none. */
size_t herd_kallsyms_at(const struct herd_kallsyms *k, uint64_t va);

#endif
