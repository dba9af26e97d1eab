/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Requests of the kernel, put to the tree. What is shown never changes, so
 * the kernel is told to keep whatever it has learned: names (also of what is
 * not there), attributes, link targets, listings, pages. It need not even say
 * that a file is opened.
 *
 * Threads: any; a buffer for listings belongs to each thread.
 */
#include "fs/fuse_ops.h"

#include <string.h>
#include <sys/statvfs.h>

#define FOR_EVER (365.0 * 86400)
#define BACKGROUND 64		/* requests of read-ahead in flight */
#define TARGET_MAX 4095		/* bytes of a link's target that Linux takes */

static struct herd_tree *tree_of(fuse_req_t req)
{
	return ((struct herd_fuse *)fuse_req_userdata(req))->tree;
}

static void reply_error(fuse_req_t req, int err)
{
	fuse_reply_err(req, -err);
}

/* ---- the start ---- */

static void op_init(void *userdata, struct fuse_conn_info *conn)
{
	struct herd_fuse *f = userdata;
	const unsigned wanted = FUSE_CAP_ASYNC_READ | FUSE_CAP_READDIRPLUS |
				FUSE_CAP_PARALLEL_DIROPS |
				FUSE_CAP_CACHE_SYMLINKS |
				FUSE_CAP_EXPLICIT_INVAL_DATA;
	const unsigned unwanted = FUSE_CAP_READDIRPLUS_AUTO |
				  FUSE_CAP_AUTO_INVAL_DATA |
				  FUSE_CAP_SPLICE_READ | FUSE_CAP_SPLICE_WRITE;

	conn->want = (conn->want | (conn->capable & wanted)) & ~unwanted;
	conn->max_background = BACKGROUND;
	conn->congestion_threshold = BACKGROUND * 3 / 4;
	conn->time_gran = 1;
	f->no_open = conn->capable & FUSE_CAP_NO_OPEN_SUPPORT;
	f->no_opendir = conn->capable & FUSE_CAP_NO_OPENDIR_SUPPORT;
}

/* ---- names and attributes ---- */

static void op_lookup(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	struct fuse_entry_param e = { .attr_timeout = FOR_EVER,
				      .entry_timeout = FOR_EVER };
	uint64_t node;
	int err = herd_tree_lookup(tree_of(req), parent, name, &node, &e.attr);

	if (!err)
		e.ino = node;
	/* no such name: that too may be remembered */
	if (!err || err == -ENOENT)
		fuse_reply_entry(req, &e);
	else
		reply_error(req, err);
}

static void op_getattr(fuse_req_t req, fuse_ino_t ino,
		       struct fuse_file_info *fi)
{
	struct stat st;
	int err = herd_tree_getattr(tree_of(req), ino, &st);

	(void)fi;
	if (err)
		reply_error(req, err);
	else
		fuse_reply_attr(req, &st, FOR_EVER);
}

static void op_readlink(fuse_req_t req, fuse_ino_t ino)
{
	char *target;
	int err = herd_tree_readlink(tree_of(req), ino, &target);

	if (err) {
		reply_error(req, err);
		return;
	}
	if (strlen(target) > TARGET_MAX)
		fuse_reply_err(req, ENAMETOOLONG);
	else
		fuse_reply_readlink(req, target);
	free(target);
}

/* ---- listings ---- */

static pthread_key_t buffer_key;
static pthread_once_t buffer_once = PTHREAD_ONCE_INIT;

static void make_key(void)
{
	pthread_key_create(&buffer_key, free);
}

/* This thread's buffer, grown to size; its capacity stands before it. */
static char *listing_buffer(size_t size)
{
	size_t *b;

	pthread_once(&buffer_once, make_key);
	b = pthread_getspecific(buffer_key);
	if (!b || *b < size) {
		size_t *bigger = realloc(b, sizeof(*b) + size);

		if (!bigger)
			return NULL;
		*bigger = size;
		b = bigger;
		pthread_setspecific(buffer_key, b);
	}
	return (char *)(b + 1);
}

struct listing {
	fuse_req_t req;
	bool plus;
	char *buf;
	size_t size, used;
};

static int add_entry(void *arg, const char *name, uint64_t node,
		     const struct stat *st, uint64_t next)
{
	struct listing *l = arg;
	struct fuse_entry_param e;
	size_t n;

	if (!l->plus) {
		n = fuse_add_direntry(l->req, l->buf + l->used,
				      l->size - l->used, name, st,
				      (off_t)next);
	} else {
		e = (struct fuse_entry_param){
			.attr = *st,
			.attr_timeout = FOR_EVER,
			.entry_timeout = FOR_EVER,
		};
		/* node 0: the name alone; the rest when it is looked up */
		if (st->st_nlink && strcmp(name, ".") != 0 &&
		    strcmp(name, "..") != 0)
			e.ino = node;
		n = fuse_add_direntry_plus(l->req, l->buf + l->used,
					   l->size - l->used, name, &e,
					   (off_t)next);
	}
	if (n > l->size - l->used)
		return 1;
	l->used += n;
	return 0;
}

static void list(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off,
		 bool plus)
{
	struct listing l = { .req = req, .plus = plus, .size = size,
			     .buf = listing_buffer(size) };
	int err = l.buf ? herd_tree_readdir(tree_of(req), ino, (uint64_t)off,
					    add_entry, &l) : -ENOMEM;

	/* what was found before the error is given first */
	if (err && !l.used)
		reply_error(req, err);
	else
		fuse_reply_buf(req, l.buf, l.used);
}

static void op_readdir(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off,
		       struct fuse_file_info *fi)
{
	(void)fi;
	list(req, ino, size, off, false);
}

static void op_readdirplus(fuse_req_t req, fuse_ino_t ino, size_t size,
			   off_t off, struct fuse_file_info *fi)
{
	(void)fi;
	list(req, ino, size, off, true);
}

static void op_opendir(fuse_req_t req, fuse_ino_t ino,
		       struct fuse_file_info *fi)
{
	const struct herd_fuse *f = fuse_req_userdata(req);

	(void)ino;
	fi->cache_readdir = 1;
	fi->keep_cache = 1;
	if (f->no_opendir)
		fuse_reply_err(req, ENOSYS);
	else
		fuse_reply_open(req, fi);
}

/* ---- content ---- */

static void op_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	const struct herd_fuse *f = fuse_req_userdata(req);

	(void)ino;
	fi->keep_cache = 1;
	if (f->no_open)
		fuse_reply_err(req, ENOSYS);
	else if ((fi->flags & O_ACCMODE) != O_RDONLY)
		fuse_reply_err(req, EROFS);
	else
		fuse_reply_open(req, fi);
}

struct answer {
	fuse_req_t req;
	bool given;
};

/*
 * The vector goes to the device as it is. When a mapped image turns out to
 * be shorter than it was, that write fails and the kernel ends the request
 * with EIO by itself.
 */
static int give_bytes(void *arg, const struct iovec *iov, int n)
{
	struct answer *a = arg;

	a->given = true;
	if (n == 1)
		return fuse_reply_buf(a->req, iov->iov_base, iov->iov_len);
	return fuse_reply_iov(a->req, iov, n);
}

static void op_read(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off,
		    struct fuse_file_info *fi)
{
	struct answer a = { .req = req };
	int err = herd_tree_read(tree_of(req), ino, (uint64_t)off, size,
				 give_bytes, &a);

	(void)fi;
	if (!a.given)
		reply_error(req, err ? err : -EIO);
}

static void op_lseek(fuse_req_t req, fuse_ino_t ino, off_t off, int whence,
		     struct fuse_file_info *fi)
{
	uint64_t at;
	int err = off < 0 ? -ENXIO :
		  herd_tree_seek(tree_of(req), ino, (uint64_t)off,
				 whence == SEEK_HOLE, &at);

	(void)fi;
	if (err)
		reply_error(req, err);
	else
		fuse_reply_lseek(req, (off_t)at);
}

/* ---- the rest ---- */

static void reply_attribute(fuse_req_t req, ssize_t n, const char *buf,
			    size_t size)
{
	if (n < 0)
		reply_error(req, (int)n);
	else if (!size)
		fuse_reply_xattr(req, (size_t)n);
	else
		fuse_reply_buf(req, buf, (size_t)n);
}

static void op_getxattr(fuse_req_t req, fuse_ino_t ino, const char *name,
			size_t size)
{
	char *buf = size ? listing_buffer(size) : NULL;
	ssize_t n = size && !buf ? -ENOMEM :
		    herd_tree_getxattr(tree_of(req), ino, name, buf, size);

	reply_attribute(req, n, buf, size);
}

static void op_listxattr(fuse_req_t req, fuse_ino_t ino, size_t size)
{
	char *buf = size ? listing_buffer(size) : NULL;
	ssize_t n = size && !buf ? -ENOMEM :
		    herd_tree_listxattr(tree_of(req), ino, buf, size);

	reply_attribute(req, n, buf, size);
}

static void op_statfs(fuse_req_t req, fuse_ino_t ino)
{
	const struct statvfs st = {
		.f_bsize = 4096,
		.f_frsize = 4096,
		.f_namemax = 255,
		.f_flag = ST_RDONLY | ST_NOSUID,
	};

	(void)ino;
	fuse_reply_statfs(req, &st);
}

const struct fuse_lowlevel_ops herd_fuse_ops = {
	.init = op_init,
	.lookup = op_lookup,
	.getattr = op_getattr,
	.readlink = op_readlink,
	.open = op_open,
	.read = op_read,
	.opendir = op_opendir,
	.readdir = op_readdir,
	.readdirplus = op_readdirplus,
	.lseek = op_lseek,
	.getxattr = op_getxattr,
	.listxattr = op_listxattr,
	.statfs = op_statfs,
};
