/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reads the rules. A rule is a line "suppress PATTERN" and the lines
 * "key = value" that follow; '#' begins a comment where it begins a line.
 *
 * Threads: pure functions.
 */
#include "index/policy.h"

#include "acquire/base/cleanup.h"
#include "index/glob.h"
#include "index/json.h"
#include "index/verdict.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

enum key {
	KEY_GROUP,
	KEY_INSTANCE,
	KEY_CHANGES,
	KEY_REASON,
	KEY_OWNER,
	KEY_EXPIRES,
	KEY_ALLOW,
	KEY_MAX
};

static const char *const keys[KEY_MAX] = {
	"group", "instance", "changes", "reason", "owner", "expires", "allow",
};

struct parsing {
	const char *source;
	unsigned line;
	struct herd_policy p;
	bool given[KEY_MAX]; /* of the rule at work, the last of p */
	struct herd_diag *diag;
};

/* Borrowed text. */
struct word {
	const char *s;
	size_t n;
};

static void rule_deinit(struct herd_policy_rule *r)
{
	free(r->pattern);
	free(r->group);
	free(r->instance);
	free(r->reason);
	free(r->owner);
}

void herd_policy_deinit(struct herd_policy *p)
{
	for (size_t i = 0; i < p->n; i++)
		rule_deinit(&p->v[i]);
	free(p->v);
	*p = (struct herd_policy){ 0 };
}

__attribute__((format(printf, 4, 5))) static int
wrong(const struct parsing *ps, unsigned line, int err, const char *fmt, ...)
{
	char where[256], what[512];
	va_list ap;

	snprintf(where, sizeof(where), "%.200s:%u", ps->source, line);
	va_start(ap, fmt);
	vsnprintf(what, sizeof(what), fmt, ap);
	va_end(ap);
	return herd_diag_set(ps->diag, err, where, HERD_NO_OFFSET, "%s", what);
}

#define WRONG(ps, ...) wrong(ps, (ps)->line, -EINVAL, __VA_ARGS__)
/* A word as arguments of "%.*s"; diag has no room for more. */
#define SHOWN(w) (int)((w).n < 200 ? (w).n : 200), (w).s

/* ---- words ---- */

static bool blank(char c)
{
	return c == ' ' || c == '\t';
}

static struct word trimmed(struct word w)
{
	while (w.n && blank(*w.s)) {
		w.s++;
		w.n--;
	}
	while (w.n && blank(w.s[w.n - 1]))
		w.n--;
	return w;
}

/* Cuts what comes before `end` (or all) off *rest. */
static struct word cut(struct word *rest, char end)
{
	const char *at = rest->n ? memchr(rest->s, end, rest->n) : NULL;
	struct word w = { rest->s, at ? (size_t)(at - rest->s) : rest->n };

	rest->s += w.n + (at != NULL);
	rest->n -= w.n + (at != NULL);
	return w;
}

static bool is(struct word w, const char *text)
{
	return w.n == strlen(text) && memcmp(w.s, text, w.n) == 0;
}

static int copy(struct word w, char **ret)
{
	char *s = strndup(w.s, w.n);

	if (!s)
		return -ENOMEM;
	free(*ret);
	*ret = s;
	return 0;
}

/* ---- values ---- */

static int take_name(const struct parsing *ps, struct word w, char **ret)
{
	const char *why = herd_glob_check_name(w.s, w.n);

	return why ? WRONG(ps, "the name \"%.*s\" %s", SHOWN(w), why) :
		     copy(w, ret);
}

static unsigned reason_bit(struct word w)
{
	for (unsigned bit = 1; bit && herd_reason_name(bit); bit <<= 1)
		if (is(w, herd_reason_name(bit)))
			return bit;
	return 0;
}

static unsigned allow_bit(struct word w)
{
	char name[64];

	for (unsigned bit = 1; bit <= HERD_POLICY_CREDENTIAL; bit <<= 1)
		if (is(w, herd_policy_allow_text(bit, name, sizeof(name))))
			return bit;
	return 0;
}

static int take_bits(const struct parsing *ps, struct word list,
		     unsigned (*bit_of)(struct word w), const char *what,
		     unsigned *ret)
{
	unsigned bits = 0;

	while (list.n) {
		struct word w = trimmed(cut(&list, ','));
		unsigned bit = bit_of(w);

		if (!bit)
			return WRONG(ps, "\"%.*s\" is no %s", SHOWN(w), what);
		bits |= bit;
	}
	*ret = bits;
	return 0;
}

/* n digits at s; -1 when there are others. */
static int number(const char *s, size_t n)
{
	int v = 0;

	for (size_t i = 0; i < n; i++) {
		if (s[i] < '0' || s[i] > '9')
			return -1;
		v = 10 * v + (s[i] - '0');
	}
	return v;
}

/* The rule applies on its last day still, all over the world but for hours:
   days are those of UTC. */
static int take_date(const struct parsing *ps, struct word w,
		     struct herd_policy_rule *r)
{
	struct tm tm = { 0 }, day;
	int year = -1, month = -1, mday = -1;

	if (is(w, "never")) {
		r->expires = HERD_POLICY_NEVER;
		memcpy(r->until, "never", sizeof("never"));
		return 0;
	}
	if (w.n == 10 && w.s[4] == '-' && w.s[7] == '-') {
		year = number(w.s, 4);
		month = number(w.s + 5, 2);
		mday = number(w.s + 8, 2);
	}
	tm.tm_year = year - 1900;
	tm.tm_mon = month - 1;
	tm.tm_mday = mday;
	day = tm;
	/* timegm takes 31 February, as a day in March */
	if (year < 1970 || month < 1 || mday < 1 || timegm(&day) < 0 ||
	    day.tm_mon != tm.tm_mon || day.tm_mday != tm.tm_mday)
		return WRONG(ps, "\"%.*s\" is no day: YYYY-MM-DD, or never",
			     SHOWN(w));
	tm.tm_mday++;
	r->expires = timegm(&tm);
	memcpy(r->until, w.s, w.n);
	r->until[w.n] = '\0';
	return 0;
}

static int take_value(struct parsing *ps, enum key key, struct word w)
{
	struct herd_policy_rule *r = &ps->p.v[ps->p.n - 1];

	switch (key) {
	case KEY_GROUP:
		return take_name(ps, w, &r->group);
	case KEY_INSTANCE:
		ps->p.by_instance = true;
		return take_name(ps, w, &r->instance);
	case KEY_CHANGES:
		return take_bits(ps, w, reason_bit, "kind of change",
				 &r->reasons);
	case KEY_ALLOW:
		return take_bits(ps, w, allow_bit,
				 "thing to allow (setid, "
				 "executable, credential)",
				 &r->allow);
	case KEY_REASON:
		return copy(w, &r->reason);
	case KEY_OWNER:
		return copy(w, &r->owner);
	default:
		return take_date(ps, w, r);
	}
}

/* ---- lines ---- */

/* The rule at work is complete. */
static int finish_rule(const struct parsing *ps)
{
	static const enum key needed[] = { KEY_REASON, KEY_OWNER, KEY_EXPIRES };

	for (size_t i = 0; ps->p.n && i < ARRAY_SIZE(needed); i++)
		if (!ps->given[needed[i]])
			return wrong(ps, ps->p.v[ps->p.n - 1].line, -EINVAL,
				     "this rule has no %s", keys[needed[i]]);
	return 0;
}

static int begin_rule(struct parsing *ps, struct word pattern)
{
	struct herd_policy *p = &ps->p;
	const char *why;
	int err = finish_rule(ps);

	if (err)
		return err;
	why = herd_glob_check(pattern.s, pattern.n);
	if (why)
		return WRONG(ps, "the pattern \"%.*s\" %s", SHOWN(pattern),
			     why);
	if (p->n == HERD_POLICY_RULES_MAX)
		return wrong(ps, ps->line, -EOVERFLOW, "more than %d rules",
			     HERD_POLICY_RULES_MAX);
	if (p->n == p->cap) {
		size_t cap = p->cap ? 2 * p->cap : 16;
		struct herd_policy_rule *v =
			reallocarray(p->v, cap, sizeof(*v));

		if (!v)
			return -ENOMEM;
		p->v = v;
		p->cap = cap;
	}
	p->v[p->n] = (struct herd_policy_rule){ .line = ps->line };
	memset(ps->given, 0, sizeof(ps->given));
	return copy(pattern, &p->v[p->n++].pattern);
}

static int take_line(struct parsing *ps, struct word line)
{
	struct word rest = line, key;
	size_t k = 0;

	if (line.n > 8 && memcmp(line.s, "suppress", 8) == 0 &&
	    blank(line.s[8]))
		return begin_rule(
			ps, trimmed((struct word){ line.s + 8, line.n - 8 }));
	key = trimmed(cut(&rest, '='));
	if (key.n == line.n)
		return WRONG(ps, "neither \"suppress /PATTERN\" nor "
				 "\"key = value\"");
	rest = trimmed(rest);
	while (k < KEY_MAX && !is(key, keys[k]))
		k++;
	if (k == KEY_MAX)
		return WRONG(ps,
			     "there is no \"%.*s\"; a rule has group, "
			     "instance, changes, reason, owner, expires, allow",
			     SHOWN(key));
	if (!ps->p.n)
		return WRONG(ps, "\"%s\" belongs to a rule, and none has begun",
			     keys[k]);
	if (ps->given[k])
		return WRONG(ps, "%s is given twice", keys[k]);
	if (!rest.n)
		return WRONG(ps, "%s is empty", keys[k]);
	ps->given[k] = true;
	return take_value(ps, (enum key)k, rest);
}

/* What is shown to people must not upset what shows it. */
static int check_text(const struct parsing *ps, struct word line)
{
	const uint8_t *p = (const uint8_t *)line.s;

	if (line.n > HERD_POLICY_VALUE_MAX + 64)
		return wrong(ps, ps->line, -EOVERFLOW, "longer than %d bytes",
			     HERD_POLICY_VALUE_MAX);
	for (size_t at = 0; at < line.n;) {
		uint32_t c = 0;
		size_t n = herd_utf8(p + at, line.n - at, &c);

		if (!n || (c < 0x20 && c != '\t') || (c >= 0x7f && c < 0xa0))
			return WRONG(ps,
				     "a byte that is no text in UTF-8; "
				     "in a pattern write it as \\x%02x",
				     p[at]);
		at += n;
	}
	return 0;
}

static int parse(struct parsing *ps, struct word text)
{
	while (text.n) {
		struct word line = cut(&text, '\n');
		int err;

		ps->line++;
		if (line.n && line.s[line.n - 1] == '\r')
			line.n--;
		err = check_text(ps, line);
		line = trimmed(line);
		if (!err && line.n && *line.s != '#')
			err = take_line(ps, line);
		if (err)
			return err;
	}
	return finish_rule(ps);
}

int herd_policy_parse(const char *source, const char *text, size_t len,
		      struct herd_policy *ret, struct herd_diag *diag)
{
	struct parsing ps = { .source = source, .diag = diag };
	int err;

	if (len > HERD_POLICY_BYTES_MAX)
		return herd_diag_set(diag, -EOVERFLOW, source, HERD_NO_OFFSET,
				     "a policy of more than %u bytes",
				     HERD_POLICY_BYTES_MAX);
	err = parse(&ps, (struct word){ text, len });
	if (err) {
		herd_policy_deinit(&ps.p);
		return err;
	}
	*ret = ps.p;
	return 0;
}
