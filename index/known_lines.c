/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The lists that people have: a digest a line, what sha256sum prints, tables
 * with a column of SHA-256. A line that should have a digest and has none
 * refuses the list: one that was passed over would be taken for known.
 *
 * Threads: pure functions over the caller's state.
 */
#include "index/known.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

struct text {
	const char *s;
	size_t n;
};

static int wrong(const struct herd_known_lines *l, struct herd_diag *diag,
		 const char *what)
{
	char where[256];

	snprintf(where, sizeof(where), "%.200s:%" PRIu64, l->source, l->line);
	return herd_diag_set(diag, -EINVAL, where, HERD_NO_OFFSET, "%s", what);
}

static int hex_value(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static size_t hex_digits(struct text t)
{
	size_t n = 0;

	while (n < t.n && hex_value(t.s[n]) >= 0)
		n++;
	return n;
}

/* What is there instead of a SHA-256. */
static const char *instead(size_t digits)
{
	switch (digits) {
	case 32:
		return "an MD5 digest; only SHA-256 can be compared";
	case 40:
		return "a SHA-1 digest; only SHA-256 can be compared";
	case 128:
		return "a SHA-512 digest; only SHA-256 can be compared";
	default:
		return "no SHA-256 (64 hex digits)";
	}
}

static void take(const char *hex, uint8_t digest[32])
{
	for (size_t i = 0; i < 32; i++)
		digest[i] = (uint8_t)(hex_value(hex[2 * i]) << 4 |
				      hex_value(hex[2 * i + 1]));
}

/* ---- tables ---- */

/*
 * Cuts a field off; without its quotes. False: the quotes do not end, or
 * something stands behind them.
 */
static bool cut_field(struct text *rest, struct text *ret)
{
	const char *end;

	if (rest->n && *rest->s == '"') {
		size_t i = 1;

		while (i < rest->n &&
		       (rest->s[i] != '"' ||
			(i + 1 < rest->n && rest->s[i + 1] == '"')))
			i += rest->s[i] == '"' ? 2 : 1;
		if (i >= rest->n)
			return false;
		*ret = (struct text){ rest->s + 1, i - 1 };
		rest->s += i + 1;
		rest->n -= i + 1;
		if (rest->n && *rest->s != ',')
			return false;
	} else {
		end = rest->n ? memchr(rest->s, ',', rest->n) : NULL;
		*ret = (struct text){ rest->s,
				      end ? (size_t)(end - rest->s) : rest->n };
		rest->s += ret->n;
		rest->n -= ret->n;
	}
	if (rest->n) { /* the comma; behind a last one is a field */
		rest->s++;
		rest->n--;
	} else {
		rest->s = NULL;
	}
	return true;
}

static bool is(struct text t, const char *word)
{
	return t.n == strlen(word) && strncasecmp(t.s, word, t.n) == 0;
}

/* The first line of a table. */
static int take_head(struct herd_known_lines *l, struct text line,
		     struct herd_diag *diag)
{
	bool other = false;

	for (unsigned column = 0; line.s; column++) {
		struct text f;

		if (!cut_field(&line, &f))
			return wrong(l, diag, "a quote that does not end");
		if (is(f, "sha256") || is(f, "sha-256") || is(f, "sha_256")) {
			l->form = HERD_KNOWN_CSV;
			l->column = column;
			return 0;
		}
		other |= is(f, "sha-1") || is(f, "sha1") || is(f, "md5");
	}
	return wrong(
		l, diag,
		other ? "a table with SHA-1 or MD5 and no column of SHA-256, as "
			"NSRLFile.txt of RDS version 2 is: herdfs has SHA-256 "
			"digests of what is in the images and nothing to compare "
			"others with. RDS version 3 has them" :
			"neither a SHA-256 (64 hex digits) nor the head of a "
			"table with a column SHA-256");
}

static int take_row(const struct herd_known_lines *l, struct text line,
		    uint8_t digest[32], struct herd_diag *diag)
{
	struct text f = { NULL, 0 };

	for (unsigned column = 0; column <= l->column; column++) {
		if (!line.s)
			return wrong(l, diag,
				     "fewer columns than the head has");
		if (!cut_field(&line, &f))
			return wrong(l, diag,
				     "a quote that does not end on "
				     "the line");
	}
	if (!f.n)
		return 0;
	if (f.n != 64 || hex_digits(f) != 64)
		return wrong(l, diag, instead(hex_digits(f) == f.n ? f.n : 0));
	take(f.s, digest);
	return 1;
}

/* ---- lines ---- */

static bool ends_digest(struct text t, size_t at)
{
	return at == t.n || strchr(" \t,;*", t.s[at]);
}

int herd_known_line(struct herd_known_lines *l, const char *line, size_t len,
		    uint8_t digest[32], struct herd_diag *diag)
{
	struct text t = { line, len };
	size_t digits;

	if (!l->line++ && t.n >= 3 && memcmp(t.s, "\xef\xbb\xbf", 3) == 0) {
		t.s += 3;
		t.n -= 3;
	}
	if (t.n && t.s[t.n - 1] == '\r')
		t.n--;
	if (t.n && memchr(t.s, 0, t.n))
		return wrong(l, diag, "a NUL: this is no text");
	while (t.n && (*t.s == ' ' || *t.s == '\t')) {
		t.s++;
		t.n--;
	}
	if (!t.n || (*t.s == '#' && l->form != HERD_KNOWN_CSV))
		return 0;
	if (l->form == HERD_KNOWN_CSV)
		return take_row(l, t, digest, diag);
	/* sha256sum's sign for a name with escapes */
	if (*t.s == '\\') {
		t.s++;
		t.n--;
	}
	digits = hex_digits(t);
	if (digits == 64 && ends_digest(t, digits)) {
		l->form = HERD_KNOWN_PLAIN;
		take(t.s, digest);
		return 1;
	}
	if (l->form == HERD_KNOWN_UNTOLD && !ends_digest(t, digits))
		return take_head(l, t, diag);
	return wrong(l, diag, instead(ends_digest(t, digits) ? digits : 0));
}
