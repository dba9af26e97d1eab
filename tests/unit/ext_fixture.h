/* SPDX-License-Identifier: Apache-2.0 */
/*
 * For the tests of the ext reader: a folder that goes away with everything
 * mounted in it, shell commands, and an image file as a source that remembers
 * what was asked of it.
 */
#ifndef HERD_TEST_EXT_FIXTURE_H
#define HERD_TEST_EXT_FIXTURE_H

#include "acquire/base/cleanup.h"
#include "index/volume.h"

#include <dirent.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

static char fixture_dir[256];

__attribute__((format(printf, 1, 2), unused))
static int sh(const char *fmt, ...)
{
	char cmd[4096];
	int n = snprintf(cmd, sizeof(cmd), "cd '%s' && { ", fixture_dir);
	va_list ap;

	va_start(ap, fmt);
	n += vsnprintf(cmd + n, sizeof(cmd) - (size_t)n, fmt, ap);
	va_end(ap);
	snprintf(cmd + n, sizeof(cmd) - (size_t)n, "\n} >>log 2>&1 </dev/null");
	return system(cmd);
}

__attribute__((unused))
static int fixture_setup(void **state)
{
	const char *tmp = getenv("TMPDIR");

	(void)state;
	snprintf(fixture_dir, sizeof(fixture_dir), "%s/herd-ext-XXXXXX",
		 tmp && *tmp ? tmp : "/tmp");
	setenv("PATH", "/usr/sbin:/sbin:/usr/bin:/bin", 1);
	return mkdtemp(fixture_dir) ? 0 : -1;
}

__attribute__((unused))
static int fixture_teardown(void **state)
{
	(void)state;
	sh("umount mnt; true");
	if (getenv("HERD_TEST_KEEP"))
		return 0;
	return sh("cd / && rm -rf '%s'", fixture_dir) ? 0 : 0;
}

__attribute__((unused))
static bool have(const char *program)
{
	return sh("command -v %s", program) == 0;
}

__attribute__((unused))
static double seconds(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* ---- an image file as a source ---- */

struct image {
	struct herd_source base;
	int fd;
	bool tracing;
	struct herd_extents asked;	/* while tracing */
};

static int image_read(struct herd_source *s, void *buf, size_t len,
		      uint64_t off, struct herd_diag *diag)
{
	struct image *i = (struct image *)s;
	ssize_t n = pread(i->fd, buf, len, (off_t)off);

	if (i->tracing)
		herd_extents_add(&i->asked, off, len);
	if (n < 0 || (size_t)n != len)
		return herd_diag_set(diag, -EIO, s->name, off, "cannot read");
	return 0;
}

static void image_destroy(struct herd_source *s)
{
	struct image *i = (struct image *)s;

	close(i->fd);
	herd_extents_deinit(&i->asked);
	free(s->name);
	free(i);
}

static const struct herd_source_ops image_ops = {
	.kind = "test", .read = image_read, .destroy = image_destroy,
};

__attribute__((unused))
static struct herd_source *image_open(const char *name)
{
	struct image *i = calloc(1, sizeof(*i));
	char path[600];

	assert_non_null(i);
	snprintf(path, sizeof(path), "%s/%s", fixture_dir, name);
	i->fd = open(path, O_RDONLY | O_CLOEXEC);
	assert_true(i->fd >= 0);
	i->base.ops = &image_ops;
	i->base.name = strdup(name);
	i->base.size = (uint64_t)lseek(i->fd, 0, SEEK_END);
	atomic_init(&i->base.bytes_read, 0);
	return &i->base;
}

/* A whole image in memory, so that it can be damaged. */
__attribute__((unused))
static uint8_t *image_load(const char *name, size_t *ret_len)
{
	struct herd_source *s = image_open(name);
	uint8_t *bytes = malloc(s->size);

	assert_non_null(bytes);
	assert_int_equal(herd_source_read(s, bytes, s->size, 0, NULL), 0);
	*ret_len = s->size;
	herd_source_destroy(s);
	return bytes;
}

/* ---- lists of names ---- */

struct name {
	char *bytes;
	size_t len;
	uint64_t ino;
	unsigned char type;
};

struct names {
	struct name *v;
	size_t n, cap;
};

__attribute__((unused))
static int add_name(void *arg, const char *bytes, size_t len, uint64_t ino,
		    unsigned char type)
{
	struct names *l = arg;

	if (l->n == l->cap) {
		l->cap = l->cap ? 2 * l->cap : 64;
		l->v = realloc(l->v, l->cap * sizeof(*l->v));
	}
	l->v[l->n++] = (struct name){ .bytes = strndup(bytes, len), .len = len,
				      .ino = ino, .type = type };
	return 0;
}

__attribute__((unused))
static int by_bytes(const void *a, const void *b)
{
	return strcmp(((const struct name *)a)->bytes,
		      ((const struct name *)b)->bytes);
}

__attribute__((unused))
static void names_deinit(struct names *l)
{
	for (size_t i = 0; i < l->n; i++)
		free(l->v[i].bytes);
	free(l->v);
	*l = (struct names){ .n = 0 };
}

#endif
