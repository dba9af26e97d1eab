/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A memory with a kernel in it, made by hand: page tables of four or five
 * levels, uts_namespace, VMCOREINFO, kallsyms in each of its layouts and a
 * small BTF. Small enough to seed fuzz targets with.
 *
 *	0x009000  a top table, as processors start with
 *	TEXT_PHYS the kernel's image: text, tables, data, kallsyms, BTF
 *	INFO_PHYS VMCOREINFO's page
 */
#ifndef KERNEL_FIXTURE_H
#define KERNEL_FIXTURE_H

#include "acquire/base/buf.h"
#include "index/memory/kernel_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FAKE_MAP 0xffffffff80000000ull
#define FAKE_TEXT 0xffffffff83000000ull /* KASLR by 0x2000000 */
#define TEXT_PHYS 0x200000ull
#define INFO_PHYS 0x5f0000ull
#define FAKE_SIZE 0x600000ull
#define LOW_TABLE 0x9000ull
#define FAKE_SYMBOLS_MAX 1200
#ifndef FAKE_FILLERS
#define FAKE_FILLERS 1000
#endif
#define FAKE_RELEASE "6.6.6-herd-amd64"
#define FAKE_BANNER                                                            \
	"Linux version " FAKE_RELEASE " (a@b) (gcc 12, ld 2.40) #1 SMP Debian"

enum fake_layout {
	FAKE_OLD,   /* before 6.4 */
	FAKE_SEQS,  /* with seqs_of_names */
	FAKE_NEW,   /* from 6.4 on */
	FAKE_7,	    /* from 7.0 on */
	FAKE_LAYOUTS
};

struct fake_options {
	enum fake_layout layout;
	int levels;		/* 4 or 5 */
	bool no_info;		/* no VMCOREINFO */
	bool info_lacks_kallsyms;
	bool no_low;		/* no table in the first MiB */
	bool no_btf;
	bool no_kallsyms;
	bool no_percpu_rule;	/* offsets are unsigned, from the base */
	uint64_t sme;
};

struct fake_symbol {
	char name[64], type;
	uint64_t address;
};

struct fake_kernel {
	struct fake_options o;
	uint8_t *memory;	/* FAKE_SIZE, by physical address */
	uint64_t next;		/* physical, of the image's next thing */
	struct fake_symbol symbols[FAKE_SYMBOLS_MAX];
	size_t n_symbols;
	struct herd_kallsyms_place place;
	uint64_t pgd;		/* physical */
};

static inline uint64_t fake_va(uint64_t phys)
{
	return phys - TEXT_PHYS + FAKE_TEXT;
}
static inline void *fake_at(struct fake_kernel *f, uint64_t phys)
{
	if (phys >= FAKE_SIZE)
		abort();
	return f->memory + phys;
}
static inline void fake_put64(struct fake_kernel *f, uint64_t phys, uint64_t v)
{
	memcpy(fake_at(f, phys), &v, 8);
}
static inline void fake_put32(struct fake_kernel *f, uint64_t phys, uint32_t v)
{
	memcpy(fake_at(f, phys), &v, 4);
}
/* Room in the image; physical. */
static inline uint64_t fake_take(struct fake_kernel *f, uint64_t len,
				 uint64_t align)
{
	uint64_t at = (f->next + align - 1) / align * align;

	f->next = at + len;
	if (f->next > INFO_PHYS)
		abort();
	return at;
}
static inline void fake_symbol(struct fake_kernel *f, char type,
			       const char *name, uint64_t address)
{
	struct fake_symbol *s = &f->symbols[f->n_symbols++];

	if (f->n_symbols > FAKE_SYMBOLS_MAX)
		abort();
	snprintf(s->name, sizeof(s->name), "%s", name);
	s->type = type;
	s->address = address;
}

/* ---- page tables ---- */

#define FAKE_TABLE 0x67ull
#define FAKE_LARGE 0x1e3ull

static inline uint64_t fake_table(struct fake_kernel *f)
{
	return fake_take(f, 4096, 4096);
}
static inline void fake_entry(struct fake_kernel *f, uint64_t table, unsigned i,
			      uint64_t v)
{
	fake_put64(f, table + 8ull * i, v ? v | f->o.sme : 0);
}
static inline uint64_t fake_page_offset(const struct fake_kernel *f)
{
	return f->o.levels == 5 ? 0xff11000000000000ull : 0xffff888000000000ull;
}

/* The image by pages of 2 MiB, and all memory at page_offset_base. */
static inline void fake_tables(struct fake_kernel *f)
{
	uint64_t top = fake_table(f), level3 = fake_table(f);
	uint64_t level2 = fake_table(f), fixed = fake_table(f);
	uint64_t direct3 = fake_table(f), direct2 = fake_table(f);
	uint64_t upper = level3, direct = direct3;
	unsigned slot = (unsigned)(fake_page_offset(f) >> 39 & 511);

	f->pgd = top;
	fake_entry(f, level3, 510, level2 | FAKE_TABLE);
	fake_entry(f, level3, 511, fixed | FAKE_TABLE);
	for (unsigned i = 0; i < (FAKE_SIZE - TEXT_PHYS) >> 21; i++)
		fake_entry(f, level2, (unsigned)(FAKE_TEXT >> 21 & 511) + i,
			   (TEXT_PHYS + ((uint64_t)i << 21)) | FAKE_LARGE);
	fake_entry(f, direct3, 0, direct2 | FAKE_TABLE);
	for (unsigned i = 0; i < FAKE_SIZE >> 21; i++)
		fake_entry(f, direct2, i,
			   ((uint64_t)i << 21) | FAKE_LARGE | 1ull << 63);
	if (f->o.levels == 5) {
		upper = fake_table(f);
		direct = fake_table(f);
		fake_entry(f, upper, 511, level3 | FAKE_TABLE);
		fake_entry(f, direct, slot, direct3 | FAKE_TABLE);
		slot = (unsigned)(fake_page_offset(f) >> 48 & 511);
	}
	fake_entry(f, top, 511, upper | FAKE_TABLE);
	fake_entry(f, top, slot, direct | FAKE_TABLE);
	if (!f->o.no_low)
		fake_entry(f, LOW_TABLE, 511, upper | FAKE_TABLE);
	fake_symbol(f, 'D', "init_top_pgt", fake_va(top));
}

/* ---- BTF ---- */

struct fake_btf {
	struct herd_buf types, strings;
	uint32_t n;
};
static inline uint32_t fake_string(struct fake_btf *b, const char *s)
{
	uint32_t at = (uint32_t)b->strings.len;

	herd_buf_put(&b->strings, s, strlen(s) + 1);
	return *s ? at : 0;
}
/* The type's number; members follow by fake_word. */
static inline uint32_t fake_type(struct fake_btf *b, const char *name,
				 uint32_t kind, uint32_t vlen, bool flag,
				 uint32_t size)
{
	herd_buf_le32(&b->types, fake_string(b, name));
	herd_buf_le32(&b->types, kind << 24 | vlen | (uint32_t)flag << 31);
	herd_buf_le32(&b->types, size);
	return ++b->n;
}
static inline void fake_member(struct fake_btf *b, const char *name,
			       uint32_t type, uint32_t bit, uint32_t bits)
{
	herd_buf_le32(&b->types, fake_string(b, name));
	herd_buf_le32(&b->types, type);
	herd_buf_le32(&b->types, bits << 24 | bit);
}
static inline void fake_btf_begin(struct fake_btf *b)
{
	*b = (struct fake_btf){ .n = 0 };
	herd_buf_u8(&b->strings, 0);
}
/* Malloced. */
static inline uint8_t *fake_btf_end(struct fake_btf *b, size_t *ret_len)
{
	struct herd_buf all = HERD_BUF_INIT;

	herd_buf_le32(&all, 0xeb9f | 1u << 16);
	herd_buf_le32(&all, 24);
	herd_buf_le32(&all, 0);
	herd_buf_le32(&all, (uint32_t)b->types.len);
	herd_buf_le32(&all, (uint32_t)b->types.len);
	herd_buf_le32(&all, (uint32_t)b->strings.len);
	herd_buf_put(&all, b->types.data, b->types.len);
	herd_buf_put(&all, b->strings.data, b->strings.len);
	herd_buf_deinit(&b->types);
	herd_buf_deinit(&b->strings);
	*ret_len = all.len;
	return all.data;
}

/*
 * struct task { int pid; struct { union { u64 a; struct pair b; }; };
 *   unsigned x:3, y:5; pid_type kind; pair_t pairs[4]; void *ptr; };
 */
static inline uint8_t *fake_btf(size_t *ret_len)
{
	struct fake_btf b;

	fake_btf_begin(&b);
	uint32_t u32 = fake_type(&b, "unsigned int", 1, 0, false, 4);
	herd_buf_le32(&b.types, 32);
	uint32_t u64 = fake_type(&b, "long unsigned int", 1, 0, false, 8);
	herd_buf_le32(&b.types, 64);
	uint32_t pair = fake_type(&b, "pair", 4, 2, false, 8);
	fake_member(&b, "first", u32, 0, 0);
	fake_member(&b, "second", u32, 32, 0);
	uint32_t pair_t = fake_type(&b, "pair_t", 8, 0, false, pair);
	uint32_t constant = fake_type(&b, "", 10, 0, false, pair_t);
	uint32_t array = fake_type(&b, "", 3, 0, false, 0);
	herd_buf_le32(&b.types, constant);
	herd_buf_le32(&b.types, u32);
	herd_buf_le32(&b.types, 4);
	uint32_t inner = fake_type(&b, "", 5, 2, false, 8);
	fake_member(&b, "a", u64, 0, 0);
	fake_member(&b, "b", pair, 0, 0);
	uint32_t outer = fake_type(&b, "", 4, 1, false, 8);
	fake_member(&b, "", inner, 0, 0);
	uint32_t kind = fake_type(&b, "kind", 6, 2, true, 4);
	herd_buf_le32(&b.types, fake_string(&b, "KIND_NONE"));
	herd_buf_le32(&b.types, (uint32_t)-1);
	herd_buf_le32(&b.types, fake_string(&b, "KIND_ONE"));
	herd_buf_le32(&b.types, 1);
	uint32_t wide = fake_type(&b, "wide", 19, 1, false, 8);
	herd_buf_le32(&b.types, fake_string(&b, "WIDE_ONE"));
	herd_buf_le32(&b.types, 7);
	herd_buf_le32(&b.types, 9);
	uint32_t pointer = fake_type(&b, "", 2, 0, false, 0);

	(void)wide;
	fake_type(&b, "task", 4, 7, true, 80);
	fake_member(&b, "pid", u32, 0, 0);
	fake_member(&b, "", outer, 64, 0);
	fake_member(&b, "x", u32, 128, 3);
	fake_member(&b, "y", u32, 131, 5);
	fake_member(&b, "kind", kind, 160, 0);
	fake_member(&b, "pairs", array, 192, 0);
	fake_member(&b, "ptr", pointer, 448, 0);
	fake_type(&b, "page", 4, 0, false, 64);
	return fake_btf_end(&b, ret_len);
}

/* ---- kallsyms ---- */

static inline int fake_by_address(const void *a, const void *b)
{
	const struct fake_symbol *x = a, *y = b;

	return x->address < y->address ? -1 : x->address > y->address;
}
/* Tokens: each byte for itself, and some of the unused for more. */
static const char *const fake_words[] = { "init_", "filler_", "kallsyms_",
					  "vmcoreinfo_", "tT" };

static inline void fake_name(struct herd_buf *out, const struct fake_symbol *s)
{
	char text[80];
	struct herd_buf packed CLEANUP_BUF = HERD_BUF_INIT;

	snprintf(text, sizeof(text), "%c%s", s->type, s->name);
	for (const char *p = text; *p;) {
		uint8_t token = (uint8_t)*p;
		size_t len = 1;

		for (unsigned w = 0; w < ARRAY_SIZE(fake_words); w++)
			if (!strncmp(p, fake_words[w], strlen(fake_words[w]))) {
				token = (uint8_t)(w + 1);
				len = strlen(fake_words[w]);
			}
		herd_buf_u8(&packed, token);
		p += len;
	}
	if (packed.len >= 0x80)
		abort();
	herd_buf_u8(out, (uint8_t)packed.len);
	herd_buf_put(out, packed.data, packed.len);
}

static inline uint64_t fake_blob(struct fake_kernel *f, const void *p,
				 size_t len, uint64_t align)
{
	uint64_t at = fake_take(f, len, align);

	memcpy(fake_at(f, at), p, len);
	return at;
}

struct fake_parts {
	struct herd_buf names, markers, seqs, table, index;
};
static inline void fake_pack(const struct fake_kernel *f, struct fake_parts *p)
{
	for (uint32_t i = 0; i < f->n_symbols; i++) {
		if (i % 256 == 0)
			herd_buf_le32(&p->markers, (uint32_t)p->names.len);
		fake_name(&p->names, &f->symbols[i]);
		herd_buf_u8(&p->seqs, (uint8_t)(i >> 16));
		herd_buf_u8(&p->seqs, (uint8_t)(i >> 8));
		herd_buf_u8(&p->seqs, (uint8_t)i);
	}
	for (unsigned i = 0; i < 256; i++) {
		uint16_t at = (uint16_t)p->table.len;
		char one[2] = { (char)(i < 0x21 || i > 0x7e ? 'z' : i), 0 };
		const char *text = i && i <= ARRAY_SIZE(fake_words) ?
					   fake_words[i - 1] :
					   one;

		herd_buf_put(&p->index, &at, 2);
		herd_buf_put(&p->table, text, strlen(text) + 1);
	}
}

static inline void fake_offsets(struct fake_kernel *f, uint64_t at)
{
	f->place.offsets = fake_va(at);
	for (size_t i = 0; i < f->n_symbols; i++) {
		uint64_t a = f->symbols[i].address, v;

		if (f->o.layout == FAKE_7)
			v = a - (f->place.offsets + 4 * i);
		else if (f->o.no_percpu_rule)
			v = a - FAKE_TEXT;
		else
			v = a < FAKE_MAP ? a : FAKE_TEXT - 1 - a;
		fake_put32(f, at + 4 * i, (uint32_t)v);
	}
}
static inline void fake_base(struct fake_kernel *f)
{
	uint64_t base = FAKE_TEXT;

	f->place.relative_base = fake_va(fake_blob(f, &base, 8, 8));
}

static inline void fake_kallsyms(struct fake_kernel *f)
{
	struct fake_parts p = { .names = HERD_BUF_INIT };
	uint64_t align = f->o.layout == FAKE_7 ? 4 : 8;
	bool old = f->o.layout == FAKE_OLD || f->o.layout == FAKE_SEQS;
	uint32_t n = (uint32_t)f->n_symbols;

	qsort(f->symbols, f->n_symbols, sizeof(f->symbols[0]), fake_by_address);
	fake_pack(f, &p);
	if (old) {
		fake_offsets(f, fake_take(f, 4ull * n, 8));
		fake_base(f);
	}
	f->place.num_syms = fake_va(fake_blob(f, &n, 4, align));
	f->place.names = fake_va(fake_blob(f, p.names.data, p.names.len, align));
	fake_blob(f, p.markers.data, p.markers.len, align);
	if (f->o.layout == FAKE_SEQS)
		fake_blob(f, p.seqs.data, p.seqs.len, align);
	f->place.token_table =
		fake_va(fake_blob(f, p.table.data, p.table.len, align));
	f->place.token_index =
		fake_va(fake_blob(f, p.index.data, p.index.len, align));
	if (!old) {
		fake_offsets(f, fake_take(f, 4ull * n, align));
		if (f->o.layout == FAKE_NEW)
			fake_base(f);
	}
	herd_buf_deinit(&p.names);
	herd_buf_deinit(&p.markers);
	herd_buf_deinit(&p.seqs);
	herd_buf_deinit(&p.table);
	herd_buf_deinit(&p.index);
}

/* ---- the whole ---- */

static inline void fake_info(struct fake_kernel *f, uint64_t uts)
{
	char *p = fake_at(f, INFO_PHYS);
	int n = snprintf(p, 2048,
			 "OSRELEASE=%s\nBUILD-ID=00112233445566778899aabbccddee"
			 "ff00112233\nPAGESIZE=4096\n"
			 "SYMBOL(init_uts_ns)=%llx\nOFFSET(uts_namespace.name)="
			 "4\nSYMBOL(swapper_pg_dir)=%llx\nSYMBOL(_stext)=%llx\n"
			 "NUMBER(PG_lru)=4\nNUMBER(phys_base)=%lld\n"
			 "NUMBER(pgtable_l5_enabled)=%d\nKERNELOFFSET=%llx\n"
			 "NUMBER(sme_mask)=%llu\n",
			 FAKE_RELEASE, (unsigned long long)fake_va(uts),
			 (unsigned long long)fake_va(f->pgd),
			 (unsigned long long)FAKE_TEXT,
			 (long long)(TEXT_PHYS - (FAKE_TEXT - FAKE_MAP)),
			 f->o.levels == 5,
			 (unsigned long long)(FAKE_TEXT - FAKE_MAP - 0x1000000),
			 (unsigned long long)f->o.sme);

	if (f->o.info_lacks_kallsyms)
		return;
	n += snprintf(p + n, 1024,
		      "SYMBOL(kallsyms_names)=%llx\n"
		      "SYMBOL(kallsyms_num_syms)=%llx\n"
		      "SYMBOL(kallsyms_token_table)=%llx\n"
		      "SYMBOL(kallsyms_token_index)=%llx\n"
		      "SYMBOL(kallsyms_offsets)=%llx\n",
		      (unsigned long long)f->place.names,
		      (unsigned long long)f->place.num_syms,
		      (unsigned long long)f->place.token_table,
		      (unsigned long long)f->place.token_index,
		      (unsigned long long)f->place.offsets);
	if (f->place.relative_base)
		snprintf(p + n, 256, "SYMBOL(kallsyms_relative_base)=%llx\n",
			 (unsigned long long)f->place.relative_base);
}

static inline uint64_t fake_data(struct fake_kernel *f, const char *name,
				 const void *p, size_t len)
{
	uint64_t at = fake_blob(f, p, len, 8);

	fake_symbol(f, 'D', name, fake_va(at));
	return at;
}

static inline uint64_t fake_variables(struct fake_kernel *f)
{
	uint64_t page_offset = fake_page_offset(f);
	uint64_t vmemmap = page_offset + 0x10000000, percpu[2];
	uint64_t info = page_offset + INFO_PHYS, zero = 0;
	uint32_t cpus = 2;
	char uts[400] = "";

	memcpy(uts + 4, "Linux", 5);
	memcpy(uts + 4 + 65, "host", 4);
	memcpy(uts + 4 + 130, FAKE_RELEASE, sizeof(FAKE_RELEASE));
	percpu[0] = page_offset + 0x100000;
	percpu[1] = page_offset + 0x110000;
	fake_data(f, "page_offset_base", &page_offset, 8);
	fake_data(f, "vmemmap_base", &vmemmap, 8);
	fake_data(f, "__per_cpu_offset", percpu, 16);
	fake_data(f, "nr_cpu_ids", &cpus, 4);
	fake_data(f, "vmcoreinfo_data", &info, 8);
	fake_data(f, "init_task", &zero, 8);
	fake_data(f, "linux_banner", FAKE_BANNER "\n", sizeof(FAKE_BANNER) + 1);
	if (f->o.layout != FAKE_7 && !f->o.no_percpu_rule)
		fake_symbol(f, 'A', "cpu_thing", 0x1000);
	return fake_data(f, "init_uts_ns", uts, sizeof(uts));
}

static inline void fake_make(struct fake_kernel *f,
			     const struct fake_options *o)
{
	uint64_t uts;

	memset(f, 0, sizeof(*f));
	f->o = *o;
	f->memory = calloc(1, FAKE_SIZE);
	if (!f->memory)
		abort();
	f->next = TEXT_PHYS + 0x10000;	/* after the text */
	fake_symbol(f, 'T', "_text", FAKE_TEXT);
	for (unsigned i = 0; i < FAKE_FILLERS; i++) {
		char name[64];

		snprintf(name, sizeof(name), "filler_%u", i);
		fake_symbol(f, i % 2 ? 't' : 'T', name,
			    FAKE_TEXT + 0x40 + 0x20ull * i);
	}
	fake_symbol(f, 'T', "_stext", FAKE_TEXT);
	fake_tables(f);
	uts = fake_variables(f);
	if (!f->o.no_btf) {
		size_t len;
		uint8_t *btf = fake_btf(&len);
		uint64_t at = fake_blob(f, btf, len, 8);

		fake_symbol(f, 'R', "__start_BTF", fake_va(at));
		fake_symbol(f, 'R', "__stop_BTF", fake_va(at + len));
		free(btf);
	}
	fake_symbol(f, 'B', "_end", fake_va(INFO_PHYS));
	if (!f->o.no_kallsyms)
		fake_kallsyms(f);
	if (!f->o.no_info)
		fake_info(f, uts);
}

static inline struct herd_phys *fake_phys(struct fake_kernel *f,
					  struct herd_source **ret)
{
	struct herd_phys *p;

	if (herd_source_from_memory("memory", f->memory, FAKE_SIZE, ret) ||
	    herd_phys_create(*ret, &p))
		abort();
	return p;
}
static inline void fake_free(struct fake_kernel *f)
{
	free(f->memory);
	f->memory = NULL;
}

#endif
