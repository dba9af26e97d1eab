/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The tree as a whole: the snapshot it shows, who is in it, and which part of
 * it answers for a node.
 *
 * Threads: as fs/tree.h and fs/tree_internal.h say.
 */
#include "fs/tree_internal.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

/* ---- the snapshot ---- */

#define SNAPSHOT_TRIES 100

static void close_readers(struct herd_tree *t)
{
	for (unsigned i = 0; i < t->pool.n_free; i++)
		herd_txn_abort(t->pool.free[i]);
	t->pool.n_free = t->pool.n = 0;
}

/*
 * All readers see the same snapshot. A writer that commits while they are
 * begun makes them unequal: then all over again, for it commits rarely.
 */
static int open_readers(struct herd_tree *t, struct herd_diag *diag)
{
	for (int tries = 0; tries < SNAPSHOT_TRIES; tries++) {
		bool equal = true;

		while (t->pool.n < HERD_TREE_READERS && equal) {
			struct herd_txn *txn;
			int err = herd_txn_begin(t->store, false, &txn, diag);

			if (err)
				return err;
			t->pool.free[t->pool.n_free++] = txn;
			t->pool.n++;
			equal = herd_txn_id(txn) ==
				herd_txn_id(t->pool.free[0]);
		}
		if (equal)
			return 0;
		close_readers(t);
	}
	return herd_diag_set(diag, -EBUSY, herd_store_dir(t->store),
			     HERD_NO_OFFSET, "written to all the time");
}

struct herd_lease herd_tree_borrow(struct herd_tree *t)
{
	SCOPED_LOCK(&t->pool.lock);

	while (!t->pool.n_free)
		pthread_cond_wait(&t->pool.returned, &t->pool.lock);
	return (struct herd_lease){ t, t->pool.free[--t->pool.n_free] };
}

void herd_tree_return(struct herd_lease *l)
{
	struct herd_tree *t = l->tree;

	pthread_mutex_lock(&t->pool.lock);
	t->pool.free[t->pool.n_free++] = l->txn;
	pthread_cond_signal(&t->pool.returned);
	pthread_mutex_unlock(&t->pool.lock);
}

/* ---- failures ---- */

void herd_tree_failure(struct herd_tree *t, const char *fmt, ...)
{
	char line[1536];
	char *copy;
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	herd_text_clean(line);
	copy = strdup(line);
	pthread_mutex_lock(&t->failure_lock);
	for (size_t i = 0; copy && i < t->n_failures; i++)
		if (strcmp(t->failures[i], copy) == 0)
			free(TAKE_PTR(copy));
	if (copy) {
		char **v = realloc(t->failures, (t->n_failures + 1) *
				   sizeof(*v));

		if (v) {
			t->failures = v;
			v[t->n_failures++] = copy;
		} else {
			free(TAKE_PTR(copy));
		}
	}
	pthread_mutex_unlock(&t->failure_lock);
	if (copy && t->options.on_failure)
		t->options.on_failure(t->options.on_failure_arg, line);
}

int herd_tree_each_failure(struct herd_tree *t,
			   int (*fn)(void *arg, const char *line), void *arg)
{
	SCOPED_LOCK(&t->failure_lock);
	int r = 0;

	for (size_t i = 0; !r && i < t->n_failures; i++)
		r = fn(arg, t->failures[i]);
	return r;
}

/* ---- who there is ---- */

static int add_group(void *arg, const struct herd_group *g)
{
	struct herd_tree *t = arg;

	if (t->options.group && strcmp(t->options.group, g->name) != 0)
		return 0;
	if (g->id > HERD_NODE_OWNER_MAX) {
		herd_tree_failure(t, "group %s: number %u is too large to be "
				  "shown", g->name, g->id);
		return 0;
	}
	if (t->n_groups == t->cap_groups) {
		size_t cap = t->cap_groups ? 2 * t->cap_groups : 8;
		struct herd_tree_group *v = reallocarray(t->groups, cap,
							 sizeof(*v));

		if (!v)
			return -ENOMEM;
		t->groups = v;
		t->cap_groups = cap;
	}
	t->groups[t->n_groups++] = (struct herd_tree_group){
		.group = *g, .knowledge = t->options.knowledge };
	return 0;
}

static int compare_groups(const void *a, const void *b)
{
	const struct herd_tree_group *x = a, *y = b;

	return (x->group.id > y->group.id) - (x->group.id < y->group.id);
}

struct herd_tree_group *herd_tree_group(struct herd_tree *t, uint32_t id)
{
	const struct herd_tree_group key = { .group.id = id };

	return t->n_groups ? bsearch(&key, t->groups, t->n_groups,
				     sizeof(key), compare_groups) : NULL;
}

static int add_member(void *arg, uint32_t id, uint32_t group,
		      enum herd_role role, const char *name)
{
	struct herd_tree *t = arg;
	struct herd_tree_group *g = herd_tree_group(t, group);
	struct herd_tree_member *m;

	if (!g)
		return 0;
	if (id > HERD_NODE_OWNER_MAX) {
		herd_tree_failure(t, "%s/%s: number %u is too large to be "
				  "shown", g->group.name, name, id);
		return 0;
	}
	if (t->n_members == t->cap_members) {
		size_t cap = t->cap_members ? 2 * t->cap_members : 64;

		m = reallocarray(t->members, cap, sizeof(*m));
		if (!m)
			return -ENOMEM;
		t->members = m;
		t->cap_members = cap;
	}
	m = &t->members[t->n_members];
	*m = (struct herd_tree_member){ .id = id, .group = g, .role = role,
					.name = strdup(name) };
	if (!m->name)
		return -ENOMEM;
	t->n_members++;
	return 0;
}

static int compare_members(const void *a, const void *b)
{
	const struct herd_tree_member *x = a, *y = b;

	return (x->id > y->id) - (x->id < y->id);
}

struct herd_tree_member *herd_tree_member(struct herd_tree *t, uint32_t id)
{
	const struct herd_tree_member key = { .id = id };

	return t->n_members ? bsearch(&key, t->members, t->n_members,
				      sizeof(key), compare_members) : NULL;
}

static int compare_names(const void *a, const void *b, void *arg)
{
	const struct herd_tree_member *members = arg;
	const struct herd_tree_member *x = &members[*(const uint32_t *)a];
	const struct herd_tree_member *y = &members[*(const uint32_t *)b];
	int r = (x->group > y->group) - (x->group < y->group);

	return r ? r : strcmp(x->name, y->name);
}

static int has_memory(void *arg, uint32_t instance)
{
	struct herd_tree_member *m = herd_tree_member(arg, instance);

	if (m)
		m->has_memory = true;
	return 0;
}

static int load_members(struct herd_tree *t, struct herd_diag *diag)
{
	LEASE(l, t);
	const char *dir = herd_store_dir(t->store);
	int err = herd_group_each(l.txn, add_group, t);

	if (!err && t->options.group && !t->n_groups)
		return herd_diag_set(diag, -ENOENT, dir, HERD_NO_OFFSET,
				     "there is no group \"%s\"",
				     t->options.group);
	if (!err && t->n_groups)
		qsort(t->groups, t->n_groups, sizeof(*t->groups),
		      compare_groups);
	for (size_t i = 0; i < t->n_groups; i++) {
		pthread_mutex_init(&t->groups[i].lock, NULL);
		pthread_mutex_init(&t->groups[i].memory_lock, NULL);
	}
	if (!err)
		err = herd_instance_each_name(l.txn, 0, add_member, t);
	if (!err && t->n_members)
		qsort(t->members, t->n_members, sizeof(*t->members),
		      compare_members);
	if (!err)
		err = herd_memory_each(l.txn, has_memory, t);
	if (!err)
		t->by_name = calloc(t->n_members + 1, sizeof(*t->by_name));
	if (!err && !t->by_name)
		err = -ENOMEM;
	if (err)
		return herd_diag_set(diag, err, dir, HERD_NO_OFFSET,
				     "reading who is in it: %s",
				     strerror(-err));
	for (uint32_t i = 0; i < t->n_members; i++)
		t->by_name[i] = i;
	if (t->n_members)
		qsort_r(t->by_name, t->n_members, sizeof(*t->by_name),
			compare_names, t->members);
	return 0;
}

static void free_instance(struct herd_tree_instance *i)
{
	if (!i)
		return;
	herd_disk_deinit_instance(i);
	herd_instance_deinit(&i->record);
	herd_image_deinit(&i->memory);
	free(i);
}

/* What cannot be read of it is met again, and told, when it is looked at. */
static void load_memory(struct herd_txn *txn, struct herd_tree_instance *i)
{
	struct herd_stored_memory m;

	if (herd_memory_get(txn, i->record.id, &m))
		return;
	i->has_memory = true;
	i->memory = m.image;
	i->memory_attached = m.attached;
}

int herd_tree_instance(struct herd_tree *t, struct herd_txn *txn, uint32_t id,
		       struct herd_tree_instance **ret)
{
	struct herd_tree_member *m = herd_tree_member(t, id);
	struct herd_tree_instance *i;
	int err;

	if (!m)
		return -ENOENT;
	i = atomic_load_explicit(&m->loaded, memory_order_acquire);
	if (i) {
		*ret = i;
		return 0;
	}
	SCOPED_LOCK(&t->loading);
	i = atomic_load(&m->loaded);
	if (!i) {
		i = calloc(1, sizeof(*i));
		if (!i)
			return -ENOMEM;
		i->group = m->group;
		err = herd_instance_get(txn, id, &i->record);
		if (!err)
			err = herd_disk_init_instance(i);
		if (err) {
			free_instance(i);
			return err == -ENOENT ? -EBADMSG : err;
		}
		load_memory(txn, i);
		atomic_store_explicit(&m->loaded, i, memory_order_release);
	}
	*ret = i;
	return 0;
}

int herd_tree_herd(struct herd_txn *txn, struct herd_tree_group *g,
		   struct herd_herd **ret)
{
	SCOPED_LOCK(&g->lock);

	if (!g->herd) {
		int err = herd_herd_make(txn, &g->group, &g->herd, NULL);

		if (err)
			return err;
		herd_herd_set_knowledge(g->herd, g->knowledge);
	}
	*ret = g->herd;
	return 0;
}

int herd_tree_memory_herd(struct herd_tree *t, struct herd_txn *txn,
			  struct herd_tree_group *g,
			  struct herd_memory_herd **ret)
{
	struct herd_diag diag = { .offset = HERD_NO_OFFSET };
	struct herd_herd *herd;
	char text[1024];
	int err = herd_tree_herd(txn, g, &herd);

	if (err)
		return err;
	pthread_mutex_lock(&g->memory_lock);
	if (!g->memory)
		err = herd_memory_herd_make(txn, herd, &g->memory, &diag);
	if (!err)
		*ret = herd_memory_herd_members(g->memory) ? g->memory : NULL;
	pthread_mutex_unlock(&g->memory_lock);
	if (err)
		herd_tree_failure(t, "%s: memory cannot be judged: %s",
				  g->group.name,
				  herd_diag_format(&diag, err, text,
						   sizeof(text)));
	return err;
}

/* ---- opening and closing ---- */

int herd_tree_open(struct herd_store *store,
		   const struct herd_tree_options *options,
		   herd_tree_open_disk open_disk, void *arg,
		   struct herd_tree **ret, struct herd_diag *diag)
{
	struct herd_tree *t = calloc(1, sizeof(*t));
	int err;

	if (!t)
		return -ENOMEM;
	t->store = store;
	t->open_disk = open_disk;
	t->open_disk_arg = arg;
	t->options = *options;
	t->uid = getuid();
	t->gid = getgid();
	t->opened = time(NULL);
	pthread_mutex_init(&t->pool.lock, NULL);
	pthread_cond_init(&t->pool.returned, NULL);
	pthread_mutex_init(&t->loading, NULL);
	pthread_mutex_init(&t->failure_lock, NULL);
	pthread_mutex_init(&t->ahead.lock, NULL);
	pthread_mutex_init(&t->walking, NULL);
	herd_cache_init(&t->cache, (size_t)options->cache_mb << 20);
	t->cache.on_make = options->on_wait;
	t->cache.on_make_arg = options->on_wait_arg;
	err = open_readers(t, diag);
	if (!err)
		err = load_members(t, diag);
	if (err) {
		herd_tree_close(t);
		return err;
	}
	*ret = t;
	return 0;
}

void herd_tree_close(struct herd_tree *t)
{
	if (!t)
		return;
	herd_cache_deinit(&t->cache);
	for (size_t i = 0; i < t->n_members; i++) {
		free_instance(atomic_load(&t->members[i].loaded));
		free(t->members[i].name);
	}
	for (size_t i = 0; i < t->n_groups; i++) {
		herd_memory_herd_destroy(t->groups[i].memory);
		herd_herd_destroy(t->groups[i].herd);
		pthread_mutex_destroy(&t->groups[i].lock);
		pthread_mutex_destroy(&t->groups[i].memory_lock);
	}
	close_readers(t);
	for (size_t i = 0; i < t->n_failures; i++)
		free(t->failures[i]);
	free(t->failures);
	free(t->by_name);
	free(t->members);
	free(t->groups);
	pthread_cond_destroy(&t->pool.returned);
	pthread_mutex_destroy(&t->pool.lock);
	pthread_mutex_destroy(&t->loading);
	pthread_mutex_destroy(&t->failure_lock);
	pthread_mutex_destroy(&t->ahead.lock);
	pthread_mutex_destroy(&t->walking);
	free(t);
}

/* ---- which part answers ---- */

int herd_tree_getattr(struct herd_tree *t, uint64_t node, struct stat *ret)
{
	return herd_node_is_path(node) ? herd_path_getattr(t, node, ret) :
	       herd_node_is_memory(node) ? herd_memory_getattr(t, node, ret) :
	       herd_node_is_cluster(node) ? herd_cluster_getattr(t, node, ret) :
					    herd_top_getattr(t, node, ret);
}

int herd_tree_lookup(struct herd_tree *t, uint64_t dir, const char *name,
		     uint64_t *ret_node, struct stat *ret_st)
{
	uint64_t node;
	struct stat st;
	int err;

	if (herd_node_is_path(dir))
		return herd_path_lookup(t, dir, name, ret_node, ret_st);
	err = herd_node_is_memory(dir) ?
		      herd_memory_lookup(t, dir, name, &node) :
	      herd_node_is_cluster(dir) ?
		      herd_cluster_lookup(t, dir, name, &node) :
		      herd_top_lookup(t, dir, name, &node);
	if (!err)
		err = herd_tree_getattr(t, node, &st);
	if (err)
		return err;
	*ret_node = node;
	*ret_st = st;
	return 0;
}

int herd_tree_readdir(struct herd_tree *t, uint64_t dir, uint64_t offset,
		      int (*fn)(void *arg, const char *name, uint64_t node,
				const struct stat *st, uint64_t next),
		      void *arg)
{
	const struct herd_tree_emit emit = { fn, arg, offset };

	return herd_node_is_path(dir) ? herd_path_readdir(t, dir, &emit) :
	       herd_node_is_memory(dir) ? herd_memory_readdir(t, dir, &emit) :
	       herd_node_is_cluster(dir) ? herd_cluster_readdir(t, dir, &emit) :
					   herd_top_readdir(t, dir, &emit);
}
