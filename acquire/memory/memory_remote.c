/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which container an object of S3 is. See acquire/memory.h.
 */
#include "acquire/memory/memory_impl.h"

#include "acquire/fetcher.h"

#include <string.h>

static int read_head(struct herd_image *img, struct herd_fetcher *fetcher,
		     uint8_t *head, size_t *len, struct herd_diag *diag)
{
	struct herd_helper helper = { .pid = 0 };
	struct herd_source *s = NULL;
	int err = herd_fetcher_connect(fetcher, img, &helper, diag);

	if (!err)
		err = herd_source_open_s3(img, &helper, &s, diag);
	if (!err && *len > s->size)
		*len = (size_t)s->size;
	if (!err)
		err = herd_source_read(s, head, *len, 0, diag);
	herd_source_destroy(s);
	herd_helper_stop(&helper);
	return err;
}

static int make_image(const char *path, struct herd_image *ret,
		      struct herd_diag *diag)
{
	if (!herd_s3_is_object(path))
		return -EINVAL;
	ret->files = calloc(1, sizeof(*ret->files));
	if (!ret->files)
		return -ENOMEM;
	ret->n_files = 1;
	ret->files[0].path = strdup(path);
	if (!ret->files[0].path)
		return -ENOMEM;
	return herd_s3_is_name(path) ?
		       0 :
		       herd_diag_set(diag, -EINVAL, path, HERD_NO_OFFSET,
				     "is no object's name: s3://BUCKET/KEY");
}

int herd_memory_probe_s3(const char *path, const char *format,
			 struct herd_fetcher *fetcher, struct herd_image *ret,
			 struct herd_diag *diag)
{
	CLEANUP_IMAGE struct herd_image img = { 0 };
	CLEANUP_FREE uint8_t *head = malloc(HERD_MEMORY_HEAD);
	const char *name = herd_path_base(path), *decided = NULL;
	size_t len = HERD_MEMORY_HEAD;
	int err = head ? make_image(path, &img, diag) : -ENOMEM;

	if (!err)
		err = read_head(&img, fetcher, head, &len, diag);
	if (!err && herd_memory_is_kept(head, len))
		return herd_diag_set(
			diag, -EOPNOTSUPP, name, 0,
			"is the list of an image that was kept: it "
			"is read from a folder, with what stands "
			"beside it, and not from S3");
	if (!err)
		err = herd_memory_decide(head, len, img.files[0].size, name,
					 format, &decided, diag);
	if (!err)
		err = herd_memory_set_format(&img, decided, format);
	if (err)
		return err;
	img.size = img.files[0].size;
	*ret = img;
	img = (struct herd_image){ 0 };
	return 0;
}
