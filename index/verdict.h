/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The verdict: given what every member of the herd has at one path, is this
 * one's version deviant? Pure functions over values: no I/O, no store, no
 * allocation. This is the seam at which judgement gets better.
 */
#ifndef HERD_VERDICT_H
#define HERD_VERDICT_H

#include "index/entry.h"

/* For struct herd_variant: a file that nothing was written to yet. */
#define HERD_SORT_NOTHING 255

/* What counts as "the same" at a path. Times, inode and place on disk do not. */
struct herd_variant {
	bool absent;		/* then all else is zero */
	uint8_t digest_kind;	/* enum herd_digest_kind */
	uint8_t sort;		/* enum herd_sort of the content + 1, 0:
				   unknown, HERD_SORT_NOTHING: empty and not
				   worth telling from others; not compared, it
				   follows from the content */
	uint32_t mode, uid, gid;
	uint32_t rdev_major, rdev_minor;
	uint8_t digest[32];	/* content with the instance's own tokens
				   replaced (index/store.h), or link target */
	uint8_t xattrs[32];
};

void herd_variant_of(const struct herd_entry *e, struct herd_variant *ret);
bool herd_variant_equal(const struct herd_variant *a,
			const struct herd_variant *b);

/* One variant and how many members have it. */
struct herd_tally {
	struct herd_variant variant;
	uint32_t count;
	uint32_t holder;	/* an instance that has it, or 0 */
	uint32_t tokens;	/* of them, whose bytes differ by their own
				   tokens from the reference's */
};

enum herd_class {
	HERD_CLASS_SAME,	/* the herd's variant */
	HERD_CLASS_DEVIANT,
	HERD_CLASS_VOLATILE,	/* the members have no common version here */
	HERD_CLASS_DRIFT,	/* the herd's variant, but not the baseline's */
	HERD_CLASS_SUPPRESSED,	/* deviant, but for a rule of the policy; never
				   by herd_judge, see index/knowledge.h */
	HERD_CLASS_MAX
};

/* How a variant differs from another: bits. */
enum herd_reason {
	HERD_REASON_ADDED = 1,	/* the other has no such path */
	HERD_REASON_ABSENT = 2,	/* this one lacks it */
	HERD_REASON_TYPE = 4,
	HERD_REASON_CONTENT = 8,
	HERD_REASON_TARGET = 16,
	HERD_REASON_MODE = 32,	/* permission bits other than set-id */
	HERD_REASON_SETID = 64,	/* set-uid or set-gid gained or lost */
	HERD_REASON_OWNER = 128,	/* uid or gid */
	HERD_REASON_XATTR = 256,
	HERD_REASON_DEVICE = 512,	/* device number */
	HERD_REASON_UNREADABLE = 1024,	/* cannot be compared */
	HERD_REASON_SORT = 2048,	/* everybody's content differs here, but
					   this one is of another sort */
	HERD_REASON_TOKENS = 4096,	/* content, by the own tokens alone */
	HERD_REASON_REWRITTEN = 8192,	/* a log that was edited or emptied */
	/* beside others, why it is only volatile: */
	HERD_REASON_PACKAGE = 16384,	/* an upgraded package vouches for it */
	HERD_REASON_ROTATED = 32768,	/* a log that was rotated */
	HERD_REASON_EXPECTED = 65536,	/* the system writes it by itself, each
					   at its own pace (index/place.h) */
	HERD_REASON_BAND = 131072,	/* all of its band have it, and packages
					   vouch for the band */
};

unsigned herd_variant_differences(const struct herd_variant *own,
				  const struct herd_variant *other);

struct herd_verdict {
	enum herd_class class;
	uint8_t rank;		/* 0…100, 100 the most suspicious */
	unsigned reasons;	/* against the herd's variant */
	unsigned baseline_reasons;	/* against the baseline's; 0: equal or
					   no baseline */
	bool has_baseline;
	uint32_t count;		/* members that share this variant, itself
				   included */
	uint32_t members;
	uint32_t variants;	/* different ones at this path */
	uint32_t herd_count;	/* members with the herd's variant */
	size_t herd;		/* index of the herd's variant in tallies; their
				   number: it is the baseline's, which no
				   member has */
};

/*
 * tallies: every variant that a member has here (absent is one), the
 * reference's first, counts summing to members. Where own is not among them
 * it is judged from outside (the baseline itself, which is no member).
 * baseline may be NULL. docs/ARCHITECTURE.md says how rank comes about.
 */
void herd_judge(const struct herd_tally *tallies, size_t n, uint32_t members,
		const struct herd_variant *own,
		const struct herd_variant *baseline, struct herd_verdict *ret);

/* What is to be expected where a path lies. */
enum herd_place {
	HERD_PLACE_UNKNOWN,
	HERD_PLACE_STATE,	/* that things change of themselves */
	HERD_PLACE_FIRM,	/* that they do not: it takes more to call it
				   volatile */
};

/*
 * The same over an abridged list, for paths with a thousand versions: what a
 * single member has can be left out beyond the first two such (and the
 * baseline's), for it is never the herd's. member: own is a member's, perhaps
 * one left out.
 */
struct herd_stack {
	const struct herd_tally *tallies;
	size_t n;
	uint32_t left_out;	/* variants that are not in tallies */
	uint32_t members;
	/* a path that one member alone has: how many others have a name of
	   their own in the same folder for something of the same kind */
	uint32_t alike;
	bool templated;	/* … and whose name has the same form */
	enum herd_place place;
	bool log;	/* herd_place_is_log */
};
void herd_judge_stack(const struct herd_stack *s, const struct herd_variant *own,
		      bool member, const struct herd_variant *baseline,
		      struct herd_verdict *ret);

/*
 * A second look at a path that is volatile: not what the members have there,
 * but of which sort (enum herd_sort), whose and with which rights. Where they
 * agree in that and this one does not, it deviates; true, and *ret is that
 * verdict. coarse: room for s->n tallies; filled, *ret_n of them. ret->herd is
 * an index into these.
 */
bool herd_judge_coarse(const struct herd_stack *s, const struct herd_variant *own,
		       bool member, const struct herd_variant *baseline,
		       struct herd_tally *coarse, size_t *ret_n,
		       struct herd_verdict *ret);
/* Tallies by sort, owner, rights: as coarse in place; returns how many. */
size_t herd_tally_coarsen(struct herd_tally *tallies, size_t n);

/* Whether that many have names of their own in a folder that one more is
   nothing: names are volatile there. */
bool herd_names_loose(uint32_t alike, uint32_t members, bool baseline);

/*
 * The formula of rank alone, 0 to 100: of that many others how many have the
 * herd's, how many the same as this one, and how many other kinds there are.
 */
double herd_rank(double others, double herd, double same, double kinds);

/* Where it stands on the two axes, herd and baseline, in words; NULL where
   there is no baseline or nothing to tell. */
const char *herd_verdict_axis(const struct herd_verdict *v);

/* "content, owner" into buf; "" for none. Returns buf; HERD_REASON_TEXT_MAX bytes are enough. */
#define HERD_REASON_TEXT_MAX 192
const char *herd_reason_text(unsigned reasons, char *buf, size_t size);
/* The word for one bit, NULL for a bit that has none. */
const char *herd_reason_name(unsigned bit);
const char *herd_class_name(enum herd_class c);

#endif
