/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Pages of programs and libraries of which a process has a copy of its own:
 * somebody wrote to them, the process itself or who traces it. They are held
 * against the cache's page, which everybody else has, or the disk's.
 */
#include "index/memory/machine_pages_internal.h"

#include <elf.h>
#include <endian.h>
#include <string.h>

#define CANDIDATES_MAX (1u << 20)

struct candidate {
	uint32_t process, file;
	uint64_t index, va, phys;
};
struct search {
	struct herd_pages *p;
	uint32_t process;
	const struct herd_vma *vma;
	struct candidate *v;
	size_t n, cap;
};

static int add(struct search *s, uint64_t va, uint64_t index, uint64_t phys)
{
	int err;

	if (s->n >= CANDIDATES_MAX) {
		s->p->sum.left_out++;
		return 0;
	}
	err = herd_pages_grow((void **)&s->v, s->n, &s->cap, sizeof(*s->v));
	if (!err)
		s->v[s->n++] = (struct candidate){ .process = s->process,
						   .file = s->vma->file,
						   .index = index,
						   .va = va,
						   .phys = phys };
	return err;
}

static int mapped(void *arg, uint64_t va, const struct herd_mapping *m)
{
	struct search *s = arg;
	const struct herd_vma *v = s->vma;
	const struct herd_mfile *f = &s->p->m->files[v->file];
	uint64_t end = v->end - va < m->left ? v->end : va + m->left;
	uint64_t phys = m->phys & ~(uint64_t)(HERD_PAGE - 1);
	int err = 0;

	if (m->state != HERD_PAGE_PRESENT && m->state != HERD_PAGE_PROTNONE)
		return 0;
	for (; va < end && !err; va += HERD_PAGE, phys += HERD_PAGE) {
		uint64_t index = (va - v->start + v->offset) / HERD_PAGE;
		uint64_t cached;
		bool dirty;

		if (herd_pages_cached(f, index, &cached, &dirty) &&
		    cached == phys)
			continue;
		err = add(s, va, index, phys);
	}
	return err;
}

static int search(struct search *s)
{
	const struct herd_machine *m = s->p->m;
	int err = 0;

	for (size_t i = 0; i < m->n_processes; i++) {
		const struct herd_process *q = &m->processes[i];

		s->process = (uint32_t)i;
		for (size_t k = 0; k < q->n_vmas && q->space.pgd && !err; k++) {
			s->vma = &q->vmas[k];
			if (herd_pages_wanted(m, s->vma) &&
			    !(s->vma->flags &
			      (HERD_VM_SHARED | HERD_VM_MAYSHARE)))
				err = herd_space_each(s->p->phys, &q->space,
						      s->vma->start,
						      s->vma->end, mapped, s);
		}
	}
	return err;
}

static int by_page(const void *a, const void *b)
{
	const struct candidate *x = a, *y = b;

	if (x->file != y->file)
		return x->file < y->file ? -1 : 1;
	if (x->index != y->index)
		return x->index < y->index ? -1 : 1;
	if (x->phys != y->phys)
		return x->phys < y->phys ? -1 : 1;
	return x->process < y->process ? -1 : x->process > y->process;
}

/* What the page should be. */
static void original(struct herd_pages *p, const struct candidate *c,
		     uint8_t *page, enum herd_page_against *ret)
{
	uint64_t phys;
	bool dirty;
	const void *cached = herd_pages_cached(&p->m->files[c->file], c->index,
					       &phys, &dirty) ?
				     herd_phys_page(p->phys, phys) :
				     NULL;
	int err;

	if (cached) {
		memcpy(page, cached, HERD_PAGE);
		*ret = HERD_AGAINST_CACHE;
		return;
	}
	err = herd_pages_disk(p, c->file, c->index, 1, page);
	*ret = err ? HERD_AGAINST_NOTHING : HERD_AGAINST_DISK;
	if (err && err != -ENOENT && err != -ENODEV)
		p->sum.errors++;
}

static int compare(struct herd_pages *p, const struct candidate *c)
{
	uint8_t own[HERD_PAGE], other[HERD_PAGE];
	const void *page = herd_phys_page(p->phys, c->phys);
	struct herd_page_change found = { .process = c->process,
					  .file = c->file,
					  .index = c->index,
					  .va = c->va,
					  .phys = c->phys,
					  .origin = HERD_PAGE_PRIVATE };

	if (!page) {
		p->sum.missing++;
		return 0;
	}
	memcpy(own, page, HERD_PAGE);
	p->sum.private_pages++;
	original(p, c, other, &found.against);
	if (found.against == HERD_AGAINST_NOTHING)
		return herd_pages_not_comparable(p, found, own);
	return memcmp(own, other, HERD_PAGE) ?
		       herd_pages_changed(p, found, own, other, false) :
		       0;
}

int herd_pages_private(struct herd_pages *p)
{
	struct search s = { .p = p };
	int err = search(&s);

	if (!err && s.n)
		qsort(s.v, s.n, sizeof(*s.v), by_page);
	for (size_t i = 0; i < s.n && !err; i++)
		err = compare(p, &s.v[i]);
	free(s.v);
	return err;
}

/* ---- relocated text ---- */

/* Of the file itself, as the cache or the disk has it. */
static bool bytes_of(struct herd_pages *p, uint32_t file, uint64_t off,
		     void *buf, size_t len)
{
	uint8_t page[HERD_PAGE];

	for (size_t done = 0; done < len;) {
		uint64_t at = off + done, phys;
		size_t in = at % HERD_PAGE;
		size_t n = HERD_PAGE - in < len - done ? HERD_PAGE - in :
							 len - done;
		bool dirty;
		const uint8_t *from = herd_pages_cached(&p->m->files[file],
							at / HERD_PAGE, &phys,
							&dirty) ?
					      herd_phys_page(p->phys, phys) :
					      NULL;

		if (!from) {
			if (herd_pages_disk(p, file, at / HERD_PAGE, 1, page))
				return false;
			from = page;
		}
		memcpy((uint8_t *)buf + done, from + in, n);
		done += n;
	}
	return true;
}

static bool is_textrel(uint64_t tag, uint64_t value)
{
	return tag == DT_TEXTREL || (tag == DT_FLAGS && value & DF_TEXTREL);
}

static bool dynamic_says(struct herd_pages *p, uint32_t file, uint64_t off,
			 uint64_t len, bool wide)
{
	size_t word = wide ? 8 : 4;

	for (uint64_t i = 0; i < 1024 && (i + 1) * 2 * word <= len; i++) {
		uint8_t b[16];
		uint64_t tag, value;

		if (!bytes_of(p, file, off + i * 2 * word, b, 2 * word))
			return false;
		if (wide) {
			memcpy(&tag, b, 8);
			memcpy(&value, b + 8, 8);
			tag = le64toh(tag);
			value = le64toh(value);
		} else {
			uint32_t t, v;

			memcpy(&t, b, 4);
			memcpy(&v, b + 4, 4);
			tag = le32toh(t);
			value = le32toh(v);
		}
		if (tag == DT_NULL)
			return false;
		if (is_textrel(tag, value))
			return true;
	}
	return false;
}

static bool look_64(struct herd_pages *p, uint32_t file)
{
	Elf64_Ehdr e;
	Elf64_Phdr h;

	if (!bytes_of(p, file, 0, &e, sizeof(e)))
		return false;
	for (uint64_t i = 0; i < le16toh(e.e_phnum) && i < 64; i++) {
		if (!bytes_of(p, file, le64toh(e.e_phoff) + i * sizeof(h), &h,
			      sizeof(h)))
			return false;
		if (le32toh(h.p_type) == PT_DYNAMIC)
			return dynamic_says(p, file, le64toh(h.p_offset),
					    le64toh(h.p_filesz), true);
	}
	return false;
}

static bool look_32(struct herd_pages *p, uint32_t file)
{
	Elf32_Ehdr e;
	Elf32_Phdr h;

	if (!bytes_of(p, file, 0, &e, sizeof(e)))
		return false;
	for (uint64_t i = 0; i < le16toh(e.e_phnum) && i < 64; i++) {
		if (!bytes_of(p, file, le32toh(e.e_phoff) + i * sizeof(h), &h,
			      sizeof(h)))
			return false;
		if (le32toh(h.p_type) == PT_DYNAMIC)
			return dynamic_says(p, file, le32toh(h.p_offset),
					    le32toh(h.p_filesz), false);
	}
	return false;
}

static bool look(struct herd_pages *p, uint32_t file)
{
	uint8_t ident[EI_NIDENT];

	if (!bytes_of(p, file, 0, ident, sizeof(ident)) ||
	    memcmp(ident, ELFMAG, SELFMAG) || ident[EI_DATA] != ELFDATA2LSB)
		return false;
	return ident[EI_CLASS] == ELFCLASS64 ? look_64(p, file) :
	       ident[EI_CLASS] == ELFCLASS32 ? look_32(p, file) :
					       false;
}

bool herd_pages_textrel(struct herd_pages *p, uint32_t file)
{
	if (!p->textrel[file])
		p->textrel[file] = look(p, file) ? 2 : 1;
	return p->textrel[file] == 2;
}
