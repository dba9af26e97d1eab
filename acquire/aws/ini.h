/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The text of ~/.aws/config and ~/.aws/credentials, read as the AWS CLI reads
 * it: [sections], key = value (or key: value), keys in any case, lines that
 * begin with '#' or ';' are comments and nothing else is; a line that is
 * indented further than its key goes on with the key's value, or, where that
 * is empty, is a key of a nested block. A section that comes twice is one.
 *
 * Threads: a value once parsed. What it holds may be secret: it is wiped.
 */
#ifndef HERD_AWS_INI_H
#define HERD_AWS_INI_H

#include <stdbool.h>
#include <stddef.h>

#define HERD_INI_MAX (1u << 20) /* bytes; a longer text is -EOVERFLOW */

struct herd_ini;

/* -EBADMSG: line *ret_line is none of these, or the text has a NUL. */
int herd_ini_parse(const void *text, size_t len, struct herd_ini **ret,
		   unsigned *ret_line);
void herd_ini_destroy(struct herd_ini *ini);

/*
 * Sections by kind and name, [profile web] is "profile", "web"; with kind NULL
 * by all that stands between the brackets.
 */
bool herd_ini_has(const struct herd_ini *ini, const char *kind,
		  const char *name);
/* The last value; sub NULL: of key itself, else of sub in its block. key and
   sub in lower case. NULL: not there. */
const char *herd_ini_get(const struct herd_ini *ini, const char *kind,
			 const char *name, const char *key, const char *sub);
/* Wipes what this key has in any section. */
void herd_ini_forget(struct herd_ini *ini, const char *key);

#endif
