/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Differences of texts: golden ones; and of random texts that what is kept
 * and added is the new text, what is kept and removed the old one.
 */
#include "index/diff.h"

#include "acquire/base/buf.h"
#include "acquire/base/cleanup.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void says(const char *a, const char *b, unsigned context,
		 const char *want)
{
	CLEANUP_BUF struct herd_buf out = HERD_BUF_INIT;
	struct herd_diff d;

	assert_int_equal(
		herd_diff_make(a, strlen(a), b, strlen(b), context, &d), 0);
	for (size_t i = 0; i < d.n; i++)
		if (d.v[i].sign == '@')
			herd_buf_printf(&out, "@%zu\n", d.v[i].len);
		else
			herd_buf_printf(&out, "%c%.*s\n", d.v[i].sign,
					(int)d.v[i].len, d.v[i].p);
	herd_buf_u8(&out, 0);
	assert_string_equal((char *)out.data, want);
	herd_diff_deinit(&d);
}

static void test_golden(void **state)
{
	(void)state;
	says("", "", 2, "");
	says("a\n", "a\n", 2, " a\n");
	says("a\nb\n", "a\nb\n", 2, "@2\n");
	says("", "a\nb", 2, "+a\n+b\n");
	says("a\n\n", "", 2, "-a\n-\n");
	says("a\nb\nc\n", "a\nx\nc\n", 2, " a\n-b\n+x\n c\n");
	says("1\n2\n3\n4\n5\n6\n7\n8\n", "1\n2\n3\n4\nx\n5\n6\n7\n8\n", 1,
	     "@3\n 4\n+x\n 5\n@3\n");
	says("a\nb\nc\na\nb\nb\na\n", "c\nb\na\nb\na\nc\n", 9,
	     "-a\n-b\n c\n+b\n a\n b\n-b\n a\n+c\n");
	says("x\n1\n2\n3\ny\n", "X\n1\n2\n3\nY\n", 1,
	     "-x\n+X\n 1\n 2\n 3\n-y\n+Y\n");
}

static uint64_t next(uint64_t *s)
{
	*s = *s * 6364136223846793005u + 1442695040888963407u;
	return *s >> 33;
}

static void fill(struct herd_buf *b, uint64_t *s, size_t lines, unsigned kinds)
{
	for (size_t i = 0; i < lines; i++)
		herd_buf_printf(b, "%u\n", (unsigned)(next(s) % kinds));
	if (b->len && next(s) % 2)
		b->len--;
}

/* The text put together from the lines with one of two signs. */
static void rebuilt(const struct herd_diff *d, char sign, const char *text,
		    size_t len)
{
	if (d->n == 1 && d->v[0].sign == '@') /* they are equal */
		return;
	for (size_t i = 0; i < d->n; i++) {
		const struct herd_diff_line *l = &d->v[i];

		if (l->sign != ' ' && l->sign != sign)
			continue;
		assert_true(l->len <= len && !memcmp(l->p, text, l->len));
		text += l->len;
		len -= l->len;
		if (len) {
			assert_int_equal(*text, '\n');
			text++;
			len--;
		}
	}
	assert_int_equal(len, 0);
}

static void test_random(void **state)
{
	uint64_t s = 7;
	size_t coarse = 0;

	(void)state;
	for (int round = 0; round < 600; round++) {
		CLEANUP_BUF struct herd_buf a = HERD_BUF_INIT;
		CLEANUP_BUF struct herd_buf b = HERD_BUF_INIT;
		struct herd_diff d;
		size_t lines = round % 50 ? next(&s) % 60 : 5000;
		unsigned kinds = 1 + (unsigned)(next(&s) % 12);

		fill(&a, &s, lines, kinds);
		fill(&b, &s, next(&s) % 60, kinds);
		assert_int_equal(herd_diff_make((char *)a.data, a.len,
						(char *)b.data, b.len, 100000,
						&d),
				 0);
		coarse += d.coarse;
		rebuilt(&d, '-', (char *)a.data, a.len);
		rebuilt(&d, '+', (char *)b.data, b.len);
		herd_diff_deinit(&d);
	}
	assert_true(coarse > 0 && coarse < 30);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_golden),
		cmocka_unit_test(test_random),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
