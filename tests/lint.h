/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Put before every source by `make lint`, but not by the compiler: tells the
 * checkers what they cannot see from one file: that herd_diag_set returns the
 * error it is given, and that errno is positive where it is looked at. Without
 * that, each "set and return" and each "return -errno" looks like success.
 */
#ifndef HERD_LINT_H
#define HERD_LINT_H

#include "acquire/base/diag.h"

#include <errno.h>

#ifdef __CPPCHECK__	/* it looks into no header of the system */
#define LIST_HEAD(name, type) struct { struct type *lh_first; }
#define LIST_ENTRY(type) struct { struct type *le_next, **le_prev; }
#define LIST_FOREACH(var, head, field) \
	for ((var) = (head)->lh_first; (var); (var) = (var)->field.le_next)
#define TAILQ_HEAD(name, type) struct { struct type *tqh_first, **tqh_last; }
#define TAILQ_ENTRY(type) struct { struct type *tqe_next, **tqe_prev; }
#endif

static inline int *herd_lint_errno(void)
{
	int *p = __errno_location();

	if (*p <= 0)
		__builtin_unreachable();
	return p;
}
#undef errno
#define errno (*herd_lint_errno())

static inline int herd_lint_format(const char *fmt, ...)
	__attribute__((format(printf, 1, 2)));
static inline int herd_lint_format(const char *fmt, ...)
{
	return fmt != 0;
}

#define herd_diag_set(diag, err, source, offset, ...) \
	((void)(diag), (void)(source), (void)(offset), \
	 (void)herd_lint_format(__VA_ARGS__), (err))

#endif
