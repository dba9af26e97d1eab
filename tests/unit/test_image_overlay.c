/* SPDX-License-Identifier: Apache-2.0 */
/* Images that stand on one another: what is read, and in what two of them differ. */
#include "tests/unit/image_fixture.h"

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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_chain),
		cmocka_unit_test(test_changed_extents),
		cmocka_unit_test(test_thin_is_not_compared),
		cmocka_unit_test(test_changed_extents_of_partition),
		cmocka_unit_test(test_overlay_larger_than_base),
		cmocka_unit_test(test_short_bottom),
		cmocka_unit_test(test_external_data),
		cmocka_unit_test(test_data_extents),
	};

	return cmocka_run_group_tests(tests, image_setup, image_teardown);
}
