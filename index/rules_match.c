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

#include "acquire/base/cleanup.h"

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

/* The longest run without anything special between prefix and suffix. A '/'
   at its ends does not count: it may be that of a "**" that is nothing. */
static void find_piece(struct herd_pattern *p)
{
	size_t from = p->prefix, end = p->len - p->suffix;

	for (size_t i = from; i <= end; i++) {
		size_t a = from, b = i;

		if (i < end && !strchr("*?[]", p->text[i]))
			continue;
		from = i + 1;
		/* what stands in a set is no literal */
		if (i < end && p->text[i] == ']')
			continue;
		while (a < b && p->text[a] == '/')
			a++;
		while (a < b && p->text[b - 1] == '/')
			b--;
		if (b - a > p->piece_len) {
			p->piece = (uint16_t)a;
			p->piece_len = (uint16_t)(b - a);
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
	find_piece(p);
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
	if (p->piece_len > 1 && !memmem(path + p->prefix, len - p->prefix,
					p->text + p->piece, p->piece_len))
		return false;
	return wild(p, path + p->prefix, path + len - p->suffix);
}

/* ---- the index ---- */

/*
 * A pattern is found by what of it is literal: its first two directories, the
 * first alone, or its last name; only those of which none is are tried on
 * every path. The keys are hashes: what collides is tried in vain, no more.
 */
enum by { BY_NOTHING, BY_FIRST, BY_TWO, BY_LAST };

static uint64_t key_of(enum by by, const char *s, size_t len)
{
	uint64_t h = 0xcbf29ce484222325ull + (unsigned)by;

	for (size_t i = 0; i < len; i++)
		h = (h ^ (unsigned char)s[i]) * 0x100000001b3ull;
	return h;
}

/* Length of the first n names of a path, or all of it. */
static size_t names(const char *s, size_t len, unsigned n)
{
	size_t i = 0;

	for (; i < len; i++)
		if (s[i] == '/' && --n == 0)
			break;
	return i;
}

static uint64_t pattern_key(const struct herd_pattern *p)
{
	size_t one = names(p->text, p->len, 1), two = names(p->text, p->len, 2);
	const char *end = p->text + p->len, *last = end - p->suffix;
	const char *slash = memrchr(last, '/', p->suffix);

	/* literal up to and with the '/', or to the end */
	if (p->prefix > two || p->prefix == p->len)
		return two > one ? key_of(BY_TWO, p->text, two) :
				   key_of(BY_FIRST, p->text, one);
	if (slash)
		return key_of(BY_LAST, slash + 1, (size_t)(end - slash - 1));
	if (p->suffix && last > p->text && last[-1] == '/')
		return key_of(BY_LAST, last, p->suffix);
	if (p->prefix > one)
		return key_of(BY_FIRST, p->text, one);
	return key_of(BY_NOTHING, NULL, 0);
}

static int by_key(const void *a, const void *b)
{
	const struct herd_rule_entry *x = a, *y = b;

	if (x->key != y->key)
		return x->key < y->key ? -1 : 1;
	return (x->pattern < y->pattern) - (x->pattern > y->pattern);
}

int herd_rules_index(struct herd_rules *r)
{
	struct herd_rule_entry *index =
		calloc(r->n_patterns + 1, sizeof(*index));

	if (!index)
		return -ENOMEM;
	for (size_t i = 0; i < r->n_rules; i++) {
		const struct herd_rule *rule = &r->rules[i];

		for (uint32_t k = rule->first; k < rule->first + rule->n; k++)
			index[k] = (struct herd_rule_entry){
				.key = pattern_key(&r->patterns[k]),
				.rule = (uint32_t)i,
				.pattern = k
			};
	}
	qsort(index, r->n_patterns, sizeof(*index), by_key);
	free(r->index);
	r->index = index;
	return 0;
}

/* The entries of one key. */
static struct herd_rule_list list_of(const struct herd_rules *r, uint64_t key)
{
	size_t low = 0, high = r->n_patterns, end;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (r->index[middle].key < key)
			low = middle + 1;
		else
			high = middle;
	}
	for (end = low; end < r->n_patterns && r->index[end].key == key;)
		end++;
	return (struct herd_rule_list){ r->index + low, r->index + end };
}

void herd_rule_scan(struct herd_rule_scan *s, const struct herd_rules *rules,
		    const char *path, size_t len)
{
	if (!len)
		path = "";	/* the root's path may be no pointer at all */

	size_t one = names(path, len, 1), two = names(path, len, 2);
	const char *slash = memrchr(path, '/', len);
	const char *last = slash ? slash + 1 : path;

	*s = (struct herd_rule_scan){ rules, path, len, { { NULL, NULL } } };
	if (!rules->n_patterns)
		return;
	s->lists[0] = list_of(rules, key_of(BY_NOTHING, NULL, 0));
	s->lists[1] = list_of(rules, key_of(BY_FIRST, path, one));
	s->lists[2] = list_of(rules, key_of(BY_TWO, path, two));
	s->lists[3] = list_of(rules, key_of(BY_LAST, last,
					    len - (size_t)(last - path)));
}

const struct herd_rule *herd_rule_next(struct herd_rule_scan *s)
{
	for (;;) {
		struct herd_rule_list *next = NULL;
		const struct herd_rule_entry *e;

		for (unsigned i = 0; i < HERD_RULE_LISTS; i++) {
			struct herd_rule_list *l = &s->lists[i];

			if (l->at < l->end &&
			    (!next || l->at->pattern > next->at->pattern))
				next = l;
		}
		if (!next)
			return NULL;
		e = next->at++;
		if (herd_pattern_match(&s->rules->patterns[e->pattern], s->path,
				       s->len))
			return &s->rules->rules[e->rule];
	}
}
