/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A page of blocks that nobody wrote. The first byte says of which list.
 * Whatever is taken ascends, has tokens of their form, and fits its volume.
 */
#include "acquire/aws/ebs_page.h"

#include <errno.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define MUST(x)                           \
	do {                              \
		if (!(x))                 \
			__builtin_trap(); \
	} while (0)

static void check(const struct herd_block_list *l, bool changed)
{
	for (size_t i = 0; i < l->n; i++) {
		MUST(!i || l->indexes[i] > l->indexes[i - 1]);
		MUST(l->tokens[i] ? herd_ebs_is_token(l->tokens[i]) : changed);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct herd_block_list list = { 0 };
	struct herd_ebs_page p;
	struct herd_diag diag = { 0 };
	bool changed = size && data[0] & 1;
	size_t cap = 0;

	if (!size ||
	    herd_ebs_page_parse(data + 1, size - 1, changed, &p, &diag)) {
		MUST(!size || diag.message[0]);
		return 0;
	}
	check(&p.list, changed);
	MUST(!p.next[0] || herd_ebs_is_token(p.next));
	if (!herd_ebs_list_add(&list, &cap, &p, &diag)) {
		check(&list, changed);
		for (size_t i = 0; i < list.n; i++)
			MUST(list.indexes[i] <
			     list.volume_size / list.block_size);
	}
	herd_ebs_page_deinit(&p);

	/* The same once more goes back, unless there is nothing in it. */
	if (list.n &&
	    !herd_ebs_page_parse(data + 1, size - 1, changed, &p, NULL)) {
		size_t n = list.n;

		MUST(herd_ebs_list_add(&list, &cap, &p, NULL) == -EBADMSG);
		MUST(list.n == n && p.list.n == n);
		herd_ebs_page_deinit(&p);
	}
	herd_block_list_deinit(&list);
	return 0;
}
