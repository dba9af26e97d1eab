/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What deviates and is no news: it takes a second thing that speaks for it to
 * be called volatile after all. An upgraded package vouches for it; a log was
 * rotated; the system itself writes it, each at its own pace. Neither code nor
 * keys nor rights are lowered in this way, but for what a package has.
 *
 * Threads: as index/judge.h says.
 */
#include "index/judge_internal.h"

#include "index/content.h"
#include "index/dpkg.h"
#include "index/identity.h"
#include "index/place.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

/* Between the last line of a log and its rotation: a quiet night. */
#define ROTATION_SLACK 86400

static void lower(struct herd_finding *f, enum herd_reason why)
{
	f->verdict.class = HERD_CLASS_VOLATILE;
	f->verdict.reasons |= why;
	f->verdict.rank = (uint8_t)(f->verdict.rank / 5);
}

/* File capabilities are among extended attributes. */
static bool has_xattrs(const struct herd_variant *v)
{
	for (size_t i = 0; i < sizeof(v->xattrs); i++)
		if (v->xattrs[i])
			return true;
	return false;
}

static bool sets_id(const struct herd_variant *v)
{
	return !v->absent && S_ISREG(v->mode) && (v->mode & (S_ISUID | S_ISGID));
}

/* ---- packages ---- */

/* Of what an upgrade changes by itself; rights it had better not. */
static bool upgrade_may(const struct herd_finding *f,
			const struct herd_variant *own, bool old)
{
	/* apt keeps its own folders to itself when it is run */
	const unsigned folder = !own->absent && S_ISDIR(own->mode) &&
					(old || !(own->mode & 077)) ?
				HERD_REASON_MODE | HERD_REASON_OWNER : 0;
	const unsigned may = HERD_REASON_CONTENT | HERD_REASON_TARGET |
			     HERD_REASON_ADDED | HERD_REASON_ABSENT |
			     HERD_REASON_TYPE | HERD_REASON_SORT | folder;

	return !(f->verdict.reasons & ~may) &&
	       !((sets_id(own) || has_xattrs(own)) &&
		 (f->verdict.reasons & HERD_REASON_ADDED));
}

static int is_packaged(struct herd_txn *t, uint32_t instance, uint32_t path,
		       bool *ret)
{
	struct herd_look look;
	int err = instance ? herd_look_get(t, instance, path, &look) : -ENOENT;

	*ret = !err && look.packaged;
	return err == -ENOENT ? 0 : err;
}

/*
 * A package of another version is one change, and /var/lib/dpkg/status tells
 * of it; what the package vouches for is listed apart. So it is seen from
 * either side, for those who have not got it yet have the odd version where
 * most have.
 */
static int lower_packaged(struct herd_txn *t, const struct herd_herd *h,
			  uint32_t instance, const struct herd_variant *own,
			  struct herd_finding *f)
{
	struct herd_variant before;
	bool packaged = false, old;
	int err = herd_judge_variant(t, h, h->group.reference, f->path, &before);

	if (err)
		return err;
	old = herd_variant_equal(own, &before);
	if (!upgrade_may(f, own, old))
		return 0;
	err = is_packaged(t, instance, f->path, &packaged);
	/* what is neither the new one nor the old is no package's */
	if (!err && !packaged && old)
		err = is_packaged(t, f->herd_witness, f->path, &packaged);
	if (!err && packaged)
		lower(f, HERD_REASON_PACKAGE);
	return err;
}

/* ---- logs that were rotated ---- */

/* Whose rights are those of the log, or fewer. */
static bool no_wider(const struct herd_variant *own,
		     const struct herd_variant *log)
{
	return !log->absent && S_ISREG(log->mode) && own->uid == log->uid &&
	       own->gid == log->gid && !(own->mode & ~log->mode & 07777);
}

/* The log as most of those have it who have one. */
static int log_of(struct herd_txn *t, const struct herd_herd *h, uint32_t path,
		  struct herd_variant *ret)
{
	CLEANUP(herd_stacked_deinit) struct herd_judge_stacked s = { 0 };
	uint32_t most = 0;
	int err = herd_stacked_get(t, h, path, &s);

	*ret = (struct herd_variant){ .absent = true };
	for (size_t i = 0; i < s.s.n && !err; i++) {
		const struct herd_tally *tally = &s.s.tallies[i];

		if (tally->variant.absent || tally->count <= most)
			continue;
		most = tally->count;
		*ret = tally->variant;
	}
	return err;
}

/* auth.log.1, where there is an auth.log. */
static int is_rotated(struct herd_txn *t, const struct herd_herd *h,
		      uint32_t path, const struct herd_variant *own, bool *ret)
{
	struct herd_variant log;
	uint32_t parent, base;
	const char *name;
	size_t len;
	int err = herd_path_get(t, path, &parent, &name, &len);

	if (err)
		return err;
	len = herd_place_rotated(name, len);
	err = len ? herd_path_find(t, parent, name, len, &base) : -ENOENT;
	if (!err)
		err = log_of(t, h, base, &log);
	*ret = !err && no_wider(own, &log);
	return err == -ENOENT ? 0 : err;
}

/*
 * Whether the old one is news, too. What most have was put aside before they
 * parted, and every log is younger than that.
 */
static int is_news(struct herd_txn *t, const struct herd_herd *h,
		   uint32_t instance, uint32_t path, bool *ret)
{
	CLEANUP(herd_stacked_deinit) struct herd_judge_stacked s = { 0 };
	struct herd_variant own;
	int err = herd_judge_variant(t, h, instance, path, &own);

	if (!err)
		err = herd_stacked_get(t, h, path, &s);
	*ret = !err;
	for (size_t i = 0; i < s.s.n && !err; i++)
		if ((uint64_t)s.s.tallies[i].count * 2 > s.s.members &&
		    herd_variant_equal(&s.s.tallies[i].variant, &own))
			*ret = false;
	return err;
}

/* a before b by no more than a night; of times that may be any number */
static bool by_night(int64_t a, int64_t b)
{
	return a > b || (uint64_t)b - (uint64_t)a < ROTATION_SLACK;
}

/* auth.log, begun when auth.log.1 was put aside. */
int herd_judge_was_rotated(struct herd_txn *t, const struct herd_herd *h,
			   uint32_t instance, uint32_t path, bool *ret)
{
	static const char *const first[] = { ".1", ".1.gz", ".0" };
	CLEANUP_BUF struct herd_buf old = HERD_BUF_INIT;
	struct herd_entry now, before;
	uint32_t parent, id;
	const char *name;
	size_t len;
	int err = herd_entry_get(t, instance, h->group.reference, path, &now);

	if (!err)
		err = herd_path_get(t, path, &parent, &name, &len);
	if (err)
		return err == -ENOENT ? 0 : err;
	for (size_t i = 0; i < ARRAY_SIZE(first) && !*ret; i++) {
		old.len = 0;
		herd_buf_put(&old, name, len);
		herd_buf_put(&old, first[i], strlen(first[i]));
		if (old.failed)
			return -ENOMEM;
		err = herd_path_find(t, parent, (char *)old.data, old.len, &id);
		if (!err)
			err = herd_entry_get(t, instance, h->group.reference,
					     id, &before);
		if (err && err != -ENOENT)
			return err;
		/* packing makes a new file, and keeps the time of the old */
		*ret = !err && S_ISREG(before.mode) && now.btime.sec &&
		       by_night(now.btime.sec, before.mtime.sec) &&
		       (now.btime.sec > before.btime.sec ||
			old.data[old.len - 1] == 'z');
		err = *ret ? is_news(t, h, instance, id, ret) : 0;
		if (err)
			return err;
	}
	return 0;
}

static int lower_rotated(struct herd_txn *t, const struct herd_herd *h,
			 uint32_t instance, const struct herd_variant *own,
			 struct herd_finding *f)
{
	const unsigned fresh = HERD_REASON_CONTENT | HERD_REASON_MODE;
	unsigned reasons = f->verdict.reasons;
	struct herd_variant log;
	bool rotated = false;
	int err = 0;

	if (reasons == HERD_REASON_ADDED) {
		err = is_rotated(t, h, f->path, own, &rotated);
	} else if (reasons && !(reasons & ~fresh)) {
		err = log_of(t, h, f->path, &log);
		if (!err && no_wider(own, &log))
			err = herd_judge_was_rotated(t, h, instance,
						     f->path, &rotated);
	}
	if (!err && rotated)
		lower(f, HERD_REASON_ROTATED);
	return err;
}

/* ---- histories ---- */

static int machine_id(struct herd_txn *t, uint32_t instance, char *ret,
		      size_t size)
{
	struct herd_identity *identity = NULL;
	enum herd_token_kind kind;
	const void *bytes;
	size_t len;
	int err = herd_tokens_get(t, instance, &bytes, &len);

	ret[0] = '\0';
	if (!err)
		err = herd_identity_decode(bytes, len, &identity);
	if (err)
		return err == -ENOENT ? 0 : err;
	for (size_t i = 0; herd_identity_token(identity, i, &kind, &bytes, &len);
	     i++)
		if (kind == HERD_TOKEN_MACHINE_ID && len < size)
			snprintf(ret, size, "%.*s", (int)len,
				 (const char *)bytes);
	herd_identity_destroy(identity);
	return 0;
}

/*
 * Who has logged in has a history; that he did, the journal of his own tells.
 * path: of the history that is missing.
 */
static int history_is_due(struct herd_txn *t, const struct herd_herd *h,
			  uint32_t instance, uint32_t path, bool *ret)
{
	char id[64] = "", journal[160];
	struct herd_entry home, e;
	uint32_t parent, at;
	const char *name;
	size_t len;
	int err = herd_path_get(t, path, &parent, &name, &len);

	*ret = false;
	if (!err)
		err = machine_id(t, instance, id, sizeof(id));
	if (!err)
		err = herd_entry_get(t, instance, h->group.reference, parent,
				     &home);
	if (err || !id[0])
		return err == -ENOENT ? 0 : err;
	snprintf(journal, sizeof(journal), "var/log/journal/%s/user-%u.journal",
		 id, home.uid);
	err = herd_path_resolve(t, journal, strlen(journal), &at);
	if (!err)
		err = herd_entry_get(t, instance, h->group.reference, at, &e);
	*ret = !err;
	return err == -ENOENT ? 0 : err;
}

static bool is_history(const char *path, size_t len)
{
	static const char ending[] = "_history";
	const size_t n = sizeof(ending) - 1;

	return len > n && !memcmp(path + len - n, ending, n);
}

/* A log that others have may be one that was deleted. */
static bool is_plain_log(const char *path, size_t len)
{
	static const char log[] = "var/log/", journal[] = "var/log/journal/";

	return len > sizeof(log) - 1 && !memcmp(path, log, sizeof(log) - 1) &&
	       (len < sizeof(journal) - 1 ||
		memcmp(path, journal, sizeof(journal) - 1) != 0);
}

/* ---- all of it ---- */

static int lower_expected(struct herd_txn *t, const struct herd_herd *h,
			  uint32_t instance, const struct herd_buf *path,
			  struct herd_finding *f)
{
	bool due = false;
	int err = 0;

	if ((f->verdict.reasons & HERD_REASON_ABSENT) &&
	    is_history((char *)path->data, path->len))
		err = history_is_due(t, h, instance, f->path, &due);
	else if (f->verdict.reasons & HERD_REASON_ABSENT)
		due = is_plain_log((char *)path->data, path->len);
	if (!err && !due)
		lower(f, HERD_REASON_EXPECTED);
	return err;
}

/* Data that nobody runs, and that lets nobody in. */
static bool is_harmless(const struct herd_variant *v)
{
	enum herd_sort sort = v->sort ? (enum herd_sort)(v->sort - 1) :
					HERD_SORT_DATA;

	if (v->absent)
		return true;
	if (S_ISREG(v->mode))
		return !sets_id(v) && v->sort &&
		       (v->sort == HERD_SORT_NOTHING ||
			(!herd_sort_is_code(sort) &&
			 !herd_sort_is_secret(sort) && !(v->mode & 0111)));
	return S_ISDIR(v->mode);
}

/* ---- what a band has ---- */

static bool is_host_key(const char *path, size_t len)
{
	static const char start[] = "etc/ssh/ssh_host_";

	return len > sizeof(start) - 1 &&
	       !memcmp(path, start, sizeof(start) - 1) &&
	       !memchr(path + sizeof(start) - 1, '/', len - sizeof(start) + 1);
}

/* Whether all who have it have the same but for tokens of their own. */
static int is_made_by_each(struct herd_txn *t, const struct herd_herd *h,
			   uint32_t path, bool *ret)
{
	CLEANUP(herd_stacked_deinit) struct herd_judge_stacked s = { 0 };
	const struct herd_tally *only = NULL;
	struct herd_look look;
	size_t present = 0;
	int err = herd_stacked_get(t, h, path, &s);

	for (size_t i = 0; i < s.s.n && !err; i++) {
		if (s.s.tallies[i].variant.absent || !s.s.tallies[i].count)
			continue;
		only = &s.s.tallies[i];
		present++;
	}
	*ret = false;
	if (err || present != 1)
		return err;
	err = herd_look_get(t, only->holder, path, &look);
	*ret = !err && look.normal;
	return err == -ENOENT ? 0 : err;
}

int herd_judge_lower_banded(struct herd_txn *t, const struct herd_herd *all,
			    uint32_t instance, const struct herd_variant *own,
			    struct herd_finding *f)
{
	const unsigned may = HERD_REASON_ADDED | HERD_REASON_ABSENT |
			     HERD_REASON_CONTENT;
	CLEANUP_BUF struct herd_buf path = HERD_BUF_INIT;
	bool explained = false;
	int err;

	if (f->verdict.class != HERD_CLASS_DEVIANT ||
	    (f->verdict.reasons & ~may) || sets_id(own) ||
	    (all->without & HERD_WITHOUT_PACKAGES) ||
	    !herd_judge_band_vouched(all, instance))
		return 0;
	err = herd_path_full(t, f->path, &path);
	if (err)
		return err;
	if (path.len == strlen(HERD_DPKG_STATUS) &&
	    !memcmp(path.data, HERD_DPKG_STATUS, path.len))
		explained = true;
	else if (!(f->verdict.reasons & HERD_REASON_CONTENT) &&
		 is_host_key((char *)path.data, path.len))
		err = is_made_by_each(t, all, f->path, &explained);
	if (!err && explained)
		lower(f, HERD_REASON_BAND);
	return err;
}

int herd_judge_lower(struct herd_txn *t, const struct herd_herd *h,
		     uint32_t instance, const struct herd_variant *own,
		     struct herd_finding *f)
{
	const unsigned expected = HERD_REASON_ADDED | HERD_REASON_ABSENT |
				  HERD_REASON_CONTENT;
	CLEANUP_BUF struct herd_buf path = HERD_BUF_INIT;
	int err = 0;

	if (f->verdict.class == HERD_CLASS_DEVIANT &&
	    !(h->without & HERD_WITHOUT_PACKAGES))
		err = lower_packaged(t, h, instance, own, f);
	if (err || f->verdict.class != HERD_CLASS_DEVIANT || !is_harmless(own))
		return err;
	err = herd_path_full(t, f->path, &path);
	if (err)
		return err;
	if (!(h->without & HERD_WITHOUT_EXPECTED) &&
	    !(f->verdict.reasons & ~expected) &&
	    herd_place_is_expected((char *)path.data, path.len))
		err = lower_expected(t, h, instance, &path, f);
	else if (!(h->without & HERD_WITHOUT_ROTATED) &&
		 herd_place_is_log((char *)path.data, path.len))
		err = lower_rotated(t, h, instance, own, f);
	return err;
}
