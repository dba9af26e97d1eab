/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What servers and programs say about credentials. The first byte chooses who:
 * 0 STS, 1 JSON, 2 times, 3 a command's words, 4 a container's URL.
 */
#include "acquire/aws/credentials_impl.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define MUST(x)                           \
	do {                              \
		if (!(x))                 \
			__builtin_trap(); \
	} while (0)

/* What goes into a header. */
static void check_header(const char *s)
{
	MUST(*s);
	for (; *s; s++)
		MUST(isgraph((unsigned char)*s) && (unsigned char)*s < 0x7f);
}

static void check_keys(struct herd_aws_keys *k)
{
	check_header(k->access_key_id);
	check_header(k->secret);
	if (k->session_token)
		check_header(k->session_token);
	herd_aws_keys_deinit(k);
}

static void check_sts(const uint8_t *data, size_t size)
{
	struct herd_aws_keys k = { NULL, NULL, NULL, 0 };

	if (herd_credentials_sts_read(data, size, &k, NULL))
		MUST(!k.access_key_id);
	else
		check_keys(&k);
}

static void check_json(const uint8_t *data, size_t size)
{
	struct herd_credentials_fields f = {
		.names = { "Version", "AccessKeyId", "SecretAccessKey",
			   "SessionToken", "Expiration" },
	};
	struct herd_aws_keys k = { NULL, NULL, NULL, 0 };

	if (!herd_credentials_json(data, size, NULL, &f) &&
	    !herd_credentials_set(f.values[1], f.values[2], f.values[3],
				  f.values[4], &k, NULL))
		check_keys(&k);
	herd_credentials_fields_deinit(&f);
}

static void check_time(const char *text)
{
	int64_t t = 0;

	if (!herd_credentials_time(text, &t))
		MUST(t > -90000 && t < 253402400000);
	if (!herd_credentials_http_date(text, &t))
		MUST(t >= 0 && t < 253402400000);
}

static void check_words(const char *command, size_t size)
{
	char *text = NULL, *words[HERD_WORDS_MAX + 1];
	size_t n = 0;
	int err = herd_credentials_words(command, &text, words);

	if (err) {
		MUST(err == -EINVAL || err == -E2BIG || err == -ENOENT);
		return;
	}
	for (; words[n]; n++)
		MUST(words[n] >= text &&
		     words[n] + strlen(words[n]) <= text + size + 1);
	MUST(n && n <= HERD_WORDS_MAX);
	free(text);
}

/* Plain http only to hosts that are this one's or link-local. */
static void check_url(const char *url)
{
	if (!herd_credentials_url_allowed(url) ||
	    !strncasecmp(url, "https://", 8))
		return;
	url += 7;
	MUST(!strncmp(url, "127.", 4) || !strncasecmp(url, "localhost", 9) ||
	     !strncmp(url, "169.254.170.2", 13) || *url == '[');
	MUST(!strchr(url, '@') && !strchr(url, '\\'));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text;

	if (!size)
		return 0;
	text = strndup((const char *)data + 1, size - 1);
	MUST(text);
	switch (data[0]) {
	case '0':
		check_sts(data + 1, size - 1);
		break;
	case '1':
		check_json(data + 1, size - 1);
		break;
	case '2':
		check_time(text);
		break;
	case '3':
		check_words(text, strlen(text));
		break;
	case '4':
		check_url(text);
		break;
	default:
		break;
	}
	free(text);
	return 0;
}
