/* SPDX-License-Identifier: Apache-2.0 */
#include "acquire/aws/profiles.h"

#include "acquire/aws/ini.h"
#include "acquire/base/cleanup.h"

#include <fcntl.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

struct herd_aws_profiles {
	struct herd_ini *config, *credentials;
	char unread[256];
};

/* ---- files ---- */

/* HOME, else what the user database has. */
static int home(char **ret)
{
	const char *set = getenv("HOME");
	struct passwd pw, *found = NULL;
	char buf[4096];

	if (!set || !*set) {
		if (getpwuid_r(getuid(), &pw, buf, sizeof(buf), &found) ||
		    !found)
			return -ENOENT;
		set = pw.pw_dir;
	}
	*ret = strdup(set);
	return *ret ? 0 : -ENOMEM;
}

int herd_aws_path(const char *path, char **ret)
{
	CLEANUP_FREE char *dir = NULL;
	char *whole = NULL;

	if (path[0] != '~' || path[1] != '/') {
		*ret = strdup(path);
		return *ret ? 0 : -ENOMEM;
	}
	int err = home(&dir);

	if (err)
		return err;
	if (asprintf(&whole, "%s%s", dir, path + 1) < 0)
		return -ENOMEM;
	*ret = whole;
	return 0;
}

int herd_aws_read_file(const char *path, size_t max, char **ret,
		       size_t *ret_len)
{
	CLEANUP_FD int fd =
		open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	struct stat st;
	size_t n = 0;

	if (fd < 0 || fstat(fd, &st))
		return -errno;
	if (!S_ISREG(st.st_mode))
		max = 0;
	else if ((uint64_t)st.st_size > max)
		return -EOVERFLOW;
	else /* one more than it had: it may grow meanwhile */
		max = (size_t)st.st_size + 1;

	char *text = malloc(max + 1);
	ssize_t got = 0;

	if (!text)
		return -ENOMEM;
	while (n < max) {
		got = read(fd, text + n, max - n);
		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			break;
		n += (size_t)got;
	}
	if (got < 0) {
		int err = -errno;

		explicit_bzero(text, n);
		free(text);
		return err;
	}
	text[n] = '\0';
	*ret = text;
	*ret_len = n;
	return 0;
}

static int load(const char *variable, const char *usual, struct herd_ini **ret,
		struct herd_aws_profiles *p, struct herd_diag *diag)
{
	const char *set = getenv(variable);
	CLEANUP_FREE char *path = NULL;
	char *text = NULL;
	size_t len = 0;
	unsigned line = 0;
	int err = herd_aws_path(set && *set ? set : usual, &path);

	if (err)
		return err == -ENOENT ? 0 : err;
	err = herd_aws_read_file(path, HERD_INI_MAX, &text, &len);
	if (err == -ENOENT || err == -ENOTDIR)
		return 0;
	if (err == -ENOMEM)
		return err;
	if (err == -EOVERFLOW)
		return herd_diag_set(diag, err, path, HERD_NO_OFFSET,
				     "larger than %u bytes", HERD_INI_MAX);
	if (err) {
		snprintf(p->unread, sizeof(p->unread),
			 "%.180s cannot be read: %s", path, strerror(-err));
		return 0;
	}
	err = herd_ini_parse(text, len, ret, &line);
	explicit_bzero(text, len);
	free(text);
	/* the line itself may be a secret */
	if (err == -EBADMSG)
		return herd_diag_set(diag, err, path, HERD_NO_OFFSET,
				     "line %u is neither [section] nor key = "
				     "value",
				     line);
	return err;
}

static void cleanup_profiles(struct herd_aws_profiles **p)
{
	herd_aws_profiles_destroy(*p);
}

int herd_aws_profiles_load(struct herd_aws_profiles **ret,
			   struct herd_diag *diag)
{
	CLEANUP(cleanup_profiles)
	struct herd_aws_profiles *p = calloc(1, sizeof(*p));
	int err;

	if (!p)
		return -ENOMEM;
	err = load("AWS_CONFIG_FILE", "~/.aws/config", &p->config, p, diag) ?:
		      load("AWS_SHARED_CREDENTIALS_FILE", "~/.aws/credentials",
			   &p->credentials, p, diag);
	if (err)
		return err;
	*ret = TAKE_PTR(p);
	return 0;
}

void herd_aws_profiles_destroy(struct herd_aws_profiles *p)
{
	if (!p)
		return;
	herd_ini_destroy(p->config);
	herd_ini_destroy(p->credentials);
	free(p);
}

void herd_aws_profiles_forget(struct herd_aws_profiles *p)
{
	static const char *const secrets[] = {
		"aws_secret_access_key",
		"aws_session_token",
		"aws_security_token",
	};

	for (size_t i = 0; i < ARRAY_SIZE(secrets); i++) {
		herd_ini_forget(p->config, secrets[i]);
		herd_ini_forget(p->credentials, secrets[i]);
	}
}

const char *herd_aws_profiles_unread(const struct herd_aws_profiles *p)
{
	return p->unread;
}

/* ---- looking up ---- */

static bool is_default(const char *profile)
{
	return !strcmp(profile, "default");
}

bool herd_aws_profiles_has(const struct herd_aws_profiles *p,
			   const char *profile)
{
	return herd_ini_has(p->credentials, NULL, profile) ||
	       herd_ini_has(p->config, "profile", profile) ||
	       (is_default(profile) && herd_ini_has(p->config, "", profile));
}

static const char *filled(const char *value)
{
	return value && *value ? value : NULL;
}

const char *herd_aws_profiles_get(const struct herd_aws_profiles *p,
				  enum herd_aws_files from, const char *profile,
				  const char *key)
{
	const char *value = NULL;

	if (from & HERD_AWS_CREDENTIALS)
		value = filled(
			herd_ini_get(p->credentials, NULL, profile, key, NULL));
	if (!value && (from & HERD_AWS_CONFIG))
		value = filled(
			herd_ini_get(p->config, "profile", profile, key, NULL));
	if (!value && (from & HERD_AWS_CONFIG) && is_default(profile))
		value = filled(herd_ini_get(p->config, "", profile, key, NULL));
	return value;
}

bool herd_aws_profiles_has_session(const struct herd_aws_profiles *p,
				   const char *session)
{
	return herd_ini_has(p->config, "sso-session", session);
}

const char *herd_aws_profiles_session(const struct herd_aws_profiles *p,
				      const char *session, const char *key)
{
	return filled(
		herd_ini_get(p->config, "sso-session", session, key, NULL));
}

bool herd_aws_profiles_has_services(const struct herd_aws_profiles *p,
				    const char *services)
{
	return herd_ini_has(p->config, "services", services);
}

const char *herd_aws_profiles_service(const struct herd_aws_profiles *p,
				      const char *services, const char *service,
				      const char *key)
{
	return filled(
		herd_ini_get(p->config, "services", services, service, key));
}
