/* SPDX-License-Identifier: Apache-2.0 */
/*
 * herdfs mount, and mount.herdfs as mount(8) and fstab call it.
 *
 * Threads: the main thread; in the background it goes on in a child.
 */
#include "fs/fuse_session.h"
#include "tools/aws_arguments.h"
#include "tools/commands.h"
#include "tools/common.h"

#include <getopt.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>

struct arguments {
	const char *store;
	struct herd_mount mount;
	char options[2048];	/* what is left of -o for FUSE */
	struct herd_aws_arguments aws;
	bool helper;		/* called by mount(8) */
	bool fake;
};

static void help(void)
{
	puts("Usage: herdfs mount [OPTION]… MOUNTPOINT\n"
	     "Shows the index as a file system, read-only, until it is "
	     "unmounted (umount, or\nfusermount3 -u). It shows the index as "
	     "it is now; what is attached later shows in\nthe next mount.\n\n"
	     "  --store DIR       the index (default: $HERDFS_STORE, else\n"
	     "                    $XDG_DATA_HOME/herdfs, else "
	     "~/.local/share/herdfs)\n"
	     "  --asg NAME        only this group\n"
	     "  --policy FILE     rules for what may deviate (default: DIR/policy "
	     "of the\n"
	     "                    index, where there is one)\n"
	     "  --rules FILE      rules of one's own for what a path means "
	     "(default:\n"
	     "                    $XDG_CONFIG_HOME/herdfs/rules.conf, where "
	     "there is one)\n"
	     HERD_AWS_HELP
	     "  -o OPTION,…       store=DIR, asg=NAME, policy=FILE, rules=FILE,\n"
	     "                    profile=NAME, region=NAME, block-cache=DIR, offline;\n"
	     "                    allow_other, allow_root, default_permissions, "
	     "as for any\n"
	     "                    FUSE mount\n"
	     "  -f, --foreground  stay in the foreground; Ctrl-C unmounts\n"
	     "  --cache MB        memory for findings and reports (64)\n"
	     "  --threads N       that serve at once (8)\n"
	     "  --help            this text");
}

/* ---- -o ---- */

/* What mount(8) and fstab have for everybody, and changes nothing here. */
static bool is_generic(const char *name)
{
	static const char *const names[] = {
		"ro", "defaults", "auto", "noauto", "user", "nouser", "users",
		"owner", "group", "nofail", "_netdev", "async", "sync",
		"nosuid", "nodev", "noexec", "atime", "noatime", "diratime",
		"nodiratime", "relatime", "norelatime", "strictatime",
		"lazytime", "nolazytime", "silent", "loud", "iversion",
		"noiversion", "mand", "nomand", "nosymfollow", "symfollow",
	};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (strcmp(name, names[i]) == 0)
			return true;
	return strncmp(name, "x-", 2) == 0 || strncmp(name, "X-", 2) == 0 ||
	       strncmp(name, "comment=", 8) == 0 ||
	       strncmp(name, "user=", 5) == 0 ||
	       strncmp(name, "uhelper=", 8) == 0;
}

static bool is_for_fuse(const char *name)
{
	static const char *const names[] = {
		"allow_other", "allow_root", "default_permissions",
	};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (strcmp(name, names[i]) == 0)
			return true;
	return false;
}

/* False: printed why not. */
static bool take_option(struct arguments *a, char *o)
{
	if (!*o || is_generic(o))
		return true;
	if (strncmp(o, "store=", 6) == 0) {
		a->store = o + 6;
	} else if (strncmp(o, "asg=", 4) == 0) {
		a->mount.group = o + 4;
	} else if (strncmp(o, "policy=", 7) == 0) {
		a->mount.policy = o + 7;
	} else if (strncmp(o, "rules=", 6) == 0) {
		a->mount.rules = o + 6;
	} else if (strncmp(o, "profile=", 8) == 0) {
		a->aws.fetcher.aws.profile = o + 8;
	} else if (strncmp(o, "region=", 7) == 0) {
		a->aws.fetcher.aws.region = o + 7;
	} else if (strncmp(o, "block-cache=", 12) == 0) {
		a->aws.fetcher.cache_dir = o + 12;
	} else if (strcmp(o, "offline") == 0) {
		a->aws.fetcher.offline = true;
	} else if (is_for_fuse(o)) {
		size_t n = strlen(a->options);

		snprintf(a->options + n, sizeof(a->options) - n, "%s%s",
			 n ? "," : "", o);
	} else if (strcmp(o, "rw") == 0) {
		/* mount(8) says so by itself when nobody said "ro" */
		if (!a->helper) {
			herd_tool_usage("mount", "a herd is mounted read-only; "
					"there is no rw");
			return false;
		}
	} else if (strcmp(o, "suid") == 0 || strcmp(o, "dev") == 0 ||
		   strcmp(o, "exec") == 0) {
		herd_tool_usage("mount", "a herd is mounted nosuid, nodev and "
				"noexec; there is no %s", o);
		return false;
	} else {
		herd_tool_usage("mount", "there is no option -o %s", o);
		return false;
	}
	return true;
}

static bool take_options(struct arguments *a, char *list)
{
	char *save = NULL;

	for (char *o = strtok_r(list, ",", &save); o;
	     o = strtok_r(NULL, ",", &save))
		if (!take_option(a, o))
			return false;
	return true;
}

/* ---- the two command lines ---- */

enum { OPT_STORE = 256, OPT_ASG, OPT_POLICY, OPT_RULES, OPT_CACHE, OPT_THREADS, OPT_HELP };

static const struct option long_options[] = {
	{ "store", required_argument, NULL, OPT_STORE },
	{ "asg", required_argument, NULL, OPT_ASG },
	{ "policy", required_argument, NULL, OPT_POLICY },
	{ "rules", required_argument, NULL, OPT_RULES },
	HERD_AWS_LONG_OPTIONS
	{ "foreground", no_argument, NULL, 'f' },
	{ "cache", required_argument, NULL, OPT_CACHE },
	{ "threads", required_argument, NULL, OPT_THREADS },
	{ "help", no_argument, NULL, OPT_HELP },
	{ 0 },
};

/* -1: go on; else the exit status. */
static int take_number(const char *text, const char *what, uint64_t min,
		       uint64_t max, unsigned *ret)
{
	uint64_t n;

	if (!herd_tool_number(text, min, max, &n))
		return herd_tool_usage("mount", "%s: a number from %llu to "
				       "%llu, not \"%s\"", what,
				       (unsigned long long)min,
				       (unsigned long long)max, text);
	*ret = (unsigned)n;
	return -1;
}

static int parse(struct arguments *a, int argc, char **argv)
{
	int c, status = -1;

	while (status < 0 && (c = getopt_long(argc, argv, "o:f", long_options,
					      NULL)) != -1) {
		switch (c) {
		case 'o':
			if (!take_options(a, optarg))
				status = HERD_EXIT_USAGE;
			break;
		case 'f':
			a->mount.foreground = true;
			break;
		case OPT_STORE:
			a->store = optarg;
			break;
		case OPT_ASG:
			a->mount.group = optarg;
			break;
		case OPT_POLICY:
			a->mount.policy = optarg;
			break;
		case OPT_RULES:
			a->mount.rules = optarg;
			break;
		case OPT_CACHE:
			status = take_number(optarg, "--cache", 1, 65536,
					     &a->mount.cache_mb);
			break;
		case OPT_THREADS:
			status = take_number(optarg, "--threads", 1, 16,
					     &a->mount.threads);
			break;
		case OPT_HELP:
			help();
			return herd_tool_finish(HERD_EXIT_OK);
		default:
			status = herd_aws_arguments_take(&a->aws, "mount", c,
							 optarg);
		}
	}
	if (status < 0 && argc - optind != 1)
		status = herd_tool_usage("mount", argc == optind ?
					 "no mount point given" :
					 "one mount point, not several");
	if (status < 0)
		a->mount.mountpoint = argv[optind];
	return status;
}

/* mount.herdfs SOURCE DIR [-sfnv] [-N NAMESPACE] [-t TYPE] [-o OPTIONS] */
static int parse_helper(struct arguments *a, int argc, char **argv)
{
	const char *source;
	int c;

	a->helper = true;
	while ((c = getopt(argc, argv, "sfnvN:t:o:h")) != -1) {
		if (c == 'f')
			a->fake = true;
		else if (c == 'h' || c == '?')
			return c == 'h' ? (help(), HERD_EXIT_OK) :
					  herd_tool_usage("mount", NULL);
		else if (c == 'o' && !take_options(a, optarg))
			return HERD_EXIT_USAGE;
	}
	if (argc - optind != 2)
		return herd_tool_usage("mount", "mount.herdfs STORE "
				       "MOUNTPOINT [-o OPTION,…]");
	source = argv[optind];
	a->mount.mountpoint = argv[optind + 1];
	if (strcmp(source, "herdfs") != 0 && strcmp(source, "none") != 0) {
		if (!a->store)
			a->store = source;
		a->mount.source = source;
	}
	return -1;
}

static void log_line(void *arg, bool detached, const char *line)
{
	(void)arg;
	if (detached)
		syslog(LOG_DAEMON | LOG_WARNING, "%s", line);
	else
		herd_tool_warn("%s", line);
}

int herd_cmd_mount(int argc, char **argv)
{
	struct arguments a = { .mount.log = log_line };
	struct herd_diag diag = { .offset = HERD_NO_OFFSET };
	char place[PATH_MAX];
	const char *self = strrchr(argv[0], '/');
	int err, status;

	self = self ? self + 1 : argv[0];
	herd_aws_arguments_init(&a.aws);
	status = strcmp(self, "mount.herdfs") == 0 ?
		 parse_helper(&a, argc, argv) : parse(&a, argc, argv);
	if (status >= 0)
		return status;
	if (!a.store) {
		if (herd_store_default_dir(place, sizeof(place))) {
			herd_tool_warn("no place for a store: give --store DIR "
				       "or set HERDFS_STORE");
			return HERD_EXIT_FAILED;
		}
		a.store = place;
	}
	if (a.fake)
		return HERD_EXIT_OK;
	a.mount.store = a.store;
	a.mount.now = (int64_t)herd_tool_now();
	a.mount.options = a.options;
	a.mount.fetcher = &a.aws.fetcher;
	openlog("herdfs", LOG_PID, LOG_DAEMON);
	err = herd_mount_run(&a.mount, &diag);
	return err ? herd_tool_fail(&diag, err) : HERD_EXIT_OK;
}
