/* SPDX-License-Identifier: Apache-2.0 */
/* The bands of a herd, in words. Threads: as index/report.h says. */
#include "index/report.h"

#include "acquire/base/cleanup.h"
#include "index/cluster.h"

#include <string.h>

static void put_name(struct herd_buf *out, const char *name)
{
	herd_report_escape(out, name, strlen(name));
}

static void put_against(struct herd_buf *out, const struct herd_cluster *c)
{
	if (c->against == HERD_CLUSTER_NONE)
		return;
	herd_buf_printf(out, "  against band %u: %u versions that it has, %u "
			"that it lacks; packages vouch for %u and %u\n",
			c->against, c->gained, c->lost, c->gained_vouched,
			c->lost_vouched);
	if (c->set_aside)
		herd_buf_printf(out, "  it differs in too much to be compared\n");
	else if (!c->vouched)
		herd_buf_printf(out, "  mostly vouched for by nothing: look at "
				"it as at a deviant\n");
	else if (c->small)
		herd_buf_printf(out, "  an upgrade that it made alone, by its "
				"own word\n");
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
