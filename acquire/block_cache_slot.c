/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The digests of a snapshot's blocks: a sparse file of slots of 64 bytes, by
 * index. A slot's check covers the snapshot's name and the index, so that a
 * slot that is torn, or comes from elsewhere, is told. Slots do not cross a
 * page, hence a writer that is killed leaves the old one or the new one.
 */
#include "acquire/base/cursor.h"
#include "acquire/block_cache_impl.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>

#define SLOT 64u
#define CHECKED (HERD_SHA256_LEN + 8u)

static void check_of(const char *snapshot, const uint8_t *slot,
		     uint8_t ret[HERD_SHA256_LEN])
{
	uint8_t text[HERD_BC_NAME_MAX + 1 + CHECKED] = { 0 };
	size_t n = strlen(snapshot) + 1;

	memcpy(text, snapshot, n);
	memcpy(text + n, slot, CHECKED);
	herd_sha256(text, n + CHECKED, ret);
}

static void slot_encode(const char *snapshot, uint32_t index,
			const uint8_t sha256[HERD_SHA256_LEN], uint32_t len,
			uint8_t slot[SLOT])
{
	uint8_t check[HERD_SHA256_LEN];
	uint32_t numbers[2] = { htole32(index), htole32(len) };

	memcpy(slot, sha256, HERD_SHA256_LEN);
	memcpy(slot + HERD_SHA256_LEN, numbers, sizeof(numbers));
	check_of(snapshot, slot, check);
	memcpy(slot + CHECKED, check, SLOT - CHECKED);
}

static int slot_decode(const char *snapshot, uint32_t index,
		       const uint8_t slot[SLOT],
		       uint8_t ret_sha256[HERD_SHA256_LEN], uint32_t *ret_len)
{
	static const uint8_t empty[SLOT];
	uint8_t check[HERD_SHA256_LEN];
	struct herd_cursor cur = herd_cursor(slot, SLOT);

	if (!memcmp(slot, empty, SLOT))
		return -ENOENT;
	check_of(snapshot, slot, check);
	herd_cur_seek(&cur, HERD_SHA256_LEN);
	uint32_t is = herd_cur_le32(&cur), len = herd_cur_le32(&cur);

	if (memcmp(slot + CHECKED, check, SLOT - CHECKED) || is != index ||
	    !len || len > HERD_BLOCK_SIZE_MAX)
		return -EBADMSG;
	memcpy(ret_sha256, slot, HERD_SHA256_LEN);
	*ret_len = len;
	return 0;
}

static int open_digests(struct herd_block_cache *c, const char *snapshot,
			int dir, int flags, int *ret_fd)
{
	struct stat st;
	char label[HERD_BC_NAME_MAX + 10];
	int err = herd_bc_open_file(dir, HERD_BC_DIGESTS, flags, ret_fd, &st);

	if (err == -EBADMSG) {
		snprintf(label, sizeof(label), "%s." HERD_BC_DIGESTS, snapshot);
		herd_bc_set_aside(c, dir, HERD_BC_DIGESTS, &st, label);
	}
	return err;
}

static int lock_digests(int fd)
{
	while (flock(fd, LOCK_EX))
		if (errno != EINTR)
			return -errno;
	return 0;
}

int herd_bc_slot_put(struct herd_block_cache *c, const char *snapshot,
		     uint32_t index, const uint8_t sha256[HERD_SHA256_LEN],
		     uint32_t len, struct herd_diag *diag)
{
	CLEANUP_FD int dir = -1;
	CLEANUP_FD int fd = -1;
	uint8_t slot[SLOT];
	int err = herd_bc_snapshot_dir(c, snapshot, true, &dir);

	if (!err)
		err = open_digests(c, snapshot, dir, O_RDWR | O_CREAT, &fd);
	if (err == -EBADMSG)
		err = open_digests(c, snapshot, dir, O_RDWR | O_CREAT, &fd);
	if (!err)
		err = lock_digests(fd);
	if (!err) {
		slot_encode(snapshot, index, sha256, len, slot);
		err = herd_bc_write(fd, slot, SLOT, (uint64_t)index * SLOT);
	}
	return err ? herd_bc_failed(c, err, snapshot, diag) : 0;
}

/* What is behind the file's end is empty. */
static int slot_read(int fd, const char *snapshot, uint32_t index,
		     uint8_t ret_sha256[HERD_SHA256_LEN], uint32_t *ret_len)
{
	uint8_t slot[SLOT] = { 0 };
	ssize_t n = herd_bc_read(fd, slot, SLOT, (uint64_t)index * SLOT);

	if (n < 0)
		return (int)n;
	return slot_decode(snapshot, index, slot, ret_sha256, ret_len);
}

/*
 * One that looks damaged was perhaps read while it was written: look again
 * when nobody writes. One that is damaged is emptied.
 */
static int slot_repair(struct herd_block_cache *c, const char *snapshot,
		       int dir, uint32_t index,
		       uint8_t ret_sha256[HERD_SHA256_LEN], uint32_t *ret_len)
{
	static const uint8_t empty[SLOT];
	CLEANUP_FD int fd = -1;
	int err = open_digests(c, snapshot, dir, O_RDWR, &fd);

	if (err == -EROFS) {
		atomic_fetch_add(&c->n_damaged, 1);
		return -EBADMSG;
	}
	if (!err)
		err = lock_digests(fd);
	if (!err)
		err = slot_read(fd, snapshot, index, ret_sha256, ret_len);
	if (err == -EBADMSG) {
		atomic_fetch_add(&c->n_damaged, 1);
		herd_bc_write(fd, empty, SLOT, (uint64_t)index * SLOT);
	}
	return err;
}

int herd_bc_slot_get(struct herd_block_cache *c, const char *snapshot,
		     uint32_t index, uint8_t ret_sha256[HERD_SHA256_LEN],
		     uint32_t *ret_len, struct herd_diag *diag)
{
	CLEANUP_FD int dir = -1;
	CLEANUP_FD int fd = -1;
	int err = herd_bc_snapshot_dir(c, snapshot, false, &dir);

	if (!err)
		err = open_digests(c, snapshot, dir, O_RDONLY, &fd);
	if (!err) {
		err = slot_read(fd, snapshot, index, ret_sha256, ret_len);
		if (err == -EBADMSG)
			err = slot_repair(c, snapshot, dir, index, ret_sha256,
					  ret_len);
	}
	if (err && err != -ENOENT)
		herd_bc_failed(c, err, snapshot, diag);
	return err;
}
