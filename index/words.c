/* SPDX-License-Identifier: Apache-2.0 */
#include "index/words.h"

#include "index/json.h"
#include "index/redact.h"
#include "index/report.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define MARK "…"
#define MARK_LEN (sizeof(MARK) - 1)
/* Input that is looked at for one piece; each byte gives at least one. */
#define PIECE_MAX 512

void herd_words_begin(struct herd_words *w, char *buf, size_t size)
{
	*w = (struct herd_words){ .buf = buf, .size = size };
	buf[0] = '\0';
}

/* Length of the character or escape that begins here. */
static size_t unit(const char *p, size_t left)
{
	size_t n;

	/* '\' itself is escaped: it begins \xHH always */
	if (*p == '\\')
		return left < 4 ? left : 4;
	n = herd_utf8((const uint8_t *)p, left, NULL);
	return n ? n : 1;
}

/* Text that is safe already, whole characters of it, up to max bytes. */
static void add(struct herd_words *w, const char *p, size_t len, size_t max)
{
	size_t done = 0;

	while (done < len && !w->cut) {
		size_t n = unit(p + done, len - done);

		if (w->len + n + MARK_LEN >= w->size)
			w->cut = true;
		else if (done + n > max)
			break;
		else {
			memcpy(w->buf + w->len, p + done, n);
			w->len += n;
			done += n;
		}
	}
	if (done < len && w->len + MARK_LEN < w->size) {
		memcpy(w->buf + w->len, MARK, MARK_LEN);
		w->len += MARK_LEN;
	}
	w->buf[w->len] = '\0';
}

void herd_words_put(struct herd_words *w, const char *text)
{
	if (!w->cut)
		add(w, text, strlen(text), SIZE_MAX);
}

void herd_words_printf(struct herd_words *w, const char *fmt, ...)
{
	char text[PIECE_MAX];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	herd_words_put(w, text);
}

void herd_words_number(struct herd_words *w, uint64_t n)
{
	char plain[24], text[32];
	size_t len = (size_t)snprintf(plain, sizeof(plain), "%llu",
				      (unsigned long long)n),
	       to = 0;

	for (size_t i = 0; i < len; i++) {
		if (i && (len - i) % 3 == 0)
			text[to++] = ',';
		text[to++] = plain[i];
	}
	text[to] = '\0';
	herd_words_put(w, text);
}

void herd_words_bytes(struct herd_words *w, const void *bytes, size_t len,
		      size_t max)
{
	struct herd_buf safe CLEANUP_BUF = HERD_BUF_INIT;
	const char *p = bytes;
	char piece[PIECE_MAX];
	size_t n = 0;

	if (w->cut || !len)
		return;
	for (size_t i = 0; i < len && n < sizeof(piece); i++) {
		bool blank = p[i] == ' ' || p[i] == '\t';

		if (!blank)
			piece[n++] = p[i];
		else if (!n || piece[n - 1] != ' ')
			piece[n++] = ' ';
	}
	herd_redact(piece, n);
	herd_report_escape(&safe, piece, n);
	if (!herd_buf_error(&safe))
		add(w, (const char *)safe.data, safe.len,
		    max < PIECE_MAX - 8 ? max : PIECE_MAX - 8);
}
