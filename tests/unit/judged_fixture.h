/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A herd of a baseline, five that are alike and one that is not, judged, with
 * what people know. Functions fail the test themselves.
 */
#ifndef HERD_JUDGED_FIXTURE_H
#define HERD_JUDGED_FIXTURE_H

#include "index/judge.h"
#include "index/knowledge.h"
#include "tests/unit/herd_fixture.h"

#define FX_USUAL 6 /* the baseline, i-0, and i-1 to i-5 */
#define FX_FILES_MAX 32

struct fx_judged {
	struct fx fx;
	uint32_t ids[FX_USUAL + 1]; /* the last one as the test likes */
	struct herd_txn *t;
	struct herd_herd *herd;
	struct herd_knowledge *k;
};

/* Attaches them, the baseline first. vary: in what number i is different. */
static inline void fx_usual(struct fx_judged *w, const char *group,
			    const struct fx_file *usual, size_t n,
			    void (*vary)(struct fx_file *files, size_t i))
{
	struct fx_file files[FX_FILES_MAX];
	char name[16];

	assert_true(n <= FX_FILES_MAX);
	for (size_t i = 0; i < FX_USUAL; i++) {
		memcpy(files, usual, n * sizeof(*files));
		vary(files, i);
		snprintf(name, sizeof(name), "i-%zu", i);
		w->ids[i] = fx_attach(&w->fx, group, name,
				      i ? HERD_ROLE_MEMBER : HERD_ROLE_BASELINE,
				      files, n);
	}
}

/* Makes the herd as it is now. files NULL: nothing is known. */
static inline void fx_judge(struct fx_judged *w, const char *group,
			    const struct herd_knowledge_files *files,
			    int64_t now)
{
	struct herd_group g;

	w->t = fx_read(&w->fx);
	g = fx_group(w->t, group);
	assert_int_equal(herd_herd_make(w->t, &g, &w->herd, NULL), 0);
	if (files)
		assert_int_equal(herd_knowledge_open(files, now, &w->k, NULL),
				 0);
	herd_herd_set_knowledge(w->herd, w->k);
}

static inline void fx_judged_close(struct fx_judged *w)
{
	herd_herd_destroy(w->herd);
	herd_knowledge_close(w->k);
	herd_txn_abort(w->t);
	fx_close(&w->fx);
}

static inline struct herd_finding
fx_finding(struct fx_judged *w, uint32_t instance, const char *path)
{
	struct herd_finding f = { 0 };
	uint32_t id;

	assert_int_equal(herd_path_resolve(w->t, path, strlen(path), &id), 0);
	if (herd_judge_path(w->t, w->herd, instance, id, &f, NULL))
		fail_msg("%s", path);
	return f;
}

/* As attach keeps the text of a file. */
static inline void fx_keep(struct herd_txn *t, const struct herd_group *g,
			   const char *text)
{
	uint8_t digest[32];

	herd_sha256(text, strlen(text), digest);
	assert_int_equal(herd_kept_put(t, g->id, digest, text, strlen(text)),
			 0);
}

#endif
