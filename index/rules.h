/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rules: which path means what. Data that ships with the program
 * (index/rules.conf, built in) and that users add to; docs/RULES.md has the
 * format. Of all rules that match, the last one counts, so that what is parsed
 * later wins.
 *
 * Threads: immutable once parsed; then any number may read.
 */
#ifndef HERD_RULES_H
#define HERD_RULES_H

#include "acquire/base/diag.h"

struct herd_rules;

/* Of one file, for those who read it. */
#define HERD_RULES_BYTES_MAX (1u << 20)

struct herd_rules *herd_rules_create(void); /* empty; NULL: no memory */
void herd_rules_destroy(struct herd_rules *r);

/*
 * Adds the rules of a text; name (of the file) is for messages and for
 * struct herd_meaning. -EINVAL with "name: offset N: line L: …" in *diag when
 * a line is wrong, -EOVERFLOW beyond a limit, -ENOMEM; then none of the text's
 * rules are in it.
 */
int herd_rules_parse(struct herd_rules *into, const char *name,
		     const char *text, size_t len, struct herd_diag *diag);
/* The rules that came with the program. */
int herd_rules_parse_builtin(struct herd_rules *into, struct herd_diag *diag);
const char *herd_rules_builtin_text(size_t *ret_len);

size_t herd_rules_count(const struct herd_rules *r);

/* The categories in the order in which they were declared: the columns of a
   heat map. Borrowed. */
struct herd_category {
	const char *name; /* "persistence" */
	const char *text; /* what it holds, in words; may be "" */
};
const struct herd_category *herd_rules_categories(const struct herd_rules *r,
						  size_t *ret_n);

#endif
