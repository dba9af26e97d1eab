/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The HTML report: all members are judged once for the sums, and those that
 * are shown one by one once more when it is their turn, so that a thousand
 * members cost no more memory than their numbers.
 *
 * Threads: as index/report_html.h says.
 */
#include "index/report_html_internal.h"

#include "index/cluster.h"

#include <stdio.h>
#include <string.h>

/* ---- paths of several members ---- */

static size_t slot_of(const struct herd_page_paths *s, uint32_t path)
{
	size_t i = (path * 0x9e3779b1u) & (s->n_slots - 1);

	while (s->slots[i] && s->v[s->slots[i] - 1].path != path)
		i = (i + 1) & (s->n_slots - 1);
	return i;
}

static int grow(struct herd_page_paths *s)
{
	size_t cap = s->cap ? s->cap * 2 : 256;
	struct herd_page_path *v = reallocarray(s->v, cap, sizeof(*v));

	if (!v)
		return -ENOMEM;
	s->v = v;
	free(s->slots);
	s->n_slots = cap * 4;
	s->slots = calloc(s->n_slots, sizeof(*s->slots));
	s->cap = s->slots ? cap : 0;
	if (!s->slots)
		return -ENOMEM;
	for (size_t i = 0; i < s->n; i++)
		s->slots[slot_of(s, v[i].path)] = (uint32_t)i + 1;
	return 0;
}

static int find_path(struct herd_page_paths *s, uint32_t path,
		     struct herd_page_path **ret)
{
	size_t slot;
	int err = s->n == s->cap ? grow(s) : 0;

	if (err)
		return err;
	slot = slot_of(s, path);
	if (!s->slots[slot]) {
		s->v[s->n++] = (struct herd_page_path){ .path = path };
		s->slots[slot] = (uint32_t)s->n;
	}
	*ret = &s->v[s->slots[slot] - 1];
	return 0;
}

static void paths_deinit(struct herd_page_paths *s)
{
	free(s->v);
	free(s->slots);
}

/* ---- one member ---- */

static struct herd_page_cell *
cell_of(struct herd_page *p, struct herd_page_member *m, const char *category)
{
	for (size_t i = 0; i < p->n_categories; i++)
		if (strcmp(p->categories[i].name, category) == 0)
			return &m->cells[i];
	return &m->cells[p->n_categories]; /* no rule: others */
}

static int add_to_path(struct herd_page_paths *s, uint32_t instance,
		       const struct herd_finding *f,
		       const struct herd_meaning *meaning)
{
	struct herd_page_path *path = NULL;
	int err = find_path(s, f->path, &path);

	if (err)
		return err;
	if (path->n < HERD_PAGE_HOLDERS)
		path->holders[path->n] = instance;
	path->n++;
	if (!meaning)
		return 0;
	uint8_t score = (uint8_t)herd_score(f, meaning);

	path->score = score > path->score ? score : path->score;
	path->severity = meaning->severity > path->severity ?
				 meaning->severity :
				 path->severity;
	return 0;
}

static int add_deviant(struct herd_page *p, struct herd_page_member *m,
		       const struct herd_finding *f)
{
	struct herd_meaning meaning;
	int err =
		herd_explain(p->txn, p->herd, m->id, f, p->k->rules, &meaning);

	if (err)
		return err;
	struct herd_page_cell *c = cell_of(p, m, meaning.category);
	uint8_t score = (uint8_t)herd_score(f, &meaning);

	if (!c->n || score > c->score) {
		c->score = score;
		c->path = f->path;
	}
	c->n++;
	c->severity = meaning.severity > c->severity ? meaning.severity :
						       c->severity;
	m->deviant++;
	m->weight += score;
	m->score = score > m->score ? score : m->score;
	return add_to_path(&p->shared, m->id, f, &meaning);
}

static int add_drift(struct herd_page *p, struct herd_page_member *m,
		     const struct herd_finding *f)
{
	struct herd_page_path *path = NULL;
	struct herd_meaning meaning;
	int err = find_path(&p->drift, f->path, &path);

	m->drift++;
	if (err || path->n) /* what the herd has is the same for all */
		return err ? err : add_to_path(&p->drift, m->id, f, NULL);
	err = herd_explain(p->txn, p->herd, m->id, f, p->k->rules, &meaning);
	return err ? err : add_to_path(&p->drift, m->id, f, &meaning);
}

static int add_finding(struct herd_page *p, struct herd_page_member *m,
		       const struct herd_finding *f)
{
	switch (f->verdict.class) {
	case HERD_CLASS_DEVIANT:
		return add_deviant(p, m, f);
	case HERD_CLASS_DRIFT:
		return add_drift(p, m, f);
	case HERD_CLASS_SUPPRESSED:
		m->suppressed++;
		if (f->suppressed_by)
			p->by_rule[f->suppressed_by - p->k->policy.v]++;
		return 0;
	default:
		m->volatile_paths++;
		return 0;
	}
}

static int add_member(struct herd_page *p, struct herd_page_member *m)
{
	CLEANUP(herd_instance_deinit) struct herd_instance instance = { 0 };
	CLEANUP_FREE struct herd_finding *findings = NULL;
	struct herd_report r = { .txn = p->txn,
				 .herd = p->herd,
				 .instance = &instance };
	int err = herd_instance_get(p->txn, m->id, &instance);

	if (!err)
		err = herd_judge_instance(p->txn, p->herd, m->id, &findings,
					  &r.n_findings, p->diag);
	r.findings = findings;
	m->problems = instance.problems;
	for (size_t i = 0; i < r.n_findings && !err; i++)
		err = add_finding(p, m, &findings[i]);
	return err ? err : herd_report_count_by(&r, p->base, &m->paths);
}

/* ---- all of them ---- */

static int compare_members(const void *a, const void *b)
{
	const struct herd_page_member *x = a, *y = b;

	if (x->score != y->score)
		return y->score - x->score;
	if (x->weight != y->weight)
		return x->weight > y->weight ? -1 : 1;
	if ((x->deviant > 0) != (y->deviant > 0))
		return x->deviant > 0 ? -1 : 1;
	return strcmp(x->name, y->name);
}

static int gather(struct herd_page *p)
{
	size_t columns = p->n_categories + 1;
	int err = herd_report_base_make(p->txn, p->herd, &p->base);

	if (err)
		return err;
	p->members = calloc(p->names.n + 1, sizeof(*p->members));
	p->cells = calloc((p->names.n + 1) * columns, sizeof(*p->cells));
	p->by_rule = calloc(p->k->policy.n + 1, sizeof(*p->by_rule));
	if (!p->members || !p->cells || !p->by_rule)
		return -ENOMEM;
	for (size_t i = 0; i < p->names.n && !err; i++) {
		struct herd_page_member *m = &p->members[p->n];

		if (p->names.v[i].id == p->group->baseline)
			continue; /* no member */
		m->id = p->names.v[i].id;
		m->name = p->names.v[i].name;
		m->cells = p->cells + p->n * columns;
		p->n++;
		err = add_member(p, m);
	}
	if (err)
		return err;
	qsort(p->members, p->n, sizeof(*p->members), compare_members);
	for (size_t i = 0; i < p->n; i++)
		p->n_odd += p->members[i].deviant > 0;
	p->n_shown = p->asked->instances && p->asked->instances < p->n_odd ?
			     p->asked->instances :
			     p->n_odd;
	return 0;
}

/* ---- the page ---- */

static void put_literal(struct herd_buf *out, const char *text)
{
	herd_buf_put(out, text, strlen(text));
}

static void put_head(struct herd_page *p)
{
	struct herd_buf *out = p->out;
	size_t n_style, n_script;
	const char *style = herd_page_style(&n_style);
	const char *script = herd_page_script(&n_script);

	put_literal(out,
		    "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n"
		    "<meta charset=\"utf-8\">\n"
		    "<meta http-equiv=\"Content-Security-Policy\" content=\""
		    "default-src 'none'; base-uri 'none'; form-action 'none'; "
		    "style-src ");
	herd_page_hash(out, style, n_style);
	put_literal(out, "; script-src ");
	herd_page_hash(out, script, n_script);
	put_literal(out,
		    "\">\n<meta name=\"viewport\" "
		    "content=\"width=device-width, initial-scale=1\">\n"
		    "<meta name=\"referrer\" content=\"no-referrer\">\n"
		    "<meta name=\"generator\" content=\"herdfs " HERD_VERSION
		    "\">\n<title>");
	herd_page_text(out, p->group->name, strlen(p->group->name));
	put_literal(out, ": what deviates from the herd</title>\n<style>");
	herd_buf_put(out, style, n_style);
	put_literal(out, "</style>\n</head>\n<body>\n");
}

static void put_tile(struct herd_page *p, const char *anchor, uint64_t n,
		     const char *what, bool bad)
{
	struct herd_buf *out = p->out;

	if (anchor && n)
		herd_buf_printf(out, "<a class=\"tile%s\" href=\"#%s\"><b>",
				bad ? " bad" : "", anchor);
	else
		put_literal(out, "<div class=\"tile\"><b>");
	herd_page_number(out, n);
	herd_buf_printf(out, "</b><span>%s</span></%s>\n", what,
			anchor && n ? "a" : "div");
}

static void put_bands_tile(struct herd_page *p)
{
	const struct herd_clustering *c = herd_herd_clustering(p->herd);
	size_t n = c ? herd_clustering_n(c) : 0;
	bool small = false;

	for (uint32_t i = 0; i < n; i++)
		small |= herd_clustering_get(c, i)->small;
	if (n > 1)
		put_tile(p, "bands", n, "bands", small);
}

static int put_summary(struct herd_page *p)
{
	struct herd_buf *out = p->out;
	uint64_t deviant = 0, volatile_paths = 0, suppressed = 0, problems = 0;

	for (size_t i = 0; i < p->n; i++) {
		deviant += p->members[i].deviant;
		volatile_paths += p->members[i].volatile_paths;
		suppressed += p->members[i].suppressed;
		problems += p->members[i].problems;
	}
	put_literal(out, "<header>\n<h1>Herd <span class=\"any\">");
	herd_page_text(out, p->group->name, strlen(p->group->name));
	put_literal(out, "</span></h1>\n<p class=\"dim\">What the disks of its "
			 "instances do not have in common");
	if (p->group->baseline) {
		put_literal(out, "; the baseline is <span class=\"any\">");
		herd_page_text(
			out, herd_report_name_of(&p->names, p->group->baseline),
			strlen(herd_report_name_of(&p->names,
						   p->group->baseline)));
		put_literal(out, "</span>");
	}
	put_literal(out, ".</p>\n</header>\n<div class=\"tiles\">\n");
	put_tile(p, "evidence", p->n, p->n == 1 ? "instance" : "instances",
		 false);
	put_tile(p, "heat", p->n_odd,
		 p->n_odd == 1 ? "of them deviates" : "of them deviate", false);
	put_tile(p, "instances", deviant,
		 deviant == 1 ? "deviant path" : "deviant paths", false);
	put_tile(p, NULL, volatile_paths, "volatile paths", false);
	put_bands_tile(p);
	if (p->k->policy_source)
		put_tile(p, "policy", suppressed, "suppressed paths", false);
	if (p->group->baseline)
		put_tile(p, "drift", p->drift.n,
			 p->drift.n == 1 ? "drifted path" : "drifted paths",
			 false);
	put_tile(p, "problems", problems,
		 problems == 1 ? "problem" : "problems", true);
	put_literal(out, "</div>\n");
	return 0;
}

static int put_tail(struct herd_page *p)
{
	size_t n;
	const char *script = herd_page_script(&n);

	put_literal(
		p->out,
		"<h2 id=\"reading\">How to read this</h2>\n"
		"<p>A path <b>deviates</b> when this instance has it otherwise "
		"than most of its herd. Its <b>rank</b> says how odd that is, "
		"0 to 100; its <b>severity</b> what could be done with a change "
		"of this sort at this path, by rules of thumb; its <b>score</b> "
		"is the rank in parts of the severity, and the order of all "
		"lists. A path that deviates is not evil, and one that does not "
		"is not clean.</p>\n"
		"<p><b>Volatile</b> is a path at which nearly every instance "
		"differs: logs, keys, caches. <b>Suppressed</b> is what deviates "
		"but for a rule of the policy. <b>Drifted</b> is what the herd "
		"has and the baseline has not. What <b>could not be read</b> is "
		"a gap in all of this.</p>\n"
		"<p class=\"note\">Made by herdfs " HERD_VERSION ". herdfs why "
		"--instance NAME PATH shows all that is known of one path, and "
		"the mount the files themselves.</p>\n<script>");
	herd_buf_put(p->out, script, n);
	put_literal(p->out, "</script>\n</body>\n</html>\n");
	return herd_buf_error(p->out);
}

/* In the order of the page. */
static int (*const sections[])(struct herd_page *p) = {
	put_summary,	  herd_page_heat,     herd_page_bands,
	herd_page_shared, herd_page_members,  herd_page_memory,
	herd_page_drift,  herd_page_policy, herd_page_problems, herd_page_evidence,
	put_tail,
};

static void page_deinit(struct herd_page *p)
{
	herd_report_names_deinit(&p->names);
	paths_deinit(&p->shared);
	paths_deinit(&p->drift);
	free(p->members);
	free(p->cells);
	free(p->by_rule);
	herd_report_base_destroy(p->base);
}

static int make(struct herd_page *p)
{
	int err = herd_report_names_make(p->txn, p->group->id, &p->names);

	if (!err)
		err = gather(p);
	if (err)
		return err;
	put_head(p);
	for (size_t i = 0; i < ARRAY_SIZE(sections) && !err; i++)
		err = sections[i](p);
	return err;
}

int herd_report_html(const struct herd_report_page *asked, struct herd_buf *out,
		     struct herd_diag *diag)
{
	CLEANUP(page_deinit)
	struct herd_page p = {
		.asked = asked,
		.txn = asked->txn,
		.herd = asked->herd,
		.memory = asked->memory,
		.group = herd_herd_group(asked->herd),
		.k = herd_herd_knowledge(asked->herd),
		.out = out,
		.diag = diag,
	};
	int err = p.k && p.k->rules ? 0 : -EINVAL;

	if (!err) {
		p.categories =
			herd_rules_categories(p.k->rules, &p.n_categories);
		err = make(&p);
	}
	return !err ? 0 :
		      herd_diag_set(diag, err, p.group->name, HERD_NO_OFFSET,
				    "the report: %s", strerror(-err));
}
