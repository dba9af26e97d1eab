/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A herd of small ext4 images, made by scripts, attached and judged. Functions
 * fail the test themselves.
 */
#ifndef IMAGE_HERD_H
#define IMAGE_HERD_H

#include "acquire/base/cleanup.h"
#include "acquire/base/cursor.h"
#include "index/attach.h"
#include "index/content.h"
#include "index/judge.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static char dir[] = "/tmp/herd-images-XXXXXX";

/* Runs a script in the test's folder, after what all of them begin with. */
static inline void sh(const char *script)
{
	/* image NAME: out of the folder t; packages DIR: see below */
	static const char common[] =
		"set -e\n"
		"export E2FSPROGS_FAKE_TIME=1790000000\n"
		"image() { find t -exec touch -h -d @1790000000 {} +;"
		" truncate -s 12M $1.raw; mke2fs -q -F -t ext4 -b 1024"
		" -N 400 -O ^has_journal -d t $1.raw; }\n"
		"key() { echo '-----BEGIN PRIVATE KEY-----'; echo \"$1\" | base64;"
		" echo '-----END PRIVATE KEY-----'; }\n"
		"host() { mkdir -p t/etc t/usr/bin t/var/log; echo $1 >t/etc/hostname;"
		" echo $1 | md5sum | cut -c1-32 >t/etc/machine-id; }\n"
		/* package NAME VERSION, its files on standard input */
		"package() { local d=t/var/lib/dpkg f; mkdir -p $d/info;"
		" printf 'Package: %s\\nStatus: install ok installed\\n"
		"Architecture: all\\nVersion: %s\\n\\n' $1 $2 >>$d/status;"
		" cat >l; sed s,^,/, l >$d/info/$1.list; : >$d/info/$1.md5sums;"
		" while read -r f; do [ ! -f t/$f ] || [ -L t/$f ] ||"
		" (cd t; md5sum $f) >>$d/info/$1.md5sums; done <l; }\n";
	char path[200], cmd[300];

	snprintf(path, sizeof(path), "%s/script", dir);
	FILE *f = fopen(path, "w");

	assert_non_null(f);
	fprintf(f, "%s%s", common, script);
	fclose(f);
	snprintf(cmd, sizeof(cmd),
		 "cd %s && bash script >>log 2>&1 || "
		 "{ tail -n 5 log >&2; false; }",
		 dir);
	assert_int_equal(system(cmd), 0);
}

static inline int setup(void **state)
{
	(void)state;
	return mkdtemp(dir) ? 0 : -1;
}

static inline int teardown(void **state)
{
	char cmd[128];

	(void)state;
	snprintf(cmd, sizeof(cmd), "rm -rf %s", dir);
	return system(cmd);
}

/* ---- a herd of images ---- */

struct world {
	struct herd_store *store;
	struct herd_txn *t;
	struct herd_group g;
	struct herd_herd *h;
	const char *reference; /* its image */
	char name[16];
};

static inline struct herd_source *open_image(const char *name,
					     struct herd_image *img)
{
	struct herd_source *src = NULL;
	char path[200];

	snprintf(path, sizeof(path), "%s/%s.raw", dir, name);
	assert_int_equal(herd_image_probe(path, NULL, NULL, img, NULL), 0);
	assert_int_equal(herd_image_open(img, NULL, &src, NULL), 0);
	return src;
}

static inline void world_open(struct world *w, const char *name)
{
	char path[200];

	*w = (struct world){ .store = NULL };
	snprintf(w->name, sizeof(w->name), "%s", name);
	snprintf(path, sizeof(path), "%s/store-%s", dir, name);
	assert_int_equal(herd_store_open(path,
					 HERD_STORE_WRITE | HERD_STORE_CREATE,
					 &w->store, NULL),
			 0);
}

/* The first to come is the reference; `blind`: its image is not at hand. */
static inline uint32_t attach(struct world *w, const char *instance,
			      const char *image, bool blind)
{
	struct herd_image img = { 0 }, ref_img = { 0 };
	struct herd_instance inst = { 0 };
	struct herd_source *src = open_image(image, &img), *ref = NULL;
	struct herd_diag diag;
	char text[1024];

	if (w->reference && !blind)
		ref = open_image(w->reference, &ref_img);
	struct herd_attach a = { .group = "g",
				 .instance = instance,
				 .images = &img,
				 .disks = &src,
				 .n_disks = 1,
				 .reference_disks = &ref,
				 .n_reference_disks = ref ? 1 : 0,
				 .threads = 1,
				 .now = 1000 };

	herd_diag_clear(&diag);
	int err = herd_attach(w->store, &a, &inst, &diag);

	if (err)
		fail_msg("%s",
			 herd_diag_format(&diag, err, text, sizeof(text)));
	if (!w->reference)
		w->reference = image;
	uint32_t id = inst.id;

	assert_int_equal(inst.problems, 0);
	herd_instance_deinit(&inst);
	herd_source_destroy(src);
	herd_source_destroy(ref);
	herd_image_deinit(&img);
	herd_image_deinit(&ref_img);
	return id;
}

static inline void world_judge(struct world *w)
{
	assert_int_equal(herd_txn_begin(w->store, false, &w->t, NULL), 0);
	assert_int_equal(herd_group_find(w->t, "g", &w->g), 0);
	assert_int_equal(herd_herd_make(w->t, &w->g, &w->h, NULL), 0);
}

static inline void world_close(struct world *w)
{
	herd_herd_destroy(w->h);
	herd_txn_abort(w->t);
	herd_store_close(w->store);
}

static inline uint32_t path_id(struct world *w, const char *path)
{
	uint32_t id = 0;

	if (herd_path_resolve(w->t, path, strlen(path), &id))
		fail_msg("%s: no such path", path);
	return id;
}

static inline void judged(struct world *w, uint32_t instance, const char *path,
			  enum herd_class class, unsigned reasons)
{
	char got[HERD_REASON_TEXT_MAX], want[HERD_REASON_TEXT_MAX];
	struct herd_finding f;
	int err = herd_judge_path(w->t, w->h, instance, path_id(w, path), &f,
				  NULL);

	if (err)
		fail_msg("%s: %s", path, strerror(-err));
	if (f.verdict.class == class && f.verdict.reasons == reasons)
		return;
	herd_reason_text(f.verdict.reasons, got, sizeof(got));
	herd_reason_text(reasons, want, sizeof(want));
	fail_msg("%s of %u: %s (%s), not %s (%s)", path, instance,
		 herd_class_name(f.verdict.class), got, herd_class_name(class),
		 want);
}

#define S HERD_CLASS_SAME
#define D HERD_CLASS_DEVIANT
#define V HERD_CLASS_VOLATILE

#endif
