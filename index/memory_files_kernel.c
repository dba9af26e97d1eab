/* SPDX-License-Identifier: Apache-2.0 */
/* Tables of a machine, and its kernel, as texts; see memory_files.h. */
#include "index/memory_files_internal.h"

#include "acquire/base/cleanup.h"
#include "index/report.h"

#include <inttypes.h>
#include <string.h>

static bool shows(const struct herd_shown *s, enum herd_machine_subject subject,
		  uint32_t index)
{
	return !s || s->shows(s->arg, subject, index);
}

/* What a view's lack of something does not say, for it was not read to its
   end. */
static void put_unread(const struct herd_machine *m, enum herd_unread what,
		       const char *text, struct herd_buf *out)
{
	if (m->unread & what)
		herd_buf_printf(out, "# %s\n", text);
}

/* ---- processes ---- */

static void put_command(const struct herd_process *p, struct herd_buf *out)
{
	for (size_t i = 0; i < p->n_argv;) {
		size_t n = strnlen(p->argv + i, p->n_argv - i);

		herd_report_escape(out, p->argv + i, n);
		i += n + 1;
		if (i < p->n_argv)
			herd_buf_u8(out, ' ');
	}
	if (!p->n_argv) {
		herd_buf_printf(out, p->kthread ? "[" : "(");
		herd_put_text(out, p->comm);
		herd_buf_printf(out, p->kthread ? "]" : ")");
	}
}

void herd_memory_processes(const struct herd_machine *m,
			   const struct herd_shown *s,
			   const struct herd_machine_finding *const *f,
			   struct herd_buf *out)
{
	herd_buf_printf(out, "# pid\tppid\teuid\tstate\tstarted\tseen\tclass\t"
			     "score\tcomm\texe\tcommand\tmarks\n");
	put_unread(m, HERD_UNREAD_TASKS,
		   "the list of tasks could not be read to its end: who is not "
		   "in it is not told as hidden",
		   out);
	put_unread(m, HERD_UNREAD_PIDS,
		   "the table of pids could not be read to its end: who is not "
		   "in it is not told as hidden",
		   out);
	for (uint32_t i = 0; i < m->n_processes; i++) {
		const struct herd_process *p = &m->processes[i];
		struct herd_time t = { 0 };

		if (!shows(s, HERD_SUBJECT_PROCESS, i))
			continue;
		herd_buf_printf(out, "%d\t%d\t%u\t%c\t", p->pid, p->ppid,
				p->euid, p->state ? p->state : '?');
		herd_put_time(out, herd_process_started(m, p, &t), &t);
		herd_buf_u8(out, '\t');
		herd_put_seen(out, p->seen);
		if (f && f[i])
			herd_buf_printf(out, "\t%s\t%u\t",
					herd_class_name(f[i]->class),
					herd_machine_score(f[i]));
		else
			herd_buf_printf(out, "\t-\t-\t");
		herd_put_text(out, p->comm);
		herd_buf_u8(out, '\t');
		herd_put_text(out, p->exe_target[0] ? p->exe_target : "-");
		herd_buf_u8(out, '\t');
		put_command(p, out);
		herd_buf_u8(out, '\t');
		if (f && f[i])
			herd_report_memory_marks(f[i]->marks, out);
		herd_buf_u8(out, '\n');
	}
}

void herd_memory_lacks(const struct herd_machine *m,
		       const struct herd_machine_finding *v, size_t n,
		       struct herd_buf *out)
{
	for (size_t i = 0; i < n; i++) {
		const struct herd_machine_finding *f = &v[i];

		if (f->index != HERD_NO_INDEX)
			continue;
		herd_report_memory_subject(m, f, out);
		herd_buf_printf(out, "\t%s\t%u of %u have it\n",
				herd_class_name(f->class), f->key_count,
				f->members);
		for (const char *p = f->why; *p;) {
			size_t len = strcspn(p, "\n");

			herd_buf_printf(out, "    ");
			herd_report_escape(out, p, len);
			herd_buf_u8(out, '\n');
			p += len + (p[len] == '\n');
		}
	}
}

/* ---- the kernel ---- */

void herd_kernel_banner(const struct herd_machine *m, struct herd_buf *out)
{
	herd_put_text(out, m->facts.banner);
	herd_buf_printf(out, "\nrelease\t");
	herd_put_text(out, m->facts.release);
	herd_buf_printf(out, "\nbuild id\t");
	herd_put_text(out, m->facts.build_id[0] ? m->facts.build_id : "-");
	herd_buf_printf(out, "\nhost\t");
	herd_put_text(out, m->hostname);
	herd_buf_printf(out,
			"\nprocessors\t%u\nmemory\t%" PRIu64
			"\nKASLR\t0x%" PRIx64 "\nphys_base\t0x%" PRIx64
			"\nlevels\t%d\n",
			m->cpus, m->memory, (uint64_t)m->facts.kaslr,
			m->facts.phys_base, m->facts.five_level ? 5 : 4);
}

static void put_module_seen(uint32_t seen, struct herd_buf *out)
{
	static const char *const views[] = { "list", "tree", "sysfs", "vmap" };
	bool any = false;

	for (size_t i = 0; i < ARRAY_SIZE(views); i++) {
		if (!(seen & 1u << i))
			continue;
		herd_buf_printf(out, "%s%s", any ? "," : "", views[i]);
		any = true;
	}
}

void herd_kernel_modules(const struct herd_machine *m,
			 const struct herd_shown *s, struct herd_buf *out)
{
	herd_buf_printf(out, "# name\tsize\trefs\tused by\tstate\taddress\t"
			     "taints\tseen\tsrcversion\n");
	put_unread(m, HERD_UNREAD_MODULES,
		   "the list of modules could not be read to its end: what is "
		   "not in it is not told as hidden",
		   out);
	put_unread(m, HERD_UNREAD_MODULE_MEMORY,
		   "part of the memory of modules could not be read: some may "
		   "be missing here",
		   out);
	for (uint32_t i = 0; i < m->n_modules; i++) {
		const struct herd_module *o = &m->modules[i];

		if (!shows(s, HERD_SUBJECT_MODULE, i))
			continue;
		herd_put_text(out, o->name[0] ? o->name : "-");
		herd_buf_printf(out, "\t%" PRIu64 "\t%u\t", o->size, o->refs);
		herd_put_text(out, o->used_by[0] ? o->used_by : "-");
		herd_buf_printf(out, "\t%c\t0x%" PRIx64 "\t0x%x\t",
				o->state ? o->state : '?', o->base, o->taints);
		put_module_seen(o->seen, out);
		herd_buf_u8(out, '\t');
		herd_put_text(out, o->srcversion[0] ? o->srcversion : "-");
		herd_buf_u8(out, '\n');
	}
}

int herd_kernel_modules_json(const struct herd_machine *m,
			     const struct herd_shown *s, struct herd_buf *out)
{
	struct herd_json j;

	herd_json_begin(&j, out, 1);
	herd_json_array(&j, NULL);
	for (uint32_t i = 0; i < m->n_modules; i++) {
		const struct herd_module *o = &m->modules[i];

		if (!shows(s, HERD_SUBJECT_MODULE, i))
			continue;
		herd_json_object(&j, NULL);
		herd_json_bytes(&j, "name", o->name, strlen(o->name));
		herd_json_uint(&j, "base", o->base);
		herd_json_uint(&j, "size", o->size);
		herd_json_uint(&j, "refs", o->refs);
		herd_json_uint(&j, "taints", o->taints);
		herd_json_bytes(&j, "used_by", o->used_by, strlen(o->used_by));
		herd_json_bytes(&j, "srcversion", o->srcversion,
				strlen(o->srcversion));
		herd_json_hex(&j, "text_sha256", o->text, sizeof(o->text));
		herd_json_bool(&j, "in_list", o->seen & HERD_MODULE_LIST);
		herd_json_bool(&j, "in_tree", o->seen & HERD_MODULE_TREE);
		herd_json_bool(&j, "in_sysfs", o->seen & HERD_MODULE_SYSFS);
		herd_json_bool(&j, "in_vmap", o->seen & HERD_MODULE_VMAP);
		herd_json_end(&j);
	}
	herd_json_end(&j);
	return herd_json_finish(&j);
}

void herd_kernel_hooks(const struct herd_machine *m, const struct herd_shown *s,
		       struct herd_buf *out)
{
	static const char *const kinds[HERD_HOOK_MAX] = {
		[HERD_HOOK_SYSCALL] = "system call",
		[HERD_HOOK_IDT] = "IDT",
		[HERD_HOOK_FTRACE] = "ftrace",
		[HERD_HOOK_KPROBE] = "kprobe",
		[HERD_HOOK_TEXT] = "kernel text",
		[HERD_HOOK_OPS] = "operations",
		[HERD_HOOK_BPF] = "BPF",
	};

	herd_buf_printf(out, "# kind\tnumber\tat\ttarget\twhat\tleads to\t"
			     "expected\n");
	put_unread(
		m, HERD_UNREAD_MODULE_MEMORY,
		"part of the memory of modules could not be read: what leads "
		"there is not judged, and stands here as expected",
		out);
	for (uint32_t i = 0; i < m->n_hooks; i++) {
		const struct herd_hook *h = &m->hooks[i];

		if (!shows(s, HERD_SUBJECT_HOOK, i))
			continue;
		herd_buf_printf(out, "%s\t%u\t0x%" PRIx64 "\t0x%" PRIx64 "\t",
				(unsigned)h->kind < HERD_HOOK_MAX ?
					kinds[h->kind] :
					"?",
				h->number, h->at, h->target);
		herd_put_text(out, h->name);
		herd_buf_u8(out, '\t');
		herd_put_text(out, h->target_name);
		herd_buf_printf(out, "\t%s\n", h->expected ? "yes" : "no");
	}
}

void herd_kernel_problems(const struct herd_machine *m, struct herd_buf *out)
{
	for (size_t i = 0; i < m->n_problems; i++) {
		const struct herd_machine_problem *p = &m->problems[i];

		herd_put_text(out, p->where);
		herd_buf_printf(out, ": ");
		herd_put_text(out, p->text);
		if (p->count > 1)
			herd_buf_printf(out, " (%" PRIu64 " times)", p->count);
		herd_buf_u8(out, '\n');
	}
}
