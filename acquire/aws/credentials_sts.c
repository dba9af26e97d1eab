/* SPDX-License-Identifier: Apache-2.0 */
/*
 * STS: AssumeRole, signed, and AssumeRoleWithWebIdentity, which is not. A form
 * goes there, XML comes back.
 */
#include "acquire/aws/credentials_impl.h"

#include "acquire/base/sha256.h"

#include <stdio.h>
#include <string.h>

#define FORM "application/x-www-form-urlencoded; charset=utf-8"
#define TOKEN_MAX (64u << 10) /* bytes of a web identity's token */
#define SKEW_MIN 240	      /* seconds; a signature is good for 300 */

/* ---- answers ---- */

struct text {
	const char *p;
	size_t n;
};

/*
 * What stands between the first <name> and the </name> behind it. That much
 * XML is enough for four values that have neither attributes, references nor
 * elements in them; whatever has is taken for not there.
 */
static bool element(struct text in, const char *name, struct text *ret)
{
	char open[40], close[40];
	const char *from, *to;
	size_t left;

	snprintf(open, sizeof(open), "<%s>", name);
	snprintf(close, sizeof(close), "</%s>", name);
	from = in.n ? memmem(in.p, in.n, open, strlen(open)) : NULL;
	if (!from)
		return false;
	from += strlen(open);
	left = in.n - (size_t)(from - in.p);
	to = memmem(from, left, close, strlen(close));
	if (!to)
		return false;
	*ret = (struct text){ from, (size_t)(to - from) };
	return true;
}

static int value(struct text in, const char *name, char **ret)
{
	struct text t;

	if (!element(in, name, &t) || memchr(t.p, '<', t.n) ||
	    memchr(t.p, '&', t.n) || memchr(t.p, '\0', t.n))
		return 0;
	*ret = strndup(t.p, t.n);
	return *ret ? 0 : -ENOMEM;
}

int herd_credentials_sts_read(const void *xml, size_t len,
			      struct herd_aws_keys *ret, struct herd_diag *diag)
{
	CLEANUP(herd_credentials_fields_deinit)
	struct herd_credentials_fields f = {
		.names = { "AccessKeyId", "SecretAccessKey", "SessionToken",
			   "Expiration" },
	};
	struct text whole = { xml, len };
	int err = 0;

	if (!element(whole, "Credentials", &whole))
		return herd_diag_set(diag, -EBADMSG, "STS", HERD_NO_OFFSET,
				     "the answer has no credentials");
	for (size_t i = 0; !err && f.names[i]; i++)
		err = value(whole, f.names[i], &f.values[i]);
	if (err)
		return err;
	if (!f.values[2] || !f.values[3])
		return herd_diag_set(diag, -EBADMSG, "STS", HERD_NO_OFFSET,
				     "the answer has no %s",
				     f.names[f.values[2] ? 3 : 2]);
	return herd_credentials_set(f.values[0], f.values[1], f.values[2],
				    f.values[3], ret, diag);
}

static bool has_code(const struct herd_http_answer *a, const char *begins)
{
	struct text t = { (const char *)a->body.data, a->body.len };

	return element(t, "Code", &t) && t.n >= strlen(begins) &&
	       !memcmp(t.p, begins, strlen(begins));
}

static bool is_throttled(const struct herd_http_answer *a)
{
	return has_code(a, "Throttling") || has_code(a, "RequestLimit") ||
	       has_code(a, "IDPCommunicationError");
}

static int refused(const struct herd_http_answer *a, const char *who,
		   const char *arn, struct herd_diag *diag)
{
	struct text whole = { (const char *)a->body.data, a->body.len };
	struct text code = { "", 0 }, message = { "", 0 };

	element(whole, "Code", &code);
	element(whole, "Message", &message);
	if (!code.n)
		return herd_diag_set(diag, -EACCES, who, HERD_NO_OFFSET,
				     "role %.120s: STS answers with status %d",
				     arn, a->status);
	return herd_diag_set(diag, -EACCES, who, HERD_NO_OFFSET,
			     "role %.120s: STS says %.*s: %.*s", arn,
			     (int)(code.n < 60 ? code.n : 60), code.p,
			     (int)(message.n < 240 ? message.n : 240),
			     message.p);
}

/* ---- requests ---- */

static void put(struct herd_buf *b, const char *name, const char *text)
{
	if (!text)
		return;
	herd_buf_printf(b, "%s%s=", b->len ? "&" : "", name);
	herd_uri_encode(b, text, false);
}

/* The token makes it long: room from the start, so that no copy of it is left
   behind where the buffer grows. */
static int make_form(const struct herd_credentials_role *role, int64_t now,
		     struct herd_buf *ret)
{
	const char *token = role->web_token;
	char session[40];

	herd_buf_extend(ret, 8192 + (token ? 3 * strlen(token) : 0));
	ret->len = 0;
	snprintf(session, sizeof(session), "herdfs-%lld", (long long)now);
	put(ret, "Action", token ? "AssumeRoleWithWebIdentity" : "AssumeRole");
	put(ret, "Version", "2011-06-15");
	put(ret, "RoleArn", role->arn);
	put(ret, "RoleSessionName", role->session_name ?: session);
	put(ret, "ExternalId", role->external_id);
	put(ret, "DurationSeconds", role->duration);
	put(ret, "WebIdentityToken", token);
	return herd_buf_error(ret);
}

struct target {
	char *url;	  /* complete */
	char host[300];	  /* as libcurl sends it */
	const char *path; /* in url */
};

static void target_deinit(struct target *t)
{
	free(t->url);
}

static int find_target(const struct herd_aws_settings *s, struct target *t,
		       struct herd_diag *diag)
{
	CLEANUP_FREE char *base = NULL;
	int err = herd_aws_endpoint(s, "sts", herd_aws_region(s), &base, diag);

	if (err)
		return err;

	bool tls = !strncmp(base, "https:", 6);
	const char *host = base + (tls ? 8 : 7);
	size_t n = strcspn(host, "/");
	const char *port = tls ? ":443" : ":80";

	if (asprintf(&t->url, "%s%s", base, host[n] ? "" : "/") < 0) {
		t->url = NULL;
		return -ENOMEM;
	}
	if (n >= sizeof(t->host))
		return -EINVAL;
	t->path = t->url + (host - base) + n;
	memcpy(t->host, host, n);
	if (n > strlen(port) &&
	    !memcmp(host + n - strlen(port), port, strlen(port)))
		n -= strlen(port);
	t->host[n] = '\0';
	return 0;
}

/* The headers of a signed request, one string each, in `text`. */
static int sign(struct herd_aws_credentials *c, const struct target *t,
		const struct herd_buf *form, const struct herd_aws_keys *by,
		struct herd_buf *text)
{
	CLEANUP(herd_credentials_wipe_buf)
	struct herd_buf value_of = HERD_BUF_INIT;
	const struct herd_pair headers[] = {
		{ "content-type", FORM },
		{ "host", t->host },
	};
	uint8_t digest[HERD_SHA256_LEN];
	char hex[2 * HERD_SHA256_LEN + 1], date[17];
	struct herd_sigv4 s = {
		.region = herd_aws_region(c->settings) ?: "us-east-1",
		.service = "sts",
		.method = "POST",
		.path = t->path,
		.headers = headers,
		.n_headers = ARRAY_SIZE(headers),
		.payload_sha256 = hex,
		.now = herd_credentials_now(c),
	};
	int err;

	herd_sha256(form->data, form->len, digest);
	herd_hex(digest, sizeof(digest), hex);
	err = herd_sigv4_sign(&s, by, date, &value_of, NULL);
	if (err)
		return err;
	herd_buf_extend(text,
			1024 + value_of.len +
				(by->session_token ? strlen(by->session_token) :
						     0));
	text->len = 0;
	herd_buf_printf(text, "X-Amz-Date: %s", date);
	herd_buf_u8(text, '\0');
	herd_buf_printf(text, "Authorization: %.*s", (int)value_of.len,
			(const char *)value_of.data);
	herd_buf_u8(text, '\0');
	if (by->session_token) {
		herd_buf_printf(text, "X-Amz-Security-Token: %s",
				by->session_token);
		herd_buf_u8(text, '\0');
	}
	return herd_buf_error(text);
}

static int ask_once(struct herd_aws_credentials *c, const char *who,
		    const struct herd_credentials_role *role,
		    const struct herd_aws_keys *by,
		    struct herd_http_answer *ret, struct herd_diag *diag)
{
	CLEANUP(target_deinit) struct target t = { .url = NULL };
	CLEANUP(herd_credentials_wipe_buf) struct herd_buf form = HERD_BUF_INIT;
	CLEANUP(herd_credentials_wipe_buf)
	struct herd_buf signed_ = HERD_BUF_INIT;
	const char *headers[5] = { "Content-Type: " FORM };
	size_t n = 1;
	int err = find_target(c->settings, &t, diag) ?:
			  make_form(role, herd_credentials_now(c), &form);

	if (!err && by)
		err = sign(c, &t, &form, by, &signed_);
	if (err)
		return err;
	for (size_t at = 0; at < signed_.len && n < ARRAY_SIZE(headers);) {
		headers[n] = (const char *)signed_.data + at;
		at += strlen(headers[n++]) + 1;
	}

	struct herd_credentials_ask ask = {
		.who = who,
		.request = {
			.method = "POST",
			.url = t.url,
			.headers = headers,
			.n_headers = n,
			.body = form.data,
			.body_len = form.len,
			.limits = { .total_ms = 30000 },
		},
		.attempts = 3,
		.again = is_throttled,
	};

	return herd_credentials_ask(c, &ask, ret, diag);
}

/* ---- a wrong clock ---- */

/* Whether a refusal may be due to our clock, which is then set right. */
static bool clock_mended(struct herd_aws_credentials *c,
			 const struct herd_http_answer *a)
{
	char text[64];
	int64_t theirs, ahead;

	if (a->status != 403 && a->status != 400)
		return false;
	if (!herd_http_header(a, "Date", text, sizeof(text)) ||
	    herd_credentials_http_date(text, &theirs))
		return false;
	ahead = theirs - herd_credentials_now(c);
	if (ahead < SKEW_MIN && ahead > -SKEW_MIN)
		return false;
	c->skew += ahead;
	return true;
}

int herd_credentials_sts(struct herd_aws_credentials *c, const char *who,
			 const struct herd_credentials_role *role,
			 const struct herd_aws_keys *by,
			 struct herd_aws_keys *ret, struct herd_diag *diag)
{
	CLEANUP(herd_credentials_wipe_answer)
	struct herd_http_answer a = { .err = 0 };
	int err = ask_once(c, who, role, by, &a, diag);

	if (!err && by && clock_mended(c, &a)) {
		herd_credentials_wipe_answer(&a);
		err = ask_once(c, who, role, by, &a, diag);
	}
	if (err)
		return err;
	if (a.status != 200)
		return refused(&a, who, role->arn, diag);
	return herd_credentials_sts_read(a.body.data, a.body.len, ret, diag);
}

/* ---- web identity ---- */

/* The variable unless the profile is of the command line, else the profile. */
static const char *either(struct herd_credentials_wish *w, const char *variable,
			  const char *key)
{
	const char *set = w->environment ? getenv(variable) : NULL;

	if (set && *set) {
		w->used_environment = true;
		return set;
	}
	return herd_aws_profiles_get(w->profiles, HERD_AWS_BOTH, w->profile,
				     key);
}

static int read_token(const char *path, char **ret, struct herd_diag *diag)
{
	CLEANUP_FREE char *whole = NULL;
	size_t n;
	int err = herd_aws_path(path, &whole) ?:
			  herd_aws_read_file(whole, TOKEN_MAX, ret, &n);

	if (err)
		return herd_diag_set(diag, err == -ENOENT ? -ENOKEY : err, path,
				     HERD_NO_OFFSET,
				     "the web identity token "
				     "cannot be read: %s",
				     strerror(-err));
	while (n && strchr("\r\n\t ", (*ret)[n - 1]))
		(*ret)[--n] = '\0';
	if (!n)
		return herd_diag_set(diag, -ENOKEY, path, HERD_NO_OFFSET,
				     "the web identity token is empty");
	return 0;
}

int herd_credentials_web_identity(struct herd_credentials_wish *w,
				  struct herd_aws_keys *ret,
				  struct herd_diag *diag)
{
	const char *path = either(w, "AWS_WEB_IDENTITY_TOKEN_FILE",
				  "web_identity_token_file");
	struct herd_credentials_role role = {
		.arn = either(w, "AWS_ROLE_ARN", "role_arn"),
		.session_name =
			either(w, "AWS_ROLE_SESSION_NAME", "role_session_name"),
	};
	CLEANUP(herd_credentials_wipe_text) char *token = NULL;
	int err;

	if (!path)
		return herd_diag_set(diag, -ENOENT, NULL, HERD_NO_OFFSET,
				     "AWS_WEB_IDENTITY_TOKEN_FILE is not set");
	if (!role.arn)
		return herd_diag_set(diag, -EINVAL, "web identity",
				     HERD_NO_OFFSET,
				     "there is a token file but "
				     "neither AWS_ROLE_ARN nor role_arn");
	err = read_token(path, &token, diag);
	if (err)
		return err;
	role.web_token = token;
	return herd_credentials_sts(w->c, "web identity", &role, NULL, ret,
				    diag);
}
