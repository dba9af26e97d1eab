/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Places at which the kernel can be made to do something else, and where they
 * lead. What every kernel has is `expected`; tables and operations that are as
 * they should be are not listed at all.
 *
 * The kernel's text is not compared as a whole: it is written to at boot and
 * later (alternatives, static calls, jump labels, ftrace), each processor and
 * each boot in its own way, and the image on the disk has none of it. So the
 * entries of functions are looked at where a hook would be put.
 */
#include "index/memory/machine_hooks.h"
#include "index/memory/machine_modules.h"

#include <stdio.h>
#include <string.h>

#define CODE_MAX 65536u

static const struct herd_module *module_at(const struct herd_hook_reader *h,
					   uint64_t va)
{
	const struct herd_machine *m = h->r->m;

	for (size_t i = 0; i < m->n_modules; i++)
		if (va - m->modules[i].base < m->modules[i].size)
			return &m->modules[i];
	return NULL;
}

enum herd_hook_where herd_hook_where(const struct herd_hook_reader *h,
				     uint64_t va)
{
	const uint32_t unread = h->r->m->unread;
	const struct herd_module *m;

	if (va >= h->text_start && va < h->text_end)
		return HERD_HOOK_IN_KERNEL;
	m = module_at(h, va);
	if (m)
		return (m->seen & HERD_MODULE_LIST ||
			unread & HERD_UNREAD_MODULES) &&
				       !(m->taints & h->alien) ?
			       HERD_HOOK_IN_MODULE :
			       HERD_HOOK_ELSEWHERE;
	for (size_t i = 0; i < h->n_code; i++)
		if (va >= h->code[i].start && va < h->code[i].end)
			return HERD_HOOK_IN_CODE;
	return unread & HERD_UNREAD_MODULE_MEMORY && va >= HERD_MODULES_START &&
			       va < HERD_MODULES_END ?
		       HERD_HOOK_IN_UNREAD :
		       HERD_HOOK_ELSEWHERE;
}

bool herd_hook_is_own(struct herd_hook_reader *h, uint64_t from, uint64_t to)
{
	enum herd_hook_where where = herd_hook_where(h, to);
	uint64_t offset;

	if (where == HERD_HOOK_IN_KERNEL)
		return true;
	if (herd_hook_where(h, from) == HERD_HOOK_IN_KERNEL)
		return to >= h->init_start && to < h->init_end &&
		       herd_kernel_name_of(h->r->k, to, &offset) && !offset;
	if (herd_hook_where(h, from) == HERD_HOOK_IN_UNREAD)
		return true; /* of whom it is, nobody knows */
	/* static calls of one module lead into another */
	return module_at(h, from) &&
	       (where == HERD_HOOK_IN_MODULE || where == HERD_HOOK_IN_UNREAD ||
		module_at(h, from) == module_at(h, to));
}

void herd_hook_place(struct herd_hook_reader *h, uint64_t va, char *ret,
		     size_t size)
{
	const struct herd_module *m;
	const char *name;
	uint64_t offset;

	name = herd_kernel_name_of(h->r->k, va, &offset);
	if (name && offset)
		snprintf(ret, size, "%s+0x%llx", name,
			 (unsigned long long)offset);
	else if (name)
		snprintf(ret, size, "%s", name);
	if (name)
		return;
	m = module_at(h, va);
	if (m)
		snprintf(ret, size, "%s+0x%llx [module]", m->name,
			 (unsigned long long)(va - m->base));
	else if (herd_hook_where(h, va) == HERD_HOOK_IN_CODE)
		snprintf(ret, size, "a trampoline or program of BPF");
	else if (herd_hook_where(h, va) == HERD_HOOK_IN_UNREAD)
		snprintf(ret, size, "where a module may be: not in the image");
	else
		snprintf(ret, size, HERD_HOOK_NOWHERE);
}

int herd_hook_add(struct herd_hook_reader *h, const struct herd_hook_draft *d)
{
	struct herd_machine *m = h->r->m;
	struct herd_hook n = {
		.kind = d->kind,
		.number = d->number,
		.at = d->at,
		.target = d->target,
		.expected = d->expected,
	};
	void *v = m->hooks;
	char place[256];
	int err;

	err = herd_reader_grow(&v, m->n_hooks, &h->r->cap_hooks,
			       sizeof(*m->hooks), HERD_HOOKS_MAX);
	m->hooks = v;
	if (err)
		return err;
	if (d->kind != HERD_HOOK_SYSCALL && d->kind != HERD_HOOK_IDT &&
	    herd_hook_where(h, d->target) == HERD_HOOK_IN_UNREAD) {
		n.expected = true;
		h->r->unread_hooks++;
	}
	if (!d->target_name)
		herd_hook_place(h, d->target, place, sizeof(place));
	n.name = strdup(d->name);
	n.target_name = strdup(d->target_name ? d->target_name : place);
	if (!n.name || !n.target_name) {
		free(n.name);
		free(n.target_name);
		return -ENOMEM;
	}
	m->hooks[m->n_hooks++] = n;
	return 0;
}

int herd_hook_code_add(struct herd_hook_reader *h, uint64_t start, uint64_t len)
{
	void *v = h->code;
	int err = herd_reader_grow(&v, h->n_code, &h->cap_code,
				   sizeof(*h->code), CODE_MAX);

	h->code = v;
	if (!err)
		h->code[h->n_code++] =
			(struct herd_hook_code){ start, start + len };
	return err;
}

/* ---- interrupts ---- */

#define GATES 256u
#define GATE_BYTES 16u

static int idt_place(struct herd_hook_reader *h, uint64_t table)
{
	struct herd_kernel *k = h->r->k;
	struct herd_mapping used, own;
	uint64_t descr, address;

	/* What the processors were given is a read-only alias of the table. */
	if (herd_kernel_symbol(k, "idt_descr", &descr) ||
	    herd_kernel_u64(k, descr + 2, &address) || address == table)
		return 0;
	herd_space_look(herd_kernel_phys(k), herd_kernel_space(k), address,
			&used);
	herd_space_look(herd_kernel_phys(k), herd_kernel_space(k), table, &own);
	if (used.state != HERD_PAGE_PRESENT || used.phys == own.phys)
		return 0;
	return herd_hook_add(
		h, &(struct herd_hook_draft){
			   .kind = HERD_HOOK_IDT,
			   .number = GATES,
			   .at = descr + 2,
			   .target = address,
			   .name = "idt_descr",
			   .target_name = "another table than the kernel's" });
}

/* Exceptions that nothing handles keep what was there at boot, in text that is
   freed since. */
static bool is_early(struct herd_hook_reader *h, unsigned gate, uint64_t target)
{
	uint64_t offset;
	const char *name = herd_kernel_name_of(h->r->k, target, &offset);

	return gate < 32 && name && !strcmp(name, "early_idt_handler_array");
}

int herd_hooks_idt(struct herd_hook_reader *h)
{
	uint8_t gates[GATES * GATE_BYTES];
	uint64_t table;
	int err = 0;

	if (herd_kernel_symbol(h->r->k, "idt_table", &table) ||
	    herd_kernel_read(h->r->k, table, gates, sizeof(gates)))
		return 0;
	for (unsigned i = 0; i < GATES && !err; i++) {
		const uint8_t *g = gates + i * GATE_BYTES;
		uint64_t target = (uint64_t)g[11] << 56 |
				  (uint64_t)g[10] << 48 | (uint64_t)g[9] << 40 |
				  (uint64_t)g[8] << 32 | (uint64_t)g[7] << 24 |
				  (uint64_t)g[6] << 16 | (uint64_t)g[1] << 8 |
				  g[0];
		char name[32];

		if (!(g[5] & 0x80) || /* not present */
		    herd_hook_where(h, target) == HERD_HOOK_IN_KERNEL ||
		    is_early(h, i, target))
			continue;
		snprintf(name, sizeof(name), "interrupt %u", i);
		err = herd_hook_add(h, &(struct herd_hook_draft){
					       .kind = HERD_HOOK_IDT,
					       .number = i,
					       .at = table + i * GATE_BYTES,
					       .target = target,
					       .name = name });
	}
	return err ? err : idt_place(h, table);
}

/* ---- all ---- */

static void hook_reader_deinit(struct herd_hook_reader *h)
{
	herd_seen_deinit(&h->probed);
	herd_seen_deinit(&h->entries);
	free(h->code);
}

int herd_reader_hooks(struct herd_reader *r, struct herd_diag *diag)
{
	static int (*const kinds[])(struct herd_hook_reader *) = {
		herd_hooks_bpf,	  herd_hooks_ftrace,   herd_hooks_kprobes,
		herd_hooks_idt,	  herd_hooks_syscalls, herd_hooks_ops,
		herd_hooks_lists, herd_hooks_proc,     herd_hooks_text,
	};
	CLEANUP(hook_reader_deinit)
	struct herd_hook_reader h = {
		.r = r,
		.mem = herd_walk_kernel(r->k),
		.alien = HERD_TAINT_FORCED | HERD_TAINT_OUT_OF_TREE |
			 (herd_modules_are_unsigned(r->m) ?
				  0 :
				  HERD_TAINT_UNSIGNED),
	};
	int err = 0;

	if (herd_kernel_symbol(r->k, "_stext", &h.text_start) ||
	    herd_kernel_symbol(r->k, "_etext", &h.text_end) ||
	    h.text_end <= h.text_start)
		return herd_diag_set(
			diag, -EOPNOTSUPP, "", HERD_NO_OFFSET,
			"where the kernel's text is, is not known");
	if (herd_kernel_symbol(r->k, "_sinittext", &h.init_start) ||
	    herd_kernel_symbol(r->k, "_einittext", &h.init_end))
		h.init_start = h.init_end = 0;
	for (size_t i = 0; i < ARRAY_SIZE(kinds) && !err; i++)
		err = kinds[i](&h);
	if (err == -EOVERFLOW) {
		herd_reader_problem(r, "hooks",
				    "more than %u: the rest was "
				    "left out",
				    HERD_HOOKS_MAX);
		return 0;
	}
	return err;
}
