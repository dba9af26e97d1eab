/* SPDX-License-Identifier: Apache-2.0 */
#include "acquire/base/diag.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

void herd_text_clean(char *text)
{
	for (unsigned char *p = (unsigned char *)text; *p; p++)
		if (*p < 0x20 || *p == 0x7f)
			*p = '?';
}

void herd_diag_clear(struct herd_diag *diag)
{
	if (!diag)
		return;
	diag->source[0] = '\0';
	diag->message[0] = '\0';
	diag->offset = HERD_NO_OFFSET;
}

int herd_diag_set(struct herd_diag *diag, int err, const char *source,
		  uint64_t offset, const char *fmt, ...)
{
	va_list ap;

	if (!diag || diag->message[0])
		return err;
	snprintf(diag->source, sizeof(diag->source), "%s", source ? source : "");
	diag->offset = offset;
	va_start(ap, fmt);
	vsnprintf(diag->message, sizeof(diag->message), fmt, ap);
	va_end(ap);
	herd_text_clean(diag->source);
	herd_text_clean(diag->message);
	return err;
}

const char *herd_diag_format(const struct herd_diag *diag, int err, char *buf,
			     size_t size)
{
	const char *message = diag && diag->message[0] ? diag->message : NULL;
	char position[40] = "";

	if (diag && message && diag->offset != HERD_NO_OFFSET)
		snprintf(position, sizeof(position), "offset %llu: ",
			 (unsigned long long)diag->offset);
	snprintf(buf, size, "%s%s%s%s",
		 diag && message ? diag->source : "",
		 diag && message && diag->source[0] ? ": " : "", position,
		 message ? message : strerror(err < 0 ? -err : err));
	return buf;
}
