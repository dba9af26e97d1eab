/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The reports of a small herd with names that nobody wants: golden text, JSON
 * read back, a manifest that sha256sum accepts, a bodyfile that mactime reads.
 */
#include "index/json.h"
#include "index/report.h"
#include "tests/unit/judged_fixture.h"

#include <jansson.h>
#include <sys/wait.h>

static const struct fx_file healthy[] = {
	DIR_(""), DIR_("etc"), FILE_("etc/passwd", "root"),
	FILE_("etc/host", "a"), FILE_("etc/gone", "x"),
	{ .path = "bin/sh", .mode = S_IFLNK | 0777, .content = "dash",
	  .mtime = 1600000000 },
	DIR_("bin"), FILE_("bin/login", "login"),
};

static const struct fx_file odd[] = {
	DIR_(""), DIR_("etc"), FILE_("etc/passwd", "root and evil"),
	FILE_("etc/host", "odd"),
	{ .path = "bin/sh", .mode = S_IFLNK | 0777, .content = "/tmp/a|b",
	  .mtime = 1600000000 },
	DIR_("bin"),
	{ .path = "bin/login", .mode = S_IFREG | S_ISUID | 0644,
	  .content = "login", .mtime = 1600000001 },
	DIR_("tmp"), FILE_("tmp/new\nline", "1"), FILE_("tmp/back\\slash", "2"),
	FILE_("tmp/carriage\rreturn", "3"), FILE_("tmp/bar|%41", "4"),
	FILE_("tmp/\xff\xfe", "5"), FILE_("tmp/\x1b[31mred\xc2\x9b", "6"),
	FILE_("tmp/b\xc3\xa4r\xe2\x80\xaetxt", "7"),
	{ .path = "tmp/holes", .mode = S_IFREG | 0644, .content = "8",
	  .kind = HERD_DIGEST_SPARSE, .mtime = 1600000000 },
	{ .path = "tmp/broken", .mode = S_IFREG | 0644, .content = "9",
	  .kind = HERD_DIGEST_UNREADABLE, .mtime = 1600000000,
	  .problem = "block 7 \x1b lies outside" },
	{ .path = "tmp/suid", .mode = S_IFREG | S_ISUID | 0755,
	  .content = "10", .xattr = "\x01v", .mtime = 1600000000 },
	{ .path = "tmp/dev", .mode = S_IFCHR | 0600, .rdev_minor = 3 },
};

struct world {
	struct fx_judged j;
	struct herd_instance instance;
	struct herd_finding *findings;
	struct herd_report report;
};

static void vary(struct fx_file *files, size_t i)
{
	static const char *const hosts[] = { "a", "b", "c", "d", "e", "f" };

	files[3].content = hosts[i];
}

static int set_up(void **state)
{
	struct world *w = calloc(1, sizeof(*w));
	struct fx_judged *j = &w->j;

	fx_open(&j->fx);
	fx_usual(j, "web", healthy, ARRAY_SIZE(healthy), vary);
	j->ids[6] = fx_attach(&j->fx, "web", "i-odd", HERD_ROLE_MEMBER, odd,
			      ARRAY_SIZE(odd));
	fx_judge(j, "web", NULL, 0);
	assert_int_equal(herd_instance_get(j->t, j->ids[6], &w->instance), 0);
	w->report = (struct herd_report){ .txn = j->t, .herd = j->herd,
					  .instance = &w->instance };
	assert_int_equal(herd_judge_instance(j->t, j->herd, j->ids[6],
					     &w->findings,
					     &w->report.n_findings, NULL), 0);
	w->report.findings = w->findings;
	*state = w;
	return 0;
}

static int tear_down(void **state)
{
	struct world *w = *state;

	free(w->findings);
	herd_instance_deinit(&w->instance);
	fx_judged_close(&w->j);
	free(w);
	return 0;
}

/* ---- text ---- */

static const char golden[] =
"Instance    i-odd\n"
"Group       web, 6 members; baseline i-0\n"
"Indexed     2023-11-14T22:13:20Z\n"
"\n"
"Deviant\n"
"-------\n"
"16 paths: this instance is not like its herd\n"
"rank     this     herd  as in             against the herd          against the baseline      path\n"
"  94      1/6      5/6  i-1               setid                     setid                     /bin/login\n"
"  94      1/6      5/6  -                 added                     added                     /tmp/suid\n"
"  93      1/6      5/6  -                 added                     added                     /tmp/dev\n"
"  92      1/6      5/6  i-1               target                    target                    /bin/sh\n"
"  92      1/6      5/6  i-1               absent                    absent                    /etc/gone\n"
"  92      1/6      5/6  i-1               content                   content                   /etc/passwd\n"
"  92      1/6      5/6  -                 added                     added                     /tmp  (and 9 below)\n"
"\n"
"Problems\n"
"--------\n"
"1 problem\n"
"/tmp/broken: block 7 \\x1b lies outside\n"
"\n"
"Not in MANIFEST.sha256\n"
"----------------------\n"
"content could not be read  /tmp/broken\n"
"mostly holes, no plain digest  /tmp/holes\n"
"\n"
"Volatile\n"
"--------\n"
"1 path: nearly every member differs, or has names of its own\n"
"rank     this  versions    against the herd          against the baseline      path\n"
"   0      1/6         6    content                   content                   /etc/host\n"
"\n"
"Drift\n"
"-----\n"
"0 paths: like the herd, but not like the baseline\n"
"\n"
"Paths, each counted once\n"
"------------------------\n"
"same                   3  as the herd has it\n"
"deviant               15  not as the herd has it\n"
"volatile               1  the herd has no common version\n"
"drift                  0  as the herd has it, not the baseline\n"
"suppressed             0  deviant, but for the policy\n"
"unreadable             1  whatever else they are\n"
"total                 20\n"
"\n"
"Images\n"
"------\n"
"disk 0: raw, 4096 bytes\n"
"  /images/x.raw\n"
"    4096 bytes, modified 1970-01-01T00:00:01Z\n"
"    first and last MiB: sha256 0000000000000000000000000000000000000000000000000000000000000000\n"
"\n"
"Volumes\n"
"-------\n"
"disk 0 as a whole: ext4 at /, bytes 0 to 4096, 19 entries, label root\n"
"  note: journal not replayed\n"
"\n"
"Read\n"
"----\n"
"entries               19\n"
"files                 19                0 bytes\n"
"  hashed               0                0 bytes\n"
"  inherited            0                0 bytes, unchanged in place against the group's reference\n";

static void test_text(void **state)
{
	struct world *w = *state;
	struct herd_buf out = HERD_BUF_INIT, again = HERD_BUF_INIT;

	assert_int_equal(herd_report_text(&w->report, &out, NULL), 0);
	assert_int_equal(herd_report_text(&w->report, &again, NULL), 0);
	assert_int_equal(out.len, again.len);
	assert_memory_equal(out.data, again.data, out.len);
	for (size_t i = 0; i < out.len; i++)
		assert_true(out.data[i] == '\n' ||
			    (out.data[i] >= 0x20 && out.data[i] != 0x7f));
	herd_buf_u8(&out, 0);
	if (strcmp((char *)out.data, golden) != 0) {
		fputs((char *)out.data, stderr);
		fail_msg("report.txt is not as expected");
	}
	herd_buf_deinit(&out);
	herd_buf_deinit(&again);
}

static void test_escape(void **state)
{
	static const struct { const char *in, *out; } cases[] = {
		{ "plain name", "plain name" }, { "b\xc3\xa4r", "b\xc3\xa4r" },
		{ "a\\b", "a\\x5cb" }, { "\x1b[0m", "\\x1b[0m" },
		{ "\xc2\x9b" "1m", "\\xc2\\x9b1m" },
		{ "\xff", "\\xff" }, { "\xc3", "\\xc3" },
		{ "\xc0\xaf", "\\xc0\\xaf" },	/* overlong */
		{ "\xed\xa0\x80", "\\xed\\xa0\\x80" },	/* surrogate */
		{ "\xe2\x80\xae", "\\xe2\\x80\\xae" },	/* right to left */
		{ "\xf4\x90\x80\x80", "\\xf4\\x90\\x80\\x80" },
		{ "\xf0\x9f\x90\x91", "\xf0\x9f\x90\x91" },
		{ "\x7f", "\\x7f" }, { "", "" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct herd_buf b = HERD_BUF_INIT;

		herd_report_escape(&b, cases[i].in, strlen(cases[i].in));
		herd_buf_u8(&b, 0);
		assert_string_equal((char *)b.data, cases[i].out);
		herd_buf_deinit(&b);
	}
}

static void test_words(void **state)
{
	char mode[11], time[HERD_REPORT_TIME_MAX];

	(void)state;
	assert_string_equal(herd_report_mode(S_IFREG | 04755, mode),
			    "-rwsr-xr-x");
	assert_string_equal(herd_report_mode(S_IFDIR | 01777, mode),
			    "drwxrwxrwt");
	assert_string_equal(herd_report_mode(S_IFREG | 07000, mode),
			    "---S--S--T");
	assert_string_equal(herd_report_mode(0, mode), "?---------");
	assert_string_equal(herd_report_time(&(struct herd_time){ 0 }, time),
			    "-");
	assert_string_equal(herd_report_time(&(struct herd_time){ 1, 2 }, time),
			    "1970-01-01T00:00:01.000000002Z");
	assert_string_equal(herd_report_time(&(struct herd_time){ INT64_MIN, 0 },
					     time), "@-9223372036854775808");
}

/* ---- JSON ---- */

static json_t *parse(struct herd_buf *b)
{
	json_error_t error;
	json_t *j = json_loadb((char *)b->data, b->len, 0, &error);

	if (!j)
		fail_msg("line %d: %s", error.line, error.text);
	herd_buf_deinit(b);
	return j;
}

static json_t *finding(json_t *report, const char *path)
{
	json_t *all = json_object_get(report, "findings"), *one;
	size_t i;

	json_array_foreach(all, i, one)
		if (strcmp(json_string_value(json_object_get(one, "path")),
			   path) == 0)
			return one;
	fail_msg("no finding %s", path);
	return NULL;
}

static void test_json(void **state)
{
	struct world *w = *state;
	struct herd_buf out = HERD_BUF_INIT;

	assert_int_equal(herd_report_json(&w->report, &out, NULL), 0);
	json_t *j = parse(&out), *f, *entry;

	assert_string_equal(json_string_value(json_object_get(j, "group")),
			    "web");
	assert_int_equal(json_integer_value(json_object_get(j, "members")), 6);
	assert_int_equal(json_array_size(json_object_get(j, "findings")),
			 w->report.n_findings);
	assert_true(json_is_array(json_object_get(j, "clusters")));
	f = json_array_get(json_object_get(j, "problems"), 0);
	assert_string_equal(json_string_value(json_object_get(f, "path")),
			    "tmp/broken");
	f = finding(j, "tmp/\xef\xbf\xbd\xef\xbf\xbd");
	assert_string_equal(json_string_value(json_object_get(f, "path_hex")),
			    "746d702ffffe");
	f = finding(j, "tmp/new\nline");
	assert_null(json_object_get(f, "path_hex"));
	f = finding(j, "bin/login");
	assert_string_equal(json_string_value(json_array_get(
		json_object_get(f, "reasons"), 0)), "setid");
	entry = json_object_get(f, "entry");
	assert_string_equal(json_string_value(json_object_get(entry, "mode")),
			    "4644");
	f = finding(j, "etc/gone");
	assert_true(json_is_true(json_object_get(f, "absent")));
	assert_null(json_object_get(f, "entry"));
	f = finding(j, "bin/sh");
	assert_string_equal(json_string_value(json_object_get(
		json_object_get(f, "entry"), "target")), "/tmp/a|b");
	f = finding(j, "etc/host");
	assert_string_equal(json_string_value(json_object_get(f, "class")),
			    "volatile");
	f = finding(j, "tmp/suid");
	f = json_array_get(json_object_get(json_object_get(f, "entry"),
					   "xattrs"), 0);
	assert_string_equal(json_string_value(json_object_get(f, "value_hex")),
			    "0176");
	json_decref(j);
}

static void test_herd_json(void **state)
{
	struct world *w = *state;
	struct herd_buf out = HERD_BUF_INIT;

	assert_int_equal(herd_report_herd_json(w->j.t, herd_herd_group(w->j.herd),
					       &out, NULL), 0);
	json_t *j = parse(&out), *i;

	assert_string_equal(json_string_value(json_object_get(j, "baseline")),
			    "i-0");
	assert_int_equal(json_array_size(json_object_get(j, "instances")), 7);
	i = json_array_get(json_object_get(j, "instances"), 0);
	assert_string_equal(json_string_value(json_object_get(i, "role")),
			    "baseline");
	i = json_array_get(json_object_get(i, "images"), 0);
	i = json_array_get(json_object_get(i, "files"), 0);
	assert_string_equal(json_string_value(json_object_get(i, "path")),
			    "/images/x.raw");
	json_decref(j);
}

static void test_json_writer(void **state)
{
	struct herd_buf out = HERD_BUF_INIT;
	struct herd_json w;

	(void)state;
	herd_json_begin(&w, &out, 1);
	herd_json_object(&w, NULL);
	herd_json_uint(&w, "most", UINT64_MAX);
	herd_json_int(&w, "least", INT64_MIN);
	herd_json_array(&w, "list");
	herd_json_null(&w, NULL);
	herd_json_bool(&w, NULL, true);
	herd_json_string(&w, NULL, "a\"b\x01");
	herd_json_end(&w);
	herd_json_object(&w, "empty");
	herd_json_end(&w);
	herd_json_bytes(&w, "nul", "a\0b", 3);
	herd_json_bytes(&w, "bad", "a\xff", 2);
	herd_json_hex(&w, "none", "", 0);
	herd_json_end(&w);
	assert_int_equal(herd_json_finish(&w), 0);
	herd_buf_u8(&out, 0);
	assert_string_equal((char *)out.data, "{\n"
		"  \"most\": 18446744073709551615,\n"
		"  \"least\": -9223372036854775808,\n"
		"  \"list\": [null, true, \"a\\\"b\\u0001\"],\n"
		"  \"empty\": {},\n"
		"  \"nul\": \"a\\u0000b\",\n"
		"  \"bad\": \"a\xef\xbf\xbd\",\n"
		"  \"bad_hex\": \"61ff\",\n"
		"  \"none\": \"\"\n}\n");
	herd_buf_deinit(&out);
}

/* ---- files for other tools ---- */

static void write_file(const char *path, const void *bytes, size_t len)
{
	FILE *f = fopen(path, "w");

	if (!f || (len && fwrite(bytes, len, 1, f) != 1) || fclose(f))
		fail_msg("cannot write %s", path);
}

static bool missing_tool(const char *tool)
{
	char command[128];

	snprintf(command, sizeof(command), "command -v %s >/dev/null", tool);
	return system(command) != 0;
}

static int run(const char *dir, const char *command)
{
	char line[1024];

	snprintf(line, sizeof(line), "cd '%s' && %s", dir, command);
	int status = system(line);

	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

/* The files of the odd instance as the mount would show them. */
static void make_tree(const char *dir)
{
	assert_int_equal(run(dir, "mkdir -p deviant/disk/bin deviant/disk/etc "
			     "deviant/disk/tmp"), 0);
	for (size_t i = 0; i < ARRAY_SIZE(odd); i++) {
		char path[512];

		if (!S_ISREG(odd[i].mode))
			continue;
		snprintf(path, sizeof(path), "%s/deviant/disk/%s", dir,
			 odd[i].path);
		write_file(path, odd[i].content, strlen(odd[i].content));
	}
}

static void write_report(const struct world *w, const char *name,
			 int (*make)(const struct herd_report *r,
				     struct herd_buf *out,
				     struct herd_diag *diag))
{
	struct herd_buf out = HERD_BUF_INIT;
	char path[300];

	assert_int_equal(make(&w->report, &out, NULL), 0);
	snprintf(path, sizeof(path), "%s/%s", w->j.fx.dir, name);
	write_file(path, out.data, out.len);
	herd_buf_deinit(&out);
}

static void test_manifest(void **state)
{
	struct world *w = *state;
	struct herd_buf out = HERD_BUF_INIT;
	char path[300];
	size_t lines = 0;

	if (missing_tool("sha256sum"))
		skip();
	assert_int_equal(herd_report_manifest(&w->report, &out, NULL), 0);
	for (size_t i = 0; i < out.len; i++)
		lines += out.data[i] == '\n';
	/* passwd, login, seven odd names, suid and three reports; holes and
	   broken are not */
	assert_int_equal(lines, 13);
	make_tree(w->j.fx.dir);
	write_report(w, "report.txt", herd_report_text);
	write_report(w, "report.json", herd_report_json);
	write_report(w, "bodyfile", herd_report_bodyfile);
	snprintf(path, sizeof(path), "%s/MANIFEST.sha256", w->j.fx.dir);
	write_file(path, out.data, out.len);
	assert_int_equal(run(w->j.fx.dir, "sha256sum --strict -c MANIFEST.sha256 "
			     ">out 2>&1 && test $(grep -c 'OK$' out) = 13"), 0);
	assert_int_equal(run(w->j.fx.dir, "echo more >>deviant/disk/bin/login; "
			     "sha256sum --status -c MANIFEST.sha256"), 1);
	herd_buf_deinit(&out);
}

/* mactime takes %HH for a byte and shows it as that. */
static const char *const body[] = {
	"0|/bin/login|12|r/rrwSr--r--|0|0|5|1600000001|1600000001|1600000001|0",
	"0|/bin/sh -> /tmp/a%7Cb|12|l/lrwxrwxrwx|0|0|8|1600000000|1600000000|"
	"1600000000|0",
	"0|/etc/host|12|r/rrw-r--r--|0|0|3|1600000000|1600000000|1600000000|0",
	"0|/tmp/bar%7C%2541|12|", "0|/tmp/new\\x0aline|12|",
	"0|/tmp/back\\x5cslash|12|", "0|/tmp/\\x1b[31mred\xc2\x9b|12|",
	"0|/tmp/dev|12|c/crw-------|0|0|0|0|0|0|0",
};
static const char *const times[] = {
	"2020-09-13T12:26:41Z,5,mac.,r/rrwSr--r--,0,0,12,\"/bin/login\"",
	"2020-09-13T12:26:40Z,1,mac.,r/rrw-r--r--,0,0,12,\"/tmp/bar|%41\"",
	"\"/tmp/new\\x0aline\"", "\"/bin/sh -> /tmp/a|b\"", "\"/etc/host\"",
};

static void read_file(const char *path, char *buf, size_t size)
{
	FILE *f = fopen(path, "r");

	assert_non_null(f);
	buf[fread(buf, 1, size - 1, f)] = '\0';
	fclose(f);
}

static void test_bodyfile(void **state)
{
	struct world *w = *state;
	struct herd_buf out = HERD_BUF_INIT;
	char path[300], shown[8192];

	assert_int_equal(herd_report_bodyfile(&w->report, &out, NULL), 0);
	snprintf(path, sizeof(path), "%s/bodyfile", w->j.fx.dir);
	write_file(path, out.data, out.len);
	herd_buf_u8(&out, 0);
	for (size_t i = 0; i < ARRAY_SIZE(body); i++)
		if (!strstr((char *)out.data, body[i]))
			fail_msg("no \"%s\" in\n%s", body[i], out.data);
	assert_null(strstr((char *)out.data, "/etc/gone"));
	herd_buf_deinit(&out);
	if (missing_tool("mactime")) {
		print_message("mactime (sleuthkit) is not installed\n");
		skip();
	}
	assert_int_equal(run(w->j.fx.dir, "mactime -b bodyfile -d -y >times 2>err "
			     "&& ! test -s err"), 0);
	snprintf(path, sizeof(path), "%s/times", w->j.fx.dir);
	read_file(path, shown, sizeof(shown));
	for (size_t i = 0; i < ARRAY_SIZE(times); i++)
		if (!strstr(shown, times[i]))
			fail_msg("no %s in\n%s", times[i], shown);
}

static void test_readme(void **state)
{
	struct world *w = *state;
	struct herd_buf out = HERD_BUF_INIT;

	assert_int_equal(herd_report_readme(w->j.t, herd_herd_group(w->j.herd),
					    &out, NULL), 0);
	herd_buf_u8(&out, 0);
	assert_non_null(strstr((char *)out.data, "Herd \"web\": 6 members"));
	assert_non_null(strstr((char *)out.data, "i-0"));
	for (const char *p = (char *)out.data; *p; p += strcspn(p, "\n") + 1)
		assert_in_range(strcspn(p, "\n"), 0, 80);
	herd_buf_deinit(&out);
}

/* ---- order and folding ---- */

static void test_lines(void **state)
{
	struct world *w = *state;
	struct herd_report_lines l, folded;
	size_t hidden = 0;

	assert_int_equal(herd_report_lines_make(&w->report, false, &l, NULL), 0);
	assert_int_equal(l.n, w->report.n_findings);
	for (size_t i = 1; i < l.n; i++)
		assert_true(l.v[i - 1].finding->verdict.rank >=
			    l.v[i].finding->verdict.rank);
	herd_report_lines_deinit(&l);
	assert_int_equal(herd_report_lines_make(&w->report, true, &folded,
						NULL), 0);
	for (size_t i = 0; i < folded.n; i++) {
		const struct herd_report_line *line = &folded.v[i];
		const char *name = herd_report_line_name(&folded, line);

		hidden += line->folded;
		/* louder than its folder: never hidden */
		if (line->name_len == 8 && memcmp(name, "tmp/suid", 8) == 0)
			assert_false(line->folded);
		if (line->name_len == 3 && memcmp(name, "tmp", 3) == 0)
			assert_int_equal(line->below, 9);
		assert_true(!line->folded || line->below == 0);
	}
	assert_int_equal(hidden, 9);
	herd_report_lines_deinit(&folded);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_text),
		cmocka_unit_test(test_escape),
		cmocka_unit_test(test_words),
		cmocka_unit_test(test_json),
		cmocka_unit_test(test_herd_json),
		cmocka_unit_test(test_json_writer),
		cmocka_unit_test(test_manifest),
		cmocka_unit_test(test_bodyfile),
		cmocka_unit_test(test_readme),
		cmocka_unit_test(test_lines),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
