/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Putting a kernel together: where it lies, then its symbols, then its types.
 */
#include "index/memory/kernel_internal.h"

#include "acquire/base/cleanup.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define CPUS_MAX 8192u
#define LINKED_AT 0x1000000ull /* of _text, after HERD_KERNEL_MAP */

static int read_kernel(void *arg, uint64_t va, void *buf, size_t len)
{
	return herd_kernel_read(arg, va, buf, len);
}

/* ---- symbols ---- */

static bool place_from_info(const struct herd_vmcoreinfo *v,
			    struct herd_kallsyms_place *ret)
{
	*ret = (struct herd_kallsyms_place){
		.num_syms = herd_vmcoreinfo_symbol(v, "kallsyms_num_syms"),
		.names = herd_vmcoreinfo_symbol(v, "kallsyms_names"),
		.token_table =
			herd_vmcoreinfo_symbol(v, "kallsyms_token_table"),
		.token_index =
			herd_vmcoreinfo_symbol(v, "kallsyms_token_index"),
		.offsets = herd_vmcoreinfo_symbol(v, "kallsyms_offsets"),
		.relative_base =
			herd_vmcoreinfo_symbol(v, "kallsyms_relative_base"),
	};
	return ret->num_syms && ret->names && ret->token_table &&
	       ret->token_index && ret->offsets;
}

static int load_symbols(struct herd_kernel *k, struct herd_diag *diag)
{
	struct herd_kallsyms_known known = { k->info.stext ? "_stext" : NULL,
					     k->info.stext };
	struct herd_kallsyms_place at;
	int err = 0;

	if (k->symbols)
		return 0; /* they were needed to find the kernel */
	if (!place_from_info(&k->info, &at))
		err = !k->info.stext ?
			      -ENOENT :
			      herd_kallsyms_scan(read_kernel, k, k->info.stext,
						 k->info.stext +
							 HERD_KERNEL_SEARCHED,
						 &at);
	if (err)
		return herd_diag_set(diag, err, "", HERD_NO_OFFSET,
				     "its table of symbols (kallsyms) is not "
				     "in the image");
	return herd_kallsyms_load(read_kernel, k, &at, &known, &k->symbols,
				  diag);
}

/* ---- types ---- */

static int load_types(struct herd_kernel *k, struct herd_diag *diag)
{
	uint64_t start, stop;
	void *bytes;
	int err;

	if (herd_kernel_symbol(k, "__start_BTF", &start) ||
	    herd_kernel_symbol(k, "__stop_BTF", &stop) || stop <= start ||
	    stop - start > HERD_BTF_BYTES_MAX)
		return herd_diag_set(diag, -ENOENT, "", HERD_NO_OFFSET,
				     "it carries no types (BTF)");
	bytes = malloc((size_t)(stop - start));
	if (!bytes)
		return -ENOMEM;
	err = herd_kernel_read(k, start, bytes, (size_t)(stop - start));
	if (err) {
		free(bytes);
		return herd_diag_set(diag, -ENODATA, "", HERD_NO_OFFSET,
				     "a part of its types (BTF) is not in the "
				     "image");
	}
	err = herd_btf_parse(bytes, (size_t)(stop - start), &k->types, diag);
	k->facts.has_btf = !err;
	return err;
}

/* ---- a symbol file ---- */

static void banner_at(void *arg, uint64_t linked, char *ret, size_t max)
{
	struct herd_kernel *k = arg;

	if (herd_kernel_string(k, linked + (uint64_t)k->facts.kaslr, ret, max))
		*ret = '\0';
	ret[strcspn(ret, "\n")] = '\0';
	herd_text_clean(ret);
}

/* What would help: a symbol file, or the memory that is not there. */
static int ask_for_more(struct herd_kernel *k, const struct herd_diag *why,
			struct herd_diag *diag)
{
	const struct herd_source *s = herd_phys_source(k->phys);
	uint64_t beyond = herd_kernel_leads_beyond(k);

	if (beyond)
		return herd_diag_set(
			diag, -EOPNOTSUPP, s->name, HERD_NO_OFFSET,
			"Linux %s: %s: it ends at %#" PRIx64
			", and the kernel's page tables lead to %#" PRIx64
			"; a raw file that is as large as RAM lacks what lies "
			"above the hole below 4 GiB, and so does one that is "
			"cut short; an image as LiME, AVML or ELF core would "
			"help",
			k->facts.release, why->message, s->size, beyond);
	return herd_diag_set(diag, -EOPNOTSUPP, s->name, HERD_NO_OFFSET,
			     "Linux %s: %s; a symbol file (--symbols) that "
			     "dwarf2json makes of its vmlinux with debugging "
			     "information would help%s%s%s%s",
			     k->facts.release, why->message,
			     k->facts.banner[0] ? ": " : "", k->facts.banner,
			     k->facts.build_id[0] ? ", BUILD-ID " : "",
			     k->facts.build_id);
}

/* why: what the image lacks. */
static int load_isf(struct herd_kernel *k, const char *symbols,
		    const struct herd_diag *why, struct herd_diag *diag)
{
	const struct herd_isf_kernel kernel = {
		.release = k->facts.release,
		.build_id = k->facts.build_id,
		.banner = banner_at,
		.arg = k,
	};
	char name[96];
	int err;

	if (!symbols)
		return ask_for_more(k, why, diag);
	err = herd_isf_find(symbols, &kernel, &k->isf, name, sizeof(name),
			    diag);
	if (err)
		return err == -ENOENT ? -EOPNOTSUPP : err;
	k->facts.symbols_from = "an ISF file";
	return 0;
}

/* ---- facts ---- */

static uint64_t value_at(struct herd_kernel *k, const char *symbol,
			 uint64_t otherwise)
{
	uint64_t at, v;

	return herd_kernel_symbol(k, symbol, &at) ||
			       herd_kernel_u64(k, at, &v) ?
		       otherwise :
		       v;
}

static void count_cpus(struct herd_kernel *k)
{
	uint64_t at;
	uint32_t n = 1;

	k->cpus = 1;
	if (herd_kernel_symbol(k, "__per_cpu_offset", &k->percpu)) {
		k->percpu = 0;
		return;
	}
	if (!herd_kernel_symbol(k, "nr_cpu_ids", &at)) {
		if (herd_kernel_u32(k, at, &n))
			n = 1;
	} else if (!herd_kernel_symbol(k, "__cpu_possible_mask", &at)) {
		uint8_t byte;

		for (uint32_t i = 0; i < CPUS_MAX / 8; i++)
			if (herd_kernel_u8(k, at + i, &byte))
				break;
			else if (byte)
				n = i * 8 + 32 - (uint32_t)__builtin_clz(byte);
	}
	k->cpus = n < 1 ? 1 : n > CPUS_MAX ? CPUS_MAX : n;
}

static int64_t kaslr_of(const struct herd_kernel *k)
{
	int64_t n;

	if (!herd_vmcoreinfo_number(&k->info, "KERNELOFFSET", &n))
		return n;
	return k->info.stext ?
		       (int64_t)(k->info.stext - HERD_KERNEL_MAP - LINKED_AT) :
		       0;
}

static void take_banner(struct herd_kernel *k)
{
	struct herd_kernel_facts *f = &k->facts;
	uint64_t at;

	if (f->banner[0] || herd_kernel_symbol(k, "linux_banner", &at) ||
	    herd_kernel_string(k, at, f->banner, sizeof(f->banner)))
		return;
	f->banner[strcspn(f->banner, "\n")] = '\0';
	herd_text_clean(f->banner);
}

static void take_facts(struct herd_kernel *k)
{
	struct herd_kernel_facts *f = &k->facts;
	bool five = k->space.levels == 5;

	f->page_offset =
		value_at(k, "page_offset_base",
			 five ? 0xff11000000000000ull : 0xffff888000000000ull);
	f->vmemmap =
		value_at(k, "vmemmap_base",
			 five ? 0xffd4000000000000ull : 0xffffea0000000000ull);
	take_banner(k);
	k->image_start = k->info.stext;
	if (!k->image_start && herd_kernel_symbol(k, "_stext", &k->image_start))
		k->image_start = HERD_KERNEL_MAP;
	if (herd_kernel_symbol(k, "_end", &k->image_end))
		k->image_end = k->image_start;
	count_cpus(k);
	if (herd_kernel_sizeof(k, "page", &k->page_struct) || !k->page_struct)
		k->page_struct = 64;
}

/* Symbols and types, from the image or else from a file. */
static int load(struct herd_kernel *k, const struct herd_kernel_options *o,
		struct herd_diag *diag)
{
	struct herd_diag why = { .message = "" };
	uint64_t at;
	int err = load_symbols(k, &why);

	if (!err && herd_kernel_symbol(k, "init_task", &at))
		err = herd_diag_set(&why, -ENOENT, "", HERD_NO_OFFSET,
				    "its kallsyms has functions only "
				    "(CONFIG_KALLSYMS_ALL is off)");
	take_banner(k);
	if (!err)
		err = load_types(k, &why);
	if (err == -ENOMEM)
		return err;
	if (!err) {
		k->facts.symbols_from = "BTF";
		return 0;
	}
	err = load_isf(k, o ? o->symbols : NULL, &why, diag);
	if (!err && herd_kernel_symbol(k, "init_task", &at))
		err = herd_diag_set(diag, -EOPNOTSUPP,
				    herd_phys_source(k->phys)->name,
				    HERD_NO_OFFSET,
				    "Linux %s: neither the image nor the "
				    "symbol file knows init_task",
				    k->facts.release);
	return err;
}

static void cleanup(struct herd_kernel **k)
{
	herd_kernel_close(*k);
}

int herd_kernel_open(struct herd_phys *phys,
		     const struct herd_memory_notes *notes,
		     const struct herd_kernel_options *o,
		     struct herd_kernel **ret, struct herd_diag *diag)
{
	struct herd_kernel *k CLEANUP(cleanup) = calloc(1, sizeof(*k));
	CLEANUP_FREE struct herd_kernel_found *f = calloc(1, sizeof(*f));
	int err;

	if (!k || !f)
		return -ENOMEM;
	err = herd_kernel_find(phys, notes, f, diag);
	if (err)
		return err;
	k->phys = phys;
	k->info = f->info;
	k->space = f->space;
	k->symbols = f->symbols;
	herd_kernel_forget(k);
	memcpy(k->facts.release, k->info.release, sizeof(k->facts.release));
	memcpy(k->facts.build_id, k->info.build_id, sizeof(k->facts.build_id));
	k->facts.phys_base = k->info.phys_base;
	k->facts.five_level = k->space.levels == 5;
	k->facts.kaslr = kaslr_of(k);
	k->facts.symbols_from = "";
	err = load(k, o, diag);
	if (err)
		return err;
	take_facts(k);
	*ret = TAKE_PTR(k);
	return 0;
}

void herd_kernel_close(struct herd_kernel *k)
{
	int saved = errno;

	if (k) {
		herd_kallsyms_destroy(k->symbols);
		herd_btf_destroy(k->types);
		herd_isf_destroy(k->isf);
	}
	free(k);
	errno = saved;
}
