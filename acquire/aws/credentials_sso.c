/* SPDX-License-Identifier: Apache-2.0 */
/*
 * IAM Identity Center: the token that `aws sso login` left in its cache, given
 * to the portal for a role's keys. The token is only read: to renew it is the
 * CLI's business, and nothing secret is written by us.
 */
#include "acquire/aws/credentials_impl.h"

#include "acquire/base/sha256.h"

#include <stdio.h>
#include <string.h>

#define CACHE_MAX (64u << 10)

struct sso {
	const char *session; /* NULL: the profile has it all itself */
	const char *start_url, *region, *account, *role;
};

static int missing(const struct herd_credentials_wish *w, const char *key,
		   struct herd_diag *diag)
{
	return herd_diag_set(diag, -EINVAL, NULL, HERD_NO_OFFSET,
			     "profile %.64s is set up for SSO but has no %s",
			     w->profile, key);
}

/* A value of the session, which must not be another in the profile. */
static int shared(const struct herd_credentials_wish *w, const struct sso *s,
		  const char *key, const char **ret, struct herd_diag *diag)
{
	const char *own = herd_aws_profiles_get(w->profiles, HERD_AWS_BOTH,
						w->profile, key);
	const char *its = s->session ?
				  herd_aws_profiles_session(w->profiles,
							    s->session, key) :
				  NULL;

	if (own && its && strcmp(own, its))
		return herd_diag_set(diag, -EINVAL, NULL, HERD_NO_OFFSET,
				     "%s of profile %.64s is not that of its "
				     "sso-session",
				     key, w->profile);
	*ret = its ?: own;
	return *ret ? 0 : missing(w, key, diag);
}

static int settle(const struct herd_credentials_wish *w, struct sso *s,
		  struct herd_diag *diag)
{
	const struct herd_aws_profiles *p = w->profiles;

	s->account = herd_aws_profiles_get(p, HERD_AWS_BOTH, w->profile,
					   "sso_account_id");
	s->role = herd_aws_profiles_get(p, HERD_AWS_BOTH, w->profile,
					"sso_role_name");
	s->session = herd_aws_profiles_get(p, HERD_AWS_BOTH, w->profile,
					   "sso_session");
	if (!s->account && !s->role)
		return -ENOENT;
	if (!s->account || !s->role)
		return missing(w, s->role ? "sso_account_id" : "sso_role_name",
			       diag);
	if (s->session && !herd_aws_profiles_has_session(p, s->session))
		return herd_diag_set(diag, -EINVAL, NULL, HERD_NO_OFFSET,
				     "profile %.64s names [sso-session %.64s], "
				     "which is not there",
				     w->profile, s->session);
	return shared(w, s, "sso_start_url", &s->start_url, diag) ?:
		       shared(w, s, "sso_region", &s->region, diag);
}

/* ---- the token ---- */

static int log_in(const struct herd_credentials_wish *w, const char *what,
		  struct herd_diag *diag)
{
	return herd_diag_set(diag, -EKEYEXPIRED, NULL, HERD_NO_OFFSET,
			     "%s: run aws sso login --profile %.64s", what,
			     w->profile);
}

static int cache_path(const struct sso *s, char **ret)
{
	const char *key = s->session ?: s->start_url;
	uint8_t digest[HERD_SHA1_LEN];
	char hex[2 * HERD_SHA1_LEN + 1], path[80];

	if (!herd_sha1(key, strlen(key), digest))
		return -EOPNOTSUPP;
	snprintf(path, sizeof(path), "~/.aws/sso/cache/%s.json",
		 herd_hex(digest, sizeof(digest), hex));
	return herd_aws_path(path, ret);
}

/* fields: accessToken, expiresAt. */
static int read_token(const struct herd_credentials_wish *w,
		      const struct sso *s, struct herd_credentials_fields *f,
		      struct herd_diag *diag)
{
	CLEANUP(herd_credentials_wipe_text) char *text = NULL;
	CLEANUP_FREE char *path = NULL;
	size_t len = 0;
	int64_t until;
	int err = cache_path(s, &path) ?:
			  herd_aws_read_file(path, CACHE_MAX, &text, &len);

	if (err == -ENOENT)
		return log_in(w, "there is no SSO login", diag);
	if (err)
		return herd_diag_set(diag, err, path, HERD_NO_OFFSET,
				     "the SSO login cannot be read: %s",
				     strerror(-err));
	err = herd_credentials_json(text, len, NULL, f);
	explicit_bzero(text, len);
	if (err == -ENOMEM)
		return err;
	if (err || !f->values[0] || !f->values[1] ||
	    herd_credentials_time(f->values[1], &until))
		return log_in(w, "the SSO login is not understood", diag);
	for (const char *p = f->values[0]; *p; p++)
		if (*p <= ' ' || *p >= 0x7f)
			return log_in(w, "the SSO login is not understood",
				      diag);
	if (until <= herd_credentials_now(w->c))
		return log_in(w, "the SSO login has expired", diag);
	return 0;
}

/* ---- the portal ---- */

static int make_url(const struct herd_credentials_wish *w, const struct sso *s,
		    struct herd_buf *ret, struct herd_diag *diag)
{
	const struct herd_pair query[] = {
		{ "role_name", s->role },
		{ "account_id", s->account },
	};
	CLEANUP_FREE char *base = NULL;
	int err = herd_aws_endpoint(w->c->settings, "sso", s->region, &base,
				    diag);

	if (err)
		return err;
	herd_buf_printf(ret, "%s/federation/credentials?", base);
	herd_uri_query(ret, query, ARRAY_SIZE(query));
	herd_buf_u8(ret, '\0');
	return herd_buf_error(ret);
}

/* Milliseconds since 1970, as text. */
static int read_keys(const struct herd_http_answer *a,
		     struct herd_aws_keys *ret, struct herd_diag *diag)
{
	CLEANUP(herd_credentials_fields_deinit)
	struct herd_credentials_fields f = {
		.names = { "accessKeyId", "secretAccessKey", "sessionToken",
			   "expiration" },
	};
	char *end = NULL;
	int err = herd_credentials_json(a->body.data, a->body.len,
					"roleCredentials", &f);

	if (err == -ENOMEM)
		return err;
	errno = 0;
	long long ms = f.values[3] ? strtoll(f.values[3], &end, 10) : 0;

	if (err || ms <= 0 || *end || errno)
		return herd_diag_set(diag, -EBADMSG, NULL, HERD_NO_OFFSET,
				     "SSO: the portal's answer is not "
				     "understood");
	err = herd_credentials_set(f.values[0], f.values[1], f.values[2], NULL,
				   ret, diag);
	if (!err)
		ret->expires = ms / 1000;
	return err;
}

static int refused(const struct herd_credentials_wish *w, const struct sso *s,
		   const struct herd_http_answer *a, struct herd_diag *diag)
{
	CLEANUP(herd_credentials_fields_deinit)
	struct herd_credentials_fields f = { .names = { "message" } };

	if (a->status == 401)
		return log_in(w, "the SSO login is not valid any more", diag);
	herd_credentials_json(a->body.data, a->body.len, NULL, &f);
	return herd_diag_set(diag, -EACCES, NULL, HERD_NO_OFFSET,
			     "profile %.64s: SSO gives no keys for role %.64s "
			     "of account %.20s: status %d %.100s",
			     w->profile, s->role, s->account, a->status,
			     f.values[0] ?: "");
}

int herd_credentials_sso(struct herd_credentials_wish *w,
			 struct herd_aws_keys *ret, struct herd_diag *diag)
{
	CLEANUP(herd_credentials_fields_deinit)
	struct herd_credentials_fields token = {
		.names = { "accessToken", "expiresAt" },
	};
	CLEANUP(herd_credentials_wipe_answer)
	struct herd_http_answer a = { .err = 0 };
	CLEANUP(herd_credentials_wipe_text) char *header = NULL;
	CLEANUP_BUF struct herd_buf url = HERD_BUF_INIT;
	struct sso s = { .session = NULL };
	int err = settle(w, &s, diag);

	if (err)
		return err;
	err = read_token(w, &s, &token, diag) ?: make_url(w, &s, &url, diag);
	if (err)
		return err == -ENOENT ? -ENOKEY : err;
	if (asprintf(&header, "x-amz-sso_bearer_token: %s", token.values[0]) <
	    0) {
		header = NULL;
		return -ENOMEM;
	}

	const char *headers[] = { header, "Accept: application/json" };
	struct herd_credentials_ask ask = {
		.who = "SSO",
		.request = {
			.method = "GET",
			.url = (const char *)url.data,
			.headers = headers,
			.n_headers = ARRAY_SIZE(headers),
			.limits = { .total_ms = 30000 },
		},
		.attempts = 3,
	};

	err = herd_credentials_ask(w->c, &ask, &a, diag);
	if (err)
		return err;
	return a.status == 200 ? read_keys(&a, ret, diag) :
				 refused(w, &s, &a, diag);
}
