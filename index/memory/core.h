/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An ELF core of a process, as gdb and others open it, laid out from what the
 * machine says: headers and notes are made, the memory behind them is the
 * process's map (dump.h), so nothing of it is stored anywhere.
 *
 *   ELF header, program headers     one PT_NOTE, one PT_LOAD a VMA or more; from
 *                                   65,535 on counted in a section header
 *                                   (PN_XNUM)
 *   notes                           PRSTATUS of the main thread, PRPSINFO,
 *                                   SIGINFO, AUXV, FILE, PRSTATUS of the others
 *   VMAs, page aligned, in order    holes where there is nothing
 *
 * Threads whose registers are not known have zeros. Numbers of processes and
 * threads are those of their own pid namespace, as in a core that the kernel
 * writes: libthread_db goes by them. VMAs of devices have no bytes (filesz 0).
 * Others have as many as herd_dump_vma_end says, the rest of memsz is zeros; and
 * within anonymous memory a gap of HERD_DUMP_CUT or more ends a PT_LOAD, too, so
 * that what programs reserve and never use takes no place. NT_FILE goes as far
 * as the bytes do: gdb would take what is behind from a file of that name.
 *
 * Threads: immutable once made.
 */
#ifndef HERD_CORE_H
#define HERD_CORE_H

#include "acquire/base/buf.h"
#include "index/memory/dump.h"

#define HERD_CORE_FILES_MAX (4u << 20)	/* bytes of NT_FILE, as Linux has it */

#define HERD_CORE_GAPS_MAX 4096u	/* that end a PT_LOAD, of all VMAs */

struct herd_core_segment {
	uint64_t offset, va, len;	/* of the file, in memory, bytes there */
	uint64_t memory;	/* bytes in memory */
	uint32_t flags;		/* PF_* */
};
struct herd_core {
	struct herd_buf header;	/* all before the first segment */
	struct herd_core_segment *segments;	/* by offset; all PT_LOADs */
	size_t n;
	uint64_t size;		/* of the whole file */
	size_t threads, without_registers;
	size_t files_left_out;	/* of NT_FILE, over its limit */
};

/* m: prepared (herd_dump_prepare). d: the map of the process; NULL: not known,
   all VMAs have all their bytes. -ENOMEM. */
int herd_core_make(const struct herd_machine *m, uint32_t process,
		   const struct herd_dump *d, struct herd_core *ret);
void herd_core_deinit(struct herd_core *c);
/* len bytes at off, which lie within the size. */
int herd_core_read(const struct herd_core *c, const struct herd_dump *d,
		   const struct herd_machine *m,
		   const struct herd_dump_sources *s, uint64_t off, void *buf,
		   size_t len, struct herd_diag *diag);
/* As herd_dump_seek, in the file; its size where there is none. */
uint64_t herd_core_seek(const struct herd_core *c, const struct herd_dump *d,
			uint64_t off, bool hole);

#endif
