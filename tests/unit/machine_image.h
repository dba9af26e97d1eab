/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Images of real guests for tests of what reads them, over a source that can
 * be told to lie. HERDFS_MEMORY_IMAGES names a folder with one folder a guest,
 * memory.raw in it (tests/lab/memory_guest.sh makes them); without it there is
 * nothing to read and the tests are skipped.
 */
#ifndef HERD_TEST_MACHINE_IMAGE_H
#define HERD_TEST_MACHINE_IMAGE_H

#include "acquire/base/cleanup.h"
#include "acquire/base/diag.h"
#include "index/memory/machine.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <cmocka.h>

/* ---- a source over a file, which can be told to lie ---- */

#define PATCHES_MAX 256u
#define PAGES_SEEN_MAX (1u << 20)
#define GAPS_MAX 4u

struct patch {
	uint64_t at, value;
};
struct lying {
	struct herd_source s;
	int fd;
	bool lies;
	struct patch patches[PATCHES_MAX];
	size_t n_patches;
	unsigned holes; /* of so many pages one cannot be read; 0: all can */
	uint64_t salt;	/* which */
	uint64_t gaps[GAPS_MAX]; /* pages that cannot be read */
	size_t n_gaps;
	bool notes;	/* which pages are read */
	uint8_t *seen;	/* a byte a page */
};

static inline void lie(const struct lying *l, uint8_t *buf, size_t len,
		       uint64_t off)
{
	for (size_t i = 0; i < l->n_patches; i++) {
		const struct patch *p = &l->patches[i];

		if (p->at >= off && p->at + 8 <= off + len)
			memcpy(buf + (p->at - off), &p->value, 8);
	}
}

static inline int lying_read(struct herd_source *s, void *buf, size_t len,
			     uint64_t off, struct herd_diag *diag)
{
	struct lying *l = (struct lying *)s;

	(void)diag;
	for (uint64_t at = off / HERD_PAGE;
	     l->lies && l->holes && at <= (off + len - 1) / HERD_PAGE; at++)
		if (((at + l->salt) * 0x9e3779b97f4a7c15ULL >> 32) % l->holes ==
		    0)
			return -EIO;
	for (size_t i = 0; l->lies && i < l->n_gaps; i++)
		if (l->gaps[i] >= off / HERD_PAGE &&
		    l->gaps[i] <= (off + len - 1) / HERD_PAGE)
			return -EIO;
	if (pread(l->fd, buf, len, (off_t)off) != (ssize_t)len)
		return -EIO;
	if (l->lies)
		lie(l, buf, len, off);
	for (uint64_t at = off; l->notes && at < off + len; at += HERD_PAGE)
		if (at / HERD_PAGE < PAGES_SEEN_MAX)
			l->seen[at / HERD_PAGE] = 1;
	return 0;
}

static const struct herd_source_ops lying_ops = {
	.kind = "raw",
	.read = lying_read,
};

/* NULL: no such image here, and the test is skipped. */
static inline struct lying *open_image(const char *guest)
{
	const char *folder = getenv("HERDFS_MEMORY_IMAGES");
	struct lying *l;
	struct stat st;
	char path[4096];
	int fd;

	snprintf(path, sizeof(path), "%s/%s/memory.raw", folder ? folder : "",
		 guest);
	fd = folder ? open(path, O_RDONLY | O_CLOEXEC) : -1;
	if (fd < 0) {
		print_message("HERDFS_MEMORY_IMAGES has no %s/memory.raw\n",
			      guest);
		return NULL;
	}
	l = calloc(1, sizeof(*l));
	assert_non_null(l);
	l->seen = calloc(PAGES_SEEN_MAX, 1);
	assert_non_null(l->seen);
	assert_int_equal(fstat(fd, &st), 0);
	l->fd = fd;
	l->s = (struct herd_source){ .ops = &lying_ops,
				     .name = strdup(path),
				     .size = (uint64_t)st.st_size };
	return l;
}

static inline void close_image(struct lying *l)
{
	close(l->fd);
	free(l->s.name);
	free(l->seen);
	free(l);
}

/* Reads the parts; the kernel is found before the source begins to lie. */
static inline struct herd_machine *read_machine(struct lying *l, unsigned parts)
{
	static const struct herd_kernel_options none = { 0 };
	struct herd_machine *m = NULL;
	struct herd_phys *phys = NULL;
	struct herd_kernel *k = NULL;
	struct herd_diag diag;
	bool lies = l->lies;
	int err;

	herd_diag_clear(&diag);
	l->lies = false;
	assert_int_equal(herd_phys_create(&l->s, &phys), 0);
	err = herd_kernel_open(phys, NULL, &none, &k, &diag);
	if (err)
		fail_msg("%s", diag.message);
	l->lies = lies;
	err = herd_machine_read(k, NULL, parts, &m, &diag);
	if (err && !lies)
		fail_msg("%s", diag.message);
	herd_kernel_close(k);
	herd_phys_destroy(phys);
	return m;
}

#define MINE \
	(HERD_READ_TASKS | HERD_READ_FILES | HERD_READ_CACHE | HERD_READ_KERNEL)

/* ---- what must hold whatever the image says ---- */

static inline void check_files(const struct herd_machine *m)
{
	for (size_t i = 0; i < m->n_files; i++) {
		const struct herd_mfile *f = &m->files[i];
		uint64_t pages = 0, next = 0;

		assert_non_null(f->path);
		assert_non_null(f->fs);
		for (size_t j = 0; j < f->n_cached; j++) {
			assert_true(f->cached[j].pages > 0);
			assert_true(f->cached[j].index >= next);
			next = f->cached[j].index + f->cached[j].pages;
			pages += f->cached[j].pages;
			assert_int_equal(f->cached[j].phys % HERD_PAGE, 0);
		}
		assert_int_equal(pages, f->cached_pages);
	}
}

static inline void check_processes(const struct herd_machine *m)
{
	for (size_t i = 0; i < m->n_processes; i++) {
		const struct herd_process *p = &m->processes[i];

		for (size_t j = 0; j < p->n_fds; j++) {
			const struct herd_fd *fd = &p->fds[j];

			assert_non_null(fd->target);
			assert_true(fd->file < m->n_files);
			assert_true(fd->socket == HERD_NO_INDEX ||
				    fd->socket < m->n_sockets);
			assert_true(!j || fd->fd > p->fds[j - 1].fd);
		}
	}
}

static inline void check_machine(const struct herd_machine *m)
{
	check_files(m);
	check_processes(m);
	for (size_t i = 0; i < m->n_sockets; i++)
		assert_non_null(m->sockets[i].path);
	for (size_t i = 0; i < m->n_modules; i++) {
		assert_non_null(m->modules[i].used_by);
		assert_true(memchr(m->modules[i].name, 0,
				   sizeof(m->modules[i].name)) != NULL);
		assert_true(memchr(m->modules[i].srcversion, 0,
				   sizeof(m->modules[i].srcversion)) != NULL);
	}
	for (size_t i = 0; i < m->n_hooks; i++) {
		assert_non_null(m->hooks[i].name);
		assert_non_null(m->hooks[i].target_name);
	}
}

/* ---- images that are changed on purpose ---- */

static inline struct herd_kernel *kernel_of(struct lying *l,
					    struct herd_phys **phys)
{
	static const struct herd_kernel_options none = { 0 };
	struct herd_kernel *k = NULL;

	l->lies = false;
	assert_int_equal(herd_phys_create(&l->s, phys), 0);
	assert_int_equal(herd_kernel_open(*phys, NULL, &none, &k, NULL), 0);
	return k;
}

/* Eight bytes at a kernel address become value. */
static inline void patch(struct lying *l, struct herd_phys *phys,
			 struct herd_kernel *k, uint64_t va, uint64_t value)
{
	struct herd_mapping map;

	herd_space_look(phys, herd_kernel_space(k), va, &map);
	assert_int_equal(map.state, HERD_PAGE_PRESENT);
	assert_true(l->n_patches < PATCHES_MAX);
	l->patches[l->n_patches++] = (struct patch){ map.phys, value };
}

/* The page at a kernel address is missing. */
static inline void gap(struct lying *l, struct herd_phys *phys,
		       struct herd_kernel *k, uint64_t va)
{
	struct herd_mapping map;

	herd_space_look(phys, herd_kernel_space(k), va, &map);
	assert_int_equal(map.state, HERD_PAGE_PRESENT);
	assert_true(l->n_gaps < GAPS_MAX);
	l->gaps[l->n_gaps++] = map.phys / HERD_PAGE;
}

static inline uint64_t symbol(struct herd_kernel *k, const char *name)
{
	uint64_t va = 0;

	if (herd_kernel_symbol(k, name, &va))
		fail_msg("no symbol %s", name);
	return va;
}

static inline const struct herd_module *
module_named(const struct herd_machine *m, const char *name)
{
	for (size_t i = 0; i < m->n_modules; i++)
		if (!strcmp(m->modules[i].name, name))
			return &m->modules[i];
	return NULL;
}

#endif
