/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which processes run a path, in those instances whose memory is attached.
 * Threads: the main thread.
 */
#include "tools/why.h"

#include "index/json.h"

#include <string.h>

#define USERS_SHOWN 10

struct users {
	const struct why *w;
	struct herd_buf *out;	/* text, or NULL */
	struct herd_json *j;
	const char *instance;
	size_t n;
};

static int text_user(void *arg, const struct herd_process *p, bool is_exe)
{
	struct users *u = arg;

	if (!u->n++) {
		herd_buf_printf(u->out, "\n  ");
		herd_report_escape(u->out, u->instance, strlen(u->instance));
		herd_buf_printf(u->out, ": ");
	} else if (u->w->all || u->n <= USERS_SHOWN) {
		herd_buf_printf(u->out, ", ");
	}
	if (!u->w->all && u->n > USERS_SHOWN)
		return 0;
	herd_buf_printf(u->out, "%d ", p->pid);
	herd_report_escape(u->out, p->comm, strlen(p->comm));
	if (!is_exe)
		herd_buf_printf(u->out, " (mapped)");
	return 0;
}

static int json_user(void *arg, const struct herd_process *p, bool is_exe)
{
	struct users *u = arg;

	herd_json_object(u->j, NULL);
	herd_json_string(u->j, "instance", u->instance);
	herd_json_int(u->j, "pid", p->pid);
	herd_json_bytes(u->j, "comm", p->comm, strlen(p->comm));
	herd_json_string(u->j, "as", is_exe ? "program" : "mapped");
	herd_json_end(u->j);
	u->n++;
	return 0;
}

static int each_user(struct users *u,
		     int (*fn)(void *arg, const struct herd_process *p,
			       bool is_exe))
{
	const struct why *w = u->w;
	int err = 0;

	for (size_t i = 0; i < w->names.n && !err; i++) {
		struct herd_machine *m;

		if (w->instance && w->names.v[i].id != w->instance)
			continue;
		err = herd_memory_machine(w->txn, w->names.v[i].id, &m, NULL);
		if (err == -ENOENT) {
			err = 0;
			continue;
		}
		if (err)
			break;
		u->instance = w->names.v[i].name;
		u->n = 0;
		err = herd_memory_users(m, w->path, w->path_len, fn, u);
		herd_machine_destroy(m);
		if (u->out && !w->all && u->n > USERS_SHOWN)
			herd_buf_printf(u->out, " and %zu more",
					u->n - USERS_SHOWN);
	}
	return err;
}

int herd_why_users_text(const struct why *w, struct herd_buf *out)
{
	CLEANUP_BUF struct herd_buf users = HERD_BUF_INIT;
	struct users u = { .w = w, .out = &users };
	int err = each_user(&u, text_user);

	if (!err && users.len) {
		herd_buf_printf(out, "\nProcesses that run it, by memory:");
		herd_buf_put(out, users.data, users.len);
		herd_buf_u8(out, '\n');
	}
	return err;
}

int herd_why_users_json(const struct why *w, struct herd_json *j)
{
	struct users u = { .w = w, .j = j };

	herd_json_array(j, "processes");
	int err = each_user(&u, json_user);

	herd_json_end(j);
	return err;
}
