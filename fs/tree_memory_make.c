/* SPDX-License-Identifier: Apache-2.0 */
/* What memory/ keeps in the cache; see fs/tree_memory.h. */
#include "fs/tree_memory.h"

#include <string.h>

struct making {
	struct herd_tree *tree;
	struct herd_txn *txn;
	struct herd_tree_instance *instance;
	struct herd_tree_machine *machine; /* held by who asks */
	const struct herd_memory_at *at;
	const struct herd_tree_dump *dump; /* of a core; held by who asks */
	uint32_t process, file;
};

static int failed(const struct making *m, const char *what, int err,
		  const struct herd_diag *diag)
{
	char text[1024];

	herd_tree_failure(m->tree, "%s/%s, memory: %s: %s",
			  m->instance->group->group.name,
			  m->instance->record.name, what,
			  herd_diag_format(diag, err, text, sizeof(text)));
	return err == -ENOMEM ? err : -EIO;
}

/* ---- the machine ---- */

static size_t text_cost(const char *s)
{
	return strlen(s) + 17;
}

static size_t process_cost(const struct herd_process *p)
{
	size_t n = sizeof(*p) + p->n_groups * 4 + p->n_argv + p->n_environ +
		   text_cost(p->exe_target) + text_cost(p->cwd) +
		   text_cost(p->root) + text_cost(p->cgroup) +
		   p->n_threads * sizeof(*p->threads) +
		   p->n_vmas * sizeof(*p->vmas) + p->n_fds * sizeof(*p->fds);

	for (size_t i = 0; i < p->n_vmas; i++)
		n += text_cost(p->vmas[i].name);
	for (size_t i = 0; i < p->n_fds; i++)
		n += text_cost(p->fds[i].target);
	return n;
}

static size_t machine_cost(const struct herd_machine *m)
{
	size_t n = sizeof(*m) + m->n_sockets * sizeof(*m->sockets) +
		   m->n_modules * sizeof(*m->modules) +
		   m->n_hooks * (sizeof(*m->hooks) + 64) +
		   m->n_problems * (sizeof(*m->problems) + 128) +
		   m->n_page_digests * sizeof(*m->page_digests) +
		   m->n_page_changes * sizeof(*m->page_changes);

	for (size_t i = 0; i < m->n_processes; i++)
		n += process_cost(&m->processes[i]);
	for (size_t i = 0; i < m->n_files; i++)
		n += sizeof(*m->files) + text_cost(m->files[i].path) + 24 +
		     m->files[i].n_cached * sizeof(*m->files[i].cached);
	return n;
}

/* ---- pages that differ, by process ---- */

struct page_maker {
	struct herd_tree_machine *tm;
	uint32_t *cache; /* changes of the page cache, by file and index */
	size_t n_cache;
	size_t cap;
	int err;
};

static void add_page(struct page_maker *pm, uint32_t process, uint64_t va,
		     uint32_t change)
{
	struct herd_tree_machine *tm = pm->tm;

	if (pm->err || tm->n_pages >= HERD_MEMORY_PAGES_MAX)
		return;
	if (tm->n_pages == pm->cap) {
		size_t cap = pm->cap ? 2 * pm->cap : 64;
		void *v = reallocarray(tm->pages, cap, sizeof(*tm->pages));

		if (!v) {
			pm->err = -ENOMEM;
			return;
		}
		tm->pages = v;
		pm->cap = cap;
	}
	tm->pages[tm->n_pages++] =
		(struct herd_memory_page){ va, process, change };
}

static int compare_changes(const void *a, const void *b, void *arg)
{
	const struct herd_page_change *v = arg;
	const struct herd_page_change *x = &v[*(const uint32_t *)a];
	const struct herd_page_change *y = &v[*(const uint32_t *)b];

	if (x->file != y->file)
		return x->file > y->file ? 1 : -1;
	return (x->index > y->index) - (x->index < y->index);
}

/* The changed pages of the cache that a VMA shows. */
static void add_mapped(struct page_maker *pm, uint32_t process,
		       const struct herd_vma *v)
{
	const struct herd_machine *m = pm->tm->m;
	const uint64_t from = v->offset / HERD_PAGE;
	const uint64_t pages = (v->end - v->start) / HERD_PAGE;
	size_t lo = 0, hi = pm->n_cache;

	if (!(v->flags & HERD_VM_EXEC) || v->file >= m->n_files ||
	    !herd_dump_has_vma(v))
		return;
	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;
		const struct herd_page_change *c =
			&m->page_changes[pm->cache[mid]];

		if (c->file < v->file ||
		    (c->file == v->file && c->index < from))
			lo = mid + 1;
		else
			hi = mid;
	}
	for (; lo < pm->n_cache; lo++) {
		const struct herd_page_change *c =
			&m->page_changes[pm->cache[lo]];

		if (c->file != v->file || c->index - from >= pages)
			break;
		add_page(pm, process, v->start + (c->index - from) * HERD_PAGE,
			 pm->cache[lo]);
	}
}

static int compare_pages(const void *a, const void *b, void *arg)
{
	const struct herd_machine *m = arg;
	const struct herd_memory_page *x = a, *y = b;
	bool of_x = m->page_changes[x->change].process != HERD_NO_INDEX;
	bool of_y = m->page_changes[y->change].process != HERD_NO_INDEX;

	if (x->process != y->process)
		return x->process > y->process ? 1 : -1;
	if (x->va != y->va)
		return x->va > y->va ? 1 : -1;
	/* the process's own copy is what it sees */
	if (of_x != of_y)
		return of_x ? -1 : 1;
	return (x->change > y->change) - (x->change < y->change);
}

static int index_pages(struct herd_tree_machine *tm)
{
	const struct herd_machine *m = tm->m;
	struct page_maker pm = { .tm = tm };
	size_t n = 0;

	tm->pages_at = calloc(m->n_processes + 1, sizeof(*tm->pages_at));
	pm.cache = calloc(m->n_page_changes + 1, sizeof(*pm.cache));
	if (!tm->pages_at || !pm.cache) {
		free(pm.cache);
		return -ENOMEM;
	}
	for (uint32_t i = 0; i < m->n_page_changes; i++)
		if (m->page_changes[i].process != HERD_NO_INDEX)
			add_page(&pm, m->page_changes[i].process,
				 m->page_changes[i].va, i);
		else
			pm.cache[pm.n_cache++] = i;
	if (pm.n_cache)
		qsort_r(pm.cache, pm.n_cache, sizeof(*pm.cache),
			compare_changes, m->page_changes);
	for (uint32_t p = 0; p < m->n_processes && pm.n_cache; p++)
		for (size_t v = 0; v < m->processes[p].n_vmas; v++)
			add_mapped(&pm, p, &m->processes[p].vmas[v]);
	free(pm.cache);
	if (pm.err)
		return pm.err;
	if (tm->n_pages)
		qsort_r(tm->pages, tm->n_pages, sizeof(*tm->pages),
			compare_pages, tm->m);
	for (size_t i = 0; i < tm->n_pages; i++)
		if (!n || tm->pages[n - 1].process != tm->pages[i].process ||
		    tm->pages[n - 1].va != tm->pages[i].va)
			tm->pages[n++] = tm->pages[i];
	tm->n_pages = n;
	for (size_t i = 0; i < n; i++)
		tm->pages_at[tm->pages[i].process + 1]++;
	for (size_t i = 0; i < m->n_processes; i++)
		tm->pages_at[i + 1] += tm->pages_at[i];
	return 0;
}

static int number(struct herd_tree_machine *tm)
{
	const struct herd_machine *m = tm->m;
	uint64_t at = HERD_MEMORY_FIRST;

	tm->base = calloc(m->n_processes + 1, sizeof(*tm->base));
	if (!tm->base)
		return -ENOMEM;
	for (size_t i = 0; i < m->n_processes; i++) {
		const struct herd_process *p = &m->processes[i];

		tm->base[i] = (uint32_t)at;
		at += HERD_PROCESS_FIXED + p->n_fds + p->n_vmas +
		      2 * (uint64_t)(tm->pages_at[i + 1] - tm->pages_at[i]);
		if (at > UINT32_MAX)
			return -EOVERFLOW;
	}
	tm->base[m->n_processes] = (uint32_t)at;
	return 0;
}

static void machine_destroy(struct herd_cached *c)
{
	struct herd_tree_machine *tm = (struct herd_tree_machine *)c;

	herd_page_places_destroy(tm->places);
	herd_machine_destroy(tm->m);
	free(tm->base);
	free(tm->pages);
	free(tm->pages_at);
	free(tm);
}

static int machine_make(void *arg, struct herd_cached **ret)
{
	const struct making *k = arg;
	struct herd_diag diag = { .offset = HERD_NO_OFFSET };
	struct herd_tree_machine *tm = calloc(1, sizeof(*tm));
	int err;

	if (!tm)
		return -ENOMEM;
	err = herd_memory_machine(k->txn, k->instance->record.id, &tm->m,
				  &diag);
	if (!err) {
		herd_dump_prepare(tm->m);
		err = index_pages(tm);
	}
	if (!err)
		err = number(tm);
	if (!err && tm->n_pages)
		err = herd_page_places_make(tm->m, &tm->places);
	if (err) {
		machine_destroy(&tm->cached);
		return failed(k, "cannot be shown", err, &diag);
	}
	tm->cached.bytes = sizeof(*tm) + machine_cost(tm->m) +
			   tm->n_pages * sizeof(*tm->pages) +
			   tm->m->n_processes * 8 +
			   (tm->places ? herd_page_places_cost(tm->places) : 0);
	tm->cached.destroy = machine_destroy;
	*ret = &tm->cached;
	return 0;
}

int herd_tree_machine_get(struct herd_tree *t, struct herd_txn *txn,
			  struct herd_tree_instance *i,
			  struct herd_tree_machine **ret)
{
	struct making m = { .tree = t, .txn = txn, .instance = i };
	struct herd_cached *c;
	int err = herd_cache_get(&t->cache,
				 (struct herd_cache_key){ HERD_CACHED_MACHINE,
							  i->record.id, 0 },
				 machine_make, &m, &c);

	if (!err)
		*ret = (struct herd_tree_machine *)c;
	return err;
}

/* ---- findings ---- */

static void findings_destroy(struct herd_cached *c)
{
	struct herd_tree_findings *f = (struct herd_tree_findings *)c;

	herd_machine_findings_free(f->v, f->n);
	free(f->of_process);
	free(f);
}

/* What deviates comes before what does not, then by score. */
static bool weighs_more(const struct herd_machine_finding *x,
			const struct herd_machine_finding *y)
{
	if ((x->class == HERD_CLASS_DEVIANT) !=
	    (y->class == HERD_CLASS_DEVIANT))
		return x->class == HERD_CLASS_DEVIANT;
	return herd_machine_score(x) > herd_machine_score(y);
}

static int findings_make(void *arg, struct herd_cached **ret)
{
	const struct making *k = arg;
	const struct herd_machine *m = k->machine->m;
	struct herd_diag diag = { .offset = HERD_NO_OFFSET };
	struct herd_tree_findings *f = calloc(1, sizeof(*f));
	struct herd_memory_herd *herd = NULL;
	int err;

	if (!f)
		return -ENOMEM;
	f->of_process = calloc(m->n_processes + 1, sizeof(*f->of_process));
	err = f->of_process ? herd_tree_memory_herd(k->tree, k->txn,
						    k->instance->group, &herd) :
			      -ENOMEM;
	if (!err && herd) {
		f->members = herd_memory_herd_members(herd);
		err = herd_memory_judge(k->txn, herd, k->instance->record.id, m,
					&f->v, &f->n);
	}
	if (err) {
		findings_destroy(&f->cached);
		return failed(k, "cannot be judged", err, &diag);
	}
	f->cached.bytes = sizeof(*f) + m->n_processes * sizeof(void *);
	for (size_t i = 0; i < f->n; i++) {
		const struct herd_machine_finding *v = &f->v[i];

		f->cached.bytes +=
			sizeof(*v) + text_cost(v->key) + text_cost(v->why);
		if (v->subject == HERD_SUBJECT_PROCESS &&
		    v->index < m->n_processes &&
		    (!f->of_process[v->index] ||
		     weighs_more(v, f->of_process[v->index])))
			f->of_process[v->index] = v;
	}
	f->cached.destroy = findings_destroy;
	*ret = &f->cached;
	return 0;
}

int herd_tree_findings_get(struct herd_tree *t, struct herd_txn *txn,
			   struct herd_tree_instance *i,
			   struct herd_tree_machine *machine,
			   struct herd_tree_findings **ret)
{
	struct making m = {
		.tree = t, .txn = txn, .instance = i, .machine = machine
	};
	struct herd_cached *c;
	int err = herd_cache_get(
		&t->cache,
		(struct herd_cache_key){ HERD_CACHED_MACHINE_FINDINGS,
					 i->record.id, 0 },
		findings_make, &m, &c);

	if (!err)
		*ret = (struct herd_tree_findings *)c;
	return err;
}

/* ---- maps of memory ---- */

static void dump_destroy(struct herd_cached *c)
{
	struct herd_tree_dump *d = (struct herd_tree_dump *)c;

	herd_dump_destroy(d->d);
	free(d);
}

static int walk(const struct making *k, struct herd_tree_source *image,
		struct herd_dump **ret)
{
	CLEANUP(herd_memory_disks_deinit) struct herd_memory_disks disks;
	struct herd_phys *phys = NULL;
	struct herd_dump_make how = { .m = k->machine->m,
				      .there = &image->there,
				      .has = herd_memory_disks_has,
				      .arg = &disks };
	int err = herd_memory_disks_init(&disks, k->at);

	if (err)
		return err;
	SCOPED_LOCK(&k->tree->walking);
	err = herd_phys_create(image->source, &phys);
	how.phys = phys;
	if (!err && k->process != HERD_NO_INDEX)
		err = herd_dump_create(&how, k->process, ret);
	else if (!err)
		err = herd_dump_create_file(&how, k->file, ret);
	/* a table that could not be had is no gap: nothing would be zeros */
	if (!err && herd_phys_failed(phys)) {
		herd_dump_destroy(*ret);
		err = -EIO;
	}
	herd_phys_destroy(phys);
	return err;
}

static int dump_make(void *arg, struct herd_cached **ret)
{
	const struct making *k = arg;
	struct herd_tree_source *s;
	struct herd_tree_dump *d;
	int err = herd_disk_get(k->tree, k->instance, HERD_DISK_MEMORY, &s);

	if (err)
		return err;
	d = calloc(1, sizeof(*d));
	err = d ? walk(k, s, &d->d) : -ENOMEM;
	herd_disk_put(s);
	if (err) {
		free(d);
		return err == -ENOMEM ? err : -EIO;
	}
	d->cached.bytes = sizeof(*d) + herd_dump_cost(d->d);
	d->cached.destroy = dump_destroy;
	*ret = &d->cached;
	return 0;
}

int herd_tree_dump_get(const struct herd_memory_at *at, uint32_t process,
		       uint32_t file, struct herd_tree_dump **ret)
{
	const bool of_file = process == HERD_NO_INDEX;
	struct making m = { .tree = at->tree,
			    .txn = at->txn,
			    .at = at,
			    .instance = at->instance,
			    .machine = at->machine,
			    .process = process,
			    .file = file };
	struct herd_cached *c;
	int err = herd_cache_get(
		&at->tree->cache,
		(struct herd_cache_key){
			of_file ? HERD_CACHED_DUMP_FILE : HERD_CACHED_DUMP,
			at->instance->record.id, of_file ? file : process },
		dump_make, &m, &c);

	if (!err)
		*ret = (struct herd_tree_dump *)c;
	return err;
}

int herd_memory_vma_size(const struct herd_memory_at *at, uint64_t *ret)
{
	const struct herd_vma *v = &herd_memory_process_of(at)->vmas[at->sub];
	struct herd_tree_dump *d;
	int err = herd_tree_dump_get(at, at->process, HERD_NO_INDEX, &d);

	if (err)
		return err;
	*ret = herd_dump_vma_end(d->d, v) - v->start;
	herd_cache_put(&at->tree->cache, &d->cached);
	return 0;
}

int herd_memory_dump_of(const struct herd_memory_at *at,
			struct herd_tree_dump **ret)
{
	return herd_memory_sort(at) == HERD_MEMORY_IS_FILE ?
		       herd_tree_dump_get(at, HERD_NO_INDEX,
					  herd_memory_file_of(at), ret) :
		       herd_tree_dump_get(at, at->process, HERD_NO_INDEX, ret);
}

/* ---- cores ---- */

static void core_destroy(struct herd_cached *c)
{
	struct herd_tree_core *core = (struct herd_tree_core *)c;

	herd_core_deinit(&core->c);
	free(core);
}

static int core_make(void *arg, struct herd_cached **ret)
{
	const struct making *k = arg;
	struct herd_tree_core *c = calloc(1, sizeof(*c));
	int err = c ? herd_core_make(k->machine->m, k->process, k->dump->d,
				     &c->c) :
		      -ENOMEM;

	if (err) {
		free(c);
		return err;
	}
	c->cached.bytes =
		sizeof(*c) + c->c.header.cap + c->c.n * sizeof(*c->c.segments);
	c->cached.destroy = core_destroy;
	*ret = &c->cached;
	return 0;
}

int herd_tree_core_get(const struct herd_memory_at *at,
		       struct herd_tree_core **ret)
{
	struct making m = { .machine = at->machine, .process = at->process };
	struct herd_tree_dump *d;
	struct herd_cached *c;
	/* before: while something is made nothing else may be asked for */
	int err = herd_tree_dump_get(at, at->process, HERD_NO_INDEX, &d);

	if (err)
		return err;
	m.dump = d;
	err = herd_cache_get(&at->tree->cache,
			     (struct herd_cache_key){ HERD_CACHED_CORE,
						      at->instance->record.id,
						      at->process },
			     core_make, &m, &c);
	herd_cache_put(&at->tree->cache, &d->cached);
	if (!err)
		*ret = (struct herd_tree_core *)c;
	return err;
}
