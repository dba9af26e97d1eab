/* SPDX-License-Identifier: Apache-2.0 */
#include "acquire/aws/fields.h"

#include <arpa/inet.h>
#include <string.h>
#include <time.h>

static const char digits[] = "0123456789";
static const char hex[] = "0123456789abcdef";
#define ALNUM "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"

/* 1 to max characters, all of the set. */
static bool all_of(const char *text, const char *set, size_t max)
{
	size_t len = strspn(text, set);

	return len && len <= max && !text[len];
}

bool herd_aws_is_id(const char *text, const char *prefix)
{
	size_t n = strlen(prefix);
	bool image = strcmp(prefix, "ami-") == 0;

	return !strncmp(text, prefix, n) &&
	       all_of(text + n,
		      image ? "0123456789abcdefghijklmnopqrstuvwxyz" : hex,
		      HERD_AWS_ID_SIZE - 1 - n);
}

bool herd_aws_is_account(const char *text)
{
	return strlen(text) == 12 && all_of(text, digits, 12);
}

bool herd_aws_is_address(const char *text)
{
	unsigned char a[16];

	return inet_pton(AF_INET, text, a) == 1 ||
	       (strlen(text) < HERD_AWS_ADDRESS_SIZE &&
		inet_pton(AF_INET6, text, a) == 1);
}

bool herd_aws_is_mac(const char *text)
{
	if (strlen(text) != HERD_AWS_MAC_SIZE - 1)
		return false;
	for (size_t i = 0; i < HERD_AWS_MAC_SIZE - 1; i++)
		if (i % 3 == 2 ? text[i] != ':' :
				 !strchr("0123456789abcdefABCDEF", text[i]))
			return false;
	return true;
}

bool herd_aws_is_dns(const char *text)
{
	size_t label = 0;

	if (!all_of(text, ALNUM "-_.", HERD_AWS_DNS_SIZE - 1))
		return false;
	for (; *text; text++) {
		label = *text == '.' ? 0 : label + 1;
		if (label > 63 || (*text == '.' && text[1] == '.'))
			return false;
	}
	return true;
}

bool herd_aws_is_device(const char *text)
{
	return all_of(text, ALNUM "-_/.", HERD_AWS_DEVICE_SIZE - 1) &&
	       !strstr(text, "..");
}

bool herd_aws_is_word(const char *text)
{
	return all_of(text, ALNUM "-_.:/+$", HERD_AWS_WORD_SIZE - 1);
}

/* The continuation bytes that the first byte of a character asks for. */
static int following(unsigned char c)
{
	return c < 0x80 ? 0 :
	       c < 0xc2 ? -1 :
	       c < 0xe0 ? 1 :
	       c < 0xf0 ? 2 :
	       c < 0xf5 ? 3 :
			  -1;
}

bool herd_aws_is_text(const char *text, size_t max)
{
	const unsigned char *p = (const unsigned char *)text;

	if (strlen(text) > max)
		return false;
	while (*p) {
		int n = following(*p);
		bool c1 = *p == 0xc2 && p[1] < 0xa0;

		if (n < 0 || *p < 0x20 || *p == 0x7f || c1)
			return false;
		p++;
		for (; n > 0; n--, p++)
			if ((*p & 0xc0) != 0x80)
				return false;
	}
	return true;
}

bool herd_aws_uint(const char *text, uint64_t max, uint64_t *ret)
{
	uint64_t v = 0;

	if (!all_of(text, digits, 20))
		return false;
	for (; *text; text++) {
		unsigned d = (unsigned)(*text - '0');

		if (v > (max - d) / 10 || d > max)
			return false;
		v = v * 10 + d;
	}
	*ret = v;
	return true;
}

bool herd_aws_time(const char *text, int64_t *ret)
{
	struct tm tm = { 0 };
	const char *end = strptime(text, "%Y-%m-%dT%H:%M:%S", &tm);

	if (!end || tm.tm_year < 70 || tm.tm_year > 8099)
		return false;
	if (*end == '.') {
		size_t n = strspn(end + 1, digits);

		if (!n || n > 9)
			return false;
		end += 1 + n;
	}
	if (strcmp(end, "Z") != 0)
		return false;
	*ret = timegm(&tm);
	return *ret >= 0;
}
