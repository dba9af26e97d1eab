/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the store reads without LMDB. A first byte of 0: the rest is a data
 * file, whose pages are looked at; else the rest is an instance's record,
 * which must come back the same when it is encoded again.
 */
#include "index/store_internal.h"

#include <sys/mman.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* An assertion that stays, whatever NDEBUG says. */
#define MUST(x) do { if (!(x)) __builtin_trap(); } while (0)

static void check_pages(const uint8_t *data, size_t size)
{
	struct herd_diag diag;
	int fd CLEANUP_FD = memfd_create("store", MFD_CLOEXEC);

	MUST(fd >= 0 && write(fd, data, size) == (ssize_t)size);
	herd_diag_clear(&diag);
	int r = herd_store_check_pages(fd, 0, "store", &diag);

	MUST(!r || diag.message[0]);
}

static void check_record(const uint8_t *data, size_t size)
{
	struct herd_buf b CLEANUP_BUF = HERD_BUF_INIT;
	struct herd_buf again CLEANUP_BUF = HERD_BUF_INIT;
	struct herd_instance i;

	if (herd_instance_decode(1, data, size, &i))
		return;
	MUST(!herd_instance_encode(&i, &b));
	herd_instance_deinit(&i);
	MUST(!herd_instance_decode(1, b.data, b.len, &i));
	MUST(!herd_instance_encode(&i, &again));
	herd_instance_deinit(&i);
	MUST(b.len == again.len && !memcmp(b.data, again.data, b.len));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size && data[0])
		check_record(data + 1, size - 1);
	else if (size)
		check_pages(data + 1, size - 1);
	return 0;
}
