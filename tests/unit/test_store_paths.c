/* SPDX-License-Identifier: Apache-2.0 */
/* The path dictionary: names of every length, forms, limits, circles. */
#include "store_fixture.h"

#define PATHS 3000

static void test_paths(void **state)
{
	struct herd_store *s = open_writer();
	struct herd_txn *t = begin(s, true);
	static uint32_t ids[PATHS], parents[PATHS];
	static char names[PATHS][HERD_NAME_MAX + 1];
	uint32_t id;

	(void)state;
	for (unsigned i = 0; i < PATHS; i++) {
		size_t len = rnd() % 8 ? 8 + rnd() % 20 :
			     460 + rnd() % (HERD_NAME_MAX - 460 + 1);

		/* long ones differ in their last byte only */
		memset(names[i], 'n', len);
		snprintf(names[i] + len - 6, 7, "%06u", i);
		names[i][0] = (char)0xfe;
		parents[i] = i ? ids[rnd() % i] : HERD_PATH_ROOT;
		if (i % 500 == 499) {
			commit(t);
			t = begin(s, true);
		}
		must(herd_path_intern(t, parents[i], names[i], len, &ids[i]));
		assert_int_equal(ids[i], i + 2);
	}
	commit(t);
	t = begin(s, true);
	for (unsigned i = 0; i < PATHS; i++) {
		struct herd_buf b CLEANUP_BUF = HERD_BUF_INIT;
		const char *name;
		uint32_t parent;
		size_t len;

		must(herd_path_find(t, parents[i], names[i], strlen(names[i]),
				    &id));
		assert_int_equal(id, ids[i]);
		must(herd_path_intern(t, parents[i], names[i],
				      strlen(names[i]), &id));
		assert_int_equal(id, ids[i]);
		must(herd_path_get(t, ids[i], &parent, &name, &len));
		assert_int_equal(parent, parents[i]);
		assert_int_equal(len, strlen(names[i]));
		assert_memory_equal(name, names[i], len);
		must(herd_path_full(t, ids[i], &b));
		must(herd_path_resolve(t, (char *)b.data, b.len, &id));
		assert_int_equal(id, ids[i]);
	}
	herd_txn_abort(t);
	herd_store_close(s);
}

static void test_path_forms(void **state)
{
	struct herd_buf b CLEANUP_BUF = HERD_BUF_INIT;
	struct herd_store *s = open_writer();
	struct herd_txn *t = begin(s, true);
	uint32_t etc, passwd, id;

	(void)state;
	must(herd_path_intern(t, HERD_PATH_ROOT, "etc", 3, &etc));
	must(herd_path_intern(t, etc, "passwd", 6, &passwd));
	herd_buf_put(&b, "x:", 2);
	must(herd_path_full(t, passwd, &b));
	assert_int_equal(b.len, 12);
	assert_memory_equal(b.data, "x:etc/passwd", 12);
	must(herd_path_full(t, HERD_PATH_ROOT, &b));
	assert_int_equal(b.len, 12);
	must(herd_path_resolve(t, "//etc///passwd/", 15, &id));
	assert_int_equal(id, passwd);
	must(herd_path_resolve(t, "/", 1, &id));
	assert_int_equal(id, HERD_PATH_ROOT);
	assert_int_equal(herd_path_resolve(t, "etc/shadow", 10, &id), -ENOENT);
	assert_int_equal(herd_path_intern(t, etc, "a/b", 3, &id), -EINVAL);
	assert_int_equal(herd_path_intern(t, etc, "a\0b", 3, &id), -EINVAL);
	assert_int_equal(herd_path_intern(t, etc, "", 0, &id), -EINVAL);
	assert_int_equal(herd_path_intern(t, 99, "a", 1, &id), -EINVAL);
	assert_int_equal(herd_path_intern(t, 0, "a", 1, &id), -EINVAL);
	assert_int_equal(herd_path_full(t, 99, &b), -ENOENT);
	herd_txn_abort(t);
	herd_store_close(s);
}

static int deep(struct herd_txn *t, unsigned depth, uint32_t *ret)
{
	uint32_t id = HERD_PATH_ROOT;
	int r = 0;

	for (unsigned i = 0; i < depth && !r; i++)
		r = herd_path_intern(t, id, "d", 1, &id);
	*ret = id;
	return r;
}

static void test_path_limits(void **state)
{
	struct herd_buf b CLEANUP_BUF = HERD_BUF_INIT;
	struct herd_store *s = open_writer();
	struct herd_txn *t = begin(s, true);
	uint8_t key[4], value[5] = "....x";
	uint32_t id;

	(void)state;
	must(deep(t, 4096, &id));
	must(herd_path_full(t, id, &b));
	assert_int_equal(b.len, 2 * 4096 - 1);
	must(deep(t, 4097, &id));
	b.len = 0;
	assert_int_equal(herd_path_full(t, id, &b), -EOVERFLOW);
	/* a circle: 10 under 20, 20 under 10 */
	herd_key32(key, 10);
	herd_key32(value, 20);
	must(herd_table_put(t, TABLE_PATH, key, 4, value, 5));
	herd_key32(key, 20);
	herd_key32(value, 10);
	must(herd_table_put(t, TABLE_PATH, key, 4, value, 5));
	assert_int_equal(herd_path_full(t, 20, &b), -EBADMSG);
	assert_int_equal(herd_path_full(t, 10, &b), -EBADMSG);
	assert_int_equal(b.len, 0);
	herd_txn_abort(t);
	herd_store_close(s);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, fixture_setup, fixture_teardown)
	const struct CMUnitTest tests[] = {
		T(test_paths), T(test_path_forms), T(test_path_limits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
