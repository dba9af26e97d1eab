/* SPDX-License-Identifier: Apache-2.0 */
/* CRC-32C (Castagnoli), as Snappy's frames have it. No state. */
#ifndef HERD_CRC32C_H
#define HERD_CRC32C_H

#include <stddef.h>
#include <stdint.h>

uint32_t herd_crc32c(const void *bytes, size_t len);

#endif
