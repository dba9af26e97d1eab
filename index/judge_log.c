/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Logs differ from member to member; how they came about does not. Asked is
 * whether the file was made when its first line was written (index/logbook.h),
 * here and with the others: where a log is rotated by copying, say, it is so
 * for nobody and tells nothing. (Which programs write into a log was tried as
 * well: logs of healthy members lack some by chance, and who edits one leaves
 * lines of most.)
 *
 * Threads: as index/judge.h says.
 */
#include "index/judge_internal.h"

#include "acquire/base/cursor.h"
#include "index/logbook.h"

/* So many others are asked; more would say the same. */
#define ASKED_MAX 64

enum making {
	MAKING_UNKNOWN,
	MAKING_USUAL,	/* made when its first line was written */
	MAKING_EDITED,	/* later: a new file with old lines */
	MAKING_EMPTIED,	/* earlier: an old file with new lines */
};

/* A store may hold any number for a time: nothing is added to them. */
static bool later(int64_t a, int64_t b)
{
	return a > b && (uint64_t)a - (uint64_t)b > HERD_LOG_SLACK;
}

/* How this one's log came about. */
static int making_of(struct herd_txn *t, const struct herd_herd *h,
		     uint32_t instance, uint32_t path, enum making *ret)
{
	struct herd_look look;
	struct herd_entry e;
	int err = herd_look_get(t, instance, path, &look);

	*ret = MAKING_UNKNOWN;
	if (!err && look.n_sketch)
		err = herd_entry_get(t, instance, h->group.reference, path, &e);
	if (err || !look.n_sketch)
		return err == -ENOENT ? 0 : err;
	struct herd_cursor c = herd_cursor(look.sketch, look.n_sketch);
	int64_t begins = herd_cur_svarint(&c);

	if (c.bad || c.pos != c.len)
		return -EBADMSG;
	if (!e.btime.sec)
		return 0;
	*ret = later(e.btime.sec, begins) ? MAKING_EDITED :
	       later(begins, e.btime.sec) ? MAKING_EMPTIED : MAKING_USUAL;
	return 0;
}

int herd_judge_log(struct herd_txn *t, const struct herd_herd *h,
		   uint32_t instance, uint32_t path, bool *ret_rewritten,
		   struct herd_verdict *ret)
{
	/* [0] made as usual, [1] not */
	struct herd_tally tallies[2] = {
		{ .variant = { .mode = 1 } },
		{ .variant = { .mode = 2 }, .count = 1 } };
	struct herd_verdict verdict;
	bool rotated = false;
	enum making making;
	int err = making_of(t, h, instance, path, &making);

	*ret_rewritten = false;
	if (err || making == MAKING_UNKNOWN || making == MAKING_USUAL)
		return err;
	/* after a rotation it begins when somebody has something to say */
	if (making == MAKING_EMPTIED)
		err = herd_judge_was_rotated(t, h, instance, path, &rotated);
	for (size_t i = 0; i < h->members.n && i < ASKED_MAX && !err; i++) {
		if (h->members.v[i] == instance)
			continue;
		err = making_of(t, h, h->members.v[i], path, &making);
		if (making != MAKING_UNKNOWN)
			tallies[making != MAKING_USUAL].count++;
	}
	if (err || rotated || !tallies[0].count)
		return err;
	herd_judge(tallies, 2, tallies[0].count + tallies[1].count,
		   &tallies[1].variant, NULL, &verdict);
	if (verdict.class != HERD_CLASS_DEVIANT || verdict.herd != 0)
		return 0;
	verdict.reasons = HERD_REASON_REWRITTEN;
	*ret = verdict;
	*ret_rewritten = true;
	return 0;
}
