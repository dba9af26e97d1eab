/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reads all memory of an image, in order, a MiB at a time, and throws it away;
 * prints how many MiB there were.
 *
 *   memorycat IMAGE
 *   memorycat -r N IMAGE     N single pages at random instead
 *   memorycat -s AVML        no more than Snappy's unpacking of each chunk: the
 *                            limit of who reads AVML with one thread
 */
#include "acquire/base/cleanup.h"
#include "acquire/memory.h"

#include <snappy-c.h>
#include <stdio.h>
#include <string.h>

#define PIECE (1u << 20)

static char buf[PIECE];

static uint64_t read_all(struct herd_source *s, const struct herd_extents *e)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < e->n; i++) {
		uint64_t at = e->v[i].start, end = at + e->v[i].len;

		for (; at < end; at += PIECE) {
			size_t n = end - at < PIECE ? (size_t)(end - at) : PIECE;

			if (herd_source_read(s, buf, n, at, NULL))
				fprintf(stderr, "%#llx cannot be read\n",
					(unsigned long long)at);
			sum += n;
		}
	}
	return sum;
}

static uint64_t read_random(struct herd_source *s, const struct herd_extents *e,
			    unsigned long n)
{
	uint64_t x = 88172645463325252ull;

	for (unsigned long i = 0; i < n; i++) {
		x ^= x << 13, x ^= x >> 7, x ^= x << 17;
		const struct herd_extent *r = &e->v[x % e->n];
		uint64_t pages = r->len / 4096;

		if (pages)
			herd_source_read(s, buf, 4096,
					 r->start + (x >> 20) % pages * 4096,
					 NULL);
	}
	return (uint64_t)n * 4096;
}

/* One chunk; how many bytes of memory it has. */
static size_t unpack_chunk(FILE *f)
{
	static char packed[PIECE];
	uint8_t head[4];
	size_t n, len = PIECE;

	if (fread(head, 1, 4, f) != 4)
		return PIECE;
	n = head[1] | (size_t)head[2] << 8 | (size_t)head[3] << 16;
	if (n > PIECE || fread(packed, 1, n, f) != n)
		return PIECE;
	if (head[0] == 1)
		return n - 4;
	return head[0] == 0 && n > 4 &&
	       snappy_uncompress(packed + 4, n - 4, buf, &len) == SNAPPY_OK ?
	       len : 0;
}

/* Trusts the file: it is for measuring. */
static uint64_t unpack_all(FILE *f)
{
	uint64_t head[4], sum = 0;

	while (fread(head, 1, 32, f) == 32) {
		uint64_t len = head[2] - head[1] + 1, done = 0;

		while (done < len)
			done += unpack_chunk(f);
		sum += done;
		if (fread(head, 1, 8, f) != 8)
			break;
	}
	return sum;
}

int main(int argc, char **argv)
{
	CLEANUP(herd_extents_deinit) struct herd_extents e = { 0 };
	struct herd_image img = { 0 };
	struct herd_source *s = NULL;
	struct herd_diag diag;
	char line[900];
	uint64_t sum;
	int err;

	if (argc == 3 && !strcmp(argv[1], "-s")) {
		FILE *f = fopen(argv[2], "rb");

		if (!f)
			return 1;
		sum = unpack_all(f);
		printf("%llu\n", (unsigned long long)sum >> 20);
		return fclose(f) != 0;
	}
	if (argc < 2)
		return 2;
	herd_diag_clear(&diag);
	err = herd_memory_probe(argv[argc - 1], NULL, &img, &diag) ?:
	      herd_memory_open(&img, NULL, &s, &diag) ?:
	      herd_source_data(s, &e, &diag);
	if (err) {
		fprintf(stderr, "%s\n", herd_diag_format(&diag, err, line,
							 sizeof(line)));
		return 1;
	}
	sum = argc == 4 ? read_random(s, &e, strtoul(argv[2], NULL, 10)) :
			  read_all(s, &e);
	printf("%llu\n", (unsigned long long)sum >> 20);
	herd_source_destroy(s);
	herd_image_deinit(&img);
	return 0;
}
