/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The text is copied once and cut up in place: keys and values point into that
 * copy, so that one memset wipes all of them. A line that goes on with a value
 * is moved up behind it; it only ever gets shorter.
 */
#include "acquire/aws/ini.h"

#include "acquire/base/cleanup.h"

#include <ctype.h>
#include <stdint.h>
#include <string.h>

struct section {
	char *raw; /* own; the others point into it or the text */
	const char *kind, *name;
};

struct entry {
	size_t section;
	char *key, *sub, *value; /* sub NULL: not of a block */
};

struct herd_ini {
	char *text;
	size_t len;
	struct section *sections;
	size_t n_sections, cap_sections;
	struct entry *entries;
	size_t n_entries, cap_entries;
};

struct parser {
	struct herd_ini *ini;
	bool in_section, in_key;
	size_t key;    /* the entry that an indented line belongs to */
	size_t indent; /* that of its key */
};

/* ---- memory ---- */

void herd_ini_destroy(struct herd_ini *ini)
{
	if (!ini)
		return;
	if (ini->text)
		explicit_bzero(ini->text, ini->len);
	for (size_t i = 0; i < ini->n_sections; i++)
		free(ini->sections[i].raw);
	free(ini->text);
	free(ini->sections);
	free(ini->entries);
	free(ini);
}

static void cleanup_ini(struct herd_ini **ini)
{
	herd_ini_destroy(*ini);
}

/* Room for one more of an array. */
static int grow(void *array, size_t n, size_t *cap, size_t size)
{
	void **p = array;
	size_t to = *cap ? *cap * 2 : 16;

	if (n < *cap)
		return 0;
	void *more = reallocarray(*p, to, size);

	if (!more)
		return -ENOMEM;
	*p = more;
	*cap = to;
	return 0;
}

static int add_entry(struct parser *p, char *key, char *sub, char *value)
{
	struct herd_ini *ini = p->ini;
	int err = grow(&ini->entries, ini->n_entries, &ini->cap_entries,
		       sizeof(*ini->entries));

	if (err)
		return err;
	ini->entries[ini->n_entries++] = (struct entry){
		.section = ini->n_sections - 1,
		.key = key,
		.sub = sub,
		.value = value,
	};
	return 0;
}

/* ---- words ---- */

static bool is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\v' || c == '\f';
}

static char *skip_blanks(char *s)
{
	while (is_blank(*s))
		s++;
	return s;
}

static void trim_end(char *s)
{
	size_t n = strlen(s);

	while (n && is_blank(s[n - 1]))
		s[--n] = '\0';
}

static void lower(char *s)
{
	for (; *s; s++)
		*s = (char)tolower((unsigned char)*s);
}

/* Cuts s at its first '=' (or ':' too), gives what follows, both trimmed. */
static char *split(char *s, const char *at)
{
	char *value = s + strcspn(s, at);

	if (!*value || value == s)
		return NULL;
	*value++ = '\0';
	trim_end(s);
	lower(s);
	return *s ? skip_blanks(value) : NULL;
}

/* ---- lines ---- */

/* [kind name], [kind "name"] or [name]; what follows the bracket is ignored. */
static int parse_section(struct parser *p, char *line)
{
	struct herd_ini *ini = p->ini;
	char *end = strchr(line, ']');
	char *kind = skip_blanks(line + 1);

	if (!end)
		return -EBADMSG;
	*end = '\0';
	trim_end(kind);
	if (!*kind)
		return -EBADMSG;

	int err = grow(&ini->sections, ini->n_sections, &ini->cap_sections,
		       sizeof(*ini->sections));
	char *raw = err ? NULL : strdup(kind);

	if (!raw)
		return -ENOMEM;

	char *name = kind + strcspn(kind, " \t");

	if (*name) {
		*name++ = '\0';
		name = skip_blanks(name);
		size_t n = strlen(name);

		if (n > 1 && (*name == '"' || *name == '\'') &&
		    name[n - 1] == *name) {
			name[n - 1] = '\0';
			name++;
		}
	} else {
		name = kind;
		kind = name + strlen(name);
	}
	ini->sections[ini->n_sections++] = (struct section){
		.raw = raw,
		.kind = kind,
		.name = name,
	};
	p->in_section = true;
	p->in_key = false;
	return 0;
}

/* More of the value of the key above, or a key of its block. */
static int parse_more(struct parser *p, char *line)
{
	struct entry *e = &p->ini->entries[p->key];
	size_t n = strlen(e->value), more = strlen(line);

	if (!n) {
		char *value = split(line, "=");

		return value ? add_entry(p, e->key, line, value) : -EBADMSG;
	}
	/* at least a line's end lies between: there is room */
	e->value[n] = '\n';
	memmove(e->value + n + 1, line, more + 1);
	return 0;
}

static int parse_line(struct parser *p, char *line)
{
	char *text = skip_blanks(line);
	size_t indent = (size_t)(text - line);

	trim_end(text);
	if (!*text || *text == '#' || *text == ';')
		return 0;
	if (p->in_key && indent > p->indent)
		return parse_more(p, text);
	p->indent = indent;
	if (*text == '[')
		return parse_section(p, text);
	if (!p->in_section)
		return -EBADMSG;

	char *value = split(text, "=:");
	int err = value ? add_entry(p, text, NULL, value) : -EBADMSG;

	p->key = p->ini->n_entries - 1;
	p->in_key = !err;
	return err;
}

int herd_ini_parse(const void *text, size_t len, struct herd_ini **ret,
		   unsigned *ret_line)
{
	CLEANUP(cleanup_ini) struct herd_ini *ini = calloc(1, sizeof(*ini));
	struct parser p = { .ini = ini };
	static const char mark[] = "\xef\xbb\xbf";
	unsigned n = 0;

	*ret_line = 0;
	if (len > HERD_INI_MAX)
		return -EOVERFLOW;
	if (!ini || !(ini->text = malloc(len + 1)))
		return -ENOMEM;
	ini->len = len;
	if (len)
		memcpy(ini->text, text, len);
	ini->text[len] = '\0';

	char *line = ini->text, *end = ini->text + len;

	if (len >= 3 && !memcmp(line, mark, 3))
		line += 3;
	while (line < end) {
		char *next = memchr(line, '\n', (size_t)(end - line));
		int err;

		if (!next)
			next = end;
		*next = '\0';
		*ret_line = ++n;
		err = strlen(line) == (size_t)(next - line) ?
			      parse_line(&p, line) :
			      -EBADMSG;
		if (err)
			return err;
		line = next + 1;
	}
	*ret_line = 0;
	*ret = TAKE_PTR(ini);
	return 0;
}

/* ---- looking up ---- */

static bool is_section(const struct section *s, const char *kind,
		       const char *name)
{
	if (!kind)
		return !strcmp(s->raw, name);
	return !strcmp(s->kind, kind) && !strcmp(s->name, name);
}

bool herd_ini_has(const struct herd_ini *ini, const char *kind,
		  const char *name)
{
	for (size_t i = 0; ini && i < ini->n_sections; i++)
		if (is_section(&ini->sections[i], kind, name))
			return true;
	return false;
}

const char *herd_ini_get(const struct herd_ini *ini, const char *kind,
			 const char *name, const char *key, const char *sub)
{
	for (size_t i = ini ? ini->n_entries : 0; i-- > 0;) {
		const struct entry *e = &ini->entries[i];

		if (!strcmp(e->key, key) && !e->sub == !sub &&
		    (!sub || !strcmp(e->sub, sub)) &&
		    is_section(&ini->sections[e->section], kind, name))
			return e->value;
	}
	return NULL;
}

void herd_ini_forget(struct herd_ini *ini, const char *key)
{
	for (size_t i = 0; ini && i < ini->n_entries; i++)
		if (!strcmp(ini->entries[i].key, key))
			explicit_bzero(ini->entries[i].value,
				       strlen(ini->entries[i].value));
}
