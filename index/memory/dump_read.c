/* SPDX-License-Identifier: Apache-2.0 */
/* Asking and reading the map of a process's memory; see dump.h. */
#include "index/memory/dump_internal.h"

#include "acquire/base/cleanup.h"

#include <string.h>
#include <sys/stat.h>

#define UNBACKED "of a file in memory: never written, or swapped out"
#define UNNAMED "of a file that could not be read: not known which"
#define NO_FILE "of a file that the disk image has not got like this"

const char *herd_dump_kind_name(enum herd_dump_kind k)
{
	static const char *const names[HERD_DUMP_KINDS] = {
		[HERD_DUMP_OUTSIDE] = "not mapped",
		[HERD_DUMP_ZERO] = "never touched, zeros",
		[HERD_DUMP_IMAGE] = "in the image",
		[HERD_DUMP_CACHE] = "from the page cache",
		[HERD_DUMP_DISK] = "from the disk image",
		[HERD_DUMP_DEVICE] = "of the kernel or a device, in no dump",
		[HERD_DUMP_UNBACKED] = (UNBACKED),
		[HERD_DUMP_SWAPPED] = "swapped out",
		[HERD_DUMP_GAP] = "not in the image of the memory",
		[HERD_DUMP_SPECIAL] = "being moved, or poisoned",
		[HERD_DUMP_NO_FILE] = (NO_FILE),
		[HERD_DUMP_UNNAMED] = (UNNAMED),
		[HERD_DUMP_LIMIT] = "page tables too large: not followed",
	};

	return (unsigned)k < HERD_DUMP_KINDS ? names[k] : "?";
}

/* ---- files ---- */

bool herd_dump_file_in_memory(const struct herd_mfile *f)
{
	static const char *const in_memory[] = { "tmpfs", "devtmpfs", "ramfs",
						 "hugetlbfs", "shm" };

	if (f->kind == HERD_MFILE_MEMFD || f->kind == HERD_MFILE_SHM)
		return true;
	for (size_t i = 0; i < ARRAY_SIZE(in_memory); i++)
		if (!strcmp(f->fs, in_memory[i]))
			return true;
	return false;
}

bool herd_dump_file_has_content(const struct herd_mfile *f)
{
	return f->kind <= HERD_MFILE_SHM &&
	       (S_ISREG(f->mode) || f->kind != HERD_MFILE_PLAIN);
}

/* ---- asking ---- */

/* The piece that holds va. There is one from 0 on at least. */
static size_t index_at(const struct herd_dump *d, uint64_t va)
{
	size_t lo = 0, hi = d->n;

	while (hi - lo > 1) {
		size_t mid = lo + (hi - lo) / 2;

		if (d->v[mid].start <= va)
			lo = mid;
		else
			hi = mid;
	}
	return lo;
}

static struct herd_dump_piece piece(const struct herd_dump *d, size_t i)
{
	return (struct herd_dump_piece){
		.start = d->v[i].start,
		.end = i + 1 < d->n ? d->v[i + 1].start : UINT64_MAX,
		.kind = herd_dump_stretch_kind(&d->v[i]),
		.where = d->v[i].what & HERD_DUMP_PLACE,
	};
}

struct herd_dump_piece herd_dump_at(const struct herd_dump *d, uint64_t va)
{
	return piece(d, index_at(d, va));
}

void herd_dump_count(const struct herd_dump *d, uint64_t start, uint64_t end,
		     uint64_t ret[HERD_DUMP_KINDS])
{
	memset(ret, 0, HERD_DUMP_KINDS * sizeof(*ret));
	for (size_t i = index_at(d, start); i < d->n; i++) {
		struct herd_dump_piece p = piece(d, i);

		if (p.start >= end)
			break;
		if (p.start < start)
			p.start = start;
		if (p.end > end)
			p.end = end;
		if (p.kind != HERD_DUMP_OUTSIDE)
			ret[p.kind] += p.end - p.start;
	}
}

uint64_t herd_dump_seek(const struct herd_dump *d, uint64_t va, uint64_t end,
			bool hole)
{
	for (size_t i = index_at(d, va); i < d->n; i++) {
		struct herd_dump_piece p = piece(d, i);

		if (p.start >= end)
			break;
		if (herd_dump_kind_has_data(p.kind) != hole)
			return p.start > va ? p.start : va;
	}
	return end;
}

uint64_t herd_dump_vma_end(const struct herd_dump *d, const struct herd_vma *v)
{
	/* behind the last that is not zeros for sure, and that is data */
	uint64_t known = v->start, data = v->start, end = v->end;

	for (size_t i = index_at(d, v->end - 1) + 1; i-- > 0;) {
		struct herd_dump_piece p = piece(d, i);

		if (p.end <= v->start)
			break;
		if (p.end > v->end)
			p.end = v->end;
		if (p.kind != HERD_DUMP_ZERO && known == v->start)
			known = p.end;
		if (herd_dump_kind_has_data(p.kind)) {
			data = p.end;
			break;
		}
	}
	if (v->flags & HERD_VMA_UNNAMED && data == v->start)
		data += HERD_PAGE;
	else if (v->file == HERD_NO_INDEX)
		end = known;
	return end - data >= HERD_DUMP_CUT ? data : end;
}

/* ---- reading ---- */

/* The file that a stretch of the disk is of, and the byte of it. */
static const struct herd_mfile *
file_of(const struct herd_dump *d, const struct herd_machine *m, uint64_t va)
{
	const struct herd_process *p;
	size_t lo = 0, hi;

	if (d->file != HERD_NO_INDEX)
		return d->file < m->n_files ? &m->files[d->file] : NULL;
	if (d->process >= m->n_processes)
		return NULL;
	p = &m->processes[d->process];
	for (hi = p->n_vmas; lo < hi;) {
		size_t mid = lo + (hi - lo) / 2;

		if (p->vmas[mid].start <= va)
			lo = mid + 1;
		else
			hi = mid;
	}
	/* odd ones may stand between */
	while (lo && (!herd_dump_has_vma(&p->vmas[lo - 1]) ||
		      p->vmas[lo - 1].end <= va))
		lo--;
	return lo && p->vmas[lo - 1].file < m->n_files ?
		       &m->files[p->vmas[lo - 1].file] :
		       NULL;
}

static int read_piece(const struct herd_dump *d, const struct herd_machine *m,
		      const struct herd_dump_sources *s,
		      const struct herd_dump_piece *p, uint64_t va, void *buf,
		      size_t len, struct herd_diag *diag)
{
	const uint64_t where = p->where + (va - p->start);
	const struct herd_mfile *f;

	switch (p->kind) {
	case HERD_DUMP_IMAGE:
	case HERD_DUMP_CACHE:
		return herd_source_read(s->image, buf, len, where, diag);
	case HERD_DUMP_DISK:
		f = file_of(d, m, va);
		if (!f || !s->disk)
			return -EIO;
		return s->disk(s->arg, f, where, buf, len);
	default:
		memset(buf, 0, len);
		return 0;
	}
}

int herd_dump_read(const struct herd_dump *d, const struct herd_machine *m,
		   const struct herd_dump_sources *s, uint64_t va, void *buf,
		   size_t len, struct herd_diag *diag)
{
	uint8_t *to = buf;
	int err = 0;

	for (size_t i = index_at(d, va); len && !err; i++) {
		struct herd_dump_piece p = piece(d, i);
		size_t n = p.end - va < len ? (size_t)(p.end - va) : len;

		err = read_piece(d, m, s, &p, va, to, n, diag);
		va += n;
		to += n;
		len -= n;
	}
	return err;
}
