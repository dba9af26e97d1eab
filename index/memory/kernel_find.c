/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where the kernel lies. Its VMCOREINFO says it, which is a note of some
 * containers and a page of every kernel's memory: the page begins with it; the
 * copy in ELF form has it after a header of 24 bytes. Where it is not met soon,
 * page tables lead to the kernel (kernel_image.c); then all memory is looked
 * through for either.
 */
#include "index/memory/kernel_internal.h"

#include "acquire/base/cleanup.h"

#include <string.h>

#define NOTE_AT 0x18u
#define MARK "OSRELEASE="
#define MARK_LEN 10u
#define CANDIDATES_MAX 4096u
#define IMAGES_MAX 8u
#define UTS_LEN 65u

struct search {
	struct herd_phys *phys;
	struct herd_kernel_found *best;
	struct herd_vmcoreinfo *try;
	enum herd_kernel_grade grade; /* of best */
	unsigned candidates;
	bool images;		   /* page tables are looked for as well */
	uint64_t seen[IMAGES_MAX]; /* level3_kernel_pgt's user, by text */
	unsigned n_seen;
	const char *foreign;
	char release[65]; /* of one that did not fit, or is foreign */
};

enum herd_kernel_grade herd_kernel_check(struct herd_phys *phys,
					 const struct herd_vmcoreinfo *v,
					 struct herd_space *ret)
{
	static const uint64_t places[] = { 0, 4, 8 };
	uint64_t at = v->init_uts_ns - HERD_KERNEL_MAP + v->phys_base;
	struct herd_space s = {
		.pgd = v->swapper_pg_dir - HERD_KERNEL_MAP + v->phys_base,
		.levels = v->five_level ? 5 : 4,
		.sme_mask = v->sme_mask,
	};
	struct herd_mapping m;
	char uts[8 + 3 * UTS_LEN];

	if (s.pgd % HERD_PAGE)
		return HERD_GRADE_NONE;
	herd_space_look(phys, &s, v->init_uts_ns, &m);
	if (m.state != HERD_PAGE_PRESENT || m.phys != at ||
	    herd_phys_read(phys, at, uts, sizeof(uts)))
		return HERD_GRADE_NONE;
	for (size_t i = 0; i < ARRAY_SIZE(places); i++) {
		const char *name = uts + places[i];

		if (v->uts_name != UINT64_MAX && v->uts_name != places[i])
			continue;
		if (memcmp(name, "Linux", 6))
			continue;
		*ret = s;
		name += 2 * (size_t)UTS_LEN;
		return !strncmp(name, v->release, UTS_LEN) ? HERD_GRADE_ALL :
							     HERD_GRADE_TABLES;
	}
	return HERD_GRADE_NONE;
}

static void try_text(struct search *s, const void *text, size_t len)
{
	struct herd_space space = { 0 };
	enum herd_kernel_grade g = HERD_GRADE_NONE;

	if (s->grade == HERD_GRADE_ALL || s->candidates == CANDIDATES_MAX ||
	    herd_vmcoreinfo_parse(text, len, s->try))
		return;
	s->candidates++;
	if (!s->try->foreign)
		g = herd_kernel_check(s->phys, s->try, &space);
	if (g > s->grade) {
		s->best->info = *s->try;
		s->best->space = space;
		s->grade = g;
	} else if (g == HERD_GRADE_NONE) {
		if (s->try->foreign && !s->foreign)
			s->foreign = s->try->foreign;
		if (!s->release[0])
			memcpy(s->release, s->try->release, sizeof(s->release));
	}
}

static void try_image(struct search *s, const struct herd_kernel_image *image)
{
	struct herd_kernel_found f;

	for (unsigned i = 0; i < s->n_seen; i++)
		if (s->seen[i] == image->text)
			return;
	if (s->n_seen == IMAGES_MAX)
		return;
	s->seen[s->n_seen++] = image->text;
	if (herd_kernel_from_image(s->phys, image, &f))
		return;
	herd_kallsyms_destroy(s->best->symbols);
	*s->best = f;
	s->grade = HERD_GRADE_ALL;
}

static bool try_page(void *arg, uint64_t addr, const uint8_t *page)
{
	struct search *s = arg;
	struct herd_kernel_image image;

	if (!memcmp(page, MARK, MARK_LEN))
		try_text(s, page, HERD_PAGE);
	else if (!memcmp(page + NOTE_AT, MARK, MARK_LEN))
		try_text(s, page + NOTE_AT, HERD_PAGE - NOTE_AT);
	else if (s->images && (page[HERD_PAGE - 8] & 3) == 3 &&
		 herd_kernel_image_at(s->phys, addr, &image))
		try_image(s, &image);
	return s->grade == HERD_GRADE_ALL;
}

static int nothing(const struct search *s, struct herd_diag *diag)
{
	const char *name = herd_phys_source(s->phys)->name;
	char banner[256];

	if (s->foreign)
		return herd_diag_set(diag, -EOPNOTSUPP, name, HERD_NO_OFFSET,
				     "memory of a Linux kernel for another "
				     "architecture (%s, release %s): only "
				     "x86_64 is read",
				     s->foreign, s->release);
	if (s->release[0])
		return herd_diag_set(diag, -EOPNOTSUPP, name, HERD_NO_OFFSET,
				     "the VMCOREINFO of Linux %s is there, but "
				     "not the memory that it speaks of: the "
				     "image is cut short, or its ranges are "
				     "out of place",
				     s->release);
	herd_kernel_scan_banner(s->phys, banner, sizeof(banner));
	if (strstr(banner, "aarch64"))
		return herd_diag_set(diag, -EOPNOTSUPP, name, HERD_NO_OFFSET,
				     "memory of a Linux kernel for another "
				     "architecture (%s): only x86_64 is read",
				     banner);
	if (banner[0])
		return herd_diag_set(
			diag, -EOPNOTSUPP, name, HERD_NO_OFFSET,
			"no VMCOREINFO and no page tables of a "
			"kernel for x86_64, though there is \"%s\": "
			"an image of all memory, or one in ELF or "
			"kdump form with a note VMCOREINFO, would "
			"help",
			banner);
	return herd_diag_set(diag, -EOPNOTSUPP, name, HERD_NO_OFFSET,
			     "no Linux kernel found: this is not an image of "
			     "all physical memory of a Linux machine, or it is "
			     "encrypted");
}

int herd_kernel_find(struct herd_phys *phys,
		     const struct herd_memory_notes *notes,
		     struct herd_kernel_found *ret, struct herd_diag *diag)
{
	CLEANUP_FREE struct herd_vmcoreinfo *try = calloc(1, sizeof(*try));
	struct search s = { .phys = phys, .best = ret, .try = try };
	struct herd_kernel_image image;
	int err = 0;

	if (!try)
		return -ENOMEM;
	ret->symbols = NULL;
	if (notes && notes->vmcoreinfo)
		try_text(&s, notes->vmcoreinfo, notes->vmcoreinfo_len);
	if (s.grade != HERD_GRADE_ALL)
		err = herd_kernel_scan(phys, true, try_page, &s, diag);
	if (!err && s.grade != HERD_GRADE_ALL &&
	    herd_kernel_image_low(phys, notes ? notes->cr3 : 0, &image))
		try_image(&s, &image);
	s.images = true;
	if (!err && s.grade != HERD_GRADE_ALL)
		err = herd_kernel_scan(phys, false, try_page, &s, diag);
	if (err)
		return err;
	return s.grade == HERD_GRADE_NONE ? nothing(&s, diag) : 0;
}
