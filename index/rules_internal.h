/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the parser of the rules (rules.c) and those who apply them (meaning.c)
 * share. Immutable after parsing.
 */
#ifndef HERD_RULES_INTERNAL_H
#define HERD_RULES_INTERNAL_H

#include "index/rules.h"

#include <stdbool.h>

/* What can be asked of a finding beside its path: bits, by if=. */
enum herd_fact {
	HERD_FACT_SETUID = 1, /* set-uid, which the herd's is not */
	HERD_FACT_SETGID = 2,
	HERD_FACT_CAPABILITY = 4, /* file capabilities the herd's lacks */
	HERD_FACT_EXECUTABLE = 8, /* a regular file with any x bit */
	HERD_FACT_SCRIPT = 16,
	HERD_FACT_ELF = 32,
	HERD_FACT_SHRUNK = 64, /* smaller than the herd's */
	HERD_FACT_EMPTY = 128,
	HERD_FACT_NULL = 256,	 /* a link to /dev/null */
	HERD_FACT_OPEN = 512,	 /* anybody may write, unlike the herd's */
	HERD_FACT_HIDDEN = 1024, /* the name begins with a dot */
	HERD_FACT_ROOT = 2048,	 /* belongs to root */
	HERD_FACT_STEADY = 4096, /* content is the herd's */
};

/* Types, by type=. */
enum herd_rule_type {
	HERD_TYPE_FILE = 1,
	HERD_TYPE_DIR = 2,
	HERD_TYPE_LINK = 4,
	HERD_TYPE_DEVICE = 8,
	HERD_TYPE_OTHER = 16, /* FIFO, socket */
};

/* '*' and '?' stop at '/', "**" does not; no braces any more. */
struct herd_pattern {
	char *text;
	uint16_t len;
	uint16_t prefix, suffix;   /* so many bytes are literal there */
	uint16_t piece, piece_len; /* the longest literal between them */
};

struct herd_differ;

struct herd_rule {
	uint32_t first, n;   /* in patterns */
	uint32_t category;   /* in categories */
	uint32_t file, line; /* where it stands */
	char technique[12];
	uint8_t severity, loud_severity;
	unsigned types;		   /* enum herd_rule_type; 0: any */
	unsigned changes;	   /* enum herd_reason, one of them; 0: any */
	unsigned facts, not_facts; /* all of the first, none of the others */
	char *has; /* in the text of this version; NULL: no matter */
	size_t has_len;
	char *why; /* template, NULL: "{what}" */
	const struct herd_differ *differ;
};

/* One pattern in the index: by key, then from the last rule to the first. */
struct herd_rule_entry {
	uint64_t key;
	uint32_t rule, pattern;
};

struct herd_rules {
	struct herd_rule *rules;
	size_t n_rules;
	struct herd_pattern *patterns;
	size_t n_patterns;
	struct herd_category *categories;
	size_t n_categories;
	char **files;
	size_t n_files;
	struct herd_rule_entry *index; /* one for each pattern */
};

#define HERD_RULE_PATTERN_MAX 512 /* bytes */

bool herd_pattern_match(const struct herd_pattern *p, const char *path,
			size_t len);
/* Works out what is literal. */
void herd_pattern_prepare(struct herd_pattern *p);
/* Makes r->index anew. 0, -ENOMEM. */
int herd_rules_index(struct herd_rules *r);

/*
 * The rules whose path matches, from the last to the first; one may come more
 * than once. Nothing but the path is looked at.
 */
#define HERD_RULE_LISTS 4
struct herd_rule_scan {
	const struct herd_rules *rules;
	const char *path;
	size_t len;
	struct herd_rule_list {
		const struct herd_rule_entry *at, *end;
	} lists[HERD_RULE_LISTS];
};
void herd_rule_scan(struct herd_rule_scan *s, const struct herd_rules *rules,
		    const char *path, size_t len);
const struct herd_rule *herd_rule_next(struct herd_rule_scan *s);

#endif
