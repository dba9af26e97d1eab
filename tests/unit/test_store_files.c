/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The store as files: what may be opened, who may write, the growing of the
 * map. What goes wrong with them is in test_store_damage.c.
 */
#include "store_fixture.h"
#include "acquire/confine.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/wait.h>

static unsigned count_files(void)
{
	unsigned n = 0;
	DIR *d = opendir(fixture_dir);

	while (readdir(d))
		n++;
	closedir(d);
	return n - 2;
}

/* ---- opening ---- */

static void test_nothing_there(void **state)
{
	struct herd_store *s;

	(void)state;
	assert_int_equal(open_as(0), -ENOENT);
	assert_int_equal(open_as(HERD_STORE_WRITE), -ENOENT);
	assert_int_equal(count_files(), 0);
	assert_int_equal(herd_store_open("/nonexistent/x", 0, &s, NULL),
			 -ENOENT);
	/* a creation that was killed at once */
	write_file("data.mdb", "", 0);
	assert_int_equal(open_as(0), -ENOENT);
	must(open_as(HERD_STORE_CREATE | HERD_STORE_WRITE));
	must(open_as(0));
}

static void test_something_else(void **state)
{
	(void)state;
	write_file("holiday.jpg", "x", 1);
	assert_int_equal(open_as(HERD_STORE_CREATE | HERD_STORE_WRITE),
			 -ENOTEMPTY);
	assert_non_null(strstr(fixture_diag.message, "holiday.jpg"));
	assert_int_equal(count_files(), 1);
	write_file("data.mdb", "this is no database, and short", 30);
	assert_int_equal(open_as(HERD_STORE_CREATE | HERD_STORE_WRITE),
			 -EBADMSG);
	assert_int_equal(open_as(0), -EBADMSG);
	assert_int_equal(count_files(), 2);
}

/* Somebody else's LMDB. */
static void test_foreign_database(void **state)
{
	MDB_val k = { 1, (void *)"k" }, v = { 1, (void *)"v" };
	char path[400];
	MDB_env *env;
	MDB_txn *txn;
	MDB_dbi dbi;

	(void)state;
	assert_int_equal(mdb_env_create(&env), 0);
	assert_int_equal(mdb_env_open(env, fixture_dir, 0, 0644), 0);
	assert_int_equal(mdb_txn_begin(env, NULL, 0, &txn), 0);
	assert_int_equal(mdb_dbi_open(txn, NULL, 0, &dbi), 0);
	assert_int_equal(mdb_put(txn, dbi, &k, &v, 0), 0);
	assert_int_equal(mdb_txn_commit(txn), 0);
	mdb_env_close(env);
	snprintf(path, sizeof(path), "%s/lock.mdb", fixture_dir);
	unlink(path);
	assert_int_equal(open_as(HERD_STORE_CREATE | HERD_STORE_WRITE),
			 -EBADMSG);
	assert_non_null(strstr(fixture_diag.message, "something else"));
	assert_int_equal(open_as(0), -EBADMSG);
	assert_int_equal(count_files(), 1);
}

static void test_newer_schema(void **state)
{
	struct herd_store *s = open_writer();
	struct herd_txn *t = begin(s, true);

	(void)state;
	must(herd_table_put(t, TABLE_META, "schema", 6, "\0\0\0\6", 4));
	commit(t);
	herd_store_close(s);
	for (unsigned flags = 0; flags < 4; flags++) {
		assert_int_equal(open_as(flags), -EPROTO);
		assert_string_equal(fixture_diag.message,
				    "has schema 6, this herdfs reads 5");
	}
}

static void test_default_dir(void **state)
{
	char buf[64], *home = strdup(getenv("HOME") ? getenv("HOME") : "/");

	(void)state;
	setenv("HERDFS_STORE", "/a/b", 1);
	setenv("XDG_DATA_HOME", "/x", 1);
	setenv("HOME", "/h", 1);
	must(herd_store_default_dir(buf, sizeof(buf)));
	assert_string_equal(buf, "/a/b");
	assert_int_equal(herd_store_default_dir(buf, 3), -ENAMETOOLONG);
	unsetenv("HERDFS_STORE");
	must(herd_store_default_dir(buf, sizeof(buf)));
	assert_string_equal(buf, "/x/herdfs");
	unsetenv("XDG_DATA_HOME");
	must(herd_store_default_dir(buf, sizeof(buf)));
	assert_string_equal(buf, "/h/.local/share/herdfs");
	unsetenv("HOME");
	assert_int_equal(herd_store_default_dir(buf, sizeof(buf)), -ENOENT);
	setenv("HOME", home, 1);
	free(home);
}

/* ---- who may write ---- */

static void test_second_writer(void **state)
{
	struct herd_store *s = open_writer();
	struct herd_txn *t;
	char want[64];

	(void)state;
	snprintf(want, sizeof(want), "is being written by process %ld",
		 (long)getpid());
	pid_t pid = fork();

	if (!pid) {
		int r = open_as(HERD_STORE_WRITE);

		_exit(r != -EBUSY || strcmp(fixture_diag.message, want) ||
		      open_as(0));	/* a reader is welcome */
	}
	int status;

	waitpid(pid, &status, 0);
	assert_int_equal(status, 0);
	herd_store_close(s);
	must(open_as(HERD_STORE_WRITE));
	must(herd_store_open(fixture_dir, 0, &s, &fixture_diag));
	assert_int_equal(herd_txn_begin(s, true, &t, NULL), -EROFS);
	herd_store_close(s);
}

/* A reader that may not write the lock file, as on a read-only medium. */
static void test_read_only_owner(void **state)
{
	struct herd_store *s = open_writer();
	struct herd_txn *t = begin(s, true);
	struct herd_group g;
	char path[400];
	int status;

	(void)state;
	if (geteuid()) {
		herd_txn_abort(t);
		herd_store_close(s);
		print_message("needs root, to become somebody else\n");
		skip();
	}
	must(herd_group_make(t, "web", &g));
	commit(t);
	herd_store_close(s);
	/* as its owner would who lets others read it */
	chmod(fixture_dir, 0755);
	snprintf(path, sizeof(path), "%s/data.mdb", fixture_dir);
	chmod(path, 0644);
	snprintf(path, sizeof(path), "%s/lock.mdb", fixture_dir);
	chmod(path, 0644);
	for (int round = 0; round < 2; round++) {
		pid_t pid = fork();

		if (!pid) {
			if (setgid(65534) || setuid(65534))
				_exit(2);
			if (open_as(HERD_STORE_WRITE) != -EACCES)
				_exit(3);
			if (herd_store_open(fixture_dir, 0, &s, &fixture_diag))
				_exit(4);
			t = begin(s, false);
			_exit(herd_group_find(t, "web", &g) ? 5 : 0);
		}
		waitpid(pid, &status, 0);
		assert_int_equal(status, 0);
		unlink(path);	/* once more without one */
	}
}

/* ---- the map ---- */

static void test_map_grows(void **state)
{
	uint32_t id = 1;

	(void)state;
	herd_store_set_first_map(256 << 10);
	struct herd_store *s = open_writer();

	for (id = 1; id <= 4; id++) {
		must(herd_store_update(s, many_entries, &id, &fixture_diag));
		check_entries(s, id);
	}
	herd_store_close(s);
	must(herd_store_open(fixture_dir, 0, &s, &fixture_diag));
	check_entries(s, 3);
	herd_store_close(s);
}

/* While this process reads, its map stays; afterwards the work goes on. */
static void test_map_held_by_reader(void **state)
{
	uint32_t id = 1;

	(void)state;
	herd_store_set_first_map(256 << 10);
	struct herd_store *s = open_writer();
	struct herd_txn *t = begin(s, false);

	assert_int_equal(herd_store_update(s, many_entries, &id, &fixture_diag),
			 -EBUSY);
	assert_non_null(strstr(fixture_diag.message, "reads"));
	herd_diag_clear(&fixture_diag);
	herd_txn_abort(t);
	must(herd_store_update(s, many_entries, &id, &fixture_diag));
	check_entries(s, 1);
	herd_store_close(s);
}

/* A reader that was there first sees what another process adds later. */
static void test_map_followed(void **state)
{
	struct herd_store *s = open_writer();
	uint32_t id = 1;
	int status, go[2];

	(void)state;
	herd_store_close(s);
	assert_int_equal(pipe(go), 0);
	pid_t pid = fork();

	if (!pid) {
		char c;

		must(herd_store_open(fixture_dir, 0, &s, &fixture_diag));
		if (read(go[0], &c, 1) != 1)
			_exit(1);
		check_entries(s, 1);
		herd_store_close(s);
		_exit(0);
	}
	s = open_writer();
	must(herd_store_update(s, many_entries, &id, &fixture_diag));
	assert_int_equal(write(go[1], "x", 1), 1);
	waitpid(pid, &status, 0);
	assert_int_equal(status, 0);
	close(go[0]);
	close(go[1]);
	herd_store_close(s);
}

/* Everything must work in a process that has locked itself in after opening. */
static void test_confined(void **state)
{
	struct herd_confinement nothing = { .connected_sockets = false };
	char missing[256];
	int status;

	(void)state;
	herd_store_set_first_map(256 << 10);
	pid_t pid = fork();

	if (!pid) {
		struct herd_store *s = open_writer();
		struct herd_txn *old = begin(s, false);
		uint32_t id = 1;

		herd_txn_abort(old);
		must(herd_confine(&nothing, missing, sizeof(missing),
				  &fixture_diag));
		must(herd_store_update(s, many_entries, &id, &fixture_diag));
		id = 2;
		must(herd_store_update(s, many_entries, &id, &fixture_diag));
		check_entries(s, 2);
		herd_store_close(s);
		_exit(0);
	}
	waitpid(pid, &status, 0);
	assert_int_equal(status, 0);
	pid = fork();
	if (!pid) {
		struct herd_store *s;

		must(herd_store_open(fixture_dir, 0, &s, &fixture_diag));
		must(herd_confine(&nothing, missing, sizeof(missing),
				  &fixture_diag));
		check_entries(s, 1);	/* the first transaction too */
		herd_store_close(s);
		_exit(0);
	}
	waitpid(pid, &status, 0);
	assert_int_equal(status, 0);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, fixture_setup, fixture_teardown)
	const struct CMUnitTest tests[] = {
		T(test_nothing_there), T(test_something_else),
		T(test_foreign_database), T(test_newer_schema),
		T(test_default_dir), T(test_second_writer),
		T(test_read_only_owner), T(test_map_grows),
		T(test_map_held_by_reader), T(test_map_followed),
		T(test_confined),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
