/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the files of the kernel reader share, and nobody else includes:
 * kernel_find.c and kernel_image.c (where it lies), kernel_scan.c (looking
 * through memory), kernel_open.c (putting it together), kernel.c (reading).
 *
 * Threads: see kernel.h.
 */
#ifndef HERD_KERNEL_INTERNAL_H
#define HERD_KERNEL_INTERNAL_H

#include "index/memory/btf.h"
#include "index/memory/isf.h"
#include "index/memory/kallsyms.h"
#include "index/memory/kernel.h"
#include "index/memory/vmcoreinfo.h"

#define HERD_KERNEL_TLB 1024u
#define HERD_KERNEL_SEARCHED (128ull << 20) /* bytes of its image at most */

struct herd_kernel {
	struct herd_phys *phys; /* borrowed */
	struct herd_space space;
	struct herd_kernel_facts facts;
	struct herd_vmcoreinfo info;
	struct herd_kallsyms *symbols; /* NULL: those of isf only */
	struct herd_btf *types;	       /* of the image; NULL: isf's */
	struct herd_isf *isf;	       /* may be NULL */
	struct {
		uint64_t page; /* va / 4096; UINT64_MAX: empty */
		uint64_t phys;
	} tlb[HERD_KERNEL_TLB];
	uint64_t image_start, image_end; /* of the kernel's own text and data */
	uint64_t percpu;      /* __per_cpu_offset; 0: one processor */
	uint32_t page_struct; /* sizeof(struct page) */
	unsigned cpus;
	char name[HERD_KSYM_NAME_MAX];
};

/* ---- kernel_find.c ---- */

/* Where a kernel lies, and how sure that is. */
struct herd_kernel_found {
	struct herd_vmcoreinfo info; /* text "" when there is none */
	struct herd_space space;
	struct herd_kallsyms *symbols; /* where they were needed to find it */
};
/*
 * From the container's note, or by looking for it: see docs/MEMORY.md. What
 * does not fit the memory around it (left by a kernel that ran before, or a
 * guest's) is passed over.
 */
int herd_kernel_find(struct herd_phys *phys,
		     const struct herd_memory_notes *notes,
		     struct herd_kernel_found *ret, struct herd_diag *diag);

enum herd_kernel_grade { HERD_GRADE_NONE, HERD_GRADE_TABLES, HERD_GRADE_ALL };
/* Whether init_uts_ns reads as what it is, through the tables that v names. */
enum herd_kernel_grade herd_kernel_check(struct herd_phys *phys,
					 const struct herd_vmcoreinfo *v,
					 struct herd_space *ret);

/* ---- kernel_image.c ---- */

/* A kernel's image that page tables lead to. */
struct herd_kernel_image {
	struct herd_space space; /* of whoever's table it was */
	uint64_t text, end;	 /* virtual */
	uint64_t phys_base;
};
/* Whether the page at phys is a top table that maps a kernel. */
bool herd_kernel_image_at(struct herd_phys *phys, uint64_t page,
			  struct herd_kernel_image *ret);
/* In the first MiB, where processors start, or by CR3. */
bool herd_kernel_image_low(struct herd_phys *phys, uint64_t cr3,
			   struct herd_kernel_image *ret);
/* Its symbols, by them its VMCOREINFO, or what can be said without. */
int herd_kernel_from_image(struct herd_phys *phys,
			   const struct herd_kernel_image *image,
			   struct herd_kernel_found *ret);

/* ---- kernel_scan.c ---- */

/* fn for each page there is, in windows by likelihood, until it returns true. */
typedef bool herd_page_fn(void *arg, uint64_t addr, const uint8_t *page);
int herd_kernel_scan(struct herd_phys *phys, bool likely, herd_page_fn *fn,
		     void *arg, struct herd_diag *diag);
/* The first banner of a kernel; "" none. max bytes. */
void herd_kernel_scan_banner(struct herd_phys *phys, char *ret, size_t max);

/* ---- kernel_beyond.c ---- */

/* A physical address above the image's end that page tables of the kernel's
   own text and data lead to; 0: none. */
uint64_t herd_kernel_leads_beyond(struct herd_kernel *k);

/* ---- kernel.c ---- */

void herd_kernel_forget(struct herd_kernel *k); /* the tlb */

#endif
