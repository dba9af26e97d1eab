/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Symbols of a symbol file, by name and by address, and the banner.
 */
#include "index/memory/isf_impl.h"

#include <string.h>

#define SYMBOLS_MAX (1u << 21)

const char *herd_isf_banner(const struct herd_isf *f)
{
	return f->banner;
}

static void decode_banner(struct herd_isf *f, const char *base64)
{
	static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
				     "abcdefghijklmnopqrstuvwxyz0123456789+/";
	uint32_t bits = 0;
	size_t n = 0;

	for (unsigned i = 0; base64[i] && n + 1 < sizeof(f->banner); i++) {
		const char *at = strchr(digits, base64[i]);

		if (!at)
			break;
		bits = bits << 6 | (uint32_t)(at - digits);
		if (i % 4)
			f->banner[n++] = (char)(bits >> (6 - 2 * (i % 4)));
	}
	f->banner[n] = '\0';
	f->banner[strcspn(f->banner, "\n")] = '\0';
	herd_text_clean(f->banner);
}

void herd_isf_take_symbol(struct herd_isf *f, struct herd_js *j,
			  const char *name)
{
	bool banner = !strcmp(name, "linux_banner");
	char key[16], data[HERD_ISF_BANNER_MAX * 4 / 3 + 8];
	int64_t address = 0;

	if (!herd_js_object(j))
		return;
	while (herd_js_key(j, key, sizeof(key))) {
		if (!strcmp(key, "address")) {
			herd_js_int(j, &address);
		} else if (banner && !strcmp(key, "constant_data")) {
			if (herd_js_string(j, data, sizeof(data)))
				decode_banner(f, data);
		} else {
			herd_js_skip(j);
		}
	}
	if (!herd_isf_room(f, (void **)&f->symbols, f->n_symbols,
			   &f->cap_symbols, sizeof(*f->symbols), SYMBOLS_MAX))
		return;
	f->symbols[f->n_symbols].name = herd_isf_intern(f, name);
	f->symbols[f->n_symbols++].address = (uint64_t)address;
}

static int compare_symbols(const void *a, const void *b)
{
	const struct herd_isf_named *x = a, *y = b;

	if (x->address != y->address)
		return x->address < y->address ? -1 : 1;
	return strcmp(x->name, y->name);
}

static int sort_symbols(struct herd_isf *f)
{
	f->sorted = calloc(f->n_symbols + 1, sizeof(*f->sorted));
	if (!f->sorted)
		return -ENOMEM;
	for (size_t i = 0; i < f->n_symbols; i++) {
		f->sorted[i].address = f->symbols[i].address;
		f->sorted[i].name = herd_isf_string(f, f->symbols[i].name);
	}
	qsort(f->sorted, f->n_symbols, sizeof(*f->sorted), compare_symbols);
	return 0;
}

const char *herd_isf_symbol_at(const struct herd_isf *f, uint64_t linked,
			       uint64_t *ret)
{
	size_t low = 0, high = f->n_symbols;

	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (f->sorted[mid].address <= linked)
			low = mid + 1;
		else
			high = mid;
	}
	if (!low--)
		return NULL;
	while (low && f->sorted[low - 1].address == f->sorted[low].address)
		low--;
	*ret = f->sorted[low].address;
	return f->sorted[low].name;
}

static int index_symbols(struct herd_isf *f)
{
	uint32_t slots = 1024;

	while (slots < f->n_symbols * 2)
		slots *= 2;
	f->symbol_slots = calloc(slots, 4);
	if (!f->symbol_slots)
		return -ENOMEM;
	f->symbol_mask = slots - 1;
	for (uint32_t i = 0; i < f->n_symbols; i++) {
		uint32_t slot =
			herd_isf_hash(herd_isf_string(f, f->symbols[i].name),
				      0) &
			f->symbol_mask;

		for (unsigned n = 0; f->symbol_slots[slot]; n++) {
			if (n == HERD_ISF_PROBES_MAX)
				return -EOVERFLOW;
			slot = (slot + 1) & f->symbol_mask;
		}
		f->symbol_slots[slot] = i + 1;
	}
	return 0;
}

int herd_isf_symbol(const struct herd_isf *f, const char *name, uint64_t *ret)
{
	for (uint32_t slot = herd_isf_hash(name, 0) & f->symbol_mask;
	     f->symbol_slots[slot]; slot = (slot + 1) & f->symbol_mask) {
		const struct herd_isf_symbol *s =
			&f->symbols[f->symbol_slots[slot] - 1];

		if (!strcmp(herd_isf_string(f, s->name), name)) {
			*ret = s->address;
			return 0;
		}
	}
	return -ENOENT;
}

int herd_isf_index_symbols(struct herd_isf *f)
{
	int err = index_symbols(f);

	return err ? err : sort_symbols(f);
}
