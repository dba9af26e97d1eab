/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The files as the AWS CLI reads them, and what profile, region, endpoints and
 * TLS come to. Endpoints are those of the rule sets in AWS's service models.
 */
#include "acquire/aws/ini.h"
#include "acquire/aws/profiles.h"
#include "acquire/aws/settings.h"
#include "aws_fixture.h"

/* ---- the parser ---- */

static struct herd_ini *parse(const char *text)
{
	struct herd_ini *ini = NULL;
	unsigned line;
	int err = herd_ini_parse(text, strlen(text), &ini, &line);

	if (err)
		fail_msg("%s: line %u", strerror(-err), line);
	return ini;
}

static unsigned bad_line(const char *text, size_t len)
{
	struct herd_ini *ini = NULL;
	unsigned line = 0;

	assert_int_equal(herd_ini_parse(text, len, &ini, &line), -EBADMSG);
	assert_null(ini);
	return line;
}

static void is(const struct herd_ini *ini, const char *kind, const char *name,
	       const char *key, const char *value)
{
	const char *got = herd_ini_get(ini, kind, name, key, NULL);

	if (value)
		assert_string_equal(got ?: "(none)", value);
	else
		assert_null(got);
}

static void test_ini_lines(void **state)
{
	struct herd_ini *ini = parse("\xef\xbb\xbf# comment\r\n"
				     "; comment\n"
				     "[default] # what follows is nothing\r\n"
				     "Region=eu-central-1\r\n"
				     "output : json\n"
				     "a = b = c # d ; e\n"
				     "empty =\n"
				     "[profile web]\n"
				     "   region =   eu-west-1   \n"
				     "   output = text\n"
				     "\n"
				     "   last = 1\n"
				     "[profile \"two words\"]\n"
				     "region = r2\n"
				     "[ profile\ttab ]\n"
				     "region = r3\n"
				     "[profile web]\n"
				     "region = eu-west-2\n"
				     "[preview]\n"
				     "x = y");

	(void)state;
	is(ini, "", "default", "region", "eu-central-1");
	is(ini, NULL, "default", "region", "eu-central-1");
	is(ini, "", "default", "output", "json");
	is(ini, "", "default", "a", "b = c # d ; e");
	is(ini, "", "default", "empty", "");
	is(ini, "profile", "web", "region", "eu-west-2");
	is(ini, "profile", "web", "output", "text");
	is(ini, "profile", "web", "last", "1");
	is(ini, "profile", "two words", "region", "r2");
	is(ini, "profile", "tab", "region", "r3");
	is(ini, NULL, "profile web", "output", "text");
	is(ini, "profile", "default", "region", NULL);
	is(ini, "", "web", "region", NULL);
	is(ini, NULL, "preview", "x", "y");
	assert_true(herd_ini_has(ini, "profile", "web"));
	assert_false(herd_ini_has(ini, "profile", "we"));
	herd_ini_destroy(ini);
}

static void test_ini_blocks(void **state)
{
	struct herd_ini *ini = parse("[profile web]\n"
				     "s3 =\n"
				     "  region = not-the-profiles\n"
				     "  # comment\n"
				     "\n"
				     "  max_concurrent_requests=20\n"
				     "region = eu-central-1\n"
				     "credential_process = one\n"
				     "    \"two\n"
				     "    three\"\n"
				     "[services dev]\n"
				     "ebs = \n"
				     "  endpoint_url = http://127.0.0.1:1\n"
				     "auto_scaling =\n"
				     "\tendpoint_url = http://127.0.0.1:2\n");

	(void)state;
	is(ini, "profile", "web", "region", "eu-central-1");
	is(ini, "profile", "web", "s3", "");
	is(ini, "profile", "web", "credential_process", "one\n\"two\nthree\"");
	assert_string_equal(herd_ini_get(ini, "profile", "web", "s3", "region"),
			    "not-the-profiles");
	assert_string_equal(herd_ini_get(ini, "profile", "web", "s3",
					 "max_concurrent_requests"),
			    "20");
	assert_string_equal(herd_ini_get(ini, "services", "dev", "ebs",
					 "endpoint_url"),
			    "http://127.0.0.1:1");
	assert_string_equal(herd_ini_get(ini, "services", "dev", "auto_scaling",
					 "endpoint_url"),
			    "http://127.0.0.1:2");
	assert_null(herd_ini_get(ini, "services", "dev", "ebs", "x"));
	herd_ini_forget(ini, "credential_process");
	is(ini, "profile", "web", "credential_process", "");
	herd_ini_destroy(ini);
}

static void test_ini_bad(void **state)
{
	(void)state;
	assert_int_equal(bad_line("a = b\n", 6), 1);
	assert_int_equal(bad_line("[x]\nnothing\n", 12), 2);
	assert_int_equal(bad_line("[x]\n\n= y\n", 9), 3);
	assert_int_equal(bad_line("[x\n", 3), 1);
	assert_int_equal(bad_line("[]\n", 3), 1);
	assert_int_equal(bad_line("[x]\ns3 =\n  nothing\n", 19), 3);
	assert_int_equal(bad_line("[x]\na = b\0c\n", 12), 2);

	char *large = calloc(1, HERD_INI_MAX + 1);
	struct herd_ini *ini;
	unsigned line;

	memset(large, '\n', HERD_INI_MAX + 1);
	assert_int_equal(herd_ini_parse(large, HERD_INI_MAX + 1, &ini, &line),
			 -EOVERFLOW);
	assert_int_equal(herd_ini_parse(large, HERD_INI_MAX, &ini, &line), 0);
	herd_ini_destroy(ini);
	free(large);
}

/* ---- profile and region ---- */

static struct herd_aws_settings *load(const char *profile, const char *region)
{
	struct herd_aws_options o = { profile, region, NULL };
	struct herd_aws_settings *s = NULL;
	struct herd_diag diag;

	herd_diag_clear(&diag);
	if (herd_aws_settings_load(&o, &s, &diag))
		fail_msg("%s: %s", diag.source, diag.message);
	return s;
}

static void fails(const char *profile, const char *region, int err,
		  const char *part)
{
	struct herd_aws_options o = { profile, region, NULL };
	struct herd_aws_settings *s = NULL;
	struct herd_diag diag;

	herd_diag_clear(&diag);
	assert_int_equal(herd_aws_settings_load(&o, &s, &diag), err);
	assert_null(s);
	aws_has(diag.message, part);
}

static void region_is(const char *profile, const char *region,
		      const char *wanted)
{
	struct herd_aws_settings *s = load(profile, region);

	assert_string_equal(herd_aws_region(s) ?: "(none)", wanted);
	herd_aws_settings_destroy(s);
}

static void test_nothing_there(void **state)
{
	struct herd_aws_settings *s = load(NULL, NULL);

	(void)state;
	assert_string_equal(herd_aws_profile_name(s), "default");
	assert_false(herd_aws_profile_given(s));
	assert_null(herd_aws_region(s));
	assert_null(herd_aws_ca_bundle(s));
	herd_aws_settings_destroy(s);
	fails("web", NULL, -ENOENT, "no profile web");
	/* said by name it has to be there, even this one */
	setenv("AWS_PROFILE", "default", 1);
	fails(NULL, NULL, -ENOENT, "no profile default");
}

static void test_profile_and_region(void **state)
{
	(void)state;
	aws_config("[default]\nregion = d1\n"
		   "[profile a]\nregion = a1\n[profile b]\nregion = b1\n"
		   "[profile none]\noutput = json\n");
	region_is(NULL, NULL, "d1");
	region_is("a", NULL, "a1");
	region_is("none", NULL, "(none)");
	setenv("AWS_PROFILE", "a", 1);
	region_is(NULL, NULL, "a1");
	region_is("b", NULL, "b1");
	/* the CLI's order */
	setenv("AWS_DEFAULT_PROFILE", "b", 1);
	region_is(NULL, NULL, "b1");
	setenv("AWS_DEFAULT_REGION", "e1", 1);
	region_is(NULL, NULL, "e1");
	setenv("AWS_REGION", "e2", 1);
	region_is(NULL, NULL, "e2");
	region_is("a", NULL, "e2");
	region_is("a", "c1", "c1");
	setenv("AWS_REGION", "", 1);
	region_is(NULL, NULL, "e1");
	fails(NULL, "eu-central-1 # Frankfurt", -EINVAL, "not the name");
	fails(NULL, "evil.example/", -EINVAL, "not the name");
	fails(NULL, "-x", -EINVAL, "not the name");
}

static void test_files(void **state)
{
	struct herd_aws_settings *s;

	(void)state;
	/* [profile default] goes before [default], credentials before both */
	aws_config("[profile default]\nregion = p1\n[default]\nregion = d1\n"
		   "a = 1\n[profile web]\nregion = w1\noutput = text\n");
	aws_credentials("[default]\naws_access_key_id = AKID\n"
			"aws_secret_access_key = hidden\n"
			"[web]\nregion = w2\n[profile no]\nx = 1\n");
	region_is(NULL, NULL, "p1");
	region_is("web", NULL, "w2");
	s = load(NULL, NULL);
	assert_string_equal(herd_aws_profile_value(s, "a"), "1");
	assert_string_equal(herd_aws_profile_value(s, "aws_access_key_id"),
			    "AKID");
	assert_null(herd_aws_profile_value(s, "aws_secret_access_key"));
	assert_null(herd_aws_profile_value(s, "nothing"));
	herd_aws_settings_destroy(s);
	fails("no", NULL, -ENOENT, "no profile no");

	aws_put("other", "[profile o]\nregion = o1\n");
	setenv("AWS_CONFIG_FILE", aws_home_path("other"), 1);
	region_is("o", NULL, "o1");
	setenv("AWS_CONFIG_FILE", "~/other", 1);
	region_is("o", NULL, "o1");
	setenv("AWS_CONFIG_FILE", "/dev/null", 1);
	region_is(NULL, NULL, "(none)");
	setenv("AWS_SHARED_CREDENTIALS_FILE", aws_home_path("gone"), 1);
	s = load(NULL, NULL);
	assert_null(herd_aws_profile_value(s, "aws_access_key_id"));
	herd_aws_settings_destroy(s);
	setenv("AWS_SHARED_CREDENTIALS_FILE", "", 1);
	region_is("web", NULL, "w2");
}

/* A line that is not understood is told by number: it may be a secret. */
static void test_bad_file(void **state)
{
	struct herd_aws_options o = { NULL, NULL, NULL };
	struct herd_aws_settings *s = NULL;
	struct herd_diag diag;

	(void)state;
	herd_diag_clear(&diag);
	aws_credentials("[default]\nwJalrXUtnFEMI\n");
	assert_int_equal(herd_aws_settings_load(&o, &s, &diag), -EBADMSG);
	aws_has(diag.source, "/.aws/credentials");
	aws_has(diag.message, "line 2");
	aws_has_not(diag.message, "wJalr");
}

/* ---- endpoints ---- */

static void endpoint_of(const struct herd_aws_settings *s, const char *service,
			const char *region, const char *wanted)
{
	struct herd_diag diag;
	char *url = NULL;
	int err;

	herd_diag_clear(&diag);
	err = herd_aws_endpoint(s, service, region, &url, &diag);
	if (err)
		fail_msg("%s in %s: %s", service, region, diag.message);
	assert_string_equal(url, wanted);
	free(url);
}

static void no_endpoint(const struct herd_aws_settings *s, const char *service,
			const char *region, const char *part)
{
	struct herd_diag diag;
	char *url = NULL;

	herd_diag_clear(&diag);
	assert_int_equal(herd_aws_endpoint(s, service, region, &url, &diag),
			 -EINVAL);
	assert_null(url);
	aws_has(diag.message, part);
}

static const struct made {
	bool fips, dual;
	const char *service, *region, *url;
} made[] = {
	{ 0, 0, "ebs", "eu-central-1", "ebs.eu-central-1.amazonaws.com" },
	{ 0, 0, "ebs", "xx-new-1", "ebs.xx-new-1.amazonaws.com" },
	{ 0, 0, "ec2", "cn-north-1", "ec2.cn-north-1.amazonaws.com.cn" },
	{ 0, 0, "ssm", "us-gov-west-1", "ssm.us-gov-west-1.amazonaws.com" },
	{ 0, 0, "sts", "us-iso-east-1", "sts.us-iso-east-1.c2s.ic.gov" },
	{ 0, 0, "sts", "us-isob-east-1", "sts.us-isob-east-1.sc2s.sgov.gov" },
	{ 0, 0, "s3", "us-isof-south-1", "s3.us-isof-south-1.csp.hci.ic.gov" },
	{ 0, 0, "ebs", "eu-isoe-west-1", "ebs.eu-isoe-west-1.cloud.adc-e.uk" },
	{ 0, 0, "ec2", "eusc-de-east-1", "ec2.eusc-de-east-1.amazonaws.eu" },
	{ 0, 0, "sso", "eu-west-1", "portal.sso.eu-west-1.amazonaws.com" },
	{ 1, 0, "ebs", "us-east-1", "ebs-fips.us-east-1.amazonaws.com" },
	{ 1, 0, "ebs", "us-gov-west-1",
	  "ebs-fips.us-gov-west-1.amazonaws.com" },
	{ 1, 0, "ec2", "us-gov-west-1", "ec2.us-gov-west-1.amazonaws.com" },
	{ 1, 1, "ec2", "us-gov-west-1", "ec2-fips.us-gov-west-1.api.aws" },
	{ 1, 0, "ssm", "us-gov-east-1", "ssm.us-gov-east-1.amazonaws.com" },
	{ 1, 1, "ssm", "us-gov-east-1", "ssm-fips.us-gov-east-1.api.aws" },
	{ 1, 0, "sts", "us-east-2", "sts-fips.us-east-2.amazonaws.com" },
	{ 1, 0, "sso", "us-east-2", "portal.sso-fips.us-east-2.amazonaws.com" },
	{ 0, 1, "autoscaling", "eu-west-1", "autoscaling.eu-west-1.api.aws" },
	{ 0, 1, "ec2", "cn-north-1",
	  "ec2.cn-north-1.api.amazonwebservices.com.cn" },
	{ 0, 1, "ebs", "us-isob-east-1", "ebs.us-isob-east-1.api.aws.scloud" },
	{ 0, 1, "s3", "eu-west-1", "s3.dualstack.eu-west-1.amazonaws.com" },
	{ 1, 0, "s3", "us-east-1", "s3-fips.us-east-1.amazonaws.com" },
	{ 1, 1, "s3", "us-east-1",
	  "s3-fips.dualstack.us-east-1.amazonaws.com" },
};

static void test_endpoints_made(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(made); i++) {
		struct herd_aws_settings *s = load(NULL, NULL);
		char url[128];

		/* in any case, as the CLI takes it; anything else is no */
		setenv("AWS_USE_FIPS_ENDPOINT", made[i].fips ? "True" : "1", 1);
		setenv("AWS_USE_DUALSTACK_ENDPOINT",
		       made[i].dual ? "true" : "false", 1);
		snprintf(url, sizeof(url), "https://%s", made[i].url);
		endpoint_of(s, made[i].service, made[i].region, url);
		herd_aws_settings_destroy(s);
	}
}

static void test_endpoints_refused(void **state)
{
	struct herd_aws_settings *s = load(NULL, NULL);

	(void)state;
	no_endpoint(s, "ebs", NULL, "--region");
	no_endpoint(s, "ebs", "", "--region");
	no_endpoint(s, "ebs", "evil.example:1/", "not the name");
	no_endpoint(s, "iam", "eu-west-1", "unknown service");
	setenv("AWS_USE_FIPS_ENDPOINT", "true", 1);
	no_endpoint(s, "s3", "cn-north-1", "FIPS");
	herd_aws_settings_destroy(s);
}

/* The profile's switches; the environment goes before them. */
static void test_switches(void **state)
{
	struct herd_aws_settings *s;

	(void)state;
	aws_config("[default]\nuse_fips_endpoint = true\n"
		   "use_dualstack_endpoint = true\nca_bundle = ~/ca.pem\n");
	s = load(NULL, NULL);
	assert_string_equal(herd_aws_ca_bundle(s), aws_home_path("ca.pem"));
	endpoint_of(s, "ebs", "us-east-1",
		    "https://ebs-fips.us-east-1.api.aws");
	setenv("AWS_USE_FIPS_ENDPOINT", "false", 1);
	endpoint_of(s, "ebs", "us-east-1", "https://ebs.us-east-1.api.aws");
	herd_aws_settings_destroy(s);
	setenv("AWS_CA_BUNDLE", "/etc/x.pem", 1);
	s = load(NULL, NULL);
	assert_string_equal(herd_aws_ca_bundle(s), "/etc/x.pem");
	herd_aws_settings_destroy(s);
}

static void test_endpoints_set(void **state)
{
	struct herd_aws_options o = { NULL, NULL, "http://127.0.0.1:9/x//" };
	struct herd_aws_settings *s;

	(void)state;
	aws_config("[default]\nservices = dev\nendpoint_url = http://all\n"
		   "[services dev]\nebs =\n  endpoint_url = http://ebs.dev/\n"
		   "auto_scaling =\n  endpoint_url = http://asg.dev\n");
	s = load(NULL, NULL);
	endpoint_of(s, "ebs", NULL, "http://ebs.dev");
	endpoint_of(s, "autoscaling", NULL, "http://asg.dev");
	endpoint_of(s, "ec2", NULL, "http://all");
	setenv("AWS_ENDPOINT_URL", "https://env", 1);
	endpoint_of(s, "ebs", NULL, "https://env");
	setenv("AWS_ENDPOINT_URL_AUTO_SCALING", "https://env.asg", 1);
	setenv("AWS_ENDPOINT_URL_EBS", "https://env.ebs/path/", 1);
	endpoint_of(s, "ebs", "eu-west-1", "https://env.ebs/path");
	endpoint_of(s, "autoscaling", NULL, "https://env.asg");
	endpoint_of(s, "sso", NULL, "https://env");
	setenv("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", "true", 1);
	endpoint_of(s, "ebs", "eu-west-1",
		    "https://ebs.eu-west-1.amazonaws.com");
	no_endpoint(s, "ebs", NULL, "no region");
	herd_aws_settings_destroy(s);

	assert_int_equal(herd_aws_settings_load(&o, &s, NULL), 0);
	endpoint_of(s, "ebs", NULL, "http://127.0.0.1:9/x");
	endpoint_of(s, "sts", "eu-west-1", "http://127.0.0.1:9/x");
	/* the login's token goes there only by its own variables */
	endpoint_of(s, "sso", "eu-west-1",
		    "https://portal.sso.eu-west-1.amazonaws.com");
	herd_aws_settings_destroy(s);
}

static void test_endpoints_set_wrong(void **state)
{
	static const char *const urls[] = {
		"ftp://x",    "ebs.dev",    "https://",
		"https:///x", "http://a b", "http://user:pass@x",
		"http://x?y", "http://x#y", "http://x\\y",
	};
	struct herd_aws_options o = { NULL, NULL, NULL };
	struct herd_aws_settings *s = load(NULL, NULL);
	struct herd_diag diag;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(urls); i++) {
		struct herd_aws_settings *none = NULL;

		setenv("AWS_ENDPOINT_URL_EBS", urls[i], 1);
		no_endpoint(s, "ebs", "eu-west-1", "not an http or https URL");
		o.endpoint_url = urls[i];
		herd_diag_clear(&diag);
		assert_int_equal(herd_aws_settings_load(&o, &none, &diag),
				 -EINVAL);
		aws_has(diag.message, "--endpoint-url");
		assert_null(none);
	}
	unsetenv("AWS_ENDPOINT_URL_EBS");
	herd_aws_settings_destroy(s);
	aws_config("[default]\nservices = dev\n");
	s = load(NULL, NULL);
	no_endpoint(s, "ebs", "eu-west-1", "[services dev]");
	herd_aws_settings_destroy(s);
}

#define AT_HOME(t) \
	cmocka_unit_test_setup_teardown(t, aws_home_begin, aws_home_end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_ini_lines),
		cmocka_unit_test(test_ini_blocks),
		cmocka_unit_test(test_ini_bad),
		AT_HOME(test_nothing_there),
		AT_HOME(test_profile_and_region),
		AT_HOME(test_files),
		AT_HOME(test_bad_file),
		AT_HOME(test_endpoints_made),
		AT_HOME(test_endpoints_refused),
		AT_HOME(test_switches),
		AT_HOME(test_endpoints_set),
		AT_HOME(test_endpoints_set_wrong),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
