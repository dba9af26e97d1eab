/* SPDX-License-Identifier: Apache-2.0 */
/*
 * SHA-256 (and MD5, SHA-1), by OpenSSL. A hasher belongs to one thread; it may be used again
 * after herd_sha256_final. herd_sha256 is for small things in one piece.
 */
#ifndef HERD_SHA256_H
#define HERD_SHA256_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define HERD_SHA256_LEN 32

struct herd_sha256;

struct herd_sha256 *herd_sha256_create(void);	/* NULL: no memory */
void herd_sha256_destroy(struct herd_sha256 *h);
void herd_sha256_begin(struct herd_sha256 *h);
void herd_sha256_update(struct herd_sha256 *h, const void *p, size_t len);
void herd_sha256_final(struct herd_sha256 *h, uint8_t out[HERD_SHA256_LEN]);

void herd_sha256(const void *p, size_t len, uint8_t out[HERD_SHA256_LEN]);

/* MD5 proves nothing: it is what dpkg's lists have. false: this OpenSSL does
   not do it. */
#define HERD_MD5_LEN 16
bool herd_md5(const void *p, size_t len, uint8_t out[HERD_MD5_LEN]);

/* SHA-1 is what the AWS CLI names its cache's files by. false: as above. */
#define HERD_SHA1_LEN 20
bool herd_sha1(const void *p, size_t len, uint8_t out[HERD_SHA1_LEN]);

#endif
