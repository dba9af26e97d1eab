/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Raw bytes: one file, one block device, or the segments of a split image
 * one after the other.
 *
 * Threads: immutable once open; pread and the mapping need no lock. The file
 * offset, which SEEK_DATA moves, is used by nothing.
 */
#include "acquire/source_impl.h"

#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>

struct segment {
	int fd;
	bool device;
	uint64_t start, len;	/* where it lies in the whole */
	void *map;		/* all of it, or NULL */
};

struct raw_source {
	struct herd_source base;
	struct herd_image img;
	struct segment *segments;
	size_t n;		/* open ones */
};

/* ---- files, for all that open images ---- */

int herd_image_file_open(const char *path, int *ret_fd, struct stat *ret_st,
			 uint64_t *ret_size, struct herd_diag *diag)
{
	const int flags = O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK;
	const char *name = herd_path_base(path);
	/* only the owner may leave the access time alone */
	CLEANUP_FD int fd = open(path, flags | O_NOATIME);
	struct stat st;

	if (fd < 0 && errno == EPERM)
		fd = open(path, flags);
	if (fd < 0 || fstat(fd, &st) < 0) {
		int err = -errno;

		return herd_diag_set(diag, err, name, HERD_NO_OFFSET,
				     err == -ENOENT ? "no such image" :
						      "cannot be opened: %s",
				     strerror(-err));
	}
	if (!S_ISREG(st.st_mode) && !S_ISBLK(st.st_mode))
		return herd_diag_set(diag, -EINVAL, name, HERD_NO_OFFSET,
				     "neither a file nor a block device");

	off_t end = S_ISREG(st.st_mode) ? st.st_size : lseek(fd, 0, SEEK_END);

	if (end < 0)
		return herd_diag_set(diag, -errno, name, HERD_NO_OFFSET,
				     "its size cannot be found out");
	*ret_size = (uint64_t)end;
	*ret_st = st;
	*ret_fd = TAKE_FD(fd);
	return 0;
}

int herd_pread_full(int fd, void *buf, size_t len, uint64_t off,
		    const char *name, struct herd_diag *diag)
{
	uint8_t *to = buf;

	while (len) {
		ssize_t n = pread(fd, to, len, (off_t)off);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return herd_diag_set(diag, -EIO, name, off,
					     "read failed: %s",
					     strerror(errno));
		if (n == 0)
			return herd_diag_set(diag, -EIO, name, off,
					     "the file has become shorter");
		to += n;
		off += (uint64_t)n;
		len -= (size_t)n;
	}
	return 0;
}

int herd_file_data(int fd, uint64_t len, uint64_t at, struct herd_extents *ret)
{
	uint64_t pos = 0;

	while (pos < len) {
		off_t data = lseek(fd, (off_t)pos, SEEK_DATA);

		if (data < 0 && errno == ENXIO)
			return 0;	/* a hole up to the end */
		off_t hole = data < 0 ? -1 : lseek(fd, data, SEEK_HOLE);

		/* where the file system cannot tell: all of it */
		if (data < 0 || hole <= data || (uint64_t)data < pos)
			return herd_extents_add(ret, at + pos, len - pos);
		if ((uint64_t)data >= len)
			return 0;

		uint64_t end = (uint64_t)hole < len ? (uint64_t)hole : len;
		int err = herd_extents_add(ret, at + (uint64_t)data,
					   end - (uint64_t)data);

		if (err)
			return err;
		pos = end;
	}
	return 0;
}

/* ---- the source ---- */

/* The segment that holds byte off, which lies inside the source. */
static const struct segment *segment_at(const struct raw_source *r,
					uint64_t off)
{
	size_t low = 0, high = r->n;

	while (high - low > 1) {
		size_t mid = low + (high - low) / 2;

		if (r->segments[mid].start <= off)
			low = mid;
		else
			high = mid;
	}
	return &r->segments[low];
}

static int raw_read(struct herd_source *s, void *buf, size_t len, uint64_t off,
		    struct herd_diag *diag)
{
	const struct raw_source *r = (const struct raw_source *)s;
	uint8_t *to = buf;

	while (len) {
		const struct segment *g = segment_at(r, off);
		uint64_t in = off - g->start;
		size_t part = len < g->len - in ? len : (size_t)(g->len - in);
		const char *path = r->img.files[g - r->segments].path;
		int err = herd_pread_full(g->fd, to, part, in,
					  herd_path_base(path), diag);

		if (err)
			return err;
		to += part;
		off += part;
		len -= part;
	}
	return 0;
}

static const void *raw_map(struct herd_source *s, uint64_t off, size_t len)
{
	const struct raw_source *r = (const struct raw_source *)s;
	const struct segment *g = segment_at(r, off);
	uint64_t in = off - g->start;

	if (!g->map || len > g->len - in)
		return NULL;
	return (const uint8_t *)g->map + in;
}

static int raw_data_extents(struct herd_source *s, struct herd_extents *ret,
			    struct herd_diag *diag)
{
	const struct raw_source *r = (const struct raw_source *)s;

	(void)diag;
	ret->n = 0;
	for (size_t i = 0; i < r->n; i++) {
		const struct segment *g = &r->segments[i];
		int err = g->device ? herd_extents_add(ret, g->start, g->len) :
				      herd_file_data(g->fd, g->len, g->start,
						     ret);
		if (err)
			return err;
	}
	return 0;
}

static int raw_changed_extents(struct herd_source *s, struct herd_source *other,
			       struct herd_extents *ret, struct herd_diag *diag)
{
	const struct herd_image_file *a = herd_source_raw_file(s);
	const struct herd_image_file *b = herd_source_raw_file(other);

	if (a && b) {
		if (!herd_image_file_same(a, b))
			return -EOPNOTSUPP;
		ret->n = 0;
		return 0;
	}
	/* the relation reads the same from both ends; an overlay knows it */
	if (a && other->ops->changed_extents && other->ops != s->ops)
		return other->ops->changed_extents(other, s, ret, diag);
	return -EOPNOTSUPP;
}

static void raw_destroy(struct herd_source *s)
{
	struct raw_source *r = (struct raw_source *)s;

	for (size_t i = 0; i < r->n; i++) {
		if (r->segments[i].map)
			munmap(r->segments[i].map, r->segments[i].len);
		close(r->segments[i].fd);
	}
	free(r->segments);
	herd_image_deinit(&r->img);
	herd_source_deinit(s);
	free(r);
}

static const struct herd_source_ops raw_ops = {
	.kind = "raw",
	.read = raw_read,
	.map = raw_map,
	.data_extents = raw_data_extents,
	.changed_extents = raw_changed_extents,
	.destroy = raw_destroy,
};

static const struct herd_source_ops split_ops = {
	.kind = "split",
	.read = raw_read,
	.map = raw_map,
	.data_extents = raw_data_extents,
	.destroy = raw_destroy,
};

const struct herd_image_file *herd_source_raw_file(const struct herd_source *s)
{
	const struct raw_source *r = (const struct raw_source *)s;

	return s->ops == &raw_ops ? &r->img.files[0] : NULL;
}

static int segment_open(struct raw_source *r, size_t i, struct herd_diag *diag)
{
	struct segment *g = &r->segments[i];
	const char *path = r->img.files[i].path;
	struct stat st;
	uint64_t size;
	int err = herd_image_file_open(path, &g->fd, &st, &size, diag);

	if (err)
		return err;
	r->n = i + 1;
	if (size > (uint64_t)INT64_MAX - r->base.size)
		return herd_diag_set(diag, -EOVERFLOW, herd_path_base(path),
				     HERD_NO_OFFSET, "the image is too large");
	g->device = S_ISBLK(st.st_mode);
	g->start = r->base.size;
	g->len = size;
	r->base.size += size;
	/* without a mapping everything still works, by reading */
	g->map = size && size <= SIZE_MAX ?
			 mmap(NULL, size, PROT_READ, MAP_SHARED, g->fd, 0) :
			 NULL;
	if (g->map == MAP_FAILED)
		g->map = NULL;
	return 0;
}

int herd_source_open_raw(const struct herd_image *img, struct herd_source **ret,
			 struct herd_diag *diag)
{
	if (!img->n_files || img->n_files > HERD_IMAGE_FILES_MAX)
		return -EINVAL;

	bool split = img->n_files > 1;
	struct raw_source *r = calloc(1, sizeof(*r));

	if (!r)
		return -ENOMEM;
	int err = herd_source_init(&r->base, split ? &split_ops : &raw_ops,
				   herd_path_base(img->files[0].path), 0);

	if (!err)
		err = herd_image_copy(img, &r->img);
	if (!err) {
		r->segments = calloc(img->n_files, sizeof(*r->segments));
		if (!r->segments)
			err = -ENOMEM;
	}
	for (size_t i = 0; !err && i < img->n_files; i++)
		err = segment_open(r, i, diag);
	if (err) {
		raw_destroy(&r->base);
		return err;
	}
	*ret = &r->base;
	return 0;
}
