/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fills a mounted file system, by the kernel, with whatever is odd: content of
 * every kind of layout, names, links, devices, times, attributes.
 */
#ifndef HERD_TEST_EXT_FILL_H
#define HERD_TEST_EXT_FILL_H

#include "tests/unit/ext_fixture.h"

#include <sys/sysmacros.h>
#include <sys/xattr.h>

static char *in_mnt(const char *name)
{
	static char path[4][1024];
	static unsigned turn;
	char *p = path[turn++ % 4];

	snprintf(p, sizeof(path[0]), "%s/mnt/%s", fixture_dir, name);
	return p;
}

static int create(const char *name)
{
	int fd = open(in_mnt(name), O_CREAT | O_RDWR | O_CLOEXEC, 0644);

	assert_true(fd >= 0);
	return fd;
}

static void put(const char *name, const void *bytes, size_t len)
{
	int fd CLEANUP_FD = create(name);

	assert_int_equal(write(fd, bytes, len), len);
}

/* Bytes that differ from place to place. */
static void fill(uint8_t *p, size_t len, unsigned seed)
{
	for (size_t i = 0; i < len; i++)
		p[i] = (uint8_t)((i * 2654435761u >> 13) + i / 251 + seed);
}

static void make_contents(unsigned bs)
{
	static uint8_t bytes[3 << 20];
	char name[64];

	fill(bytes, sizeof(bytes), 1);
	for (unsigned n = 0; n < 300; n += n < 70 ? 1 : 13) {
		snprintf(name, sizeof(name), "size-%u", n);
		put(name, bytes, n);
	}
	put("plain", bytes, sizeof(bytes));
	put("block", bytes, bs);
	put("block-less-1", bytes, bs - 1);
	put("block-and-1", bytes, bs + 1);

	int fd CLEANUP_FD = create("extents-4000");

	for (unsigned i = 0; i < 4000; i++)
		assert_int_equal(pwrite(fd, bytes + i, bs, 2ll * i * bs), bs);
	int sparse CLEANUP_FD = create("far");

	/* as far as this file system lets a file reach, up to 1 TiB */
	off_t far = 1ll << 40;

	while (far > 1 << 20 && pwrite(sparse, "end", 3, far - 3) != 3)
		far /= 2;
	assert_true(far >= 1ll << 32);
	assert_int_equal(pwrite(sparse, bytes, 777, far / 3), 777);
	assert_int_equal(pwrite(sparse, bytes, 777, 12ll * bs + 5), 777);
	put("hole-only", "", 0);
	assert_int_equal(truncate(in_mnt("hole-only"), 1 << 20), 0);
	put("longer", "was inline", 10);
	assert_int_equal(truncate(in_mnt("longer"), 100000), 0);
	put("longer-2", bytes, 120);
	assert_int_equal(truncate(in_mnt("longer-2"), 130), 0);
	put("shorter", bytes, 3 * bs);
	assert_int_equal(truncate(in_mnt("shorter"), bs + 17), 0);

	int pre CLEANUP_FD = create("preallocated");

	assert_int_equal(write(pre, bytes, 5000), 5000);
	fallocate(pre, FALLOC_FL_KEEP_SIZE, 0, 1 << 20);
	int unwritten CLEANUP_FD = create("unwritten");

	fallocate(unwritten, 0, 0, 1 << 20);
	assert_int_equal(pwrite(unwritten, bytes, 3 * bs, 7 * bs), 3 * bs);
	assert_int_equal(pwrite(unwritten, bytes, 10, 100 * bs + 3), 10);
}

static void make_names(unsigned large)
{
	char name[256], path[600];

	memset(name, 'n', 255);
	name[255] = '\0';
	put(name, "255", 3);
	put("caf\xe9 not utf-8 \xff\xfe", "x", 1);
	put("new\nline\ttab|pipe", "x", 1);
	put(" \\\"'$(true)", "x", 1);
	mkdir(in_mnt("large"), 0755);
	for (unsigned i = 0; i < large; i++) {
		snprintf(path, sizeof(path), "large/a rather longer name %u", i);
		int fd CLEANUP_FD = create(path);
	}
	for (unsigned i = 0; i < large; i += 7) {
		snprintf(path, sizeof(path), "large/a rather longer name %u", i);
		unlink(in_mnt(path));
	}
	mkdir(in_mnt("deep"), 0700);
	strcpy(path, "deep");
	for (unsigned i = 0; i < 40; i++) {
		strcat(path, "/d");
		assert_int_equal(mkdir(in_mnt(path), 0755), 0);
	}
	/* from a few names, which fit in an inode, to some hundred */
	for (unsigned n = 0; n < 60; n += 1 + n / 8) {
		snprintf(path, sizeof(path), "names-%u", n);
		mkdir(in_mnt(path), 0755);
		for (unsigned i = 0; i < n; i++) {
			snprintf(path, sizeof(path), "names-%u/%u", n, i);
			put(path, path, strlen(path));
		}
	}
	put("linked", "links", 5);
	for (unsigned i = 0; i < 50; i++) {
		snprintf(path, sizeof(path), "link-%u", i);
		assert_int_equal(link(in_mnt("linked"), in_mnt(path)), 0);
	}
}

static void make_kinds(unsigned bs)
{
	static char target[4096];

	for (unsigned n = 1; n < 1000; n += n > 50 && n < 170 ? 1 : 31) {
		char name[32];

		memset(target, 't', n);
		target[n] = '\0';
		snprintf(name, sizeof(name), "to-%u", n);
		assert_int_equal(symlink(target, in_mnt(name)), 0);
	}
	memset(target, 'l', bs - 1);
	target[bs - 1] = '\0';
	assert_int_equal(symlink(target, in_mnt("to-long")), 0);
	assert_int_equal(symlink("/etc/passwd", in_mnt("to-passwd")), 0);
	mkfifo(in_mnt("fifo"), 0640);
	mknod(in_mnt("char"), S_IFCHR | 0600, makedev(1, 3));
	mknod(in_mnt("char-old"), S_IFCHR | 0600, makedev(255, 255));
	mknod(in_mnt("block-large"), S_IFBLK | 0660, makedev(4095, 1048575));
	mknod(in_mnt("block-mid"), S_IFBLK | 0660, makedev(259, 70000));
	mknod(in_mnt("char-0"), S_IFCHR | 0600, makedev(0, 0));
	mknod(in_mnt("socket"), S_IFSOCK | 0777, 0);
	put("setuid", "#!", 2);
	chmod(in_mnt("setuid"), 06755);
	put("big-ids", "x", 1);
	assert_int_equal(chown(in_mnt("big-ids"), 4000000000u, 65536), 0);
	put("none", "", 0);
	chmod(in_mnt("none"), 0);
	mkdir(in_mnt("sticky"), 01777);
	mkdir(in_mnt("folded"), 0755);
	sh("chattr +F mnt/folded");	/* where there is casefold */
	put("folded/MiXeD", "x", 1);
}

static void make_times(void)
{
	static const struct timespec at[] = {
		{ 0, 1 }, { -1, 999999999 }, { -2147483648ll, 5 },
		{ 2147483647ll, 6 }, { 2147483648ll, 123456789 },
		{ 4294967295ll, 7 }, { 4294967296ll, 8 },
		{ 10000000000ll, 9 }, { 15032385535ll, 10 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(at); i++) {
		struct timespec t[2] = { at[i],
					 at[(i + 4) % ARRAY_SIZE(at)] };
		char name[32];

		snprintf(name, sizeof(name), "time-%zu", i);
		put(name, "t", 1);
		assert_int_equal(utimensat(AT_FDCWD, in_mnt(name), t, 0), 0);
	}
}

static void set(const char *name, const char *attr, const void *value,
		size_t len)
{
	if (lsetxattr(in_mnt(name), attr, value, len, 0))
		print_message("%s of %zu bytes on %s: %s\n", attr, len, name,
			      strerror(errno));
}

/* As the kernel takes them: version 2, then tag, permissions and id. */
static size_t make_acl(uint8_t *p, unsigned users)
{
	uint32_t *w = (uint32_t *)p;
	size_t n = 0;

	w[n++] = 2;
	w[n++] = 0x01 | 7 << 16, w[n++] = ~0u;
	for (unsigned i = 0; i < users; i++)
		w[n++] = 0x02 | 5 << 16, w[n++] = 1000 + i;
	w[n++] = 0x04 | 5 << 16, w[n++] = ~0u;
	w[n++] = 0x08 | 6 << 16, w[n++] = 3000000000u;
	w[n++] = 0x10 | 7 << 16, w[n++] = ~0u;
	w[n++] = 0x20 | 4 << 16, w[n++] = ~0u;
	return 4 * n;
}

static void make_xattrs(bool large)
{
	static uint8_t bytes[65536];
	static const uint8_t cap[20] = { 1, 0, 0, 2, 0, 0x20 };
	static const uint8_t cap3[24] = { 1, 0, 0, 3, 0, 0x20, [20] = 0xe8, 3 };
	char name[300];

	fill(bytes, sizeof(bytes), 9);
	put("xattr-few", "x", 1);
	set("xattr-few", "user.one", "1", 1);
	set("xattr-few", "user.empty", "", 0);
	set("xattr-few", "trusted.two", "22", 2);
	set("xattr-few", "security.selinux", "system_u:object_r:etc_t:s0", 27);
	put("xattr-cap", "x", 1);
	set("xattr-cap", "security.capability", cap, sizeof(cap));
	put("xattr-cap3", "x", 1);
	set("xattr-cap3", "security.capability", cap3, sizeof(cap3));
	put("xattr-block", "x", 1);
	set("xattr-block", "user.block", bytes, 700);
	set("xattr-block", "user.b\xff\n", bytes, 3);
	put("xattr-many", "x", 1);
	for (unsigned i = 0; i < 20; i++) {
		snprintf(name, sizeof(name), "user.%u.%0*u", i * 7919 % 20,
			 (int)i, i);
		set("xattr-many", name, bytes + i, i);
	}
	put("xattr-acl", "x", 1);
	set("xattr-acl", "system.posix_acl_access", name,
	    make_acl((uint8_t *)name, 3));
	mkdir(in_mnt("acl-dir"), 0755);
	set("acl-dir", "system.posix_acl_access", name,
	    make_acl((uint8_t *)name, 25));
	set("acl-dir", "system.posix_acl_default", name,
	    make_acl((uint8_t *)name, 2));
	put("acl-dir/inherits", "x", 1);
	put("acl-dir/inherits-2", "x", 1);
	assert_int_equal(symlink("target", in_mnt("xattr-link")), 0);
	set("xattr-link", "trusted.link", bytes, 600);
	if (!large)
		return;
	put("xattr-large", "x", 1);
	set("xattr-large", "user.64k", bytes, 65536);
	set("xattr-large", "user.8k", bytes + 5, 8192);
	set("xattr-large", "user.1", bytes, 1);
	put("xattr-large-2", "x", 1);	/* shares its value */
	set("xattr-large-2", "user.64k", bytes, 65536);
	assert_int_equal(lgetxattr(in_mnt("xattr-large"), "user.64k", NULL, 0),
			 65536);
}

#endif
