/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who may look into the block cache, which folders it refuses, and things
 * planted in its folder, which it neither follows nor waits for.
 */
#include "block_cache_fixture.h"

#define A "snap-a"
#define B "snap-b"
#define LEN 32768u

/* ---- modes ---- */

static int mode_one(const char *path, const struct stat *st, int flag,
		    struct FTW *ftw)
{
	mode_t want = flag == FTW_D ? 0700 : 0600;

	(void)ftw;
	if ((st->st_mode & 07777) == want)
		return 0;
	print_message("%s: %o\n", path, (unsigned)st->st_mode);
	return 1;
}

static void all_kinds(struct herd_block_cache *c)
{
	uint32_t v[] = { 1, 2 };
	struct herd_block_list l = {
		.block_size = LEN, .volume_size = 1u << 20, .indexes = v, .n = 2
	};
	uint8_t sha[HERD_SHA256_LEN];

	must(put_seed(c, A, 1, LEN, 1, sha));
	must(put_seed(c, A, 2, LEN, 2, NULL));
	must(herd_block_cache_put_list(c, A, &l, &diag));
	must(herd_block_cache_put_changed(c, A, B, v, 2, &diag));
	flip(content_at(sha), 7);
	assert_int_equal(get_seed(c, A, 1, LEN, 1), -EBADMSG);
}

static void test_modes(void **state)
{
	static const mode_t masks[] = { 0, 022, 0777 };
	mode_t old = umask(0);

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(masks); i++) {
		umask(masks[i]);
		struct herd_block_cache *c = open_cache(1u << 20);

		all_kinds(c);
		assert_int_equal(nftw(cache_dir, mode_one, 16, FTW_PHYS), 0);
		herd_block_cache_close(c);
		assert_int_equal(nftw(cache_dir, mode_one, 16, FTW_PHYS), 0);
		umask(0);
		nftw(cache_dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
	}
	/* an empty folder and a cache of ours that were opened to others */
	assert_int_equal(mkdir(cache_dir, 0777), 0);
	for (int i = 0; i < 2; i++) {
		struct herd_block_cache *c = open_cache(0);

		must(put_seed(c, A, 1, LEN, 1, NULL));
		assert_int_equal(nftw(cache_dir, mode_one, 16, FTW_PHYS), 0);
		herd_block_cache_close(c);
		assert_int_equal(chmod(cache_dir, 0755), 0);
		assert_int_equal(chmod(at("contents"), 0777), 0);
	}
	umask(old);
}

/* ---- what is refused ---- */

static void refused(const char *dir, int want, const char *why)
{
	struct herd_block_cache *c = NULL;
	struct herd_diag d = { .offset = HERD_NO_OFFSET };
	char text[900];

	assert_int_equal(herd_block_cache_open(dir, 0, &c, &d), want);
	assert_null(c);
	herd_diag_format(&d, want, text, sizeof(text));
	assert_non_null(strstr(text, why));
	assert_null(strchr(text, '\n'));
}

static void test_refused(void **state)
{
	char path[300];

	(void)state;
	snprintf(path, sizeof(path), "%s/none/cache", top);
	refused(path, -ENOENT, path);
	herd_block_cache_close(open_cache(0));
	snprintf(path, sizeof(path), "%s/link", top);
	assert_int_equal(symlink(cache_dir, path), 0);
	refused(path, -ENOTDIR, "symbolic link");
	strcat(path, "//");
	refused(path, -ENOTDIR, "symbolic link");
	snprintf(path, sizeof(path), "%s/version", cache_dir);
	refused(path, -ENOTDIR, "no folder");

	write_file(at("version"), "herdfs block cache 2\n", 21);
	refused(cache_dir, -EOPNOTSUPP,
		"is \"herdfs block cache 2\", this herdfs has version 1");
	write_file(at("version"), "something\n", 10);
	refused(cache_dir, -EBADMSG, "no block cache");
	write_file(at("version"), "", 0);
	refused(cache_dir, -EBADMSG, "no block cache");
	/* whoever was killed while making it left this much */
	assert_int_equal(unlink(at("version")), 0);
	herd_block_cache_close(open_cache(0));
	assert_int_equal(unlink(at("version")), 0);
	write_file(at("thesis.tex"), "x", 1);
	refused(cache_dir, -ENOTEMPTY, "not empty");
	assert_int_equal(unlink(at("thesis.tex")), 0);
	herd_block_cache_close(open_cache(0));
	assert_int_equal(unlink(at("lock")), 0);
	assert_int_equal(symlink("/etc/passwd", at("lock")), 0);
	refused(cache_dir, -EBADMSG, "lock");
	assert_int_equal(unlink(at("lock")), 0);
	if (!geteuid()) {
		assert_int_equal(chown(cache_dir, 65534, 65534), 0);
		refused(cache_dir, -EPERM,
			"belongs to user 65534, not to user 0");
	}
}

/* ---- what is planted ---- */

static char victim[300];

static void make_victim(void)
{
	snprintf(victim, sizeof(victim), "%s/victim", top);
	assert_int_equal(mkdir(victim, 0755), 0);
	snprintf(victim, sizeof(victim), "%s/victim/file", top);
	write_file(victim, "mine", 4);
}

/* Its folder, as it was. */
static void check_victim(void)
{
	char dir[300], text[8] = "";
	int fd = open(victim, O_RDONLY);
	struct stat st;

	assert_true(fd >= 0);
	assert_int_equal(read(fd, text, sizeof(text)), 4);
	assert_memory_equal(text, "mine", 4);
	assert_int_equal(fstat(fd, &st), 0);
	close(fd);
	snprintf(dir, sizeof(dir), "%s/victim", top);
	assert_int_equal(count_dir(dir), 1);
	assert_int_equal(stat(dir, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0755);
}

/* Puts something of this sort at path, instead of what is there. */
enum planted { TO_FILE, TO_FOLDER, NOWHERE, HARD, FIFO, FOLDER, N_PLANTED };

static void plant(enum planted what, const char *path)
{
	char dir[300], inner[640];

	nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS);
	snprintf(dir, sizeof(dir), "%s/victim", top);
	if (what == TO_FILE)
		assert_int_equal(symlink(victim, path), 0);
	else if (what == TO_FOLDER)
		assert_int_equal(symlink(dir, path), 0);
	else if (what == NOWHERE)
		assert_int_equal(symlink("/none/of/this", path), 0);
	else if (what == HARD)
		assert_int_equal(link(victim, path), 0);
	else if (what == FIFO)
		assert_int_equal(mkfifo(path, 0600), 0);
	if (what != FOLDER)
		return;
	assert_int_equal(mkdir(path, 0700), 0);
	snprintf(inner, sizeof(inner), "%s/inner", path);
	write_file(inner, "x", 1);
}

static void test_planted(void **state)
{
	struct herd_block_cache *c = open_cache(1u << 20);
	uint32_t v[] = { 1, 2 };
	uint8_t sha[HERD_SHA256_LEN];
	char content[600], folder[600];

	(void)state;
	make_victim();
	for (enum planted what = 0; what < N_PLANTED; what++) {
		for (int put_first = 0; put_first < 2; put_first++) {
			must(put_seed(c, A, 1, LEN, 1, sha));
			must(herd_block_cache_put_changed(c, B, A, v, 2,
							  &diag));
			snprintf(content, sizeof(content), "%s",
				 content_at(sha));
			snprintf(folder, sizeof(folder), "%s", content);
			*strrchr(folder, '/') = '\0';
			const char *const where[] = {
				content, folder, at("snapshots/" A "/digests"),
				at("snapshots/" A "/changed-from-" B),
				at("snapshots/" A)
			};

			for (size_t i = 0; i < ARRAY_SIZE(where); i++) {
				uint32_t *got = NULL;
				size_t n;

				if (what == FOLDER && (i == 1 || i == 4))
					continue; /* as it should be */
				plant(what, where[i]);
				if (!put_first) {
					int err = get_seed(c, A, 1, LEN, 1);

					assert_true(err == (i == 3 ?
								    0 :
								    -EBADMSG) ||
						    (what == HARD && err));
					assert_true(
						herd_block_cache_get_changed(
							c, B, A, &got, &n,
							NULL) ||
						i < 3);
					free(got);
				}
				must(put_seed(c, A, 1, LEN, 1, NULL));
				must(herd_block_cache_put_changed(c, B, A, v, 2,
								  &diag));
				must(get_seed(c, A, 1, LEN, 1));
				check_victim();
			}
		}
	}
	herd_block_cache_close(c);
	herd_block_cache_close(open_cache(0));
	check_victim();
}

static void test_planted_above(void **state)
{
	static const char *const names[] = { "contents", "snapshots", "tmp",
					     "damaged" };
	char dir[300];

	(void)state;
	make_victim();
	snprintf(dir, sizeof(dir), "%s/victim", top);
	herd_block_cache_close(open_cache(0));
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		assert_int_equal(rename(at("%s", names[i]), at("away")), 0);
		assert_int_equal(symlink(dir, at("%s", names[i])), 0);
		refused(cache_dir, -ENOTDIR, names[i]);
		assert_int_equal(unlink(at("%s", names[i])), 0);
		assert_int_equal(rename(at("away"), at("%s", names[i])), 0);
	}
	/* in tmp/, where everything is taken away at each opening */
	assert_int_equal(symlink(dir, at("tmp/1-0")), 0);
	assert_int_equal(symlink(victim, at("tmp/2-0")), 0);
	assert_int_equal(mkdir(at("tmp/3-0"), 0700), 0);
	assert_int_equal(symlink(dir, at("tmp/3-0/x")), 0);
	assert_int_equal(symlink(victim, at("tmp/3-0/lock")), 0);
	herd_block_cache_close(open_cache(0));
	assert_int_equal(count_dir(at("tmp")), 0);
	check_victim();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
		T(test_modes),
		T(test_refused),
		T(test_planted),
		T(test_planted_above),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
