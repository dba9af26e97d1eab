/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Extended attributes: behind the fields of the inode's record, in a block of
 * their own, and (values only) in inodes of their own. They come out under
 * the names and in the form in which the kernel gives them to root: access
 * control lists are stored in a shorter form and are expanded, and what the
 * kernel keeps to itself (system.data, keys, verity) is left out.
 *
 * Threads: as the volume.
 */
#include "index/volume_ext.h"

#include "acquire/base/buf.h"

#include <stdio.h>

#define NAMES_MAX 4096		/* attributes of one inode */
#define BLOCK_HEADER 32		/* bytes */

/* Namespaces by their number on disk. */
enum {
	INDEX_USER = 1, INDEX_ACL_ACCESS = 2, INDEX_ACL_DEFAULT = 3,
	INDEX_TRUSTED = 4, INDEX_SECURITY = 6, INDEX_SYSTEM = 7,
	INDEX_ENCRYPTION = 9, INDEX_HURD = 10, INDEX_VERITY = 11,
};

static const char *const prefixes[] = {
	[INDEX_USER] = "user.",
	[INDEX_ACL_ACCESS] = "system.posix_acl_access",
	[INDEX_ACL_DEFAULT] = "system.posix_acl_default",
	[INDEX_TRUSTED] = "trusted.",
	[INDEX_SECURITY] = "security.",
	[INDEX_HURD] = "gnu.",
};

/* A place that holds entries from its front and values from its end. */
struct region {
	const uint8_t *base;	/* offsets of values count from here */
	size_t len;
	size_t first;		/* of the first entry */
	uint64_t at;		/* of base, bytes of the volume */
	uint64_t used;		/* bytes of values taken out of it */
};

struct entry {
	const char *name;
	unsigned name_len, index;
	uint32_t inum, offs, size;
	uint64_t at;
};

struct reading {
	struct herd_ext *ext;
	const struct herd_ext_inode *in;
	struct herd_inode *out;
	size_t cap;		/* of out->xattrs */
	uint64_t bytes;		/* names and values so far */
};

/* ---- values ---- */

/* The form on disk leaves out ids that mean nothing, the kernel's has all. */
static int expand_acl(const uint8_t *p, size_t len, struct herd_buf *out)
{
	struct herd_cursor c = herd_cursor(p, len);

	if (herd_cur_le32(&c) != 1)
		return -EBADMSG;
	herd_buf_le32(out, 2);
	while (herd_cur_left(&c)) {
		uint32_t tag = herd_cur_le16(&c);
		uint32_t perm = herd_cur_le16(&c);
		bool named = tag == 0x02 || tag == 0x08;
		uint32_t id = named ? herd_cur_le32(&c) : UINT32_MAX;

		herd_buf_le32(out, tag | perm << 16);
		herd_buf_le32(out, id);
	}
	return c.bad ? -EBADMSG : herd_buf_error(out);
}

/*
 * Before the kernel counted references to such inodes, Lustre marked them
 * with the inode they belong to; their digest is another matter.
 */
static bool ea_digest_matches(const struct reading *r,
			      const struct herd_ext_inode *ea,
			      const uint8_t *value, size_t len)
{
	if (ea->raw->i_mtime == r->in->ino &&
	    ea->raw->i_generation == r->in->raw->i_generation)
		return true;
	return ext2fs_crc32c_le(r->ext->fs->csum_seed, value, len) ==
	       ea->raw->i_atime;
}

/* The blocks of an attribute's inode are metadata of ours. */
static int adopt_places(const struct reading *r, const struct herd_inode *held)
{
	int err = 0;

	for (size_t i = 0; i < held->n_runs && !err; i++)
		err = herd_ext_add_meta(r->out, held->runs[i].phys,
					held->runs[i].len);
	for (size_t i = 0; i < held->n_meta && !err; i++)
		err = herd_ext_add_meta(r->out, held->meta[i].phys,
					held->meta[i].len);
	return err;
}

/* A value that lies in an inode of its own: e->size bytes to `to`. */
static int read_ea_inode(struct reading *r, const struct entry *e, uint8_t *to,
			 struct herd_diag *diag)
{
	struct herd_inode held CLEANUP(herd_inode_deinit) = { 0 };
	struct herd_ext *ext = r->ext;
	struct herd_ext_inode ea;
	uint64_t blocks = 1 + e->size / ext->fs->blocksize;
	int err = herd_ext_load(ext, e->inum, ext->ea_record, &ea, diag);

	/* also when it is of no use: a sibling's may be */
	if (!err)
		err = herd_ext_add_meta(r->out, ea.at, ext->inode_size);
	if (err)
		return err;
	if (!(ea.flags & EXT4_EA_INODE_FL) || herd_ext_is_inline(&ea) ||
	    ea.size != e->size)
		return herd_diag_set(diag, -EBADMSG, herd_ext_name(ext), ea.at,
				     "inode %u does not hold an attribute of %u bytes",
				     e->inum, e->size);
	if (ext->tree_budget < blocks)
		return herd_diag_set(diag, -EOVERFLOW, herd_ext_name(ext), e->at,
				     "the attributes of this volume together are larger than it");
	ext->tree_budget -= blocks;
	err = herd_ext_map(ext, &ea, ea.size, &held, diag);
	if (!err)
		err = adopt_places(r, &held);
	if (err)
		return err;
	held.size = ea.size;
	held.content = HERD_CONTENT_RUNS;
	err = herd_content_read(ext->v.source, NULL, &held, to, e->size, 0, diag);
	if (err)
		return err;
	if (ea.bad_checksum || held.problem ||
	    !ea_digest_matches(r, &ea, to, e->size))
		herd_ext_problem(ext, r->out, "offset %llu: checksum of the attribute in inode %u does not match",
				 (unsigned long long)ea.at, e->inum);
	return 0;
}

/* ---- one attribute ---- */

static int add_xattr(struct reading *r, char *name, void *value, size_t len)
{
	struct herd_inode *out = r->out;

	if (out->n_xattrs == r->cap) {
		size_t cap = r->cap ? 2 * r->cap : 4;
		struct herd_xattr *more = realloc(out->xattrs,
						  cap * sizeof(*more));

		if (!more)
			return -ENOMEM;
		out->xattrs = more;
		r->cap = cap;
	}
	out->xattrs[out->n_xattrs++] = (struct herd_xattr){
		.name = name, .value = value, .len = len };
	return 0;
}

/* The name with its namespace, NULL with *ret_err 0 for one that is hidden. */
static char *full_name(struct reading *r, const struct entry *e, int *ret_err)
{
	const char *prefix = e->index < ARRAY_SIZE(prefixes)
		? prefixes[e->index] : NULL;
	bool acl = e->index == INDEX_ACL_ACCESS || e->index == INDEX_ACL_DEFAULT;

	*ret_err = 0;
	if (e->index == INDEX_ENCRYPTION || e->index == INDEX_VERITY ||
	    (e->index == INDEX_SYSTEM && e->name_len == 4 &&
	     !memcmp(e->name, "data", 4)))
		return NULL;
	if (!prefix || memchr(e->name, '\0', e->name_len) ||
	    (acl && e->name_len)) {
		herd_ext_problem(r->ext, r->out, "offset %llu: an attribute with an impossible name",
				 (unsigned long long)e->at);
		return NULL;
	}
	char *name = malloc(strlen(prefix) + e->name_len + 1);

	if (!name) {
		*ret_err = -ENOMEM;
		return NULL;
	}
	sprintf(name, "%s%.*s", prefix, (int)e->name_len, e->name);
	return name;
}

/* The value as the kernel gives it. Other failures than -ENOMEM are told. */
static int get_value(struct reading *r, struct region *where,
		     const struct entry *e, struct herd_buf *out,
		     struct herd_diag *diag)
{
	bool acl = e->index == INDEX_ACL_ACCESS || e->index == INDEX_ACL_DEFAULT;
	struct herd_buf raw CLEANUP_BUF = HERD_BUF_INIT;

	if (e->inum && e->size) {
		uint8_t *to = herd_buf_extend(acl ? &raw : out, e->size);
		int err = to ? read_ea_inode(r, e, to, diag) : -ENOMEM;

		if (err || !acl)
			return err;
		return expand_acl(raw.data, raw.len, out);
	}
	struct herd_cursor c = herd_cursor(where->base, where->len);

	herd_cur_seek(&c, e->offs);
	const void *value = herd_cur_bytes(&c, e->size);

	where->used += e->size;
	if (!value || where->used > where->len)
		return herd_diag_set(diag, -EBADMSG, NULL, e->at,
				     "it does not fit in its place");
	if (acl)
		return expand_acl(value, e->size, out);
	herd_buf_put(out, value, e->size);
	return herd_buf_error(out);
}

static int take_entry(struct reading *r, struct region *where,
		      const struct entry *e)
{
	struct herd_buf value CLEANUP_BUF = HERD_BUF_INIT;
	struct herd_diag diag;
	int err;
	char *name CLEANUP_FREE = full_name(r, e, &err);

	if (!name)
		return err;
	/* a list grows by half of it at most when it is expanded */
	r->bytes += strlen(name) + 2ull * e->size;
	if (r->bytes > HERD_XATTR_BYTES_MAX || r->out->n_xattrs >= NAMES_MAX) {
		herd_ext_problem(r->ext, r->out, "offset %llu: attribute %s is not read: they are too many or too large",
				 (unsigned long long)e->at, name);
		return 0;
	}
	herd_diag_clear(&diag);
	err = get_value(r, where, e, &value, &diag);
	if (err == -ENOMEM)
		return err;
	if (err) {
		char text[1024];

		diag.source[0] = '\0';
		herd_ext_problem(r->ext, r->out, "attribute %s: %s", name,
				 herd_diag_format(&diag, err, text,
						  sizeof(text)));
		return 0;
	}
	err = add_xattr(r, name, value.data, value.len);
	if (!err) {
		name = NULL;
		value.data = NULL;
	}
	return err;
}

/* ---- all of a place ---- */

/* Next entry of a region. False at the end, or with c->bad. */
static bool next_entry(struct herd_cursor *c, const struct region *where,
		       struct entry *e)
{
	struct herd_cursor peek = *c;

	/* four zero bytes are the end, and so is the end of the place */
	if (herd_cur_left(c) < 4 || !herd_cur_le32(&peek))
		return false;
	e->at = where->at + c->pos;
	e->name_len = herd_cur_u8(c);
	e->index = herd_cur_u8(c);
	e->offs = herd_cur_le16(c);
	e->inum = herd_cur_le32(c);
	e->size = herd_cur_le32(c);
	herd_cur_le32(c);	/* hash */
	e->name = herd_cur_bytes(c, e->name_len);
	if (c->pos % 4 && herd_cur_left(c))
		herd_cur_bytes(c, 4 - c->pos % 4);
	return !c->bad;
}

static int read_region(struct reading *r, struct region *where)
{
	struct herd_cursor c = herd_cursor(where->base, where->len);
	struct entry e;
	int err = 0;

	herd_cur_seek(&c, where->first);
	while (!err && next_entry(&c, where, &e))
		err = take_entry(r, where, &e);
	if (c.bad)
		herd_ext_problem(r->ext, r->out, "offset %llu: attributes run past their place",
				 (unsigned long long)(where->at + c.pos));
	return err;
}

/* The place behind the fields of the record; false when there is none. */
static bool record_region(const struct herd_ext *ext,
			  const struct herd_ext_inode *in,
			  struct region *ret)
{
	struct herd_cursor c = herd_cursor(in->bytes, ext->inode_size);

	if (!in->extra || !in->raw->i_extra_isize)
		return false;
	herd_cur_seek(&c, EXT2_GOOD_OLD_INODE_SIZE + in->extra);
	if (herd_cur_le32(&c) != EXT2_EXT_ATTR_MAGIC || c.bad)
		return false;
	*ret = (struct region){ .base = in->bytes + c.pos,
				.len = ext->inode_size - c.pos,
				.at = in->at + c.pos };
	return true;
}

static int read_block(struct reading *r, uint64_t block)
{
	struct herd_ext *ext = r->ext;
	uint64_t bs = ext->fs->blocksize, at;
	struct herd_diag diag;

	if (block < ext->fs->super->s_first_data_block ||
	    __builtin_mul_overflow(block, bs, &at) || at > ext->size ||
	    bs > ext->size - at) {
		herd_ext_problem(ext, r->out, "offset %llu: the block of its attributes lies outside the volume",
				 (unsigned long long)r->in->at);
		return 0;
	}
	int err = herd_ext_add_meta(r->out, at, bs);

	if (err)
		return err;
	/* neighbours tend to share one */
	if (ext->attrs_block != block ||
	    ext->attrs_state == EXT2_ET_SHORT_READ) {
		ext->attrs_state = ext2fs_read_ext_attr3(ext->fs, block,
							 ext->attrs, r->in->ino);
		ext->attrs_block = block;
	}
	if (ext->attrs_state) {
		herd_diag_clear(&diag);
		err = herd_ext_error(ext->fs, NULL, ext->attrs_state, at,
				     "block of its attributes", &diag);
		herd_ext_problem_diag(ext, r->out, err, &diag);
		if (ext->attrs_state != EXT2_ET_EXT_ATTR_CSUM_INVALID)
			return 0;
	}
	struct region where = { .base = ext->attrs, .len = bs,
				.first = BLOCK_HEADER, .at = at };

	return read_region(r, &where);
}

static int by_name(const void *a, const void *b)
{
	const struct herd_xattr *x = a, *y = b;
	int order = strcmp(x->name, y->name);

	return order ? order : (x->len > y->len) - (x->len < y->len);
}

static void sort(struct reading *r)
{
	struct herd_inode *out = r->out;

	if (out->n_xattrs < 2)
		return;
	qsort(out->xattrs, out->n_xattrs, sizeof(*out->xattrs), by_name);
	for (size_t i = 1; i < out->n_xattrs; i++)
		if (!strcmp(out->xattrs[i - 1].name, out->xattrs[i].name))
			herd_ext_problem(r->ext, out, "attribute %s is there twice",
					 out->xattrs[i].name);
}

void herd_ext_find_inline(struct herd_ext *ext, const struct herd_ext_inode *in,
			  struct herd_ext_inline *ret)
{
	struct region where;
	struct entry e;

	*ret = (struct herd_ext_inline){ .len = 0 };
	if (!record_region(ext, in, &where))
		return;
	struct herd_cursor c = herd_cursor(where.base, where.len);

	while (next_entry(&c, &where, &e)) {
		if (e.index != INDEX_SYSTEM || e.name_len != 4 ||
		    memcmp(e.name, "data", 4))
			continue;
		struct herd_cursor value = herd_cursor(where.base, where.len);

		herd_cur_seek(&value, e.offs);
		ret->data = herd_cur_bytes(&value, e.inum ? 0 : e.size);
		if (ret->data)
			ret->len = e.inum ? 0 : e.size;
		ret->at = where.at + e.offs;
		return;
	}
}

int herd_ext_xattrs(struct herd_ext *ext, const struct herd_ext_inode *in,
		    struct herd_inode *out, struct herd_ext_inline *ret_inline)
{
	struct reading r = { .ext = ext, .in = in, .out = out };
	uint64_t block = ext2fs_file_acl_block(ext->fs,
					       (struct ext2_inode *)in->raw);
	struct region where;
	int err = 0;

	if (herd_ext_is_inline(in))
		herd_ext_find_inline(ext, in, ret_inline);
	if (record_region(ext, in, &where))
		err = read_region(&r, &where);
	if (!err && block)
		err = read_block(&r, block);
	if (!err)
		sort(&r);
	return err;
}
