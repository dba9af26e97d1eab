/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Images of memory: whose they are, and what they say of the machine, as bytes
 * that index/memory/machine_code.c makes and reads.
 *
 * Threads: as index/store.h says.
 */
#include "index/store_internal.h"

void herd_stored_memory_deinit(struct herd_stored_memory *m)
{
	herd_image_deinit(&m->image);
	*m = (struct herd_stored_memory){ .attached = 0 };
}

int herd_memory_put(struct herd_txn *t, uint32_t instance,
		    const struct herd_stored_memory *m)
{
	struct herd_buf b CLEANUP_BUF = HERD_BUF_INIT;
	uint8_t key[4];

	if (!instance)
		return -EINVAL;
	herd_key32(key, instance);
	herd_buf_varint(&b, m->attached);
	herd_image_encode(&m->image, &b);
	herd_buf_put(&b, m->machine, m->n_machine);
	if (b.failed)
		return -ENOMEM;
	return herd_table_put(t, TABLE_MEMORY, key, sizeof(key), b.data, b.len);
}

int herd_memory_get(struct herd_txn *t, uint32_t instance,
		    struct herd_stored_memory *ret)
{
	struct herd_stored_memory m = { .attached = 0 };
	uint8_t key[4];
	MDB_val v;

	herd_key32(key, instance);
	int r = herd_table_get(t, TABLE_MEMORY, key, sizeof(key), &v);

	if (r)
		return r;
	struct herd_cursor c = herd_cursor(v.mv_data, v.mv_size);

	m.attached = herd_cur_varint(&c);
	r = herd_image_decode(&c, &m.image);
	m.n_machine = herd_cur_left(&c);
	m.machine = herd_cur_bytes(&c, m.n_machine);
	if (r)
		herd_stored_memory_deinit(&m);
	else
		*ret = m;
	return r;
}

int herd_memory_remove(struct herd_txn *t, uint32_t instance)
{
	uint8_t key[4];

	herd_key32(key, instance);
	return herd_table_del(t, TABLE_MEMORY, key, sizeof(key));
}

struct memory_each {
	int (*fn)(void *arg, uint32_t instance);
	void *arg;
};

static int memory_one(void *arg, const MDB_val *key, const MDB_val *value)
{
	const struct memory_each *each = arg;
	struct herd_cursor c = herd_cursor(key->mv_data, key->mv_size);
	uint32_t id = herd_cur_be32(&c);

	(void)value;
	return c.bad || key->mv_size != 4 ? -EBADMSG : each->fn(each->arg, id);
}

int herd_memory_each(struct herd_txn *t,
		     int (*fn)(void *arg, uint32_t instance), void *arg)
{
	struct memory_each each = { fn, arg };

	return herd_table_each(t, TABLE_MEMORY, "", 0, memory_one, &each);
}
