/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What went wrong, for the person who reads it: which source, at which byte,
 * and one line of text. A plain value: no ownership, no threads.
 *
 * Error numbers have fixed meanings throughout: -EBADMSG corrupt data or a
 * digest that does not match, -EOPNOTSUPP a format or feature that is not
 * supported, -EOVERFLOW a limit was exceeded, -ESTALE an image that is not
 * the one that was indexed, -EIO the medium failed.
 */
#ifndef HERD_DIAG_H
#define HERD_DIAG_H

#include <stddef.h>
#include <stdint.h>

#define HERD_NO_OFFSET UINT64_MAX

struct herd_diag {
	char source[256];	/* image, volume or file; "" when not known */
	uint64_t offset;	/* byte offset in source, or HERD_NO_OFFSET */
	char message[512];	/* one line, no newline; "" when nothing is set */
};

/*
 * Fills *diag (when it is not NULL) unless it already holds an earlier
 * message: the first cause is the one worth reading. Control characters in
 * the text are replaced by '?', for names in it come from hostile images.
 * Returns err, so that `return herd_diag_set(…)` is the idiom.
 */
int herd_diag_set(struct herd_diag *diag, int err, const char *source,
		  uint64_t offset, const char *fmt, ...)
	__attribute__((format(printf, 5, 6)));

void herd_diag_clear(struct herd_diag *diag);

/*
 * Writes "source: offset N: message" into buf, leaving out what is not known;
 * with no message, the text of err. Always terminated. Returns buf.
 */
const char *herd_diag_format(const struct herd_diag *diag, int err, char *buf,
			     size_t size);

/* Replaces control characters, in place. For text that goes to a terminal. */
void herd_text_clean(char *text);

#endif
