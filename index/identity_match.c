/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Finding own tokens in text, after Wu and Manber: of each form its first
 * `window` bytes count, as many as the shortest has. A table says of each
 * pair of bytes how far it is from the end of such a window at least; a pair
 * in none lets nearly a whole window be skipped. Nothing is read twice but
 * where a window's last pair occurs.
 */
#include "index/identity_internal.h"

#include <string.h>

static inline unsigned pair(const uint8_t *p)
{
	return ((unsigned)p[0] << 5 ^ p[1]) & (HERD_IDENTITY_SHIFTS - 1);
}

static inline unsigned bucket(const uint8_t *p)
{
	uint32_t v;

	memcpy(&v, p, sizeof(v));
	return (uint32_t)(v * 2654435761u) >> 22;
}
_Static_assert(HERD_IDENTITY_BUCKETS == 1 << 10, "bucket() has 10 bits");

void herd_identity_index(struct herd_identity *id)
{
	unsigned window = HERD_IDENTITY_WINDOW_MAX;

	/* the longest come first, so the last has the shortest */
	if (id->n_forms && id->forms[id->n_forms - 1].len < window)
		window = id->forms[id->n_forms - 1].len;
	id->window = window;
	memset(id->shifts, (int)window - 1, sizeof(id->shifts));
	memset(id->buckets, 0, sizeof(id->buckets));
	/* from the shortest on, so that a bucket begins with its longest */
	for (size_t i = id->n_forms; i-- > 0;) {
		struct herd_identity_form *f = &id->forms[i];
		const uint8_t *p = id->bytes.data + f->at;
		uint16_t *head = &id->buckets[bucket(p)];

		f->next = *head;
		*head = (uint16_t)(i + 1);
		for (unsigned k = 0; k + 2 <= window; k++) {
			uint8_t *shift = &id->shifts[pair(p + k)];

			if (window - 2 - k < *shift)
				*shift = (uint8_t)(window - 2 - k);
		}
	}
}

/* May c belong to a number that f is a part of, behind its joint? */
static bool goes_on(const struct herd_identity_form *f, int c)
{
	if (f->kind == HERD_TOKEN_ADDRESS && f->joint != ':')
		return herd_is_digit(c);
	return herd_hex_value(c) >= 0;
}

/* base64 has two digits besides letters and numbers, and '=' at its end. */
static bool stands_alone(const struct herd_identity_form *f, const uint8_t *t,
			 size_t len, size_t at)
{
	size_t end = at + f->len;
	int before = at ? t[at - 1] : ' ';
	int after = end < len ? t[end] : ' ';

	if (herd_is_alnum(before) || herd_is_alnum(after))
		return false;
	if (f->kind == HERD_TOKEN_HOST_KEY)
		return before != '+' && before != '/' && after != '+' &&
		       after != '/' && after != '=';
	if (!f->joint)
		return true;
	if (before == f->joint && at > 1 && goes_on(f, t[at - 2]))
		return false;
	return after != f->joint || end + 1 >= len || !goes_on(f, t[end + 1]);
}

/* The longest form that begins at `at`, which has four bytes. */
static const struct herd_identity_form *
form_at(const struct herd_identity *id, const uint8_t *t, size_t len, size_t at)
{
	if (at && herd_is_alnum(t[at - 1]))
		return NULL;
	for (unsigned i = id->buckets[bucket(t + at)]; i;) {
		const struct herd_identity_form *f = &id->forms[i - 1];

		/* the last byte first: long ones have like beginnings */
		if (f->len <= len - at &&
		    id->bytes.data[f->at + f->len - 1] == t[at + f->len - 1] &&
		    !memcmp(id->bytes.data + f->at, t + at, f->len) &&
		    stands_alone(f, t, len, at))
			return f;
		i = f->next;
	}
	return NULL;
}

/* The first form from `from` on and where it is; NULL: none. */
static const struct herd_identity_form *find(const struct herd_identity *id,
					     const uint8_t *t, size_t len,
					     size_t from, size_t *ret_at)
{
	const uint8_t *shifts = id->shifts;
	const size_t skip = id->window - 1;

	if (!id->n_forms || len < id->window || from > len - id->window)
		return NULL;
	/* p: where the last pair of a window is */
	for (size_t p = from + id->window - 2; p + 1 < len;) {
		/* four at once, for none waits for another */
		while (p + 3 * skip + 1 < len &&
		       (size_t)shifts[pair(t + p)] +
				       shifts[pair(t + p + skip)] +
				       shifts[pair(t + p + 2 * skip)] +
				       shifts[pair(t + p + 3 * skip)] ==
			       4 * skip)
			p += 4 * skip;
		if (p + 1 >= len)
			break;
		unsigned shift = shifts[pair(t + p)];

		if (shift) {
			p += shift;
			continue;
		}
		size_t at = p - (id->window - 2);
		const struct herd_identity_form *f = form_at(id, t, len, at);

		if (f) {
			*ret_at = at;
			return f;
		}
		p++;
	}
	return NULL;
}

bool herd_identity_find(const struct herd_identity *id, const void *bytes,
			size_t len, size_t from,
			struct herd_identity_match *ret)
{
	size_t at;
	const struct herd_identity_form *f =
		id->settled ? find(id, bytes, len, from, &at) : NULL;

	if (!f)
		return false;
	*ret = (struct herd_identity_match){ .at = at,
					     .len = f->len,
					     .kind = f->kind };
	return true;
}

bool herd_identity_normalise(const struct herd_identity *id, const void *bytes,
			     size_t len, struct herd_buf *out)
{
	const uint8_t *t = bytes;
	size_t done = 0, at;

	if (!id->settled || !len || memchr(t, '\0', len))
		return false;
	const struct herd_identity_form *f = find(id, t, len, 0, &at);

	if (!f)
		return false;
	while (f) {
		const uint8_t mark[HERD_PLACEHOLDER_LEN] = {
			0, (uint8_t)('A' + f->kind),
			(uint8_t)('0' + f->spelling), 0
		};

		herd_buf_put(out, t + done, at - done);
		herd_buf_put(out, mark, sizeof(mark));
		done = at + f->len;
		f = find(id, t, len, done, &at);
	}
	herd_buf_put(out, t + done, len - done);
	return true;
}
