/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What btf.c and btf_list.c share. Threads: see btf.h.
 */
#ifndef HERD_BTF_IMPL_H
#define HERD_BTF_IMPL_H

#include "index/memory/btf.h"

#include <endian.h>
#include <string.h>

#define HERD_BTF_CHAIN_MAX 32 /* typedefs of typedefs, nested structs */
/* What a name's hash is made of, and how many that share a place in a table are
   looked at for one question: a blob may have a million types, all of one
   endless name. */
#define HERD_BTF_NAME_MAX 512 /* bytes; the kernel's own limit of a symbol */
#define HERD_BTF_TRIES_MAX 1024

struct herd_btf {
	uint8_t *bytes;
	const uint8_t *types;
	size_t types_len;
	const char *strings; /* the last byte is NUL */
	uint32_t strings_len;
	uint32_t *at; /* n+1, byte offsets in types; [0] unused */
	uint32_t n, cap;
	/* named ones by hash: chains, so that no choice of names is slow */
	uint32_t *heads; /* id or 0 */
	uint32_t *next;	 /* n+1, as heads */
	uint32_t mask;
	/* made when first needed, and then in the same way */
	struct herd_btf_enumerator {
		uint32_t name, next; /* next: index + 1, or 0 */
		int64_t value;
	} * enumerators;
	uint32_t *enum_heads, n_enumerators, enum_mask;
	bool too_many; /* enumerators: there is no table of them */
};

struct herd_btf_type {
	const char *name;
	uint32_t kind, vlen, size; /* size or type */
	bool kind_flag;
	const uint8_t *extra;
};

static inline uint32_t herd_btf_get32(const uint8_t *p)
{
	uint32_t v;

	memcpy(&v, p, 4);
	return le32toh(v);
}

static inline const char *herd_btf_string(const struct herd_btf *b,
					  uint32_t off)
{
	return off < b->strings_len ? b->strings + off : "";
}

static inline uint32_t herd_btf_kind_of(uint32_t info)
{
	return info >> 24 & 0x1f;
}

/* false: no such type (void too). */
static inline bool herd_btf_type(const struct herd_btf *b, uint32_t id,
				 struct herd_btf_type *ret)
{
	if (!id || id > b->n)
		return false;
	const uint8_t *p = b->types + b->at[id];
	uint32_t info = herd_btf_get32(p + 4);

	ret->name = herd_btf_string(b, herd_btf_get32(p));
	ret->kind = herd_btf_kind_of(info);
	ret->vlen = info & 0xffff;
	ret->kind_flag = info >> 31;
	ret->size = herd_btf_get32(p + 8);
	ret->extra = p + 12;
	return true;
}

/* ---- btf.c ---- */

/* Through typedefs and qualifiers. false: a chain without an end, or void. */
bool herd_btf_plain(const struct herd_btf *b, uint32_t id, uint32_t *ret_id,
		    struct herd_btf_type *ret);
struct herd_btf_found {
	uint64_t bit; /* from the start of the outermost struct */
	uint32_t type;
	uint32_t bits; /* 0: no bit field */
};
void herd_btf_member_at(const struct herd_btf_type *t, uint32_t i,
			uint32_t *ret_name, struct herd_btf_found *ret);
bool herd_btf_to_field(const struct herd_btf *b, struct herd_btf_found f,
		       struct herd_field *ret);
/* Of the first HERD_BTF_NAME_MAX bytes. */
uint32_t herd_btf_hash(const char *p);

#endif
