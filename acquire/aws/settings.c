/* SPDX-License-Identifier: Apache-2.0 */
#include "acquire/aws/settings_impl.h"

#include "acquire/base/cleanup.h"

#include <string.h>
#include <strings.h>

static const char *get_variable(const char *name)
{
	const char *value = getenv(name);

	return value && *value ? value : NULL;
}

const char *herd_aws_setting(const struct herd_aws_settings *s,
			     const char *name, const char *key)
{
	return get_variable(name) ?: herd_aws_profile_value(s, key);
}

bool herd_aws_switch(const struct herd_aws_settings *s, const char *name,
		     const char *key)
{
	const char *value = herd_aws_setting(s, name, key);

	return value && !strcasecmp(value, "true");
}

/* ---- loading ---- */

static int copy(const char *from, char **to)
{
	*to = from ? strdup(from) : NULL;
	return from && !*to ? -ENOMEM : 0;
}

/* As the AWS CLI has it, AWS_DEFAULT_PROFILE before AWS_PROFILE. */
static int choose_profile(struct herd_aws_settings *s,
			  const struct herd_aws_options *o,
			  struct herd_diag *diag)
{
	const char *name = o->profile				       ?:
				   get_variable("AWS_DEFAULT_PROFILE") ?:
				   get_variable("AWS_PROFILE");
	int err = copy(name ?: "default", &s->profile);

	s->given = o->profile != NULL;
	if (err || !name || herd_aws_profiles_has(s->profiles, name))
		return err;

	const char *unread = herd_aws_profiles_unread(s->profiles);

	return herd_diag_set(diag, -ENOENT, "AWS", HERD_NO_OFFSET,
			     "there is no profile %s in ~/.aws/config or "
			     "~/.aws/credentials%s%s%s",
			     name, *unread ? " (" : "", unread,
			     *unread ? ")" : "");
}

static int choose_region(struct herd_aws_settings *s,
			 const struct herd_aws_options *o,
			 struct herd_diag *diag)
{
	const char *region = o->region					?:
				     get_variable("AWS_REGION")		?:
				     get_variable("AWS_DEFAULT_REGION") ?:
				     herd_aws_profile_value(s, "region");

	if (region && !herd_aws_is_label(region))
		return herd_diag_set(diag, -EINVAL, "AWS", HERD_NO_OFFSET,
				     "%.80s is not the name of a region",
				     region);
	return copy(region, &s->region);
}

static void cleanup_settings(struct herd_aws_settings **s)
{
	herd_aws_settings_destroy(*s);
}

int herd_aws_settings_load(const struct herd_aws_options *o,
			   struct herd_aws_settings **ret,
			   struct herd_diag *diag)
{
	CLEANUP(cleanup_settings)
	struct herd_aws_settings *s = calloc(1, sizeof(*s));
	const char *set;
	int err;

	if (!s)
		return -ENOMEM;
	err = herd_aws_profiles_load(&s->profiles, diag);
	if (err)
		return err;
	herd_aws_profiles_forget(s->profiles);
	err = choose_profile(s, o, diag)	?:
		      choose_region(s, o, diag) ?:
		      copy(o->endpoint_url, &s->endpoint_url);
	if (err)
		return err;
	if (s->endpoint_url && !herd_aws_is_url(s->endpoint_url))
		return herd_diag_set(diag, -EINVAL, "AWS", HERD_NO_OFFSET,
				     "--endpoint-url is not an http or https "
				     "URL");
	set = herd_aws_setting(s, "AWS_CA_BUNDLE", "ca_bundle");
	err = set ? herd_aws_path(set, &s->ca_bundle) : 0;
	if (err)
		return err;
	*ret = TAKE_PTR(s);
	return 0;
}

void herd_aws_settings_destroy(struct herd_aws_settings *s)
{
	if (!s)
		return;
	herd_aws_profiles_destroy(s->profiles);
	free(s->profile);
	free(s->region);
	free(s->ca_bundle);
	free(s->endpoint_url);
	free(s);
}

/* ---- reading ---- */

const char *herd_aws_region(const struct herd_aws_settings *s)
{
	return s->region;
}

const char *herd_aws_ca_bundle(const struct herd_aws_settings *s)
{
	return s->ca_bundle;
}

const char *herd_aws_profile_value(const struct herd_aws_settings *s,
				   const char *key)
{
	return herd_aws_profiles_get(s->profiles, HERD_AWS_BOTH, s->profile,
				     key);
}

const char *herd_aws_profile_name(const struct herd_aws_settings *s)
{
	return s->profile;
}

bool herd_aws_profile_given(const struct herd_aws_settings *s)
{
	return s->given;
}
