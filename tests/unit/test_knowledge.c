/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a policy and known digests do to the findings of a herd, and that each
 * path of each instance is counted once: reckoned here path by path, the slow
 * way, and compared with the report's.
 */
#include "index/knowledge.h"
#include "index/report.h"
#include "tests/unit/judged_fixture.h"

#include <jansson.h>

#define BROKEN_(name) { .path = name, .mode = S_IFREG | 0644, .content = "?", \
			.kind = HERD_DIGEST_UNREADABLE, .mtime = 1600000000, \
			.problem = "lies outside" }

static const struct fx_file healthy[] = {
	DIR_(""), DIR_("etc"), FILE_("etc/host", "a"),
	FILE_("etc/motd", "hello"), FILE_("etc/issue", "new"),
	FILE_("etc/shadow", "root"), FILE_("etc/gone", "x"),
	FILE_("etc/lost", "y"), DIR_("srv"), FILE_("srv/data", "1"),
	BROKEN_("srv/everywhere"), FILE_("srv/broken", "fine elsewhere"),
	FILE_("srv/rooted", "rooted"),
	{ .path = "srv/run", .mode = S_IFREG | 0755, .content = "run",
	  .mtime = 1600000000 },
};

static const struct fx_file odd[] = {
	DIR_(""), DIR_("etc"), FILE_("etc/host", "worm"),
	FILE_("etc/motd", "hi"), FILE_("etc/issue", "new"),
	FILE_("etc/shadow", "root and evil"), DIR_("srv"),
	FILE_("srv/data", "2"), BROKEN_("srv/everywhere"),
	BROKEN_("srv/broken"), FILE_("srv/rooted", "rooted"),
	{ .path = "srv/run", .mode = S_IFREG | 0755, .content = "good",
	  .mtime = 1600000000 },
	DIR_("srv/new"), FILE_("srv/new/a", "a"), FILE_("srv/new/b", "b"),
	FILE_("srv/new/worm", "worm"),
	{ .path = "srv/new/suid", .mode = S_IFREG | S_ISUID | 0755,
	  .content = "good", .mtime = 1600000000 },
	FILE_("srv/new/good", "good"),
};

static const char rules[] =
	"suppress /srv/**\n  reason = work\n  owner = ops\n"
	"  expires = 2023-11-14\n"		/* the day of NOW */
	"suppress /etc/**\n  reason = all of it\n  owner = ops\n"
	"  instance = i-odd\n  expires = never\n"
	"suppress /etc/motd\n  reason = old\n  owner = ops\n"
	"  expires = 2023-11-13\n";
#define NOW 1700000000

static void write_file(const char *path, const char *text)
{
	FILE *f = fopen(path, "w");

	if (!f || fputs(text, f) < 0 || fclose(f))
		fail_msg("cannot write %s", path);
}

static void import(struct fx_judged *w, const char *name, bool bad,
		   const char *content)
{
	struct herd_known_import *i = NULL;
	struct herd_known_counts counts;
	char path[300], hex[66];
	uint8_t digest[32];

	herd_sha256(content, strlen(content), digest);
	herd_hex(digest, 32, hex);
	snprintf(path, sizeof(path), "%s/.list", w->fx.dir);
	write_file(path, strcat(hex, "\n"));
	assert_int_equal(herd_known_import_begin(w->fx.dir, name, bad, 0, &i,
						 NULL), 0);
	assert_int_equal(herd_known_import_file(i, path, NULL), 0);
	assert_int_equal(herd_known_import_end(i, NOW, &counts, NULL), 0);
	herd_known_import_destroy(i);
}

/* With no rules but those that ship, whoever runs this. */
static int open_with(const char *dir, const char *policy,
		     struct herd_knowledge **ret, struct herd_diag *diag)
{
	const struct herd_knowledge_files files = {
		.store_dir = dir, .policy = policy, .rules = "/dev/null" };

	return herd_knowledge_open(&files, NOW, ret, diag);
}

static void vary(struct fx_file *files, size_t i)
{
	static const char *const hosts[] = { "a", "b", "c", "d", "e", "f" };

	files[2].content = hosts[i];
	if (!i) /* the baseline: drift */
		files[4].content = "old";
}

static int set_up(void **state)
{
	struct fx_judged *w = calloc(1, sizeof(*w));
	char text[300];

	fx_open(&w->fx);
	fx_usual(w, "web", healthy, ARRAY_SIZE(healthy), vary);
	w->ids[6] = fx_attach(&w->fx, "web", "i-odd", HERD_ROLE_MEMBER, odd,
			      ARRAY_SIZE(odd));
	snprintf(text, sizeof(text), "%s/policy", w->fx.dir);
	write_file(text, rules);
	import(w, "worms", true, "worm");
	import(w, "rootkit", true, "rooted");
	import(w, "os", false, "good");
	assert_int_equal(open_with(w->fx.dir, NULL, &w->k, NULL), 0);
	fx_judge(w, "web", NULL, NOW);
	*state = w;
	return 0;
}

static int tear_down(void **state)
{
	fx_judged_close(*state);
	free(*state);
	return 0;
}

static struct herd_finding finding(struct fx_judged *w, const char *path)
{
	return fx_finding(w, w->ids[6], path);
}

static void is(struct fx_judged *w, const char *path, enum herd_class class,
	       const char *known)
{
	struct herd_finding f = finding(w, path);
	char text[HERD_REPORT_KNOWN_MAX];

	if (f.verdict.class != class ||
	    strcmp(herd_report_known(&f, text), known) != 0 ||
	    (class == HERD_CLASS_SUPPRESSED) != (f.suppressed_by != NULL))
		fail_msg("%s: %s, \"%s\"", path,
			 herd_class_name(f.verdict.class), text);
}

static void test_classes(void **state)
{
	struct fx_judged *w = *state;

	is(w, "etc/motd", HERD_CLASS_SUPPRESSED, "");
	is(w, "etc/gone", HERD_CLASS_SUPPRESSED, "");	/* an absent one */
	is(w, "srv/data", HERD_CLASS_SUPPRESSED, "");
	is(w, "srv/new", HERD_CLASS_SUPPRESSED, "");
	is(w, "srv/new/a", HERD_CLASS_SUPPRESSED, "");
	is(w, "srv/broken", HERD_CLASS_SUPPRESSED, "");
	/* never by a rule that does not say so */
	is(w, "etc/shadow", HERD_CLASS_DEVIANT, "");
	is(w, "srv/run", HERD_CLASS_DEVIANT, "known: good (os)");
	is(w, "srv/new/suid", HERD_CLASS_DEVIANT, "known: good (os)");
	/* never what is bad; and not among what is volatile either */
	is(w, "srv/new/worm", HERD_CLASS_DEVIANT, "known: bad (worms)");
	is(w, "etc/host", HERD_CLASS_DEVIANT, "known: bad (worms)");
	is(w, "etc/issue", HERD_CLASS_DRIFT, "");
	is(w, "etc", HERD_CLASS_SAME, "");
	assert_ptr_equal(finding(w, "etc/motd").suppressed_by,
			 &w->k->policy.v[1]);
	assert_int_equal(herd_knowledge_expired(w->k), 1);
}

static void test_ranks(void **state)
{
	struct fx_judged *w = *state;
	uint8_t rank[3], plain[3];
	static const char *const paths[] = { "srv/new/good", "srv/run",
					     "srv/new/suid" };

	assert_int_equal(finding(w, "srv/new/worm").verdict.rank, 100);
	assert_int_equal(finding(w, "etc/host").verdict.rank, 100);
	for (size_t i = 0; i < 3; i++)
		rank[i] = finding(w, paths[i]).verdict.rank;
	herd_herd_set_knowledge(w->herd, NULL);
	for (size_t i = 0; i < 3; i++)
		plain[i] = finding(w, paths[i]).verdict.rank;
	assert_int_equal(finding(w, "etc/host").verdict.class,
			 HERD_CLASS_VOLATILE);
	herd_herd_set_knowledge(w->herd, w->k);
	assert_int_equal(rank[0], (plain[0] + 1) / 2);
	assert_int_equal(rank[1], (plain[1] + 1) / 2);
	/* a good content excuses no set-id bit */
	assert_int_equal(rank[2], plain[2]);
}

/* ---- counts ---- */

/* Path by path, of everything the dictionary has. */
static void count_slowly(struct fx_judged *w, uint32_t id,
			 struct herd_report_paths *ret)
{
	const uint32_t reference = herd_herd_group(w->herd)->reference;
	const char *name;
	uint32_t parent;
	size_t len;

	*ret = (struct herd_report_paths){ 0 };
	for (uint32_t path = 1; path == 1 ||
	     herd_path_get(w->t, path, &parent, &name, &len) == 0; path++) {
		struct herd_finding f;
		struct herd_entry e;
		int r = herd_judge_path(w->t, w->herd, id, path, &f, NULL);
		int has = herd_entry_get(w->t, id, reference, path, &e);

		if (r == -ENOENT ||
		    (has == -ENOENT && f.verdict.class == HERD_CLASS_SAME))
			continue;
		assert_int_equal(r, 0);
		ret->total++;
		if (has == 0 && e.digest_kind == HERD_DIGEST_UNREADABLE)
			ret->unreadable++;
		else
			ret->of[f.verdict.class]++;
		if (f.verdict.class == HERD_CLASS_SAME && f.known)
			ret->same_bad += f.known->bad;
	}
}

static void count_one(struct fx_judged *w, uint32_t id,
		      struct herd_report_paths *ret)
{
	struct herd_instance instance = { 0 };
	struct herd_finding *findings = NULL;
	struct herd_report r = { .txn = w->t, .herd = w->herd,
				 .instance = &instance };

	assert_int_equal(herd_instance_get(w->t, id, &instance), 0);
	assert_int_equal(herd_judge_instance(w->t, w->herd, id, &findings,
					     &r.n_findings, NULL), 0);
	r.findings = findings;
	assert_int_equal(herd_report_count(&r, NULL, NULL, ret), 0);

	/* the short way gives the very same */
	struct herd_report_base *base = NULL;
	struct herd_report_paths by;

	memset(&by, 0, sizeof(by));
	assert_int_equal(herd_report_base_make(w->t, w->herd, &base), 0);
	assert_int_equal(herd_report_count_by(&r, base, &by), 0);
	assert_memory_equal(&by, ret, sizeof(by));
	herd_report_base_destroy(base);
	free(findings);
	herd_instance_deinit(&instance);
}

static void test_counts(void **state)
{
	struct fx_judged *w = *state;
	struct herd_report_paths slow, fast;

	for (size_t i = 0; i < ARRAY_SIZE(w->ids); i++) {
		uint64_t sum;

		count_one(w, w->ids[i], &fast);
		count_slowly(w, w->ids[i], &slow);
		assert_memory_equal(&fast, &slow, sizeof(fast));
		sum = fast.unreadable;
		for (int c = 0; c < HERD_CLASS_MAX; c++)
			sum += fast.of[c];
		assert_int_equal(sum, fast.total);
	}
	/* the last: 18 paths it has and two that it lacks */
	assert_int_equal(fast.total, 20);
	assert_int_equal(fast.same_bad, 1);	/* everybody's */
	assert_int_equal(fast.unreadable, 2);	/* one of them suppressed */
	assert_int_equal(fast.of[HERD_CLASS_SAME], 4);
	assert_int_equal(fast.of[HERD_CLASS_DRIFT], 1);
	assert_int_equal(fast.of[HERD_CLASS_DEVIANT], 5);
	assert_int_equal(fast.of[HERD_CLASS_SUPPRESSED], 8);
	assert_int_equal(fast.of[HERD_CLASS_VOLATILE], 0);
	/* without knowledge: same paths, other classes */
	herd_herd_set_knowledge(w->herd, NULL);
	count_one(w, w->ids[6], &slow);
	herd_herd_set_knowledge(w->herd, w->k);
	assert_int_equal(slow.total, fast.total);
	assert_int_equal(slow.of[HERD_CLASS_SUPPRESSED], 0);
	assert_int_equal(slow.of[HERD_CLASS_VOLATILE], 1);
	assert_int_equal(slow.of[HERD_CLASS_SAME], fast.of[HERD_CLASS_SAME]);
}

/* ---- reports ---- */

static void test_reports(void **state)
{
	struct fx_judged *w = *state;
	struct herd_instance instance = { 0 };
	struct herd_finding *findings = NULL;
	struct herd_report r = { .txn = w->t, .herd = w->herd,
				 .instance = &instance };
	struct herd_buf out = HERD_BUF_INIT;
	json_t *j, *one, *paths;
	size_t i, suppressed = 0;

	assert_int_equal(herd_instance_get(w->t, w->ids[6], &instance), 0);
	assert_int_equal(herd_judge_instance(w->t, w->herd, w->ids[6],
					     &findings, &r.n_findings, NULL), 0);
	r.findings = findings;
	assert_int_equal(herd_report_text(&r, &out, NULL), 0);
	herd_buf_u8(&out, 0);
	for (i = 0; i < 10; i++) {
		static const char *const lines[] = {
			"/policy, 3 rules, 1 expired\n            sha256 ",
			"\nKnown       bad: rootkit, 1 digests\n"
			"            bad: worms, 1 digests\n",
			"\nKnown to be bad, and as the herd has it\n"
			"---------------------------------------\n"
			"/srv/rooted  known: bad (rootkit)\n\n",
			"\n  100   100   25      1/6      5/6  -", "known: bad (worms)\n       data: new file, ",
			"\nSuppressed\n----------\n9 paths: ",
			"\nline 1, for 6 paths: /srv/**\n  work; owner ops; "
			"expires 2023-11-14\n",
			"\nline 5, for 3 paths: /etc/**\n",
			"\nsuppressed             8  deviant, but for",
			" [new against herd and baseline]\n",
		};

		if (!strstr((char *)out.data, lines[i]))
			fail_msg("no \"%s\" in\n%s", lines[i],
				 (char *)out.data);
	}
	herd_buf_deinit(&out);
	assert_int_equal(herd_report_json(&r, &out, NULL), 0);
	j = json_loadb((char *)out.data, out.len, 0, NULL);
	assert_non_null(j);
	json_array_foreach(json_object_get(j, "findings"), i, one) {
		json_t *rule = json_object_get(one, "suppressed");

		suppressed += rule != NULL;
		if (rule)
			assert_non_null(json_object_get(rule, "owner"));
	}
	paths = json_object_get(j, "paths");
	assert_int_equal(json_integer_value(json_object_get(paths, "total")),
			 20);
	one = json_array_get(json_object_get(j, "same_known_bad"), 0);
	assert_string_equal(json_string_value(json_object_get(one, "path")),
			    "srv/rooted");
	assert_int_equal(json_integer_value(json_object_get(
		json_object_get(j, "counts"), "suppressed")), suppressed);
	json_decref(j);
	herd_buf_deinit(&out);
	/* times of what is suppressed are in the bodyfile */
	assert_int_equal(herd_report_bodyfile(&r, &out, NULL), 0);
	herd_buf_u8(&out, 0);
	assert_non_null(strstr((char *)out.data, "|/srv/new/a|"));
	herd_buf_deinit(&out);
	free(findings);
	herd_instance_deinit(&instance);
}

/* ---- opening ---- */

static void test_open(void **state)
{
	struct fx_judged *w = *state;
	struct herd_diag diag = { .offset = HERD_NO_OFFSET };
	struct herd_knowledge *k = NULL;
	char path[300];

	assert_int_equal(open_with(w->fx.dir, "/nonexistent", &k,
					     &diag), -ENOENT);
	assert_string_equal(diag.source, "/nonexistent");
	assert_int_equal(open_with(w->fx.dir, "/dev/null", &k,
					     NULL), 0);
	assert_int_equal(k->policy.n, 0);
	assert_int_equal(k->known.n, 3);
	herd_knowledge_close(k);
	snprintf(path, sizeof(path), "%s/wrong", w->fx.dir);
	write_file(path, "suppress /a\n");
	herd_diag_clear(&diag);
	assert_int_equal(open_with(w->fx.dir, path, &k, &diag),
			 -EINVAL);
	assert_non_null(strstr(diag.source, "/wrong:1"));
	assert_int_equal(unlink(path), 0);
	assert_int_equal(open_with("/nonexistent", NULL, &k,
					     NULL), 0);
	assert_null(k->policy_source);
	herd_knowledge_close(k);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_classes),
		cmocka_unit_test(test_ranks),
		cmocka_unit_test(test_counts),
		cmocka_unit_test(test_reports),
		cmocka_unit_test(test_open),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
