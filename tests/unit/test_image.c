/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Images of every format against the raw disk that they were made from, and
 * images that lie about what they stand on.
 */
#include "tests/unit/image_util.h"

#include "acquire/base/cleanup.h"
#include "acquire/confine.h"
#include "acquire/source.h"

#include <pthread.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#define DISK (12u << 20)
#define MIB (1u << 20)

static uint8_t *disk;		/* what base.raw holds */

static int image_setup(void **state)
{
	if (scratch_setup(state))
		return -1;
	disk = calloc(1, DISK);
	if (!disk)
		return -1;
	fill_random(disk, 3 * MIB, 1);
	memset(disk + 4 * MIB, 0x55, MIB);
	fill_random(disk + 9 * MIB + 512, MIB, 2);
	fill_random(disk + DISK - 4096, 4096, 3);
	write_file("base.raw", disk, DISK);
	return 0;
}

static int image_teardown(void **state)
{
	free(disk);
	return scratch_teardown(state);
}

/* ---- an image and all that was started for it ---- */

struct opened {
	struct herd_image img;
	struct herd_helper helper;
	struct herd_source *source;
};

static int image_open(const char *name, const char *format,
		      struct opened *o, struct herd_diag *diag)
{
	*o = (struct opened){ 0 };
	herd_diag_clear(diag);

	int err = herd_image_probe(in_scratch(name), format, NULL, &o->img,
				   diag);

	if (!err && herd_image_needs_helper(&o->img))
		err = herd_helper_start(&o->img, &o->helper, diag);
	if (!err)
		err = herd_image_open(&o->img, &o->helper, &o->source, diag);
	if (err) {
		herd_helper_stop(&o->helper);
		herd_image_deinit(&o->img);
	}
	return err;
}

static void image_close(struct opened *o)
{
	herd_source_destroy(o->source);
	herd_helper_stop(&o->helper);
	herd_image_deinit(&o->img);
}

static void must_open(const char *name, struct opened *o)
{
	struct herd_diag diag;
	char line[900];
	int err = image_open(name, NULL, o, &diag);

	if (err)
		fail_msg("%s", herd_diag_format(&diag, err, line, sizeof(line)));
}

/* That the image reads as `want`, in pieces of odd sizes and in one. */
static void check_bytes(struct opened *o, const uint8_t *want, size_t len)
{
	CLEANUP_FREE uint8_t *got = malloc(len);
	uint64_t seed = 7;

	struct herd_diag diag;
	char line[900];

	herd_diag_clear(&diag);
	assert_true(o->source->size >= len);
	int err = herd_source_read(o->source, got, len, 0, &diag);

	if (err)
		fail_msg("%s", herd_diag_format(&diag, err, line, sizeof(line)));
	assert_memory_equal(got, want, len);
	for (int i = 0; i < 200; i++) {
		size_t off = random_next(&seed) % len;
		size_t n = random_next(&seed) % (len - off < 70000 ?
						 len - off : 70000);

		err = herd_source_read(o->source, got, n, off, &diag);
		if (err)
			fail_msg("%s", herd_diag_format(&diag, err, line,
							sizeof(line)));
		assert_memory_equal(got, want + off, n);
	}
	assert_int_equal(herd_source_read(o->source, got, 2,
					  o->source->size - 1, NULL), -EBADMSG);
	assert_int_equal(herd_image_verify(&o->img, true, NULL), 0);
}

static void check_format(const char *name, const char *format,
			 const char *kind)
{
	struct opened o;

	must_open(name, &o);
	assert_string_equal(o.img.format, format);
	assert_string_equal(o.source->ops->kind, kind);
	assert_true(o.img.size == o.source->size);
	check_bytes(&o, disk, DISK);
	image_close(&o);
}

static void refuse(const char *name, const char *format, int want,
		   const char *words)
{
	struct herd_diag diag;
	char line[900];
	struct opened o;
	int err = image_open(name, format, &o, &diag);

	if (!err)
		image_close(&o);
	herd_diag_format(&diag, err, line, sizeof(line));
	if (err != want || !strstr(line, words))
		fail_msg("%s: %d \"%s\" instead of %d \"%s\"", name, err, line,
			 want, words);
}

/* ---- formats ---- */

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

/* ---- overlays ---- */

/* What only qemu reads. */
#define SUBCLUSTERS "-o extended_l2=on"

/* top.qcow2 -> mid.qcow2 -> base.raw, and side.qcow2 -> base.raw */
static void make_chain(const char *options)
{
	assert_int_equal(run("rm -f mid.qcow2 top.qcow2 side.qcow2; "
			     "qemu-img create -q %s -f qcow2 -b base.raw -F raw mid.qcow2 && "
			     "qemu-img create -q -f qcow2 -b mid.qcow2 -F qcow2 top.qcow2 && "
			     "qemu-img create -q %s -f qcow2 -b base.raw -F raw side.qcow2 && "
			     "qemu-io -f qcow2 -c 'write -P 1 1M 70000' mid.qcow2 && "
			     "qemu-io -f qcow2 -c 'write -P 2 5M 512' -c 'write -z 4M 128K' top.qcow2 && "
			     "qemu-io -f qcow2 -c 'write -P 3 11M 4096' side.qcow2",
			     options, options), 0);
}

static void check_chain(const char *options, const char *kind, uint8_t *want,
			struct opened *top)
{
	make_chain(options);
	memcpy(want, disk, DISK);
	memset(want + MIB, 1, 70000);
	memset(want + 5 * MIB, 2, 512);
	memset(want + 4 * MIB, 0, 128 << 10);
	must_open("top.qcow2", top);
	assert_string_equal(top->source->ops->kind, kind);
	assert_int_equal(top->img.n_files, 3);
	check_bytes(top, want, DISK);
}

static void test_chain(void **state)
{
	CLEANUP_FREE uint8_t *want = malloc(DISK);
	struct opened top;

	(void)state;
	NEED("qemu-io");
	check_chain(SUBCLUSTERS, "nbd", want, &top);
	image_close(&top);
	check_chain("", "qcow2", want, &top);

	/* in place: in the overlay, in what it stands on, at the bottom */
	assert_memory_equal(herd_source_map(top.source, 5 * MIB, 512),
			    want + 5 * MIB, 512);
	assert_memory_equal(herd_source_map(top.source, MIB, 512), want + MIB,
			    512);
	assert_memory_equal(herd_source_map(top.source, 2 * MIB, 512),
			    want + 2 * MIB, 512);
	assert_null(herd_source_map(top.source, 4 * MIB, 512));
	assert_null(herd_source_map(top.source, 0, DISK));
	image_close(&top);
}

static void check_superset(struct herd_source *a, struct herd_source *b,
			   const struct herd_extents *e)
{
	CLEANUP_FREE uint8_t *x = malloc(DISK), *y = malloc(DISK);

	assert_int_equal(herd_source_read(a, x, DISK, 0, NULL), 0);
	assert_int_equal(herd_source_read(b, y, DISK, 0, NULL), 0);
	for (size_t i = 0; i < DISK; i++)
		if (x[i] != y[i])
			assert_true(herd_extents_overlap(e, i, 1));
}

/* The difference is found by status: few bytes, and none of content read. */
static void check_related(const char *name_a, const char *name_b, bool related)
{
	CLEANUP(herd_extents_deinit) struct herd_extents e = { 0 };
	struct opened a, b;
	uint64_t compared = 99;

	must_open(name_a, &a);
	must_open(name_b, &b);
	assert_int_equal(herd_source_diff(a.source, b.source, NULL, 2, &e,
					  &compared, NULL), 0);
	if (related) {
		assert_int_equal(compared, 0);
		assert_int_equal(atomic_load(&a.source->bytes_read), 0);
		assert_int_equal(atomic_load(&b.source->bytes_read), 0);
		assert_in_range(herd_extents_bytes(&e), 1, 600000);
	} else {
		assert_true(compared > 0);
	}
	check_superset(a.source, b.source, &e);
	image_close(&a);
	image_close(&b);
}

static void check_short_layer(const char *name_a, const char *name_b)
{
	CLEANUP(herd_extents_deinit) struct herd_extents e = { 0 };
	struct opened a, b;

	must_open(name_a, &a);
	must_open(name_b, &b);
	assert_int_equal(herd_source_diff(a.source, b.source, NULL, 2, &e,
					  NULL, NULL), 0);
	check_superset(a.source, b.source, &e);
	image_close(&a);
	image_close(&b);
}

static void test_changed_extents(void **state)
{
	(void)state;
	NEED("qemu-io");
	for (int qemu = 0; qemu < 2; qemu++) {
		make_chain(qemu ? SUBCLUSTERS : "");
		check_related("top.qcow2", "side.qcow2", true);
		check_related("side.qcow2", "top.qcow2", true);
		check_related("top.qcow2", "mid.qcow2", true);
		check_related("mid.qcow2", "top.qcow2", true);
		check_related("top.qcow2", "base.raw", true);
		check_related("base.raw", "top.qcow2", true);
	}
	/* where mid ends, top has zeros, not what the base has there */
	for (int qemu = 0; qemu < 2; qemu++) {
		make_chain(qemu ? SUBCLUSTERS : "");
		assert_int_equal(run("qemu-img resize --shrink mid.qcow2 9M"), 0);
		check_short_layer("top.qcow2", "side.qcow2");
		check_short_layer("side.qcow2", "top.qcow2");
		check_short_layer("top.qcow2", "base.raw");
	}
	make_chain("");
	/* one that qemu reads against one that we read */
	assert_int_equal(run("qemu-img create -q -f qcow2 -b base.raw -F raw "
			     "plain.qcow2 && qemu-io -f qcow2 "
			     "-c 'write -P 7 2M 100000' plain.qcow2"), 0);
	check_related("top.qcow2", "plain.qcow2", true);
	check_related("plain.qcow2", "top.qcow2", true);
	assert_int_equal(run("cp base.raw copy.raw && qemu-img create -q -f qcow2 "
			     "-b copy.raw -F raw other.qcow2"), 0);
	check_related("other.qcow2", "side.qcow2", false);
}

/* Of a thin disk, all holes, nobody reads the holes to compare them. */
static void test_thin_is_not_compared(void **state)
{
	CLEANUP(herd_extents_deinit) struct herd_extents e = { 0 };
	static const char *const kinds[] = { "vmdk", "vpc" };
	struct opened a, b;

	(void)state;
	NEED("qemu-img");
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		assert_int_equal(run("rm -f c1.img c2.img; "
				     "cp base.raw big.raw; truncate -s 2G big.raw; "
				     "qemu-img convert -f raw -O %s big.raw c1.img; "
				     "rm big.raw", kinds[i]), 0);
		assert_int_equal(run("mkdir -p b; cp c1.img b/c1.img"), 0);
		must_open("c1.img", &a);
		must_open("b/c1.img", &b);
		assert_int_equal(herd_source_diff(a.source, b.source, NULL, 2,
						  &e, NULL, NULL), -EOVERFLOW);
		assert_int_equal(atomic_load(&a.source->bytes_read), 0);
		image_close(&a);
		image_close(&b);
	}
	/* one with data is compared */
	assert_int_equal(run("rm -f c1.img b/*; qemu-img convert -f raw -O vmdk "
			     "base.raw c1.img; cp c1.img b/c1.img"), 0);
	must_open("c1.img", &a);
	must_open("b/c1.img", &b);
	assert_int_equal(herd_source_diff(a.source, b.source, NULL, 2, &e, NULL,
					  NULL), 0);
	assert_int_equal(e.n, 0);
	image_close(&a);
	image_close(&b);
}

static void test_changed_extents_of_partition(void **state)
{
	CLEANUP(herd_extents_deinit) struct herd_extents e = { 0 };
	struct herd_source *wa, *wb, *wc;
	uint64_t compared = 99;
	struct opened a, b;

	(void)state;
	NEED("qemu-io");
	make_chain("");
	must_open("top.qcow2", &a);
	must_open("base.raw", &b);
	assert_int_equal(herd_source_window(a.source, "p", 4 * MIB, 2 * MIB,
					    &wa), 0);
	assert_int_equal(herd_source_window(b.source, "p", 4 * MIB, 2 * MIB,
					    &wb), 0);
	assert_int_equal(herd_source_window(b.source, "p", 5 * MIB, 2 * MIB,
					    &wc), 0);
	assert_int_equal(herd_source_diff(wa, wb, NULL, 1, &e, &compared,
					  NULL), 0);
	assert_int_equal(compared, 0);
	assert_int_equal(e.n, 2);
	assert_int_equal(e.v[0].start, 0);
	assert_int_equal(e.v[0].len, 128 << 10);
	assert_int_equal(e.v[1].start, MIB);
	assert_int_equal(herd_source_diff(wa, wc, NULL, 1, &e, &compared,
					  NULL), 0);
	assert_true(compared > 0);
	herd_source_destroy(wa);
	herd_source_destroy(wb);
	herd_source_destroy(wc);
	image_close(&a);
	image_close(&b);
}

static void test_overlay_larger_than_base(void **state)
{
	CLEANUP(herd_extents_deinit) struct herd_extents e = { 0 };
	CLEANUP_FREE uint8_t *got = malloc(2 * MIB);
	uint64_t compared = 99;
	struct opened a, b;

	(void)state;
	NEED("qemu-img");
	assert_int_equal(run("qemu-img create -q -f qcow2 -b base.raw -F raw "
			     "large.qcow2 14M"), 0);
	must_open("large.qcow2", &a);
	must_open("base.raw", &b);
	check_bytes(&a, disk, DISK);
	assert_int_equal(herd_source_read(a.source, got, 2 * MIB, DISK, NULL), 0);
	for (size_t i = 0; i < 2 * MIB; i++)
		assert_int_equal(got[i], 0);
	assert_int_equal(herd_source_diff(a.source, b.source, NULL, 1, &e,
					  &compared, NULL), 0);
	assert_int_equal(compared, 0);
	assert_int_equal(e.n, 1);
	assert_int_equal(e.v[0].start, DISK);
	assert_int_equal(e.v[0].len, 2 * MIB);
	image_close(&a);
	image_close(&b);
}

/* An overlay on a longer overlay on a shorter raw file, of an odd length. */
static void test_short_bottom(void **state)
{
	CLEANUP_FREE uint8_t *want = calloc(1, DISK);
	struct opened o;

	(void)state;
	NEED("qemu-io");
	write_file("odd.raw", disk, 3 * MIB - 100);
	assert_int_equal(run("qemu-img create -q -f qcow2 -b odd.raw -F raw s1.qcow2 12M && "
			     "qemu-img create -q -f qcow2 -b s1.qcow2 -F qcow2 s2.qcow2 11M && "
			     "qemu-img create -q -f qcow2 -b s2.qcow2 -F qcow2 s3.qcow2 12M && "
			     "qemu-io -f qcow2 -c 'write -P 1 7M 4096' s1.qcow2 && "
			     "qemu-io -f qcow2 -c 'write -P 2 11900k 4096' s1.qcow2 && "
			     "qemu-io -f qcow2 -c 'write -P 3 2M 4096' s2.qcow2"),
			 0);
	memcpy(want, disk, 3 * MIB - 100);
	memset(want + 7 * MIB, 1, 4096);
	memset(want + 2 * MIB, 3, 4096);
	/* s2 ends at 11 MiB, so what s1 holds behind that is not seen */
	must_open("s3.qcow2", &o);
	check_bytes(&o, want, DISK);
	image_close(&o);
}

static void test_external_data(void **state)
{
	(void)state;
	NEED("qemu-img");
	assert_int_equal(run("qemu-img convert -f raw -O qcow2 -o "
			     "data_file=ext.data,data_file_raw=on base.raw ext.qcow2"),
			 0);
	check_format("ext.qcow2", "qemu-qcow2", "nbd");
	/* the same length, so that the header stays whole */
	assert_int_equal(run("LC_ALL=C sed -e 's,ext.data,/etc/fst,' ext.qcow2 >evil.qcow2"),
			 0);
	refuse("evil.qcow2", NULL, -EPERM, "data file \"/etc/fst\"");
}

static void test_data_extents(void **state)
{
	CLEANUP(herd_extents_deinit) struct herd_extents e = { 0 };
	struct opened o;

	(void)state;
	NEED("qemu-img");
	assert_int_equal(run("qemu-img convert -f raw -O qcow2 base.raw c.qcow2"),
			 0);
	must_open("c.qcow2", &o);
	assert_int_equal(o.source->ops->data_extents(o.source, &e, NULL), 0);
	assert_true(herd_extents_bytes(&e) < 6 * MIB);
	for (size_t i = 0; i < DISK; i++)
		if (disk[i])
			assert_true(herd_extents_overlap(&e, i, 1));
	image_close(&o);
}

/* ---- images that lie ---- */

static void make_overlay_on(const char *backing, const char *format)
{
	/* -u: written as it is, whether it is there or not */
	assert_int_equal(run("rm -f evil.qcow2; qemu-img create -q -u -f qcow2 "
			     "-b '%s' -F %s evil.qcow2 1M", backing, format), 0);
}

static void test_hostile_backing(void **state)
{
	(void)state;
	NEED("qemu-img");
	make_overlay_on("/etc/passwd", "raw");
	refuse("evil.qcow2", NULL, -EPERM, "outside the directory");
	make_overlay_on("/etc/there-is-no-such-file", "raw");
	refuse("evil.qcow2", NULL, -EPERM, "outside the directory");
	make_overlay_on("../../../../../../etc/passwd", "raw");
	refuse("evil.qcow2", NULL, -EPERM, "outside the directory");
	make_overlay_on("nbd:localhost:10809", "raw");
	refuse("evil.qcow2", NULL, -EPERM, "not a plain path");
	make_overlay_on("json:{\"driver\":\"file\",\"filename\":\"/etc/passwd\"}",
			"raw");
	refuse("evil.qcow2", NULL, -EPERM, "not a plain path");
	assert_int_equal(run("ln -sf /etc/passwd link.raw"), 0);
	make_overlay_on("link.raw", "raw");
	refuse("evil.qcow2", NULL, -EPERM, "outside the directory");
	assert_int_equal(run("ln -sfn /etc sub"), 0);
	make_overlay_on("sub/passwd", "raw");
	refuse("evil.qcow2", NULL, -EPERM, "outside the directory");
	make_overlay_on("none.raw", "raw");
	refuse("evil.qcow2", NULL, -ENOENT, "none.raw");
	make_overlay_on("./evil.qcow2", "qcow2");
	refuse("evil.qcow2", NULL, -EBADMSG, "stands on itself");
	make_overlay_on("base.raw", "vvfat");
	refuse("evil.qcow2", NULL, -EOPNOTSUPP, "vvfat");
	assert_int_equal(run("mkfifo pipe.raw"), 0);
	make_overlay_on("pipe.raw", "raw");
	refuse("evil.qcow2", NULL, -EINVAL, "neither a file");
}

static void test_backing_dir(void **state)
{
	struct herd_image img;
	struct herd_diag diag;

	(void)state;
	NEED("qemu-img");
	assert_int_equal(run("mkdir -p a b && cp base.raw b/base.raw && cd a && "
			     "qemu-img create -q -f qcow2 -b ../b/base.raw -F raw o.qcow2"),
			 0);
	refuse("a/o.qcow2", NULL, -EPERM, "outside the directory");
	herd_diag_clear(&diag);
	assert_int_equal(herd_image_probe(in_scratch("a/o.qcow2"), NULL,
					  in_scratch("b"), &img, &diag), 0);
	assert_int_equal(img.n_files, 2);
	assert_string_equal(img.files[1].path, in_scratch("b/base.raw"));
	herd_image_deinit(&img);
}

static void test_backing_format_not_recorded(void **state)
{
	uint8_t zeros[4] = { 0 };
	struct opened o;

	(void)state;
	NEED("qemu-img");
	/* the extension's type becomes 0: there are none any more */
	assert_int_equal(run("qemu-img create -q -f qcow2 -b base.raw -F raw n.qcow2 && "
			     "qemu-img convert -f raw -O qcow2 base.raw b.qcow2 && "
			     "cp b.qcow2 b.img && "
			     "qemu-img create -q -f qcow2 -b b.qcow2 -F qcow2 m.qcow2 && "
			     "qemu-img create -q -f qcow2 -b b.img -F qcow2 k.qcow2"),
			 0);
	write_at("n.qcow2", 112, zeros, 4);
	must_open("n.qcow2", &o);
	check_bytes(&o, disk, DISK);
	image_close(&o);
	write_at("m.qcow2", 112, zeros, 4);
	must_open("m.qcow2", &o);
	check_bytes(&o, disk, DISK);
	image_close(&o);
	write_at("k.qcow2", 112, zeros, 4);
	refuse("k.qcow2", NULL, -EOPNOTSUPP, "does not record the format");
}

/* A guest wrote a qcow2 header onto its own raw disk. */
static void test_raw_that_poses(void **state)
{
	struct opened o;
	struct herd_diag diag;

	(void)state;
	NEED("qemu-img");
	make_overlay_on("base.raw", "raw");
	assert_int_equal(run("cp evil.qcow2 posing.raw"), 0);
	refuse("posing.raw", NULL, -EINVAL, "--format");
	refuse("base.raw", "qcow2", -EINVAL, "is not qcow2");
	assert_int_equal(image_open("posing.raw", "raw", &o, &diag), 0);
	assert_string_equal(o.source->ops->kind, "raw");
	image_close(&o);
	/* as a backing file recorded as raw it is raw too */
	assert_int_equal(run("qemu-img create -q -f qcow2 -b posing.raw -F raw on.qcow2"),
			 0);
	must_open("on.qcow2", &o);
	uint8_t magic[4];

	assert_int_equal(o.img.n_files, 2);
	assert_int_equal(herd_source_read(o.source, magic, 4, 0, NULL), 0);
	assert_memory_equal(magic, "QFI\xfb", 4);
	image_close(&o);
}

static void write_descriptor(const char *extents)
{
	char text[1000];

	snprintf(text, sizeof(text),
		 "# Disk DescriptorFile\nversion=1\nCID=fffffffe\n"
		 "parentCID=ffffffff\ncreateType=\"monolithicFlat\"\n%s\n"
		 "ddb.adapterType = \"ide\"\n", extents);
	write_file("evil.vmdk", text, strlen(text));
}

static void test_hostile_vmdk(void **state)
{
	(void)state;
	write_descriptor("RW 2 FLAT \"/etc/passwd\" 0");
	refuse("evil.vmdk", NULL, -EPERM, "outside its own directory");
	write_descriptor("RW 2 FLAT \"../../../../etc/passwd\" 0");
	refuse("evil.vmdk", NULL, -EPERM, "outside its own directory");
	assert_int_equal(run("ln -sf /etc/passwd flat.raw"), 0);
	write_descriptor("RW 2 FLAT \"flat.raw\" 0");
	refuse("evil.vmdk", NULL, -EPERM, "outside the directory");
	write_descriptor("RW 2 VMFSRDM \"sda\" 0");
	refuse("evil.vmdk", NULL, -EOPNOTSUPP, "raw device");
	write_descriptor("RW 2 FUNNY \"/etc/passwd\" 0");
	refuse("evil.vmdk", NULL, -EBADMSG, "not understood");
	write_descriptor("parentFileNameHint=\"/etc/passwd\"\nRW 2 ZERO");
	refuse("evil.vmdk", NULL, -EOPNOTSUPP, "stands on another");
}

/* Headers flipped at random: read or refused, quickly, and nothing else. */
static void test_flipped_headers(void **state)
{
	static const char *const names[] = { "c.qcow2", "c.vdi", "c.vhd",
					     "c.vhdx", "c.vmdk", "one.E01" };
	uint64_t seed = 5;

	(void)state;
	NEED("qemu-img");
	NEED("ewfacquirestream");
	assert_int_equal(run("rm -f c.* one.*; "
			     "qemu-img convert -f raw -O qcow2 base.raw c.qcow2; "
			     "qemu-img convert -f raw -O vdi base.raw c.vdi; "
			     "qemu-img convert -f raw -O vpc base.raw c.vhd; "
			     "qemu-img convert -f raw -O vhdx base.raw c.vhdx; "
			     "qemu-img convert -f raw -O vmdk base.raw c.vmdk; "
			     "ewfacquirestream -q -t one -c fast <base.raw"), 0);
	for (size_t i = 0; i < 12 * ARRAY_SIZE(names); i++) {
		const char *name = names[i % ARRAY_SIZE(names)];
		const char *dot = strrchr(name, '.');
		uint8_t bytes[64];
		struct herd_diag diag;
		struct opened o;
		char flipped[40];

		snprintf(flipped, sizeof(flipped), "flipped%s", dot);
		assert_int_equal(run("cp %s %s", name, flipped), 0);
		for (int k = 0; k < 3; k++) {
			fill_random(bytes, 2, random_next(&seed));
			write_at(flipped, random_next(&seed) % 1200, bytes, 2);
		}
		double began = now();
		int err = image_open(flipped, NULL, &o, &diag);

		if (!err) {
			for (uint64_t off = 0; off + 64 <= o.source->size &&
			     off < DISK; off += MIB)
				herd_source_read(o.source, bytes, 64, off, NULL);
			image_close(&o);
		} else {
			/* every refusal says why */
			assert_true(diag.message[0]);
		}
		assert_true(now() - began < 10);
	}
}

/* ---- identity ---- */

static void test_verify(void **state)
{
	struct timespec times[2] = { { 1, 0 }, { 1234567890, 5 } };
	struct herd_image img;
	struct herd_diag diag;

	(void)state;
	write_file("v.raw", disk, 3 * MIB);
	assert_int_equal(utimensat(AT_FDCWD, in_scratch("v.raw"), times, 0), 0);
	assert_int_equal(herd_image_probe(in_scratch("v.raw"), NULL, NULL, &img,
					  NULL), 0);
	assert_int_equal(herd_image_verify(&img, true, NULL), 0);

	write_at("v.raw", 3 * MIB - 1, "x", 1);
	assert_int_equal(utimensat(AT_FDCWD, in_scratch("v.raw"), times, 0), 0);
	assert_int_equal(herd_image_verify(&img, false, NULL), 0);
	herd_diag_clear(&diag);
	assert_int_equal(herd_image_verify(&img, true, &diag), -ESTALE);
	assert_string_equal(diag.source, "v.raw");
	assert_non_null(strstr(diag.message, "last MiB"));

	times[1].tv_nsec++;
	assert_int_equal(utimensat(AT_FDCWD, in_scratch("v.raw"), times, 0), 0);
	herd_diag_clear(&diag);
	assert_int_equal(herd_image_verify(&img, false, &diag), -ESTALE);
	assert_string_equal(diag.message,
			    "changed since it was indexed: modification time was "
			    "2009-02-13T23:31:30.000000005Z, is "
			    "2009-02-13T23:31:30.000000006Z");

	assert_int_equal(truncate(in_scratch("v.raw"), 1200), 0);
	herd_diag_clear(&diag);
	assert_int_equal(herd_image_verify(&img, true, &diag), -ESTALE);
	assert_string_equal(diag.message,
			    "changed since it was indexed: size was 3145728, is 1200");

	assert_int_equal(unlink(in_scratch("v.raw")), 0);
	herd_diag_clear(&diag);
	assert_int_equal(herd_image_verify(&img, true, &diag), -ENOENT);
	assert_string_equal(diag.source, "v.raw");
	herd_image_deinit(&img);
}

static void test_verify_sees_backing(void **state)
{
	struct herd_image img;
	struct herd_diag diag;

	(void)state;
	NEED("qemu-img");
	assert_int_equal(run("cp base.raw vb.raw && qemu-img create -q -f qcow2 "
			     "-b vb.raw -F raw vo.qcow2"), 0);
	assert_int_equal(herd_image_probe(in_scratch("vo.qcow2"), NULL, NULL,
					  &img, NULL), 0);
	assert_int_equal(herd_image_verify(&img, true, NULL), 0);
	assert_int_equal(run("touch vb.raw"), 0);
	herd_diag_clear(&diag);
	assert_int_equal(herd_image_verify(&img, false, &diag), -ESTALE);
	assert_string_equal(diag.source, "vb.raw");
	herd_image_deinit(&img);
}

static void test_refuses_odd_files(void **state)
{
	(void)state;
	refuse("there-is-none.raw", NULL, -ENOENT, "no such image");
	refuse(".", NULL, -EINVAL, "neither a file nor a block device");
	assert_int_equal(run("rm -f fifo && mkfifo fifo"), 0);
	refuse("fifo", NULL, -EINVAL, "neither a file nor a block device");
}

/* ---- the helper ---- */

static void test_helper_dies(void **state)
{
	struct opened o;
	struct herd_diag diag;
	uint8_t buf[512];

	(void)state;
	NEED("qemu-img");
	assert_int_equal(run("qemu-img convert -f raw -O qcow2 " SUBCLUSTERS " base.raw c.qcow2"),
			 0);
	must_open("c.qcow2", &o);
	assert_int_equal(herd_source_read(o.source, buf, 512, 0, NULL), 0);
	assert_int_equal(kill(o.helper.pid, SIGKILL), 0);

	double began = now();

	for (int i = 0; i < 20; i++) {
		herd_diag_clear(&diag);
		assert_int_equal(herd_source_read(o.source, buf, 512, 0, &diag),
				 -EIO);
		assert_non_null(strstr(diag.message, "qemu-nbd"));
	}
	assert_true(now() - began < 1);
	image_close(&o);
}

/* Whoever used it is killed: it does not stay behind. */
static void test_helper_goes_with_its_user(void **state)
{
	int fds[2];
	pid_t helper = 0, child;

	(void)state;
	NEED("qemu-img");
	assert_int_equal(run("qemu-img convert -f raw -O qcow2 " SUBCLUSTERS " base.raw c.qcow2"),
			 0);
	/* so that the orphan comes to us and not to init */
	assert_int_equal(prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0), 0);
	assert_int_equal(pipe(fds), 0);
	child = fork();
	if (child == 0) {
		struct opened o;

		must_open("c.qcow2", &o);
		if (write(fds[1], &o.helper.pid, sizeof(pid_t)) < 0)
			_exit(1);
		pause();
		_exit(0);
	}
	assert_int_equal(read(fds[0], &helper, sizeof(helper)), sizeof(helper));
	assert_int_equal(kill(helper, 0), 0);
	kill(child, SIGKILL);
	waitpid(child, NULL, 0);
	close(fds[0]);
	close(fds[1]);

	bool gone = false;

	for (int i = 0; i < 300 && !gone; i++) {
		gone = waitpid(helper, NULL, WNOHANG) == helper;
		usleep(10000);
	}
	assert_true(gone);
}

static void test_helper_leaves_nothing(void **state)
{
	struct opened o;

	(void)state;
	NEED("qemu-img");
	assert_int_equal(run("qemu-img convert -f raw -O qcow2 " SUBCLUSTERS
			     " base.raw c.qcow2 && mkdir -p tmp"), 0);
	setenv("TMPDIR", in_scratch("tmp"), 1);
	must_open("c.qcow2", &o);
	unsetenv("TMPDIR");
	assert_int_equal(run("test -z \"$(ls -A tmp)\""), 0);
	image_close(&o);
}

static void test_helper_says_why(void **state)
{
	uint8_t bad[8] = { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff };

	(void)state;
	NEED("qemu-img");
	assert_int_equal(run("qemu-img convert -f raw -O qcow2 " SUBCLUSTERS " base.raw w.qcow2"),
			 0);
	write_at("w.qcow2", 40, bad, 8);	/* where the L1 table lies */
	refuse("w.qcow2", NULL, -EBADMSG, "qemu-nbd does not read it: ");
}

static void *reader(void *arg)
{
	struct opened *o = arg;
	uint64_t seed = (uint64_t)pthread_self();
	CLEANUP_FREE uint8_t *got = malloc(MIB);

	for (int i = 0; i < 100; i++) {
		size_t off = random_next(&seed) % (DISK - MIB);
		size_t len = random_next(&seed) % MIB;

		if (herd_source_read(o->source, got, len, off, NULL) ||
		    memcmp(got, disk + off, len))
			return o;
	}
	return NULL;
}

static void check_threads(const char *name)
{
	pthread_t threads[6];
	struct opened o;
	void *failed;

	must_open(name, &o);
	for (size_t i = 0; i < ARRAY_SIZE(threads); i++)
		assert_int_equal(pthread_create(&threads[i], NULL, reader, &o),
				 0);
	for (size_t i = 0; i < ARRAY_SIZE(threads); i++) {
		pthread_join(threads[i], &failed);
		assert_null(failed);
	}
	image_close(&o);
}

static void test_threads(void **state)
{
	(void)state;
	NEED("qemu-img");
	NEED("ewfacquirestream");
	assert_int_equal(run("rm -f one.*; "
			     "qemu-img convert -f raw -O qcow2 -c base.raw c.qcow2 && "
			     "qemu-img convert -f raw -O qcow2 " SUBCLUSTERS
			     " base.raw x.qcow2 && "
			     "ewfacquirestream -q -t one -c fast <base.raw"), 0);
	check_threads("c.qcow2");
	check_threads("x.qcow2");
	check_threads("one.E01");
}

/* What opening and reading need is there after herd_confine. */
static int open_confined(const char *name)
{
	CLEANUP_FREE uint8_t *got = malloc(DISK);
	CLEANUP(herd_extents_deinit) struct herd_extents e = { 0 };
	struct opened o = { 0 };
	const char *files[64];
	char missing[300];
	int err = herd_image_probe(in_scratch(name), NULL, NULL, &o.img, NULL);

	if (!err && herd_image_needs_helper(&o.img))
		err = herd_helper_start(&o.img, &o.helper, NULL);
	if (err)
		return 10;
	for (size_t i = 0; i < o.img.n_files; i++)
		files[i] = o.img.files[i].path;

	struct herd_confinement c = {
		.read_files = files, .n_read_files = o.img.n_files,
		.connected_sockets = true,
	};

	if (herd_confine(&c, missing, sizeof(missing), NULL))
		return 11;
	if (herd_image_verify(&o.img, true, NULL))
		return 12;
	if (herd_image_open(&o.img, &o.helper, &o.source, NULL))
		return 13;
	if (herd_source_read(o.source, got, DISK, 0, NULL) ||
	    memcmp(got, disk, DISK))
		return 14;
	if (o.source->ops->data_extents &&
	    o.source->ops->data_extents(o.source, &e, NULL))
		return 15;
	double began = now();

	/* it may not be killed from in here, but ends with its sockets */
	herd_source_destroy(o.source);
	herd_helper_stop(&o.helper);
	herd_image_deinit(&o.img);
	return now() - began < 3 ? 0 : 16;
}

static void test_confined(void **state)
{
	static const char *const names[] = { "base.raw", "c.qcow2", "x.qcow2",
					     "one.E01", "c.vmdk", "c.vhd" };

	(void)state;
	NEED("qemu-img");
	NEED("ewfacquirestream");
	assert_int_equal(run("rm -f c.* one.*; "
			     "qemu-img convert -f raw -O qcow2 base.raw c.qcow2 && "
			     "qemu-img convert -f raw -O qcow2 " SUBCLUSTERS
			     " base.raw x.qcow2 && "
			     "qemu-img convert -f raw -O vpc base.raw c.vhd && "
			     "qemu-img convert -f raw -O vmdk base.raw c.vmdk && "
			     "ewfacquirestream -q -t one -c fast <base.raw"), 0);
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		int status;
		pid_t child = fork();

		if (child == 0)
			_exit(open_confined(names[i]));
		assert_int_equal(waitpid(child, &status, 0), child);
		if (status)
			fail_msg("%s: status %x", names[i], (unsigned)status);
	}
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
		cmocka_unit_test(test_chain),
		cmocka_unit_test(test_changed_extents),
		cmocka_unit_test(test_thin_is_not_compared),
		cmocka_unit_test(test_changed_extents_of_partition),
		cmocka_unit_test(test_overlay_larger_than_base),
		cmocka_unit_test(test_short_bottom),
		cmocka_unit_test(test_external_data),
		cmocka_unit_test(test_data_extents),
		cmocka_unit_test(test_hostile_backing),
		cmocka_unit_test(test_backing_dir),
		cmocka_unit_test(test_backing_format_not_recorded),
		cmocka_unit_test(test_raw_that_poses),
		cmocka_unit_test(test_hostile_vmdk),
		cmocka_unit_test(test_flipped_headers),
		cmocka_unit_test(test_verify),
		cmocka_unit_test(test_verify_sees_backing),
		cmocka_unit_test(test_refuses_odd_files),
		cmocka_unit_test(test_helper_dies),
		cmocka_unit_test(test_helper_goes_with_its_user),
		cmocka_unit_test(test_helper_leaves_nothing),
		cmocka_unit_test(test_helper_says_why),
		cmocka_unit_test(test_threads),
		cmocka_unit_test(test_confined),
	};

	return cmocka_run_group_tests(tests, image_setup, image_teardown);
}
