/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Writes JSON into a buffer, value by value, so that a report of a million
 * lines never stands in memory as a tree. The outer levels are indented, the
 * inner ones are kept on one line each: readable, and a line a record for grep.
 *
 * key is NULL inside an array. Once memory runs out nothing more is written
 * and herd_json_error says so. Threads: a writer belongs to one thread.
 */
#ifndef HERD_JSON_H
#define HERD_JSON_H

#include "acquire/base/buf.h"

#define HERD_JSON_DEPTH_MAX 16

struct herd_json {
	struct herd_buf *out;
	unsigned depth;
	unsigned indented;	/* levels that get lines of their own */
	bool failed;
	struct herd_json_level {
		bool array, filled;
	} levels[HERD_JSON_DEPTH_MAX];
};

/* Writes to out (borrowed); `indented` levels are spread over lines. */
void herd_json_begin(struct herd_json *j, struct herd_buf *out,
		     unsigned indented);
/* Ends the document with a newline. 0, -ENOMEM. */
int herd_json_finish(struct herd_json *j);

void herd_json_object(struct herd_json *j, const char *key);
void herd_json_array(struct herd_json *j, const char *key);
void herd_json_end(struct herd_json *j);

void herd_json_string(struct herd_json *j, const char *key, const char *text);
void herd_json_uint(struct herd_json *j, const char *key, uint64_t value);
void herd_json_int(struct herd_json *j, const char *key, int64_t value);
void herd_json_bool(struct herd_json *j, const char *key, bool value);
void herd_json_null(struct herd_json *j, const char *key);
/* Lower-case hex digits. */
void herd_json_hex(struct herd_json *j, const char *key, const void *bytes,
		   size_t len);
/* A whole value that another writer made, without the newline at its end. */
void herd_json_made(struct herd_json *j, const char *key,
		    const struct herd_buf *value);
/*
 * A name of any bytes, in an object: as text, and when it is not UTF-8 with
 * U+FFFD for what is not, plus its exact bytes in "<key>_hex".
 */
void herd_json_bytes(struct herd_json *j, const char *key, const void *bytes,
		     size_t len);

/*
 * Length of the UTF-8 sequence at p (len ≥ 1 bytes left): 1…4, or 0 when
 * there is none. *ret_code (may be NULL): the character.
 */
size_t herd_utf8(const uint8_t *p, size_t len, uint32_t *ret_code);

#endif
