/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What runs by itself: cron, units, scripts and their kin, kernel modules.
 */
#include "index/meaning_internal.h"

#include <string.h>

#define COMMAND_MAX 110

static void put_slice(struct herd_telling *t, struct herd_slice s, size_t max)
{
	herd_words_bytes(&t->w, s.p, s.len, max);
}

static bool shady(struct herd_telling *t, struct herd_slice line,
		  const struct herd_slice *old)
{
	(void)t;
	(void)old;
	return herd_slice_shady(line);
}

static bool always(struct herd_telling *t, struct herd_slice line,
		   const struct herd_slice *old)
{
	(void)t;
	(void)line;
	(void)old;
	return true;
}

/* ---- cron ---- */

/* Tables of the system have a column more than those of a user. */
static bool has_user(const struct herd_telling *t)
{
	struct herd_slice path = { t->path, t->path_len };

	return !herd_slice_has(path, "spool/");
}

static bool variable(struct herd_slice line)
{
	struct herd_slice name = herd_slice_until(&line, "=");

	name = herd_slice_trim(name);
	for (size_t i = 0; i < name.len; i++)
		if (strchr(" \t*/@", name.p[i]))
			return false;
	return line.len || name.len == 0;
}

static void cron_show(struct herd_telling *t, struct herd_slice line,
		      const struct herd_slice *old)
{
	struct herd_slice rest = line, when = { line.p, 0 }, user;
	unsigned columns = *line.p == '@' ? 1 : 5;

	(void)old;
	if (variable(line)) {
		put_slice(t, line, COMMAND_MAX);
		return;
	}
	for (unsigned i = 0; i < columns; i++) {
		struct herd_slice w = herd_slice_word(&rest);

		when.len = (size_t)(w.p + w.len - when.p);
	}
	put_slice(t, when, 40);
	if (has_user(t)) {
		user = herd_slice_word(&rest);
		herd_words_put(&t->w, " as ");
		put_slice(t, user, 32);
	}
	herd_words_put(&t->w, ": ");
	put_slice(t, herd_slice_trim(rest), COMMAND_MAX);
}

static bool cron_telling(struct herd_slice line)
{
	return !variable(line);
}

const struct herd_style herd_style_cron = {
	.noun = "job",
	.comments = HERD_COMMENTS_HASH,
	.show = cron_show,
	.loud = shady,
	.telling = cron_telling,
};

/* ---- units ---- */

static struct herd_slice setting_key(struct herd_slice line)
{
	struct herd_slice key = herd_slice_trim(herd_slice_until(&line, "="));

	/* sections and what is none */
	return line.len ? key : (struct herd_slice){ key.p, 0 };
}

/* "Key=now, the herd's was". */
static void setting_show(struct herd_telling *t, struct herd_slice line,
			 const struct herd_slice *old)
{
	struct herd_slice was;

	put_slice(t, line, COMMAND_MAX);
	if (!old)
		return;
	was = *old;
	herd_slice_until(&was, "=");
	herd_words_put(&t->w, ", the herd's ");
	put_slice(t, herd_slice_trim(was), 70);
}

static bool unit_telling(struct herd_slice line)
{
	return herd_slice_begins(line, "Exec") ||
	       herd_slice_begins(line, "On") ||
	       herd_slice_begins(line, "Environment") ||
	       herd_slice_begins(line, "Listen") ||
	       herd_slice_begins(line, "Path") ||
	       herd_slice_begins(line, "User=");
}

const struct herd_style herd_style_unit = {
	.noun = "line",
	.comments = HERD_COMMENTS_SEMICOLON,
	.key = setting_key,
	.show = setting_show,
	.loud = shady,
	.telling = unit_telling,
};

/* ---- scripts ---- */

static bool script_telling(struct herd_slice line)
{
	return !herd_slice_begins(line, "#!");
}

const struct herd_style herd_style_script = {
	.noun = "line",
	.comments = HERD_COMMENTS_SCRIPT,
	.loud = shady,
	.telling = script_telling,
};

static bool shell_loud(struct herd_telling *t, struct herd_slice line,
		       const struct herd_slice *old)
{
	static const char *const words[] = {
		"alias sudo",
		"alias su",
		"alias ssh",
		"alias ls",
		"LD_",
		"PROMPT_COMMAND",
		"trap ",
		"HISTFILE",
		"HISTSIZE",
		"HISTCONTROL",
		"HISTFILESIZE",
		"set +o history",
		"PYTHONSTARTUP",
		"BASH_ENV",
		"sudo()",
		"function sudo",
		"read -s",
		"TMOUT",
		NULL,
	};

	(void)t;
	(void)old;
	return herd_slice_has_any(line, words) || herd_slice_shady(line);
}

const struct herd_style herd_style_shell = {
	.noun = "line",
	.comments = HERD_COMMENTS_SCRIPT,
	.loud = shell_loud,
	.telling = script_telling,
};

/* Only what runs between postrotate and endscript is worth a word. */
static bool logrotate_telling(struct herd_slice line)
{
	return memchr(line.p, '/', line.len) && !herd_slice_has(line, "{");
}

const struct herd_style herd_style_logrotate = {
	.noun = "line",
	.comments = HERD_COMMENTS_HASH,
	.loud = shady,
	.telling = logrotate_telling,
};

static bool pth_loud(struct herd_telling *t, struct herd_slice line,
		     const struct herd_slice *old)
{
	(void)t;
	(void)old;
	return herd_slice_begins(line, "import ") ||
	       herd_slice_begins(line, "import\t");
}

static void pth_show(struct herd_telling *t, struct herd_slice line,
		     const struct herd_slice *old)
{
	if (pth_loud(t, line, old))
		herd_words_put(&t->w, "runs ");
	put_slice(t, line, COMMAND_MAX);
}

const struct herd_style herd_style_pth = {
	.noun = "line",
	.comments = HERD_COMMENTS_HASH,
	.show = pth_show,
	.loud = pth_loud,
};

static bool php_loud(struct herd_telling *t, struct herd_slice line,
		     const struct herd_slice *old)
{
	static const char *const words[] = {
		"eval(",
		"eval (",
		"base64_decode",
		"system(",
		"passthru(",
		"shell_exec",
		"proc_open",
		"popen(",
		"assert(",
		"exec(",
		"gzinflate",
		"str_rot13",
		"create_function",
		"$_REQUEST",
		"$_POST",
		"$_GET",
		"$_COOKIE",
		"move_uploaded_file",
		"Runtime.getRuntime",
		"ProcessBuilder",
		"os.system",
		"subprocess",
		"child_process",
		"fsockopen",
		NULL,
	};

	(void)t;
	(void)old;
	return herd_slice_has_any(line, words);
}

const struct herd_style herd_style_php = {
	.noun = "line",
	.comments = HERD_COMMENTS_NONE,
	.loud = php_loud,
};

/* ---- loader, devices, modules ---- */

static void preload_show(struct herd_telling *t, struct herd_slice line,
			 const struct herd_slice *old)
{
	(void)old;
	herd_words_put(&t->w, "every program loads ");
	put_slice(t, line, COMMAND_MAX);
}

const struct herd_style herd_style_preload = {
	.noun = "line",
	.comments = HERD_COMMENTS_HASH,
	.show = preload_show,
	.loud = always,
};

static const char *const udev_words[] = { "RUN", "PROGRAM", "IMPORT{program}",
					  "SYSTEMD_WANTS", NULL };

static bool udev_loud(struct herd_telling *t, struct herd_slice line,
		      const struct herd_slice *old)
{
	(void)t;
	(void)old;
	return herd_slice_has_any(line, udev_words);
}

/* From the part that runs something on: it stands last, and may be far. */
static void udev_show(struct herd_telling *t, struct herd_slice line,
		      const struct herd_slice *old)
{
	(void)old;
	for (unsigned i = 0; udev_words[i]; i++) {
		const char *at = memmem(line.p, line.len, udev_words[i],
					strlen(udev_words[i]));

		if (!at || at - line.p < 40)
			continue;
		herd_words_put(&t->w, "…");
		line.len -= (size_t)(at - line.p);
		line.p = at;
		break;
	}
	put_slice(t, line, COMMAND_MAX);
}

const struct herd_style herd_style_udev = {
	.noun = "rule",
	.comments = HERD_COMMENTS_HASH,
	.show = udev_show,
	.loud = udev_loud,
};

static bool modprobe_loud(struct herd_telling *t, struct herd_slice line,
			  const struct herd_slice *old)
{
	(void)t;
	(void)old;
	return herd_slice_begins(line, "install") ||
	       herd_slice_begins(line, "remove");
}

const struct herd_style herd_style_modprobe = {
	.noun = "line",
	.comments = HERD_COMMENTS_HASH,
	.loud = modprobe_loud,
};

static void modules_show(struct herd_telling *t, struct herd_slice line,
			 const struct herd_slice *old)
{
	(void)old;
	herd_words_put(&t->w, "loads ");
	put_slice(t, line, COMMAND_MAX);
}

const struct herd_style herd_style_modules = {
	.noun = "module",
	.comments = HERD_COMMENTS_SEMICOLON,
	.show = modules_show,
};
