/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a symbolic link is shown as; see fs/tree_link.h for why it is safe.
 *
 * Threads: pure functions, but for the callbacks.
 */
#include "fs/tree_link.h"

#include <string.h>

#define LINKS_MAX 40		/* as the kernel follows */
#define STEPS_MAX 4096		/* names looked at for one link */
#define WALK_MAX (256u << 10)	/* bytes of names that links put in the way */

/* One name of a path. */
struct part {
	const char *name;
	size_t len;
};

/* The next one, over any number of '/'; false at the end. */
static bool next_part(const char **p, const char *end, struct part *ret)
{
	const char *start;

	while (*p < end && **p == '/')
		(*p)++;
	start = *p;
	while (*p < end && **p != '/')
		(*p)++;
	*ret = (struct part){ start, (size_t)(*p - start) };
	return ret->len > 0;
}

static bool is_dot(const struct part *c)
{
	return c->len == 1 && c->name[0] == '.';
}

static bool is_dotdot(const struct part *c)
{
	return c->len == 2 && c->name[0] == '.' && c->name[1] == '.';
}

/* "../" `up` times, then rest; "." when that is nothing. */
static void put_shown(struct herd_buf *out, unsigned up, const char *rest,
		      size_t len)
{
	for (unsigned i = 0; i < up; i++)
		herd_buf_put(out, "../", i + 1 == up && !len ? 2 : 3);
	if (len)
		herd_buf_put(out, rest, len);
	else if (!up)
		herd_buf_put(out, ".", 1);
}

/* ---- as the instance itself would have resolved it ---- */

/* Where the walk is: names from the root, with their numbers. */
struct step {
	size_t start;		/* of the name in names */
	uint32_t id;		/* 0: not there */
};

struct walk {
	const struct herd_link_tree *tree;
	struct herd_buf names;	/* each with a '/' before it */
	struct step *v;
	size_t n, cap;
	unsigned links, steps;
};

static int push(struct walk *w, const struct part *c, uint32_t id)
{
	if (w->n == w->cap) {
		size_t cap = w->cap ? 2 * w->cap : 32;
		struct step *v = reallocarray(w->v, cap, sizeof(*v));

		if (!v)
			return -ENOMEM;
		w->v = v;
		w->cap = cap;
	}
	w->v[w->n++] = (struct step){ w->names.len, id };
	herd_buf_u8(&w->names, '/');
	herd_buf_put(&w->names, c->name, c->len);
	return herd_buf_error(&w->names);
}

static void pop(struct walk *w)
{
	if (w->n)
		w->names.len = w->v[--w->n].start;
}

/*
 * target is put before what is still to be walked. Returns false when that is
 * too much: then the link is taken for a name like others.
 */
static bool follow(struct walk *w, struct herd_buf *todo, const char *target,
		   size_t len, const char *rest, size_t rest_len)
{
	struct herd_buf longer = HERD_BUF_INIT;

	len = strnlen(target, len);
	if (!len || w->links >= LINKS_MAX || len + rest_len > WALK_MAX)
		return false;
	w->links++;
	herd_buf_put(&longer, target, len);
	herd_buf_u8(&longer, '/');
	herd_buf_put(&longer, rest, rest_len);
	if (longer.failed) {
		herd_buf_deinit(&longer);
		return false;
	}
	if (target[0] == '/')
		while (w->n)
			pop(w);
	herd_buf_deinit(todo);
	*todo = longer;
	return true;
}

/* Everything of *todo, which is used up on the way. */
static int walk_all(struct walk *w, struct herd_buf *todo)
{
	size_t at = 0;
	int err = 0;

	while (!err && todo->len) {
		const char *base = (const char *)todo->data;
		const char *p = base + at, *end = base + todo->len;
		const char *target = NULL;
		size_t target_len = 0;
		uint32_t id = 0, dir = w->n ? w->v[w->n - 1].id : 0;
		struct part c;

		if (!next_part(&p, end, &c))
			break;
		at = (size_t)(p - base);
		if (is_dot(&c))
			continue;
		if (is_dotdot(&c)) {
			pop(w);
			continue;
		}
		if (w->steps++ >= STEPS_MAX || (w->n && !dir) ||
		    w->tree->child(w->tree->arg, dir, c.name, c.len, &id,
				   &target, &target_len)) {
			id = 0;
			target = NULL;
		}
		/* the last name may be a link: it is shown as one itself */
		if (target && p < end &&
		    follow(w, todo, target, target_len, p, (size_t)(end - p)))
			at = 0;
		else
			err = push(w, &c, target ? 0 : id);
	}
	return err;
}

static int canonical(const struct herd_link_tree *t, unsigned depth,
		     const char *target, size_t len, struct herd_buf *out)
{
	struct herd_buf todo CLEANUP_BUF = HERD_BUF_INIT;
	struct walk w = { .tree = t };
	int err = 0;

	if (target[0] != '/')
		err = t->folder(t->arg, &todo);
	herd_buf_u8(&todo, '/');
	herd_buf_put(&todo, target, len);
	if (!err)
		err = herd_buf_error(&todo);
	if (!err)
		err = walk_all(&w, &todo);
	if (!err)
		put_shown(out, depth, w.names.len ?
			  (const char *)w.names.data + 1 : "",
			  w.names.len ? w.names.len - 1 : 0);
	herd_buf_deinit(&w.names);
	free(w.v);
	return err ? err : herd_buf_error(out);
}

/* ---- the easy cases ---- */

int herd_link_confine(const struct herd_link_tree *t, unsigned depth,
		      const char *target, size_t len, struct herd_buf *out)
{
	const char *p, *end, *rest;
	unsigned up = 0;
	bool climbs = false, absolute;
	struct part c;

	len = len ? strnlen(target, len) : 0;
	if (!len) {
		put_shown(out, 0, "", 0);
		return herd_buf_error(out);
	}
	p = target;
	end = target + len;
	absolute = target[0] == '/';
	for (rest = p; next_part(&p, end, &c); rest = p) {
		if (is_dotdot(&c))
			up++;
		else if (!is_dot(&c))
			break;
	}
	while (rest < end && *rest == '/')
		rest++;
	for (p = rest; next_part(&p, end, &c);)
		climbs |= is_dotdot(&c);
	if (climbs)
		return canonical(t, depth, target, len, out);
	if (!absolute && up <= depth)
		herd_buf_put(out, target, len);
	else
		put_shown(out, depth, rest, (size_t)(end - rest));
	return herd_buf_error(out);
}
