/* SPDX-License-Identifier: Apache-2.0 */
/*
 * herdfs known: brings sets of digests into an index, lists and removes them.
 * Threads: the main thread.
 */
#include "index/json.h"
#include "index/report.h"
#include "tools/commands.h"
#include "tools/common.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>

static const char usage[] =
"Usage: herdfs known import --good|--bad --name NAME [OPTION]… FILE…\n"
"       herdfs known list [OPTION]…\n"
"       herdfs known remove [OPTION]… NAME…\n"
"Sets of SHA-256 digests of known contents. What deviates and is known to be\n"
"bad has rank 100; what is known to be good has half its rank, and is still\n"
"shown.\n"
"\n"
"  --good            import: what is in the files is harmless\n"
"  --bad             import: what is in the files is not\n"
"  --name NAME       import: of the set; one of that name and kind is replaced\n"
"  --json            for programs\n"
"  --store DIR       the index; default $HERDFS_STORE, else\n"
"                    $XDG_DATA_HOME/herdfs\n"
"  --help            this text\n"
"\n"
"FILE is a list with a digest at the start of each line (as sha256sum writes\n"
"them), or a table separated by commas, whose first line names its columns and\n"
"one of them SHA-256 (as exports of NSRL's RDS version 3 are).\n"
"Exit status: 0 done, 1 failed, 2 wrong usage.\n";

struct work {
	const char *store, *name;
	bool good, bad, json;
	char **files;
	size_t n_files;
};

/* As herd_tool_options; *ret_action: what is to be done. */
static int parse(int argc, char **argv, struct work *w, const char **ret_action)
{
	const struct herd_tool_option options[] = {
		{ "good", .flag = &w->good },
		{ "bad", .flag = &w->bad },
		{ "name", .text = &w->name },
		{ "json", .flag = &w->json },
		{ "store", .text = &w->store },
		{ 0 },
	};
	int status = herd_tool_options(argc, argv, "known", usage, options);

	if (status)
		return status;
	if (optind == argc)
		return herd_tool_usage("known", "import, list or remove?");
	*ret_action = argv[optind];
	w->files = argv + optind + 1;
	w->n_files = (size_t)(argc - optind - 1);
	return 0;
}

/* ---- import ---- */

static void show_import(const struct work *w,
			const struct herd_known_counts *c)
{
	char lines[32], digests[32], twice[32], empty[32];

	printf("%s: %s, %s digests out of %s lines", w->name,
	       w->bad ? "bad" : "good",
	       herd_tool_count(c->digests, digests, sizeof(digests)),
	       herd_tool_count(c->lines, lines, sizeof(lines)));
	if (c->twice)
		printf("; %s were there twice",
		       herd_tool_count(c->twice, twice, sizeof(twice)));
	if (c->empty)
		printf("; that of an empty file, %s time%s, is left out",
		       herd_tool_count(c->empty, empty, sizeof(empty)),
		       c->empty == 1 ? "" : "s");
	printf("\n");
}

static int import_json(const struct work *w, const struct herd_known_counts *c)
{
	CLEANUP_BUF struct herd_buf out = HERD_BUF_INIT;
	struct herd_json j;

	herd_json_begin(&j, &out, 1);
	herd_json_object(&j, NULL);
	herd_json_string(&j, "format", "herdfs known import");
	herd_json_uint(&j, "version", 1);
	herd_json_string(&j, "name", w->name);
	herd_json_string(&j, "kind", w->bad ? "bad" : "good");
	herd_json_uint(&j, "lines", c->lines);
	herd_json_uint(&j, "digests", c->digests);
	herd_json_uint(&j, "twice", c->twice);
	herd_json_uint(&j, "empty", c->empty);
	herd_json_end(&j);
	return herd_tool_print_json(&j, &out);
}

static int import(const struct work *w, const char *dir)
{
	struct herd_diag diag = { .offset = HERD_NO_OFFSET };
	struct herd_known_import *i = NULL;
	struct herd_known_counts counts;
	int err;

	if (w->good == w->bad)
		return herd_tool_usage("known", "one of --good and --bad");
	if (!w->name)
		return herd_tool_usage("known", "which --name has the set?");
	if (!w->n_files)
		return herd_tool_usage("known", "which files?");
	err = herd_known_import_begin(dir, w->name, w->bad, 0, &i, &diag);
	for (size_t f = 0; !err && f < w->n_files; f++)
		err = herd_known_import_file(i, w->files[f], &diag);
	if (!err)
		err = herd_known_import_end(i, herd_tool_now(), &counts, &diag);
	herd_known_import_destroy(i);
	if (err)
		return herd_tool_fail(&diag, err);
	if (w->json)
		return import_json(w, &counts) ? HERD_EXIT_FAILED :
						 HERD_EXIT_OK;
	show_import(w, &counts);
	return HERD_EXIT_OK;
}

/* ---- list and remove ---- */

static int list_json(const struct herd_known *k)
{
	CLEANUP_BUF struct herd_buf out = HERD_BUF_INIT;
	char time[HERD_REPORT_TIME_MAX];
	struct herd_json j;

	herd_json_begin(&j, &out, 2);
	herd_json_object(&j, NULL);
	herd_json_string(&j, "format", "herdfs known list");
	herd_json_uint(&j, "version", 1);
	herd_json_array(&j, "sets");
	for (size_t i = 0; i < k->n; i++) {
		struct herd_time t = { .sec = (int64_t)k->v[i].imported };

		herd_json_object(&j, NULL);
		herd_json_string(&j, "name", k->v[i].name);
		herd_json_string(&j, "kind", k->v[i].bad ? "bad" : "good");
		herd_json_uint(&j, "digests", k->v[i].n);
		herd_json_string(&j, "imported", herd_report_time(&t, time));
		herd_json_end(&j);
	}
	herd_json_end(&j);
	herd_json_end(&j);
	return herd_tool_print_json(&j, &out);
}

static int list(const struct work *w, const char *dir)
{
	struct herd_diag diag = { .offset = HERD_NO_OFFSET };
	char time[HERD_REPORT_TIME_MAX], count[32];
	struct herd_known k;
	int err, status = HERD_EXIT_OK;

	if (w->n_files)
		return herd_tool_usage("known", "what is \"%s\"?", w->files[0]);
	err = herd_known_open(dir, &k, &diag);
	if (err)
		return herd_tool_fail(&diag, err);
	if (w->json && list_json(&k))
		status = HERD_EXIT_FAILED;
	if (!w->json)
		printf("kind      digests  imported              name\n");
	for (size_t i = 0; !w->json && i < k.n; i++) {
		struct herd_time t = { .sec = (int64_t)k.v[i].imported };

		printf("%-4s  %11s  %-20s  %s\n", k.v[i].bad ? "bad" : "good",
		       herd_tool_count(k.v[i].n, count, sizeof(count)),
		       herd_report_time(&t, time), k.v[i].name);
	}
	herd_known_close(&k);
	return status;
}

static int remove_sets(const struct work *w, const char *dir)
{
	int status = HERD_EXIT_OK;

	if (!w->n_files)
		return herd_tool_usage("known", "remove which?");
	for (size_t i = 0; i < w->n_files; i++) {
		struct herd_diag diag = { .offset = HERD_NO_OFFSET };
		int err = herd_known_remove(dir, w->files[i], &diag);

		if (err)
			status = herd_tool_fail(&diag, err);
	}
	return status;
}

int herd_cmd_known(int argc, char **argv)
{
	struct work w = { 0 };
	char place[PATH_MAX];
	const char *action = "", *dir;
	int status = parse(argc, argv, &w, &action);

	if (status)
		return status < 0 ? herd_tool_finish(HERD_EXIT_OK) : status;
	dir = herd_tool_store_dir(w.store, place, sizeof(place));
	if (!dir)
		return HERD_EXIT_FAILED;
	if (strcmp(action, "import") == 0)
		status = import(&w, dir);
	else if (strcmp(action, "list") == 0)
		status = list(&w, dir);
	else if (strcmp(action, "remove") == 0)
		status = remove_sets(&w, dir);
	else
		return herd_tool_usage("known", "what is \"%s\"? import, list "
				       "or remove", action);
	return herd_tool_finish(status);
}
