/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What an inode owns.
 *
 * Threads: values only, any thread.
 */
#include "index/volume.h"

#include <stdlib.h>

void herd_inode_deinit(struct herd_inode *inode)
{
	if (!inode)
		return;
	for (size_t i = 0; i < inode->n_xattrs; i++) {
		free(inode->xattrs[i].name);
		free(inode->xattrs[i].value);
	}
	free(inode->xattrs);
	free(inode->runs);
	free(inode->meta);
	free(inode->bytes);
	free(inode->problem);
	*inode = (struct herd_inode){ .content = HERD_CONTENT_NONE };
}
