/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is known of a node, one function an attribute (tree_facts.c), for
 * those who list and give them (tree_xattr.c). Threads: a subject belongs to
 * one call.
 */
#ifndef HERD_TREE_FACTS_H
#define HERD_TREE_FACTS_H

#include "fs/tree_memory.h"
#include "index/explain.h"

#define HERD_XATTR_USER "user.herdfs."
#define HERD_XATTR_SYSTEM "system.herdfs." /* on links */
#define HERD_XATTR_VALUE_MAX 65536

/* A node and what was found out about it for this call. */
struct herd_subject {
	struct herd_tree *tree;
	uint64_t node;
	struct herd_txn *txn;
	struct herd_at at;
	struct herd_memory_at memory;	/* of a node of memory/ */
	bool asked; /* whether there is a verdict */
	bool judged;
	struct herd_finding finding;
	bool explained;
	struct herd_meaning meaning;
};

static inline bool herd_subject_is_link(const struct herd_subject *s)
{
	return herd_node_is_path(s->node) && !s->at.broken && !s->at.implied &&
	       S_ISLNK(s->at.entry.mode);
}

static inline const char *herd_subject_prefix(const struct herd_subject *s)
{
	return herd_subject_is_link(s) ? HERD_XATTR_SYSTEM : HERD_XATTR_USER;
}

static inline bool herd_subject_has_record(const struct herd_subject *s)
{
	return !s->at.broken && !s->at.implied;
}

/* get: 0 with the value appended, or -ENODATA. */
struct herd_attribute {
	const char *name;
	int (*get)(struct herd_subject *s, struct herd_buf *out);
};
/* Those that a node of this sort may have. */
const struct herd_attribute *herd_attributes_about(uint64_t node,
						   size_t *ret_n);
/* Of memory/ and memory.raw; fs/tree_memory_facts.c. */
const struct herd_attribute *herd_attributes_about_memory(uint64_t node,
							  size_t *ret_n);

#endif
