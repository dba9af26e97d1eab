/* SPDX-License-Identifier: Apache-2.0 */
#include "index/logbook.h"

#include "acquire/base/cleanup.h"

#include <string.h>
#include <time.h>

#define LINES_MAX 4	/* headers, a line that was cut */
#define LINE_MAX_LEN 512

/* What is left of a line; everything below moves `p` only when it fits. */
struct text {
	const char *p, *end;
};

static bool number(struct text *t, unsigned digits, int *ret)
{
	int v = 0;

	if ((size_t)(t->end - t->p) < digits)
		return false;
	for (unsigned i = 0; i < digits; i++) {
		if (t->p[i] < '0' || t->p[i] > '9')
			return false;
		v = v * 10 + (t->p[i] - '0');
	}
	t->p += digits;
	*ret = v;
	return true;
}

static bool one_of(struct text *t, const char *which)
{
	if (t->p == t->end || !*t->p || !strchr(which, *t->p))
		return false;
	t->p++;
	return true;
}

static bool clock_time(struct text *t, struct tm *tm)
{
	return number(t, 2, &tm->tm_hour) && one_of(t, ":") &&
	       number(t, 2, &tm->tm_min) && one_of(t, ":") &&
	       number(t, 2, &tm->tm_sec);
}

static bool month(struct text *t, struct tm *tm)
{
	static const char names[] = "JanFebMarAprMayJunJulAugSepOctNovDec";

	if (t->end - t->p < 3)
		return false;
	for (int i = 0; i < 12; i++)
		if (!memcmp(t->p, names + (size_t)i * 3, 3)) {
			t->p += 3;
			tm->tm_mon = i;
			return true;
		}
	return false;
}

/* "+0100", "-03:30", "Z"; seconds east of UTC, 0 for none. */
static int zone(struct text *t)
{
	int sign = t->p < t->end && *t->p == '-' ? -1 : 1, hours, minutes;
	struct text at = *t;

	if (!one_of(&at, "+-") || !number(&at, 2, &hours))
		return 0;
	one_of(&at, ":");
	if (!number(&at, 2, &minutes))
		return 0;
	*t = at;
	return sign * (hours * 3600 + minutes * 60);
}

static bool plausible(const struct tm *tm)
{
	return tm->tm_mon >= 0 && tm->tm_mon < 12 && tm->tm_mday >= 1 &&
	       tm->tm_mday <= 31 && tm->tm_hour < 24 && tm->tm_min < 60 &&
	       tm->tm_sec <= 60;
}

/* 2026-11-06T07:30:53.123456+01:00, or with a blank or two. */
static bool iso(struct text t, int64_t *ret)
{
	struct tm tm = { 0 };

	if (!number(&t, 4, &tm.tm_year) || !one_of(&t, "-") ||
	    !number(&t, 2, &tm.tm_mon) || !one_of(&t, "-") ||
	    !number(&t, 2, &tm.tm_mday) || !one_of(&t, "T "))
		return false;
	one_of(&t, " ");
	if (!clock_time(&t, &tm))
		return false;
	if (one_of(&t, ".,"))
		while (one_of(&t, "0123456789"))
			;
	tm.tm_year -= 1900;
	tm.tm_mon--;
	if (!plausible(&tm))
		return false;
	*ret = timegm(&tm) - zone(&t);
	return true;
}

/* Nov  6 07:30:53 */
static bool syslog_time(struct text t, int64_t modified, int64_t *ret)
{
	struct tm tm = { 0 }, now;
	time_t when = (time_t)modified;

	if (!month(&t, &tm) || !one_of(&t, " ") || !gmtime_r(&when, &now))
		return false;
	if (one_of(&t, " ") ? !number(&t, 1, &tm.tm_mday) :
			      !number(&t, 2, &tm.tm_mday))
		return false;
	if (!one_of(&t, " ") || !clock_time(&t, &tm) || !plausible(&tm))
		return false;
	tm.tm_year = now.tm_year;
	now = tm;	/* timegm makes the 1st of March of a 29th of February */
	*ret = timegm(&now);
	if (*ret > modified + 86400) {
		tm.tm_year--;
		*ret = timegm(&tm);
	}
	return true;
}

/* [06/Nov/2026:07:30:53 +0000], somewhere in the line */
static bool web_time(struct text t, int64_t *ret)
{
	struct tm tm = { 0 };

	t.p = memchr(t.p, '[', (size_t)(t.end - t.p));
	if (!t.p || !one_of(&t, "[") || !number(&t, 2, &tm.tm_mday) ||
	    !one_of(&t, "/") || !month(&t, &tm) || !one_of(&t, "/") ||
	    !number(&t, 4, &tm.tm_year) || !one_of(&t, ":") ||
	    !clock_time(&t, &tm))
		return false;
	one_of(&t, " ");
	tm.tm_year -= 1900;
	if (!plausible(&tm))
		return false;
	*ret = timegm(&tm) - zone(&t);
	return true;
}

bool herd_log_begins(const char *text, size_t len, int64_t modified,
		     int64_t *ret)
{
	const char *end = text + len;

	for (int i = 0; i < LINES_MAX && text < end; i++) {
		const char *newline = memchr(text, '\n', (size_t)(end - text));
		struct text line = { text, newline ? newline : end };

		if (line.end - line.p > LINE_MAX_LEN)
			line.end = line.p + LINE_MAX_LEN;
		if (iso(line, ret) || syslog_time(line, modified, ret) ||
		    web_time(line, ret))
			return true;
		if (!newline)
			break;
		text = newline + 1;
	}
	return false;
}
