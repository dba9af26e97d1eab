/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The subcommands. Each takes the arguments from its own name on (argv[0] is
 * "list", "mount" …, or "mount.herdfs"), parses its options with
 * getopt_long, prints its own messages and returns the exit status: 0, 1 when
 * the work failed, 2 when the command line was wrong.
 *
 * Threads: one command runs in a process, called from its main thread.
 */
#ifndef HERD_COMMANDS_H
#define HERD_COMMANDS_H

int herd_cmd_attach(int argc, char **argv);
int herd_cmd_acquire(int argc, char **argv);
int herd_cmd_fetch(int argc, char **argv);
int herd_cmd_verify(int argc, char **argv);
int herd_cmd_status(int argc, char **argv);
int herd_cmd_list(int argc, char **argv);
int herd_cmd_why(int argc, char **argv);
int herd_cmd_report(int argc, char **argv);
int herd_cmd_mount(int argc, char **argv);
int herd_cmd_policy(int argc, char **argv);
int herd_cmd_known(int argc, char **argv);
int herd_cmd_keep(int argc, char **argv);
int herd_cmd_detach(int argc, char **argv);

#endif
