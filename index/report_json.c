/* SPDX-License-Identifier: Apache-2.0 */
/*
 * report.json and herd.json, and the objects that the commands' --json share
 * with them. Names of any bytes: see herd_json_bytes.
 *
 * Threads: as index/report.h says.
 */
#include "index/report.h"
#include "index/report_memory.h"

#include "index/json.h"
#include "index/knowledge.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

/* Grows when a field changes its meaning or goes; new fields do not count. */
#define REPORT_VERSION 1

/* ---- parts ---- */

void herd_report_json_reasons(struct herd_json *j, const char *key,
			      unsigned reasons)
{
	herd_json_array(j, key);
	for (unsigned bit = 1; bit && bit <= reasons; bit <<= 1)
		if ((reasons & bit) && herd_reason_name(bit))
			herd_json_string(j, NULL, herd_reason_name(bit));
	herd_json_end(j);
}

void herd_report_json_verdict(struct herd_json *j, const struct herd_finding *f,
			      const struct herd_report_names *names)
{
	const struct herd_verdict *v = &f->verdict;

	herd_json_string(j, "class", herd_class_name(v->class));
	herd_json_uint(j, "rank", v->rank);
	herd_report_json_reasons(j, "reasons", v->reasons);
	herd_json_uint(j, "count", v->count);
	herd_json_uint(j, "members", v->members);
	herd_json_uint(j, "variants", v->variants);
	herd_json_bool(j, "absent", f->own_absent);
	herd_json_object(j, "herd");
	herd_json_uint(j, "count", v->herd_count);
	herd_json_bool(j, "absent", f->herd_absent);
	if (f->herd_holder)
		herd_json_string(j, "instance",
				 herd_report_name_of(names, f->herd_holder));
	herd_json_end(j);
	if (v->has_baseline)
		herd_report_json_reasons(j, "baseline_reasons",
					 v->baseline_reasons);
	if (herd_verdict_axis(v))
		herd_json_string(j, "axis", herd_verdict_axis(v));
	if (f->known) {
		herd_json_object(j, "known");
		herd_json_string(j, "kind", f->known->bad ? "bad" : "good");
		herd_json_string(j, "set", f->known->name);
		herd_json_end(j);
	}
	if (f->suppressed_by) {
		const struct herd_policy_rule *r = f->suppressed_by;

		herd_json_object(j, "suppressed");
		herd_json_uint(j, "line", r->line);
		herd_json_string(j, "pattern", r->pattern);
		herd_json_string(j, "reason", r->reason);
		herd_json_string(j, "owner", r->owner);
		herd_json_string(j, "expires", r->until);
		herd_json_end(j);
	}
}

void herd_report_json_meaning(struct herd_json *j, const struct herd_finding *f,
			      const struct herd_meaning *m)
{
	char rule[1024];

	if (!m)
		return;
	herd_json_uint(j, "score", herd_score(f, m));
	herd_json_uint(j, "severity", m->severity);
	herd_json_string(j, "category", m->category);
	if (m->technique[0])
		herd_json_string(j, "technique", m->technique);
	herd_json_string(j, "why", m->why);
	if (!m->rule_file[0])
		return;
	snprintf(rule, sizeof(rule), "%.900s:%u", m->rule_file, m->rule_line);
	herd_json_bytes(j, "rule", rule, strlen(rule));
}

static void json_rules(struct herd_json *j, const struct herd_knowledge *k)
{
	if (!k->rules)
		return;
	herd_json_object(j, "rules");
	herd_json_uint(j, "count", herd_rules_count(k->rules));
	if (k->rules_source) {
		herd_json_bytes(j, "file", k->rules_source,
				strlen(k->rules_source));
		herd_json_hex(j, "sha256", k->rules_digest,
			      sizeof(k->rules_digest));
	}
	herd_json_end(j);
}

void herd_report_json_knowledge(struct herd_json *j, const struct herd_herd *h)
{
	const struct herd_knowledge *k = herd_herd_knowledge(h);

	if (!k)
		return;
	if (k->policy_source) {
		herd_json_object(j, "policy");
		herd_json_bytes(j, "file", k->policy_source,
				strlen(k->policy_source));
		herd_json_hex(j, "sha256", k->policy_digest,
			      sizeof(k->policy_digest));
		herd_json_uint(j, "rules", k->policy.n);
		herd_json_uint(j, "expired", herd_knowledge_expired(k));
		herd_json_end(j);
	}
	json_rules(j, k);
	if (!k->known.n)
		return;
	herd_json_array(j, "known_sets");
	for (size_t i = 0; i < k->known.n; i++) {
		herd_json_object(j, NULL);
		herd_json_string(j, "name", k->known.v[i].name);
		herd_json_string(j, "kind", k->known.v[i].bad ? "bad" : "good");
		herd_json_uint(j, "digests", k->known.v[i].n);
		herd_json_end(j);
	}
	herd_json_end(j);
}

static void json_time(struct herd_json *j, const char *key,
		      const struct herd_time *t)
{
	char text[HERD_REPORT_TIME_MAX];

	if (!t->sec && !t->nsec)
		herd_json_null(j, key);
	else
		herd_json_string(j, key, herd_report_time(t, text));
}

static void json_xattrs(struct herd_json *j, const struct herd_entry *e)
{
	const char *name;
	const void *value;
	size_t name_len, len;

	herd_json_array(j, "xattrs");
	for (size_t i = 0;
	     herd_entry_xattr(e, i, &name, &name_len, &value, &len); i++) {
		herd_json_object(j, NULL);
		herd_json_bytes(j, "name", name, name_len);
		herd_json_hex(j, "value_hex", value, len);
		herd_json_end(j);
	}
	herd_json_end(j);
}

static void json_content(struct herd_json *j, const struct herd_entry *e)
{
	char text[48];

	if (S_ISLNK(e->mode) && e->bytes)
		herd_json_bytes(j, "target", e->bytes, e->n_bytes);
	else if (e->digest_kind == HERD_DIGEST_SHA256)
		herd_json_hex(j, "sha256", e->digest, sizeof(e->digest));
	else if (e->digest_kind == HERD_DIGEST_SPARSE)
		herd_json_hex(j, "sparse_digest", e->digest, sizeof(e->digest));
	else if (e->digest_kind == HERD_DIGEST_UNREADABLE)
		herd_json_bool(j, "unreadable", true);
	if (S_ISCHR(e->mode) || S_ISBLK(e->mode)) {
		snprintf(text, sizeof(text), "%u:%u", e->rdev_major,
			 e->rdev_minor);
		herd_json_string(j, "device", text);
	}
}

void herd_report_json_entry(struct herd_json *j, const struct herd_entry *e)
{
	char text[48];

	herd_json_string(j, "type", herd_report_type(e->mode));
	snprintf(text, sizeof(text), "%04o", e->mode & 07777);
	herd_json_string(j, "mode", text);
	herd_json_uint(j, "uid", e->uid);
	herd_json_uint(j, "gid", e->gid);
	herd_json_uint(j, "size", e->size);
	json_content(j, e);
	json_time(j, "modified", &e->mtime);
	json_time(j, "changed", &e->ctime);
	json_time(j, "accessed", &e->atime);
	json_time(j, "born", &e->btime);
	herd_json_uint(j, "volume", e->volume);
	herd_json_uint(j, "inode", e->ino);
	herd_json_uint(j, "links", e->nlink);
	if (e->n_xattrs)
		json_xattrs(j, e);
	if (e->problem)
		herd_json_bytes(j, "problem", e->problem, e->n_problem);
}

static void json_image(struct herd_json *j, const struct herd_image *img,
		       const char *state)
{
	herd_json_object(j, NULL);
	herd_json_string(j, "format", img->format ? img->format : "");
	herd_json_uint(j, "size", img->size);
	if (state)
		herd_json_string(j, "state", state);
	herd_json_array(j, "files");
	for (size_t i = 0; i < img->n_files; i++) {
		const struct herd_image_file *f = &img->files[i];
		struct herd_time mtime = { f->mtime_sec, f->mtime_nsec };

		herd_json_object(j, NULL);
		herd_json_bytes(j, "path", f->path, strlen(f->path));
		herd_json_uint(j, "size", f->size);
		json_time(j, "modified", &mtime);
		/* of an object of S3 what tells it from others */
		herd_json_hex(j, herd_s3_is_object(f->path) ? "object_sha256" :
			      "ends_sha256", f->ends, sizeof(f->ends));
		herd_json_end(j);
	}
	herd_json_end(j);
	herd_json_end(j);
}

void herd_report_json_images(struct herd_json *j, const char *key,
			     const struct herd_image *images, size_t n,
			     const char *const *states)
{
	herd_json_array(j, key);
	for (size_t i = 0; i < n; i++)
		json_image(j, &images[i], states ? states[i] : NULL);
	herd_json_end(j);
}

static void json_volumes(struct herd_json *j, const struct herd_instance *i)
{
	herd_json_array(j, "volumes");
	for (size_t n = 0; n < i->n_volumes; n++) {
		const struct herd_stored_volume *v = &i->volumes[n];

		herd_json_object(j, NULL);
		herd_json_uint(j, "disk", v->disk);
		herd_json_uint(j, "partition", v->partition);
		herd_json_uint(j, "start", v->start);
		herd_json_uint(j, "length", v->len);
		herd_json_bytes(j, "fs", v->fs, strlen(v->fs));
		herd_json_bytes(j, "uuid", v->uuid, strlen(v->uuid));
		herd_json_bytes(j, "label", v->label, strlen(v->label));
		herd_json_bytes(j, "mount", v->mount, strlen(v->mount));
		herd_json_uint(j, "entries", v->entries);
		herd_json_string(j, "basis", herd_basis_name(v->basis));
		if (v->note && v->note[0])
			herd_json_bytes(j, "note", v->note, strlen(v->note));
		herd_json_end(j);
	}
	herd_json_end(j);
}

static void json_group(struct herd_json *j, const struct herd_group *g,
		       const struct herd_report_names *names)
{
	herd_json_string(j, "group", g->name);
	herd_json_uint(j, "members", g->members);
	if (g->baseline)
		herd_json_string(j, "baseline",
				 herd_report_name_of(names, g->baseline));
	else
		herd_json_null(j, "baseline");
}

/* ---- report.json ---- */

static void json_work(struct herd_json *j, const struct herd_instance *i)
{
	char text[HERD_REPORT_TIME_MAX];
	struct herd_time attached = { .sec = (int64_t)i->attached };

	herd_json_string(j, "instance", i->name);
	herd_json_string(j, "role", herd_report_role(i->role));
	herd_json_string(j, "attached", herd_report_time(&attached, text));
	herd_json_object(j, "read");
	herd_json_uint(j, "entries", i->entries);
	herd_json_uint(j, "files", i->files);
	herd_json_uint(j, "bytes", i->bytes);
	herd_json_uint(j, "hashed_files", i->hashed_files);
	herd_json_uint(j, "hashed_bytes", i->hashed_bytes);
	herd_json_uint(j, "inherited_files", i->inherited_files);
	herd_json_uint(j, "inherited_bytes", i->inherited_bytes);
	herd_json_uint(j, "problems", i->problems);
	herd_json_end(j);
}

static int json_problem(void *arg, const char *path, size_t path_len,
			const char *text, size_t text_len)
{
	struct herd_json *j = arg;

	herd_json_object(j, NULL);
	herd_json_bytes(j, "path", path, path_len);
	herd_json_bytes(j, "text", text, text_len);
	herd_json_end(j);
	return 0;
}

static void json_counts(struct herd_json *j, const struct herd_report *r)
{
	size_t counts[HERD_CLASS_MAX] = { 0 };

	for (size_t i = 0; i < r->n_findings; i++)
		counts[r->findings[i].verdict.class]++;
	herd_json_object(j, "counts");
	for (int c = HERD_CLASS_DEVIANT; c < HERD_CLASS_MAX; c++)
		herd_json_uint(j, herd_class_name((enum herd_class)c),
			       counts[c]);
	herd_json_end(j);
}

struct json_bad {
	struct herd_json *j;
	struct herd_txn *txn;
};

static int json_bad(void *arg, uint32_t path, const struct herd_known_set *set)
{
	const struct json_bad *b = arg;
	CLEANUP_BUF struct herd_buf name = HERD_BUF_INIT;
	int err = herd_path_full(b->txn, path, &name);

	if (!err)
		err = herd_buf_error(&name);
	if (err)
		return err;
	herd_json_object(b->j, NULL);
	herd_json_bytes(b->j, "path", name.len ? (char *)name.data : "",
			name.len);
	herd_json_string(b->j, "set", set->name);
	herd_json_end(b->j);
	return 0;
}

/* Each path once; see report_count.c. */
static int json_paths(struct herd_json *j, const struct herd_report *r)
{
	struct json_bad b = { j, r->txn };
	struct herd_report_paths p;
	int err;

	herd_json_array(j, "same_known_bad");
	err = herd_report_count(r, json_bad, &b, &p);
	herd_json_end(j);
	if (err)
		return err;
	herd_json_object(j, "paths");
	for (int c = 0; c < HERD_CLASS_MAX; c++)
		herd_json_uint(j, herd_class_name((enum herd_class)c), p.of[c]);
	herd_json_uint(j, "unreadable", p.unreadable);
	herd_json_uint(j, "total", p.total);
	herd_json_end(j);
	return 0;
}

static int json_finding(struct herd_json *j, const struct herd_report *r,
			const struct herd_report_lines *lines,
			const struct herd_report_line *line,
			const struct herd_report_names *names)
{
	const struct herd_finding *f = line->finding;
	struct herd_entry e;
	int err = 0;

	herd_json_object(j, NULL);
	herd_json_bytes(j, "path", herd_report_line_name(lines, line),
			line->name_len);
	herd_report_json_verdict(j, f, names);
	herd_report_json_meaning(j, f, line->explained ? &line->meaning : NULL);
	if (!f->own_absent) {
		err = herd_entry_get(r->txn, r->instance->id,
				     herd_herd_group(r->herd)->reference,
				     f->path, &e);
		if (!err) {
			herd_json_object(j, "entry");
			herd_report_json_entry(j, &e);
			herd_json_end(j);
		}
	}
	herd_json_end(j);
	return err;
}

static int json_memory(struct herd_json *j, const struct herd_report *r,
		       struct herd_diag *diag)
{
	CLEANUP(herd_report_memory_deinit) struct herd_report_memory m = { .n = 0 };
	int err = herd_report_memory_make(r->txn, r->memory, r->instance->id,
					  &m, diag);

	if (err) {
		herd_json_null(j, "memory");
		return err == -ENOENT ? 0 : err;
	}
	herd_json_object(j, "memory");
	herd_report_memory_json(&m, j);
	/* an empty list would say that nothing deviates */
	if (m.judged) {
		herd_json_array(j, "findings");
		for (size_t i = 0; i < m.n; i++) {
			herd_json_object(j, NULL);
			herd_report_memory_json_finding(m.machine, &m.v[i], j);
			herd_json_end(j);
		}
		herd_json_end(j);
	}
	herd_json_end(j);
	return 0;
}

int herd_report_json(const struct herd_report *r, struct herd_buf *out,
		     struct herd_diag *diag)
{
	CLEANUP(herd_report_lines_deinit) struct herd_report_lines lines = { 0 };
	CLEANUP(herd_report_names_deinit) struct herd_report_names names = { 0 };
	const struct herd_instance *instance = r->instance;
	struct herd_json j;
	int err = herd_report_lines_make(r, false, &lines, diag);

	if (!err)
		err = herd_report_names_make(r->txn, instance->group, &names);
	if (err)
		return herd_diag_set(diag, err, instance->name, HERD_NO_OFFSET,
				     "report.json: %s", strerror(-err));
	herd_json_begin(&j, out, 2);
	herd_json_object(&j, NULL);
	herd_json_string(&j, "format", "herdfs report");
	herd_json_uint(&j, "version", REPORT_VERSION);
	json_group(&j, herd_herd_group(r->herd), &names);
	json_work(&j, instance);
	herd_report_json_images(&j, "images", instance->disks,
				instance->n_disks, NULL);
	json_volumes(&j, instance);
	herd_json_array(&j, "problems");
	err = herd_problem_each(r->txn, instance->id, json_problem, &j);
	herd_json_end(&j);
	herd_report_json_knowledge(&j, r->herd);
	herd_json_array(&j, "clusters");
	herd_report_json_clusters(&j, r->herd, instance->id, &names);
	herd_json_end(&j);
	herd_json_bool(&j, "clusters_unknown", herd_herd_unclustered(r->herd));
	json_counts(&j, r);
	if (!err)
		err = json_paths(&j, r);
	if (!err)
		err = json_memory(&j, r, diag);
	herd_json_array(&j, "findings");
	for (size_t i = 0; i < lines.n && !err; i++)
		err = json_finding(&j, r, &lines, &lines.v[i], &names);
	herd_json_end(&j);
	herd_json_end(&j);
	int end = herd_json_finish(&j);

	err = err ? err : end;
	return !err ? 0 : herd_diag_set(diag, err, instance->name,
					HERD_NO_OFFSET, "report.json: %s",
					strerror(-err));
}

/* ---- herd.json ---- */

static int json_instance(void *arg, const struct herd_instance *i)
{
	struct herd_json *j = arg;

	herd_json_object(j, NULL);
	json_work(j, i);
	herd_report_json_images(j, "images", i->disks, i->n_disks, NULL);
	json_volumes(j, i);
	herd_json_end(j);
	return 0;
}

int herd_report_herd_json(struct herd_txn *t, const struct herd_group *g,
			  struct herd_buf *out, struct herd_diag *diag)
{
	CLEANUP(herd_report_names_deinit) struct herd_report_names names = { 0 };
	struct herd_json j;
	int end, err = herd_report_names_make(t, g->id, &names);

	if (err)
		return herd_diag_set(diag, err, g->name, HERD_NO_OFFSET,
				     "herd.json: %s", strerror(-err));
	herd_json_begin(&j, out, 2);
	herd_json_object(&j, NULL);
	herd_json_string(&j, "format", "herdfs herd");
	herd_json_uint(&j, "version", REPORT_VERSION);
	json_group(&j, g, &names);
	herd_json_array(&j, "instances");
	err = herd_instance_each(t, g->id, json_instance, &j);
	herd_json_end(&j);
	herd_json_end(&j);
	end = herd_json_finish(&j);
	err = err ? err : end;
	return !err ? 0 : herd_diag_set(diag, err, g->name, HERD_NO_OFFSET,
					"herd.json: %s", strerror(-err));
}
