/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A home of one's own for tests of AWS settings and credentials: an empty
 * folder, and no AWS_* variable but those that a test sets.
 */
#ifndef HERD_AWS_FIXTURE_H
#define HERD_AWS_FIXTURE_H

#include "acquire/base/cleanup.h"
#include "acquire/base/diag.h"

#include <fcntl.h>
#include <ftw.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

static char aws_home[64];

static void aws_forget_variables(void)
{
	char name[128];

	for (char **e = environ; *e;) {
		size_t n = strcspn(*e, "=");

		if (!strncmp(*e, "AWS_", 4) && n < sizeof(name)) {
			memcpy(name, *e, n);
			name[n] = '\0';
			unsetenv(name);
			e = environ;
		} else {
			e++;
		}
	}
}

static inline int aws_unlink(const char *path, const struct stat *st, int type,
			     struct FTW *f)
{
	(void)st;
	(void)type;
	(void)f;
	return remove(path);
}

static inline int aws_home_begin(void **state)
{
	char path[80];

	(void)state;
	strcpy(aws_home, "/tmp/herdfs-aws-XXXXXX");
	assert_non_null(mkdtemp(aws_home));
	aws_forget_variables();
	setenv("HOME", aws_home, 1);
	/* nothing here may leave this host */
	setenv("AWS_EC2_METADATA_DISABLED", "true", 1);
	snprintf(path, sizeof(path), "%s/.aws", aws_home);
	assert_int_equal(mkdir(path, 0700), 0);
	return 0;
}

static inline int aws_home_end(void **state)
{
	(void)state;
	aws_forget_variables();
	nftw(aws_home, aws_unlink, 8, FTW_DEPTH | FTW_PHYS);
	return 0;
}

static inline const char *aws_home_path(const char *name)
{
	static char path[4][256];
	static unsigned n;
	char *p = path[n++ % 4];

	snprintf(p, sizeof(path[0]), "%s/%s", aws_home, name);
	return p;
}

static inline void aws_put(const char *name, const char *text)
{
	FILE *f = fopen(aws_home_path(name), "w");

	assert_non_null(f);
	assert_int_equal(fwrite(text, 1, strlen(text), f), strlen(text));
	assert_int_equal(fclose(f), 0);
}

static inline void aws_config(const char *text)
{
	aws_put(".aws/config", text);
}

static inline void aws_credentials(const char *text)
{
	aws_put(".aws/credentials", text);
}

static inline void aws_has(const char *text, const char *part)
{
	if (!strstr(text, part))
		fail_msg("\"%s\" is not in \"%s\"", part, text);
}

static inline void aws_has_not(const char *text, const char *part)
{
	if (strstr(text, part))
		fail_msg("\"%s\" is in \"%s\"", part, text);
}

#endif
