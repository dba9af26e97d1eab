/* SPDX-License-Identifier: Apache-2.0 */
#include "index/content.h"

#include <endian.h>
#include <string.h>

#define TEXT_LOOK 512 /* bytes of which text is told */

struct head {
	const uint8_t *p;
	size_t len;
	uint64_t size;
};

static uint32_t le32_at(const struct head *h, size_t at)
{
	uint32_t v = 0;

	if (at + sizeof(v) <= h->len)
		memcpy(&v, h->p + at, sizeof(v));
	return le32toh(v);
}

static bool has(const struct head *h, size_t at, const void *bytes, size_t n)
{
	return at + n <= h->len && !memcmp(h->p + at, bytes, n);
}

#define HAS(h, at, literal) has(h, at, literal, sizeof(literal) - 1)

/* ---- ELF ------------------------------------------------------------------------ */

static uint64_t elf_number(const struct head *h, size_t at, unsigned n,
			   bool big)
{
	uint64_t v = 0;

	for (unsigned i = 0; i < n && at + n <= h->len; i++)
		v = v << 8 | h->p[at + (big ? i : n - 1 - i)];
	return v;
}

/* Does it name an interpreter? Then it is to be run (as libc.so.6 is, too). */
static bool has_interpreter(const struct head *h, bool wide, bool big)
{
	uint64_t at = elf_number(h, wide ? 32 : 28, wide ? 8 : 4, big);
	uint64_t size = elf_number(h, wide ? 54 : 42, 2, big);
	uint64_t n = elf_number(h, wide ? 56 : 44, 2, big);

	for (uint64_t i = 0; i < n && at < h->len && size; i++, at += size)
		if (elf_number(h, at, 4, big) == 3)
			return true;
	return false;
}

/* What claims to be ELF and is of no known type is taken for a program: a
   kernel's binfmt handler may know better than this. */
static enum herd_sort elf(const struct head *h)
{
	bool wide = h->len > 4 && h->p[4] == 2,
	     big = h->len > 5 && h->p[5] == 2;

	switch (elf_number(h, 16, 2, big)) {
	case 1:
		return HERD_SORT_MODULE;
	case 3:
		return has_interpreter(h, wide, big) ? HERD_SORT_PROGRAM :
						       HERD_SORT_LIBRARY;
	case 4:
		return HERD_SORT_CORE;
	default:
		return HERD_SORT_PROGRAM;
	}
}

/* ---- text ----------------------------------------------------------------------- */

static bool is_text(const struct head *h)
{
	size_t n = h->len < TEXT_LOOK ? h->len : TEXT_LOOK;
	uint32_t odd = 0;

	/* of UTF-16 the mark says enough */
	if (h->len >= 2 && (HAS(h, 0, "\xff\xfe") || HAS(h, 0, "\xfe\xff")))
		return true;
	/* control characters other than tab to return, and escape */
	for (size_t i = 0; i < n; i++) {
		uint8_t c = h->p[i];

		odd |= (c < 32 && (c < 8 || c > 13) && c != 27) || c == 127;
	}
	return !odd;
}

static bool same_letters(const uint8_t *p, const char *word, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		uint8_t c = p[i];

		if ((c >= 'A' && c <= 'Z' ? c + 32 : c) != (uint8_t)word[i])
			return false;
	}
	return true;
}

/* The first of a word's occurrences from `from` on; len: there is none. */
static size_t find(const struct head *h, size_t from, const char *word)
{
	const uint8_t *p = NULL;

	if (from < h->len)
		p = memmem(h->p + from, h->len - from, word, strlen(word));
	return p ? (size_t)(p - h->p) : h->len;
}

/*
 * A line that begins a private key, with a line of it below: in a program or
 * a manual that only speaks of such lines they are quoted, or nothing follows.
 */
static bool has_key(const struct head *h)
{
	static const char end[] = "-----";
	size_t at = 0, from;

	while ((at = find(h, at, "PRIVATE KEY")) < h->len) {
		for (from = at;
		     from && h->p[from - 1] != '\n' && at - from < 80;)
			from--;
		while (from < at && (h->p[from] == ' ' || h->p[from] == '\t'))
			from++;
		at += sizeof("PRIVATE KEY") - 1;
		if (!HAS(h, from, "-----BEGIN "))
			continue;
		size_t next = at + (HAS(h, at, " BLOCK") ? 6 : 0);

		if (!has(h, next, end, 5))
			continue;
		next += 5;
		while (next < h->len && h->p[next] == '\r')
			next++;
		if (next >= h->len || h->p[next] == '\n')
			return true;
	}
	return false;
}

/* Where text begins: behind a mark of UTF-8 and white space. */
static size_t text_start(const struct head *h)
{
	size_t i = HAS(h, 0, "\xef\xbb\xbf") ? 3 : 0;

	while (i < h->len &&
	       (h->p[i] == ' ' || (h->p[i] >= 9 && h->p[i] <= 13)))
		i++;
	return i;
}

/*
 * What a web server runs wherever it stands in a page, so the whole head is
 * searched. In text also PHP's short tag, which with a word is XML, and what
 * ASP and JSP have; in anything else they come about by chance.
 */
static bool is_server_page(const struct head *h, bool in_text)
{
	const uint8_t *p = h->p, *end = h->p + h->len;

	while (p < end && (p = memchr(p, '<', (size_t)(end - p)))) {
		size_t at = (size_t)(p++ - h->p);

		if (at + 5 <= h->len && same_letters(h->p + at, "<?php", 5))
			return true;
		if (!in_text || at + 3 > h->len)
			continue;
		if (!h->p[at + 2])
			continue;
		if ((h->p[at + 1] == '?' && strchr("= \n\r\t", h->p[at + 2])) ||
		    (h->p[at + 1] == '%' && strchr("@=! \n\r\t", h->p[at + 2])))
			return true;
		if (at + 8 <= h->len &&
		    same_letters(h->p + at, "<script ", 8) &&
		    find(h, at, "runat=") < find(h, at, ">"))
			return true;
	}
	return false;
}

static enum herd_sort text(const struct head *h)
{
	size_t at = text_start(h);

	/* behind a mark or blanks it is nothing to the kernel, but it is to a
	   shell that is given it */
	if (HAS(h, at, "#!"))
		return HERD_SORT_SCRIPT;
	if (HAS(h, at, "PuTTY-User-Key-File") ||
	    HAS(h, at, "(11:private-key") ||
	    HAS(h, at, "(21:protected-private-key") ||
	    HAS(h, at, "---- BEGIN SSH2 ENCRYPTED PRIVATE KEY") || has_key(h))
		return HERD_SORT_KEY;
	if (at + 7 <= h->len && same_letters(h->p + at, "<script", 7))
		return HERD_SORT_SCRIPT;
	return is_server_page(h, true) ? HERD_SORT_SCRIPT : HERD_SORT_TEXT;
}

/* ---- other magics ------------------------------------------------------------------ */

struct magic {
	const char *bytes;
	uint8_t at, len, sort;
};

#define MAGIC(at, literal, sort)                       \
	{                                              \
		literal, at, sizeof(literal) - 1, sort \
	}

static const struct magic magics[] = {
	MAGIC(0, "MZ", HERD_SORT_FOREIGN),
	MAGIC(0, "\xfe\xed\xfa\xce", HERD_SORT_FOREIGN),
	MAGIC(0, "\xfe\xed\xfa\xcf", HERD_SORT_FOREIGN),
	MAGIC(0, "\xce\xfa\xed\xfe", HERD_SORT_FOREIGN),
	MAGIC(0, "\xcf\xfa\xed\xfe", HERD_SORT_FOREIGN),
	MAGIC(0, "\xca\xfe\xba\xbe", HERD_SORT_FOREIGN), /* Java, too */
	MAGIC(0, "\0asm", HERD_SORT_FOREIGN),
	MAGIC(0, "dex\n", HERD_SORT_FOREIGN),
	MAGIC(0, "\x1bLua", HERD_SORT_FOREIGN),
	MAGIC(0, "\5\2\0\0", HERD_SORT_KEY), /* Kerberos' key table */
	MAGIC(0, "LPKSHHRH", HERD_SORT_JOURNAL),
	MAGIC(0, "PK\3\4", HERD_SORT_ARCHIVE),
	MAGIC(0, "PK\5\6", HERD_SORT_ARCHIVE),
	MAGIC(0, "!<arch>\n", HERD_SORT_ARCHIVE),
	MAGIC(0, "!<thin>\n", HERD_SORT_ARCHIVE),
	MAGIC(0, "070701", HERD_SORT_ARCHIVE),
	MAGIC(0, "070702", HERD_SORT_ARCHIVE),
	MAGIC(0, "070707", HERD_SORT_ARCHIVE),
	MAGIC(0, "\xc7\x71", HERD_SORT_ARCHIVE),
	MAGIC(0, "\xed\xab\xee\xdb", HERD_SORT_ARCHIVE),
	MAGIC(0, "7z\xbc\xaf\x27\x1c", HERD_SORT_ARCHIVE),
	MAGIC(0, "Rar!\x1a\x07", HERD_SORT_ARCHIVE),
	MAGIC(0, "hsqs", HERD_SORT_ARCHIVE),
	MAGIC(0, "\x1f\x8b\x08", HERD_SORT_COMPRESSED),
	MAGIC(0, "\x1f\x9d", HERD_SORT_COMPRESSED),
	MAGIC(0,
	      "\xfd"
	      "7zXZ\0",
	      HERD_SORT_COMPRESSED),
	MAGIC(0, "\x28\xb5\x2f\xfd", HERD_SORT_COMPRESSED),
	MAGIC(0, "BZh", HERD_SORT_COMPRESSED),
	MAGIC(0, "\x04\x22\x4d\x18", HERD_SORT_COMPRESSED),
	MAGIC(0, "\x02\x21\x4c\x18", HERD_SORT_COMPRESSED),
	MAGIC(0, "LZIP", HERD_SORT_COMPRESSED),
	MAGIC(0, "\x89LZO", HERD_SORT_COMPRESSED),
	MAGIC(0, "\x5d\0\0\x80\0", HERD_SORT_COMPRESSED),
	MAGIC(0, "SQLite format 3", HERD_SORT_DATABASE),
	MAGIC(16, "\xde\xc0\xef\xbe", HERD_SORT_DATABASE), /* LMDB */
	MAGIC(0, "TDB file", HERD_SORT_DATABASE),
	MAGIC(0, "\xce\x9a\x57\x13", HERD_SORT_DATABASE), /* gdbm */
	MAGIC(0, "\xcf\x9a\x57\x13", HERD_SORT_DATABASE),
	MAGIC(12, "\x61\x15\x06\0", HERD_SORT_DATABASE), /* Berkeley DB */
	MAGIC(12, "\x62\x31\x05\0", HERD_SORT_DATABASE),
	MAGIC(12, "\0\x06\x15\x61", HERD_SORT_DATABASE),
	MAGIC(12, "\0\x05\x31\x62", HERD_SORT_DATABASE),
	MAGIC(0, "\x89PNG", HERD_SORT_MEDIA),
	MAGIC(0, "\xff\xd8\xff", HERD_SORT_MEDIA),
	MAGIC(0, "GIF8", HERD_SORT_MEDIA),
	MAGIC(0, "RIFF", HERD_SORT_MEDIA),
	MAGIC(0, "OggS", HERD_SORT_MEDIA),
	MAGIC(0, "fLaC", HERD_SORT_MEDIA),
	MAGIC(0, "ID3", HERD_SORT_MEDIA),
	MAGIC(0, "%PDF-", HERD_SORT_MEDIA),
	MAGIC(0, "wOFF", HERD_SORT_MEDIA),
	MAGIC(0, "wOF2", HERD_SORT_MEDIA),
	MAGIC(0, "OTTO", HERD_SORT_MEDIA),
	MAGIC(0, "\0\1\0\0\0", HERD_SORT_MEDIA), /* TrueType */
	MAGIC(4, "ftyp", HERD_SORT_MEDIA),
	MAGIC(0, "\0\0\1\0", HERD_SORT_MEDIA), /* icons */
	MAGIC(0, "BM", HERD_SORT_MEDIA),
	MAGIC(0, "II*\0", HERD_SORT_MEDIA),
	MAGIC(0, "MM\0*", HERD_SORT_MEDIA),
};

/* The sum of an old or new tar's header, which is what tar itself checks. */
static bool is_tar(const struct head *h)
{
	uint32_t sum = 0, want = 0;
	size_t at = 148;

	if (h->len < 512 || !h->p[0])
		return false;
	for (size_t i = 0; i < 512; i++)
		sum += i >= 148 && i < 156 ? ' ' : h->p[i];
	while (at < 156 && h->p[at] == ' ')
		at++;
	for (; at < 156 && h->p[at] >= '0' && h->p[at] <= '7'; at++)
		want = want * 8 + (h->p[at] - '0');
	return want && want == sum;
}

/* glibc's struct utmp: 384 bytes; a type, a line and a name with NULs behind
   them, microseconds below a million. */
static bool is_padded(const uint8_t *p, size_t n)
{
	size_t len = strnlen((const char *)p, n);

	for (size_t i = 0; i < n; i++)
		if (i < len ? p[i] < 33 || p[i] == 127 : p[i] != 0)
			return false;
	return true;
}

static bool is_login(const struct head *h)
{
	uint32_t type = le32_at(h, 0);

	if (h->len < 384 || h->size % 384 || !type || type > 9)
		return false;
	return is_padded(h->p + 8, 32) && is_padded(h->p + 44, 32) &&
	       le32_at(h, 340) > 1000000000 && le32_at(h, 344) < 1000000;
}

/* Python's compiled code: a number that grows with each version, "\r\n", and
   since 3.7 flags, at most 3. Those of Python 2 lie above 62,000. */
static bool is_python(const struct head *h)
{
	uint32_t magic = le32_at(h, 0) & 0xffff;

	if (h->len < 16 || !HAS(h, 2, "\r\n"))
		return false;
	if (magic >= 3392 && magic < 20000)
		return le32_at(h, 4) <= 3;
	return (magic >= 3000 && magic < 3392) ||
	       (magic >= 62000 && magic < 63000);
}

/* PGP's private key in binary, a packet of tag 5: version, when it was made,
   algorithm. */
static bool is_pgp_secret(const struct head *h)
{
	size_t at;

	if (h->len < 12)
		return false;
	if (h->p[0] == 0x94)
		at = 2;
	else if (h->p[0] == 0x95)
		at = 3;
	else if (h->p[0] == 0xc5)
		at = h->p[1] < 192 ? 2 : 3;
	else
		return false;
	return h->p[at] >= 3 && h->p[at] <= 6 && h->p[at + 1] >= 0x2e &&
	       h->p[at + 1] < 0x90 && h->p[at + 5] && h->p[at + 5] < 30;
}

/* By the table. Of a few letters alone text may begin with them, too. */
static enum herd_sort by_magic(const struct head *h, bool is_text_too)
{
	for (size_t i = 0; i < sizeof(magics) / sizeof(magics[0]); i++) {
		const struct magic *m = &magics[i];

		if (m->at < h->len && h->p[m->at] == (uint8_t)m->bytes[0] &&
		    has(h, m->at, m->bytes, m->len) &&
		    (!is_text_too || m->len >= 5))
			return m->sort;
	}
	return HERD_SORT_DATA;
}

enum herd_sort herd_sort_of(const void *head, size_t len, uint64_t size)
{
	struct head h = { head,
			  len < HERD_CONTENT_HEAD ? len : HERD_CONTENT_HEAD,
			  size };

	if (!size)
		return HERD_SORT_EMPTY;
	if (!len)
		return HERD_SORT_DATA;
	/* these the kernel runs whatever else there is */
	if (HAS(&h, 0,
		"\x7f"
		"ELF"))
		return elf(&h);
	if (HAS(&h, 0, "#!"))
		return HERD_SORT_SCRIPT;
	bool readable = is_text(&h);
	enum herd_sort sort = by_magic(&h, readable);

	if (sort == HERD_SORT_DATA && readable)
		return text(&h);
	if (sort == HERD_SORT_DATA) {
		if (is_tar(&h))
			return HERD_SORT_ARCHIVE;
		if (is_login(&h))
			return HERD_SORT_LOGIN;
		if (is_python(&h))
			return HERD_SORT_FOREIGN;
		if (is_pgp_secret(&h))
			return HERD_SORT_KEY;
	}
	/* a picture that holds PHP is a page to a server, if its name says so */
	if ((sort == HERD_SORT_DATA || sort == HERD_SORT_MEDIA) &&
	    is_server_page(&h, false))
		return HERD_SORT_SCRIPT;
	return sort;
}

bool herd_holds_key(const void *text, size_t len)
{
	return len && has_key(&(struct head){ text, len, len });
}

const char *herd_sort_name(enum herd_sort sort)
{
	static const char *const names[HERD_SORT_MAX] = {
		[HERD_SORT_EMPTY] = "empty",
		[HERD_SORT_TEXT] = "text",
		[HERD_SORT_DATA] = "data",
		[HERD_SORT_SCRIPT] = "script",
		[HERD_SORT_PROGRAM] = "program",
		[HERD_SORT_LIBRARY] = "library",
		[HERD_SORT_MODULE] = "module",
		[HERD_SORT_FOREIGN] = "foreign program",
		[HERD_SORT_KEY] = "private key",
		[HERD_SORT_ARCHIVE] = "archive",
		[HERD_SORT_COMPRESSED] = "compressed",
		[HERD_SORT_DATABASE] = "database",
		[HERD_SORT_JOURNAL] = "journal",
		[HERD_SORT_LOGIN] = "login records",
		[HERD_SORT_MEDIA] = "media",
		[HERD_SORT_CORE] = "core dump",
	};

	return (unsigned)sort < HERD_SORT_MAX ? names[sort] : NULL;
}

bool herd_sort_is_code(enum herd_sort sort)
{
	switch (sort) {
	case HERD_SORT_SCRIPT:
	case HERD_SORT_PROGRAM:
	case HERD_SORT_LIBRARY:
	case HERD_SORT_MODULE:
	case HERD_SORT_FOREIGN:
		return true;
	default:
		return false;
	}
}

bool herd_sort_is_secret(enum herd_sort sort)
{
	return sort == HERD_SORT_KEY;
}
