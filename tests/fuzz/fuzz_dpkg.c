/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Lists, status files and logs that nobody's program wrote: what is found
 * lies within them, ends, and is what it says.
 *
 * The input: parts that a line of "%%" ends. A path, a package, a status file,
 * a list of sums, a log.
 */
#include "acquire/base/buf.h"
#include "index/dpkg.h"
#include "index/logbook.h"
#include "index/place.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define MUST(x)                           \
	do {                              \
		if (!(x))                 \
			__builtin_trap(); \
	} while (0)

static struct herd_dpkg_text next(struct herd_dpkg_text *rest)
{
	const char *end = rest->len ? memmem(rest->p, rest->len, "\n%%\n", 4) :
				      NULL;
	struct herd_dpkg_text part = {
		rest->p, end ? (size_t)(end - rest->p) : rest->len };
	size_t gone = end ? part.len + 4 : part.len;

	rest->p += gone;
	rest->len -= gone;
	return part;
}

static bool within(struct herd_dpkg_text a, struct herd_dpkg_text all)
{
	return a.p >= all.p && a.p + a.len <= all.p + all.len;
}

static void check_path(struct herd_dpkg_text path)
{
	struct herd_dpkg_text package;
	size_t log = herd_place_rotated(path.p, path.len);

	MUST(!log || log + 1 < path.len);
	herd_place_of(path.p, path.len);
	herd_place_is_log(path.p, path.len);
	herd_place_is_expected(path.p, path.len);
	herd_dpkg_traces(path.p, path.len);
	if (herd_dpkg_info_of(path.p, path.len, &package))
		MUST(package.len && within(package, path) &&
		     !memchr(package.p, '/', package.len));
}

static void check_list(struct herd_dpkg_text list, bool sums)
{
	struct herd_dpkg_text rest = list, path;
	uint8_t md5[16];
	size_t n = 0;

	while (herd_dpkg_next(&rest, sums ? md5 : NULL, &path)) {
		MUST(path.len && within(path, list) && *path.p != '/');
		MUST(!memchr(path.p, '\n', path.len));
		MUST(++n <= list.len);
	}
	MUST(!rest.len);
}

static void check_log(struct herd_dpkg_text log)
{
	static const int64_t times[] = { 0, 1790000000, INT64_MAX, INT64_MIN };

	for (size_t i = 0; i < ARRAY_SIZE(times); i++) {
		int64_t begins = 4711;

		if (herd_log_begins(log.p, log.len, times[i], &begins))
			MUST(begins > -(1ll << 62) && begins < 1ll << 62);
		else
			MUST(begins == 4711);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct herd_dpkg_text rest = { (const char *)data, size }, version;
	struct herd_dpkg_text path = next(&rest), package = next(&rest);
	struct herd_dpkg_text status = next(&rest), list = next(&rest);

	if (!data)	/* nothing is no text */
		return 0;
	check_path(path);
	if (package.len && herd_dpkg_version(status, package, &version))
		MUST(version.len && within(version, status) &&
		     !memchr(version.p, '\n', version.len));
	check_list(list, true);
	check_list(list, false);
	check_log(rest);
	return 0;
}
