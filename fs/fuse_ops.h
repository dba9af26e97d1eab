/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The tree as FUSE's low-level operations. For fs/fuse_*.c alone.
 *
 * Threads: the operations are called by all threads of the session at once.
 */
#ifndef HERD_FUSE_OPS_H
#define HERD_FUSE_OPS_H

#define FUSE_USE_VERSION 314
#include <fuse_lowlevel.h>

#include "fs/tree.h"

/* What fuse_session_new gets as userdata; must outlive the session. */
struct herd_fuse {
	struct herd_tree *tree;
	bool no_open, no_opendir;	/* the kernel does without them */
};

extern const struct fuse_lowlevel_ops herd_fuse_ops;

#endif
