/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bytes of an entry that nobody wrote: decoding refuses them, or what it
 * gives can be walked to its end, keeps its promises, and comes back the same
 * when it is encoded again.
 */
#include "index/entry.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* An assertion that stays, whatever NDEBUG says. */
#define MUST(x) do { if (!(x)) __builtin_trap(); } while (0)

static void take_runs(const struct herd_entry *e, struct herd_inode *i)
{
	struct herd_run_iter it;
	struct herd_run run;
	uint64_t end = 0;

	i->runs = calloc(e->n_runs + 1, sizeof(*i->runs));
	MUST(i->runs);
	herd_entry_runs(e, &it);
	while (herd_entry_run_next(&it, &run)) {
		MUST(run.len && run.logical >= end);
		end = run.logical + run.len;
		MUST(end <= INT64_MAX && run.phys + run.len <= INT64_MAX);
		MUST(i->n_runs < e->n_runs);
		i->runs[i->n_runs++] = run;
	}
	MUST(i->n_runs == e->n_runs);
}

static void take_xattrs(const struct herd_entry *e, struct herd_inode *i)
{
	i->xattrs = calloc(e->n_xattrs + 1, sizeof(*i->xattrs));
	MUST(i->xattrs);
	/* the i-th is found by walking: enough of them show it */
	for (size_t n = 0; n < e->n_xattrs && n < 64; n++) {
		struct herd_xattr *x = &i->xattrs[n];
		const char *name;
		const void *value;
		size_t name_len;

		MUST(herd_entry_xattr(e, n, &name, &name_len, &value,
				      &x->len));
		x->name = strndup(name, name_len);
		x->value = malloc(x->len + 1);
		MUST(x->name && x->value && strlen(x->name) == name_len);
		memcpy(x->value, value, x->len);
		i->n_xattrs++;
	}
}

static void drop(struct herd_inode *i)
{
	for (size_t n = 0; n < i->n_xattrs; n++) {
		free(i->xattrs[n].name);
		free(i->xattrs[n].value);
	}
	free(i->xattrs);
	free(i->runs);
	free(i->problem);
}

/* Encoded anew and decoded again it is the same. */
static void round_trip(const struct herd_entry *e, const struct herd_inode *i)
{
	struct herd_buf first CLEANUP_BUF = HERD_BUF_INIT;
	struct herd_buf second CLEANUP_BUF = HERD_BUF_INIT;
	struct herd_entry again;
	int r = herd_entry_encode(i, e->volume, e->digest_kind, e->digest,
				  &first);

	if (r == -EBADMSG || r == -EOVERFLOW)
		return;	/* at an edge that decoding is wider by */
	MUST(r == 0);
	MUST(herd_entry_decode(first.data, first.len, &again) == 0);
	MUST(again.size == e->size && again.ino == e->ino &&
	     again.mode == e->mode && again.n_runs == e->n_runs &&
	     again.mtime.sec == e->mtime.sec &&
	     again.ctime.sec == e->ctime.sec &&
	     again.btime.nsec == e->btime.nsec &&
	     again.n_bytes == e->n_bytes);
	MUST(herd_entry_encode(i, e->volume, e->digest_kind, e->digest,
			       &second) == 0);
	MUST(first.len == second.len &&
	     !memcmp(first.data, second.data, first.len));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct herd_entry e;

	if (herd_entry_decode(data, size, &e) || e.absent)
		return 0;
	struct herd_inode i = {
		.ino = e.ino, .mode = e.mode, .uid = e.uid, .gid = e.gid,
		.nlink = e.nlink, .size = e.size, .rdev_major = e.rdev_major,
		.rdev_minor = e.rdev_minor, .atime = e.atime,
		.mtime = e.mtime, .ctime = e.ctime, .btime = e.btime,
		.content = e.content, .bytes = (void *)e.bytes,
		.n_bytes = e.n_bytes,
	};

	take_runs(&e, &i);
	take_xattrs(&e, &i);
	if (e.problem)
		i.problem = strndup(e.problem, e.n_problem);
	round_trip(&e, &i);
	drop(&i);
	return 0;
}
