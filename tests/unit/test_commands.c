/* SPDX-License-Identifier: Apache-2.0 */
/*
 * list, why and status over a made-up store, run as a user runs them. The
 * program is looked for where make puts it, beside the tests' folder.
 */
#include "tests/unit/herd_fixture.h"

#include <jansson.h>
#include <limits.h>
#include <sys/wait.h>

static const struct fx_file healthy[] = {
	DIR_(""), DIR_("etc"), FILE_("etc/passwd", "root"),
	FILE_("etc/host", "a"), FILE_("etc/gone", "x"),
};
static const struct fx_file odd[] = {
	DIR_(""), DIR_("etc"),
	{ .path = "etc/passwd", .mode = S_IFREG | 0600, .uid = 7,
	  .content = "root and evil", .xattr = "x", .mtime = 1600000001 },
	FILE_("etc/host", "odd"), DIR_("opt"), FILE_("opt/a", "1"),
	FILE_("opt/\x1b[31m\xff", "2"),
	{ .path = "opt/broken", .mode = S_IFREG | 0644, .content = "9",
	  .kind = HERD_DIGEST_UNREADABLE, .mtime = 1600000000,
	  .problem = "block 7 lies outside" },
};

static char program[PATH_MAX];

struct world {
	struct fx fx;
	char out[1 << 18], err[4096];
	int status;
};

static int set_up(void **state)
{
	struct world *w = calloc(1, sizeof(*w));
	static const char *const hosts[] = { "a", "b", "c", "d", "e" };
	struct fx_file files[ARRAY_SIZE(healthy)];
	char name[16];

	fx_open(&w->fx);
	for (size_t i = 0; i < ARRAY_SIZE(hosts); i++) {
		memcpy(files, healthy, sizeof(files));
		files[3].content = hosts[i];
		snprintf(name, sizeof(name), "i-%zu", i);
		fx_attach(&w->fx, "web", name, HERD_ROLE_MEMBER, files,
			  ARRAY_SIZE(files));
	}
	fx_attach(&w->fx, "web", "i-odd", HERD_ROLE_MEMBER, odd,
		  ARRAY_SIZE(odd));
	*state = w;
	return 0;
}

static int tear_down(void **state)
{
	struct world *w = *state;

	fx_close(&w->fx);
	free(w);
	return 0;
}

static void slurp(const char *dir, const char *name, char *buf, size_t size)
{
	char path[320];
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	f = fopen(path, "r");
	assert_non_null(f);
	buf[fread(buf, 1, size - 1, f)] = '\0';
	fclose(f);
}

/* Runs herdfs with arguments as a shell would read them. */
static int herdfs(struct world *w, const char *arguments)
{
	char line[8192];

	if (access(program, X_OK) != 0) {
		print_message("%s is not built\n", program);
		skip();
	}
	snprintf(line, sizeof(line), "cd '%s' && export HERDFS_STORE='%s' && "
		 "( '%s' %s ) >.out 2>.err", w->fx.dir, w->fx.dir, program, arguments);
	int status = system(line);

	assert_true(WIFEXITED(status));
	slurp(w->fx.dir, ".out", w->out, sizeof(w->out));
	slurp(w->fx.dir, ".err", w->err, sizeof(w->err));
	return WEXITSTATUS(status);
}

static void has(const char *text, const char *part)
{
	if (!strstr(text, part))
		fail_msg("no \"%s\" in:\n%s", part, text);
}

static void lacks(const char *text, const char *part)
{
	if (strstr(text, part))
		fail_msg("\"%s\" in:\n%s", part, text);
}

static json_t *parsed(struct world *w)
{
	json_error_t error;
	json_t *j = json_loads(w->out, 0, &error);

	if (!j)
		fail_msg("line %d: %s in:\n%s", error.line, error.text, w->out);
	return j;
}

static const char *text(json_t *j, const char *key)
{
	const char *s = json_string_value(json_object_get(j, key));

	return s ? s : "";
}

/* ---- list ---- */

static void test_rules_of_ones_own(struct world *w)
{
	assert_int_equal(herdfs(w, "status >/dev/null; "
		"mkdir -p config/herdfs; printf '%s\\n' "
		"'category crown \"jewels\"' 'etc/gone crown T1485 100' "
		">config/herdfs/rules.conf; "
		"\"$HERD\" list --rules config/herdfs/rules.conf"), 0);
	has(w->out, "   89    89  100  i-odd     deviant       1/6  absent     "
		    "/etc/gone  -- crown T1485: gone");
	assert_int_equal(herdfs(w, "status >/dev/null; export XDG_CONFIG_HOME="
		"$PWD/config; \"$HERD\" why --instance i-odd /etc/gone"), 0);
	has(w->out, "\n  why       gone; the herd has a file of 1 byte\n"
		    "  means     crown, ATT&CK T1485, severity 100, score 89; "
		    "rule ");
	has(w->out, "/config/herdfs/rules.conf:2\n");
	assert_int_equal(herdfs(w, "list --rules /nonexistent"), 1);
	has(w->err, "/nonexistent: the rules: No such file");
	assert_int_equal(herdfs(w, "status >/dev/null; echo nonsense >wrong; "
		"\"$HERD\" list --rules wrong"), 1);
	has(w->err, "line 1");
}

static void test_list(void **state)
{
	struct world *w = *state;

	assert_int_equal(herdfs(w, "list"), 0);
	has(w->out, "\n   54    90   60  i-odd     deviant       1/6  "
	    "content, mode, owner, xattr  /etc/passwd  -- accounts T1136.001: "
	    "extended attributes differ; content differs, 9 bytes more: 13 "
	    "bytes; mode 0600, the herd's 0644; owner 7:0, the herd's 0:0\n"
	    "   31    89   35  i-odd     deviant       1/6  absent     "
	    "/etc/gone  -- config: gone; the herd has a file of 1 byte\n");
	has(w->out, "/opt  (and 3 below)  -- other: new directory\n");
	lacks(w->out, "/etc/host");
	lacks(w->out, "i-0");
	has(w->out, "\n6 paths in 1 of 6 instances deviate; 6 volatile, 0 in "
	    "drift (--all lists them); 1 problem (");
	assert_int_equal(herdfs(w, "list --expand --all"), 0);
	has(w->out, "/opt  -- ");
	has(w->out, "/opt/\\x1b[31m\\xff  -- ");
	has(w->out, "i-0 ");
	has(w->out, "/etc/host  -- ");
	lacks(w->out, "\x1b");
	assert_int_equal(herdfs(w, "list --min-rank 90"), 0);
	has(w->out, "/etc/passwd");
	lacks(w->out, "/etc/gone");
	assert_int_equal(herdfs(w, "list --min-score 50"), 0);
	has(w->out, "/etc/passwd");
	lacks(w->out, "/etc/gone");
	/* a narrow terminal has two lines for each */
	assert_int_equal(herdfs(w, "status >/dev/null; COLUMNS=80 \"$HERD\" "
				"list"), 0);
	has(w->out, "/etc/gone\n                  config: gone; the herd has");
	test_rules_of_ones_own(w);
	assert_int_equal(herdfs(w, "list --instance i-0"), 0);
	has(w->out, "0 paths in 0 of 1 instance deviate");
}

static void test_list_json(void **state)
{
	struct world *w = *state;

	assert_int_equal(herdfs(w, "list --json --asg web"), 0);
	json_t *j = parsed(w), *all = json_object_get(j, "findings"), *one;
	size_t i, hex = 0;

	assert_int_equal(json_array_size(all), 6);
	json_array_foreach(all, i, one) {
		assert_string_equal(text(one, "instance"), "i-odd");
		hex += json_object_get(one, "path_hex") != NULL;
		if (strcmp(text(one, "path"), "etc/gone") != 0)
			continue;
		assert_string_equal(text(one, "category"), "config");
		assert_string_equal(text(one, "why"),
				    "gone; the herd has a file of 1 byte");
		assert_int_equal(json_integer_value(
			json_object_get(one, "severity")), 35);
		assert_int_equal(json_integer_value(
			json_object_get(one, "score")), 31);
		assert_non_null(strstr(text(one, "rule"), ":"));
	}
	assert_int_equal(hex, 1);
	json_decref(j);
}

static void test_usage(void **state)
{
	static const char *const wrong[] = {
		"list --min-rank 101", "list --min-rank x", "list extra",
		"list --nonsense", "why", "why a b", "status extra",
		"status --store",
	};
	static const char *const failing[] = {
		"list --asg none", "list --instance none", "status --asg none",
		"why /nobody/has/this", "why --asg none /etc/passwd",
		"why --instance none /etc/passwd", "list --store /nonexistent",
	};
	static const char *const helpful[] = {
		"list --help", "why --help", "status --help",
	};
	struct world *w = *state;

	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
		assert_int_equal(herdfs(w, wrong[i]), 2);
		assert_true(w->err[0] && !w->out[0]);
	}
	for (size_t i = 0; i < ARRAY_SIZE(failing); i++) {
		assert_int_equal(herdfs(w, failing[i]), 1);
		has(w->err, "herdfs: ");
	}
	for (size_t i = 0; i < ARRAY_SIZE(helpful); i++) {
		assert_int_equal(herdfs(w, helpful[i]), 0);
		has(w->out, "Usage: herdfs ");
		assert_false(w->err[0]);
	}
}

/* ---- why ---- */

static void test_why(void **state)
{
	struct world *w = *state;

	assert_int_equal(herdfs(w, "why /etc/passwd --instance i-odd"), 0);
	has(w->out, "/etc/passwd in group web, 6 members: 2 versions\n");
	has(w->out, "i-odd: deviant, rank 90: content, mode, owner, xattr\n");
	has(w->out, "\n  mode      0600 -rw-------\n"
		    "    herd    0644 -rw-r--r--\n");
	has(w->out, "\n  owner     7:0\n    herd    0:0\n");
	has(w->out, "\n  xattrs    user.test=0x78\n    herd    none\n");
	has(w->out, "\nVersion 1 of 2: 5 of 6 members: i-0 i-1 i-2 i-3 i-4\n");
	has(w->out, "\nVersion 2 of 2: 1 of 6 members: i-odd\n");
	/* as a path in a mount, the group and instance told by it */
	assert_int_equal(herdfs(w, "why /mnt/h/asg/web/i-odd/deviant/disk/etc/"
				"../etc/./gone"), 0);
	has(w->out, "i-odd: deviant, rank 89: absent\n");
	has(w->out, "it lacks what 5 of 6 have\n");
	has(w->out, "/mnt/h/asg/web/i-odd/herd/disk/etc/gone\n");
	has(w->out, "/mnt/h/asg/web/i-0/all/disk/etc/gone\n");
	/* from inside a mount */
	assert_int_equal(herdfs(w, "why /dev/null; mkdir -p asg/web/i-odd/all/"
				"disk && cd asg/web/i-odd/all/disk && "
				"\"$HERD\" why opt"), 0);
	has(w->out, "i-odd: deviant, rank 89: added\n");
	has(w->out, "5 of 6 have no such path\n");
	has(w->out, "/asg/web/i-odd/all/disk/opt\n");
	assert_int_equal(herdfs(w, "why etc/host"), 0);
	has(w->out, ": 6 versions\n");
	has(w->out, "volatile");
	assert_int_equal(herdfs(w, "why --asg web \"/opt/$(printf "
				"'\\033[31m\\377')\""), 0);
	has(w->out, "/opt/\\x1b[31m\\xff in group web");
	lacks(w->out, "\x1b");
}

static void test_why_json(void **state)
{
	struct world *w = *state;

	assert_int_equal(herdfs(w, "why --json --instance i-odd /etc/passwd"),
			 0);
	json_t *j = parsed(w), *versions = json_object_get(j, "versions"), *v;

	assert_string_equal(text(j, "path"), "etc/passwd");
	assert_string_equal(text(json_object_get(j, "verdict"), "class"),
			    "deviant");
	assert_int_equal(json_array_size(versions), 2);
	v = json_array_get(versions, 1);
	assert_string_equal(json_string_value(json_array_get(
		json_object_get(v, "instances"), 0)), "i-odd");
	v = json_object_get(v, "entry");
	assert_string_equal(text(v, "mode"), "0600");
	json_decref(j);
}

/* ---- status ---- */

static void test_status(void **state)
{
	struct world *w = *state;

	assert_int_equal(herdfs(w, "status"), 0);
	has(w->out, "Group web: 6 members\n");
	has(w->out, "  i-odd                 member    missing ");
	has(w->out, "    /images/x.raw: ");
	lacks(w->out, "block 7");
	assert_int_equal(herdfs(w, "status --problems --asg web"), 0);
	has(w->out, "    /opt/broken: block 7 lies outside\n");
	assert_int_equal(herdfs(w, "status --json --problems"), 0);
	json_t *j = parsed(w), *g, *i;

	assert_true(json_integer_value(json_object_get(j, "store_bytes")) > 0);
	g = json_array_get(json_object_get(j, "groups"), 0);
	assert_int_equal(json_array_size(json_object_get(g, "instances")), 6);
	i = json_array_get(json_object_get(g, "instances"), 5);
	assert_string_equal(text(i, "instance"), "i-odd");
	assert_int_equal(json_integer_value(json_object_get(i,
		"problem_count")), 1);
	assert_string_equal(text(json_array_get(json_object_get(i, "problems"),
						0), "path"), "opt/broken");
	assert_string_equal(text(json_array_get(json_object_get(i, "images"),
						0), "state"), "missing");
	json_decref(j);
}

/* ---- a herd with a baseline ---- */

static void axis_herd(struct world *w)
{
	struct fx_file files[] = {
		DIR_(""), DIR_("etc"), FILE_("etc/motd", "old"),
		FILE_("etc/issue", "old"), FILE_("etc/passwd", "root"),
	};

	fx_open(&w->fx);
	fx_attach(&w->fx, "web", "base", HERD_ROLE_BASELINE, files,
		  ARRAY_SIZE(files));
	files[2].content = files[3].content = "new";
	for (const char *name = "a\0b\0c\0d\0e\0"; *name; name += 2)
		fx_attach(&w->fx, "web", name, HERD_ROLE_MEMBER, files,
			  ARRAY_SIZE(files));
	files[3].content = "old"; /* never updated */
	files[4].content = "root and evil";
	fx_attach(&w->fx, "web", "odd", HERD_ROLE_MEMBER, files,
		  ARRAY_SIZE(files));
}

static void test_axes(void **state)
{
	static const char *const paths[] = { "etc/motd", "etc/issue",
					     "etc/passwd" };
	static const char *const axes[] = {
		"new against the baseline, shared by the herd",
		"odd against the herd, equal to the baseline",
		"new against herd and baseline",
	};
	struct world w = { .status = 0 };
	size_t i, seen = 0;
	char part[200];
	json_t *one;

	(void)state;
	axis_herd(&w);
	assert_int_equal(herdfs(&w, "list --json --all --instance odd"), 0);
	json_t *j = parsed(&w);

	json_array_foreach(json_object_get(j, "findings"), i, one)
		for (size_t p = 0; p < ARRAY_SIZE(paths); p++)
			if (!strcmp(text(one, "path"), paths[p])) {
				assert_string_equal(text(one, "axis"), axes[p]);
				seen |= 1u << p;
			}
	assert_int_equal(seen, 7);
	json_decref(j);
	assert_int_equal(herdfs(&w, "list --all --instance odd"), 0);
	for (i = 0; i < ARRAY_SIZE(axes); i++) {
		snprintf(part, sizeof(part), " [%s]\n", axes[i]);
		has(w.out, part);
	}
	assert_int_equal(herdfs(&w, "why --instance odd /etc/issue"), 0);
	has(w.out, "; like the baseline\n  is        odd against the herd, "
		   "equal to the baseline\n");
	assert_int_equal(herdfs(&w, "report --html -"), 0);
	has(w.out, "<span>new against herd and baseline</span>");
	has(w.out, "<span>odd against the herd, equal to the baseline</span>");
	has(w.out, "<span class=\"note\">new against the baseline, shared by "
		   "the herd</span>");
	fx_close(&w.fx);
}

/* ---- bands ---- */

#define MANY 130 /* files; enough for a band of three or more */
#define MORE 260 /* and for one alone where no package says anything */

static void band_member(struct fx *fx, const char *name, const char *many,
			const char *more)
{
	static char paths[MORE][16];
	struct fx_file files[2 + MORE] = { DIR_(""), DIR_("srv") };

	for (size_t i = 0; i < MORE; i++) {
		snprintf(paths[i], sizeof(paths[i]), "srv/%zu", i);
		files[2 + i] = (struct fx_file)FILE_(paths[i],
						     i < MANY ? many : more);
	}
	fx_attach(fx, "web", name, HERD_ROLE_MEMBER, files, ARRAY_SIZE(files));
}

static const char *member(json_t *band, size_t i)
{
	const char *s = json_string_value(
		json_array_get(json_object_get(band, "members"), i));

	return s ? s : "";
}

static void test_bands(void **state)
{
	struct world w = { .status = 0 };
	json_t *j, *bands, *against;

	(void)state;
	fx_open(&w.fx);
	for (const char *name = "a\0b\0c\0d\0e\0"; *name; name += 2)
		band_member(&w.fx, name, "old", "same");
	for (const char *name = "p\0q\0r\0s\0"; *name; name += 2)
		band_member(&w.fx, name, "new", "same");
	band_member(&w.fx, "lone", "third", "other");
	assert_int_equal(herdfs(&w, "list --json --min-rank 100"), 0);
	j = parsed(&w);
	bands = json_object_get(j, "clusters");
	assert_int_equal(json_array_size(bands), 3);
	assert_string_equal(text(json_array_get(bands, 0), "group"), "web");
	assert_string_equal(member(json_array_get(bands, 0), 4), "e");
	assert_string_equal(member(json_array_get(bands, 1), 0), "p");
	assert_string_equal(member(json_array_get(bands, 2), 0), "lone");
	assert_true(json_is_true(json_object_get(json_array_get(bands, 2),
						 "small")));
	assert_true(json_is_false(json_object_get(json_array_get(bands, 1),
						  "small")));
	against = json_object_get(json_array_get(bands, 1), "against");
	assert_int_equal(json_integer_value(json_object_get(against, "has")),
			 MANY);
	assert_int_equal(json_integer_value(
		json_object_get(against, "has_vouched")), 0);
	json_decref(j);
	assert_int_equal(herdfs(&w, "list --min-rank 100"), 0);
	has(w.out, "Band 2: 1 member, judged with the band");
	assert_int_equal(herdfs(&w, "report --html - --findings 2"), 0);
	has(w.out, "href=\"#bands\"><b>3</b><span>bands</span>");
	has(w.out, ">alone</b> judged with the band that it is nearest to; "
		   "mostly vouched for by nothing: look at it as at a deviant"
		   "<br><span class=\"any\">lone</span>");
	has(w.out, "<span class=\"any\">p, q, r, s</span>");
	has(w.out, "<td class=\"n\">130<br><span class=\"note\">0 vouched for"
		   "</span></td>");
	fx_close(&w.fx);
	/* and none */
	axis_herd(&w);
	assert_int_equal(herdfs(&w, "report --html -"), 0);
	has(w.out, "None: all instances are one band.");
	lacks(w.out, "<span>bands</span>");
	fx_close(&w.fx);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_list),
		cmocka_unit_test(test_list_json),
		cmocka_unit_test(test_usage),
		cmocka_unit_test(test_why),
		cmocka_unit_test(test_why_json),
		cmocka_unit_test(test_status),
		cmocka_unit_test(test_axes),
		cmocka_unit_test(test_bands),
	};
	char self[PATH_MAX];

	/* build/VARIANT/tests/unit/test_commands */
	if (argc && realpath(argv[0], self)) {
		for (int i = 0; i < 3; i++)
			*strrchr(self, '/') = '\0';
		snprintf(program, sizeof(program), "%.4000s/herdfs", self);
	}
	setenv("HERD", program, 1);
	return cmocka_run_group_tests(tests, set_up, tear_down);
}
