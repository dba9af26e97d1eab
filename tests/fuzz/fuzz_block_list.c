/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A file that says which blocks a snapshot has, or which changed: as it is,
 * and with the digest at its end put right, behind which the fields are. What
 * is taken out of it is in order, and comes out the same when it is written
 * and read again.
 */
#include "acquire/block_cache_impl.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define MUST(x)                           \
	do {                              \
		if (!(x))                 \
			__builtin_trap(); \
	} while (0)

#define FIRST "snap-0"
#define SECOND "snap-1"

static void check_list(const struct herd_block_list *l)
{
	struct herd_buf b CLEANUP_BUF = HERD_BUF_INIT;
	CLEANUP(herd_block_list_deinit) struct herd_block_list again = { 0 };

	MUST(l->volume_size && l->volume_size <= HERD_BC_VOLUME_MAX);
	MUST(l->block_size && l->block_size <= HERD_BLOCK_SIZE_MAX);
	for (size_t i = 0; i < l->n; i++) {
		MUST(!i || l->indexes[i] > l->indexes[i - 1]);
		MUST((uint64_t)l->indexes[i] * l->block_size < l->volume_size);
		MUST(!l->tokens || (l->tokens[i][0] &&
				    strlen(l->tokens[i]) <= HERD_BC_TOKEN_MAX));
	}
	MUST(!herd_block_list_encode(l, FIRST, &b));
	MUST(!herd_block_list_decode(b.data, b.len, FIRST, &again, NULL));
	MUST(again.n == l->n && !again.tokens == !l->tokens &&
	     again.tokens_expire == l->tokens_expire);
	for (size_t i = 0; i < l->n; i++)
		MUST(again.indexes[i] == l->indexes[i] &&
		     (!l->tokens || !strcmp(again.tokens[i], l->tokens[i])));
}

static void check_changed(const uint32_t *v, size_t n)
{
	struct herd_buf b CLEANUP_BUF = HERD_BUF_INIT;
	uint32_t *again CLEANUP_FREE = NULL;
	size_t again_n;

	for (size_t i = 0; i < n; i++)
		MUST(v[i] < HERD_BC_INDEXES && (!i || v[i] > v[i - 1]));
	MUST(!herd_block_changed_encode(v, n, FIRST, SECOND, &b));
	MUST(!herd_block_changed_decode(b.data, b.len, FIRST, SECOND, &again,
					&again_n, NULL));
	MUST(again_n == n && (!n || !memcmp(again, v, n * sizeof(*v))));
}

static void try(const uint8_t *data, size_t size)
{
	CLEANUP(herd_block_list_deinit) struct herd_block_list l = { 0 };
	struct herd_diag diag = { .offset = HERD_NO_OFFSET };
	uint32_t *v CLEANUP_FREE = NULL;
	size_t n = 0;
	int err = herd_block_list_decode(data, size, FIRST, &l, &diag);

	MUST(!err || (err == -EBADMSG && diag.message[0]) || err == -ENOMEM);
	if (!err)
		check_list(&l);
	err = herd_block_changed_decode(data, size, FIRST, SECOND, &v, &n,
					NULL);
	MUST(!err || err == -EBADMSG || err == -ENOMEM);
	if (!err)
		check_changed(v, n);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t *whole CLEANUP_FREE = malloc(size + HERD_SHA256_LEN);

	try(data, size);
	if (!whole)
		return 0;
	memcpy(whole, data, size);
	herd_sha256(data, size, whole + size);
	try(whole, size + HERD_SHA256_LEN);
	return 0;
}
