/* SPDX-License-Identifier: Apache-2.0 */
/* What the parts of index/identity*.c share. Pure; see identity.h. */
#ifndef HERD_IDENTITY_INTERNAL_H
#define HERD_IDENTITY_INTERNAL_H

#include "index/identity.h"

/* A token as it was added; `at` counts from the start of the identity's bytes. */
struct herd_identity_token {
	uint32_t at, len;
	uint8_t kind;
};

/* One spelling of one: what is looked for. */
struct herd_identity_form {
	uint32_t at, len;
	uint16_t next; /* in the same bucket, not longer; 1 + index */
	uint8_t kind, spelling;
	uint8_t joint; /* '.', ':' or '-': with more behind it, it is
				   a longer number. 0: none */
};

#define HERD_IDENTITY_SHIFTS 4096
#define HERD_IDENTITY_BUCKETS 1024
#define HERD_IDENTITY_WINDOW_MIN 4 /* no form is shorter */
#define HERD_IDENTITY_WINDOW_MAX 16

struct herd_identity {
	bool settled;
	struct herd_identity_token given[HERD_IDENTITY_TOKENS_MAX];
	size_t n_given;
	struct herd_buf bytes;
	struct herd_identity_form *forms; /* the longest first */
	size_t n_forms, cap_forms;
	/* the search: see identity_match.c */
	unsigned window;
	uint8_t shifts[HERD_IDENTITY_SHIFTS];
	uint16_t buckets[HERD_IDENTITY_BUCKETS]; /* 1 + index, 0: none */
};

/* 1: added, 0: left out (or there already), or -errno. */
int herd_identity_take(struct herd_identity *id, enum herd_token_kind kind,
		       const void *bytes, size_t len);
/* The same for an address out of an image: private ones alone. */
int herd_identity_take_private(struct herd_identity *id, const char *text,
			       size_t len);
/* Builds the tables that the search needs. */
void herd_identity_index(struct herd_identity *id);

/*
 * The usual spelling of a token, which is at most as long as it or
 * HERD_SPELLING_MAX; 0: not safe, not of that kind. Of a host key it is what
 * was given, and *ret_text points there.
 */
#define HERD_SPELLING_MAX 256
size_t herd_token_canonical(enum herd_token_kind kind, const char *p,
			    size_t len, char buf[HERD_SPELLING_MAX],
			    const char **ret_text);
/* Gives all spellings of a token in the usual one. */
typedef int herd_spelling_fn(void *arg, enum herd_token_kind kind,
			     unsigned spelling, char joint, const char *p,
			     size_t len);
int herd_token_spell(enum herd_token_kind kind, const char *p, size_t len,
		     herd_spelling_fn *each, void *arg);
/* Whether text is an address that is only valid within a site. */
bool herd_address_private(const char *p, size_t len);

static inline bool herd_is_digit(int c)
{
	return c >= '0' && c <= '9';
}

static inline bool herd_is_lower(int c)
{
	return c >= 'a' && c <= 'z';
}

static inline bool herd_is_upper(int c)
{
	return c >= 'A' && c <= 'Z';
}

static inline bool herd_is_alpha(int c)
{
	return herd_is_lower(c) || herd_is_upper(c);
}

static inline bool herd_is_alnum(int c)
{
	return herd_is_digit(c) || herd_is_alpha(c);
}

static inline bool herd_is_space(int c)
{
	return c == ' ' || (c >= '\t' && c <= '\r');
}

static inline int herd_hex_value(int c)
{
	if (herd_is_digit(c))
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

#endif
