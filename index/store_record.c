/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The record of an instance as bytes, and back. docs/FORMAT.md, "instance".
 * Counts are bounded by the bytes that are left before anything is allocated.
 *
 * Threads: values only.
 */
#include "index/store_internal.h"

#define STRING_MAX 65536
#define DISKS_MAX 4096
#define VOLUMES_MAX (1u << 20)
/* the least that one of them takes, in bytes */
#define FILE_LEAST 36
#define DISK_LEAST 3
#define VOLUME_LEAST 43

/* ---- strings ---- */

static void put_string(struct herd_buf *out, const char *s)
{
	size_t n = s ? strlen(s) : 0;

	herd_buf_varint(out, n);
	herd_buf_put(out, s, n);
}

/* NULL on error, with the cursor bad when it is the record's. */
static char *get_string(struct herd_cursor *c)
{
	uint64_t n = herd_cur_varint(c);
	const char *p = herd_cur_bytes(c, n);

	if (!p || n > STRING_MAX || memchr(p, '\0', n)) {
		c->bad = true;
		return NULL;
	}
	return strndup(p, n);
}

static uint32_t get_u32(struct herd_cursor *c)
{
	uint64_t v = herd_cur_varint(c);

	if (v > UINT32_MAX)
		c->bad = true;
	return (uint32_t)v;
}

/* How many follow, each of `least` bytes or more. */
static size_t get_count(struct herd_cursor *c, uint64_t max, size_t least)
{
	uint64_t n = herd_cur_varint(c);

	if (n > max || n > herd_cur_left(c) / least) {
		c->bad = true;
		return 0;
	}
	return n;
}

/* ---- images ---- */

void herd_image_encode(const struct herd_image *d, struct herd_buf *out)
{
	put_string(out, d->format);
	herd_buf_varint(out, d->size);
	herd_buf_varint(out, d->n_files);
	for (size_t i = 0; i < d->n_files; i++) {
		const struct herd_image_file *f = &d->files[i];

		put_string(out, f->path);
		herd_buf_varint(out, f->size);
		herd_buf_svarint(out, f->mtime_sec);
		herd_buf_varint(out, f->mtime_nsec);
		herd_buf_put(out, f->ends, sizeof(f->ends));
	}
}

int herd_image_decode(struct herd_cursor *c, struct herd_image *d)
{
	d->format = get_string(c);
	d->size = herd_cur_varint(c);
	size_t n = get_count(c, HERD_IMAGE_FILES_MAX, FILE_LEAST);

	if (c->bad)
		return -EBADMSG;
	d->files = calloc(n ? n : 1, sizeof(*d->files));
	if (!d->format || !d->files)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++) {
		struct herd_image_file *f = &d->files[i];

		f->path = get_string(c);
		d->n_files = i + 1;
		if (!f->path)
			return c->bad ? -EBADMSG : -ENOMEM;
		f->size = herd_cur_varint(c);
		f->mtime_sec = herd_cur_svarint(c);
		f->mtime_nsec = get_u32(c);
		herd_cur_copy(c, f->ends, sizeof(f->ends));
	}
	return c->bad ? -EBADMSG : 0;
}

/* ---- volumes ---- */

static void put_volume(struct herd_buf *out, const struct herd_stored_volume *v)
{
	herd_buf_varint(out, v->disk);
	herd_buf_varint(out, v->partition);
	herd_buf_varint(out, v->start);
	herd_buf_varint(out, v->len);
	put_string(out, v->fs);
	put_string(out, v->uuid);
	put_string(out, v->label);
	put_string(out, v->mount);
	put_string(out, v->note);
	herd_buf_varint(out, v->block_size);
	herd_buf_put(out, v->geometry, sizeof(v->geometry));
	herd_buf_put(out, v->head, sizeof(v->head));
	herd_buf_varint(out, v->entries);
	herd_buf_u8(out, (uint8_t)v->basis);
}

static int get_volume(struct herd_cursor *c, struct herd_stored_volume *v,
		      size_t n_disks)
{
	v->disk = get_u32(c);
	v->partition = get_u32(c);
	v->start = herd_cur_varint(c);
	v->len = herd_cur_varint(c);
	v->fs = get_string(c);
	v->uuid = get_string(c);
	v->label = get_string(c);
	v->mount = get_string(c);
	v->note = get_string(c);
	v->block_size = get_u32(c);
	herd_cur_copy(c, v->geometry, sizeof(v->geometry));
	herd_cur_copy(c, v->head, sizeof(v->head));
	v->entries = herd_cur_varint(c);
	unsigned basis = herd_cur_u8(c);

	if (basis >= HERD_BASIS_MAX)
		return -EBADMSG;
	v->basis = basis;
	if (c->bad || v->disk >= n_disks || v->len > INT64_MAX ||
	    v->start > INT64_MAX - v->len)
		return -EBADMSG;
	return v->fs && v->uuid && v->label && v->mount && v->note ?
	       0 : -ENOMEM;
}

const char *herd_basis_name(enum herd_basis b)
{
	static const char *const names[HERD_BASIS_MAX] = { "content", "blocks",
							   "metadata" };

	return (unsigned)b < HERD_BASIS_MAX ? names[b] : "unknown";
}

bool herd_instance_is_provisional(const struct herd_instance *i)
{
	for (size_t v = 0; v < i->n_volumes; v++)
		if (i->volumes[v].basis == HERD_BASIS_METADATA)
			return true;
	return false;
}

/* ---- the whole ---- */

/*
 * The head has a fixed form, so that listing names needs no more
 * than that.
 */
int herd_instance_head(struct herd_cursor *c, struct instance_head *ret)
{
	ret->group = herd_cur_be32(c);
	unsigned role = herd_cur_u8(c);
	unsigned detached = herd_cur_u8(c);

	ret->name_len = herd_cur_u8(c);
	ret->name = herd_cur_bytes(c, ret->name_len);
	if (c->bad || !ret->group || role > HERD_ROLE_BASELINE ||
	    detached > 1 || !herd_valid_name(ret->name, ret->name_len))
		return -EBADMSG;
	ret->role = role;
	ret->detached = detached;
	return 0;
}

int herd_instance_encode(const struct herd_instance *i, struct herd_buf *out)
{
	size_t name_len = strlen(i->name);

	if (i->n_disks > DISKS_MAX || i->n_volumes > VOLUMES_MAX)
		return -EOVERFLOW;
	herd_buf_be32(out, i->group);
	herd_buf_u8(out, (uint8_t)i->role);
	herd_buf_u8(out, i->detached);
	herd_buf_u8(out, (uint8_t)name_len);
	herd_buf_put(out, i->name, name_len);
	herd_buf_varint(out, i->attached);
	herd_buf_varint(out, i->entries);
	herd_buf_varint(out, i->files);
	herd_buf_varint(out, i->bytes);
	herd_buf_varint(out, i->hashed_files);
	herd_buf_varint(out, i->hashed_bytes);
	herd_buf_varint(out, i->inherited_files);
	herd_buf_varint(out, i->inherited_bytes);
	herd_buf_varint(out, i->problems);
	herd_buf_varint(out, i->n_disks);
	for (size_t n = 0; n < i->n_disks; n++)
		herd_image_encode(&i->disks[n], out);
	herd_buf_varint(out, i->n_volumes);
	for (size_t n = 0; n < i->n_volumes; n++)
		put_volume(out, &i->volumes[n]);
	return herd_buf_error(out);
}

static int get_disks(struct herd_cursor *c, struct herd_instance *i)
{
	size_t n = get_count(c, DISKS_MAX, DISK_LEAST);
	int r = 0;

	if (c->bad)
		return -EBADMSG;
	i->disks = calloc(n ? n : 1, sizeof(*i->disks));
	if (!i->disks)
		return -ENOMEM;
	for (; i->n_disks < n && !r; i->n_disks++)
		r = herd_image_decode(c, &i->disks[i->n_disks]);
	return r;
}

static int get_volumes(struct herd_cursor *c, struct herd_instance *i)
{
	size_t n = get_count(c, VOLUMES_MAX, VOLUME_LEAST);
	int r = 0;

	if (c->bad)
		return -EBADMSG;
	i->volumes = calloc(n ? n : 1, sizeof(*i->volumes));
	if (!i->volumes)
		return -ENOMEM;
	for (; i->n_volumes < n && !r; i->n_volumes++)
		r = get_volume(c, &i->volumes[i->n_volumes], i->n_disks);
	return r;
}

static int decode(struct herd_cursor *c, struct herd_instance *i)
{
	struct instance_head head;
	int r = herd_instance_head(c, &head);

	if (r)
		return r;
	i->group = head.group;
	i->role = head.role;
	i->detached = head.detached;
	memcpy(i->name, head.name, head.name_len);
	i->attached = herd_cur_varint(c);
	i->entries = herd_cur_varint(c);
	i->files = herd_cur_varint(c);
	i->bytes = herd_cur_varint(c);
	i->hashed_files = herd_cur_varint(c);
	i->hashed_bytes = herd_cur_varint(c);
	i->inherited_files = herd_cur_varint(c);
	i->inherited_bytes = herd_cur_varint(c);
	i->problems = herd_cur_varint(c);
	r = get_disks(c, i);
	if (!r)
		r = get_volumes(c, i);
	if (!r && (c->bad || c->pos != c->len))
		r = -EBADMSG;
	return r;
}

int herd_instance_decode(uint32_t id, const void *bytes, size_t len,
			 struct herd_instance *ret)
{
	struct herd_cursor c = herd_cursor(bytes, len);
	struct herd_instance i = { .id = id };
	int r = decode(&c, &i);

	if (r)
		herd_instance_deinit(&i);
	else
		*ret = i;
	return r;
}

void herd_instance_deinit(struct herd_instance *i)
{
	for (size_t n = 0; n < i->n_disks; n++)
		herd_image_deinit(&i->disks[n]);
	for (size_t n = 0; n < i->n_volumes; n++) {
		free(i->volumes[n].fs);
		free(i->volumes[n].uuid);
		free(i->volumes[n].label);
		free(i->volumes[n].mount);
		free(i->volumes[n].note);
	}
	free(i->disks);
	free(i->volumes);
	*i = (struct herd_instance){ .id = 0 };
}
