/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The files that processes map, run and have open. An mfile is one inode under
 * one path: hard links, and the same file in two containers, are two of them.
 */
#include "index/memory/machine_path.h"

#include <string.h>
#include <sys/stat.h>

/* FMODE_BACKING: bit 25, from 6.14 on 24; the other one means other things. */
#define FMODE_BACKING_MAYBE (3u << 24)
#define STEPS_ALL_MAX (8u << 20)
#define TEXT_ALL_MAX (512u << 20)
#define ALIASES_MAX 256 /* looked at for one that is the same */

#define AT(f) .where = offsetof(struct herd_name_types, f)
#define MUST(type, member, f)       \
	{                           \
		type, member, AT(f) \
	}
#define MAY(type, member, f)                          \
	{                                             \
		type, member, .optional = true, AT(f) \
	}
#define EITHER(t1, m1, t2, m2, f)           \
	{                                   \
		t1, m1, t2, m2, true, AT(f) \
	}

static const struct herd_wanted wanted[] = {
	MUST("dentry", "d_parent", d_parent),
	MUST("dentry", "d_name.name", d_name),
	MUST("dentry", "d_name.len", d_len),
	MUST("dentry", "d_inode", d_inode),
	MAY("dentry", "d_hash.pprev", d_pprev),
	MAY("dentry", "d_op", d_op),
	MAY("dentry", "d_sb", d_sb),
	MAY("vfsmount", "mnt_sb", mnt_sb),
	MAY("dentry_operations", "d_dname", d_dname),
	MUST("mount", "mnt", mnt),
	MUST("mount", "mnt_parent", mnt_parent),
	MUST("mount", "mnt_mountpoint", mnt_mountpoint),
	MUST("mount", "mnt.mnt_root", mnt_root),
	MUST("file", "f_path.mnt", f_mnt),
	MUST("file", "f_path.dentry", f_dentry),
	MUST("file", "f_inode", f_inode),
	MAY("file", "f_mode", f_mode),
	MAY("backing_file", "file", backing),
	MAY("backing_file", "user_path.mnt", user_mnt),
	MAY("backing_file", "user_path.dentry", user_dentry),
	MUST("inode", "i_ino", i_ino),
	MUST("inode", "i_mode", i_mode),
	MUST("inode", "i_sb", i_sb),
	MUST("inode", "i_size", i_size),
	MAY("inode", "i_uid", i_uid),
	MAY("inode", "i_gid", i_gid),
	MAY("inode", "i_nlink", i_nlink),
	MAY("inode", "i_private", i_private),
	EITHER("inode", "i_mtime.tv_sec", "inode", "__i_mtime.tv_sec", mtime),
	EITHER("inode", "i_mtime.tv_nsec", "inode", "__i_mtime.tv_nsec",
	       mtime_nsec),
	EITHER("inode", "i_ctime.tv_sec", "inode", "__i_ctime.tv_sec", ctime),
	EITHER("inode", "i_ctime.tv_nsec", "inode", "__i_ctime.tv_nsec",
	       ctime_nsec),
	MUST("super_block", "s_dev", s_dev),
	MAY("super_block", "s_type", s_type),
	MAY("file_system_type", "name", fs_name),
	MAY("ns_common", "ops", ns_ops),
	MAY("proc_ns_operations", "name", ns_name),
	MAY("task_struct", "fs", fs),
	MAY("fs_struct", "root.mnt", fs_root_mnt),
	MAY("fs_struct", "root.dentry", fs_root_dentry),
	MAY("pid_namespace", "child_reaper", child_reaper),
};

static uint32_t size_of(struct herd_kernel *k, const char *type)
{
	uint32_t size;

	if (herd_kernel_sizeof(k, type, &size))
		return 0;
	return size < HERD_PATH_STRUCT_MAX ? size : HERD_PATH_STRUCT_MAX;
}

int herd_reader_files_create(struct herd_reader *r)
{
	struct herd_reader_files *f = calloc(1, sizeof(*f));
	struct herd_diag diag;

	if (!f)
		return -ENOMEM;
	herd_diag_clear(&diag);
	r->files = f;
	f->steps_left = STEPS_ALL_MAX;
	f->text_left = TEXT_ALL_MAX;
	f->dentry_size = size_of(r->k, "dentry");
	f->inode_size = size_of(r->k, "inode");
	f->file_size = size_of(r->k, "file");
	int err = herd_kernel_fields(r->k, wanted, ARRAY_SIZE(wanted), &f->t,
				     &diag);

	f->known = !err && f->dentry_size && f->inode_size && f->file_size;
	if (!f->known) {
		if (r->parts & ~(unsigned)HERD_READ_TASKS)
			herd_reader_problem(r, "names of files", "%s",
					    diag.message[0] ? diag.message :
							      "are not known");
		return 0;
	}
	/* From 6.11 on the times are four plain members. */
	if (!herd_field_there(&f->t.mtime)) {
		herd_kernel_field(r->k, "inode", "i_mtime_sec", &f->t.mtime);
		herd_kernel_field(r->k, "inode", "i_mtime_nsec",
				  &f->t.mtime_nsec);
	}
	if (!herd_field_there(&f->t.ctime)) {
		herd_kernel_field(r->k, "inode", "i_ctime_sec", &f->t.ctime);
		herd_kernel_field(r->k, "inode", "i_ctime_nsec",
				  &f->t.ctime_nsec);
	}
	return 0;
}

void herd_reader_files_destroy(struct herd_reader *r)
{
	struct herd_reader_files *f = r->files;

	if (!f)
		return;
	r->files = NULL;
	herd_seen_deinit(&f->keys);
	herd_seen_deinit(&f->inodes);
	herd_seen_deinit(&f->supers);
	herd_seen_deinit(&f->ops);
	free(f->key_v);
	free(f->alias);
	free(f->super_v);
	free(f);
}

/* ---- inodes ---- */

static int find_super(struct herd_reader *r, uint64_t sb, struct super *ret)
{
	struct herd_reader_files *f = r->files;
	struct super s = { 0 };
	uint32_t i;
	int err;

	if (herd_seen_has(&f->supers, sb, &i)) {
		*ret = f->super_v[i];
		return 0;
	}
	s.dev = (uint32_t)herd_name_get(r, sb, &f->t.s_dev);
	uint64_t name = herd_name_get(r, herd_name_get(r, sb, &f->t.s_type),
				      &f->t.fs_name);

	if (!name || herd_kernel_string(r->k, name, s.name, sizeof(s.name)))
		s.name[0] = '\0';
	*ret = s;
	if (!sb)
		return 0;
	err = HERD_READER_GROW(f->super_v, f->n_supers, &f->cap_supers,
			       1u << 20);
	if (!err)
		err = herd_seen_add(&f->supers, sb, (uint32_t)f->n_supers,
				    NULL);
	if (!err)
		f->super_v[f->n_supers++] = s;
	return err;
}

static bool one_of(const char *name, const char *const *names)
{
	while (*names && strcmp(*names, name) != 0)
		names++;
	return *names;
}

static enum herd_mfile_kind kind_of(const struct herd_mfile *m,
				    const struct herd_name_text *p)
{
	static const char *const pseudo[] = {
		"proc",	   "sysfs",    "cgroup",      "cgroup2", "nsfs",
		"debugfs", "tracefs",  "securityfs",  "bpf",	 "configfs",
		"pstore",  "efivarfs", "binfmt_misc", "fusectl", "selinuxfs",
		"mqueue",  "autofs",   "rpc_pipefs",  "devpts",	 "resctrl",
		NULL,
	};
	const char *path = p->buf + p->at;

	if (p->dname == DNAME_PIPE)
		return HERD_MFILE_PIPE;
	if (p->dname == DNAME_SOCKET)
		return HERD_MFILE_SOCKET;
	if (p->dname == DNAME_ANON || p->dname == DNAME_PIDFD)
		return HERD_MFILE_ANON;
	if (p->dname == DNAME_SIMPLE)
		return !strncmp(path, "/memfd:", 7) ? HERD_MFILE_MEMFD :
						      HERD_MFILE_SHM;
	if (S_ISCHR(m->mode) || S_ISBLK(m->mode))
		return HERD_MFILE_DEVICE;
	if (p->dname != DNAME_NONE || one_of(m->fs, pseudo))
		return HERD_MFILE_PSEUDO;
	if (!strcmp(m->fs, "tmpfs") && !strncmp(path, "/dev/shm/", 9))
		return HERD_MFILE_SHM;
	return HERD_MFILE_PLAIN;
}

/* inode: whose pages they are; shown: whose numbers /proc shows. */
static int read_inode(struct herd_reader *r, uint64_t inode, uint64_t shown,
		      struct herd_mfile *m, struct super *ret_super)
{
	const struct herd_reader_files *f = r->files;
	uint8_t b[HERD_PATH_STRUCT_MAX];
	int err = herd_kernel_is_pointer(r->k, inode) ?
			  herd_kernel_read(r->k, inode, b, f->inode_size) :
			  -EFAULT;

	if (err)
		return err;
#define PICK(field) herd_walk_value(b, f->inode_size, &f->t.field)
	*m = (struct herd_mfile){
		.inode = inode,
		.ino = PICK(i_ino),
		.size = PICK(i_size),
		.mode = (uint32_t)PICK(i_mode),
		.uid = (uint32_t)PICK(i_uid),
		.gid = (uint32_t)PICK(i_gid),
		.nlink = (uint32_t)PICK(i_nlink),
		.mtime = { (int64_t)PICK(mtime),
			   (uint32_t)PICK(mtime_nsec) & 0x3fffffff },
		.ctime = { (int64_t)PICK(ctime),
			   (uint32_t)PICK(ctime_nsec) & 0x3fffffff },
	};
	uint64_t sb = PICK(i_sb);
#undef PICK
	if (shown != inode) {
		m->ino = herd_name_get(r, shown, &f->t.i_ino);
		sb = herd_name_get(r, shown, &f->t.i_sb);
	}
	err = find_super(r, sb, ret_super);
	m->dev_major = ret_super->dev >> 20;
	m->dev_minor = ret_super->dev & 0xfffff;
	return err;
}

/* ---- one of each ---- */

/* The mfile of that inode, numbers and path, or none. */
static uint32_t same_file(const struct herd_reader *r, uint64_t inode,
			  uint64_t shown, const struct herd_name_text *p)
{
	const struct herd_reader_files *f = r->files;
	const struct herd_mfile *v = r->m->files;
	uint32_t i;

	if (!herd_seen_has(&f->inodes, inode, &i))
		return HERD_NO_INDEX;
	for (int n = 0; n < ALIASES_MAX && i != HERD_NO_INDEX; n++) {
		if (f->alias[i].shown == shown && v[i].deleted == p->deleted &&
		    !strcmp(v[i].path, p->buf + p->at))
			return i;
		i = f->alias[i].next;
	}
	return HERD_NO_INDEX;
}

static int link_inode(struct herd_reader *r, uint64_t inode, uint64_t shown,
		      uint32_t index)
{
	struct herd_reader_files *f = r->files;
	uint32_t first;
	int err = HERD_READER_GROW(f->alias, index, &f->cap_alias,
				   HERD_MAPPED_FILES_MAX);

	if (err)
		return err;
	f->alias[index] = (struct alias){ HERD_NO_INDEX, shown };
	err = herd_seen_add(&f->inodes, inode, index, &first);
	if (err == 1) { /* behind the first */
		f->alias[index].next = f->alias[first].next;
		f->alias[first].next = index;
	}
	return err < 0 ? err : 0;
}

static int new_file(struct herd_reader *r, const struct file_key *key,
		    uint64_t shown, const struct herd_name_text *p,
		    uint32_t *ret)
{
	struct herd_machine *m = r->m;
	struct herd_mfile file;
	struct super super;
	int err = read_inode(r, key->inode, shown, &file, &super);

	if (!err)
		err = HERD_READER_GROW(m->files, m->n_files, &r->cap_files,
				       HERD_MAPPED_FILES_MAX);
	if (err)
		return err;
	file.deleted = p->deleted;
	err = herd_name_copy(r, p->buf + p->at, false, &file.path);
	if (err)
		return err;
	file.fs = strdup(super.name);
	if (!file.fs ||
	    link_inode(r, key->inode, shown, (uint32_t)m->n_files) != 0) {
		free(file.path);
		free(file.fs);
		return -ENOMEM;
	}
	file.kind = kind_of(&file, p);
	*ret = (uint32_t)m->n_files;
	m->files[m->n_files++] = file;
	return 0;
}

static uint64_t mix(const struct file_key *k)
{
	uint64_t h = k->inode * 0x9e3779b97f4a7c15ULL;

	h = (h ^ h >> 29 ^ k->dentry) * 0xbf58476d1ce4e5b9ULL;
	h = (h ^ h >> 32 ^ k->mnt) * 0x94d049bb133111ebULL;
	return (h ^ h >> 31) | 1;
}

static bool find_key(const struct herd_reader_files *f, struct file_key *key)
{
	uint64_t h = mix(key);
	uint32_t i;

	for (int probe = 0; herd_seen_has(&f->keys, h, &i); probe++) {
		const struct file_key *k = &f->key_v[i];

		if (k->inode == key->inode && k->mnt == key->mnt &&
		    k->dentry == key->dentry) {
			key->file = k->file;
			return true;
		}
		if (probe == 8)
			break;
		h += 2;
	}
	return false;
}

static int keep_key(struct herd_reader_files *f, const struct file_key *key)
{
	uint64_t h = mix(key);
	int err = HERD_READER_GROW(f->key_v, f->n_keys, &f->cap_keys, 1u << 21);

	for (int probe = 0; !err && probe < 8; probe++, h += 2) {
		if (herd_seen_has(&f->keys, h, NULL))
			continue;
		err = herd_seen_add(&f->keys, h, (uint32_t)f->n_keys, NULL);
		if (!err)
			f->key_v[f->n_keys++] = *key;
		break;
	}
	return err == -EOVERFLOW ? 0 : err;
}

/* The file under a name; shown: the inode whose numbers are shown. */
static int intern(struct herd_reader *r, struct file_key *key, uint64_t shown)
{
	struct herd_name_text p;
	int err;

	if (find_key(r->files, key))
		return 0;
	err = herd_name_text(r, key->mnt, key->dentry, &p);
	if (err) {
		herd_reader_problem(r, "names of files",
				    "the path of an inode could not be read");
		p.at = sizeof(p.buf) - 1;
	}
	key->file = same_file(r, key->inode, shown, &p);
	err = key->file != HERD_NO_INDEX ?
		      0 :
		      new_file(r, key, shown, &p, &key->file);
	return err ? err : keep_key(r->files, key);
}

/*
 * A file below an overlay, opened for it: from 6.8 on the overlay's path and
 * numbers are what is shown. They lie behind the struct file; what lies behind
 * another one is no mount and dentry of one file system.
 */
static bool user_path(struct herd_reader *r, uint64_t file,
		      struct file_key *key)
{
	const struct herd_name_types *t = &r->files->t;
	uint64_t backing = file - t->backing.offset, mnt, dentry, sb;

	if (!herd_field_there(&t->user_dentry) ||
	    !herd_field_there(&t->user_mnt) || !herd_field_there(&t->backing) ||
	    !herd_field_there(&t->d_sb) || !herd_field_there(&t->mnt_sb))
		return false;
	mnt = herd_name_get(r, backing, &t->user_mnt);
	dentry = herd_name_get(r, backing, &t->user_dentry);
	if (!herd_kernel_is_pointer(r->k, mnt) ||
	    !herd_kernel_is_pointer(r->k, dentry))
		return false;
	sb = herd_name_get(r, dentry, &t->d_sb);
	if (!sb || sb != herd_name_get(r, mnt, &t->mnt_sb))
		return false;
	key->mnt = mnt;
	key->dentry = dentry;
	return true;
}

int herd_reader_file(struct herd_reader *r, uint64_t file, uint32_t *ret,
		     char **ret_target)
{
	const struct herd_reader_files *f = r->files;
	struct file_key key = { .file = HERD_NO_INDEX };
	uint8_t b[HERD_PATH_STRUCT_MAX];
	uint64_t shown;
	int err;

	if (!f->known)
		return -EOPNOTSUPP;
	if (!herd_kernel_is_pointer(r->k, file))
		return -EFAULT;
	err = herd_kernel_read(r->k, file, b, f->file_size);
	if (err)
		return err;
	key.mnt = herd_walk_value(b, f->file_size, &f->t.f_mnt);
	key.dentry = herd_walk_value(b, f->file_size, &f->t.f_dentry);
	key.inode = shown = herd_walk_value(b, f->file_size, &f->t.f_inode);
	if ((herd_walk_value(b, f->file_size, &f->t.f_mode) &
	     FMODE_BACKING_MAYBE) &&
	    user_path(r, file, &key))
		shown = herd_name_get(r, key.dentry, &f->t.d_inode);
	err = intern(r, &key, shown);
	if (err)
		return err;
	if (ret_target) {
		const struct herd_mfile *m = &r->m->files[key.file];

		err = herd_name_copy(r, m->path, m->deleted, ret_target);
		if (err)
			return err;
	}
	*ret = key.file;
	return 0;
}
