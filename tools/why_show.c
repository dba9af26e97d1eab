/* SPDX-License-Identifier: Apache-2.0 */
/* What herdfs why prints. Threads: the main thread. */
#include "tools/why.h"

#include "index/json.h"
#include "index/policy.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define VERSIONS_SHOWN 10
#define NAMES_SHOWN 20
#define VALUE_SHOWN 64	/* bytes of an extended attribute */

static void put(struct herd_buf *out, const char *text)
{
	herd_report_escape(out, text, strlen(text));
}

/* ---- one entry, field by field ---- */

enum field { FIELD_TYPE, FIELD_MODE, FIELD_OWNER, FIELD_CONTENT, FIELD_DEVICE,
	     FIELD_XATTRS, FIELD_MODIFIED, FIELD_CHANGED, FIELD_ACCESSED,
	     FIELD_BORN, FIELD_PLACE, FIELD_PROBLEM, FIELD_MAX };

static const char *const field_names[FIELD_MAX] = {
	"type", "mode", "owner", "content", "device", "xattrs", "modified",
	"changed", "accessed", "born", "inode", "problem",
};

static void put_xattrs(struct herd_buf *out, const struct herd_entry *e)
{
	const char *name;
	const void *value;
	size_t name_len, len;
	char hex[2 * VALUE_SHOWN + 1];

	for (size_t i = 0;
	     herd_entry_xattr(e, i, &name, &name_len, &value, &len); i++) {
		size_t n = len < VALUE_SHOWN ? len : VALUE_SHOWN;

		if (i)
			herd_buf_printf(out, ", ");
		herd_report_escape(out, name, name_len);
		herd_buf_printf(out, "=0x%s", herd_hex(value, n, hex));
		if (n < len)
			herd_buf_printf(out, "… (%zu bytes)", len);
	}
}

static void put_content(struct herd_buf *out, const struct herd_entry *e)
{
	char hex[65];

	if (S_ISLNK(e->mode)) {
		herd_buf_printf(out, "-> ");
		herd_report_escape(out, e->bytes, e->n_bytes);
	} else if (S_ISREG(e->mode)) {
		herd_buf_printf(out, "%" PRIu64 " byte%s, ", e->size,
				e->size == 1 ? "" : "s");
		if (e->digest_kind == HERD_DIGEST_UNREADABLE)
			herd_buf_printf(out, "could not be read");
		else
			herd_buf_printf(out, "%s %s", e->digest_kind ==
					HERD_DIGEST_SPARSE ?
					"mostly holes, sparse digest" :
					"sha256", herd_hex(e->digest, 32, hex));
	}
}

static void put_field(struct herd_buf *out, const struct herd_entry *e,
		      enum field field)
{
	const struct herd_time *times[] = { &e->mtime, &e->ctime, &e->atime,
					    &e->btime };
	char text[HERD_REPORT_TIME_MAX];

	switch (field) {
	case FIELD_TYPE:
		herd_buf_printf(out, "%s", herd_report_type(e->mode));
		break;
	case FIELD_MODE:
		herd_buf_printf(out, "%04o %s", e->mode & 07777,
				herd_report_mode(e->mode, text));
		break;
	case FIELD_OWNER:
		herd_buf_printf(out, "%u:%u", e->uid, e->gid);
		break;
	case FIELD_CONTENT:
		put_content(out, e);
		break;
	case FIELD_DEVICE:
		if (S_ISCHR(e->mode) || S_ISBLK(e->mode))
			herd_buf_printf(out, "%u:%u", e->rdev_major,
					e->rdev_minor);
		break;
	case FIELD_XATTRS:
		put_xattrs(out, e);
		break;
	case FIELD_PLACE:
		herd_buf_printf(out, "%" PRIu64 " on volume %u, %u link%s",
				e->ino, e->volume, e->nlink,
				e->nlink == 1 ? "" : "s");
		break;
	case FIELD_PROBLEM:
		if (e->problem)
			herd_report_escape(out, e->problem, e->n_problem);
		break;
	default:
		herd_buf_printf(out, "%s", herd_report_time(
				times[field - FIELD_MODIFIED], text));
	}
}

/* Digests of long attribute values may differ where the text does not. */
static bool field_differs(const struct herd_entry *a, const struct herd_entry *b,
			  enum field field, const struct herd_buf *x,
			  const struct herd_buf *y)
{
	if (field == FIELD_XATTRS)
		return memcmp(a->xattr_digest, b->xattr_digest,
			      sizeof(a->xattr_digest)) != 0;
	return x->len != y->len || (x->len && memcmp(x->data, y->data, x->len));
}

static void put_entry(struct herd_buf *out, const struct herd_entry *e)
{
	for (enum field f = 0; f < FIELD_MAX; f++) {
		CLEANUP_BUF struct herd_buf text = HERD_BUF_INIT;

		put_field(&text, e, f);
		out->failed |= text.failed;
		if (!text.len)
			continue;
		herd_buf_printf(out, "  %-10s", field_names[f]);
		herd_buf_put(out, text.data, text.len);
		herd_buf_u8(out, '\n');
	}
}

static void put_or_none(struct herd_buf *out, const struct herd_buf *text)
{
	if (text->len)
		herd_buf_put(out, text->data, text->len);
	else
		herd_buf_printf(out, "none");
	herd_buf_u8(out, '\n');
}

static void put_comparison(struct herd_buf *out, const struct herd_entry *own,
			   const struct herd_entry *herd)
{
	for (enum field f = 0; f < FIELD_MAX; f++) {
		CLEANUP_BUF struct herd_buf a = HERD_BUF_INIT;
		CLEANUP_BUF struct herd_buf b = HERD_BUF_INIT;

		put_field(&a, own, f);
		put_field(&b, herd, f);
		out->failed |= a.failed || b.failed;
		if (!field_differs(own, herd, f, &a, &b))
			continue;
		herd_buf_printf(out, "  %-10s", field_names[f]);
		put_or_none(out, &a);
		herd_buf_printf(out, "  %-10s", "  herd");
		put_or_none(out, &b);
	}
}

/* ---- text ---- */

static void put_place(const struct why *w, struct herd_buf *out,
		      const char *instance, const char *view)
{
	if (w->mount[0])
		put(out, w->mount);
	else
		herd_buf_printf(out, "…");
	herd_buf_printf(out, "/asg/");
	put(out, w->group.name);
	herd_buf_u8(out, '/');
	put(out, instance);
	herd_buf_printf(out, "/%s/disk/", view);
	herd_report_escape(out, w->path, w->path_len);
}

static void put_verdict(struct herd_buf *out, const struct herd_finding *f)
{
	const struct herd_verdict *v = &f->verdict;
	char reasons[HERD_REASON_TEXT_MAX], known[HERD_REPORT_KNOWN_MAX];

	herd_buf_printf(out, "%s", herd_class_name(v->class));
	if (v->class != HERD_CLASS_SAME)
		herd_buf_printf(out, ", rank %u", v->rank);
	if (v->reasons)
		herd_buf_printf(out, ": %s", herd_reason_text(v->reasons,
				reasons, sizeof(reasons)));
	if (f->known)
		herd_buf_printf(out, "; %s", herd_report_known(f, known));
	if (v->has_baseline)
		herd_buf_printf(out, "; %s%s", v->baseline_reasons ?
				"against the baseline: " : "like the baseline",
				herd_reason_text(v->baseline_reasons, reasons,
						 sizeof(reasons)));
	if (!f->suppressed_by)
		return;
	herd_buf_printf(out, "\n  suppressed by line %u of the policy: ",
			f->suppressed_by->line);
	put(out, f->suppressed_by->reason);
	herd_buf_printf(out, "; owner ");
	put(out, f->suppressed_by->owner);
	herd_buf_printf(out, "; expires %s", f->suppressed_by->until);
}

/* What it means, and the rule that says so. */
static void put_meaning(struct herd_buf *out, const struct herd_finding *f,
			const struct herd_meaning *m)
{
	const char *axis = herd_verdict_axis(&f->verdict);

	if (f->verdict.class == HERD_CLASS_SAME)
		return;
	if (axis)
		herd_buf_printf(out, "  is        %s\n", axis);
	herd_buf_printf(out, "  why       %s\n  means     %s", m->why,
			m->category);
	if (m->technique[0])
		herd_buf_printf(out, ", ATT&CK %s", m->technique);
	herd_buf_printf(out, ", severity %u, score %u", m->severity,
			herd_score(f, m));
	if (m->rule_file[0]) {
		herd_buf_printf(out, "; rule ");
		put(out, m->rule_file);
		herd_buf_printf(out, ":%u", m->rule_line);
	}
	herd_buf_u8(out, '\n');
}

static void put_members(const struct why *w, struct herd_buf *out,
			const struct why_version *v)
{
	size_t n = w->all || v->n_members < NAMES_SHOWN ? v->n_members :
		   NAMES_SHOWN;

	herd_buf_printf(out, "%zu of %u member%s", v->n_members,
			w->group.members, w->group.members == 1 ? "" : "s");
	if (v->baseline)
		herd_buf_printf(out, ", and the baseline");
	for (size_t i = 0; i < n; i++) {
		herd_buf_printf(out, i ? " " : ": ");
		put(out, herd_report_name_of(&w->names, v->members[i]));
	}
	if (n < v->n_members)
		herd_buf_printf(out, " … (%zu more)", v->n_members - n);
	herd_buf_u8(out, '\n');
}

static void put_version(const struct why *w, struct herd_buf *out, size_t i)
{
	const struct why_version *v = &w->versions[i];
	const char *name = herd_report_name_of(&w->names, v->shown);

	herd_buf_printf(out, "\nVersion %zu of %zu: ", i + 1, w->n_versions);
	put_members(w, out, v);
	herd_buf_printf(out, "  ");
	put_verdict(out, &v->finding);
	herd_buf_u8(out, '\n');
	put_meaning(out, &v->finding, &v->meaning);
	if (v->variant.absent) {
		herd_buf_printf(out, "  no such path\n");
		return;
	}
	put_entry(out, &v->entry);
	herd_buf_printf(out, "  as in     ");
	put_place(w, out, name, "all");
	herd_buf_u8(out, '\n');
}

/* The instance that was asked for, against its herd. */
static void put_instance(const struct why *w, struct herd_buf *out)
{
	const struct why_version *own = herd_why_version_of(w, w->instance);
	const struct why_version *herd = herd_why_herd_of(w, &w->finding);
	const char *name = herd_report_name_of(&w->names, w->instance);
	enum herd_class class = w->finding.verdict.class;

	put(out, name);
	herd_buf_printf(out, ": ");
	put_verdict(out, &w->finding);
	herd_buf_u8(out, '\n');
	put_meaning(out, &w->finding, &w->meaning);
	if (!own || !herd || own == herd || class == HERD_CLASS_SAME)
		return;
	if (!herd->variant.absent) {
		const char *where = class == HERD_CLASS_DEVIANT ? name :
			herd_report_name_of(&w->names, herd->shown);

		herd_buf_printf(out, "  the herd's version: ");
		put_place(w, out, where, class == HERD_CLASS_DEVIANT ? "herd" :
			  "all");
		herd_buf_u8(out, '\n');
	}
	if (own->variant.absent)
		herd_buf_printf(out, "  it lacks what %u of %u have\n",
				w->finding.verdict.herd_count,
				w->finding.verdict.members);
	else if (herd->variant.absent)
		herd_buf_printf(out, "  %u of %u have no such path\n",
				w->finding.verdict.herd_count,
				w->finding.verdict.members);
	else
		put_comparison(out, &own->entry, &herd->entry);
}

int herd_why_text(const struct why *w, struct herd_buf *out)
{
	size_t n = w->all || w->n_versions < VERSIONS_SHOWN ? w->n_versions :
		   VERSIONS_SHOWN;

	herd_buf_u8(out, '/');
	herd_report_escape(out, w->path, w->path_len);
	herd_buf_printf(out, " in group ");
	put(out, w->group.name);
	herd_buf_printf(out, ", %u member%s: ", w->group.members,
			w->group.members == 1 ? "" : "s");
	if (w->on_no_disk) {
		herd_buf_printf(out, "on no disk, and in memory\n");
		int users = herd_why_users_text(w, out);

		return users ? users : herd_buf_error(out);
	}
	herd_buf_printf(out, "%zu version%s\n", w->n_versions,
			w->n_versions == 1 ? "" : "s");
	if (w->instance)
		put_instance(w, out);
	for (size_t i = 0; i < n; i++)
		put_version(w, out, i);
	if (n < w->n_versions)
		herd_buf_printf(out, "\n%zu more versions: --all shows them\n",
				w->n_versions - n);
	int err = herd_why_users_text(w, out);

	return err ? err : herd_buf_error(out);
}

/* ---- JSON ---- */

static void json_version(const struct why *w, struct herd_json *j,
			 const struct why_version *v)
{
	herd_json_object(j, NULL);
	herd_json_array(j, "instances");
	for (size_t i = 0; i < v->n_members; i++)
		herd_json_string(j, NULL, herd_report_name_of(&w->names,
							      v->members[i]));
	herd_json_end(j);
	herd_json_bool(j, "baseline", v->baseline);
	herd_json_object(j, "verdict");
	herd_report_json_verdict(j, &v->finding, &w->names);
	if (v->finding.verdict.class != HERD_CLASS_SAME)
		herd_report_json_meaning(j, &v->finding, &v->meaning);
	herd_json_end(j);
	if (!v->variant.absent) {
		herd_json_string(j, "shown",
				 herd_report_name_of(&w->names, v->shown));
		herd_json_object(j, "entry");
		herd_report_json_entry(j, &v->entry);
		herd_json_end(j);
	}
	herd_json_end(j);
}

int herd_why_json(const struct why *w, struct herd_buf *out)
{
	struct herd_json j;

	herd_json_begin(&j, out, 2);
	herd_json_object(&j, NULL);
	herd_json_string(&j, "format", "herdfs why");
	herd_json_uint(&j, "version", 1);
	herd_json_string(&j, "group", w->group.name);
	herd_json_uint(&j, "members", w->group.members);
	herd_json_bytes(&j, "path", w->path, w->path_len);
	if (w->instance) {
		herd_json_string(&j, "instance", herd_report_name_of(
					 &w->names, w->instance));
	}
	if (w->instance && !w->on_no_disk) {
		herd_json_object(&j, "verdict");
		herd_report_json_verdict(&j, &w->finding, &w->names);
		if (w->finding.verdict.class != HERD_CLASS_SAME)
			herd_report_json_meaning(&j, &w->finding, &w->meaning);
		herd_json_end(&j);
	}
	herd_json_array(&j, "versions");
	for (size_t i = 0; i < w->n_versions && !w->on_no_disk; i++)
		json_version(w, &j, &w->versions[i]);
	herd_json_end(&j);
	int err = herd_why_users_json(w, &j);

	herd_json_end(&j);
	int end = herd_json_finish(&j);

	return err ? err : end;
}
