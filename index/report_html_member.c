/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One member: its findings, the worst first, each with what it means and, where
 * attach kept the texts, in which lines they differ.
 *
 * Threads: as index/report_html_internal.h says.
 */
#include "index/report_html_internal.h"

#include "index/diff.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define DIFF_LINES 40
#define DIFF_WIDTH 240 /* bytes of a line */
#define DIFF_OPEN 8    /* so few lines are shown without a click */
#define DIFF_CONTEXT 2
#define OPEN_MEMBERS 3

static void put(struct herd_page *p, const char *text)
{
	herd_buf_put(p->out, text, strlen(text));
}

/* ---- texts ---- */

static void put_line(struct herd_page *p, const struct herd_diff_line *l)
{
	char sign[2] = { l->sign, '\0' };
	size_t len = l->len < DIFF_WIDTH ? l->len : DIFF_WIDTH;

	if (l->sign == '@') {
		put(p, "<span class=\"g\">  … ");
		herd_page_count(p->out, l->len, "line that is equal",
				"lines that are equal");
		put(p, "</span>");
		return;
	}
	put(p, l->sign == '+' ? "<span class=\"a\">" :
	       l->sign == '-' ? "<span class=\"d\">" :
				"<span>");
	put(p, sign);
	put(p, " ");
	herd_page_text(p->out, l->p, len);
	if (len < l->len) {
		put(p, " … ");
		herd_page_count(p->out, l->len - len, "byte more",
				"bytes more");
	}
	put(p, "</span>");
}

/* A text of one side only is no comparison. */
static void put_diff_title(struct herd_page *p, const struct herd_diff *d,
			   const struct herd_sides *s)
{
	size_t added = 0, removed = 0;

	for (size_t i = 0; i < d->n; i++) {
		added += d->v[i].sign == '+';
		removed += d->v[i].sign == '-';
	}
	if (s->other.absent) {
		put(p, "Its text, ");
		herd_page_count(p->out, added, "line", "lines");
	} else if (s->own.absent) {
		put(p, "The herd's text, ");
		herd_page_count(p->out, removed, "line", "lines");
	} else {
		herd_page_count(p->out, added, "line", "lines");
		put(p, " added, ");
		herd_page_number(p->out, removed);
		put(p, " removed");
	}
	put(p, d->coarse ? ": too many to be compared one by one" : "");
}

static void put_diff(struct herd_page *p, const struct herd_diff *d,
		     const struct herd_sides *s)
{
	size_t shown = d->n < DIFF_LINES ? d->n : DIFF_LINES;

	put(p, d->n <= DIFF_OPEN ? "<details open><summary>" :
				   "<details><summary>");
	put_diff_title(p, d, s);
	put(p, "</summary><pre>");
	for (size_t i = 0; i < shown; i++)
		put_line(p, &d->v[i]);
	if (shown < d->n) {
		put(p, "<span class=\"g\">  … ");
		herd_page_count(p->out, d->n - shown, "line more",
				"lines more");
		put(p, "</span>");
	}
	put(p, "</pre></details>");
}

/* Both texts at hand, or one and nothing on the other side. */
static bool comparable(const struct herd_sides *s)
{
	bool own = s->own.absent || (S_ISREG(s->own.mode) && s->own.text);
	bool other = s->other.absent ||
		     (S_ISREG(s->other.mode) && s->other.text);

	return own && other && (s->own.text || s->other.text);
}

static int put_texts(struct herd_page *p, uint32_t instance,
		     const struct herd_report_line *line)
{
	CLEANUP(herd_diff_deinit) struct herd_diff d = { .n = 0 };
	struct herd_sides s;
	int err = herd_sides_get(p->txn, p->herd, instance, line->finding, &s);

	if (err || !comparable(&s))
		return err;
	if (line->meaning.secret) {
		put(p, "<div class=\"note\">Its text is not shown here: it may "
		       "hold passwords or keys.</div>");
		return 0;
	}
	err = herd_diff_make(s.other.text ? s.other.text : "", s.other.len,
			     s.own.text ? s.own.text : "", s.own.len,
			     DIFF_CONTEXT, &d);
	if (err)
		return err;
	for (size_t i = 0; i < d.n; i++)
		if (d.v[i].sign == '+' || d.v[i].sign == '-') {
			put_diff(p, &d, &s);
			break;
		}
	return 0;
}

/* ---- findings ---- */

static void put_chip(struct herd_page *p, const char *text)
{
	put(p, "<span>");
	herd_page_text(p->out, text, strlen(text));
	put(p, "</span>");
}

static void put_chips(struct herd_page *p, const struct herd_report_line *line)
{
	const struct herd_finding *f = line->finding;
	const struct herd_verdict *v = &f->verdict;
	char text[HERD_REASON_TEXT_MAX + 64];
	char reasons[HERD_REASON_TEXT_MAX];

	put(p, "<div class=\"chips\">");
	put_chip(p, line->meaning.category);
	if (line->meaning.technique[0])
		put_chip(p, line->meaning.technique);
	put_chip(p, herd_reason_text(v->reasons, reasons, sizeof(reasons)));
	snprintf(text, sizeof(text), "rank %u, severity %u", v->rank,
		 line->meaning.severity);
	put_chip(p, text);
	snprintf(text, sizeof(text), "%u of %u have this, %u the herd's",
		 v->count, v->members, v->herd_count);
	put_chip(p, text);
	if (herd_verdict_axis(v))
		put_chip(p, herd_verdict_axis(v));
	if (v->baseline_reasons && v->baseline_reasons != v->reasons) {
		snprintf(text, sizeof(text), "baseline: %s",
			 herd_reason_text(v->baseline_reasons, reasons,
					  sizeof(reasons)));
		put_chip(p, text);
	}
	if (f->known) {
		herd_buf_printf(p->out, "<span%s>",
				f->known->bad ? " class=\"known\"" : "");
		herd_page_string(p->out, herd_report_known(f, text));
		put(p, "</span>");
	}
	put(p, "</div>");
}

static int put_finding(struct herd_page *p, uint32_t instance,
		       const struct herd_report_lines *lines,
		       const struct herd_report_line *line)
{
	unsigned band = herd_page_band(line->meaning.severity);
	int err;

	if (line->finding->known && line->finding->known->bad)
		band = 4;
	herd_buf_printf(p->out,
			"<div class=\"f\"><b class=\"s%u\" "
			"title=\"score %u; %s severity\">%u</b><div>"
			"<div class=\"path\">/",
			band, line->score, herd_page_band_name(band),
			line->score);
	herd_page_text(p->out, herd_report_line_name(lines, line),
		       line->name_len);
	put(p, "</div>");
	if (line->below) {
		put(p, "<div class=\"note\">and ");
		herd_page_number(p->out, line->below);
		put(p, " below it</div>");
	}
	put(p, "<p class=\"why\">");
	herd_page_string(p->out, line->meaning.why);
	put(p, "</p>");
	put_chips(p, line);
	err = put_texts(p, instance, line);
	put(p, "</div></div>\n");
	return err;
}

/* Of what is listed: folded ones are told by the line of their folder. */
static int put_findings(struct herd_page *p, const struct herd_report *r)
{
	CLEANUP(herd_report_lines_deinit)
	struct herd_report_lines lines = { 0 };
	size_t want = p->asked->findings ? p->asked->findings : SIZE_MAX;
	size_t shown = 0, left = 0;
	int err = herd_report_lines_make(r, true, &lines, p->diag);

	for (size_t i = 0; i < lines.n && !err; i++) {
		const struct herd_report_line *line = &lines.v[i];

		if (line->folded)
			continue;
		if (shown < want)
			err = put_finding(p, r->instance->id, &lines, line);
		else
			left += 1 + line->below;
		shown++;
	}
	if (err || !left)
		return err;
	put(p, "<div class=\"more\">");
	herd_page_count(p->out, left, "more path", "more paths");
	put(p,
	    " with lower scores: herdfs list --instance <span class=\"any\">");
	herd_page_text(p->out, r->instance->name, strlen(r->instance->name));
	put(p, "</span></div>\n");
	return 0;
}

/* ---- members ---- */

static size_t keep_deviant(struct herd_finding *v, size_t n)
{
	size_t to = 0;

	for (size_t i = 0; i < n; i++)
		if (v[i].verdict.class == HERD_CLASS_DEVIANT)
			v[to++] = v[i];
	return to;
}

static int put_member(struct herd_page *p, const struct herd_page_member *m,
		      bool open)
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
	if (err)
		return err;
	r.findings = findings;
	r.n_findings = keep_deviant(findings, r.n_findings);
	herd_buf_printf(p->out,
			"<details class=\"inst\" id=\"i%u\"%s "
			"data-name=\"",
			m->id, open ? " open" : "");
	herd_page_text(p->out, m->name, strlen(m->name));
	put(p, "\"><summary><h3 class=\"any\">");
	herd_page_text(p->out, m->name, strlen(m->name));
	put(p, "</h3><span>");
	herd_page_count(p->out, m->deviant, "path deviates", "paths deviate");
	put(p, ", ");
	herd_page_number(p->out, m->volatile_paths);
	put(p, " volatile");
	if (p->k->policy_source) {
		put(p, ", ");
		herd_page_number(p->out, m->suppressed);
		put(p, " suppressed");
	}
	if (m->problems) {
		put(p, ", ");
		herd_page_number(p->out, m->problems);
		put(p, m->problems == 1 ? " problem" : " problems");
	}
	put(p, "</span></summary>\n");
	err = put_findings(p, &r);
	put(p, "</details>\n");
	return err;
}

int herd_page_members(struct herd_page *p)
{
	int err = 0;

	if (!p->n_odd)
		return 0;
	put(p,
	    "<h2 id=\"instances\">Instance by instance, the worst first</h2>\n"
	    "<div id=\"tools\"><input id=\"find\" type=\"search\" "
	    "placeholder=\"Find in paths and reasons\" "
	    "aria-label=\"Find in paths and reasons\">"
	    "<button id=\"open\" type=\"button\">Open all</button>"
	    "<button id=\"close\" type=\"button\">Close all</button>"
	    "<span id=\"found\" class=\"dim\"></span></div>\n");
	for (size_t i = 0; i < p->n_shown && !err; i++)
		err = put_member(p, &p->members[i], i < OPEN_MEMBERS);
	if (p->n_shown < p->n_odd) {
		put(p, "<p class=\"note\">");
		herd_page_count(p->out, p->n_odd - p->n_shown,
				"more instance deviates",
				"more instances deviate");
		herd_buf_printf(p->out,
				", none with a score above %u: they are "
				"in the sums above, and herdfs list shows "
				"them.</p>\n",
				p->members[p->n_shown].score);
	}
	return err;
}
