/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading a volume in full: all names first, directory by directory, then all
 * inodes in ascending order, which is the order they have on disk.
 */
#include "index/scan.h"

#include "acquire/base/cleanup.h"

#include <dirent.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

/* A name whose inode has not been looked at yet. */
struct pending {
	uint64_t ino;
	uint32_t node;
	unsigned char type;
};

struct walk {
	struct herd_scan *s;
	struct herd_scan_volume *v;
	struct herd_idmap *visited;	/* directories, by inode */
	uint32_t dir;			/* the one being read */
	bool dir_is_premade;
	struct pending *pending;
	size_t n_pending, cap_pending;
	uint32_t *dirs;			/* nodes still to be read; a queue */
	size_t n_dirs, cap_dirs, next_dir;
	size_t bad_names;
	int error;	/* ours, not the directory's */
};

/* ---- names that mounts make ---- */

static bool node_named(const struct herd_scan *s, uint32_t node,
		       const char *name, size_t len)
{
	const struct herd_node *n = &s->nodes[node];

	return n->name_len == len && !memcmp(s->names.data + n->name, name, len);
}

static struct herd_premade *premade_child(struct herd_scan *s, uint32_t parent,
					  const char *name, size_t len)
{
	for (size_t i = 0; i < s->n_premade; i++)
		if (s->nodes[s->premade[i].node].parent == parent &&
		    node_named(s, s->premade[i].node, name, len))
			return &s->premade[i];
	return NULL;
}

static struct herd_premade *premade_of(struct herd_scan *s, uint32_t node)
{
	for (size_t i = 0; i < s->n_premade; i++)
		if (s->premade[i].node == node)
			return &s->premade[i];
	return NULL;
}

static int premade_add(struct herd_scan *s, uint32_t node)
{
	struct herd_premade *bigger = realloc(s->premade, (s->n_premade + 1) *
					      sizeof(*bigger));

	if (!bigger)
		return -ENOMEM;
	s->premade = bigger;
	s->premade[s->n_premade++] = (struct herd_premade){ node, UINT32_MAX };
	return 0;
}

/* Finds or makes the nodes of a path, component by component. */
static int premade_path(struct herd_scan *s, const char *path, uint32_t *ret)
{
	uint32_t at = 0;

	for (const char *p = path; *p;) {
		size_t len = strcspn(p, "/");
		struct herd_premade *child = premade_child(s, at, p, len);

		if (child) {
			at = child->node;
		} else {
			int err = herd_scan_node(s, at, p, len, &at);

			if (!err)
				err = premade_add(s, at);
			if (err)
				return err;
		}
		p += len;
		p += strspn(p, "/");
	}
	*ret = at;
	return 0;
}

int herd_scan_premade(struct herd_scan *s)
{
	uint32_t root = 0;
	int err = herd_scan_anchor(s, HERD_PATH_ROOT, 0, &root);

	if (!err)
		err = premade_add(s, root);
	for (size_t i = 0; i < s->n_volumes && !err; i++) {
		struct herd_scan_volume *v = &s->volumes[i];

		v->shadow = HERD_NO_NODE;
		if (!v->volume)
			continue;
		err = premade_path(s, v->mount, &v->root);
		if (!err)
			premade_of(s, v->root)->volume = v->index;
	}
	return err;
}

/*
 * What the instance could not see because something was mounted over it goes
 * to .volumes/<disk>/p<N>/…: the place where nobody looks is where one hides.
 */
static int shadow_node(struct herd_scan *s, struct herd_scan_volume *v,
		       uint32_t mount_node, uint32_t *ret)
{
	CLEANUP_BUF struct herd_buf path = HERD_BUF_INIT;
	CLEANUP_BUF struct herd_buf within = HERD_BUF_INIT;
	size_t skip = strlen(v->mount);
	int err = herd_scan_node_path(s, mount_node, &within);

	if (err)
		return err;
	skip += skip && within.len > skip;	/* the '/' after the mount */
	herd_buf_printf(&path, ".volumes/%u/p%u/", v->disk, v->part.number);
	herd_buf_put(&path, within.data + skip, within.len - skip);
	herd_buf_u8(&path, 0);
	err = herd_buf_error(&path);
	return err ? err : premade_path(s, (char *)path.data, ret);
}

/* ---- walking ---- */

static int queue_dir(struct walk *w, uint32_t node)
{
	if (w->n_dirs == w->cap_dirs) {
		size_t cap = w->cap_dirs ? w->cap_dirs * 2 : 256;
		uint32_t *dirs = realloc(w->dirs, cap * sizeof(*dirs));

		if (!dirs)
			return -ENOMEM;
		w->dirs = dirs;
		w->cap_dirs = cap;
	}
	w->dirs[w->n_dirs++] = node;
	return 0;
}

static int queue_name(struct walk *w, uint32_t node, uint64_t ino,
		      unsigned char type)
{
	if (w->n_pending == w->cap_pending) {
		size_t cap = w->cap_pending ? w->cap_pending * 2 : 1024;
		struct pending *p = realloc(w->pending, cap * sizeof(*p));

		if (!p)
			return -ENOMEM;
		w->pending = p;
		w->cap_pending = cap;
	}
	w->pending[w->n_pending++] = (struct pending){ ino, node, type };
	return 0;
}

static bool good_name(const char *name, size_t len)
{
	return len && len <= HERD_NAME_MAX && !memchr(name, '/', len) &&
	       !memchr(name, '\0', len) && !(len == 1 && name[0] == '.') &&
	       !(len == 2 && name[0] == '.' && name[1] == '.');
}

static int add_name(struct walk *w, const char *name, size_t len, uint64_t ino,
		    unsigned char type)
{
	struct herd_scan *s = w->s;
	struct herd_premade *made = NULL;
	uint32_t node = 0;
	int err = 0;

	if (!good_name(name, len)) {
		w->bad_names++;
		return 0;
	}
	if (w->dir_is_premade)
		made = premade_child(s, w->dir, name, len);
	if (made && made->volume != UINT32_MAX && made->volume != w->v->index)
		err = shadow_node(s, w->v, made->node, &node);
	else if (made)
		node = made->node;
	else
		err = herd_scan_node(s, w->dir, name, len, &node);
	if (err)
		return err;
	if (s->a->progress) {
		s->a->progress->entries++;
		s->a->progress->beat++;
	}
	return queue_name(w, node, ino, type);
}

static int on_name(void *arg, const char *name, size_t len, uint64_t ino,
		   unsigned char type)
{
	struct walk *w = arg;

	w->error = add_name(w, name, len, ino, type);
	return w->error;
}

static int read_dir(struct walk *w, uint32_t node)
{
	struct herd_scan *s = w->s;
	uint64_t ino = s->nodes[node].rec->ino;
	struct herd_diag diag;
	char text[1024];

	if (herd_idmap_get(w->visited, ino))
		return herd_scan_problem(s, node, NULL,
					 "not entered: directory inode %llu is reached by a second path",
					 (unsigned long long)ino);
	if (s->nodes[node].depth >= HERD_SCAN_DEPTH_MAX)
		return herd_scan_problem(s, node, NULL,
					 "not entered: deeper than %d levels",
					 HERD_SCAN_DEPTH_MAX);
	int err = herd_idmap_put(w->visited, ino, 1);

	if (err)
		return err;
	w->dir = node;
	w->dir_is_premade = premade_of(s, node);
	w->bad_names = 0;
	herd_diag_clear(&diag);
	err = w->v->volume->ops->readdir(w->v->volume, ino, on_name, w, &diag);
	if (w->error || err == -ENOMEM)
		return w->error ? w->error : err;
	if (w->bad_names) {
		int more = herd_scan_problem(s, node, NULL,
					     "%zu names in it are not valid file names",
					     w->bad_names);

		if (more)
			return more;
	}
	if (!err)
		return 0;
	diag.source[0] = '\0';
	return herd_scan_problem(s, node, NULL, "directory not read in full: %s",
				 herd_diag_format(&diag, err, text,
						  sizeof(text)));
}

static int by_inode(const void *a, const void *b)
{
	const struct pending *x = a, *y = b;

	if (x->ino != y->ino)
		return x->ino < y->ino ? -1 : 1;
	return x->node < y->node ? -1 : x->node > y->node;
}

/*
 * Inodes of all names so far, in order of their place on disk. A directory
 * that its name did not declare as one is queued.
 */
static int look_at_pending(struct walk *w)
{
	if (w->n_pending)
		qsort(w->pending, w->n_pending, sizeof(*w->pending),
		      by_inode);
	for (size_t i = 0; i < w->n_pending; i++) {
		const struct pending *p = &w->pending[i];
		struct herd_rec *rec = NULL;
		int err = herd_scan_rec(w->s, w->v, p->ino, p->type, &rec);

		if (err)
			return err;
		w->s->nodes[p->node].rec = rec;
		if (S_ISDIR(rec->mode)) {
			err = queue_dir(w, p->node);
			if (err)
				return err;
		}
	}
	w->n_pending = 0;
	return 0;
}

/* Directories among the new names are read at once, for their names matter
   first; everything else waits until all names are known. */
static int promote_dirs(struct walk *w, size_t from)
{
	size_t keep = from;

	for (size_t i = from; i < w->n_pending; i++) {
		const struct pending p = w->pending[i];
		struct herd_rec *rec = NULL;

		if (p.type != DT_DIR) {
			w->pending[keep++] = p;
			continue;
		}
		int err = herd_scan_rec(w->s, w->v, p.ino, p.type, &rec);

		if (err)
			return err;
		w->s->nodes[p.node].rec = rec;
		if (S_ISDIR(rec->mode))
			err = queue_dir(w, p.node);
		if (err)
			return err;
	}
	w->n_pending = keep;
	return 0;
}

static int walk_all(struct walk *w)
{
	while (w->next_dir < w->n_dirs || w->n_pending) {
		int err = 0;

		if (w->next_dir < w->n_dirs) {
			size_t from = w->n_pending;

			err = read_dir(w, w->dirs[w->next_dir++]);
			if (!err)
				err = promote_dirs(w, from);
		} else {
			err = look_at_pending(w);
		}
		if (err)
			return err;
	}
	return 0;
}

int herd_scan_below(struct herd_scan *s, struct herd_scan_volume *v,
		    uint32_t node, struct herd_idmap *visited)
{
	struct walk w = { .s = s, .v = v, .visited = visited };
	int err = queue_dir(&w, node);

	if (!err)
		err = walk_all(&w);
	free(w.dirs);
	free(w.pending);
	return err;
}

int herd_scan_full(struct herd_scan *s, struct herd_scan_volume *v)
{
	struct herd_idmap visited = { 0 };
	struct herd_extents tables = { 0 };
	struct herd_rec *rec = NULL;

	if (s->a->disks[v->disk]->ops->want && v->volume->ops->tables &&
	    !v->volume->ops->tables(v->volume, &tables)) {
		herd_extents_normalise(&tables);
		herd_source_want(v->source, &tables);
	}
	herd_extents_deinit(&tables);

	int err = herd_scan_rec(s, v, v->volume->root_ino, DT_DIR, &rec);

	if (err)
		return err;
	s->nodes[v->root].rec = rec;
	if (S_ISDIR(rec->mode))
		err = herd_scan_below(s, v, v->root, &visited);
	else
		err = herd_scan_problem(s, v->root, NULL,
					"the root directory of this volume is no directory");
	herd_idmap_deinit(&visited);
	return err;
}
