/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Finds a kernel by page tables alone. Every top table maps the kernel's image
 * by its last entry, which leads to a table that is part of the image and of
 * an unusual form: level3_kernel_pgt has two entries, the last but one for the
 * image and the last for fixed addresses (with five levels level4_kernel_pgt
 * comes before it, with a few at its end). One such top table lies in the first MiB,
 * where processors start: so neither the size of a memory nor where KASLR put
 * things matters. From the image come its symbols, and from these the rest.
 */
#include "index/memory/kernel_internal.h"

#include "acquire/base/cleanup.h"

#include <endian.h>
#include <string.h>

#define ENTRIES 512u
#define FRAME_MASK 0x000ffffffffff000ull
#define SME_BITS 0x000fc00000000000ull /* no physical memory is that large */
#define P_LARGE 0x80u
#define UTS_LEN 65u

/* The entries of a table, copied, for the cache moves on. */
static bool table_at(struct herd_phys *phys, uint64_t at, uint64_t *ret)
{
	const void *p = herd_phys_page(phys, at);

	if (p)
		memcpy(ret, p, HERD_PAGE);
	return p != NULL;
}

static bool is_table(uint64_t e)
{
	/* present, writable, not large, executable */
	return (e & 3) == 3 && !(e & P_LARGE) && !(e >> 63);
}

static bool empty(const uint64_t *e, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		if (e[i])
			return false;
	return true;
}

static bool is_level3(const uint64_t *e)
{
	return empty(e, ENTRIES - 2) && is_table(e[ENTRIES - 2]) &&
	       is_table(e[ENTRIES - 1]);
}

static bool take_image(struct herd_phys *phys, uint64_t level2,
		       struct herd_kernel_image *ret)
{
	uint64_t e[ENTRIES];
	struct herd_mapping m;
	unsigned first = 0, last;

	if (!table_at(phys, level2, e))
		return false;
	while (first < ENTRIES && !(e[first] & 1))
		first++;
	for (last = first; last + 1 < ENTRIES && e[last + 1];)
		last++;
	if (first == ENTRIES || last == first)
		return false;
	ret->text = HERD_KERNEL_MAP + ((uint64_t)first << 21);
	ret->end = HERD_KERNEL_MAP + ((uint64_t)(last + 1) << 21);
	herd_space_look(phys, &ret->space, ret->text, &m);
	if (m.state != HERD_PAGE_PRESENT || m.phys % HERD_PAGE)
		return false;
	ret->phys_base = m.phys - (ret->text - HERD_KERNEL_MAP);
	return true;
}

bool herd_kernel_image_at(struct herd_phys *phys, uint64_t page,
			  struct herd_kernel_image *ret)
{
	uint64_t e[ENTRIES], at, mask;
	uint8_t levels = 4;
	uint64_t top;

	if (herd_phys_read(phys, page + HERD_PAGE - 8, &top, 8) ||
	    !is_table(top))
		return false;
	mask = top & SME_BITS;
	at = top & FRAME_MASK & ~mask;
	if (at == page || !table_at(phys, at, e) || !empty(e, ENTRIES / 2) ||
	    !is_table(e[ENTRIES - 1]))
		return false;
	if (!is_level3(e)) {
		levels = 5;
		if (!table_at(phys, e[ENTRIES - 1] & FRAME_MASK & ~mask, e) ||
		    !is_level3(e))
			return false;
	}

	struct herd_kernel_image image = {
		.space = { .pgd = page, .levels = levels, .sme_mask = mask },
	};

	if (!take_image(phys, e[ENTRIES - 2] & FRAME_MASK & ~mask, &image))
		return false;
	*ret = image;
	return true;
}

bool herd_kernel_image_low(struct herd_phys *phys, uint64_t cr3,
			   struct herd_kernel_image *ret)
{
	cr3 &= FRAME_MASK;
	/* of PTI's pair the user's is the upper one */
	if (cr3 && (herd_kernel_image_at(phys, cr3, ret) ||
		    herd_kernel_image_at(phys, cr3 & ~0x1000ull, ret)))
		return true;
	for (uint64_t at = 0; at < 1u << 20; at += HERD_PAGE)
		if (herd_kernel_image_at(phys, at, ret))
			return true;
	return false;
}

/* ---- from there on ---- */

struct view {
	struct herd_phys *phys;
	const struct herd_space *space;
};

static int read_view(void *arg, uint64_t va, void *buf, size_t len)
{
	const struct view *v = arg;

	return herd_space_read(v->phys, v->space, va, buf, len);
}

static uint64_t word_at(const struct view *v, const struct herd_kallsyms *k,
			const char *symbol)
{
	uint64_t at, n;

	return herd_kallsyms_find(k, symbol, &at) ||
			       herd_space_read(v->phys, v->space, at, &n, 8) ?
		       0 :
		       le64toh(n);
}

/* VMCOREINFO by the kernel's own pointers to it. */
static bool take_info(const struct view *v, struct herd_kernel_found *f)
{
	static const struct {
		const char *symbol;
		unsigned skip;
	} ways[] = { { "vmcoreinfo_data", 0 },
		     { "vmcoreinfo_note", 0x18 },
		     { "vmcoreinfo_data_safecopy", 0 } };
	struct herd_space space;

	for (size_t i = 0; i < ARRAY_SIZE(ways); i++) {
		uint64_t at = word_at(v, f->symbols, ways[i].symbol);
		char text[HERD_VMCOREINFO_MAX];

		if (!at ||
		    herd_space_read(v->phys, v->space, at + ways[i].skip, text,
				    sizeof(text) - ways[i].skip) ||
		    herd_vmcoreinfo_parse(text, sizeof(text) - ways[i].skip,
					  &f->info) ||
		    f->info.foreign)
			continue;
		if (herd_kernel_check(v->phys, &f->info, &space) !=
		    HERD_GRADE_NONE)
			return true;
	}
	return false;
}

/* What of it can be said without. */
static bool make_info(const struct view *v,
		      const struct herd_kernel_image *image,
		      struct herd_kernel_found *f)
{
	struct herd_vmcoreinfo *i = &f->info;
	char uts[8 + 3 * UTS_LEN];

	memset(i, 0, sizeof(*i));
	i->uts_name = UINT64_MAX;
	i->phys_base = image->phys_base;
	i->five_level = image->space.levels == 5;
	i->sme_mask = image->space.sme_mask;
	if (herd_kallsyms_find(f->symbols, "init_uts_ns", &i->init_uts_ns) ||
	    herd_space_read(v->phys, v->space, i->init_uts_ns, uts,
			    sizeof(uts)))
		return false;
	if (herd_kallsyms_find(f->symbols, "init_top_pgt",
			       &i->swapper_pg_dir) ||
	    herd_kallsyms_find(f->symbols, "_stext", &i->stext))
		return false;
	for (size_t at = 0; at <= 8; at += 4) {
		const char *release = uts + at + 2 * (size_t)UTS_LEN;

		if (memcmp(uts + at, "Linux", 6) || !*release ||
		    !memchr(release, '\0', UTS_LEN))
			continue;
		memcpy(i->release, release, strlen(release) + 1);
		herd_text_clean(i->release);
		return true;
	}
	return false;
}

int herd_kernel_from_image(struct herd_phys *phys,
			   const struct herd_kernel_image *image,
			   struct herd_kernel_found *ret)
{
	struct herd_kernel_found f = { .space = image->space };
	struct view v = { phys, &f.space };
	struct herd_kallsyms_known known = { "_text", image->text };
	struct herd_kallsyms_place at;
	uint64_t end = image->end, top;
	int err;

	if (end - image->text > HERD_KERNEL_SEARCHED)
		end = image->text + HERD_KERNEL_SEARCHED;
	err = herd_kallsyms_scan(read_view, &v, image->text, end, &at);
	if (!err)
		err = herd_kallsyms_load(read_view, &v, &at, &known, &f.symbols,
					 NULL);
	if (err)
		return err;
	/* the kernel's own tables, which map all memory, too */
	if (herd_kallsyms_find(f.symbols, "init_top_pgt", &top)) {
		err = -ENOENT;
	} else {
		f.space.pgd = top - HERD_KERNEL_MAP + image->phys_base;
		if (!take_info(&v, &f) && !make_info(&v, image, &f))
			err = -ENOENT;
	}
	if (!err &&
	    herd_kernel_check(phys, &f.info, &f.space) == HERD_GRADE_NONE)
		err = -ENOENT;
	if (err)
		herd_kallsyms_destroy(f.symbols);
	else
		*ret = f;
	return err;
}
