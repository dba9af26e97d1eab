/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Files that are made when they are asked for: reports of an instance, and
 * what is said about a group. They stand in the cache as long as there is
 * room, and come out the same when made again.
 *
 * Threads: made by one, then never changed.
 */
#include "fs/tree_memory.h"
#include "index/report.h"

#include <string.h>

struct making {
	struct herd_tree *tree;
	struct herd_txn *txn;
	struct herd_tree_group *group;
	struct herd_tree_instance *instance;	/* NULL: of the group */
	uint32_t item;
	bool clusters;	/* README.txt of clusters/ */
};

static int make_report(const struct making *m, struct herd_buf *out,
		       struct herd_diag *diag)
{
	struct herd_report r = {
		.txn = m->txn,
		.instance = &m->instance->record,
	};
	struct herd_memory_herd *memory = NULL;
	struct herd_herd *herd = NULL;
	struct herd_judged *j;
	int err = herd_tree_herd(m->txn, m->group, &herd);

	if (!err)
		err = herd_judged_get(m->tree, m->txn, m->instance, &j);
	if (err)
		return err;
	r.herd = herd;
	/* the disk's part does not fail because memory's does */
	if (!herd_tree_memory_herd(m->tree, m->txn, m->group, &memory))
		r.memory = memory;
	r.findings = j->findings;
	r.n_findings = j->n;
	switch (m->item) {
	case HERD_INSTANCE_REPORT:
		err = herd_report_text(&r, out, diag);
		break;
	case HERD_INSTANCE_REPORT_JSON:
		err = herd_report_json(&r, out, diag);
		break;
	case HERD_INSTANCE_MANIFEST:
		err = herd_report_manifest(&r, out, diag);
		if (!err)
			err = herd_memory_manifest(m->tree, m->txn, m->instance,
						   out);
		break;
	default:
		err = herd_report_bodyfile(&r, out, diag);
	}
	herd_cache_put(&m->tree->cache, &j->cached);
	return err;
}

static int make_clusters(const struct making *m, struct herd_buf *out,
			 struct herd_diag *diag)
{
	struct herd_herd *herd = NULL;
	int err = herd_tree_herd(m->txn, m->group, &herd);

	return err ? err : herd_report_clusters(m->txn, herd, out, diag);
}

static void blob_destroy(struct herd_cached *c)
{
	struct herd_blob *b = (struct herd_blob *)c;

	herd_buf_deinit(&b->buf);
	free(b);
}

static int blob_make(void *arg, struct herd_cached **ret)
{
	const struct making *m = arg;
	struct herd_diag diag = { .offset = HERD_NO_OFFSET };
	struct herd_blob *b = calloc(1, sizeof(*b));
	int err;

	if (!b)
		return -ENOMEM;
	if (m->instance)
		err = make_report(m, &b->buf, &diag);
	else if (m->clusters)
		err = make_clusters(m, &b->buf, &diag);
	else if (m->item == HERD_GROUP_JSON)
		err = herd_report_herd_json(m->txn, &m->group->group, &b->buf,
					    &diag);
	else
		err = herd_report_readme(m->txn, &m->group->group, &b->buf,
					 &diag);
	if (!err)
		err = herd_buf_error(&b->buf);
	if (err) {
		char text[1024];

		herd_tree_failure(m->tree, "%s%s%s: a report cannot be made: "
				  "%s", m->group->group.name,
				  m->instance ? "/" : "",
				  m->instance ? m->instance->record.name : "",
				  herd_diag_format(&diag, err, text,
						   sizeof(text)));
		blob_destroy(&b->cached);
		return err == -ENOMEM ? err : -EIO;
	}
	b->cached.bytes = sizeof(*b) + b->buf.cap;
	b->cached.destroy = blob_destroy;
	*ret = &b->cached;
	return 0;
}

int herd_file_get(struct herd_tree *t, uint64_t node, struct herd_blob **ret)
{
	const uint32_t owner = herd_node_owner(node);
	const bool clusters = herd_node_kind(node) == HERD_NODE_CLUSTER;
	const bool of_group = clusters ||
			      herd_node_kind(node) == HERD_NODE_GROUP;
	LEASE(l, t);
	struct making m = { .tree = t, .txn = l.txn,
			    .item = herd_node_what(node),
			    .clusters = clusters };
	struct herd_cached *c;
	int err = 0;

	if (of_group)
		m.group = herd_tree_group(t, owner);
	else
		err = herd_tree_instance(t, l.txn, owner, &m.instance);
	if (err || (of_group && !m.group))
		return err ? err : -ENOENT;
	if (m.instance)
		m.group = m.instance->group;
	err = herd_cache_get(&t->cache, (struct herd_cache_key){
			     clusters ? HERD_CACHED_CLUSTERS :
			     (of_group ? HERD_CACHED_GROUP_BLOB :
					 HERD_CACHED_BLOB) + m.item, owner, 0 },
			     blob_make, &m, &c);
	if (!err)
		*ret = (struct herd_blob *)c;
	return err;
}
