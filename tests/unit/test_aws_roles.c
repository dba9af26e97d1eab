/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Roles, web identities and SSO against a server that checks signatures, tokens
 * and parameters as STS and the portal do.
 */
#include "acquire/base/sha256.h"
#include "aws_credentials_fixture.h"

/* ---- roles ---- */

static void test_assume_role(void **state)
{
	(void)state;
	point("AWS_ENDPOINT_URL_STS", "/sts/3600");
	aws_config(BASE
		   "[profile plain]\n" ROLE "plain\nsource_profile = base\n"
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
			"[profile two]\n" ROLE
			"chained-two\nsource_profile = one\n"
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
		herd_buf_printf(&deep,
				"[profile d%d]\n" ROLE
				"chained-d\nsource_profile = d%d\n",
				i, i + 1);
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
	aws_config(BASE "[profile t]\n" ROLE
			"throttled\nsource_profile = base\n"
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
	aws_config(BASE "[profile skew]\n" ROLE
			"skew\nsource_profile = base\n");
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
	aws_config("[profile e]\n" ROLE
		   "by-env\ncredential_source = Environment\n"
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
	point("AWS_CONTAINER_CREDENTIALS_FULL_URI",
	      "/container/3600?token=abc");
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
		 "[profile web]\n" ROLE
		 "own-web\nweb_identity_token_file = %s\n"
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
		 "\"accessToken\": \"%s\", \"expiresAt\": \"%s\"}",
		 token, until);
	aws_put(name, text);
}

#define START "https://d-1.awsapps.com/start#/"
#define SSO_OWN "sso_account_id = 123456789012\nsso_role_name = Read&Only\n"

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

int main(void)
{
	const struct CMUnitTest tests[] = {
		AT_HOME(test_assume_role),  AT_HOME(test_role_chain),
		AT_HOME(test_role_wrong),   AT_HOME(test_role_retries),
		AT_HOME(test_role_clock),   AT_HOME(test_credential_source),
		AT_HOME(test_web_identity), AT_HOME(test_sso),
		AT_HOME(test_sso_portal),
	};

	return cmocka_run_group_tests(tests, begin_all, end_all);
}
