/* SPDX-License-Identifier: Apache-2.0 */
/* The memories of a group, out of the store; see memory_herd.h. */
#include "index/memory_herd.h"

#include "acquire/base/cleanup.h"
#include "index/memory_disk.h"

#include <stdio.h>
#include <string.h>

struct herd_memory_herd {
	const struct herd_herd *herd;
	struct herd_flock *flock;
};

int herd_memory_machine(struct herd_txn *t, uint32_t instance,
			struct herd_machine **ret, struct herd_diag *diag)
{
	struct herd_stored_memory m;
	int err = herd_memory_get(t, instance, &m);

	if (err)
		return err;
	err = herd_machine_decode(m.machine, m.n_machine, ret);
	herd_stored_memory_deinit(&m);
	return err ? herd_diag_set(diag, err, "the index", HERD_NO_OFFSET,
				   "the record of the memory of instance %u is "
				   "damaged", instance) : 0;
}

/* ---- the herd ---- */

struct gather {
	struct herd_txn *t;
	struct herd_memory_herd *mh;
	struct herd_diag *diag;
};

static int add_traits(struct gather *g, uint32_t instance,
		      const struct herd_machine *m)
{
	struct herd_traits *traits = NULL;
	int err = herd_traits_make(m, &traits);

	if (!err)
		err = herd_flock_add(g->mh->flock, instance, traits);
	herd_traits_destroy(traits);
	return err;
}

static int add_member(void *arg, uint32_t id, uint32_t group,
		      enum herd_role role, const char *name)
{
	struct gather *g = arg;
	struct herd_machine *m;
	int err;

	(void)group;
	(void)name;
	if (role != HERD_ROLE_MEMBER)
		return 0;
	err = herd_memory_machine(g->t, id, &m, g->diag);
	if (err)
		return err == -ENOENT ? 0 : err;
	err = add_traits(g, id, m);
	herd_machine_destroy(m);
	return err;
}

int herd_memory_herd_make(struct herd_txn *t, const struct herd_herd *h,
			  struct herd_memory_herd **ret, struct herd_diag *diag)
{
	struct herd_memory_herd *mh = calloc(1, sizeof(*mh));
	struct gather g = { t, mh, diag };
	int err = mh ? herd_flock_create(&mh->flock) : -ENOMEM;

	if (!err) {
		mh->herd = h;
		err = herd_instance_each_name(t, herd_herd_group(h)->id,
					      add_member, &g);
	}
	if (err)
		herd_memory_herd_destroy(mh);
	else
		*ret = mh;
	return err;
}

void herd_memory_herd_destroy(struct herd_memory_herd *mh)
{
	if (!mh)
		return;
	herd_flock_destroy(mh->flock);
	free(mh);
}

uint32_t herd_memory_herd_members(const struct herd_memory_herd *mh)
{
	return herd_flock_members(mh->flock);
}

/* ---- one of them ---- */

struct look {
	struct herd_txn *t;
	const struct herd_herd *herd;
	uint32_t instance;
};

static bool disk_class(void *arg, const struct herd_mfile *f,
		       enum herd_class *ret)
{
	const struct look *l = arg;
	struct herd_finding finding;
	uint32_t path;

	if (herd_memory_disk_path(l->t, f, &path) ||
	    herd_judge_path(l->t, l->herd, l->instance, path, &finding, NULL))
		return false;
	*ret = finding.verdict.class;
	return true;
}

int herd_memory_judge(struct herd_txn *t, const struct herd_memory_herd *mh,
		      uint32_t instance, const struct herd_machine *m,
		      struct herd_machine_finding **ret, size_t *ret_n)
{
	struct look l = { t, mh->herd, instance };

	return herd_machine_judge(mh->flock, instance, m, disk_class, &l, ret,
				  ret_n);
}

/* ---- one page ---- */

static int judge_file(struct herd_txn *t, const struct herd_memory_herd *mh,
		      uint32_t instance, const struct herd_mfile *f,
		      struct herd_page_beside *ret)
{
	struct herd_finding finding;
	uint32_t path;
	int err = herd_memory_disk_path(t, f, &path);

	if (!err)
		err = herd_judge_path(t, mh->herd, instance, path, &finding,
				      NULL);
	if (err)
		return err == -ENOENT ? 0 : err;
	ret->on_disk = !finding.own_absent;
	ret->class = finding.verdict.class;
	ret->count = finding.verdict.count;
	ret->members = finding.verdict.members;
	return 0;
}

int herd_page_beside(struct herd_txn *t, const struct herd_memory_herd *mh,
		     uint32_t instance, const struct herd_machine *m,
		     const struct herd_page_places *places,
		     const struct herd_page_change *c,
		     struct herd_page_beside *ret)
{
	int err;

	*ret = (struct herd_page_beside){ .class = HERD_CLASS_SAME };
	if (!mh)
		return 0;
	err = herd_flock_page(mh->flock, instance, places, c, &ret->others);
	if (!err)
		err = judge_file(t, mh, instance, &m->files[c->file], ret);
	if (err || !ret->on_disk)
		return err;
	ret->has_disk_digest = c->against == HERD_AGAINST_DISK ||
			       (c->against == HERD_AGAINST_CACHE &&
				herd_page_cache_is_disks(places, c));
	if (ret->has_disk_digest)
		memcpy(ret->disk_digest, c->other, sizeof(ret->disk_digest));
	return 0;
}

/* ---- the other way round ---- */

bool herd_memory_is_path(const struct herd_machine *m, uint32_t file,
			 const char *path, size_t len)
{
	const char *own = file < m->n_files ? m->files[file].path : "";

	return own[0] == '/' && strlen(own + 1) == len &&
	       memcmp(own + 1, path, len) == 0;
}

/* HERD_NO_INDEX: it executes no such file. */
static uint32_t executes(const struct herd_machine *m,
			 const struct herd_process *p, const char *path,
			 size_t len)
{
	for (size_t i = 0; i < p->n_vmas; i++)
		if ((p->vmas[i].flags & HERD_VM_EXEC) &&
		    herd_memory_is_path(m, p->vmas[i].file, path, len))
			return p->vmas[i].file;
	return HERD_NO_INDEX;
}

int herd_memory_users(const struct herd_machine *m, const char *path,
		      size_t len,
		      int (*fn)(void *arg, const struct herd_memory_use *use),
		      void *arg)
{
	int r = 0;

	for (size_t i = 0; i < m->n_processes && !r; i++) {
		struct herd_memory_use use = { .process = &m->processes[i] };
		uint32_t file = use.process->exe;

		use.is_exe = herd_memory_is_path(m, file, path, len);
		if (!use.is_exe)
			file = executes(m, use.process, path, len);
		if (file == HERD_NO_INDEX)
			continue;
		use.file = &m->files[file];
		r = fn(arg, &use);
	}
	return r;
}
