/* SPDX-License-Identifier: Apache-2.0 */
/*
 * herdfs policy: checks a file of rules and shows them, and what each of them
 * hides. Threads: the main thread.
 */
#include "index/json.h"
#include "index/report.h"
#include "tools/commands.h"
#include "tools/common.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>

static const char usage[] =
"Usage: herdfs policy [OPTION]… [FILE]\n"
"Checks a file of rules for what may deviate and shows them: the line of each,\n"
"whether it has expired, and with --count how many findings it suppresses. FILE\n"
"is \"policy\" in the index when it is not given.\n"
"\n"
"  --count           also count what each rule suppresses\n"
"  --asg NAME        with --count: only in this group\n"
"  --json            for programs\n"
"  --store DIR       the index; default $HERDFS_STORE, else\n"
"                    $XDG_DATA_HOME/herdfs\n"
"  --help            this text\n"
"\n"
"A rule:\n"
"\n"
"  suppress /var/lib/app/**\n"
"    group = web*\n"
"    instance = i-4\n"
"    changes = content, added\n"
"    allow = executable\n"
"    reason = the agent unpacks its plug-ins there (OPS-12)\n"
"    owner = ops@example.org\n"
"    expires = 2027-03-31\n"
"\n"
"reason, owner and expires (a day, or never) are needed. Set-id files,\n"
"executables and credentials are never suppressed unless allow names setid,\n"
"executable or credential; what is known to be bad is never.\n"
"Exit status: 0 the rules are in order, expired or not; 1 they are not, or it\n"
"failed; 2 wrong usage.\n";

struct work {
	const char *store, *group, *file;
	bool count, json;
	/* at work */
	struct herd_knowledge *k;
	struct herd_txn *txn;
	size_t *counts;		/* for each rule */
};

static int parse(int argc, char **argv, struct work *w)
{
	const struct herd_tool_option options[] = {
		{ "count", .flag = &w->count },
		{ "asg", .text = &w->group },
		{ "json", .flag = &w->json },
		{ "store", .text = &w->store },
		{ 0 },
	};
	int status = herd_tool_options(argc, argv, "policy", usage, options);

	if (status)
		return status;
	if (argc - optind > 1)
		return herd_tool_usage("policy", "one file, not several");
	w->file = argv[optind];
	if (w->group && !w->count)
		return herd_tool_usage("policy", "--asg goes with --count");
	return 0;
}

/* ---- counting ---- */

static int count_instance(struct work *w, const struct herd_herd *h,
			  uint32_t id, struct herd_diag *diag)
{
	CLEANUP_FREE struct herd_finding *findings = NULL;
	size_t n = 0;
	int err = herd_judge_instance(w->txn, h, id, &findings, &n, diag);

	for (size_t i = 0; !err && i < n; i++)
		if (findings[i].suppressed_by)
			w->counts[findings[i].suppressed_by -
				  w->k->policy.v]++;
	return err;
}

static int count_group(struct work *w, const struct herd_group *g,
		       struct herd_diag *diag)
{
	CLEANUP(herd_report_names_deinit) struct herd_report_names names = { 0 };
	struct herd_herd *h = NULL;
	int err = herd_herd_make(w->txn, g, &h, diag);

	if (!err) {
		herd_herd_set_knowledge(h, w->k);
		err = herd_report_names_make(w->txn, g->id, &names);
	}
	for (size_t i = 0; !err && i < names.n; i++)
		if (names.v[i].id != g->baseline)
			err = count_instance(w, h, names.v[i].id, diag);
	herd_herd_destroy(h);
	return err;
}

/* Prints the cause when it fails. */
static int count_all(struct work *w)
{
	struct herd_diag diag = { .offset = HERD_NO_OFFSET };
	struct herd_store *store = NULL;
	CLEANUP(herd_tool_groups_deinit) struct herd_tool_groups all = { 0 };
	struct herd_group g;
	int err = herd_tool_open_store(w->store, 0, &store);

	if (err)
		return err;
	err = herd_txn_begin(store, false, &w->txn, &diag);
	if (!err && w->group) {
		err = herd_tool_find_group(w->txn, w->group, &g) ?
			      -ECANCELED : count_group(w, &g, &diag);
	} else if (!err) {
		err = herd_tool_groups_get(w->txn, &all);
	}
	for (size_t i = 0; !err && i < all.n; i++)
		err = count_group(w, &all.v[i], &diag);
	if (err && err != -ECANCELED)
		herd_tool_fail(&diag, err);
	herd_txn_abort(w->txn);
	herd_store_close(store);
	return err;
}

/* ---- showing ---- */

static void put(struct herd_buf *out, const char *label, const char *text)
{
	if (!text || !*text)
		return;
	herd_buf_printf(out, "%s", label);
	herd_report_escape(out, text, strlen(text));
}

static void put_rule(const struct work *w, struct herd_buf *out, size_t i)
{
	const struct herd_policy_rule *r = &w->k->policy.v[i];
	char text[HERD_REASON_TEXT_MAX], count[32] = "";

	if (w->count)
		herd_tool_count(w->counts[i], count, sizeof(count));
	herd_buf_printf(out, "%4u  %-7s  %10s  ", r->line,
			herd_policy_expired(r, w->k->now) ? "expired" :
			"applies", count);
	put(out, "", r->pattern);
	put(out, "\n                           ", r->reason);
	put(out, "\n                           owner ", r->owner);
	herd_buf_printf(out, ", expires %s", r->until);
	put(out, ", group ", r->group);
	put(out, ", instance ", r->instance);
	put(out, ", only changes of ",
	    herd_reason_text(r->reasons, text, sizeof(text)));
	put(out, ", allows ",
	    herd_policy_allow_text(r->allow, text, sizeof(text)));
	herd_buf_u8(out, '\n');
}

static int show_text(const struct work *w)
{
	CLEANUP_BUF struct herd_buf out = HERD_BUF_INIT;
	size_t expired = herd_knowledge_expired(w->k);

	if (w->k->policy.n)
		herd_buf_printf(&out, "line  state    %10s  rule\n",
				w->count ? "suppresses" : "");
	for (size_t i = 0; i < w->k->policy.n; i++)
		put_rule(w, &out, i);
	herd_buf_printf(&out, "%s%zu rule%s in order, %zu expired\n",
			w->k->policy.n ? "\n" : "", w->k->policy.n,
			w->k->policy.n == 1 ? "" : "s", expired);
	if (out.failed)
		return herd_tool_fail(NULL, -ENOMEM);
	fwrite(out.data, 1, out.len, stdout);
	return HERD_EXIT_OK;
}

static void json_rule(const struct work *w, struct herd_json *j, size_t i)
{
	const struct herd_policy_rule *r = &w->k->policy.v[i];
	char name[64];

	herd_json_object(j, NULL);
	herd_json_uint(j, "line", r->line);
	herd_json_string(j, "pattern", r->pattern);
	if (r->group)
		herd_json_string(j, "group", r->group);
	if (r->instance)
		herd_json_string(j, "instance", r->instance);
	herd_report_json_reasons(j, "changes", r->reasons);
	herd_json_array(j, "allow");
	for (unsigned bit = 1; bit <= HERD_POLICY_CREDENTIAL; bit <<= 1)
		if (r->allow & bit)
			herd_json_string(j, NULL, herd_policy_allow_text(
						 bit, name, sizeof(name)));
	herd_json_end(j);
	herd_json_string(j, "reason", r->reason);
	herd_json_string(j, "owner", r->owner);
	herd_json_string(j, "expires", r->until);
	herd_json_bool(j, "expired", herd_policy_expired(r, w->k->now));
	if (w->count)
		herd_json_uint(j, "suppresses", w->counts[i]);
	herd_json_end(j);
}

static int show_json(const struct work *w)
{
	CLEANUP_BUF struct herd_buf out = HERD_BUF_INIT;
	struct herd_json j;

	herd_json_begin(&j, &out, 2);
	herd_json_object(&j, NULL);
	herd_json_string(&j, "format", "herdfs policy");
	herd_json_uint(&j, "version", 1);
	herd_json_bytes(&j, "file", w->k->policy_source,
			strlen(w->k->policy_source));
	herd_json_hex(&j, "sha256", w->k->policy_digest, 32);
	herd_json_array(&j, "rules");
	for (size_t i = 0; i < w->k->policy.n; i++)
		json_rule(w, &j, i);
	herd_json_end(&j);
	herd_json_end(&j);
	return herd_tool_print_json(&j, &out) ? HERD_EXIT_FAILED : HERD_EXIT_OK;
}

static int policy(struct work *w)
{
	char place[PATH_MAX], file[PATH_MAX + 8];
	const char *dir = w->store;

	if (!w->file || w->count) {
		dir = herd_tool_store_dir(dir, place, sizeof(place));
		if (!dir)
			return HERD_EXIT_FAILED;
	}
	if (!w->file) {
		snprintf(file, sizeof(file), "%s/policy", dir);
		w->file = file;
	}
	/* without --count no index is needed, nor what is known in one */
	const struct herd_knowledge_files files = {
		.store_dir = w->count ? dir : NULL, .policy = w->file };

	if (herd_tool_open_knowledge(&files, &w->k))
		return HERD_EXIT_FAILED;
	w->counts = calloc(w->k->policy.n + 1, sizeof(*w->counts));
	if (!w->counts)
		return herd_tool_fail(NULL, -ENOMEM);
	if (w->count && count_all(w))
		return HERD_EXIT_FAILED;
	return w->json ? show_json(w) : show_text(w);
}

int herd_cmd_policy(int argc, char **argv)
{
	struct work w = { 0 };
	int status = parse(argc, argv, &w);

	if (status)
		return status < 0 ? herd_tool_finish(HERD_EXIT_OK) : status;
	status = policy(&w);
	free(w.counts);
	herd_knowledge_close(w.k);
	return herd_tool_finish(status);
}
