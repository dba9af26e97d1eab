/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The numbers of nodes. A node says by itself what it stands for, so nothing
 * is kept for one and nothing has to be forgotten:
 *
 *   63…60 kind   59…56 0, or a view   55…32 owner   31…0 what
 *
 *   FIXED     what: 1 the root, 2 asg/
 *   GROUP     owner: the group's id; what: enum herd_group_item
 *   INSTANCE  owner: the instance's id; what: enum herd_instance_item
 *   CLUSTER   owner: the group's id; what: HERD_CLUSTERS_…, a band's folder
 *             from HERD_CLUSTERS_FIRST on
 *   CLUSTER_LINK  owner: the instance's id; what: the band in which it is
 *   MEMORY    59…56: enum herd_memory_view; owner: the instance's id; what:
 *             enum herd_memory_item, or from HERD_MEMORY_FIRST on, for one
 *             process after the other, enum herd_process_item, its open
 *             files, its VMAs, and two for each page that differs
 *   DEVIANT, HERD, VOLATILE, ALL, SUPPRESSED (the views)
 *             owner: the instance's id; what: the path's id in the store's
 *             dictionary; 1, the root path, is the view's disk/
 *
 * The inode number shown is the node, but for files with several hard links:
 * those have kind LINKED and the volume and inode of the image
 *
 *   63…60 LINKED   59…36 instance   35…32 volume   31…0 inode
 *
 * or, where these are larger, kind HASHED and 60 bits of a digest of them.
 *
 * Values; no threads.
 */
#ifndef HERD_TREE_NODE_H
#define HERD_TREE_NODE_H

#include <stdbool.h>
#include <stdint.h>

enum herd_node_kind {
	HERD_NODE_FIXED = 0,
	HERD_NODE_GROUP = 1,
	HERD_NODE_INSTANCE = 2,
	HERD_NODE_CLUSTER = 3,
	HERD_NODE_DEVIANT = 4,
	HERD_NODE_HERD = 5,
	HERD_NODE_VOLATILE = 6,
	HERD_NODE_ALL = 7,
	HERD_NODE_SUPPRESSED = 8,
	HERD_NODE_CLUSTER_LINK = 9,
	HERD_NODE_MEMORY = 10,
	HERD_NODE_HASHED = 14,	/* only ever inode numbers */
	HERD_NODE_LINKED = 15,
};

#define HERD_NODE_OWNER_MAX 0xffffffu
#define HERD_NODE_ASG 2u

enum herd_group_item {
	HERD_GROUP_DIR,
	HERD_GROUP_JSON,
	HERD_GROUP_README,
	HERD_GROUP_ITEM_MAX
};

#define HERD_CLUSTERS_DIR 0u
#define HERD_CLUSTERS_README 1u
#define HERD_CLUSTERS_FIRST 2u

enum herd_instance_item {
	HERD_INSTANCE_DIR,
	HERD_INSTANCE_DEVIANT,	/* the folders that hold disk/ */
	HERD_INSTANCE_HERD,
	HERD_INSTANCE_VOLATILE,
	HERD_INSTANCE_SUPPRESSED,
	HERD_INSTANCE_ALL,
	HERD_INSTANCE_REPORT,
	HERD_INSTANCE_REPORT_JSON,
	HERD_INSTANCE_MANIFEST,
	HERD_INSTANCE_BODYFILE,
	HERD_INSTANCE_MEMORY_RAW,
	HERD_INSTANCE_ITEM_MAX
};

/* Which memory/ it is. */
enum herd_memory_view {
	HERD_MEMORY_DEVIANT,
	HERD_MEMORY_VOLATILE,
	HERD_MEMORY_ALL,
	HERD_MEMORY_VIEW_MAX
};

enum herd_memory_item {
	HERD_MEMORY_DIR,
	HERD_MEMORY_FINDINGS,
	HERD_MEMORY_ABSENT,
	HERD_MEMORY_PROCESSES,
	HERD_MEMORY_KERNEL,	/* a folder, which holds what follows */
	HERD_MEMORY_BANNER,
	HERD_MEMORY_MODULES,
	HERD_MEMORY_MODULES_JSON,
	HERD_MEMORY_HOOKS,
	HERD_MEMORY_SOCKETS,
	HERD_MEMORY_PROBLEMS,
	HERD_MEMORY_ITEM_MAX,
	HERD_MEMORY_FIRST = 16
};

/* Of a process, from where its numbers begin. */
enum herd_process_item {
	HERD_PROCESS_DIR,
	HERD_PROCESS_CORE,
	HERD_PROCESS_MAPS,
	HERD_PROCESS_STATUS,
	HERD_PROCESS_CMDLINE,
	HERD_PROCESS_ENVIRON,
	HERD_PROCESS_EXE,
	HERD_PROCESS_FD,	/* folders */
	HERD_PROCESS_VMA,
	HERD_PROCESS_PAGES,
	HERD_PROCESS_FD_LIST,
	HERD_PROCESS_SOCKETS,
	HERD_PROCESS_MISSING,
	HERD_PROCESS_WHY,
	HERD_PROCESS_ITEM_MAX,
	HERD_PROCESS_FIXED = 16
};

static inline uint64_t herd_node(enum herd_node_kind kind, uint32_t owner,
				 uint32_t what)
{
	return (uint64_t)kind << 60 | (uint64_t)owner << 32 | what;
}

static inline enum herd_node_kind herd_node_kind(uint64_t node)
{
	return (enum herd_node_kind)(node >> 60);
}

/* Above HERD_NODE_OWNER_MAX for a number that is no node of ours. */
static inline uint32_t herd_node_owner(uint64_t node)
{
	return (uint32_t)(node >> 32) & 0xfffffff;
}

static inline uint32_t herd_node_what(uint64_t node)
{
	return (uint32_t)node;
}

/* In memory/, itself included. */
static inline bool herd_node_is_memory(uint64_t node)
{
	return herd_node_kind(node) == HERD_NODE_MEMORY;
}

static inline uint64_t herd_node_memory(enum herd_memory_view view,
					uint32_t owner, uint32_t what)
{
	return herd_node(HERD_NODE_MEMORY, owner, what) | (uint64_t)view << 56;
}

static inline enum herd_memory_view herd_node_memory_view(uint64_t node)
{
	return (enum herd_memory_view)(node >> 56 & 15);
}

static inline uint32_t herd_node_memory_owner(uint64_t node)
{
	return (uint32_t)(node >> 32) & HERD_NODE_OWNER_MAX;
}

/* In clusters/, itself included. */
static inline bool herd_node_is_cluster(uint64_t node)
{
	return herd_node_kind(node) == HERD_NODE_CLUSTER ||
	       herd_node_kind(node) == HERD_NODE_CLUSTER_LINK;
}

/* A path of an image, as one of the views shows it. */
static inline bool herd_node_is_path(uint64_t node)
{
	return herd_node_kind(node) >= HERD_NODE_DEVIANT &&
	       herd_node_kind(node) <= HERD_NODE_SUPPRESSED;
}

#endif
