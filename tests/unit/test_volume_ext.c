/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The ext reader against the kernel: file systems of many makes are filled
 * through the kernel with whatever is odd, and then everything that our
 * reader says of them (names, attributes, times, devices, targets, extended
 * attributes, content) is compared with what a read-only mount says.
 */
#include "tests/unit/ext_fill.h"

#include <linux/fscrypt.h>
#include <sys/ioctl.h>
#include <sys/xattr.h>

#define LARGE_DIR 5000

struct make {
	const char *name, *fs;	/* fs: what blkid says */
	const char *options;	/* of mke2fs */
	unsigned names;		/* in the large directory */
	bool large_xattrs, is_inline;
	bool stale;		/* free blocks hold something */
	const char *after;	/* done to the image when it is full */
};

static const struct make makes[] = {
	{ "ext2", "ext2", "-t ext2 -b 4096", LARGE_DIR, false, false, false, NULL },
	{ "ext2-1k-128", "ext2", "-t ext2 -b 1024 -I 128", LARGE_DIR, false, false, false, NULL },
	{ "ext3-1k", "ext3", "-t ext3 -b 1024", LARGE_DIR, false, false, false, NULL },
	{ "ext4", "ext4", "-t ext4 -b 4096 -N 80000 -L root-disk", 60000, false, false, false, NULL },
	{ "ext4-inline-256", "ext4", "-t ext4 -O inline_data,ea_inode,metadata_csum -I 256",
	  LARGE_DIR, true, true, false, NULL },
	{ "ext4-inline-1024", "ext4", "-t ext4 -b 4096 -O inline_data,ea_inode,metadata_csum -I 1024",
	  LARGE_DIR, true, true, false, NULL },
	{ "ext4-bigalloc", "ext4", "-t ext4 -b 4096 -O bigalloc -C 65536 -N 20000",
	  LARGE_DIR, false, false, false, NULL },
	{ "ext4-1k", "ext4", "-t ext4 -b 1024 -O ea_inode,^metadata_csum", LARGE_DIR, true, false, true, NULL },
	{ "ext4-lists", "ext4", "-t ext4 -b 4096 -O ^extent,^64bit", LARGE_DIR, false, false, false, NULL },
	{ "ext4-32bit", "ext4", "-t ext4 -b 2048 -O ^64bit,^metadata_csum,uninit_bg,^flex_bg",
	  LARGE_DIR, false, false, false, NULL },
	{ "ext4-more", "ext4", "-t ext4 -b 4096 -O meta_bg,^resize_inode,metadata_csum_seed,"
	  "sparse_super2,orphan_file,large_dir,mmp,ea_inode",
	  LARGE_DIR, true, false, false, NULL },
	{ "ext4-quota", "ext4", "-t ext4 -b 4096", LARGE_DIR, false, false, true,
	  "tune2fs -O quota,project image" },	/* not every kernel writes those */
	{ "ext4-casefold", "ext4", "-t ext4 -b 4096 -O casefold -E encoding=utf8", LARGE_DIR, false, false, false, NULL },
	{ "ext4-128", "ext4", "-t ext4 -b 1024 -I 128 -O ^metadata_csum", LARGE_DIR, false, false, false, NULL },
};

static bool can_mount;

/* ---- comparing ---- */

static struct herd_volume *volume;
static unsigned n_compared, n_bytes_compared, n_xattrs_compared, n_inline;
static unsigned n_different;

__attribute__((format(printf, 2, 3)))
static void differ(const char *path, const char *fmt, ...)
{
	va_list ap;

	n_different++;
	if (n_different > 50)
		return;
	print_message("%s: ", path);
	va_start(ap, fmt);
	vprint_message(fmt, ap);
	va_end(ap);
	print_message("\n");
}

static void compare_time(const char *path, const char *what,
			 struct herd_time ours, struct statx_timestamp t)
{
	if (ours.sec != t.tv_sec || ours.nsec != t.tv_nsec)
		differ(path, "%s %lld.%09u, kernel %lld.%09u", what,
		       (long long)ours.sec, ours.nsec, (long long)t.tv_sec,
		       t.tv_nsec);
}

static void compare_stat(const char *path, const struct herd_inode *i)
{
	struct statx x;

	assert_int_equal(statx(AT_FDCWD, path, AT_SYMLINK_NOFOLLOW,
			       STATX_BASIC_STATS | STATX_BTIME, &x), 0);
	if (i->mode != x.stx_mode || i->uid != x.stx_uid ||
	    i->gid != x.stx_gid || i->nlink != x.stx_nlink ||
	    i->size != x.stx_size || i->ino != x.stx_ino)
		differ(path, "mode %o uid %u gid %u nlink %u size %llu ino %llu, kernel %o %u %u %u %llu %llu",
		       i->mode, i->uid, i->gid, i->nlink,
		       (unsigned long long)i->size, (unsigned long long)i->ino,
		       x.stx_mode, x.stx_uid, x.stx_gid, x.stx_nlink,
		       (unsigned long long)x.stx_size,
		       (unsigned long long)x.stx_ino);
	if (i->rdev_major != x.stx_rdev_major ||
	    i->rdev_minor != x.stx_rdev_minor)
		differ(path, "device %u:%u, kernel %u:%u", i->rdev_major,
		       i->rdev_minor, x.stx_rdev_major, x.stx_rdev_minor);
	compare_time(path, "atime", i->atime, x.stx_atime);
	compare_time(path, "mtime", i->mtime, x.stx_mtime);
	compare_time(path, "ctime", i->ctime, x.stx_ctime);
	if (x.stx_mask & STATX_BTIME)
		compare_time(path, "btime", i->btime, x.stx_btime);
	else if (i->btime.sec || i->btime.nsec)
		differ(path, "a time of birth that the kernel lacks");
	if (i->problem)
		differ(path, "problem: %s", i->problem);
}

static int by_string(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static void compare_xattrs(const char *path, const struct herd_inode *i)
{
	static char list[65536], value[65536];
	char *sorted[512];
	ssize_t len = llistxattr(path, list, sizeof(list));
	size_t n = 0;

	assert_true(len >= 0);
	for (char *p = list; p < list + len; p += strlen(p) + 1)
		sorted[n++] = p;
	if (n)
		qsort(sorted, n, sizeof(*sorted), by_string);
	if (n != i->n_xattrs)
		differ(path, "%zu attributes, kernel %zu", i->n_xattrs, n);
	for (size_t k = 0; k < n && k < i->n_xattrs; k++) {
		const struct herd_xattr *x = &i->xattrs[k];
		ssize_t got = lgetxattr(path, sorted[k], value, sizeof(value));

		n_xattrs_compared++;
		if (strcmp(x->name, sorted[k]) || got < 0 ||
		    x->len != (size_t)got ||
		    (got && memcmp(x->value, value, x->len)))
			differ(path, "attribute %s of %zu, kernel %s of %zd",
			       x->name, x->len, sorted[k], got);
	}
}

/* Both sides in [from, to). */
static void compare_range(const char *path, int fd, const struct herd_inode *i,
			  uint64_t from, uint64_t to)
{
	static uint8_t ours[1 << 18], theirs[1 << 18];

	while (from < to) {
		size_t n = to - from < sizeof(ours) ? to - from : sizeof(ours);
		struct herd_diag diag;

		herd_diag_clear(&diag);
		if (herd_content_read(volume->source, volume, i, ours, n, from,
				      &diag)) {
			differ(path, "not read: %s", diag.message);
			return;
		}
		assert_int_equal(pread(fd, theirs, n, (off_t)from), n);
		if (memcmp(ours, theirs, n)) {
			differ(path, "content differs after byte %llu",
			       (unsigned long long)from);
			return;
		}
		n_bytes_compared += (unsigned)n;
		from += n;
	}
}

/* Where the kernel has data, where we have, and the ends of holes. */
static void compare_content(const char *path, const struct herd_inode *i)
{
	int fd CLEANUP_FD = open(path, O_RDONLY | O_CLOEXEC);
	uint64_t size = i->size, last = 0;

	assert_true(fd >= 0);
	n_inline += i->content == HERD_CONTENT_INLINE;
	for (off_t at = 0; (at = lseek(fd, at, SEEK_DATA)) >= 0;) {
		off_t end = lseek(fd, at, SEEK_HOLE);

		compare_range(path, fd, i, (uint64_t)at, (uint64_t)end);
		at = end;
	}
	for (size_t k = 0; k < i->n_runs; k++) {
		const struct herd_run *r = &i->runs[k];

		if (r->logical < last || r->logical + r->len > size || !r->len)
			differ(path, "run %zu out of order or too long", k);
		last = r->logical + r->len;
		compare_range(path, fd, i, r->logical, last);
	}
	if (size) {
		compare_range(path, fd, i, 0, size < 8192 ? size : 8192);
		compare_range(path, fd, i, size > 8192 ? size - 8192 : 0, size);
	}
}

static void compare_target(const char *path, const struct herd_inode *i)
{
	char target[8192];
	ssize_t n = readlink(path, target, sizeof(target));

	if (n < 0 || i->n_bytes != (size_t)n ||
	    memcmp(i->bytes, target, i->n_bytes))
		differ(path, "target of %zu bytes, kernel %zd", i->n_bytes, n);
}

static void read_names(const char *path, struct names *ret)
{
	DIR *d = opendir(path);
	struct dirent *e;

	assert_non_null(d);
	while ((e = readdir(d)))
		if (strcmp(e->d_name, ".") && strcmp(e->d_name, ".."))
			add_name(ret, e->d_name, strlen(e->d_name), e->d_ino,
				 e->d_type);
	closedir(d);
	if (ret->n)
		qsort(ret->v, ret->n, sizeof(*ret->v), by_bytes);
}

static void compare(const char *path, uint64_t ino);

static void compare_dir(const char *path, uint64_t ino)
{
	struct names ours = { .n = 0 }, theirs = { .n = 0 };
	struct herd_diag diag;

	herd_diag_clear(&diag);
	if (volume->ops->readdir(volume, ino, add_name, &ours, &diag))
		differ(path, "not read: %s", diag.message);
	if (ours.n)
		qsort(ours.v, ours.n, sizeof(*ours.v), by_bytes);
	read_names(path, &theirs);
	if (ours.n != theirs.n)
		differ(path, "%zu names, kernel %zu", ours.n, theirs.n);
	for (size_t i = 0; i < ours.n && i < theirs.n; i++) {
		const struct name *a = &ours.v[i], *b = &theirs.v[i];
		char *child = NULL;

		if (strcmp(a->bytes, b->bytes) || a->ino != b->ino ||
		    a->type != b->type || strlen(a->bytes) != a->len)
			differ(path, "name %s ino %llu type %u, kernel %s %llu %u",
			       a->bytes, (unsigned long long)a->ino, a->type,
			       b->bytes, (unsigned long long)b->ino, b->type);
		assert_true(asprintf(&child, "%s/%s", path, b->bytes) > 0);
		compare(child, a->ino);
		free(child);
	}
	names_deinit(&ours);
	names_deinit(&theirs);
}

static void compare(const char *path, uint64_t ino)
{
	struct herd_inode i CLEANUP(herd_inode_deinit) = { 0 };
	struct herd_diag diag;

	n_compared++;
	herd_diag_clear(&diag);
	if (volume->ops->inode(volume, ino, &i, &diag)) {
		differ(path, "not read: %s", diag.message);
		return;
	}
	compare_stat(path, &i);
	compare_xattrs(path, &i);
	if (S_ISREG(i.mode))
		compare_content(path, &i);
	else if (S_ISLNK(i.mode))
		compare_target(path, &i);
	else if (S_ISDIR(i.mode))
		compare_dir(path, ino);
}

/* ---- what indexing by change rests on ---- */

static int count_inode(void *arg, uint64_t ino)
{
	(void)ino;
	++*(size_t *)arg;
	return 0;
}

static int is_inode(void *arg, uint64_t ino)
{
	return ino == *(uint64_t *)arg;
}

/*
 * All bytes that reading ino asked for lie in its record's block, in runs or
 * in meta: nothing else can change what it says.
 */
static void check_traced(struct image *image, uint64_t ino)
{
	struct herd_inode i CLEANUP(herd_inode_deinit) = { 0 };
	struct herd_extents allowed = { .n = 0 };
	struct names names = { .n = 0 };
	uint64_t bs = volume->block_size;

	herd_extents_deinit(&image->asked);
	image->tracing = true;
	assert_int_equal(volume->ops->inode(volume, ino, &i, NULL), 0);
	if (S_ISDIR(i.mode))
		volume->ops->readdir(volume, ino, add_name, &names, NULL);
	image->tracing = false;
	names_deinit(&names);
	for (size_t k = 0; k < i.n_runs; k++)
		herd_extents_add(&allowed, i.runs[k].phys, i.runs[k].len);
	for (size_t k = 0; k < i.n_meta; k++)
		herd_extents_add(&allowed, i.meta[k].phys, i.meta[k].len);
	herd_extents_normalise(&allowed);
	for (size_t k = 0; k < image->asked.n; k++) {
		const struct herd_extent *e = &image->asked.v[k];

		for (uint64_t at = e->start; at < e->start + e->len; at += bs) {
			struct herd_extent block = { at - at % bs, bs };
			struct herd_extents one = { .v = &block, .n = 1 };

			if (herd_extents_overlap(&allowed, block.start, bs))
				continue;
			/* its own record's block, else */
			if (!volume->ops->inodes_in(volume, &one, is_inode, &ino,
						    NULL))
				fail_msg("inode %llu depends on byte %llu",
					 (unsigned long long)ino,
					 (unsigned long long)at);
		}
	}
	herd_extents_deinit(&allowed);
}

struct all_inodes {
	uint64_t *v;
	size_t n;
};

static int collect(void *arg, const char *name, size_t len, uint64_t ino,
		   unsigned char type)
{
	struct all_inodes *a = arg;

	(void)name;
	(void)len;
	if (a->n % 1024 == 0)
		a->v = realloc(a->v, (a->n + 1024) * sizeof(*a->v));
	a->v[a->n++] = ino;
	return type == DT_DIR ? volume->ops->readdir(volume, ino, collect, arg,
						     NULL) : 0;
}

static int by_number(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

static void check_all(const char *image_name)
{
	struct herd_source *source = image_open(image_name);
	struct all_inodes all = { .n = 0 };
	struct herd_extent whole = { 0, source->size };
	struct herd_extents one = { .v = &whole, .n = 1 };
	size_t n = 0;

	assert_int_equal(herd_volume_open_ext(source, &volume, NULL), 0);
	assert_int_equal(volume->ops->readdir(volume, volume->root_ino, collect,
					      &all, NULL), 0);
	qsort(all.v, all.n, sizeof(*all.v), by_number);

	double start = seconds();

	for (size_t i = 0; i < all.n; i++) {
		struct herd_inode inode;

		assert_int_equal(volume->ops->inode(volume, all.v[i], &inode,
						    NULL), 0);
		herd_inode_deinit(&inode);
	}
	print_message("%s: %zu inodes in %.3f s\n", image_name, all.n,
		      seconds() - start);
	for (size_t i = 0; i < all.n; i += all.n > 20000 ? 17 : 1)
		check_traced((struct image *)source, all.v[i]);
	assert_int_equal(volume->ops->inodes_in(volume, &one, count_inode, &n,
						NULL), 0);
	assert_true(n > all.n);
	free(all.v);
	herd_volume_destroy(volume);
	herd_source_destroy(source);
}

/* ---- one make ---- */

static void check_names(const struct make *m)
{
	char text[256] = "", path[600];

	assert_string_equal(volume->fs, m->fs);
	assert_int_equal(sh("blkid -p -o value -s TYPE image > says;"
			    "blkid -p -o value -s UUID image >> says;"
			    "blkid -p -o value -s LABEL image >> says"), 0);
	snprintf(path, sizeof(path), "%s/says", fixture_dir);
	FILE *f = fopen(path, "r");

	assert_non_null(f);
	assert_true(fread(text, 1, sizeof(text) - 1, f) > 0);
	fclose(f);
	char ours[400];

	snprintf(ours, sizeof(ours), "%s\n%s\n%s%s", volume->fs, volume->uuid,
		 volume->label, volume->label[0] ? "\n" : "");
	assert_string_equal(ours, text);
}

static void test_make(void **state)
{
	const struct make *m = *state;
	unsigned bs;

	if (!can_mount)
		skip();
	sh("umount mnt; rm -rf image mnt; mkdir mnt");
	assert_int_equal(sh("%s image; truncate -s 400M image && "
			    "mke2fs -q -F -E nodiscard %s image",
			    m->stale ? "head -c 250M /dev/zero | tr '\\0' '\\245' >"
				     : "rm -f", m->options), 0);
	if (sh("mount -o loop,acl,user_xattr image mnt")) {
		print_message("skipped: this kernel does not mount %s\n",
			      m->name);
		skip();
	}
	struct stat st;

	assert_int_equal(stat(in_mnt("."), &st), 0);
	bs = (unsigned)st.st_blksize;
	make_contents(bs);
	make_names(m->names);
	make_kinds(bs);
	make_times();
	make_xattrs(m->large_xattrs);
	/* noload is refused where there is no journal */
	assert_int_equal(sh("umount mnt && %s && "
			    "{ mount -o loop,ro,noload image mnt || "
			    "mount -o loop,ro image mnt; }",
			    m->after ? m->after : "true"), 0);

	struct herd_source *source = image_open("image");
	struct herd_diag diag;

	herd_diag_clear(&diag);
	if (herd_volume_open_ext(source, &volume, &diag))
		fail_msg("%s", diag.message);
	assert_string_equal(volume->note, "");
	assert_int_equal(volume->block_size, bs);
	check_names(m);
	n_compared = n_bytes_compared = n_xattrs_compared = n_different = 0;
	n_inline = 0;
	compare(in_mnt(""), volume->root_ino);
	print_message("%s: %u paths, %u MB, %u attributes, %u inline: %u differences\n",
		      m->name, n_compared, n_bytes_compared >> 20,
		      n_xattrs_compared, n_inline, n_different);
	assert_int_equal(n_different, 0);
	assert_int_equal(n_inline > 0, m->is_inline);
	assert_true(n_xattrs_compared > 30);
	herd_volume_destroy(volume);
	herd_source_destroy(source);
	check_all("image");
	sh("umount mnt");
}

/* ---- encrypted directories ---- */

static bool encrypt(const char *name)
{
	struct {
		struct fscrypt_add_key_arg arg;
		uint8_t key[64];
	} add = { .arg = {
		.key_spec.type = FSCRYPT_KEY_SPEC_TYPE_IDENTIFIER,
		.raw_size = sizeof(add.key) } };
	struct fscrypt_policy_v2 policy = {
		.version = FSCRYPT_POLICY_V2,
		.contents_encryption_mode = FSCRYPT_MODE_AES_256_XTS,
		.filenames_encryption_mode = FSCRYPT_MODE_AES_256_CTS,
		.flags = FSCRYPT_POLICY_FLAGS_PAD_32 };
	int root CLEANUP_FD = open(in_mnt(""), O_RDONLY | O_CLOEXEC);
	int fd CLEANUP_FD = open(in_mnt(name), O_RDONLY | O_CLOEXEC);

	fill(add.key, sizeof(add.key), 5);
	if (ioctl(root, FS_IOC_ADD_ENCRYPTION_KEY, &add))
		return false;
	memcpy(policy.master_key_identifier, add.arg.key_spec.u.identifier,
	       sizeof(policy.master_key_identifier));
	return !ioctl(fd, FS_IOC_SET_ENCRYPTION_POLICY, &policy);
}

/* What is not encrypted is read; what is has its attributes, and says so. */
static void test_encrypted(void **state)
{
	struct names names = { .n = 0 };
	char name[64];

	(void)state;
	if (!can_mount)
		skip();
	sh("umount mnt; rm -rf image mnt; mkdir mnt");
	assert_int_equal(sh("truncate -s 64M image && mke2fs -q -F -t ext4 "
			    "-O encrypt image && mount -o loop image mnt && "
			    "mkdir mnt/secret"), 0);
	if (!encrypt("secret")) {
		print_message("skipped: this kernel does not encrypt\n");
		sh("umount mnt");
		skip();
	}
	put("open", "text", 4);
	for (unsigned i = 0; i < 100; i++) {
		snprintf(name, sizeof(name), "secret/file %u", i);
		put(name, "cleartext", 9);
	}
	assert_int_equal(symlink("target", in_mnt("secret/link")), 0);
	assert_int_equal(sh("umount mnt && mount -o loop,ro image mnt"), 0);

	struct herd_source *source = image_open("image");
	struct herd_inode i;
	struct stat st;

	assert_int_equal(stat(in_mnt("secret"), &st), 0);
	assert_int_equal(herd_volume_open_ext(source, &volume, NULL), 0);
	assert_int_equal(volume->ops->readdir(volume, st.st_ino, add_name,
					      &names, NULL), 0);
	assert_int_equal(names.n, 101);
	for (size_t k = 0; k < names.n; k++) {
		assert_true(strlen(names.v[k].bytes) == names.v[k].len);
		assert_int_equal(volume->ops->inode(volume, names.v[k].ino, &i,
						    NULL), 0);
		assert_string_equal(i.problem, "encrypted");
		assert_int_equal(i.n_xattrs, 0);
		assert_true(S_ISLNK(i.mode) ||
			    (S_ISREG(i.mode) && i.size == 9 &&
			     i.content == HERD_CONTENT_UNREADABLE));
		herd_inode_deinit(&i);
	}
	names_deinit(&names);
	assert_int_equal(stat(in_mnt("open"), &st), 0);
	assert_int_equal(volume->ops->inode(volume, st.st_ino, &i, NULL), 0);
	assert_null(i.problem);
	herd_inode_deinit(&i);
	herd_volume_destroy(volume);
	herd_source_destroy(source);
	sh("umount mnt");
}

static int setup(void **state)
{
	if (fixture_setup(state))
		return -1;
	can_mount = !sh("mkdir mnt && truncate -s 8M image && "
			"mke2fs -q -F -t ext4 image && "
			"mount -o loop image mnt && umount mnt");
	if (!can_mount)
		print_message("skipped: needs root, e2fsprogs and loop mounts\n");
	return 0;
}

int main(void)
{
	struct CMUnitTest tests[ARRAY_SIZE(makes) + 1] = {
		[ARRAY_SIZE(makes)] = cmocka_unit_test(test_encrypted),
	};

	for (size_t i = 0; i < ARRAY_SIZE(makes); i++)
		tests[i] = (struct CMUnitTest){
			.name = makes[i].name, .test_func = test_make,
			.initial_state = (void *)(uintptr_t)&makes[i] };
	return cmocka_run_group_tests(tests, setup, fixture_teardown);
}
