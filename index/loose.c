/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Each name gets a key, the digest of where it is, of which kind and form; how
 * many members share the key is how many have the like. The names straight in
 * folders that others have too are counted first, then those in folders that
 * were found loose, a level at a time.
 *
 * Threads: as index/loose.h says.
 */
#include "index/loose.h"

#include "acquire/base/sha256.h"
#include "index/identity.h"
#include "index/idmap.h"
#include "index/template.h"

#include <string.h>

/* Deeper than this below a loose folder nothing is compared any more. */
#define LEVELS_MAX 64
#define NONE SIZE_MAX

enum state { STATE_OPEN, STATE_ASKED, STATE_LOOSE, STATE_FIRM };

struct herd_loose_name {
	uint32_t path, holder, alike;
	uint8_t state;	/* enum state; before settling */
	bool templated;	/* holds what is the holder's own, or random */
	bool own;	/* the former */
	bool by_form;	/* asked for names of its form */
	bool witness;	/* counted, and not asked itself */
	bool nothing;	/* an empty file: of whatever sort the others are */
	uint64_t kind, plain;	/* plain: without the sort */
	uint64_t form, key;
	uint64_t as_hex;	/* its form if its digits were hex, or 0 */
	uint64_t vote;	/* what is counted now: the key, or … */
	size_t up;	/* the folder's place in the list, or NONE */
	uint32_t parent;
};

void herd_loose_deinit(struct herd_loose *l)
{
	free(l->v);
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
		.kind = kind_of(variant, true),
		.plain = kind_of(variant, false),
		.nothing = variant->sort == HERD_SORT_NOTHING,
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

/* Whose names are counted. */
struct counting {
	const uint32_t *members;	/* ids, ascending */
	size_t n_members;
	bool baseline;
};

/* One other with a name of the same form is enough where there are few. */
static bool is_loose(const struct herd_loose_name *name, uint32_t members,
		     bool baseline)
{
	if (!name->by_form)
		return herd_names_loose(name->alike, members, baseline);
	return name->alike && (uint64_t)name->alike * 3 >= members - 1;
}

/* ---- what one lacks ---- */

/* With fewer others nobody can say that all have it. */
#define MISSING_OTHERS 2

static bool is_missing(const struct herd_loose *l, uint64_t key, uint32_t who)
{
	for (size_t i = 0; i < l->n_missing; i++)
		if (l->missing[i].key == key && l->missing[i].instance == who)
			return true;
	return false;
}

static int add_missing(struct herd_loose *l, const struct herd_loose_name *name,
		       uint32_t who, uint32_t have)
{
	if (l->n_missing == l->cap_missing) {
		size_t cap = l->cap_missing ? l->cap_missing * 2 : 16;
		struct herd_loose_missing *v =
			reallocarray(l->missing, cap, sizeof(*v));

		if (!v)
			return -ENOMEM;
		l->missing = v;
		l->cap_missing = cap;
	}
	l->missing[l->n_missing++] = (struct herd_loose_missing){
		.instance = who, .path = name->path, .holder = name->holder,
		.holders = have, .key = name->key,
		.below = name->up != NONE &&
			 is_missing(l, l->v[name->up].key, who) };
	return 0;
}

/* Who of the members is not among the holders of a key. */
static int note_missing(struct herd_loose *l, const struct herd_loose_name *name,
			const struct counting *c, const struct vote *votes,
			size_t n)
{
	uint32_t have = holders(votes, n, name->key);
	size_t at = lower_bound(votes, n, name->key, 0);
	bool inherited = name->up != NONE && l->v[name->up].own;
	int err = 0;

	if ((!name->own && !inherited) || have == c->n_members ||
	    have < MISSING_OTHERS || (uint64_t)have * 4 < c->n_members * 3 ||
	    name->holder != votes[at].holder)
		return 0;
	for (size_t i = 0; i < c->n_members && !err; i++) {
		uint32_t who = c->members[i];

		while (at < n && votes[at].key == name->key &&
		       votes[at].holder < who)
			at++;
		if (at < n && votes[at].key == name->key &&
		    votes[at].holder == who)
			continue;
		if (!is_missing(l, name->key, who))
			err = add_missing(l, name, who, have);
	}
	return err;
}

/* ---- asking ---- */

/* Those that were asked become loose, or what `otherwise` says. */
static int count(struct herd_loose *l, const struct counting *c, bool by_form,
		 enum state otherwise, bool *ret_any)
{
	CLEANUP_FREE struct vote *votes = calloc(l->n + 1, sizeof(*votes));
	size_t asked = 0, n = 0;

	if (!votes)
		return -ENOMEM;
	for (size_t i = 0; i < l->n; i++)
		if (l->v[i].state == STATE_ASKED || l->v[i].witness)
			votes[asked++] = (struct vote){ l->v[i].vote,
							l->v[i].holder };
	qsort(votes, asked, sizeof(*votes), compare_votes);
	for (size_t i = 0; i < asked; i++)
		if (!n || compare_votes(&votes[n - 1], &votes[i]) != 0)
			votes[n++] = votes[i];
	for (size_t i = 0; i < l->n; i++) {
		struct herd_loose_name *name = &l->v[i];

		if (name->state != STATE_ASKED)
			continue;
		name->alike = holders(votes, n, name->vote) - 1;
		name->state = (uint8_t)otherwise;
		if (!is_loose(name, (uint32_t)c->n_members, c->baseline))
			continue;
		name->state = STATE_LOOSE;
		*ret_any = true;
		int err = by_form ? note_missing(l, name, c, votes, n) : 0;

		if (err)
			return err;
	}
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

static int find_forms(struct herd_loose *l, struct herd_txn *t)
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

/* ---- keys ---- */

enum how {
	HOW_FORM,	/* straight in a folder, a name of the same form */
	HOW_EMPTY,	/* anywhere, a name of the same form, of any sort */
	HOW_FOLDER,	/* … any name of the same kind */
	HOW_SAME_NAME,	/* below a loose folder, a name of the same form */
	HOW_ANY_NAME,	/* … any name of the same kind */
};

static uint64_t key_of(enum how how, uint64_t where, uint64_t kind,
		       uint64_t form)
{
	uint64_t words[4] = { how, where, kind, form };

	return digest(words, sizeof(words));
}

/*
 * A name that is no one's own and not random does not belong among those that
 * are: only names of its like are compared with it.
 */
static void ask_top(struct herd_loose *l, enum how how)
{
	for (size_t i = 0; i < l->n; i++) {
		struct herd_loose_name *name = &l->v[i];

		if (name->up != NONE || name->state != STATE_OPEN ||
		    (how == HOW_FORM && !name->templated))
			continue;
		name->key = key_of(how, name->parent, name->kind,
				   how == HOW_FORM ? name->form :
						     name->templated);
		name->by_form = how == HOW_FORM;
		name->vote = name->key;
		name->state = STATE_ASKED;
	}
}

/*
 * Empty files are open still: what has content and the same form stands as
 * witness for them.
 */
static void ask_empty(struct herd_loose *l)
{
	for (size_t i = 0; i < l->n; i++) {
		struct herd_loose_name *name = &l->v[i];
		bool asked = name->nothing && name->state == STATE_OPEN;

		name->witness = false;
		if (!name->templated || (name->up != NONE &&
					 l->v[name->up].state != STATE_LOOSE))
			continue;
		name->vote = key_of(HOW_EMPTY, name->up == NONE ? name->parent :
				    l->v[name->up].key, name->plain,
				    name->form);
		name->witness = !asked;
		name->by_form |= asked;
		if (asked)
			name->state = STATE_ASKED;
	}
}

/* Open names of digits alone, where those of the hex form are loose. */
static void ask_digits(struct herd_loose *l)
{
	for (size_t i = 0; i < l->n; i++) {
		struct herd_loose_name *name = &l->v[i];

		name->witness = name->up == NONE && name->by_form &&
				name->state == STATE_LOOSE;
		if (name->witness)
			name->vote = name->key;
		if (name->up != NONE || name->state != STATE_OPEN ||
		    !name->as_hex)
			continue;
		name->vote = key_of(HOW_FORM, name->parent, name->kind,
				    name->as_hex);
		name->by_form = true;
		name->state = STATE_ASKED;
	}
}

static void dismiss(struct herd_loose *l)
{
	for (size_t i = 0; i < l->n; i++)
		l->v[i].witness = false;
}

/* What is open in folders that are loose. */
static void ask_below(struct herd_loose *l, enum how how)
{
	for (size_t i = 0; i < l->n; i++) {
		struct herd_loose_name *name = &l->v[i];

		if (name->state != STATE_OPEN || name->up == NONE ||
		    l->v[name->up].state != STATE_LOOSE)
			continue;
		name->key = key_of(how, l->v[name->up].key, name->kind,
				   how == HOW_SAME_NAME ? name->form :
							  name->templated);
		name->by_form = how == HOW_SAME_NAME;
		name->vote = name->key;
		name->state = STATE_ASKED;
	}
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

static int compare_missing(const void *a, const void *b)
{
	const struct herd_loose_missing *x = a, *y = b;

	if (x->instance != y->instance)
		return x->instance < y->instance ? -1 : 1;
	return x->path < y->path ? -1 : x->path > y->path;
}

/* The folder stands for what would be in it. */
static void settle_missing(struct herd_loose *l)
{
	size_t n = 0;

	for (size_t i = 0; i < l->n_missing; i++)
		if (!l->missing[i].below)
			l->missing[n++] = l->missing[i];
	l->n_missing = n;
	if (n)
		qsort(l->missing, n, sizeof(*l->missing), compare_missing);
}

int herd_loose_settle(struct herd_loose *l, struct herd_txn *t,
		      const uint32_t *members, size_t n_members, bool baseline)
{
	const struct counting c = { members, n_members, baseline };
	bool any = false;
	int err = find_forms(l, t);

	if (!err) {
		ask_top(l, HOW_FORM);
		err = count(l, &c, true, STATE_OPEN, &any);
	}
	if (!err) {
		ask_digits(l);
		err = count(l, &c, false, STATE_OPEN, &any);
		dismiss(l);
	}
	if (!err) {
		ask_empty(l);
		err = count(l, &c, false, STATE_OPEN, &any);
		dismiss(l);
	}
	if (!err) {
		ask_top(l, HOW_FOLDER);
		err = count(l, &c, false, STATE_FIRM, &any);
	}
	for (unsigned level = 0; !err && any && level < LEVELS_MAX; level++) {
		any = false;
		ask_below(l, HOW_SAME_NAME);
		err = count(l, &c, true, STATE_OPEN, &any);
		if (err)
			break;
		ask_below(l, HOW_ANY_NAME);
		err = count(l, &c, false, STATE_FIRM, &any);
	}
	settle_missing(l);
	keep_loose(l);
	return err;
}

uint32_t herd_loose_alike(const struct herd_loose *l, uint32_t path,
			  bool *ret_templated)
{
	const struct herd_loose_name *name = find(l, path);

	*ret_templated = name && name->by_form;
	return name ? name->alike : 0;
}

const struct herd_loose_missing *
herd_loose_missing(const struct herd_loose *l, uint32_t instance, size_t *ret_n)
{
	size_t first = 0;

	*ret_n = 0;
	while (first < l->n_missing && l->missing[first].instance < instance)
		first++;
	while (first + *ret_n < l->n_missing &&
	       l->missing[first + *ret_n].instance == instance)
		++*ret_n;
	return l->missing + first;
}
