/* SPDX-License-Identifier: Apache-2.0 */
/*
 * LZNT1, the compression of NTFS: blocks of 4 KiB, each a header and either
 * plain bytes or groups of eight literals and back references. A pure
 * function; no threads.
 */
#include "index/ntfs.h"

#include <errno.h>
#include <string.h>

#define BLOCK 4096u

/* One compressed block: in[0..len) to at most BLOCK bytes of out. */
static int block(const uint8_t *in, size_t len, uint8_t *out, size_t room,
		 size_t *ret)
{
	size_t i = 0, o = 0;

	while (i < len) {
		unsigned flags = in[i++];

		for (unsigned bit = 0; bit < 8 && i < len; bit++, flags >>= 1) {
			unsigned token, shift = 12, back, n;

			if (!(flags & 1)) {
				if (o >= room)
					return -EBADMSG;
				out[o++] = in[i++];
				continue;
			}
			if (len - i < 2 || !o)
				return -EBADMSG;
			token = in[i] | in[i + 1] << 8;
			i += 2;
			/* the further in, the more bits the distance has */
			for (size_t d = o - 1; d >= 0x10; d >>= 1)
				shift--;
			back = (token >> shift) + 1;
			n = (token & ((1u << shift) - 1)) + 3;
			if (back > o || n > room - o)
				return -EBADMSG;
			for (; n; n--, o++)
				out[o] = out[o - back];
		}
	}
	*ret = o;
	return 0;
}

int herd_lznt1(const uint8_t *in, size_t len, uint8_t *out, size_t out_len)
{
	size_t i = 0, o = 0;

	while (o < out_len && i + 2 <= len) {
		unsigned head = in[i] | in[i + 1] << 8;
		size_t n = (head & 0xfff) + 1, room = out_len - o, got = 0;
		int err = 0;

		if (!head)
			break; /* the rest is zeros */
		i += 2;
		if (n > len - i)
			return -EBADMSG;
		if (room > BLOCK)
			room = BLOCK;
		if (head & 0x8000) {
			err = block(in + i, n, out + o, room, &got);
		} else {
			got = n < room ? n : room;
			memcpy(out + o, in + i, got);
		}
		if (err)
			return err;
		/* a block that gives less is filled up, as every block
		   begins at a multiple of 4 KiB */
		memset(out + o + got, 0, room - got);
		o += room;
		i += n;
	}
	memset(out + o, 0, out_len - o);
	return 0;
}
