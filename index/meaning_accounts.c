/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who may log in and who may become whom: passwd, shadow, group, sudoers and
 * authorized_keys. Of a password nothing is shown but whether there is one.
 */
#include "index/meaning_internal.h"

#include "acquire/base/sha256.h"

#include <stdlib.h>
#include <string.h>

#define NAME_SHOWN_MAX 40
#define SHELL_SHOWN_MAX 40
#define MEMBERS_MAX 64 /* of a group, that are compared */

static void put_slice(struct herd_telling *t, struct herd_slice s, size_t max)
{
	herd_words_bytes(&t->w, s.p, s.len, max);
}

/* What stands before the first ':'. */
static struct herd_slice account_key(struct herd_slice line)
{
	return herd_slice_until(&line, ":");
}

/* The fields of a line; those that are not there are empty. */
static void fields_of(struct herd_slice line, struct herd_slice *fields,
		      size_t n)
{
	for (size_t i = 0; i < n; i++)
		fields[i] = herd_slice_until(&line, ":");
}

/* A number that is 0, however it is written. */
static bool zero(struct herd_slice s)
{
	size_t i = s.len && (*s.p == '+' || *s.p == '-');

	if (i == s.len)
		return false;
	while (i < s.len && s.p[i] == '0')
		i++;
	return i == s.len;
}

/* ---- passwd ---- */

enum passwd_field { NAME, PASSWORD, UID, GID, GECOS, HOME, SHELL, PASSWD_N };

static bool login_shell(struct herd_slice shell)
{
	return !herd_slice_has(shell, "nologin") &&
	       !herd_slice_has(shell, "/false") &&
	       !herd_slice_has(shell, "/sync") && shell.len;
}

static bool password_here(struct herd_slice password)
{
	return password.len > 1 && *password.p != '!' && *password.p != '*';
}

static bool passwd_loud(struct herd_telling *t, struct herd_slice line,
			const struct herd_slice *old)
{
	struct herd_slice f[PASSWD_N], o[PASSWD_N] = { { NULL, 0 } };

	(void)t;
	if (!memchr(line.p, ':', line.len))
		return false;
	fields_of(line, f, PASSWD_N);
	if (old)
		fields_of(*old, o, PASSWD_N);
	if (*line.p == '+' || !f[NAME].len) /* NIS; no name */
		return true;
	if (zero(f[UID]) && !(old && zero(o[UID])))
		return true;
	if ((password_here(f[PASSWORD]) || !f[PASSWORD].len) &&
	    !(old && herd_slice_equal(f[PASSWORD], o[PASSWORD])))
		return true;
	return old && login_shell(f[SHELL]) && !login_shell(o[SHELL]);
}

/* "shell /bin/sh", and what it was where that is another. */
static void passwd_field(struct herd_telling *t, const char *word,
			 struct herd_slice now, const struct herd_slice *was)
{
	if (was && herd_slice_equal(now, *was))
		return;
	herd_words_put(&t->w, word);
	put_slice(t, now, SHELL_SHOWN_MAX);
	if (!was)
		return;
	herd_words_put(&t->w, ", the herd's ");
	put_slice(t, *was, SHELL_SHOWN_MAX);
}

static void passwd_password(struct herd_telling *t, struct herd_slice now,
			    const struct herd_slice *was)
{
	if (was && herd_slice_equal(now, *was))
		return;
	if (password_here(now))
		herd_words_put(&t->w, " password set in passwd");
	else if (!now.len)
		herd_words_put(&t->w, " no password needed");
	else if (was)
		herd_words_put(&t->w, " password field differs");
}

static void passwd_show(struct herd_telling *t, struct herd_slice line,
			const struct herd_slice *old)
{
	struct herd_slice f[PASSWD_N], o[PASSWD_N] = { { NULL, 0 } };

	if (!memchr(line.p, ':', line.len)) {
		herd_words_put(&t->w, "a line that is no account");
		return;
	}
	if (*line.p == '+') {
		herd_words_put(&t->w, "users of NIS: ");
		put_slice(t, account_key(line), NAME_SHOWN_MAX);
		return;
	}
	fields_of(line, f, PASSWD_N);
	if (old)
		fields_of(*old, o, PASSWD_N);
	if (f[NAME].len)
		put_slice(t, f[NAME], NAME_SHOWN_MAX);
	else
		herd_words_put(&t->w, "no name");
	passwd_field(t, " uid ", f[UID], old ? &o[UID] : NULL);
	if (old)
		passwd_field(t, " gid ", f[GID], &o[GID]);
	passwd_password(t, f[PASSWORD], old ? &o[PASSWORD] : NULL);
	if (old) {
		passwd_field(t, " home ", f[HOME], &o[HOME]);
		passwd_field(t, " comment ", f[GECOS], &o[GECOS]);
		passwd_field(t, " shell ", f[SHELL], &o[SHELL]);
	} else if (f[SHELL].len && login_shell(f[SHELL])) {
		passwd_field(t, ", shell ", f[SHELL], NULL);
	}
}

const struct herd_style herd_style_passwd = {
	.noun = "line",
	.comments = HERD_COMMENTS_NONE,
	.key = account_key,
	.show = passwd_show,
	.loud = passwd_loud,
};

/* ---- shadow ---- */

enum password { PASSWORD_NONE, PASSWORD_LOCKED, PASSWORD_SET };

static enum password password_of(struct herd_slice f)
{
	if (!f.len)
		return PASSWORD_NONE;
	return *f.p == '!' || *f.p == '*' || f.len < 2 ? PASSWORD_LOCKED :
							 PASSWORD_SET;
}

static bool shadow_loud(struct herd_telling *t, struct herd_slice line,
			const struct herd_slice *old)
{
	struct herd_slice f[2], o[2];

	(void)t;
	fields_of(line, f, 2);
	if (!old)
		return password_of(f[1]) != PASSWORD_LOCKED;
	fields_of(*old, o, 2);
	return password_of(f[1]) != PASSWORD_LOCKED &&
	       !herd_slice_equal(f[1], o[1]);
}

static void shadow_show(struct herd_telling *t, struct herd_slice line,
			const struct herd_slice *old)
{
	static const char *const words[] = {
		[PASSWORD_NONE] = ": no password needed",
		[PASSWORD_LOCKED] = ": no password",
		[PASSWORD_SET] = ": password set",
	};
	struct herd_slice f[2], o[2];

	if (!memchr(line.p, ':', line.len)) {
		/* may be a hash that lost its name */
		herd_words_put(&t->w, "a line that is no account");
		return;
	}
	fields_of(line, f, 2);
	put_slice(t, f[0], NAME_SHOWN_MAX);
	if (!old) {
		herd_words_put(&t->w, words[password_of(f[1])]);
		return;
	}
	fields_of(*old, o, 2);
	if (herd_slice_equal(f[1], o[1]))
		herd_words_put(&t->w, ": password ageing changed");
	else if (password_of(f[1]) == PASSWORD_SET &&
		 password_of(o[1]) == PASSWORD_SET)
		herd_words_put(&t->w, ": password changed");
	else {
		herd_words_put(&t->w, words[password_of(f[1])]);
		herd_words_put(&t->w, ", the herd has");
		herd_words_put(&t->w, words[password_of(o[1])] + 1);
	}
}

const struct herd_style herd_style_shadow = {
	.noun = "line",
	.comments = HERD_COMMENTS_NONE,
	.key = account_key,
	.show = shadow_show,
	.loud = shadow_loud,
};

/* ---- group ---- */

struct members {
	struct herd_slice v[MEMBERS_MAX];
	size_t n;
};

static void members_of(struct herd_slice list, struct members *ret)
{
	ret->n = 0;
	while (list.len && ret->n < MEMBERS_MAX) {
		struct herd_slice m =
			herd_slice_trim(herd_slice_until(&list, ","));

		if (m.len)
			ret->v[ret->n++] = m;
	}
}

static bool among(const struct members *m, struct herd_slice name)
{
	for (size_t i = 0; i < m->n; i++)
		if (herd_slice_equal(m->v[i], name))
			return true;
	return false;
}

/* Groups whose members may become root, at once or by a detour. */
static bool strong_group(struct herd_slice name, struct herd_slice gid)
{
	static const char *const names[] = {
		"root",
		"sudo",
		"wheel",
		"admin",
		"docker",
		"lxd",
		"disk",
		"shadow",
		"adm",
		"kmem",
		"libvirt",
		"staff",
		"systemd-journal",
		"google-sudoers",
	};

	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
		if (herd_slice_is(name, names[i]))
			return true;
	return zero(gid);
}

static bool group_loud(struct herd_telling *t, struct herd_slice line,
		       const struct herd_slice *old)
{
	struct herd_slice f[4], o[4];
	struct members now, was;

	(void)t;
	fields_of(line, f, 4);
	if (!strong_group(f[0], f[2]))
		return false;
	members_of(f[3], &now);
	if (!old)
		return now.n || zero(f[2]);
	fields_of(*old, o, 4);
	members_of(o[3], &was);
	for (size_t i = 0; i < now.n; i++)
		if (!among(&was, now.v[i]))
			return true;
	return zero(f[2]) && !zero(o[2]);
}

static void put_missing(struct herd_telling *t, const char *word,
			const struct members *these, const struct members *in)
{
	bool first = true;

	for (size_t i = 0; i < these->n; i++) {
		if (in && among(in, these->v[i]))
			continue;
		herd_words_put(&t->w, first ? word : ", ");
		put_slice(t, these->v[i], NAME_SHOWN_MAX);
		first = false;
	}
}

static void group_show(struct herd_telling *t, struct herd_slice line,
		       const struct herd_slice *old)
{
	struct herd_slice f[4], o[4];
	struct members now, was;
	size_t before;

	fields_of(line, f, 4);
	herd_words_put(&t->w, "group ");
	put_slice(t, f[0], NAME_SHOWN_MAX);
	members_of(f[3], &now);
	if (!old) {
		passwd_field(t, " gid ", f[2], NULL);
		put_missing(t, " with ", &now, NULL);
		return;
	}
	fields_of(*old, o, 4);
	before = t->w.len;
	members_of(o[3], &was);
	put_missing(t, " gained ", &now, &was);
	put_missing(t, " lost ", &was, &now);
	passwd_field(t, " gid ", f[2], &o[2]);
	if (t->w.len == before)
		herd_words_put(&t->w, " differs");
}

const struct herd_style herd_style_group = {
	.noun = "line",
	.comments = HERD_COMMENTS_NONE,
	.key = account_key,
	.show = group_show,
	.loud = group_loud,
};

/* ---- sudoers ---- */

static bool sudoers_loud(struct herd_telling *t, struct herd_slice line,
			 const struct herd_slice *old)
{
	static const char *const words[] = {
		"NOPASSWD",	"!authenticate",
		"!requiretty",	"timestamp_timeout",
		"!tty_tickets", "env_keep",
		"!env_reset",	"!secure_path",
		"include",	"!log",
		"(ALL",		"=ALL",
		"= ALL",	NULL,
	};

	(void)t;
	(void)old;
	return herd_slice_has_any(line, words);
}

const struct herd_style herd_style_sudoers = {
	.noun = "line",
	.comments = HERD_COMMENTS_SUDOERS,
	.loud = sudoers_loud,
};

/* ---- authorized_keys ---- */

struct key {
	struct herd_slice options, type, blob, comment;
};

static bool key_type(struct herd_slice s)
{
	return herd_slice_begins(s, "ssh-") || herd_slice_begins(s, "ecdsa-") ||
	       herd_slice_begins(s, "sk-");
}

/* Options end at the first blank that stands in no quotes. */
static struct herd_slice options_of(struct herd_slice *line)
{
	struct herd_slice s = { line->p, 0 };
	bool quoted = false;

	for (; s.len < line->len; s.len++) {
		char c = line->p[s.len];

		if (c == '"')
			quoted = !quoted;
		else if (c == '\\' && s.len + 1 < line->len)
			s.len++;
		else if (!quoted && (c == ' ' || c == '\t'))
			break;
	}
	s.len = s.len < line->len ? s.len : line->len;
	line->p += s.len;
	line->len -= s.len;
	return s;
}

static bool key_of(struct herd_slice line, struct key *ret)
{
	struct herd_slice rest = line;

	*ret = (struct key){ .type = herd_slice_word(&rest) };
	if (!key_type(ret->type)) {
		rest = line;
		ret->options = options_of(&rest);
		ret->type = herd_slice_word(&rest);
	}
	ret->blob = herd_slice_word(&rest);
	ret->comment = herd_slice_trim(rest);
	return key_type(ret->type) && ret->blob.len;
}

static int base64_value(char c)
{
	static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
				     "abcdefghijklmnopqrstuvwxyz0123456789+/";
	const char *at = c ? strchr(digits, c) : NULL;

	return at ? (int)(at - digits) : -1;
}

/* SHA256:… as ssh-keygen -l shows it; false for what is no base64. */
static bool fingerprint(struct herd_slice blob, char ret[64])
{
	static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
				     "abcdefghijklmnopqrstuvwxyz0123456789+/";
	uint8_t bytes[4096], digest[HERD_SHA256_LEN + 1] = { 0 };
	uint32_t bits = 0;
	unsigned held = 0;
	size_t n = 0, to;

	for (size_t i = 0; i < blob.len && blob.p[i] != '='; i++) {
		int v = base64_value(blob.p[i]);

		if (v < 0 || n == sizeof(bytes))
			return false;
		bits = bits << 6 | (uint32_t)v;
		held += 6;
		if (held >= 8) {
			held -= 8;
			bytes[n++] = (uint8_t)(bits >> held);
		}
	}
	if (n < 16)
		return false;
	herd_sha256(bytes, n, digest);
	memcpy(ret, "SHA256:", 7);
	to = 7;
	for (size_t bit = 0; bit < HERD_SHA256_LEN * 8; bit += 6) {
		unsigned two = (unsigned)digest[bit / 8] << 8 |
			       digest[bit / 8 + 1];

		ret[to++] = digits[two >> (10 - bit % 8) & 63];
	}
	ret[to] = '\0';
	return true;
}

/* The key itself: with other options or another comment it is the same one. */
static struct herd_slice keys_key(struct herd_slice line)
{
	struct key k;

	return key_of(line, &k) ? k.blob : (struct herd_slice){ line.p, 0 };
}

static void keys_show(struct herd_telling *t, struct herd_slice line,
		      const struct herd_slice *old)
{
	struct key k, was;
	char print[64];

	if (!key_of(line, &k)) {
		herd_words_put(&t->w, "a line that is no key: ");
		put_slice(t, line, 80);
		return;
	}
	put_slice(t, k.type, 40);
	if (fingerprint(k.blob, print)) {
		herd_words_put(&t->w, " ");
		herd_words_put(&t->w, print);
	} else {
		herd_words_put(&t->w, " (damaged)");
	}
	if (k.comment.len) {
		herd_words_put(&t->w, " ");
		put_slice(t, k.comment, 48);
	}
	if (k.options.len) {
		herd_words_put(&t->w, ", with ");
		put_slice(t, k.options, 70);
	}
	if (old && key_of(*old, &was) && was.options.len &&
	    !herd_slice_equal(was.options, k.options)) {
		herd_words_put(&t->w, ", the herd's with ");
		put_slice(t, was.options, 50);
	}
}

static bool keys_loud(struct herd_telling *t, struct herd_slice line,
		      const struct herd_slice *old)
{
	static const char *const words[] = {
		"command=", "environment=", "cert-authority", "tunnel=", NULL
	};
	struct key k, was;

	(void)t;
	if (!key_of(line, &k))
		return false;
	if (!old)
		return !herd_slice_has(k.options, "from=") ||
		       herd_slice_has_any(k.options, words);
	return key_of(*old, &was) && !herd_slice_equal(k.options, was.options);
}

const struct herd_style herd_style_keys = {
	.noun = "key",
	.comments = HERD_COMMENTS_HASH,
	.key = keys_key,
	.show = keys_show,
	.loud = keys_loud,
};
