/* SPDX-License-Identifier: Apache-2.0 */
/* Own tokens: which are taken, how they are found, that nothing else is lost. */
#include "index/identity.h"
#include "tests/unit/identity_naive.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

/* ---- two siblings ------------------------------------------------------------ */

struct part {
	enum herd_token_kind kind;
	const char *label;   /* what may stand for what */
	const char *text[2]; /* of the one, of the other */
};

#define KEY_A "AAAAC3NzaC1lZDI1NTE5AAAAIGtlRTUxNDc4ODk3Mzc0NTkzNDU4OTM0NTg="
#define KEY_B "AAAAC3NzaC1lZDI1NTE5AAAAIPq7Lmx0Rm9vYmFyYmF6cXV4MTIzNDU2Nzg="
#define BODY_A                                                                 \
	"b3BlbnNzaC1rZXktdjEAAAAABG5vbmUAAAAEbm9uZQAAAAAAAAABAAAAMwAAAAtzc2\n" \
	"gtZWQyNTUxOQAAACBrZUU1MTQ3ODg5NzM3NDU5MzQ1ODkzNDU4OTM0NQ=="
#define BODY_B                                                                 \
	"b3BlbnNzaC1rZXktdjEAAAAABG5vbmUAAAAEbm9uZQAAAAAAAAABAAAAMwAAAAtzc2\n" \
	"gtZWQyNTUxOQAAACD6uy5sdEZvb2JhcmJhenF1eDEyMzQ1Njc4OTAxMjM0NQAA/="

/* What is added, and after it what follows from it. */
static const struct part given[] = {
	{ HERD_TOKEN_INSTANCE,
	  "id",
	  { "i-0123456789abcdef0", "i-0fedcba98765432a1" } },
	{ HERD_TOKEN_HOSTNAME, "name", { "web-1", "web-20" } },
	{ HERD_TOKEN_DNS, "dns", { "ec2-54-1-2-3", "ec2-54-11-22-33" } },
	{ HERD_TOKEN_ADDRESS, "v4", { "10.0.1.2", "10.0.1.23" } },
	{ HERD_TOKEN_ADDRESS, "v4", { "10.0.1.21", "10.0.1.3" } },
	{ HERD_TOKEN_ADDRESS, "v6", { "fd00:1::a1", "fd00:1::b" } },
	{ HERD_TOKEN_MAC, "mac", { "0a:58:0a:00:01:02", "0a:58:0a:00:01:17" } },
	{ HERD_TOKEN_VOLUME,
	  "vol",
	  { "vol-0aa11bb22cc33dd44", "vol-0ff55ee66dd77cc88" } },
	{ HERD_TOKEN_MACHINE_ID,
	  "mid",
	  { "0123456789abcdef0123456789abcde7",
	    "fedcba9876543210fedcba9876543213" } },
	{ HERD_TOKEN_HOST_KEY, "key", { KEY_A, KEY_B } },
	{ HERD_TOKEN_HOST_KEY, "private", { BODY_A, BODY_B } },
};

static const struct part derived[] = {
	{ HERD_TOKEN_HOSTNAME, "NAME", { "WEB-1", "WEB-20" } },
	{ HERD_TOKEN_ADDRESS, "v4-", { "10-0-1-2", "10-0-1-23" } },
	{ HERD_TOKEN_MAC, "MAC", { "0A:58:0A:00:01:02", "0A:58:0A:00:01:17" } },
	{ HERD_TOKEN_MAC,
	  "mac-",
	  { "0a-58-0a-00-01-02", "0a-58-0a-00-01-17" } },
	{ HERD_TOKEN_MAC, "plain mac", { "0a580a000102", "0a580a000117" } },
	{ HERD_TOKEN_MAC, "enx", { "enx0a580a000102", "enx0a580a000117" } },
	{ HERD_TOKEN_VOLUME,
	  "serial",
	  { "vol0aa11bb22cc33dd44", "vol0ff55ee66dd77cc88" } },
	{ HERD_TOKEN_MACHINE_ID,
	  "mid-",
	  { "01234567-89ab-cdef-0123-456789abcde7",
	    "fedcba98-7654-3210-fedc-ba9876543213" } },
	{ HERD_TOKEN_MACHINE_ID,
	  "MID",
	  { "0123456789ABCDEF0123456789ABCDE7",
	    "FEDCBA9876543210FEDCBA9876543213" } },
};

#define PARTS (ARRAY_SIZE(given) + ARRAY_SIZE(derived))

static const struct part *part(size_t i)
{
	return i < ARRAY_SIZE(given) ? &given[i] :
				       &derived[i - ARRAY_SIZE(given)];
}

static void add(struct herd_identity *id, enum herd_token_kind kind,
		const char *text)
{
	assert_int_equal(herd_identity_add(id, kind, text, strlen(text)), 0);
}

static struct herd_identity *sibling(unsigned which)
{
	struct herd_identity *id = NULL;

	assert_int_equal(herd_identity_create(&id), 0);
	for (size_t i = 0; i < ARRAY_SIZE(given); i++)
		add(id, given[i].kind, given[i].text[which]);
	assert_int_equal(herd_identity_count(id), ARRAY_SIZE(given));
	assert_int_equal(herd_identity_settle(id), 0);
	return id;
}

/* The normalised text, or the text itself. */
static void normal(const struct herd_identity *id, const void *p, size_t len,
		   struct herd_buf *out)
{
	out->len = 0;
	if (!herd_identity_normalise(id, p, len, out)) {
		assert_int_equal(out->len, 0);
		herd_buf_put(out, p, len);
	}
	assert_false(out->failed);
}

static bool same(const struct herd_buf *a, const struct herd_buf *b)
{
	return a->len == b->len &&
	       (!a->len || !memcmp(a->data, b->data, a->len));
}

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

/* ---- properties ------------------------------------------------------------------------ */

static uint64_t seed = 0x2545f4914f6cdd1d;

static unsigned rnd(unsigned n)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return (unsigned)((seed >> 33) % n);
}

static const char *const scraps[] = {
	" ",
	"\n",
	", ",
	"=",
	"\"",
	"/",
	":",
	".",
	"-",
	"_",
	"10.0.1.",
	"2",
	"web",
	"-1",
	"root",
	"PermitRootLogin no",
	"\tALL=(ALL) ",
	"{hostname}",
	"\x01"
	"B0\x01",
	"\xc3\xa4",
	"0a:58:",
	"fd00:1::",
	"key ",
	"i-0123456789abcdef",
	"AAAAC3NzaC1",
	"=",
	"+",
	"x",
	"9",
	"ip-",
	"vol",
	"#",
};

/* A text of both siblings': literals, and places that each fills with its own.
   A place stands between blanks when clean. */
static void compose(struct herd_buf out[2], bool clean)
{
	out[0].len = out[1].len = 0;
	for (unsigned n = 1 + rnd(12); n > 0; n--) {
		const char *scrap = scraps[rnd(ARRAY_SIZE(scraps))];
		const struct part *p = part(rnd(PARTS));
		bool place = rnd(2);

		for (unsigned s = 0; s < 2; s++) {
			const char *text = place ? p->text[s] : scrap;

			if (clean)
				herd_buf_u8(&out[s], "\n \t;("[n % 5]);
			herd_buf_put(&out[s], text, strlen(text));
			if (clean)
				herd_buf_u8(&out[s], ' ');
		}
	}
}

static void put_some(struct herd_buf *b, const struct herd_buf *text,
		     size_t from, size_t to)
{
	if (from < to)
		herd_buf_put(b, text->data + from, to - from);
}

/* Where one of sibling 0's texts stands, wherever that is. */
static bool find_own(const struct herd_buf *text, const char *label, size_t *at,
		     size_t *end)
{
	for (unsigned n = 0, i = rnd(PARTS); n < PARTS; n++, i++) {
		const char *own = part(i % PARTS)->text[0];
		const uint8_t *p = text->len ? memmem(text->data, text->len,
						      own, strlen(own)) :
					       NULL;

		if (!p || (label && strcmp(part(i % PARTS)->label, label)))
			continue;
		*at = (size_t)(p - text->data);
		*end = *at + strlen(own);
		return true;
	}
	return false;
}

static void edit(const struct herd_buf *text, struct herd_buf *ret)
{
	size_t at = rnd((unsigned)text->len + 1), end = at, keep;
	const char *put = "";
	char byte[2] = { (char)(1 + rnd(255)), 0 };

	switch (rnd(7)) {
	case 0: /* one byte more */
		put = byte;
		break;
	case 1: /* another byte */
		put = byte;
		end += at < text->len;
		break;
	case 2: /* some less */
		end += 1 + rnd(12);
		break;
	case 3: /* a token: own or the sibling's, for whatever is there */
		put = part(rnd(PARTS))->text[rnd(2)];
		end += rnd(30);
		break;
	case 4:
		put = scraps[rnd(ARRAY_SIZE(scraps))];
		end += rnd(3);
		break;
	case 5: /* for an own token another, often of its kind */
		if (find_own(text, rnd(2) ? "v4" : NULL, &at, &end))
			put = rnd(2) ? part(rnd(PARTS))->text[rnd(2)] :
				       given[3 + rnd(2)].text[0];
		break;
	default: /* a stretch twice */
		end = at;
		keep = at > 20 ? at - 20 : 0;
		put_some(ret, text, 0, at);
		put_some(ret, text, keep, at);
		put_some(ret, text, at, text->len);
		return;
	}
	if (end > text->len)
		end = text->len;
	put_some(ret, text, 0, at);
	herd_buf_put(ret, put, strlen(put));
	put_some(ret, text, end, text->len);
}

/* The own text of sibling 0 that stands at `at` in t and may stand for what a
   place of that kind and spelling is; the longest. Knows nothing of forms. */
static const struct part *own_at(const struct herd_buf *t, size_t at,
				 const char *label)
{
	const struct part *best = NULL;

	for (size_t i = 0; i < PARTS; i++) {
		size_t len = strlen(part(i)->text[0]);

		if ((label && strcmp(part(i)->label, label)) ||
		    len > t->len - at ||
		    memcmp(t->data + at, part(i)->text[0], len))
			continue;
		if (!best || len > strlen(best->text[0]))
			best = part(i);
	}
	return best;
}

/* Are a and b the same but for own tokens that stand for each other, as
   their common normal form says? */
static bool is_exchange(const struct herd_buf *normalised,
			const struct herd_buf *a, const struct herd_buf *b)
{
	size_t i = 0, k = 0;

	for (size_t n = 0; n < normalised->len; n++) {
		if (normalised->data[n]) {
			if (i >= a->len || k >= b->len ||
			    a->data[i++] != normalised->data[n] ||
			    b->data[k++] != normalised->data[n])
				return false;
			continue;
		}
		const struct part *pa = own_at(a, i, NULL);
		const struct part *pb = pa ? own_at(b, k, pa->label) : NULL;

		if (!pb)
			return false;
		i += strlen(pa->text[0]);
		k += strlen(pb->text[0]);
		n += HERD_PLACEHOLDER_LEN - 1;
	}
	return i == a->len && k == b->len;
}

#define EDITS 100000

static void no_edit_is_lost(void **state)
{
	struct herd_identity *id = sibling(0);
	CLEANUP_BUF struct herd_buf na = HERD_BUF_INIT;
	CLEANUP_BUF struct herd_buf nb = HERD_BUF_INIT;
	struct herd_buf text[2] = { HERD_BUF_INIT, HERD_BUF_INIT };
	unsigned edits = 0, exchanges = 0, missed = 0, replaced = 0;

	(void)state;
	while (edits < EDITS) {
		CLEANUP_BUF struct herd_buf other = HERD_BUF_INIT;

		compose(text, rnd(2));
		for (unsigned n = 1 + rnd(3); n > 0; n--) {
			CLEANUP_BUF struct herd_buf before = other;

			other = (struct herd_buf)HERD_BUF_INIT;
			edit(before.len ? &before : &text[0], &other);
		}
		if (same(&text[0], &other))
			continue;
		normal(id, text[0].data, text[0].len, &na);
		normal(id, other.data, other.len, &nb);
		replaced += na.len && memchr(na.data, 0, na.len) != NULL;
		if (!same(&na, &nb)) {
			edits++;
		} else if (is_exchange(&na, &text[0], &other)) {
			exchanges++;
		} else {
			edits++;
			missed++;
		}
	}
	print_message("%u edits, %u in texts with tokens, %u missed; "
		      "%u exchanges besides\n",
		      edits, replaced, missed, exchanges);
	assert_int_equal(missed, 0);
	/* or this has shown little */
	assert_true(replaced > EDITS / 3);
	assert_true(exchanges > 50);
	herd_buf_deinit(&text[0]);
	herd_buf_deinit(&text[1]);
	herd_identity_destroy(id);
}

static void siblings_come_to_the_same(void **state)
{
	struct herd_identity *id[2] = { sibling(0), sibling(1) };
	struct herd_buf text[2] = { HERD_BUF_INIT, HERD_BUF_INIT };
	struct herd_buf out[2] = { HERD_BUF_INIT, HERD_BUF_INIT };
	unsigned different = 0;

	(void)state;
	for (unsigned n = 0; n < 20000; n++) {
		compose(text, true);
		different += !same(&text[0], &text[1]);
		for (unsigned s = 0; s < 2; s++)
			normal(id[s], text[s].data, text[s].len, &out[s]);
		if (!same(&out[0], &out[1]))
			fail_msg("%.*s", (int)text[0].len,
				 (char *)text[0].data);
	}
	assert_true(different > 10000);
	for (unsigned s = 0; s < 2; s++) {
		herd_buf_deinit(&text[s]);
		herd_buf_deinit(&out[s]);
		herd_identity_destroy(id[s]);
	}
}

static void finds_what_the_naive_way_finds(void **state)
{
	struct herd_identity *id = sibling(0);
	struct herd_buf text[2] = { HERD_BUF_INIT, HERD_BUF_INIT };
	CLEANUP_BUF struct herd_buf fast = HERD_BUF_INIT;
	CLEANUP_BUF struct herd_buf slow = HERD_BUF_INIT;

	(void)state;
	for (unsigned n = 0; n < 20000; n++) {
		compose(text, false);
		fast.len = slow.len = 0;
		bool found = herd_identity_normalise(id, text[0].data,
						     text[0].len, &fast);

		assert_int_equal(found, naive_normalise(id, text[0].data,
							text[0].len, &slow));
		assert_true(same(&fast, &slow));
	}
	herd_buf_deinit(&text[0]);
	herd_buf_deinit(&text[1]);
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

/* ---- out of an image ---------------------------------------------------------------------- */

struct fake {
	const char *path, *content;
	size_t len; /* 0: a string */
};

static int fake_read(void *arg, const char *path, size_t max, char **ret,
		     size_t *ret_len)
{
	for (const struct fake *f = arg; f->path; f++) {
		if (strcmp(f->path, path))
			continue;
		size_t len = f->len ? f->len : strlen(f->content);

		*ret_len = len < max ? len : max;
		*ret = malloc(*ret_len + 1);
		if (!*ret)
			return -ENOMEM;
		memcpy(*ret, f->content, *ret_len);
		return 0;
	}
	return -ENOENT;
}

static struct herd_identity *from_image(const struct fake *files)
{
	struct herd_identity *id;

	assert_int_equal(herd_identity_create(&id), 0);
	assert_int_equal(herd_identity_from_image(id, fake_read, fake_read,
						  (void *)files),
			 0);
	assert_int_equal(herd_identity_settle(id), 0);
	return id;
}

static bool knows(const struct herd_identity *id, enum herd_token_kind kind,
		  const char *text)
{
	enum herd_token_kind k;
	const void *p;
	size_t len;

	for (size_t i = 0; herd_identity_token(id, i, &k, &p, &len); i++)
		if (k == kind && len == strlen(text) && !memcmp(p, text, len))
			return true;
	return false;
}

static void tokens_of_an_image(void **state)
{
	static const char two[] = "50-cloud-init.yaml\0.hidden";
	static const struct fake files[] = {
		{ "/etc/hostname", "# ours\nip-10-0-1-2.ec2.internal\n", 0 },
		{ "/etc/machine-id", "0123456789abcdef0123456789abcde7\n", 0 },
		{ "/etc/ssh/ssh_host_ed25519_key.pub",
		  "ssh-ed25519 " KEY_A " root@x\n", 0 },
		{ "/etc/ssh/ssh_host_ed25519_key",
		  "-----BEGIN OPENSSH PRIVATE KEY-----\n" BODY_A
		  "\n-----END OPENSSH PRIVATE KEY-----\n",
		  0 },
		{ "/etc/hosts",
		  "127.0.0.1 localhost\n10.0.1.2 ip-10-0-1-2 # 10.0.1.4 x\n"
		  "192.168.7.7 ip-10-0-1-2.ec2.internal db\n10.0.1.9 ip-10-0-1-9\n"
		  "8.8.4.4 ip-10-0-1-2\n",
		  0 },
		{ "/var/lib/cloud/data/instance-id", "i-0123456789abcdef0\n",
		  0 },
		{ "/var/lib/cloud/instances/i-0123456789abcdef0/network-config.json",
		  "{\"ethernets\": {\"ens5\": {\"match\": {\"macaddress\": \"0a:58:0a:00:01:02\"}, "
		  "\"addresses\": [\"10.0.1.21/24\", \"10.0.9.9\"]}}}",
		  0 },
		{ "/var/lib/cloud/data/set-hostname",
		  "{\n \"fqdn\": \"web-1.example.com\",\n \"hostname\": \"web-1\"\n}\n",
		  0 },
		{ "/etc/netplan", two, sizeof(two) },
		{ "/etc/netplan/50-cloud-init.yaml",
		  "network:\n  ethernets:\n    ens5:\n      addresses:\n      - 10.0.1.33/24\n"
		  "      - fd00:1::33/64\n      gateway4: 10.0.1.1\n      nameservers:\n"
		  "        addresses: [10.0.1.53, 10.0.1.54]\n      routes:\n"
		  "      - to: 10.7.0.0/16\n        via: 10.0.1.99\n",
		  0 },
		{ "/etc/netplan/.hidden", "address 10.0.1.66\n", 0 },
		{ "/etc/network/interfaces",
		  "iface eth0 inet static\n\taddress 10.0.1.44/24\n\tgateway 10.0.1.45\n"
		  "\thwaddress ether 0a:58:0a:00:01:44\n\taddress 8.8.8.8\n",
		  0 },
		{ "/var/lib/dhcp", "dhclient.leases", 16 },
		{ "/var/lib/dhcp/dhclient.leases",
		  "lease {\n  interface \"eth0\";\n  fixed-address 10.0.1.55;\n"
		  "  option routers 10.0.1.56;\n}\n",
		  0 },
		{ "/etc/iscsi/initiatorname.iscsi",
		  "## no\nInitiatorName=iqn.1993-08.org.debian:01:4f8e2a91b0\n",
		  0 },
		{ NULL, NULL, 0 },
	};
	static const char *const own[] = { "10.0.1.2",	 "192.168.7.7",
					   "10.0.1.21",	 "10.0.1.33",
					   "fd00:1::33", "10.0.1.44",
					   "10.0.1.55" };
	struct herd_identity *id = from_image(files);
	size_t addresses = 0;
	enum herd_token_kind kind;
	const void *p;
	size_t len;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(own); i++)
		if (!knows(id, HERD_TOKEN_ADDRESS, own[i]))
			fail_msg("%s is not known", own[i]);
	/* and no gateway, server, neighbour, or public address */
	for (size_t i = 0; herd_identity_token(id, i, &kind, &p, &len); i++)
		addresses += kind == HERD_TOKEN_ADDRESS;
	assert_int_equal(addresses, ARRAY_SIZE(own));
	assert_true(knows(id, HERD_TOKEN_HOSTNAME, "ip-10-0-1-2"));
	assert_true(knows(id, HERD_TOKEN_HOSTNAME, "web-1"));
	assert_true(knows(id, HERD_TOKEN_MACHINE_ID,
			  "0123456789abcdef0123456789abcde7"));
	assert_true(knows(id, HERD_TOKEN_HOST_KEY, KEY_A));
	assert_true(knows(id, HERD_TOKEN_HOST_KEY, BODY_A));
	assert_true(knows(id, HERD_TOKEN_INSTANCE, "i-0123456789abcdef0"));
	assert_true(knows(id, HERD_TOKEN_MAC, "0a580a000102"));
	assert_true(knows(id, HERD_TOKEN_MAC, "0a580a000144"));
	assert_true(knows(id, HERD_TOKEN_INITIATOR,
			  "iqn.1993-08.org.debian:01:4f8e2a91b0"));
	herd_identity_destroy(id);
}

static void an_empty_image_has_none(void **state)
{
	static const struct fake none[] = { { NULL, NULL, 0 } };
	struct herd_identity *id = from_image(none);

	(void)state;
	assert_int_equal(herd_identity_count(id), 0);
	expect(id, "whatever 10.0.1.2", "whatever 10.0.1.2");
	herd_identity_destroy(id);
	herd_identity_destroy(NULL);
}

/* No line of a hostile file makes public addresses, another's, or sentences
   into tokens. */
static void hostile_files(void **state)
{
	static const struct fake files[] = {
		{ "/etc/hostname", "PermitRootLogin yes\n", 0 },
		{ "/etc/machine-id", "\0\0\0", 3 },
		{ "/etc/hosts", "6.6.6.6 PermitRootLogin\n\n\n#\n6.6.6.7", 0 },
		{ "/var/lib/cloud/data/instance-id", "../../../etc/shadow-1\n",
		  0 },
		{ "/etc/ssh/ssh_host_rsa_key",
		  "-----BEGIN X\nALL ALL=(ALL) NOPASSWD\n-----END ", 0 },
		{ "/etc/ssh/ssh_host_rsa_key.pub", "ssh-rsa", 0 },
		{ "/etc/netplan", "../../etc/hostname\0..", 22 },
		{ "/etc/network/interfaces",
		  "address\naddress \naddress 10.0.1.2/999\naddress /\n", 0 },
		{ NULL, NULL, 0 },
	};
	struct herd_identity *id = from_image(files);

	(void)state;
	/* as a name and, out of /etc/hosts, as another */
	assert_int_equal(herd_identity_count(id), 2);
	assert_true(knows(id, HERD_TOKEN_HOSTNAME, "PermitRootLogin"));
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
		cmocka_unit_test(no_edit_is_lost),
		cmocka_unit_test(siblings_come_to_the_same),
		cmocka_unit_test(finds_what_the_naive_way_finds),
		cmocka_unit_test(encoded_and_decoded),
		cmocka_unit_test(tokens_of_an_image),
		cmocka_unit_test(an_empty_image_has_none),
		cmocka_unit_test(hostile_files),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
