/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Looking through all of a memory, in large pieces.
 */
#include "index/memory/kernel_internal.h"

#include "acquire/base/cleanup.h"

#include <string.h>

#define CHUNK (1u << 20)
#define MIB (1ull << 20)
#define BANNER_BYTES (16ull << 30) /* looked through for a banner */

struct scan {
	struct herd_phys *phys;
	struct herd_extents extents;
	uint8_t *chunk;
	herd_page_fn *fn;
	void *arg;
	bool found;
};

static void scan_chunk(struct scan *s, uint64_t start, size_t n)
{
	struct herd_source *source = herd_phys_source(s->phys);
	bool whole = !herd_source_read(source, s->chunk, n, start, NULL);

	herd_phys_beat(s->phys);
	for (size_t at = 0; at < n && !s->found; at += HERD_PAGE) {
		uint8_t *page = s->chunk + at;

		if (!whole &&
		    herd_phys_read(s->phys, start + at, page, HERD_PAGE))
			continue;
		s->found = s->fn(s->arg, start + at, page);
	}
}

static void scan_window(struct scan *s, uint64_t start, uint64_t end)
{
	for (size_t i = 0; i < s->extents.n; i++) {
		const struct herd_extent *e = &s->extents.v[i];
		uint64_t from = e->start, to = from + e->len;

		from = from > start ? from : start;
		from = (from + HERD_PAGE - 1) / HERD_PAGE * HERD_PAGE;
		to = to < end ? to : end;
		while (!s->found && from < to && to - from >= HERD_PAGE) {
			size_t n = to - from < CHUNK ? (size_t)(to - from) :
						       CHUNK;

			n = n / HERD_PAGE * HERD_PAGE;
			scan_chunk(s, from, n);
			from += n;
		}
	}
}

/*
 * VMCOREINFO's page is allocated early while the kernel boots: low in a small
 * memory, near the top of a large one.
 */
int herd_kernel_scan(struct herd_phys *phys, bool likely, herd_page_fn *fn,
		     void *arg, struct herd_diag *diag)
{
	CLEANUP_FREE uint8_t *chunk = malloc(CHUNK);
	struct scan s = { .phys = phys, .chunk = chunk, .fn = fn, .arg = arg };
	int err;

	if (!chunk)
		return -ENOMEM;
	err = herd_source_data(herd_phys_source(phys), &s.extents, diag);
	if (!err && s.extents.n) {
		const struct herd_extent *last = &s.extents.v[s.extents.n - 1];
		uint64_t end = last->start + last->len;
		uint64_t top = end > 512 * MIB ? end - 256 * MIB : end;

		if (likely) {
			scan_window(&s, 16 * MIB, 48 * MIB);
		} else {
			scan_window(&s, top, end);
			scan_window(&s, 48 * MIB,
				    top < 256 * MIB ? top : 256 * MIB);
			scan_window(&s, 256 * MIB, top);
			scan_window(&s, 0, 16 * MIB);
		}
	}
	herd_extents_deinit(&s.extents);
	return err;
}

/* ---- the banner ---- */

#define BANNER "Linux version "
#define BANNER_MAX 400u

/* p: len bytes from "Linux version " on. As the kernel's own is: to the end of
   the line all printable, then a NUL. */
static bool take_banner(const uint8_t *p, size_t len, char *ret, size_t max)
{
	size_t n = sizeof(BANNER) - 1;

	if (n >= len || p[n] < '1' || p[n] > '9')
		return false;
	for (n = 0; n < len && n < BANNER_MAX; n++)
		if (p[n] < ' ' || p[n] > '~')
			break;
	const uint8_t *number = memchr(p, '#', n);

	if (n + 1 >= len || p[n] != '\n' || p[n + 1] || !number ||
	    number[1] < '0' || number[1] > '9')
		return false;
	if (n >= max)
		n = max - 1;
	memcpy(ret, p, n);
	ret[n] = '\0';
	herd_text_clean(ret);
	return true;
}

void herd_kernel_scan_banner(struct herd_phys *phys, char *ret, size_t max)
{
	struct herd_source *source = herd_phys_source(phys);
	CLEANUP(herd_extents_deinit) struct herd_extents e = { 0 };
	CLEANUP_FREE uint8_t *chunk = malloc(CHUNK);
	uint64_t budget = BANNER_BYTES;

	*ret = '\0';
	if (!chunk || herd_source_data(source, &e, NULL))
		return;
	for (size_t i = 0; i < e.n; i++) {
		uint64_t from = e.v[i].start, to = from + e.v[i].len;

		while (from < to && budget) {
			size_t n = to - from < CHUNK ? (size_t)(to - from) :
						       CHUNK;
			uint8_t *p = chunk, *end = chunk + n;

			budget -= n < budget ? n : budget;
			if (herd_source_read(source, chunk, n, from, NULL))
				end = chunk;
			herd_phys_beat(phys);
			while ((p = memmem(p, (size_t)(end - p), BANNER,
					   sizeof(BANNER) - 1))) {
				if (take_banner(p, (size_t)(end - p), ret, max))
					return;
				p++;
			}
			/* one that lies across the edge is met again */
			from += n == CHUNK ? CHUNK - BANNER_MAX : n;
		}
	}
}
