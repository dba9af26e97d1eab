/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Digests of file content: what to compute over which bytes, see
 * enum herd_digest_kind. A digester belongs to one thread and may be used for
 * any number of files; the source below may be shared.
 */
#ifndef HERD_DIGEST_H
#define HERD_DIGEST_H

#include "index/entry.h"

struct herd_digester;

struct herd_digester *herd_digester_create(void);	/* NULL: no memory */
void herd_digester_destroy(struct herd_digester *d);

/*
 * Digest of the content of an inode that lies in source (the volume's bytes).
 * v is needed for HERD_CONTENT_READER only. *moved (may be NULL) grows by the
 * bytes done, as they are done, for progress.
 */
int herd_digest_content(struct herd_digester *d, struct herd_source *source,
			struct herd_volume *v, const struct herd_inode *inode,
			_Atomic uint64_t *moved, enum herd_digest_kind *ret_kind,
			uint8_t ret[32], struct herd_diag *diag);

/* Bytes of the file that no run covers. */
uint64_t herd_inode_hole_bytes(const struct herd_inode *inode);

#endif
