/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Extended attributes: what herdfs knows about a path, as user.herdfs.NAME
 * (system.herdfs.NAME on links), and the path's own ones below
 * user.herdfs.xattr. None is ever shown under the name that it had: a
 * capability or an access list would act on the machine of the reader.
 *
 * Linux limits a name to 255 bytes and a list to 64 KiB. A name that does not
 * fit is cut and ends in "~" and its number; the whole one is the value of
 * user.herdfs.xattrname.NUMBER. So it is of a value over 64 KiB (streams of
 * NTFS are), which is given as user.herdfs.xattrpart.NUMBER.0, .1 and so on,
 * the pieces in order. How many did not fit into the list is the
 * value of user.herdfs.unlisted.
 *
 * Threads: any.
 */
#include "fs/tree_facts.h"

#include <stdio.h>
#include <string.h>

#define NAME_MAX_LINUX 255
#define LIST_MAX 65536

/* ---- the path's own ---- */

/* Its name as shown, without the prefix. True: it had to be cut. */
static bool own_name(const struct herd_subject *s, size_t i, const char *name,
		     size_t len, char out[NAME_MAX_LINUX + 1])
{
	const size_t room = NAME_MAX_LINUX - strlen(herd_subject_prefix(s));
	const bool cut = memchr(name, 0, len) || len + strlen("xattr.") > room;
	char tail[24] = "";
	size_t keep = strnlen(name, len);

	if (cut)
		snprintf(tail, sizeof(tail), "~%zu", i);
	if (keep > room - strlen("xattr.") - strlen(tail))
		keep = room - strlen("xattr.") - strlen(tail);
	snprintf(out, NAME_MAX_LINUX + 1, "xattr.%.*s%s", (int)keep, name,
		 tail);
	return cut;
}

/* A value that no call could give: its pieces, and the name. */
static int each_part(size_t i, const char *name, size_t name_len,
		     const uint8_t *value, size_t len,
		     int (*fn)(void *arg, const char *name, const void *value,
			       size_t len), void *arg)
{
	char shown[64];
	int r = 0;

	for (size_t at = 0; !r && at < len; at += HERD_XATTR_VALUE_MAX) {
		snprintf(shown, sizeof(shown), "xattrpart.%zu.%zu", i,
			 at / HERD_XATTR_VALUE_MAX);
		r = fn(arg, shown, value + at,
		       len - at < HERD_XATTR_VALUE_MAX ? len - at : HERD_XATTR_VALUE_MAX);
	}
	snprintf(shown, sizeof(shown), "xattrname.%zu", i);
	return r ? r : fn(arg, shown, name, name_len);
}

/*
 * fn for each attribute of the path's own: first under its shown name, then,
 * when that was cut, the whole name. Non-zero ends it.
 */
static int each_own(const struct herd_subject *s,
		    int (*fn)(void *arg, const char *name, const void *value,
			      size_t len), void *arg)
{
	const char *name;
	const void *value;
	size_t name_len, len;
	int r = 0;

	if (!herd_node_is_path(s->node) || !herd_subject_has_record(s))
		return 0;
	for (size_t i = 0; !r && herd_entry_xattr(&s->at.entry, i, &name,
						  &name_len, &value, &len);
	     i++) {
		char shown[NAME_MAX_LINUX + 1];
		bool cut;

		if (len > HERD_XATTR_VALUE_MAX) {
			r = each_part(i, name, name_len, value, len, fn, arg);
			continue;
		}
		cut = own_name(s, i, name, name_len, shown);
		r = fn(arg, shown, value, len);
		if (!r && cut) {
			snprintf(shown, sizeof(shown), "xattrname.%zu", i);
			r = fn(arg, shown, name, name_len);
		}
	}
	return r;
}

/* ---- lists ---- */

struct list {
	const struct herd_subject *subject;
	struct herd_buf out;
	size_t left_out;
};

static int add_name(void *arg, const char *name, const void *value, size_t len)
{
	struct list *l = arg;
	const char *prefix = herd_subject_prefix(l->subject);

	(void)value;
	(void)len;
	/* room for "unlisted" stays, in case */
	if (l->out.len + strlen(prefix) + strlen(name) + 1 > LIST_MAX - 64) {
		l->left_out++;
		return 0;
	}
	herd_buf_put(&l->out, prefix, strlen(prefix));
	herd_buf_put(&l->out, name, strlen(name) + 1);
	return 0;
}

static void list_all(struct herd_subject *s, struct list *l)
{
	size_t n;
	const struct herd_attribute *k = herd_attributes_about(s->node, &n);

	for (size_t i = 0; i < n; i++) {
		struct herd_buf value CLEANUP_BUF = HERD_BUF_INIT;

		if (!k[i].get(s, &value))
			add_name(l, k[i].name, NULL, 0);
	}
	each_own(s, add_name, l);
	if (l->left_out) {
		herd_buf_put(&l->out, herd_subject_prefix(s), strlen(herd_subject_prefix(s)));
		herd_buf_put(&l->out, "unlisted", sizeof("unlisted"));
	}
}

static int get_unlisted(struct herd_subject *s, struct herd_buf *out)
{
	struct list l = { .subject = s, .out = HERD_BUF_INIT };

	list_all(s, &l);
	herd_buf_deinit(&l.out);
	if (!l.left_out)
		return -ENODATA;
	herd_buf_printf(out, "%zu", l.left_out);
	return 0;
}

/* ---- the two calls ---- */

static int subject_init(struct herd_subject *s, struct herd_lease *l, uint64_t node)
{
	*s = (struct herd_subject){ .tree = l->tree, .node = node, .txn = l->txn };
	s->at.tree = l->tree;
	if (herd_node_is_path(node))
		return herd_at_init(&s->at, l->tree, l->txn, node);
	if (herd_node_is_memory(node))
		return herd_memory_at_init(&s->memory, l->tree, l->txn, node);
	return herd_top_exists(l->tree, node) ? 0 : -ENOENT;
}

static void subject_deinit(struct herd_subject *s)
{
	herd_at_deinit(&s->at);
	herd_memory_at_deinit(&s->memory);
}
#define CLEANUP_SUBJECT CLEANUP(subject_deinit)

struct wanted {
	const char *name;
	struct herd_buf *out;
};

static int take_value(void *arg, const char *name, const void *value,
		      size_t len)
{
	struct wanted *w = arg;

	if (strcmp(name, w->name) != 0)
		return 0;
	herd_buf_put(w->out, value, len);
	return 1;
}

static int get_value(struct herd_subject *s, const char *name, struct herd_buf *out)
{
	struct wanted w = { name, out };
	size_t n;
	const struct herd_attribute *k = herd_attributes_about(s->node, &n);

	for (size_t i = 0; i < n; i++)
		if (strcmp(k[i].name, name) == 0)
			return k[i].get(s, out);
	if (strcmp(name, "unlisted") == 0)
		return get_unlisted(s, out);
	if (strncmp(name, "xattr", 5) != 0)
		return -ENODATA;
	return each_own(s, take_value, &w) == 1 ? 0 : -ENODATA;
}

static ssize_t give(const struct herd_buf *out, void *buf, size_t size)
{
	if (out->failed)
		return -ENOMEM;
	if (out->len > HERD_XATTR_VALUE_MAX)
		return -E2BIG;
	if (!size)
		return (ssize_t)out->len;
	if (out->len > size)
		return -ERANGE;
	if (out->len)
		memcpy(buf, out->data, out->len);
	return (ssize_t)out->len;
}

ssize_t herd_tree_getxattr(struct herd_tree *t, uint64_t node, const char *name,
			   void *buf, size_t size)
{
	const bool user = strncmp(name, HERD_XATTR_USER, strlen(HERD_XATTR_USER)) == 0;

	/* the usual questions of ls and others, answered at once */
	if (!user && strncmp(name, HERD_XATTR_SYSTEM, strlen(HERD_XATTR_SYSTEM)) != 0)
		return -ENODATA;

	struct herd_buf out CLEANUP_BUF = HERD_BUF_INIT;
	LEASE(l, t);
	CLEANUP_SUBJECT struct herd_subject s;
	int err = subject_init(&s, &l, node);

	if (err)
		return err;
	if (herd_subject_is_link(&s) == user)
		return -ENODATA;
	err = get_value(&s, name + strlen(herd_subject_prefix(&s)), &out);
	return err ? err : give(&out, buf, size);
}

ssize_t herd_tree_listxattr(struct herd_tree *t, uint64_t node, char *buf,
			    size_t size)
{
	LEASE(l, t);
	CLEANUP_SUBJECT struct herd_subject s;
	struct list list = { .subject = &s, .out = HERD_BUF_INIT };
	ssize_t r = subject_init(&s, &l, node);

	if (!r) {
		list_all(&s, &list);
		r = give(&list.out, buf, size);
	}
	herd_buf_deinit(&list.out);
	return r;
}
