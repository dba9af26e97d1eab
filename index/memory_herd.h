/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The memories of a group: reads them out of the store and judges one of them
 * by the others (index/memory/machine_judge.h), with what the disks say.
 *
 * Threads: a herd_memory_herd is immutable once made and may be shared; each
 * call takes the caller's own read transaction (of the same snapshot).
 */
#ifndef HERD_MEMORY_HERD_H
#define HERD_MEMORY_HERD_H

#include "index/judge.h"
#include "index/memory/machine_judge.h"

/* The machine of an instance. -ENOENT: no memory of it is attached. */
int herd_memory_machine(struct herd_txn *t, uint32_t instance,
			struct herd_machine **ret, struct herd_diag *diag);

/*
 * h: borrowed, outlives it. Goes through the memories of all members, one
 * after the other.
 */
struct herd_memory_herd;
int herd_memory_herd_make(struct herd_txn *t, const struct herd_herd *h,
			  struct herd_memory_herd **ret, struct herd_diag *diag);
void herd_memory_herd_destroy(struct herd_memory_herd *mh);
/* Members whose memory is there; 0: nothing can be judged. */
uint32_t herd_memory_herd_members(const struct herd_memory_herd *mh);

/* As herd_machine_judge. m: of `instance`. Free with herd_machine_findings_free. */
int herd_memory_judge(struct herd_txn *t, const struct herd_memory_herd *mh,
		      uint32_t instance, const struct herd_machine *m,
		      struct herd_machine_finding **ret, size_t *ret_n);

/* What the herd has where a page of this one differs. */
struct herd_page_beside {
	struct herd_page_others others;	/* of the other memories */
	bool on_disk;			/* the disks know the file: */
	enum herd_class class;
	uint32_t count, members;	/* members whose disk has this version */
	/* SHA-256 of the own disk's page; false: not known */
	bool has_disk_digest;
	uint8_t disk_digest[32];
};
/* change: of m's page_changes; places: m's. mh NULL: nobody is there to be
   asked. */
int herd_page_beside(struct herd_txn *t, const struct herd_memory_herd *mh,
		     uint32_t instance, const struct herd_machine *m,
		     const struct herd_page_places *places,
		     const struct herd_page_change *change,
		     struct herd_page_beside *ret);

/* The other way round. A file's path here is without leading '/'. */
bool herd_memory_is_path(const struct herd_machine *m, uint32_t file,
			 const char *path, size_t len);

struct herd_memory_use {
	const struct herd_process *process;
	const struct herd_mfile *file;	/* may be deleted: then it is not what
					   the disk has there */
	bool is_exe;	/* else it is mapped to execute */
};
/* fn for each process that runs a file of that path, or maps it to execute. */
int herd_memory_users(const struct herd_machine *m, const char *path,
		      size_t len,
		      int (*fn)(void *arg, const struct herd_memory_use *use),
		      void *arg);

/* 0…100: as herd_score is for files. */
static inline unsigned
herd_machine_score(const struct herd_machine_finding *f)
{
	return (unsigned)f->rank * f->severity / 100;
}

#endif
