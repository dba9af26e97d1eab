/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where system calls lead: the tables, and x64_sys_call, which is what really
 * sends them on their way since the fixes for branch history injection (6.9,
 * and stable kernels of that time). It is a search made of comparisons and
 * jumps, which is followed here with each number in turn.
 */
#include "index/memory/machine_hooks.h"

#include <stdio.h>
#include <string.h>

/* ---- tables ---- */

#define SYSCALLS_MAX 1024u
#define DISPATCH_NUMBERS 450u /* no kernel from 5.19 on has fewer */

struct syscall_table {
	const char *symbol, *prefix; /* of the functions in it */
	bool has_metadata;
};

/* "sys_kill" of ftrace's own table, which was made at boot; "" not known. */
static void metadata_name(struct herd_hook_reader *h, unsigned number,
			  char *ret, size_t size)
{
	struct herd_kernel *k = h->r->k;
	struct herd_field name;
	uint64_t at, array, meta, text;

	ret[0] = 0;
	if (herd_kernel_symbol(k, "syscalls_metadata", &at) ||
	    herd_kernel_u64(k, at, &array) || !array ||
	    herd_kernel_field(k, "syscall_metadata", "name", &name) ||
	    herd_kernel_u64(k, array + number * sizeof(uint64_t), &meta) ||
	    !meta || herd_kernel_get(k, meta, &name, &text) ||
	    herd_kernel_string(k, text, ret, size))
		ret[0] = 0;
}

/* wanted: "sys_kill", what ftrace's table has for this number; "" not known. */
static bool is_right(struct herd_hook_reader *h, const struct syscall_table *t,
		     const char *wanted, uint64_t target)
{
	uint64_t offset, at;
	const char *name;
	char full[96];

	if (herd_hook_where(h, target) != HERD_HOOK_IN_KERNEL)
		return false;
	name = herd_kernel_name_of(h->r->k, target, &offset);
	/* "__x64_sys_kill", or of what has no arguments "__ia32_sys_getpid" */
	name = name && !offset ? strstr(name, "sys_") : NULL;
	if (!name)
		return false;
	if (!wanted[0] || !strcmp(wanted, name))
		return true;
	snprintf(full, sizeof(full), "%s%s", t->prefix, wanted);
	return !herd_kernel_symbol(h->r->k, full, &at) && at == target;
}

/* The entry of the function that a number should lead to, also when it leads
   to another one. */
static int right_entry(struct herd_hook_reader *h,
		       const struct syscall_table *t, const char *wanted)
{
	char full[96];
	uint64_t at;

	snprintf(full, sizeof(full), "%s%s", t->prefix, wanted);
	if (!wanted[0] || herd_kernel_symbol(h->r->k, full, &at))
		return 0;
	return herd_hooks_entry(h, at, NULL);
}

static int syscall_table(struct herd_hook_reader *h,
			 const struct syscall_table *t)
{
	uint64_t table, target, offset;
	int err = 0;

	if (herd_kernel_symbol(h->r->k, t->symbol, &table))
		return 0;
	for (unsigned i = 0; i < SYSCALLS_MAX && !err; i++) {
		uint64_t at = table + i * sizeof(uint64_t);
		const char *owner = herd_kernel_name_of(h->r->k, at, &offset);
		char name[64], wanted[64] = "";

		if (!owner || strcmp(owner, t->symbol) ||
		    herd_kernel_u64(h->r->k, at, &target) || !target)
			break;
		if (t->has_metadata)
			metadata_name(h, i, wanted, sizeof(wanted));
		if (is_right(h, t, wanted, target)) {
			err = herd_hooks_entry(h, target, NULL);
			continue;
		}
		snprintf(name, sizeof(name), "%s[%u]", t->symbol, i);
		err = right_entry(h, t, wanted);
		if (!err)
			err = herd_hook_add(h,
					    &(struct herd_hook_draft){
						    .kind = HERD_HOOK_SYSCALL,
						    .number = i,
						    .at = at,
						    .target = target,
						    .name = name });
	}
	return err;
}

/* ---- x64_sys_call ---- */

#define DISPATCH_BYTES 16384u
#define STEPS_MAX 256u

struct dispatch {
	struct herd_hook_reader *h;
	uint64_t start;
	size_t size;
	uint8_t code[DISPATCH_BYTES + 16]; /* zeros behind its end */
};

static int32_t signed_at(const uint8_t *p, unsigned bytes)
{
	int32_t v;

	if (bytes == 1)
		return (int8_t)p[0];
	memcpy(&v, p, sizeof(v));
	return v;
}

/* cmp with %esi or %eax, test of itself: what stands on the right side. Returns
   how long it is; 0: another instruction. */
static size_t compares(const uint8_t *p, uint32_t *ret)
{
	if (p[0] == 0x81 && (p[1] == 0xfe || p[1] == 0xf8)) {
		*ret = (uint32_t)signed_at(p + 2, 4);
		return 6;
	}
	if (p[0] == 0x83 && (p[1] == 0xfe || p[1] == 0xf8)) {
		*ret = (uint32_t)signed_at(p + 2, 1);
		return 3;
	}
	if (p[0] == 0x3d) {
		*ret = (uint32_t)signed_at(p + 1, 4);
		return 5;
	}
	if (p[0] == 0x85 && (p[1] == 0xf6 || p[1] == 0xc0)) {
		*ret = 0;
		return 2;
	}
	return 0;
}

/* Whether jump `condition` (the low four bits) is taken after comparing two
   numbers; -1: a condition that comparisons of numbers do not have. */
static int taken(unsigned condition, uint32_t left, uint32_t right)
{
	bool below = left < right, equal = left == right;
	bool less = (int32_t)left < (int32_t)right, yes;

	switch (condition >> 1) {
	case 1:
		yes = below;
		break;
	case 2:
		yes = equal;
		break;
	case 3:
		yes = below || equal;
		break;
	case 6:
		yes = less;
		break;
	case 7:
		yes = less || equal;
		break;
	default:
		return -1;
	}
	return yes != (condition & 1);
}

/* A branch at p: its length, 0 none; where it leads; whether it is taken. */
static size_t branch(const uint8_t *p, uint64_t va, uint32_t left,
		     uint32_t right, uint64_t *ret_to, int *ret_taken)
{
	size_t n = p[0] == 0xeb || (p[0] & 0xf0) == 0x70 ? 2 :
		   p[0] == 0xe9				 ? 5 :
		   p[0] == 0x0f && (p[1] & 0xf0) == 0x80 ? 6 :
							   0;

	if (!n)
		return 0;
	*ret_to = va + n +
		  (uint64_t)(int64_t)signed_at(p + (n == 2 ? 1 : n - 4),
					       n == 2 ? 1 : 4);
	*ret_taken = p[0] == 0xeb || p[0] == 0xe9 ?
			     1 :
			     taken((n == 2 ? p[0] : p[1]) & 15, left, right);
	return n;
}

/* Where x64_sys_call leads for a number; 0: it cannot be followed. */
static uint64_t dispatched(const struct dispatch *d, uint32_t number)
{
	uint32_t right = 0;
	size_t at = 0, n;

	for (unsigned step = 0; step < STEPS_MAX && at < d->size; step++) {
		const uint8_t *p = d->code + at;
		uint64_t to;
		int yes;

		n = herd_hook_nothing(p);
		if (!n)
			n = compares(p, &right);
		if (!n) {
			n = branch(p, d->start + at, number, right, &to, &yes);
			if (n && yes < 0)
				return 0;
			if (n && yes) {
				if (to - d->start >= d->size)
					return to;
				at = to - d->start;
				continue;
			}
		}
		if (!n && p[0] == 0xe8) {
			to = d->start + at + 5 +
			     (uint64_t)(int64_t)signed_at(p + 1, 4);
			if (at > 8) /* at its entry it is ftrace's */
				return to;
			n = 5;
		}
		if (!n)
			return 0;
		at += n;
	}
	return 0;
}

static bool read_dispatch(struct dispatch *d)
{
	struct herd_kernel *k = d->h->r->k;
	const char *name;
	uint64_t offset;

	if (herd_kernel_symbol(k, "x64_sys_call", &d->start))
		return false;
	for (d->size = 16; d->size < DISPATCH_BYTES; d->size += 16) {
		name = herd_kernel_name_of(k, d->start + d->size, &offset);
		if (!name || strcmp(name, "x64_sys_call"))
			break;
	}
	return !herd_kernel_read(k, d->start, d->code, d->size);
}

static int dispatch(struct herd_hook_reader *h)
{
	static const struct syscall_table table = { "x64_sys_call", "__x64_",
						    true };
	CLEANUP_FREE struct dispatch *d = calloc(1, sizeof(*d));
	unsigned followed = 0;
	int err = 0;

	if (!d)
		return -ENOMEM;
	d->h = h;
	if (!read_dispatch(d))
		return 0;
	for (unsigned i = 0; i < DISPATCH_NUMBERS; i++)
		followed += dispatched(d, i) != 0;
	if (followed < DISPATCH_NUMBERS * 9 / 10)
		return 0; /* made in a way that is not known here */
	for (unsigned i = 0; i < DISPATCH_NUMBERS && !err; i++) {
		uint64_t target = dispatched(d, i);
		char name[64], wanted[64];

		metadata_name(h, i, wanted, sizeof(wanted));
		if (!wanted[0] || is_right(h, &table, wanted, target))
			continue;
		snprintf(name, sizeof(name), "x64_sys_call(%u)", i);
		err = herd_hook_add(
			h, &(struct herd_hook_draft){
				   .kind = HERD_HOOK_SYSCALL,
				   .number = i,
				   .at = d->start,
				   .target = target,
				   .name = name,
				   .target_name = target ? NULL :
							   "written over" });
	}
	return err;
}

int herd_hooks_syscalls(struct herd_hook_reader *h)
{
	static const struct syscall_table tables[] = {
		{ "sys_call_table", "__x64_", true },
		{ "ia32_sys_call_table", "__ia32_", false },
		{ "x32_sys_call_table", "__x64_", false },
	};
	int err = 0;

	for (size_t i = 0; i < ARRAY_SIZE(tables) && !err; i++)
		err = syscall_table(h, &tables[i]);
	return err ? err : dispatch(h);
}
