/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Pointers to functions that the kernel calls: its own tables of operations,
 * chains of notifiers, handlers of packets, netfilter, security modules, and
 * what is behind well-known names in /proc. Listed is only what leads where it
 * should not: out of the kernel's text for the kernel's own tables, into an
 * alien or hidden module (or none) where modules may register.
 */
#include "index/memory/machine_hooks.h"

#include <stdio.h>
#include <string.h>

#define CHAIN_MAX 4096u

/* ---- tables of operations ---- */

/* Pointers to functions in structs; names that a kernel lacks do no harm. */
static const char *const file_members[] = {
	"llseek",	  "read",	  "write",	    "read_iter",
	"write_iter",	  "iterate",	  "iterate_shared", "poll",
	"unlocked_ioctl", "compat_ioctl", "mmap",	    "open",
	"flush",	  "release",	  "fsync",	    NULL
};
static const char *const inode_members[] = {
	"lookup", "get_link", "permission", "create",  "link",	  "unlink",
	"mkdir",  "rmdir",    "rename",	    "setattr", "getattr", NULL
};
static const char *const seq_members[] = { "start", "stop", "next", "show",
					   NULL };
static const char *const proc_members[] = {
	"proc_open",  "proc_read",  "proc_read_iter",
	"proc_write", "proc_lseek", "proc_release",
	"proc_poll",  "proc_ioctl", "proc_compat_ioctl",
	"proc_mmap",  NULL
};
static const char *const socket_members[] = {
	"release",    "bind",	 "connect", "accept",	"getname",
	"poll",	      "ioctl",	 "listen",  "shutdown", "setsockopt",
	"getsockopt", "sendmsg", "recvmsg", NULL
};
static const char *const protocol_members[] = {
	"close",   "pre_connect", "connect", "disconnect",  "accept",
	"ioctl",   "init",	  "destroy", "setsockopt",  "getsockopt",
	"sendmsg", "recvmsg",	  "bind",    "backlog_rcv", "hash",
	"unhash",  "get_port",	  NULL
};
static const char *const ldisc_members[] = {
	"open", "close",       "read",	       "write",	       "ioctl",
	"poll", "receive_buf", "receive_buf2", "write_wakeup", NULL
};

static const struct kind {
	const char *type;
	const char *const *members;
	const char *symbols[20];
} kinds[] = {
	{ "seq_operations",
	  seq_members,
	  { "tcp4_seq_ops", "tcp6_seq_ops", "udp_seq_ops", "udp6_seq_ops",
	    "raw_seq_ops", "raw6_seq_ops", "unix_seq_ops", "packet_seq_ops",
	    "netlink_seq_ops", "modules_op", "kallsyms_op", "dev_seq_ops",
	    "vmalloc_op", "mounts_op", "cpuinfo_op", "bpf_prog_seq_ops",
	    "show_ftrace_seq_ops", "kprobes_sops" } },
	{ "proc_ops",
	  proc_members,
	  { "proc_net_seq_ops", "proc_net_single_ops", "proc_seq_ops",
	    "proc_single_ops", "modules_proc_ops", "kallsyms_proc_ops",
	    "kmsg_proc_ops", "cpuinfo_proc_ops", "stat_proc_ops",
	    "proc_reg_file_ops" } },
	{ "file_operations",
	  file_members,
	  { "proc_root_operations",
	    "proc_dir_operations",
	    "proc_tgid_base_operations",
	    "proc_tid_base_operations",
	    "proc_task_operations",
	    "proc_fd_operations",
	    "proc_pid_maps_operations",
	    "proc_pid_cmdline_ops",
	    "proc_reg_file_ops",
	    "proc_sys_file_operations",
	    "kernfs_dir_fops",
	    "kernfs_file_fops",
	    "null_fops",
	    "zero_fops",
	    "random_fops",
	    "urandom_fops",
	    "kmsg_fops",
	    "tty_fops",
	    "socket_file_ops",
	    "pipefifo_fops" } },
	{ "file_operations",
	  file_members,
	  { "ext4_file_operations", "ext4_dir_operations",
	    "xfs_file_operations", "xfs_dir_file_operations",
	    "btrfs_file_operations", "btrfs_dir_file_operations",
	    "shmem_file_operations", "simple_dir_operations", "def_blk_fops",
	    "ovl_file_operations", "ovl_dir_operations", "console_fops",
	    "proc_iter_file_ops", "proc_net_operations", "mem_fops",
	    "ftrace_enabled_fops", "show_ftrace_fops" } },
	{ "inode_operations",
	  inode_members,
	  { "proc_root_inode_operations", "proc_dir_inode_operations",
	    "proc_tgid_base_inode_operations", "proc_fd_inode_operations",
	    "proc_task_inode_operations", "ext4_dir_inode_operations",
	    "ext4_file_inode_operations", "kernfs_dir_iops",
	    "shmem_dir_inode_operations", "proc_net_inode_operations" } },
	{ "proto_ops",
	  socket_members,
	  { "inet_stream_ops", "inet_dgram_ops", "inet_sockraw_ops",
	    "inet6_stream_ops", "inet6_dgram_ops", "inet6_sockraw_ops",
	    "unix_stream_ops", "unix_dgram_ops", "packet_ops",
	    "netlink_ops" } },
	{ "proto",
	  protocol_members,
	  { "tcp_prot", "tcpv6_prot", "udp_prot", "udpv6_prot", "raw_prot",
	    "rawv6_prot", "ping_prot" } },
	{ "tty_ldisc_ops", ldisc_members, { "n_tty_ops", "n_null_ops" } },
};

static int ops_table(struct herd_hook_reader *h, const struct kind *kind,
		     const char *symbol)
{
	struct herd_kernel *k = h->r->k;
	struct herd_field f;
	uint64_t table, target;
	int err = 0;

	if (herd_kernel_symbol(k, symbol, &table))
		return 0;
	for (size_t i = 0; kind->members[i] && !err; i++) {
		char name[128];

		if (herd_kernel_field(k, kind->type, kind->members[i], &f) ||
		    herd_kernel_get(k, table, &f, &target) || !target ||
		    herd_hook_where(h, target) == HERD_HOOK_IN_KERNEL)
			continue;
		snprintf(name, sizeof(name), "%s.%s", symbol, kind->members[i]);
		err = herd_hook_add(
			h, &(struct herd_hook_draft){ .kind = HERD_HOOK_OPS,
						      .at = table + f.offset,
						      .target = target,
						      .name = name });
	}
	return err;
}

int herd_hooks_ops(struct herd_hook_reader *h)
{
	int err = 0;

	for (size_t i = 0; i < ARRAY_SIZE(kinds) && !err; i++)
		for (size_t j = 0; j < ARRAY_SIZE(kinds[i].symbols) &&
				   kinds[i].symbols[j] && !err;
		     j++)
			err = ops_table(h, &kinds[i], kinds[i].symbols[j]);
	return err;
}

/* ---- what registers itself ---- */

/* A function that something was registered with. */
static int registered(struct herd_hook_reader *h, uint64_t at, uint64_t target,
		      uint32_t number, const char *name)
{
	enum herd_hook_where where = herd_hook_where(h, target);

	if (!target ||
	    (where != HERD_HOOK_ELSEWHERE && where != HERD_HOOK_IN_UNREAD))
		return 0;
	return herd_hook_add(h,
			     &(struct herd_hook_draft){ .kind = HERD_HOOK_OPS,
							.number = number,
							.at = at,
							.target = target,
							.name = name });
}

static int notifiers(struct herd_hook_reader *h, const char *symbol,
		     const char *type)
{
	struct herd_kernel *k = h->r->k;
	struct herd_field head, call, next;
	struct herd_chain c;
	uint64_t at, first, node, target;
	int err = 0;

	if (herd_kernel_symbol(k, symbol, &at) ||
	    herd_kernel_field(k, type, "head", &head) ||
	    herd_kernel_field(k, "notifier_block", "notifier_call", &call) ||
	    herd_kernel_field(k, "notifier_block", "next", &next) ||
	    herd_kernel_get(k, at, &head, &first))
		return 0;
	c = herd_chain_hlist(&h->mem, first, CHAIN_MAX);
	c.link = next.offset;
	while (!err && herd_chain_next(&c, &node))
		if (!herd_kernel_get(k, node, &call, &target))
			err = registered(h, node + call.offset, target, 0,
					 symbol);
	return err;
}

static int all_notifiers(struct herd_hook_reader *h)
{
	static const struct {
		const char *symbol, *type;
	} chains[] = {
		{ "keyboard_notifier_list", "atomic_notifier_head" },
		{ "vt_notifier_list", "atomic_notifier_head" },
		{ "die_chain", "atomic_notifier_head" },
		{ "panic_notifier_list", "atomic_notifier_head" },
		{ "restart_handler_list", "atomic_notifier_head" },
		{ "module_notify_list", "blocking_notifier_head" },
		{ "reboot_notifier_list", "blocking_notifier_head" },
		{ "usb_notifier_list", "blocking_notifier_head" },
		{ "inetaddr_chain", "blocking_notifier_head" },
		{ "crypto_chain", "blocking_notifier_head" },
		{ "netdev_chain", "raw_notifier_head" },
	};
	int err = 0;

	for (size_t i = 0; i < ARRAY_SIZE(chains) && !err; i++)
		err = notifiers(h, chains[i].symbol, chains[i].type);
	return err;
}

static int packet_list(struct herd_hook_reader *h, uint64_t head)
{
	struct herd_kernel *k = h->r->k;
	struct herd_field list, func, type;
	struct herd_chain c;
	uint64_t node, target, number = 0;
	int err = 0;

	if (herd_kernel_field(k, "packet_type", "list", &list) ||
	    herd_kernel_field(k, "packet_type", "func", &func) ||
	    herd_kernel_field(k, "packet_type", "type", &type))
		return 0;
	c = herd_chain_list(&h->mem, head, CHAIN_MAX);
	while (!err && herd_chain_next(&c, &node)) {
		node -= list.offset;
		(void)herd_kernel_get(k, node, &type, &number);
		number = (number & 0xff) << 8 | (number >> 8 & 0xff);
		if (!herd_kernel_get(k, node, &func, &target))
			err = registered(h, node + func.offset, target,
					 (uint32_t)number,
					 "handler of packets");
	}
	return err;
}

static int packets(struct herd_hook_reader *h)
{
	struct herd_kernel *k = h->r->k;
	struct herd_field all;
	uint64_t at;
	int err = 0;

	if (!herd_kernel_symbol(k, "ptype_all", &at))
		err = packet_list(h, at);
	else if (!herd_kernel_field(k, "net", "ptype_all", &all) &&
		 !herd_kernel_symbol(k, "init_net", &at))
		err = packet_list(h, at + all.offset);
	if (herd_kernel_symbol(k, "ptype_base", &at))
		return err;
	for (unsigned i = 0; i < 16 && !err; i++)
		err = packet_list(h, at + i * 16);
	return err;
}

static int netfilter_point(struct herd_hook_reader *h, uint64_t entries,
			   const char *name, unsigned point)
{
	struct herd_kernel *k = h->r->k;
	struct herd_field hooks;
	uint32_t stride;
	uint16_t n;
	int err = 0;

	if (!entries || herd_kernel_sizeof(k, "nf_hook_entry", &stride) ||
	    herd_kernel_field(k, "nf_hook_entries", "hooks", &hooks) ||
	    herd_kernel_u16(k, entries, &n))
		return 0;
	for (unsigned i = 0; i < n && i < CHAIN_MAX && !err; i++) {
		uint64_t at = entries + hooks.offset + (uint64_t)i * stride;
		uint64_t target;
		char text[64];

		if (herd_kernel_u64(k, at, &target))
			break;
		snprintf(text, sizeof(text), "netfilter %s", name);
		err = registered(h, at, target, point, text);
	}
	return err;
}

/* Of the first network namespace. */
static int netfilter(struct herd_hook_reader *h)
{
	static const struct {
		const char *member, *name;
	} tables[] = {
		{ "nf.hooks_ipv4", "IPv4" },
		{ "nf.hooks_ipv6", "IPv6" },
		{ "nf.hooks_arp", "ARP" },
		{ "nf.hooks_bridge", "bridge" },
	};
	struct herd_kernel *k = h->r->k;
	struct herd_field f;
	uint64_t net, entries;
	int err = 0;

	if (herd_kernel_symbol(k, "init_net", &net))
		return 0;
	for (size_t i = 0; i < ARRAY_SIZE(tables) && !err; i++) {
		if (herd_kernel_field(k, "net", tables[i].member, &f))
			continue;
		for (unsigned j = 0; j < f.size / 8 && j < 16 && !err; j++)
			if (!herd_kernel_u64(k, net + f.offset + j * 8,
					     &entries))
				err = netfilter_point(h, entries,
						      tables[i].name, j);
	}
	return err;
}

/* Security modules until 6.11; later they are static calls. */
static int security(struct herd_hook_reader *h)
{
	struct herd_kernel *k = h->r->k;
	struct herd_field list, hook;
	uint64_t at, first, node, target;
	uint32_t size;
	int err = 0;

	if (herd_kernel_symbol(k, "security_hook_heads", &at) ||
	    herd_kernel_sizeof(k, "security_hook_heads", &size) ||
	    herd_kernel_field(k, "security_hook_list", "list", &list) ||
	    herd_kernel_field(k, "security_hook_list", "hook", &hook))
		return 0;
	for (uint32_t i = 0; i < size / 8 && i < 1024 && !err; i++) {
		struct herd_chain c;

		if (herd_kernel_u64(k, at + i * 8, &first))
			break;
		c = herd_chain_hlist(&h->mem, first, CHAIN_MAX);
		while (!err && herd_chain_next(&c, &node)) {
			uint64_t from = node - list.offset + hook.offset;

			if (!herd_kernel_u64(k, from, &target))
				err = registered(h, from, target, i,
						 "security_hook_heads");
		}
	}
	return err;
}

int herd_hooks_lists(struct herd_hook_reader *h)
{
	int err = all_notifiers(h);

	if (!err)
		err = packets(h);
	if (!err)
		err = netfilter(h);
	return err ? err : security(h);
}

/* ---- /proc ---- */

#define PROC_ENTRIES_MAX 65536u

struct proc_types {
	struct herd_field subdir, node, name, ops, seq, left, right;
};

struct proc_reader {
	struct herd_hook_reader *h;
	struct proc_types t;
};

/* Names whose operations are the kernel's own. */
static bool is_known(const char *name)
{
	static const char *const names[] = {
		"tcp",	       "tcp6",	   "udp",	  "udp6",
		"udplite",     "udplite6", "raw",	  "raw6",
		"icmp",	       "icmp6",	   "unix",	  "packet",
		"netlink",     "dev",	   "route",	  "modules",
		"kallsyms",    "cpuinfo",  "meminfo",	  "mounts",
		"stat",	       "uptime",   "loadavg",	  "version",
		"vmallocinfo", "devices",  "filesystems", "interrupts",
		"iomem",       "ioports",  "kmsg",	  "kcore",
		"partitions",  "swaps",	   "cmdline",
	};

	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		if (!strcmp(name, names[i]))
			return true;
	return false;
}

static int proc_entry(void *arg, uint64_t node)
{
	struct proc_reader *p = arg;
	struct herd_kernel *k = p->h->r->k;
	const struct herd_field *pointers[] = { &p->t.ops, &p->t.seq };
	uint64_t entry = node - p->t.node.offset, text, target, offset;
	char name[64], full[128];
	int err = 0;

	if (herd_kernel_get(k, entry, &p->t.name, &text) ||
	    herd_kernel_string(k, text, name, sizeof(name)) || !is_known(name))
		return 0;
	for (size_t i = 0; i < ARRAY_SIZE(pointers) && !err; i++) {
		if (!herd_field_there(pointers[i]) ||
		    herd_kernel_get(k, entry, pointers[i], &target) ||
		    !target || herd_kernel_name_of(k, target, &offset))
			continue;
		snprintf(full, sizeof(full), "/proc entry %s", name);
		err = herd_hook_add(p->h,
				    &(struct herd_hook_draft){
					    .kind = HERD_HOOK_OPS,
					    .at = entry + pointers[i]->offset,
					    .target = target,
					    .name = full });
	}
	return err;
}

static int proc_folder(struct proc_reader *p, uint64_t folder)
{
	uint64_t root;
	int err;

	if (herd_kernel_get(p->h->r->k, folder, &p->t.subdir, &root))
		return 0;
	err = herd_rbtree_each(&p->h->mem, root, &p->t.left, &p->t.right,
			       PROC_ENTRIES_MAX, proc_entry, p);
	return err == -EFAULT || err == -ELOOP ? 0 : err;
}

int herd_hooks_proc(struct herd_hook_reader *h)
{
	struct proc_reader p = { .h = h };
	struct herd_kernel *k = h->r->k;
	struct herd_field net_field;
	uint64_t at, net;
	int err = 0;

	if (herd_kernel_field(k, "proc_dir_entry", "subdir", &p.t.subdir) ||
	    herd_kernel_field(k, "proc_dir_entry", "subdir_node", &p.t.node) ||
	    herd_kernel_field(k, "proc_dir_entry", "name", &p.t.name) ||
	    herd_kernel_field(k, "rb_node", "rb_left", &p.t.left) ||
	    herd_kernel_field(k, "rb_node", "rb_right", &p.t.right))
		return 0;
	if (herd_kernel_field(k, "proc_dir_entry", "proc_ops", &p.t.ops) &&
	    herd_kernel_field(k, "proc_dir_entry", "proc_fops", &p.t.ops))
		p.t.ops.offset = HERD_FIELD_MISSING;
	if (herd_kernel_field(k, "proc_dir_entry", "seq_ops", &p.t.seq))
		p.t.seq.offset = HERD_FIELD_MISSING;
	if (!herd_kernel_symbol(k, "proc_root", &at))
		err = proc_folder(&p, at);
	if (!err && !herd_kernel_symbol(k, "init_net", &at) &&
	    !herd_kernel_field(k, "net", "proc_net", &net_field) &&
	    !herd_kernel_get(k, at, &net_field, &net) && net)
		err = proc_folder(&p, net);
	return err;
}
