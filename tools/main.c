/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The program: finds the subcommand and hands over. Called as mount.herdfs
 * (by mount -t herdfs, or from fstab) it is the mount command.
 *
 * Threads: the main thread.
 */
#include "tools/commands.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static const struct command {
	const char *name;
	int (*run)(int argc, char **argv);
	const char *what;
} commands[] = {
	{ "attach", herd_cmd_attach,
	  "put disk images of a group's instances into the index" },
	{ "acquire", herd_cmd_acquire,
	  "take snapshots of a group in AWS and attach them" },
	{ "fetch", herd_cmd_fetch,
	  "fill the cache with all blocks of snapshots" },
	{ "verify", herd_cmd_verify,
	  "read what was taken over by its metadata alone" },
	{ "status", herd_cmd_status,
	  "what is in the index, and whether its images are still there" },
	{ "list", herd_cmd_list, "what deviates, with the reason" },
	{ "why", herd_cmd_why, "all that is known of one path" },
	{ "report", herd_cmd_report, "a page that shows the herd" },
	{ "mount", herd_cmd_mount, "show it all as a file system" },
	{ "policy", herd_cmd_policy, "check the rules for what may deviate" },
	{ "known", herd_cmd_known, "sets of digests of known files" },
	{ "keep", herd_cmd_keep, "keep images of memory without what they share" },
	{ "detach", herd_cmd_detach, "take instances out of the index" },
};

static void help(FILE *to)
{
	fputs("Usage: herdfs COMMAND [OPTION]… [ARGUMENT]…\n"
	      "Shows in what the instances of a group deviate from each "
	      "other.\n\n", to);
	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++)
		fprintf(to, "  %-8s %s\n", commands[i].name, commands[i].what);
	fputs("\n  --help     this text; herdfs COMMAND --help for a command\n"
	      "  --version  the version\n", to);
}

static const struct command *find(const char *name)
{
	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++)
		if (strcmp(commands[i].name, name) == 0)
			return &commands[i];
	return NULL;
}

static int written(int status)
{
	return fflush(stdout) == 0 && !ferror(stdout) ? status : 1;
}

int main(int argc, char **argv)
{
	const char *self = argc > 0 ? strrchr(argv[0], '/') : NULL;
	const struct command *command;

	self = self ? self + 1 : argc > 0 ? argv[0] : "herdfs";
	if (strcmp(self, "mount.herdfs") == 0)
		return herd_cmd_mount(argc, argv);
	if (argc < 2) {
		help(stderr);
		return 2;
	}
	if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0 ||
	    strcmp(argv[1], "help") == 0) {
		help(stdout);
		return written(0);
	}
	if (strcmp(argv[1], "--version") == 0) {
		puts("herdfs " HERD_VERSION);
		return written(0);
	}
	command = find(argv[1]);
	if (command)
		return command->run(argc - 1, argv + 1);
	fprintf(stderr, "herdfs: there is no command \"%s\"\n"
		"Try 'herdfs --help'.\n", argv[1]);
	return 2;
}
