/* SPDX-License-Identifier: Apache-2.0 */
/*
 * main() of a fuzz target built without libFuzzer: gives every file named as
 * an argument, and every file below a directory named so, to the target.
 * Prints how many there were; exits with 1 when one cannot be read, or when
 * there was none at all.
 */
#include "acquire/base/buf.h"

#include <fts.h>
#include <stdio.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int read_file(const char *path, struct herd_buf *out)
{
	FILE *f = fopen(path, "rb");
	size_t n;
	char block[65536];

	if (!f)
		return -errno;
	while ((n = fread(block, 1, sizeof(block), f)) > 0)
		herd_buf_put(out, block, n);
	int r = ferror(f) ? -EIO : herd_buf_error(out);

	fclose(f);
	return r;
}

/* In memory of exactly its size, so that a sanitizer sees the edge. */
static int replay(const char *path)
{
	struct herd_buf b CLEANUP_BUF = HERD_BUF_INIT;
	int r = read_file(path, &b);
	uint8_t *exact CLEANUP_FREE = r ? NULL : malloc(b.len ? b.len : 1);

	if (!r && !exact)
		r = -ENOMEM;
	if (r) {
		fprintf(stderr, "%s: %s\n", path, strerror(-r));
		return r;
	}
	if (b.len)
		memcpy(exact, b.data, b.len);
	LLVMFuzzerTestOneInput(exact, b.len);
	return 0;
}

static int by_name(const FTSENT **a, const FTSENT **b)
{
	return strcmp((*a)->fts_name, (*b)->fts_name);
}

int main(int argc, char **argv)
{
	unsigned long done = 0, failed = 0;

	if (argc < 2) {
		fprintf(stderr, "usage: %s FILE-OR-DIRECTORY…\n", argv[0]);
		return 2;
	}
	FTS *fts = fts_open(argv + 1, FTS_PHYSICAL | FTS_NOCHDIR, by_name);

	if (!fts) {
		perror("fts_open");
		return 1;
	}
	for (FTSENT *e; (e = fts_read(fts));) {
		if (e->fts_info == FTS_F) {
			if (replay(e->fts_accpath))
				failed++;
			else
				done++;
		} else if (e->fts_info == FTS_ERR || e->fts_info == FTS_DNR ||
			   e->fts_info == FTS_NS) {
			fprintf(stderr, "%s: %s\n", e->fts_path,
				strerror(e->fts_errno));
			failed++;
		}
	}
	fts_close(fts);
	printf("%lu inputs replayed\n", done);
	return failed || !done;
}
