/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Files of an instance's own disk, for its memory to be held against: by the
 * name that the kernel gave them, read through what the index knows of them.
 *
 * Threads: belongs to one thread at a time; so does its transaction.
 */
#ifndef HERD_MEMORY_DISK_H
#define HERD_MEMORY_DISK_H

#include "index/memory/machine.h"
#include "index/store.h"

struct herd_memory_disk;

/* How the bytes of a disk are had; -errno: not to be had. The source is the
   caller's and outlives what is opened here. */
typedef int herd_memory_disk_source(void *arg, uint32_t disk,
				    struct herd_source **ret);

/* All borrowed. instance: the record of who it is. */
int herd_memory_disk_create(struct herd_txn *t, const struct herd_instance *i,
			    uint32_t reference, herd_memory_disk_source *source,
			    void *arg, struct herd_memory_disk **ret);
void herd_memory_disk_destroy(struct herd_memory_disk *d);

/*
 * len bytes of f at off, zeros behind its end. -ENOENT: the disk has not got
 * that very file (by inode, size and time of last change); it has another one,
 * or it is on another file system. Other errors: it cannot be read.
 */
int herd_memory_disk_read(void *disk, const struct herd_mfile *f, uint64_t off,
			  void *buf, size_t len);

/* The path's id in the index, whatever file is there. -ENOENT. */
int herd_memory_disk_path(struct herd_txn *t, const struct herd_mfile *f,
			  uint32_t *ret);

#endif
