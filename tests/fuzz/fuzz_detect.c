/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A whole file of unknown format.
 */
#include "acquire/base/cleanup.h"
#include "acquire/detect.h"

#include <string.h>
#include <sys/mman.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define MUST(x) do { if (!(x)) __builtin_trap(); } while (0)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	CLEANUP_FD int fd = memfd_create("fuzz", MFD_CLOEXEC);
	CLEANUP_FREE char *text = NULL;
	struct herd_detected found = { NULL, 0 };
	struct herd_diag diag;
	uint64_t offset;
	size_t len;

	herd_diag_clear(&diag);
	MUST(fd >= 0 && write(fd, data, size) == (ssize_t)size);
	if (herd_detect(fd, size, "fuzz", &found, &diag))
		MUST(diag.message[0] && !found.format);
	else
		MUST(found.format[0]);
	if (!herd_detect_vmdk_text(fd, size, "fuzz", &text, &len, &offset, NULL))
		MUST(text[len] == '\0' && offset <= size);
	return 0;
}
