/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the files of the HTML report share: report_html.c gathers over all
 * members, then report_html_herd.c shows the herd as a whole,
 * report_html_bands.c its bands, report_html_member.c one member,
 * report_html_memory.c the memories; report_html_text.c writes what is hostile.
 *
 * Threads: a page belongs to one.
 */
#ifndef HERD_REPORT_HTML_INTERNAL_H
#define HERD_REPORT_HTML_INTERNAL_H

#include "acquire/base/cleanup.h"
#include "index/knowledge.h"
#include "index/report_html.h"

#define HERD_PAGE_HOLDERS 4

/* What deviates of a member in a category. */
struct herd_page_cell {
	uint32_t n;
	uint8_t severity, score; /* the worst */
	uint32_t path;		 /* of the worst score */
};

struct herd_page_member {
	uint32_t id;
	const char *name;		/* borrowed from the page's names */
	struct herd_report_paths paths; /* each once */
	uint64_t problems;
	size_t deviant, suppressed, volatile_paths, drift;
	uint8_t score;		      /* the worst */
	uint64_t weight;	      /* sum of scores */
	struct herd_page_cell *cells; /* one a category; of the page */
};

/* A path at which several members have a finding. */
struct herd_page_path {
	uint32_t path, n;
	uint32_t holders[HERD_PAGE_HOLDERS]; /* the first of them */
	uint8_t score, severity;	     /* the worst */
};

struct herd_page_paths {
	struct herd_page_path *v;
	size_t n, cap;
	uint32_t *slots; /* index + 1 */
	size_t n_slots;	 /* a power of two */
};

struct herd_page {
	const struct herd_report_page *asked;
	struct herd_txn *txn;
	const struct herd_herd *herd;
	const struct herd_group *group;
	const struct herd_knowledge *k;
	struct herd_buf *out;
	struct herd_diag *diag;
	struct herd_report_names names;
	const struct herd_category *categories;
	size_t n_categories;
	struct herd_page_member *members; /* the worst first */
	size_t n;
	size_t n_odd;	/* of them, that deviate: the first ones */
	size_t n_shown; /* of these, that are shown one by one */
	struct herd_page_cell *cells;
	struct herd_page_paths shared, drift;
	size_t *by_rule; /* suppressed paths, by rule of the policy */
	struct herd_report_base *base;
	const struct herd_memory_herd *memory;	/* NULL: none is judged */
};

/* ---- report_html_text.c ---- */

/* Bytes of any sort as text between tags or in a quoted attribute. */
void herd_page_text(struct herd_buf *out, const void *bytes, size_t len);
void herd_page_string(struct herd_buf *out, const char *text);
void herd_page_number(struct herd_buf *out, uint64_t n); /* 12,345 */
/* "/etc/passwd" of a path id. */
int herd_page_path(struct herd_page *p, uint32_t path);
/* "1 path", "12 paths". */
void herd_page_count(struct herd_buf *out, uint64_t n, const char *one,
		     const char *many);
/* 0…4 for the colour of a severity; its word. */
unsigned herd_page_band(unsigned severity);
const char *herd_page_band_name(unsigned band);
/* "sha256-…" of an inline script or style, as a policy names it. */
void herd_page_hash(struct herd_buf *out, const char *text, size_t len);

/* ---- report_html_assets.c ---- */

const char *herd_page_style(size_t *ret_len);
const char *herd_page_script(size_t *ret_len);

/* ---- sections; 0 or -errno ---- */

int herd_page_heat(struct herd_page *p);
int herd_page_bands(struct herd_page *p);
int herd_page_shared(struct herd_page *p);
int herd_page_drift(struct herd_page *p);
int herd_page_members(struct herd_page *p);
int herd_page_memory(struct herd_page *p);
int herd_page_policy(struct herd_page *p);
int herd_page_problems(struct herd_page *p);
int herd_page_evidence(struct herd_page *p);

#endif
