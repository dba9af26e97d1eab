/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reads JSON value by value, for documents too large to stand in memory as a
 * tree. A value; it borrows the text. What is not JSON sets `bad`, and
 * everything later reads as nothing.
 *
 *	if (herd_js_object(&j))
 *		while (herd_js_key(&j, key, sizeof(key)))
 *			herd_js_skip(&j);	// or read the value
 *
 * A key or string that is longer than there is room for is cut.
 */
#ifndef HERD_JSON_READ_H
#define HERD_JSON_READ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define HERD_JS_DEPTH_MAX 32

struct herd_js {
	const char *p, *end;
	int depth;
	bool bad;
	bool first; /* an object or array was just entered */
};

static inline struct herd_js herd_js(const char *text, size_t len)
{
	return (struct herd_js){ .p = text, .end = text + len };
}

/* Enters an object or array, when the value is one; else false, and the value
   is skipped. */
bool herd_js_object(struct herd_js *j);
bool herd_js_array(struct herd_js *j);
/* The next key of the object; false: it has ended. */
bool herd_js_key(struct herd_js *j, char *ret, size_t max);
/* Whether the array has another value; false: it has ended. */
bool herd_js_next(struct herd_js *j);
/* Each false, and the value skipped, when it is something else. */
bool herd_js_string(struct herd_js *j, char *ret, size_t max);
bool herd_js_int(struct herd_js *j, int64_t *ret); /* modulo 2^64 */
bool herd_js_bool(struct herd_js *j, bool *ret);
void herd_js_skip(struct herd_js *j);

#endif
