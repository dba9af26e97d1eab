/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The punctuation is written here, the values by jansson, one at a time.
 * Threads: a writer belongs to one thread.
 */
#include "index/json.h"

#include <assert.h>
#include <jansson.h>
#include <string.h>

size_t herd_utf8(const uint8_t *p, size_t len, uint32_t *ret_code)
{
	static const uint32_t least[] = { 0, 0, 0x80, 0x800, 0x10000 };
	size_t n = p[0] < 0x80 ? 1 : (p[0] & 0xe0) == 0xc0 ? 2 :
		   (p[0] & 0xf0) == 0xe0 ? 3 : (p[0] & 0xf8) == 0xf0 ? 4 : 0;
	uint32_t code = n == 1 ? p[0] : p[0] & (0x7fu >> n);

	if (!n || n > len)
		return 0;
	for (size_t i = 1; i < n; i++) {
		if ((p[i] & 0xc0) != 0x80)
			return 0;
		code = code << 6 | (p[i] & 0x3f);
	}
	if (n > 1 && (code < least[n] || code > 0x10ffff ||
		      (code >= 0xd800 && code < 0xe000)))
		return 0;
	if (ret_code)
		*ret_code = code;
	return n;
}

void herd_json_begin(struct herd_json *j, struct herd_buf *out,
		     unsigned indented)
{
	*j = (struct herd_json){ .out = out, .indented = indented };
}

int herd_json_finish(struct herd_json *j)
{
	assert(j->depth == 0);
	herd_buf_u8(j->out, '\n');
	return j->failed ? -ENOMEM : herd_buf_error(j->out);
}

static int append(const char *text, size_t len, void *out)
{
	herd_buf_put(out, text, len);
	return 0;
}

/* Takes v over. */
static void put(struct herd_json *j, json_t *v)
{
	if (!v || json_dump_callback(v, append, j->out, JSON_ENCODE_ANY) != 0)
		j->failed = true;
	json_decref(v);
}

static void new_line(struct herd_json *j)
{
	herd_buf_u8(j->out, '\n');
	for (unsigned i = 0; i < j->depth; i++)
		herd_buf_put(j->out, "  ", 2);
}

static void next(struct herd_json *j, const char *key)
{
	if (j->depth == 0)
		return;
	struct herd_json_level *level = &j->levels[j->depth - 1];

	assert(level->array == !key);
	if (level->filled)
		herd_buf_u8(j->out, ',');
	if (j->depth <= j->indented)
		new_line(j);
	else if (level->filled)
		herd_buf_u8(j->out, ' ');
	level->filled = true;
	if (key) {
		put(j, json_string(key));
		herd_buf_put(j->out, ": ", 2);
	}
}

static void open_level(struct herd_json *j, const char *key, bool array)
{
	next(j, key);
	assert(j->depth < HERD_JSON_DEPTH_MAX);
	j->levels[j->depth++] = (struct herd_json_level){ .array = array };
	herd_buf_u8(j->out, array ? '[' : '{');
}

void herd_json_object(struct herd_json *j, const char *key)
{
	open_level(j, key, false);
}

void herd_json_array(struct herd_json *j, const char *key)
{
	open_level(j, key, true);
}

void herd_json_end(struct herd_json *j)
{
	assert(j->depth > 0);
	struct herd_json_level level = j->levels[--j->depth];

	if (level.filled && j->depth < j->indented)
		new_line(j);
	herd_buf_u8(j->out, level.array ? ']' : '}');
}

void herd_json_uint(struct herd_json *j, const char *key, uint64_t value)
{
	next(j, key);
	/* jansson's numbers are signed */
	herd_buf_printf(j->out, "%llu", (unsigned long long)value);
}

void herd_json_int(struct herd_json *j, const char *key, int64_t value)
{
	next(j, key);
	put(j, json_integer(value));
}

void herd_json_bool(struct herd_json *j, const char *key, bool value)
{
	next(j, key);
	put(j, json_boolean(value));
}

void herd_json_made(struct herd_json *j, const char *key,
		    const struct herd_buf *value)
{
	size_t n = value->len;

	if (!n)
		j->failed = true;
	while (n && value->data[n - 1] == '\n')
		n--;
	next(j, key);
	herd_buf_put(j->out, value->data, n);
}

void herd_json_null(struct herd_json *j, const char *key)
{
	next(j, key);
	put(j, json_null());
}

/* Appends bytes as UTF-8; returns whether they were. */
static bool lossy(struct herd_buf *to, const uint8_t *p, size_t len)
{
	bool clean = true;

	while (len) {
		size_t n = herd_utf8(p, len, NULL);

		if (n) {
			herd_buf_put(to, p, n);
		} else {
			herd_buf_put(to, "\xef\xbf\xbd", 3);
			clean = false;
			n = 1;
		}
		p += n;
		len -= n;
	}
	return clean;
}

static bool put_lossy(struct herd_json *j, const void *bytes, size_t len)
{
	CLEANUP_BUF struct herd_buf text = HERD_BUF_INIT;
	bool clean = lossy(&text, bytes, len);

	if (text.failed)
		j->failed = true;
	else
		put(j, json_stringn_nocheck(text.len ? (char *)text.data : "",
					    text.len));
	return clean;
}

void herd_json_string(struct herd_json *j, const char *key, const char *text)
{
	next(j, key);
	put_lossy(j, text, strlen(text));
}

void herd_json_hex(struct herd_json *j, const char *key, const void *bytes,
		   size_t len)
{
	next(j, key);
	char *to = herd_buf_extend(j->out, 2 * len + 3);

	if (!to)
		return;
	to[0] = '"';
	herd_hex(bytes, len, to + 1);
	to[2 * len + 1] = '"';
	j->out->len--;	/* the NUL */
}

void herd_json_bytes(struct herd_json *j, const char *key, const void *bytes,
		     size_t len)
{
	CLEANUP_BUF struct herd_buf hex_key = HERD_BUF_INIT;

	next(j, key);
	if (put_lossy(j, bytes, len))
		return;
	herd_buf_printf(&hex_key, "%s_hex", key);
	if (hex_key.failed)
		j->failed = true;
	else
		herd_json_hex(j, (char *)hex_key.data, bytes, len);
}
