/* SPDX-License-Identifier: Apache-2.0 */
/* Normalising as its contract says it and no faster: what the search of
   index/identity_match.c is compared with. */
#ifndef IDENTITY_NAIVE_H
#define IDENTITY_NAIVE_H

#include "index/identity_internal.h"

#include <ctype.h>
#include <string.h>

static inline bool naive_word(const uint8_t *t, size_t len, size_t i)
{
	return i < len && t[i] < 128 && isalnum(t[i]);
}

/* Of an address with dots or dashes digits, of any other number hex ones. */
static inline bool naive_more(const struct herd_identity_form *f,
			      const uint8_t *t, size_t len, size_t i)
{
	bool decimal = f->kind == HERD_TOKEN_ADDRESS && f->joint != ':';

	return naive_word(t, len, i) &&
	       (decimal ? isdigit(t[i]) != 0 : isxdigit(t[i]) != 0);
}

static inline bool naive_stands(const struct herd_identity_form *f,
				const uint8_t *t, size_t len, size_t at)
{
	size_t end = at + f->len;

	if ((at && naive_word(t, len, at - 1)) || naive_word(t, len, end))
		return false;
	if (f->kind == HERD_TOKEN_HOST_KEY) {
		if (at && t[at - 1] && strchr("+/", t[at - 1]))
			return false;
		if (end < len && t[end] && strchr("+/=", t[end]))
			return false;
	}
	if (f->joint && at >= 2 && t[at - 1] == f->joint &&
	    naive_more(f, t, len, at - 2))
		return false;
	return !(f->joint && end < len && t[end] == f->joint &&
		 naive_more(f, t, len, end + 1));
}

static inline bool naive_normalise(const struct herd_identity *id,
				   const uint8_t *t, size_t len,
				   struct herd_buf *out)
{
	bool any = false;

	for (size_t i = 0; i < len; i++)
		if (!t[i])
			return false;
	for (size_t at = 0; at < len;) {
		const struct herd_identity_form *best = NULL;

		for (size_t k = 0; k < id->n_forms; k++) {
			const struct herd_identity_form *f = &id->forms[k];

			if (f->len <= len - at &&
			    !memcmp(id->bytes.data + f->at, t + at, f->len) &&
			    naive_stands(f, t, len, at) &&
			    (!best || f->len > best->len))
				best = f;
		}
		if (best) {
			herd_buf_u8(out, 0);
			herd_buf_u8(out, (uint8_t)('A' + best->kind));
			herd_buf_u8(out, (uint8_t)('0' + best->spelling));
			herd_buf_u8(out, 0);
			at += best->len;
			any = true;
		} else {
			herd_buf_u8(out, t[at++]);
		}
	}
	if (!any)
		out->len = 0;
	return any;
}

#endif
