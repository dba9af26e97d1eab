/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where volumes are put: made-up volumes with a few names and an fstab each.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "acquire/base/cleanup.h"
#include "index/volume.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A volume whose directories are the parts of `path`, one name each. */
struct fake {
	struct herd_volume v;
	struct herd_partition part;
	const char *fstab;
	const char *path;
	int error; /* of reading the fstab */
};

static int fake_readdir(struct herd_volume *v, uint64_t ino,
			int (*fn)(void *arg, const char *name, size_t len,
				  uint64_t ino, unsigned char type),
			void *arg, struct herd_diag *diag)
{
	const char *p = ((struct fake *)v)->path;

	(void)diag;
	for (uint64_t i = 1; p && i < ino; i++) {
		p = strchr(p, '/');
		p = p ? p + 1 : NULL;
	}
	return p ? fn(arg, p, strcspn(p, "/"), ino + 1, DT_UNKNOWN) : 0;
}

static const struct herd_volume_ops fake_ops = { .name = "fake",
						 .readdir = fake_readdir };

static int fake_read_file(struct herd_volume *v, const char *path, char **ret,
			  size_t *ret_len)
{
	struct fake *f = (struct fake *)v;

	assert_string_equal(path, "etc/fstab");
	if (f->error)
		return f->error;
	if (!f->fstab)
		return -ENOENT;
	*ret_len = strlen(f->fstab);
	/* without a NUL: none is promised */
	*ret = malloc(*ret_len + 1);
	memcpy(*ret, f->fstab, *ret_len);
	return 0;
}

static struct fake fakes[8];
static struct herd_volume_place places[8];
static size_t count;
static struct herd_diag diag;

static struct fake *add(unsigned disk, unsigned partition, const char *uuid)
{
	struct fake *f = &fakes[count];
	struct herd_volume_place *p = &places[count++];

	*f = (struct fake){ .v = { .ops = &fake_ops, .root_ino = 1 } };
	snprintf(f->v.uuid, sizeof(f->v.uuid), "%s", uuid);
	f->part.number = partition;
	*p = (struct herd_volume_place){ .disk = disk,
					 .partition = partition,
					 .volume = &f->v,
					 .part = &f->part };
	return f;
}

static int clear(void **state)
{
	(void)state;
	count = 0;
	return 0;
}

static void layout(void)
{
	herd_diag_clear(&diag);
	assert_int_equal(herd_layout(places, count, fake_read_file, &diag), 0);
}

static void test_usual(void **state)
{
	struct fake *f;

	(void)state;
	f = add(0, 1, "AAAA-BBBB");
	strcpy(f->part.type, "EFI System");
	f->fstab = "UUID=AAAA-BBBB / vfat\n"; /* it cannot be the root */
	f = add(0, 2, "11111111-2222-3333-4444-555555555555");
	f->fstab =
		"# a comment\n\n"
		"UUID=11111111-2222-3333-4444-555555555555 / ext4 errors=remount-ro 0 1\n"
		"UUID=aaaa-bbbb\t/boot/efi\tvfat\tumask=0077 0 1\n"
		"LABEL=\"my data\" /srv//data/./x/ ext4 noauto 0 0\r\n"
		"PARTUUID=ABCDEF01-02 /opt auto defaults\n"
		"PARTLABEL=logs /var/log ext4\n"
		"/dev/sdb2 /with\\040space ext4\n"
		"/dev/nvme1n1p3 /nvme ext4\n"
		"UUID=swap none swap sw 0 0\n"
		"proc /proc proc defaults 0 0\n"
		"tmpfs /tmp tmpfs\n";
	f = add(0, 3, "x3");
	strcpy(f->v.label, "my data");
	f = add(0, 4, "x4");
	strcpy(f->part.uuid, "abcdef01-02");
	f = add(1, 1, "x5");
	strcpy(f->part.label, "logs");
	add(1, 2, "x6");
	add(1, 3, "x7");
	add(2, 0, "x8");
	layout();
	assert_string_equal(places[0].mount, "boot/efi");
	assert_string_equal(places[1].mount, "");
	assert_string_equal(places[2].mount, "srv/data/x");
	assert_string_equal(places[3].mount, "opt");
	assert_string_equal(places[4].mount, "var/log");
	assert_string_equal(places[5].mount, "with space");
	assert_string_equal(places[6].mount, "nvme");
	assert_string_equal(places[7].mount, ".volumes/2/p0");
	assert_string_equal(diag.message, "");
}

static void test_devices(void **state)
{
	static const char *const specs[] = {
		"/dev/xvdb",
		"/dev/vdb",
		"/dev/hdb",
		"/dev/nvme1n1",
		"/dev/mmcblk1",
		"/dev/disk/by-uuid/data",
		"/dev/disk/by-label/my\\x20label",
		"UUID=DATA",
		"UUID=\"data\"",
		"LABEL=my\\040label",
	};
	static const char *const not [] = {
		"/dev/sdb1",
		"/dev/sda",
		"/dev/sd",
		"/dev/sdbx",
		"/dev/nvme1",
		"/dev/nvme1n1p",
		"/dev/sdb0000000000000001",
		"UUID=",
		"LABEL=",
		"/dev/disk/by-uuid/",
		"data",
		"",
		"/dev/sdzzzz",
		"/dev/nvme99999999999n1",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(specs) + ARRAY_SIZE(not ); i++) {
		bool good = i < ARRAY_SIZE(specs);
		const char *spec = good ? specs[i] :
					  not [i - ARRAY_SIZE(specs)];
		struct fake *f;
		char fstab[200];

		count = 0;
		f = add(0, 1, "root");
		snprintf(fstab, sizeof(fstab),
			 "UUID=root / ext4\n%s /data ext4\n", spec);
		f->fstab = fstab;
		f = add(1, 0, "data");
		strcpy(f->v.label, "my label");
		layout();
		if (strcmp(places[1].mount, good ? "data" : ".volumes/1/p0"))
			fail_msg("%s: %s", spec, places[1].mount);
	}
}

/* What fstab must not be able to do. */
static void test_hostile(void **state)
{
	static const char *const dirs[] = {
		"/../../etc", "/a/../b",	"/..",	"..",	  "relative",
		"/.volumes",  "/.volumes/0/p1", "none", "\"/x\"",
	};
	char fstab[4096], deep[3000];
	struct fake *f;

	(void)state;
	for (size_t i = 0; i <= ARRAY_SIZE(dirs); i++) {
		memset(deep, 'd', sizeof(deep));
		deep[0] = '/';
		for (size_t k = 200; k < sizeof(deep); k += 200)
			deep[k] = '/';
		deep[sizeof(deep) - 1] = '\0';
		count = 0;
		f = add(0, 1, "root");
		snprintf(fstab, sizeof(fstab),
			 "UUID=root / ext4\nUUID=data %s ext4\n",
			 i < ARRAY_SIZE(dirs) ? dirs[i] : deep);
		f->fstab = fstab;
		add(0, 2, "data");
		layout();
		assert_string_equal(places[0].mount, "");
		assert_string_equal(places[1].mount, ".volumes/0/p2");
	}
	/* bytes that no fstab has */
	count = 0;
	f = add(0, 1, "root");
	f->fstab =
		"\\\\0 \\ \x01\xff\n/dev/sda1 /\\057..\\057..\\057x ext4\n\"\n\t \nUUID=data";
	add(0, 2, "data");
	layout();
	assert_string_equal(places[0].mount, "");
	assert_string_equal(places[1].mount, ".volumes/0/p2");
}

static void test_conflict(void **state)
{
	struct fake *f;

	(void)state;
	/* two clones of one volume, two lines for one place, two for one volume */
	f = add(0, 1, "root");
	f->fstab =
		"UUID=root / ext4\nUUID=clone /data ext4\nUUID=other /data ext4\n"
		"UUID=clone /again ext4\nUUID=root /root2 ext4\nUUID=third / ext4\n"
		"UUID=nest /data/in/it ext4\n";
	add(0, 2, "clone");
	add(1, 2, "clone");
	add(1, 3, "other");
	add(1, 4, "third");
	add(1, 5, "nest");
	layout();
	assert_string_equal(places[0].mount, "");
	assert_string_equal(places[1].mount, "data");
	assert_string_equal(places[2].mount, "again");
	assert_string_equal(places[3].mount, ".volumes/1/p3");
	assert_string_equal(places[4].mount, ".volumes/1/p4");
	assert_string_equal(places[5].mount, "data/in/it");
}

static void test_root(void **state)
{
	struct fake *f;

	(void)state;
	/* a data volume alone */
	add(3, 1, "only");
	layout();
	assert_string_equal(places[0].mount, "");
	/* with a second one neither is the root */
	add(3, 2, "second");
	layout();
	assert_string_equal(places[0].mount, ".volumes/3/p1");
	assert_string_equal(places[1].mount, ".volumes/3/p2");
	/* an init, without an fstab */
	fakes[1].path = "usr/lib/systemd/systemd";
	layout();
	assert_string_equal(places[1].mount, "");
	assert_string_equal(places[0].mount, ".volumes/3/p1");
	/* Windows, in any case */
	fakes[1].path = "WINDOWS/system32";
	layout();
	assert_string_equal(places[1].mount, "");
	/* a copy of a root whose fstab names another volume as "/" */
	count = 0;
	f = add(0, 1, "old");
	f->fstab = "UUID=new / ext4\n";
	f = add(0, 2, "new");
	f->fstab = "UUID=new / ext4\n";
	layout();
	assert_string_equal(places[1].mount, "");
	assert_string_equal(places[0].mount, ".volumes/0/p1");
	/* an EFI partition alone is no root */
	count = 0;
	f = add(0, 1, "efi");
	strcpy(f->part.type, "EFI System");
	layout();
	assert_string_equal(places[0].mount, ".volumes/0/p1");
	/* an fstab that cannot be read is named; an init still counts */
	count = 0;
	f = add(0, 1, "a");
	f->error = -EIO;
	f->path = "sbin/init";
	add(0, 2, "b");
	layout();
	assert_string_equal(places[0].mount, "");
	assert_non_null(strstr(diag.message, "fstab"));
	/* nothing at all */
	count = 0;
	layout();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_usual, clear),
		cmocka_unit_test_setup(test_devices, clear),
		cmocka_unit_test_setup(test_hostile, clear),
		cmocka_unit_test_setup(test_conflict, clear),
		cmocka_unit_test_setup(test_root, clear),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
