/* SPDX-License-Identifier: Apache-2.0 */
#include "acquire/chain.h"

#include "acquire/base/buf.h"
#include "acquire/detect.h"
#include "acquire/source_impl.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>

/* What may stand below an overlay; each of them but qcow2 stands alone. */
static const char *const backing_formats[] = {
	"raw", "qcow2", "qcow", "qed", "vdi", "vhdx", "vhd", "parallels",
};

/* Whether the resolved path lies in dir, or in the tree below it. */
static bool lies_within(const char *path, const char *dir)
{
	size_t len = strlen(dir);

	/* everything lies below "/": there only the directory itself counts */
	if (!strcmp(dir, "/"))
		return path[0] == '/' && !strchr(path + 1, '/');
	return !strncmp(path, dir, len) && path[len] == '/';
}

static char *directory_of(const char *path)
{
	const char *slash = strrchr(path, '/');

	if (!slash)
		return strdup(".");
	return slash == path ? strdup("/") :
			       strndup(path, (size_t)(slash - path));
}

int herd_chain_resolve(const char *holder, const char *name, const char *what,
		       const char *allowed_dir, char **ret,
		       struct herd_diag *diag)
{
	const char *base = herd_path_base(holder);
	CLEANUP_FREE char *named_in = directory_of(holder);
	CLEANUP_FREE char *dir = named_in ? realpath(named_in, NULL) : NULL;
	CLEANUP_FREE char *allowed = allowed_dir ? realpath(allowed_dir, NULL) :
						   NULL;
	CLEANUP_BUF struct herd_buf joined = HERD_BUF_INIT;

	if (!dir)
		return herd_diag_set(diag, -errno, base, HERD_NO_OFFSET,
				     "its directory cannot be resolved");
	/* "nbd:…", "json:…", "http:…": a colon before any slash */
	if (name[strcspn(name, ":/")] == ':')
		return herd_diag_set(diag, -EPERM, base, HERD_NO_OFFSET,
				     "its %s \"%.200s\" is not a plain path",
				     what, name);
	if (name[0] != '/')
		herd_buf_printf(&joined, "%s/", dir);
	herd_buf_put(&joined, name, strlen(name) + 1);
	if (herd_buf_error(&joined))
		return -ENOMEM;

	CLEANUP_FREE char *real = realpath((char *)joined.data, NULL);
	int missing = errno;

	/* what lies elsewhere is not even said to be there or not */
	if (real ? !lies_within(real, dir) &&
			   !(allowed && lies_within(real, allowed)) :
		   name[0] == '/' && !lies_within(name, dir) &&
			   !(allowed && lies_within(name, allowed)))
		return herd_diag_set(diag, -EPERM, base, HERD_NO_OFFSET,
				     "its %s \"%.200s\" lies outside the directory of the image; "
				     "allow its directory if you trust it",
				     what, name);
	if (!real)
		return herd_diag_set(diag, -missing, base, HERD_NO_OFFSET,
				     "its %s \"%.200s\" cannot be found", what,
				     name);
	*ret = TAKE_PTR(real);
	return 0;
}

static int read_qcow2(const char *path, struct herd_qcow2 *ret,
		      struct herd_diag *diag)
{
	CLEANUP_FD int fd = -1;
	struct stat st;
	uint64_t size;
	int err = herd_image_file_open(path, &fd, &st, &size, diag);

	if (err)
		return err;

	const char *name = herd_path_base(path);
	uint8_t start[HERD_QCOW2_START] = { 0 };

	err = herd_pread_full(fd, start,
			      size < sizeof(start) ? size : sizeof(start), 0,
			      name, diag);
	if (err)
		return err;

	size_t len = herd_qcow2_header_len(start);

	if (len > size)
		len = (size_t)size;
	CLEANUP_FREE uint8_t *bytes = malloc(len ? len : 1);

	if (!bytes)
		return -ENOMEM;
	return herd_pread_full(fd, bytes, len, 0, name, diag) ?:
	       herd_qcow2_parse(bytes, len, name, ret, diag);
}

static int detect_path(const char *path, struct herd_detected *ret,
		       struct herd_diag *diag)
{
	CLEANUP_FD int fd = -1;
	struct stat st;
	uint64_t size;

	return herd_image_file_open(path, &fd, &st, &size, diag) ?:
	       herd_detect(fd, size, herd_path_base(path), ret, diag);
}

static bool ends_with(const char *text, const char *end)
{
	size_t n = strlen(text), m = strlen(end);

	return n >= m && !strcasecmp(text + n - m, end);
}

/*
 * The format of the backing file at path, which `holder` names. A recorded
 * one holds, and content must not contradict it. With none recorded, a raw
 * disk into which its guest wrote a qcow2 header must not become a qcow2:
 * then content and file name must both say qcow2.
 */
static int backing_format(const char *holder, const struct herd_qcow2 *q,
			  const char *path, char ret[16],
			  struct herd_diag *diag)
{
	const char *wanted = q->backing_format, *name = herd_path_base(holder);
	struct herd_detected found = { "raw", 0 };

	if (!strcmp(wanted, "vpc"))
		wanted = "vhd";
	if (strcmp(wanted, "raw")) {
		int err = detect_path(path, &found, diag);

		if (err)
			return err;
	}
	if (!wanted[0]) {
		if (strcmp(found.format, "raw") &&
		    !(!strcmp(found.format, "qcow2") && ends_with(path, ".qcow2")))
			return herd_diag_set(diag, -EOPNOTSUPP, name,
					     HERD_NO_OFFSET,
					     "does not record the format of its backing file, "
					     "which looks like %s; record it with qemu-img rebase -u -F",
					     found.format);
		wanted = found.format;
	}
	for (size_t i = 0; i < ARRAY_SIZE(backing_formats); i++) {
		if (strcmp(wanted, backing_formats[i]))
			continue;
		if (strcmp(wanted, found.format))
			return herd_diag_set(diag, -EBADMSG,
					     herd_path_base(path), 0,
					     "is not %s, as %.100s says", wanted,
					     name);
		strcpy(ret, backing_formats[i]);
		return 0;
	}
	return herd_diag_set(diag, -EOPNOTSUPP, name, HERD_NO_OFFSET,
			     "a backing file of format \"%s\" is not supported",
			     wanted);
}

static int add_once(struct herd_image *img, const char *path,
		    struct herd_diag *diag)
{
	for (size_t i = 0; i < img->n_files; i++)
		if (!strcmp(img->files[i].path, path))
			return herd_diag_set(diag, -EBADMSG,
					     herd_path_base(path),
					     HERD_NO_OFFSET,
					     "the image stands on itself");
	return herd_image_add_file(img, path, diag);
}

/* Of img->format: what its first file is. */
static void first_format(const struct herd_image *img, char ret[16])
{
	bool qemu = !strncmp(img->format, "qemu-", 5);

	snprintf(ret, 16, "%s", img->format + (qemu ? 5 : 0));
}

/* Ours to read: nothing but plain qcow2 on one another, or on a raw file. */
static int choose_reader(struct herd_image *img, bool plain)
{
	if (plain || strcmp(img->format, "qcow2"))
		return 0;
	free(img->format);
	img->format = strdup("qemu-qcow2");
	return img->format ? 0 : -ENOMEM;
}

/* What the header of one of its files says against it. */
static int add_warning(struct herd_image *img, const char *path,
		       const struct herd_qcow2 *q)
{
	CLEANUP_FREE char *before = TAKE_PTR(img->warning);
	struct herd_diag name;

	if (!q->corrupt && !q->dirty) {
		img->warning = TAKE_PTR(before);
		return 0;
	}
	herd_diag_clear(&name); /* its name, made safe to be shown */
	herd_diag_set(&name, 0, herd_path_base(path), HERD_NO_OFFSET, "-");
	if (asprintf(&img->warning, "%s%s%s is marked %s%s%s: read all the same",
		     before ? before : "", before ? "; " : "", name.source,
		     q->corrupt ? "corrupt (a write to it went wrong, what "
				  "its tables say may be wrong)" : "",
		     q->corrupt && q->dirty ? " and " : "",
		     q->dirty ? "dirty (it was not closed, or copied while "
				"it was written to)" : "") < 0) {
		img->warning = NULL;
		return -ENOMEM;
	}
	return 0;
}

int herd_chain_build(struct herd_image *img, const char *path,
		     const char *allowed_dir, struct herd_diag *diag)
{
	CLEANUP_FREE char *current = strdup(path);
	bool plain = true;
	char format[16];

	if (!current)
		return -ENOMEM;
	first_format(img, format);
	for (unsigned depth = 0; depth < HERD_CHAIN_MAX; depth++) {
		CLEANUP_FREE char *data = NULL;
		CLEANUP_FREE char *next = NULL;
		struct herd_qcow2 q = { 0 };
		int err = add_once(img, current, diag);

		if (!err && !strcmp(format, "qcow2"))
			err = read_qcow2(current, &q, diag) ?:
			      add_warning(img, current, &q);
		if (!err && q.external_data)
			err = herd_chain_resolve(current, q.data_file,
						 "data file", allowed_dir,
						 &data, diag) ?:
			      add_once(img, data, diag);
		plain = plain && (q.plain || !strcmp(format, "raw"));
		if (err || !q.backing[0])
			return err ?: choose_reader(img, plain);
		err = herd_chain_resolve(current, q.backing, "backing file",
					 allowed_dir, &next, diag) ?:
		      backing_format(current, &q, next, format, diag);
		if (err)
			return err;
		free(current);
		current = TAKE_PTR(next);
	}
	return herd_diag_set(diag, -EOVERFLOW, herd_path_base(path),
			     HERD_NO_OFFSET, "more than %u images stand on one another",
			     HERD_CHAIN_MAX);
}

static int misfit(const struct herd_image *img, struct herd_diag *diag)
{
	return herd_diag_set(diag, -ESTALE, herd_path_base(img->files[0].path),
			     HERD_NO_OFFSET,
			     "changed since it was indexed: it stands on other files");
}

int herd_chain_read(const struct herd_image *img, struct herd_chain *ret,
		    struct herd_diag *diag)
{
	struct herd_chain chain = { 0 };
	size_t file = 0;
	char format[16];

	first_format(img, format);
	for (;;) {
		struct herd_qcow2 q = { 0 };
		int err = 0;

		if (file >= img->n_files || chain.n == HERD_CHAIN_MAX)
			return misfit(img, diag);

		struct herd_chain_link *link = &chain.links[chain.n++];
		const char *path = img->files[file].path;

		strcpy(link->format, format);
		link->file = file++;
		if (!strcmp(format, "qcow2"))
			err = read_qcow2(path, &q, diag);
		if (err)
			return err;
		link->qcow2 = q;
		file += q.external_data;
		if (!q.backing[0])
			break;
		if (file >= img->n_files)
			return misfit(img, diag);
		err = backing_format(path, &q, img->files[file].path, format,
				     diag);
		if (err)
			return err;
	}
	if (file != img->n_files)
		return misfit(img, diag);
	*ret = chain;
	return 0;
}
