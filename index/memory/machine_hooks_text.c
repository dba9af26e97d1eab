/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The first instructions of functions, where hooks are put: all that ftrace can
 * trace (it has a record of each, in the kernel and in modules), all system
 * calls, and a list of others. What the kernel writes there itself is let pass:
 * a nop or a call of ftrace's trampolines or BPF's, the breakpoint or jump of a
 * kprobe. Anything else that leaves the kernel's text is a hook.
 */
#include "index/memory/machine_hooks.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ENTRY_BYTES 32u
#define PROBE_REACH 16u /* bytes of a function in which a kprobe's jump is */

static uint64_t le(const uint8_t *p, unsigned n)
{
	uint64_t v = 0;

	for (unsigned i = 0; i < n; i++)
		v |= (uint64_t)p[i] << (8 * i);
	return v;
}

static uint64_t relative(const uint8_t *p, uint64_t after)
{
	return after + (uint64_t)(int64_t)(int32_t)le(p, 4);
}

size_t herd_hook_nothing(const uint8_t *p)
{
	size_t n = 0;
	unsigned mod, rm;

	if (!memcmp(p, "\xf3\x0f\x1e\xfa", 4))
		return 4;
	while (n < 4 && p[n] == 0x66)
		n++;
	if (p[n] == 0x90)
		return n + 1;
	if (p[n] != 0x0f || p[n + 1] != 0x1f)
		return 0;
	mod = p[n + 2] >> 6;
	rm = p[n + 2] & 7;
	n += 3;
	if (mod == 3)
		return n;
	if (mod == 2 || (!mod && rm == 5))
		n += 4;
	return n + (mod == 1) + (rm == 4);
}

/* mov of 64 bits into a register, then a jump or call there, or push and ret. */
static bool by_register(const uint8_t *p)
{
	unsigned reg = p[1] & 7, high = p[0] & 1;
	const uint8_t *q = p + 10;

	if ((p[0] & 0xfe) != 0x48 || (p[1] & 0xf8) != 0xb8)
		return false;
	if (high && *q++ != 0x41)
		return false;
	if (q[0] == 0xff)
		return q[1] == (0xe0 | reg) || q[1] == (0xd0 | reg);
	return q[0] == (0x50 | reg) && q[1] == 0xc3;
}

/* Whither an unconditional jump at p leads; false: there is none. */
static bool jump(const struct herd_hook_reader *h, const uint8_t *p,
		 uint64_t va, uint64_t *ret)
{
	if (p[0] == 0xe9)
		*ret = relative(p + 1, va + 5);
	else if (p[0] == 0xff && p[1] == 0x25) /* through memory */
		return !herd_kernel_u64(h->r->k, relative(p + 2, va + 6), ret);
	else if (p[0] == 0x68 && p[5] == 0xc3) /* push, ret */
		*ret = (uint64_t)(int64_t)(int32_t)le(p + 1, 4);
	else if (by_register(p))
		*ret = le(p + 2, 8);
	else if (p[0] == 0xcc)
		*ret = 0;
	else
		return false;
	return true;
}

static bool is_probed(const struct herd_hook_reader *h, uint64_t function)
{
	for (uint64_t i = 0; i < PROBE_REACH; i++)
		if (herd_seen_has(&h->probed, function + i, NULL))
			return true;
	return false;
}

/* `code`: the bytes at `function`, ENTRY_BYTES and as many zeros. */
static bool is_hooked(struct herd_hook_reader *h, const uint8_t *code,
		      uint64_t function, size_t *ret_at, uint64_t *ret_target)
{
	size_t at = 0, n;

	*ret_target = 0;
	while (at < ENTRY_BYTES / 2) {
		n = herd_hook_nothing(code + at);
		*ret_at = at;
		if (!n && code[at] == 0xe8) {
			*ret_target =
				relative(code + at + 1, function + at + 5);
			if (!herd_hook_is_own(h, function, *ret_target) &&
			    herd_hook_where(h, *ret_target) !=
				    HERD_HOOK_IN_CODE)
				return true;
			n = 5;
		}
		if (!n)
			break;
		at += n;
	}
	*ret_at = at;
	return jump(h, code + at, function + at, ret_target) &&
	       !herd_hook_is_own(h, function, *ret_target);
}

static int add_entry(struct herd_hook_reader *h, uint64_t function, size_t at,
		     uint64_t target, const char *name, const char *what)
{
	char place[256];
	int err;

	if (is_probed(h, function))
		return 0;
	err = herd_seen_add(&h->entries, function + at, 0, NULL);
	if (err)
		return err < 0 ? err : 0;
	if (!name) {
		uint64_t offset;

		name = herd_kernel_name_of(h->r->k, function, &offset);
		if (!name)
			herd_hook_place(h, function, place, sizeof(place));
		else
			snprintf(place, sizeof(place), "%s", name);
		name = place;
	}
	return herd_hook_add(h, &(struct herd_hook_draft){
					.kind = HERD_HOOK_TEXT,
					.number = (uint32_t)at,
					.at = function + at,
					.target = target,
					.name = name,
					.target_name = target ? NULL : what });
}

int herd_hooks_entry(struct herd_hook_reader *h, uint64_t function,
		     const char *name)
{
	uint8_t code[2 * ENTRY_BYTES] = { 0 };
	uint64_t target;
	size_t at;

	if (herd_kernel_read(h->r->k, function, code, ENTRY_BYTES) ||
	    !is_hooked(h, code, function, &at, &target))
		return 0;
	return add_entry(h, function, at, target, name, "a breakpoint");
}

/* ---- all functions that can be traced ---- */

#define TRACED_MAX (1u << 20)
#define TRACED_PAGES_MAX 65536u
#define RECORDS_AT_ONCE 128u

struct traced_types {
	struct herd_field next, records, index; /* ftrace_page */
	struct herd_field ip;			/* dyn_ftrace */
	uint32_t stride;
};

struct traced {
	struct herd_hook_reader *h;
	struct traced_types t;
	uint64_t page; /* of text that is in bytes; 0: none */
	bool there;
	uint8_t bytes[HERD_PAGE];
	size_t left;
};

/* Bytes of the text, which is gone through by address. */
static bool text_at(struct traced *t, uint64_t va, uint8_t *to, size_t len)
{
	uint64_t page = va & ~(uint64_t)(HERD_PAGE - 1);

	if (va - page + len > HERD_PAGE)
		return !herd_kernel_read(t->h->r->k, va, to, len);
	if (page != t->page) {
		t->page = page;
		t->there = !herd_kernel_read(t->h->r->k, page, t->bytes,
					     HERD_PAGE);
	}
	if (t->there)
		memcpy(to, t->bytes + (va - page), len);
	return t->there;
}

static int traced_function(struct traced *t, uint64_t ip)
{
	uint8_t code[2 * ENTRY_BYTES] = { 0 };
	uint64_t target;
	size_t at;

	if (!text_at(t, ip, code, ENTRY_BYTES))
		return 0;
	if (is_hooked(t->h, code, ip, &at, &target))
		return add_entry(t->h, ip, at, target, NULL, "a breakpoint");
	/* its five bytes are a nop or a call */
	if (code[0] == 0xe8 || herd_hook_nothing(code))
		return 0;
	return add_entry(t->h, ip, 0, 0, NULL, "written over");
}

static int traced_records(struct traced *t, uint64_t records, uint64_t n)
{
	uint8_t bytes[RECORDS_AT_ONCE * 64];
	int err = 0;

	for (uint64_t i = 0; i < n && !err; i += RECORDS_AT_ONCE) {
		uint64_t some = n - i < RECORDS_AT_ONCE ? n - i :
							  RECORDS_AT_ONCE;

		if (herd_kernel_read(t->h->r->k, records + i * t->t.stride,
				     bytes, some * t->t.stride))
			return 0;
		for (uint64_t j = 0; j < some && !err; j++) {
			uint64_t ip = herd_walk_value(bytes + j * t->t.stride,
						      t->t.stride, &t->t.ip);

			if (ip)
				err = traced_function(t, ip);
		}
	}
	return err;
}

static int traced_functions(struct herd_hook_reader *h)
{
	CLEANUP_FREE struct traced *t = calloc(1, sizeof(*t));
	struct herd_kernel *k = h->r->k;
	uint64_t at, page, records, n;
	struct herd_chain c;
	int err = 0;

	if (!t)
		return -ENOMEM;
	t->h = h;
	t->left = TRACED_MAX;
	if (herd_kernel_field(k, "ftrace_page", "next", &t->t.next) ||
	    herd_kernel_field(k, "ftrace_page", "records", &t->t.records) ||
	    herd_kernel_field(k, "ftrace_page", "index", &t->t.index) ||
	    herd_kernel_field(k, "dyn_ftrace", "ip", &t->t.ip) ||
	    herd_kernel_sizeof(k, "dyn_ftrace", &t->t.stride) || !t->t.stride ||
	    t->t.stride > 64 ||
	    herd_kernel_symbol(k, "ftrace_pages_start", &at) ||
	    herd_kernel_u64(k, at, &page))
		return 0;
	c = herd_chain_hlist(&h->mem, page, TRACED_PAGES_MAX);
	c.link = t->t.next.offset;
	while (!err && herd_chain_next(&c, &page)) {
		if (herd_kernel_get(k, page, &t->t.records, &records) ||
		    herd_kernel_get(k, page, &t->t.index, &n))
			break;
		if (n > t->left)
			n = t->left;
		t->left -= n;
		err = traced_records(t, records, n);
	}
	if (!err && c.err)
		herd_reader_problem(h->r, "records of ftrace",
				    "their list is broken off");
	return err;
}

/* Functions that rootkits have been seen to hook; not all can be traced. */
static const char *const names[] = {
	"do_syscall_64",
	"x64_sys_call",
	"x32_sys_call",
	"ia32_sys_call",
	"do_int80_syscall_32",
	"do_fast_syscall_32",
	"do_int80_emulation",
	"asm_exc_page_fault",
	"exc_page_fault",
	/* names and processes */
	"iterate_dir",
	"filldir",
	"filldir64",
	"compat_filldir",
	"compat_filldir64",
	"fillonedir",
	"proc_pid_readdir",
	"proc_root_readdir",
	"proc_root_lookup",
	"proc_pid_lookup",
	"proc_readdir_de",
	"proc_lookup_de",
	"next_tgid",
	"find_task_by_vpid",
	"find_get_task_by_vpid",
	"find_vpid",
	"path_lookupat",
	"path_openat",
	"do_filp_open",
	"vfs_statx",
	"vfs_getattr",
	"vfs_open",
	"do_sys_openat2",
	"audit_alloc",
	"audit_log_start",
	"seq_read_iter",
	/* reading and writing */
	"vfs_read",
	"vfs_write",
	"ksys_read",
	"ksys_write",
	"vfs_iter_read",
	"get_random_bytes_user",
	"urandom_read_iter",
	"random_read_iter",
	"tty_read",
	"tty_write",
	"n_tty_read",
	"n_tty_receive_buf_common",
	"n_tty_receive_buf_standard",
	"tty_insert_flip_string_and_push_buffer",
	/* sockets */
	"tcp4_seq_show",
	"tcp6_seq_show",
	"udp4_seq_show",
	"udp6_seq_show",
	"raw_seq_show",
	"raw6_seq_show",
	"unix_seq_show",
	"packet_seq_show",
	"netlink_seq_show",
	"dev_seq_show",
	"inet_sk_diag_fill",
	"inet_diag_dump_icsk",
	"ip_rcv",
	"ip_local_deliver",
	"ip6_rcv_core",
	"ipv6_rcv",
	"ip_rcv_core",
	"tcp_v4_rcv",
	"udp_rcv",
	"icmp_rcv",
	"tpacket_rcv",
	"packet_rcv",
	"packet_rcv_spkt",
	"__netif_receive_skb_core",
	"netif_receive_skb",
	"__dev_queue_xmit",
	"run_filter",
	"inet_accept",
	/* rights */
	"commit_creds",
	"prepare_creds",
	"prepare_kernel_cred",
	"override_creds",
	"cap_capable",
	"security_bpf",
	"security_task_kill",
	"security_inode_getattr",
	"security_file_open",
	"security_bprm_check",
	"security_capable",
	"avc_has_perm",
	"do_exit",
	"group_send_sig_info",
	"kill_pid_info",
	"sys_setuid",
	"__sys_setuid",
	"__sys_setresuid",
	/* the kernel itself */
	"load_module",
	"do_init_module",
	"free_module",
	"m_show",
	"s_show",
	"find_module",
	"module_get_kallsym",
	"kallsyms_lookup_name",
	"kallsyms_on_each_symbol",
	"vprintk_emit",
	"devkmsg_read",
	"do_syslog",
	"bpf_prog_load",
	"bpf_check",
	"register_kprobe",
	"__register_kprobe",
	"register_ftrace_function",
	"do_execveat_common",
	"begin_new_exec",
	"bprm_execve",
	"load_elf_binary",
	"kernel_clone",
	"copy_process",
	"wake_up_new_task",
	"acct_process",
	"taskstats_exit",
	"kernel_text_address",
};

int herd_hooks_text(struct herd_hook_reader *h)
{
	int err = traced_functions(h);

	for (size_t i = 0; i < ARRAY_SIZE(names) && !err; i++) {
		uint64_t function;

		if (!herd_kernel_symbol(h->r->k, names[i], &function) &&
		    herd_hook_where(h, function) == HERD_HOOK_IN_KERNEL)
			err = herd_hooks_entry(h, function, names[i]);
	}
	return err;
}
