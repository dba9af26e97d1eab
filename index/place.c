/* SPDX-License-Identifier: Apache-2.0 */
#include "index/place.h"

#include "acquire/base/cleanup.h"

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
	return rest && (size_t)(path + len - rest) >= sizeof(cache) - 1 &&
	       !memcmp(rest, cache, sizeof(cache) - 1);
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
