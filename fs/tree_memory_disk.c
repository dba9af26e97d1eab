/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Files of an instance's disks, for what is mapped and not in memory.
 *
 * Threads: belongs to one call.
 */
#include "fs/tree_memory.h"

static int get_source(void *arg, uint32_t disk, struct herd_source **ret)
{
	struct herd_memory_disks *d = arg;
	const struct herd_memory_at *at = d->at;
	int err = 0;

	if (disk >= at->instance->record.n_disks)
		return -EBADMSG;
	if (!d->held[disk])
		err = herd_disk_get(at->tree, at->instance, disk,
				    &d->held[disk]);
	if (!err)
		*ret = d->held[disk]->source;
	return err;
}

int herd_memory_disks_init(struct herd_memory_disks *d,
			   const struct herd_memory_at *at)
{
	*d = (struct herd_memory_disks){ .at = at };
	d->held = calloc(at->instance->record.n_disks + 1, sizeof(*d->held));
	if (!d->held)
		return -ENOMEM;
	return herd_memory_disk_create(at->txn, &at->instance->record,
				       herd_tree_reference(at->instance),
				       get_source, d, &d->disk);
}

void herd_memory_disks_deinit(struct herd_memory_disks *d)
{
	herd_memory_disk_destroy(TAKE_PTR(d->disk));
	for (size_t i = 0; d->held && i < d->at->instance->record.n_disks; i++)
		herd_disk_put(d->held[i]);
	free(TAKE_PTR(d->held));
}

int herd_memory_disks_has(void *arg, const struct herd_mfile *f)
{
	struct herd_memory_disks *d = arg;
	uint8_t byte;

	return herd_memory_disk_read(d->disk, f, 0, &byte, 0);
}

int herd_memory_disks_read(void *arg, const struct herd_mfile *f, uint64_t off,
			   void *buf, size_t len)
{
	struct herd_memory_disks *d = arg;

	return herd_memory_disk_read(d->disk, f, off, buf, len);
}
