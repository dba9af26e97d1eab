/* SPDX-License-Identifier: Apache-2.0 */
/* Templates of names: what is taken for random, and what must not be. */
#include "index/template.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define T HERD_TEMPLATE_TOKEN
#define R HERD_TEMPLATE_RANDOM

static void check(const struct herd_identity *id, const char *name,
		  const char *want, unsigned bits)
{
	CLEANUP_BUF struct herd_buf out = HERD_BUF_INIT;
	unsigned found = herd_template_name(id, name, strlen(name), &out);

	herd_buf_u8(&out, 0);
	assert_string_equal((char *)out.data, want);
	assert_int_equal(found, bits);
}

static void own_tokens(void **state)
{
	static const struct {
		enum herd_token_kind kind;
		const char *text;
	} own[] = {
		{ HERD_TOKEN_MACHINE_ID, "0123456789abcdef0123456789abcde7" },
		{ HERD_TOKEN_INSTANCE, "i-0123456789abcdef0" },
		{ HERD_TOKEN_HOSTNAME, "web-1" },
		{ HERD_TOKEN_MAC, "0a:58:0a:00:01:02" },
	};
	struct herd_identity *id;

	(void)state;
	assert_int_equal(herd_identity_create(&id), 0);
	for (size_t i = 0; i < ARRAY_SIZE(own); i++)
		assert_int_equal(herd_identity_add(id, own[i].kind, own[i].text,
						   strlen(own[i].text)),
				 0);
	assert_int_equal(herd_identity_settle(id), 0);
	check(id, "0123456789abcdef0123456789abcde7", "{machine-id}", T);
	check(id, "1123456789abcdef0123456789abcde7", "{hex32}", R);
	check(id, "i-0123456789abcdef0", "{instance-id}", T);
	check(id, "web-1.log-20260102.gz", "{hostname}.log-{date}.gz", T | R);
	check(id, "dhclient-enx0a580a000102.lease", "dhclient-{mac}.lease", T);
	check(id, "web-10", "web-10", 0);
	check(id, "{hostname}", "{{hostname}", 0);
	check(id, "{web-1}", "{{{hostname}}", T);
	check(NULL, "web-1", "web-1", 0);
	herd_identity_destroy(id);
}

static void random_names(void **state)
{
	static const char *const names[][2] = {
		{ "obj-3fa94b1c", "obj-{hex8}" },
		{ "obj-12345678", "obj-{hex8}" },
		{ "3FA94B1C00.bin", "{hex10}.bin" },
		{ "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
		  "{hex64}" },
		{ "5e7f1d3c-8a4b-4c26-9f0e-2b6d7a91c0de.json", "{uuid}.json" },
		{ "system@00062a8c1b5f8a7c-3fa94b1c5e7f1d3c.journal~",
		  "system@{hex16}-{hex16}.journal~" },
		{ "user-1000@3fa94b1c3fa94b1c3fa94b1c3fa94b1c-0000000000001234-00062a8c1b5f8a7c.journal",
		  "user-1000@{hex32}-{hex16}-{hex16}.journal" },
		{ "systemd-private-3fa94b1c3fa94b1c3fa94b1c3fa94b1c-apache2.service-qX3vTk",
		  "systemd-private-{hex32}-apache2.service-{rand6}" },
		{ "tmp.K8s2xQv7Lw", "tmp.{rand10}" },
		{ "tmpx1k_9aqz", "tmp{rand8}" },
		{ "sess_4k2j9v0q1m8c7b3n5x6z1l2k3j", "sess_{rand26}" },
		{ "ssh-XkT3vQ9aLm2P", "ssh-{rand12}" },
		{ "libx.so.bak.1700000000", "libx.so.bak.{num}" },
		{ "core.1700000000", "core.{num}" },
		{ "go-build3482938472", "go-build{num}" },
		{ "access.log-20260102", "access.log-{date}" },
		{ "dump-2026-01-02.sql.gz", "dump-{date}.sql.gz" },
		{ "dump_2026-01-02_12-30-45.sql", "dump_{date}.sql" },
		{ "20260102T123045Z", "{date}" },
		{ "20260102123045.tar", "{date}.tar" },
		{ "crash-20260102-1230", "crash-{date}" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		check(NULL, names[i][0], names[i][1], R);
}

/* Names of a usual system; to call them random would put all versions of a
   library, and all kernels, under one template. */
static void names_that_stay(void **state)
{
	static const char *const names[] = {
		"libfoo-2.31.so",
		"vmlinuz-6.1.0-25-cloud-amd64",
		"syslog.1",
		"auth.log.2.gz",
		"python3.11",
		"x86_64-linux-gnu",
		"libc.so.6",
		"libabsl.so.20220623.0.0",
		"libcrypt.so.1.1.0",
		"perl5.36.0",
		"sha256sum",
		"README",
		"Makefile",
		"org.gnome.Editor",
		"foo-Latin1.txt",
		"GtkBox.h",
		"foo.OpenGL",
		"iso-8859-15",
		"avx512vbmi2vlintrin.h",
		"UTF-8.so",
		"IBM1047.so",
		"getty@tty1.service",
		"dev-hugepages.mount",
		"a.out",
		"deadbeef",
		"decade",
		"facade",
		"port-8080",
		"session-12.scope",
		"dpkg.status",
		"stm32f401xx.pp",
		"ncr160vt300wpp",
		"run_v1alpha1_client.py",
		"locale-archive",
		"0a1b",
		"1234",
		"12345",
		"99-sysctl.conf",
		"ld-linux-x86-64.so.2",
		"authorized_keys",
		"tmpfiles.d",
		"tmp-common1",
		"tmpabcdefgh",
		"2026",
		"2026-13-01",
		".bashrc",
		"[",
		"SmallLogo44x44.png",
		"PackageB2UnitB.pas",
		"",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		check(NULL, names[i], names[i], 0);
}

/* No name, whatever its bytes, has the template of another kind of name. */
static void no_name_is_a_template(void **state)
{
	static const char *const templates[] = { "{uuid}",  "{hex8}",
						 "a{num}",  "tmp{rand8}",
						 "{{uuid}", "{" };
	CLEANUP_BUF struct herd_buf out = HERD_BUF_INIT;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(templates); i++) {
		out.len = 0;
		assert_int_equal(herd_template_name(NULL, templates[i],
						    strlen(templates[i]), &out),
				 0);
		assert_true(out.len > strlen(templates[i]));
	}
	/* bytes that are no text */
	out.len = 0;
	assert_int_equal(herd_template_name(NULL, "\xff\0\x01{", 4, &out), 0);
	assert_memory_equal(out.data, "\xff\0\x01{{", 5);
}

static uint64_t seed = 88172645463325252ull;

static unsigned rnd(unsigned n)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return (unsigned)((seed >> 33) % n);
}

static unsigned told(const char *before, unsigned len, unsigned letters)
{
	static const char all[] = "0123456789abcdefghijklmnopqrstuvwxyz"
				  "ABCDEFGHIJKLMNOPQRSTUVWXYZ";
	CLEANUP_BUF struct herd_buf out = HERD_BUF_INIT;
	char name[64];
	unsigned n = 0;

	for (unsigned i = 0; i < 10000; i++) {
		size_t at = strlen(before);

		strcpy(name, before);
		for (unsigned k = 0; k < len; k++)
			name[at++] = all[rnd(letters)];
		n += herd_template_name(NULL, name, at, &out) != 0;
	}
	return n;
}

/* How many of 10,000 of each kind are told; docs/IDENTITY.md has the figures. */
static void share_that_is_told(void **state)
{
	static const struct {
		const char *what, *before;
		unsigned len, letters, least;
	} kinds[] = {
		{ "hex8", "obj-", 8, 16, 9950 },
		{ "hex32", "", 32, 16, 9999 },
		{ "mkstemp", "f.", 6, 62, 6500 },
		{ "mktemp", "tmp.", 10, 62, 9900 },
		{ "systemd", "systemd-private-x-a.service-", 6, 62, 9900 },
		{ "12 of 62", "agent-", 12, 62, 8000 },
		{ "8 of 36", "f-", 8, 36, 4500 },
		{ "26 of 36", "sess_", 26, 36, 9000 },
		{ "20 of 62", "", 20, 62, 7000 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		unsigned n =
			told(kinds[i].before, kinds[i].len, kinds[i].letters);

		print_message("%-10s %5.1f %%\n", kinds[i].what, n / 100.0);
		assert_true(n >= kinds[i].least);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(own_tokens),
		cmocka_unit_test(random_names),
		cmocka_unit_test(names_that_stay),
		cmocka_unit_test(no_name_is_a_template),
		cmocka_unit_test(share_that_is_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
