/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which names are to be counted, and what of them is compared: digests of
 * where each is, of which kind and form. loose_settle.c counts them.
 *
 * Threads: as index/loose.h says.
 */
#include "index/loose_internal.h"

#include "acquire/base/cursor.h"
#include "acquire/base/sha256.h"
#include "index/identity.h"
#include "index/idmap.h"
#include "index/template.h"

#include <string.h>

void herd_loose_deinit(struct herd_loose *l)
{
	free(l->v);
	free(l->index);
	free(l->missing);
	*l = (struct herd_loose){ 0 };
}

/* The first 8 bytes of SHA-256: names are chosen by others. */
static uint64_t digest(const void *bytes, size_t len)
{
	uint8_t sum[HERD_SHA256_LEN];
	uint64_t v;

	herd_sha256(bytes, len, sum);
	memcpy(&v, sum, sizeof(v));
	return v;
}

static uint64_t kind_of(const struct herd_variant *v, bool sort)
{
	struct {
		uint32_t mode, uid, gid, sort;
		uint8_t xattrs[32];
	} kind = { v->mode, v->uid, v->gid, sort ? v->sort : 0, { 0 } };

	memcpy(kind.xattrs, v->xattrs, sizeof(kind.xattrs));
	return digest(&kind, sizeof(kind));
}

int herd_loose_reserve(struct herd_loose *l, size_t n)
{
	size_t cap = l->cap ? l->cap : 64;

	if (l->n + n >= HERD_LOOSE_NONE)
		return -EOVERFLOW;
	while (cap < l->n + n)
		cap *= 2;
	if (cap == l->cap)
		return 0;
	struct herd_loose_name *v = reallocarray(l->v, cap, sizeof(*v));

	if (!v)
		return -ENOMEM;
	l->v = v;
	l->cap = cap;
	return 0;
}

int herd_loose_add(struct herd_loose *l, struct herd_txn *t, uint32_t path,
		   uint32_t holder, const struct herd_variant *variant)
{
	uint32_t parent;
	const char *name;
	size_t len;
	int err = herd_path_get(t, path, &parent, &name, &len);

	if (!err)
		err = herd_loose_reserve(l, 1);
	if (err)
		return err;
	l->v[l->n++] = (struct herd_loose_name){
		.path = path, .parent = parent, .holder = holder,
		.kind = kind_of(variant, true),
		.plain = kind_of(variant, false),
		.nothing = variant->sort == HERD_SORT_NOTHING };
	return 0;
}

/* ---- the forms of names ---- */

struct forms {
	struct herd_txn *t;
	bool as_they_are;
	struct herd_idmap identities;	/* holder → struct herd_identity * */
	struct herd_buf text;
};

static void forms_deinit(struct forms *f)
{
	CLEANUP_FREE uint64_t *ids = NULL;
	size_t n = 0;

	if (!herd_idmap_keys(&f->identities, &ids, &n))
		for (size_t i = 0; i < n; i++)
			herd_identity_destroy((struct herd_identity *)(uintptr_t)
				*herd_idmap_get(&f->identities, ids[i]));
	herd_idmap_deinit(&f->identities);
	herd_buf_deinit(&f->text);
}

/* NULL where nothing is known of it. */
static int identity_of(struct forms *f, uint32_t holder,
		       struct herd_identity **ret)
{
	uint64_t *known = herd_idmap_get(&f->identities, holder);
	struct herd_identity *identity = NULL;
	const void *bytes;
	size_t len;

	if (known) {
		*ret = (struct herd_identity *)(uintptr_t)*known;
		return 0;
	}
	int err = herd_tokens_get(f->t, holder, &bytes, &len);

	if (!err)
		err = herd_identity_decode(bytes, len, &identity);
	if (err && err != -ENOENT)
		return err;
	err = herd_idmap_put(&f->identities, holder, (uintptr_t)identity);
	if (err)
		herd_identity_destroy(identity);
	else
		*ret = identity;
	return err;
}

/* A name with what is the holder's own, or random, taken out. */
static int form_of(struct forms *f, struct herd_loose_name *name)
{
	struct herd_identity *identity = NULL;
	const char *text;
	uint32_t parent;
	size_t len;
	int err = herd_path_get(f->t, name->path, &parent, &text, &len);

	if (!err && f->as_they_are) {
		name->form = digest(text, len);
		return 0;
	}
	if (!err)
		err = identity_of(f, name->holder, &identity);
	if (err)
		return err;
	f->text.len = 0;
	unsigned bits = herd_template_name(identity, text, len, &f->text);

	name->templated = bits != 0;
	name->own = bits & HERD_TEMPLATE_TOKEN;
	if (f->text.failed)
		return -ENOMEM;
	name->form = digest(f->text.data, f->text.len);
	return 0;
}

/* One of fifty numbers of eight hex digits has no letter in it. */
static int form_as_hex(struct forms *f, struct herd_loose_name *name)
{
	struct herd_identity *identity = NULL;
	CLEANUP_BUF struct herd_buf copy = HERD_BUF_INIT;
	const char *text;
	uint32_t parent;
	size_t len;
	int err = herd_path_get(f->t, name->path, &parent, &text, &len);

	if (err)
		return err;
	herd_buf_put(&copy, text, len);
	if (copy.failed)
		return -ENOMEM;
	if (!herd_template_as_hex((char *)copy.data, len))
		return 0;
	err = identity_of(f, name->holder, &identity);
	if (err)
		return err;
	f->text.len = 0;
	herd_template_name(identity, (char *)copy.data, len, &f->text);
	name->as_hex = digest(f->text.data, f->text.len);
	return herd_buf_error(&f->text);
}

int herd_loose_forms(struct herd_loose *l, struct herd_txn *t)
{
	CLEANUP(forms_deinit) struct forms f = {
		.t = t, .as_they_are = l->no_forms };
	int err = 0;

	for (size_t i = 0; i < l->n && !err; i++) {
		err = form_of(&f, &l->v[i]);
		if (!err && l->v[i].templated)
			err = form_as_hex(&f, &l->v[i]);
	}
	return err;
}

/* ---- as bytes ---- */

enum { NAME_TEMPLATED = 1, NAME_OWN = 2, NAME_NOTHING = 4, NAME_KNOWN = 7 };

void herd_loose_encode(const struct herd_loose *l, size_t i,
		       struct herd_buf *out)
{
	const struct herd_loose_name *name = &l->v[i];

	herd_buf_be32(out, name->path);
	herd_buf_be32(out, name->parent);
	herd_buf_u8(out, (uint8_t)((name->templated ? NAME_TEMPLATED : 0) |
				   (name->own ? NAME_OWN : 0) |
				   (name->nothing ? NAME_NOTHING : 0)));
	herd_buf_be64(out, name->kind);
	herd_buf_be64(out, name->plain);
	herd_buf_be64(out, name->form);
	herd_buf_be64(out, name->as_hex);
}

uint32_t herd_loose_holder(const struct herd_loose *l, size_t i)
{
	return l->v[i].holder;
}

int herd_loose_decode(struct herd_loose *l, uint32_t holder, const void *bytes,
		      size_t len)
{
	struct herd_cursor c = herd_cursor(bytes, len);
	uint32_t last = 0;
	int err = len % HERD_LOOSE_NAME ?
			  -EBADMSG :
			  herd_loose_reserve(l, len / HERD_LOOSE_NAME);

	if (err)
		return err;
	while (herd_cur_left(&c)) {
		struct herd_loose_name name = { .holder = holder };

		name.path = herd_cur_be32(&c);
		name.parent = herd_cur_be32(&c);
		unsigned flags = herd_cur_u8(&c);

		name.templated = flags & NAME_TEMPLATED;
		name.own = flags & NAME_OWN;
		name.nothing = flags & NAME_NOTHING;
		name.kind = herd_cur_be64(&c);
		name.plain = herd_cur_be64(&c);
		name.form = herd_cur_be64(&c);
		name.as_hex = herd_cur_be64(&c);
		/* a folder comes before what is in it: no way leads in a ring */
		if (c.bad || name.path <= last || name.parent >= name.path ||
		    (flags & ~(unsigned)NAME_KNOWN))
			return -EBADMSG;
		last = name.path;
		l->v[l->n++] = name;
	}
	return 0;
}
