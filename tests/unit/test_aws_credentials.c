/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Keys of the environment and of profiles; which source goes before which; and
 * when credentials are fetched again.
 */
#include "aws_credentials_fixture.h"

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
	refuses("half", "profile half (keys)", "secret access key is missing",
		NULL);
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
	aws_config(BASE "[profile r]\n" ROLE
			"lasting\nsource_profile = base\n");
	gives("r", "ASIALASTING1", "profile r (assume role)");
	aws_config(BASE "[profile r]\n" ROLE
			"denied-now\nsource_profile = base\n");
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
	aws_config(BASE "[profile r]\n" ROLE
			"lasting\nsource_profile = base\n");
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
	aws_config(BASE "[profile r]\n" ROLE
			"revoked\nsource_profile = base\n");
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

/* ---- what is left in memory ---- */

/* The program makes the secret up: nobody here has it before. */
static void test_wiped(void **state)
{
	(void)state;
	aws_config("[profile made]\ncredential_process = sh -c 'printf "
		   "\"{\\\"Version\\\":1,\\\"AccessKeyId\\\":\\\"AKIDMADE\\\","
		   "\\\"SecretAccessKey\\\":\\\"%s\\\"}\" "
		   "$(echo $$ x | sha256sum | head -c 64)'\n");
	gives("made", "AKIDMADE", "profile made (process)");
	aws_hide(t.keys->secret);
	assert_int_equal(aws_find_hidden(), 1);
	closed();
	t.keys = NULL;
	assert_int_equal(aws_find_hidden(), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		AT_HOME(test_none),	     AT_HOME(test_environment),
		AT_HOME(test_profile_keys),  AT_HOME(test_precedence),
		AT_HOME(test_file_renewed),  AT_HOME(test_refresh),
		AT_HOME(test_refresh_fails), AT_HOME(test_refresh_short),
		AT_HOME(test_expire),	     AT_HOME(test_wiped),
	};

	return cmocka_run_group_tests(tests, begin_all, end_all);
}
