/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is said about an instance, as files: the same bytes in the mount and
 * from the command line. Everything is appended to a buffer that the caller
 * owns; nothing depends on the clock or the locale, so that two runs over one
 * snapshot give equal bytes.
 *
 * Threads: none of its own; each call uses the caller's read transaction.
 */
#ifndef HERD_REPORT_H
#define HERD_REPORT_H

#include "index/explain.h"
#include "index/memory_herd.h"

/* All borrowed. findings: as herd_judge_instance gave them, by path id. */
struct herd_report {
	struct herd_txn *txn;
	const struct herd_herd *herd;
	const struct herd_instance *instance;
	const struct herd_finding *findings;
	size_t n_findings;
	const struct herd_memory_herd *memory;	/* NULL: memory is not judged */
};

/* report.txt: for people. Names that could upset a terminal are escaped. */
int herd_report_text(const struct herd_report *r, struct herd_buf *out,
		     struct herd_diag *diag);
/* report.json: the same for programs. */
int herd_report_json(const struct herd_report *r, struct herd_buf *out,
		     struct herd_diag *diag);
/*
 * MANIFEST.sha256, for `sha256sum -c` in the instance's directory: every
 * regular file below deviant/disk whose SHA-256 is known. Where no plain
 * digest of a file is known, report.txt says so.
 */
int herd_report_manifest(const struct herd_report *r, struct herd_buf *out,
			 struct herd_diag *diag);
/* One more line of it. dir: ends in '/', and has nothing to be escaped. */
void herd_report_manifest_line(struct herd_buf *out, const uint8_t digest[32],
			       const char *dir, const char *name, size_t len);
/* bodyfile, as mactime reads it: what deviates and what is volatile. */
int herd_report_bodyfile(const struct herd_report *r, struct herd_buf *out,
			 struct herd_diag *diag);

/* Of a group. Nobody is judged for these: they are cheap. */
int herd_report_herd_json(struct herd_txn *t, const struct herd_group *g,
			  struct herd_buf *out, struct herd_diag *diag);
int herd_report_readme(struct herd_txn *t, const struct herd_group *g,
		       struct herd_buf *out, struct herd_diag *diag);

/* The bands of a herd (index/cluster.h): clusters/README.txt. */
int herd_report_clusters(struct herd_txn *t, const struct herd_herd *h,
			 struct herd_buf *out, struct herd_diag *diag);

/*
 * The same as objects of an array that is open. own: an instance whose report
 * it is; then of bands of three or more but its own no members are listed. 0:
 * all of them.
 */
struct herd_json;
struct herd_report_names;
void herd_report_json_clusters(struct herd_json *j, const struct herd_herd *h,
			       uint32_t own,
			       const struct herd_report_names *names);
/* What is to be said of a band, beyond numbers; NULL: nothing. */
struct herd_cluster;
const char *herd_report_cluster_note(const struct herd_cluster *c);

/* ---- parts, for the tools ---- */

/*
 * All paths of an instance, each counted once: total is the sum of the rest.
 * What could not be read is not counted in its class. The work grows with the
 * number of paths.
 */
struct herd_report_paths {
	uint64_t of[HERD_CLASS_MAX], unreadable, total;
	uint64_t same_bad;	/* of the same: their content is known to be bad */
};
/* May be NULL. Told of each of same_bad, by path id. */
typedef int herd_report_bad_fn(void *arg, uint32_t path,
			       const struct herd_known_set *set);
int herd_report_count(const struct herd_report *r, herd_report_bad_fn *bad,
		      void *bad_arg, struct herd_report_paths *ret);

/*
 * The same sums for many members: the reference is gone through once, and of
 * each member only what it differs in and what was found. Borrows nothing but
 * the herd's knowledge.
 */
struct herd_report_base;
int herd_report_base_make(struct herd_txn *t, const struct herd_herd *h,
			  struct herd_report_base **ret);
void herd_report_base_destroy(struct herd_report_base *b);
int herd_report_count_by(const struct herd_report *r,
			 const struct herd_report_base *b,
			 struct herd_report_paths *ret);

/* A finding with its name, ready to be put in order and shown. */
struct herd_report_line {
	const struct herd_finding *finding;
	size_t name, name_len;	/* in herd_report_lines.names */
	uint32_t parent;	/* path id of the directory */
	size_t below;		/* findings that this line stands for too */
	bool folded;		/* another line stands for this one */
	bool explained;		/* there were rules to explain it by */
	uint8_t score;		/* 0…100: herd_score; the rank without rules */
	struct herd_meaning meaning;	/* if explained */
};
struct herd_report_lines {
	struct herd_report_line *v;
	size_t n;
	struct herd_buf names;	/* full paths without the leading '/' */
};
void herd_report_lines_deinit(struct herd_report_lines *l);
/*
 * By score (highest first), rank, path. fold: what came or went as a whole
 * directory becomes one line, unless something below ranks higher or scores
 * higher and HERD_REPORT_SERIOUS at least.
 */
#define HERD_REPORT_SERIOUS 50
int herd_report_lines_make(const struct herd_report *r, bool fold,
			   struct herd_report_lines *ret,
			   struct herd_diag *diag);
static inline const char *herd_report_line_name(const struct herd_report_lines *l,
						const struct herd_report_line *i)
{
	return (const char *)l->names.data + i->name;
}

/* Names of the group's instances, by id. */
struct herd_report_names {
	struct herd_report_name {
		uint32_t id;
		char *name;
	} *v;
	size_t n, cap;
};
void herd_report_names_deinit(struct herd_report_names *n);
int herd_report_names_make(struct herd_txn *t, uint32_t group,
			   struct herd_report_names *ret);
/* "?" for one that is not there. */
const char *herd_report_name_of(const struct herd_report_names *n, uint32_t id);

/* UTF-8 as it is; control and direction characters, '\' and bytes that are
   not UTF-8 as \xHH. */
void herd_report_escape(struct herd_buf *out, const void *bytes, size_t len);
/* "-rwsr-xr-x", as ls(1) writes it. Returns buf. */
char *herd_report_mode(uint32_t mode, char buf[11]);
/* "regular file", "directory", … */
const char *herd_report_type(uint32_t mode);
/* "2026-01-31T12:00:00.000000001Z" (no fraction where it is 0), "-" for an
   unknown one. Returns buf. */
#define HERD_REPORT_TIME_MAX 64
char *herd_report_time(const struct herd_time *time,
		       char buf[HERD_REPORT_TIME_MAX]);

/* "known: bad (NAME)" into buf, "" where nothing is known. Returns buf. */
#define HERD_REPORT_KNOWN_MAX 96
char *herd_report_known(const struct herd_finding *f,
			char buf[HERD_REPORT_KNOWN_MAX]);

/* As members of an object that is open: what of a finding, of an entry. */
void herd_report_json_verdict(struct herd_json *j,
			      const struct herd_finding *f,
			      const struct herd_report_names *names);
/* Category, technique, severity and so on; nothing where m is NULL. */
void herd_report_json_meaning(struct herd_json *j, const struct herd_finding *f,
			      const struct herd_meaning *m);
void herd_report_json_entry(struct herd_json *j, const struct herd_entry *e);
void herd_report_json_reasons(struct herd_json *j, const char *key,
			      unsigned reasons);
/* The images as an array; state[i] (may be NULL) is put beside image i. */
void herd_report_json_images(struct herd_json *j, const char *key,
			     const struct herd_image *images, size_t n,
			     const char *const *states);
/* What people know (index/knowledge.h) as "policy", "known", "rules". */
void herd_report_json_knowledge(struct herd_json *j,
				const struct herd_herd *h);
const char *herd_report_role(enum herd_role role);

#endif
