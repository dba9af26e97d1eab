/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Pages of programs held against the disk, in a small memory made by hand:
 * frame 0 is left alone, frames 1 to 4 are the page tables of one process,
 * the rest holds what the tests put there.
 */
#include "acquire/base/sha256.h"
#include "acquire/source.h"
#include "index/memory/machine_pages.h"

#include <elf.h>
#include <errno.h>
#include <stdlib.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <cmocka.h>

#define FRAMES 600u
#define TEXT 0x400000ull /* where the program is mapped; 2 MiB aligned */
#define PAGES 8u	 /* of the file */

struct world {
	struct herd_source source;
	struct herd_phys *phys;
	uint8_t *ram, disk[PAGES * HERD_PAGE];
	int disk_says;
	unsigned asked;
	struct herd_vma vmas[2];
	struct herd_cached_run runs[4];
	struct herd_mfile files[2];
	struct herd_process processes[2];
	struct herd_machine m;
	struct herd_pages_summary sum;
};

static int ram_read(struct herd_source *s, void *buf, size_t len, uint64_t off,
		    struct herd_diag *diag)
{
	struct world *w = (struct world *)s;

	(void)diag;
	memcpy(buf, w->ram + off, len);
	return 0;
}
static const struct herd_source_ops ram_ops = { .kind = "ram",
						.read = ram_read };

static int disk_read(void *arg, const struct herd_mfile *f, uint64_t off,
		     void *buf, size_t len)
{
	struct world *w = arg;

	w->asked++;
	if (w->disk_says)
		return w->disk_says;
	memset(buf, 0, len);
	if (off < f->size)
		memcpy(buf, w->disk + off,
		       len < f->size - off ? len : f->size - off);
	return 0;
}

static uint8_t *frame(struct world *w, uint64_t n)
{
	return w->ram + n * HERD_PAGE;
}

static void entry(struct world *w, uint64_t table, uint64_t at, uint64_t value)
{
	memcpy(frame(w, table) + at * 8, &value, 8);
}

/* Maps page n of the program to a frame. */
static void map(struct world *w, uint64_t n, uint64_t to)
{
	entry(w, 4, n, to * HERD_PAGE | 5);
}

static int setup(void **state)
{
	struct world *w = calloc(1, sizeof(*w));

	if (!w)
		return -1;
	w->ram = calloc(FRAMES, HERD_PAGE);
	w->source = (struct herd_source){ .ops = &ram_ops,
					  .name = (char *)"ram",
					  .size = FRAMES * HERD_PAGE };
	for (size_t i = 0; i < sizeof(w->disk); i++)
		w->disk[i] = (uint8_t)(i * 7 + i / HERD_PAGE);
	memcpy(frame(w, 16), w->disk, sizeof(w->disk));
	entry(w, 1, 0, 2 * HERD_PAGE | 7);
	entry(w, 2, 0, 3 * HERD_PAGE | 7);
	entry(w, 3, TEXT >> 21, 4 * HERD_PAGE | 7);
	for (uint64_t i = 0; i < PAGES; i++)
		map(w, i, 16 + i);
	w->runs[0] = (struct herd_cached_run){ .index = 0,
					       .phys = 16 * HERD_PAGE,
					       .pages = PAGES };
	w->files[0] = (struct herd_mfile){ .path = (char *)"/usr/bin/x",
					   .fs = (char *)"ext4",
					   .size = sizeof(w->disk),
					   .cached = w->runs,
					   .n_cached = 1 };
	w->vmas[0] = (struct herd_vma){ .start = TEXT,
					.end = TEXT + sizeof(w->disk),
					.flags = HERD_VM_READ | HERD_VM_EXEC,
					.file = 0,
					.name = (char *)"" };
	w->processes[0] = (struct herd_process){
		.pid = 1,
		.vmas = w->vmas,
		.n_vmas = 1,
		.exe = 0,
		.space = { .pgd = HERD_PAGE, .levels = 4 },
	};
	w->m = (struct herd_machine){ .processes = w->processes,
				      .n_processes = 1,
				      .files = w->files,
				      .n_files = 1 };
	*state = w;
	return herd_phys_create(&w->source, &w->phys);
}

static int teardown(void **state)
{
	struct world *w = *state;

	herd_phys_destroy(w->phys);
	free(w->m.page_digests);
	free(w->m.page_changes);
	for (size_t i = 0; i < w->m.n_problems; i++) {
		free(w->m.problems[i].where);
		free(w->m.problems[i].text);
	}
	free(w->m.problems);
	free(w->ram);
	free(w);
	return 0;
}

static const struct herd_page_change *look(struct world *w, size_t changes)
{
	/* pages are cached, and the memory was changed since */
	herd_phys_destroy(w->phys);
	assert_int_equal(herd_phys_create(&w->source, &w->phys), 0);
	assert_int_equal(herd_machine_pages(&w->m, w->phys, disk_read, w,
					    &w->sum, NULL),
			 0);
	assert_int_equal(w->m.n_page_changes, changes);
	assert_int_equal(w->sum.changed, changes);
	return w->m.page_changes;
}

static void a_healthy_one_leaves_nothing(void **state)
{
	struct world *w = *state;

	look(w, 0);
	assert_int_equal(w->m.n_page_digests, 0);
	assert_int_equal(w->sum.files, 1);
	assert_int_equal(w->sum.pages, PAGES);
	assert_int_equal(w->sum.compared, PAGES);
	assert_int_equal(w->sum.private_pages, 0);
}

/* Many mappings of a page are one page of the file. */
static void each_page_once(void **state)
{
	struct world *w = *state;

	w->processes[1] = w->processes[0];
	w->vmas[1] = w->vmas[0];
	w->vmas[1].start += 2 * HERD_PAGE;
	w->vmas[1].offset = 2 * HERD_PAGE;
	w->processes[1].vmas = &w->vmas[1];
	w->m.n_processes = 2;
	look(w, 0);
	assert_int_equal(w->sum.pages, PAGES);
}

static void what_nobody_executes_is_not_looked_at(void **state)
{
	struct world *w = *state;

	w->vmas[0].start += 3 * HERD_PAGE;
	w->vmas[0].offset = 3 * HERD_PAGE;
	w->vmas[0].end -= HERD_PAGE;
	frame(w, 16)[5] ^= 1;
	frame(w, 16 + PAGES - 1)[5] ^= 1;
	look(w, 0);
	assert_int_equal(w->sum.pages, PAGES - 4);
	w->vmas[0].flags = HERD_VM_READ;
	look(w, 0);
	assert_int_equal(w->sum.pages, 0);
}

static void a_page_patched_in_the_cache(void **state)
{
	struct world *w = *state;
	const struct herd_page_change *c;
	uint8_t digest[32];

	frame(w, 19)[100] ^= 0xff;
	frame(w, 19)[200] ^= 0xff;
	c = look(w, 1);
	assert_int_equal(c->process, HERD_NO_INDEX);
	assert_int_equal(c->index, 3);
	assert_int_equal(c->phys, 19 * HERD_PAGE);
	assert_int_equal(c->origin, HERD_PAGE_CACHE);
	assert_int_equal(c->against, HERD_AGAINST_DISK);
	assert_int_equal(c->kind, HERD_CHANGE_OTHER);
	assert_int_equal(c->first, 100);
	assert_int_equal(c->bytes, 2);
	herd_sha256(frame(w, 19), HERD_PAGE, digest);
	assert_memory_equal(c->digest, digest, 32);
	herd_sha256(w->disk + 3 * HERD_PAGE, HERD_PAGE, digest);
	assert_memory_equal(c->other, digest, 32);
}

static void a_dirty_page_is_told_as_such(void **state)
{
	struct world *w = *state;

	frame(w, 19)[100] ^= 0xff;
	w->runs[0].dirty = true;
	assert_int_equal(look(w, 1)->kind, HERD_CHANGE_UNWRITTEN);
	assert_int_equal(w->sum.dirty, 1);
}

/* The last page is zeros behind the end of the file. */
static void behind_the_end(void **state)
{
	struct world *w = *state;
	uint8_t *last = frame(w, 16 + PAGES - 1);

	w->files[0].size -= 100;
	memset(last + HERD_PAGE - 100, 0, 100);
	look(w, 0);
	last[HERD_PAGE - 50] = 0x90;
	assert_int_equal(look(w, 1)->kind, HERD_CHANGE_TAIL);
	last[7] ^= 1;
	assert_int_equal(look(w, 1)->kind, HERD_CHANGE_OTHER);
}

static void without_a_disk_digests_are_kept(void **state)
{
	struct world *w = *state;
	uint8_t digest[32];

	w->disk_says = -ENOENT;
	look(w, 0);
	assert_int_equal(w->asked, 1); /* not for each page again */
	assert_int_equal(w->sum.unknown, PAGES);
	assert_int_equal(w->sum.errors, 0);
	assert_int_equal(w->m.n_page_digests, PAGES);
	assert_int_equal(w->m.page_digests[5].index, 5);
	herd_sha256(w->disk + 5 * HERD_PAGE, HERD_PAGE, digest);
	assert_memory_equal(w->m.page_digests[5].digest, digest, 16);
	/* nor is a disk asked for what is on none */
	w->files[0].deleted = true;
	look(w, 0);
	assert_int_equal(w->asked, 1);
	assert_int_equal(w->m.n_page_digests, PAGES);
	w->files[0].kind = HERD_MFILE_MEMFD;
	look(w, 0);
	assert_int_equal(w->m.n_page_digests, 0);
	assert_int_equal(herd_machine_pages(&w->m, w->phys, NULL, NULL, &w->sum,
					    NULL),
			 0);
}

static void errors_of_the_disk_are_counted(void **state)
{
	struct world *w = *state;

	w->disk_says = -EIO;
	look(w, 0);
	assert_int_equal(w->sum.errors, 1);
	assert_int_equal(w->m.n_problems, 1);
	assert_string_equal(w->m.problems[0].where, "pages of /usr/bin/x");
	assert_int_equal(w->m.n_page_digests, PAGES);
}

static void pages_that_the_image_lacks(void **state)
{
	struct world *w = *state;

	w->runs[0].phys = (FRAMES - 3) * HERD_PAGE;
	memcpy(frame(w, FRAMES - 3), w->disk, 3 * HERD_PAGE);
	look(w, 0);
	assert_int_equal(w->sum.pages, 3);
	assert_int_equal(w->sum.missing, PAGES - 3);
	assert_int_equal(w->sum.private_pages, PAGES);
}

static void a_private_page(void **state)
{
	struct world *w = *state;
	const struct herd_page_change *c;

	memcpy(frame(w, 100), frame(w, 18), HERD_PAGE);
	map(w, 2, 100);
	look(w, 0); /* a copy, and equal */
	assert_int_equal(w->sum.private_pages, 1);
	memset(frame(w, 100) + 64, 0xe9, 5);
	c = look(w, 1);
	assert_int_equal(c->process, 0);
	assert_int_equal(c->index, 2);
	assert_int_equal(c->va, TEXT + 2 * HERD_PAGE);
	assert_int_equal(c->phys, 100 * HERD_PAGE);
	assert_int_equal(c->origin, HERD_PAGE_PRIVATE);
	assert_int_equal(c->against, HERD_AGAINST_CACHE);
	assert_int_equal(c->kind, HERD_CHANGE_OTHER);
	assert_int_equal(c->first, 64);
	/* the cache has dropped the page */
	w->runs[0].pages = 2;
	w->runs[1] = (struct herd_cached_run){ .index = 3,
					       .phys = 19 * HERD_PAGE,
					       .pages = PAGES - 3 };
	w->files[0].n_cached = 2;
	assert_int_equal(look(w, 1)->against, HERD_AGAINST_DISK);
}

static void looked_at(struct world *w)
{
	herd_phys_destroy(w->phys);
	assert_int_equal(herd_phys_create(&w->source, &w->phys), 0);
	assert_int_equal(herd_machine_pages(&w->m, w->phys, disk_read, w,
					    &w->sum, NULL),
			 0);
}

/* The cache could not be read, and there is no such disk. */
static void nothing_to_compare_with(void **state)
{
	struct world *w = *state;
	size_t problems = w->m.n_problems;

	w->files[0].n_cached = 0;
	w->disk_says = -ENOENT;
	looked_at(w);
	assert_int_equal(w->sum.changed, 0);
	assert_int_equal(w->sum.not_comparable, PAGES);
	assert_int_equal(w->m.n_page_changes, PAGES);
	assert_int_equal(w->m.page_changes->against, HERD_AGAINST_NOTHING);
	assert_int_equal(w->m.page_changes->bytes, 0);
	assert_int_equal(w->m.n_problems, problems + 1);
	assert_int_equal(w->m.problems[problems].count, PAGES);
	assert_non_null(strstr(w->m.problems[problems].text, "not comparable"));
	/* one page of it alone */
	w->files[0].n_cached = 1;
	memset(frame(w, 100), 0xe9, HERD_PAGE);
	map(w, 2, 100);
	w->runs[0].pages = 2;
	w->runs[1] = (struct herd_cached_run){ .index = 3,
					       .phys = 19 * HERD_PAGE,
					       .pages = PAGES - 3 };
	w->files[0].n_cached = 2;
	looked_at(w);
	assert_int_equal(w->sum.changed, 0);
	assert_int_equal(w->m.n_page_changes, 1);
	assert_int_equal(w->m.page_changes->index, 2);
	/* the disk has it */
	w->disk_says = 0;
	assert_int_equal(look(w, 1)->against, HERD_AGAINST_DISK);
	assert_int_equal(w->sum.not_comparable, 0);
}

static void breakpoints_are_told_as_such(void **state)
{
	struct world *w = *state;

	memcpy(frame(w, 100), frame(w, 18), HERD_PAGE);
	map(w, 2, 100);
	frame(w, 100)[64] = frame(w, 100)[900] = 0xcc;
	assert_int_equal(look(w, 1)->kind, HERD_CHANGE_BREAKPOINTS);
	assert_int_equal(w->m.page_changes->bytes, 2);
	frame(w, 100)[901] ^= 1;
	assert_int_equal(look(w, 1)->kind, HERD_CHANGE_OTHER);
}

static void a_large_page(void **state)
{
	struct world *w = *state;

	/* the 2 MiB at frame 0: page n of the program is frame n */
	entry(w, 3, TEXT >> 21, 0x80 | 7);
	w->vmas[0].end = TEXT + 32 * HERD_PAGE;
	w->vmas[0].offset = 0;
	w->runs[0] = (struct herd_cached_run){ .index = 16,
					       .phys = 16 * HERD_PAGE,
					       .pages = PAGES };
	w->vmas[0].start = TEXT + 16 * HERD_PAGE;
	w->vmas[0].offset = 16 * HERD_PAGE;
	w->vmas[0].end = TEXT + 24 * HERD_PAGE;
	w->disk_says = -ENOENT;
	look(w, 0);
	assert_int_equal(w->sum.private_pages, 0);
	w->runs[0].phys += HERD_PAGE;
	w->runs[0].pages--;
	looked_at(w);
	assert_int_equal(w->sum.changed, PAGES - 1);
	assert_int_equal(w->sum.not_comparable, 1); /* not cached */
}

/* A library that asks for its text to be relocated. */
static void relocated_text(void **state)
{
	struct world *w = *state;
	Elf64_Ehdr e = { .e_ident = { 0x7f, 'E', 'L', 'F', ELFCLASS64,
				      ELFDATA2LSB },
			 .e_phoff = 64,
			 .e_phnum = 1 };
	Elf64_Phdr h = { .p_type = PT_DYNAMIC,
			 .p_offset = 4090,
			 .p_filesz = 48 };
	Elf64_Dyn d[3] = { { .d_tag = DT_FLAGS, .d_un.d_val = DF_TEXTREL } };

	memcpy(frame(w, 16), &e, sizeof(e));
	memcpy(frame(w, 16) + 64, &h, sizeof(h));
	memcpy(frame(w, 16) + 4090, d, sizeof(d));
	memcpy(w->disk, frame(w, 16), sizeof(w->disk));
	memcpy(frame(w, 100), frame(w, 18), HERD_PAGE);
	map(w, 2, 100);
	frame(w, 100)[64] ^= 0x77;
	assert_int_equal(look(w, 1)->kind, HERD_CHANGE_RELOCATIONS);
	frame(w, 17)[2] = 0; /* DT_FLAGS without it */
	w->disk[4098] = 0;
	assert_int_equal(look(w, 1)->kind, HERD_CHANGE_OTHER);
}

static void mappings_that_are_no_text(void **state)
{
	struct world *w = *state;

	memset(frame(w, 100), 1, HERD_PAGE);
	map(w, 2, 100);
	look(w, 1);
	w->vmas[0].flags |= HERD_VM_SHARED;
	look(w, 0);
	w->vmas[0].flags &= ~(uint64_t)HERD_VM_SHARED;
	w->vmas[0].flags |= HERD_VM_PFNMAP;
	look(w, 0);
	w->vmas[0].flags &= ~(uint64_t)HERD_VM_PFNMAP;
	w->files[0].kind = HERD_MFILE_DEVICE;
	look(w, 0);
	w->files[0].kind = HERD_MFILE_PLAIN;
	w->vmas[0].file = HERD_NO_INDEX; /* vdso, JIT */
	look(w, 0);
	assert_int_equal(w->sum.files, 0);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(a_healthy_one_leaves_nothing),
		T(each_page_once),
		T(what_nobody_executes_is_not_looked_at),
		T(a_page_patched_in_the_cache),
		T(a_dirty_page_is_told_as_such),
		T(behind_the_end),
		T(without_a_disk_digests_are_kept),
		T(errors_of_the_disk_are_counted),
		T(pages_that_the_image_lacks),
		T(a_private_page),
		T(nothing_to_compare_with),
		T(breakpoints_are_told_as_such),
		T(a_large_page),
		T(relocated_text),
		T(mappings_that_are_no_text),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
