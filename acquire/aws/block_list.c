/* SPDX-License-Identifier: Apache-2.0 */
#include "acquire/aws/block_list.h"

#include "acquire/base/cleanup.h"

void herd_block_list_deinit(struct herd_block_list *l)
{
	if (l->tokens)
		for (size_t i = 0; i < l->n; i++)
			free(l->tokens[i]);
	free(l->tokens);
	free(l->indexes);
	*l = (struct herd_block_list){ 0 };
}
