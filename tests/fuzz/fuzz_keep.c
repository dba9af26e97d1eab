/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Kept images of memory: two bytes say how long the list (NAME.keep) is, then
 * come it and the one pack that goes with it. Their digests are made to fit, or
 * nothing would ever be looked at. What opens can be read, or says why not.
 */
#include "acquire/base/cleanup.h"
#include "acquire/base/cursor.h"
#include "acquire/base/sha256.h"
#include "acquire/memory_keep.h"

#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define MUST(x) do { if (!(x)) __builtin_trap(); } while (0)

/* A file without a name, and the path by which it can be opened. */
static int file_of(const uint8_t *bytes, size_t len, char path[64])
{
	int fd = memfd_create("fuzz", MFD_CLOEXEC);

	MUST(fd >= 0 && write(fd, bytes, len) == (ssize_t)len);
	snprintf(path, 64, "/proc/self/fd/%d", fd);
	return fd;
}

static void read_all(struct herd_source *s)
{
	static uint8_t got[70001];
	struct herd_diag diag;

	for (uint64_t off = 0; off < s->size && off < 100 * sizeof(got);
	     off += sizeof(got)) {
		size_t n = s->size - off < sizeof(got) ? (size_t)(s->size - off) :
							 sizeof(got);

		herd_diag_clear(&diag);
		if (herd_source_read(s, got, n, off, &diag))
			MUST(diag.message[0]);
	}
	herd_source_read(s, got, 1, s->size - 1, NULL);
}

/* The list has the digest of the pack's table behind its name, if it has room
   for that, and ends with its own. */
static void seal(uint8_t *list, size_t len, const uint8_t *pack, size_t pack_len)
{
	struct herd_cursor c = herd_cursor(list, len), t = herd_cursor(pack, pack_len);

	herd_cur_seek(&c, 72);
	herd_cur_bytes(&c, herd_cur_le32(&c));
	herd_cur_seek(&t, pack_len < 16 ? pack_len : pack_len - 16);
	uint64_t table = herd_cur_le64(&t);

	if (!c.bad && !t.bad && len - c.pos >= 2 * HERD_SHA256_LEN &&
	    table <= pack_len - 16)
		herd_sha256(pack + table, pack_len - 16 - table, list + c.pos);
	if (len >= HERD_SHA256_LEN)
		herd_sha256(list, len - HERD_SHA256_LEN,
			    list + len - HERD_SHA256_LEN);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char list[64], pack[64], format[16];
	struct herd_image_file files[] = { { .path = list }, { .path = pack } };
	struct herd_image img = { .files = files, .n_files = 2 };
	struct herd_source *s;
	struct herd_diag diag;
	size_t len = size < 2 ? 0 : data[0] | (size_t)data[1] << 8;

	if (size < 2 || len > size - 2)
		return 0;
	CLEANUP_FREE uint8_t *sealed = malloc(len + 1);

	MUST(sealed);
	memcpy(sealed, data + 2, len);
	seal(sealed, len, data + 2 + len, size - 2 - len);
	CLEANUP_FD int a = file_of(sealed, len, list);
	CLEANUP_FD int b = file_of(data + 2 + len, size - 2 - len, pack);

	herd_diag_clear(&diag);
	if (herd_keep_open(&img, &s, format, &diag)) {
		MUST(diag.message[0] && a != b);
		return 0;
	}
	MUST(memchr(format, '\0', sizeof(format)));
	if (s->size)
		read_all(s);
	herd_source_destroy(s);
	return 0;
}
