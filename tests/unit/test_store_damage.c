/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Files that were cut or changed, processes that were killed, disks that are
 * full: one clear error, and nothing harmed.
 */
#include "store_fixture.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/statvfs.h>
#include <sys/wait.h>

/* ---- damage ---- */

static int ignore(void *arg, const char *table, const void *key,
		  size_t key_len, const void *value, size_t value_len)
{
	volatile uint8_t sum = 0;

	(void)arg;
	(void)table;
	for (size_t i = 0; i < key_len; i++)
		sum += ((const uint8_t *)key)[i];
	for (size_t i = 0; i < value_len; i++)
		sum += ((const uint8_t *)value)[i];
	return 0;
}

/* In a child: 0 read to its end, 1 refused with -EBADMSG, else dead. */
static int try_damaged(void)
{
	int status;
	pid_t pid = fork();

	if (!pid) {
		struct herd_store *s;
		struct herd_txn *t;
		int r = herd_store_open(fixture_dir, 0, &s, &fixture_diag);

		if (r)
			_exit(r == -EBADMSG ? 1 : 2);
		if (herd_txn_begin(s, false, &t, &fixture_diag))
			_exit(3);
		_exit(herd_store_dump(t, ignore, NULL) ? 4 : 0);
	}
	waitpid(pid, &status, 0);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -status;
}

static void test_cut_short(void **state)
{
	struct herd_store *s = open_writer();
	uint32_t id = 1;
	size_t len;
	char path[400];

	(void)state;
	must(herd_store_update(s, many_entries, &id, &fixture_diag));
	herd_store_close(s);
	assert_int_equal(try_damaged(), 0);
	void *data = read_data(&len);

	snprintf(path, sizeof(path), "%s/data.mdb", fixture_dir);
	for (size_t i = 0; i < 40; i++) {
		size_t cut = i < 20 ? 1 + i * 700 : len * (i - 19) / 21;

		assert_int_equal(truncate(path, (off_t)cut), 0);
		assert_int_equal(try_damaged(), 1);
		write_file("data.mdb", data, len);
	}
	/* by one byte */
	assert_int_equal(truncate(path, (off_t)len - 1), 0);
	assert_int_equal(try_damaged(), 1);
	assert_int_equal(open_as(HERD_STORE_WRITE), -EBADMSG);
	assert_non_null(strstr(fixture_diag.message, "cut short"));
	free(data);
}

/*
 * Pages at the end that a transaction took and gave back were never written:
 * such a file is short and whole.
 */
static void test_short_but_whole(void **state)
{
	struct herd_store *s = open_writer();
	uint8_t *big = calloc(1, 16 << 20);
	struct herd_txn *t;
	MDB_envinfo info;
	struct stat st;
	char path[400];
	uint32_t id = 1;

	(void)state;
	/* LMDB drops such pages only when it has free ones from before */
	for (int i = 0; i < 3; i++)
		must(herd_store_update(s, many_entries, &id, &fixture_diag));
	t = begin(s, true);
	put_entry(t, 1, 1, 1);
	must(herd_table_put(t, TABLE_META, "big", 3, big, 16 << 20));
	must(herd_table_del(t, TABLE_META, "big", 3));
	put_entry(t, 1, 1, 1);
	commit(t);
	free(big);
	assert_int_equal(mdb_env_info(s->env, &info), 0);
	herd_store_close(s);
	snprintf(path, sizeof(path), "%s/data.mdb", fixture_dir);
	assert_int_equal(stat(path, &st), 0);
	/* else this tests nothing */
	assert_true((size_t)st.st_size < (info.me_last_pgno + 1) * 4096);
	assert_int_equal(try_damaged(), 0);
	s = open_writer();
	id = 2;
	must(herd_store_update(s, many_entries, &id, &fixture_diag));
	check_entries(s, 2);
	herd_store_close(s);
	/* but not when a page that is in use goes as well */
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(truncate(path, st.st_size / 2), 0);
	assert_int_equal(try_damaged(), 1);
}

static void test_bad_header(void **state)
{
	struct herd_store *s = open_writer();
	uint32_t id = 1;
	size_t len;

	(void)state;
	must(herd_store_update(s, many_entries, &id, &fixture_diag));
	herd_store_close(s);
	uint8_t *data = read_data(&len);

	for (size_t i = 0; i < 24; i++) {
		if (i < 16 && i != 10)
			continue;	/* of the page header only the flags */
		data[i] ^= 0x5a;
		write_file("data.mdb", data, len);
		assert_int_equal(try_damaged(), 1);
		data[i] ^= 0x5a;
	}
	free(data);
}

static int write_generation(struct herd_txn *t, void *arg,
			    struct herd_diag *diag)
{
	struct herd_buf b CLEANUP_BUF = HERD_BUF_INIT;
	uint32_t generation = *(uint32_t *)arg, id;
	char name[32];
	int r = 0;

	(void)diag;
	for (uint32_t p = 1; p <= 500 && !r; p++) {
		make_entry(generation, generation, &b);
		r = herd_entry_put(t, 1, p, b.data, b.len);
		snprintf(name, sizeof(name), "%u-%u", generation, p);
		if (!r)
			r = herd_path_intern(t, HERD_PATH_ROOT, name,
					     strlen(name), &id);
	}
	return r;
}

/* Reads all of it, then writes to it. As try_damaged. */
static int try_writing(void)
{
	int status;
	pid_t pid = fork();

	if (!pid) {
		struct herd_store *s;
		uint32_t id = 2;
		int r = herd_store_open(fixture_dir, HERD_STORE_WRITE, &s,
					&fixture_diag);

		if (r)
			_exit(r == -EBADMSG ? 1 : 2);
		r = herd_store_update(s, many_entries, &id, NULL);
		if (!r)
			r = herd_store_update(s, write_generation, &id, NULL);
		herd_store_close(s);
		_exit(r ? 3 : 0);
	}
	waitpid(pid, &status, 0);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -status;
}

/*
 * Bytes of pages changed at random: refused, or an error of a record, or not
 * noticed because nothing depends on them; nobody dies of it.
 */
static void test_flipped(void **state)
{
	struct herd_store *s = open_writer();
	uint32_t id = 1;
	size_t len, refused = 0;

	(void)state;
	srand(11);
	/* twice, for the sake of free pages */
	must(herd_store_update(s, many_entries, &id, &fixture_diag));
	must(herd_store_update(s, write_generation, &id, &fixture_diag));
	must(herd_store_update(s, many_entries, &id, &fixture_diag));
	herd_store_close(s);
	uint8_t *data = read_data(&len), *bad = malloc(len);

	for (int round = 0; round < 200; round++) {
		memcpy(bad, data, len);
		for (int n = 1 + rand() % 30; n; n--) {
			/* structure is at the beginning of pages */
			size_t page = (size_t)rand() % (len / 4096);
			size_t at = (size_t)rand() % (rand() % 2 ? 64 : 4096);

			if (round < 30)	/* the head, with fewer others */
				page = (size_t)rand() % 2;
			bad[page * 4096 + at] = (uint8_t)rand();
		}
		write_file("data.mdb", bad, len);
		int r = try_damaged();

		assert_in_range(r, 0, 4);
		refused += r == 1;
		r = try_writing();
		assert_in_range(r, 0, 3);
	}
	print_message("200 damaged, %zu refused at once\n", refused);
	free(bad);
	free(data);
}

/* ---- kill -9 ---- */

/* All of one generation, or the test fails. Returns it. */
static uint32_t check_generation(void)
{
	struct herd_store *s = open_writer();
	struct herd_txn *t = begin(s, false);
	uint32_t generation = 0, next;
	struct herd_entry e;

	for (uint32_t p = 1; p <= 500; p++) {
		int r = herd_entry_get_own(t, 1, p, &e);

		if (r == -ENOENT && p == 1)
			break;
		must(r);
		if (p == 1)
			generation = (uint32_t)e.ino;
		assert_int_equal(e.ino, generation);
	}
	must(herd_counter_peek(t, COUNTER_PATH, &next));
	assert_int_equal(next, 2 + 500 * generation);
	must(herd_store_dump(t, ignore, NULL));
	herd_txn_abort(t);
	herd_store_close(s);
	return generation;
}

/* Writes until it is killed; a byte for each commit. */
static void write_on(uint32_t generation, int told)
{
	struct herd_store *s = open_writer();

	for (;; generation++)
		if (herd_store_update(s, write_generation, &generation, NULL) ||
		    write(told, "x", 1) != 1)
			_exit(1);
}

static void test_kill(void **state)
{
	uint32_t generation = 0;

	(void)state;
	srand(7);
	for (int round = 0; round < 30; round++) {
		int told[2];
		char c;

		assert_int_equal(pipe(told), 0);
		pid_t pid = fork();

		if (!pid)
			write_on(generation + 1, told[1]);
		close(told[1]);
		/* every other one not before it has written something, the
		   rest perhaps while they open */
		if (round % 2)
			assert_int_equal(read(told[0], &c, 1), 1);
		usleep((useconds_t)(rand() % 30000));
		kill(pid, SIGKILL);
		waitpid(pid, NULL, 0);
		close(told[0]);
		uint32_t now = check_generation();

		assert_true(now >= generation + round % 2);
		generation = now;
	}
	print_message("30 kills, %u generations written\n", generation);
}

/* ---- full disks ---- */

static bool mount_small(void)
{
	return !geteuid() && !mount("tmpfs", fixture_dir, "tmpfs", 0,
				    "size=6m");
}

/* Leaves `left` bytes free. */
static void fill(size_t left)
{
	struct statvfs v;
	char path[400];

	snprintf(path, sizeof(path), "%s/lost+found", fixture_dir);
	assert_int_equal(statvfs(fixture_dir, &v), 0);
	size_t all = v.f_bavail * v.f_frsize;
	int fd = open(path, O_WRONLY | O_CREAT, 0644);

	assert_true(fd >= 0);
	assert_int_equal(fallocate(fd, 0, 0,
				   (off_t)(all > left ? all - left : 1)), 0);
	close(fd);
}

static void empty(void)
{
	char path[400];

	snprintf(path, sizeof(path), "%s/lost+found", fixture_dir);
	unlink(path);
}

static void expect_full(int r)
{
	char text[900];

	assert_int_equal(r, -ENOSPC);
	herd_diag_format(&fixture_diag, r, text, sizeof(text));
	assert_non_null(strstr(text, "store /"));
	assert_non_null(strstr(text, ": the disk is full; nothing was changed"));
	herd_diag_clear(&fixture_diag);
}

static void fill_up(size_t left)
{
	uint32_t one = 1, two = 2;
	struct herd_store *s = NULL;

	must(herd_store_open(fixture_dir, HERD_STORE_CREATE | HERD_STORE_WRITE,
			     &s, &fixture_diag));
	must(herd_store_update(s, many_entries, &one, &fixture_diag));
	fill(left);
	expect_full(herd_store_update(s, many_entries, &two, &fixture_diag));
	check_entries(s, 1);
	/* in this process as well as in the next */
	expect_full(herd_store_update(s, many_entries, &two, &fixture_diag));
	herd_store_close(s);
	must(open_as(0));
	empty();
	must(herd_store_open(fixture_dir, HERD_STORE_WRITE, &s, &fixture_diag));
	check_entries(s, 1);
	must(herd_store_update(s, many_entries, &two, &fixture_diag));
	check_entries(s, 2);
	herd_store_close(s);
}

static void test_disk_full(void **state)
{
	(void)state;
	for (size_t left = 0; left <= 900000; left += 150000 - 77) {
		if (!mount_small()) {
			print_message("needs root, to mount a small disk\n");
			skip();
		}
		fill_up(left);
		assert_int_equal(umount(fixture_dir), 0);
	}
}

static void test_create_on_full_disk(void **state)
{
	(void)state;
	for (size_t left = 0; left <= 200000; left += 8192) {
		if (!mount_small()) {
			print_message("needs root, to mount a small disk\n");
			skip();
		}
		fill(left);
		int r = open_as(HERD_STORE_CREATE | HERD_STORE_WRITE);

		assert_true(r == 0 || r == -ENOSPC);
		if (r)
			expect_full(r);
		empty();
		must(open_as(HERD_STORE_CREATE | HERD_STORE_WRITE));
		assert_int_equal(umount(fixture_dir), 0);
	}
}

/* A failed test must not leave its disk mounted. */
static int teardown(void **state)
{
	if (!geteuid())
		umount2(fixture_dir, MNT_DETACH);
	return fixture_teardown(state);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, fixture_setup, teardown)
	const struct CMUnitTest tests[] = {
		T(test_cut_short), T(test_short_but_whole), T(test_bad_header),
		T(test_flipped), T(test_kill), T(test_disk_full),
		T(test_create_on_full_disk),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
