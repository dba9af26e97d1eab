/* SPDX-License-Identifier: Apache-2.0 */
/* Own tokens: which are taken, how they are found and kept. */
#include "tests/unit/identity_fixture.h"

#include <stdio.h>

/* ---- which are taken ------------------------------------------------------------- */

static size_t taken(enum herd_token_kind kind, const char *text)
{
	struct herd_identity *id;
	size_t n;

	assert_int_equal(herd_identity_create(&id), 0);
	add(id, kind, text);
	n = herd_identity_count(id);
	herd_identity_destroy(id);
	return n;
}

static void common_texts_are_no_tokens(void **state)
{
	static const struct {
		enum herd_token_kind kind;
		const char *text;
	} not [] = {
		{ HERD_TOKEN_HOSTNAME, "localhost" },
		{ HERD_TOKEN_HOSTNAME, "localhost.localdomain" },
		{ HERD_TOKEN_HOSTNAME, "Debian" },
		{ HERD_TOKEN_HOSTNAME, "ip" },
		{ HERD_TOKEN_HOSTNAME, "web" },
		{ HERD_TOKEN_HOSTNAME, "a1" },
		{ HERD_TOKEN_HOSTNAME, "123456" },
		{ HERD_TOKEN_HOSTNAME, "sha256" },
		{ HERD_TOKEN_HOSTNAME, "a b-12345" },
		{ HERD_TOKEN_HOSTNAME, "" },
		{ HERD_TOKEN_HOSTNAME, "-web-12" },
		{ HERD_TOKEN_HOSTNAME, "10.0.1.2" },
		{ HERD_TOKEN_ADDRESS, "127.0.0.1" },
		{ HERD_TOKEN_ADDRESS, "0.0.0.0" },
		{ HERD_TOKEN_ADDRESS, "255.255.255.255" },
		{ HERD_TOKEN_ADDRESS, "169.254.169.254" },
		{ HERD_TOKEN_ADDRESS, "10.0.1.0" },
		{ HERD_TOKEN_ADDRESS, "::1" },
		{ HERD_TOKEN_ADDRESS, "ff02::1" },
		{ HERD_TOKEN_ADDRESS, "10.0.1" },
		{ HERD_TOKEN_ADDRESS, "10.0.1.2/24" },
		{ HERD_TOKEN_MAC, "00:00:00:00:00:00" },
		{ HERD_TOKEN_MAC, "ff:ff:ff:ff:ff:ff" },
		{ HERD_TOKEN_MAC, "01:00:5e:00:00:01" },
		{ HERD_TOKEN_MAC, "0a:58:0a:00:01" },
		{ HERD_TOKEN_MACHINE_ID, "00000000000000000000000000000000" },
		{ HERD_TOKEN_MACHINE_ID, "uninitialized" },
		{ HERD_TOKEN_MACHINE_ID, "0123456789abcdef0123456789abcde" },
		{ HERD_TOKEN_FS_UUID, "root" },
		{ HERD_TOKEN_FS_UUID, "0000-0000" },
		{ HERD_TOKEN_INSTANCE, "nocloud" },
		{ HERD_TOKEN_INSTANCE, "i-1" },
		{ HERD_TOKEN_HOST_KEY,
		  "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA" },
		{ HERD_TOKEN_HOST_KEY,
		  "PermitRootLogin yes and more words than forty" },
	};
	static const struct {
		enum herd_token_kind kind;
		const char *text;
	} are[] = {
		{ HERD_TOKEN_HOSTNAME, " web1\n" },
		{ HERD_TOKEN_HOSTNAME, "apollo" },
		{ HERD_TOKEN_DNS, "mail.example.com" },
		{ HERD_TOKEN_ADDRESS, "10.0.0.5" },
		{ HERD_TOKEN_ADDRESS, "2001:db8::5" },
		{ HERD_TOKEN_MAC, "0A-58-0A-00-01-02" },
		{ HERD_TOKEN_FS_UUID, "1A2B-3C4D" },
		{ HERD_TOKEN_FS_UUID, "01D9A3B4C5E6F708" },
		{ HERD_TOKEN_INSTANCE, "i-0123456789abcdef0" },
		{ HERD_TOKEN_INITIATOR,
		  "iqn.1993-08.org.debian:01:4f8e2a91b0" },
		{ HERD_TOKEN_HOST_KEY, KEY_A },
		{ HERD_TOKEN_HOST_KEY, BODY_A },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(not ); i++)
		if (taken(not [i].kind, not [i].text))
			fail_msg("%s is a token", not [i].text);
	for (size_t i = 0; i < ARRAY_SIZE(are); i++)
		if (!taken(are[i].kind, are[i].text))
			fail_msg("%s is no token", are[i].text);
}

static void limits_hold(void **state)
{
	struct herd_identity *id;
	char text[64];
	int r = 0, n;

	(void)state;
	assert_int_equal(herd_identity_create(&id), 0);
	for (n = 0; n < 1000 && !r; n++) {
		snprintf(text, sizeof(text), "host-%d", n);
		r = herd_identity_add(id, HERD_TOKEN_HOSTNAME, text,
				      strlen(text));
	}
	assert_int_equal(r, -EOVERFLOW);
	assert_int_equal(herd_identity_count(id), HERD_IDENTITY_TOKENS_MAX);
	/* a duplicate is none too many */
	add(id, HERD_TOKEN_HOSTNAME, "host-7");
	assert_int_equal(herd_identity_add(id, HERD_TOKEN_MAX, "abcdef12", 8),
			 -EINVAL);
	assert_int_equal(herd_identity_settle(id), 0);
	assert_int_equal(herd_identity_add(id, HERD_TOKEN_HOSTNAME, "abc-1", 5),
			 -EINVAL);
	herd_identity_destroy(id);
}

/* ---- what is replaced ---------------------------------------------------------------- */

/* Placeholders as <label> of the first kind's letter and the spelling. */
static void expect(const struct herd_identity *id, const char *text,
		   const char *want)
{
	CLEANUP_BUF struct herd_buf out = HERD_BUF_INIT;
	CLEANUP_BUF struct herd_buf shown = HERD_BUF_INIT;

	normal(id, text, strlen(text), &out);
	for (size_t i = 0; i < out.len; i++) {
		if (out.data[i]) {
			herd_buf_u8(&shown, out.data[i]);
			continue;
		}
		assert_true(i + 3 < out.len && !out.data[i + 3]);
		herd_buf_printf(&shown, "<%s%d>",
				herd_token_name(out.data[i + 1] - 'A'),
				out.data[i + 2] - '0');
		i += 3;
	}
	herd_buf_u8(&shown, 0);
	assert_string_equal((char *)shown.data, want);
}

static void tokens_stand_alone(void **state)
{
	struct herd_identity *id = sibling(0);

	(void)state;
	expect(id, "10.0.1.2", "<address0>");
	expect(id, "listen 10.0.1.2:80; # 10.0.1.2.",
	       "listen <address0>:80; # <address0>.");
	expect(id, "110.0.1.2 10.0.1.25 10.0.1.2.5 9.10.0.1.2",
	       "110.0.1.2 10.0.1.25 10.0.1.2.5 9.10.0.1.2");
	expect(id, "10.0.1.21 10.0.1.22", "<address0> 10.0.1.22");
	expect(id, "fd00:1::a1 fd00:1::a1:2 fe:fd00:1::a1 [fd00:1::a1]:80",
	       "<address8> fd00:1::a1:2 fe:fd00:1::a1 [<address8>]:80");
	expect(id, "ip-10-0-1-2.ec2.internal", "ip-<address4>.ec2.internal");
	expect(id,
	       "web-1.example.com web-10 xweb-1 web-1x my_web-1_log WEB-1 Web-1",
	       "<hostname0>.example.com web-10 xweb-1 web-1x my_<hostname0>_log <hostname1> Web-1");
	expect(id, "0a:58:0a:00:01:02 0a:58:0a:00:01:02:03 0A580A000102",
	       "<mac0> 0a:58:0a:00:01:02:03 <mac9>");
	expect(id,
	       "nvme-Amazon_Elastic_Block_Store_vol0aa11bb22cc33dd44 vol-0aa11bb22cc33dd44",
	       "nvme-Amazon_Elastic_Block_Store_<volume-id4> <volume-id0>");
	expect(id, "01234567-89AB-CDEF-0123-456789ABCDE7", "<machine-id5>");
	expect(id, "ssh-ed25519 " KEY_A " root@web-1\n",
	       "ssh-ed25519 <host-key0> root@<hostname0>\n");
	expect(id, "ssh-ed25519 " KEY_A "=\nx/" KEY_A,
	       "ssh-ed25519 " KEY_A "=\nx/" KEY_A);
	expect(id,
	       "-----BEGIN OPENSSH PRIVATE KEY-----\n" BODY_A
	       "\n-----END OPENSSH PRIVATE KEY-----\n",
	       "-----BEGIN OPENSSH PRIVATE KEY-----\n<host-key4>\n-----END OPENSSH PRIVATE KEY-----\n");
	expect(id, "{hostname} <hostname0>", "{hostname} <hostname0>");
	expect(id, "", "");
	herd_identity_destroy(id);
}

static void longest_first(void **state)
{
	struct herd_identity *id;

	(void)state;
	assert_int_equal(herd_identity_create(&id), 0);
	add(id, HERD_TOKEN_HOSTNAME, "web-1");
	add(id, HERD_TOKEN_HOSTNAME, "web-1-b2");
	add(id, HERD_TOKEN_HOSTNAME, "b2-web-1");
	/* where kinds meet the lower counts, however they were added */
	add(id, HERD_TOKEN_VOLUME, "i-0123456789abcdef0");
	add(id, HERD_TOKEN_HOSTNAME, "i-0123456789abcdef0.example.com");
	add(id, HERD_TOKEN_INSTANCE, "i-0123456789abcdef0");
	assert_int_equal(herd_identity_settle(id), 0);
	expect(id, "web-1-b2 web-1-b web-1-b2-web-1",
	       "<hostname0> <hostname0>-b <hostname0>-<hostname0>");
	expect(id, "web-1-b2x", "<hostname0>-b2x");
	expect(id, "i-0123456789abcdef0", "<instance-id0>");
	herd_identity_destroy(id);
}

static void a_name_tells_its_address(void **state)
{
	struct herd_identity *id;

	(void)state;
	assert_int_equal(herd_identity_create(&id), 0);
	add(id, HERD_TOKEN_HOSTNAME, "ip-10-0-1-2.ec2.internal");
	add(id, HERD_TOKEN_DNS, "ec2-54-1-2-3.compute-1.amazonaws.com");
	assert_int_equal(herd_identity_settle(id), 0);
	expect(id, "ip-10-0-1-2 10.0.1.2 ec2-54-1-2-3.x 54.1.2.3",
	       "<hostname0> <address0> <dns-name0>.x 54.1.2.3");
	herd_identity_destroy(id);
}

/* A NUL begins a placeholder; what has one of its own is no text. */
static void nothing_forges_a_placeholder(void **state)
{
	struct herd_identity *id = sibling(0);
	CLEANUP_BUF struct herd_buf out = HERD_BUF_INIT;
	CLEANUP_BUF struct herd_buf again = HERD_BUF_INIT;
	const char *text = "name web-1\n";

	(void)state;
	assert_true(herd_identity_normalise(id, text, strlen(text), &out));
	assert_false(herd_identity_normalise(id, out.data, out.len, &again));
	assert_false(herd_identity_normalise(id, "web-1\0web-1", 11, &again));
	assert_int_equal(again.len, 0);
	herd_identity_destroy(id);
}

/* Another kind of one's own at the same place is a difference, so is another
   spelling. */
static void kinds_are_not_exchanged(void **state)
{
	struct herd_identity *id = sibling(0);
	CLEANUP_BUF struct herd_buf a = HERD_BUF_INIT;
	CLEANUP_BUF struct herd_buf b = HERD_BUF_INIT;

	(void)state;
	for (size_t i = 0; i < PARTS; i++) {
		for (size_t k = 0; k < PARTS; k++) {
			const char *ta = part(i)->text[0],
				   *tb = part(k)->text[0];

			normal(id, ta, strlen(ta), &a);
			normal(id, tb, strlen(tb), &b);
			assert_int_equal(a.len, HERD_PLACEHOLDER_LEN);
			assert_int_equal(same(&a, &b), !strcmp(part(i)->label,
							       part(k)->label));
		}
	}
	herd_identity_destroy(id);
}

/* ---- the store -------------------------------------------------------------------------- */

static void encoded_and_decoded(void **state)
{
	struct herd_identity *id = sibling(0), *back = NULL;
	CLEANUP_BUF struct herd_buf a = HERD_BUF_INIT;
	CLEANUP_BUF struct herd_buf b = HERD_BUF_INIT;

	(void)state;
	assert_int_equal(herd_identity_encode(id, &a), 0);
	assert_null(memmem(a.data, a.len, "b3BlbnNzaC", 10));
	assert_int_equal(herd_identity_decode(a.data, a.len, &back), 0);
	/* all but the private key */
	assert_int_equal(herd_identity_count(back), ARRAY_SIZE(given) - 1);
	assert_int_equal(herd_identity_encode(back, &b), 0);
	assert_true(same(&a, &b));
	expect(back, "web-1 10.0.1.2", "<hostname0> <address0>");
	herd_identity_destroy(back);
	for (size_t len = 0; len < a.len; len++)
		assert_int_equal(herd_identity_decode(a.data, len, &back),
				 -EBADMSG);
	herd_buf_u8(&a, 0);
	assert_int_equal(herd_identity_decode(a.data, a.len, &back), -EBADMSG);
	/* twice the same; not in the usual spelling */
	assert_int_equal(herd_identity_decode("\2\1\5web-1\1\5web-1", 15,
					      &back),
			 -EBADMSG);
	assert_int_equal(herd_identity_decode("\1\1\6web-1 ", 9, &back),
			 -EBADMSG);
	assert_int_equal(herd_identity_decode("\1\1\5web-1", 8, &back), 0);
	herd_identity_destroy(back);
	herd_identity_destroy(id);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(common_texts_are_no_tokens),
		cmocka_unit_test(limits_hold),
		cmocka_unit_test(tokens_stand_alone),
		cmocka_unit_test(longest_first),
		cmocka_unit_test(a_name_tells_its_address),
		cmocka_unit_test(nothing_forges_a_placeholder),
		cmocka_unit_test(kinds_are_not_exchanged),
		cmocka_unit_test(encoded_and_decoded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
