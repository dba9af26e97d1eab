/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a process is: its program and in which role it runs, so that those of
 * two machines can be held against each other. Numbers, ids, users who are
 * logged in are no part of it.
 */
#include "index/memory/machine_judge_internal.h"

#include <ctype.h>
#include <string.h>

#define ANCESTORS 16
#define ARGV_SAID 1024 /* bytes of argv that are compared and shown */

static bool begins(const char *s, const char *with)
{
	return !strncmp(s, with, strlen(with));
}

/* ---- argv ---- */

/* The n-th word, in place and terminated; NULL: there is none. */
static const char *word(const struct herd_process *p, size_t n)
{
	size_t at = 0;

	if (!p->n_argv)
		return NULL;
	for (; n && at < p->n_argv; n--)
		at += strnlen(p->argv + at, p->n_argv - at) + 1;
	return at < p->n_argv ? p->argv + at : NULL;
}

void herd_boil_argv(const struct herd_boil *b, const struct herd_process *p,
		    struct herd_buf *out)
{
	size_t len = p->n_argv;
	struct herd_buf flat CLEANUP_BUF = HERD_BUF_INIT;
	char *s;

	while (len && !p->argv[len - 1])
		len--;
	if (len > ARGV_SAID)
		len = ARGV_SAID;
	s = len ? herd_buf_extend(&flat, len) : NULL;
	for (size_t i = 0; s && i < len; i++)
		s[i] = p->argv[i] ? p->argv[i] : ' ';
	if (s && len)
		herd_norm_text(out, s, len, b->m->hostname);
	out->failed |= flat.failed;
}

/* Options of interpreters that take the next word with them. */
static bool takes_next(const char *base, const char *option)
{
	static const char *const python[] = { "-W", "-X",
					      "--check-hash-based-pycs", NULL };
	static const char *const java[] = { "-cp", "-classpath",
					    "--module-path", "--add-modules",
					    NULL };
	static const char *const shell[] = { "-o", "+o",       "-O",
					     "+O", "--rcfile", "--init-file",
					     NULL };
	static const char *const other[] = {
		"-I", "-r", "-d", "-F", "-v", NULL
	};

	if (begins(base, "python"))
		return herd_word_in(option, python);
	if (!strcmp(base, "java"))
		return herd_word_in(option, java);
	return herd_word_in(option, herd_is_shell(base) ? shell : other);
}

/* What follows says what is run, and is no file. */
static bool is_inline(const char *base, const char *option)
{
	if (herd_is_shell(base) || begins(base, "python"))
		return option[0] == '-' && option[1] != '-' &&
		       strchr(option, 'c') != NULL;
	return herd_word_in(option,
			    (const char *const[]){ "-e", "-E", "-r", "--eval",
						   "-p", "--print", NULL });
}

/*
 * Where an interpreter's script is among its words; 0: it has none. *ret_how:
 * "-c", "-m", "-" (from its input), or NULL.
 */
static size_t script_at(const struct herd_process *p, const char *base,
			const char **ret_how)
{
	const char *w;
	size_t i = 1;

	*ret_how = NULL;
	if (!strcmp(base, "busybox")) {
		const char *name = word(p, 0);

		i += name && begins(herd_base_name(name), "busybox");
	}
	for (; (w = word(p, i)) && i < 64; i++) {
		if (!strcmp(w, "-") || !strcmp(w, "-s"))
			break;
		if (!strcmp(w, "-jar") && word(p, i + 1))
			return i + 1;
		if (!strcmp(w, "-m") && word(p, i + 1)) {
			*ret_how = "-m";
			return i + 1;
		}
		if (is_inline(base, w)) {
			*ret_how = "-c";
			return 0;
		}
		if (w[0] != '-' && w[0] != '+')
			return w[0] ? i : 0;
		i += takes_next(base, w);
	}
	*ret_how = "-";
	return 0;
}

const char *herd_script(const struct herd_machine *m,
			const struct herd_process *p)
{
	const char *base = herd_base_name(herd_exe_path(m, p)), *how;
	size_t at;

	if (!herd_is_interpreter(base) || p->args_unreadable)
		return NULL;
	at = script_at(p, base, &how);
	return at && !how ? word(p, at) : NULL;
}

/* ---- roles ---- */

/* The name under which busybox was called. */
static void applet(const struct herd_process *p, struct herd_buf *out)
{
	const char *name = word(p, 0);

	if (name && begins(herd_base_name(name), "busybox") && word(p, 1))
		name = word(p, 1);
	if (!name)
		return;
	name = herd_base_name(name + (name[0] == '-'));
	herd_buf_u8(out, ' ');
	herd_norm_clean(out, name, strnlen(name, 32));
}

static void interpreter(const struct herd_boil *b, const struct herd_process *p,
			const char *base, struct herd_buf *out)
{
	const char *how, *w;
	size_t at = script_at(p, base, &how);

	if (how)
		herd_buf_printf(out, " %s", how);
	w = at ? word(p, at) : NULL;
	if (!w)
		return;
	herd_buf_u8(out, ' ');
	herd_norm_text(out, w, strnlen(w, 256), b->m->hostname);
}

/*
 * Of one that gave itself a title ("nginx: worker process"): the first two
 * words of it. sshd's have who is logged in in them.
 */
static void title(const struct herd_boil *b, const char *base, const char *name,
		  struct herd_buf *out)
{
	size_t len = 0, words = 0;

	if (begins(base, "sshd")) {
		herd_buf_printf(out, " %s",
				strstr(name, "[listener]") ? "listener" :
							     "session");
		return;
	}
	while (len < 64 && name[len]) {
		if (name[len] == ' ' && ++words == 2)
			break;
		len++;
	}
	herd_buf_u8(out, ' ');
	herd_norm_text(out, name, len, b->m->hostname);
}

bool herd_has_title(const struct herd_process *p)
{
	const char *name = p->args_unreadable ? NULL : word(p, 0);

	return name && strchr(name, ':') && strchr(name, ' ');
}

static void role(const struct herd_boil *b, const struct herd_process *p,
		 const char *base, struct herd_buf *out)
{
	const char *name = word(p, 0);

	if (!strcmp(base, "busybox"))
		applet(p, out);
	if (herd_is_interpreter(base))
		interpreter(b, p, base, out);
	else if (!strcmp(base, "systemd"))
		herd_buf_printf(out, "%s",
				p->pid == 1	       ? " init" :
				name && name[0] == '(' ? " (sd-pam)" :
							 " --user");
	else if (herd_has_title(p))
		title(b, base, name, out);
	else if (begins(base, "sshd"))
		herd_buf_printf(out, " listener");
}

void herd_boil_key(const struct herd_boil *b, const struct herd_process *p,
		   struct herd_buf *out)
{
	const char *exe = herd_exe_path(b->m, p);

	if (p->kthread) {
		herd_buf_printf(out, "kernel thread ");
		herd_norm_kthread(out, p->comm);
		return;
	}
	if (!exe[0]) {
		herd_buf_printf(out, "without a program ");
		herd_norm_kthread(out, p->comm);
		return;
	}
	herd_norm_text(out, exe, strlen(exe), b->m->hostname);
	if (p->n_argv && !p->args_unreadable)
		role(b, p, herd_base_name(exe), out);
}

/* ---- of what kind ---- */

static bool lets_in(const char *base)
{
	static const char *const names[] = {
		"login",	"su",	       "sudo",	   "doas",
		"in.telnetd",	"telnetd",     "tmux",	   "screen",
		"sshd-session", "mosh-server", "dropbear", "ssm-session-worker",
		"machinectl",	NULL
	};

	return herd_word_in(base, names);
}

static bool schedules(const char *base)
{
	static const char *const names[] = { "cron", "crond", "anacron",
					     "atd",  "fcron", NULL };

	return herd_word_in(base, names);
}

/* By who started it, and who started that one. */
static uint32_t by_ancestors(const struct herd_boil *b,
			     const struct herd_process *p)
{
	const struct herd_process *q = p;
	uint32_t flags = 0;

	for (int i = 0; i < ANCESTORS; i++) {
		const char *base = herd_base_name(herd_exe_path(b->m, q));

		if (lets_in(base))
			flags |= HERD_IS_SESSION;
		if (q != p && begins(base, "sshd"))
			flags |= HERD_IS_SESSION;
		if (q != p && schedules(base))
			flags |= HERD_IS_SCHEDULED;
		q = herd_boil_parent(b, q);
		if (!q || q->pid <= 2)
			break;
	}
	return flags;
}

static uint32_t by_program(const struct herd_boil *b,
			   const struct herd_process *p)
{
	const char *exe = herd_exe_path(b->m, p);
	const char *base = herd_base_name(exe);
	uint32_t flags = 0;

	if (herd_is_shell(base))
		flags |= HERD_IS_SHELL;
	if (!strcmp(base, "busybox")) {
		const char *name = word(p, 0);

		name = name ? herd_base_name(name + (name[0] == '-')) : "";
		if (!herd_is_shell(name) || !strcmp(name, "busybox"))
			flags &= ~(uint32_t)HERD_IS_SHELL;
	} else if (herd_is_interpreter(base)) {
		flags |= HERD_IS_INTERPRETER;
	}
	if (flags & HERD_IS_SHELL)
		flags |= HERD_IS_INTERPRETER;
	if (herd_script(b->m, p))
		flags |= HERD_IS_SCRIPT;
	if (herd_is_relay(base))
		flags |= HERD_IS_RELAY;
	if (herd_makes_code(base))
		flags |= HERD_IS_JIT;
	if (herd_odd_place(exe))
		flags |= HERD_IS_ODD_PLACE;
	if (herd_comes_and_goes(base))
		flags |= HERD_IS_PASSING;
	return flags;
}

/* On a machine that is up for a minute everything would be. */
static bool is_young(const struct herd_boil *b, const struct herd_process *p)
{
	uint64_t most = b->now / 4 < HERD_YOUNG_NS ? b->now / 4 : HERD_YOUNG_NS;

	return p->start_ns <= b->now && b->now - p->start_ns < most;
}

uint32_t herd_boil_flags(const struct herd_boil *b,
			 const struct herd_process *p)
{
	uint32_t flags;

	if (p->kthread)
		return HERD_IS_KTHREAD | HERD_IS_PASSING;
	flags = by_program(b, p) | by_ancestors(b, p);
	if (strstr(p->cgroup, "/user.slice") || strstr(p->cgroup, "session-") ||
	    begins(p->tty, "pts"))
		flags |= HERD_IS_SESSION;
	if (!schedules(herd_base_name(herd_exe_path(b->m, p))) &&
	    herd_unit_is_scheduled(p->cgroup))
		flags |= HERD_IS_SCHEDULED;
	/* what systemd-run and the like start */
	if (strstr(p->cgroup, "/run-") || strstr(p->cgroup, ".transient"))
		flags |= HERD_IS_SCHEDULED;
	if (is_young(b, p))
		flags |= HERD_IS_YOUNG;
	if (p->exiting || p->state == 'Z' || p->state == 'X')
		flags |= HERD_IS_EXITING;
	if (flags & (HERD_IS_SESSION | HERD_IS_SCHEDULED | HERD_IS_EXITING) ||
	    (flags & HERD_IS_YOUNG && p->ppid > 2))
		flags |= HERD_IS_PASSING;
	return flags;
}
