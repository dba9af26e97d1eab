/* SPDX-License-Identifier: Apache-2.0 */
/* Threads: as fs/tree_facts.h says. */
#include "fs/tree_facts.h"

#include "index/knowledge.h"
#include "index/report.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* The verdict on the path; NULL where there is none. */
static const struct herd_finding *finding_of(struct herd_subject *s)
{
	const struct herd_tree_member *m;
	struct herd_herd *herd;

	if (s->at.finding)
		return s->at.finding;
	if (s->asked)
		return s->judged ? &s->finding : NULL;
	s->asked = true;
	m = herd_tree_member(s->tree, s->at.shown->record.id);
	if (m->role != HERD_ROLE_MEMBER ||
	    herd_tree_herd(s->txn, s->at.shown->group, &herd))
		return NULL;
	s->judged = !herd_judge_path(s->txn, herd, s->at.shown->record.id,
				     s->at.path, &s->finding, NULL);
	return s->judged ? &s->finding : NULL;
}

/* What it means; NULL where there is nothing to say or nobody to say it. */
static const struct herd_meaning *meaning_of(struct herd_subject *s)
{
	const struct herd_knowledge *k = s->tree->options.knowledge;
	const struct herd_finding *f = finding_of(s);
	struct herd_herd *herd;

	if (!f || f->verdict.class == HERD_CLASS_SAME || !k || !k->rules)
		return NULL;
	if (!s->explained &&
	    (herd_tree_herd(s->txn, s->at.shown->group, &herd) ||
	     herd_explain(s->txn, herd, s->at.shown->record.id, f, k->rules,
			  &s->meaning)))
		return NULL;
	s->explained = true;
	return &s->meaning;
}

/* ---- one function an attribute: 0, or -ENODATA ---- */

static int get_class(struct herd_subject *s, struct herd_buf *out)
{
	const struct herd_finding *f = finding_of(s);

	if (!f)
		return -ENODATA;
	herd_buf_printf(out, "%s", herd_class_name(f->verdict.class));
	return 0;
}

static int get_reason(struct herd_subject *s, struct herd_buf *out)
{
	const struct herd_finding *f = finding_of(s);
	char text[HERD_REASON_TEXT_MAX];

	if (!f || !f->verdict.reasons)
		return -ENODATA;
	herd_buf_printf(out, "%s",
			herd_reason_text(f->verdict.reasons, text,
					 sizeof(text)));
	return 0;
}

static int get_rank(struct herd_subject *s, struct herd_buf *out)
{
	const struct herd_finding *f = finding_of(s);

	if (!f)
		return -ENODATA;
	herd_buf_printf(out, "%u", f->verdict.rank);
	return 0;
}

static int get_why(struct herd_subject *s, struct herd_buf *out)
{
	const struct herd_meaning *m = meaning_of(s);

	if (!m || !m->why[0])
		return -ENODATA;
	herd_buf_printf(out, "%s", m->why);
	return 0;
}

static int get_category(struct herd_subject *s, struct herd_buf *out)
{
	const struct herd_meaning *m = meaning_of(s);

	if (!m)
		return -ENODATA;
	herd_buf_printf(out, "%s", m->category);
	return 0;
}

static int get_technique(struct herd_subject *s, struct herd_buf *out)
{
	const struct herd_meaning *m = meaning_of(s);

	if (!m || !m->technique[0])
		return -ENODATA;
	herd_buf_printf(out, "%s", m->technique);
	return 0;
}

static int get_severity(struct herd_subject *s, struct herd_buf *out)
{
	const struct herd_meaning *m = meaning_of(s);

	if (!m)
		return -ENODATA;
	herd_buf_printf(out, "%u", m->severity);
	return 0;
}

static int get_score(struct herd_subject *s, struct herd_buf *out)
{
	const struct herd_meaning *m = meaning_of(s);

	if (!m)
		return -ENODATA;
	herd_buf_printf(out, "%u", herd_score(finding_of(s), m));
	return 0;
}

/* Of the version that is shown here. */
static int get_prevalence(struct herd_subject *s, struct herd_buf *out)
{
	const struct herd_finding *f = finding_of(s);
	bool herds = herd_node_kind(s->node) == HERD_NODE_HERD && s->at.finding;

	if (!f)
		return -ENODATA;
	herd_buf_printf(out, "%u/%u",
			herds ? f->verdict.herd_count : f->verdict.count,
			f->verdict.members);
	return 0;
}

static int get_baseline(struct herd_subject *s, struct herd_buf *out)
{
	const struct herd_finding *f = finding_of(s);
	char text[HERD_REASON_TEXT_MAX];

	if (!f || !f->verdict.has_baseline)
		return -ENODATA;
	herd_buf_printf(out, "%s",
			f->verdict.baseline_reasons ?
				herd_reason_text(f->verdict.baseline_reasons,
						 text, sizeof(text)) :
				"equal");
	return 0;
}

/* Where the herd's version stands, from the root of the mount; empty where
   the herd has no such path. */
static int get_herd(struct herd_subject *s, struct herd_buf *out)
{
	const struct herd_finding *f = finding_of(s);

	if (!f || f->verdict.class != HERD_CLASS_DEVIANT)
		return -ENODATA;
	if (f->herd_absent || !f->herd_holder)
		return 0;
	herd_buf_printf(out, "/asg/%s/%s/herd/disk/",
			s->at.shown->group->group.name,
			s->at.shown->record.name);
	return herd_path_full(s->txn, s->at.path, out);
}

/* Of what is shown here, whoever's it is and whatever the verdict. */
static int get_known(struct herd_subject *s, struct herd_buf *out)
{
	const struct herd_knowledge *k = s->tree->options.knowledge;
	const struct herd_known_set *set;

	if (!k || !herd_subject_has_record(s) || !S_ISREG(s->at.entry.mode) ||
	    s->at.entry.digest_kind != HERD_DIGEST_SHA256)
		return -ENODATA;
	set = herd_known_find(&k->known, s->at.entry.digest);
	if (!set)
		return -ENODATA;
	herd_buf_printf(out, "%s (%s)", set->bad ? "bad" : "good", set->name);
	return 0;
}

static int get_suppressed(struct herd_subject *s, struct herd_buf *out)
{
	const struct herd_finding *f = finding_of(s);
	const struct herd_policy_rule *r = f ? f->suppressed_by : NULL;

	if (!r)
		return -ENODATA;
	herd_buf_printf(out, "%s; owner %s; expires %s", r->reason, r->owner,
			r->until);
	return 0;
}

static int get_holder(struct herd_subject *s, struct herd_buf *out)
{
	if (s->at.holder == s->at.shown)
		return -ENODATA;
	herd_buf_printf(out, "%s", s->at.holder->record.name);
	return 0;
}

static void put_hex(struct herd_buf *out, const uint8_t digest[32])
{
	char hex[65];

	herd_buf_printf(out, "%s", herd_hex(digest, 32, hex));
}

static int get_sha256(struct herd_subject *s, struct herd_buf *out)
{
	if (!herd_subject_has_record(s) ||
	    s->at.entry.digest_kind != HERD_DIGEST_SHA256)
		return -ENODATA;
	put_hex(out, s->at.entry.digest);
	return 0;
}

/*
 * By what we know the content: it was read, its blocks are those of the
 * reference, or all of its metadata is. A file of its own record and the
 * reference's digest may have been read all the same: said is the less.
 */
static int get_basis(struct herd_subject *s, struct herd_buf *out)
{
	const struct herd_instance *i = &s->at.holder->record;
	enum herd_basis basis = HERD_BASIS_CONTENT;
	struct herd_entry own, ref;
	int err;

	if (!herd_subject_has_record(s) || !S_ISREG(s->at.entry.mode) ||
	    (s->at.entry.digest_kind != HERD_DIGEST_SHA256 &&
	     s->at.entry.digest_kind != HERD_DIGEST_SPARSE))
		return -ENODATA;
	if (s->at.entry.volume < i->n_volumes)
		basis = i->volumes[s->at.entry.volume].basis;
	err = basis == HERD_BASIS_CONTENT ? -ENOENT :
	      herd_entry_get_own(s->txn, i->id, s->at.path, &own);
	if (!err)
		err = herd_entry_get_own(s->txn,
					 s->at.shown->group->group.reference,
					 s->at.path, &ref);
	if (!err && memcmp(own.digest, ref.digest, sizeof(own.digest)) != 0)
		basis = HERD_BASIS_CONTENT;
	herd_buf_printf(out, "%s", herd_basis_name(basis));
	return err == -ENOENT ? 0 : err;
}

/* Where there is no plain SHA-256 of the content. */
static int get_digest(struct herd_subject *s, struct herd_buf *out)
{
	if (!herd_subject_has_record(s))
		return -ENODATA;
	switch (s->at.entry.digest_kind) {
	case HERD_DIGEST_SPARSE:
		herd_buf_printf(out, "sparse-sha256:");
		put_hex(out, s->at.entry.digest);
		return 0;
	case HERD_DIGEST_UNREADABLE:
		herd_buf_printf(out, "unreadable");
		return 0;
	default:
		return -ENODATA;
	}
}

/* Of what is shown as an empty file. */
static int get_type(struct herd_subject *s, struct herd_buf *out)
{
	const struct herd_entry *e = &s->at.entry;

	if (!herd_subject_has_record(s))
		return -ENODATA;
	switch (e->mode & S_IFMT) {
	case S_IFREG:
	case S_IFDIR:
	case S_IFLNK:
		return -ENODATA;
	case S_IFIFO:
		herd_buf_printf(out, "fifo");
		return 0;
	case S_IFSOCK:
		herd_buf_printf(out, "socket");
		return 0;
	case S_IFCHR:
	case S_IFBLK:
		herd_buf_printf(out, "%s %u:%u",
				S_ISCHR(e->mode) ? "char" : "block",
				e->rdev_major, e->rdev_minor);
		return 0;
	default:
		herd_buf_printf(out, "unknown 0%o", e->mode & S_IFMT);
		return 0;
	}
}

static int get_inode(struct herd_subject *s, struct herd_buf *out)
{
	if (!herd_subject_has_record(s))
		return -ENODATA;
	herd_buf_printf(out, "%" PRIu64, s->at.entry.ino);
	return 0;
}

/* Disk and partition, as .volumes/ names them, and what is on it. */
static int get_volume(struct herd_subject *s, struct herd_buf *out)
{
	const struct herd_stored_volume *v;

	if (!herd_subject_has_record(s))
		return -ENODATA;
	v = &s->at.holder->record.volumes[s->at.entry.volume];
	herd_buf_printf(out, "%u/p%u", v->disk, v->partition);
	if (v->fs && *v->fs)
		herd_buf_printf(out, " %s", v->fs);
	if (v->uuid && *v->uuid)
		herd_buf_printf(out, " UUID=%s", v->uuid);
	return 0;
}

static int get_btime(struct herd_subject *s, struct herd_buf *out)
{
	char text[HERD_REPORT_TIME_MAX];

	if (!herd_subject_has_record(s) ||
	    (!s->at.entry.btime.sec && !s->at.entry.btime.nsec))
		return -ENODATA;
	herd_buf_printf(out, "%s", herd_report_time(&s->at.entry.btime, text));
	return 0;
}

static int get_problem(struct herd_subject *s, struct herd_buf *out)
{
	if (s->at.broken) {
		herd_buf_printf(out, "its record in the index is damaged");
		return 0;
	}
	if (!herd_subject_has_record(s) || !s->at.entry.problem)
		return -ENODATA;
	herd_buf_put(out, s->at.entry.problem, s->at.entry.n_problem);
	return 0;
}

/* The link's target as the instance has it. */
static int get_target(struct herd_subject *s, struct herd_buf *out)
{
	if (!herd_subject_is_link(s))
		return -ENODATA;
	if (s->at.entry.bytes)
		herd_buf_put(out, s->at.entry.bytes, s->at.entry.n_bytes);
	return 0;
}

static const struct herd_attribute of_paths[] = {
	{ "class", get_class },
	{ "reason", get_reason },
	{ "rank", get_rank },
	{ "why", get_why },
	{ "category", get_category },
	{ "technique", get_technique },
	{ "severity", get_severity },
	{ "score", get_score },
	{ "prevalence", get_prevalence },
	{ "herd", get_herd },
	{ "known", get_known },
	{ "suppressed", get_suppressed },
	{ "holder", get_holder },
	{ "baseline", get_baseline },
	{ "sha256", get_sha256 },
	{ "basis", get_basis },
	{ "digest", get_digest },
	{ "type", get_type },
	{ "target", get_target },
	{ "inode", get_inode },
	{ "volume", get_volume },
	{ "btime", get_btime },
	{ "problem", get_problem },
};

/* ---- above disk/ ---- */

static int get_store(struct herd_subject *s, struct herd_buf *out)
{
	if (s->node != HERD_NODE_ROOT)
		return -ENODATA;
	herd_buf_printf(out, "%s", herd_store_dir(s->tree->store));
	return 0;
}

static int get_snapshot(struct herd_subject *s, struct herd_buf *out)
{
	if (s->node != HERD_NODE_ROOT)
		return -ENODATA;
	herd_buf_printf(out, "%" PRIu64, herd_txn_id(s->txn));
	return 0;
}

static int put_failure(void *arg, const char *line)
{
	herd_buf_printf(arg, "%s\n", line);
	return ((struct herd_buf *)arg)->len > HERD_XATTR_VALUE_MAX / 2;
}

static int get_failures(struct herd_subject *s, struct herd_buf *out)
{
	if (s->node != HERD_NODE_ROOT)
		return -ENODATA;
	herd_tree_each_failure(s->tree, put_failure, out);
	return out->len ? 0 : -ENODATA;
}

static int get_role(struct herd_subject *s, struct herd_buf *out)
{
	const struct herd_tree_member *m;

	if (herd_node_kind(s->node) != HERD_NODE_INSTANCE ||
	    herd_node_what(s->node) != HERD_INSTANCE_DIR)
		return -ENODATA;
	m = herd_tree_member(s->tree, herd_node_owner(s->node));
	if (!m)
		return -ENODATA;
	herd_buf_printf(out, "%s",
			m->role == HERD_ROLE_BASELINE ? "baseline" : "member");
	return 0;
}

static const struct herd_attribute of_top[] = {
	{ "store", get_store },
	{ "snapshot", get_snapshot },
	{ "failures", get_failures },
	{ "role", get_role },
};

const struct herd_attribute *herd_attributes_about(uint64_t node, size_t *ret_n)
{
	if (herd_node_is_memory(node) || herd_memory_is_raw(node))
		return herd_attributes_about_memory(node, ret_n);
	*ret_n = herd_node_is_path(node) ? ARRAY_SIZE(of_paths) :
					   ARRAY_SIZE(of_top);
	return herd_node_is_path(node) ? of_paths : of_top;
}
