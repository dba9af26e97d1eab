/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How a finding is put into words, shared by index/meaning*.c. A *differ*
 * knows one kind of file. Most are a *style*: which lines of the file count,
 * how one is shown, which are dangerous; meaning_tell.c does the rest.
 *
 * Threads: pure functions and constant tables.
 */
#ifndef HERD_MEANING_INTERNAL_H
#define HERD_MEANING_INTERNAL_H

#include "index/meaning.h"
#include "index/words.h"

/* A piece of a text; nothing ends it but its length. */
struct herd_slice {
	const char *p;
	size_t len;
};

/* ---- slices (meaning_slice.c) ---- */

struct herd_slice herd_slice_trim(struct herd_slice s);
bool herd_slice_is(struct herd_slice s, const char *word);
bool herd_slice_is_nocase(struct herd_slice s, const char *word);
bool herd_slice_equal(struct herd_slice a, struct herd_slice b);
bool herd_slice_begins(struct herd_slice s, const char *word);
bool herd_slice_has(struct herd_slice s, const char *word);
bool herd_slice_has_any(struct herd_slice s, const char *const *words);
/* What stands before the next one of the bytes in `parts`; *s becomes what
   stands behind it. */
struct herd_slice herd_slice_until(struct herd_slice *s, const char *parts);
/* The next word: blanks before it are skipped. */
struct herd_slice herd_slice_word(struct herd_slice *s);
/* A shell command that a healthy configuration would rarely hold. */
bool herd_slice_shady(struct herd_slice s);

/* ---- lines (meaning_lines.c) ---- */

/* Which lines of a text do not count. */
enum herd_comments {
	HERD_COMMENTS_RAW,	 /* all count, blanks and all */
	HERD_COMMENTS_NONE,	 /* blank ones */
	HERD_COMMENTS_HASH,	 /* and those that begin with '#' */
	HERD_COMMENTS_SEMICOLON, /* and ';' */
	HERD_COMMENTS_SLASHES,	 /* '#' and "//" */
	HERD_COMMENTS_SUDOERS,	 /* '#', but not #include and #1000 */
	HERD_COMMENTS_SCRIPT,	 /* '#', but not "#!" in the first line */
};

struct herd_line {
	struct herd_slice s;
	uint32_t at; /* its place among those that count */
};

struct herd_lines {
	struct herd_line *v;
	size_t n;
};

void herd_lines_deinit(struct herd_lines *l);
/* Trimmed but for HERD_COMMENTS_RAW. Borrows text. 0, -ENOMEM. */
int herd_lines_split(struct herd_slice text, enum herd_comments comments,
		     struct herd_lines *ret);
/* By their bytes, then by place. */
void herd_lines_sort(struct herd_lines *l);
int herd_slice_order(struct herd_slice a, struct herd_slice b);
/*
 * Leaves in each what the other does not have, as many times as it does not,
 * in the order of the text. *ret_moved: nothing is left, but the order was
 * another one.
 */
void herd_lines_diff(struct herd_lines *own, struct herd_lines *herd,
		     bool *ret_moved);

/* ---- telling ---- */

struct herd_telling {
	const struct herd_meaning_side *own, *herd;
	const char *path;
	size_t path_len;
	unsigned reasons;
	struct herd_words w;
	bool loud;  /* the dangerous sort */
	bool quiet; /* nothing that acts: comments, order */
};

struct herd_style {
	const char *noun; /* "line", "key", "job" */
	enum herd_comments comments;
	/* what a line is about; lines with equal ones are versions of one.
	   NULL: lines are not paired. */
	struct herd_slice (*key)(struct herd_slice line);
	/* a line in words; old: the herd's version of it, or NULL. NULL: the
	   line itself. */
	void (*show)(struct herd_telling *t, struct herd_slice line,
		     const struct herd_slice *old);
	/* dangerous; what is shown first. NULL: none is. */
	bool (*loud)(struct herd_telling *t, struct herd_slice line,
		     const struct herd_slice *old);
	/* worth showing before others */
	bool (*telling)(struct herd_slice line);
	bool (*loud_removed)(struct herd_slice line);
};

struct herd_differ {
	const char *name;
	bool wants;			/* text is needed */
	const struct herd_style *style; /* NULL: only what needs no text */
};

/* NULL when there is none of that name. */
const struct herd_differ *herd_differ_find(const char *name, size_t len);
/* Of files whose whole text is not for reports. */
bool herd_differ_is_secret(const struct herd_differ *differ);

/* Content differs (or came new): what the style makes of it. 0, -ENOMEM. */
int herd_tell_lines(struct herd_telling *t, const struct herd_style *style);
/* Content differs, and all that is known is size and kind. */
void herd_tell_sizes(struct herd_telling *t);
/* The finding as a whole, by the differ where content is the matter. */
int herd_tell(struct herd_telling *t, const struct herd_differ *differ);

/* What a regular file is, as far as that is known. */
bool herd_side_sort(const struct herd_meaning_side *side, enum herd_sort *ret);
/* enum herd_fact bits. */
unsigned herd_facts_of(const struct herd_meaning_side *own,
		       const struct herd_meaning_side *herd, const char *path,
		       size_t path_len);

/* Styles, by the file that they are in. */
extern const struct herd_style herd_style_passwd, herd_style_shadow,
	herd_style_group, herd_style_sudoers, herd_style_keys;
extern const struct herd_style herd_style_cron, herd_style_unit,
	herd_style_script, herd_style_shell, herd_style_preload,
	herd_style_udev, herd_style_modprobe, herd_style_modules,
	herd_style_pth, herd_style_logrotate, herd_style_php;
extern const struct herd_style herd_style_hosts, herd_style_sshd,
	herd_style_pam, herd_style_resolv, herd_style_nsswitch, herd_style_apt,
	herd_style_sources, herd_style_web, herd_style_env, herd_style_sysctl,
	herd_style_config, herd_style_lines;

#endif
