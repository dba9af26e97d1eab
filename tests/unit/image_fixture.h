/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A raw disk of known bytes, and an image with all that was started for it, for
 * the tests of images. Functions fail the test themselves.
 */
#ifndef HERD_TEST_IMAGE_FIXTURE_H
#define HERD_TEST_IMAGE_FIXTURE_H

#include "tests/unit/image_util.h"

#include "acquire/base/cleanup.h"
#include "acquire/source.h"

#define DISK (12u << 20)
#define MIB (1u << 20)

/* What only qemu reads. */
#define SUBCLUSTERS "-o extended_l2=on"

static uint8_t *disk;		/* what base.raw holds */

static inline int image_setup(void **state)
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

static inline int image_teardown(void **state)
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

static inline int image_open(const char *name, const char *format,
		      struct opened *o, struct herd_diag *diag)
{
	*o = (struct opened){ 0 };
	herd_diag_clear(diag);

	int err = herd_image_probe(in_scratch(name), format, NULL, &o->img,
				   diag);

	if (!err && herd_image_needs_helper(&o->img))
		err = herd_helper_start(&o->img, NULL, &o->helper, diag);
	if (!err)
		err = herd_image_open(&o->img, &o->helper, &o->source, diag);
	if (err) {
		herd_helper_stop(&o->helper);
		herd_image_deinit(&o->img);
	}
	return err;
}

static inline void image_close(struct opened *o)
{
	herd_source_destroy(o->source);
	herd_helper_stop(&o->helper);
	herd_image_deinit(&o->img);
}

static inline void must_open(const char *name, struct opened *o)
{
	struct herd_diag diag;
	char line[900];
	int err = image_open(name, NULL, o, &diag);

	if (err)
		fail_msg("%s", herd_diag_format(&diag, err, line, sizeof(line)));
}

/* That the image reads as `want`, in pieces of odd sizes and in one. */
static inline void check_bytes(struct opened *o, const uint8_t *want, size_t len)
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

static inline void check_format(const char *name, const char *format,
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

static inline void refuse(const char *name, const char *format, int want,
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

#endif
