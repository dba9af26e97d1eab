/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Judging a process: whether it is new, what is odd about it in itself, and
 * what the disk says of what it runs. What is held against the herd's is in
 * machine_judge_against.c.
 *
 * What is odd in itself is none where half of the herd's processes of that key
 * have it, too. Where the herd has no such process, all members are asked.
 */
#include "index/memory/machine_judge_internal.h"

#include <stdio.h>
#include <string.h>

#define HERD_LEAST 2  /* other members; fewer have no say */
#define FEW_MAPPERS 8 /* a library that more have mapped is told by itself */

static void add(struct herd_hearing *h, struct herd_mark_said s)
{
	herd_case_add(&h->k, &s);
}

/* ---- new ---- */

static const char *why_passing(uint32_t flags)
{
	return flags & HERD_IS_KTHREAD	 ? "a thread of the kernel" :
	       flags & HERD_IS_EXITING	 ? "on its way out" :
	       flags & HERD_IS_SESSION	 ? "of somebody who logged in" :
	       flags & HERD_IS_SCHEDULED ? "started by cron or a timer" :
	       flags & HERD_IS_YOUNG	 ? "a transient child" :
					   "such come and go";
}

/* Its name, or its port, is another program's in the herd. */
static void impostor(struct herd_hearing *h, const char *key, const char *what)
{
	struct herd_others o;
	char text[320];

	if (herd_process_is_unnamed(h->p))
		return;
	herd_bench_ask(&h->c->bench, HERD_ASPECT(HERD_MARK_EXE), key, h->exe,
		       &o);
	if (o.slot * 2 < h->all || o.same || o.top * 2 < h->all || !o.top_value)
		return;
	snprintf(text, sizeof(text), "%s is %.200s elsewhere", what,
		 o.top_value);
	add(h, (struct herd_mark_said){
		       .bit = HERD_MARK_EXE,
		       .deviates = !h->passing,
		       .rank = herd_rank(h->all, o.top, 0, o.kinds),
		       .detail = text,
		       .of = h->all });
}

/* What it runs is not known, or, of an image that lacks more, with what
   arguments: its key is not what it would be. Arguments alone may have been
   swapped out on purpose. */
static bool half_read(const struct herd_hearing *h)
{
	return herd_process_is_unnamed(h->p) ||
	       (h->p->args_unreadable && h->c->m->unread);
}

static void new_process(struct herd_hearing *h)
{
	bool odd = h->o->flags & HERD_IS_ODD_PLACE;
	bool unread = half_read(h);
	char key[96];

	if (!h->herd || h->like * 2 >= h->all)
		return;
	add(h,
	    (struct herd_mark_said){
		    .bit = HERD_MARK_NEW_PROCESS,
		    .deviates = (!h->passing && !unread) || odd,
		    .rank = herd_rank(h->all, h->all - h->like, h->like, 0),
		    .severity = odd ? 80 : 0,
		    .detail =
			    odd ? "from a place for no programs" :
			    unread ?
				  "its program or its arguments could not be read" :
			    h->passing ? why_passing(h->o->flags) :
					 NULL,
		    .technique = (h->passing || unread) && !odd ? "-" : NULL,
		    .same = h->like,
		    .of = h->all });
	if (h->like || !h->exe[0])
		return;
	snprintf(key, sizeof(key), "m comm %s", h->p->comm);
	impostor(h, key, "that name");
}

/* ---- the disk ---- */

static void on_disk(struct herd_hearing *h, const char *what, const char *path)
{
	char text[320];

	snprintf(text, sizeof(text), "%s %.256s", what, path);
	add(h, (struct herd_mark_said){
		       .bit = HERD_MARK_DISK,
		       .deviates = true,
		       .rank = herd_mark_info(HERD_MARK_DISK)->floor,
		       .detail = text });
}

static void script_on_disk(struct herd_hearing *h)
{
	const char *script = herd_script(h->c->m, h->p);
	enum herd_class class;
	char *path CLEANUP_FREE = NULL;

	if (!script)
		return;
	if (script[0] != '/' &&
	    asprintf(&path, "%s/%s", h->p->cwd, script) < 0) {
		path = NULL;
		h->c->err = -ENOMEM;
		return;
	}
	if (path)
		script = path;
	if (script[0] == '/' && herd_court_disk_path(h->c, script, &class) &&
	    class == HERD_CLASS_DEVIANT)
		on_disk(h, "script", script);
}

static void disk(struct herd_hearing *h)
{
	const struct herd_machine *m = h->c->m;
	enum herd_class class;
	uint32_t last = h->p->exe;

	if (h->p->kthread)
		return;
	if (herd_court_disk(h->c, h->p->exe, &class) &&
	    class == HERD_CLASS_DEVIANT)
		on_disk(h, "program", h->exe);
	script_on_disk(h);
	for (size_t i = 0; i < h->p->n_vmas; i++) {
		const struct herd_vma *v = &h->p->vmas[i];

		if (!(v->flags & HERD_VM_EXEC) || v->file >= m->n_files ||
		    v->file == last || h->c->mappers[v->file] > FEW_MAPPERS)
			continue;
		last = v->file;
		if (herd_court_disk(h->c, last, &class) &&
		    class == HERD_CLASS_DEVIANT)
			on_disk(h, "library", m->files[last].path);
	}
}

/* Pages of the cache are everybody's: who runs the file, or one of a few who
   map it, is told of with it. */
static void patched(struct herd_hearing *h)
{
	const struct herd_machine *m = h->c->m;
	uint32_t last = HERD_NO_INDEX;
	char text[320];

	for (size_t i = 0; i < h->p->n_vmas; i++) {
		const struct herd_vma *v = &h->p->vmas[i];

		if (!(v->flags & HERD_VM_EXEC) || v->file >= m->n_files ||
		    v->file == last || !h->c->patched[v->file] ||
		    (v->file != h->p->exe &&
		     h->c->mappers[v->file] > FEW_MAPPERS))
			continue;
		last = v->file;
		snprintf(text, sizeof(text),
			 "%.256s in the page cache differs from the disk",
			 m->files[last].path);
		add(h, (struct herd_mark_said){
			       .bit = HERD_MARK_TEXT,
			       .deviates = true,
			       .rank = herd_mark_info(HERD_MARK_TEXT)->floor,
			       .detail = text });
	}
}

/* ---- odd in itself ---- */

/* What of a mark's loudness the matter itself takes away. */
struct measure {
	bool deviates;
	uint8_t severity; /* 0: the mark's */
	double part;	  /* of the rank */
	const char *but;  /* or NULL */
};

/*
 * A file that was deleted, and whose name is there again: an upgrade does so,
 * and who wants to look like one.
 */
static struct measure deleted(struct herd_hearing *h, const char *path)
{
	struct measure m = { .deviates = true, .part = 1 };
	enum herd_class class;

	if (!path[0] || !herd_court_disk_path(h->c, path, &class))
		return m;
	if (class == HERD_CLASS_DEVIANT) {
		m.but = "what has its name on the disk now deviates";
		return m;
	}
	m.but = "replaced on the disk, as by an upgrade";
	m.severity = 45;
	m.part = 0.5;
	/* packages vouch for what is there now */
	m.deviates = class != HERD_CLASS_VOLATILE && class != HERD_CLASS_DRIFT;
	return m;
}

static bool odd_variable(const char *text)
{
	return strstr(text, "/tmp/") || strstr(text, "/dev/shm/") ||
	       strstr(text, "/var/tmp/") || strstr(text, "/.");
}

static struct measure measure(struct herd_hearing *h,
			      const struct herd_trait *t, uint32_t bit)
{
	const struct herd_traits *own = h->c->bench.own;
	const char *detail = herd_text(own, t->detail);
	const char *value = herd_text(own, t->value);
	bool jit = h->o->flags & HERD_IS_JIT, known = h->herd && h->known;
	struct measure m = { .deviates = !t->soft, .part = 1 };

	switch (bit) {
	case HERD_MARK_ANON_EXEC:
	case HERD_MARK_WX:
		if (jit && !known) {
			m.deviates = false;
			m.but = "programs that make code have such";
		} else if (!strcmp(value, "stack") && !known) {
			m.deviates = false;
			m.but = "its stack: old programs ask for it";
		}
		break;
	case HERD_MARK_DELETED_EXE:
	case HERD_MARK_DELETED_LIB:
		if (!strncmp(detail, "/memfd:", 7))
			m.deviates = !jit;
		else
			m = deleted(h, detail);
		break;
	case HERD_MARK_LD_ENV:
		if (odd_variable(detail))
			m.deviates = true;
		else if (t->soft)
			m = (struct measure){ .deviates = known && !h->passing,
					      .severity = 55,
					      .part = 1 };
		break;
	case HERD_MARK_COMM:
		m.deviates = h->herd && !h->passing;
		break;
	case HERD_MARK_PTRACED:
		m.deviates = !(h->o->flags & HERD_IS_SESSION);
		break;
	default:
		break;
	}
	return m;
}

static void own_mark(struct herd_hearing *h, const struct herd_trait *t,
		     uint32_t bit)
{
	const struct herd_mark_info *info = herd_mark_info(bit);
	const struct herd_traits *own = h->c->bench.own;
	uint32_t of = h->known ? h->like : h->all;
	struct herd_others o;
	struct measure m;
	char text[640];
	double rank, floor;

	herd_bench_ask(&h->c->bench, t->aspect, h->key,
		       herd_text(own, t->value), &o);
	if (o.same && o.same * 2 >= of)
		return;
	m = measure(h, t, bit);
	rank = of ? herd_rank(of, of - o.same, o.same, 0) : 0;
	floor = info->floor * (of ? (double)(of - o.same) / of : 1);
	rank = rank < floor ? floor : rank;
	snprintf(text, sizeof(text), "%.512s%s%s", herd_text(own, t->detail),
		 m.but ? "; " : "", m.but ? m.but : "");
	add(h, (struct herd_mark_said){ .bit = bit,
					.deviates = m.deviates,
					.rank = rank * m.part,
					.severity = m.severity,
					.detail = text,
					.same = o.same,
					.of = of });
}

/* ---- the process ---- */

static void heard(struct herd_hearing *h)
{
	const struct herd_traits *own = h->c->bench.own;

	new_process(h);
	for (uint32_t i = h->o->first; i < h->o->first + h->o->n; i++) {
		const struct herd_trait *t = &own->traits[i];
		uint32_t bit = 1u << t->aspect;
		const struct herd_mark_info *info = herd_mark_info(bit);

		if (bit == HERD_MARK_NEW_PROCESS || !info)
			continue;
		if (info->own)
			own_mark(h, t, bit);
		else
			herd_hear_against(h, t);
		if (bit == HERD_MARK_LISTEN && h->herd && !h->like) {
			char key[160];

			snprintf(key, sizeof(key), "m port %.128s",
				 herd_text(own, t->value));
			impostor(h, key, "on that port");
		}
	}
	patched(h);
	disk(h);
}

void herd_judge_process(struct herd_court *c, const struct herd_owner *o)
{
	struct herd_hearing h = { .c = c,
				  .o = o,
				  .p = &c->m->processes[o->index],
				  .key = herd_text(c->bench.own, o->key) };
	struct herd_others others;

	h.exe = herd_exe_path(c->m, h.p);
	h.all = herd_bench_others(&c->bench);
	h.herd = h.all >= HERD_LEAST;
	herd_bench_ask(&c->bench, HERD_ASPECT(HERD_MARK_NEW_PROCESS), h.key,
		       NULL, &others);
	h.like = others.slot;
	h.known = h.like && h.like * 2 >= h.all;
	h.passing = o->flags & HERD_IS_PASSING;
	h.k.self = c->bench.member;
	h.k.f.key_count = h.like + h.k.self;
	h.k.f.members = h.all + c->bench.member;
	heard(&h);
	herd_court_close(c, &h.k, o);
}
