/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Names stay packed. One pass over them gives where each begins and a hash of
 * what it stands for: the hash is a polynomial, so that of a name follows from
 * those of its tokens and nothing is unpacked for it. A name that is looked
 * for is then unpacked where its hash is found, and compared.
 */
#include "index/memory/kallsyms.h"

#include "acquire/base/cleanup.h"

#include <endian.h>
#include <string.h>

#define NAMES_MAX (64u << 20)
#define TABLE_MAX (64u << 10)
#define TOKENS 256u
#define HASH_BASE 0x9e3779b97f4a7c15ull

enum addressing { FROM_ITSELF, ABSOLUTE_PERCPU, FROM_BASE };

struct token {
	uint64_t hash, power; /* power: HASH_BASE ^ len */
	uint64_t rest;	      /* hash without the first byte */
	uint32_t at;	      /* in the table */
	uint32_t len;
};

struct herd_kallsyms {
	struct herd_kallsyms_place place;
	uint64_t base;
	enum addressing addressing;
	uint32_t n;
	uint8_t *names;
	size_t names_len;
	char *table;
	struct token tokens[TOKENS];
	uint32_t *offsets; /* n, as in the image */
	uint32_t *starts;  /* n, of a name's first token in names */
	/* names by hash: chains, so that no choice of names makes it slow */
	uint32_t *hashes; /* n, the upper half */
	uint32_t *heads;  /* index + 1, or 0; by the lower half */
	uint32_t *next;	  /* n, as heads */
	uint32_t mask;
};

void herd_kallsyms_destroy(struct herd_kallsyms *k)
{
	int saved = errno;

	if (k) {
		free(k->names);
		free(k->table);
		free(k->offsets);
		free(k->starts);
		free(k->hashes);
		free(k->heads);
		free(k->next);
	}
	free(k);
	errno = saved;
}

static void herd_kallsyms_cleanup(struct herd_kallsyms **k)
{
	herd_kallsyms_destroy(*k);
}

static uint64_t mixed(uint64_t h)
{
	h ^= h >> 32;
	h *= 0xd6e8feb86659fd93ull;
	return h ^ h >> 32;
}

static uint64_t hash_on(uint64_t h, const char *p, size_t len)
{
	for (size_t i = 0; i < len; i++)
		h = h * HASH_BASE + (uint8_t)p[i];
	return h;
}

/* ---- loading ---- */

static int bad(struct herd_diag *diag, const char *what)
{
	return herd_diag_set(diag, -EBADMSG, "kallsyms", HERD_NO_OFFSET,
			     "the kernel's table of symbols is damaged (%s)",
			     what);
}

static int take_tokens(struct herd_kallsyms *k, const uint16_t index[TOKENS],
		       size_t len, struct herd_diag *diag)
{
	for (unsigned i = 0; i < TOKENS; i++) {
		struct token *t = &k->tokens[i];

		t->at = le16toh(index[i]);
		if (t->at >= len)
			return bad(diag, "a token is outside of its table");
		t->len = (uint32_t)strnlen(k->table + t->at, len - t->at);
		if (t->len >= HERD_KSYM_NAME_MAX)
			return bad(diag, "a token is too long");
		t->hash = hash_on(0, k->table + t->at, t->len);
		t->rest = t->len ?
				  hash_on(0, k->table + t->at + 1, t->len - 1) :
				  0;
		t->power = 1;
		for (uint32_t j = 0; j < t->len; j++)
			t->power *= HASH_BASE;
	}
	return 0;
}

/* The tokens of the name at *pos, which moves on. NULL: it ends the blob. */
static inline const uint8_t *next_name(const struct herd_kallsyms *k,
				       size_t *pos, unsigned *ret_n)
{
	size_t p = *pos;
	unsigned n;

	if (p >= k->names_len)
		return NULL;
	n = k->names[p++];
	if (n & 0x80) {
		if (p >= k->names_len)
			return NULL;
		n = (n & 0x7f) | (unsigned)k->names[p++] << 7;
	}
	if (n > k->names_len - p)
		return NULL;
	*pos = p + n;
	*ret_n = n;
	return k->names + p;
}

static int take_names(struct herd_kallsyms *k, struct herd_diag *diag)
{
	size_t pos = 0;

	for (uint32_t i = 0; i < k->n; i++) {
		unsigned n;
		uint64_t h;

		k->starts[i] = (uint32_t)pos;
		const uint8_t *p = next_name(k, &pos, &n);

		if (!p || !n)
			return bad(diag, "names end too early");
		h = k->tokens[p[0]].rest;
		for (unsigned j = 1; j < n; j++)
			h = h * k->tokens[p[j]].power + k->tokens[p[j]].hash;
		h = mixed(h);
		k->hashes[i] = (uint32_t)(h >> 32);
		k->next[i] = (uint32_t)h & k->mask; /* its head, for now */
	}
	k->names_len = pos;
	/* backwards, so that the first of a name is met first */
	for (uint32_t i = k->n; i-- > 0;) {
		uint32_t *head = &k->heads[k->next[i]];

		k->next[i] = *head;
		*head = i + 1;
	}
	return 0;
}

/* ---- names and addresses ---- */

size_t herd_kallsyms_count(const struct herd_kallsyms *k)
{
	return k->n;
}

void herd_kallsyms_name(const struct herd_kallsyms *k, size_t i, char *name,
			char *ret_type)
{
	size_t pos = k->starts[i], len = 0;
	unsigned n = 0;
	const uint8_t *p = next_name(k, &pos, &n);
	char type = '?';
	bool first = true;

	for (unsigned j = 0; p && j < n; j++) {
		const struct token *t = &k->tokens[p[j]];
		uint32_t from = 0;

		if (first && t->len) {
			type = k->table[t->at];
			from = 1;
			first = false;
		}
		if (t->len - from >= HERD_KSYM_NAME_MAX - len)
			break;
		memcpy(name + len, k->table + t->at + from, t->len - from);
		len += t->len - from;
	}
	name[len] = '\0';
	if (ret_type)
		*ret_type = type;
}

static uint64_t address(const struct herd_kallsyms *k, size_t i,
			enum addressing how)
{
	uint32_t u = le32toh(k->offsets[i]);
	int32_t s = (int32_t)u;

	switch (how) {
	case FROM_ITSELF:
		return k->place.offsets + 4 * i + (uint64_t)(int64_t)s;
	case ABSOLUTE_PERCPU:
		return s >= 0 ? u : k->base - 1 - (uint64_t)(int64_t)s;
	default:
		return k->base + u;
	}
}

uint64_t herd_kallsyms_address(const struct herd_kallsyms *k, size_t i)
{
	return address(k, i, k->addressing);
}

/* Index of a name; n: none. */
static uint32_t find(const struct herd_kallsyms *k, const char *name)
{
	uint64_t h = mixed(hash_on(0, name, strlen(name)));
	uint32_t upper = (uint32_t)(h >> 32);
	char text[HERD_KSYM_NAME_MAX];

	for (uint32_t i = k->heads[(uint32_t)h & k->mask]; i;
	     i = k->next[i - 1]) {
		if (k->hashes[i - 1] != upper)
			continue;
		herd_kallsyms_name(k, i - 1, text, NULL);
		if (!strcmp(text, name))
			return i - 1;
	}
	return k->n;
}

int herd_kallsyms_find(const struct herd_kallsyms *k, const char *name,
		       uint64_t *ret)
{
	uint32_t i = find(k, name);

	if (i == k->n)
		return -ENOENT;
	*ret = herd_kallsyms_address(k, i);
	return 0;
}

size_t herd_kallsyms_at(const struct herd_kallsyms *k, uint64_t va)
{
	size_t low = 0, high = k->n;

	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (herd_kallsyms_address(k, mid) <= va)
			low = mid + 1;
		else
			high = mid;
	}
	if (!low)
		return k->n;
	uint64_t at = herd_kallsyms_address(k, --low);

	while (low && herd_kallsyms_address(k, low - 1) == at)
		low--;
	return low;
}

/* ---- loading, all of it ---- */

static int choose_addressing(struct herd_kallsyms *k,
			     const struct herd_kallsyms_known *known,
			     struct herd_diag *diag)
{
	uint32_t i = known && known->name ? find(k, known->name) : k->n;
	size_t negative = 0;

	for (int how = FROM_ITSELF; i < k->n && how <= FROM_BASE; how++) {
		if ((how == FROM_ITSELF) != !k->place.relative_base)
			continue;
		if (address(k, i, (enum addressing)how) == known->va) {
			k->addressing = (enum addressing)how;
			return 0;
		}
	}
	if (i < k->n)
		return bad(diag, "addresses do not fit");
	for (uint32_t j = 0; j < k->n; j++)
		negative += (int32_t)le32toh(k->offsets[j]) < 0;
	k->addressing = !k->place.relative_base ? FROM_ITSELF :
			negative > k->n / 2	? ABSOLUTE_PERCPU :
						  FROM_BASE;
	return 0;
}

static int allocate(struct herd_kallsyms *k, size_t table_len)
{
	uint32_t heads = 1024;

	while (heads < k->n)
		heads *= 2;
	k->mask = heads - 1;
	k->names = malloc(k->names_len);
	k->table = calloc(1, table_len + 1);
	k->offsets = malloc((size_t)k->n * 4);
	k->starts = malloc((size_t)k->n * 4);
	k->hashes = malloc((size_t)k->n * 4);
	k->heads = calloc(heads, 4);
	k->next = malloc((size_t)k->n * 4);
	return k->names && k->table && k->offsets && k->starts && k->hashes &&
			       k->heads && k->next ?
		       0 :
		       -ENOMEM;
}

int herd_kallsyms_load(herd_kernel_read_fn *read, void *arg,
		       const struct herd_kallsyms_place *at,
		       const struct herd_kallsyms_known *known,
		       struct herd_kallsyms **ret, struct herd_diag *diag)
{
	struct herd_kallsyms *k CLEANUP(herd_kallsyms_cleanup) =
		calloc(1, sizeof(*k));
	/* markers lie between the names and the tokens */
	uint64_t names_len = at->token_table - at->names;
	uint64_t table_len = at->token_index - at->token_table;
	uint16_t index[TOKENS];
	int err;

	if (!k)
		return -ENOMEM;
	k->place = *at;
	if (at->token_table <= at->names || names_len > NAMES_MAX ||
	    at->token_index <= at->token_table || table_len > TABLE_MAX)
		return bad(diag, "its parts lie apart");
	err = read(arg, at->num_syms, &k->n, 4);
	k->n = le32toh(k->n);
	if (!err && at->relative_base)
		err = read(arg, at->relative_base, &k->base, 8);
	k->base = le64toh(k->base);
	if (!err)
		err = read(arg, at->token_index, index, sizeof(index));
	if (!err && (!k->n || k->n > HERD_KALLSYMS_MAX || k->n > names_len / 2))
		return bad(diag, "its number of symbols cannot be");
	k->names_len = (size_t)names_len;
	if (!err)
		err = allocate(k, (size_t)table_len);
	if (!err)
		err = read(arg, at->names, k->names, k->names_len);
	if (!err)
		err = read(arg, at->token_table, k->table, (size_t)table_len);
	if (!err)
		err = read(arg, at->offsets, k->offsets, (size_t)k->n * 4);
	if (err == -ENOMEM)
		return err;
	if (err)
		return herd_diag_set(diag, -ENODATA, "kallsyms", HERD_NO_OFFSET,
				     "a part of the kernel's table of symbols "
				     "is not in the image");
	err = take_tokens(k, index, (size_t)table_len, diag);
	if (!err)
		err = take_names(k, diag);
	if (!err)
		err = choose_addressing(k, known, diag);
	if (!err)
		*ret = TAKE_PTR(k);
	return err;
}
