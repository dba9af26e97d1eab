/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The tree over a made-up herd: what each view shows, that every byte, size
 * and attribute is the instance's, that listings can be taken up anywhere,
 * and that nothing breaks when images, memory or numbers are bad.
 */
#include "tree_fixture.h"
#include "fs/tree.h"
#include "fs/tree_node.h"

#include <pthread.h>

#define MANY 700		/* extents of var/many: more than one read takes */
#define BLOCK 4096u

static struct tf herd;

/* ---- the herd ---- */

static struct herd_run tool_runs[] = {
	{ 0, 0x10000, 3 * BLOCK }, { 5 * BLOCK, 0x40000, BLOCK },
	{ 9 * BLOCK, 0x20000, 40 * BLOCK },
};
static struct herd_run many_runs[MANY];
static struct herd_run huge_runs[] = {
	{ 1ull << 30, 0x1000, BLOCK }, { (1ull << 40) - BLOCK, 0x2000, BLOCK },
};
static struct herd_run past_runs[] = { { 0, TF_VOLUME_LEN - BLOCK, 2 * BLOCK } };
static char big_value[65536];
static char long_name[] = "user.name-that-is-so-long-that-with-a-prefix-before-"
	"it-Linux-would-not-take-it-any-more-so-it-has-to-be-cut-and-shown-in-"
	"another-way-which-is-by-a-number-at-its-end-and-one-more-attribute-"
	"that-has-all-of-it-as-its-value-and-now-it-is-long-eno";
static struct herd_xattr xattrs[] = {
	{ (char *)"security.capability", (void *)"\1\0\0\2cap", 7 },
	{ (char *)"user.big", big_value, sizeof(big_value) },
	{ (char *)"user.empty", NULL, 0 },
	{ long_name, (void *)"v", 1 },
};

#define DIR_INODE(n) { .ino = n, .mode = S_IFDIR | 0755, .nlink = 2, \
		       .size = BLOCK, .mtime = { 1600000000, 5 } }
#define LINK_INODE(n, to) { .ino = n, .mode = S_IFLNK | 0777, .nlink = 1, \
			    .size = sizeof(to) - 1, .bytes = (void *)to, \
			    .n_bytes = sizeof(to) - 1 }
#define TEXT_INODE(n, text) { .ino = n, .mode = S_IFREG | 0644, .nlink = 1, \
			      .size = sizeof(text) - 1, .bytes = (void *)text, \
			      .n_bytes = sizeof(text) - 1, .uid = 1000, \
			      .gid = 1001, .content = HERD_CONTENT_INLINE, \
			      .mtime = { 1600000000, 123456789 }, \
			      .atime = { -5, 1 }, .ctime = { 1, 999999999 }, \
			      .btime = { 1500000000, 7 } }
#define RUNS_INODE(n, r, bytes) { .ino = n, .mode = S_IFREG | 0755, \
				  .nlink = 1, .size = bytes, .runs = r, \
				  .n_runs = sizeof(r) / sizeof((r)[0]), \
				  .content = HERD_CONTENT_RUNS }

static const struct tf_file base[] = {
	{ "", DIR_INODE(2), 0, 0 },
	{ "bin", DIR_INODE(11), 0, 0 },
	{ "bin/tool", RUNS_INODE(12, tool_runs, 60 * BLOCK + 17), 0, 0 },
	{ "dev", DIR_INODE(14), 0, 0 },
	{ "dev/fifo", { .ino = 15, .mode = S_IFIFO | 0620, .nlink = 1 }, 0, 0 },
	{ "dev/null", { .ino = 16, .mode = S_IFCHR | 0666, .nlink = 1,
			.rdev_major = 1, .rdev_minor = 3 }, 0, 0 },
	{ "dev/sda", { .ino = 17, .mode = S_IFBLK | 0660, .nlink = 1,
		       .rdev_major = 8 }, 0, 0 },
	{ "dev/sock", { .ino = 18, .mode = S_IFSOCK | 0755, .nlink = 1 }, 0, 0 },
	{ "etc", DIR_INODE(20), 0, 0 },
	{ "etc/link", LINK_INODE(21, "/etc/passwd"), 0, 0 },
	{ "etc/passwd", TEXT_INODE(22, "root:x:0:0\n"), 0, 0 },
	{ "etc/rel", LINK_INODE(23, "../bin/tool"), 0, 0 },
	{ "etc/\n\xff", TEXT_INODE(24, "odd"), 0, 0 },
	{ "etc/hard1", TEXT_INODE(25, "hard"), 0, 0 },
	{ "etc/hard2", TEXT_INODE(25, "hard"), 0, 0 },
	{ "var", DIR_INODE(30), 0, 0 },
	{ "var/many", RUNS_INODE(31, many_runs, 2 * MANY * BLOCK), 0, 0 },
	{ "var/huge", RUNS_INODE(32, huge_runs, 1ull << 40),
	  HERD_DIGEST_SPARSE, 0 },
	{ "var/log", TEXT_INODE(33, "log 0"), 0, 0 },
	{ "var/past", RUNS_INODE(34, past_runs, 2 * BLOCK),
	  HERD_DIGEST_UNREADABLE, 0 },
	{ "var/gone", { .ino = 35, .mode = S_IFREG | 0600, .nlink = 1,
			.size = 100, .content = HERD_CONTENT_UNREADABLE,
			.problem = (char *)"block 7 cannot be read" },
	  HERD_DIGEST_UNREADABLE, 0 },
	{ "var/xattrs", { .ino = 36, .mode = S_IFREG | 0644, .nlink = 1,
			  .xattrs = xattrs, .n_xattrs = ARRAY_SIZE(xattrs) },
	  0, 0 },
	{ "var/zeros", { .ino = 37, .mode = S_IFREG | 0644, .nlink = 1,
			 .size = 300000, .content = HERD_CONTENT_RUNS }, 0, 0 },
};
#define N_BASE ARRAY_SIZE(base)
#define ODD 2			/* the instance in which things deviate */

/* The files of each, as attached. */
static struct tf_file files[5][N_BASE + 2];
static size_t n_files[5];

static struct tf_file *file_of(size_t i, const char *path)
{
	for (size_t k = 0; k < n_files[i]; k++)
		if (strcmp(files[i][k].path, path) == 0)
			return &files[i][k];
	return NULL;
}

static void deviate(size_t i)
{
	static const struct tf_file evil[] = {
		{ "root", DIR_INODE(40), 0, 0 },
		{ "root/evil", TEXT_INODE(41, "#!/bin/sh\n"), 0, 0 },
	};
	struct herd_inode passwd = TEXT_INODE(22, "root::0:0::\n");
	struct herd_inode link = LINK_INODE(21, "../../../../etc/shadow");
	struct tf_file *rel = file_of(i, "etc/rel");

	file_of(i, "etc/passwd")->inode = passwd;
	file_of(i, "etc/link")->inode = link;
	file_of(i, "bin/tool")->inode.mode = S_IFREG | 04755;
	memmove(rel, rel + 1, (size_t)((char *)&files[i][n_files[i]] -
				       (char *)(rel + 1)));
	n_files[i]--;
	files[i][n_files[i]++] = evil[0];
	files[i][n_files[i]++] = evil[1];
}

static int make_herd(void **state)
{
	static char logs[5][16];
	static const char *const names[] = { "i-1", "i-2", "i-3", "i-4",
					     "base" };

	(void)state;
	for (size_t i = 0; i < MANY; i++)	/* in an order of their own */
		many_runs[i] = (struct herd_run){ 2 * i * BLOCK,
			((i * 37) % MANY) * BLOCK, BLOCK };
	for (size_t i = 0; i < sizeof(big_value); i++)
		big_value[i] = (char)(i * 7);
	tf_open(&herd);
	for (size_t i = 0; i < 5; i++) {
		struct tf_file *log;

		memcpy(files[i], base, sizeof(base));
		n_files[i] = N_BASE;
		file_of(i, "etc/hard1")->inode.nlink = 2;
		file_of(i, "etc/hard2")->inode.nlink = 2;
		snprintf(logs[i], sizeof(logs[i]), "log %zu", i);
		log = file_of(i, "var/log");
		log->inode.bytes = logs[i];
		if (i == ODD)
			deviate(i);
		tf_attach(&herd, names[i], i == 4 ? HERD_ROLE_BASELINE :
			  HERD_ROLE_MEMBER, 1, files[i], n_files[i]);
	}
	return 0;
}

static int drop_herd(void **state)
{
	(void)state;
	tf_close(&herd);
	return 0;
}

/* ---- a tree on it ---- */

struct disks {
	bool memory;		/* no files behind them, nothing to be mapped */
	_Atomic unsigned opened;
	uint32_t broken;	/* this instance's cannot be opened */
};

static int plain_read(struct herd_source *s, void *buf, size_t len,
		      uint64_t off, struct herd_diag *diag)
{
	(void)diag;
	memcpy(buf, (uint8_t *)s->name + 1 + off, len);
	return 0;
}

static void plain_destroy(struct herd_source *s)
{
	free(s->name);
	free(s);
}

/* A source that cannot be mapped; the bytes follow an empty name. */
static struct herd_source *plain_source(const uint8_t *bytes, size_t len)
{
	static const struct herd_source_ops ops = {
		.kind = "plain", .read = plain_read, .destroy = plain_destroy,
	};
	struct herd_source *s = calloc(1, sizeof(*s));

	s->ops = &ops;
	s->size = len;
	s->name = malloc(len + 1);
	s->name[0] = 0;
	memcpy(s->name + 1, bytes, len);
	return s;
}

static int open_disk(void *arg, uint32_t instance, uint32_t disk,
		     const struct herd_image *image, struct herd_source **ret,
		     struct herd_diag *diag)
{
	struct disks *d = arg;
	int err;

	assert_int_equal(disk, 0);
	d->opened++;
	if (instance == d->broken)
		return herd_diag_set(diag, -ENOENT, "x.raw", HERD_NO_OFFSET,
				     "no such image");
	if (d->memory) {
		for (size_t i = 0; i < herd.n; i++)
			if (herd.ids[i] == instance)
				*ret = plain_source(herd.images[i], TF_IMAGE);
		return 0;
	}
	err = herd_image_verify(image, true, diag);
	return err ? err : herd_image_open(image, NULL, ret, diag);
}

static struct herd_tree *open_tree(struct disks *d, unsigned cache_mb)
{
	const struct herd_tree_options o = { .cache_mb = cache_mb };
	struct herd_tree *t = NULL;
	struct herd_diag diag = { .offset = HERD_NO_OFFSET };

	if (herd_tree_open(herd.store, &o, open_disk, d, &t, &diag))
		fail_msg("%s", diag.message);
	return t;
}

static int find(struct herd_tree *t, const char *path, uint64_t *ret,
		struct stat *st)
{
	uint64_t node = HERD_NODE_ROOT;
	int err = herd_tree_getattr(t, node, st);

	while (!err && *path) {
		size_t n = strcspn(path, "/");
		char name[300];

		snprintf(name, sizeof(name), "%.*s", (int)n, path);
		if (n)
			err = herd_tree_lookup(t, node, name, &node, st);
		path += n + (path[n] == '/');
	}
	*ret = node;
	return err;
}

static uint64_t must_find(struct herd_tree *t, const char *path,
			  struct stat *st)
{
	struct stat own;
	uint64_t node;

	if (find(t, path, &node, st ? st : &own))
		fail_msg("%s is not there", path);
	return node;
}

static uint64_t in(struct herd_tree *t, const char *instance, const char *view,
		   const char *path, struct stat *st)
{
	char whole[600];

	snprintf(whole, sizeof(whole), "asg/web/%s/%s/disk/%s", instance, view,
		 path);
	return must_find(t, whole, st);
}

struct names {
	char v[256][64];
	uint64_t next[256];
	uint64_t node[256];
	struct stat st[256];
	size_t n, stop;
};

static int add_name(void *arg, const char *name, uint64_t node,
		    const struct stat *st, uint64_t next)
{
	struct names *l = arg;

	assert_true(l->n < 256);
	snprintf(l->v[l->n], sizeof(l->v[0]), "%s", name);
	l->node[l->n] = node;
	l->st[l->n] = *st;
	l->next[l->n++] = next;
	if (strcmp(name, "..") != 0)
		assert_true(st->st_ino);
	return l->n == l->stop;
}

/* The paths of a view, one a line, sorted by walking. */
static void walk(struct herd_tree *t, uint64_t dir, const char *prefix,
		 struct herd_buf *out)
{
	struct names *l = calloc(1, sizeof(*l));

	assert_int_equal(herd_tree_readdir(t, dir, 0, add_name, l), 0);
	assert_string_equal(l->v[0], ".");
	assert_string_equal(l->v[1], "..");
	for (size_t i = 2; i < l->n; i++) {
		char path[300];
		struct stat st;

		snprintf(path, sizeof(path), "%s%s", prefix, l->v[i]);
		herd_buf_printf(out, "%s\n", path);
		assert_int_equal(herd_tree_getattr(t, l->node[i], &st), 0);
		if (l->st[i].st_nlink)
			assert_memory_equal(&l->st[i], &st, sizeof(st));
		else
			assert_int_equal(l->st[i].st_mode & S_IFMT,
					 st.st_mode & S_IFMT);
		if (S_ISDIR(st.st_mode)) {
			strncat(path, "/", sizeof(path) - strlen(path) - 1);
			walk(t, l->node[i], path, out);
		}
	}
	free(l);
}

static void expect_view(struct herd_tree *t, const char *instance,
			const char *view, const char *want)
{
	struct herd_buf out = HERD_BUF_INIT;

	walk(t, in(t, instance, view, "", NULL), "", &out);
	herd_buf_u8(&out, 0);
	assert_string_equal((char *)out.data, want);
	herd_buf_deinit(&out);
}

/* ---- tests ---- */

static void test_top(void **state)
{
	struct disks d = { 0 };
	struct herd_tree *t = open_tree(&d, 8);
	struct herd_buf out = HERD_BUF_INIT;
	struct names l = { .n = 0 };
	struct stat st;
	uint64_t node;

	(void)state;
	assert_int_equal(herd_tree_readdir(t, HERD_NODE_ROOT, 0, add_name, &l),
			 0);
	assert_int_equal(l.n, 3);
	assert_string_equal(l.v[2], "asg");
	l.n = 0;
	herd_tree_readdir(t, must_find(t, "asg/web", &st), 0, add_name, &l);
	assert_int_equal(l.n, 2 + 3 + 5);
	assert_int_equal(st.st_mode, S_IFDIR | 0755);
	l.n = 0;
	herd_tree_readdir(t, must_find(t, "asg/web/i-1", &st), 0, add_name, &l);
	assert_int_equal(l.n, 2 + 9);
	assert_int_equal(st.st_mtime, 1700000000);
	/* the baseline is not judged */
	l.n = 0;
	herd_tree_readdir(t, must_find(t, "asg/web/base", NULL), 0, add_name,
			  &l);
	assert_int_equal(l.n, 3);
	assert_string_equal(l.v[2], "all");
	assert_int_equal(find(t, "asg/web/base/deviant", &node, &st), -ENOENT);
	assert_int_equal(find(t, "asg/web/base/report.txt", &node, &st),
			 -ENOENT);
	assert_int_equal(find(t, "asg/web/i-9", &node, &st), -ENOENT);
	assert_int_equal(find(t, "asg/nosuch", &node, &st), -ENOENT);
	assert_int_equal(find(t, "asg/web/herd.json/x", &node, &st), -ENOTDIR);
	walk(t, HERD_NODE_ROOT, "", &out);
	assert_int_equal(d.opened, 0);	/* all this without any image */
	herd_buf_deinit(&out);
	herd_tree_close(t);
}

static void test_views(void **state)
{
	struct disks d = { 0 };
	struct herd_tree *t = open_tree(&d, 8);
	uint64_t node;
	struct stat st;

	(void)state;
	expect_view(t, "i-3", "deviant", "bin\nbin/tool\netc\netc/link\n"
		    "etc/passwd\nroot\nroot/evil\n");
	expect_view(t, "i-3", "herd", "bin\nbin/tool\netc\netc/link\n"
		    "etc/passwd\netc/rel\n");
	expect_view(t, "i-3", "volatile", "var\nvar/log\n");
	for (int i = 0; i < 4; i++) {
		static const char *const clean[] = { "i-1", "i-2", "i-4" };

		if (i == 3)
			break;
		expect_view(t, clean[i], "deviant", "");
		expect_view(t, clean[i], "herd", "");
		expect_view(t, clean[i], "volatile", "var\nvar/log\n");
	}
	/* what is not in a view is not found in it */
	assert_int_equal(find(t, "asg/web/i-3/deviant/disk/dev", &node, &st),
			 -ENOENT);
	assert_int_equal(find(t, "asg/web/i-3/deviant/disk/etc/rel", &node,
			      &st), -ENOENT);
	assert_int_equal(find(t, "asg/web/i-3/all/disk/etc/rel", &node, &st),
			 -ENOENT);
	/* each has its own version */
	in(t, "i-3", "deviant", "bin/tool", &st);
	assert_int_equal(st.st_mode, S_IFREG | 04755);
	in(t, "i-3", "herd", "bin/tool", &st);
	assert_int_equal(st.st_mode, S_IFREG | 0755);
	in(t, "i-3", "herd", "etc/passwd", &st);
	assert_int_equal(st.st_size, 11);
	herd_tree_close(t);
}

/* Every file of every instance, by name, and nothing else. */
static void test_all(void **state)
{
	struct disks d = { 0 };
	struct herd_tree *t = open_tree(&d, 8);

	(void)state;
	for (size_t i = 0; i < herd.n; i++) {
		struct herd_buf out = HERD_BUF_INIT;
		size_t lines = 0;

		walk(t, in(t, herd.names[i], "all", "", NULL), "", &out);
		for (size_t k = 0; k < out.len; k++)
			lines += out.data[k] == '\n';
		/* one name has a newline in it */
		assert_int_equal(lines, n_files[i] - 1 + 1);
		for (size_t k = 0; k < n_files[i]; k++) {
			const struct herd_inode *w = &files[i][k].inode;
			struct stat st;
			uint64_t node = in(t, herd.names[i], "all",
					   files[i][k].path, &st);
			struct stat again;

			assert_int_equal(herd_tree_getattr(t, node, &again), 0);
			assert_memory_equal(&st, &again, sizeof(st));
			assert_int_equal(st.st_mode & 07777, w->mode & 07777);
			assert_int_equal(st.st_uid, w->uid);
			assert_int_equal(st.st_gid, w->gid);
			assert_int_equal(st.st_mtim.tv_sec, w->mtime.sec);
			assert_int_equal(st.st_mtim.tv_nsec, w->mtime.nsec);
			assert_int_equal(st.st_atim.tv_sec, w->atime.sec);
			assert_int_equal(st.st_ctim.tv_nsec, w->ctime.nsec);
			if (S_ISREG(w->mode)) {
				assert_int_equal(st.st_size, w->size);
				assert_int_equal(st.st_nlink, w->nlink);
			}
		}
		herd_buf_deinit(&out);
	}
	herd_tree_close(t);
}

/* Taken up after any entry, a listing goes on with the next. */
static void test_positions(void **state)
{
	static const char *const dirs[] = {
		"asg/web", "asg/web/i-3", "asg/web/i-3/all/disk",
		"asg/web/i-3/all/disk/etc", "asg/web/i-1/all/disk/var",
		"asg/web/i-3/deviant/disk", "asg/web/i-3/herd/disk/etc",
	};
	struct disks d = { 0 };
	struct herd_tree *t = open_tree(&d, 0);

	(void)state;
	for (size_t k = 0; k < ARRAY_SIZE(dirs); k++) {
		uint64_t dir = must_find(t, dirs[k], NULL);
		struct names all = { .n = 0 };

		herd_tree_readdir(t, dir, 0, add_name, &all);
		for (size_t i = 0; i < all.n; i++) {
			struct names one = { .stop = 1 };

			assert_true(!i || all.next[i] > all.next[i - 1]);
			herd_tree_readdir(t, dir, i ? all.next[i - 1] : 0,
					  add_name, &one);
			assert_int_equal(one.n, 1);
			assert_string_equal(one.v[0], all.v[i]);
			assert_int_equal(one.next[0], all.next[i]);
		}
		struct names none = { .n = 0 };

		herd_tree_readdir(t, dir, all.next[all.n - 1], add_name, &none);
		assert_int_equal(none.n, 0);
		herd_tree_readdir(t, dir, INT64_MAX, add_name, &none);
		assert_int_equal(none.n, 0);
	}
	herd_tree_close(t);
}

/* ---- content ---- */

struct got {
	uint8_t *bytes;
	size_t n;
};

static int take(void *arg, const struct iovec *iov, int n)
{
	struct got *g = arg;

	g->n = 0;
	for (int i = 0; i < n; i++) {
		memcpy(g->bytes + g->n, iov[i].iov_base, iov[i].iov_len);
		g->n += iov[i].iov_len;
	}
	return 0;
}

static void compare_reads(struct herd_tree *t, size_t i, const char *path,
			  int rounds)
{
	const struct herd_inode *w = &file_of(i, path)->inode;
	uint64_t node = in(t, herd.names[i], "all", path, NULL);
	uint64_t seed = 12345 + i;
	uint8_t *want = tf_content(&herd, i, w);
	struct got g = { .bytes = malloc(w->size + 1) };

	for (int k = 0; k < rounds; k++) {
		uint64_t off = k ? tf_random(&seed) % (w->size + 100) : 0;
		size_t len = k ? (size_t)(tf_random(&seed) %
					  (k % 2 ? 9000 : w->size + 1)) :
				 (size_t)w->size + 1;
		size_t expect = off >= w->size ? 0 :
				len > w->size - off ? (size_t)(w->size - off) :
						      len;

		assert_int_equal(herd_tree_read(t, node, off, len, take, &g),
				 0);
		if (expect > HERD_TREE_READ_MAX)
			expect = HERD_TREE_READ_MAX;
		assert_int_equal(g.n, expect);
		assert_memory_equal(g.bytes, want + off, g.n);
	}
	free(want);
	free(g.bytes);
}

static void read_everything(bool memory)
{
	static const char *const paths[] = {
		"bin/tool", "etc/passwd", "var/many", "var/zeros", "var/log",
	};
	struct disks d = { .memory = memory };
	struct herd_tree *t = open_tree(&d, 8);

	for (size_t i = 0; i < herd.n; i++)
		for (size_t k = 0; k < ARRAY_SIZE(paths); k++)
			compare_reads(t, i, paths[k], 60);
	assert_int_equal(d.opened, herd.n);	/* each once */
	herd_tree_close(t);
}

static void test_read_mapped(void **state)
{
	(void)state;
	read_everything(false);
}

static void test_read_not_mapped(void **state)
{
	(void)state;
	read_everything(true);
}

static void test_read_odd(void **state)
{
	struct disks d = { 0 };
	struct herd_tree *t = open_tree(&d, 8);
	static uint8_t bytes[HERD_TREE_READ_MAX];
	struct got g = { .bytes = bytes };
	struct stat st;
	uint64_t node = in(t, "i-1", "all", "var/huge", &st);

	(void)state;
	assert_int_equal(st.st_blocks, 2 * BLOCK / 512);
	assert_int_equal(herd_tree_read(t, node, (1ull << 40) - 100, 200, take,
					&g), 0);
	assert_int_equal(g.n, 100);
	assert_memory_equal(bytes, herd.images[0] + TF_VOLUME_START + 0x2000 +
			    BLOCK - 100, 100);
	assert_int_equal(herd_tree_read(t, node, 1ull << 35, SIZE_MAX, take,
					&g), 0);
	assert_int_equal(g.n, HERD_TREE_READ_MAX);
	assert_int_equal(bytes[12345], 0);
	/* an extent that leaves the volume */
	node = in(t, "i-1", "all", "var/past", NULL);
	assert_int_equal(herd_tree_read(t, node, 0, 8192, take, &g), -EIO);
	node = in(t, "i-1", "all", "var/gone", NULL);
	assert_int_equal(herd_tree_read(t, node, 0, 100, take, &g), -EIO);
	node = in(t, "i-1", "all", "etc", NULL);
	assert_int_equal(herd_tree_read(t, node, 0, 100, take, &g), -EISDIR);
	/* bad content of one file is no failure of the image */
	node = in(t, "i-1", "all", "bin/tool", NULL);
	assert_int_equal(herd_tree_read(t, node, 0, 100, take, &g), 0);
	herd_tree_close(t);
}

/* Against a map of which bytes are data. */
static void test_seek(void **state)
{
	struct disks d = { 0 };
	struct herd_tree *t = open_tree(&d, 8);
	const struct herd_inode *w = &file_of(0, "bin/tool")->inode;
	uint64_t node = in(t, "i-1", "all", "bin/tool", NULL), at;
	uint8_t *data = calloc(1, w->size + 1);

	(void)state;
	for (size_t i = 0; i < w->n_runs; i++)
		memset(data + w->runs[i].logical, 1, w->runs[i].len);
	for (uint64_t off = 0; off < w->size; off += 1000) {
		uint64_t want = off;

		while (want < w->size && !data[want])
			want++;
		if (want == w->size) {
			assert_int_equal(herd_tree_seek(t, node, off, false,
							&at), -ENXIO);
		} else {
			assert_int_equal(herd_tree_seek(t, node, off, false,
							&at), 0);
			assert_int_equal(at, want);
		}
		for (want = off; want < w->size && data[want];)
			want++;
		assert_int_equal(herd_tree_seek(t, node, off, true, &at), 0);
		assert_int_equal(at, want);
	}
	assert_int_equal(herd_tree_seek(t, node, w->size, true, &at), -ENXIO);
	node = in(t, "i-1", "all", "var/huge", NULL);
	assert_int_equal(herd_tree_seek(t, node, 0, false, &at), 0);
	assert_int_equal(at, 1ull << 30);
	node = in(t, "i-1", "all", "var/many", NULL);
	assert_int_equal(herd_tree_seek(t, node, 2 * 650 * BLOCK + 5000, false,
					&at), 0);
	assert_int_equal(at, 2 * 651 * BLOCK);
	node = must_find(t, "asg/web/i-1/report.txt", NULL);
	assert_int_equal(herd_tree_seek(t, node, 3, false, &at), 0);
	assert_int_equal(at, 3);
	free(data);
	herd_tree_close(t);
}

static void test_special_and_links(void **state)
{
	static const char *const special[] = { "dev/fifo", "dev/null",
					       "dev/sda", "dev/sock" };
	static const char *const types[] = { "fifo", "char 1:3", "block 8:0",
					     "socket" };
	struct disks d = { 0 };
	struct herd_tree *t = open_tree(&d, 8);
	struct stat a, b, st;
	char buf[100], *target;
	uint64_t node;

	(void)state;
	for (int i = 0; i < 4; i++) {
		struct got g = { .bytes = (uint8_t *)buf, .n = 1 };
		ssize_t n;

		node = in(t, "i-2", "all", special[i], &st);
		assert_true(S_ISREG(st.st_mode));
		assert_int_equal(st.st_size, 0);
		assert_int_equal(herd_tree_read(t, node, 0, 100, take, &g), 0);
		assert_int_equal(g.n, 0);
		n = herd_tree_getxattr(t, node, "user.herdfs.type", buf,
				       sizeof(buf));
		assert_int_equal(n, strlen(types[i]));
		assert_memory_equal(buf, types[i], strlen(types[i]));
	}
	/* hard links are the same file, but not that of another instance */
	in(t, "i-2", "all", "etc/hard1", &a);
	in(t, "i-2", "all", "etc/hard2", &b);
	assert_int_equal(a.st_ino, b.st_ino);
	assert_int_equal(a.st_nlink, 2);
	in(t, "i-4", "all", "etc/hard2", &b);
	assert_int_not_equal(a.st_ino, b.st_ino);
	in(t, "i-2", "all", "etc/passwd", &b);
	assert_int_not_equal(a.st_ino, b.st_ino);
	/* links */
	node = in(t, "i-2", "all", "etc/link", &st);
	assert_int_equal(herd_tree_readlink(t, node, &target), 0);
	assert_string_equal(target, "../etc/passwd");
	assert_int_equal(st.st_size, strlen(target));
	free(target);
	node = in(t, "i-3", "deviant", "etc/link", &st);
	assert_int_equal(herd_tree_readlink(t, node, &target), 0);
	assert_string_equal(target, "../etc/shadow");
	assert_int_equal(st.st_size, strlen(target));
	free(target);
	node = in(t, "i-3", "deviant", "etc/passwd", &st);
	assert_int_equal(herd_tree_readlink(t, node, &target), -EINVAL);
	herd_tree_close(t);
}

/* ---- attributes ---- */

static void expect_attr(struct herd_tree *t, uint64_t node, const char *name,
			const char *want)
{
	char buf[1024];
	ssize_t n = herd_tree_getxattr(t, node, name, buf, sizeof(buf) - 1);

	if (!want) {
		assert_int_equal(n, -ENODATA);
		return;
	}
	if (n < 0 || n >= (ssize_t)sizeof(buf)) {
		fail_msg("%s: %s", name, strerror((int)-n));
		return;
	}
	buf[n] = 0;
	assert_string_equal(buf, want);
	assert_int_equal(herd_tree_getxattr(t, node, name, NULL, 0), n);
	if (n)
		assert_int_equal(herd_tree_getxattr(t, node, name, buf,
						    (size_t)n - 1),
				 n == 1 ? n : -ERANGE);
}

static bool listed(struct herd_tree *t, uint64_t node, const char *name)
{
	static char list[65536];
	ssize_t n = herd_tree_listxattr(t, node, list, sizeof(list));
	bool found = false;

	assert_true(n >= 0);
	assert_int_equal(herd_tree_listxattr(t, node, NULL, 0), n);
	for (char *p = list; p < list + n; p += strlen(p) + 1) {
		assert_true(strlen(p) <= 255);
		assert_true(strncmp(p, "user.herdfs.", 12) == 0 ||
			    strncmp(p, "system.herdfs.", 14) == 0);
		assert_true(herd_tree_getxattr(t, node, p, NULL, 0) >= 0);
		found |= strcmp(p, name) == 0;
	}
	return found;
}

static void test_attributes(void **state)
{
	struct disks d = { 0 };
	struct herd_tree *t = open_tree(&d, 8);
	uint64_t node = in(t, "i-3", "deviant", "etc/passwd", NULL);

	(void)state;
	expect_attr(t, node, "user.herdfs.class", "deviant");
	expect_attr(t, node, "user.herdfs.reason", "content");
	expect_attr(t, node, "user.herdfs.prevalence", "1/4");
	expect_attr(t, node, "user.herdfs.herd",
		    "/asg/web/i-3/herd/disk/etc/passwd");
	expect_attr(t, node, "user.herdfs.baseline", "content");
	expect_attr(t, node, "user.herdfs.inode", "22");
	expect_attr(t, node, "user.herdfs.volume", "0/p1 ext4 UUID=some-uuid");
	expect_attr(t, node, "user.herdfs.btime",
		    "2017-07-14T02:40:00.000000007Z");
	expect_attr(t, node, "user.herdfs.nosuch", NULL);
	expect_attr(t, node, "security.capability", NULL);
	expect_attr(t, node, "system.posix_acl_access", NULL);
	expect_attr(t, node, "system.herdfs.reason", NULL);
	assert_true(listed(t, node, "user.herdfs.rank"));
	/* the herd's version of it */
	node = in(t, "i-3", "herd", "etc/passwd", NULL);
	expect_attr(t, node, "user.herdfs.prevalence", "3/4");
	expect_attr(t, node, "user.herdfs.holder", "i-1");
	/* all/ knows the same */
	node = in(t, "i-3", "all", "etc/passwd", NULL);
	expect_attr(t, node, "user.herdfs.reason", "content");
	node = in(t, "i-3", "all", "var/many", NULL);
	expect_attr(t, node, "user.herdfs.class", "same");
	expect_attr(t, node, "user.herdfs.prevalence", "4/4");
	expect_attr(t, node, "user.herdfs.reason", NULL);
	/* added: the herd has none */
	node = in(t, "i-3", "deviant", "root/evil", NULL);
	expect_attr(t, node, "user.herdfs.reason", "added");
	expect_attr(t, node, "user.herdfs.herd", "");
	/* links have no user.* on Linux */
	node = in(t, "i-3", "deviant", "etc/link", NULL);
	expect_attr(t, node, "user.herdfs.reason", NULL);
	expect_attr(t, node, "system.herdfs.reason", "target");
	expect_attr(t, node, "system.herdfs.target", "../../../../etc/shadow");
	assert_true(listed(t, node, "system.herdfs.target"));
	/* what could not be read */
	node = in(t, "i-1", "all", "var/gone", NULL);
	expect_attr(t, node, "user.herdfs.problem", "block 7 cannot be read");
	expect_attr(t, node, "user.herdfs.digest", "unreadable");
	/* the baseline's files are not judged, but known */
	node = in(t, "base", "all", "etc/passwd", NULL);
	expect_attr(t, node, "user.herdfs.class", NULL);
	expect_attr(t, node, "user.herdfs.inode", "22");
	node = must_find(t, "asg/web/base", NULL);
	expect_attr(t, node, "user.herdfs.role", "baseline");
	herd_tree_close(t);
}

static void test_own_attributes(void **state)
{
	struct disks d = { 0 };
	struct herd_tree *t = open_tree(&d, 8);
	uint64_t node = in(t, "i-2", "all", "var/xattrs", NULL);
	static char value[65536];
	char cut[256];

	(void)state;
	expect_attr(t, node, "user.herdfs.xattr.user.empty", "");
	assert_int_equal(herd_tree_getxattr(t, node, "user.herdfs.xattr."
					    "security.capability", value,
					    sizeof(value)), 7);
	assert_memory_equal(value, "\1\0\0\2cap", 7);
	assert_int_equal(herd_tree_getxattr(t, node, "user.herdfs.xattr."
					    "user.big", value, sizeof(value)),
			 sizeof(big_value));
	assert_memory_equal(value, big_value, sizeof(value));
	expect_attr(t, node, "user.herdfs.xattrname.3", long_name);
	snprintf(cut, sizeof(cut), "user.herdfs.xattr.%.*s~3",
		 255 - 18 - 2, long_name);
	expect_attr(t, node, cut, "v");
	assert_true(listed(t, node, cut));
	assert_true(listed(t, node, "user.herdfs.xattr.user.big"));
	assert_false(listed(t, node, "security.capability"));
	herd_tree_close(t);
}

/* ---- generated files ---- */

static void test_generated(void **state)
{
	static const char *const paths[] = {
		"asg/web/herd.json", "asg/web/README.txt",
		"asg/web/i-3/report.txt", "asg/web/i-3/report.json",
		"asg/web/i-3/MANIFEST.sha256", "asg/web/i-3/bodyfile",
	};
	struct disks d = { 0 };
	struct herd_tree *t = open_tree(&d, 0);	/* made anew each time */
	static uint8_t bytes[1 << 20], again[1 << 20];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(paths); i++) {
		struct got g = { .bytes = bytes }, h = { .bytes = again };
		struct stat st;
		uint64_t node = must_find(t, paths[i], &st);

		assert_int_equal(st.st_mode, S_IFREG | 0644);
		assert_int_equal(herd_tree_read(t, node, 0, sizeof(bytes),
						take, &g), 0);
		assert_int_equal(g.n, st.st_size);
		assert_true(g.n > 0);
		assert_int_equal(herd_tree_read(t, node, 5, sizeof(bytes),
						take, &h), 0);
		assert_int_equal(h.n, g.n - 5);
		assert_memory_equal(again, bytes + 5, h.n);
		assert_int_equal(herd_tree_read(t, node, g.n, 10, take, &h), 0);
		assert_int_equal(h.n, 0);
	}
	herd_tree_close(t);
}

/* ---- when things go wrong ---- */

static int count_line(void *arg, const char *line)
{
	assert_non_null(strstr(line, "web/i-"));
	++*(int *)arg;
	return 0;
}

static int failures(struct herd_tree *t)
{
	int n = 0;

	assert_int_equal(herd_tree_each_failure(t, count_line, &n), 0);
	return n;
}

static void test_lost_image(void **state)
{
	struct disks d = { .broken = herd.ids[1] };
	struct herd_tree *t = open_tree(&d, 8);
	uint8_t bytes[BLOCK];
	struct got g = { .bytes = bytes };
	uint64_t node = in(t, "i-2", "all", "bin/tool", NULL);

	(void)state;
	for (int i = 0; i < 3; i++)
		assert_int_equal(herd_tree_read(t, node, 0, BLOCK, take, &g),
				 -EIO);
	assert_int_equal(d.opened, 1);
	assert_int_equal(failures(t), 1);
	/* what needs no image is still there, and so are the others */
	node = in(t, "i-2", "all", "etc/passwd", NULL);
	assert_int_equal(herd_tree_read(t, node, 0, BLOCK, take, &g), 0);
	node = in(t, "i-1", "all", "bin/tool", NULL);
	assert_int_equal(herd_tree_read(t, node, 0, BLOCK, take, &g), 0);
	assert_int_equal(failures(t), 1);
	herd_tree_close(t);
}

static int fault(void *arg, const struct iovec *iov, int n)
{
	(void)arg;
	(void)iov;
	(void)n;
	return -EFAULT;
}

/* Cut short while it is mapped: the one who writes the vector gets EFAULT. */
static void test_cut_image(void **state)
{
	struct disks d = { 0 };
	struct herd_tree *t = open_tree(&d, 8);
	uint8_t bytes[BLOCK];
	struct got g = { .bytes = bytes };
	uint64_t node = in(t, "i-4", "all", "bin/tool", NULL);
	char path[320];
	struct stat st;
	int fd;

	(void)state;
	assert_int_equal(herd_tree_read(t, node, 0, BLOCK, take, &g), 0);
	snprintf(path, sizeof(path), "%s/i-4.raw", herd.dir);
	fd = open(path, O_WRONLY);
	assert_int_equal(fstat(fd, &st), 0);
	assert_int_equal(ftruncate(fd, 4096), 0);
	assert_int_equal(herd_tree_read(t, node, 9 * BLOCK, 40 * BLOCK, fault,
					NULL), -EFAULT);
	assert_int_equal(herd_tree_read(t, node, 0, BLOCK, take, &g), -EIO);
	assert_int_equal(failures(t), 1);
	assert_int_equal(write(fd, herd.images[3], TF_IMAGE), TF_IMAGE);
	assert_int_equal(futimens(fd, (struct timespec[]){ st.st_atim,
							   st.st_mtim }), 0);
	close(fd);
	node = in(t, "i-1", "all", "bin/tool", NULL);
	assert_int_equal(herd_tree_read(t, node, 0, BLOCK, take, &g), 0);
	herd_tree_close(t);
}

/* Any number for a node, any name: an answer, whatever it is. */
static void test_random_nodes(void **state)
{
	struct disks d = { .memory = true };
	struct herd_tree *t = open_tree(&d, 1);
	uint64_t seed = 4711;

	(void)state;
	for (int i = 0; i < 200000; i++) {
		uint64_t node = herd_node((enum herd_node_kind)
					  (tf_random(&seed) % 16),
					  (uint32_t)tf_random(&seed) %
					  (i % 3 ? 8 : HERD_NODE_OWNER_MAX),
					  (uint32_t)tf_random(&seed) %
					  (i % 5 ? 40 : UINT32_MAX));
		struct names l = { .stop = 200 };
		struct stat st;
		uint8_t bytes[64];
		struct got g = { .bytes = bytes };
		uint64_t at;
		char *target;

		herd_tree_getattr(t, node, &st);
		herd_tree_lookup(t, node, i % 2 ? "etc" : "disk", &at, &st);
		herd_tree_read(t, node, tf_random(&seed) % 100000, 64, take,
			       &g);
		herd_tree_seek(t, node, tf_random(&seed) % 100000, i % 2, &at);
		herd_tree_getxattr(t, node, "user.herdfs.reason", NULL, 0);
		if (i % 16)
			continue;
		herd_tree_readdir(t, node, tf_random(&seed) % 50, add_name, &l);
		herd_tree_listxattr(t, node, NULL, 0);
		if (!herd_tree_readlink(t, node, &target))
			free(target);
	}
	herd_tree_close(t);
}

/* Many at once, with a cache in which nothing stays. */
static void *reader(void *arg)
{
	struct herd_tree *t = arg;

	for (int i = 0; i < 15; i++) {
		struct herd_buf out = HERD_BUF_INIT;
		uint8_t bytes[20000];
		struct got g = { .bytes = bytes };

		walk(t, in(t, herd.names[i % 4], i % 2 ? "all" : "herd", "",
			   NULL), "", &out);
		herd_buf_deinit(&out);
		herd_tree_read(t, must_find(t, "asg/web/i-3/report.txt", NULL),
			       0, sizeof(bytes), take, &g);
		herd_tree_read(t, in(t, herd.names[i % 4], "all", "var/many",
				     NULL), (uint64_t)i * 30000, sizeof(bytes),
			       take, &g);
		assert_int_equal(g.n, sizeof(bytes));
	}
	return NULL;
}

static void test_threads(void **state)
{
	struct disks d = { 0 };
	struct herd_tree *t = open_tree(&d, 0);
	pthread_t threads[40];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(threads); i++)
		assert_int_equal(pthread_create(&threads[i], NULL, reader, t),
				 0);
	for (size_t i = 0; i < ARRAY_SIZE(threads); i++)
		pthread_join(threads[i], NULL);
	assert_int_equal(d.opened, 4);
	herd_tree_close(t);
}

/* What is attached later is not shown. */
static void test_snapshot(void **state)
{
	struct disks d = { 0 };
	struct herd_tree *t = open_tree(&d, 8);
	struct herd_txn *w;
	struct herd_buf b = HERD_BUF_INIT;
	struct herd_group g;
	uint64_t node;
	struct stat st;

	(void)state;
	assert_int_equal(herd_txn_begin(herd.store, true, &w, NULL), 0);
	assert_int_equal(herd_group_make(w, "later", &g), 0);
	tf_encode(&herd, 0, file_of(2, "etc/passwd"), &b);
	assert_int_equal(herd_entry_put(w, herd.ids[1],
					tf_path(w, "etc/passwd"), b.data,
					b.len), 0);
	assert_int_equal(herd_txn_commit(w, NULL), 0);
	assert_int_equal(find(t, "asg/later", &node, &st), -ENOENT);
	in(t, "i-2", "all", "etc/passwd", &st);
	assert_int_equal(st.st_size, 11);
	herd_tree_close(t);
	t = open_tree(&d, 8);
	assert_int_equal(find(t, "asg/later", &node, &st), 0);
	in(t, "i-2", "all", "etc/passwd", &st);
	assert_int_equal(st.st_size, 12);
	herd_tree_close(t);
	herd_buf_deinit(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_top),
		cmocka_unit_test(test_views),
		cmocka_unit_test(test_all),
		cmocka_unit_test(test_positions),
		cmocka_unit_test(test_read_mapped),
		cmocka_unit_test(test_read_not_mapped),
		cmocka_unit_test(test_read_odd),
		cmocka_unit_test(test_seek),
		cmocka_unit_test(test_special_and_links),
		cmocka_unit_test(test_attributes),
		cmocka_unit_test(test_own_attributes),
		cmocka_unit_test(test_generated),
		cmocka_unit_test(test_lost_image),
		cmocka_unit_test(test_cut_image),
		cmocka_unit_test(test_random_nodes),
		cmocka_unit_test(test_threads),
		cmocka_unit_test(test_snapshot),
	};

	return cmocka_run_group_tests(tests, make_herd, drop_herd);
}
