/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is shown of a machine as texts: files of memory/ in the mount. Names
 * that could upset a terminal are escaped, but in maps, cmdline and environ,
 * which are as /proc has them.
 *
 * Threads: pure functions of immutable values.
 */
#ifndef HERD_MEMORY_FILES_H
#define HERD_MEMORY_FILES_H

#include "index/memory/core.h"
#include "index/report_memory.h"

/* Whether item `index` of a kind is shown; NULL: all are. */
struct herd_shown {
	bool (*shows)(const void *arg, enum herd_machine_subject subject,
		      uint32_t index);
	const void *arg;
};

/* ---- of a process ---- */

/* As /proc/PID/maps, byte for byte. */
void herd_process_maps(const struct herd_machine *m,
		       const struct herd_process *p, struct herd_buf *out);
/*
 * Like /proc/PID/status, with threads, and what a dump of it has and lacks.
 * d, c: may be NULL (then that is left out).
 */
void herd_process_status(const struct herd_machine *m,
			 const struct herd_process *p,
			 const struct herd_dump *d, const struct herd_core *c,
			 struct herd_buf *out);
/* A line for each stretch of memory that could not be had. */
void herd_process_missing(const struct herd_machine *m,
			  const struct herd_process *p,
			  const struct herd_dump *d, struct herd_buf *out);
/* Open files: number, flags, position, kind, target. */
void herd_process_fds(const struct herd_machine *m,
		      const struct herd_process *p, struct herd_buf *out);
void herd_process_sockets(const struct herd_machine *m,
			  const struct herd_process *p, struct herd_buf *out);
/* The process and its findings (borrowed; those of it, n may be 0). */
int herd_process_why(const struct herd_machine *m, uint32_t process,
		     const struct herd_machine_finding *const *v, size_t n,
		     struct herd_buf *out);
/* Own and other digest of a page that differs, and what the herd has there. va:
   where the process has it. */
void herd_process_page(const struct herd_machine *m,
		       const struct herd_page_change *c, uint64_t va,
		       const struct herd_page_beside *herd,
		       struct herd_buf *out);

/* "written over", … */
const char *herd_page_change_name(enum herd_page_change_kind kind);

/* A table of the processes: all of them or those that are shown. f (may be
   NULL): the finding of each, by index. */
void herd_memory_processes(const struct herd_machine *m,
			   const struct herd_shown *s,
			   const struct herd_machine_finding *const *f,
			   struct herd_buf *out);
/* What the herd has and this one lacks. */
void herd_memory_lacks(const struct herd_machine *m,
		       const struct herd_machine_finding *v, size_t n,
		       struct herd_buf *out);

/* ---- of the kernel ---- */

void herd_kernel_banner(const struct herd_machine *m, struct herd_buf *out);
void herd_kernel_modules(const struct herd_machine *m,
			 const struct herd_shown *s, struct herd_buf *out);
int herd_kernel_modules_json(const struct herd_machine *m,
			     const struct herd_shown *s, struct herd_buf *out);
void herd_kernel_hooks(const struct herd_machine *m, const struct herd_shown *s,
		       struct herd_buf *out);
/* Sockets that no process has open. */
void herd_kernel_sockets(const struct herd_machine *m,
			 const struct herd_shown *s, struct herd_buf *out);
void herd_kernel_problems(const struct herd_machine *m, struct herd_buf *out);

/* Seconds since 1970 and nanoseconds; false: not known. */
bool herd_process_started(const struct herd_machine *m,
			  const struct herd_process *p, struct herd_time *ret);
bool herd_memory_taken(const struct herd_machine *m, struct herd_time *ret);

#endif
