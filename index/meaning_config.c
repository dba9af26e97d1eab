/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Settings: of the network, of sshd and PAM, of package tools, of the web
 * server, of the kernel; and texts of which nothing is known.
 */
#include "index/meaning_internal.h"

#include <string.h>

#define SETTING_MAX 110
#define OLD_MAX 60

static void put_slice(struct herd_telling *t, struct herd_slice s, size_t max)
{
	herd_words_bytes(&t->w, s.p, s.len, max);
}

static struct herd_slice word_key(struct herd_slice line)
{
	return herd_slice_word(&line);
}

static struct herd_slice equals_key(struct herd_slice line)
{
	struct herd_slice key = herd_slice_trim(herd_slice_until(&line, "="));

	if (herd_slice_begins(key, "export ")) {
		herd_slice_word(&key);
		key = herd_slice_trim(key);
	}
	return key;
}

static struct herd_slice colon_key(struct herd_slice line)
{
	return herd_slice_trim(herd_slice_until(&line, ":"));
}

/* The line, and what follows the key in the herd's. */
static void versus(struct herd_telling *t, struct herd_slice line,
		   const struct herd_slice *old, const char *parts)
{
	struct herd_slice was;

	put_slice(t, line, SETTING_MAX);
	if (!old)
		return;
	was = *old;
	herd_slice_until(&was, parts);
	herd_words_put(&t->w, ", the herd's ");
	put_slice(t, herd_slice_trim(was), OLD_MAX);
}

static void word_show(struct herd_telling *t, struct herd_slice line,
		      const struct herd_slice *old)
{
	versus(t, line, old, " \t");
}

static void equals_show(struct herd_telling *t, struct herd_slice line,
			const struct herd_slice *old)
{
	versus(t, line, old, "=");
}

static void colon_show(struct herd_telling *t, struct herd_slice line,
		       const struct herd_slice *old)
{
	versus(t, line, old, ":");
}

/* ---- names ---- */

/* The first name of a line of /etc/hosts. */
static struct herd_slice hosts_key(struct herd_slice line)
{
	herd_slice_word(&line);
	return herd_slice_word(&line);
}

static bool hosts_loud(struct herd_telling *t, struct herd_slice line,
		       const struct herd_slice *old)
{
	static const char *const names[] = {
		"debian.org",
		"ubuntu.com",
		"amazonaws.com",
		"amazonlinux",
		"redhat.com",
		"centos.org",
		"fedoraproject.org",
		"security.",
		"update",
		"clamav",
		"virus",
		"crowdstrike",
		"falcon",
		"sentinelone",
		"github.com",
		"pypi",
		"npmjs",
		"docker.io",
		"metadata",
		"splunk",
		"datadog",
		"elastic",
		NULL,
	};

	(void)t;
	(void)old;
	return herd_slice_has_any(line, names);
}

static void hosts_show(struct herd_telling *t, struct herd_slice line,
		       const struct herd_slice *old)
{
	struct herd_slice address = herd_slice_word(&line), was;

	put_slice(t, herd_slice_trim(line), 90);
	herd_words_put(&t->w, " is ");
	put_slice(t, address, 46);
	if (!old)
		return;
	was = *old;
	was = herd_slice_word(&was);
	if (herd_slice_equal(was, address))
		return;
	herd_words_put(&t->w, ", the herd's ");
	put_slice(t, was, 46);
}

const struct herd_style herd_style_hosts = {
	.noun = "line",
	.comments = HERD_COMMENTS_HASH,
	.key = hosts_key,
	.show = hosts_show,
	.loud = hosts_loud,
};

const struct herd_style herd_style_resolv = {
	.noun = "line",
	.comments = HERD_COMMENTS_SEMICOLON,
};

const struct herd_style herd_style_nsswitch = {
	.noun = "line",
	.comments = HERD_COMMENTS_HASH,
	.key = colon_key,
	.show = colon_show,
};

/* ---- logging in ---- */

static bool sshd_loud(struct herd_telling *t, struct herd_slice line,
		      const struct herd_slice *old)
{
	static const struct {
		const char *key, *value; /* NULL: any */
	} settings[] = {
		{ "PermitRootLogin", "yes" },
		{ "PasswordAuthentication", "yes" },
		{ "PermitEmptyPasswords", "yes" },
		{ "UsePAM", "no" },
		{ "PermitUserEnvironment", "yes" },
		{ "GatewayPorts", "yes" },
		{ "StrictModes", "no" },
		{ "PermitTunnel", "yes" },
		{ "PubkeyAuthentication", "yes" },
		{ "LogLevel", "QUIET" },
		{ "AuthorizedKeysFile", NULL },
		{ "AuthorizedKeysCommand", NULL },
		{ "AuthorizedPrincipalsFile", NULL },
		{ "ForceCommand", NULL },
		{ "TrustedUserCAKeys", NULL },
		{ "Match", NULL },
		{ "Include", NULL },
		{ "Subsystem", NULL },
		{ "Port", NULL },
		{ "HostKey", NULL },
		{ "SetEnv", NULL },
		{ "AuthorizedKeysCommandUser", NULL },
	};
	struct herd_slice key = herd_slice_until(&line, " \t=");

	(void)t;
	(void)old;
	line = herd_slice_trim(line);
	for (size_t i = 0; i < sizeof(settings) / sizeof(*settings); i++)
		if (herd_slice_is_nocase(key, settings[i].key))
			return !settings[i].value ||
			       herd_slice_is_nocase(line, settings[i].value);
	return false;
}

const struct herd_style herd_style_sshd = {
	.noun = "line",
	.comments = HERD_COMMENTS_HASH,
	.key = word_key,
	.show = word_show,
	.loud = sshd_loud,
};

static bool pam_loud(struct herd_telling *t, struct herd_slice line,
		     const struct herd_slice *old)
{
	static const char *const words[] = {
		"pam_permit",
		"pam_exec",
		"pam_python",
		"pam_script",
		"nullok",
		"sufficient",
		"default=ignore",
		"success=",
		" /",
		"\t/",
		"pam_rootok",
		"pam_debug",
		"pam_succeed_if",
		"pam_listfile",
		"pam_tty_audit",
		NULL,
	};

	(void)t;
	(void)old;
	return herd_slice_has_any(line, words);
}

static bool pam_loud_removed(struct herd_slice line)
{
	static const char *const words[] = { "pam_unix",     "pam_deny",
					     "pam_faillock", "pam_tally",
					     "pam_sss",	     NULL };

	return herd_slice_has_any(line, words);
}

const struct herd_style herd_style_pam = {
	.noun = "line",
	.comments = HERD_COMMENTS_HASH,
	.loud = pam_loud,
	.loud_removed = pam_loud_removed,
};

static bool env_loud(struct herd_telling *t, struct herd_slice line,
		     const struct herd_slice *old)
{
	static const char *const words[] = {
		"LD_PRELOAD", "LD_LIBRARY_PATH", "LD_AUDIT",
		"BASH_ENV",   "PROMPT_COMMAND",	 "PYTHONSTARTUP",
		"PYTHONPATH", "PERL5",		 "NODE_OPTIONS",
		"_proxy",     "_PROXY",		 "HISTFILE",
		NULL,
	};

	(void)t;
	(void)old;
	return herd_slice_has_any(line, words) || herd_slice_shady(line);
}

const struct herd_style herd_style_env = {
	.noun = "line",
	.comments = HERD_COMMENTS_HASH,
	.key = equals_key,
	.show = equals_show,
	.loud = env_loud,
};

/* ---- packages ---- */

static bool apt_loud(struct herd_telling *t, struct herd_slice line,
		     const struct herd_slice *old)
{
	static const char *const words[] = {
		"Pre-Invoke",
		"Post-Invoke",
		"Pre-Install",
		"Post-Install",
		"AllowUnauthenticated",
		"AllowInsecure",
		"Verify-Peer",
		"Proxy",
		"Dir::",
		"Acquire::Check",
		"Verify-Host",
		"AutoDetect",
		NULL,
	};

	(void)t;
	(void)old;
	return herd_slice_has_any(line, words) || herd_slice_shady(line);
}

const struct herd_style herd_style_apt = {
	.noun = "line",
	.comments = HERD_COMMENTS_SLASHES,
	.loud = apt_loud,
};

static bool sources_loud(struct herd_telling *t, struct herd_slice line,
			 const struct herd_slice *old)
{
	static const char *const words[] = {
		"trusted=yes",	   "allow-insecure", "Trusted:",
		"Allow-Insecure:", "gpgcheck=0",     "gpgcheck = 0",
		"sslverify=0",	   "proxy=",	     NULL,
	};

	(void)t;
	(void)old;
	return herd_slice_has_any(line, words);
}

static bool sources_telling(struct herd_slice line)
{
	return herd_slice_has(line, "://");
}

const struct herd_style herd_style_sources = {
	.noun = "line",
	.comments = HERD_COMMENTS_HASH,
	.loud = sources_loud,
	.telling = sources_telling,
};

/* ---- web server ---- */

static bool web_loud(struct herd_telling *t, struct herd_slice line,
		     const struct herd_slice *old)
{
	static const char *const words[] = {
		"load_module",
		"LoadModule",
		"LoadFile",
		"auto_prepend_file",
		"auto_append_file",
		"AddHandler",
		"AddType",
		"SetHandler",
		"ScriptAlias",
		"ExtFilterDefine",
		"content_by_lua",
		"access_log off",
		"disable_functions",
		"allow_url_include",
		"extension=",
		"SSLCertificateFile",
		"|/",
		"proxy_pass",
		"ProxyPass",
		"lua_",
		"perl_",
		"js_import",
		"CustomLog /dev/null",
		NULL,
	};

	(void)t;
	(void)old;
	return herd_slice_has_any(line, words) || herd_slice_shady(line);
}

static bool web_telling(struct herd_slice line)
{
	return line.len > 1 && *line.p != '}';
}

const struct herd_style herd_style_web = {
	.noun = "line",
	.comments = HERD_COMMENTS_SEMICOLON,
	.loud = web_loud,
	.telling = web_telling,
};

/* ---- kernel ---- */

static bool sysctl_loud(struct herd_telling *t, struct herd_slice line,
			const struct herd_slice *old)
{
	static const char *const words[] = {
		"core_pattern",
		"modprobe",
		"hotplug",
		"ptrace_scope",
		"randomize_va_space",
		"kptr_restrict",
		"dmesg_restrict",
		"ip_forward",
		"modules_disabled",
		"suid_dumpable",
		"unprivileged_bpf",
		"protected_",
		"lockdown",
		NULL,
	};

	(void)t;
	(void)old;
	return herd_slice_has_any(line, words);
}

const struct herd_style herd_style_sysctl = {
	.noun = "line",
	.comments = HERD_COMMENTS_SEMICOLON,
	.key = equals_key,
	.show = equals_show,
	.loud = sysctl_loud,
};

/* ---- anything ---- */

static bool config_loud(struct herd_telling *t, struct herd_slice line,
			const struct herd_slice *old)
{
	(void)t;
	(void)old;
	return herd_slice_shady(line);
}

const struct herd_style herd_style_config = {
	.noun = "line",
	.comments = HERD_COMMENTS_HASH,
	.loud = config_loud,
};

static bool lines_telling(struct herd_slice line)
{
	return herd_slice_trim(line).len > 0;
}

const struct herd_style herd_style_lines = {
	.noun = "line",
	.comments = HERD_COMMENTS_RAW,
	.loud = config_loud,
	.telling = lines_telling,
};
