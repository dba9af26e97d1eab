/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One line of text for people, put together in a buffer of the caller's. What
 * comes from an image is escaped as herd_report_escape does it; what does not
 * fit is cut between two characters and marked by "…". Always terminated,
 * always valid UTF-8 as long as literals are.
 *
 * Threads: a value that belongs to one.
 */
#ifndef HERD_WORDS_H
#define HERD_WORDS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct herd_words {
	char *buf;
	size_t size, len;
	bool cut; /* something did not fit: nothing more is added */
};

/* size is at least 8. */
void herd_words_begin(struct herd_words *w, char *buf, size_t size);
/* Our own words. */
void herd_words_put(struct herd_words *w, const char *text);
void herd_words_printf(struct herd_words *w, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));
/* 12,345 */
void herd_words_number(struct herd_words *w, uint64_t n);
/*
 * Bytes of an image, escaped, hashes of passwords taken out (index/redact.h);
 * blanks and tabs in a row become one blank. Not
 * more than max bytes of output, then "…" and on with what follows.
 */
void herd_words_bytes(struct herd_words *w, const void *bytes, size_t len,
		      size_t max);

#endif
