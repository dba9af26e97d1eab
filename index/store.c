/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The environment: where it is, opening it, and the writer's lock.
 *
 * One process writes at a time: it holds a lock on writer.lock, which names
 * it. Readers need no lock of ours; LMDB gives each a snapshot.
 *
 * After herd_store_open nothing opens another file: a process may lock itself
 * in between.
 *
 * Threads: see index/store.h; store_internal.h says what `lock` protects.
 */
#include "index/store_internal.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <time.h>

#define MAX_READERS 1024
#define LOCK_FILE_BYTES (128u << 10)	/* more than LMDB's for MAX_READERS */
#define WRITER_MAP ((size_t)4 << 30)
#define READER_MAP ((size_t)64 << 30)
#define SMALLEST_MAP ((size_t)64 << 20)
#define LOCK_NAPS 100			/* of 20 ms: how long another writer may end */

const char *const herd_table_names[TABLE_MAX] = {
	"children", "entry", "group", "group_name", "herd", "identity",
	"instance", "instance_name", "kept", "links", "look", "memory", "meta",
	"name", "owner", "partial", "path", "problem", "tally",
};

static size_t first_map;

void herd_store_set_first_map(size_t bytes)
{
	first_map = bytes;
}

/* ---- errors ---- */

int herd_mdb_errno(int rc)
{
	switch (rc) {
	case 0:
		return 0;
	case MDB_NOTFOUND:
		return -ENOENT;
	case MDB_KEYEXIST:
		return -EEXIST;
	case MDB_MAP_FULL:
		return -EAGAIN;
	case MDB_CORRUPTED:
	case MDB_PAGE_NOTFOUND:
	case MDB_INVALID:
	case MDB_VERSION_MISMATCH:
	case MDB_INCOMPATIBLE:
		return -EBADMSG;
	case MDB_READERS_FULL:
	case MDB_MAP_RESIZED:
		return -EBUSY;
	case MDB_TXN_FULL:
		return -EOVERFLOW;
	case ENOSPC:
	case EDQUOT:
	case EFBIG:
		return -ENOSPC;
	default:
		return rc > 0 ? -rc : -EIO;
	}
}

bool herd_store_disk_full(const struct herd_store *s)
{
	struct statvfs v;

	return !statvfs(s->dir, &v) && v.f_bavail * v.f_frsize < (1u << 20);
}

int herd_mdb_error(const struct herd_store *s, int rc, const char *what,
		   struct herd_diag *diag)
{
	int err = herd_mdb_errno(rc);

	if (rc == EIO && s->write && herd_store_disk_full(s))
		err = -ENOSPC;
	switch (err) {
	case -ENOSPC:
		return herd_diag_set(diag, err, s->label, HERD_NO_OFFSET,
				     "the disk is full; nothing was changed");
	case -EBADMSG:
		return herd_diag_set(diag, err, s->label, HERD_NO_OFFSET,
				     "damaged (%s: %s)", what, mdb_strerror(rc));
	case -EAGAIN:	/* the map grows and the work is done again */
		return err;
	default:
		return herd_diag_set(diag, err, s->label, HERD_NO_OFFSET,
				     "%s: %s", what, mdb_strerror(rc));
	}
}

/* ---- where ---- */

int herd_store_default_dir(char *buf, size_t size)
{
	const char *store = getenv("HERDFS_STORE");
	const char *data = getenv("XDG_DATA_HOME");
	const char *home = getenv("HOME");
	int n;

	if (store && *store)
		n = snprintf(buf, size, "%s", store);
	else if (data && *data == '/')	/* the standard: else ignore it */
		n = snprintf(buf, size, "%s/herdfs", data);
	else if (home && *home)
		n = snprintf(buf, size, "%s/.local/share/herdfs", home);
	else
		return -ENOENT;
	return n < 0 || (size_t)n >= size ? -ENAMETOOLONG : 0;
}

static int make_dirs(const char *dir)
{
	char path[PATH_MAX];
	int n = snprintf(path, sizeof(path), "%s", dir);

	if (n < 0 || (size_t)n >= sizeof(path))
		return -ENAMETOOLONG;
	for (char *p = path + 1; *p; p++)
		if (*p == '/') {
			*p = '\0';
			if (mkdir(path, 0777) && errno != EEXIST)
				return -errno;
			*p = '/';
		}
	/* what is indexed may be read by whoever may read the images */
	return mkdir(path, 0700) && errno != EEXIST ? -errno : 0;
}

/* ---- the writer's lock ---- */

static long lock_holder(int fd)
{
	char text[32] = "";
	ssize_t n = pread(fd, text, sizeof(text) - 1, 0);

	return n > 0 ? strtol(text, NULL, 10) : 0;
}

/* A writer that was killed may need a moment to end: it is waited for. */
static int lock_soon(int fd)
{
	const struct timespec nap = { .tv_nsec = 20 * 1000 * 1000 };

	for (unsigned i = 0; flock(fd, LOCK_EX | LOCK_NB); i++) {
		if (errno != EWOULDBLOCK)
			return -errno;
		if (i == LOCK_NAPS)
			return -EBUSY;
		nanosleep(&nap, NULL);
	}
	return 0;
}

static int take_writer_lock(struct herd_store *s, struct herd_diag *diag)
{
	char path[PATH_MAX], text[32];

	snprintf(path, sizeof(path), "%s/writer.lock", s->dir);
	int fd CLEANUP_FD = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);

	if (fd < 0)
		return herd_diag_set(diag, herd_mdb_errno(errno), s->label,
				     HERD_NO_OFFSET, "writer.lock: %s",
				     strerror(errno));
	int err = lock_soon(fd);

	if (err)
		return herd_diag_set(diag, err, s->label, HERD_NO_OFFSET,
				     err == -EBUSY ?
				     "is being written by process %ld" :
				     "writer.lock cannot be locked (%ld)",
				     lock_holder(fd));

	int n = snprintf(text, sizeof(text), "%ld\n", (long)getpid());

	/* the number is for a message only: a full disk may lack it */
	if (ftruncate(fd, 0) == 0 && pwrite(fd, text, (size_t)n, 0) != n)
		(void)!ftruncate(fd, 0);
	s->lock_fd = TAKE_FD(fd);
	return 0;
}

/*
 * LMDB writes its lock file through a map; on a full disk that would be
 * SIGBUS, so its blocks are asked for first. Must come before LMDB opens it:
 * closing any descriptor of that file drops LMDB's own locks.
 */
static int reserve_lock_file(struct herd_store *s, struct herd_diag *diag)
{
	char path[PATH_MAX];

	snprintf(path, sizeof(path), "%s/lock.mdb", s->dir);
	int fd CLEANUP_FD = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);

	if (fd < 0)
		return herd_mdb_error(s, errno, "lock.mdb", diag);
	if (fallocate(fd, 0, 0, LOCK_FILE_BYTES) &&
	    (errno == ENOSPC || errno == EDQUOT || errno == EFBIG))
		return herd_mdb_error(s, errno, "lock.mdb", diag);
	return 0;
}

/* ---- opening ---- */

static size_t map_for(const struct herd_store *s)
{
	char path[PATH_MAX];
	struct stat st;
	size_t want = s->write ? WRITER_MAP : READER_MAP, file = 0;

	snprintf(path, sizeof(path), "%s/data.mdb", s->dir);
	if (!stat(path, &st) && st.st_size > 0)
		file = (size_t)st.st_size;
	if (s->write && first_map)
		return first_map > file ? first_map : file;
	while (want < 4 * file)
		want *= 2;
	return want;
}

static int try_env(struct herd_store *s, const char *path, unsigned flags,
		   size_t map)
{
	MDB_env *env = NULL;
	int rc = mdb_env_create(&env);

	if (rc)
		return rc;
	rc = mdb_env_set_maxdbs(env, TABLE_MAX);
	if (!rc)
		rc = mdb_env_set_maxreaders(env, MAX_READERS);
	if (!rc)
		rc = mdb_env_set_mapsize(env, map);
	if (!rc)
		rc = mdb_env_open(env, path, MDB_NOTLS | flags, 0600);
	if (rc) {
		mdb_env_close(env);
		return rc;
	}
	s->env = env;
	s->no_lock = flags & MDB_NOLOCK;
	return 0;
}

static int open_env(struct herd_store *s, const char *path, unsigned flags,
		    struct herd_diag *diag)
{
	size_t map = map_for(s);
	int rc;

	for (;;) {
		rc = try_env(s, path, flags, map);
		if (rc == ENOMEM && map > SMALLEST_MAP) {
			map /= 2;	/* a limit on address space */
			continue;
		}
		/* somebody else's store, or a medium that cannot be written:
		   nobody is expected to write it meanwhile */
		if ((rc == EACCES || rc == EPERM || rc == EROFS) &&
		    !s->write && !(flags & MDB_NOLOCK)) {
			flags |= MDB_NOLOCK;
			continue;
		}
		break;
	}
	return rc ? herd_mdb_error(s, rc, "opening it", diag) : 0;
}

/* The tables of this schema, made when `create`. */
static int open_tables(struct herd_store *s, MDB_txn *txn, bool create)
{
	for (int i = 0; i < TABLE_MAX; i++) {
		int rc = mdb_dbi_open(txn, herd_table_names[i],
				      create ? MDB_CREATE : 0, &s->dbi[i]);

		if (rc)
			return rc;
	}
	return 0;
}

static int write_schema(struct herd_store *s, MDB_txn *txn)
{
	uint8_t version[4];
	MDB_val key = herd_val("schema", 6), value = herd_val(version, 4);

	herd_key32(version, HERD_SCHEMA_VERSION);
	return mdb_put(txn, s->dbi[TABLE_META], &key, &value, 0);
}

/* -ENOENT: an LMDB file with nothing in it. */
static int read_schema(struct herd_store *s, MDB_txn *txn,
		       struct herd_diag *diag)
{
	MDB_val key = herd_val("schema", 6), value;
	MDB_dbi meta, main_dbi;
	MDB_stat stat;
	int rc = mdb_dbi_open(txn, "meta", 0, &meta);

	if (!rc)
		rc = mdb_get(txn, meta, &key, &value);
	if (rc == MDB_NOTFOUND && !mdb_dbi_open(txn, NULL, 0, &main_dbi) &&
	    !mdb_stat(txn, main_dbi, &stat) && stat.ms_entries == 0)
		return -ENOENT;
	if (rc == MDB_NOTFOUND || rc == MDB_INCOMPATIBLE ||
	    (!rc && value.mv_size != 4))
		return herd_diag_set(diag, -EBADMSG, s->label, HERD_NO_OFFSET,
				     "data.mdb is an LMDB file of something "
				     "else, not of herdfs");
	if (rc)
		return herd_mdb_error(s, rc, "schema", diag);
	struct herd_cursor c = herd_cursor(value.mv_data, value.mv_size);
	uint32_t version = herd_cur_be32(&c);

	if (version != HERD_SCHEMA_VERSION)
		return herd_diag_set(diag, -EPROTO, s->label, HERD_NO_OFFSET,
				     "has schema %u, this herdfs reads %u",
				     version, HERD_SCHEMA_VERSION);
	return 0;
}

/* A first transaction, on pages that have been looked at. */
static int begin_checked(struct herd_store *s, bool write, MDB_txn **ret,
			 struct herd_diag *diag)
{
	mdb_filehandle_t fd = -1;
	int r = -EAGAIN;

	mdb_env_get_fd(s->env, &fd);
	for (int tries = 0; r == -EAGAIN && tries < 100; tries++) {
		MDB_txn *txn = NULL;
		int rc = mdb_txn_begin(s->env, NULL, write ? 0 : MDB_RDONLY,
				       &txn);

		if (rc)
			return herd_mdb_error(s, rc, "opening it", diag);
		/* a write transaction has the number of what it will make */
		r = herd_store_check_pages(fd, mdb_txn_id(txn) - write,
					   s->label, diag);
		if (r)
			mdb_txn_abort(txn);
		else
			*ret = txn;
	}
	return r == -EAGAIN ?
	       herd_diag_set(diag, -EBUSY, s->label, HERD_NO_OFFSET,
			     "is being changed all the time") : r;
}

/* Opens what is there, or makes what is not. */
static int open_schema(struct herd_store *s, bool create,
		       struct herd_diag *diag)
{
	MDB_txn *txn = NULL;
	int rc, r = begin_checked(s, s->write, &txn, diag);

	if (r)
		return r;
	r = read_schema(s, txn, diag);
	bool fresh = r == -ENOENT && create;

	if (fresh || !r) {
		r = 0;
		rc = open_tables(s, txn, fresh);
		if (!rc && fresh)
			rc = write_schema(s, txn);
		if (rc == MDB_NOTFOUND)	/* a table is missing */
			rc = MDB_CORRUPTED;
		if (!rc) {
			rc = mdb_txn_commit(txn);
			txn = NULL;
		}
		if (rc)
			r = herd_mdb_error(s, rc, "its tables", diag);
	} else if (r == -ENOENT) {
		herd_diag_set(diag, r, s->label, HERD_NO_OFFSET, "is empty");
	}
	mdb_txn_abort(txn);
	return r;
}

/*
 * A data file without a writer.lock beside it may be somebody else's: it is
 * looked at in the one way in which LMDB makes no file.
 */
static int check_foreign(struct herd_store *s, struct herd_diag *diag)
{
	char path[PATH_MAX];
	MDB_txn *txn = NULL;
	int r;

	snprintf(path, sizeof(path), "%s/writer.lock", s->dir);
	if (!access(path, F_OK))
		return 0;
	int rc = try_env(s, s->dir, MDB_RDONLY | MDB_NOLOCK, map_for(s));

	if (rc)	/* no data yet, or an error that opening will show again */
		return 0;
	r = begin_checked(s, false, &txn, diag);
	if (!r)
		r = read_schema(s, txn, diag);
	mdb_txn_abort(txn);
	mdb_env_close(TAKE_PTR(s->env));
	return r == -ENOENT ? 0 : r;
}

/*
 * data.mdb is there with its tables or not at all, whenever this is ended:
 * what looks at the store meanwhile never finds half of one.
 */
static int make_data(struct herd_store *s, const char *path,
		     struct herd_diag *diag)
{
	char fresh[PATH_MAX];

	snprintf(fresh, sizeof(fresh), "%s/data.mdb.new", s->dir);
	if (unlink(fresh) && errno != ENOENT)
		return herd_mdb_error(s, errno, "data.mdb.new", diag);
	int r = open_env(s, fresh, MDB_NOSUBDIR | MDB_NOLOCK, diag);

	if (!r)
		r = open_schema(s, true, diag);
	if (s->env)
		mdb_env_close(TAKE_PTR(s->env));
	if (!r && rename(fresh, path))
		r = herd_mdb_error(s, errno, "data.mdb", diag);
	if (r)
		unlink(fresh);
	return r;
}

/* The writer's lock is held, if it is one. */
static int open_files(struct herd_store *s, bool create, struct herd_diag *diag)
{
	char path[PATH_MAX];
	struct stat st;
	int r = s->write ? reserve_lock_file(s, diag) : 0;

	snprintf(path, sizeof(path), "%s/data.mdb", s->dir);
	if (!r && create && (stat(path, &st) || st.st_size == 0))
		r = make_data(s, path, diag);
	if (!r)
		r = open_env(s, s->dir, s->write ? 0 : MDB_RDONLY, diag);
	return r ? r : open_schema(s, create, diag);
}

static int open_store(struct herd_store *s, bool create, struct herd_diag *diag)
{
	int dead = 0, r = 0;

	if (create) {
		r = make_dirs(s->dir);
		if (r)
			return herd_diag_set(diag, r == -EDQUOT ? -ENOSPC : r,
					     s->label, HERD_NO_OFFSET, "%s",
					     strerror(-r));
	}
	r = herd_store_check_file(s->dir, s->label, create, diag);
	if (!r)
		r = check_foreign(s, diag);
	if (!r && s->write)
		r = take_writer_lock(s, diag);
	if (!r)
		r = open_files(s, create, diag);
	if (!r && s->write)
		mdb_reader_check(s->env, &dead);
	return r;
}

int herd_store_open(const char *dir, unsigned flags, struct herd_store **ret,
		    struct herd_diag *diag)
{
	struct herd_store *s = calloc(1, sizeof(*s));

	if (!s)
		return -ENOMEM;
	s->lock_fd = -1;
	pthread_mutex_init(&s->lock, NULL);
	pthread_mutex_init(&s->writing, NULL);
	s->write = flags & (HERD_STORE_WRITE | HERD_STORE_CREATE);
	s->dir = strdup(dir);
	int n = asprintf(&s->label, "store %s", dir);

	if (n < 0)
		s->label = NULL;
	int r = !s->dir || !s->label ? -ENOMEM :
		strlen(dir) + 32 > PATH_MAX ? -ENAMETOOLONG :
		open_store(s, flags & HERD_STORE_CREATE, diag);

	if (r) {
		herd_store_close(s);
		return r;
	}
	*ret = s;
	return 0;
}

void herd_store_close(struct herd_store *s)
{
	int saved = errno;

	if (!s)
		return;
	if (s->env)
		mdb_env_close(s->env);
	if (s->lock_fd >= 0)
		close(s->lock_fd);
	pthread_mutex_destroy(&s->lock);
	pthread_mutex_destroy(&s->writing);
	free(s->label);
	free(s->dir);
	free(s);
	errno = saved;
}

const char *herd_store_dir(const struct herd_store *s)
{
	return s->dir;
}
