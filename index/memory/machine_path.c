/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Names of files, as a link in /proc would show them to somebody whose root is
 * the first process's: from the dentry up to the root of its mount, on from
 * where that is mounted, until that root is met or the top of the mount's own
 * namespace. (So a file of a container has the path that it has in the
 * container.) What lies on a file system of the kernel's own (pipes, sockets,
 * memfd …) is named by that.
 */
#include "index/memory/machine_path.h"

#include <stdio.h>
#include <string.h>

#define STEPS_MAX 4096 /* names and mounts of one path */
#define NAME_MAX_BYTES 1024u

/* ---- small reads ---- */

uint64_t herd_name_get(struct herd_reader *r, uint64_t base,
		       const struct herd_field *f)
{
	uint64_t v;

	if (!base || !herd_field_there(f) ||
	    herd_kernel_get(r->k, base, f, &v) != 0)
		return 0;
	return v;
}

/* Where the first process has its root; all zeros when it is not to be had. */
static void find_root(struct herd_reader *r)
{
	struct herd_reader_files *f = r->files;
	uint64_t ns = 0, task, fs;

	f->rooted = true;
	if (herd_kernel_symbol(r->k, "init_pid_ns", &ns))
		return;
	task = herd_name_get(r, ns, &f->t.child_reaper);
	fs = herd_name_get(r, task, &f->t.fs);
	f->root_mnt = herd_name_get(r, fs, &f->t.fs_root_mnt);
	f->root_dentry = herd_name_get(r, fs, &f->t.fs_root_dentry);
}

struct dentry {
	uint64_t parent, name, inode, pprev, op;
	uint32_t len;
	uint8_t bytes[HERD_PATH_STRUCT_MAX];
};

static int read_dentry(struct herd_reader *r, uint64_t va, struct dentry *ret)
{
	const struct herd_reader_files *f = r->files;
	int err =
		herd_kernel_is_pointer(r->k, va) ?
			herd_kernel_read(r->k, va, ret->bytes, f->dentry_size) :
			-EFAULT;

	if (err)
		return err;
	ret->parent =
		herd_walk_value(ret->bytes, f->dentry_size, &f->t.d_parent);
	ret->name = herd_walk_value(ret->bytes, f->dentry_size, &f->t.d_name);
	ret->inode = herd_walk_value(ret->bytes, f->dentry_size, &f->t.d_inode);
	ret->pprev = herd_walk_value(ret->bytes, f->dentry_size, &f->t.d_pprev);
	ret->op = herd_walk_value(ret->bytes, f->dentry_size, &f->t.d_op);
	ret->len = (uint32_t)herd_walk_value(ret->bytes, f->dentry_size,
					     &f->t.d_len);
	return 0;
}

/* ---- text from its end ---- */

static int prepend(struct herd_name_text *p, const char *text, size_t n)
{
	if (n > p->at)
		return -EOVERFLOW;
	p->at -= n;
	memcpy(p->buf + p->at, text, n);
	return 0;
}

/* d's name, with something before it. */
static int prepend_name(struct herd_reader *r, struct herd_name_text *p,
			uint64_t va, const struct dentry *d, const char *before)
{
	char name[NAME_MAX_BYTES];
	size_t n = d->len;

	if (n >= sizeof(name))
		return -EBADMSG;
	if (d->name >= va && d->name - va <= r->files->dentry_size &&
	    n <= r->files->dentry_size - (d->name - va))
		memcpy(name, d->bytes + (d->name - va), n);
	else if (herd_kernel_read(r->k, d->name, name, n) != 0)
		return -EFAULT;
	n = strnlen(name, n);
	int err = prepend(p, name, n);

	return err ? err : prepend(p, before, strlen(before));
}

/* ---- names that a file system makes ---- */

static enum herd_dname dname_of(struct herd_reader *r, uint64_t op)
{
	static const struct {
		const char *symbol;
		enum herd_dname dname;
	} known[] = {
		{ "simple_dname", DNAME_SIMPLE },
		{ "pipefs_dname", DNAME_PIPE },
		{ "sockfs_dname", DNAME_SOCKET },
		{ "anon_inodefs_dname", DNAME_ANON },
		{ "ns_dname", DNAME_NS },
		{ "pidfs_dname", DNAME_PIDFD },
	};
	struct herd_reader_files *f = r->files;
	uint64_t fn, offset = 1;
	const char *name;
	uint32_t v;

	if (!op)
		return DNAME_NONE;
	if (herd_seen_has(&f->ops, op, &v))
		return (enum herd_dname)v;
	fn = herd_name_get(r, op, &f->t.d_dname);
	v = fn ? DNAME_OTHER : DNAME_NONE;
	name = fn ? herd_kernel_name_of(r->k, fn, &offset) : NULL;
	for (size_t i = 0; name && !offset && i < ARRAY_SIZE(known); i++)
		if (!strcmp(name, known[i].symbol))
			v = known[i].dname;
	herd_seen_add(&f->ops, op, v, NULL);
	return (enum herd_dname)v;
}

static int numbered(struct herd_name_text *p, const char *what, uint64_t ino)
{
	char text[96];
	int n = snprintf(text, sizeof(text), "%.60s:[%llu]", what,
			 (unsigned long long)ino);

	return prepend(p, text, (size_t)n);
}

static int name_namespace(struct herd_reader *r, struct herd_name_text *p,
			  uint64_t inode)
{
	const struct herd_name_types *t = &r->files->t;
	uint64_t ops = herd_name_get(r, herd_name_get(r, inode, &t->i_private),
				     &t->ns_ops);
	char name[32];

	if (herd_kernel_string(r->k, herd_name_get(r, ops, &t->ns_name), name,
			       sizeof(name)) != 0)
		return -EFAULT;
	return numbered(p, name, herd_name_get(r, inode, &t->i_ino));
}

static int made_name(struct herd_reader *r, struct herd_name_text *p,
		     uint64_t va, const struct dentry *d)
{
	uint64_t ino = herd_name_get(r, d->inode, &r->files->t.i_ino);

	switch (p->dname) {
	case DNAME_PIPE:
		return numbered(p, "pipe", ino);
	case DNAME_SOCKET:
		return numbered(p, "socket", ino);
	case DNAME_NS:
		return name_namespace(r, p, d->inode);
	case DNAME_PIDFD:
		return prepend(p, "anon_inode:[pidfd]", 18);
	case DNAME_ANON:
		return prepend_name(r, p, va, d, "anon_inode:");
	case DNAME_SIMPLE:
		p->deleted = true;
		return prepend_name(r, p, va, d, "/");
	default:
		return prepend_name(r, p, va, d, "/");
	}
}

/* ---- paths ---- */

/* From dentry (d) in mnt up; both change as mounts are left. */
static int climb(struct herd_reader *r, struct herd_name_text *p, uint64_t mnt,
		 uint64_t dentry, struct dentry *d)
{
	const struct herd_reader_files *f = r->files;
	int err = 0;

	for (int step = 0; step < STEPS_MAX && !err && r->files->steps_left;
	     step++, r->files->steps_left--) {
		uint64_t mount = mnt - f->t.mnt.offset, parent;

		if (dentry == f->root_dentry && mnt == f->root_mnt)
			return 0;
		if (dentry == herd_name_get(r, mount, &f->t.mnt_root)) {
			parent = herd_name_get(r, mount, &f->t.mnt_parent);
			if (!parent)
				return -EFAULT;
			if (parent == mount)
				return 0; /* the top of a namespace */
			dentry = herd_name_get(r, mount, &f->t.mnt_mountpoint);
			mnt = parent + f->t.mnt.offset;
			err = read_dentry(r, dentry, d);
			continue;
		}
		if (d->parent == dentry)
			return 0; /* moved out of what is mounted */
		err = prepend_name(r, p, dentry, d, "/");
		dentry = d->parent;
		if (!err)
			err = read_dentry(r, dentry, d);
	}
	return err ? err : -ELOOP;
}

/* As d_path, but that " (deleted)" is ret->deleted. The text is ret->buf +
   ret->at. */
int herd_name_text(struct herd_reader *r, uint64_t mnt, uint64_t dentry,
		   struct herd_name_text *ret)
{
	struct herd_reader_files *f = r->files;
	struct dentry d;
	int err;

	ret->at = sizeof(ret->buf) - 1;
	ret->buf[ret->at] = '\0';
	ret->deleted = false;
	ret->dname = DNAME_NONE;
	if (!f->known)
		return -EOPNOTSUPP;
	if (!f->rooted)
		find_root(r);
	err = herd_kernel_is_pointer(r->k, mnt) ? read_dentry(r, dentry, &d) :
						  -EFAULT;
	if (err)
		return err;
	ret->dname = dname_of(r, d.op);
	if (ret->dname != DNAME_NONE &&
	    (d.parent != dentry ||
	     dentry != herd_name_get(r, mnt - f->t.mnt.offset, &f->t.mnt_root)))
		return made_name(r, ret, dentry, &d);
	ret->dname = DNAME_NONE;
	ret->deleted = herd_field_there(&f->t.d_pprev) && !d.pprev &&
		       d.parent != dentry;
	err = climb(r, ret, mnt, dentry, &d);
	if (!err && !ret->buf[ret->at])
		err = prepend(ret, "/", 1);
	return err;
}

int herd_name_copy(struct herd_reader *r, const char *path, bool deleted,
		   char **ret)
{
	size_t n = strlen(path);

	if (n > r->files->text_left)
		return -EOVERFLOW;
	char *s = malloc(n + sizeof(" (deleted)"));

	if (!s)
		return -ENOMEM;
	r->files->text_left -= n;
	memcpy(s, path, n);
	strcpy(s + n, deleted ? " (deleted)" : "");
	*ret = s;
	return 0;
}

int herd_reader_path(struct herd_reader *r, uint64_t mnt, uint64_t dentry,
		     char **ret)
{
	struct herd_name_text p;
	int err = herd_name_text(r, mnt, dentry, &p);

	if (err)
		return err;
	return herd_name_copy(r, p.buf + p.at, p.deleted, ret);
}
