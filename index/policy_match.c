/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whether a rule applies to a finding, and what it must name before it may.
 *
 * Threads: pure functions.
 */
#include "index/policy.h"

#include "acquire/base/cleanup.h"
#include "index/glob.h"
#include "index/verdict.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

/*
 * Below any folder: a chroot, a container's layer or a volume that is not
 * mounted have an /etc too.
 */
static const char *const credentials[] = {
	"/**/etc/passwd*",
	"/**/etc/shadow*",
	"/**/etc/gshadow*",
	"/**/etc/group*",
	"/**/etc/sudoers*",
	"/**/etc/sudoers.d/**",
	"/**/etc/doas.conf",
	"/**/etc/pam.conf",
	"/**/etc/pam.d/**",
	"/**/etc/security/**",
	"/**/security/pam_*",
	"/**/etc/nsswitch.conf",
	"/**/etc/login.defs",
	"/**/etc/securetty",
	"/**/etc/shells",
	"/**/polkit-1/**",
	"/**/etc/krb5*",
	"/**/etc/ssh/**",
	"/**/etc/ssl/private/**",
	"/**/etc/letsencrypt/**",
	"/**/etc/wireguard/**",
	"/**/etc/ppp/*-secrets",
	"/**/etc/ipsec.secrets",
	"/**/var/lib/sss/**",
	"/**/.ssh",
	"/**/.ssh/**",
	"/**/authorized_keys*",
	"/**/known_hosts*",
	"/**/id_rsa*",
	"/**/id_dsa*",
	"/**/id_ecdsa*",
	"/**/id_ed25519*",
	"/**/ssh_host_*_key*",
	"/**/.gnupg",
	"/**/.gnupg/**",
	"/**/.aws",
	"/**/.aws/**",
	"/**/.azure/**",
	"/**/.config/gcloud/**",
	"/**/.kube/**",
	"/**/.docker/config.json",
	"/**/.netrc",
	"/**/.git-credentials",
	"/**/.pgpass",
	"/**/.my.cnf",
	"/**/.npmrc",
	"/**/.pypirc",
	"/**/.htpasswd",
	"/**/.htdigest",
	"/**/.rhosts",
	"/**/.shosts",
	"/**/hosts.equiv",
	"/**/.k5login",
	"/**/.password-store/**",
	"/**/.vault-token",
	"/**/.env",
	"/**/*.pem",
	"/**/*.key",
	"/**/*.p12",
	"/**/*.pfx",
	"/**/*.jks",
	"/**/*.keystore",
	"/**/*.kdbx",
	"/**/*.keytab",
	"/**/*.ovpn",
	"/**/*.ppk",
	"/**/*.pgpass",
	"/**/*_key",
	"/**/*credentials*",
	"/**/*.htpasswd",
	"/**/[Cc]onfig/SAM*",
	"/**/[Cc]onfig/SECURITY*",
	"/**/[Cc]onfig/SYSTEM*",
	"/**/NTDS/ntds.dit",
};

bool herd_policy_is_credential(const char *path, size_t len)
{
	for (size_t i = 0; i < ARRAY_SIZE(credentials); i++)
		if (herd_glob_path(credentials[i], strlen(credentials[i]), path,
				   len))
			return true;
	return false;
}

/* A library, a module, something that an interpreter or a server takes. */
static const char *const code[] = {
	"*.so",
	"*.so.*",
	"*.ko",
	"*.ko.*",
	"*.o",
	"*.a",
	"*.py",
	"*.pyc",
	"*.pth",
	"*.pl",
	"*.pm",
	"*.rb",
	"*.php",
	"*.php[0-9]",
	"*.phtml",
	"*.phar",
	"*.inc",
	"*.jsp",
	"*.jspx",
	"*.asp",
	"*.aspx",
	"*.ashx",
	"*.cgi",
	"*.sh",
	"*.bash",
	"*.lua",
	"*.tcl",
	"*.js",
	"*.mjs",
	"*.jar",
	"*.war",
	"*.class",
	"*.wasm",
	"*.service",
	"*.timer",
	"*.socket",
	"*.path",
	"*.desktop",
	"*.rules",
	"*.[Ee][Xx][Ee]",
	"*.[Dd][Ll][Ll]",
	"*.[Ss][Yy][Ss]",
	"*.[Pp][Ss]1",
	"*.[Bb][Aa][Tt]",
	"*.[Cc][Mm][Dd]",
	"*.[Vv][Bb][Ss]",
};
static const char *const code_places[] = {
	"/**/etc/ld.so.preload",
	"/**/etc/ld.so.conf*",
	"/**/etc/ld.so.conf.d/**",
	"/**/etc/ld.so.cache",
	"/**/etc/cron*/**",
	"/**/etc/crontab",
	"/**/etc/anacrontab",
	"/**/var/spool/cron/**",
	"/**/var/spool/at/**",
	"/**/etc/profile*",
	"/**/etc/profile.d/**",
	"/**/etc/bash*rc*",
	"/**/etc/rc*",
	"/**/etc/init.d/**",
	"/**/etc/inittab",
	"/**/etc/environment",
	"/**/etc/modules*",
	"/**/etc/modprobe.d/**",
	"/**/etc/udev/**",
	"/**/.bashrc",
	"/**/.bash_profile",
	"/**/.bash_login",
	"/**/.bash_logout",
	"/**/.profile",
	"/**/.zshrc",
	"/**/.zshenv",
	"/**/.zprofile",
	"/**/systemd/system-generators/**",
	"/**/.git/hooks/**",
	"/**/etc/apt/apt.conf*",
	"/**/etc/apt/apt.conf.d/**",
	"/boot/**",
};

bool herd_policy_is_code(const char *path, size_t len)
{
	const char *slash = len ? memrchr(path, '/', len) : NULL;
	const char *name = slash ? slash + 1 : path;
	size_t name_len = len - (size_t)(name - path);

	for (size_t i = 0; i < ARRAY_SIZE(code); i++)
		if (herd_glob_name(code[i], strlen(code[i]), name, name_len))
			return true;
	for (size_t i = 0; i < ARRAY_SIZE(code_places); i++)
		if (herd_glob_path(code_places[i], strlen(code_places[i]), path,
				   len))
			return true;
	return false;
}

static bool set_id(uint32_t mode)
{
	return S_ISREG(mode) && (mode & (S_ISUID | S_ISGID));
}

static bool may_be_run(uint32_t mode)
{
	return S_ISREG(mode) && (mode & 0111);
}

unsigned herd_policy_needs(const struct herd_policy_question *q)
{
	unsigned needs = 0;
	bool run = may_be_run(q->mode) || may_be_run(q->herd_mode);
	bool folder = S_ISDIR(q->mode ? q->mode : q->herd_mode) &&
		      !(q->reasons & HERD_REASON_TYPE);

	/* nobody's version is known: it may be anything */
	if (!q->mode && !q->herd_mode)
		needs |= HERD_POLICY_SETID | HERD_POLICY_EXECUTABLE;
	if (set_id(q->mode) || set_id(q->herd_mode))
		needs |= HERD_POLICY_SETID;
	/* file capabilities are attributes, and work on what may be run */
	if ((q->reasons & HERD_REASON_XATTR) && run)
		needs |= HERD_POLICY_SETID;
	if (run || q->executable_content ||
	    (!folder && herd_policy_is_code(q->path, q->path_len)))
		needs |= HERD_POLICY_EXECUTABLE;
	if (q->credential || herd_policy_is_credential(q->path, q->path_len))
		needs |= HERD_POLICY_CREDENTIAL;
	return needs;
}

static bool name_fits(const char *pattern, const char *name)
{
	return !pattern || (name && herd_glob_name(pattern, strlen(pattern),
						   name, strlen(name)));
}

const struct herd_policy_rule *
herd_policy_match(const struct herd_policy *p,
		  const struct herd_policy_question *q)
{
	bool asked = false;
	unsigned needs = 0;

	for (size_t i = 0; i < p->n; i++) {
		const struct herd_policy_rule *r = &p->v[i];

		if (herd_policy_expired(r, q->now) ||
		    (r->reasons && (q->reasons & ~r->reasons)) ||
		    !name_fits(r->group, q->group) ||
		    !name_fits(r->instance, q->instance) ||
		    !herd_glob_path(r->pattern, strlen(r->pattern), q->path,
				    q->path_len))
			continue;
		/* a hundred patterns: for what a rule is about only */
		if (!asked)
			needs = herd_policy_needs(q);
		asked = true;
		if (!(needs & ~r->allow))
			return r;
	}
	return NULL;
}

static const struct {
	unsigned bit;
	const char *name;
} allow_names[] = {
	{ HERD_POLICY_SETID, "setid" },
	{ HERD_POLICY_EXECUTABLE, "executable" },
	{ HERD_POLICY_CREDENTIAL, "credential" },
};

const char *herd_policy_allow_text(unsigned allow, char *buf, size_t size)
{
	size_t at = 0;

	buf[0] = '\0';
	for (size_t i = 0; i < ARRAY_SIZE(allow_names); i++) {
		int n = (allow & allow_names[i].bit) && at < size ?
				snprintf(buf + at, size - at, "%s%s",
					 at ? ", " : "", allow_names[i].name) :
				0;

		at += n > 0 ? (size_t)n : 0;
	}
	return buf;
}
