/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The map of a process's memory and the core made of it, over a memory with a
 * page of each kind: where bytes come from, which are missing, that every way
 * of reading gives the same, and that hostile tables and VMAs end.
 */
#include "dump_fixture.h"

#include "acquire/base/cleanup.h"
#include "index/memory_files.h"

#include <elf.h>
#include <fcntl.h>
#include <unistd.h>

static int setup(void **state)
{
	struct df *f = malloc(sizeof(*f));

	df_setup(f, 4);
	*state = f;
	return 0;
}

static int setup_five(void **state)
{
	struct df *f = malloc(sizeof(*f));

	df_setup(f, 5);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	df_teardown(*state);
	free(*state);
	return 0;
}

static const struct {
	uint64_t va;
	enum herd_dump_kind kind;
	const char *text;	/* the page begins so; NULL: zeros */
} pages[] = {
	{ DF_TEXT, HERD_DUMP_IMAGE, "frame 64" },
	{ DF_TEXT + 1 * HERD_PAGE, HERD_DUMP_CACHE, "frame 65" },
	{ DF_TEXT + 2 * HERD_PAGE, HERD_DUMP_DISK, "\3\3" },
	{ DF_TEXT + 3 * HERD_PAGE, HERD_DUMP_IMAGE, "frame 67" },
	{ DF_TEXT + 4 * HERD_PAGE, HERD_DUMP_CACHE, "frame 68" },
	{ DF_TEXT + 5 * HERD_PAGE, HERD_DUMP_DISK, "\6\6" },
	{ DF_TEXT + 6 * HERD_PAGE, HERD_DUMP_DISK, "\7\7" },
	{ DF_TEXT + 7 * HERD_PAGE, HERD_DUMP_ZERO, NULL },
	{ DF_TEXT + 8 * HERD_PAGE, HERD_DUMP_OUTSIDE, NULL },
	{ DF_ANON, HERD_DUMP_IMAGE, "frame 84" },
	{ DF_ANON + 1 * HERD_PAGE, HERD_DUMP_SWAPPED, NULL },
	{ DF_ANON + 2 * HERD_PAGE, HERD_DUMP_SPECIAL, NULL },
	{ DF_ANON + 3 * HERD_PAGE, HERD_DUMP_IMAGE, "frame 87" },
	{ DF_ANON + 4 * HERD_PAGE, HERD_DUMP_GAP, NULL },
	{ DF_ANON + 5 * HERD_PAGE, HERD_DUMP_ZERO, NULL },
	{ DF_ANON + 6 * HERD_PAGE, HERD_DUMP_ZERO, NULL },
	{ DF_ANON + 15 * HERD_PAGE, HERD_DUMP_ZERO, NULL },
	{ DF_MEMFD, HERD_DUMP_UNBACKED, NULL },
	{ DF_MEMFD + 1 * HERD_PAGE, HERD_DUMP_CACHE, "frame 72" },
	{ DF_MEMFD + 2 * HERD_PAGE, HERD_DUMP_UNBACKED, NULL },
	{ DF_MEMFD + 3 * HERD_PAGE, HERD_DUMP_ZERO, NULL },
	{ DF_GONE, HERD_DUMP_NO_FILE, NULL },
	{ DF_DEVICE, HERD_DUMP_DEVICE, NULL },
	{ DF_BIG, HERD_DUMP_IMAGE, "frame 512" },
	{ DF_BIG + 87 * HERD_PAGE, HERD_DUMP_IMAGE, "frame 599" },
	{ DF_BIG + 88 * HERD_PAGE, HERD_DUMP_GAP, NULL },
	{ DF_BIG + 108 * HERD_PAGE, HERD_DUMP_ZERO, NULL },
	{ DF_BIG + 128 * HERD_PAGE, HERD_DUMP_GAP, NULL },
	{ DF_BIG + 512 * HERD_PAGE, HERD_DUMP_ZERO, NULL },
	{ DF_VDSO, HERD_DUMP_IMAGE, "\177ELF" },
	{ DF_VDSO + HERD_PAGE, HERD_DUMP_IMAGE, "frame 95" },
	{ DF_STACK, HERD_DUMP_ZERO, NULL },
	{ DF_STACK + HERD_PAGE, HERD_DUMP_IMAGE, "frame 104" },
	{ DF_STACK + 2 * HERD_PAGE, HERD_DUMP_OUTSIDE, NULL },
	{ 0, HERD_DUMP_OUTSIDE, NULL },
	{ UINT64_MAX - HERD_PAGE, HERD_DUMP_OUTSIDE, NULL },
};

static void each_kind_of_page(void **state)
{
	static const uint8_t zeros[HERD_PAGE];
	struct df *f = *state;
	struct herd_dump *d = df_dump(f);
	const struct herd_dump_sources s = { &f->source, df_disk, f };

	for (size_t i = 0; i < ARRAY_SIZE(pages); i++) {
		struct herd_dump_piece p = herd_dump_at(d, pages[i].va);
		uint8_t page[HERD_PAGE];

		if (p.kind != pages[i].kind)
			fail_msg("page %zu (%llx): %s", i,
				 (unsigned long long)pages[i].va,
				 herd_dump_kind_name(p.kind));
		assert_true(p.start <= pages[i].va && p.end > pages[i].va);
		memset(page, 0xee, sizeof(page));
		assert_int_equal(herd_dump_read(d, &f->m, &s, pages[i].va, page,
						sizeof(page), NULL), 0);
		if (pages[i].text)
			assert_memory_equal(page, pages[i].text,
					    strlen(pages[i].text));
		else
			assert_memory_equal(page, zeros, sizeof(page));
	}
	herd_dump_destroy(d);
}

static void counts_are_of_all(void **state)
{
	struct df *f = *state;
	struct herd_dump *d = df_dump(f);
	uint64_t of[HERD_DUMP_KINDS], sum = 0, all = 0;

	herd_dump_count(d, 0, UINT64_MAX, of);
	for (size_t i = 0; i < f->process.n_vmas; i++)
		all += f->vmas[i].end - f->vmas[i].start;
	for (unsigned k = 0; k < HERD_DUMP_KINDS; k++)
		sum += of[k];
	assert_int_equal(sum, all);
	assert_int_equal(of[HERD_DUMP_DISK], 3 * HERD_PAGE);
	assert_int_equal(of[HERD_DUMP_CACHE], 3 * HERD_PAGE);
	assert_int_equal(of[HERD_DUMP_SWAPPED], HERD_PAGE);
	assert_int_equal(of[HERD_DUMP_GAP], (1 + 20 + 512 - 128) * HERD_PAGE);
	/* of a part, cut inside of stretches */
	herd_dump_count(d, DF_TEXT + 100, DF_TEXT + HERD_PAGE + 1, of);
	assert_int_equal(of[HERD_DUMP_IMAGE], HERD_PAGE - 100);
	assert_int_equal(of[HERD_DUMP_CACHE], 1);
	herd_dump_destroy(d);
}

/* Without a disk, or one that cannot be read. */
static void the_disk_is_gone(void **state)
{
	struct df *f = *state;
	struct herd_dump *d = df_dump(f);
	const struct herd_dump_sources s = { &f->source, df_disk, f };
	uint8_t page[HERD_PAGE];

	f->disk_says = -EIO;
	assert_int_equal(herd_dump_read(d, &f->m, &s, DF_TEXT + 2 * HERD_PAGE,
					page, sizeof(page), NULL), -EIO);
	herd_dump_destroy(d);
	d = df_dump(f);
	assert_int_equal(herd_dump_at(d, DF_TEXT + 2 * HERD_PAGE).kind,
			 HERD_DUMP_NO_FILE);
	herd_dump_destroy(d);
}

static void no_tables_no_zeros(void **state)
{
	struct df *f = *state;
	struct herd_dump *d;

	f->process.space.pgd = 0;
	d = df_dump(f);
	assert_int_equal(herd_dump_at(d, DF_STACK).kind, HERD_DUMP_GAP);
	assert_int_equal(herd_dump_at(d, DF_TEXT).kind, HERD_DUMP_CACHE);
	herd_dump_destroy(d);
	f->process.space.pgd = DF_GAP * HERD_PAGE;
	d = df_dump(f);
	assert_int_equal(herd_dump_at(d, DF_STACK).kind, HERD_DUMP_GAP);
	herd_dump_destroy(d);
}

/* Nobody can say that what a file has there is zeros. */
static void a_file_that_is_not_known(void **state)
{
	struct df *f = *state;
	struct herd_vma *gone = &f->vmas[3], *big = &f->vmas[5];
	struct herd_buf text CLEANUP_BUF = HERD_BUF_INIT;
	uint64_t of[HERD_DUMP_KINDS];
	struct herd_dump *d;

	assert_int_equal(gone->start, DF_GONE);
	assert_int_equal(big->start, DF_BIG);
	gone->file = HERD_NO_INDEX;
	d = df_dump(f);
	/* anonymous it would be empty */
	assert_int_equal(herd_dump_at(d, DF_GONE).kind, HERD_DUMP_ZERO);
	assert_int_equal(herd_dump_vma_end(d, gone), DF_GONE);
	herd_dump_destroy(d);
	gone->flags |= HERD_VMA_UNNAMED;
	d = df_dump(f);
	assert_int_equal(herd_dump_at(d, DF_GONE).kind, HERD_DUMP_UNNAMED);
	assert_true(herd_dump_kind_is_missing(HERD_DUMP_UNNAMED));
	assert_int_equal(herd_dump_vma_end(d, gone), gone->end);
	herd_dump_count(d, DF_GONE, gone->end, of);
	assert_int_equal(of[HERD_DUMP_UNNAMED], 2 * HERD_PAGE);
	herd_process_missing(&f->m, &f->process, d, &text);
	herd_buf_u8(&text, 0);
	assert_non_null(
		strstr((char *)text.data, "0000000000800000-0000000000802000"));
	assert_non_null(strstr((char *)text.data, "not known which"));
	herd_dump_destroy(d);
	/* what is mapped is as it was; much of nothing is cut, to no less than
	   a page */
	big->flags |= HERD_VMA_UNNAMED;
	gone->end = gone->start + 3 * HERD_PAGE;
	d = df_dump(f);
	assert_int_equal(herd_dump_at(d, DF_BIG).kind, HERD_DUMP_IMAGE);
	assert_int_equal(herd_dump_at(d, big->end - 1).kind, HERD_DUMP_UNNAMED);
	assert_true(herd_dump_vma_end(d, big) < big->end);
	herd_dump_destroy(d);
	big->start += 1u << 29;
	d = df_dump(f);
	assert_int_equal(herd_dump_vma_end(d, big), big->start + HERD_PAGE);
	herd_dump_destroy(d);
}

static void of_a_file(void **state)
{
	struct df *f = *state;
	const struct herd_dump_make how = { &f->m, f->phys, &f->there, df_has,
					    f };
	const struct herd_dump_sources s = { &f->source, df_disk, f };
	static const enum herd_dump_kind kinds[] = {
		HERD_DUMP_CACHE, HERD_DUMP_CACHE, HERD_DUMP_DISK,
		HERD_DUMP_DISK, HERD_DUMP_CACHE, HERD_DUMP_DISK,
		HERD_DUMP_DISK, HERD_DUMP_OUTSIDE };
	uint8_t all[6 * HERD_PAGE + 100];
	struct herd_dump *d;

	assert_int_equal(herd_dump_create_file(&how, DF_FILE_TEXT, &d), 0);
	for (uint64_t i = 0; i < ARRAY_SIZE(kinds); i++)
		assert_int_equal(herd_dump_at(d, i * HERD_PAGE).kind, kinds[i]);
	assert_int_equal(herd_dump_read(d, &f->m, &s, 0, all, sizeof(all),
					NULL), 0);
	assert_string_equal((char *)all, "frame 64");
	assert_string_equal((char *)all + 4 * HERD_PAGE, "frame 68");
	assert_int_equal(all[sizeof(all) - 1], 7);
	herd_dump_destroy(d);
	assert_int_equal(herd_dump_create_file(&how, DF_FILE_MEMFD, &d), 0);
	assert_int_equal(herd_dump_at(d, 0).kind, HERD_DUMP_UNBACKED);
	assert_int_equal(herd_dump_at(d, HERD_PAGE).kind, HERD_DUMP_CACHE);
	herd_dump_destroy(d);
}

/* ---- cores ---- */

static void whole_core(struct df *f, const struct herd_core *c,
		       const struct herd_dump *d, uint8_t *all)
{
	const struct herd_dump_sources s = { &f->source, df_disk, f };

	assert_int_equal(herd_core_read(c, d, &f->m, &s, 0, all, c->size,
					NULL), 0);
}

/* Fewer pages of the large VMA, so that all of a core can be held. */
static void make_small(struct df *f)
{
	f->vmas[5].end = DF_BIG + 600 * HERD_PAGE;
}

static void a_core_has_all(void **state)
{
	struct df *f = *state;
	struct herd_dump *d;
	struct herd_core c;
	size_t at = 0;

	make_small(f);
	d = df_dump(f);
	assert_int_equal(herd_core_make(&f->m, 0, d, &c), 0);
	uint8_t *all = malloc(c.size);

	whole_core(f, &c, d, all);
	const Elf64_Ehdr *e = (void *)all;
	const Elf64_Phdr *p = (void *)(all + e->e_phoff);

	assert_memory_equal(e->e_ident, ELFMAG, 4);
	assert_int_equal(e->e_type, ET_CORE);
	assert_int_equal(e->e_machine, EM_X86_64);
	assert_int_equal(e->e_phnum, f->process.n_vmas + 1);
	assert_int_equal(p[0].p_type, PT_NOTE);
	for (size_t i = 0; i < f->process.n_vmas; i++) {
		const struct herd_vma *v = &f->vmas[i];
		const Elf64_Phdr *h = &p[i + 1];

		assert_int_equal(h->p_type, PT_LOAD);
		assert_int_equal(h->p_vaddr, v->start);
		assert_int_equal(h->p_memsz, v->end - v->start);
		assert_int_equal(h->p_filesz, v->flags & HERD_VM_IO ? 0 :
				 herd_dump_vma_end(d, v) - v->start);
		assert_int_equal(h->p_offset % HERD_PAGE, 0);
	}
	for (size_t i = 0; i < ARRAY_SIZE(pages); i++)
		for (size_t k = 1; pages[i].text && k < e->e_phnum; k++)
			if (pages[i].va - p[k].p_vaddr < p[k].p_filesz) {
				assert_memory_equal(all + p[k].p_offset +
					pages[i].va - p[k].p_vaddr,
					pages[i].text, strlen(pages[i].text));
				at++;
			}
	assert_true(at > 10);
	free(all);
	herd_core_deinit(&c);
	herd_dump_destroy(d);
}

struct note {
	uint32_t type;
	const uint8_t *desc;
	size_t len;
};

static size_t notes_of(const struct herd_core *c, struct note *v, size_t max)
{
	const Elf64_Ehdr *e = (void *)c->header.data;
	const Elf64_Phdr *p = (void *)(c->header.data + e->e_phoff);
	const uint8_t *at = c->header.data + p->p_offset;
	const uint8_t *end = at + p->p_filesz;
	size_t n = 0;

	while (at < end) {
		const Elf64_Nhdr *h = (void *)at;

		assert_int_equal(h->n_namesz, 5);
		assert_string_equal((char *)(h + 1), "CORE");
		assert_true(n < max);
		v[n++] = (struct note){ h->n_type, at + sizeof(*h) + 8,
					h->n_descsz };
		at += sizeof(*h) + 8 + ((h->n_descsz + 3) & ~3u);
	}
	assert_true(at == end);
	return n;
}

static void notes_of_threads_and_files(void **state)
{
	struct df *f = *state;
	struct note v[16];
	struct herd_core c;
	size_t n;

	f->threads[1].ns_tid = 7;	/* its number in a container */
	assert_int_equal(herd_core_make(&f->m, 0, NULL, &c), 0);
	n = notes_of(&c, v, ARRAY_SIZE(v));
	assert_int_equal(n, 7);
	assert_int_equal(v[0].type, NT_PRSTATUS);
	assert_int_equal(v[0].len, 336);
	assert_int_equal(v[1].type, NT_PRPSINFO);
	assert_int_equal(v[1].len, 136);
	assert_string_equal((char *)v[1].desc + 40, "x");
	assert_string_equal((char *)v[1].desc + 56, "x -d ");
	assert_int_equal(v[2].type, NT_SIGINFO);
	assert_int_equal(v[3].type, NT_AUXV);
	assert_int_equal(v[4].type, NT_FILE);
	assert_int_equal(v[5].type, NT_PRSTATUS);
	assert_int_equal(v[6].type, NT_PRSTATUS);
	for (int i = 0; i < 3; i++) {
		const struct note *t = &v[i ? 4 + i : 0];
		uint32_t tid;
		uint64_t rip;

		memcpy(&tid, t->desc + 32, 4);
		memcpy(&rip, t->desc + 112 + 16 * 8, 8);
		assert_int_equal(tid, i == 1 ? 7 : 812 + i);
		/* the third has no registers */
		assert_int_equal(rip, i < 2 ? DF_TEXT + 0x10 + i : 0);
	}
	assert_int_equal(c.threads, 3);
	assert_int_equal(c.without_registers, 1);
	/* four mappings have files */
	uint64_t words[2 + 4 * 3];
	const char *names = (char *)v[4].desc + sizeof(words);

	memcpy(words, v[4].desc, sizeof(words));
	assert_int_equal(words[0], 4);
	assert_int_equal(words[1], HERD_PAGE);
	assert_int_equal(words[2], DF_TEXT);
	assert_string_equal(names, "/usr/bin/x");
	assert_string_equal(names + 11, "/memfd:x (deleted)");
	herd_core_deinit(&c);
}

/* Anywhere, in any length, it is the same; holes are zeros. */
static void any_way_of_reading(void **state)
{
	struct df *f = *state;
	const struct herd_dump_sources s = { &f->source, df_disk, f };
	struct herd_dump *d;
	struct herd_core c;
	uint64_t seed = 7, data = 0;

	make_small(f);
	d = df_dump(f);
	assert_int_equal(herd_core_make(&f->m, 0, d, &c), 0);
	uint8_t *all = malloc(c.size), *part = malloc(c.size);

	whole_core(f, &c, d, all);
	for (int i = 0; i < 3000; i++) {
		seed = seed * 6364136223846793005ull + 1442695040888963407ull;
		uint64_t off = (seed >> 20) % c.size;
		size_t len = (size_t)((seed >> 40) % (3 * HERD_PAGE)) + 1;

		if (len > c.size - off)
			len = (size_t)(c.size - off);
		assert_int_equal(herd_core_read(&c, d, &f->m, &s, off, part,
						len, NULL), 0);
		assert_memory_equal(part, all + off, len);
	}
	for (uint64_t at = 0; at < c.size;) {
		uint64_t from = herd_core_seek(&c, d, at, false);
		uint64_t to;

		for (uint64_t k = at; k < from; k++)
			assert_int_equal(all[k], 0);
		if (from >= c.size)
			break;
		to = herd_core_seek(&c, d, from, true);
		assert_true(to > from && to <= c.size);
		assert_int_equal(herd_core_seek(&c, d, to - 1, false), to - 1);
		data += to - from;
		at = to;
	}
	assert_true(data < c.size / 2);
	free(all);
	free(part);
	herd_core_deinit(&c);
	herd_dump_destroy(d);
}

/* Every VMA is there in full, all data of it has bytes, and nothing else that is
   large; the bytes are those of the map. */
static void check_segments(struct df *f, const struct herd_core *c,
			   const struct herd_dump *d)
{
	const struct herd_dump_sources s = { &f->source, df_disk, f };
	uint8_t a[HERD_PAGE], b[HERD_PAGE];
	size_t k = 0;

	for (size_t i = 0; i < f->process.n_vmas; i++) {
		const struct herd_vma *v = &f->process.vmas[i];
		uint64_t at = v->start;

		for (; at < v->end; at += c->segments[k++].memory) {
			assert_true(k < c->n);
			assert_int_equal(c->segments[k].va, at);
		}
		assert_int_equal(at, v->end);
	}
	assert_int_equal(k, c->n);
	for (k = 0; k < c->n; k++) {
		const struct herd_core_segment *g = &c->segments[k];
		uint64_t end = g->va + g->memory;

		assert_int_equal(herd_dump_seek(d, g->va + g->len, end, false),
				 end);
		for (uint64_t at = 0; at < g->len; at += HERD_PAGE) {
			assert_int_equal(herd_core_read(c, d, &f->m, &s,
				g->offset + at, a, HERD_PAGE, NULL), 0);
			assert_int_equal(herd_dump_read(d, &f->m, &s,
				g->va + at, b, HERD_PAGE, NULL), 0);
			assert_memory_equal(a, b, HERD_PAGE);
		}
	}
}

static const struct herd_core_segment *segment_at(const struct herd_core *c,
						  uint64_t va)
{
	for (size_t i = 0; i < c->n; i++)
		if (c->segments[i].va == va)
			return &c->segments[i];
	fail_msg("no segment at %llx", (unsigned long long)va);
	return NULL;
}

/* What programs reserve and never use: tebibytes of it take no place. */
static void what_is_reserved_takes_no_place(void **state)
{
	const uint64_t tib = 1ull << 40, files = 0x200000000000ull;
	struct df *f = *state;
	struct herd_vma *v = f->vmas;
	struct herd_dump *d;
	struct herd_core c;
	uint64_t words[2 + 5 * 3];
	struct note notes[16];

	/* a page in the middle, and 15 TiB behind it */
	v[5].end = DF_BIG + 16 * tib;
	df_map(f, DF_BIG + tib, (DF_CONTENT + 50) * HERD_PAGE | DF_RW);
	/* mapped far beyond the file's end, and one that cannot be had */
	memmove(v + 8, v + 6, 2 * sizeof(*v));
	v[6] = df_vma(files, tib / HERD_PAGE, HERD_VM_READ, DF_FILE_TEXT, "");
	v[7] = df_vma(files + 2 * tib, tib / HERD_PAGE, HERD_VM_READ,
		      DF_FILE_GONE, "");
	f->files[DF_FILE_GONE].size = 4 * tib;
	f->process.n_vmas = 10;
	assert_int_equal(herd_dump_prepare(&f->m), 0);
	d = df_dump(f);
	assert_int_equal(herd_core_make(&f->m, 0, d, &c), 0);
	check_segments(f, &c, d);
	assert_true(c.size < 4u << 20);
	assert_int_equal(segment_at(&c, DF_BIG)->len, 88 * HERD_PAGE);
	assert_int_equal(segment_at(&c, DF_BIG)->memory, tib);
	assert_int_equal(segment_at(&c, DF_BIG + tib)->len, HERD_PAGE);
	assert_int_equal(segment_at(&c, files)->len, 7 * HERD_PAGE);
	assert_int_equal(segment_at(&c, files + 2 * tib)->len, 0);
	/* of vma/: no gap ends a file, but a tail does */
	assert_int_equal(herd_dump_vma_end(d, &v[5]),
			 DF_BIG + tib + HERD_PAGE);
	/* gdb takes nothing of what is cut from a file of that name */
	for (size_t i = 0, n = notes_of(&c, notes, 16); i < n; i++)
		if (notes[i].type == NT_FILE)
			memcpy(words, notes[i].desc, sizeof(words));
	assert_int_equal(words[0], 5);
	assert_int_equal(words[2 + 4 * 3], files);
	assert_int_equal(words[2 + 4 * 3 + 1], files + 7 * HERD_PAGE);
	herd_core_deinit(&c);
	/* without a map nobody knows */
	assert_int_equal(herd_core_make(&f->m, 0, NULL, &c), 0);
	assert_true(c.size > 18 * tib);
	herd_core_deinit(&c);
	herd_dump_destroy(d);
}

/* Of anonymous memory that was never touched at its end, a page is enough;
   what is missing there, or belongs to a file, stays as it is. */
static void ends_of_vmas(void **state)
{
	struct df *f = *state;
	struct herd_vma *v = f->vmas;
	struct herd_dump *d;

	v[5].end = DF_BIG + 600 * HERD_PAGE;
	d = df_dump(f);
	assert_int_equal(herd_dump_vma_end(d, &v[0]), v[0].end);
	assert_int_equal(herd_dump_vma_end(d, &v[1]), DF_ANON + 5 * HERD_PAGE);
	assert_int_equal(herd_dump_vma_end(d, &v[3]), v[3].end);
	assert_int_equal(herd_dump_vma_end(d, &v[5]), DF_BIG + 512 * HERD_PAGE);
	assert_int_equal(herd_dump_vma_end(d, &v[7]), v[7].end);
	herd_dump_destroy(d);
	/* nothing of it was ever touched */
	v[5].start = DF_BIG + 512 * HERD_PAGE;
	d = df_dump(f);
	assert_int_equal(herd_dump_vma_end(d, &v[5]), v[5].start);
	herd_dump_destroy(d);
}

static void gdb_opens_it(void **state)
{
	struct df *f = *state;
	char name[] = "/tmp/herd-core-XXXXXX", command[400], line[400];
	bool threads = false, mapped = false, third = false, zeros = false;
	struct herd_dump *d;
	struct herd_core c;
	int fd;

	if (system("command -v gdb >/dev/null 2>&1"))
		skip();
	make_small(f);
	d = df_dump(f);
	assert_int_equal(herd_core_make(&f->m, 0, d, &c), 0);
	uint8_t *all = malloc(c.size);

	whole_core(f, &c, d, all);
	fd = mkstemp(name);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, all, c.size), c.size);
	close(fd);
	snprintf(command, sizeof(command), "gdb -nx -q -batch -iex 'set "
		 "auto-load no' -ex 'info threads' -ex 'info proc mappings' "
		 "-ex 'x/s 0x%llx' -ex 'x/2xg 0x%llx' -c %s 2>&1", DF_ANON,
		 DF_ANON + 15 * HERD_PAGE, name);
	FILE *out = popen(command, "r");

	while (fgets(line, sizeof(line), out)) {
		threads |= strstr(line, "LWP 813") != NULL;
		third |= strstr(line, "LWP 814") != NULL;
		mapped |= strstr(line, "\"frame 84\"") != NULL;
		/* that has no bytes in the file */
		zeros |= strstr(line, ":\t0x0000000000000000\t0x0000") != NULL;
	}
	assert_int_equal(pclose(out), 0);
	unlink(name);
	assert_true(threads);
	assert_true(third);
	assert_true(mapped);
	assert_true(zeros);
	free(all);
	herd_core_deinit(&c);
	herd_dump_destroy(d);
}

/* ---- hostile ---- */

static void very_many_mappings(void **state)
{
	struct df *f = *state;
	const size_t n = 65536;
	struct herd_vma *v = calloc(n, sizeof(*v));
	struct herd_dump *d;
	struct herd_core c;
	uint32_t info;

	for (size_t i = 0; i < n; i++)
		v[i] = df_vma(0x10000000 + i * 2 * HERD_PAGE, 1, HERD_VM_READ,
			      DF_FILE_GONE, "");
	f->process.vmas = v;
	f->process.n_vmas = n;
	assert_int_equal(herd_dump_prepare(&f->m), 0);
	assert_int_equal(herd_core_make(&f->m, 0, NULL, &c), 0);
	const Elf64_Ehdr *e = (void *)c.header.data;

	assert_int_equal(e->e_phnum, PN_XNUM);
	assert_int_equal(e->e_shnum, 1);
	memcpy(&info, c.header.data + e->e_shoff + 44, 4);
	assert_int_equal(info, n + 1);
	assert_int_equal(c.n, n);
	/* 65536 · (24 + 20) bytes are within the limit of NT_FILE */
	assert_int_equal(c.files_left_out, 0);
	herd_core_deinit(&c);
	/* with a long name they are not */
	char *path = malloc(2001);

	memset(path, 'x', 2000);
	path[2000] = 0;
	f->files[DF_FILE_GONE].path = path;
	assert_int_equal(herd_core_make(&f->m, 0, NULL, &c), 0);
	assert_true(c.files_left_out > 60000);
	assert_true(c.header.len < (16u << 20));
	struct note notes[16];

	notes_of(&c, notes, ARRAY_SIZE(notes));
	herd_core_deinit(&c);
	d = df_dump(f);
	assert_int_equal(herd_dump_at(d, v[n - 1].start).kind,
			 HERD_DUMP_NO_FILE);
	herd_dump_destroy(d);
	free(path);
	free(v);
}

static void odd_mappings_are_in_no_dump(void **state)
{
	struct df *f = *state;
	struct herd_vma odd[] = {
		df_vma(0x10000, 4, 3, HERD_NO_INDEX, ""),
		df_vma(0x11000, 1, 3, HERD_NO_INDEX, ""),	/* in it */
		df_vma(0x20001, 1, 3, HERD_NO_INDEX, ""),	/* unaligned */
		df_vma(0x30000, 2, 3, HERD_NO_INDEX, ""),
		df_vma(0x31000, 2, 3, HERD_NO_INDEX, ""),	/* overlaps */
		df_vma(1ull << 55, 1ull << 44, 3, HERD_NO_INDEX, ""),
		df_vma(0xffffffffff600000, 1, 5, HERD_NO_INDEX, "[vsyscall]"),
	};
	struct herd_core c;

	f->process.vmas = odd;
	f->process.n_vmas = ARRAY_SIZE(odd);
	assert_int_equal(herd_dump_prepare(&f->m), 5);
	assert_int_equal(herd_core_make(&f->m, 0, NULL, &c), 0);
	assert_int_equal(c.n, 2);
	herd_core_deinit(&c);
	struct herd_dump *d = df_dump(f);

	assert_int_equal(herd_dump_at(d, 0x31000).kind, HERD_DUMP_ZERO);
	assert_int_equal(herd_dump_at(d, 0x32000).kind, HERD_DUMP_OUTSIDE);
	herd_dump_destroy(d);
}

/* A top table all of whose entries are itself: 2^36 pages, each of them that
   table. */
static void tables_that_go_round(void **state)
{
	struct df *f = *state;
	uint64_t *top = (uint64_t *)df_frame(f, 1);
	struct herd_vma v = df_vma(0x10000, (1ull << 35) - 32, 3,
				   HERD_NO_INDEX, "");
	uint64_t of[HERD_DUMP_KINDS];
	struct herd_dump *d;

	for (int i = 0; i < 512; i++)
		top[i] = HERD_PAGE | DF_RW;
	f->process.vmas = &v;
	f->process.n_vmas = 1;
	d = df_dump(f);
	herd_dump_count(d, 0, UINT64_MAX, of);
	assert_true(of[HERD_DUMP_LIMIT] > (1ull << 40));
	assert_int_equal(of[HERD_DUMP_LIMIT] + of[HERD_DUMP_IMAGE],
			 v.end - v.start);
	assert_true(herd_dump_cost(d) <= 16ull * HERD_DUMP_PIECES_MAX + 4096);
	herd_dump_destroy(d);
}

/* The same in very many VMAs, with tables that lead to nothing. */
static void tables_without_pages(void **state)
{
	struct df *f = *state;
	uint64_t *top = (uint64_t *)df_frame(f, 1);
	struct herd_vma v[256];
	struct herd_dump *d;

	memset(top, 0, HERD_PAGE);
	for (int i = 0; i < 256; i++)
		top[i] = 2 * HERD_PAGE | DF_RW;
	for (int i = 0; i < 512; i++) {	/* each level the same two tables */
		((uint64_t *)df_frame(f, 2))[i] = 3 * HERD_PAGE | DF_RW;
		((uint64_t *)df_frame(f, 3))[i] = 4 * HERD_PAGE | DF_RW;
	}
	memset(df_frame(f, 4), 0, HERD_PAGE);
	for (uint64_t i = 0; i < ARRAY_SIZE(v); i++)
		v[i] = df_vma((i << 39) + 0x10000, (1ull << 27) - 32, 3,
			      HERD_NO_INDEX, "");
	f->process.vmas = v;
	f->process.n_vmas = ARRAY_SIZE(v);
	d = df_dump(f);
	assert_int_equal(herd_dump_at(d, v[0].start).kind, HERD_DUMP_ZERO);
	assert_int_equal(herd_dump_at(d, v[255].end - 1).kind,
			 HERD_DUMP_LIMIT);
	herd_dump_destroy(d);
}

int main(void)
{
#define TEST(t) cmocka_unit_test_setup_teardown(t, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(each_kind_of_page),
		cmocka_unit_test_setup_teardown(each_kind_of_page, setup_five,
						teardown),
		TEST(counts_are_of_all),
		TEST(the_disk_is_gone),
		TEST(no_tables_no_zeros),
		TEST(a_file_that_is_not_known),
		TEST(of_a_file),
		TEST(a_core_has_all),
		TEST(notes_of_threads_and_files),
		TEST(any_way_of_reading),
		TEST(what_is_reserved_takes_no_place),
		TEST(ends_of_vmas),
		TEST(gdb_opens_it),
		TEST(very_many_mappings),
		TEST(odd_mappings_are_in_no_dump),
		TEST(tables_that_go_round),
		TEST(tables_without_pages),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
