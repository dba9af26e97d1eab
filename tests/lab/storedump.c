/* SPDX-License-Identifier: Apache-2.0 */
/*
 * storedump DIR: every record of a store as "table key value" in hex, sorted
 * as the store has them, so that two stores can be compared with cmp.
 */
#include "index/store.h"

#include <stdio.h>

static void hex(const void *bytes, size_t n)
{
	for (size_t i = 0; i < n; i++)
		printf("%02x", ((const uint8_t *)bytes)[i]);
}

static int record(void *arg, const char *table, const void *key, size_t key_len,
		  const void *value, size_t value_len)
{
	(void)arg;
	printf("%s ", table);
	hex(key, key_len);
	putchar(' ');
	hex(value, value_len);
	putchar('\n');
	return 0;
}

int main(int argc, char **argv)
{
	struct herd_store *s = NULL;
	struct herd_txn *t = NULL;
	struct herd_diag diag;
	char text[1024];

	if (argc != 2)
		return 2;
	herd_diag_clear(&diag);
	int err = herd_store_open(argv[1], 0, &s, &diag);

	if (!err)
		err = herd_txn_begin(s, false, &t, &diag);
	if (!err)
		err = herd_store_dump(t, record, NULL);
	if (err)
		fprintf(stderr, "storedump: %s\n",
			herd_diag_format(&diag, err, text, sizeof(text)));
	herd_txn_abort(t);
	herd_store_close(s);
	return err ? 1 : 0;
}
