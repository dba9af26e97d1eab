/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where the blocks of an inode lie: extent trees, and the block lists of
 * ext2 and ext3. Both are walked in logical order, which a sound tree keeps
 * strictly; that alone rules out loops and overlaps among leaves, and the
 * volume's budget ends the rest.
 *
 * Threads: as the volume.
 */
#include "index/volume_ext.h"

#include <sys/stat.h>

struct mapping {
	struct herd_ext *ext;
	const struct herd_ext_inode *in;
	struct herd_inode *out;
	struct herd_diag *diag;
	uint64_t limit;		/* bytes wanted */
	uint64_t next;		/* the first logical block not yet spoken of */
};

/* ---- lists of runs ---- */

/* Room doubles each time n reaches a power of two, so it need not be kept. */
static int push_run(struct herd_run **v, size_t *n, struct herd_run run)
{
	if (*n >= HERD_RUNS_MAX)
		return -EOVERFLOW;
	if ((*n & (*n - 1)) == 0) {
		struct herd_run *more = realloc(*v, (*n ? *n * 2 : 1) *
						sizeof(**v));

		if (!more)
			return -ENOMEM;
		*v = more;
	}
	(*v)[(*n)++] = run;
	return 0;
}

int herd_ext_add_run(struct herd_inode *out, uint64_t logical, uint64_t phys,
		     uint64_t len)
{
	struct herd_run *last = out->n_runs ? &out->runs[out->n_runs - 1] : NULL;

	if (last && last->logical + last->len == logical &&
	    last->phys + last->len == phys) {
		last->len += len;
		return 0;
	}
	return push_run(&out->runs, &out->n_runs, (struct herd_run){
		.logical = logical, .phys = phys, .len = len });
}

int herd_ext_add_meta(struct herd_inode *out, uint64_t phys, uint64_t len)
{
	struct herd_run *last = out->n_meta ? &out->meta[out->n_meta - 1] : NULL;

	if (last && last->phys + last->len == phys) {
		last->len += len;
		return 0;
	}
	return push_run(&out->meta, &out->n_meta, (struct herd_run){
		.phys = phys, .len = len });
}

/* ---- what both kinds need ---- */

static int damaged(struct mapping *m, uint64_t at, const char *text)
{
	return herd_diag_set(m->diag, -EBADMSG, herd_ext_name(m->ext), at,
			     "inode %u: %s", m->in->ino, text);
}

/* n blocks of data; what lies past the end of the file is left out. */
static int add_data(struct mapping *m, uint64_t logical, uint64_t block,
		    uint64_t n, uint64_t at)
{
	uint64_t bs = m->ext->fs->blocksize;
	uint64_t from = logical * bs, len = n * bs, phys;

	if (from >= m->limit)
		return 0;
	if (len > m->limit - from)
		len = m->limit - from;
	if (block < m->ext->fs->super->s_first_data_block ||
	    __builtin_mul_overflow(block, bs, &phys) ||
	    phys > m->ext->size || len > m->ext->size - phys)
		return damaged(m, at, "a block of it lies outside the volume");
	int err = herd_ext_add_run(m->out, from, phys, len);

	return err == -EOVERFLOW
		? herd_diag_set(m->diag, err, herd_ext_name(m->ext), at,
				"inode %u: more than %u extents", m->in->ino,
				HERD_RUNS_MAX)
		: err;
}

/* A block of the tree, into the buffer of its level. */
static int read_node(struct mapping *m, uint64_t block, unsigned level,
		     uint64_t parent, uint8_t **ret)
{
	struct herd_ext *ext = m->ext;
	uint64_t bs = ext->fs->blocksize, phys;
	uint8_t *node = ext->nodes + level * bs;

	if (!ext->tree_budget)
		return herd_diag_set(m->diag, -EOVERFLOW, herd_ext_name(ext),
				     parent,
				     "inode %u: not read: the trees of this volume together have more blocks than it",
				     m->in->ino);
	ext->tree_budget--;
	if (block < ext->fs->super->s_first_data_block ||
	    __builtin_mul_overflow(block, bs, &phys) || phys > ext->size ||
	    bs > ext->size - phys)
		return damaged(m, parent,
			       "a block of its tree lies outside the volume");
	int err = herd_ext_add_meta(m->out, phys, bs);

	if (!err)
		err = herd_source_read(ext->v.source, node, bs, phys, m->diag);
	if (!err)
		*ret = node;
	return err;
}

/* ---- extents ---- */

struct node {
	const uint8_t *bytes;
	size_t len;		/* of the node's room */
	uint64_t at;		/* byte of the volume */
	unsigned level;		/* 0: in the inode */
};

static int extent_node(struct mapping *m, const struct node *node, int depth);

static int extent_leaf(struct mapping *m, struct herd_cursor *c, unsigned n,
		       uint64_t at)
{
	for (unsigned i = 0; i < n; i++) {
		uint64_t here = at + c->pos;
		uint64_t logical = herd_cur_le32(c);
		uint32_t len = herd_cur_le16(c);
		uint64_t block = (uint64_t)herd_cur_le16(c) << 32;
		bool unwritten = len > EXT_INIT_MAX_LEN;

		block |= herd_cur_le32(c);
		if (unwritten)
			len -= EXT_INIT_MAX_LEN;
		if (c->bad || !len || logical < m->next)
			return damaged(m, here,
				       "its extents are empty or out of order");
		m->next = logical + len;
		int err = unwritten ? 0 : add_data(m, logical, block, len, here);

		if (err)
			return err;
	}
	return 0;
}

static int extent_index(struct mapping *m, struct herd_cursor *c, unsigned n,
			const struct node *parent, int depth)
{
	uint64_t bs = m->ext->fs->blocksize;

	for (unsigned i = 0; i < n; i++) {
		uint64_t here = parent->at + c->pos;
		uint64_t logical = herd_cur_le32(c);
		uint64_t block = herd_cur_le32(c);
		uint8_t *bytes = NULL;

		block |= (uint64_t)herd_cur_le16(c) << 32;
		herd_cur_le16(c);
		if (c->bad || logical < m->next)
			return damaged(m, here, "its extent tree is out of order");
		if (logical * bs >= m->limit)
			return 0;
		int err = read_node(m, block, parent->level, here, &bytes);

		if (err)
			return err;
		struct node child = { .bytes = bytes, .len = bs,
				      .at = block * bs,
				      .level = parent->level + 1 };

		err = extent_node(m, &child, depth - 1);
		if (err)
			return err;
	}
	return 0;
}

/* depth: what the header has to say; -1: anything sensible (the root). */
static int extent_node(struct mapping *m, const struct node *node, int depth)
{
	struct herd_cursor c = herd_cursor(node->bytes, node->len);
	unsigned magic = herd_cur_le16(&c), n = herd_cur_le16(&c);
	unsigned max = herd_cur_le16(&c), here = herd_cur_le16(&c);
	size_t room = node->len - sizeof(struct ext3_extent_header);

	herd_cur_le32(&c);	/* generation */
	if (c.bad || magic != EXT3_EXT_MAGIC || n > max ||
	    max > room / sizeof(struct ext3_extent) ||
	    here > HERD_EXT_DEPTH_MAX || (depth >= 0 && here != (unsigned)depth))
		return damaged(m, node->at, "its extent tree is damaged");
	/* libext2fs looks for the checksum behind max entries */
	if (node->level && !m->in->bad_checksum &&
	    12 + 12 * (size_t)max + 4 <= node->len &&
	    !ext2fs_extent_block_csum_verify(m->ext->fs, m->in->ino,
			(struct ext3_extent_header *)(uintptr_t)node->bytes))
		herd_ext_problem(m->ext, m->out,
				 "offset %llu: checksum of a block of its extent tree does not match",
				 (unsigned long long)node->at);
	return here ? extent_index(m, &c, n, node, (int)here)
		    : extent_leaf(m, &c, n, node->at);
}

/* ---- block lists ---- */

/*
 * Blocks that n pointers from p lead to. Each stands for `span` logical
 * blocks; level 0: for one of data.
 */
static int indirect(struct mapping *m, const uint8_t *p, unsigned n,
		    unsigned level, uint64_t span, uint64_t at)
{
	uint64_t bs = m->ext->fs->blocksize, per = bs / 4;
	struct herd_cursor c = herd_cursor(p, 4 * (size_t)n);

	for (unsigned i = 0; i < n && m->next * bs < m->limit; i++) {
		uint64_t here = at + c.pos, first = m->next;
		uint32_t block = herd_cur_le32(&c);
		uint8_t *node = NULL;
		int err = 0;

		if (block && !level) {
			err = add_data(m, first, block, 1, here);
		} else if (block) {
			err = read_node(m, block, level - 1, here, &node);
			if (!err)
				err = indirect(m, node, (unsigned)per,
					       level - 1, span / per,
					       block * bs);
		}
		if (err)
			return err;
		m->next = first + span;
	}
	return 0;
}

static int block_list(struct mapping *m, const uint8_t *p, uint64_t at)
{
	uint64_t per = m->ext->fs->blocksize / 4, span = 1;
	int err = indirect(m, p, EXT2_NDIR_BLOCKS, 0, span, at);

	p += 4 * EXT2_NDIR_BLOCKS;
	at += 4 * EXT2_NDIR_BLOCKS;
	for (unsigned level = 1; level <= 3 && !err; level++) {
		span *= per;
		err = indirect(m, p, 1, level, span, at);
		p += 4;
		at += 4;
	}
	return err;
}

int herd_ext_map(struct herd_ext *ext, const struct herd_ext_inode *in,
		 uint64_t limit, struct herd_inode *out, struct herd_diag *diag)
{
	size_t off = offsetof(struct ext2_inode_large, i_block);
	struct mapping m = { .ext = ext, .in = in, .out = out, .diag = diag,
			     .limit = limit };

	if (in->flags & EXT4_EXTENTS_FL) {
		struct node root = { .bytes = in->bytes + off,
				     .len = sizeof(in->raw->i_block),
				     .at = in->at + off };

		return extent_node(&m, &root, -1);
	}
	return block_list(&m, in->bytes + off, in->at + off);
}
