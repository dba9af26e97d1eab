/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Findings for the tests of index/meaning.h: two texts at a path, and what is
 * said of them by the rules that ship.
 */
#ifndef HERD_MEANING_FIXTURE_H
#define HERD_MEANING_FIXTURE_H

#include "index/meaning.h"
#include "index/verdict.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <errno.h>
#include <string.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

static inline struct herd_rules *shipped(void)
{
	static struct herd_rules *rules;
	struct herd_diag diag = { .message = "" };

	if (rules)
		return rules;
	rules = herd_rules_create();
	assert_non_null(rules);
	if (herd_rules_parse_builtin(rules, &diag)) {
		print_error("%s\n", diag.message);
		fail();
	}
	return rules;
}

/* A regular file of root's with that text; NULL: there is none. */
static inline struct herd_meaning_side file_side(const char *text, size_t len)
{
	if (!text)
		return (struct herd_meaning_side){ .absent = true };
	return (struct herd_meaning_side){
		.mode = S_IFREG | 0644, .text = text, .len = len, .size = len
	};
}

static inline struct herd_meaning_side link_side(const char *target)
{
	return (struct herd_meaning_side){ .mode = S_IFLNK | 0777,
					   .text = target,
					   .len = strlen(target),
					   .size = strlen(target) };
}

/* What the verdict's reasons would be: type, set-id and so on are the test's. */
static inline struct herd_meaning meaning(const char *path, unsigned reasons,
					  const struct herd_meaning_side *own,
					  const struct herd_meaning_side *herd)
{
	struct herd_meaning m;

	assert_int_equal(herd_meaning_of(shipped(), path, strlen(path), reasons,
					 own, herd, &m),
			 0);
	assert_non_null(memchr(m.why, 0, sizeof(m.why)));
	assert_in_range(m.severity, 0, 100);
	for (const char *p = m.why; *p; p++)
		assert_true((unsigned char)*p >= 0x20 && *p != 0x7f);
	return m;
}

static inline struct herd_meaning texts(const char *path, const char *own,
					size_t own_len, const char *herd,
					size_t herd_len)
{
	struct herd_meaning_side a = file_side(own, own_len);
	struct herd_meaning_side b = file_side(herd, herd_len);

	return meaning(path,
		       !own  ? HERD_REASON_ABSENT :
		       !herd ? HERD_REASON_ADDED :
			       HERD_REASON_CONTENT,
		       &a, &b);
}

static inline struct herd_meaning strings(const char *path, const char *own,
					  const char *herd)
{
	return texts(path, own, own ? strlen(own) : 0, herd,
		     herd ? strlen(herd) : 0);
}

/* One row of a table: the herd's text, this one's, and what is to be said. */
struct saying {
	const char *path, *herd, *own, *why;
	bool loud;
};

static inline unsigned check_sayings(const struct saying *s, size_t n)
{
	unsigned wrong = 0;

	for (size_t i = 0; i < n; i++) {
		struct herd_meaning m = strings(s[i].path, s[i].own, s[i].herd);

		if (strcmp(m.why, s[i].why) == 0 && m.loud == s[i].loud)
			continue;
		print_error("%s:\n  \"%s\"%s\nnot\n  \"%s\"%s\n", s[i].path,
			    m.why, m.loud ? ", loud" : "", s[i].why,
			    s[i].loud ? ", loud" : "");
		wrong++;
	}
	return wrong;
}

#endif
