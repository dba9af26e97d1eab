/* SPDX-License-Identifier: Apache-2.0 */
/* A herd of six with one victim: who is told of, and that nobody else is. */
#ifndef MACHINE_TOLD_H
#define MACHINE_TOLD_H

#include "machine_herd.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#define VICTIM 4u
#define ANYBODY 5u

static inline struct herd_machine *victim(struct herd *h)
{
	return h->m[VICTIM];
}

/* An intruder's process, which looks like a service. */
static inline struct herd_process *intruder(struct herd_machine *m,
					    const char *exe, const char *words)
{
	return process(m, 900, 1, strrchr(exe, '/') + 1, exe, words);
}

static inline const struct herd_machine_finding *
of_process(struct herd *h, struct herd_process *p)
{
	return finding(h, HERD_SUBJECT_PROCESS,
		       (uint32_t)(p - victim(h)->processes));
}

/* The process has the mark, deviates for it, and nobody else deviates. */
static inline const struct herd_machine_finding *
told(struct herd *h, struct herd_process *p, uint32_t mark, uint8_t least)
{
	const struct herd_machine_finding *f;

	for (unsigned i = 0; i < h->n; i++)
		if (i != VICTIM) {
			assert_int_equal(judge(h, i), 0);
			assert_int_equal(deviants(h, true), 0);
		}
	assert_int_equal(judge(h, VICTIM), 0);
	f = of_process(h, p);
	if (!f || f->class != HERD_CLASS_DEVIANT || !(f->marks & mark) ||
	    f->rank < least)
		fail_msg("%s: %s, rank %u", herd_mark_name(mark),
			 f ? f->why : "nothing", f ? f->rank : 0);
	assert_non_null(strstr(f->why, herd_mark_name(mark)));
	assert_int_equal(deviants(h, false), 1);
	return f;
}

/* It is not said of a process of a herd that has the same. */
static inline void not_told(struct herd *h, struct herd_process *p,
			    uint32_t mark)
{
	const struct herd_machine_finding *f;

	assert_int_equal(judge(h, VICTIM), 0);
	f = of_process(h, p);
	if (f && f->class == HERD_CLASS_DEVIANT && f->marks & mark)
		fail_msg("%s", f->why);
}

/* What the disk says, by path. */
struct says {
	const char *path;
	enum herd_class class;
};
static inline bool disk_says(void *arg, const struct herd_mfile *f,
			     enum herd_class *ret)
{
	const struct says *s = arg;

	if (f->deleted || strcmp(f->path, s->path))
		return false;
	*ret = s->class;
	return true;
}

#endif
