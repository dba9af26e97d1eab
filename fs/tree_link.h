/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Symbolic links, shown so that following one never leads out of the disk/
 * that holds it, wherever that is mounted.
 *
 * What is shown has this form, and no other: some "..", at most as many as
 * there are folders between disk/ and the link, then names none of which is
 * "..". Since every link of the tree has it, the kernel, which walks one name
 * after the other and starts at the folder that really holds the link, cannot
 * come above disk/ by any chain of them.
 *
 *   usr/lib, ../x, ./a   as it is, when it has that form already
 *   /etc/x               "../" for each folder above, then etc/x
 *   ../../../../x        no more ".." than there are folders above
 *   a/../b               where the instance itself would have come out: with
 *                        its own root at disk/, links in its tree followed;
 *                        names that are not there are taken as written
 *
 * Threads: pure functions, but for the callbacks.
 */
#ifndef HERD_TREE_LINK_H
#define HERD_TREE_LINK_H

#include "acquire/base/buf.h"

/* How the tree in which a link lies is walked. */
struct herd_link_tree {
	void *arg;
	/*
	 * Child `name` of folder dir (0: the root): *ret its number, and when
	 * it is a link *ret_target its target, borrowed until the next call,
	 * else NULL. -ENOENT when there is none.
	 */
	int (*child)(void *arg, uint32_t dir, const char *name, size_t len,
		     uint32_t *ret, const char **ret_target, size_t *ret_len);
	/* The folder that holds the link, "a/b", appended to out. */
	int (*folder)(void *arg, struct herd_buf *out);
};

/*
 * Appends what is shown for target. depth: how many folders lie between disk/
 * and the link. Whatever the bytes of target are, it succeeds, unless memory
 * runs out or `folder` fails.
 */
int herd_link_confine(const struct herd_link_tree *t, unsigned depth,
		      const char *target, size_t len, struct herd_buf *out);

#endif
