/* SPDX-License-Identifier: Apache-2.0 */
/*
 * NTFS, FAT and exFAT volumes against their oracles: ntfs-3g, mtools and
 * exfat-fuse; against blkid; and against damage.
 */
#include "tests/unit/tsk_fixture.h"

#include "index/ntfs.h"

#include <time.h>

static char dir[64];

static int make_dir(void **state)
{
	const char *tmp = getenv("TMPDIR");

	(void)state;
	snprintf(dir, sizeof(dir), "%.40s/herd-tsk-XXXXXX", tmp ? tmp : "/tmp");
	return mkdtemp(dir) ? 0 : -1;
}

static int remove_dir(void **state)
{
	(void)state;
	sh("umount -l %s/m", dir);
	return sh("rm -rf %s", dir) ? -1 : 0;
}

static struct herd_source *memory(const uint8_t *bytes, size_t len)
{
	struct herd_source *s = NULL;

	assert_int_equal(herd_source_from_memory("image", bytes, len, &s), 0);
	return s;
}

struct opened {
	uint8_t *bytes;
	size_t len;
	struct herd_source *s;
	struct herd_volume *v;
};

static void open_bytes(struct opened *o)
{
	struct herd_diag diag = { .offset = HERD_NO_OFFSET };
	int err;

	o->s = memory(o->bytes, o->len);
	err = herd_volume_open_tsk(o->s, &o->v, &diag);
	if (err)
		fail_msg("%s: %s", strerror(-err), diag.message);
}

static void open_image(const char *name, struct opened *o)
{
	char path[128];

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	load(path, &o->bytes, &o->len);
	open_bytes(o);
}

static void close_image(struct opened *o)
{
	o->v->ops->destroy(o->v);
	herd_source_destroy(o->s);
	free(o->bytes);
	*o = (struct opened){ 0 };
}

/* The volume says of itself what blkid says. */
static void same_as_blkid(const char *name, const struct herd_volume *v)
{
	char command[256], uuid[64], label[256];

	snprintf(command, sizeof(command), "blkid -p -s UUID -o value %s/%s",
		 dir, name);
	output(uuid, sizeof(uuid), command);
	snprintf(command, sizeof(command), "blkid -p -s LABEL -o value %s/%s",
		 dir, name);
	output(label, sizeof(label), command);
	assert_string_equal(v->uuid, uuid);
	assert_string_equal(v->label, label);
}

/* ---- content for the oracles ---- */

static char base[160]; /* where files are made */

static const char *at(const char *name)
{
	static char path[1200];

	snprintf(path, sizeof(path), "%s/%s", base, name);
	return path;
}

static void put(const char *name, const void *p, size_t len, off_t off)
{
	int fd = open(at(name), O_WRONLY | O_CREAT, 0666);

	assert_true(fd >= 0);
	assert_int_equal(pwrite(fd, p, len, off), (ssize_t)len);
	close(fd);
}

static void put_text(const char *name, const char *text)
{
	put(name, text, strlen(text), 0);
}

/* len bytes: pseudo-random, or lines that compress. */
static uint8_t *stuff(size_t len, unsigned seed, bool compressible)
{
	uint8_t *p = malloc(len + 64);
	uint32_t x = seed * 2654435761u + 1;

	assert_non_null(p);
	for (size_t i = 0; i < len;) {
		x = x * 1664525u + 1013904223u;
		if (compressible)
			i += (size_t)snprintf((char *)p + i, 64,
					      "line %u of text %u\n",
					      (unsigned)i, x >> 24);
		else
			p[i++] = (uint8_t)(x >> 24);
	}
	return p;
}

static void put_stuff(const char *name, size_t len, unsigned seed,
		      bool compressible)
{
	uint8_t *p = stuff(len, seed, compressible);

	put(name, p, len, 0);
	free(p);
}

static void when(const char *name, int64_t sec, long nsec)
{
	struct timespec t[2] = { { sec, nsec }, { sec, nsec } };

	assert_int_equal(utimensat(AT_FDCWD, at(name), t, AT_SYMLINK_NOFOLLOW),
			 0);
}

static void common_names(void)
{
	char name[256];

	put_text("hello.txt", "hello\n");
	put_text("EMPTY", "");
	put_text("UPPER.TXT", "u");
	put_text("a name with spaces and dots...x", "1");
	put_text("gr\xc3\xbc\xc3\x9f"
		 "e-\xe4\xb8\xad\xe6\x96\x87-\xf0\x9f\x98\x80",
		 "2");
	memset(name, 'n', sizeof(name));
	name[255] = '\0';
	put_text(name, "long");
	assert_int_equal(mkdir(at("d"), 0777), 0);
	assert_int_equal(mkdir(at("d/e"), 0777), 0);
	assert_int_equal(mkdir(at("d/e/f"), 0777), 0);
	put_stuff("d/e/f/one", 1, 1, false);
	put_stuff("d/e/random", 777777, 2, false);
	put_stuff("d/e/text", 300000, 3, true);
	for (unsigned i = 0; i < 400; i++) {
		snprintf(name, sizeof(name), "d/file number %u", i);
		put_stuff(name, 13 * i, i, true);
	}
}

/* ---- NTFS ---- */

static void fragmented(void)
{
	uint8_t *p = stuff(8192, 9, false);

	/* two files that grow in turn: runs of a cluster or two each */
	for (unsigned i = 0; i < 600; i++) {
		put("frag1", p, 4096, 4096 * (off_t)i * 2);
		put("frag2", p + 1, 4096, 4096 * (off_t)i);
	}
	free(p);
}

static void compressed(void)
{
	assert_int_equal(mkdir(at("comp"), 0777), 0);
	assert_int_equal(setxattr(at("comp"), "system.ntfs_attrib_be",
				  "\0\0\x08\x10", 4, 0),
			 0);
	put_stuff("comp/text", 1000000, 4, true);
	put_stuff("comp/random", 300000, 5, false);
	put_text("comp/small", "small");
	put_stuff("comp/mixed", 100000, 6, true);
	uint8_t *p = stuff(100000, 7, false);

	put("comp/mixed", p, 70000, 100000);
	put("comp/mixed", p, 100, 900000);
	free(p);
}

static void populate_ntfs(void)
{
	char name[64];
	uint8_t *p = stuff(70000, 8, false);

	common_names();
	put_text("ctl\x01\x1f", "c");
	put_text("nl\nname", "n");
	put_text("lone-\xed\xa0\x80-high", "s");
	put_text("lone-\xed\xb0\x80", "t");
	put_text("back\\slash|pipe", "b");
	put_text("old", "o");
	when("old", -1000000000, 0);
	put_text("odd", "o");
	when("odd", -1000000000, 123456700);
	put_text("far", "f");
	when("far", 6000000000, 999999900);
	put("sparse", p, 5000, 5000000);
	put("huge", p, 100, 1ll << 40);
	assert_int_equal(truncate(at("EMPTY"), 0), 0);
	put_text("grown", "g");
	assert_int_equal(truncate(at("grown"), 500000), 0);
	assert_int_equal(sh("ln %s/d/e/text %s/hard", base, base), 0);
	assert_int_equal(symlink("d/e/text", at("link")), 0);
	assert_int_equal(symlink("/etc/passwd", at("abs")), 0);
	assert_int_equal(symlink("../../gr\xc3\xbc\xc3\x9f", at("up")), 0);
	assert_int_equal(mkfifo(at("fifo"), 0666), 0);
	assert_int_equal(mknod(at("null"), S_IFCHR | 0666, 259), 0);
	assert_int_equal(mknod(at("blk"), S_IFBLK | 0666, 2049), 0);
	assert_int_equal(setxattr(at("hello.txt"), "user.small", "v", 1, 0), 0);
	assert_int_equal(setxattr(at("hello.txt"), "user.Zone.Identifier", p,
				  300, 0),
			 0);
	assert_int_equal(setxattr(at("hello.txt"), "user.large", p, 60000, 0),
			 0);
	assert_int_equal(setxattr(at("d"), "user.on dir", p, 9000, 0), 0);
	assert_int_equal(mkdir(at("many"), 0777), 0);
	for (unsigned i = 0; i < 3000; i++) {
		snprintf(name, sizeof(name), "many/%u-%u", i * 7919 % 3000, i);
		put_text(name, "");
	}
	for (unsigned i = 0; i < 3000; i += 3) {
		snprintf(name, sizeof(name), "many/%u-%u", i * 7919 % 3000, i);
		unlink(at(name));
	}
	fragmented();
	compressed();
	free(p);
}

static bool ntfs_there(void)
{
	return geteuid() == 0 && tool("mkntfs") && tool("ntfs-3g") &&
	       access("/dev/fuse", R_OK) == 0;
}

static void mount_ntfs(const char *image, const char *options)
{
	sh("mkdir -p %s/m", dir);
	assert_int_equal(
		sh("ntfs-3g -o %s %s/%s %s/m", options, dir, image, dir), 0);
	snprintf(base, sizeof(base), "%s/m", dir);
}

static void unmount(void)
{
	for (int i = 0; i < 50 && sh("umount %s/m", dir); i++)
		usleep(100000);
}

#define NTFS_OPTIONS "compression,streams_interface=xattr,show_sys_files"

static void make_ntfs(const char *name, unsigned mib, const char *options)
{
	assert_int_equal(
		sh("truncate -s %uM %s/%s; mkntfs -F -q -L 'V\xc3\xb6l 1' %s %s/%s",
		   mib, dir, name, options, dir, name),
		0);
}

/* ntfs-3g shows the metadata files only in part: they are looked at apart. */
static void drop_metadata(struct recs *r)
{
	size_t k = 0;

	for (size_t i = 0; i < r->n; i++) {
		if (*r->v[i].path == '$')
			free(r->v[i].path);
		else
			r->v[k++] = r->v[i];
	}
	r->n = k;
}

static const struct rec *find(const struct recs *r, const char *path)
{
	const struct rec key = { .path = (char *)path };

	return bsearch(&key, r->v, r->n, sizeof(key), recs_by_path);
}

static void has_metadata(const struct recs *r, uint64_t volume)
{
	assert_non_null(find(r, "$MFT"));
	assert_non_null(find(r, "$Extend/$ObjId"));
	assert_true(find(r, "$LogFile")->size > 0);
	assert_string_equal(find(r, "$BadClus")->note, "");
	assert_true(find(r, "$Bitmap")->size >= volume / 65536 / 8);
}

/* ours against ntfs-3g's, on an image that is there. */
static void equals_ntfs3g(const char *name, unsigned expect_min)
{
	struct recs ours = { 0 }, oracle = { 0 };
	struct opened o = { 0 };

	open_image(name, &o);
	assert_string_equal(o.v->fs, "ntfs");
	assert_string_equal(o.v->note, "");
	assert_int_equal(walk_volume(o.v, &ours, UINT64_MAX), 0);
	mount_ntfs(name, "ro," NTFS_OPTIONS);
	tree(base, &oracle);
	unmount();
	assert_true(ours.n >= expect_min);
	has_metadata(&ours, o.len);
	if (find(&ours, "odd")) {
		/* here ntfs-3g is a second off */
		assert_int_equal(find(&ours, "odd")->sec, -1000000000);
		assert_int_equal(find(&ours, "odd")->nsec, 123456700);
		((struct rec *)find(&ours, "odd"))->sec++;
		((struct rec *)find(&ours, "odd"))->nsec = 0;
	}
	drop_metadata(&ours);
	drop_metadata(&oracle);
	assert_int_equal(compare(&ours, &oracle, 0), 0);
	same_as_blkid(name, o.v);
	recs_free(&ours);
	recs_free(&oracle);
	close_image(&o);
}

static void test_ntfs(void **state)
{
	(void)state;
	if (!ntfs_there()) {
		print_message(
			"skip: needs root, /dev/fuse, mkntfs and ntfs-3g\n");
		skip();
	}
	make_ntfs("a.ntfs", 96, "");
	mount_ntfs("a.ntfs", NTFS_OPTIONS);
	populate_ntfs();
	unmount();
	equals_ntfs3g("a.ntfs", 2400);
}

static void test_ntfs_cluster_sizes(void **state)
{
	static const char *const options[] = { "-c 512", "-c 1024", "-c 65536",
					       "-c 2048 -s 1024" };

	(void)state;
	if (!ntfs_there())
		skip();
	for (size_t i = 0; i < ARRAY_SIZE(options); i++) {
		make_ntfs("c.ntfs", 64, options[i]);
		mount_ntfs("c.ntfs", NTFS_OPTIONS);
		common_names();
		put_stuff("stream", 10, 1, true);
		setxattr(at("stream"), "user.s", base, 100, 0);
		if (i < 2)
			compressed();
		unmount();
		equals_ntfs3g("c.ntfs", 400);
	}
}

/* ---- FAT ---- */

/* Files in a folder, copied in by mtools. */
static void make_fat(const char *name, unsigned bits, const char *options)
{
	snprintf(base, sizeof(base), "%s/src", dir);
	sh("rm -rf %s; mkdir -p %s", base, base);
	common_names();
	put_text("lower.txt", "l");
	put_text("Mixed.Txt", "m");
	when("hello.txt", 1000000000, 0);
	when("lower.txt", 4000000000, 0);
	assert_int_equal(
		sh("cd %s && truncate -s %uM %s && LC_ALL=C.UTF-8 mkfs.fat -F %u -n 'VOL 1' %s %s",
		   dir, bits == 32 ? 140u : 16u, name, bits, options, name),
		0);
	assert_int_equal(
		sh("cd %s/src && MTOOLS_SKIP_CHECK=1 TZ=UTC LC_ALL=C.UTF-8 "
		   "mcopy -s -m -Q -i ../%s * ::",
		   dir, name),
		0);
	/* holes in the chain of what comes next */
	sh("cd %s && for i in 1 3 5 7 9 100 101 102; do mdel -i %s \"::d/file number $i\"; done",
	   dir, name);
	put_stuff("after", 200000, 77, false);
	assert_int_equal(sh("cd %s/src && TZ=UTC mcopy -m -i ../%s after ::d",
			    dir, name),
			 0);
	assert_int_equal(
		sh("cd %s && mattrib +r +h -i %s ::hello.txt", dir, name), 0);
}

static void equals_mtools(const char *name, const char *fs)
{
	struct recs ours = { 0 }, oracle = { 0 };
	struct opened o = { 0 };
	char out[96];

	snprintf(out, sizeof(out), "%s/out", dir);
	assert_int_equal(
		sh("rm -rf %s; mkdir %s; TZ=UTC LC_ALL=C.UTF-8 mcopy -s -m -Q "
		   "-i %s/%s '::*' %s",
		   out, out, dir, name, out),
		0);
	tree(out, &oracle);
	open_image(name, &o);
	assert_string_equal(o.v->fs, fs);
	assert_string_equal(o.v->note, "");
	assert_int_equal(walk_volume(o.v, &ours, UINT64_MAX), 0);
	assert_true(ours.n > 390);
	/* mtools gives folders the time at which it made them */
	assert_int_equal(compare(&ours, &oracle,
				 NO_DIR_SIZE | NO_DIR_MTIME | NO_XATTR),
			 0);
	same_as_blkid(name, o.v);
	recs_free(&ours);
	recs_free(&oracle);
	close_image(&o);
}

static void test_fat(void **state)
{
	static const struct {
		unsigned bits;
		const char *fs, *options;
	} kinds[] = {
		{ 12, "fat12", "-s 16" },
		{ 12, "fat12", "-s 32 -r 1024" },
		{ 16, "fat16", "-s 4" },
		{ 32, "fat32", "-s 2" },
		{ 32, "fat32", "-s 2 -R 48 -f 1" },
		{ 16, "fat16", "-S 2048 -s 1" },
	};

	(void)state;
	if (!tool("mkfs.fat") || !tool("mcopy")) {
		print_message("skip: needs mkfs.fat and mtools\n");
		skip();
	}
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		make_fat("fat", kinds[i].bits, kinds[i].options);
		equals_mtools("fat", kinds[i].fs);
	}
}

/* Times do not depend on where the analyst is. */
static void test_fat_zone(void **state)
{
	struct recs a = { 0 }, b = { 0 };
	struct opened o = { 0 };

	(void)state;
	if (!tool("mkfs.fat") || !tool("mcopy"))
		skip();
	make_fat("fat", 16, "");
	open_image("fat", &o);
	walk_volume(o.v, &a, UINT64_MAX);
	close_image(&o);
	setenv("TZ", "Asia/Tokyo", 1);
	tzset();
	open_image("fat", &o);
	walk_volume(o.v, &b, UINT64_MAX);
	close_image(&o);
	setenv("TZ", "UTC", 1);
	tzset();
	assert_int_equal(compare(&a, &b, 0), 0);
	assert_int_equal(find(&a, "hello.txt")->sec, 1000000000);
	recs_free(&a);
	recs_free(&b);
}

/* ---- exFAT ---- */

static bool exfat_there(void)
{
	return geteuid() == 0 && tool("mkfs.exfat") &&
	       tool("mount.exfat-fuse") && tool("losetup") &&
	       access("/dev/fuse", R_OK) == 0;
}

/* exfat-fuse mounts block devices only. */
static bool mount_exfat(const char *name, const char *options)
{
	char command[200], loop[64];

	sh("mkdir -p %s/m", dir);
	snprintf(command, sizeof(command), "losetup --show -f %s/%s", dir,
		 name);
	output(loop, sizeof(loop), command);
	if (!*loop ||
	    sh("TZ=UTC mount.exfat-fuse -o %s %s %s/m", options, loop, dir)) {
		sh("losetup -d %s", loop);
		return false;
	}
	snprintf(base, sizeof(base), "%s/m", dir);
	/* goes when it is unmounted */
	sh("losetup -d %s", loop);
	return true;
}

static void test_exfat(void **state)
{
	struct recs ours = { 0 }, oracle = { 0 };
	struct opened o = { 0 };
	char name[64];

	(void)state;
	if (!exfat_there()) {
		print_message(
			"skip: needs root, loop devices, mkfs.exfat and exfat-fuse\n");
		skip();
	}
	for (unsigned pass = 0; pass < 2; pass++) {
		assert_int_equal(
			sh("cd %s && rm -f ex && truncate -s 64M ex && mkfs.exfat %s -L 'V\xc3\xb6l' ex",
			   dir, pass ? "-c 64K" : "-c 512"),
			0);
		if (!mount_exfat("ex", "rw")) {
			print_message("skip: exfat-fuse does not mount here\n");
			skip();
		}
		common_names();
		for (unsigned i = 0; i < 400; i += 2) {
			snprintf(name, sizeof(name), "d/file number %u", i);
			unlink(at(name));
		}
		put_stuff("d/e/after", 2000000, 5, false);
		put_text("grown", "g");
		assert_int_equal(truncate(at("grown"), 100000), 0);
		when("hello.txt", 1000000000, 0);
		unmount();
		open_image("ex", &o);
		assert_string_equal(o.v->fs, "exfat");
		assert_string_equal(o.v->note, "");
		assert_int_equal(walk_volume(o.v, &ours, UINT64_MAX), 0);
		assert_true(mount_exfat("ex", "ro"));
		tree(base, &oracle);
		unmount();
		assert_true(ours.n > 200);
		assert_int_equal(
			compare(&ours, &oracle, NO_DIR_SIZE | NO_XATTR), 0);
		same_as_blkid("ex", o.v);
		recs_free(&ours);
		recs_free(&oracle);
		close_image(&o);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_ntfs),
		cmocka_unit_test(test_ntfs_cluster_sizes),
		cmocka_unit_test(test_fat),
		cmocka_unit_test(test_fat_zone),
		cmocka_unit_test(test_exfat),
	};

	return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
