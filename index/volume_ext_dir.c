/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Names in a directory. The index of a large one is made of blocks that look
 * empty to whoever reads them in a row, so every directory is read so. A
 * damaged block does not end it: what can be read is given, and the first
 * thing that could not is the error at the end.
 *
 * Threads: as the volume. fn may call the volume's other functions.
 */
#include "index/volume_ext.h"

#include <dirent.h>
#include <sys/stat.h>

#define BAD_BLOCKS_MAX 1000	/* then it is no directory */

struct reading {
	struct herd_ext *ext;
	const struct herd_ext_inode *in;
	int (*fn)(void *arg, const char *name, size_t len, uint64_t ino,
		  unsigned char type);
	void *arg;
	struct herd_diag *diag;
	int why;		/* the first error; what fn said is returned */
	unsigned bad_blocks;
	unsigned found;		/* entries passed so far, "." and ".." too */
};

static void complain(struct reading *r, int err, uint64_t at, const char *text)
{
	herd_diag_set(r->diag, err, herd_ext_name(r->ext), at, "directory %u: %s",
		      r->in->ino, text);
	if (!r->why)
		r->why = err;
}

/* ---- entries ---- */

/* Lengths above 64 KiB less four are folded into the two low bits. */
static size_t record_len(const struct reading *r, uint16_t raw)
{
	if (r->ext->fs->blocksize < 65536)
		return raw;
	if (raw == 65535 || raw == 0)
		return r->ext->fs->blocksize;
	return (raw & 65532u) | (size_t)(raw & 3u) << 16;
}

static unsigned char type_of(const struct reading *r, unsigned type)
{
	static const unsigned char types[] = {
		DT_UNKNOWN, DT_REG, DT_DIR, DT_CHR, DT_BLK, DT_FIFO, DT_SOCK,
		DT_LNK,
	};

	return ext2fs_has_feature_filetype(r->ext->fs->super) &&
	       type < ARRAY_SIZE(types) ? types[type] : DT_UNKNOWN;
}

/* What is encrypted may hold any byte; three of it become four letters. */
static size_t base64url(const uint8_t *p, size_t len, char *out)
{
	static const char digits[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
	uint32_t bits = 0;
	unsigned have = 0;
	size_t n = 0;

	for (size_t i = 0; i < len; i++) {
		bits = bits << 8 | p[i];
		for (have += 8; have >= 6; have -= 6)
			out[n++] = digits[bits >> (have - 6) & 63];
	}
	if (have)
		out[n++] = digits[bits << (6 - have) & 63];
	return n;
}

static bool is_dots(const char *name, size_t len)
{
	return (len == 1 || len == 2) && !memcmp(name, "..", len);
}

static int give(struct reading *r, const char *name, size_t len, uint32_t ino,
		unsigned type, uint64_t at, bool first_block)
{
	char encoded[2 * EXT2_NAME_LEN];

	r->found++;
	if (is_dots(name, len)) {
		if (!first_block || r->found != len)
			complain(r, -EBADMSG, at,
				 "'.' or '..' where neither belongs");
		return 0;
	}
	if (r->in->flags & EXT4_ENCRYPT_FL) {
		len = base64url((const uint8_t *)name, len, encoded);
		name = encoded;
	}
	if (!len || memchr(name, '\0', len) || memchr(name, '/', len)) {
		complain(r, -EBADMSG, at,
			 "a name is empty, or holds a slash or a zero");
		return 0;
	}
	return r->fn(r->arg, name, len, ino, type_of(r, type));
}

/* All entries of one block. Positive or negative: what fn returned. */
static int read_entries(struct reading *r, const uint8_t *p, size_t len,
			uint64_t at, bool first_block)
{
	struct herd_cursor c = herd_cursor(p, len);
	int stop = 0;

	while (!stop && herd_cur_left(&c)) {
		size_t begin = c.pos;
		uint32_t ino = herd_cur_le32(&c);
		size_t whole = record_len(r, herd_cur_le16(&c));
		unsigned name_len = herd_cur_u8(&c), type = herd_cur_u8(&c);
		const char *name = herd_cur_bytes(&c, name_len);

		if (c.bad || whole < 8u + name_len || whole % 4 ||
		    whole > len - begin) {
			complain(r, -EBADMSG, at + begin,
				 "damaged entry, the rest of its block is not read");
			r->bad_blocks++;
			return 0;
		}
		c.pos = begin + whole;
		if (ino)
			stop = give(r, name, name_len, ino, type, at + begin,
				    first_block);
	}
	return stop;
}

/* ---- blocks ---- */

static int read_block(struct reading *r, uint8_t *block, uint64_t at,
		      bool first)
{
	struct herd_ext *ext = r->ext;
	size_t bs = ext->fs->blocksize;
	struct herd_diag diag;

	herd_diag_clear(&diag);
	int err = herd_source_read(ext->v.source, block, bs, at, &diag);

	if (err) {
		r->bad_blocks++;
		complain(r, err, at, diag.message);
		return 0;
	}
	/* with the inode's own checksum wrong, theirs cannot be computed */
	if (!r->in->bad_checksum && bs < 65536 &&
	    !ext2fs_dir_block_csum_verify(ext->fs, r->in->ino,
					  (struct ext2_dir_entry *)block))
		complain(r, -EBADMSG, at, "checksum of a block does not match");
	return read_entries(r, block, bs, at, first);
}

static int read_blocks(struct reading *r, const struct herd_inode *map,
		       uint8_t *block)
{
	uint64_t bs = r->ext->fs->blocksize, pos = 0;

	for (size_t i = 0; i < map->n_runs; i++) {
		const struct herd_run *run = &map->runs[i];

		if (run->logical != pos)
			complain(r, -EBADMSG, run->phys, "blocks are missing");
		for (uint64_t off = 0; off < run->len; off += bs) {
			if (r->bad_blocks > BAD_BLOCKS_MAX)
				return 0;
			if (!r->ext->dir_budget) {
				complain(r, -EOVERFLOW, run->phys,
					 "not read: those of this volume together are larger than it");
				return 0;
			}
			r->ext->dir_budget--;
			int stop = read_block(r, block, run->phys + off,
					      !run->logical && !off);

			if (stop)
				return stop;
		}
		pos = run->logical + run->len;
	}
	if (pos < r->in->size && !r->why)
		complain(r, -EBADMSG, r->in->at, "blocks are missing");
	return 0;
}

static int read_blocks_of(struct reading *r)
{
	struct herd_inode map CLEANUP(herd_inode_deinit) = { 0 };
	uint64_t bs = r->ext->fs->blocksize;
	uint8_t *block CLEANUP_FREE = malloc(bs);
	uint64_t size = r->in->size & ~(bs - 1);
	struct herd_diag diag;

	if (!block)
		return -ENOMEM;
	if (size != r->in->size)
		complain(r, -EBADMSG, r->in->at, "not a whole number of blocks");
	herd_diag_clear(&diag);
	int err = herd_ext_map(r->ext, r->in, size, &map, &diag);

	if (err == -ENOMEM)
		return err;
	if (err)
		complain(r, err, diag.offset, diag.message);
	return read_blocks(r, &map, block);
}

/*
 * Held in the inode: the parent's number, then entries up to the end of
 * i_block, then more of them in system.data.
 */
static int read_inline(struct reading *r)
{
	size_t off = offsetof(struct ext2_inode_large, i_block) + 4;
	size_t len = sizeof(r->in->raw->i_block) - 4;
	struct herd_ext_inline more;
	int stop;

	r->found = 2;	/* its dots are implied */
	if (r->in->size < len + 4)
		len = r->in->size < 4 ? 0 : (size_t)r->in->size - 4;
	herd_ext_find_inline(r->ext, r->in, &more);
	stop = read_entries(r, r->in->bytes + off, len, r->in->at + off, false);
	if (!stop && more.len)
		stop = read_entries(r, more.data, more.len, more.at, false);
	return stop;
}

int herd_ext_readdir(struct herd_volume *v, uint64_t ino,
		     int (*fn)(void *arg, const char *name, size_t len,
			       uint64_t ino, unsigned char type), void *arg,
		     struct herd_diag *diag)
{
	struct herd_ext *ext = herd_ext_of(v);
	/* fn may read inodes, so the volume's own buffer would not last */
	uint8_t *record CLEANUP_FREE =
		calloc(1, ext->inode_size + sizeof(struct ext2_inode_large));
	struct herd_ext_inode in;

	if (!record)
		return -ENOMEM;
	int err = herd_ext_load(ext, ino, record, &in, diag);

	if (err)
		return err;
	if (!S_ISDIR(in.raw->i_mode))
		return herd_diag_set(diag, -ENOTDIR, herd_ext_name(ext), in.at,
				     "inode %u is not a directory", in.ino);
	struct reading r = { .ext = ext, .in = &in, .fn = fn, .arg = arg,
			     .diag = diag };

	err = herd_ext_is_inline(&in) ? read_inline(&r) : read_blocks_of(&r);
	return err ? err : r.why;
}
