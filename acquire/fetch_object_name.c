/* SPDX-License-Identifier: Apache-2.0 */
#include "acquire/fetch_object_name.h"

#include <stdio.h>
#include <string.h>

void herd_object_name(const uint8_t id[HERD_SHA256_LEN],
		      char ret[HERD_OBJECT_NAME_LEN + 1])
{
	char hex[2 * HERD_SHA256_LEN + 1];

	herd_hex(id, HERD_SHA256_LEN, hex);
	memcpy(ret, "s3-", 3);
	memcpy(ret + 3, hex, HERD_OBJECT_NAME_LEN - 3);
	ret[HERD_OBJECT_NAME_LEN] = '\0';
}

void herd_object_last_name(const struct herd_s3_name *name,
			   char ret[HERD_OBJECT_NAME_LEN + 1])
{
	char text[sizeof(*name) + 64];
	uint8_t id[HERD_SHA256_LEN];
	int n = snprintf(text, sizeof(text), "last of S3%c%s%c%s%c%s", 0,
			 name->bucket, 0, name->key, 0, name->version);

	herd_sha256(text, (size_t)n, id);
	herd_object_name(id, ret);
}
