/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Upgraded packages. The work grows with them, not with what is installed:
 * only packages whose lists differ from the reference's are looked at, and of
 * their files only those that the instance has a record of its own for.
 *
 * Threads: as index/examine.h says.
 */
#include "index/examine_internal.h"

#include "acquire/base/cleanup.h"
#include "acquire/base/sha256.h"
#include "index/content.h"
#include "index/dpkg.h"
#include "index/idmap.h"

#include <stdio.h>
#include <string.h>

#define LIST_MAX (8u << 20)
/* A larger file is not vouched for. */
#define MD5_MAX (64u << 20)
/* Of that many packages, two lists each; an upgrade of all of a system has
   fewer, and each costs a look through all of the status file. */
#define LISTS_MAX 8192
#define TRACES_MAX 65536

/* The texts of one side. */
struct texts {
	char *status, *list, *sums;
	size_t n_status, n_list, n_sums;
};

struct packages {
	struct herd_examiner *x;
	struct herd_txn *t;
	const struct herd_instance *inst;
	struct texts own, ref;
	struct herd_buf note;
	size_t upgraded;
	struct herd_idmap read;	/* paths whose content was read for its MD5 */
	struct herd_idmap named;	/* absent ones that a new list has */
};

static int meet(struct herd_met *m, size_t max, uint32_t id)
{
	if (m->n == max)
		return 0;
	if (m->n == m->cap) {
		size_t cap = m->cap ? m->cap * 2 : 64;
		uint32_t *v = reallocarray(m->v, cap, sizeof(*v));

		if (!v)
			return -ENOMEM;
		m->v = v;
		m->cap = cap;
	}
	m->v[m->n++] = id;
	return 0;
}

int herd_examine_meet(struct herd_examiner *x, uint32_t id, const char *path,
		      size_t len)
{
	struct herd_dpkg_text package;

	if (herd_dpkg_info_of(path, len, &package) == HERD_DPKG_FILES)
		return meet(&x->lists, LISTS_MAX, id);
	return herd_dpkg_traces(path, len) ?
		       meet(&x->traces, TRACES_MAX, id) : 0;
}

void herd_examine_begin(struct herd_examiner *x)
{
	x->lists.n = x->traces.n = 0;
}

/* ---- marking ---- */

static int mark(struct packages *p, uint32_t path)
{
	struct herd_look look = { 0 };
	int err = herd_look_get(p->t, p->inst->id, path, &look);

	if (err && err != -ENOENT)
		return err;
	/* what it borrows goes with the write */
	uint8_t sketch[HERD_SKETCH_MAX];

	if (look.n_sketch)
		look.sketch = memcpy(sketch, look.sketch, look.n_sketch);
	look.note = NULL;
	look.n_note = 0;
	look.packaged = true;
	return herd_look_put(p->t, p->inst->id, path, &look);
}

/*
 * What nobody vouches for by its content: only where nobody runs it, and for
 * logs only if they are there.
 */
static int mark_data(struct packages *p, uint32_t id, bool links)
{
	CLEANUP_BUF struct herd_buf path = HERD_BUF_INIT;
	struct herd_look look = { 0 };
	struct herd_entry e;
	int err = herd_path_full(p->t, id, &path);

	if (!err)
		err = herd_entry_get_own(p->t, p->inst->id, id, &e);
	if (err)
		return err == -ENOENT ? 0 : err;
	if (e.absent)
		return herd_place_is_log((char *)path.data, path.len) ?
			       0 : mark(p, id);
	if (S_ISREG(e.mode)) {
		err = herd_look_get(p->t, p->inst->id, id, &look);
		if (err && err != -ENOENT)
			return err;
		if (!look.sort || (e.mode & 07111) ||
		    (look.sort != HERD_SORT_NOTHING &&
		     (herd_sort_is_code((enum herd_sort)(look.sort - 1)) ||
		      herd_sort_is_secret((enum herd_sort)(look.sort - 1)))))
			return 0;
	}
	return S_ISREG(e.mode) || S_ISDIR(e.mode) ||
	       (S_ISLNK(e.mode) && links) ? mark(p, id) : 0;
}

/* The instance's own record at a path as a package names it. -ENOENT. */
static int own_record(struct packages *p, struct herd_dpkg_text path,
		      uint32_t *ret_id, struct herd_entry *ret)
{
	static const char *const merged[] = { "bin/", "sbin/", "lib" };
	int err = herd_path_resolve(p->t, path.p, path.len, ret_id);

	if (!err)
		err = herd_entry_get_own(p->t, p->inst->id, *ret_id, ret);
	if (err != -ENOENT)
		return err;
	for (size_t i = 0; i < ARRAY_SIZE(merged); i++) {
		size_t n = strlen(merged[i]);

		if (path.len <= n || memcmp(path.p, merged[i], n) != 0)
			continue;
		err = herd_path_resolve(p->t, "usr", 3, ret_id);
		CLEANUP_BUF struct herd_buf full = HERD_BUF_INIT;

		herd_buf_put(&full, "usr/", 4);
		herd_buf_put(&full, path.p, path.len);
		if (!err)
			err = herd_buf_error(&full);
		if (!err)
			err = herd_path_resolve(p->t, (char *)full.data,
						full.len, ret_id);
		return err ? err : herd_entry_get_own(p->t, p->inst->id,
						      *ret_id, ret);
	}
	return -ENOENT;
}

static bool has_md5(struct packages *p, const struct herd_entry *e,
		    const uint8_t md5[HERD_MD5_LEN])
{
	struct herd_scan *s = p->x->scan;
	uint8_t sum[HERD_MD5_LEN];

	if (!herd_has_content(e) || e->size > MD5_MAX ||
	    e->volume >= s->n_volumes)
		return false;
	struct herd_side side = { .entry = e,
				  .source = s->volumes[e->volume].source,
				  .volume = s->volumes[e->volume].volume };

	return !herd_examine_read(p->x, &side, (size_t)e->size) &&
	       herd_md5(p->x->bytes.data, (size_t)e->size, sum) &&
	       memcmp(sum, md5, sizeof(sum)) == 0;
}

/* A list that names settings, homes or what runs at set times was not made by
   a builder of packages: dpkg leaves settings out of the sums. */
static bool is_packages_place(struct herd_dpkg_text path)
{
	static const char *const others[] = {
		"etc/", "root/", "home/", "run/", "tmp/", "var/tmp/",
		"var/spool/", "dev/",
	};

	for (size_t i = 0; i < ARRAY_SIZE(others); i++) {
		size_t n = strlen(others[i]);

		if (path.len > n && memcmp(path.p, others[i], n) == 0)
			return false;
	}
	return true;
}

/* Regular files: the content is what the package's list says. Each is read
   once, however often it is named. */
static int mark_sums(struct packages *p)
{
	struct herd_dpkg_text rest = { p->own.sums, p->own.n_sums }, path;
	uint8_t md5[HERD_MD5_LEN];
	int err = 0;

	while (!err && herd_dpkg_next(&rest, md5, &path)) {
		struct herd_entry e;
		uint32_t id;

		if (!is_packages_place(path))
			continue;
		err = own_record(p, path, &id, &e);
		if (!err && !herd_idmap_get(&p->read, id)) {
			err = herd_idmap_put(&p->read, id, 1);
			if (!err && has_md5(p, &e, md5))
				err = mark(p, id);
		}
		if (err == -ENOENT)
			err = 0;
	}
	return err;
}

/* Links and folders that the new list has. */
static int mark_list(struct packages *p)
{
	struct herd_dpkg_text rest = { p->own.list, p->own.n_list }, path;
	int err = 0;

	while (!err && herd_dpkg_next(&rest, NULL, &path)) {
		struct herd_entry e;
		uint32_t id;

		err = own_record(p, path, &id, &e);
		if (!err && e.absent)
			err = herd_idmap_put(&p->named, id, 1);
		else if (!err && (S_ISDIR(e.mode) ||
				  (S_ISLNK(e.mode) && is_packages_place(path))))
			err = mark(p, id);
		if (err == -ENOENT)
			err = 0;
	}
	return err;
}

/* What only the old list had. What the new one has and is not there, somebody
   took away. */
static int mark_old(struct packages *p)
{
	struct herd_dpkg_text rest = { p->ref.list, p->ref.n_list }, path;
	int err = 0;

	while (!err && herd_dpkg_next(&rest, NULL, &path)) {
		struct herd_entry e;
		uint32_t id;

		err = own_record(p, path, &id, &e);
		if (!err && e.absent && !herd_idmap_get(&p->named, id))
			err = mark(p, id);
		if (err == -ENOENT)
			err = 0;
	}
	return err;
}

/* dpkg's own files about the package, but no script. */
static int mark_info(struct packages *p, struct herd_dpkg_text package)
{
	static const char *const endings[] = {
		"list", "md5sums", "shlibs", "symbols", "triggers",
		"conffiles", "templates",
	};
	char path[512];
	int err = 0;

	for (size_t i = 0; i < ARRAY_SIZE(endings) && !err; i++) {
		struct herd_entry e;
		uint32_t id;
		int n = snprintf(path, sizeof(path), "%s%.*s.%s",
				 HERD_DPKG_INFO, (int)package.len, package.p,
				 endings[i]);

		if (n < 0 || (size_t)n >= sizeof(path))
			continue;
		err = own_record(p, (struct herd_dpkg_text){ path, (size_t)n },
				 &id, &e);
		if (!err)
			err = mark_data(p, id, false);
		if (err == -ENOENT)
			err = 0;
	}
	return err;
}

/* ---- one package ---- */

static int read_text(herd_identity_read_fn *read, void *arg, const char *path,
		     char **ret, size_t *ret_len)
{
	int err = read(arg, path, LIST_MAX, ret, ret_len);

	return err == -ENOMEM ? err : 0;
}

static int read_info(herd_identity_read_fn *read, void *arg,
		     struct herd_dpkg_text package, struct texts *ret)
{
	char path[512];

	if (package.len > 256)
		return 0;
	free(TAKE_PTR(ret->list));
	free(TAKE_PTR(ret->sums));
	ret->n_list = ret->n_sums = 0;
	snprintf(path, sizeof(path), "/%s%.*s.list", HERD_DPKG_INFO,
		 (int)package.len, package.p);
	int err = read_text(read, arg, path, &ret->list, &ret->n_list);

	snprintf(path, sizeof(path), "/%s%.*s.md5sums", HERD_DPKG_INFO,
		 (int)package.len, package.p);
	return err ? err : read_text(read, arg, path, &ret->sums, &ret->n_sums);
}

static bool version_in(const struct texts *side, struct herd_dpkg_text package,
		       struct herd_dpkg_text *ret)
{
	return side->status &&
	       herd_dpkg_version((struct herd_dpkg_text){ side->status,
							  side->n_status },
				 package, ret);
}

static int take_package(struct packages *p, struct herd_dpkg_text package)
{
	struct herd_dpkg_text now, before;

	if (!version_in(&p->own, package, &now) ||
	    !version_in(&p->ref, package, &before) ||
	    (now.len == before.len && !memcmp(now.p, before.p, now.len)))
		return 0;
	p->upgraded++;
	if (p->note.len < HERD_NOTE_MAX)
		herd_buf_printf(&p->note, "%s%.*s %.*s -> %.*s",
				p->note.len ? ", " : "", (int)package.len,
				package.p, (int)before.len, before.p,
				(int)now.len, now.p);
	int err = read_info(herd_examine_read_own, p->x->scan, package, &p->own);

	if (!err)
		err = read_info(herd_examine_read_reference, p->x, package,
				&p->ref);
	if (!err)
		err = mark_sums(p);
	if (!err)
		err = mark_list(p);
	if (!err)
		err = mark_old(p);
	return err ? err : mark_info(p, package);
}

/* ---- all of them ---- */

static void texts_deinit(struct texts *t)
{
	free(t->status);
	free(t->list);
	free(t->sums);
}

static void packages_deinit(struct packages *p)
{
	texts_deinit(&p->own);
	texts_deinit(&p->ref);
	herd_buf_deinit(&p->note);
	herd_idmap_deinit(&p->read);
	herd_idmap_deinit(&p->named);
}

/* The one path that stays to tell of all of it. */
static int note_status(struct packages *p)
{
	CLEANUP_BUF struct herd_buf text = HERD_BUF_INIT;
	struct herd_look look = { 0 };
	uint32_t path;
	int err = herd_path_resolve(p->t, HERD_DPKG_STATUS,
				    strlen(HERD_DPKG_STATUS), &path);

	if (!err)
		err = herd_look_get(p->t, p->inst->id, path, &look);
	if (err)
		return err == -ENOENT ? 0 : err;
	herd_buf_printf(&text, "%zu package%s of another version: ",
			p->upgraded, p->upgraded == 1 ? "" : "s");
	herd_buf_put(&text, p->note.data, p->note.len);
	if (text.failed)
		return -ENOMEM;
	look.sketch = NULL;
	look.n_sketch = 0;
	look.note = (const char *)text.data;
	look.n_note = text.len < HERD_NOTE_MAX ? text.len : HERD_NOTE_MAX;
	return herd_look_put(p->t, p->inst->id, path, &look);
}

static int each_package(struct packages *p)
{
	int err = 0;

	for (size_t i = 0; i < p->x->lists.n && !err; i++) {
		CLEANUP_BUF struct herd_buf path = HERD_BUF_INIT;
		struct herd_dpkg_text package;
		size_t ending;

		err = herd_path_full(p->t, p->x->lists.v[i], &path);
		if (err ||
		    herd_dpkg_info_of((char *)path.data, path.len, &package) !=
			    HERD_DPKG_FILES)
			continue;
		ending = path.len - (sizeof(HERD_DPKG_INFO) - 1) - package.len;
		/* .list and .md5sums of one package: once is enough */
		if (ending == sizeof(".md5sums") - 1)
			err = take_package(p, package);
	}
	return err;
}

int herd_examine_packages(struct herd_examiner *x, struct herd_txn *t,
			  const struct herd_instance *inst)
{
	CLEANUP(packages_deinit) struct packages p = { .x = x, .t = t,
						       .inst = inst };
	int err = 0;

	if (x->lists.n) {
		err = read_text(herd_examine_read_own, x->scan,
				"/" HERD_DPKG_STATUS, &p.own.status,
				&p.own.n_status);
		if (!err)
			err = read_text(herd_examine_read_reference, x,
					"/" HERD_DPKG_STATUS, &p.ref.status,
					&p.ref.n_status);
		if (!err)
			err = each_package(&p);
	}
	for (size_t i = 0; p.upgraded && i < x->traces.n && !err; i++)
		err = mark_data(&p, x->traces.v[i], true);
	return !err && p.upgraded ? note_status(&p) : err;
}
