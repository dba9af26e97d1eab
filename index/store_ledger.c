/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where the herd's ledger lies (index/ledger.h). What its bytes mean is
 * nothing to the store.
 *
 * Threads: as index/store.h says.
 */
#include "index/store_internal.h"

static uint8_t *ledger_key(uint8_t key[8], uint32_t group, uint32_t holder)
{
	herd_key32(herd_key32(key, group), holder);
	return key;
}

int herd_ledger_put(struct herd_txn *t, uint32_t group, uint32_t holder,
		    const void *bytes, size_t len)
{
	uint8_t key[8];

	return herd_table_put(t, TABLE_HERD, ledger_key(key, group, holder),
			      sizeof(key), bytes, len);
}

int herd_ledger_get(struct herd_txn *t, uint32_t group, uint32_t holder,
		    const void **ret, size_t *ret_len)
{
	uint8_t key[8];
	MDB_val v;
	int r = herd_table_get(t, TABLE_HERD, ledger_key(key, group, holder),
			       sizeof(key), &v);

	if (r)
		return r;
	*ret = v.mv_data;
	*ret_len = v.mv_size;
	return 0;
}

struct ledger_each {
	int (*fn)(void *arg, uint32_t holder, const void *bytes, size_t len);
	void *arg;
};

static int ledger_one(void *arg, const MDB_val *key, const MDB_val *value)
{
	const struct ledger_each *each = arg;
	struct herd_cursor c = herd_cursor(key->mv_data, key->mv_size);

	herd_cur_be32(&c);
	uint32_t holder = herd_cur_be32(&c);

	if (c.bad || c.pos != c.len)
		return -EBADMSG;
	return each->fn(each->arg, holder, value->mv_data, value->mv_size);
}

int herd_ledger_each(struct herd_txn *t, uint32_t group,
		     int (*fn)(void *arg, uint32_t holder, const void *bytes,
			       size_t len),
		     void *arg)
{
	struct ledger_each each = { fn, arg };
	uint8_t prefix[4];

	herd_key32(prefix, group);
	return herd_table_each(t, TABLE_HERD, prefix, sizeof(prefix),
			       ledger_one, &each);
}

int herd_ledger_drop(struct herd_txn *t, uint32_t group)
{
	uint8_t prefix[4];

	herd_key32(prefix, group);
	return herd_table_clear(t, TABLE_HERD, prefix, sizeof(prefix));
}
