/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The bands of the herd (index/cluster.h): who is with whom, and by how much
 * each is set apart. Those of one or two come first: nobody is cleared by being
 * the only one of his kind.
 *
 * Threads: as index/report_html_internal.h says.
 */
#include "index/report_html_internal.h"

#include "index/cluster.h"

#include <string.h>

#define NAMES_SHOWN 16

static void put(struct herd_page *p, const char *text)
{
	herd_buf_put(p->out, text, strlen(text));
}

static void put_members(struct herd_page *p, const uint32_t *ids, size_t n)
{
	bool folded = n > NAMES_SHOWN;

	if (folded) {
		put(p, "<details><summary>");
		herd_page_count(p->out, n, "instance", "instances");
		put(p, "</summary>");
	}
	put(p, "<span class=\"any\">");
	for (size_t i = 0; i < n; i++) {
		put(p, i ? ", " : "");
		herd_page_string(p->out,
				 herd_report_name_of(&p->names, ids[i]));
	}
	put(p, "</span>");
	put(p, folded ? "</details>" : "");
}

/* "1,200, 1,180 vouched for" */
static void put_versions(struct herd_page *p, uint32_t n, uint32_t vouched)
{
	put(p, "<td class=\"n\">");
	herd_page_number(p->out, n);
	if (n) {
		put(p, "<br><span class=\"note\">");
		herd_page_number(p->out, vouched);
		put(p, " vouched for</span>");
	}
	put(p, "</td>");
}

static void put_note(struct herd_page *p, const struct herd_cluster *c)
{
	const char *note = herd_report_cluster_note(c);

	if (c->small)
		herd_buf_printf(p->out,
				"<b class=\"s%u\">%s</b> judged with the band "
				"that it is nearest to",
				note && !c->vouched ? 4 : 2,
				c->size == 1 ? "alone" : "two alone");
	if (note) {
		put(p, c->small ? "; " : "");
		herd_page_string(p->out, note);
	}
}

static void put_band(struct herd_page *p, const struct herd_clustering *all,
		     uint32_t band)
{
	const struct herd_cluster *c = herd_clustering_get(all, band);
	size_t n;
	const uint32_t *ids = herd_clustering_members(all, band, &n);

	herd_buf_printf(p->out,
			"<tr><th scope=\"row\" class=\"n\">%u</th>"
			"<td class=\"n\">",
			band);
	herd_page_number(p->out, c->size);
	put(p, "</td>");
	if (c->against == HERD_CLUSTER_NONE) {
		put(p, "<td></td><td></td><td></td>");
	} else {
		herd_buf_printf(p->out, "<td class=\"n\">%u</td>", c->against);
		put_versions(p, c->gained, c->gained_vouched);
		put_versions(p, c->lost, c->lost_vouched);
	}
	put(p, "<td>");
	put_note(p, c);
	if (c->small || herd_report_cluster_note(c))
		put(p, "<br>");
	put_members(p, ids, n);
	put(p, "</td></tr>\n");
}

/* The small ones, or the others; how many were left out. */
static size_t put_some(struct herd_page *p, const struct herd_clustering *all,
		       bool small)
{
	size_t most = p->asked->findings ? p->asked->findings : SIZE_MAX;
	size_t seen = 0;

	for (uint32_t i = 0; i < herd_clustering_n(all); i++)
		if (herd_clustering_get(all, i)->small == small &&
		    seen++ < most)
			put_band(p, all, i);
	return seen > most ? seen - most : 0;
}

int herd_page_bands(struct herd_page *p)
{
	const struct herd_clustering *all = herd_herd_clustering(p->herd);
	size_t left;

	put(p, "<h2 id=\"bands\">Bands</h2>\n<p>");
	if (herd_herd_unclustered(p->herd)) {
		put(p, "Not looked for: together the instances differ in too "
		       "much.</p>\n");
		return 0;
	}
	if (!all || herd_clustering_n(all) < 2) {
		put(p, "None: all instances are one band.</p>\n");
		return 0;
	}
	put(p,
	    "Instances that hold the same many versions of files, as the two "
	    "halves of a rolling deployment do; each band of three or more is "
	    "judged by itself. Packages can vouch for versions, by the word of "
	    "the instance itself; what nothing vouches for is a deviant like "
	    "others. A band of one or two is no acquittal.</p>\n"
	    "<div class=\"wide\"><table class=\"list bands\">\n<thead><tr>"
	    "<th class=\"n\" scope=\"col\">band</th>"
	    "<th class=\"n\" scope=\"col\">instances</th>"
	    "<th class=\"n\" scope=\"col\">against band</th>"
	    "<th class=\"n\" scope=\"col\">versions that it has</th>"
	    "<th class=\"n\" scope=\"col\">that it lacks</th>"
	    "<th scope=\"col\">who</th></tr></thead>\n<tbody>\n");
	left = put_some(p, all, true);
	left += put_some(p, all, false);
	put(p, "</tbody></table></div>\n");
	if (left) {
		put(p, "<p class=\"note\">");
		herd_page_number(p->out, left);
		put(p, " more: herdfs list names them.</p>\n");
	}
	return 0;
}
