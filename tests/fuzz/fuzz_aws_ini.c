/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Settings that nobody wrote: whatever is read can be looked up and wiped, and
 * a line that is wrong is one of the text.
 */
#include "acquire/aws/ini.h"
#include "acquire/base/cleanup.h"

#include <stdint.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define MUST(x)                           \
	do {                              \
		if (!(x))                 \
			__builtin_trap(); \
	} while (0)

static const char *const kinds[] = { NULL, "", "profile", "services" };
static const char *const names[] = { "default", "web", "profile web", "dev" };
static const char *const keys[] = { "region", "aws_secret_access_key", "ebs",
				    "credential_process" };

/* Trimmed, and one line unless more lines were indented. */
static void check_value(const char *v)
{
	size_t n = strlen(v);

	MUST(!n || (v[0] != ' ' && v[0] != '\t'));
	MUST(!n || (v[n - 1] != ' ' && v[n - 1] != '\t' && v[n - 1] != '\r' &&
		    v[n - 1] != '\n'));
	MUST(!strstr(v, "\n\n"));
}

static void look(const struct herd_ini *ini)
{
	for (size_t i = 0; i < 4 * 4 * 4; i++) {
		const char *kind = kinds[i & 3], *name = names[i >> 2 & 3];
		const char *key = keys[i >> 4];
		const char *v = herd_ini_get(ini, kind, name, key, NULL);
		const char *sub =
			herd_ini_get(ini, kind, name, key, "endpoint_url");

		MUST((!v && !sub) || herd_ini_has(ini, kind, name));
		if (v)
			check_value(v);
		if (sub)
			check_value(sub);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct herd_ini *ini = NULL;
	unsigned line = 0, lines = 1;
	int err = herd_ini_parse(data, size, &ini, &line);

	for (size_t i = 0; i < size; i++)
		lines += data[i] == '\n';
	if (err) {
		MUST(!ini && (err == -EBADMSG || err == -EOVERFLOW));
		MUST(err != -EBADMSG || (line >= 1 && line <= lines));
		return 0;
	}
	MUST(!line);
	look(ini);
	herd_ini_forget(ini, "aws_secret_access_key");
	for (size_t i = 0; i < 4 * 4; i++) {
		const char *v = herd_ini_get(ini, kinds[i & 3], names[i >> 2],
					     "aws_secret_access_key", NULL);

		MUST(!v || !*v);
	}
	herd_ini_destroy(ini);
	return 0;
}
