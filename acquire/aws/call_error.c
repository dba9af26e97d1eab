/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a service says of a failure. JSON services name its type in a header or
 * in the body, the query services in XML, of which two elements are all that is
 * wanted: they are looked for, not parsed. Every byte is untrusted.
 */
#include "acquire/aws/call_impl.h"

#include <jansson.h>
#include <stdio.h>
#include <string.h>

/* A longer one is nothing that a person reads. */
#define BODY_MAX (64 << 10)

/* "com.amazonaws.ebs#ValidationException:http://…" is a ValidationException. */
static void take_type(const char *text, size_t len, char *out, size_t size)
{
	const char *hash = memchr(text, '#', len);
	size_t n = 0;

	if (hash) {
		len -= (size_t)(hash + 1 - text);
		text = hash + 1;
	}
	for (size_t i = 0; i < len && n + 1 < size; i++) {
		char c = text[i];

		if (!((c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
		      (c >= '0' && c <= '9') || c == '.' || c == '_' ||
		      c == '-'))
			break;
		out[n++] = c;
	}
	out[n] = '\0';
}

/* No half of a character at the end. */
static void trim_utf8(char *text)
{
	size_t n = strlen(text), back = 0;

	while (back < n && back < 3 && (text[n - 1 - back] & 0xc0) == 0x80)
		back++;
	if (back == n)
		return;
	unsigned char lead = (unsigned char)text[n - 1 - back];
	size_t want = lead >= 0xf0 ? 3 :
		      lead >= 0xe0 ? 2 :
		      lead >= 0xc0 ? 1 :
				     0;

	if (lead >= 0xc0 && back < want)
		text[n - 1 - back] = '\0';
}

/*
 * The first line, without what some messages go on to: the request as it was
 * signed, in which the session token stands, or an encoded policy.
 */
static void take_message(const char *text, size_t len, char *out, size_t size)
{
	static const char *const ends[] = { "The Canonical String",
					    "The String-to-Sign",
					    "Encoded authorization failure",
					    "AWS4-HMAC-SHA256",
					    "x-amz-security-token" };

	while (len && (*text == ' ' || *text == '\n' || *text == '\r')) {
		text++;
		len--;
	}
	if (len > size - 1)
		len = size - 1;
	memcpy(out, text, len);
	out[len] = '\0';
	out[strcspn(out, "\r\n")] = '\0';
	for (size_t i = 0; i < ARRAY_SIZE(ends); i++) {
		char *end = strcasestr(out, ends[i]);

		if (end)
			*end = '\0';
	}
	trim_utf8(out);
	herd_text_clean(out);
	len = strlen(out);
	while (len && out[len - 1] == ' ')
		out[--len] = '\0';
}

/* ---- JSON ---- */

static const char *member(const json_t *o, const char *a, const char *b)
{
	const char *text = json_string_value(json_object_get(o, a));

	return text ? text : json_string_value(json_object_get(o, b));
}

static void parse_json(const char *body, size_t len, struct herd_aws_error *e)
{
	json_t *o = json_loadb(body, len, 0, NULL);
	const char *type = member(o, "__type", "code");
	const char *reason = member(o, "Reason", "reason");
	const char *message = member(o, "Message", "message");

	if (!type)
		type = member(o, "Code", "errorCode");
	if (type && !e->type[0])
		take_type(type, strlen(type), e->type, sizeof(e->type));
	if (reason)
		take_type(reason, strlen(reason), e->reason, sizeof(e->reason));
	if (message)
		take_message(message, strlen(message), e->message,
			     sizeof(e->message));
	json_decref(o);
}

/* ---- XML ---- */

/* What "&…;" stands for; bytes used, 0 if it is not known. */
static size_t entity(const char *p, size_t len, char *out)
{
	static const struct {
		const char *text;
		char c;
	} known[] = { { "&lt;", '<' },
		      { "&gt;", '>' },
		      { "&amp;", '&' },
		      { "&quot;", '"' },
		      { "&apos;", '\'' } };
	size_t n = 0;
	unsigned v = 0;

	for (size_t i = 0; i < ARRAY_SIZE(known); i++) {
		n = strlen(known[i].text);
		if (n <= len && !memcmp(p, known[i].text, n)) {
			*out = known[i].c;
			return n;
		}
	}
	/* of the others those of ASCII: line ends and quotes */
	if (len < 4 || p[1] != '#')
		return 0;
	bool hex = p[2] == 'x';

	for (n = hex ? 3 : 2; n < len && n < 8 && p[n] != ';'; n++) {
		const char *digits = "0123456789abcdef";
		const char *d = strchr(
			digits, p[n] >= 'A' && p[n] <= 'F' ? p[n] + 32 : p[n]);

		if (!p[n] || !d || (!hex && d - digits > 9))
			return 0;
		v = v * (hex ? 16 : 10) + (unsigned)(d - digits);
	}
	if (n >= len || p[n] != ';' || !v || v > 0x7f)
		return 0;
	*out = (char)v;
	return n + 1;
}

/* The text of the first such element, entities resolved, into buf. */
static size_t element(const char *body, size_t len, const char *name, char *buf,
		      size_t size)
{
	char tag[32];
	size_t n = (size_t)snprintf(tag, sizeof(tag), "<%s>", name), out = 0;
	const char *p = memmem(body, len, tag, n), *end = body + len;

	if (!p)
		return 0;
	for (p += n; p < end && *p != '<' && out < size;) {
		size_t used = 0;

		if (*p == '&')
			used = entity(p, (size_t)(end - p), &buf[out]);
		if (!used) {
			buf[out] = *p;
			used = 1;
		}
		p += used;
		out++;
	}
	return out;
}

static void parse_xml(const char *body, size_t len, struct herd_aws_error *e)
{
	char text[1024];
	size_t n = element(body, len, "Code", text, sizeof(text));

	if (n && !e->type[0])
		take_type(text, n, e->type, sizeof(e->type));
	n = element(body, len, "Message", text, sizeof(text));
	if (n)
		take_message(text, n, e->message, sizeof(e->message));
}

void herd_aws_error_parse(const struct herd_http_answer *a,
			  struct herd_aws_error *ret)
{
	const char *body = (const char *)a->body.data;
	size_t len = a->body.len < BODY_MAX ? a->body.len : BODY_MAX, at = 0;
	char type[256];

	*ret = (struct herd_aws_error){ .type = "" };
	if (herd_http_header(a, "x-amzn-ErrorType", type, sizeof(type)))
		take_type(type, strlen(type), ret->type, sizeof(ret->type));
	while (at < len && strchr(" \t\r\n", body[at]) && body[at])
		at++;
	if (at < len && body[at] == '{')
		parse_json(body + at, len - at, ret);
	else if (at < len && body[at] == '<')
		parse_xml(body + at, len - at, ret);
}
