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
#define FOREIGN_FLOOR 60 /* rank of a module, and of a hook that leads to it */

static void start(struct herd_court *c, struct herd_case *k, uint32_t like)
{
	memset(k, 0, sizeof(*k));
	k->self = c->bench.member;
	k->f.key_count = like + k->self;
	k->f.members = herd_bench_others(&c->bench) + c->bench.member;
}

/* ---- modules ---- */

/*
 * Nobody vouches for it: odd in itself. One that is out of the tree and signed
 * by a key that the kernel has is somebody's on purpose, as drivers are that
 * come with the distribution or with the cloud. Where none of the kernel's own
 * is signed, as one of those it is vouched for no less than they are.
 */
static const char *unvouched(const struct herd_court *c,
			     const struct herd_module *m)
{
	const bool own = !(m->taints & HERD_TAINT_OUT_OF_TREE);

	if (m->taints & HERD_TAINT_FORCED)
		return "it was forced in";
	return m->taints & HERD_TAINT_UNSIGNED && !(own && c->unsigned_kernel) ?
		       "not signed" :
		       NULL;
}

static const char *kind_of_module(const struct herd_court *c,
				  const struct herd_module *m, bool on_demand)
{
	const char *text = unvouched(c, m);

	return text ? text :
	       m->taints & HERD_TAINT_OUT_OF_TREE ?
		      "out of the tree, and signed" :
	       on_demand ? "of those that are loaded when they are needed" :
			   "of the kernel's own";
}

/* It may be in the list of modules, or not: the list could not be read. */
static bool may_be_hidden(const struct herd_machine *m,
			  const struct herd_module *o)
{
	return m->unread & HERD_UNREAD_MODULES && !(o->seen & HERD_MODULE_LIST);
}

static void new_module(struct herd_court *c, struct herd_case *k,
		       const struct herd_module *m, uint32_t like, uint32_t all)
{
	char detail[160];
	bool odd = unvouched(c, m) != NULL;
	bool foreign = odd || m->taints & HERD_TAINT_OUT_OF_TREE;
	bool on_demand = !foreign && herd_module_on_demand(m->name);
	bool herd = all >= HERD_LEAST, deviates;
	double rank = all ? herd_rank(all, all - like, like, 0) : 0;

	/* of the kernel's own there is nothing to say without a herd */
	if ((all && like * 2 >= all) || (!herd && !foreign))
		return;
	/* one of the kernel's own that another has, too, was needed there */
	deviates = odd || (herd && (foreign || (!on_demand && !like)));
	if (odd && !like && rank < FOREIGN_FLOOR)
		rank = FOREIGN_FLOOR;
	snprintf(detail, sizeof(detail), "%s%s",
		 kind_of_module(c, m, on_demand),
		 may_be_hidden(c->m, m) ?
			 "; whether it is hidden is not known" :
			 "");
	herd_case_add(k, &(struct herd_mark_said){
				 .bit = HERD_MARK_MODULE,
				 .deviates = deviates,
				 .rank = rank * (foreign ? 1 : OWN_MODULE),
				 .severity = foreign ? 85 : 0,
				 .detail = detail,
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
	new_module(c, &k, m, others.same, all);
	other_module(c, &k, m);
	for (uint32_t i = o->first; i < o->first + o->n; i++) {
		const struct herd_trait *t = &own->traits[i];

		const uint32_t bit = 1u << t->aspect;

		if (bit != HERD_MARK_HIDDEN && bit != HERD_MARK_ODD_MODULE)
			continue;
		herd_bench_ask(&c->bench, t->aspect, herd_text(own, o->key), "",
			       &others);
		if (others.same && others.same * 2 >= all)
			continue;
		herd_case_add(&k, &(struct herd_mark_said){
					  .bit = bit,
					  .deviates = true,
					  .rank = herd_mark_info(bit)->floor,
					  .detail = herd_text(own, t->detail),
					  .same = others.same,
					  .of = all });
	}
	herd_court_close(c, &k, o);
}

/* ---- hooks ---- */

static const struct herd_module *module_at(const struct herd_machine *m,
					   uint64_t va)
{
	for (size_t i = 0; i < m->n_modules; i++)
		if (va - m->modules[i].base < m->modules[i].size)
			return &m->modules[i];
	return NULL;
}

static bool is_hidden(const struct herd_machine *m, const struct herd_module *o)
{
	for (size_t i = 0;
	     i < m->n_modules && !(m->unread & HERD_UNREAD_MODULES); i++)
		if (m->modules[i].seen & HERD_MODULE_LIST)
			return !(o->seen & HERD_MODULE_LIST);
	return false;
}

/* Why nothing of the kernel's, nor what anybody vouches for, is where a hook
   leads; NULL: it may be. */
static const char *stray(const struct herd_court *c, const struct herd_hook *h)
{
	const struct herd_machine *m = c->m;
	const struct herd_module *o = module_at(m, h->target);

	if (!o) /* the kernel's text and programs of BPF have names */
		return !strcmp(h->target_name, HERD_HOOK_NOWHERE) ?
			       "no module is there" :
			       NULL;
	return is_hidden(m, o)		     ? "that module is hidden" :
	       herd_module_is_odd(o)	     ? "that module is unlike any" :
	       o->taints & HERD_TAINT_FORCED ? "that module was forced in" :
	       unvouched(c, o)		     ? "that module is not signed" :
					       NULL;
}

void herd_judge_hook(struct herd_court *c, const struct herd_owner *o)
{
	static const uint8_t severity[HERD_HOOK_MAX] = {
		[HERD_HOOK_SYSCALL] = 95, [HERD_HOOK_IDT] = 95,
		[HERD_HOOK_FTRACE] = 75,  [HERD_HOOK_KPROBE] = 65,
		[HERD_HOOK_TEXT] = 95,	  [HERD_HOOK_OPS] = 90,
		[HERD_HOOK_BPF] = 60,
	};
	const struct herd_hook *h = &c->m->hooks[o->index];
	const char *astray = stray(c, h);
	/* tracing alone says nothing */
	const bool tracing = severity[h->kind] < 90;
	uint32_t all = herd_bench_others(&c->bench);
	struct herd_others others;
	struct herd_case k;
	double rank, floor = !tracing ? 85 : astray ? FOREIGN_FLOOR : 40;
	char detail[320];

	herd_bench_ask(&c->bench, HERD_ASPECT(HERD_MARK_HOOK),
		       herd_text(c->bench.own, o->key), "", &others);
	if (others.same && others.same * 2 >= all)
		return;
	start(c, &k, others.same);
	rank = all ? herd_rank(all, all - others.same, others.same, 0) : 0;
	if (!others.same && rank < floor)
		rank = floor;
	snprintf(detail, sizeof(detail), "%.256s%s%s",
		 herd_text(c->bench.own, o->label), astray ? "; " : "",
		 astray ? astray : "");
	herd_case_add(
		&k,
		&(struct herd_mark_said){
			.bit = HERD_MARK_HOOK,
			.deviates = !tracing || astray || all >= HERD_LEAST,
			.rank = rank,
			.severity = astray && tracing ? 85 : severity[h->kind],
			.detail = detail,
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
	k.f.key_count = 0;
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
