/* SPDX-License-Identifier: Apache-2.0 */
/* Texts without what is one instance's own; see machine_judge_internal.h. */
#include "index/memory/machine_judge_internal.h"

#include "index/template.h"

#include <ctype.h>
#include <string.h>

static bool is_control(char c)
{
	return (unsigned char)c < 0x20 || c == 0x7f;
}

/*
 * As cat -v has them: ESC is "^[". So names that differ stay different, no digits
 * come in that would pass for a number, and cleaning twice is cleaning once.
 */
void herd_norm_clean(struct herd_buf *out, const char *text, size_t len)
{
	size_t n = 0;
	char *p;

	for (size_t i = 0; i < len; i++)
		n += 1 + is_control(text[i]);
	p = n ? herd_buf_extend(out, n) : NULL;
	for (size_t i = 0; p && i < len; i++) {
		if (!is_control(text[i])) {
			*p++ = text[i];
			continue;
		}
		*p++ = '^';
		*p++ = (char)(text[i] ^ 0x40);
	}
}

static bool parts_words(char c)
{
	return c == '\0' || strchr("/ =:,;'\"()[]<>@|&", c) != NULL;
}

/* A word of at least three letters can be a host's name. */
static size_t host_at(const char *p, size_t left, const char *hostname)
{
	size_t n = strlen(hostname);

	if (n < 3 || n > left || memcmp(p, hostname, n) ||
	    (n < left && isalnum((unsigned char)p[n])))
		return 0;
	return n;
}

void herd_norm_text(struct herd_buf *out, const char *text, size_t len,
		    const char *hostname)
{
	struct herd_buf clean CLEANUP_BUF = HERD_BUF_INIT;
	const char *p;
	size_t i = 0;

	herd_norm_clean(&clean, text, len);
	if (clean.failed)
		out->failed = true;
	if (!clean.len || clean.failed)
		return;
	p = (const char *)clean.data;
	len = clean.len;
	while (i < len) {
		size_t n = host_at(p + i, len - i, hostname);

		if (n) {
			herd_buf_put(out, "{host}", 6);
			i += n;
			continue;
		}
		while (i + n < len && !parts_words(p[i + n]))
			n++;
		if (n)
			herd_template_name(NULL, p + i, n, out);
		i += n;
		if (i < len)
			herd_buf_u8(out, (uint8_t)p[i++]);
	}
}

void herd_norm_kthread(struct herd_buf *out, const char *comm)
{
	size_t len = strlen(comm);

	if (!strncmp(comm, "kworker/", 8)) {
		herd_buf_put(out, "kworker", 7);
		return;
	}
	for (size_t i = 0; i < len; i++) {
		if (isdigit((unsigned char)comm[i])) {
			while (isdigit((unsigned char)comm[i + 1]))
				i++;
			herd_buf_u8(out, '#');
		} else {
			herd_norm_clean(out, comm + i, 1);
		}
	}
}

void herd_norm_library(struct herd_buf *out, const char *path)
{
	const char *so = strstr(herd_base_name(path), ".so");
	size_t len = strlen(path);

	if (so && (so[3] == '.' || !so[3]) &&
	    strspn(so + 3, "0123456789.") == strlen(so + 3))
		len = (size_t)(so - path) + 3;
	herd_norm_text(out, path, len, "");
}

const char *herd_base_name(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

bool herd_word_in(const char *word, const char *const *list)
{
	for (; *list; list++)
		if (!strcmp(word, *list))
			return true;
	return false;
}
