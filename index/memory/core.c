/* SPDX-License-Identifier: Apache-2.0 */
/* ELF cores; see core.h. Written byte by byte: the layouts are x86_64's, on
   whatever machine this runs. */
#include "index/memory/core.h"

#include <elf.h>
#include <stdio.h>
#include <string.h>

#define PRSTATUS_LEN 336
#define PRPSINFO_LEN 136
#define SIGINFO_LEN 128
#define CORE "CORE"

static void put16(struct herd_buf *b, uint16_t v)
{
	herd_buf_u8(b, (uint8_t)v);
	herd_buf_u8(b, (uint8_t)(v >> 8));
}

static void put64(struct herd_buf *b, uint64_t v)
{
	herd_buf_le32(b, (uint32_t)v);
	herd_buf_le32(b, (uint32_t)(v >> 32));
}

static void put_zeros(struct herd_buf *b, size_t n)
{
	void *p = n ? herd_buf_extend(b, n) : NULL;

	if (p)
		memset(p, 0, n);
}

/* Text in a field of a fixed size, terminated. */
static void put_field(struct herd_buf *b, const char *text, size_t size)
{
	size_t n = strnlen(text, size - 1);

	herd_buf_put(b, text, n);
	put_zeros(b, size - n);
}

/* ---- notes ---- */

static void note_head(struct herd_buf *b, uint32_t type, size_t len)
{
	herd_buf_le32(b, sizeof(CORE));
	herd_buf_le32(b, (uint32_t)len);
	herd_buf_le32(b, type);
	put_field(b, CORE, 8);
}

static void note_end(struct herd_buf *b)
{
	put_zeros(b, -b->len & 3);
}

/* sec and usec */
static void put_time(struct herd_buf *b, uint64_t ns)
{
	put64(b, ns / 1000000000);
	put64(b, ns % 1000000000 / 1000);
}

static void put_prstatus(struct herd_buf *b, const struct herd_process *p,
			 const struct herd_thread *t, bool main)
{
	note_head(b, NT_PRSTATUS, PRSTATUS_LEN);
	put_zeros(b, 16); /* signal, pad */
	put64(b, 0);	  /* pending */
	put64(b, 0);	  /* held */
	herd_buf_le32(b, (uint32_t)(t->ns_tid ? t->ns_tid : t->tid));
	herd_buf_le32(b, (uint32_t)p->ppid);
	herd_buf_le32(b, (uint32_t)p->pgrp);
	herd_buf_le32(b, (uint32_t)p->session);
	put_time(b, main ? p->utime_ns : 0);
	put_time(b, main ? p->stime_ns : 0);
	put_zeros(b, 32); /* of children */
	for (size_t i = 0; i < ARRAY_SIZE(t->regs); i++)
		put64(b, t->has_regs ? t->regs[i] : 0);
	put64(b, 0); /* no FPU registers; pad */
	note_end(b);
}

static void put_prpsinfo(struct herd_buf *b, const struct herd_process *p)
{
	static const char states[] = "RSDTZW";
	const char *s = p->state ? strchr(states, p->state) : NULL;
	char args[80] = "";

	for (size_t i = 0; i < p->n_argv && i < sizeof(args) - 1; i++)
		args[i] = p->argv[i] ? p->argv[i] : ' ';
	if (!args[0])
		snprintf(args, sizeof(args), "%s", p->comm);
	note_head(b, NT_PRPSINFO, PRPSINFO_LEN);
	herd_buf_u8(b, s ? (uint8_t)(s - states) : 1);
	herd_buf_u8(b, p->state ? (uint8_t)p->state : '?');
	herd_buf_u8(b, p->state == 'Z');
	herd_buf_u8(b, 0); /* nice */
	put_zeros(b, 4);
	put64(b, 0); /* flags */
	herd_buf_le32(b, p->uid);
	herd_buf_le32(b, p->gid);
	herd_buf_le32(b, (uint32_t)(p->ns_pid ? p->ns_pid : p->pid));
	herd_buf_le32(b, (uint32_t)p->ppid);
	herd_buf_le32(b, (uint32_t)p->pgrp);
	herd_buf_le32(b, (uint32_t)p->session);
	put_field(b, p->comm, 16);
	put_field(b, args, 80);
	note_end(b);
}

static void put_auxv(struct herd_buf *b, const struct herd_process *p)
{
	size_t n = p->n_auxv < ARRAY_SIZE(p->auxv) ? p->n_auxv :
						     ARRAY_SIZE(p->auxv);

	if (!n)
		return;
	note_head(b, NT_AUXV, (n + 2) * 8);
	for (size_t i = 0; i < n; i++)
		put64(b, p->auxv[i]);
	put_zeros(b, 16); /* AT_NULL, in case */
	note_end(b);
}

static const struct herd_mfile *file_of(const struct herd_machine *m,
					const struct herd_vma *v)
{
	return herd_dump_has_vma(v) && v->file < m->n_files &&
			       m->files[v->file].path[0] ?
		       &m->files[v->file] :
		       NULL;
}

/* Where the bytes of a VMA end. */
static uint64_t end_of(const struct herd_dump *d, const struct herd_vma *v)
{
	return d ? herd_dump_vma_end(d, v) : v->end;
}

static bool in_note(const struct herd_machine *m, const struct herd_dump *d,
		    const struct herd_vma *v)
{
	return file_of(m, v) && end_of(d, v) > v->start;
}

static size_t name_len(const struct herd_mfile *f)
{
	return strlen(f->path) + (f->deleted ? strlen(" (deleted)") : 0) + 1;
}

/* How many VMAs come into NT_FILE, and its length. */
static size_t count_files(const struct herd_machine *m,
			  const struct herd_process *p,
			  const struct herd_dump *d, size_t *ret_len,
			  size_t *ret_left_out)
{
	size_t n = 0, len = 16;

	for (size_t i = 0; i < p->n_vmas; i++) {
		const struct herd_mfile *f = file_of(m, &p->vmas[i]);

		if (!in_note(m, d, &p->vmas[i]))
			continue;
		if (len + 24 + name_len(f) > HERD_CORE_FILES_MAX) {
			++*ret_left_out;
			continue;
		}
		/* what comes later is left out too: one order for all */
		if (*ret_left_out) {
			++*ret_left_out;
			continue;
		}
		len += 24 + name_len(f);
		n++;
	}
	*ret_len = len;
	return n;
}

static void put_files(struct herd_buf *b, const struct herd_machine *m,
		      const struct herd_process *p, const struct herd_dump *d,
		      size_t *ret_left_out)
{
	size_t len, n = count_files(m, p, d, &len, ret_left_out);
	size_t left = n;

	if (!n)
		return;
	note_head(b, NT_FILE, len);
	put64(b, n);
	put64(b, HERD_PAGE); /* the unit of offsets */
	for (size_t i = 0; i < p->n_vmas && left; i++) {
		const struct herd_vma *v = &p->vmas[i];

		if (!in_note(m, d, v))
			continue;
		put64(b, v->start);
		put64(b, end_of(d, v));
		put64(b, v->offset / HERD_PAGE);
		left--;
	}
	left = n;
	for (size_t i = 0; i < p->n_vmas && left; i++) {
		const struct herd_mfile *f = file_of(m, &p->vmas[i]);

		if (!in_note(m, d, &p->vmas[i]))
			continue;
		herd_buf_put(b, f->path, strlen(f->path));
		if (f->deleted)
			herd_buf_put(b, " (deleted)", strlen(" (deleted)"));
		herd_buf_u8(b, 0);
		left--;
	}
	note_end(b);
}

/* A thread at least: gdb wants one. */
static void put_notes(struct herd_buf *b, const struct herd_machine *m,
		      const struct herd_process *p, const struct herd_dump *d,
		      struct herd_core *c)
{
	const struct herd_thread none = { .tid = p->pid, .ns_tid = p->ns_pid };
	const struct herd_thread *t = p->n_threads ? p->threads : &none;

	c->threads = p->n_threads ? p->n_threads : 1;
	put_prstatus(b, p, t, true);
	put_prpsinfo(b, p);
	note_head(b, NT_SIGINFO, SIGINFO_LEN);
	put_zeros(b, SIGINFO_LEN); /* no signal: it was taken alive */
	put_auxv(b, p);
	put_files(b, m, p, d, &c->files_left_out);
	for (size_t i = 0; i < c->threads; i++) {
		if (i)
			put_prstatus(b, p, &t[i], false);
		c->without_registers += !t[i].has_regs;
	}
}

/* ---- headers ---- */

static void put_elf_header(struct herd_buf *b, size_t n_headers)
{
	static const uint8_t ident[EI_NIDENT] = {
		0x7f, 'E', 'L', 'F', ELFCLASS64, ELFDATA2LSB, EV_CURRENT,
	};
	const bool many = n_headers >= PN_XNUM;

	herd_buf_put(b, ident, sizeof(ident));
	put16(b, ET_CORE);
	put16(b, EM_X86_64);
	herd_buf_le32(b, EV_CURRENT);
	put64(b, 0); /* entry */
	put64(b, sizeof(Elf64_Ehdr));
	put64(b,
	      many ? sizeof(Elf64_Ehdr) + n_headers * sizeof(Elf64_Phdr) : 0);
	herd_buf_le32(b, 0); /* flags */
	put16(b, sizeof(Elf64_Ehdr));
	put16(b, sizeof(Elf64_Phdr));
	put16(b, many ? PN_XNUM : (uint16_t)n_headers);
	put16(b, many ? sizeof(Elf64_Shdr) : 0);
	put16(b, many);
	put16(b, 0);
}

/* Section 0, in which the true number of program headers stands. */
static void put_count(struct herd_buf *b, size_t n_headers)
{
	if (n_headers < PN_XNUM)
		return;
	put_zeros(b, 44);
	herd_buf_le32(b, (uint32_t)n_headers); /* sh_info */
	put_zeros(b, 16);
}

static void put_program_header(struct herd_buf *b, uint32_t type,
			       uint32_t flags, uint64_t offset, uint64_t va,
			       uint64_t filesz, uint64_t memsz, uint64_t align)
{
	herd_buf_le32(b, type);
	herd_buf_le32(b, flags);
	put64(b, offset);
	put64(b, va);
	put64(b, 0);
	put64(b, filesz);
	put64(b, memsz);
	put64(b, align);
}

static uint32_t flags_of(const struct herd_vma *v)
{
	return (v->flags & HERD_VM_READ ? PF_R : 0) |
	       (v->flags & HERD_VM_WRITE ? PF_W : 0) |
	       (v->flags & HERD_VM_EXEC ? PF_X : 0);
}

/* ---- segments ---- */

struct layout {
	struct herd_core *c;
	size_t cap;
	unsigned gaps;
	int err;
};

static void add_segment(struct layout *l, const struct herd_vma *v, uint64_t va,
			uint64_t len, uint64_t memory)
{
	struct herd_core *c = l->c;

	if (!l->err && c->n == l->cap) {
		size_t cap = l->cap ? 2 * l->cap : 64;
		void *grown =
			reallocarray(c->segments, cap, sizeof(*c->segments));

		if (grown) {
			c->segments = grown;
			l->cap = cap;
		} else {
			l->err = -ENOMEM;
		}
	}
	if (l->err)
		return;
	c->segments[c->n++] = (struct herd_core_segment){
		.offset = c->size,
		.va = va,
		.len = len,
		.memory = memory,
		.flags = flags_of(v),
	};
	c->size += len;
}

static void lay_out(struct layout *l, const struct herd_dump *d,
		    const struct herd_vma *v)
{
	const uint64_t end = v->flags & HERD_VM_IO ? v->start : end_of(d, v);
	uint64_t va = v->start;

	for (uint64_t at = va;
	     d && v->file == HERD_NO_INDEX && l->gaps < HERD_CORE_GAPS_MAX;) {
		uint64_t gap = herd_dump_seek(d, at, end, true);

		at = herd_dump_seek(d, gap, end, false);
		if (at >= end)
			break;
		if (at - gap < HERD_DUMP_CUT)
			continue;
		add_segment(l, v, va, gap - va, at - va);
		l->gaps++;
		va = at;
	}
	add_segment(l, v, va, end - va, v->end - va);
}

/* Offsets are from the first one's on: where that is, is known when all are
   counted. */
static int make_segments(const struct herd_process *p,
			 const struct herd_dump *d, struct herd_core *c)
{
	struct layout l = { .c = c };

	for (size_t i = 0; i < p->n_vmas && !l.err; i++)
		if (herd_dump_has_vma(&p->vmas[i]))
			lay_out(&l, d, &p->vmas[i]);
	return l.err;
}

static void put_segments(struct herd_buf *b, struct herd_core *c,
			 uint64_t first)
{
	for (size_t i = 0; i < c->n; i++) {
		struct herd_core_segment *g = &c->segments[i];

		g->offset += first;
		put_program_header(b, PT_LOAD, g->flags, g->offset, g->va,
				   g->len, g->memory, HERD_PAGE);
	}
	c->size += first;
}

int herd_core_make(const struct herd_machine *m, uint32_t process,
		   const struct herd_dump *d, struct herd_core *ret)
{
	const struct herd_process *p = &m->processes[process];
	struct herd_buf notes CLEANUP_BUF = HERD_BUF_INIT;
	struct herd_core c = { .header = HERD_BUF_INIT };
	int err = make_segments(p, d, &c);
	const size_t n = c.n + 1; /* program headers */
	size_t before, first;

	put_notes(&notes, m, p, d, &c);
	before = sizeof(Elf64_Ehdr) + n * sizeof(Elf64_Phdr) +
		 (n >= PN_XNUM ? sizeof(Elf64_Shdr) : 0);
	first = (before + notes.len + HERD_PAGE - 1) & ~(size_t)(HERD_PAGE - 1);
	put_elf_header(&c.header, n);
	put_program_header(&c.header, PT_NOTE, 0, before, 0, notes.len, 0, 4);
	put_segments(&c.header, &c, first);
	put_count(&c.header, n);
	herd_buf_put(&c.header, notes.data, notes.len);
	put_zeros(&c.header, -c.header.len & (HERD_PAGE - 1));
	if (!err)
		err = herd_buf_error(&notes) ? herd_buf_error(&notes) :
					       herd_buf_error(&c.header);
	if (err)
		herd_core_deinit(&c);
	else
		*ret = c;
	return err;
}

void herd_core_deinit(struct herd_core *c)
{
	herd_buf_deinit(&c->header);
	free(TAKE_PTR(c->segments));
	c->n = 0;
}

/* ---- reading ---- */

/* The segment that holds off, or the first behind it. */
static size_t segment_at(const struct herd_core *c, uint64_t off)
{
	size_t lo = 0, hi = c->n;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (c->segments[mid].offset + c->segments[mid].len <= off)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

int herd_core_read(const struct herd_core *c, const struct herd_dump *d,
		   const struct herd_machine *m,
		   const struct herd_dump_sources *s, uint64_t off, void *buf,
		   size_t len, struct herd_diag *diag)
{
	uint8_t *to = buf;
	int err = 0;

	if (off < c->header.len && len) {
		size_t n = c->header.len - (size_t)off;

		if (n > len)
			n = len;
		memcpy(to, c->header.data + off, n);
		to += n;
		off += n;
		len -= n;
	}
	for (size_t i = segment_at(c, off); len && i < c->n && !err; i++) {
		const struct herd_core_segment *g = &c->segments[i];
		uint64_t skip = off - g->offset;
		size_t n = g->len - skip < len ? (size_t)(g->len - skip) : len;

		err = herd_dump_read(d, m, s, g->va + skip, to, n, diag);
		to += n;
		off += n;
		len -= n;
	}
	return err;
}

uint64_t herd_core_seek(const struct herd_core *c, const struct herd_dump *d,
			uint64_t off, bool hole)
{
	if (off < c->header.len) {
		if (!hole)
			return off;
		off = c->header.len;
	}
	for (size_t i = segment_at(c, off); i < c->n; i++) {
		const struct herd_core_segment *g = &c->segments[i];
		uint64_t from = off > g->offset ? off - g->offset : 0;
		uint64_t at =
			herd_dump_seek(d, g->va + from, g->va + g->len, hole);

		if (at < g->va + g->len)
			return g->offset + (at - g->va);
	}
	return c->size;
}
