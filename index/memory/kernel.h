/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The Linux kernel in an image of memory: where it lies, its symbols
 * (kallsyms), its types (BTF, or an ISF file). x86_64, from 5.4 on.
 *
 * Threads: belongs to one thread at a time.
 */
#ifndef HERD_MEMORY_KERNEL_H
#define HERD_MEMORY_KERNEL_H

#include "acquire/memory.h"
#include "index/memory/pages.h"

struct herd_kernel;

struct herd_kernel_options {
	/* Where ISF files (Volatility 3's symbol files: .json, .json.xz, .json.gz)
	   lie; a file or a folder; NULL: none. Used when the image has no BTF. */
	const char *symbols;
};

struct herd_kernel_facts {
	char release[65];	/* "6.1.0-42-cloud-amd64" */
	char banner[256];	/* linux_banner, cleaned; "" not found */
	char build_id[48];	/* hex; "" unknown */
	uint64_t phys_base;	/* bytes that the kernel was moved by, physically */
	int64_t kaslr;		/* bytes that its text was moved by, virtually */
	uint64_t page_offset;	/* where all memory is mapped */
	uint64_t vmemmap;	/* where the array of struct page is */
	bool five_level;
	bool has_btf;		/* else an ISF file */
	const char *symbols_from;	/* types; static: "BTF", "an ISF file" */
};

/*
 * phys: borrowed. -EOPNOTSUPP with one line that says what is missing and what
 * would help: no VMCOREINFO, no kallsyms, no BTF (and the banner, so that the
 * right ISF file can be made), another architecture, no Linux at all.
 */
int herd_kernel_open(struct herd_phys *phys, const struct herd_memory_notes *notes,
		     const struct herd_kernel_options *o,
		     struct herd_kernel **ret, struct herd_diag *diag);
void herd_kernel_close(struct herd_kernel *k);
const struct herd_kernel_facts *herd_kernel_facts(const struct herd_kernel *k);
struct herd_phys *herd_kernel_phys(struct herd_kernel *k);
/* The kernel's own address space (init_mm). */
const struct herd_space *herd_kernel_space(const struct herd_kernel *k);

/* ---- memory ---- */

/* Exactly len bytes at a kernel address; -EFAULT, -ENODATA. */
int herd_kernel_read(struct herd_kernel *k, uint64_t va, void *buf, size_t len);
int herd_kernel_u8(struct herd_kernel *k, uint64_t va, uint8_t *ret);
int herd_kernel_u16(struct herd_kernel *k, uint64_t va, uint16_t *ret);
int herd_kernel_u32(struct herd_kernel *k, uint64_t va, uint32_t *ret);
int herd_kernel_u64(struct herd_kernel *k, uint64_t va, uint64_t *ret);
/* Up to max-1 bytes and a NUL; stops at a NUL. */
int herd_kernel_string(struct herd_kernel *k, uint64_t va, char *ret, size_t max);
/* Whether va is a kernel address at all (4 or 5 levels). */
bool herd_kernel_is_pointer(const struct herd_kernel *k, uint64_t va);
/* Where the machine's memory ends, when that is above the image's end: what is
   between is missing. 0: it is not, or that is not known. kernel_beyond.c */
uint64_t herd_kernel_memory_end(struct herd_kernel *k);
/* Kernel address of a frame in the direct map, and of its struct page. */
uint64_t herd_kernel_direct(const struct herd_kernel *k, uint64_t phys);
uint64_t herd_kernel_page(const struct herd_kernel *k, uint64_t phys);
/* The frame that a struct page (folio) stands for: its physical address. */
int herd_kernel_page_phys(const struct herd_kernel *k, uint64_t page, uint64_t *ret);

/* ---- symbols ---- */

/* -ENOENT: no such symbol. Static ones too; of several the first. */
int herd_kernel_symbol(struct herd_kernel *k, const char *name, uint64_t *ret);
/* Address of a per-cpu variable of one processor. */
int herd_kernel_percpu(struct herd_kernel *k, const char *name, unsigned cpu,
		       uint64_t *ret);
unsigned herd_kernel_cpus(struct herd_kernel *k);	/* possible ones */
/* The symbol at or before va; NULL when va is outside of the kernel's image.
   Borrowed until the next call. */
const char *herd_kernel_name_of(struct herd_kernel *k, uint64_t va,
				uint64_t *ret_offset);

/* ---- types ---- */

struct herd_field {
	uint32_t offset;	/* bytes from the start of the struct */
	uint32_t size;		/* bytes of the member's type; of a bit field
				   of the unit that it lies in */
	uint8_t bit, bits;	/* of a bit field: first bit from offset, width;
				   bits 0: none */
};
/*
 * member: "comm", or a path through members "f_path.dentry", "sk.__sk_common.skc_family".
 * Anonymous structs and unions are looked through. -ENOENT: this kernel has no
 * such type or member (walkers try another name then).
 */
int herd_kernel_field(struct herd_kernel *k, const char *type,
		      const char *member, struct herd_field *ret);
int herd_kernel_sizeof(struct herd_kernel *k, const char *type, uint32_t *ret);
/* Value of an enumerator, wherever it is defined: "PG_uptodate". */
int herd_kernel_enumerator(struct herd_kernel *k, const char *name, int64_t *ret);
/* A number that VMCOREINFO gives: "NUMBER(PG_slab)", "LENGTH(…)", … */
int herd_kernel_vmcoreinfo(struct herd_kernel *k, const char *key, int64_t *ret);

/* ---- values ---- */

/* A field of a struct at base, of up to 8 bytes, zero-extended; bit fields
   shifted and masked. */
int herd_kernel_get(struct herd_kernel *k, uint64_t base,
		    const struct herd_field *f, uint64_t *ret);

/*
 * Many fields at once, by table: what is optional gets offset UINT32_MAX when
 * missing; what is not fails with -EOPNOTSUPP and a line that names it. An
 * alternative name (NULL: none) is tried second.
 */
struct herd_wanted {
	const char *type, *member;
	const char *other_type, *other_member;
	bool optional;
	size_t where;		/* offsetof a struct herd_field in the result */
};
#define HERD_FIELD_MISSING UINT32_MAX
int herd_kernel_fields(struct herd_kernel *k, const struct herd_wanted *w,
		       size_t n, void *result, struct herd_diag *diag);
static inline bool herd_field_there(const struct herd_field *f)
{
	return f->offset != HERD_FIELD_MISSING;
}

#endif
