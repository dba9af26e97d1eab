/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The chain in its order, and when it is gone through again. A refresh that
 * fails is no harm as long as the keys at hand are valid; one that has nothing
 * to fall back on is not repeated for each of a hundred waiting calls.
 */
#include "acquire/aws/credentials_impl.h"

#include <stdio.h>
#include <string.h>

#define REFRESH_BEFORE 300 /* seconds before they expire */
#define REFRESH_PAUSE 30   /* until the next try, with valid ones at hand */
#define FAILURE_PAUSE 5	   /* the same, without */
#define RENEWED_PAUSE 10   /* in which keys that are new are not expired */

/* ---- the chain ---- */

static const struct {
	const char *name;
	bool of_profile;
	herd_credentials_source *fetch;
} chain[] = {
	{ "environment", false, herd_credentials_environment },
	{ "assume role", true, herd_credentials_assume_role },
	{ "web identity", true, herd_credentials_web_identity },
	{ "SSO", true, herd_credentials_sso },
	{ "keys", true, herd_credentials_shared_keys },
	{ "login", true, herd_credentials_login },
	{ "process", true, herd_credentials_process },
	{ "keys", true, herd_credentials_config_keys },
	{ "container", false, herd_credentials_container },
	{ "instance metadata", false, herd_credentials_instance },
};

int herd_credentials_of_profile(struct herd_credentials_wish *w,
				struct herd_aws_keys *ret,
				struct herd_diag *diag)
{
	for (size_t i = 0; i < ARRAY_SIZE(chain); i++) {
		struct herd_diag why;
		int err;

		if (!chain[i].of_profile ||
		    chain[i].fetch == herd_credentials_assume_role)
			continue;
		herd_diag_clear(&why);
		err = chain[i].fetch(w, ret, &why);
		if (err == -ENOENT)
			continue;
		if (err)
			herd_diag_set(diag, err, why.source, HERD_NO_OFFSET,
				      "profile %.64s: %s", w->profile,
				      why.message);
		return err;
	}
	return -ENOENT;
}

/* What one source had to say: of the profile's, one line for all of them. */
static void add_why(struct herd_buf *b, const struct herd_credentials_wish *w,
		    size_t i, const struct herd_diag *why)
{
	const char *unread = herd_aws_profiles_unread(w->profiles);
	const char *between = b->len ? "; " : "";

	if (chain[i].fetch == herd_credentials_assume_role)
		herd_buf_printf(b, "%sprofile %.64s: %s%s%s", between,
				w->profile,
				herd_aws_profiles_has(w->profiles, w->profile) ?
					"has no keys, role, SSO or process" :
					"is not there",
				*unread ? ", " : "", unread);
	else if (why->message[0])
		herd_buf_printf(b, "%s%s: %s", between, chain[i].name,
				why->message);
}

#define NAME_SIZE sizeof(((struct herd_aws_credentials *)0)->source)

static const char *name_of(const struct herd_credentials_wish *w, size_t i,
			   char buf[NAME_SIZE])
{
	if (chain[i].of_profile && !w->used_environment)
		snprintf(buf, NAME_SIZE, "profile %.120s (%s)", w->profile,
			 chain[i].name);
	else
		snprintf(buf, NAME_SIZE, "%s", chain[i].name);
	return buf;
}

static void cleanup_profiles(struct herd_aws_profiles **p)
{
	herd_aws_profiles_destroy(*p);
}

static int go_through(struct herd_aws_credentials *c, struct herd_aws_keys *ret,
		      struct herd_diag *diag)
{
	CLEANUP(cleanup_profiles) struct herd_aws_profiles *profiles = NULL;
	CLEANUP_BUF struct herd_buf whys = HERD_BUF_INIT;
	bool given = herd_aws_profile_given(c->settings);
	struct herd_credentials_wish w = {
		.c = c,
		.profile = herd_aws_profile_name(c->settings),
		.environment = !given,
	};
	char name[NAME_SIZE];
	int err = herd_aws_profiles_load(&profiles, diag);

	w.profiles = profiles;
	for (size_t i = 0; !err && i < ARRAY_SIZE(chain); i++) {
		struct herd_diag why;

		if (given && chain[i].fetch == herd_credentials_environment)
			continue;
		herd_diag_clear(&why);
		err = chain[i].fetch(&w, ret, &why);
		if (!err) {
			name_of(&w, i, c->source);
			return 0;
		}
		if (err == -ENOENT) {
			add_why(&whys, &w, i, &why);
			err = 0;
			continue;
		}
		if (err == -ENOMEM)
			return err;
		return herd_diag_set(
			diag, -ENOKEY, "AWS credentials", HERD_NO_OFFSET,
			"%s: %s",
			why.source[0] ? why.source : name_of(&w, i, name),
			why.message[0] ? why.message : strerror(-err));
	}
	if (err == -ENOMEM || herd_buf_error(&whys))
		return -ENOMEM;
	herd_buf_u8(&whys, '\0');
	return herd_diag_set(diag, -ENOKEY, "AWS credentials", HERD_NO_OFFSET,
			     "none found: %s",
			     whys.failed ? "" : (const char *)whys.data);
}

/* ---- when ---- */

static bool is_valid(const struct herd_aws_credentials *c, int64_t now)
{
	return c->have && !c->rejected &&
	       (!c->keys.expires || c->keys.expires > now);
}

/* Whether `until` is still to come, `most` seconds away: a clock that was set
   back must not make it years. */
static bool waits(int64_t until, int64_t now, int64_t most)
{
	return until > now && until - now <= most;
}

static bool is_due(const struct herd_aws_credentials *c, int64_t now)
{
	if (!is_valid(c, now))
		return true;
	return c->keys.expires && c->keys.expires - now <= REFRESH_BEFORE &&
	       !waits(c->next_try, now, REFRESH_PAUSE);
}

static int refresh(struct herd_aws_credentials *c, struct herd_diag *diag)
{
	struct herd_aws_keys k = { NULL, NULL, NULL, 0 };
	int err = go_through(c, &k, diag);
	int64_t now = herd_credentials_now(c);

	/* what their buffers hold is worth no connection an hour later */
	herd_http_destroy(TAKE_PTR(c->http));
	herd_http_destroy(TAKE_PTR(c->local));

	c->next_try = now + REFRESH_PAUSE;
	if (err)
		return err;
	herd_aws_keys_deinit(&c->keys);
	c->keys = k;
	c->have = true;
	c->renewed = c->rejected;
	c->rejected = false;
	c->fetched = now;
	return 0;
}

int herd_aws_credentials_get(struct herd_aws_credentials *c,
			     const struct herd_aws_keys **ret,
			     struct herd_diag *diag)
{
	int64_t now = herd_credentials_now(c);
	bool valid = is_valid(c, now);
	int err = 0;

	if (is_due(c, now)) {
		if (!valid && waits(c->failed_until, now, FAILURE_PAUSE)) {
			if (diag && !diag->message[0])
				*diag = c->failure;
			return -ENOKEY;
		}
		herd_diag_clear(&c->failure);
		err = refresh(c, &c->failure);
		now = herd_credentials_now(c);
	}
	if (err && !is_valid(c, now)) {
		if (err != -ENOMEM)
			c->failed_until = now + FAILURE_PAUSE;
		if (diag && !diag->message[0])
			*diag = c->failure;
		return err;
	}
	*ret = &c->keys;
	return 0;
}

void herd_aws_credentials_expire(struct herd_aws_credentials *c)
{
	int64_t now = herd_credentials_now(c);

	if (c->renewed && waits(c->fetched + RENEWED_PAUSE, now, RENEWED_PAUSE))
		return;
	c->rejected = c->have;
	c->failed_until = 0;
}

const char *herd_aws_credentials_source(const struct herd_aws_credentials *c)
{
	return c->have ? c->source : "none";
}

/* ---- life ---- */

int herd_aws_credentials_create(const struct herd_aws_settings *settings,
				struct herd_http *http, int64_t (*now)(void),
				struct herd_aws_credentials **ret)
{
	struct herd_aws_credentials *c = calloc(1, sizeof(*c));

	(void)http; /* see the header's note on threads */
	if (!c)
		return -ENOMEM;
	herd_credentials_json_init();
	c->settings = settings;
	c->now = now;
	*ret = c;
	return 0;
}

void herd_aws_credentials_destroy(struct herd_aws_credentials *c)
{
	if (!c)
		return;
	herd_aws_keys_deinit(&c->keys);
	free(c);
}
