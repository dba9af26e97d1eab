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
#include "fs/tree_internal.h"
#include "index/knowledge.h"
#include "index/report.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define USER "user.herdfs."
#define SYSTEM "system.herdfs."
#define NAME_MAX_LINUX 255
#define LIST_MAX 65536
#define VALUE_MAX 65536

/* A node and what was found out about it for this call. */
struct subject {
	struct herd_tree *tree;
	uint64_t node;
	struct herd_txn *txn;
	struct herd_at at;
	bool asked;		/* whether there is a verdict */
	bool judged;
	struct herd_finding finding;
};

static bool is_link(const struct subject *s)
{
	return herd_node_is_path(s->node) && !s->at.broken && !s->at.implied &&
	       S_ISLNK(s->at.entry.mode);
}

static const char *prefix_of(const struct subject *s)
{
	return is_link(s) ? SYSTEM : USER;
}

static bool has_record(const struct subject *s)
{
	return !s->at.broken && !s->at.implied;
}

/* The verdict on the path; NULL where there is none. */
static const struct herd_finding *finding_of(struct subject *s)
{
	const struct herd_tree_member *m;
	struct herd_herd *herd;

	if (s->at.finding)
		return s->at.finding;
	if (s->asked)
		return s->judged ? &s->finding : NULL;
	s->asked = true;
	m = herd_tree_member(s->tree, s->at.shown->record.id);
	if (m->role != HERD_ROLE_MEMBER ||
	    herd_tree_herd(s->txn, s->at.shown->group, &herd))
		return NULL;
	s->judged = !herd_judge_path(s->txn, herd, s->at.shown->record.id,
				     s->at.path, &s->finding, NULL);
	return s->judged ? &s->finding : NULL;
}

/* ---- one function an attribute: 0, or -ENODATA ---- */

static int get_class(struct subject *s, struct herd_buf *out)
{
	const struct herd_finding *f = finding_of(s);

	if (!f)
		return -ENODATA;
	herd_buf_printf(out, "%s", herd_class_name(f->verdict.class));
	return 0;
}

static int get_reason(struct subject *s, struct herd_buf *out)
{
	const struct herd_finding *f = finding_of(s);
	char text[HERD_REASON_TEXT_MAX];

	if (!f || !f->verdict.reasons)
		return -ENODATA;
	herd_buf_printf(out, "%s", herd_reason_text(f->verdict.reasons, text,
						    sizeof(text)));
	return 0;
}

static int get_rank(struct subject *s, struct herd_buf *out)
{
	const struct herd_finding *f = finding_of(s);

	if (!f)
		return -ENODATA;
	herd_buf_printf(out, "%u", f->verdict.rank);
	return 0;
}

/* Of the version that is shown here. */
static int get_prevalence(struct subject *s, struct herd_buf *out)
{
	const struct herd_finding *f = finding_of(s);
	bool herds = herd_node_kind(s->node) == HERD_NODE_HERD &&
		     s->at.finding;

	if (!f)
		return -ENODATA;
	herd_buf_printf(out, "%u/%u", herds ? f->verdict.herd_count :
			f->verdict.count, f->verdict.members);
	return 0;
}

static int get_baseline(struct subject *s, struct herd_buf *out)
{
	const struct herd_finding *f = finding_of(s);
	char text[HERD_REASON_TEXT_MAX];

	if (!f || !f->verdict.has_baseline)
		return -ENODATA;
	herd_buf_printf(out, "%s", f->verdict.baseline_reasons ?
			herd_reason_text(f->verdict.baseline_reasons, text,
					 sizeof(text)) : "equal");
	return 0;
}

/* Where the herd's version stands, from the root of the mount; empty where
   the herd has no such path. */
static int get_herd(struct subject *s, struct herd_buf *out)
{
	const struct herd_finding *f = finding_of(s);

	if (!f || f->verdict.class != HERD_CLASS_DEVIANT)
		return -ENODATA;
	if (f->herd_absent || !f->herd_holder)
		return 0;
	herd_buf_printf(out, "/asg/%s/%s/herd/disk/",
			s->at.shown->group->group.name,
			s->at.shown->record.name);
	return herd_path_full(s->txn, s->at.path, out);
}

/* Of what is shown here, whoever's it is and whatever the verdict. */
static int get_known(struct subject *s, struct herd_buf *out)
{
	const struct herd_knowledge *k = s->tree->options.knowledge;
	const struct herd_known_set *set;

	if (!k || !has_record(s) || !S_ISREG(s->at.entry.mode) ||
	    s->at.entry.digest_kind != HERD_DIGEST_SHA256)
		return -ENODATA;
	set = herd_known_find(&k->known, s->at.entry.digest);
	if (!set)
		return -ENODATA;
	herd_buf_printf(out, "%s (%s)", set->bad ? "bad" : "good", set->name);
	return 0;
}

static int get_suppressed(struct subject *s, struct herd_buf *out)
{
	const struct herd_finding *f = finding_of(s);
	const struct herd_policy_rule *r = f ? f->suppressed_by : NULL;

	if (!r)
		return -ENODATA;
	herd_buf_printf(out, "%s; owner %s; expires %s", r->reason, r->owner,
			r->until);
	return 0;
}

static int get_holder(struct subject *s, struct herd_buf *out)
{
	if (s->at.holder == s->at.shown)
		return -ENODATA;
	herd_buf_printf(out, "%s", s->at.holder->record.name);
	return 0;
}

static void put_hex(struct herd_buf *out, const uint8_t digest[32])
{
	char hex[65];

	herd_buf_printf(out, "%s", herd_hex(digest, 32, hex));
}

static int get_sha256(struct subject *s, struct herd_buf *out)
{
	if (!has_record(s) || s->at.entry.digest_kind != HERD_DIGEST_SHA256)
		return -ENODATA;
	put_hex(out, s->at.entry.digest);
	return 0;
}

/* Where there is no plain SHA-256 of the content. */
static int get_digest(struct subject *s, struct herd_buf *out)
{
	if (!has_record(s))
		return -ENODATA;
	switch (s->at.entry.digest_kind) {
	case HERD_DIGEST_SPARSE:
		herd_buf_printf(out, "sparse-sha256:");
		put_hex(out, s->at.entry.digest);
		return 0;
	case HERD_DIGEST_UNREADABLE:
		herd_buf_printf(out, "unreadable");
		return 0;
	default:
		return -ENODATA;
	}
}

/* Of what is shown as an empty file. */
static int get_type(struct subject *s, struct herd_buf *out)
{
	const struct herd_entry *e = &s->at.entry;

	if (!has_record(s))
		return -ENODATA;
	switch (e->mode & S_IFMT) {
	case S_IFREG:
	case S_IFDIR:
	case S_IFLNK:
		return -ENODATA;
	case S_IFIFO:
		herd_buf_printf(out, "fifo");
		return 0;
	case S_IFSOCK:
		herd_buf_printf(out, "socket");
		return 0;
	case S_IFCHR:
	case S_IFBLK:
		herd_buf_printf(out, "%s %u:%u", S_ISCHR(e->mode) ? "char" :
				"block", e->rdev_major, e->rdev_minor);
		return 0;
	default:
		herd_buf_printf(out, "unknown 0%o", e->mode & S_IFMT);
		return 0;
	}
}

static int get_inode(struct subject *s, struct herd_buf *out)
{
	if (!has_record(s))
		return -ENODATA;
	herd_buf_printf(out, "%" PRIu64, s->at.entry.ino);
	return 0;
}

/* Disk and partition, as .volumes/ names them, and what is on it. */
static int get_volume(struct subject *s, struct herd_buf *out)
{
	const struct herd_stored_volume *v;

	if (!has_record(s))
		return -ENODATA;
	v = &s->at.holder->record.volumes[s->at.entry.volume];
	herd_buf_printf(out, "%u/p%u", v->disk, v->partition);
	if (v->fs && *v->fs)
		herd_buf_printf(out, " %s", v->fs);
	if (v->uuid && *v->uuid)
		herd_buf_printf(out, " UUID=%s", v->uuid);
	return 0;
}

static int get_btime(struct subject *s, struct herd_buf *out)
{
	char text[HERD_REPORT_TIME_MAX];

	if (!has_record(s) || (!s->at.entry.btime.sec &&
			       !s->at.entry.btime.nsec))
		return -ENODATA;
	herd_buf_printf(out, "%s", herd_report_time(&s->at.entry.btime, text));
	return 0;
}

static int get_problem(struct subject *s, struct herd_buf *out)
{
	if (s->at.broken) {
		herd_buf_printf(out, "its record in the index is damaged");
		return 0;
	}
	if (!has_record(s) || !s->at.entry.problem)
		return -ENODATA;
	herd_buf_put(out, s->at.entry.problem, s->at.entry.n_problem);
	return 0;
}

/* The link's target as the instance has it. */
static int get_target(struct subject *s, struct herd_buf *out)
{
	if (!is_link(s))
		return -ENODATA;
	if (s->at.entry.bytes)
		herd_buf_put(out, s->at.entry.bytes, s->at.entry.n_bytes);
	return 0;
}

static int get_unlisted(struct subject *s, struct herd_buf *out);

static const struct known {
	const char *name;
	int (*get)(struct subject *s, struct herd_buf *out);
} of_paths[] = {
	{ "class", get_class },
	{ "reason", get_reason },
	{ "rank", get_rank },
	{ "prevalence", get_prevalence },
	{ "herd", get_herd },
	{ "known", get_known },
	{ "suppressed", get_suppressed },
	{ "holder", get_holder },
	{ "baseline", get_baseline },
	{ "sha256", get_sha256 },
	{ "digest", get_digest },
	{ "type", get_type },
	{ "target", get_target },
	{ "inode", get_inode },
	{ "volume", get_volume },
	{ "btime", get_btime },
	{ "problem", get_problem },
	{ "unlisted", get_unlisted },
};

/* ---- above disk/ ---- */

static int get_store(struct subject *s, struct herd_buf *out)
{
	if (s->node != HERD_NODE_ROOT)
		return -ENODATA;
	herd_buf_printf(out, "%s", herd_store_dir(s->tree->store));
	return 0;
}

static int get_snapshot(struct subject *s, struct herd_buf *out)
{
	if (s->node != HERD_NODE_ROOT)
		return -ENODATA;
	herd_buf_printf(out, "%" PRIu64, herd_txn_id(s->txn));
	return 0;
}

static int put_failure(void *arg, const char *line)
{
	herd_buf_printf(arg, "%s\n", line);
	return ((struct herd_buf *)arg)->len > VALUE_MAX / 2;
}

static int get_failures(struct subject *s, struct herd_buf *out)
{
	if (s->node != HERD_NODE_ROOT)
		return -ENODATA;
	herd_tree_each_failure(s->tree, put_failure, out);
	return out->len ? 0 : -ENODATA;
}

static int get_role(struct subject *s, struct herd_buf *out)
{
	const struct herd_tree_member *m;

	if (herd_node_kind(s->node) != HERD_NODE_INSTANCE ||
	    herd_node_what(s->node) != HERD_INSTANCE_DIR)
		return -ENODATA;
	m = herd_tree_member(s->tree, herd_node_owner(s->node));
	if (!m)
		return -ENODATA;
	herd_buf_printf(out, "%s", m->role == HERD_ROLE_BASELINE ? "baseline" :
								   "member");
	return 0;
}

static const struct known of_top[] = {
	{ "store", get_store },
	{ "snapshot", get_snapshot },
	{ "failures", get_failures },
	{ "role", get_role },
};

/* ---- the path's own ---- */

/* Its name as shown, without the prefix. True: it had to be cut. */
static bool own_name(const struct subject *s, size_t i, const char *name,
		     size_t len, char out[NAME_MAX_LINUX + 1])
{
	const size_t room = NAME_MAX_LINUX - strlen(prefix_of(s));
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

	for (size_t at = 0; !r && at < len; at += VALUE_MAX) {
		snprintf(shown, sizeof(shown), "xattrpart.%zu.%zu", i,
			 at / VALUE_MAX);
		r = fn(arg, shown, value + at,
		       len - at < VALUE_MAX ? len - at : VALUE_MAX);
	}
	snprintf(shown, sizeof(shown), "xattrname.%zu", i);
	return r ? r : fn(arg, shown, name, name_len);
}

/*
 * fn for each attribute of the path's own: first under its shown name, then,
 * when that was cut, the whole name. Non-zero ends it.
 */
static int each_own(const struct subject *s,
		    int (*fn)(void *arg, const char *name, const void *value,
			      size_t len), void *arg)
{
	const char *name;
	const void *value;
	size_t name_len, len;
	int r = 0;

	if (!herd_node_is_path(s->node) || !has_record(s))
		return 0;
	for (size_t i = 0; !r && herd_entry_xattr(&s->at.entry, i, &name,
						  &name_len, &value, &len);
	     i++) {
		char shown[NAME_MAX_LINUX + 1];
		bool cut;

		if (len > VALUE_MAX) {
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
	const struct subject *subject;
	struct herd_buf out;
	size_t left_out;
};

static int add_name(void *arg, const char *name, const void *value, size_t len)
{
	struct list *l = arg;
	const char *prefix = prefix_of(l->subject);

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

static const struct known *known_of(const struct subject *s, size_t *ret_n)
{
	*ret_n = herd_node_is_path(s->node) ? ARRAY_SIZE(of_paths) :
					      ARRAY_SIZE(of_top);
	return herd_node_is_path(s->node) ? of_paths : of_top;
}

static void list_all(struct subject *s, struct list *l)
{
	size_t n;
	const struct known *k = known_of(s, &n);

	for (size_t i = 0; i < n; i++) {
		struct herd_buf value CLEANUP_BUF = HERD_BUF_INIT;

		if (k[i].get != get_unlisted && !k[i].get(s, &value))
			add_name(l, k[i].name, NULL, 0);
	}
	each_own(s, add_name, l);
	if (l->left_out) {
		herd_buf_put(&l->out, prefix_of(s), strlen(prefix_of(s)));
		herd_buf_put(&l->out, "unlisted", sizeof("unlisted"));
	}
}

static int get_unlisted(struct subject *s, struct herd_buf *out)
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

static int subject_init(struct subject *s, struct herd_lease *l, uint64_t node)
{
	*s = (struct subject){ .tree = l->tree, .node = node, .txn = l->txn };
	s->at.tree = l->tree;
	if (herd_node_is_path(node))
		return herd_at_init(&s->at, l->tree, l->txn, node);
	return herd_top_exists(l->tree, node) ? 0 : -ENOENT;
}

static void subject_deinit(struct subject *s)
{
	herd_at_deinit(&s->at);
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

static int get_value(struct subject *s, const char *name, struct herd_buf *out)
{
	struct wanted w = { name, out };
	size_t n;
	const struct known *k = known_of(s, &n);

	for (size_t i = 0; i < n; i++)
		if (strcmp(k[i].name, name) == 0)
			return k[i].get(s, out);
	if (strncmp(name, "xattr", 5) != 0)
		return -ENODATA;
	return each_own(s, take_value, &w) == 1 ? 0 : -ENODATA;
}

static ssize_t give(const struct herd_buf *out, void *buf, size_t size)
{
	if (out->failed)
		return -ENOMEM;
	if (out->len > VALUE_MAX)
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
	const bool user = strncmp(name, USER, strlen(USER)) == 0;

	/* the usual questions of ls and others, answered at once */
	if (!user && strncmp(name, SYSTEM, strlen(SYSTEM)) != 0)
		return -ENODATA;

	struct herd_buf out CLEANUP_BUF = HERD_BUF_INIT;
	LEASE(l, t);
	CLEANUP_SUBJECT struct subject s;
	int err = subject_init(&s, &l, node);

	if (err)
		return err;
	if (is_link(&s) == user)
		return -ENODATA;
	err = get_value(&s, name + strlen(prefix_of(&s)), &out);
	return err ? err : give(&out, buf, size);
}

ssize_t herd_tree_listxattr(struct herd_tree *t, uint64_t node, char *buf,
			    size_t size)
{
	LEASE(l, t);
	CLEANUP_SUBJECT struct subject s;
	struct list list = { .subject = &s, .out = HERD_BUF_INIT };
	ssize_t r = subject_init(&s, &l, node);

	if (!r) {
		list_all(&s, &list);
		r = give(&list.out, buf, size);
	}
	herd_buf_deinit(&list.out);
	return r;
}
