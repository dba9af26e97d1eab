/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Of several ways in which stars can share out a text only the last star's
 * share ever has to be taken back: what the earlier ones took was the least
 * they could. So there is one place to go back to in a name, and one (the
 * last "**") in a path.
 *
 * Threads: pure functions.
 */
#include "index/glob.h"

#include <stdint.h>
#include <string.h>

#define NONE SIZE_MAX

static int hex_value(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* A byte as written at p: its length there, 0 when it is cut off. */
static size_t literal(const char *p, size_t n, unsigned char *ret)
{
	if (!n)
		return 0;
	if (*p != '\\') {
		*ret = (unsigned char)*p;
		return 1;
	}
	if (n >= 4 && p[1] == 'x' && hex_value(p[2]) >= 0 &&
	    hex_value(p[3]) >= 0) {
		*ret = (unsigned char)(hex_value(p[2]) << 4 | hex_value(p[3]));
		return 4;
	}
	if (n < 2 || p[1] == 'x')
		return 0;
	*ret = (unsigned char)p[1];
	return 2;
}

/* "[…]" at p: its length, 0 when it never ends. *ret: whether c is in it. */
static size_t set(const char *p, size_t n, unsigned char c, bool *ret)
{
	bool negated = n > 1 && (p[1] == '!' || p[1] == '^'), in = false;
	size_t i = 1 + negated, first = i;

	while (i < n && (p[i] != ']' || i == first)) {
		unsigned char from, to;
		size_t used = literal(p + i, n - i, &from);

		if (!used)
			return 0;
		i += used;
		to = from;
		if (i + 1 < n && p[i] == '-' && p[i + 1] != ']') {
			used = literal(p + i + 1, n - i - 1, &to);
			if (!used)
				return 0;
			i += 1 + used;
		}
		in |= c >= from && c <= to;
	}
	if (i >= n)
		return 0;
	*ret = in != negated;
	return i + 1;
}

/* What stands for one byte at p: its length, 0 when it is broken. */
static size_t one(const char *p, size_t n, unsigned char c, bool *ret)
{
	unsigned char byte;
	size_t used;

	if (*p == '?') {
		*ret = true;
		return 1;
	}
	if (*p == '[')
		return set(p, n, c, ret);
	used = literal(p, n, &byte);
	*ret = used && byte == c;
	return used;
}

bool herd_glob_name(const char *pattern, size_t pattern_len, const char *name,
		    size_t name_len)
{
	size_t i = 0, k = 0, star = NONE, back = 0;

	while (k < name_len) {
		bool hit = false;
		size_t used = 0;

		if (i < pattern_len && pattern[i] == '*') {
			star = ++i;
			back = k;
			continue;
		}
		if (i < pattern_len)
			used = one(pattern + i, pattern_len - i,
				   (unsigned char)name[k], &hit);
		if (used && hit) {
			i += used;
			k++;
			continue;
		}
		if (star == NONE)
			return false;
		i = star;
		k = ++back;
	}
	while (i < pattern_len && pattern[i] == '*')
		i++;
	return i == pattern_len;
}

/* Length of the part of a path that begins at `at`. */
static size_t part(const char *s, size_t len, size_t at)
{
	const char *end = at < len ? memchr(s + at, '/', len - at) : NULL;

	return at >= len ? 0 : end ? (size_t)(end - s) - at : len - at;
}

static bool is_folders(const char *p, size_t n)
{
	return n == 2 && p[0] == '*' && p[1] == '*';
}

bool herd_glob_path(const char *pattern, size_t pattern_len, const char *path,
		    size_t path_len)
{
	size_t i = pattern_len && *pattern == '/';
	size_t k = path_len && *path == '/';
	size_t star = NONE, back = 0;

	if (k >= path_len || i >= pattern_len)
		return false;
	while (k <= path_len) {
		size_t m = part(path, path_len, k), n;

		if (i <= pattern_len) {
			n = part(pattern, pattern_len, i);
			if (is_folders(pattern + i, n)) {
				i += n + 1;
				if (i > pattern_len)
					return true;
				star = i;
				back = k;
				continue;
			}
			if (herd_glob_name(pattern + i, n, path + k, m)) {
				i += n + 1;
				k += m + 1;
				continue;
			}
		}
		if (star == NONE)
			return false;
		i = star;
		back += part(path, path_len, back) + 1;
		k = back;
	}
	return i > pattern_len;
}

/* ---- checks ---- */

/* *ret_says: whether it says anything but "whatever". */
static const char *check_name(const char *p, size_t n, bool *ret_says)
{
	for (size_t i = 0; i < n;) {
		unsigned char byte = 0;
		bool hit;
		size_t used;

		if (p[i] == '*' || p[i] == '?') {
			if (p[i] == '*' && i + 1 < n && p[i + 1] == '*')
				return "has two stars beside other text; they "
				       "stand alone between slashes";
			i++;
			continue;
		}
		used = one(p + i, n - i, 0, &hit);
		if (!used)
			return p[i] == '[' ?
				       "has a [ without its ]" :
				       "ends in a lone \\, or has a \\x without two "
				       "hex digits";
		if (p[i] == '\\' && literal(p + i, n - i, &byte) &&
		    (byte == 0 || byte == '/'))
			return "has a NUL or a slash in disguise";
		*ret_says = true;
		i += used;
	}
	return NULL;
}

const char *herd_glob_check_name(const char *pattern, size_t len)
{
	bool says = false;

	if (!len)
		return "is empty";
	if (memchr(pattern, '/', len) || memchr(pattern, 0, len))
		return "has a slash or a NUL in it";
	return check_name(pattern, len, &says);
}

const char *herd_glob_check(const char *pattern, size_t len)
{
	bool says = false;

	if (!len || *pattern != '/')
		return "does not begin with /";
	if (memchr(pattern, 0, len))
		return "has a NUL in it";
	for (size_t i = 1; i <= len;) {
		size_t n = part(pattern, len, i);
		const char *why = NULL;

		if (!n)
			return "has an empty part (// or a / at its end)";
		if ((n == 1 && pattern[i] == '.') ||
		    (n == 2 && pattern[i] == '.' && pattern[i + 1] == '.'))
			return "has a part . or .., which no path has";
		if (!is_folders(pattern + i, n))
			why = check_name(pattern + i, n, &says);
		if (why)
			return why;
		i += n + 1;
	}
	return says ? NULL : "stands for everything; name something in it";
}
