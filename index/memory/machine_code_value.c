/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Values, strings and arrays of a machine as bytes; see
 * machine_code_internal.h.
 *
 * A string is a number: 0 the empty one, 1 a new one that follows, 2 a new one
 * in a folder (the folder as a string, then the name), else one met before.
 * The folder counts as met, too.
 */
#include "index/memory/machine_code_internal.h"

#include <string.h>

enum { EMPTY, NEW, IN_FOLDER, MET };

void herd_code_bad(struct herd_code *c)
{
	if (!c->err)
		c->err = herd_code_reads(c) ? -EBADMSG : -EINVAL;
}

/* ---- numbers ---- */

void herd_code_u64(struct herd_code *c, uint64_t *v)
{
	uint64_t got;

	if (c->err)
		return;
	if (!herd_code_reads(c)) {
		herd_buf_varint(c->out, *v);
		return;
	}
	got = herd_cur_varint(&c->in);
	if (c->in.bad)
		herd_code_bad(c);
	else
		*v = got;
}

static void number(struct herd_code *c, uint64_t *v, uint64_t max)
{
	herd_code_u64(c, v);
	if (!c->err && *v > max) {
		herd_code_bad(c);
		*v = 0;
	}
}

#define NUMBER(name, type, max)                              \
	void herd_code_##name(struct herd_code *c, type *v)  \
	{                                                    \
		uint64_t wide = herd_code_reads(c) ? 0 : *v; \
                                                             \
		number(c, &wide, max);                       \
		if (herd_code_reads(c) && !c->err)           \
			*v = (type)wide;                     \
	}
NUMBER(u32, uint32_t, UINT32_MAX)
NUMBER(u16, uint16_t, UINT16_MAX)
NUMBER(u8, uint8_t, UINT8_MAX)

void herd_code_i64(struct herd_code *c, int64_t *v)
{
	uint64_t zigzag = herd_code_reads(c) ?
				  0 :
				  (uint64_t)*v << 1 ^ (uint64_t)(*v >> 63);

	herd_code_u64(c, &zigzag);
	if (herd_code_reads(c) && !c->err)
		*v = (int64_t)(zigzag >> 1) ^ -(int64_t)(zigzag & 1);
}

void herd_code_i32(struct herd_code *c, int32_t *v)
{
	int64_t wide = herd_code_reads(c) ? 0 : *v;

	herd_code_i64(c, &wide);
	if (!herd_code_reads(c) || c->err)
		return;
	herd_code_check(c, wide >= INT32_MIN && wide <= INT32_MAX);
	*v = c->err ? 0 : (int32_t)wide;
}

void herd_code_char(struct herd_code *c, char *v)
{
	uint8_t byte = (uint8_t)*v;

	herd_code_u8(c, &byte);
	*v = (char)byte;
}

void herd_code_bools(struct herd_code *c, bool *const *v)
{
	uint8_t byte = 0;
	unsigned n = 0;

	for (; v[n]; n++)
		if (!herd_code_reads(c))
			byte |= (uint8_t)((unsigned)*v[n] << n);
	herd_code_u8(c, &byte);
	if (!herd_code_reads(c) || c->err)
		return;
	herd_code_check(c, n >= 8 || byte >> n == 0);
	for (unsigned i = 0; i < n; i++)
		*v[i] = byte >> i & 1;
}

void herd_code_below(struct herd_code *c, uint32_t *v, uint32_t max)
{
	herd_code_u32(c, v);
	herd_code_check(c, *v < max);
	if (c->err)
		*v = 0;
}

void herd_code_index(struct herd_code *c, uint32_t *v, size_t n)
{
	uint64_t up = *v == HERD_NO_INDEX ? 0 : (uint64_t)*v + 1;

	number(c, &up, n);
	if (herd_code_reads(c) && !c->err)
		*v = up ? (uint32_t)(up - 1) : HERD_NO_INDEX;
}

void herd_code_address(struct herd_code *c, uint64_t *v, uint64_t *last)
{
	const uint64_t low = 0xfff;
	int64_t pages = 0;
	uint64_t code = 0, rest = 0;

	if (!herd_code_reads(c)) {
		pages = (int64_t)(*v >> 12) - (int64_t)(*last >> 12);
		rest = *v & low;
		code = ((uint64_t)pages << 1 ^ (uint64_t)(pages >> 63)) << 1 |
		       (rest != 0);
	}
	herd_code_u64(c, &code);
	if (code & 1)
		number(c, &rest, low);
	if (herd_code_reads(c) && !c->err) {
		pages = (int64_t)(code >> 2) ^ -(int64_t)(code >> 1 & 1);
		*v = ((*last >> 12) + (uint64_t)pages) << 12 | rest;
	}
	*last = *v;
}

void herd_code_flags(struct herd_code *c, uint64_t *v)
{
	uint64_t at = 0;

	if (!herd_code_reads(c))
		while (at < c->n_flags && c->flags[at] != *v)
			at++;
	number(c, &at, c->n_flags);
	if (c->err)
		return;
	if (at < c->n_flags) {
		*v = c->flags[at];
		return;
	}
	herd_code_u64(c, v);
	if (!c->err && c->n_flags < ARRAY_SIZE(c->flags))
		c->flags[c->n_flags++] = *v;
}

void herd_code_bytes(struct herd_code *c, void *v, size_t len)
{
	if (c->err)
		return;
	if (!herd_code_reads(c)) {
		herd_buf_put(c->out, v, len);
		return;
	}
	herd_cur_copy(&c->in, v, len);
	if (c->in.bad)
		herd_code_bad(c);
}

/* ---- strings ---- */

static void put_string(struct herd_code *c, const char *p, size_t len,
		       bool path)
{
	const char *slash = path && len > 1 ? memrchr(p, '/', len) : NULL;
	uint32_t id;

	if (c->err)
		return;
	if (!len) {
		herd_buf_varint(c->out, EMPTY);
		return;
	}
	id = herd_strings_find(&c->strings, p, len);
	if (id != HERD_STRING_NONE) {
		herd_buf_varint(c->out, MET + (uint64_t)id);
		return;
	}
	if (slash && slash > p && *p == '/') {
		herd_buf_varint(c->out, IN_FOLDER);
		put_string(c, p, (size_t)(slash - p), false);
		herd_buf_varint(c->out, len - (size_t)(slash - p));
		herd_buf_put(c->out, slash, len - (size_t)(slash - p));
	} else {
		herd_buf_varint(c->out, NEW);
		herd_buf_varint(c->out, len);
		herd_buf_put(c->out, p, len);
	}
	if (!c->err)
		c->err = herd_strings_put(&c->strings, p, len, &id);
}

static struct herd_string get_string(struct herd_code *c, bool path);

/* A new one, with what is to stand before it. */
static struct herd_string get_new(struct herd_code *c,
				  struct herd_string before)
{
	uint64_t len = herd_cur_varint(&c->in);
	const void *p = herd_cur_bytes(&c->in, len);

	if (!p || !len || len > HERD_ARGS_MAX || memchr(p, '\0', len) ||
	    before.len + len > HERD_ARGS_MAX ||
	    c->strings.bytes + before.len + len > HERD_CODE_STRINGS_MAX)
		herd_code_bad(c);
	if (!c->err)
		c->err = herd_strings_append(&c->strings, before.p, before.len,
					     p, len);
	return c->err ? (struct herd_string){ "", 0 } :
			c->strings.v[c->strings.n - 1];
}

static struct herd_string get_string(struct herd_code *c, bool path)
{
	struct herd_string none = { "", 0 };
	uint64_t what = c->err ? EMPTY : herd_cur_varint(&c->in);

	if (c->in.bad || (!path && what == IN_FOLDER))
		herd_code_bad(c);
	if (c->err || what == EMPTY)
		return none;
	if (what == NEW)
		return get_new(c, none);
	if (what == IN_FOLDER)
		return get_new(c, get_string(c, false));
	if (what - MET < c->strings.n)
		return c->strings.v[what - MET];
	herd_code_bad(c);
	return none;
}

/* What a string takes when decoded is counted. */
static struct herd_string read_string(struct herd_code *c)
{
	struct herd_string s = get_string(c, true);

	c->string_bytes += s.len + 1;
	if (c->string_bytes > HERD_CODE_STRINGS_MAX && !c->err)
		c->err = -EOVERFLOW;
	return c->err ? (struct herd_string){ "", 0 } : s;
}

void herd_code_string(struct herd_code *c, char **v)
{
	struct herd_string s;

	if (c->err)
		return;
	if (!herd_code_reads(c)) {
		size_t len = *v ? strlen(*v) : 0;

		if (len > HERD_ARGS_MAX)
			c->err = -EOVERFLOW;
		put_string(c, *v, len, true);
		return;
	}
	s = read_string(c);
	if (c->err)
		return;
	*v = malloc(s.len + 1);
	if (!*v)
		c->err = -ENOMEM;
	else
		memcpy(*v, s.p, s.len + 1);
}

void herd_code_text(struct herd_code *c, char *v, size_t size)
{
	struct herd_string s;

	if (c->err)
		return;
	if (!herd_code_reads(c)) {
		put_string(c, v, strnlen(v, size - 1), true);
		return;
	}
	s = read_string(c);
	herd_code_check(c, s.len < size);
	if (!c->err)
		memcpy(v, s.p, s.len + 1);
}

static void put_blob(struct herd_code *c, const char *p, size_t n)
{
	for (size_t at = 0; at <= n; at++) {
		size_t len = strnlen(p + at, n - at);

		put_string(c, p + at, len, false);
		at += len;
	}
}

static void get_blob(struct herd_code *c, char *p, size_t n)
{
	for (size_t at = 0; at <= n; at++) {
		struct herd_string s = read_string(c);

		herd_code_check(c, s.len <= n - at);
		if (c->err)
			return;
		memcpy(p + at, s.p, s.len);
		at += s.len;
	}
}

void herd_code_blob(struct herd_code *c, char **v, size_t *n)
{
	uint64_t len = herd_code_reads(c) ? 0 : *n;

	number(c, &len, HERD_ARGS_MAX);
	if (c->err)
		return;
	if (herd_code_reads(c)) {
		c->string_bytes += len + 1;
		if (c->string_bytes > HERD_CODE_STRINGS_MAX)
			c->err = -EOVERFLOW;
		*v = c->err ? NULL : calloc(1, len + 1);
		if (!*v) {
			c->err = c->err ? c->err : -ENOMEM;
			return;
		}
		*n = len;
	}
	if (!len)
		return;
	if (herd_code_reads(c))
		get_blob(c, *v, len);
	else
		put_blob(c, *v, len);
}

/* ---- arrays ---- */

bool herd_code_array(struct herd_code *c, void **v, size_t *n, size_t size,
		     size_t max, size_t least)
{
	uint64_t count = herd_code_reads(c) ? 0 : *n;

	if (!c->err && count > max)
		c->err = -EOVERFLOW;
	number(c, &count, max);
	if (c->err || !count)
		return false;
	if (!herd_code_reads(c))
		return true;
	if (count > herd_cur_left(&c->in) / least) {
		herd_code_bad(c);
		return false;
	}
	*v = calloc(count, size);
	if (!*v) {
		c->err = -ENOMEM;
		return false;
	}
	*n = count;
	return true;
}
