/* SPDX-License-Identifier: Apache-2.0 */
#include "index/meaning_internal.h"

#include <string.h>
#include <strings.h>

static bool blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\v' || c == '\f';
}

struct herd_slice herd_slice_trim(struct herd_slice s)
{
	while (s.len && blank(*s.p)) {
		s.p++;
		s.len--;
	}
	while (s.len && blank(s.p[s.len - 1]))
		s.len--;
	return s;
}

bool herd_slice_is(struct herd_slice s, const char *word)
{
	return s.len == strlen(word) && memcmp(s.p, word, s.len) == 0;
}

bool herd_slice_is_nocase(struct herd_slice s, const char *word)
{
	return s.len == strlen(word) && strncasecmp(s.p, word, s.len) == 0;
}

bool herd_slice_equal(struct herd_slice a, struct herd_slice b)
{
	return a.len == b.len && (!a.len || memcmp(a.p, b.p, a.len) == 0);
}

bool herd_slice_begins(struct herd_slice s, const char *word)
{
	size_t len = strlen(word);

	return s.len >= len && memcmp(s.p, word, len) == 0;
}

bool herd_slice_has(struct herd_slice s, const char *word)
{
	return s.len && memmem(s.p, s.len, word, strlen(word)) != NULL;
}

bool herd_slice_has_any(struct herd_slice s, const char *const *words)
{
	for (; *words; words++)
		if (herd_slice_has(s, *words))
			return true;
	return false;
}

struct herd_slice herd_slice_until(struct herd_slice *s, const char *parts)
{
	struct herd_slice head = { s->p, 0 };

	while (head.len < s->len &&
	       (!s->p[head.len] || !strchr(parts, s->p[head.len])))
		head.len++;
	s->p += head.len;
	s->len -= head.len;
	if (s->len) {
		s->p++;
		s->len--;
	}
	return head;
}

struct herd_slice herd_slice_word(struct herd_slice *s)
{
	while (s->len && blank(*s->p)) {
		s->p++;
		s->len--;
	}
	return herd_slice_until(s, " \t\r");
}

/* "… | /bin/sh", but not "| sha256sum". */
static bool piped_to_shell(struct herd_slice s)
{
	static const char *const shells[] = { "sh",   "bash",	 "dash", "zsh",
					      "perl", "python3", "php",	 "ash",
					      "ksh",  "python",	 NULL };

	while (s.len) {
		struct herd_slice word;
		const char *slash;

		herd_slice_until(&s, "|");
		word = s;
		word = herd_slice_word(&word);
		word = herd_slice_until(&word, ";&|\"')}");
		slash = word.len ? memrchr(word.p, '/', word.len) : NULL;
		if (slash) {
			word.len -= (size_t)(slash + 1 - word.p);
			word.p = slash + 1;
		}
		for (unsigned i = 0; shells[i]; i++)
			if (herd_slice_is(word, shells[i]))
				return true;
	}
	return false;
}

bool herd_slice_shady(struct herd_slice s)
{
	static const char *const words[] = {
		"/tmp/",	   "/dev/shm", "/dev/tcp/", "/dev/udp/",
		"/usr/.",	   "/lib/.",   "/var/.",    "/etc/.",
		"/opt/.",	   "/run/.",   "/dev/.",    "/...",
		"curl ",	   "wget ",    "base64",    "bash -i",
		"bash -c",	   " sh -i",   "/sh -i",    " nc -",
		"/nc -",	   "ncat ",    "socat ",    "python -c",
		"python3 -c",	   "perl -e",  "php -r",    "ruby -e",
		"mkfifo ",	   "nohup ",   "chmod +s",  "chmod u+s",
		"chmod 47",	   "setcap ",  "chattr ",   "LD_PRELOAD",
		"insmod ",	   "s_client", "useradd ",  "xmrig",
		"authorized_keys", NULL,
	};

	return herd_slice_has_any(s, words) || piped_to_shell(s);
}
