/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Open files, sockets, the page cache, modules and hooks out of images of real
 * guests: sound ones, one with a rootkit, and with hooks written into them.
 */
#include "tests/unit/machine_image.h"

/* ---- sound images ---- */

static const char *const guests[] = { "mini-5.10", "mini-6.1", "mini-6.12",
				      "mini-sid" };

/* Nothing of my parts is a problem, and no hook is unexpected. */
static void test_healthy(void **state)
{
	unsigned done = 0;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(guests); i++) {
		struct lying *l = open_image(guests[i]);
		struct herd_machine *m;
		uint64_t cached = 0;

		if (!l)
			continue;
		done++;
		m = read_machine(l, HERD_READ_ALL);
		assert_non_null(m);
		check_machine(m);
		assert_true(m->n_modules > 1);
		assert_true(m->n_sockets > 30);
		for (size_t j = 0; j < m->n_files; j++)
			cached += m->files[j].cached_pages;
		assert_true(cached > 1000);
		for (size_t j = 0; j < m->n_modules; j++)
			assert_int_equal(m->modules[j].seen,
					 HERD_MODULE_LIST | HERD_MODULE_TREE |
						 HERD_MODULE_SYSFS |
						 HERD_MODULE_VMAP);
		for (size_t j = 0; j < m->n_hooks; j++)
			if (!m->hooks[j].expected)
				fail_msg("%s: %s leads to %s", guests[i],
					 m->hooks[j].name,
					 m->hooks[j].target_name);
		herd_machine_destroy(m);
		close_image(l);
	}
	if (!done)
		skip();
}

static bool is_hooked(const struct herd_machine *m, enum herd_hook_kind kind,
		      const char *name)
{
	for (size_t i = 0; i < m->n_hooks; i++)
		if (m->hooks[i].kind == kind && !m->hooks[i].expected &&
		    !strcmp(m->hooks[i].name, name) &&
		    !strncmp(m->hooks[i].target_name, "system_helper+", 14))
			return true;
	return false;
}

/* The lab's rootkit: hidden from the list and sysfs, with four hooks. */
static void test_rootkit(void **state)
{
	struct lying *l = open_image("mini-6.1-bad");
	const struct herd_module *bad;
	struct herd_machine *m;

	(void)state;
	if (!l)
		skip();
	m = read_machine(l, MINE);
	bad = module_named(m, "system_helper");
	assert_non_null(bad);
	assert_int_equal(bad->seen, HERD_MODULE_TREE | HERD_MODULE_VMAP);
	assert_true(bad->taints & 1 << 12);
	assert_true(is_hooked(m, HERD_HOOK_SYSCALL, "sys_call_table[62]"));
	assert_true(is_hooked(m, HERD_HOOK_FTRACE, "__x64_sys_getdents64"));
	assert_true(is_hooked(m, HERD_HOOK_KPROBE, "do_unlinkat"));
	assert_true(is_hooked(m, HERD_HOOK_OPS, "tcp4_seq_ops.show"));
	herd_machine_destroy(m);
	close_image(l);
}

/* Out of the tree, too: then only its memory tells of it. */
static void test_module_in_memory_alone(void **state)
{
	struct lying *l = open_image("mini-6.1-bad");
	const struct herd_module *bad;
	struct herd_phys *phys = NULL;
	struct herd_machine *m;
	struct herd_kernel *k;
	struct herd_field tree;

	(void)state;
	if (!l)
		skip();
	k = kernel_of(l, &phys);
	assert_int_equal(
		herd_kernel_field(k, "mod_tree_root", "root.tree", &tree), 0);
	patch(l, phys, k, symbol(k, "mod_tree") + tree.offset, 0);
	l->lies = true;
	m = read_machine(l, MINE);
	bad = module_named(m, "system_helper");
	assert_non_null(bad);
	assert_int_equal(bad->seen, HERD_MODULE_VMAP);
	assert_int_equal(module_named(m, "overlay")->seen,
			 HERD_MODULE_LIST | HERD_MODULE_SYSFS |
				 HERD_MODULE_VMAP);
	assert_true(is_hooked(m, HERD_HOOK_SYSCALL, "sys_call_table[62]"));
	herd_machine_destroy(m);
	herd_kernel_close(k);
	herd_phys_destroy(phys);
	close_image(l);
}

/* A byte of its name written over: it is there, and its hooks are its own. */
static void test_module_with_an_odd_name(void **state)
{
	struct lying *l = open_image("mini-6.1-bad");
	const struct herd_module *bad;
	struct herd_phys *phys = NULL;
	struct herd_field field;
	struct herd_machine *m;
	struct herd_kernel *k;
	uint64_t module, name;

	(void)state;
	if (!l)
		skip();
	m = read_machine(l, MINE);
	module = module_named(m, "system_helper")->module;
	herd_machine_destroy(m);
	k = kernel_of(l, &phys);
	assert_int_equal(herd_kernel_field(k, "module", "name", &field), 0);
	assert_int_equal(herd_kernel_u64(k, module + field.offset, &name), 0);
	patch(l, phys, k, module + field.offset,
	      (name & ~0xff000000ULL) | 0x1b000000ULL);
	l->lies = true;
	m = read_machine(l, MINE);
	bad = module_named(m, "sys\033em_helper");
	assert_non_null(bad);
	assert_int_equal(bad->module, module);
	assert_int_equal(bad->seen, HERD_MODULE_TREE | HERD_MODULE_VMAP);
	assert_true(herd_module_is_odd(bad));
	for (size_t i = 0; i < m->n_hooks; i++)
		assert_string_not_equal(m->hooks[i].target_name,
					HERD_HOOK_NOWHERE);
	herd_machine_destroy(m);
	herd_kernel_close(k);
	herd_phys_destroy(phys);
	close_image(l);
}

/* Of a kernel that signs none of its modules: told once, and no hook into one
   of them is odd for that. */
static void test_unsigned_modules(void **state)
{
	struct lying *l = open_image("mini-6.1");
	struct herd_phys *phys = NULL;
	struct herd_field taints;
	struct herd_machine *m;
	struct herd_kernel *k;
	unsigned told = 0;

	(void)state;
	if (!l)
		skip();
	m = read_machine(l, MINE);
	assert_false(herd_modules_are_unsigned(m));
	k = kernel_of(l, &phys);
	assert_int_equal(herd_kernel_field(k, "module", "taints", &taints), 0);
	for (size_t i = 0; i < m->n_modules; i++)
		patch(l, phys, k, m->modules[i].module + taints.offset,
		      HERD_TAINT_UNSIGNED);
	herd_machine_destroy(m);
	l->lies = true;
	m = read_machine(l, MINE);
	assert_true(herd_modules_are_unsigned(m));
	for (size_t i = 0; i < m->n_hooks; i++)
		if (!m->hooks[i].expected)
			fail_msg("%s leads to %s", m->hooks[i].name,
				 m->hooks[i].target_name);
	for (size_t i = 0; i < m->n_problems; i++)
		told += strstr(m->problems[i].text, "is signed") != NULL;
	assert_int_equal(told, 1);
	herd_machine_destroy(m);
	herd_kernel_close(k);
	herd_phys_destroy(phys);
	close_image(l);
}

/* Where the entry for va lies that leads to its last table, or maps 2 MiB. */
static uint64_t middle_entry(struct herd_phys *phys, struct herd_kernel *k,
			     uint64_t va)
{
	const struct herd_space *s = herd_kernel_space(k);
	uint64_t table = s->pgd;

	for (unsigned level = s->levels;; level--) {
		uint64_t at = table + (va >> (12 + 9 * (level - 1)) & 511) * 8;

		if (level == 2)
			return at;
		assert_int_equal(herd_phys_read(phys, at, &table, 8), 0);
		table &= 0x000ffffffffff000ULL;
	}
}

/* The kernel's tables lead above the end of the image: no symbol file helps. */
static void test_memory_above_the_end(void **state)
{
	static const struct {
		uint64_t entry;
		const char *said, *not ;
	} cases[] = {
		{ 0x1234567063, "lead to 0x1234567000", "symbol file" },
		{ 0, "symbol file", "lead to" },
	};
	static const struct herd_kernel_options none = { 0 };
	struct lying *l = open_image("mini-6.1");
	struct herd_phys *phys = NULL;
	struct herd_kernel *k;
	uint64_t at;

	(void)state;
	if (!l)
		skip();
	k = kernel_of(l, &phys);
	at = middle_entry(phys, k, symbol(k, "__start_BTF") + (1u << 20));
	herd_kernel_close(k);
	herd_phys_destroy(phys);
	l->lies = true;
	l->n_patches = 1;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct herd_diag diag;

		herd_diag_clear(&diag);
		l->patches[0] = (struct patch){ at, cases[i].entry };
		assert_int_equal(herd_phys_create(&l->s, &phys), 0);
		assert_int_equal(herd_kernel_open(phys, NULL, &none, &k, &diag),
				 -EOPNOTSUPP);
		assert_non_null(strstr(diag.message, cases[i].said));
		assert_null(strstr(diag.message, cases[i].not ));
		herd_phys_destroy(phys);
	}
	close_image(l);
}

static size_t count_hooks(const struct herd_machine *m,
			  enum herd_hook_kind kind, const char *begin)
{
	size_t n = 0;

	for (size_t i = 0; i < m->n_hooks; i++)
		n += m->hooks[i].kind == kind && !m->hooks[i].expected &&
		     !strncmp(m->hooks[i].name, begin, strlen(begin));
	return n;
}

/* Hooks written into a sound image: each is found, and nothing else. */
static void test_written_hooks(void **state)
{
	struct lying *l = open_image("mini-6.1");
	struct herd_phys *phys = NULL;
	struct herd_machine *m;
	struct herd_kernel *k;
	uint64_t table, kill_, gate, entry;

	(void)state;
	if (!l)
		skip();
	k = kernel_of(l, &phys);
	table = symbol(k, "sys_call_table");
	kill_ = symbol(k, "__x64_sys_kill");
	/* two entries swapped: both lead to system calls */
	assert_int_equal(herd_kernel_u64(k, table + 39 * 8ULL, &entry), 0);
	patch(l, phys, k, table + 62 * 8ULL, entry);
	/* into the middle of a function */
	assert_int_equal(herd_kernel_u64(k, table + 2 * 8ULL, &entry), 0);
	patch(l, phys, k, table + 2 * 8ULL, entry + 1);
	/* a gate that leads elsewhere: the low 16 bits are in its first two
	   bytes, bits 16…31 in the last two of these eight */
	gate = symbol(k, "idt_table") + 14 * 16ULL;
	assert_int_equal(herd_kernel_u64(k, gate, &entry), 0);
	patch(l, phys, k, gate,
	      (entry & ~0xffff000000000000ULL) | 0xc058000000000000ULL);
	/* jmp *0(%rip); the target */
	patch(l, phys, k, symbol(k, "tcp4_seq_show"), 0x00000000000225ffULL);
	patch(l, phys, k, symbol(k, "tcp4_seq_show") + 8,
	      0xffffffffc0000000ULL);
	/* mov $0xffffffffc0000000, %rax; jmp *%rax, at a system call */
	patch(l, phys, k, kill_, 0xffffc0000000b848ULL);
	patch(l, phys, k, kill_ + 8, 0xe0ffffffULL);
	/* jmp rel32, at a function that is in no list */
	entry = symbol(k, "vfs_fsync_range");
	patch(l, phys, k, entry,
	      0xe9 | ((0xffffffffc0000000ULL - (entry + 5)) & 0xffffffffULL)
			      << 8);
	/* three bytes of its nop written over */
	patch(l, phys, k, symbol(k, "vfs_fallocate"), 0x0000000000c3c031ULL);
	l->lies = true;
	m = read_machine(l, MINE);
	assert_int_equal(count_hooks(m, HERD_HOOK_SYSCALL, "sys_call_table["),
			 2);
	assert_int_equal(
		count_hooks(m, HERD_HOOK_SYSCALL, "sys_call_table[62]"), 1);
	assert_int_equal(count_hooks(m, HERD_HOOK_SYSCALL, "sys_call_table[2]"),
			 1);
	assert_int_equal(count_hooks(m, HERD_HOOK_IDT, "interrupt 14"), 1);
	assert_int_equal(count_hooks(m, HERD_HOOK_TEXT, "tcp4_seq_show"), 1);
	assert_int_equal(count_hooks(m, HERD_HOOK_TEXT, "__x64_sys_kill"), 1);
	assert_int_equal(count_hooks(m, HERD_HOOK_TEXT, "vfs_fsync_range"), 1);
	assert_int_equal(count_hooks(m, HERD_HOOK_TEXT, "vfs_fallocate"), 1);
	assert_int_equal(count_hooks(m, HERD_HOOK_TEXT, ""), 4);
	herd_machine_destroy(m);
	herd_kernel_close(k);
	herd_phys_destroy(phys);
	close_image(l);
}

/* The jump for one number in the search that system calls really go through. */
static void test_written_dispatch(void **state)
{
	static const char *const images[] = { "mini-6.1", "mini-6.12",
					      "mini-sid" };
	unsigned done = 0;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(images); i++) {
		struct lying *l = open_image(images[i]);
		struct herd_phys *phys = NULL;
		struct herd_machine *m;
		struct herd_kernel *k;
		uint64_t at, to, from, word;
		int32_t by;

		if (!l)
			continue;
		done++;
		k = kernel_of(l, &phys);
		from = symbol(k, "x64_sys_call");
		to = symbol(k, "__x64_sys_kill");
		for (at = from + 16; at < from + 16384; at++) {
			assert_int_equal(herd_kernel_u64(k, at, &word), 0);
			memcpy(&by, (const uint8_t *)&word + 1, 4);
			if (((word & 0xff) == 0xe9 || (word & 0xff) == 0xe8) &&
			    at + 5 + (uint64_t)(int64_t)by == to)
				break;
		}
		assert_true(at < from + 16384);
		by = (int32_t)(0xffffffffc0000000ULL - (at + 5));
		memcpy((uint8_t *)&word + 1, &by, 4);
		patch(l, phys, k, at, word);
		l->lies = true;
		m = read_machine(l, MINE);
		assert_int_equal(count_hooks(m, HERD_HOOK_SYSCALL,
					     "x64_sys_call(62)"),
				 1);
		for (size_t j = 0; j < m->n_hooks; j++)
			assert_true(m->hooks[j].expected ||
				    m->hooks[j].number == 62);
		herd_machine_destroy(m);
		herd_kernel_close(k);
		herd_phys_destroy(phys);
		close_image(l);
	}
	if (!done)
		skip();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_healthy),
		cmocka_unit_test(test_rootkit),
		cmocka_unit_test(test_module_in_memory_alone),
		cmocka_unit_test(test_module_with_an_odd_name),
		cmocka_unit_test(test_unsigned_modules),
		cmocka_unit_test(test_memory_above_the_end),
		cmocka_unit_test(test_written_hooks),
		cmocka_unit_test(test_written_dispatch),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
