/* SPDX-License-Identifier: Apache-2.0 */
/* Threads: as index/report_html_internal.h says. */
#include "index/report_html_internal.h"

#include "acquire/base/sha256.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* What herd_report_escape leaves is harmless in a terminal; here these too. */
static void put_escaped(struct herd_buf *out, const uint8_t *p, size_t len)
{
	for (size_t i = 0; i < len; i++)
		switch (p[i]) {
		case '&':
			herd_buf_printf(out, "&amp;");
			break;
		case '<':
			herd_buf_printf(out, "&lt;");
			break;
		case '>':
			herd_buf_printf(out, "&gt;");
			break;
		case '"':
			herd_buf_printf(out, "&quot;");
			break;
		case '\'':
			herd_buf_printf(out, "&#39;");
			break;
		default:
			herd_buf_u8(out, p[i]);
		}
}

void herd_page_text(struct herd_buf *out, const void *bytes, size_t len)
{
	CLEANUP_BUF struct herd_buf text = HERD_BUF_INIT;

	herd_report_escape(&text, bytes, len);
	put_escaped(out, text.data, text.len);
	out->failed |= text.failed;
}

/* Text that has been escaped for people before: its "\xHH" stay as they are. */
void herd_page_string(struct herd_buf *out, const char *text)
{
	put_escaped(out, (const uint8_t *)text, strlen(text));
}

void herd_page_number(struct herd_buf *out, uint64_t n)
{
	char digits[24];
	int len = snprintf(digits, sizeof(digits), "%" PRIu64, n);

	for (int i = 0; i < len; i++) {
		if (i && (len - i) % 3 == 0)
			herd_buf_u8(out, ',');
		herd_buf_u8(out, (uint8_t)digits[i]);
	}
}

void herd_page_count(struct herd_buf *out, uint64_t n, const char *one,
		     const char *many)
{
	herd_page_number(out, n);
	herd_buf_printf(out, " %s", n == 1 ? one : many);
}

int herd_page_path(struct herd_page *p, uint32_t path)
{
	CLEANUP_BUF struct herd_buf name = HERD_BUF_INIT;
	int err = herd_path_full(p->txn, path, &name);

	if (!err)
		err = herd_buf_error(&name);
	if (err)
		return err;
	herd_buf_u8(p->out, '/');
	herd_page_text(p->out, name.data, name.len);
	return 0;
}

unsigned herd_page_band(unsigned severity)
{
	return severity >= 100 ? 4 : severity / 20;
}

const char *herd_page_band_name(unsigned band)
{
	static const char *const names[] = { "minor", "low", "medium", "high",
					     "critical" };

	return names[band < ARRAY_SIZE(names) ? band : 0];
}

void herd_page_hash(struct herd_buf *out, const char *text, size_t len)
{
	static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
				      "abcdefghijklmnopqrstuvwxyz0123456789+/";
	uint8_t digest[33] = { 0 }; /* a multiple of three */

	herd_sha256(text, len, digest);
	herd_buf_printf(out, "'sha256-");
	for (size_t i = 0; i < sizeof(digest); i += 3) {
		uint32_t v = (uint32_t)digest[i] << 16 |
			     (uint32_t)digest[i + 1] << 8 | digest[i + 2];

		for (int shift = 18; shift >= 0; shift -= 6)
			herd_buf_u8(out, (uint8_t)letters[v >> shift & 63]);
	}
	out->len -= out->failed ? 0 : 1; /* the byte that is padding */
	herd_buf_printf(out, "='");
}
