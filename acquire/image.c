/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Images: how one is identified, verified and opened. Finding out what a
 * path is stands in image_probe.c.
 *
 * Threads: no state; an image belongs to one thread at a time.
 */
#include "acquire/base/sha256.h"
#include "acquire/chain.h"
#include "acquire/fetcher.h"
#include "acquire/memory.h"
#include "acquire/source_impl.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#define ENDS (1u << 20)		/* bytes digested at each end */

const char *herd_path_base(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash && slash[1] ? slash + 1 : path;
}

void herd_image_deinit(struct herd_image *img)
{
	int saved = errno;

	for (size_t i = 0; i < img->n_files; i++)
		free(img->files[i].path);
	free(img->files);
	free(img->format);
	free(img->warning);
	*img = (struct herd_image){ 0 };
	errno = saved;
}

int herd_image_copy(const struct herd_image *from, struct herd_image *ret)
{
	CLEANUP_IMAGE struct herd_image copy = {
		.size = from->size,
		.format = strdup(from->format),
		.files = calloc(from->n_files ? from->n_files : 1,
				sizeof(*copy.files)),
	};

	if (!copy.format || !copy.files)
		return -ENOMEM;
	for (; copy.n_files < from->n_files; copy.n_files++) {
		struct herd_image_file *f = &copy.files[copy.n_files];

		*f = from->files[copy.n_files];
		f->path = strdup(f->path);
		if (!f->path)
			return -ENOMEM;
	}
	*ret = copy;
	copy = (struct herd_image){ 0 };
	return 0;
}

/* ---- identity ---- */

static int digest_ends(int fd, uint64_t size, const char *name,
		       uint8_t ret[HERD_SHA256_LEN], struct herd_diag *diag)
{
	size_t part = size < ENDS ? (size_t)size : ENDS;
	CLEANUP_FREE uint8_t *both = malloc(2 * (size_t)ENDS);

	if (!both)
		return -ENOMEM;
	int err = herd_pread_full(fd, both, part, 0, name, diag) ?:
		  herd_pread_full(fd, both + part, part, size - part, name,
				  diag);
	if (!err)
		herd_sha256(both, 2 * part, ret);
	return err;
}

/* All of it but the path; ends only with `content`. */
static int identify(const char *path, bool content, struct herd_image_file *ret,
		    struct herd_diag *diag)
{
	struct herd_image_file f = { 0 };
	CLEANUP_FD int fd = -1;
	struct stat st;
	int err = herd_image_file_open(path, &fd, &st, &f.size, diag);

	if (!err && content)
		err = digest_ends(fd, f.size, herd_path_base(path), f.ends,
				  diag);
	if (err)
		return err;
	if (S_ISREG(st.st_mode)) {
		f.mtime_sec = st.st_mtim.tv_sec;
		f.mtime_nsec = (uint32_t)st.st_mtim.tv_nsec;
	}
	*ret = f;
	return 0;
}

int herd_image_add_file(struct herd_image *img, const char *path,
			struct herd_diag *diag)
{
	struct herd_image_file f;

	if (img->n_files == HERD_IMAGE_FILES_MAX)
		return herd_diag_set(diag, -EOVERFLOW, herd_path_base(path),
				     HERD_NO_OFFSET,
				     "an image of more than %u files",
				     HERD_IMAGE_FILES_MAX);
	int err = identify(path, true, &f, diag);

	if (err)
		return err;

	struct herd_image_file *files = reallocarray(img->files,
						     img->n_files + 1,
						     sizeof(*files));
	if (!files)
		return -ENOMEM;
	img->files = files;
	f.path = strdup(path);
	if (!f.path)
		return -ENOMEM;
	files[img->n_files++] = f;
	return 0;
}

bool herd_image_file_same(const struct herd_image_file *a,
			  const struct herd_image_file *b)
{
	return !strcmp(a->path, b->path) && a->size == b->size &&
	       a->mtime_sec == b->mtime_sec && a->mtime_nsec == b->mtime_nsec &&
	       !memcmp(a->ends, b->ends, sizeof(a->ends));
}

static const char *format_time(int64_t sec, uint32_t nsec, char *buf, size_t n)
{
	time_t t = (time_t)sec;
	char whole[40] = "";
	struct tm tm;

	if (gmtime_r(&t, &tm))
		strftime(whole, sizeof(whole), "%Y-%m-%dT%H:%M:%S", &tm);
	snprintf(buf, n, "%s.%09uZ", whole, nsec);
	return buf;
}

static int verify_file(const struct herd_image_file *was, bool content,
		       struct herd_diag *diag)
{
	static const char changed[] = "changed since it was indexed";
	const char *name = herd_path_base(was->path);
	struct herd_image_file now;
	char a[64], b[64];
	int err = identify(was->path, content, &now, diag);

	if (err)
		return err;
	if (now.size != was->size)
		return herd_diag_set(diag, -ESTALE, name, HERD_NO_OFFSET,
				     "%s: size was %llu, is %llu", changed,
				     (unsigned long long)was->size,
				     (unsigned long long)now.size);
	if (now.mtime_sec != was->mtime_sec || now.mtime_nsec != was->mtime_nsec)
		return herd_diag_set(diag, -ESTALE, name, HERD_NO_OFFSET,
				     "%s: modification time was %s, is %s",
				     changed,
				     format_time(was->mtime_sec,
						 was->mtime_nsec, a, sizeof(a)),
				     format_time(now.mtime_sec, now.mtime_nsec,
						 b, sizeof(b)));
	if (content && memcmp(now.ends, was->ends, sizeof(now.ends)))
		return herd_diag_set(diag, -ESTALE, name, HERD_NO_OFFSET,
				     "%s: size and time are the same, but its first or last MiB is not",
				     changed);
	return 0;
}

int herd_image_verify(const struct herd_image *img, bool content,
		      struct herd_diag *diag)
{
	for (size_t i = 0; i < img->n_files && !herd_image_is_remote(img); i++) {
		int err = verify_file(&img->files[i], content, diag);

		if (err)
			return err;
	}
	return 0;
}

/* ---- opening ---- */

static bool is_one_of(const char *format, const char *const *list)
{
	while (*list && strcmp(*list, format))
		list++;
	return *list != NULL;
}

bool herd_image_is_remote(const struct herd_image *img)
{
	return !strcmp(img->format, "ebs") ||
	       (img->n_files && herd_s3_is_object(img->files[0].path));
}

int herd_image_remote(const struct herd_image_file *f, struct herd_image *ret)
{
	char ebs[] = "ebs", s3[] = "s3";
	struct herd_image_file file = *f;
	const struct herd_image img = {
		.format = herd_s3_is_object(f->path) ? s3 : ebs,
		.size = f->size, .files = &file, .n_files = 1,
	};

	return herd_image_copy(&img, ret);
}

int herd_image_open_remote(struct herd_image *img, struct herd_helper *helper,
			   struct herd_source **ret, struct herd_diag *diag)
{
	return herd_s3_is_object(img->files[0].path) ?
		       herd_source_open_s3(img, helper, ret, diag) :
		       herd_image_open(img, helper, ret, diag);
}

static bool is_raw(const struct herd_image *img)
{
	static const char *const formats[] = { "raw", "split", NULL };

	return is_one_of(img->format, formats);
}

bool herd_image_needs_helper(const struct herd_image *img)
{
	static const char *const formats[] = { "qcow2", "ewf", "vmdk", "vhd",
					       NULL };

	return herd_image_is_remote(img) ||
	       (!is_raw(img) && !herd_image_is_memory(img) &&
		!is_one_of(img->format, formats));
}

int herd_image_open(const struct herd_image *img, struct herd_helper *helper,
		    struct herd_source **ret, struct herd_diag *diag)
{
	struct herd_source *s = NULL;
	int err;

	if (!img->n_files || !img->format)
		return -EINVAL;
	if (herd_image_is_memory(img))	/* whose size is another thing */
		return herd_memory_open(img, helper, ret, diag);
	if (is_raw(img))
		err = herd_source_open_raw(img, &s, diag);
	else if (herd_image_is_remote(img))
		err = herd_source_open_ebs(img, helper, &s, diag);
	else if (!strcmp(img->format, "qcow2"))
		err = herd_source_open_qcow2(img, &s, diag);
	else if (!herd_image_needs_helper(img))
		err = herd_source_open_tsk(img, &s, diag);
	else
		err = herd_source_open_nbd(img, helper, &s, diag);
	if (err)
		return err;
	if (img->size && s->size != img->size) {
		err = herd_diag_set(diag, -EBADMSG, s->name, HERD_NO_OFFSET,
				    "its header tells of %llu bytes, but it holds %llu",
				    (unsigned long long)img->size,
				    (unsigned long long)s->size);
		herd_source_destroy(s);
		return err;
	}
	*ret = s;
	return 0;
}
