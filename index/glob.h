/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Patterns over paths, as in .gitignore files but anchored: a pattern stands
 * for whole paths, from the root of the instance on.
 *
 *   *       any bytes of one name           ?       one byte of a name
 *   [a-z]   one byte of a set, [!a-z] one   **      as a whole name: any
 *           that is not in it                       number of folders
 *   \c      that byte, whatever it means    \xHH    the byte of that number
 *           otherwise
 *
 * At the end of a pattern, all of /a/ (but not /a itself) is what "/a" with a
 * last part of two stars stands for. The work is at most the product of both
 * lengths, twice over, whatever they hold. Pure functions.
 */
#ifndef HERD_GLOB_H
#define HERD_GLOB_H

#include <stdbool.h>
#include <stddef.h>

/* NULL when it is a pattern for paths (it begins with '/'), else what is
   wrong with it, as the rest of a sentence. */
const char *herd_glob_check(const char *pattern, size_t len);
/* The same for one name: a group's, an instance's. */
const char *herd_glob_check_name(const char *pattern, size_t len);

/* Both of patterns that were checked. A '/' that path begins with is skipped;
   nothing stands for the root itself. */
bool herd_glob_path(const char *pattern, size_t pattern_len, const char *path,
		    size_t path_len);
bool herd_glob_name(const char *pattern, size_t pattern_len, const char *name,
		    size_t name_len);

#endif
