/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading the kernel's memory, its symbols and its types, once it is open.
 */
#include "index/memory/kernel_internal.h"

#include "acquire/base/cleanup.h"

#include <endian.h>
#include <stdio.h>
#include <string.h>

const struct herd_kernel_facts *herd_kernel_facts(const struct herd_kernel *k)
{
	return &k->facts;
}

struct herd_phys *herd_kernel_phys(struct herd_kernel *k)
{
	return k->phys;
}

const struct herd_space *herd_kernel_space(const struct herd_kernel *k)
{
	return &k->space;
}

/* ---- memory ---- */

void herd_kernel_forget(struct herd_kernel *k)
{
	for (unsigned i = 0; i < HERD_KERNEL_TLB; i++)
		k->tlb[i].page = UINT64_MAX;
}

static int translate(struct herd_kernel *k, uint64_t va, uint64_t *ret)
{
	uint64_t page = va / HERD_PAGE;
	unsigned slot = (unsigned)(page ^ page >> 10) % HERD_KERNEL_TLB;
	struct herd_mapping m;

	if (k->tlb[slot].page == page) {
		*ret = k->tlb[slot].phys + va % HERD_PAGE;
		return 0;
	}
	herd_space_look(k->phys, &k->space, va, &m);
	if (m.state == HERD_PAGE_MISSING)
		return -ENODATA;
	if (m.state != HERD_PAGE_PRESENT && m.state != HERD_PAGE_PROTNONE)
		return -EFAULT;
	k->tlb[slot].page = page;
	k->tlb[slot].phys = m.phys - va % HERD_PAGE;
	*ret = m.phys;
	return 0;
}

int herd_kernel_read(struct herd_kernel *k, uint64_t va, void *buf, size_t len)
{
	uint8_t *to = buf;

	if (len > 2 * HERD_PAGE)
		return herd_space_read(k->phys, &k->space, va, buf, len);
	if (len && va + len - 1 < va)
		return -EFAULT;
	while (len) {
		size_t left = HERD_PAGE - va % HERD_PAGE;
		size_t part = left < len ? left : len;
		uint64_t phys;
		int err = translate(k, va, &phys);

		if (!err)
			err = herd_phys_read(k->phys, phys, to, part);
		if (err)
			return err;
		to += part;
		va += part;
		len -= part;
	}
	return 0;
}

int herd_kernel_u8(struct herd_kernel *k, uint64_t va, uint8_t *ret)
{
	return herd_kernel_read(k, va, ret, 1);
}

int herd_kernel_u16(struct herd_kernel *k, uint64_t va, uint16_t *ret)
{
	uint16_t v;
	int err = herd_kernel_read(k, va, &v, sizeof(v));

	if (!err)
		*ret = le16toh(v);
	return err;
}

int herd_kernel_u32(struct herd_kernel *k, uint64_t va, uint32_t *ret)
{
	uint32_t v;
	int err = herd_kernel_read(k, va, &v, sizeof(v));

	if (!err)
		*ret = le32toh(v);
	return err;
}

int herd_kernel_u64(struct herd_kernel *k, uint64_t va, uint64_t *ret)
{
	uint64_t v;
	int err = herd_kernel_read(k, va, &v, sizeof(v));

	if (!err)
		*ret = le64toh(v);
	return err;
}

int herd_kernel_string(struct herd_kernel *k, uint64_t va, char *ret,
		       size_t max)
{
	size_t len = 0;

	if (!max)
		return -EINVAL;
	while (len < max - 1) {
		size_t part = HERD_PAGE - va % HERD_PAGE;
		int err;

		/* names are short: not the whole page */
		if (part > 64)
			part = 64;
		if (part > max - 1 - len)
			part = max - 1 - len;
		err = herd_kernel_read(k, va, ret + len, part);
		if (err) {
			ret[0] = '\0';
			return err;
		}
		if (memchr(ret + len, '\0', part))
			return 0;
		len += part;
		va += part;
	}
	ret[len] = '\0';
	return 0;
}

bool herd_kernel_is_pointer(const struct herd_kernel *k, uint64_t va)
{
	return va >= (k->space.levels == 5 ? 0xff00000000000000ull :
					     0xffff800000000000ull) &&
	       va < (uint64_t)-4096; /* no error number */
}

uint64_t herd_kernel_direct(const struct herd_kernel *k, uint64_t phys)
{
	return k->facts.page_offset + phys;
}

uint64_t herd_kernel_page(const struct herd_kernel *k, uint64_t phys)
{
	return k->facts.vmemmap + phys / HERD_PAGE * k->page_struct;
}

int herd_kernel_page_phys(const struct herd_kernel *k, uint64_t page,
			  uint64_t *ret)
{
	uint64_t off = page - k->facts.vmemmap;
	uint64_t frame;

	if (page < k->facts.vmemmap || off % k->page_struct)
		return -EFAULT;
	frame = off / k->page_struct;
	if (frame >= 1ull << 40)
		return -EFAULT;
	*ret = frame * HERD_PAGE;
	return 0;
}

/* ---- symbols ---- */

int herd_kernel_symbol(struct herd_kernel *k, const char *name, uint64_t *ret)
{
	uint64_t at;

	if (k->symbols && !herd_kallsyms_find(k->symbols, name, ret))
		return 0;
	if (!k->isf || herd_isf_symbol(k->isf, name, &at))
		return -ENOENT;
	/* those of processors are no addresses of the image */
	*ret = at >= HERD_KERNEL_MAP ? at + (uint64_t)k->facts.kaslr : at;
	return 0;
}

int herd_kernel_percpu(struct herd_kernel *k, const char *name, unsigned cpu,
		       uint64_t *ret)
{
	uint64_t at, off = 0;
	int err = herd_kernel_symbol(k, name, &at);

	if (err)
		return err;
	if (cpu >= k->cpus)
		return -EINVAL;
	if (k->percpu)
		err = herd_kernel_u64(k, k->percpu + 8ull * cpu, &off);
	if (!err)
		*ret = at + off;
	return err;
}

unsigned herd_kernel_cpus(struct herd_kernel *k)
{
	return k->cpus;
}

/* By a symbol file alone, for kernels without kallsyms. */
static const char *name_in_isf(struct herd_kernel *k, uint64_t va,
			       uint64_t *ret_offset)
{
	uint64_t linked = va - (uint64_t)k->facts.kaslr, at;
	const char *name = k->isf ? herd_isf_symbol_at(k->isf, linked, &at) :
				    NULL;

	if (!name || at < HERD_KERNEL_MAP)
		return NULL;
	snprintf(k->name, sizeof(k->name), "%s", name);
	if (ret_offset)
		*ret_offset = linked - at;
	return k->name;
}

const char *herd_kernel_name_of(struct herd_kernel *k, uint64_t va,
				uint64_t *ret_offset)
{
	size_t i;

	if (va < k->image_start || va >= k->image_end)
		return NULL;
	if (!k->symbols)
		return name_in_isf(k, va, ret_offset);
	i = herd_kallsyms_at(k->symbols, va);
	if (i == herd_kallsyms_count(k->symbols) ||
	    herd_kallsyms_address(k->symbols, i) < k->image_start)
		return NULL;
	herd_kallsyms_name(k->symbols, i, k->name, NULL);
	if (ret_offset)
		*ret_offset = va - herd_kallsyms_address(k->symbols, i);
	return k->name;
}

/* ---- types ---- */

static struct herd_btf *types_of(struct herd_kernel *k)
{
	return k->types ? k->types : herd_isf_types(k->isf);
}

int herd_kernel_field(struct herd_kernel *k, const char *type,
		      const char *member, struct herd_field *ret)
{
	return herd_btf_field(types_of(k), type, member, ret);
}

int herd_kernel_sizeof(struct herd_kernel *k, const char *type, uint32_t *ret)
{
	return herd_btf_sizeof(types_of(k), type, ret);
}

int herd_kernel_enumerator(struct herd_kernel *k, const char *name,
			   int64_t *ret)
{
	return herd_btf_enumerator(types_of(k), name, ret);
}

int herd_kernel_vmcoreinfo(struct herd_kernel *k, const char *key, int64_t *ret)
{
	return herd_vmcoreinfo_number(&k->info, key, ret);
}

/* ---- values ---- */

int herd_kernel_get(struct herd_kernel *k, uint64_t base,
		    const struct herd_field *f, uint64_t *ret)
{
	uint64_t v = 0;
	int err;

	if (!herd_field_there(f) || !f->size || f->size > 8)
		return -EINVAL;
	err = herd_kernel_read(k, base + f->offset, &v, f->size);
	if (err)
		return err;
	v = le64toh(v);
	if (f->bits) {
		v >>= f->bit;
		if (f->bits < 64)
			v &= (1ull << f->bits) - 1;
	}
	*ret = v;
	return 0;
}

int herd_kernel_fields(struct herd_kernel *k, const struct herd_wanted *w,
		       size_t n, void *result, struct herd_diag *diag)
{
	for (size_t i = 0; i < n; i++) {
		struct herd_field f = { .offset = HERD_FIELD_MISSING };
		int err = herd_kernel_field(k, w[i].type, w[i].member, &f);

		if (err && w[i].other_member)
			err = herd_kernel_field(
				k,
				w[i].other_type ? w[i].other_type : w[i].type,
				w[i].other_member, &f);
		if (err && !w[i].optional)
			return herd_diag_set(diag, -EOPNOTSUPP,
					     herd_phys_source(k->phys)->name,
					     HERD_NO_OFFSET,
					     "Linux %s has no %s.%s: a version "
					     "that is not known here",
					     k->facts.release, w[i].type,
					     w[i].member);
		memcpy((uint8_t *)result + w[i].where, &f, sizeof(f));
	}
	return 0;
}
