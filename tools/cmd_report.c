/* SPDX-License-Identifier: Apache-2.0 */
/*
 * herdfs report: the herd as a page for a browser. It is written beside its
 * place and put there when it is whole. Threads: the main thread.
 */
#include "acquire/base/cleanup.h"
#include "index/report_html.h"
#include "tools/commands.h"
#include "tools/common.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char usage[] =
	"Usage: herdfs report [OPTION]… --html FILE\n"
	"Writes one self-contained page: which instances deviate in what, the worst\n"
	"findings of each with the lines that differ, what drifted, what could not be\n"
	"read, and from which images it was made. It needs no network and no script.\n"
	"\n"
	"  --html FILE       where to; \"-\" is the standard output\n"
	"  --asg NAME        the group; needed where there is more than one\n"
	"  --instances N     so many are shown one by one, the worst first (60); the\n"
	"                    others are summed up. 0: all\n"
	"  --findings N      so many of each of them (25). 0: all\n"
	"  --policy FILE     rules for what may deviate; default DIR/policy of the\n"
	"                    index, where there is one\n"
	"  --rules FILE      rules of one's own for what a path means; default\n"
	"                    $XDG_CONFIG_HOME/herdfs/rules.conf, where there is one\n"
	"  --store DIR       the index; default $HERDFS_STORE, else\n"
	"                    $XDG_DATA_HOME/herdfs\n"
	"  --help            this text\n"
	"\n"
	"The page quotes names and texts out of the images; what may hold passwords or\n"
	"keys is left out, as far as rules and content tell.\n"
	"Exit status: 0 written, 1 failed, 2 wrong usage.\n";

struct options {
	const char *store, *group, *policy, *rules, *html;
	uint64_t instances, findings;
};

static int parse(int argc, char **argv, struct options *o)
{
	const struct herd_tool_option options[] = {
		{ "html", .text = &o->html },
		{ "asg", .text = &o->group },
		{ "instances", .number = &o->instances, .most = 1000000 },
		{ "findings", .number = &o->findings, .most = 1000000 },
		{ "policy", .text = &o->policy },
		{ "rules", .text = &o->rules },
		{ "store", .text = &o->store },
		{ 0 },
	};
	int status = herd_tool_options(argc, argv, "report", usage, options);

	if (status)
		return status;
	if (optind < argc)
		return herd_tool_usage("report", "what is \"%s\"?",
				       argv[optind]);
	if (!o->html)
		return herd_tool_usage("report", "where to? give --html FILE");
	return 0;
}

/* ---- the file ---- */

static int write_all(int fd, const struct herd_buf *b)
{
	for (size_t done = 0; done < b->len;) {
		ssize_t n = write(fd, b->data + done, b->len - done);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		done += (size_t)n;
	}
	return 0;
}

/* A regular file is replaced when the new one is whole. */
static int replace(const char *path, const struct herd_buf *b)
{
	CLEANUP_FREE char *temporary = NULL;
	const mode_t mask = umask(0);
	int fd, err;

	umask(mask);
	if (asprintf(&temporary, "%s.XXXXXX", path) < 0) {
		temporary = NULL;
		return -ENOMEM;
	}
	fd = mkostemp(temporary, O_CLOEXEC);
	if (fd < 0)
		return -errno;
	err = write_all(fd, b);
	if (!err && (fchmod(fd, 0666 & ~mask) || fsync(fd)))
		err = -errno;
	if (close(fd) && !err)
		err = -errno;
	if (!err && rename(temporary, path))
		err = -errno;
	if (err)
		unlink(temporary);
	return err;
}

static int put(const char *path, const struct herd_buf *b)
{
	struct stat st;
	int err;

	if (strcmp(path, "-") == 0) {
		err = write_all(STDOUT_FILENO, b);
	} else if (stat(path, &st) == 0 && !S_ISREG(st.st_mode)) {
		/* /dev/stdout, a pipe: nothing to be put in its place */
		CLEANUP_FD int fd = open(path, O_WRONLY | O_CLOEXEC);

		err = fd < 0 ? -errno : write_all(fd, b);
	} else {
		err = replace(path, b);
	}
	if (err)
		herd_tool_warn("%s: %s", path, strerror(-err));
	return err;
}

/* ---- the report ---- */

static void cleanup_herd(struct herd_herd **h)
{
	herd_herd_destroy(*h);
}

static void cleanup_memory(struct herd_memory_herd **mh)
{
	herd_memory_herd_destroy(*mh);
}

static int report(struct herd_txn *t, const struct herd_knowledge *k,
		  const struct options *o)
{
	CLEANUP(cleanup_herd) struct herd_herd *h = NULL;
	CLEANUP(cleanup_memory) struct herd_memory_herd *memory = NULL;
	CLEANUP_BUF struct herd_buf out = HERD_BUF_INIT;
	struct herd_diag diag = { .offset = HERD_NO_OFFSET };
	struct herd_group g = { .id = 0 };
	int status = herd_tool_one_group("report", t, o->group, &g);

	if (status)
		return status;
	int err = herd_herd_make(t, &g, &h, &diag);

	if (!err)
		err = herd_memory_herd_make(t, h, &memory, &diag);
	if (!err) {
		struct herd_report_page page = {
			.memory = memory,
			.txn = t,
			.herd = h,
			.instances = (size_t)o->instances,
			.findings = (size_t)o->findings
		};

		herd_herd_set_knowledge(h, k);
		err = herd_report_html(&page, &out, &diag);
	}
	if (err)
		return herd_tool_fail(&diag, err);
	return put(o->html, &out) ? HERD_EXIT_FAILED : HERD_EXIT_OK;
}

int herd_cmd_report(int argc, char **argv)
{
	struct options o = { .instances = HERD_REPORT_INSTANCES,
			     .findings = HERD_REPORT_FINDINGS };
	struct herd_knowledge *k = NULL;
	struct herd_store *store = NULL;
	struct herd_txn *t = NULL;
	struct herd_diag diag = { .offset = HERD_NO_OFFSET };
	int err, status = parse(argc, argv, &o);

	if (status)
		return status < 0 ? herd_tool_finish(HERD_EXIT_OK) : status;
	if (herd_tool_open_store(o.store, 0, &store))
		return HERD_EXIT_FAILED;
	const struct herd_knowledge_files files = { .store_dir = herd_store_dir(
							    store),
						    .policy = o.policy,
						    .rules = o.rules };

	status = HERD_EXIT_FAILED;
	if (!herd_tool_open_knowledge(&files, &k)) {
		err = herd_txn_begin(store, false, &t, &diag);
		status = err ? herd_tool_fail(&diag, err) : report(t, k, &o);
	}
	herd_txn_abort(t);
	herd_knowledge_close(k);
	herd_store_close(store);
	return herd_tool_finish(status);
}
