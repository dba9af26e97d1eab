/* SPDX-License-Identifier: Apache-2.0 */
/*
 * kdump (makedumpfile's "diskdump" format, 64 bits; flattened too): a header, a
 * sub header, two bitmaps (which frames are memory; which are in the dump), a
 * descriptor for each frame that is, and their bytes, each page packed by itself.
 *
 *   block 0          struct disk_dump_header
 *   block 1          struct kdump_sub_header (with the old signature DISKDUMP
 *                    another one, which says nothing of interest)
 *   then             bitmap_blocks blocks: both bitmaps, each half of them
 *   then             descriptors of 24 bytes, in order of frame
 *
 * Frames that were left out (free, cache, user pages, zeros, by the dump's
 * level) are gaps. The bitmap is kept in memory, 32 MiB for 1 TiB.
 *
 * Threads: opening is one thread's.
 */
#include "acquire/memory/memory_kdump.h"

#include <lzo/lzoconf.h>
#include <string.h>

#define PAGE HERD_MEMORY_PAGE
#define SLOTS 4096u		/* 16 MiB in the cache */
#define BITMAP_MAX (256u << 20)
#define HEADER 464u
#define SUB_HEADER 104u
#define CUT_SHORT "it is cut short: its last record is missing"
#define MACHINE (12 + 4 * 65)	/* utsname.machine in the header */

enum { STATUS_INCOMPLETE = 8, STATUS_NO_VMEMMAP = 0x10 };

static int bad(const struct herd_kdump *k, uint64_t off, int err,
	       const char *what, struct herd_diag *diag)
{
	return herd_diag_set(diag, err, k->m.s.name, off, "%s", what);
}

static void kdump_destroy(struct herd_source *s)
{
	struct herd_kdump *k = (struct herd_kdump *)s;

	herd_memory_cache_destroy(k->cache);
	herd_kdump_idle_destroy(k);
	pthread_mutex_destroy(&k->lock);
	free(k->bitmap);
	free(k->counts);
	herd_memory_deinit(&k->m);
	free(k);
}

static const struct herd_source_ops kdump_ops = {
	.kind = "kdump", .read = herd_kdump_read,
	.data_extents = herd_memory_data, .lost = herd_memory_lost,
	.destroy = kdump_destroy,
};

/* ---- the headers ---- */

struct header {
	uint32_t version, status, block_size, sub_blocks, bitmap_blocks;
	uint64_t frames;
	uint32_t level;		/* what makedumpfile was told to leave out */
	bool split;
	uint64_t first, end;
	uint64_t vmcoreinfo, n_vmcoreinfo, notes, n_notes;
};

static void take_sub_header(const uint8_t *sub, size_t len, struct header *h)
{
	struct herd_cursor c = herd_cursor(sub, len);
	uint64_t frames;

	herd_cur_le64(&c);	/* phys_base */
	h->level = h->version >= 1 ? herd_cur_le32(&c) : 0;
	if (h->version >= 2) {
		h->split = herd_cur_le32(&c);
		h->first = herd_cur_le64(&c);
		h->end = herd_cur_le64(&c);
	}
	if (h->version >= 3) {
		h->vmcoreinfo = herd_cur_le64(&c);
		h->n_vmcoreinfo = herd_cur_le64(&c);
	}
	if (h->version >= 4) {
		h->notes = herd_cur_le64(&c);
		h->n_notes = herd_cur_le64(&c);
	}
	if (h->version >= 6) {
		herd_cur_seek(&c, 80);
		h->first = herd_cur_le64(&c);
		h->end = herd_cur_le64(&c);
		frames = herd_cur_le64(&c);
		if (frames)
			h->frames = frames;
	}
}

static int check_machine(const struct herd_kdump *k, const uint8_t *head,
			 struct herd_diag *diag)
{
	char machine[65];

	memcpy(machine, head + MACHINE, sizeof(machine));
	machine[64] = '\0';
	if (machine[0] && strcmp(machine, "x86_64") != 0)
		return herd_diag_set(diag, -EOPNOTSUPP, k->m.s.name, MACHINE,
				     "a kdump of %s: only x86_64 is read",
				     machine);
	return 0;
}

static int read_header(struct herd_kdump *k, struct header *h,
		       struct herd_diag *diag)
{
	uint8_t head[HEADER], sub[SUB_HEADER];
	struct herd_cursor c = herd_cursor(head, sizeof(head));
	int err = herd_source_read(k->m.container, head, sizeof(head), 0, diag);

	if (err)
		return err;
	bool old = !memcmp(head, "DISKDUMP", 8);

	if (!old && memcmp(head, "KDUMP   ", 8) != 0)
		return bad(k, 0, -EBADMSG, "no header of a kdump", diag);
	herd_cur_seek(&c, 8);
	h->version = herd_cur_le32(&c);
	herd_cur_seek(&c, 424);
	h->status = herd_cur_le32(&c);
	h->block_size = herd_cur_le32(&c);
	h->sub_blocks = herd_cur_le32(&c);
	h->bitmap_blocks = herd_cur_le32(&c);
	h->frames = herd_cur_le32(&c);
	if (be32toh(h->block_size) == PAGE)
		return bad(k, 428, -EOPNOTSUPP, "a kdump of the other byte order: "
			   "only x86_64 is read", diag);
	if (h->block_size != PAGE)
		return herd_diag_set(diag, -EOPNOTSUPP, k->m.s.name, 428,
				     "a kdump with pages of %u bytes",
				     h->block_size);
	if (h->version > 64 || h->sub_blocks > 65536)
		return bad(k, 8, -EBADMSG, "a header of a kdump that cannot be",
			   diag);
	err = check_machine(k, head, diag);
	if (!err && !old && h->sub_blocks)
		err = herd_source_read(k->m.container, sub, sizeof(sub), PAGE,
				       diag);
	if (!err && !old && h->sub_blocks)
		take_sub_header(sub, sizeof(sub), h);
	return err;
}

/* ---- the bitmaps ---- */

/* Nothing behind the last frame. */
static void mask_end(struct herd_kdump *k, uint64_t *bitmap)
{
	if (k->frames % 64)
		bitmap[k->frames / 64] &= htole64((1ull << k->frames % 64) - 1);
}

/* *ret_left_out: frames that are memory and not in the dump. */
static int read_bitmaps(struct herd_kdump *k, const struct header *h,
			uint64_t *ret_left_out, struct herd_diag *diag)
{
	uint64_t at = (1 + (uint64_t)h->sub_blocks) * PAGE;
	uint64_t all = (uint64_t)h->bitmap_blocks * PAGE;
	uint64_t need = (k->frames + 7) / 8, words = (k->frames + 63) / 64;
	/* 0: there is but one */
	uint64_t half = h->bitmap_blocks / 2 < (need + PAGE - 1) / PAGE ? 0 :
								all / 2;
	CLEANUP_FREE uint64_t *ram = NULL;

	if (need > BITMAP_MAX)
		return bad(k, 440, -EOVERFLOW, "a memory of more than 8 TiB",
			   diag);
	if (need > all || at + all > k->m.container->size)
		return bad(k, 436, -EBADMSG, "bitmaps that do not fit the memory "
			   "or the file", diag);
	k->descriptors = at + all;
	k->bitmap = calloc(words + 1, 8);
	ram = half ? calloc(words + 1, 8) : NULL;
	if (!k->bitmap || (half && !ram))
		return -ENOMEM;
	int err = herd_source_read(k->m.container, k->bitmap, need, at + half,
				   diag);

	if (!err && half)
		err = herd_source_read(k->m.container, ram, need, at, diag);
	if (err)
		return err;
	mask_end(k, k->bitmap);
	if (half)
		mask_end(k, ram);
	*ret_left_out = 0;
	for (uint64_t w = 0; half && w < words; w++)
		*ret_left_out += (unsigned)__builtin_popcountll(ram[w] &
								~k->bitmap[w]);
	return 0;
}

static int count_frames(struct herd_kdump *k)
{
	const uint64_t per = HERD_KDUMP_GROUP / 64;
	uint64_t n = 0, words = (k->frames + 63) / 64;

	k->counts = calloc(words / per + 2, sizeof(*k->counts));
	if (!k->counts)
		return -ENOMEM;
	for (uint64_t w = 0; w < words; w++) {
		if (w % per == 0)
			k->counts[w / per] = n;
		n += (unsigned)__builtin_popcountll(k->bitmap[w]);
	}
	k->counts[(words + per - 1) / per] = n;
	for (uint64_t w = 0; w < k->first / 64; w++)
		k->before += (unsigned)__builtin_popcountll(k->bitmap[w]);
	for (uint64_t f = k->first & ~63ull; f < k->first; f++)
		k->before += le64toh(k->bitmap[f / 64]) >> (f % 64) & 1;
	return 0;
}

/*
 * The ranges, with gaps below `least` frames filled in; -EOVERFLOW: too many
 * of them.
 */
static int take_ranges(struct herd_kdump *k, uint64_t least)
{
	struct herd_extents *e = &k->m.there;
	uint64_t from = 0, to = 0;	/* the open one; none when equal */
	int err = 0;

	e->n = 0;
	for (uint64_t f = k->first; f < k->end && !err; f++) {
		if (f % 64 == 0 && !k->bitmap[f / 64]) {
			f += 63;
			continue;
		}
		if (!herd_kdump_has(k, f))
			continue;
		if (from != to && f == to && f % 64 == 0 && k->end - f >= 64 &&
		    k->bitmap[f / 64] == UINT64_MAX) {
			f += 63;
			to = f + 1;
			continue;
		}
		if (from != to && f - to >= least) {
			err = herd_extents_add(e, from * PAGE, (to - from) * PAGE);
			from = f;
		} else if (from == to) {
			from = f;
		}
		to = f + 1;
		if (e->n >= HERD_MEMORY_RANGES_MAX)
			err = -EOVERFLOW;
	}
	return err ?: herd_extents_add(e, from * PAGE, (to - from) * PAGE);
}

static int take_all_ranges(struct herd_kdump *k)
{
	uint64_t least = 1;
	int err;

	while ((err = take_ranges(k, least)) == -EOVERFLOW)
		least *= 8;
	if (!err && least > 1)
		herd_memory_warn(&k->m, "of its very many gaps those below %llu "
				 "KiB are not told",
				 (unsigned long long)least * PAGE / 1024);
	return err;
}

/* ---- opening ---- */

static void warn(struct herd_kdump *k, const struct header *h,
		 uint64_t left_out)
{
	uint64_t pages = k->m.container->size;

	if (h->split)
		herd_memory_warn(&k->m, "it is one part of a dump that was split "
				 "(frames %llu to %llu): put them together with "
				 "makedumpfile --reassemble",
				 (unsigned long long)k->first,
				 (unsigned long long)k->end);
	if (h->status & STATUS_INCOMPLETE)
		herd_memory_warn(&k->m, "it says of itself that it is incomplete");
	if (k->descriptors + (k->counts[(k->frames + HERD_KDUMP_GROUP - 1) /
					HERD_KDUMP_GROUP] - k->before) * 24 >
		    pages && !h->split)
		herd_memory_warn(&k->m, "it is cut short: descriptors of its "
				 "pages are missing");
	if (left_out && !h->split)
		herd_memory_warn(&k->m, "%llu MiB of memory were left out of it "
				 "(level %u)",
				 (unsigned long long)(left_out + 255) / 256,
				 h->level);
	if (h->status & STATUS_NO_VMEMMAP)
		herd_memory_warn(&k->m, "the kernel's list of page frames is not "
				 "whole (makedumpfile -e)");
}

static int open_kdump(struct herd_kdump *k, struct herd_diag *diag)
{
	struct header h = { 0 };
	uint64_t left_out = 0;
	int err = read_header(k, &h, diag);

	if (err)
		return err;
	if (!h.frames || h.frames > HERD_MEMORY_TOP / PAGE)
		return bad(k, 440, -EBADMSG, "a number of frames that cannot be",
			   diag);
	k->frames = h.frames;
	k->end = h.frames;
	if (h.split) {
		k->first = h.first < h.frames ? h.first : h.frames;
		k->end = h.end < h.frames ? h.end : h.frames;
	}
	k->lacking |= h.status & STATUS_INCOMPLETE;
	err = read_bitmaps(k, &h, &left_out, diag) ?: count_frames(k) ?:
	      take_all_ranges(k) ?:
	      herd_memory_read_notes(&k->m, h.notes, h.n_notes) ?:
	      herd_memory_take_vmcoreinfo(&k->m, h.vmcoreinfo, h.n_vmcoreinfo);
	if (err)
		return err;
	if (!k->m.there.n)
		return bad(k, 0, -EBADMSG, "no memory in it", diag);
	herd_memory_set_size(&k->m);
	warn(k, &h, left_out);
	if (!k->m.notes.tool)
		herd_memory_tool(&k->m, "makedumpfile");
	return 0;
}

static bool is_elf(struct herd_source *c)
{
	char head[4];

	return c->size >= 4 && !herd_source_read(c, head, 4, 0, NULL) &&
	       !memcmp(head, "\177ELF", 4);
}

int herd_memory_open_kdump(struct herd_source *container,
			   struct herd_source **ret, struct herd_diag *diag)
{
	struct herd_kdump *k;
	bool cut = false;
	int err = herd_memory_unflatten(container, &container, &cut, diag);

	if (err)
		return err;
	if (is_elf(container)) {
		err = herd_memory_open_elf(container, ret, diag);
		if (!err && cut)
			herd_memory_warn((struct herd_memory_source *)*ret,
					 CUT_SHORT);
		return err;
	}
	k = calloc(1, sizeof(*k));
	if (!k) {
		herd_source_destroy(container);
		return -ENOMEM;
	}
	pthread_mutex_init(&k->lock, NULL);
	k->lacking = cut;
	if (cut)
		herd_memory_warn(&k->m, CUT_SHORT);
	err = lzo_init() == LZO_E_OK ? 0 : -EOPNOTSUPP;
	err = herd_memory_init(&k->m, &kdump_ops, container) ?: err ?:
	      herd_memory_cache_create(PAGE, SLOTS, &k->cache) ?:
	      open_kdump(k, diag);
	if (err) {
		kdump_destroy(&k->m.s);
		return err;
	}
	*ret = &k->m.s;
	return 0;
}
