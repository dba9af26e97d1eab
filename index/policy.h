/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the owners of a herd know to be harmless: a file of rules that people
 * review, each with a reason, somebody who answers for it, and a day on which
 * it ends. It takes findings out of sight of deviant/ and into suppressed/,
 * never out of the reports. docs/ARCHITECTURE.md, "Policy", has the format.
 *
 * A rule says nothing about set-id files, executables and credentials unless
 * it says so: what is taken for one is decided here, and rather too often than
 * too seldom.
 *
 * The text is untrusted: sizes are limited and the first thing wrong refuses
 * the whole file. Threads: a policy is immutable once parsed.
 */
#ifndef HERD_POLICY_H
#define HERD_POLICY_H

#include "acquire/base/diag.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define HERD_POLICY_BYTES_MAX (1u << 20)
#define HERD_POLICY_RULES_MAX 4096
#define HERD_POLICY_VALUE_MAX 1024 /* of a pattern or a value */
#define HERD_POLICY_NEVER INT64_MAX

/* What a rule has to name before it applies to such a path: bits. */
enum herd_policy_allow {
	HERD_POLICY_SETID = 1,
	HERD_POLICY_EXECUTABLE = 2,
	HERD_POLICY_CREDENTIAL = 4,
};

struct herd_policy_rule {
	unsigned line;		/* in the file, where it begins */
	char *pattern;		/* over paths; see index/glob.h */
	char *group, *instance; /* patterns over names; NULL: any */
	unsigned reasons;	/* enum herd_reason: applies when a finding has
				   no others; 0: whatever they are */
	unsigned allow;		/* enum herd_policy_allow */
	char *reason,
		*owner;	 /* never empty; UTF-8 without control characters */
	int64_t expires; /* from this second on it does not apply;
				   HERD_POLICY_NEVER */
	char until[16];	 /* the last day, as written; "never" */
};

struct herd_policy {
	struct herd_policy_rule *v; /* in the file's order */
	size_t n, cap;
	bool by_instance; /* some rule asks for the instance's name */
};

void herd_policy_deinit(struct herd_policy *p);

/*
 * source: the file's name, for diag: "FILE:LINE: what is wrong". -EINVAL when
 * something is, -EOVERFLOW beyond a limit. *ret is untouched then.
 */
int herd_policy_parse(const char *source, const char *text, size_t len,
		      struct herd_policy *ret, struct herd_diag *diag);

/* One finding. */
struct herd_policy_question {
	const char *path; /* without leading '/' */
	size_t path_len;
	const char *group, *instance;
	uint32_t mode;		 /* of the instance's version, 0: it has none */
	uint32_t herd_mode;	 /* of the herd's, 0: it has none */
	unsigned reasons;	 /* enum herd_reason, against the herd */
	bool executable_content; /* known to be a program or script */
	bool credential;	 /* known to be one, whatever its name */
	int64_t now;		 /* seconds since 1970 */
};

/* The first rule that applies; NULL: none. */
const struct herd_policy_rule *
herd_policy_match(const struct herd_policy *p,
		  const struct herd_policy_question *q);
/* The bits of enum herd_policy_allow that a rule needs for it. */
unsigned herd_policy_needs(const struct herd_policy_question *q);
static inline bool herd_policy_expired(const struct herd_policy_rule *r,
				       int64_t now)
{
	return now >= r->expires;
}
/* "setid, executable" into buf, of at least 64 bytes; "" for 0. */
const char *herd_policy_allow_text(unsigned allow, char *buf, size_t size);

/* By its name: keys, passwords, and who may become whom. */
bool herd_policy_is_credential(const char *path, size_t len);
/* By its name: what some program loads or runs, whatever its mode. */
bool herd_policy_is_code(const char *path, size_t len);

#endif
