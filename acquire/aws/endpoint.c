/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which URL a service has: what is set, else made from the region as the rule
 * sets that AWS publishes with its service models make it.
 */
#include "acquire/aws/settings_impl.h"

#include "acquire/base/cleanup.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

/* The first that a region begins with; "" is the rest, and what is new. */
static const struct partition {
	const char *prefix, *suffix, *dual_stack;
} partitions[] = {
	{ "cn-", "amazonaws.com.cn", "api.amazonwebservices.com.cn" },
	{ "us-gov-", "amazonaws.com", "api.aws" },
	{ "us-iso-", "c2s.ic.gov", "api.aws.ic.gov" },
	{ "us-isob-", "sc2s.sgov.gov", "api.aws.scloud" },
	{ "us-isof-", "csp.hci.ic.gov", "api.aws.hci.ic.gov" },
	{ "eu-isoe-", "cloud.adc-e.uk", "api.cloud-aws.adc-e.uk" },
	{ "eusc-", "amazonaws.eu", "api.amazonwebservices.eu" },
	{ "", "amazonaws.com", "api.aws" },
};

/* gov_fips: GovCloud's plain name is the FIPS one already, but for dual-stack. */
static const struct service {
	const char *name, *id, *host;
	bool gov_fips;
} services[] = {
	{ "ebs", "ebs", "ebs", false },
	{ "ec2", "ec2", "ec2", true },
	{ "autoscaling", "auto_scaling", "autoscaling", true },
	{ "ssm", "ssm", "ssm", true },
	{ "sts", "sts", "sts", true },
	{ "s3", "s3", "s3", false },
	{ "sso", "sso", "portal.sso", true },
};

bool herd_aws_is_label(const char *text)
{
	size_t n = strlen(text);

	if (!n || n > 63 || text[0] == '-' || text[n - 1] == '-')
		return false;
	for (size_t i = 0; i < n; i++)
		if (!isalnum((unsigned char)text[i]) && text[i] != '-')
			return false;
	return true;
}

bool herd_aws_is_url(const char *url)
{
	const char *host = NULL;

	if (!strncmp(url, "https://", 8))
		host = url + 8;
	else if (!strncmp(url, "http://", 7))
		host = url + 7;
	if (!host || !*host || *host == '/')
		return false;
	for (const char *p = host; *p; p++)
		if (!isgraph((unsigned char)*p) || strchr("@?#\\\"<>", *p))
			return false;
	return true;
}

static const struct service *find_service(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(services); i++)
		if (!strcmp(services[i].name, name))
			return &services[i];
	return NULL;
}

/* ---- what is set ---- */

struct found {
	const char *url, *where;
};

static int find_set(const struct herd_aws_settings *s,
		    const struct service *service, struct found *ret,
		    struct herd_diag *diag)
{
	char name[64] = "AWS_ENDPOINT_URL_";
	size_t n = strlen(name);
	const char *section = herd_aws_profile_value(s, "services");
	const char *url;

	for (const char *id = service->id; *id && n + 1 < sizeof(name); id++)
		name[n++] = (char)toupper((unsigned char)*id);
	name[n] = '\0';
	url = getenv(name);
	*ret = (struct found){ url, "AWS_ENDPOINT_URL_…" };
	if (url && *url)
		return 0;
	url = getenv("AWS_ENDPOINT_URL");
	*ret = (struct found){ url, "AWS_ENDPOINT_URL" };
	if (url && *url)
		return 0;
	if (section && !herd_aws_profiles_has_services(s->profiles, section))
		return herd_diag_set(diag, -EINVAL, "AWS", HERD_NO_OFFSET,
				     "profile %s names [services %s], which is "
				     "not there",
				     s->profile, section);
	if (section) {
		url = herd_aws_profiles_service(s->profiles, section,
						service->id, "endpoint_url");
		*ret = (struct found){ url, "the profile's services" };
		if (url)
			return 0;
	}
	url = herd_aws_profile_value(s, "endpoint_url");
	*ret = (struct found){ url, "the profile's endpoint_url" };
	return 0;
}

static int take_set(const struct found *found, char **ret,
		    struct herd_diag *diag)
{
	char *url;

	if (!herd_aws_is_url(found->url))
		return herd_diag_set(diag, -EINVAL, "AWS", HERD_NO_OFFSET,
				     "%s is not an http or https URL",
				     found->where);
	url = strdup(found->url);
	if (!url)
		return -ENOMEM;
	for (size_t n = strlen(url); n && url[n - 1] == '/'; n--)
		url[n - 1] = '\0';
	*ret = url;
	return 0;
}

/* ---- what the region makes ---- */

static int make(const struct herd_aws_settings *s,
		const struct service *service, const char *region, char **ret,
		struct herd_diag *diag)
{
	const struct partition *p = partitions;
	bool fips = herd_aws_switch(s, "AWS_USE_FIPS_ENDPOINT",
				    "use_fips_endpoint");
	bool dual = herd_aws_switch(s, "AWS_USE_DUALSTACK_ENDPOINT",
				    "use_dualstack_endpoint");
	char *url = NULL;
	int n;

	while (strncmp(region, p->prefix, strlen(p->prefix)))
		p++;

	bool gov = !strcmp(p->prefix, "us-gov-");
	bool same = gov && !dual && service->gov_fips;
	const char *fips_mark = fips && !same ? "-fips" : "";
	bool s3 = !strcmp(service->name, "s3");

	if (s3 && fips && !strcmp(p->prefix, "cn-"))
		return herd_diag_set(diag, -EINVAL, "AWS", HERD_NO_OFFSET,
				     "S3 has no FIPS endpoint in %s", region);
	if (s3)
		n = asprintf(&url, "https://s3%s%s.%s.%s", fips_mark,
			     dual ? ".dualstack" : "", region, p->suffix);
	else
		n = asprintf(&url, "https://%s%s.%s.%s", service->host,
			     fips_mark, region,
			     dual ? p->dual_stack : p->suffix);
	if (n < 0)
		return -ENOMEM;
	*ret = url;
	return 0;
}

int herd_aws_endpoint(const struct herd_aws_settings *s, const char *service,
		      const char *region, char **ret, struct herd_diag *diag)
{
	const struct service *sv = find_service(service);
	struct found found = { NULL, "--endpoint-url" };
	int err;

	if (!sv)
		return herd_diag_set(diag, -EINVAL, "AWS", HERD_NO_OFFSET,
				     "unknown service %s", service);
	if (strcmp(service, "sso"))
		found.url = s->endpoint_url;
	if (!found.url &&
	    !herd_aws_switch(s, "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS",
			     "ignore_configured_endpoint_urls")) {
		err = find_set(s, sv, &found, diag);
		if (err)
			return err;
	}
	if (found.url)
		return take_set(&found, ret, diag);
	if (!region || !*region)
		return herd_diag_set(diag, -EINVAL, "AWS", HERD_NO_OFFSET,
				     "no region: give --region, set AWS_REGION "
				     "or region in the profile");
	if (!herd_aws_is_label(region))
		return herd_diag_set(diag, -EINVAL, "AWS", HERD_NO_OFFSET,
				     "%.80s is not the name of a region",
				     region);
	return make(s, sv, region, ret, diag);
}
