/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The lines in which two texts differ, with a little of what stands around
 * them, as diff -u has it. Texts are hostile: what would take long (very many
 * lines that differ) is given as all of the one and all of the other.
 *
 * Threads: pure functions.
 */
#ifndef HERD_DIFF_H
#define HERD_DIFF_H

#include <stdbool.h>
#include <stddef.h>

struct herd_diff_line {
	char sign;     /* ' ', '-', '+'; '@': lines that are equal left out */
	const char *p; /* without the newline; borrowed from the text */
	size_t len;    /* of '@': how many lines */
};

struct herd_diff {
	struct herd_diff_line *v;
	size_t n;
	bool coarse; /* not the shortest: see above */
};

void herd_diff_deinit(struct herd_diff *d);
/* context: lines to show around a difference. 0, -ENOMEM. */
int herd_diff_make(const char *old_text, size_t old_len, const char *new_text,
		   size_t new_len, unsigned context, struct herd_diff *ret);

#endif
