/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What an image of memory says of its kernel, for people and for tests:
 *
 *   kernel_facts IMAGE                      facts
 *   kernel_facts IMAGE symbols              all: address, type, name
 *   kernel_facts IMAGE types                all structs' members, flat
 *   kernel_facts IMAGE ask                  each line of stdin as a WORD
 *   kernel_facts IMAGE WORD…                a symbol, a type ("task_struct"),
 *                                           a member ("task_struct.comm"), an
 *                                           enumerator, an address (0x…), a
 *                                           key of VMCOREINFO ("NUMBER(…)")
 *   kernel_facts IMAGE look VA [PGD]        an address through the tables
 *   kernel_facts IMAGE hex VA LEN           bytes
 *
 * ISF=FILE-OR-FOLDER names symbol files, FORMAT the container's form.
 */
#include "acquire/base/cleanup.h"
#include "index/memory/kernel_internal.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static struct herd_btf *types_of(struct herd_kernel *k)
{
	return k->types ? k->types : herd_isf_types(k->isf);
}

static void print_facts(struct herd_kernel *k, double took)
{
	const struct herd_kernel_facts *f = herd_kernel_facts(k);

	printf("release %s\nbanner %s\nbuild-id %s\n", f->release, f->banner,
	       f->build_id);
	printf("phys_base %#" PRIx64 "\nkaslr %#" PRIx64 "\n", f->phys_base,
	       (uint64_t)f->kaslr);
	printf("page_offset %#" PRIx64 "\nvmemmap %#" PRIx64 "\n",
	       f->page_offset, f->vmemmap);
	printf("levels %d\nbtf %d\nsymbols from %s\n", f->five_level ? 5 : 4,
	       f->has_btf, f->symbols_from);
	printf("cpus %u\npgd %#" PRIx64 "\nsymbols %zu\ntypes %zu\n",
	       herd_kernel_cpus(k), k->space.pgd,
	       k->symbols ? herd_kallsyms_count(k->symbols) : 0,
	       herd_btf_count(types_of(k)));
	fprintf(stderr, "opened in %.1f ms, %.1f MB read\n", took * 1e3,
		(double)herd_phys_source(k->phys)->bytes_read / 1e6);
}

static void print_symbols(const struct herd_kernel *k)
{
	for (size_t i = 0; k->symbols && i < herd_kallsyms_count(k->symbols);
	     i++) {
		char name[HERD_KSYM_NAME_MAX], type;

		herd_kallsyms_name(k->symbols, i, name, &type);
		printf("%016" PRIx64 " %c %s\n",
		       herd_kallsyms_address(k->symbols, i), type, name);
	}
}

static void print_types(struct herd_kernel *k)
{
	const struct herd_btf *b = types_of(k);

	for (uint32_t id = 1; id <= herd_btf_count(b); id++) {
		enum herd_btf_kind kind = herd_btf_kind(b, id);
		const char *name;
		struct herd_field f;
		uint32_t size;

		if (kind != HERD_BTF_STRUCT && kind != HERD_BTF_UNION)
			continue;
		if (herd_btf_size(b, id, &size))
			continue;
		printf("%s %s %u\n",
		       kind == HERD_BTF_STRUCT ? "struct" : "union",
		       herd_btf_name(b, id), size);
		for (uint32_t i = 0; herd_btf_member(b, id, i, &name, &f); i++)
			printf("  %s %u %u %u %u\n", *name ? name : "-",
			       f.offset, f.size, f.bit, f.bits);
	}
}

static void print_look(struct herd_kernel *k, uint64_t va, uint64_t pgd)
{
	struct herd_space s = *herd_kernel_space(k);
	static const char *const states[] = { "none",	   "present",
					      "protnone",  "swapped",
					      "migrating", "missing" };
	struct herd_mapping m;

	if (pgd)
		s.pgd = pgd;
	herd_space_look(k->phys, &s, va, &m);
	printf("%#" PRIx64 ": %s phys %#" PRIx64 " left %#" PRIx64
	       " shift %u%s%s%s%s%s entry %#" PRIx64 " swap %u:%" PRIu64 "\n",
	       va, states[m.state], m.phys, m.left, m.shift,
	       m.write ? " write" : "", m.user ? " user" : "",
	       m.noexec ? " nx" : "", m.dirty ? " dirty" : "",
	       m.accessed ? " accessed" : "", m.entry, m.swap_type,
	       m.swap_offset);
}

static void print_hex(struct herd_kernel *k, uint64_t va, uint64_t len)
{
	for (uint64_t i = 0; i < len; i++) {
		uint8_t b;

		if (i % 16 == 0)
			printf("%s%016" PRIx64 ":", i ? "\n" : "", va + i);
		if (herd_kernel_u8(k, va + i, &b))
			printf(" --");
		else
			printf(" %02x", b);
	}
	printf("\n");
}

static void print_word(struct herd_kernel *k, const char *word)
{
	char text[512];
	struct herd_field f;
	uint64_t va, off;
	uint32_t size;
	int64_t n;

	snprintf(text, sizeof(text), "%s", word);
	char *dot = strchr(text, '.');

	if (!strncmp(word, "0x", 2)) {
		va = strtoull(word, NULL, 16);
		const char *name = herd_kernel_name_of(k, va, &off);

		printf("%s %s+%#" PRIx64 "\n", word, name ? name : "none",
		       name ? off : 0);
		return;
	}
	if (!herd_kernel_symbol(k, word, &va))
		printf("%s symbol %#" PRIx64 "\n", word, va);
	if (!herd_kernel_sizeof(k, word, &size))
		printf("%s size %u\n", word, size);
	if (!herd_kernel_enumerator(k, word, &n))
		printf("%s enumerator %" PRId64 "\n", word, n);
	if (!herd_kernel_vmcoreinfo(k, word, &n))
		printf("%s vmcoreinfo %" PRId64 "\n", word, n);
	if (dot)
		*dot = '\0';
	if (dot && !herd_kernel_field(k, text, dot + 1, &f))
		printf("%s offset %u size %u bit %u bits %u\n", word, f.offset,
		       f.size, f.bit, f.bits);
}

static void print_asked(struct herd_kernel *k)
{
	char line[512];

	while (fgets(line, sizeof(line), stdin)) {
		line[strcspn(line, "\n")] = '\0';
		print_word(k, line);
	}
}

static void print(struct herd_kernel *k, int argc, char **argv, double took)
{
	if (!argc)
		print_facts(k, took);
	else if (!strcmp(argv[0], "symbols"))
		print_symbols(k);
	else if (!strcmp(argv[0], "types"))
		print_types(k);
	else if (!strcmp(argv[0], "ask"))
		print_asked(k);
	else if (!strcmp(argv[0], "look") && argc > 1)
		print_look(k, strtoull(argv[1], NULL, 16),
			   argc > 2 ? strtoull(argv[2], NULL, 16) : 0);
	else if (!strcmp(argv[0], "hex") && argc > 2)
		print_hex(k, strtoull(argv[1], NULL, 16),
			  strtoull(argv[2], NULL, 0));
	else
		for (int i = 0; i < argc; i++)
			print_word(k, argv[i]);
}

int main(int argc, char **argv)
{
	struct herd_image img CLEANUP(herd_image_deinit) = { 0 };
	struct herd_source *s = NULL;
	struct herd_phys *p = NULL;
	struct herd_kernel *k = NULL;
	struct herd_kernel_options o = { getenv("ISF") };
	struct herd_diag diag;
	char text[1024];
	int err;

	if (argc < 2) {
		fprintf(stderr, "usage: %s IMAGE [WHAT…]\n", argv[0]);
		return 2;
	}
	herd_diag_clear(&diag);
	err = herd_memory_probe(argv[1], getenv("FORMAT"), &img, &diag);
	if (!err)
		err = herd_memory_open(&img, NULL, &s, &diag);
	double before = now();

	if (!err)
		err = herd_phys_create(s, &p);
	if (!err)
		err = herd_kernel_open(p, herd_memory_notes(s), &o, &k, &diag);
	if (err) {
		fprintf(stderr, "kernel_facts: %s (%.1f ms)\n",
			herd_diag_format(&diag, err, text, sizeof(text)),
			(now() - before) * 1e3);
	} else {
		print(k, argc - 2, argv + 2, now() - before);
	}
	herd_kernel_close(k);
	herd_phys_destroy(p);
	herd_source_destroy(s);
	return err != 0;
}
