/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The herd: of each slot and each feature (machine_judge_internal.h) how many
 * members have it. That is all that is kept of a member.
 */
#include "index/memory/machine_judge_internal.h"

#include "index/idmap.h"

#include <string.h>

struct herd_flock {
	struct herd_strings slots, features;
	struct slot {
		uint32_t count;
		uint32_t first; /* feature + 1 */
		uint32_t values;
	} * slot;
	struct value {
		uint32_t count;
		uint32_t next; /* feature of the same slot + 1 */
	} * value;
	size_t cap_slot, cap_value;
	struct herd_idmap who;
	uint32_t members;
};

int herd_flock_create(struct herd_flock **ret)
{
	*ret = calloc(1, sizeof(**ret));
	return *ret ? 0 : -ENOMEM;
}

void herd_flock_destroy(struct herd_flock *f)
{
	if (!f)
		return;
	herd_strings_deinit(&f->slots);
	herd_strings_deinit(&f->features);
	herd_idmap_deinit(&f->who);
	free(f->slot);
	free(f->value);
	free(f);
}

uint32_t herd_flock_members(const struct herd_flock *f)
{
	return f->members;
}

bool herd_flock_has(const struct herd_flock *f, uint32_t instance)
{
	return herd_idmap_get(&f->who, instance) != NULL;
}

static int room(void **v, size_t n, size_t *cap, size_t size)
{
	size_t more = *cap ? *cap * 2 : 1024;
	void *p;

	if (n < *cap)
		return 0;
	p = realloc(*v, more * size);
	if (!p)
		return -ENOMEM;
	memset((char *)p + *cap * size, 0, (more - *cap) * size);
	*v = p;
	*cap = more;
	return 0;
}

static int count_slots(struct herd_flock *f, const struct herd_traits *t,
		       uint32_t *slots)
{
	int err = 0;

	for (uint32_t i = 0; i < t->slots.n && !err; i++) {
		err = herd_strings_put(&f->slots, t->slots.v[i].p,
				       t->slots.v[i].len, &slots[i]);
		if (!err)
			err = room((void **)&f->slot, slots[i], &f->cap_slot,
				   sizeof(*f->slot));
		if (!err)
			f->slot[slots[i]].count++;
	}
	return err;
}

static int count_features(struct herd_flock *f, const struct herd_traits *t,
			  const uint32_t *slots)
{
	int err = 0;

	for (uint32_t i = 0; i < t->features.n && !err; i++) {
		struct slot *s;
		uint32_t id;

		err = herd_strings_put(&f->features, t->features.v[i].p,
				       t->features.v[i].len, &id);
		if (!err)
			err = room((void **)&f->value, id, &f->cap_value,
				   sizeof(*f->value));
		if (err)
			break;
		s = &f->slot[slots[t->slot_of[i]]];
		if (!f->value[id].count++) {
			f->value[id].next = s->first;
			s->first = id + 1;
			s->values++;
		}
	}
	return err;
}

int herd_flock_add(struct herd_flock *f, uint32_t instance,
		   const struct herd_traits *t)
{
	uint32_t *slots CLEANUP_FREE = NULL;
	int err;

	if (herd_flock_has(f, instance))
		return -EEXIST;
	slots = malloc((t->slots.n + 1) * sizeof(*slots));
	err = slots ? herd_idmap_put(&f->who, instance, 1) : -ENOMEM;
	if (!err)
		err = count_slots(f, t, slots);
	if (!err)
		err = count_features(f, t, slots);
	f->members += !err;
	return err;
}

/* ---- asking ---- */

uint32_t herd_bench_others(const struct herd_bench *h)
{
	return h->f->members - h->member;
}

static bool own_has(const struct herd_bench *h, const struct herd_strings *t,
		    const struct herd_string *s)
{
	return h->member &&
	       herd_strings_find(t, s->p, s->len) != HERD_STRING_NONE;
}

/* What of a slot's values the others have. */
static void values(const struct herd_bench *h, uint32_t slot, uint32_t own,
		   struct herd_others *ret)
{
	const struct herd_flock *f = h->f;

	for (uint32_t v = f->slot[slot].first; v; v = f->value[v - 1].next) {
		const struct herd_string *s = &f->features.v[v - 1];
		uint32_t n = f->value[v - 1].count -
			     own_has(h, &h->own->features, s);

		if (v - 1 == own) {
			ret->same = n;
			continue;
		}
		ret->kinds += n == 1;
		ret->common += n && n * 2 >= ret->slot;
		if (n > ret->top) {
			ret->top = n;
			ret->top_value = s->p + f->slots.v[slot].len + 1;
		}
	}
}

/* false: nobody has the slot. */
static bool ask_slot(const struct herd_bench *h, unsigned aspect,
		     const char *key, const char *value,
		     struct herd_others *ret, uint32_t *ret_slot,
		     uint32_t *ret_own)
{
	struct herd_buf b CLEANUP_BUF = HERD_BUF_INIT;
	size_t len;

	*ret = (struct herd_others){ .all = herd_bench_others(h) };
	*ret_own = HERD_STRING_NONE;
	herd_buf_u8(&b, (uint8_t)aspect);
	herd_norm_clean(&b, key, strlen(key));
	len = b.len;
	herd_buf_u8(&b, 0);
	if (value)
		herd_norm_clean(&b, value, strlen(value));
	if (b.failed)
		return false;
	*ret_slot = herd_strings_find(&h->f->slots, b.data, len);
	if (*ret_slot == HERD_STRING_NONE)
		return false;
	ret->slot = h->f->slot[*ret_slot].count -
		    own_has(h, &h->own->slots, &h->f->slots.v[*ret_slot]);
	if (value)
		*ret_own = herd_strings_find(&h->f->features, b.data, b.len);
	return true;
}

void herd_bench_ask(const struct herd_bench *h, unsigned aspect,
		    const char *key, const char *value, struct herd_others *ret)
{
	uint32_t slot, own;

	if (ask_slot(h, aspect, key, value, ret, &slot, &own))
		values(h, slot, own, ret);
}

void herd_bench_count(const struct herd_bench *h, unsigned aspect,
		      const char *key, const char *value,
		      struct herd_others *ret)
{
	uint32_t slot, own;

	if (!ask_slot(h, aspect, key, value, ret, &slot, &own))
		return;
	ret->kinds = h->f->slot[slot].values;
	if (own != HERD_STRING_NONE)
		ret->same =
			h->f->value[own].count -
			own_has(h, &h->own->features, &h->f->features.v[own]);
}

int herd_bench_each_common(const struct herd_bench *h, unsigned aspect,
			   const char *value,
			   int (*fn)(void *arg, const char *key,
				     const struct herd_others *o),
			   void *arg)
{
	const struct herd_flock *f = h->f;
	const uint32_t others = herd_bench_others(h);
	int err = 0;

	for (uint32_t i = 0; i < f->slots.n && !err; i++) {
		const char *key = f->slots.v[i].p;
		struct herd_others o;

		if ((uint8_t)*key != aspect || f->slot[i].count < others)
			continue;
		herd_bench_ask(h, aspect, key + 1, value, &o);
		if (o.same == others)
			err = fn(arg, key + 1, &o);
	}
	return err;
}
