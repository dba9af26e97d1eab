/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The ext2/3/4 reader: recognising and opening a file system, from a backup
 * of its superblock where the primary one is damaged, and what holds for the
 * volume as a whole.
 *
 * Threads: as a volume, one at a time.
 */
#include "index/volume_ext.h"

#include "acquire/base/buf.h"
#include "acquire/base/sha256.h"

#include <stdio.h>

#define SUPER_AT 1024
#define SUPER_LEN 1024
#define BLOCKS_MAX (1ull << 48)
#define BTREE_DIR 0x4	/* a read-only feature that never came to be */
/* what a small volume may have read of it, whatever its size */
#define TREE_BUDGET_MIN (1ull << 18)
#define DIR_BUDGET_MIN (1ull << 16)

/* ---- the superblock, before libext2fs allocates by what it says ---- */

struct super {
	uint64_t blocks;
	uint32_t inodes, first_block, log_block, per_group, inodes_per_group;
	uint32_t compat, incompat, ro_compat;
	uint16_t group;		/* whose copy this is */
	bool magic;
};

static void parse_super(const uint8_t *p, struct super *ret)
{
	struct herd_cursor c = herd_cursor(p, SUPER_LEN);
	uint32_t low, high;

	ret->inodes = herd_cur_le32(&c);
	low = herd_cur_le32(&c);
	herd_cur_seek(&c, 0x14);
	ret->first_block = herd_cur_le32(&c);
	ret->log_block = herd_cur_le32(&c);
	herd_cur_seek(&c, 0x20);
	ret->per_group = herd_cur_le32(&c);
	herd_cur_seek(&c, 0x28);
	ret->inodes_per_group = herd_cur_le32(&c);
	herd_cur_seek(&c, 0x38);
	ret->magic = herd_cur_le16(&c) == EXT2_SUPER_MAGIC;
	herd_cur_seek(&c, 0x5a);
	ret->group = herd_cur_le16(&c);
	ret->compat = herd_cur_le32(&c);
	ret->incompat = herd_cur_le32(&c);
	ret->ro_compat = herd_cur_le32(&c);
	herd_cur_seek(&c, 0x150);
	high = herd_cur_le32(&c);
	ret->blocks = low;
	if (ret->incompat & EXT4_FEATURE_INCOMPAT_64BIT)
		ret->blocks |= (uint64_t)high << 32;
}

/* NULL when libext2fs may be let at it. */
static const char *absurd(const struct super *s, uint64_t size)
{
	uint64_t bs = 1024ull << (s->log_block & 31), groups;

	if (s->log_block > 6)
		return "impossible size of blocks";
	if (!s->blocks || s->blocks > BLOCKS_MAX ||
	    s->first_block >= s->blocks || s->first_block > 1)
		return "impossible number of blocks";
	if (!s->per_group || !s->inodes_per_group || !s->inodes ||
	    s->inodes_per_group > 8 * bs)
		return "impossible size of groups";
	groups = (s->blocks - s->first_block + s->per_group - 1) / s->per_group;
	if (groups > size / 32)
		return "more groups than there is room for";
	return NULL;
}

static int unsupported(struct herd_source *source, const struct super *s,
		       struct herd_diag *diag)
{
	static const struct {
		uint32_t bit;
		const char *name;
	} known[] = {
		{ EXT2_FEATURE_INCOMPAT_COMPRESSION, "compression" },
		{ EXT3_FEATURE_INCOMPAT_JOURNAL_DEV, "journal_dev (an external journal)" },
		{ EXT4_FEATURE_INCOMPAT_DIRDATA, "dirdata" },
	};
	uint32_t left = s->incompat & ~(uint32_t)(EXT2_LIB_FEATURE_INCOMPAT_SUPP &
					~EXT3_FEATURE_INCOMPAT_JOURNAL_DEV);
	struct herd_buf text CLEANUP_BUF = HERD_BUF_INIT;

	for (size_t i = 0; i < ARRAY_SIZE(known); i++) {
		if (left & known[i].bit)
			herd_buf_printf(&text, "%s%s", text.len ? ", " : "",
					known[i].name);
		left &= ~known[i].bit;
	}
	if (left)
		herd_buf_printf(&text, "%s0x%x", text.len ? ", " : "", left);
	if (herd_buf_error(&text))
		return -ENOMEM;
	return herd_diag_set(diag, -EOPNOTSUPP, source->name, SUPER_AT + 0x60,
			     "ext file system with features that are not supported: %s",
			     text.data ? (const char *)text.data : "unknown");
}

/* ---- opening ---- */

/* What one way of opening gave. */
struct opened {
	ext2_filsys fs;
	uint64_t backup;	/* block of the superblock used, 0: primary */
	bool checksum_ignored;
	unsigned bad_groups;
	uint32_t journal;	/* features of the primary, if it is legible */
};

static void opened_deinit(struct opened *o)
{
	if (o->fs)
		ext2fs_free(o->fs);
	o->fs = NULL;
}

static bool table_inside(ext2_filsys fs, dgrp_t group)
{
	uint64_t blocks = ext2fs_blocks_count(fs->super);
	uint64_t table = ext2fs_inode_table_loc(fs, group);

	return table >= fs->super->s_first_data_block && table &&
	       table < blocks && fs->inode_blocks_per_group <= blocks - table;
}

static unsigned count_bad_groups(ext2_filsys fs)
{
	unsigned n = 0;

	for (dgrp_t g = 0; g < fs->group_desc_count; g++)
		if (!table_inside(fs, g) || !ext2fs_group_desc_csum_verify(fs, g))
			n++;
	return n;
}

static int open_at(struct herd_source *source, uint64_t block, unsigned bs,
		   bool ignore, struct opened *ret, errcode_t *ret_code,
		   struct herd_diag *diag)
{
	int err = herd_ext_fs_open(source, (int)block, bs, ignore, &ret->fs,
				   ret_code, diag);

	if (err)
		return err;
	ret->backup = block;
	ret->checksum_ignored = ignore;
	ret->bad_groups = count_bad_groups(ret->fs);
	return 0;
}

/* One place where a backup may be. */
struct candidate {
	uint32_t group, bs, per_group;
	unsigned first;		/* number of the first block */
};

/* -ENODATA unless a superblock lies there that says so itself, in good order. */
static int try_backup(struct herd_source *source, const struct candidate *c,
		      struct opened *ret)
{
	uint64_t block = (uint64_t)c->group * c->per_group + c->first;
	uint64_t at = block * c->bs;
	uint8_t raw[SUPER_LEN];
	struct super s;
	errcode_t code;

	if (block > INT32_MAX || at > source->size ||
	    source->size - at < SUPER_LEN ||
	    herd_source_read(source, raw, sizeof(raw), at, NULL))
		return -ENODATA;
	parse_super(raw, &s);
	if (!s.magic || absurd(&s, source->size) ||
	    1024u << s.log_block != c->bs || s.per_group != c->per_group ||
	    s.group != c->group)
		return -ENODATA;
	return open_at(source, block, c->bs, false, ret, &code, NULL);
}

/* Where sparse_super puts them, with groups of this size. */
static int try_groups(struct herd_source *source, uint32_t bs,
		      uint32_t per_group, unsigned first, struct opened *ret)
{
	static const uint32_t groups[] = { 1, 3, 5, 7, 9, 25, 27, 49, 81 };
	int err = -ENODATA;

	for (size_t i = 0; i < ARRAY_SIZE(groups) && err; i++) {
		struct candidate c = { .group = groups[i], .bs = bs,
				       .per_group = per_group, .first = first };

		err = try_backup(source, &c, ret);
		if (err == -ENOMEM)
			return err;
	}
	return err;
}

/*
 * The first backup of good standing: by what is left of the primary
 * superblock, else in groups of the sizes that mkfs makes, without and with
 * clusters.
 */
static int open_backup(struct herd_source *source, const struct super *primary,
		       struct opened *ret)
{
	int err = -ENODATA;

	if (primary->magic && !absurd(primary, source->size))
		err = try_groups(source, 1024u << primary->log_block,
				 primary->per_group, primary->first_block, ret);
	for (unsigned log = 0; log <= 6 && err && err != -ENOMEM; log++) {
		uint32_t bs = 1024u << log;
		uint32_t usual = 8 * bs < 65528 ? 8 * bs : 65528;

		err = try_groups(source, bs, usual, !log, ret);
		if (err && err != -ENOMEM)
			err = try_groups(source, bs, usual * 16, 0, ret);
	}
	return err;
}

static bool same_tables(ext2_filsys a, ext2_filsys b)
{
	if (a->group_desc_count != b->group_desc_count)
		return false;
	for (dgrp_t g = 0; g < a->group_desc_count; g++)
		if (ext2fs_inode_table_loc(a, g) != ext2fs_inode_table_loc(b, g))
			return false;
	return true;
}

/* For a primary superblock that is damaged, or whose group descriptors are. */
static int prefer_backup(struct herd_source *source, const struct super *s,
			 struct opened *o)
{
	struct opened backup CLEANUP(opened_deinit) = { .fs = NULL };
	int err = open_backup(source, s, &backup);

	if (err)
		return err;
	/* damage elsewhere than in what we use is no reason */
	if (o->fs && (backup.bad_groups >= o->bad_groups ||
		      same_tables(o->fs, backup.fs)))
		return 0;
	opened_deinit(o);
	*o = backup;
	backup.fs = NULL;
	return 0;
}

/*
 * The primary superblock as it is; when it or the group descriptors behind it
 * are damaged a backup; at last the primary with its checksum ignored.
 */
static int open_any(struct herd_source *source, const struct super *s,
		    struct opened *ret, struct herd_diag *diag)
{
	const char *why = absurd(s, source->size);
	struct herd_diag first;
	errcode_t code = 0;
	int err;

	herd_diag_clear(&first);
	if (why)
		err = herd_diag_set(&first, -EBADMSG, source->name, SUPER_AT,
				    "superblock: %s", why);
	else
		err = open_at(source, 0, 0, false, ret, &code, &first);
	if (err == -ENOMEM || (!err && !ret->bad_groups))
		return err;
	if (err && code == EXT2_ET_UNSUPP_FEATURE)
		return unsupported(source, s, diag);
	int other = prefer_backup(source, s, ret);

	if (!err || !other || other == -ENOMEM)
		return other == -ENOMEM ? other : 0;
	if (code == EXT2_ET_SB_CSUM_INVALID)
		err = open_at(source, 0, 0, true, ret, &code, NULL);
	if (err && diag && !diag->message[0])
		*diag = first;
	return err;
}

/* ---- what is told of the volume ---- */

/* As blkid decides it: by the first feature that the older ones lack. */
static const char *fs_name(const struct ext2_super_block *s)
{
	const uint32_t incompat = EXT2_FEATURE_INCOMPAT_FILETYPE |
				  EXT3_FEATURE_INCOMPAT_RECOVER |
				  EXT2_FEATURE_INCOMPAT_META_BG;
	const uint32_t ro_compat = EXT2_FEATURE_RO_COMPAT_SPARSE_SUPER |
				   EXT2_FEATURE_RO_COMPAT_LARGE_FILE |
				   BTREE_DIR;

	if ((s->s_feature_incompat & ~incompat) ||
	    (s->s_feature_ro_compat & ~ro_compat))
		return "ext4";
	return s->s_feature_compat & EXT3_FEATURE_COMPAT_HAS_JOURNAL ? "ext3"
								     : "ext2";
}

static void set_names(struct herd_ext *ext)
{
	const struct ext2_super_block *s = ext->fs->super;
	char hex[33];

	snprintf(ext->v.fs, sizeof(ext->v.fs), "%s", fs_name(s));
	snprintf(ext->v.label, sizeof(ext->v.label), "%.*s",
		 (int)sizeof(s->s_volume_name), (const char *)s->s_volume_name);
	herd_hex(s->s_uuid, sizeof(s->s_uuid), hex);
	if (strspn(hex, "0") < 32)
		snprintf(ext->v.uuid, sizeof(ext->v.uuid),
			 "%.8s-%.4s-%.4s-%.4s-%.12s", hex, hex + 8, hex + 12,
			 hex + 16, hex + 20);
}

static void set_note(struct herd_ext *ext, const struct opened *o)
{
	uint64_t bytes = ext2fs_blocks_count(ext->fs->super) *
			 ext->fs->blocksize;
	struct herd_buf note CLEANUP_BUF = HERD_BUF_INIT;

	if ((ext->fs->super->s_feature_incompat | o->journal) &
	    EXT3_FEATURE_INCOMPAT_RECOVER)
		herd_buf_printf(&note, "journal not replayed: what was written in the last seconds before the copy may be missing or half there; ");
	if (o->backup)
		herd_buf_printf(&note, "damaged at its beginning, read by the backup superblock at byte %llu; ",
				(unsigned long long)o->backup *
				ext->fs->blocksize);
	if (o->checksum_ignored)
		herd_buf_printf(&note, "checksum of the superblock does not match; ");
	if (o->bad_groups)
		herd_buf_printf(&note, "%u of %u group descriptors are damaged; ",
				o->bad_groups, ext->fs->group_desc_count);
	if (bytes > ext->v.source->size)
		herd_buf_printf(&note, "cut off: %llu of %llu bytes are there; ",
				(unsigned long long)ext->v.source->size,
				(unsigned long long)bytes);
	if (note.data && note.len > 2)
		snprintf(ext->v.note, sizeof(ext->v.note), "%.*s",
			 (int)note.len - 2, (const char *)note.data);
}

static int by_start(const void *a, const void *b)
{
	const struct herd_ext_table *x = a, *y = b;

	return (x->start > y->start) - (x->start < y->start);
}

static int set_tables(struct herd_ext *ext)
{
	uint32_t per = ext->fs->super->s_inodes_per_group;

	ext->table_len = (uint64_t)per * ext->inode_size;
	ext->tables = calloc(ext->fs->group_desc_count, sizeof(*ext->tables));
	if (!ext->tables)
		return -ENOMEM;
	for (dgrp_t g = 0; g < ext->fs->group_desc_count; g++)
		if (table_inside(ext->fs, g))
			ext->tables[ext->n_tables++] = (struct herd_ext_table){
				.start = ext2fs_inode_table_loc(ext->fs, g) *
					 ext->fs->blocksize,
				.first = (uint64_t)g * per + 1 };
	qsort(ext->tables, ext->n_tables, sizeof(*ext->tables), by_start);
	return 0;
}

/* All that decides where an inode lies and how its record is read. */
static int set_geometry(struct herd_ext *ext)
{
	struct ext2_super_block *s = ext->fs->super;
	struct herd_buf b CLEANUP_BUF = HERD_BUF_INIT;

	herd_buf_printf(&b, "ext");
	herd_buf_be32(&b, ext->fs->blocksize);
	herd_buf_be32(&b, (uint32_t)ext->inode_size);
	herd_buf_be32(&b, s->s_inodes_per_group);
	herd_buf_be32(&b, s->s_blocks_per_group);
	herd_buf_be32(&b, s->s_log_cluster_size);
	herd_buf_be32(&b, s->s_first_data_block);
	herd_buf_be32(&b, s->s_inodes_count);
	herd_buf_be64(&b, ext2fs_blocks_count(s));
	/* bits that the kernel sets as it goes say nothing of places */
	herd_buf_be32(&b, s->s_feature_compat &
			  ~(uint32_t)EXT2_FEATURE_COMPAT_EXT_ATTR);
	herd_buf_be32(&b, s->s_feature_incompat &
			  ~(uint32_t)EXT3_FEATURE_INCOMPAT_RECOVER);
	herd_buf_be32(&b, s->s_feature_ro_compat &
			  ~(uint32_t)(EXT4_FEATURE_RO_COMPAT_ORPHAN_PRESENT |
				      EXT4_FEATURE_RO_COMPAT_DIR_NLINK |
				      EXT2_FEATURE_RO_COMPAT_LARGE_FILE));
	/* under another seed every checksum has to be looked at again */
	herd_buf_be32(&b, ext->fs->csum_seed);
	herd_buf_be32(&b, ext->fs->group_desc_count);
	for (dgrp_t g = 0; g < ext->fs->group_desc_count; g++)
		herd_buf_be64(&b, ext2fs_inode_table_loc(ext->fs, g));
	if (!herd_buf_error(&b))
		herd_sha256(b.data, b.len, ext->v.geometry);
	return herd_buf_error(&b);
}

/* ---- inodes of a range ---- */

static int inodes_of_range(struct herd_ext *ext, size_t table, uint64_t start,
			   uint64_t end, int (*fn)(void *arg, uint64_t ino),
			   void *arg)
{
	const struct herd_ext_table *t = &ext->tables[table];
	uint64_t first = start > t->start
		? (start - t->start) / ext->inode_size : 0;
	uint64_t last = end < t->start + ext->table_len
		? (end - t->start + ext->inode_size - 1) / ext->inode_size
		: ext->fs->super->s_inodes_per_group;
	int stop = 0;

	for (uint64_t i = first; i < last && !stop; i++)
		stop = fn(arg, t->first + i);
	return stop;
}

static int ext_inodes_in(struct herd_volume *v, const struct herd_extents *e,
			 int (*fn)(void *arg, uint64_t ino), void *arg,
			 struct herd_diag *diag)
{
	struct herd_ext *ext = herd_ext_of(v);
	size_t table = 0;
	int stop = 0;

	(void)diag;
	/* both are sorted; a table's end may lie in the next range, so only
	   tables wholly before a range are left behind */
	for (size_t i = 0; i < e->n && !stop; i++) {
		uint64_t start = e->v[i].start, end = start + e->v[i].len;

		while (table < ext->n_tables &&
		       ext->tables[table].start + ext->table_len <= start)
			table++;
		for (size_t t = table; t < ext->n_tables && !stop &&
		     ext->tables[t].start < end; t++)
			stop = inodes_of_range(ext, t, start, end, fn, arg);
	}
	return stop;
}

/* ---- the volume ---- */

/* What of each group's table was ever used, where the group says so. */
static int ext_tables(struct herd_volume *v, struct herd_extents *ret)
{
	struct herd_ext *ext = (struct herd_ext *)v;
	uint32_t per = ext->fs->super->s_inodes_per_group;
	bool tells = ext2fs_has_group_desc_csum(ext->fs);
	int err = 0;

	for (size_t i = 0; i < ext->n_tables && !err; i++) {
		dgrp_t g = (dgrp_t)((ext->tables[i].first - 1) / per);
		uint32_t unused = tells ? ext2fs_bg_itable_unused(ext->fs, g) :
					  0;

		if (tells && ext2fs_bg_flags_test(ext->fs, g,
						  EXT2_BG_INODE_UNINIT))
			continue;
		if (unused > per)
			unused = 0;
		err = herd_extents_add(ret, ext->tables[i].start,
				       ext->table_len - (uint64_t)unused *
				       ext->inode_size);
	}
	return err;
}

static void ext_destroy(struct herd_volume *v)
{
	struct herd_ext *ext = herd_ext_of(v);

	if (ext->fs)
		ext2fs_free(ext->fs);
	free(ext->tables);
	free(ext->record);
	free(ext->ea_record);
	free(ext->nodes);
	free(ext->attrs);
	free(ext);
}

static const struct herd_volume_ops ext_ops = {
	.name = "libext2fs",
	.readdir = herd_ext_readdir,
	.inode = herd_ext_inode,
	.inodes_in = ext_inodes_in,
	.tables = ext_tables,
	.destroy = ext_destroy,
};

static int allocate(struct herd_ext *ext)
{
	uint64_t bs = ext->fs->blocksize;
	uint64_t blocks = ext2fs_blocks_count(ext->fs->super);
	size_t record = ext->inode_size + sizeof(struct ext2_inode_large);

	ext->size = blocks * bs < ext->v.source->size ? blocks * bs
						      : ext->v.source->size;
	blocks = ext->size / bs;
	ext->tree_budget = TREE_BUDGET_MIN + blocks;
	ext->dir_budget = DIR_BUDGET_MIN + 4 * blocks;
	ext->record = calloc(1, record);
	ext->ea_record = calloc(1, record);
	ext->nodes = malloc(HERD_EXT_DEPTH_MAX * bs);
	ext->attrs = malloc(bs);
	if (!ext->record || !ext->ea_record || !ext->nodes || !ext->attrs)
		return -ENOMEM;
	int err = set_tables(ext);

	return err ? err : set_geometry(ext);
}

static int make_volume(struct herd_source *source, struct opened *o,
		       struct herd_volume **ret)
{
	struct herd_ext *ext = calloc(1, sizeof(*ext));

	if (!ext)
		return -ENOMEM;
	ext->fs = TAKE_PTR(o->fs);
	ext->inode_size = EXT2_INODE_SIZE(ext->fs->super);
	ext->v = (struct herd_volume){
		.ops = &ext_ops, .source = source,
		.features = HERD_VOLUME_INCREMENTAL,
		.root_ino = EXT2_ROOT_INO, .block_size = ext->fs->blocksize };
	int err = allocate(ext);

	if (err) {
		ext_destroy(&ext->v);
		return err;
	}
	set_names(ext);
	set_note(ext, o);
	*ret = &ext->v;
	return 0;
}

int herd_ext_open(struct herd_source *source, bool backup,
		  struct herd_volume **ret, struct herd_diag *diag)
{
	struct opened o CLEANUP(opened_deinit) = { .fs = NULL };
	uint8_t raw[SUPER_LEN];
	struct super s;
	int err;

	if (source->size < SUPER_AT + SUPER_LEN)
		return -ENODATA;
	err = herd_source_read(source, raw, sizeof(raw), SUPER_AT, diag);
	if (err)
		return err;
	parse_super(raw, &s);
	if (s.magic == backup)
		return -ENODATA;
	err = backup ? open_backup(source, &s, &o)
		     : open_any(source, &s, &o, diag);
	if (err)
		return err;
	o.journal = s.magic ? s.incompat : 0;
	return make_volume(source, &o, ret);
}

int herd_volume_open_ext(struct herd_source *source, struct herd_volume **ret,
			 struct herd_diag *diag)
{
	int err = herd_ext_open(source, false, ret, diag);

	return err == -ENODATA ? herd_ext_open(source, true, ret, diag) : err;
}
