/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Locks the calling process in before it parses hostile bytes: Landlock
 * leaves only the named files (read) and directories (read and write), and
 * seccomp takes away exec, sockets, ptrace, mounts, new processes and the
 * like. Descriptors that are open stay usable. There is no way back.
 *
 * A read file that is not there is left out; a rule holds on to the file that
 * a name led to, not to the name. Children of the process cannot be signalled
 * any more, and no core file is written.
 *
 * Threads: call it before any other thread is started.
 */
#ifndef HERD_CONFINE_H
#define HERD_CONFINE_H

#include "acquire/base/diag.h"

#include <stdbool.h>
#include <stddef.h>

struct herd_confinement {
	const char *const *read_files;	/* files that may be opened to read */
	size_t n_read_files;
	const char *const *write_dirs;	/* below these: read and write */
	size_t n_write_dirs;
	const char *read_dir;		/* NULL, or: below it, read */
	bool connected_sockets;		/* allow recvmsg/sendmsg on open sockets
					   (never socket, connect or bind) */
	bool fuse_device;		/* threads of a mount open /dev/fuse
					   anew, each its own channel */
};

/*
 * 0 when all of it is in force. When the kernel lacks a part, the rest is
 * applied, and `missing` (size bytes) receives one clear line that says
 * which; empty otherwise. -errno when a part that exists failed.
 */
int herd_confine(const struct herd_confinement *c, char *missing, size_t size,
		 struct herd_diag *diag);

/*
 * For a child between fork and exec: Landlock only, read (and execute) of
 * the system's programs and libraries and read of the named files.
 * 0, also where the kernel lacks Landlock; else -errno.
 */
int herd_confine_child(const char *const *read_files, size_t n_read_files);

#endif
