/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the tests of sources and images share: a folder that goes away again,
 * commands run in it, and disks with known bytes.
 */
#ifndef HERD_TEST_IMAGE_UTIL_H
#define HERD_TEST_IMAGE_UTIL_H

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static char scratch[200];

/* A command in the scratch folder; its exit status. */
static inline int run(const char *fmt, ...)
	__attribute__((format(printf, 1, 2)));
static inline int run(const char *fmt, ...)
{
	char command[3000], whole[4000];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(command, sizeof(command), fmt, ap);
	va_end(ap);
	snprintf(whole, sizeof(whole), "cd '%s' && { %s ; } >run.log 2>&1",
		 scratch, command);
	return system(whole);
}

static inline int have(const char *program)
{
	return run("command -v %s", program) == 0;
}

#define NEED(program) do { \
	if (!have(program)) { \
		print_message("%s is not installed\n", program); \
		skip(); \
	} \
} while (0)

static inline int scratch_setup(void **state)
{
	const char *tmp = getenv("TMPDIR");

	(void)state;
	snprintf(scratch, sizeof(scratch), "%s/herdfs-test-XXXXXX",
		 tmp && tmp[0] ? tmp : "/tmp");
	if (!mkdtemp(scratch))
		return -1;
	/* what qemu-img says is not a matter of language here */
	setenv("LC_ALL", "C", 1);

	char *real = realpath(scratch, NULL);

	if (real)
		snprintf(scratch, sizeof(scratch), "%s", real);
	free(real);
	return 0;
}

static inline int scratch_teardown(void **state)
{
	char command[300];

	(void)state;
	snprintf(command, sizeof(command), "rm -rf '%s'", scratch);
	return system(command);
}

/* The path of a file in the scratch folder; three may be in use at a time. */
static inline const char *in_scratch(const char *name)
{
	static char paths[3][500];
	static unsigned next;
	char *path = paths[next++ % 3];

	snprintf(path, sizeof(paths[0]), "%s/%s", scratch, name);
	return path;
}

static inline uint64_t random_next(uint64_t *seed)
{
	uint64_t z = *seed += 0x9e3779b97f4a7c15ull;

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
	return z ^ (z >> 31);
}

static inline void fill_random(void *to, size_t len, uint64_t seed)
{
	uint8_t *p = to;

	for (size_t i = 0; i < len; i++)
		p[i] = (uint8_t)random_next(&seed);
}

static inline void write_file(const char *name, const void *bytes, size_t len)
{
	int fd = open(in_scratch(name), O_WRONLY | O_CREAT | O_TRUNC, 0600);

	assert_true(fd >= 0);
	for (size_t done = 0; done < len;) {
		ssize_t n = write(fd, (const char *)bytes + done, len - done);

		assert_true(n > 0);
		done += (size_t)n;
	}
	assert_int_equal(close(fd), 0);
}

static inline void write_at(const char *name, uint64_t off, const void *bytes,
			    size_t len)
{
	int fd = open(in_scratch(name), O_WRONLY);

	assert_true(fd >= 0);
	assert_int_equal(pwrite(fd, bytes, len, (off_t)off), (ssize_t)len);
	assert_int_equal(close(fd), 0);
}

static inline double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

#endif
