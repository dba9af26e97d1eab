/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Every source of credentials against a server that refuses what AWS would;
 * which goes before which; and when they are fetched again.
 */
#include "acquire/aws/credentials_impl.h"
#include "acquire/base/sha256.h"
#include "aws_server.h"

#define NOW 1800000000

static struct aws_server server;
static int64_t at;

static int64_t clock_now(void)
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

static void closed(void)
{
	herd_aws_credentials_destroy(t.c);
	herd_aws_settings_destroy(t.settings);
	t.c = NULL;
	t.settings = NULL;
}

static void opened(const char *profile)
{
	struct herd_aws_options o = { profile, NULL, NULL };

	closed();
	herd_diag_clear(&t.diag);
	if (herd_aws_settings_load(&o, &t.settings, &t.diag))
		fail_msg("%s: %s", t.diag.source, t.diag.message);
	assert_int_equal(herd_aws_credentials_create(t.settings, NULL,
						     clock_now, &t.c), 0);
}

static int get(void)
{
	herd_diag_clear(&t.diag);
	t.keys = NULL;
	return herd_aws_credentials_get(t.c, &t.keys, &t.diag);
}

/* The id of the keys that are had, and where they come from. */
static void gives(const char *profile, const char *id, const char *source)
{
	opened(profile);
	if (get())
		fail_msg("%s: %s", t.diag.source, t.diag.message);
	assert_string_equal(t.keys->access_key_id, id);
	assert_string_equal(herd_aws_credentials_source(t.c), source);
}

static void token_is(const char *secret, const char *token)
{
	assert_string_equal(t.keys->secret, secret);
	assert_string_equal(t.keys->session_token ?: "(none)", token);
}

/* The message says each of these, up to a NULL, and no secret. */
static void refuses(const char *profile, ...)
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

static int begin(void **state)
{
	aws_home_begin(state);
	at = NOW;
	aws_server_ask(&server, "PUT", "/clock/0");
	setenv("AWS_REGION", "eu-central-1", 1);
	unsetenv("PYTHONPATH");
	return 0;
}

static int end(void **state)
{
	closed();
	return aws_home_end(state);
}

/* To the server, by one of the variables: "http://127.0.0.1:4711/sts/3600". */
static void point(const char *variable, const char *path)
{
	char url[500];

	snprintf(url, sizeof(url), "%s%s", server.base, path);
	setenv(variable, url, 1);
}

static void instance(const char *path)
{
	unsetenv("AWS_EC2_METADATA_DISABLED");
	point("AWS_EC2_METADATA_SERVICE_ENDPOINT", path);
}

/* ---- parts ---- */

static void test_time(void **state)
{
	static const struct {
		const char *text;
		int64_t seconds;
	} right[] = {
		{ "1970-01-01T00:00:00Z", 0 },
		{ "2027-01-15T08:00:00Z", NOW },
		{ "2027-01-15T08:00:00.629Z", NOW },
		{ "2027-01-15T08:00:00UTC", NOW },
		{ "2027-01-15T08:00:00", NOW },
		{ "2027-01-15 08:00:00+00:00", NOW },
		{ "2027-01-15T10:30:00+02:30", NOW },
		{ "2027-01-15T00:00:00-0800", NOW },
	};
	static const char *const wrong[] = {
		"", "2027", "2027-01-15", "2027-13-15T08:00:00Z",
		"2027-01-15T24:00:00Z", "2027-01-15T08:00:00X",
		"2027-01-15T08:00:00+1", "2027-01-15T08:00:00+02:30x",
		"1800000000", " 2027-01-15T08:00:00Z",
	};
	int64_t got = -1;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(right); i++) {
		assert_int_equal(herd_credentials_time(right[i].text, &got), 0);
		assert_int_equal(got, right[i].seconds);
	}
	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++)
		if (!herd_credentials_time(wrong[i], &got))
			fail_msg("%s was read", wrong[i]);
	assert_int_equal(herd_credentials_http_date(
				 "Fri, 15 Jan 2027 08:00:00 GMT", &got), 0);
	assert_int_equal(got, NOW);
	assert_int_not_equal(herd_credentials_http_date(
				     "Fri, 15 anF 2027 08:00:00 GMT", &got), 0);
	assert_int_not_equal(herd_credentials_http_date("Fri", &got), 0);
}

static void words_are(const char *command, const char *joined)
{
	char *text = NULL, *words[HERD_WORDS_MAX + 1], got[200] = "";
	int err = herd_credentials_words(command, &text, words);

	if (err)
		fail_msg("%s: %s", command, strerror(-err));
	for (size_t i = 0; words[i]; i++) {
		strcat(got, words[i]);
		strcat(got, "|");
	}
	assert_string_equal(got, joined);
	free(text);
}

static void test_words(void **state)
{
	char *text = NULL, *words[HERD_WORDS_MAX + 1], many[300] = "";

	(void)state;
	words_are("a", "a|");
	words_are("  a  b\tc\n d ", "a|b|c|d|");
	words_are("a 'b c' \"d e\"f", "a|b c|d ef|");
	words_are("a '' \"\"", "a|||");
	words_are("a\\ b \\\\ \\'", "a b|\\|'|");
	words_are("'a\\b' \"a\\b\\\"\\\\\"", "a\\b|a\\b\"\\|");
	words_are("$HOME ~ * # ; |", "$HOME|~|*|#|;|||");
	assert_int_equal(herd_credentials_words("", &text, words), -ENOENT);
	assert_int_equal(herd_credentials_words("  ", &text, words), -ENOENT);
	assert_int_equal(herd_credentials_words("a 'b", &text, words), -EINVAL);
	assert_int_equal(herd_credentials_words("a \"b", &text, words),
			 -EINVAL);
	assert_int_equal(herd_credentials_words("a \\", &text, words), -EINVAL);
	for (int i = 0; i < HERD_WORDS_MAX; i++)
		strcat(many, "a ");
	assert_int_equal(herd_credentials_words(many, &text, words), 0);
	assert_null(words[HERD_WORDS_MAX]);
	free(text);
	strcat(many, "a");
	assert_int_equal(herd_credentials_words(many, &text, words), -E2BIG);
}

static void test_container_hosts(void **state)
{
	static const char *const allowed[] = {
		"https://anything.example/x", "http://127.0.0.1/", "http://127.9.8.7",
		"http://localhost:80/x?y", "http://[::1]:8080/v1",
		"http://169.254.170.2/v2/x", "http://169.254.170.23/v1",
		"http://[fd00:ec2::23]/v1", "HTTP://LocalHost/",
	};
	static const char *const refused[] = {
		"http://169.254.169.254/", "http://10.0.0.1/", "http://1.2.3.4",
		"http://localhost.example/", "http://127.0.0.1.example/",
		"http://127.0.0.1@evil.example/", "http://evil.example\\@127.0.0.1/",
		"http://[fd00:ec2::254]/", "http://[::1].example/", "http://",
		"http://[::1", "ftp://127.0.0.1/", "127.0.0.1", "",
		"http://127.1/", "http://0177.0.0.1/", "https:///x",
		"http://127.0.0.1 /", "http://evil.example#127.0.0.1",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(allowed); i++)
		if (!herd_credentials_url_allowed(allowed[i]))
			fail_msg("%s is refused", allowed[i]);
	for (size_t i = 0; i < ARRAY_SIZE(refused); i++)
		if (herd_credentials_url_allowed(refused[i]))
			fail_msg("%s is allowed", refused[i]);
}

/* ---- environment, profiles with keys ---- */

static void test_none(void **state)
{
	(void)state;
	refuses(NULL, "environment: AWS_ACCESS_KEY_ID is not set",
		"profile default: is not there", "AWS_WEB_IDENTITY_TOKEN_FILE",
		"container: AWS_CONTAINER_CREDENTIALS",
		"instance metadata: AWS_EC2_METADATA_DISABLED", NULL);
}

static void test_environment(void **state)
{
	(void)state;
	setenv("AWS_ACCESS_KEY_ID", "AKIDENV", 1);
	refuses(NULL, "environment", "AWS_SECRET_ACCESS_KEY", NULL);
	setenv("AWS_SECRET_ACCESS_KEY", "hidden", 1);
	gives(NULL, "AKIDENV", "environment");
	token_is("hidden", "(none)");
	assert_int_equal(t.keys->expires, 0);
	setenv("AWS_SESSION_TOKEN", "token", 1);
	setenv("AWS_CREDENTIAL_EXPIRATION", "2027-01-15T09:00:00Z", 1);
	gives(NULL, "AKIDENV", "environment");
	token_is("hidden", "token");
	assert_int_equal(t.keys->expires, NOW + 3600);
	at = NOW + 3600;
	refuses(NULL, "expired at 2027-01-15T09:00:00Z", NULL);
	unsetenv("AWS_CREDENTIAL_EXPIRATION");
	setenv("AWS_SECRET_ACCESS_KEY", "hidden\n", 1);
	refuses(NULL, "secret access key", "characters", NULL);
}

static void test_profile_keys(void **state)
{
	(void)state;
	aws_config("[default]\naws_access_key_id = AKIDC\n"
		   "aws_secret_access_key = config\n"
		   "[profile web]\naws_access_key_id = AKIDW\n"
		   "aws_secret_access_key = web\naws_session_token = tok\n"
		   "[profile half]\naws_access_key_id = AKIDH\n"
		   "[profile empty]\nregion = x\n");
	gives(NULL, "AKIDC", "profile default (keys)");
	gives("web", "AKIDW", "profile web (keys)");
	token_is("web", "tok");
	refuses("half", "profile half (keys)", "secret access key is missing", NULL);
	refuses("empty", "profile empty: has no keys, role, SSO or process",
		NULL);
	aws_credentials("[default]\naws_access_key_id = AKIDS\n"
			"aws_secret_access_key = shared\n"
			"aws_security_token = old\n");
	gives(NULL, "AKIDS", "profile default (keys)");
	token_is("shared", "old");
	aws_config("[profile web]\nlogin_session = arn:aws:iam::1:user/x\n");
	refuses("web", "aws login", "export-credentials", NULL);
}

static void test_precedence(void **state)
{
	(void)state;
	aws_config("[default]\naws_access_key_id = AKIDD\n"
		   "aws_secret_access_key = d\n"
		   "[profile web]\naws_access_key_id = AKIDW\n"
		   "aws_secret_access_key = w\n");
	/* the environment's keys go before a profile of the environment … */
	setenv("AWS_ACCESS_KEY_ID", "AKIDENV", 1);
	setenv("AWS_SECRET_ACCESS_KEY", "e", 1);
	setenv("AWS_PROFILE", "web", 1);
	gives(NULL, "AKIDENV", "environment");
	/* … and one of the command line before them */
	gives("web", "AKIDW", "profile web (keys)");
	assert_true(herd_aws_profile_given(t.settings));
	unsetenv("AWS_ACCESS_KEY_ID");
	gives(NULL, "AKIDW", "profile web (keys)");
	/* a file that is broken is told, whatever the environment has */
	setenv("AWS_ACCESS_KEY_ID", "AKIDENV", 1);
	opened(NULL);
	aws_config("[default\n");
	assert_int_equal(get(), -ENOKEY);
	aws_has(t.diag.message, "line 1");
}

/* Keys that another tool renews in the file are found there. */
static void test_file_renewed(void **state)
{
	(void)state;
	aws_credentials("[default]\naws_access_key_id = AKID1\n"
			"aws_secret_access_key = s\naws_session_token = t\n");
	gives(NULL, "AKID1", "profile default (keys)");
	aws_credentials("[default]\naws_access_key_id = AKID2\n"
			"aws_secret_access_key = s\naws_session_token = t\n");
	assert_int_equal(get(), 0);
	assert_string_equal(t.keys->access_key_id, "AKID1");
	herd_aws_credentials_expire(t.c);
	assert_int_equal(get(), 0);
	assert_string_equal(t.keys->access_key_id, "AKID2");
}

/* ---- roles ---- */

#define ROLE "role_arn = arn:aws:iam::123456789012:role/"
#define BASE                                      \
	"[profile base]\naws_access_key_id = AKIDBASE\n" \
	"aws_secret_access_key = base/secret+KEY\n"

static void test_assume_role(void **state)
{
	(void)state;
	point("AWS_ENDPOINT_URL_STS", "/sts/3600");
	aws_config(BASE "[profile plain]\n" ROLE "plain\nsource_profile = base\n"
		   "[profile all]\n" ROLE "named-external-long\n"
		   "source_profile = base\nexternal_id = ext ernal/&1\n"
		   "role_session_name = an@lyst\nduration_seconds = 7200\n"
		   "[profile temp]\n" ROLE "temp\nsource_profile = tempbase\n"
		   "[profile tempbase]\naws_access_key_id = AKIDTEMP\n"
		   "aws_secret_access_key = temp/secret\n"
		   "aws_session_token = temp-token+/=\n"
		   "[profile self]\n" ROLE "self\nsource_profile = self\n"
		   "aws_access_key_id = AKIDBASE\n"
		   "aws_secret_access_key = base/secret+KEY\n");
	gives("plain", "ASIAPLAIN1", "profile plain (assume role)");
	token_is("secret/plain+1", "token-plain-1+/=");
	assert_int_equal(t.keys->expires, NOW + 3600);
	gives("all", "ASIANAMEDEXTERNALLONG1", "profile all (assume role)");
	gives("temp", "ASIATEMP1", "profile temp (assume role)");
	gives("self", "ASIASELF1", "profile self (assume role)");
	/* a role goes before keys of the same profile, and before the web
	   identity of the environment */
	setenv("AWS_WEB_IDENTITY_TOKEN_FILE", "/nowhere", 1);
	setenv("AWS_PROFILE", "plain", 1);
	gives(NULL, "ASIAPLAIN2", "profile plain (assume role)");
}

static void test_role_chain(void **state)
{
	(void)state;
	point("AWS_ENDPOINT_URL_STS", "/sts");
	aws_config(BASE "[profile one]\n" ROLE "one\nsource_profile = base\n"
		   "[profile two]\n" ROLE "chained-two\nsource_profile = one\n"
		   "[profile three]\n" ROLE "chained-three\n"
		   "source_profile = two\n");
	gives("three", "ASIACHAINEDTHREE1", "profile three (assume role)");
	assert_int_equal(aws_server_count(&server, "role-one"), 1);
	assert_int_equal(aws_server_count(&server, "role-chained-two"), 1);
}

static void test_role_wrong(void **state)
{
	CLEANUP_BUF struct herd_buf deep = HERD_BUF_INIT;

	(void)state;
	point("AWS_ENDPOINT_URL_STS", "/sts");
	aws_config(BASE
		   "[profile a]\n" ROLE "a\nsource_profile = b\n"
		   "[profile b]\n" ROLE "b\nsource_profile = a\n"
		   "[profile self]\n" ROLE "s\nsource_profile = self\n"
		   "[profile gone]\n" ROLE "g\nsource_profile = nowhere\n"
		   "[profile both]\n" ROLE "b\nsource_profile = base\n"
		   "credential_source = Environment\n"
		   "[profile neither]\n" ROLE "n\n"
		   "[profile empty]\noutput = json\n"
		   "[profile onempty]\n" ROLE "e\nsource_profile = empty\n"
		   "[profile odd]\n" ROLE "o\ncredential_source = Odd\n"
		   "[profile mfa]\n" ROLE "m\nsource_profile = base\n"
		   "mfa_serial = arn:aws:iam::123456789012:mfa/me\n"
		   "[profile days]\n" ROLE "d\nsource_profile = base\n"
		   "duration_seconds = 1d\n"
		   "[profile denied]\n" ROLE "denied\nsource_profile = base\n"
		   "[profile partial]\n" ROLE "partial\nsource_profile = base\n"
		   "[profile forged]\n" ROLE "f\nsource_profile = forger\n"
		   "[profile forger]\naws_access_key_id = AKIDBASE\n"
		   "aws_secret_access_key = hidden\n");
	refuses("a", "back to a", NULL);
	refuses("self", "back to self", NULL);
	refuses("gone", "nowhere", "is not there", NULL);
	refuses("both", "both", NULL);
	refuses("neither", "neither", NULL);
	refuses("onempty", "source_profile empty has no keys", NULL);
	refuses("odd", "credential_source Odd", "Ec2InstanceMetadata", NULL);
	refuses("mfa", "MFA", "aws configure export-credentials --profile mfa",
		NULL);
	refuses("days", "duration_seconds", NULL);
	refuses("denied", "profile denied", "role/denied", "AccessDenied",
		"not authorized", NULL);
	refuses("partial", "no credentials", NULL);
	refuses("forged", "SignatureDoesNotMatch", NULL);
	for (int i = 0; i < HERD_ROLES_MAX + 1; i++)
		herd_buf_printf(&deep, "[profile d%d]\n" ROLE
				"chained-d\nsource_profile = d%d\n", i, i + 1);
	herd_buf_printf(&deep, "[profile d%d]\n%s", HERD_ROLES_MAX + 1,
			strchr(BASE, '\n') + 1);
	aws_config((const char *)deep.data);
	refuses("d0", "more than 8 roles", NULL);
	/* one less is none too many, and the refusal is STS's */
	refuses("d1", "STS says AccessDenied: by AKIDBASE", NULL);
}

static void test_role_retries(void **state)
{
	(void)state;
	point("AWS_ENDPOINT_URL_STS", "/sts");
	aws_config(BASE "[profile t]\n" ROLE "throttled\nsource_profile = base\n"
		   "[profile b]\n" ROLE "broken\nsource_profile = base\n");
	gives("t", "ASIATHROTTLED1", "profile t (assume role)");
	assert_int_equal(aws_server_count(&server, "role-throttled"), 2);
	gives("b", "ASIABROKEN1", "profile b (assume role)");
	assert_int_equal(aws_server_count(&server, "role-broken"), 3);
	setenv("AWS_ENDPOINT_URL_STS", "http://127.0.0.1:1", 1);
	refuses("b", "profile b", NULL);
	unsetenv("AWS_ENDPOINT_URL_STS");
	unsetenv("AWS_REGION");
	refuses("b", "no region", NULL);
}

/* A clock that is an hour behind: STS's own is taken, and believed later. */
static void test_role_clock(void **state)
{
	(void)state;
	point("AWS_ENDPOINT_URL_STS", "/sts/7200");
	aws_server_ask(&server, "PUT", "/clock/3600");
	aws_config(BASE "[profile skew]\n" ROLE "skew\nsource_profile = base\n");
	gives("skew", "ASIASKEW1", "profile skew (assume role)");
	assert_int_equal(herd_credentials_now(t.c) - at, 3600);
	/* two minutes before they end, by STS's clock */
	aws_server_ask(&server, "PUT", "/clock/7080");
	at = NOW + 7080 - 3600;
	assert_int_equal(get(), 0);
	assert_string_equal(t.keys->access_key_id, "ASIASKEW2");
}

static void test_credential_source(void **state)
{
	(void)state;
	point("AWS_ENDPOINT_URL_STS", "/sts");
	aws_config("[profile e]\n" ROLE "by-env\ncredential_source = Environment\n"
		   "[profile i]\n" ROLE "chained-imds\n"
		   "credential_source = Ec2InstanceMetadata\n"
		   "[profile c]\n" ROLE "chained-ecs\n"
		   "credential_source = EcsContainer\n");
	refuses("e", "credential_source Environment of profile e",
		"AWS_ACCESS_KEY_ID is not set", NULL);
	refuses("c", "AWS_CONTAINER_CREDENTIALS", NULL);
	refuses("i", "AWS_EC2_METADATA_DISABLED", NULL);
	setenv("AWS_ACCESS_KEY_ID", "AKIDBASE", 1);
	setenv("AWS_SECRET_ACCESS_KEY", "base/secret+KEY", 1);
	gives("e", "ASIABYENV1", "profile e (assume role)");
	instance("/imds/3600");
	gives("i", "ASIACHAINEDIMDS1", "profile i (assume role)");
	point("AWS_CONTAINER_CREDENTIALS_FULL_URI", "/container/3600?token=abc");
	setenv("AWS_CONTAINER_AUTHORIZATION_TOKEN", "abc", 1);
	gives("c", "ASIACHAINEDECS1", "profile c (assume role)");
}

/* ---- web identity ---- */

/* The server compares with the same file: one that was kept would be wrong. */
static void web_token(const char *text)
{
	const char *path = getenv("HERD_WEB_TOKEN");
	FILE *f = fopen(path, "w");

	assert_non_null(f);
	fputs(text, f);
	fclose(f);
}

static void test_web_identity(void **state)
{
	const char *file = getenv("HERD_WEB_TOKEN");
	char text[600];

	(void)state;
	point("AWS_ENDPOINT_URL_STS", "/sts/3600");
	setenv("AWS_WEB_IDENTITY_TOKEN_FILE", file, 1);
	web_token("eyJh.first+/=\n");
	refuses(NULL, "AWS_ROLE_ARN", NULL);
	setenv("AWS_ROLE_ARN", "arn:aws:iam::123456789012:role/named-web", 1);
	setenv("AWS_ROLE_SESSION_NAME", "an@lyst", 1);
	/* goes before keys of the profile, as with the CLI */
	aws_credentials("[default]\naws_access_key_id = AKIDD\n"
			"aws_secret_access_key = d\n");
	gives(NULL, "ASIANAMEDWEB1", "web identity");
	web_token("eyJh.second");
	at = NOW + 3600 - 200;
	assert_int_equal(get(), 0);
	assert_string_equal(t.keys->access_key_id, "ASIANAMEDWEB2");
	at = NOW;
	/* a profile of the command line is not the environment's */
	gives("default", "AKIDD", "profile default (keys)");
	snprintf(text, sizeof(text),
		 "[profile web]\n" ROLE "own-web\nweb_identity_token_file = %s\n"
		 "[profile by]\n" ROLE "chained-by\nsource_profile = web\n",
		 file);
	aws_config(text);
	gives("web", "ASIAOWNWEB1", "profile web (web identity)");
	gives("by", "ASIACHAINEDBY1", "profile by (assume role)");

	setenv("AWS_WEB_IDENTITY_TOKEN_FILE", aws_home_path("gone"), 1);
	refuses(NULL, "gone", "cannot be read", NULL);
	aws_put("wrong", "hidden.token");
	setenv("AWS_WEB_IDENTITY_TOKEN_FILE", aws_home_path("wrong"), 1);
	refuses(NULL, "web identity", "InvalidIdentityToken", NULL);
	aws_put("empty", "\n");
	setenv("AWS_WEB_IDENTITY_TOKEN_FILE", aws_home_path("empty"), 1);
	refuses(NULL, "is empty", NULL);
}

/* ---- SSO ---- */

static void sso_cache(const char *key, const char *token, const char *until)
{
	uint8_t digest[HERD_SHA1_LEN];
	char hex[41], name[80], text[300];

	assert_true(herd_sha1(key, strlen(key), digest));
	mkdir(aws_home_path(".aws/sso"), 0700);
	mkdir(aws_home_path(".aws/sso/cache"), 0700);
	snprintf(name, sizeof(name), ".aws/sso/cache/%s.json",
		 herd_hex(digest, sizeof(digest), hex));
	snprintf(text, sizeof(text),
		 "{\"startUrl\": \"x\", \"region\": \"eu-west-1\", "
		 "\"accessToken\": \"%s\", \"expiresAt\": \"%s\"}", token,
		 until);
	aws_put(name, text);
}

#define START "https://d-1.awsapps.com/start#/"
#define SSO_OWN                                      \
	"sso_account_id = 123456789012\nsso_role_name = Read&Only\n"

static void test_sso(void **state)
{
	(void)state;
	point("AWS_ENDPOINT_URL_SSO", "/sso/3600");
	aws_config("[profile old]\nsso_start_url = " START "\n"
		   "sso_region = eu-west-1\n" SSO_OWN
		   "[sso-session corp]\nsso_start_url = " START "\n"
		   "sso_region = eu-west-1\nsso_registration_scopes = x\n"
		   "[profile new]\nsso_session = corp\n" SSO_OWN
		   "[profile other]\nsso_session = corp\n"
		   "sso_region = us-east-1\n" SSO_OWN
		   "[profile lost]\nsso_session = gone\n" SSO_OWN
		   "[profile half]\nsso_session = corp\n"
		   "sso_role_name = x\n"
		   "[profile bare]\n" SSO_OWN
		   "[profile role]\nsso_session = corp\n"
		   "sso_account_id = 1\nsso_role_name = Other\n");
	refuses("old", "no SSO login", "run aws sso login --profile old", NULL);
	sso_cache(START, "sso token/+=1", "2027-01-15T09:00:00Z");
	refuses("old", "not understood", "aws sso login", NULL);
	refuses("other", "sso_region", "sso-session", NULL);
	refuses("lost", "[sso-session gone]", NULL);
	refuses("half", "no sso_account_id", NULL);
	refuses("bare", "no sso_start_url", NULL);
}

static void test_sso_portal(void **state)
{
	(void)state;
	point("AWS_ENDPOINT_URL_SSO", "/sso/3600");
	aws_config("[profile old]\nsso_start_url = " START "\n"
		   "sso_region = eu-west-1\n" SSO_OWN
		   "[sso-session corp]\nsso_start_url = " START "\n"
		   "sso_region = eu-west-1\n"
		   "[profile new]\nsso_session = corp\n" SSO_OWN
		   "[profile role]\nsso_session = corp\n"
		   "sso_account_id = 1\nsso_role_name = Other\n"
		   "[profile by]\n" ROLE "chained-sso\nsource_profile = new\n");
	sso_cache(START, "sso-token/+=1", "2027-01-15T09:00:00UTC");
	gives("old", "ASIASSO1", "profile old (SSO)");
	token_is("secret/sso+1", "token-sso-1+/=");
	assert_int_equal(t.keys->expires, NOW + 3600);
	refuses("new", "no SSO login", "--profile new", NULL);
	sso_cache("corp", "sso-token/+=1", "2027-01-15T09:00:00Z");
	gives("new", "ASIASSO2", "profile new (SSO)");
	point("AWS_ENDPOINT_URL_STS", "/sts");
	gives("by", "ASIACHAINEDSSO1", "profile by (assume role)");
	refuses("role", "role Other", "status 403", NULL);
	at = NOW + 3600;
	refuses("new", "has expired", "run aws sso login --profile new", NULL);
	at = NOW;
	point("AWS_ENDPOINT_URL_SSO", "/sso-401/3600");
	refuses("new", "not valid any more", "run aws sso login --profile new",
		NULL);
}

/* ---- a process ---- */

static void process(const char *command)
{
	char text[600];

	snprintf(text, sizeof(text), "[default]\ncredential_process = %s\n",
		 command);
	aws_config(text);
}

static void test_process(void **state)
{
	char command[400];

	(void)state;
	aws_put("with space.json",
		"{\"Version\": 1, \"AccessKeyId\": \"AKIDP\", \"SecretAccessKey\": "
		"\"p\", \"SessionToken\": \"t\", \"Expiration\": "
		"\"2027-01-15T09:00:00+00:00\"}");
	snprintf(command, sizeof(command), "cat \"%s\"",
		 aws_home_path("with space.json"));
	process(command);
	gives(NULL, "AKIDP", "profile default (process)");
	token_is("p", "t");
	assert_int_equal(t.keys->expires, NOW + 3600);
	at = NOW + 3600;
	refuses(NULL, "keys that expired", NULL);
	at = NOW;
	process("echo {\\\"Version\\\":1, "
		"'\"AccessKeyId\":\"AKID\", \"SecretAccessKey\":\"$HOME\"}'");
	gives(NULL, "AKID", "profile default (process)");
	token_is("$HOME", "(none)"); /* no shell has seen it */
}

static void test_process_wrong(void **state)
{
	(void)state;
	process("/nowhere/at-all --secret hidden");
	refuses(NULL, "/nowhere/at-all cannot be started", NULL);
	process("sh -c 'echo hidden; echo log in first >&2; echo more >&2; exit "
		"3'");
	refuses(NULL, "status 3", "log in first", NULL);
	aws_has_not(t.text, "more");
	process("sh -c 'kill -9 $$'");
	refuses(NULL, "signal 9", NULL);
	process("echo hidden");
	refuses(NULL, "no JSON", NULL);
	process("echo '{\"AccessKeyId\": \"A\", \"SecretAccessKey\": \"hidden\"}'");
	refuses(NULL, "Version", NULL);
	process("echo '{\"Version\": 1, \"SecretAccessKey\": \"hidden\"}'");
	refuses(NULL, "access key id is missing", NULL);
	process("echo '{\"Version\": 1, \"AccessKeyId\": \"A\", "
		"\"SecretAccessKey\": \"hid\\nden\"}'");
	refuses(NULL, "secret access key", "characters", NULL);
	process("head -c 70000 /dev/zero");
	refuses(NULL, "more than 65536 bytes", NULL);
	process("sh -c 'unclosed");
	refuses(NULL, "a quote is open", NULL);
}

/* Neither our descriptors nor our stdin are the child's. */
static void test_process_descriptors(void **state)
{
	int fd = open("/dev/zero", O_RDONLY); /* not close-on-exec */

	(void)state;
	assert_true(fd > 2);
	aws_put("script",
		"read x && exit 9\n"
		"for f in /proc/$$/fd/*; do\n"
		"	[ -e $f ] && [ ${f##*/} -gt 2 ] || continue\n"
		"	[ \"$(readlink $f)\" = \"$0\" ] && continue\n"
		"	readlink $f >&2; exit 8\n"
		"done\n"
		"echo '{\"Version\":1,\"AccessKeyId\":\"A\","
		"\"SecretAccessKey\":\"S\"}'\n");

	char command[300];

	snprintf(command, sizeof(command), "sh %s", aws_home_path("script"));
	process(command);
	gives(NULL, "A", "profile default (process)");
	close(fd);
}

/* What it leaves behind with its pipes is not waited for; what does not end
   is ended, with all that it started. */
static void test_process_end(void **state)
{
	char command[400];

	(void)state;
	process("sh -c 'sleep 1000 & echo \"{\\\"Version\\\":1,"
		"\\\"AccessKeyId\\\":\\\"A\\\",\\\"SecretAccessKey\\\":"
		"\\\"S\\\"}\"; echo $! >$HOME/left'");
	gives(NULL, "A", "profile default (process)");

	FILE *f = fopen(aws_home_path("left"), "r");
	int left = 0;

	assert_non_null(f);
	assert_int_equal(fscanf(f, "%d", &left), 1);
	fclose(f);
	assert_int_equal(kill(left, SIGKILL), 0);

	snprintf(command, sizeof(command),
		 "sh -c 'sleep 1000 & echo $! >%s; wait'",
		 aws_home_path("inner"));
	process(command);
	opened(NULL);
	t.c->process_ms = 500;
	assert_int_equal(get(), -ENOKEY);
	aws_has(t.diag.message, "did not end");
	f = fopen(aws_home_path("inner"), "r");
	assert_non_null(f);
	assert_int_equal(fscanf(f, "%d", &left), 1);
	fclose(f);
	/* not ours to wait for: gone, or a zombie of whoever took it in */
	snprintf(command, sizeof(command), "/proc/%d/stat", left);
	for (int i = 0; i < 1000; i++) {
		char stat[300] = "", *state_of;

		f = fopen(command, "r");
		if (!f)
			break;
		if (!fgets(stat, sizeof(stat), f))
			stat[0] = '\0';
		fclose(f);
		state_of = strrchr(stat, ')');
		if (!state_of || state_of[2] == 'Z' || state_of[2] == 'X')
			break;
		usleep(10000);
		assert_true(i < 999);
	}
}

/* ---- container, instance ---- */

static void test_container(void **state)
{
	char path[300];

	(void)state;
	point("AWS_CONTAINER_CREDENTIALS_FULL_URI", "/container/3600");
	gives(NULL, "ASIACONTAINER2", "container"); /* 1: credential_source */
	assert_int_equal(t.keys->expires, NOW + 7200);
	point("AWS_CONTAINER_CREDENTIALS_FULL_URI",
	      "/container/3600?token=Bearer%20one");
	refuses(NULL, "container", "status 401", NULL);
	setenv("AWS_CONTAINER_AUTHORIZATION_TOKEN", "Bearer one", 1);
	gives(NULL, "ASIACONTAINER3", "container");
	/* the file goes before the variable and is read each time */
	aws_put("token", "Bearer two\n");
	setenv("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
	       aws_home_path("token"), 1);
	snprintf(path, sizeof(path), "/container/3600?file=%s",
		 aws_home_path("token"));
	point("AWS_CONTAINER_CREDENTIALS_FULL_URI", path);
	gives(NULL, "ASIACONTAINER4", "container");
	aws_put("token", "Bearer three");
	at = t.keys->expires - 100;
	assert_int_equal(get(), 0);
	assert_string_equal(t.keys->access_key_id, "ASIACONTAINER5");
	aws_put("token", "Bearer\r\nX-Evil: yes");
	refuses(NULL, "container", "control characters", NULL);
	setenv("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", aws_home_path("no"),
	       1);
	refuses(NULL, "token cannot be read", NULL);
	unsetenv("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE");
	setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", "http://10.1.2.3/", 1);
	refuses(NULL, "must be https, or http to this host", NULL);
	setenv("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "@evil.example/", 1);
	refuses(NULL, "does not begin with a slash", NULL);
}

static void test_instance(void **state)
{
	(void)state;
	instance("/imds/7200/");
	gives(NULL, "ASIAIMDS2", "instance metadata"); /* 1: credential_source */
	assert_int_equal(t.keys->expires, NOW + 14400);
	assert_int_equal(aws_server_count(&server, "imds-put"), 2);
	setenv("AWS_EC2_METADATA_DISABLED", "TRUE", 1);
	refuses(NULL, "AWS_EC2_METADATA_DISABLED is true", NULL);
	instance("/imds-off");
	refuses(NULL, "no IMDSv2 token: status 403", "turned off", NULL);
	instance("/imds-norole");
	refuses(NULL, "the instance has no role", NULL);
	instance("/imds-failed");
	refuses(NULL, "AssumeRoleUnauthorizedAccess", "cannot assume", NULL);
	setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", "http://127.0.0.1:1", 1);
	refuses(NULL, "instance metadata: cannot be reached", NULL);
	setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", "nonsense", 1);
	refuses(NULL, "not an http or https URL", NULL);
	/* one of the profile */
	unsetenv("AWS_EC2_METADATA_SERVICE_ENDPOINT");
	snprintf(t.text, sizeof(t.text),
		 "[default]\nec2_metadata_service_endpoint = %s/imds/3600\n",
		 server.base);
	aws_config(t.text);
	gives(NULL, "ASIAIMDS3", "instance metadata");
}

/* A token that does not come names the hop limit; IMDSv1 is never asked. */
static void test_instance_slow(void **state)
{
	(void)state;
	instance("/imds-slow");
	refuses(NULL, "no answer within 1 s", "hop limit", NULL);
	assert_int_equal(aws_server_count(&server, "imds-slow-put"), 1);
	assert_int_equal(aws_server_count(&server, "imds-slow-get"), 0);
	instance("/imds-v1");
	refuses(NULL, "no IMDSv2 token: status 404", NULL);
	assert_int_equal(aws_server_count(&server, "imds-v1-get"), 0);
}

/* Keys that are outdated already are what IMDS has when AWS cannot renew. */
static void test_instance_outdated(void **state)
{
	(void)state;
	instance("/imds/1");
	at = NOW + 100000;
	opened(NULL);
	assert_int_equal(get(), 0);
	assert_int_equal(t.keys->expires, at + 600);
}

/* ---- fetching again ---- */

static unsigned made(const char *role)
{
	char what[80];

	snprintf(what, sizeof(what), "made-%s", role);
	return aws_server_count(&server, what);
}

static void test_refresh(void **state)
{
	(void)state;
	point("AWS_ENDPOINT_URL_STS", "/sts/3600");
	aws_config(BASE "[profile r]\n" ROLE "fresh\nsource_profile = base\n");
	gives("r", "ASIAFRESH1", "profile r (assume role)");
	at = NOW + 3600 - 301;
	assert_int_equal(get(), 0);
	assert_int_equal(made("fresh"), 1);
	/* signatures are judged by a clock that goes with ours */
	aws_server_ask(&server, "PUT", "/clock/3300");
	at = NOW + 3600 - 300;
	assert_int_equal(get(), 0);
	assert_string_equal(t.keys->access_key_id, "ASIAFRESH2");
	assert_int_equal(t.keys->expires, NOW + 7200);
	assert_int_equal(made("fresh"), 2);
}

/* A refresh that fails: what is valid is used, and not asked for each time. */
static void test_refresh_fails(void **state)
{
	unsigned asked;

	(void)state;
	point("AWS_ENDPOINT_URL_STS", "/sts/3600");
	aws_config(BASE "[profile r]\n" ROLE "lasting\nsource_profile = base\n");
	gives("r", "ASIALASTING1", "profile r (assume role)");
	aws_config(BASE "[profile r]\n" ROLE "denied-now\nsource_profile = base\n");
	asked = aws_server_count(&server, "role-denied-now");
	aws_server_ask(&server, "PUT", "/clock/3400");
	at = NOW + 3400;
	for (int i = 0; i < 5; i++) {
		assert_int_equal(get(), 0);
		assert_string_equal(t.keys->access_key_id, "ASIALASTING1");
		assert_string_equal(t.diag.message, "");
	}
	assert_int_equal(aws_server_count(&server, "role-denied-now"),
			 asked + 1);
	at = NOW + 3430;
	assert_int_equal(get(), 0);
	assert_int_equal(aws_server_count(&server, "role-denied-now"),
			 asked + 2);
	/* over: an error, told again for a while, then tried again */
	aws_server_ask(&server, "PUT", "/clock/3600");
	at = NOW + 3600;
	for (int i = 0; i < 5; i++) {
		assert_int_equal(get(), -ENOKEY);
		aws_has(t.diag.message, "AccessDenied");
	}
	assert_int_equal(aws_server_count(&server, "role-denied-now"),
			 asked + 3);
	aws_config(BASE "[profile r]\n" ROLE "lasting\nsource_profile = base\n");
	at = NOW + 3605;
	assert_int_equal(get(), 0);
	assert_string_equal(t.keys->access_key_id, "ASIALASTING2");
}

/* Keys that are short-lived from the start are not fetched for every call. */
static void test_refresh_short(void **state)
{
	(void)state;
	point("AWS_ENDPOINT_URL_STS", "/sts/120");
	aws_config(BASE "[profile r]\n" ROLE "short\nsource_profile = base\n");
	gives("r", "ASIASHORT1", "profile r (assume role)");
	for (int i = 0; i < 5; i++)
		assert_int_equal(get(), 0);
	assert_int_equal(made("short"), 1);
	at = NOW + 30;
	assert_int_equal(get(), 0);
	assert_int_equal(made("short"), 2);
}

static void test_expire(void **state)
{
	(void)state;
	point("AWS_ENDPOINT_URL_STS", "/sts/3600");
	aws_config(BASE "[profile r]\n" ROLE "revoked\nsource_profile = base\n");
	gives("r", "ASIAREVOKED1", "profile r (assume role)");
	herd_aws_credentials_expire(t.c);
	assert_int_equal(get(), 0);
	assert_string_equal(t.keys->access_key_id, "ASIAREVOKED2");
	/* requests that were under way with the old ones fail, too */
	for (int i = 0; i < 20; i++) {
		herd_aws_credentials_expire(t.c);
		assert_int_equal(get(), 0);
	}
	assert_int_equal(made("revoked"), 2);
	at = NOW + 11;
	herd_aws_credentials_expire(t.c);
	assert_int_equal(get(), 0);
	assert_int_equal(made("revoked"), 3);
	/* rejected ones are not fallen back on */
	at = NOW + 30;
	aws_config("[profile r]\n");
	herd_aws_credentials_expire(t.c);
	assert_int_equal(get(), -ENOKEY);
	/* a clock that is set back makes nobody wait for years */
	at = 1000;
	aws_config("[profile r]\naws_access_key_id = AKIDR\n"
		   "aws_secret_access_key = s\n");
	assert_int_equal(get(), 0);
	assert_string_equal(t.keys->access_key_id, "AKIDR");
}

static char token_path[64];

static int begin_all(void **state)
{
	(void)state;
	strcpy(token_path, "/tmp/herdfs-web-token-XXXXXX");
	close(mkstemp(token_path));
	setenv("HERD_WEB_TOKEN", token_path, 1);
	/* what asks past the proxy does; nobody is behind this one */
	setenv("no_proxy", "127.0.0.1", 1);
	return !aws_server_start(&server, "127.0.0.1", 0, token_path);
}

static int end_all(void **state)
{
	(void)state;
	aws_server_stop(&server);
	unlink(token_path);
	return 0;
}

#define AT_HOME(x) cmocka_unit_test_setup_teardown(x, begin, end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_time),
		cmocka_unit_test(test_words),
		cmocka_unit_test(test_container_hosts),
		AT_HOME(test_none),
		AT_HOME(test_environment),
		AT_HOME(test_profile_keys),
		AT_HOME(test_precedence),
		AT_HOME(test_file_renewed),
		AT_HOME(test_assume_role),
		AT_HOME(test_role_chain),
		AT_HOME(test_role_wrong),
		AT_HOME(test_role_retries),
		AT_HOME(test_role_clock),
		AT_HOME(test_credential_source),
		AT_HOME(test_web_identity),
		AT_HOME(test_sso),
		AT_HOME(test_sso_portal),
		AT_HOME(test_process),
		AT_HOME(test_process_wrong),
		AT_HOME(test_process_descriptors),
		AT_HOME(test_process_end),
		AT_HOME(test_container),
		AT_HOME(test_instance),
		AT_HOME(test_instance_slow),
		AT_HOME(test_instance_outdated),
		AT_HOME(test_refresh),
		AT_HOME(test_refresh_fails),
		AT_HOME(test_refresh_short),
		AT_HOME(test_expire),
	};

	return cmocka_run_group_tests(tests, begin_all, end_all);
}
