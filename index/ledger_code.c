/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The ledger as bytes. At the end of each record stands a sum over it, so that
 * what is damaged is not taken for what was counted; it is no signature, and
 * whoever can write here could write the tallies as well.
 *
 * Threads: pure functions.
 */
#include "index/ledger_internal.h"

#include "acquire/base/cursor.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define SUM_LEN 8u

void herd_ledger_deinit(struct herd_ledger *l)
{
	for (size_t i = 0; i < l->n_stacks; i++)
		herd_ledger_stack_deinit(&l->stacks[i]);
	free(l->stacks);
	free(l->look.v);
	free(l->all.v);
	free(l->lacks.v);
	*l = (struct herd_ledger){ 0 };
}

/* ---- the sum ---- */

static uint64_t mix(uint64_t x)
{
	x *= 0xff51afd7ed558ccdu;
	x ^= x >> 32;
	return x * 0xc4ceb9fe1a85ec53u;
}

static uint64_t word_at(const uint8_t *p)
{
	uint64_t v;

	memcpy(&v, p, sizeof(v));
	return le64toh(v);
}

/* Four at a time, for they need not wait for each other. */
static uint64_t sum_of(const void *data, size_t len, uint32_t holder)
{
	const uint8_t *p = data;
	uint64_t sums[4] = { len, holder, 1, 2 }, sum = 0;
	uint8_t rest[32] = { 0 };

	for (; len >= 32; p += 32, len -= 32)
		for (unsigned i = 0; i < 4; i++)
			sums[i] = mix(sums[i] ^ word_at(p + 8 * i));
	memcpy(rest, p, len);
	for (unsigned i = 0; i < 4; i++)
		sum = mix(sum ^ mix(sums[i] ^ word_at(rest + 8 * i)));
	return sum;
}

static int seal(struct herd_buf *out, uint32_t holder)
{
	static const uint8_t none[1];

	if (!out->failed)
		herd_buf_be64(out, sum_of(out->len ? out->data : none, out->len,
					  holder));
	return herd_buf_error(out);
}

/* The record without its sum. */
static int unseal(const void *data, size_t len, uint32_t holder,
		  struct herd_cursor *ret)
{
	struct herd_cursor c = herd_cursor(data, len);

	if (len < SUM_LEN)
		return -EBADMSG;
	herd_cur_seek(&c, len - SUM_LEN);
	if (herd_cur_be64(&c) != sum_of(data, len - SUM_LEN, holder))
		return -EBADMSG;
	*ret = herd_cursor(data, len - SUM_LEN);
	return 0;
}

int herd_ledger_seal(const void *data, size_t len, uint32_t holder,
		     struct herd_buf *out)
{
	if (len)
		herd_buf_put(out, data, len);
	return seal(out, holder);
}

/* ---- a member's ---- */

int herd_ledger_own_encode(const struct herd_ledger_own *own, uint32_t holder,
			   struct herd_buf *out)
{
	herd_buf_be32(out, own->alone);
	herd_buf_be32(out, own->vouched);
	if (own->len)
		herd_buf_put(out, own->names, own->len);
	return seal(out, holder);
}

int herd_ledger_own_decode(const void *data, size_t len, uint32_t holder,
			   struct herd_ledger_own *ret)
{
	struct herd_ledger_own own;
	struct herd_cursor c;
	int err = unseal(data, len, holder, &c);

	if (err)
		return err;
	own.alone = herd_cur_be32(&c);
	own.vouched = herd_cur_be32(&c);
	own.len = herd_cur_left(&c);
	own.names = herd_cur_bytes(&c, own.len);
	if (c.bad || own.vouched > own.alone || own.len % HERD_LOOSE_NAME)
		return -EBADMSG;
	*ret = own;
	return 0;
}

/* ---- for all ---- */

static void put_tally(struct herd_buf *out, const uint8_t key[32],
		      const struct herd_tally *tally)
{
	CLEANUP_BUF struct herd_buf variant = HERD_BUF_INIT;

	herd_buf_put(out, key, 32);
	herd_buf_varint(out, tally->count);
	herd_buf_varint(out, tally->holder);
	herd_buf_u8(out, tally->variant.sort);
	herd_variant_encode(&tally->variant, &variant);
	herd_buf_varint(out, variant.len);
	if (variant.len)
		herd_buf_put(out, variant.data, variant.len);
	out->failed |= variant.failed;
}

static void put_stack(struct herd_buf *out, const struct herd_ledger_stack *s)
{
	herd_buf_varint(out, s->others);
	herd_buf_varint(out, s->variants);
	herd_buf_varint(out, s->tokens);
	herd_buf_varint(out, s->holder);
	herd_buf_varint(out, s->n_shown);
	herd_buf_varint(out, s->n_kinds);
	for (uint32_t i = 0; i < s->n_shown; i++) {
		herd_buf_u8(out, s->shown[i].pinned);
		put_tally(out, s->shown[i].key, &s->shown[i].tally);
	}
	for (uint32_t i = 0; i < s->n_kinds; i++)
		put_tally(out, s->kinds[i].key, &s->kinds[i].tally);
}

static void put_features(struct herd_buf *out,
			 const struct herd_ledger_features *l)
{
	uint32_t last = 0;

	herd_buf_varint(out, l->n);
	for (size_t i = 0; i < l->n; i++) {
		herd_buf_varint(out, l->v[i].path - last);
		herd_buf_varint(out, l->v[i].vouched);
		last = l->v[i].path;
	}
}

int herd_ledger_encode(const struct herd_ledger *l, struct herd_buf *out)
{
	uint32_t last = 0;

	herd_buf_be32(out, l->reference);
	herd_buf_be32(out, l->baseline);
	herd_buf_be32(out, l->members);
	herd_buf_be32(out, l->last);
	herd_buf_varint(out, l->holders);
	herd_buf_varint(out, l->names);
	herd_buf_varint(out, l->rows);
	herd_buf_varint(out, l->shared);
	put_features(out, &l->all);
	put_features(out, &l->lacks);
	herd_buf_varint(out, l->look.n);
	for (size_t i = 0; i < l->look.n; i++) {
		herd_buf_varint(out, l->look.v[i] - last);
		last = l->look.v[i];
	}
	herd_buf_varint(out, l->n_stacks);
	last = 0;
	for (size_t i = 0; i < l->n_stacks; i++) {
		herd_buf_varint(out, l->stacks[i].path - last);
		last = l->stacks[i].path;
		put_stack(out, &l->stacks[i]);
	}
	return seal(out, 0);
}

/* ---- back ---- */

/* A number up to max; else the cursor turns bad. */
static uint32_t number(struct herd_cursor *in, uint64_t max)
{
	uint64_t v = herd_cur_varint(in);

	if (v > max || v > UINT32_MAX)
		in->bad = true;
	return in->bad ? 0 : (uint32_t)v;
}

/* The next path in a list that ascends. */
static uint32_t next_path(struct herd_cursor *in, uint32_t last)
{
	uint32_t step = number(in, UINT32_MAX - last);

	if (!step)
		in->bad = true;
	return last + step;
}

static void get_tally(struct herd_cursor *in, uint8_t key[32],
		      struct herd_tally *ret)
{
	const void *variant;
	size_t len;

	herd_cur_copy(in, key, 32);
	*ret = (struct herd_tally){ .count = number(in, UINT32_MAX) };
	ret->holder = number(in, UINT32_MAX);
	uint8_t sort = herd_cur_u8(in);

	len = number(in, herd_cur_left(in));
	variant = herd_cur_bytes(in, len);
	if (in->bad || !ret->count ||
	    herd_variant_decode(variant, len, &ret->variant))
		in->bad = true;
	ret->variant.sort = sort;
}

/* Each key higher than the one before; *sum: of the counts. */
static int get_shown(struct herd_cursor *in, struct herd_ledger_stack *s,
		     uint64_t *sum)
{
	for (uint32_t i = 0; i < s->n_shown && !in->bad; i++) {
		struct herd_ledger_shown *v = &s->shown[i];
		uint8_t pinned = herd_cur_u8(in);

		get_tally(in, v->key, &v->tally);
		v->pinned = pinned;
		*sum += v->tally.count;
		if (pinned > 1 || (i && memcmp(v[-1].key, v->key, 32) >= 0))
			in->bad = true;
	}
	return in->bad ? -EBADMSG : 0;
}

static int get_kinds(struct herd_cursor *in, struct herd_ledger_stack *s,
		     uint64_t *sum)
{
	for (uint32_t i = 0; i < s->n_kinds && !in->bad; i++) {
		struct herd_ledger_kind *v = &s->kinds[i];

		get_tally(in, v->key, &v->tally);
		*sum += v->tally.count;
		if (i && memcmp(v[-1].key, v->key, 32) >= 0)
			in->bad = true;
	}
	return in->bad ? -EBADMSG : 0;
}

/* Counts that do not add up would give verdicts that are of no herd. */
static int get_stack(struct herd_cursor *in, uint32_t members,
		     struct herd_ledger_stack *s)
{
	uint64_t shown = 0, kinds = 0;

	s->others = number(in, members);
	s->variants = number(in, s->others);
	s->tokens = number(in, members - s->others);
	s->holder = number(in, UINT32_MAX);
	uint32_t n_shown = number(in, HERD_LEDGER_SHOWN_MAX);
	uint32_t n_kinds = number(in, HERD_LEDGER_KINDS_MAX);

	if (in->bad || n_shown > s->variants || n_kinds > s->variants)
		return -EBADMSG;
	s->shown = calloc((size_t)n_shown + 1, sizeof(*s->shown));
	s->kinds = calloc((size_t)n_kinds + 1, sizeof(*s->kinds));
	if (!s->shown || !s->kinds)
		return -ENOMEM;
	s->n_shown = n_shown;
	s->n_kinds = n_kinds;
	int err = get_shown(in, s, &shown);

	if (!err)
		err = get_kinds(in, s, &kinds);
	if (!err && (kinds != s->others ||
		     shown + (s->variants - n_shown) != s->others))
		err = -EBADMSG;
	return err;
}

static int get_stacks(struct herd_cursor *in, struct herd_ledger *l)
{
	uint32_t n = number(in, HERD_LEDGER_STACKS_MAX), last = 0;
	int err = in->bad ? -EBADMSG : 0;

	l->stacks = calloc((size_t)n + 1, sizeof(*l->stacks));
	if (!l->stacks)
		return -ENOMEM;
	l->cap_stacks = (size_t)n + 1;
	for (uint32_t i = 0; i < n && !err; i++) {
		struct herd_ledger_stack *s = &l->stacks[l->n_stacks++];

		s->path = last = next_path(in, last);
		err = get_stack(in, l->members, s);
	}
	return err;
}

static int get_features(struct herd_cursor *in, uint32_t members,
			struct herd_ledger_features *ret)
{
	uint32_t n = number(in, herd_cur_left(in)), last = 0;

	if (in->bad)
		return -EBADMSG;
	ret->v = calloc((size_t)n + 1, sizeof(*ret->v));
	if (!ret->v)
		return -ENOMEM;
	ret->cap = (size_t)n + 1;
	for (; ret->n < n && !in->bad; ret->n++) {
		last = next_path(in, last);
		ret->v[ret->n] =
			(struct herd_ledger_feature){ last,
						      number(in, members) };
	}
	return in->bad ? -EBADMSG : 0;
}

static int get_look(struct herd_cursor *in, struct herd_ids *ret)
{
	uint32_t n = number(in, herd_cur_left(in)), last = 0;

	if (in->bad)
		return -EBADMSG;
	ret->v = calloc((size_t)n + 1, sizeof(*ret->v));
	if (!ret->v)
		return -ENOMEM;
	ret->cap = (size_t)n + 1;
	while (ret->n < n && !in->bad)
		ret->v[ret->n++] = last = next_path(in, last);
	return in->bad ? -EBADMSG : 0;
}

int herd_ledger_decode(const void *data, size_t len, struct herd_ledger *ret)
{
	struct herd_cursor c;
	int err = unseal(data, len, 0, &c);

	*ret = (struct herd_ledger){ 0 };
	if (err)
		return err;
	ret->reference = herd_cur_be32(&c);
	ret->baseline = herd_cur_be32(&c);
	ret->members = herd_cur_be32(&c);
	ret->last = herd_cur_be32(&c);
	ret->holders = number(&c, UINT32_MAX);
	ret->names = herd_cur_varint(&c);
	ret->rows = herd_cur_varint(&c);
	ret->shared = herd_cur_varint(&c);
	if (c.bad || ret->members < HERD_LEDGER_MEMBERS_MIN)
		return -EBADMSG;
	err = get_features(&c, ret->members, &ret->all);
	if (!err)
		err = get_features(&c, ret->members, &ret->lacks);
	if (!err)
		err = get_look(&c, &ret->look);
	if (!err)
		err = get_stacks(&c, ret);
	if (!err && (c.bad || herd_cur_left(&c)))
		err = -EBADMSG;
	return err;
}
