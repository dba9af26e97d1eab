/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Enumerators by name, and types one by one.
 */
#include "index/memory/btf_impl.h"

#include <errno.h>
#include <stdlib.h>

#define ENUMERATORS_MAX (1u << 20)

static bool is_enum(uint32_t kind)
{
	return kind == HERD_BTF_ENUM || kind == HERD_BTF_ENUM64;
}

static void value_at(const struct herd_btf_type *t, uint32_t i,
		     struct herd_btf_enumerator *ret)
{
	const uint8_t *p =
		t->extra + (size_t)i * (t->kind == HERD_BTF_ENUM ? 8 : 12);
	uint32_t low = herd_btf_get32(p + 4);

	ret->name = herd_btf_get32(p);
	if (t->kind == HERD_BTF_ENUM64)
		ret->value =
			(int64_t)((uint64_t)herd_btf_get32(p + 8) << 32 | low);
	else /* those that do not say mean signed ones */
		ret->value = (int32_t)low;
}

static int make(struct herd_btf *b)
{
	struct herd_btf_type t;
	uint32_t n = 0, heads = 1024;

	for (uint32_t id = 1; id <= b->n; id++)
		if (herd_btf_type(b, id, &t) && is_enum(t.kind))
			n += t.vlen;
	if (n > ENUMERATORS_MAX) {
		b->too_many = true;
		return -ENOENT;
	}
	while (heads < n)
		heads *= 2;
	b->enumerators = calloc((size_t)n + 1, sizeof(*b->enumerators));
	b->enum_heads = calloc(heads, 4);
	if (!b->enumerators || !b->enum_heads) {
		free(b->enumerators);
		free(b->enum_heads);
		b->enumerators = NULL;
		b->enum_heads = NULL;
		return -ENOMEM;
	}
	b->enum_mask = heads - 1;
	for (uint32_t id = 1; id <= b->n; id++) {
		if (!herd_btf_type(b, id, &t) || !is_enum(t.kind))
			continue;
		for (uint32_t i = 0; i < t.vlen; i++)
			value_at(&t, i, &b->enumerators[b->n_enumerators++]);
	}
	/* backwards, so that the first of a name is met first */
	for (uint32_t i = b->n_enumerators; i-- > 0;) {
		const char *name = herd_btf_string(b, b->enumerators[i].name);
		uint32_t *head =
			&b->enum_heads[herd_btf_hash(name) & b->enum_mask];

		b->enumerators[i].next = *head;
		*head = i + 1;
	}
	return 0;
}

int herd_btf_enumerator(struct herd_btf *b, const char *name, int64_t *ret)
{
	unsigned tries = 0;

	if (!b->enumerators && !b->too_many) {
		int err = make(b);

		if (err)
			return err;
	}
	if (!b->enumerators)
		return -ENOENT;
	for (uint32_t i = b->enum_heads[herd_btf_hash(name) & b->enum_mask]; i;
	     i = b->enumerators[i - 1].next) {
		const struct herd_btf_enumerator *e = &b->enumerators[i - 1];

		if (tries++ == HERD_BTF_TRIES_MAX)
			break;
		if (!strcmp(herd_btf_string(b, e->name), name)) {
			*ret = e->value;
			return 0;
		}
	}
	return -ENOENT;
}

/* ---- one by one ---- */

size_t herd_btf_count(const struct herd_btf *b)
{
	return b->n;
}

enum herd_btf_kind herd_btf_kind(const struct herd_btf *b, uint32_t id)
{
	struct herd_btf_type t;

	return herd_btf_type(b, id, &t) ? (enum herd_btf_kind)t.kind : 0;
}

const char *herd_btf_name(const struct herd_btf *b, uint32_t id)
{
	struct herd_btf_type t;

	return herd_btf_type(b, id, &t) ? t.name : "";
}

bool herd_btf_member(const struct herd_btf *b, uint32_t id, uint32_t i,
		     const char **ret_name, struct herd_field *ret)
{
	struct herd_btf_type t;
	struct herd_btf_found f;
	uint32_t name;

	if (!herd_btf_type(b, id, &t) || i >= t.vlen ||
	    (t.kind != HERD_BTF_STRUCT && t.kind != HERD_BTF_UNION))
		return false;
	herd_btf_member_at(&t, i, &name, &f);
	*ret_name = herd_btf_string(b, name);
	return herd_btf_to_field(b, f, ret);
}
