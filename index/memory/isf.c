/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From JSON to a BTF. Types are numbered when they are first named, for they
 * refer to each other in any order; what was named and never defined becomes a
 * forward declaration. All pointers are one type: nobody follows them here.
 */
#include "index/memory/isf_impl.h"

#include <string.h>

#define NAME_MAX_HERE 256
#define TYPES_MAX (1u << 19)
#define MEMBERS_MAX (1u << 22)
#define NESTING_MAX 16

void herd_isf_destroy(struct herd_isf *f)
{
	int saved = errno;

	if (f) {
		free(f->types);
		free(f->slots);
		free(f->symbols);
		free(f->symbol_slots);
		free(f->sorted);
		herd_buf_deinit(&f->strings);
		herd_buf_deinit(&f->extra);
		herd_btf_destroy(f->btf);
	}
	free(f);
	errno = saved;
}

static void cleanup(struct herd_isf **f)
{
	herd_isf_destroy(*f);
}

struct herd_btf *herd_isf_types(struct herd_isf *f)
{
	return f->btf;
}

uint32_t herd_isf_hash(const char *p, uint32_t h)
{
	h ^= 2166136261u;
	for (; *p; p++)
		h = (h ^ (uint8_t)*p) * 16777619u;
	return h ^ h >> 15;
}

void herd_isf_fail(struct herd_isf *f, int err)
{
	if (!f->err)
		f->err = err;
}

bool herd_isf_room(struct herd_isf *f, void **v, size_t n, size_t *cap,
		   size_t size, size_t max)
{
	size_t want = *cap ? *cap * 2 : 1024;
	void *p;

	if (n < *cap)
		return true;
	if (n >= max) {
		herd_isf_fail(f, -EOVERFLOW);
		return false;
	}
	p = realloc(*v, want * size);
	if (!p) {
		herd_isf_fail(f, -ENOMEM);
		return false;
	}
	*v = p;
	*cap = want;
	return true;
}

uint32_t herd_isf_intern(struct herd_isf *f, const char *name)
{
	size_t at = f->strings.len;

	if (!*name)
		return 0;
	herd_buf_put(&f->strings, name, strlen(name) + 1);
	return (uint32_t)at;
}

const char *herd_isf_string(const struct herd_isf *f, uint32_t at)
{
	return (const char *)f->strings.data + at;
}

/* ---- numbering ---- */

static uint32_t add_type(struct herd_isf *f, struct herd_isf_type t)
{
	if (!herd_isf_room(f, (void **)&f->types, f->n_types, &f->cap_types,
			   sizeof(*f->types), TYPES_MAX))
		return 0;
	f->types[f->n_types] = t;
	return (uint32_t)f->n_types++;
}

static bool rehash(struct herd_isf *f)
{
	uint32_t slots = f->mask ? (f->mask + 1) * 2 : 4096;
	uint32_t *v = calloc(slots, 4);

	if (!v) {
		herd_isf_fail(f, -ENOMEM);
		return false;
	}
	free(f->slots);
	f->slots = v;
	f->mask = slots - 1;
	for (uint32_t id = 1; id < f->n_types; id++) {
		const struct herd_isf_type *t = &f->types[id];
		uint32_t slot;

		if (!t->name)
			continue;
		slot = herd_isf_hash(herd_isf_string(f, t->name), t->space) &
		       f->mask;
		while (v[slot])
			slot = (slot + 1) & f->mask;
		v[slot] = id;
	}
	return true;
}

/* The number of a named type. 0: void, or an error. */
static uint32_t named(struct herd_isf *f, enum herd_isf_space space,
		      const char *name)
{
	uint32_t slot, id, probes = 0;

	if (!*name || (space == HERD_ISF_BASE && !strcmp(name, "void")))
		return 0;
	if ((!f->mask || f->n_types * 2 > f->mask) && !rehash(f))
		return 0;
	for (slot = herd_isf_hash(name, space) & f->mask; f->slots[slot];
	     slot = (slot + 1) & f->mask) {
		const struct herd_isf_type *t = &f->types[f->slots[slot]];

		if (t->space == space &&
		    !strcmp(herd_isf_string(f, t->name), name))
			return f->slots[slot];
		if (++probes == HERD_ISF_PROBES_MAX) {
			herd_isf_fail(f, -EOVERFLOW);
			return 0;
		}
	}
	id = add_type(f,
		      (struct herd_isf_type){ .name = herd_isf_intern(f, name),
					      .kind = HERD_BTF_FWD,
					      .space = space });
	if (f->strings.failed)
		herd_isf_fail(f, -ENOMEM);
	if (f->err)
		return 0;
	f->slots[slot] = id;
	return id;
}

/* ---- type descriptions ---- */

struct described {
	uint32_t id;
	uint32_t bit, bits; /* of a bit field */
};

static struct described take_type(struct herd_isf *f, struct herd_js *j,
				  int nesting);

struct description {
	char kind[16], name[NAME_MAX_HERE];
	int64_t count, position, length;
	struct described sub;
};

static void read_description(struct herd_isf *f, struct herd_js *j, int nesting,
			     struct description *d)
{
	char key[16];

	memset(d, 0, sizeof(*d));
	if (!herd_js_object(j))
		return;
	while (herd_js_key(j, key, sizeof(key))) {
		if (!strcmp(key, "kind"))
			herd_js_string(j, d->kind, sizeof(d->kind));
		else if (!strcmp(key, "name"))
			herd_js_string(j, d->name, sizeof(d->name));
		else if (!strcmp(key, "count"))
			herd_js_int(j, &d->count);
		else if (!strcmp(key, "bit_position"))
			herd_js_int(j, &d->position);
		else if (!strcmp(key, "bit_length"))
			herd_js_int(j, &d->length);
		else if (!strcmp(key, "subtype") || !strcmp(key, "type"))
			d->sub = take_type(f, j, nesting + 1);
		else
			herd_js_skip(j);
	}
}

static struct described take_type(struct herd_isf *f, struct herd_js *j,
				  int nesting)
{
	struct described r = { 0 };
	struct description d;

	if (nesting == NESTING_MAX) {
		herd_js_skip(j);
		return r;
	}
	read_description(f, j, nesting, &d);
	if (f->err)
		return r;
	if (!strcmp(d.kind, "base")) {
		r.id = named(f, HERD_ISF_BASE, d.name);
	} else if (!strcmp(d.kind, "struct") || !strcmp(d.kind, "union") ||
		   !strcmp(d.kind, "class")) {
		r.id = named(f, HERD_ISF_USER, d.name);
	} else if (!strcmp(d.kind, "enum")) {
		r.id = named(f, HERD_ISF_ENUM, d.name);
	} else if (!strcmp(d.kind, "pointer")) {
		r.id = f->pointer;
	} else if (!strcmp(d.kind, "array")) {
		if (d.count >= 0 && d.count <= UINT32_MAX)
			r.id = add_type(f, (struct herd_isf_type){
						   .kind = HERD_BTF_ARRAY,
						   .size = d.sub.id,
						   .n = (uint32_t)d.count });
	} else if (!strcmp(d.kind, "bitfield")) {
		r = d.sub;
		if (d.position >= 0 && d.position < 64 && d.length > 0 &&
		    d.length <= 64) {
			r.bit = (uint32_t)d.position;
			r.bits = (uint32_t)d.length;
		}
	}
	return r;
}

/* ---- structs ---- */

static bool take_field(struct herd_isf *f, struct herd_js *j, const char *name)
{
	struct described t = { 0 };
	bool anonymous = false;
	int64_t offset = -1;
	char key[16];

	if (!herd_js_object(j))
		return false;
	while (herd_js_key(j, key, sizeof(key))) {
		if (!strcmp(key, "offset"))
			herd_js_int(j, &offset);
		else if (!strcmp(key, "anonymous"))
			herd_js_bool(j, &anonymous);
		else if (!strcmp(key, "type"))
			t = take_type(f, j, 0);
		else
			herd_js_skip(j);
	}
	/* what 24 bits for bits cannot say is left out */
	if (f->err || offset < 0 || offset >= 1 << 21)
		return false;
	if (++f->n_members > MEMBERS_MAX) {
		herd_isf_fail(f, -EOVERFLOW);
		return false;
	}
	herd_buf_le32(&f->extra, anonymous ? 0 : herd_isf_intern(f, name));
	herd_buf_le32(&f->extra, t.id);
	herd_buf_le32(&f->extra,
		      t.bits << 24 |
			      (((uint32_t)offset * 8 + t.bit) & 0xffffff));
	return true;
}

static void take_user_type(struct herd_isf *f, struct herd_js *j,
			   const char *name)
{
	uint32_t id = named(f, HERD_ISF_USER, name), n = 0;
	size_t from = f->extra.len;
	char key[NAME_MAX_HERE], kind[16] = "";
	int64_t size = 0;

	if (!herd_js_object(j) || f->err)
		return;
	while (herd_js_key(j, key, sizeof(key))) {
		if (!strcmp(key, "size")) {
			herd_js_int(j, &size);
		} else if (!strcmp(key, "kind")) {
			herd_js_string(j, kind, sizeof(kind));
		} else if (!strcmp(key, "fields") && !n) {
			if (!herd_js_object(j))
				continue;
			while (herd_js_key(j, key, sizeof(key))) {
				if (n == UINT16_MAX)
					herd_js_skip(j);
				else
					n += take_field(f, j, key);
			}
		} else {
			herd_js_skip(j);
		}
	}
	if (f->err || !id || f->types[id].kind != HERD_BTF_FWD)
		return;
	f->types[id].kind = strcmp(kind, "union") ? HERD_BTF_STRUCT :
						    HERD_BTF_UNION;
	f->types[id].size = size > 0 && size <= UINT32_MAX ? (uint32_t)size : 0;
	f->types[id].extra = (uint32_t)from;
	f->types[id].n = n;
}

static void take_base_type(struct herd_isf *f, struct herd_js *j,
			   const char *name)
{
	uint32_t id = named(f, HERD_ISF_BASE, name);
	int64_t size = 0;
	char key[16];

	if (!herd_js_object(j))
		return;
	while (herd_js_key(j, key, sizeof(key)))
		if (!strcmp(key, "size"))
			herd_js_int(j, &size);
		else
			herd_js_skip(j);
	if (f->err || !id || size <= 0 || size > 16)
		return;
	f->types[id].kind = HERD_BTF_INT;
	f->types[id].size = (uint32_t)size;
}

static void take_enum(struct herd_isf *f, struct herd_js *j, const char *name)
{
	uint32_t id = named(f, HERD_ISF_ENUM, name), n = 0;
	size_t from = f->extra.len;
	char key[NAME_MAX_HERE];
	int64_t size = 4, v;

	if (!herd_js_object(j))
		return;
	while (herd_js_key(j, key, sizeof(key))) {
		if (!strcmp(key, "size")) {
			herd_js_int(j, &size);
		} else if (!strcmp(key, "constants") && !n) {
			if (!herd_js_object(j))
				continue;
			while (herd_js_key(j, key, sizeof(key))) {
				if (!herd_js_int(j, &v) || n == UINT16_MAX ||
				    ++f->n_members > MEMBERS_MAX)
					continue;
				herd_buf_le32(&f->extra,
					      herd_isf_intern(f, key));
				herd_buf_le32(&f->extra, (uint32_t)v);
				herd_buf_le32(&f->extra,
					      (uint32_t)((uint64_t)v >> 32));
				n++;
			}
		} else {
			herd_js_skip(j);
		}
	}
	if (f->err || !id || f->types[id].kind != HERD_BTF_FWD)
		return;
	f->types[id].kind = HERD_BTF_ENUM64;
	f->types[id].size = size > 0 && size <= 8 ? (uint32_t)size : 4;
	f->types[id].extra = (uint32_t)from;
	f->types[id].n = n;
}

/* ---- the whole ---- */

static int make_btf(struct herd_isf *f, struct herd_diag *diag)
{
	struct herd_buf types CLEANUP_BUF = HERD_BUF_INIT;
	struct herd_buf all CLEANUP_BUF = HERD_BUF_INIT;

	for (size_t id = 1; id < f->n_types; id++) {
		const struct herd_isf_type *t = &f->types[id];
		uint32_t vlen = t->kind == HERD_BTF_ARRAY ? 0 : t->n;

		herd_buf_le32(&types, t->name);
		herd_buf_le32(&types, t->kind << 24 | vlen | 1u << 31);
		herd_buf_le32(&types, t->kind == HERD_BTF_ARRAY ? 0 : t->size);
		if (t->kind == HERD_BTF_ARRAY) {
			herd_buf_le32(&types, t->size);
			herd_buf_le32(&types, 0);
			herd_buf_le32(&types, t->n);
		} else if (t->kind == HERD_BTF_INT) {
			herd_buf_le32(&types, t->size * 8);
		} else if (vlen) {
			herd_buf_put(&types, f->extra.data + t->extra,
				     (size_t)vlen * 12);
		}
	}
	herd_buf_le32(&all, 0xeb9f | 1u << 16);
	herd_buf_le32(&all, 24);
	herd_buf_le32(&all, 0);
	herd_buf_le32(&all, (uint32_t)types.len);
	herd_buf_le32(&all, (uint32_t)types.len);
	herd_buf_le32(&all, (uint32_t)f->strings.len);
	herd_buf_put(&all, types.data, types.len);
	herd_buf_put(&all, f->strings.data, f->strings.len);
	if (types.failed || all.failed || f->strings.failed || f->extra.failed)
		return -ENOMEM;
	return herd_btf_parse(TAKE_PTR(all.data), all.len, &f->btf, diag);
}

static void take_each(struct herd_isf *f, struct herd_js *j,
		      void (*take)(struct herd_isf *f, struct herd_js *j,
				   const char *name))
{
	char name[NAME_MAX_HERE];

	if (!herd_js_object(j))
		return;
	while (herd_js_key(j, name, sizeof(name))) {
		if (f->err)
			herd_js_skip(j);
		else
			take(f, j, name);
	}
}

static void take_document(struct herd_isf *f, struct herd_js *j)
{
	char key[32];

	if (!herd_js_object(j))
		return;
	while (herd_js_key(j, key, sizeof(key))) {
		if (!strcmp(key, "base_types"))
			take_each(f, j, take_base_type);
		else if (!strcmp(key, "user_types"))
			take_each(f, j, take_user_type);
		else if (!strcmp(key, "enums"))
			take_each(f, j, take_enum);
		else if (!strcmp(key, "symbols"))
			take_each(f, j, herd_isf_take_symbol);
		else
			herd_js_skip(j);
	}
}

int herd_isf_parse(const char *json, size_t len, struct herd_isf **ret,
		   struct herd_diag *diag)
{
	struct herd_isf *f CLEANUP(cleanup) = calloc(1, sizeof(*f));
	struct herd_js j = herd_js(json, len);
	int err;

	if (!f)
		return -ENOMEM;
	herd_buf_u8(&f->strings, 0);
	add_type(f, (struct herd_isf_type){ 0 });
	f->pointer =
		add_type(f, (struct herd_isf_type){ .kind = HERD_BTF_PTR });
	take_document(f, &j);
	if (f->err)
		return herd_diag_set(diag, f->err, "ISF", HERD_NO_OFFSET,
				     "more types or symbols than can be");
	if (f->strings.failed || f->extra.failed)
		return -ENOMEM;
	if (j.bad || f->n_types < 3)
		return herd_diag_set(diag, -EBADMSG, "ISF",
				     (uint64_t)(j.p - json),
				     "this is no symbol file of Volatility 3");
	err = herd_isf_index_symbols(f);
	if (!err)
		err = make_btf(f, diag);
	if (!err)
		*ret = TAKE_PTR(f);
	return err;
}
