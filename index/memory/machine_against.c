/* SPDX-License-Identifier: Apache-2.0 */
/* What of a process is held against the herd's processes of the same key. */
#include "index/memory/machine_judge_internal.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static void arguments(struct herd_boil *b, const struct herd_process *p)
{
	struct herd_buf value CLEANUP_BUF = HERD_BUF_INIT;

	if (p->args_unreadable || !p->n_argv || herd_has_title(p))
		return;
	herd_boil_argv(b, p, &value);
	herd_buf_u8(&value, 0);
	if (value.failed)
		b->err = -ENOMEM;
	else
		herd_boil_add(b, HERD_MARK_ARGV, (char *)value.data, NULL,
			      false);
}

/*
 * Numbers from 100 on are given out in the order in which packages and users
 * come, so they are not compared.
 */
static void credentials(struct herd_boil *b, const struct herd_process *p)
{
	char value[128], who[32];

	if (!p->euid || !p->uid || !p->suid)
		snprintf(who, sizeof(who), "root%s",
			 p->euid ? " (saved)" :
			 p->uid	 ? " (set-uid)" :
				   "");
	else if (p->euid < 100)
		snprintf(who, sizeof(who), "uid %u", p->euid);
	else
		snprintf(who, sizeof(who), "another user");
	snprintf(value, sizeof(value), "%s, capabilities %" PRIx64 "%s", who,
		 p->cap_effective,
		 p->no_new_privs ? ", no new privileges" : "");
	herd_boil_add(b, HERD_MARK_CREDS, value, NULL, false);
}

static void parent(struct herd_boil *b, const struct herd_process *p)
{
	const struct herd_process *q = herd_boil_parent(b, p);
	struct herd_buf value CLEANUP_BUF = HERD_BUF_INIT;
	const char *exe = q ? herd_exe_path(b->m, q) : "";

	if (!q)
		return;
	if (q->kthread)
		herd_buf_printf(&value, "the kernel");
	else
		herd_norm_text(&value, exe, strlen(exe), b->m->hostname);
	herd_buf_u8(&value, 0);
	if (value.failed)
		b->err = -ENOMEM;
	else
		herd_boil_add(b, HERD_MARK_PARENT, (char *)value.data, NULL,
			      false);
}

static void namespaces(struct herd_boil *b, const struct herd_process *p)
{
	static const char *const names[HERD_NS_MAX] = { "mnt",	  "uts", "ipc",
							"pid",	  "net", "user",
							"cgroup", "time" };
	char value[64] = "";
	size_t at = 0;

	if (!b->init || p == b->init)
		return;
	for (unsigned i = 0; i < HERD_NS_MAX; i++)
		if (p->ns[i] && b->init->ns[i] && p->ns[i] != b->init->ns[i])
			at += (size_t)snprintf(value + at, sizeof(value) - at,
					       "%s%s", at ? " " : "", names[i]);
	herd_boil_add(b, HERD_MARK_NAMESPACE, at ? value : "none of its own",
		      NULL, false);
}

/* Each file that it may execute, once. */
static void libraries(struct herd_boil *b, const struct herd_process *p)
{
	uint32_t last = HERD_NO_INDEX;

	for (size_t i = 0; i < p->n_vmas; i++) {
		const struct herd_vma *v = &p->vmas[i];
		const struct herd_mfile *f =
			v->file < b->m->n_files ? &b->m->files[v->file] : NULL;
		struct herd_buf value CLEANUP_BUF = HERD_BUF_INIT;

		if (!f || !(v->flags & HERD_VM_EXEC) || v->file == last ||
		    v->file == p->exe || f->deleted ||
		    herd_is_shared_memory(f) ||
		    (f->kind != HERD_MFILE_PLAIN && f->kind != HERD_MFILE_SHM))
			continue;
		last = v->file;
		herd_norm_library(&value, f->path);
		herd_buf_u8(&value, 0);
		if (value.failed)
			b->err = -ENOMEM;
		else
			herd_boil_add(b, HERD_MARK_LIBRARIES,
				      (char *)value.data, f->path, false);
	}
}

/* Variables that change what a program loads, or hide what somebody does. */
static void environment(struct herd_boil *b, const struct herd_process *p)
{
	static const char *const words[] = { "HISTFILE=",
					     "PYTHONPATH=",
					     "PYTHONSTARTUP=",
					     "PYTHONINSPECT=",
					     "PERL5LIB=",
					     "PERL5OPT=",
					     "RUBYOPT=",
					     "RUBYLIB=",
					     "NODE_OPTIONS=",
					     "NODE_PATH=",
					     "BASH_ENV=",
					     "ENV=",
					     "PROMPT_COMMAND=",
					     "GCONV_PATH=",
					     "JAVA_TOOL_OPTIONS=",
					     "http_proxy=",
					     "https_proxy=",
					     "HTTP_PROXY=",
					     "HTTPS_PROXY=",
					     "ALL_PROXY=",
					     "SSLKEYLOGFILE=",
					     "OPENSSL_CONF=",
					     "GIT_SSH_COMMAND=",
					     "DYLD_INSERT_LIBRARIES=",
					     NULL };

	for (size_t at = 0; at < p->n_environ;) {
		const char *e = p->environ + at;
		size_t n = strnlen(e, p->n_environ - at);

		for (size_t i = 0; words[i]; i++) {
			struct herd_buf value CLEANUP_BUF = HERD_BUF_INIT;

			if (n < strlen(words[i]) ||
			    memcmp(e, words[i], strlen(words[i])))
				continue;
			herd_norm_text(&value, e, n < 256 ? n : 256,
				       b->m->hostname);
			herd_buf_u8(&value, 0);
			if (!value.failed)
				herd_boil_add(b, HERD_MARK_ENVIRON,
					      (char *)value.data, NULL, false);
		}
		at += n + 1;
	}
}

void herd_boil_against(struct herd_boil *b, const struct herd_process *p,
		       uint32_t flags)
{
	if (flags & (HERD_IS_KTHREAD | HERD_IS_EXITING))
		return;
	arguments(b, p);
	credentials(b, p);
	parent(b, p);
	namespaces(b, p);
	libraries(b, p);
	environment(b, p);
}
