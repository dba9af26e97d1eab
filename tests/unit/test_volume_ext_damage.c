/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The ext reader on file systems with one thing damaged, or made to mislead:
 * it is told, and the rest is given.
 */
#include "tests/unit/ext_bytes.h"

/* ---- superblocks ---- */

static void test_backup_superblock(void **state)
{
	uint8_t before[32], after[32];

	(void)state;
	if (!ready())
		skip();
	make("plain", "-t ext4 -b 1024 -O metadata_csum");
	load("plain");
	assert_int_equal(reopen(), 0);
	assert_string_equal(volume->note, "");
	digest_all(before, NULL);

	/* superblock and descriptors gone */
	memset(image.bytes, 0, 4096);
	assert_int_equal(reopen(), 0);
	assert_non_null(strstr(volume->note, "backup superblock at byte 8389632"));
	digest_all(after, NULL);
	assert_memory_equal(before, after, 32);
	unload();

	/* descriptors only */
	load("plain");
	memset(image.bytes + 2048, 0xff, 64);
	assert_int_equal(reopen(), 0);
	assert_non_null(strstr(volume->note, "backup superblock"));
	digest_all(after, NULL);
	assert_memory_equal(before, after, 32);
	unload();

	/* a byte that only the checksum notices */
	load("plain");
	image.bytes[1024 + 0x78] ^= 1;
	assert_int_equal(reopen(), 0);
	assert_non_null(strstr(volume->note, "backup superblock"));
	unload();
}

static void test_no_backup(void **state)
{
	(void)state;
	if (!ready())
		skip();
	assert_int_equal(sh("truncate -s 2M single; mke2fs -q -F -t ext4 "
			    "-O metadata_csum,^has_journal -b 1024 single"), 0);
	load("single");
	assert_int_equal(reopen(), 0);
	image.bytes[1024 + 0x78] ^= 1;
	assert_int_equal(reopen(), 0);
	assert_non_null(strstr(volume->note, "checksum of the superblock"));
	/* the size of its blocks */
	image.bytes[1024 + 0x18] = 77;
	assert_int_equal(reopen(), -EBADMSG);
	assert_int_equal(diag.offset, 1024);
	assert_non_null(strstr(diag.message, "size of blocks"));
	unload();
}

static void test_notes_and_refusals(void **state)
{
	(void)state;
	if (!ready())
		skip();
	make("nocsum", "-t ext4 -b 1024 -O ^metadata_csum,^inline_data");
	assert_int_equal(sh("debugfs -w -R 'feature needs_recovery' nocsum"), 0);
	load("nocsum");
	assert_int_equal(reopen(), 0);
	assert_int_equal(strncmp(volume->note, "journal not replayed", 20), 0);

	uint32_t incompat = get32(1024 + 0x60);

	put32(1024 + 0x60, incompat | 1);
	assert_int_equal(reopen(), -EOPNOTSUPP);
	assert_non_null(strstr(diag.message, "compression"));
	put32(1024 + 0x60, incompat | 0x40000000);
	assert_int_equal(reopen(), -EOPNOTSUPP);
	assert_non_null(strstr(diag.message, "0x40000000"));
	put32(1024 + 0x60, incompat | 8);
	assert_int_equal(reopen(), -EOPNOTSUPP);
	assert_non_null(strstr(diag.message, "journal"));
	put32(1024 + 0x60, incompat);

	/* cut off */
	image.base.size = 9 << 20;
	assert_int_equal(reopen(), 0);
	assert_non_null(strstr(volume->note, "cut off"));
	image.base.size = 2047;
	assert_int_equal(reopen(), -ENODATA);
	unload();
	/* absurd numbers of everything */
	load("nocsum");
	for (unsigned at = 0; at < 0x60; at += 4) {
		uint32_t was = get32(1024 + at);
		static const uint32_t values[] = { 0, 1, 31, 0x7fffffff, ~0u };

		for (size_t i = 0; i < ARRAY_SIZE(values); i++) {
			put32(1024 + at, values[i]);
			if (!reopen())
				digest_all((uint8_t[32]){ 0 }, NULL);
		}
		put32(1024 + at, was);
	}
	unload();
}

/* ---- inodes ---- */

static void test_checksums(void **state)
{
	(void)state;
	if (!ready())
		skip();
	make("plain", "-t ext4 -b 1024 -O metadata_csum");
	load("plain");
	assert_int_equal(reopen(), 0);
	image.bytes[record_of(ino_of("f70000")) + 8] ^= 1;	/* atime */
	image.bytes[first_run("holes", true).phys + 900] ^= 1;
	image.bytes[first_run("f5000", true).phys + 1000] ^= 1;
	assert_int_equal(reopen(), 0);
	expect_problem("f70000", "checksum of inode", true);
	expect_problem("holes", "checksum of a block of its extent tree", true);
	expect_problem("f5000", "checksum", true);
	expect_fine("f1");

	struct herd_inode i;
	char *bytes = calloc(1, 70001);

	read_inode("f70000", &i);
	assert_int_equal(herd_content_read(&image.base, volume, &i, bytes,
					   70000, 0, NULL), 0);
	assert_int_equal(strspn(bytes, "x"), 70000);
	free(bytes);
	herd_inode_deinit(&i);
	read_inode("f5000", &i);
	assert_int_equal(i.n_xattrs, 1);
	assert_int_equal(i.xattrs[0].len, 600);
	herd_inode_deinit(&i);
	unload();
}

static void test_extent_trees(void **state)
{
	(void)state;
	if (!ready())
		skip();
	make("nocsum", "-t ext4 -b 1024 -O ^metadata_csum,^inline_data");
	load("nocsum");
	assert_int_equal(reopen(), 0);
	uint64_t root = record_of(ino_of("holes")) + 40;
	uint64_t leaf = leaf_below(root);
	uint32_t was = get32(leaf + 12 + 8);

	put32(leaf + 12 + 8, 0x7fffffff);	/* its first extent's block */
	expect_problem("holes", "outside the volume", false);
	put32(leaf + 12 + 8, was);
	expect_fine("holes");
	was = get32(leaf + 12 + 12);
	put32(leaf + 12 + 12, 0);		/* the second begins at 0 too */
	expect_problem("holes", "out of order", false);
	put32(leaf + 12 + 12, was);
	was = get32(leaf);
	put32(leaf, 0xf30a | 2000 << 16);	/* more than fit */
	expect_problem("holes", "damaged", false);
	put32(leaf, was);
	was = get32(leaf + 4);
	put32(leaf + 4, (was & 0xffff) | 1 << 16);	/* not a leaf: a loop */
	expect_problem("holes", "damaged", false);
	put32(leaf + 4, was);
	was = get32(root + 16);
	put32(root + 16, 0x7fffffff);		/* where the leaf is */
	assert_int_equal(reopen(), 0);		/* records are cached */
	expect_problem("holes", "outside the volume", false);
	put32(root + 16, was);
	assert_int_equal(reopen(), 0);
	expect_fine("holes");
	expect_fine("f70000");
	unload();
}

/* Each block of the list is the list itself, thrice over. */
static void test_list_of_itself(void **state)
{
	struct herd_inode i;

	(void)state;
	if (!ready())
		skip();
	make("old", "-t ext3 -b 1024");
	load("old");
	assert_int_equal(reopen(), 0);
	uint64_t loop = first_run("f70000", false).phys;
	uint64_t record = record_of(ino_of("f70000"));

	for (unsigned at = 0; at < 1024; at += 4)
		put32(loop + at, (uint32_t)(loop / 1024));
	for (unsigned k = 12; k < 15; k++)
		put32(record + 40 + 4 * k, (uint32_t)(loop / 1024));
	put32(record + 4, 0xffffffff);
	put32(record + 108, 3);		/* size: 16 GiB */
	assert_int_equal(reopen(), 0);

	double start = seconds();

	read_inode("f70000", &i);
	assert_int_equal(i.content, HERD_CONTENT_UNREADABLE);
	assert_non_null(i.problem);
	herd_inode_deinit(&i);
	assert_true(seconds() - start < 5);
	/* zeros all the way: a hole */
	memset(image.bytes + loop, 0, 1024);
	assert_int_equal(reopen(), 0);
	read_inode("f70000", &i);
	assert_int_equal(i.content, HERD_CONTENT_RUNS);
	herd_inode_deinit(&i);
	unload();
}

static void test_states(void **state)
{
	struct herd_inode i;

	(void)state;
	if (!ready())
		skip();
	make("states", "-t ext4 -b 1024 -O ^metadata_csum");
	assert_int_equal(sh("debugfs -w -R 'sif f5000 flags 0x80800' states && "
			    "debugfs -w -R 'sif sub flags 0x80800' states && "
			    "debugfs -w -R 'sif f61 links_count 0' states && "
			    "debugfs -w -R 'sif f150 mode 0' states"), 0);
	load("states");
	assert_int_equal(reopen(), 0);
	expect_problem("f5000", "encrypted", false);
	expect_problem("sub", "encrypted", false);
	expect_problem("f61", "deleted", true);
	assert_int_equal(volume->ops->inode(volume, ino_of("f150"), &i, &diag),
			 -EBADMSG);
	assert_non_null(strstr(diag.message, "not in use"));
	assert_int_equal(volume->ops->inode(volume, 0, &i, NULL), -EBADMSG);
	assert_int_equal(volume->ops->inode(volume, 1ull << 32, &i, NULL),
			 -EBADMSG);
	assert_int_equal(volume->ops->readdir(volume, ino_of("f1"), add_name,
					      NULL, NULL), -ENOTDIR);
	/* names of an encrypted directory: "hard" as base64url */
	struct names l = { .n = 0 };

	assert_int_equal(volume->ops->readdir(volume, ino_of("sub"), add_name,
					      &l, NULL), 0);
	qsort(l.v, l.n, sizeof(*l.v), by_bytes);
	assert_int_equal(l.n, 2);
	assert_string_equal(l.v[1].bytes, "aGFyZA");
	names_deinit(&l);
	unload();
}

/* ---- directories ---- */

static size_t count_names(const char *name, int expect)
{
	struct names l = { .n = 0 };
	size_t n;

	herd_diag_clear(&diag);
	assert_int_equal(volume->ops->readdir(volume, ino_of(name), add_name,
					      &l, &diag), expect);
	n = l.n;
	names_deinit(&l);
	return n;
}

static void test_directories(void **state)
{
	(void)state;
	if (!ready())
		skip();
	make("plain", "-t ext4 -b 1024 -O metadata_csum");
	load("plain");
	assert_int_equal(reopen(), 0);
	assert_int_equal(count_names("many", 0), 300);
	uint64_t second = block_of("many", 1024);
	uint8_t *name = memmem(image.bytes + second, 1024, "a name", 6);

	assert_non_null(name);
	*name = 'A';			/* only the checksum notices */
	assert_int_equal(count_names("many", -EBADMSG), 300);
	assert_int_equal(diag.offset, second);
	*name = '/';
	assert_int_equal(count_names("many", -EBADMSG), 299);
	*name = '\0';
	assert_int_equal(count_names("many", -EBADMSG), 299);
	image.bytes[second + 4] = 3;	/* length of the first entry there */
	size_t left = count_names("many", -EBADMSG);

	assert_true(left > 250 && left < 299);
	unload();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_backup_superblock),
		cmocka_unit_test(test_no_backup),
		cmocka_unit_test(test_notes_and_refusals),
		cmocka_unit_test(test_checksums),
		cmocka_unit_test(test_extent_trees),
		cmocka_unit_test(test_list_of_itself),
		cmocka_unit_test(test_states),
		cmocka_unit_test(test_directories),
	};

	return cmocka_run_group_tests(tests, fixture_setup, fixture_teardown);
}
