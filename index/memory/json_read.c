/* SPDX-License-Identifier: Apache-2.0 */
#include "index/memory/json_read.h"

#include <string.h>

static char peek(struct herd_js *j)
{
	while (!j->bad && j->p < j->end &&
	       (*j->p == ' ' || *j->p == '\n' || *j->p == '\t' ||
		*j->p == '\r'))
		j->p++;
	if (j->bad || j->p == j->end) {
		j->bad = true;
		return '\0';
	}
	return *j->p;
}

static bool enter(struct herd_js *j, char open)
{
	if (peek(j) != open) {
		herd_js_skip(j);
		return false;
	}
	if (j->depth == HERD_JS_DEPTH_MAX) {
		j->bad = true;
		return false;
	}
	j->p++;
	j->depth++;
	j->first = true;
	return true;
}

bool herd_js_object(struct herd_js *j)
{
	return enter(j, '{');
}

bool herd_js_array(struct herd_js *j)
{
	return enter(j, '[');
}

/* Past the comma to the next item; false: past the closing one. */
static bool item(struct herd_js *j, char close)
{
	char c = peek(j);

	if (c == close) {
		j->p++;
		j->depth--;
		j->first = false;
		return false;
	}
	if (!j->first) {
		if (c != ',') {
			j->bad = true;
			return false;
		}
		j->p++;
		peek(j);
	}
	j->first = false;
	return !j->bad;
}

bool herd_js_next(struct herd_js *j)
{
	return item(j, ']');
}

static int hex(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* The character of an escape, of which the backslash is read. Above Latin-1: '?'. */
static char escaped(struct herd_js *j)
{
	static const char from[] = "nrtbf", to[] = "\n\r\t\b\f";
	char c = *j->p++;
	const char *at = strchr(from, c);
	int code = 0;

	if (c && at)
		return to[at - from];
	if (c != 'u')
		return c;
	for (int i = 0; i < 4; i++) {
		int digit = j->p < j->end ? hex(*j->p) : -1;

		if (digit < 0) {
			j->bad = true;
			return '\0';
		}
		code = code * 16 + digit;
		j->p++;
	}
	return code && code < 256 ? (char)code : '?';
}

bool herd_js_string(struct herd_js *j, char *ret, size_t max)
{
	size_t len = 0;

	*ret = '\0';
	if (peek(j) != '"') {
		herd_js_skip(j);
		return false;
	}
	j->p++;
	while (j->p < j->end && *j->p != '"') {
		char c = *j->p++;

		if (c == '\\') {
			if (j->p == j->end)
				break;
			c = escaped(j);
		}
		if (len < max - 1)
			ret[len++] = c;
	}
	if (j->p == j->end)
		j->bad = true;
	else
		j->p++;
	ret[len] = '\0';
	return !j->bad;
}

bool herd_js_key(struct herd_js *j, char *ret, size_t max)
{
	if (!item(j, '}'))
		return false;
	if (peek(j) != '"' || !herd_js_string(j, ret, max) || peek(j) != ':') {
		j->bad = true;
		return false;
	}
	j->p++;
	return true;
}

bool herd_js_int(struct herd_js *j, int64_t *ret)
{
	char c = peek(j);
	bool minus = c == '-';
	const char *start;
	uint64_t v = 0;

	if (!minus && (c < '0' || c > '9')) {
		herd_js_skip(j);
		return false;
	}
	j->p += minus;
	for (start = j->p; j->p < j->end && *j->p >= '0' && *j->p <= '9';
	     j->p++)
		v = v * 10 + (uint64_t)(*j->p - '0');
	/* a fraction or an exponent is no integer */
	if (j->p == start || (j->p < j->end && strchr(".eE", *j->p) && *j->p)) {
		j->p = start;
		herd_js_skip(j);
		return false;
	}
	*ret = (int64_t)(minus ? 0 - v : v);
	return true;
}

bool herd_js_bool(struct herd_js *j, bool *ret)
{
	char c = peek(j);

	if (c == 't' || c == 'f')
		*ret = c == 't';
	herd_js_skip(j);
	return !j->bad && (c == 't' || c == 'f');
}

static void skip_string(struct herd_js *j)
{
	j->p++;
	while (j->p < j->end && *j->p != '"')
		j->p += *j->p == '\\' && j->end - j->p > 1 ? 2 : 1;
	if (j->p == j->end)
		j->bad = true;
	else
		j->p++;
}

/* Brackets are counted, not matched: what is skipped is not judged. */
void herd_js_skip(struct herd_js *j)
{
	int depth = 0;

	do {
		char c = peek(j);

		if (j->bad)
			return;
		if (c == '"') {
			skip_string(j);
		} else if (c == '{' || c == '[') {
			depth++;
			j->p++;
		} else if (c == '}' || c == ']') {
			if (!depth) {
				j->bad = true; /* no value at all */
				return;
			}
			depth--;
			j->p++;
		} else if (c == ',' || c == ':') {
			if (!depth) {
				j->bad = true;
				return;
			}
			j->p++;
		} else {
			const char *start = j->p;

			while (j->p < j->end &&
			       !strchr(" \n\t\r,:]}[{\"", *j->p))
				j->p++;
			/* a NUL is in strchr's set */
			if (j->p == start)
				j->bad = true;
		}
	} while (depth && !j->bad);
}
