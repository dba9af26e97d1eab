/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Finds out what a path is, and which files the image consists of.
 *
 * What lies on a disk was written by its guest, and a guest can write a qcow2
 * header into the first sector of its own raw disk, or a VHD's footer into
 * the last. So content alone does not decide where it is likely to lie: a
 * block device is raw, and a file named as raw whose content says otherwise
 * is refused until the user says which it is.
 *
 * Threads: no state.
 */
#include "acquire/base/buf.h"
#include "acquire/chain.h"
#include "acquire/detect.h"
#include "acquire/fetcher.h"
#include "acquire/memory.h"
#include "acquire/source_impl.h"
#include "acquire/vmdk.h"

#include <ctype.h>
#include <string.h>

struct probing {
	const char *format;	/* as the user says, or NULL */
	const char *allowed_dir;
	char *named;		/* absolute, as the user named it; owned */
	char *real;		/* links resolved; owned */
	bool device;
	struct herd_detected found;
	struct herd_image img;
	struct herd_diag *diag;
};

static void probing_deinit(struct probing *p)
{
	free(p->named);
	free(p->real);
	herd_image_deinit(&p->img);
}

static const char *extension(const char *path)
{
	const char *base = herd_path_base(path), *dot = strrchr(base, '.');

	return dot && dot != base ? dot + 1 : "";
}

/* "000", "001", "aa", "aaa": the name of a first segment. */
static bool is_first_segment(const char *ext)
{
	size_t n = strlen(ext);

	if (n < 2 || n > 6)
		return false;
	if (strspn(ext, "a") == n || strspn(ext, "A") == n)
		return true;
	/* two digits would take web.01 and web.02, two instances, for one */
	return n >= 3 && strspn(ext, "0") >= n - 1 && (ext[n - 1] == '0' || ext[n - 1] == '1');
}

static bool is_named_raw(const char *path)
{
	static const char *const names[] = { "raw", "dd", "dsk" };
	const char *ext = extension(path);

	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		if (!strcasecmp(ext, names[i]))
			return true;
	return is_first_segment(ext);
}

/* The name of the next segment of a split image, in place; false at the last. */
static bool next_segment(char *path)
{
	char *ext = (char *)extension(path);

	for (size_t i = strlen(ext); i-- > 0;) {
		if (ext[i] != '9' && ext[i] != 'z' && ext[i] != 'Z') {
			ext[i]++;
			return true;
		}
		ext[i] = ext[i] == '9' ? '0' : ext[i] == 'z' ? 'a' : 'A';
	}
	return false;
}

/* .E01 … .E99, .EAA, .EAB … .EZZ, .FAA … .ZZZ, in place. */
static bool next_ewf_segment(char *path)
{
	char *ext = (char *)extension(path);

	if (strlen(ext) != 3)
		return false;
	if (isdigit((unsigned char)ext[1])) {
		char a = isupper((unsigned char)ext[0]) ? 'A' : 'a';

		if (!isdigit((unsigned char)ext[2]))
			return false;
		if (ext[2] != '9')
			ext[2]++;
		else if (ext[1] != '9')
			ext[1]++, ext[2] = '0';
		else
			ext[1] = ext[2] = a;
		return true;
	}
	for (size_t i = 3; i-- > 0;) {
		if (ext[i] != 'z' && ext[i] != 'Z') {
			ext[i]++;
			return true;
		}
		ext[i] = ext[i] == 'z' ? 'a' : 'A';
	}
	return false;
}

static bool exists(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0;
}

/* Adds p->named and every segment after it; a gap among them is an error. */
static int add_segments(struct probing *p, bool (*next)(char *path))
{
	CLEANUP_FREE char *path = strdup(p->named);

	if (!path)
		return -ENOMEM;
	do {
		int err = herd_image_add_file(&p->img, path, p->diag);

		if (err)
			return err;
	} while (next(path) && exists(path));

	CLEANUP_FREE char *missing = strdup(path);

	if (!missing)
		return -ENOMEM;
	for (int i = 0; i < 3 && next(path); i++)
		if (exists(path))
			return herd_diag_set(p->diag, -ENOENT,
					     herd_path_base(missing),
					     HERD_NO_OFFSET,
					     "this segment of the image is missing");
	return 0;
}

static int add_split(struct probing *p)
{
	int err = add_segments(p, next_segment);

	if (err)
		return err;
	for (size_t i = 0; i < p->img.n_files; i++) {
		if (p->img.files[i].size > INT64_MAX - p->img.size)
			return herd_diag_set(p->diag, -EOVERFLOW,
					     herd_path_base(p->named),
					     HERD_NO_OFFSET,
					     "the image is too large");
		p->img.size += p->img.files[i].size;
	}
	return 0;
}

/* Whether this is the first segment, and more follow, be one missing or not. */
static bool is_split(const struct probing *p)
{
	CLEANUP_FREE char *path = NULL;

	if (p->device || !is_first_segment(extension(p->named)))
		return false;
	path = strdup(p->named);
	for (int i = 0; path && i < 3 && next_segment(path); i++)
		if (exists(path))
			return true;
	return false;
}

/*
 * A VMDK whose descriptor lies inside it names itself; libtsk would open what
 * is named there, be it another file by now. Where that is not the file that
 * we have, qemu reads it, which does not look at the name.
 */
static const char *vmdk_reader(const struct probing *p,
			       const struct herd_vmdk *v, uint64_t offset)
{
	if (offset && (v->n_names != 1 ||
		       strcmp(v->names[0], herd_path_base(p->real))))
		return "qemu-vmdk";
	return "vmdk";
}

static int vmdk_parse_file(struct probing *p, struct herd_vmdk *ret,
			   uint64_t *ret_offset)
{
	const char *name = herd_path_base(p->real);
	CLEANUP_FREE char *text = NULL;
	CLEANUP_FD int fd = -1;
	struct stat st;
	uint64_t size;
	size_t len;

	return herd_image_file_open(p->real, &fd, &st, &size, p->diag) ?:
	       herd_detect_vmdk_text(fd, size, name, &text, &len, ret_offset,
				     p->diag) ?:
	       herd_vmdk_parse(text, len, name, *ret_offset, ret, p->diag);
}

static int add_vmdk(struct probing *p)
{
	CLEANUP(herd_vmdk_deinit) struct herd_vmdk v = { 0 };
	uint64_t offset;
	int err = vmdk_parse_file(p, &v, &offset) ?:
		  herd_image_add_file(&p->img, p->real, p->diag);

	if (err)
		return err;
	if (v.has_parent)
		return herd_diag_set(p->diag, -EOPNOTSUPP,
				     herd_path_base(p->real), HERD_NO_OFFSET,
				     "a VMDK snapshot that stands on another VMDK; "
				     "merge them with qemu-img convert");
	free(p->img.format);
	p->img.format = strdup(vmdk_reader(p, &v, offset));
	if (!p->img.format)
		return -ENOMEM;
	for (size_t i = 0; !offset && i < v.n_names && !err; i++) {
		CLEANUP_FREE char *path = NULL;

		err = herd_chain_resolve(p->real, v.names[i], "extent", NULL,
					 &path, p->diag) ?:
		      herd_image_add_file(&p->img, path, p->diag);
	}
	return err;
}

/* Decides the format; the comment at the top says by what. */
static int decide(struct probing *p, const char **ret)
{
	static const char *const also[][2] = {
		{ "vpc", "vhd" }, { "e01", "ewf" }, { "E01", "ewf" },
		{ "dd", "raw" },
	};
	const char *name = herd_path_base(p->named), *format = p->format;

	for (size_t i = 0; format && i < ARRAY_SIZE(also); i++)
		if (!strcmp(format, also[i][0]))
			format = also[i][1];
	if (!format && (p->device || !strcmp(p->found.format, "raw"))) {
		*ret = is_split(p) ? "split" : "raw";
		return 0;
	}
	if (!format && is_named_raw(p->named))
		return herd_diag_set(p->diag, -EINVAL, name, HERD_NO_OFFSET,
				     "is named like a raw image, but its content says %s; "
				     "say which it is with --format",
				     p->found.format);
	if (!format) {
		*ret = p->found.format;
		return 0;
	}
	if (!strcmp(format, "raw") || !strcmp(format, "split")) {
		*ret = format;
		return 0;
	}
	if (strcmp(format, p->found.format))
		return herd_diag_set(p->diag, -EINVAL, name, 0,
				     "is not %s: its content says %s",
				     format, p->found.format);
	*ret = p->found.format;
	return 0;
}

static int probing_begin(struct probing *p, const char *path)
{
	const char *base = herd_path_base(path);
	CLEANUP_FREE char *dir = strndup(path, (size_t)(base - path));
	CLEANUP_BUF struct herd_buf named = HERD_BUF_INIT;
	CLEANUP_FD int fd = -1;
	struct stat st;
	uint64_t size;

	if (!dir)
		return -ENOMEM;
	int err = herd_image_file_open(path, &fd, &st, &size, p->diag);

	if (err)
		return err;

	CLEANUP_FREE char *real_dir = realpath(dir[0] ? dir : ".", NULL);

	p->real = realpath(path, NULL);
	if (!p->real || !real_dir)
		return herd_diag_set(p->diag, -errno, base, HERD_NO_OFFSET,
				     "its path cannot be resolved");
	herd_buf_printf(&named, "%s/%s", strcmp(real_dir, "/") ? real_dir : "",
			base);
	if (herd_buf_error(&named))
		return -ENOMEM;
	p->named = (char *)TAKE_PTR(named.data);
	p->device = S_ISBLK(st.st_mode);
	p->found = (struct herd_detected){ "raw", size };
	/* whoever says raw has said enough */
	if (p->format ? !strcmp(p->format, "raw") || !strcmp(p->format, "split") :
			p->device)
		return 0;
	return herd_detect(fd, size, base, &p->found, p->diag);
}

static int probing_add_files(struct probing *p, const char *format)
{
	p->img.format = strdup(format);
	if (!p->img.format)
		return -ENOMEM;
	if (!strcmp(format, "split"))
		return add_split(p);
	p->img.size = p->found.size;
	if (!strcmp(format, "ewf"))
		return add_segments(p, next_ewf_segment);
	if (!strcmp(format, "vmdk"))
		return add_vmdk(p);
	/* a device's own name is the stable one: /dev/disk/by-id/… */
	if (!strcmp(format, "raw"))
		return herd_image_add_file(&p->img,
					   p->device ? p->named : p->real,
					   p->diag);
	return herd_chain_build(&p->img, p->real, p->allowed_dir, p->diag);
}

/* Its size is known when it is opened: to ask takes the network. */
static int probe_snapshot(const char *path, struct herd_image *ret)
{
	CLEANUP_IMAGE struct herd_image img = {
		.format = strdup("ebs"),
		.files = calloc(1, sizeof(*img.files)), .n_files = 1,
	};

	if (img.files)
		img.files[0].path = strdup(path);
	if (!img.format || !img.files || !img.files[0].path) {
		img.n_files = img.files != NULL;
		return -ENOMEM;
	}
	*ret = img;
	img = (struct herd_image){ 0 };
	return 0;
}

static bool is_memory(const char *format)
{
	return format &&
	       herd_image_is_memory(&(struct herd_image){
		       .format = (char *)format });
}

int herd_image_probe(const char *path, const char *format,
		     const char *backing_dir, struct herd_image *ret,
		     struct herd_diag *diag)
{
	CLEANUP(probing_deinit) struct probing p = {
		.format = format, .allowed_dir = backing_dir, .diag = diag,
	};
	const char *decided = NULL;

	if (herd_ebs_snapshot(path))
		return probe_snapshot(path, ret);
	if (herd_s3_is_object(path))
		return herd_diag_set(diag, -EOPNOTSUPP, path, HERD_NO_OFFSET,
				     "of the objects of S3 only images of memory "
				     "are read (attach --memory)");
	if (is_memory(format))
		return herd_memory_probe(path, format, ret, diag);

	int err = probing_begin(&p, path) ?: decide(&p, &decided);

	if (!err && is_memory(decided))
		return herd_memory_probe(path, format, ret, diag);
	if (!err)
		err = probing_add_files(&p, decided);

	if (err)
		return err;
	*ret = p.img;
	p.img = (struct herd_image){ 0 };
	return 0;
}
