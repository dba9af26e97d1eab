/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the readers of a machine's parts share, and nobody else includes. Each
 * part has a file: tasks, credentials and names of tasks (machine_tasks.c),
 * address spaces (machine_vmas.c), names of files (machine_path.c), open files
 * (machine_fds.c), sockets (machine_sockets.c), the page cache
 * (machine_cache.c), modules (machine_modules.c), hooks (machine_hooks.c).
 *
 * Every list and tree is walked with a bound and cycles are noticed; what could
 * not be read becomes a problem of the machine and the walk goes on.
 *
 * Threads: all of one reader belongs to one thread.
 */
#ifndef HERD_MACHINE_INTERNAL_H
#define HERD_MACHINE_INTERNAL_H

#include "acquire/base/buf.h"
#include "acquire/base/cleanup.h"
#include "index/memory/machine.h"
#include "index/memory/machine_walk.h"

struct herd_reader_files;	/* machine_path.c: which inode has which index */

struct herd_reader {
	struct herd_kernel *k;
	const struct herd_memory_notes *notes;	/* may be NULL */
	unsigned parts;
	struct herd_machine *m;		/* being filled */
	struct herd_reader_files *files;
	size_t cap_processes, cap_files, cap_sockets, cap_modules, cap_hooks,
		cap_problems;
	struct herd_seen_map problems;	/* digest of (where, text) → index */
	/* enum herd_unread: what is broken off though the image lacks nothing
	   there, be it in one direction */
	unsigned broken;
	size_t unread_hooks; /* that lead to where a module may be */
};

/* A list or table that ended with err (0: whole): in r->m->unread, and in
   r->broken where it is not for the image. */
void herd_reader_unread(struct herd_reader *r, enum herd_unread what, int err);
/* A list that was broken off forwards, and was walked backwards, too: whole
   where back is 0. */
void herd_reader_half_read(struct herd_reader *r, enum herd_unread what,
			   int forth, int back);

/* Work goes on: for loops whose steps may find all that they read in a cache. */
static inline void herd_reader_beat(const struct herd_reader *r)
{
	herd_phys_beat(herd_kernel_phys(r->k));
}

/* Counts the same (where, text) once. where and text are copied. */
void herd_reader_problem(struct herd_reader *r, const char *where,
			 const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/* The same of one process, which keeps the first as its `problem`. */
void herd_reader_process_problem(struct herd_reader *r, struct herd_process *p,
				 const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/* v, n, cap: an array with room for one more afterwards; at most max
   (-EOVERFLOW). */
int herd_reader_grow(void **v, size_t n, size_t *cap, size_t size, size_t max);

/* The same for a typed array. */
#define HERD_READER_GROW(v, n, cap, max) \
	({ void *grown_ = (v); \
	   int err_ = herd_reader_grow(&grown_, n, cap, sizeof(*(v)), max); \
	   (v) = grown_; \
	   err_; })

/* The field of an element of an array: `index` elements of `size` bytes on. */
static inline struct herd_field herd_field_at(struct herd_field f,
					      uint32_t index, uint32_t size)
{
	f.offset += index * size;
	f.size = size;
	return f;
}

/* ---- machine_path.c ---- */

int herd_reader_files_create(struct herd_reader *r);
void herd_reader_files_destroy(struct herd_reader *r);
/*
 * The mfile of an open file (struct file), added when it is new. ret_target
 * (may be NULL): what readlink of a link to it in /proc says ("/x (deleted)",
 * "pipe:[5]", "anon_inode:[eventpoll]", "socket:[9]"); malloced.
 */
int herd_reader_file(struct herd_reader *r, uint64_t file, uint32_t *ret,
		     char **ret_target);
/* The path of a struct path (vfsmount and dentry) below the first namespace's
   root; malloced. */
int herd_reader_path(struct herd_reader *r, uint64_t mnt, uint64_t dentry,
		     char **ret);

/* ---- the parts, in this order ---- */

int herd_reader_tasks(struct herd_reader *r, struct herd_diag *diag);
int herd_reader_vmas(struct herd_reader *r, struct herd_diag *diag);
int herd_reader_args(struct herd_reader *r, struct herd_diag *diag);
/* exe, cwd and root of each process; machine_args.c. */
int herd_reader_programs(struct herd_reader *r, struct herd_diag *diag);
int herd_reader_fds(struct herd_reader *r, struct herd_diag *diag);
int herd_reader_sockets(struct herd_reader *r, struct herd_diag *diag);
int herd_reader_cache(struct herd_reader *r, struct herd_diag *diag);
int herd_reader_modules(struct herd_reader *r, struct herd_diag *diag);
int herd_reader_hooks(struct herd_reader *r, struct herd_diag *diag);

#endif
