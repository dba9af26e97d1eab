/* SPDX-License-Identifier: Apache-2.0 */
/* The bands of a herd, in words and as JSON. Threads: as index/report.h says. */
#include "index/report.h"

#include "acquire/base/cleanup.h"
#include "index/cluster.h"
#include "index/json.h"

#include <string.h>

static void put_name(struct herd_buf *out, const char *name)
{
	herd_report_escape(out, name, strlen(name));
}

const char *herd_report_cluster_note(const struct herd_cluster *c)
{
	if (c->against == HERD_CLUSTER_NONE)
		return NULL;
	if (c->set_aside)
		return "it differs in too much to be compared";
	if (!c->vouched)
		return "mostly vouched for by nothing: look at it as at a "
		       "deviant";
	return c->small ? "an upgrade that it made alone, by its own word" :
			  NULL;
}

static void put_against(struct herd_buf *out, const struct herd_cluster *c)
{
	if (c->against == HERD_CLUSTER_NONE)
		return;
	herd_buf_printf(out, "  against band %u: %u versions that it has, %u "
			"that it lacks; packages vouch for %u and %u\n",
			c->against, c->gained, c->lost, c->gained_vouched,
			c->lost_vouched);
	if (herd_report_cluster_note(c))
		herd_buf_printf(out, "  %s\n", herd_report_cluster_note(c));
}

static void put_cluster(struct herd_buf *out, const struct herd_clustering *c,
			uint32_t i, const struct herd_report_names *names)
{
	const struct herd_cluster *cluster = herd_clustering_get(c, i);
	size_t n;
	const uint32_t *ids = herd_clustering_members(c, i, &n);

	herd_buf_printf(out, "\nBand %u: %u member%s%s\n ", i, cluster->size,
			cluster->size == 1 ? "" : "s",
			cluster->small ? ", judged with the band that it is "
			"nearest to" : "");
	for (size_t k = 0; k < n; k++) {
		herd_buf_u8(out, ' ');
		put_name(out, herd_report_name_of(names, ids[k]));
	}
	herd_buf_u8(out, '\n');
	put_against(out, cluster);
}

int herd_report_clusters(struct herd_txn *t, const struct herd_herd *h,
			 struct herd_buf *out, struct herd_diag *diag)
{
	CLEANUP(herd_report_names_deinit) struct herd_report_names names = { 0 };
	const struct herd_group *g = herd_herd_group(h);
	const struct herd_clustering *c = herd_herd_clustering(h);
	int err = herd_report_names_make(t, g->id, &names);

	if (err)
		return herd_diag_set(diag, err, g->name, HERD_NO_OFFSET,
				     "the bands of the herd: %s",
				     strerror(-err));
	herd_buf_printf(out, "Bands of the herd ");
	put_name(out, g->name);
	herd_buf_printf(out, ": members that hold the same many versions of "
			"files.\n");
	if (herd_herd_unclustered(h))
		herd_buf_printf(out, "Not looked for: together the members "
				"differ in too much.\n");
	else if (!c || herd_clustering_n(c) < 2)
		herd_buf_printf(out, "There are none: all are one band.\n");
	for (uint32_t i = 0; c && i < herd_clustering_n(c); i++)
		put_cluster(out, c, i, &names);
	return herd_buf_error(out);
}

/* ---- JSON ---- */

static void json_against(struct herd_json *j, const struct herd_cluster *c)
{
	if (c->against == HERD_CLUSTER_NONE)
		return;
	herd_json_object(j, "against");
	herd_json_uint(j, "band", c->against);
	herd_json_uint(j, "has", c->gained);
	herd_json_uint(j, "has_vouched", c->gained_vouched);
	herd_json_uint(j, "lacks", c->lost);
	herd_json_uint(j, "lacks_vouched", c->lost_vouched);
	herd_json_end(j);
	if (herd_report_cluster_note(c))
		herd_json_string(j, "note", herd_report_cluster_note(c));
}

void herd_report_json_clusters(struct herd_json *j, const struct herd_herd *h,
			       uint32_t own,
			       const struct herd_report_names *names)
{
	const struct herd_clustering *c = herd_herd_clustering(h);
	uint32_t own_band = c && own ? herd_clustering_of(c, own) :
				       HERD_CLUSTER_NONE;

	for (uint32_t i = 0; c && i < herd_clustering_n(c); i++) {
		const struct herd_cluster *cluster = herd_clustering_get(c, i);
		size_t n;
		const uint32_t *ids = herd_clustering_members(c, i, &n);

		herd_json_object(j, NULL);
		herd_json_string(j, "group", herd_herd_group(h)->name);
		herd_json_uint(j, "band", i);
		herd_json_uint(j, "size", cluster->size);
		if (own)
			herd_json_bool(j, "own", i == own_band);
		herd_json_bool(j, "small", cluster->small);
		herd_json_bool(j, "vouched", cluster->vouched);
		json_against(j, cluster);
		if (!own || i == own_band || cluster->small) {
			herd_json_array(j, "members");
			for (size_t k = 0; k < n; k++)
				herd_json_string(j, NULL,
						 herd_report_name_of(names,
								     ids[k]));
			herd_json_end(j);
		}
		herd_json_end(j);
	}
}
