/* SPDX-License-Identifier: Apache-2.0 */
/*
 * BTF: the types that a Linux kernel carries in its own image. All of it is
 * untrusted: chains and nesting are followed to a limit.
 *
 * Threads: belongs to one thread at a time (enumerators are sorted when the
 * first is asked for).
 */
#ifndef HERD_BTF_H
#define HERD_BTF_H

#include "acquire/base/diag.h"
#include "index/memory/kernel.h"

#define HERD_BTF_BYTES_MAX (64u << 20)

enum herd_btf_kind {
	HERD_BTF_INT = 1,
	HERD_BTF_PTR,
	HERD_BTF_ARRAY,
	HERD_BTF_STRUCT,
	HERD_BTF_UNION,
	HERD_BTF_ENUM,
	HERD_BTF_FWD,
	HERD_BTF_TYPEDEF,
	HERD_BTF_VOLATILE,
	HERD_BTF_CONST,
	HERD_BTF_RESTRICT,
	HERD_BTF_FUNC,
	HERD_BTF_FUNC_PROTO,
	HERD_BTF_VAR,
	HERD_BTF_DATASEC,
	HERD_BTF_FLOAT,
	HERD_BTF_DECL_TAG,
	HERD_BTF_TYPE_TAG,
	HERD_BTF_ENUM64,
};

struct herd_btf;
/* bytes: malloced, taken over, also when it fails. */
int herd_btf_parse(void *bytes, size_t len, struct herd_btf **ret,
		   struct herd_diag *diag);
void herd_btf_destroy(struct herd_btf *b);
/* As herd_kernel_field, herd_kernel_sizeof, herd_kernel_enumerator. */
int herd_btf_field(const struct herd_btf *b, const char *type,
		   const char *member, struct herd_field *ret);
int herd_btf_sizeof(const struct herd_btf *b, const char *type, uint32_t *ret);
int herd_btf_enumerator(struct herd_btf *b, const char *name, int64_t *ret);

/* Types by number, 1…count: for tools and tests. */
size_t herd_btf_count(const struct herd_btf *b);
enum herd_btf_kind herd_btf_kind(const struct herd_btf *b, uint32_t id);
const char *herd_btf_name(const struct herd_btf *b, uint32_t id); /* "" */
/* -ENOENT: it has no size. */
int herd_btf_size(const struct herd_btf *b, uint32_t id, uint32_t *ret);
/* The i-th member of a struct or union, "" when it is anonymous; false: none. */
bool herd_btf_member(const struct herd_btf *b, uint32_t id, uint32_t i,
		     const char **ret_name, struct herd_field *ret);

#endif
