/* SPDX-License-Identifier: Apache-2.0 */
#include "index/template.h"
#include "index/identity_internal.h"

#include <string.h>

struct name {
	const char *p;
	size_t len;
};

/* What stands at n.p[i], a NUL beyond the ends. */
static int at(struct name n, size_t i)
{
	return i < n.len ? (unsigned char)n.p[i] : 0;
}

static bool is_digits(struct name n, size_t from, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (!herd_is_digit(at(n, from + i)))
			return false;
	return true;
}

/* As many digits say a number; the caller knows that they are digits. */
static unsigned number(struct name n, size_t from, size_t count)
{
	unsigned v = 0;

	for (size_t i = 0; i < count; i++)
		v = v * 10 + (unsigned)(at(n, from + i) - '0');
	return v;
}

/* ---- UUIDs, days and times ------------------------------------------------------ */

/* Its length, or 0. */
static size_t uuid_at(struct name n, size_t i)
{
	if (n.len - i < 36 || herd_is_alnum(at(n, i + 36)))
		return 0;
	for (size_t k = 0; k < 36; k++) {
		bool dash = k == 8 || k == 13 || k == 18 || k == 23;
		int c = at(n, i + k);

		if (dash ? c != '-' : herd_hex_value(c) < 0)
			return 0;
	}
	return 36;
}

static bool is_day(unsigned year, unsigned month, unsigned day)
{
	return year >= 1970 && year < 2100 && month >= 1 && month <= 12 &&
	       day >= 1 && day <= 31;
}

/* 20260102 or 2026-01-02, also with '_' or '.'. */
static size_t day_at(struct name n, size_t i)
{
	if (!is_digits(n, i, 4))
		return 0;
	int joint = at(n, i + 4);
	size_t gap = joint == '-' || joint == '_' || joint == '.';

	if (!is_digits(n, i + 4 + gap, 2) ||
	    (gap && at(n, i + 6 + gap) != joint) ||
	    !is_digits(n, i + 6 + 2 * gap, 2) ||
	    !is_day(number(n, i, 4), number(n, i + 4 + gap, 2),
		    number(n, i + 6 + 2 * gap, 2)))
		return 0;
	return 8 + 2 * gap;
}

/* 123456, 12:34:56, 12-34 and so on, with a zone Z; its length, or 0. */
static size_t time_at(struct name n, size_t i)
{
	if (!is_digits(n, i, 2) || number(n, i, 2) > 23)
		return 0;
	int joint = at(n, i + 2);
	size_t gap = joint == '-' || joint == ':' || joint == '.' ||
		     joint == '_' || joint == 'h';
	size_t len = 4 + gap;

	if (!is_digits(n, i + 2 + gap, 2) || number(n, i + 2 + gap, 2) > 59)
		return 0;
	if ((!gap || at(n, i + len) == joint) &&
	    is_digits(n, i + len + gap, 2) && number(n, i + len + gap, 2) < 61)
		len += 2 + gap;
	return at(n, i + len) == 'Z' ? len + 1 : len;
}

static size_t date_at(struct name n, size_t i)
{
	size_t day = day_at(n, i), len = day, time = 0;
	int joint = at(n, i + day);

	if (!day)
		return 0;
	if (joint == 'T' || joint == '-' || joint == '_' || joint == '.' ||
	    joint == ' ')
		time = time_at(n, i + day + 1);
	if (time && !herd_is_alnum(at(n, i + day + 1 + time)))
		len += 1 + time;
	else if (day == 8 && (time = time_at(n, i + 8)) > 0 &&
		 !herd_is_alnum(at(n, i + 8 + time)))
		len += time;
	return herd_is_alnum(at(n, i + len)) ? 0 : len;
}

/* ---- words: runs of letters and digits -------------------------------------------- */

struct word {
	size_t len, digits, lower, upper, hex,
		tail; /* tail: digits at its end */
	/* where the kind of character changes, but from a capital to a small
	   letter: that is how words begin */
	size_t changes;
};

static int kind_of(int c)
{
	if (herd_is_digit(c))
		return 0;
	return herd_is_lower(c) ? 1 : 2;
}

static struct word word_at(struct name n, size_t i)
{
	struct word w = { 0 };

	for (; herd_is_alnum(at(n, i)); i++) {
		int c = at(n, i), kind = kind_of(c);

		w.digits += kind == 0;
		w.lower += kind == 1;
		w.upper += kind == 2;
		w.hex += herd_hex_value(c) >= 0;
		w.tail = kind ? 0 : w.tail + 1;
		if (w.len) {
			int last = kind_of(at(n, i - 1));

			w.changes += last != kind && !(last == 2 && kind == 1);
		}
		w.len++;
	}
	return w;
}

/* Of fewer digits a word is no {hexN}. */
#define HEX_MIN 8

/* As many decimal digits are likelier a digest without letters than a count. */
static bool is_digest_length(size_t len)
{
	return len == 8 || len == 16 || len == 32 || len == 40 || len == 64;
}

static bool is_hex(const struct word *w)
{
	if (w->hex != w->len || w->len < HEX_MIN || !w->digits ||
	    (w->lower && w->upper))
		return false;
	return w->digits < w->len || is_digest_length(w->len);
}

/*
 * Chosen from letters and digits at random? Words, also those put together
 * LikeThis, and words with a number behind them change the kind of character
 * seldom. Behind a separator six (mkstemp) or eight and more count; what a
 * name begins with (a type of chip or terminal has such names) needs more.
 */
static bool is_random(const struct word *w, bool behind)
{
	bool mixed = w->upper && w->lower;

	if (!behind)
		return w->digits && w->len >= (mixed ? 10 : 20) &&
		       w->changes >= 4 + (w->len - 10) / 4;
	if (w->len == 6)
		return mixed && w->changes >= 2;
	return w->len >= 8 && w->digits && w->changes >= 3 + (w->len - 8) / 6;
}

/*
 * A word that mktemp, systemd or ssh put at the end of a name that begins as
 * theirs do: there it takes less to be told from a word of a language.
 */
static bool is_known_random(struct name n, size_t i, const struct word *w)
{
	static const char *const begins[] = { "tmp.", "systemd-private-",
					      "ssh-" };

	if ((w->len != 6 && w->len < 8) || w->lower == w->len ||
	    i + w->len != n.len)
		return false;
	for (size_t k = 0; k < ARRAY_SIZE(begins); k++) {
		size_t len = strlen(begins[k]);

		if (len <= i && !memcmp(n.p, begins[k], len))
			return true;
	}
	return false;
}

/* Python's tmp????????: eight of a-z, 0-9 and '_'. The whole length, or 0. */
static size_t python_at(struct name n, size_t i)
{
	unsigned digits = 0;

	if (i || n.len < 11 || memcmp(n.p, "tmp", 3))
		return 0;
	for (size_t k = 3; k < 11; k++) {
		int c = at(n, k);

		if (!herd_is_lower(c) && !herd_is_digit(c) && c != '_')
			return 0;
		digits += herd_is_digit(c);
	}
	return digits && !herd_is_alnum(at(n, 11)) && at(n, 11) != '_' ? 11 : 0;
}

/* ---- the template ------------------------------------------------------------------- */

static void put_literal(struct herd_buf *out, const char *p, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		if (p[i] == '{')
			herd_buf_u8(out, '{');
		herd_buf_u8(out, (uint8_t)p[i]);
	}
}

/* The version of a library: what follows .so is a name for all time. */
static bool is_so_version(struct name n, size_t i)
{
	const char *so = i ? memmem(n.p, i, ".so.", 4) : NULL;

	for (const char *p = so; p && p < n.p + i; p++)
		if (herd_is_alpha(*p) && p > so + 2)
			return false;
	return so;
}

/* A word, or what begins with it: appends, and returns how long it is. */
static size_t put_word(struct name n, size_t i, struct herd_buf *out,
		       unsigned *found)
{
	struct word w = word_at(n, i);
	int before = i ? at(n, i - 1) : 0, after = at(n, i + w.len);
	size_t len = uuid_at(n, i);
	bool ends = !after || after == '.' || after == '~';

	if (is_so_version(n, i))
		return 0;
	*found |= HERD_TEMPLATE_RANDOM;
	if (len) {
		herd_buf_printf(out, "{uuid}");
	} else if ((len = date_at(n, i)) > 0) {
		herd_buf_printf(out, "{date}");
	} else if ((len = python_at(n, i)) > 0) {
		herd_buf_printf(out, "tmp{rand8}");
	} else if (is_hex(&w)) {
		len = w.len;
		herd_buf_printf(out, "{hex%zu}", len);
	} else if (w.tail >= 9 || (w.tail == w.len && w.len >= 6)) {
		len = w.len;
		put_literal(out, n.p + i, len - w.tail);
		herd_buf_printf(out, "{num}");
	} else if (is_known_random(n, i, &w)) {
		len = w.len;
		herd_buf_printf(out, "{rand%zu}", len);
	} else if (ends && is_random(&w, before == '.' || before == '-' ||
						 before == '_')) {
		len = w.len;
		herd_buf_printf(out, "{rand%zu}", len);
	}
	if (len)
		return len;
	*found &= ~(unsigned)HERD_TEMPLATE_RANDOM;
	return 0;
}

/* From `from` up to `to`, which no word goes across. */
static unsigned put_part(struct name n, size_t from, size_t to,
			 struct herd_buf *out)
{
	unsigned found = 0;
	struct name part = { n.p, to };

	for (size_t i = from; i < to;) {
		unsigned here = 0;
		size_t len = 0;

		if (herd_is_alnum(at(part, i)))
			len = put_word(part, i, out, &here);
		found |= here;
		if (!len) {
			len = herd_is_alnum(at(part, i)) ?
				      word_at(part, i).len :
				      1;
			put_literal(out, n.p + i, len);
		}
		i += len;
	}
	return found;
}

unsigned herd_template_name(const struct herd_identity *own, const char *name,
			    size_t len, struct herd_buf *out)
{
	struct name n = { name, len };
	struct herd_identity_match m;
	unsigned found = 0;
	size_t done = 0;

	while (own && herd_identity_find(own, name, len, done, &m)) {
		found |= put_part(n, done, m.at, out) | HERD_TEMPLATE_TOKEN;
		herd_buf_printf(out, "{%s}", herd_token_name(m.kind));
		done = m.at + m.len;
	}
	return found | put_part(n, done, len, out);
}

bool herd_template_as_hex(char *name, size_t len)
{
	bool any = false;

	for (size_t i = 0; i < len;) {
		size_t n = 0, digits = 0;

		while (i + n < len && herd_is_alnum(name[i + n]))
			digits += herd_is_digit(name[i + n++]);
		if (n >= HEX_MIN && digits == n) {
			name[i] = 'a';
			any = true;
		}
		i += n + 1;
	}
	return any;
}
