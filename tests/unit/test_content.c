/* SPDX-License-Identifier: Apache-2.0 */
/* Sorts of content by the first bytes. */
#include "index/content.h"

#include <elf.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <utmp.h>

#include <cmocka.h>

#define S(literal) literal, sizeof(literal) - 1

static const struct {
	const char *bytes;
	size_t len;
	enum herd_sort sort;
} heads[] = {
	{ S("hello\n"), HERD_SORT_TEXT },
	{ S("na\xc3\xafve\tcaf\xe9\r\n"), HERD_SORT_TEXT },
	{ S("\xff\xfe"
	    "a\0b\0"),
	  HERD_SORT_TEXT },
	{ S("\x1b[31mred"), HERD_SORT_TEXT },
	{ S("a\0b"), HERD_SORT_DATA },
	{ S("\x80\x01\x02"), HERD_SORT_DATA },
	{ S("#!/bin/sh\n"), HERD_SORT_SCRIPT },
	{ S("#!/bin/sh\n\0\1\2binary"), HERD_SORT_SCRIPT },
	{ S("\xef\xbb\xbf#!/bin/sh\n"), HERD_SORT_SCRIPT },
	{ S("\n  #!/bin/sh\n"), HERD_SORT_SCRIPT },
	{ S("# !/bin/sh\n"), HERD_SORT_TEXT },
	{ S("<?php system($_GET[0]);"), HERD_SORT_SCRIPT },
	{ S("<html>\n<?PHP x"), HERD_SORT_SCRIPT },
	{ S("<?= `$_GET[0]` ?>"), HERD_SORT_SCRIPT },
	{ S("<?xml version=\"1.0\"?><a/>"), HERD_SORT_TEXT },
	{ S("<%@ page import=\"java.io.*\" %>"), HERD_SORT_SCRIPT },
	{ S("<% eval request(\"x\") %>"), HERD_SORT_SCRIPT },
	{ S("100 <%d"), HERD_SORT_TEXT },
	{ S("<script>x</script>"), HERD_SORT_SCRIPT },
	{ S("<html><script src=x></script>"), HERD_SORT_TEXT },
	{ S("<html><script language=c# RUNAT=server>"), HERD_SORT_TEXT },
	{ S("<html><script language=c# runat=server>"), HERD_SORT_SCRIPT },
	{ S("GIF89a\1\0\1\0"), HERD_SORT_MEDIA },
	{ S("GIF89a\1\0\1\0<?php system(1);"), HERD_SORT_SCRIPT },
	{ S("GIF89a<?php system(1);"), HERD_SORT_SCRIPT },
	{ S("\0\1\2 <%= <? "), HERD_SORT_DATA },
	{ S("-----BEGIN OPENSSH PRIVATE KEY-----\nb3Bl"), HERD_SORT_KEY },
	{ S("-----BEGIN RSA PRIVATE KEY-----\r\nMIIE"), HERD_SORT_KEY },
	{ S("-----BEGIN PGP PRIVATE KEY BLOCK-----\n\nlQ"), HERD_SORT_KEY },
	{ S("-----BEGIN CERTIFICATE-----\nMII\n-----END CERTIFICATE-----\n"
	    "-----BEGIN PRIVATE KEY-----\nMIIE"),
	  HERD_SORT_KEY },
	{ S("key: |\n  -----BEGIN EC PRIVATE KEY-----\n  MHc"), HERD_SORT_KEY },
	{ S("-----BEGIN CERTIFICATE-----\nMII"), HERD_SORT_TEXT },
	{ S("if s == \"-----BEGIN RSA PRIVATE KEY-----\": pass"),
	  HERD_SORT_TEXT },
	{ S("PuTTY-User-Key-File-3: ssh-ed25519\n"), HERD_SORT_KEY },
	{ S("(21:protected-private-key(3:rsa"), HERD_SORT_KEY },
	{ S("ssh-ed25519 AAAAC3Nza root@x\n"), HERD_SORT_TEXT },
	{ S("\5\2\0\0\0\x46"), HERD_SORT_KEY },
	{ S("MZ\x90\0\3\0\0\0"), HERD_SORT_FOREIGN },
	{ S("MZ is how this text begins"), HERD_SORT_TEXT },
	{ S("\xca\xfe\xba\xbe\0\0\0\x34"), HERD_SORT_FOREIGN },
	{ S("\xcf\xfa\xed\xfe\7\0\0\1"), HERD_SORT_FOREIGN },
	{ S("\0asm\1\0\0\0"), HERD_SORT_FOREIGN },
	{ S("\xa7\x0d\r\n\0\0\0\0\x12\x34\x56\x65\x10\0\0\0\xe3"),
	  HERD_SORT_FOREIGN },
	{ S("ab\r\ncd\r\nef\r\ngh\r\n"), HERD_SORT_TEXT },
	{ S("PK\3\4\x14\0"), HERD_SORT_ARCHIVE },
	{ S("!<arch>\ndebian-binary   "), HERD_SORT_ARCHIVE },
	{ S("070701000"), HERD_SORT_ARCHIVE },
	{ S("\xed\xab\xee\xdb\3\0"), HERD_SORT_ARCHIVE },
	{ S("\x1f\x8b\x08\0\0"), HERD_SORT_COMPRESSED },
	{ S("\xfd"
	    "7zXZ\0\0\4"),
	  HERD_SORT_COMPRESSED },
	{ S("\x28\xb5\x2f\xfd\4\0"), HERD_SORT_COMPRESSED },
	{ S("BZh91AY&SY\0"), HERD_SORT_COMPRESSED },
	{ S("\x04\x22\x4d\x18\x64"), HERD_SORT_COMPRESSED },
	{ S("SQLite format 3\0\x10\0"), HERD_SORT_DATABASE },
	{ S("\0\0\0\0\0\0\0\0\0\0\x08\0\0\0\0\0\xde\xc0\xef\xbe\1\0\0\0"),
	  HERD_SORT_DATABASE },
	{ S("\0\0\0\0\1\0\0\0\0\0\0\0\x61\x15\x06\0\x09\0\0\0"),
	  HERD_SORT_DATABASE },
	{ S("LPKSHHRH\0\0\0\0"), HERD_SORT_JOURNAL },
	{ S("\x89PNG\r\n\x1a\n"), HERD_SORT_MEDIA },
	{ S("%PDF-1.4\n%\xe2\xe3"), HERD_SORT_MEDIA },
	{ S("\x7f"
	    "ELF"),
	  HERD_SORT_PROGRAM },
	{ S("\x7f"
	    "ELG\2\1\1"),
	  HERD_SORT_DATA },
};

static void by_first_bytes(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(heads) / sizeof(heads[0]); i++) {
		enum herd_sort s = herd_sort_of(heads[i].bytes, heads[i].len,
						heads[i].len);

		if (s != heads[i].sort)
			fail_msg("%zu, %.20s: %s, not %s", i, heads[i].bytes,
				 herd_sort_name(s),
				 herd_sort_name(heads[i].sort));
	}
	assert_int_equal(herd_sort_of(NULL, 0, 0), HERD_SORT_EMPTY);
	assert_int_equal(herd_sort_of("", 0, 10), HERD_SORT_DATA);
}

static enum herd_sort elf(unsigned type, bool interpreter)
{
	static unsigned char head[4096];
	Elf64_Ehdr *e = (void *)head;
	Elf64_Phdr *p = (void *)(head + 64);

	memset(head, 0, sizeof(head));
	memcpy(e->e_ident,
	       "\x7f"
	       "ELF\2\1\1",
	       7);
	e->e_type = (Elf64_Half)type;
	e->e_phoff = 64;
	e->e_phentsize = sizeof(*p);
	e->e_phnum = 3;
	p[1].p_type = interpreter ? PT_INTERP : PT_LOAD;
	return herd_sort_of(head, sizeof(head), 100000);
}

static void kinds_of_elf(void **state)
{
	unsigned char big[64] = "\x7f"
				"ELF\1\2\1";
	unsigned char far[64] = "\x7f"
				"ELF\2\1\1";

	(void)state;
	assert_int_equal(elf(ET_EXEC, false), HERD_SORT_PROGRAM);
	assert_int_equal(elf(ET_DYN, true), HERD_SORT_PROGRAM);
	assert_int_equal(elf(ET_DYN, false), HERD_SORT_LIBRARY);
	assert_int_equal(elf(ET_REL, false), HERD_SORT_MODULE);
	assert_int_equal(elf(ET_CORE, false), HERD_SORT_CORE);
	assert_int_equal(elf(0xfe00, false), HERD_SORT_PROGRAM);
	big[17] = ET_REL;
	assert_int_equal(herd_sort_of(big, 64, 64), HERD_SORT_MODULE);
	/* headers that lie beyond the end of all numbers */
	far[16] = ET_DYN;
	memset(far + 32, 0xff, 8);
	memset(far + 54, 0xff, 4);
	assert_int_equal(herd_sort_of(far, 64, 64), HERD_SORT_LIBRARY);
	memset(far + 33, 0, 7);
	far[32] = 62;
	far[54] = 1;
	far[55] = 0;
	assert_int_equal(herd_sort_of(far, 64, 64), HERD_SORT_LIBRARY);
}

static void login_records(void **state)
{
	struct utmp u[2] = {
		{ .ut_type = BOOT_TIME, .ut_line = "~", .ut_user = "reboot" }
	};

	(void)state;
	_Static_assert(sizeof(u[0]) == 384, "what is read is made of these");
	u[0].ut_tv.tv_sec = 1700000000;
	assert_int_equal(herd_sort_of(u, sizeof(u), sizeof(u)),
			 HERD_SORT_LOGIN);
	assert_int_equal(herd_sort_of(u, sizeof(u), sizeof(u) + 1),
			 HERD_SORT_DATA);
	u[0].ut_tv.tv_usec = 1000000;
	assert_int_equal(herd_sort_of(u, sizeof(u), sizeof(u)), HERD_SORT_DATA);
	u[0].ut_tv.tv_usec = 0;
	u[0].ut_user[20] = 'x';
	assert_int_equal(herd_sort_of(u, sizeof(u), sizeof(u)), HERD_SORT_DATA);
}

static void tar(void **state)
{
	unsigned char block[1024] = "file";
	unsigned sum = 0;

	(void)state;
	memcpy(block + 257,
	       "ustar\0"
	       "00",
	       8);
	memset(block + 148, ' ', 8);
	for (unsigned i = 0; i < 512; i++)
		sum += block[i];
	snprintf((char *)block + 148, 8, "%06o", sum);
	assert_int_equal(herd_sort_of(block, 1024, 1024), HERD_SORT_ARCHIVE);
	block[0] = 'g';
	assert_int_equal(herd_sort_of(block, 1024, 1024), HERD_SORT_DATA);
}

/* Whatever the bytes are, nothing beyond len is read: for the sanitizers. */
static void every_length(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(heads) / sizeof(heads[0]); i++)
		for (size_t len = 0; len <= heads[i].len; len++) {
			char *copy = malloc(len + !len);

			assert_non_null(copy);
			memcpy(copy, heads[i].bytes, len);
			assert_non_null(herd_sort_name(
				herd_sort_of(copy, len, heads[i].len)));
			free(copy);
		}
}

static void what_is_code(void **state)
{
	(void)state;
	for (enum herd_sort s = 0; s < HERD_SORT_MAX; s++) {
		assert_non_null(herd_sort_name(s));
		assert_int_equal(herd_sort_is_secret(s), s == HERD_SORT_KEY);
	}
	assert_null(herd_sort_name(HERD_SORT_MAX));
	assert_true(herd_sort_is_code(HERD_SORT_SCRIPT));
	assert_true(herd_sort_is_code(HERD_SORT_LIBRARY));
	assert_true(herd_sort_is_code(HERD_SORT_FOREIGN));
	assert_false(herd_sort_is_code(HERD_SORT_TEXT));
	assert_false(herd_sort_is_code(HERD_SORT_KEY));
	assert_false(herd_sort_is_code(HERD_SORT_ARCHIVE));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(by_first_bytes),
		cmocka_unit_test(kinds_of_elf),
		cmocka_unit_test(login_records),
		cmocka_unit_test(tar),
		cmocka_unit_test(every_length),
		cmocka_unit_test(what_is_code),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
