/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The store's tables: round trips, and random operations against models in
 * memory. The dictionary of paths is in test_store_paths.c, opening in
 * test_store_files.c, the herd's statistics in test_store_herd.c.
 */
#include "store_fixture.h"

/* ---- groups and instances ---- */

static void test_groups(void **state)
{
	struct herd_store *s = open_writer();
	struct herd_txn *t = begin(s, true);
	struct herd_group g, again;
	char longest[HERD_GROUP_NAME_MAX + 2];

	(void)state;
	memset(longest, 'g', sizeof(longest));
	longest[HERD_GROUP_NAME_MAX + 1] = '\0';
	assert_int_equal(herd_group_find(t, "web", &g), -ENOENT);
	assert_int_equal(herd_group_make(t, "", &g), -EINVAL);
	assert_int_equal(herd_group_make(t, "..", &g), -EINVAL);
	assert_int_equal(herd_group_make(t, "a/b", &g), -EINVAL);
	assert_int_equal(herd_group_make(t, longest, &g), -EINVAL);
	longest[HERD_GROUP_NAME_MAX] = '\0';
	must(herd_group_make(t, longest, &g));
	assert_string_equal(g.name, longest);
	must(herd_group_make(t, "web", &g));
	must(herd_group_make(t, "web", &again));
	assert_int_equal(again.id, g.id);
	g.reference = 5;
	g.baseline = 6;
	g.members = 7;
	must(herd_group_put(t, &g));
	commit(t);
	t = begin(s, false);
	must(herd_group_find(t, "web", &again));
	assert_memory_equal(&g, &again, sizeof(g));
	assert_int_equal(herd_group_get(t, 99, &again), -ENOENT);
	herd_txn_abort(t);
	herd_store_close(s);
}

static void check_disks(const struct herd_instance *a,
			const struct herd_instance *b)
{
	assert_int_equal(a->n_disks, b->n_disks);
	for (size_t i = 0; i < a->n_disks; i++) {
		const struct herd_image *x = &a->disks[i], *y = &b->disks[i];

		assert_string_equal(x->format, y->format);
		assert_int_equal(x->size, y->size);
		assert_int_equal(x->n_files, y->n_files);
		for (size_t k = 0; k < x->n_files; k++) {
			assert_string_equal(x->files[k].path, y->files[k].path);
			assert_int_equal(x->files[k].size, y->files[k].size);
			assert_true(x->files[k].mtime_sec ==
				    y->files[k].mtime_sec);
			assert_int_equal(x->files[k].mtime_nsec,
					 y->files[k].mtime_nsec);
			assert_memory_equal(x->files[k].ends, y->files[k].ends,
					    32);
		}
	}
}

static void check_volumes(const struct herd_instance *a,
			  const struct herd_instance *b)
{
	assert_int_equal(a->n_volumes, b->n_volumes);
	for (size_t i = 0; i < a->n_volumes; i++) {
		const struct herd_stored_volume *x = &a->volumes[i];
		const struct herd_stored_volume *y = &b->volumes[i];

		assert_int_equal(x->disk, y->disk);
		assert_int_equal(x->partition, y->partition);
		assert_int_equal(x->start, y->start);
		assert_int_equal(x->len, y->len);
		assert_string_equal(x->fs, y->fs);
		assert_string_equal(x->uuid, y->uuid);
		assert_string_equal(x->label ? x->label : "", y->label);
		assert_string_equal(x->mount, y->mount);
		assert_string_equal(x->note ? x->note : "", y->note);
		assert_int_equal(x->block_size, y->block_size);
		assert_memory_equal(x->geometry, y->geometry, 32);
		assert_int_equal(x->entries, y->entries);
		assert_int_equal(x->basis, y->basis);
	}
}

static struct herd_instance full_instance(uint32_t group)
{
	static struct herd_image_file files[2] = {
		{ (char *)"/images/i-1.qcow2", 123, -5, 999999999, { 1 } },
		{ (char *)"/images/\xff base.raw", UINT64_MAX, 1ll << 40, 0,
		  { 2 } },
	};
	static struct herd_image disks[2] = {
		{ (char *)"qcow2", 1ull << 40, files, 2, NULL },
		{ (char *)"raw", 1 << 20, files, 1, NULL },
	};
	static struct herd_stored_volume volumes[2] = {
		{ 0, 1, 1 << 20, 1ull << 35, (char *)"ext4", (char *)"u-u",
		  (char *)"root", (char *)"", (char *)"journal not replayed",
		  4096, { 9 }, { 7 }, 12345, HERD_BASIS_METADATA },
		{ 1, 0, 0, 1 << 20, (char *)"ntfs", (char *)"", NULL,
		  (char *)".volumes/1/p0", NULL, 512, { 8 }, { 0 }, 0,
		  HERD_BASIS_BLOCKS },
	};

	return (struct herd_instance){
		.group = group, .name = "i-1", .attached = 1700000000,
		.disks = disks, .n_disks = 2, .volumes = volumes,
		.n_volumes = 2, .entries = 1, .files = 2, .bytes = 3,
		.hashed_files = 4, .hashed_bytes = 5, .inherited_files = 6,
		.inherited_bytes = UINT64_MAX, .problems = 8,
	};
}

static void test_instances(void **state)
{
	struct herd_store *s = open_writer();
	struct herd_txn *t = begin(s, true);
	struct herd_instance i, got;
	struct herd_group g;

	(void)state;
	must(herd_group_make(t, "web", &g));
	i = full_instance(g.id);
	must(herd_instance_put(t, &i));
	assert_int_equal(i.id, 1);
	commit(t);
	t = begin(s, true);
	must(herd_instance_find(t, g.id, "i-1", &got));
	assert_int_equal(got.id, i.id);
	assert_int_equal(got.attached, i.attached);
	assert_int_equal(got.hashed_bytes, 5);
	assert_int_equal(got.inherited_bytes, UINT64_MAX);
	assert_int_equal(got.problems, 8);
	check_disks(&i, &got);
	check_volumes(&i, &got);
	/* a new name takes the place of the old one */
	snprintf(got.name, sizeof(got.name), "i-2");
	must(herd_instance_put(t, &got));
	herd_instance_deinit(&got);
	assert_int_equal(herd_instance_find(t, g.id, "i-1", &got), -ENOENT);
	must(herd_instance_find(t, g.id, "i-2", &got));
	herd_instance_deinit(&got);
	struct herd_instance other = { .group = g.id, .name = "i-2" };

	assert_int_equal(herd_instance_put(t, &other), -EEXIST);
	assert_int_equal(other.id, 0);
	other.group = 77;
	assert_int_equal(herd_instance_put(t, &other), -ENOENT);
	herd_txn_abort(t);
	herd_store_close(s);
}

/* Every cut and many flips of a record: refused, or something whole. */
static void test_hostile_record(void **state)
{
	struct herd_buf b CLEANUP_BUF = HERD_BUF_INIT;
	struct herd_instance i = full_instance(1), got;

	(void)state;
	must(herd_instance_encode(&i, &b));
	for (size_t n = 0; n < b.len; n++) {
		uint8_t *cut = malloc(n ? n : 1);

		memcpy(cut, b.data, n);
		assert_int_equal(herd_instance_decode(1, cut, n, &got),
				 -EBADMSG);
		free(cut);
	}
	for (int round = 0; round < 50000; round++) {
		uint8_t *bad = malloc(b.len);
		int flips = 1 + (int)(rnd() % 3);

		memcpy(bad, b.data, b.len);
		while (flips--)
			bad[rnd() % b.len] = (uint8_t)rnd();
		int r = herd_instance_decode(1, bad, b.len, &got);

		assert_true(!r || r == -EBADMSG);
		if (!r)
			herd_instance_deinit(&got);
		free(bad);
	}
}

static int count_problem(void *arg, const char *path, size_t path_len,
			 const char *text, size_t text_len)
{
	unsigned *n = arg;
	char want[32];

	snprintf(want, sizeof(want), "problem %u", *n);
	assert_int_equal(path_len, 3);
	assert_memory_equal(path, "a\nb", 3);
	assert_int_equal(text_len, strlen(want));
	assert_memory_equal(text, want, text_len);
	++*n;
	return 0;
}

static void test_problems(void **state)
{
	struct herd_store *s = open_writer();
	unsigned n = 0;

	(void)state;
	for (unsigned round = 0; round < 3; round++) {
		struct herd_txn *t = begin(s, true);

		for (unsigned i = 0; i < 100; i++) {
			char text[32];

			snprintf(text, sizeof(text), "problem %u",
				 round * 100 + i);
			must(herd_problem_add(t, 1, "a\nb", 3, text));
			must(herd_problem_add(t, 2, "", 0, "other"));
		}
		commit(t);
	}
	struct herd_txn *t = begin(s, false);

	must(herd_problem_each(t, 1, count_problem, &n));
	assert_int_equal(n, 300);
	herd_txn_abort(t);
	herd_store_close(s);
}

/* ---- entries ---- */

#define INSTANCES 6
#define ENTRY_PATHS 200

/* 0: none, 1: absent, else the variant */
static uint32_t model[INSTANCES + 1][ENTRY_PATHS + 1];

static int check_each(void *arg, uint32_t path, const void *encoded,
		      size_t len)
{
	uint32_t *at = arg;	/* [0] instance, [1] last path, [2] how many */

	assert_true(path > at[1]);
	at[1] = path;
	at[2]++;
	assert_true(model[at[0]][path] != 0);
	assert_true((len == 1) == (model[at[0]][path] == 1));
	(void)encoded;
	return 0;
}

static void check_model(struct herd_txn *t)
{
	struct herd_entry e;

	for (uint32_t i = 1; i <= INSTANCES; i++) {
		uint32_t at[3] = { i, 0, 0 }, own = 0;

		for (uint32_t p = 1; p <= ENTRY_PATHS; p++) {
			uint32_t want = model[i][p] ? model[i][p] : model[1][p];
			int r = herd_entry_get(t, i, 1, p, &e);

			own += model[i][p] != 0;
			assert_int_equal(r, want < 2 ? -ENOENT : 0);
			if (!r)
				assert_int_equal(e.digest[0], want & 0xff);
			r = herd_entry_get_own(t, i, p, &e);
			assert_int_equal(r, model[i][p] ? 0 : -ENOENT);
			if (!r)
				assert_int_equal(e.absent, model[i][p] == 1);
		}
		must(herd_entry_each(t, i, check_each, at));
		assert_int_equal(at[2], own);
	}
}

static void test_entries(void **state)
{
	struct herd_store *s = open_writer();
	static uint32_t before[INSTANCES + 1][ENTRY_PATHS + 1];

	(void)state;
	memset(model, 0, sizeof(model));
	for (unsigned round = 0; round < 60; round++) {
		struct herd_txn *t = begin(s, true);

		memcpy(before, model, sizeof(model));
		for (unsigned n = 0; n < 100; n++) {
			uint32_t i = 1 + (uint32_t)(rnd() % INSTANCES);
			uint32_t p = 1 + (uint32_t)(rnd() % ENTRY_PATHS);
			uint32_t v = 1 + (uint32_t)(rnd() % 200);

			model[i][p] = v;
			if (v == 1)
				put_absent(t, i, p);
			else
				put_entry(t, i, p, v);
		}
		check_model(t);
		if (rnd() % 4 == 0) {
			herd_txn_abort(t);
			memcpy(model, before, sizeof(model));
		} else {
			commit(t);
		}
		t = begin(s, false);
		check_model(t);
		herd_txn_abort(t);
	}
	herd_store_close(s);
}

static void test_lists(void **state)
{
	struct herd_store *s = open_writer();
	struct herd_txn *t = begin(s, true);
	uint32_t *ids = calloc(50000, sizeof(*ids));
	const void *got;
	size_t n;

	(void)state;
	for (uint32_t i = 0; i < 50000; i++)
		ids[i] = 7 * i + 1;
	must(herd_children_put(t, 1, 2, ids, 50000));
	must(herd_links_put(t, 1, 0, UINT64_MAX, ids + 1, 2));
	must(herd_children_get(t, 1, 2, &got, &n));
	assert_int_equal(n, 50000);
	assert_memory_equal(got, ids, n * 4);
	must(herd_links_get(t, 1, 0, UINT64_MAX, &got, &n));
	assert_int_equal(n, 2);
	assert_memory_equal(got, ids + 1, 8);
	assert_int_equal(herd_links_get(t, 1, 1, UINT64_MAX, &got, &n),
			 -ENOENT);
	must(herd_children_put(t, 1, 2, NULL, 0));
	assert_int_equal(herd_children_get(t, 1, 2, &got, &n), -ENOENT);
	ids[1] = ids[0];
	assert_int_equal(herd_children_put(t, 1, 2, ids, 2), -EINVAL);
	free(ids);
	herd_txn_abort(t);
	herd_store_close(s);
}

/* ---- owners ---- */

#define OWNERS 400

struct owner_model {
	uint64_t start, len;
	bool seen;
};
static struct owner_model owners[OWNERS];

static int see_owner(void *arg, uint64_t start, uint64_t len, uint64_t ino,
		     enum herd_owner_kind kind)
{
	(void)arg;
	assert_true(ino < OWNERS);
	assert_int_equal(kind, ino & 1);
	assert_int_equal(start, owners[ino].start);
	assert_int_equal(len, owners[ino].len);
	owners[ino].seen = true;
	return 0;
}

static void query_ranges(struct herd_txn *t, const struct herd_extents *e)
{
	for (unsigned i = 0; i < OWNERS; i++)
		owners[i].seen = false;
	must(herd_owner_each(t, 3, 1, e, see_owner, NULL));
	for (unsigned i = 0; i < OWNERS; i++)
		assert_int_equal(owners[i].seen,
				 herd_extents_overlap(e, owners[i].start,
						      owners[i].len));
}

static void query_owners(struct herd_txn *t, uint64_t start, uint64_t len)
{
	struct herd_extent one = { start, len };

	query_ranges(t, &(struct herd_extents){ .v = &one, .n = len > 0 });
}

/* Many ranges at once, near to one another or not. */
static void query_many(struct herd_txn *t)
{
	CLEANUP(herd_extents_deinit) struct herd_extents e = { 0 };
	unsigned shift = 2 + rnd() % 48;

	for (unsigned n = rnd() % 40; n; n--)
		must(herd_extents_add(&e, rnd() >> shift,
				      1 + (rnd() >> (shift + rnd() % 14))));
	herd_extents_normalise(&e);
	query_ranges(t, &e);
}

/* Lengths of every size, overlapping at will. */
static void test_owners(void **state)
{
	struct herd_store *s = open_writer();
	struct herd_txn *t = begin(s, true);

	(void)state;
	for (unsigned i = 0; i < OWNERS; i++) {
		struct owner_model *o = &owners[i];

		o->start = rnd() >> (2 + rnd() % 60);
		o->len = 1 + (rnd() >> (2 + rnd() % 62));
		must(herd_owner_put(t, 3, 1, o->start, o->len, i,
				    (enum herd_owner_kind)(i & 1)));
		/* neighbours in the table that must not show */
		must(herd_owner_put(t, 3, 0, o->start, o->len, i + 9999, 0));
		must(herd_owner_put(t, 3, 2, o->start, o->len, i + 9999, 0));
	}
	for (unsigned n = 0; n < 5000; n++)
		query_owners(t, rnd() >> (2 + rnd() % 62),
			     rnd() >> (2 + rnd() % 62));
	for (unsigned n = 0; n < 5000; n++)
		query_many(t);
	for (unsigned i = 0; i < OWNERS; i++) {
		query_owners(t, owners[i].start + owners[i].len - 1, 1);
		query_owners(t, owners[i].start + owners[i].len, 1);
		query_owners(t, owners[i].start, 1);
		query_owners(t, owners[i].start, 0);
	}
	assert_int_equal(herd_owner_put(t, 3, 1, 0, 0, 1, 0), -EINVAL);
	assert_int_equal(herd_owner_put(t, 3, 1, UINT64_MAX, 2, 1, 0), -EINVAL);
	herd_txn_abort(t);
	herd_store_close(s);
}

static void test_partial(void **state)
{
	struct herd_store *s = open_writer();
	struct herd_txn *t = begin(s, true);
	uint8_t key[32] = { 1 }, other[32] = { 2 }, digest[32] = { 3 }, got[32];
	uint8_t kind;

	(void)state;
	must(herd_partial_put(t, key, 0, 7, digest, HERD_DIGEST_SPARSE));
	must(herd_partial_put(t, other, 0, 7, digest, HERD_DIGEST_SHA256));
	must(herd_partial_get(t, key, 0, 7, got, &kind));
	assert_memory_equal(got, digest, 32);
	assert_int_equal(kind, HERD_DIGEST_SPARSE);
	assert_int_equal(herd_partial_get(t, key, 1, 7, got, &kind), -ENOENT);
	must(herd_partial_drop(t, key));
	assert_int_equal(herd_partial_get(t, key, 0, 7, got, &kind), -ENOENT);
	must(herd_partial_get(t, other, 0, 7, got, &kind));
	herd_txn_abort(t);
	herd_store_close(s);
}

/* ---- snapshots ---- */

static void test_snapshot(void **state)
{
	struct herd_store *s = open_writer();
	struct herd_txn *t = begin(s, true), *old[40];
	struct herd_entry e;

	(void)state;
	put_entry(t, 1, 5, 2);
	commit(t);
	for (unsigned i = 0; i < ARRAY_SIZE(old); i++) {
		old[i] = begin(s, false);
		assert_int_equal(herd_txn_id(old[i]), herd_txn_id(old[0]));
	}
	for (uint32_t v = 3; v < 50; v++) {
		t = begin(s, true);
		put_entry(t, 1, 5, v);
		commit(t);
	}
	for (unsigned i = 0; i < ARRAY_SIZE(old); i++) {
		must(herd_entry_get(old[i], 1, 1, 5, &e));
		assert_int_equal(e.digest[0], 2);
		herd_txn_abort(old[i]);
	}
	t = begin(s, false);
	must(herd_entry_get(t, 1, 1, 5, &e));
	assert_int_equal(e.digest[0], 49);
	herd_txn_abort(t);
	herd_store_close(s);
}

#define THREADS 8

struct reading {
	struct herd_store *store;
	_Atomic int failed;
};

static int write_some(struct herd_txn *t, void *arg, struct herd_diag *diag)
{
	(void)arg;
	(void)diag;
	return herd_entry_put(t, 2, 1, "\1", 1);
}

/* No cmocka in here: its assertions belong to the first thread. */
static void *read_often(void *arg)
{
	struct reading *job = arg;

	for (int i = 0; i < 300; i++) {
		struct herd_txn *t[3];
		struct herd_entry e;
		int last = 0;

		for (int k = 0; k < 3; k++) {
			if (herd_txn_begin(job->store, false, &t[k], NULL)) {
				job->failed = 1;
				return NULL;
			}
			/* later snapshots are later */
			if (herd_entry_get(t[k], 1, 1, 5, &e) ||
			    (int)e.ino < last)
				job->failed = 2;
			last = (int)e.ino;
		}
		for (int k = 0; k < 3; k++)
			herd_txn_abort(t[k]);
		if (i % 100 == 0 &&
		    herd_store_update(job->store, write_some, NULL, NULL))
			job->failed = 3;
	}
	return NULL;
}

/* Many readers, several transactions each, while all write in turn. */
static void test_threads(void **state)
{
	struct reading job = { .store = open_writer() };
	struct herd_buf b CLEANUP_BUF = HERD_BUF_INIT;
	pthread_t threads[THREADS];

	(void)state;
	for (uint32_t v = 1; v < 40; v++) {
		struct herd_txn *t = begin(job.store, true);

		make_entry(v, v, &b);
		must(herd_entry_put(t, 1, 5, b.data, b.len));
		commit(t);
		if (v == 1)
			for (int i = 0; i < THREADS; i++)
				assert_int_equal(pthread_create(&threads[i],
					NULL, read_often, &job), 0);
	}
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	assert_int_equal(job.failed, 0);
	herd_store_close(job.store);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, fixture_setup, fixture_teardown)
	const struct CMUnitTest tests[] = {
		T(test_groups), T(test_instances), T(test_hostile_record),
		T(test_problems), T(test_entries), T(test_lists),
		T(test_owners), T(test_partial), T(test_snapshot),
		T(test_threads),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
