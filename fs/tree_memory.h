/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the files of memory/ share (fs/tree_memory*.c).
 *
 *   deviant/memory/          what deviates; volatile/ what comes and goes;
 *     findings.txt           all/ everything
 *     absent.txt             what the herd has and this one lacks
 *     processes.txt          a table
 *     kernel/                banner.txt, modules.txt, modules.json, hooks.txt,
 *                            sockets.txt (that nobody owns), problems.txt
 *     PID-COMM/              core, maps, status, cmdline, environ, exe, fd/
 *                            (what is open and has content), fd.txt (all that
 *                            is open), sockets, vma/, pages/, missing.txt,
 *                            why.json
 *
 * Numbers: enum herd_memory_item first, then each process has a block: its
 * items, then one for each open file, each VMA, and two for each page that
 * differs. Where the blocks begin is summed up when the machine is decoded;
 * nothing is kept for a node.
 *
 * In the cache: the machine of an instance (decoded from the index), its
 * findings, and of each process that is looked into the map of its memory and
 * the headers of its core. The texts are blobs. Bytes of memory are read out
 * of the images each time.
 *
 * Threads: what is cached never changes once made. Only one thread at a time
 * walks page tables (`walking`), for that takes memory.
 */
#ifndef HERD_TREE_MEMORY_H
#define HERD_TREE_MEMORY_H

#include "fs/tree_internal.h"
#include "index/memory/core.h"
#include "index/memory_disk.h"
#include "index/memory_files.h"

#define HERD_MEMORY_NAME_MAX 255
#define HERD_MEMORY_PAGES_MAX (1u << 18)	/* of pages/, all processes */

/* A page that differs, as a process has it. */
struct herd_memory_page {
	uint64_t va;
	uint32_t process, change;	/* indices */
};

struct herd_tree_machine {
	struct herd_cached cached;
	struct herd_machine *m;
	uint32_t *base;		/* where each process's numbers begin; one more
				   than there are processes */
	struct herd_memory_page *pages;	/* by process, then va */
	uint32_t *pages_at;	/* where each process's begin; one more */
	size_t n_pages;
	struct herd_page_places *places; /* NULL: no page differs */
};

struct herd_tree_findings {
	struct herd_cached cached;
	struct herd_machine_finding *v;	/* by subject, then index */
	size_t n;
	uint32_t members;
	/* of each process the weightiest, or NULL */
	const struct herd_machine_finding **of_process;
};

struct herd_tree_dump {
	struct herd_cached cached;
	struct herd_dump *d;
};
struct herd_tree_core {
	struct herd_cached cached;
	struct herd_core c;
};

/* ---- tree_memory_at.c: one node ---- */

struct herd_memory_at {
	struct herd_tree *tree;
	struct herd_txn *txn;
	uint64_t node;
	enum herd_memory_view view;
	struct herd_tree_instance *instance;
	struct herd_tree_machine *machine;	/* held */
	struct herd_tree_findings *findings;	/* held, or NULL: nobody judges */
	bool of_process;
	uint32_t process;	/* index, when of_process */
	/* enum herd_memory_item, or enum herd_process_item; of the three
	   folders of a process their own, and `sub` is what in it */
	uint32_t item;
	uint32_t sub;	/* index of an open file, VMA, or page of pages/ */
	bool in_folder;
	bool text;	/* of a page: what is said of it */
};

/* Give back with herd_memory_at_deinit, also after a failure. */
int herd_memory_at_init(struct herd_memory_at *at, struct herd_tree *t,
			struct herd_txn *txn, uint64_t node);
void herd_memory_at_deinit(struct herd_memory_at *at);
#define CLEANUP_MEMORY_AT CLEANUP(herd_memory_at_deinit)

static inline const struct herd_machine *
herd_memory_machine_of(const struct herd_memory_at *at)
{
	return at->machine->m;
}
static inline const struct herd_process *
herd_memory_process_of(const struct herd_memory_at *at)
{
	return &at->machine->m->processes[at->process];
}
/* The page of pages/, of a node that is one. */
static inline const struct herd_memory_page *
herd_memory_page_of(const struct herd_memory_at *at)
{
	return &at->machine->pages[at->machine->pages_at[at->process] +
				   at->sub];
}

enum herd_memory_sort {
	HERD_MEMORY_IS_DIR,
	HERD_MEMORY_IS_TEXT,	/* a blob */
	HERD_MEMORY_IS_CORE,
	HERD_MEMORY_IS_FILE,	/* exe, fd/N */
	HERD_MEMORY_IS_VMA,
	HERD_MEMORY_IS_PAGE,
};
enum herd_memory_sort herd_memory_sort(const struct herd_memory_at *at);
/* Of IS_FILE: its index. */
uint32_t herd_memory_file_of(const struct herd_memory_at *at);
/* Whether an item of that kind is shown in the view of at. */
bool herd_memory_shows(const struct herd_memory_at *at,
		       enum herd_machine_subject subject, uint32_t index);

/* Whether there is such an item, an open file with content; how many pages. */
bool herd_memory_has_top(const struct herd_memory_at *at, uint32_t item);
bool herd_memory_has_process_item(const struct herd_memory_at *at,
				  uint32_t item);
bool herd_memory_has_fd(const struct herd_memory_at *at, uint32_t fd);
uint32_t herd_memory_pages_of(const struct herd_memory_at *at);

/* ---- tree_memory_make.c: what is in the cache ---- */

int herd_tree_machine_get(struct herd_tree *t, struct herd_txn *txn,
			  struct herd_tree_instance *i,
			  struct herd_tree_machine **ret);
int herd_tree_findings_get(struct herd_tree *t, struct herd_txn *txn,
			   struct herd_tree_instance *i,
			   struct herd_tree_machine *machine,
			   struct herd_tree_findings **ret);
/* process, file: one of them is HERD_NO_INDEX. */
int herd_tree_dump_get(const struct herd_memory_at *at, uint32_t process,
		       uint32_t file, struct herd_tree_dump **ret);
int herd_tree_core_get(const struct herd_memory_at *at,
		       struct herd_tree_core **ret);
/* Bytes of a file of vma/: its end may be cut (herd_dump_vma_end). */
int herd_memory_vma_size(const struct herd_memory_at *at, uint64_t *ret);
/* The map behind a CORE, FILE or VMA. */
int herd_memory_dump_of(const struct herd_memory_at *at,
			struct herd_tree_dump **ret);

/* ---- tree_memory_disk.c: the instance's disks, as dumps read them ---- */

struct herd_memory_disks {
	const struct herd_memory_at *at;
	struct herd_memory_disk *disk;
	struct herd_tree_source **held;	/* by disk; NULL: not asked for yet */
};
int herd_memory_disks_init(struct herd_memory_disks *d,
			   const struct herd_memory_at *at);
void herd_memory_disks_deinit(struct herd_memory_disks *d);
/* For herd_dump_create and herd_dump_sources; arg: struct herd_memory_disks. */
int herd_memory_disks_has(void *arg, const struct herd_mfile *f);
int herd_memory_disks_read(void *arg, const struct herd_mfile *f, uint64_t off,
			   void *buf, size_t len);

/* ---- tree_memory_text.c ---- */

int herd_memory_text(const struct herd_memory_at *at, struct herd_blob **ret);
/* The same, made anew. */
int herd_memory_text_make(const struct herd_memory_at *at, struct herd_buf *out);

/* ---- tree_memory_manifest.c ---- */

/*
 * The part of MANIFEST.sha256 that is of deviant/memory: its texts, but for those
 * that depend on whether the image is at hand. What it leaves out it says.
 */
int herd_memory_manifest(struct herd_tree *t, struct herd_txn *txn,
			 struct herd_tree_instance *i, struct herd_buf *out);

/* ---- tree_memory.c ---- */

/* Of the folder itself, and of that of a process; NULL: none. */
const char *herd_memory_top_name(uint32_t item);
const char *herd_memory_item_name(uint32_t item);

/* ---- tree_memory_names.c ---- */

/* "812-sshd", of any process. */
void herd_memory_process_name(const struct herd_machine *m, uint32_t process,
			      char ret[HERD_MEMORY_NAME_MAX + 1]);
/* -ENOENT */
int herd_memory_find_process(const struct herd_machine *m, const char *name,
			     uint32_t *ret);
void herd_memory_vma_name(const struct herd_vma *v,
			  char ret[HERD_MEMORY_NAME_MAX + 1]);
int herd_memory_find_vma(const struct herd_process *p, const char *name,
			 uint32_t *ret);
int herd_memory_find_fd(const struct herd_process *p, const char *name,
			uint32_t *ret);
void herd_memory_page_name(const struct herd_machine *m,
			   const struct herd_memory_page *p, bool text,
			   char ret[HERD_MEMORY_NAME_MAX + 1]);
int herd_memory_find_page(const struct herd_tree_machine *tm, uint32_t process,
			  const char *name, uint32_t *ret, bool *ret_text);

#endif
