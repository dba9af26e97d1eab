/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a node of memory/ is, and whether its view shows it; see
 * fs/tree_memory.h.
 *
 * Threads: any.
 */
#include "fs/tree_memory.h"

/* ---- what is shown ---- */

static bool class_is_shown(const struct herd_memory_at *at,
			   enum herd_class class)
{
	return class == (at->view == HERD_MEMORY_DEVIANT ? HERD_CLASS_DEVIANT :
							   HERD_CLASS_VOLATILE);
}

bool herd_memory_shows(const struct herd_memory_at *at,
		       enum herd_machine_subject subject, uint32_t index)
{
	const struct herd_tree_findings *f = at->findings;
	size_t lo = 0, hi;

	if (at->view == HERD_MEMORY_ALL)
		return true;
	for (hi = f->n; lo < hi;) {
		size_t mid = lo + (hi - lo) / 2;
		const struct herd_machine_finding *v = &f->v[mid];

		if (v->subject < subject ||
		    (v->subject == subject && v->index < index))
			lo = mid + 1;
		else
			hi = mid;
	}
	for (; lo < f->n && f->v[lo].subject == subject &&
	       f->v[lo].index == index;
	     lo++)
		if (class_is_shown(at, f->v[lo].class))
			return true;
	return false;
}

/* Whether a view other than all/ has anything of this sort. */
static bool any_of(const struct herd_memory_at *at,
		   enum herd_machine_subject subject)
{
	const struct herd_tree_findings *f = at->findings;

	if (at->view == HERD_MEMORY_ALL)
		return true;
	for (size_t i = 0; i < f->n; i++)
		if (f->v[i].subject == subject &&
		    f->v[i].index != HERD_NO_INDEX &&
		    class_is_shown(at, f->v[i].class))
			return true;
	return false;
}

static bool lacks_any(const struct herd_memory_at *at)
{
	for (size_t i = 0; i < at->findings->n; i++)
		if (at->findings->v[i].index == HERD_NO_INDEX)
			return true;
	return false;
}

bool herd_memory_has_top(const struct herd_memory_at *at, uint32_t item)
{
	const bool all = at->view == HERD_MEMORY_ALL;

	switch (item) {
	case HERD_MEMORY_DIR:
	case HERD_MEMORY_PROCESSES:
		return true;
	case HERD_MEMORY_FINDINGS:
		return at->view == HERD_MEMORY_DEVIANT;
	case HERD_MEMORY_ABSENT:
		return at->view == HERD_MEMORY_DEVIANT && lacks_any(at);
	case HERD_MEMORY_KERNEL:
	case HERD_MEMORY_BANNER:
		return all || any_of(at, HERD_SUBJECT_MODULE) ||
		       any_of(at, HERD_SUBJECT_HOOK) ||
		       any_of(at, HERD_SUBJECT_SOCKET);
	case HERD_MEMORY_MODULES:
	case HERD_MEMORY_MODULES_JSON:
		return any_of(at, HERD_SUBJECT_MODULE);
	case HERD_MEMORY_HOOKS:
		return any_of(at, HERD_SUBJECT_HOOK);
	case HERD_MEMORY_SOCKETS:
		return any_of(at, HERD_SUBJECT_SOCKET);
	case HERD_MEMORY_PROBLEMS:
		return all;
	default:
		return false;
	}
}

uint32_t herd_memory_pages_of(const struct herd_memory_at *at)
{
	return at->machine->pages_at[at->process + 1] -
	       at->machine->pages_at[at->process];
}

bool herd_memory_has_fd(const struct herd_memory_at *at, uint32_t fd)
{
	const struct herd_machine *m = herd_memory_machine_of(at);
	const struct herd_process *p = herd_memory_process_of(at);

	return fd < p->n_fds &&
	       herd_dump_file_has_content(&m->files[p->fds[fd].file]);
}

bool herd_memory_has_process_item(const struct herd_memory_at *at,
				  uint32_t item)
{
	const struct herd_machine *m = herd_memory_machine_of(at);
	const struct herd_process *p = herd_memory_process_of(at);

	switch (item) {
	case HERD_PROCESS_CORE:
	case HERD_PROCESS_VMA:
	case HERD_PROCESS_MISSING:
		return p->n_vmas;
	case HERD_PROCESS_EXE:
		return p->exe < m->n_files &&
		       herd_dump_file_has_content(&m->files[p->exe]);
	case HERD_PROCESS_FD:
	case HERD_PROCESS_FD_LIST:
	case HERD_PROCESS_SOCKETS:
		return !p->kthread || p->n_fds;
	case HERD_PROCESS_PAGES:
		return herd_memory_pages_of(at);
	case HERD_PROCESS_WHY:
		return at->findings;
	default:
		return item < HERD_PROCESS_ITEM_MAX;
	}
}

/* ---- what a node is ---- */

static int find_in_process(struct herd_memory_at *at, uint32_t rest)
{
	const struct herd_process *p = herd_memory_process_of(at);

	if (rest < HERD_PROCESS_FIXED) {
		at->item = rest;
		return herd_memory_has_process_item(at, rest) ? 0 : -ENOENT;
	}
	at->in_folder = true;
	rest -= HERD_PROCESS_FIXED;
	at->item = HERD_PROCESS_FD;
	at->sub = rest;
	if (rest < p->n_fds)
		return herd_memory_has_fd(at, rest) ? 0 : -ENOENT;
	rest -= (uint32_t)p->n_fds;
	at->item = HERD_PROCESS_VMA;
	at->sub = rest;
	if (rest < p->n_vmas)
		return herd_dump_has_vma(&p->vmas[rest]) ? 0 : -ENOENT;
	rest -= (uint32_t)p->n_vmas;
	at->item = HERD_PROCESS_PAGES;
	at->sub = rest / 2;
	at->text = rest % 2;
	return at->sub < herd_memory_pages_of(at) ? 0 : -ENOENT;
}

static int find_item(struct herd_memory_at *at)
{
	const struct herd_tree_machine *tm = at->machine;
	const uint32_t what = herd_node_what(at->node);
	size_t lo = 0, hi = tm->m->n_processes;

	if (what < HERD_MEMORY_FIRST) {
		at->item = what;
		return herd_memory_has_top(at, what) ? 0 : -ENOENT;
	}
	if (what >= tm->base[hi])
		return -ENOENT;
	while (hi - lo > 1) {
		size_t mid = lo + (hi - lo) / 2;

		if (tm->base[mid] <= what)
			lo = mid;
		else
			hi = mid;
	}
	at->of_process = true;
	at->process = (uint32_t)lo;
	if (!herd_memory_shows(at, HERD_SUBJECT_PROCESS, at->process))
		return -ENOENT;
	return find_in_process(at, what - tm->base[lo]);
}

int herd_memory_at_init(struct herd_memory_at *at, struct herd_tree *t,
			struct herd_txn *txn, uint64_t node)
{
	const struct herd_tree_member *m;
	int err;

	*at = (struct herd_memory_at){ .tree = t,
				       .txn = txn,
				       .node = node,
				       .view = herd_node_memory_view(node) };
	m = herd_tree_member(t, herd_node_memory_owner(node));
	if (!m || !m->has_memory || at->view >= HERD_MEMORY_VIEW_MAX ||
	    (m->role != HERD_ROLE_MEMBER && at->view != HERD_MEMORY_ALL))
		return -ENOENT;
	err = herd_tree_instance(t, txn, m->id, &at->instance);
	if (!err)
		err = herd_tree_machine_get(t, txn, at->instance, &at->machine);
	/* all/ is not judged for its names and contents */
	if (!err && m->role == HERD_ROLE_MEMBER)
		err = herd_tree_findings_get(t, txn, at->instance, at->machine,
					     &at->findings);
	if (err && at->machine && at->view == HERD_MEMORY_ALL)
		err = 0;
	return err ? err : find_item(at);
}

void herd_memory_at_deinit(struct herd_memory_at *at)
{
	if (at->findings)
		herd_cache_put(&at->tree->cache,
			       &TAKE_PTR(at->findings)->cached);
	if (at->machine)
		herd_cache_put(&at->tree->cache,
			       &TAKE_PTR(at->machine)->cached);
}

enum herd_memory_sort herd_memory_sort(const struct herd_memory_at *at)
{
	if (!at->of_process)
		return at->item == HERD_MEMORY_DIR ||
				       at->item == HERD_MEMORY_KERNEL ?
			       HERD_MEMORY_IS_DIR :
			       HERD_MEMORY_IS_TEXT;
	switch (at->item) {
	case HERD_PROCESS_DIR:
		return HERD_MEMORY_IS_DIR;
	case HERD_PROCESS_CORE:
		return HERD_MEMORY_IS_CORE;
	case HERD_PROCESS_EXE:
		return HERD_MEMORY_IS_FILE;
	case HERD_PROCESS_FD:
		return at->in_folder ? HERD_MEMORY_IS_FILE : HERD_MEMORY_IS_DIR;
	case HERD_PROCESS_VMA:
		return at->in_folder ? HERD_MEMORY_IS_VMA : HERD_MEMORY_IS_DIR;
	case HERD_PROCESS_PAGES:
		return !at->in_folder ? HERD_MEMORY_IS_DIR :
		       at->text	      ? HERD_MEMORY_IS_TEXT :
					HERD_MEMORY_IS_PAGE;
	default:
		return HERD_MEMORY_IS_TEXT;
	}
}

uint32_t herd_memory_file_of(const struct herd_memory_at *at)
{
	const struct herd_process *p = herd_memory_process_of(at);

	return at->item == HERD_PROCESS_EXE ? p->exe : p->fds[at->sub].file;
}
