/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The block cache among others: a limit, processes beside it, killed at any
 * moment, a full disk.
 */
#include "block_cache_fixture.h"

#include <signal.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>

#define A "snap-a"
#define B "snap-b"
#define LEN 32768u

/* ---- the limit ---- */

/* As if last used so many minutes ago. */
static void age(const uint8_t sha[HERD_SHA256_LEN], int minutes)
{
	time_t t = time(NULL) - 60 * minutes;
	struct timespec ts[2] = { { .tv_sec = t }, { .tv_sec = t } };

	assert_int_equal(utimensat(AT_FDCWD, content_at(sha), ts, 0), 0);
}

static void test_limit(void **state)
{
	struct herd_block_cache *c = open_cache(32 * LEN);
	struct herd_block_cache_stats s;

	(void)state;
	for (uint32_t i = 0; i < 200; i++) {
		must(put_seed(c, A, i, LEN, i, NULL));
		must(get_seed(c, A, i, LEN, i));
		assert_true(on_disk().bytes <= 32 * LEN);
	}
	s = stats_of(c);
	assert_int_equal(s.bytes, on_disk().bytes);
	assert_int_equal(s.contents, on_disk().contents);
	assert_int_equal(s.evicted, 200 - s.contents);
	assert_true(s.contents >= 28);
	for (uint32_t i = 0; i < 200; i++) {
		int err = get_seed(c, A, i, LEN, i);

		assert_true(!err || err == -ENOENT);
	}
	assert_int_equal(stats_of(c).misses, s.evicted);
	assert_int_equal(stats_of(c).damaged, 0);
	herd_block_cache_close(c);

	/* a lower one holds from the next put on */
	c = open_cache(4 * LEN);
	must(put_seed(c, A, 500, LEN, 500, NULL));
	must(get_seed(c, A, 500, LEN, 500));
	assert_true(on_disk().bytes <= 4 * LEN);
	herd_block_cache_close(c);

	c = open_cache(LEN - 1);
	assert_int_equal(put_seed(c, A, 501, LEN, 501, NULL), -ENOSPC);
	assert_int_equal(get_seed(c, A, 501, LEN, 501), -ENOENT);
	must(get_seed(c, A, 500, LEN, 500));
	herd_block_cache_close(c);
}

static void test_oldest_goes(void **state)
{
	uint8_t sha[20][HERD_SHA256_LEN], used[HERD_SHA256_LEN];
	struct herd_block_cache *c = open_cache(20 * LEN);

	(void)state;
	for (uint32_t i = 0; i < 20; i++) {
		must(put_seed(c, A, i, LEN, i, sha[i]));
		age(sha[i], 100 - (int)i);
	}
	must(get_seed(c, A, 0, LEN, 0));       /* the oldest is used */
	must(put_seed(c, B, 1, LEN, 1, used)); /* put for another */
	age(sha[19], -5000);		       /* a clock went wrong */
	must(put_seed(c, A, 20, LEN, 20, NULL));
	must(get_seed(c, A, 0, LEN, 0));
	must(get_seed(c, A, 1, LEN, 1));
	must(get_seed(c, A, 20, LEN, 20));
	assert_int_equal(get_seed(c, A, 2, LEN, 2), -ENOENT);
	assert_int_equal(get_seed(c, A, 3, LEN, 3), -ENOENT);
	assert_int_equal(get_seed(c, A, 19, LEN, 19), -ENOENT);
	for (uint32_t i = 4; i < 19; i++)
		must(get_seed(c, A, i, LEN, i));
	assert_int_equal(stats_of(c).evicted, 3);
	herd_block_cache_close(c);
}

/* The count's file is lost, or wrong in any way: it is counted anew. */
static void test_count_is_wrong(void **state)
{
	struct herd_block_cache *c = open_cache(16 * LEN);
	struct herd_bc_usage high = { .bytes = UINT64_MAX - 5,
				      .contents = UINT64_MAX };
	struct herd_bc_usage low = { 0 };

	(void)state;
	for (uint32_t i = 0; i < 120; i++) {
		must(put_seed(c, A, i, LEN, i, NULL));
		if (i % 8 == 1)
			assert_int_equal(unlink(at("usage")), 0);
		else if (i % 8 == 3)
			flip(at("usage"), i % 64);
		else if (i % 8 == 5)
			assert_int_equal(truncate(at("usage"), i % 64), 0);
		else if (i % 8 == 7)
			must(herd_bc_usage_write(c, &high));
		assert_true(on_disk().bytes <= 16 * LEN);
		must(get_seed(c, A, i, LEN, i));
	}
	/* too low, as from nobody's crash: right again after an eviction */
	must(herd_bc_usage_write(c, &low));
	for (uint32_t i = 200; i < 240; i++)
		must(put_seed(c, A, i, LEN, i, NULL));
	assert_true(on_disk().bytes <= 16 * LEN);
	assert_int_equal(stats_of(c).bytes, on_disk().bytes);
	herd_block_cache_close(c);
}

/* ---- others beside it ---- */

#define SHARED 64u

/* One process of several: puts and gets blocks that the others do as well. */
static int take_part(unsigned seed)
{
	struct herd_block_cache *c = NULL;

	if (herd_block_cache_open(cache_dir, 40 * LEN, &c, NULL))
		return 2;
	for (unsigned i = 0; i < 1500; i++) {
		seed = seed * 1103515245 + 12345;
		uint32_t index = seed >> 16 & (SHARED - 1);
		const char *snapshot = seed >> 24 & 1 ? A : B;
		int err =
			seed >> 25 & 1 ?
				put_seed(c, snapshot, index, LEN, index, NULL) :
				get_seed(c, snapshot, index, LEN, index);

		if (err && err != -ENOENT) {
			fprintf(stderr, "%s %u: %s\n", snapshot, index,
				strerror(-err));
			return 3;
		}
	}
	unsigned damaged = (unsigned)stats_of(c).damaged;

	herd_block_cache_close(c);
	return damaged ? 4 : 0;
}

static void *thread_part(void *arg)
{
	return take_part((unsigned)(uintptr_t)arg) ? arg : NULL;
}

static void test_processes(void **state)
{
	pid_t pid[4];

	(void)state;
	for (unsigned i = 0; i < 4; i++) {
		pid[i] = fork();
		assert_true(pid[i] >= 0);
		if (!pid[i])
			_exit(take_part(i * 7919 + 1));
	}
	for (unsigned i = 0; i < 4; i++) {
		int status;

		assert_int_equal(waitpid(pid[i], &status, 0), pid[i]);
		assert_int_equal(status, 0);
	}
	struct herd_block_cache *c = open_cache(0);

	assert_true(on_disk().bytes <= 40 * LEN);
	assert_int_equal(stats_of(c).bytes, on_disk().bytes);
	assert_int_equal(stats_of(c).contents, on_disk().contents);
	assert_int_equal(count_dir(at("tmp")), 0);
	herd_block_cache_close(c);
}

static struct herd_block_cache *shared;

static void *thread_shared(void *arg)
{
	unsigned seed = (unsigned)(uintptr_t)arg;

	for (unsigned i = 0; i < 800; i++) {
		seed = seed * 1103515245 + 12345;
		uint32_t index = seed >> 16 & (SHARED - 1);
		int err = seed >> 25 & 1 ?
				  put_seed(shared, A, index, LEN, index, NULL) :
				  get_seed(shared, A, index, LEN, index);

		if (err && err != -ENOENT)
			return arg;
	}
	return NULL;
}

/* Threads with one handle, and threads with one each. */
static void test_threads(void **state)
{
	pthread_t t[6];
	void *failed;

	(void)state;
	shared = open_cache(40 * LEN);
	for (uintptr_t i = 0; i < 6; i++)
		assert_int_equal(pthread_create(&t[i], NULL,
						i < 4 ? thread_shared :
							thread_part,
						(void *)(i * 104729 + 3)),
				 0);
	for (unsigned i = 0; i < 6; i++) {
		pthread_join(t[i], &failed);
		assert_null(failed);
	}
	assert_int_equal(stats_of(shared).damaged, 0);
	assert_int_equal(stats_of(shared).bytes, on_disk().bytes);
	herd_block_cache_close(shared);
	assert_int_equal(count_dir(at("tmp")), 0);
}

/* ---- killed ---- */

/* Writes until it is killed: blocks that others have and others do not have,
   lists, and more than the limit. */
static void write_on(unsigned seed)
{
	uint32_t v[] = { 1, 2, 3 };
	char *tokens[] = { "a", "b", "c" };
	struct herd_block_list l = { .block_size = LEN,
				     .volume_size = 1u << 20,
				     .indexes = v,
				     .tokens = tokens,
				     .n = 3 };
	struct herd_block_cache *c = NULL;

	/* a test that fails leaves nobody behind who writes for ever */
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (herd_block_cache_open(cache_dir, 48 * LEN, &c, NULL))
		_exit(1);
	for (;;) {
		seed = seed * 1103515245 + 12345;
		uint32_t index = seed >> 16 & 127;
		const char *snapshot = seed >> 24 & 1 ? A : B;

		if (put_seed(c, snapshot, index, LEN, index / 2, NULL) ||
		    herd_block_cache_put_list(c, snapshot, &l, NULL) ||
		    herd_block_cache_put_changed(c, A, B, v, 3, NULL))
			_exit(2);
	}
}

/* Everything that is there is right. Returns how many blocks that is. */
static unsigned check_all(void)
{
	struct herd_block_cache *c = open_cache(48 * LEN);
	struct herd_block_list l = { 0 };
	uint32_t *changed = NULL;
	unsigned there = 0;
	size_t n = 3;

	assert_int_equal(count_dir(at("tmp")), 0);
	assert_int_equal(stats_of(c).bytes, on_disk().bytes);
	assert_int_equal(stats_of(c).contents, on_disk().contents);
	assert_true(on_disk().bytes <= 48 * LEN);
	for (uint32_t i = 0; i < 256; i++) {
		int err = get_seed(c, i % 2 ? A : B, i / 2, LEN, i / 4);

		assert_true(!err || err == -ENOENT);
		there += !err;
	}
	for (unsigned i = 0; i < 2; i++) {
		int err = herd_block_cache_get_list(c, i ? A : B, &l, NULL);

		assert_true((!err && l.n == 3 && l.indexes[2] == 3 &&
			     !strcmp(l.tokens[2], "c")) ||
			    err == -ENOENT);
		herd_block_list_deinit(&l);
	}
	int err = herd_block_cache_get_changed(c, A, B, &changed, &n, NULL);

	assert_true((!err && n == 3 && changed[2] == 3) || err == -ENOENT);
	free(changed);
	assert_int_equal(stats_of(c).damaged, 0);
	assert_int_equal(count_dir(at("damaged")), 0);
	assert_true(count_dir(at("snapshots")) <= 2);
	assert_true(count_dir(at("snapshots/" B)) <= 3);
	herd_block_cache_close(c);
	return there;
}

static void test_kill(void **state)
{
	unsigned there = 0;
	unsigned seed = (unsigned)time(NULL);

	(void)state;
	herd_block_cache_close(open_cache(0));
	assert_int_equal(mkdir(at("snapshots/" B), 0700), 0);
	for (unsigned round = 0; round < 50; round++) {
		pid_t pid[2];

		for (unsigned i = 0; i < 2; i++) {
			pid[i] = fork();
			assert_true(pid[i] >= 0);
			if (!pid[i])
				write_on(seed + round * 2 + i);
		}
		for (unsigned i = 0; i < 2; i++) {
			int status;

			seed = seed * 1103515245 + 12345;
			usleep(seed >> 16 & 0x7fff);
			assert_int_equal(kill(pid[i], SIGKILL), 0);
			assert_int_equal(waitpid(pid[i], &status, 0), pid[i]);
			assert_true(WIFSIGNALED(status));
		}
		there += check_all();
	}
	print_message("50 times two writers killed; %u blocks found whole\n",
		      there);
	assert_true(there > 0);
}

/* What a dead process left goes though another one lives. */
static void test_kill_beside_living(void **state)
{
	struct herd_block_cache *c = open_cache(0);
	int status;

	(void)state;
	must(put_seed(c, A, 1, LEN, 1, NULL));
	for (unsigned i = 0; i < 5; i++) {
		pid_t pid = fork();

		if (!pid) {
			struct herd_block_cache *d = NULL;
			struct herd_bc_temp t = HERD_BC_TEMP_INIT;

			if (herd_block_cache_open(cache_dir, 0, &d, NULL) ||
			    herd_bc_temp_create(d, &t) ||
			    herd_bc_write(t.fd, cache_dir, 100, 0))
				_exit(1);
			kill(getpid(), SIGKILL);
		}
		assert_int_equal(waitpid(pid, &status, 0), pid);
		assert_true(WIFSIGNALED(status));
		assert_int_equal(count_dir(at("tmp")), 2);
		herd_block_cache_close(open_cache(0));
		assert_int_equal(count_dir(at("tmp")), 1);
	}
	must(put_seed(c, A, 2, LEN, 2, NULL));
	must(get_seed(c, A, 2, LEN, 2));
	herd_block_cache_close(c);
	assert_int_equal(count_dir(at("tmp")), 0);
}

/* ---- a full disk ---- */

/* Puts until nothing fits, then all that was put is there, and no more. */
static void fill_up(struct herd_block_cache *c)
{
	uint32_t v[] = { 1 };
	unsigned full = 0;
	bool put[400];

	for (uint32_t i = 0; i < 400; i++) {
		int err = put_seed(c, A, i, LEN - i * 80, i, NULL);

		assert_true(!err || err == -ENOSPC);
		put[i] = !err;
		full += err != 0;
	}
	assert_true(full > 20 && full < 380);
	for (uint32_t i = 0; i < 400; i++)
		assert_int_equal(get_seed(c, A, i, LEN - i * 80, i),
				 put[i] ? 0 : -ENOENT);
	int err = herd_block_cache_put_changed(c, A, B, v, 1, NULL);

	assert_true(!err || err == -ENOSPC);
	assert_int_equal(stats_of(c).damaged, 0);
	assert_int_equal(stats_of(c).bytes, on_disk().bytes);
	assert_int_equal(stats_of(c).contents, on_disk().contents);
}

static void test_full_disk(void **state)
{
	struct herd_block_cache *c;

	(void)state;
	if (geteuid() || mount("tmpfs", top, "tmpfs", 0, "size=4m")) {
		print_message("skip: no tmpfs without root\n");
		skip();
	}
	c = open_cache(0);
	fill_up(c);
	herd_block_cache_close(c);
	c = open_cache(0); /* it opens, though full, and serves */
	must(get_seed(c, A, 0, LEN, 0));
	/* with a limit there is room */
	herd_block_cache_close(c);
	c = open_cache(2u << 20);
	must(put_seed(c, B, 0, LEN, 999, NULL));
	must(get_seed(c, B, 0, LEN, 999));
	assert_int_equal(count_dir(at("tmp")), 1);
	herd_block_cache_close(c);

	/* read-only: what is there is served, and no more */
	assert_int_equal(mount(NULL, top, NULL, MS_REMOUNT | MS_RDONLY, NULL),
			 0);
	c = open_cache(0);
	must(get_seed(c, B, 0, LEN, 999));
	assert_int_equal(put_seed(c, B, 1, LEN, 998, NULL), -EROFS);
	assert_int_equal(get_seed(c, B, 1, LEN, 998), -ENOENT);
	assert_true(stats_of(c).bytes > 0);
	herd_block_cache_close(c);
	assert_int_equal(umount(top), 0);
}

/* No file may grow beyond a size: another kind of full. */
static void test_file_size(void **state)
{
	struct herd_block_cache *c = open_cache(0);
	struct rlimit old, low;

	(void)state;
	signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
	low = old;
	low.rlim_cur = LEN - 100 * 80;
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &low), 0);
	fill_up(c);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
	assert_int_equal(count_dir(at("tmp")), 1);
	must(put_seed(c, A, 0, LEN, 0, NULL));
	must(get_seed(c, A, 0, LEN, 0));
	herd_block_cache_close(c);
	assert_int_equal(count_dir(at("tmp")), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
		T(test_limit),
		T(test_oldest_goes),
		T(test_count_is_wrong),
		T(test_processes),
		T(test_threads),
		T(test_kill),
		T(test_kill_beside_living),
		T(test_full_disk),
		T(test_file_size),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
