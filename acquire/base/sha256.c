/* SPDX-License-Identifier: Apache-2.0 */
#include "acquire/base/sha256.h"

#include <openssl/evp.h>
#include <stdatomic.h>
#include <stdlib.h>

struct herd_sha256 {
	EVP_MD_CTX *ctx;
	EVP_MD *md;	/* fetched once: a fetch a file costs more than a small
			   file's digest */
};

struct herd_sha256 *herd_sha256_create(void)
{
	struct herd_sha256 *h = calloc(1, sizeof(*h));

	if (!h)
		return NULL;
	h->ctx = EVP_MD_CTX_new();
	h->md = EVP_MD_fetch(NULL, "SHA256", NULL);
	if (!h->ctx || !h->md) {
		herd_sha256_destroy(h);
		return NULL;
	}
	herd_sha256_begin(h);
	return h;
}

void herd_sha256_destroy(struct herd_sha256 *h)
{
	if (!h)
		return;
	EVP_MD_CTX_free(h->ctx);
	EVP_MD_free(h->md);
	free(h);
}

/* OpenSSL can fail here only for want of memory, at the first call. */
static void must(int ok)
{
	if (ok != 1)
		abort();
}

void herd_sha256_begin(struct herd_sha256 *h)
{
	must(EVP_DigestInit_ex2(h->ctx, h->md, NULL));
}

void herd_sha256_update(struct herd_sha256 *h, const void *p, size_t len)
{
	must(EVP_DigestUpdate(h->ctx, p, len));
}

void herd_sha256_final(struct herd_sha256 *h, uint8_t out[HERD_SHA256_LEN])
{
	must(EVP_DigestFinal_ex(h->ctx, out, NULL));
}

/* Fetched once a process, and kept. */
static const EVP_MD *sha256(void)
{
	static EVP_MD *_Atomic kept;
	EVP_MD *md = kept, *none = NULL;

	if (md)
		return md;
	md = EVP_MD_fetch(NULL, "SHA256", NULL);
	must(md != NULL);
	if (atomic_compare_exchange_strong(&kept, &none, md))
		return md;
	EVP_MD_free(md);
	return none;
}

void herd_sha256(const void *p, size_t len, uint8_t out[HERD_SHA256_LEN])
{
	must(EVP_Digest(p, len, out, NULL, sha256(), NULL));
}

bool herd_md5(const void *p, size_t len, uint8_t out[HERD_MD5_LEN])
{
	return EVP_Digest(p, len, out, NULL, EVP_md5(), NULL) == 1;
}

bool herd_sha1(const void *p, size_t len, uint8_t out[HERD_SHA1_LEN])
{
	return EVP_Digest(p, len, out, NULL, EVP_sha1(), NULL) == 1;
}
