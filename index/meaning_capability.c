/* SPDX-License-Identifier: Apache-2.0 */
/*
 * File capabilities as the kernel keeps them (linux/capability.h): a magic
 * number with the revision and the effective bit, then permitted and
 * inheritable bits, 32 at a time. Threads: pure.
 */
#include "index/meaning.h"

#include "acquire/base/cleanup.h"
#include "acquire/base/cursor.h"

#include <stdio.h>

static const char *const names[] = {
	"chown",
	"dac_override",
	"dac_read_search",
	"fowner",
	"fsetid",
	"kill",
	"setgid",
	"setuid",
	"setpcap",
	"linux_immutable",
	"net_bind_service",
	"net_broadcast",
	"net_admin",
	"net_raw",
	"ipc_lock",
	"ipc_owner",
	"sys_module",
	"sys_rawio",
	"sys_chroot",
	"sys_ptrace",
	"sys_pacct",
	"sys_admin",
	"sys_boot",
	"sys_nice",
	"sys_resource",
	"sys_time",
	"sys_tty_config",
	"mknod",
	"lease",
	"audit_write",
	"audit_control",
	"setfcap",
	"mac_override",
	"mac_admin",
	"syslog",
	"wake_alarm",
	"block_suspend",
	"audit_read",
	"perfmon",
	"bpf",
	"checkpoint_restore",
};
#define ALL ((1ull << ARRAY_SIZE(names)) - 1)

struct out {
	char *buf;
	size_t size, len;
};

static void add(struct out *o, const char *before, const char *text)
{
	int n = snprintf(o->buf + o->len, o->size - o->len, "%s%s", before,
			 text);

	if (n > 0)
		o->len += (size_t)n < o->size - o->len ? (size_t)n :
							 o->size - o->len - 1;
}

/* "cap_a,cap_b+ep" for the bits of one kind; at most four are named. */
static void some(struct out *o, uint64_t bits, const char *flags)
{
	unsigned named = 0;

	if (!bits)
		return;
	if (o->len)
		add(o, "", " ");
	for (unsigned i = 0; i < 64 && bits != ALL; i++) {
		char number[16];

		if (!(bits & 1ull << i))
			continue;
		if (named++ == 4) {
			add(o, "", ",...");
			break;
		}
		snprintf(number, sizeof(number), "%u", i);
		add(o, named > 1 ? ",cap_" : "cap_",
		    i < ARRAY_SIZE(names) ? names[i] : number);
	}
	if (bits == ALL)
		add(o, "", "all capabilities ");
	add(o, bits == ALL ? "" : "+", flags);
}

const char *herd_capability_text(const void *bytes, size_t len, char *buf,
				 size_t size)
{
	struct herd_cursor c = herd_cursor(bytes, len);
	uint32_t magic = herd_cur_le32(&c), revision = magic >> 24;
	uint64_t permitted, inheritable;
	struct out o = { buf, size, 0 };
	bool effective = magic & 1;

	permitted = herd_cur_le32(&c);
	inheritable = herd_cur_le32(&c);
	if (revision >= 2) {
		permitted |= (uint64_t)herd_cur_le32(&c) << 32;
		inheritable |= (uint64_t)herd_cur_le32(&c) << 32;
	}
	if (c.bad || revision < 1 || revision > 3) {
		snprintf(buf, size, "?");
		return buf;
	}
	buf[0] = '\0';
	some(&o, permitted & inheritable, effective ? "eip" : "ip");
	some(&o, permitted & ~inheritable, effective ? "ep" : "p");
	some(&o, inheritable & ~permitted, effective ? "ei" : "i");
	if (!o.len)
		add(&o, "", "no capability");
	return buf;
}
