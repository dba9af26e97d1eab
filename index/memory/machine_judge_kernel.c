/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Judging modules, hooks, sockets that nobody owns, and the pages of files as
 * the page cache has them.
 */
#include "index/memory/machine_judge_internal.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define HERD_LEAST 2
#define OWN_MODULE \
	0.6 /* part of the rank: a device may be all there is to it */
/* TAINT_FORCED_MODULE, TAINT_OOT_MODULE, TAINT_UNSIGNED_MODULE */
#define TAINTS_FOREIGN (1u << 1 | 1u << 12 | 1u << 13)

static void start(struct herd_court *c, struct herd_case *k, uint32_t like)
{
	memset(k, 0, sizeof(*k));
	k->f.count = like + c->bench.member;
	k->f.members = herd_bench_others(&c->bench) + c->bench.member;
}

/* ---- modules ---- */

static void new_module(struct herd_case *k, const struct herd_module *m,
		       uint32_t like, uint32_t all)
{
	bool foreign = m->taints & TAINTS_FOREIGN;
	bool on_demand = !foreign && herd_module_on_demand(m->name);

	if (all < HERD_LEAST || like * 2 >= all)
		return;
	herd_case_add(
		k,
		&(struct herd_mark_said){
			.bit = HERD_MARK_MODULE,
			/* one of the kernel's own that another has, too, was
			   needed there */
			.deviates = foreign || (!on_demand && !like),
			.rank = herd_rank(all, all - like, like, 0) *
				(foreign ? 1 : OWN_MODULE),
			.severity = foreign ? 85 : 0,
			.detail =
				foreign ?
					"not of the kernel's own, or not signed" :
				on_demand ?
					"of those that are loaded when they are needed" :
					"of the kernel's own",
			.same = like,
			.of = all });
}

/* The same module of the same kernel with another text. */
static void other_module(struct herd_court *c, struct herd_case *k,
			 const struct herd_module *m)
{
	static const uint8_t none[32];
	char key[192], hex[65], value[192];
	struct herd_others o;

	snprintf(key, sizeof(key), "k %s %s", m->name, c->m->facts.release);
	snprintf(value, sizeof(value), "%s %s", m->srcversion,
		 memcmp(m->text, none, 32) ? herd_hex(m->text, 32, hex) : "");
	if (value[0] == ' ' && !value[1])
		return;
	herd_bench_ask(&c->bench, HERD_ASPECT(HERD_MARK_TEXT), key, value, &o);
	if (o.same || o.slot < HERD_LEAST || o.top * 2 <= o.slot)
		return;
	herd_case_add(
		k, &(struct herd_mark_said){
			   .bit = HERD_MARK_TEXT,
			   .deviates = true,
			   .rank = herd_rank(o.slot, o.top, 0, o.kinds),
			   .technique = "T1014",
			   .detail = "not the text that the same kernel's has",
			   .of = o.slot });
}

void herd_judge_module(struct herd_court *c, const struct herd_owner *o)
{
	const struct herd_module *m = &c->m->modules[o->index];
	const struct herd_traits *own = c->bench.own;
	uint32_t all = herd_bench_others(&c->bench);
	struct herd_others others;
	struct herd_case k;

	herd_bench_ask(&c->bench, HERD_ASPECT(HERD_MARK_MODULE),
		       herd_text(own, o->key), "", &others);
	start(c, &k, others.same);
	new_module(&k, m, others.same, all);
	other_module(c, &k, m);
	for (uint32_t i = o->first; i < o->first + o->n; i++) {
		const struct herd_trait *t = &own->traits[i];

		if (1u << t->aspect != HERD_MARK_HIDDEN)
			continue;
		herd_bench_ask(&c->bench, t->aspect, herd_text(own, o->key), "",
			       &others);
		if (others.same && others.same * 2 >= all)
			continue;
		herd_case_add(
			&k,
			&(struct herd_mark_said){
				.bit = HERD_MARK_HIDDEN,
				.deviates = true,
				.rank = herd_mark_info(HERD_MARK_HIDDEN)->floor,
				.detail = herd_text(own, t->detail),
				.same = others.same,
				.of = all });
	}
	herd_court_close(c, &k, o);
}

/* ---- hooks ---- */

void herd_judge_hook(struct herd_court *c, const struct herd_owner *o)
{
	static const uint8_t severity[HERD_HOOK_MAX] = {
		[HERD_HOOK_SYSCALL] = 95, [HERD_HOOK_IDT] = 95,
		[HERD_HOOK_FTRACE] = 75,  [HERD_HOOK_KPROBE] = 65,
		[HERD_HOOK_TEXT] = 95,	  [HERD_HOOK_OPS] = 90,
		[HERD_HOOK_BPF] = 60,
	};
	const struct herd_hook *h = &c->m->hooks[o->index];
	uint32_t all = herd_bench_others(&c->bench);
	struct herd_others others;
	struct herd_case k;
	double rank, floor = severity[h->kind] >= 90 ? 85 : 40;

	herd_bench_ask(&c->bench, HERD_ASPECT(HERD_MARK_HOOK),
		       herd_text(c->bench.own, o->key), "", &others);
	if (others.same && others.same * 2 >= all)
		return;
	start(c, &k, others.same);
	rank = all ? herd_rank(all, all - others.same, others.same, 0) : 0;
	if (!others.same && rank < floor)
		rank = floor;
	herd_case_add(&k, &(struct herd_mark_said){
				  .bit = HERD_MARK_HOOK,
				  /* tracing alone says nothing */
				  .deviates = all >= HERD_LEAST || floor > 40,
				  .rank = rank,
				  .severity = severity[h->kind],
				  .detail = herd_text(c->bench.own, o->label),
				  .same = others.same,
				  .of = all });
	herd_court_close(c, &k, o);
}

/* ---- sockets ---- */

void herd_judge_socket(struct herd_court *c, const struct herd_owner *o)
{
	const struct herd_traits *own = c->bench.own;
	uint32_t all = herd_bench_others(&c->bench);
	const struct herd_trait *t = &own->traits[o->first];
	struct herd_others others;
	struct herd_case k;

	if (!o->n || all < HERD_LEAST)
		return;
	herd_bench_ask(&c->bench, t->aspect, herd_text(own, o->key), "",
		       &others);
	if (others.same * 2 >= all)
		return;
	start(c, &k, others.same);
	herd_case_add(
		&k,
		&(struct herd_mark_said){
			.bit = 1u << t->aspect,
			.deviates = !own->fds_unread,
			.rank = herd_rank(all, all - others.same, others.same,
					  0),
			.detail =
				own->fds_unread ?
					"no process is known to have it open, but not all could be read" :
					"no process has it open: the kernel's own, or hidden",
			.same = others.same,
			.of = all });
	herd_court_close(c, &k, o);
}

/* ---- files ---- */

static void cached(struct herd_court *c, struct herd_case *k,
		   const struct herd_owner *o, const struct herd_trait *t)
{
	const struct herd_traits *own = c->bench.own;
	uint32_t all = herd_bench_others(&c->bench);
	const double floor = herd_mark_info(HERD_MARK_TEXT)->floor;
	struct herd_others others;

	herd_bench_ask(&c->bench, t->aspect, herd_text(own, o->key),
		       herd_text(own, t->value), &others);
	if (others.same && others.same * 2 >= all)
		return;
	herd_case_add(k,
		      &(struct herd_mark_said){
			      .bit = HERD_MARK_TEXT,
			      .deviates = !t->soft,
			      .rank = others.same ?
					      herd_rank(all, all - others.same,
							others.same, 0) :
					      floor,
			      .detail = herd_text(own, t->detail),
			      .same = others.same,
			      .of = all });
}

static size_t first_digest(const struct herd_machine *m, uint32_t file)
{
	size_t lo = 0, hi = m->n_page_digests;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (m->page_digests[mid].file < file)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

/*
 * Pages that no disk vouches for, held against the siblings': where most are
 * theirs and a few are not, somebody wrote to those. Where most are not it is
 * another version of the file.
 */
static void against_siblings(struct herd_court *c, struct herd_case *k,
			     uint32_t file)
{
	const struct herd_machine *m = c->m;
	const char *path = m->files[file].path;
	uint64_t same = 0, other = 0, first = 0;
	struct herd_others found = { 0 };
	char detail[192];

	for (size_t i = first_digest(m, file);
	     i < m->n_page_digests && m->page_digests[i].file == file; i++) {
		const struct herd_page_digest *d = &m->page_digests[i];
		char *key CLEANUP_FREE = NULL, hex[33];
		struct herd_others o;

		if (asprintf(&key, "g %s#%" PRIu64, path, d->index) < 0) {
			key = NULL;
			c->err = -ENOMEM;
			return;
		}
		herd_bench_ask(&c->bench, HERD_ASPECT(HERD_MARK_TEXT), key,
			       herd_hex(d->digest, 16, hex), &o);
		same += o.same > 0;
		if (o.same || o.slot < HERD_LEAST || o.top * 2 <= o.slot)
			continue;
		if (!other++) {
			first = d->index;
			found = o;
		}
	}
	if (!other || other > (same > 4 ? same / 4 : 1) || !same)
		return;
	snprintf(detail, sizeof(detail),
		 "page %" PRIu64
		 "%s is another one than the siblings have, %" PRIu64
		 " are theirs",
		 first, other > 1 ? " (and more)" : "", same);
	herd_case_add(k, &(struct herd_mark_said){
				 .bit = HERD_MARK_TEXT,
				 .deviates = true,
				 .rank = herd_rank(found.slot, found.top, 0,
						   found.kinds),
				 .detail = detail,
				 .of = found.slot });
}

void herd_judge_file(struct herd_court *c, const struct herd_owner *o)
{
	const struct herd_traits *own = c->bench.own;
	enum herd_class class;
	struct herd_case k;

	start(c, &k, 0);
	for (uint32_t i = o->first; i < o->first + o->n; i++)
		cached(c, &k, o, &own->traits[i]);
	if (o->flags & HERD_HAS_DIGESTS)
		against_siblings(c, &k, o->index);
	if (c->mappers[o->index] && herd_court_disk(c, o->index, &class) &&
	    class == HERD_CLASS_DEVIANT) {
		char text[64];

		snprintf(text, sizeof(text), "mapped by %u process%s",
			 c->mappers[o->index],
			 c->mappers[o->index] == 1 ? "" : "es");
		herd_case_add(
			&k,
			&(struct herd_mark_said){
				.bit = HERD_MARK_DISK,
				.deviates = true,
				.rank = herd_mark_info(HERD_MARK_DISK)->floor,
				.detail = text });
	}
	herd_court_close(c, &k, o);
}
