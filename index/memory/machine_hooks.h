/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the files of the hooks' reader share, and nobody else includes.
 *
 * Threads: belongs to one reader.
 */
#ifndef HERD_MACHINE_HOOKS_H
#define HERD_MACHINE_HOOKS_H

#include "index/memory/machine_internal.h"
#include "index/memory/machine_walk.h"

#define HERD_HOOKS_MAX 65536u

/* Memory outside of the kernel's text and of modules that holds code of the
   kernel's own making: trampolines of ftrace, programs of BPF. */
struct herd_hook_code {
	uint64_t start, end;
};

struct herd_hook_reader {
	struct herd_reader *r;
	struct herd_walk_mem mem;
	uint32_t alien; /* taints of a module that nobody vouches for */
	uint64_t text_start, text_end; /* of the kernel's text */
	uint64_t init_start, init_end; /* of what it had at boot; 0: unknown */
	struct herd_hook_code *code;
	size_t n_code, cap_code;
	struct herd_seen_map probed;  /* addresses that a kprobe is at */
	struct herd_seen_map entries; /* of hooks in text, added already */
};

enum herd_hook_where {
	HERD_HOOK_IN_KERNEL, /* the kernel's text */
	HERD_HOOK_IN_MODULE, /* one that is listed (where the list could be
				   read) and not tainted as alien: neither
				   out of tree nor unsigned */
	HERD_HOOK_IN_CODE,   /* struct herd_hook_code */
	HERD_HOOK_IN_UNREAD, /* where a module may be: not all of them could
				   be read */
	HERD_HOOK_ELSEWHERE, /* an alien or hidden module, or none */
};
enum herd_hook_where herd_hook_where(const struct herd_hook_reader *h,
				     uint64_t va);

/* Whether code at `from` may go to `to`: into the kernel's text; of the kernel,
   to a function that it had at boot; of a module, elsewhere in it or into one
   that is known. */
bool herd_hook_is_own(struct herd_hook_reader *h, uint64_t from, uint64_t to);

struct herd_hook_draft {
	enum herd_hook_kind kind;
	uint32_t number;
	uint64_t at, target;
	const char *name;
	const char *target_name; /* NULL: made from target */
	bool expected;
};
/* Copies all. Where it leads to is not known (IN_UNREAD), it is expected, and
   counted; a system call and an interrupt lead to no module at all. */
int herd_hook_add(struct herd_hook_reader *h, const struct herd_hook_draft *d);
int herd_hook_code_add(struct herd_hook_reader *h, uint64_t start,
		       uint64_t len);

/* "symbol", "symbol+0x10", "name+0x10 [module]", "outside of any module". */
void herd_hook_place(struct herd_hook_reader *h, uint64_t va, char *ret,
		     size_t size);

/* The kinds. What a kernel has not got is left out without a word. */
int herd_hooks_bpf(struct herd_hook_reader *h);
int herd_hooks_ftrace(struct herd_hook_reader *h);
int herd_hooks_kprobes(struct herd_hook_reader *h);
int herd_hooks_syscalls(struct herd_hook_reader *h);
int herd_hooks_idt(struct herd_hook_reader *h);
int herd_hooks_ops(struct herd_hook_reader *h);
int herd_hooks_lists(struct herd_hook_reader *h);
int herd_hooks_proc(struct herd_hook_reader *h);
/* After those of BPF, ftrace and kprobes, which write into text, too. */
int herd_hooks_text(struct herd_hook_reader *h);
/* Length of an instruction that does nothing, of at least 16 bytes: endbr64, or
   what stands where one was sealed, and nops of any length; else 0. */
size_t herd_hook_nothing(const uint8_t *p);
/* The first instructions of one function. */
int herd_hooks_entry(struct herd_hook_reader *h, uint64_t function,
		     const char *name);

#endif
