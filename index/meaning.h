/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a deviation means: its category, the ATT&CK technique where one fits, a
 * severity, and one line that says in words what is different: not "content"
 * but "1 line added: toor uid 0". The rules (index/rules.h) say what a path is
 * and which *differ* reads its text; nothing here touches a store or a file.
 *
 * Every byte of the two sides is hostile. Cost: linear in the texts but for
 * one sort of their lines.
 *
 * Threads: pure functions; rules are immutable.
 */
#ifndef HERD_MEANING_H
#define HERD_MEANING_H

#include "index/content.h"
#include "index/rules.h"

#include <stdbool.h>

/* So much of a text is looked at. */
#define HERD_MEANING_TEXT_MAX (64u << 10)
#define HERD_MEANING_WHY_MAX 256

/* One version of a path. All borrowed. */
struct herd_meaning_side {
	bool absent; /* then nothing else is set */
	uint32_t mode, uid, gid;
	uint64_t size;
	uint8_t sort;		/* enum herd_sort + 1 of a regular file; 0:
				   nobody looked, text says it where it is */
	/* content from its first byte on, where it is at hand, else NULL; may
	   be less than size. Of a link its target. */
	const void *text;
	size_t len;
	const void *capability; /* security.capability; NULL: none */
	size_t capability_len;
};

struct herd_meaning {
	const char *category;  /* never NULL; borrowed from the rules */
	const char *technique; /* "T1053.003" or ""; borrowed */
	uint8_t severity;      /* 0…100 */
	bool loud;	       /* what changed is of the dangerous sort */
	bool secret;	       /* keys or passwords may be in a text: it is not
				  to be quoted */
	char why[HERD_MEANING_WHY_MAX]; /* one line of safe UTF-8 */
	/* the rule that said so, to be looked up; "" and 0: none did */
	const char *rule_file; /* borrowed */
	unsigned rule_line;
};

/*
 * path: as the instance saw it, without the leading '/'; what stands below
 * .volumes/<disk>/p<N>/ is taken for the root of that volume. reasons: enum
 * herd_reason bits of own against herd. herd is what own is compared with:
 * the herd's variant, or the baseline's. 0, -ENOMEM.
 */
int herd_meaning_of(const struct herd_rules *rules, const char *path,
		    size_t path_len, unsigned reasons,
		    const struct herd_meaning_side *own,
		    const struct herd_meaning_side *herd,
		    struct herd_meaning *ret);

/*
 * Whether the text of this path, up to HERD_MEANING_TEXT_MAX, helps to say
 * why: for whoever has the content at hand now and will not have it later.
 */
bool herd_meaning_wants(const struct herd_rules *rules, const char *path,
			size_t path_len);

/* Whether the text of this path is nobody's business: it may be all password,
   and nothing that is said needs it. */
bool herd_meaning_shuns(const struct herd_rules *rules, const char *path,
			size_t path_len);

/* "cap_setuid,cap_net_raw+ep"; "?" for what is no capability. Returns buf. */
#define HERD_CAPABILITY_TEXT_MAX 128
const char *herd_capability_text(const void *bytes, size_t len, char *buf,
				 size_t size);

#endif
