/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The blob is kept as it is, with an array of where each type begins in it and
 * a hash table of the named ones that a reader asks for.
 */
#include "index/memory/btf_impl.h"

#include "acquire/base/cleanup.h"

#define MAGIC 0xeb9fu
#define HEADER 24u
#define TYPES_MAX (1u << 20)
#define WORK_MAX (1u << 18) /* members looked at for one question */

/* Bytes after the 12 of every type; SIZE_MAX: no such kind. */
static inline size_t extra_of(uint32_t kind, uint32_t vlen)
{
	switch (kind) {
	case HERD_BTF_INT:
	case HERD_BTF_VAR:
	case HERD_BTF_DECL_TAG:
		return 4;
	case HERD_BTF_ARRAY:
		return 12;
	case HERD_BTF_STRUCT:
	case HERD_BTF_UNION:
	case HERD_BTF_DATASEC:
	case HERD_BTF_ENUM64:
		return (size_t)vlen * 12;
	case HERD_BTF_ENUM:
	case HERD_BTF_FUNC_PROTO:
		return (size_t)vlen * 8;
	case HERD_BTF_PTR:
	case HERD_BTF_FWD:
	case HERD_BTF_TYPEDEF:
	case HERD_BTF_VOLATILE:
	case HERD_BTF_CONST:
	case HERD_BTF_RESTRICT:
	case HERD_BTF_FUNC:
	case HERD_BTF_FLOAT:
	case HERD_BTF_TYPE_TAG:
		return 0;
	default:
		return SIZE_MAX;
	}
}

void herd_btf_destroy(struct herd_btf *b)
{
	int saved = errno;

	if (b) {
		free(b->bytes);
		free(b->at);
		free(b->heads);
		free(b->next);
		free(b->enum_heads);
		free(b->enumerators);
	}
	free(b);
	errno = saved;
}

static void cleanup(struct herd_btf **b)
{
	herd_btf_destroy(*b);
}

uint32_t herd_btf_hash(const char *p)
{
	uint32_t h = 2166136261u;

	for (unsigned i = 0; i < HERD_BTF_NAME_MAX && p[i]; i++)
		h = (h ^ (uint8_t)p[i]) * 16777619u;
	return h ^ h >> 15;
}

/* ---- parsing ---- */

static int bad(struct herd_diag *diag, uint64_t at, const char *what)
{
	return herd_diag_set(diag, -EBADMSG, "BTF", at,
			     "the kernel's types are damaged (%s)", what);
}

static bool is_named(uint32_t kind)
{
	return kind == HERD_BTF_STRUCT || kind == HERD_BTF_UNION ||
	       kind == HERD_BTF_TYPEDEF || kind == HERD_BTF_ENUM ||
	       kind == HERD_BTF_ENUM64 || kind == HERD_BTF_INT;
}

static int grow(struct herd_btf *b)
{
	uint32_t cap = b->cap * 2;
	uint32_t *at = realloc(b->at, (size_t)cap * 4);

	if (!at)
		return -ENOMEM;
	b->at = at;
	b->cap = cap;
	return 0;
}

static int find_types(struct herd_btf *b, struct herd_diag *diag)
{
	size_t pos = 0;

	while (pos < b->types_len) {
		if (b->types_len - pos < 12)
			return bad(diag, pos, "a type is cut short");
		uint32_t info = herd_btf_get32(b->types + pos + 4);
		size_t extra = extra_of(herd_btf_kind_of(info), info & 0xffff);

		if (extra == SIZE_MAX)
			return herd_diag_set(diag, -EOPNOTSUPP, "BTF", pos,
					     "a kind of type, %u, that is not "
					     "known here",
					     herd_btf_kind_of(info));
		if (extra > b->types_len - pos - 12)
			return bad(diag, pos, "a type is cut short");
		if (b->n == TYPES_MAX)
			return bad(diag, pos, "too many types");
		if (b->n + 1 == b->cap && grow(b))
			return -ENOMEM;
		b->at[++b->n] = (uint32_t)pos;
		pos += 12 + extra;
	}
	return 0;
}

static int index_names(struct herd_btf *b)
{
	uint32_t heads = 1024;

	while (heads < b->n / 4) /* a fifth of them are looked for */
		heads *= 2;
	b->heads = calloc(heads, 4);
	b->next = malloc(((size_t)b->n + 1) * 4);
	if (!b->heads || !b->next)
		return -ENOMEM;
	b->mask = heads - 1;
	/* backwards, so that the first of a name is met first */
	for (uint32_t id = b->n; id; id--) {
		const uint8_t *p = b->types + b->at[id];
		const char *name;
		uint32_t *head;

		if (!is_named(herd_btf_kind_of(herd_btf_get32(p + 4))))
			continue;
		name = herd_btf_string(b, herd_btf_get32(p));
		if (!*name)
			continue;
		head = &b->heads[herd_btf_hash(name) & b->mask];
		b->next[id] = *head;
		*head = id;
	}
	return 0;
}

int herd_btf_parse(void *bytes, size_t len, struct herd_btf **ret,
		   struct herd_diag *diag)
{
	CLEANUP_FREE uint8_t *p = bytes;
	struct herd_btf *b CLEANUP(cleanup) = calloc(1, sizeof(*b));

	if (!b)
		return -ENOMEM;
	if (len < HEADER || len > HERD_BTF_BYTES_MAX)
		return bad(diag, 0, "its size cannot be");
	if ((herd_btf_get32(p) & 0xffff) != MAGIC || p[2] != 1)
		return bad(diag, 0, "no header");

	uint64_t header = herd_btf_get32(p + 4),
		 at = header + herd_btf_get32(p + 8);
	uint64_t types = herd_btf_get32(p + 12),
		 strings_at = header + herd_btf_get32(p + 16);
	uint64_t strings = herd_btf_get32(p + 20);

	if (header < HEADER || at > len || types > len - at ||
	    strings_at > len || strings > len - strings_at || !strings ||
	    p[strings_at + strings - 1])
		return bad(diag, 4, "its parts do not fit");
	b->bytes = TAKE_PTR(p);
	b->types = b->bytes + at;
	b->types_len = (size_t)types;
	b->strings = (const char *)b->bytes + strings_at;
	b->strings_len = (uint32_t)strings;
	b->cap = (uint32_t)(types / 20) + 16;
	b->at = malloc((size_t)b->cap * 4);
	if (!b->at)
		return -ENOMEM;
	int err = find_types(b, diag);

	if (!err)
		err = index_names(b);
	if (!err)
		*ret = TAKE_PTR(b);
	return err;
}

/* ---- sizes ---- */

bool herd_btf_plain(const struct herd_btf *b, uint32_t id, uint32_t *ret_id,
		    struct herd_btf_type *ret)
{
	for (int i = 0; i < HERD_BTF_CHAIN_MAX && herd_btf_type(b, id, ret);
	     i++) {
		switch (ret->kind) {
		case HERD_BTF_TYPEDEF:
		case HERD_BTF_VOLATILE:
		case HERD_BTF_CONST:
		case HERD_BTF_RESTRICT:
		case HERD_BTF_TYPE_TAG:
			id = ret->size;
			break;
		default:
			*ret_id = id;
			return true;
		}
	}
	return false;
}

int herd_btf_size(const struct herd_btf *b, uint32_t id, uint32_t *ret)
{
	uint64_t times = 1;
	struct herd_btf_type t;

	for (int i = 0;
	     i < HERD_BTF_CHAIN_MAX && herd_btf_plain(b, id, &id, &t); i++) {
		uint64_t size;

		switch (t.kind) {
		case HERD_BTF_ARRAY:
			times *= herd_btf_get32(t.extra + 8);
			if (times > UINT32_MAX)
				return -EOVERFLOW;
			id = herd_btf_get32(t.extra);
			continue;
		case HERD_BTF_PTR:
			size = 8;
			break;
		case HERD_BTF_INT:
		case HERD_BTF_STRUCT:
		case HERD_BTF_UNION:
		case HERD_BTF_ENUM:
		case HERD_BTF_ENUM64:
		case HERD_BTF_FLOAT:
			size = t.size;
			break;
		default:
			return -ENOENT;
		}
		if (size * times > UINT32_MAX)
			return -EOVERFLOW;
		*ret = (uint32_t)(size * times);
		return 0;
	}
	return -ENOENT;
}

static bool is_struct(uint32_t kind)
{
	return kind == HERD_BTF_STRUCT || kind == HERD_BTF_UNION;
}

/* The types of a name, one after the other. */
struct by_name {
	const char *name;
	uint32_t at; /* the one given last; 0 at first */
	unsigned tries;
};

/* 0: no more. */
static uint32_t next_of(const struct herd_btf *b, struct by_name *n)
{
	uint32_t id = n->at ? b->next[n->at] :
			      b->heads[herd_btf_hash(n->name) & b->mask];

	for (; id; id = b->next[id]) {
		if (n->tries++ == HERD_BTF_TRIES_MAX)
			return 0;
		if (!strcmp(herd_btf_string(
				    b, herd_btf_get32(b->types + b->at[id])),
			    n->name))
			break;
	}
	return n->at = id;
}

int herd_btf_sizeof(const struct herd_btf *b, const char *type, uint32_t *ret)
{
	struct by_name structs = { .name = type }, all = structs;
	struct herd_btf_type t;
	uint32_t id;

	/* structs are what is meant where a typedef is named alike */
	while ((id = next_of(b, &structs)))
		if (herd_btf_type(b, id, &t) && is_struct(t.kind) &&
		    !herd_btf_size(b, id, ret))
			return 0;
	while ((id = next_of(b, &all)))
		if (!herd_btf_size(b, id, ret))
			return 0;
	return -ENOENT;
}

/* ---- members ---- */

struct lookup {
	const struct herd_btf *b;
	unsigned work; /* still allowed */
};

void herd_btf_member_at(const struct herd_btf_type *t, uint32_t i,
			uint32_t *name, struct herd_btf_found *ret)
{
	const uint8_t *p = t->extra + (size_t)i * 12;
	uint32_t off = herd_btf_get32(p + 8);

	*name = herd_btf_get32(p);
	ret->type = herd_btf_get32(p + 4);
	ret->bit = t->kind_flag ? off & 0xffffff : off;
	ret->bits = t->kind_flag ? off >> 24 : 0;
}

/* name: len bytes. */
static bool find_member(struct lookup *l, uint32_t id, const char *name,
			size_t len, int depth, struct herd_btf_found *ret)
{
	struct herd_btf_type t;

	if (depth == HERD_BTF_CHAIN_MAX || !herd_btf_plain(l->b, id, &id, &t) ||
	    !is_struct(t.kind))
		return false;
	for (uint32_t i = 0; i < t.vlen; i++) {
		struct herd_btf_found m, in;
		uint32_t name_at;

		if (!l->work)
			return false;
		l->work--;
		herd_btf_member_at(&t, i, &name_at, &m);
		const char *is = herd_btf_string(l->b, name_at);

		if (*is) {
			if (!strncmp(is, name, len) && !is[len]) {
				*ret = m;
				return true;
			}
		} else if (!m.bits &&
			   find_member(l, m.type, name, len, depth + 1, &in)) {
			in.bit += m.bit;
			*ret = in;
			return true;
		}
	}
	return false;
}

/* The bits of an integer that says so itself, as before kind_flag. */
static void old_bits(const struct herd_btf *b, struct herd_btf_found *f)
{
	uint32_t id;
	struct herd_btf_type t;

	if (f->bits || !herd_btf_plain(b, f->type, &id, &t) ||
	    t.kind != HERD_BTF_INT)
		return;
	uint32_t data = herd_btf_get32(t.extra), bits = data & 0xff;

	if (bits && bits < t.size * 8) {
		f->bits = bits;
		f->bit += data >> 16 & 0xff;
	}
}

bool herd_btf_to_field(const struct herd_btf *b, struct herd_btf_found f,
		       struct herd_field *ret)
{
	uint32_t size;

	old_bits(b, &f);
	if (herd_btf_size(b, f.type, &size)) {
		if (f.bits)
			return false;
		size = 0; /* an array of unknown length, say */
	}
	uint64_t at = f.bit / 8;
	uint32_t bit = f.bit % 8;

	if (f.bits) {
		if (!size || size > 8 || f.bits > size * 8)
			return false;
		uint64_t unit = f.bit / (size * 8) * size;
		uint64_t in = f.bit - unit * 8;

		if (in + f.bits <= size * 8) {
			at = unit;
			bit = (uint32_t)in;
		} else { /* packed across units */
			size = (bit + f.bits + 7) / 8;
			if (size > 8)
				return false;
		}
	}
	if (at >= HERD_FIELD_MISSING)
		return false;
	*ret = (struct herd_field){ (uint32_t)at, size,
				    f.bits ? (uint8_t)bit : 0,
				    (uint8_t)f.bits };
	return true;
}

static bool find_path(struct lookup *l, uint32_t id, const char *member,
		      struct herd_field *ret)
{
	struct herd_btf_found all = { .type = id };

	for (;;) {
		size_t len = strcspn(member, ".");
		struct herd_btf_found f;
		struct herd_btf_type t;

		if (herd_btf_plain(l->b, all.type, &id, &t) &&
		    t.kind == HERD_BTF_ARRAY)
			id = herd_btf_get32(t.extra); /* its first element */
		if (all.bits || !find_member(l, id, member, len, 0, &f))
			return false;
		f.bit += all.bit;
		all = f;
		if (!member[len])
			return herd_btf_to_field(l->b, all, ret);
		member += len + 1;
	}
}

int herd_btf_field(const struct herd_btf *b, const char *type,
		   const char *member, struct herd_field *ret)
{
	struct lookup l = { b, WORK_MAX };
	struct by_name types = { .name = type };
	uint32_t id;

	while ((id = next_of(b, &types)))
		if (find_path(&l, id, member, ret))
			return 0;
	return -ENOENT;
}
