/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the subcommands share: one way to say that something went wrong, to
 * open the store, and to write numbers for people.
 *
 * Threads: for the main thread of a tool.
 */
#ifndef HERD_TOOLS_COMMON_H
#define HERD_TOOLS_COMMON_H

#include "index/json.h"
#include "index/knowledge.h"
#include "index/store.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum herd_exit { HERD_EXIT_OK, HERD_EXIT_FAILED, HERD_EXIT_USAGE };

/* "herdfs: …" and a newline to stderr; control characters become '?'. */
void herd_tool_warn(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* What diag says (or err, when it says nothing), as herd_tool_warn.
   Returns HERD_EXIT_FAILED. */
int herd_tool_fail(const struct herd_diag *diag, int err);

/*
 * "herdfs list: …" and where help is, to stderr. fmt NULL when getopt_long
 * has printed the cause itself. Returns HERD_EXIT_USAGE.
 */
int herd_tool_usage(const char *command, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

/* An option and where its argument goes; or, with none, that it was given. */
struct herd_tool_option {
	const char *name;		/* without the "--"; NULL ends the list */
	const char **text;
	bool *flag;
	uint64_t *number;		/* 0 to most */
	uint64_t most;
};

#define HERD_TOOL_OPTIONS_MAX 16

/*
 * Reads a command line of such options and --help, which prints `usage`.
 * Returns 0, with optind at what is no option; -1 when help was printed; or
 * HERD_EXIT_USAGE, the cause being printed.
 */
int herd_tool_options(int argc, char **argv, const char *command,
		      const char *usage, const struct herd_tool_option *options);

/*
 * Opens the store in dir, or in the default place when dir is NULL.
 * flags: enum herd_store_flags. Prints the cause when it fails.
 */
int herd_tool_open_store(const char *dir, unsigned flags,
			 struct herd_store **ret);

/*
 * The store's directory into buf when dir is NULL; else dir. NULL, with the
 * cause printed, when there is nowhere to go.
 */
const char *herd_tool_store_dir(const char *dir, char *buf, size_t size);
/*
 * What people know (index/knowledge.h); says which rules of the policy have
 * expired. Prints the cause when it fails.
 */
int herd_tool_open_knowledge(const struct herd_knowledge_files *files,
			     struct herd_knowledge **ret);

/*
 * The group's instances are looked up by name: fills *ret, or prints that
 * there is no such group and returns -ENOENT.
 */
int herd_tool_find_group(struct herd_txn *t, const char *name,
			 struct herd_group *ret);

/*
 * The group of that name, or the only one there is: 0, or the exit status with
 * the cause printed.
 */
int herd_tool_one_group(const char *command, struct herd_txn *t,
			const char *name, struct herd_group *ret);

/* All groups of the store, to go through while others are read. */
struct herd_tool_groups {
	struct herd_group *v;
	size_t n;
};

int herd_tool_groups_get(struct herd_txn *t, struct herd_tool_groups *ret);
void herd_tool_groups_deinit(struct herd_tool_groups *g);

/* A whole decimal number from min to max; false for anything else. */
bool herd_tool_number(const char *text, uint64_t min, uint64_t max,
		      uint64_t *ret);

/* "60,123". Returns buf; 32 bytes are enough. */
char *herd_tool_count(uint64_t n, char *buf, size_t size);
/* "2.9 GB" (powers of ten), "312 B". Returns buf; 16 bytes are enough. */
char *herd_tool_bytes(uint64_t n, char *buf, size_t size);

/* Finishes the document, which out holds, and writes it to stdout. */
int herd_tool_print_json(struct herd_json *j, struct herd_buf *out);

/* Seconds since 1970; SOURCE_DATE_EPOCH when that is set and a number. */
uint64_t herd_tool_now(void);

/*
 * Flushes stdout. status, or HERD_EXIT_FAILED with a message when what was
 * printed did not arrive (a full disk; a closed pipe is not worth a message).
 */
int herd_tool_finish(int status);

#endif
