/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is said of findings beside their text, and which of the rules that
 * ship speaks: category, technique, severity.
 */
#include "acquire/base/cleanup.h"
#include "tests/unit/meaning_fixture.h"

#define ADDED HERD_REASON_ADDED
#define ABSENT HERD_REASON_ABSENT
#define CONTENT HERD_REASON_CONTENT

static const struct herd_meaning_side absent = { .absent = true };

static struct herd_meaning_side elf(uint32_t mode, uint64_t size)
{
	return (struct herd_meaning_side){ .mode = S_IFREG | mode,
					   .size = size,
					   .sort = HERD_SORT_PROGRAM + 1 };
}

static struct herd_meaning_side thing(uint32_t mode)
{
	return (struct herd_meaning_side){ .mode = mode };
}

static void says(const char *path, unsigned reasons,
		 struct herd_meaning_side own, struct herd_meaning_side herd,
		 const char *category, const char *technique, unsigned severity,
		 const char *why)
{
	struct herd_meaning m = meaning(path, reasons, &own, &herd);

	if (strcmp(m.category, category) || strcmp(m.technique, technique) ||
	    m.severity != severity || strcmp(m.why, why))
		print_error("%s: %s %s %u \"%s\" (%s:%u)\n", path, m.category,
			    m.technique, m.severity, m.why, m.rule_file,
			    m.rule_line);
	assert_string_equal(m.why, why);
	assert_string_equal(m.category, category);
	assert_string_equal(m.technique, technique);
	assert_int_equal(m.severity, severity);
}

static void test_powers(void **state)
{
	struct herd_meaning_side own = elf(04755, 900), herd = elf(0755, 900);

	(void)state;
	says("usr/bin/find", HERD_REASON_SETID, own, herd, "privilege",
	     "T1548.001", 95, "set-uid root gained, content unchanged");
	says("usr/lib/x86_64-linux-gnu/libutil-2.so", ADDED, own, absent,
	     "privilege", "T1548.001", 95,
	     "new ELF program, 900 bytes; set-uid root");
	says("usr/bin/find", HERD_REASON_SETID | HERD_REASON_MODE, herd, own,
	     "binaries", "T1554", 75,
	     "set-uid lost, content unchanged; mode 0755, the herd's 4755");
	own.uid = 33;
	says("tmp/x", ADDED, own, absent, "privilege", "T1548.001", 85,
	     "new ELF program, 900 bytes; set-uid uid 33");
	own = elf(02755, 900);
	own.gid = 42;
	says("usr/bin/x", HERD_REASON_SETID | CONTENT, own, herd, "privilege",
	     "T1548.001", 70,
	     "set-gid gid 42 gained; content differs, same size: 900 bytes");
	/* a set-gid directory is an ordinary thing */
	says("home/team", ADDED, thing(S_IFDIR | 02775), absent, "data", "", 25,
	     "new directory");
}

static void test_capability(void **state)
{
	static const uint8_t setuid[20] = { 1, 0, 0, 2, 0x80 };
	static const uint8_t raw[20] = { 1, 0, 0, 2, 0, 0x20 };
	struct herd_meaning_side own = elf(0755, 900), herd = own;

	(void)state;
	own.capability = setuid;
	own.capability_len = sizeof(setuid);
	says("usr/bin/perl", HERD_REASON_XATTR, own, herd, "privilege", "T1548",
	     90, "cap_setuid+ep gained, content unchanged");
	says("usr/bin/perl", ADDED, own, absent, "privilege", "T1548", 90,
	     "new ELF program, 900 bytes; cap_setuid+ep");
	says("usr/bin/perl", HERD_REASON_XATTR, herd, own, "binaries", "T1554",
	     75, "cap_setuid+ep lost, content unchanged");
	herd.capability = raw;
	herd.capability_len = sizeof(raw);
	says("usr/bin/perl", HERD_REASON_XATTR, own, herd, "privilege", "T1548",
	     90, "cap_setuid+ep, the herd's cap_net_raw+ep, content unchanged");
	/* the same one, and something else that differs */
	herd.capability = setuid;
	says("usr/bin/perl", HERD_REASON_XATTR, own, herd, "binaries", "T1554",
	     75, "extended attributes differ, content unchanged");
}

static void test_capability_text(void **state)
{
	static const struct {
		uint8_t bytes[24];
		size_t len;
		const char *text;
	} caps[] = {
		{ { 1, 0, 0, 2, 0x80 }, 20, "cap_setuid+ep" },
		{ { 0, 0, 0, 2, 0x80 }, 20, "cap_setuid+p" },
		{ { 1, 0, 0, 2, 0x80, 0, 0, 0, 0x80 }, 20, "cap_setuid+eip" },
		{ { 0, 0, 0, 2, 0, 0, 0, 0, 1 }, 20, "cap_chown+i" },
		{ { 1, 0, 0, 2, 0xc0, 0x20 },
		  20,
		  "cap_setgid,cap_setuid,cap_net_raw+ep" },
		{ { 1, 0, 0, 2, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0, 0xff, 1 },
		  20,
		  "all capabilities ep" },
		{ { 1, 0, 0, 2, 0xff },
		  20,
		  "cap_chown,cap_dac_override,cap_dac_read_search,cap_fowner,...+ep" },
		{ { 1, 0, 0, 3, 0x80, 0, 0, 0, 0, 0,	0,
		    0, 0, 0, 0, 0,    0, 0, 0, 0, 0xe8, 3 },
		  24,
		  "cap_setuid+ep" },
		{ { 1, 0, 0, 1, 0x80 }, 12, "cap_setuid+ep" },
		{ { 1, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x80 },
		  20,
		  "cap_63+ep" },
		{ { 1, 0, 0, 2 }, 20, "no capability" },
		{ { 1, 0, 0, 2, 0x80 }, 19, "?" },
		{ { 1, 0, 0, 9, 0x80 }, 20, "?" },
		{ { 0 }, 0, "?" },
		{ { 1, 0, 0 }, 3, "?" },
	};
	char buf[HERD_CAPABILITY_TEXT_MAX], small[8];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(caps); i++) {
		assert_string_equal(herd_capability_text(caps[i].bytes,
							 caps[i].len, buf,
							 sizeof(buf)),
				    caps[i].text);
		herd_capability_text(caps[i].bytes, caps[i].len, small,
				     sizeof(small));
		assert_memory_equal(small, caps[i].text,
				    strlen(small) < 7 ? strlen(small) : 7);
	}
}

static void test_attributes(void **state)
{
	struct herd_meaning_side own = file_side("x\n", 2), herd = own;

	(void)state;
	own.mode = S_IFREG | 0666;
	says("etc/passwd", HERD_REASON_MODE, own, herd, "privilege",
	     "T1222.002", 65, "mode 0666, the herd's 0644, anybody may write");
	own.mode = S_IFREG | 0640;
	own.uid = 33;
	own.gid = 7;
	says("etc/shadow", HERD_REASON_MODE | HERD_REASON_OWNER, own, herd,
	     "accounts", "T1098", 60,
	     "mode 0640, the herd's 0644; owner 33:7, the herd's 0:0");
	says("etc/x", HERD_REASON_UNREADABLE, own, herd, "config", "", 35,
	     "content could not be read and compared");
	says("dev/sda", HERD_REASON_DEVICE, thing(S_IFBLK | 0600),
	     thing(S_IFBLK | 0600), "other", "", 15, "another device number");
	says("home/x", 0, own, herd, "data", "", 25, "differs");
	says("home/x", 0, absent, absent, "data", "", 25, "there is none");
}

static void test_links(void **state)
{
	struct herd_meaning_side null = link_side("/dev/null");
	struct herd_meaning_side sh = link_side("dash"),
				 evil = link_side("/tmp/sh");

	(void)state;
	says("usr/bin/sh", HERD_REASON_TARGET, evil, sh, "binaries", "T1554",
	     75, "leads to /tmp/sh, the herd's to dash");
	says("etc/systemd/system/rsyslog.service", ADDED, null, absent,
	     "evasion", "T1685", 85,
	     "rsyslog.service is masked: it never starts");
	says("etc/systemd/system/multi-user.target.wants/x.service", ADDED,
	     link_side("/lib/systemd/system/x.service"), absent, "persistence",
	     "T1543.002", 70,
	     "started at boot: x.service, new link to "
	     "/lib/systemd/system/x.service");
	says("root/.bash_history", HERD_REASON_TYPE, null, file_side("ls\n", 3),
	     "logs", "T1070.003", 80, "history leads to /dev/null");
	says("var/log/wtmp", HERD_REASON_TYPE, null, file_side("ls\n", 3),
	     "logs", "T1685.006", 80,
	     "log wtmp is a link to /dev/null now, the "
	     "herd's is a text file of 3 bytes");
	says("home/l", HERD_REASON_TYPE, file_side("ls\n", 3), sh, "data", "",
	     25, "a text file of 3 bytes now, the herd's is a link to dash");
	evil.text = NULL;
	says("home/l", HERD_REASON_TARGET, evil, sh, "data", "", 25,
	     "leads to ?, the herd's to dash");
}

static void test_gone_and_new(void **state)
{
	struct herd_meaning_side text = file_side("a\n", 2);

	(void)state;
	says("usr/lib/systemd/system/rsyslog.service", ABSENT, absent, text,
	     "evasion", "T1685", 85,
	     "gone; the herd has a text file of 2 bytes");
	says("var/log/auth.log", ABSENT, absent, text, "logs", "T1685.006", 80,
	     "log auth.log is gone; the herd has a text file of 2 bytes");
	says("opt/x", ABSENT, absent, thing(S_IFDIR | 0755), "data", "", 35,
	     "gone; the herd has a directory");
	says("tmp/p", ADDED, thing(S_IFIFO | 0644), absent, "data", "T1074.001",
	     30, "new FIFO");
	says("tmp/d", ADDED, thing(S_IFDIR | 0777), absent, "data", "T1074.001",
	     30, "new directory; anybody may write");
	says("tmp/d", ADDED, thing(S_IFDIR | 01777), absent, "data",
	     "T1074.001", 30, "new directory");
	says("srv/null", ADDED, thing(S_IFCHR | 0666), absent, "evasion",
	     "T1564.001", 60, "new character device; anybody may write");
	says("dev/shm/.x", ADDED, elf(0755, 5), absent, "evasion", "T1564.001",
	     85, "a file in /dev: new ELF program, 5 bytes");
	says("var/log/.sys", ADDED, elf(0644, 5), absent, "evasion",
	     "T1036.008", 85,
	     "a program among the logs: new ELF program, 5 bytes");
	says("tmp/.../sh", ADDED, elf(0755, 5000), absent, "evasion",
	     "T1564.001", 60,
	     "in a hidden directory: new ELF program, 5,000 bytes");
	says("var/tmp/... ", ADDED, thing(S_IFDIR | 0755), absent, "evasion",
	     "T1036.006", 75, "a name that ends with a blank: new directory");
}

static void test_binaries(void **state)
{
	struct herd_meaning_side a = elf(0755, 1265432), b = a;

	(void)state;
	says("usr/sbin/sshd", CONTENT, a, b, "credentials", "T1554", 95,
	     "a program that sees passwords: content differs, same size: "
	     "1,265,432 bytes");
	b.size -= 12;
	says("usr/bin/ls", CONTENT, a, b, "binaries", "T1554", 75,
	     "content differs, 12 bytes more: 1,265,432 bytes");
	b.sort = HERD_SORT_SCRIPT + 1;
	says("usr/bin/ls", CONTENT, a, b, "binaries", "T1554", 75,
	     "an ELF program of 1,265,432 bytes now, the herd's is a script of "
	     "1,265,420 bytes");
	says("usr/lib/x86_64-linux-gnu/security/pam_unix.so", CONTENT, a, a,
	     "credentials", "T1556.003", 95,
	     "PAM module pam_unix.so: content differs, same size: "
	     "1,265,432 bytes");
	says("lib/modules/6.1.0-18-amd64/kernel/net/x.ko", ADDED, elf(0644, 7),
	     absent, "kernel", "T1547.006", 90,
	     "kernel module x.ko: new ELF program, 7 bytes");
	says("usr/lib/x86_64-linux-gnu/libnss_cachex.so.2", ADDED, elf(0644, 7),
	     absent, "libraries", "T1556", 90,
	     "asked for every user and host name: new ELF program, 7 bytes");
}

static void test_logs(void **state)
{
	struct herd_meaning_side a = file_side("", 0), b = file_side("", 0);

	(void)state;
	a.text = b.text = NULL;
	a.size = 1204;
	b.size = 90112;
	says("var/log/nginx/access.log", CONTENT, b, a, "logs", "", 15,
	     "content differs, 88,908 bytes more: 90,112 bytes");
	says("var/log/nginx/access.log", CONTENT, a, b, "logs", "T1685.006", 60,
	     "content differs, 88,908 bytes less: 1,204 bytes");
	a.size = 0;
	says("var/log/nginx/access.log", CONTENT, a, b, "logs", "T1685.006", 80,
	     "log access.log was emptied: content differs, 90,112 bytes less: "
	     "0 bytes");
	says("root/.bash_history", CONTENT, a, b, "logs", "T1070.003", 60,
	     "history was emptied");
}

/* What the path of a volume that nothing mounts stands for. */
static void test_volumes(void **state)
{
	(void)state;
	assert_string_equal(
		strings(".volumes/0/p2/etc/passwd", "a:x:0:0:::\n", "").why,
		"1 line added: a uid 0");
	assert_string_equal(strings(".volumes/0/p2", "a\n", "").category,
			    "other");
	assert_true(
		herd_meaning_wants(shipped(), ".volumes/0/p2/etc/passwd", 24));
}

static void test_severity(void **state)
{
	(void)state;
	assert_int_equal(strings("etc/passwd", "a:x:0:0:::\n", "").severity,
			 95);
	assert_int_equal(strings("etc/passwd", "a:x:9:0:::\n", "").severity,
			 60);
	assert_int_equal(strings("etc/sudoers", "# a\n", "# b\n").severity, 35);
}

static void test_wants(void **state)
{
	static const char *const yes[] = {
		"etc/passwd",
		"root/.ssh/authorized_keys",
		"etc/cron.d/x",
		"var/spool/cron/crontabs/root",
		"etc/systemd/system/x.service",
		"home/a/.bashrc",
		"var/www/html/a.php",
		"etc/hosts",
		"srv/a/.git/hooks/post-merge",
		"etc/anything.conf",
	};
	static const char *const no[] = {
		"usr/bin/ls",
		"usr/lib/x86_64-linux-gnu/libc.so.6",
		"var/log/syslog",
		"home/a/.ssh/id_rsa",
		"var/lib/x/db",
		"boot/vmlinuz-6.1.0",
		"",
		"x",
		"usr/share/doc/a/README",
		"etc/ssh/ssh_host_rsa_key",
		"etc/ssl/certs/ca.pem",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(yes); i++)
		if (!herd_meaning_wants(shipped(), yes[i], strlen(yes[i])))
			fail_msg("%s is not wanted", yes[i]);
	for (size_t i = 0; i < ARRAY_SIZE(no); i++)
		if (herd_meaning_wants(shipped(), no[i], strlen(no[i])))
			fail_msg("%s is wanted", no[i]);
}

/* Without any rule there is still something to say. */
static void test_no_rules(void **state)
{
	struct herd_rules *none = herd_rules_create();
	struct herd_meaning_side own = file_side("a\n", 2);
	struct herd_meaning m;

	(void)state;
	assert_int_equal(
		herd_meaning_of(none, "x", 1, ADDED, &own, &absent, &m), 0);
	assert_string_equal(m.category, "other");
	assert_string_equal(m.technique, "");
	assert_string_equal(m.rule_file, "");
	assert_int_equal(m.severity, 0);
	assert_string_equal(m.why, "new file, 1 line: a");
	assert_false(herd_meaning_wants(none, "etc/passwd", 10));
	herd_rules_destroy(none);
	herd_rules_destroy(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_powers),
		cmocka_unit_test(test_capability),
		cmocka_unit_test(test_capability_text),
		cmocka_unit_test(test_attributes),
		cmocka_unit_test(test_links),
		cmocka_unit_test(test_gone_and_new),
		cmocka_unit_test(test_binaries),
		cmocka_unit_test(test_logs),
		cmocka_unit_test(test_volumes),
		cmocka_unit_test(test_severity),
		cmocka_unit_test(test_wants),
		cmocka_unit_test(test_no_rules),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
