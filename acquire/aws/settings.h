/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the user's environment and ~/.aws/config say of profile, region,
 * endpoints and TLS, by AWS's own names and precedence; the table of it is in
 * docs/AWS.md.
 *
 * Threads: a value once loaded; read by any.
 */
#ifndef HERD_AWS_SETTINGS_H
#define HERD_AWS_SETTINGS_H

#include "acquire/base/diag.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What the command line says; NULL where it says nothing. */
struct herd_aws_options {
	const char *profile, *region, *endpoint_url;
};

struct herd_aws_settings;

int herd_aws_settings_load(const struct herd_aws_options *o,
			   struct herd_aws_settings **ret,
			   struct herd_diag *diag);
void herd_aws_settings_destroy(struct herd_aws_settings *s);

const char *herd_aws_region(const struct herd_aws_settings *s);	/* NULL: none */
const char *herd_aws_ca_bundle(const struct herd_aws_settings *s);
/* A value of the profile in use, "" and NULL alike when it is not there. Keys
   that are secret are not kept here. */
const char *herd_aws_profile_value(const struct herd_aws_settings *s,
				   const char *key);
const char *herd_aws_profile_name(const struct herd_aws_settings *s);
/* Said on the command line: then the environment's keys are not looked at. */
bool herd_aws_profile_given(const struct herd_aws_settings *s);

/*
 * "https://ebs.eu-central-1.amazonaws.com", without a slash at its end; by
 * --endpoint-url, AWS_ENDPOINT_URL_<SERVICE>, AWS_ENDPOINT_URL, the profile's
 * services section and endpoint_url, else by region, FIPS and dual-stack.
 * service: "ebs", "ec2", "autoscaling", "ssm", "sts", "s3", and "sso" (the
 * portal), for which --endpoint-url does not count.
 * -EINVAL where there is no region, or FIPS and dual-stack are not had.
 */
int herd_aws_endpoint(const struct herd_aws_settings *s, const char *service,
		      const char *region, char **ret, struct herd_diag *diag);

#endif
