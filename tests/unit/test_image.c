/* SPDX-License-Identifier: Apache-2.0 */
/* Images of every format against the raw disk that they were made from. */
#include "tests/unit/image_fixture.h"

static void test_raw(void **state)
{
	(void)state;
	check_format("base.raw", "raw", "raw");
}

static void test_qemu_formats(void **state)
{
	static const char *const formats[] = { "qcow2", "vdi", "vhdx", "qed",
					       "qcow", "parallels" };

	(void)state;
	NEED("qemu-img");
	for (size_t i = 0; i < ARRAY_SIZE(formats); i++) {
		const char *f = formats[i];

		assert_int_equal(run("qemu-img convert -f raw -O %s base.raw c.%s",
				     f, f), 0);
		char name[40];

		snprintf(name, sizeof(name), "c.%s", f);
		check_format(name, f, strcmp(f, "qcow2") ? "nbd" : "qcow2");
	}
}

/* Read by us as by qemu-nbd, whatever layout qemu gives them. */
static void test_qcow2_layouts(void **state)
{
	static const char *const options[] = {
		"", "-c", "-o cluster_size=512", "-o cluster_size=4k",
		"-c -o cluster_size=4k", "-o cluster_size=2M",
		"-c -o cluster_size=2M", "-o compat=0.10", "-c -o compat=0.10",
		"-o preallocation=metadata", "-o preallocation=full",
		"-o lazy_refcounts=on", "-S 0",
	};

	(void)state;
	NEED("qemu-img");
	for (size_t i = 0; i < ARRAY_SIZE(options); i++) {
		assert_int_equal(run("rm -f c.qcow2; qemu-img convert -f raw -O qcow2 "
				     "%s base.raw c.qcow2", options[i]), 0);
		check_format("c.qcow2", "qcow2", "qcow2");
	}
	/* a snapshot's tables are not those of the disk, until it is applied */
	assert_int_equal(run("qemu-img convert -f raw -O qcow2 base.raw c.qcow2 && "
			     "qemu-img snapshot -c s c.qcow2 && "
			     "qemu-io -f qcow2 -c 'write -P 9 1M 1M' c.qcow2 && "
			     "qemu-img snapshot -a s c.qcow2"), 0);
	check_format("c.qcow2", "qcow2", "qcow2");
	assert_int_equal(run("qemu-img convert -f raw -O qcow2 -c "
			     "-o compression_type=zstd base.raw c.qcow2"), 0);
	check_format("c.qcow2", "qemu-qcow2", "nbd");
}

/*
 * A small file whose disk has 2^61 bytes, nearly all of them without a table:
 * a walk over its clusters, even by 512, would take hours.
 */
static void test_qcow2_huge(void **state)
{
	CLEANUP(herd_extents_deinit) struct herd_extents e = { 0 };
	const uint64_t l1_offset = htobe64(64u << 20), size = htobe64(1ull << 61);
	const uint32_t l1_entries = htobe32(4u << 20);
	uint64_t l1, table;
	struct opened o;

	(void)state;
	NEED("qemu-img");
	assert_int_equal(run("rm -f c.qcow2; qemu-img convert -f raw -O qcow2 "
			     "-o cluster_size=2M base.raw c.qcow2"), 0);
	int fd = open(in_scratch("c.qcow2"), O_RDONLY);

	assert_int_equal(pread(fd, &l1, 8, 40), 8);
	assert_int_equal(pread(fd, &table, 8, (off_t)be64toh(l1)), 8);
	close(fd);
	assert_int_equal(run("truncate -s 96M c.qcow2"), 0);
	write_at("c.qcow2", 64u << 20, &table, 8);
	write_at("c.qcow2", 24, &size, 8);
	write_at("c.qcow2", 36, &l1_entries, 4);
	write_at("c.qcow2", 40, &l1_offset, 8);
	must_open("c.qcow2", &o);
	assert_true(o.source->size == 1ull << 61);
	check_bytes(&o, disk, DISK);
	alarm(120);	/* what does not end is ended */
	assert_int_equal(o.source->ops->data_extents(o.source, &e, NULL), 0);
	alarm(0);
	assert_in_range(herd_extents_bytes(&e), 1, DISK);
	assert_true(herd_extents_overlap(&e, 0, MIB));
	image_close(&o);
}

/* The same through qemu, which answers for a GiB at a time. */
static void test_qemu_huge(void **state)
{
	CLEANUP(herd_extents_deinit) struct herd_extents e = { 0 };
	struct opened o;

	(void)state;
	NEED("qemu-img");
	assert_int_equal(run("rm -f c.qcow2; qemu-img create -q -f qcow2 -o "
			     "cluster_size=2M,extended_l2=on c.qcow2 256T"), 0);
	must_open("c.qcow2", &o);
	assert_string_equal(o.source->ops->kind, "nbd");
	assert_int_equal(o.source->ops->data_extents(o.source, &e, NULL),
			 -EOVERFLOW);
	image_close(&o);
}

/* A cut image is never read as zeros. */
static void test_qcow2_cut(void **state)
{
	CLEANUP_FREE uint8_t *got = malloc(DISK);
	struct herd_diag diag;
	struct opened o;

	(void)state;
	NEED("qemu-img");
	assert_int_equal(run("qemu-img convert -f raw -O qcow2 -S 0 base.raw c.qcow2 && "
			     "truncate -s 5M c.qcow2"), 0);
	must_open("c.qcow2", &o);
	herd_diag_clear(&diag);
	assert_int_equal(herd_source_read(o.source, got, DISK, 0, &diag), -EIO);
	assert_non_null(strstr(diag.message, "behind the end of the file"));
	assert_string_equal(diag.source, "c.qcow2");
	image_close(&o);
}

/* What its header says against an image is told, and the image read. */
static void test_qcow2_marked(void **state)
{
	static const struct {
		uint8_t top, base;
		const char *words;
	} cases[] = {
		{ 0, 0, NULL },
		{ 1, 0, "m.qcow2 is marked dirty (" },
		{ 2, 0, "m.qcow2 is marked corrupt (" },
		{ 3, 0, "wrong) and dirty (" },
		{ 0, 2, "b.qcow2 is marked corrupt (" },
		{ 2, 1, "same; b.qcow2 is marked dirty (" },
	};
	struct opened o;

	(void)state;
	NEED("qemu-img");
	assert_int_equal(run("qemu-img convert -f raw -O qcow2 base.raw b.qcow2; "
			     "qemu-img create -f qcow2 -b b.qcow2 -F qcow2 "
			     "m.qcow2"), 0);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		write_at("m.qcow2", 79, &cases[i].top, 1);
		write_at("b.qcow2", 79, &cases[i].base, 1);
		must_open("m.qcow2", &o);
		if (!cases[i].words)
			assert_null(o.img.warning);
		else if (!o.img.warning ||
			 !strstr(o.img.warning, cases[i].words))
			fail_msg("\"%s\", not \"%s\"", o.img.warning,
				 cases[i].words);
		check_bytes(&o, disk, DISK);
		image_close(&o);
	}
}

static void test_vhd(void **state)
{
	(void)state;
	NEED("qemu-img");
	assert_int_equal(run("qemu-img convert -f raw -O vpc base.raw c.vhd"), 0);
	check_format("c.vhd", "vhd", "vhd");
	assert_int_equal(run("qemu-img convert -f raw -O vpc -o subformat=fixed "
			     "base.raw fixed.vhd"), 0);
	check_format("fixed.vhd", "vhd", "vhd");
}

static void test_vmdk(void **state)
{
	static const char *const kinds[] = {
		"monolithicSparse", "streamOptimized", "monolithicFlat",
		"twoGbMaxExtentSparse", "twoGbMaxExtentFlat",
	};

	(void)state;
	NEED("qemu-img");
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		assert_int_equal(run("rm -f c*.vmdk && qemu-img convert -f raw "
				     "-O vmdk -o subformat=%s base.raw c.vmdk",
				     kinds[i]), 0);
		check_format("c.vmdk", "vmdk", "vmdk");
		/* several extents, where they are of 2 GB at most */
		assert_int_equal(run("rm -f c*.vmdk && cp base.raw big.raw && "
				     "truncate -s 4294968320 big.raw && "
				     "qemu-img convert -f raw -O vmdk -o subformat=%s "
				     "big.raw c.vmdk && rm big.raw", kinds[i]), 0);
		check_format("c.vmdk", "vmdk", "vmdk");
	}
	assert_int_equal(run("rm -f c*.vmdk"), 0);
	/* under another name: its descriptor names a file that is not it */
	assert_int_equal(run("rm -f c*.vmdk && qemu-img convert -f raw -O vmdk "
			     "base.raw c.vmdk && mv c.vmdk d.vmdk"), 0);
	check_format("d.vmdk", "qemu-vmdk", "nbd");
}

/* QEMU's new CID is shorter than the old one: the end of the old text stays. */
static void shorten_cid(const char *name, uint64_t offset)
{
	char text[4096] = "", *cid, *end;
	int fd = open(in_scratch(name), O_RDONLY);

	assert_true(fd >= 0);
	assert_true(pread(fd, text, sizeof(text) - 1, (off_t)offset) > 300);
	close(fd);
	cid = strstr(text, "\nCID=");
	assert_non_null(cid);
	end = strchr(cid + 1, '\n');
	memmove(cid + 6, end, strlen(end) + 1);
	write_at(name, offset, text, strlen(text) + 1);
}

static void test_vmdk_rest_of_text(void **state)
{
	static const char *const kinds[] = { "streamOptimized",
					     "monolithicSparse",
					     "monolithicFlat" };

	(void)state;
	NEED("qemu-img");
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		assert_int_equal(run("rm -f c*.vmdk && qemu-img convert -f raw "
				     "-O vmdk -o subformat=%s base.raw c.vmdk",
				     kinds[i]), 0);
		shorten_cid("c.vmdk", i < 2 ? 512 : 0);
		check_format("c.vmdk", "vmdk", "vmdk");
	}
	/* but nothing that could be a line */
	write_at("c.vmdk", 400, "\nRW 1 FLAT \"/etc/passwd\" 0\n", 28);
	refuse("c.vmdk", NULL, -EBADMSG, "text behind the end");
	assert_int_equal(run("printf '%%s\\nRW 8 ZERO\\n\\0 \"a\"\\n' "
			     "'# Disk DescriptorFile' >d.vmdk"), 0);
	refuse("d.vmdk", NULL, -EBADMSG, "cannot be opened");
	assert_int_equal(run("printf '%%s\\nRW 8 ZERO\\0 \"a\"\\n' "
			     "'# Disk DescriptorFile' >d.vmdk"), 0);
	refuse("d.vmdk", NULL, -EBADMSG, "text behind the end");
}

static void test_ewf(void **state)
{
	struct opened o;

	(void)state;
	NEED("ewfacquirestream");
	assert_int_equal(run("ewfacquirestream -q -t one -c fast <base.raw"), 0);
	check_format("one.E01", "ewf", "ewf");
	assert_int_equal(run("ewfacquirestream -q -t many -S 1048576 <base.raw"),
			 0);
	must_open("many.E01", &o);
	assert_true(o.img.n_files > 3);
	check_bytes(&o, disk, DISK);
	image_close(&o);
	refuse("many.E02", NULL, -EINVAL, "name the first");
	assert_int_equal(run("mv many.E02 away"), 0);
	refuse("many.E01", NULL, -ENOENT, "many.E02: this segment");
	assert_int_equal(run("mv away many.E02"), 0);
}

static void test_split(void **state)
{
	struct opened o;

	(void)state;
	assert_int_equal(run("split -a 3 -d --numeric-suffixes=1 -b 5000000 "
			     "base.raw s. && split -a 2 -b 1000001 base.raw t."),
			 0);
	check_format("s.001", "split", "split");
	must_open("t.aa", &o);
	assert_int_equal(o.img.n_files, 13);
	check_bytes(&o, disk, DISK);

	/* a mapping is there inside a segment, not across two */
	assert_non_null(herd_source_map(o.source, 1000001, 4096));
	assert_null(herd_source_map(o.source, 1000000, 4096));
	image_close(&o);
	assert_int_equal(run("mv s.002 away"), 0);
	/* .001 alone could be a raw image of that name; with .003 it is not */
	assert_int_equal(run("cp s.003 s.004; mv away s.002; mv s.003 away"), 0);
	refuse("s.001", NULL, -ENOENT, "s.003: this segment");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_raw),
		cmocka_unit_test(test_qemu_formats),
		cmocka_unit_test(test_qcow2_layouts),
		cmocka_unit_test(test_qcow2_huge),
		cmocka_unit_test(test_qemu_huge),
		cmocka_unit_test(test_qcow2_cut),
		cmocka_unit_test(test_qcow2_marked),
		cmocka_unit_test(test_vhd),
		cmocka_unit_test(test_vmdk),
		cmocka_unit_test(test_vmdk_rest_of_text),
		cmocka_unit_test(test_ewf),
		cmocka_unit_test(test_split),
	};

	return cmocka_run_group_tests(tests, image_setup, image_teardown);
}
