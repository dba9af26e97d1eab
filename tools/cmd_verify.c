/* SPDX-License-Identifier: Apache-2.0 */
/*
 * herdfs verify: reads in full what was attached provisionally, by the
 * metadata of its files alone, and puts that in its place.
 *
 * Threads: the main thread.
 */
#include "acquire/base/cleanup.h"
#include "index/identity.h"
#include "tools/attach_run.h"
#include "tools/aws_arguments.h"
#include "tools/commands.h"
#include "tools/common.h"

#include <getopt.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

static const char help[] =
"Usage: herdfs verify [--asg NAME [--instance NAME]] [OPTION]…\n"
"Reads every file of instances that were attached provisionally: of EBS snapshots\n"
"without a lineage in common files are taken for those of the reference when all\n"
"of their metadata is the same (herdfs status shows \"by metadata\"). A file that\n"
"proves to be another one is among the problems, and deviates from then on.\n\n"
"  --asg NAME        only this group\n"
"  --instance NAME   only this instance\n"
HERD_AWS_HELP
"  --threads N       how many hash; one for each core\n"
"  --store DIR       the index; else $HERDFS_STORE, else\n"
"                    $XDG_DATA_HOME/herdfs or ~/.local/share/herdfs\n"
"  --json            one line of JSON for each instance\n"
"  --quiet           no progress, and nothing but errors\n"
"  --help            this text\n\n"
"Exit status: 0 all is verified, 1 not all, 2 wrong usage.\n";

struct options {
	const char *group, *instance, *store;
	uint64_t threads;
	struct herd_attach_run run;
	struct herd_aws_arguments aws;
};

/* An instance to verify, with what attach was told of it. */
struct target {
	char group[HERD_GROUP_NAME_MAX + 1];
	struct herd_instance record;
	struct herd_identity *identity;
	struct herd_attach_token *tokens;	/* texts: owned */
	size_t n_tokens;
};

struct targets {
	struct target *v;
	size_t n;
	const struct options *o;
	struct herd_txn *t;
	const char *group;
	bool found;
};

static void targets_deinit(struct targets *l)
{
	for (size_t i = 0; i < l->n; i++) {
		for (size_t k = 0; k < l->v[i].n_tokens; k++)
			free((char *)l->v[i].tokens[k].text);
		free(l->v[i].tokens);
		herd_identity_destroy(l->v[i].identity);
		herd_instance_deinit(&l->v[i].record);
	}
	free(l->v);
}

/* The tokens that are in the index: some the image does not tell. */
static int take_tokens(struct targets *l, struct target *to)
{
	enum herd_token_kind kind;
	const void *bytes;
	size_t len;
	int err = herd_tokens_get(l->t, to->record.id, &bytes, &len);

	if (err == -ENOENT)
		return 0;
	if (!err)
		err = herd_identity_decode(bytes, len, &to->identity);
	for (size_t i = 0; !err && herd_identity_token(to->identity, i, &kind,
						       &bytes, &len); i++) {
		struct herd_attach_token *v = reallocarray(to->tokens, i + 1,
							   sizeof(*v));

		if (!v)
			return -ENOMEM;
		to->tokens = v;
		v[i] = (struct herd_attach_token){ (uint8_t)kind,
						   strndup(bytes, len) };
		if (!v[i].text)
			return -ENOMEM;
		to->n_tokens = i + 1;
	}
	return err;
}

static int look_at(void *arg, uint32_t id, uint32_t group, enum herd_role role,
		   const char *name)
{
	struct targets *l = arg;
	struct target to = { .tokens = NULL }, *v;
	int err;

	(void)group;
	(void)role;
	if (l->o->instance && strcmp(l->o->instance, name) != 0)
		return 0;
	l->found = true;
	err = herd_instance_get(l->t, id, &to.record);
	if (err || !herd_instance_is_provisional(&to.record)) {
		herd_instance_deinit(&to.record);
		return err;
	}
	v = reallocarray(l->v, l->n + 1, sizeof(*v));
	if (!v) {
		herd_instance_deinit(&to.record);
		return -ENOMEM;
	}
	l->v = v;
	snprintf(to.group, sizeof(to.group), "%s", l->group);
	v[l->n] = to;
	return take_tokens(l, &v[l->n++]);
}

static int find_targets(struct targets *l)
{
	struct herd_tool_groups groups = { 0 };
	struct herd_store *store = NULL;
	int err = herd_tool_open_store(l->o->store, 0, &store);

	if (err)
		return err;
	err = herd_txn_begin(store, false, &l->t, NULL);
	if (!err)
		err = herd_tool_groups_get(l->t, &groups);
	for (size_t i = 0; i < groups.n && !err; i++) {
		if (l->o->group && strcmp(groups.v[i].name, l->o->group) != 0)
			continue;
		l->group = groups.v[i].name;
		l->found |= !l->o->instance;
		err = herd_instance_each_name(l->t, groups.v[i].id, look_at, l);
	}
	if (!err && !l->found && l->o->group) {
		herd_tool_warn("there is no such group or instance in the index");
		err = -ENOENT;
	} else if (err) {
		herd_tool_fail(NULL, err);
	}
	herd_tool_groups_deinit(&groups);
	herd_txn_abort(l->t);
	herd_store_close(store);
	return err;
}

static int verify_one(const struct options *o, struct herd_fetcher *fetcher,
		      const struct target *to, const char *store, bool *stop)
{
	CLEANUP_FREE const char **disks = calloc(to->record.n_disks + 1,
						 sizeof(*disks));
	struct herd_job job = {
		.group = to->group, .instance = to->record.name,
		.role = to->record.role, .disks = disks,
		.n_disks = to->record.n_disks, .tokens = to->tokens,
		.n_tokens = to->n_tokens, .no_identity = !to->identity,
		.verify = true, .fetcher = fetcher, .store_dir = store,
		.threads = (unsigned)o->threads,
		.memory = herd_attach_memory(), .now = herd_tool_now(),
	};

	if (!disks)
		return -ENOMEM;
	for (size_t i = 0; i < to->record.n_disks; i++)
		disks[i] = to->record.disks[i].files[0].path;
	return herd_attach_one(&o->run, &job, stop);
}

static int verify_all(struct options *o, const struct targets *l)
{
	struct herd_fetcher *fetcher = NULL;
	char place[PATH_MAX];
	const char *store = herd_tool_store_dir(o->store, place, sizeof(place));
	int status = store ? HERD_EXIT_OK : HERD_EXIT_FAILED;
	bool stop = !store;
	int err = herd_fetcher_create(&o->aws.fetcher, &fetcher);

	if (!err)
		err = herd_fetcher_start(fetcher);
	if (!err)
		err = herd_attach_run_begin(&o->run, true);
	if (err)
		return herd_tool_fail(NULL, err);
	for (size_t i = 0; i < l->n && !stop; i++)
		if (verify_one(o, fetcher, &l->v[i], store, &stop))
			status = HERD_EXIT_FAILED;
	herd_fetcher_destroy(fetcher);
	herd_attach_run_end(&o->run);
	return herd_tool_finish(status);
}

enum { OPT_ASG = 256, OPT_INSTANCE, OPT_THREADS, OPT_STORE, OPT_JSON,
       OPT_QUIET, OPT_HELP };

static const struct option long_options[] = {
	{ "asg", required_argument, NULL, OPT_ASG },
	{ "instance", required_argument, NULL, OPT_INSTANCE },
	HERD_AWS_LONG_OPTIONS
	{ "threads", required_argument, NULL, OPT_THREADS },
	{ "store", required_argument, NULL, OPT_STORE },
	{ "json", no_argument, NULL, OPT_JSON },
	{ "quiet", no_argument, NULL, OPT_QUIET },
	{ "help", no_argument, NULL, OPT_HELP },
	{ NULL, 0, NULL, 0 },
};

#define USAGE(...) herd_tool_usage("verify", __VA_ARGS__)
#define GO_ON (-1)

static int take_option(struct options *o, int c)
{
	switch (c) {
	case OPT_ASG:
		o->group = optarg;
		break;
	case OPT_INSTANCE:
		o->instance = optarg;
		break;
	case OPT_THREADS:
		if (!herd_tool_number(optarg, 1, 1024, &o->threads))
			return USAGE("--threads wants a number from 1 to 1024, "
				     "not \"%s\"", optarg);
		break;
	case OPT_STORE:
		o->store = optarg;
		break;
	case OPT_JSON:
		o->run.json = true;
		break;
	case OPT_QUIET:
		o->run.quiet = true;
		break;
	case OPT_HELP:
		fputs(help, stdout);
		return herd_tool_finish(HERD_EXIT_OK);
	default:
		return herd_aws_arguments_take(&o->aws, "verify", c, optarg);
	}
	return GO_ON;
}

int herd_cmd_verify(int argc, char **argv)
{
	struct options o = { 0 };
	struct targets l = { .o = &o };
	int c, status = GO_ON;

	herd_aws_arguments_init(&o.aws);
	while (status == GO_ON &&
	       (c = getopt_long(argc, argv, "h", long_options, NULL)) != -1)
		status = take_option(&o, c == 'h' ? OPT_HELP : c);
	if (status != GO_ON)
		return status;
	if (optind < argc)
		return USAGE("instances are named by --instance");
	if (o.instance && !o.group)
		return USAGE("--instance wants --asg as well");
	status = find_targets(&l) ? HERD_EXIT_FAILED : GO_ON;
	if (status == GO_ON && !l.n) {
		if (!o.run.quiet && !o.run.json)
			puts("nothing is provisional");
		status = herd_tool_finish(HERD_EXIT_OK);
	} else if (status == GO_ON) {
		status = verify_all(&o, &l);
	}
	targets_deinit(&l);
	return status;
}
