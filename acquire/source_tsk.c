/* SPDX-License-Identifier: Apache-2.0 */
/*
 * E01, VMDK and VHD, by libtsk's image layer. The format is always given:
 * libtsk never guesses from what an image holds.
 *
 * Threads: the libraries below keep a file position and a cache in their
 * handles, so one lock is held across each read. libtsk's error text is per
 * thread and is taken at once, before the lock is let go.
 */
#include "acquire/source_impl.h"

#include <string.h>
#include <tsk/libtsk.h>

#if defined(__SANITIZE_ADDRESS__) || defined(HERD_LIBFUZZER)
/* What libtsk forgets when it cannot open an image is not ours to find. */
const char *__lsan_default_suppressions(void);
const char *__lsan_default_suppressions(void)
{
	return "leak:libewf.so\nleak:libvmdk.so\nleak:libvhdi.so\n"
	       "leak:libtsk.so\n";
}
const char *__lsan_default_options(void);
const char *__lsan_default_options(void)
{
	return "print_suppressions=0";
}
#endif

/* A disk that is more than so many times as large as its files is mostly holes,
   which the libraries do not tell of. */
#define THIN 4u

struct tsk_source {
	struct herd_source base;
	uint64_t stored;	/* bytes of the image's files */
	pthread_mutex_t lock;	/* img */
	TSK_IMG_INFO *img;
};

/* The first line of libtsk's text; what follows is the path it took. */
static int tsk_failure(struct herd_diag *diag, int err, const char *name,
		       uint64_t off, const char *what)
{
	char line[384] = "";
	const char *text = tsk_error_get();

	if (text)
		snprintf(line, sizeof(line), "%.*s", (int)strcspn(text, "\n"),
			 text);
	tsk_error_reset();
	return herd_diag_set(diag, err, name, off, "%s%s%s", what,
			     line[0] ? ": " : "", line);
}

static int tsk_source_read(struct herd_source *s, void *buf, size_t len,
			   uint64_t off, struct herd_diag *diag)
{
	struct tsk_source *t = (struct tsk_source *)s;
	char *to = buf;

	SCOPED_LOCK(&t->lock);
	while (len) {
		/* the libraries count some things in int */
		size_t part = len < (8u << 20) ? len : 8u << 20;
		ssize_t n = tsk_img_read(t->img, (TSK_OFF_T)off, to, part);

		if (n <= 0 || (size_t)n > part)
			return tsk_failure(diag, -EIO, s->name, off,
					   "cannot be read");
		to += n;
		off += (uint64_t)n;
		len -= (size_t)n;
	}
	return 0;
}

/*
 * All of it, as if there were no such function; but a thin disk is not worth
 * comparing: to read 200 GB of zeros twice takes longer than to hash what it
 * holds, and a header of some MB can claim far more.
 */
static int tsk_source_data_extents(struct herd_source *s,
				   struct herd_extents *ret,
				   struct herd_diag *diag)
{
	const struct tsk_source *t = (const struct tsk_source *)s;

	if (s->size / THIN > t->stored)
		return herd_diag_set(diag, -EOVERFLOW, s->name, HERD_NO_OFFSET,
				     "is mostly holes: it is not compared");
	ret->n = 0;
	return herd_extents_add(ret, 0, s->size);
}

static void tsk_source_destroy(struct herd_source *s)
{
	struct tsk_source *t = (struct tsk_source *)s;

	if (t->img)
		tsk_img_close(t->img);
	pthread_mutex_destroy(&t->lock);
	herd_source_deinit(s);
	free(t);
}

#define KIND(fmt, what) { fmt, what, { .kind = fmt, \
	.read = tsk_source_read, .data_extents = tsk_source_data_extents, \
	.destroy = tsk_source_destroy } }

static const struct {
	const char *format;
	TSK_IMG_TYPE_ENUM type;
	struct herd_source_ops ops;
} kinds[] = {
	KIND("ewf", TSK_IMG_TYPE_EWF_EWF),
	KIND("vmdk", TSK_IMG_TYPE_VMDK_VMDK),
	KIND("vhd", TSK_IMG_TYPE_VHD_VHD),
};

static int tsk_source_open(struct tsk_source *t, const struct herd_image *img,
			   TSK_IMG_TYPE_ENUM type, struct herd_diag *diag)
{
	/* the extents of a VMDK are found through its descriptor */
	int n = type == TSK_IMG_TYPE_VMDK_VMDK ? 1 : (int)img->n_files;
	CLEANUP_FREE const char **paths = calloc((size_t)n, sizeof(*paths));

	if (!paths)
		return -ENOMEM;
	for (int i = 0; i < n; i++)
		paths[i] = img->files[i].path;
	tsk_error_reset();
	t->img = tsk_img_open(n, paths, type, 0);
	if (!t->img)
		return tsk_failure(diag, -EBADMSG, t->base.name, HERD_NO_OFFSET,
				   "cannot be opened");
	if (t->img->size < 0 || !t->img->size)
		return herd_diag_set(diag, -EBADMSG, t->base.name,
				     HERD_NO_OFFSET, "the disk inside is empty");
	t->base.size = (uint64_t)t->img->size;
	for (size_t i = 0; i < img->n_files; i++)
		t->stored += img->files[i].size;
	return 0;
}

int herd_source_open_tsk(const struct herd_image *img, struct herd_source **ret,
			 struct herd_diag *diag)
{
	size_t k = 0;

	while (k < ARRAY_SIZE(kinds) && strcmp(kinds[k].format, img->format))
		k++;
	if (k == ARRAY_SIZE(kinds) || !img->n_files ||
	    img->n_files > HERD_IMAGE_FILES_MAX)
		return -EINVAL;

	struct tsk_source *t = calloc(1, sizeof(*t));

	if (!t)
		return -ENOMEM;
	pthread_mutex_init(&t->lock, NULL);
	int err = herd_source_init(&t->base, &kinds[k].ops,
				   herd_path_base(img->files[0].path), 0);

	if (!err)
		err = tsk_source_open(t, img, kinds[k].type, diag);
	if (err) {
		tsk_source_destroy(&t->base);
		return err;
	}
	*ret = &t->base;
	return 0;
}
