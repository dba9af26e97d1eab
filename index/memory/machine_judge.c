/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The judgement of one machine by its herd: every owner of traits is heard,
 * then what the herd has and this one lacks. See machine_judge_internal.h.
 */
#include "index/memory/machine_judge_internal.h"

#include <string.h>

/* ---- the disk ---- */

static bool asked(struct herd_court *c, const struct herd_mfile *f,
		  enum herd_class *ret)
{
	enum herd_class class = HERD_CLASS_SAME;

	if (!c->disk || f->path[0] != '/' || !c->disk(c->arg, f, &class) ||
	    class >= HERD_CLASS_MAX)
		return false;
	*ret = class;
	return true;
}

bool herd_court_disk(struct herd_court *c, uint32_t file, enum herd_class *ret)
{
	const struct herd_mfile *f;

	if (file >= c->m->n_files)
		return false;
	f = &c->m->files[file];
	if (f->deleted || f->kind != HERD_MFILE_PLAIN)
		return false;
	if (!c->on_disk[file]) {
		enum herd_class class;

		c->on_disk[file] = asked(c, f, &class) ? (int8_t)(class + 2) :
							 1;
	}
	if (c->on_disk[file] == 1)
		return false;
	*ret = (enum herd_class)(c->on_disk[file] - 2);
	return true;
}

/* Whatever file is there now, not that of an inode. */
bool herd_court_disk_path(struct herd_court *c, const char *path,
			  enum herd_class *ret)
{
	const struct herd_mfile f = { .kind = HERD_MFILE_PLAIN,
				      .fs = (char *)"",
				      .path = (char *)path };

	return asked(c, &f, ret);
}

/* ---- the whole ---- */

static int by_subject(const void *a, const void *b)
{
	const struct herd_machine_finding *x = a, *y = b;

	if (x->subject != y->subject)
		return x->subject < y->subject ? -1 : 1;
	if (x->index != y->index)
		return x->index < y->index ? -1 : 1;
	return strcmp(x->key, y->key);
}

static int prepare(struct herd_court *c)
{
	const struct herd_machine *m = c->m;

	c->unsigned_kernel = herd_modules_are_unsigned(m) > 0;
	c->on_disk = calloc(m->n_files + 1, 1);
	c->patched = calloc(m->n_files + 1, 1);
	c->mappers = calloc(m->n_files + 1, sizeof(*c->mappers));
	if (!c->on_disk || !c->patched || !c->mappers)
		return -ENOMEM;
	for (size_t i = 0; i < m->n_page_changes; i++) {
		const struct herd_page_change *p = &m->page_changes[i];

		if (p->process == HERD_NO_INDEX && p->file < m->n_files &&
		    p->kind == HERD_CHANGE_OTHER)
			c->patched[p->file] = 1;
	}
	for (size_t i = 0; i < m->n_processes; i++) {
		const struct herd_process *p = &m->processes[i];
		uint32_t last = HERD_NO_INDEX;

		for (size_t k = 0; k < p->n_vmas; k++) {
			const struct herd_vma *v = &p->vmas[k];

			if (v->file < m->n_files && v->file != last &&
			    v->flags & HERD_VM_EXEC)
				c->mappers[last = v->file]++;
		}
	}
	return 0;
}

static void hear(struct herd_court *c, const struct herd_owner *o)
{
	switch (o->subject) {
	case HERD_SUBJECT_PROCESS:
		herd_judge_process(c, o);
		break;
	case HERD_SUBJECT_MODULE:
		herd_judge_module(c, o);
		break;
	case HERD_SUBJECT_HOOK:
		herd_judge_hook(c, o);
		break;
	case HERD_SUBJECT_FILE:
		herd_judge_file(c, o);
		break;
	case HERD_SUBJECT_SOCKET:
		herd_judge_socket(c, o);
		break;
	case HERD_SUBJECT_MAX:
		break;
	}
}

int herd_machine_judge(const struct herd_flock *f, uint32_t instance,
		       const struct herd_machine *m, herd_disk_class_fn *disk,
		       void *arg, struct herd_machine_finding **ret,
		       size_t *ret_n)
{
	struct herd_traits *t = NULL;
	struct herd_court c = { .m = m, .disk = disk, .arg = arg };

	c.err = herd_traits_make(m, &t);
	if (!c.err)
		c.err = prepare(&c);
	c.bench = (struct herd_bench){ .f = f,
				       .own = t,
				       .member = herd_flock_has(f, instance) };
	for (size_t i = 0; !c.err && i < t->n_owners; i++)
		hear(&c, &t->owners[i]);
	if (!c.err)
		herd_judge_missing(&c);
	herd_traits_destroy(t);
	free(c.on_disk);
	free(c.patched);
	free(c.mappers);
	if (c.err) {
		herd_machine_findings_free(c.v, c.n);
		return c.err;
	}
	if (c.n)
		qsort(c.v, c.n, sizeof(*c.v), by_subject);
	*ret = c.v;
	*ret_n = c.n;
	return 0;
}

void herd_machine_findings_free(struct herd_machine_finding *v, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		free(v[i].key);
		free(v[i].why);
	}
	free(v);
}
