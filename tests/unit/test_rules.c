/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The parser of rules, patterns, and that the rules which ship are sound.
 */
#include "acquire/base/cleanup.h"
#include "index/rules_internal.h"
#include "tests/unit/meaning_fixture.h"

static const struct herd_meaning_side absent = { .absent = true };

static int parse(struct herd_rules *r, const char *text, struct herd_diag *diag)
{
	herd_diag_clear(diag);
	return herd_rules_parse(r, "own.conf", text, strlen(text), diag);
}

static void destroy(struct herd_rules **r)
{
	herd_rules_destroy(*r);
}
#define CLEANUP_RULES CLEANUP(destroy)

/* Whether a rule with that path alone matches. */
static bool glob(const char *pattern, const char *path)
{
	struct herd_rules *r CLEANUP_RULES = herd_rules_create();
	struct herd_diag diag;
	char text[1024];

	snprintf(text, sizeof(text), "category c\n\"%s\" c - 1", pattern);
	if (parse(r, text, &diag)) {
		print_error("%s: %s\n", pattern, diag.message);
		fail();
	}
	struct herd_rule_scan s;

	herd_rule_scan(&s, r, path, strlen(path));
	return herd_rule_next(&s) != NULL;
}

static void test_glob(void **state)
{
	static const struct {
		const char *pattern, *path;
		bool match;
	} cases[] = {
		{ "etc/passwd", "etc/passwd", true },
		{ "/etc/passwd", "etc/passwd", true },
		{ "etc/passwd", "etc/passwd-", false },
		{ "etc/passwd", "x/etc/passwd", false },
		{ "etc/*", "etc/passwd", true },
		{ "etc/*", "etc/a/b", false },
		{ "etc/**", "etc/a/b", true },
		{ "etc/**", "etc", false },
		{ "**", "", true },
		{ "**", "a/b", true },
		{ "*", "a/b", false },
		{ "**/b", "b", true },
		{ "**/b", "a/b", true },
		{ "**/b", "a/c/b", true },
		{ "**/b", "ab", false },
		{ "a/**/b", "a/b", true },
		{ "a/**/b", "a/x/y/b", true },
		{ "a/**/b", "ab", false },
		{ "a**/b", "ab", false },
		{ "a**/b", "ax/b", true },
		{ "**/.ssh/authorized_keys{,2}", "root/.ssh/authorized_keys2",
		  true },
		{ "**/.ssh/authorized_keys{,2}", ".ssh/authorized_keys", true },
		{ "**.so{,.*}", "usr/lib/a.so.1", true },
		{ "**.so{,.*}", "usr/lib/a.so", true },
		{ "**.so{,.*}", "usr/lib/a.sox", false },
		{ "*.c", "a.b.c", true },
		{ "*a*b*c", "xaxxbxxc", true },
		{ "*a*b*c", "xaxx/bxxc", false },
		{ "**a*b*c", "x/axx/axbxxc", true },
		{ "?", "a", true },
		{ "?", "/", false },
		{ "?", "", false },
		{ "[abc]x", "bx", true },
		{ "[!abc]x", "bx", false },
		{ "[!abc]x", "dx", true },
		{ "[a-c]", "b", true },
		{ "[a-c]", "d", false },
		{ "[]]", "]", true },
		{ "[*]", "*", true },
		{ "[*]", "a", false },
		{ "[{]a,b[}]", "{a,b}", true },
		{ "a[", "a[", false },
		{ "{a,b}/{c,d}", "b/c", true },
		{ "{a,b}/{c,d}", "b/e", false },
		{ "{a,b{c,d},e}", "bd", true },
		{ "{a,b{c,d},e}", "b", false },
		{ "{a,b{c,d},e}", "e", true },
		{ "a{b", "a{b", true },
		{ "a}b", "a}b", true },
		{ "{{a}}", "a", true },
		{ "rc?.d/S[0-9][0-9]*", "rc2.d/S20x", true },
		{ "**/**/x", "x", true },
		{ "**/*/x", "x", false },
		{ "**/*/x", "a/x", true },
		{ "a/**/*.c", "a/b.c", true },
		{ "***", "a/b", true },
		{ "*[ab]c[de]*", "xacdx", true },
		{ "*[abcd]*", "xcx", true },
		{ "*[]abcd]*", "x]x", true },
		{ "*[abcd", "[abcd", false },
		{ "a*bcd]*", "abcd]", true },
		{ "**/.aws/**", ".aws/x", true },
		{ "**/.aws/**", "a.aws/x", false },
		{ "**/.aws/**", "r/.aws/x/y", true },
	};
	unsigned wrong = 0;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		if (glob(cases[i].pattern, cases[i].path) == cases[i].match)
			continue;
		print_error("%s with %s\n", cases[i].pattern, cases[i].path);
		wrong++;
	}
	assert_int_equal(wrong, 0);
}

/* The same, told by going through all ways there are. */
static bool slow(const char *p, const char *s, bool start)
{
	if (!*p)
		return !*s;
	if (p[0] == '*' && p[1] == '*') {
		if (start && p[2] == '/' && slow(p + 3, s, true))
			return true;
		for (;; s++) {
			if (slow(p + 2, s, false))
				return true;
			if (!*s)
				return false;
		}
	}
	if (*p == '*') {
		for (;; s++) {
			if (slow(p + 1, s, false))
				return true;
			if (!*s || *s == '/')
				return false;
		}
	}
	return *s && (*p == '?' ? *s != '/' : *p == *s) &&
	       slow(p + 1, s + 1, *p == '/');
}

static void test_glob_random(void **state)
{
	static const char letters[] = "ab/*?*a/";
	uint32_t seed = 5;

	(void)state;
	for (unsigned round = 0; round < 200000; round++) {
		char p[10] = "", s[10] = "";
		struct herd_pattern pattern = { .text = p };
		unsigned n = 1 + (seed >> 8) % 8, m = (seed >> 12) % 9;

		for (unsigned i = 0; i < n; i++) {
			seed = seed * 1664525u + 1013904223u;
			p[i] = letters[(seed >> 16) % 8];
		}
		for (unsigned i = 0; i < m; i++) {
			seed = seed * 1664525u + 1013904223u;
			s[i] = letters[(seed >> 16) % 3];
		}
		/* what three stars in a row mean is nobody's business; and
		   paths have no empty parts */
		if (strstr(p, "***") || *s == '/' || strstr(s, "//"))
			continue;
		pattern.len = (uint16_t)n;
		herd_pattern_prepare(&pattern);
		if (herd_pattern_match(&pattern, s, m) != slow(p, s, true))
			fail_msg("%s with %s", p, s);
	}
}

/* The index leaves nothing out and changes no order. */
static void check_scan(const struct herd_rules *r, const char *path)
{
	struct herd_rule_scan s;
	size_t len = strlen(path);

	herd_rule_scan(&s, r, path, len);
	for (size_t i = r->n_patterns; i-- > 0;) {
		const struct herd_rule *rule;

		if (!herd_pattern_match(&r->patterns[i], path, len))
			continue;
		rule = herd_rule_next(&s);
		if (!rule || i < rule->first || i >= rule->first + rule->n)
			fail_msg("%s: %s", path, r->patterns[i].text);
	}
	assert_null(herd_rule_next(&s));
}

static void test_index(void **state)
{
	static const char *const parts[] = {
		"etc",
		"usr",
		"lib",
		"passwd",
		"cron.d",
		"systemd",
		"system",
		"a.service",
		"x.timer",
		".ssh",
		"authorized_keys",
		".bashrc",
		"a.so.1",
		"site-packages",
		"x.pth",
		"var",
		"log",
		"www",
		"x.php",
		"multi-user.target.wants",
		"root",
		"tmp",
		"...",
		" ",
		"bin",
		"su",
		"security",
		"pam_x.so",
		".git",
		"hooks",
	};
	uint32_t seed = 3;

	(void)state;
	check_scan(shipped(), "");
	check_scan(shipped(), "/");
	for (unsigned round = 0; round < 20000; round++) {
		char path[200] = "";
		unsigned n = 1 + (seed >> 10) % 5;

		for (unsigned i = 0; i < n; i++) {
			seed = seed * 1664525u + 1013904223u;
			strcat(path, i ? "/" : "");
			strcat(path, parts[(seed >> 16) % ARRAY_SIZE(parts)]);
		}
		check_scan(shipped(), path);
	}
}

static void test_wrong(void **state)
{
	static const struct {
		const char *text, *message;
	} cases[] = {
		{ "x", "line 1: a rule is: path category technique severity" },
		{ "\n\n a b c", "line 3: a rule is: path category technique "
				"severity" },
		{ "x nope - 1", "line 1: no category 'nope'; declare it with "
				"'category NAME \"what it holds\"'" },
		{ "category c\nx c T1 1", "line 2: 'T1' is no technique: "
					  "T1053.003, or - for none" },
		{ "category c\nx c T1053.03 1",
		  "line 2: 'T1053.03' is no "
		  "technique: T1053.003, or - for none" },
		{ "category c\nx c - 101",
		  "line 2: '101' is no severity: 60, or "
		  "60..90, up to 100" },
		{ "category c\nx c - 9..8",
		  "line 2: '9..8' is no severity: 60, "
		  "or 60..90, up to 100" },
		{ "category c\nx c - 1x", "line 2: '1x' is no severity: 60, or "
					  "60..90, up to 100" },
		{ "category c\nx c - 1 colour=red",
		  "line 2: 'colour=red' is not "
		  "understood" },
		{ "category c\nx c - 1 red",
		  "line 2: 'red' is not understood" },
		{ "category c\nx c - 1 differ=x", "line 2: 'differ=x' is not "
						  "understood" },
		{ "category c\nx c - 1 if=x", "line 2: 'x' is not known here" },
		{ "category c\nx c - 1 type=!file", "line 2: '!file' is not "
						    "known here" },
		{ "category c\nx c - 1 change=content,", "line 2: '' is not "
							 "known here" },
		{ "category c\nx c - 1 why=a why=b", "line 2: said twice" },
		{ "category c\nx c - 1 has=",
		  "line 2: a text has 1 to 200 bytes" },
		{ "category c\n\"x c - 1", "line 2: a \" without its end" },
		{ "category c\n{,} c - 1", "line 2: an empty pattern" },
		{ "category C",
		  "line 1: a category is: category name \"what it "
		  "holds\"" },
		{ "category", "line 1: a category is: category name \"what it "
			      "holds\"" },
		{ "category c\n{a,b}{a,b}{a,b}{a,b}{a,b}{a,b}{a,b}{a,b}{a,b} c - 1",
		  "line 2: too many patterns" },
	};
	struct herd_rules *r CLEANUP_RULES = herd_rules_create();
	struct herd_diag diag;

	(void)state;
	assert_int_equal(parse(r, "category keep\nx keep - 1", &diag), 0);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		char good[1200];
		int err = parse(r, cases[i].text, &diag);
		size_t n;

		assert_true(err == -EINVAL || err == -EOVERFLOW);
		assert_string_equal(diag.message, cases[i].message);
		assert_string_equal(diag.source, "own.conf");
		/* nothing of it is left, good lines before it included */
		snprintf(good, sizeof(good), "category d\ny d - 2\n%s",
			 cases[i].text);
		assert_int_not_equal(parse(r, good, &diag), 0);
		assert_int_equal(herd_rules_count(r), 1);
		herd_rules_categories(r, &n);
		assert_int_equal(n, 1);
	}
	assert_int_equal(herd_rules_parse(r, "x", "a\0b", 3, NULL), -EINVAL);
}

static void test_limits(void **state)
{
	struct herd_rules *r CLEANUP_RULES = herd_rules_create();
	struct herd_diag diag;
	size_t size = 1 << 20;
	char *text CLEANUP_FREE = calloc(1, size + 1);
	size_t at;

	(void)state;
	assert_non_null(text);
	memset(text, 'x', 5000);
	assert_int_equal(parse(r, text, &diag), -EINVAL);
	assert_string_equal(diag.message, "line 1: more than 4096 bytes");
	at = (size_t)sprintf(text, "category c\n");
	while (at < size - 20)
		at += (size_t)sprintf(text + at, "a%zu c - 1\n", at);
	assert_int_equal(parse(r, text, &diag), -EOVERFLOW);
	assert_string_equal(diag.message, "line 8194: more than 8192 rules");
	assert_int_equal(herd_rules_count(r), 0);
	at = 0;
	for (unsigned i = 0; i < 70; i++)
		at += (size_t)sprintf(text + at, "category c%u\n", i);
	assert_int_equal(parse(r, text, &diag), -EOVERFLOW);
	/* braces in braces, as deep as a pattern is long */
	at = (size_t)sprintf(text, "category c\n");
	for (unsigned i = 0; i < 250; i++)
		text[at++] = '{';
	text[at++] = 'a';
	for (unsigned i = 0; i < 250; i++)
		text[at++] = '}';
	sprintf(text + at, " c - 1\n");
	assert_int_equal(parse(r, text, &diag), 0);
	at = (size_t)sprintf(text, "category c\n");
	for (unsigned i = 0; i < 513; i++)
		text[at++] = 'a';
	sprintf(text + at, " c - 1\n");
	assert_int_equal(parse(r, text, &diag), -EINVAL);
}

static struct herd_meaning by(const struct herd_rules *r, const char *path,
			      unsigned reasons,
			      const struct herd_meaning_side *own,
			      const struct herd_meaning_side *herd)
{
	struct herd_meaning m;

	assert_int_equal(herd_meaning_of(r, path, strlen(path), reasons, own,
					 herd, &m),
			 0);
	return m;
}

/* The last that matches counts; what is parsed later wins. */
static void test_order(void **state)
{
	struct herd_rules *r CLEANUP_RULES = herd_rules_create();
	struct herd_meaning_side own = file_side("secret NOPASSWD\n", 16);
	struct herd_diag diag;
	struct herd_meaning m;

	(void)state;
	assert_int_equal(herd_rules_parse_builtin(r, &diag), 0);
	m = by(r, "opt/app/config.yml", HERD_REASON_ADDED, &own, &absent);
	assert_string_equal(m.category, "data");
	assert_string_equal(m.rule_file, "rules.conf");
	assert_int_equal(
		parse(r,
		      "# ours\r\n"
		      "category app \"our application\"\r\n"
		      "opt/app/** app T1505 44..66 "
		      "differ=config why=\"our \\\"{name}\\\": {what}\"\r\n"
		      "opt/app/*.bin\tapp\t-\t1 # no matter\n",
		      &diag),
		0);
	m = by(r, "opt/app/config.yml", HERD_REASON_ADDED, &own, &absent);
	assert_string_equal(m.category, "app");
	assert_string_equal(m.technique, "T1505");
	assert_int_equal(m.severity, 44);
	assert_string_equal(m.why, "our \"config.yml\": new file, 1 line: "
				   "secret NOPASSWD");
	assert_string_equal(m.rule_file, "own.conf");
	assert_int_equal(m.rule_line, 3);
	assert_true(herd_meaning_wants(r, "opt/app/x", 9));
	assert_false(herd_meaning_wants(r, "opt/app/x.bin", 13));
	m = by(r, "opt/app/x.bin", HERD_REASON_ADDED, &own, &absent);
	assert_int_equal(m.severity, 1);
}

static void test_conditions(void **state)
{
	struct herd_rules *r CLEANUP_RULES = herd_rules_create();
	struct herd_meaning_side own = file_side("#!/bin/sh\nNOPASSWD\n", 19);
	struct herd_meaning_side herd = file_side("x\n", 2);
	struct herd_diag diag;

	(void)state;
	assert_int_equal(parse(r,
			       "category a\ncategory b\n** a - 0\n"
			       "x b - 1 type=dir\nx b - 2 change=mode,owner\n"
			       "x b - 3 has=NOPASSWD if=!executable\n"
			       "x b - 4 if=script,executable\n"
			       "x b - 5 if=shrunk\n",
			       &diag),
			 0);
	assert_int_equal(by(r, "x", HERD_REASON_CONTENT, &own, &herd).severity,
			 3);
	assert_int_equal(by(r, "y", HERD_REASON_CONTENT, &own, &herd).severity,
			 0);
	own.mode |= 0100;
	assert_int_equal(by(r, "x", HERD_REASON_CONTENT, &own, &herd).severity,
			 4);
	herd.size = 20;
	assert_int_equal(by(r, "x", HERD_REASON_CONTENT, &own, &herd).severity,
			 5);
	own = herd;
	assert_int_equal(by(r, "x", HERD_REASON_OWNER, &own, &herd).severity,
			 2);
	assert_int_equal(by(r, "x", HERD_REASON_CONTENT, &own, &herd).severity,
			 0);
	own.mode = S_IFDIR | 0755;
	assert_int_equal(by(r, "x", HERD_REASON_TYPE, &own, &herd).severity, 1);
	/* of what is gone the herd's type is asked */
	assert_int_equal(by(r, "x", HERD_REASON_ABSENT, &absent, &own).severity,
			 1);
}

static void test_template(void **state)
{
	struct herd_rules *r CLEANUP_RULES = herd_rules_create();
	struct herd_meaning_side own = file_side("q\n", 2);
	struct herd_diag diag;
	struct herd_meaning m;
	char path[400];

	(void)state;
	assert_int_equal(parse(r,
			       "category a\n** a - 0 why=\"{path}|{name}|"
			       "{nothing}|{what\"\n",
			       &diag),
			 0);
	m = by(r, "d/\x1b\xff", HERD_REASON_ADDED, &own, &absent);
	assert_string_equal(m.why,
			    "d/\\x1b\\xff|\\x1b\\xff||new file, 1 line: q");
	memset(path, '\x01', sizeof(path));
	path[sizeof(path) - 1] = '\0';
	m = by(r, path, HERD_REASON_ADDED, &own, &absent);
	assert_true(strlen(m.why) < sizeof(m.why));
}

/* Techniques of ATT&CK v19 that a path on a disk can tell of. */
static const char known[] =
	" T1003.008 T1014 T1021.004 T1036.004 T1036.005 T1036.006 T1036.008 "
	"T1037 T1037.004 T1053.002 T1053.003 T1053.006 T1070 T1070.003 "
	"T1070.004 T1072 T1074.001 T1078.003 T1090 T1098 T1098.004 T1098.007 "
	"T1114.003 T1136.001 T1195.001 T1195.002 T1222.002 T1485 T1486 "
	"T1491.002 T1505 T1505.003 T1542 T1542.002 T1542.003 T1543 T1543.002 "
	"T1543.005 T1546 T1546.004 T1546.005 T1546.016 T1546.017 T1546.018 "
	"T1547.006 T1547.013 T1548 T1548.001 T1548.003 T1552 T1552.001 "
	"T1552.003 T1552.004 T1553 T1553.004 T1554 T1556 T1556.003 T1557 "
	"T1564.001 T1565.001 T1572 T1574.006 T1574.007 T1610 T1685 T1685.004 "
	"T1685.006 T1686 T1690 ";

static void test_shipped(void **state)
{
	struct herd_rules *r = shipped();
	size_t n;
	const struct herd_category *c = herd_rules_categories(r, &n);
	unsigned used[64] = { 0 };

	(void)state;
	assert_in_range(n, 10, 30);
	assert_string_equal(c[0].name, "privilege");
	assert_in_range(herd_rules_count(r), 150, 400);
	for (size_t i = 0; i < r->n_rules; i++) {
		char word[16];

		used[r->rules[i].category]++;
		if (!*r->rules[i].technique)
			continue;
		snprintf(word, sizeof(word), " %s ", r->rules[i].technique);
		if (!strstr(known, word))
			fail_msg("line %u: %s", r->rules[i].line, word);
	}
	for (size_t i = 0; i < n; i++) {
		assert_true(used[i]);
		assert_true(*c[i].text);
	}
}

/* The file that is installed is the one that is built in. */
static void test_built_in(void **state)
{
	size_t len;
	const char *text = herd_rules_builtin_text(&len);

	(void)state;
	assert_true(len > 1000);
	assert_int_equal(strlen(text), len);
	assert_int_equal(text[len - 1], '\n');
	assert_non_null(strstr(text, "\netc/passwd"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_glob),
		cmocka_unit_test(test_glob_random),
		cmocka_unit_test(test_index),
		cmocka_unit_test(test_wrong),
		cmocka_unit_test(test_limits),
		cmocka_unit_test(test_order),
		cmocka_unit_test(test_conditions),
		cmocka_unit_test(test_template),
		cmocka_unit_test(test_shipped),
		cmocka_unit_test(test_built_in),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
