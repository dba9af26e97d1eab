/* SPDX-License-Identifier: Apache-2.0 */
/* Where state is kept, what systems write by themselves, names of old logs. */
#include "acquire/base/cleanup.h"
#include "index/place.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void test_places(void **state)
{
	static const struct {
		const char *path;
		enum herd_place place;
	} examples[] = {
		{ "tmp", HERD_PLACE_STATE },
		{ "tmp/x", HERD_PLACE_STATE },
		{ "run/systemd/x", HERD_PLACE_STATE },
		{ "var/log/syslog", HERD_PLACE_STATE },
		{ "var/lib/app/state", HERD_PLACE_STATE },
		{ "var/lib/rpm/Packages", HERD_PLACE_STATE },
		{ "var/spool/mail/root", HERD_PLACE_STATE },
		{ "root/.cache/x", HERD_PLACE_STATE },
		{ "home/u/.cache", HERD_PLACE_STATE },
		{ "home/u/.cache/x/y", HERD_PLACE_STATE },
		/* programs, wherever they lie */
		{ "var/spool/cron", HERD_PLACE_FIRM },
		{ "var/spool/cron/crontabs/root", HERD_PLACE_FIRM },
		{ "var/spool/at/x", HERD_PLACE_FIRM },
		{ "var/www/html/x.php", HERD_PLACE_FIRM },
		{ "var/lib/dpkg/info/a.postinst", HERD_PLACE_FIRM },
		/* a name that only begins so */
		{ "variable/x", HERD_PLACE_FIRM },
		{ "tmpfiles", HERD_PLACE_FIRM },
		{ "var/wwwroot/x", HERD_PLACE_STATE },
		{ "var/spool/cronx/y", HERD_PLACE_STATE },
		{ "home/u/.cached/x", HERD_PLACE_FIRM },
		{ "home/u/x/.cache/y", HERD_PLACE_FIRM },
		{ "home/.cache", HERD_PLACE_FIRM },
		{ "home/", HERD_PLACE_FIRM },
		{ "home", HERD_PLACE_FIRM },
		{ "home/u", HERD_PLACE_FIRM },
		{ "root/.ssh/authorized_keys", HERD_PLACE_FIRM },
		{ "etc/passwd", HERD_PLACE_FIRM },
		{ "usr/var/x", HERD_PLACE_FIRM },
		{ "", HERD_PLACE_FIRM },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(examples); i++)
		if (herd_place_of(examples[i].path, strlen(examples[i].path)) !=
		    examples[i].place)
			fail_msg("%s", examples[i].path);
	/* no more than len bytes */
	assert_int_equal(herd_place_of("var/www", 5), HERD_PLACE_STATE);
	assert_int_equal(herd_place_of("home/u/.cache", 12), HERD_PLACE_FIRM);
}

struct asked {
	const char *path;
	bool answer;
};

static void ask(bool (*is)(const char *path, size_t len),
		const struct asked *examples, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		/* as an image's paths are: without the '/', not terminated */
		size_t len = strlen(examples[i].path);
		char *path CLEANUP_FREE = malloc(len ? len : 1);

		memcpy(path, examples[i].path, len);
		if (is(path, len) != examples[i].answer)
			fail_msg("%s", examples[i].path);
	}
}

static void test_logs(void **state)
{
	static const struct asked examples[] = {
		{ "var/log/syslog", true },
		{ "var/log/nginx/access.log.2.gz", true },
		{ "root/.bash_history", true },
		{ "home/u/.zsh_history", true },
		{ "var/log", false },
		{ "var/logs/x", false },
		{ "home/u/x/.bash_history", false },
		{ "root/bash_history", false },
		{ "", false },
	};

	(void)state;
	ask(herd_place_is_log, examples, ARRAY_SIZE(examples));
}

static void test_expected(void **state)
{
	static const struct asked examples[] = {
		{ "var/lib/logrotate/status", true },
		{ "var/lib/systemd/timers/stamp-apt-daily.timer", true },
		{ "var/lib/systemd/random-seed", true },
		{ "var/backups/dpkg.status.0", true },
		{ "var/backups/dpkg.status.1.gz", true },
		{ "tmp/systemd-private-0a-x.service-a1B2c3", true },
		{ "tmp/systemd-private-0a-x.service-a1B2c3/tmp", true },
		{ "home/u/.bash_history", true },
		{ "var/log/journal/0a/user-1000.journal", true },
		/* what lies in such a folder is no folder of the system's */
		{ "tmp/systemd-private-0a-x.service-a1B2c3/tmp/x", false },
		{ "tmp/systemd-private-0a-x.service-a1B2c3/x", false },
		{ "tmp/x", false },
		{ "var/lib/systemd/timers/x", false },
		{ "var/lib/systemd/timers/a/stamp-b.timer", false },
		{ "var/backups/passwd.bak", false },
		{ "root/.bash_history", false },
		{ "home/u/.ssh/authorized_keys", false },
		{ "home/u/.bashrc", false },
		{ "etc/logrotate.conf", false },
		{ "", false },
	};

	(void)state;
	ask(herd_place_is_expected, examples, ARRAY_SIZE(examples));
}

static void test_rotated(void **state)
{
	static const struct {
		const char *name, *log;
	} examples[] = {
		{ "auth.log.1", "auth.log" },
		{ "auth.log.0", "auth.log" },
		{ "auth.log.2.gz", "auth.log" },
		{ "auth.log.10.xz", "auth.log" },
		{ "auth.log.1234.zst", "auth.log" },
		{ "auth.log-20261126", "auth.log" },
		{ "auth.log-20261126.bz2", "auth.log" },
		{ "auth.log-2026112607", "auth.log" },
		{ "auth.log-1795678901", "auth.log" },
		{ "x.1", "x" },
		{ "btmp.1", "btmp" },
		/* no rotated ones */
		{ "auth.log", "" },
		{ "auth.log.gz", "" },
		{ "auth.log.12345", "" },
		{ "auth.log-1", "" },
		{ "auth.log-202611261", "" },
		{ "auth.log-20261126.gz.gz", "" },
		{ "auth.log1", "" },
		{ "auth.log.1.lz4", "" },
		{ ".1", "" },
		{ "-20261126", "" },
		{ "1", "" },
		{ ".gz", "" },
		{ "1.gz", "" },
		{ "", "" },
		{ "auth.log.1\n", "" },
		{ "auth.log.\xd9\xa1", "" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(examples); i++) {
		const char *name = examples[i].name;
		size_t len = strlen(name);
		char *exact CLEANUP_FREE = malloc(len ? len : 1);

		memcpy(exact, name, len);
		if (herd_place_rotated(exact, len) != strlen(examples[i].log))
			fail_msg("%s", name);
		assert_memory_equal(name, examples[i].log,
				    strlen(examples[i].log));
	}
	/* nothing that a name may be leads beyond it */
	for (unsigned seed = 1; seed < 20000; seed++) {
		static const char all[] = "0123.-gxzbst2";
		char name[12];
		size_t len = seed % 12, cut;
		unsigned left = seed * 2654435761u;

		for (size_t k = 0; k < len; k++, left = left * 1664525u + 7)
			name[k] = all[(left >> 16) % (sizeof(all) - 1)];
		cut = herd_place_rotated(name, len);
		assert_true(cut == 0 || cut + 1 < len);
		assert_true(cut == 0 || name[cut] == '.' || name[cut] == '-');
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_places),
		cmocka_unit_test(test_logs),
		cmocka_unit_test(test_expected),
		cmocka_unit_test(test_rotated),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
