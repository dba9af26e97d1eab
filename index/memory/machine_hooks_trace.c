/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Hooks that the kernel has on purpose, for tracing and live patching: live
 * ftrace_ops with the functions that they are on, kprobes, programs of BPF.
 * They are expected where their code is the kernel's own, an in-tree module's,
 * or of a BPF kind that does not look at other processes.
 */
#include "index/memory/machine_hooks.h"

#include <stdio.h>
#include <string.h>

#define NAMES_SHOWN 8u
#define NAMES_READ 4096u

/* ---- ftrace ---- */

#define OPS_MAX 4096u
#define HASH_BITS_MAX 16u

struct ftrace_types {
	struct herd_field func, next, func_hash, trampoline, trampoline_size;
	struct herd_field filter, size_bits, buckets, ip;
};
#define FTRACE(t, m, where_)                                   \
	{                                                      \
		.type = (t), .member = (m), .optional = true,  \
		.where = offsetof(struct ftrace_types, where_) \
	}

/* Names of what was found so far, and how many. */
struct names {
	struct herd_buf text;
	size_t n;
};

static void add_name(struct herd_hook_reader *h, struct names *s, uint64_t va)
{
	char place[256];
	uint64_t offset;
	const char *name;

	if (s->n++ >= NAMES_SHOWN)
		return;
	/* its place in the function, behind endbr64, says nothing */
	name = herd_kernel_name_of(h->r->k, va, &offset);
	if (!name) {
		herd_hook_place(h, va, place, sizeof(place));
		name = place;
	}
	herd_buf_printf(&s->text, "%s%s", s->text.len ? ", " : "", name);
}

static void filtered(struct herd_hook_reader *h, const struct ftrace_types *t,
		     uint64_t hash, struct names *s)
{
	struct herd_kernel *k = h->r->k;
	uint64_t bits, buckets, node, ip;

	if (herd_kernel_get(k, hash, &t->size_bits, &bits) ||
	    herd_kernel_get(k, hash, &t->buckets, &buckets) || !buckets ||
	    bits > HASH_BITS_MAX)
		return;
	for (uint64_t i = 0; i < 1ULL << bits && s->n < NAMES_READ; i++) {
		struct herd_chain c;
		uint64_t first;

		if (herd_kernel_u64(k, buckets + i * sizeof(first), &first))
			return;
		c = herd_chain_hlist(&h->mem, first, NAMES_READ);
		while (herd_chain_next(&c, &node) && s->n < NAMES_READ)
			if (!herd_kernel_get(k, node, &t->ip, &ip))
				add_name(h, s, ip);
	}
}

static int ftrace_ops(struct herd_hook_reader *h, const struct ftrace_types *t,
		      uint64_t ops)
{
	struct names names = { HERD_BUF_INIT, 0 };
	struct herd_kernel *k = h->r->k;
	uint64_t func, hashes, filter, start, len;
	int err;

	if (herd_kernel_get(k, ops, &t->func, &func))
		return 0;
	if (herd_field_there(&t->trampoline) &&
	    herd_field_there(&t->trampoline_size) &&
	    !herd_kernel_get(k, ops, &t->trampoline, &start) && start &&
	    !herd_kernel_get(k, ops, &t->trampoline_size, &len) &&
	    len < 65536) {
		err = herd_hook_code_add(h, start, len);
		if (err)
			return err;
	}
	if (!herd_kernel_get(k, ops, &t->func_hash, &hashes) && hashes &&
	    !herd_kernel_get(k, hashes, &t->filter, &filter) && filter)
		filtered(h, t, filter, &names);
	if (!names.n)
		herd_buf_printf(&names.text, "any function");
	if (names.n > NAMES_SHOWN)
		herd_buf_printf(&names.text, " and %zu more",
				names.n - NAMES_SHOWN);
	herd_buf_u8(&names.text, 0);
	err = herd_buf_error(&names.text);
	if (!err)
		err = herd_hook_add(
			h, &(struct herd_hook_draft){
				   .kind = HERD_HOOK_FTRACE,
				   .number = (uint32_t)names.n,
				   .at = ops,
				   .target = func,
				   .name = (const char *)names.text.data,
				   .expected = herd_hook_where(h, func) !=
					       HERD_HOOK_ELSEWHERE });
	herd_buf_deinit(&names.text);
	return err;
}

int herd_hooks_ftrace(struct herd_hook_reader *h)
{
	static const struct herd_wanted wanted[] = {
		FTRACE("ftrace_ops", "func", func),
		FTRACE("ftrace_ops", "next", next),
		FTRACE("ftrace_ops", "func_hash", func_hash),
		FTRACE("ftrace_ops", "trampoline", trampoline),
		FTRACE("ftrace_ops", "trampoline_size", trampoline_size),
		FTRACE("ftrace_ops_hash", "filter_hash", filter),
		FTRACE("ftrace_hash", "size_bits", size_bits),
		FTRACE("ftrace_hash", "buckets", buckets),
		FTRACE("ftrace_func_entry", "ip", ip),
	};
	struct herd_kernel *k = h->r->k;
	struct ftrace_types t;
	struct herd_chain c;
	uint64_t at, first, end, ops;
	int err = herd_kernel_fields(k, wanted, ARRAY_SIZE(wanted), &t, NULL);

	if (err)
		return err;
	for (size_t i = 0; i < ARRAY_SIZE(wanted); i++) {
		const struct herd_field *f =
			(const void *)((const char *)&t + wanted[i].where);

		if (!herd_field_there(f) && f != &t.trampoline &&
		    f != &t.trampoline_size)
			return 0;
	}
	if (herd_kernel_symbol(k, "ftrace_ops_list", &at) ||
	    herd_kernel_u64(k, at, &first) ||
	    herd_kernel_symbol(k, "ftrace_list_end", &end))
		return 0;
	c = herd_chain_hlist(&h->mem, first, OPS_MAX);
	c.link = t.next.offset;
	while (!err && herd_chain_next(&c, &ops) && ops != end)
		err = ftrace_ops(h, &t, ops);
	if (!err && c.err)
		herd_reader_problem(h->r, "list of ftrace", "it is broken off");
	return err;
}

/* ---- kprobes ---- */

#define KPROBE_BUCKETS 64u
#define KPROBES_MAX 16384u
/* Optimised ones jump from their address, or near it. */

struct kprobe_types {
	struct herd_field node, list, addr, pre, post;
	struct herd_field ret_handler, ret_entry; /* of kretprobe */
};
#define KPROBE(t, m, where_)                                   \
	{                                                      \
		.type = (t), .member = (m), .optional = true,  \
		.where = offsetof(struct kprobe_types, where_) \
	}

static int kprobe_one(struct herd_hook_reader *h, const struct kprobe_types *t,
		      uint64_t probe, uint64_t addr, bool follow);

/* An aggregate: the probes that share an address hang below it. */
static int kprobe_others(struct herd_hook_reader *h,
			 const struct kprobe_types *t, uint64_t probe,
			 uint64_t addr)
{
	struct herd_chain c =
		herd_chain_list(&h->mem, probe + t->list.offset, KPROBES_MAX);
	uint64_t node;
	int err = 0;

	while (!err && herd_chain_next(&c, &node))
		err = kprobe_one(h, t, node - t->list.offset, addr, false);
	return err;
}

static int kprobe_add(struct herd_hook_reader *h, uint64_t probe, uint64_t addr,
		      uint64_t handler)
{
	char place[256];

	if (!handler)
		return 0;
	herd_hook_place(h, addr, place, sizeof(place));
	return herd_hook_add(h,
			     &(struct herd_hook_draft){
				     .kind = HERD_HOOK_KPROBE,
				     .at = probe,
				     .target = handler,
				     .name = place,
				     .expected = herd_hook_where(h, handler) !=
						 HERD_HOOK_ELSEWHERE });
}

static int kprobe_one(struct herd_hook_reader *h, const struct kprobe_types *t,
		      uint64_t probe, uint64_t addr, bool follow)
{
	struct herd_kernel *k = h->r->k;
	uint64_t pre = 0, post = 0, handler = 0, entry = 0, offset;
	const char *name;
	int err;

	(void)herd_kernel_get(k, probe, &t->pre, &pre);
	(void)herd_kernel_get(k, probe, &t->post, &post);
	name = herd_kernel_name_of(k, pre, &offset);
	if (follow && name && !strcmp(name, "aggr_pre_handler"))
		return kprobe_others(h, t, probe, addr);
	if (name && !strcmp(name, "pre_handler_kretprobe") &&
	    herd_field_there(&t->ret_handler) &&
	    herd_field_there(&t->ret_entry)) {
		(void)herd_kernel_get(k, probe, &t->ret_handler, &handler);
		(void)herd_kernel_get(k, probe, &t->ret_entry, &entry);
		err = kprobe_add(h, probe, addr, entry);
		return err ? err : kprobe_add(h, probe, addr, handler);
	}
	err = kprobe_add(h, probe, addr, pre);
	return err ? err : kprobe_add(h, probe, addr, post);
}

int herd_hooks_kprobes(struct herd_hook_reader *h)
{
	static const struct herd_wanted wanted[] = {
		KPROBE("kprobe", "hlist", node),
		KPROBE("kprobe", "list", list),
		KPROBE("kprobe", "addr", addr),
		KPROBE("kprobe", "pre_handler", pre),
		KPROBE("kprobe", "post_handler", post),
		KPROBE("kretprobe", "handler", ret_handler),
		KPROBE("kretprobe", "entry_handler", ret_entry),
	};
	struct herd_kernel *k = h->r->k;
	uint64_t table, first, node, addr;
	size_t left = KPROBES_MAX;
	struct kprobe_types t;
	int err = herd_kernel_fields(k, wanted, ARRAY_SIZE(wanted), &t, NULL);

	if (err || !herd_field_there(&t.node) || !herd_field_there(&t.addr) ||
	    !herd_field_there(&t.pre) || !herd_field_there(&t.list) ||
	    !herd_field_there(&t.post) ||
	    herd_kernel_symbol(k, "kprobe_table", &table))
		return err;
	for (unsigned i = 0; i < KPROBE_BUCKETS && !err; i++) {
		struct herd_chain c;

		if (herd_kernel_u64(k, table + i * sizeof(first), &first))
			break;
		c = herd_chain_hlist(&h->mem, first, left);
		while (!err && herd_chain_next(&c, &node)) {
			node -= t.node.offset;
			if (herd_kernel_get(k, node, &t.addr, &addr) || !addr)
				continue;
			err = herd_seen_add(&h->probed, addr, 0, NULL);
			err = err < 0 ? err :
					kprobe_one(h, &t, node, addr, true);
		}
		if (c.err)
			herd_reader_problem(h->r, "table of kprobes",
					    "a list is broken off");
		left -= c.steps;
	}
	return err;
}

/* ---- BPF ---- */

#define PROGRAMS_MAX 65536u

struct bpf_types {
	struct herd_field idr, type, aux, func, name, attach_name;
	struct herd_field ksym_start, ksym_end, ksym_node;
};
#define BPF(t, m, where_)                                     \
	{                                                     \
		.type = (t), .member = (m), .optional = true, \
		.where = offsetof(struct bpf_types, where_)   \
	}

/* enum bpf_prog_type, which never changes. `looks`: it can see or change what
   other processes do, or what comes over the network. */
static const struct {
	const char *name;
	bool looks;
} kinds[] = {
	{ "unspecified", true },
	{ "socket filter", true },
	{ "kprobe", true },
	{ "traffic class", true },
	{ "traffic action", true },
	{ "tracepoint", true },
	{ "XDP", true },
	{ "perf event", true },
	{ "cgroup packets", false },
	{ "cgroup sockets", false },
	{ "tunnel in", true },
	{ "tunnel out", true },
	{ "tunnel transmit", true },
	{ "socket operations", true },
	{ "socket packets", true },
	{ "cgroup devices", false },
	{ "socket messages", true },
	{ "raw tracepoint", true },
	{ "cgroup addresses", false },
	{ "tunnel segments", true },
	{ "infrared", false },
	{ "reuseport", false },
	{ "flow dissector", true },
	{ "cgroup sysctl", false },
	{ "writable raw tracepoint", true },
	{ "cgroup socket options", false },
	{ "tracing", true },
	{ "operations of structs", true },
	{ "extension", true },
	{ "security module", true },
	{ "socket lookup", true },
	{ "system call", true },
	{ "netfilter", true },
};

struct bpf_reader {
	struct herd_hook_reader *h;
	struct bpf_types t;
	size_t n;
};

static int bpf_program(void *arg, uint64_t id, uint64_t count, uint64_t prog)
{
	struct bpf_reader *b = arg;
	struct herd_kernel *k = b->h->r->k;
	char name[64] = "", attach[128] = "", what[256];
	uint64_t type, aux, func = 0, at = 0;
	bool looks;

	(void)count;
	if (b->n++ >= PROGRAMS_MAX)
		return -EOVERFLOW;
	if (herd_kernel_get(k, prog, &b->t.type, &type) ||
	    herd_kernel_get(k, prog, &b->t.aux, &aux)) {
		herd_reader_problem(b->h->r, "programs of BPF",
				    "one could not be read");
		return 0;
	}
	(void)herd_kernel_get(k, prog, &b->t.func, &func);
	if (herd_kernel_string(k, aux + b->t.name.offset, name,
			       b->t.name.size < sizeof(name) ? b->t.name.size :
							       sizeof(name)))
		name[0] = 0;
	if (herd_field_there(&b->t.attach_name) &&
	    !herd_kernel_get(k, aux, &b->t.attach_name, &at) && at &&
	    herd_kernel_string(k, at, attach, sizeof(attach)))
		attach[0] = 0;
	looks = type >= ARRAY_SIZE(kinds) || kinds[type].looks;
	if (type < ARRAY_SIZE(kinds))
		snprintf(what, sizeof(what), "%s program of BPF%s%s",
			 kinds[type].name, attach[0] ? " at " : "", attach);
	else
		snprintf(what, sizeof(what), "program of BPF of type %llu",
			 (unsigned long long)type);
	return herd_hook_add(b->h,
			     &(struct herd_hook_draft){ .kind = HERD_HOOK_BPF,
							.number = (uint32_t)id,
							.at = prog,
							.target = func,
							.name = name,
							.target_name = what,
							.expected = !looks });
}

/* Where the kernel has put code of BPF: programs, trampolines, dispatchers. */
static int bpf_code(struct herd_hook_reader *h, const struct bpf_types *t)
{
	struct herd_kernel *k = h->r->k;
	uint64_t head, node, start, end;
	struct herd_chain c;
	int err = 0;

	if (!herd_field_there(&t->ksym_start) ||
	    !herd_field_there(&t->ksym_end) ||
	    !herd_field_there(&t->ksym_node) ||
	    herd_kernel_symbol(k, "bpf_kallsyms", &head))
		return 0;
	c = herd_chain_list(&h->mem, head, PROGRAMS_MAX);
	while (!err && herd_chain_next(&c, &node)) {
		node -= t->ksym_node.offset;
		if (!herd_kernel_get(k, node, &t->ksym_start, &start) &&
		    !herd_kernel_get(k, node, &t->ksym_end, &end) &&
		    end > start && end - start < 1u << 24)
			err = herd_hook_code_add(h, start, end - start);
	}
	return err;
}

int herd_hooks_bpf(struct herd_hook_reader *h)
{
	static const struct herd_wanted wanted[] = {
		BPF("idr", "idr_rt", idr),
		BPF("bpf_prog", "type", type),
		BPF("bpf_prog", "aux", aux),
		BPF("bpf_prog", "bpf_func", func),
		BPF("bpf_prog_aux", "name", name),
		BPF("bpf_prog_aux", "attach_func_name", attach_name),
		BPF("bpf_ksym", "start", ksym_start),
		BPF("bpf_ksym", "end", ksym_end),
		BPF("bpf_ksym", "lnode", ksym_node),
	};
	struct herd_xarray_types xt;
	struct bpf_reader b = { .h = h };
	struct herd_xarray x = {
		.mem = &h->mem,
		.types = &xt,
		.entry = bpf_program,
		.arg = &b,
	};
	struct herd_kernel *k = h->r->k;
	uint64_t at;
	int err = herd_kernel_fields(k, wanted, ARRAY_SIZE(wanted), &b.t, NULL);

	if (!err)
		err = bpf_code(h, &b.t);
	if (err || !herd_field_there(&b.t.idr) ||
	    !herd_field_there(&b.t.type) || !herd_field_there(&b.t.aux) ||
	    !herd_field_there(&b.t.name) || !herd_field_there(&b.t.func) ||
	    herd_kernel_symbol(k, "prog_idr", &at) ||
	    herd_xarray_types(k, &xt, NULL))
		return err;
	x.array = at + b.t.idr.offset;
	err = herd_xarray_each(&x);
	if (x.broken)
		herd_reader_problem(h->r, "programs of BPF",
				    "their table is broken off");
	return err;
}
