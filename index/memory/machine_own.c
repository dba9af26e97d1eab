/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is odd about a process by itself. Each is a trait with a value, so that
 * it can be seen whether the herd's process of the same key has it, too.
 */
#include "index/memory/machine_judge_internal.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static const struct herd_mfile *file_of(const struct herd_boil *b, uint32_t i)
{
	return i < b->m->n_files ? &b->m->files[i] : NULL;
}

/* ---- memory ---- */

/* What the kernel itself maps so. */
static bool is_kernels(const struct herd_vma *v)
{
	return v->name[0] == '[' &&
	       herd_word_in(v->name, (const char *const[]){
					     "[vdso]", "[vsyscall]", "[vvar]",
					     "[uprobes]", "[vvar_vclock]",
					     "[sigpage]", "[vectors]", NULL });
}

static void range_text(const struct herd_vma *v, char *out, size_t size)
{
	snprintf(out, size, "%" PRIx64 "-%" PRIx64 " %c%c%c%c", v->start,
		 v->end, v->flags & HERD_VM_READ ? 'r' : '-',
		 v->flags & HERD_VM_WRITE ? 'w' : '-',
		 v->flags & HERD_VM_EXEC ? 'x' : '-',
		 v->flags & HERD_VM_MAYSHARE ? 's' : 'p');
}

/* The first of several is named, and how many there are. */
struct some {
	unsigned n;
	const struct herd_vma *first;
};
static void note(struct some *s, const struct herd_vma *v)
{
	if (!s->n++)
		s->first = v;
}

static void say_some(struct herd_boil *b, uint32_t bit, const struct some *s,
		     const char *value)
{
	char range[64], text[192];

	if (!s->n)
		return;
	range_text(s->first, range, sizeof(range));
	snprintf(text, sizeof(text), "%u region%s, the first %s %.64s", s->n,
		 s->n == 1 ? "" : "s", range, s->first->name);
	herd_boil_add(b, bit, value, text, false);
}

/* Mappings of libraries that are on no disk (any more). */
static void code_file(struct herd_boil *b, const struct herd_process *p,
		      const struct herd_vma *v)
{
	const struct herd_mfile *f = file_of(b, v->file);
	struct herd_buf value CLEANUP_BUF = HERD_BUF_INIT;

	if (!f || v->file == p->exe ||
	    (!f->deleted && f->kind == HERD_MFILE_PLAIN &&
	     !herd_is_memory_fs(f->fs)) ||
	    (f->kind != HERD_MFILE_PLAIN && f->kind != HERD_MFILE_MEMFD &&
	     f->kind != HERD_MFILE_SHM))
		return;
	herd_norm_library(&value, f->path);
	herd_buf_u8(&value, 0);
	if (!value.failed)
		herd_boil_add(b, HERD_MARK_DELETED_LIB, (char *)value.data,
			      f->path, false);
	else
		b->err = -ENOMEM;
}

static void memory(struct herd_boil *b, const struct herd_process *p)
{
	struct some anon = { 0 }, wx = { 0 }, stack = { 0 };

	for (size_t i = 0; i < p->n_vmas; i++) {
		const struct herd_vma *v = &p->vmas[i];
		const struct herd_mfile *f = file_of(b, v->file);
		bool on_stack = v->flags & HERD_VM_GROWSDOWN ||
				!strcmp(v->name, "[stack]");

		if (!(v->flags & HERD_VM_EXEC) || is_kernels(v) ||
		    (v->flags & (HERD_VM_IO | HERD_VM_PFNMAP)))
			continue;
		if (v->flags & HERD_VM_WRITE)
			note(on_stack ? &stack : &wx, v);
		if (v->flags & HERD_VMA_UNNAMED)
			continue; /* of a file: it is only not known which */
		if (!f || herd_is_shared_memory(f))
			note(on_stack ? &stack : &anon, v);
		else
			code_file(b, p, v);
	}
	say_some(b, HERD_MARK_ANON_EXEC, &anon, "memory");
	say_some(b, HERD_MARK_WX, &wx, "memory");
	/* programs whose header asks for it have that; others do not */
	say_some(b, HERD_MARK_WX, &stack, "stack");
}

/* ---- the program ---- */

static void program(struct herd_boil *b, const struct herd_process *p)
{
	const struct herd_mfile *f = file_of(b, p->exe);

	if (!f)
		return;
	if (f->kind != HERD_MFILE_PLAIN || herd_is_memory_fs(f->fs))
		herd_boil_add(b, HERD_MARK_MEMFD_EXE, f->fs, f->path, false);
	else if (f->deleted)
		herd_boil_add(b, HERD_MARK_DELETED_EXE, "", f->path, false);
}

/* ---- names ---- */

/* One is the beginning of the other: comm is cut at 15 bytes. */
static bool akin(const char *comm, const char *name, size_t len)
{
	size_t n = strlen(comm);

	return n && len && !strncmp(comm, name, n < len ? n : len);
}

static bool comm_fits(const struct herd_boil *b, const struct herd_process *p)
{
	char comm[sizeof(p->comm)];
	const char *exe = herd_base_name(herd_exe_path(b->m, p));
	size_t len, at = 0;

	snprintf(comm, sizeof(comm), "%s", p->comm + (p->comm[0] == '('));
	len = strlen(comm);
	if (len && comm[len - 1] == ')')
		comm[len - 1] = '\0';
	if (akin(comm, exe, strlen(exe)))
		return true;
	for (int i = 0; at < p->n_argv && i < 16; i++) {
		const char *w = p->argv + at;
		size_t n = strnlen(w, p->n_argv - at);
		const char *slash = memrchr(w, '/', n);
		size_t skip = slash ? (size_t)(slash - w) + 1 : 0;

		if (skip < n && (w[skip] == '-' || w[skip] == '('))
			skip++;
		if (akin(comm, w + skip, n - skip))
			return true;
		at += n + 1;
	}
	return false;
}

static bool like_kthread(const struct herd_boil *b, const char *name,
			 const char *exe)
{
	struct herd_buf norm CLEANUP_BUF = HERD_BUF_INIT;
	const char *base = herd_base_name(exe);

	if (!strcmp(name, base) && herd_system_place(exe))
		return false;
	if (herd_kthread_name(name))
		return true;
	if (akin(name, base, strlen(base)))
		return false;
	herd_norm_kthread(&norm, name);
	return norm.len && strchr(name, '/') &&
	       herd_strings_find(&b->kthreads, norm.data, norm.len) !=
		       HERD_STRING_NONE;
}

static bool in_brackets(const struct herd_process *p)
{
	size_t n = strnlen(p->argv ? p->argv : "", p->n_argv);

	return n > 2 && p->argv[0] == '[' && p->argv[n - 1] == ']';
}

static void names(struct herd_boil *b, const struct herd_process *p)
{
	const char *exe = herd_exe_path(b->m, p);
	char text[256];

	if (!exe[0] && !p->mm)
		return; /* on its way out */
	if (in_brackets(p)) {
		snprintf(text, sizeof(text),
			 "its arguments begin with %.64s, it runs %.96s",
			 p->argv, exe[0] ? exe : "no file");
		herd_boil_add(b, HERD_MARK_FAKE_KTHREAD, "argv", text, false);
	} else if (like_kthread(b, p->comm, exe)) {
		snprintf(text, sizeof(text), "is called %s, it runs %.96s",
			 p->comm, exe[0] ? exe : "no file");
		herd_boil_add(b, HERD_MARK_FAKE_KTHREAD, "comm", text, false);
	} else if (exe[0] && !comm_fits(b, p)) {
		struct herd_buf value CLEANUP_BUF = HERD_BUF_INIT;

		herd_norm_kthread(&value, p->comm);
		herd_buf_u8(&value, 0);
		snprintf(text, sizeof(text), "is called %s, it runs %.96s",
			 p->comm, exe);
		if (!value.failed)
			herd_boil_add(b, HERD_MARK_COMM, (char *)value.data,
				      text, false);
	}
}

/* ---- the environment ---- */

static void loader(struct herd_boil *b, const struct herd_process *p)
{
	static const char *const words[] = {
		"LD_PRELOAD=",	      "LD_AUDIT=",	  "LD_LIBRARY_PATH=",
		"LD_PROFILE_OUTPUT=", "LD_DYNAMIC_WEAK=", NULL
	};

	for (size_t at = 0; at < p->n_environ;) {
		const char *e = p->environ + at;
		size_t n = strnlen(e, p->n_environ - at);

		for (size_t i = 0; words[i]; i++) {
			struct herd_buf value CLEANUP_BUF = HERD_BUF_INIT;
			char text[192];
			size_t head = strlen(words[i]);

			if (n <= head || memcmp(e, words[i], head))
				continue;
			herd_norm_text(&value, e, n < 512 ? n : 512,
				       b->m->hostname);
			herd_buf_u8(&value, 0);
			snprintf(text, sizeof(text), "%.*s",
				 (int)(n < 180 ? n : 180), e);
			if (!value.failed)
				herd_boil_add(b, HERD_MARK_LD_ENV,
					      (char *)value.data, text, i > 1);
		}
		at += n + 1;
	}
}

/* ---- who sees it ---- */

static void views_text(const struct herd_boil *b, uint32_t seen, char *out,
		       size_t size)
{
	static const char *const names[] = { "the list of tasks",
					     "the table of pids", "the slab",
					     "a processor",
					     "a list of children" };
	int at = snprintf(out, size, "in");
	bool none = true;

	for (unsigned i = 0; i < 5; i++)
		if (seen >> i & 1 && at > 0 && (size_t)at < size) {
			at += snprintf(out + at, size - (size_t)at, "%s %s",
				       none ? "" : ",", names[i]);
			none = false;
		}
	if (none)
		at += snprintf(out + at, size - (size_t)at, " none");
	for (unsigned i = 0; i < 2; i++)
		if ((b->views & ~b->m->unread) >> i & 1 && !(seen >> i & 1) &&
		    at > 0 && (size_t)at < size)
			at += snprintf(out + at, size - (size_t)at,
				       ", not in %s", names[i]);
}

static void hidden(struct herd_boil *b, const struct herd_process *p,
		   uint32_t flags)
{
	/* of what could not be read to its end nothing is missing for sure */
	uint32_t must = b->views & (HERD_SEEN_LIST | HERD_SEEN_PIDS) &
			~b->m->unread;
	char text[192];
	unsigned threads = 0;

	if (flags & HERD_IS_EXITING || p->pid <= 0)
		return;
	if (must & ~p->seen) {
		views_text(b, p->seen, text, sizeof(text));
		herd_boil_add(b, HERD_MARK_HIDDEN, "", text, false);
		return;
	}
	if (p->threads_unread)
		must &= ~(uint32_t)HERD_SEEN_LIST;
	for (size_t i = 1; i < p->n_threads; i++) {
		const struct herd_thread *t = &p->threads[i];

		if (must & ~t->seen && t->state != 'X' && t->state != 'Z' &&
		    t->seen)
			threads++;
	}
	if (!threads)
		return;
	snprintf(text, sizeof(text),
		 "%u of its threads are in one view and not in another",
		 threads);
	herd_boil_add(b, HERD_MARK_HIDDEN, "threads", text, false);
}

static void traced(struct herd_boil *b, const struct herd_process *p)
{
	for (size_t i = 0; i < p->n_threads; i++)
		if (p->threads[i].state == 't') {
			herd_boil_add(b, HERD_MARK_PTRACED, "",
				      "stopped by who traces it", false);
			return;
		}
}

/* ---- pages ---- */

static const char *kind_text(enum herd_page_change_kind k)
{
	switch (k) {
	case HERD_CHANGE_BREAKPOINTS:
		return "breakpoints (int3): a debugger, or a uprobe";
	case HERD_CHANGE_RELOCATIONS:
		return "the file asks for its text to be relocated";
	case HERD_CHANGE_TAIL:
		return "behind the end of the file";
	case HERD_CHANGE_UNWRITTEN:
		return "not yet written to the disk";
	case HERD_CHANGE_OTHER:
	case HERD_CHANGE_MAX:
		break;
	}
	return "written over";
}

static void page(struct herd_boil *b, const struct herd_page_change *c)
{
	const struct herd_mfile *f = file_of(b, c->file);
	struct herd_buf value CLEANUP_BUF = HERD_BUF_INIT;
	char text[256];
	bool soft = c->kind == HERD_CHANGE_BREAKPOINTS ||
		    c->kind == HERD_CHANGE_RELOCATIONS;

	if (!f)
		return;
	herd_norm_library(&value, f->path);
	herd_buf_printf(&value, "#%" PRIu64, c->index);
	herd_buf_u8(&value, 0);
	snprintf(text, sizeof(text),
		 "page %" PRIu64 " of %.128s at %" PRIx64
		 ": %u bytes from %u on: %s",
		 c->index, f->path, c->va, c->bytes, c->first,
		 kind_text(c->kind));
	if (value.failed)
		b->err = -ENOMEM;
	else
		herd_boil_add(b, HERD_MARK_TEXT, (char *)value.data, text,
			      soft);
}

static void pages(struct herd_boil *b, uint32_t index)
{
	unsigned said = 0;

	for (uint32_t i = b->change_first[index];
	     i != HERD_NO_INDEX && said < 64; i = b->change_next[i]) {
		const struct herd_page_change *c = &b->m->page_changes[i];

		/* not known to differ: no mark */
		if (c->against == HERD_AGAINST_NOTHING)
			continue;
		page(b, c);
		said++;
	}
}

void herd_boil_own(struct herd_boil *b, uint32_t index, uint32_t flags)
{
	const struct herd_process *p = &b->m->processes[index];

	hidden(b, p, flags);
	if (p->kthread || flags & HERD_IS_EXITING)
		return;
	memory(b, p);
	program(b, p);
	names(b, p);
	loader(b, p);
	traced(b, p);
	pages(b, index);
}
