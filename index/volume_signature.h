/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a volume is that we cannot read, so that it can be refused by name.
 *
 * Threads: any.
 */
#ifndef HERD_VOLUME_SIGNATURE_H
#define HERD_VOLUME_SIGNATURE_H

#include "acquire/source.h"

/*
 * NULL when nothing is recognised. boot_sector: only what lies where FAT and
 * NTFS have their boot sector, and therefore excludes them; else the rest.
 * What cannot be read is taken for not being there.
 */
const char *herd_signature_find(struct herd_source *source, bool boot_sector,
				uint64_t *ret_offset);

#endif
