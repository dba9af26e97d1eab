/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Machines out of images of real guests that were damaged: lists in circles,
 * pages missing, what is read changed at random.
 *
 * HERDFS_MEMORY_ROUNDS: how often an image is changed (40).
 */
#include "tests/unit/machine_image.h"

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
		cmocka_unit_test(test_holes),
		cmocka_unit_test(test_damaged),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
