/* SPDX-License-Identifier: Apache-2.0 */
#include "index/redact.h"

#include "acquire/base/cleanup.h"
#include "acquire/base/sha256.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>

#define RUN_MAX 512 /* bytes of parameters, salt and hash together */
#define HASH_MIN 20 /* the shortest of those behind "$id$" has 22 */
#define ID_MAX 16
#define FIELDS 10 /* of a line; shadow has 9 */

/* A place in a text that is not to stay. */
struct found {
	size_t at, len;
};

static bool is_alnum(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
	       (c >= '0' && c <= '9');
}

/* crypt(3)'s digits. */
static bool is_digit64(char c)
{
	return is_alnum(c) || c == '.' || c == '/';
}

static bool is_hash_byte(char c)
{
	return is_digit64(c) || c == '+' || c == '=' || c == '-' || c == ',';
}

/* ---- "$id$…" ---- */

static bool known_id(const char *p, size_t len)
{
	static const char *const ids[] = {
		"1",
		"2",
		"2a",
		"2b",
		"2x",
		"2y",
		"3",
		"5",
		"6",
		"7",
		"y",
		"gy",
		"P",
		"H",
		"S",
		"md5",
		"sha1",
		"apr1",
		"sm3",
		"sm3y",
		"scrypt",
		"pbkdf2",
		"argon2i",
		"argon2d",
		"argon2id",
		"pbkdf2-sha1",
		"pbkdf2-sha256",
		"pbkdf2-sha512",
		"bcrypt-sha256",
	};

	for (size_t i = 0; i < ARRAY_SIZE(ids); i++)
		if (strlen(ids[i]) == len && !memcmp(ids[i], p, len))
			return true;
	return false;
}

/* The length of a dollar, which may be escaped; 0: there is none. */
static size_t dollar(const char *p, size_t len)
{
	if (len && *p == '$')
		return 1;
	return len > 1 && p[0] == '\\' && p[1] == '$' ? 2 : 0;
}

/* From a '$' on: what stands behind "$id$", as long as one piece of it is long
   enough to be a hash. */
static bool crypt_at(const char *p, size_t len, struct found *ret)
{
	size_t id = 0, at, i, piece = 0, longest = 0, n;

	while (1 + id < len && id <= ID_MAX &&
	       (is_alnum(p[1 + id]) || p[1 + id] == '-'))
		id++;
	n = dollar(p + 1 + id, len - 1 - id);
	if (!n || !known_id(p + 1, id))
		return false;
	at = i = 1 + id + n;
	while (i < len && i - at < RUN_MAX) {
		n = dollar(p + i, len - i);
		if (n) {
			piece = 0;
			i += n;
		} else if (is_hash_byte(p[i])) {
			longest = ++piece > longest ? piece : longest;
			i++;
		} else {
			break;
		}
	}
	*ret = (struct found){ at, i - at };
	return longest >= HASH_MIN;
}

/* ---- "{SSHA}…" ---- */

static bool ldap_at(const char *p, size_t len, struct found *ret)
{
	static const char *const schemes[] = {
		"{SSHA}",    "{SHA}",	  "{SMD5}",   "{MD5}",
		"{SSHA256}", "{SSHA512}", "{SHA256}", "{SHA512}",
		"{CRYPT}",   "{ARGON2}",  "{PBKDF2}",
	};
	size_t n = 0, i;

	for (size_t k = 0; k < ARRAY_SIZE(schemes) && !n; k++)
		if (strlen(schemes[k]) < len &&
		    !strncasecmp(schemes[k], p, strlen(schemes[k])))
			n = strlen(schemes[k]);
	for (i = n; n && i < len && i - n < RUN_MAX && is_hash_byte(p[i]);)
		i++;
	*ret = (struct found){ n, i - n };
	return n && i - n >= 13;
}

/* ---- fields of a line ---- */

struct line {
	const char *p;
	struct found fields[FIELDS];
	size_t n; /* FIELDS: or more */
};

static void split(const char *p, size_t len, struct line *ret)
{
	size_t from = 0;

	ret->p = p;
	ret->n = 0;
	for (size_t i = 0; i <= len && ret->n < FIELDS; i++)
		if (i == len || p[i] == ':') {
			ret->fields[ret->n++] =
				(struct found){ from, i - from };
			from = i + 1;
		}
}

static bool is_number(const struct line *l, size_t field, bool may_be_empty)
{
	const struct found *f = &l->fields[field];

	for (size_t i = 0; i < f->len; i++)
		if (l->p[f->at + i] < '0' || l->p[f->at + i] > '9')
			return false;
	return f->len || may_be_empty;
}

/* DES as of old, and BSDi's; a '!' before it locks the account. */
static bool is_old_hash(const struct line *l, struct found *f)
{
	while (f->len && l->p[f->at] == '!') {
		f->at++;
		f->len--;
	}
	if (f->len != 13 && !(f->len == 20 && l->p[f->at] == '_'))
		return false;
	for (size_t i = f->len == 20; i < f->len; i++)
		if (!is_digit64(l->p[f->at + i]))
			return false;
	return true;
}

static bool is_windows_hash(const struct line *l, size_t field)
{
	const struct found *f = &l->fields[field];

	for (size_t i = 0; i < f->len; i++)
		if (!is_alnum(l->p[f->at + i]))
			return false;
	return f->len == 32;
}

/* What of a line is to go; how many, at most 2. */
static size_t find_fields(const struct line *l, struct found ret[2])
{
	bool account =
		l->n == 4 ||
		(l->n == 7 && is_number(l, 2, false) &&
		 is_number(l, 3, false)) ||
		(l->n == 9 && is_number(l, 2, true) && is_number(l, 3, true));

	if (account) {
		ret[0] = l->fields[1];
		if (is_old_hash(l, &ret[0]))
			return 1;
	}
	if (l->n < 6 || !is_number(l, 1, false) || !is_windows_hash(l, 2) ||
	    !is_windows_hash(l, 3))
		return 0;
	ret[0] = l->fields[2];
	ret[1] = l->fields[3];
	return 2;
}

/* ---- the whole ---- */

typedef void found_fn(void *arg, size_t at, size_t len);

/* Calls fn for each; whether there was any. fn may overwrite just that. */
static bool find(const char *text, size_t len, found_fn *fn, void *arg)
{
	struct found f, in[2];
	struct line l;
	bool any = false;

	for (size_t at = 0, n; at < len; at += n + 1) {
		const char *end = memchr(text + at, '\n', len - at);

		n = end ? (size_t)(end - text) - at : len - at;
		split(text + at, n, &l);
		for (size_t k = find_fields(&l, in); k; k--) {
			fn(arg, at + in[k - 1].at, in[k - 1].len);
			any = true;
		}
	}
	for (size_t i = 0; i < len;) {
		if ((text[i] == '$' && crypt_at(text + i, len - i, &f)) ||
		    (text[i] == '{' && ldap_at(text + i, len - i, &f))) {
			fn(arg, i + f.at, f.len);
			any = true;
			i += f.at + f.len;
		} else {
			i++;
		}
	}
	return any;
}

static void mask(void *arg, size_t at, size_t len)
{
	uint8_t digest[HERD_SHA256_LEN];
	char *p = (char *)arg + at, words[12];

	herd_sha256(p, len, digest);
	snprintf(words, sizeof(words), "[hash %02x%02x", digest[0], digest[1]);
	memset(p, '.', len);
	memcpy(p, words, 10);
	p[len - 1] = ']';
}

static void leave(void *arg, size_t at, size_t len)
{
	(void)arg;
	(void)at;
	(void)len;
}

bool herd_redact(char *text, size_t len)
{
	return find(text, len, mask, text);
}

bool herd_redact_finds(const char *text, size_t len)
{
	return find(text, len, leave, NULL);
}
