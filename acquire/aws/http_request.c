/* SPDX-License-Identifier: Apache-2.0 */
#include "acquire/aws/http_impl.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>

/* What libcurl reads at once: an eighth of a block, see docs/AWS.md. */
#define READ_SIZE (64 << 10)
/* Bytes that a dead host never acknowledges end its connection. */
#define UNACKNOWLEDGED_MS 20000

/* ---- requests ---- */

static void wipe_list(struct curl_slist *list)
{
	for (struct curl_slist *l = list; l; l = l->next)
		explicit_bzero(l->data, strlen(l->data));
	curl_slist_free_all(list);
}

/* Headers have signatures and session tokens, URLs may have them. */
void herd_http_transfer_free(struct herd_http_transfer *t)
{
	wipe_list(t->headers);
	if (t->url)
		explicit_bzero(t->url, strlen(t->url));
	free(t->url);
	free(t->method);
	herd_http_answer_deinit(&t->answer);
	free(t);
}

static bool is_plain(const char *text)
{
	if (!text || !*text)
		return false;
	for (const unsigned char *p = (const unsigned char *)text; *p; p++)
		if ((*p < 0x20 && *p != '\t') || *p == 0x7f)
			return false;
	return true;
}

static int add_line(struct curl_slist **list, const char *line)
{
	struct curl_slist *l = curl_slist_append(*list, line);

	if (!l)
		return -ENOMEM;
	*list = l;
	return 0;
}

/* libcurl takes "Name:" for a wish to leave the header out; "Name;" is an empty
   one. */
static int add_header(struct curl_slist **list, const char *line)
{
	const char *colon = strchr(line, ':');
	char name[256];

	if (!colon || colon == line || !is_plain(line))
		return -EINVAL;
	if (colon[1 + strspn(colon + 1, " \t")])
		return add_line(list, line);
	if ((size_t)(colon - line) > sizeof(name) - 2)
		return -EINVAL;
	snprintf(name, sizeof(name), "%.*s;", (int)(colon - line), line);
	return add_line(list, name);
}

static bool is_named(const char *line, const char *name)
{
	size_t n = strlen(name);

	return !strncasecmp(line, name, n) && line[n] == ':';
}

static int take_headers(struct herd_http_transfer *t,
			const struct herd_http_request *r)
{
	bool type = false;
	int e = add_line(&t->headers, "Expect:");

	for (size_t i = 0; i < r->n_headers && !e; i++) {
		if (is_named(r->headers[i], "Content-Type"))
			type = true;
		e = add_header(&t->headers, r->headers[i]);
	}
	if (!e && !type)
		e = add_line(&t->headers, "Content-Type:");
	return e;
}

static void default_limit(unsigned *v, unsigned ms)
{
	if (!*v)
		*v = ms;
}

int herd_http_transfer_create(const struct herd_http_request *r,
			      struct herd_http_transfer **ret)
{
	struct herd_http_transfer *t;
	int e;

	if (!is_plain(r->url) || !is_plain(r->method) || strchr(r->url, ' ') ||
	    strchr(r->url, '#') || strchr(r->method, ' ') ||
	    (strncmp(r->url, "http://", 7) && strncmp(r->url, "https://", 8)))
		return -EINVAL;
	t = calloc(1, sizeof(*t));
	if (!t)
		return -ENOMEM;
	t->method = strdup(r->method);
	t->url = strdup(r->url);
	t->body = r->body;
	t->body_len = r->body_len;
	t->answer_max = r->answer_max;
	t->limits = r->limits;
	t->fresh = r->fresh;
	default_limit(&t->limits.connect_ms, 5000);
	default_limit(&t->limits.first_byte_ms, 20000);
	default_limit(&t->limits.stall_ms, 10000);
	default_limit(&t->limits.total_ms, 120000);
	e = t->method && t->url ? take_headers(t, r) : -ENOMEM;
	if (e) {
		herd_http_transfer_free(t);
		return e;
	}
	*ret = t;
	return 0;
}

/* Addresses that no proxy can reach for us: this machine and its link. */
static bool is_near(const char *url)
{
	static const char *const near[] = {
		"127.",	    "localhost:", "localhost/", "[::1]",
		"169.254.", "[fe80:",	  "[fd00:ec2:"
	};
	const char *host = strstr(url, "://") + 3;

	for (size_t i = 0; i < ARRAY_SIZE(near); i++)
		if (!strncasecmp(host, near[i], strlen(near[i])))
			return true;
	return !strcasecmp(host, "localhost");
}

static int on_socket(void *arg, curl_socket_t fd, curlsocktype what)
{
	unsigned ms = UNACKNOWLEDGED_MS;

	(void)arg;
	(void)what;
	/* where it cannot be set, the other time-outs still hold */
	(void)setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &ms, sizeof(ms));
	return CURL_SOCKOPT_OK;
}

#define SET(option, value) \
	(e = e ? e : curl_easy_setopt(t->easy, (option), (value)))

static CURLcode set_method(struct herd_http_transfer *t)
{
	CURLcode e = CURLE_OK;

	if (!strcmp(t->method, "HEAD")) {
		SET(CURLOPT_NOBODY, 1L);
	} else if (!strcmp(t->method, "GET") && !t->body_len) {
		SET(CURLOPT_HTTPGET, 1L);
	} else {
		SET(CURLOPT_POST, 1L);
		SET(CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)t->body_len);
		SET(CURLOPT_POSTFIELDS, t->body_len ? t->body : "");
		SET(CURLOPT_CUSTOMREQUEST, t->method);
	}
	return e;
}

CURLcode herd_http_transfer_set(struct herd_http_transfer *t,
				const char *ca_bundle, bool no_proxy)
{
	bool tls = !strncmp(t->url, "https:", 6);
	CURLcode e = set_method(t);

	SET(CURLOPT_URL, t->url);
	SET(CURLOPT_PATH_AS_IS, 1L);
	SET(CURLOPT_HTTPHEADER, t->headers);
	SET(CURLOPT_USERAGENT, "herdfs/" HERD_VERSION);
	SET(CURLOPT_PROTOCOLS_STR, "http,https");
	SET(CURLOPT_DISALLOW_USERNAME_IN_URL, 1L);
	SET(CURLOPT_FOLLOWLOCATION, 0L);
	SET(CURLOPT_NOSIGNAL, 1L);
	SET(CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
	/* a name server that does not answer must not hold up the end */
	SET(CURLOPT_QUICK_EXIT, 1L);
	SET(CURLOPT_SOCKOPTFUNCTION, on_socket);
	SET(CURLOPT_CONNECTTIMEOUT_MS, (long)t->limits.connect_ms);
	SET(CURLOPT_BUFFERSIZE, (long)READ_SIZE);
	SET(CURLOPT_ERRORBUFFER, t->error);
	SET(CURLOPT_HEADERFUNCTION, herd_http_on_header);
	SET(CURLOPT_HEADERDATA, t);
	SET(CURLOPT_WRITEFUNCTION, herd_http_on_body);
	SET(CURLOPT_WRITEDATA, t);
	SET(CURLOPT_PRIVATE, t);
	SET(CURLOPT_FRESH_CONNECT, t->fresh ? 1L : 0L);
	SET(CURLOPT_HTTP_VERSION,
	    (long)(tls ? CURL_HTTP_VERSION_2TLS : CURL_HTTP_VERSION_1_1));
	/* one handshake tells whether the others are needed */
	SET(CURLOPT_PIPEWAIT, tls ? 1L : 0L);
	SET(CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
	if (ca_bundle)
		SET(CURLOPT_CAINFO, ca_bundle);
	if (no_proxy || is_near(t->url))
		SET(CURLOPT_NOPROXY, "*");
	return e;
}

#undef SET
