/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Credentials of the place we run at: a container's, by the URL that ECS or
 * EKS put into the environment, and an EC2 instance's, by IMDSv2 alone. Both
 * are asked past any proxy.
 */
#include "acquire/aws/credentials_impl.h"
#include "acquire/aws/settings_impl.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#define ECS_HOST "http://169.254.170.2"
#define IMDS_HOST "http://169.254.169.254"
#define IMDS_HOST6 "http://[fd00:ec2::254]"
#define ROLES "/latest/meta-data/iam/security-credentials/"
#define TOKEN_MAX (16u << 10)
#define EXTEND 600 /* seconds that outdated keys of IMDS are used for */

static const char *variable(const char *name)
{
	const char *value = getenv(name);

	return value && *value ? value : NULL;
}

/* Of a header: no control characters, not empty. */
static bool is_header_value(const char *s)
{
	if (!*s)
		return false;
	for (; *s; s++)
		if ((unsigned char)*s < ' ' || *s == 0x7f)
			return false;
	return true;
}

static int read_keys(const struct herd_http_answer *a, const char *who,
		     struct herd_aws_keys *ret, struct herd_diag *diag)
{
	CLEANUP(herd_credentials_fields_deinit)
	struct herd_credentials_fields f = {
		.names = { "AccessKeyId", "SecretAccessKey", "Token",
			   "Expiration", "Code", "Message" },
	};
	int err = herd_credentials_json(a->body.data, a->body.len, NULL, &f);

	if (err == -ENOMEM)
		return err;
	if (err)
		return herd_diag_set(diag, -EBADMSG, who, HERD_NO_OFFSET,
				     "the answer is no JSON object");
	if (!f.values[0] && f.values[4])
		return herd_diag_set(diag, -EACCES, who, HERD_NO_OFFSET,
				     "%.60s: %.200s", f.values[4],
				     f.values[5] ?: "");
	return herd_credentials_set(f.values[0], f.values[1], f.values[2],
				    f.values[3], ret, diag);
}

/* ---- container ---- */

static bool is_allowed_address(const char *host)
{
	static const char *const hosts[] = { "169.254.170.2", "169.254.170.23",
					     "fd00:ec2::23" };
	struct in_addr v4, known4;
	struct in6_addr v6, known6;
	bool is4 = inet_pton(AF_INET, host, &v4) == 1;
	bool is6 = inet_pton(AF_INET6, host, &v6) == 1;

	if (is4 && ntohl(v4.s_addr) >> 24 == 127)
		return true;
	if (is6 && IN6_IS_ADDR_LOOPBACK(&v6))
		return true;
	for (size_t i = 0; i < ARRAY_SIZE(hosts); i++) {
		if (is4 && inet_pton(AF_INET, hosts[i], &known4) == 1 &&
		    v4.s_addr == known4.s_addr)
			return true;
		if (is6 && inet_pton(AF_INET6, hosts[i], &known6) == 1 &&
		    !memcmp(&v6, &known6, sizeof(v6)))
			return true;
	}
	return false;
}

bool herd_credentials_url_allowed(const char *url)
{
	char host[64];
	const char *from, *port;
	size_t n;

	for (const char *p = url; *p; p++)
		if (!isgraph((unsigned char)*p) || *p == '@' || *p == '\\')
			return false;
	if (!strncasecmp(url, "https://", 8))
		return url[8] && url[8] != '/';
	if (strncasecmp(url, "http://", 7))
		return false;
	from = url + 7;
	if (*from == '[') {
		from++;
		n = strcspn(from, "]");
		if (!from[n])
			return false;
		port = from + n + 1;
	} else {
		n = strcspn(from, ":/?#");
		port = from + n;
	}
	if (!n || n >= sizeof(host) || (*port && !strchr(":/?#", *port)))
		return false;
	memcpy(host, from, n);
	host[n] = '\0';
	return !strcasecmp(host, "localhost") || is_allowed_address(host);
}

static int container_url(char **ret, struct herd_diag *diag)
{
	const char *relative =
		variable("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI");
	const char *full = variable("AWS_CONTAINER_CREDENTIALS_FULL_URI");

	if (!relative && !full)
		return herd_diag_set(diag, -ENOENT, NULL, HERD_NO_OFFSET,
				     "AWS_CONTAINER_CREDENTIALS_… is not set");
	if (relative && *relative != '/')
		return herd_diag_set(diag, -EINVAL, "container", HERD_NO_OFFSET,
				     "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI "
				     "does not begin with a slash");
	if (asprintf(ret, "%s%s", relative ? ECS_HOST : "", relative ?: full) <
	    0) {
		*ret = NULL;
		return -ENOMEM;
	}
	if (herd_credentials_url_allowed(*ret))
		return 0;
	return herd_diag_set(
		diag, -EINVAL, "container", HERD_NO_OFFSET,
		"AWS_CONTAINER_CREDENTIALS_FULL_URI must be https, "
		"or http to this host, 169.254.170.2, "
		"169.254.170.23 or [fd00:ec2::23]");
}

/* "Authorization: …", or NULL where no token is set. The file goes first, and
   is read each time: its token is renewed. */
static int container_header(char **ret, struct herd_diag *diag)
{
	const char *path = variable("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE");
	const char *token = variable("AWS_CONTAINER_AUTHORIZATION_TOKEN");
	CLEANUP(herd_credentials_wipe_text) char *text = NULL;
	size_t n;
	int err = path ? herd_aws_read_file(path, TOKEN_MAX, &text, &n) : 0;

	if (err)
		return herd_diag_set(diag, err == -ENOENT ? -ENOKEY : err, path,
				     HERD_NO_OFFSET,
				     "the container's token "
				     "cannot be read: %s",
				     strerror(-err));
	if (text) {
		while (n && strchr("\r\n", text[n - 1]))
			text[--n] = '\0';
		token = text;
	}
	if (!token)
		return 0;
	if (!is_header_value(token) || (text && strlen(text) != n))
		return herd_diag_set(diag, -EINVAL, "container", HERD_NO_OFFSET,
				     "the token for Authorization is empty or "
				     "has control characters");
	if (asprintf(ret, "Authorization: %s", token) < 0) {
		*ret = NULL;
		return -ENOMEM;
	}
	return 0;
}

int herd_credentials_container(struct herd_credentials_wish *w,
			       struct herd_aws_keys *ret,
			       struct herd_diag *diag)
{
	CLEANUP(herd_credentials_wipe_answer)
	struct herd_http_answer a = { .err = 0 };
	CLEANUP(herd_credentials_wipe_text) char *authorization = NULL;
	CLEANUP_FREE char *url = NULL;
	int err = container_url(&url, diag) ?:
			  container_header(&authorization, diag);

	if (err)
		return err;

	const char *headers[] = { "Accept: application/json", authorization };
	struct herd_credentials_ask ask = {
		.who = "container",
		.request = {
			.method = "GET",
			.url = url,
			.headers = headers,
			.n_headers = authorization ? 2 : 1,
			.limits = { .connect_ms = 2000, .total_ms = 5000 },
		},
		.attempts = 3,
		.local = true,
	};

	err = herd_credentials_ask(w->c, &ask, &a, diag);
	if (err)
		return err == -ENOENT ? -ENOKEY : err;
	if (a.status != 200)
		return herd_diag_set(diag, -EACCES, "container", HERD_NO_OFFSET,
				     "the container's credentials: status %d",
				     a.status);
	return read_keys(&a, "container", ret, diag);
}

/* ---- instance ---- */

struct imds {
	struct herd_aws_credentials *c;
	char *base; /* without a slash at its end */
	unsigned seconds, attempts;
	char *token; /* a whole header */
};

static void imds_deinit(struct imds *m)
{
	free(m->base);
	herd_credentials_wipe_text(&m->token);
}

static unsigned small_number(const char *text)
{
	unsigned long n = text ? strtoul(text, NULL, 10) : 0;

	return n < 1 ? 1 : n > 10 ? 10 : (unsigned)n;
}

static int imds_init(struct imds *m, struct herd_diag *diag)
{
	const struct herd_aws_settings *s = m->c->settings;
	const char *base = herd_aws_setting(s,
					    "AWS_EC2_METADATA_SERVICE_ENDPOINT",
					    "ec2_metadata_service_endpoint");
	const char *mode =
		herd_aws_setting(s, "AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE",
				 "ec2_metadata_service_endpoint_mode");

	if (base && !herd_aws_is_url(base))
		return herd_diag_set(diag, -EINVAL, NULL, HERD_NO_OFFSET,
				     "AWS_EC2_METADATA_SERVICE_ENDPOINT is not "
				     "an http or https URL");
	m->base = strdup(base				   ? base :
			 mode && !strcasecmp(mode, "ipv6") ? IMDS_HOST6 :
							     IMDS_HOST);
	if (!m->base)
		return -ENOMEM;
	for (size_t n = strlen(m->base); n && m->base[n - 1] == '/'; n--)
		m->base[n - 1] = '\0';
	m->seconds = small_number(herd_aws_setting(
		s, "AWS_METADATA_SERVICE_TIMEOUT", "metadata_service_timeout"));
	m->attempts = small_number(
		herd_aws_setting(s, "AWS_METADATA_SERVICE_NUM_ATTEMPTS",
				 "metadata_service_num_attempts"));
	return 0;
}

static int imds_ask(struct imds *m, const char *method, const char *path,
		    const char *role, struct herd_http_answer *ret,
		    struct herd_diag *diag)
{
	static const char ttl[] = "X-aws-ec2-metadata-token-ttl-seconds: 21600";
	const char *header = m->token ? m->token : ttl;
	unsigned ms = m->seconds * 1000;
	CLEANUP_FREE char *url = NULL;

	if (asprintf(&url, "%s%s%s", m->base, path, role) < 0) {
		url = NULL;
		return -ENOMEM;
	}

	struct herd_credentials_ask ask = {
		.request = {
			.method = method,
			.url = url,
			.headers = &header,
			.n_headers = 1,
			.limits = { ms, ms, ms, ms },
		},
		.attempts = m->attempts,
		.local = true,
	};

	return herd_credentials_ask(m->c, &ask, ret, diag);
}

static int imds_token(struct imds *m, struct herd_diag *diag)
{
	CLEANUP(herd_credentials_wipe_answer)
	struct herd_http_answer a = { .err = 0 };
	CLEANUP(herd_credentials_wipe_text) char *text = NULL;
	int err = imds_ask(m, "PUT", "/latest/api/token", "", &a, NULL);

	if (err == -ENOMEM)
		return err;
	if (err == -ETIMEDOUT)
		return herd_diag_set(
			diag, err, NULL, HERD_NO_OFFSET,
			"no answer within %u s: not on EC2, or in "
			"a container whose instance has a metadata "
			"hop limit of 1 (2 is needed there)",
			m->seconds);
	if (err)
		return herd_diag_set(diag, err, NULL, HERD_NO_OFFSET,
				     "cannot be reached: %.100s", a.reason);
	if (a.status != 200)
		return herd_diag_set(diag, -EACCES, NULL, HERD_NO_OFFSET,
				     "no IMDSv2 token: status %d%s", a.status,
				     a.status == 403 ? " (metadata is turned "
						       "off for the instance)" :
						       "");
	text = strndup((const char *)a.body.data ?: "", a.body.len);
	if (!text)
		return -ENOMEM;
	if (!is_header_value(text))
		return herd_diag_set(diag, -EBADMSG, NULL, HERD_NO_OFFSET,
				     "the IMDSv2 token is not understood");
	if (asprintf(&m->token, "X-aws-ec2-metadata-token: %s", text) < 0) {
		m->token = NULL;
		return -ENOMEM;
	}
	return 0;
}

/* The first line of the list; it goes into a URL. */
static int imds_role(struct imds *m, char **ret, struct herd_diag *diag)
{
	CLEANUP(herd_credentials_wipe_answer)
	struct herd_http_answer a = { .err = 0 };
	int err = imds_ask(m, "GET", ROLES, "", &a, diag);
	const char *text = (const char *)a.body.data;
	size_t n = 0;

	if (err)
		return err;
	if (a.status == 404)
		return herd_diag_set(diag, -EACCES, NULL, HERD_NO_OFFSET,
				     "the instance has no role");
	if (a.status != 200)
		return herd_diag_set(diag, -EACCES, NULL, HERD_NO_OFFSET,
				     "the instance's role: status %d",
				     a.status);
	while (n < a.body.len && n < 128 &&
	       (isalnum((unsigned char)text[n]) ||
		(text[n] && strchr("+=,.@_-", text[n]))))
		n++;
	if (!n || (n < a.body.len && !isspace((unsigned char)text[n])))
		return herd_diag_set(diag, -EBADMSG, NULL, HERD_NO_OFFSET,
				     "the instance's role is not understood");
	*ret = strndup(text, n);
	return *ret ? 0 : -ENOMEM;
}

static int imds_keys(struct imds *m, struct herd_aws_keys *ret,
		     struct herd_diag *diag)
{
	CLEANUP(herd_credentials_wipe_answer)
	struct herd_http_answer a = { .err = 0 };
	CLEANUP_FREE char *role = NULL;
	int64_t now = herd_credentials_now(m->c);
	int err = imds_token(m, diag)		    ?:
			  imds_role(m, &role, diag) ?:
			  imds_ask(m, "GET", ROLES, role, &a, diag);

	if (err)
		return err;
	if (a.status != 200)
		return herd_diag_set(diag, -EACCES, NULL, HERD_NO_OFFSET,
				     "the keys of role %s: status %d", role,
				     a.status);
	err = read_keys(&a, NULL, ret, diag);
	if (err)
		return err;
	if (!ret->expires) {
		herd_aws_keys_deinit(ret);
		return herd_diag_set(diag, -EBADMSG, NULL, HERD_NO_OFFSET,
				     "the keys of role %s have no Expiration",
				     role);
	}
	/* when AWS cannot renew them they stay valid for longer than they say */
	if (ret->expires < now + EXTEND)
		ret->expires = now + EXTEND;
	return 0;
}

int herd_credentials_instance(struct herd_credentials_wish *w,
			      struct herd_aws_keys *ret, struct herd_diag *diag)
{
	CLEANUP(imds_deinit) struct imds m = { .c = w->c };
	const char *off = variable("AWS_EC2_METADATA_DISABLED");
	struct herd_aws_keys k = { NULL, NULL, NULL, 0 };
	int err;

	if (off && !strcasecmp(off, "true"))
		return herd_diag_set(diag, -ENOENT, NULL, HERD_NO_OFFSET,
				     "AWS_EC2_METADATA_DISABLED is true");
	err = imds_init(&m, diag) ?: imds_keys(&m, &k, diag);
	if (err)
		return err == -ENOMEM ? err : -ENOENT;
	*ret = k;
	return 0;
}
