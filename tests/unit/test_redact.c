/* SPDX-License-Identifier: Apache-2.0 */
/* Hashes of passwords leave a text, and nothing else does. */
#include "index/redact.h"

#include "acquire/base/cleanup.h"
#include "index/words.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define SHA512                                                             \
	"Fz3kXIYbVDJdDFnz1RtqFf3bW8WvKkTn2cGzQUwx6iUE6sUq3WbKTZzJbnAXT9oB" \
	"kL3m5e7pQrStUvWxYz0123"
#define YESCRYPT "UY4ZXVQ5aTxqGfhK6pJ7Zr1n2Wc0D8yH3mLsBvNqRt5"

/* What goes is marked by {}, which do not count. */
static const char *const go[] = {
	"root:$6${saltsalt$" SHA512 "}:19000:0:99999:7:::",
	"toor:!$y${j9T$abcdefgh12345678$" YESCRYPT "}:19000:0:99999:7:::",
	"rootpw --iscrypted $6${rounds=5000$s$" SHA512 "}",
	"  passwd: \"$5${salt$" YESCRYPT "}\"",
	"u:$2b${10$N9qo8uLOickgx2ZMRZoMyeIjZAgcfl7p92ldGxad68LJZdL17lhWy}",
	"w:$apr1${abcdefgh$0123456789abcdefghijkl}",
	"echo root:\\$1\\${salt\\$0123456789abcdefghijkl} | chpasswd -e",
	"userPassword: {SSHA}{MTIzNDU2Nzg5MDEyMzQ1Njc4OTA=}",
	"old:{ab0123456789.}:12000:0:99999:7:::",
	"locked:!{ab0123456789/}:12000:0:99999:7:::",
	"nis:{ab0123456789.}:0:0:root:/root:/bin/sh",
	"bsd:{_J9..rasmBYk8r9AiWNc}:12000:0:99999:7:::",
	"wheel:{ab0123456789.}:root:root,ops",
};

static const char *const stay[] = {
	"root:x:0:0:root:/root:/bin/bash",
	"root:*:19000:0:99999:7:::",
	"root:!:19000:0:99999:7:::",
	"root::19000:0:99999:7:::",
	"cp $1$2 $6$HOME/x; echo \"$y$z\" $5$long_name_of_a_variable_here",
	"awk '{print $1$2$3}' /etc/passwd",
	"*/7 * * * * root /usr/lib/x86_64-linux-gnu/libutil-2.so -c /tmp/.x",
	"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ8sdfkjhsdfkjhsdfkjhsdfkjhsd a@b",
	"{SHA} short",
	"listen:abcdefghijklm",
	"$unknown$salt$" SHA512,
	"$6$",
	"$6$short$hash",
	"$",
	"$y",
	"{SSHA}",
	":",
	"",
};

static void test_what_goes(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(go); i++) {
		char text[400], want[400];
		size_t n = 0;
		bool out = false;

		for (const char *p = go[i]; *p; p++) {
			/* the scheme of LDAP has braces of its own */
			bool scheme = !strncmp(p, "{SSHA}", 6);

			if (scheme) {
				memcpy(text + n, p, 6);
				memcpy(want + n, p, 6);
				n += 6;
				p += 5;
			} else if (*p == '{' || *p == '}') {
				out = *p == '{';
			} else {
				text[n] = *p;
				want[n++] = out ? '\0' : *p;
			}
		}
		text[n] = '\0';
		assert_true(herd_redact_finds(text, n));
		assert_true(herd_redact(text, n));
		assert_non_null(strstr(text, "[hash "));
		for (size_t k = 0; k < n; k++)
			if (want[k] ? text[k] != want[k] :
				      !strchr("[hash .]0123456789abcdef",
					      text[k]))
				fail_msg("%s became %s", go[i], text);
		assert_int_equal(strlen(text), n);
		assert_false(herd_redact(text, n));
	}
}

static void test_what_stays(void **state)
{
	char text[400];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(stay); i++) {
		strcpy(text, stay[i]);
		if (herd_redact(text, strlen(text)))
			fail_msg("%s became %s", stay[i], text);
		assert_string_equal(text, stay[i]);
	}
}

/* Two hashes of Windows in a line; equal ones look equal, others do not. */
static void test_tags(void **state)
{
	static const char a[] = "0123456789abcdef0123456789ABCDEF";
	static const char b[] = "0123456789abcdef0123456789ABCDEE";
	char text[400], again[400];

	(void)state;
	snprintf(text, sizeof(text), "u:1000:%s:%s:[U ]:LCT-1:\nv:1:%s:%s::\n",
		 a, b, b, a);
	strcpy(again, text);
	assert_true(herd_redact(text, strlen(text)));
	assert_null(strstr(text, "89abcdef"));
	assert_memory_equal(text + 7, strstr(text, "v:1:") + 4 + 33, 32);
	assert_memory_not_equal(text + 7, text + 7 + 33, 32);
	assert_true(herd_redact(again, strlen(again)));
	assert_string_equal(text, again);
}

/* A long row of beginnings costs no more than its length. */
static void test_hostile(void **state)
{
	size_t len = 1u << 20;
	char *text = malloc(len);

	(void)state;
	assert_non_null(text);
	for (size_t i = 0; i < len; i++)
		text[i] = "$1"[i % 2];
	assert_false(herd_redact(text, len));
	memset(text, 'A', len);
	memcpy(text, "$6$", 3);
	assert_true(herd_redact(text, len));
	assert_false(herd_redact(text, len));
	memset(text, ':', len);
	assert_false(herd_redact(text, len));
	free(text);
}

static void test_words(void **state)
{
	static const char line[] = "x:$y$j9T$abcdefgh$" YESCRYPT ":1::";
	char text[200];
	struct herd_words w;

	(void)state;
	herd_words_begin(&w, text, sizeof(text));
	herd_words_bytes(&w, line, strlen(line), sizeof(text));
	assert_null(strstr(text, "GfhK6pJ7"));
	assert_ptr_equal(strstr(text, "x:$y$[hash "), text);
	assert_string_equal(text + strlen(text) - 5, "]:1::");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_what_goes),
		cmocka_unit_test(test_what_stays),
		cmocka_unit_test(test_tags),
		cmocka_unit_test(test_hostile),
		cmocka_unit_test(test_words),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
