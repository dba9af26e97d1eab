/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What findings of a small herd mean, put together from a store: who the other
 * side is, whose text, whose sort, whose note; and in what order they come.
 */
#include "index/content.h"
#include "index/knowledge.h"
#include "index/report.h"
#include "tests/unit/judged_fixture.h"

#include "acquire/base/cleanup.h"

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

static const struct fx_file *named(const struct fx_file *files, size_t n,
				   const char *path)
{
	for (size_t i = 0; i < n; i++)
		if (strcmp(files[i].path, path) == 0)
			return &files[i];
	fail();
	return NULL;
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
	struct fx_judged *w = arg;
	struct herd_group g = fx_group(t, "web");

	(void)diag;
	fx_keep(t, &g, named(usual, ARRAY_SIZE(usual), "etc/passwd")->content);
	fx_keep(t, &g, named(odd, ARRAY_SIZE(odd), "etc/passwd")->content);
	fx_keep(t, &g, named(usual, ARRAY_SIZE(usual), "etc/motd")->content);
	look(t, w->ids[0], "etc/passwd", HERD_SORT_TEXT, NULL);
	look(t, w->ids[6], "etc/passwd", HERD_SORT_TEXT, NULL);
	look(t, w->ids[0], "usr/bin/su", HERD_SORT_PROGRAM, "not this one's");
	look(t, w->ids[6], "var/log/app.log", HERD_SORT_TEXT,
	     "12 packages of another version: a\x1b b");
	look(t, w->ids[6], "opt/kit/sh", HERD_SORT_PROGRAM, NULL);
	return 0;
}

static void vary(struct fx_file *files, size_t i)
{
	if (!i)
		files[7].content = "old";
}

static int set_up(void **state)
{
	struct fx_judged *w = calloc(1, sizeof(*w));
	const struct herd_knowledge_files none = { .rules = "/dev/null" };

	fx_open(&w->fx);
	fx_usual(w, "web", usual, ARRAY_SIZE(usual), vary);
	w->ids[6] = fx_attach(&w->fx, "web", "i-odd", HERD_ROLE_MEMBER, odd,
			      ARRAY_SIZE(odd));
	assert_int_equal(herd_store_update(w->fx.store, put_looks, w, NULL), 0);
	fx_judge(w, "web", &none, 1);
	*state = w;
	return 0;
}

static int tear_down(void **state)
{
	fx_judged_close(*state);
	free(*state);
	return 0;
}

static struct herd_meaning explain(struct fx_judged *w, const char *path,
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

static void means(struct fx_judged *w, const char *path, const char *category,
		  const char *why)
{
	struct herd_meaning m = explain(w, path, 0);

	assert_string_equal(m.why, why);
	assert_string_equal(m.category, category);
}

static void test_sides(void **state)
{
	struct fx_judged *w = *state;

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
	struct fx_judged *w = *state;
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
	struct fx_judged *w = *state;
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
