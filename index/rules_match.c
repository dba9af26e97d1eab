/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Matching of paths. Without recursion: a star that turns out to have eaten
 * too little takes one byte more. When a later "**" is reached the earlier
 * stars are settled, and when '*' cannot go on (it stops at '/') only the last
 * "**" is left to try, so two places to go back to are enough.
 *
 * Threads: pure functions.
 */
#include "index/rules_internal.h"

#include <string.h>

/* One set, p behind its '['. Behind its ']' in *ret_end; NULL: has no end. */
static bool in_set(const char *p, const char *end, unsigned char c,
		   const char **ret_end)
{
	bool inverse = p < end && *p == '!', found = false, first = true;

	p += inverse;
	for (; p < end && (first || *p != ']'); first = false) {
		unsigned char low = (unsigned char)*p++, high = low;

		if (p + 1 < end && *p == '-' && p[1] != ']') {
			high = (unsigned char)p[1];
			p += 2;
		}
		found |= low <= c && c <= high;
	}
	*ret_end = p < end ? p + 1 : NULL;
	return p < end && c != '/' && found != inverse;
}

/* One byte against what stands at p; where the pattern goes on in *ret. */
static bool one(const char *p, const char *end, char c, const char **ret)
{
	bool match;

	*ret = p + 1;
	if (*p == '?')
		return c != '/';
	if (*p != '[')
		return *p == c;
	match = in_set(p + 1, end, (unsigned char)c, ret);
	return match && *ret;
}

static bool wild(const struct herd_pattern *pattern, const char *s,
		 const char *s_end)
{
	const char *p = pattern->text + pattern->prefix;
	const char *p_end = pattern->text + pattern->len - pattern->suffix;

	/* where to go on after a star, and what it has eaten so far */
	const char *star = NULL, *star_s = NULL, *stars = NULL, *stars_s = NULL;
	const char *next;

	for (;;) {
		if (p < p_end && *p == '*') {
			bool two = p + 1 < p_end && p[1] == '*';
			bool whole = p == pattern->text || p[-1] == '/';

			p += two ? 2 : 1;
			star = two ? NULL : p;
			star_s = s;
			if (!two)
				continue;
			stars = p;
			stars_s = s;
			/* no directory at all is fine too */
			if (whole && p < p_end && *p == '/')
				p++;
			continue;
		}
		if (p == p_end && s == s_end)
			return true;
		if (p < p_end && s < s_end && one(p, p_end, *s, &next)) {
			p = next;
			s++;
		} else if (star && star_s < s_end && *star_s != '/') {
			p = star;
			s = ++star_s;
		} else if (stars && stars_s < s_end) {
			star = NULL;
			p = stars;
			s = ++stars_s;
		} else {
			return false;
		}
	}
}

void herd_pattern_prepare(struct herd_pattern *p)
{
	const char *special = "*?[";
	size_t prefix = 0, suffix = 0;

	while (prefix < p->len && !strchr(special, p->text[prefix]))
		prefix++;
	/* a ']' may end a set, so it is no literal seen from behind */
	while (suffix < p->len - prefix &&
	       !strchr("*?[]", p->text[p->len - suffix - 1]))
		suffix++;
	/* "**" and its '/' may stand for nothing */
	if (suffix && suffix + 2 <= p->len &&
	    strncmp(p->text + p->len - suffix - 2, "**/", 3) == 0)
		suffix--;
	p->prefix = (uint16_t)prefix;
	p->suffix = (uint16_t)suffix;
}

bool herd_pattern_match(const struct herd_pattern *p, const char *path,
			size_t len)
{
	if (len < (size_t)p->prefix + p->suffix)
		return false;
	if (p->prefix == p->len)
		return len == p->len && memcmp(p->text, path, len) == 0;
	if (memcmp(p->text, path, p->prefix) != 0 ||
	    memcmp(p->text + p->len - p->suffix, path + len - p->suffix,
		   p->suffix) != 0)
		return false;
	return wild(p, path + p->prefix, path + len - p->suffix);
}

bool herd_rule_path(const struct herd_rules *r, const struct herd_rule *rule,
		    const char *path, size_t len)
{
	for (uint32_t i = 0; i < rule->n; i++)
		if (herd_pattern_match(&r->patterns[rule->first + i], path, len))
			return true;
	return false;
}
