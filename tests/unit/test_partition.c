/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Partition tables made by sgdisk and sfdisk, against what partx reads from
 * the same file, and tables made by hand that claim what cannot be.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "acquire/base/cleanup.h"
#include "index/volume.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char dir[64];

static int make_dir(void **state)
{
	const char *tmp = getenv("TMPDIR");

	(void)state;
	snprintf(dir, sizeof(dir), "%.40s/herd-part-XXXXXX",
		 tmp ? tmp : "/tmp");
	return mkdtemp(dir) ? 0 : -1;
}

__attribute__((format(printf, 1, 2))) static int sh(const char *fmt, ...)
{
	char command[2048], all[2200];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(command, sizeof(command), fmt, ap);
	va_end(ap);
	snprintf(all, sizeof(all),
		 "PATH=$PATH:/sbin:/usr/sbin; { %s; } >/dev/null 2>&1",
		 command);
	return system(all);
}

static int remove_dir(void **state)
{
	(void)state;
	return sh("rm -rf %s", dir) ? -1 : 0;
}

static bool tool(const char *name)
{
	return !sh("command -v %s", name);
}

/* The disk file as a source in memory. */
static struct herd_source *disk(void)
{
	struct herd_source *s = NULL;
	char path[128];
	off_t len;
	char *p;
	int fd;

	snprintf(path, sizeof(path), "%s/disk", dir);
	fd = open(path, O_RDONLY);
	assert_true(fd >= 0);
	len = lseek(fd, 0, SEEK_END);
	p = malloc((size_t)len);
	assert_non_null(p);
	assert_int_equal(pread(fd, p, (size_t)len, 0), len);
	close(fd);
	assert_int_equal(herd_source_from_memory("disk", p, (size_t)len, &s),
			 0);
	free(p);
	return s;
}

struct parts {
	struct herd_partition *v;
	size_t n;
	struct herd_diag diag;
};

static int read_parts(struct herd_source *s, struct parts *p)
{
	*p = (struct parts){ .diag = { .offset = HERD_NO_OFFSET } };
	return herd_partitions(s, &p->v, &p->n, &p->diag);
}

/* partx writes bytes above 0x7f as \xhh. */
static void unescape(char *s)
{
	char *out = s;

	for (; *s; s++) {
		unsigned v;

		if (sscanf(s, "\\x%2x", &v) == 1) {
			*out++ = (char)v;
			s += 3;
		} else {
			*out++ = *s;
		}
	}
	*out = '\0';
}

/* partx numbers and places as Linux does; sectors of ss bytes. */
static void same_as_partx(const struct parts *p, unsigned ss)
{
	char command[256], line[512];
	size_t i = 0;
	FILE *f;

	snprintf(
		command, sizeof(command),
		"PATH=$PATH:/sbin partx -b -P -S %u -o NR,START,SIZE,UUID,NAME,TYPE %s/disk",
		ss, dir);
	f = popen(command, "r");
	assert_non_null(f);
	while (fgets(line, sizeof(line), f)) {
		unsigned long long start, size;
		char uuid[64], name[256] = "", type[64] = "";
		unsigned nr;

		assert_true(
			sscanf(line,
			       "NR=\"%u\" START=\"%llu\" SIZE=\"%llu\" UUID=\"%63[^\"]",
			       &nr, &start, &size, uuid) == 4);
		if (strstr(line, "NAME=\""))
			sscanf(strstr(line, "NAME=\""), "NAME=\"%255[^\"]",
			       name);
		if (strstr(line, "TYPE=\""))
			sscanf(strstr(line, "TYPE=\""), "TYPE=\"%63[^\"]",
			       type);
		/* the shell of the logical ones is no place for a volume */
		if (!strcmp(type, "0x5") || !strcmp(type, "0xf") ||
		    !strcmp(type, "0x85"))
			continue;
		assert_true(i < p->n);
		assert_int_equal(p->v[i].number, nr);
		/* START is in units of 512 whatever the sectors are */
		assert_int_equal(p->v[i].start, start * 512);
		assert_int_equal(p->v[i].len, size);
		assert_string_equal(p->v[i].uuid, uuid);
		unescape(name);
		assert_string_equal(p->v[i].label, name);
		i++;
	}
	pclose(f);
	assert_int_equal(i, p->n);
}

static void check_disk(unsigned ss, size_t expect)
{
	struct herd_source *s = disk();
	struct parts p;

	assert_int_equal(read_parts(s, &p), 0);
	assert_string_equal(p.diag.message, "");
	assert_int_equal(p.n, expect);
	same_as_partx(&p, ss);
	free(p.v);
	herd_source_destroy(s);
}

static void make_gpt(void)
{
	assert_int_equal(
		sh("cd %s && rm -f disk && truncate -s 64M disk && "
		   "sgdisk -n 1:2048:+1M -t 1:ef00 -c '1:EFI System' "
		   "-n 3:8192:+4M -c 3:r\xc3\xb6\xc3\xb6t -n 128:40000:+1M "
		   "-t 128:8200 disk",
		   dir),
		0);
}

static void test_gpt(void **state)
{
	struct herd_source *s;
	struct parts p;

	(void)state;
	if (!tool("sgdisk") || !tool("partx")) {
		print_message("skip: needs sgdisk and partx\n");
		skip();
	}
	make_gpt();
	check_disk(512, 3);
	s = disk();
	assert_int_equal(read_parts(s, &p), 0);
	assert_int_equal(p.v[1].number, 3);
	assert_string_equal(p.v[0].type, "EFI System");
	assert_string_equal(p.v[1].type, "Linux filesystem");
	assert_string_equal(p.v[2].type, "Linux swap");
	free(p.v);
	herd_source_destroy(s);
}

static void test_gpt_4096(void **state)
{
	(void)state;
	/* an sfdisk without --sector-size needs a loop device for this */
	if (!tool("sfdisk") || !tool("partx") || geteuid() != 0)
		skip();
	assert_int_equal(
		sh("cd %s && rm -f disk && truncate -s 64M disk && "
		   "printf 'label: gpt\\nsize=4M,name=one\\nsize=8M,name=two\\n' | "
		   "sfdisk --sector-size 4096 disk || { "
		   "L=$(losetup --show -b 4096 -f disk) && "
		   "printf 'label: gpt\\nsize=4M,name=one\\nsize=8M,name=two\\n' | "
		   "sfdisk $L; r=$?; losetup -d $L; [ $r = 0 ]; }",
		   dir),
		0);
	check_disk(4096, 2);
}

static void overwrite(off_t at, const void *p, size_t len)
{
	char path[128];
	int fd;

	snprintf(path, sizeof(path), "%s/disk", dir);
	fd = open(path, O_WRONLY);
	assert_true(fd >= 0);
	assert_int_equal(pwrite(fd, p, len, at), (ssize_t)len);
	close(fd);
}

/* A damaged primary header, entry or a wiped beginning: the backup serves. */
static void test_gpt_backup(void **state)
{
	static const struct {
		off_t at;
		size_t len;
	} damage[] = {
		{ 512 + 30, 4 },
		{ 1024 + 40, 8 },
		{ 512, 512 },
		{ 0, 34 * 512 },
	};
	static const uint8_t zeros[34 * 512];

	(void)state;
	if (!tool("sgdisk"))
		skip();
	for (size_t i = 0; i < ARRAY_SIZE(damage); i++) {
		struct herd_source *s;
		struct parts p, q;

		make_gpt();
		s = disk();
		assert_int_equal(read_parts(s, &p), 0);
		herd_source_destroy(s);
		overwrite(damage[i].at, zeros, damage[i].len);
		s = disk();
		assert_int_equal(read_parts(s, &q), 0);
		assert_non_null(strstr(q.diag.message, "backup"));
		assert_int_equal(q.n, p.n);
		assert_memory_equal(q.v, p.v, p.n * sizeof(*p.v));
		free(p.v);
		free(q.v);
		herd_source_destroy(s);
	}
	/* both gone: refused, not taken for an empty disk */
	make_gpt();
	overwrite(512, zeros, 512);
	overwrite((64 << 20) - 512, zeros, 512);
	struct herd_source *s = disk();
	struct parts p;

	assert_int_equal(read_parts(s, &p), -EBADMSG);
	assert_non_null(strstr(p.diag.message, "GPT"));
	herd_source_destroy(s);
}

static void test_gpt_hybrid(void **state)
{
	(void)state;
	if (!tool("sgdisk") || !tool("partx"))
		skip();
	make_gpt();
	assert_int_equal(sh("sgdisk -h 1:3 %s/disk", dir), 0);
	check_disk(512, 3);
}

/* The image was cut after the table was made. */
static void test_cut(void **state)
{
	struct herd_source *s;
	struct parts p;

	(void)state;
	if (!tool("sgdisk"))
		skip();
	make_gpt();
	assert_int_equal(sh("truncate -s 6M %s/disk", dir), 0);
	s = disk();
	assert_int_equal(read_parts(s, &p), 0);
	assert_int_equal(p.n, 2);
	assert_int_equal(p.v[1].number, 3);
	assert_int_equal(p.v[1].start, 4 << 20);
	assert_int_equal(p.v[1].len, 2 << 20);
	assert_non_null(strstr(p.diag.message, "cut"));
	free(p.v);
	herd_source_destroy(s);
}

static void test_mbr(void **state)
{
	(void)state;
	if (!tool("sfdisk") || !tool("partx"))
		skip();
	assert_int_equal(
		sh("cd %s && rm -f disk && truncate -s 64M disk && "
		   "printf 'label: dos\\nlabel-id: 0x1a2b3c4d\\n"
		   "start=2048,size=4096,type=83\\n"
		   "start=8192,size=4096,type=7,bootable\\n' | sfdisk disk",
		   dir),
		0);
	check_disk(512, 2);
	/* gaps in the primaries, and logical ones */
	assert_int_equal(
		sh("cd %s && rm -f disk && truncate -s 64M disk && "
		   "printf 'label: dos\\nlabel-id: 0x1a2b3c4d\\n"
		   "disk1 : start=2048,size=4096,type=83\\n"
		   "disk3 : start=8192,size=60000,type=5\\n"
		   "disk4 : start=80000,size=4096,type=82\\n"
		   "disk5 : start=10240,size=2048,type=83\\n"
		   "disk6 : start=16384,size=2048,type=b\\n"
		   "disk7 : start=20480,size=2048,type=83\\n' | sfdisk disk",
		   dir),
		0);
	check_disk(512, 5);
}

static void whole(struct herd_source *s)
{
	struct parts p;

	assert_int_equal(read_parts(s, &p), 0);
	assert_int_equal(p.n, 1);
	assert_int_equal(p.v[0].number, 0);
	assert_int_equal(p.v[0].start, 0);
	assert_int_equal(p.v[0].len, s->size);
	assert_string_equal(p.v[0].uuid, "");
	free(p.v);
	herd_source_destroy(s);
}

/* A file system on the whole disk, boot sectors that look like an MBR. */
static void test_none(void **state)
{
	static const char *const mkfs[] = {
		"mkfs.fat",   "mkntfs -F -q", "mkfs.ext4 -F -q",
		"mkfs.exfat", "mkswap",	      "true",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(mkfs); i++) {
		sh("cd %s && rm -f disk && truncate -s 40M disk && %s disk",
		   dir, mkfs[i]);
		whole(disk());
	}
	/* too short for anything */
	assert_int_equal(sh("cd %s && rm -f disk && truncate -s 100 disk", dir),
			 0);
	whole(disk());
}

/* ---- by hand ---- */

static void slot(uint8_t *sector, unsigned i, uint8_t type, uint32_t start,
		 uint32_t len)
{
	uint8_t *p = sector + 446 + 16 * i;

	memset(p, 0, 16);
	p[4] = type;
	memcpy(p + 8, &start, 4);
	memcpy(p + 12, &len, 4);
	sector[510] = 0x55;
	sector[511] = 0xaa;
}

static int parts_of(const uint8_t *p, size_t len, struct parts *ret)
{
	struct herd_source *s = NULL;
	int err;

	assert_int_equal(herd_source_from_memory("disk", p, len, &s), 0);
	err = read_parts(s, ret);
	herd_source_destroy(s);
	return err;
}

static void test_impossible(void **state)
{
	static uint8_t d[64 * 512];
	struct parts p;

	(void)state;
	/* beyond the end, and over the end */
	slot(d, 0, 0x83, 10, 10);
	slot(d, 1, 0x83, 1000, 10);
	slot(d, 2, 0x83, 60, 4000);
	assert_int_equal(parts_of(d, sizeof(d), &p), 0);
	assert_int_equal(p.n, 2);
	assert_int_equal(p.v[1].number, 3);
	assert_int_equal(p.v[1].len, 4 * 512);
	assert_non_null(strstr(p.diag.message, "left out"));
	free(p.v);
	/* overlapping ones are both given, and named */
	slot(d, 1, 0x83, 15, 10);
	slot(d, 2, 0, 0, 0);
	assert_int_equal(parts_of(d, sizeof(d), &p), 0);
	assert_int_equal(p.n, 2);
	assert_non_null(strstr(p.diag.message, "overlap"));
	free(p.v);
	/* logical ones in a loop of two, and one that points at itself */
	slot(d, 1, 0x05, 20, 40);
	slot(d + 20 * 512, 0, 0x83, 1, 1);
	slot(d + 20 * 512, 1, 0x05, 10, 5);
	slot(d + 30 * 512, 0, 0x83, 1, 1);
	slot(d + 30 * 512, 1, 0x05, 0, 5);
	assert_int_equal(parts_of(d, sizeof(d), &p), 0);
	assert_true(p.n > 3 && p.n <= HERD_PARTITIONS_MAX);
	free(p.v);
	slot(d + 20 * 512, 1, 0x05, 0, 5);
	assert_int_equal(parts_of(d, sizeof(d), &p), 0);
	assert_int_equal(p.n, 2);
	assert_int_equal(p.v[1].number, 5);
	free(p.v);
	/* a flag that no table has */
	d[446] = 0x7f;
	assert_int_equal(parts_of(d, sizeof(d), &p), 0);
	assert_int_equal(p.v[0].number, 0);
	free(p.v);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_gpt),
		cmocka_unit_test(test_gpt_4096),
		cmocka_unit_test(test_gpt_backup),
		cmocka_unit_test(test_gpt_hybrid),
		cmocka_unit_test(test_cut),
		cmocka_unit_test(test_mbr),
		cmocka_unit_test(test_none),
		cmocka_unit_test(test_impossible),
	};

	return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
