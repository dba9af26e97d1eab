/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A map from 64-bit numbers to 64-bit numbers: open addressing, no removal.
 * Zero-initialised is empty. Not for keys that an attacker could choose to
 * collide in large numbers without bound: the hash is mixed with a random
 * seed taken once a process.
 */
#ifndef HERD_IDMAP_H
#define HERD_IDMAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct herd_idmap {
	struct herd_idmap_slot { uint64_t key, value; } *slots;
	size_t n, cap;		/* cap is a power of two, or 0 */
	bool has_zero;		/* key 0 is kept apart: 0 marks a free slot */
	uint64_t zero;
};

void herd_idmap_deinit(struct herd_idmap *m);
/* Where the value of key is, or NULL. Valid until the next put. */
uint64_t *herd_idmap_get(const struct herd_idmap *m, uint64_t key);
/* Inserts or overwrites. 0 or -ENOMEM. */
int herd_idmap_put(struct herd_idmap *m, uint64_t key, uint64_t value);
/* Adds bits to the value of key, inserting it as 0 first. */
int herd_idmap_or(struct herd_idmap *m, uint64_t key, uint64_t bits);
/* Where to begin to look for a key: with the seed, so that nobody can choose
   keys that all begin at one place. */
uint64_t herd_idmap_hash(uint64_t key);
/* All keys in ascending order; *ret malloced, m->n + has_zero of them. */
int herd_idmap_keys(const struct herd_idmap *m, uint64_t **ret, size_t *ret_n);

#endif
