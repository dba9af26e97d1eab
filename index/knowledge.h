/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What people know beside what the store holds: the policy (index/policy.h)
 * and the known digests (index/known.h). It comes after the verdict: it moves
 * what deviates into a class of its own and changes ranks, and each finding
 * says by whose word.
 *
 *   policy   --policy FILE, else DIR/policy of the store, else none
 *   known    DIR/known/ of the store
 *
 * Once it is open no other file is opened: a process may lock itself in then.
 *
 * Threads: immutable once opened.
 */
#ifndef HERD_KNOWLEDGE_H
#define HERD_KNOWLEDGE_H

#include "index/judge.h"
#include "index/known.h"
#include "index/policy.h"

struct herd_knowledge {
	struct herd_policy policy;
	char *policy_source;	   /* its file; NULL: there is none */
	uint8_t policy_digest[32]; /* SHA-256 of that file */
	struct herd_known known;
	int64_t now; /* for days of expiry; seconds since 1970 */
};

/*
 * policy may be NULL; store_dir too, for a policy alone. -EINVAL and so on for
 * a policy that is wrong, -ENOENT for one that was named and is not there; one
 * line in diag.
 */
int herd_knowledge_open(const char *store_dir, const char *policy, int64_t now,
			struct herd_knowledge **ret, struct herd_diag *diag);
void herd_knowledge_close(struct herd_knowledge *k); /* NULL is fine */
/* Reads and parses one policy file. digest may be NULL. */
int herd_policy_read(const char *path, struct herd_policy *ret,
		     uint8_t digest[32], struct herd_diag *diag);
size_t herd_knowledge_expired(const struct herd_knowledge *k);

/* One path as it was judged. */
struct herd_matter {
	struct herd_txn *txn;
	const struct herd_group *group;
	uint32_t instance;
	const struct herd_variant *own;
	const struct herd_variant *herd; /* NULL: no such path */
};

/*
 * A content that is known to be bad has rank 100 and deviates even where all
 * is volatile; no policy hides it. One that is known to be good has half its
 * rank, where its content is all that is new about it. What deviates and has
 * a rule of the policy becomes HERD_CLASS_SUPPRESSED. 0, or why the path or
 * the instance could not be named.
 */
int herd_knowledge_apply(const struct herd_knowledge *k,
			 const struct herd_matter *m, struct herd_finding *f);

#endif
