/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A qcow2 image: on which other files it stands, and where the bytes of its
 * disk lie. What few images make use of is left to qemu; see plain below.
 *
 * Threads: pure.
 */
#ifndef HERD_QCOW2_H
#define HERD_QCOW2_H

#include "acquire/base/diag.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The header and its names lie in the first cluster, at most this long. */
#define HERD_QCOW2_HEADER_MAX (2u << 20)

struct herd_qcow2 {
	uint64_t size;			/* of the disk inside, bytes */
	char backing[1024];		/* as written there; "" for none */
	char backing_format[16];	/* "" when not recorded */
	bool external_data;
	char data_file[1024];		/* "" unless external_data */
	/*
	 * Read by us: no external data, no subclusters, and what is compressed
	 * is deflated. Other features leave the layout as it is.
	 */
	bool plain;
	/* What its last writer said of it. Neither keeps it from being read:
	   dirty is about reference counts, which no reader needs. */
	bool dirty;			/* was not closed */
	bool corrupt;			/* some write went wrong */
	uint32_t version;		/* 2 or 3 */
	uint32_t cluster_bits;		/* 9 … 21 */
	uint32_t l1_entries;		/* enough for size when plain */
	uint64_t l1_offset;		/* in the file, bytes */
};

enum herd_qcow2_kind {
	HERD_QCOW2_BELOW,	/* as in the backing file; zeros without one */
	HERD_QCOW2_ZEROS,
	HERD_QCOW2_STORED,
	HERD_QCOW2_DEFLATED,
};

/* Where the content of one cluster is. */
struct herd_qcow2_place {
	enum herd_qcow2_kind kind;
	uint64_t offset;	/* STORED, DEFLATED: in the file, bytes */
	uint32_t len;		/* DEFLATED: at most so many bytes there */
};

/*
 * How much of the file the header can take up, from its first bytes: one
 * cluster, at most HERD_QCOW2_HEADER_MAX.
 */
#define HERD_QCOW2_START 24u
size_t herd_qcow2_header_len(const uint8_t start[HERD_QCOW2_START]);
/* bytes: the start of the file, herd_qcow2_header_len of it if it has them. */
int herd_qcow2_parse(const void *bytes, size_t len, const char *name,
		     struct herd_qcow2 *ret, struct herd_diag *diag);

/* What an entry of an L2 table, in host order, says. -EBADMSG: nothing valid. */
int herd_qcow2_place(const struct herd_qcow2 *q, uint64_t entry,
		     struct herd_qcow2_place *ret);
/* Of an L1 entry: the offset of its L2 table, 0 for none. Likewise. */
int herd_qcow2_table(const struct herd_qcow2 *q, uint64_t entry, uint64_t *ret);

#endif
