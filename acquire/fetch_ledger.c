/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One file a snapshot, "costs/<snapshot>": a line of text, rewritten in place
 * under flock. A line that makes no sense counts as zeros.
 *
 * Threads: as acquire/fetch_ledger.h says.
 */
#include "acquire/fetch_ledger.h"

#include "acquire/base/cleanup.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>

#define LINE_MAX_LEN 256

struct herd_fetch_ledger {
	int dir;
};

int herd_fetch_ledger_open_read(const char *dir, struct herd_fetch_ledger **ret)
{
	CLEANUP_FD int top = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int fd = top < 0 ? -1 : openat(top, "costs", O_RDONLY | O_DIRECTORY |
						     O_NOFOLLOW | O_CLOEXEC);
	struct herd_fetch_ledger *l;

	if (fd < 0)
		return -errno;
	l = malloc(sizeof(*l));
	if (!l) {
		close(fd);
		return -ENOMEM;
	}
	l->dir = fd;
	*ret = l;
	return 0;
}

int herd_fetch_ledger_open(const char *dir, struct herd_fetch_ledger **ret,
			   struct herd_diag *diag)
{
	CLEANUP_FD int top = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int err = top < 0 || (mkdirat(top, "costs", 0700) && errno != EEXIST) ?
			  -errno : 0;

	if (!err)
		err = herd_fetch_ledger_open_read(dir, ret);
	return !err ? 0 : herd_diag_set(diag, err, dir, HERD_NO_OFFSET,
					"costs cannot be kept there: %s",
					strerror(-err));
}

void herd_fetch_ledger_close(struct herd_fetch_ledger *l)
{
	if (!l)
		return;
	close(l->dir);
	free(l);
}

static void read_row(int fd, struct herd_fetch_ledger_row *row)
{
	char text[LINE_MAX_LEN] = "";
	ssize_t n = pread(fd, text, sizeof(text) - 1, 0);
	struct herd_fetch_ledger_row r;

	*row = (struct herd_fetch_ledger_row){ 0 };
	if (n > 0 && sscanf(text, "lists %" SCNu64 " blocks %" SCNu64
			    " failed %" SCNu64 " bytes %" SCNu64
			    " cached %" SCNu64, &r.list_calls, &r.blocks,
			    &r.failed, &r.bytes, &r.cached) == 5)
		*row = r;
}

int herd_fetch_ledger_add(struct herd_fetch_ledger *l, const char *snapshot,
			  struct herd_fetch_ledger_row *row)
{
	char text[LINE_MAX_LEN];
	struct herd_fetch_ledger_row sum;

	if (!row->list_calls && !row->blocks && !row->failed && !row->cached)
		return 0;
	CLEANUP_FD int fd = openat(l->dir, snapshot, O_RDWR | O_CREAT |
				   O_NOFOLLOW | O_CLOEXEC, 0600);

	if (fd < 0 || flock(fd, LOCK_EX))
		return -errno;
	read_row(fd, &sum);
	sum.list_calls += row->list_calls;
	sum.blocks += row->blocks;
	sum.failed += row->failed;
	sum.bytes += row->bytes;
	sum.cached += row->cached;
	int len = snprintf(text, sizeof(text), "lists %" PRIu64 " blocks %"
			   PRIu64 " failed %" PRIu64 " bytes %" PRIu64
			   " cached %" PRIu64 "\n", sum.list_calls, sum.blocks,
			   sum.failed, sum.bytes, sum.cached);
	/* it only ever grows: a longer line covers the old one */
	if (pwrite(fd, text, (size_t)len, 0) != len)
		return -EIO;
	*row = (struct herd_fetch_ledger_row){ 0 };
	return 0;
}

int herd_fetch_ledger_get(struct herd_fetch_ledger *l, const char *snapshot,
			  struct herd_fetch_ledger_row *ret)
{
	CLEANUP_FD int fd = openat(l->dir, snapshot, O_RDONLY | O_NOFOLLOW |
				   O_CLOEXEC);

	*ret = (struct herd_fetch_ledger_row){ 0 };
	if (fd < 0)
		return errno == ENOENT ? 0 : -errno;
	read_row(fd, ret);
	return 0;
}
