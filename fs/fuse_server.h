/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the supervisor and the server of a mount have in common: the list of
 * images that both got before they parted, and what they say to each other
 * over a pair of sockets. For fs/fuse_*.c alone.
 *
 * The supervisor believes nothing that comes from the server: texts are cut
 * and cleaned, an image is named by its numbers and looked up in the list.
 */
#ifndef HERD_FUSE_SERVER_H
#define HERD_FUSE_SERVER_H

#include "fs/fuse_session.h"
#include "index/store.h"

struct herd_mount_image {
	uint32_t instance, disk;	/* or HERD_DISK_MEMORY */
	const struct herd_image *image;	/* of what is below */
	pid_t helper;		/* supervisor: its qemu-nbd, or 0 */
};

struct herd_mount_plan {
	const struct herd_mount *mount;
	char mountpoint[4096];	/* PATH_MAX */
	struct herd_instance *instances;
	size_t n_instances;
	struct herd_mount_memory {
		uint32_t instance;
		struct herd_image image;
	} *memories;
	size_t n_memories;
	struct herd_mount_image *images;	/* by instance and disk */
	size_t n_images;
};

enum herd_mount_message_type {
	HERD_MOUNT_READY,	/* server: mounted, locked in, about to serve */
	HERD_MOUNT_FAILED,	/* server: err and diag say why */
	HERD_MOUNT_LOG,		/* server: diag.message is a line for the log */
	HERD_MOUNT_HELPER,	/* server: start it; supervisor: here it is */
};

struct herd_mount_message {
	uint32_t type;
	int32_t err;
	uint32_t instance, disk;
	struct herd_diag diag;
	char line[1024];
};

/* The server; ends the process. sock: to the supervisor. */
void herd_mount_serve(const struct herd_mount_plan *p, int sock)
	__attribute__((noreturn));

#endif
