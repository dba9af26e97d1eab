/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A mount as processes.
 *
 *   supervisor   reads the list of images out of the store, parses nothing,
 *     │          starts qemu-nbd for an image when the server asks for it by
 *     │          number, or connects it with the fetcher, writes the log, and
 *     │          unmounts when the server has ended, however it did
 *     └ server   mounts, opens the store, locks itself in, serves
 *
 * When the supervisor is killed the server ends, and what stays is a mount
 * point that answers "not connected"; the next mount there clears it away.
 *
 * Threads: called from the only thread of a process.
 */
#ifndef HERD_FUSE_SESSION_H
#define HERD_FUSE_SESSION_H

#include "acquire/base/diag.h"

#include <stdbool.h>
#include <stdint.h>

struct herd_fetcher_options;

struct herd_mount {
	const char *store;	/* directory */
	const char *group;	/* only this one; NULL: all */
	const char *policy;	/* file; NULL: the store's own, if it has one */
	const char *rules;	/* file; NULL: the user's own, if there are any */
	/* how blocks of EBS snapshots are had; NULL: they are not */
	const struct herd_fetcher_options *fetcher;
	int64_t now;		/* seconds since 1970: which rules have expired */
	const char *mountpoint;
	const char *options;	/* for FUSE, "allow_other,…", or NULL */
	const char *source;	/* what mount(8) shows as the device */
	bool foreground;
	unsigned cache_mb, threads;	/* 0: as is best */
	/* in the process that calls; but once it is in the background
	   (`detached`) in that one */
	void (*log)(void *arg, bool detached, const char *line);
	void *log_arg;
};

/*
 * In the foreground: returns when the mount has ended. Else: when it is ready,
 * with the supervisor left in the background.
 */
int herd_mount_run(const struct herd_mount *m, struct herd_diag *diag);

#endif
