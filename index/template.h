/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Templates of names: what siblings' names have in common where each has a
 * part of its own, such as its machine-id, a time or a random suffix. Pure
 * functions over one component of a path.
 */
#ifndef HERD_TEMPLATE_H
#define HERD_TEMPLATE_H

#include "index/identity.h"

enum {
	HERD_TEMPLATE_TOKEN = 1,  /* an own token was in it */
	HERD_TEMPLATE_RANDOM = 2, /* something that looks random or counted */
};

/*
 * Appends the template of a name and returns what was found, as bits; 0: the
 * name was appended as it is. own may be NULL.
 *
 *	{machine-id} …	an own token, by herd_token_name
 *	{uuid}		8-4-4-4-12 hex digits
 *	{hexN}		N hex digits, 8 or more, at least one of them 0-9
 *	{date}		a day, also with a time behind it
 *	{num}		6 or more decimal digits; 9 or more at a word's end
 *	{randN}		N letters and digits as mkstemp and its like choose them
 *
 * A '{' of the name itself is doubled, so that no name passes for a template.
 * docs/IDENTITY.md says what is not taken for random, and how often that errs.
 */
unsigned herd_template_name(const struct herd_identity *own, const char *name,
			    size_t len, struct herd_buf *out);

/*
 * Rewrites words of 8 or more decimal digits so that they are taken for hex
 * digits: of random numbers of eight hex digits one in fifty has no letter.
 * false: there are none. For siblings whose names have the form {hexN}.
 */
bool herd_template_as_hex(char *name, size_t len);

#endif
