/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A small physical memory made by hand, with the page tables of one process
 * and a machine that says what is mapped: a page of each kind that a dump can
 * meet. Frame 0 is left alone, tables are taken from frame 1 on, content is
 * from DF_CONTENT on: each such frame begins with its number.
 */
#ifndef DUMP_FIXTURE_H
#define DUMP_FIXTURE_H

#include "index/memory/core.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <cmocka.h>

#define DF_FRAMES 640u
#define DF_CONTENT 64u
#define DF_GAP 600u	/* … 619 are not in the image */
#define DF_HOLE 620u	/* … 639 are a hole of its file: zeros */
#define DF_HUGE 512u	/* 2 MiB from here on, cut short by gap, hole and end */

#define DF_P 1ull	/* present */
#define DF_RW 7ull	/* present, writable, user */
#define DF_SWAPPED ((1ull << 59) | (~5ull << 14 >> 5 & ~(31ull << 59) & ~0x1ffull))
#define DF_MIGRATING (31ull << 59 | 2)
#define DF_PROTNONE(frame) ((~((uint64_t)(frame) * HERD_PAGE) & \
			     0x000ffffffffff000ull) | 0x100)

#define DF_TEXT 0x400000ull	/* a file of the disk's, 8 pages */
#define DF_ANON 0x600000ull	/* 16 pages */
#define DF_MEMFD 0x700000ull	/* 4 */
#define DF_GONE 0x800000ull	/* 2, of a file that the disk has not got */
#define DF_DEVICE 0x900000ull	/* 2, of a device */
#define DF_BIG 0x40000000ull	/* a large page, and 1 GiB behind it */
#define DF_VDSO 0x7ffff7fc0000ull	/* 2 */
#define DF_STACK 0x7ffffffde000ull	/* 2 */

enum { DF_FILE_TEXT, DF_FILE_MEMFD, DF_FILE_GONE, DF_FILE_DEVICE, DF_FILES };

struct df {
	struct herd_source source;
	uint8_t *ram;
	unsigned tables;	/* frames that tables have so far */
	struct herd_extents there;
	struct herd_phys *phys;
	uint8_t disk[8 * HERD_PAGE];
	int disk_says;
	struct herd_cached_run runs[4];
	struct herd_mfile files[DF_FILES];
	struct herd_vma vmas[10];
	struct herd_fd fds[4];
	struct herd_thread threads[3];
	struct herd_process process;
	struct herd_machine m;
};

static inline int df_read_ram(struct herd_source *s, void *buf, size_t len,
			      uint64_t off, struct herd_diag *diag)
{
	struct df *f = (struct df *)s;

	(void)diag;
	for (uint64_t at = off / HERD_PAGE; at * HERD_PAGE < off + len; at++)
		if (at >= DF_GAP && at < DF_HOLE)
			return -ENODATA;
	memcpy(buf, f->ram + off, len);
	return 0;
}
static inline int df_data(struct herd_source *s, struct herd_extents *ret,
			  struct herd_diag *diag)
{
	(void)s;
	(void)diag;
	return herd_extents_add(ret, 0, DF_GAP * HERD_PAGE);
}

static inline uint8_t *df_frame(struct df *f, uint64_t n)
{
	return f->ram + n * HERD_PAGE;
}

/* The entry for va in a table of that level, tables made on the way. */
static inline uint64_t *df_entry(struct df *f, uint64_t va, unsigned level)
{
	uint64_t *table = (uint64_t *)df_frame(f, 1);

	for (unsigned l = f->process.space.levels;; l--) {
		uint64_t *e = &table[va >> (3 + 9 * l) & 511];

		if (l == level)
			return e;
		if (!*e) {
			assert_true(f->tables < DF_CONTENT - 1);
			*e = (uint64_t)(1 + f->tables++) * HERD_PAGE | DF_RW;
		}
		table = (uint64_t *)df_frame(f, *e / HERD_PAGE);
	}
}

static inline void df_map(struct df *f, uint64_t va, uint64_t entry)
{
	*df_entry(f, va, 1) = entry;
}

static inline int df_disk(void *arg, const struct herd_mfile *file,
			  uint64_t off, void *buf, size_t len)
{
	struct df *f = arg;

	if (f->disk_says)
		return f->disk_says;
	if (file != &f->files[DF_FILE_TEXT])
		return -ENOENT;
	memset(buf, 0, len);
	if (off < file->size)
		memcpy(buf, f->disk + off,
		       len < file->size - off ? len : file->size - off);
	return 0;
}
static inline int df_has(void *arg, const struct herd_mfile *file)
{
	uint8_t byte;

	return df_disk(arg, file, 0, &byte, 0);
}

static inline struct herd_vma df_vma(uint64_t start, uint64_t pages,
				     uint64_t flags, uint32_t file,
				     const char *name)
{
	return (struct herd_vma){ .start = start,
				  .end = start + pages * HERD_PAGE,
				  .flags = flags, .file = file,
				  .name = (char *)name };
}

static inline void df_machine(struct df *f)
{
	const uint64_t rx = HERD_VM_READ | HERD_VM_EXEC;
	const uint64_t rw = HERD_VM_READ | HERD_VM_WRITE;
	const struct herd_vma vmas[] = {
		df_vma(DF_TEXT, 8, rx, DF_FILE_TEXT, ""),
		df_vma(DF_ANON, 16, rw, HERD_NO_INDEX, "[heap]"),
		df_vma(DF_MEMFD, 4, rx | HERD_VM_SHARED, DF_FILE_MEMFD, ""),
		df_vma(DF_GONE, 2, rx, DF_FILE_GONE, ""),
		df_vma(DF_DEVICE, 2, rw | HERD_VM_IO, DF_FILE_DEVICE, ""),
		df_vma(DF_BIG, 0x40000 + 512, rw, HERD_NO_INDEX, ""),
		df_vma(DF_VDSO, 2, rx, HERD_NO_INDEX, "[vdso]"),
		df_vma(DF_STACK, 2, rw, HERD_NO_INDEX, "[stack]"),
	};

	f->runs[0] = (struct herd_cached_run){ .index = 0, .pages = 2,
		.phys = DF_CONTENT * HERD_PAGE };
	f->runs[1] = (struct herd_cached_run){ .index = 4, .pages = 1,
		.phys = (DF_CONTENT + 4) * HERD_PAGE };
	f->runs[2] = (struct herd_cached_run){ .index = 1, .pages = 1,
		.phys = (DF_CONTENT + 8) * HERD_PAGE };
	f->files[DF_FILE_TEXT] = (struct herd_mfile){
		.path = (char *)"/usr/bin/x", .fs = (char *)"ext4",
		.mode = S_IFREG | 0755, .size = 6 * HERD_PAGE + 100, .ino = 12,
		.dev_major = 8, .dev_minor = 1,
		.cached = f->runs, .n_cached = 2 };
	f->files[DF_FILE_MEMFD] = (struct herd_mfile){
		.path = (char *)"/memfd:x", .fs = (char *)"tmpfs",
		.kind = HERD_MFILE_MEMFD, .deleted = true, .ino = 77,
		.mode = S_IFREG | 0777, .size = 3 * HERD_PAGE,
		.cached = &f->runs[2], .n_cached = 1 };
	f->files[DF_FILE_GONE] = (struct herd_mfile){
		.path = (char *)"/opt/gone", .fs = (char *)"ext4",
		.deleted = true, .mode = S_IFREG | 0755,
		.size = 2 * HERD_PAGE };
	f->files[DF_FILE_DEVICE] = (struct herd_mfile){
		.path = (char *)"/dev/mem", .fs = (char *)"devtmpfs",
		.kind = HERD_MFILE_DEVICE, .mode = S_IFCHR | 0600 };
	memcpy(f->vmas, vmas, sizeof(vmas));
	for (int i = 0; i < 3; i++)
		f->threads[i] = (struct herd_thread){
			.tid = 812 + i, .state = 'S', .has_regs = i < 2,
			.regs = { [16] = DF_TEXT + 0x10 + (uint64_t)i,
				  [17] = 0x33, [18] = 0x202,
				  [19] = DF_STACK + 0x100, [20] = 0x2b } };
	f->process.pid = 812;
	f->process.ppid = 1;
	strcpy(f->process.comm, "x");
	f->process.state = 'S';
	f->process.exe = DF_FILE_TEXT;
	f->process.exe_target = f->process.cwd = f->process.root =
		f->process.cgroup = f->process.problem = (char *)"";
	f->process.argv = (char *)"x\0-d";
	f->process.n_argv = 5;
	f->process.environ = (char *)"";
	f->process.auxv[0] = 6;	/* AT_PAGESZ */
	f->process.auxv[1] = HERD_PAGE;
	f->process.n_auxv = 2;
	f->process.vmas = f->vmas;
	f->process.n_vmas = ARRAY_SIZE(vmas);
	f->process.threads = f->threads;
	f->process.n_threads = 3;
	f->m = (struct herd_machine){ .processes = &f->process,
		.n_processes = 1, .files = f->files, .n_files = DF_FILES };
}

static inline void df_tables(struct df *f)
{
	df_map(f, DF_TEXT, DF_CONTENT * HERD_PAGE | 5);
	df_map(f, DF_TEXT + 3 * HERD_PAGE, (DF_CONTENT + 3) * HERD_PAGE | 5);
	df_map(f, DF_ANON, (DF_CONTENT + 20) * HERD_PAGE | DF_RW);
	df_map(f, DF_ANON + HERD_PAGE, DF_SWAPPED);
	df_map(f, DF_ANON + 2 * HERD_PAGE, DF_MIGRATING);
	df_map(f, DF_ANON + 3 * HERD_PAGE, DF_PROTNONE(DF_CONTENT + 23));
	df_map(f, DF_ANON + 4 * HERD_PAGE, DF_GAP * HERD_PAGE | DF_RW);
	df_map(f, DF_ANON + 5 * HERD_PAGE, DF_HOLE * HERD_PAGE | DF_RW);
	*df_entry(f, DF_BIG, 2) = DF_HUGE * HERD_PAGE | DF_RW | 0x80;
	/* the vDSO's second page was touched, its first was not */
	memcpy(df_frame(f, DF_CONTENT + 30), "\177ELF", 4);
	df_map(f, DF_VDSO + HERD_PAGE, (DF_CONTENT + 31) * HERD_PAGE | 5);
	df_map(f, DF_STACK + HERD_PAGE, (DF_CONTENT + 40) * HERD_PAGE | DF_RW);
}

static inline void df_setup(struct df *f, uint8_t levels)
{
	static const struct herd_source_ops ops = {
		.kind = "ram", .read = df_read_ram, .data_extents = df_data };

	memset(f, 0, sizeof(*f));
	f->ram = calloc(DF_FRAMES, HERD_PAGE);
	assert_non_null(f->ram);
	f->source = (struct herd_source){ .ops = &ops, .name = (char *)"ram",
					  .size = DF_FRAMES * HERD_PAGE };
	for (uint32_t i = DF_CONTENT; i < DF_HOLE; i++)
		snprintf((char *)df_frame(f, i), HERD_PAGE, "frame %u", i);
	for (size_t i = 0; i < sizeof(f->disk); i++)
		f->disk[i] = (uint8_t)(1 + i / HERD_PAGE);
	f->tables = 1;
	f->process.space = (struct herd_space){ .pgd = HERD_PAGE,
						.levels = levels };
	df_machine(f);
	df_tables(f);
	assert_int_equal(herd_source_data(&f->source, &f->there, NULL), 0);
	assert_int_equal(herd_phys_create(&f->source, &f->phys), 0);
}

static inline void df_teardown(struct df *f)
{
	herd_phys_destroy(f->phys);
	herd_extents_deinit(&f->there);
	free(f->ram);
}

static inline struct herd_dump *df_dump(struct df *f)
{
	const struct herd_dump_make how = { &f->m, f->phys, &f->there, df_has,
					    f };
	struct herd_dump *d = NULL;

	assert_int_equal(herd_dump_create(&how, 0, &d), 0);
	return d;
}

#endif
