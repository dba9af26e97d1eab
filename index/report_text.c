/* SPDX-License-Identifier: Apache-2.0 */
/*
 * report.txt: who this is, what was read, what could not be, and every
 * finding. Whatever comes from an image is escaped.
 *
 * Threads: as index/report.h says.
 */
#include "index/report.h"

#include "index/knowledge.h"
#include "index/report_memory.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

/* Everything at hand while one report is written. */
struct writing {
	const struct herd_report *r;
	struct herd_buf *out;
	const struct herd_report_lines *lines;
	const struct herd_report_names *names;
};

static void text(struct herd_buf *out, const char *s)
{
	if (s)
		herd_report_escape(out, s, strlen(s));
}

static void heading(struct herd_buf *out, const char *title)
{
	herd_buf_printf(out, "\n%s\n", title);
	for (size_t i = strlen(title); i; i--)
		herd_buf_u8(out, '-');
	herd_buf_u8(out, '\n');
}

/* ---- who, from what ---- */

static void write_head(const struct writing *w)
{
	const struct herd_group *g = herd_herd_group(w->r->herd);
	const struct herd_instance *i = w->r->instance;
	struct herd_time attached = { .sec = (int64_t)i->attached };
	char time[HERD_REPORT_TIME_MAX];

	herd_buf_printf(w->out, "Instance    ");
	text(w->out, i->name);
	if (i->role == HERD_ROLE_BASELINE)
		herd_buf_printf(w->out, " (the baseline, no member)");
	herd_buf_printf(w->out, "\nGroup       ");
	text(w->out, g->name);
	herd_buf_printf(w->out, ", %u member%s", g->members,
			g->members == 1 ? "" : "s");
	if (g->baseline) {
		herd_buf_printf(w->out, "; baseline ");
		text(w->out, herd_report_name_of(w->names, g->baseline));
	}
	herd_buf_printf(w->out, "\nIndexed     %s\n",
			herd_report_time(&attached, time));
}

/* By whose word ranks and classes are not the herd's alone. */
static void write_knowledge(const struct writing *w)
{
	const struct herd_knowledge *k = herd_herd_knowledge(w->r->herd);
	char hex[65];

	if (k && k->policy_source) {
		herd_buf_printf(w->out, "Policy      ");
		text(w->out, k->policy_source);
		herd_buf_printf(w->out, ", %zu rule%s, %zu expired\n"
				"            sha256 %s\n", k->policy.n,
				k->policy.n == 1 ? "" : "s",
				herd_knowledge_expired(k),
				herd_hex(k->policy_digest, 32, hex));
	}
	if (k && k->rules_source) {
		herd_buf_printf(w->out, "Rules       those of herdfs, then ");
		text(w->out, k->rules_source);
		herd_buf_printf(w->out, "\n            sha256 %s\n",
				herd_hex(k->rules_digest, 32, hex));
	}
	for (size_t i = 0; k && i < k->known.n; i++)
		herd_buf_printf(w->out, "%s %s: %s, %" PRIu64 " digests\n",
				i ? "           " : "Known      ",
				k->known.v[i].bad ? "bad" : "good",
				k->known.v[i].name, k->known.v[i].n);
}

struct writing_bad {
	struct herd_txn *txn;
	struct herd_buf *out;
};

static int write_bad(void *arg, uint32_t path, const struct herd_known_set *set)
{
	const struct writing_bad *b = arg;
	CLEANUP_BUF struct herd_buf name = HERD_BUF_INIT;
	int err = herd_path_full(b->txn, path, &name);

	if (err)
		return err;
	herd_buf_u8(b->out, '/');
	herd_report_escape(b->out, name.data, name.len);
	herd_buf_printf(b->out, "  known: bad (%s)\n", set->name);
	return herd_buf_error(name.failed ? &name : b->out);
}

static int write_paths(const struct writing *w)
{
	static const char *const what[HERD_CLASS_MAX] = {
		[HERD_CLASS_SAME] = "as the herd has it",
		[HERD_CLASS_DEVIANT] = "not as the herd has it",
		[HERD_CLASS_VOLATILE] = "the herd has no common version",
		[HERD_CLASS_DRIFT] = "as the herd has it, not the baseline",
		[HERD_CLASS_SUPPRESSED] = "deviant, but for the policy",
	};
	CLEANUP_BUF struct herd_buf bad = HERD_BUF_INIT;
	struct writing_bad b = { w->r->txn, &bad };
	struct herd_report_paths p;
	int err = herd_report_count(w->r, write_bad, &b, &p);

	if (err)
		return err;
	if (bad.len) {
		heading(w->out, "Known to be bad, and as the herd has it");
		herd_buf_put(w->out, bad.data, bad.len);
	}
	heading(w->out, "Paths, each counted once");
	for (int c = 0; c < HERD_CLASS_MAX; c++)
		herd_buf_printf(w->out, "%-10s  %12" PRIu64 "  %s\n",
				herd_class_name((enum herd_class)c), p.of[c],
				what[c]);
	herd_buf_printf(w->out, "unreadable  %12" PRIu64 "  whatever else they "
			"are\ntotal       %12" PRIu64 "\n", p.unreadable,
			p.total);
	return 0;
}

static void write_images(const struct writing *w)
{
	const struct herd_instance *inst = w->r->instance;
	char time[HERD_REPORT_TIME_MAX], hex[65];

	heading(w->out, "Images");
	for (size_t d = 0; d < inst->n_disks; d++) {
		const struct herd_image *img = &inst->disks[d];

		herd_buf_printf(w->out, "disk %zu: ", d);
		text(w->out, img->format);
		herd_buf_printf(w->out, ", %" PRIu64 " bytes\n", img->size);
		for (size_t n = 0; n < img->n_files; n++) {
			const struct herd_image_file *f = &img->files[n];
			struct herd_time mtime = { f->mtime_sec, f->mtime_nsec };

			herd_buf_printf(w->out, "  ");
			text(w->out, f->path);
			herd_buf_printf(w->out, "\n    %" PRIu64 " bytes, "
					"modified %s\n    first and last MiB: "
					"sha256 %s\n", f->size,
					herd_report_time(&mtime, time),
					herd_hex(f->ends, 32, hex));
		}
	}
}

static void write_volumes(const struct writing *w)
{
	const struct herd_instance *inst = w->r->instance;

	heading(w->out, "Volumes");
	if (!inst->n_volumes)
		herd_buf_printf(w->out, "none that could be read\n");
	for (size_t n = 0; n < inst->n_volumes; n++) {
		const struct herd_stored_volume *v = &inst->volumes[n];

		herd_buf_printf(w->out, "disk %u ", v->disk);
		if (v->partition)
			herd_buf_printf(w->out, "partition %u: ", v->partition);
		else
			herd_buf_printf(w->out, "as a whole: ");
		text(w->out, v->fs);
		herd_buf_printf(w->out, " at /");
		text(w->out, v->mount);
		herd_buf_printf(w->out, ", bytes %" PRIu64 " to %" PRIu64
				", %" PRIu64 " entries", v->start,
				v->start + v->len, v->entries);
		if (v->uuid && v->uuid[0]) {
			herd_buf_printf(w->out, ", UUID ");
			text(w->out, v->uuid);
		}
		if (v->label && v->label[0]) {
			herd_buf_printf(w->out, ", label ");
			text(w->out, v->label);
		}
		herd_buf_u8(w->out, '\n');
		if (v->basis == HERD_BASIS_METADATA)
			herd_buf_printf(w->out, "  provisional: files whose "
				"inode, size, times, places and attributes are "
				"the reference's were not read (basis: "
				"metadata); herdfs verify reads them\n");
		else if (v->basis == HERD_BASIS_BLOCKS)
			herd_buf_printf(w->out, "  files whose blocks are the "
				"reference's were not read again (basis: "
				"blocks)\n");
		if (v->note && v->note[0]) {
			herd_buf_printf(w->out, "  note: ");
			text(w->out, v->note);
			herd_buf_u8(w->out, '\n');
		}
	}
}

static void write_work(const struct writing *w)
{
	const struct herd_instance *i = w->r->instance;

	heading(w->out, "Read");
	herd_buf_printf(w->out, "entries     %12" PRIu64 "\n", i->entries);
	herd_buf_printf(w->out, "files       %12" PRIu64 "  %15" PRIu64
			" bytes\n", i->files, i->bytes);
	herd_buf_printf(w->out, "  hashed    %12" PRIu64 "  %15" PRIu64
			" bytes\n", i->hashed_files, i->hashed_bytes);
	herd_buf_printf(w->out, "  inherited %12" PRIu64 "  %15" PRIu64
			" bytes, unchanged in place against the group's "
			"reference\n", i->inherited_files, i->inherited_bytes);
}

static int write_problem(void *arg, const char *path, size_t path_len,
			 const char *what, size_t what_len)
{
	struct herd_buf *out = arg;

	herd_buf_u8(out, '/');
	herd_report_escape(out, path, path_len);
	herd_buf_printf(out, ": ");
	herd_report_escape(out, what, what_len);
	herd_buf_u8(out, '\n');
	return herd_buf_error(out);
}

static int write_problems(const struct writing *w)
{
	const struct herd_instance *i = w->r->instance;

	heading(w->out, "Problems");
	if (!i->problems)
		herd_buf_printf(w->out, "none: all of it was read\n");
	else
		herd_buf_printf(w->out, "%" PRIu64 " problem%s\n", i->problems,
				i->problems == 1 ? "" : "s");
	return herd_problem_each(w->r->txn, i->id, write_problem, w->out);
}

/* ---- findings ---- */

static void write_names(const struct writing *w,
			const struct herd_report_line *line)
{
	const char *axis = herd_verdict_axis(&line->finding->verdict);
	char known[HERD_REPORT_KNOWN_MAX];

	herd_buf_u8(w->out, '/');
	herd_report_escape(w->out, herd_report_line_name(w->lines, line),
			   line->name_len);
	if (line->below)
		herd_buf_printf(w->out, "  (and %zu below)", line->below);
	herd_report_known(line->finding, known);
	herd_buf_printf(w->out, "%s%s\n", known[0] ? "  " : "", known);
	if (line->explained)
		herd_buf_printf(w->out, "       %s%s%s: %s%s%s%s\n",
				line->meaning.category,
				line->meaning.technique[0] ? " " : "",
				line->meaning.technique, line->meaning.why,
				axis ? " [" : "", axis ? axis : "",
				axis ? "]" : "");
}

static void write_finding(const struct writing *w,
			  const struct herd_report_line *line)
{
	const struct herd_finding *f = line->finding;
	const struct herd_verdict *v = &f->verdict;
	char reasons[HERD_REASON_TEXT_MAX];
	char own[32], herd[32];

	snprintf(own, sizeof(own), "%u/%u", v->count, v->members);
	snprintf(herd, sizeof(herd), "%u/%u", v->herd_count, v->members);
	herd_reason_text(v->class == HERD_CLASS_DRIFT ? v->baseline_reasons :
			 v->reasons, reasons, sizeof(reasons));
	if (line->explained)
		herd_buf_printf(w->out, "%5u  %4u  %3u  %7s  ", line->score,
				v->rank, line->meaning.severity, own);
	else
		herd_buf_printf(w->out, "%4u  %7s  ", v->rank, own);
	if (v->class == HERD_CLASS_DEVIANT) {
		const char *holder = !f->herd_holder ? "-" :
			herd_report_name_of(w->names, f->herd_holder);
		size_t at = w->out->len;

		herd_buf_printf(w->out, "%7s  ", herd);
		text(w->out, holder);
		for (size_t n = w->out->len - at; n < 9 + 16; n++)
			herd_buf_u8(w->out, ' ');
	} else if (v->class == HERD_CLASS_VOLATILE) {
		herd_buf_printf(w->out, "%8u  ", v->variants);
	} else if (f->suppressed_by) {
		herd_buf_printf(w->out, "line %-5u", f->suppressed_by->line);
	}
	herd_buf_printf(w->out, "  %-24s  ", reasons);
	if (v->has_baseline && v->class != HERD_CLASS_DRIFT)
		herd_buf_printf(w->out, "%-24s  ", !v->baseline_reasons ? "=" :
				herd_reason_text(v->baseline_reasons, reasons,
						 sizeof(reasons)));
	write_names(w, line);
}

static void write_columns(const struct writing *w, enum herd_class class)
{
	bool baseline = herd_herd_group(w->r->herd)->baseline != 0;

	const struct herd_knowledge *k = herd_herd_knowledge(w->r->herd);

	herd_buf_printf(w->out, k && k->rules ?
			"score  rank  sev     this  " : "rank     this  ");
	if (class == HERD_CLASS_DEVIANT)
		herd_buf_printf(w->out, "   herd  %-16s", "as in");
	else if (class == HERD_CLASS_VOLATILE)
		herd_buf_printf(w->out, "versions  ");
	else if (class == HERD_CLASS_SUPPRESSED)
		herd_buf_printf(w->out, "rule      ");
	herd_buf_printf(w->out, "  %-24s  ", class == HERD_CLASS_DRIFT ?
			"against the baseline" : "against the herd");
	if (baseline && class != HERD_CLASS_DRIFT)
		herd_buf_printf(w->out, "%-24s  ", "against the baseline");
	herd_buf_printf(w->out, "path\n");
}

static void write_findings(const struct writing *w, enum herd_class class,
			   const char *title, const char *what)
{
	size_t n = 0;

	for (size_t i = 0; i < w->lines->n; i++)
		n += w->lines->v[i].finding->verdict.class == class;
	heading(w->out, title);
	herd_buf_printf(w->out, "%zu path%s: %s\n", n, n == 1 ? "" : "s", what);
	if (n)
		write_columns(w, class);
	for (size_t i = 0; i < w->lines->n; i++)
		if (w->lines->v[i].finding->verdict.class == class &&
		    !w->lines->v[i].folded)
			write_finding(w, &w->lines->v[i]);
}

/* With the rules that hid something, as they stand in the policy. */
static void write_suppressed(const struct writing *w)
{
	const struct herd_knowledge *k = herd_herd_knowledge(w->r->herd);

	if (!k || !k->policy_source)
		return;
	write_findings(w, HERD_CLASS_SUPPRESSED, "Suppressed",
		       "a rule of the policy says that they may deviate");
	for (size_t i = 0; i < k->policy.n; i++) {
		const struct herd_policy_rule *rule = &k->policy.v[i];
		size_t n = 0;

		for (size_t f = 0; f < w->r->n_findings; f++)
			n += w->r->findings[f].suppressed_by == rule;
		if (!n)
			continue;
		herd_buf_printf(w->out, "line %u, for %zu path%s: ",
				rule->line, n, n == 1 ? "" : "s");
		text(w->out, rule->pattern);
		herd_buf_printf(w->out, "\n  ");
		text(w->out, rule->reason);
		herd_buf_printf(w->out, "; owner ");
		text(w->out, rule->owner);
		herd_buf_printf(w->out, "; expires %s\n", rule->until);
	}
}

/* Files that deviate and are not in MANIFEST.sha256, with the reason. */
static int write_undigested(const struct writing *w)
{
	const struct herd_report *r = w->r;
	uint32_t reference = herd_herd_group(r->herd)->reference;
	bool any = false;

	for (size_t i = 0; i < w->lines->n; i++) {
		const struct herd_finding *f = w->lines->v[i].finding;
		struct herd_entry e;

		if (f->verdict.class != HERD_CLASS_DEVIANT || f->own_absent)
			continue;
		int err = herd_entry_get(r->txn, r->instance->id, reference,
					 f->path, &e);

		if (err)
			return err;
		if (!S_ISREG(e.mode) || e.digest_kind == HERD_DIGEST_SHA256)
			continue;
		if (!any)
			heading(w->out, "Not in MANIFEST.sha256");
		any = true;
		herd_buf_printf(w->out, "%s  /",
				e.digest_kind == HERD_DIGEST_SPARSE ?
				"mostly holes, no plain digest" :
				"content could not be read");
		herd_report_escape(w->out,
				   herd_report_line_name(w->lines,
							 &w->lines->v[i]),
				   w->lines->v[i].name_len);
		herd_buf_u8(w->out, '\n');
	}
	return 0;
}

static int write_memory(const struct writing *w, struct herd_diag *diag)
{
	CLEANUP(herd_report_memory_deinit) struct herd_report_memory m = { .n = 0 };
	int err = herd_report_memory_make(w->r->txn, w->r->memory,
					  w->r->instance->id, &m, diag);

	if (err)
		return err == -ENOENT ? 0 : err;
	heading(w->out, "Memory");
	herd_report_memory_text(&m, w->out);
	return 0;
}

static int write_report(const struct writing *w, struct herd_diag *diag)
{
	int err;

	write_head(w);
	write_knowledge(w);
	write_findings(w, HERD_CLASS_DEVIANT, "Deviant",
		       "this instance is not like its herd");
	err = write_memory(w, diag);
	if (!err)
		err = write_problems(w);
	if (!err)
		err = write_undigested(w);
	write_findings(w, HERD_CLASS_VOLATILE, "Volatile",
		       "nearly every member differs, or has names of its own");
	write_suppressed(w);
	if (herd_herd_group(w->r->herd)->baseline)
		write_findings(w, HERD_CLASS_DRIFT, "Drift",
			       "like the herd, but not like the baseline");
	if (!err)
		err = write_paths(w);
	write_images(w);
	write_volumes(w);
	write_work(w);
	return err ? err : herd_buf_error(w->out);
}

int herd_report_text(const struct herd_report *r, struct herd_buf *out,
		     struct herd_diag *diag)
{
	CLEANUP(herd_report_lines_deinit) struct herd_report_lines lines = { 0 };
	CLEANUP(herd_report_names_deinit) struct herd_report_names names = { 0 };
	struct writing w = { .r = r, .out = out, .lines = &lines,
			     .names = &names };
	int err = herd_report_lines_make(r, true, &lines, diag);

	if (!err)
		err = herd_report_names_make(r->txn, r->instance->group, &names);
	if (!err)
		err = write_report(&w, diag);
	return !err ? 0 : herd_diag_set(diag, err, r->instance->name,
					HERD_NO_OFFSET, "report.txt: %s",
					strerror(-err));
}
