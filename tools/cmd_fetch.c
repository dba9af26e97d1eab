/* SPDX-License-Identifier: Apache-2.0 */
/*
 * herdfs fetch: brings all blocks of EBS snapshots, and of objects of S3 that
 * are images of memory, into the local cache, so that they can be read without
 * the network from then on.
 *
 * Threads: the main thread, and a few that wait for blocks, joined before a
 * snapshot is said to be there.
 */
#include "acquire/base/cleanup.h"
#include "tools/aws_arguments.h"
#include "tools/commands.h"
#include "tools/common.h"

#include <getopt.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

/* Bytes that one request waits for, and how many wait at a time. */
#define PART (32ull << 20)
#define THREADS HERD_HELPER_CONNECTIONS

static const char help[] =
"Usage: herdfs fetch --all [OPTION]…\n"
"  or:  herdfs fetch --asg NAME [--instance NAME] [OPTION]…\n"
"  or:  herdfs fetch [OPTION]… SNAPSHOT|OBJECT…\n"
"Brings all blocks of EBS snapshots, and of images of memory in S3, into the local\n"
"cache: of all that are in the index, of a group's, or of those that are named\n"
"(snap-…, s3://BUCKET/KEY). What is there already is not fetched again. Afterwards\n"
"they are read without the network.\n\n"
"  --all             of all groups in the index\n"
"  --asg NAME        of this group\n"
"  --instance NAME   of this instance only\n"
HERD_AWS_HELP
"  --store DIR       the index; else $HERDFS_STORE, else\n"
"                    $XDG_DATA_HOME/herdfs or ~/.local/share/herdfs\n"
"  --quiet           no progress, and nothing but errors\n"
"  --help            this text\n\n"
"Exit status: 0 all are there, 1 not all, 2 wrong usage.\n";

struct names {
	struct herd_image *v;	/* owned; of an object that is only named no
				   more than that */
	size_t n;
};

struct options {
	const char *group, *instance, *store;
	bool all, quiet;
	struct herd_aws_arguments aws;
	struct names names;
};

static void names_deinit(struct names *n)
{
	for (size_t i = 0; i < n->n; i++)
		herd_image_deinit(&n->v[i]);
	free(n->v);
}

/* Each once. */
static int names_add(struct names *n, const struct herd_image_file *f)
{
	struct herd_image *v;

	for (size_t i = 0; i < n->n; i++)
		if (!strcmp(n->v[i].files[0].path, f->path) &&
		    !memcmp(n->v[i].files[0].ends, f->ends, sizeof(f->ends)))
			return 0;
	v = reallocarray(n->v, n->n + 1, sizeof(*v));
	if (!v)
		return -ENOMEM;
	n->v = v;
	return herd_image_remote(f, &v[n->n]) ?: (n->n++, 0);
}

/* ---- whose ---- */

struct looking {
	struct options *o;
	struct herd_txn *t;
	bool found;
};

static int look_at_memory(struct looking *l, uint32_t id)
{
	struct herd_stored_memory m;
	int err = herd_memory_get(l->t, id, &m);

	if (err)
		return err == -ENOENT ? 0 : err;
	if (herd_image_is_remote(&m.image))
		err = names_add(&l->o->names, m.image.files);
	herd_stored_memory_deinit(&m);
	return err;
}

static int look_at_instance(void *arg, uint32_t id, uint32_t group,
			    enum herd_role role, const char *name)
{
	struct looking *l = arg;
	struct herd_instance i = { 0 };
	int err;

	(void)group;
	(void)role;
	if (l->o->instance && strcmp(l->o->instance, name) != 0)
		return 0;
	l->found = true;
	err = herd_instance_get(l->t, id, &i);
	for (size_t d = 0; d < i.n_disks && !err; d++)
		if (herd_image_is_remote(&i.disks[d]))
			err = names_add(&l->o->names, i.disks[d].files);
	herd_instance_deinit(&i);
	return err ? err : look_at_memory(l, id);
}

static int look_in_store(struct options *o)
{
	struct looking l = { .o = o };
	struct herd_store *store = NULL;
	struct herd_group g = { .id = 0 };
	int err = herd_tool_open_store(o->store, 0, &store);

	if (err)
		return err;
	err = herd_txn_begin(store, false, &l.t, NULL);
	if (!err && o->group)
		err = herd_tool_find_group(l.t, o->group, &g);
	if (!err)
		err = herd_instance_each_name(l.t, g.id, look_at_instance, &l);
	herd_txn_abort(l.t);
	herd_store_close(store);
	if (!err && o->instance && !l.found) {
		herd_tool_warn("there is no instance \"%s\" in the group \"%s\"",
			       o->instance, o->group);
		return -ENOENT;
	}
	return err;
}

/* ---- fetching ---- */

struct fetching {
	struct herd_source *source;
	struct herd_extents data;
	pthread_mutex_t lock;	/* next, in, diag, failed */
	size_t next;
	uint64_t in;		/* bytes of that range begun */
	struct herd_diag diag;	/* of the first failure */
	int err;
	size_t failed;		/* parts */
	atomic_uint_fast64_t done;
	atomic_bool ended;
};

static bool next_part(struct fetching *f, struct herd_extent *ret)
{
	SCOPED_LOCK(&f->lock);
	uint64_t left;

	if (f->next == f->data.n)
		return false;
	left = f->data.v[f->next].len - f->in;
	*ret = (struct herd_extent){ f->data.v[f->next].start + f->in,
				     left < PART ? left : PART };
	f->in += ret->len;
	if (f->in == f->data.v[f->next].len) {
		f->next++;
		f->in = 0;
	}
	return true;
}

static void *fetch_parts(void *arg)
{
	struct fetching *f = arg;
	struct herd_extent part;

	while (next_part(f, &part)) {
		struct herd_extents e = { .v = &part, .n = 1, .cap = 1 };
		struct herd_diag diag = { .offset = HERD_NO_OFFSET };
		int err = herd_source_keep(f->source, &e, &diag);

		atomic_fetch_add(&f->done, part.len);
		if (!err)
			continue;
		SCOPED_LOCK(&f->lock);
		if (!f->err) {
			f->err = err;
			f->diag = diag;
		}
		f->failed++;
		/* with the fetcher gone, or no room, every further part would
		   fail */
		if (err == -EIO || err == -ENOSPC)
			break;
	}
	return NULL;
}

static void show(const char *name, struct fetching *f, uint64_t all)
{
	char done[16], of[16];

	fprintf(stderr, "\r\033[K%s: %s of %s", name,
		herd_tool_bytes(atomic_load(&f->done), done, sizeof(done)),
		herd_tool_bytes(all, of, sizeof(of)));
	fflush(stderr);
}

static void *watch(void *arg)
{
	struct fetching *f = arg;
	const struct timespec pause = { 0, 200000000 };
	uint64_t all = herd_extents_bytes(&f->data);

	while (!atomic_load(&f->ended)) {
		show(f->source->name, f, all);
		nanosleep(&pause, NULL);
	}
	fputs("\r\033[K", stderr);
	return NULL;
}

static void run_threads(struct fetching *f, bool progress)
{
	pthread_t threads[THREADS], watcher;
	size_t n = 0;
	bool watched = progress && !pthread_create(&watcher, NULL, watch, f);

	while (n < THREADS && !pthread_create(&threads[n], NULL, fetch_parts, f))
		n++;
	if (!n)
		fetch_parts(f);
	while (n)
		pthread_join(threads[--n], NULL);
	atomic_store(&f->ended, true);
	if (watched)
		pthread_join(watcher, NULL);
}

/* One snapshot or object, wholly; prints what came of it. */
static int fetch_one(const struct options *o, struct herd_fetcher *fetcher,
		     struct herd_image *image)
{
	CLEANUP_FREE char *name = strdup(image->files[0].path);
	struct fetching f = { .lock = PTHREAD_MUTEX_INITIALIZER,
			      .diag = { .offset = HERD_NO_OFFSET } };
	struct herd_helper helper = { .pid = 0 };
	char bytes[16];
	int err = name ? herd_helper_start(image, fetcher, &helper, &f.diag) :
			 -ENOMEM;

	if (!err)
		err = herd_image_open_remote(image, &helper, &f.source,
					     &f.diag);
	if (!err)
		err = herd_source_data(f.source, &f.data, &f.diag);
	if (!err) {
		run_threads(&f, !o->quiet && isatty(STDERR_FILENO));
		err = f.err;
		/* a limited cache may have let go of the first ones */
		if (!err && !herd_source_at_hand(f.source, &f.data))
			err = herd_diag_set(&f.diag, -ENOSPC, name,
				HERD_NO_OFFSET, "not all of it is in the cache "
				"any more: it is larger than --cache-limit");
	}
	if (err) {
		herd_tool_fail(&f.diag, err);
		if (f.failed)
			herd_tool_warn("%s: %zu part%s of 32 MiB could not be "
				       "fetched in full", name, f.failed,
				       f.failed == 1 ? "" : "s");
	} else if (!o->quiet) {
		printf("%s: %s are in the cache\n", name,
		       herd_tool_bytes(herd_extents_bytes(&f.data), bytes,
				       sizeof(bytes)));
		fflush(stdout);
	}
	herd_extents_deinit(&f.data);
	herd_source_destroy(f.source);
	herd_helper_stop(&helper);
	return err;
}

static int fetch_all(struct options *o)
{
	struct herd_fetcher *fetcher = NULL;
	int status = HERD_EXIT_OK;
	int err = herd_fetcher_create(&o->aws.fetcher, &fetcher);

	if (!err)
		err = herd_fetcher_start(fetcher);
	if (err)
		return herd_tool_fail(NULL, err);
	for (size_t i = 0; i < o->names.n; i++)
		if (fetch_one(o, fetcher, &o->names.v[i]))
			status = HERD_EXIT_FAILED;
	herd_fetcher_destroy(fetcher);
	return herd_tool_finish(status);
}

/* ---- the command line ---- */

enum { OPT_ALL = 256, OPT_ASG, OPT_INSTANCE, OPT_STORE, OPT_QUIET, OPT_HELP };

static const struct option long_options[] = {
	{ "all", no_argument, NULL, OPT_ALL },
	{ "asg", required_argument, NULL, OPT_ASG },
	{ "instance", required_argument, NULL, OPT_INSTANCE },
	HERD_AWS_LONG_OPTIONS
	{ "store", required_argument, NULL, OPT_STORE },
	{ "quiet", no_argument, NULL, OPT_QUIET },
	{ "help", no_argument, NULL, OPT_HELP },
	{ NULL, 0, NULL, 0 },
};

#define USAGE(...) herd_tool_usage("fetch", __VA_ARGS__)
#define GO_ON (-1)

static int take_option(struct options *o, int c)
{
	switch (c) {
	case OPT_ALL:
		o->all = true;
		break;
	case OPT_ASG:
		o->group = optarg;
		break;
	case OPT_INSTANCE:
		o->instance = optarg;
		break;
	case OPT_STORE:
		o->store = optarg;
		break;
	case OPT_QUIET:
		o->quiet = true;
		break;
	case OPT_HELP:
		fputs(help, stdout);
		return herd_tool_finish(HERD_EXIT_OK);
	default:
		return herd_aws_arguments_take(&o->aws, "fetch", c, optarg);
	}
	return GO_ON;
}

static int take_names(struct options *o, char **names, int n)
{
	for (int i = 0; i < n; i++) {
		CLEANUP_FREE char *whole = NULL;
		bool object = herd_s3_is_object(names[i]);

		if (asprintf(&whole, "%s%s", object ||
			     !strncmp(names[i], "ebs:", 4) ? "" : "ebs:",
			     names[i]) < 0)
			return herd_tool_fail(NULL, -ENOMEM);
		if (object ? !herd_s3_is_name(whole) : !herd_ebs_snapshot(whole))
			return USAGE("\"%s\" is no snapshot's id, and no "
				     "s3://BUCKET/KEY", names[i]);
		if (names_add(&o->names,
			      &(struct herd_image_file){ .path = whole }))
			return herd_tool_fail(NULL, -ENOMEM);
	}
	return GO_ON;
}

int herd_cmd_fetch(int argc, char **argv)
{
	struct options o = { 0 };
	int c, status = GO_ON;

	herd_aws_arguments_init(&o.aws);
	while (status == GO_ON &&
	       (c = getopt_long(argc, argv, "h", long_options, NULL)) != -1)
		status = take_option(&o, c == 'h' ? OPT_HELP : c);
	if (status != GO_ON)
		return status;
	if (optind == argc && !o.all && !o.group)
		return USAGE("of what? --all, --asg NAME, a snapshot or an object");
	if (o.instance && !o.group)
		return USAGE("--instance wants --asg as well");
	if (optind < argc && (o.all || o.group))
		return USAGE("either snapshots or --all or --asg");
	status = take_names(&o, argv + optind, argc - optind);
	if (status == GO_ON && optind == argc && look_in_store(&o))
		status = HERD_EXIT_FAILED;
	if (status == GO_ON && !o.names.n && !o.quiet)
		puts("no EBS snapshots and no objects of S3 are in the index");
	if (status == GO_ON)
		status = fetch_all(&o);
	names_deinit(&o.names);
	return status;
}
