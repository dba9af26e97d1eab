/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Opening a kernel in memory: one made by hand in all layouts, what is said
 * where it cannot be, and real ones where HERDFS_MEMORY_IMAGES names a folder
 * with guests (NAME/memory.raw and NAME/kallsyms).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "tests/unit/kernel_fixture.h"

#include <dirent.h>

struct opened {
	struct fake_kernel f;
	struct herd_source *source;
	struct herd_phys *phys;
	struct herd_kernel *k;
	struct herd_diag diag;
	int err;
};

static void open_memory(struct opened *o, const char *symbols)
{
	const struct herd_kernel_options options = { symbols };

	o->phys = fake_phys(&o->f, &o->source);
	o->k = NULL;
	herd_diag_clear(&o->diag);
	o->err = herd_kernel_open(o->phys, NULL, &options, &o->k, &o->diag);
}

static void open_fake(struct opened *o, const struct fake_options *options)
{
	fake_make(&o->f, options);
	open_memory(o, NULL);
}

static void close_fake(struct opened *o)
{
	herd_kernel_close(o->k);
	herd_phys_destroy(o->phys);
	herd_source_destroy(o->source);
	fake_free(&o->f);
}

static void check_symbols(struct opened *o)
{
	for (size_t i = 0; i < o->f.n_symbols; i++) {
		const struct fake_symbol *s = &o->f.symbols[i];
		uint64_t va, off;
		const char *name;

		assert_int_equal(herd_kernel_symbol(o->k, s->name, &va), 0);
		assert_int_equal(va, s->address);
		if (va < FAKE_TEXT || va >= fake_va(INFO_PHYS))
			continue;
		name = herd_kernel_name_of(o->k, va + 3, &off);
		assert_non_null(name);
		assert_int_equal(off, 3);
		assert_int_equal(herd_kernel_symbol(o->k, name, &va), 0);
		assert_int_equal(va, s->address);
	}
	assert_int_equal(herd_kernel_symbol(o->k, "nothing", &(uint64_t){ 0 }),
			 -ENOENT);
	assert_null(herd_kernel_name_of(o->k, FAKE_TEXT - 1, NULL));
	assert_null(herd_kernel_name_of(o->k, fake_va(INFO_PHYS), NULL));
	assert_null(herd_kernel_name_of(o->k, 0x1000, NULL));
}

static void check_open(struct opened *o)
{
	const struct herd_kernel_facts *f;
	char text[1024];

	if (o->err)
		print_message("%s\n", herd_diag_format(&o->diag, o->err, text,
						       sizeof(text)));
	assert_int_equal(o->err, 0);
	f = herd_kernel_facts(o->k);
	assert_string_equal(f->release, FAKE_RELEASE);
	assert_string_equal(f->banner, FAKE_BANNER);
	assert_int_equal(f->phys_base, TEXT_PHYS - (FAKE_TEXT - FAKE_MAP));
	assert_int_equal(f->kaslr, FAKE_TEXT - FAKE_MAP - 0x1000000);
	assert_int_equal(f->page_offset, fake_page_offset(&o->f));
	assert_int_equal(f->five_level, o->f.o.levels == 5);
	assert_true(f->has_btf);
	assert_int_equal(herd_kernel_space(o->k)->pgd, o->f.pgd);
	assert_int_equal(herd_kernel_cpus(o->k), 2);
	check_symbols(o);
}

static void test_layouts(void **state)
{
	struct opened o;

	(void)state;
	for (int layout = 0; layout < FAKE_LAYOUTS; layout++)
		for (int levels = 4; levels <= 5; levels++)
			for (int way = 0; way < 5; way++) {
				struct fake_options options = {
					.layout = (enum fake_layout)layout,
					.levels = levels,
					.info_lacks_kallsyms = way == 1,
					.no_info = way == 2 || way == 3,
					.no_low = way == 3,
					.sme = way == 4 ? 1ull << 47 : 0,
				};

				open_fake(&o, &options);
				check_open(&o);
				assert_int_equal(
					strlen(herd_kernel_facts(o.k)->build_id),
					options.no_info ? 0 : 40);
				close_fake(&o);
			}
}

/* Without per-cpu symbols that are absolute offsets are unsigned. */
static void test_no_percpu_rule(void **state)
{
	struct opened o;

	(void)state;
	for (int layout = FAKE_OLD; layout <= FAKE_NEW; layout++) {
		struct fake_options options = {
			.layout = (enum fake_layout)layout,
			.levels = 4,
			.no_percpu_rule = true,
		};

		open_fake(&o, &options);
		check_open(&o);
		close_fake(&o);
	}
}

static void test_values(void **state)
{
	static const struct herd_wanted wanted[] = {
		{ .type = "task", .member = "pid", .where = 0 },
		{ .type = "task",
		  .member = "gone",
		  .other_type = "pair",
		  .other_member = "second",
		  .where = sizeof(struct herd_field) },
		{ .type = "task",
		  .member = "gone",
		  .optional = true,
		  .where = 2 * sizeof(struct herd_field) },
		{ .type = "task", .member = "missing", .where = 0 },
	};
	struct fake_options options = { .layout = FAKE_NEW, .levels = 4 };
	struct herd_field f, got[3];
	struct opened o;
	uint64_t base, v;
	int64_t n;
	char text[16];

	(void)state;
	open_fake(&o, &options);
	check_open(&o);
	/* a task where nothing else is */
	base = herd_kernel_direct(o.k, 0x20000);
	fake_put32(&o.f, 0x20010, 0xffffffa5);
	memcpy(fake_at(&o.f, 0x20100), "a string", 9);
	herd_phys_destroy(o.phys);
	herd_source_destroy(o.source);
	herd_kernel_close(o.k);
	open_memory(&o, NULL);

	assert_int_equal(herd_kernel_field(o.k, "task", "x", &f), 0);
	assert_int_equal(f.bits, 3);
	assert_int_equal(herd_kernel_get(o.k, base, &f, &v), 0);
	assert_int_equal(v, 5);
	assert_int_equal(herd_kernel_field(o.k, "task", "y", &f), 0);
	assert_int_equal(herd_kernel_get(o.k, base, &f, &v), 0);
	assert_int_equal(v, 0x14);
	assert_int_equal(herd_kernel_string(o.k, base + 0x100, text,
					    sizeof(text)), 0);
	assert_string_equal(text, "a string");
	assert_int_equal(herd_kernel_string(o.k, base + 0x100, text, 4), 0);
	assert_string_equal(text, "a s");
	assert_int_equal(herd_kernel_string(o.k, 0x1000, text, sizeof(text)),
			 -EFAULT);
	assert_int_equal(herd_kernel_vmcoreinfo(o.k, "NUMBER(PG_lru)", &n), 0);
	assert_int_equal(n, 4);
	assert_int_equal(herd_kernel_vmcoreinfo(o.k, "NUMBER(PG)", &n), -ENOENT);
	assert_int_equal(herd_kernel_enumerator(o.k, "KIND_NONE", &n), 0);
	assert_int_equal(n, -1);

	assert_int_equal(herd_kernel_percpu(o.k, "cpu_thing", 1, &v), 0);
	assert_int_equal(v, fake_page_offset(&o.f) + 0x111000);
	assert_int_equal(herd_kernel_percpu(o.k, "cpu_thing", 2, &v), -EINVAL);
	v = herd_kernel_page(o.k, 0x5000);
	assert_int_equal(herd_kernel_page_phys(o.k, v, &v), 0);
	assert_int_equal(v, 0x5000);
	v = herd_kernel_page(o.k, 0) - 64;
	assert_int_equal(herd_kernel_page_phys(o.k, v, &v), -EFAULT);
	v = herd_kernel_page(o.k, 0) + 8;
	assert_int_equal(herd_kernel_page_phys(o.k, v, &v), -EFAULT);
	assert_true(herd_kernel_is_pointer(o.k, base));
	assert_false(herd_kernel_is_pointer(o.k, (uint64_t)-11));
	assert_false(herd_kernel_is_pointer(o.k, 0x7fffffffffff));

	assert_int_equal(herd_kernel_fields(o.k, wanted, 3, got, NULL), 0);
	assert_int_equal(got[1].offset, 4);
	assert_false(herd_field_there(&got[2]));
	assert_int_equal(herd_kernel_fields(o.k, wanted, 4, got, &o.diag),
			 -EOPNOTSUPP);
	assert_non_null(strstr(o.diag.message, "task.missing"));
	close_fake(&o);
}

/* ---- where it cannot be ---- */

static void expect(struct opened *o, const char *a, const char *b)
{
	assert_int_equal(o->err, -EOPNOTSUPP);
	assert_null(o->k);
	if (!strstr(o->diag.message, a) || !strstr(o->diag.message, b))
		fail_msg("%s", o->diag.message);
	close_fake(o);
}

static void test_nothing(void **state)
{
	struct fake_options options = { .layout = FAKE_NEW, .levels = 4 };
	struct opened o;

	(void)state;
	fake_make(&o.f, &options);
	memset(o.f.memory, 0, FAKE_SIZE);
	open_memory(&o, NULL);
	expect(&o, "no Linux kernel found", "");
}

static bool count_page(void *arg, uint64_t addr, const uint8_t *page)
{
	(void)addr;
	(void)page;
	++*(unsigned *)arg;
	return false;
}

/* Who watches sees that all of a memory is looked through. */
static void test_beat(void **state)
{
	struct fake_options options = { .layout = FAKE_NEW, .levels = 4 };
	_Atomic uint64_t beat = 0;
	struct fake_kernel f;
	struct herd_source *source;
	struct herd_phys *phys;
	char banner[64];
	unsigned pages = 0;

	(void)state;
	fake_make(&f, &options);
	memset(f.memory, 0xcc, FAKE_SIZE);
	phys = fake_phys(&f, &source);
	herd_phys_watch(phys, &beat);
	assert_int_equal(herd_kernel_scan(phys, false, count_page, &pages,
					  NULL), 0);
	assert_true(pages > FAKE_SIZE / 2 / HERD_PAGE);
	/* one a MiB at least, and nothing that is met in the pages */
	assert_in_range(beat, pages / 256, pages / 256 + 8);
	beat = 0;
	herd_kernel_scan_banner(phys, banner, sizeof(banner));
	assert_in_range(beat, FAKE_SIZE >> 20, (FAKE_SIZE >> 20) + 8);
	herd_phys_destroy(phys);
	herd_source_destroy(source);
	fake_free(&f);
}

static void test_no_types(void **state)
{
	struct fake_options options = { .levels = 4, .no_btf = true };
	struct opened o;

	(void)state;
	open_fake(&o, &options);
	expect(&o, "no types (BTF)", "--symbols");
	open_fake(&o, &options);
	expect(&o, FAKE_BANNER, "BUILD-ID 0011");
	options = (struct fake_options){ .levels = 4, .no_kallsyms = true };
	open_fake(&o, &options);
	expect(&o, FAKE_RELEASE, "kallsyms");
}

static void test_banner_only(void **state)
{
	struct fake_options options = { .levels = 4, .no_info = true,
					.no_kallsyms = true };
	struct opened o;

	(void)state;
	open_fake(&o, &options);
	expect(&o, "no VMCOREINFO", FAKE_BANNER);
}

static void put_text(struct fake_kernel *f, uint64_t at, const char *text)
{
	memcpy(fake_at(f, at), text, strlen(text) + 1);
}

static void test_foreign(void **state)
{
	struct fake_options options = { .levels = 4, .no_info = true,
					.no_kallsyms = true };
	struct opened o;

	(void)state;
	fake_make(&o.f, &options);
	put_text(&o.f, 0x150000,
		 "OSRELEASE=6.1.0-1-arm64\nPAGESIZE=4096\n"
		 "SYMBOL(init_uts_ns)=ffffd1e2a9d05b90\n"
		 "SYMBOL(swapper_pg_dir)=ffffd1e2a95c6000\n"
		 "NUMBER(VA_BITS)=48\nNUMBER(kimage_voffset)=0xffffd1e260000000\n"
		 "NUMBER(PHYS_OFFSET)=0x40000000\n");
	open_memory(&o, NULL);
	expect(&o, "aarch64", "6.1.0-1-arm64");
	/* and one that is nobody's */
	fake_make(&o.f, &options);
	put_text(&o.f, 0x150018,
		 "OSRELEASE=5.15.0\nSYMBOL(init_uts_ns)=ffffffff82012340\n"
		 "SYMBOL(swapper_pg_dir)=ffffffff82010000\n"
		 "NUMBER(phys_base)=0\n");
	open_memory(&o, NULL);
	expect(&o, "5.15.0", "not the memory");
}

/* What an earlier kernel, or a guest, left lies before the right one. */
static void test_stale(void **state)
{
	struct fake_options options = { .layout = FAKE_NEW, .levels = 4 };
	struct opened o;
	char text[4096];

	(void)state;
	fake_make(&o.f, &options);
	for (uint64_t at = 0x120000; at < 0x180000; at += 4096) {
		memcpy(text, fake_at(&o.f, INFO_PHYS), sizeof(text));
		char *p = strstr(text, "NUMBER(phys_base)=") + 18;

		*p = *p == '-' ? '1' : '2';
		memcpy(fake_at(&o.f, at), text, sizeof(text));
	}
	open_memory(&o, NULL);
	check_open(&o);
	close_fake(&o);
	/* a note that is of another */
	fake_make(&o.f, &options);
	o.phys = fake_phys(&o.f, &o.source);
	struct herd_memory_notes notes = { .vmcoreinfo = text,
					   .vmcoreinfo_len = strlen(text) };

	herd_diag_clear(&o.diag);
	o.err = herd_kernel_open(o.phys, &notes, NULL, &o.k, &o.diag);
	check_open(&o);
	close_fake(&o);
}

/* Damage anywhere ends in an answer. */
static void test_damage(void **state)
{
	uint64_t dice = 88172645463325252ull;
	struct opened o;

	(void)state;
	for (int round = 0; round < 300; round++) {
		struct fake_options options = {
			.layout = (enum fake_layout)(round % FAKE_LAYOUTS),
			.levels = 4 + round / 4 % 2,
			.no_info = round % 3 == 0,
		};
		uint64_t v, offset;

		fake_make(&o.f, &options);
		for (int i = 0; i < 1 + round % 40; i++) {
			dice ^= dice << 13;
			dice ^= dice >> 7;
			dice ^= dice << 17;
			/* what is used lies below o.f.next, and VMCOREINFO */
			v = TEXT_PHYS + 0x10000 +
			    dice % (o.f.next - TEXT_PHYS - 0x10000);
			if (i % 4 == 0)
				v = INFO_PHYS + dice / 64 % 1200;
			o.f.memory[v] = (uint8_t)(dice >> 56);
		}
		open_memory(&o, NULL);
		if (!o.err) {
			for (size_t i = 0; i < o.f.n_symbols; i += 50)
				herd_kernel_symbol(o.k, o.f.symbols[i].name,
						   &v);
			herd_kernel_name_of(o.k, FAKE_TEXT + 999, &offset);
			herd_kernel_sizeof(o.k, "task", &(uint32_t){ 0 });
		} else {
			assert_true(o.diag.message[0] || o.err == -ENOMEM);
		}
		close_fake(&o);
	}
}

/* ---- real ones ---- */

static void check_kallsyms(struct herd_kernel *k, const char *path)
{
	FILE *f = fopen(path, "r");
	char line[1024], name[HERD_KSYM_NAME_MAX], type;
	size_t i = 0;

	if (!f)
		return;
	while (fgets(line, sizeof(line), f)) {
		unsigned long long at;
		char want_type, want[512];

		if (strchr(line, '['))
			break;	/* modules' come last */
		assert_int_equal(sscanf(line, "%llx %c %511s", &at, &want_type,
					want), 3);
		assert_true(i < herd_kallsyms_count(k->symbols));
		herd_kallsyms_name(k->symbols, i, name, &type);
		assert_string_equal(name, want);
		assert_int_equal(type, want_type);
		assert_int_equal(herd_kallsyms_address(k->symbols, i++), at);
	}
	assert_int_equal(i, herd_kallsyms_count(k->symbols));
	fclose(f);
}

static int read_kernel(void *k, uint64_t va, void *buf, size_t len)
{
	return herd_kernel_read(k, va, buf, len);
}

static void check_image(const char *folder, const char *name)
{
	char path[1024];
	struct herd_image img CLEANUP(herd_image_deinit) = { 0 };
	struct herd_source *s = NULL;
	struct herd_phys *p;
	struct herd_kernel *k = NULL;
	struct herd_kallsyms_place at;
	int64_t n;

	snprintf(path, sizeof(path), "%s/%s/memory.raw", folder, name);
	if (access(path, R_OK))
		return;
	print_message("%s\n", name);
	assert_int_equal(herd_memory_probe(path, "raw-memory", &img, NULL), 0);
	assert_int_equal(herd_memory_open(&img, NULL, &s, NULL), 0);
	assert_int_equal(herd_phys_create(s, &p), 0);
	assert_int_equal(herd_kernel_open(p, NULL, NULL, &k, NULL), 0);
	snprintf(path, sizeof(path), "%s/%s/kallsyms", folder, name);
	check_kallsyms(k, path);
	/* looking for it finds what VMCOREINFO names */
	assert_int_equal(herd_kallsyms_scan(read_kernel, k, k->info.stext,
					    k->info.stext +
						    HERD_KERNEL_SEARCHED,
					    &at), 0);
	if (!herd_kernel_vmcoreinfo(k, "SYMBOL(kallsyms_names)", &n)) {
		assert_int_equal(at.names, n);
		assert_int_equal(at.offsets,
				 herd_vmcoreinfo_symbol(&k->info,
							"kallsyms_offsets"));
		assert_int_equal(
			at.relative_base,
			herd_vmcoreinfo_symbol(&k->info,
					       "kallsyms_relative_base"));
	}
	herd_kernel_close(k);
	herd_phys_destroy(p);
	herd_source_destroy(s);
}

static void test_images(void **state)
{
	const char *folder = getenv("HERDFS_MEMORY_IMAGES");
	DIR *d = folder ? opendir(folder) : NULL;

	(void)state;
	if (!d) {
		print_message("skipped: HERDFS_MEMORY_IMAGES names no folder\n");
		skip();
	}
	for (struct dirent *e; (e = readdir(d));)
		if (e->d_name[0] != '.')
			check_image(folder, e->d_name);
	closedir(d);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_layouts),
		cmocka_unit_test(test_no_percpu_rule),
		cmocka_unit_test(test_values),
		cmocka_unit_test(test_nothing),
		cmocka_unit_test(test_beat),
		cmocka_unit_test(test_no_types),
		cmocka_unit_test(test_banner_only),
		cmocka_unit_test(test_foreign),
		cmocka_unit_test(test_stale),
		cmocka_unit_test(test_damage),
		cmocka_unit_test(test_images),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
