/* SPDX-License-Identifier: Apache-2.0 */
/* Package lists: made up ones, hostile ones, and this machine's own. */
#include "acquire/base/cleanup.h"
#include "index/dpkg.h"

#include <dirent.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

static void dpkg_free(struct herd_dpkg **d)
{
	herd_dpkg_destroy(*d);
}
#define DPKG CLEANUP(dpkg_free) struct herd_dpkg

static struct herd_dpkg *make(bool merged, const char *status)
{
	struct herd_dpkg *d = NULL;

	assert_int_equal(herd_dpkg_create(merged, &d), 0);
	assert_int_equal(herd_dpkg_add_status(d, status, strlen(status)), 0);
	return d;
}

static void add(struct herd_dpkg *d, const char *name, const char *text)
{
	assert_int_equal(herd_dpkg_add_info(d, name, text, strlen(text)), 0);
}

#define A "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define B "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
#define C "cccccccccccccccccccccccccccccccc"

static const uint8_t *md5(char c)
{
	static uint8_t v[3][16];

	for (int i = 0; i < 3; i++)
		memset(v[i], 0xaa + 0x11 * i, 16);
	return v[c - 'a'];
}

static const char status[] = "Package: bash\n"
			     "Status: install ok installed\n"
			     "Architecture: amd64\n"
			     "Version: 5.2-1\n"
			     "Conffiles:\n"
			     " /etc/bash.bashrc " A "\n"
			     " /etc/with space " B " obsolete\n"
			     " /etc/new newconffile\n"
			     "Description: a shell\n"
			     " Package: not a field\n"
			     " .\n"
			     "\n"
			     "package: libc6\n"
			     "STATUS: install ok installed\n"
			     "architecture: i386\n"
			     "version: 2.36-9\n"
			     "\n"
			     "Package: libc6\n"
			     "Status: install ok unpacked\n"
			     "Architecture: amd64\n"
			     "Version: 2.36-10\n"
			     "\n"
			     "\n"
			     "Package: gone\n"
			     "Status: deinstall ok config-files\n"
			     "Architecture: all\n"
			     "Version: 1\n"
			     "Conffiles:\n"
			     " /etc/gone " A "\n";

static int find(const struct herd_dpkg *d, const char *path,
		struct herd_dpkg_owner *ret)
{
	return herd_dpkg_find(d, path, strlen(path), NULL, ret);
}

static void test_status(void **unused)
{
	(void)unused;
	DPKG *d = make(true, status);
	struct herd_dpkg_owner o;

	assert_string_equal(herd_dpkg_version(d, "bash", NULL), "5.2-1");
	assert_string_equal(herd_dpkg_version(d, "bash", "all"), "5.2-1");
	assert_null(herd_dpkg_version(d, "bash", "arm64"));
	assert_null(herd_dpkg_version(d, "bas", NULL));
	assert_null(herd_dpkg_version(d, "bash2", NULL));
	assert_null(herd_dpkg_version(d, "gone", NULL));
	assert_string_equal(herd_dpkg_version(d, "libc6", "i386"), "2.36-9");
	assert_string_equal(herd_dpkg_version(d, "libc6", "amd64"), "2.36-10");

	assert_int_equal(herd_dpkg_find(d, "etc/bash.bashrc", 15, NULL, &o),
			 -ENOENT); /* not sealed yet */
	assert_int_equal(herd_dpkg_seal(d), 0);
	assert_int_equal(find(d, "/etc/bash.bashrc", &o), 0);
	assert_string_equal(o.package, "bash");
	assert_string_equal(o.arch, "amd64");
	assert_string_equal(o.version, "5.2-1");
	assert_true(o.conffile && o.has_md5);
	assert_memory_equal(o.md5, md5('a'), 16);
	assert_int_equal(find(d, "etc/with space", &o), 0);
	assert_memory_equal(o.md5, md5('b'), 16);
	assert_int_equal(find(d, "etc/new", &o), -ENOENT);
	assert_int_equal(find(d, "etc/gone", &o), -ENOENT);
	assert_int_equal(herd_dpkg_skipped(d), 0);
	assert_int_equal(herd_dpkg_add_status(d, "", 0), -EINVAL);
	assert_int_equal(herd_dpkg_add_info(d, "bash.list", "/x\n", 3),
			 -EINVAL);
}

static void test_info(void **unused)
{
	(void)unused;
	DPKG *d = make(true, status);
	struct herd_dpkg_owner o;

	add(d, "bash.md5sums", A "  bin/bash\n" B " *usr/bin/bashbug\n");
	add(d, "bash.list", "/.\n/bin\n/bin/bash\n/bin/rbash\n/usr\n/etc\n");
	add(d, "libc6:amd64.md5sums", C "  lib/x/libc.so.6");
	add(d, "libc6:i386.md5sums", B "  lib/x/libc.so.6\nnonsense\n\n");
	add(d, "gone.list", "/etc/gone\n");
	add(d, "nobody.list", "/etc/nobody\n");
	add(d, "bash.postinst", "/etc/script\n");
	assert_int_equal(herd_dpkg_skipped(d), 2);
	assert_int_equal(herd_dpkg_seal(d), 0);

	assert_int_equal(find(d, "/usr/bin/bash", &o), 0);
	assert_true(o.has_md5 && !o.conffile);
	assert_int_equal(find(d, "bin/bash", &o), 0);
	assert_int_equal(find(d, "./bin/bash/", &o), 0);
	assert_int_equal(find(d, "usr/bin/rbash", &o), 0);
	assert_false(o.has_md5);
	assert_int_equal(find(d, "usr/bin/bas", &o), -ENOENT);
	assert_int_equal(find(d, "usr/bin/bash2", &o), -ENOENT);
	assert_int_equal(find(d, "usr/bin/bashbug", &o), 0);
	assert_int_equal(find(d, "bin", &o), 0);
	assert_int_equal(find(d, "etc/gone", &o), -ENOENT);
	assert_int_equal(find(d, "etc/nobody", &o), -ENOENT);
	assert_int_equal(find(d, "etc/script", &o), -ENOENT);
	assert_int_equal(find(d, "", &o), -ENOENT);
	assert_int_equal(find(d, "/", &o), -ENOENT);

	/* of two owners the one whose MD5 it is */
	assert_int_equal(herd_dpkg_find(d, "lib/x/libc.so.6", 15, md5('c'), &o),
			 0);
	assert_string_equal(o.arch, "amd64");
	assert_int_equal(herd_dpkg_find(d, "lib/x/libc.so.6", 15, md5('b'), &o),
			 0);
	assert_string_equal(o.arch, "i386");
	assert_int_equal(herd_dpkg_find(d, "lib/x/libc.so.6", 15, md5('a'), &o),
			 0);

	/* where / and /usr are two, they stay so */
	DPKG *u = make(false, status);

	add(u, "bash.md5sums", A "  bin/bash\n");
	assert_int_equal(herd_dpkg_seal(u), 0);
	assert_int_equal(find(u, "bin/bash", &o), 0);
	assert_int_equal(find(u, "usr/bin/bash", &o), -ENOENT);
}

/* ---- why a file is as it is ---- */

static struct herd_dpkg *with_bash(const char *version, const char *sums)
{
	char text[256];

	snprintf(text, sizeof(text),
		 "Package: bash\nStatus: install ok installed\n"
		 "Architecture: amd64\nVersion: %s\n",
		 version);
	struct herd_dpkg *d = make(true, version ? text : "");

	add(d, "bash.md5sums", sums);
	assert_int_equal(herd_dpkg_seal(d), 0);
	return d;
}

static enum herd_dpkg_change explain(const struct herd_dpkg *d,
				     const struct herd_dpkg *other,
				     const char *path, char sum)
{
	struct herd_dpkg_owner o = { 0 };
	enum herd_dpkg_change c = herd_dpkg_explain(
		d, other, path, strlen(path), sum ? md5(sum) : NULL, &o);

	assert_true((o.package != NULL) == (c != HERD_DPKG_UNEXPLAINED));
	return c;
}

static enum herd_dpkg_change absent(const struct herd_dpkg *d,
				    const struct herd_dpkg *other,
				    const char *path)
{
	struct herd_dpkg_owner o = { 0 };
	enum herd_dpkg_change c =
		herd_dpkg_explain_absent(d, other, path, strlen(path), &o);

	assert_true((o.package != NULL) == (c != HERD_DPKG_UNEXPLAINED));
	return c;
}

static void test_explain(void **unused)
{
	(void)unused;
	DPKG *old = with_bash("1", A "  bin/bash\n" A "  bin/old\n");
	DPKG *new = with_bash("2", B "  bin/bash\n" C "  bin/new\n");
	/* the file exchanged, its MD5 as well, the version not */
	DPKG *forged = with_bash("1", B "  bin/bash\n" B "  bin/evil\n");
	DPKG *none = make(true, "");

	assert_int_equal(herd_dpkg_seal(none), 0);
	assert_int_equal(explain(new, old, "usr/bin/bash", 'b'),
			 HERD_DPKG_CHANGED);
	assert_int_equal(explain(new, old, "usr/bin/new", 'c'),
			 HERD_DPKG_CHANGED);
	assert_int_equal(explain(new, old, "usr/bin/new", 0),
			 HERD_DPKG_CHANGED);
	assert_int_equal(explain(new, old, "usr/bin/bash", 'c'),
			 HERD_DPKG_UNEXPLAINED);
	assert_int_equal(explain(new, old, "usr/bin/other", 'c'),
			 HERD_DPKG_UNEXPLAINED);
	assert_int_equal(explain(forged, old, "usr/bin/bash", 'b'),
			 HERD_DPKG_UNEXPLAINED);
	assert_int_equal(explain(forged, old, "usr/bin/evil", 'b'),
			 HERD_DPKG_UNEXPLAINED);
	assert_int_equal(explain(new, none, "usr/bin/bash", 'b'),
			 HERD_DPKG_INSTALLED);
	assert_int_equal(explain(none, new, "usr/bin/bash", 'b'),
			 HERD_DPKG_UNEXPLAINED);

	assert_int_equal(absent(new, old, "usr/bin/old"), HERD_DPKG_CHANGED);
	assert_int_equal(absent(none, old, "usr/bin/old"), HERD_DPKG_REMOVED);
	/* deleted, or taken out of the list as well */
	assert_int_equal(absent(new, old, "usr/bin/bash"),
			 HERD_DPKG_UNEXPLAINED);
	assert_int_equal(absent(forged, old, "usr/bin/old"),
			 HERD_DPKG_UNEXPLAINED);
	assert_int_equal(absent(new, old, "usr/bin/none"),
			 HERD_DPKG_UNEXPLAINED);

	assert_true(herd_dpkg_changed(new, old, "bash.md5sums"));
	assert_true(herd_dpkg_changed(new, none, "bash.list"));
	assert_false(herd_dpkg_changed(forged, old, "bash.md5sums"));
	assert_false(herd_dpkg_changed(none, old, "bash.md5sums"));
	assert_false(herd_dpkg_changed(new, old, "bash.postinst"));
	assert_false(herd_dpkg_changed(new, old, "bash"));
}

/* A folder that many share is explained by one that changed. */
static void test_shared_folder(void **unused)
{
	(void)unused;
	static const char two[] =
		"Package: a\nStatus: install ok installed\nArchitecture: all\n"
		"Version: 1\n\n"
		"Package: b\nStatus: install ok installed\nArchitecture: all\n"
		"Version: 2\n";
	DPKG *d = make(true, two);
	DPKG *old = make(true, "Package: a\nStatus: install ok installed\n"
			       "Architecture: all\nVersion: 1\n\n"
			       "Package: b\nStatus: install ok installed\n"
			       "Architecture: all\nVersion: 1\n");
	struct herd_dpkg_owner o;

	add(d, "a.list", "/usr/share/x\n");
	add(d, "b.list", "/usr/share/x\n");
	add(old, "a.list", "/usr/share/y\n");
	add(old, "b.list", "/usr/share/y\n");
	assert_int_equal(herd_dpkg_seal(d), 0);
	assert_int_equal(herd_dpkg_seal(old), 0);
	assert_int_equal(herd_dpkg_explain(d, old, "usr/share/x", 11, NULL, &o),
			 HERD_DPKG_CHANGED);
	assert_string_equal(o.package, "b");
	/* a is as it was: its folder should be there */
	assert_int_equal(absent(d, old, "usr/share/y"), HERD_DPKG_UNEXPLAINED);
}

/* ---- hostile ---- */

static void test_hostile(void **unused)
{
	(void)unused;
	static const char *const bad[] = {
		"",
		"\n\n\n",
		":",
		"Package:",
		"Package: x\n",
		"Conffiles:",
		"Package: a/b\nStatus: x\nArchitecture: all\nVersion: 1\n",
		"Package: a\nArchitecture: all\nVersion:\n",
		"Conffiles:\n /x " A "\n",
		" " A "\n",
		"Package: a:b\n",
	};
	char name[300];

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		DPKG *d = make(true, bad[i]);

		assert_int_equal(herd_dpkg_seal(d), 0);
		assert_null(herd_dpkg_version(d, "a", NULL));
	}
	/* one that stands there twice: the first counts */
	DPKG *d = make(true, "Package: a\nStatus: i o installed\n"
			     "Architecture: all\nVersion: 1\n\n"
			     "Package: a\nStatus: i o installed\n"
			     "Architecture: all\nVersion: 2\n"
			     "Conffiles:\n /etc/second " A "\n");
	struct herd_dpkg_owner o;

	assert_string_equal(herd_dpkg_version(d, "a", NULL), "1");
	assert_int_equal(herd_dpkg_skipped(d), 1);
	memset(name, 'x', sizeof(name) - 1);
	name[sizeof(name) - 1] = 0;
	add(d, name, "/x\n");
	add(d, "", "/x\n");
	add(d, ".list", "/x\n");
	add(d, ":all.list", "/x\n");
	/* NUL, nothing but slashes, too long */
	assert_int_equal(herd_dpkg_add_info(d, "a.list", "/a\0b\n//\n", 8), 0);
	CLEANUP_FREE char *text = malloc(HERD_DPKG_PATH_MAX + 3);

	assert_non_null(text);
	memset(text, 'y', HERD_DPKG_PATH_MAX + 2);
	text[0] = '/';
	assert_int_equal(herd_dpkg_add_info(d, "a.list", text,
					    HERD_DPKG_PATH_MAX + 2),
			 0);
	assert_int_equal(herd_dpkg_skipped(d), 4);
	assert_int_equal(herd_dpkg_add_info(d, "a.list", text,
					    HERD_DPKG_PATH_MAX + 1),
			 0);
	memcpy(text, "/bin/", 5);
	assert_int_equal(herd_dpkg_add_info(d, "a.list", text,
					    HERD_DPKG_PATH_MAX + 1),
			 0);
	assert_int_equal(herd_dpkg_seal(d), 0);
	assert_int_equal(
		herd_dpkg_find(d, text, HERD_DPKG_PATH_MAX + 1, NULL, &o), 0);
	assert_int_equal(find(d, "etc/second", &o), -ENOENT);
	assert_int_equal(find(d, "x", &o), -ENOENT);
}

static void test_limits(void **unused)
{
	(void)unused;
	size_t n = HERD_DPKG_PATHS_MAX + 1;
	DPKG *d = make(true, status);
	CLEANUP_FREE char *text = malloc(2 * n);

	assert_non_null(text);
	for (size_t i = 0; i < n; i++)
		memcpy(text + 2 * i, "x\n", 2);
	assert_int_equal(herd_dpkg_add_info(d, "bash.list", text, 2 * n),
			 -EOVERFLOW);
}

/* ---- this machine's own ---- */

static char *slurp(const char *path, size_t *ret_len)
{
	CLEANUP_FREE char *text = NULL;
	FILE *f = fopen(path, "r");
	struct stat st;

	if (!f)
		return NULL;
	assert_int_equal(fstat(fileno(f), &st), 0);
	text = malloc((size_t)st.st_size + 1);
	assert_non_null(text);
	*ret_len = fread(text, 1, (size_t)st.st_size, f);
	fclose(f);
	return TAKE_PTR(text);
}

static int count_package(void *arg, const char *package, const char *arch,
			 const char *version)
{
	assert_true(*package && *arch && *version);
	++*(size_t *)arg;
	return 0;
}

static void test_real(void **unused)
{
	(void)unused;
	static const char info[] = "/var/lib/dpkg/info";
	size_t len, packages = 0, files = 0;
	CLEANUP_FREE char *text = slurp("/var/lib/dpkg/status", &len);
	struct herd_dpkg *made = NULL;
	struct herd_dpkg_owner o;
	struct stat st;
	DIR *dir = opendir(info);

	if (!text || !len || !dir) {
		if (dir)
			closedir(dir);
		skip();
	}
	assert_int_equal(herd_dpkg_create(!lstat("/bin", &st) &&
						  S_ISLNK(st.st_mode),
					  &made),
			 0);
	DPKG *d = made;

	assert_int_equal(herd_dpkg_add_status(d, text, len), 0);
	assert_int_equal(herd_dpkg_each(d, count_package, &packages), 0);
	assert_true(packages > 50);
	for (struct dirent *e; (e = readdir(dir)) != NULL;) {
		char path[512];
		size_t n;

		snprintf(path, sizeof(path), "%s/%s", info, e->d_name);
		if (lstat(path, &st) || !S_ISREG(st.st_mode))
			continue;
		CLEANUP_FREE char *s = slurp(path, &n);

		if (s)
			assert_int_equal(herd_dpkg_add_info(d, e->d_name, s, n),
					 0);
		files += s != NULL;
		assert_false(herd_dpkg_changed(d, d, e->d_name));
	}
	closedir(dir);
	assert_int_equal(herd_dpkg_seal(d), 0);
	assert_true(files > packages);
	assert_int_equal(herd_dpkg_skipped(d), 0);

	assert_int_equal(find(d, "bin/bash", &o), 0);
	assert_string_equal(o.package, "bash");
	assert_string_equal(o.version, herd_dpkg_version(d, "bash", NULL));
	assert_true(o.has_md5);
	assert_int_equal(find(d, "etc/bash.bashrc", &o), 0);
	assert_true(o.conffile && o.has_md5);
	assert_int_equal(find(d, "etc/debian_version", &o), 0);
	assert_string_equal(o.package, "base-files");
	assert_int_equal(find(d, "etc/passwd", &o), -ENOENT);
	assert_int_equal(explain(d, d, "usr/bin/bash", 0),
			 HERD_DPKG_UNEXPLAINED);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_status),
		cmocka_unit_test(test_info),
		cmocka_unit_test(test_explain),
		cmocka_unit_test(test_shared_folder),
		cmocka_unit_test(test_hostile),
		cmocka_unit_test(test_limits),
		cmocka_unit_test(test_real),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
