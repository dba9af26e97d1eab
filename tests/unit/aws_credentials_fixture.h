/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What tests of credentials have in common: the server, a clock that stands
 * still, and a home for each test.
 */
#ifndef HERD_AWS_CREDENTIALS_FIXTURE_H
#define HERD_AWS_CREDENTIALS_FIXTURE_H

#include "acquire/aws/credentials_impl.h"
#include "aws_server.h"

#define NOW 1800000000

static struct aws_server server;
static int64_t at;

static inline int64_t clock_now(void)
{
	return at;
}

/* What a test has at hand. */
static struct {
	struct herd_aws_settings *settings;
	struct herd_aws_credentials *c;
	const struct herd_aws_keys *keys;
	struct herd_diag diag;
	char text[800];
} t;

static inline void closed(void)
{
	herd_aws_credentials_destroy(t.c);
	herd_aws_settings_destroy(t.settings);
	t.c = NULL;
	t.settings = NULL;
}

static inline void opened(const char *profile)
{
	struct herd_aws_options o = { profile, NULL, NULL };

	closed();
	herd_diag_clear(&t.diag);
	if (herd_aws_settings_load(&o, &t.settings, &t.diag))
		fail_msg("%s: %s", t.diag.source, t.diag.message);
	assert_int_equal(herd_aws_credentials_create(t.settings, NULL,
						     clock_now, &t.c),
			 0);
}

static inline int get(void)
{
	herd_diag_clear(&t.diag);
	t.keys = NULL;
	return herd_aws_credentials_get(t.c, &t.keys, &t.diag);
}

/* The id of the keys that are had, and where they come from. */
static inline void gives(const char *profile, const char *id,
			 const char *source)
{
	opened(profile);
	if (get())
		fail_msg("%s: %s", t.diag.source, t.diag.message);
	assert_string_equal(t.keys->access_key_id, id);
	assert_string_equal(herd_aws_credentials_source(t.c), source);
}

static inline void token_is(const char *secret, const char *token)
{
	assert_string_equal(t.keys->secret, secret);
	assert_string_equal(t.keys->session_token ?: "(none)", token);
}

/* The message says each of these, up to a NULL, and no secret. */
static inline void refuses(const char *profile, ...)
{
	va_list ap;

	opened(profile);
	assert_int_equal(get(), -ENOKEY);
	herd_diag_format(&t.diag, -ENOKEY, t.text, sizeof(t.text));
	va_start(ap, profile);
	for (const char *part; (part = va_arg(ap, const char *));)
		aws_has(t.text, part);
	va_end(ap);
	aws_has_not(t.text, "secret/");
	aws_has_not(t.text, "/secret");
	aws_has_not(t.text, "hidden");
	assert_string_equal(herd_aws_credentials_source(t.c), "none");
}

static inline int begin(void **state)
{
	aws_home_begin(state);
	at = NOW;
	aws_server_ask(&server, "PUT", "/clock/0");
	setenv("AWS_REGION", "eu-central-1", 1);
	unsetenv("PYTHONPATH");
	return 0;
}

static inline int end(void **state)
{
	closed();
	return aws_home_end(state);
}

/* To the server, by one of the variables: "http://127.0.0.1:4711/sts/3600". */
static inline void point(const char *variable, const char *path)
{
	char url[500];

	snprintf(url, sizeof(url), "%s%s", server.base, path);
	setenv(variable, url, 1);
}

static inline void instance(const char *path)
{
	unsetenv("AWS_EC2_METADATA_DISABLED");
	point("AWS_EC2_METADATA_SERVICE_ENDPOINT", path);
}

/*
 * How often what was hidden stands in memory that may be written: the heap,
 * stacks, our own variables. It is kept here with every bit turned over.
 */
static unsigned char aws_hidden[256];

static inline void aws_hide(const char *secret)
{
	size_t n = strlen(secret);

	assert_true(n >= 16 && n < sizeof(aws_hidden));
	memset(aws_hidden, 0, sizeof(aws_hidden));
	for (size_t i = 0; i < n; i++)
		aws_hidden[i] = (unsigned char)~secret[i];
}

static inline unsigned aws_find_in(const unsigned char *p, size_t n)
{
	size_t len = strlen((const char *)aws_hidden);
	unsigned found = 0;

	for (size_t i = 0; i + len <= n; i++) {
		size_t k = 0;

		while (k < len && p[i + k] == (unsigned char)~aws_hidden[k])
			k++;
		found += k == len;
	}
	return found;
}

static inline unsigned aws_find_hidden(void)
{
	FILE *maps = fopen("/proc/self/maps", "r");
	int mem = open("/proc/self/mem", O_RDONLY | O_CLOEXEC);
	unsigned found = 0;
	char line[512];

	assert_true(maps && mem >= 0);
	while (fgets(line, sizeof(line), maps)) {
		unsigned long from, to;
		char mode[8];
		unsigned char *copy;
		ssize_t n;

		if (sscanf(line, "%lx-%lx %7s", &from, &to, mode) != 3 ||
		    mode[1] != 'w' || to - from > 64ul << 20)
			continue;
		copy = malloc(to - from);
		assert_non_null(copy);
		n = pread(mem, copy, to - from, (off_t)from);
		found += n > 0 ? aws_find_in(copy, (size_t)n) : 0;
		/* a copy of the heap is none of the next map's */
		explicit_bzero(copy, to - from);
		free(copy);
	}
	fclose(maps);
	close(mem);
	return found;
}

#define ROLE "role_arn = arn:aws:iam::123456789012:role/"
#define BASE                                             \
	"[profile base]\naws_access_key_id = AKIDBASE\n" \
	"aws_secret_access_key = base/secret+KEY\n"

static char token_path[64];

static inline int begin_all(void **state)
{
	(void)state;
	strcpy(token_path, "/tmp/herdfs-web-token-XXXXXX");
	close(mkstemp(token_path));
	setenv("HERD_WEB_TOKEN", token_path, 1);
	/* what asks past the proxy does; nobody is behind this one */
	setenv("no_proxy", "127.0.0.1", 1);
	return !aws_server_start(&server, "127.0.0.1", 0, token_path);
}

static inline int end_all(void **state)
{
	(void)state;
	aws_server_stop(&server);
	unlink(token_path);
	return 0;
}

#define AT_HOME(x) cmocka_unit_test_setup_teardown(x, begin, end)

#endif
