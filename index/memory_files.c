/* SPDX-License-Identifier: Apache-2.0 */
/* A process as texts; see memory_files.h. memory_kernel_files.c has the rest. */
#include "index/memory_files.h"

#include "acquire/base/cleanup.h"
#include "index/memory_files_internal.h"
#include "index/report.h"

#include <inttypes.h>
#include <string.h>

#define VM_MAYSHARE 0x80u
#define PATH_COLUMN 73

void herd_put_text(struct herd_buf *out, const char *s)
{
	herd_report_escape(out, s, strlen(s));
}

/* ---- times ---- */

static bool since_boot(const struct herd_machine *m, uint64_t ns,
		       struct herd_time *ret)
{
	if (!m->boot_time || m->boot_time > INT64_MAX / 2)
		return false;
	ret->sec = (int64_t)(m->boot_time + ns / 1000000000);
	ret->nsec = (uint32_t)(ns % 1000000000);
	return true;
}

bool herd_process_started(const struct herd_machine *m,
			  const struct herd_process *p, struct herd_time *ret)
{
	return since_boot(m, p->start_ns, ret);
}

bool herd_memory_taken(const struct herd_machine *m, struct herd_time *ret)
{
	return m->uptime_ns && since_boot(m, m->uptime_ns, ret);
}

void herd_put_time(struct herd_buf *out, bool known, const struct herd_time *t)
{
	char text[HERD_REPORT_TIME_MAX];

	herd_buf_printf(out, "%s", known ? herd_report_time(t, text) : "-");
}

/* ---- maps ---- */

/* The kernel writes a newline of a name as \012, and all else as it is. */
static void put_map_name(struct herd_buf *out, const char *s)
{
	for (; *s; s++)
		if (*s == '\n')
			herd_buf_printf(out, "\\012");
		else
			herd_buf_u8(out, (uint8_t)*s);
}

static void put_map(const struct herd_machine *m, const struct herd_vma *v,
		    struct herd_buf *out)
{
	const struct herd_mfile *f = v->file < m->n_files ? &m->files[v->file] :
							    NULL;
	const size_t from = out->len;

	herd_buf_printf(out,
			"%08" PRIx64 "-%08" PRIx64 " %c%c%c%c %08" PRIx64
			" %02x:%02x %" PRIu64 " ",
			v->start, v->end, v->flags & HERD_VM_READ ? 'r' : '-',
			v->flags & HERD_VM_WRITE ? 'w' : '-',
			v->flags & HERD_VM_EXEC ? 'x' : '-',
			v->flags & VM_MAYSHARE ? 's' : 'p', f ? v->offset : 0,
			f ? f->dev_major : 0, f ? f->dev_minor : 0,
			f ? f->ino : 0);
	if (f || v->name[0]) {
		while (out->len - from < PATH_COLUMN && !out->failed)
			herd_buf_u8(out, ' ');
		put_map_name(out, v->name[0] ? v->name : f->path);
		if (!v->name[0] && f->deleted)
			herd_buf_printf(out, " (deleted)");
	}
	herd_buf_u8(out, '\n');
}

void herd_process_maps(const struct herd_machine *m,
		       const struct herd_process *p, struct herd_buf *out)
{
	for (size_t i = 0; i < p->n_vmas; i++)
		put_map(m, &p->vmas[i], out);
}

/* ---- status ---- */

static const char *state_name(char state)
{
	switch (state) {
	case 'R':
		return "running";
	case 'S':
		return "sleeping";
	case 'D':
		return "disk sleep";
	case 'T':
		return "stopped";
	case 't':
		return "tracing stop";
	case 'X':
		return "dead";
	case 'Z':
		return "zombie";
	case 'P':
		return "parked";
	case 'I':
		return "idle";
	default:
		return "?";
	}
}

static void put_line(struct herd_buf *out, const char *key, const char *value)
{
	herd_buf_printf(out, "%s:\t", key);
	herd_put_text(out, value);
	herd_buf_u8(out, '\n');
}

void herd_put_seen(struct herd_buf *out, uint32_t seen)
{
	static const char *const views[] = { "list", "pids", "slab", "cpu",
					     "child" };
	bool any = false;

	for (size_t i = 0; i < ARRAY_SIZE(views); i++) {
		if (!(seen & 1u << i))
			continue;
		herd_buf_printf(out, "%s%s", any ? "," : "", views[i]);
		any = true;
	}
	if (!any)
		herd_buf_printf(out, "-");
}

static void put_who(const struct herd_machine *m, const struct herd_process *p,
		    struct herd_buf *out)
{
	struct herd_time t = { 0 };

	put_line(out, "Name", p->comm);
	herd_buf_printf(out, "State:\t%c (%s)\n", p->state ? p->state : '?',
			state_name(p->state));
	herd_buf_printf(out, "Tgid:\t%d\nPid:\t%d\nPPid:\t%d\n", p->pid, p->pid,
			p->ppid);
	herd_buf_printf(out, "Uid:\t%u\t%u\t%u\t%u\nGid:\t%u\t%u\t%u\t%u\n",
			p->uid, p->euid, p->suid, p->fsuid, p->gid, p->egid,
			p->sgid, p->fsgid);
	herd_buf_printf(out, "Groups:\t");
	for (size_t i = 0; i < p->n_groups; i++)
		herd_buf_printf(out, "%u ", p->groups[i]);
	herd_buf_printf(out, "\nNSpid:\t%d\nPgrp:\t%d\nSession:\t%d\n",
			p->ns_pid, p->pgrp, p->session);
	put_line(out, "Tty", p->tty);
	herd_buf_printf(out,
			"CapInh:\t%016" PRIx64 "\nCapPrm:\t%016" PRIx64
			"\nCapEff:\t%016" PRIx64 "\nCapBnd:\t%016" PRIx64
			"\nCapAmb:\t%016" PRIx64 "\n",
			p->cap_inheritable, p->cap_permitted, p->cap_effective,
			p->cap_bounding, p->cap_ambient);
	herd_buf_printf(out, "NoNewPrivs:\t%d\nSeccomp:\t%u\n", p->no_new_privs,
			p->seccomp);
	herd_buf_printf(out, "Kthread:\t%d\nExiting:\t%d\nSeen:\t", p->kthread,
			p->exiting);
	herd_put_seen(out, p->seen);
	herd_buf_printf(out, "\nStarted:\t");
	herd_put_time(out, herd_process_started(m, p, &t), &t);
	herd_buf_printf(out,
			"\nUserTime:\t%" PRIu64 " ms\nSystemTime:\t%" PRIu64
			" ms\n",
			p->utime_ns / 1000000, p->stime_ns / 1000000);
}

static void put_where(const struct herd_process *p, struct herd_buf *out)
{
	static const char *const names[HERD_NS_MAX] = {
		"mnt", "uts", "ipc", "pid", "net", "user", "cgroup", "time",
	};

	put_line(out, "Exe", p->exe_target);
	put_line(out, "Cwd", p->cwd);
	put_line(out, "Root", p->root);
	put_line(out, "Cgroup", p->cgroup);
	herd_buf_printf(out, "Namespaces:\t");
	for (size_t i = 0; i < HERD_NS_MAX; i++)
		herd_buf_printf(out, "%s:[%u]%s", names[i], p->ns[i],
				i + 1 < HERD_NS_MAX ? " " : "\n");
	herd_buf_printf(out,
			"Task:\t0x%" PRIx64 "\nMm:\t0x%" PRIx64
			"\nPgd:\t0x%" PRIx64 " (%u levels)\n",
			p->task, p->mm, p->space.pgd, p->space.levels);
	if (p->args_unreadable)
		herd_buf_printf(out, "Arguments:\tunreadable\n");
	if (p->environ_unreadable)
		herd_buf_printf(out, "Environment:\tunreadable\n");
	if (p->problem[0])
		put_line(out, "Problem", p->problem);
}

static void put_threads(const struct herd_process *p, struct herd_buf *out)
{
	herd_buf_printf(out, "Threads:\t%zu\n", p->n_threads);
	for (size_t i = 0; i < p->n_threads; i++) {
		const struct herd_thread *t = &p->threads[i];

		herd_buf_printf(out, "Thread:\t%d\t%d\t%c\t", t->tid, t->ns_tid,
				t->state ? t->state : '?');
		herd_put_text(out, t->comm);
		herd_buf_printf(out, "\tseen ");
		herd_put_seen(out, t->seen);
		if (!t->has_regs)
			herd_buf_printf(out, "\tno registers%s",
					t->on_cpu ? ": it was running" : "");
		else
			herd_buf_printf(
				out, "\trip 0x%" PRIx64 " rsp 0x%" PRIx64 "%s",
				t->regs[16], t->regs[19],
				t->regs_from_note ? " (the processor's)" :
				t->on_cpu	  ? " (of when it last slept)" :
						    "");
		herd_buf_u8(out, '\n');
	}
}

static void put_counts(const uint64_t of[HERD_DUMP_KINDS], struct herd_buf *out)
{
	for (unsigned k = HERD_DUMP_ZERO; k < HERD_DUMP_KINDS; k++)
		if (of[k])
			herd_buf_printf(
				out, "Dump:\t%" PRIu64 " kB\t%s%s\n",
				of[k] / 1024,
				herd_dump_kind_is_missing(k) ? "MISSING: " : "",
				herd_dump_kind_name(k));
}

void herd_process_status(const struct herd_machine *m,
			 const struct herd_process *p,
			 const struct herd_dump *d, const struct herd_core *c,
			 struct herd_buf *out)
{
	put_who(m, p, out);
	put_where(p, out);
	put_threads(p, out);
	if (d) {
		uint64_t of[HERD_DUMP_KINDS];

		herd_dump_count(d, 0, UINT64_MAX, of);
		put_counts(of, out);
	}
	if (c && c->without_registers)
		herd_buf_printf(out,
				"Core:\t%zu of %zu threads have no "
				"registers (zeros)\n",
				c->without_registers, c->threads);
	if (c && c->files_left_out)
		herd_buf_printf(out,
				"Core:\tNT_FILE lacks %zu mappings: too "
				"long\n",
				c->files_left_out);
}

static void put_missing(const struct herd_machine *m, const struct herd_vma *v,
			const struct herd_dump *d, struct herd_buf *out)
{
	for (uint64_t at = v->start; at < v->end;) {
		struct herd_dump_piece p = herd_dump_at(d, at);
		uint64_t end = p.end < v->end ? p.end : v->end;

		if (herd_dump_kind_is_missing(p.kind)) {
			herd_buf_printf(out,
					"%016" PRIx64 "-%016" PRIx64
					"  %10" PRIu64 " kB  %s  ",
					at, end, (end - at) / 1024,
					herd_dump_kind_name(p.kind));
			if (!v->name[0] && v->file < m->n_files)
				herd_put_text(out, m->files[v->file].path);
			else
				herd_put_text(out, v->name[0] ? v->name :
								"anonymous");
			herd_buf_u8(out, '\n');
		}
		at = end;
	}
}

void herd_process_missing(const struct herd_machine *m,
			  const struct herd_process *p,
			  const struct herd_dump *d, struct herd_buf *out)
{
	for (size_t i = 0; i < p->n_vmas; i++) {
		if (herd_dump_has_vma(&p->vmas[i]))
			put_missing(m, &p->vmas[i], d, out);
		else
			herd_buf_printf(out,
					"%016" PRIx64 "-%016" PRIx64
					"  in no dump: unaligned, overlapping "
					"or beyond user space\n",
					p->vmas[i].start, p->vmas[i].end);
	}
}

/* ---- pages ---- */

const char *herd_page_change_name(enum herd_page_change_kind kind)
{
	static const char *const kinds[HERD_CHANGE_MAX] = {
		[HERD_CHANGE_OTHER] = "written over",
		[HERD_CHANGE_BREAKPOINTS] = "breakpoints (int3)",
		[HERD_CHANGE_RELOCATIONS] = "relocations of the file's own",
		[HERD_CHANGE_TAIL] = "behind the file's end",
		[HERD_CHANGE_UNWRITTEN] = "not yet written to the disk",
	};

	return (unsigned)kind < HERD_CHANGE_MAX ? kinds[kind] : "?";
}

/* The herd's page, where it is known: the disk's, when the herd has the same
   file, else what most siblings have in memory. */
static void put_herd(const struct herd_page_beside *h, struct herd_buf *out)
{
	char hex[65];

	herd_buf_printf(out, "herd\t");
	if (h->on_disk && h->class != HERD_CLASS_SAME &&
	    h->class != HERD_CLASS_DRIFT)
		herd_buf_printf(out, "not known: the file itself is %s on the "
				"disk, %u of %u members have this version\n",
				herd_class_name(h->class), h->count,
				h->members);
	else if (h->has_disk_digest)
		herd_buf_printf(out, "%s, the disk's: %u of %u members have "
				"this file\n",
				herd_hex(h->disk_digest, 32, hex), h->count,
				h->members);
	else if (h->others.unvouched_top > h->others.unvouched_same)
		herd_buf_printf(out, "%s… (its first half): in memory of %u "
				"other member%s\n",
				h->others.top, h->others.unvouched_top,
				h->others.unvouched_top == 1 ? "" : "s");
	else if (h->others.unvouched_same)
		herd_buf_printf(out, "this very page: in memory of %u other "
				"member%s\n",
				h->others.unvouched_same,
				h->others.unvouched_same == 1 ? "" : "s");
	else
		herd_buf_printf(out, "not known\n");
}

static void put_some(struct herd_buf *out, uint32_t n, uint32_t same,
		     uint32_t all, const char *what)
{
	if (n)
		herd_buf_printf(out, "siblings\t%u of %u %s: %u have this "
				"very page\n",
				n, all, what, same);
}

static void put_siblings(const struct herd_page_others *o, struct herd_buf *out)
{
	put_some(out, o->changed, o->changed_same, o->all,
		 "have a page here that differs, too");
	put_some(out, o->open, o->open_same, o->all,
		 "have a page here that could not be compared");
	put_some(out, o->unvouched, o->unvouched_same, o->all,
		 "have a page here that no disk vouches for");
	if (o->all && !o->changed && !o->open && !o->unvouched)
		herd_buf_printf(out, "siblings\tnone of %u has a page here "
				"that differs\n", o->all);
	else if (!o->all)
		herd_buf_printf(out, "siblings\tno other memory is there\n");
}

void herd_process_page(const struct herd_machine *m,
		       const struct herd_page_change *c, uint64_t va,
		       const struct herd_page_beside *herd,
		       struct herd_buf *out)
{
	static const char *const against[] = {
		[HERD_AGAINST_DISK] = "the same instance's disk",
		[HERD_AGAINST_CACHE] = "the page cache",
		[HERD_AGAINST_NOTHING] = "nothing: neither cache nor disk has it",
	};
	char hex[65];

	herd_buf_printf(out, "file\t");
	herd_put_text(out, m->files[c->file].path);
	herd_buf_printf(out,
			"\noffset\t0x%" PRIx64 "\naddress\t0x%" PRIx64
			"\nphysical\t0x%" PRIx64 "\norigin\t%s\n",
			c->index * HERD_PAGE, va, c->phys,
			c->origin == HERD_PAGE_PRIVATE ?
				"private copy of the process" :
				"page cache");
	herd_buf_printf(out, "sha256\t%s\n", herd_hex(c->digest, 32, hex));
	herd_buf_printf(out, "against\t%s\n",
			(unsigned)c->against < ARRAY_SIZE(against) ?
				against[c->against] :
				"?");
	if (c->against == HERD_AGAINST_NOTHING) {
		herd_buf_printf(out, "change\tnot comparable: whether it was "
				"changed is not known\n");
		put_herd(herd, out);
		put_siblings(&herd->others, out);
		return;
	}
	herd_buf_printf(out, "sha256 there\t%s\n", herd_hex(c->other, 32, hex));
	herd_buf_printf(out,
			"change\t%s\nbytes\t%u, the first at 0x%x of the "
			"page\n",
			herd_page_change_name(c->kind), c->bytes, c->first);
	put_herd(herd, out);
	put_siblings(&herd->others, out);
}

/* ---- why.json ---- */

static void json_text(struct herd_json *j, const char *key, const char *s)
{
	herd_json_bytes(j, key, s, strlen(s));
}

static void json_process(const struct herd_machine *m,
			 const struct herd_process *p, struct herd_json *j)
{
	struct herd_buf started CLEANUP_BUF = HERD_BUF_INIT;
	struct herd_time t = { 0 };

	herd_json_int(j, "pid", p->pid);
	herd_json_int(j, "ppid", p->ppid);
	json_text(j, "comm", p->comm);
	json_text(j, "exe", p->exe_target);
	herd_json_array(j, "argv");
	for (size_t i = 0; i < p->n_argv;) {
		size_t n = strnlen(p->argv + i, p->n_argv - i);

		herd_json_object(j, NULL);
		herd_json_bytes(j, "arg", p->argv + i, n);
		herd_json_end(j);
		i += n + 1;
	}
	herd_json_end(j);
	herd_json_uint(j, "uid", p->uid);
	herd_json_uint(j, "euid", p->euid);
	herd_put_time(&started, herd_process_started(m, p, &t), &t);
	herd_buf_u8(&started, 0);
	if (!started.failed)
		herd_json_string(j, "started", (const char *)started.data);
	json_text(j, "cgroup", p->cgroup);
	herd_json_uint(j, "threads", p->n_threads);
}

int herd_process_why(const struct herd_machine *m, uint32_t process,
		     const struct herd_machine_finding *const *v, size_t n,
		     struct herd_buf *out)
{
	struct herd_json j;

	herd_json_begin(&j, out, 2);
	herd_json_object(&j, NULL);
	json_process(m, &m->processes[process], &j);
	herd_json_array(&j, "findings");
	for (size_t i = 0; i < n; i++) {
		herd_json_object(&j, NULL);
		herd_report_memory_json_finding(m, v[i], &j);
		herd_json_end(&j);
	}
	herd_json_end(&j);
	herd_json_end(&j);
	return herd_json_finish(&j);
}
