/* SPDX-License-Identifier: Apache-2.0 */
/* Two siblings, their own tokens and how else these are written. */
#ifndef IDENTITY_FIXTURE_H
#define IDENTITY_FIXTURE_H

#include "index/identity.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

/* ---- two siblings ------------------------------------------------------------ */

struct part {
	enum herd_token_kind kind;
	const char *label;   /* what may stand for what */
	const char *text[2]; /* of the one, of the other */
};

#define KEY_A "AAAAC3NzaC1lZDI1NTE5AAAAIGtlRTUxNDc4ODk3Mzc0NTkzNDU4OTM0NTg="
#define KEY_B "AAAAC3NzaC1lZDI1NTE5AAAAIPq7Lmx0Rm9vYmFyYmF6cXV4MTIzNDU2Nzg="
#define BODY_A                                                                 \
	"b3BlbnNzaC1rZXktdjEAAAAABG5vbmUAAAAEbm9uZQAAAAAAAAABAAAAMwAAAAtzc2\n" \
	"gtZWQyNTUxOQAAACBrZUU1MTQ3ODg5NzM3NDU5MzQ1ODkzNDU4OTM0NQ=="
#define BODY_B                                                                 \
	"b3BlbnNzaC1rZXktdjEAAAAABG5vbmUAAAAEbm9uZQAAAAAAAAABAAAAMwAAAAtzc2\n" \
	"gtZWQyNTUxOQAAACD6uy5sdEZvb2JhcmJhenF1eDEyMzQ1Njc4OTAxMjM0NQAA/="

/* What is added, and after it what follows from it. */
static const struct part given[] = {
	{ HERD_TOKEN_INSTANCE,
	  "id",
	  { "i-0123456789abcdef0", "i-0fedcba98765432a1" } },
	{ HERD_TOKEN_HOSTNAME, "name", { "web-1", "web-20" } },
	{ HERD_TOKEN_DNS, "dns", { "ec2-54-1-2-3", "ec2-54-11-22-33" } },
	{ HERD_TOKEN_ADDRESS, "v4", { "10.0.1.2", "10.0.1.23" } },
	{ HERD_TOKEN_ADDRESS, "v4", { "10.0.1.21", "10.0.1.3" } },
	{ HERD_TOKEN_ADDRESS, "v6", { "fd00:1::a1", "fd00:1::b" } },
	{ HERD_TOKEN_MAC, "mac", { "0a:58:0a:00:01:02", "0a:58:0a:00:01:17" } },
	{ HERD_TOKEN_VOLUME,
	  "vol",
	  { "vol-0aa11bb22cc33dd44", "vol-0ff55ee66dd77cc88" } },
	{ HERD_TOKEN_MACHINE_ID,
	  "mid",
	  { "0123456789abcdef0123456789abcde7",
	    "fedcba9876543210fedcba9876543213" } },
	{ HERD_TOKEN_HOST_KEY, "key", { KEY_A, KEY_B } },
	{ HERD_TOKEN_HOST_KEY, "private", { BODY_A, BODY_B } },
};

static const struct part derived[] = {
	{ HERD_TOKEN_HOSTNAME, "NAME", { "WEB-1", "WEB-20" } },
	{ HERD_TOKEN_ADDRESS, "v4-", { "10-0-1-2", "10-0-1-23" } },
	{ HERD_TOKEN_MAC, "MAC", { "0A:58:0A:00:01:02", "0A:58:0A:00:01:17" } },
	{ HERD_TOKEN_MAC,
	  "mac-",
	  { "0a-58-0a-00-01-02", "0a-58-0a-00-01-17" } },
	{ HERD_TOKEN_MAC, "plain mac", { "0a580a000102", "0a580a000117" } },
	{ HERD_TOKEN_MAC, "enx", { "enx0a580a000102", "enx0a580a000117" } },
	{ HERD_TOKEN_VOLUME,
	  "serial",
	  { "vol0aa11bb22cc33dd44", "vol0ff55ee66dd77cc88" } },
	{ HERD_TOKEN_MACHINE_ID,
	  "mid-",
	  { "01234567-89ab-cdef-0123-456789abcde7",
	    "fedcba98-7654-3210-fedc-ba9876543213" } },
	{ HERD_TOKEN_MACHINE_ID,
	  "MID",
	  { "0123456789ABCDEF0123456789ABCDE7",
	    "FEDCBA9876543210FEDCBA9876543213" } },
};

#define PARTS (ARRAY_SIZE(given) + ARRAY_SIZE(derived))

static inline const struct part *part(size_t i)
{
	return i < ARRAY_SIZE(given) ? &given[i] :
				       &derived[i - ARRAY_SIZE(given)];
}

static inline void add(struct herd_identity *id, enum herd_token_kind kind,
		       const char *text)
{
	assert_int_equal(herd_identity_add(id, kind, text, strlen(text)), 0);
}

static inline struct herd_identity *sibling(unsigned which)
{
	struct herd_identity *id = NULL;

	assert_int_equal(herd_identity_create(&id), 0);
	for (size_t i = 0; i < ARRAY_SIZE(given); i++)
		add(id, given[i].kind, given[i].text[which]);
	assert_int_equal(herd_identity_count(id), ARRAY_SIZE(given));
	assert_int_equal(herd_identity_settle(id), 0);
	return id;
}

/* The normalised text, or the text itself. */
static inline void normal(const struct herd_identity *id, const void *p,
			  size_t len, struct herd_buf *out)
{
	out->len = 0;
	if (!herd_identity_normalise(id, p, len, out)) {
		assert_int_equal(out->len, 0);
		herd_buf_put(out, p, len);
	}
	assert_false(out->failed);
}

static inline bool same(const struct herd_buf *a, const struct herd_buf *b)
{
	return a->len == b->len &&
	       (!a->len || !memcmp(a->data, b->data, a->len));
}

#endif
