/* SPDX-License-Identifier: Apache-2.0 */
#include "acquire/aws/xml_fields.h"

#include <string.h>

#define UINT_MAX_VALUE (1ull << 40)

static bool percent(const char *text, unsigned *ret)
{
	char digits[4];
	size_t n = strlen(text);
	uint64_t v;

	if (n < 2 || n > 4 || text[n - 1] != '%')
		return false;
	memcpy(digits, text, n - 1);
	digits[n - 1] = '\0';
	if (!herd_aws_uint(digits, 100, &v))
		return false;
	*ret = (unsigned)v;
	return true;
}

static bool boolean(const char *text, bool *ret)
{
	*ret = strcmp(text, "true") == 0;
	return *ret || strcmp(text, "false") == 0;
}

static bool value(const struct herd_xml_field *f, const char *text, void *to)
{
	switch (f->kind) {
	case HERD_XML_BOOL:
		return boolean(text, to);
	case HERD_XML_UINT:
		return herd_aws_uint(text, UINT_MAX_VALUE, to);
	case HERD_XML_PERCENT:
		return percent(text, to);
	case HERD_XML_TIME:
		return herd_aws_time(text, to);
	default:
		return false;
	}
}

static bool has_form(const struct herd_xml_field *f, const char *text)
{
	switch (f->kind) {
	case HERD_XML_ID:
		return herd_aws_is_id(text, f->prefix);
	case HERD_XML_WORD:
		return herd_aws_is_word(text);
	case HERD_XML_TEXT:
		return herd_aws_is_text(text, f->size - 1);
	case HERD_XML_DNS:
		return herd_aws_is_dns(text);
	case HERD_XML_ADDRESS:
		return herd_aws_is_address(text);
	case HERD_XML_MAC:
		return herd_aws_is_mac(text);
	case HERD_XML_DEVICE:
		return herd_aws_is_device(text);
	case HERD_XML_ACCOUNT:
		return herd_aws_is_account(text);
	default:
		return false;
	}
}

/* What is not of its form leaves the member as it was: empty. */
static bool field(const struct herd_xml_field *f, const char *text, char *to)
{
	size_t len = strlen(text);

	if (f->kind >= HERD_XML_BOOL)
		return value(f, text, to);
	if (len >= f->size || !has_form(f, text))
		return false;
	memcpy(to, text, len + 1);
	return true;
}

int herd_xml_fields(const struct herd_xml_node *n,
		    const struct herd_xml_field *fields, size_t count, void *to,
		    unsigned *odd, struct herd_diag *diag)
{
	for (size_t i = 0; i < count; i++) {
		const struct herd_xml_field *f = &fields[i];
		const char *text = herd_xml_text(n, f->path);
		bool there = text && *text;

		if (there && field(f, text, (char *)to + f->offset))
			continue;
		if (f->needed)
			return herd_diag_set(
				diag, -EBADMSG, "AWS", HERD_NO_OFFSET,
				"the answer's %s is %s", f->path,
				there ? "not of its form" : "missing");
		if (there)
			(*odd)++;
	}
	return 0;
}

int herd_xml_array(const struct herd_xml_node *n, const char *path,
		   const char *name, size_t size, size_t max, herd_xml_one *one,
		   void *ret, size_t *ret_n, unsigned *odd,
		   struct herd_diag *diag)
{
	size_t count = herd_xml_count(n, path, name);
	char *items;
	int r = 0;

	if (count > max)
		return herd_diag_set(diag, -EOVERFLOW, "AWS", HERD_NO_OFFSET,
				     "%zu of %s/%s are more than %zu", count,
				     path, name, max);
	if (!count)
		return 0;
	items = calloc(count, size);
	if (!items)
		return -ENOMEM;
	memcpy(ret, &items, sizeof(items));
	for (n = herd_xml_first(n, path, name); n && !r; n = herd_xml_next(n)) {
		r = one(n, items + *ret_n * size, odd, diag);
		(*ret_n)++;
	}
	return r;
}
