/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Images of memory: finding out which container one is, and opening it. See
 * acquire/memory.h.
 */
#include "acquire/memory/memory_impl.h"
#include "acquire/memory_keep.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static const struct container {
	const char *format;
	int (*open)(struct herd_source *container, struct herd_source **ret,
		    struct herd_diag *diag);
} containers[] = {
	{ "lime", herd_memory_open_lime },
	{ "avml", herd_memory_open_avml },
	{ "elf-core", herd_memory_open_elf },
	{ "kdump", herd_memory_open_kdump },
	{ "raw-memory", herd_memory_open_raw },
};

static bool is_kept(const char *format)
{
	return !strcmp(format, "herd-keep");
}

static const struct container *find(const char *format)
{
	for (size_t i = 0; i < ARRAY_SIZE(containers); i++)
		if (!strcmp(containers[i].format, format))
			return &containers[i];
	return NULL;
}

bool herd_image_is_memory(const struct herd_image *img)
{
	return img->format && (find(img->format) || is_kept(img->format));
}

/* ---- what is it? ---- */

static int refuse(const char *name, const char *disk, const char *why,
		  uint64_t size, struct herd_diag *diag)
{
	if (disk || why)
		return herd_diag_set(diag, -EOPNOTSUPP, name, 0,
				     "is %s, not an image of memory",
				     disk ? disk : why);
	if (!size)
		return herd_diag_set(diag, -EINVAL, name, 0, "is empty");
	return herd_diag_set(diag, -EOPNOTSUPP, name, 0,
			     "is no container of memory that is known, and too "
			     "odd in size (%llu bytes) for a raw one",
			     (unsigned long long)size);
}

int herd_memory_decide(const uint8_t *head, size_t len, uint64_t size,
		       const char *name, const char *asked, const char **ret,
		       struct herd_diag *diag)
{
	const char *why, *found = herd_memory_detect(head, len, &why);
	const char *disk = herd_memory_disk_mark(head, len);

	if (asked && !find(asked))
		return herd_diag_set(diag, -EINVAL, name, HERD_NO_OFFSET,
				     "%s is no container of memory: lime, avml, "
				     "elf-core, kdump, raw-memory", asked);
	if (asked && !strcmp(asked, "raw-memory")) {
		if (!size)
			return refuse(name, NULL, NULL, 0, diag);
		*ret = asked;
		return 0;
	}
	if (asked && (!found || strcmp(asked, found) != 0))
		return herd_diag_set(diag, -EINVAL, name, 0,
				     "is not %s: its content says %s", asked,
				     found ? found : why ? why : disk ? disk :
				     "nothing of the sort");
	if (!found && (disk || why || !size || size % HERD_MEMORY_PAGE))
		return refuse(name, disk, why, size, diag);
	*ret = found ? found : "raw-memory";
	return 0;
}

static int read_head(const char *path, uint8_t *head, size_t *len,
		     uint64_t *ret_size, struct herd_diag *diag)
{
	CLEANUP_FD int fd = -1;
	struct stat st;
	int err = herd_image_file_open(path, &fd, &st, ret_size, diag);

	if (err)
		return err;
	if (*len > *ret_size)
		*len = (size_t)*ret_size;
	return herd_pread_full(fd, head, *len, 0, herd_path_base(path), diag);
}

bool herd_memory_is_kept(const uint8_t *head, size_t len)
{
	return len >= 8 && !memcmp(head, "HERDKEEP", 8);
}

int herd_memory_set_format(struct herd_image *img, const char *decided,
			   const char *asked)
{
	bool guessed = !asked && !strcmp(decided, "raw-memory");

	free(img->format);
	img->format = strdup(decided);
	if (guessed)
		img->warning = strdup("it has no mark of any container: taken "
				      "for raw memory");
	return img->format && (!guessed || img->warning) ? 0 : -ENOMEM;
}

int herd_memory_probe(const char *path, const char *format,
		      struct herd_image *ret, struct herd_diag *diag)
{
	CLEANUP_IMAGE struct herd_image img = { 0 };
	CLEANUP_FREE uint8_t *head = malloc(HERD_MEMORY_HEAD);
	const char *name = herd_path_base(path), *decided = NULL;
	size_t len = HERD_MEMORY_HEAD;
	uint64_t size = 0;
	/* what it is in is a plain file, whatever it is */
	int err = head ? herd_image_probe(path, "raw", NULL, &img, diag) :
			 -ENOMEM;

	if (!err)
		err = read_head(path, head, &len, &size, diag);
	if (!err && herd_memory_is_kept(head, len) &&
	    (!format || is_kept(format)))
		return herd_keep_probe(path, ret, diag);
	if (!err)
		err = herd_memory_decide(head, len, size, name, format,
					 &decided, diag);
	if (!err)
		err = herd_memory_set_format(&img, decided, format);
	if (err)
		return err;
	*ret = img;
	img = (struct herd_image){ 0 };
	return 0;
}

/* ---- opening ---- */

int herd_memory_open_on(struct herd_source *container, const char *format,
			struct herd_source **ret, struct herd_diag *diag)
{
	const struct container *c = find(format);

	if (c)
		return c->open(container, ret, diag);
	herd_source_destroy(container);
	return -EINVAL;
}

static int open_remote(const struct herd_image *img, struct herd_helper *helper,
		       struct herd_source **ret, struct herd_diag *diag)
{
	struct herd_image object = *img;
	struct herd_source *container, *memory;
	int err = !img->files[0].size ? -EINVAL :
		  herd_source_open_s3(&object, helper, &container, diag);

	if (!err)
		err = herd_memory_open_on(container, img->format, &memory, diag);
	if (err)
		return err;
	/* what could not be had was taken for damage, then */
	err = herd_source_lost(memory, diag);
	if (err)
		herd_source_destroy(memory);
	else
		*ret = memory;
	return err;
}

int herd_memory_open(const struct herd_image *img, struct herd_helper *helper,
		     struct herd_source **ret, struct herd_diag *diag)
{
	struct herd_image file = *img;
	struct herd_source *container;
	char raw[] = "raw", format[16];
	int err;

	if (is_kept(img->format)) {
		err = herd_keep_open(img, &container, format, diag);
		return err ? err : herd_memory_open_on(container, format, ret,
						       diag);
	}
	if (herd_image_is_remote(img))
		return open_remote(img, helper, ret, diag);
	file.format = raw;
	err = herd_source_open_raw(&file, &container, diag);
	return err ? err : herd_memory_open_on(container, img->format, ret,
					       diag);
}

/* ---- what all have ---- */

int herd_memory_init(struct herd_memory_source *m,
		     const struct herd_source_ops *ops,
		     struct herd_source *container)
{
	int err = herd_source_init(&m->s, ops, container->name, 0);

	m->container = container;
	return err;
}

void herd_memory_deinit(struct herd_memory_source *m)
{
	herd_source_destroy(m->container);
	herd_extents_deinit(&m->there);
	free((char *)m->notes.vmcoreinfo);
	free((void *)m->notes.cpus);
	herd_source_deinit(&m->s);
}

void herd_memory_warn(struct herd_memory_source *m, const char *fmt, ...)
{
	size_t n = strlen(m->warning);
	va_list ap;

	if (n && n + 2 < sizeof(m->warning)) {
		memcpy(m->warning + n, "; ", 3);
		n += 2;
	}
	va_start(ap, fmt);
	vsnprintf(m->warning + n, sizeof(m->warning) - n, fmt, ap);
	va_end(ap);
	herd_text_clean(m->warning);
	m->notes.warning = m->warning;
}

void herd_memory_tool(struct herd_memory_source *m, const char *name)
{
	snprintf(m->tool, sizeof(m->tool), "%s", name);
	m->notes.tool = m->tool;
}

int herd_memory_damaged(struct herd_memory_source *m, bool something, int err,
			const struct herd_diag *why, struct herd_diag *diag)
{
	if (err != -EBADMSG && err != -ENODATA && err != -EOPNOTSUPP)
		something = false;
	if (err && !something) {
		if (diag && !diag->message[0])
			*diag = *why;
		return err == -ENODATA ? -EBADMSG : err;
	}
	if (err)
		herd_memory_warn(m, "nothing from its byte %llu on is read: %s",
				 (unsigned long long)why->offset, why->message);
	return 0;
}

int herd_memory_take_list(struct herd_memory_source *m,
			  struct herd_memory_list *l, struct herd_diag *diag)
{
	bool conflict;
	int err = herd_memory_list_settle(l, false, &conflict);

	if (err)
		return err;
	if (conflict)
		herd_memory_warn(m, "ranges of it overlap: the first of each is "
				 "taken");
	for (size_t i = 0; i < l->n && !err; i++)
		err = herd_extents_add(&m->there, l->v[i].phys, l->v[i].len);
	if (!err && !l->n)
		err = herd_diag_set(diag, -EBADMSG, m->s.name, 0,
				    "no memory in it");
	herd_memory_set_size(m);
	return err;
}

void herd_memory_set_size(struct herd_memory_source *m)
{
	const struct herd_extents *e = &m->there;

	m->s.size = e->n ? e->v[e->n - 1].start + e->v[e->n - 1].len : 0;
}

int herd_memory_data(struct herd_source *s, struct herd_extents *ret,
		     struct herd_diag *diag)
{
	const struct herd_memory_source *m = (const void *)s;
	int err = 0;

	(void)diag;
	ret->n = 0;
	for (size_t i = 0; i < m->there.n && !err; i++)
		err = herd_extents_add(ret, m->there.v[i].start,
				       m->there.v[i].len);
	return err;
}

int herd_memory_lost(struct herd_source *s, struct herd_diag *diag)
{
	return herd_source_lost(((struct herd_memory_source *)s)->container,
				diag);
}

int herd_memory_gap(const struct herd_source *s, uint64_t addr,
		    struct herd_diag *diag)
{
	const struct herd_memory_source *m = (const void *)s;
	size_t i = herd_extents_after(&m->there, addr);

	/* of very many small gaps not all are kept */
	if (i < m->there.n && m->there.v[i].start <= addr)
		return herd_diag_set(diag, -ENODATA, s->name, HERD_NO_OFFSET,
				     "physical address 0x%llx is not in the "
				     "image", (unsigned long long)addr);
	uint64_t from = i ? m->there.v[i - 1].start + m->there.v[i - 1].len : 0;
	uint64_t to = i < m->there.n ? m->there.v[i].start : s->size;

	return herd_diag_set(diag, -ENODATA, s->name, HERD_NO_OFFSET,
			     "physical address 0x%llx is not in the image, "
			     "which lacks 0x%llx to 0x%llx",
			     (unsigned long long)addr, (unsigned long long)from,
			     (unsigned long long)to - 1);
}

/* Known by the function that every one of them has. */
const struct herd_memory_notes *herd_memory_notes(const struct herd_source *s)
{
	static const struct herd_memory_notes none;

	return s->ops->data_extents == herd_memory_data ?
	       &((const struct herd_memory_source *)(const void *)s)->notes :
	       &none;
}
