/* SPDX-License-Identifier: Apache-2.0 */
#include "index/place.h"

#include "acquire/base/cleanup.h"
#include "index/glob.h"

#include <string.h>

/* The longest that fits says it. A crontab is a program, wherever it lies. */
static const struct {
	const char *prefix;
	enum herd_place place;
} places[] = {
	{ "tmp", HERD_PLACE_STATE },
	{ "run", HERD_PLACE_STATE },
	{ "var", HERD_PLACE_STATE },
	{ "var/spool/cron", HERD_PLACE_FIRM },
	{ "var/spool/at", HERD_PLACE_FIRM },
	{ "var/lib/dpkg/info", HERD_PLACE_FIRM },
	{ "var/lib/rpm", HERD_PLACE_STATE },
	{ "var/www", HERD_PLACE_FIRM },
	{ "root/.cache", HERD_PLACE_STATE },
};

/* home/<whoever>/.cache */
static bool in_home_cache(const char *path, size_t len)
{
	static const char home[] = "home/", cache[] = "/.cache";
	const char *rest;

	if (len < sizeof(home) || memcmp(path, home, sizeof(home) - 1))
		return false;
	rest = memchr(path + sizeof(home) - 1, '/', len - (sizeof(home) - 1));
	if (!rest || (size_t)(path + len - rest) < sizeof(cache) - 1 ||
	    memcmp(rest, cache, sizeof(cache) - 1) != 0)
		return false;
	rest += sizeof(cache) - 1;
	return rest == path + len || *rest == '/';
}

enum herd_place herd_place_of(const char *path, size_t len)
{
	enum herd_place place = HERD_PLACE_FIRM;
	size_t longest = 0;

	for (size_t i = 0; i < ARRAY_SIZE(places); i++) {
		size_t n = strlen(places[i].prefix);

		if (n < longest || len < n ||
		    memcmp(path, places[i].prefix, n) != 0 ||
		    (len > n && path[n] != '/'))
			continue;
		longest = n;
		place = places[i].place;
	}
	return in_home_cache(path, len) ? HERD_PLACE_STATE : place;
}

static bool matches(const char *const *patterns, size_t n, const char *path,
		    size_t len)
{
	for (size_t i = 0; i < n; i++)
		if (herd_glob_path(patterns[i], strlen(patterns[i]), path, len))
			return true;
	return false;
}

bool herd_place_is_log(const char *path, size_t len)
{
	static const char *const logs[] = {
		"/var/log/**", "/root/.*_history", "/home/*/.*_history",
	};

	return matches(logs, ARRAY_SIZE(logs), path, len);
}

bool herd_place_is_expected(const char *path, size_t len)
{
	static const char *const expected[] = {
		"/var/lib/logrotate/status", "/var/lib/logrotate.status",
		"/var/lib/systemd/timers/stamp-*.timer",
		"/var/lib/systemd/timesync/clock",
		"/var/lib/systemd/random-seed", "/var/lib/urandom/random-seed",
		"/var/lib/apt/periodic/*-stamp", "/var/lib/apt/daily_lock",
		"/var/cache/apt/*pkgcache.bin",
		"/var/cache/ldconfig/aux-cache",
		"/var/lib/dhcp/*.leases", "/var/lib/NetworkManager/*.lease",
		"/var/lib/man-db/auto-update",
		"/var/backups/dpkg.status.*", "/var/backups/dpkg.diversions.*",
		"/var/backups/dpkg.statoverride.*", "/var/backups/dpkg.arch.*",
		"/var/backups/apt.extended_states.*",
		"/var/backups/alternatives.tar.*",
		"/tmp/systemd-private-*", "/tmp/systemd-private-*/tmp",
		"/var/tmp/systemd-private-*", "/var/tmp/systemd-private-*/tmp",
		"/var/log/journal/*/user-*.journal",
		"/var/log/journal/*/system@*.journal*",
		"/var/log/user.log", "/var/log/mail.log", "/var/log/mail.err",
		"/var/log/mail.warn", "/var/log/mail.info",
		"/var/log/daemon.log", "/var/log/debug", "/var/log/lpr.log",
		"/home/*/.bash_history", "/home/*/.sudo_as_admin_successful",
		"/home/*/.lesshst", "/home/*/.viminfo",
	};

	return matches(expected, ARRAY_SIZE(expected), path, len);
}

static bool digits(const char *p, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (p[i] < '0' || p[i] > '9')
			return false;
	return n > 0;
}

size_t herd_place_rotated(const char *name, size_t len)
{
	static const char *const packed[] = { ".gz", ".xz", ".bz2", ".zst" };
	size_t number;

	for (size_t i = 0; i < ARRAY_SIZE(packed); i++) {
		size_t n = strlen(packed[i]);

		if (len > n && !memcmp(name + len - n, packed[i], n)) {
			len -= n;
			break;
		}
	}
	for (number = 0; number < len && digits(name + len - number - 1, 1);)
		number++;
	if (!number || number + 1 >= len)
		return 0;
	if (name[len - number - 1] == '.' && number <= 4)
		return len - number - 1;
	return name[len - number - 1] == '-' && (number == 8 || number == 10) ?
	       len - number - 1 : 0;
}
