/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which of our mounts there are, and taking one away. For fs/fuse_*.c alone.
 *
 * Threads: none of its own; unmounting may run fusermount3 and wait for it.
 */
#ifndef HERD_FUSE_MOUNTS_H
#define HERD_FUSE_MOUNTS_H

#include "acquire/base/diag.h"

#include <limits.h>
#include <stdbool.h>

/*
 * Absolute, without links, also where a dead mount stands at its end. Says in
 * diag what is wrong with it: not there, not a folder.
 */
int herd_mountpoint_resolve(const char *path, char ret[PATH_MAX],
			    struct herd_diag *diag);
/* The device number of the uppermost mount there, if that is one of ours. */
bool herd_mountpoint_is_ours(const char *path, unsigned *ret_major,
			     unsigned *ret_minor);
/* Away from the tree at once, even when it is in use. */
int herd_mountpoint_unmount(const char *path);

#endif
