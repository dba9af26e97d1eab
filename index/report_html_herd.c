/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The herd as a whole: a heat map of members by category, paths that deviate
 * in several members, what drifted, the policy, what could not be read, and
 * from which images it all is.
 *
 * Threads: as index/report_html_internal.h says.
 */
#include "index/report_html_internal.h"

#include <inttypes.h>
#include <string.h>

static void put(struct herd_page *p, const char *text)
{
	herd_buf_put(p->out, text, strlen(text));
}

static void put_name(struct herd_page *p, const char *name)
{
	herd_page_text(p->out, name, strlen(name));
}

static size_t limit(const struct herd_page *p, size_t n)
{
	return p->asked->findings && p->asked->findings < n ?
		       p->asked->findings :
		       n;
}

/* ---- the heat map ---- */

static const char *category_name(const struct herd_page *p, size_t i)
{
	return i < p->n_categories ? p->categories[i].name : "no rule";
}

static bool column_used(const struct herd_page *p, size_t column)
{
	for (size_t i = 0; i < p->n_odd; i++)
		if (p->members[i].cells[column].n)
			return true;
	return false;
}

static void put_legend(struct herd_page *p)
{
	put(p, "<p class=\"note\">The number is how many paths deviate, the "
	       "colour the worst severity of them:</p>\n<p class=\"legend\">");
	for (unsigned band = 0; band < 5; band++)
		herd_buf_printf(p->out,
				"<span><i class=\"s%u\"></i>%u to %u, "
				"%s</span>",
				band, band * 20,
				band == 4 ? 100 : band * 20 + 19,
				herd_page_band_name(band));
	put(p, "</p>\n");
}

static void put_heat_head(struct herd_page *p)
{
	static const char *const more[] = { "deviant", "volatile", "suppressed",
					    "problems" };

	put(p, "<thead><tr><th scope=\"col\">instance</th>");
	for (size_t i = 0; i <= p->n_categories; i++) {
		if (!column_used(p, i))
			continue;
		put(p, "<th scope=\"col\" class=\"v\"><span title=\"");
		put_name(p, i < p->n_categories ? p->categories[i].text : "");
		put(p, "\">");
		put_name(p, category_name(p, i));
		put(p, "</span></th>");
	}
	for (size_t i = 0; i < ARRAY_SIZE(more); i++)
		if (i != 2 || p->k->policy_source)
			herd_buf_printf(p->out,
					"<th scope=\"col\" class=\"v\">"
					"<span>%s</span></th>",
					more[i]);
	put(p, "</tr></thead>\n");
}

static int put_cell(struct herd_page *p, const struct herd_page_member *m,
		    size_t column)
{
	const struct herd_page_cell *c = &m->cells[column];
	unsigned band = herd_page_band(c->severity);
	int err;

	if (!c->n) {
		put(p, "<td class=\"c\"><span></span></td>");
		return 0;
	}
	herd_buf_printf(p->out,
			"<td class=\"c\"><a class=\"s%u\" href=\"#i%u\" "
			"title=\"",
			band, m->id);
	put_name(p, m->name);
	put(p, ", ");
	put_name(p, category_name(p, column));
	put(p, ": ");
	herd_page_count(p->out, c->n, "path", "paths");
	herd_buf_printf(p->out, "; worst severity %u (%s); highest score %u: ",
			c->severity, herd_page_band_name(band), c->score);
	err = herd_page_path(p, c->path);
	put(p, "\">");
	herd_page_number(p->out, c->n);
	put(p, "</a></td>");
	return err;
}

static void put_counts(struct herd_page *p, uint64_t deviant,
		       uint64_t volatile_paths, uint64_t suppressed,
		       uint64_t problems)
{
	const uint64_t v[] = { deviant, volatile_paths, suppressed, problems };

	for (size_t i = 0; i < ARRAY_SIZE(v); i++) {
		if (i == 2 && !p->k->policy_source)
			continue;
		put(p, "<td class=\"n\">");
		herd_page_number(p->out, v[i]);
		put(p, "</td>");
	}
	put(p, "</tr>\n");
}

static int put_row(struct herd_page *p, const struct herd_page_member *m)
{
	int err = 0;

	herd_buf_printf(p->out, "<tr><th scope=\"row\"><a href=\"#i%u\">",
			m->id);
	put_name(p, m->name);
	put(p, "</a></th>");
	for (size_t i = 0; i <= p->n_categories && !err; i++)
		if (column_used(p, i))
			err = put_cell(p, m, i);
	put_counts(p, m->deviant, m->volatile_paths, m->suppressed,
		   m->problems);
	return err;
}

/* Members from … to as one row. */
static void put_sum(struct herd_page *p, size_t from, size_t to,
		    const char *what)
{
	struct herd_page_member sum = { 0 };

	if (from == to)
		return;
	put(p, "<tr class=\"sum\"><th scope=\"row\">");
	herd_page_number(p->out, to - from);
	put(p, what);
	put(p, "</th>");
	for (size_t c = 0; c <= p->n_categories; c++) {
		uint64_t n = 0;

		for (size_t i = from; i < to; i++)
			n += p->members[i].cells[c].n;
		if (!column_used(p, c))
			continue;
		put(p, "<td class=\"c\"><span>");
		if (n)
			herd_page_number(p->out, n);
		put(p, "</span></td>");
	}
	for (size_t i = from; i < to; i++) {
		sum.deviant += p->members[i].deviant;
		sum.volatile_paths += p->members[i].volatile_paths;
		sum.suppressed += p->members[i].suppressed;
		sum.problems += p->members[i].problems;
	}
	put_counts(p, sum.deviant, sum.volatile_paths, sum.suppressed,
		   sum.problems);
}

static void put_names(struct herd_page *p, size_t from, size_t to,
		      const char *what)
{
	if (from == to)
		return;
	put(p, "<details class=\"note\"><summary>");
	herd_page_number(p->out, to - from);
	put(p, what);
	put(p, "</summary><p class=\"any\">");
	for (size_t i = from; i < to; i++) {
		put(p, i > from ? ", " : "");
		put_name(p, p->members[i].name);
	}
	put(p, "</p></details>\n");
}

int herd_page_heat(struct herd_page *p)
{
	int err = 0;

	put(p, "<h2 id=\"heat\">Where instances deviate</h2>\n");
	if (!p->n_odd) {
		put(p, "<p>No instance deviates from the others.</p>\n");
		return 0;
	}
	put_legend(p);
	put(p, "<div class=\"wide\"><table class=\"heat\">\n");
	put_heat_head(p);
	put(p, "<tbody>\n");
	for (size_t i = 0; i < p->n_shown && !err; i++)
		err = put_row(p, &p->members[i]);
	put_sum(p, p->n_shown, p->n_odd, " more that deviate");
	put_sum(p, p->n_odd, p->n, " without a deviant");
	put_sum(p, 0, p->n, " in all");
	put(p, "</tbody></table></div>\n");
	put_names(p, p->n_shown, p->n_odd, " more that deviate: their names");
	put_names(p, p->n_odd, p->n, " without a deviant: their names");
	return err;
}

/* ---- paths of several members ---- */

/* The rank of what has drifted says little: the whole herd has it. */
static int compare_drift(const void *a, const void *b)
{
	const struct herd_page_path *x = a, *y = b;

	if (x->severity != y->severity)
		return y->severity - x->severity;
	return x->path < y->path ? -1 : x->path > y->path;
}

static int compare_paths(const void *a, const void *b)
{
	const struct herd_page_path *x = a, *y = b;

	if (x->score != y->score)
		return y->score - x->score;
	if (x->n != y->n)
		return x->n > y->n ? -1 : 1;
	return x->path < y->path ? -1 : x->path > y->path;
}

static void put_holders(struct herd_page *p, const struct herd_page_path *path)
{
	uint32_t n = path->n < HERD_PAGE_HOLDERS ? path->n : HERD_PAGE_HOLDERS;

	if (path->n == p->n && n < path->n) {
		put(p, "all of them");
		return;
	}
	for (uint32_t i = 0; i < n; i++) {
		put(p, i ? ", " : "");
		put_name(p, herd_report_name_of(&p->names, path->holders[i]));
	}
	if (path->n > n) {
		put(p, ", and ");
		herd_page_number(p->out, path->n - n);
		put(p, " more");
	}
}

/* Of the first member that has it, what it means. */
static int put_path_meaning(struct herd_page *p,
			    const struct herd_page_path *path)
{
	struct herd_finding f;
	struct herd_meaning m;
	int err = herd_judge_path(p->txn, p->herd, path->holders[0], path->path,
				  &f, p->diag);

	if (!err)
		err = herd_explain(p->txn, p->herd, path->holders[0], &f,
				   p->k->rules, &m);
	if (err)
		return err;
	put_name(p, m.category);
	put(p, m.technique[0] ? " " : "");
	put_name(p, m.technique);
	put(p, ": ");
	herd_page_string(p->out, m.why);
	if (herd_verdict_axis(&f.verdict))
		herd_buf_printf(p->out, " <span class=\"note\">%s</span>",
				herd_verdict_axis(&f.verdict));
	return 0;
}

static int put_path_table(struct herd_page *p, struct herd_page_paths *s,
			  size_t n, const char *command)
{
	size_t shown = limit(p, n);
	int err = 0;

	put(p, "<div class=\"wide\"><table class=\"list\">\n<thead><tr>"
	       "<th scope=\"col\">severity</th>"
	       "<th class=\"n\" scope=\"col\">instances</th>"
	       "<th scope=\"col\">path, and what it means for the first of "
	       "them</th></tr></thead>\n<tbody>\n");
	for (size_t i = 0; i < shown && !err; i++) {
		const struct herd_page_path *path = &s->v[i];

		herd_buf_printf(p->out,
				"<tr><td class=\"c\"><b class=\"s%u\">"
				"%u</b></td><td class=\"n\">%u of %zu</td>"
				"<td><span class=\"path\">",
				herd_page_band(path->severity), path->severity,
				path->n, p->n);
		err = herd_page_path(p, path->path);
		put(p, "</span><br>");
		if (!err)
			err = put_path_meaning(p, path);
		put(p, "<br><span class=\"note any\">");
		put_holders(p, path);
		put(p, "</span></td></tr>\n");
	}
	put(p, "</tbody></table></div>\n");
	if (shown < n) {
		put(p, "<p class=\"note\">");
		herd_page_number(p->out, n - shown);
		herd_buf_printf(p->out, " more: %s lists them.</p>\n", command);
	}
	return err;
}

int herd_page_shared(struct herd_page *p)
{
	struct herd_page_paths *s = &p->shared;
	size_t n = 0;

	for (size_t i = 0; i < s->n; i++)
		if (s->v[i].n > 1)
			s->v[n++] = s->v[i];
	if (!n)
		return 0;
	qsort(s->v, n, sizeof(*s->v), compare_paths);
	put(p, "<h2 id=\"shared\">Deviant in several instances</h2>\n<p>");
	herd_page_count(p->out, n, "path", "paths");
	put(p, ". One intruder on several hosts, or a part of the herd that is "
	       "on another version.</p>\n");
	return put_path_table(p, s, n, "herdfs list");
}

int herd_page_drift(struct herd_page *p)
{
	if (!p->group->baseline || !p->drift.n)
		return 0;
	qsort(p->drift.v, p->drift.n, sizeof(*p->drift.v), compare_drift);
	put(p, "<h2 id=\"drift\">Drifted from the baseline</h2>\n<p>");
	herd_page_count(p->out, p->drift.n, "path", "paths");
	put(p, " as the herd has them and the baseline has not: an update, or "
	       "the same intruder everywhere.</p>\n");
	return put_path_table(p, &p->drift, p->drift.n, "herdfs list --all");
}

/* ---- the policy ---- */

int herd_page_policy(struct herd_page *p)
{
	const struct herd_policy *policy = &p->k->policy;

	if (!p->k->policy_source)
		return 0;
	put(p, "<h2 id=\"policy\">Suppressed by the policy</h2>\n"
	       "<div class=\"wide\"><table class=\"list\">\n<thead><tr>"
	       "<th class=\"n\" scope=\"col\">paths</th>"
	       "<th scope=\"col\">rule</th>"
	       "<th scope=\"col\">reason, owner, last day</th></tr></thead>\n"
	       "<tbody>\n");
	for (size_t i = 0; i < policy->n; i++) {
		const struct herd_policy_rule *r = &policy->v[i];

		put(p, "<tr><td class=\"n\">");
		herd_page_number(p->out, p->by_rule[i]);
		herd_buf_printf(p->out,
				"</td><td>line %u: <span class=\"path\">",
				r->line);
		put_name(p, r->pattern);
		put(p, "</span></td><td class=\"any\">");
		put_name(p, r->reason);
		put(p, "; ");
		put_name(p, r->owner);
		put(p, "; ");
		put_name(p, r->until);
		put(p, herd_policy_expired(r, p->k->now) ?
			       " (has ended: does not apply)" :
			       "");
		put(p, "</td></tr>\n");
	}
	put(p, "</tbody></table></div>\n");
	return 0;
}
