/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Looks, kept texts and tokens as records; and the herd's statistics where
 * digests are those of normalised content: instances come and go at random,
 * and after each step the tallies are those that counting anew gives.
 */
#include "store_fixture.h"

/* ---- records ---- */

static void check_equal(const struct herd_look *a, const struct herd_look *b)
{
	assert_int_equal(a->sort, b->sort);
	assert_int_equal(a->normal, b->normal);
	assert_int_equal(a->packaged, b->packaged);
	if (a->normal)
		assert_memory_equal(a->digest, b->digest, sizeof(a->digest));
	assert_int_equal(a->n_sketch, b->n_sketch);
	if (a->n_sketch)
		assert_memory_equal(a->sketch, b->sketch, a->n_sketch);
	assert_int_equal(a->n_note, b->n_note);
	if (a->n_note)
		assert_memory_equal(a->note, b->note, a->n_note);
}

static void test_round_trip(void **state)
{
	static const size_t sketches[] = { 0, 1, 9, HERD_SKETCH_MAX };
	static const size_t notes[] = { 0, 1, 500, HERD_NOTE_MAX };
	static char bytes[HERD_NOTE_MAX + 1];
	struct herd_store *s = open_writer();
	struct herd_txn *t = begin(s, true);
	struct herd_look look, got;

	(void)state;
	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = (char)rnd();
	assert_int_equal(herd_look_get(t, 1, 1, &got), -ENOENT);
	for (uint32_t i = 0; i < 4 * 4 * 4; i++) {
		look = (struct herd_look){
			.sort = (uint8_t)(i * 5), .normal = i & 1,
			.packaged = i & 2, .sketch = bytes,
			.n_sketch = sketches[i / 4 % 4], .note = bytes + 1,
			.n_note = notes[i / 16] };
		memset(look.digest, (int)i, sizeof(look.digest));
		must(herd_look_put(t, 7, 1000 + i, &look));
		must(herd_look_get(t, 7, 1000 + i, &got));
		check_equal(&look, &got);
		/* nobody else's */
		assert_int_equal(herd_look_get(t, 8, 1000 + i, &got), -ENOENT);
		assert_int_equal(herd_look_get(t, 7, 2000 + i, &got), -ENOENT);
	}
	/* put again it is replaced */
	look = (struct herd_look){ .sort = 3 };
	must(herd_look_put(t, 7, 1063, &look));
	must(herd_look_get(t, 7, 1063, &got));
	check_equal(&look, &got);
	look.n_sketch = HERD_SKETCH_MAX + 1;
	assert_int_equal(herd_look_put(t, 7, 1063, &look), -EOVERFLOW);
	look = (struct herd_look){ .note = bytes,
				   .n_note = HERD_NOTE_MAX + 1 };
	assert_int_equal(herd_look_put(t, 7, 1063, &look), -EOVERFLOW);
	must(herd_look_get(t, 7, 1063, &got));
	assert_int_equal(got.sort, 3);
	commit(t);
	herd_store_close(s);
}

static void test_kept(void **state)
{
	static uint8_t bytes[HERD_KEPT_MAX + 1];
	struct herd_store *s = open_writer();
	struct herd_txn *t = begin(s, true);
	const uint8_t digest[32] = { 1, 2, 3 }, other[32] = { 1, 2, 4 };
	const void *got;
	size_t len = 99;

	(void)state;
	memset(bytes, 7, sizeof(bytes));
	assert_int_equal(herd_kept_get(t, 1, digest, &got, &len), -ENOENT);
	must(herd_kept_put(t, 1, digest, bytes, HERD_KEPT_MAX));
	must(herd_kept_get(t, 1, digest, &got, &len));
	assert_int_equal(len, HERD_KEPT_MAX);
	assert_memory_equal(got, bytes, len);
	assert_int_equal(herd_kept_get(t, 2, digest, &got, &len), -ENOENT);
	assert_int_equal(herd_kept_get(t, 1, other, &got, &len), -ENOENT);
	assert_int_equal(herd_kept_put(t, 1, other, bytes, HERD_KEPT_MAX + 1),
			 -EOVERFLOW);
	assert_int_equal(herd_kept_get(t, 1, other, &got, &len), -ENOENT);
	must(herd_kept_put(t, 1, other, "", 0));
	must(herd_kept_get(t, 1, other, &got, &len));
	assert_int_equal(len, 0);
	commit(t);
	herd_store_close(s);
}

static void test_tokens(void **state)
{
	struct herd_store *s = open_writer();
	struct herd_txn *t = begin(s, true);
	const void *got;
	size_t len;

	(void)state;
	assert_int_equal(herd_tokens_get(t, 3, &got, &len), -ENOENT);
	must(herd_tokens_put(t, 3, "a\0b", 3));
	must(herd_tokens_get(t, 3, &got, &len));
	assert_int_equal(len, 3);
	assert_memory_equal(got, "a\0b", 3);
	must(herd_tokens_put(t, 3, "", 0));
	must(herd_tokens_get(t, 3, &got, &len));
	assert_int_equal(len, 0);
	assert_int_equal(herd_tokens_get(t, 4, &got, &len), -ENOENT);
	commit(t);
	herd_store_close(s);
}

static void put_raw(struct herd_txn *t, uint32_t instance, uint32_t path,
		    const void *value, size_t len)
{
	uint8_t key[8];

	herd_key32(herd_key32(key, instance), path);
	must(herd_table_put(t, TABLE_LOOK, key, sizeof(key), value, len));
}

/* Whatever a record holds: it is read within itself, or refused. */
static void test_damaged(void **state)
{
	static const struct {
		uint8_t bytes[8];
		size_t len;
		int result;
	} records[] = {
		{ { 0 }, 0, -EBADMSG },
		{ { 1 }, 1, -EBADMSG },
		{ { 1, 0 }, 2, 0 },
		{ { 255, 4 }, 2, 0 },
		{ { 1, 0, 0 }, 3, -EBADMSG },	/* more than was said */
		{ { 1, 16 }, 2, -EBADMSG },	/* a part nobody knows */
		{ { 1, 128 }, 2, -EBADMSG },
		{ { 1, 1, 9, 9 }, 4, -EBADMSG },	/* a short digest */
		{ { 1, 2 }, 2, -EBADMSG },
		{ { 1, 2, 0 }, 3, -EBADMSG },	/* there, and empty */
		{ { 1, 2, 1 }, 3, -EBADMSG },
		{ { 1, 2, 1, 7 }, 4, 0 },
		{ { 1, 2, 65, 7 }, 4, -EBADMSG },
		{ { 1, 8, 0 }, 3, -EBADMSG },
		{ { 1, 8, 2, 'a' }, 4, -EBADMSG },
		{ { 1, 8, 1, 'a' }, 4, 0 },
		{ { 1, 2, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f }, 8, -EBADMSG },
	};
	struct herd_store *s = open_writer();
	struct herd_txn *t = begin(s, true);
	struct herd_look got;

	(void)state;
	for (uint32_t i = 0; i < ARRAY_SIZE(records); i++) {
		got.sort = 77;
		put_raw(t, 1, i + 1, records[i].bytes, records[i].len);
		assert_int_equal(herd_look_get(t, 1, i + 1, &got),
				 records[i].result);
		if (records[i].result)	/* untouched */
			assert_int_equal(got.sort, 77);
	}
	/* whole records with any byte changed, or cut */
	for (unsigned round = 0; round < 4000; round++) {
		uint8_t value[80];
		size_t len = 2 + 32 + 2 + 9;

		for (size_t i = 0; i < len; i++)
			value[i] = (uint8_t)rnd();
		value[1] = 1 | 2;
		value[34] = 10;
		if (round % 2)
			value[rnd() % len] = (uint8_t)rnd();
		if (round % 3 == 0)
			len = rnd() % len;
		put_raw(t, 2, 1, value, len);
		int r = herd_look_get(t, 2, 1, &got);

		assert_true(r == 0 || r == -EBADMSG);
		if (!r)
			assert_true(got.n_sketch <= HERD_SKETCH_MAX &&
				    got.n_note <= HERD_NOTE_MAX);
	}
	herd_txn_abort(t);
	herd_store_close(s);
}

/* ---- variants ---- */

static const uint8_t normal_digest[32] = { 0xee, 0xee };

static void put_look(struct herd_txn *t, uint32_t instance, uint32_t path,
		     uint8_t sort, bool normal)
{
	struct herd_look look = { .sort = sort, .normal = normal };

	memcpy(look.digest, normal_digest, sizeof(look.digest));
	must(herd_look_put(t, instance, path, &look));
}

static void test_variants(void **state)
{
	struct herd_store *s = open_writer();
	struct herd_txn *t = begin(s, true);
	struct herd_variant a, b, v;
	struct herd_group g;

	(void)state;
	must(herd_group_make(t, "web", &g));
	uint32_t ref = make_instance(t, &g, "ref", HERD_ROLE_MEMBER);
	uint32_t own = make_instance(t, &g, "own", HERD_ROLE_MEMBER);

	put_entry(t, ref, 2, 3);
	put_entry(t, own, 2, 4);
	must(herd_variant_get(t, ref, ref, 2, &a));
	must(herd_variant_get(t, own, ref, 2, &b));
	assert_int_equal(a.sort, 0);
	assert_false(herd_variant_equal(&a, &b));
	/* the same but for tokens: one variant */
	put_look(t, ref, 2, 5, true);
	put_look(t, own, 2, 6, true);
	must(herd_variant_get(t, ref, ref, 2, &a));
	must(herd_variant_get(t, own, ref, 2, &b));
	assert_memory_equal(a.digest, normal_digest, 32);
	assert_true(herd_variant_equal(&a, &b));
	assert_int_equal(a.sort, 5);
	assert_int_equal(b.sort, 6);
	/* the reference's very bytes are its variant, whatever a look says */
	put_entry(t, own, 3, 3);
	put_entry(t, ref, 3, 3);
	put_look(t, ref, 3, 5, false);
	put_look(t, own, 3, 6, true);
	must(herd_variant_get(t, ref, ref, 3, &a));
	must(herd_variant_get(t, own, ref, 3, &b));
	assert_true(herd_variant_equal(&a, &b));
	assert_int_equal(b.sort, 5);
	/* no record of its own: the reference's; of neither: absent */
	put_entry(t, ref, 4, 3);
	must(herd_variant_get(t, own, ref, 4, &v));
	must(herd_variant_get(t, ref, ref, 4, &a));
	assert_true(herd_variant_equal(&v, &a));
	must(herd_variant_get(t, own, ref, 5, &v));
	assert_true(v.absent);
	put_absent(t, own, 4);
	must(herd_variant_get(t, own, ref, 4, &v));
	assert_true(v.absent);
	/* new here */
	put_entry(t, own, 6, 9);
	put_look(t, own, 6, 4, false);
	must(herd_variant_get(t, own, ref, 6, &v));
	assert_int_equal(v.sort, 4);
	assert_int_equal(v.digest[0], 9);
	/* a damaged look is told, not passed over */
	put_raw(t, own, 6, "\1", 1);
	assert_int_equal(herd_variant_get(t, own, ref, 6, &v), -EBADMSG);
	herd_txn_abort(t);
	herd_store_close(s);
}

/* A file with gigabytes of holes has a sort, though no digest that is replaced. */
static void test_sparse(void **state)
{
	struct herd_store *s = open_writer();
	struct herd_txn *t = begin(s, true);
	uint8_t digest[32] = { 5 };
	struct herd_inode i = { .ino = 9, .mode = S_IFREG | 0644, .nlink = 1,
				.size = 8ull << 30 };
	struct herd_buf bytes CLEANUP_BUF = HERD_BUF_INIT;
	struct herd_variant v;
	struct herd_group g;

	(void)state;
	must(herd_group_make(t, "web", &g));
	uint32_t ref = make_instance(t, &g, "ref", HERD_ROLE_MEMBER);
	uint32_t own = make_instance(t, &g, "own", HERD_ROLE_MEMBER);

	must(herd_entry_encode(&i, 0, HERD_DIGEST_SPARSE, digest, &bytes));
	must(herd_entry_put(t, own, 2, bytes.data, bytes.len));
	put_look(t, own, 2, 5, false);
	must(herd_variant_get(t, own, ref, 2, &v));
	assert_int_equal(v.sort, 5);
	assert_int_equal(v.digest_kind, HERD_DIGEST_SPARSE);
	/* with the reference's bytes and another mode */
	must(herd_entry_put(t, ref, 3, bytes.data, bytes.len));
	put_look(t, ref, 3, 6, false);
	i.mode = S_IFREG | 0755;
	bytes.len = 0;
	must(herd_entry_encode(&i, 0, HERD_DIGEST_SPARSE, digest, &bytes));
	must(herd_entry_put(t, own, 3, bytes.data, bytes.len));
	must(herd_variant_get(t, own, ref, 3, &v));
	assert_int_equal(v.sort, 6);
	herd_txn_abort(t);
	herd_store_close(s);
}

/* ---- coming and going ---- */

#define NAMES 7
#define PATHS 20

/*
 * What each has at each path: its bytes, and what they are without tokens.
 * 0: nothing. Equal bytes are equal without tokens; others may be.
 */
struct modelled {
	uint32_t id;	/* 0: not attached */
	uint32_t bytes[PATHS + 1], plain[PATHS + 1];
};
static struct modelled herd[NAMES], reference;
static bool looked[PATHS + 1];	/* the reference's look is there */
static uint32_t baseline_name;

static void model_look(struct herd_txn *t, uint32_t id, uint32_t path,
		       uint32_t bytes, uint32_t plain)
{
	struct herd_look look = { .sort = (uint8_t)(1 + plain % 5),
				  .normal = bytes != plain };

	look.digest[0] = (uint8_t)plain;
	look.digest[1] = (uint8_t)(plain >> 8);
	look.digest[2] = 1;
	if (plain % 2) {
		look.sketch = "12345678";
		look.n_sketch = 8;
	}
	must(herd_look_put(t, id, path, &look));
}

/* As attaching does it: scan_store.c, examine.c. */
static void come_path(struct herd_txn *t, const struct herd_group *g,
		      struct modelled *m, uint32_t p, enum herd_role role)
{
	struct herd_entry own = { .absent = true }, ref = { .absent = true };
	struct herd_variant v;

	if (m->bytes[p] == reference.bytes[p])
		return;
	if (m->bytes[p])
		put_entry(t, m->id, p, m->bytes[p]);
	else
		put_absent(t, m->id, p);
	if (reference.bytes[p] && !looked[p])
		model_look(t, reference.id, p, reference.bytes[p],
			   reference.plain[p]);
	looked[p] = true;
	if (m->bytes[p])
		model_look(t, m->id, p, m->bytes[p], m->plain[p]);
	if (role != HERD_ROLE_MEMBER)
		return;
	must(herd_entry_get_own(t, m->id, p, &own));
	int r = herd_entry_get_own(t, reference.id, p, &ref);

	assert_true(!r || r == -ENOENT);
	must(herd_variant_against(t, m->id, reference.id, p, &own, &ref, &v));
	must(herd_tally_add(t, g->id, p, &v, m->id, 1));
}

static void come(struct herd_txn *t, unsigned n, enum herd_role role)
{
	struct modelled *m = &herd[n];
	struct herd_group g;
	char name[16];

	must(herd_group_make(t, "web", &g));
	bool first = !g.reference;

	snprintf(name, sizeof(name), "i-%u", n);
	m->id = make_instance(t, &g, name, role);
	for (uint32_t p = 2; p <= PATHS; p++) {
		uint32_t plain = (uint32_t)(rnd() % 3 ? 2 : rnd() % 5);

		/* half of the paths hold tokens */
		m->plain[p] = plain;
		m->bytes[p] = !plain || p % 2 ? plain : plain + 256 * (n + 1);
	}
	if (first) {
		reference = *m;
		memset(looked, 0, sizeof(looked));
	}
	for (uint32_t p = 2; p <= PATHS; p++)
		if (!first)
			come_path(t, &g, m, p, role);
		else if (m->bytes[p])
			put_entry(t, m->id, p, m->bytes[p]);
}

static bool counts(unsigned n)
{
	return herd[n].id && n != baseline_name;
}

static void check_path(struct herd_txn *t, const struct herd_group *g,
		       uint32_t p)
{
	struct herd_tally *tallies CLEANUP_FREE = NULL;
	uint32_t want[8] = { 0 }, tokens = 0, kinds = 0, sum = 0;
	size_t n = 99;

	for (unsigned i = 0; i < NAMES; i++) {
		if (!counts(i))
			continue;
		kinds += !want[herd[i].plain[p]]++;
		tokens += herd[i].plain[p] == reference.plain[p] &&
			  herd[i].bytes[p] != reference.bytes[p];
	}
	must(herd_tally_get(t, g, p, &tallies, &n));
	assert_int_equal(n, kinds);
	for (size_t i = 0; i < n; i++) {
		const struct herd_variant *v = &tallies[i].variant;
		/* an odd path, or one that nobody has differed at, may show
		   the reference's with its tokens */
		uint32_t plain = v->absent ? 0 : v->digest[0];

		assert_in_range(plain, 0, 7);
		assert_int_equal(tallies[i].count, want[plain]);
		sum += tallies[i].count;
		if (plain == reference.plain[p])
			assert_int_equal(tallies[i].tokens, tokens);
		else
			assert_int_equal(tallies[i].tokens, 0);
		if (plain && looked[p])
			assert_int_equal(v->sort, 1 + plain % 5);
		want[plain] = 0;
	}
	assert_int_equal(sum, g->members);
}

static void check_herd(struct herd_txn *t)
{
	struct herd_group g;
	struct herd_look look;

	if (herd_group_find(t, "web", &g))
		return;
	for (uint32_t p = 2; p <= PATHS; p++) {
		check_path(t, &g, p);
		if (!looked[p] || !reference.bytes[p])
			continue;
		must(herd_look_get(t, reference.id, p, &look));
		assert_int_equal(look.normal,
				 reference.bytes[p] != reference.plain[p]);
	}
}

static int only_meta(void *arg, const char *table, const void *key,
		     size_t key_len, const void *value, size_t value_len)
{
	(void)arg;
	(void)key;
	(void)key_len;
	(void)value;
	(void)value_len;
	assert_string_equal(table, "meta");
	return 0;
}

static void go(struct herd_txn *t, unsigned n)
{
	uint32_t id = herd[n].id;
	struct herd_look look;

	must(herd_instance_remove(t, id));
	if (id != reference.id)	/* its looks go with it */
		for (uint32_t p = 2; p <= PATHS; p++)
			assert_int_equal(herd_look_get(t, id, p, &look),
					 -ENOENT);
	herd[n].id = 0;
}

static bool anybody(void)
{
	for (unsigned n = 0; n < NAMES; n++)
		if (herd[n].id)
			return true;
	return false;
}

static void come_and_go(bool baseline)
{
	struct herd_store *s = open_writer();

	memset(herd, 0, sizeof(herd));
	baseline_name = baseline ? 0 : NAMES;
	for (unsigned round = 0; round < 400; round++) {
		struct herd_txn *t = begin(s, true);
		unsigned n = (unsigned)(rnd() % NAMES);

		if (herd[n].id)
			go(t, n);
		else
			come(t, n, n == baseline_name ? HERD_ROLE_BASELINE :
							HERD_ROLE_MEMBER);
		commit(t);
		t = begin(s, false);
		check_herd(t);
		if (!anybody())
			must(herd_store_dump(t, only_meta, NULL));
		herd_txn_abort(t);
	}
	struct herd_txn *t = begin(s, true);

	for (unsigned n = 0; n < NAMES; n++)
		if (herd[n].id)
			go(t, n);
	/* kept texts and tokens, too: nothing at all stays */
	must(herd_store_dump(t, only_meta, NULL));
	commit(t);
	herd_store_close(s);
}

static void test_come_and_go(void **state)
{
	(void)state;
	come_and_go(false);
}

static void test_with_baseline(void **state)
{
	(void)state;
	come_and_go(true);
}

/* What was looked at goes with its instance and its group. */
static void test_all_goes(void **state)
{
	struct herd_store *s = open_writer();
	struct herd_txn *t = begin(s, true);
	const uint8_t digest[32] = { 9 };
	struct herd_group g;
	const void *got;
	size_t len;

	(void)state;
	must(herd_group_make(t, "web", &g));
	uint32_t a = make_instance(t, &g, "a", HERD_ROLE_MEMBER);
	uint32_t b = make_instance(t, &g, "b", HERD_ROLE_MEMBER);

	must(herd_tokens_put(t, a, "x", 1));
	must(herd_tokens_put(t, b, "y", 1));
	put_look(t, a, 2, 1, true);
	put_look(t, b, 2, 1, true);
	must(herd_kept_put(t, g.id, digest, "text", 4));
	must(herd_instance_remove(t, b));
	assert_int_equal(herd_tokens_get(t, b, &got, &len), -ENOENT);
	must(herd_tokens_get(t, a, &got, &len));
	must(herd_kept_get(t, g.id, digest, &got, &len));
	must(herd_instance_remove(t, a));
	must(herd_store_dump(t, only_meta, NULL));
	commit(t);
	herd_store_close(s);
}

/* Some of the members counted elsewhere: what is left has the reference's. */
static void test_complete(void **state)
{
	struct herd_store *s = open_writer();
	struct herd_txn *t = begin(s, true);
	struct herd_tally v[4];
	struct herd_variant ref, other;
	struct herd_group g;
	size_t n = 3;

	(void)state;
	must(herd_group_make(t, "web", &g));
	uint32_t a = make_instance(t, &g, "a", HERD_ROLE_MEMBER);
	uint32_t b = make_instance(t, &g, "b", HERD_ROLE_MEMBER);

	put_entry(t, a, 2, 3);
	put_entry(t, b, 2, 4);
	put_look(t, a, 2, 1, true);
	must(herd_variant_get(t, a, a, 2, &ref));
	must(herd_variant_get(t, b, a, 2, &other));
	v[1] = (struct herd_tally){ .variant = ref, .count = 2, .holder = b };
	v[2] = (struct herd_tally){ .variant = other, .count = 3, .holder = 9 };
	must(herd_tally_complete(t, &g, 2, 6, v, &n));
	assert_int_equal(n, 2);
	assert_int_equal(v[0].count, 3);
	assert_int_equal(v[0].tokens, 2);
	assert_int_equal(v[0].holder, a);
	assert_int_equal(v[1].count, 3);
	/* all of them by their tokens */
	v[1] = (struct herd_tally){ .variant = ref, .count = 4, .holder = b };
	n = 2;
	must(herd_tally_complete(t, &g, 2, 4, v, &n));
	assert_int_equal(n, 1);
	assert_int_equal(v[0].count, 4);
	assert_int_equal(v[0].tokens, 4);
	assert_int_equal(v[0].holder, b);
	/* nobody has the reference's */
	v[1] = (struct herd_tally){ .variant = other, .count = 4, .holder = b };
	n = 2;
	must(herd_tally_complete(t, &g, 2, 4, v, &n));
	assert_int_equal(n, 1);
	assert_true(herd_variant_equal(&v[0].variant, &other));
	/* more than there are members, also beyond 32 bits */
	v[1].count = v[2].count = UINT32_MAX;
	n = 3;
	assert_int_equal(herd_tally_complete(t, &g, 2, 4, v, &n), -EBADMSG);
	herd_txn_abort(t);
	herd_store_close(s);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, fixture_setup, fixture_teardown)
	const struct CMUnitTest tests[] = {
		T(test_round_trip), T(test_kept), T(test_tokens),
		T(test_damaged), T(test_variants), T(test_sparse),
		T(test_come_and_go), T(test_with_baseline), T(test_all_goes),
		T(test_complete),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
