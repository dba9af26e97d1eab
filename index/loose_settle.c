/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Each name gets a key out of where it is, of which kind and form; how many
 * members share the key is how many have the like. The names straight in
 * folders that others have too are counted first, then those in folders that
 * were found loose, a level at a time.
 *
 * The names stand in order of their holders, so that counting is one pass over
 * them: whoever has a key twice has it twice in a row.
 *
 * Threads: as index/loose.h says.
 */
#include "index/loose_internal.h"

#include "acquire/base/cleanup.h"
#include "index/idmap.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Deeper than this below a loose folder nothing is compared any more. */
#define LEVELS_MAX 64
#define NONE HERD_LOOSE_NONE

/* ---- by path ---- */

uint32_t herd_loose_find(const struct herd_loose *l, uint32_t path)
{
	size_t mask = l->n_index - 1;

	if (!l->n_index)
		return NONE;
	for (size_t i = herd_idmap_hash(path) & mask; l->index[i];
	     i = (i + 1) & mask)
		if (l->v[l->index[i] - 1].path == path)
			return l->index[i] - 1;
	return NONE;
}

static int compare_names(const void *a, const void *b)
{
	const struct herd_loose_name *x = a, *y = b;

	if (x->holder != y->holder)
		return x->holder < y->holder ? -1 : 1;
	return x->path < y->path ? -1 : x->path > y->path;
}

static bool in_order(const struct herd_loose *l)
{
	for (size_t i = 1; i < l->n; i++)
		if (compare_names(&l->v[i - 1], &l->v[i]) >= 0)
			return false;
	return true;
}

void herd_loose_sort(struct herd_loose *l)
{
	if (l->n && !in_order(l))
		qsort(l->v, l->n, sizeof(*l->v), compare_names);
}

/* One path has one holder here. */
static int make_index(struct herd_loose *l)
{
	size_t n = 16;

	herd_loose_sort(l);
	while (n < l->n * 2)
		n *= 2;
	free(l->index);
	l->n_index = 0;
	l->index = calloc(n, sizeof(*l->index));
	if (!l->index)
		return -ENOMEM;
	l->n_index = n;
	for (size_t k = 0; k < l->n; k++) {
		size_t i = herd_idmap_hash(l->v[k].path) & (n - 1);

		for (; l->index[i]; i = (i + 1) & (n - 1))
			if (l->v[l->index[i] - 1].path == l->v[k].path)
				return -EBADMSG;
		l->index[i] = (uint32_t)k + 1;
	}
	for (size_t k = 0; k < l->n; k++)
		l->v[k].up = k && l->v[k].parent == l->v[k - 1].parent ?
				     l->v[k - 1].up :
				     herd_loose_find(l, l->v[k].parent);
	return 0;
}

/* ---- counting ---- */

/* How many holders a key has. */
struct votes {
	uint64_t key;
	uint32_t holders;
	uint32_t first, last; /* of the holders */
	bool noted;	      /* who lacks it */
};

/* Of few keys, mostly: they lie together, and are found by a larger table. */
struct ballot {
	struct votes *v;
	size_t n, cap;
	uint32_t *slots; /* a place in v and 1; 0: free */
	size_t n_slots;	 /* a power of two */
	uint32_t last;	 /* what was found last: the next is often the same */
};

static void ballot_deinit(struct ballot *b)
{
	free(b->v);
	free(b->slots);
}

static bool has_vote(const struct herd_loose_name *name)
{
	return name->state == LOOSE_ASKED || name->witness;
}

static int add_votes(struct ballot *b, const struct herd_loose_name *name)
{
	if (b->n == b->cap) {
		size_t cap = b->cap ? b->cap * 2 : 64;
		struct votes *v = reallocarray(b->v, cap, sizeof(*v));

		if (!v)
			return -ENOMEM;
		b->v = v;
		b->cap = cap;
	}
	b->v[b->n++] =
		(struct votes){ .key = name->vote, .first = name->holder };
	return 0;
}

/* Where the key of a name is counted; there may be none yet. */
static int votes_of(struct ballot *b, const struct herd_loose_name *name)
{
	size_t i;

	if (b->n && b->v[b->last].key == name->vote)
		return 0;
	i = herd_idmap_hash(name->vote) & (b->n_slots - 1);
	while (b->slots[i] && b->v[b->slots[i] - 1].key != name->vote)
		i = (i + 1) & (b->n_slots - 1);
	if (!b->slots[i]) {
		int err = add_votes(b, name);

		if (err)
			return err;
		b->slots[i] = (uint32_t)b->n;
	}
	b->last = b->slots[i] - 1;
	return 0;
}

/* In order of holders. Of one that is asked, where its key is counted becomes
   alike. */
static int cast(struct ballot *b, struct herd_loose_name *name)
{
	int err = votes_of(b, name);

	if (err)
		return err;
	struct votes *v = &b->v[b->last];

	if (name->state == LOOSE_ASKED)
		name->alike = b->last;
	if (v->holders && v->last == name->holder)
		return 0;
	v->holders++;
	v->last = name->holder;
	return 0;
}

/* Whose names are counted. */
struct counting {
	const uint32_t *members; /* ids, ascending */
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
		.instance = who,
		.path = name->path,
		.holder = name->holder,
		.holders = have,
		.key = name->key,
		.below = name->up != NONE &&
			 is_missing(l, l->v[name->up].key, who)
	};
	return 0;
}

static bool has_key(const struct herd_loose *l, uint64_t key, size_t *at,
		    uint32_t who)
{
	while (*at < l->n && l->v[*at].holder < who)
		++*at;
	for (size_t i = *at; i < l->n && l->v[i].holder == who; i++)
		if (has_vote(&l->v[i]) && l->v[i].vote == key)
			return true;
	return false;
}

/* Who of the members is not among the holders of a key. */
static int note_missing(struct herd_loose *l,
			const struct herd_loose_name *name,
			const struct counting *c, struct votes *votes)
{
	uint32_t have = votes->holders;
	bool inherited = name->up != NONE && l->v[name->up].own;
	size_t at = 0;
	int err = 0;

	if (votes->noted || (!name->own && !inherited) ||
	    have == c->n_members || have < MISSING_OTHERS ||
	    (uint64_t)have * 4 < c->n_members * 3 ||
	    name->holder != votes->first)
		return 0;
	votes->noted = true;
	for (size_t i = 0; i < c->n_members && !err; i++) {
		uint32_t who = c->members[i];

		if (!has_key(l, name->key, &at, who) &&
		    !is_missing(l, name->key, who))
			err = add_missing(l, name, who, have);
	}
	return err;
}

/* ---- asking ---- */

/* Counts all that are asked, and who stands as witness; *ret_asked: how many
   are. */
static int tally_votes(struct herd_loose *l, struct ballot *b,
		       size_t *ret_asked)
{
	size_t asked = 0, votes = 0;
	int err = 0;

	for (size_t i = 0; i < l->n; i++) {
		asked += l->v[i].state == LOOSE_ASKED;
		votes += has_vote(&l->v[i]);
	}
	*ret_asked = asked;
	if (!asked)
		return 0;
	for (b->n_slots = 16; b->n_slots < votes * 2;)
		b->n_slots *= 2;
	b->slots = calloc(b->n_slots, sizeof(*b->slots));
	if (!b->slots)
		return -ENOMEM;
	for (size_t i = 0; i < l->n && !err; i++)
		if (has_vote(&l->v[i]))
			err = cast(b, &l->v[i]);
	return err;
}

/* How many are alike decides, and who lacks what is found out while all votes
   are there yet. */
static int open_ballot(struct herd_loose *l, const struct counting *c,
		       struct ballot *b, bool by_form)
{
	int err = 0;

	for (size_t i = 0; i < l->n && !err; i++) {
		struct herd_loose_name *name = &l->v[i];

		if (name->state != LOOSE_ASKED)
			continue;
		struct votes *votes = &b->v[name->alike];

		name->alike = votes->holders - 1;
		if (by_form &&
		    is_loose(name, (uint32_t)c->n_members, c->baseline))
			err = note_missing(l, name, c, votes);
	}
	return err;
}

/* Those that were asked become loose, or what `otherwise` says. */
static int count(struct herd_loose *l, const struct counting *c, bool by_form,
		 enum herd_loose_state otherwise, bool *ret_any)
{
	CLEANUP(ballot_deinit) struct ballot b = { .n = 0 };
	size_t asked;
	int err = tally_votes(l, &b, &asked);

	if (err || !asked)
		return err;
	err = open_ballot(l, c, &b, by_form);
	for (size_t i = 0; i < l->n && !err; i++) {
		struct herd_loose_name *name = &l->v[i];

		if (name->state != LOOSE_ASKED)
			continue;
		name->state = (uint8_t)otherwise;
		if (!is_loose(name, (uint32_t)c->n_members, c->baseline))
			continue;
		name->state = LOOSE_YES;
		*ret_any = true;
	}
	return err;
}

/* ---- keys ---- */

enum how {
	HOW_FORM,      /* straight in a folder, a name of the same form */
	HOW_EMPTY,     /* anywhere, a name of the same form, of any sort */
	HOW_FOLDER,    /* … any name of the same kind */
	HOW_SAME_NAME, /* below a loose folder, a name of the same form */
	HOW_ANY_NAME,  /* … any name of the same kind */
};

static uint64_t mix(uint64_t x)
{
	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
	x = (x ^ x >> 27) * 0x94d049bb133111ebu;
	return x ^ x >> 31;
}

/* Of what is a digest already, or none that others choose: of two keys that
   differ in one of the four, the digests differ. */
static uint64_t key_of(enum how how, uint64_t where, uint64_t kind,
		       uint64_t form)
{
	uint64_t key = mix((uint64_t)how + 0x9e3779b97f4a7c15u);

	key = mix(key ^ where);
	key = mix(key ^ kind);
	return mix(key ^ form);
}

/*
 * A name that is no one's own and not random does not belong among those that
 * are: only names of its like are compared with it.
 */
static void ask_top(struct herd_loose *l, enum how how)
{
	const struct herd_loose_name *last = NULL;
	uint64_t last_form = 0;

	for (size_t i = 0; i < l->n; i++) {
		struct herd_loose_name *name = &l->v[i];

		if (name->up != NONE || name->state != LOOSE_OPEN ||
		    (how == HOW_FORM && !name->templated))
			continue;
		uint64_t form = how == HOW_FORM ? name->form : name->templated;

		/* in a cache there are many in a row */
		if (!last || last->parent != name->parent ||
		    last->kind != name->kind || last_form != form)
			name->key = key_of(how, name->parent, name->kind, form);
		else
			name->key = last->key;
		last = name;
		last_form = form;
		name->by_form = how == HOW_FORM;
		name->vote = name->key;
		name->state = LOOSE_ASKED;
	}
}

static bool is_open_empty(const struct herd_loose_name *name)
{
	return name->nothing && name->state == LOOSE_OPEN;
}

static bool is_open_number(const struct herd_loose_name *name)
{
	return name->up == NONE && name->state == LOOSE_OPEN && name->as_hex;
}

static bool any_is(const struct herd_loose *l,
		   bool (*is)(const struct herd_loose_name *name))
{
	for (size_t i = 0; i < l->n; i++)
		if (is(&l->v[i]))
			return true;
	return false;
}

/*
 * Empty files are open still: what has content and the same form stands as
 * witness for them.
 */
static void ask_empty(struct herd_loose *l)
{
	if (!any_is(l, is_open_empty))
		return;
	for (size_t i = 0; i < l->n; i++) {
		struct herd_loose_name *name = &l->v[i];
		bool asked = is_open_empty(name);

		name->witness = false;
		if (!name->templated ||
		    (name->up != NONE && l->v[name->up].state != LOOSE_YES))
			continue;
		name->vote = key_of(HOW_EMPTY,
				    name->up == NONE ? name->parent :
						       l->v[name->up].key,
				    name->plain, name->form);
		name->witness = !asked;
		name->by_form |= asked;
		if (asked)
			name->state = LOOSE_ASKED;
	}
}

/* Open names of digits alone, where those of the hex form are loose. */
static void ask_digits(struct herd_loose *l)
{
	if (!any_is(l, is_open_number))
		return;
	for (size_t i = 0; i < l->n; i++) {
		struct herd_loose_name *name = &l->v[i];

		name->witness = name->up == NONE && name->by_form &&
				name->state == LOOSE_YES;
		if (name->witness)
			name->vote = name->key;
		if (!is_open_number(name))
			continue;
		name->vote = key_of(HOW_FORM, name->parent, name->kind,
				    name->as_hex);
		name->by_form = true;
		name->state = LOOSE_ASKED;
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

		if (name->state != LOOSE_OPEN || name->up == NONE ||
		    l->v[name->up].state != LOOSE_YES)
			continue;
		name->key = key_of(how, l->v[name->up].key, name->kind,
				   how == HOW_SAME_NAME ? name->form :
							  name->templated);
		name->by_form = how == HOW_SAME_NAME;
		name->vote = name->key;
		name->state = LOOSE_ASKED;
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

int herd_loose_settle(struct herd_loose *l, const uint32_t *members,
		      size_t n_members, bool baseline)
{
	const struct counting c = { members, n_members, baseline };
	bool any = false;
	int err = make_index(l);

	if (!err) {
		ask_top(l, HOW_FORM);
		err = count(l, &c, true, LOOSE_OPEN, &any);
	}
	if (!err) {
		ask_digits(l);
		err = count(l, &c, false, LOOSE_OPEN, &any);
		dismiss(l);
	}
	if (!err) {
		ask_empty(l);
		err = count(l, &c, false, LOOSE_OPEN, &any);
		dismiss(l);
	}
	if (!err) {
		ask_top(l, HOW_FOLDER);
		err = count(l, &c, false, LOOSE_FIRM, &any);
	}
	for (unsigned level = 0; !err && any && level < LEVELS_MAX; level++) {
		any = false;
		ask_below(l, HOW_SAME_NAME);
		err = count(l, &c, true, LOOSE_OPEN, &any);
		if (err)
			break;
		ask_below(l, HOW_ANY_NAME);
		err = count(l, &c, false, LOOSE_FIRM, &any);
	}
	settle_missing(l);
	return err;
}

uint32_t herd_loose_alike(const struct herd_loose *l, uint32_t path,
			  bool *ret_templated)
{
	uint32_t i = herd_loose_find(l, path);
	bool loose = i != NONE && l->v[i].state == LOOSE_YES;

	*ret_templated = loose && l->v[i].by_form;
	return loose ? l->v[i].alike : 0;
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
