/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sets of SHA-256 digests of contents that somebody knows: good (what
 * distributors shipped) and bad (malware). Each is a sorted file in the
 * store's folder known/; docs/FORMAT.md has the bytes.
 *
 * The files are untrusted: looked through from end to end when they are
 * opened. Once they are open no other file is opened: a process may lock
 * itself in then. Against a file that somebody changes while it is open
 * nothing helps; nothing of ours does.
 *
 * Threads: immutable once opened. An import belongs to one thread.
 */
#ifndef HERD_KNOWN_H
#define HERD_KNOWN_H

#include "acquire/base/diag.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define HERD_KNOWN_NAME_MAX 64
#define HERD_KNOWN_SETS_MAX 256
#define HERD_KNOWN_DIGEST 32
#define HERD_KNOWN_DIGESTS_MAX (1ull << 32)

struct herd_known_set {
	char name[HERD_KNOWN_NAME_MAX + 1];
	bool bad;
	uint64_t imported; /* seconds since 1970 */
	uint64_t n;
	const uint8_t *digests; /* n of 32 bytes, ascending; mapped */
	void *map;
	size_t map_len;
};

struct herd_known {
	struct herd_known_set *v; /* bad ones first, then by name */
	size_t n, cap;
};

/* All sets of a store; none is fine. -EBADMSG: a damaged one, named in diag. */
int herd_known_open(const char *store_dir, struct herd_known *ret,
		    struct herd_diag *diag);
void herd_known_close(struct herd_known *k);
/* The set that has it, a bad one if there is one; NULL: none. */
const struct herd_known_set *herd_known_find(const struct herd_known *k,
					     const uint8_t digest[32]);

/* 1…64 of A-Z a-z 0-9 . _ -, the first neither '.' nor '-'. */
bool herd_known_name_valid(const char *name);
/* -ENOENT: there is none of that name. */
int herd_known_remove(const char *store_dir, const char *name,
		      struct herd_diag *diag);

/* ---- lists that are imported ---- */

enum herd_known_form {
	HERD_KNOWN_UNTOLD, /* no line has told yet */
	HERD_KNOWN_PLAIN,  /* a digest, and perhaps text behind it */
	HERD_KNOWN_CSV,	   /* with a head that names a SHA-256 column */
};

/* One list, line by line. Start from { .source = name }. */
struct herd_known_lines {
	const char *source; /* for diag */
	enum herd_known_form form;
	unsigned column;
	uint64_t line; /* the one looked at last, from 1 */
};
#define HERD_KNOWN_LINE_MAX 65536

/* 1 and a digest; 0: the line has none; -EINVAL: it should have one. */
int herd_known_line(struct herd_known_lines *l, const char *line, size_t len,
		    uint8_t digest[32], struct herd_diag *diag);

struct herd_known_import;
struct herd_known_counts {
	uint64_t lines;	  /* read */
	uint64_t digests; /* in the set, each once */
	uint64_t twice;	  /* were there already */
	uint64_t empty;	  /* bad sets: the digest of nothing, left out */
};

/*
 * A new set, in the place of one of the same name and kind. -EEXIST: that name
 * is one of the other kind. chunk: digests sorted at once (0: a million, 32
 * MB); what is more goes to a file without a name beside the set. The store's
 * directory is made when it is missing.
 */
int herd_known_import_begin(const char *store_dir, const char *name, bool bad,
			    size_t chunk, struct herd_known_import **ret,
			    struct herd_diag *diag);
/* All lists of a set have been read, or none of them counts. */
int herd_known_import_file(struct herd_known_import *i, const char *path,
			   struct herd_diag *diag);
int herd_known_import_end(struct herd_known_import *i, uint64_t now,
			  struct herd_known_counts *ret,
			  struct herd_diag *diag);
void herd_known_import_destroy(struct herd_known_import *i);

#endif
