/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Contents of the block cache. A content is a file named by its SHA-256, which
 * it is checked against each time it is read: whatever became of the file, the
 * worst is that the block is fetched again. Hence nothing is synced.
 */
#include "acquire/block_cache_impl.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <time.h>

/* What was used is young. Written down now and then, for each time costs. */
static bool stamp_due(const struct stat *st)
{
	int64_t now = time(NULL);

	return st->st_mtime > now || now - st->st_mtime >= HERD_BC_STAMP_S;
}

static void set_aside(struct herd_block_cache *c, int dir, const char *hex,
		      const struct stat *st)
{
	if (herd_bc_set_aside(c, dir, hex, st, hex) && S_ISREG(st->st_mode))
		herd_bc_release(c, herd_bc_cost(st), 1);
}

/* ---- writing ---- */

static bool all_zero(const uint8_t *p, size_t len)
{
	return !p[0] && !memcmp(p, p + 1, len - 1);
}

static size_t piece_at(size_t len, size_t off)
{
	return len - off < HERD_BC_PIECE ? len - off : HERD_BC_PIECE;
}

static uint64_t cost_of(const uint8_t *p, size_t len)
{
	uint64_t n = 0;

	for (size_t off = 0; off < len; off += HERD_BC_PIECE)
		n += !all_zero(p + off, piece_at(len, off));
	return n * HERD_BC_PIECE;
}

/* Pieces of zeros are left out: the file has holes there. */
static int write_sparse(int fd, const uint8_t *p, size_t len)
{
	size_t from = 0, off = 0;
	int err = 0;

	while (!err && off < len) {
		size_t n = piece_at(len, off);

		if (all_zero(p + off, n)) {
			if (off > from)
				err = herd_bc_write(fd, p + from, off - from,
						    from);
			from = off + n;
		}
		off += n;
	}
	if (!err && len > from)
		return herd_bc_write(fd, p + from, len - from, from);
	if (!err && ftruncate(fd, (off_t)len))
		err = herd_bc_errno();
	return err;
}

/* 0: it is there (perhaps by somebody else). Its cost is reserved. */
static int write_content(struct herd_block_cache *c, int dir, const char *hex,
			 const void *bytes, size_t len, uint64_t cost)
{
	CLEANUP(herd_bc_temp_deinit) struct herd_bc_temp t = HERD_BC_TEMP_INIT;
	int err = herd_bc_temp_create(c, &t);

	if (!err)
		err = write_sparse(t.fd, bytes, len);
	if (!err && linkat(t.dir, t.name, dir, hex, 0))
		err = herd_bc_errno();
	if (err)
		herd_bc_release(c, cost, 1);
	return err == -EEXIST ? 0 : err;
}

/*
 * Whether that content is there already, as far as can be told without reading
 * it. What cannot be it is set aside.
 */
static bool is_there(struct herd_block_cache *c, int dir, const char *hex,
		     size_t len)
{
	struct stat st;

	if (fstatat(dir, hex, &st, AT_SYMLINK_NOFOLLOW))
		return false;
	if (S_ISREG(st.st_mode) && st.st_size == (off_t)len) {
		if (stamp_due(&st))
			utimensat(dir, hex, NULL, AT_SYMLINK_NOFOLLOW);
		return true;
	}
	set_aside(c, dir, hex, &st);
	return false;
}

static int put_content(struct herd_block_cache *c, const void *bytes,
		       size_t len, const uint8_t sha256[HERD_SHA256_LEN])
{
	CLEANUP_FD int dir = -1;
	char hex[HERD_BC_HEX + 1];
	int own, err;

	herd_hex(sha256, HERD_SHA256_LEN, hex);
	err = herd_bc_own(c, &own); /* settles the count first */
	if (!err)
		err = herd_bc_content_dir(c, hex, true, &dir);
	if (err || is_there(c, dir, hex, len))
		return err;
	uint64_t cost = cost_of(bytes, len);

	err = herd_bc_reserve(c, cost);
	return err ? err : write_content(c, dir, hex, bytes, len, cost);
}

int herd_block_cache_put(struct herd_block_cache *c, const char *snapshot,
			 uint32_t index, const void *bytes, size_t len,
			 const uint8_t sha256[HERD_SHA256_LEN],
			 struct herd_diag *diag)
{
	if (!herd_bc_snapshot_ok(snapshot) || index >= HERD_BC_INDEXES ||
	    !len || len > HERD_BLOCK_SIZE_MAX)
		return herd_diag_set(diag, -EINVAL, c->path, HERD_NO_OFFSET,
				     "no block that can be kept");
	int err = put_content(c, bytes, len, sha256);

	if (err)
		return herd_bc_failed(c, err, "contents", diag);
	return herd_bc_slot_put(c, snapshot, index, sha256, (uint32_t)len,
				diag);
}

/* ---- reading ---- */

/* -EBADMSG: it is not what was put. */
static int read_checked(int fd, const struct stat *st, void *buf, uint32_t len,
			const uint8_t sha256[HERD_SHA256_LEN])
{
	uint8_t got[HERD_SHA256_LEN];
	ssize_t n = st->st_size == (off_t)len ? herd_bc_read(fd, buf, len, 0) :
						-EBADMSG;

	if (n < 0) /* what the disk cannot read is fetched again too */
		return n == -EIO ? -EBADMSG : (int)n;
	if (n != (ssize_t)len)
		return -EBADMSG;
	herd_sha256(buf, len, got);
	if (memcmp(got, sha256, sizeof(got)))
		return -EBADMSG;
	if (stamp_due(st))
		futimens(fd, NULL);
	return 0;
}

static int get_content(struct herd_block_cache *c, void *buf, uint32_t len,
		       const uint8_t sha256[HERD_SHA256_LEN],
		       struct herd_diag *diag)
{
	CLEANUP_FD int dir = -1;
	CLEANUP_FD int fd = -1;
	char hex[HERD_BC_HEX + 1];
	struct stat st;

	herd_hex(sha256, HERD_SHA256_LEN, hex);
	int err = herd_bc_content_dir(c, hex, false, &dir);

	if (err)
		return err == -ENOENT ? err : herd_bc_failed(c, err, hex, diag);
	err = herd_bc_open_file(dir, hex, O_RDONLY, &fd, &st);
	if (!err)
		err = read_checked(fd, &st, buf, len, sha256);
	if (err == -EBADMSG) {
		memset(buf, 0, len);
		set_aside(c, dir, hex, &st);
	}
	return err && err != -ENOENT ? herd_bc_failed(c, err, hex, diag) : err;
}

int herd_block_cache_get(struct herd_block_cache *c, const char *snapshot,
			 uint32_t index, void *buf, size_t size,
			 size_t *ret_len, uint8_t ret_sha256[HERD_SHA256_LEN],
			 struct herd_diag *diag)
{
	uint8_t sha256[HERD_SHA256_LEN];
	uint32_t len = 0;

	if (!herd_bc_snapshot_ok(snapshot) || index >= HERD_BC_INDEXES)
		return herd_diag_set(diag, -EINVAL, c->path, HERD_NO_OFFSET,
				     "no block that can be kept");
	int err = herd_bc_slot_get(c, snapshot, index, sha256, &len, diag);

	if (!err && len > size)
		return herd_diag_set(diag, -EOVERFLOW, c->path, HERD_NO_OFFSET,
				     "%s: block %u has %u bytes", snapshot,
				     index, len);
	if (!err)
		err = get_content(c, buf, len, sha256, diag);
	if (err == -ENOENT)
		atomic_fetch_add(&c->misses, 1);
	if (err)
		return err;
	atomic_fetch_add(&c->hits, 1);
	*ret_len = len;
	if (ret_sha256)
		memcpy(ret_sha256, sha256, sizeof(sha256));
	return 0;
}

int herd_block_cache_digest(struct herd_block_cache *c, const char *snapshot,
			    uint32_t index, uint8_t ret[HERD_SHA256_LEN])
{
	uint32_t len;

	if (!herd_bc_snapshot_ok(snapshot) || index >= HERD_BC_INDEXES)
		return -EINVAL;
	return herd_bc_slot_get(c, snapshot, index, ret, &len, NULL);
}

bool herd_block_cache_has(struct herd_block_cache *c,
			  const uint8_t sha256[HERD_SHA256_LEN])
{
	CLEANUP_FD int dir = -1;
	char hex[HERD_BC_HEX + 1];
	struct stat st;

	herd_hex(sha256, HERD_SHA256_LEN, hex);
	return !herd_bc_content_dir(c, hex, false, &dir) &&
	       !fstatat(dir, hex, &st, AT_SYMLINK_NOFOLLOW) &&
	       S_ISREG(st.st_mode);
}
