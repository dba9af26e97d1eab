/* SPDX-License-Identifier: Apache-2.0 */
/*
 * By what the report can be checked: what could not be read, each path of each
 * member counted once, the images, the policy, rules and known digests.
 *
 * Threads: as index/report_html_internal.h says.
 */
#include "index/report_html_internal.h"

#include "acquire/base/sha256.h"

#include <inttypes.h>
#include <string.h>

#define PROBLEMS_EACH 10 /* of one instance */

static void put(struct herd_page *p, const char *text)
{
	herd_buf_put(p->out, text, strlen(text));
}

static void put_name(struct herd_page *p, const char *name)
{
	herd_page_text(p->out, name, strlen(name));
}

/* ---- what could not be read ---- */

struct problems {
	struct herd_page *p;
	size_t n;
};

static int put_problem(void *arg, const char *path, size_t path_len,
		       const char *text, size_t text_len)
{
	struct problems *x = arg;

	if (x->n++ >= PROBLEMS_EACH)
		return 0;
	put(x->p, "<li><span class=\"path\">/");
	herd_page_text(x->p->out, path, path_len);
	put(x->p, "</span>: ");
	herd_page_text(x->p->out, text, text_len);
	put(x->p, "</li>\n");
	return 0;
}

static int put_problems_of(struct herd_page *p, uint32_t id, uint64_t n)
{
	struct problems x = { .p = p };
	int err;

	put(p, "<h3 class=\"any\">");
	put_name(p, herd_report_name_of(&p->names, id));
	put(p, "</h3><ul class=\"any\">\n");
	err = herd_problem_each(p->txn, id, put_problem, &x);
	if (n > PROBLEMS_EACH) {
		put(p, "<li class=\"note\">");
		herd_page_number(p->out, n - PROBLEMS_EACH);
		put(p, " more: herdfs status --problems names them.</li>\n");
	}
	put(p, "</ul>\n");
	return err;
}

int herd_page_problems(struct herd_page *p)
{
	size_t shown = 0, with = 0;
	uint64_t left = 0;
	int err = 0;

	for (size_t i = 0; i < p->n; i++)
		with += p->members[i].problems > 0;
	put(p, "<h2 id=\"problems\">Problems</h2>\n");
	if (!with) {
		put(p, "<p>None: all of every member was read.</p>\n");
		return 0;
	}
	for (size_t i = 0; i < p->n && !err; i++) {
		const struct herd_page_member *m = &p->members[i];

		if (!m->problems)
			continue;
		if (p->asked->findings && shown >= p->asked->findings)
			left += m->problems;
		else
			err = put_problems_of(p, m->id, m->problems);
		shown++;
	}
	if (left) {
		put(p, "<p class=\"note\">");
		herd_page_number(p->out, left);
		put(p,
		    " more in other instances: herdfs status --problems names "
		    "them.</p>\n");
	}
	return err;
}

/* ---- each path once ---- */

static void put_paths_row(struct herd_page *p, const char *name,
			  const struct herd_report_paths *c, const char *tag)
{
	herd_buf_printf(p->out, "<tr><%s scope=\"row\" class=\"any\">", tag);
	put_name(p, name);
	herd_buf_printf(p->out, "</%s>", tag);
	for (int i = 0; i <= HERD_CLASS_MAX + 1; i++) {
		put(p, "<td class=\"n\">");
		herd_page_number(p->out, i < HERD_CLASS_MAX  ? c->of[i] :
					 i == HERD_CLASS_MAX ? c->unreadable :
							       c->total);
		put(p, "</td>");
	}
	put(p, "</tr>\n");
}

static void put_paths(struct herd_page *p)
{
	struct herd_report_paths sum = { .total = 0 };

	put(p, "<details><summary>Paths, each counted once</summary>\n"
	       "<div class=\"wide\"><table>\n<thead><tr>"
	       "<th scope=\"col\">instance</th>");
	for (int c = 0; c < HERD_CLASS_MAX; c++)
		herd_buf_printf(p->out, "<th scope=\"col\" class=\"n\">%s</th>",
				herd_class_name((enum herd_class)c));
	put(p, "<th scope=\"col\" class=\"n\">unreadable</th>"
	       "<th scope=\"col\" class=\"n\">total</th></tr></thead>\n"
	       "<tbody>\n");
	for (size_t i = 0; i < p->n; i++) {
		const struct herd_report_paths *c = &p->members[i].paths;

		put_paths_row(p, p->members[i].name, c, "td");
		for (int k = 0; k < HERD_CLASS_MAX; k++)
			sum.of[k] += c->of[k];
		sum.unreadable += c->unreadable;
		sum.total += c->total;
	}
	put_paths_row(p, "all", &sum, "th");
	put(p, "</tbody></table></div></details>\n");
}

/* ---- images ---- */

static void put_image(struct herd_page *p, const struct herd_image *img)
{
	char time[HERD_REPORT_TIME_MAX], hex[65];

	for (size_t i = 0; i < img->n_files; i++) {
		const struct herd_image_file *f = &img->files[i];
		struct herd_time mtime = { f->mtime_sec, f->mtime_nsec };

		put(p, "<div class=\"path\">");
		put_name(p, f->path);
		put(p, "</div><div class=\"note\">");
		put_name(p, img->format ? img->format : "");
		put(p, ", ");
		herd_page_count(p->out, f->size, "byte", "bytes");
		herd_buf_printf(p->out,
				", modified %s; first and last MiB "
				"<code class=\"any\">%s</code></div>",
				herd_report_time(&mtime, time),
				herd_hex(f->ends, 32, hex));
	}
}

static int put_instance(void *arg, const struct herd_instance *i)
{
	struct herd_page *p = arg;
	struct herd_time attached = { .sec = (int64_t)i->attached };
	char time[HERD_REPORT_TIME_MAX];

	put(p, "<tr><td class=\"any\">");
	put_name(p, i->name);
	herd_buf_printf(p->out, "<div class=\"note\">%s, indexed %s; ",
			herd_report_role(i->role),
			herd_report_time(&attached, time));
	herd_page_count(p->out, i->entries, "entry", "entries");
	put(p, ", ");
	herd_page_count(p->out, i->problems, "problem", "problems");
	put(p, "</div></td><td>");
	for (size_t d = 0; d < i->n_disks; d++)
		put_image(p, &i->disks[d]);
	for (size_t v = 0; v < i->n_volumes; v++) {
		const struct herd_stored_volume *vol = &i->volumes[v];

		if (!vol->note || !vol->note[0])
			continue;
		put(p, "<div class=\"note\">/");
		put_name(p, vol->mount ? vol->mount : "");
		put(p, ": ");
		put_name(p, vol->note);
		put(p, "</div>");
	}
	put(p, "</td></tr>\n");
	return herd_buf_error(p->out);
}

/* ---- by whose word ---- */

static void put_source(struct herd_page *p, const char *what, const char *file,
		       const uint8_t digest[32])
{
	char hex[65];

	herd_buf_printf(p->out, "<li>%s <span class=\"path\">", what);
	put_name(p, file);
	herd_buf_printf(p->out,
			"</span>, SHA-256 <code class=\"any\">%s</code>"
			"</li>\n",
			herd_hex(digest, 32, hex));
}

static void put_words(struct herd_page *p)
{
	const struct herd_knowledge *k = p->k;

	put(p, "<ul>\n<li>");
	herd_page_number(p->out, herd_rules_count(k->rules));
	put(p, k->rules_source ?
		       " rules for what a path means, those of herdfs "
		       "and your own</li>\n" :
		       " rules for what a path means, all of them "
		       "those of herdfs</li>\n");
	if (k->rules_source)
		put_source(p, "Rules", k->rules_source, k->rules_digest);
	if (k->policy_source)
		put_source(p, "Policy", k->policy_source, k->policy_digest);
	else
		put(p, "<li>No policy: nothing is suppressed</li>\n");
	for (size_t i = 0; i < k->known.n; i++) {
		herd_buf_printf(p->out, "<li>Known to be %s: ",
				k->known.v[i].bad ? "bad" : "good");
		put_name(p, k->known.v[i].name);
		put(p, ", ");
		herd_page_count(p->out, k->known.v[i].n, "digest", "digests");
		put(p, "</li>\n");
	}
	put(p, "</ul>\n");
}

int herd_page_evidence(struct herd_page *p)
{
	int err;

	put(p, "<h2 id=\"evidence\">What this was made from</h2>\n");
	put_words(p);
	put_paths(p);
	put(p, "<details><summary>Instances and their images</summary>\n"
	       "<div class=\"wide\"><table class=\"images\">\n<thead><tr>"
	       "<th scope=\"col\">instance</th><th scope=\"col\">images</th>"
	       "</tr></thead>\n<tbody>\n");
	err = herd_instance_each(p->txn, p->group->id, put_instance, p);
	put(p, "</tbody></table></div></details>\n");
	return err;
}
