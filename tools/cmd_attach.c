/* SPDX-License-Identifier: Apache-2.0 */
/*
 * herdfs attach: reads the command line, runs one worker process an instance
 * (attach_worker.h), shows how far it is, ends it when it hangs, and says what
 * came of it. This process never looks at a byte of an image.
 *
 * Threads: the main thread.
 */
#include "acquire/base/cleanup.h"
#include "index/identity.h"
#include "tools/attach_run.h"
#include "tools/aws_arguments.h"
#include "tools/commands.h"
#include "tools/common.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

struct options {
	struct herd_job job;	/* what is the same for all instances */
	const char **disks;	/* --disk */
	size_t n_disks;
	struct herd_attach_token *tokens;	/* --identity */
	const char *instance;
	struct herd_attach_run run;
	struct herd_aws_arguments aws;
};

static const char help[] =
"Usage: herdfs attach --asg NAME [OPTION]… IMAGE…\n"
"  or:  herdfs attach --asg NAME --instance NAME --disk FILE…\n"
"  or:  herdfs attach --asg NAME --memory [OPTION]… IMAGE…\n"
"Puts disk images of a group's instances into the index. Each IMAGE is one\n"
"instance, named after the file: i-1.raw, i-1.qcow2, i-1.E01, i-1.raw.001 are\n"
"i-1. ebs:snap-… is an EBS snapshot. With --memory, images of the memory of\n"
"instances that are attached: i-1.lime is the memory of i-1, as is\n"
"s3://BUCKET/…/i-1.lime, or s3://BUCKET/…/i-1/memory.lime, an object of S3 that is\n"
"read in ranges. Images are only read.\n\n"
"  --asg NAME        the group (Auto Scaling Group); made if it is new\n"
"  --instance NAME   the name of the (one) instance\n"
"  --disk FILE       a disk of the (one) instance; once for each of them\n"
"  --baseline        the image of a fresh instance, which others are compared\n"
"                    with; no member of the group. Named \"baseline\" unless\n"
"                    --instance says otherwise\n"
"  --identity KIND=VALUE\n"
"                    what the (one) instance alone has, and its image may not\n"
"                    tell: instance-id, hostname, dns-name, address, mac,\n"
"                    volume-id, interface-id …; once for each of them\n"
"  --no-identity     compare contents and names with the instances' own tokens\n"
"                    in them, as they are\n"
"  --format FORMAT   raw, split, ewf, vmdk, vhd, qcow2 or another of QEMU's;\n"
"                    found out from content when not given\n"
"                    of memory: lime, avml, elf-core, kdump, raw-memory\n"
"  --memory          the images are of memory, not of disks\n"
"  --symbols PATH    for memory of kernels without BTF: a symbol file in\n"
"                    Volatility 3's form (ISF), or a folder with such\n"
"  --backing DIR     where backing files may lie, beside the image's own folder\n"
"  --threads N       how many hash and compare; one for each core\n"
"  --read-all        of an EBS snapshot that has no lineage in common with the\n"
"                    reference's, read every file, also where all of its\n"
"                    metadata is the same\n"
HERD_AWS_HELP
"  --store DIR       the index; else $HERDFS_STORE, else\n"
"                    $XDG_DATA_HOME/herdfs or ~/.local/share/herdfs\n"
"  --json            one line of JSON for each instance\n"
"  --quiet           no progress, and nothing but errors\n"
"  --help            this text\n\n"
"Exit status: 0 all attached (or were already), 1 not all, 2 wrong usage.\n";

/* ---- names ---- */

static bool known_extension(const char *ext)
{
	static const char *const known[] = {
		"raw", "img", "dd", "bin", "image", "disk", "qcow2", "qcow",
		"qed", "vdi", "vmdk", "vhd", "vhdx", "vpc", "e01", "ex01",
		"s01", "l01", "aff", "ewf", "snap",
		/* of memory */
		"lime", "avml", "core", "vmcore", "elf", "kdump", "mem", "vmem",
		"dump",
	};

	for (size_t i = 0; i < ARRAY_SIZE(known); i++)
		if (strcasecmp(ext, known[i]) == 0)
			return true;
	/* QEMU's formats are called so: kdump-zlib, kdump-raw-lzo … */
	return strncasecmp(ext, "kdump-", 6) == 0;
}

/* ".001" of a split image, or ".aa" as split(1) has it. */
static bool segment_extension(const char *ext)
{
	size_t n = strlen(ext);

	return (n >= 3 && strspn(ext, "0123456789") == n) ||
	       (n >= 2 && n <= 4 && strspn(ext, "a") == n);
}

/* "/x/i-5.raw.001" → "i-5". name: room for the whole path. */
static void name_of_image(const char *path, char *name)
{
	const char *base = strrchr(path, '/');
	char *dot;

	base = herd_ebs_snapshot(path) ? path + strlen("ebs:") :
	       base ? base + 1 : path;
	memcpy(name, base, strlen(base) + 1);
	dot = strrchr(name, '.');
	if (dot && dot != name && segment_extension(dot + 1)) {
		char *inner;

		*dot = '\0';
		inner = strrchr(name, '.');
		/* "i-1.aa" may well be its name; "i-1.raw.aa" is not */
		if (dot[1] == 'a' && !(inner && known_extension(inner + 1)))
			*dot = '.';
	}
	dot = strrchr(name, '.');
	/* a kept image has the name of what it was */
	if (dot && dot != name && strcmp(dot + 1, "keep") == 0) {
		*dot = '\0';
		dot = strrchr(name, '.');
	}
	if (dot && dot != name && known_extension(dot + 1))
		*dot = '\0';
}

/*
 * "s3://b/case/i-5.avml" → "i-5"; and where all have the same name, as
 * acquire gives them, by their folder: "s3://b/case/i-5/memory.avml" → "i-5".
 */
static int name_of_object(const char *url, char *name)
{
	const char *version = strstr(url, "?versionId=");
	CLEANUP_FREE char *key = strndup(url, version ? (size_t)(version - url) :
						       strlen(url));
	char *folder;

	if (!key)
		return -ENOMEM;
	name_of_image(key, name);
	if (strcmp(name, "memory") != 0)
		return 0;
	*strrchr(key, '/') = '\0';
	folder = strrchr(key, '/');
	if (folder > key + strlen("s3:/") && folder[1])	/* not the bucket */
		strcpy(name, folder + 1);
	return 0;
}

/* ---- the command line ---- */

enum { OPT_ASG = 256, OPT_INSTANCE, OPT_DISK, OPT_BASELINE, OPT_FORMAT,
       OPT_BACKING, OPT_THREADS, OPT_IDENTITY,
       OPT_NO_IDENTITY, OPT_READ_ALL, OPT_MEMORY, OPT_SYMBOLS, OPT_STORE, OPT_JSON, OPT_QUIET,
       OPT_HELP };

static const struct option long_options[] = {
	{ "asg", required_argument, NULL, OPT_ASG },
	{ "instance", required_argument, NULL, OPT_INSTANCE },
	{ "disk", required_argument, NULL, OPT_DISK },
	{ "baseline", no_argument, NULL, OPT_BASELINE },
	{ "format", required_argument, NULL, OPT_FORMAT },
	{ "backing", required_argument, NULL, OPT_BACKING },
	{ "threads", required_argument, NULL, OPT_THREADS },
	{ "identity", required_argument, NULL, OPT_IDENTITY },
	{ "no-identity", no_argument, NULL, OPT_NO_IDENTITY },
	{ "read-all", no_argument, NULL, OPT_READ_ALL },
	{ "memory", no_argument, NULL, OPT_MEMORY },
	{ "symbols", required_argument, NULL, OPT_SYMBOLS },
	HERD_AWS_LONG_OPTIONS
	{ "store", required_argument, NULL, OPT_STORE },
	{ "json", no_argument, NULL, OPT_JSON },
	{ "quiet", no_argument, NULL, OPT_QUIET },
	{ "help", no_argument, NULL, OPT_HELP },
	{ NULL, 0, NULL, 0 },
};

#define USAGE(...) herd_tool_usage("attach", __VA_ARGS__)
#define GO_ON (-1)

static int take_identity(struct options *o, const char *text)
{
	const char *value = strchr(text, '=');
	size_t len = value ? (size_t)(value - text) : strlen(text);

	for (unsigned kind = 0; value && value[1] && kind < HERD_TOKEN_MAX;
	     kind++) {
		const char *name = herd_token_name(kind);

		if (strlen(name) != len || strncmp(name, text, len) != 0)
			continue;
		o->tokens[o->job.n_tokens++] = (struct herd_attach_token){
			.kind = (uint8_t)kind, .text = value + 1 };
		return GO_ON;
	}
	return USAGE("--identity wants KIND=VALUE, such as address=10.0.0.7, "
		     "not \"%s\"", text);
}

static int take_option(struct options *o, int c)
{
	uint64_t n;

	switch (c) {
	case OPT_ASG:
		o->job.group = optarg;
		break;
	case OPT_INSTANCE:
		o->instance = optarg;
		break;
	case OPT_DISK:
		o->disks[o->n_disks++] = optarg;
		break;
	case OPT_BASELINE:
		o->job.role = HERD_ROLE_BASELINE;
		break;
	case OPT_NO_IDENTITY:
		o->job.no_identity = true;
		break;
	case OPT_READ_ALL:
		o->job.read_all = true;
		break;
	case OPT_MEMORY:
		o->job.of_memory = true;
		break;
	case OPT_SYMBOLS:
		o->job.symbols = optarg;
		break;
	case OPT_IDENTITY:
		return take_identity(o, optarg);
	case OPT_FORMAT:
		o->job.format = optarg;
		break;
	case OPT_BACKING:
		o->job.backing_dir = optarg;
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
		return herd_aws_arguments_take(&o->aws, "attach", c, optarg);
	}
	return GO_ON;
}

/* One instance: its disks by --disk, or the one image that is named. */
static int one_instance(struct options *o, char **images, size_t n)
{
	if (n && o->n_disks)
		return USAGE("give the disks of an instance by --disk, or one "
			     "image, not both");
	if (n > 1)
		return USAGE("%s is for one instance; give its disks by --disk",
			     o->instance ? "--instance" : o->job.n_tokens ?
			     "--identity" : "--baseline");
	if (n)
		o->disks[o->n_disks++] = images[0];
	o->job.disks = o->disks;
	o->job.n_disks = o->n_disks;
	return GO_ON;
}

/*
 * Most kernels need none, and then nobody would look: what cannot be opened is
 * told before it matters.
 */
static int check_symbols(const char *path)
{
	CLEANUP_FD int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	struct stat st = { .st_mode = 0 };

	if (fd < 0 || fstat(fd, &st)) {
		herd_tool_warn("--symbols: %s: %s", path, strerror(errno));
		return HERD_EXIT_FAILED;
	}
	if (S_ISREG(st.st_mode) || S_ISDIR(st.st_mode))
		return GO_ON;
	herd_tool_warn("--symbols: %s: is neither a file nor a folder", path);
	return HERD_EXIT_FAILED;
}

/* What is about disks says nothing of memory. */
static int check_memory(const struct options *o)
{
	if (!o->job.of_memory)
		return o->job.symbols ? USAGE("--symbols is for --memory") :
					GO_ON;
	if (o->n_disks || o->job.n_tokens || o->job.no_identity ||
	    o->job.read_all || o->job.role == HERD_ROLE_BASELINE)
		return USAGE("--disk, --baseline, --identity, --no-identity and "
			     "--read-all are not for --memory: the instance is "
			     "attached already; name it by --instance");
	return o->job.symbols ? check_symbols(o->job.symbols) : GO_ON;
}

static int check_names(const struct options *o, char *const *names, size_t n)
{
	const char *problem = herd_attach_group_problem(o->job.group);

	if (problem)
		return USAGE("\"%s\" cannot be the name of a group: %s",
			     o->job.group, problem);
	for (size_t i = 0; i < n; i++) {
		problem = herd_attach_instance_problem(names[i]);
		if (problem)
			return USAGE("\"%s\" cannot be the name of an instance: "
				     "%s; give another by --instance", names[i],
				     problem);
		for (size_t j = 0; j < i; j++)
			if (strcmp(names[i], names[j]) == 0)
				return USAGE("two images make an instance \"%s\"; "
					     "name them by --instance",
					     names[i]);
	}
	return GO_ON;
}

static bool is_remote(const char *image)
{
	return herd_ebs_snapshot(image) || herd_s3_is_object(image);
}

static bool any_remote(const struct options *o, char *const *images, size_t n)
{
	for (size_t i = 0; i < o->job.n_disks; i++)
		if (is_remote(o->job.disks[i]))
			return true;
	for (size_t i = 0; i < n && !o->job.n_disks; i++)
		if (is_remote(images[i]))
			return true;
	return false;
}

static int attach_all(struct options *o, char *const *names,
		      char *const *images, size_t n)
{
	struct herd_fetcher *fetcher = NULL;
	int status = HERD_EXIT_OK, err;
	bool stop = false;

	err = herd_fetcher_create(&o->aws.fetcher, &fetcher);
	/* one for all of them, which is waited for at the end */
	if (!err && any_remote(o, images, n))
		err = herd_fetcher_start(fetcher);
	if (!err)
		err = herd_attach_run_begin(&o->run, any_remote(o, images, n));
	if (err)
		return herd_tool_fail(NULL, err);
	o->job.fetcher = fetcher;
	for (size_t i = 0; i < n && !stop; i++) {
		struct herd_job job = o->job;

		job.instance = names[i];
		if (!job.n_disks) {
			job.disks = (const char *const *)&images[i];
			job.n_disks = 1;
		}
		if (herd_attach_one(&o->run, &job, &stop))
			status = HERD_EXIT_FAILED;
	}
	herd_attach_run_end(&o->run);
	herd_fetcher_destroy(fetcher);
	return herd_tool_finish(status);
}

static void free_names(char ***names)
{
	for (size_t i = 0; *names && (*names)[i]; i++)
		free((*names)[i]);
	free(*names);
}

/* The names of the instances, ended by NULL. */
static char **make_names(const struct options *o, char **images, size_t n)
{
	char **names = calloc(n + 2, sizeof(*names));
	const char *from;

	if (!names)
		return NULL;
	for (size_t i = 0; i < (o->job.n_disks ? 1 : n); i++) {
		from = o->job.n_disks ? o->disks[0] : images[i];
		names[i] = malloc(strlen(from) + 1);
		if (!names[i]) {
			free_names(&names);
			return NULL;
		}
		if (!herd_s3_is_object(from)) {
			name_of_image(from, names[i]);
		} else if (name_of_object(from, names[i])) {
			free_names(&names);
			return NULL;
		}
	}
	from = o->instance ? o->instance :
	       o->job.role == HERD_ROLE_BASELINE ? "baseline" : NULL;
	if (from) {
		free(names[0]);
		names[0] = strdup(from);
	}
	return names;
}

int herd_cmd_attach(int argc, char **argv)
{
	CLEANUP_FREE const char **disks = calloc((size_t)argc + 1,
						 sizeof(*disks));
	CLEANUP_FREE struct herd_attach_token *tokens =
		calloc((size_t)argc + 1, sizeof(*tokens));
	CLEANUP(free_names) char **names = NULL;
	struct options o = { .disks = disks, .tokens = tokens,
			     .job.tokens = tokens };
	char place[PATH_MAX];
	size_t n;
	int c, status = GO_ON;

	if (!disks || !tokens)
		return herd_tool_fail(NULL, -ENOMEM);
	herd_aws_arguments_init(&o.aws);
	while (status == GO_ON &&
	       (c = getopt_long(argc, argv, "h", long_options, NULL)) != -1)
		status = take_option(&o, c == 'h' ? OPT_HELP : c);
	if (status != GO_ON)
		return status;
	n = (size_t)(argc - optind);
	if (!o.job.group)
		return USAGE("--asg NAME is missing");
	if (!n && !o.n_disks)
		return USAGE("no image is named");
	status = check_memory(&o);
	if (status != GO_ON)
		return status;
	if (o.instance || o.n_disks || o.job.n_tokens ||
	    o.job.role == HERD_ROLE_BASELINE)
		status = one_instance(&o, argv + optind, n);
	if (status != GO_ON)
		return status;
	if (!o.job.store_dir) {
		if (herd_store_default_dir(place, sizeof(place))) {
			herd_tool_warn("no place for a store: give --store DIR "
				       "or set HERDFS_STORE");
			return HERD_EXIT_FAILED;
		}
		o.job.store_dir = place;
	}
	o.job.memory = herd_attach_memory();
	o.job.now = herd_tool_now();
	names = make_names(&o, argv + optind, n);
	if (!names || !names[0])
		return herd_tool_fail(NULL, -ENOMEM);
	n = o.job.n_disks ? 1 : n;
	status = check_names(&o, names, n);
	return status != GO_ON ? status :
	       attach_all(&o, names, argv + optind, n);
}
