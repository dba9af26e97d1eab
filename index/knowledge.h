/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What people know beside what the store holds: the policy (index/policy.h),
 * the known digests (index/known.h), and the rules that say what a path means
 * (index/rules.h). It comes after the verdict: it moves what deviates into a
 * class of its own, changes ranks and says how bad a finding is, and each
 * finding says by whose word.
 *
 *   policy   --policy FILE, else DIR/policy of the store, else none
 *   known    DIR/known/ of the store
 *   rules    those that ship with the program; then --rules FILE, else
 *            $XDG_CONFIG_HOME/herdfs/rules.conf where it is there
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
#include "index/rules.h"

struct herd_knowledge {
	struct herd_policy policy;
	char *policy_source;	   /* its file; NULL: there is none */
	uint8_t policy_digest[32]; /* SHA-256 of that file */
	struct herd_known known;
	struct herd_rules *rules;	/* NULL: nothing is explained */
	char *rules_source;	/* of one's own; NULL: there are none */
	uint8_t rules_digest[32];	/* SHA-256 of that file */
	int64_t now;		/* for days of expiry; seconds since 1970 */
};

struct herd_knowledge_files {
	const char *store_dir;	/* NULL: no known digests */
	const char *policy;	/* NULL: the store's own, if it has one */
	const char *rules;	/* NULL: herd_rules_default_file, if it is there */
};

/*
 * -EINVAL and so on for a policy or rules that are wrong, -ENOENT for a file
 * that was named and is not there; one line in diag.
 */
int herd_knowledge_open(const struct herd_knowledge_files *files, int64_t now,
			struct herd_knowledge **ret, struct herd_diag *diag);
void herd_knowledge_close(struct herd_knowledge *k); /* NULL is fine */
/* Reads and parses one policy file. digest may be NULL. */
int herd_policy_read(const char *path, struct herd_policy *ret,
		     uint8_t digest[32], struct herd_diag *diag);
/* $XDG_CONFIG_HOME/herdfs/rules.conf, else ~/.config/…; -ENOENT with nowhere
   to look. */
int herd_rules_default_file(char *buf, size_t size);
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
