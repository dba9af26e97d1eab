/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The members' memories: what deviates in each, the worst first, and what could
 * not be read.
 *
 * Threads: as index/report_html_internal.h says.
 */
#include "index/report_html_internal.h"

#include "index/report_memory.h"

#include <string.h>

static void put(struct herd_page *p, const char *text)
{
	herd_buf_put(p->out, text, strlen(text));
}

static void put_why(struct herd_page *p, const char *why)
{
	while (*why) {
		size_t n = strcspn(why, "\n");

		put(p, "<br><span class=\"note any\">");
		herd_page_text(p->out, why, n);
		put(p, "</span>");
		why += n + (why[n] == '\n');
	}
}

/* What is escaped for people already, with its "\xHH" as they are. */
static void put_made(struct herd_page *p, struct herd_buf *text)
{
	herd_buf_u8(text, 0);
	if (text->failed)
		p->out->failed = true;
	else
		herd_page_string(p->out, (const char *)text->data);
	text->len = 0;
}

static void put_subject(struct herd_page *p, const struct herd_machine *m,
			const struct herd_machine_finding *f)
{
	CLEANUP_BUF struct herd_buf text = HERD_BUF_INIT;

	herd_report_memory_subject(m, f, &text);
	put(p, "<b class=\"any\">");
	put_made(p, &text);
	put(p, "</b> ");
	herd_report_memory_marks(f->marks, &text);
	put_made(p, &text);
}

static void put_findings(struct herd_page *p, const struct herd_report_memory *m)
{
	size_t most = p->asked->findings ? p->asked->findings : m->n, shown = 0;

	put(p, "<table><tr><th>score</th><th>rank</th><th>severity</th>"
	       "<th>this</th><th>what</th></tr>\n");
	for (size_t i = 0; i < m->n; i++) {
		const struct herd_machine_finding *f = &m->v[i];

		if (f->class != HERD_CLASS_DEVIANT || shown++ >= most)
			continue;
		herd_buf_printf(p->out, "<tr><td>%u</td><td>%u</td><td>%u</td>"
				"<td>%u/%u</td><td>", herd_machine_score(f),
				f->rank, f->severity, f->count, f->members);
		put_subject(p, m->machine, f);
		put_why(p, f->why);
		put(p, "</td></tr>\n");
	}
	put(p, "</table>\n");
	if (shown > most) {
		put(p, "<p class=\"note\">");
		herd_page_number(p->out, shown - most);
		put(p, " more: herdfs list names them.</p>\n");
	}
}

static int put_member(struct herd_page *p, const struct herd_page_member *member)
{
	CLEANUP(herd_report_memory_deinit) struct herd_report_memory m = { .n = 0 };
	int err = herd_report_memory_make(p->txn, p->memory, member->id, &m,
					  p->diag);

	if (err)
		return err == -ENOENT ? 0 : err;
	put(p, "<h3 class=\"any\">");
	herd_page_string(p->out, member->name);
	put(p, "</h3><p class=\"dim\">Linux ");
	herd_page_text(p->out, m.machine->facts.release,
		       strlen(m.machine->facts.release));
	put(p, ", ");
	herd_page_count(p->out, m.machine->n_processes, "process", "processes");
	put(p, ", ");
	herd_page_count(p->out, m.deviant, "finding", "findings");
	put(p, ", ");
	herd_page_count(p->out, m.machine->n_problems, "kind of problem",
			"kinds of problems");
	put(p, ".</p>\n");
	if (m.deviant)
		put_findings(p, &m);
	return 0;
}

int herd_page_memory(struct herd_page *p)
{
	int err = 0;

	if (!p->memory || !herd_memory_herd_members(p->memory))
		return 0;
	put(p, "<h2 id=\"memory\">Memory</h2>\n<p>Processes, modules and hooks "
	       "of those instances whose memory is attached, judged among "
	       "themselves.</p>\n");
	for (size_t i = 0; i < p->n && !err; i++)
		err = put_member(p, &p->members[i]);
	return err;
}
