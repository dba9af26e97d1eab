/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A file that claims to be qcow2. What is taken from its header must be fit
 * for use as a name and a size; its tables are followed and what they lead to
 * is read.
 */
#include "acquire/base/cleanup.h"
#include "acquire/source_impl.h"
#include "acquire/qcow2.h"

#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define MUST(x) do { if (!(x)) __builtin_trap(); } while (0)

/* At most so many pieces, from both ends of the disk. */
static void read_some(struct herd_source *s)
{
	uint8_t got[5000];

	for (uint64_t i = 0; i < 64; i++) {
		uint64_t off = i % 2 ? i * s->size / 64 : i * 4999;
		uint64_t left = off < s->size ? s->size - off : 0;

		herd_source_read(s, got,
				 left < sizeof(got) ? left : sizeof(got), off,
				 NULL);
	}
}

static void read_file(const uint8_t *data, size_t size)
{
	CLEANUP(herd_extents_deinit) struct herd_extents e = { 0 };
	CLEANUP_FD int fd = memfd_create("fuzz", MFD_CLOEXEC);
	char path[40], format[] = "qcow2";
	struct herd_image_file file = { .path = path, .size = size };
	struct herd_image img = { .format = format, .files = &file,
				  .n_files = 1 };
	struct herd_source *s = NULL;

	MUST(fd >= 0 && write(fd, data, size) == (ssize_t)size);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	if (herd_source_open_qcow2(&img, &s, NULL))
		return;
	read_some(s);
	if (!s->ops->data_extents(s, &e, NULL))
		MUST(herd_extents_bytes(&e) <= s->size);
	herd_source_destroy(s);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct herd_qcow2 q;
	struct herd_diag diag;

	memset(&q, 0xa5, sizeof(q));
	herd_diag_clear(&diag);
	if (herd_qcow2_parse(data, size, "fuzz", &q, &diag)) {
		MUST(diag.message[0]);
		return 0;
	}
	MUST(q.size <= INT64_MAX);
	MUST(memchr(q.backing, '\0', sizeof(q.backing)));
	MUST(memchr(q.backing_format, '\0', sizeof(q.backing_format)));
	MUST(memchr(q.data_file, '\0', sizeof(q.data_file)));
	MUST(q.external_data == (q.data_file[0] != '\0'));
	if (q.plain && !q.backing[0])
		read_file(data, size);
	return 0;
}
