/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a reader and the fetcher say to each other, both on this machine and of
 * the same program: structs as they are. Neither believes the other's numbers.
 * A connection is a stream socket and has one request under way at a time.
 */
#ifndef HERD_FETCH_PROTOCOL_H
#define HERD_FETCH_PROTOCOL_H

#include "acquire/aws/s3_object.h"

#define HERD_FETCH_MAGIC 0x68464554u
#define HERD_FETCH_READ_MAX (1u << 20)	/* bytes of one read */
#define HERD_FETCH_RANGES_MAX 4096u	/* that follow a request */
#define HERD_FETCH_ANSWER_MAX (1u << 28)
#define HERD_SNAPSHOT_NAME_MAX 64

enum herd_fetch_op {
	HERD_FETCH_INFO,	/* answer: struct herd_fetch_info */
	HERD_FETCH_READ,	/* off, len: the bytes */
	HERD_FETCH_DATA,	/* answer: ranges that are not all zeros */
	HERD_FETCH_CHANGED,	/* in what it differs from `other`: ranges */
	HERD_FETCH_WANT,	/* n ranges follow, to be fetched ahead */
	HERD_FETCH_KEEP,	/* n ranges follow: answered when all of them
				   are in the cache */
	HERD_FETCH_AT_HAND,	/* n ranges follow: 1 byte, whether all of them
				   are in the cache */
};

struct herd_fetch_request {
	uint32_t magic, op;
	uint64_t off;
	uint32_t len, n;
	char other[HERD_SNAPSHOT_NAME_MAX + 1];
};

struct herd_fetch_range {
	uint64_t start, len;
};

struct herd_fetch_info {
	uint64_t size;		/* bytes of the volume, or of the object */
	uint32_t block_size;
	uint32_t pad;
	uint8_t id[HERD_SHA256_LEN];	/* of an object: see herd_s3_id */
	char version[HERD_S3_VERSION_MAX + 1];	/* of it; "": none */
};

/* len bytes follow; when err, text that says why. */
struct herd_fetch_answer {
	uint32_t magic;
	int32_t err;
	uint32_t len, pad;
};

/* To the fetcher over its control socket, with the far ends of connections. */
struct herd_fetch_open {
	uint32_t magic, n_fds;
	uint32_t known;		/* of an object: which one is known already */
	uint32_t pad;
	uint8_t id[HERD_SHA256_LEN];	/* then: its, and its size */
	uint64_t size;
	char name[HERD_S3_URL_MAX + 1];	/* "snap-…", or "s3://…" */
};

#endif
