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
#include "index/report.h"
#include "tools/attach_watch.h"
#include "tools/commands.h"
#include "tools/common.h"

#include <getopt.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/mman.h>
#include <sys/wait.h>

#define STALL_SECONDS 60
#define MEMORY_LEAST (1ull << 30)

struct options {
	struct herd_job job;	/* what is the same for all instances */
	const char **disks;	/* --disk */
	size_t n_disks;
	struct herd_attach_token *tokens;	/* --identity */
	const char *instance;
	unsigned stall_seconds;
	bool json, quiet;
};

static const char help[] =
"Usage: herdfs attach --asg NAME [OPTION]… IMAGE…\n"
"  or:  herdfs attach --asg NAME --instance NAME --disk FILE…\n"
"Puts disk images of a group's instances into the index. Each IMAGE is one\n"
"instance, named after the file: i-1.raw, i-1.qcow2, i-1.E01, i-1.raw.001 are\n"
"i-1. Images are only read.\n\n"
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
"  --backing DIR     where backing files may lie, beside the image's own folder\n"
"  --threads N       how many hash and compare; one for each core\n"
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
	};

	for (size_t i = 0; i < ARRAY_SIZE(known); i++)
		if (strcasecmp(ext, known[i]) == 0)
			return true;
	return false;
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

	base = base ? base + 1 : path;
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
	if (dot && dot != name && known_extension(dot + 1))
		*dot = '\0';
}

/* Whether it is shown as it is everywhere: in a listing, in JSON, as a folder. */
static bool shows_as_it_is(const char *name)
{
	CLEANUP_BUF struct herd_buf shown = HERD_BUF_INIT;

	herd_report_escape(&shown, name, strlen(name));
	return !shown.failed && shown.len == strlen(name);
}

/* What speaks against the name of a group or an instance; NULL: nothing. */
static const char *name_problem(const char *name, size_t max)
{
	if (!*name || !strcmp(name, ".") || !strcmp(name, "..") ||
	    strchr(name, '/'))
		return "it could not be a folder";
	if (strlen(name) > max)
		return "it is too long";
	if (!shows_as_it_is(name))
		return "it has characters that cannot be shown";
	return NULL;
}

static const char *instance_name_problem(const char *name)
{
	/* what the group's folder holds beside its instances, or will */
	static const char *const taken[] = { "herd.json", "README.txt",
					     "clusters" };

	for (size_t i = 0; i < ARRAY_SIZE(taken); i++)
		if (strcmp(name, taken[i]) == 0)
			return "the group's folder has something else of that name";
	return name_problem(name, HERD_INSTANCE_NAME_MAX);
}

/* ---- saying what came of it ---- */

static void say_attached(const char *label, const struct herd_job *job,
			 const struct herd_worker_shared *s, bool already)
{
	char entries[32], files[32], bytes[16], hashed[16], problems[32];

	printf("%s: %s%s: %s entries, %s, ", label,
	       already ? "already attached" : "attached",
	       job->role == HERD_ROLE_BASELINE ? " as baseline" : "",
	       herd_tool_count(s->entries, entries, sizeof(entries)),
	       herd_tool_bytes(s->bytes, bytes, sizeof(bytes)));
	herd_tool_count(s->hashed_files, files, sizeof(files));
	herd_tool_bytes(s->hashed_bytes, hashed, sizeof(hashed));
	printf("%s file%s hashed (%s)", files, s->hashed_files == 1 ? "" : "s",
	       hashed);
	if (s->inherited_files)
		printf(", the rest unchanged from %s", s->reference[0] ?
		       s->reference : "the reference");
	fputs("; ", stdout);
	printf("%s problem%s\n",
	       herd_tool_count(s->problems, problems, sizeof(problems)),
	       s->problems == 1 ? "" : "s");
	for (size_t i = 0; i < HERD_WORKER_PROBLEMS && s->problem[i][0]; i++)
		printf("  %s\n", s->problem[i]);
	if (s->problems > HERD_WORKER_PROBLEMS)
		puts("  … herdfs status --problems shows all of them");
}

static void json_line(const struct herd_job *job,
		      const struct herd_worker_shared *s, const char *result,
		      const char *error, double took)
{
	CLEANUP_BUF struct herd_buf out = HERD_BUF_INIT;
	struct herd_json j;

	herd_json_begin(&j, &out, 0);
	herd_json_object(&j, NULL);
	herd_json_string(&j, "group", job->group);
	herd_json_string(&j, "instance", job->instance);
	herd_json_string(&j, "role", job->role == HERD_ROLE_BASELINE ?
			 "baseline" : "member");
	herd_json_string(&j, "result", result);
	if (error) {
		herd_json_string(&j, "error", error);
	} else {
		herd_json_uint(&j, "entries", s->entries);
		herd_json_uint(&j, "files", s->files);
		herd_json_uint(&j, "bytes", s->bytes);
		herd_json_uint(&j, "hashed_files", s->hashed_files);
		herd_json_uint(&j, "hashed_bytes", s->hashed_bytes);
		herd_json_uint(&j, "inherited_files", s->inherited_files);
		herd_json_uint(&j, "inherited_bytes", s->inherited_bytes);
		herd_json_uint(&j, "problems", s->problems);
		if (s->reference[0])
			herd_json_string(&j, "reference", s->reference);
		else
			herd_json_null(&j, "reference");
	}
	herd_json_uint(&j, "milliseconds", (uint64_t)(took * 1000));
	herd_json_end(&j);
	herd_tool_print_json(&j, &out);
}

/* The worker may have been taken over: no text of its is trusted to end. */
static void make_safe(struct herd_worker_shared *s)
{
	s->diag.source[sizeof(s->diag.source) - 1] = '\0';
	s->diag.message[sizeof(s->diag.message) - 1] = '\0';
	s->reference[sizeof(s->reference) - 1] = '\0';
	s->no_reference[sizeof(s->no_reference) - 1] = '\0';
	s->missing[sizeof(s->missing) - 1] = '\0';
	herd_text_clean(s->reference);
	for (size_t i = 0; i < HERD_WORKER_PROBLEMS; i++) {
		s->problem[i][sizeof(s->problem[i]) - 1] = '\0';
		herd_text_clean(s->problem[i]);
	}
}

/* Why there is no result, as one line. */
static void describe_failure(char *text, size_t size,
			     const struct options *o, enum herd_end end, int status,
			     const struct herd_worker_shared *s)
{
	const char *stage = herd_stage_text(atomic_load(&s->progress.stage));
	char why[900];

	if (end == HERD_END_STOPPED)
		snprintf(text, size, "interrupted: not attached");
	else if (end == HERD_END_STALLED)
		snprintf(text, size, "the reader stood still for %u s while %s "
			 "and was ended: not attached", o->stall_seconds,
			 stage);
	else if (end == HERD_END_DIED && WIFSIGNALED(status))
		snprintf(text, size, "the reader crashed (signal %d, %s) while "
			 "%s: not attached", WTERMSIG(status),
			 strsignal(WTERMSIG(status)), stage);
	else if (end == HERD_END_DIED)
		snprintf(text, size, "the reader ended (status %d) while %s: "
			 "not attached", WEXITSTATUS(status), stage);
	else if (s->err == -ENOMEM)
		snprintf(text, size, "out of memory while %s: the reader may have "
			 "%llu MiB (see HERDFS_MEMORY_MB): not attached", stage,
			 (unsigned long long)(o->job.memory >> 20));
	else
		snprintf(text, size, "%s", herd_diag_format(&s->diag, s->err,
							    why, sizeof(why)));
}

static void warn_about(const struct options *o, const char *label,
		       const struct herd_worker_shared *s)
{
	static bool said;

	if (s->missing[0] && !said) {
		herd_tool_warn("%s", s->missing);
		said = true;
	}
	if (s->no_reference[0] && !o->quiet)
		herd_tool_warn("%s: everything is hashed, for the images of "
			       "the reference %s are not to be had: %s", label,
			       s->reference, s->no_reference);
}

/* One instance. *ret_stop: it makes no sense to go on with others. */
static int attach_one(const struct options *o, const struct herd_job *job,
		      struct herd_worker_shared *shared, bool *ret_stop)
{
	char label[HERD_GROUP_NAME_MAX + HERD_INSTANCE_NAME_MAX + 2];
	struct herd_watch w = {
		.label = label, .shared = shared,
		.show = !o->quiet && isatty(STDERR_FILENO),
		.stall_seconds = o->stall_seconds,
	};
	enum herd_end end = HERD_END_DIED;
	int status = 0, err;
	char why[1024];
	bool good, already;

	snprintf(label, sizeof(label), "%s/%s", job->group, job->instance);
	herd_text_clean(label);
	memset(shared, 0, sizeof(*shared));
	err = herd_watch_run(job, &w, &end, &status);
	if (err) {
		herd_tool_warn("%s: cannot start a process: %s", label,
			       strerror(-err));
		*ret_stop = true;
		return err;
	}
	make_safe(shared);
	warn_about(o, label, shared);
	already = shared->outcome == HERD_OUTCOME_ALREADY;
	good = end == HERD_END_DONE &&
	       (already || shared->outcome == HERD_OUTCOME_ATTACHED);
	if (good) {
		if (o->json)
			json_line(job, shared, already ? "already" : "attached",
				  NULL, w.took);
		else if (!o->quiet)
			say_attached(label, job, shared, already);
		fflush(stdout);
		return 0;
	}
	describe_failure(why, sizeof(why), o, end, status, shared);
	herd_tool_warn("%s: %s", label, why);
	if (o->json)
		json_line(job, shared, "failed", why, w.took);
	*ret_stop = end == HERD_END_STOPPED ||
		    (end == HERD_END_DONE &&
		     shared->outcome == HERD_OUTCOME_NO_STORE);
	return -EIO;
}

/* ---- the command line ---- */

enum { OPT_ASG = 256, OPT_INSTANCE, OPT_DISK, OPT_BASELINE, OPT_FORMAT,
       OPT_BACKING, OPT_THREADS, OPT_IDENTITY,
       OPT_NO_IDENTITY, OPT_STORE, OPT_JSON, OPT_QUIET, OPT_HELP };

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
		o->json = true;
		break;
	case OPT_QUIET:
		o->quiet = true;
		break;
	case OPT_HELP:
		fputs(help, stdout);
		return herd_tool_finish(HERD_EXIT_OK);
	default:
		return USAGE(NULL);
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

static int check_names(const struct options *o, char *const *names, size_t n)
{
	const char *problem = name_problem(o->job.group, HERD_GROUP_NAME_MAX);

	if (problem)
		return USAGE("\"%s\" cannot be the name of a group: %s",
			     o->job.group, problem);
	for (size_t i = 0; i < n; i++) {
		problem = instance_name_problem(names[i]);
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

static int attach_all(struct options *o, char *const *names,
		      char *const *images, size_t n)
{
	struct herd_worker_shared *shared;
	int status = HERD_EXIT_OK;
	bool stop = false;

	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE,
		      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (shared == MAP_FAILED)
		return herd_tool_fail(NULL, -errno);
	herd_watch_signals(true);
	for (size_t i = 0; i < n && !stop; i++) {
		struct herd_job job = o->job;

		job.instance = names[i];
		if (!job.n_disks) {
			job.disks = (const char *const *)&images[i];
			job.n_disks = 1;
		}
		if (attach_one(o, &job, shared, &stop))
			status = HERD_EXIT_FAILED;
	}
	munmap(shared, sizeof(*shared));
	herd_watch_signals(false);
	if (herd_watch_stopped())
		raise(herd_watch_stopped());
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
		name_of_image(from, names[i]);
	}
	from = o->instance ? o->instance :
	       o->job.role == HERD_ROLE_BASELINE ? "baseline" : NULL;
	if (from) {
		free(names[0]);
		names[0] = strdup(from);
	}
	return names;
}

/* What the machine has, or this container of it. */
static uint64_t memory_there(void)
{
	long pages = sysconf(_SC_PHYS_PAGES), page = sysconf(_SC_PAGESIZE);
	uint64_t most = pages > 0 && page > 0 ?
			(uint64_t)pages * (uint64_t)page : 0;
	FILE *f = fopen("/sys/fs/cgroup/memory.max", "re");
	char line[32] = "";
	uint64_t limit;

	if (f && fgets(line, sizeof(line), f)) {
		line[strcspn(line, "\n")] = '\0';
		if (herd_tool_number(line, 1, INT64_MAX, &limit) && limit < most)
			most = limit;
	}
	if (f)
		fclose(f);
	return most;
}

/*
 * Half of what is there. An honest instance takes some 600 bytes a name, and at most
 * half a GiB for what LMDB has not written yet; the rest is for the page cache,
 * through which images are read, and for everybody else: when all is taken, the
 * kernel ends a process of its own choice.
 */
static uint64_t memory_limit(void)
{
	const char *text = getenv("HERDFS_MEMORY_MB");
	uint64_t half = memory_there() / 2, mb;

	if (text && herd_tool_number(text, 1, 1u << 30, &mb))
		return mb << 20;
	return half > MEMORY_LEAST ? half : MEMORY_LEAST;
}

int herd_cmd_attach(int argc, char **argv)
{
	CLEANUP_FREE const char **disks = calloc((size_t)argc + 1,
						 sizeof(*disks));
	CLEANUP_FREE struct herd_attach_token *tokens =
		calloc((size_t)argc + 1, sizeof(*tokens));
	CLEANUP(free_names) char **names = NULL;
	struct options o = { .disks = disks, .tokens = tokens,
			     .job.tokens = tokens,
			     .stall_seconds = STALL_SECONDS };
	const char *stall = getenv("HERDFS_STALL_SECONDS");
	char place[PATH_MAX];
	uint64_t limit;
	size_t n;
	int c, status = GO_ON;

	if (!disks || !tokens)
		return herd_tool_fail(NULL, -ENOMEM);
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
	if (stall && herd_tool_number(stall, 1, 86400, &limit))
		o.stall_seconds = (unsigned)limit;
	o.job.memory = memory_limit();
	o.job.now = herd_tool_now();
	names = make_names(&o, argv + optind, n);
	if (!names || !names[0])
		return herd_tool_fail(NULL, -ENOMEM);
	n = o.job.n_disks ? 1 : n;
	status = check_names(&o, names, n);
	return status != GO_ON ? status :
	       attach_all(&o, names, argv + optind, n);
}
