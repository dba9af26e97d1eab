/* SPDX-License-Identifier: Apache-2.0 */
/*
 * herdfs why: everything that is known of one path: which versions there are,
 * who has which, and in what they differ. Threads: the main thread.
 */
#include "tools/why.h"
#include "tools/commands.h"
#include "tools/common.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>

static const char usage[] =
"Usage: herdfs why [OPTION]… PATH\n"
"Shows every version of a path in a group: who has it, what the verdict on it\n"
"is, and in what it differs from the herd's.\n"
"\n"
"PATH is one in a mount, …/asg/GROUP/INSTANCE/deviant/disk/etc/passwd (also in\n"
"herd, volatile, suppressed or all), or, with --asg or where there is but one\n"
"group, a path as the instance itself sees it: /etc/passwd. Where memory is\n"
"attached, it also says which processes run the path and which of its pages\n"
"are changed in memory.\n"
"\n"
"Of a path below memory/ in a mount, or memory.raw, it shows what was found in\n"
"that memory: of the process, of the kernel, or all.\n"
"\n"
"  --asg NAME        the group\n"
"  --instance NAME   compare this one with its herd, field by field\n"
"  --policy FILE     rules for what may deviate; default DIR/policy of the\n"
"                    index, where there is one\n"
"  --rules FILE      rules of one's own for what a path means; default\n"
"                    $XDG_CONFIG_HOME/herdfs/rules.conf, where there is one\n"
"  --all             every version and every name, however many\n"
"  --json            for programs; always complete\n"
"  --store DIR       the index; default $HERDFS_STORE, else\n"
"                    $XDG_DATA_HOME/herdfs\n"
"  --help            this text\n"
"\n"
"Exit status: 0 shown, 1 failed or nobody has the path, 2 wrong usage.\n";

struct options {
	const char *store, *group, *instance, *path, *policy, *rules;
	bool all, json;
};

/* A path taken apart. Owns one buffer that all others point into. */
struct place {
	char *buf;
	const char *mount, *group, *instance, *path;
	bool in_memory;		/* path is one below memory/ */
};

static int parse(int argc, char **argv, struct options *o)
{
	const struct herd_tool_option options[] = {
		{ "asg", .text = &o->group },
		{ "instance", .text = &o->instance },
		{ "policy", .text = &o->policy },
		{ "rules", .text = &o->rules },
		{ "all", .flag = &o->all },
		{ "json", .flag = &o->json },
		{ "store", .text = &o->store },
		{ 0 },
	};
	int status = herd_tool_options(argc, argv, "why", usage, options);

	if (!status && optind + 1 != argc)
		return herd_tool_usage("why", optind == argc ?
				       "which path?" : "one path at a time");
	o->path = argv[optind];
	return status;
}

/* ---- where a path leads ---- */

/* "/a/./b//../c" to "/a/c", in place. */
static void normalise(char *path)
{
	char *to = path;

	for (const char *from = path; *from; ) {
		size_t n = strcspn(from += strspn(from, "/"), "/");

		if (n == 2 && from[0] == '.' && from[1] == '.') {
			while (to > path && *--to != '/')
				;
		} else if (n && !(n == 1 && from[0] == '.')) {
			*to++ = '/';
			memmove(to, from, n);
			to += n;
		}
		from += n;
	}
	*to = '\0';
}

/* Cuts the next component off *at; NULL at the end. */
static char *component(char **at)
{
	char *start = *at + (**at == '/');
	size_t n = strcspn(start, "/");

	if (!n)
		return NULL;
	*at = start + n;
	if (**at) {
		**at = '\0';
		++*at;
	}
	return start;
}

static bool is_view(const char *name)
{
	return name && (strcmp(name, "deviant") == 0 ||
			strcmp(name, "herd") == 0 ||
			strcmp(name, "volatile") == 0 ||
			strcmp(name, "suppressed") == 0 ||
			strcmp(name, "all") == 0);
}

static bool is_view_of_memory(const char *name)
{
	return strcmp(name, "deviant") == 0 || strcmp(name, "volatile") == 0 ||
	       strcmp(name, "all") == 0;
}

/*
 * Takes …/asg/GROUP/INSTANCE/VIEW/disk/PATH apart, and the same with memory/ or
 * with memory.raw; false for another form.
 */
static bool split_at(char *buf, char *asg, struct place *ret)
{
	char *at = asg + 4;
	char *group = component(&at), *instance = component(&at);
	char *view = component(&at), *part = component(&at);
	bool memory;

	if (!instance || !view)
		return false;
	memory = !part ? strcmp(view, "memory.raw") == 0 :
		 is_view_of_memory(view) && strcmp(part, "memory") == 0;
	if (!memory && (!is_view(view) || !part || strcmp(part, "disk") != 0))
		return false;
	*asg = '\0';
	*ret = (struct place){ .buf = buf, .mount = buf, .group = group,
			       .instance = instance, .path = at,
			       .in_memory = memory };
	return true;
}

static int absolute(const char *path, char **ret)
{
	char cwd[PATH_MAX] = "";

	if (path[0] != '/' && !getcwd(cwd, sizeof(cwd)))
		return -errno;
	if (asprintf(ret, "%s/%s", cwd, path) < 0)
		return -ENOMEM;
	normalise(*ret);
	return 0;
}

/* 1: it is a path in a mount; 0: it is not. */
static int split(const char *path, struct place *ret)
{
	CLEANUP_FREE char *whole = NULL;
	int err = absolute(path, &whole);

	if (err)
		return err;
	for (size_t skip = 0;; ) {
		char *copy = strdup(whole), *asg;

		if (!copy)
			return -ENOMEM;
		asg = strstr(copy + skip, "/asg/");
		if (asg && split_at(copy, asg, ret))
			return 1;
		skip = asg ? (size_t)(asg - copy) + 1 : 0;
		free(copy);
		if (!skip)
			return 0;
	}
}

static int find_instance(struct why *w, const char *name)
{
	for (size_t i = 0; name && i < w->names.n; i++)
		if (strcmp(w->names.v[i].name, name) == 0)
			w->instance = w->names.v[i].id;
	if (!name || w->instance)
		return 0;
	herd_tool_warn("group \"%s\" has no instance \"%s\"", w->group.name,
		       name);
	return HERD_EXIT_FAILED;
}

/* ---- the versions ---- */

const struct why_version *herd_why_version_of(const struct why *w,
					      uint32_t instance)
{
	for (size_t i = 0; i < w->n_versions; i++) {
		const struct why_version *v = &w->versions[i];

		if (v->baseline && instance == w->group.baseline)
			return v;
		for (size_t k = 0; k < v->n_members; k++)
			if (v->members[k] == instance)
				return v;
	}
	return NULL;
}

const struct why_version *herd_why_herd_of(const struct why *w,
					   const struct herd_finding *f)
{
	if (!f->herd_absent)
		return herd_why_version_of(w, f->herd_holder);
	for (size_t i = 0; i < w->n_versions; i++)
		if (w->versions[i].variant.absent)
			return &w->versions[i];
	return NULL;
}

static struct why_version *version_for(struct why *w,
				       const struct herd_variant *variant)
{
	for (size_t i = 0; i < w->n_versions; i++)
		if (herd_variant_equal(&w->versions[i].variant, variant))
			return &w->versions[i];
	if (w->n_versions == w->cap_versions) {
		size_t cap = w->cap_versions ? w->cap_versions * 2 : 4;
		struct why_version *v = reallocarray(w->versions, cap,
						     sizeof(*v));

		if (!v)
			return NULL;
		w->versions = v;
		w->cap_versions = cap;
	}
	w->versions[w->n_versions] = (struct why_version){
		.variant = *variant };
	return &w->versions[w->n_versions++];
}

static int add_member(struct why_version *v, uint32_t id)
{
	if (v->n_members == v->cap) {
		size_t cap = v->cap ? v->cap * 2 : 4;
		uint32_t *members = reallocarray(v->members, cap,
						 sizeof(*members));

		if (!members)
			return -ENOMEM;
		v->members = members;
		v->cap = cap;
	}
	v->members[v->n_members++] = id;
	return 0;
}

static int add_instance(struct why *w, uint32_t id)
{
	struct herd_entry e = { .absent = true };
	struct herd_variant variant;
	int err = herd_entry_get(w->txn, id, w->group.reference, w->path_id,
				 &e);

	if (err && err != -ENOENT)
		return err;
	if (err)
		e = (struct herd_entry){ .absent = true };
	herd_variant_of(&e, &variant);
	struct why_version *v = version_for(w, &variant);

	if (!v)
		return -ENOMEM;
	/* the one that was asked for stands for its version */
	if (!v->shown || id == w->instance) {
		v->shown = id;
		v->entry = e;
	}
	if (id != w->group.baseline)
		return add_member(v, id);
	v->baseline = true;
	return 0;
}

static int compare_versions(const void *a, const void *b)
{
	const struct why_version *x = a, *y = b;

	if (x->n_members != y->n_members)
		return x->n_members > y->n_members ? -1 : 1;
	return x->shown < y->shown ? -1 : x->shown > y->shown;
}

static int judge(struct why *w, uint32_t instance, struct herd_finding *finding,
		 struct herd_meaning *meaning, struct herd_diag *diag)
{
	int err = herd_judge_path(w->txn, w->herd, instance, w->path_id,
				  finding, diag);

	if (err || finding->verdict.class == HERD_CLASS_SAME)
		return err;
	return herd_explain(w->txn, w->herd, instance, finding,
			    w->knowledge->rules, meaning);
}

static int gather(struct why *w, struct herd_diag *diag)
{
	int err = 0;

	for (size_t i = 0; i < w->names.n && !err; i++)
		err = add_instance(w, w->names.v[i].id);
	if (!err)
		err = herd_herd_make(w->txn, &w->group, &w->herd, diag);
	if (err)
		return err;
	herd_herd_set_knowledge(w->herd, w->knowledge);
	if (w->n_versions == 0 ||
	    (w->n_versions == 1 && w->versions[0].variant.absent))
		return -ENOENT;
	qsort(w->versions, w->n_versions, sizeof(*w->versions),
	      compare_versions);
	for (size_t i = 0; i < w->n_versions && !err; i++) {
		struct why_version *v = &w->versions[i];

		err = judge(w, v->shown, &v->finding, &v->meaning, diag);
	}
	if (!err && w->instance)
		err = judge(w, w->instance, &w->finding, &w->meaning, diag);
	return err;
}

/* ---- the command ---- */

static void why_deinit(struct why *w)
{
	for (size_t i = 0; i < w->n_versions; i++)
		free(w->versions[i].members);
	free(w->versions);
	herd_report_names_deinit(&w->names);
	herd_herd_destroy(w->herd);
	herd_knowledge_close(w->knowledge);
	herd_txn_abort(w->txn);
}

static void place_deinit(struct place *p)
{
	free(p->buf);
}

static int nobody(const struct why *w)
{
	CLEANUP_BUF struct herd_buf name = HERD_BUF_INIT;

	herd_report_escape(&name, w->path, w->path_len);
	herd_buf_u8(&name, 0);
	herd_tool_warn("nobody in group \"%s\" has /%s", w->group.name,
		       name.failed ? "" : (char *)name.data);
	return HERD_EXIT_FAILED;
}

static int show(const struct why *w, bool json)
{
	CLEANUP_BUF struct herd_buf out = HERD_BUF_INIT;
	int err = json ? herd_why_json(w, &out) : herd_why_text(w, &out);

	if (err)
		return herd_tool_fail(NULL, err);
	fwrite(out.data, 1, out.len, stdout);
	return HERD_EXIT_OK;
}

static int show_machine(struct why *w, const char *path, bool json)
{
	CLEANUP_BUF struct herd_buf out = HERD_BUF_INIT;
	struct herd_diag diag = { .offset = HERD_NO_OFFSET };
	int err = herd_why_machine(w, path, json, &out, &diag);

	if (err)
		return herd_tool_fail(&diag, err);
	fwrite(out.data, 1, out.len, stdout);
	return HERD_EXIT_OK;
}

/* A file that was deleted, or never was on a disk, may be running. */
static int show_or_nobody(struct why *w, bool json)
{
	int err = herd_why_is_run(w, &w->on_no_disk);

	if (err)
		return herd_tool_fail(NULL, err);
	return w->on_no_disk ? show(w, json) : nobody(w);
}

static int why(struct why *w, const struct options *o, const struct place *p)
{
	struct herd_diag diag = { .offset = HERD_NO_OFFSET };
	int err, status = herd_tool_one_group(
		"why", w->txn, o->group ? o->group : p->group, &w->group);

	if (status)
		return status;
	err = herd_report_names_make(w->txn, w->group.id, &w->names);
	if (err)
		return herd_tool_fail(NULL, err);
	status = find_instance(w, o->instance ? o->instance : p->instance);
	if (status)
		return status;
	w->mount = p->mount ? p->mount : "";
	if (p->in_memory)
		return show_machine(w, p->path, o->json);
	w->path = p->path ? p->path : o->path;
	w->path += strspn(w->path, "/");
	w->path_len = strlen(w->path);
	while (w->path_len && w->path[w->path_len - 1] == '/')
		w->path_len--;
	err = herd_path_resolve(w->txn, w->path, w->path_len, &w->path_id);
	if (!err)
		err = gather(w, &diag);
	if (err == -ENOENT)
		return show_or_nobody(w, o->json);
	return err ? herd_tool_fail(&diag, err) : show(w, o->json);
}

int herd_cmd_why(int argc, char **argv)
{
	struct options o = { 0 };
	CLEANUP(place_deinit) struct place p = { 0 };
	struct why w = { .mount = "" };
	struct herd_store *store = NULL;
	struct herd_diag diag = { .offset = HERD_NO_OFFSET };
	int err, status = parse(argc, argv, &o);

	if (status)
		return status < 0 ? herd_tool_finish(HERD_EXIT_OK) : status;
	err = o.group ? 0 : split(o.path, &p);
	if (err < 0)
		return herd_tool_fail(NULL, err);
	if (herd_tool_open_store(o.store, 0, &store))
		return HERD_EXIT_FAILED;
	w.all = o.all;
	status = HERD_EXIT_FAILED;
	const struct herd_knowledge_files files = {
		.store_dir = herd_store_dir(store), .policy = o.policy,
		.rules = o.rules };

	if (!herd_tool_open_knowledge(&files, &w.knowledge)) {
		err = herd_txn_begin(store, false, &w.txn, &diag);
		status = err ? herd_tool_fail(&diag, err) : why(&w, &o, &p);
	}
	why_deinit(&w);
	herd_store_close(store);
	return herd_tool_finish(status);
}
