/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Each name gets a key, the digest of where it is and of which kind; how many
 * members share the key is how many have the like. The names straight in
 * folders that others have too are counted first, then those in folders that
 * were found loose, a level at a time.
 *
 * Threads: as index/loose.h says.
 */
#include "index/loose.h"

#include "acquire/base/sha256.h"

#include <string.h>

/* Deeper than this below a loose folder nothing is compared any more. */
#define LEVELS_MAX 64
#define NONE SIZE_MAX

enum state { STATE_OPEN, STATE_ASKED, STATE_LOOSE, STATE_FIRM };

struct herd_loose_name {
	uint32_t path, holder, alike;
	uint8_t state;	/* enum state; before settling */
	uint64_t kind, key;
	size_t up;	/* the folder's place in the list, or NONE */
	uint32_t parent;
};

void herd_loose_deinit(struct herd_loose *l)
{
	free(l->v);
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

static uint64_t kind_of(const struct herd_variant *v)
{
	struct {
		uint32_t mode, uid, gid, zero;
		uint8_t xattrs[32];
	} kind = { v->mode, v->uid, v->gid, 0, { 0 } };

	memcpy(kind.xattrs, v->xattrs, sizeof(kind.xattrs));
	return digest(&kind, sizeof(kind));
}

static struct herd_loose_name *find(const struct herd_loose *l, uint32_t path)
{
	size_t low = 0, high = l->n;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (l->v[middle].path < path)
			low = middle + 1;
		else
			high = middle;
	}
	return low < l->n && l->v[low].path == path ? &l->v[low] : NULL;
}

int herd_loose_add(struct herd_loose *l, struct herd_txn *t, uint32_t path,
		   uint32_t holder, const struct herd_variant *variant)
{
	const struct herd_loose_name *up;
	uint32_t parent;
	const char *name;
	size_t len;
	int err = herd_path_get(t, path, &parent, &name, &len);

	if (err)
		return err;
	if (l->n == l->cap) {
		size_t cap = l->cap ? l->cap * 2 : 64;
		struct herd_loose_name *v = reallocarray(l->v, cap, sizeof(*v));

		if (!v)
			return -ENOMEM;
		l->v = v;
		l->cap = cap;
	}
	/* folders have lower ids than what is in them: it is here already */
	up = find(l, parent);
	l->v[l->n++] = (struct herd_loose_name){
		.path = path, .parent = parent, .holder = holder,
		.kind = kind_of(variant),
		.up = up ? (size_t)(up - l->v) : NONE };
	return 0;
}

/* ---- counting ---- */

struct vote {
	uint64_t key;
	uint32_t holder;
};

static int compare_votes(const void *a, const void *b)
{
	const struct vote *x = a, *y = b;

	if (x->key != y->key)
		return x->key < y->key ? -1 : 1;
	return x->holder < y->holder ? -1 : x->holder > y->holder;
}

/* The first vote at or after (key, holder). */
static size_t lower_bound(const struct vote *votes, size_t n, uint64_t key,
			  uint32_t holder)
{
	const struct vote wanted = { key, holder };
	size_t low = 0, high = n;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (compare_votes(&votes[middle], &wanted) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

/* Sorted and each once: how many holders a key has. */
static uint32_t holders(const struct vote *votes, size_t n, uint64_t key)
{
	size_t first = lower_bound(votes, n, key, 0);
	size_t last = lower_bound(votes, n, key, UINT32_MAX);

	last += last < n && votes[last].key == key;
	return (uint32_t)(last - first);
}

/* Those that were asked become loose, or what `otherwise` says. */
static int count(struct herd_loose *l, uint32_t members, bool baseline,
		 enum state otherwise, bool *ret_any)
{
	CLEANUP_FREE struct vote *votes = calloc(l->n + 1, sizeof(*votes));
	size_t asked = 0, n = 0;

	if (!votes)
		return -ENOMEM;
	for (size_t i = 0; i < l->n; i++)
		if (l->v[i].state == STATE_ASKED)
			votes[asked++] = (struct vote){ l->v[i].key,
							l->v[i].holder };
	qsort(votes, asked, sizeof(*votes), compare_votes);
	for (size_t i = 0; i < asked; i++)
		if (!n || compare_votes(&votes[n - 1], &votes[i]) != 0)
			votes[n++] = votes[i];
	for (size_t i = 0; i < l->n; i++) {
		struct herd_loose_name *name = &l->v[i];

		if (name->state != STATE_ASKED)
			continue;
		name->alike = holders(votes, n, name->key) - 1;
		name->state = (uint8_t)otherwise;
		if (!herd_names_loose(name->alike, members, baseline))
			continue;
		name->state = STATE_LOOSE;
		*ret_any = true;
	}
	return 0;
}

/* ---- keys ---- */

enum how { HOW_FOLDER, HOW_SAME_NAME, HOW_ANY_NAME };

static uint64_t key_of(enum how how, uint64_t where, uint64_t kind,
		       const char *name, size_t len)
{
	uint8_t bytes[24 + HERD_NAME_MAX];
	uint64_t head[3] = { how, where, kind };

	len = len < HERD_NAME_MAX ? len : HERD_NAME_MAX;
	memcpy(bytes, head, sizeof(head));
	if (len)
		memcpy(bytes + sizeof(head), name, len);
	return digest(bytes, sizeof(head) + len);
}

static void ask_top(struct herd_loose *l)
{
	for (size_t i = 0; i < l->n; i++) {
		struct herd_loose_name *name = &l->v[i];

		if (name->up != NONE)
			continue;
		name->key = key_of(HOW_FOLDER, name->parent, name->kind, "",
				   0);
		name->state = STATE_ASKED;
	}
}

/* What is open in folders that are loose. */
static int ask_below(struct herd_loose *l, struct herd_txn *t, enum how how)
{
	for (size_t i = 0; i < l->n; i++) {
		struct herd_loose_name *name = &l->v[i];
		const char *text = "";
		uint32_t parent;
		size_t len = 0;
		int err = 0;

		if (name->state != STATE_OPEN || name->up == NONE ||
		    l->v[name->up].state != STATE_LOOSE)
			continue;
		if (how == HOW_SAME_NAME)
			err = herd_path_get(t, name->path, &parent, &text, &len);
		if (err)
			return err;
		name->key = key_of(how, l->v[name->up].key, name->kind, text,
				   len);
		name->state = STATE_ASKED;
	}
	return 0;
}

static void keep_loose(struct herd_loose *l)
{
	size_t n = 0;

	for (size_t i = 0; i < l->n; i++)
		if (l->v[i].state == STATE_LOOSE)
			l->v[n++] = l->v[i];
	l->n = n;
	struct herd_loose_name *v = n ? reallocarray(l->v, n, sizeof(*v)) :
					NULL;

	if (v) {
		l->v = v;
		l->cap = n;
	}
}

int herd_loose_settle(struct herd_loose *l, struct herd_txn *t,
		      uint32_t members, bool baseline)
{
	bool any = false;
	int err;

	ask_top(l);
	err = count(l, members, baseline, STATE_FIRM, &any);
	for (unsigned level = 0; !err && any && level < LEVELS_MAX; level++) {
		any = false;
		err = ask_below(l, t, HOW_SAME_NAME);
		if (!err)
			err = count(l, members, baseline, STATE_OPEN, &any);
		if (!err)
			err = ask_below(l, t, HOW_ANY_NAME);
		if (!err)
			err = count(l, members, baseline, STATE_FIRM, &any);
	}
	keep_loose(l);
	return err;
}

uint32_t herd_loose_alike(const struct herd_loose *l, uint32_t path)
{
	const struct herd_loose_name *name = find(l, path);

	return name ? name->alike : 0;
}
