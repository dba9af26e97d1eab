/* SPDX-License-Identifier: Apache-2.0 */
#include "acquire/aws/credentials_impl.h"

#include <ctype.h>
#include <jansson.h>
#include <malloc.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define PAUSE_MS 200

/* ---- wiping ---- */

static void wipe(void *p, size_t n)
{
	if (p)
		explicit_bzero(p, n);
}

void herd_credentials_wipe_text(char **text)
{
	int saved = errno;

	wipe(*text, *text ? strlen(*text) : 0);
	free(*text);
	*text = NULL;
	errno = saved;
}

void herd_credentials_wipe_buf(struct herd_buf *b)
{
	wipe(b->data, b->cap);
	herd_buf_deinit(b);
}

void herd_credentials_wipe_answer(struct herd_http_answer *a)
{
	wipe(a->body.data, a->body.cap);
	herd_http_answer_deinit(a);
}

static void wipe_and_free(void *p)
{
	wipe(p, malloc_usable_size(p));
	free(p);
}

void herd_credentials_json_init(void)
{
	json_set_alloc_funcs(malloc, wipe_and_free);
}

/* ---- time ---- */

int64_t herd_credentials_now(const struct herd_aws_credentials *c)
{
	return (c->now ? c->now() : (int64_t)time(NULL)) + c->skew;
}

/* n digits. */
static bool number(const char **s, unsigned n, int least, int most, int *ret)
{
	*ret = 0;
	for (; n; n--, (*s)++) {
		if (!isdigit((unsigned char)**s))
			return false;
		*ret = *ret * 10 + (**s - '0');
	}
	return *ret >= least && *ret <= most;
}

static bool mark(const char **s, const char *any)
{
	if (!**s || !strchr(any, **s))
		return false;
	(*s)++;
	return true;
}

/* "Z", "UTC", "+02:00", "-0700" or nothing; seconds ahead of UTC. */
static bool offset(const char *s, int *ret)
{
	int hours, minutes, sign = *s == '-' ? -1 : 1;

	*ret = 0;
	if (!*s || !strcmp(s, "Z") || !strcmp(s, "z") || !strcmp(s, "UTC"))
		return true;
	if (!mark(&s, "+-") || !number(&s, 2, 0, 23, &hours))
		return false;
	mark(&s, ":");
	if (!number(&s, 2, 0, 59, &minutes) || *s)
		return false;
	*ret = sign * (hours * 3600 + minutes * 60);
	return true;
}

int herd_credentials_time(const char *text, int64_t *ret)
{
	struct tm tm = { .tm_isdst = 0 };
	int ahead;

	if (!number(&text, 4, 1970, 9999, &tm.tm_year) || !mark(&text, "-") ||
	    !number(&text, 2, 1, 12, &tm.tm_mon) || !mark(&text, "-") ||
	    !number(&text, 2, 1, 31, &tm.tm_mday) || !mark(&text, "Tt ") ||
	    !number(&text, 2, 0, 23, &tm.tm_hour) || !mark(&text, ":") ||
	    !number(&text, 2, 0, 59, &tm.tm_min) || !mark(&text, ":") ||
	    !number(&text, 2, 0, 60, &tm.tm_sec))
		return -EINVAL;
	if (mark(&text, ".,"))
		text += strspn(text, "0123456789");
	if (!offset(text, &ahead))
		return -EINVAL;
	tm.tm_year -= 1900;
	tm.tm_mon--;
	*ret = (int64_t)timegm(&tm) - ahead;
	return 0;
}

/* By hand, for strptime reads the names of the user's language. */
int herd_credentials_http_date(const char *text, int64_t *ret)
{
	static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
	struct tm tm = { .tm_isdst = 0 };
	char month[4] = "";
	const char *found;

	text = strchr(text, ',');
	if (!text)
		return -EINVAL;
	text++;
	if (!mark(&text, " ") || !number(&text, 2, 1, 31, &tm.tm_mday) ||
	    !mark(&text, " "))
		return -EINVAL;
	for (int i = 0; i < 3 && *text; i++)
		month[i] = *text++;
	found = strlen(month) == 3 ? strstr(months, month) : NULL;
	if (!found || (found - months) % 3 || !mark(&text, " ") ||
	    !number(&text, 4, 1970, 9999, &tm.tm_year) || !mark(&text, " ") ||
	    !number(&text, 2, 0, 23, &tm.tm_hour) || !mark(&text, ":") ||
	    !number(&text, 2, 0, 59, &tm.tm_min) || !mark(&text, ":") ||
	    !number(&text, 2, 0, 60, &tm.tm_sec))
		return -EINVAL;
	tm.tm_mon = (int)(found - months) / 3;
	tm.tm_year -= 1900;
	*ret = (int64_t)timegm(&tm);
	return 0;
}

/* ---- keys ---- */

static int check(const char *what, const char *value, size_t most,
		 struct herd_diag *diag)
{
	size_t n = value ? strlen(value) : 0;
	bool odd = n > most;

	if (!n)
		return herd_diag_set(diag, -EINVAL, NULL, HERD_NO_OFFSET,
				     "the %s is missing", what);
	for (size_t i = 0; i < n; i++)
		if ((unsigned char)value[i] <= ' ' ||
		    (unsigned char)value[i] >= 0x7f)
			odd = true;
	if (odd)
		return herd_diag_set(diag, -EINVAL, NULL, HERD_NO_OFFSET,
				     "the %s is too long or has characters "
				     "that none has",
				     what);
	return 0;
}

int herd_credentials_set(const char *id, const char *secret, const char *token,
			 const char *expires, struct herd_aws_keys *ret,
			 struct herd_diag *diag)
{
	CLEANUP(herd_aws_keys_deinit)
	struct herd_aws_keys k = { NULL, NULL, NULL, 0 };
	bool has_token = token && *token;
	int err = check("access key id", id, 128, diag) ?:
			  check("secret access key", secret, 512, diag);

	if (!err && has_token)
		err = check("session token", token, 64 << 10, diag);
	if (err)
		return err;
	if (expires && *expires &&
	    (herd_credentials_time(expires, &k.expires) || !k.expires))
		return herd_diag_set(diag, -EINVAL, NULL, HERD_NO_OFFSET,
				     "the expiry time %.40s is not understood",
				     expires);
	k.access_key_id = strdup(id);
	k.secret = strdup(secret);
	k.session_token = has_token ? strdup(token) : NULL;
	if (!k.access_key_id || !k.secret || (has_token && !k.session_token))
		return -ENOMEM;
	*ret = k;
	k = (struct herd_aws_keys){ NULL, NULL, NULL, 0 };
	return 0;
}

/* ---- JSON ---- */

static void cleanup_json(json_t **v)
{
	json_decref(*v);
}

static int take_value(const json_t *v, char **ret)
{
	if (json_is_string(v))
		*ret = strdup(json_string_value(v));
	else if (!json_is_integer(v))
		return 0;
	else if (asprintf(ret, "%" JSON_INTEGER_FORMAT, json_integer_value(v)) <
		 0)
		*ret = NULL;
	return *ret ? 0 : -ENOMEM;
}

int herd_credentials_json(const void *text, size_t len, const char *object,
			  struct herd_credentials_fields *f)
{
	CLEANUP(cleanup_json) json_t *root = json_loadb(text, len, 0, NULL);
	const json_t *from = object ? json_object_get(root, object) : root;

	if (!json_is_object(from))
		return -EBADMSG;
	for (size_t i = 0; i < HERD_FIELDS_MAX && f->names[i]; i++) {
		int err = take_value(json_object_get(from, f->names[i]),
				     &f->values[i]);

		if (err)
			return err;
	}
	return 0;
}

void herd_credentials_fields_deinit(struct herd_credentials_fields *f)
{
	for (size_t i = 0; i < HERD_FIELDS_MAX; i++)
		herd_credentials_wipe_text(&f->values[i]);
}

/* ---- asking ---- */

static int handle(struct herd_aws_credentials *c, bool local,
		  struct herd_http **ret, struct herd_diag *diag)
{
	struct herd_http **h = local ? &c->local : &c->http;
	struct herd_http_options o = {
		.ca_bundle = herd_aws_ca_bundle(c->settings),
		.connections = 2,
		.no_proxy = local,
	};
	int err = *h ? 0 : herd_http_create(&o, h, diag);

	*ret = *h;
	return err;
}

static bool may_help(const struct herd_credentials_ask *ask,
		     const struct herd_http_answer *a)
{
	if (a->err)
		return a->err == -ETIMEDOUT || a->err == -ECONNRESET ||
		       a->err == -ECONNREFUSED || a->err == -EPROTO;
	return a->status >= 500 || a->status == 429 ||
	       (ask->again && a->status >= 400 && ask->again(a));
}

int herd_credentials_ask(struct herd_aws_credentials *c,
			 const struct herd_credentials_ask *ask,
			 struct herd_http_answer *ret, struct herd_diag *diag)
{
	struct herd_http_request r = ask->request;
	struct herd_http *h = NULL;
	int err = handle(c, ask->local, &h, diag);

	if (err)
		return err;
	r.answer_max = HERD_ANSWER_MAX;
	for (unsigned i = 0;; i++) {
		struct timespec pause = { .tv_nsec =
						  (PAUSE_MS << i) * 1000000L };

		memset(ret, 0, sizeof(*ret));
		herd_http_do(h, &r, ret);
		if (i + 1 >= ask->attempts || i > 1 || !may_help(ask, ret))
			break;
		herd_credentials_wipe_answer(ret);
		nanosleep(&pause, NULL);
	}
	if (!ret->err)
		return 0;
	return herd_diag_set(diag, ret->err, ask->who, HERD_NO_OFFSET, "%s",
			     ret->reason[0] ? ret->reason :
					      strerror(-ret->err));
}
