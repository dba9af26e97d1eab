/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What Windows does with NTFS and ntfs-3g's own tools do not: reparse points,
 * 8.3 aliases, encryption, initialised sizes; volumes that libtsk refuses;
 * LZNT1 by itself. Volumes are made with ntfs-3g and then changed by hand.
 */
#include "tests/unit/tsk_fixture.h"

#include "index/ntfs.h"

static char dir[64];

static int make_dir(void **state)
{
	const char *tmp = getenv("TMPDIR");

	(void)state;
	snprintf(dir, sizeof(dir), "%.40s/herd-ntfs-XXXXXX",
		 tmp ? tmp : "/tmp");
	return mkdtemp(dir) ? 0 : -1;
}

static int remove_dir(void **state)
{
	(void)state;
	sh("umount -l %s/m", dir);
	return sh("rm -rf %s", dir) ? -1 : 0;
}

static bool there(void)
{
	if (!geteuid() && tool("mkntfs") && tool("ntfs-3g") &&
	    tool("setfattr") && !access("/dev/fuse", R_OK))
		return true;
	print_message(
		"skip: needs root, /dev/fuse, mkntfs, ntfs-3g and setfattr\n");
	return false;
}

/* ---- a volume in memory, to be changed ---- */

struct image {
	uint8_t *p;
	size_t len;
	struct herd_source *s;
	struct herd_volume *v;
	struct recs r;
	int damage;
};

/* Makes the volume and runs a command in it. */
static void make(struct image *im, unsigned mib, const char *command)
{
	char path[128];

	*im = (struct image){ 0 };
	sh("umount -l %s/m", dir);
	assert_int_equal(
		sh("cd %s && rm -f n && truncate -s %uM n && mkntfs -F -q n && "
		   "mkdir -p m && ntfs-3g -o compression,streams_interface=xattr n m",
		   dir, mib),
		0);
	assert_int_equal(sh("cd %s/m && %s", dir, command), 0);
	for (int i = 0; i < 50 && sh("umount %s/m", dir); i++)
		usleep(100000);
	snprintf(path, sizeof(path), "%s/n", dir);
	load(path, &im->p, &im->len);
}

static void drop_view(struct image *im)
{
	recs_free(&im->r);
	if (im->v)
		im->v->ops->destroy(im->v);
	im->v = NULL;
	herd_source_destroy(im->s);
	im->s = NULL;
}

static void drop_image(struct image *im)
{
	drop_view(im);
	free(im->p);
}

/* Reads it as it is now. */
static void view(struct image *im)
{
	struct herd_diag diag = { .offset = HERD_NO_OFFSET };

	drop_view(im);
	assert_int_equal(herd_source_from_memory("n", im->p, im->len, &im->s),
			 0);
	if (herd_volume_open_tsk(im->s, &im->v, &diag))
		fail_msg("%s", diag.message);
	im->damage = walk_volume(im->v, &im->r, UINT64_MAX);
}

static const struct rec *find(const struct image *im, const char *path)
{
	const struct rec key = { .path = (char *)path };
	const struct rec *r =
		bsearch(&key, im->r.v, im->r.n, sizeof(key), recs_by_path);

	if (!r)
		fail_msg("%s is not there", path);
	return r;
}

struct wanted {
	const char *name;
	uint64_t ino;
};

static int match(void *arg, const char *name, size_t len, uint64_t ino,
		 unsigned char type)
{
	struct wanted *w = arg;

	(void)len;
	(void)type;
	if (!strcmp(name, w->name))
		w->ino = ino;
	return 0;
}

/* A name in the root. */
static void inode(struct image *im, const char *name, struct herd_inode *ret)
{
	struct wanted w = { name, 0 };

	im->v->ops->readdir(im->v, im->v->root_ino, match, &w, NULL);
	assert_true(w.ino);
	assert_int_equal(im->v->ops->inode(im->v, w.ino, ret, NULL), 0);
}

/* The first attribute of a type in a record; the table lies in one piece. */
static uint8_t *attribute(struct image *im, uint64_t number, uint32_t type)
{
	uint64_t mft, at;
	uint32_t t, len;

	memcpy(&mft, im->p + 48, 8);
	at = mft * 4096 + number * 1024;
	assert_memory_equal(im->p + at, "FILE", 4);
	for (at += im->p[at + 20];; at += len) {
		memcpy(&t, im->p + at, 4);
		memcpy(&len, im->p + at + 4, 4);
		assert_true(t != 0xffffffff && len);
		if (t == type)
			return im->p + at;
	}
}

/* ---- tests ---- */

static void target_is(struct image *im, const char *name, const char *target)
{
	struct herd_inode in = { 0 };

	inode(im, name, &in);
	assert_int_equal(in.mode & S_IFMT, S_IFLNK);
	assert_int_equal(in.n_bytes, strlen(target));
	assert_memory_equal(in.bytes, target, in.n_bytes);
	assert_int_equal(in.size, in.n_bytes);
	assert_null(in.problem);
	herd_inode_deinit(&in);
}

static void problem_is(struct image *im, const char *name, const char *text,
		       unsigned type)
{
	struct herd_inode in = { 0 };

	inode(im, name, &in);
	assert_int_equal(in.mode & S_IFMT, type);
	assert_non_null(in.problem);
	if (!strstr(in.problem, text))
		fail_msg("%s: %s", name, in.problem);
	herd_inode_deinit(&in);
}

/* Hex of a reparse point with a UTF-16 path in it. */
static void reparse_hex(uint32_t tag, const char *path, char *out, size_t size)
{
	uint16_t n = (uint16_t)(2 * strlen(path)),
		 head = tag == 0xa000000c ? 12 : 8;
	uint16_t len = (uint16_t)(head + n), zero = 0;
	size_t k;

	k = (size_t)snprintf(out, size,
			     "%02x%02x%02x%02x%02x%02x0000%04x%02x%02x%04x%04x",
			     tag & 255, tag >> 8 & 255, tag >> 16 & 255,
			     tag >> 24, len & 255, len >> 8, zero, n & 255,
			     n >> 8, zero, zero);
	if (head == 12)
		k += (size_t)snprintf(out + k, size - k, "01000000");
	for (; *path; path++)
		k += (size_t)snprintf(out + k, size - k, "%02x00", *path);
}

static void test_reparse(void **state)
{
	char relative[200], junction[200], command[2000];
	struct image im;

	(void)state;
	if (!there())
		skip();
	reparse_hex(0xa000000c, "..\\dir\\file", relative, sizeof(relative));
	reparse_hex(0xa0000003, "\\??\\C:\\Users", junction, sizeof(junction));
	snprintf(
		command, sizeof(command),
		"X='setfattr -h -n system.ntfs_reparse_data -v'; mkdir j; for i in s l w d; "
		"do echo text >$i; done; $X 0x%s s; $X 0x%s j; "
		"$X 0x1d0000a00900000002000000612f622e63 l; " /* LX link: a/b.c */
		"$X 0x17000080080000000100000002000000 w; "   /* WOF */
		"$X 0x1300008004000000ffffffff d",	      /* deduplicated */
		relative, junction);
	make(&im, 8, command);
	view(&im);
	assert_int_equal(im.damage, 0);
	target_is(&im, "s", "../dir/file");
	target_is(&im, "j", "C:/Users");
	target_is(&im, "l", "a/b.c");
	problem_is(&im, "w", "overlay", S_IFREG);
	problem_is(&im, "d", "dedup", S_IFREG);
	drop_image(&im);
}

static void test_aliases_and_streams(void **state)
{
	struct herd_inode in = { 0 };
	struct image im;

	(void)state;
	if (!there())
		skip();
	make(&im, 16,
	     "echo 1 >'a long file name.txt' && "
	     "setfattr -n system.ntfs_dos_name -v ALONGF~1.TXT 'a long file name.txt' && "
	     "ln 'a long file name.txt' other && "
	     "ls");
	view(&im);
	assert_int_equal(im.damage, 0);
	inode(&im, "a long file name.txt", &in);
	assert_int_equal(in.nlink, 2);
	herd_inode_deinit(&in);
	for (size_t i = 0; i < im.r.n; i++)
		assert_null(strstr(im.r.v[i].path, "ALONGF"));
	/* a stream that is larger than attributes may be is named */
	drop_image(&im);
	assert_int_equal(
		sh("cd %s && rm -f n && truncate -s 16M n && mkntfs -F -q n && "
		   "ntfs-3g -o streams_interface=windows n m && cd m && echo 2 >big && "
		   "head -c 3000000 /dev/zero >big:stream && echo z >big:Zone.Identifier",
		   dir),
		0);
	for (int i = 0; i < 50 && sh("umount %s/m", dir); i++)
		usleep(100000);
	char path[128];

	snprintf(path, sizeof(path), "%s/n", dir);
	load(path, &im.p, &im.len);
	view(&im);
	problem_is(&im, "big", "stream stream of 3000000 bytes", S_IFREG);
	inode(&im, "big", &in);
	assert_int_equal(in.n_xattrs, 1);
	assert_string_equal(in.xattrs[0].name, "user.Zone.Identifier");
	assert_int_equal(in.content, HERD_CONTENT_INLINE);
	herd_inode_deinit(&in);
	drop_image(&im);
}

static uint64_t number_of(struct image *im, const char *name)
{
	struct herd_inode in = { 0 };
	uint64_t n;

	inode(im, name, &in);
	n = in.ino;
	herd_inode_deinit(&in);
	return n;
}

static void check_tail(struct image *im, const char *name, uint64_t valid)
{
	struct herd_inode in = { 0 };
	uint8_t *buf;

	inode(im, name, &in);
	buf = malloc(in.size);
	assert_non_null(buf);
	assert_int_equal(
		herd_content_read(im->s, im->v, &in, buf, in.size, 0, NULL), 0);
	for (uint64_t i = 0; i < in.size; i++)
		assert_int_equal(buf[i], i < valid ? 'x' : 0);
	/* the same in pieces that begin and end anywhere */
	for (uint64_t off = 0; off + 7777 < in.size; off += 7001) {
		uint8_t piece[7777];

		assert_int_equal(herd_content_read(im->s, im->v, &in, piece,
						   sizeof(piece), off, NULL),
				 0);
		assert_memory_equal(piece, buf + off, sizeof(piece));
	}
	free(buf);
	herd_inode_deinit(&in);
}

/* Bytes after the initialised size are zeros, whatever lies there. */
static void test_initialised(void **state)
{
	static const uint64_t valid[] = { 100000, 65536, 65537, 1, 0 };
	struct image im;

	(void)state;
	if (!there())
		skip();
	make(&im, 16,
	     "mkdir c && setfattr -h -v 0x00000800 -n system.ntfs_attrib_be c && "
	     "head -c 200000 /dev/zero | tr '\\0' x | tee runs >c/comp && ln c/comp comp");
	view(&im);
	for (size_t i = 0; i < ARRAY_SIZE(valid); i++) {
		memcpy(attribute(&im, number_of(&im, "runs"), 0x80) + 56,
		       &valid[i], 8);
		memcpy(attribute(&im, number_of(&im, "comp"), 0x80) + 56,
		       &valid[i], 8);
		view(&im);
		check_tail(&im, "runs", valid[i]);
		check_tail(&im, "comp", valid[i]);
	}
	struct herd_inode in = { 0 };

	inode(&im, "comp", &in);
	assert_int_equal(in.content, HERD_CONTENT_READER);
	herd_inode_deinit(&in);
	drop_image(&im);
}

/* What cannot be had says so; what stands beside it can be had. */
static void test_unreadable(void **state)
{
	uint64_t beyond = 1ull << 40;
	struct image im;
	uint8_t *a;

	(void)state;
	if (!there())
		skip();
	make(&im, 16,
	     "head -c 100000 /dev/zero | tee enc | tee far | tee short >huge; echo ok >fine");
	view(&im);
	a = attribute(&im, number_of(&im, "enc"), 0x80);
	a[13] |= 0x40;
	a = attribute(&im, number_of(&im, "short"), 0x80);
	memcpy(a + 48, &beyond, 8);
	a = attribute(&im, number_of(&im, "huge"), 0x80);
	memset(a + 48, 0xff, 8);
	a = attribute(&im, number_of(&im, "far"), 0x80);
	/* the run's place, made as large as its bytes allow */
	memset(a + a[32] + 1 + (a[a[32]] & 15), 0x7f, a[a[32]] >> 4);
	view(&im);
	problem_is(&im, "enc", "encrypted", S_IFREG);
	problem_is(&im, "short", "run list", S_IFREG);
	problem_is(&im, "huge", "impossible size", S_IFREG);
	problem_is(&im, "far", "damaged attribute", S_IFREG);
	assert_string_equal(find(&im, "fine")->note, "");
	assert_int_equal(find(&im, "fine")->size, 3);
	/* a cut volume: what lies beyond is named, the rest is there */
	im.len = 5 << 20;
	view(&im);
	assert_non_null(strstr(im.v->note, "cut short"));
	assert_int_equal(find(&im, "fine")->size, 3);
	drop_image(&im);
}

/* Breaking what only libtsk needs does not hide a volume. */
static void test_without_libtsk(void **state)
{
	struct recs before = { 0 };
	struct image im;

	(void)state;
	if (!there())
		skip();
	make(&im, 16, "mkdir d; for i in $(seq 300); do seq $i >d/$i; done");
	view(&im);
	assert_string_equal(im.v->note, "");
	before = im.r;
	im.r = (struct recs){ 0 };
	attribute(&im, 3, 0x70)[24 + 8] = 9; /* $Volume: version 9.1 */
	view(&im);
	assert_non_null(strstr(im.v->note, "without libtsk"));
	assert_int_equal(im.damage, 0);
	/* $MFT holds the change itself */
	for (size_t i = 0; i < before.n; i++)
		if (!strncmp(before.v[i].path, "$MFT", 4))
			strcpy(before.v[i].sum,
			       find(&im, before.v[i].path)->sum);
	assert_int_equal(compare(&im.r, &before, 0), 0);
	recs_free(&before);
	drop_image(&im);
}

static void test_lznt1(void **state)
{
	/* "a", ten more from one back, "b", "c" */
	static const uint8_t packed[] = { 0x05, 0xb0, 0x02, 'a', 0x07,
					  0x00, 'b',  'c',  0,	 0 };
	static const uint8_t bad[][6] = {
		{ 0x03, 0xb0, 0x01, 0x00, 0x00,
		  0x00 }, /* a reference to before the start */
		{ 0xff, 0xbf, 0x00, 'a', 'b', 'c' }, /* longer than there is */
		{ 0x03, 0xb0, 0x02, 'a', 0x00,
		  0x10 }, /* two back, one is there */
		{ 0x02, 0xb0, 0x02, 'a', 0x00,
		  0x00 }, /* a reference cut in half */
	};
	uint8_t out[65536], plain[4098] = { 0xff, 0x0f };

	(void)state;
	assert_int_equal(herd_lznt1(packed, sizeof(packed), out, sizeof(out)),
			 0);
	assert_memory_equal(out, "aaaaaaaaaaabc", 13);
	for (size_t i = 13; i < sizeof(out); i++)
		assert_int_equal(out[i], 0);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_int_equal(herd_lznt1(bad[i], sizeof(bad[i]), out,
					    sizeof(out)),
				 -EBADMSG);
	memset(plain + 2, 'p', 4096);
	assert_int_equal(herd_lznt1(plain, sizeof(plain), out, sizeof(out)), 0);
	assert_int_equal(out[4095], 'p');
	assert_int_equal(out[4096], 0);
	/* nothing at all is zeros */
	assert_int_equal(herd_lznt1(plain, 0, out, 8), 0);
	assert_int_equal(out[0], 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_lznt1),
		cmocka_unit_test(test_reparse),
		cmocka_unit_test(test_aliases_and_streams),
		cmocka_unit_test(test_initialised),
		cmocka_unit_test(test_unreadable),
		cmocka_unit_test(test_without_libtsk),
	};

	return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
