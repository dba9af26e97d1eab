/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Patterns, also against a matcher that is slow and plain; rules, right and
 * wrong ones; and what no rule gets by accident.
 */
#include "acquire/base/cleanup.h"
#include "index/glob.h"
#include "index/policy.h"
#include "index/verdict.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

/* ---- patterns ---- */

static bool matches(const char *pattern, const char *path)
{
	return herd_glob_path(pattern, strlen(pattern), path, strlen(path));
}

static void test_glob(void **state)
{
	static const struct {
		const char *pattern, *path;
		bool yes;
	} cases[] = {
		{ "/etc/motd", "etc/motd", true },
		{ "/etc/motd", "/etc/motd", true },
		{ "/etc/motd", "etc/motd2", false },
		{ "/etc/motd", "x/etc/motd", false },
		{ "/etc/motd", "etc", false },
		{ "/etc/mo*", "etc/motd", true },
		{ "/etc/*", "etc/a/b", false },
		{ "/etc/*", "etc", false },
		{ "/*/motd", "etc/motd", true },
		{ "/etc/m?td", "etc/motd", true },
		{ "/etc/m?td", "etc/mtd", false },
		{ "/etc/**", "etc/a", true },
		{ "/etc/**", "etc/a/b/c", true },
		{ "/etc/**", "etc", false },
		{ "/**/x", "x", true },
		{ "/**/x", "a/b/x", true },
		{ "/**/x", "a/b/xy", false },
		{ "/a/**/z", "a/z", true },
		{ "/a/**/z", "a/b/c/z", true },
		{ "/a/**/z", "a/b/c/z/d", false },
		{ "/a/**/b/**/c", "a/x/b/y/b/c", true },
		{ "/a/**/b/*", "a/b/b/b/q", true },
		{ "/a/**/b/*", "a/b/b/b/q/r", false },
		{ "/log-[0-9][0-9]", "log-42", true },
		{ "/log-[0-9]", "log-x", false },
		{ "/log-[!0-9]", "log-x", true },
		{ "/log-[!0-9]", "log-7", false },
		{ "/[]]", "]", true },
		{ "/[a-]", "-", true },
		{ "/a\\*b", "a*b", true },
		{ "/a\\*b", "axb", false },
		{ "/a\\x41", "aA", true },
		{ "/\\xff*", "\xff\xfe", true },
		{ "/*a*b*c", "xxaxxbxxc", true },
		{ "/*a*b*c", "xxaxxcxxb", false },
		{ "/**/*.log", "var/log/a b/x.log", true },
		{ "/**", "", false },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		if (matches(cases[i].pattern, cases[i].path) != cases[i].yes)
			fail_msg("%s on %s", cases[i].pattern, cases[i].path);
}

static void test_glob_check(void **state)
{
	static const char *const good[] = {
		"/a", "/a/**", "/**/a", "/*/[a-z]*", "/a b", "/\\*",
	};
	static const char *const bad[] = {
		"", "a", "/", "//a", "/a/", "/a//b", "/**", "/*", "/?/**",
		"/a**", "/**a", "/[a", "/[", "/a\\", "/a\\x4", "/a\\x00",
		"/a\\x2fb", "/a/../b", "/./a",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(good); i++)
		assert_null(herd_glob_check(good[i], strlen(good[i])));
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		if (!herd_glob_check(bad[i], strlen(bad[i])))
			fail_msg("%s is fine?", bad[i]);
	assert_null(herd_glob_check_name("i-*", 3));
	assert_non_null(herd_glob_check_name("a/b", 3));
	assert_non_null(herd_glob_check_name("", 0));
}

/* As the words of index/glob.h have it, with every way tried. */
static bool slow_name(const char *p, const char *s)
{
	if (*p == '*')
		return slow_name(p + 1, s) ||
		       (*s && *s != '/' && slow_name(p, s + 1));
	if (!*p || *p == '/')
		return !*s || *s == '/';
	return *s && *s != '/' && (*p == '?' || *p == *s) &&
	       slow_name(p + 1, s + 1);
}

static bool slow_path(const char *p, const char *s)
{
	const char *p_end = strchr(p, '/'), *s_end = strchr(s, '/');

	if (strncmp(p, "**", 2) == 0) {
		if (!p_end)
			return true;
		if (slow_path(p_end + 1, s))
			return true;
		return s_end && slow_path(p, s_end + 1);
	}
	if (!slow_name(p, s))
		return false;
	if (!p_end || !s_end)
		return !p_end && !s_end;
	return slow_path(p_end + 1, s_end + 1);
}

static uint32_t next(uint32_t *seed)
{
	*seed = *seed * 1664525 + 1013904223;
	return *seed >> 16;
}

static void random_path(uint32_t *seed, const char *letters, bool folders,
			char *out)
{
	unsigned parts = 1 + next(seed) % 5;

	for (unsigned i = 0; i < parts; i++) {
		if (i)
			*out++ = '/';
		if (folders && next(seed) % 3 == 0) {
			*out++ = '*';
			*out++ = '*';
			continue;
		}
		for (unsigned n = 1 + next(seed) % 4, star = 0; n; n--) {
			char c = letters[next(seed) % strlen(letters)];

			if (c == '*' && star)
				c = 'a';
			star = c == '*';
			*out++ = c;
		}
	}
	*out = '\0';
}

static void test_glob_random(void **state)
{
	uint32_t seed = 1;
	size_t hits = 0;

	(void)state;
	for (unsigned i = 0; i < 200000; i++) {
		char pattern[64], path[64];
		bool fast, slow;

		random_path(&seed, "aab*?", true, pattern);
		random_path(&seed, "aab", false, path);
		fast = matches(pattern, path);
		slow = slow_path(pattern, path);
		hits += slow;
		if (fast != slow)
			fail_msg("%s on %s: %d, not %d", pattern, path, fast,
				 slow);
	}
	assert_in_range(hits, 10000, 190000);
}

/* What costs a matcher that tries every way more than a life. */
static void test_glob_hostile(void **state)
{
	char pattern[1024] = "/", path[65536];

	(void)state;
	while (strlen(pattern) < 1000)
		strcat(pattern, "a*");
	strcat(pattern, "b");
	memset(path, 'a', sizeof(path) - 1);
	path[sizeof(path) - 1] = '\0';
	assert_false(matches(pattern, path));
	strcpy(pattern, "/");
	while (strlen(pattern) < 1000)
		strcat(pattern, "**/a/");
	strcat(pattern, "b");
	for (size_t i = 1; i < sizeof(path) - 1; i += 2)
		path[i] = '/';
	assert_false(matches(pattern, path));
}

/* ---- files ---- */

#define TAIL "reason = r\nowner = o\nexpires = never\n"

static int parse(const char *text, struct herd_policy *p,
		 struct herd_diag *diag)
{
	*diag = (struct herd_diag){ .offset = HERD_NO_OFFSET };
	*p = (struct herd_policy){ 0 };
	return herd_policy_parse("rules", text, strlen(text), p, diag);
}

static void must_parse(const char *text, struct herd_policy *p)
{
	struct herd_diag diag;

	if (parse(text, p, &diag))
		fail_msg("%s: %s", diag.source, diag.message);
}

static void test_parse(void **state)
{
	struct herd_policy p;
	const struct herd_policy_rule *r;

	(void)state;
	must_parse("# a comment\n"
		   "\r\n"
		   "suppress /var/lib/a b/**  \r\n"
		   "\tgroup = web*\n"
		   "  instance=i-?\n"
		   "  changes = content , added\n"
		   "  allow = setid, credential\n"
		   "  reason = because # of = it\n"
		   "  # between\n"
		   "  owner = Zo\xc3\xab\n"
		   "  expires = 2024-02-29\n"
		   "suppress /etc/motd\n" TAIL, &p);
	assert_int_equal(p.n, 2);
	assert_true(p.by_instance);
	r = &p.v[0];
	assert_int_equal(r->line, 3);
	assert_string_equal(r->pattern, "/var/lib/a b/**");
	assert_string_equal(r->group, "web*");
	assert_string_equal(r->instance, "i-?");
	assert_int_equal(r->reasons, HERD_REASON_CONTENT | HERD_REASON_ADDED);
	assert_int_equal(r->allow, HERD_POLICY_SETID | HERD_POLICY_CREDENTIAL);
	assert_string_equal(r->reason, "because # of = it");
	assert_string_equal(r->owner, "Zo\xc3\xab");
	assert_string_equal(r->until, "2024-02-29");
	assert_int_equal(r->expires, 1709251200);	/* 2024-03-01 */
	assert_false(herd_policy_expired(r, 1709251199));
	assert_true(herd_policy_expired(r, 1709251200));
	r = &p.v[1];
	assert_int_equal(r->line, 12);
	assert_null(r->group);
	assert_int_equal(r->expires, HERD_POLICY_NEVER);
	herd_policy_deinit(&p);
	must_parse("", &p);
	assert_int_equal(p.n, 0);
	must_parse("# nothing", &p);
	assert_int_equal(p.n, 0);
}

static void test_parse_wrong(void **state)
{
	static const struct {
		const char *text;
		unsigned line;
		const char *says;
	} cases[] = {
		{ "suppress /a\nowner=o\nexpires=never\n", 1, "no reason" },
		{ "suppress /a\nreason=r\nexpires=never\n", 1, "no owner" },
		{ "\nsuppress /a\nreason=r\nowner=o", 2, "no expires" },
		{ "suppress /a\nreason=r\nsuppress /b\n" TAIL, 1, "no owner" },
		{ "suppress a\n" TAIL, 1, "begin with /" },
		{ "suppress /**\n" TAIL, 1, "everything" },
		{ "suppress\n" TAIL, 1, "neither" },
		{ "/etc/motd\n", 1, "neither" },
		{ "reason = r\n", 1, "none has begun" },
		{ "suppress /a\nwhy = r\n", 2, "no \"why\"" },
		{ "suppress /a\nreason = r\nreason = s\n", 3, "twice" },
		{ "suppress /a\nreason =  \n", 2, "empty" },
		{ "suppress /a\nexpires = 2025-02-29\n", 2, "no day" },
		{ "suppress /a\nexpires = 2025-13-01\n", 2, "no day" },
		{ "suppress /a\nexpires = 2025-1-1\n", 2, "no day" },
		{ "suppress /a\nexpires = 2025-01-01x\n", 2, "no day" },
		{ "suppress /a\nexpires = soon\n", 2, "no day" },
		{ "suppress /a\nchanges = everything\n", 2, "kind of change" },
		{ "suppress /a\nchanges = content,,mode\n", 2, "kind of" },
		{ "suppress /a\nallow = root\n", 2, "thing to allow" },
		{ "suppress /a\ngroup = a/b\n", 2, "slash" },
		{ "suppress /a\nreason = \x1b[31m\n", 2, "no text" },
		{ "suppress /a\xff\n", 1, "\\xff" },
	};
	struct herd_policy p;
	struct herd_diag diag;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		char where[32];

		assert_int_equal(parse(cases[i].text, &p, &diag), -EINVAL);
		snprintf(where, sizeof(where), "rules:%u", cases[i].line);
		if (strcmp(diag.source, where) != 0 ||
		    !strstr(diag.message, cases[i].says))
			fail_msg("%zu: %s: %s", i, diag.source, diag.message);
		assert_int_equal(p.n, 0);
	}
}

static void test_limits(void **state)
{
	const size_t size = HERD_POLICY_BYTES_MAX + 2;
	char *text = malloc(size);
	struct herd_policy p = { 0 };
	struct herd_diag diag = { .offset = HERD_NO_OFFSET };
	size_t n = 0, rules = 0;

	(void)state;
	memset(text, '\n', size);
	assert_int_equal(herd_policy_parse("x", text, HERD_POLICY_BYTES_MAX,
					   &p, NULL), 0);
	assert_int_equal(herd_policy_parse("x", text, size - 1, &p, NULL),
			 -EOVERFLOW);
	memset(text, 'a', size);
	assert_int_equal(herd_policy_parse("x", text, 2000, &p, NULL),
			 -EOVERFLOW);
	for (; rules <= HERD_POLICY_RULES_MAX; rules++)
		n += (size_t)sprintf(text + n, "suppress /a%zu\n" TAIL, rules);
	assert_int_equal(herd_policy_parse("x", text, n, &p, &diag),
			 -EOVERFLOW);
	assert_non_null(strstr(diag.message, "rules"));
	free(text);
}

/* ---- what applies ---- */

static const struct herd_policy_rule *
ask(const struct herd_policy *p, const char *path,
    struct herd_policy_question q)
{
	q.path = path;
	q.path_len = strlen(path);
	q.group = q.group ? q.group : "web";
	q.instance = q.instance ? q.instance : "i-1";
	q.reasons = q.reasons ? q.reasons : HERD_REASON_CONTENT;
	return herd_policy_match(p, &q);
}

#define ASK(p, path, ...) ask(p, path, (struct herd_policy_question){ \
			      .mode = S_IFREG | 0644, __VA_ARGS__ })

static void test_match(void **state)
{
	struct herd_policy p;

	(void)state;
	must_parse("suppress /var/a\ngroup=web*\ninstance=i-1\n"
		   "changes=content,mode\n" TAIL
		   "suppress /var/*\nreason=r\nowner=o\nexpires=1970-01-10\n"
		   "suppress /var/**\n" TAIL, &p);
	assert_ptr_equal(ASK(&p, "var/a"), &p.v[0]);
	assert_ptr_equal(ASK(&p, "var/b"), &p.v[1]);
	assert_ptr_equal(ASK(&p, "var/b/c"), &p.v[2]);
	assert_null(ASK(&p, "etc/a"));
	/* each thing that a rule asks for, wrong by itself */
	assert_ptr_equal(ASK(&p, "var/a", .group = "db"), &p.v[1]);
	assert_ptr_equal(ASK(&p, "var/a", .instance = "i-2"), &p.v[1]);
	assert_ptr_equal(ASK(&p, "var/a", .reasons = HERD_REASON_MODE),
			 &p.v[0]);
	assert_ptr_equal(ASK(&p, "var/a", .reasons = HERD_REASON_CONTENT |
			     HERD_REASON_OWNER), &p.v[1]);
	assert_ptr_equal(ASK(&p, "var/b", .now = 864000 - 1), &p.v[1]);
	assert_ptr_equal(ASK(&p, "var/b", .now = 864000), &p.v[2]);
	herd_policy_deinit(&p);
}

/* Whether a rule that allows these things hides it. */
static bool hides(unsigned allow, const char *path,
		  struct herd_policy_question q)
{
	char text[256], names[64];
	struct herd_policy p;
	bool hidden;

	herd_policy_allow_text(allow, names, sizeof(names));
	snprintf(text, sizeof(text), "suppress /**/[!\\x01]*\n%s%s\n" TAIL,
		 allow ? "allow = " : "", names);
	must_parse(text, &p);
	hidden = ask(&p, path, q) != NULL;
	herd_policy_deinit(&p);
	return hidden;
}

static void needs(unsigned what, const char *path,
		  struct herd_policy_question q)
{
	for (unsigned allow = 0; allow < 8; allow++)
		if (hides(allow, path, q) != !(what & ~allow))
			fail_msg("%s (0%o, 0%o): with %u", path, q.mode,
				 q.herd_mode, allow);
}

#define NEEDS(what, path, ...) \
	needs(what, path, (struct herd_policy_question){ __VA_ARGS__ })

static void test_needs(void **state)
{
	static const char *const credentials[] = {
		"etc/shadow", "etc/shadow-", "etc/passwd", "etc/sudoers",
		"etc/sudoers.d/x", "etc/pam.d/sshd", "root/.ssh/config",
		"home/u/.ssh/authorized_keys", "etc/ssh/sshd_config",
		"etc/ssh/ssh_host_rsa_key", "srv/tls/server.key",
		"srv/tls/chain.pem", "home/u/.aws/credentials",
		"srv/.env", "chroot/etc/shadow", ".volumes/1/p1/etc/shadow",
		"var/www/.htpasswd", "etc/krb5.keytab",
	};
	static const char *const programs[] = {
		"usr/lib/libx.so", "usr/lib/libx.so.1.2", "srv/www/x.php",
		"lib/modules/6.1/x.ko.xz", "opt/x.py", "srv/x.jsp",
		"etc/ld.so.preload", "etc/cron.d/x", "etc/crontab",
		"etc/systemd/system/x.service", "etc/profile.d/x.conf",
		"root/.bashrc", "var/spool/cron/crontabs/root",
		"boot/grub/grub.cfg",
	};
	const unsigned setid = HERD_POLICY_SETID;
	const unsigned run = HERD_POLICY_EXECUTABLE;
	const unsigned secret = HERD_POLICY_CREDENTIAL;

	(void)state;
	NEEDS(0, "var/x", .mode = S_IFREG | 0644);
	NEEDS(0, "var/x", .mode = S_IFDIR | S_ISGID | 0755);
	NEEDS(0, "var/x", .mode = S_IFLNK | 0777);
	NEEDS(run, "var/x", .mode = S_IFREG | 0744);
	NEEDS(run, "var/x", .mode = S_IFREG | 0645);
	NEEDS(run, "var/x", .mode = S_IFREG | 0644,
	      .herd_mode = S_IFREG | 0755);
	NEEDS(run, "var/x", .herd_mode = S_IFREG | 0755,
	      .reasons = HERD_REASON_ABSENT);
	NEEDS(run, "var/x", .mode = S_IFREG | 0644,
	      .executable_content = true);
	NEEDS(setid, "var/x", .mode = S_IFREG | S_ISUID | 0644);
	NEEDS(setid | run, "var/x", .mode = S_IFREG | S_ISGID | 0755);
	NEEDS(setid | run, "var/x", .herd_mode = S_IFREG | S_ISUID | 0755);
	/* capabilities are attributes */
	NEEDS(setid | run, "var/x", .mode = S_IFREG | 0755,
	      .reasons = HERD_REASON_XATTR);
	NEEDS(0, "var/x", .mode = S_IFREG | 0644, .reasons = HERD_REASON_XATTR);
	NEEDS(setid | run, "var/x", .mode = 0);
	NEEDS(secret, "var/x", .mode = S_IFREG | 0644, .credential = true);
	for (size_t i = 0; i < ARRAY_SIZE(credentials); i++)
		NEEDS(secret, credentials[i], .mode = S_IFREG | 0600);
	for (size_t i = 0; i < ARRAY_SIZE(programs); i++)
		NEEDS(run, programs[i], .mode = S_IFREG | 0644);
	NEEDS(0, "etc/cron.d/x", .mode = S_IFDIR | 0755);
	NEEDS(0, "etc/motd", .mode = S_IFREG | 0644);
	NEEDS(0, "var/log/syslog", .mode = S_IFREG | 0644);
	NEEDS(0, "etc/hostname", .mode = S_IFREG | 0644);
}

/* A rule that may not speak lets the next one have its word. */
static void test_next_rule(void **state)
{
	struct herd_policy p;

	(void)state;
	must_parse("suppress /opt/x\n" TAIL
		   "suppress /opt/*\nallow=executable\n" TAIL, &p);
	assert_ptr_equal(ASK(&p, "opt/x"), &p.v[0]);
	assert_ptr_equal(ask(&p, "opt/x", (struct herd_policy_question){
			     .mode = S_IFREG | 0755 }), &p.v[1]);
	herd_policy_deinit(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_glob),
		cmocka_unit_test(test_glob_check),
		cmocka_unit_test(test_glob_random),
		cmocka_unit_test(test_glob_hostile),
		cmocka_unit_test(test_parse),
		cmocka_unit_test(test_parse_wrong),
		cmocka_unit_test(test_limits),
		cmocka_unit_test(test_match),
		cmocka_unit_test(test_needs),
		cmocka_unit_test(test_next_rule),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
