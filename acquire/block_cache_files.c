/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The block cache's files: opened below a folder's descriptor and never
 * through a link, put into place whole, taken out of the way when damaged.
 */
#include "acquire/block_cache_impl.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>

int herd_bc_failed(const struct herd_block_cache *c, int err, const char *name,
		   struct herd_diag *diag)
{
	return herd_diag_set(diag, err, c->path, HERD_NO_OFFSET, "%s: %s", name,
			     err == -EBADMSG ?
				     "damaged, or not what belongs there" :
				     strerror(-err));
}

int herd_bc_errno(void)
{
	return errno == EDQUOT || errno == EFBIG ? -ENOSPC : -errno;
}

bool herd_bc_snapshot_ok(const char *snapshot)
{
	size_t n = snapshot ? strlen(snapshot) : 0, skip = 5;

	if (n > 3 && !strncmp(snapshot, "s3-", 3))
		skip = 3;
	else if (n <= 5 || strncmp(snapshot, "snap-", 5) != 0)
		return false;
	return n <= HERD_BC_NAME_MAX &&
	       strspn(snapshot + skip, "0123456789abcdefghijklmnopqrstuvwxyz") ==
		       n - skip;
}

/* ---- locks ---- */

int herd_bc_lock(const struct herd_block_cache *c, const char *name,
		 int *ret_fd)
{
	CLEANUP_FD int fd = -1;
	struct stat st;
	int err = herd_bc_open_file(c->root, name, O_RDWR | O_CREAT, &fd, &st);

	if (err)
		return err;
	while (flock(fd, LOCK_EX))
		if (errno != EINTR)
			return -errno;
	*ret_fd = TAKE_FD(fd);
	return 0;
}

/* ---- opening, reading, writing ---- */

/* What an open() that failed met: -EBADMSG where a link or the like stands in
   the way. */
static int open_failed(int parent, const char *name, struct stat *ret_st)
{
	int err = herd_bc_errno();

	if (err != -ELOOP && err != -ENOTDIR && err != -EISDIR && err != -ENXIO)
		return err;
	return fstatat(parent, name, ret_st, AT_SYMLINK_NOFOLLOW) ? -errno :
								    -EBADMSG;
}

int herd_bc_open_dir(int parent, const char *name, int *ret_fd,
		     struct stat *ret_st)
{
	CLEANUP_FD int fd = openat(
		parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	if (fd < 0)
		return open_failed(parent, name, ret_st);
	if (fstat(fd, ret_st))
		return -errno;
	*ret_fd = TAKE_FD(fd);
	return 0;
}

int herd_bc_open_file(int parent, const char *name, int flags, int *ret_fd,
		      struct stat *ret_st)
{
	bool writes = (flags & O_ACCMODE) != O_RDONLY;
	/* nobody's FIFO makes us wait */
	CLEANUP_FD int fd = openat(
		parent, name,
		flags | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK | O_NOCTTY, 0600);

	if (fd < 0)
		return open_failed(parent, name, ret_st);
	if (fstat(fd, ret_st))
		return -errno;
	/* what has a second name may be a file of somebody else's */
	if (!S_ISREG(ret_st->st_mode) || (writes && ret_st->st_nlink > 1))
		return -EBADMSG;
	if (writes && (ret_st->st_mode & 07777) != 0600 && fchmod(fd, 0600))
		return -errno;
	*ret_fd = TAKE_FD(fd);
	return 0;
}

ssize_t herd_bc_read(int fd, void *buf, size_t len, uint64_t off)
{
	size_t done = 0;

	while (done < len) {
		ssize_t n = pread(fd, (char *)buf + done, len - done,
				  (off_t)(off + done));

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (!n)
			break;
		done += (size_t)n;
	}
	return (ssize_t)done;
}

int herd_bc_write(int fd, const void *buf, size_t len, uint64_t off)
{
	while (len) {
		ssize_t n = pwrite(fd, buf, len, (off_t)off);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n ? herd_bc_errno() : -EIO;
		buf = (const char *)buf + n;
		len -= (size_t)n;
		off += (uint64_t)n;
	}
	return 0;
}

/* ---- temporary files ---- */

int herd_bc_temp_create(struct herd_block_cache *c, struct herd_bc_temp *t)
{
	int err = herd_bc_own(c, &t->dir);

	if (err)
		return err;
	do { /* a fork of ours counts from where we were */
		snprintf(t->name, sizeof(t->name), "%u",
			 atomic_fetch_add(&c->next_temp, 1));
		t->fd = openat(t->dir, t->name,
			       O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW |
				       O_CLOEXEC,
			       0600);
	} while (t->fd < 0 && errno == EEXIST);
	if (t->fd < 0) {
		err = herd_bc_errno();
		t->name[0] = '\0';
		return err;
	}
	return fchmod(t->fd, 0600) ? -errno : 0;
}

void herd_bc_temp_deinit(struct herd_bc_temp *t)
{
	int saved = errno;

	if (t->fd >= 0)
		close(t->fd);
	if (t->name[0])
		unlinkat(t->dir, t->name, 0);
	errno = saved;
}

int herd_bc_replace(struct herd_block_cache *c, int dir, const char *name,
		    const void *data, size_t len)
{
	CLEANUP(herd_bc_temp_deinit) struct herd_bc_temp t = HERD_BC_TEMP_INIT;
	CLEANUP_FD int lock = -1;
	int err = herd_bc_temp_create(c, &t);

	if (!err)
		err = herd_bc_write(t.fd, data, len, 0);
	if (!err)
		err = herd_bc_lock(c, HERD_BC_LOCK, &lock);
	if (err)
		return err;
	if (renameat(t.dir, t.name, dir, name))
		return herd_bc_errno();
	t.name[0] = '\0';
	return 0;
}

/* ---- what is damaged ---- */

static unsigned count_entries(int dir)
{
	int fd = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = fd >= 0 ? fdopendir(fd) : NULL;
	unsigned n = 0;

	if (!d) {
		if (fd >= 0)
			close(fd);
		return UINT32_MAX;
	}
	while (readdir(d))
		n++;
	closedir(d);
	return n > 2 ? n - 2 : 0;
}

/* Into damaged/, under a name that is free there. */
static int move_aside(const struct herd_block_cache *c, int dir,
		      const char *name, const char *label)
{
	char to[200];
	struct stat st;

	for (unsigned i = 0; i < 2 * HERD_BC_DAMAGED_KEPT; i++) {
		snprintf(to, sizeof(to), "%s.%u", label, i);
		if (!fstatat(c->damaged, to, &st, AT_SYMLINK_NOFOLLOW))
			continue;
		return renameat(dir, name, c->damaged, to) ? -errno : 0;
	}
	return -EEXIST;
}

bool herd_bc_set_aside(struct herd_block_cache *c, int dir, const char *name,
		       const struct stat *seen, const char *label)
{
	CLEANUP_FD int lock = -1;
	struct stat st;

	atomic_fetch_add(&c->n_damaged, 1);
	if (herd_bc_lock(c, HERD_BC_LOCK, &lock) ||
	    fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) ||
	    st.st_dev != seen->st_dev || st.st_ino != seen->st_ino)
		return false;
	if (count_entries(c->damaged) < HERD_BC_DAMAGED_KEPT &&
	    !move_aside(c, dir, name, label))
		return true;
	if (!unlinkat(dir, name, S_ISDIR(st.st_mode) ? AT_REMOVEDIR : 0))
		return true;
	/* a folder with things in it, none of ours */
	return S_ISDIR(st.st_mode) && !move_aside(c, dir, name, label);
}

/* ---- folders ---- */

static int folder(struct herd_block_cache *c, int parent, const char *name,
		  bool make, int *ret_fd)
{
	struct stat st;
	int err = herd_bc_open_dir(parent, name, ret_fd, &st);

	if (err == -EBADMSG)
		herd_bc_set_aside(c, parent, name, &st, name);
	if (!make || (err != -EBADMSG && err != -ENOENT))
		return err;
	err = herd_bc_make_dir(parent, name);
	return err ? err : herd_bc_open_dir(parent, name, ret_fd, &st);
}

int herd_bc_snapshot_dir(struct herd_block_cache *c, const char *snapshot,
			 bool make, int *ret_fd)
{
	return folder(c, c->snapshots, snapshot, make, ret_fd);
}

int herd_bc_content_dir(struct herd_block_cache *c, const char *hex, bool make,
			int *ret_fd)
{
	char two[3] = { hex[0], hex[1], '\0' };

	return folder(c, c->contents, two, make, ret_fd);
}
