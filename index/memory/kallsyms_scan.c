/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Finds kallsyms where nothing says where it is (before 6.1, or with no
 * VMCOREINFO). Its parts, in this order and each aligned:
 *
 *   before 6.4:  offsets, relative_base, num_syms, names, markers,
 *                (seqs_of_names,) token_table, token_index
 *   from 6.4 on: num_syms, names, markers, token_table, token_index, offsets,
 *                relative_base
 *   from 7.0 on: the same without relative_base, aligned to 4 and not to 8
 *
 * The table of tokens gives it away: names have digits, so the tokens 0x30 to
 * 0x39 are "0" to "9". The index after it has the place of each, markers
 * before it that of every 256th name. seqs_of_names came with 6.2 (and with
 * updates of 6.1): names in order, three bytes each.
 */
#include "index/memory/kallsyms.h"

#include "acquire/base/cleanup.h"

#include <endian.h>
#include <string.h>

#define CHUNK (1u << 20)
#define TOKENS 256u
#define DIGIT 0x30u
#define TABLE_MAX 16384u /* bytes of the tokens; real ones: 1,000 */
#define MARKERS_MAX (HERD_KALLSYMS_MAX / 256)
#define SEQS_MAX (8u << 20)  /* bytes before the tokens that are searched */
#define NAME_MAX_PACKED 258u /* bytes of a packed name with its length */

struct scan {
	herd_kernel_read_fn *read;
	void *arg;
	uint64_t start; /* _text or _stext */
	struct herd_kallsyms_place at;
	uint64_t markers; /* address */
	uint32_t n_markers, n;
	uint32_t *marker; /* n_markers */
};

static uint32_t get32(const uint8_t *p)
{
	uint32_t v;

	memcpy(&v, p, 4);
	return le32toh(v);
}

static bool read32(const struct scan *s, uint64_t va, uint32_t *ret)
{
	uint32_t v;

	if (s->read(s->arg, va, &v, 4))
		return false;
	*ret = le32toh(v);
	return true;
}

static uint64_t align(uint64_t v, uint64_t to)
{
	return (v + to - 1) & ~(to - 1);
}

/* ---- tokens ---- */

/* p: the token "0", with len bytes from it on; where each token from it on
   begins, and where the last ends. */
static bool tokens_after(const uint8_t *p, size_t len, uint32_t *at,
			 size_t *ret_end)
{
	size_t pos = 0;

	for (unsigned i = DIGIT; i < TOKENS; i++) {
		const uint8_t *end = pos < len ? memchr(p + pos, 0, len - pos) :
						 NULL;

		if (!end)
			return false;
		at[i] = (uint32_t)pos;
		pos = (size_t)(end - p) + 1;
	}
	*ret_end = pos;
	return true;
}

/* index: as in the image; at[DIGIT…]: relative to the token "0". */
static bool index_fits(const uint8_t *index, const uint32_t *at)
{
	uint32_t zero = index[2 * DIGIT] | (uint32_t)index[2 * DIGIT + 1] << 8;

	if (index[0] || index[1] || !zero || zero > TABLE_MAX)
		return false;
	for (unsigned i = DIGIT; i < TOKENS; i++)
		if ((index[2 * i] | (uint32_t)index[2 * i + 1] << 8) !=
		    zero + at[i])
			return false;
	return true;
}

/* The tokens before "0" are where the index says. */
static bool first_fit(const struct scan *s, const uint8_t *index, uint32_t zero)
{
	uint8_t table[TABLE_MAX];
	uint32_t pos = 0;

	if (s->read(s->arg, s->at.token_table, table, zero))
		return false;
	for (unsigned i = 0; i < DIGIT; i++) {
		const uint8_t *end;

		if ((index[2 * i] | (uint32_t)index[2 * i + 1] << 8) != pos)
			return false;
		end = pos < zero ? memchr(table + pos, 0, zero - pos) : NULL;
		if (!end)
			return false;
		pos = (uint32_t)(end - table) + 1;
	}
	return pos == zero;
}

/* va: where "0\0001\000…" was found. */
static bool take_tokens(struct scan *s, uint64_t va)
{
	uint8_t bytes[TABLE_MAX];
	uint32_t at[TOKENS];
	size_t len = sizeof(bytes), end;

	while (len >= 2048 && s->read(s->arg, va, bytes, len))
		len /= 2;
	if (len < 2048 || !tokens_after(bytes, len, at, &end))
		return false;
	for (unsigned to = 8; to >= 2; to /= 2) {
		uint64_t index = align(va + end, to);
		size_t in = (size_t)(index - va);
		uint32_t zero;

		if (in + 2 * (size_t)TOKENS > len ||
		    !index_fits(bytes + in, at))
			continue;
		zero = bytes[in + 2 * DIGIT] |
		       (uint32_t)bytes[in + 2 * DIGIT + 1] << 8;
		s->at.token_index = index;
		s->at.token_table = va - zero;
		if (first_fit(s, bytes + in, zero))
			return true;
	}
	return false;
}

/* ---- markers and names ---- */

static bool set_markers(struct scan *s, uint64_t va, const uint8_t *p,
			uint32_t n)
{
	s->markers = va;
	s->n_markers = n;
	free(s->marker);
	s->marker = malloc((size_t)n * 4);
	for (uint32_t i = 0; s->marker && i < n; i++)
		s->marker[i] = get32(p + 4 * (size_t)i);
	return s->marker != NULL;
}

/* Falling as they are read backwards, down to the first, which is 0. */
static bool take_markers(struct scan *s)
{
	uint64_t va = s->at.token_table & ~3ull;
	uint32_t last = UINT32_MAX, v;
	unsigned n = 0;

	/* before it zeros that align, at most one of 4 bytes */
	for (int pad = 0; pad < 2; pad++, va -= 4)
		if (!read32(s, va - 4, &v) || v)
			break;
	s->markers = va;
	for (;; n++) {
		if (n == MARKERS_MAX || !read32(s, s->markers - 4, &v) ||
		    v >= last)
			return false;
		s->markers -= 4;
		last = v;
		if (!v)
			break;
	}
	n++;
	CLEANUP_FREE uint8_t *p = malloc((size_t)n * 4);

	return p && !s->read(s->arg, s->markers, p, (size_t)n * 4) &&
	       set_markers(s, s->markers, p, n);
}

/* Whether names lie so that each marker is where a 256th one begins. */
static bool names_fit(const struct scan *s, const uint8_t *names, size_t len)
{
	size_t pos = 0;

	for (uint32_t i = 0; i < s->n; i++) {
		unsigned n;

		if (i % 256 == 0 && s->marker[i / 256] != pos)
			return false;
		if (pos >= len)
			return false;
		n = names[pos++];
		if (n & 0x80) {
			if (pos >= len)
				return false;
			n = (n & 0x7f) | (unsigned)names[pos++] << 7;
		}
		if (!n || n > len - pos)
			return false;
		pos += n;
	}
	return len - pos < 8; /* up to the markers, but for alignment */
}

/* How many names, read where they would be counted. */
static bool count_at(struct scan *s, uint64_t va)
{
	return read32(s, va, &s->n) && s->n <= HERD_KALLSYMS_MAX &&
	       (s->n + 255) / 256 == s->n_markers && s->n;
}

static bool take_names(struct scan *s)
{
	uint64_t last = s->markers - s->marker[s->n_markers - 1];
	uint64_t low = last - 256ull * NAME_MAX_PACKED;
	size_t len = (size_t)(s->markers - low) + 8;
	CLEANUP_FREE uint8_t *bytes = len < 64u << 20 ? malloc(len) : NULL;

	low -= 8; /* and the count before */
	if (!bytes)
		return false;
	/* what is before the first name need not be there */
	while (s->read(s->arg, low, bytes, (size_t)(s->markers - low)))
		if ((low = align(low + 1, 4096)) >= last)
			return false;
	for (uint64_t va = last & ~3ull; va >= low + 8; va -= 4) {
		size_t in = (size_t)(va - low);

		for (unsigned back = 4; back <= 8; back += 4) {
			uint32_t n = get32(bytes + in - back);

			if (!n || (n + 255ull) / 256 != s->n_markers ||
			    (back == 8 && va % 8))
				continue;
			s->n = n;
			if (!names_fit(s, bytes + in,
				       (size_t)(s->markers - va)))
				continue;
			s->at.names = va;
			s->at.num_syms = va - back;
			return count_at(s, s->at.num_syms);
		}
	}
	return false;
}

/* p: markers, when there are n names: from 0 on, rising. */
static bool rising(const uint8_t *p, uint32_t n)
{
	uint32_t last = 0;

	if (get32(p))
		return false;
	for (uint32_t i = 1; i < (n + 255) / 256; i++) {
		uint32_t v = get32(p + 4 * (size_t)i);

		/* of a name there are at least 2 bytes */
		if (v < last + 512 || v - last > 256 * NAME_MAX_PACKED)
			return false;
		last = v;
	}
	return true;
}

/*
 * With seqs_of_names between the markers and the tokens. How many there are is
 * not known yet, so each number is tried that makes a difference: it says
 * where the markers must begin.
 */
static bool take_behind_seqs(struct scan *s)
{
	uint64_t top = s->at.token_table, low = align(s->start, 4096);

	if (low >= top)
		return false;
	if (top - low > SEQS_MAX)
		low = top - SEQS_MAX;
	CLEANUP_FREE uint8_t *bytes = malloc((size_t)(top - low));

	if (!bytes)
		return false;
	while (s->read(s->arg, low, bytes, (size_t)(top - low)))
		if ((low = align(low + (top - low) / 2, 4096)) >= top)
			return false;
	for (uint32_t n = 512; n <= HERD_KALLSYMS_MAX; n++) {
		uint32_t m = (n + 255) / 256;
		uint64_t back = align(3ull * n, 8) + align(4ull * m, 8);

		if (back > top - low)
			break;
		const uint8_t *p = bytes + (top - low - back);

		if (get32(p) || get32(p + 4) < 512 || !rising(p, n))
			continue;
		if (!set_markers(s, top - back, p, m))
			return false;
		if (take_names(s) &&
		    align(3ull * s->n, 8) == align(3ull * n, 8))
			return true;
	}
	return false;
}

/* ---- offsets ---- */

/* The base is the lowest address: where the text begins. */
static bool is_base(const struct scan *s, uint64_t va)
{
	uint64_t v;

	if (va % 8 || s->read(s->arg, va, &v, 8))
		return false;
	v = le64toh(v);
	return v <= s->start && s->start - v <= 2u << 20;
}

static void take_offsets(struct scan *s)
{
	uint64_t before = s->at.num_syms - 8;
	uint64_t after = s->at.token_index + 2ull * TOKENS;
	uint64_t offsets = align(after, 8);

	if (is_base(s, before)) {
		s->at.relative_base = before;
		s->at.offsets = (before - 4ull * s->n) & ~7ull;
	} else if (is_base(s, align(offsets + 4ull * s->n, 8))) {
		s->at.relative_base = align(offsets + 4ull * s->n, 8);
		s->at.offsets = offsets;
	} else {
		s->at.relative_base = 0;
		s->at.offsets = align(after, 4);
	}
}

static bool take_all(struct scan *s, uint64_t va)
{
	if (!take_tokens(s, va) ||
	    (!(take_markers(s) && take_names(s)) && !take_behind_seqs(s)))
		return false;
	take_offsets(s);
	return true;
}

/* What cannot be read is zeros here. */
static void read_chunk(const struct scan *s, uint64_t va, uint8_t *to)
{
	if (!s->read(s->arg, va, to, CHUNK))
		return;
	for (size_t at = 0; at < CHUNK; at += 4096)
		if (s->read(s->arg, va + at, to + at, 4096))
			memset(to + at, 0, 4096);
}

int herd_kallsyms_scan(herd_kernel_read_fn *read, void *arg, uint64_t start,
		       uint64_t end, struct herd_kallsyms_place *ret)
{
	static const char digits[] = "0\0001\0002\0003\0004\0005\0006\0007\0008"
				     "\0009";
	CLEANUP_FREE uint8_t *bytes = calloc(1, CHUNK + sizeof(digits));
	struct scan s = { .read = read, .arg = arg, .start = start };
	unsigned tries = 64; /* of what looks like it */
	bool found = false;

	if (!bytes)
		return -ENOMEM;
	/* the end of the last chunk stays in front of the next */
	for (uint64_t va = start & ~4095ull; va < end && !found; va += CHUNK) {
		uint8_t *p = bytes, *stop = bytes + CHUNK + sizeof(digits);

		read_chunk(&s, va, bytes + sizeof(digits));
		while (!found && tries &&
		       (p = memmem(p, (size_t)(stop - p), digits,
				   sizeof(digits)))) {
			uint64_t at =
				va - sizeof(digits) + (uint64_t)(p - bytes);

			tries--;
			found = take_all(&s, at);
			p++;
		}
		memcpy(bytes, bytes + CHUNK, sizeof(digits));
	}
	free(s.marker);
	if (!found)
		return -ENOENT;
	*ret = s.at;
	return 0;
}
