/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What all volumes share: being recognised, or refused by name and place, and
 * reading the content of an inode whichever way it is held.
 */
#include "tests/unit/ext_fixture.h"

#define LEN (2u << 20)

static uint8_t *bytes;

static int open_bytes(struct herd_volume **ret, struct herd_source **ret_source,
		      struct herd_diag *diag)
{
	assert_int_equal(herd_source_from_memory("disk", bytes, LEN,
						 ret_source), 0);
	herd_diag_clear(diag);
	return herd_volume_open(*ret_source, ret, diag);
}

static void test_names(void **state)
{
	static const struct {
		const char *magic;
		size_t len, at;
		const char *name;
	} known[] = {
		{ "XFSB", 4, 0, "XFS" },
		{ "_BHRfS_M", 8, 65600, "btrfs" },
		{ "LUKS\xba\xbe\0\2", 8, 0, "LUKS" },
		{ "LABELONE", 8, 512, "LVM2 physical volume" },
		{ "SWAPSPACE2", 10, 4086, "swap" },
		{ "\xfc\x4e\x2b\xa9\1\0\0\0", 8, 4096, "RAID member (metadata 1.2)" },
		{ "\xfc\x4e\x2b\xa9\1\0\0\0", 8, LEN - 8192, "RAID member (metadata 1.0)" },
		{ "\xfc\x4e\x2b\xa9\0\0\0\0", 8, LEN - 65536, "RAID member (metadata 0.90)" },
		{ "\x0c\xb1\xba\0\0\0\0\0", 8, 128 << 10, "ZFS" },
		{ "\0\0\0\0\0\xba\xb1\x0c", 8, 133 << 10, "ZFS" },
		{ "hsqs", 4, 0, "squashfs" },
		{ "\x10\x20\xf5\xf2", 4, 1024, "F2FS" },
		{ "ReFS\0\0\0\0", 8, 3, "ReFS" },
		{ "NXSB", 4, 32, "APFS" },
		{ "H+\0\4", 4, 1024, "HFS+" },
		{ "-FVE-FS-", 8, 3, "BitLocker" },
		{ "CD001", 5, 32769, "ISO 9660" },
	};
	struct herd_volume *v = NULL;
	struct herd_source *s;
	struct herd_diag diag;

	(void)state;
	bytes = calloc(1, LEN);
	assert_int_equal(open_bytes(&v, &s, &diag), -ENODATA);
	assert_true(diag.message[0]);
	herd_source_destroy(s);
	for (size_t i = 0; i < ARRAY_SIZE(known); i++) {
		memset(bytes, 0, LEN);
		memcpy(bytes + known[i].at, known[i].magic, known[i].len);
		assert_int_equal(open_bytes(&v, &s, &diag), -EOPNOTSUPP);
		if (!strstr(diag.message, known[i].name))
			fail_msg("%s, not %s", diag.message, known[i].name);
		assert_int_equal(diag.offset, known[i].at);
		assert_string_equal(diag.source, "disk");
		herd_source_destroy(s);
	}
	free(bytes);
	/* shorter than any place that is asked */
	bytes = calloc(1, 512);
	assert_int_equal(herd_source_from_memory("disk", bytes, 512, &s), 0);
	assert_int_equal(herd_volume_open(s, &v, NULL), -ENODATA);
	herd_source_destroy(s);
	free(bytes);
}

/* A later mkfs leaves backups of an older file system's superblock behind. */
static void test_formatted_twice(void **state)
{
	struct herd_volume *v = NULL;
	struct herd_diag diag;

	(void)state;
	if (!have("mke2fs")) {
		print_message("skipped: needs mke2fs\n");
		skip();
	}
	assert_int_equal(sh("truncate -s 40M disk && mke2fs -q -F -t ext4 "
			    "-b 1024 disk && printf XFSB | "
			    "dd of=disk conv=notrunc status=none && "
			    "dd if=/dev/zero of=disk bs=1024 seek=1 count=7 "
			    "conv=notrunc status=none"), 0);
	struct herd_source *s = image_open("disk");

	herd_diag_clear(&diag);
	assert_int_equal(herd_volume_open(s, &v, &diag), -EOPNOTSUPP);
	assert_non_null(strstr(diag.message, "XFS"));
	herd_source_destroy(s);
	/* with nothing else there, the backup counts */
	assert_int_equal(sh("dd if=/dev/zero of=disk bs=1024 count=1 "
			    "conv=notrunc status=none"), 0);
	s = image_open("disk");
	assert_int_equal(herd_volume_open(s, &v, NULL), 0);
	assert_string_equal(v->fs, "ext4");
	assert_non_null(strstr(v->note, "backup"));
	herd_volume_destroy(v);
	herd_source_destroy(s);
}

/* ---- content ---- */

static void expect(struct herd_source *s, const struct herd_inode *i,
		   uint64_t off, size_t len, const char *want)
{
	char have_bytes[64];

	memset(have_bytes, '!', sizeof(have_bytes));
	assert_int_equal(herd_content_read(s, NULL, i, have_bytes, len, off,
					   NULL), 0);
	assert_memory_equal(have_bytes, want, len);
	assert_int_equal(have_bytes[len], '!');
}

static void test_content(void **state)
{
	struct herd_run runs[] = { { 3, 1, 2 }, { 5, 8, 1 }, { 10, 0, 4 } };
	struct herd_inode i = { .mode = S_IFREG, .size = 20, .n_runs = 3,
				.content = HERD_CONTENT_RUNS, .runs = runs };
	struct herd_source *s = NULL;
	struct herd_diag diag;
	char buf[32];

	(void)state;
	assert_int_equal(herd_source_from_memory("s", "abcdefghijkl", 12, &s), 0);
	expect(s, &i, 0, 20, "\0\0\0bci\0\0\0\0abcd\0\0\0\0\0\0");
	expect(s, &i, 4, 3, "ci\0");
	expect(s, &i, 5, 1, "i");
	expect(s, &i, 12, 8, "cd\0\0\0\0\0\0");
	expect(s, &i, 6, 2, "\0\0");
	expect(s, &i, 20, 0, "");
	assert_int_equal(herd_content_read(s, NULL, &i, buf, 2, 19, NULL),
			 -EINVAL);
	assert_int_equal(herd_content_read(s, NULL, &i, buf, 1, UINT64_MAX,
					   NULL), -EINVAL);
	runs[2].phys = 11;	/* past the end of the source */
	herd_diag_clear(&diag);
	assert_int_equal(herd_content_read(s, NULL, &i, buf, 20, 0, &diag),
			 -EBADMSG);
	assert_true(diag.message[0]);
	i.content = HERD_CONTENT_INLINE;
	i.bytes = (char[]){ "hello" };
	i.n_bytes = i.size = 5;
	expect(s, &i, 1, 4, "ello");
	i.content = HERD_CONTENT_NONE;
	expect(s, &i, 1, 4, "\0\0\0\0");
	i.content = HERD_CONTENT_UNREADABLE;
	i.problem = (char[]){ "encrypted" };
	herd_diag_clear(&diag);
	assert_int_equal(herd_content_read(s, NULL, &i, buf, 1, 0, &diag), -EIO);
	assert_non_null(strstr(diag.message, "encrypted"));
	i.content = HERD_CONTENT_READER;
	assert_int_equal(herd_content_read(s, NULL, &i, buf, 1, 0, NULL), -EIO);
	herd_source_destroy(s);
}

static void test_read_file(void **state)
{
	struct herd_volume *v = NULL;
	char *text = NULL;
	size_t len = 0;

	(void)state;
	if (!have("mke2fs")) {
		print_message("skipped: needs mke2fs\n");
		skip();
	}
	assert_int_equal(sh("mkdir -p t/etc/x && echo UUID=1 > t/etc/fstab && "
			    "ln -s fstab t/etc/link && truncate -s 9M t/large && "
			    "truncate -s 0 t/empty && truncate -s 8M small && "
			    "mke2fs -q -F -t ext4 -d t small"), 0);
	struct herd_source *s = image_open("small");

	assert_int_equal(herd_volume_open(s, &v, NULL), 0);
	assert_int_equal(herd_volume_read_file(v, "/etc//fstab", &text, &len), 0);
	assert_int_equal(len, 7);
	assert_string_equal(text, "UUID=1\n");
	free(text);
	assert_int_equal(herd_volume_read_file(v, "empty", &text, &len), 0);
	assert_int_equal(len, 0);
	free(text);
	text = NULL;
	assert_int_equal(herd_volume_read_file(v, "etc/none", &text, &len),
			 -ENOENT);
	assert_int_equal(herd_volume_read_file(v, "etc/fstab/x", &text, &len),
			 -ENOTDIR);
	assert_int_equal(herd_volume_read_file(v, "etc", &text, &len), -EISDIR);
	assert_int_equal(herd_volume_read_file(v, "etc/link", &text, &len),
			 -EINVAL);
	assert_int_equal(herd_volume_read_file(v, "large", &text, &len),
			 -EOVERFLOW);
	assert_null(text);
	herd_volume_destroy(v);
	herd_source_destroy(s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_formatted_twice),
		cmocka_unit_test(test_content),
		cmocka_unit_test(test_read_file),
	};

	return cmocka_run_group_tests(tests, fixture_setup, fixture_teardown);
}
