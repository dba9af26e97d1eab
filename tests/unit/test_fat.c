/* SPDX-License-Identifier: Apache-2.0 */
/*
 * FAT and exFAT volumes made byte by byte: what no mkfs and no driver writes,
 * and what must be neither hidden nor believed.
 */
#include "tests/unit/tsk_fixture.h"

#include "index/fat.h"

/* ---- a FAT volume of 200 sectors ---- */

#define SECTOR 512u
#define RESERVED 1u
#define ROOT 4u /* first sector of the root directory, FAT12/16 */
#define HEAP 6u /* first sector of cluster 2 */
#define LEN (200u * SECTOR)

static uint8_t d[LEN];
static struct herd_source *s;
static struct herd_volume *v;
static struct recs r;

static void le16(uint8_t *p, unsigned n)
{
	p[0] = (uint8_t)n;
	p[1] = (uint8_t)(n >> 8);
}

static void le32(uint8_t *p, uint32_t n)
{
	le16(p, n & 0xffff);
	le16(p + 2, n >> 16);
}

/* bits 12 or 32. */
static void boot(unsigned bits)
{
	bool wide = bits == 32;

	memset(d, 0, sizeof(d));
	memcpy(d, "\xeb\x3c\x90mkfs.fat", 11);
	le16(d + 11, SECTOR);
	d[13] = 1;
	le16(d + 14, RESERVED);
	d[16] = wide ? 5 : 1; /* tables, so that both have one heap */
	le16(d + 17, wide ? 0 : 32);
	le16(d + 19, 200);
	d[21] = 0xf8;
	le16(d + 22, wide ? 0 : 3);
	if (wide) {
		le32(d + 36, 1);
		le32(d + 44, 2);
	}
	d[wide ? 66 : 38] = 0x29;
	le32(d + (wide ? 67 : 39), 0x12345678);
	memcpy(d + (wide ? 71 : 43), "BOOTLABEL  ", 11);
	le16(d + 510, 0xaa55);
}

static void link_to(unsigned bits, unsigned cluster, unsigned next)
{
	uint8_t *fat = d + RESERVED * SECTOR;

	if (bits == 32) {
		le32(fat + 4 * cluster,
		     next | 0xa0000000); /* four bits are not ours */
		return;
	}
	fat += cluster + cluster / 2;
	if (cluster & 1)
		le16(fat, (fat[0] & 0x0fu) | next << 4);
	else
		le16(fat, next | (unsigned)(fat[1] & 0xf0) << 8);
}

static uint8_t *cluster(unsigned n)
{
	return d + (HEAP + n - 2) * SECTOR;
}

static uint8_t *file(uint8_t *slot, const char *name, unsigned attr,
		     unsigned first, uint32_t size)
{
	memset(slot, 0, 32);
	memcpy(slot, name, 11);
	slot[11] = (uint8_t)attr;
	le16(slot + 22, 12 << 11 | 34 << 5 | 28); /* 12:34:56 */
	le16(slot + 24, 40 << 9 | 2 << 5 | 29);	  /* 2020-02-29 */
	le16(slot + 26, first);
	le32(slot + 28, size);
	return slot + 32;
}

static int view(void)
{
	struct herd_diag diag = { .offset = HERD_NO_OFFSET };

	assert_int_equal(herd_source_from_memory("fat", d, sizeof(d), &s), 0);
	if (herd_volume_open_tsk(s, &v, &diag))
		fail_msg("%s", diag.message);
	return walk_volume(v, &r, UINT64_MAX);
}

static int drop(void **state)
{
	(void)state;
	recs_free(&r);
	if (v)
		v->ops->destroy(v);
	v = NULL;
	herd_source_destroy(s);
	s = NULL;
	return 0;
}

static const struct rec *find(const char *path)
{
	const struct rec key = { .path = (char *)path };
	const struct rec *found =
		bsearch(&key, r.v, r.n, sizeof(key), recs_by_path);

	if (!found)
		fail_msg("%s is not there", path);
	return found;
}

static void test_names(void **state)
{
	uint8_t *p = d + ROOT * SECTOR;

	(void)state;
	boot(12);
	p = file(p, "MY LABEL   ", 0x08, 0, 0);
	p = file(p, "UPPER   TXT", 0x20, 0, 0);
	p = file(p, "LOWER   TXT", 0x20, 0, 0);
	p[-32 + 12] = 0x18;
	p = file(p, "NOEXT      ", 0x01, 0, 0);
	p = file(p, "\x05\x81\x9a\xe1    \x80  ", 0x20, 0, 0);
	p = file(p,
		 "\xe5"
		 "ELETED TXT",
		 0x20, 0, 0);
	/* a long name whose sum is not this file's: it belongs to another */
	memset(p, 'x', 32);
	p[0] = 0x41;
	p[11] = 0x0f;
	p[13] = 1;
	p = file(p + 32, "ORPHAN     ", 0x20, 0, 0);
	p = file(p, "A/B        ", 0x20, 0, 0);
	file(p, "LAST       ", 0x20, 0, 0);
	file(p + 64, "HIDDEN     ", 0x20, 0, 0); /* behind the end */
	assert_int_equal(view(), -EBADMSG);	 /* for A/B */
	assert_string_equal(v->label, "MY LABEL");
	assert_string_equal(v->uuid, "1234-5678");
	assert_string_equal(v->fs, "fat12");
	find("UPPER.TXT");
	find("lower.txt");
	find("NOEXT");
	find("\xcf\x83\xc3\xbc\xc3\x9c\xc3\x9f.\xc3\x87");
	find("ORPHAN");
	find("LAST");
	assert_int_equal(r.n, 6);
	/* 2020-02-29 12:34:56, taken as UTC */
	assert_int_equal(find("LAST")->sec, 1582979696);
}

/* Chains that end early, leave the volume, or go round. */
static void test_chains(void **state)
{
	(void)state;
	for (unsigned bits = 12; bits <= 32; bits += 20) {
		uint8_t *p;

		boot(bits);
		p = bits == 32 ? cluster(2) : d + ROOT * SECTOR;
		if (bits == 32)
			link_to(bits, 2, 0x0fffffff);
		p = file(p, "GOOD       ", 0x20, 10, 700);
		link_to(bits, 10, 20);
		link_to(bits, 20, bits == 32 ? 0x0ffffff8 : 0xfff);
		memset(cluster(10), 'a', SECTOR);
		memset(cluster(20), 'b', SECTOR);
		p = file(p, "EARLY      ", 0x20, 20, 700);
		p = file(p, "LOOP       ", 0x20, 30, 5000);
		link_to(bits, 30, 31);
		link_to(bits, 31, 30);
		p = file(p, "FREE       ", 0x20, 40, 700);
		p = file(p, "FAR        ", 0x20, 1000, 700);
		p = file(p, "NONE       ", 0x20, 0, 700);
		p = file(p, "GIANT      ", 0x20, 10, 0xffffffff);
		p = file(p, "READONLY   ", 0x01, 50, 1);
		p = file(p, "LOOPDIR    ", 0x10, 60, 0);
		link_to(bits, 60, 60);
		memset(cluster(60), 0xe5, SECTOR);
		file(cluster(60), "INSIDE     ", 0x20, 0, 0);
		file(p, "SELF       ", 0x10, bits == 32 ? 2 : 0, 0);
		assert_int_equal(view(), -EBADMSG); /* for LOOPDIR */
		assert_string_equal(v->fs, bits == 32 ? "fat32" : "fat12");
		assert_string_equal(v->label, "BOOTLABEL");
		assert_string_equal(find("GOOD")->note, "");
		assert_non_null(strstr(find("EARLY")->note, "512 of 700"));
		assert_non_null(strstr(find("LOOP")->note, "loop"));
		assert_non_null(strstr(find("FREE")->note, "free"));
		assert_non_null(strstr(find("FAR")->note, "leaves"));
		assert_non_null(strstr(find("NONE")->note, "free"));
		assert_non_null(
			strstr(find("GIANT")->note, "larger than the volume"));
		find("LOOPDIR/INSIDE");
		drop(NULL);
	}
}

/* What would make libtsk search the whole volume is read without it. */
static void test_without_libtsk(void **state)
{
	uint8_t *p = d + ROOT * SECTOR;

	(void)state;
	boot(12);
	p = file(p, "FIRST      ", 0x20, 0, 0);
	p = file(p, "..         ", 0x10, 0, 0);
	file(p, "LAST       ", 0x20, 0, 0);
	assert_int_equal(view(), 0);
	assert_non_null(strstr(v->note, "without libtsk"));
	assert_int_equal(r.n, 2);
}

/* A folder in itself, a million times over: the volume's budget ends it. */
static void test_budget(void **state)
{
	struct herd_diag diag = { .offset = HERD_NO_OFFSET };
	unsigned times = 0;
	int err = 0;

	(void)state;
	boot(12);
	file(d + ROOT * SECTOR, "DIR        ", 0x10, 10, 0);
	link_to(12, 10, 0xfff);
	file(cluster(10), "DIR        ", 0x10, 10, 0);
	assert_int_equal(herd_source_from_memory("fat", d, sizeof(d), &s), 0);
	assert_int_equal(herd_volume_open_tsk(s, &v, &diag), 0);
	struct walk w = { .v = v, .dir = "" };

	for (; !err && times < 2000000; times++) {
		err = v->ops->readdir(v, v->root_ino, walk_name, &w, &diag);
		while (w.n)
			free(w.c[--w.n].path);
	}
	free(w.c);
	assert_int_equal(err, -EOVERFLOW);
	assert_non_null(strstr(diag.message, "listed"));
}

/* ---- exFAT: heap at sector 16, clusters of one sector ---- */

#define XHEAP 16u

static uint8_t *xcluster(unsigned n)
{
	return d + (XHEAP + n - 2) * SECTOR;
}

static void xboot(void)
{
	memset(d, 0, sizeof(d));
	memcpy(d,
	       "\xeb\x76\x90"
	       "EXFAT   ",
	       11);
	le32(d + 72, 200);
	le32(d + 80, 8);
	le32(d + 84, 2);
	le32(d + 88, XHEAP);
	le32(d + 92, 180);
	le32(d + 96, 4);
	le32(d + 100, 0xcafe0001);
	d[108] = 9;
	d[110] = 1;
	le16(d + 510, 0xaa55);
}

static void xlink(unsigned n, uint32_t next)
{
	le32(d + 8 * SECTOR + 4 * n, next);
}

static uint8_t *xname(uint8_t *p, const char *name)
{
	memset(p, 0, 32);
	p[0] = 0xc1;
	for (unsigned i = 0; i < 15 && name[i]; i++)
		p[2 + 2 * i] = (uint8_t)name[i];
	return p + 32;
}

static uint8_t *xfile(uint8_t *p, unsigned attr)
{
	memset(p, 0, 32);
	p[0] = 0x85;
	p[1] = 2;
	p[4] = (uint8_t)attr;
	le16(p + 12, 12 << 11 | 34 << 5 | 28);
	le16(p + 14, 40 << 9 | 2 << 5 | 29);
	p[21] = 150;	  /* 1.5 s more */
	p[23] = 0x80 | 8; /* two hours east */
	return p + 32;
}

static uint8_t *xstream(uint8_t *p, const char *name, bool contiguous,
			unsigned first, uint32_t size, uint32_t valid)
{
	memset(p, 0, 32);
	p[0] = 0xc0;
	p[1] = contiguous ? 3 : 1;
	p[3] = (uint8_t)strlen(name);
	le32(p + 8, valid);
	le32(p + 20, first);
	le32(p + 24, size);
	return p + 32;
}

static void xroot(void)
{
	uint8_t *p = xcluster(4);

	xboot();
	p[0] = 0x81; /* bitmap: cluster 2, 23 bytes */
	le32(p + 20, 2);
	le32(p + 24, 23);
	p[32] = 0x83;
	p[33] = 3;
	memcpy(p + 34, "L\0\xf6\0!\0", 6);
	xlink(4, 9); /* the root goes on in cluster 9 */
	xlink(9, 0xffffffff);
}

static void test_exfat(void **state)
{
	struct herd_inode in = { 0 };
	uint8_t buf[1000], *p;

	(void)state;
	xroot();
	p = xcluster(4) + 64;
	p = xname(xstream(xfile(p, 0x20), "valid", true, 20, 1000, 600),
		  "valid");
	p = xname(xstream(xfile(p, 0x21), "chain", false, 30, 1000, 1000),
		  "chain");
	xlink(30, 40);
	xlink(40, 0xffffffff);
	/* a deleted set, and one that begins in the last slot of the cluster */
	memset(p, 0, 32);
	p[0] = 0x05;
	for (p += 32; p < xcluster(5) - 32; p += 32)
		p[0] = 0x05;
	xfile(p, 0x20);
	p = xname(xstream(xcluster(9), "across", true, 50, 10, 10), "across");
	p = xname(xstream(xfile(p, 0x10), "dir", true, 60, 512, 512), "dir");
	xname(xstream(xfile(xcluster(60), 0x20), "in", true, 61, 1, 1), "in");
	p = xname(xstream(xfile(p, 0x20), "far", true, 180, 5000, 5000), "far");
	p = xname(xstream(xfile(p, 0x20), "size", true, 0, 0xffffffff, 0),
		  "size");
	memset(xcluster(20), 'v', 2 * SECTOR);
	memset(xcluster(30), 'c', SECTOR);
	memset(xcluster(40), 'd', SECTOR);
	assert_int_equal(view(), 0);
	assert_string_equal(v->note, "");
	assert_string_equal(v->label, "L\xc3\xb6!");
	assert_string_equal(v->uuid, "CAFE-0001");
	find("dir/in");
	find("across");
	assert_int_equal(find("valid")->sec, 1582979697 - 7200);
	assert_int_equal(find("valid")->nsec, 500000000);
	assert_non_null(strstr(find("far")->note, "outside"));
	assert_non_null(strstr(find("size")->note, "larger than the volume"));
	assert_int_equal(r.n, 7);
	/* what was never written reads as zeros */
	assert_int_equal(
		v->ops->inode(v,
			      herd_fat_ino(&(struct herd_fat){ .data = XHEAP *
								       SECTOR },
					   (XHEAP + 2) * SECTOR + 64),
			      &in, NULL),
		0);
	assert_int_equal(herd_content_read(s, v, &in, buf, 1000, 0, NULL), 0);
	for (unsigned i = 0; i < 1000; i++)
		assert_int_equal(buf[i], i < 600 ? 'v' : 0);
	herd_inode_deinit(&in);
}

static void test_exfat_damage(void **state)
{
	uint8_t *p;

	(void)state;
	xroot();
	p = xcluster(4) + 64;
	p = xfile(p, 0x20); /* nothing follows it */
	p = xname(xstream(xfile(p, 0x20), "a/b", true, 20, 1, 1), "a/b");
	p = xname(xstream(xfile(p, 0x20), "..", true, 20, 1, 1), "..");
	p = xname(xstream(xfile(p, 0x20), "fine", true, 20, 1, 1), "fine");
	assert_int_equal(view(), -EBADMSG);
	find("fine");
	assert_int_equal(r.n, 1);
	drop(NULL);
	/* no bitmap: libtsk would read on to the end of the volume */
	xcluster(4)[0] = 0x01;
	xcluster(4)[64] = 0x05;
	view();
	assert_non_null(strstr(v->note, "without libtsk"));
	find("fine");
}

static void test_refused(void **state)
{
	struct herd_diag diag;

	(void)state;
	/* every byte of a boot sector, broken: refused or read, never more */
	for (unsigned at = 0; at < 512; at++) {
		for (unsigned k = 0; k < 6; k++) {
			if (k & 1)
				xroot();
			else
				boot(k & 2 ? 32 : 12);
			d[at] = k < 2 ? 0 :
				k < 4 ? 0xff :
					(uint8_t)(d[at] ^ 1 << at % 8);
			assert_int_equal(herd_source_from_memory("fat", d,
								 sizeof(d), &s),
					 0);
			herd_diag_clear(&diag);
			int err = herd_volume_open_tsk(s, &v, &diag);

			if (!err)
				walk_volume(v, &r, 1 << 20);
			else
				assert_true(err == -ENODATA || *diag.message);
			drop(NULL);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(test_names, drop),
		cmocka_unit_test_teardown(test_chains, drop),
		cmocka_unit_test_teardown(test_without_libtsk, drop),
		cmocka_unit_test_teardown(test_budget, drop),
		cmocka_unit_test_teardown(test_exfat, drop),
		cmocka_unit_test_teardown(test_exfat_damage, drop),
		cmocka_unit_test_teardown(test_refused, drop),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
