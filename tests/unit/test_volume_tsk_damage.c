/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Damaged NTFS, FAT and exFAT volumes: each is read or refused, soon, and
 * what is given keeps its promises (tsk_fixture.h checks them). The changes
 * come from a fixed seed. HERD_MUTATIONS sets how many of each.
 */
#include "tests/unit/tsk_fixture.h"

#include <time.h>

#define SECONDS_MAX 5.0
#define BYTES_MAX (32u << 20) /* of content that is read of each */

static char dir[64];
static uint32_t seed;

static int make_dir(void **state)
{
	const char *tmp = getenv("TMPDIR");

	(void)state;
	snprintf(dir, sizeof(dir), "%.40s/herd-dmg-XXXXXX", tmp ? tmp : "/tmp");
	return mkdtemp(dir) ? 0 : -1;
}

static int remove_dir(void **state)
{
	(void)state;
	sh("umount -l %s/m", dir);
	return sh("rm -rf %s", dir) ? -1 : 0;
}

static uint32_t rnd(uint32_t below)
{
	seed ^= seed << 13;
	seed ^= seed >> 17;
	seed ^= seed << 5;
	return seed % below;
}

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* Where changes hurt: sectors of records and indexes, the first ones, and
   any that are not zeros. */
struct targets {
	uint32_t *meta, *data;
	uint32_t n_meta, n_data;
};

static void find_targets(const uint8_t *p, size_t len, struct targets *t)
{
	static const uint8_t zeros[512];
	bool inside = false;

	t->meta = calloc(len / 512, sizeof(*t->meta));
	t->data = calloc(len / 512, sizeof(*t->data));
	assert_true(t->meta && t->data);
	for (uint32_t i = 0; i < len / 512; i++) {
		const uint8_t *s = p + 512u * i;
		bool head = !memcmp(s, "FILE", 4) || !memcmp(s, "INDX", 4);

		if (!memcmp(s, zeros, 512))
			continue;
		t->data[t->n_data++] = i;
		if (head || inside || i < 64)
			t->meta[t->n_meta++] = i;
		inside = head;
	}
	assert_true(t->n_meta && t->n_data);
}

static void mutate(uint8_t *p, size_t *len, const struct targets *t)
{
	static const uint32_t words[] = { 0,	      1,	  0x7f,
					  0xff,	      0x7fff,	  0xffff,
					  0x7fffffff, 0x80000000, 0xffffffff,
					  0xfffffff8 };
	unsigned n = 1 + rnd(rnd(4) ? 8 : 200);

	if (!rnd(8))
		*len -= rnd((uint32_t)*len - 512) & ~511u;
	for (unsigned i = 0; i < n; i++) {
		bool meta = rnd(4);
		uint32_t s = meta ? t->meta[rnd(t->n_meta)] :
				    t->data[rnd(t->n_data)];
		size_t at = 512u * (size_t)s + rnd(512), k = 1u << rnd(4);
		uint32_t w = words[rnd(ARRAY_SIZE(words))];

		if (at + 8 > *len)
			continue;
		switch (rnd(5)) {
		case 0:
			p[at] ^= (uint8_t)(1u << rnd(8));
			break;
		case 1:
			p[at] = (uint8_t)rnd(256);
			break;
		case 2:
			memcpy(p + at, &w, k < 4 ? k : 4);
			break;
		case 3: /* a number off by a little */
			p[at] = (uint8_t)(p[at] + 1 - 2 * (int)rnd(2));
			break;
		default: /* a piece from elsewhere */
			k = 512u * t->meta[rnd(t->n_meta)] + rnd(512);
			if (k + 8 <= *len)
				memcpy(p + at, p + k, 8);
		}
	}
}

static void read_or_refuse(const uint8_t *p, size_t len, unsigned i,
			   unsigned *opened)
{
	struct herd_diag diag = { .offset = HERD_NO_OFFSET };
	struct herd_source *s = NULL;
	struct herd_volume *v = NULL;
	struct recs r = { 0 };
	double start = now();
	int err;

	assert_int_equal(herd_source_from_memory("image", p, len, &s), 0);
	err = herd_volume_open_tsk(s, &v, &diag);
	if (!err) {
		walk_volume(v, &r, BYTES_MAX);
		v->ops->destroy(v);
		++*opened;
	} else {
		assert_true(err == -ENODATA || *diag.message);
	}
	herd_source_destroy(s);
	recs_free(&r);
	if (now() - start > SECONDS_MAX)
		fail_msg("change %u took %.1f s", i, now() - start);
}

static void damage(const char *name, uint32_t first_seed)
{
	const char *env = getenv("HERD_MUTATIONS");
	unsigned count = env ? (unsigned)atoi(env) : 200, opened = 0;
	struct targets t = { 0 };
	uint8_t *p, *copy;
	char path[128];
	size_t len;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	load(path, &p, &len);
	find_targets(p, len, &t);
	copy = malloc(len);
	assert_non_null(copy);
	for (unsigned i = 0; i < count; i++) {
		size_t n = len;

		seed = first_seed + 7919 * i;
		memcpy(copy, p, len);
		mutate(copy, &n, &t);
		read_or_refuse(copy, n, i, &opened);
	}
	print_message("%s: %u of %u changed volumes still open\n", name, opened,
		      count);
	assert_true(opened > count / 4);
	free(t.meta);
	free(t.data);
	free(copy);
	free(p);
}

/* ---- the volumes ---- */

static void test_ntfs(void **state)
{
	(void)state;
	if (geteuid() || !tool("mkntfs") || !tool("ntfs-3g") ||
	    !tool("setfattr") || access("/dev/fuse", R_OK)) {
		print_message(
			"skip: needs root, /dev/fuse, mkntfs, ntfs-3g and setfattr\n");
		skip();
	}
	assert_int_equal(
		sh("cd %s && truncate -s 4M n && mkntfs -F -q n && mkdir -p m && "
		   "ntfs-3g -o compression,streams_interface=xattr n m",
		   dir),
		0);
	assert_int_equal(
		sh("cd %s/m && mkdir d comp && setfattr -h -v 0x00000800 "
		   "-n system.ntfs_attrib_be comp && seq 30000 >comp/text && "
		   "for i in $(seq 250); do echo $i >d/file-with-a-long-name-$i; done && "
		   "ln comp/text hard && ln -s d link && mkfifo p && "
		   "setfattr -n user.stream -v text d && truncate -s 1G sparse && "
		   "for i in $(seq 150); do head -c 4096 /dev/zero | tr '\\0' x | "
		   "dd of=frag bs=4096 seek=$((2 * i)) conv=notrunc; done",
		   dir),
		0);
	for (int i = 0; i < 50 && sh("umount %s/m", dir); i++)
		usleep(100000);
	damage("n", 1);
}

static void fat(const char *name, unsigned kib, const char *options)
{
	assert_int_equal(
		sh("cd %s && rm -f %s && mkfs.fat -C %s %s %u && mkdir -p s/d/e && "
		   "for i in $(seq 80); do seq $((20 * i)) >\"s/d/long file name $i\"; done && "
		   "seq 20000 >s/d/e/BIG && cd s && "
		   "MTOOLS_SKIP_CHECK=1 mcopy -s -Q -i ../%s * ::",
		   dir, name, options, name, kib, name),
		0);
}

static void test_fat(void **state)
{
	(void)state;
	if (!tool("mkfs.fat") || !tool("mcopy")) {
		print_message("skip: needs mkfs.fat and mtools\n");
		skip();
	}
	fat("f12", 1440, "-F 12");
	damage("f12", 2);
	fat("f16", 4400, "-F 16 -s 1");
	damage("f16", 3);
	fat("f32", 34000, "-F 32 -s 1");
	damage("f32", 4);
}

static void test_exfat(void **state)
{
	(void)state;
	if (geteuid() || !tool("mkfs.exfat") || !tool("mount.exfat-fuse") ||
	    !tool("losetup") || access("/dev/fuse", R_OK)) {
		print_message(
			"skip: needs root, loop devices, mkfs.exfat and exfat-fuse\n");
		skip();
	}
	if (sh("cd %s && truncate -s 4M ex && mkfs.exfat -c 512 ex && mkdir -p m && "
	       "L=$(losetup --show -f ex) && { mount.exfat-fuse $L m; r=$?; losetup -d $L; "
	       "[ $r = 0 ]; }",
	       dir)) {
		print_message("skip: exfat-fuse does not mount here\n");
		skip();
	}
	assert_int_equal(
		sh("cd %s/m && mkdir -p d/e && seq 20000 >d/e/big && "
		   "for i in $(seq 100); do seq $i >\"d/long file name $i\"; done",
		   dir),
		0);
	for (int i = 0; i < 50 && sh("umount %s/m", dir); i++)
		usleep(100000);
	damage("ex", 5);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_ntfs),
		cmocka_unit_test(test_fat),
		cmocka_unit_test(test_exfat),
	};

	return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
