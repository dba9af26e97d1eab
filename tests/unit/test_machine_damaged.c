/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Machines out of images of real guests that were damaged: lists in circles,
 * pages missing, what is read changed at random.
 *
 * HERDFS_MEMORY_ROUNDS: how often an image is changed (40).
 */
#include "tests/unit/machine_image.h"

#include "index/memory/machine_judge.h"

/* Lists that run in circles end, and the rest is read all the same. */
static void test_circles(void **state)
{
	struct lying *l = open_image("mini-6.1");
	struct herd_phys *phys = NULL;
	struct herd_machine *m;
	struct herd_kernel *k;
	struct herd_field list;
	uint64_t head, first;

	(void)state;
	if (!l)
		skip();
	k = kernel_of(l, &phys);
	head = symbol(k, "modules");
	assert_int_equal(herd_kernel_u64(k, head, &first), 0);
	assert_int_equal(herd_kernel_field(k, "module", "list", &list), 0);
	patch(l, phys, k, first, first);
	patch(l, phys, k, symbol(k, "ftrace_ops_list"), first);
	head = symbol(k, "net_namespace_list");
	assert_int_equal(herd_kernel_u64(k, head, &first), 0);
	patch(l, phys, k, first, first);
	l->lies = true;
	m = read_machine(l, MINE);
	check_machine(m);
	/* the others are in the tree and in sysfs */
	assert_true(m->n_modules > 5);
	assert_non_null(module_named(m, "overlay"));
	assert_true(m->n_sockets > 30);
	herd_machine_destroy(m);
	herd_kernel_close(k);
	herd_phys_destroy(phys);
	close_image(l);
}

/* ---- lists that end too early ---- */

/* LIST_POISON1: no address, and what a list has that was taken apart. */
#define POISON 0xdead000000000100ULL

/* How many subjects of the only memory there is have the mark. */
static unsigned marked(const struct herd_machine *m, uint32_t mark)
{
	struct herd_machine_finding *v;
	struct herd_flock *f;
	unsigned n = 0;
	size_t all;

	assert_int_equal(herd_flock_create(&f), 0);
	assert_int_equal(herd_machine_judge(f, 0, m, NULL, NULL, &v, &all), 0);
	for (size_t i = 0; i < all; i++)
		n += (v[i].marks & mark) != 0;
	herd_machine_findings_free(v, all);
	herd_flock_destroy(f);
	return n;
}

static bool first_problem(const struct herd_machine *m, const char *where,
			  const char *text)
{
	return m->n_problems && !strcmp(m->problems[0].where, where) &&
	       strstr(m->problems[0].text, text);
}

/* A list_head that is symbol + offset: nodes before and behind, and of these. */
struct ends {
	uint64_t head, first, last;
};
static struct ends ends_of(struct herd_kernel *k, uint64_t head)
{
	struct ends e = { .head = head };

	assert_int_equal(herd_kernel_u64(k, head, &e.first), 0);
	assert_int_equal(herd_kernel_u64(k, head + 8, &e.last), 0);
	assert_int_not_equal(e.first, e.last);
	return e;
}

static uint64_t tasks_of(struct herd_kernel *k)
{
	struct herd_field tasks;

	assert_int_equal(herd_kernel_field(k, "task_struct", "tasks", &tasks),
			 0);
	return symbol(k, "init_task") + tasks.offset;
}

/* What is hidden without any damage: of the lab's plants. */
static void test_whole_lists(void **state)
{
	struct lying *l = open_image("mini-6.1-bad");
	struct herd_machine *m;

	(void)state;
	if (!l)
		skip();
	m = read_machine(l, HERD_READ_ALL);
	assert_int_equal(m->unread, 0);
	assert_int_equal(marked(m, HERD_MARK_HIDDEN), 2);
	herd_machine_destroy(m);
	close_image(l);
}

/* Broken in one direction, each is whole in the other: what is hidden is. */
static void test_broken_forwards(void **state)
{
	struct lying *l = open_image("mini-6.1-bad");
	struct herd_phys *phys = NULL;
	struct herd_machine *m;
	struct herd_kernel *k;

	(void)state;
	if (!l)
		skip();
	k = kernel_of(l, &phys);
	patch(l, phys, k, ends_of(k, symbol(k, "modules")).first, POISON);
	patch(l, phys, k, ends_of(k, tasks_of(k)).first, POISON);
	l->lies = true;
	m = read_machine(l, HERD_READ_ALL);
	assert_int_equal(m->unread, 0);
	assert_int_equal(marked(m, HERD_MARK_HIDDEN), 2);
	assert_true(first_problem(m, "list of modules", "whole backwards"));
	assert_true(first_problem(m, "list of modules", "somebody wrote"));
	assert_string_equal(m->problems[1].where, "list of tasks");
	herd_machine_destroy(m);
	herd_kernel_close(k);
	herd_phys_destroy(phys);
	close_image(l);
}

/* Broken in both: nobody is hidden for that; that they are is told first, and
   the rootkit by what else is odd about it. */
static void test_broken_off(void **state)
{
	struct lying *l = open_image("mini-6.1-bad");
	struct herd_phys *phys = NULL;
	const struct herd_module *o;
	struct herd_machine *m;
	struct herd_kernel *k;
	unsigned hooks;
	struct ends e;

	(void)state;
	if (!l)
		skip();
	m = read_machine(l, HERD_READ_ALL);
	hooks = marked(m, HERD_MARK_HOOK);
	herd_machine_destroy(m);
	k = kernel_of(l, &phys);
	e = ends_of(k, symbol(k, "modules"));
	patch(l, phys, k, e.first, POISON);
	patch(l, phys, k, e.last + 8, POISON);
	l->lies = true;
	m = read_machine(l, HERD_READ_ALL);
	assert_int_equal(m->unread, HERD_UNREAD_MODULES);
	assert_true(first_problem(m, "list of modules", "to its end"));
	assert_true(first_problem(m, "list of modules", "somebody wrote"));
	o = module_named(m, "overlay");
	assert_non_null(o);
	/* the task that is hidden is in no broken list */
	assert_int_equal(marked(m, HERD_MARK_HIDDEN), 1);
	assert_true(marked(m, HERD_MARK_MODULE) > 0);
	assert_int_equal(marked(m, HERD_MARK_HOOK), hooks);
	herd_machine_destroy(m);
	e = ends_of(k, tasks_of(k));
	patch(l, phys, k, e.first, POISON);
	patch(l, phys, k, e.last + 8, POISON);
	m = read_machine(l, HERD_READ_ALL);
	assert_int_equal(m->unread, HERD_UNREAD_MODULES | HERD_UNREAD_TASKS);
	assert_string_equal(m->problems[1].where, "list of tasks");
	/* he is in no table of pids, which is whole, either */
	assert_int_equal(marked(m, HERD_MARK_HIDDEN), 1);
	herd_machine_destroy(m);
	herd_kernel_close(k);
	herd_phys_destroy(phys);
	close_image(l);
}

/* The image lacks a page of a module: others are not hidden, and whoever leads
   there is not told to lead nowhere. */
static void test_module_not_in_the_image(void **state)
{
	struct lying *l = open_image("mini-6.1");
	struct herd_phys *phys = NULL;
	struct herd_machine *m;
	struct herd_kernel *k;

	(void)state;
	if (!l)
		skip();
	k = kernel_of(l, &phys);
	gap(l, phys, k, ends_of(k, symbol(k, "modules")).first);
	gap(l, phys, k, ends_of(k, symbol(k, "modules")).last);
	l->lies = true;
	m = read_machine(l, HERD_READ_ALL);
	assert_int_equal(m->unread,
			 HERD_UNREAD_MODULES | HERD_UNREAD_MODULE_MEMORY);
	assert_true(first_problem(m, "list of modules", "to its end"));
	assert_false(first_problem(m, "list of modules", "somebody"));
	assert_int_equal(marked(m, HERD_MARK_HIDDEN), 0);
	assert_int_equal(marked(m, HERD_MARK_HOOK), 0);
	herd_machine_destroy(m);
	herd_kernel_close(k);
	herd_phys_destroy(phys);
	close_image(l);
}

/* The struct file of a program is missing: what is mapped is no less a file. */
static void test_file_not_in_the_image(void **state)
{
	struct lying *l = open_image("mini-6.1");
	struct herd_field exe_file;
	struct herd_phys *phys = NULL;
	struct herd_machine *m;
	struct herd_kernel *k;
	unsigned unnamed = 0;
	uint64_t file = 0;

	(void)state;
	if (!l)
		skip();
	m = read_machine(l, HERD_READ_ALL);
	k = kernel_of(l, &phys);
	assert_int_equal(
		herd_kernel_field(k, "mm_struct", "exe_file", &exe_file), 0);
	for (size_t i = 0; i < m->n_processes && !file; i++)
		if (m->processes[i].mm && m->processes[i].pid > 1)
			assert_int_equal(herd_kernel_get(k, m->processes[i].mm,
							 &exe_file, &file),
					 0);
	for (size_t i = 0; i < m->n_processes; i++)
		for (size_t j = 0; j < m->processes[i].n_vmas; j++)
			assert_int_equal(m->processes[i].vmas[j].flags &
						 HERD_VMA_UNNAMED,
					 0);
	herd_machine_destroy(m);
	gap(l, phys, k, file);
	l->lies = true;
	m = read_machine(l, HERD_READ_ALL);
	for (size_t i = 0; i < m->n_processes; i++)
		for (size_t j = 0; j < m->processes[i].n_vmas; j++) {
			const struct herd_vma *v = &m->processes[i].vmas[j];

			if (!(v->flags & HERD_VMA_UNNAMED))
				continue;
			assert_int_equal(v->file, HERD_NO_INDEX);
			assert_string_equal(v->name,
					    "[a file that could not be read]");
			unnamed += (v->flags & HERD_VM_EXEC) != 0;
		}
	assert_true(unnamed > 0);
	assert_int_equal(marked(m, HERD_MARK_ANON_EXEC), 0);
	herd_machine_destroy(m);
	herd_kernel_close(k);
	herd_phys_destroy(phys);
	close_image(l);
}

/* ---- damage at random, where it is read ---- */

static uint64_t rng = 88172645463325252ULL;

static uint64_t next_random(void)
{
	rng ^= rng << 13;
	rng ^= rng >> 7;
	rng ^= rng << 17;
	return rng;
}

static void damage(struct lying *l, const uint32_t *pages, size_t n)
{
	l->n_patches = 1 + next_random() % PATCHES_MAX;
	for (size_t i = 0; i < l->n_patches; i++) {
		struct patch *p = &l->patches[i];
		uint64_t from;

		p->value = 0;
		for (unsigned j = 0; j < 8 && !p->value; j++) {
			p->at = (uint64_t)pages[next_random() % n] * HERD_PAGE +
				next_random() % (HERD_PAGE / 8) * 8;
			if (pread(l->fd, &p->value, 8, (off_t)p->at) != 8)
				fail();
		}
		switch (next_random() % 5) {
		case 0:
			p->value ^= 1ULL << next_random() % 64;
			break;
		case 1:
			p->value = next_random();
			break;
		case 2:
			p->value = UINT64_MAX >> next_random() % 64;
			break;
		case 3: /* a little beside */
			p->value += (next_random() % 64) * 8;
			break;
		default: /* what stands somewhere else: a pointer, often */
			from = (uint64_t)pages[next_random() % n] * HERD_PAGE +
			       next_random() % (HERD_PAGE / 8) * 8;
			if (pread(l->fd, &p->value, 8, (off_t)from) != 8)
				fail();
		}
	}
}

/* Pages that are missing here and there, then nearly everywhere. */
static void test_holes(void **state)
{
	struct lying *l = open_image("mini-6.1");

	(void)state;
	if (!l)
		skip();
	for (unsigned i = 0; i < 12; i++) {
		struct herd_machine *m;

		l->holes = 300U >> i ? 300U >> i : 1;
		l->salt = next_random();
		l->lies = true;
		m = read_machine(l, HERD_READ_ALL);
		if (m)
			check_machine(m);
		herd_machine_destroy(m);
	}
	close_image(l);
}

static void test_damaged(void **state)
{
	const char *wanted = getenv("HERDFS_MEMORY_ROUNDS");
	unsigned rounds = wanted ? (unsigned)atoi(wanted) : 40;
	struct lying *l = open_image("mini-6.1");
	CLEANUP_FREE uint32_t *pages = NULL;
	struct herd_phys *phys = NULL;
	struct herd_machine *m;
	struct herd_kernel *k;
	size_t n = 0;

	(void)state;
	if (!l)
		skip();
	/* what the parts read beyond what finding the kernel does */
	k = kernel_of(l, &phys);
	l->notes = true;
	assert_int_equal(herd_machine_read(k, NULL, HERD_READ_ALL, &m, NULL),
			 0);
	l->notes = false;
	herd_machine_destroy(m);
	herd_kernel_close(k);
	herd_phys_destroy(phys);
	pages = calloc(PAGES_SEEN_MAX, sizeof(*pages));
	assert_non_null(pages);
	for (uint32_t i = 0; i < PAGES_SEEN_MAX; i++)
		if (l->seen[i])
			pages[n++] = i;
	assert_true(n > 100);
	for (unsigned i = 0; i < rounds; i++) {
		damage(l, pages, n);
		l->lies = true;
		m = read_machine(l, HERD_READ_ALL);
		if (m)
			check_machine(m);
		herd_machine_destroy(m);
	}
	close_image(l);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_circles),
		cmocka_unit_test(test_whole_lists),
		cmocka_unit_test(test_broken_forwards),
		cmocka_unit_test(test_broken_off),
		cmocka_unit_test(test_module_not_in_the_image),
		cmocka_unit_test(test_file_not_in_the_image),
		cmocka_unit_test(test_holes),
		cmocka_unit_test(test_damaged),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
