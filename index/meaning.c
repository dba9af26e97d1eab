/* SPDX-License-Identifier: Apache-2.0 */
#include "index/meaning_internal.h"
#include "index/redact.h"
#include "index/rules_internal.h"
#include "index/verdict.h"

#include <string.h>
#include <sys/stat.h>

#define NAME_SHOWN_MAX 60

/* ---- facts ---- */

bool herd_side_sort(const struct herd_meaning_side *side, enum herd_sort *ret)
{
	if (!S_ISREG(side->mode))
		return false;
	if (side->sort)
		*ret = (enum herd_sort)(side->sort - 1);
	else if (!side->size)
		*ret = HERD_SORT_EMPTY;
	else if (side->text)
		*ret = herd_sort_of(side->text,
				    side->len < HERD_CONTENT_HEAD ?
				    side->len : HERD_CONTENT_HEAD, side->size);
	else
		return false;
	return true;
}

static bool is_elf(enum herd_sort sort)
{
	return sort == HERD_SORT_PROGRAM || sort == HERD_SORT_LIBRARY ||
	       sort == HERD_SORT_MODULE;
}

static unsigned sort_facts(const struct herd_meaning_side *own)
{
	enum herd_sort sort;
	unsigned facts = own->size ? 0 : HERD_FACT_EMPTY;

	if (!herd_side_sort(own, &sort))
		return facts;
	return facts | (sort == HERD_SORT_SCRIPT ? HERD_FACT_SCRIPT : 0) |
	       (is_elf(sort) ? HERD_FACT_ELF : 0);
}

/* What this version may do and the herd's may not. */
static unsigned power_facts(const struct herd_meaning_side *own,
			    const struct herd_meaning_side *herd)
{
	uint32_t before = !herd->absent && S_ISREG(herd->mode) ? herd->mode : 0;
	uint32_t gained = own->mode & ~before;
	unsigned facts = 0;

	if (gained & S_ISUID)
		facts |= HERD_FACT_SETUID;
	if (gained & S_ISGID)
		facts |= HERD_FACT_SETGID;
	if (own->mode & 0111)
		facts |= HERD_FACT_EXECUTABLE;
	if (own->capability &&
	    (herd->absent || !herd->capability ||
	     herd->capability_len != own->capability_len ||
	     memcmp(herd->capability, own->capability, own->capability_len)))
		facts |= HERD_FACT_CAPABILITY;
	return facts;
}

unsigned herd_facts_of(const struct herd_meaning_side *own,
		       const struct herd_meaning_side *herd, const char *path,
		       size_t path_len)
{
	const char *slash = memrchr(path, '/', path_len);
	const char *name = slash ? slash + 1 : path;
	unsigned facts = 0;
	bool was = !herd->absent && S_ISREG(herd->mode);

	if (name < path + path_len && *name == '.')
		facts |= HERD_FACT_HIDDEN;
	if (own->absent)
		return facts;
	if (!own->uid)
		facts |= HERD_FACT_ROOT;
	if (!S_ISLNK(own->mode) && own->mode & 0002 && !(own->mode & S_ISVTX) &&
	    (herd->absent || !(herd->mode & 0002)))
		facts |= HERD_FACT_OPEN;
	if (S_ISLNK(own->mode) && own->text &&
	    herd_slice_is((struct herd_slice){ own->text, own->len },
			  "/dev/null"))
		facts |= HERD_FACT_NULL;
	if (!S_ISREG(own->mode))
		return facts;
	if (was && own->size < herd->size)
		facts |= HERD_FACT_SHRUNK;
	return facts | sort_facts(own) | power_facts(own, herd);
}

/* ---- rules ---- */

static unsigned type_of(uint32_t mode)
{
	switch (mode & S_IFMT) {
	case S_IFREG:
		return HERD_TYPE_FILE;
	case S_IFDIR:
		return HERD_TYPE_DIR;
	case S_IFLNK:
		return HERD_TYPE_LINK;
	case S_IFBLK:
	case S_IFCHR:
		return HERD_TYPE_DEVICE;
	}
	return HERD_TYPE_OTHER;
}

/* What a rule may ask for, worked out once. */
struct question {
	const char *path;
	size_t len;
	unsigned type, facts, reasons;
	struct herd_slice text;
};

/* .volumes/<disk>/p<N>/ is the root of a volume that was not mounted. */
static void strip_volume(struct question *q)
{
	struct herd_slice rest = { q->path, q->len };

	if (!herd_slice_begins(rest, ".volumes/"))
		return;
	for (unsigned i = 0; i < 3; i++)
		herd_slice_until(&rest, "/");
	if (!rest.len)
		return;
	q->path = rest.p;
	q->len = rest.len;
}

static bool unconditional(const struct herd_rule *r)
{
	return !r->types && !r->changes && !r->facts && !r->not_facts &&
	       !r->has;
}

static bool holds(const struct herd_rule *r, const struct question *q)
{
	if ((r->types && !(r->types & q->type)) ||
	    (r->changes && !(r->changes & q->reasons)) ||
	    (r->facts & ~q->facts) || (r->not_facts & q->facts))
		return false;
	return !r->has || herd_slice_has(q->text, r->has);
}

/* The last one whose path matches and whose conditions hold, or NULL. */
static const struct herd_rule *rule_for(const struct herd_rules *rules,
					const struct question *q)
{
	struct herd_rule_scan s;
	const struct herd_rule *r;

	herd_rule_scan(&s, rules, q->path, q->len);
	do {
		r = herd_rule_next(&s);
	} while (r && !holds(r, q));
	return r;
}

/* ---- words ---- */

/* {what}, {name} and {path} in the rule's words. */
static void say(const struct herd_rule *rule, const char *what,
		const struct question *q, char why[HERD_MEANING_WHY_MAX])
{
	struct herd_slice rest = { rule->why, strlen(rule->why) };
	const char *slash = memrchr(q->path, '/', q->len);
	const char *name = slash ? slash + 1 : q->path;
	struct herd_words w;

	herd_words_begin(&w, why, HERD_MEANING_WHY_MAX);
	while (rest.len) {
		struct herd_slice s = herd_slice_until(&rest, "{");
		bool open = s.p[s.len] == '{';

		herd_words_bytes(&w, s.p, s.len, HERD_MEANING_WHY_MAX);
		if (!open)
			break;
		s = herd_slice_until(&rest, "}");
		if (herd_slice_is(s, "what"))
			herd_words_put(&w, what);
		else if (herd_slice_is(s, "name"))
			herd_words_bytes(&w, name,
					 q->len - (size_t)(name - q->path),
					 NAME_SHOWN_MAX);
		else if (herd_slice_is(s, "path"))
			herd_words_bytes(&w, q->path, q->len,
					 NAME_SHOWN_MAX * 2);
	}
}

/* Of a text that is kept: whether a report had better not show it. */
static bool holds_secret(const struct herd_meaning_side *side)
{
	static const char *const marks[] = {
		"PRIVATE KEY-----", "PRIVATE KEY BLOCK-----", NULL,
	};
	struct herd_slice text = { side->text, side->text ? side->len : 0 };

	return S_ISREG(side->mode) && text.len &&
	       (herd_slice_has_any(text, marks) ||
		herd_redact_finds(text.p, text.len));
}

static int meaning_by(const struct herd_rules *rules,
		      const struct herd_rule *rule, const struct question *q,
		      const struct herd_meaning_side *own,
		      const struct herd_meaning_side *herd,
		      struct herd_meaning *m)
{
	static const struct herd_rule none;
	struct herd_telling t = { .own = own,
				  .herd = herd,
				  .path = q->path,
				  .path_len = q->len,
				  .reasons = q->reasons };
	char what[HERD_MEANING_WHY_MAX];
	int err;

	m->category = "other";
	m->technique = m->rule_file = "";
	if (rule) {
		m->category = rules->categories[rule->category].name;
		m->technique = rule->technique;
		m->rule_file = rules->files[rule->file];
		m->rule_line = rule->line;
	} else {
		rule = &none;
	}
	herd_words_begin(&t.w, rule->why ? what : m->why, sizeof(what));
	err = herd_tell(&t, rule->differ ? rule->differ :
					   herd_differ_find("auto", 4));
	if (err)
		return err;
	if (rule->why)
		say(rule, what, q, m->why);
	m->loud = t.loud;
	m->secret = (rule->differ && herd_differ_is_secret(rule->differ)) ||
		    holds_secret(own) || holds_secret(herd);
	m->severity = t.loud ? rule->loud_severity : rule->severity;
	if (t.quiet && !t.loud && q->reasons == HERD_REASON_CONTENT)
		m->severity /= 2;
	return 0;
}

int herd_meaning_of(const struct herd_rules *rules, const char *path,
		    size_t path_len, unsigned reasons,
		    const struct herd_meaning_side *own,
		    const struct herd_meaning_side *herd,
		    struct herd_meaning *ret)
{
	struct question q = { .path = path,
			      .len = path_len,
			      .reasons = reasons };
	struct herd_meaning m = { 0 };
	int err;

	strip_volume(&q);
	q.type = type_of(own->absent ? herd->mode : own->mode);
	q.facts = herd_facts_of(own, herd, q.path, q.len);
	if (!(reasons &
	      (HERD_REASON_CONTENT | HERD_REASON_TARGET | HERD_REASON_ADDED |
	       HERD_REASON_TYPE | HERD_REASON_ABSENT | HERD_REASON_UNREADABLE)))
		q.facts |= HERD_FACT_STEADY;
	if (!own->absent && own->text)
		q.text = (struct herd_slice){ own->text,
					      own->len < HERD_MEANING_TEXT_MAX ?
						      own->len :
						      HERD_MEANING_TEXT_MAX };
	err = meaning_by(rules, rule_for(rules, &q), &q, own, herd, &m);
	if (!err)
		*ret = m;
	return err;
}

bool herd_meaning_shuns(const struct herd_rules *rules, const char *path,
			size_t path_len)
{
	struct question q = { .path = path, .len = path_len };
	struct herd_rule_scan s;
	const struct herd_rule *r;

	strip_volume(&q);
	herd_rule_scan(&s, rules, q.path, q.len);
	while ((r = herd_rule_next(&s))) {
		if (herd_differ_is_secret(r->differ) && !r->differ->wants)
			return true;
		if (unconditional(r))
			return false;
	}
	return false;
}

bool herd_meaning_wants(const struct herd_rules *rules, const char *path,
			size_t path_len)
{
	struct question q = { .path = path, .len = path_len };
	struct herd_rule_scan s;
	const struct herd_rule *r;

	strip_volume(&q);
	herd_rule_scan(&s, rules, q.path, q.len);
	while ((r = herd_rule_next(&s))) {
		if (r->has || r->differ->wants)
			return true;
		if (unconditional(r))
			return false;
	}
	return false;
}
