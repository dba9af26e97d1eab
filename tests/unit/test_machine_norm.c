/* SPDX-License-Identifier: Apache-2.0 */
/* Names as keys: what differs in an image stays different. */
#include "acquire/base/cleanup.h"
#include "index/memory/machine_judge_internal.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void cleaned(const char *text, size_t len, const char *want)
{
	CLEANUP_BUF struct herd_buf out = HERD_BUF_INIT;
	CLEANUP_BUF struct herd_buf again = HERD_BUF_INIT;

	herd_norm_clean(&out, text, len);
	herd_norm_clean(&again, (const char *)out.data, out.len);
	assert_int_equal(out.len, strlen(want));
	if (!out.len)
		return;
	assert_memory_equal(out.data, want, out.len);
	assert_int_equal(again.len, out.len);
	assert_memory_equal(again.data, want, again.len);
}

static void controls_are_told(void **state)
{
	(void)state;
	cleaned("", 0, "");
	cleaned("sshd", 4, "sshd");
	cleaned("a\x1b[31m\x7f\n\tz", 10, "a^[[31m^?^J^Iz");
	cleaned("\0x", 2, "^@x");
	cleaned("\xc2\x9b?", 3, "\xc2\x9b?");
}

static void normal(const char *text, struct herd_buf *out)
{
	herd_norm_text(out, text, strlen(text), "web-1");
	herd_buf_u8(out, 0);
	assert_false(out->failed);
}

/* Each control byte gives a key of its own, and none that of '?'. */
static void no_two_become_one(void **state)
{
	(void)state;
	for (unsigned a = 1; a < 0x80; a++)
		for (unsigned b = a + 1; b < 0x80; b++) {
			const char x[] = { 'e', 'v', (char)a, 'i', 'l', 0 };
			const char y[] = { 'e', 'v', (char)b, 'i', 'l', 0 };
			CLEANUP_BUF struct herd_buf p = HERD_BUF_INIT;
			CLEANUP_BUF struct herd_buf q = HERD_BUF_INIT;

			if (a >= 0x20 && a != 0x7f && b >= 0x20 && b != 0x7f)
				continue;
			normal(x, &p);
			normal(y, &q);
			assert_string_not_equal((char *)p.data, (char *)q.data);
		}
}

/* What is behind a control byte is not lost. */
static void all_of_it(void **state)
{
	CLEANUP_BUF struct herd_buf out = HERD_BUF_INIT;

	(void)state;
	normal("\x01\x02\x03 on web-1 --end", &out);
	assert_string_equal((char *)out.data, "^A^B^C on {host} --end");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(controls_are_told),
		cmocka_unit_test(no_two_become_one),
		cmocka_unit_test(all_of_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
