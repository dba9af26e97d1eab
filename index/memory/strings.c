/* SPDX-License-Identifier: Apache-2.0 */
/* SipHash-1-3 (Aumasson and Bernstein) over a key taken once a process. */
#include "index/memory/strings.h"

#include <endian.h>
#include <pthread.h>
#include <string.h>
#include <sys/random.h>

#define BLOCK (64u << 10)
#define STRINGS_MAX (UINT32_MAX / 4)

static uint64_t key[2];
static pthread_once_t key_once = PTHREAD_ONCE_INIT;

/* Without random numbers a fixed key has to do: it is only slower to attack
   then, not wrong. */
static void make_key(void)
{
	if (getrandom(key, sizeof(key), 0) != sizeof(key))
		key[0] = 0x9e3779b97f4a7c15;
}

static uint64_t turn(uint64_t x, unsigned by)
{
	return x << by | x >> (64 - by);
}

static void mix(uint64_t v[4])
{
	v[0] += v[1];
	v[1] = turn(v[1], 13) ^ v[0];
	v[0] = turn(v[0], 32);
	v[2] += v[3];
	v[3] = turn(v[3], 16) ^ v[2];
	v[0] += v[3];
	v[3] = turn(v[3], 21) ^ v[0];
	v[2] += v[1];
	v[1] = turn(v[1], 17) ^ v[2];
	v[2] = turn(v[2], 32);
}

static uint64_t hash(const void *p, size_t len)
{
	uint64_t v[4] = { key[0] ^ 0x736f6d6570736575,
			  key[1] ^ 0x646f72616e646f6d,
			  key[0] ^ 0x6c7967656e657261,
			  key[1] ^ 0x7465646279746573 };
	const uint8_t *s = p;
	uint64_t word = 0;

	for (size_t left = len;; left -= 8, s += 8) {
		word = 0;
		if (left < 8) {
			if (left)
				memcpy(&word, s, left);
			word = le64toh(word) | (uint64_t)len << 56;
		} else {
			memcpy(&word, s, 8);
			word = le64toh(word);
		}
		v[3] ^= word;
		mix(v);
		v[0] ^= word;
		if (left < 8)
			break;
	}
	v[2] ^= 0xff;
	mix(v);
	mix(v);
	mix(v);
	return v[0] ^ v[1] ^ v[2] ^ v[3];
}

void herd_strings_deinit(struct herd_strings *t)
{
	for (size_t i = 0; i < t->n_blocks; i++)
		free(t->blocks[i]);
	free(t->blocks);
	free(t->slots);
	free(t->v);
	memset(t, 0, sizeof(*t));
}

/* Room for a string of len and a NUL. */
static char *take(struct herd_strings *t, size_t len)
{
	if (len + 1 > t->room - t->used) {
		size_t room = len + 1 > BLOCK / 4 ? len + 1 : BLOCK;
		char **more =
			realloc(t->blocks, (t->n_blocks + 1) * sizeof(*more));

		if (!more)
			return NULL;
		t->blocks = more;
		t->blocks[t->n_blocks] = malloc(room);
		if (!t->blocks[t->n_blocks])
			return NULL;
		t->n_blocks++;
		t->room = room;
		t->used = 0;
	}
	char *p = t->blocks[t->n_blocks - 1] + t->used;

	t->used += len + 1;
	return p;
}

int herd_strings_append(struct herd_strings *t, const void *prefix,
			size_t prefix_len, const void *p, size_t len)
{
	char *s;

	if (t->n >= STRINGS_MAX)
		return -EOVERFLOW;
	if (t->n == t->cap) {
		uint32_t cap = t->cap ? t->cap * 2 : 64;
		struct herd_string *v = realloc(t->v, cap * sizeof(*v));

		if (!v)
			return -ENOMEM;
		t->v = v;
		t->cap = cap;
	}
	s = take(t, prefix_len + len);
	if (!s)
		return -ENOMEM;
	if (prefix_len)
		memcpy(s, prefix, prefix_len);
	if (len)
		memcpy(s + prefix_len, p, len);
	s[prefix_len + len] = '\0';
	t->v[t->n++] = (struct herd_string){ .p = s, .len = prefix_len + len };
	t->bytes += prefix_len + len;
	return 0;
}

/* The slot of a string, or the free one where it belongs. */
static uint32_t *slot(const struct herd_strings *t, const void *p, size_t len)
{
	uint32_t at = (uint32_t)hash(p, len) & (t->n_slots - 1);

	for (;; at = (at + 1) & (t->n_slots - 1)) {
		uint32_t id = t->slots[at];
		const struct herd_string *s = id ? &t->v[id - 1] : NULL;

		if (!s || (s->len == len && (!len || !memcmp(s->p, p, len))))
			return &t->slots[at];
	}
}

static int more_slots(struct herd_strings *t)
{
	uint32_t *old = t->slots, n = t->n_slots ? t->n_slots * 2 : 256;
	uint32_t *slots = calloc(n, sizeof(*slots));

	if (!slots)
		return -ENOMEM;
	t->slots = slots;
	t->n_slots = n;
	for (uint32_t i = 0; i < t->n; i++)
		*slot(t, t->v[i].p, t->v[i].len) = i + 1;
	free(old);
	return 0;
}

int herd_strings_put(struct herd_strings *t, const void *p, size_t len,
		     uint32_t *ret)
{
	uint32_t *s;
	int err = 0;

	pthread_once(&key_once, make_key);
	if (t->n >= t->n_slots / 2)
		err = more_slots(t);
	if (err)
		return err;
	s = slot(t, p, len);
	if (!*s) {
		err = herd_strings_append(t, NULL, 0, p, len);
		if (err)
			return err;
		*s = t->n;
	}
	*ret = *s - 1;
	return 0;
}

uint32_t herd_strings_find(const struct herd_strings *t, const void *p,
			   size_t len)
{
	uint32_t *s = t->n_slots ? slot(t, p, len) : NULL;

	return s && *s ? *s - 1 : HERD_STRING_NONE;
}
