/* SPDX-License-Identifier: Apache-2.0 */
/*
 * VMCOREINFO: what a Linux kernel writes of itself for tools that read its
 * dumps: lines KEY=VALUE in one page, which lies in its memory always.
 *
 * Threads: values.
 */
#ifndef HERD_VMCOREINFO_H
#define HERD_VMCOREINFO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define HERD_VMCOREINFO_MAX 4096u
#define HERD_KERNEL_MAP 0xffffffff80000000ull /* __START_KERNEL_map */

struct herd_vmcoreinfo {
	char text[HERD_VMCOREINFO_MAX + 1]; /* "" none */
	size_t len;
	char release[65], build_id[48];
	/* NULL: x86_64; else which architecture it is of, in words */
	const char *foreign;
	uint64_t init_uts_ns, swapper_pg_dir, stext; /* 0: not said */
	uint64_t
		uts_name; /* OFFSET(uts_namespace.name); UINT64_MAX: not said */
	uint64_t phys_base;
	uint64_t sme_mask;
	bool five_level;
};

/*
 * text need not be terminated; it ends at a NUL. -EBADMSG: this is none.
 * A foreign one is one: look at `foreign`.
 */
int herd_vmcoreinfo_parse(const void *text, size_t len,
			  struct herd_vmcoreinfo *ret);
/* The value of a whole key, "SYMBOL(x)", "NUMBER(y)", "KERNELOFFSET": symbols
   and KERNELOFFSET are hexadecimal, others decimal (or 0x…). -ENOENT. */
int herd_vmcoreinfo_number(const struct herd_vmcoreinfo *v, const char *key,
			   int64_t *ret);
/* "SYMBOL(name)"; 0 when it is not there. */
uint64_t herd_vmcoreinfo_symbol(const struct herd_vmcoreinfo *v,
				const char *name);

#endif
