/* SPDX-License-Identifier: Apache-2.0 */
/*
 * memory/ and memory.raw in the tree, over a made-up herd whose members all
 * have a small memory made by hand: names, numbers, contents, holes, attributes,
 * many threads, and what is shown when images or records are bad.
 */
#include "tree_fixture.h"
#include "dump_fixture.h"
#include "machine_fixture.h"
#include "acquire/base/sha256.h"
#include "fs/tree_memory.h"
#include "index/knowledge.h"
#include "index/report_html.h"

#include <pthread.h>

#define MEMBERS 3
#define ODD 2

static struct tf herd;
static struct df ram;
static char ram_path[320];

/* ---- the herd ---- */

static struct herd_run text_runs[] = { { 0, 0x10000, 7 * HERD_PAGE } };
static const struct tf_file files[] = {
	{ "", { .ino = 2, .mode = S_IFDIR | 0755, .nlink = 2 }, 0, 0 },
	{ "usr", { .ino = 3, .mode = S_IFDIR | 0755, .nlink = 2 }, 0, 0 },
	{ "usr/bin", { .ino = 4, .mode = S_IFDIR | 0755, .nlink = 2 }, 0, 0 },
	{ "usr/bin/x", { .ino = 12, .mode = S_IFREG | 0755, .nlink = 1,
			 .size = 6 * HERD_PAGE + 100, .runs = text_runs,
			 .n_runs = 1, .content = HERD_CONTENT_RUNS,
			 .mtime = { 1600000000, 5 } }, 0, 0 },
};

enum { KTHREAD, DAEMON, TWIN, EVIL, PROCESSES };

static void make_machine(bool odd, struct herd_process v[PROCESSES],
			 struct herd_machine *m)
{
	static struct herd_page_change changes[2];
	static struct herd_module modules[] = {
		{ .name = "dummy", .used_by = (char *)"", .state = 'L',
		  .seen = HERD_MODULE_LIST } };
	static struct herd_hook hooks[] = {
		{ .kind = HERD_HOOK_SYSCALL, .number = 62,
		  .name = (char *)"sys_call_table[62]",
		  .target_name = (char *)"<\xc2\x9b\x1b> [x]" } };
	static struct herd_socket sockets[] = {
		{ .ino = 5, .family = 2, .type = 1, .protocol = 6, .state = 10,
		  .local = { 127, 0, 0, 1 }, .local_port = 22,
		  .path = (char *)"" },
		{ .ino = 6, .family = 1, .type = 1, .state = 1,
		  .path = (char *)"@nobody\n" } };
	static struct herd_fd fds[] = {
		{ .fd = 0, .file = DF_FILE_DEVICE, .socket = HERD_NO_INDEX,
		  .target = (char *)"/dev/mem" },
		{ .fd = 3, .file = DF_FILE_TEXT, .socket = HERD_NO_INDEX,
		  .target = (char *)"/usr/bin/x" },
		{ .fd = 7, .file = DF_FILE_MEMFD, .socket = HERD_NO_INDEX,
		  .target = (char *)"/memfd:x (deleted)" },
		{ .fd = 8, .file = DF_FILE_DEVICE, .socket = 0,
		  .target = (char *)"socket:[5]" } };

	for (int i = 0; i < PROCESSES; i++)
		v[i] = ram.process;
	v[KTHREAD] = (struct herd_process){
		.pid = 2, .comm = "kthreadd", .kthread = true,
		.exe = HERD_NO_INDEX, .exe_target = (char *)"",
		.cwd = (char *)"/", .root = (char *)"/", .cgroup = (char *)"/",
		.problem = (char *)"", .argv = (char *)"",
		.environ = (char *)"", .state = 'S' };
	v[DAEMON].fds = fds;
	v[DAEMON].n_fds = ARRAY_SIZE(fds);
	v[DAEMON].euid = 33;
	v[DAEMON].egid = 34;
	v[DAEMON].start_ns = 5000000001;
	strcpy(v[TWIN].comm, "a/..\n\x01");
	v[TWIN].seen = HERD_SEEN_SLAB;
	v[EVIL].pid = 900;
	v[EVIL].exe = DF_FILE_MEMFD;
	v[EVIL].exe_target = (char *)"/memfd:x (deleted)";
	strcpy(v[EVIL].comm, "evil");
	for (int i = DAEMON; i < PROCESSES; i++)
		v[i].seen |= i == TWIN ? 0 : HERD_SEEN_LIST | HERD_SEEN_PIDS |
					     HERD_SEEN_SLAB;
	changes[0] = (struct herd_page_change){ .process = HERD_NO_INDEX,
		.file = DF_FILE_TEXT, .index = 4, .origin = HERD_PAGE_CACHE,
		.phys = (DF_CONTENT + 4) * HERD_PAGE, .bytes = 3 };
	changes[1] = (struct herd_page_change){ .process = DAEMON,
		.file = DF_FILE_TEXT, .index = 3, .va = DF_TEXT + 3 * HERD_PAGE,
		.origin = HERD_PAGE_PRIVATE, .against = HERD_AGAINST_CACHE,
		.phys = (DF_CONTENT + 3) * HERD_PAGE, .bytes = 9 };
	*m = ram.m;
	m->processes = v;
	m->n_processes = odd ? PROCESSES : EVIL;
	m->boot_time = 1600000000;
	m->uptime_ns = 100000000000;
	m->modules = modules;
	m->n_modules = 1;
	m->hooks = hooks;
	m->n_hooks = odd;
	m->sockets = sockets;
	m->n_sockets = 2;
	m->page_changes = changes;
	m->n_page_changes = 2;
}

static void put_memory(uint32_t id, const void *bytes, size_t len)
{
	struct herd_stored_memory s = { .attached = 1700000001,
					.machine = bytes, .n_machine = len };
	struct herd_txn *t = NULL;

	assert_int_equal(herd_memory_probe(ram_path, "raw-memory", &s.image,
					   NULL), 0);
	assert_int_equal(herd_txn_begin(herd.store, true, &t, NULL), 0);
	assert_int_equal(herd_memory_put(t, id, &s), 0);
	assert_int_equal(herd_txn_commit(t, NULL), 0);
	herd_image_deinit(&s.image);
}

static void attach_memory(size_t i)
{
	struct herd_process v[PROCESSES];
	struct herd_buf b = HERD_BUF_INIT;
	struct herd_machine m;

	make_machine(i == ODD, v, &m);
	assert_int_equal(herd_machine_encode(&m, &b), 0);
	put_memory(herd.ids[i], b.data, b.len);
	herd_buf_deinit(&b);
}

static int make_herd(void **state)
{
	static const char *const names[] = { "i-1", "i-2", "i-3", "base",
					     "i-dumb" };
	int fd;

	(void)state;
	tf_open(&herd);
	df_setup(&ram, 4);
	ram.vmas[5].end = DF_BIG + 600 * HERD_PAGE;
	ram.files[DF_FILE_TEXT].mtime = (struct herd_time){ 1600000000, 5 };
	snprintf(ram_path, sizeof(ram_path), "%s/memory", herd.dir);
	fd = open(ram_path, O_WRONLY | O_CREAT, 0600);
	assert_int_equal(write(fd, ram.ram, DF_FRAMES * HERD_PAGE),
			 DF_FRAMES * HERD_PAGE);
	close(fd);
	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		tf_attach(&herd, names[i], i == MEMBERS ? HERD_ROLE_BASELINE :
			  HERD_ROLE_MEMBER, 1, files, ARRAY_SIZE(files));
	for (size_t i = 0; i <= MEMBERS; i++)
		attach_memory(i);
	return 0;
}

static int drop_herd(void **state)
{
	(void)state;
	df_teardown(&ram);
	tf_close(&herd);
	return 0;
}

/* ---- a tree on it ---- */

struct opener {
	int memory_says, disk_says;
	_Atomic unsigned opened;
};

static int copy_read(struct herd_source *s, void *buf, size_t len, uint64_t off,
		     struct herd_diag *diag)
{
	(void)s;
	return df_read_ram(&ram.source, buf, len, off, diag);
}
static void copy_destroy(struct herd_source *s)
{
	free(s->name);
	free(s);
}

static int open_disk(void *arg, uint32_t instance, uint32_t disk,
		     const struct herd_image *image, struct herd_source **ret,
		     struct herd_diag *diag)
{
	static const struct herd_source_ops ops = {
		.kind = "ram", .read = copy_read, .data_extents = df_data,
		.destroy = copy_destroy };
	struct opener *o = arg;

	(void)instance;
	o->opened++;
	if (disk != HERD_DISK_MEMORY)
		return o->disk_says ? o->disk_says :
		       herd_image_open(image, NULL, ret, diag);
	if (o->memory_says)
		return herd_diag_set(diag, o->memory_says, "memory",
				     HERD_NO_OFFSET, "no such image");
	*ret = calloc(1, sizeof(**ret));
	(*ret)->ops = &ops;
	(*ret)->name = strdup("ram");
	(*ret)->size = ram.source.size;
	return 0;
}

static struct herd_tree *open_tree(struct opener *o, unsigned cache_mb)
{
	const struct herd_tree_options options = { .cache_mb = cache_mb };
	struct herd_diag diag = { .offset = HERD_NO_OFFSET };
	struct herd_tree *t = NULL;

	if (herd_tree_open(herd.store, &options, open_disk, o, &t, &diag))
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

static uint64_t in(struct herd_tree *t, const char *path, struct stat *st)
{
	char whole[600];
	struct stat own;
	uint64_t node;

	snprintf(whole, sizeof(whole), "asg/web/%s", path);
	if (find(t, whole, &node, st ? st : &own))
		fail_msg("%s is not there", whole);
	return node;
}

static void not_in(struct herd_tree *t, const char *path)
{
	char whole[600];
	struct stat st;
	uint64_t node;

	snprintf(whole, sizeof(whole), "asg/web/%s", path);
	assert_int_equal(find(t, whole, &node, &st), -ENOENT);
}

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

/* All of a file, terminated; free it. */
static char *all_of(struct herd_tree *t, uint64_t node, size_t *ret_len)
{
	struct stat st;
	struct got g;

	assert_int_equal(herd_tree_getattr(t, node, &st), 0);
	assert_true(S_ISREG(st.st_mode));
	assert_true(st.st_size < HERD_TREE_READ_MAX);
	g.bytes = calloc(1, (size_t)st.st_size + 1);
	assert_int_equal(herd_tree_read(t, node, 0, (size_t)st.st_size + 1,
					take, &g), 0);
	assert_int_equal(g.n, st.st_size);
	if (ret_len)
		*ret_len = g.n;
	return (char *)g.bytes;
}

static void has_text(struct herd_tree *t, const char *path, const char *text)
{
	char *all = all_of(t, in(t, path, NULL), NULL);

	if (!strstr(all, text))
		fail_msg("%s has no \"%s\": %s", path, text, all);
	free(all);
}

static void lacks_text(struct herd_tree *t, const char *path, const char *text)
{
	char *all = all_of(t, in(t, path, NULL), NULL);

	if (strstr(all, text))
		fail_msg("%s has \"%s\": %s", path, text, all);
	free(all);
}

static void begins(struct herd_tree *t, const char *path, const char *text)
{
	char *all = all_of(t, in(t, path, NULL), NULL);

	assert_memory_equal(all, text, strlen(text));
	free(all);
}

static void has_attribute(struct herd_tree *t, const char *path,
			  const char *name, const char *want)
{
	char buf[1000];
	ssize_t n = herd_tree_getxattr(t, in(t, path, NULL), name, buf,
				       sizeof(buf) - 1);

	if (!want) {
		assert_int_equal(n, -ENODATA);
		return;
	}
	assert_true(n >= 0);
	buf[n] = 0;
	assert_string_equal(buf, want);
}

/* ---- walking ---- */

struct names {
	char v[64][256];
	uint64_t next[64], node[64];
	struct stat st[64];
	size_t n, stop;
};

static int add_name(void *arg, const char *name, uint64_t node,
		    const struct stat *st, uint64_t next)
{
	struct names *l = arg;

	assert_true(l->n < 64);
	snprintf(l->v[l->n], sizeof(l->v[0]), "%s", name);
	l->node[l->n] = node;
	l->st[l->n] = *st;
	l->next[l->n++] = next;
	return l->n == l->stop;
}

/* Any piece of a file is what the whole has there, and holes are zeros. */
static void check_file(struct herd_tree *t, uint64_t node)
{
	size_t size;
	char *all = all_of(t, node, &size);
	struct got g = { calloc(1, size + 1), 0 };
	uint64_t seed = node | 1, at = 0, to;

	for (int i = 0; i < 20 && size; i++) {
		seed = seed * 6364136223846793005ull + 1442695040888963407ull;
		uint64_t off = (seed >> 20) % size, len = (seed >> 40) % 9000;

		assert_int_equal(herd_tree_read(t, node, off, len, take, &g),
				 0);
		assert_int_equal(g.n, len < size - off ? len : size - off);
		assert_memory_equal(g.bytes, all + off, g.n);
	}
	while (!herd_tree_seek(t, node, at, false, &to)) {
		assert_true(to >= at && to < size);
		for (; at < to; at++)
			assert_int_equal(all[at], 0);
		assert_int_equal(herd_tree_seek(t, node, to, true, &at), 0);
		assert_true(at > to && at <= size);
		if (at == size)
			break;
	}
	for (; at < size; at++)
		assert_int_equal(all[at], 0);
	assert_int_equal(herd_tree_seek(t, node, size, false, &to), -ENXIO);
	free(g.bytes);
	free(all);
}

static void check_entry(struct herd_tree *t, uint64_t dir,
			const struct names *l, size_t i)
{
	struct stat st, again;
	char list[2000];
	uint64_t node;

	assert_int_equal(herd_tree_lookup(t, dir, l->v[i], &node, &st), 0);
	assert_true(node == l->node[i]);
	assert_int_equal(herd_tree_getattr(t, node, &again), 0);
	assert_memory_equal(&st, &again, sizeof(st));
	if (l->st[i].st_nlink)
		assert_memory_equal(&l->st[i], &st, sizeof(st));
	assert_int_equal(l->st[i].st_mode & S_IFMT, st.st_mode & S_IFMT);
	assert_null(strchr(l->v[i], '/'));
	assert_null(strchr(l->v[i], '\n'));
	assert_true(herd_tree_listxattr(t, node, list, sizeof(list)) >= 0);
	if (!S_ISREG(st.st_mode))
		return;
	/* the beginning, and from the middle on */
	struct got g = { malloc(65536), 0 };
	uint64_t to;

	for (int k = 0; k < 2; k++) {
		int err = herd_tree_read(t, node,
					 k ? (uint64_t)st.st_size / 2 : 0,
					 65536, take, &g);

		assert_true(err == 0 || err == -EIO);
		herd_tree_seek(t, node, (uint64_t)st.st_size / 2, k, &to);
	}
	free(g.bytes);
}

/* What it finds, each path a line. */
static void walk(struct herd_tree *t, uint64_t dir, const char *prefix,
		 bool contents, struct herd_buf *out)
{
	struct names *l = calloc(1, sizeof(*l));
	char path[400];

	assert_int_equal(herd_tree_readdir(t, dir, 0, add_name, l), 0);
	assert_string_equal(l->v[0], ".");
	assert_string_equal(l->v[1], "..");
	for (size_t i = 2; i < l->n; i++) {
		/* the disk's part has its own test */
		if (!strcmp(l->v[i], "disk"))
			continue;
		check_entry(t, dir, l, i);
		snprintf(path, sizeof(path), "%s%s", prefix, l->v[i]);
		herd_buf_printf(out, "%s\n", path);
		if (S_ISDIR(l->st[i].st_mode)) {
			strcat(path, "/");
			walk(t, l->node[i], path, contents, out);
		} else if (contents) {
			check_file(t, l->node[i]);
		}
	}
	free(l);
}

/* ---- tests ---- */

static void names_and_contents(void **state)
{
	static const unsigned caches[] = { 8, 0 };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(caches); i++) {
		struct opener o = { 0 };
		struct herd_tree *t = open_tree(&o, caches[i]);
		struct herd_buf out = HERD_BUF_INIT;

		walk(t, in(t, "i-3", NULL), "", true, &out);
		walk(t, in(t, "base", NULL), "base/", true, &out);
		herd_buf_u8(&out, 0);
		static const char *const want[] = {
			"deviant/memory/900-evil/core\n",
			"deviant/memory/900-evil/why.json\n",
			"deviant/memory/findings.txt\n",
			"all/memory/2-kthreadd/maps\n", "all/memory/812-x/exe\n",
			"all/memory/812-x/fd/3\n", "all/memory/812-x/fd/7\n",
			"812-x/vma/0000000000400000-0000000000408000.bin\n",
			"all/memory/812-x/pages/0000000000403000-x.bin\n",
			"all/memory/812-x/pages/0000000000404000-x.txt\n",
			"all/memory/812-a_..__~1/core\n",
			"all/memory/kernel/modules.json\n", "memory.raw\n",
			"base/all/memory/812-x/core\n", "base/memory.raw\n",
		};
		static const char *const not[] = {
			"deviant/memory/2-kthreadd", "2-kthreadd/core",
			"2-kthreadd/exe", "812-x/fd/0", "812-x/fd/8",
			"base/deviant", "base/all/memory/812-x/why.json",
		};
		for (size_t k = 0; k < ARRAY_SIZE(want); k++)
			if (!strstr((char *)out.data, want[k]))
				fail_msg("no %s in %s", want[k], out.data);
		for (size_t k = 0; k < ARRAY_SIZE(not); k++)
			if (strstr((char *)out.data, not[k]))
				fail_msg("%s in %s", not[k], out.data);
		herd_buf_deinit(&out);
		herd_tree_close(t);
	}
}

static void what_the_files_say(void **state)
{
	struct opener o = { 0 };
	struct herd_tree *t = open_tree(&o, 8);
	struct stat st;
	size_t n;
	char *all;

	(void)state;
	begins(t, "i-3/all/memory/812-x/maps",
	       "00400000-00408000 r-xp 00000000 08:01 12"
	       "                                 /usr/bin/x\n"
	       "00600000-00610000 rw-p 00000000 00:00 0"
	       "                                  [heap]\n"
	       "00700000-00704000 r-xp 00000000 00:00 77"
	       "                                 /memfd:x (deleted)\n");
	all = all_of(t, in(t, "i-3/all/memory/812-x/cmdline", NULL), &n);
	assert_int_equal(n, 5);
	assert_memory_equal(all, "x\0-d", 5);
	free(all);
	has_text(t, "i-3/all/memory/812-x/status", "State:\tS (sleeping)\n");
	has_text(t, "i-3/all/memory/812-x/status", "\tno registers\n");
	has_text(t, "i-3/all/memory/812-x/status", "MISSING: swapped out\n");
	lacks_text(t, "i-3/deviant/memory/findings.txt", "cannot be read");
	has_text(t, "i-3/all/memory/812-x/fd.txt", "\t/memfd:x (deleted)\n");
	has_text(t, "i-3/all/memory/812-x/sockets",
		 "fd 8\ttcp\tlistening\tino 5\tuid 0\tnetns 0\t127.0.0.1:22 ->");
	has_text(t, "i-3/all/memory/812-x/missing.txt",
		 "0000000000601000-0000000000602000           4 kB  swapped out"
		 "  [heap]\n");
	has_text(t, "i-3/all/memory/kernel/sockets.txt", "@nobody\\x0a\n");
	has_text(t, "i-3/all/memory/kernel/modules.txt", "dummy\t");
	has_text(t, "i-3/all/memory/processes.txt", "\ta/..\\x0a\\x01\t");
	has_text(t, "i-3/deviant/memory/processes.txt", "900\t1\t");
	has_text(t, "i-3/deviant/memory/900-evil/why.json", "\"pid\": 900");
	has_text(t, "i-3/all/memory/812-x/pages/0000000000403000-x.txt",
		 "private copy of the process");
	/* the siblings of this test have it all alike */
	has_text(t, "i-3/all/memory/812-x/pages/0000000000403000-x.txt",
		 "\nsiblings\t2 of 2 have a page here that differs, too: 2 have "
		 "this very page\n");
	has_text(t, "i-3/all/memory/812-x/pages/0000000000403000-x.txt",
		 "\nherd\t");
	begins(t, "i-3/all/memory/812-x/pages/0000000000403000-x.bin",
	       "frame 67");
	begins(t, "i-3/all/memory/812-x/pages/0000000000404000-x.bin",
	       "frame 68");
	begins(t, "i-3/all/memory/812-x/exe", "frame 64");
	begins(t, "i-3/all/memory/812-x/fd/3", "frame 64");
	has_text(t, "i-3/report.txt", "evil");
	/* of whom, and since when */
	in(t, "i-3/all/memory/812-x", &st);
	assert_int_equal(st.st_uid, 33);
	assert_int_equal(st.st_gid, 34);
	assert_int_equal(st.st_mtim.tv_sec, 1600000005);
	assert_int_equal(st.st_mtim.tv_nsec, 1);
	in(t, "i-3/all/memory/812-x/core", &st);
	assert_int_equal(st.st_mtim.tv_sec, 1600000100);
	in(t, "i-3/all/memory/812-x/exe", &st);
	assert_int_equal(st.st_mode, S_IFREG | 0755);
	assert_int_equal(st.st_size, 6 * HERD_PAGE + 100);
	assert_int_equal(st.st_mtim.tv_sec, 1600000000);
	in(t, "i-3/memory.raw", &st);
	assert_int_equal(st.st_size, DF_FRAMES * HERD_PAGE);
	assert_int_equal(st.st_blocks, DF_GAP * HERD_PAGE / 512);
	herd_tree_close(t);
}

/* Of a program: what the cache has not got is the disk's. */
static void a_program_from_cache_and_disk(void **state)
{
	struct opener o = { 0 };
	struct herd_tree *t = open_tree(&o, 8);
	char *all = all_of(t, in(t, "i-1/all/memory/812-x/exe", NULL), NULL);
	const uint8_t *disk = herd.images[0] + TF_VOLUME_START + 0x10000;
	struct stat st;
	size_t n;

	(void)state;
	assert_memory_equal(all, df_frame(&ram, DF_CONTENT), 2 * HERD_PAGE);
	assert_memory_equal(all + 2 * HERD_PAGE, disk + 2 * HERD_PAGE,
			    2 * HERD_PAGE);
	assert_memory_equal(all + 4 * HERD_PAGE, df_frame(&ram, DF_CONTENT + 4),
			    HERD_PAGE);
	assert_memory_equal(all + 5 * HERD_PAGE, disk + 5 * HERD_PAGE,
			    HERD_PAGE + 100);
	free(all);
	/* its end was never touched */
	all = all_of(t, in(t, "i-1/all/memory/812-x/vma/"
			   "0000000000600000-0000000000610000.bin", &st), &n);
	assert_int_equal(st.st_size, 5 * HERD_PAGE);
	assert_int_equal(n, 5 * HERD_PAGE);
	assert_memory_equal(all, df_frame(&ram, DF_CONTENT + 20), HERD_PAGE);
	free(all);
	all = all_of(t, in(t, "i-1/all/memory/812-x/vma/"
			   "0000000000400000-0000000000408000.bin", NULL),
		     NULL);
	assert_memory_equal(all + 2 * HERD_PAGE, disk + 2 * HERD_PAGE,
			    HERD_PAGE);
	free(all);
	has_attribute(t, "i-1/all/memory/812-x/exe", "user.herdfs.from",
		      "12288 bytes from the page cache; 16384 bytes from the "
		      "disk image");
	has_attribute(t, "i-1/all/memory/812-x/exe", "user.herdfs.missing",
		      NULL);
	herd_tree_close(t);
}

/* What nobody counted is not said to be 0. */
static void what_was_not_judged(void **state)
{
	struct herd_report_memory m;
	struct herd_buf out = HERD_BUF_INIT;
	struct herd_txn *txn = NULL;
	struct herd_json j;

	(void)state;
	assert_int_equal(herd_txn_begin(herd.store, false, &txn, NULL), 0);
	assert_int_equal(herd_report_memory_make(txn, NULL, herd.ids[ODD], &m,
						 NULL), 0);
	herd_json_begin(&j, &out, 0);
	herd_json_object(&j, NULL);
	herd_report_memory_json(&m, &j);
	herd_json_end(&j);
	assert_int_equal(herd_json_finish(&j), 0);
	herd_report_memory_text(&m, &out);
	m.outside = true;
	herd_report_memory_text(&m, &out);
	herd_buf_u8(&out, 0);
	assert_non_null(strstr((char *)out.data, "\"processes\": 4"));
	assert_non_null(strstr((char *)out.data, "\nnot judged: the memories"));
	assert_non_null(strstr((char *)out.data, "\nnot judged: the baseline"));
	assert_null(strstr((char *)out.data, "\"members\""));
	assert_null(strstr((char *)out.data, "deviant"));
	assert_null(strstr((char *)out.data, "volatile"));
	herd_report_memory_deinit(&m);
	herd_txn_abort(txn);
	herd_buf_deinit(&out);
	/* what was, is */
	struct opener o = { 0 };
	struct herd_tree *t = open_tree(&o, 8);

	has_text(t, "i-3/report.json", "\"members\": 3");
	herd_tree_close(t);
}

static void the_readme_knows_memory(void **state)
{
	static const char *const want[] = {
		"deviant/memory/", "all/memory/", "memory.raw", "findings.txt",
		"missing.txt", "problems.txt", "set sysroot all/disk",
	};
	struct opener o = { 0 };
	struct herd_tree *t = open_tree(&o, 8);

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(want); i++)
		has_text(t, "README.txt", want[i]);
	herd_tree_close(t);
}

/* What an image has for names is escaped once, for people and for the page. */
static void a_hostile_name_on_the_page(void **state)
{
	struct herd_diag diag = { .offset = HERD_NO_OFFSET };
	const struct herd_knowledge_files none = { .rules = "/dev/null" };
	struct herd_report_page asked = { .txn = NULL };
	struct herd_knowledge *k = NULL;
	struct herd_memory_herd *memory = NULL;
	struct herd_buf out = HERD_BUF_INIT;
	struct herd_herd *h = NULL;
	struct herd_txn *txn = NULL;
	struct herd_group g;

	(void)state;
	assert_int_equal(herd_txn_begin(herd.store, false, &txn, NULL), 0);
	assert_int_equal(herd_group_find(txn, "web", &g), 0);
	assert_int_equal(herd_herd_make(txn, &g, &h, NULL), 0);
	assert_int_equal(herd_memory_herd_make(txn, h, &memory, NULL), 0);
	assert_int_equal(herd_knowledge_open(&none, 0, &k, NULL), 0);
	herd_herd_set_knowledge(h, k);
	asked.txn = txn;
	asked.herd = h;
	asked.memory = memory;
	if (herd_report_html(&asked, &out, &diag))
		fail_msg("%s", diag.message);
	herd_buf_u8(&out, 0);
	assert_non_null(strstr((char *)out.data, "hook sys_call_table[62] -&gt; "
			       "&lt;\\xc2\\x9b^[&gt; [x]"));
	assert_null(strstr((char *)out.data, "\\x5cx"));
	assert_null(memchr(out.data, 0x1b, out.len));
	herd_memory_herd_destroy(memory);
	herd_herd_destroy(h);
	herd_knowledge_close(k);
	herd_txn_abort(txn);
	herd_buf_deinit(&out);
}

/* Each line's digest is that of what is there; which there are. */
static void the_manifest_has_the_texts(void **state)
{
	static const char *const want[] = {
		"/processes.txt\n", "/900-evil/maps\n",
		"/900-evil/environ\n", "/900-evil/sockets\n",
		"/900-evil/why.json\n", "\n# ",
		"/812-x/pages/0000000000403000-x.txt\n",
	};
	static const char *const not[] = { "/core\n", "/status\n", ".bin\n",
					   "/missing.txt\n", "/exe\n", "/findings.txt\n",
					   "2-kthreadd", "not listed" };
	struct opener o = { 0 };
	struct herd_tree *t = open_tree(&o, 8);
	char *all = all_of(t, in(t, "i-3/MANIFEST.sha256", NULL), NULL);
	char path[400], hex[65];
	size_t lines = 0, n;
	uint8_t digest[32];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(want); i++)
		assert_non_null(strstr(all, want[i]));
	for (size_t i = 0; i < ARRAY_SIZE(not); i++)
		if (strstr(all, not[i]))
			fail_msg("%s in %s", not[i], all);
	for (char *line = all; *line; line += strcspn(line, "\n") + 1) {
		if (!(line[64] == ' ' && !strncmp(line + 66, "deviant/memory/",
						  15)))
			continue;
		snprintf(path, sizeof(path), "i-3/%.*s",
			 (int)strcspn(line + 66, "\n"), line + 66);
		char *text = all_of(t, in(t, path, NULL), &n);

		herd_sha256(text, n, digest);
		assert_memory_equal(line, herd_hex(digest, 32, hex), 64);
		free(text);
		lines++;
	}
	assert_true(lines >= 8);
	free(all);
	all = all_of(t, in(t, "i-dumb/MANIFEST.sha256", NULL), NULL);
	assert_null(strstr(all, "memory"));
	free(all);
	assert_int_equal(o.opened, 0);	/* out of the index alone */
	herd_tree_close(t);
}

/* Of an image that has very many pages the list is not to take for ever. */
static void the_manifest_ends(void **state)
{
	enum { MANY = 4200 };
	struct herd_page_change *changes = calloc(MANY, sizeof(*changes));
	struct herd_process v[PROCESSES];
	struct herd_buf b = HERD_BUF_INIT;
	struct opener o = { 0 };
	struct herd_machine m;
	struct herd_tree *t;
	size_t lines = 0;
	char *all;

	(void)state;
	make_machine(true, v, &m);
	for (unsigned i = 0; i < MANY; i++)
		changes[i] = (struct herd_page_change){ .process = EVIL,
			.file = DF_FILE_TEXT, .index = i, .bytes = 1,
			.va = DF_TEXT + i * (uint64_t)HERD_PAGE,
			.origin = HERD_PAGE_PRIVATE,
			.against = HERD_AGAINST_CACHE };
	m.page_changes = changes;
	m.n_page_changes = MANY;
	assert_int_equal(herd_machine_encode(&m, &b), 0);
	put_memory(herd.ids[ODD], b.data, b.len);
	t = open_tree(&o, 8);
	all = all_of(t, in(t, "i-3/MANIFEST.sha256", NULL), NULL);
	for (const char *at = all; (at = strstr(at, "/pages/")); at++)
		lines++;
	assert_int_equal(lines, 4096);
	assert_non_null(strstr(all, "\n# 104 texts more of pages/ are not "
				    "listed: these are 4096.\n"));
	free(all);
	herd_tree_close(t);
	herd_buf_deinit(&b);
	free(changes);
	attach_memory(ODD);
}

static void attributes(void **state)
{
	struct opener o = { 0 };
	struct herd_tree *t = open_tree(&o, 8);

	(void)state;
	has_attribute(t, "i-3/all/memory/812-x/vma/"
		      "0000000000600000-0000000000610000.bin",
		      "user.herdfs.missing", "4096 bytes swapped out; 4096 "
		      "bytes not in the image of the memory; 4096 bytes being "
		      "moved, or poisoned");
	has_attribute(t, "i-3/all/memory/812-x/core", "user.herdfs.registers",
		      "of 3 threads, 1 without");
	has_attribute(t, "i-3/all/memory/812-x/fd/7", "user.herdfs.target",
		      "/memfd:x (deleted)");
	has_attribute(t, "i-3/all/memory/900-evil", "user.herdfs.class",
		      "deviant");
	has_attribute(t, "i-3/all/memory/2-kthreadd", "user.herdfs.class",
		      "same");
	has_attribute(t, "base/all/memory/812-x", "user.herdfs.class", NULL);
	has_attribute(t, "i-3/all/memory/812-x/maps", "user.herdfs.target",
		      NULL);
	has_attribute(t, "i-3/memory.raw", "user.herdfs.format", "raw-memory");
	herd_tree_close(t);
}

static void the_whole_memory(void **state)
{
	struct opener o = { 0 };
	struct herd_tree *t = open_tree(&o, 8);
	char *all = all_of(t, in(t, "i-2/memory.raw", NULL), NULL);
	uint64_t node = in(t, "i-2/memory.raw", NULL), at;

	(void)state;
	assert_memory_equal(all, ram.ram, DF_GAP * HERD_PAGE);
	for (uint64_t i = DF_GAP * HERD_PAGE; i < DF_FRAMES * HERD_PAGE; i++)
		assert_int_equal(all[i], 0);
	assert_int_equal(herd_tree_seek(t, node, 5, false, &at), 0);
	assert_int_equal(at, 5);
	assert_int_equal(herd_tree_seek(t, node, 5, true, &at), 0);
	assert_int_equal(at, DF_GAP * HERD_PAGE);
	assert_int_equal(herd_tree_seek(t, node, at, true, &at), 0);
	assert_int_equal(at, DF_GAP * HERD_PAGE);
	assert_int_equal(herd_tree_seek(t, node, at, false, &at), -ENXIO);
	free(all);
	herd_tree_close(t);
}

static void who_has_none_shows_none(void **state)
{
	struct opener o = { 0 };
	struct herd_tree *t = open_tree(&o, 8);
	struct stat st;

	(void)state;
	not_in(t, "i-dumb/memory.raw");
	not_in(t, "i-dumb/all/memory");
	not_in(t, "i-dumb/deviant/memory");
	not_in(t, "base/deviant/memory");
	not_in(t, "i-1/herd/memory");
	not_in(t, "i-1/deviant/memory/2-kthreadd");
	not_in(t, "i-3/deviant/memory/2-kthreadd");
	not_in(t, "i-3/all/memory/812-");
	not_in(t, "i-3/all/memory/812-a/..");
	not_in(t, "i-3/all/memory/0812-x");
	not_in(t, "i-3/all/memory/kernel/findings.txt");
	not_in(t, "i-3/all/memory/812-x/fd/03");
	not_in(t, "i-3/all/memory/812-x/vma/400000-408000.bin");
	for (int view = 0; view < 3; view++)
		assert_int_equal(herd_tree_getattr(t, herd_node_memory(
			view, herd.ids[4], HERD_MEMORY_DIR), &st), -ENOENT);
	herd_tree_close(t);
}

/* Numbers that nobody was given. */
static void any_number(void **state)
{
	struct opener o = { 0 };
	struct herd_tree *t = open_tree(&o, 8);
	uint64_t seed = 99, found = 0;
	struct got g = { malloc(HERD_TREE_READ_MAX), 0 };

	(void)state;
	for (int i = 0; i < 20000; i++) {
		struct stat st;
		char buf[100];
		uint64_t at;

		seed = seed * 6364136223846793005ull + 1442695040888963407ull;
		uint64_t node = herd_node_memory(seed >> 60, herd.ids[seed >> 40
			& 3], (uint32_t)(seed >> 20) & (i & 1 ? 0xff : ~0u));
		int err = herd_tree_getattr(t, node, &st);

		assert_true(err == 0 || err == -ENOENT);
		found += !err;
		assert_true(herd_tree_seek(t, node, 1, i & 2, &at) <= 0);
		herd_tree_listxattr(t, node, buf, sizeof(buf));
		if (err || !S_ISREG(st.st_mode))
			assert_true(herd_tree_read(t, node, 0, 10, take, &g) <
				    0);
	}
	assert_true(found > 100);
	free(g.bytes);
	herd_tree_close(t);
}

static void positions(void **state)
{
	static const char *const dirs[] = {
		"i-3", "i-3/all", "i-3/all/memory", "i-3/deviant/memory",
		"i-3/all/memory/kernel", "i-3/all/memory/812-x",
		"i-3/all/memory/812-x/fd", "i-3/all/memory/812-x/vma",
		"i-3/all/memory/812-x/pages",
	};
	struct opener o = { 0 };
	struct herd_tree *t = open_tree(&o, 0);
	struct names *all = malloc(sizeof(*all)), *one = malloc(sizeof(*one));

	(void)state;
	for (size_t k = 0; k < ARRAY_SIZE(dirs); k++) {
		uint64_t dir = in(t, dirs[k], NULL);

		all->n = all->stop = 0;
		herd_tree_readdir(t, dir, 0, add_name, all);
		assert_true(all->n > 2);
		for (size_t i = 0; i < all->n; i++) {
			one->n = 0;
			one->stop = 1;
			assert_true(!i || all->next[i] > all->next[i - 1]);
			herd_tree_readdir(t, dir, i ? all->next[i - 1] : 0,
					  add_name, one);
			assert_int_equal(one->n, 1);
			assert_string_equal(one->v[0], all->v[i]);
		}
		one->n = 0;
		herd_tree_readdir(t, dir, all->next[all->n - 1], add_name, one);
		assert_int_equal(one->n, 0);
	}
	free(all);
	free(one);
	herd_tree_close(t);
}

/* ---- when things are bad ---- */

static int count_failure(void *arg, const char *line)
{
	(void)line;
	++*(unsigned *)arg;
	return 0;
}

static void the_image_is_gone(void **state)
{
	struct opener o = { .memory_says = -ENOENT };
	struct herd_tree *t = open_tree(&o, 8);
	struct got g = { malloc(4096), 0 };
	unsigned failures = 0;
	struct stat st;
	uint64_t node = in(t, "i-3/all/memory/812-x/core", &st), at;

	(void)state;
	/* names, sizes and what the index has are there */
	assert_true(st.st_size > 1000 * HERD_PAGE / 4);
	has_text(t, "i-3/all/memory/812-x/status", "cannot be read\n");
	has_text(t, "i-3/all/memory/812-x/maps", "[stack]");
	assert_int_equal(herd_tree_read(t, node, 0, 100, take, &g), -EIO);
	assert_int_equal(herd_tree_seek(t, node, 0, false, &at), -EIO);
	node = in(t, "i-3/all/memory/812-x/exe", &st);
	assert_int_equal(st.st_size, 6 * HERD_PAGE + 100);
	assert_int_equal(herd_tree_read(t, node, 0, 100, take, &g), -EIO);
	assert_int_equal(find(t, "asg/web/i-3/memory.raw", &node, &st), -EIO);
	/* a page of it may be worth a place: nobody knows */
	in(t, "i-3/all/memory/812-x/vma/0000000000600000-0000000000610000.bin",
	   &st);
	assert_int_equal(st.st_size, 16 * HERD_PAGE);
	/* and it is told where one looks */
	has_text(t, "i-3/all/memory/812-x/missing.txt", "cannot be read\n");
	has_text(t, "i-3/deviant/memory/findings.txt", "cannot be read");
	herd_tree_each_failure(t, count_failure, &failures);
	assert_int_equal(failures, 1);
	free(g.bytes);
	herd_tree_close(t);
}

/* The same image by a name in S3. */
static void put_remote(size_t i)
{
	char raw[] = "raw-memory", url[] = "s3://bucket/memory";
	struct herd_image_file file = { .path = url,
					.size = DF_FRAMES * HERD_PAGE };
	struct herd_stored_memory s = { .attached = 1700000001 };
	struct herd_process v[PROCESSES];
	struct herd_buf b = HERD_BUF_INIT;
	struct herd_txn *t = NULL;
	struct herd_machine m;

	make_machine(i == ODD, v, &m);
	assert_int_equal(herd_machine_encode(&m, &b), 0);
	s.machine = b.data;
	s.n_machine = b.len;
	s.image = (struct herd_image){ .format = raw, .size = file.size,
				       .files = &file, .n_files = 1 };
	assert_int_equal(herd_txn_begin(herd.store, true, &t, NULL), 0);
	assert_int_equal(herd_memory_put(t, herd.ids[i], &s), 0);
	assert_int_equal(herd_txn_commit(t, NULL), 0);
	herd_buf_deinit(&b);
}

static void fails_now(struct herd_tree *t, const char *path)
{
	struct stat st;
	uint64_t node;

	assert_int_equal(find(t, path, &node, &st), -EIO);
}

/* What was said while AWS did not answer is not what is said ever after. */
static void the_image_is_away(void **state)
{
	struct opener o = { .memory_says = -EIO };
	struct herd_tree *t;

	(void)state;
	put_remote(ODD);
	t = open_tree(&o, 8);
	/* nobody fetches an image for a listing */
	lacks_text(t, "i-3/deviant/memory/findings.txt", "not be read");
	has_text(t, "i-3/all/memory/812-x/maps", "[stack]");
	assert_int_equal(o.opened, 0);
	fails_now(t, "asg/web/i-3/all/memory/812-x/missing.txt");
	fails_now(t, "asg/web/i-3/all/memory/812-x/status");
	/* no memory of its own: nothing of it is in the image */
	has_text(t, "i-3/all/memory/2-kthreadd/status", "kthreadd");
	assert_true(o.opened > 0);
	o.memory_says = 0;
	has_text(t, "i-3/all/memory/812-x/missing.txt", "swapped out");
	has_text(t, "i-3/all/memory/812-x/status", "MISSING: swapped out\n");
	herd_tree_close(t);
	/* what is known is told, with when it was so */
	o.memory_says = -EIO;
	t = open_tree(&o, 8);
	fails_now(t, "asg/web/i-3/all/memory/812-x/missing.txt");
	has_text(t, "i-3/deviant/memory/findings.txt",
		 "could not be read when this was made: s3://bucket/memory\n");
	herd_tree_close(t);
	/* another object of that name: for good */
	o.memory_says = -ESTALE;
	t = open_tree(&o, 8);
	has_text(t, "i-3/all/memory/812-x/missing.txt", "cannot be read\n");
	has_text(t, "i-3/all/memory/812-x/status", "cannot be read\n");
	has_text(t, "i-3/deviant/memory/findings.txt", "memory cannot be read");
	herd_tree_close(t);
	attach_memory(ODD);
}

static void the_disk_is_gone(void **state)
{
	struct opener o = { .disk_says = -ENOENT };
	struct herd_tree *t = open_tree(&o, 8);

	(void)state;
	begins(t, "i-3/all/memory/812-x/exe", "frame 64");
	has_attribute(t, "i-3/all/memory/812-x/exe", "user.herdfs.missing",
		      "16384 bytes of a file that the disk image has not got "
		      "like this");
	herd_tree_close(t);
}

static void a_damaged_record(void **state)
{
	struct opener o = { 0 };
	struct herd_tree *t;
	struct stat st;
	uint64_t node;

	(void)state;
	put_memory(herd.ids[1], "rubbish", 7);
	t = open_tree(&o, 8);
	assert_true(find(t, "asg/web/i-2/all/memory/processes.txt", &node,
			 &st) == -EIO);
	in(t, "i-2/all/disk/usr/bin/x", NULL);
	/* the others cannot be judged by it; they are shown */
	begins(t, "i-3/all/memory/812-x/exe", "frame 64");
	in(t, "i-3/report.txt", NULL);
	in(t, "i-2/memory.raw", NULL);
	has_text(t, "i-3/MANIFEST.sha256", "could not be read");
	herd_tree_close(t);
	attach_memory(1);
}

/* Machines that no kernel ever had. */
static void any_machine_at_all(void **state)
{
	(void)state;
	for (uint64_t seed = 1; seed <= 60; seed++) {
		struct herd_machine *m = any_machine(seed);
		struct herd_buf b = HERD_BUF_INIT, out = HERD_BUF_INIT;
		struct opener o = { 0 };
		struct herd_tree *t;

		for (size_t i = 0; i < m->n_processes; i++)
			if (seed % 2) {	/* tables that lead somewhere */
				m->processes[i].space.pgd = HERD_PAGE;
				m->processes[i].space.levels = 4;
			}
		assert_int_equal(herd_machine_encode(m, &b), 0);
		put_memory(herd.ids[1], b.data, b.len);
		t = open_tree(&o, 8);
		walk(t, in(t, "i-2", NULL), "", false, &out);
		herd_tree_close(t);
		herd_buf_deinit(&b);
		herd_buf_deinit(&out);
		herd_machine_destroy(m);
	}
	attach_memory(1);
}

/* ---- many threads ---- */

struct worker {
	struct herd_tree *t;
	uint64_t seed;
	pthread_t thread;
};

static void *work(void *arg)
{
	static const char *const paths[] = {
		"i-1/all/memory/812-x/core", "i-2/all/memory/812-x/exe",
		"i-3/all/memory/900-evil/core", "i-3/memory.raw",
		"i-3/deviant/memory/900-evil/status",
		"i-1/all/memory/812-x/missing.txt", "i-2/report.txt",
		"i-2/all/memory/812-a_..__~1/pages/0000000000404000-x.bin",
	};
	struct worker *w = arg;
	struct got g = { malloc(HERD_TREE_READ_MAX), 0 };

	for (int i = 0; i < 200; i++) {
		struct stat st;
		char buf[4000];
		uint64_t at, node = in(w->t, paths[(w->seed >> 40) %
						   ARRAY_SIZE(paths)], &st);

		w->seed = w->seed * 6364136223846793005ull + 1;
		assert_int_equal(herd_tree_read(w->t, node, (w->seed >> 30) %
						(uint64_t)st.st_size, 5000,
						take, &g), 0);
		herd_tree_seek(w->t, node, 0, i & 1, &at);
		herd_tree_listxattr(w->t, node, buf, sizeof(buf));
	}
	free(g.bytes);
	return NULL;
}

static void many_threads(void **state)
{
	struct opener o = { 0 };
	struct herd_tree *t = open_tree(&o, 0);
	struct worker w[8];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(w); i++) {
		w[i] = (struct worker){ .t = t, .seed = i * 7919 + 1 };
		assert_int_equal(pthread_create(&w[i].thread, NULL, work,
						&w[i]), 0);
	}
	for (size_t i = 0; i < ARRAY_SIZE(w); i++)
		pthread_join(w[i].thread, NULL);
	herd_tree_close(t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names_and_contents),
		cmocka_unit_test(what_the_files_say),
		cmocka_unit_test(a_program_from_cache_and_disk),
		cmocka_unit_test(what_was_not_judged),
		cmocka_unit_test(the_readme_knows_memory),
		cmocka_unit_test(a_hostile_name_on_the_page),
		cmocka_unit_test(the_manifest_has_the_texts),
		cmocka_unit_test(the_manifest_ends),
		cmocka_unit_test(attributes),
		cmocka_unit_test(the_whole_memory),
		cmocka_unit_test(who_has_none_shows_none),
		cmocka_unit_test(any_number),
		cmocka_unit_test(positions),
		cmocka_unit_test(the_image_is_gone),
		cmocka_unit_test(the_image_is_away),
		cmocka_unit_test(the_disk_is_gone),
		cmocka_unit_test(a_damaged_record),
		cmocka_unit_test(any_machine_at_all),
		cmocka_unit_test(many_threads),
	};
	return cmocka_run_group_tests(tests, make_herd, drop_herd);
}
