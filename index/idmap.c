/* SPDX-License-Identifier: Apache-2.0 */
#include "index/idmap.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/random.h>

static uint64_t seed(void)
{
	static _Atomic uint64_t value;

	if (!value) {
		uint64_t v = 0;

		/* without entropy the map still works, only predictably */
		if (getrandom(&v, sizeof(v), GRND_NONBLOCK) != sizeof(v))
			v = 0x9e3779b97f4a7c15u;
		value = v | 1;
	}
	return value;
}

uint64_t herd_idmap_hash(uint64_t key)
{
	uint64_t h = (key ^ seed()) * 0xff51afd7ed558ccdu;

	h ^= h >> 32;
	h *= 0xc4ceb9fe1a85ec53u;
	return h ^ h >> 29;
}

static size_t slot_of(const struct herd_idmap *m, uint64_t key)
{
	size_t i = herd_idmap_hash(key) & (m->cap - 1);

	while (m->slots[i].key && m->slots[i].key != key)
		i = (i + 1) & (m->cap - 1);
	return i;
}

void herd_idmap_deinit(struct herd_idmap *m)
{
	free(m->slots);
	*m = (struct herd_idmap){ 0 };
}

uint64_t *herd_idmap_get(const struct herd_idmap *m, uint64_t key)
{
	if (!key)
		return m->has_zero ? (uint64_t *)&m->zero : NULL;
	if (!m->cap)
		return NULL;
	size_t i = slot_of(m, key);

	return m->slots[i].key ? &m->slots[i].value : NULL;
}

static int grow(struct herd_idmap *m)
{
	struct herd_idmap bigger = { .cap = m->cap ? m->cap * 2 : 64,
				     .n = m->n, .has_zero = m->has_zero,
				     .zero = m->zero };

	bigger.slots = calloc(bigger.cap, sizeof(*bigger.slots));
	if (!bigger.slots)
		return -ENOMEM;
	for (size_t i = 0; i < m->cap; i++)
		if (m->slots[i].key)
			bigger.slots[slot_of(&bigger, m->slots[i].key)] =
				m->slots[i];
	free(m->slots);
	*m = bigger;
	return 0;
}

int herd_idmap_put(struct herd_idmap *m, uint64_t key, uint64_t value)
{
	if (!key) {
		m->has_zero = true;
		m->zero = value;
		return 0;
	}
	if ((m->n + 1) * 4 > m->cap * 3) {
		int err = grow(m);

		if (err)
			return err;
	}
	size_t i = slot_of(m, key);

	if (!m->slots[i].key)
		m->n++;
	m->slots[i] = (struct herd_idmap_slot){ key, value };
	return 0;
}

int herd_idmap_or(struct herd_idmap *m, uint64_t key, uint64_t bits)
{
	uint64_t *v = herd_idmap_get(m, key);

	if (!v)
		return herd_idmap_put(m, key, bits);
	*v |= bits;
	return 0;
}

static int by_value(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

int herd_idmap_keys(const struct herd_idmap *m, uint64_t **ret, size_t *ret_n)
{
	size_t n = 0;
	uint64_t *keys = malloc((m->n + 1) * sizeof(*keys));

	if (!keys)
		return -ENOMEM;
	if (m->has_zero)
		keys[n++] = 0;
	for (size_t i = 0; i < m->cap; i++)
		if (m->slots[i].key)
			keys[n++] = m->slots[i].key;
	qsort(keys, n, sizeof(*keys), by_value);
	*ret = keys;
	*ret_n = n;
	return 0;
}
