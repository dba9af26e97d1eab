/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Under which names the cache has an object of S3: as the one that it is, by
 * herd_s3_id, with its blocks; and as what it was called when it was there
 * last. Pure.
 */
#ifndef HERD_FETCH_OBJECT_NAME_H
#define HERD_FETCH_OBJECT_NAME_H

#include "acquire/aws/s3_object.h"

#define HERD_OBJECT_NAME_LEN 63u /* "s3-" and 60 hexadecimal digits */

void herd_object_name(const uint8_t id[HERD_SHA256_LEN],
		      char ret[HERD_OBJECT_NAME_LEN + 1]);
void herd_object_last_name(const struct herd_s3_name *name,
			   char ret[HERD_OBJECT_NAME_LEN + 1]);

#endif
