/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An fstab that nobody wrote: every volume gets one place of its own, and no
 * place climbs out of the tree.
 */
#include "acquire/base/cleanup.h"
#include "index/volume.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define MUST(x)                           \
	do {                              \
		if (!(x))                 \
			__builtin_trap(); \
	} while (0)

static const uint8_t *text;
static size_t text_len;

static int readdir_none(struct herd_volume *v, uint64_t ino,
			int (*fn)(void *arg, const char *name, size_t len,
				  uint64_t ino, unsigned char type),
			void *arg, struct herd_diag *diag)
{
	(void)v;
	(void)ino;
	(void)fn;
	(void)arg;
	(void)diag;
	return 0;
}

static int read_text(struct herd_volume *v, const char *path, char **ret,
		     size_t *ret_len)
{
	(void)path;
	if (v->root_ino != 1)
		return -ENOENT;
	*ret = malloc(text_len + 1);
	MUST(*ret);
	if (text_len)
		memcpy(*ret, text, text_len);
	*ret_len = text_len;
	return 0;
}

/* Relative, no empty part, no "." and no "..". */
static void check_mount(const char *s)
{
	MUST(*s != '/');
	while (*s) {
		size_t n = strcspn(s, "/");

		MUST(n && !(n == 1 && *s == '.') &&
		     !(n == 2 && !strncmp(s, "..", 2)));
		s += n;
		if (*s)
			MUST(*++s);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct herd_volume_ops ops = { .name = "fuzz",
						    .readdir = readdir_none };
	struct herd_volume v[4] = {
		{ .ops = &ops, .root_ino = 1, .uuid = "AB-CD" },
		{ .ops = &ops, .root_ino = 2, .uuid = "1", .label = "data x" },
		{ .ops = &ops, .root_ino = 2, .uuid = "2", .label = "b" },
		{ .ops = &ops, .root_ino = 2, .uuid = "3" },
	};
	struct herd_partition part[4] = {
		{ .number = 1 },
		{ .number = 2, .uuid = "abcdef01-02" },
		{ .number = 3, .label = "logs" },
		{ .number = 0 },
	};
	struct herd_volume_place p[4];

	text = data;
	text_len = size;
	memset(p, 0, sizeof(p));
	for (unsigned i = 0; i < 4; i++) {
		p[i].disk = i == 3;
		p[i].partition = part[i].number;
		p[i].volume = &v[i];
		p[i].part = &part[i];
	}
	MUST(!herd_layout(p, 4, read_text, NULL));
	MUST(!*p[0].mount);
	for (unsigned i = 0; i < 4; i++) {
		MUST(memchr(p[i].mount, 0, sizeof(p[i].mount)));
		check_mount(p[i].mount);
		for (unsigned k = 0; k < i; k++)
			MUST(strcmp(p[i].mount, p[k].mount));
	}
	return 0;
}
