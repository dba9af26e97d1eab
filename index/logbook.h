/* SPDX-License-Identifier: Apache-2.0 */
/*
 * When a log begins. A log that grows by itself was made when its first line
 * was written; one that was edited is a new file with old lines, one that was
 * emptied an old file with new lines.
 *
 * Threads: pure functions.
 */
#ifndef HERD_LOGBOOK_H
#define HERD_LOGBOOK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Between the first line and the making of its file: a slow start, seconds
   that were rounded. */
#define HERD_LOG_SLACK 10

/*
 * The time of the first line that has one, among the first few, in seconds
 * since 1970: ISO 8601 with 'T' or a blank, syslog's "Nov  6 07:30:53" (of the
 * year of `modified`, or of the one before if that lies ahead of it), and the
 * "[06/Nov/2026:07:30:53 +0000]" of web servers. A time without a zone is
 * taken as UTC. false: none found.
 */
bool herd_log_begins(const char *text, size_t len, int64_t modified,
		     int64_t *ret);

#endif
