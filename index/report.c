/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the reports have in common: order, folding, names and how they are
 * written. Threads: as index/report.h says.
 */
#include "index/report.h"

#include "index/json.h"
#include "index/knowledge.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

/* ---- words ---- */

static bool harmless(uint32_t c)
{
	if (c < 0x20 || c == '\\' || (c >= 0x7f && c < 0xa0))
		return false;
	/* line and paragraph separators; what turns the direction of text */
	if (c == 0x2028 || c == 0x2029 || c == 0x061c || c == 0xfeff)
		return false;
	return !(c >= 0x200b && c <= 0x200f) && !(c >= 0x202a && c <= 0x202e) &&
	       !(c >= 0x2060 && c <= 0x2069);
}

void herd_report_escape(struct herd_buf *out, const void *bytes, size_t len)
{
	const uint8_t *p = bytes;

	while (len) {
		uint32_t c = 0;
		size_t n = herd_utf8(p, len, &c);

		if (n && harmless(c)) {
			herd_buf_put(out, p, n);
		} else {
			n = n ? n : 1;
			for (size_t i = 0; i < n; i++)
				herd_buf_printf(out, "\\x%02x", p[i]);
		}
		p += n;
		len -= n;
	}
}

char *herd_report_mode(uint32_t mode, char buf[11])
{
	static const char letters[] = "rwxrwxrwx";

	buf[0] = S_ISREG(mode) ? '-' : S_ISDIR(mode) ? 'd' :
		 S_ISLNK(mode) ? 'l' : S_ISCHR(mode) ? 'c' :
		 S_ISBLK(mode) ? 'b' : S_ISFIFO(mode) ? 'p' :
		 S_ISSOCK(mode) ? 's' : '?';
	for (unsigned i = 0; i < 9; i++)
		buf[i + 1] = mode & (0400u >> i) ? letters[i] : '-';
	if (mode & S_ISUID)
		buf[3] = mode & S_IXUSR ? 's' : 'S';
	if (mode & S_ISGID)
		buf[6] = mode & S_IXGRP ? 's' : 'S';
	if (mode & S_ISVTX)
		buf[9] = mode & S_IXOTH ? 't' : 'T';
	buf[10] = '\0';
	return buf;
}

const char *herd_report_type(uint32_t mode)
{
	switch (mode & S_IFMT) {
	case S_IFREG: return "regular file";
	case S_IFDIR: return "directory";
	case S_IFLNK: return "symbolic link";
	case S_IFCHR: return "character device";
	case S_IFBLK: return "block device";
	case S_IFIFO: return "FIFO";
	case S_IFSOCK: return "socket";
	default: return "unknown type";
	}
}

const char *herd_report_role(enum herd_role role)
{
	return role == HERD_ROLE_BASELINE ? "baseline" : "member";
}

char *herd_report_time(const struct herd_time *t, char buf[HERD_REPORT_TIME_MAX])
{
	char text[HERD_REPORT_TIME_MAX - 16], fraction[16] = "";
	time_t sec = (time_t)t->sec;
	struct tm tm;

	if (t->nsec)
		snprintf(fraction, sizeof(fraction), ".%09u",
			 t->nsec % 1000000000u);
	if (!t->sec && !t->nsec)
		snprintf(buf, HERD_REPORT_TIME_MAX, "-");
	else if (gmtime_r(&sec, &tm) &&
		 strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%S", &tm))
		snprintf(buf, HERD_REPORT_TIME_MAX, "%s%sZ", text, fraction);
	else
		snprintf(buf, HERD_REPORT_TIME_MAX, "@%lld",
			 (long long)t->sec);
	return buf;
}

char *herd_report_known(const struct herd_finding *f,
			char buf[HERD_REPORT_KNOWN_MAX])
{
	buf[0] = '\0';
	if (f->known)
		snprintf(buf, HERD_REPORT_KNOWN_MAX, "known: %s (%s)",
			 f->known->bad ? "bad" : "good", f->known->name);
	return buf;
}

/* ---- names of instances ---- */

void herd_report_names_deinit(struct herd_report_names *n)
{
	for (size_t i = 0; i < n->n; i++)
		free(n->v[i].name);
	free(n->v);
	*n = (struct herd_report_names){ 0 };
}

static int add_name(void *arg, uint32_t id, uint32_t group,
		    enum herd_role role, const char *name)
{
	struct herd_report_names *n = arg;

	(void)group;
	(void)role;
	if (n->n == n->cap) {
		size_t cap = n->cap ? n->cap * 2 : 16;
		struct herd_report_name *v = reallocarray(n->v, cap, sizeof(*v));

		if (!v)
			return -ENOMEM;
		n->v = v;
		n->cap = cap;
	}
	n->v[n->n].id = id;
	n->v[n->n].name = strdup(name);
	return n->v[n->n++].name ? 0 : -ENOMEM;
}

static int compare_names(const void *a, const void *b)
{
	const struct herd_report_name *x = a, *y = b;

	return x->id < y->id ? -1 : x->id > y->id;
}

int herd_report_names_make(struct herd_txn *t, uint32_t group,
			   struct herd_report_names *ret)
{
	struct herd_report_names n = { 0 };
	int err = herd_instance_each_name(t, group, add_name, &n);

	if (err) {
		herd_report_names_deinit(&n);
		return err;
	}
	if (n.n)
		qsort(n.v, n.n, sizeof(*n.v), compare_names);
	*ret = n;
	return 0;
}

const char *herd_report_name_of(const struct herd_report_names *n, uint32_t id)
{
	struct herd_report_name key = { .id = id };
	const struct herd_report_name *found = !n->n ? NULL :
		bsearch(&key, n->v, n->n, sizeof(key), compare_names);

	return found ? found->name : "?";
}

/* ---- lines ---- */

void herd_report_lines_deinit(struct herd_report_lines *l)
{
	free(l->v);
	herd_buf_deinit(&l->names);
	*l = (struct herd_report_lines){ 0 };
}

#define NONE SIZE_MAX

static int compare_path(const void *a, const void *b)
{
	const struct herd_report_line *x = a, *y = b;

	return x->finding->path < y->finding->path ? -1 :
	       x->finding->path > y->finding->path;
}

/* The line that can stand for line i as well: the directory it is in. */
static size_t above(const struct herd_report_lines *l, size_t i)
{
	const struct herd_report_line *line = &l->v[i], *up;
	const struct herd_verdict *v = &line->finding->verdict;
	struct herd_finding finding = { .path = line->parent };
	struct herd_report_line key = { .finding = &finding };

	if (v->reasons != HERD_REASON_ADDED && v->reasons != HERD_REASON_ABSENT)
		return NONE;
	/* a directory has been named before what is in it: no cycles */
	if (line->parent >= line->finding->path)
		return NONE;
	up = bsearch(&key, l->v, l->n, sizeof(key), compare_path);
	if (!up || up->finding->verdict.reasons != v->reasons ||
	    up->finding->verdict.class != v->class ||
	    up->finding->suppressed_by != line->finding->suppressed_by ||
	    up->finding->verdict.rank < v->rank ||
	    (line->score > up->score && line->score >= HERD_REPORT_SERIOUS))
		return NONE;
	return (size_t)(up - l->v);
}

/* Lines are in order of path id here. */
static int fold_lines(struct herd_report_lines *l)
{
	CLEANUP_FREE size_t *up = l->n ? calloc(l->n, sizeof(*up)) : NULL;

	if (l->n && !up)
		return -ENOMEM;
	/* parents come first, so theirs is known already */
	for (size_t i = 0; i < l->n; i++) {
		size_t p = above(l, i);

		up[i] = p == NONE ? i : up[p];
		if (p == NONE)
			continue;
		l->v[i].folded = true;
		l->v[up[i]].below++;
	}
	return 0;
}

static int compare_score(const void *a, const void *b, void *arg)
{
	const struct herd_report_lines *l = arg;
	const struct herd_report_line *x = a, *y = b;
	size_t n = x->name_len < y->name_len ? x->name_len : y->name_len;
	int c = y->score - x->score;

	if (!c)
		c = y->finding->verdict.rank - x->finding->verdict.rank;
	if (!c && n)
		c = memcmp(l->names.data + x->name, l->names.data + y->name, n);
	if (!c)
		c = x->name_len < y->name_len ? -1 : x->name_len > y->name_len;
	return c;
}

static int fill_line(const struct herd_report *r, const struct herd_finding *f,
		     struct herd_report_lines *l)
{
	const struct herd_knowledge *k = herd_herd_knowledge(r->herd);
	struct herd_report_line *line = &l->v[l->n];
	const char *name;
	size_t len;
	int err = herd_path_get(r->txn, f->path, &line->parent, &name, &len);

	line->finding = f;
	line->name = l->names.len;
	if (!err)
		err = herd_path_full(r->txn, f->path, &l->names);
	line->name_len = l->names.len - line->name;
	line->score = f->verdict.rank;
	l->n++;
	if (!err)
		err = herd_buf_error(&l->names);
	if (err || !k || !k->rules)
		return err;
	err = herd_explain(r->txn, r->herd, r->instance->id, f, k->rules,
			   &line->meaning);
	line->explained = !err;
	if (!err)
		line->score = (uint8_t)herd_score(f, &line->meaning);
	return err;
}

int herd_report_lines_make(const struct herd_report *r, bool fold,
			   struct herd_report_lines *ret,
			   struct herd_diag *diag)
{
	CLEANUP(herd_report_lines_deinit) struct herd_report_lines l = { 0 };
	int err = 0;

	if (r->n_findings) {
		l.v = calloc(r->n_findings, sizeof(*l.v));
		if (!l.v)
			return -ENOMEM;
	}
	for (size_t i = 0; i < r->n_findings && !err; i++)
		err = fill_line(r, &r->findings[i], &l);
	if (!err && fold)
		err = fold_lines(&l);
	if (err)
		return herd_diag_set(diag, err, r->instance->name,
				     HERD_NO_OFFSET,
				     "the names of what was found cannot be "
				     "read: %s", strerror(-err));
	if (l.n)
		qsort_r(l.v, l.n, sizeof(*l.v), compare_score, &l);
	*ret = l;
	l = (struct herd_report_lines){ 0 };
	return 0;
}
