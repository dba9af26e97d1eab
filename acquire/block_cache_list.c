/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which blocks a snapshot has, which differ from another's, and what else is to
 * be known of it: files that are written whole, name what they are about, and
 * end in the SHA-256 of all before. docs/FORMAT.md has their fields.
 */
#include "acquire/base/cursor.h"
#include "acquire/block_cache_impl.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#define MAGIC_LEN 8
#define LIST_MAGIC "herdBL1\n"
#define CHANGED_MAGIC "herdBC1\n"
#define NOTE_MAGIC "herdBN1\n"
#define BLOCK_SIZE_MIN 512u

/* ---- what both have ---- */

/* How many blocks there are; 0: these sizes are none. */
static uint64_t blocks_of(uint64_t block_size, uint64_t volume_size)
{
	if (block_size < BLOCK_SIZE_MIN || block_size > HERD_BLOCK_SIZE_MAX ||
	    block_size & (block_size - 1) || !volume_size ||
	    volume_size > HERD_BC_VOLUME_MAX)
		return 0;
	uint64_t n = (volume_size + block_size - 1) / block_size;

	return n <= HERD_BC_INDEXES ? n : 0;
}

static bool token_ok(const char *token, size_t len)
{
	if (!len || len > HERD_BC_TOKEN_MAX)
		return false;
	for (size_t i = 0; i < len; i++)
		if (token[i] <= ' ' || token[i] > '~')
			return false;
	return true;
}

static void put_string(struct herd_buf *b, const char *s)
{
	herd_buf_varint(b, strlen(s));
	herd_buf_put(b, s, strlen(s));
}

static bool is_string(struct herd_cursor *cur, const char *s)
{
	uint64_t len = herd_cur_varint(cur);
	const char *p = herd_cur_bytes(cur, len);

	return p && len == strlen(s) && !memcmp(p, s, len);
}

/* The number, and each as how far behind the one before, less one. */
static int put_indexes(struct herd_buf *b, const uint32_t *indexes, size_t n,
		       uint64_t blocks)
{
	uint64_t next = 0;

	if (n > blocks)
		return -EINVAL;
	herd_buf_varint(b, n);
	for (size_t i = 0; i < n; i++) {
		if (indexes[i] < next || indexes[i] >= blocks)
			return -EINVAL;
		herd_buf_varint(b, indexes[i] - next);
		next = (uint64_t)indexes[i] + 1;
	}
	return 0;
}

static int take_indexes(struct herd_cursor *cur, uint64_t blocks,
			uint32_t **ret, size_t *ret_n)
{
	uint64_t n = herd_cur_varint(cur), next = 0;

	/* each takes a byte at least */
	if (cur->bad || n > blocks || n > herd_cur_left(cur))
		return -EBADMSG;
	uint32_t *v CLEANUP_FREE = malloc((n ? n : 1) * sizeof(*v));

	if (!v)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++) {
		uint64_t d = herd_cur_varint(cur);

		if (cur->bad || d >= blocks - next)
			return -EBADMSG;
		next += d;
		v[i] = (uint32_t)next++;
	}
	*ret = TAKE_PTR(v);
	*ret_n = n;
	return 0;
}

static int put_sum(struct herd_buf *b)
{
	uint8_t sum[HERD_SHA256_LEN];

	if (herd_buf_error(b))
		return -ENOMEM;
	if (b->len > HERD_BC_LIST_MAX - sizeof(sum))
		return -EOVERFLOW;
	herd_sha256(b->data, b->len, sum);
	herd_buf_put(b, sum, sizeof(sum));
	return herd_buf_error(b);
}

/* A cursor behind the magic, without the sum, which is right. */
static bool open_sum(const uint8_t *data, size_t len, const char *magic,
		     struct herd_cursor *ret)
{
	uint8_t sum[HERD_SHA256_LEN];

	if (len < MAGIC_LEN + sizeof(sum) || memcmp(data, magic, MAGIC_LEN))
		return false;
	herd_sha256(data, len - sizeof(sum), sum);
	if (memcmp(data + len - sizeof(sum), sum, sizeof(sum)))
		return false;
	*ret = herd_cursor(data, len - sizeof(sum));
	herd_cur_seek(ret, MAGIC_LEN);
	return true;
}

static int damaged(const struct herd_cursor *cur, const char *what,
		   struct herd_diag *diag)
{
	return herd_diag_set(diag, -EBADMSG, what, cur ? cur->pos : 0,
			     "the list of blocks is damaged");
}

/* ---- lists ---- */

int herd_block_list_encode(const struct herd_block_list *l,
			   const char *snapshot, struct herd_buf *ret)
{
	uint64_t blocks = blocks_of(l->block_size, l->volume_size);

	if (!blocks)
		return -EINVAL;
	herd_buf_put(ret, LIST_MAGIC, MAGIC_LEN);
	put_string(ret, snapshot);
	herd_buf_varint(ret, l->block_size);
	herd_buf_varint(ret, l->volume_size);
	herd_buf_svarint(ret, l->tokens_expire);
	herd_buf_u8(ret, l->tokens != NULL);
	int err = put_indexes(ret, l->indexes, l->n, blocks);

	if (err)
		return err;
	for (size_t i = 0; l->tokens && i < l->n; i++) {
		const char *t = l->tokens[i];

		if (!t || !token_ok(t, strnlen(t, HERD_BC_TOKEN_MAX + 1)))
			return -EINVAL;
		put_string(ret, t);
		if (ret->len > HERD_BC_LIST_MAX)
			return -EOVERFLOW;
	}
	return put_sum(ret);
}

/* l->n are wanted; each takes two bytes at least. */
static int take_tokens(struct herd_cursor *cur, struct herd_block_list *l)
{
	if (l->n > herd_cur_left(cur) / 2)
		return -EBADMSG;
	l->tokens = calloc(l->n ? l->n : 1, sizeof(*l->tokens));
	if (!l->tokens)
		return -ENOMEM;
	for (size_t i = 0; i < l->n; i++) {
		uint64_t len = herd_cur_varint(cur);
		const char *p = herd_cur_bytes(cur, len);

		if (!p || !token_ok(p, len))
			return -EBADMSG;
		l->tokens[i] = strndup(p, len);
		if (!l->tokens[i])
			return -ENOMEM;
	}
	return 0;
}

int herd_block_list_decode(const void *data, size_t len, const char *snapshot,
			   struct herd_block_list *ret, struct herd_diag *diag)
{
	CLEANUP(herd_block_list_deinit) struct herd_block_list l = { 0 };
	struct herd_cursor cur;

	if (!open_sum(data, len, LIST_MAGIC, &cur) ||
	    !is_string(&cur, snapshot))
		return damaged(NULL, snapshot, diag);
	uint64_t block_size = herd_cur_varint(&cur);

	l.volume_size = herd_cur_varint(&cur);
	l.tokens_expire = herd_cur_svarint(&cur);
	uint8_t tokens = herd_cur_u8(&cur);
	uint64_t blocks = blocks_of(block_size, l.volume_size);

	if (cur.bad || !blocks || tokens > 1)
		return damaged(&cur, snapshot, diag);
	l.block_size = (uint32_t)block_size;
	int err = take_indexes(&cur, blocks, &l.indexes, &l.n);

	if (!err && tokens)
		err = take_tokens(&cur, &l);
	if (err == -EBADMSG || (!err && herd_cur_left(&cur)))
		return damaged(&cur, snapshot, diag);
	if (err)
		return err;
	*ret = l;
	l = (struct herd_block_list){ 0 };
	return 0;
}

/* ---- what changed ---- */

int herd_block_changed_encode(const uint32_t *indexes, size_t n,
			      const char *first, const char *second,
			      struct herd_buf *ret)
{
	herd_buf_put(ret, CHANGED_MAGIC, MAGIC_LEN);
	put_string(ret, first);
	put_string(ret, second);
	int err = put_indexes(ret, indexes, n, HERD_BC_INDEXES);

	return err ? err : put_sum(ret);
}

int herd_block_changed_decode(const void *data, size_t len, const char *first,
			      const char *second, uint32_t **ret_indexes,
			      size_t *ret_n, struct herd_diag *diag)
{
	uint32_t *v CLEANUP_FREE = NULL;
	struct herd_cursor cur;
	size_t n;

	if (!open_sum(data, len, CHANGED_MAGIC, &cur) ||
	    !is_string(&cur, first) || !is_string(&cur, second))
		return damaged(NULL, second, diag);
	int err = take_indexes(&cur, HERD_BC_INDEXES, &v, &n);

	if (err == -EBADMSG || (!err && herd_cur_left(&cur)))
		return damaged(&cur, second, diag);
	if (err)
		return err;
	*ret_indexes = TAKE_PTR(v);
	*ret_n = n;
	return 0;
}

/* ---- notes ---- */

static int note_decode(const uint8_t *data, size_t len, const char *snapshot,
		       struct herd_buf *ret, struct herd_diag *diag)
{
	struct herd_cursor cur;

	if (!open_sum(data, len, NOTE_MAGIC, &cur) ||
	    !is_string(&cur, snapshot) ||
	    herd_cur_left(&cur) > HERD_BLOCK_NOTE_MAX)
		return damaged(NULL, snapshot, diag);
	size_t n = herd_cur_left(&cur);

	herd_buf_put(ret, herd_cur_bytes(&cur, n), n);
	return herd_buf_error(ret);
}

/* ---- their files ---- */

static int put_file(struct herd_block_cache *c, const char *snapshot,
		    const char *name, const struct herd_buf *b)
{
	CLEANUP_FD int dir = -1;
	struct stat st;
	int err = herd_bc_snapshot_dir(c, snapshot, true, &dir);

	if (err)
		return err;
	err = herd_bc_replace(c, dir, name, b->data, b->len);
	if (err != -EISDIR || fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW))
		return err;
	herd_bc_set_aside(c, dir, name, &st, snapshot);
	return herd_bc_replace(c, dir, name, b->data, b->len);
}

/* The whole file, and which it was. What does not begin with the magic is not
   worth its memory. */
static int read_file(int fd, const struct stat *st, const char *magic,
		     uint8_t **ret)
{
	size_t len = (size_t)st->st_size;
	char begin[MAGIC_LEN];
	ssize_t n = herd_bc_read(fd, begin, sizeof(begin), 0);

	if (n < 0)
		return (int)n;
	if (n != MAGIC_LEN || memcmp(begin, magic, MAGIC_LEN) ||
	    len > HERD_BC_LIST_MAX)
		return -EBADMSG;
	uint8_t *data CLEANUP_FREE = malloc(len);

	if (!data)
		return -ENOMEM;
	n = herd_bc_read(fd, data, len, 0);
	if (n < 0)
		return (int)n;
	if ((size_t)n != len)
		return -EBADMSG;
	*ret = TAKE_PTR(data);
	return 0;
}

/* What a file in a snapshot's folder is read as. */
struct reading {
	const char *magic, *name, *snapshot, *first;
	/* one of the three: a list, a note, what changed */
	struct herd_block_list *list;
	struct herd_buf *note;
	uint32_t **indexes;
	size_t *n;
};

static int decode(const struct reading *r, const uint8_t *data, size_t len,
		  struct herd_diag *diag)
{
	if (r->note)
		return note_decode(data, len, r->snapshot, r->note, diag);
	return r->list ? herd_block_list_decode(data, len, r->snapshot, r->list,
						diag) :
			 herd_block_changed_decode(data, len, r->first,
						   r->snapshot, r->indexes,
						   r->n, diag);
}

static int get_file(struct herd_block_cache *c, const struct reading *r,
		    struct herd_diag *diag)
{
	CLEANUP_FD int dir = -1;
	CLEANUP_FD int fd = -1;
	uint8_t *data CLEANUP_FREE = NULL;
	struct stat st;
	char label[3 * HERD_BC_NAME_MAX];
	int err = herd_bc_snapshot_dir(c, r->snapshot, false, &dir);

	if (err)
		return err == -ENOENT ?
			       err :
			       herd_bc_failed(c, err, r->snapshot, diag);
	err = herd_bc_open_file(dir, r->name, O_RDONLY, &fd, &st);
	if (!err)
		err = read_file(fd, &st, r->magic, &data);
	if (err == -EIO) /* it is made again */
		err = -EBADMSG;
	if (!err)
		err = decode(r, data, (size_t)st.st_size, diag);
	if (err == -EBADMSG) {
		snprintf(label, sizeof(label), "%s.%s", r->snapshot, r->name);
		herd_bc_set_aside(c, dir, r->name, &st, label);
	}
	return err && err != -ENOENT ?
		       herd_bc_failed(c, err, r->snapshot, diag) :
		       err;
}

static void changed_name(char *buf, size_t size, const char *first)
{
	snprintf(buf, size, "changed-from-%s", first);
}

static int no_name(const struct herd_block_cache *c, struct herd_diag *diag)
{
	return herd_diag_set(diag, -EINVAL, c->path, HERD_NO_OFFSET,
			     "no name of a snapshot");
}

int herd_block_cache_put_list(struct herd_block_cache *c, const char *snapshot,
			      const struct herd_block_list *l,
			      struct herd_diag *diag)
{
	struct herd_buf b CLEANUP_BUF = HERD_BUF_INIT;

	if (!herd_bc_snapshot_ok(snapshot))
		return no_name(c, diag);
	int err = herd_block_list_encode(l, snapshot, &b);

	if (!err)
		err = put_file(c, snapshot, HERD_BC_LIST, &b);
	return err ? herd_bc_failed(c, err, snapshot, diag) : 0;
}

int herd_block_cache_get_list(struct herd_block_cache *c, const char *snapshot,
			      struct herd_block_list *ret,
			      struct herd_diag *diag)
{
	struct reading r = { .magic = LIST_MAGIC,
			     .name = HERD_BC_LIST,
			     .snapshot = snapshot,
			     .list = ret };

	return herd_bc_snapshot_ok(snapshot) ? get_file(c, &r, diag) :
					       no_name(c, diag);
}

int herd_block_cache_put_changed(struct herd_block_cache *c, const char *first,
				 const char *second, const uint32_t *indexes,
				 size_t n, struct herd_diag *diag)
{
	struct herd_buf b CLEANUP_BUF = HERD_BUF_INIT;
	char name[2 * HERD_BC_NAME_MAX];

	if (!herd_bc_snapshot_ok(first) || !herd_bc_snapshot_ok(second))
		return no_name(c, diag);
	changed_name(name, sizeof(name), first);
	int err = herd_block_changed_encode(indexes, n, first, second, &b);

	if (!err)
		err = put_file(c, second, name, &b);
	return err ? herd_bc_failed(c, err, second, diag) : 0;
}

int herd_block_cache_get_changed(struct herd_block_cache *c, const char *first,
				 const char *second, uint32_t **ret_indexes,
				 size_t *ret_n, struct herd_diag *diag)
{
	char name[2 * HERD_BC_NAME_MAX];
	struct reading r = { .magic = CHANGED_MAGIC,
			     .name = name,
			     .snapshot = second,
			     .first = first,
			     .indexes = ret_indexes,
			     .n = ret_n };

	if (!herd_bc_snapshot_ok(first) || !herd_bc_snapshot_ok(second))
		return no_name(c, diag);
	changed_name(name, sizeof(name), first);
	return get_file(c, &r, diag);
}

int herd_block_cache_find_changed(struct herd_block_cache *c, const char *second,
				  char *ret)
{
	static const char prefix[] = "changed-from-";
	const size_t skip = sizeof(prefix) - 1;
	DIR *d;
	int dir = -1, err = herd_bc_snapshot_ok(second) ?
				    herd_bc_snapshot_dir(c, second, false, &dir) :
				    -EINVAL;

	if (err)
		return err;
	d = fdopendir(dir);
	if (!d) {
		close(dir);
		return -ENOMEM;
	}
	err = -ENOENT;
	for (struct dirent *e; (e = readdir(d));) {
		const char *first = e->d_name + skip;

		if (strncmp(e->d_name, prefix, skip) != 0 ||
		    !herd_bc_snapshot_ok(first) ||
		    (!err && strcmp(first, ret) >= 0))
			continue;
		memcpy(ret, first, strlen(first) + 1);
		err = 0;
	}
	closedir(d);
	return err;
}

int herd_block_cache_put_note(struct herd_block_cache *c, const char *snapshot,
			      const void *bytes, size_t len,
			      struct herd_diag *diag)
{
	struct herd_buf b CLEANUP_BUF = HERD_BUF_INIT;

	if (!herd_bc_snapshot_ok(snapshot) || len > HERD_BLOCK_NOTE_MAX)
		return no_name(c, diag);
	herd_buf_put(&b, NOTE_MAGIC, MAGIC_LEN);
	put_string(&b, snapshot);
	herd_buf_put(&b, bytes, len);
	int err = put_sum(&b);

	if (!err)
		err = put_file(c, snapshot, HERD_BC_NOTE, &b);
	return err ? herd_bc_failed(c, err, snapshot, diag) : 0;
}

int herd_block_cache_get_note(struct herd_block_cache *c, const char *snapshot,
			      struct herd_buf *ret, struct herd_diag *diag)
{
	struct reading r = { .magic = NOTE_MAGIC,
			     .name = HERD_BC_NOTE,
			     .snapshot = snapshot,
			     .note = ret };

	return herd_bc_snapshot_ok(snapshot) ? get_file(c, &r, diag) :
					       no_name(c, diag);
}
