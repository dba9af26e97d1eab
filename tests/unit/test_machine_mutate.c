/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A real image of memory with its kernel's structures changed at random, from
 * a fixed seed. Each is read or refused with a reason, and soon; what is read
 * keeps within the limits of machine.h; the sanitizers see to the rest.
 *
 * HERDFS_MEMORY_IMAGES: an image (raw), or a folder of folders that hold a
 * memory.raw each; skipped without. HERDFS_MUTATIONS: how many of each image
 * (100). A changed image is named by its number: HERDFS_MUTATION does that one
 * alone.
 */
#include "tests/unit/image_util.h"

#include "acquire/base/buf.h"
#include "acquire/source_impl.h"
#include "index/memory/machine.h"

#include <fcntl.h>
#include <glob.h>
#include <stdio.h>
#include <sys/stat.h>

#define CHANGES_MAX 4096u
#define SPOTS_MAX 65536u

/* ---- an image, and changes over it ---- */

struct change {
	uint64_t at;
	uint64_t value;
};

struct changed_image {
	struct herd_source s;
	int fd;
	uint8_t *touched; /* a bit a page: was read */
	struct change v[CHANGES_MAX];
	size_t n;
};

static int changed_read(struct herd_source *s, void *buf, size_t len,
			uint64_t off, struct herd_diag *diag)
{
	struct changed_image *c = (struct changed_image *)s;

	(void)diag;
	if (pread(c->fd, buf, len, (off_t)off) != (ssize_t)len)
		return -EIO;
	for (uint64_t p = off / 4096; p <= (off + len - 1) / 4096; p++)
		c->touched[p / 8] |= (uint8_t)(1u << p % 8);
	for (size_t i = 0; i < c->n; i++) {
		uint64_t at = c->v[i].at;

		if (at >= off && at + 8 <= off + len)
			memcpy((uint8_t *)buf + (at - off), &c->v[i].value, 8);
	}
	return 0;
}

static void changed_destroy(struct herd_source *s)
{
	struct changed_image *c = (struct changed_image *)s;

	close(c->fd);
	free(c->touched);
	herd_source_deinit(s);
	free(c);
}

static const struct herd_source_ops changed_ops = {
	.kind = "raw-memory",
	.read = changed_read,
	.destroy = changed_destroy,
};

static struct changed_image *open_image(const char *path)
{
	struct changed_image *c = calloc(1, sizeof(*c));
	struct stat st;

	assert_non_null(c);
	c->fd = open(path, O_RDONLY | O_CLOEXEC);
	assert_true(c->fd >= 0);
	assert_int_equal(fstat(c->fd, &st), 0);
	c->touched = calloc(1, (size_t)st.st_size / 4096 / 8 + 1);
	assert_non_null(c->touched);
	assert_int_equal(herd_source_init(&c->s, &changed_ops, "changed",
					  (uint64_t)st.st_size),
			 0);
	return c;
}

/* ---- reading it, and what has to hold of the result ---- */

static int read_machine(struct changed_image *c, struct herd_machine **ret)
{
	struct herd_memory_notes notes = { 0 };
	struct herd_kernel_options o = { 0 };
	struct herd_phys *phys = NULL;
	struct herd_kernel *k = NULL;
	struct herd_diag diag;
	int err = herd_phys_create(&c->s, &phys);

	herd_diag_clear(&diag);
	if (!err)
		err = herd_kernel_open(phys, &notes, &o, &k, &diag);
	if (!err)
		err = herd_machine_read(k, &notes, HERD_READ_ALL, ret, &diag);
	if (err)
		assert_true(diag.message[0] || err == -ENOMEM);
	herd_kernel_close(k);
	herd_phys_destroy(phys);
	return err;
}

static void check_file(const struct herd_mfile *f)
{
	assert_true(f->kind >= 0 && f->kind < HERD_MFILE_MAX);
	assert_true(strlen(f->path) <= HERD_MACHINE_PATH_MAX);
	assert_non_null(f->fs);
	for (size_t i = 1; i < f->n_cached; i++)
		assert_true(f->cached[i].index >=
			    f->cached[i - 1].index + f->cached[i - 1].pages);
}

static void check_maps(const struct herd_machine *m,
		       const struct herd_process *p)
{
	assert_true(p->n_vmas <= HERD_VMAS_MAX);
	for (size_t i = 0; i < p->n_vmas; i++) {
		const struct herd_vma *v = &p->vmas[i];

		assert_true(v->start < v->end);
		assert_true(!i || v->start >= p->vmas[i - 1].end);
		assert_true(v->file == HERD_NO_INDEX || v->file < m->n_files);
		assert_non_null(v->name);
	}
	assert_true(p->n_fds <= HERD_FDS_MAX);
	for (size_t i = 0; i < p->n_fds; i++) {
		assert_true(p->fds[i].file < m->n_files);
		assert_true(p->fds[i].socket == HERD_NO_INDEX ||
			    p->fds[i].socket < m->n_sockets);
		assert_non_null(p->fds[i].target);
	}
}

static void check_process(const struct herd_machine *m,
			  const struct herd_process *p)
{
	assert_int_equal(p->comm[16], 0);
	assert_true(memchr(p->tty, 0, sizeof(p->tty)) != NULL);
	assert_true(p->n_argv <= HERD_ARGS_MAX &&
		    p->n_environ <= HERD_ARGS_MAX);
	assert_true(p->n_auxv <= 64);
	assert_true(p->exe == HERD_NO_INDEX || p->exe < m->n_files);
	assert_true(p->cgroup && p->exe_target && p->cwd && p->root &&
		    p->problem);
	assert_true(p->n_threads > 0);
	assert_int_equal(p->threads[0].task, p->task);
	for (size_t i = 0; i < p->n_threads; i++)
		assert_int_equal(p->threads[i].comm[16], 0);
	check_maps(m, p);
}

static void check_machine(const struct herd_machine *m)
{
	size_t threads = 0;

	assert_true(m->n_processes && m->n_processes <= HERD_PROCESSES_MAX);
	assert_true(m->n_files <= HERD_MAPPED_FILES_MAX);
	assert_true(m->n_modules <= HERD_MODULES_MAX);
	for (size_t i = 0; i < m->n_files; i++)
		check_file(&m->files[i]);
	for (size_t i = 0; i < m->n_processes; i++) {
		check_process(m, &m->processes[i]);
		threads += m->processes[i].n_threads;
		assert_true(!i ||
			    m->processes[i].pid >= m->processes[i - 1].pid);
	}
	assert_true(threads <= HERD_THREADS_MAX);
	for (size_t i = 0; i < m->n_problems; i++)
		assert_true(m->problems[i].where && m->problems[i].text &&
			    m->problems[i].count);
}

/* What the store would be given is taken back from it. */
static void check_code(const struct herd_machine *m)
{
	struct herd_buf CLEANUP_BUF b = HERD_BUF_INIT;
	struct herd_machine *back = NULL;

	assert_int_equal(herd_machine_encode(m, &b), 0);
	assert_int_equal(herd_buf_error(&b), 0);
	assert_int_equal(herd_machine_decode(b.data, b.len, &back), 0);
	assert_int_equal(back->n_processes, m->n_processes);
	check_machine(back);
	herd_machine_destroy(back);
}

/* ---- where it pays to change something ---- */

static uint64_t spots[SPOTS_MAX];
static size_t n_spots;

static void add_spots(const struct herd_machine *m, uint64_t va, uint64_t len,
		      uint64_t size)
{
	uint64_t at = va - m->facts.page_offset;

	if (va < m->facts.page_offset || at >= size || len > size - at)
		return;
	for (uint64_t i = 0; i + 8 <= len && n_spots < SPOTS_MAX; i += 8)
		spots[n_spots++] = (at + i) & ~UINT64_C(7);
}

/* Half of it in tasks, address spaces, inodes; the rest wherever it was read. */
static void find_spots(const struct changed_image *c,
		       const struct herd_machine *m)
{
	n_spots = 0;
	for (size_t i = m->n_processes; i > 0; i--) {
		add_spots(m, m->processes[i - 1].task, 3200, c->s.size);
		add_spots(m, m->processes[i - 1].mm, 1024, c->s.size);
	}
	for (size_t i = 0; i < m->n_files; i++)
		add_spots(m, m->files[i].inode, 384, c->s.size);
}

static uint64_t random_state;

static uint64_t rnd(uint64_t below)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return random_state % below;
}

static uint64_t some_spot(const struct changed_image *c)
{
	uint64_t pages = c->s.size / 4096, p = rnd(pages);

	if (n_spots && rnd(2))
		return spots[rnd(n_spots)];
	while (!(c->touched[p / 8] >> p % 8 & 1))
		p = (p + 1) % pages;
	return p * 4096 + rnd(512) * 8;
}

static uint64_t word_at(const struct changed_image *c, uint64_t at)
{
	uint64_t v = 0;

	assert_int_equal(pread(c->fd, &v, 8, (off_t)at), 8);
	return v;
}

static uint64_t other_value(const struct changed_image *c,
			    const struct herd_machine *m, uint64_t at)
{
	static const uint64_t odd[] = {
		0,
		1,
		2,
		0xff,
		0x402,
		0x7fffffff,
		0xffffffff,
		UINT64_MAX,
		UINT64_C(1) << 63,
		UINT64_C(0xffff800000000000),
		UINT64_C(0xfffffffffffffff8),
		UINT64_C(0x7ffffffffffff000),
	};

	switch (rnd(5)) {
	case 0:
		return word_at(c, at) ^ UINT64_C(1) << rnd(64);
	case 1:
		return odd[rnd(ARRAY_SIZE(odd))];
	case 2: /* a pointer to itself, or nearby */
		return m->facts.page_offset + at + rnd(3) * 8;
	case 3:
		return word_at(c, at) + rnd(129) * 8 - 512;
	default: /* what stands somewhere else */
		return word_at(c, some_spot(c));
	}
}

static void mutate(struct changed_image *c, const struct herd_machine *m,
		   unsigned number)
{
	size_t n = rnd(8) ? 1 + rnd(16) : 1 + rnd(CHANGES_MAX - 1);

	random_state = UINT64_C(0x9e3779b97f4a7c15) * (number + 1);
	for (size_t i = 0; i < n; i++) {
		uint64_t at = some_spot(c);

		c->v[i] = (struct change){ at, other_value(c, m, at) };
	}
	c->n = n;
}

/* ---- links that are cut or bent ---- */

/* Where a member of a struct lies in the image. */
static uint64_t place(struct changed_image *c, const struct herd_machine *m,
		      uint64_t va, const char *type, const char *member)
{
	struct herd_memory_notes notes = { 0 };
	struct herd_kernel_options o = { 0 };
	struct herd_phys *phys = NULL;
	struct herd_kernel *k = NULL;
	struct herd_field f = { 0 };

	assert_int_equal(herd_phys_create(&c->s, &phys), 0);
	assert_int_equal(herd_kernel_open(phys, &notes, &o, &k, NULL), 0);
	int err = herd_kernel_field(k, type, member, &f);

	herd_kernel_close(k);
	herd_phys_destroy(phys);
	return err ? 0 : va + f.offset - m->facts.page_offset;
}

static size_t listed(const struct herd_machine *m)
{
	size_t n = 0;

	for (size_t i = 0; i < m->n_processes; i++)
		n += m->processes[i].seen & HERD_SEEN_LIST;
	return n;
}

static bool has_problem(const struct herd_machine *m, const char *where)
{
	for (size_t i = 0; i < m->n_problems; i++)
		if (!strcmp(m->problems[i].where, where))
			return true;
	return false;
}

/* All processes are found whatever the list says; *ret_listed of them by it. */
static void read_bent(struct changed_image *c, const struct herd_machine *good,
		      size_t n_changes, size_t *ret_listed)
{
	struct herd_machine *m = NULL;

	c->n = n_changes;
	alarm(120);
	assert_int_equal(read_machine(c, &m), 0);
	alarm(0);
	c->n = 0;
	check_machine(m);
	assert_int_equal(m->n_processes, good->n_processes);
	assert_true(has_problem(m, "list of tasks"));
	*ret_listed = listed(m);
	herd_machine_destroy(m);
}

static void bend_list(const char *path)
{
	struct changed_image *c = open_image(path);
	struct herd_machine *good = NULL;
	size_t n;

	assert_int_equal(read_machine(c, &good), 0);
	uint64_t x = place(c, good, good->processes[good->n_processes / 3].task,
			   "task_struct", "tasks"),
		 y = place(c, good,
			   good->processes[good->n_processes / 3 * 2].task,
			   "task_struct", "tasks"),
		 base = good->facts.page_offset;
	const uint64_t bent[] = { base + x, base + x - 8, 0,
				  UINT64_C(0xdead000000000100),
				  UINT64_MAX - 7 };

	for (size_t i = 0; i < ARRAY_SIZE(bent); i++) {
		/* forward from its beginning, backward from its end */
		c->v[0] = (struct change){ x, bent[i] };
		read_bent(c, good, 1, &n);
		assert_int_equal(n, listed(good));
		/* what lies between two breaks is found by other views */
		c->v[1] = (struct change){ y + 8, bent[i] };
		read_bent(c, good, 2, &n);
		assert_in_range(n, 2, listed(good) - 1);
	}
	/* a circle that does not come by its head */
	c->v[0] = (struct change){ y, base + x };
	read_bent(c, good, 1, &n);
	assert_int_equal(n, listed(good));
	herd_machine_destroy(good);
	herd_source_destroy(&c->s);
}

/* ---- the tests ---- */

static void mutate_image(const char *path)
{
	const char *many = getenv("HERDFS_MUTATIONS"),
		   *one = getenv("HERDFS_MUTATION");
	unsigned from = one ? (unsigned)atoi(one) : 0,
		 n = one  ? from + 1 :
		     many ? (unsigned)atoi(many) :
			    100;
	struct changed_image *c = open_image(path);
	struct herd_machine *good = NULL;
	unsigned refused = 0;

	assert_int_equal(read_machine(c, &good), 0);
	check_machine(good);
	find_spots(c, good);
	for (unsigned i = from; i < n; i++) {
		struct herd_machine *m = NULL;

		random_state = i + 1;
		mutate(c, good, i);
		printf("%s: change %u\n", path, i);
		fflush(stdout);
		alarm(120); /* ends what does not end */
		int err = read_machine(c, &m);

		alarm(0);
		if (!err) {
			check_machine(m);
			check_code(m);
		}
		refused += err != 0;
		herd_machine_destroy(m);
		c->n = 0;
	}
	printf("%s: %u changed, %u refused\n", path, n - from, refused);
	/* A word out of place is no reason to refuse the whole. */
	assert_true(one || refused < n / 2 + 1);
	herd_machine_destroy(good);
	herd_source_destroy(&c->s);
}

static void each_image(void (*fn)(const char *path))
{
	const char *images = getenv("HERDFS_MEMORY_IMAGES");
	char pattern[4096];
	struct stat st;
	glob_t g = { 0 };

	if (!images || stat(images, &st) != 0) {
		printf("skip: HERDFS_MEMORY_IMAGES is not set\n");
		skip();
	}
	if (!S_ISDIR(st.st_mode)) {
		fn(images);
		return;
	}
	snprintf(pattern, sizeof(pattern), "%.4000s/*/memory.raw", images);
	assert_int_equal(glob(pattern, 0, NULL, &g), 0);
	for (size_t i = 0; i < g.gl_pathc; i++)
		fn(g.gl_pathv[i]);
	globfree(&g);
}

static void test_bent_list(void **state)
{
	(void)state;
	each_image(bend_list);
}

static void test_changed(void **state)
{
	(void)state;
	each_image(mutate_image);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_bent_list),
		cmocka_unit_test(test_changed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
