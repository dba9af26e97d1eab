/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which texts are fit to be tokens, and how else they are written. Pure. The
 * reasons for each rule stand in docs/IDENTITY.md.
 *
 * A spelling is a property of a text alone, so that siblings' agree: bit 0
 * capitals only, bit 1 both, the rest the form (0 the first of those given).
 */
#include "index/identity_internal.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

#define FORM(n) ((unsigned)(n) << 2)

/* ---- what texts are ---------------------------------------------------------- */

/* Words that a text may hold anywhere, whatever machine it is on. */
static bool is_common(const char *p, size_t len)
{
	static const char *const words[] = {
		"localhost",	 "localdomain",	 "localhost4",	  "localhost6",
		"ip6-localhost", "ip6-loopback", "debian",	  "ubuntu",
		"centos",	 "fedora",	 "redhat",	  "rocky",
		"almalinux",	 "alpine",	 "amazon",	  "amazonlinux",
		"archlinux",	 "suse",	 "opensuse",	  "linux",
		"server",	 "client",	 "master",	  "worker",
		"docker",	 "podman",	 "packer",	  "builder",
		"template",	 "default",	 "unknown",	  "nobody",
		"system",	 "kernel",	 "network",	  "internal",
		"local",	 "example",	 "instance",	  "instance-id",
		"hostname",	 "gateway",	 "router",	  "database",
		"webserver",	 "nocloud",	 "uninitialized", "production",
		"staging",	 "testing",	 "development",	  "none",
		"ipv4",		 "ipv6",	 "eth0",	  "ens3",
		"ens5",		 "amd64",	 "arm64",	  "x86_64",
		"i386",		 "i686",	 "sha1",	  "sha256",
		"sha512",	 "base64",	 "utf8",	  "utf-8",
		"python3",	 "debian11",	 "debian12",	  "debian13",
		"ubuntu22",	 "ubuntu24",	 "iso8859",	  "http2",
	};

	for (size_t i = 0; i < ARRAY_SIZE(words); i++)
		if (strlen(words[i]) == len && !strncasecmp(words[i], p, len))
			return true;
	return false;
}

struct census {
	unsigned digits, letters, lower, upper, others, distinct;
};

static struct census census(const char *p, size_t len)
{
	struct census c = { 0 };
	bool seen[256] = { false };

	for (size_t i = 0; i < len; i++) {
		unsigned char b = (unsigned char)p[i];

		c.digits += herd_is_digit(b);
		c.lower += herd_is_lower(b);
		c.upper += herd_is_upper(b);
		c.others += !herd_is_alnum(b);
		c.distinct += !seen[b];
		seen[b] = true;
	}
	c.letters = c.lower + c.upper;
	return c;
}

static unsigned letter_case(const char *p, size_t len)
{
	struct census c = census(p, len);

	if (!c.upper)
		return 0;
	return c.lower ? 2 : 1;
}

/* Only letters, digits and these, a letter or digit at both ends. */
static bool is_made_of(const char *p, size_t len, const char *others)
{
	for (size_t i = 0; i < len; i++)
		if (!herd_is_alnum(p[i]) && (!p[i] || !strchr(others, p[i])))
			return false;
	return len && herd_is_alnum(p[0]) && herd_is_alnum(p[len - 1]);
}

/* n hex digits, `joint` allowed between any two bytes. */
static bool parse_hex(const char *p, size_t len, const char *joints, char *out,
		      size_t n)
{
	size_t k = 0;

	for (size_t i = 0; i < len; i++) {
		if (k && k < n && p[i] && strchr(joints, p[i]) &&
		    herd_hex_value(p[i - 1]) >= 0)
			continue;
		int v = herd_hex_value(p[i]);

		if (v < 0 || k == n)
			return false;
		out[k++] = "0123456789abcdef"[v];
	}
	return k == n;
}

/* 32 digits or 8-4-4-4-12; into 32 small ones. */
static bool parse_uuid(const char *p, size_t len, char out[32])
{
	if (len == 36 &&
	    (p[8] != '-' || p[13] != '-' || p[18] != '-' || p[23] != '-'))
		return false;
	return (len == 32 || len == 36) && parse_hex(p, len, "-", out, 32);
}

static int parse_address(const char *p, size_t len, struct in6_addr *ret)
{
	char text[INET6_ADDRSTRLEN];

	if (!len || len >= sizeof(text) || memchr(p, '\0', len))
		return 0;
	memcpy(text, p, len);
	text[len] = '\0';
	if (inet_pton(AF_INET, text, ret) == 1)
		return AF_INET;
	return inet_pton(AF_INET6, text, ret) == 1 ? AF_INET6 : 0;
}

bool herd_address_private(const char *p, size_t len)
{
	struct in6_addr a;
	const uint8_t *b = a.s6_addr;

	switch (parse_address(p, len, &a)) {
	case AF_INET:
		return b[0] == 10 || (b[0] == 172 && b[1] >> 4 == 1) ||
		       (b[0] == 192 && b[1] == 168) ||
		       (b[0] == 100 && b[1] >> 6 == 1);
	case AF_INET6:
		return (b[0] & 0xfe) == 0xfc ||
		       (b[0] == 0xfe && (b[1] & 0xc0) == 0x80);
	default:
		return false;
	}
}

/* ---- the usual spelling --------------------------------------------------------- */

static size_t usual_id(const char *p, size_t len, char *buf)
{
	struct census c = census(p, len);

	if (parse_uuid(p, len, buf))
		return census(buf, 32).distinct > 3 ? 32 : 0;
	if (len < 6 || len > 128 || !is_made_of(p, len, "-._:") || !c.digits ||
	    !c.letters || c.distinct < 4 || is_common(p, len))
		return 0;
	memcpy(buf, p, len);
	return len;
}

/* A name that a group's members are told apart by has a number in it, or at
   least is long and no usual word. */
static bool is_telling(const char *p, size_t len, bool number)
{
	struct census c = census(p, len);

	if (!c.letters || is_common(p, len))
		return false;
	return c.digits ? len >= HERD_IDENTITY_WINDOW_MIN : !number && len >= 6;
}

static size_t usual_name(const char *p, size_t len, char *buf)
{
	if (len && p[len - 1] == '.')
		len--;
	if (!len || len > 253 || !is_made_of(p, len, ".-_"))
		return 0;
	const char *dot = memchr(p, '.', len);
	size_t label = dot ? (size_t)(dot - p) : len;

	if (is_telling(p, label, dot) && herd_is_alnum(p[label - 1]))
		len = label;
	else if (is_common(p, label) || !is_telling(p, len, false))
		return 0;
	memcpy(buf, p, len);
	return len;
}

static size_t usual_address(const char *p, size_t len, char *buf)
{
	struct in6_addr a;
	const uint8_t *b = a.s6_addr;
	int family = parse_address(p, len, &a);

	if (!family)
		return 0;
	if (family == AF_INET && (b[0] == 0 || b[0] == 127 || b[0] >= 224 ||
				  !b[3] || (b[0] == 169 && b[1] == 254)))
		return 0;
	/* ::, ::1, mapped and other embedded ones; multicast */
	if (family == AF_INET6 &&
	    (b[0] == 0xff || (!b[0] && !b[1] && !b[2] && !b[3])))
		return 0;
	if (!inet_ntop(family, &a, buf, INET6_ADDRSTRLEN))
		return 0;
	size_t n = strlen(buf);

	return n >= 6 && herd_is_alnum(buf[n - 1]) ? n : 0;
}

static size_t usual_mac(const char *p, size_t len, char *buf)
{
	if (!parse_hex(p, len, ":-.", buf, 12) || herd_hex_value(buf[1]) & 1 ||
	    census(buf, 12).distinct < 3)
		return 0;
	return 12;
}

static size_t usual_uuid(const char *p, size_t len, char *buf)
{
	return parse_uuid(p, len, buf) && census(buf, 32).distinct > 3 ? 32 : 0;
}

/* Of FAT a serial number, 1234-ABCD, of NTFS one of 16 digits. */
static size_t usual_fs_uuid(const char *p, size_t len, char *buf)
{
	if (parse_uuid(p, len, buf))
		return usual_uuid(p, len, buf);
	if (len == 9 ? p[4] != '-' || !parse_hex(p, 9, "-", buf, 8) :
		       len != 16 || !parse_hex(p, 16, "", buf, 16))
		return 0;
	if (census(p, len).distinct < 4)
		return 0;
	memcpy(buf, p, len);
	return len;
}

/*
 * Base64 in lines of the usual length. A token as long as this must not
 * repeat itself at short distances: a text that does would have to be
 * compared with it over and over. Within one it can begin anew only behind the
 * end of a line, for elsewhere it would not stand alone.
 */
static bool is_key(const char *p, size_t len)
{
	size_t line = 0, body = len;

	while (body && p[body - 1] == '=' && len - body < 3)
		body--;
	if (len < 40 || len > HERD_IDENTITY_TOKEN_MAX || !herd_is_alnum(p[0]))
		return false;
	for (size_t i = 0; i < body; i++, line++) {
		if (p[i] == '\n' && line >= 48)
			line = (size_t)-1;
		else if (!herd_is_alnum(p[i]) && p[i] != '+' && p[i] != '/')
			return false;
	}
	return census(p, len < 48 ? len : 48).distinct >= 12;
}

size_t herd_token_canonical(enum herd_token_kind kind, const char *p,
			    size_t len, char buf[HERD_SPELLING_MAX],
			    const char **ret_text)
{
	while (len && herd_is_space(p[0]))
		p++, len--;
	while (len && herd_is_space(p[len - 1]))
		len--;
	*ret_text = buf;
	if (!len)
		return 0;
	switch (kind) {
	case HERD_TOKEN_INSTANCE:
	case HERD_TOKEN_VOLUME:
	case HERD_TOKEN_INTERFACE:
	case HERD_TOKEN_RESERVATION:
	case HERD_TOKEN_INITIATOR:
		return usual_id(p, len, buf);
	case HERD_TOKEN_HOSTNAME:
	case HERD_TOKEN_DNS:
		return usual_name(p, len, buf);
	case HERD_TOKEN_ADDRESS:
		return usual_address(p, len, buf);
	case HERD_TOKEN_MAC:
		return usual_mac(p, len, buf);
	case HERD_TOKEN_MACHINE_ID:
	case HERD_TOKEN_BOOT_ID:
	case HERD_TOKEN_SYSTEM_UUID:
	case HERD_TOKEN_NVME_HOST:
		return usual_uuid(p, len, buf);
	case HERD_TOKEN_FS_UUID:
		return usual_fs_uuid(p, len, buf);
	case HERD_TOKEN_HOST_KEY:
		*ret_text = p;
		return is_key(p, len) ? len : 0;
	case HERD_TOKEN_MAX:
		break;
	}
	return 0;
}

/* ---- the others ---------------------------------------------------------------- */

struct speller {
	herd_spelling_fn *each;
	void *arg;
	enum herd_token_kind kind;
	char joint;
	int error;
};

static void say(struct speller *s, unsigned form, const char *p, size_t len)
{
	if (!s->error)
		s->error = s->each(s->arg, s->kind, form | letter_case(p, len),
				   s->joint, p, len);
}

/* As it is, in small letters and in capitals. */
static void say_cases(struct speller *s, unsigned form, const char *p,
		      size_t len)
{
	char small[HERD_SPELLING_MAX], capital[HERD_SPELLING_MAX];

	for (size_t i = 0; i < len; i++) {
		small[i] = (char)(herd_is_upper(p[i]) ? p[i] + 32 : p[i]);
		capital[i] = (char)(herd_is_lower(p[i]) ? p[i] - 32 : p[i]);
	}
	say(s, form, p, len);
	say(s, form, small, len);
	say(s, form, capital, len);
}

static void say_uuid(struct speller *s, const char *p)
{
	char dashed[40];
	int n = snprintf(dashed, sizeof(dashed), "%.8s-%.4s-%.4s-%.4s-%.12s", p,
			 p + 8, p + 12, p + 16, p + 20);

	say_cases(s, FORM(0), p, 32);
	say_cases(s, FORM(1), dashed, (size_t)n);
}

static void say_id(struct speller *s, const char *p, size_t len)
{
	char uuid[32], joined[HERD_SPELLING_MAX];
	const char *dash = memchr(p, '-', len);

	if (parse_uuid(p, len, uuid)) {
		say_uuid(s, uuid);
		return;
	}
	say(s, FORM(0), p, len);
	/* a volume's serial number is its id without the dash */
	if (s->kind != HERD_TOKEN_VOLUME || !dash)
		return;
	size_t head = (size_t)(dash - p);

	memcpy(joined, p, head);
	memcpy(joined + head, dash + 1, len - head - 1);
	say(s, FORM(1), joined, len - 1);
}

static void say_mac(struct speller *s, const char *p)
{
	static const char joints[] = { ':', '-' };
	char text[24];

	for (unsigned k = 0; k < ARRAY_SIZE(joints); k++) {
		char j = joints[k];
		int n = snprintf(text, sizeof(text),
				 "%.2s%c%.2s%c%.2s%c%.2s%c%.2s%c%.2s", p, j,
				 p + 2, j, p + 4, j, p + 6, j, p + 8, j,
				 p + 10);

		s->joint = j;
		say_cases(s, FORM(k), text, (size_t)n);
	}
	s->joint = 0;
	say_cases(s, FORM(2), p, 12);
	/* udev's name for the interface */
	memcpy(text, "enx", 3);
	memcpy(text + 3, p, 12);
	say(s, FORM(3), text, 15);
}

static void say_address(struct speller *s, const char *p, size_t len)
{
	char dashed[HERD_SPELLING_MAX];

	s->joint = ':';
	if (memchr(p, ':', len)) {
		say_cases(s, FORM(2), p, len);
		return;
	}
	s->joint = '.';
	say(s, FORM(0), p, len);
	for (size_t i = 0; i < len; i++)
		dashed[i] = (char)(p[i] == '.' ? '-' : p[i]);
	s->joint = '-';
	say(s, FORM(1), dashed, len);
}

/* ip-10-0-1-2 has the address in it. One whose kind is the name's would be
   none of the siblings' that have it from elsewhere. */
static void say_address_of_name(struct speller *s, const char *p, size_t len)
{
	char text[HERD_SPELLING_MAX], buf[HERD_SPELLING_MAX];
	size_t from = len;
	unsigned dashes = 0;

	while (from && (herd_is_digit(p[from - 1]) ||
			(p[from - 1] == '-' && dashes < 3)))
		dashes += p[--from] == '-';
	if (dashes != 3 || !from || p[from - 1] != '-')
		return;
	for (size_t i = from; i < len; i++)
		text[i - from] = (char)(p[i] == '-' ? '.' : p[i]);
	if (!herd_address_private(text, len - from))
		return;
	size_t n = usual_address(text, len - from, buf);

	s->kind = HERD_TOKEN_ADDRESS;
	if (n)
		say_address(s, buf, n);
}

int herd_token_spell(enum herd_token_kind kind, const char *p, size_t len,
		     herd_spelling_fn *each, void *arg)
{
	struct speller s = { .each = each, .arg = arg, .kind = kind };

	switch (kind) {
	case HERD_TOKEN_HOSTNAME:
	case HERD_TOKEN_DNS:
		say_cases(&s, FORM(0), p, len);
		say_address_of_name(&s, p, len);
		break;
	case HERD_TOKEN_ADDRESS:
		say_address(&s, p, len);
		break;
	case HERD_TOKEN_MAC:
		say_mac(&s, p);
		break;
	case HERD_TOKEN_MACHINE_ID:
	case HERD_TOKEN_BOOT_ID:
	case HERD_TOKEN_SYSTEM_UUID:
	case HERD_TOKEN_NVME_HOST:
		say_uuid(&s, p);
		break;
	case HERD_TOKEN_FS_UUID:
		if (len == 32)
			say_uuid(&s, p);
		else
			say_cases(&s, FORM(2), p, len);
		break;
	case HERD_TOKEN_HOST_KEY:
		/* public 0, private 1; letters' case is nothing here */
		if (!s.error)
			s.error = each(arg, kind,
				       FORM(memchr(p, '\n', len) != NULL), 0, p,
				       len);
		break;
	default:
		say_id(&s, p, len);
	}
	return s.error;
}
