/* SPDX-License-Identifier: Apache-2.0 */
/* What dpkg keeps, as text of an image that may say anything. */
#include "acquire/base/buf.h"
#include "acquire/base/sha256.h"
#include "index/dpkg.h"

#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static struct herd_dpkg_text text(const char *s)
{
	return (struct herd_dpkg_text){ s, strlen(s) };
}

static bool is(struct herd_dpkg_text a, const char *s)
{
	return a.len == strlen(s) && !memcmp(a.p, s, a.len);
}

static void test_info(void **state)
{
	static const struct {
		const char *path;
		enum herd_dpkg_info what;
		const char *package;
	} examples[] = {
		{ "var/lib/dpkg/info/bash.list", HERD_DPKG_FILES, "bash" },
		{ "var/lib/dpkg/info/bash.md5sums", HERD_DPKG_FILES, "bash" },
		{ "var/lib/dpkg/info/libc6:amd64.list", HERD_DPKG_FILES,
		  "libc6:amd64" },
		{ "var/lib/dpkg/info/python3.11.list", HERD_DPKG_FILES,
		  "python3.11" },
		{ "var/lib/dpkg/info/libc6:amd64.symbols", HERD_DPKG_DATA,
		  "libc6:amd64" },
		{ "var/lib/dpkg/info/a.conffiles", HERD_DPKG_DATA, "a" },
		/* scripts are programs, whatever they belong to */
		{ "var/lib/dpkg/info/a.postinst", HERD_DPKG_NONE, "" },
		{ "var/lib/dpkg/info/a.prerm", HERD_DPKG_NONE, "" },
		{ "var/lib/dpkg/info/a.config", HERD_DPKG_NONE, "" },
		{ "var/lib/dpkg/info/.list", HERD_DPKG_NONE, "" },
		{ "var/lib/dpkg/info/list", HERD_DPKG_NONE, "" },
		{ "var/lib/dpkg/info/a.lists", HERD_DPKG_NONE, "" },
		{ "var/lib/dpkg/info/a.", HERD_DPKG_NONE, "" },
		{ "var/lib/dpkg/info/d/a.list", HERD_DPKG_NONE, "" },
		{ "var/lib/dpkg/info/", HERD_DPKG_NONE, "" },
		{ "var/lib/dpkg/infos/a.list", HERD_DPKG_NONE, "" },
		{ "x/var/lib/dpkg/info/a.list", HERD_DPKG_NONE, "" },
		{ "", HERD_DPKG_NONE, "" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(examples); i++) {
		struct herd_dpkg_text package = text("");

		if (herd_dpkg_info_of(examples[i].path,
				      strlen(examples[i].path),
				      &package) != examples[i].what ||
		    !is(package, examples[i].package))
			fail_msg("%s", examples[i].path);
	}
}

static void test_traces(void **state)
{
	static const char *const traces[] = {
		"var/lib/dpkg/status-old",    "var/lib/apt/lists/x_Packages",
		"var/cache/apt/pkgcache.bin", "var/log/apt/history.log",
		"var/log/dpkg.log",	      "var/cache/debconf/config.dat",
	};
	static const char *const others[] = {
		"var/lib/dpkg/status",
		"var/lib/dpkg/info/a.list",
		"var/lib/dpkg/alternatives/x",
		"var/log/auth.log",
		"etc/apt/sources.list",
		"etc/apt/trusted.gpg.d/x.gpg",
		"var/lib/apt/keyrings/x",
		"var/cache/ldconfig",
		"",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(traces); i++)
		assert_true(herd_dpkg_traces(traces[i], strlen(traces[i])));
	for (size_t i = 0; i < ARRAY_SIZE(others); i++)
		assert_false(herd_dpkg_traces(others[i], strlen(others[i])));
}

/* Its version in a status file; "" where it has none. */
static void version(const char *status, const char *package, const char *want)
{
	struct herd_dpkg_text got = text("");
	size_t len = strlen(status);
	char *exact CLEANUP_FREE = malloc(len ? len : 1);

	memcpy(exact, status, len);
	if (herd_dpkg_version((struct herd_dpkg_text){ exact, len },
			      text(package), &got) != (*want != '\0') ||
	    !is(got, want))
		fail_msg("%s of %s: \"%.*s\"", package, status, (int)got.len,
			 got.p);
}

#define INSTALLED "Status: install ok installed\n"

static void test_version(void **state)
{
	static const char status[] =
		"Package: bash\nStatus: install ok installed\n"
		"Architecture: amd64\nVersion: 5.2.15-2+b2\n"
		"Description: shell\n Package: forged\n Version: 9\n .\n\n"
		"Package: libc6\n" INSTALLED "Architecture: i386\nVersion: 2.35\n\n"
		"Package: libc6\n" INSTALLED "Architecture: amd64\nVersion: 2.36\n\n"
		"Package: bash-doc\nVersion: 1\n" INSTALLED "\n"
		"Package: noversion\n" INSTALLED "Architecture: all\n\n"
		"Package: nostatus\nVersion: 1\n\n"
		"Package: last\n" INSTALLED "Version: 1:2-3";

	(void)state;
	version(status, "bash", "5.2.15-2+b2");
	version(status, "bash:amd64", "5.2.15-2+b2");
	version(status, "bash:i386", "");
	version(status, "libc6:amd64", "2.36");
	version(status, "libc6:i386", "2.35");
	version(status, "libc6:arm64", "");
	version(status, "bash-doc", "1");
	version(status, "last", "1:2-3");
	version(status, "noversion", "");
	version(status, "nostatus", "");
	version(status, "bas", "");
	version(status, "forged", "");
	version(status, "", "");
	version("", "bash", "");
	version("\n\n\n", "bash", "");
	/* the paragraph ends, so does what it says */
	version("Package: a\n" INSTALLED "\nVersion: 1\n", "a", "");
	version("Version: 1\n" INSTALLED "\nPackage: a\n", "a", "");
	version(INSTALLED "\nPackage: a\nVersion: 1\n", "a", "");
	version("Version: 1\n" INSTALLED "Package: a\n", "a", "1");
	version(INSTALLED "Packages: a\nVersion: 1\n", "a", "");
	version(INSTALLED "Package:a\nVersion:1\n", "a", "1");
	version(INSTALLED "Package: a\nVersion\n", "a", "");
	version(INSTALLED "Package: a\nVersion: \n", "a", "");
}

static void test_next(void **state)
{
	static const char list[] =
		"/.\n/usr\n/usr/bin/a b\n\n//etc/x\nrel\n/last";
	static const char sums[] =
		"d41d8cd98f00b204e9800998ecf8427e  usr/bin/a\n"
		"D41D8CD98F00B204E9800998ECF8427E  usr/bin/upper\n"
		"d41d8cd98f00b204e9800998ecf8427  usr/bin/short\n"
		"d41d8cd98f00b204e9800998ecf8427e usr/bin/one-blank\n"
		"d41d8cd98f00b204e9800998ecf8427g  usr/bin/no-hex\n"
		"d41d8cd98f00b204e9800998ecf8427e  \n"
		"\n"
		"00112233445566778899aabbccddeeff  /usr/bin/b";
	static const char *const paths[] = { "usr", "usr/bin/a b", "etc/x",
					     "rel", "last" };
	struct herd_dpkg_text rest = text(list), path;
	uint8_t md5[16];
	size_t n = 0;

	(void)state;
	for (; herd_dpkg_next(&rest, NULL, &path); n++) {
		assert_in_range(n, 0, ARRAY_SIZE(paths) - 1);
		assert_true(is(path, paths[n]));
	}
	assert_int_equal(n, ARRAY_SIZE(paths));
	rest = text(sums);
	assert_true(herd_dpkg_next(&rest, md5, &path));
	assert_true(is(path, "usr/bin/a"));
	assert_int_equal(md5[0], 0xd4);
	assert_int_equal(md5[15], 0x7e);
	assert_true(herd_dpkg_next(&rest, md5, &path));
	assert_true(is(path, "usr/bin/b"));
	assert_int_equal(md5[1], 0x11);
	assert_false(herd_dpkg_next(&rest, md5, &path));
	assert_int_equal(rest.len, 0);
}

/* ---- this machine's own ---- */

static char *read_file(const char *path, size_t *ret_len)
{
	FILE *f = fopen(path, "rb");
	struct herd_buf b = HERD_BUF_INIT;
	char block[65536];
	size_t n;

	if (!f)
		return NULL;
	while ((n = fread(block, 1, sizeof(block), f)) > 0)
		herd_buf_put(&b, block, n);
	fclose(f);
	assert_false(b.failed);
	*ret_len = b.len;
	return b.data ? (char *)b.data : calloc(1, 1);
}

/* What its lists say is what lies there, for some of its files. */
static void check_package(const char *package, size_t *checked, size_t *wrong)
{
	char path[600];
	struct herd_dpkg_text rest, name;
	uint8_t md5[16], own[16];
	size_t len = 0;

	snprintf(path, sizeof(path), "/" HERD_DPKG_INFO "%s.md5sums", package);
	char *sums CLEANUP_FREE = read_file(path, &len);

	if (!sums)
		return;
	rest = (struct herd_dpkg_text){ sums, len };
	for (size_t n = 0; n < 2 && herd_dpkg_next(&rest, md5, &name); n++) {
		size_t size = 0;

		snprintf(path, sizeof(path), "/%.*s", (int)name.len, name.p);
		char *content CLEANUP_FREE = read_file(path, &size);

		if (!content || !herd_md5(content, size, own))
			continue;
		++*checked;
		*wrong += memcmp(own, md5, sizeof(md5)) != 0;
	}
}

static void test_this_machine(void **state)
{
	size_t len = 0, packages = 0, checked = 0, wrong = 0, scripts = 0,
	       removed = 0;
	char *status CLEANUP_FREE = read_file("/" HERD_DPKG_STATUS, &len);
	DIR *d = opendir("/" HERD_DPKG_INFO);
	struct herd_dpkg_text v;

	(void)state;
	if (!status || !d) {
		if (d)
			closedir(d);
		print_message("skipped: no dpkg here\n");
		skip();
	}
	for (struct dirent *e; (e = readdir(d));) {
		struct herd_dpkg_text package;
		char path[600], name[300];
		enum herd_dpkg_info what;

		snprintf(path, sizeof(path), HERD_DPKG_INFO "%s", e->d_name);
		what = herd_dpkg_info_of(path, strlen(path), &package);
		scripts += what == HERD_DPKG_NONE;
		if (what != HERD_DPKG_FILES || !strstr(path, ".list"))
			continue;
		snprintf(name, sizeof(name), "%.*s", (int)package.len,
			 package.p);
		/* what has a list is in the status, also when it was removed
		   but for its settings */
		if (!herd_dpkg_version((struct herd_dpkg_text){ status, len },
				       package, &v))
			removed++;
		else
			assert_in_range(v.len, 1, 200);
		if (packages++ % 8 == 0)
			check_package(name, &checked, &wrong);
	}
	closedir(d);
	print_message(
		"%zu packages, %zu other files, %zu MD5 sums, %zu wrong\n",
		packages, scripts, checked, wrong);
	assert_true(packages > 20 && removed < packages / 2);
	assert_true(scripts > 0);
	/* documentation is often left out of containers, hardly ever changed */
	assert_true(checked > 10 && wrong * 20 <= checked);
}

/* How far a package is. */
static void test_states(void **state)
{
	static const struct {
		const char *status;
		bool there;
	} cases[] = {
		{ "install ok installed", true },
		{ "hold ok installed", true },
		{ "deinstall ok installed", true }, /* wanted, not done yet */
		{ "install ok unpacked", true },
		{ "install ok half-configured", true },
		{ "install ok triggers-awaited", true },
		{ "install  ok triggers-pending", true },
		{ "deinstall ok config-files", false },
		{ "purge ok not-installed", false },
		{ "install ok half-installed", false },
		{ "install reinstreq installed", false },
		{ "install ok installed and more", false },
		{ "installed", false },
		{ "install ok", false },
		{ "", false },
	};
	char text[200];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		snprintf(text, sizeof(text),
			 "Package: a\nStatus: %s\nVersion: 1\n",
			 cases[i].status);
		version(text, "a", cases[i].there ? "1" : "");
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_info),
		cmocka_unit_test(test_traces),
		cmocka_unit_test(test_version),
		cmocka_unit_test(test_states),
		cmocka_unit_test(test_next),
		cmocka_unit_test(test_this_machine),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
