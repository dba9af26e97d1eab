/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is looked for in files when an instance comes, on small ext4 images:
 * own tokens, sorts, logs, texts that are kept, upgraded packages; and what
 * the verdict makes of it.
 */
#include "tests/unit/image_herd.h"

static struct herd_look look(struct world *w, uint32_t instance,
			     const char *path)
{
	struct herd_look ret = { 0 };
	int err = herd_look_get(w->t, instance, path_id(w, path), &ret);

	if (err)
		fail_msg("%s of %u: %s", path, instance, strerror(-err));
	return ret;
}

static bool is_kept(struct world *w, uint32_t instance, const char *path,
		    const char *begins)
{
	struct herd_entry e;
	const void *text;
	size_t len;

	assert_int_equal(herd_entry_get(w->t, instance, w->g.reference,
					path_id(w, path), &e),
			 0);
	int err = herd_kept_get(w->t, w->g.id, e.digest, &text, &len);

	assert_true(err == 0 || err == -ENOENT);
	if (err)
		return false;
	assert_int_equal(len, e.size);
	assert_true(len >= strlen(begins));
	assert_memory_equal(text, begins, strlen(begins));
	return true;
}

/* ---- identities, texts, sorts, logs ---- */

/* 1 to 4; the last one has what the others have not. */
static const char make_siblings[] =
	"for i in 1 2 3 4; do rm -rf t; host web-$i\n"
	"mkdir -p t/var/lib/app t/var/cache/app\n"
	"echo \"Welcome to web-$i\" >t/etc/issue\n"
	"echo \"name web-$i\" >t/etc/app.conf\n"
	"[ $i != 4 ] || echo 'backdoor yes' >>t/etc/app.conf\n"
	"key $i >t/etc/app.key\n"
	"echo \"PuTTY-User-Key-File-3: ssh-rsa $i\" >t/etc/app.ppk\n"
	"{ head -c 5000 /dev/zero | tr '\\0' x; echo; key $i; } >t/etc/chain.pem\n"
	"{ head -c 70000 /dev/zero | tr '\\0' y; echo $i; } >t/etc/large\n"
	"{ head -c 300000 /dev/zero | tr '\\0' z; echo web-$i; } >t/etc/huge\n"
	"echo text >t/usr/bin/tool; [ $i != 4 ] || cp /bin/true t/usr/bin/tool\n"
	"echo \"state $i\" >t/var/lib/app/state\n"
	"echo \"job $i\" >t/var/lib/app/job\n"
	"echo \"x $i\" >t/var/lib/app/hole\n"
	"[ $i != 4 ] || { cp /bin/true t/var/lib/app/state;"
	" chmod 644 t/var/lib/app/state; echo '#!/bin/sh' >t/var/lib/app/job;"
	" printf '\\177ELF\\2\\1\\1' >t/var/lib/app/hole;"
	" truncate -s 6G t/var/lib/app/hole; }\n"
	/* 1790000000: when all files are made */
	"echo \"2026-09-21T14:13:20Z web-$i start\" >t/var/log/app.log\n"
	"echo \"$i\" >>t/var/log/app.log\n"
	"[ $i != 4 ] || sed -i s/09-21/09-11/ t/var/log/app.log\n"
	/* whatever the name */
	"h=$(printf '%s' abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG$i)\n"
	"mkdir -p t/var/backups t/root\n"
	"echo \"root:\\$y\\$j9T\\$saltsalt\\$$h:19000:0:99999:7:::\" |"
	" tee t/etc/shadow t/root/notes >t/var/backups/shadow.bak.1\n"
	"echo \"password geheim$i\" >t/root/.netrc\n"
	"image s$i; done\n";

/* What a file keeps of a line that has a hash. */
static void no_hash_is_kept(struct world *w, uint32_t id, const char *path)
{
	struct herd_entry e;
	const void *text;
	size_t len;

	assert_true(is_kept(w, id, path, "root:$y$[hash "));
	assert_int_equal(herd_entry_get(w->t, id, w->g.reference,
					path_id(w, path), &e),
			 0);
	assert_int_equal(herd_kept_get(w->t, w->g.id, e.digest, &text, &len),
			 0);
	assert_null(memmem(text, len, "abcdefgh", 8));
	assert_non_null(memmem(text, len, "]:19000:0:", 10));
}

static void test_siblings(void **state)
{
	struct world w;
	uint32_t id[5];
	struct herd_look l;

	(void)state;
	sh(make_siblings);
	world_open(&w, "siblings");
	id[1] = attach(&w, "i-1", "s1", false);
	id[2] = attach(&w, "i-2", "s2", false);
	id[3] = attach(&w, "i-3", "s3", false);
	id[4] = attach(&w, "i-4", "s4", false);
	world_judge(&w);
	for (unsigned i = 1; i <= 4; i++) {
		judged(&w, id[i], "etc/issue", V, HERD_REASON_TOKENS);
		judged(&w, id[i], "etc/hostname", V, HERD_REASON_TOKENS);
		judged(&w, id[i], "etc/machine-id", V, HERD_REASON_TOKENS);
		assert_true(look(&w, id[i], "etc/issue").normal);
		assert_int_equal(look(&w, id[i], "etc/app.key").sort,
				 HERD_SORT_KEY + 1);
		/* what lets in is kept nowhere, also behind certificates */
		assert_false(is_kept(&w, id[i], "etc/app.key", ""));
		assert_false(is_kept(&w, id[i], "etc/app.ppk", ""));
		assert_int_equal(look(&w, id[i], "etc/chain.pem").sort,
				 HERD_SORT_KEY + 1);
		assert_false(is_kept(&w, id[i], "etc/chain.pem", ""));
		no_hash_is_kept(&w, id[i], "etc/shadow");
		no_hash_is_kept(&w, id[i], "var/backups/shadow.bak.1");
		no_hash_is_kept(&w, id[i], "root/notes");
		/* all of it is a secret */
		assert_false(is_kept(&w, id[i], "root/.netrc", ""));
		assert_true(is_kept(&w, id[i], "etc/issue", "Welcome to web-"));
		assert_true(is_kept(&w, id[i], "etc/app.conf", "name web-"));
		assert_false(is_kept(&w, id[i], "etc/large", ""));
		assert_false(is_kept(&w, id[i], "etc/huge", ""));
		/* too large to be normalised */
		assert_false(look(&w, id[i], "etc/huge").normal);
		l = look(&w, id[i], "var/log/app.log");
		struct herd_cursor c = herd_cursor(l.sketch, l.n_sketch);

		assert_int_equal(herd_cur_svarint(&c),
				 i == 4 ? 1790000000 - 864000 : 1790000000);
		assert_false(c.bad);
		assert_int_equal(c.pos, c.len);
		/* settings are no logs */
		assert_int_equal(look(&w, id[i], "etc/issue").n_sketch, 0);
	}
	for (unsigned i = 1; i <= 3; i++) {
		judged(&w, id[i], "etc/app.conf", V, HERD_REASON_TOKENS);
		judged(&w, id[i], "usr/bin/tool", S, 0);
		judged(&w, id[i], "var/lib/app/state", V, HERD_REASON_CONTENT);
		judged(&w, id[i], "var/lib/app/job", V, HERD_REASON_CONTENT);
		judged(&w, id[i], "var/lib/app/hole", V, HERD_REASON_CONTENT);
	}
	judged(&w, id[4], "etc/app.conf", D, HERD_REASON_CONTENT);
	judged(&w, id[4], "usr/bin/tool", D, HERD_REASON_CONTENT);
	assert_int_equal(look(&w, id[4], "usr/bin/tool").sort,
			 HERD_SORT_PROGRAM + 1);
	assert_int_equal(look(&w, id[1], "usr/bin/tool").sort,
			 HERD_SORT_TEXT + 1);
	/* a program where the others have text, with their mode; a script; a
	   program with gigabytes of holes behind it; a log that is too old */
	judged(&w, id[4], "var/lib/app/state", D, HERD_REASON_SORT);
	judged(&w, id[4], "var/lib/app/job", D, HERD_REASON_SORT);
	judged(&w, id[4], "var/lib/app/hole", D, HERD_REASON_SORT);
	judged(&w, id[4], "var/log/app.log", D, HERD_REASON_REWRITTEN);
	world_close(&w);
}

/* Without the reference's image it is not known what its files are. */
static void test_blind(void **state)
{
	struct world w;
	uint32_t id[5];

	(void)state;
	world_open(&w, "blind");
	id[1] = attach(&w, "i-1", "s1", false);
	id[2] = attach(&w, "i-2", "s2", true);
	id[3] = attach(&w, "i-3", "s3", true);
	id[4] = attach(&w, "i-4", "s4", true);
	world_judge(&w);
	assert_int_equal(look(&w, id[1], "var/lib/app/state").sort, 0);
	/* the others are looked at twice all the same */
	judged(&w, id[4], "var/lib/app/state", D, HERD_REASON_SORT);
	judged(&w, id[4], "var/lib/app/job", D, HERD_REASON_SORT);
	judged(&w, id[1], "var/lib/app/state", V, HERD_REASON_CONTENT);
	judged(&w, id[2], "var/lib/app/state", V, HERD_REASON_CONTENT);
	world_close(&w);
}

/* ---- packages ---- */

static const char make_packages[] =
	"tree() { rm -rf t; host web; mkdir -p t/usr/lib t/usr/share/alpha"
	" t/var/cache/apt t/var/lib/apt/lists t/var/log/apt;\n"
	" for f in alpha alpha-helper beta; do echo $f $1 >t/usr/bin/$f; done\n"
	" ln -s alpha.so.$1 t/usr/lib/alpha.so; echo gone >t/usr/share/alpha/gone\n"
	" echo cache $1 >t/var/cache/apt/pkgcache.bin; echo log >t/var/log/apt/history.log;"
	" echo own >t/etc/alpha.conf; }\n"
	"tree 1; echo old >t/usr/share/alpha/old\n"
	"printf '%s\\n' . usr usr/bin usr/bin/alpha usr/bin/alpha-helper"
	" usr/lib/alpha.so usr/share/alpha usr/share/alpha/old"
	" usr/share/alpha/gone | package alpha 1.0\n"
	"echo usr/bin/beta | package beta 1.0\n"
	"echo 'echo 1' >t/var/lib/dpkg/info/alpha.postinst\n"
	"image old\n"
	"new() { tree 2; echo new >t/usr/bin/alpha-new; mkdir t/usr/share/alpha/d\n"
	" echo suid >t/usr/bin/alpha-suid; chmod 4755 t/usr/bin/alpha-suid\n"
	" printf '%s\\n' . usr usr/bin usr/bin/alpha usr/bin/alpha-helper"
	" usr/bin/alpha-new usr/bin/alpha-suid usr/lib/alpha.so usr/share/alpha"
	" usr/share/alpha/d usr/share/alpha/gone etc/alpha.conf |"
	" package alpha 2.0\n"
	/* of the same version, with sums of its own */
	" echo usr/bin/beta | package beta 1.0\n"
	" echo usr/bin/gamma >t/usr/bin/gamma; echo usr/bin/gamma | package gamma 1\n"
	" echo 'echo 2' >t/var/lib/dpkg/info/alpha.postinst; }\n"
	"new; image new\n"
	/* who is in the way of the upgrade */
	"echo trojan >t/usr/bin/alpha; image trojan\n"
	/* who has the lists, and no package */
	"for s in 'install ok half-installed' 'deinstall ok config-files'; do\n"
	" new; sed -i \"/alpha/,/^$/s/install ok installed/$s/\""
	" t/var/lib/dpkg/status; image \"${s##* }\"; done\n"
	"new; echo other >t/usr/bin/alpha-helper; rm t/usr/share/alpha/gone\n"
	"echo evil >t/etc/alpha.conf; sed -i /conf/d"
	" t/var/lib/dpkg/info/alpha.md5sums; (cd t; md5sum etc/alpha.conf)"
	" >>t/var/lib/dpkg/info/alpha.md5sums\n"
	"cp /bin/true t/var/cache/apt/evil; key 1 >t/var/lib/apt/lists/key\n"
	"echo text >t/var/lib/apt/lists/x_Packages; rm t/var/log/apt/history.log\n"
	"printf '#!/bin/sh\\n' >t/var/lib/dpkg/info/alpha.templates\n"
	"mknod t/usr/share/alpha/dev c 1 3 || mkfifo t/usr/share/alpha/dev\n"
	"ln -s /tmp/x t/etc/alpha.link\n"
	"printf '/usr/share/alpha/dev\\n/etc/alpha.link\\n'"
	" >>t/var/lib/dpkg/info/alpha.list\n"
	"image odd\n";

#define PACKAGED(reason) V, (reason) | HERD_REASON_PACKAGE

/* One of five is upgraded, and somebody has been there. */
static void test_packages(void **state)
{
	static const char *const not_vouched[] = {
		"usr/bin/alpha-helper",
		"usr/share/alpha/gone",
		"usr/bin/beta",
		"usr/bin/gamma",
		"etc/alpha.conf",
		"etc/alpha.link",
		"usr/share/alpha/dev",
		"var/cache/apt/evil",
		"var/lib/apt/lists/key",
		"var/log/apt/history.log",
		"var/lib/dpkg/info/alpha.templates",
		"var/lib/dpkg/info/alpha.postinst",
		"var/lib/dpkg/info/beta.md5sums",
		"var/lib/dpkg/info/gamma.list",
	};
	struct world w;
	struct herd_look l = { 0 };
	uint32_t id;

	(void)state;
	sh(make_packages);
	world_open(&w, "packages");
	attach(&w, "i-1", "old", false);
	attach(&w, "i-2", "old", false);
	attach(&w, "i-3", "old", false);
	attach(&w, "i-4", "old", false);
	id = attach(&w, "i-5", "odd", false);
	world_judge(&w);
	judged(&w, id, "usr/bin/alpha", PACKAGED(HERD_REASON_CONTENT));
	judged(&w, id, "usr/bin/alpha-new", PACKAGED(HERD_REASON_ADDED));
	judged(&w, id, "usr/lib/alpha.so", PACKAGED(HERD_REASON_TARGET));
	judged(&w, id, "usr/share/alpha/d", PACKAGED(HERD_REASON_ADDED));
	judged(&w, id, "usr/share/alpha/old", PACKAGED(HERD_REASON_ABSENT));
	judged(&w, id, "var/lib/dpkg/info/alpha.list",
	       PACKAGED(HERD_REASON_CONTENT));
	judged(&w, id, "var/lib/dpkg/info/alpha.md5sums",
	       PACKAGED(HERD_REASON_CONTENT));
	judged(&w, id, "var/cache/apt/pkgcache.bin",
	       PACKAGED(HERD_REASON_CONTENT));
	judged(&w, id, "var/lib/apt/lists/x_Packages",
	       PACKAGED(HERD_REASON_ADDED));
	/* its sum is right, and yet */
	assert_true(look(&w, id, "usr/bin/alpha-suid").packaged);
	judged(&w, id, "usr/bin/alpha-suid", D, HERD_REASON_ADDED);
	for (size_t i = 0; i < ARRAY_SIZE(not_vouched); i++) {
		struct herd_finding f;
		uint32_t path = path_id(&w, not_vouched[i]);

		assert_int_equal(herd_judge_path(w.t, w.h, id, path, &f, NULL),
				 0);
		if (f.verdict.class != D)
			fail_msg("%s: %s", not_vouched[i],
				 herd_class_name(f.verdict.class));
		if (!herd_look_get(w.t, id, path, &l) && l.packaged)
			fail_msg("%s is vouched for", not_vouched[i]);
	}
	/* one path tells of all of it */
	judged(&w, id, "var/lib/dpkg/status", D, HERD_REASON_CONTENT);
	l = look(&w, id, "var/lib/dpkg/status");
	assert_false(l.packaged);
	assert_int_equal(
		l.n_note,
		strlen("1 package of another version: alpha 1.0 -> 2.0"));
	assert_memory_equal(l.note,
			    "1 package of another version: alpha 1.0 -> 2.0",
			    l.n_note);
	world_close(&w);
}

/* What is not installed vouches for nothing. */
static void test_not_installed(void **state)
{
	static const char *const images[] = { "half-installed",
					      "config-files" };
	struct world w;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(images); i++) {
		world_open(&w, images[i]);
		attach(&w, "i-1", "old", false);
		attach(&w, "i-2", "old", false);
		attach(&w, "i-3", "old", false);
		attach(&w, "i-4", "old", false);
		uint32_t id = attach(&w, "i-5", images[i], false);

		world_judge(&w);
		judged(&w, id, "usr/bin/alpha", D, HERD_REASON_CONTENT);
		judged(&w, id, "usr/bin/alpha-new", D, HERD_REASON_ADDED);
		judged(&w, id, "usr/share/alpha/old", D, HERD_REASON_ABSENT);
		assert_int_equal(look(&w, id, "var/lib/dpkg/status").n_note, 0);
		world_close(&w);
	}
}

/* Most are upgraded: seen from those who are not. */
static void test_upgraded_herd(void **state)
{
	struct world w;
	uint32_t old, trojan;

	(void)state;
	world_open(&w, "upgraded");
	old = attach(&w, "i-1", "old", false);
	attach(&w, "i-2", "new", false);
	attach(&w, "i-3", "new", false);
	attach(&w, "i-4", "new", false);
	attach(&w, "i-5", "new", false);
	trojan = attach(&w, "i-6", "trojan", false);
	world_judge(&w);
	judged(&w, old, "usr/bin/alpha", PACKAGED(HERD_REASON_CONTENT));
	judged(&w, old, "usr/bin/alpha-new", PACKAGED(HERD_REASON_ABSENT));
	judged(&w, old, "usr/bin/beta", D, HERD_REASON_CONTENT);
	judged(&w, trojan, "usr/bin/alpha-helper", S, 0);
	/* neither the new one nor the old */
	judged(&w, trojan, "usr/bin/alpha", D, HERD_REASON_CONTENT);
	world_close(&w);
}

/* Lists that nobody's dpkg wrote cost their instance nothing but their word. */
static void test_hostile_packages(void **state)
{
	static const char script[] =
		"new() { rm -rf t; host web; echo $1 >t/usr/bin/alpha; }\n"
		"new 1; echo usr/bin/alpha | package alpha 1.0; image hold\n"
		"new 2; echo usr/bin/alpha | package alpha 2.0\n"
		"i=t/var/lib/dpkg/info\n"
		"printf '/usr/\\0/x\\n/../../usr/bin\\n/usr/bin/../bin/alpha\\n"
		"//\\n/\\n' >>$i/alpha.list\n"
		"head -c 100000 /dev/zero | tr '\\0' a >>$i/alpha.list\n"
		"{ m=$(md5sum <t/usr/bin/alpha | cut -c1-32)\n"
		"printf '%s  usr/bin/\\0\\n%s  %s\\n' $m $m $(printf 'b%.0s' {1..3000})\n"
		"yes '00000000000000000000000000000000  usr/bin/alpha' |"
		" head -n 20000; printf '%s' $m; } >>$i/alpha.md5sums\n"
		"head -c 1000 /dev/urandom >$i/beta.md5sums\n"
		"cp t/var/lib/dpkg/status s; { cat s; echo; printf 'Package: beta';"
		" head -c 3000 /dev/zero; printf '\\nVersion: 1'; } >t/var/lib/dpkg/status\n"
		"image hnew\n"
		/* no text but a folder, a link */
		"rm -r t/var/lib/dpkg/status $i/alpha.list; mkdir t/var/lib/dpkg/status\n"
		"ln -s alpha.list $i/alpha.list; image hdir\n";
	struct world w;
	uint32_t id;

	(void)state;
	sh(script);
	world_open(&w, "hostile");
	attach(&w, "i-1", "hold", false);
	attach(&w, "i-2", "hold", false);
	attach(&w, "i-3", "hold", false);
	id = attach(&w, "i-4", "hnew", false);
	attach(&w, "i-5", "hdir", false);
	world_judge(&w);
	judged(&w, id, "usr/bin/alpha", PACKAGED(HERD_REASON_CONTENT));
	world_close(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_siblings),
		cmocka_unit_test(test_blind),
		cmocka_unit_test(test_packages),
		cmocka_unit_test(test_not_installed),
		cmocka_unit_test(test_upgraded_herd),
		cmocka_unit_test(test_hostile_packages),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
