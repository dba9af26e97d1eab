/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The parser of the rules. A text is taken over as a whole or not at all.
 * docs/RULES.md has the format. Threads: as index/rules.h says.
 */
#include "index/meaning_internal.h"
#include "index/rules_internal.h"
#include "index/verdict.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define LINE_MAX_LEN 4096
#define TOKENS_MAX 24
#define RULES_MAX 8192
#define PATTERNS_MAX 65536
#define EXPANSIONS_MAX 256 /* of one rule */
#define CATEGORIES_MAX 64
#define FILES_MAX 256
#define NAME_MAX_LEN 32
#define TEXT_MAX_LEN 200

struct token {
	char *text; /* in the parser's line, terminated */
	size_t len;
};

struct parser {
	struct herd_rules *r;
	struct herd_diag *diag;
	const char *name;
	size_t offset; /* of the line */
	unsigned line;
	char text[LINE_MAX_LEN + 1];
	struct token tokens[TOKENS_MAX];
	size_t n;
};

/* ---- life ---- */

struct herd_rules *herd_rules_create(void)
{
	return calloc(1, sizeof(struct herd_rules));
}

/* Back to what it was: so many of each. */
static void shrink(struct herd_rules *r, const struct herd_rules *to)
{
	for (size_t i = to->n_rules; i < r->n_rules; i++) {
		free(r->rules[i].has);
		free(r->rules[i].why);
	}
	for (size_t i = to->n_patterns; i < r->n_patterns; i++)
		free(r->patterns[i].text);
	for (size_t i = to->n_categories; i < r->n_categories; i++) {
		free((char *)r->categories[i].name);
		free((char *)r->categories[i].text);
	}
	for (size_t i = to->n_files; i < r->n_files; i++)
		free(r->files[i]);
	r->n_rules = to->n_rules;
	r->n_patterns = to->n_patterns;
	r->n_categories = to->n_categories;
	r->n_files = to->n_files;
}

void herd_rules_destroy(struct herd_rules *r)
{
	static const struct herd_rules none;

	if (!r)
		return;
	shrink(r, &none);
	free(r->rules);
	free(r->patterns);
	free(r->categories);
	free(r->files);
	free(r->index);
	free(r);
}

size_t herd_rules_count(const struct herd_rules *r)
{
	return r->n_rules;
}

const struct herd_category *herd_rules_categories(const struct herd_rules *r,
						  size_t *ret_n)
{
	*ret_n = r->n_categories;
	return r->categories;
}

/* Room for one more of `size` bytes in *v, which grows by powers of two. */
static int grow(void *v, size_t n, size_t size)
{
	void *array, *more;

	if (n & (n - 1))
		return 0;
	memcpy(&array, v, sizeof(array));
	more = reallocarray(array, n ? n * 2 : 1, size);
	if (!more)
		return -ENOMEM;
	memcpy(v, &more, sizeof(more));
	return 0;
}

/* ---- lines and tokens ---- */

static int wrong(struct parser *p, int err, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

static int wrong(struct parser *p, int err, const char *fmt, ...)
{
	char what[256];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(what, sizeof(what), fmt, ap);
	va_end(ap);
	return herd_diag_set(p->diag, err, p->name, p->offset, "line %u: %s",
			     p->line, what);
}

/*
 * Blanks part tokens; inside "…" they do not, and \" and \\ stand for
 * themselves. A '#' where a token would begin ends the line.
 */
static int tokens(struct parser *p)
{
	char *s = p->text;

	p->n = 0;
	for (;;) {
		char *to;
		bool quoted = false;

		s += strspn(s, " \t\r");
		if (!*s || *s == '#')
			return 0;
		if (p->n == TOKENS_MAX)
			return wrong(p, -EINVAL, "more than %d words",
				     TOKENS_MAX);
		p->tokens[p->n].text = to = s;
		while (*s && (quoted || !strchr(" \t\r", *s))) {
			if (*s == '"')
				quoted = !quoted;
			else if (quoted && *s == '\\' && s[1])
				*to++ = *++s;
			else
				*to++ = *s;
			s++;
		}
		if (quoted)
			return wrong(p, -EINVAL, "a \" without its end");
		s += *s != '\0';
		*to = '\0';
		p->tokens[p->n].len = (size_t)(to - p->tokens[p->n].text);
		p->n++;
	}
}

/* ---- patterns ---- */

static int add_pattern(struct parser *p, struct herd_rule *rule,
		       const char *text, size_t len)
{
	struct herd_rules *r = p->r;
	struct herd_pattern *to;
	int err;

	while (len && *text == '/') {
		text++;
		len--;
	}
	if (!len)
		return wrong(p, -EINVAL, "an empty pattern");
	if (rule->n == EXPANSIONS_MAX || r->n_patterns == PATTERNS_MAX)
		return wrong(p, -EOVERFLOW, "too many patterns");
	err = grow(&r->patterns, r->n_patterns, sizeof(*r->patterns));
	if (err)
		return err;
	to = &r->patterns[r->n_patterns];
	*to = (struct herd_pattern){ .text = strndup(text, len),
				     .len = (uint16_t)len };
	if (!to->text)
		return -ENOMEM;
	herd_pattern_prepare(to);
	r->n_patterns++;
	rule->n++;
	return 0;
}

/* Behind a set that begins at i; i + 1 where it has no end. */
static size_t behind_set(const char *s, size_t len, size_t i)
{
	size_t k = i + 1;

	k += k < len && s[k] == '!';
	k += k < len && s[k] == ']';
	while (k < len && s[k] != ']')
		k++;
	return k < len ? k + 1 : i + 1;
}

/* The first '{' and its '}'; false: there is none, or it has no end. */
static bool braces(const char *s, size_t len, size_t *ret_from, size_t *ret_to)
{
	size_t depth = 0, from = 0;

	for (size_t i = 0; i < len;) {
		if (s[i] == '[') {
			i = behind_set(s, len, i);
			continue;
		}
		if (s[i] == '{' && depth++ == 0)
			from = i;
		if (s[i] == '}' && depth && --depth == 0) {
			*ret_from = from;
			*ret_to = i;
			return true;
		}
		i++;
	}
	return false;
}

/* {a,b} becomes one pattern with a and one with b. Each step takes a pair of
   braces away, so it ends. */
static int expand(struct parser *p, struct herd_rule *rule, const char *s,
		  size_t len)
{
	char text[HERD_RULE_PATTERN_MAX];
	size_t from = 0, to = 0, at, depth = 0;
	int err = 0;

	if (len > sizeof(text))
		return wrong(p, -EINVAL, "a pattern of more than %zu bytes",
			     sizeof(text));
	if (!braces(s, len, &from, &to))
		return add_pattern(p, rule, s, len);
	at = from + 1;
	for (size_t i = at; i <= to && !err; i++) {
		size_t n = i - at;

		if (s[i] == '{')
			depth++;
		if (s[i] == '}' && depth && i < to)
			depth--;
		if (depth || (i < to && s[i] != ','))
			continue;
		memcpy(text, s, from);
		memcpy(text + from, s + at, n);
		memcpy(text + from + n, s + to + 1, len - to - 1);
		err = expand(p, rule, text, from + n + len - to - 1);
		at = i + 1;
	}
	return err;
}

/* ---- words of a rule ---- */

struct word {
	const char *name;
	unsigned bit;
};

static const struct word type_words[] = {
	{ "file", HERD_TYPE_FILE },   { "dir", HERD_TYPE_DIR },
	{ "link", HERD_TYPE_LINK },   { "device", HERD_TYPE_DEVICE },
	{ "other", HERD_TYPE_OTHER }, { NULL, 0 },
};

static const struct word fact_words[] = {
	{ "setuid", HERD_FACT_SETUID },
	{ "setgid", HERD_FACT_SETGID },
	{ "capability", HERD_FACT_CAPABILITY },
	{ "executable", HERD_FACT_EXECUTABLE },
	{ "script", HERD_FACT_SCRIPT },
	{ "elf", HERD_FACT_ELF },
	{ "shrunk", HERD_FACT_SHRUNK },
	{ "empty", HERD_FACT_EMPTY },
	{ "null", HERD_FACT_NULL },
	{ "open", HERD_FACT_OPEN },
	{ "hidden", HERD_FACT_HIDDEN },
	{ "root", HERD_FACT_ROOT },
	{ "steady", HERD_FACT_STEADY },
	{ NULL, 0 },
};

/* One of the words, 0 when it is none; words NULL: a reason of the verdict. */
static unsigned bit_of(const struct word *words, const char *s, size_t len)
{
	if (!words) {
		for (unsigned bit = 1; herd_reason_name(bit); bit <<= 1)
			if (strlen(herd_reason_name(bit)) == len &&
			    memcmp(herd_reason_name(bit), s, len) == 0)
				return bit;
		return 0;
	}
	for (; words->name; words++)
		if (strlen(words->name) == len &&
		    memcmp(words->name, s, len) == 0)
			return words->bit;
	return 0;
}

/* "a,b,!c"; ret_not NULL: no '!' is allowed. */
static int word_list(struct parser *p, const struct word *words, const char *s,
		     unsigned *ret, unsigned *ret_not)
{
	for (;;) {
		size_t len = strcspn(s, ",");
		bool inverse = ret_not && *s == '!';
		unsigned bit = bit_of(words, s + inverse, len - inverse);

		if (!bit)
			return wrong(p, -EINVAL, "'%.*s' is not known here",
				     (int)(len < 40 ? len : 40), s);
		*(inverse ? ret_not : ret) |= bit;
		if (!s[len])
			return 0;
		s += len + 1;
	}
}

static int category_of(struct parser *p, const char *name, uint32_t *ret)
{
	for (size_t i = 0; i < p->r->n_categories; i++) {
		if (strcmp(p->r->categories[i].name, name) == 0) {
			*ret = (uint32_t)i;
			return 0;
		}
	}
	return wrong(p, -EINVAL,
		     "no category '%.40s'; declare it with "
		     "'category NAME \"what it holds\"'",
		     name);
}

/* T1053 or T1053.003; "-" for none. */
static int technique_of(struct parser *p, const char *s, char ret[12])
{
	static const char shape[] = "T0000.000";
	size_t len = strlen(s);
	bool fits = len == 5 || len == 9;

	ret[0] = '\0';
	if (strcmp(s, "-") == 0)
		return 0;
	for (size_t i = 0; fits && i < len; i++)
		fits = shape[i] == '0' ? s[i] >= '0' && s[i] <= '9' :
					 s[i] == shape[i];
	if (!fits)
		return wrong(p, -EINVAL,
			     "'%.40s' is no technique: T1053.003, "
			     "or - for none",
			     s);
	memcpy(ret, s, len + 1);
	return 0;
}

/* A number up to 100, then what follows it. */
static const char *percent(const char *s, uint8_t *ret)
{
	unsigned n = 0;
	const char *from = s;

	while (*s >= '0' && *s <= '9' && s - from < 3)
		n = n * 10 + (unsigned)(*s++ - '0');
	if (s == from || n > 100)
		return NULL;
	*ret = (uint8_t)n;
	return s;
}

/* "60" or "60..90". */
static int severity_of(struct parser *p, const char *s, struct herd_rule *rule)
{
	const char *rest = percent(s, &rule->severity);

	rule->loud_severity = rule->severity;
	if (rest && strncmp(rest, "..", 2) == 0)
		rest = percent(rest + 2, &rule->loud_severity);
	if (!rest || *rest || rule->loud_severity < rule->severity)
		return wrong(p, -EINVAL,
			     "'%.40s' is no severity: 60, or "
			     "60..90, up to 100",
			     s);
	return 0;
}

static int text_of(struct parser *p, const char *s, char **to)
{
	if (*to)
		return wrong(p, -EINVAL, "said twice");
	if (!*s || strlen(s) > TEXT_MAX_LEN)
		return wrong(p, -EINVAL, "a text has 1 to %d bytes",
			     TEXT_MAX_LEN);
	*to = strdup(s);
	return *to ? 0 : -ENOMEM;
}

static int option(struct parser *p, struct herd_rule *rule, const char *s)
{
	const char *value = strchr(s, '=');
	size_t len = value ? (size_t)(value - s) : 0;
	int err;

	if (!value)
		return wrong(p, -EINVAL, "'%.40s' is not understood", s);
	value++;
	if (len == 4 && !memcmp(s, "type", len))
		return word_list(p, type_words, value, &rule->types, NULL);
	if (len == 6 && !memcmp(s, "change", len))
		return word_list(p, NULL, value, &rule->changes, NULL);
	if (len == 2 && !memcmp(s, "if", len))
		return word_list(p, fact_words, value, &rule->facts,
				 &rule->not_facts);
	if (len == 3 && !memcmp(s, "why", len))
		return text_of(p, value, &rule->why);
	if (len == 3 && !memcmp(s, "has", len)) {
		err = text_of(p, value, &rule->has);
		rule->has_len = err ? 0 : strlen(rule->has);
		return err;
	}
	if (len == 6 && !memcmp(s, "differ", len)) {
		rule->differ = herd_differ_find(value, strlen(value));
		if (rule->differ)
			return 0;
	}
	return wrong(p, -EINVAL, "'%.40s' is not understood", s);
}

static int rule_line(struct parser *p)
{
	struct herd_rules *r = p->r;
	struct herd_rule rule = { .first = (uint32_t)r->n_patterns,
				  .file = (uint32_t)r->n_files - 1,
				  .line = p->line,
				  .differ = herd_differ_find("auto", 4) };
	int err;

	if (p->n < 4)
		return wrong(p, -EINVAL,
			     "a rule is: path category technique "
			     "severity");
	if (r->n_rules == RULES_MAX)
		return wrong(p, -EOVERFLOW, "more than %d rules", RULES_MAX);
	err = grow(&r->rules, r->n_rules, sizeof(*r->rules));
	if (!err)
		err = expand(p, &rule, p->tokens[0].text, p->tokens[0].len);
	if (!err)
		err = category_of(p, p->tokens[1].text, &rule.category);
	if (!err)
		err = technique_of(p, p->tokens[2].text, rule.technique);
	if (!err)
		err = severity_of(p, p->tokens[3].text, &rule);
	for (size_t i = 4; i < p->n && !err; i++)
		err = option(p, &rule, p->tokens[i].text);
	if (err) {
		free(rule.has);
		free(rule.why);
		return err;
	}
	r->rules[r->n_rules++] = rule;
	return 0;
}

/* category NAME ["what it holds"]; once more changes the text. */
static int category_line(struct parser *p)
{
	struct herd_rules *r = p->r;
	const char *name = p->n > 1 ? p->tokens[1].text : "";
	const char *text = p->n > 2 ? p->tokens[2].text : "";
	size_t len = strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789-");
	struct herd_category c = { NULL, NULL };
	int err;

	if (!len || name[len] || len > NAME_MAX_LEN || p->n > 3 ||
	    strlen(text) > TEXT_MAX_LEN)
		return wrong(p, -EINVAL,
			     "a category is: category name \"what "
			     "it holds\"");
	for (size_t i = 0; i < r->n_categories; i++)
		if (strcmp(r->categories[i].name, name) == 0)
			return 0;
	if (r->n_categories == CATEGORIES_MAX)
		return wrong(p, -EOVERFLOW, "more than %d categories",
			     CATEGORIES_MAX);
	err = grow(&r->categories, r->n_categories, sizeof(*r->categories));
	if (err)
		return err;
	c.name = strdup(name);
	c.text = strdup(text);
	if (!c.name || !c.text) {
		free((char *)c.name);
		free((char *)c.text);
		return -ENOMEM;
	}
	r->categories[r->n_categories++] = c;
	return 0;
}

/* ---- a text ---- */

static int line_of(struct parser *p, const char *s, size_t len)
{
	int err;

	if (len > LINE_MAX_LEN)
		return wrong(p, -EINVAL, "more than %d bytes", LINE_MAX_LEN);
	if (memchr(s, 0, len))
		return wrong(p, -EINVAL, "a NUL byte");
	memcpy(p->text, s, len);
	p->text[len] = '\0';
	err = tokens(p);
	if (err || !p->n)
		return err;
	if (strcmp(p->tokens[0].text, "category") == 0)
		return category_line(p);
	return rule_line(p);
}

static int add_file(struct parser *p)
{
	struct herd_rules *r = p->r;

	if (r->n_files == FILES_MAX)
		return wrong(p, -EOVERFLOW, "more than %d files", FILES_MAX);
	if (grow(&r->files, r->n_files, sizeof(*r->files)))
		return -ENOMEM;
	r->files[r->n_files] = strdup(p->name);
	if (!r->files[r->n_files])
		return -ENOMEM;
	r->n_files++;
	return 0;
}

int herd_rules_parse(struct herd_rules *into, const char *name,
		     const char *text, size_t len, struct herd_diag *diag)
{
	struct herd_rules before = *into;
	struct parser *p CLEANUP_FREE = calloc(1, sizeof(*p));
	int err;

	if (!p)
		return -ENOMEM;
	*p = (struct parser){ .r = into, .diag = diag, .name = name };
	err = add_file(p);
	for (size_t at = 0; at < len && !err;) {
		const char *end = memchr(text + at, '\n', len - at);
		size_t n = end ? (size_t)(end - text) - at : len - at;

		p->offset = at;
		p->line++;
		err = line_of(p, text + at, n);
		at += n + 1;
	}
	if (!err)
		err = herd_rules_index(into);
	if (err)
		shrink(into, &before);
	return err;
}

int herd_rules_parse_builtin(struct herd_rules *into, struct herd_diag *diag)
{
	size_t len;
	const char *text = herd_rules_builtin_text(&len);

	return herd_rules_parse(into, "rules.conf", text, len, diag);
}
