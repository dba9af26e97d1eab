/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Physical memory in small pieces: a set-associative cache of pages over the
 * image's source. What is not there is remembered, too.
 */
#include "index/memory/pages.h"

#include "acquire/base/cleanup.h"

#include <stdatomic.h>
#include <string.h>

#define SETS 512u
#define WAYS 4u
#define NO_FRAME UINT64_MAX

struct slot {
	uint64_t frame; /* NO_FRAME: empty */
	bool there;
};

struct herd_phys {
	struct herd_source *source;
	uint8_t *pages; /* SETS * WAYS of them */
	struct slot slots[SETS][WAYS];
	uint8_t next[SETS]; /* who goes next */
	struct herd_extents ranges;
	int failed; /* see herd_phys_failed */
	_Atomic uint64_t *beat; /* may be NULL */
};

int herd_phys_create(struct herd_source *source, struct herd_phys **ret)
{
	struct herd_phys *p = malloc(sizeof(*p));

	if (!p)
		return -ENOMEM;
	p->source = source;
	p->beat = NULL;
	p->ranges = (struct herd_extents){ 0 };
	p->failed = 0;
	p->pages = malloc((size_t)SETS * WAYS * HERD_PAGE);
	memset(p->next, 0, sizeof(p->next));
	for (unsigned s = 0; s < SETS; s++)
		for (unsigned w = 0; w < WAYS; w++)
			p->slots[s][w] = (struct slot){ NO_FRAME, false };
	int err = p->pages ? herd_source_data(source, &p->ranges, NULL) :
			     -ENOMEM;

	if (err) {
		herd_phys_destroy(p);
		return err;
	}
	*ret = p;
	return 0;
}

void herd_phys_destroy(struct herd_phys *p)
{
	int saved = errno;

	if (p) {
		free(p->pages);
		herd_extents_deinit(&p->ranges);
	}
	free(p);
	errno = saved;
}

void herd_phys_watch(struct herd_phys *p, _Atomic uint64_t *beat)
{
	p->beat = beat;
}

void herd_phys_beat(struct herd_phys *p)
{
	if (p->beat)
		atomic_fetch_add_explicit(p->beat, 1, memory_order_relaxed);
}

struct herd_source *herd_phys_source(struct herd_phys *p)
{
	return p->source;
}

const struct herd_extents *herd_phys_ranges(const struct herd_phys *p)
{
	return &p->ranges;
}

/* Frames of one structure follow each other and fall into different sets. */
static inline unsigned set_of(uint64_t frame)
{
	return (unsigned)(frame ^ frame >> 9 ^ frame >> 18) & (SETS - 1);
}

int herd_phys_failed(const struct herd_phys *p)
{
	return p->failed;
}

/* Whether it was had. That it was not is the image's, or not. */
static bool take(struct herd_phys *p, void *buf, size_t len, uint64_t off)
{
	int err = herd_source_read(p->source, buf, len, off, NULL);

	herd_phys_beat(p);
	if (err && err != -ENODATA && err != -EBADMSG && err != -EOPNOTSUPP &&
	    !p->failed)
		p->failed = err;
	return !err;
}

static const uint8_t *load(struct herd_phys *p, uint64_t frame, unsigned set)
{
	unsigned way = p->next[set]++ % WAYS;
	uint8_t *page = p->pages + ((size_t)set * WAYS + way) * HERD_PAGE;
	uint64_t off = frame * HERD_PAGE;

	p->slots[set][way].frame = frame;
	p->slots[set][way].there =
		off <= p->source->size && p->source->size - off >= HERD_PAGE &&
		take(p, page, HERD_PAGE, off);
	return p->slots[set][way].there ? page : NULL;
}

static inline const uint8_t *page_at(struct herd_phys *p, uint64_t frame)
{
	unsigned set = set_of(frame);

	for (unsigned w = 0; w < WAYS; w++)
		if (p->slots[set][w].frame == frame)
			return p->slots[set][w].there ?
				       p->pages + ((size_t)set * WAYS + w) *
							  HERD_PAGE :
				       NULL;
	return load(p, frame, set);
}

const void *herd_phys_page(struct herd_phys *p, uint64_t addr)
{
	return page_at(p, addr / HERD_PAGE);
}

static int read_source(struct herd_phys *p, uint64_t addr, void *buf,
		       size_t len)
{
	if (addr > p->source->size || len > p->source->size - addr)
		return -ENODATA;
	return take(p, buf, len, addr) ? 0 : -ENODATA;
}

int herd_phys_read(struct herd_phys *p, uint64_t addr, void *buf, size_t len)
{
	uint8_t *to = buf;

	if (len > 2 * HERD_PAGE)
		return read_source(p, addr, buf, len);
	if (addr + len < addr)
		return -ENODATA;
	while (len) {
		size_t in = addr % HERD_PAGE;
		size_t part = HERD_PAGE - in < len ? HERD_PAGE - in : len;
		const uint8_t *page = page_at(p, addr / HERD_PAGE);

		if (page)
			memcpy(to, page + in, part);
		else if (read_source(p, addr, to, part))
			return -ENODATA; /* not even a part of a page */
		to += part;
		addr += part;
		len -= part;
	}
	return 0;
}

bool herd_phys_has(struct herd_phys *p, uint64_t addr, uint64_t len)
{
	uint8_t byte;

	if (!len || addr > p->source->size || len > p->source->size - addr)
		return false;
	if (len > 16ull * HERD_PAGE) {
		size_t low = 0, high = p->ranges.n;

		while (high - low > 1) {
			size_t mid = low + (high - low) / 2;

			if (p->ranges.v[mid].start <= addr)
				low = mid;
			else
				high = mid;
		}
		return high && p->ranges.v[low].start <= addr &&
		       p->ranges.v[low].len >=
			       addr - p->ranges.v[low].start + len;
	}
	for (uint64_t at = addr; at < addr + len;
	     at = (at / HERD_PAGE + 1) * HERD_PAGE)
		if (herd_phys_read(p, at, &byte, 1))
			return false;
	return !herd_phys_read(p, addr + len - 1, &byte, 1);
}
