/* SPDX-License-Identifier: Apache-2.0 */
/*
 * herdfs acquire: finds a group's instances in AWS, has snapshots of their
 * volumes, and attaches them without downloading them: blocks are fetched when
 * they are needed (acquire/fetcher.h).
 *
 * Threads: the main thread.
 */
#include "acquire/base/cleanup.h"
#include "index/identity.h"
#include "tools/acquire_plan.h"
#include "tools/attach_run.h"
#include "tools/aws_arguments.h"
#include "tools/commands.h"
#include "tools/common.h"

#include <getopt.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

static const char help[] =
"Usage: herdfs acquire --asg NAME [OPTION]…\n"
"Finds the instances of an Auto Scaling Group, takes snapshots of their volumes,\n"
"all of an instance at one moment, and attaches them. Volumes are not downloaded:\n"
"their blocks are fetched when they are needed. Run again with the same case, it\n"
"goes on with the snapshots that are there.\n\n"
"  --asg NAME        the group\n"
"  --instance ID     only this instance; may be given more than once\n"
"  --snapshot ID=SNAPSHOT\n"
"                    use this snapshot of the instance and take none; once for\n"
"                    each of its volumes\n"
"  --case ID         a name for the tags of the snapshots; else the group's and\n"
"                    the day's\n"
"  --baseline WHAT   ami-…, snap-… or none; else the image that the group\n"
"                    launches, when its snapshot can be read\n"
"  --memory          also the memory, read by AVML over Systems Manager, before\n"
"                    the snapshots are taken; it goes through S3 into a folder\n"
"  --memory-only     the memory, and no snapshots\n"
"  --avml FILE       the tool: a static AVML for the instances' architecture\n"
"  --bucket NAME     the bucket of S3 that it goes through\n"
"  --prefix TEXT     what the keys in it begin with\n"
"  --to DIR          where the images of memory are put\n"
"  --memory-limit GIB  of the largest instance; 128\n"
"  --dry-run         show what would be done and whether it is allowed; make\n"
"                    nothing\n"
"  --no-attach       only take the snapshots\n"
"  --delete-snapshots\n"
"                    delete the snapshots of --case that were made, nothing else\n"
"  --read-all        where snapshots have no lineage in common, read every file,\n"
"                    also where all of its metadata is the same\n"
HERD_AWS_HELP
"  --threads N       how many hash and compare; one for each core\n"
"  --store DIR       the index; else $HERDFS_STORE, else\n"
"                    $XDG_DATA_HOME/herdfs or ~/.local/share/herdfs\n"
"  --json            one line of JSON for each instance\n"
"  --quiet           no progress, and nothing but errors\n"
"  --help            this text\n\n"
"Exit status: 0 all acquired (or were already), 1 not all, 2 wrong usage.\n";

struct options {
	struct herd_plan_options plan;
	struct herd_aws_arguments aws;
	struct herd_attach_run run;
	struct herd_job job;
	const char **instances;
	struct herd_capture_given *given;
	char case_id[HERD_CAPTURE_CASE_MAX + 1];
	bool no_attach;
};

enum { OPT_ASG = 256, OPT_INSTANCE, OPT_SNAPSHOT, OPT_CASE, OPT_BASELINE,
       OPT_MEMORY, OPT_MEMORY_ONLY, OPT_AVML, OPT_BUCKET, OPT_PREFIX, OPT_TO,
       OPT_MEMORY_LIMIT, OPT_DRY_RUN, OPT_NO_ATTACH, OPT_DELETE, OPT_READ_ALL, OPT_THREADS,
       OPT_STORE, OPT_JSON, OPT_QUIET, OPT_HELP };

static const struct option long_options[] = {
	{ "asg", required_argument, NULL, OPT_ASG },
	{ "instance", required_argument, NULL, OPT_INSTANCE },
	{ "snapshot", required_argument, NULL, OPT_SNAPSHOT },
	{ "case", required_argument, NULL, OPT_CASE },
	{ "baseline", required_argument, NULL, OPT_BASELINE },
	{ "memory", no_argument, NULL, OPT_MEMORY },
	{ "memory-only", no_argument, NULL, OPT_MEMORY_ONLY },
	{ "avml", required_argument, NULL, OPT_AVML },
	{ "bucket", required_argument, NULL, OPT_BUCKET },
	{ "prefix", required_argument, NULL, OPT_PREFIX },
	{ "to", required_argument, NULL, OPT_TO },
	{ "memory-limit", required_argument, NULL, OPT_MEMORY_LIMIT },
	{ "dry-run", no_argument, NULL, OPT_DRY_RUN },
	{ "no-attach", no_argument, NULL, OPT_NO_ATTACH },
	{ "delete-snapshots", no_argument, NULL, OPT_DELETE },
	{ "read-all", no_argument, NULL, OPT_READ_ALL },
	HERD_AWS_LONG_OPTIONS
	{ "threads", required_argument, NULL, OPT_THREADS },
	{ "store", required_argument, NULL, OPT_STORE },
	{ "json", no_argument, NULL, OPT_JSON },
	{ "quiet", no_argument, NULL, OPT_QUIET },
	{ "help", no_argument, NULL, OPT_HELP },
	{ NULL, 0, NULL, 0 },
};

#define USAGE(...) herd_tool_usage("acquire", __VA_ARGS__)
#define GO_ON (-1)

static int take_snapshot(struct options *o, char *text)
{
	struct herd_capture_options *c = &o->plan.capture;
	char *equals = strchr(text, '=');

	if (!equals || !herd_aws_is_id(equals + 1, "snap-"))
		return USAGE("--snapshot wants INSTANCE=SNAPSHOT, such as "
			     "i-0123=snap-0456, not \"%s\"", text);
	*equals = '\0';
	if (!herd_aws_is_id(text, "i-"))
		return USAGE("\"%s\" is no instance's id", text);
	o->given[c->n_given++] = (struct herd_capture_given){ text, equals + 1 };
	return GO_ON;
}

static int take_memory_option(struct options *o, int c)
{
	struct herd_capture_memory_options *m = &o->plan.memory;
	uint64_t n;

	switch (c) {
	case OPT_MEMORY_ONLY:
		o->plan.memory_only = true;
		/* fall through */
	case OPT_MEMORY:
		o->plan.with_memory = true;
		break;
	case OPT_AVML:
		m->tool = optarg;
		break;
	case OPT_BUCKET:
		m->bucket = optarg;
		break;
	case OPT_PREFIX:
		m->prefix = optarg;
		break;
	case OPT_TO:
		m->dir = optarg;
		break;
	default:
		if (!herd_tool_number(optarg, 1, 32768, &n))
			return USAGE("--memory-limit wants a number of GiB, not "
				     "\"%s\"", optarg);
		m->limit = n << 30;
	}
	return GO_ON;
}

static int take_option(struct options *o, int c)
{
	struct herd_capture_options *capture = &o->plan.capture;
	uint64_t n;

	switch (c) {
	case OPT_ASG:
		capture->group = optarg;
		break;
	case OPT_INSTANCE:
		if (!herd_aws_is_id(optarg, "i-"))
			return USAGE("\"%s\" is no instance's id", optarg);
		o->instances[capture->n_instances++] = optarg;
		break;
	case OPT_SNAPSHOT:
		return take_snapshot(o, optarg);
	case OPT_CASE:
		capture->case_id = optarg;
		break;
	case OPT_BASELINE:
		if (strcmp(optarg, "none") != 0 &&
		    !herd_aws_is_id(optarg, "ami-") &&
		    !herd_aws_is_id(optarg, "snap-"))
			return USAGE("--baseline wants ami-…, snap-… or none, "
				     "not \"%s\"", optarg);
		capture->baseline = optarg;
		break;
	case OPT_MEMORY:
	case OPT_MEMORY_ONLY:
	case OPT_AVML:
	case OPT_BUCKET:
	case OPT_PREFIX:
	case OPT_TO:
	case OPT_MEMORY_LIMIT:
		return take_memory_option(o, c);
	case OPT_DRY_RUN:
		capture->dry_run = true;
		break;
	case OPT_NO_ATTACH:
		o->no_attach = true;
		break;
	case OPT_DELETE:
		o->plan.clean_up = true;
		break;
	case OPT_READ_ALL:
		o->job.read_all = true;
		break;
	case OPT_THREADS:
		if (!herd_tool_number(optarg, 1, 1024, &n))
			return USAGE("--threads wants a number from 1 to 1024, "
				     "not \"%s\"", optarg);
		o->job.threads = (unsigned)n;
		break;
	case OPT_STORE:
		o->job.store_dir = optarg;
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
		return herd_aws_arguments_take(&o->aws, "acquire", c, optarg);
	}
	return GO_ON;
}

/* ---- what was found ---- */

static void print_plan(const struct options *o, const struct herd_capture *c)
{
	const struct herd_captured *b = &c->baseline;

	if (b->n_disks)
		printf("baseline: %s, %s\n",
		       b->instance[0] ? b->instance : "as given",
		       b->disks[0].snapshot);
	else
		printf("no baseline: %s\n", b->diag.message);
	for (size_t i = 0; i < c->n; i++) {
		const struct herd_captured *m = &c->v[i];

		printf("%s: %s, %s%s%s\n", m->instance, m->lifecycle, m->state,
		       m->err ? ": " : "", m->err ? m->diag.message : "");
		for (size_t k = 0; k < m->n_disks; k++)
			printf("  %-12s %-24s %s%s\n", m->disks[k].device,
			       m->disks[k].volume,
			       m->disks[k].snapshot[0] ? m->disks[k].snapshot :
							 "a snapshot would be taken",
			       m->disks[k].made ? " (made)" : "");
	}
	if (o->plan.capture.dry_run)
		puts("Nothing was made: this was a dry run.");
}

/* One line each, for programs. */
static void json_plan(const struct options *o, const struct herd_capture *c)
{
	for (size_t i = 0; i <= c->n; i++) {
		const struct herd_captured *m = i ? &c->v[i - 1] : &c->baseline;
		CLEANUP_BUF struct herd_buf out = HERD_BUF_INIT;
		struct herd_json j;

		herd_json_begin(&j, &out, 0);
		herd_json_object(&j, NULL);
		herd_json_string(&j, "group", o->plan.capture.group);
		herd_json_string(&j, "instance", m->instance);
		herd_json_string(&j, "role", i ? "member" : "baseline");
		herd_json_string(&j, "lifecycle", m->lifecycle);
		if (m->diag.message[0])
			herd_json_string(&j, "error", m->diag.message);
		herd_json_array(&j, "disks");
		for (size_t k = 0; k < m->n_disks; k++) {
			herd_json_object(&j, NULL);
			herd_json_string(&j, "device", m->disks[k].device);
			herd_json_string(&j, "volume", m->disks[k].volume);
			herd_json_string(&j, "snapshot", m->disks[k].snapshot);
			herd_json_end(&j);
		}
		herd_json_end(&j);
		herd_json_end(&j);
		herd_tool_print_json(&j, &out);
	}
}

static bool any_failed(const struct herd_capture *c)
{
	for (size_t i = 0; i < c->n; i++)
		if (c->v[i].err)
			return true;
	return false;
}

/* ---- attaching ---- */

/* The text behind "ebs:", one after the other. */
static char **name_disks(const struct herd_captured *m)
{
	char **names = calloc(m->n_disks + 1, sizeof(*names));

	for (size_t i = 0; names && i < m->n_disks; i++)
		if (asprintf(&names[i], "ebs:%s", m->disks[i].snapshot) < 0)
			names[i] = NULL;
	return names;
}

static int attach_member(struct options *o, const struct herd_captured *m,
			 enum herd_role role, bool *stop)
{
	struct herd_attach_token *tokens = calloc(m->n_tokens + 1,
						  sizeof(*tokens));
	char **disks = name_disks(m);
	struct herd_job job = o->job;
	int err = tokens && disks ? 0 : -ENOMEM;

	for (size_t i = 0; i < m->n_tokens && !err; i++)
		for (unsigned k = 0; k < HERD_TOKEN_MAX; k++)
			if (!strcmp(herd_token_name(k), m->tokens[i].kind))
				tokens[i] = (struct herd_attach_token){
					(uint8_t)k, m->tokens[i].value };
	job.group = o->plan.capture.group;
	job.role = role;
	job.instance = role == HERD_ROLE_BASELINE ? "baseline" : m->instance;
	job.disks = (const char *const *)disks;
	job.n_disks = m->n_disks;
	job.tokens = tokens;
	job.n_tokens = m->n_tokens;
	if (!err)
		err = herd_attach_one(&o->run, &job, stop);
	for (size_t i = 0; disks && i < m->n_disks; i++)
		free(disks[i]);
	free(disks);
	free(tokens);
	return err;
}

/* A memory beside disks that are attached; without them there is nothing to
   attach it to. */
static int attach_memories(struct options *o,
			   const struct herd_memory_capture *c, bool *stop)
{
	int status = HERD_EXIT_OK;

	for (size_t i = 0; i < c->n && !*stop; i++) {
		const struct herd_memory_captured *m = &c->v[i];
		struct herd_job job = o->job;

		if (m->err)
			continue;	/* was told */
		job.group = o->plan.capture.group;
		job.instance = m->instance;
		job.disks = (const char *const *)&m->path;
		job.n_disks = 1;
		job.of_memory = true;
		if (herd_attach_one(&o->run, &job, stop))
			status = HERD_EXIT_FAILED;
	}
	return status;
}

static int attach_all(struct options *o, const struct herd_capture *c,
		      const struct herd_memory_capture *memory)
{
	struct herd_fetcher *fetcher = NULL;
	bool stop = false;
	int status = HERD_EXIT_OK;
	int err = herd_fetcher_create(&o->aws.fetcher, &fetcher);

	if (!err)
		err = herd_fetcher_start(fetcher);
	if (!err)
		err = herd_attach_run_begin(&o->run, true);
	if (err)
		return herd_tool_fail(NULL, err);
	o->job.fetcher = fetcher;
	if (c->baseline.n_disks &&
	    attach_member(o, &c->baseline, HERD_ROLE_BASELINE, &stop)) {
		/* the next would become what all others are held against */
		herd_tool_warn("without its baseline no instance is attached; "
			       "run it again, or with --baseline none");
		status = HERD_EXIT_FAILED;
		stop = true;
	}
	for (size_t i = 0; i < c->n && !stop; i++) {
		const struct herd_captured *m = &c->v[i];

		if (m->err) {
			herd_tool_warn("%s/%s: %s", o->plan.capture.group,
				       m->instance, m->diag.message);
			status = HERD_EXIT_FAILED;
		} else if (attach_member(o, m, HERD_ROLE_MEMBER, &stop)) {
			status = HERD_EXIT_FAILED;
		}
	}
	if (attach_memories(o, memory, &stop))
		status = HERD_EXIT_FAILED;
	herd_fetcher_destroy(fetcher);
	herd_attach_run_end(&o->run);
	return status;
}

/* What came of the memories; false: not all were had. */
static bool tell_memories(const struct options *o,
			  const struct herd_memory_capture *c)
{
	bool all = true;
	char bytes[16];

	for (size_t i = 0; i < c->n; i++) {
		const struct herd_memory_captured *m = &c->v[i];

		all &= !m->err;
		if (m->err)
			herd_tool_warn("%s/%s: its memory: %s",
				       o->plan.capture.group, m->instance,
				       m->diag.message);
		else if (m->path && !o->run.quiet && !o->run.json)
			printf("%s/%s: its memory is in %s (%s%s)\n",
			       o->plan.capture.group, m->instance, m->path,
			       herd_tool_bytes(m->bytes, bytes, sizeof(bytes)),
			       m->already ? ", from before" : "");
		else if (!o->run.quiet && !o->run.json)
			printf("%s/%s: its memory would be read\n",
			       o->plan.capture.group, m->instance);
	}
	return all;
}

static void json_memories(const struct options *o,
			  const struct herd_memory_capture *c)
{
	for (size_t i = 0; i < c->n; i++) {
		const struct herd_memory_captured *m = &c->v[i];
		CLEANUP_BUF struct herd_buf out = HERD_BUF_INIT;
		struct herd_json j;

		herd_json_begin(&j, &out, 0);
		herd_json_object(&j, NULL);
		herd_json_string(&j, "group", o->plan.capture.group);
		herd_json_string(&j, "instance", m->instance);
		herd_json_bool(&j, "memory", true);
		if (m->err)
			herd_json_string(&j, "error", m->diag.message);
		if (m->path)
			herd_json_bytes(&j, "image", m->path, strlen(m->path));
		herd_json_uint(&j, "image_bytes", m->bytes);
		herd_json_end(&j);
		herd_tool_print_json(&j, &out);
	}
}

static int acquire(struct options *o)
{
	CLEANUP(herd_capture_deinit) struct herd_capture c = { 0 };
	CLEANUP(herd_memory_capture_deinit) struct herd_memory_capture memory = {
		.n = 0 };
	struct herd_diag diag = { .offset = HERD_NO_OFFSET };
	bool dry = o->plan.capture.dry_run;
	size_t deleted = 0;
	int err = herd_plan_run(&o->plan, &c, &memory, &deleted, &diag);
	bool all = tell_memories(o, &memory);

	if (o->run.json)
		json_memories(o, &memory);
	if (err)
		return herd_tool_fail(&diag, err);
	if (o->plan.memory_only && (dry || o->no_attach))
		return herd_tool_finish(all ? HERD_EXIT_OK : HERD_EXIT_FAILED);
	if (o->plan.clean_up) {
		if (!o->run.quiet)
			printf("%zu snapshot%s of case %s %s\n", deleted,
			       deleted == 1 ? "" : "s", o->plan.capture.case_id,
			       dry ? "would be deleted" : "deleted");
		return herd_tool_finish(HERD_EXIT_OK);
	}
	if (dry || o->no_attach) {
		if (o->run.json)
			json_plan(o, &c);
		else
			print_plan(o, &c);
		return herd_tool_finish(any_failed(&c) || !all ?
					HERD_EXIT_FAILED : HERD_EXIT_OK);
	}
	if (!o->plan.memory_only && !c.baseline.n_disks && !o->run.quiet && c.baseline.diag.message[0])
		herd_tool_warn("no baseline: %s", c.baseline.diag.message);
	int status = attach_all(o, &c, &memory);

	return herd_tool_finish(all ? status : HERD_EXIT_FAILED);
}

/* ---- the command line ---- */

static void set_case(struct options *o)
{
	time_t now = (time_t)herd_tool_now();
	char day[16] = "";
	struct tm tm;

	if (gmtime_r(&now, &tm))
		strftime(day, sizeof(day), "%Y-%m-%d", &tm);
	snprintf(o->case_id, sizeof(o->case_id), "%.180s-%s",
		 o->plan.capture.group, day);
	o->plan.capture.case_id = o->case_id;
}

static int check(struct options *o, int argc)
{
	struct herd_capture_options *c = &o->plan.capture;
	const char *problem = c->group ? herd_attach_group_problem(c->group) :
					 NULL;

	if (optind < argc)
		return USAGE("instances are named by --instance");
	if (!c->group && !o->plan.clean_up)
		return USAGE("--asg NAME is missing");
	if (problem)
		return USAGE("\"%s\" cannot be the name of a group: %s",
			     c->group, problem);
	if (o->plan.clean_up && !c->case_id)
		return USAGE("--delete-snapshots wants --case: nothing is "
			     "deleted by a name that was guessed");
	if (c->case_id && (!*c->case_id ||
			   strlen(c->case_id) > HERD_CAPTURE_CASE_MAX ||
			   !herd_aws_is_text(c->case_id,
					     HERD_CAPTURE_CASE_MAX)))
		return USAGE("--case wants 1 to %d characters",
			     HERD_CAPTURE_CASE_MAX);
	if (!c->case_id)
		set_case(o);
	if (o->plan.with_memory && (!o->plan.memory.tool ||
				    !o->plan.memory.bucket ||
				    !o->plan.memory.dir))
		return USAGE("--memory wants --avml FILE, --bucket NAME and "
			     "--to DIR");
	if (!o->plan.with_memory && (o->plan.memory.tool ||
				     o->plan.memory.bucket || o->plan.memory.dir))
		return USAGE("--avml, --bucket and --to are for --memory");
	return GO_ON;
}

int herd_cmd_acquire(int argc, char **argv)
{
	CLEANUP_FREE const char **instances = calloc((size_t)argc + 1,
						     sizeof(*instances));
	CLEANUP_FREE struct herd_capture_given *given =
		calloc((size_t)argc + 1, sizeof(*given));
	struct options o = { .instances = instances, .given = given };
	char place[PATH_MAX];
	int c, status = GO_ON;

	if (!instances || !given)
		return herd_tool_fail(NULL, -ENOMEM);
	herd_aws_arguments_init(&o.aws);
	while (status == GO_ON &&
	       (c = getopt_long(argc, argv, "h", long_options, NULL)) != -1)
		status = take_option(&o, c == 'h' ? OPT_HELP : c);
	if (status == GO_ON)
		status = check(&o, argc);
	if (status != GO_ON)
		return status;
	o.plan.capture.instances = instances;
	o.plan.capture.given = given;
	o.plan.memory.group = o.plan.capture.group;
	o.plan.memory.case_id = o.plan.capture.case_id;
	o.plan.memory.instances = instances;
	o.plan.memory.n_instances = o.plan.capture.n_instances;
	o.plan.memory.dry_run = o.plan.capture.dry_run;
	o.plan.aws = o.aws.fetcher.aws;
	o.plan.quiet = o.run.quiet;
	o.job.store_dir = herd_tool_store_dir(o.job.store_dir, place,
					      sizeof(place));
	if (!o.job.store_dir)
		return HERD_EXIT_FAILED;
	o.job.memory = herd_attach_memory();
	o.job.now = herd_tool_now();
	return acquire(&o);
}
