/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Package lists that nobody vouches for: up to four texts with a NUL between
 * them, the status, the two lists of one package, and a path to ask for.
 */
#include "index/dpkg.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define MUST(x)                           \
	do {                              \
		if (!(x))                 \
			__builtin_trap(); \
	} while (0)

static const char *part(const char **text, size_t *left, size_t *ret_len)
{
	const char *p = *text, *end = *left ? memchr(p, 0, *left) : NULL;

	*ret_len = end ? (size_t)(end - p) : *left;
	*text += *ret_len + (end != NULL);
	*left -= *ret_len + (end != NULL);
	return p;
}

static int check_package(void *arg, const char *package, const char *arch,
			 const char *version)
{
	struct herd_dpkg *d = arg;

	MUST(*package && *arch && *version);
	MUST(herd_dpkg_version(d, package, NULL));
	MUST(!strcmp(herd_dpkg_version(d, package, arch), version));
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *text = size ? (const char *)data : "", *p[4];
	size_t n[4];
	struct herd_dpkg *d, *none;
	struct herd_dpkg_owner o;

	for (int i = 0; i < 4; i++)
		p[i] = part(&text, &size, &n[i]);
	for (int merged = 0; merged < 2; merged++) {
		MUST(!herd_dpkg_create(merged, &d));
		MUST(!herd_dpkg_create(merged, &none));
		MUST(!herd_dpkg_add_status(d, p[0], n[0]));
		MUST(!herd_dpkg_add_status(none, "", 0));
		MUST(!herd_dpkg_add_info(d, "a.md5sums", p[1], n[1]));
		MUST(!herd_dpkg_add_info(d, "a:all.list", p[2], n[2]));
		MUST(!herd_dpkg_seal(d) && !herd_dpkg_seal(none));
		MUST(!herd_dpkg_each(d, check_package, d));
		if (!herd_dpkg_find(d, p[3], n[3], NULL, &o)) {
			MUST(herd_dpkg_version(d, o.package, o.arch));
			MUST(herd_dpkg_explain(d, d, p[3], n[3], NULL, &o) ==
			     HERD_DPKG_UNEXPLAINED);
			MUST(herd_dpkg_explain(d, none, p[3], n[3], NULL, &o) ==
			     HERD_DPKG_INSTALLED);
			MUST(herd_dpkg_explain_absent(none, d, p[3], n[3],
						      &o) == HERD_DPKG_REMOVED);
		}
		herd_dpkg_destroy(none);
		herd_dpkg_destroy(d);
	}
	return 0;
}
