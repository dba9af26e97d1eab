/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ELF cores of a whole machine: /proc/vmcore, QEMU's dump-guest-memory,
 * makedumpfile -E. Memory is in the PT_LOADs, by their physical addresses.
 *
 * Threads: as memory_plain.c.
 */
#include "acquire/memory/memory_impl.h"

#include <elf.h>
#include <string.h>

#define PHDRS_MAX HERD_MEMORY_RANGES_MAX
#define CHUNK 1024u		/* program headers at once */
#define INCOMPLETE 1u		/* makedumpfile's flag in e_flags */

static int bad(struct herd_source *c, uint64_t off, int err, const char *what,
	       struct herd_diag *diag)
{
	return herd_diag_set(diag, err, c->name, off, "%s", what);
}

/* With more program headers than 16 bits count, a section header has it. */
static int count_phdrs(struct herd_source *c, const Elf64_Ehdr *h,
		       uint32_t *ret, struct herd_diag *diag)
{
	Elf64_Shdr s;

	*ret = le16toh(h->e_phnum);
	if (*ret != PN_XNUM)
		return 0;
	int err = herd_source_read(c, &s, sizeof(s), le64toh(h->e_shoff), diag);

	if (!err)
		*ret = le32toh(s.sh_info);
	return err;
}

static int check_header(struct herd_source *c, const Elf64_Ehdr *h,
			struct herd_diag *diag)
{
	if (memcmp(h->e_ident, ELFMAG, SELFMAG) != 0)
		return bad(c, 0, -EBADMSG, "no ELF file", diag);
	if (h->e_ident[EI_CLASS] != ELFCLASS64 ||
	    h->e_ident[EI_DATA] != ELFDATA2LSB)
		return bad(c, EI_CLASS, -EOPNOTSUPP, "an ELF file of 32 bits or "
			   "of the other byte order: only x86_64 is read", diag);
	if (le16toh(h->e_type) != ET_CORE)
		return bad(c, 16, -EOPNOTSUPP, "an ELF file that is no core",
			   diag);
	if (le16toh(h->e_machine) == EM_AARCH64)
		return bad(c, 18, -EOPNOTSUPP, "an ELF core of aarch64: only "
			   "x86_64 is read", diag);
	if (le16toh(h->e_machine) != EM_X86_64)
		return herd_diag_set(diag, -EOPNOTSUPP, c->name, 18,
				     "an ELF core of another machine (%u): only "
				     "x86_64 is read", le16toh(h->e_machine));
	if (le16toh(h->e_phentsize) != sizeof(Elf64_Phdr))
		return bad(c, 54, -EBADMSG, "program headers of an odd size",
			   diag);
	return 0;
}

struct reading {
	struct herd_memory_plain *p;
	size_t loads, at_zero;	/* all with bytes; those at address 0 */
	uint64_t cut;		/* bytes that lie behind the file's end */
	uint64_t odd;		/* segments beyond what addresses can be */
	uint64_t absent;	/* bytes of memory that the file has not got */
};

/*
 * Bytes that only p_memsz counts are none that the file has. Segments without a
 * physical address (vmalloc's in /proc/kcore) have -1 for it.
 */
static int take_phdr(struct reading *r, const Elf64_Phdr *h)
{
	uint64_t off = le64toh(h->p_offset), len = le64toh(h->p_filesz);
	uint64_t phys = le64toh(h->p_paddr), left;
	uint64_t size = r->p->m.container->size;

	if (le32toh(h->p_type) == PT_NOTE)
		return herd_memory_read_notes(&r->p->m, off, len);
	if (le32toh(h->p_type) != PT_LOAD || phys == UINT64_MAX)
		return 0;
	if (le64toh(h->p_memsz) > len && le64toh(h->p_memsz) < HERD_MEMORY_TOP)
		r->absent += le64toh(h->p_memsz) - len;
	if (!len)
		return 0;
	if (phys >= HERD_MEMORY_TOP || len > HERD_MEMORY_TOP - phys) {
		r->odd++;
		return 0;
	}
	r->loads++;
	r->at_zero += phys == 0;
	left = off < size ? size - off : 0;
	if (len > left) {
		r->cut += len - left;
		len = left;
	}
	return herd_memory_list_add(&r->p->list, phys, len, off,
				    HERD_MEMORY_PLAIN);
}

static int take_phdrs(struct reading *r, const Elf64_Ehdr *h,
		      struct herd_diag *diag)
{
	struct herd_source *c = r->p->m.container;
	CLEANUP_FREE Elf64_Phdr *v = calloc(CHUNK, sizeof(*v));
	uint64_t at = le64toh(h->e_phoff);
	uint32_t n = 0;
	int err = v ? count_phdrs(c, h, &n, diag) : -ENOMEM;

	if (!err && n > PHDRS_MAX)
		err = bad(c, 56, -EOVERFLOW, "too many program headers", diag);
	while (n && !err) {
		uint32_t some = n < CHUNK ? n : CHUNK;

		err = herd_source_read(c, v, some * sizeof(*v), at, diag);
		for (uint32_t i = 0; i < some && !err; i++)
			err = take_phdr(r, &v[i]);
		at += some * sizeof(*v);
		n -= some;
	}
	return err;
}

static int finish(const struct reading *r, const Elf64_Ehdr *h,
		  struct herd_diag *diag)
{
	struct herd_memory_source *m = &r->p->m;

	/* a process's core has physical addresses of 0 */
	if (r->loads > 1 && r->at_zero == r->loads)
		return bad(m->container, 0, -EOPNOTSUPP, "the core of a process, "
			   "not of a machine", diag);
	if (!r->loads && !r->odd)
		return bad(m->container, 0, -EOPNOTSUPP, "an ELF core without "
			   "segments of memory", diag);
	if (r->cut)
		herd_memory_warn(m, "it is cut short: %llu bytes of its ranges "
				 "lie behind its end", (unsigned long long)r->cut);
	if (r->absent)
		herd_memory_warn(m, "%llu KiB of memory were left out of it, "
				 "of zeros or for its level",
				 (unsigned long long)r->absent / 1024);
	if (r->odd)
		herd_memory_warn(m, "%llu of its segments are beyond what "
				 "addresses can be", (unsigned long long)r->odd);
	if (le32toh(h->e_flags) & INCOMPLETE)
		herd_memory_warn(m, "it says of itself that it is incomplete");
	return 0;
}

int herd_memory_open_elf(struct herd_source *container,
			 struct herd_source **ret, struct herd_diag *diag)
{
	struct herd_memory_plain *p;
	struct reading r = { 0 };
	Elf64_Ehdr h;
	int err = herd_memory_plain_create(container, "elf-core", &p);

	if (err)
		return err;
	r.p = p;
	err = herd_source_read(container, &h, sizeof(h), 0, diag) ?:
	      check_header(container, &h, diag) ?: take_phdrs(&r, &h, diag) ?:
	      finish(&r, &h, diag);
	if (err) {
		herd_source_destroy(&p->m.s);
		return err;
	}
	return herd_memory_plain_finish(p, ret, diag);
}
