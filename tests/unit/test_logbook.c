/* SPDX-License-Identifier: Apache-2.0 */
/* The time of a log's first line, as three kinds of program write it. */
#include "acquire/base/cleanup.h"
#include "index/logbook.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#define UNTOUCHED 4711

static int64_t utc(int year, int month, int day, int hour, int minute, int second)
{
	struct tm tm = { .tm_year = year - 1900, .tm_mon = month - 1,
			 .tm_mday = day, .tm_hour = hour, .tm_min = minute,
			 .tm_sec = second };

	return timegm(&tm);
}

/* Of exactly its size, so that a sanitizer sees the edge. */
static bool begins(const void *text, size_t len, int64_t modified, int64_t *ret)
{
	char *exact CLEANUP_FREE = malloc(len ? len : 1);

	memcpy(exact, text, len);
	*ret = UNTOUCHED;
	return herd_log_begins(exact, len, modified, ret);
}

static void is(const char *text, int64_t modified, int64_t when)
{
	int64_t got;

	if (!begins(text, strlen(text), modified, &got))
		fail_msg("no time: %s", text);
	if (got != when)
		fail_msg("%lld, not %lld: %s", (long long)got, (long long)when,
			 text);
}

static void is_none(const char *text, int64_t modified)
{
	int64_t got;

	if (begins(text, strlen(text), modified, &got))
		fail_msg("%lld: %s", (long long)got, text);
}

static void test_iso(void **state)
{
	const int64_t t = utc(2026, 11, 6, 7, 30, 53), now = t + 1000;

	(void)state;
	is("2026-11-06T07:30:53Z host x: y\n", now, t);
	is("2026-11-06T07:30:53 host\n", now, t);
	is("2026-11-06 07:30:53 status installed\n", now, t);
	is("2026-11-06  07:30:53 two blanks\n", now, t);
	is("2026-11-06 07:30:53,123 INFO\n", now, t);
	is("2026-11-06T07:30:53.123456+00:00 host\n", now, t);
	is("2026-11-06T07:30:53.123456+01:00 host\n", now, t - 3600);
	is("2026-11-06T07:30:53.123456-0330 host\n", now, t + 12600);
	is("2026-11-06T07:30:53+05:45\n", now, t - 20700);
	/* what is no zone is none */
	is("2026-11-06T07:30:53-x\n", now, t);
	is("2026-11-06T07:30:53+1\n", now, t);
	is("2026-11-06T07:30:53+01\n", now, t);
	/* nothing behind it, not even a newline */
	is("2026-11-06T07:30:53", now, t);
	is("2026-11-06T07:30:53+01:00", now, t - 3600);
	is("2026-11-06T07:30:53.", now, t);
	is("2024-02-29T00:00:00Z\n", now, utc(2024, 2, 29, 0, 0, 0));
	is("2016-12-31T23:59:60Z\n", now, utc(2017, 1, 1, 0, 0, 0));
	is_none("2026-13-06T07:30:53Z\n", now);
	is_none("2026-00-06T07:30:53Z\n", now);
	is_none("2026-11-00T07:30:53Z\n", now);
	is_none("2026-11-32T07:30:53Z\n", now);
	is_none("2026-11-06T24:30:53Z\n", now);
	is_none("2026-11-06T07:60:53Z\n", now);
	is_none("2026-11-06T07:30:61Z\n", now);
	is_none("2026-11-06T07:30:5", now);
	is_none("2026-11-6T07:30:53\n", now);
	is_none("x2026-11-06T07:30:53\n", now);
}

static void test_syslog(void **state)
{
	const int64_t t = utc(2026, 11, 6, 7, 30, 53), now = t + 1000;

	(void)state;
	is("Nov  6 07:30:53 host sshd[1]: x\n", now, t);
	is("Nov 06 07:30:53 host\n", now, t);
	is("Nov 16 07:30:53 host\n", now + 864000, t + 864000);
	is("Nov  6 07:30:53", now, t);
	/* the year is the file's, or the one before */
	is("Dec 31 23:59:59 host\n", utc(2027, 1, 1, 0, 0, 5),
	   utc(2026, 12, 31, 23, 59, 59));
	is("Jan  1 00:00:00 host\n", utc(2027, 1, 1, 0, 0, 5),
	   utc(2027, 1, 1, 0, 0, 0));
	/* a zone that is not told may put it a little ahead */
	is("Nov  6 20:00:00 host\n", t, utc(2026, 11, 6, 20, 0, 0));
	is("Nov  8 20:00:00 host\n", t, utc(2025, 11, 8, 20, 0, 0));
	/* a leap day, seen from its own year and from the next */
	is("Feb 29 10:00:00 host\n", utc(2024, 6, 1, 0, 0, 0),
	   utc(2024, 2, 29, 10, 0, 0));
	is("Feb 29 10:00:00 host\n", utc(2025, 1, 5, 0, 0, 0),
	   utc(2024, 2, 29, 10, 0, 0));
	is_none("Nov 6 07:30:53 host\n", now);
	is_none("nov  6 07:30:53 host\n", now);
	is_none("Nov   6 07:30:53 host\n", now);
	is_none("Nov  6 7:30:53 host\n", now);
	is_none("Nov  0 07:30:53 host\n", now);
	is_none("November 6\n", now);
	is_none("No", now);
	/* files with impossible times */
	is_none("Nov  6 07:30:53 host\n", INT64_MAX);
	is_none("Nov  6 07:30:53 host\n", INT64_MIN);
	is("2026-11-06T07:30:53Z\n", INT64_MAX, t);
}

static void test_web(void **state)
{
	const int64_t t = utc(2026, 11, 6, 7, 30, 53), now = t + 1000;

	(void)state;
	is("10.0.0.1 - - [06/Nov/2026:07:30:53 +0000] \"GET /\" 200\n", now, t);
	is("10.0.0.1 - - [06/Nov/2026:07:30:53 +0100] \"GET /\"\n", now,
	   t - 3600);
	is("10.0.0.1 - - [06/Nov/2026:07:30:53 -0800] \"GET /\"\n", now,
	   t + 28800);
	is("[06/Nov/2026:07:30:53", now, t);
	is("[29/Feb/2024:00:00:01 +0000]\n", now, utc(2024, 2, 29, 0, 0, 1));
	is_none("[6/Nov/2026:07:30:53 +0000]\n", now);
	is_none("[06/Nov/2026 07:30:53]\n", now);
	is_none("[06/Foo/2026:07:30:53]\n", now);
	is_none("[", now);
}

static void test_lines(void **state)
{
	const int64_t t = utc(2026, 11, 6, 7, 30, 53), now = t + 1000;
	char text[2000];

	(void)state;
	/* headers come first, but not for long */
	is("# head\n\nmore\nNov  6 07:30:53 host\n", now, t);
	is_none("1\n2\n3\n4\nNov  6 07:30:53 host\n", now);
	is_none("", now);
	is_none("\n\n\n\n", now);
	is_none("\n", now);
	/* far on in a line nobody writes a time */
	memset(text, 'x', sizeof(text));
	strcpy(text + 1500, "[06/Nov/2026:07:30:53 +0000]\n");
	is_none(text, now);
	memset(text, 'x', sizeof(text));
	strcpy(text + 1500, "\nNov  6 07:30:53 host");
	is(text, now, t);
	/* a zone is not read out of the next line */
	is("2026-11-06T07:30:53\n+01:00\n", now, t);
}

static void test_hostile(void **state)
{
	static const char nul[] = "Nov  6 07:30:53\0host\n";
	static const char nuls[] = "\0\0\0\nNov  6 07:30:53 h\n";
	static const char in_time[] = "Nov  6 07:30\0:53 h\n";
	static const char *const good[] = {
		"2026-11-06T07:30:53.5+01:00 x\n", "Nov  6 07:30:53 x\n",
		"a [06/Nov/2026:07:30:53 +0000] b\n",
	};
	const int64_t t = utc(2026, 11, 6, 7, 30, 53);
	uint32_t seed = 5;
	int64_t got;

	(void)state;
	assert_true(begins(nul, sizeof(nul) - 1, t, &got));
	assert_int_equal(got, t);
	assert_true(begins(nuls, sizeof(nuls) - 1, t, &got));
	assert_false(begins(in_time, sizeof(in_time) - 1, t, &got));
	assert_false(begins("\xff\xfe\x80\x00", 4, t, &got));
	is_none("0000-00-00T00:00:00\n", t);
	is("0000-01-01T00:00:00\n", t, utc(0, 1, 1, 0, 0, 0));
	is("9999-12-31T23:59:60+99:99\n", t,
	   utc(10000, 1, 1, 0, 0, 0) - 99 * 3660);
	/* cut anywhere, and with any byte in any place */
	for (unsigned round = 0; round < 60000; round++) {
		char text[64];
		const char *from = good[round % ARRAY_SIZE(good)];
		size_t len = strlen(from);

		memcpy(text, from, len);
		seed = seed * 1664525u + 1013904223u;
		text[(seed >> 8) % len] = (char)(seed >> 24);
		seed = seed * 1664525u + 1013904223u;
		if (seed & 0x100)
			len = (seed >> 9) % (len + 1);
		if (begins(text, len, t, &got))
			assert_true(got > -70000000000 && got < 260000000000);
		else
			assert_int_equal(got, UNTOUCHED);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_iso),
		cmocka_unit_test(test_syslog),
		cmocka_unit_test(test_web),
		cmocka_unit_test(test_lines),
		cmocka_unit_test(test_hostile),
	};

	/* a zone of whoever runs it is nothing to an image */
	setenv("TZ", "America/St_Johns", 1);
	tzset();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
