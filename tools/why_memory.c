/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which processes run a path, and which of its pages are not as they should be,
 * in those instances whose memory is attached. Threads: the main thread.
 */
#include "tools/why.h"

#include "index/json.h"
#include "index/memory_files.h"

#include <inttypes.h>
#include <string.h>

#define USERS_SHOWN 10

struct users {
	const struct why *w;
	struct herd_buf *out;	/* text, or NULL */
	struct herd_json *j;
	const char *instance;
	size_t n;
};

/* Why the file that a process runs is not the one that the disk has. */
static const char *other_than_the_disks(const struct herd_mfile *f)
{
	return f->kind != HERD_MFILE_PLAIN ? "on no disk" :
	       f->deleted ? "deleted" : NULL;
}

static void put_instance(struct users *u)
{
	herd_buf_printf(u->out, "\n  ");
	herd_report_escape(u->out, u->instance, strlen(u->instance));
	herd_buf_printf(u->out, ": ");
}

static int text_user(void *arg, const struct herd_memory_use *use)
{
	struct users *u = arg;
	const char *other = other_than_the_disks(use->file);

	if (!u->n++)
		put_instance(u);
	else if (u->w->all || u->n <= USERS_SHOWN)
		herd_buf_printf(u->out, ", ");
	if (!u->w->all && u->n > USERS_SHOWN)
		return 0;
	herd_buf_printf(u->out, "%d ", use->process->pid);
	herd_report_escape(u->out, use->process->comm,
			   strlen(use->process->comm));
	if (other || !use->is_exe)
		herd_buf_printf(u->out, " (%s%s%s)", use->is_exe ? "" : "mapped",
				other && !use->is_exe ? ", " : "",
				other ? other : "");
	return 0;
}

static int json_user(void *arg, const struct herd_memory_use *use)
{
	struct users *u = arg;
	const char *comm = use->process->comm;

	herd_json_object(u->j, NULL);
	herd_json_string(u->j, "instance", u->instance);
	herd_json_int(u->j, "pid", use->process->pid);
	herd_json_bytes(u->j, "comm", comm, strlen(comm));
	herd_json_string(u->j, "as", use->is_exe ? "program" : "mapped");
	herd_json_bool(u->j, "on_disk", !other_than_the_disks(use->file));
	herd_json_end(u->j);
	u->n++;
	return 0;
}

static int any_user(void *arg, const struct herd_memory_use *use)
{
	struct users *u = arg;

	(void)use;
	u->n++;
	return 1;
}

/* fn for each memory that counts. */
static int each_machine(struct users *u,
			int (*fn)(struct users *u, const struct herd_machine *m))
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
		err = fn(u, m);
		herd_machine_destroy(m);
	}
	return err;
}

static int users_text(struct users *u, const struct herd_machine *m)
{
	int err = herd_memory_users(m, u->w->path, u->w->path_len, text_user, u);

	if (!u->w->all && u->n > USERS_SHOWN)
		herd_buf_printf(u->out, " and %zu more", u->n - USERS_SHOWN);
	return err;
}

static int users_json(struct users *u, const struct herd_machine *m)
{
	return herd_memory_users(m, u->w->path, u->w->path_len, json_user, u);
}

static int users_any(struct users *u, const struct herd_machine *m)
{
	return herd_memory_users(m, u->w->path, u->w->path_len, any_user, u);
}

int herd_why_is_run(const struct why *w, bool *ret)
{
	struct users u = { .w = w };
	int err = each_machine(&u, users_any);

	*ret = err > 0;
	return err < 0 ? err : 0;
}

/* ---- its pages ---- */

static const struct herd_process *process_of(const struct herd_machine *m,
					     const struct herd_page_change *c)
{
	return c->process < m->n_processes ? &m->processes[c->process] : NULL;
}

static void text_page(struct users *u, const struct herd_machine *m,
		      const struct herd_page_change *c)
{
	const struct herd_process *p = process_of(m, c);

	put_instance(u);
	herd_buf_printf(u->out, "page %" PRIu64 " %s in ", c->index,
			c->against == HERD_AGAINST_NOTHING ?
			"could not be compared" : "is changed");
	if (p) {
		herd_buf_printf(u->out, "process %d ", p->pid);
		herd_report_escape(u->out, p->comm, strlen(p->comm));
	} else {
		herd_buf_printf(u->out, "the page cache, for all that run it");
	}
	if (c->against != HERD_AGAINST_NOTHING)
		herd_buf_printf(u->out, ": %s", herd_page_change_name(c->kind));
}

static void json_page(struct users *u, const struct herd_machine *m,
		      const struct herd_page_change *c)
{
	const struct herd_process *p = process_of(m, c);

	herd_json_object(u->j, NULL);
	herd_json_string(u->j, "instance", u->instance);
	herd_json_uint(u->j, "page", c->index);
	if (p)
		herd_json_int(u->j, "pid", p->pid);
	else
		herd_json_null(u->j, "pid");
	if (c->against == HERD_AGAINST_NOTHING)
		herd_json_null(u->j, "change");
	else
		herd_json_string(u->j, "change", herd_page_change_name(c->kind));
	herd_json_end(u->j);
}

static int pages(struct users *u, const struct herd_machine *m)
{
	for (size_t i = 0; i < m->n_page_changes; i++) {
		const struct herd_page_change *c = &m->page_changes[i];

		if (!herd_memory_is_path(m, c->file, u->w->path, u->w->path_len))
			continue;
		u->n++;
		if (u->j)
			json_page(u, m, c);
		else if (u->w->all || u->n <= USERS_SHOWN)
			text_page(u, m, c);
	}
	if (u->out && !u->w->all && u->n > USERS_SHOWN) {
		put_instance(u);
		herd_buf_printf(u->out, "%zu more pages: --all shows them",
				u->n - USERS_SHOWN);
	}
	return herd_buf_error(u->out ? u->out : u->j->out);
}

/* ---- both ---- */

static int section(const struct why *w, const char *title,
		   int (*fn)(struct users *u, const struct herd_machine *m),
		   struct herd_buf *out)
{
	CLEANUP_BUF struct herd_buf text = HERD_BUF_INIT;
	struct users u = { .w = w, .out = &text };
	int err = each_machine(&u, fn);

	if (!err && text.len) {
		herd_buf_printf(out, "\n%s:", title);
		herd_buf_put(out, text.data, text.len);
		herd_buf_u8(out, '\n');
	}
	return err ? err : herd_buf_error(&text);
}

int herd_why_users_text(const struct why *w, struct herd_buf *out)
{
	int err = section(w, "Processes that run it, by memory", users_text,
			  out);

	return err ? err : section(w, "In memory", pages, out);
}

int herd_why_users_json(const struct why *w, struct herd_json *j)
{
	struct users u = { .w = w, .j = j };

	herd_json_array(j, "processes");
	int err = each_machine(&u, users_json);

	herd_json_end(j);
	herd_json_array(j, "memory_pages");
	if (!err)
		err = each_machine(&u, pages);
	herd_json_end(j);
	return err;
}
