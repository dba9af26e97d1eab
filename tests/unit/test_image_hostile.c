/* SPDX-License-Identifier: Apache-2.0 */
/* Images that lie about what they stand on, and images that are others now. */
#include "tests/unit/image_fixture.h"

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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_hostile_backing),
		cmocka_unit_test(test_backing_dir),
		cmocka_unit_test(test_backing_format_not_recorded),
		cmocka_unit_test(test_raw_that_poses),
		cmocka_unit_test(test_hostile_vmdk),
		cmocka_unit_test(test_flipped_headers),
		cmocka_unit_test(test_verify),
		cmocka_unit_test(test_verify_sees_backing),
		cmocka_unit_test(test_refuses_odd_files),
	};

	return cmocka_run_group_tests(tests, image_setup, image_teardown);
}
