/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What findings of a small herd mean, put together from a store: who the other
 * side is, whose text, whose sort, whose note; and in what order they come.
 */
#include "index/content.h"
#include "index/knowledge.h"
#include "index/report.h"
#include "tests/unit/herd_fixture.h"

#include "acquire/base/cleanup.h"

#define FILE_(name, text)                                             \
	{                                                             \
		.path = name, .mode = S_IFREG | 0644, .content = text \
	}
#define DIR_(name)                                   \
	{                                            \
		.path = name, .mode = S_IFDIR | 0755 \
	}

static const struct fx_file usual[] = {
	DIR_(""),
	DIR_("etc"),
	DIR_("var"),
	DIR_("var/log"),
	DIR_("usr"),
	DIR_("usr/bin"),
	FILE_("etc/passwd", "root:x:0:0::/root:/bin/sh\n"),
	FILE_("etc/motd", "new"),
	FILE_("var/log/app.log", "a"),
	{ .path = "usr/bin/su", .mode = S_IFREG | 0755, .content = "su" },
	FILE_("etc/gone.conf", "a = b\n"),
};

static const struct fx_file odd[] = {
	DIR_(""),
	DIR_("etc"),
	DIR_("var"),
	DIR_("var/log"),
	DIR_("usr"),
	DIR_("usr/bin"),
	DIR_("opt"),
	DIR_("opt/kit"),
	FILE_("etc/passwd", "root:x:0:0::/root:/bin/sh\n"
			    "toor:x:0:0::/:/bin/sh\n"),
	FILE_("etc/motd", "new"),
	FILE_("var/log/app.log", "bb"),
	{ .path = "usr/bin/su",
	  .mode = S_IFREG | S_ISUID | 0755,
	  .content = "su" },
	{ .path = "root/.bash_history",
	  .mode = S_IFLNK | 0777,
	  .content = "/dev/null" },
	FILE_("opt/kit/README", "1"),
	{ .path = "opt/kit/sh",
	  .mode = S_IFREG | S_ISUID | 0755,
	  .content = "2" },
};

struct world {
	struct fx fx;
	uint32_t ids[7]; /* the baseline, five, the odd one */
	struct herd_txn *t;
	struct herd_herd *herd;
	struct herd_knowledge *k;
};

static const struct fx_file *named(const struct fx_file *files, size_t n,
				   const char *path)
{
	for (size_t i = 0; i < n; i++)
		if (strcmp(files[i].path, path) == 0)
			return &files[i];
	fail();
	return NULL;
}

static void keep(struct herd_txn *t, const struct herd_group *g,
		 const struct fx_file *file)
{
	uint8_t digest[32];

	herd_sha256(file->content, strlen(file->content), digest);
	assert_int_equal(herd_kept_put(t, g->id, digest, file->content,
				       strlen(file->content)),
			 0);
}

static void look(struct herd_txn *t, uint32_t instance, const char *path,
		 enum herd_sort sort, const char *note)
{
	struct herd_look l = { .sort = (uint8_t)(sort + 1),
			       .note = note,
			       .n_note = note ? strlen(note) : 0 };

	assert_int_equal(herd_look_put(t, instance, fx_path(t, path), &l), 0);
}

static int put_looks(struct herd_txn *t, void *arg, struct herd_diag *diag)
{
	struct world *w = arg;
	struct herd_group g = fx_group(t, "web");

	(void)diag;
	keep(t, &g, named(usual, ARRAY_SIZE(usual), "etc/passwd"));
	keep(t, &g, named(odd, ARRAY_SIZE(odd), "etc/passwd"));
	keep(t, &g, named(usual, ARRAY_SIZE(usual), "etc/motd"));
	look(t, w->ids[0], "etc/passwd", HERD_SORT_TEXT, NULL);
	look(t, w->ids[6], "etc/passwd", HERD_SORT_TEXT, NULL);
	look(t, w->ids[0], "usr/bin/su", HERD_SORT_PROGRAM, "not this one's");
	look(t, w->ids[6], "var/log/app.log", HERD_SORT_TEXT,
	     "12 packages of another version: a\x1b b");
	look(t, w->ids[6], "opt/kit/sh", HERD_SORT_PROGRAM, NULL);
	return 0;
}

static int set_up(void **state)
{
	struct world *w = calloc(1, sizeof(*w));
	struct fx_file files[ARRAY_SIZE(usual)];
	const struct herd_knowledge_files none = { .rules = "/dev/null" };
	char name[16];

	fx_open(&w->fx);
	for (size_t i = 0; i < 6; i++) {
		memcpy(files, usual, sizeof(files));
		if (!i)
			files[7].content = "old";
		snprintf(name, sizeof(name), "i-%zu", i);
		w->ids[i] = fx_attach(&w->fx, "web", name,
				      i ? HERD_ROLE_MEMBER : HERD_ROLE_BASELINE,
				      files, ARRAY_SIZE(files));
	}
	w->ids[6] = fx_attach(&w->fx, "web", "i-odd", HERD_ROLE_MEMBER, odd,
			      ARRAY_SIZE(odd));
	assert_int_equal(herd_store_update(w->fx.store, put_looks, w, NULL), 0);
	w->t = fx_read(&w->fx);
	struct herd_group g = fx_group(w->t, "web");

	assert_int_equal(herd_herd_make(w->t, &g, &w->herd, NULL), 0);
	assert_int_equal(herd_knowledge_open(&none, 1, &w->k, NULL), 0);
	herd_herd_set_knowledge(w->herd, w->k);
	*state = w;
	return 0;
}

static int tear_down(void **state)
{
	struct world *w = *state;

	herd_herd_destroy(w->herd);
	herd_knowledge_close(w->k);
	herd_txn_abort(w->t);
	fx_close(&w->fx);
	free(w);
	return 0;
}

static struct herd_meaning explain(struct world *w, const char *path,
				   unsigned reasons)
{
	struct herd_finding f;
	struct herd_meaning m;
	uint32_t id;

	assert_int_equal(herd_path_resolve(w->t, path, strlen(path), &id), 0);
	assert_int_equal(
		herd_judge_path(w->t, w->herd, w->ids[6], id, &f, NULL), 0);
	f.verdict.reasons |= reasons;
	assert_int_equal(
		herd_explain(w->t, w->herd, w->ids[6], &f, w->k->rules, &m), 0);
	return m;
}

static void means(struct world *w, const char *path, const char *category,
		  const char *why)
{
	struct herd_meaning m = explain(w, path, 0);

	assert_string_equal(m.why, why);
	assert_string_equal(m.category, category);
}

static void test_sides(void **state)
{
	struct world *w = *state;

	/* texts that were kept, of either side */
	means(w, "etc/passwd", "accounts",
	      "1 line added: toor uid 0, shell /bin/sh");
	/* the sort of the reference's bytes, but not its note */
	means(w, "usr/bin/su", "privilege",
	      "set-uid root gained, content unchanged");
	/* a link's target; a text that nobody kept; nothing there at all */
	means(w, "root/.bash_history", "logs", "history leads to /dev/null");
	means(w, "etc/gone.conf", "config",
	      "gone; the herd has a file of 6 bytes");
	means(w, "opt/kit/sh", "privilege",
	      "new ELF program, 1 byte; set-uid root");
	/* drift: against the baseline, whose text was not kept */
	means(w, "etc/motd", "config", "content differs, same size: 3 bytes");
}

/* A note speaks instead; it may hold anything. */
static void test_notes(void **state)
{
	struct world *w = *state;
	struct herd_meaning m =
		explain(w, "var/log/app.log", HERD_REASON_REWRITTEN);

	assert_string_equal(m.category, "logs");
	assert_string_equal(m.why, "edited or emptied: 12 packages of another "
				   "version: a\\x1b b");
	m = explain(w, "etc/passwd", HERD_REASON_REWRITTEN);
	assert_int_equal(strncmp(m.why, "edited or emptied: 1 line added", 31),
			 0);
}

static void test_score(void **state)
{
	const struct herd_known_set bad = { .bad = true }, good = { 0 };
	struct herd_finding f = { .verdict.rank = 90 };
	struct herd_meaning m = { .severity = 80 };

	(void)state;
	assert_int_equal(herd_score(&f, &m), 72);
	f.known = &good;
	assert_int_equal(herd_score(&f, &m), 72);
	f.known = &bad;
	assert_int_equal(herd_score(&f, &m), 100);
	f.known = NULL;
	f.verdict.rank = 100;
	m.severity = 100;
	assert_int_equal(herd_score(&f, &m), 100);
	m.severity = 0;
	assert_int_equal(herd_score(&f, &m), 0);
}

/* The worst first; what is serious does not hide behind its folder. */
static void test_order(void **state)
{
	struct world *w = *state;
	struct herd_instance instance = { 0 };
	struct herd_finding *findings = NULL;
	struct herd_report r = { .txn = w->t,
				 .herd = w->herd,
				 .instance = &instance };
	struct herd_report_lines lines = { 0 };
	bool kit = false, readme = false;

	assert_int_equal(herd_instance_get(w->t, w->ids[6], &instance), 0);
	assert_int_equal(herd_judge_instance(w->t, w->herd, w->ids[6],
					     &findings, &r.n_findings, NULL),
			 0);
	r.findings = findings;
	assert_int_equal(herd_report_lines_make(&r, true, &lines, NULL), 0);
	for (size_t i = 0; i < lines.n; i++) {
		const struct herd_report_line *l = &lines.v[i];
		const char *name = herd_report_line_name(&lines, l);

		assert_true(l->explained);
		if (i)
			assert_true(l[-1].score >= l->score);
		if (l->name_len == 10 && !memcmp(name, "opt/kit/sh", 10)) {
			assert_false(l->folded);
			kit = true;
		}
		if (l->name_len == 14 && !memcmp(name, "opt/kit/README", 14)) {
			assert_true(l->folded);
			readme = true;
		}
	}
	assert_true(kit && readme);
	herd_report_lines_deinit(&lines);
	free(findings);
	herd_instance_deinit(&instance);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_sides),
		cmocka_unit_test(test_notes),
		cmocka_unit_test(test_score),
		cmocka_unit_test(test_order),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
