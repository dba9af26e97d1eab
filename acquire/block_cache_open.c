/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Opening and closing of the block cache: its folders and their modes, what
 * was left behind by processes that died, and the folder in tmp/ that each
 * process which writes has for itself. That folder holds a file which the
 * process keeps locked: whose lock can be had is dead.
 */
#include "acquire/block_cache_impl.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>

#define OWN_LOCK "lock"

int herd_bc_make_dir(int parent, const char *name)
{
	if (mkdirat(parent, name, 0700))
		return errno == EEXIST ? 0 : herd_bc_errno();
	return fchmodat(parent, name, 0700, 0) ? -errno : 0;
}

/* ---- what the dead left ---- */

static DIR *list_dir(int dir)
{
	int fd = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = fd >= 0 ? fdopendir(fd) : NULL;

	if (!d && fd >= 0)
		close(fd);
	return d;
}

static bool is_dot(const struct dirent *e)
{
	return !strcmp(e->d_name, ".") || !strcmp(e->d_name, "..");
}

static void remove_folder(int parent, const char *name, int dir)
{
	DIR *d = list_dir(dir);

	for (struct dirent *e; d && (e = readdir(d));)
		if (!is_dot(e) && unlinkat(dir, e->d_name, 0))
			unlinkat(dir, e->d_name, AT_REMOVEDIR);
	if (d)
		closedir(d);
	unlinkat(parent, name, AT_REMOVEDIR);
}

/* Takes away one process's folder, unless the process lives. */
static bool is_alive(int tmp, const char *name)
{
	CLEANUP_FD int dir = -1;
	CLEANUP_FD int lock = -1;
	struct stat st;
	int err = herd_bc_open_dir(tmp, name, &dir, &st);

	if (err == -EBADMSG)
		unlinkat(tmp, name, 0);
	if (err)
		return false;
	err = herd_bc_open_file(dir, OWN_LOCK, O_RDWR, &lock, &st);
	if (!err && flock(lock, LOCK_EX | LOCK_NB) && errno == EWOULDBLOCK)
		return true;
	remove_folder(tmp, name, dir);
	return false;
}

/* How many processes write. HERD_BC_LOCK is held. */
static unsigned clean_leftovers(const struct herd_block_cache *c)
{
	DIR *d = list_dir(c->tmp);
	unsigned alive = 0;

	for (struct dirent *e; d && (e = readdir(d));)
		if (!is_dot(e))
			alive += is_alive(c->tmp, e->d_name);
	if (d)
		closedir(d);
	return alive;
}

/*
 * A process that died between writing and counting leaves a count that is too
 * high. When nobody writes it is put right. HERD_BC_LOCK is held.
 */
static int settle(const struct herd_block_cache *c, bool clean)
{
	struct herd_bc_usage u;
	unsigned alive = clean_leftovers(c);
	int err = herd_bc_usage_read(c, &u);

	if (err && err != -EBADMSG)
		return err;
	if (err || (!alive && !u.clean)) {
		err = herd_bc_recount(c, &u);
		if (err)
			return err;
	} else if (u.clean == (clean && !alive)) {
		return 0;
	}
	u.clean = clean && !alive;
	return herd_bc_usage_write(c, &u);
}

/* ---- the folder of our own ---- */

static int make_own(struct herd_block_cache *c)
{
	CLEANUP_FD int own = -1;
	CLEANUP_FD int lock = -1;
	char name[40];
	struct stat st;
	int err = 0;

	for (unsigned i = 0;; i++) {
		snprintf(name, sizeof(name), "%d-%u", (int)getpid(), i);
		if (fstatat(c->tmp, name, &st, AT_SYMLINK_NOFOLLOW))
			break;
	}
	err = herd_bc_make_dir(c->tmp, name);
	if (!err)
		err = herd_bc_open_dir(c->tmp, name, &own, &st);
	if (!err)
		err = herd_bc_open_file(own, OWN_LOCK, O_RDWR | O_CREAT, &lock,
					&st);
	if (!err && flock(lock, LOCK_EX | LOCK_NB))
		err = -errno;
	if (err) {
		if (own >= 0)
			remove_folder(c->tmp, name, own);
		return err;
	}
	snprintf(c->own_name, sizeof(c->own_name), "%s", name);
	c->own_lock = TAKE_FD(lock);
	c->own = TAKE_FD(own);
	return 0;
}

int herd_bc_own(struct herd_block_cache *c, int *ret_fd)
{
	SCOPED_LOCK(&c->mutex);
	CLEANUP_FD int lock = -1;
	int err = 0;

	if (c->own < 0) {
		err = c->read_only ? -EROFS :
				     herd_bc_lock(c, HERD_BC_LOCK, &lock);
		if (!err)
			err = settle(c, false);
		if (!err)
			err = make_own(c);
	}
	if (!err)
		*ret_fd = c->own;
	return err;
}

/* ---- opening ---- */

static int refuse(const struct herd_block_cache *c, int err,
		  struct herd_diag *diag, const char *why)
{
	return herd_diag_set(diag, err, c->path, HERD_NO_OFFSET, "%s", why);
}

/* A folder with other things in it was not meant. */
static int only_ours(const struct herd_block_cache *c)
{
	static const char *const ours[] = { HERD_BC_LOCK,  HERD_BC_EVICT,
					    HERD_BC_USAGE, "contents",
					    "snapshots",   "tmp",
					    "damaged" };
	DIR *d = list_dir(c->root);
	int err = d ? 0 : -errno;

	for (struct dirent *e; !err && (e = readdir(d));) {
		bool known = is_dot(e);

		for (size_t i = 0; i < ARRAY_SIZE(ours); i++)
			known |= !strcmp(e->d_name, ours[i]);
		if (!known)
			err = -ENOTEMPTY;
	}
	if (d)
		closedir(d);
	return err;
}

/* 0, -ENOENT, or said in diag. */
static int check_version(const struct herd_block_cache *c,
			 struct herd_diag *diag)
{
	static const char ours[] = HERD_BC_VERSION;
	CLEANUP_FD int fd = -1;
	char text[64] = "";
	struct stat st;
	int err = herd_bc_open_file(c->root, "version", O_RDONLY, &fd, &st);
	ssize_t n = err ? err : herd_bc_read(fd, text, sizeof(text) - 1, 0);

	if (n == -ENOENT)
		return -ENOENT;
	if (n < 0)
		return herd_bc_failed(c, (int)n, "version", diag);
	text[n] = '\0';
	if (!strcmp(text, ours))
		return 0;
	if (strncmp(text, ours, strlen(ours) - 2))
		return refuse(c, -EBADMSG, diag, "is no block cache");
	text[n - 1] = '\0';
	return herd_diag_set(diag, -EOPNOTSUPP, c->path, HERD_NO_OFFSET,
			     "is \"%s\", this herdfs has version %c", text,
			     ours[strlen(ours) - 2]);
}

static int open_folder(struct herd_block_cache *c, const char *name,
		       int *ret_fd, struct herd_diag *diag)
{
	struct stat st;
	int err = c->read_only ? 0 : herd_bc_make_dir(c->root, name);

	if (!err)
		err = herd_bc_open_dir(c->root, name, ret_fd, &st);
	if (!err && st.st_uid != geteuid())
		err = -EPERM;
	if (!err && (st.st_mode & 07777) != 0700 && !c->read_only &&
	    fchmod(*ret_fd, 0700))
		err = -errno;
	if (err == -EBADMSG)
		return herd_diag_set(diag, -ENOTDIR, c->path, HERD_NO_OFFSET,
				     "%s is a link or no folder", name);
	return err ? herd_bc_failed(c, err, name, diag) : 0;
}

static int open_root(struct herd_block_cache *c, struct herd_diag *diag)
{
	struct stat st;
	int err = herd_bc_make_dir(AT_FDCWD, c->path);

	if (!err)
		err = herd_bc_open_dir(AT_FDCWD, c->path, &c->root, &st);
	if (err == -EBADMSG)
		return refuse(c, -ENOTDIR, diag,
			      "is a symbolic link or no folder");
	if (err)
		return refuse(c, err, diag, strerror(-err));
	if (st.st_uid != geteuid())
		return herd_diag_set(diag, -EPERM, c->path, HERD_NO_OFFSET,
				     "belongs to user %u, not to user %u",
				     (unsigned)st.st_uid, (unsigned)geteuid());
	err = check_version(c, diag);
	if (err && err != -ENOENT)
		return err;
	err = err ? only_ours(c) : 0;
	if (err == -ENOTEMPTY)
		return refuse(c, err, diag, "is not empty and no block cache");
	if (!err && (st.st_mode & 07777) != 0700 && fchmod(c->root, 0700) &&
	    errno != EROFS)
		err = -errno;
	return err ? refuse(c, err, diag, strerror(-err)) : 0;
}

/* HERD_BC_LOCK is held. */
static int make_version(struct herd_block_cache *c, struct herd_diag *diag)
{
	CLEANUP_FD int fd = -1;
	struct stat st;
	int err = check_version(c, diag);

	if (err != -ENOENT)
		return err;
	/* a name that no other process uses: they wait for the lock */
	unlinkat(c->tmp, "version", 0);
	err = herd_bc_open_file(c->tmp, "version", O_RDWR | O_CREAT | O_EXCL,
				&fd, &st);
	if (!err)
		err = herd_bc_write(fd, HERD_BC_VERSION,
				    strlen(HERD_BC_VERSION), 0);
	/* the one file without which a cache is none after a loss of power */
	if (!err &&
	    (fsync(fd) || renameat(c->tmp, "version", c->root, "version") ||
	     fsync(c->root)))
		err = herd_bc_errno();
	return err ? herd_bc_failed(c, err, "version", diag) : 0;
}

static int open_all(struct herd_block_cache *c, struct herd_diag *diag)
{
	CLEANUP_FD int lock = -1;
	int err = open_root(c, diag);

	if (err)
		return err;
	err = herd_bc_lock(c, HERD_BC_LOCK, &lock);
	c->read_only = err == -EROFS;
	if (err && !c->read_only)
		return herd_bc_failed(c, err, HERD_BC_LOCK, diag);
	err = open_folder(c, "tmp", &c->tmp, diag);
	if (!err)
		err = open_folder(c, "contents", &c->contents, diag);
	if (!err)
		err = open_folder(c, "snapshots", &c->snapshots, diag);
	if (!err)
		err = open_folder(c, "damaged", &c->damaged, diag);
	if (!err && !c->read_only)
		err = make_version(c, diag);
	if (err || c->read_only)
		return err;
	err = settle(c, true);
	/* what is there can be read from a full disk too */
	return err && err != -ENOSPC ? herd_bc_failed(c, err, "tmp", diag) : 0;
}

int herd_block_cache_open(const char *dir, uint64_t limit,
			  struct herd_block_cache **ret, struct herd_diag *diag)
{
	size_t len = strlen(dir);
	struct herd_block_cache *c = calloc(1, sizeof(*c));

	while (len > 1 && dir[len - 1] == '/') /* it would follow a link */
		len--;
	if (!c || !(c->path = strndup(dir, len))) {
		free(c);
		return -ENOMEM;
	}
	c->limit = limit;
	c->owner = getpid();
	c->root = c->contents = c->snapshots = c->tmp = c->damaged = -1;
	c->own = c->own_lock = -1;
	pthread_mutex_init(&c->mutex, NULL);
	int err = open_all(c, diag);

	if (err)
		herd_block_cache_close(c);
	else
		*ret = c;
	return err;
}

/* ---- closing ---- */

/* A fork of the process that opened it leaves that one's folder alone. */
static void leave(struct herd_block_cache *c)
{
	CLEANUP_FD int lock = -1;

	if (c->own < 0 || c->owner != getpid() ||
	    herd_bc_lock(c, HERD_BC_LOCK, &lock))
		return;
	remove_folder(c->tmp, c->own_name, c->own);
	struct herd_bc_usage u;

	if (!clean_leftovers(c) && !atomic_load(&c->miscounted) &&
	    !herd_bc_usage_read(c, &u)) {
		u.clean = true;
		herd_bc_usage_write(c, &u);
	}
}

void herd_block_cache_close(struct herd_block_cache *c)
{
	int saved = errno;

	if (!c)
		return;
	leave(c);
	const int fds[] = { c->own_lock,  c->own,     c->tmp, c->contents,
			    c->snapshots, c->damaged, c->root };

	for (size_t i = 0; i < ARRAY_SIZE(fds); i++)
		if (fds[i] >= 0)
			close(fds[i]);
	pthread_mutex_destroy(&c->mutex);
	free(c->path);
	free(c);
	errno = saved;
}

void herd_block_cache_stats(struct herd_block_cache *c,
			    struct herd_block_cache_stats *ret)
{
	CLEANUP_FD int lock = -1;
	struct herd_bc_usage u = { 0 };

	if (c->read_only || !herd_bc_lock(c, HERD_BC_LOCK, &lock))
		if (herd_bc_usage_read(c, &u))
			u = (struct herd_bc_usage){ 0 };
	ret->bytes = u.bytes;
	ret->contents = u.contents;
	ret->hits = atomic_load(&c->hits);
	ret->misses = atomic_load(&c->misses);
	ret->evicted = atomic_load(&c->evicted);
	ret->damaged = atomic_load(&c->n_damaged);
}
