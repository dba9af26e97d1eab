/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Keys in the environment and in profiles, and roles. A role needs keys to be
 * assumed with, and those may be of another role: the whole way is worked out
 * first, then gone from its far end.
 */
#include "acquire/aws/credentials_impl.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

static const char *variable(const char *name)
{
	const char *value = getenv(name);

	return value && *value ? value : NULL;
}

/* ---- keys as they are ---- */

int herd_credentials_environment(struct herd_credentials_wish *w,
				 struct herd_aws_keys *ret,
				 struct herd_diag *diag)
{
	const char *id = variable("AWS_ACCESS_KEY_ID");
	const char *secret = variable("AWS_SECRET_ACCESS_KEY");
	const char *expires = variable("AWS_CREDENTIAL_EXPIRATION");
	CLEANUP(herd_aws_keys_deinit)
	struct herd_aws_keys k = { NULL, NULL, NULL, 0 };
	int err;

	if (!id)
		return herd_diag_set(diag, -ENOENT, NULL, HERD_NO_OFFSET,
				     "AWS_ACCESS_KEY_ID is not set");
	if (!secret)
		return herd_diag_set(diag, -EINVAL, "environment",
				     HERD_NO_OFFSET,
				     "AWS_ACCESS_KEY_ID is set "
				     "but not AWS_SECRET_ACCESS_KEY");
	err = herd_credentials_set(id, secret,
				   variable("AWS_SECURITY_TOKEN") ?:
					   variable("AWS_SESSION_TOKEN"),
				   expires, &k, diag);
	if (err)
		return err;
	if (k.expires && k.expires <= herd_credentials_now(w->c))
		return herd_diag_set(diag, -EKEYEXPIRED, "environment",
				     HERD_NO_OFFSET,
				     "the keys there expired at "
				     "%.40s (AWS_CREDENTIAL_EXPIRATION)",
				     expires);
	*ret = k;
	k = (struct herd_aws_keys){ NULL, NULL, NULL, 0 };
	return 0;
}

static int keys_of(const struct herd_credentials_wish *w,
		   enum herd_aws_files from, struct herd_aws_keys *ret,
		   struct herd_diag *diag)
{
	const struct herd_aws_profiles *p = w->profiles;
	const char *id =
		herd_aws_profiles_get(p, from, w->profile, "aws_access_key_id");
	const char *token =
		herd_aws_profiles_get(p, from, w->profile, "aws_security_token") ?:
			herd_aws_profiles_get(p, from, w->profile,
					      "aws_session_token");

	if (!id)
		return -ENOENT;
	return herd_credentials_set(
		id,
		herd_aws_profiles_get(p, from, w->profile,
				      "aws_secret_access_key"),
		token, NULL, ret, diag);
}

int herd_credentials_shared_keys(struct herd_credentials_wish *w,
				 struct herd_aws_keys *ret,
				 struct herd_diag *diag)
{
	return keys_of(w, HERD_AWS_CREDENTIALS, ret, diag);
}

int herd_credentials_config_keys(struct herd_credentials_wish *w,
				 struct herd_aws_keys *ret,
				 struct herd_diag *diag)
{
	return keys_of(w, HERD_AWS_CONFIG, ret, diag);
}

/* The keys that `aws login` keeps are bound to a private key of the CLI's. */
int herd_credentials_login(struct herd_credentials_wish *w,
			   struct herd_aws_keys *ret, struct herd_diag *diag)
{
	(void)ret;
	if (!herd_aws_profiles_get(w->profiles, HERD_AWS_BOTH, w->profile,
				   "login_session"))
		return -ENOENT;
	return herd_diag_set(
		diag, -EOPNOTSUPP, NULL, HERD_NO_OFFSET,
		"sessions of aws login are not read: give a profile "
		"with credential_process = aws configure "
		"export-credentials --profile %.64s",
		w->profile);
}

/* ---- the way to a role ---- */

struct way {
	const char *profiles[HERD_ROLES_MAX]; /* the wanted one first */
	size_t n;
	const char *base;   /* whose keys begin it, or … */
	const char *source; /* … what credential_source says */
};

static const char *value(const struct herd_credentials_wish *w,
			 const char *profile, const char *key)
{
	return herd_aws_profiles_get(w->profiles, HERD_AWS_BOTH, profile, key);
}

static bool has_role(const struct herd_credentials_wish *w, const char *profile)
{
	return value(w, profile, "role_arn") &&
	       !value(w, profile, "web_identity_token_file");
}

static bool has_keys(const struct herd_credentials_wish *w, const char *profile)
{
	return value(w, profile, "aws_access_key_id") ||
	       value(w, profile, "aws_secret_access_key");
}

static int refuse_mfa(const char *name, struct herd_diag *diag)
{
	return herd_diag_set(diag, -EOPNOTSUPP, NULL, HERD_NO_OFFSET,
			     "profile %.64s wants an MFA code (mfa_serial), "
			     "which cannot be asked for here: run eval \"$(aws "
			     "configure export-credentials --profile %.64s "
			     "--format env)\" first and start again without "
			     "--profile",
			     name, name);
}

/* Where name's role gets its keys from; *ret_next: another role. */
static int next_on_way(const struct herd_credentials_wish *w, struct way *way,
		       const char **ret_next, struct herd_diag *diag)
{
	const char *name = way->profiles[way->n - 1];
	const char *from = value(w, name, "source_profile");

	way->source = value(w, name, "credential_source");
	*ret_next = NULL;
	if (value(w, name, "mfa_serial"))
		return refuse_mfa(name, diag);
	if (!from == !way->source)
		return herd_diag_set(diag, -EINVAL, NULL, HERD_NO_OFFSET,
				     "profile %.64s has a role_arn and %s "
				     "source_profile and credential_source",
				     name, from ? "both" : "neither");
	if (way->source)
		return 0;
	if (!herd_aws_profiles_has(w->profiles, from))
		return herd_diag_set(diag, -EINVAL, NULL, HERD_NO_OFFSET,
				     "source_profile %.64s of profile %.64s is "
				     "not there",
				     from, name);

	bool keys = has_keys(w, from);

	for (size_t i = 0; i < way->n; i++)
		if (!strcmp(way->profiles[i], from) &&
		    !(keys && !strcmp(from, name)))
			return herd_diag_set(
				diag, -ELOOP, NULL, HERD_NO_OFFSET,
				"source_profile leads from profile "
				"%.64s back to %.64s",
				name, from);
	if (keys || !has_role(w, from))
		way->base = from;
	else
		*ret_next = from;
	return 0;
}

static int find_way(const struct herd_credentials_wish *w, struct way *way,
		    struct herd_diag *diag)
{
	const char *next = w->profile;

	while (next) {
		int err;

		if (way->n == HERD_ROLES_MAX)
			return herd_diag_set(diag, -EOVERFLOW, NULL,
					     HERD_NO_OFFSET,
					     "more than %d "
					     "roles one behind the other",
					     HERD_ROLES_MAX);
		way->profiles[way->n++] = next;
		err = next_on_way(w, way, &next, diag);
		if (err)
			return err;
	}
	return 0;
}

/* ---- going it ---- */

static int named_source(struct herd_credentials_wish *w, const char *name,
			const char *profile, struct herd_aws_keys *ret,
			struct herd_diag *diag)
{
	static const struct {
		const char *name;
		herd_credentials_source *fetch;
	} sources[] = {
		{ "Environment", herd_credentials_environment },
		{ "Ec2InstanceMetadata", herd_credentials_instance },
		{ "EcsContainer", herd_credentials_container },
	};
	struct herd_diag why;

	herd_diag_clear(&why);
	for (size_t i = 0; i < ARRAY_SIZE(sources); i++) {
		if (strcasecmp(name, sources[i].name))
			continue;
		int err = sources[i].fetch(w, ret, &why);

		if (!err || err == -ENOMEM)
			return err;
		return herd_diag_set(
			diag, err == -ENOENT ? -ENOKEY : err, NULL,
			HERD_NO_OFFSET,
			"credential_source %s of profile %.64s: %s",
			sources[i].name, profile, why.message);
	}
	return herd_diag_set(
		diag, -EINVAL, NULL, HERD_NO_OFFSET,
		"credential_source %.40s of profile %.64s is none "
		"of Environment, Ec2InstanceMetadata, EcsContainer",
		name, profile);
}

static int base_keys(struct herd_credentials_wish *w, const struct way *way,
		     struct herd_aws_keys *ret, struct herd_diag *diag)
{
	struct herd_credentials_wish of = {
		.c = w->c,
		.profiles = w->profiles,
		.profile = way->base,
	};
	int err;

	if (way->source)
		return named_source(w, way->source, way->profiles[way->n - 1],
				    ret, diag);
	err = herd_credentials_of_profile(&of, ret, diag);
	if (err == -ENOENT)
		return herd_diag_set(diag, -ENOKEY, NULL, HERD_NO_OFFSET,
				     "source_profile %.64s has no keys",
				     way->base);
	return err;
}

static int assume(struct herd_credentials_wish *w, const char *profile,
		  const struct herd_aws_keys *by, struct herd_aws_keys *ret,
		  struct herd_diag *diag)
{
	char who[100];
	struct herd_credentials_role role = {
		.arn = value(w, profile, "role_arn"),
		.session_name = value(w, profile, "role_session_name"),
		.external_id = value(w, profile, "external_id"),
		.duration = value(w, profile, "duration_seconds"),
	};

	snprintf(who, sizeof(who), "profile %.64s", profile);
	if (role.duration &&
	    (strspn(role.duration, "0123456789") != strlen(role.duration) ||
	     strlen(role.duration) > 6))
		return herd_diag_set(diag, -EINVAL, who, HERD_NO_OFFSET,
				     "duration_seconds is not a number of "
				     "seconds");
	return herd_credentials_sts(w->c, who, &role, by, ret, diag);
}

int herd_credentials_assume_role(struct herd_credentials_wish *w,
				 struct herd_aws_keys *ret,
				 struct herd_diag *diag)
{
	CLEANUP(herd_aws_keys_deinit)
	struct herd_aws_keys k = { NULL, NULL, NULL, 0 };
	struct way way = { .n = 0 };
	int err;

	if (!has_role(w, w->profile))
		return -ENOENT;
	err = find_way(w, &way, diag) ?: base_keys(w, &way, &k, diag);
	for (size_t i = way.n; !err && i-- > 0;) {
		struct herd_aws_keys next = { NULL, NULL, NULL, 0 };

		err = assume(w, way.profiles[i], &k, &next, diag);
		herd_aws_keys_deinit(&k);
		k = next;
	}
	if (err)
		return err == -ENOENT ? -ENOKEY : err;
	*ret = k;
	k = (struct herd_aws_keys){ NULL, NULL, NULL, 0 };
	return 0;
}
