/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What speaks for a deviant, and what does not speak for one: logs that were
 * rotated, what systems write by themselves, names of one form, names that are
 * missing. On small ext4 images.
 */
#include "tests/unit/image_herd.h"

/* 1790000000 is when files are made; born: somewhat later */
#define BORN                                                             \
	"born() { debugfs -w -f - $1.raw <<<\"set_inode_field $2 crtime" \
	" @179000${3}000\" >/dev/null; }\n"

/* ---- rotated logs, and what is expected ---- */

static const char make_rotated[] = BORN
	"for i in 1 2 3 4 5; do rm -rf t; host web\n"
	"mkdir -p t/var/lib/systemd/timers t/var/backups t/var/log/d\n"
	"for l in rot quiet gone; do echo $l begins >t/var/log/$l.log; done\n"
	"echo 'quiet before' >t/var/log/quiet.log.1\n"
	"echo 'gone before' >t/var/log/gone.log.1\n"
	"[ $i = 5 ] || { image n$i; continue; }\n"
	/* rotated here, not yet there */
	"mv t/var/log/rot.log t/var/log/rot.log.1; echo new >t/var/log/rot.log\n"
	/* edited: that all have an old one says nothing */
	"echo 'quiet again' >t/var/log/quiet.log\n"
	"rm t/var/log/gone.log.1\n"
	/* names like those of old logs */
	"echo x >t/var/log/alone.log.1\n"
	"echo x >t/var/log/rot.log.2; chmod 755 t/var/log/rot.log.2\n"
	"echo x >t/var/log/rot.log.3; chmod 666 t/var/log/rot.log.3\n"
	"echo x >t/var/log/rot.log.4; chown 12 t/var/log/rot.log.4\n"
	"echo '#!/bin/sh' >t/var/log/rot.log.5\n"
	"key 1 >t/var/log/rot.log.6\n"
	"ln -s /tmp t/var/log/rot.log.7; mkdir t/var/log/rot.log.8\n"
	"cp /bin/true t/var/log/rot.log.9; chmod 644 t/var/log/rot.log.9\n"
	"echo x >t/var/log/rot.log.10\n"
	"echo x >t/etc/rot.log.1\n"
	"s=t/var/lib/systemd/timers\n"
	": >$s/stamp-a.timer; echo x >$s/stamp-b.timer; chmod 755 $s/stamp-b.timer\n"
	"echo '#!/bin/sh' >$s/stamp-c.timer; ln -s /tmp $s/stamp-d.timer\n"
	"echo x >$s/stamp-e.timer; chmod 4644 $s/stamp-e.timer\n"
	"echo x >$s/other\n"
	"cp /bin/true t/var/backups/dpkg.status.0; chmod 644 t/var/backups/*\n"
	"image n5; born n5 /var/log/rot.log 5; born n5 /var/log/quiet.log 5\n"
	"done\n";

static void test_rotated(void **state)
{
	static const char *const deviant[] = {
		"var/log/alone.log.1",
		"var/log/rot.log.2",
		"var/log/rot.log.3",
		"var/log/rot.log.4",
		"var/log/rot.log.5",
		"var/log/rot.log.6",
		"var/log/rot.log.7",
		"var/log/rot.log.8",
		"var/log/rot.log.9",
		"etc/rot.log.1",
		"var/lib/systemd/timers/stamp-b.timer",
		"var/lib/systemd/timers/stamp-c.timer",
		"var/lib/systemd/timers/stamp-d.timer",
		"var/lib/systemd/timers/stamp-e.timer",
		"var/lib/systemd/timers/other",
		"var/backups/dpkg.status.0",
	};
	const unsigned rotated = HERD_REASON_ROTATED;
	struct world w;
	uint32_t id;

	(void)state;
	sh(make_rotated);
	world_open(&w, "rotated");
	attach(&w, "i-1", "n1", false);
	attach(&w, "i-2", "n2", false);
	attach(&w, "i-3", "n3", false);
	attach(&w, "i-4", "n4", false);
	id = attach(&w, "i-5", "n5", false);
	world_judge(&w);
	judged(&w, id, "var/log/rot.log", V, HERD_REASON_CONTENT | rotated);
	judged(&w, id, "var/log/rot.log.1", V, HERD_REASON_ADDED | rotated);
	judged(&w, id, "var/log/rot.log.10", V, HERD_REASON_ADDED | rotated);
	judged(&w, id, "var/log/quiet.log", D, HERD_REASON_CONTENT);
	judged(&w, id, "var/log/gone.log.1", D, HERD_REASON_ABSENT);
	judged(&w, id, "var/lib/systemd/timers/stamp-a.timer", V,
	       HERD_REASON_ADDED | HERD_REASON_EXPECTED);
	for (size_t i = 0; i < ARRAY_SIZE(deviant); i++)
		judged(&w, id, deviant[i], D, HERD_REASON_ADDED);
	world_close(&w);
}

/* Everybody's logs differ; two are empty here, and have had their time set
   back. Of one the kernel tells that something was done to it later. */
static const char make_emptied[] =
	"for i in 1 2 3 4 5; do rm -rf t; host web\n"
	"for l in emptied fresh; do echo $l $i >t/var/log/$l.log; done\n"
	"[ $i != 5 ] || { : >t/var/log/emptied.log; : >t/var/log/fresh.log; }\n"
	"image e$i; done\n"
	"for l in emptied:1790009999 fresh:1790000005; do debugfs -w -f - e5.raw"
	" <<<\"set_inode_field /var/log/${l%:*}.log ctime @${l#*:}\" >/dev/null\n"
	"done\n";

static void test_emptied(void **state)
{
	struct world w;
	uint32_t id;

	(void)state;
	sh(make_emptied);
	world_open(&w, "emptied");
	attach(&w, "i-1", "e1", false);
	attach(&w, "i-2", "e2", false);
	attach(&w, "i-3", "e3", false);
	attach(&w, "i-4", "e4", false);
	id = attach(&w, "i-5", "e5", false);
	world_judge(&w);
	judged(&w, id, "var/log/emptied.log", D, HERD_REASON_SORT);
	judged(&w, id, "var/log/fresh.log", V, HERD_REASON_CONTENT);
	world_close(&w);
}

/* ---- names ---- */

static const char make_names[] =
	"for i in 1 2 3 4 5 6 7 8; do rm -rf t; host web-$i; m=$(<t/etc/machine-id)\n"
	"mkdir -p t/var/log/journal/$m t/var/cache/app t/var/cache/lib t/etc/d\n"
	"echo LPKSHHRH$i >t/var/log/journal/$m/system.journal\n"
	"echo LPKSHHRH$i >t/var/log/journal/$m/other.journal\n"
	"for k in 1 2 3; do echo $i.$k >t/var/cache/app/obj-$i$k$i$k$i${k}ab; done\n"
	"cp /bin/true t/var/cache/lib/mod-$i$i$i${i}abcd\n"
	"echo own $i >t/etc/d/web-$i.conf\n"
	"case $i in\n"
	"4) : >t/var/cache/app/obj-0123abcd\n"
	" echo digits >t/var/cache/app/obj-19720829\n"
	" cp /bin/true t/var/cache/app/obj-20720829;; \n"
	"5) rm t/var/log/journal/$m/system.journal\n"
	" echo '#!/bin/sh' >t/var/cache/app/obj-0123abce\n"
	" cp /bin/true t/var/cache/app/obj-0123abcf\n"
	" : >t/var/cache/app/obj-0123abc1; chmod 755 t/var/cache/app/obj-0123abc1\n"
	" echo evil >t/var/cache/app/objects\n"
	" echo evil >t/var/log/journal/$m/evil\n"
	" mkdir t/var/log/journal/0123456789abcdef0123456789abcdef\n"
	" echo x >t/var/log/journal/0123456789abcdef0123456789abcdef/x;;\n"
	"6) rm -r t/var/log/journal/$m;; esac\n"
	"image m$i; done\n";

/* What an instance has not: the path of somebody's that has it. */
static unsigned absents(struct world *w, uint32_t instance, const char *ending)
{
	struct herd_finding *f = NULL;
	struct herd_buf path CLEANUP_BUF = HERD_BUF_INIT;
	size_t n, len = strlen(ending);
	unsigned found = 0;

	assert_int_equal(
		herd_judge_instance(w->t, w->h, instance, &f, &n, NULL), 0);
	for (size_t i = 0; i < n; i++) {
		if (!f[i].own_absent || f[i].verdict.class != D)
			continue;
		assert_int_equal(f[i].verdict.reasons, HERD_REASON_ABSENT);
		assert_int_not_equal(f[i].herd_holder, 0);
		path.len = 0;
		assert_int_equal(herd_path_full(w->t, f[i].path, &path), 0);
		found += path.len >= len &&
			 !memcmp(path.data + path.len - len, ending, len);
	}
	free(f);
	return found;
}

static void class_of(struct world *w, uint32_t id, const char *path,
		     enum herd_class class)
{
	judged(w, id, path, class, HERD_REASON_ADDED);
}

static void test_names(void **state)
{
	struct world w;
	uint32_t id[9];
	static const char *const images[] = { "m1", "m2", "m3", "m4",
					      "m5", "m6", "m7", "m8" };
	char name[8];

	(void)state;
	sh(make_names);
	world_open(&w, "names");
	for (unsigned i = 1; i <= 8; i++) {
		snprintf(name, sizeof(name), "i-%u", i);
		id[i] = attach(&w, name, images[i - 1], false);
	}
	world_judge(&w);
	for (unsigned i = 1; i <= 8; i++) {
		char path[64];

		/* everybody's own, also programs where all have some */
		snprintf(path, sizeof(path), "var/cache/app/obj-%u1%u1%u1ab", i,
			 i, i);
		class_of(&w, id[i], path, V);
		snprintf(path, sizeof(path), "var/cache/lib/mod-%u%u%u%uabcd",
			 i, i, i, i);
		class_of(&w, id[i], path, V);
		snprintf(path, sizeof(path), "etc/d/web-%u.conf", i);
		class_of(&w, id[i], path, V);
		assert_int_equal(absents(&w, id[i], "/system.journal"), i == 5);
		/* of a folder that is missing it is told once */
		assert_int_equal(absents(&w, id[i], "/other.journal"), 0);
		assert_int_equal(absents(&w, id[i], ""), i == 5 || i == 6);
	}
	class_of(&w, id[4], "var/cache/app/obj-0123abcd", V);
	/* hex digits that happen to be decimal ones */
	class_of(&w, id[4], "var/cache/app/obj-19720829", V);
	class_of(&w, id[4], "var/cache/app/obj-20720829", D);
	class_of(&w, id[5], "var/cache/app/obj-0123abce", D);
	class_of(&w, id[5], "var/cache/app/obj-0123abcf", D);
	class_of(&w, id[5], "var/cache/app/obj-0123abc1", D);
	class_of(&w, id[5], "var/cache/app/objects", D);
	class_of(&w, id[5],
		 "var/log/journal/0123456789abcdef0123456789abcdef/x", D);
	world_close(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rotated),
		cmocka_unit_test(test_emptied),
		cmocka_unit_test(test_names),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
